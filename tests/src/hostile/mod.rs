//! Attacks on a registrar that runs, and by one on a pool element and a pool user. During each of them those who behave
//! are served, and afterwards nothing is left of it. [`ATTACKS`] is all of them; `docs/robustness.md` is made of it.

mod connections;
mod corpus;
mod endpoints;
mod floods;
mod identities;
mod messages;
mod mutate;
pub mod probe;
pub mod registrar;
pub mod report;
mod sctp;
pub mod stage;
mod tables;
pub mod usage;
mod volley;

use std::io::{ErrorKind, Read};

pub use sctp::OVER_SCTP;
pub use stage::Outcome;

use crate::scene::Peer;

/// An attack.
pub struct Attack {
    /// What is done, in a few words.
    pub name: &'static str,
    /// What keeps it from doing harm.
    pub bounded_by: &'static str,
    /// Does it.
    pub run: fn() -> Outcome,
}

const fn attack(name: &'static str, run: fn() -> Outcome, bounded_by: &'static str) -> Attack {
    Attack { name, bounded_by, run }
}

const ENRP_TRUST: &str = "the audit (RFC 5353, 3.6) and the presences repair what is said in a peer's name; who reaches the \
                          port of ENRP is trusted until there is TLS";

/// All of them.
pub const ATTACKS: &[Attack] = &[
    attack(
        "each message cut off at each byte",
        messages::truncated,
        "the parser: an error report or nothing, and the next message is read",
    ),
    attack(
        "each message broken off at each byte by the end of the connection",
        messages::broken_off,
        "`partial_message_timeout`, and the end of the connection",
    ),
    attack(
        "each field of each message at its extremes",
        messages::extremes,
        "the parser and the checks of values (RFC 5354, 3.12.4); what is granted ends with its association",
    ),
    attack("each flag of each message flipped", messages::flags, "flags that are not known are ignored"),
    attack("messages of one protocol on the other's port", messages::wrong_port, "they are unknown or malformed there"),
    attack(
        "each pair of messages, in the wrong order",
        messages::wrong_order,
        "each message is checked against the state",
    ),
    attack(
        "replies that nobody asked for",
        messages::never_asked_for,
        "they are counted as unexpected and passed over",
    ),
    attack(
        "replies meant for somebody else",
        messages::for_somebody_else,
        "an acknowledgement counts on its element's association only; a request of a peer is answered where it came from, \
         whomever it names",
    ),
    attack(
        "one pool registered in, asked for and left by eight at once",
        messages::everything_at_once,
        "`messages_per_turn`: all connections have their turn",
    ),
    attack(
        "the identifier of another's element: registered, deregistered, acknowledged for",
        identities::of_an_element,
        "an element belongs to the association that it came by; who reports it again counts once (MAX-BAD-PE-REPORT)",
    ),
    attack(
        "the registration of another's element repeated, to leave with it",
        identities::exactly_as_an_element,
        "whoever is at the element's former association is asked, and has it back if it answers",
    ),
    attack(
        "the identifier of another registrar claimed, and used to remove elements",
        identities::of_a_registrar,
        ENRP_TRUST,
    ),
    attack("takeovers of registrars that live", identities::takeover_of_the_living, ENRP_TRUST),
    attack(
        "updates about elements of another home",
        identities::of_foreign_elements,
        "only the home removes an element (RFC 5353, 3.3.2)",
    ),
    attack(
        "a flood of registrations",
        floods::of_registrations,
        "`AsapRates::registrations`; `max_elements_per_association`, 4,096; they end with the association",
    ),
    attack("a flood of pools", floods::of_pools, "the same; a pool ends with its last element"),
    attack(
        "a flood of resolutions",
        floods::of_resolutions,
        "`AsapRates::resolutions`; `messages_per_turn`, and `out_pause` for who does not read",
    ),
    attack(
        "a flood of reports of unreachable elements",
        floods::of_reports,
        "`AsapRates::unreachable_reports`; one keep-alive a second for each element (RFC 5355, 2.13 and 2.14)",
    ),
    attack(
        "a flood of subscriptions, and of changes to tell of",
        floods::of_subscriptions,
        "`max_subscriptions_per_association`, 256; changes are gathered for `update_delay`",
    ),
    attack("a flood of announcements", floods::of_announcements, "a fixed number of registrars is counted"),
    attack(
        "a flood of presences by multicast, each of another registrar",
        floods::of_presences,
        "`RegistrarLimits::peers`; one that nobody has heard makes room for one that connects",
    ),
    attack(
        "announcements and presences by unicast to the port of the groups",
        floods::by_unicast,
        "the sockets that receive are bound to the groups' addresses",
    ),
    attack(
        "associations of ever new registrars",
        floods::of_peers,
        "`RegistrarLimits::peers`; MAX-TIME-NO-RESPONSE after the association has ended",
    ),
    attack(
        "pools with names that collide",
        floods::of_colliding_names,
        "the hash has a secret key, and the number of chains grows",
    ),
    attack(
        "handle tables without end, at re-synchronisation",
        tables::at_resynchronisation,
        "a transfer that brings nothing new for four times MAX-TIME-NO-RESPONSE is given up",
    ),
    attack(
        "a handle table without end, of the mentor",
        tables::of_the_mentor,
        "the same; then the next mentor, or none",
    ),
    attack(
        "bytes one at a time, and answers never read",
        connections::slow_both_ways,
        "`partial_message_timeout`, 15 s; `out_pause`, 64 KiB, and `write_stall`, 10 s",
    ),
    attack("connect and reset, again and again", connections::come_and_reset, "what an association had ends with it"),
    attack(
        "more connections than file descriptors",
        connections::more_than_descriptors,
        "one descriptor in reserve, by which the surplus is accepted and closed",
    ),
    attack(
        "more connections than are allowed",
        connections::more_than_allowed,
        "`max_connections`: the surplus is closed",
    ),
    attack("a full disk under the log", connections::full_disk, "what cannot be written is dropped"),
    attack(
        "a registrar whose messages are cut off at each byte, to element and user",
        endpoints::truncated,
        "the parser; T1 and T2, and then another registrar",
    ),
    attack(
        "a registrar whose messages have extreme fields and flipped flags",
        endpoints::extremes_and_flags,
        "the parser; what is answered was asked for",
    ),
    attack(
        "a registrar that answers for somebody else",
        endpoints::for_somebody_else,
        "an answer names the pool and the element that were asked about",
    ),
    attack(
        "a registrar that sends updates without end",
        endpoints::updates_without_end,
        "updates are for pools that are watched; `EndpointLimits`",
    ),
    attack(
        "a registrar that sends a byte at a time and never reads",
        endpoints::slowly,
        "T1 and T2, `write_stall`, `partial_message_timeout`",
    ),
    attack("a registrar that resets each connection", endpoints::resets, "T5: attempts are further and further apart"),
    attack("a flood of announcements to a user", endpoints::announcements, "`EndpointLimits::servers`, 32; T7"),
];

/// Whether the other side has ended the connection, as far as it shows without waiting.
fn over_by_now(peer: &mut Peer) -> bool {
    let _ = peer.stream.set_nonblocking(true);
    let mut chunk = [0; 65_536];
    let over = loop {
        match peer.stream.read(&mut chunk) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    let _ = peer.stream.set_nonblocking(false);
    over
}
