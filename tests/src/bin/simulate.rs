//! Runs the simulator.
use rserpool_tests::sim::{Detail, Mood, Options, run};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let from: u64 = args[0].parse().unwrap();
    let n: u64 = args[1].parse().unwrap();
    let detail = if args.get(2).is_some_and(|a| a == "t") { Detail::Main } else if args.get(2).is_some_and(|a| a == "a") {Detail::All} else { Detail::None };
    let began = std::time::Instant::now();
    let mut sim = 0.0; let mut bad = 0;
    for seed in from..from + n {
        let o = run(seed, Options { detail, mood: Mood::Rough, ..Options::default() });
        sim += o.simulated.as_micros() as f64 / 3.6e9;
        if let Some(v) = &o.violation { bad += 1; println!("{seed}: {v:?}"); }
        if detail != Detail::None { println!("{}", o.text); }
    }
    println!("{sim:.1} h in {:?}, {bad} bad", began.elapsed());
}
