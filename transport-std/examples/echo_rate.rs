//! How many messages a driver answers per second over loopback.
//!
//! ```text
//! cargo run --release --example echo_rate -- [connections] [outstanding] [seconds]
//! ```
//!
//! Requests have 12 bytes, answers 100. The server is a driver; the clients are another driver in its own thread, so
//! on two processors both sides compete for the time.

use std::net::SocketAddr;
use std::time::{Duration, Instant as StdInstant};

use rserpool_core::{AssocId, Destination, DialId, Input, Instant, Link, Machine, Output, Ppid, RecvError, Transmit};
use rserpool_std::driver::{Driver, DriverConfig, Listener};

const REQUEST: [u8; 12] = [5, 0, 0, 12, 0, 9, 0, 8, b'e', b'c', b'h', b'o'];

/// Answers every message with as many messages of a fixed content as asked.
struct Node {
    content: Vec<u8>,
    /// Whom to send to, and how many.
    due: Vec<(AssocId, u32)>,
    at_start: u32,
    dials: Vec<DialId>,
    to: Vec<SocketAddr>,
    answered: u64,
}

impl Machine for Node {
    type Event = ();

    fn handle(&mut self, _now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        match input {
            Input::Message { assoc, .. } => {
                self.answered += 1;
                self.due.push((assoc, 1));
            }
            Input::Connected { assoc, .. } if self.at_start > 0 => self.due.push((assoc, self.at_start)),
            _ => {}
        }
        Ok(())
    }

    fn poll<'b>(&'b mut self, _now: Instant, buf: &'b mut [u8]) -> Output<'b, ()> {
        if let Some(dial) = self.dials.pop() {
            return Output::Connect { dial, link: Link::Tcp, ppid: Ppid::Asap, to: &self.to };
        }
        let Some((assoc, count)) = self.due.last_mut() else { return Output::Wait(None) };
        let to = Destination::Assoc(*assoc);
        *count -= 1;
        if *count == 0 {
            self.due.pop();
        }
        let bytes = &mut buf[..self.content.len()];
        bytes.copy_from_slice(&self.content);
        Output::Transmit(Transmit { to, ppid: Ppid::Asap, bytes })
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let mut next = |default| args.next().unwrap_or(Ok(default));
    let (connections, outstanding, seconds) = (next(4)?, next(32)?, next(5)?);

    let listeners = vec![Listener::tcp(Ppid::Asap, "127.0.0.1:0".parse()?)];
    let bound = Driver::bind(DriverConfig { listeners, ..DriverConfig::default() })?;
    let address = bound.local_addresses()[0].1;
    let mut content = vec![0; 100];
    content[..4].copy_from_slice(&[6, 0, 0, 100]);
    let node = Node { content, due: Vec::new(), at_start: 0, dials: Vec::new(), to: Vec::new(), answered: 0 };
    let server = bound.spawn(node, |(), _, _| {})?;

    let node = Node {
        content: REQUEST.to_vec(),
        due: Vec::new(),
        at_start: outstanding,
        dials: (0..connections).map(DialId).collect(),
        to: vec![address],
        answered: 0,
    };
    let clients = Driver::bind(DriverConfig::default())?.spawn(node, |(), _, _| {})?;

    let (server_handle, client_handle) = (server.handle(), clients.handle());
    while client_handle.stats().dialled < u64::from(connections) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (start, before, stats) = (StdInstant::now(), client_handle.with(|n, _| n.answered)?, server_handle.stats());
    std::thread::sleep(Duration::from_secs(u64::from(seconds)));
    let answered = client_handle.with(|node, _| node.answered)? - before;
    let elapsed = start.elapsed().as_secs_f64();
    let after = server_handle.stats();
    let turns = after.turns - stats.turns;
    println!(
        "{connections} connections x {outstanding} outstanding: {:.0} answers/s, {:.1} requests per turn of the server",
        answered as f64 / elapsed,
        (after.messages_in - stats.messages_in) as f64 / turns.max(1) as f64,
    );
    clients.stop()?;
    server.stop()?;
    Ok(())
}
