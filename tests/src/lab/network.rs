//! Hosts and links inside the guest: network namespaces joined by bridges.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{Ended, Process};
use super::{HANG, until};

/// What a network looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many hosts: 1, 2, ...
    pub hosts: u8,
    /// How many links, to each of which every host has an interface `eth0`, `eth1`, ...
    pub links: u8,
    /// Whether hosts have IPv4 addresses; all have IPv6 ones.
    pub ipv4: bool,
    /// Whether hosts have IPv6 addresses.
    pub ipv6: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { hosts: 5, links: 1, ipv4: true, ipv6: false }
    }
}

/// The number by which the scenario's own process is a host.
pub const HERE: u8 = 254;

/// The address of a host on a link: 10.251.0.1 is host 1's on link 0, 10.252.0.1 on link 1.
pub fn v4(host: u8, link: u8) -> IpAddr {
    Ipv4Addr::new(10, 251 + link, 0, host).into()
}

/// The same in IPv6: `fd00:251::1`.
pub fn v6(host: u8, link: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0x251 + u16::from(link), 0, 0, 0, 0, 0, host.into()).into()
}

/// Some hosts and links. There is one network at a time.
pub struct Network {
    dir: PathBuf,
    shape: Shape,
    runs: AtomicU32,
}

impl Network {
    pub(super) fn new(dir: &Path, shape: Shape) -> Self {
        let mut bridges = String::new();
        for link in 0..shape.links {
            bridges += &format!("link add br{link} type bridge mcast_snooping 0\nlink set br{link} up\n");
        }
        for host in 1..=shape.hosts {
            bridges += &format!("netns add h{host}\n");
            for link in 0..shape.links {
                bridges += &format!("link add h{host}.{link} type veth peer name eth{link} netns h{host}\n");
                bridges += &format!("link set h{host}.{link} master br{link} up\n");
            }
        }
        // This process itself is on each link, too.
        for link in 0..shape.links {
            if shape.ipv4 {
                bridges += &format!("addr add {}/24 dev br{link}\n", v4(HERE, link));
            }
            if shape.ipv6 {
                bridges += &format!("addr add {}/64 dev br{link} nodad\n", v6(HERE, link));
            }
        }
        ip(&[], &bridges);
        for host in 1..=shape.hosts {
            let mut inside = String::from("link set lo up\n");
            for link in 0..shape.links {
                inside += &format!("link set eth{link} up\n");
                if shape.ipv4 {
                    inside += &format!("addr add {}/24 dev eth{link}\n", v4(host, link));
                }
                if shape.ipv6 {
                    // Without a search for duplicates the address is there at once.
                    inside += &format!("addr add {}/64 dev eth{link} nodad\n", v6(host, link));
                }
            }
            if shape.ipv4 {
                inside += "route add 224.0.0.0/4 dev eth0\n";
            }
            ip(&["-n", &format!("h{host}")], &inside);
        }
        Network { dir: dir.into(), shape, runs: AtomicU32::new(0) }
    }

    /// One of the hosts.
    pub fn host(&self, number: u8) -> Host<'_> {
        assert!((1..=self.shape.hosts).contains(&number), "there is no host {number}");
        Host { network: self, number }
    }

    /// Records what all links carry, in a file that is examined outside, until the value is dropped.
    pub fn record(&self, name: &str) -> Recording {
        let log = self.dir.join(format!("{name}.dumpcap"));
        let mut dumpcap = Command::new("dumpcap");
        dumpcap.arg("-q");
        for link in 0..self.shape.links {
            dumpcap.args(["-i", &format!("br{link}")]);
        }
        let child = dumpcap
            .arg("-w")
            .arg(self.dir.join(format!("{name}.pcap")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("dumpcap");
        until("the capture to begin", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("File:")));
        Recording { dumpcap: child, notes: self.dir.join(format!("{name}.notes")) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut all = String::new();
        for host in 1..=self.shape.hosts {
            // A namespace goes some time after it was deleted, and its links with it: the next network has these names.
            for link in 0..self.shape.links {
                all += &format!("link del h{host}.{link}\n");
            }
            all += &format!("netns del h{host}\n");
        }
        for link in 0..self.shape.links {
            all += &format!("link del br{link}\n");
        }
        if !std::thread::panicking() {
            ip(&[], &all);
        }
    }
}

/// Gives `ip` a list of commands: one process for all of them.
fn ip(arguments: &[&str], commands: &str) {
    let mut ip = Command::new("ip").args(arguments).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip");
    ip.stdin.take().expect("a pipe").write_all(commands.as_bytes()).expect("ip reads");
    assert!(ip.wait().expect("ip").success(), "ip failed with\n{commands}");
}

/// A capture that goes on.
pub struct Recording {
    dumpcap: Child,
    notes: PathBuf,
}

impl Recording {
    /// Notes something, in one line, for those who examine the capture outside.
    pub fn note(&self, what: &str) {
        let file = OpenOptions::new().create(true).append(true).open(&self.notes);
        file.and_then(|mut file| writeln!(file, "{what}")).expect("a note");
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // What was sent last is to be in it.
        std::thread::sleep(Duration::from_millis(300));
        let _ = Command::new("kill").args(["-INT", &self.dumpcap.id().to_string()]).status();
        let _ = self.dumpcap.wait();
    }
}

/// A host.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    network: &'a Network,
    number: u8,
}

impl<'a> Host<'a> {
    /// Which one it is.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Another host of the same network.
    pub fn sibling(&self, number: u8) -> Host<'a> {
        self.network.host(number)
    }

    /// Its address on the first link: the IPv4 one if there is one.
    pub fn ip(&self) -> IpAddr {
        if self.network.shape.ipv4 { v4(self.number, 0) } else { v6(self.number, 0) }
    }

    /// Starts a program, which ends with the value.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let run = self.network.runs.fetch_add(1, Ordering::Relaxed);
        let short = Path::new(program).file_name().expect("a program").to_string_lossy();
        let log = self.network.dir.join(format!("{run:03}-{short}-h{}.log", self.number));
        let mut command = Command::new("ip");
        // What is written to files would else come late, a block at a time.
        command.args(["netns", "exec", &format!("h{}", self.number), "stdbuf", "-oL", program]).args(arguments);
        Process::start(command, &log)
    }

    /// Runs a program to its end.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ended {
        self.start(program, arguments).wait_within(HANG)
    }

    /// Starts our command.
    pub fn rserpool(&self, arguments: &[&str]) -> Process {
        self.start(&super::rserpool().to_string_lossy(), arguments)
    }

    /// Cuts the host off from a link, without the host's seeing it.
    pub fn cut(&self, link: u8) {
        ip(&[], &format!("link set h{}.{link} nomaster\n", self.number));
    }

    /// Undoes [`Host::cut`].
    pub fn mend(&self, link: u8) {
        ip(&[], &format!("link set h{}.{link} master br{link}\n", self.number));
    }

    /// Spoils what the host sends on a link, in netem's words: `delay 100ms`, `loss 10%`. Nothing: no longer.
    #[track_caller]
    pub fn spoil(&self, link: u8, how: &[&str]) {
        let (interface, host) = (format!("eth{link}"), format!("h{}", self.number));
        let mut tc = Command::new("tc");
        tc.args(["-n", &host, "qdisc"]);
        if how.is_empty() {
            tc.args(["del", "dev", &interface, "root"]);
        } else {
            tc.args(["replace", "dev", &interface, "root", "netem"]).args(how);
        }
        assert!(tc.status().expect("tc").success(), "tc {how:?}");
    }
}
