//! What the tests share.

pub mod scene;
pub mod sim;
pub mod tshark;
