//! The configuration file: flags in TOML, by subcommand.
//!
//! Its values become arguments in front of those of the command line, so they are checked by the same code and refused
//! with the same words. A flag on the command line replaces what the file says of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
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
                let id = flag_id(&file, name, subcommand, key)?;
                if given.value_source(&id) != Some(clap::parser::ValueSource::CommandLine) {
                    append(&mut added, &file, key, value)?;
                }
            }
        }
        Some(_) => return Err(Error::Usage(format!("{}: '{name}' must be a section, [{name}]", file.display()))),
    }
    let at = arguments.iter().position(|argument| argument == name).map_or(arguments.len(), |at| at + 1);
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

fn check_sections(file: &Path, command: &Command, table: &Table) -> Result<(), Error> {
    for section in table.keys() {
        if command.find_subcommand(section).is_none() {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).filter(|n| *n != "help").collect();
            return Err(Error::Usage(format!(
                "{}: unknown section [{section}]; the sections are the subcommands: {}",
                file.display(),
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// The argument that a key stands for.
fn flag_id(file: &Path, name: &str, subcommand: &Command, key: &str) -> Result<String, Error> {
    let flags = || subcommand.get_arguments().filter_map(|arg| arg.get_long().map(|long| (long, arg)));
    if let Some((_, arg)) = flags().find(|(long, _)| *long == key) {
        return Ok(arg.get_id().to_string());
    }
    let known: Vec<&str> = flags().map(|(long, _)| long).filter(|long| !matches!(*long, "help" | "config")).collect();
    Err(Error::Usage(format!(
        "{}: unknown key '{key}' in [{name}]; the keys are the flags: {}",
        file.display(),
        known.join(", ")
    )))
}

fn append(arguments: &mut Vec<OsString>, file: &Path, key: &str, value: &Value) -> Result<(), Error> {
    let text = match value {
        Value::Boolean(true) => {
            arguments.push(format!("--{key}").into());
            return Ok(());
        }
        Value::Boolean(false) => return Ok(()),
        Value::Array(values) => {
            return values.iter().try_for_each(|value| append(arguments, file, key, value));
        }
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Datetime(_) | Value::Table(_) => {
            return Err(Error::Usage(format!(
                "{}: '{key}' must be a text, a number, true, false, or a list of them",
                file.display()
            )));
        }
    };
    arguments.push(format!("--{key}={text}").into());
    Ok(())
}
