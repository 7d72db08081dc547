#![allow(missing_docs, reason = "tests")]
//! A registrar in steady state allocates nothing, whatever the policy. One test only: others would be counted too.

mod counting;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rserpool_core::wire::asap::{HandleResolution, Registration};
use rserpool_core::wire::{AsapMessage, Lifetime, Policy, PoolElementParam, PoolHandle, Transport, padded_len};
use rserpool_core::{PeId, Ppid, Registrar, RegistrarConfig, RegistrarLimits, ServerId};
use rserpool_std::driver::{Driver, DriverConfig, Listener};

const ELEMENTS: u32 = 20;
const BATCH: usize = 36;

fn policies(load: u32) -> [Policy<'static>; 9] {
    let (weight, degradation) = (1 + load % 5, 1 << 24);
    [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin { weight },
        Policy::Random,
        Policy::WeightedRandom { weight },
        Policy::Priority { priority: weight },
        Policy::LeastUsed { load },
        Policy::LeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsed { load },
    ]
}

fn encode(message: &AsapMessage<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).unwrap();
    bytes
}

/// Sends a batch, and reads as many answers. Allocates nothing.
fn exchange(stream: &mut TcpStream, requests: &[u8], answers: usize, kind: u8) {
    stream.write_all(requests).unwrap();
    let mut buf = [0; 4096];
    for _ in 0..answers {
        stream.read_exact(&mut buf[..4]).unwrap();
        assert_eq!(buf[0], kind);
        let length = padded_len(usize::from(u16::from_be_bytes([buf[2], buf[3]])));
        stream.read_exact(&mut buf[4..length]).unwrap();
        // A refusal is much shorter.
        assert!(kind != 0x06 || length > 60, "{:02x?}", &buf[..length]);
    }
}

#[test]
fn resolutions_do_not_allocate() {
    let config = DriverConfig {
        listeners: vec![Listener::tcp(Ppid::Asap, "127.0.0.1:0".parse().unwrap())],
        ..DriverConfig::default()
    };
    let bound = Driver::bind(config).unwrap();
    let address = bound.local_addresses()[0].1;
    let now = bound.clock().now();
    let machine = Registrar::growable(RegistrarLimits::default(), RegistrarConfig::new(), 1, now);
    let driver = bound.spawn(machine, |_, _, _| ()).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();

    let handles: Vec<String> = (0..policies(0).len()).map(|pool| format!("pool {pool}")).collect();
    let handle = |pool: usize| PoolHandle::new(handles[pool].as_bytes()).unwrap();
    for element in 1..=ELEMENTS {
        for (pool, policy) in policies(element << 20).into_iter().enumerate() {
            let element = PoolElementParam {
                id: PeId(element),
                home: ServerId::NONE,
                lifetime: Lifetime::from_secs(600),
                user_transport: Transport::Tcp(SocketAddr::from(([127, 0, 0, 1], 1024))),
                policy,
                asap_transport: None,
            };
            exchange(&mut stream, &encode(&Registration { pool_handle: handle(pool), element }.into()), 1, 0x03);
        }
    }
    let requests: Vec<u8> = (0..BATCH)
        .flat_map(|at| {
            let pool_handle = handle(at % handles.len());
            encode(&HandleResolution { subscribe: false, pool_handle, wanted_items: Some(3) }.into())
        })
        .collect();

    // Buffers grow to what the load needs.
    for _ in 0..50 {
        exchange(&mut stream, &requests, BATCH, 0x06);
    }
    let before = counting::allocations();
    for _ in 0..10_000usize.div_ceil(BATCH) {
        exchange(&mut stream, &requests, BATCH, 0x06);
    }
    let allocations = counting::allocations() - before;
    // Not per request; a buffer may still grow when answers meet in an unusual way.
    assert!(allocations <= 8, "{allocations} allocations for 10,000 resolutions");

    let stats = driver.stop().unwrap().stats();
    assert!(stats.resolutions >= 10_000 && stats.resolutions_rejected == 0, "{stats:?}");
}
