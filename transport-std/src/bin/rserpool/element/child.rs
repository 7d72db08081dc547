//! The service as a child process.

use std::process::{Command, ExitCode, ExitStatus};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::signals::Wake;

/// How long a service may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Child {
    process: u32,
    status: Arc<Mutex<Option<ExitStatus>>>,
}

impl Child {
    /// Starts the service; `wake` is told when it ends.
    pub(super) fn start(program: &str, arguments: &[String], wake: Sender<Wake>) -> Result<Self, Error> {
        let mut child = Command::new(program)
            .args(arguments)
            .spawn()
            .map_err(|error| Error::system(format_args!("start '{program}'"), error))?;
        let process = child.id();
        let status = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&status);
        thread::Builder::new()
            .name("rserpool-service".to_owned())
            .spawn(move || {
                if let Ok(ended) = child.wait() {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
                }
                // Nobody may be waiting any more.
                let _ = wake.send(Wake::Other);
            })
            .map_err(|error| Error::system("start a thread", error))?;
        Ok(Child { process, status })
    }

    /// How the service ended, if it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the service: SIGTERM, and SIGKILL if that is not enough.
    pub(super) fn terminate(self) -> ExitStatus {
        self.end()
    }

    fn end(&self) -> ExitStatus {
        if let Some(status) = self.ended() {
            return status;
        }
        self.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        let mut killed = false;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if Instant::now() > deadline && !killed {
                tracing::warn!("the service does not end on SIGTERM: it is killed");
                self.signal("KILL");
                killed = true;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        // The standard library can only kill, and another way to send SIGTERM would need unsafe code or a crate.
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.to_string()).status();
        if let Err(error) = sent {
            tracing::warn!("cannot send SIG{name} to the service: {error}");
        }
    }
}

/// Whatever ends this command ends the service too: nobody else would know of it.
impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// The exit status to end with: the service's own.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    // As a shell does: 128 and the signal's number.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
