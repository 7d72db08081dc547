//! A second reader, deliberately naive: it goes by types and lengths, and knows of no values.

use rserpool_core::Ppid;

use super::layout::{OPERATION_ERROR, be16, fields_len, header_len};

/// A parameter or an error cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub depth: usize,
    pub ty: u16,
    /// Of what has no items in it; what has some may count their last padding or not.
    pub length: Option<usize>,
    pub is_cause: bool,
    /// Where it begins.
    pub at: usize,
    pub whole: usize,
}

/// The items of a message in the order of their beginnings.
///
/// # Errors
/// Where a length cannot be: below its header's, or beyond what contains it. Also where a message ends before its first
/// parameter can begin.
pub fn items(ppid: Ppid, bytes: &[u8]) -> Result<Vec<Found>, usize> {
    if bytes.len() < 4 {
        return Err(0);
    }
    let length = be16(bytes, 2);
    let header = header_len(ppid, bytes[0]);
    // RFC 5354, 4: the padding of the message may be there or not.
    if length < header || length > bytes.len() || bytes.len() > length.next_multiple_of(4) {
        return Err(0);
    }
    let mut found = Vec::new();
    read(&bytes[..length], header, 0, false, &mut found)?;
    Ok(found)
}

fn read(bytes: &[u8], mut at: usize, depth: usize, is_cause: bool, found: &mut Vec<Found>) -> Result<(), usize> {
    while at < bytes.len() {
        if bytes.len() - at < 4 {
            return Err(at);
        }
        let (ty, length) = (be16(bytes, at) as u16, be16(bytes, at + 2));
        if length < 4 || at + length > bytes.len() {
            return Err(at);
        }
        let fields = if is_cause { None } else { fields_len(ty) };
        let end = at + length;
        let leaf = fields.is_none().then_some(length);
        found.push(Found { depth, ty, length: leaf, is_cause, at, whole: length });
        if let Some(fields) = fields {
            let first = at + 4 + fields;
            if first > end {
                return Err(at);
            }
            read(&bytes[..end], first, depth + 1, ty == OPERATION_ERROR, found)?;
        }
        at = end.next_multiple_of(4);
        // The message may begin anywhere in memory; its items are aligned to it.
    }
    Ok(())
}
