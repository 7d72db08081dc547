//! What a registrar does, in the log.

use rserpool_core::RegistrarEvent;
use tracing::{debug, info, warn};

/// Logs what the machine does not log itself, by its feature `log`: peers found and dead, takeovers, re-synchronisations,
/// a second registrar with one's identifier.
pub(super) fn event(event: RegistrarEvent) {
    match event {
        RegistrarEvent::PeerRemoved { peer } => info!("registrar {peer} is no peer any more"),
        RegistrarEvent::Left { remaining: 0 } => info!("no pool element depends on this registrar any more"),
        RegistrarEvent::Left { remaining } => {
            warn!("{remaining} pool elements have found no other home; they are on their own");
        }
        RegistrarEvent::EventsLost => warn!("events were lost"),
        other => debug!(event = ?other),
    }
}
