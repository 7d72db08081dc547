//! What the tests share.

pub mod hostile;
pub mod lab;
pub mod rig;
pub mod scene;
pub mod sim;
pub mod tshark;
