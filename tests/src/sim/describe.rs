//! Messages in words, for the timeline.

use rserpool_core::wire::enrp::{EnrpBody, UpdateAction};
use rserpool_core::wire::{AsapMessage, EnrpMessage, PoolElementParam, PoolHandle};
use rserpool_core::{Ppid, ServerId};

use super::trace::Detail;

/// How much detail a message needs to be shown, and what it says.
pub fn message(ppid: Ppid, bytes: &[u8]) -> (Detail, String) {
    match ppid {
        Ppid::Asap => (Detail::All, asap(bytes)),
        Ppid::Enrp => enrp(bytes),
    }
}

fn asap(bytes: &[u8]) -> String {
    match AsapMessage::parse(bytes) {
        Ok(parsed) => {
            let name = parsed.message.name();
            match parsed.message {
                AsapMessage::Registration(m) => format!("{name} {}", element(m.pool_handle, &m.element)),
                AsapMessage::EndpointKeepAlive(m) if m.adopt => format!("{name} H=1 {}", m.pool_handle),
                AsapMessage::HandleResolutionResponse(m) => format!("{name} {} elements", m.elements.iter().count()),
                _ => name.to_string(),
            }
        }
        Err(error) => format!("malformed: {}", error.kind),
    }
}

fn enrp(bytes: &[u8]) -> (Detail, String) {
    let Ok(parsed) = EnrpMessage::parse(bytes) else { return (Detail::Main, "malformed".to_string()) };
    let message = parsed.message;
    let name = message.name();
    let (detail, rest) = match &message.body {
        EnrpBody::Presence(m) => {
            let detail = if m.reply_required { Detail::Main } else { Detail::All };
            (detail, format!("{}checksum {:#06x}", if m.reply_required { "R " } else { "" }, m.checksum.unwrap_or(0)))
        }
        EnrpBody::HandleTableRequest(m) => (Detail::Main, format!("W={}", u8::from(m.own_children_only))),
        EnrpBody::HandleTableResponse(m) => {
            let elements: usize = m.entries.iter().map(|entry| entry.elements.iter().count()).sum();
            (Detail::Main, format!("R={} M={} {elements} elements", u8::from(m.rejected), u8::from(m.more)))
        }
        EnrpBody::HandleUpdate(m) => {
            let action = if m.action == UpdateAction::Add { "ADD_PE" } else { "DEL_PE" };
            let home =
                if m.element.home == message.sender { String::new() } else { format!(" home {}", m.element.home) };
            (Detail::All, format!("{action} {}{home}", element(m.pool_handle, &m.element)))
        }
        EnrpBody::ListResponse(m) => {
            (Detail::Main, format!("R={} {} servers", u8::from(m.rejected), m.servers.iter().count()))
        }
        EnrpBody::InitTakeover(m) => (Detail::Main, target(m.target)),
        EnrpBody::InitTakeoverAck(m) => (Detail::Main, target(m.target)),
        EnrpBody::TakeoverServer(m) => (Detail::Main, target(m.target)),
        EnrpBody::ListRequest(_) | EnrpBody::Error(_) => (Detail::Main, String::new()),
    };
    (detail, format!("{name} {rest}"))
}

fn element(pool: PoolHandle<'_>, element: &PoolElementParam<'_>) -> String {
    format!("{pool}/{}", element.id)
}

fn target(id: ServerId) -> String {
    format!("target {id}")
}
