//! embassy's executor, which sleeps with WFI. The one that embassy has for Cortex-M sleeps with WFE, and that is no
//! sleep in QEMU: it would take a whole processor of the host.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};

static SOMEBODY_IS_AWAKE: AtomicBool = AtomicBool::new(false);

/// How embassy says that a task was woken.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    SOMEBODY_IS_AWAKE.store(true, Ordering::Release);
}

pub(super) struct Executor(raw::Executor);

impl Executor {
    pub(super) fn new() -> Self {
        Executor(raw::Executor::new(core::ptr::null_mut()))
    }

    pub(super) fn run(&'static mut self, first: impl FnOnce(Spawner)) -> ! {
        let executor = &self.0;
        first(executor.spawner());
        loop {
            // SAFETY: it is polled here only, never from an interrupt or from one of its tasks.
            unsafe { executor.poll() };
            // An interrupt that comes from here on is not served yet, but ends WFI all the same.
            cortex_m::interrupt::disable();
            if !SOMEBODY_IS_AWAKE.swap(false, Ordering::AcqRel) {
                cortex_m::asm::wfi();
            }
            // SAFETY: they were enabled before.
            unsafe { cortex_m::interrupt::enable() };
        }
    }
}
