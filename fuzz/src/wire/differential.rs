//! Our parser against the naive reader.

use rserpool_core::Ppid;
use rserpool_core::wire::{MAX_REPORTS, ParseErrorKind, Parsed};

use super::message::Message;
use super::naive::{self, Found};

/// What is_known says in core, from RFC 5354, 3: IPv4 Address to Opaque Transport.
const KNOWN: std::ops::RangeInclusive<u16> = 0x01..=0x10;

pub fn check(ppid: Ppid, bytes: &[u8]) {
    let naive = naive::items(ppid, bytes);
    match (Message::parse(ppid, bytes), naive) {
        (Ok(Parsed { message, reports }), Ok(found)) => {
            let emitted = message.bytes().expect("what came in a message fits into one");
            let again = naive::items(ppid, &emitted).expect("what we send is well-formed");
            assert_eq!(known(&found), known(&again), "the same parameters, but for those that are skipped");
            // RFC 5354, 3: what is to be skipped and reported, and no more of it than is told.
            let unknown = found.iter().filter(|item| !item.is_cause && item.ty & 0xc000 == 0xc000);
            let wanted: Vec<&[u8]> =
                unknown.map(|item| &bytes[item.at..item.at + item.whole]).take(MAX_REPORTS).collect();
            assert_eq!(reports.as_slice(), wanted, "what was skipped and is reported");
        }
        (Ok(_), Err(at)) => panic!("accepted, but an item at {at} has no possible length"),
        (Err(error), Ok(found)) => {
            let is_there = |ty: u16| found.iter().any(|item| item.ty == ty && !item.is_cause);
            match error.kind {
                ParseErrorKind::Truncated | ParseErrorKind::TrailingBytes | ParseErrorKind::ParameterLength => {
                    panic!("{error}, but all lengths are possible")
                }
                ParseErrorKind::UnknownParameter { parameter_type: ty, report } => {
                    assert!(is_there(ty) && !KNOWN.contains(&ty) && ty & 0x8000 == 0);
                    assert_eq!(report, ty & 0x4000 != 0);
                }
                ParseErrorKind::Misplaced(ty) => assert!(is_there(ty) && KNOWN.contains(&ty)),
                _ => {}
            }
        }
        (Err(_), Err(_)) => {}
    }
}

/// Depth, type and length of each parameter that is not skipped.
fn known(found: &[Found]) -> Vec<(usize, u16, Option<usize>)> {
    let read = found.iter().filter(|item| item.is_cause || KNOWN.contains(&item.ty));
    read.map(|item| (item.depth, item.ty, if item.is_cause { cause_length(item) } else { item.length })).collect()
}

/// RFC 5354, 3.12.1 to 3.12.11: these causes carry nothing, and what comes with them is lost.
fn cause_length(cause: &Found) -> Option<usize> {
    match cause.ty {
        0x0 | 0x4 | 0x6 | 0x8..=0xa => None,
        _ => cause.length,
    }
}
