//! Logs: to stderr, at a level that `-v` and `-q` choose.

use std::io::{self, IsTerminal};

use clap::{ArgAction, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use crate::output;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Args {
    /// Log more: -v what happens, -vv details, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Log less: -q errors only, -qq nothing
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
    /// How log lines look
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Args {
    fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (2.., _) => LevelFilter::OFF,
            (1, _) => LevelFilter::ERROR,
            (0, 0) => LevelFilter::WARN,
            (0, 1) => LevelFilter::INFO,
            (0, 2) => LevelFilter::DEBUG,
            (0, 3..) => LevelFilter::TRACE,
        }
    }
}

/// Logs from now on. What the machines log through the `log` facade comes too.
pub(crate) fn start(args: &Args) {
    let ansi = io::stderr().is_terminal() && !output::no_color();
    // Where standard error is closed (`2>&1 | head`) there is nobody to tell that a line was not written: to try
    // would be a panic, in whatever thread logs.
    let builder = tracing_subscriber::fmt().log_internal_errors(false);
    let builder = builder.with_writer(io::stderr).with_max_level(args.level()).with_ansi(ansi);
    match args.log_format {
        Format::Text => builder.with_target(false).init(),
        Format::Json => builder.json().init(),
    }
}
