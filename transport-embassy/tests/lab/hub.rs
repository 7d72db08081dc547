//! An Ethernet hub: what comes in at one port goes out at all others, unless it is lost.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

#[derive(Clone)]
pub struct Hub(Rc<RefCell<Inner>>);

struct Inner {
    ports: BTreeMap<u8, Port>,
    loss_percent: u64,
    rng: u64,
    pub frames: usize,
}

struct Port {
    link: bool,
    queue: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

impl Hub {
    pub fn new() -> Self {
        Hub(Rc::new(RefCell::new(Inner { ports: BTreeMap::new(), loss_percent: 0, rng: 1, frames: 0 })))
    }

    pub fn plug(&self, number: u8) -> Nic {
        let port = Port { link: true, queue: VecDeque::new(), waker: None };
        assert!(self.0.borrow_mut().ports.insert(number, port).is_none(), "the port is taken");
        Nic { hub: self.clone(), number }
    }

    /// Pulls the cable, or plugs it in again.
    pub fn set_link(&self, number: u8, link: bool) {
        let mut hub = self.0.borrow_mut();
        let port = hub.ports.get_mut(&number).unwrap();
        port.link = link;
        port.queue.clear();
        if let Some(waker) = port.waker.take() {
            waker.wake();
        }
    }

    /// Loses frames at random, the same ones each time.
    pub fn set_loss(&self, percent: u64) {
        self.0.borrow_mut().loss_percent = percent;
    }

    /// How many frames there have been.
    pub fn frames(&self) -> usize {
        self.0.borrow().frames
    }
}

impl Inner {
    fn send(&mut self, from: u8, frame: &[u8]) {
        self.frames += 1;
        if !self.ports[&from].link {
            return;
        }
        for (number, port) in &mut self.ports {
            self.rng ^= self.rng << 13;
            self.rng ^= self.rng >> 7;
            self.rng ^= self.rng << 17;
            if *number == from || !port.link || self.rng % 100 < self.loss_percent {
                continue;
            }
            port.queue.push_back(frame.to_vec());
            if let Some(waker) = port.waker.take() {
                waker.wake();
            }
        }
    }
}

pub struct Nic {
    hub: Hub,
    number: u8,
}

impl Driver for Nic {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Rx, Tx)> {
        let mut hub = self.hub.0.borrow_mut();
        let port = hub.ports.get_mut(&self.number)?;
        port.waker = Some(cx.waker().clone());
        let frame = port.queue.pop_front()?;
        Some((Rx(frame), Tx { hub: self.hub.clone(), number: self.number }))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Tx> {
        Some(Tx { hub: self.hub.clone(), number: self.number })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        if self.hub.0.borrow().ports[&self.number].link { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([2, 0, 0, 0, 0, self.number])
    }
}

pub struct Rx(Vec<u8>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, read: F) -> R {
        read(&mut self.0)
    }
}

pub struct Tx {
    hub: Hub,
    number: u8,
}

impl TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.hub.0.borrow_mut().send(self.number, &frame);
        result
    }
}
