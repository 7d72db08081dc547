//! The second act's cast: registrars as processes that can be killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rserpool_std::control;
use rserpool_std::status::RegistrarStatus;

use super::act::wait;
use crate::error::Error;

/// The RFC's times are for networks, not for an audience.
const TIMES: [&str; 5] = [
    "--peer-heartbeat-cycle=400ms",
    "--max-time-last-heard=1s",
    "--max-time-no-response=500ms",
    "--keep-alive-interval=1s",
    "--keep-alive-timeout=1s",
];

/// A folder for the control sockets, which goes with the act.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("rserpool-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| Error::system(format_args!("make the folder {}", path.display()), error))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it cannot be removed nobody is harmed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `rserpool registrar` in a process of its own.
pub(super) struct Registrar {
    pub(super) name: &'static str,
    control: PathBuf,
    /// Where it listens: at first where the system chooses, and there again when it is started again.
    pub(super) asap: SocketAddr,
    pub(super) enrp: SocketAddr,
    process: Child,
}

impl Registrar {
    pub(super) fn start(name: &'static str, folder: &Folder, peers: &[SocketAddr]) -> Result<Self, Error> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let control = folder.0.join(name);
        let process = spawn(&control, any, any, peers)?;
        let mut registrar = Registrar { name, control, asap: any, enrp: any, process };
        let status = registrar.until_it_answers()?;
        registrar.asap = first_address(&status.listening)?;
        registrar.enrp = first_address(&status.enrp_listening)?;
        Ok(registrar)
    }

    /// SIGKILL: no word to anybody.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().map_err(|error| Error::system("kill a registrar", error))?;
        self.process.wait().map(|_| ()).map_err(|error| Error::system("wait for a registrar", error))
    }

    pub(super) fn start_again(&mut self, peers: &[SocketAddr]) -> Result<(), Error> {
        self.process = spawn(&self.control, self.asap, self.enrp, peers)?;
        self.until_it_answers().map(|_| ())
    }

    fn until_it_answers(&mut self) -> Result<RegistrarStatus, Error> {
        let (control, process) = (&self.control, &mut self.process);
        let mut status = None;
        let ready = || {
            let ended = process.try_wait().map_err(|error| Error::system("look at a registrar", error))?;
            if let Some(ended) = ended {
                return Err(Error::Failed(format!("a registrar has ended at its start ({ended})")));
            }
            status = control::ask(control, 0).ok();
            Ok(status.is_some())
        };
        wait(ready, "a registrar to start")?;
        status.ok_or_else(|| Error::Failed("a registrar does not answer".to_owned()))
    }

    pub(super) fn status(&self) -> Result<RegistrarStatus, Error> {
        control::ask(&self.control, 100).map_err(|error| Error::system(format_args!("ask {}", self.name), error))
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(control: &Path, asap: SocketAddr, enrp: SocketAddr, peers: &[SocketAddr]) -> Result<Child, Error> {
    let this = std::env::current_exe().map_err(|error| Error::system("find the command itself", error))?;
    Command::new(this)
        .args(["-q", "registrar", "--control"])
        .arg(control)
        .args([format!("--listen={asap}"), format!("--enrp-listen={enrp}")])
        .args(TIMES)
        .args(peers.iter().map(|peer| format!("--peer={peer}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| Error::system("start a registrar", error))
}

fn first_address(urls: &[String]) -> Result<SocketAddr, Error> {
    let address = urls.first().and_then(|url| url.strip_prefix("tcp://")).and_then(|address| address.parse().ok());
    address.ok_or_else(|| Error::Failed("a registrar does not say where it listens".to_owned()))
}

/// The elements and their homes, by identifiers.
pub(super) fn homes(status: &RegistrarStatus) -> BTreeMap<u32, u32> {
    let elements = status.pools.iter().flat_map(|pool| &pool.elements);
    elements.map(|element| (element.id, element.home)).collect()
}

/// Whether these registrars serve, know each other, and have the same in their handlespaces: the same elements with the
/// same homes, and for what each of them owns the checksum that it has itself.
pub(super) fn agree(statuses: &[RegistrarStatus]) -> bool {
    let live = |status: &RegistrarStatus| {
        let active = status.peers.iter().filter(|peer| peer.connected && peer.state == "active");
        status.serving && active.count() == statuses.len() - 1
    };
    let same = |a: &RegistrarStatus, b: &RegistrarStatus| {
        let of_b = a.peers.iter().find(|peer| peer.id == b.id);
        homes(a) == homes(b) && of_b.is_some_and(|peer| (peer.owned, peer.checksum) == (b.owned, b.checksum))
    };
    statuses.iter().all(live) && statuses.iter().all(|a| statuses.iter().all(|b| a.id == b.id || same(a, b)))
}
