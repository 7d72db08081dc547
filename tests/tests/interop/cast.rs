//! Who plays: registrars, pool elements and pool users of both kinds, with timers that are as short as rsplib lets them
//! be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_std::status::RegistrarStatus;
use rserpool_tests::lab::{self, Host, Process};

/// Whose implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Told that the others are rsplib.
    Ours,
    /// Not told, so it has to find out.
    OursUntold,
    Theirs,
}

impl Kind {
    pub(crate) fn is_ours(self) -> bool {
        self != Kind::Theirs
    }
}

/// The identifier of the registrar on a host, where it does not matter.
pub(crate) fn id(host: u8) -> u32 {
    0x1111_1111 * u32::from(host)
}

/// A registrar on a host. Its peers are named by their hosts.
pub(crate) fn registrar(kind: Kind, host: Host<'_>, id: u32, peers: &[u8]) -> Process {
    registrar_at(kind, host, id, &[host.ip()], peers, 2)
}

/// A registrar with the addresses that its host has on two links. Its elements have time to try the other one.
pub(crate) fn registrar_on_two_links(kind: Kind, host: Host<'_>, id: u32) -> Process {
    registrar_at(kind, host, id, &[0, 1].map(|link| lab::v4(host.number(), link)), &[], 6)
}

/// `patience`: how many seconds a keep-alive may take.
fn registrar_at(kind: Kind, host: Host<'_>, id: u32, ips: &[IpAddr], peers: &[u8], patience: u32) -> Process {
    let peers = peers.iter().map(|peer| at(host.sibling(*peer).ip(), 9901));
    let mut arguments: Vec<String> = Vec::new();
    match kind {
        Kind::Ours | Kind::OursUntold => {
            let compat = if kind == Kind::Ours { "rsplib" } else { "auto" };
            arguments.extend(["-vv", "registrar", "--transport", "sctp", "--compat", compat].map(String::from));
            for ip in ips {
                arguments.extend(["--listen".into(), at(*ip, 3863), "--enrp-listen".into(), at(*ip, 9901)]);
            }
            arguments.extend(["--id".into(), format!("{id:#x}"), "--control".into(), control(host)]);
            arguments.extend(["--keep-alive-timeout".into(), format!("{patience}s")]);
            let timers = [
                ["--keep-alive-interval", "2s"],
                ["--peer-heartbeat-cycle", "1s"],
                ["--max-time-last-heard", "3s"],
                ["--max-time-no-response", "2s"],
            ];
            arguments.extend(timers.as_flattened().iter().copied().map(String::from));
            for peer in peers {
                arguments.extend(["--peer".into(), peer]);
            }
            let registrar = host.rserpool(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            registrar.until("registrar listens on");
            registrar
        }
        Kind::Theirs => {
            let more: String = ips.iter().skip(1).map(|ip| format!(",{ip}")).collect();
            arguments.push(format!("-asap={}{more}", at(ips[0], 3863)));
            arguments.push(format!("-enrp={}{more}", at(ips[0], 9901)));
            arguments.push(format!("-identifier={id:#x}"));
            arguments.push(format!("-endpointkeepalivetimeoutinterval={patience}000"));
            let rest = [
                "-asapannounce=off",
                "-enrpannounce=off",
                "-endpointkeepalivetransmissioninterval=2000",
                "-peerheartbeatcycle=1000",
                "-peermaxtimelastheard=3000",
                "-peermaxtimenoresponse=2000",
                "-takeoverexpiryinterval=2000",
                "-loglevel=5",
                "-logcolor=off",
            ];
            arguments.extend(rest.map(String::from));
            arguments.extend(peers.map(|peer| format!("-peer={peer}")));
            let registrar = host.start("rspregistrar", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            registrar.until("Registrar started");
            registrar
        }
    }
}

/// Where our registrar on a host is asked for its state.
fn control(host: Host<'_>) -> String {
    format!("/run/registrar-{}", host.number())
}

/// The state of our registrar on a host, without its elements.
#[track_caller]
pub(crate) fn status(host: Host<'_>) -> RegistrarStatus {
    rserpool_std::control::ask(control(host).as_ref(), 0).expect("a registrar of ours")
}

/// Waits until a registrar's start is over.
#[track_caller]
pub(crate) fn ready(kind: Kind, registrar: &Process) {
    if kind == Kind::Theirs {
        registrar.until("The registrar is ready");
    }
}

fn at(ip: IpAddr, port: u16) -> String {
    SocketAddr::new(ip, port).to_string()
}

/// An echo server of rsplib that registers at one of some hosts' registrars.
pub(crate) fn server(host: Host<'_>, pool: &str, id: u32, registrars: &[u8], more: &[&str]) -> Process {
    let (pool, id) = (format!("-poolhandle={pool}"), format!("-identifier={id:#x}"));
    let registrars: Vec<_> =
        registrars.iter().map(|number| format!("-registrar={}", at(host.sibling(*number).ip(), 3863))).collect();
    let mut arguments =
        vec!["-echo", &pool, &id, "-asapannounce=off", "-rereginterval=2000", "-loglevel=5", "-logcolor=off"];
    arguments.extend(registrars.iter().map(String::as_str));
    arguments.extend(more);
    host.start("rspserver", &arguments)
}

/// A pool user of rsplib with a prompt.
pub(crate) fn terminal(host: Host<'_>, pool: &str, registrars: &[u8]) -> Process {
    let pool = format!("-poolhandle={pool}");
    let registrars: Vec<_> =
        registrars.iter().map(|number| format!("-registrar={}", at(host.sibling(*number).ip(), 3863))).collect();
    let mut arguments = vec![pool.as_str(), "-asapannounce=off", "-loglevel=4", "-logcolor=off"];
    arguments.extend(registrars.iter().map(String::as_str));
    host.start("rspterminal", &arguments)
}

/// Types a text until it comes back, from this element if one is named.
#[track_caller]
pub(crate) fn echo(terminal: &mut Process, text: &str, from: Option<u32>) {
    let wanted = from.map_or_else(|| format!("> {text}"), |from| format!("from PE ${from:08x}> {text}"));
    let before = terminal.count(&wanted);
    lab::until(&format!("{wanted:?}"), || {
        terminal.say(text);
        std::thread::sleep(Duration::from_millis(400));
        terminal.count(&wanted) > before
    });
}

/// What our user is told of a pool by the registrar on a host.
pub(crate) fn resolve(host: Host<'_>, registrar: u8, pool: &str, items: u32) -> String {
    let registrar = at(host.sibling(registrar).ip(), 3863);
    let items = items.to_string();
    host.run(
        &lab::rserpool().to_string_lossy(),
        &[
            &["resolve", "--json", "--transport", "sctp", "--rsplib", "-r", &registrar],
            &["--items", &items, "--timeout", "5s", pool][..],
        ]
        .concat(),
    )
    .text
}

/// An echo server of ours that registers at one of some hosts' registrars.
pub(crate) fn element(host: Host<'_>, pool: &str, id: u32, registrars: &[u8], more: &[&str]) -> Process {
    element_at(host, 7000, pool, id, registrars, more)
}

/// The same, with a port for the service.
pub(crate) fn element_at(host: Host<'_>, port: u16, pool: &str, id: u32, registrars: &[u8], more: &[&str]) -> Process {
    let (service, local) = (format!("sctp://{}", at(host.ip(), port)), host.ip().to_string());
    let more: Vec<_> = ["--local", &local].into_iter().chain(more.iter().copied()).collect();
    ours(
        host,
        "element",
        &["--pool", pool, "--id", &format!("{id:#x}"), "--service", &service, "--echo", "--control-channel"],
        registrars,
        &more,
    )
}

/// The same, where no registrar of rsplib's is meant.
pub(crate) fn element_of_rfc(host: Host<'_>, pool: &str, id: u32, registrars: &[u8]) -> Process {
    let service = format!("sctp://{}", at(host.ip(), 7000));
    let its = ["--pool", pool, "--id", &format!("{id:#x}"), "--service", &service, "--echo", "--control-channel"];
    let local = host.ip().to_string();
    // Our registrars here take it for milliseconds.
    let its = [&its[..], &["--local", &local, "--lifetime", "300000s"]].concat();
    started(host, "element", &[], &its, registrars)
}

/// An echo server of ours on both links of its host.
pub(crate) fn element_on_two_links(host: Host<'_>, pool: &str, id: u32, registrars: &[u8]) -> Process {
    let [first, second] = [0, 1].map(|link| lab::v4(host.number(), link).to_string());
    let service = format!("sctp://{first}:7000,{second}");
    let id = format!("{id:#x}");
    let more = ["--local", &first, "--local", &second];
    ours(
        host,
        "element",
        &["--pool", pool, "--id", &id, "--service", &service, "--echo", "--control-channel"],
        registrars,
        &more,
    )
}

/// An echo server of ours that talks TCP with its users.
pub(crate) fn tcp_element(host: Host<'_>, pool: &str, id: u32, registrars: &[u8]) -> Process {
    let service = format!("tcp://{}", at(host.ip(), 7000));
    ours(
        host,
        "element",
        &["--pool", pool, "--id", &format!("{id:#x}"), "--service", &service, "--echo"],
        registrars,
        &[],
    )
}

/// A pool user of ours to which lines can be given.
pub(crate) fn user(host: Host<'_>, pool: &str, registrars: &[u8]) -> Process {
    ours(host, "terminal", &[pool], registrars, &[])
}

fn ours(host: Host<'_>, what: &str, its: &[&str], registrars: &[u8], more: &[&str]) -> Process {
    started(host, what, &["--rsplib"], &[its, more].concat(), registrars)
}

fn started(host: Host<'_>, what: &str, compat: &[&str], its: &[&str], registrars: &[u8]) -> Process {
    let registrars: Vec<_> = registrars.iter().map(|number| at(host.sibling(*number).ip(), 3863)).collect();
    let mut arguments = vec!["-vv", what, "--transport", "sctp"];
    arguments.extend(compat);
    arguments.extend(its);
    for registrar in &registrars {
        arguments.extend(["-r", registrar]);
    }
    host.rserpool(&arguments)
}

/// Gives our user a line, and waits until it comes back.
#[track_caller]
pub(crate) fn echo_by_ours(user: &mut Process, text: &str) {
    user.say(text);
    user.until(&format!("\n{text}\n"));
}
