//! Channels over the loopback interface.

mod common;
mod loopback;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::slice::from_ref;

use common::*;
use loopback::*;
use rserpool_core::Ppid;
use rserpool_std::driver::{Channel, Driver, DriverConfig, GROUP_V4, Interface, StartError, group_v6};

/// Runs the test, or says why it cannot be run here.
fn on_loopback(group: IpAddr, interface: Interface, test: impl Fn(Channel)) {
    if let Some(port) = group_port(group) {
        let mut channel = Channel::new(Ppid::Enrp, SocketAddr::new(group, port));
        channel.interfaces = vec![interface];
        test(channel);
    }
}

fn rig(channels: &[Channel]) -> Rig {
    let config = DriverConfig { channels: channels.to_vec(), ..DriverConfig::default() };
    Rig::start(config, Toy::new(Mode::Report))
}

fn everybody_hears_and_the_source_is_right(channel: Channel) {
    let local = if channel.group.is_ipv4() { "127.0.0.1" } else { "::1" };
    let source_port = free_udp_port(local).unwrap();
    let sender = rig(&[Channel { source_port, ..channel.clone() }]);
    let receiver = rig(&[Channel { send: false, ..channel.clone() }]);
    let stranger = rig(&[Channel { ppid: Ppid::Asap, receive: false, ..channel.clone() }]);
    sender.tell(|toy| toy.multicast(Ppid::Enrp, &message(1, 20)));
    for hearer in [&receiver, &sender] {
        let Seen::Datagram(from, ppid, bytes) = hearer.next() else { panic!("no datagram") };
        assert_eq!((from.port(), ppid, bytes), (source_port, Ppid::Enrp, message(1, 20)));
        assert!(channel.group.is_ipv6() || from.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    // One that only sends hears nothing, and what there is no channel for is lost but not fatal.
    stranger.tell(|toy| toy.multicast(Ppid::Enrp, &message(1, 4)));
    stranger.wait_stats(|stats| stats.datagrams_lost == 1);
    receiver.tell(|toy| toy.multicast(Ppid::Enrp, &message(1, 4)));
    stranger.tell(|toy| toy.multicast(Ppid::Asap, &message(7, 4)));
    let Seen::Datagram(_, ppid, bytes) = receiver.next() else { panic!("no datagram") };
    assert_eq!((ppid, bytes), (Ppid::Enrp, message(7, 4)), "the protocol is the channel's");
    assert_eq!(stranger.so_far(), []);
    sender.wait_stats(|stats| stats.datagrams_out == 1 && stats.datagrams_in == 2);
}

#[test]
fn ipv4() {
    let group = IpAddr::V4(Ipv4Addr::new(239, 0, 0, 50));
    on_loopback(group, Interface::V4(Ipv4Addr::LOCALHOST), everybody_hears_and_the_source_is_right);
}

#[test]
fn ipv6() {
    on_loopback(IpAddr::V6(group_v6(1)), Interface::V6(LO), everybody_hears_and_the_source_is_right);
}

#[test]
fn groups_on_one_port_are_apart() {
    let interface = Interface::V4(Ipv4Addr::LOCALHOST);
    on_loopback(IpAddr::V4(Ipv4Addr::new(239, 0, 0, 51)), interface, |one| {
        let other = Channel { group: SocketAddr::new(IpAddr::V4(GROUP_V4), one.group.port()), ..one.clone() };
        let (hears_one, hears_other) = (rig(from_ref(&one)), rig(from_ref(&other)));
        let both = rig(&[one, other]);
        hears_other.tell(|toy| toy.multicast(Ppid::Enrp, &message(1, 8)));
        for rig in [&hears_other, &both] {
            assert!(matches!(rig.next(), Seen::Datagram(_, Ppid::Enrp, bytes) if bytes == message(1, 8)));
        }
        hears_one.tell(|toy| toy.multicast(Ppid::Enrp, &message(1, 4)));
        assert!(matches!(hears_one.next(), Seen::Datagram(_, Ppid::Enrp, bytes) if bytes == message(1, 4)));
        assert!(matches!(both.next(), Seen::Datagram(_, Ppid::Enrp, bytes) if bytes == message(1, 4)));
    });
}

#[test]
fn unicast_to_the_port_of_a_channel_is_not_received() {
    let v4 = (IpAddr::V4(Ipv4Addr::new(239, 0, 0, 52)), Interface::V4(Ipv4Addr::LOCALHOST), "127.0.0.1");
    let v6 = |scope| (IpAddr::V6(group_v6(scope)), Interface::V6(LO), "::1");
    for (group, interface, local) in [v4, v6(1), v6(2), v6(5)] {
        let port = match free_udp_port(local) {
            Ok(port) => port,
            Err(error) => {
                assert!(std::env::var_os("RSERPOOL_REQUIRE").is_none(), "no {local}: {error}");
                println!("skipped: no {local}: {error}");
                continue;
            }
        };
        let mut channel = Channel::new(Ppid::Asap, SocketAddr::new(group, port));
        channel.interfaces = vec![interface];
        let receiver = rig(from_ref(&channel));
        let stranger = UdpSocket::bind((local, 0)).unwrap();
        stranger.connect((local, port)).unwrap();
        stranger.set_read_timeout(Some(HANG)).unwrap();
        stranger.send(&message(1, 20)).unwrap();
        // The system says that nobody is there.
        let refused = stranger.recv(&mut [0; 1]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{group}");
        assert_eq!(receiver.so_far(), [], "{group}");
    }
}

#[test]
fn what_cannot_be_a_channel_is_refused() {
    let unicast = Channel::new(Ppid::Asap, "127.0.0.1:0".parse().unwrap());
    let mut mixed = Channel::v6(Ppid::Asap, 2);
    mixed.interfaces = vec![Interface::V4(Ipv4Addr::LOCALHOST)];
    for channel in [unicast, mixed] {
        let config = DriverConfig { channels: vec![channel], ..DriverConfig::default() };
        assert!(matches!(Driver::<Toy>::bind(config), Err(StartError::Channel { .. })));
    }
    assert_eq!(group_v6(5).to_string(), "ff05::133");
}
