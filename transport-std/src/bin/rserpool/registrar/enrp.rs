//! The flags about other registrars.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::{Compat, EnrpConfig, Ppid};
use rserpool_std::driver::Channel;
use rserpool_std::resolve_peer;

use crate::error::Error;
use crate::network::{self, MulticastArgs};
use crate::values;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Other registrars (ENRP, RFC 5353)")]
pub(super) struct EnrpArgs {
    /// Another registrar of the same handlespace; repeat it for several. One that is not there is tried again
    #[arg(long = "peer", value_name = "HOST[:PORT][,ADDRESS...]")]
    peers: Vec<String>,
    /// Where to listen for other registrars. Default: port 9901 on the addresses of --listen, if there is any --peer or
    /// --multicast; else nowhere, since whoever connects there can change the handlespace
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = network::enrp_address)]
    enrp_listen: Vec<SocketAddr>,
    /// A multicast group of ENRP. Default: those of --group on port 9901. rsplib's is 239.0.0.51
    #[arg(long = "enrp-group", value_name = "ADDRESS[:PORT]")]
    enrp_groups: Vec<String>,
    /// PEER-HEARTBEAT-CYCLE: how often to tell the peers that this one is there
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::positive_duration)]
    peer_heartbeat_cycle: Duration,
    /// MAX-TIME-LAST-HEARD: after this silence, ask a peer whether it is there
    #[arg(long, value_name = "TIME", default_value = "61s", value_parser = values::positive_duration)]
    max_time_last_heard: Duration,
    /// MAX-TIME-NO-RESPONSE: after this time without an answer a peer is dead, and is taken over
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::positive_duration)]
    max_time_no_response: Duration,
    /// How long, at the end, the peers may take to take over the elements
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    leave_timeout: Duration,
    /// Whose reading of the RFCs to follow where rsplib differs: the RFCs' (rfc), rsplib's (rsplib), or that of the peer
    /// as far as it shows (auto)
    #[arg(long, value_name = "WHOSE", default_value = "auto")]
    compat: Reading,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Reading {
    Rfc,
    Rsplib,
    Auto,
}

/// What the flags come to.
pub(super) struct Enrp {
    pub(super) config: EnrpConfig,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) peers: Vec<Vec<SocketAddr>>,
    pub(super) channels: Vec<Channel>,
}

impl EnrpArgs {
    pub(super) fn leave_timeout(&self) -> Duration {
        self.leave_timeout
    }

    /// `asap`: where the registrar listens for pool elements and pool users.
    pub(super) fn options(&self, asap: &[SocketAddr], multicast: &MulticastArgs) -> Result<Enrp, Error> {
        if self.max_time_last_heard <= self.peer_heartbeat_cycle {
            return Err(Error::Usage(format!(
                "'--max-time-last-heard' ({:?}) must be longer than '--peer-heartbeat-cycle' ({:?}), or peers that live \
                 are taken for dead",
                self.max_time_last_heard, self.peer_heartbeat_cycle
            )));
        }
        let channels = multicast.enrp_channels(&self.enrp_groups)?;
        let peers = self.peers.iter().map(|peer| self::peer(peer)).collect::<Result<Vec<_>, _>>()?;
        let wanted = !peers.is_empty() || !channels.is_empty();
        let listen = match self.enrp_listen.as_slice() {
            [] if wanted => asap.iter().map(|address| SocketAddr::new(address.ip(), Ppid::Enrp.port())).collect(),
            given => given.to_vec(),
        };
        let config = EnrpConfig {
            peer_heartbeat_cycle: self.peer_heartbeat_cycle,
            max_time_last_heard: self.max_time_last_heard,
            max_time_no_response: self.max_time_no_response,
            multicast: !channels.is_empty(),
            leave_timeout: self.leave_timeout,
            compat: match self.compat {
                Reading::Rfc => Compat::Rfc,
                Reading::Rsplib => Compat::Rsplib,
                Reading::Auto => Compat::Auto,
            },
            ..EnrpConfig::new()
        };
        Ok(Enrp { config, listen, peers, channels })
    }
}

fn peer(name: &str) -> Result<Vec<SocketAddr>, Error> {
    let addresses = resolve_peer(name).map_err(|error| network::no_host("--peer", name, &error))?;
    let nobody = |ip: IpAddr| ip.is_unspecified() || ip.is_multicast();
    if addresses.iter().all(|address| nobody(address.ip())) {
        return Err(Error::value("--peer", name, "the address of one host is wanted"));
    }
    Ok(addresses)
}
