//! `rserpool demo`

mod act;
mod score;
mod stage;

use std::process::ExitCode;

use crate::error::Error;

/// Show Reliable Server Pooling at work: a pool of echo services, one of which is killed
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Time between two requests of the pool user
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = crate::values::duration)]
    pub(crate) interval: std::time::Duration,
    /// Print the result as JSON, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

const AFTER_HELP: &str = "\
A registrar, three pool elements (processes of their own that echo what they get) and a pool user, all over real sockets
on 127.0.0.1. The user sends a request every few milliseconds to the element that the pool's policy chooses. One element
is killed without warning, comes back later, and another one leaves in good order. It takes about 9 seconds.

Examples:
  rserpool demo                              watch it
  rserpool demo --json | jq .longest_gap_ms  only the result

Exit status: 1 if any request stayed without an answer.";

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let score = act::play(&args)?;
    score.show(args.json)?;
    Ok(if score.unserved() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
