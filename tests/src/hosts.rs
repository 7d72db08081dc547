//! Hosts in network namespaces that are joined by a bridge, whose links can be cut.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::rig::{built_command, ip, is_skipped, missing_network};

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A network of hosts 1, 2, ..., each at `10.78.0.N`, in namespaces of its own.
pub struct Hosts {
    name: String,
    count: u8,
}

impl Hosts {
    /// `None`: something is missing here, and the test is to be skipped; the reason was printed.
    ///
    /// # Panics
    /// As for `None`, where the environment variable `RSERPOOL_REQUIRE` says that no test may be skipped. Or the command
    /// cannot be built.
    pub fn or_skip(count: u8) -> Option<Hosts> {
        if is_skipped(missing_network()) {
            return None;
        }
        built_command();
        let name = format!("rsp-{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let hosts = Hosts { name, count };
        ip(&["netns", "add", &hosts.name]);
        // Two bridges: whoever is on the other one is cut off, without a word to anybody.
        for bridge in ["here", "there"] {
            hosts.switch(&["link", "add", bridge, "type", "bridge", "mcast_snooping", "0"]);
            hosts.switch(&["link", "set", bridge, "up"]);
        }
        for host in 1..=count {
            let (inside, port) = (hosts.namespace(host), format!("h{host}"));
            ip(&["netns", "add", &inside]);
            hosts.switch(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &inside]);
            hosts.switch(&["link", "set", &port, "master", "here", "up"]);
            ip(&["-n", &inside, "addr", "add", &format!("{}/24", Self::ip(host)), "dev", "eth0"]);
            ip(&["-n", &inside, "link", "set", "eth0", "up"]);
            ip(&["-n", &inside, "link", "set", "lo", "up"]);
        }
        Some(hosts)
    }

    /// A host's address.
    pub fn ip(host: u8) -> String {
        format!("10.78.0.{host}")
    }

    /// Cuts hosts off from the others; among themselves they go on. Nothing is told to anybody: packets are lost.
    pub fn cut_off(&self, hosts: &[u8]) {
        for host in hosts {
            self.switch(&["link", "set", &format!("h{host}"), "master", "there"]);
        }
    }

    /// Puts hosts back.
    pub fn heal(&self, hosts: &[u8]) {
        for host in hosts {
            self.switch(&["link", "set", &format!("h{host}"), "master", "here"]);
        }
    }

    /// A program that runs on a host.
    pub fn command(&self, host: u8, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    fn namespace(&self, host: u8) -> String {
        format!("{}-{host}", self.name)
    }

    fn switch(&self, args: &[&str]) {
        ip(&[&["-n", &self.name], args].concat());
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in 1..=self.count {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(host)]).status();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}
