//! What the tests share.

pub mod rig;
pub mod scene;
pub mod tshark;
