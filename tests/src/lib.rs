//! What the tests share.

pub mod tshark;
