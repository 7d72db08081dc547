//! What the fuzz targets do: each is a function here, so that its seeds can be tried without libFuzzer, too (`cargo
//! test`).
//!
//! `wire` has the laws of messages, `machine` those of the machines.

#![forbid(unsafe_code)]

mod machine;
mod wire;

use bumpalo::Bump;
use rserpool_core::Ppid;
use rserpool_core::wire::MAX_MESSAGE_LEN;

use crate::wire::generate::Source;
use crate::wire::{differential as differ, frames, laws};

/// Any bytes as an ASAP message: what is accepted is emitted and parsed back to the same.
pub fn parse_asap(data: &[u8]) {
    laws::message(Ppid::Asap, data);
}

/// The same for ENRP.
pub fn parse_enrp(data: &[u8]) {
    laws::message(Ppid::Enrp, data);
}

/// Any bytes as parameters: those that are read alone, and all of them in each message that holds such.
pub fn parse_param(data: &[u8]) {
    laws::parameter(data);
    let handle = [0, 9, 0, 5, b'p', 0, 0, 0];
    let zeros = [0; 12];
    let messages: [(Ppid, u8, &[u8]); 12] = [
        (Ppid::Asap, 0x01, &handle),
        (Ppid::Asap, 0x02, &handle),
        (Ppid::Asap, 0x05, &[]),
        (Ppid::Asap, 0x06, &handle),
        (Ppid::Asap, 0x07, &zeros[..4]),
        (Ppid::Asap, 0x0a, &zeros[..4]),
        (Ppid::Asap, 0x0b, &[]),
        (Ppid::Asap, 0x0e, &[]),
        (Ppid::Enrp, 0x01, &zeros[..8]),
        (Ppid::Enrp, 0x03, &zeros[..8]),
        (Ppid::Enrp, 0x04, &zeros),
        (Ppid::Enrp, 0x06, &zeros[..8]),
    ];
    for (ppid, ty, before) in messages {
        let mut message = [&[ty, 0, 0, 0], before, data].concat();
        let Ok(length) = u16::try_from(message.len()) else { return };
        message[2..4].copy_from_slice(&length.to_be_bytes());
        laws::message(ppid, &message);
    }
}

/// Any message: it is emitted, in the length that was predicted, and parsed back to the same.
pub fn roundtrip(data: &[u8]) {
    let bump = Bump::new();
    let mut source = Source::new(data, &bump);
    laws::roundtrip(&source.message());
    laws::transport_alone(&source.transport(), usize::MAX);
    laws::policy_alone(&source.policy(), usize::MAX);
    laws::element_alone(&source.element(), usize::MAX);
}

/// Any stream in any pieces: the same messages.
pub fn deframer(data: &[u8]) {
    let Some((&[high, low, ref pieces @ ..], stream)) = data.split_first_chunk::<6>() else { return };
    let limit = usize::from(u16::from_be_bytes([high, low]));
    frames::check(if limit < 4 { MAX_MESSAGE_LEN } else { limit }, pieces, stream);
}

/// Any bytes: our parser and a naive reader of types and lengths find the same.
pub fn differential(data: &[u8]) {
    differ::check(Ppid::Asap, data);
    differ::check(Ppid::Enrp, data);
}

/// Any happenings to a registrar: it keeps the rules of `Machine`, and lists whom it must.
pub fn registrar_ops(data: &[u8]) {
    machine::registrar::ops(data);
}

/// Any happenings to a pool element, and calls of it: it keeps the rules, and speaks for its own elements only.
pub fn element_ops(data: &[u8]) {
    machine::element::ops(data);
}

/// The same for a pool user: it hands out what it was told, and nothing that has failed.
pub fn user_ops(data: &[u8]) {
    machine::user::ops(data);
}

/// Two registrars, a pool element and a network that does anything: when it is sound again, so are they.
pub fn pair_ops(data: &[u8]) {
    machine::pair::ops(data);
}
