//! What holds for any bytes, and for any message.

use rserpool_core::Ppid;
use rserpool_core::wire::{
    EmitError, MAX_REPORTS, ParseError, ParseErrorKind, Parsed, Policy, PoolElementParam, Transport, padded_len,
};

use super::layout;
use super::message::Message;

/// No bytes make the parser panic; a message that it accepts can be emitted, and is parsed back to the same.
pub fn message(ppid: Ppid, bytes: &[u8]) {
    match Message::parse(ppid, bytes) {
        Ok(Parsed { message, reports }) => {
            assert!(reports.len() <= MAX_REPORTS);
            assert!(reports.iter().all(|item| is_within(item, bytes) && item.len() >= 4));
            let emitted = message.bytes().expect("what came in a message fits into one");
            assert!(emitted.len() <= padded_len(bytes.len()), "not more than what came");
            roundtrip(&message);
            let _ = format!("{message:?}");
            assert_ne!(message.name(), "unknown");
            assert!(message.causes().all(|cause| !cause.to_string().is_empty()));
        }
        Err(error) => refused(error, bytes),
    }
}

/// A message is emitted in the length that was predicted, and parsed back to the same.
pub fn roundtrip(message: &Message<'_>) {
    let Some(bytes) = message.bytes() else {
        let error = message.emit(&mut []).unwrap_err();
        assert_eq!(error, EmitError::TooLong, "no buffer would do: {error}");
        return;
    };
    layout::check(message.ppid(), &bytes);
    let again = Message::parse(message.ppid(), &bytes).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"));
    assert_eq!(again.message, *message);
    assert!(again.reports.is_empty());
    assert_eq!(again.message.bytes().as_ref(), Some(&bytes), "what borrows and what was built are emitted alike");
    // RFC 5354, 4: without its last padding it is accepted; with less it is not.
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    assert_eq!(Message::parse(message.ppid(), &bytes[..length]).map(|p| p.message), Ok(*message));
    let cut = Message::parse(message.ppid(), &bytes[..length - 1]).map(|p| p.message);
    assert_eq!(cut.map_err(|error| error.kind), Err(ParseErrorKind::Truncated));

    let needed = bytes.len();
    let mut room = vec![0; needed + 4];
    for len in [0, 3, needed / 2, needed - 1] {
        assert_eq!(message.emit(&mut room[..len]), Err(EmitError::BufferTooSmall { needed }));
    }
    room.fill(0x55);
    assert_eq!(message.emit(&mut room), Ok(&bytes[..]), "to the front of a larger buffer");
    assert_eq!(room[needed..], [0x55; 4]);
}

/// The same for those parameters that are read and written alone.
pub fn parameter(bytes: &[u8]) {
    match Transport::parse(bytes) {
        Ok(transport) => {
            transport_alone(&transport, bytes.len());
            assert_eq!(transport.socket_addrs().next().is_none(), transport.port().is_none());
        }
        Err(error) => refused(error, bytes),
    }
    match Policy::parse(bytes) {
        Ok(policy) => policy_alone(&policy, bytes.len()),
        Err(error) => refused(error, bytes),
    }
    match PoolElementParam::parse(bytes) {
        Ok(element) => element_alone(&element, bytes.len()),
        Err(error) => refused(error, bytes),
    }
}

macro_rules! alone {
    ($name:ident, $ty:ident, $text:expr) => {
        pub fn $name(value: &$ty<'_>, at_most: usize) {
            let mut buf = vec![0xff; value.encoded_len()];
            let len = buf.len();
            let Ok(emitted) = value.emit(&mut buf) else {
                assert_eq!(value.emit(&mut []), Err(EmitError::TooLong));
                return;
            };
            assert_eq!(emitted.len(), len, "the length was predicted");
            assert!(len <= padded_len(at_most), "not more than what came");
            assert_eq!($ty::parse(emitted), Ok(*value));
            assert!($ty::parse(&emitted[..len - 1]).is_err());
            assert_eq!(value.emit(&mut vec![0; len - 1]), Err(EmitError::BufferTooSmall { needed: len }));
            let _ = format!("{value:?}");
            let text: fn(&$ty<'_>) -> String = $text;
            assert!(!text(value).is_empty());
        }
    };
}
alone!(transport_alone, Transport, |transport| transport.kind().to_string());
alone!(policy_alone, Policy, |policy| policy.to_string());
alone!(element_alone, PoolElementParam, |element| format!("{}, for {}", element.id, element.lifetime));

/// An error points into the bytes, and can be told.
fn refused(error: ParseError<'_>, bytes: &[u8]) {
    assert!(error.item.is_empty() || is_within(error.item, bytes));
    let _ = format!("{error} {error:?}");
}

fn is_within(item: &[u8], bytes: &[u8]) -> bool {
    let (item, bytes) = (item.as_ptr_range(), bytes.as_ptr_range());
    bytes.start <= item.start && item.end <= bytes.end
}
