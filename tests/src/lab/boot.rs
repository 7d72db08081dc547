//! The guest, seen from outside: what it needs, how it starts, how it ends.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::INSIDE;

const KERNEL: &str = "linux.uml";
/// In MiB. Only what is used costs anything.
const MEMORY: u64 = 768;
/// What booting and stopping may take on a busy host.
const BOOT: Duration = Duration::from_secs(60);

/// The programs that scenarios use, and Debian's packages that have them.
const NEEDED: [(&str, &str); 11] = [
    (KERNEL, "user-mode-linux"),
    ("modprobe", "kmod"),
    ("ip", "iproute2"),
    ("perl", "perl-base"),
    ("taskset", "util-linux"),
    ("stdbuf", "coreutils"),
    ("rspregistrar", "rsplib-registrar"),
    ("rspserver", "rsplib-services"),
    ("rspterminal", "rsplib-services"),
    ("hsdump", "rsplib-tools"),
    ("tshark", "tshark"),
];

/// The Debian packages that are not installed.
pub(super) fn missing() -> Option<String> {
    let mut packages: Vec<_> =
        NEEDED.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    packages.dedup();
    (!packages.is_empty()).then(|| packages.join(", "))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Names another `rserpool` command than that of this build.
const COMMAND: &str = "RSERPOOL_COMMAND";

/// The `rserpool` command of this build. It is built if need be: this crate is not the one that has it.
pub fn rserpool() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(other) = env::var_os(COMMAND) {
            return other.into();
        }
        let this = env::current_exe().expect("a test executable");
        // It is in the folder `deps` of the one that we look for.
        let folder = this.ancestors().nth(2).expect("a folder of the build");
        let binary = folder.join("rserpool");
        if env::var_os(INSIDE).is_none() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "-q", "--offline", "--workspace", "--bin", "rserpool"]);
            if folder.ends_with("release") {
                build.arg("--release");
            }
            build.arg("--target-dir").arg(folder.parent().expect("the folder of all builds"));
            let built = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status();
            assert!(built.is_ok_and(|status| status.success()), "the command cannot be built");
        }
        assert!(binary.is_file(), "{} is not there", binary.display());
        binary
    })
}

/// A folder that is gone with its value, unless the test fails.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("rserpool-lab-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a folder for the lab");
        Folder(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0.join("boot"));
        if std::thread::panicking() {
            eprintln!("the logs and captures are in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Runs this very test in a guest.
pub(super) fn guest(dir: &Path, test: &str, limit: Duration) -> Result<(), String> {
    rserpool();
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = String::from("#!/bin/bash\n");
    for name in ["RUST_LOG", "RUST_BACKTRACE", "RSERPOOL_SOAK", "RSERPOOL_ATTACK", "RSERPOOL_WRITE_DOCS", COMMAND] {
        if let Ok(value) = env::var(name) {
            let _ = writeln!(command, "export {name}={}", quoted(&value));
        }
    }
    let _ = writeln!(command, "export {INSIDE}={}", quoted(&dir.to_string_lossy()));
    let seconds = limit.as_secs();
    let this = quoted(&this.to_string_lossy());
    let _ = writeln!(command, "exec timeout -k 5 {seconds} {this} --exact {} --nocapture", quoted(test));
    fs::write(dir.join("command"), command).map_err(|error| error.to_string())?;

    let mut guest = Guest::boot(dir).map_err(|error| format!("it cannot be started: {error}"))?;
    let deadline = Instant::now() + limit + BOOT;
    while guest.0.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > deadline {
            return Err(format!("did not end within {limit:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    match fs::read_to_string(dir.join("status")).as_deref().map(str::trim) {
        Ok("0") => Ok(()),
        Ok("124" | "137") => Err(format!("did not end within {limit:?}")),
        Ok(status) => Err(format!("ended with status {status}")),
        Err(_) => Err("the guest did not run the test".into()),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What helps to see why a guest did not come up.
pub(super) fn last_words(dir: &Path) -> String {
    let mut words = String::new();
    if !dir.join("output").exists() {
        for name in ["console", "boot"] {
            let text = fs::read(dir.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let _ = write!(words, "\n{name}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
    words
}

/// The kernel as a process, the leader of a group with all that runs in it.
struct Guest(Child);

impl Guest {
    fn boot(dir: &Path) -> std::io::Result<Self> {
        let console = fs::File::create(dir.join("console"))?;
        let init = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/init");
        // On one processor: each system call inside is a switch between two processes out here, which is much faster
        // there than from one processor to another.
        Command::new("taskset")
            .args(["-c", &processor(), KERNEL, &format!("mem={MEMORY}M"), "root=/dev/root", "rootfstype=hostfs"])
            .args(["rootflags=/", "rw", &format!("init={init}"), &format!("uml_dir={}/", dir.display()), "umid=lab"])
            .args(["con=null", "con0=null,fd:1", "ssl=null", &format!("LAB_DIR={}", dir.display())])
            .env("TMPDIR", memory_folder(dir))
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .process_group(0)
            .spawn()
            .map(Guest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Its group may live on when it has ended.
        for signal in ["-TERM", "-KILL"] {
            let group = format!("-{}", self.0.id());
            let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.wait();
    }
}

/// The processors that this process may use, in turn.
fn processor() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0").trim();
    let processors: Vec<u32> = allowed
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect();
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
    processors.get(turn % processors.len().max(1)).unwrap_or(&0).to_string()
}

/// Where the guest's memory is, as a deleted file: in memory if there is room.
fn memory_folder(dir: &Path) -> PathBuf {
    let room = Command::new("df").args(["--output=avail", "-B", "1M", "/dev/shm"]).output();
    let room = room.ok().and_then(|df| String::from_utf8(df.stdout).ok());
    let room = room.and_then(|text| text.lines().last()?.trim().parse::<u64>().ok());
    if room.is_some_and(|room| room > 2 * MEMORY) { "/dev/shm".into() } else { dir.into() }
}
