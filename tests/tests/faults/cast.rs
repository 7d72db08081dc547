//! Registrars, elements and users whose timers are short, and what may take how long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rserpool_core::EndpointConfig;
use rserpool_std::status::RegistrarStatus;
use rserpool_std::{EndpointOptions, PoolUser, resolve_registrar};
use rserpool_tests::rig::{Process, binary, built_command};

/// How long a busy host may take beyond what the protocol may take.
pub(crate) const HANG: Duration = Duration::from_secs(30);
pub(crate) const POOL: &str = "echo";

pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(1);
pub(crate) const MAX_TIME_LAST_HEARD: Duration = Duration::from_millis(1500);
pub(crate) const MAX_TIME_NO_RESPONSE: Duration = Duration::from_secs(1);
pub(crate) const PEER_HEARTBEAT_CYCLE: Duration = Duration::from_millis(500);

/// Waits for a condition, and says how long it took.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < HANG, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begin.elapsed()
}

/// A place for a registrar on loopback that nobody else has: on Linux all of 127.0.0.0/8 is this host.
pub(crate) fn place() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = (std::process::id() & 0x7fff) << 7 | NUMBER.fetch_add(1, Ordering::Relaxed) & 0x7f;
    std::net::Ipv4Addr::from(0x7f80_0000 | number).to_string()
}

/// Where a program runs: makes the command that runs it there.
pub(crate) type Where<'a> = &'a dyn Fn(&Path) -> Command;

pub(crate) fn here(program: &Path) -> Command {
    Command::new(program)
}

/// A registrar, which can be started again where it was.
pub(crate) struct Registrar {
    pub(crate) process: Option<Process>,
    pub(crate) ip: String,
    peers: Vec<String>,
    control: PathBuf,
}

impl Registrar {
    /// Starts one at `ip`, a peer of all others.
    pub(crate) fn start(at: Where<'_>, ip: &str, all: &[String]) -> Self {
        built_command();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let control = std::env::temp_dir().join(format!("rserpool-faults-{}-{number}", std::process::id()));
        let peers = all.iter().filter(|other| *other != ip).cloned().collect();
        let mut registrar = Registrar { process: None, ip: ip.into(), peers, control };
        registrar.start_again(at);
        registrar
    }

    pub(crate) fn start_again(&mut self, at: Where<'_>) {
        let mut command = at(&binary("rserpool"));
        command.args(["-v", "registrar", "--listen", &self.asap(), "--control"]).arg(&self.control);
        for (flag, time) in [
            ("keep-alive-interval", KEEP_ALIVE_INTERVAL),
            ("keep-alive-timeout", KEEP_ALIVE_TIMEOUT),
            ("max-time-last-heard", MAX_TIME_LAST_HEARD),
            ("max-time-no-response", MAX_TIME_NO_RESPONSE),
            ("peer-heartbeat-cycle", PEER_HEARTBEAT_CYCLE),
        ] {
            command.arg(format!("--{flag}={}ms", time.as_millis()));
        }
        if !self.peers.is_empty() {
            command.args(["--enrp-listen", &format!("{}:9901", self.ip)]);
            command.args(self.peers.iter().flat_map(|peer| ["--peer", peer]));
        }
        self.process = Some(Process::start(&format!("registrar {}", self.ip), command));
    }

    /// Ends it without a word, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// What it says of itself, with the elements.
    pub(crate) fn ask(&self) -> Option<RegistrarStatus> {
        rserpool_std::control::ask(&self.control, 100).ok()
    }

    /// The same, in numbers.
    pub(crate) fn count(&self) -> Option<RegistrarStatus> {
        rserpool_std::control::ask(&self.control, 0).ok()
    }

    pub(crate) fn asap(&self) -> String {
        format!("{}:3863", self.ip)
    }

    /// The elements that it knows, with their homes.
    pub(crate) fn homes(&self) -> Option<BTreeMap<u32, u32>> {
        let pools = self.ask()?.pools;
        Some(pools.iter().filter(|p| p.handle == POOL).flat_map(|p| &p.elements).map(|e| (e.id, e.home)).collect())
    }

    pub(crate) fn knows(&self, ids: &[u32]) -> bool {
        self.homes().is_some_and(|homes| homes.into_keys().eq(ids.iter().copied()))
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        drop(self.process.take());
        let _ = std::fs::remove_file(&self.control);
    }
}

/// Whether they all know each other, the same elements, and the same home of each, which is one of them.
pub(crate) fn agree(registrars: &[&Registrar], ids: &[u32]) -> bool {
    let statuses: Vec<_> = registrars.iter().filter_map(|registrar| registrar.ask()).collect();
    let known: Vec<u32> = statuses.iter().map(|status| status.id).collect();
    let peered = |status: &RegistrarStatus| status.peers.iter().filter(|p| p.connected && p.state == "active").count();
    if statuses.len() != registrars.len() || statuses.iter().any(|s| !s.serving || peered(s) != registrars.len() - 1) {
        return false;
    }
    let homes: Vec<_> = registrars.iter().filter_map(|registrar| registrar.homes()).collect();
    homes.iter().all(|h| h == &homes[0] && h.keys().eq(ids) && h.values().all(|home| known.contains(home)))
}

/// An element that is its own service, at this address.
pub(crate) fn element(at: Where<'_>, ip: &str, id: u32, registrars: &[&Registrar]) -> Process {
    let mut command = at(&binary("rserpool"));
    command.args(["-v", "element", "--echo", "--drain", "0", "--pool", POOL]);
    command.args(["--service", &format!("tcp://{ip}:0"), "--id", &id.to_string()]);
    command.args(registrars.iter().flat_map(|registrar| ["--registrar".into(), registrar.asap()]));
    Process::start(&format!("element {id}"), command)
}

/// A user in this process that asks a registrar anew each time.
pub(crate) fn user(registrars: &[&Registrar]) -> PoolUser {
    PoolUser::new(EndpointOptions {
        registrars: registrars.iter().map(|r| resolve_registrar(&r.asap()).unwrap()).collect(),
        asap: EndpointConfig {
            t1_enrp_request: Duration::from_secs(1),
            t5_server_hunt: Duration::from_millis(200),
            stale_cache_value: Duration::ZERO,
            ..EndpointConfig::default()
        },
        timeout: HANG,
        ..EndpointOptions::default()
    })
    .unwrap()
}
