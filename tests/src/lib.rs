//! What the tests share.

pub mod documents;
pub mod hostile;
pub mod hosts;
pub mod lab;
pub mod rig;
pub mod scene;
pub mod sim;
pub mod tshark;
