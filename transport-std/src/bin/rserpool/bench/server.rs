//! The servers that are measured, each in a thread of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rserpool_core::{
    AsapRates, AssocId, Destination, Input, Instant, Link, Machine, Output, Ppid, RecvError, Registrar,
    RegistrarConfig, RegistrarLimits, Transmit,
};
use rserpool_std::driver::{Bound, Driver, DriverConfig, Listener};

use super::cpu::ThreadCpu;
use crate::error::Error;

/// A server on loopback.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) cpu: Option<ThreadCpu>,
    thread: Option<JoinHandle<io::Result<()>>>,
    stop: Box<dyn Fn()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        (self.stop)();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!(%error, "the server ended with an error");
        }
    }
}

/// A registrar over the driver.
pub(super) fn registrar(link: Link) -> Result<Server, Error> {
    let bound = bind(link)?;
    let mut config = RegistrarConfig::new();
    config.max_elements_per_association = u32::MAX;
    // What is measured is the registrar, not its limits.
    config.rates = AsapRates::UNLIMITED;
    let seed = rserpool_std::seed::seed().map_err(|error| Error::system("get randomness", error))?;
    let machine = Registrar::growable(RegistrarLimits::default(), config, seed, bound.clock().now());
    run(bound, machine)
}

/// A machine that gives everyone the same answer, over the driver.
pub(super) fn null_machine(answer: Vec<u8>) -> Result<Server, Error> {
    run(bind(Link::Tcp)?, NullMachine { answer, to: None })
}

fn bind<M>(link: Link) -> Result<Bound<M>, Error> {
    let any_port = (Ipv4Addr::LOCALHOST, 0).into();
    let config = DriverConfig {
        listeners: vec![match link {
            Link::Tcp => Listener::tcp(Ppid::Asap, any_port),
            Link::Sctp => Listener::sctp(Ppid::Asap, any_port, Vec::new()),
        }],
        ..DriverConfig::default()
    };
    Driver::bind(config).map_err(|error| Error::System(error.to_string()))
}

fn run<M: Machine + Send + 'static>(bound: Bound<M>, machine: M) -> Result<Server, Error> {
    let handle = bound.handle();
    // There is one listener.
    let sctp = bound.sctp_addresses().first().and_then(|(_, addresses)| addresses.first());
    let address = sctp.copied().unwrap_or_else(|| bound.local_addresses()[0].1);
    let stop = Box::new(move || handle.shutdown());
    spawn(address, stop, move || bound.run(machine, |_, _, _| ()).map(drop))
}

fn spawn(
    address: SocketAddr,
    stop: Box<dyn Fn()>,
    serve: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<Server, Error> {
    let (sender, cpu): (Sender<Option<ThreadCpu>>, _) = channel();
    let thread = thread::Builder::new().name("server".into());
    let thread = thread.spawn(move || {
        let _ = sender.send(ThreadCpu::current());
        serve()
    });
    let thread = thread.map_err(|error| Error::system("start a thread", error))?;
    Ok(Server { address, cpu: cpu.recv().ok().flatten(), thread: Some(thread), stop })
}

#[derive(Debug)]
struct NullMachine {
    answer: Vec<u8>,
    to: Option<AssocId>,
}

impl Machine for NullMachine {
    type Event = ();

    fn handle(&mut self, _: Instant, input: Input<'_>) -> Result<(), RecvError> {
        if let Input::Message { assoc, .. } = input {
            self.to = Some(assoc);
        }
        Ok(())
    }

    fn poll<'b>(&'b mut self, _: Instant, buf: &'b mut [u8]) -> Output<'b, ()> {
        let Some(assoc) = self.to.take() else { return Output::Wait(None) };
        let Some(bytes) = buf.get_mut(..self.answer.len()) else {
            return Output::BufferTooSmall { needed: self.answer.len() };
        };
        bytes.copy_from_slice(&self.answer);
        Output::Transmit(Transmit { to: Destination::Assoc(assoc), ppid: Ppid::Asap, bytes })
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// As much as the driver reads at once.
const READ_LEN: usize = 64 << 10;

/// The least that a server can do: it reads, counts messages by their lengths and writes as many fixed answers.
pub(super) fn null_server(answer: &[u8]) -> Result<Server, Error> {
    let cannot = |error| Error::system("listen on 127.0.0.1", error);
    let poll = Poll::new().map_err(cannot)?;
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(cannot)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(cannot)?);
    let stop = Box::new(move || drop(waker.wake()));
    let (len, answers) = (answer.len(), answer.repeat(READ_LEN / 4));
    // One read has at most one message, and a part of one, per four bytes; there are far fewer.
    let answers = answers[..answers.len().min(4 << 20) / len * len].to_vec();
    spawn(address, stop, move || NullServer { poll, listener, len, answers, conns: Vec::new() }.run())
}

struct NullServer {
    poll: Poll,
    listener: TcpListener,
    len: usize,
    answers: Vec<u8>,
    conns: Vec<Option<NullConn>>,
}

struct NullConn {
    stream: TcpStream,
    /// How many bytes of the current message are still to come.
    missing: usize,
    /// The beginning of a header that was cut off.
    header: Vec<u8>,
    /// How many bytes of answers are still to be written.
    owed: usize,
}

impl NullServer {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut buf = vec![0; READ_LEN];
        loop {
            match self.poll.poll(&mut events, Some(Duration::from_secs(60))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => return Ok(()),
                    LISTENER => self.accept()?,
                    Token(index) => {
                        let Some(Some(conn)) = self.conns.get_mut(index) else { continue };
                        if conn.serve(&mut buf, self.len, &self.answers).is_err() {
                            self.conns[index] = None;
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut stream, Token(self.conns.len()), interest)?;
                    self.conns.push(Some(NullConn { stream, missing: 0, header: Vec::new(), owed: 0 }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl NullConn {
    fn serve(&mut self, buf: &mut [u8], len: usize, answers: &[u8]) -> io::Result<()> {
        self.write(len, answers)?;
        loop {
            let read = match self.stream.read(buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.owed += self.count(&buf[..read]) * len;
            self.write(len, answers)?;
            if read < buf.len() {
                return Ok(());
            }
        }
    }

    /// How many messages end in these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut ended = 0;
        while !bytes.is_empty() {
            if self.missing == 0 {
                let header = match bytes.first_chunk::<4>() {
                    Some(header) if self.header.is_empty() => *header,
                    _ => {
                        let wanted = (4 - self.header.len()).min(bytes.len());
                        self.header.extend_from_slice(&bytes[..wanted]);
                        bytes = &bytes[wanted..];
                        let Ok(header) = <[u8; 4]>::try_from(&self.header[..]) else { break };
                        self.header.clear();
                        self.missing = padded(header).saturating_sub(4);
                        ended += usize::from(self.missing == 0);
                        continue;
                    }
                };
                self.missing = padded(header).max(4);
            }
            let here = self.missing.min(bytes.len());
            self.missing -= here;
            bytes = &bytes[here..];
            ended += usize::from(self.missing == 0);
        }
        ended
    }

    fn write(&mut self, len: usize, answers: &[u8]) -> io::Result<()> {
        while self.owed > 0 {
            // Where the current answer was left off.
            let start = (len - self.owed % len) % len;
            let end = answers.len().min(start + self.owed);
            match self.stream.write(&answers[start..end]) {
                Ok(written) => self.owed -= written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const fn padded([_, _, high, low]: [u8; 4]) -> usize {
    (u16::from_be_bytes([high, low]) as usize + 3) & !3
}
