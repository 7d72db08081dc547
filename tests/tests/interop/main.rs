//! With rsplib, the reference implementation, over kernel SCTP: each on both sides of every conversation.
//!
//! What the other side says decides, and what Wireshark makes of the bytes.

mod baseline;
