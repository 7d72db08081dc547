//! With rsplib, the reference implementation, over kernel SCTP: each on both sides of every conversation.
//!
//! What the other side says decides, and what Wireshark makes of the bytes. One test is one boot of the lab, with some
//! cases in it.

mod audit;
mod baseline;
mod cast;
mod checksum;
mod discovery;
mod dump;
mod errors;
mod keep_alive;
mod multihomed;
mod peers;
mod raw;
mod registrar;
mod soak;
mod takeover;
mod user;
