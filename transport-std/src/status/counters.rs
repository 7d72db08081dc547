//! What a registrar has counted, by names for people and scripts.

use rserpool_core::Registrar;

use crate::driver::DriverStats;

pub(super) fn counters(registrar: &Registrar<'_>, driver: &DriverStats) -> Vec<(String, u64)> {
    let stats = registrar.stats();
    [
        ("registrations", stats.registrations),
        ("reregistrations", stats.reregistrations),
        ("registrations rejected", stats.registrations_rejected),
        ("deregistrations", stats.deregistrations),
        ("deregistrations rejected", stats.deregistrations_rejected),
        ("resolutions", stats.resolutions),
        ("resolutions rejected", stats.resolutions_rejected),
        ("registrations over rate", stats.registrations_over_rate),
        ("resolutions over rate", stats.resolutions_over_rate),
        ("unreachable reports over rate", stats.unreachable_over_rate),
        ("error reports over rate", stats.errors_over_rate),
        ("handle tables over rate", stats.tables_over_rate),
        ("peer lists over rate", stats.lists_over_rate),
        ("presences over rate", stats.presences_over_rate),
        ("updates", stats.updates),
        ("unreachable reports", stats.unreachable_reports),
        ("keep-alives", stats.keep_alives),
        ("keep-alive acks", stats.keep_alive_acks),
        ("elements expired", stats.expired),
        ("elements lost", stats.lost),
        ("elements reported", stats.reported),
        ("announcements", stats.announcements),
        ("malformed messages", stats.malformed),
        ("unexpected messages", stats.unexpected),
        ("error reports", stats.errors),
        ("presences", stats.presences),
        ("handle updates", stats.handle_updates),
        ("handle table pages", stats.table_pages),
        ("handle tables refused", stats.table_rejections),
        ("resynchronisations", stats.resynchronisations),
        ("takeovers begun", stats.takeovers_begun),
        ("takeovers", stats.takeovers),
        ("connections accepted", driver.accepted),
        ("connections made", driver.dialled),
        ("connections not made", driver.dial_failures),
        ("associations aborted", driver.closed.aborted),
        ("associations restarted", driver.closed.restarted),
        ("messages of other protocols", driver.foreign_messages + driver.closed.wrong_protocol),
        ("messages in", driver.messages_in),
        ("messages out", driver.messages_out),
        ("bytes in", driver.bytes_in),
        ("bytes out", driver.bytes_out),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}
