//! A laboratory with kernel SCTP: a guest Linux (user-mode-linux, Debian's package `user-mode-linux`) that boots in
//! seconds with this host's files, in which hosts joined by links run our processes and those of rsplib.
//!
//! The test itself is what runs inside. [`run`] boots a guest which starts the same test executable for the same test
//! again; there, `run` calls the scenario. Outside, it waits, and gives what was captured to be examined. So:
//!
//! ```ignore
//! #[test]
//! fn echo() {
//!     let Some(captures) = lab::run("echo", Duration::from_secs(60), |lab| {
//!         let network = lab.network(Shape { hosts: 3, ..Shape::default() });
//!         let server = network.host(1).start("rspregistrar", &[]);
//!         ...
//!     }) else {
//!         return;
//!     };
//!     captures["name of the recording"].assert_clean(&[lab::v4(1, 0)]);
//! }
//! ```

mod boot;
mod capture;
mod network;
mod process;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use boot::rserpool;
pub use capture::{Capture, Packet};
pub use network::{HERE, Host, Network, Recording, Shape, v4, v6};
pub use process::{Ended, Process};

/// Tells the test executable that it runs inside, and where the folder is that both sides see.
const INSIDE: &str = "RSERPOOL_LAB_DIR";

/// How long anything may take inside: there is one slow processor for all, and rsplib's timers are seconds.
pub const HANG: Duration = Duration::from_secs(30);

/// Waits for a condition, not for a time.
///
/// # Panics
/// If it does not come true.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(HANG, what, condition);
}

/// The same, with another limit.
///
/// # Panics
/// If it does not come true.
#[track_caller]
pub fn until_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a scenario has at hand.
pub struct Lab {
    dir: PathBuf,
    started: Instant,
}

impl Lab {
    /// Announces a case: what is printed is shown if the test fails.
    pub fn case(&self, what: &str) {
        println!("[{:7.2}] == {what}", self.started.elapsed().as_secs_f32());
    }

    /// Makes hosts.
    pub fn network(&self, shape: Shape) -> Network {
        Network::new(&self.dir, shape)
    }
}

/// The captures of a scenario by name.
pub type Captures = BTreeMap<String, Capture>;

/// Runs a scenario in a guest of its own, for no longer than `limit`. `name` is the test's, with its modules.
///
/// `None`: there is nothing to examine. Either this is inside, where the scenario has passed; or the lab is not
/// installed, and the test is to be skipped.
///
/// # Panics
/// The scenario failed or took too long; or the lab is not installed, and the environment variable `RSERPOOL_REQUIRE`
/// says that no test may be skipped.
#[track_caller]
pub fn run(name: &str, limit: Duration, scenario: impl FnOnce(&Lab)) -> Option<Captures> {
    if let Some(dir) = env::var_os(INSIDE) {
        scenario(&Lab { dir: dir.into(), started: Instant::now() });
        return None;
    }
    if let Some(missing) = boot::missing() {
        assert!(env::var_os("RSERPOOL_REQUIRE").is_none(), "the lab lacks {missing}");
        eprintln!("skipped: the lab lacks {missing}");
        return None;
    }
    let dir = boot::Folder::new();
    let outcome = boot::guest(dir.path(), name, limit);
    let output = fs::read_to_string(dir.path().join("output")).unwrap_or_default();
    if let Err(why) = outcome {
        panic!("{name} in the lab: {why}\n{output}{}", boot::last_words(dir.path()));
    }
    // Shown with `--nocapture`.
    print!("{output}");
    Some(captures(dir.path()))
}

fn captures(dir: &Path) -> Captures {
    let files = fs::read_dir(dir).expect("the lab's folder").map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let capture = Capture::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, capture)
        })
        .collect()
}
