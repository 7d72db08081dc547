//! The configuration file: flags in TOML, by subcommand.
//!
//! Its values become arguments in front of those of the command line, so they are checked by the same code and refused
//! with the same words. A flag on the command line replaces what the file says of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory};
use toml::{Table, Value};

use crate::error::Error;

/// The arguments with those of the file that `--config` names, if there is one.
pub(crate) fn expand<C: CommandFactory>(arguments: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let Some(file) = config_file(&arguments) else { return Ok(arguments) };
    let command = C::command();
    // What the command line says, even if it would not be complete without the file.
    let Ok(given) = command.clone().ignore_errors(true).try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some((name, given)) = given.subcommand() else { return Ok(arguments) };
    let Some(subcommand) = command.find_subcommand(name) else { return Ok(arguments) };

    let text = std::fs::read_to_string(&file)
        .map_err(|error| Error::system(format_args!("read {}", file.display()), error))?;
    let table: Table = text.parse().map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
    check_sections(&file, &command, &table)?;
    let mut added = Vec::new();
    match table.get(name) {
        None => {}
        Some(Value::Table(section)) => {
            for (key, value) in section {
                let flag = flag(&file, name, subcommand, key)?;
                let said = |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
                let contradicts = |arg: &&Arg| said(arg) && conflict(subcommand, arg, flag);
                if !said(flag) && !subcommand.get_arguments().any(|arg| contradicts(&arg)) {
                    append(&mut added, &file, key, flag.get_action().takes_values(), value)?;
                }
            }
        }
        Some(_) => return Err(Error::Usage(format!("{}: '{name}' must be a section, [{name}]", file.display()))),
    }
    let at = subcommand_position(&arguments, name).map_or(arguments.len(), |at| at + 1);
    let mut arguments = arguments;
    arguments.splice(at..at, added);
    Ok(arguments)
}

fn config_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return None;
        }
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(file) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    None
}

/// Where the subcommand's name is, and not a value that is the same word.
fn subcommand_position(arguments: &[OsString], name: &str) -> Option<usize> {
    let is_value = |at: usize| {
        arguments.get(at.wrapping_sub(1)).is_some_and(|before| before == "--config" || before == "--log-format")
    };
    arguments.iter().enumerate().skip(1).find(|(at, argument)| *argument == name && !is_value(*at)).map(|(at, _)| at)
}

/// Whether the two cannot be used together. One of them says so.
fn conflict(subcommand: &Command, a: &Arg, b: &Arg) -> bool {
    let names = |one: &Arg, other: &Arg| {
        let conflicts = subcommand.get_arg_conflicts_with(one);
        conflicts.iter().any(|conflict| conflict.get_id() == other.get_id())
    };
    names(a, b) || names(b, a)
}

fn check_sections(file: &Path, command: &Command, table: &Table) -> Result<(), Error> {
    for section in table.keys() {
        if command.find_subcommand(section).is_none() {
            let what = match table.get(section) {
                Some(Value::Table(_)) => format!("unknown section [{section}]"),
                _ => format!("'{section}' stands in no section"),
            };
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).filter(|n| *n != "help").collect();
            return Err(Error::Usage(format!(
                "{}: {what}; the sections are the subcommands: {}",
                file.display(),
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// The argument that a key stands for.
fn flag<'c>(file: &Path, name: &str, subcommand: &'c Command, key: &str) -> Result<&'c Arg, Error> {
    let flags = || subcommand.get_arguments().filter_map(|arg| arg.get_long().map(|long| (long, arg)));
    if let Some((_, arg)) = flags().find(|(long, _)| *long == key) {
        return Ok(arg);
    }
    let known: Vec<&str> = flags().map(|(long, _)| long).filter(|long| !matches!(*long, "help" | "config")).collect();
    Err(Error::Usage(format!(
        "{}: unknown key '{key}' in [{name}]; the keys are the flags: {}",
        file.display(),
        known.join(", ")
    )))
}

fn append(
    arguments: &mut Vec<OsString>,
    file: &Path,
    key: &str,
    takes_value: bool,
    value: &Value,
) -> Result<(), Error> {
    let wrong = |wanted: &str| {
        let given = value.as_str().map_or_else(|| value.type_str().to_owned(), |text| format!("\"{text}\""));
        Err(Error::Usage(format!("{}: invalid value {given} for '{key}': {wanted}", file.display())))
    };
    let text = match (value, takes_value) {
        (Value::Boolean(is_set), false) => {
            if *is_set {
                arguments.push(format!("--{key}").into());
            }
            return Ok(());
        }
        (_, false) => return wrong("true or false is wanted"),
        (Value::Array(values), true) => {
            return values.iter().try_for_each(|value| append(arguments, file, key, takes_value, value));
        }
        (Value::String(text), true) => text.clone(),
        (Value::Integer(number), true) => number.to_string(),
        (Value::Float(number), true) => number.to_string(),
        (Value::Boolean(_) | Value::Datetime(_) | Value::Table(_), true) => {
            return wrong("a text, a number, or a list of them is wanted");
        }
    };
    arguments.push(format!("--{key}={text}").into());
    Ok(())
}
