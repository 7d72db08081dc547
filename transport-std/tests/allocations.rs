//! The driver does not allocate per message.

mod common;
mod counting;

use std::io::Write;

use common::*;
use rserpool_std::driver::DriverConfig;

#[test]
fn nothing_is_allocated_per_message() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Answer(100)));
    let mut streams = [client(server.address()), client(server.address())];
    let mut answers = vec![0; 3200];
    let requests = message(5, 12).repeat(32);
    let mut round = || {
        for stream in &mut streams {
            // In two pieces, the cut within a message.
            stream.write_all(&requests[..100]).unwrap();
            stream.write_all(&requests[100..]).unwrap();
        }
        for stream in &mut streams {
            std::io::Read::read_exact(stream, &mut answers).unwrap();
        }
    };
    (0..100).for_each(|_| round());
    let before = counting::allocations();
    (0..1000).for_each(|_| round());
    let allocations = counting::allocations() - before;
    assert!(allocations < 100, "{allocations} allocations for 64,000 messages");
}
