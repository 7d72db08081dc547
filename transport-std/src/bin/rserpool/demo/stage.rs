//! The cast: the first act's registrar, in this process, and pool elements as processes that can be killed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rserpool_core::{PeId, RegistrarConfig};
use rserpool_std::{EndpointOptions, RegistrarOptions, RegistrarServer};

use crate::error::Error;

pub(super) const POOL: &str = "echo";

/// A registrar on a port of 127.0.0.1 that the system chooses.
pub(super) fn registrar() -> Result<RegistrarServer, Error> {
    let options = RegistrarOptions {
        registrar: RegistrarConfig { keep_alive_interval: Duration::from_secs(1), ..RegistrarConfig::new() },
        ..RegistrarOptions::listening_on(SocketAddr::from(([127, 0, 0, 1], 0)))
    };
    RegistrarServer::start(options).map_err(|error| Error::system("start a registrar", error))
}

pub(super) fn user_options(registrars: &[SocketAddr]) -> EndpointOptions {
    EndpointOptions {
        registrars: registrars.iter().map(|registrar| vec![*registrar]).collect(),
        timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_millis(500),
        ..EndpointOptions::default()
    }
}

/// A pool element: `rserpool element --echo` in a process of its own.
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) id: PeId,
    process: Child,
}

impl Element {
    pub(super) fn start(name: &'static str, id: PeId, registrars: &[SocketAddr]) -> Result<Self, Error> {
        let this = std::env::current_exe().map_err(|error| Error::system("find the command itself", error))?;
        let process = Command::new(this)
            .args(["-q", "element", "--echo", "--pool", POOL, "--service", "tcp://127.0.0.1:0"])
            .args(["--id", &id.to_string()])
            .args(registrars.iter().map(|registrar| format!("--registrar={registrar}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Error::system("start a pool element", error))?;
        Ok(Element { name, id, process })
    }

    /// SIGKILL: no word to anybody.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().map_err(|error| Error::system("kill a pool element", error))?;
        self.process.wait().map(|_| ()).map_err(|error| Error::system("wait for a pool element", error))
    }

    /// SIGTERM: it deregisters before it ends.
    pub(super) fn ask_to_leave(&self) -> Result<(), Error> {
        Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status()
            .map(|_| ())
            .map_err(|error| Error::system("ask a pool element to leave", error))
    }

    /// Whether its process has ended.
    pub(super) fn has_ended(&mut self) -> Result<bool, Error> {
        let ended = self.process.try_wait().map_err(|error| Error::system("look at a pool element", error))?;
        Ok(ended.is_some())
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
