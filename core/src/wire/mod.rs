//! Bytes and messages: RFC 5354, RFC 5352 section 2, RFC 5353 section 2.
//!
//! A message is parsed into a view that borrows from its bytes and is emitted into the caller's slice. Every length
//! is consumed exactly; lists are checked once, when they are parsed, and iterated without errors afterwards.
//!
//! ```
//! use rserpool_core::wire::{AsapMessage, PoolHandle, asap::HandleResolution};
//!
//! let request = AsapMessage::from(HandleResolution::new(PoolHandle::new(b"echo").unwrap()));
//! let mut buf = [0; 64];
//! let bytes = request.emit(&mut buf).unwrap();
//! assert_eq!(bytes, [5, 0, 0, 12, 0, 9, 0, 8, b'e', b'c', b'h', b'o']);
//! assert_eq!(AsapMessage::parse(bytes).unwrap().message, request);
//! ```
//!
//! What is strict and what is not: we send padding as zeros and never count it in the length around it (RFC 5354, 2
//! and 4). We accept a length that counts the last padding, padding that is not zero, and a last parameter without
//! its padding, since deployed senders differ there.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod asap;
pub mod cause;
mod checksum;
pub mod enrp;
mod error;
mod list;
mod message;
pub mod param;
mod primitives;
mod reader;
mod stream;
mod writer;

pub use asap::AsapMessage;
pub use checksum::{ChecksumAccumulator, element_sum};
pub use enrp::{EnrpBody, EnrpMessage};
pub use error::{EmitError, ParseError, ParseErrorKind};
pub(crate) use list::Item;
pub use list::List;
pub use message::{MAX_MESSAGE_LEN, Parsed, padded_len};
pub use param::{
    Addresses, Lifetime, OperationError, Policy, PoolElementParam, PoolHandle, RsplibPolicy, ServerInformation,
    Transport, TransportKind, TransportUse,
};
pub(crate) use reader::items;
pub use reader::{MAX_REPORTS, Reports};
pub use stream::{Deframer, FrameError};
pub(crate) use writer::Writer;
