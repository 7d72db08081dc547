//! The `rserpool` command as processes that do not outlive their test.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate and uses a part")]

use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rserpool_std::status::RegistrarStatus;

/// How long anything may take on a busy host.
pub const HANG: Duration = Duration::from_secs(30);

pub const BINARY: &str = env!("CARGO_BIN_EXE_rserpool");

/// Waits for a condition, not for a time.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process in a group of its own. When it is dropped the group is killed.
pub struct Process {
    child: Child,
    out: Text,
    err: Text,
}

/// What a process has written so far.
struct Text {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Text {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let noted = Arc::clone(&text);
        let reader = pipe.map(|pipe| {
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut text = noted.lock().unwrap();
                    text.push_str(&line);
                    text.push('\n');
                }
            })
        });
        Text { text, reader }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn all(mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

/// What became of a process.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Asserts that it told the user all of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "'{word}' is not in: {}", self.err);
        }
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command
}

impl Process {
    /// `rserpool` with these arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub fn spawn(command: &mut Command) -> Self {
        Self::begin(command.stdin(Stdio::null()))
    }

    /// `rserpool` with these arguments, to be typed to.
    pub fn interactive(arguments: &[&str]) -> Self {
        Self::begin(command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn begin(command: &mut Command) -> Self {
        let mut child = command.process_group(0).spawn().unwrap();
        let (out, err) = (Text::of(child.stdout.take()), Text::of(child.stderr.take()));
        Process { child, out, err }
    }

    /// Types a line into an interactive process.
    pub fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Ends its input.
    pub fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    pub fn out(&self) -> String {
        self.out.so_far()
    }

    pub fn err(&self) -> String {
        self.err.so_far()
    }

    #[track_caller]
    pub fn signal(&self, name: &str) {
        assert!(signal(name, &self.child.id().to_string()));
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + HANG;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}{}", self.out(), self.err());
            thread::sleep(Duration::from_millis(5));
        };
        // What the process started may hold its pipes open.
        self.end_group();
        let empty = || Text { text: Arc::default(), reader: None };
        let (out, err) = (std::mem::replace(&mut self.out, empty()), std::mem::replace(&mut self.err, empty()));
        Ended { status, out: out.all(), err: err.all() }
    }

    fn end_group(&self) {
        signal("KILL", &format!("-{}", self.child.id()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_group();
        let _ = self.child.wait();
    }
}

/// Sends a signal; whether there was somebody to get it.
pub fn signal(name: &str, process: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), "--", process]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

/// Runs `rserpool` until it ends.
#[track_caller]
pub fn run(arguments: &[&str]) -> Ended {
    Process::start(arguments).wait()
}

/// A directory that goes with its test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rserpool-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A registrar that runs, as a process.
pub struct Registrar {
    pub process: Process,
    pub address: String,
    pub control: String,
    pub directory: Directory,
}

impl Registrar {
    pub fn start(more: &[&str]) -> Self {
        let directory = Directory::new();
        let control = directory.path("control");
        let mut arguments = vec!["registrar", "--listen", "127.0.0.1:0", "--control", &control];
        arguments.extend(more);
        let process = Process::start(&arguments);
        let mut address = None;
        until("the registrar", || {
            address =
                process.err().split_once("tcp://").and_then(|(_, rest)| rest.split_once(' ')).map(|(a, _)| a.into());
            address.is_some() && Path::new(&control).exists()
        });
        Registrar { process, address: address.unwrap(), control, directory }
    }

    pub fn status(&self) -> RegistrarStatus {
        rserpool_std::control::ask(Path::new(&self.control), 1000).unwrap()
    }

    #[track_caller]
    pub fn until_elements(&self, count: u32) {
        until(&format!("{count} elements"), || self.status().element_count == count);
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.status().counters;
        counters.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// A pool element of this registrar that is its own service.
    pub fn echo(&self, pool: &str, more: &[&str]) -> Process {
        let common = ["-v", "element", "--echo", "--service", "tcp://127.0.0.1:0", "--drain", "0", "--pool", pool];
        Process::start(&[&common, &["--registrar", &self.address][..], more].concat())
    }

    /// Asks this registrar.
    #[track_caller]
    pub fn resolve(&self, pool: &str, more: &[&str]) -> Ended {
        run(&[&["resolve", pool, "--registrar", &self.address], more].concat())
    }
}

/// A port that nobody uses.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
