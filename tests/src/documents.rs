//! What the documents under `docs/` that tests check have in common: tables, and code and tests that they name.

use std::fs;
use std::path::{Component, Path};

/// Fails with all problems, or with the first ones and the number of the rest.
///
/// # Panics
/// There are problems.
pub fn expect_none(document: &str, problems: &[String]) {
    const SHOWN: usize = 40;
    if !problems.is_empty() {
        let rest = problems.len().saturating_sub(SHOWN);
        let shown = problems[..problems.len() - rest].join("\n  ");
        let more = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
        panic!("{} problems in {document}:\n  {shown}{more}", problems.len());
    }
}

/// The cells of a row of a table.
pub fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// A cell of items in backticks with commas between them; `-` is the empty list.
pub fn parse_list(cell: &str) -> Option<Vec<String>> {
    if cell == "-" {
        return Some(Vec::new());
    }
    let item = |text: &str| text.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    cell.split(',').map(item).collect::<Option<Vec<_>>>().filter(|items| items.iter().all(|i| !i.is_empty()))
}

/// What became of a test.
#[derive(Debug, PartialEq)]
pub enum TestState {
    /// There is none of that name.
    Missing,
    /// It is not run by default.
    Ignored,
    /// It is run.
    Runs,
}

/// Whether `source` has a test function of that name.
pub fn find_test(source: &str, name: &str) -> TestState {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}");
    for (index, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once(&head).filter(|_| !line.starts_with("//")) else { continue };
        if !after.starts_with(['(', '<']) {
            continue;
        }
        let above = lines[..index].iter().rev().filter(|l| !l.starts_with("//"));
        let attributes: Vec<&str> =
            above.copied().take_while(|l| !l.ends_with(['}', '{', ';'])).chain([before]).collect();
        let is_test = |l: &&str| l.contains("#[") && l.contains("test") && !l.contains("cfg(");
        if attributes.iter().any(is_test) {
            let ignored = attributes.iter().any(|l| l.contains("#[ignore"));
            return if ignored { TestState::Ignored } else { TestState::Runs };
        }
    }
    TestState::Missing
}

/// Reads a file that a document names by its path from the root.
///
/// # Errors
/// It cannot be read, or the path is another one.
pub fn read_named(path: &str) -> Result<String, String> {
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("{path} is not a path from the root"));
    }
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
        .map_err(|error| format!("{path}: {error}"))
}

/// The state of a test that a document names as `path.rs::name`, which has to be there.
///
/// # Errors
/// It is not.
pub fn named_test(test: &str) -> Result<TestState, String> {
    let (path, name) = test.split_once("::").ok_or_else(|| format!("{test} is not a path and a name"))?;
    match find_test(&read_named(path)?, name) {
        TestState::Missing => Err(format!("{path} has no test {name}")),
        state => Ok(state),
    }
}
