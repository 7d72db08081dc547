//! `rserpool bench`: how fast a registrar answers.

mod cpu;
mod histogram;
mod load;
mod report;
mod requests;
mod server;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::value_parser;
use rserpool_core::Link;

use cpu::ThreadCpu;
use load::{Load, Run, Until};
use report::{LoadReport, Measured, Report};
use requests::{PolicyName, Requests};
use server::Server;

use crate::error::Error;
use crate::network::Transport;
use crate::output::{self, Paint};

/// Measure how fast a registrar registers and resolves
///
/// Registers pool elements, then resolves their pools, with several requests under way on each connection. Every
/// answer must be a positive one. Without --registrar, the registrar is a thread of this process; its processor time
/// is measured too.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The address of a registrar that runs; by default one is started in this process
    #[arg(long, value_name = "ADDRESS")]
    registrar: Option<SocketAddr>,
    /// What carries the associations
    #[arg(long, value_name = "LINK", default_value = "tcp")]
    transport: Transport,
    /// How many pools
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pools: u32,
    /// How many elements in each pool
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000_000))]
    elements: u32,
    /// How many elements in all pools together, at least one in each; instead of --elements
    #[arg(long, value_name = "N", conflicts_with = "elements")]
    #[arg(value_parser = value_parser!(u32).range(1..=4_000_000))]
    register: Option<u32>,
    /// The policy of the pools
    #[arg(long, value_name = "POLICY", default_value = "rr")]
    policy: PolicyName,
    /// How many connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// How many requests are outstanding on each connection
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u16).range(1..=1024))]
    window: u16,
    /// How many elements an answer has at most; 0 leaves it to the registrar
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(0..=1024))]
    items: u32,
    /// How long to send resolutions: 500ms, 3s, 1m
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    duration: Duration,
    /// Send this many resolutions, however long they take
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    #[arg(value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    requests: Option<u64>,
    /// Measure two servers under the same load that do nothing but answer: one over the same driver, and one that is
    /// as fast as can be
    #[arg(long, conflicts_with = "transport")]
    null: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  rserpool bench
  rserpool bench --null
  rserpool bench --policy lu --pools 1 --elements 100000 --duration 10s
  rserpool bench --transport sctp
  rserpool bench --registrar 127.0.0.1:3863 --connections 16 --json
  rserpool bench --connections 1 --window 1        one request at a time: the latency of an idle registrar

A latency is the time from the write of a request to the read of its answer, so a larger window is a longer one.
The registrar in this process has no limits of rates. One that runs may refuse what is too much; start it with
--max-registrations off --max-resolutions off.
Connections are served in turn by one thread; use a release build.

Exit status: 0 done, 1 no answer or one that is not positive, 2 wrong usage, 3 no connection";

fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a time of 10ms to 10m, such as 500ms, 3s or 1m";
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        _ => return Err(expected.into()),
    };
    let number: f64 = number.parse().map_err(|_| expected.to_owned())?;
    let seconds = number * seconds;
    if (0.01..=600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(expected.into()) }
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let report = measure(&args)?;
    let mut out = output::stdout();
    if args.json {
        output::json(&mut out, &report)?;
    } else {
        report.write(&mut out, Paint::stdout())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args) -> Result<Report, Error> {
    let (connections, window) = (usize::from(args.connections), usize::from(args.window));
    let elements = match args.register {
        Some(elements) if elements < args.pools => {
            let allowed = format!("expected at least as many as --pools, {}", args.pools);
            return Err(Error::value("--register", &elements.to_string(), allowed));
        }
        Some(elements) => elements,
        None => args.pools.saturating_mul(args.elements),
    };
    if elements > 4_000_000 {
        let allowed = format!("with --pools {}, expected at most 4,000,000 elements in all", args.pools);
        return Err(Error::value("--elements", &args.elements.to_string(), allowed));
    }

    let link = args.transport.link()?;
    let server = if args.registrar.is_none() { Some(server::registrar(link)?) } else { None };
    let address = args.registrar.or(server.as_ref().map(|server| server.address));
    // One of the two is there.
    let Some(address) = address else { return Err(Error::Failed("no registrar".into())) };
    let cpu = server.as_ref().and_then(|server| server.cpu.as_ref());

    let mut load = Load::connect(address, link, connections, window)?;
    let mut sources: Vec<_> = (0..connections)
        .map(|first| Requests::registrations(elements, args.pools, args.policy, first, connections))
        .collect();
    let mut registration = Totals::new();
    registration.add(&mut load, &mut sources, Until::Dry, cpu)?;

    let resolutions = |first| Requests::resolutions(args.pools, args.items, first);
    let mut sources: Vec<_> = (0..connections).map(resolutions).collect();
    let request = sources[0].first().to_vec();
    let answer = load.ask(&request)?;
    let mut subjects = vec![Subject { name: "registrar", load, server, totals: Totals::new() }];
    if args.null {
        let nulls = [
            ("driver, null machine", server::null_machine(answer.clone())?),
            ("null server", server::null_server(&answer)?),
        ];
        for (name, server) in nulls {
            let load = Load::connect(server.address, link, connections, window)?;
            subjects.push(Subject { name, load, server: Some(server), totals: Totals::new() });
        }
    }
    resolve(args, &mut subjects, &mut sources)?;

    let mut resolution: Vec<_> = subjects.iter().map(|subject| subject.totals.measured(subject.name)).collect();
    if let Some(floor) = resolution.last().map(|null| null.per_second).filter(|_| args.null) {
        for measured in &mut resolution {
            measured.of_null = Some(measured.per_second / floor);
        }
    }
    let load = LoadReport {
        registrar: args.registrar.map(|address| address.to_string()),
        transport: match link {
            Link::Tcp => "tcp",
            Link::Sctp => "sctp",
        },
        pools: args.pools,
        elements,
        policy: args.policy,
        policy_name: args.policy.of(0).name(),
        connections,
        window,
        items: args.items,
        request_bytes: request.len(),
        answer_bytes: answer.len(),
    };
    Ok(Report { load, registration: registration.measured("registrar"), resolution })
}

/// A server under test.
struct Subject {
    name: &'static str,
    load: Load,
    /// `None`: it runs elsewhere.
    server: Option<Server>,
    totals: Totals,
}

/// Resolutions: all servers in turn, in rounds, so that what disturbs the machine disturbs all of them.
fn resolve(args: &Args, subjects: &mut [Subject], sources: &mut [Requests]) -> Result<(), Error> {
    let (warm_up, round, mut rounds) = match args.requests {
        Some(requests) => {
            let rounds = requests.div_ceil(1_000_000);
            (Until::Count(requests.div_ceil(10).min(100_000)), Until::Count(requests.div_ceil(rounds)), rounds)
        }
        None => {
            // A registrar that is silent meanwhile does not miss its keep-alives' answers in a second or two.
            let rounds = args.duration.as_secs_f64().ceil().max(1.0) as u32;
            let warm_up = (args.duration / 10).min(Duration::from_millis(200));
            (Until::Time(warm_up), Until::Time(args.duration / rounds), u64::from(rounds))
        }
    };
    for subject in &mut *subjects {
        subject.load.run(sources, warm_up)?;
    }
    while rounds > 0 {
        rounds -= 1;
        for subject in &mut *subjects {
            let cpu = subject.server.as_ref().and_then(|server| server.cpu.as_ref());
            subject.totals.add(&mut subject.load, sources, round, cpu)?;
        }
    }
    Ok(())
}

/// The sums of several runs.
struct Totals {
    run: Run,
    server_cpu: Option<Duration>,
    generator_cpu: Option<Duration>,
}

impl Totals {
    fn new() -> Self {
        Totals { run: Run::new(), server_cpu: Some(Duration::ZERO), generator_cpu: Some(Duration::ZERO) }
    }

    /// Runs the load.
    fn add(
        &mut self,
        load: &mut Load,
        sources: &mut [Requests],
        until: Until,
        server: Option<&ThreadCpu>,
    ) -> Result<(), Error> {
        let generator = ThreadCpu::current();
        let used = || (server.and_then(ThreadCpu::used), generator.as_ref().and_then(ThreadCpu::used));
        let before = used();
        self.run.merge(&load.run(sources, until)?);
        let after = used();
        let sum = |sum: Option<Duration>, before: Option<Duration>, after: Option<Duration>| {
            Some(sum? + after?.saturating_sub(before?))
        };
        self.server_cpu = sum(self.server_cpu, before.0, after.0);
        self.generator_cpu = sum(self.generator_cpu, before.1, after.1);
        Ok(())
    }

    fn measured(&self, server: &'static str) -> Measured {
        Measured::new(server, &self.run, (self.server_cpu, self.generator_cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_limits() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["", "s", "3h", "0s", "-1s", "1e9", "11m", "1ms"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
