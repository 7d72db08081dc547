//! `rserpool terminal`

mod service;

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_core::PeId;
use rserpool_std::{Member, PoolUser};

use self::service::Service;
use crate::error::Error;
use crate::network::EndpointArgs;
use crate::output;
use crate::values;

/// How long to wait before the pool is asked again, when none of its elements could be reached.
const PAUSE: Duration = Duration::from_millis(250);

/// To how many elements a line is sent, one after the other.
const MOST_TRIES: u32 = 8;

/// Send lines to an element of a pool, and show what comes back; go on with another element when one fails
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The pool handle
    #[arg(value_name = "POOL", value_parser = values::pool_handle)]
    pool: String,
    /// How long an answer to a line may take until the element counts as failed; 0 for ever
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    answer_timeout: Duration,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

const AFTER_HELP: &str = "\
Examples:
  rserpool terminal echo                     lines from the terminal to the pool `echo`
  echo hello | rserpool terminal EchoPool --transport sctp
      one line, and its answer; with registrars and elements of rsplib, too

The elements are TCP services, which get lines, or SCTP services, which get one message for each line, with payload
protocol identifier 0. A line that was not answered before its element failed is sent to the next one.

Exit status: 1 if no element could be reached, or a line was not answered.";

/// What happens.
enum Happening {
    Line(String),
    NoMoreLines,
    /// From the connection with this number.
    Answer(u32, Vec<u8>),
    Lost(u32, String),
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let options = args.endpoint.options()?;
    let connect_timeout = options.connect_timeout;
    let user = PoolUser::new(options).map_err(|error| Error::system("start", error))?;
    let (sender, happenings) = channel();
    read_lines(sender.clone())?;
    let mut terminal = Terminal {
        user: &user,
        args: &args,
        connect_timeout,
        happenings,
        sender,
        number: 0,
        connection: None,
        lines: VecDeque::new(),
        unanswered: None,
        tries: 0,
        ended: false,
    };
    terminal.run()?;
    Ok(ExitCode::SUCCESS)
}

fn read_lines(sender: Sender<Happening>) -> Result<(), Error> {
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(Happening::Line(line)).is_err() {
                return;
            }
        }
        let _ = sender.send(Happening::NoMoreLines);
    };
    thread::Builder::new().spawn(read).map(drop).map_err(|error| Error::system("start a thread", error))
}

struct Terminal<'a> {
    user: &'a PoolUser,
    args: &'a Args,
    connect_timeout: Duration,
    happenings: Receiver<Happening>,
    sender: Sender<Happening>,
    /// How many connections there have been.
    number: u32,
    connection: Option<(PeId, Service)>,
    /// Lines that wait until the last one is answered.
    lines: VecDeque<String>,
    /// The last line, and when its answer is due, until it is there.
    unanswered: Option<(String, Option<Instant>)>,
    /// To how many elements it was sent.
    tries: u32,
    ended: bool,
}

impl Terminal<'_> {
    fn run(&mut self) -> Result<(), Error> {
        self.connect(None)?;
        while !self.ended || self.unanswered.is_some() || !self.lines.is_empty() {
            if self.unanswered.is_none()
                && let Some(line) = self.lines.pop_front()
            {
                self.tries = 0;
                self.send(line)?;
                continue;
            }
            match self.next() {
                Some(Happening::Line(line)) => self.lines.push_back(line),
                Some(Happening::NoMoreLines) => self.ended = true,
                Some(Happening::Answer(number, bytes)) if number == self.number => {
                    let mut out = output::stdout();
                    out.write_all(&bytes)?;
                    if bytes.last() != Some(&b'\n') {
                        out.write_all(b"\n")?;
                    }
                    out.flush()?;
                    self.unanswered = None;
                }
                Some(Happening::Lost(number, why)) if number == self.number => self.fail_over(&why)?,
                Some(Happening::Answer(..) | Happening::Lost(..)) => {}
                None => self.fail_over("no answer in time")?,
            }
        }
        Ok(())
    }

    /// `None`: an answer is overdue.
    fn next(&mut self) -> Option<Happening> {
        let due = self.unanswered.as_ref().and_then(|(_, due)| *due);
        let next = match due {
            None => self.happenings.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self.happenings.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        next.ok()
    }

    fn send(&mut self, line: String) -> Result<(), Error> {
        let due = (!self.args.answer_timeout.is_zero()).then(|| Instant::now() + self.args.answer_timeout);
        let sent = match &self.connection {
            Some((_, service)) => service.send(&line).map_err(|error| error.to_string()),
            None => Err("there is no connection".to_owned()),
        };
        self.unanswered = Some((line, due));
        match sent {
            Ok(()) => Ok(()),
            Err(why) => self.fail_over(&why),
        }
    }

    fn fail_over(&mut self, why: &str) -> Result<(), Error> {
        let Some((failed, service)) = self.connection.take() else { return Ok(()) };
        service.end();
        tracing::warn!("{failed} has failed: {why}");
        self.tries += 1;
        if self.unanswered.is_some() && self.tries >= MOST_TRIES {
            return Err(Error::Failed(format!(
                "{}: {MOST_TRIES} elements did not answer; the last: {why}",
                self.args.pool
            )));
        }
        self.connect(Some(failed))?;
        match self.unanswered.take() {
            Some((line, _)) => self.send(line),
            None => Ok(()),
        }
    }

    /// Connects to the next best element.
    fn connect(&mut self, mut failed: Option<PeId>) -> Result<(), Error> {
        let deadline = Instant::now() + self.args.endpoint.timeout();
        loop {
            let member = match failed.take() {
                Some(failed) => self.user.next(&self.args.pool, failed),
                None => self.user.primary(&self.args.pool),
            };
            let why = match member {
                Ok(member) => match self.open(&member) {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        tracing::warn!("{} cannot be reached: {error}", member.id());
                        failed = Some(member.id());
                        error.to_string()
                    }
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(Error::Failed(format!("{}: {why}", self.args.pool)));
            }
            thread::sleep(PAUSE);
        }
    }

    fn open(&mut self, member: &Member) -> std::io::Result<()> {
        let service = Service::open(member, self.connect_timeout)?;
        self.number += 1;
        let (number, sender) = (self.number, self.sender.clone());
        let reader = service.try_clone()?;
        thread::Builder::new().spawn(move || {
            let why = loop {
                match reader.receive() {
                    Ok(Some(bytes)) => {
                        if sender.send(Happening::Answer(number, bytes)).is_err() {
                            return;
                        }
                    }
                    Ok(None) => break "it has closed the connection".to_owned(),
                    Err(error) => break error.to_string(),
                }
            };
            let _ = sender.send(Happening::Lost(number, why));
        })?;
        tracing::info!("connected to {} at {:?}", member.id(), member.addresses());
        self.connection = Some((member.id(), service));
        Ok(())
    }
}
