//! With rsplib, the reference implementation, over kernel SCTP: each on both sides of every conversation.
//!
//! What the other side says decides, and what Wireshark makes of the bytes. One test is one boot of the lab, with some
//! cases in it.

mod baseline;
mod cast;
mod dump;
mod keep_alive;
mod peers;
mod registrar;
mod takeover;
