//! Keeps `docs/conformance.md` honest: its form, its paths, its tests, its counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rserpool_tests::documents::{self, TestState, cells, find_test, named_test, parse_list, read_named};

const DOCUMENT: &str = "docs/conformance.md";
const COLUMNS: &str = "| Id | Level | Requirement | Where | Test | Note |";
const SUMMARY_COLUMNS: &str = "| RFC | requirements | implemented | not ours or not yet |";
const LEVELS: &[&str] = &["MUST", "MUST NOT", "SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED"];
const KEYWORDS: &[&str] = &["MUST", "SHOULD", "SHALL", "REQUIRED", "RECOMMENDED"];
const RFCS: &[u32] = &[5352, 5353, 5354, 5356];
const LONGEST_REQUIREMENT: usize = 25;

/// A section's number, such as 3.6.2.
type Section = Vec<u32>;

#[derive(Debug)]
struct Row {
    id: String,
    rfc: u32,
    section: Section,
    number: u32,
    level: String,
    requirement: String,
    files: Vec<String>,
    tests: Vec<String>,
    note: Option<String>,
}

impl Row {
    fn is_implemented(&self) -> bool {
        !self.files.is_empty() && !self.tests.is_empty()
    }
}

#[derive(Default)]
struct Document {
    rows: Vec<Row>,
    /// RFC -> (requirements, implemented, others), in the document's order.
    summary: Vec<(u32, [usize; 3])>,
    /// What could not be understood.
    problems: Vec<String>,
}

fn document() -> Document {
    parse_document(&read_named(DOCUMENT).unwrap())
}

fn expect_none(problems: &[String]) {
    documents::expect_none(DOCUMENT, problems);
}

fn parse_section(text: &str) -> Option<Section> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

fn parse_row(line: &str) -> Option<Row> {
    let cells = cells(line)?;
    let [id, level, requirement, files, tests, note] = cells[..] else { return None };
    let mut parts = id.split('-');
    let (rfc, section, number) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || number.len() < 2 || note.is_empty() {
        return None;
    }
    Some(Row {
        id: id.to_owned(),
        rfc: rfc.parse().ok()?,
        section: parse_section(section)?,
        number: number.parse().ok()?,
        level: level.to_owned(),
        requirement: requirement.to_owned(),
        files: parse_list(files)?,
        tests: parse_list(tests)?,
        note: (note != "-").then(|| note.to_owned()),
    })
}

fn parse_summary(line: &str) -> Option<(u32, [usize; 3])> {
    let cells = cells(line)?;
    let [rfc, all, implemented, others] = cells[..] else { return None };
    Some((rfc.parse().ok()?, [all.parse().ok()?, implemented.parse().ok()?, others.parse().ok()?]))
}

fn parse_document(text: &str) -> Document {
    let mut doc = Document::default();
    let (mut rfc, mut section, mut columns) = (None, None, "");
    for (index, line) in text.lines().enumerate() {
        let place = format!("line {}", index + 1);
        if let Some(heading) = line.strip_prefix("## ") {
            let number = heading.strip_prefix("RFC ").and_then(|rest| rest.split(':').next()).map(str::trim);
            (rfc, section, columns) = (number.and_then(|n| n.parse::<u32>().ok()), None, "");
            if rfc.is_none() {
                doc.problems.push(format!("{place}: this heading names no RFC"));
            }
        } else if let Some(heading) = line.strip_prefix("### ") {
            (section, columns) = (heading.split(' ').next().and_then(parse_section), "");
            if section.is_none() {
                doc.problems.push(format!("{place}: this heading names no section"));
            }
        } else if line == COLUMNS || line == SUMMARY_COLUMNS {
            columns = line;
        } else if line.starts_with("| ---") {
        } else if line.starts_with('|') && columns == SUMMARY_COLUMNS {
            match parse_summary(line) {
                Some(entry) => doc.summary.push(entry),
                None => doc.problems.push(format!("{place}: not a row of the summary")),
            }
        } else if line.starts_with('|') {
            match parse_row(line).filter(|_| columns == COLUMNS) {
                Some(row) => {
                    if Some(row.rfc) != rfc || Some(&row.section) != section.as_ref() {
                        doc.problems.push(format!("{place}: {} is under the heading of another section", row.id));
                    }
                    doc.rows.push(row);
                }
                None => doc.problems.push(format!("{place}: not a row of requirements")),
            }
        } else if line.is_empty() {
            columns = "";
        }
    }
    doc
}

/// The sections of `rfc` that the comments of `source` cite, as ranges.
fn citations(source: &str, rfc: u32) -> Vec<(Section, Section)> {
    let comments: Vec<&str> = source
        .lines()
        .filter_map(|line| line.split_once("//").map(|(_, text)| text.trim_start_matches(['/', '!']).trim()))
        .collect();
    let text = comments.join(" ");
    let name = rfc.to_string();
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&name) {
        let before = text[..at].chars().next_back();
        if before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.') {
            found.extend(parse_citation(&text[at + name.len()..]));
        }
    }
    found
}

/// What follows the number of an RFC: `, 3.1`, ` section 3.1`, `, 3.3 to 3.7 and 3.16`.
fn parse_citation(text: &str) -> Vec<(Section, Section)> {
    let mut found: Vec<(Section, Section)> = Vec::new();
    let mut rest = text.strip_prefix(',').unwrap_or(text);
    let mut is_range = false;
    loop {
        rest = rest.trim_start();
        for word in ["sections ", "section ", "Sections ", "Section "] {
            rest = rest.strip_prefix(word).unwrap_or(rest);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Some(section) = parse_section(rest[..end].trim_end_matches('.')) else { return found };
        let sentence_ends = rest[..end].ends_with('.');
        match found.last_mut() {
            Some(last) if is_range => last.1 = section,
            _ => found.push((section.clone(), section)),
        }
        rest = &rest[end..];
        if sentence_ends {
            return found;
        }
        let separators = [" to ", " and ", " or ", ", and ", ", ", "; "];
        let Some(separator) = separators.into_iter().find(|s| rest.starts_with(s)) else { return found };
        is_range = separator == " to ";
        rest = &rest[separator.len()..];
    }
}

/// Whether one of the ranges holds the section or a section that encloses it.
fn is_cited(section: &[u32], ranges: &[(Section, Section)]) -> bool {
    let enclosing = || (1..=section.len()).map(|n| &section[..n]);
    ranges.iter().any(|(first, last)| enclosing().any(|s| &first[..] <= s && s <= &last[..]))
}

#[test]
fn rows_are_well_formed() {
    let doc = document();
    let mut problems = doc.problems;
    let keys: Vec<_> = doc.rows.iter().map(|row| (row.rfc, &row.section, row.number)).collect();
    for (pair, row) in keys.windows(2).zip(doc.rows.iter().skip(1)) {
        if pair[0] >= pair[1] {
            problems.push(format!("{} is out of order or not unique", row.id));
        }
    }
    for row in &doc.rows {
        if !LEVELS.contains(&row.level.to_uppercase().as_str())
            || row.level.chars().any(char::is_lowercase) && row.level.chars().any(char::is_uppercase)
        {
            problems.push(format!("{}: {} is not a level", row.id, row.level));
        }
        let words = row.requirement.split_whitespace().count();
        if words == 0 || words > LONGEST_REQUIREMENT {
            problems.push(format!("{}: the requirement has {words} words", row.id));
        }
    }
    assert!(!doc.rows.is_empty());
    expect_none(&problems);
}

#[test]
fn every_row_has_code_and_a_test_or_a_reason() {
    let doc = document();
    let unaccounted = doc.rows.iter().filter(|row| !row.is_implemented() && row.note.is_none());
    let problems: Vec<_> = unaccounted.map(|row| format!("{}: {}", row.id, row.requirement)).collect();
    expect_none(&problems);
}

#[test]
fn files_exist_and_cite_the_section() {
    let mut problems = Vec::new();
    for row in document().rows {
        for path in &row.files {
            match read_named(path) {
                Err(problem) => problems.push(format!("{}: {problem}", row.id)),
                Ok(source) if is_cited(&row.section, &citations(&source, row.rfc)) => {}
                Ok(_) => problems.push(format!("{}: {path} does not cite the section", row.id)),
            }
        }
    }
    expect_none(&problems);
}

#[test]
fn tests_exist() {
    let mut problems = Vec::new();
    for row in document().rows {
        for test in &row.tests {
            match named_test(test) {
                Err(problem) => problems.push(format!("{}: {problem}", row.id)),
                Ok(TestState::Ignored) if row.note.is_none() => {
                    problems.push(format!("{}: {test} is ignored, and no note says why", row.id));
                }
                Ok(_) => {}
            }
        }
    }
    expect_none(&problems);
}

#[test]
fn the_summary_is_right() {
    let doc = document();
    let mut counted = BTreeMap::<u32, [usize; 3]>::new();
    for row in &doc.rows {
        let [all, implemented, others] = counted.entry(row.rfc).or_default();
        *all += 1;
        *(if row.is_implemented() { implemented } else { others }) += 1;
    }
    assert_eq!(doc.summary, counted.into_iter().collect::<Vec<_>>(), "left: {DOCUMENT}, right: counted");
}

/// The number of upper-case keywords in each section of an RFC's text, without the section on conventions.
fn keywords(text: &str) -> BTreeMap<Section, usize> {
    let mut counts = BTreeMap::new();
    let mut section: Option<Section> = None;
    for line in text.lines() {
        // Headings start in the first column, numbered lists do not.
        if let Some((number, title)) = line.split_once(' ')
            && let Some(heading) = number.strip_suffix('.').and_then(parse_section)
        {
            section = (title.trim() != "Conventions").then_some(heading);
        }
        let words = line.split(|c: char| !c.is_ascii_alphanumeric());
        let count = words.filter(|word| KEYWORDS.contains(word)).count();
        if let Some(section) = section.as_ref().filter(|_| count > 0) {
            *counts.entry(section.clone()).or_default() += count;
        }
    }
    counts
}

#[test]
fn no_section_is_missing() {
    let Some(folder) = std::env::var_os("RSERPOOL_RFC_DIR") else {
        println!("skipped: RSERPOOL_RFC_DIR is not set");
        return;
    };
    let doc = document();
    let covered: BTreeSet<_> = doc.rows.iter().map(|row| (row.rfc, row.section.clone())).collect();
    let mut problems = Vec::new();
    for &rfc in RFCS {
        let bytes = fs::read(Path::new(&folder).join(format!("rfc{rfc}.txt"))).expect("the RFC's text");
        let counts = keywords(&String::from_utf8_lossy(&bytes));
        assert!(!counts.is_empty(), "RFC {rfc} has no keywords: is this its text?");
        println!("RFC {rfc}: {} keywords in {} sections", counts.values().sum::<usize>(), counts.len());
        for (section, count) in counts {
            if !covered.contains(&(rfc, section.clone())) {
                let section: Vec<_> = section.iter().map(u32::to_string).collect();
                problems.push(format!("RFC {rfc}, {}: {count} keywords but no row", section.join(".")));
            }
        }
    }
    expect_none(&problems);
}

#[test]
fn citations_are_understood() {
    let cites = |source: &str, rfc, section: &str| is_cited(&parse_section(section).unwrap(), &citations(source, rfc));
    let source = "//! Registration (RFC 5352, 3.1 and 3.2; RFC 5354, 3.3 to 3.7 and 3.16).\n\
                  let x = 1; // 5353 section 2.1. 9 bytes\n\
                  /// RFC 5356,\n/// 4 and so on; RFC 5352 and 5355.\nRFC 5352, 9\n";
    for (rfc, section) in [
        (5352, "3.1"),
        (5352, "3.2"),
        (5352, "3.1.4"),
        (5354, "3.3"),
        (5354, "3.5"),
        (5354, "3.16"),
        (5353, "2.1"),
        (5356, "4.1.2"),
    ] {
        assert!(cites(source, rfc, section), "RFC {rfc}, {section}");
    }
    for (rfc, section) in [
        (5352, "3"),
        (5352, "3.3"),
        (5352, "3.10"),
        (5352, "9"),
        (5354, "3.8"),
        (5353, "2"),
        (5353, "9"),
        (5356, "5.1"),
        (5355, "1"),
    ] {
        assert!(!cites(source, rfc, section), "RFC {rfc}, {section}");
    }
}

#[test]
fn tests_are_recognised() {
    let source = "#[test]\nfn runs() {}\n\n    #[test]\n    #[ignore = \"slow\"]\n    /// Why; because {\n\
                  fn waits() {}\n\
                  fn helper() {}\n// #[test] fn commented() {}\n#[cfg(test)]\nfn tool() {}\n#[test] fn one_line() {}\n";
    assert_eq!(find_test(source, "runs"), TestState::Runs);
    assert_eq!(find_test(source, "one_line"), TestState::Runs);
    assert_eq!(find_test(source, "waits"), TestState::Ignored);
    for name in ["run", "helper", "commented", "tool", "absent"] {
        assert_eq!(find_test(source, name), TestState::Missing, "{name}");
    }
}
