//! One machine, its TCP connections and its timer in one tokio task. This file is all that an embedding needs.
//!
//! The task waits for whatever comes first (a socket that is ready, a command of the application, the machine's
//! deadline), tells the machine, and drains it. No borrow of the machine crosses an `.await`, so there is no lock. For
//! another runtime replace the sockets, the timer and the channels, and keep [`Node::input`].
//!
//! What a larger program may add: listeners, for a registrar, or for a pool element that registrars can reach
//! (`EndpointConfig::asap_port`): accept, then [`Input::Connected`] with `dial: None` and the listener's protocol; UDP
//! multicast ([`Input::Datagram`], [`Destination::Channel`]); time limits for slow peers, as in `rserpool_std::driver`.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, mem};

use rserpool_core::{AssocId, Destination, DialId, Input, Instant, Link, Machine, Output, Ppid, Transmit};
use rserpool_std::{Clock, framing::Framer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// The longest message that is accepted: all that the length field can say.
const MAX_MESSAGE: usize = 65_535;
/// A peer that does not read, so that this many bytes wait for it, is given up.
const MAX_UNSENT: usize = 1 << 20;

type Command<M> = Box<dyn FnOnce(&mut M, Instant) + Send>;

/// The application's access to a machine that runs in a task. The task ends when the last handle is gone.
pub(crate) struct Handle<M>(mpsc::Sender<Command<M>>);

impl<M: 'static> Handle<M> {
    /// Calls a method of the machine; the task drains it afterwards. `None`: the task has ended.
    pub(crate) async fn with<R, F>(&self, call: F) -> Option<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut M, Instant) -> R + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let command: Command<M> = Box::new(move |machine, now| _ = answer.send(call(machine, now)));
        self.0.send(command).await.ok()?;
        answered.await.ok()
    }
}

/// Runs a machine in a task. `observe` gets its events, and the machine to ask for what they are about.
pub(crate) fn spawn<M, F>(clock: Clock, machine: M, observe: F) -> Handle<M>
where
    M: Machine + Send + 'static,
    F: FnMut(M::Event, &mut M) + Send + 'static,
{
    let (handle, commands) = mpsc::channel(16);
    let node = Node { machine, clock, observe, io: Io::default(), buf: vec![0; 2048], deadline: None };
    tokio::spawn(node.run(commands));
    Handle(handle)
}

/// A machine and what it needs: sockets, a clock, a buffer, and somebody who listens.
struct Node<M, F> {
    machine: M,
    clock: Clock,
    observe: F,
    io: Io,
    buf: Vec<u8>,
    deadline: Option<Instant>,
}

impl<M: Machine, F: FnMut(M::Event, &mut M)> Node<M, F> {
    async fn run(mut self, mut commands: mpsc::Receiver<Command<M>>) {
        self.input(Input::Timeout);
        loop {
            self.socket_turn();
            // An instant that the system cannot express is so far away that it never comes.
            let deadline = self.deadline.and_then(|at| self.clock.to_std(at));
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = poll_fn(|context| self.io.poll_ready(context)) => {}
                () = timer => self.input(Input::Timeout),
                command = commands.recv() => match command {
                    Some(command) => {
                        command(&mut self.machine, self.clock.now());
                        self.input(Input::Timeout); // not for the time: to drain
                    }
                    None => return,
                },
            }
        }
    }

    /// Rule 1 of the contract: one input, then everything that follows from it.
    fn input(&mut self, input: Input<'_>) {
        let now = self.clock.now();
        if let Err(error) = self.machine.handle(now, input) {
            // It is about the peer or about capacity; the machine goes on.
            tracing::debug!(%error);
        }
        self.deadline = loop {
            match self.machine.poll(now, &mut self.buf) {
                Output::Transmit(Transmit { to: Destination::Assoc(assoc), bytes, .. }) => {
                    self.io.conn(assoc, |conn| conn.unsent.extend_from_slice(bytes));
                }
                Output::Transmit(Transmit { to: Destination::Channel, .. }) => {}
                // Only TCP is asked for: `EndpointConfig::links` says so, and the servers that were added. The protocol
                // is kept: a registrar dials peers (ENRP) as well as pool elements (ASAP), and TCP does not tell.
                Output::Connect { dial, ppid, to, .. } => {
                    let to = to.to_vec();
                    let stream = Box::pin(async move { TcpStream::connect(&to[..]).await });
                    self.io.dials.push(Dial { dial, ppid, stream });
                }
                Output::Abandon { dial } => self.io.dials.retain(|attempt| attempt.dial != dial),
                Output::Disconnect { assoc } => self.io.conn(assoc, |conn| conn.closing = true),
                Output::Event(event) => (self.observe)(event, &mut self.machine),
                Output::BufferTooSmall { needed } => self.buf.resize(needed, 0),
                Output::Wait(deadline) => break deadline,
            }
        };
    }

    /// Tells the machine what has come of its attempts to connect, then reads each connection once and writes what waits.
    fn socket_turn(&mut self) {
        for (dial, ppid, result) in mem::take(&mut self.io.dialled) {
            match result.and_then(|stream| Ok((stream.peer_addr()?, self.io.open(stream, ppid)?))) {
                Ok((peer, assoc)) => {
                    self.input(Input::Connected { assoc, dial: Some(dial), link: Link::Tcp, peer: &[peer] });
                }
                Err(_) => self.input(Input::ConnectFailed { dial }),
            }
        }
        for slot in 0..self.io.conns.len() {
            let Some(assoc) = self.io.conns[slot].as_ref().map(|conn| conn.assoc) else { continue };
            let read = self.read(assoc);
            // What the machine answered to all that was read is written at once.
            let Some(conn) = &mut self.io.conns[slot] else { continue };
            if read.is_err() || conn.write().is_err() || (conn.closing && conn.unsent.is_empty()) {
                self.io.conns[slot] = None;
                self.input(Input::Closed { assoc });
            }
        }
    }

    /// Reads what there is, once, and gives the machine the messages in it. An error: the connection is of no more use.
    fn read(&mut self, assoc: AssocId) -> io::Result<()> {
        let Some(conn) = &mut self.io.conns[assoc.slot as usize] else { return Ok(()) };
        let mut chunk = [0; 4096];
        let mut chunk = match conn.stream.try_read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => &chunk[..len],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let ppid = conn.ppid;
        // Taken out, since the machine may send on the same connection meanwhile.
        let mut framer = mem::replace(&mut conn.framer, Framer::new(MAX_MESSAGE));
        while let Some(bytes) = framer.next(&mut chunk).map_err(io::Error::other)? {
            self.input(Input::Message { assoc, ppid, bytes });
        }
        self.io.conn(assoc, |conn| conn.framer = framer);
        Ok(())
    }
}

/// A TCP connection. A slot of [`Io::conns`] is used again; `assoc.generation` tells its uses apart.
struct Conn {
    assoc: AssocId,
    ppid: Ppid,
    stream: TcpStream,
    framer: Framer,
    unsent: Vec<u8>,
    closing: bool,
}

impl Conn {
    /// Writes what waits, as much as the system takes.
    fn write(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.unsent.len() > MAX_UNSENT { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
    }
}

/// An attempt to connect.
struct Dial {
    dial: DialId,
    ppid: Ppid,
    stream: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
}

/// The sockets of a machine.
#[derive(Default)]
struct Io {
    conns: Vec<Option<Conn>>,
    opened: u32,
    dials: Vec<Dial>,
    /// Attempts that have ended.
    dialled: Vec<(DialId, Ppid, io::Result<TcpStream>)>,
}

impl Io {
    /// Ready when there is something to do for [`Node::socket_turn`].
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let dialled = &mut self.dialled;
        self.dials.retain_mut(|attempt| match attempt.stream.as_mut().poll(context) {
            Poll::Ready(result) => {
                dialled.push((attempt.dial, attempt.ppid, result));
                false
            }
            Poll::Pending => true,
        });
        let mut ready = !dialled.is_empty();
        for conn in self.conns.iter().flatten() {
            ready |= conn.stream.poll_read_ready(context).is_ready();
            ready |= match conn.unsent.is_empty() {
                true => conn.closing,
                false => conn.stream.poll_write_ready(context).is_ready(),
            };
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    fn open(&mut self, stream: TcpStream, ppid: Ppid) -> io::Result<AssocId> {
        stream.set_nodelay(true)?;
        let slot = self.conns.iter().position(Option::is_none).unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        self.opened = self.opened.wrapping_add(1);
        let assoc = AssocId { slot: u32::try_from(slot).map_err(io::Error::other)?, generation: self.opened };
        let framer = Framer::new(MAX_MESSAGE);
        self.conns[slot] = Some(Conn { assoc, ppid, stream, framer, unsent: Vec::new(), closing: false });
        Ok(assoc)
    }

    fn conn(&mut self, assoc: AssocId, change: impl FnOnce(&mut Conn)) {
        if let Some(Some(conn)) = self.conns.get_mut(assoc.slot as usize)
            && conn.assoc == assoc
        {
            change(conn);
        }
    }
}
