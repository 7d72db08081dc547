//! Firmware in QEMU on one side, the `rserpool` command on the other, in a network namespace of their own.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::rserpool;

/// A network with the host at `10.77.N.1` and the guest N at `10.77.N.2`, each over a cable of its own.
pub struct Rig {
    namespace: String,
    guests: Mutex<Vec<u8>>,
}

static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
static COMMAND: OnceLock<Result<(), String>> = OnceLock::new();
static RIGS: AtomicU32 = AtomicU32::new(0);

impl Rig {
    /// `None`: something is missing here, and the test is to be skipped; the reason was printed.
    ///
    /// # Panics
    /// As for `None`, where the environment variable `RSERPOOL_REQUIRE` says that no test may be skipped. Or the firmware
    /// cannot be built.
    pub fn or_skip() -> Option<Rig> {
        if is_skipped(missing_emulator().or_else(missing_network)) {
            return None;
        }
        built_command();
        if let Err(error) = BUILT.get_or_init(build) {
            panic!("{error}");
        }
        let namespace = format!("rserpool-{}-{}", std::process::id(), RIGS.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &namespace]);
        let rig = Rig { namespace, guests: Mutex::default() };
        rig.ip(&["link", "set", "lo", "up"]);
        rig.plug(0);
        // The one way to multicast groups.
        rig.ip(&["route", "add", "224.0.0.0/4", "dev", "tap0"]);
        Some(rig)
    }

    /// The cable of a guest, which must be there before a program of the host can use its address.
    pub fn plug(&self, guest: u8) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if guests.contains(&guest) {
            return;
        }
        guests.push(guest);
        let tap = format!("tap{guest}");
        self.ip(&["tuntap", "add", "dev", &tap, "mode", "tap"]);
        self.ip(&["addr", "add", &format!("10.77.{guest}.1/24"), "dev", &tap]);
        self.ip(&["link", "set", &tap, "up"]);
    }

    fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.namespace], args].concat());
    }

    /// Starts an image on a chip. `args` are for the image; `qemu` for the emulator.
    pub fn guest_with(&self, guest: u8, image: &str, args: &[&str], qemu: &[&str]) -> Process {
        self.plug(guest);
        let nic = format!("tap,ifname=tap{guest},script=no,downscript=no,mac=52:54:00:00:00:{guest:02x}");
        self.machine(guest, image, args, &[&["-nic", &nic], qemu].concat())
    }

    /// Starts an image on a chip.
    pub fn guest(&self, guest: u8, image: &str, args: &[&str]) -> Process {
        self.guest_with(guest, image, args, &[])
    }

    /// Starts an image on a chip whose network `qemu` describes.
    pub fn machine(&self, guest: u8, image: &str, args: &[&str], qemu: &[&str]) -> Process {
        let mut semihosting = String::from("enable=on,target=native,arg=image");
        let (ip, host) = (format!("ip=10.77.{guest}.2"), format!("host=10.77.{guest}.1"));
        let mac = format!("mac=52:54:00:00:00:{guest:02x}");
        let seed = format!("seed={}", u32::from(guest) + 1 + std::process::id());
        for arg in [&[&*ip, &*host, &*mac, &*seed], args].concat() {
            semihosting += &format!(",arg={arg}");
        }
        let image = firmware().join(image);
        let mut command = self.command("qemu-system-arm");
        command.args(["-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "null"]);
        command.args(qemu).args(["-semihosting-config", &semihosting, "-kernel"]).arg(image);
        Process::start(&format!("guest {guest}"), command)
    }

    /// Starts the `rserpool` command on the host.
    pub fn rserpool(&self, args: &[&str]) -> Process {
        let mut command = self.command(rserpool());
        command.args(args);
        Process::start(&format!("rserpool {}", args.join(" ")), command)
    }

    /// Starts a registrar on the host.
    pub fn registrar(&self, args: &[&str]) -> Process {
        self.rserpool(&[&["-v", "registrar", "--control", "none"], args].concat())
    }

    /// What a command of the host prints, once it has ended.
    pub fn output(&self, program: impl AsRef<Path>, args: &[&str]) -> String {
        let output = self.command(program.as_ref()).args(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The elements of a pool, as `rserpool resolve` prints them.
    pub fn resolve(&self, pool: &str, registrar: &str) -> String {
        self.output(rserpool(), &["resolve", pool, "--registrar", registrar])
    }

    /// A program that runs on the host, in the rig's network.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program.as_ref());
        command
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

/// A program that runs, and the lines that it has printed.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Process {
    /// Starts it. Its output goes to the test's as well.
    pub fn start(name: &str, mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        collect(name, BufReader::new(out), &lines);
        collect(name, BufReader::new(err), &lines);
        Process { name: name.to_owned(), child, lines }
    }

    /// Waits for a line with this text, the `nth` of them, from 1.
    ///
    /// # Panics
    /// It does not come in time.
    #[track_caller]
    pub fn wait_for_nth(&self, text: &str, nth: usize, limit: Duration) -> String {
        let (lines, more) = &*self.lines;
        let end = Instant::now() + limit;
        let mut lines = lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().filter(|line| line.contains(text)).nth(nth - 1) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} did not say {text:?} within {limit:?}, but: {lines:#?}", self.name);
            lines = more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Waits for the first line with this text.
    ///
    /// # Panics
    /// It does not come in time.
    #[track_caller]
    pub fn wait_for(&self, text: &str, limit: Duration) -> String {
        self.wait_for_nth(text, 1, limit)
    }

    /// How many lines have this text.
    pub fn count(&self, text: &str) -> usize {
        self.lines.0.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until it ends; says whether it ended well.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn ends_well(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < end, "{} did not end within {limit:?}", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Stops it (SIGSTOP): it is there, and does nothing.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Ends it without a word (SIGKILL).
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(name: &str, from: impl BufRead + Send + 'static, lines: &Arc<(Mutex<Vec<String>>, Condvar)>) {
    let (name, lines) = (name.to_owned(), Arc::clone(lines));
    thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            println!("[{name}] {line}");
            lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            lines.1.notify_all();
        }
    });
}

/// Waits until something is so.
///
/// # Panics
/// It is not so in time.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the test is to be skipped, since this is missing.
///
/// # Panics
/// Something is missing, and the environment variable `RSERPOOL_REQUIRE` says that no test may be skipped.
pub(crate) fn is_skipped(missing: Option<&str>) -> bool {
    let Some(what) = missing else { return false };
    assert!(env::var_os("RSERPOOL_REQUIRE").is_none(), "{what}");
    eprintln!("skipped: {what}");
    true
}

pub(crate) fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
}

fn answers(program: &str, arg: &str) -> bool {
    let status = Command::new(program).arg(arg).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What there is not, to run firmware.
fn missing_emulator() -> Option<&'static str> {
    if !answers("qemu-system-arm", "--version") {
        return Some("qemu-system-arm is not installed");
    }
    if !answers("ld.lld", "--version") {
        return Some("ld.lld is not installed");
    }
    if !has_target() && !has_debian_compiler() {
        return Some("no compiler for thumbv7m-none-eabi: neither rustup's target nor Debian's rustc-web is installed");
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun");
    }
    None
}

/// What there is not, to make networks.
pub(crate) fn missing_network() -> Option<&'static str> {
    if !answers("ip", "-V") {
        return Some("ip (of iproute2) is not installed");
    }
    if !answers("ip", "netns") || !is_root() {
        return Some("only root can make network namespaces and their devices");
    }
    None
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn has_target() -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", "thumbv7m-none-eabi"]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn has_debian_compiler() -> bool {
    Path::new("/usr/lib/rustlib/src/rust/library/core").is_dir() && Path::new("/usr/bin/rustc").exists()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where the test's own executables are: the profile's folder of the target directory.
fn executables() -> PathBuf {
    let mut folder = env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

/// An executable of this workspace.
pub fn binary(name: &str) -> PathBuf {
    executables().join(name)
}

fn firmware_target() -> PathBuf {
    executables().parent().unwrap().join("firmware")
}

fn firmware() -> PathBuf {
    firmware_target().join("thumbv7m-none-eabi/release")
}

/// Builds the images, where that was not done yet.
fn build() -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut images = Command::new(cargo);
    images.current_dir(workspace().join("transport-embassy/firmware"));
    images.args(["build", "--quiet", "--locked", "--release", "--features", "multicast", "--target-dir"]);
    images.arg(firmware_target());
    if !has_target() {
        images.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
    }
    run(images)
}

/// Builds the command, where that was not done yet.
///
/// # Panics
/// It cannot be built.
pub fn built_command() {
    let build = || {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(workspace()).args(["build", "--quiet", "--package", "rserpool-std", "--bin", "rserpool"]);
        command.arg("--target-dir").arg(executables().parent().unwrap());
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        run(command)
    };
    if let Err(error) = COMMAND.get_or_init(build) {
        panic!("{error}");
    }
}

fn run(mut build: Command) -> Result<(), String> {
    let status = build.status().map_err(|error| format!("{build:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{build:?} failed")) }
}
