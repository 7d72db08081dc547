//! The Ethernet controller LAN9118 (SMSC LAN911x), with interrupts. Only QEMU's has been seen by this driver.

use core::ptr::{read_volatile, write_volatile};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;

const BASE: usize = 0x4020_0000;

/// Registers, by their distance from [`BASE`].
mod reg {
    pub(super) const RX_DATA: usize = 0x00;
    pub(super) const TX_DATA: usize = 0x20;
    pub(super) const RX_STATUS: usize = 0x40;
    pub(super) const TX_STATUS: usize = 0x48;
    pub(super) const IRQ_CFG: usize = 0x54;
    pub(super) const INT_STS: usize = 0x58;
    pub(super) const INT_EN: usize = 0x5c;
    pub(super) const BYTE_TEST: usize = 0x64;
    pub(super) const FIFO_INT: usize = 0x68;
    pub(super) const RX_CFG: usize = 0x6c;
    pub(super) const TX_CFG: usize = 0x70;
    pub(super) const HW_CFG: usize = 0x74;
    pub(super) const RX_DP_CTL: usize = 0x78;
    pub(super) const RX_FIFO_INF: usize = 0x7c;
    pub(super) const TX_FIFO_INF: usize = 0x80;
    pub(super) const PMT_CTRL: usize = 0x84;
    pub(super) const MAC_COMMAND: usize = 0xa4;
    pub(super) const MAC_DATA: usize = 0xa8;
}

/// Registers behind `MAC_COMMAND`.
mod mac {
    pub(super) const CONTROL: u32 = 1;
    pub(super) const ADDRESS_HIGH: u32 = 2;
    pub(super) const ADDRESS_LOW: u32 = 3;
    pub(super) const MII_ACCESS: u32 = 6;
    pub(super) const MII_DATA: u32 = 7;
}

const BUSY: u32 = 1 << 31;
/// A frame has come.
const RECEIVED: u32 = 1 << 3;
const FRAME: usize = 1514;
/// Room for a frame and its check sequence, in words.
const WORDS: usize = 384;

static WAKER: AtomicWaker = AtomicWaker::new();

fn read(register: usize) -> u32 {
    // SAFETY: only called with the registers above. They touch no memory; the FIFOs belong to the one driver.
    unsafe { read_volatile((BASE + register) as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as for `read`.
    unsafe { write_volatile((BASE + register) as *mut u32, value) }
}

fn wait_while(register: usize, bits: u32) {
    while read(register) & bits != 0 {}
}

fn mac_read(register: u32) -> u32 {
    wait_while(reg::MAC_COMMAND, BUSY);
    write(reg::MAC_COMMAND, BUSY | 1 << 30 | register);
    wait_while(reg::MAC_COMMAND, BUSY);
    read(reg::MAC_DATA)
}

fn mac_write(register: u32, value: u32) {
    wait_while(reg::MAC_COMMAND, BUSY);
    write(reg::MAC_DATA, value);
    write(reg::MAC_COMMAND, BUSY | register);
    wait_while(reg::MAC_COMMAND, BUSY);
}

fn phy_read(register: u32) -> u32 {
    while mac_read(mac::MII_ACCESS) & 1 != 0 {}
    mac_write(mac::MII_ACCESS, 1 << 11 | register << 6 | 1);
    while mac_read(mac::MII_ACCESS) & 1 != 0 {}
    mac_read(mac::MII_DATA) & 0xffff
}

fn phy_write(register: u32, value: u32) {
    while mac_read(mac::MII_ACCESS) & 1 != 0 {}
    mac_write(mac::MII_DATA, value);
    mac_write(mac::MII_ACCESS, 1 << 11 | register << 6 | 3);
    while mac_read(mac::MII_ACCESS) & 1 != 0 {}
}

/// Masks the chip's interrupt until the driver has found its queue empty.
pub(super) fn on_interrupt() {
    write(reg::INT_EN, 0);
    write(reg::INT_STS, u32::MAX);
    WAKER.wake();
}

pub(super) struct Lan9118 {
    address: [u8; 6],
    received: [u32; WORDS],
    to_send: [u32; WORDS],
}

impl Lan9118 {
    /// Resets the chip and starts it. There must be one driver only.
    pub(super) fn start(address: Option<[u8; 6]>) -> Self {
        const AWAKE: u32 = 1;
        while read(reg::PMT_CTRL) & AWAKE == 0 {}
        if read(reg::BYTE_TEST) != 0x8765_4321 {
            panic!("there is no LAN9118");
        }
        write(reg::HW_CFG, 1);
        wait_while(reg::HW_CFG, 1);
        // 5 KiB of the memory for frames to be sent; bit 20 "must be one".
        write(reg::HW_CFG, 1 << 20 | 5 << 16);
        write(reg::INT_EN, 0);
        write(reg::INT_STS, u32::MAX);
        // Auto-negotiation.
        phy_write(0, 0x1200);
        if let Some([a, b, c, d, e, f]) = address {
            mac_write(mac::ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]));
            mac_write(mac::ADDRESS_HIGH, u32::from_le_bytes([e, f, 0, 0]));
        }
        let [a, b, c, d] = mac_read(mac::ADDRESS_LOW).to_le_bytes();
        let [e, f, ..] = mac_read(mac::ADDRESS_HIGH).to_le_bytes();
        // An interrupt with the first frame.
        write(reg::FIFO_INT, 0x4800_0000);
        write(reg::RX_CFG, 0);
        write(reg::TX_CFG, 1 << 2 | 1 << 1);
        // Receive, send, full duplex, and all multicast: without that, joining a group brings nothing.
        mac_write(mac::CONTROL, 1 << 2 | 1 << 3 | 1 << 20 | 1 << 19);
        write(reg::IRQ_CFG, 1 << 8 | 1 << 4 | 1);
        write(reg::INT_EN, RECEIVED);
        Lan9118 { address: [a, b, c, d, e, f], received: [0; WORDS], to_send: [0; WORDS] }
    }

    /// The next good frame, now in `received`: its length.
    fn fetch(&mut self) -> Option<usize> {
        while (read(reg::RX_FIFO_INF) >> 16) & 0xff != 0 {
            let status = read(reg::RX_STATUS);
            let len = (status as usize >> 16) & 0x3fff;
            let words = len.div_ceil(4);
            let is_bad = status & 1 << 15 != 0 || len < 18;
            match self.received.get_mut(..words) {
                Some(frame) if !is_bad => {
                    for word in frame {
                        *word = read(reg::RX_DATA);
                    }
                    return Some(len - 4); // without the check sequence
                }
                _ if words >= 4 => {
                    // Skips the frame.
                    write(reg::RX_DP_CTL, BUSY);
                    wait_while(reg::RX_DP_CTL, BUSY);
                }
                _ => {
                    for _ in 0..words {
                        read(reg::RX_DATA);
                    }
                }
            }
        }
        None
    }

    fn can_send(&self) -> bool {
        let fifo = read(reg::TX_FIFO_INF);
        // Reports of what was sent would stop the chip if nobody took them.
        for _ in 0..(fifo >> 16) & 0xff {
            read(reg::TX_STATUS);
        }
        (fifo & 0xffff) as usize >= FRAME + 16
    }
}

/// The first `len` bytes of these words.
fn bytes(words: &mut [u32; WORDS], len: usize) -> &mut [u8] {
    let len = len.min(WORDS * 4);
    // SAFETY: they are ours, and any words are bytes.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) }
}

pub(super) struct Received<'a> {
    frame: &'a mut [u32; WORDS],
    len: usize,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, use_it: F) -> R {
        use_it(bytes(self.frame, self.len))
    }
}

pub(super) struct Sender<'a>(&'a mut [u32; WORDS]);

impl TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let result = fill(bytes(self.0, len));
        let size = len as u32;
        write(reg::TX_DATA, 1 << 13 | 1 << 12 | size);
        write(reg::TX_DATA, size << 16 | size);
        for word in self.0.iter().take(len.div_ceil(4)) {
            write(reg::TX_DATA, *word);
        }
        result
    }
}

impl Driver for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Sender<'_>)> {
        WAKER.register(cx.waker());
        if !self.can_send() {
            cx.waker().wake_by_ref();
            return None;
        }
        let mut len = self.fetch();
        if len.is_none() {
            write(reg::INT_EN, RECEIVED);
            // One that came just before would raise no interrupt.
            len = self.fetch();
        }
        Some((Received { frame: &mut self.received, len: len? }, Sender(&mut self.to_send)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Sender<'_>> {
        WAKER.register(cx.waker());
        if self.can_send() {
            return Some(Sender(&mut self.to_send));
        }
        cx.waker().wake_by_ref();
        None
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        const LINK: u32 = 1 << 2;
        WAKER.register(cx.waker());
        if phy_read(1) & LINK != 0 { LinkState::Up } else { LinkState::Down }
    }

    /// No `max_burst_size`: smoltcp would never offer a larger TCP window than that many frames.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}
