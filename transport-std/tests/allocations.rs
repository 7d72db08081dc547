//! The driver does not allocate per message.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use rserpool_std::driver::DriverConfig;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..1000).for_each(|_| round());
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(allocations < 100, "{allocations} allocations for 64,000 messages");
}
