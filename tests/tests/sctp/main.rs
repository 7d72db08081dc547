//! Kernel SCTP, among our own programs, in the lab.
//!
//! One test is one boot of the lab, with some cases in it. Without the lab they are skipped, unless `RSERPOOL_REQUIRE` is
//! set.

mod announcements;
mod association;
mod cast;
mod links;
mod load;
mod peers;
mod pool;
mod restart;
mod send_failure;
