//! How messages lie in bytes, by the letter of RFC 5354, 2 to 4: types and lengths only. Nothing here is taken from the
//! crate under test.

use rserpool_core::Ppid;

/// How many bytes stand before the first parameter of a message: the header, and the fields of RFC 5352, 2.2 and RFC
/// 5353, 2.
pub fn header_len(ppid: Ppid, message_type: u8) -> usize {
    match (ppid, message_type) {
        // Server Identifier.
        (Ppid::Asap, 0x07 | 0x0a) => 8,
        (Ppid::Asap, _) => 4,
        // Sender, receiver, and Update Action or Target Server's ID.
        (Ppid::Enrp, 0x04 | 0x07..=0x09) => 16,
        (Ppid::Enrp, _) => 12,
    }
}

/// How many bytes stand before the items within a parameter; `None` where it has none.
pub fn fields_len(parameter_type: u16) -> Option<usize> {
    match parameter_type {
        // DCCP: port, reserved, service code.
        0x03 => Some(8),
        // SCTP, TCP, UDP, UDP-Lite: port and use or reserved. Server Information: its identifier.
        0x04..=0x07 | 0x0b => Some(4),
        // Pool Element: identifier, home, lifetime.
        0x0a => Some(12),
        // Operation Error: causes.
        0x0c => Some(0),
        _ => None,
    }
}

pub const OPERATION_ERROR: u16 = 0x0c;

pub fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// What we send: every length is right, all padding is zero, and no length counts the last padding within it.
pub fn check(ppid: Ppid, bytes: &[u8]) {
    assert_eq!(bytes.len() % 4, 0, "a message is padded");
    let length = be16(bytes, 2);
    assert_eq!(bytes.len(), length.next_multiple_of(4));
    assert!(bytes[length..].iter().all(|b| *b == 0), "padding is zero");
    check_items(&bytes[header_len(ppid, bytes[0])..length], false);
}

fn check_items(mut bytes: &[u8], are_causes: bool) {
    while !bytes.is_empty() {
        let (ty, length) = (be16(bytes, 0) as u16, be16(bytes, 2));
        if let (false, Some(fields)) = (are_causes, fields_len(ty)) {
            check_items(&bytes[4 + fields..length], ty == OPERATION_ERROR);
        }
        let padded = length.next_multiple_of(4);
        if padded >= bytes.len() {
            assert_eq!(length, bytes.len(), "what contains the last parameter does not count its padding");
            return;
        }
        assert!(bytes[length..padded].iter().all(|b| *b == 0), "padding is zero");
        bytes = &bytes[padded..];
    }
}
