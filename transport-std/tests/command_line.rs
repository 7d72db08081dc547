//! The `rserpool` command's flags, configuration file and output.
#![cfg(all(unix, feature = "cli"))]

mod process;

use std::io::{Read, Write};
use std::process::Stdio;

use process::*;

const SUBCOMMANDS: [&str; 7] = ["demo", "registrar", "element", "resolve", "terminal", "status", "decode"];

#[test]
fn every_subcommand_has_help_with_examples() {
    let all = run(&["--help"]).exits_with(0).out;
    for subcommand in SUBCOMMANDS {
        assert!(all.contains(&format!("  {subcommand}")), "{all}");
        let help = run(&[subcommand, "--help"]).exits_with(0).out;
        assert!(help.contains("Examples:\n") && help.contains(&format!("rserpool {subcommand}")), "{help}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_flag_and_what_is_allowed() {
    let registrar = |flag: &str, value: &str, words: &[&str]| {
        let flag_and_value = format!("{flag}={value}");
        let refused = run(&["registrar", &flag_and_value, "--control", "none"]);
        refused.exits_with(2).says(&[flag, value]).says(words);
    };
    registrar("--listen", "127.0.0.1:99999", &["ADDRESS:PORT is wanted", "192.0.2.1:3863"]);
    registrar("--listen", "localhost", &["ADDRESS:PORT is wanted"]);
    registrar("--id", "0", &["1 to 0xffffffff"]);
    registrar("--id", "4294967296", &["4294967295"]);
    registrar("--keep-alive-interval", "5parsec", &["unknown unit 'parsec'", "ms, s, m or h"]);
    registrar("--keep-alive-interval", "-5s", &["number", "30s"]);
    registrar("--keep-alive-interval", "0", &["longer than 0"]);
    registrar("--keep-alive-timeout", "0s", &["longer than 0"]);
    registrar("--keep-alive-timeout", "99999999999999999999h", &["too long", "at most"]);
    registrar("--max-items", "0", &["1..=1500"]);
    let rates = "registrations resolutions unreachable-reports error-reports handle-tables peer-lists presences";
    for rate in rates.split(' ') {
        registrar(&format!("--max-{rate}"), "100", &["off, N/s or N/s,BURST", "100/s,250"]);
    }
    registrar("--max-resolutions", "0/s", &["N from 1 to 1000000"]);
    let few = ["registrar", "--max-registrations=100/s", "--control=none"];
    run(&few).exits_with(2).says(&["--max-registrations", "1000 at once", "4096", "--max-elements-per-association"]);
    registrar("--group", "192.0.2.1", &["multicast address", "224.0.1.185"]);
    registrar("--peer", "192.0.2.1:0", &["port", "1 to 65535"]);
    registrar("--peer", "0.0.0.0", &["the address of one host"]);
    registrar("--enrp-listen", "localhost", &["ADDRESS:PORT is wanted", "192.0.2.1:9901"]);
    registrar("--enrp-group", "224.0.1.185", &["only with '--multicast' or '--group'"]);
    registrar("--peer-heartbeat-cycle", "0", &["longer than 0"]);
    registrar("--max-time-last-heard", "30s", &["longer than '--peer-heartbeat-cycle'"]);
    registrar("--max-time-no-response", "soon", &["number", "30s"]);
    registrar("--leave-timeout", "x", &["number", "30s"]);
    registrar("--compat", "linux", &["rfc, rsplib, auto"]);

    let element = |flag: &str, value: &str, words: &[&str]| {
        let flag_and_value = format!("{flag}={value}");
        let service = if flag == "--service" { "--lifetime=60" } else { "--service=tcp://127.0.0.1:9" };
        let pool = if flag == "--pool" { "--lifetime=60" } else { "--pool=p" };
        let refused = run(&["element", &flag_and_value, service, pool]);
        refused.exits_with(2).says(&[flag, value]).says(words);
    };
    element("--pool", "", &["at least one character"]);
    element("--service", "127.0.0.1:80", &["tcp://HOST:PORT", "udp://HOST:PORT"]);
    element("--service", "http://127.0.0.1:80", &["tcp://HOST:PORT"]);
    element("--service", "tcp://0.0.0.0:80", &["users can connect to"]);
    element("--service", "tcp://127.0.0.1:0", &["--echo", "port"]);
    element("--policy", "best", &["unknown policy", "rr, wrr:WEIGHT"]);
    element("--policy", "lu", &["takes one value"]);
    element("--policy", "lu:101%", &["0% to 100%"]);
    element("--registrar", "127.0.0.1:99999", &["port", "65535"]);
    element("--registrar", "registrar.example:0", &["port", "1 to 65535"]);
    element("--timeout", "0s", &["longer than 0"]);
    element("--asap-listen", "here", &["auto, off, PORT, ADDRESS or ADDRESS:PORT"]);

    run(&["element", "--echo"]).exits_with(2).says(&["--pool", "--service"]);
    run(&["resolve"]).exits_with(2).says(&["<POOL>"]);
    run(&["resolve", ""]).exits_with(2).says(&["POOL", "at least one character"]);
    run(&["resolve", "p", "--items", "0"]).exits_with(2).says(&["--items", "'0'"]);
    run(&["status", "--port", "70000"]).exits_with(2).says(&["--port", "70000", "65535"]);
    run(&["demo", "--interval", "x"]).exits_with(2).says(&["--interval", "'x'", "number"]);
    for subcommand in SUBCOMMANDS {
        run(&[subcommand, "--no-such-flag"]).exits_with(2).says(&["--no-such-flag", "--help"]);
    }
    run(&["frobnicate"]).exits_with(2).says(&["frobnicate"]);
    run(&["registrar", "--multicast"]).exits_with(2).says(&["--multicast", "--listen", "--announce"]);
}

#[test]
fn what_the_system_refuses_is_no_wrong_usage() {
    let find = run(&["resolve", "p", "--registrar", "no-such-host.invalid", "--timeout", "1s"]);
    find.exits_with(3).says(&["--registrar", "no-such-host.invalid"]);
    let file = ["element", "--pool", "p", "--service", "tcp://127.0.0.1:9", "--policy-file", "/nonexistent"];
    run(&file).exits_with(3).says(&["cannot read /nonexistent"]);
    run(&["--config", "/nonexistent", "registrar"]).exits_with(3).says(&["cannot read /nonexistent"]);
    run(&["registrar", "--peer", "no-such-host.invalid"]).exits_with(3).says(&["--peer", "no-such-host.invalid"]);
    // 192.0.2.0/24 is for documentation: no host has it.
    let element = ["element", "--pool", "p", "--service", "tcp://127.0.0.1:9", "--asap-listen", "192.0.2.1"];
    run(&element).exits_with(3).says(&["cannot listen on 192.0.2.1", "--asap-listen"]);
    let elsewhere = run(&["registrar", "--listen", "192.0.2.1:3863", "--control", "none"]);
    elsewhere.exits_with(3).says(&["cannot listen on 192.0.2.1:3863"]);
}

#[test]
fn a_configuration_file_is_as_good_as_flags_and_flags_win() {
    let registrar = Registrar::start(&[]);
    let load = registrar.directory.write("load", "lu:10%");
    let config = registrar.directory.write(
        "registrar",
        &format!(
            "[registrar]\nlisten = [\"127.0.0.1:0\"]\nmulticast = false\nmax-items = 7\n\
             enrp-listen = \"127.0.0.1:0\"\npeer = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
             peer-heartbeat-cycle = \"1s\"\nmax-time-last-heard = \"3s\"\ncompat = \"rfc\"\n\
             [element]\npool = \"file\"\nservice = \"tcp://127.0.0.1:0\"\necho = true\nid = 0xa\n\
             registrar = \"{0}\"\npolicy-file = \"{load}\"\n\
             [resolve]\nregistrar = \"{0}\"\njson = true\nitems = 1\n",
            registrar.address
        ),
    );
    let element = |more: &[&str]| Process::start(&[&["--config", &config, "element"], more].concat());
    let _as_said = element(&[]);
    // Flags replace what the file says, and what it says that contradicts them.
    let _another = element(&["--pool", "flag", "--id", "0xb", "--policy", "rr"]);
    registrar.until_elements(2);
    let resolve = |pool| run(&["resolve", pool, "--config", &config]).exits_with(0).json();
    let (file, flag) = (resolve("file"), resolve("flag"));
    assert_eq!((&file["elements"][0]["id"], &flag["elements"][0]["id"]), (&10.into(), &11.into()));
    assert_eq!(flag["elements"][0]["policy"], "round robin");
    let from_flags = registrar.resolve("file", &["--json", "--items", "1"]).exits_with(0).json();
    assert_eq!(file, from_flags);

    // The file's name may be a subcommand's; a relative one, too.
    let relative = Process::spawn(
        command(&["--config", "registrar", "registrar", "--control", "none"])
            .current_dir(std::path::Path::new(&config).parent().unwrap())
            .stderr(Stdio::piped()),
    );
    until("the registrar", || relative.err().contains("listens on tcp://127.0.0.1:"));
    until("its ENRP port", || relative.err().contains("for other registrars on tcp://127.0.0.1:"));
}

/// Three requests on one connection where two are allowed: the third one is refused (RFC 5354, 3.12.7), and counted.
#[test]
fn what_one_connection_asks_too_often_is_refused_and_counted() {
    let directory = Directory::new();
    let refusals = |in_file: &str, flags: &[&str]| {
        let config = directory.write("rserpool.toml", &format!("[registrar]\nmax-resolutions = \"{in_file}\"\n"));
        let registrar = Registrar::start(&[&["--config", &config], flags].concat());
        let mut stream = std::net::TcpStream::connect(&registrar.address).unwrap();
        let request = [5, 0, 0, 12, 0, 9, 0, 8, b'e', b'c', b'h', b'o'];
        stream.write_all(&request.repeat(3)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).unwrap();
        let refused = answers.windows(4).filter(|cause| *cause == [0, 6, 0, 4]).count() as u64;
        assert_eq!(registrar.counter("resolutions over rate"), refused);
        assert_eq!(registrar.counter("resolutions rejected"), 3, "the others, since there is no such pool");
        let shown = run(&["status", "--control", &registrar.control]).exits_with(0).out;
        assert_eq!(shown.contains("resolutions over rate"), refused > 0, "{shown}");
        refused
    };
    assert_eq!(refusals("1/s,2", &[]), 1);
    assert_eq!(refusals("1/s,2", &["--max-resolutions", "off"]), 0, "a flag wins");
}

#[test]
fn what_is_wrong_in_a_configuration_file_is_named_with_what_is_known() {
    let directory = Directory::new();
    let refused = |text: &str, words: &[&str]| {
        let file = directory.write("rserpool.toml", text);
        run(&["--config", &file, "registrar"]).exits_with(2).says(&[&file]).says(words);
    };
    refused("[registrat]\nid = 1\n", &["[registrat]", "registrar", "element", "resolve", "status"]);
    refused("[registrar]\nlisten-on = 1\n", &["'listen-on'", "[registrar]", "listen, id", "keep-alive-interval"]);
    refused("listen = 3\n", &["'listen'", "no section", "registrar"]);
    refused("registrar = 3\n", &["'registrar' must be a section"]);
    refused("[registrar\n", &["line 1"]);
    refused("[registrar]\nlisten = true\n", &["'listen'", "boolean", "a text, a number, or a list"]);
    refused("[registrar]\nmulticast = \"yes\"\n", &["'multicast'", "\"yes\"", "true or false"]);
    // Values are refused as those of flags are.
    let file = directory.write("rserpool.toml", "[registrar]\nkeep-alive-interval = \"soon\"\n");
    run(&["--config", &file, "registrar"]).exits_with(2).says(&["--keep-alive-interval", "'soon'", "30s"]);
}

/// Runs with a standard output that nobody reads.
fn unread(arguments: &[&str]) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Process::spawn(command(arguments).stdout(writer).stderr(Stdio::piped())).wait()
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let registrar = Registrar::start(&[]);
    let _element = registrar.echo("echo", &[]);
    registrar.until_elements(1);
    unread(&["status", "--control", &registrar.control]).exits_with(0);
    unread(&["status", "--json", "--control", &registrar.control]).exits_with(0);
    unread(&["resolve", "echo", "--registrar", &registrar.address]).exits_with(0);
    unread(&["resolve", "echo", "--watch", "--registrar", &registrar.address]).exits_with(0);
    unread(&["decode", "asap", "05000014 00090008 6563686f 803f0008 00000003"]).exits_with(0);
    unread(&["registrar", "--help"]).exits_with(0);
}

#[test]
fn a_registrar_whose_log_nobody_reads_still_serves() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let address = format!("127.0.0.1:{}", free_port());
    let arguments = ["-vvv", "registrar", "--listen", &address, "--control", "none"];
    let registrar = Process::spawn(command(&arguments).stderr(writer));
    until("the registrar", || std::net::TcpStream::connect(&address).is_ok());
    for _ in 0..3 {
        run(&["resolve", "echo", "--registrar", &address]).exits_with(1).says(&["unknown pool handle"]);
    }
    registrar.signal("TERM");
    registrar.wait().exits_with(0);
}
