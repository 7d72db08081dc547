//! Three registrars with one handlespace, as processes over loopback, that are killed, stopped and ended under load.
#![cfg(all(unix, feature = "cli"))]

mod loopback;
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use loopback::group_port;
use process::*;
use rserpool_core::EndpointConfig;
use rserpool_std::status::RegistrarStatus;
use rserpool_std::{EndpointOptions, PoolElement, PoolUser, Service, resolve_registrar};

/// Short enough for a test, long enough for a busy host.
const TIMES: [&str; 5] = [
    "--peer-heartbeat-cycle=500ms",
    "--max-time-last-heard=1500ms",
    "--max-time-no-response=1s",
    "--keep-alive-interval=2s",
    "--keep-alive-timeout=3s",
];
const POOL: &str = "echo";

/// A registrar that can be started again where it was.
struct Node {
    process: Process,
    asap: String,
    enrp: String,
    control: String,
    peers: Vec<String>,
}

fn spawn(asap: &str, enrp: &str, control: &str, peers: &[String]) -> Process {
    let mut arguments = vec!["-v", "registrar", "--listen", asap, "--enrp-listen", enrp, "--control", control];
    arguments.extend(TIMES);
    arguments.extend(peers.iter().flat_map(|peer| ["--peer", peer]));
    Process::start(&arguments)
}

impl Node {
    fn start_again(&mut self) {
        self.process = spawn(&self.asap, &self.enrp, &self.control, &self.peers);
    }

    fn ask(&self) -> Option<RegistrarStatus> {
        rserpool_std::control::ask(Path::new(&self.control), 1000).ok()
    }

    /// As anybody can ask.
    fn status(&self) -> RegistrarStatus {
        let status = run(&["status", "--json", "--control", &self.control]).exits_with(0);
        serde_json::from_str(&status.out).unwrap()
    }

    /// Kills without a word, and waits until the process is gone, so that its ports are free.
    fn kill(&mut self) {
        let dead = std::mem::replace(&mut self.process, Process::start(&["--version"]));
        dead.signal("KILL");
        dead.wait();
    }
}

/// `count` registrars that know each other.
fn cluster(directory: &Directory, count: usize) -> Vec<Node> {
    let address = || format!("127.0.0.1:{}", free_port());
    let places: Vec<(String, String)> = (0..count).map(|_| (address(), address())).collect();
    let nodes: Vec<Node> = (0..count)
        .map(|at| {
            let others = places.iter().enumerate().filter(|(other, _)| *other != at);
            let peers: Vec<String> = others.map(|(_, (_, enrp))| enrp.clone()).collect();
            let ((asap, enrp), control) = (places[at].clone(), directory.path(&format!("control{at}")));
            Node { process: spawn(&asap, &enrp, &control, &peers), asap, enrp, control, peers }
        })
        .collect();
    until_agreed(&nodes.iter().collect::<Vec<_>>(), 0);
    nodes
}

/// Elements of the pool, with their homes.
fn homes(status: &RegistrarStatus) -> BTreeMap<u32, u32> {
    let pools = status.pools.iter().filter(|pool| pool.handle == POOL);
    pools.flat_map(|pool| &pool.elements).map(|element| (element.id, element.home)).collect()
}

/// Why these registrars do not agree with each other, if they do not.
fn disagreement(statuses: &[RegistrarStatus], elements: usize) -> Option<String> {
    for status in statuses {
        let live = status.peers.iter().filter(|peer| peer.connected && peer.state == "active").count();
        if !status.serving || live != statuses.len() - 1 || homes(status).len() != elements {
            return Some(format!("{status:#?}"));
        }
        for other in statuses.iter().filter(|other| other.id != status.id) {
            let seen = status.peers.iter().find(|peer| peer.id == other.id);
            let seen = seen.map(|peer| (peer.owned, peer.checksum));
            if homes(status) != homes(other) || seen != Some((other.owned, other.checksum)) {
                return Some(format!("{:#010x} and {:#010x}: {status:#?} {other:#?}", status.id, other.id));
            }
        }
    }
    None
}

/// Waits until these registrars serve, know each other and nobody else, and have the same elements with the same homes
/// and checksums.
#[track_caller]
fn until_agreed(nodes: &[&Node], elements: usize) -> Vec<RegistrarStatus> {
    let deadline = Instant::now() + HANG;
    loop {
        let statuses: Vec<RegistrarStatus> = nodes.iter().filter_map(|node| node.ask()).collect();
        let why = match statuses.len() == nodes.len() {
            true => disagreement(&statuses, elements),
            false => Some("not all of them answer".to_owned()),
        };
        let Some(why) = why else { return nodes.iter().map(|node| node.status()).collect() };
        let logs = || nodes.iter().map(|node| node.process.err()).collect::<String>();
        assert!(Instant::now() < deadline, "the registrars do not agree: {why}\n{}", logs());
        thread::sleep(Duration::from_millis(20));
    }
}

fn echo(id: u32, registrars: &[&Node]) -> Process {
    let id = id.to_string();
    let mut arguments = vec!["-v", "element", "--echo", "--service", "tcp://127.0.0.1:0", "--pool", POOL, "--id", &id];
    arguments.extend(registrars.iter().flat_map(|node| ["--registrar", &node.asap]));
    Process::start(&arguments)
}

fn options(registrars: &[String]) -> EndpointOptions {
    EndpointOptions {
        registrars: registrars.iter().map(|address| resolve_registrar(address).unwrap()).collect(),
        asap: EndpointConfig {
            t1_enrp_request: Duration::from_secs(1),
            t5_server_hunt: Duration::from_millis(200),
            // Every request goes to a registrar.
            stale_cache_value: Duration::ZERO,
            serve_stale: false,
            ..EndpointConfig::default()
        },
        timeout: HANG,
        ..EndpointOptions::default()
    }
}

/// A pool user that asks all the time, and an element of another pool that comes and goes.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    user: JoinHandle<Result<Duration, String>>,
    churn: JoinHandle<()>,
}

impl Load {
    /// The answers have so many elements, always.
    fn start(nodes: &[Node], elements: usize) -> Self {
        let addresses: Vec<String> = nodes.iter().map(|node| node.asap.clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, known) = (Arc::clone(&stop), addresses.clone());
        let answers = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answers);
        let user = thread::spawn(move || {
            let user = PoolUser::new(options(&known)).unwrap();
            let mut slowest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let members = user.resolve(POOL).map(|members| members.len());
                slowest = slowest.max(asked.elapsed());
                if !matches!(members, Ok(count) if count == elements) {
                    let answers = count.load(Ordering::Relaxed);
                    return Err(format!("after {answers} answers, at {:?}: {members:?}", SystemTime::now()));
                }
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
            Ok(slowest)
        });
        let stopped = Arc::clone(&stop);
        let churn = thread::spawn(move || {
            let endpoint = PoolElement::new(options(&addresses)).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                let service = Service::tcp("coming and going", "127.0.0.1:9".parse().unwrap());
                let registration = endpoint.register(&service).expect("a registrar takes it");
                thread::sleep(Duration::from_millis(20));
                // A registrar that is killed meanwhile is no reason to stay.
                let _ = registration.deregister_within(Duration::from_secs(2));
            }
        });
        let load = Load { stop, answers, user, churn };
        load.goes_on();
        load
    }

    /// There are some more answers.
    fn goes_on(&self) {
        let before = self.answers.load(Ordering::Relaxed);
        until("answers", || self.user.is_finished() || self.answers.load(Ordering::Relaxed) > before + 10);
    }

    /// All answers were complete, those now as well, and none took long.
    #[track_caller]
    fn end(self, nodes: &[Node]) {
        self.goes_on();
        self.stop.store(true, Ordering::Relaxed);
        let logs = || nodes.iter().map(|node| node.process.err() + "\n").collect::<String>();
        let slowest = self.user.join().unwrap().unwrap_or_else(|why| panic!("{why}\n{}", logs()));
        self.churn.join().expect("elements could always register");
        println!("{} answers, the slowest after {slowest:?}", self.answers.load(Ordering::Relaxed));
        assert!(slowest < Duration::from_secs(5), "the slowest answer came after {slowest:?}");
    }
}

#[test]
fn no_element_is_lost_when_each_registrar_is_killed_in_turn_under_load() {
    const ELEMENTS: u32 = 6;
    let directory = Directory::new();
    let mut nodes = cluster(&directory, 3);
    // Each but the last knows one registrar only: it has to be found by the one that takes over.
    let elements: Vec<Process> = (1..=ELEMENTS)
        .map(|id| match id {
            ELEMENTS => echo(id, &nodes.iter().collect::<Vec<_>>()),
            _ => echo(id, &[&nodes[id as usize % 3]]),
        })
        .collect();
    let all = |nodes: &[Node]| until_agreed(&nodes.iter().collect::<Vec<_>>(), ELEMENTS as usize);
    let mut before = all(&nodes);
    let load = Load::start(&nodes, ELEMENTS as usize);
    for at in 0..3 {
        let dead = before[at].id;
        nodes[at].kill();
        let survivors: Vec<&Node> = nodes.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, node)| node).collect();
        let mut statuses = Vec::new();
        until("the takeover", || {
            statuses = until_agreed(&survivors, ELEMENTS as usize);
            statuses.iter().all(|status| homes(status).values().all(|home| *home != dead))
        });
        assert_eq!(homes(&statuses[0]).into_keys().collect::<Vec<_>>(), (1..=ELEMENTS).collect::<Vec<_>>());
        nodes[at].start_again();
        before = all(&nodes);
        assert_ne!(before[at].id, dead, "a new life, a new identifier");
    }
    load.end(&nodes);
    // The pool of the churn is empty in the end, everywhere.
    for node in &nodes {
        until("the other pool's end", || node.status().element_count == ELEMENTS);
    }
    drop(elements);
}

#[test]
fn a_registrar_that_ends_hands_its_elements_over_first() {
    let directory = Directory::new();
    let mut nodes = cluster(&directory, 3);
    let elements: Vec<Process> = (1..=4).map(|id| echo(id, &[&nodes[0]])).collect();
    let before = until_agreed(&nodes.iter().collect::<Vec<_>>(), 4);
    let leaving = before[0].id;
    assert!(homes(&before[1]).values().all(|home| *home == leaving));
    let load = Load::start(&nodes[1..], 4);
    let first = nodes.remove(0);
    first.process.signal("TERM");
    first.process.wait().exits_with(0).says(&["SIGTERM", "no pool element depends on this registrar"]);
    // At once, without a time-out: whoever has left owns nothing any more.
    let after = until_agreed(&nodes.iter().collect::<Vec<_>>(), 4);
    assert!(after.iter().all(|status| homes(status).values().all(|home| *home != leaving)), "{after:#?}");
    let takeovers = |status: &RegistrarStatus| status.counters.iter().any(|(name, n)| name == "takeovers" && *n > 0);
    assert!(!after.iter().any(takeovers), "nobody had to notice that it is gone: {after:#?}");
    load.end(&nodes);
    for element in &elements {
        assert!(element.err().contains("another registrar is the home now"), "{}", element.err());
    }
}

#[test]
fn a_registrar_that_stood_still_and_was_taken_over_comes_back_into_the_cluster() {
    let directory = Directory::new();
    let nodes = cluster(&directory, 3);
    let _elements: Vec<Process> = (1..=3).map(|id| echo(id, &[&nodes[0]])).collect();
    let before = until_agreed(&nodes.iter().collect::<Vec<_>>(), 3);
    let stopped = before[0].id;
    let load = Load::start(&nodes[1..], 3);
    nodes[0].process.signal("STOP");
    until("the takeover", || {
        let statuses = until_agreed(&[&nodes[1], &nodes[2]], 3);
        statuses.iter().all(|status| homes(status).values().all(|home| *home != stopped))
    });
    nodes[0].process.signal("CONT");
    let after = until_agreed(&nodes.iter().collect::<Vec<_>>(), 3);
    assert!(homes(&after[0]).values().all(|home| after.iter().any(|status| status.id == *home)), "{after:#?}");
    load.end(&nodes);
}

#[test]
fn a_registrar_that_is_told_itself_and_one_that_is_not_there_serves_alone() {
    let directory = Directory::new();
    let address = || format!("127.0.0.1:{}", free_port());
    let (asap, enrp, absent) = (address(), address(), address());
    let control = directory.path("control");
    let peers = vec![enrp.clone(), absent.clone()];
    let node = Node { process: spawn(&asap, &enrp, &control, &peers), asap, enrp, control, peers };
    until("the registrar to serve", || node.ask().is_some_and(|status| status.serving));
    let _element = echo(1, &[&node]);
    until("the element", || node.status().element_count == 1);
    let peers = node.status().peers;
    assert_eq!(peers.len(), 1, "it is no peer of itself: {peers:#?}");
    assert_eq!((peers[0].address.as_str(), peers[0].connected, peers[0].id), (absent.as_str(), false, 0));
    assert!(!node.process.err().contains("has the identifier"), "{}", node.process.err());
    let table = run(&["status", "--control", &node.control]).exits_with(0).out;
    for word in ["REGISTRAR", "this one", &absent, "not heard yet", "never"] {
        assert!(table.contains(word), "'{word}' is not in {table}");
    }
    node.process.signal("TERM");
    node.process.wait().exits_with(0);
}

#[test]
fn registrars_find_each_other_by_multicast() {
    let group = std::net::Ipv4Addr::new(239, 0, 0, 53);
    let (Some(asap_port), Some(enrp_port)) = (group_port(group.into()), group_port(group.into())) else { return };
    let directory = Directory::new();
    let groups = [
        format!("--group={group}:{asap_port}"),
        format!("--enrp-group={group}:{enrp_port}"),
        "--interface=127.0.0.1".to_owned(),
    ];
    let node = |name: &str| {
        let (asap, enrp) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let control = directory.path(name);
        let mut arguments = vec!["-v", "registrar", "--listen", &asap, "--enrp-listen", &enrp, "--control", &control];
        arguments.extend(TIMES);
        arguments.extend(groups.iter().map(String::as_str));
        Node { process: Process::start(&arguments), asap, enrp, control, peers: Vec::new() }
    };
    let nodes = [node("first"), node("second")];
    // Pool elements find their registrar in the same way.
    let mut arguments = vec!["-v", "element", "--echo", "--service", "tcp://127.0.0.1:0", "--pool", POOL];
    arguments.extend([groups[0].as_str(), "--interface=127.0.0.1"]);
    let _element = Process::start(&arguments);
    let statuses = until_agreed(&[&nodes[0], &nodes[1]], 1);
    assert!(statuses.iter().all(|status| status.peers.iter().all(|peer| !peer.configured)), "{statuses:#?}");
}
