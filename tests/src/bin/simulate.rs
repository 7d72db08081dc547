//! The simulator at the command line: many seeds, one seed in detail, or the cluster of many.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rserpool_tests::sim::{Detail, Mood, Options, Outcome, Sabotage, Totals, run, scale};

const HELP: &str = "\
Runs clusters of registrars, pool elements and pool users in simulated time, and checks the rules of the protocols.

Usage: simulate [--seeds N] [--from SEED] [--for SECONDS] [--jobs N] [--mood MOOD] [--sabotage KIND]
       simulate --replay SEED [--all] [--mood MOOD] [--sabotage KIND]
       simulate --scale [--hours H]

  --seeds N        run so many seeds, 100 if it is not said
  --from SEED      the first of them; a random one if it is not said
  --for SECONDS    stop after that long, whatever is left
  --jobs N         run so many at a time; as many as there are processors if it is not said
  --replay SEED    run one seed and show what happened; with --all, every message
  --mood MOOD      rough (faults of all kinds; if it is not said), calm (no fault), takeovers (registrars die one
                   by one), joins (registrars restart, nothing else changes), stalls (registrars stand still for a while)
  --sabotage KIND  let the network do what a broken registrar would: lost-del-pe, wrong-arbitration, no-arbitration,
                   expired-cursor, stale-add-pe
  --scale          3, 10, 25 and 50 registrars with 10,000 elements and 1,000 users, for an hour: messages and bytes

Examples:
  simulate --seeds 1000 --from 1
  simulate --replay 27
  simulate --mood calm --sabotage lost-del-pe --seeds 5

The status is 1 if a rule was broken, 2 if the arguments make no sense.
";

struct Args {
    seeds: u64,
    from: Option<u64>,
    limit: Option<Duration>,
    jobs: usize,
    replay: Option<u64>,
    scale: bool,
    hours: f64,
    options: Options,
}

fn parse() -> Result<Args, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut args = Args {
        seeds: 100,
        from: None,
        limit: None,
        jobs,
        replay: None,
        scale: false,
        hours: 1.0,
        options: Options::default(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or(format!("{name} needs a value"));
        fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("{text} is no number"))
        }
        match name.as_str() {
            "--seeds" => args.seeds = number(&value()?)?,
            "--from" => args.from = Some(number(&value()?)?),
            "--for" => args.limit = Some(Duration::from_secs(number(&value()?)?)),
            "--jobs" => args.jobs = number::<usize>(&value()?)?.max(1),
            "--replay" => args.replay = Some(number(&value()?)?),
            "--scale" => args.scale = true,
            "--hours" => args.hours = number(&value()?)?,
            "--all" => args.options.detail = Detail::All,
            "--mood" => {
                let mood = value()?;
                args.options.mood = Mood::by_name(&mood).ok_or(format!("no mood {mood}"))?;
            }
            "--sabotage" => {
                let kind = value()?;
                args.options.sabotage = Sabotage::by_name(&kind).ok_or(format!("no sabotage {kind}"))?;
            }
            "--help" | "-h" => {
                print!("{HELP}");
                std::process::exit(0);
            }
            other => return Err(format!("what is {other}?")),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if args.scale {
        return scale_table(args.hours);
    }
    match args.replay {
        Some(seed) => replay(seed, args.options),
        None => many(&args),
    }
}

fn replay(seed: u64, mut options: Options) -> ExitCode {
    options.detail = options.detail.max(Detail::Main);
    let outcome = run(seed, options);
    print!("{}", outcome.text);
    println!("trace {:#018x}, {:.1} simulated minutes", outcome.trace, outcome.simulated.as_micros() as f64 / 6e7);
    report(&outcome, options)
}

/// Says what was broken.
fn report(outcome: &Outcome, options: Options) -> ExitCode {
    let Some(violation) = &outcome.violation else { return ExitCode::SUCCESS };
    println!("seed {}, after {:.3} s: {}", outcome.seed, violation.at.as_micros() as f64 / 1e6, violation.rule);
    println!("  {}", violation.detail);
    println!("  simulate --replay {}{}", outcome.seed, options.arguments());
    ExitCode::FAILURE
}

fn many(args: &Args) -> ExitCode {
    let from = args.from.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        since.as_micros() as u64 % 1_000_000_000
    });
    println!("{} seeds from {from}, {} at a time", args.seeds, args.jobs);
    let began = Instant::now();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let mut totals = Totals::default();
    let mut failed = ExitCode::SUCCESS;
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    let late = args.limit.is_some_and(|limit| began.elapsed() >= limit);
                    if nth >= args.seeds || late || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run(from.wrapping_add(nth), args.options);
                    if sender.send(outcome).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for outcome in receiver {
            if outcome.violation.is_some() {
                failed = report(&outcome, args.options);
            }
            totals.add(&outcome);
            if totals.runs.is_multiple_of(100) {
                println!("{:6} seeds, {:.0} simulated hours, {:.0?}", totals.runs, totals.hours(), began.elapsed());
            }
        }
    });
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    print!("{totals}");
    println!("simulated hours a minute   {:>12.0}", totals.hours() / minutes);
    failed
}

fn scale_table(hours: f64) -> ExitCode {
    println!("10,000 elements, 1,000 users, {hours} h; the first minute, in which all register, not counted");
    println!(
        "registrars   ENRP messages   ENRP bytes   ASAP messages   ASAP bytes   of ENRP: presences     updates   took"
    );
    println!("             per registrar and second (sent)");
    for registrars in [3, 10, 25, 50] {
        let began = Instant::now();
        match scale(registrars, 10_000, 1_000, Duration::from_secs_f64(hours * 3600.0)) {
            Ok(row) => println!("{row}   {:.0?}", began.elapsed()),
            Err(violation) => {
                println!("{}: {}", violation.rule, violation.detail);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
