//! `rserpool demo`

mod act;
mod client;
mod cluster;
mod first;
mod score;
mod second;
mod show;
mod stage;

use std::process::ExitCode;

use crate::error::Error;

/// Show Reliable Server Pooling at work: a pool of echo services, one of which is killed, and then their registrar
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
All over real sockets on 127.0.0.1. A pool user sends a request every few milliseconds to the element that the pool's
policy chooses.
First act: a registrar and three pool elements (processes of their own that echo what they get). One element is killed
without warning, comes back later, and another one leaves in good order.
Second act: three registrars with one handlespace (processes of their own) and three pool elements. The registrar that
is the elements' home is killed; another one takes over, and the elements follow it. The first one comes back and copies
the handlespace. The user's requests go on all the time. The timers are shorter than the RFC's.
It takes about 15 seconds.

Examples:
  rserpool demo                              watch it
  rserpool demo --json | jq .longest_gap_ms  only the result

Exit status: 1 if any request stayed without an answer.";

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let score = act::play(&args)?;
    score.show(args.json)?;
    Ok(if score.unserved() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
