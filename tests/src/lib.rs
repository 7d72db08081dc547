//! What the tests share.

pub mod lab;
pub mod scene;
pub mod tshark;
