//! The memory of a driver, and what it shares with the application.

use core::cell::RefCell;
use core::mem::MaybeUninit;

use embassy_sync::waitqueue::{MultiWakerRegistration, WakerRegistration};

use crate::engine::{Dial, Slot};
use crate::events::Events;
use crate::framed::Inbox;
use crate::role::Role;

/// How many tasks can wait for something at once without waking each other in vain.
const WAITERS: usize = 4;

/// The memory of a machine's driver, lent to [`new`](super::new). In a `static` it lands in `.bss`.
///
/// * `SOCKETS`: how many connections there can be. A pool element or a pool user needs one to its registrar, and one
///   more to look for another registrar meanwhile; a registrar needs one for each peer.
/// * `MESSAGE`: bytes of the longest message, in either direction; a peer that sends a longer one is disconnected. A
///   registration takes about 100 bytes, each element of an answer about 60. For a registrar,
///   [`RegistrarConfig::max_items`](rserpool_core::RegistrarConfig::max_items) has to fit.
/// * `RX`, `TX`: bytes of each socket's buffers. `TX` must not be less than `MESSAGE`.
/// * `DIALS`: how many attempts to connect there can be at once. Pool elements and pool users make three; a registrar
///   one for each peer and, after a takeover, four for elements.
pub struct Resources<
    M: Role,
    const SOCKETS: usize,
    const MESSAGE: usize = 512,
    const RX: usize = 512,
    const TX: usize = 512,
    const DIALS: usize = 3,
> {
    pub(super) shared: MaybeUninit<RefCell<Shared<M>>>,
    pub(super) rx: [[u8; RX]; SOCKETS],
    pub(super) tx: [[u8; TX]; SOCKETS],
    pub(super) inboxes: [Inbox<MESSAGE>; SOCKETS],
    pub(super) buf: [u8; MESSAGE],
    pub(super) slots: [Slot; SOCKETS],
    pub(super) dials: [Dial; DIALS],
}

impl<M: Role, const SOCKETS: usize, const MESSAGE: usize, const RX: usize, const TX: usize, const DIALS: usize>
    Resources<M, SOCKETS, MESSAGE, RX, TX, DIALS>
{
    /// Empty memory.
    pub const fn new() -> Self {
        const { assert!(TX >= MESSAGE, "a message has to fit into the send buffer") };
        Resources {
            shared: MaybeUninit::uninit(),
            rx: [[0; RX]; SOCKETS],
            tx: [[0; TX]; SOCKETS],
            inboxes: [const { Inbox::new() }; SOCKETS],
            buf: [0; MESSAGE],
            slots: [Slot::FREE; SOCKETS],
            dials: [const { Dial::FREE }; DIALS],
        }
    }
}

impl<M: Role, const SOCKETS: usize, const MESSAGE: usize, const RX: usize, const TX: usize, const DIALS: usize> Default
    for Resources<M, SOCKETS, MESSAGE, RX, TX, DIALS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// What the driver's task and the application's tasks share. Nobody keeps it borrowed while waiting.
pub(super) struct Shared<M: Role> {
    pub(super) machine: M,
    pub(super) events: Events<M>,
    /// The driver's task.
    pub(super) driver: WakerRegistration,
    /// Tasks that wait for something to happen.
    pub(super) waiters: MultiWakerRegistration<WAITERS>,
}

impl<M: Role> Shared<M> {
    pub(super) const fn new(machine: M) -> Self {
        Shared {
            machine,
            events: Events::new(),
            driver: WakerRegistration::new(),
            waiters: MultiWakerRegistration::new(),
        }
    }
}
