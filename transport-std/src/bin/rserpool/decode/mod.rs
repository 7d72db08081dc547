//! `rserpool decode`: a message as a tree, and exactly what is wrong with it.

mod hex;
mod names;
mod tree;
mod verdict;
mod walk;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use names::Protocol;
use verdict::Verdict;

use crate::error::Error;
use crate::output::{self, Paint};

/// More than any message has.
const MAX_INPUT: u64 = 4 << 20;

/// Show a message of ASAP or ENRP field by field, and what is wrong with it
///
/// Every field is shown with its offset, name, value and meaning. `!` marks what is wrong, `~` what is unusual but
/// accepted. The verdict is that of the parser that registrars, pool elements and pool users use.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The protocol of the message
    #[arg(required_unless_present = "file")]
    protocol: Option<Protocol>,
    /// The message in hex, with blanks, colons or 0x between the bytes if you like; - reads standard input
    #[arg(value_name = "HEX", required_unless_present = "file")]
    hex: Vec<String>,
    /// Standard input is the message itself, not hex
    #[arg(long)]
    raw: bool,
    /// Check many messages, one verdict a line: lines of `<asap|enrp> <name> <hex>`, # begins a comment; - for
    /// standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["protocol", "hex", "raw"])]
    file: Option<PathBuf>,
    /// Print JSON: one object per message
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  rserpool decode asap 0500000c000900086563686f
  rserpool decode asap 05 00 00 0c  00 09 00 08  65 63 68 6f
  echo 02:00:00:0c:11:11:11:12:11:11:11:11 | rserpool decode enrp -
  rserpool decode enrp --raw - < message.bin
  rserpool decode -f tests/vectors/rsplib.txt
  rserpool decode --json asap 0500000c000900086563686f | jq .tree

Exit status: 0 well-formed (all of them), 1 malformed (one of them), 2 no hex or wrong usage, 3 no such file";

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    if let Some(file) = &args.file {
        return many(&read_text(file)?, args.json);
    }
    // The parser of arguments has seen to it.
    let Some(protocol) = args.protocol else { return Err(Error::Usage("no protocol: asap or enrp".into())) };
    let verdict = Verdict::of(protocol, &message(&args)?);
    let mut out = output::stdout();
    if args.json {
        output::json(&mut out, &verdict)?;
    } else {
        verdict.write(&mut out, Paint::stdout())?;
    }
    out.flush()?;
    Ok(status(verdict.well_formed))
}

fn status(well_formed: bool) -> ExitCode {
    ExitCode::from(u8::from(!well_formed))
}

fn message(args: &Args) -> Result<Vec<u8>, Error> {
    let from_stdin = args.hex == ["-"];
    if args.raw && !from_stdin {
        return Err(Error::value("HEX", &args.hex.join(" "), "with --raw, expected -, for standard input"));
    }
    if args.raw {
        return read(Path::new("-"));
    }
    let text = if from_stdin { read_text(Path::new("-"))? } else { args.hex.join(" ") };
    hex::parse(&text).map_err(|error| Error::value("HEX", &shortened(text.trim()), error))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let done = if file == Path::new("-") {
        io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|file| file.take(MAX_INPUT).read_to_end(&mut bytes))
    };
    match done {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Error::system(format_args!("read {}", file.display()), error)),
    }
}

fn read_text(file: &Path) -> Result<String, Error> {
    String::from_utf8(read(file)?)
        .map_err(|_| Error::value("FILE", &file.display().to_string(), "expected text; with --raw, bytes from -"))
}

/// Checks the messages of a file.
fn many(text: &str, json: bool) -> Result<ExitCode, Error> {
    let paint = Paint::stdout();
    let mut out = output::stdout();
    let (mut good, mut bad) = (0u32, 0u32);
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let (protocol, name, bytes) = parse_line(line)
            .map_err(|(value, allowed)| Error::value("--file", &value, format_args!("line {number}: {allowed}")))?;
        let verdict = Verdict::of(protocol, &bytes);
        *if verdict.well_formed { &mut good } else { &mut bad } += 1;
        if json {
            output::json(&mut out, &serde_json::json!({ "line": number, "name": name, "verdict": verdict }))?;
            continue;
        }
        match &verdict.error {
            None => write!(out, "{}  ", paint.good("ok "))?,
            Some(_) => write!(out, "{}  ", paint.bad("BAD"))?,
        }
        write!(out, "line {number:>4}  {} {name}", protocol.name())?;
        if name != verdict.message {
            write!(out, " (is {})", verdict.message)?;
        }
        match &verdict.error {
            None => writeln!(out, ", {} bytes", verdict.bytes)?,
            Some(error) => writeln!(out, ", {} bytes: {error}", verdict.bytes)?,
        }
    }
    if !json {
        writeln!(out, "{good} well-formed, {bad} malformed")?;
    }
    out.flush()?;
    Ok(status(bad == 0))
}

/// A line's protocol, name and message; or what is wrong and what is allowed.
fn parse_line(line: &str) -> Result<(Protocol, &str, Vec<u8>), (String, String)> {
    let mut words = line.split_whitespace();
    let (Some(protocol), Some(name)) = (words.next(), words.next()) else {
        return Err((shortened(line), "expected <asap|enrp> <name> <hex>".into()));
    };
    let protocol = Protocol::from_str(protocol, true).map_err(|_| (protocol.into(), "expected asap or enrp".into()))?;
    let text = words.collect::<Vec<_>>().join(" ");
    let bytes = hex::parse(&text).map_err(|error| (shortened(&text), error))?;
    Ok((protocol, name, bytes))
}
