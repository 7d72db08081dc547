//! What the numbers are called, and what each message consists of.

use clap::ValueEnum;
use serde::Serialize;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    /// Between pool elements or pool users and registrars (RFC 5352)
    Asap,
    /// Between registrars (RFC 5353)
    Enrp,
}

impl Protocol {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Protocol::Asap => "ASAP",
            Protocol::Enrp => "ENRP",
        }
    }
}

/// A bit of a message's flags: its mask, letter and meaning.
pub(super) type Flag = (u8, &'static str, &'static str);

/// A message type.
pub(super) struct MessageType {
    pub(super) name: &'static str,
    pub(super) flags: &'static [Flag],
    /// What follows the header (and, in ENRP, the two server identifiers).
    pub(super) holds: &'static str,
    /// Where it is defined.
    pub(super) section: &'static str,
}

pub(super) fn message_type(protocol: Protocol, ty: u8) -> Option<MessageType> {
    let (name, flags, holds, section): (_, &'static [Flag], _, _) = match protocol {
        Protocol::Asap => match ty {
            0x01 => ("REGISTRATION", &[], "Pool Handle, Pool Element", "RFC 5352, 2.2.1"),
            0x02 => ("DEREGISTRATION", &[], "Pool Handle, PE Identifier", "RFC 5352, 2.2.2"),
            0x03 => (
                "REGISTRATION_RESPONSE",
                &[(1, "R", "the registration is refused")],
                "Pool Handle, PE Identifier, [Operation Error]",
                "RFC 5352, 2.2.3",
            ),
            0x04 => {
                ("DEREGISTRATION_RESPONSE", &[], "Pool Handle, PE Identifier, [Operation Error]", "RFC 5352, 2.2.4")
            }
            0x05 => (
                "HANDLE_RESOLUTION",
                &[(1, "S", "send updates when the pool changes")],
                "Pool Handle, [Wanted Items]",
                "RFC 5352, 2.2.5",
            ),
            0x06 => (
                "HANDLE_RESOLUTION_RESPONSE",
                &[(1, "A", "updates will be sent")],
                "Pool Handle, [Policy], then either one or more Pool Elements or an Operation Error",
                "RFC 5352, 2.2.6",
            ),
            0x07 => (
                "ENDPOINT_KEEP_ALIVE",
                &[(1, "H", "the sender wants to be the home registrar")],
                "Server Identifier (32 bits), Pool Handle, [PE Identifier]",
                "RFC 5352, 2.2.7",
            ),
            0x08 => ("ENDPOINT_KEEP_ALIVE_ACK", &[], "Pool Handle, PE Identifier", "RFC 5352, 2.2.8"),
            0x09 => ("ENDPOINT_UNREACHABLE", &[], "Pool Handle, PE Identifier", "RFC 5352, 2.2.9"),
            0x0a => (
                "SERVER_ANNOUNCE",
                &[],
                "Server Identifier (32 bits), SCTP and TCP Transports, perhaps none",
                "RFC 5352, 2.2.10",
            ),
            0x0b => ("COOKIE", &[], "Cookie", "RFC 5352, 2.2.11"),
            0x0c => ("COOKIE_ECHO", &[], "Cookie", "RFC 5352, 2.2.12"),
            0x0d => ("BUSINESS_CARD", &[], "Pool Handle, [Policy], one or more Pool Elements", "RFC 5352, 2.2.13"),
            0x0e => ("ERROR", &[], "Operation Error", "RFC 5352, 2.2.14"),
            _ => return None,
        },
        Protocol::Enrp => match ty {
            0x01 => (
                "PRESENCE",
                &[(1, "R", "an answer is required")],
                "[PE Checksum], [Server Information]",
                "RFC 5353, 2.1",
            ),
            0x02 => (
                "HANDLE_TABLE_REQUEST",
                &[(1, "W", "only the elements that the receiver owns")],
                "nothing",
                "RFC 5353, 2.2",
            ),
            0x03 => (
                "HANDLE_TABLE_RESPONSE",
                &[(1, "R", "the request is refused"), (2, "M", "there is more: ask again")],
                "for each pool a Pool Handle and one or more Pool Elements; nothing if R is set",
                "RFC 5353, 2.3",
            ),
            0x04 => (
                "HANDLE_UPDATE",
                &[(1, "T", "the receiver should take the element over (rsplib, not of the RFC)")],
                "Update Action (16 bits, 0 or 1), 16 reserved bits, Pool Handle, Pool Element",
                "RFC 5353, 2.4",
            ),
            0x05 => ("LIST_REQUEST", &[], "nothing", "RFC 5353, 2.5"),
            0x06 => (
                "LIST_RESPONSE",
                &[(1, "R", "the request is refused")],
                "Server Informations; nothing if R is set",
                "RFC 5353, 2.6",
            ),
            0x07 => ("INIT_TAKEOVER", &[], "Targeting Server's ID (32 bits)", "RFC 5353, 2.7"),
            0x08 => ("INIT_TAKEOVER_ACK", &[], "Targeting Server's ID (32 bits)", "RFC 5353, 2.8"),
            0x09 => ("TAKEOVER_SERVER", &[], "Targeting Server's ID (32 bits)", "RFC 5353, 2.9"),
            0x0a => ("ERROR", &[], "Operation Error", "RFC 5353, 2.10"),
            _ => return None,
        },
    };
    Some(MessageType { name, flags, holds, section })
}

/// The name of a parameter type in RFC 5354.
pub(super) fn parameter(ty: u16) -> Option<&'static str> {
    Some(match ty {
        0x1 => "IPv4 Address",
        0x2 => "IPv6 Address",
        0x3 => "DCCP Transport",
        0x4 => "SCTP Transport",
        0x5 => "TCP Transport",
        0x6 => "UDP Transport",
        0x7 => "UDP-Lite Transport",
        0x8 => "Policy",
        0x9 => "Pool Handle",
        0xa => "Pool Element",
        0xb => "Server Information",
        0xc => "Operation Error",
        0xd => "Cookie",
        0xe => "PE Identifier",
        0xf => "PE Checksum",
        0x10 => "Opaque Transport",
        0x803f => "Wanted Items",
        _ => return None,
    })
}

/// What a parameter of a known type consists of.
pub(super) fn parameter_holds(ty: u16) -> Option<&'static str> {
    Some(match ty {
        0x1 => "4 bytes",
        0x2 => "16 bytes",
        0x3 => "port, 16 reserved bits, service code (32 bits), one address",
        0x4 => "port, transport use (0 or 1), one or more addresses",
        0x5..=0x7 => "port, 16 reserved bits, one address",
        0x8 => "policy type (32 bits), the values of that policy",
        0x9 => "one byte or more",
        0xa => {
            "PE identifier, home server identifier, registration life (32 bits each), one transport, Policy, \
             [SCTP or TCP Transport of ASAP]"
        }
        0xb => "server identifier (32 bits), SCTP or TCP Transport",
        0xc => "one or more error causes",
        0xe | 0x803f => "32 bits",
        0xf => "16 bits",
        _ => return None,
    })
}

/// What a receiver does with a parameter of an unknown type (RFC 5354, 3).
pub(super) const fn unknown_parameter_action(ty: u16) -> &'static str {
    match ty >> 14 {
        0b00 => "upper bits 00: stop, do not report",
        0b01 => "upper bits 01: stop and report",
        0b10 => "upper bits 10: skip, do not report",
        _ => "upper bits 11: skip and report",
    }
}

/// What a receiver does with a message of an unknown type (RFC 5354, 4).
pub(super) const fn unknown_message_action(ty: u8) -> &'static str {
    match ty >> 6 {
        0b00 => "upper bits 00: discard, do not report",
        0b01 => "upper bits 01: discard and report",
        _ => "reserved upper bits: discard",
    }
}

/// A policy: its name and its values after the type.
pub(super) fn policy(ty: u32) -> Option<(&'static str, &'static [&'static str])> {
    Some(match ty {
        0x0000_0001 => ("Round Robin", &[]),
        0x0000_0002 => ("Weighted Round Robin", &["weight"]),
        0x0000_0003 => ("Random", &[]),
        0x0000_0004 => ("Weighted Random", &["weight"]),
        0x0000_0005 => ("Priority", &["priority"]),
        0x4000_0001 => ("Least Used", &["load"]),
        0x4000_0002 => ("Least Used with Degradation", &["load", "load degradation"]),
        0x4000_0003 => ("Priority Least Used", &["load", "load degradation"]),
        0x4000_0004 => ("Randomized Least Used", &["load"]),
        _ => return None,
    })
}
