//! What was measured, for people and for scripts.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::load::Run;
use super::requests::PolicyName;
use crate::output::Paint;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) load: LoadReport,
    pub(super) registration: Measured,
    pub(super) resolution: Vec<Measured>,
}

/// What the load was.
#[derive(Debug, Serialize)]
pub(super) struct LoadReport {
    /// The address of a registrar that was given; `None` for one within the same process.
    pub(super) registrar: Option<String>,
    /// `tcp` or `sctp`.
    pub(super) transport: &'static str,
    pub(super) pools: u32,
    pub(super) elements: u32,
    pub(super) policy: PolicyName,
    pub(super) policy_name: &'static str,
    pub(super) connections: usize,
    pub(super) window: usize,
    pub(super) items: u32,
    pub(super) request_bytes: usize,
    pub(super) answer_bytes: usize,
}

/// One server under one kind of request.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) server: &'static str,
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// The throughput relative to that of the null server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_null: Option<f64>,
    pub(super) latency_us: Latency,
    /// The processor time of the server's thread.
    pub(super) server_cpu_seconds: Option<f64>,
    pub(super) server_cpu_us_per_request: Option<f64>,
    pub(super) generator_cpu_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        let us = |duration: Duration| duration.as_secs_f64() * 1e6;
        Latency {
            p50: us(histogram.quantile(0.5)),
            p90: us(histogram.quantile(0.9)),
            p99: us(histogram.quantile(0.99)),
            p99_9: us(histogram.quantile(0.999)),
            max: us(histogram.max()),
        }
    }
}

impl Measured {
    pub(super) fn new(
        server: &'static str,
        run: &Run,
        (server_cpu, generator_cpu): (Option<Duration>, Option<Duration>),
    ) -> Self {
        let requests = run.latencies.total();
        let seconds = run.elapsed.as_secs_f64();
        Measured {
            server,
            requests,
            seconds,
            per_second: requests as f64 / seconds,
            of_null: None,
            latency_us: Latency::of(&run.latencies),
            server_cpu_seconds: server_cpu.map(|cpu| cpu.as_secs_f64()),
            server_cpu_us_per_request: server_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests.max(1) as f64),
            generator_cpu_seconds: generator_cpu.map(|cpu| cpu.as_secs_f64()),
        }
    }
}

impl Report {
    pub(super) fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        let load = &self.load;
        let link = load.transport.to_uppercase();
        match &load.registrar {
            Some(address) => writeln!(out, "{} the registrar at {address}, over {link}", paint.bold("Measured:"))?,
            None => writeln!(
                out,
                "{} a registrar in a thread of this process, over {link} on loopback; the load comes from another \
                 thread",
                paint.bold("Measured:")
            )?,
        }
        writeln!(
            out,
            "{} {} elements in {} pools, policy {}; {} connections with {} requests outstanding each;\n          {}; \
             request {} bytes, answer {} bytes\n",
            paint.bold("Load:    "),
            thousands(f64::from(load.elements)),
            thousands(f64::from(load.pools)),
            load.policy_name,
            load.connections,
            load.window,
            match load.items {
                0 => "as many elements per answer as the registrar gives".into(),
                items => format!("at most {items} elements per answer"),
            },
            load.request_bytes,
            load.answer_bytes,
        )?;
        table(out, paint, "registrations", std::slice::from_ref(&self.registration))?;
        writeln!(out)?;
        table(out, paint, "resolutions", &self.resolution)
    }
}

type Row = (&'static str, fn(&Measured) -> Option<String>);

const ROWS: [Row; 12] = [
    ("requests answered", |m| Some(thousands(m.requests as f64))),
    ("time", |m| Some(format!("{:.3} s", m.seconds))),
    ("per second", |m| Some(thousands(m.per_second))),
    ("of the null server", |m| m.of_null.map(|part| format!("{:.1} %", part * 100.0))),
    ("latency p50", |m| Some(micros(m.latency_us.p50))),
    ("latency p90", |m| Some(micros(m.latency_us.p90))),
    ("latency p99", |m| Some(micros(m.latency_us.p99))),
    ("latency p99.9", |m| Some(micros(m.latency_us.p99_9))),
    ("latency max", |m| Some(micros(m.latency_us.max))),
    ("server CPU per request", |m| m.server_cpu_us_per_request.map(|us| format!("{us:.3} us"))),
    ("server CPU", |m| m.server_cpu_seconds.map(|cpu| percent(cpu, m.seconds))),
    ("generator CPU", |m| m.generator_cpu_seconds.map(|cpu| percent(cpu, m.seconds))),
];

fn table(out: &mut impl Write, paint: Paint, title: &str, columns: &[Measured]) -> io::Result<()> {
    write!(out, "{:<24}", paint.bold(title))?;
    for column in columns {
        write!(out, "{:>24}", paint.bold(column.server))?;
    }
    writeln!(out)?;
    for (name, cell) in ROWS {
        if columns.iter().all(|column| cell(column).is_none()) {
            continue;
        }
        write!(out, "{name:<24}")?;
        for column in columns {
            write!(out, "{:>24}", cell(column).unwrap_or_else(|| "-".into()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn micros(us: f64) -> String {
    format!("{us:.1} us")
}

fn percent(cpu: f64, seconds: f64) -> String {
    format!("{:.0} %", cpu / seconds * 100.0)
}

/// A whole number, its digits in groups of three.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn digits_in_groups() {
        assert_eq!([0.0, 999.4, 1000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
