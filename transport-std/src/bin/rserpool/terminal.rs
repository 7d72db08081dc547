//! `rserpool terminal`

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_std::{PoolStream, PoolUser};

use crate::error::Error;
use crate::network::EndpointArgs;
use crate::output;
use crate::values;

/// How long to wait before the pool is asked for again, when it is not known or none of its elements could be reached.
const PAUSE: Duration = Duration::from_millis(250);

/// To how many elements a line is sent, one after the other.
const MOST_TRIES: u32 = 8;

/// The longest answer that is shown as one, in bytes.
const LONGEST: usize = 64 << 10;

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
    let user = PoolUser::new(args.endpoint.options()?).map_err(|error| Error::system("start", error))?;
    let (sender, happenings) = channel();
    read_lines(sender.clone())?;
    let mut terminal = Terminal {
        user: &user,
        args: &args,
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
    happenings: Receiver<Happening>,
    sender: Sender<Happening>,
    /// How many connections there have been.
    number: u32,
    connection: Option<PoolStream<'a>>,
    /// Lines that wait until the last one is answered.
    lines: VecDeque<String>,
    /// The last line, and when its answer is due, until it is there.
    unanswered: Option<(String, Option<Instant>)>,
    /// To how many elements it was sent.
    tries: u32,
    ended: bool,
}

impl<'a> Terminal<'a> {
    fn run(&mut self) -> Result<(), Error> {
        self.connect()?;
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
        let sent = match &mut self.connection {
            // One write: over SCTP it is a message.
            Some(stream) => stream.write_all(format!("{line}\n").as_bytes()).map_err(|error| error.to_string()),
            None => Err("there is no connection".to_owned()),
        };
        self.unanswered = Some((line, due));
        match sent {
            Ok(()) => Ok(()),
            Err(why) => self.fail_over(&why),
        }
    }

    fn fail_over(&mut self, why: &str) -> Result<(), Error> {
        let Some(stream) = &self.connection else { return Ok(()) };
        tracing::warn!("{} has failed: {why}", stream.member().id());
        self.tries += 1;
        if self.unanswered.is_some() && self.tries >= MOST_TRIES {
            return Err(Error::Failed(format!(
                "{}: {MOST_TRIES} elements did not answer; the last: {why}",
                self.args.pool
            )));
        }
        self.connect()?;
        match self.unanswered.take() {
            Some((line, _)) => self.send(line),
            None => Ok(()),
        }
    }

    /// Connects to an element; to the next best if there is one that has failed.
    fn connect(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.args.endpoint.timeout();
        loop {
            let connected = match self.connection.take() {
                Some(mut stream) => stream.fail_over().map(|()| stream),
                None => self.user.connect(&self.args.pool),
            };
            match connected {
                Ok(stream) => return self.listen(stream),
                Err(why) if Instant::now() >= deadline => {
                    return Err(Error::Failed(format!("{}: {why}", self.args.pool)));
                }
                Err(why) => tracing::debug!(%why, "no connection"),
            }
            thread::sleep(PAUSE);
        }
    }

    fn listen(&mut self, stream: PoolStream<'a>) -> Result<(), Error> {
        self.number += 1;
        let (number, sender) = (self.number, self.sender.clone());
        let reader = stream.get_ref().try_clone().map_err(|error| Error::system("use a connection", error))?;
        let read = move || {
            let mut buffer = vec![0; LONGEST];
            let why = loop {
                match { &reader }.read(&mut buffer) {
                    Ok(0) => break "it has closed the connection".to_owned(),
                    Ok(len) => {
                        let bytes = buffer.get(..len).unwrap_or_default().to_vec();
                        if sender.send(Happening::Answer(number, bytes)).is_err() {
                            return;
                        }
                    }
                    Err(error) => break error.to_string(),
                }
            };
            let _ = sender.send(Happening::Lost(number, why));
        };
        thread::Builder::new().spawn(read).map_err(|error| Error::system("start a thread", error))?;
        tracing::info!("connected to {} at {:?}", stream.member().id(), stream.member().addresses());
        self.connection = Some(stream);
        Ok(())
    }
}
