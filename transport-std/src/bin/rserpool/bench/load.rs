//! The load: requests over several connections, so many outstanding on each, from one thread.
//!
//! The connections are served in turn, with blocking calls: one read takes all answers that have come, one write sends
//! as many new requests. So each connection always has its window of requests under way, and the generator costs two
//! system calls per batch. A latency is the time from the write that held the request to the read that held its
//! answer: what waits in the generator's own sockets counts too.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lksctp::{Family, RecvMsg, SctpSocket, SendInfo, Style};
use rserpool_core::wire::AsapMessage;
use rserpool_core::wire::cause::CauseCode;
use rserpool_core::{Link, Ppid};

use super::histogram::Histogram;
use crate::error::Error;

/// How long to wait for an answer before the run is given up.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER: usize = 256 << 10;

const REGISTRATION_RESPONSE: u8 = 0x03;
const RESOLUTION_RESPONSE: u8 = 0x06;
const KEEP_ALIVE: u8 = 0x07;

/// Connections to one server.
pub(super) struct Load {
    conns: Vec<Conn>,
    window: usize,
}

/// What a run found.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) latencies: Histogram,
    pub(super) elapsed: Duration,
}

impl Run {
    pub(super) fn new() -> Self {
        Run { latencies: Histogram::new(), elapsed: Duration::ZERO }
    }

    /// Adds another run.
    pub(super) fn merge(&mut self, other: &Run) {
        self.latencies.merge(&other.latencies);
        self.elapsed += other.elapsed;
    }
}

/// Requests in the order in which a connection sends them.
pub(super) trait Source {
    /// The bytes of the next requests, at most `most` of them, and how many they are.
    fn next(&mut self, most: usize) -> (&[u8], usize);
}

/// What ends a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Time(Duration),
    Count(u64),
    /// Until the source has no more.
    Dry,
}

impl Load {
    pub(super) fn connect(server: SocketAddr, link: Link, connections: usize, window: usize) -> Result<Self, Error> {
        let conns = (0..connections).map(|_| Conn::open(server, link)).collect::<Result<_, _>>()?;
        Ok(Load { conns, window })
    }

    /// Sends requests, one source for each connection, and waits for all answers. Those that come after the time is up
    /// do not count.
    pub(super) fn run(&mut self, sources: &mut [impl Source], until: Until) -> Result<Run, Error> {
        let mut latencies = Histogram::new();
        let begin = Instant::now();
        for (conn, source) in self.conns.iter_mut().zip(sources.iter_mut()) {
            conn.send(source, self.window, begin)?;
        }
        let mut elapsed = None;
        loop {
            let mut busy = false;
            for (conn, source) in self.conns.iter_mut().zip(sources.iter_mut()) {
                if conn.outstanding == 0 {
                    continue;
                }
                busy = true;
                let answered = conn.receive()?;
                let now = Instant::now();
                let over = match until {
                    Until::Time(duration) => now - begin >= duration,
                    Until::Count(count) => latencies.total() + answered as u64 >= count,
                    Until::Dry => false,
                };
                conn.settle(answered, now, if elapsed.is_none() { Some(&mut latencies) } else { None });
                if over {
                    elapsed.get_or_insert(now - begin);
                }
                if elapsed.is_none() {
                    conn.send(source, answered, now)?;
                }
            }
            if !busy {
                return Ok(Run { latencies, elapsed: elapsed.unwrap_or_else(|| begin.elapsed()) });
            }
        }
    }

    /// Sends one request and returns its answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let conn = &mut self.conns[0];
        conn.last.clear();
        conn.socket.write_all(request).map_err(|error| conn.lost(&error))?;
        conn.outstanding = 1;
        conn.receive()?;
        conn.outstanding = 0;
        Ok(std::mem::take(&mut conn.last))
    }
}

/// A connection of either link. Over SCTP each message is sent and read on its own.
enum Socket {
    Tcp(TcpStream),
    Sctp(SctpSocket),
}

impl Socket {
    fn connect(server: SocketAddr, link: Link) -> io::Result<Self> {
        match link {
            Link::Tcp => {
                let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Socket::Tcp(stream))
            }
            Link::Sctp => {
                let family = if server.is_ipv6() { Family::Ipv6 } else { Family::Ipv4 };
                let socket = SctpSocket::new(family, Style::OneToOne)?;
                socket.set_nodelay(true)?;
                socket.set_recv_timeout(Some(PATIENCE))?;
                socket.set_send_timeout(Some(PATIENCE))?;
                socket.connect(&server)?;
                Ok(Socket::Sctp(socket))
            }
        }
    }

    /// Sends whole messages.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => { stream }.write_all(bytes),
            Socket::Sctp(socket) => {
                let info = SendInfo { ppid: lksctp::Ppid(Ppid::Asap.number()), ..SendInfo::default() };
                let mut left = bytes;
                while let Some(&[_, _, high, low]) = left.first_chunk::<4>() {
                    let length = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4).max(4);
                    let (message, rest) = left.split_at(length.min(left.len()));
                    socket.send_msg(message, &info)?;
                    left = rest;
                }
                Ok(())
            }
        }
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => { stream }.read(buf),
            Socket::Sctp(socket) => loop {
                if let RecvMsg::Data { len, .. } = socket.recv_msg(buf)? {
                    return Ok(len);
                }
            },
        }
    }
}

struct Conn {
    socket: Socket,
    server: SocketAddr,
    buf: Vec<u8>,
    /// How many bytes of `buf` wait for the rest of their message.
    held: usize,
    outstanding: usize,
    /// When requests were sent, and how many.
    sent: VecDeque<(Instant, usize)>,
    /// Answers to keep-alives.
    acks: Vec<u8>,
    /// The first answer since it was last taken.
    last: Vec<u8>,
}

impl Conn {
    fn open(server: SocketAddr, link: Link) -> Result<Self, Error> {
        let cannot = |error| Error::system(format_args!("connect to {server}"), error);
        Ok(Conn {
            socket: Socket::connect(server, link).map_err(cannot)?,
            server,
            buf: vec![0; BUFFER],
            held: 0,
            outstanding: 0,
            sent: VecDeque::new(),
            acks: Vec::new(),
            last: Vec::new(),
        })
    }

    fn lost(&self, error: &std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Error::Failed(format!("{} has not answered for {} s", self.server, PATIENCE.as_secs()))
            }
            _ => Error::Failed(format!("the connection to {} failed: {error}", self.server)),
        }
    }

    /// Sends at most `most` requests with one call.
    fn send(&mut self, source: &mut impl Source, mut most: usize, now: Instant) -> Result<(), Error> {
        while most > 0 {
            let (bytes, count) = source.next(most);
            if count == 0 {
                return Ok(());
            }
            self.socket.write_all(bytes).map_err(|error| self.lost(&error))?;
            self.sent.push_back((now, count));
            self.outstanding += count;
            most -= count;
        }
        Ok(())
    }

    /// Waits for answers, and returns how many came: at least one.
    fn receive(&mut self) -> Result<usize, Error> {
        loop {
            let read = match self.socket.read(&mut self.buf[self.held..]) {
                Ok(0) => return Err(Error::Failed(format!("{} closed the connection", self.server))),
                Ok(read) => read,
                Err(error) => return Err(self.lost(&error)),
            };
            let answers = self.messages(self.held + read)?;
            if !self.acks.is_empty() {
                self.socket.write_all(&self.acks).map_err(|error| self.lost(&error))?;
                self.acks.clear();
            }
            if answers > self.outstanding {
                return Err(Error::Failed(format!("{} gave more answers than it was asked for", self.server)));
            }
            if answers > 0 {
                return Ok(answers);
            }
        }
    }

    /// Goes over the messages in the first `len` bytes of the buffer, and returns how many of them are answers.
    fn messages(&mut self, len: usize) -> Result<usize, Error> {
        let (mut at, mut answers) = (0, 0);
        while let Some(&[ty, flags, high, low]) = self.buf[at..len].first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let end = at + ((length + 3) & !3);
            if end > len && length >= 4 {
                break;
            }
            let message = self.buf.get(at..at + length).unwrap_or(&[]);
            match ty {
                RESOLUTION_RESPONSE if is_positive_resolution(message) => answers += 1,
                REGISTRATION_RESPONSE if flags & 1 == 0 && length >= 4 => answers += 1,
                KEEP_ALIVE if length >= 8 => {
                    // The acknowledgement has the same parameters and no server identifier.
                    self.acks.extend([0x08, 0]);
                    self.acks.extend((length as u16 - 4).to_be_bytes());
                    self.acks.extend(&self.buf[at + 8..end]);
                }
                _ => return Err(self.refused(message)),
            }
            if answers == 1 && self.last.is_empty() {
                self.last = self.buf[at..end].to_vec();
            }
            at = end;
        }
        self.buf.copy_within(at..len, 0);
        self.held = len - at;
        Ok(answers)
    }

    fn refused(&self, message: &[u8]) -> Error {
        let what = match AsapMessage::parse(message) {
            Err(error) => format!("a malformed message: {error}"),
            Ok(parsed) => {
                let code = match &parsed.message {
                    AsapMessage::HandleResolutionResponse(m) => m.error.and_then(|error| error.code()),
                    AsapMessage::RegistrationResponse(m) => m.error.and_then(|error| error.code()),
                    AsapMessage::Error(m) => m.error.code(),
                    _ => None,
                };
                let cause = code.map_or_else(String::new, |code| format!(": {}", CauseCode(code)));
                format!("{}{cause}", parsed.message.name())
            }
        };
        Error::Failed(format!("{} gave an answer that is not positive: {what}", self.server))
    }

    /// Notes that so many requests, the oldest ones, are answered.
    fn settle(&mut self, answered: usize, now: Instant, mut latencies: Option<&mut Histogram>) {
        self.outstanding -= answered;
        let mut left = answered;
        while left > 0
            && let Some((when, count)) = self.sent.front_mut()
        {
            let taken = left.min(*count);
            if let Some(latencies) = &mut latencies {
                latencies.add(now - *when, taken as u64);
            }
            left -= taken;
            *count -= taken;
            if *count == 0 {
                self.sent.pop_front();
            }
        }
    }
}

/// Whether a handle resolution response has an element: after the pool handle and perhaps a policy.
fn is_positive_resolution(message: &[u8]) -> bool {
    const POLICY: u8 = 0x8;
    const POOL_ELEMENT: u8 = 0xa;
    let mut at = 4;
    for _ in 0..2 {
        let Some([_, _, high, low]) = message.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return false };
        at += (usize::from(u16::from_be_bytes([*high, *low])) + 3) & !3;
        match message.get(at..at + 2) {
            Some([0, POOL_ELEMENT]) => return true,
            Some([0, POLICY]) => {}
            _ => return false,
        }
    }
    false
}
