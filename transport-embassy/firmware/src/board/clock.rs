//! embassy's clock on the MPS2: a counter of microseconds for the present, a timer for the next deadline, no ticks in
//! between. Counted ticks would be lost whenever the host is busy.

use core::cell::{Cell, RefCell};
use core::ptr::{read_volatile, write_volatile};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_queue_utils::Queue;

/// CMSDK APB timer 0, and its registers.
const TIMER: usize = 0x4000_0000;
const CONTROL: usize = TIMER;
const VALUE: usize = TIMER + 4;
const RELOAD: usize = TIMER + 8;
const CLEAR: usize = TIMER + 12;
const RUN_AND_INTERRUPT: u32 = 0b1001;
/// The free-running counter of the FPGA, and what divides its clock.
const COUNTER: usize = 0x4002_8018;
const PRESCALE: usize = 0x4002_801c;
const CLOCK_MHZ: u32 = 25;
/// The timer cannot be set further ahead, and the counter has to be looked at before it has gone round twice.
const LONGEST_SLEEP_US: u64 = 60_000_000;

fn read(register: usize) -> u32 {
    // SAFETY: only called with the registers above, whose reading has no effect.
    unsafe { read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: only called with the registers above, which touch no memory.
    unsafe { write_volatile(register as *mut u32, value) }
}

struct Clock {
    /// The last time that was told: its upper half counts the counter's rounds.
    last: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    last: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Clock {
    fn present(&self, cs: CriticalSection<'_>) -> u64 {
        let last = self.last.borrow(cs);
        let mut now = (last.get() & !u64::from(u32::MAX)) | u64::from(read(COUNTER));
        if now < last.get() {
            now += 1 << 32;
        }
        last.set(now);
        now
    }

    /// Wakes who is due, and sets the timer for the next.
    fn next(&self, cs: CriticalSection<'_>) {
        let now = self.present(cs);
        let next = self.queue.borrow_ref_mut(cs).next_expiration(now);
        let micros = next.saturating_sub(now).clamp(1, LONGEST_SLEEP_US);
        let ticks = micros as u32 * CLOCK_MHZ;
        write(CONTROL, 0);
        write(CLEAR, 1);
        write(RELOAD, ticks);
        write(VALUE, ticks);
        write(CONTROL, RUN_AND_INTERRUPT);
    }
}

impl embassy_time_driver::Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.present(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            if self.queue.borrow_ref_mut(cs).schedule_wake(at, waker) {
                self.next(cs);
            }
        });
    }
}

/// Starts the counter. Its interrupt has to be enabled afterwards.
pub(super) fn start() {
    write(PRESCALE, CLOCK_MHZ - 1);
    write(COUNTER, 0);
    critical_section::with(|cs| CLOCK.next(cs));
}

pub(super) fn on_interrupt() {
    critical_section::with(|cs| CLOCK.next(cs));
}
