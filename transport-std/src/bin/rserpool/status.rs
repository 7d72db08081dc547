//! `rserpool status`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use rserpool_core::Ppid;
use rserpool_std::control;
use rserpool_std::status::RegistrarStatus;

use crate::error::Error;
use crate::output::{self, Paint};
use crate::table::Table;

/// Show what a registrar on this host knows: its pools, elements, peers and counters
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The registrar's control socket. Default: that of the registrar on --port
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// The registrar's ASAP port
    #[arg(long, value_name = "PORT", default_value_t = Ppid::Asap.port(), conflicts_with = "control")]
    port: u16,
    /// How many elements to show at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    elements: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  rserpool status                            the registrar on port 3863
  rserpool status --control /run/my.sock     the one with this control socket
  rserpool status --json | jq .element_count

Exit status: 3 if there is no such registrar.";

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let (path, hint) = match args.control {
        Some(path) => (path, "is it the path that the registrar was given with '--control'?".to_owned()),
        None => (
            control::default_path(args.port),
            format!("does a registrar run on port {}? '--port' names another port, '--control' a socket", args.port),
        ),
    };
    let status = control::ask(&path, args.elements).map_err(|error| {
        Error::system(format_args!("ask a registrar at {}", path.display()), format_args!("{error}; {hint}"))
    })?;
    let mut out = output::stdout();
    if args.json {
        output::json(&mut out, &status)?;
    } else {
        write(&mut out, &status)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, status: &RegistrarStatus) -> std::io::Result<()> {
    let paint = Paint::stdout();
    let serving = if status.serving { "" } else { ", starting: it copies the handlespace of a peer" };
    writeln!(
        out,
        "{}  up {:.0} s, {}{}",
        paint.bold(format_args!("registrar {:#010x}", status.id)),
        status.uptime,
        status.listening.join(", "),
        paint.warn(serving)
    )?;
    writeln!(
        out,
        "{} pools, {} elements, {} subscriptions, checksum {:#06x}\n",
        status.pool_count, status.element_count, status.subscriptions, status.checksum
    )?;
    if status.element_count > 0 {
        elements(out, status)?;
    }
    if !status.peers.is_empty() || !status.enrp_listening.is_empty() {
        registrars(out, status)?;
    }
    let mut table = Table::new(&["COUNTER", "COUNT"]).right(&[1]);
    for (name, count) in status.counters.iter().filter(|(_, count)| *count > 0) {
        table.row([name.clone(), count.to_string()]);
    }
    table.write(out)
}

fn elements(out: &mut impl Write, status: &RegistrarStatus) -> std::io::Result<()> {
    let mut table = Table::new(&["POOL", "ID", "HOME", "TRANSPORT", "ADDRESS", "POLICY", "EXPIRES"]).right(&[6]);
    for pool in &status.pools {
        for element in &pool.elements {
            table.row([
                pool.handle.clone(),
                format!("{:#010x}", element.id),
                format!("{:#010x}", element.home),
                pool.transport.clone(),
                element.addresses.join(" "),
                element.policy.clone(),
                element.expires_in.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.0} s")),
            ]);
        }
    }
    table.write(out)?;
    let shown: usize = status.pools.iter().map(|pool| pool.elements.len()).sum();
    let hidden = usize::try_from(status.element_count).unwrap_or(usize::MAX).saturating_sub(shown);
    if hidden > 0 {
        writeln!(out, "{}", Paint::stdout().dim(format_args!("and {hidden} more (--elements)")))?;
    }
    writeln!(out)
}

/// All registrars with what they own, this one first: the checksums of one owner are the same wherever one looks.
fn registrars(out: &mut impl Write, status: &RegistrarStatus) -> std::io::Result<()> {
    let headings = ["REGISTRAR", "ADDRESS", "STATE", "CONNECTED", "HEARD", "ELEMENTS", "CHECKSUM"];
    let mut table = Table::new(&headings).right(&[4, 5]);
    table.row([
        format!("{:#010x}", status.id),
        status.enrp_listening.first().map_or("-", |url| url.trim_start_matches("tcp://")).to_owned(),
        if status.serving { "this one" } else { "this one, starting" }.to_owned(),
        "-".to_owned(),
        "-".to_owned(),
        status.owned.to_string(),
        format!("{:#06x}", status.checksum),
    ]);
    for peer in &status.peers {
        // What is known by its address alone owns nothing yet.
        let known = peer.id != 0;
        let or_dash = |known: bool, text: String| if known { text } else { "-".to_owned() };
        table.row([
            or_dash(known, format!("{:#010x}", peer.id)),
            or_dash(!peer.address.is_empty(), peer.address.clone()),
            if peer.rsplib { format!("{}, rsplib", peer.state) } else { peer.state.clone() },
            if peer.connected { "yes" } else { "no" }.to_owned(),
            peer.last_heard.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s ago")),
            or_dash(known, peer.owned.to_string()),
            or_dash(known, format!("{:#06x}", peer.checksum)),
        ]);
    }
    table.write(out)?;
    writeln!(out)
}
