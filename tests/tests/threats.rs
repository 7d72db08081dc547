//! Keeps `docs/threats.md` honest: its sections, its files, its tests.

use std::path::Path;

use rserpool_tests::documents::{TestState, expect_none, named_test, parse_list, read_named};

const DOCUMENT: &str = "docs/threats.md";
/// RFC 5355 has 2.1 to 2.17.
const THREATS: u32 = 17;
const PARTS: [&str; 5] = ["Attack", "Today", "Tests", "Remains", "TLS"];

/// One section: its number, and its parts in order.
struct Threat {
    number: String,
    title: String,
    parts: Vec<(String, String)>,
}

impl Threat {
    fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }
}

fn threats() -> Vec<Threat> {
    let mut threats: Vec<Threat> = Vec::new();
    for line in read_named(DOCUMENT).unwrap().lines() {
        if let Some((number, title)) = line.strip_prefix("### ").and_then(|heading| heading.split_once(' ')) {
            threats.push(Threat { number: number.into(), title: title.into(), parts: Vec::new() });
        }
        let Some(threat) = threats.last_mut() else { continue };
        if let Some((name, text)) = line.strip_prefix("- **").and_then(|rest| rest.split_once("**: ")) {
            threat.parts.push((name.into(), text.into()));
        } else if let (Some(more), Some((_, text))) = (line.strip_prefix("  "), threat.parts.last_mut()) {
            text.push(' ');
            text.push_str(more);
        }
    }
    threats
}

#[test]
fn every_threat_of_the_rfc_is_answered_in_all_parts() {
    let threats = threats();
    let expected: Vec<String> = (1..=THREATS).map(|number| format!("2.{number}")).collect();
    assert_eq!(threats.iter().map(|threat| &threat.number).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    for threat in &threats {
        let names: Vec<&str> = threat.parts.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, PARTS, "{}", threat.number);
        for (name, text) in &threat.parts {
            assert!(!text.is_empty(), "{}, {name}", threat.number);
        }
    }
}

#[test]
fn what_is_done_today_names_files_and_tests_that_exist() {
    let mut problems = Vec::new();
    for threat in threats() {
        let number = &threat.number;
        let files: Vec<&str> =
            threat.part("Today").split('`').skip(1).step_by(2).filter(|name| name.contains('/')).collect();
        if files.is_empty() {
            problems.push(format!("{number}: no file"));
        }
        problems.extend(files.iter().filter_map(|file| read_named(file).err()).map(|why| format!("{number}: {why}")));
        let Some(tests) = parse_list(threat.part("Tests")) else {
            problems.push(format!("{number}: not a list of tests"));
            continue;
        };
        for test in tests {
            match named_test(&test) {
                Ok(TestState::Runs) => {}
                Ok(_) => problems.push(format!("{number}: {test} is ignored")),
                Err(why) => problems.push(format!("{number}: {why}")),
            }
        }
    }
    expect_none(DOCUMENT, &problems);
}

#[test]
fn the_titles_are_the_rfcs() {
    let Some(folder) = std::env::var_os("RSERPOOL_RFC_DIR") else {
        println!("skipped: RSERPOOL_RFC_DIR is not set");
        return;
    };
    let bytes = std::fs::read(Path::new(&folder).join("rfc5355.txt")).expect("the RFC's text");
    // A long title is broken in two lines; "--" is a colon here.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let rfc = words(&String::from_utf8_lossy(&bytes)).replace(" -- ", ": ");
    for threat in threats() {
        let heading = format!("{}. {}", threat.number, threat.title);
        assert!(rfc.contains(&heading), "{heading} is not in the RFC");
    }
    assert!(!rfc.contains(&format!(" 2.{}. ", THREATS + 1)));
}
