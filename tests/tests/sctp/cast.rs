//! Our command's roles, over SCTP, with timers that are short.

use rserpool_tests::lab::{Host, Process};

/// A registrar at these addresses of its host, with these peers.
pub(crate) fn registrar(host: Host<'_>, id: u8, addresses: &[String], peers: &[String]) -> Process {
    let (id, control) = (id.to_string(), control(host));
    let mut arguments = vec!["-vv", "registrar", "--transport", "sctp", "--id", &id, "--control", &control];
    // Where a path is lost, the request and its answer may each need a second until they take the other one.
    arguments.extend(["--keep-alive-interval", "1s", "--keep-alive-timeout", "5s"]);
    arguments.extend(["--peer-heartbeat-cycle", "1s", "--max-time-last-heard", "3s", "--max-time-no-response", "1s"]);
    arguments.extend(addresses.iter().flat_map(|address| ["--listen", address]));
    arguments.extend(peers.iter().flat_map(|peer| ["--peer", peer]));
    let registrar = host.rserpool(&arguments);
    registrar.until("registrar listens on sctp://");
    registrar
}

fn control(host: Host<'_>) -> String {
    format!("/run/registrar-{}", host.number())
}

/// What the registrar on a host knows, in JSON.
pub(crate) fn status(host: Host<'_>) -> String {
    let ended =
        host.rserpool(&["status", "--json", "--control", &control(host)]).wait_within(rserpool_tests::lab::HANG);
    ended.text
}

/// An echo service that registers, and has done so.
pub(crate) fn element(host: Host<'_>, pool: &str, id: u32, service: &str, more: &[&str]) -> Process {
    let id = format!("{id:#x}");
    let mut arguments = vec!["-vv", "element", "--transport", "sctp", "--echo", "--check", "0s"];
    arguments.extend(["--pool", pool, "--id", &id, "--service", service]);
    arguments.extend(more);
    let element = host.rserpool(&arguments);
    element.until("registered as");
    element
}

/// What a registrar answers.
pub(crate) fn resolve(host: Host<'_>, registrar: &str, pool: &str) -> String {
    let arguments = ["resolve", "--transport", "sctp", "--json", "--timeout", "5s", "-r", registrar, pool];
    host.rserpool(&arguments).wait_within(rserpool_tests::lab::HANG).text
}

/// A pool user with a prompt.
pub(crate) fn terminal(host: Host<'_>, registrar: &str, pool: &str) -> Process {
    let arguments = ["-v", "terminal", "--transport", "sctp", "--answer-timeout", "10s", "-r", registrar, pool];
    host.rserpool(&arguments)
}

/// Types a text and waits until it comes back.
#[track_caller]
pub(crate) fn echo(terminal: &mut Process, text: &str) {
    terminal.say(text);
    terminal.until(&format!("\n{text}\n"));
}
