//! What the driver can be told.

use core::time::Duration;

use arrayvec::ArrayVec;
use rserpool_core::Ppid;

/// How many ports can be listened on.
pub const MAX_LISTENERS: usize = 2;

/// The ports and time limits of a driver. The numbers below are the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The ports that connections are accepted on, and the protocol that is spoken there. None.
    pub listeners: ArrayVec<Listener, MAX_LISTENERS>,
    /// How many sockets never listen, so that there is one when the machine wants to connect. 0; only for machines that
    /// listen and connect.
    pub reserved: usize,
    /// How long an attempt to connect to one address may take. 8 s, less than T5-Serverhunt.
    pub connect_timeout: Duration,
    /// How long a peer may leave what was sent to it in our buffer before it is given up. Until then the machine waits,
    /// with all its other connections. 2 s.
    pub write_stall: Duration,
    /// How long a connection that ends may take for its last bytes. 5 s.
    pub close_timeout: Duration,
    /// A connection that was accepted and on which no message went either way for this long is closed. 300 s; a
    /// registrar's keep-alives are more frequent.
    pub idle_timeout: Duration,
    /// After how long without a byte from the peer TCP asks for a sign of life. 10 s; [`Duration::MAX`] for never.
    pub tcp_keep_alive: Duration,
    /// After how long without an answer TCP gives a connection up. 25 s; [`Duration::MAX`] for never.
    pub tcp_timeout: Duration,
    /// How often to look whether the stack has an address, and which. 1 s.
    pub network_check: Duration,
}

/// A port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Listener {
    /// The protocol of what is received: TCP does not carry one.
    pub ppid: Ppid,
    /// The port.
    pub port: u16,
}

impl Config {
    /// The defaults.
    pub const fn new() -> Self {
        Config {
            listeners: ArrayVec::new_const(),
            reserved: 0,
            connect_timeout: Duration::from_secs(8),
            write_stall: Duration::from_secs(2),
            close_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
            tcp_keep_alive: Duration::from_secs(10),
            tcp_timeout: Duration::from_secs(25),
            network_check: Duration::from_secs(1),
        }
    }

    /// Listens on a protocol's registered port, as well. With more than [`MAX_LISTENERS`] the last ones are left out.
    #[must_use]
    pub fn listen(self, ppid: Ppid) -> Self {
        self.listen_on(ppid, ppid.port())
    }

    /// Listens on a port, as well. With more than [`MAX_LISTENERS`] the last ones are left out.
    #[must_use]
    pub fn listen_on(mut self, ppid: Ppid, port: u16) -> Self {
        let _ = self.listeners.try_push(Listener { ppid, port });
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}
