//! The table of `docs/faults.md`: how long each fault may be felt, and how long it was in a run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rserpool_tests::documents::{cells, read_named};

use crate::cast::{
    KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MAX_TIME_LAST_HEARD, MAX_TIME_NO_RESPONSE, PEER_HEARTBEAT_CYCLE,
};

const DOCUMENT: &str = "docs/faults.md";
/// Beyond what the timers add up to: processes start, packets travel, and the test looks every 10 ms.
const SLACK: Duration = Duration::from_millis(500);

/// A fault, and what bounds it.
pub(crate) struct Fault {
    what: &'static str,
    bound: &'static str,
    within: Duration,
}

/// T5-Serverhunt of the command.
const T5: Duration = Duration::from_secs(10);
/// That of the crowd.
pub(crate) const CROWD_T5: Duration = Duration::from_secs(5);
const RESYNC_INTERVAL: Duration = Duration::from_secs(5);
/// How long an attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A peer that says nothing, until its elements have another home or are gone: it is asked and does not answer, and its
/// takeover begins within a tenth of that time and may have to wait for one who was cut off, too; the elements are
/// dialled and asked.
const TAKEN_OVER: Duration = MAX_TIME_LAST_HEARD
    .saturating_add(MAX_TIME_NO_RESPONSE.saturating_mul(31).checked_div(10).unwrap())
    .saturating_add(KEEP_ALIVE_TIMEOUT.saturating_mul(2));
const UNNOTICED: Duration =
    KEEP_ALIVE_INTERVAL.saturating_mul(3).checked_div(2).unwrap().saturating_add(KEEP_ALIVE_TIMEOUT);

pub(crate) const KILLED: Fault =
    Fault { what: "an element is killed: it is handed out", bound: "lost-association-grace", within: Duration::ZERO };
pub(crate) const CROWD: Fault = Fault {
    what: "a registrar with 1000 elements is killed: they have another home",
    bound: "T5 / 10",
    within: CROWD_T5.checked_div(10).unwrap(),
};
pub(crate) const RESTARTED: Fault = Fault {
    what: "a registrar is killed and started again at its address, with another identifier: all agree",
    bound: "T5 * 1.1, and for the copy MAX-TIME-NO-RESPONSE * 3.1 + keep-alive-timeout * 2",
    within: T5
        .saturating_add(T5.checked_div(10).unwrap())
        .saturating_add(MAX_TIME_NO_RESPONSE.saturating_mul(31).checked_div(10).unwrap())
        .saturating_add(KEEP_ALIVE_TIMEOUT.saturating_mul(2)),
};
pub(crate) const STOPPED: Fault = Fault {
    what: "an element stands still: it is handed out",
    bound: "keep-alive-interval * 1.5 + keep-alive-timeout",
    within: UNNOTICED,
};
pub(crate) const WENT_ON: Fault = Fault {
    what: "an element that stood still goes on: it is registered",
    bound: "T5 / 10",
    within: T5.checked_div(10).unwrap(),
};
pub(crate) const VANISHED: Fault = Fault {
    what: "an element's host vanishes: it is handed out",
    bound: "keep-alive-interval * 1.5 + keep-alive-timeout",
    within: UNNOTICED,
};
pub(crate) const PARTED: Fault = Fault {
    what: "registrars are parted, two and one: each side serves its own elements alone",
    bound: "MAX-TIME-LAST-HEARD + MAX-TIME-NO-RESPONSE * 3.1 + keep-alive-timeout * 2",
    within: TAKEN_OVER,
};
pub(crate) const HEALED: Fault = Fault {
    what: "the partition is healed: all agree, with one home for each element",
    bound: "PEER-HEARTBEAT-CYCLE + an attempt to connect (10 s) \
            + (PEER-HEARTBEAT-CYCLE + resync interval (5 s) + MAX-TIME-NO-RESPONSE * 2) * 2",
    within: PEER_HEARTBEAT_CYCLE
        .saturating_mul(3)
        .saturating_add(CONNECT)
        .saturating_add(RESYNC_INTERVAL.saturating_add(MAX_TIME_NO_RESPONSE.saturating_mul(2)).saturating_mul(2)),
};
pub(crate) const USER_STOPPED: Fault = Fault {
    what: "a user that watches a pool stands still and goes on: it shows the pool as it is",
    bound: "none: what it missed waits for it",
    within: Duration::ZERO,
};
pub(crate) const DEAF: Fault = Fault {
    what: "a subscriber does not read: its association is there",
    bound: "write-stall (1 s), or until 4 MiB wait for it",
    within: Duration::from_secs(1),
};

const ALL: [&Fault; 10] =
    [&KILLED, &CROWD, &RESTARTED, &STOPPED, &WENT_ON, &VANISHED, &PARTED, &HEALED, &USER_STOPPED, &DEAF];

impl Fault {
    /// The cells of its row but for what was measured.
    fn row(&self) -> [String; 3] {
        [self.what.into(), self.bound.into(), seconds(self.within)]
    }

    /// Notes how long it took. The document shows it, or is made to where `RSERPOOL_WRITE_DOCS` is set; only then the host
    /// is one that does nothing else, and the bound is asserted.
    #[track_caller]
    pub(crate) fn took(&self, measured: Duration) {
        println!("{}: {}, of {}", self.what, seconds(measured), seconds(self.within));
        if env::var_os("RSERPOOL_WRITE_DOCS").is_none() {
            return;
        }
        assert!(measured <= self.within + SLACK, "{}: {measured:?}", self.what);
        self.write(&seconds(measured));
    }

    fn write(&self, measured: &str) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let text = read_named(DOCUMENT).unwrap();
        let (before, rest) = text.split_once(COLUMNS).expect("a table");
        let (_, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let known = rows(&text);
        let mut table = format!("{COLUMNS}\n| --- | --- | --- | --- |\n");
        for fault in ALL {
            let [what, bound, within] = fault.row();
            let old = known.iter().find(|row| row[0] == what).map_or("-", |row| &row[3]);
            let shown = if what == self.what { measured } else { old };
            table += &format!("| {what} | {bound} | {within} | {shown} |\n");
        }
        fs::write(path(), format!("{before}{table}\n{after}")).unwrap();
    }
}

/// Writes the curve of re-registrations where documents are to be written: it is the end of the document.
pub(crate) fn write_curve(curve: &[u32]) {
    if env::var_os("RSERPOOL_WRITE_DOCS").is_none() {
        return;
    }
    let text = read_named(DOCUMENT).unwrap();
    let (before, _) = text.split_once(CURVE_COLUMNS).unwrap_or((&text, ""));
    let mut table = format!("{CURVE_COLUMNS}\n| --- | --- | --- |\n");
    for (tenth, count) in curve.iter().enumerate() {
        let bar = "#".repeat(*count as usize / 10);
        table += &format!("| {} ms | {count} | `{bar}` |\n", tenth * 100);
    }
    fs::write(path(), format!("{}\n\n{table}", before.trim_end())).unwrap();
}

const CURVE_COLUMNS: &str = "| From | Elements | |";
const COLUMNS: &str = "| Fault, and until when | Bound | In this run | Measured |";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(DOCUMENT)
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let table = text.lines().skip_while(|line| *line != COLUMNS).skip(2).map_while(cells);
    table.map(|row| row.into_iter().map(str::to_owned).collect()).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[test]
fn the_document_has_all_faults_with_their_bounds() {
    if env::var_os("RSERPOOL_WRITE_DOCS").is_some() {
        return;
    }
    let rows = rows(&read_named(DOCUMENT).unwrap());
    let shown: Vec<_> = rows.iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(shown, ALL.map(|fault| fault.row().to_vec()), "run with RSERPOOL_WRITE_DOCS=1");
    assert!(rows.iter().all(|row| row[3] != "-"), "not all were measured");
}
