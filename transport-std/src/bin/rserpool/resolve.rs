//! `rserpool resolve`

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use rserpool_std::{Member, PoolUser};
use serde::Serialize;

use crate::error::Error;
use crate::network::EndpointArgs;
use crate::output::{self, Paint};
use crate::table::Table;
use crate::values;

/// Ask a registrar for the elements of a pool
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The pool handle
    #[arg(value_name = "POOL", value_parser = values::pool_handle)]
    pool: String,
    /// How many elements to ask for. Default: as many as the registrar gives
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    items: Option<u32>,
    /// Go on, and show the pool again whenever it changes
    #[arg(short, long)]
    watch: bool,
    /// Print JSON, one line per answer
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

const AFTER_HELP: &str = "\
Examples:
  rserpool resolve echo                      the elements of the pool `echo`, in the order of its policy
  rserpool resolve echo --items 1            the best one
  rserpool resolve echo --watch              and whenever the pool changes
  rserpool resolve echo --json | jq -r .elements[0].addresses[0]

Exit status: 1 if the pool is not known or no registrar answers.";

#[derive(Serialize)]
struct Answer<'a> {
    pool: &'a str,
    elements: Vec<Element>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Element {
    id: u32,
    home: u32,
    transport: String,
    addresses: Vec<String>,
    policy: String,
    lifetime: String,
}

impl Element {
    fn of(member: &Member) -> Self {
        let parameter = member.parameter();
        let show = |shown: Option<String>| shown.unwrap_or_default();
        Element {
            id: member.id().0,
            home: member.home().0,
            transport: show(parameter.map(|p| p.user_transport.kind().to_string())),
            addresses: member.addresses().iter().map(ToString::to_string).collect(),
            policy: show(parameter.map(|p| p.policy.to_string())),
            lifetime: show(parameter.map(|p| p.lifetime.to_string())),
        }
    }
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let mut options = args.endpoint.options()?;
    options.asap.wanted_items = args.items;
    let user = PoolUser::new(options).map_err(|error| Error::system("start", error))?;
    if args.watch {
        return watch(&args, &user);
    }
    let members = user.resolve(&args.pool).map_err(|error| match error {
        rserpool_std::Error::TimedOut { .. } => {
            let (timeout, places) = (args.endpoint.timeout(), args.endpoint.places());
            Error::Failed(format!("{}: no registrar has answered within {timeout:?} (looked {places})", args.pool))
        }
        error => Error::Failed(format!("{}: {error}", args.pool)),
    })?;
    show(&args, Ok(&members))?;
    Ok(ExitCode::SUCCESS)
}

fn watch(args: &Args, user: &PoolUser) -> Result<ExitCode, Error> {
    let mut watch = user.watch(&args.pool).map_err(|error| Error::Failed(error.to_string()))?;
    loop {
        let update = watch.next(Duration::from_secs(3600)).map_err(|error| Error::Failed(error.to_string()))?;
        match update {
            Some(Ok(members)) => show(args, Ok(&members))?,
            Some(Err(why)) => show(args, Err(why.to_string()))?,
            None => {}
        }
    }
}

fn show(args: &Args, answer: Result<&[Member], String>) -> Result<(), Error> {
    let mut out = output::stdout();
    let (elements, error) = match answer {
        Ok(members) => (members.iter().map(Element::of).collect(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let answer = Answer { pool: &args.pool, elements, error };
    if args.json {
        output::json(&mut out, &answer)?;
    } else {
        if args.watch {
            let paint = Paint::stdout();
            writeln!(out, "{}", paint.bold(format_args!("{}: {} elements", answer.pool, answer.elements.len())))?;
        }
        match &answer.error {
            Some(error) => writeln!(out, "{error}")?,
            None => table(&answer.elements).write(&mut out)?,
        }
    }
    out.flush()?;
    Ok(())
}

fn table(elements: &[Element]) -> Table {
    let mut table = Table::new(&["ID", "HOME", "TRANSPORT", "ADDRESS", "POLICY", "LIFETIME"]);
    for element in elements {
        table.row([
            format!("{:#010x}", element.id),
            format!("{:#010x}", element.home),
            element.transport.clone(),
            element.addresses.join(" "),
            element.policy.clone(),
            element.lifetime.clone(),
        ]);
    }
    table
}
