//! Processes on the lab's hosts, and what they write.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::until_within;

/// A process that does not outlive its value. What it writes, errors included, goes to a file.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// What became of a process.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub text: String,
}

impl Process {
    pub(super) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).expect("a log");
        println!("           {} > {}", line(&command), log.display());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("a process");
        Process { stdin: child.stdin.take(), child, log: log.into() }
    }

    /// Its number, which is that of the program itself.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("a log")).into_owned()
    }

    /// How often it has written something.
    pub fn count(&self, what: &str) -> usize {
        self.text().matches(what).count()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads its input");
    }

    /// Ends its input.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has written something.
    #[track_caller]
    pub fn until(&self, what: &str) {
        self.until_within(super::HANG, what);
    }

    /// The same, with another limit.
    #[track_caller]
    pub fn until_within(&self, limit: Duration, what: &str) {
        let deadline = Instant::now() + limit;
        while !self.text().contains(what) {
            assert!(Instant::now() < deadline, "no {what:?} in {limit:?}, but\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_none()
    }

    /// Sends it a signal: "INT", "KILL", "STOP", "CONT".
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "no process to be sent {name}");
    }

    /// Ends it as a user does, with the interrupt key.
    #[track_caller]
    pub fn interrupt(self) -> Ended {
        self.signal("INT");
        self.wait_within(super::HANG)
    }

    /// Ends it without warning.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Ended {
        until_within(limit, &format!("the end of {}", self.log.display()), || !self.is_running());
        let status = self.child.wait().expect("a process");
        Ended { status, text: self.text() }
    }

    /// How much memory it has in use, in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(command: &Command) -> String {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
