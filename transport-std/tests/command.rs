//! The `rserpool` command at work: processes over loopback.
#![cfg(all(unix, feature = "cli"))]

mod process;

use std::path::Path;
use std::process::Stdio;

use process::*;

#[test]
fn resolve_and_status_show_what_is_registered() {
    let registrar = Registrar::start(&[]);
    let _a = registrar.echo("echo", &["--id", "0xa"]);
    registrar.until_elements(1);
    let _b = registrar.echo("echo", &["--id", "0xb"]);
    registrar.until_elements(2);

    let table = registrar.resolve("echo", &[]).exits_with(0).out;
    assert!(table.starts_with("ID "), "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
    for word in ["0x0000000a", "0x0000000b", "TCP", "127.0.0.1:", "round robin", "300 s"] {
        assert!(table.contains(word), "'{word}' is not in {table}");
    }
    let answer = registrar.resolve("echo", &["--json"]).exits_with(0).json();
    assert_eq!(answer["pool"], "echo");
    assert_eq!(answer["elements"].as_array().unwrap().len(), 2);
    let one = registrar.resolve("echo", &["--json", "--items", "1"]).exits_with(0).json();
    assert_eq!(one["elements"].as_array().unwrap().len(), 1);

    let status = ["status", "--control", &registrar.control];
    let table = run(&status).exits_with(0).out;
    for word in ["1 pools, 2 elements", "echo", "0x0000000a", "registrations", &registrar.address] {
        assert!(table.contains(word), "'{word}' is not in {table}");
    }
    let short = run(&[&status[..], &["--elements", "1"]].concat()).exits_with(0).out;
    assert!(short.contains("and 1 more (--elements)"), "{short}");
    let json = run(&[&status[..], &["--json"]].concat()).exits_with(0).json();
    assert_eq!(json["element_count"], 2);
}

#[test]
fn a_watch_shows_the_pool_whenever_it_changes_even_if_it_did_not_exist() {
    let registrar = Registrar::start(&[]);
    let watch = Process::start(&["resolve", "echo", "--watch", "--json", "--registrar", &registrar.address]);
    let lines = |count: usize| {
        until(&format!("{count} lines"), || watch.out().lines().count() >= count);
        let last = watch.out().lines().nth(count - 1).unwrap().to_owned();
        serde_json::from_str::<serde_json::Value>(&last).unwrap()
    };
    assert!(lines(1)["error"].as_str().unwrap().contains("unknown pool handle"));
    let a = registrar.echo("echo", &["--id", "1"]);
    assert_eq!(lines(2)["elements"][0]["id"], 1);
    let _b = registrar.echo("echo", &["--id", "2"]);
    assert_eq!(lines(3)["elements"].as_array().unwrap().len(), 2);
    a.signal("KILL");
    assert_eq!(lines(4)["elements"][0]["id"], 2);
}

#[test]
fn an_unknown_pool_and_a_silent_registrar_are_failures() {
    let registrar = Registrar::start(&[]);
    registrar.resolve("nobody", &[]).exits_with(1).says(&["nobody", "unknown pool handle"]);
    let nobody = format!("127.0.0.1:{}", free_port());
    let silent = run(&["resolve", "echo", "--registrar", &nobody, "--timeout", "200ms"]);
    silent.exits_with(1).says(&["echo", "no registrar has answered within 200ms", &nobody]);
}

#[test]
fn without_a_registrar_status_says_what_to_do() {
    let port = free_port().to_string();
    run(&["status", "--port", &port]).exits_with(3).says(&["cannot ask a registrar at", &port, "--port", "--control"]);
    run(&["status", "--control", "/nonexistent/socket"]).exits_with(3).says(&["/nonexistent/socket", "--control"]);
}

#[test]
fn a_changed_policy_file_changes_the_registration() {
    let registrar = Registrar::start(&[]);
    let file = registrar.directory.write("load", "lu:10%\n");
    let element = registrar.echo("work", &["--policy-file", &file, "--check", "100ms"]);
    let policy = || registrar.resolve("work", &["--json"]).json()["elements"][0]["policy"].to_string();
    registrar.until_elements(1);
    assert!(policy().contains("0x19999999"), "{}", policy());
    std::fs::write(&file, "lu:90%\n").unwrap();
    until("the new load", || policy().contains("0xe6666665"));
    // What cannot be understood changes nothing, and is told.
    std::fs::write(&file, "best\n").unwrap();
    until("a warning", || element.err().contains("unknown policy 'best'"));
    assert!(policy().contains("0xe6666665"), "{}", policy());
}

#[test]
fn a_policy_that_the_registrar_refuses_is_taken_back() {
    let registrar = Registrar::start(&[]);
    let _other = registrar.echo("work", &["--policy", "lu:50%"]);
    registrar.until_elements(1);
    let file = registrar.directory.write("load", "lu:10%");
    let element = registrar.echo("work", &["--policy-file", &file, "--check", "100ms", "--lifetime", "2s"]);
    registrar.until_elements(2);
    std::fs::write(&file, "rr").unwrap();
    until("a warning", || element.err().contains("stays"));
    assert!(element.err().contains("inconsistent pool policy"), "{}", element.err());
    // It is renewed as it was: twice after the refusal, so it does not end with its lifetime.
    let renewed = registrar.counter("reregistrations");
    until("renewals", || registrar.counter("reregistrations") > renewed + 2);
    assert_eq!(registrar.status().element_count, 2);
}

#[test]
fn an_element_deregisters_on_sigterm_and_is_removed_after_sigkill() {
    let registrar = Registrar::start(&[]);
    let element = registrar.echo("echo", &[]);
    registrar.until_elements(1);
    element.signal("TERM");
    element.wait().exits_with(0).says(&["SIGTERM", "deregistered"]);
    assert_eq!((registrar.status().element_count, registrar.counter("deregistrations")), (0, 1));

    let element = registrar.echo("echo", &[]);
    registrar.until_elements(1);
    element.signal("KILL");
    registrar.until_elements(0);
    assert_eq!((registrar.counter("deregistrations"), registrar.counter("elements lost")), (1, 1));
}

#[test]
fn an_element_ends_though_no_registrar_hears_its_farewell() {
    let registrar = Registrar::start(&[]);
    let element = registrar.echo("echo", &["--timeout", "300ms"]);
    registrar.until_elements(1);
    registrar.process.signal("KILL");
    until("the loss of the registrar", || element.err().contains("home registrar lost"));
    element.signal("TERM");
    element.wait().exits_with(0).says(&["deregistration: timed out"]);
}

/// A command that runs an echo service on `port` until `stop` exists, and then ends with status 3.
fn service(port: u16, pid: &str, stop: &str) -> String {
    format!(
        "'{BINARY}' -qq element --echo --pool own --service tcp://127.0.0.1:{port} --registrar 127.0.0.1:1 & \
         echo $! > '{pid}.part'; mv '{pid}.part' '{pid}'; \
         while [ ! -e '{stop}' ] && kill -0 $!; do sleep 0.02; done; kill $!; wait $!; exit 3"
    )
}

#[test]
fn a_service_is_registered_when_it_answers_and_its_exit_status_is_the_commands() {
    let registrar = Registrar::start(&[]);
    let (pid, stop) = (registrar.directory.path("pid"), registrar.directory.path("stop"));
    let port = free_port();
    let (url, script) = (format!("tcp://127.0.0.1:{port}"), service(port, &pid, &stop));
    let element =
        ["element", "--pool", "web", "--service", &url, "--registrar", &registrar.address, "--check", "100ms"];
    let element = Process::start(&[&element[..], &["--", "sh", "-c", &script]].concat());
    registrar.until_elements(1);
    assert_eq!(registrar.status().pools[0].elements[0].addresses, [format!("127.0.0.1:{port}")]);
    std::fs::write(&stop, "").unwrap();
    element.wait().exits_with(3);
    assert_eq!((registrar.status().element_count, registrar.counter("deregistrations")), (0, 1));
}

#[test]
fn a_service_that_dies_leaves_its_pool() {
    let registrar = Registrar::start(&[]);
    let (pid, stop) = (registrar.directory.path("pid"), registrar.directory.path("stop"));
    let port = free_port();
    let (url, script) = (format!("tcp://127.0.0.1:{port}"), service(port, &pid, &stop));
    // The service is another process's: only its port tells.
    let _service = Process::spawn(std::process::Command::new("sh").args(["-c", &script]).stderr(Stdio::null()));
    let element =
        ["element", "--pool", "web", "--service", &url, "--registrar", &registrar.address, "--check", "100ms"];
    let element = Process::start(&element);
    registrar.until_elements(1);
    assert!(signal("KILL", std::fs::read_to_string(&pid).unwrap().trim()));
    until("the deregistration", || registrar.counter("deregistrations") == 1);
    until("the reason", || element.err().contains("does not answer"));
}

#[test]
fn a_service_that_ends_before_it_answers_or_never_answers_is_an_error() {
    let registrar = Registrar::start(&[]);
    let url = format!("tcp://127.0.0.1:{}", free_port());
    let element = ["element", "--pool", "web", "--service", &url, "--registrar", &registrar.address];
    let started = |more: &[&str]| run(&[&element[..], more].concat());
    started(&["--", "sh", "-c", "exit 3"]).exits_with(1).says(&["exit status: 3", "before its port answered"]);
    started(&["--", "/no/such/command"]).exits_with(3).says(&["cannot start '/no/such/command'"]);

    let pid = registrar.directory.path("pid");
    let script = format!("echo $$ > '{pid}'; exec sleep 1000");
    // In a group of its own, the service cannot end with the command's.
    let silent = started(&["--start-timeout", "300ms", "--", "setsid", "sh", "-c", &script]);
    silent.exits_with(1).says(&["did not answer within 300ms", "--start-timeout"]);
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the service has been ended");
}

#[test]
fn a_registrar_that_cannot_have_its_address_says_why() {
    let registrar = Registrar::start(&[]);
    let second = run(&["registrar", "--listen", &registrar.address, "--control", "none"]);
    second.exits_with(3).says(&["cannot listen on", &registrar.address, "in use", "--listen"]);
    let second = run(&["registrar", "--listen", "127.0.0.1:0", "--control", &registrar.control]);
    second.exits_with(3).says(&["control socket", &registrar.control, "another registrar", "--control"]);
    let taken = registrar.address.as_str();
    let second = run(&["registrar", "--listen", "127.0.0.1:0", "--enrp-listen", taken, "--control", "none"]);
    second.exits_with(3).says(&["cannot listen on", taken, "in use", "--enrp-listen"]);
    assert_eq!(registrar.status().element_count, 0, "the first one is not disturbed");
}

#[test]
fn the_control_socket_of_a_killed_registrar_is_replaced_but_no_other_file() {
    let registrar = Registrar::start(&[]);
    let control = registrar.control.clone();
    registrar.process.signal("KILL");
    until("its end", || rserpool_std::control::ask(Path::new(&control), 0).is_err());
    assert!(Path::new(&control).exists());
    let next = Process::start(&["registrar", "--listen", "127.0.0.1:0", "--control", &control]);
    until("the next registrar", || rserpool_std::control::ask(Path::new(&control), 0).is_ok());
    // A registrar whose socket somebody has removed still ends in good order.
    std::fs::remove_file(&control).unwrap();
    next.signal("TERM");
    next.wait().exits_with(0).says(&["SIGTERM"]);

    let file = registrar.directory.write("notes", "precious");
    let refused = run(&["registrar", "--listen", "127.0.0.1:0", "--control", &file]);
    refused.exits_with(3).says(&[&file, "no socket", "--control"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_demo_leaves_no_request_unserved() {
    let result = run(&["demo", "--json"]).exits_with(0).json();
    assert_eq!(result["unserved"], 0, "{result}");
    assert!(result["failovers"].as_u64().unwrap() >= 1, "{result}");
    // The second act: what was R1's is another one's, and R1 is back.
    let registrars = result["registrars"].as_array().unwrap();
    assert_eq!(registrars.len(), 3, "{result}");
    assert!(registrars.iter().all(|r| r["elements"] == 3 && r["agrees"] == true), "{result}");
    assert_eq!(registrars[0]["home_of_at_end"], "-", "{result}");
}

#[test]
fn a_terminal_goes_on_with_another_element() {
    let registrar = Registrar::start(&[]);
    let a = registrar.echo("echo", &["--id", "0xa"]);
    let b = registrar.echo("echo", &["--id", "0xb"]);
    registrar.until_elements(2);
    let arguments = ["-v", "--log-format", "json", "terminal", "echo", "--registrar", &registrar.address];
    let mut terminal = Process::interactive(&arguments);
    terminal.say("one");
    until("the first answer", || terminal.out() == "one\n");
    let its = if terminal.err().contains("connected to 0x0000000a") { &a } else { &b };
    its.signal("KILL");
    until("the failure to be seen", || terminal.err().contains("has failed"));
    terminal.say("two");
    terminal.say("three");
    until("more answers", || terminal.out() == "one\ntwo\nthree\n");
    terminal.hang_up();
    terminal.wait().exits_with(0);
    run(&["terminal", "nobody", "--registrar", &registrar.address, "--timeout", "300ms"])
        .exits_with(1)
        .says(&["nobody", "unknown pool handle"]);
}
