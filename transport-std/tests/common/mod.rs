//! A small machine and what the tests drive it with.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate and uses a part")]

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant as StdInstant};

use rserpool_core::{AssocId, Destination, DialId, Input, Instant, Link, Machine, Output, Ppid, RecvError, Transmit};
use rserpool_std::driver::{Bound, Driver, DriverConfig, DriverHandle, DriverStats, Listener};

/// Far longer than anything here takes; it only turns a hang into a failure.
pub const HANG: Duration = Duration::from_secs(60);

/// What happened to a [`Toy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Connected(AssocId, Option<DialId>, SocketAddr),
    ConnectFailed(DialId),
    Message(AssocId, Ppid, Vec<u8>),
    Datagram(SocketAddr, Ppid, Vec<u8>),
    Closed(AssocId),
    Timeout,
}

/// What a [`Toy`] is to do with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Tell the observer.
    Report,
    /// Send them back.
    Echo,
    /// Answer with a message of this length.
    Answer(u16),
}

#[derive(Debug)]
enum Wish {
    Send(AssocId, Vec<u8>),
    Answer(AssocId, u16),
    Multicast(Ppid, Vec<u8>),
    Connect(DialId, Vec<SocketAddr>),
    Abandon(DialId),
    Disconnect(AssocId),
}

/// A machine that does as it is told.
#[derive(Debug)]
pub struct Toy {
    mode: Mode,
    wishes: VecDeque<Wish>,
    /// Lent to the caller with the last `Connect`.
    to: Vec<SocketAddr>,
    seen: VecDeque<Seen>,
    deadline: Option<Instant>,
    /// Refuse associations.
    pub full: bool,
}

impl Toy {
    pub fn new(mode: Mode) -> Self {
        Toy { mode, wishes: VecDeque::new(), to: Vec::new(), seen: VecDeque::new(), deadline: None, full: false }
    }

    pub fn send(&mut self, assoc: AssocId, message: &[u8]) {
        self.wishes.push_back(Wish::Send(assoc, message.to_vec()));
    }

    pub fn multicast(&mut self, ppid: Ppid, message: &[u8]) {
        self.wishes.push_back(Wish::Multicast(ppid, message.to_vec()));
    }

    pub fn connect(&mut self, dial: DialId, to: &[SocketAddr]) {
        self.wishes.push_back(Wish::Connect(dial, to.to_vec()));
    }

    pub fn abandon(&mut self, dial: DialId) {
        self.wishes.push_back(Wish::Abandon(dial));
    }

    pub fn disconnect(&mut self, assoc: AssocId) {
        self.wishes.push_back(Wish::Disconnect(assoc));
    }

    pub fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(at);
    }
}

impl Machine for Toy {
    type Event = Seen;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        match input {
            Input::Timeout => {
                if self.deadline.take_if(|at| *at <= now).is_some() {
                    self.seen.push_back(Seen::Timeout);
                }
            }
            Input::Message { assoc, ppid, bytes } => match self.mode {
                Mode::Report => self.seen.push_back(Seen::Message(assoc, ppid, bytes.to_vec())),
                Mode::Echo => self.send(assoc, bytes),
                Mode::Answer(len) => self.wishes.push_back(Wish::Answer(assoc, len)),
            },
            Input::Datagram { from, ppid, bytes } => self.seen.push_back(Seen::Datagram(from, ppid, bytes.to_vec())),
            Input::Connected { .. } if self.full => return Err(RecvError::Full),
            Input::Connected { assoc, dial, peer, .. } => {
                self.seen.push_back(Seen::Connected(assoc, dial, peer[0]));
            }
            Input::ConnectFailed { dial } => self.seen.push_back(Seen::ConnectFailed(dial)),
            Input::Closed { assoc } => self.seen.push_back(Seen::Closed(assoc)),
            Input::SendFailed { .. } => {}
        }
        Ok(())
    }

    fn poll<'b>(&'b mut self, _now: Instant, buf: &'b mut [u8]) -> Output<'b, Seen> {
        if let Some(seen) = self.seen.pop_front() {
            return Output::Event(seen);
        }
        let transmit = |to, ppid, bytes| Output::Transmit(Transmit { to, ppid, bytes });
        match self.wishes.pop_front() {
            Some(Wish::Send(assoc, message)) => {
                buf[..message.len()].copy_from_slice(&message);
                transmit(Destination::Assoc(assoc), Ppid::Asap, &buf[..message.len()])
            }
            Some(Wish::Answer(assoc, len)) => {
                let answer = &mut buf[..usize::from(len)];
                answer[..2].copy_from_slice(&[6, 0]);
                answer[2..4].copy_from_slice(&len.to_be_bytes());
                transmit(Destination::Assoc(assoc), Ppid::Asap, answer)
            }
            Some(Wish::Multicast(ppid, message)) => {
                buf[..message.len()].copy_from_slice(&message);
                transmit(Destination::Channel, ppid, &buf[..message.len()])
            }
            Some(Wish::Connect(dial, to)) => {
                self.to = to;
                Output::Connect { dial, link: Link::Tcp, ppid: Ppid::Asap, to: &self.to }
            }
            Some(Wish::Abandon(dial)) => Output::Abandon { dial },
            Some(Wish::Disconnect(assoc)) => Output::Disconnect { assoc },
            None => Output::Wait(self.deadline),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// A driver with a [`Toy`], and what it saw.
pub struct Rig {
    pub driver: Driver<Toy>,
    pub handle: DriverHandle<Toy>,
    seen: Receiver<Seen>,
}

impl Rig {
    pub fn start(config: DriverConfig, toy: Toy) -> Rig {
        Rig::from(Driver::bind(config).unwrap(), toy)
    }

    /// A driver that listens on loopback.
    pub fn listening(mut config: DriverConfig, toy: Toy) -> Rig {
        if config.listeners.is_empty() {
            config.listeners.push(Listener::tcp(Ppid::Asap, "127.0.0.1:0".parse().unwrap()));
        }
        Rig::start(config, toy)
    }

    pub fn from(bound: Bound<Toy>, toy: Toy) -> Rig {
        let (sender, seen) = channel();
        let driver = bound.spawn(toy, move |event, _, _| drop(sender.send(event))).unwrap();
        Rig { handle: driver.handle(), driver, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.driver.local_addresses()[0].1
    }

    /// The next event.
    #[track_caller]
    pub fn next(&self) -> Seen {
        match self.seen.recv_timeout(HANG) {
            Ok(seen) => seen,
            Err(RecvTimeoutError::Timeout) => panic!("nothing happened: {:?}", self.handle.stats()),
            Err(RecvTimeoutError::Disconnected) => panic!("the driver has ended"),
        }
    }

    /// The events so far.
    pub fn so_far(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    #[track_caller]
    pub fn connected(&self) -> (AssocId, Option<DialId>, SocketAddr) {
        match self.next() {
            Seen::Connected(assoc, dial, peer) => (assoc, dial, peer),
            other => panic!("not connected: {other:?}"),
        }
    }

    #[track_caller]
    pub fn message(&self) -> Vec<u8> {
        match self.next() {
            Seen::Message(_, _, bytes) => bytes,
            other => panic!("no message: {other:?}"),
        }
    }

    /// Runs a closure that only gives the machine wishes.
    #[track_caller]
    pub fn tell(&self, f: impl FnOnce(&mut Toy) + Send + 'static) {
        self.handle.with(move |toy, _| f(toy)).unwrap();
    }

    /// Waits until the counters are as wanted.
    #[track_caller]
    pub fn wait_stats(&self, wanted: impl Fn(&DriverStats) -> bool) -> DriverStats {
        let start = StdInstant::now();
        loop {
            let stats = self.handle.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(start.elapsed() < HANG, "waited in vain: {stats:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A message of `length` bytes, with padding.
pub fn message(kind: u8, length: u16) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend((4..length).map(|i| i as u8));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A plain client, which fails rather than hangs.
pub fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads exactly `len` bytes.
#[track_caller]
pub fn read_exactly(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Waits until the peer has closed, by end or by reset.
#[track_caller]
pub fn wait_closed(stream: &mut TcpStream) {
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

/// An address on loopback where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Runs a test again in a process of its own, with at most `descriptors` file descriptors ("hard" for as many as are
/// allowed), and tells whether this is that process.
pub fn in_process_with_descriptors(test: &str, descriptors: &str) -> bool {
    const MARK: &str = "RSERPOOL_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let limit = if descriptors == "hard" { "$(ulimit -Hn)" } else { descriptors };
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -n {limit} && exec \"$0\" --exact --nocapture --test-threads=1 {test}"))
        .arg(std::env::current_exe().unwrap())
        .env(MARK, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
    false
}
