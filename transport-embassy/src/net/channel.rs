//! Multicast channels: where registrars announce themselves (RFC 5352, 3.6; RFC 5353, 3.1).

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};

use arrayvec::ArrayVec;
use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use rserpool_core::Ppid;

use crate::addr;
use crate::channel::Channel;

const PACKETS: usize = 4;
const BYTES: usize = 512;

/// The memory of a channel's socket: four datagrams of 512 bytes together, each way.
pub struct ChannelBuffers {
    rx: [u8; BYTES],
    tx: [u8; BYTES],
    /// Its empty value is not all zeros: a `static` with it would take flash.
    rx_packets: MaybeUninit<[PacketMetadata; PACKETS]>,
    tx_packets: MaybeUninit<[PacketMetadata; PACKETS]>,
}

impl ChannelBuffers {
    /// Empty memory.
    pub const fn new() -> Self {
        ChannelBuffers {
            rx: [0; BYTES],
            tx: [0; BYTES],
            rx_packets: MaybeUninit::uninit(),
            tx_packets: MaybeUninit::uninit(),
        }
    }
}

impl Default for ChannelBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// ASAP's and ENRP's.
pub(super) struct Channels<'d>(ArrayVec<(Channel, UdpSocket<'d>), 2>);

impl<'d> Channels<'d> {
    pub(super) const fn new() -> Self {
        Channels(ArrayVec::new_const())
    }

    pub(super) fn open(&mut self, stack: Stack<'d>, channel: Channel, buffers: &'d mut ChannelBuffers) {
        let ChannelBuffers { rx, tx, rx_packets, tx_packets } = buffers;
        let rx_packets = rx_packets.write([PacketMetadata::EMPTY; PACKETS]);
        let tx_packets = tx_packets.write([PacketMetadata::EMPTY; PACKETS]);
        let mut socket = UdpSocket::new(stack, rx_packets, rx, tx_packets, tx);
        socket.set_hop_limit(Some(channel.hops.max(1)));
        if socket.bind(channel.group.port()).is_err() || self.0.try_push((channel, socket)).is_err() {
            warn!("a channel cannot be used");
        }
    }

    pub(super) fn join(&mut self, stack: Stack<'d>) {
        for (channel, _) in &self.0 {
            let Some(group) = addr::ip(channel.group.ip()) else { continue };
            // Routers and switches are told anew who has another address.
            let _ = stack.leave_multicast_group(group);
            if stack.join_multicast_group(group).is_err() {
                warn!("a multicast group cannot be joined");
            }
        }
    }

    pub(super) fn receive(&mut self, waker: &Waker, buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)> {
        let mut cx = Context::from_waker(waker);
        for (channel, socket) in &mut self.0 {
            while let Poll::Ready(received) = socket.poll_recv_from(buf, &mut cx) {
                // One that does not fit is none of ours.
                let Ok((len, meta)) = received else { continue };
                if !channel.is_to(meta.local_address) {
                    continue;
                }
                return Some((channel.ppid, addr::from_stack(meta.endpoint), len));
            }
        }
        None
    }

    /// What cannot be sent now is left out: another announcement follows.
    pub(super) fn send(&mut self, ppid: Ppid, message: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        for (channel, socket) in self.0.iter().filter(|(channel, _)| channel.ppid == ppid) {
            let Some(group) = addr::to_stack(channel.group) else { continue };
            if !matches!(socket.poll_send_to(message, group, &mut cx), Poll::Ready(Ok(()))) {
                debug!("an announcement was not sent");
            }
        }
    }
}
