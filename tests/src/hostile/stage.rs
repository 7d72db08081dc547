//! A registrar that runs as a process, and those who behave: an element, a user, and another registrar where it is wanted.

use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rserpool_core::{Link, PeId};
use rserpool_std::status::RegistrarStatus;
use rserpool_std::{
    EndpointOptions, PoolElement, PoolUser, RegistrarOptions, RegistrarServer, Registration, Service, control,
};

use super::probe::{self, Probe};
use super::usage::{SLACK, Usage};
use crate::lab;
use crate::scene::{HANG, Peer, at, endpoint, until};

/// The pool of the registrar's own element.
pub const GOOD: &str = "good";
/// The pool of the element that the other registrar is home to.
pub const FAR: &str = "far";

/// How the registrar is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Arguments before `registrar`.
    pub verbosity: &'static [&'static str],
    /// Arguments after it.
    pub arguments: Vec<String>,
    /// What a shell does first, such as `ulimit`.
    pub shell: &'static str,
    /// Where its log goes. Nothing: a file that is shown if the test fails.
    pub log: Option<&'static str>,
    /// Whether there is another registrar.
    pub peered: bool,
    /// Whether the registrar is attacked while it starts.
    pub starting: bool,
    /// Whether all of it is over SCTP: where the kernel has it, and is slow.
    pub sctp: bool,
    /// The port of the multicast groups over loopback.
    pub multicast: Option<u16>,
}

impl Setup {
    /// With another registrar.
    pub fn peered() -> Self {
        Setup { peered: true, ..Setup::default() }
    }

    /// With multicast groups.
    ///
    /// # Panics
    /// The host has no free port.
    pub fn multicast() -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        Setup { multicast: Some(free.port()), ..Setup::peered() }
    }
}

/// What an attack came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it did, in numbers.
    pub did: String,
    /// What became of the well-behaved user meanwhile.
    pub service: probe::Service,
    /// What the attacked process held before and afterwards.
    pub usage: [Usage; 2],
}

/// A process of our command, which ends with the value.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// # Panics
    /// It cannot be started.
    pub fn start(shell: &str, log: Option<&str>, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rserpool-hostile-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name).with_extension("log");
        let errors = match log {
            Some(device) => File::options().write(true).open(device).expect("the log's device"),
            None => File::create(&path).expect("a log"),
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shell} exec \"$0\" \"$@\"")).arg(lab::rserpool()).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().expect("a process");
        Process { child, log: path }
    }

    /// Its number: `exec` keeps that of the shell.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the shell has become our command.
    pub fn is_ours(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.id())).is_ok_and(|name| name == "rserpool\n")
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// The system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("the end of its log:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        let _ = fs::remove_file(&self.log);
    }
}

/// The other registrar, with an element of its own.
struct Far {
    registrar: RegistrarServer,
    _element: PoolElement,
}

/// The registrar, and those who behave.
pub struct Stage {
    process: Process,
    control: PathBuf,
    /// Where pool elements and users connect.
    pub asap: SocketAddr,
    /// Where registrars connect.
    pub enrp: SocketAddr,
    sctp: bool,
    /// The groups of ASAP and ENRP.
    pub groups: [SocketAddr; 2],
    /// The good element.
    pub id: PeId,
    _element: PoolElement,
    far: Option<Far>,
}

impl Stage {
    /// # Panics
    /// Something that behaves does not work.
    pub fn start(setup: &Setup) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rserpool-hostile-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let control = std::env::temp_dir().join(name).with_extension("sock");
        let path = control.to_string_lossy().into_owned();
        let port = setup.multicast.unwrap_or(0);
        let groups = [SocketAddr::from(([239, 0, 0, 77], port)), SocketAddr::from(([239, 0, 0, 78], port))];
        let [asap_group, enrp_group] = groups.map(|group| group.to_string());
        let mut arguments = [setup.verbosity, &["registrar", "--listen", "127.0.0.1:0", "--control", &path]].concat();
        // One that waits for elements to be taken over, or for peers to be forgotten, does not wait for minutes.
        arguments.extend(["--enrp-listen", "127.0.0.1:0", "--peer-heartbeat-cycle", "300ms"]);
        arguments.extend(["--max-time-last-heard", "1s", "--max-time-no-response", "1s"]);
        let timeout = if setup.sctp { "15s" } else { "4s" };
        arguments.extend(["--keep-alive-interval", "500ms", "--keep-alive-timeout", timeout]);
        if setup.sctp {
            arguments.extend(["--transport", "sctp"]);
        }
        if setup.multicast.is_some() {
            arguments.extend(["--group", &asap_group, "--enrp-group", &enrp_group, "--interface", "127.0.0.1"]);
        }
        arguments.extend(setup.arguments.iter().map(String::as_str));
        let mut process = Process::start(setup.shell, setup.log, &arguments);
        let mut status = None;
        until("the registrar", || {
            assert!(process.is_running(), "the registrar does not start");
            status = control::ask(&control, 0).ok();
            status.is_some()
        });
        let status = status.expect("a status");
        let address = |listening: &[String]| -> SocketAddr {
            let text = listening.first().expect("an address");
            text.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text}"))
        };
        let (asap, enrp) = (address(&status.listening), address(&status.enrp_listening));
        let (element, id) = good(options(asap, setup.sctp), GOOD);
        let sctp = setup.sctp;
        let mut stage = Stage { process, control, asap, enrp, sctp, groups, id, _element: element, far: None };
        if setup.peered {
            stage.far = Some(stage.far(enrp));
        }
        if !setup.starting {
            until("the start", || stage.is_as_before());
        }
        stage
    }

    fn far(&self, peer: SocketAddr) -> Far {
        let registrar = self.another(peer);
        let (element, _) = good(endpoint(&[registrar.local_addr()]), FAR);
        Far { registrar, _element: element }
    }

    /// One more well-behaved registrar.
    ///
    /// # Panics
    /// It does not start.
    pub fn another(&self, peer: SocketAddr) -> RegistrarServer {
        let mut options = RegistrarOptions::listening_on(at(0));
        options.enrp_listen = vec![at(0)];
        options.peers = vec![vec![peer]];
        options.registrar.enrp.peer_heartbeat_cycle = std::time::Duration::from_millis(300);
        options.registrar.enrp.max_time_last_heard = std::time::Duration::from_secs(5);
        RegistrarServer::start(options).expect("another registrar")
    }

    /// The other registrar's identifier.
    ///
    /// # Panics
    /// There is none.
    pub fn far_id(&self) -> rserpool_core::ServerId {
        self.far.as_ref().expect("another registrar").registrar.id()
    }

    /// # Panics
    /// The registrar does not answer.
    pub fn status(&self) -> RegistrarStatus {
        control::ask(&self.control, 100).expect("the registrar tells its state")
    }

    /// A counter of the registrar's.
    ///
    /// # Panics
    /// There is no such.
    pub fn counted(&self, name: &str) -> u64 {
        let counters = self.status().counters;
        counters.iter().find(|(counter, _)| counter == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// A peer on the port of ASAP.
    pub fn asap(&self) -> Peer {
        Peer::connect(self.asap)
    }

    /// A peer on the port of ENRP.
    pub fn enrp(&self) -> Peer {
        Peer::connect(self.enrp)
    }

    /// What the registrar's process holds.
    pub fn usage(&self) -> Usage {
        Usage::of(self.process.id())
    }

    /// A user of this registrar.
    ///
    /// # Panics
    /// It cannot be.
    pub fn user(&self) -> PoolUser {
        PoolUser::new(options(self.asap, self.sctp)).expect("a user")
    }

    /// Whether there is nothing and nobody but those who behave.
    fn is_as_before(&self) -> bool {
        let status = self.status();
        let far = usize::from(self.far.is_some());
        // A configured peer that is not there is looked for for ever, and has no identifier.
        let peers: Vec<_> = status.peers.iter().filter(|peer| peer.id != 0).collect();
        let known = self.far.as_ref().is_none_or(|far| peers.iter().all(|peer| peer.id == far.registrar.id().0));
        let elements = 1 + far;
        let all = status.serving && known && peers.len() == far && status.subscriptions == 0;
        all && (status.element_count as usize, status.pool_count as usize) == (elements, elements)
    }

    /// Attacks the registrar. Meanwhile the good user is served, and afterwards all is as it was before.
    ///
    /// # Panics
    /// It is not so.
    #[track_caller]
    pub fn endures(mut self, attack: impl FnOnce(&Stage) -> String) -> Outcome {
        let user = self.user();
        assert_eq!(user.resolve(GOOD).map(|members| members.len()).ok(), Some(1), "before the attack");
        let before = self.usage();
        let probe = Probe::start(user, GOOD, self.id);
        let did = attack(&self);
        let service = probe.stop();
        assert!(self.process.is_running(), "the registrar has ended");
        assert_eq!(service.served, service.requests, "not served: {:?}", service.failure);
        let deadline = std::time::Instant::now() + HANG;
        while !self.is_as_before() {
            assert!(std::time::Instant::now() < deadline, "not as before: {:#?}", self.status());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // The user's association is gone with it; those of SCTP share one.
        let descriptors = before.descriptors - usize::from(!self.sctp);
        until("the descriptors to be closed", || self.usage().descriptors <= descriptors);
        let after = self.usage();
        assert!(after.memory <= before.memory + SLACK, "it has grown from {before:?} to {after:?}");
        let user = self.user();
        let served = |pool| user.resolve(pool).is_ok_and(|members| members.len() == 1);
        assert!(served(GOOD), "after the attack");
        if self.far.is_some() {
            until("the other registrar's element", || served(FAR));
        }
        Outcome { did, service, usage: [before, after] }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.control);
    }
}

/// A well-behaved element.
fn good(options: EndpointOptions, pool: &'static str) -> (PoolElement, PeId) {
    let element = PoolElement::new(options).expect("an element");
    let registration: Registration<'_> = element.register(&Service::tcp(pool, at(7))).expect("a registration");
    let id = registration.id().expect("a driver").expect("an identifier");
    // To drop it would deregister.
    std::mem::forget(registration);
    (element, id)
}

/// Options of those who behave.
fn options(registrar: SocketAddr, sctp: bool) -> EndpointOptions {
    let mut options = endpoint(&[registrar]);
    if sctp {
        options.link = Link::Sctp;
        options.sctp_addresses = vec![at(0)];
    }
    options
}

/// Options of an endpoint that gives a registrar up soon.
pub fn impatient(registrars: &[SocketAddr]) -> EndpointOptions {
    let mut options = endpoint(registrars);
    let soon = std::time::Duration::from_millis(200);
    options.asap.t1_enrp_request = soon;
    options.asap.t2_registration = soon;
    options.asap.t3_deregistration = soon;
    options.driver.write_stall = std::time::Duration::from_millis(500);
    options
}
