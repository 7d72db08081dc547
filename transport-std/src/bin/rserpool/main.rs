#![forbid(unsafe_code)]
//! The `rserpool` command.
//!
//! One file or folder per subcommand, each with its `Args` and a `run(Args) -> Result<ExitCode, Error>`. Results go to
//! stdout (see [`output`]), logs and errors to stderr.

mod bench;
mod config;
mod decode;
mod demo;
mod element;
mod error;
mod logging;
mod network;
mod output;
mod registrar;
mod resolve;
mod signals;
mod status;
mod table;
mod terminal;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "rserpool",
    version,
    about = "Reliable Server Pooling (RFC 5351-5356)",
    after_help = AFTER_HELP,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    logging: logging::Args,
    /// A TOML file with flags: a section for each subcommand, keys as the long flags. What the command line says counts
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status:
  0  done
  1  it failed: a message is malformed, no answer came
  2  wrong usage: an unknown flag, a value that is not allowed
  3  the system refused: a file, an address or a connection

Results go to standard output, logs and errors to standard error. `rserpool COMMAND --help` has examples.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Registrar(registrar::Args),
    Element(element::Args),
    Resolve(resolve::Args),
    Terminal(terminal::Args),
    Status(status::Args),
    Decode(decode::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = match config::expand::<Cli>(std::env::args_os().collect()) {
        Ok(arguments) => Cli::parse_from(arguments),
        Err(error) => return error.report(),
    };
    logging::start(&cli.logging);
    let result = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Registrar(args) => registrar::run(args),
        Command::Element(args) => element::run(args),
        Command::Resolve(args) => resolve::run(args),
        Command::Terminal(args) => terminal::run(args),
        Command::Status(args) => status::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Bench(args) => bench::run(args),
    };
    result.unwrap_or_else(|error| error.report())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
