//! Messages in: reads connections and gives the machine what is complete.

use rserpool_core::{AssocId, Input, Instant, Machine};

use super::conn::Phase;
use super::link::{Received, Unusable};
use super::stats::CloseReason;
use super::turn::Engine;

impl<M, F> Engine<M, F>
where
    M: Machine,
    F: FnMut(M::Event, &mut M, Instant),
{
    /// Serves each connection in the queue once; what is left to do of it comes behind all others.
    pub(super) fn serve_connections(&mut self, now: Instant) {
        for _ in 0..self.io.ready.len() {
            let Some(slot) = self.io.ready.pop_front() else { break };
            let Some((id, conn)) = self.io.conns.at(slot) else { continue };
            conn.queued = false;
            if !conn.wants_service() {
                continue;
            }
            match conn.phase {
                Phase::Open => self.serve(id, now),
                Phase::Lingering { .. } => self.io.discard(id, &mut self.rx),
                Phase::PeerEnded | Phase::Closing => {}
            }
        }
    }

    /// Reads once from a connection, unless it has messages left over, and handles what is complete.
    fn serve(&mut self, id: AssocId, now: Instant) {
        let Some(conn) = self.io.conns.get_mut(id) else { return };
        let mut len = 0;
        let mut ended = false;
        if !conn.backlog {
            match conn.carrier.receive(&mut self.rx, &mut conn.inbox, &mut self.io.buffers) {
                Received::Bytes { len: received, more } => {
                    len = received;
                    conn.readable = more || conn.end_signalled;
                    self.io.stats.bytes_in += len as u64;
                }
                Received::Nothing => {
                    conn.readable = false;
                    return;
                }
                Received::End => {
                    conn.readable = false;
                    ended = true;
                }
                Received::Failed(error) => return self.io.close(id, CloseReason::Io(error)),
                Received::Aborted { cause } => return self.io.close(id, CloseReason::Aborted(cause)),
                Received::Restarted => return self.restarted(id, now),
                Received::SendFailed => {
                    conn.readable = true;
                    self.io.stats.send_failures += 1;
                    self.owner.input(&mut self.io, now, Input::SendFailed { assoc: id });
                    return self.io.enqueue(id.slot);
                }
            }
        }
        if ended {
            // A message that is not complete never will be.
            conn.phase = Phase::PeerEnded;
            conn.partial_since = None;
            return self.io.flush(id, now);
        }
        let handled = self.handle_messages(id, len, now);
        let Some(conn) = self.io.conns.get_mut(id) else { return };
        if handled.any {
            conn.active_at = now;
        }
        match handled.until {
            Until::Dry => {
                conn.backlog = false;
                if conn.inbox.is_empty() {
                    conn.partial_since = None;
                } else if handled.any || conn.partial_since.is_none() {
                    conn.partial_since = Some(now);
                }
            }
            Until::Budget | Until::Full => {
                conn.backlog = true;
                conn.paused = matches!(handled.until, Until::Full);
                // That the rest is not handled is not the peer's doing.
                conn.partial_since = None;
            }
            Until::Closed => {}
            Until::Broken(why) => {
                self.io.flush(id, now);
                return self.io.close(id, why.into());
            }
        }
        // The answers go now rather than at the end of the turn, which may be far: other connections are served yet.
        if conn.carrier.unsent() > 0 {
            self.io.flush(id, now);
        } else {
            self.io.watch(id);
        }
        self.io.enqueue(id.slot);
    }

    /// Handles what the inbox of a connection and the first `len` bytes that were read have complete.
    fn handle_messages(&mut self, id: AssocId, len: usize, now: Instant) -> Handled {
        let Some(conn) = self.io.conns.get_mut(id) else { return Handled { any: false, until: Until::Closed } };
        // The machine's outputs may go to this very connection, so what is borrowed meanwhile is taken out of it.
        let mut inbox = conn.inbox.take();
        let mut chunk = &self.rx[..len];
        let mut left = self.io.config.messages_per_turn;
        let until = loop {
            if left == 0 {
                break Until::Budget;
            }
            let (ppid, bytes) = match inbox.next(&mut chunk) {
                Ok(Some(message)) => message,
                Ok(None) => break Until::Dry,
                Err(error) => break Until::Broken(error),
            };
            left -= 1;
            self.io.stats.messages_in += 1;
            self.owner.input(&mut self.io, now, Input::Message { assoc: id, ppid, bytes });
            // Look again: the machine may have closed it, or filled it.
            let Some(conn) = self.io.conns.get_mut(id).filter(|conn| conn.phase == Phase::Open) else {
                break Until::Closed;
            };
            if conn.carrier.unsent() >= self.io.config.out_pause {
                self.io.flush(id, now);
                match self.io.conns.get_mut(id) {
                    None => break Until::Closed,
                    Some(conn) if conn.carrier.unsent() >= self.io.config.out_pause => break Until::Full,
                    Some(_) => {}
                }
            }
        };
        if matches!(until, Until::Budget | Until::Full) {
            inbox.hold(chunk);
        }
        self.io.stats.foreign_messages += inbox.take_foreign();
        if !matches!(until, Until::Closed)
            && let Some(conn) = self.io.conns.get_mut(id)
        {
            conn.inbox = inbox;
        }
        Handled { any: left < self.io.config.messages_per_turn, until }
    }
}

/// What [`Engine::handle_messages`] did.
struct Handled {
    /// Whether it handled a message.
    any: bool,
    until: Until,
}

/// Why it ended.
enum Until {
    /// All that is complete is handled.
    Dry,
    /// The connection has had its turn.
    Budget,
    /// The peer has to take answers first.
    Full,
    /// The connection is closed, or will be.
    Closed,
    Broken(Unusable),
}
