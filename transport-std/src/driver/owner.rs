//! The machine at work: inputs in, outputs carried out.

use rserpool_core::{Input, Instant, Machine, Output};
use tracing::debug;

use super::io::Io;

/// A message of the greatest length with its padding.
const SCRATCH_LEN: usize = 64 << 10;

/// The machine and who listens to it.
pub(super) struct Owner<M, F> {
    pub(super) machine: M,
    observer: F,
    /// Where the machine writes a message.
    scratch: Vec<u8>,
    /// When the machine wants to be polled, as of the last drain.
    pub(super) deadline: Option<Instant>,
}

impl<M, F> Owner<M, F>
where
    M: Machine,
    F: FnMut(M::Event, &mut M, Instant),
{
    pub(super) fn new(machine: M, observer: F) -> Self {
        Owner { machine, observer, scratch: vec![0; SCRATCH_LEN], deadline: None }
    }

    /// Gives the machine an input and carries out what it then wishes; whether it took the input.
    pub(super) fn input(&mut self, io: &mut Io, now: Instant, input: Input<'_>) -> bool {
        let result = self.machine.handle(now, input);
        if let Err(error) = result {
            io.stats.inputs_refused += 1;
            debug!(?input, %error, "input refused");
        }
        self.drain(io, now);
        result.is_ok()
    }

    /// Polls the machine until it waits.
    pub(super) fn drain(&mut self, io: &mut Io, now: Instant) {
        loop {
            let event = match self.machine.poll(now, &mut self.scratch) {
                Output::Transmit(transmit) => {
                    io.transmit(transmit, now);
                    continue;
                }
                Output::Connect { dial, link, ppid, to } => {
                    io.connect(dial, link, ppid, to, now);
                    continue;
                }
                Output::Abandon { dial } => {
                    io.abandon(dial);
                    continue;
                }
                Output::Disconnect { assoc } => {
                    io.disconnect(assoc);
                    continue;
                }
                Output::Event(event) => event,
                Output::BufferTooSmall { needed } => {
                    // Otherwise the loop would not end. Only a broken machine comes here, whatever its peers send.
                    assert!(needed > self.scratch.len(), "the machine's buffer is as large as it asks for");
                    self.scratch.resize(needed, 0);
                    continue;
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            };
            (self.observer)(event, &mut self.machine, now);
        }
    }
}
