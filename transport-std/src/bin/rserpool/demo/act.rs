//! What happens, in which order.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rserpool_core::PeId;
use rserpool_std::{Member, PoolUser, PoolWatch, RegistrarServer};

use super::Args;
use super::score::Score;
use super::stage::{self, Element, POOL};
use crate::error::Error;
use crate::output::Paint;

/// The pool elements.
pub(super) const CAST: [(&str, PeId); 3] = [("A", PeId(0xa)), ("B", PeId(0xb)), ("C", PeId(0xc))];

/// How long each part is played.
const PART: Duration = Duration::from_millis(1800);
/// How long something may take to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an element may take to answer a request before it counts as failed.
const ANSWER: Duration = Duration::from_secs(1);

pub(super) fn play(args: &Args) -> Result<Score, Error> {
    let registrar = stage::registrar()?;
    let mut show = Show { score: Score::new(), quiet: args.json, paint: Paint::stdout() };
    show.say(format_args!("registrar {} listens on tcp://{}", registrar.id(), registrar.local_addr()));
    let mut elements = CAST
        .iter()
        .map(|(name, id)| Element::start(name, *id, registrar.local_addr()))
        .collect::<Result<Vec<_>, _>>()?;
    wait(|| Ok(count(&registrar)? == 3), "the three pool elements to register")?;
    for element in &registrar.status(9).map_err(failed)?.pools.first().map_or(Vec::new(), |p| p.elements.clone()) {
        let name = name_of(PeId(element.id));
        show.say(format_args!("element {name} {:#010x} is registered, at {}", element.id, element.addresses.join(" ")));
    }

    let user = PoolUser::new(stage::user_options(registrar.local_addr())).map_err(failed)?;
    // The user subscribes: the registrar tells of changes, so its view of the pool is always fresh.
    let watch = user.watch(POOL).map_err(failed)?;
    let mut client = Client { user: &user, watch, connections: HashMap::new(), interval: args.interval };
    client.follow(&mut show, PATIENCE)?;
    show.say(format_args!("the pool user sends a request every {} ms", args.interval.as_millis()));
    client.work(&mut show, PART, || Ok(false))?;
    show.say_shares();

    let [_, b, c] = elements.as_mut_slice() else { return Err(Error::Failed("there are three elements".to_owned())) };
    b.kill()?;
    show.warn(format_args!("element B is killed (SIGKILL): no word to anybody"));
    client.work(&mut show, PATIENCE, || Ok(count(&registrar)? == 2))?;
    show.say(format_args!("the registrar has removed B; its users are told"));
    client.work(&mut show, PART, || Ok(false))?;
    show.say_shares();

    *b = Element::start(b.name, b.id, registrar.local_addr())?;
    show.say(format_args!("element B is started again"));
    client.work(&mut show, PATIENCE, || Ok(count(&registrar)? == 3))?;
    show.good(format_args!("element B is registered again"));
    client.work(&mut show, PART, || Ok(false))?;
    show.say_shares();

    c.ask_to_leave()?;
    show.say(format_args!("element C is asked to end (SIGTERM): it deregisters first"));
    client.work(&mut show, PATIENCE, || Ok(count(&registrar)? == 2 && c.has_ended()?))?;
    show.good(format_args!("element C has left in good order"));
    client.work(&mut show, PART, || Ok(false))?;
    Ok(show.score)
}

fn count(registrar: &RegistrarServer) -> Result<u32, Error> {
    Ok(registrar.status(0).map_err(failed)?.element_count)
}

fn wait(mut condition: impl FnMut() -> Result<bool, Error>, what: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            return Err(Error::Failed(format!("timed out waiting for {what}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn failed(error: rserpool_std::Error) -> Error {
    Error::Failed(error.to_string())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => error.to_string(),
    }
}

fn name_of(id: PeId) -> &'static str {
    CAST.iter().find(|(_, known)| *known == id).map_or("?", |(name, _)| *name)
}

/// The pool user's application: one request at a time, to whom the policy chooses.
struct Client<'u> {
    user: &'u PoolUser,
    watch: PoolWatch<'u>,
    connections: HashMap<PeId, TcpStream>,
    interval: Duration,
}

impl Client<'_> {
    /// Sends requests until `done`, or for as long as `at_most`.
    fn work(
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
    fn follow(&mut self, show: &mut Show, patience: Duration) -> Result<(), Error> {
        match self.watch.next(patience).map_err(failed)? {
            Some(Ok(members)) => {
                let mut names: Vec<&str> = members.iter().map(|member| name_of(member.id())).collect();
                names.sort_unstable();
                show.say(format_args!("the pool user is told: the pool has {}", names.join(", ")));
                self.connections.retain(|id, _| members.iter().any(|member| member.id() == *id));
            }
            Some(Err(why)) => show.say(format_args!("the pool user is told: {why}")),
            None => {}
        }
        Ok(())
    }
}

/// Tells the audience, with the time since the start.
struct Show {
    score: Score,
    quiet: bool,
    paint: Paint,
}

impl Show {
    fn say(&self, text: impl std::fmt::Display) {
        self.line(text);
    }

    fn warn(&self, text: impl std::fmt::Display) {
        self.line(self.paint.warn(text));
    }

    fn good(&self, text: impl std::fmt::Display) {
        self.line(self.paint.good(text));
    }

    fn say_shares(&self) {
        let shares: Vec<String> =
            CAST.iter().map(|(name, id)| format!("{name} {}", self.score.served_by(*id))).collect();
        self.say(format_args!("served so far: {}", shares.join(", ")));
    }

    fn line(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let time = self.paint.dim(format!("{:7.3} s", self.score.elapsed().as_secs_f64()));
            // A closed pipe is no reason to stop: the exit status still tells.
            let _ = writeln!(io::stdout(), "{time}  {text}");
        }
    }
}
