//! The pool user's application.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rserpool_core::PeId;
use rserpool_std::{Member, PoolUser, PoolWatch};

use super::act::{failed, name_of};
use super::show::Show;
use super::stage::POOL;
use crate::error::Error;

/// How long an element may take to answer a request before it counts as failed.
const ANSWER: Duration = Duration::from_secs(1);

/// One request at a time, to whom the policy chooses.
pub(super) struct Client<'u> {
    user: &'u PoolUser,
    watch: PoolWatch<'u>,
    connections: HashMap<PeId, TcpStream>,
    interval: Duration,
    /// The names of the elements that it was told of last.
    known: String,
}

impl<'u> Client<'u> {
    /// The user subscribes: its registrar tells of changes, so its view of the pool is always fresh.
    pub(super) fn new(user: &'u PoolUser, interval: Duration) -> Result<Self, Error> {
        let watch = user.watch(POOL).map_err(failed)?;
        Ok(Client { user, watch, connections: HashMap::new(), interval, known: String::new() })
    }

    /// Sends requests until `done`, or for as long as `at_most`.
    pub(super) fn work(
        &mut self,
        show: &mut Show,
        at_most: Duration,
        mut done: impl FnMut() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + at_most;
        while Instant::now() < deadline && !done()? {
            let next = Instant::now() + self.interval;
            self.request(show)?;
            self.follow(show, Duration::ZERO)?;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// One request. If the chosen element fails it is reported, and the next best is asked, until one answers.
    fn request(&mut self, show: &mut Show) -> Result<(), Error> {
        let number = show.score.sent();
        let text = format!("request {number}\n");
        let sent_at = Instant::now();
        let mut member = self.user.primary(POOL).map_err(failed)?;
        for _ in 0..10 {
            match self.exchange(&member, text.as_bytes()) {
                Ok(()) => {
                    show.score.served(member.id(), sent_at);
                    return Ok(());
                }
                Err(error) => {
                    self.connections.remove(&member.id());
                    show.score.failed_over(member.id());
                    let (failed_one, after) = (name_of(member.id()), sent_at.elapsed());
                    member = self.user.next(POOL, member.id()).map_err(failed)?;
                    show.warn(format_args!(
                        "request {number} to {failed_one} failed after {:.1} ms ({}): reported, now to {}",
                        after.as_secs_f64() * 1e3,
                        reason(&error),
                        name_of(member.id())
                    ));
                }
            }
        }
        show.warn(format_args!("request {number} stays unserved"));
        Ok(())
    }

    fn exchange(&mut self, member: &Member, text: &[u8]) -> io::Result<()> {
        let stream = match self.connections.entry(member.id()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let address = member.addresses().first().ok_or(io::ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(address, ANSWER)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_write_timeout(Some(ANSWER))?;
                new.insert(stream)
            }
        };
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer)?;
        if answer == text { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
    }

    /// Takes up what the registrar says of the pool: connections to elements that are gone are closed.
    pub(super) fn follow(&mut self, show: &mut Show, patience: Duration) -> Result<(), Error> {
        match self.watch.next(patience).map_err(failed)? {
            Some(Ok(members)) => {
                let mut names: Vec<&str> = members.iter().map(|member| name_of(member.id())).collect();
                names.sort_unstable();
                let names = names.join(", ");
                // All that is known of them counts as a change, also who their home is.
                match names == self.known {
                    true => show.say(format_args!("the pool user is told: {names} have another home; it goes on")),
                    false => show.say(format_args!("the pool user is told: the pool has {names}")),
                }
                self.known = names;
                self.connections.retain(|id, _| members.iter().any(|member| member.id() == *id));
            }
            Some(Err(why)) => show.say(format_args!("the pool user is told: {why}")),
            None => {}
        }
        Ok(())
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    }
}
