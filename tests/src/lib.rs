//! What the tests share.

pub mod scene;
pub mod tshark;
