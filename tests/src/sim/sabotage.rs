//! Sabotage: the network does to messages between registrars what no association does, so as to show that the checks
//! would notice a registrar that does it. A lost DEL_PE is what a registrar would do that does not send it.

use std::time::Duration;

use rserpool_core::wire::EnrpMessage;
use rserpool_core::wire::enrp::{EnrpBody, HandleTableResponse, InitTakeoverAck, PoolEntries, UpdateAction};
use rserpool_core::{Instant, ServerId};

use super::rng::Rng;

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    #[default]
    None,
    /// One in two DEL_PEs is not delivered.
    LostDelPe,
    /// Who has to ignore an ENRP_INIT_TAKEOVER acknowledges it instead, so that both win.
    WrongArbitration,
    /// Who has to yield goes on instead, so that nobody wins: ENRP_INIT_TAKEOVER_ACKs do not come.
    NoArbitration,
    /// The second page of a handle table comes without its elements.
    ExpiredCursor,
    /// Long after a takeover a peer hears an old ADD_PE of the dead registrar again, as if it were another one's. (As the
    /// dead one's own it would be refused: an association speaks for one registrar.)
    StaleAddPe,
}

impl Sabotage {
    pub const ALL: [(&'static str, Sabotage); 5] = [
        ("lost-del-pe", Sabotage::LostDelPe),
        ("wrong-arbitration", Sabotage::WrongArbitration),
        ("no-arbitration", Sabotage::NoArbitration),
        ("expired-cursor", Sabotage::ExpiredCursor),
        ("stale-add-pe", Sabotage::StaleAddPe),
    ];

    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// What becomes of a message.
pub enum Verdict {
    Pass,
    Drop,
    Instead(Vec<u8>),
    /// It is delivered, and this before it.
    After(Vec<u8>),
}

pub struct Saboteur {
    what: Sabotage,
    rng: Rng,
    /// ADD_PEs as they were sent, with their sender.
    old: Vec<(ServerId, Vec<u8>)>,
    /// The latest takeover: who was taken over by whom, and when it may be repeated what the dead one said.
    taken_over: Option<(ServerId, ServerId, Instant)>,
    patience: Duration,
    pages: u32,
    /// How often it has struck.
    pub strikes: u32,
}

impl Saboteur {
    pub fn new(what: Sabotage, rng: Rng, patience: Duration) -> Self {
        Saboteur { what, rng, old: Vec::new(), taken_over: None, patience, pages: 0, strikes: 0 }
    }

    pub fn is_at_work(&self) -> bool {
        self.what != Sabotage::None
    }

    fn strike(&mut self, verdict: Verdict) -> Verdict {
        self.strikes += 1;
        verdict
    }

    pub fn judge(&mut self, now: Instant, message: &EnrpMessage<'_>, bytes: &[u8]) -> Verdict {
        match (self.what, &message.body) {
            (Sabotage::LostDelPe, EnrpBody::HandleUpdate(update)) if update.action == UpdateAction::Delete => {
                if self.rng.below(2) == 0 { self.strike(Verdict::Drop) } else { Verdict::Pass }
            }
            // The receiver's answer is not the network's to make, but that of its own request, turned round, is.
            (Sabotage::WrongArbitration, EnrpBody::InitTakeover(init)) => {
                let ack = EnrpMessage { body: InitTakeoverAck { target: init.target }.into(), ..*message };
                let ack = emit(&ack);
                self.strike(Verdict::After(ack))
            }
            (Sabotage::NoArbitration, EnrpBody::InitTakeoverAck(_)) => self.strike(Verdict::Drop),
            (Sabotage::ExpiredCursor, EnrpBody::HandleTableResponse(page)) if !page.rejected => {
                self.pages = if page.more { self.pages + 1 } else { 0 };
                if self.pages != 2 {
                    return Verdict::Pass;
                }
                let body = HandleTableResponse { entries: PoolEntries::empty(), ..*page };
                let empty = emit(&EnrpMessage { body: body.into(), ..*message });
                self.strike(Verdict::Instead(empty))
            }
            (Sabotage::StaleAddPe, EnrpBody::HandleUpdate(update)) if update.action == UpdateAction::Add => {
                self.old.push((message.sender, bytes.to_vec()));
                Verdict::Pass
            }
            (Sabotage::StaleAddPe, EnrpBody::TakeoverServer(takeover)) => {
                self.taken_over = Some((takeover.target, message.sender, now + self.patience));
                Verdict::Pass
            }
            (Sabotage::StaleAddPe, EnrpBody::Presence(_)) => {
                let Some((target, winner, due)) = self.taken_over else { return Verdict::Pass };
                if now < due || message.sender == winner {
                    return Verdict::Pass;
                }
                let late = self.old.iter().rev().find(|(sender, _)| *sender == target).map(|(_, bytes)| bytes.clone());
                match late.and_then(|late| named(&late, message.sender)) {
                    Some(late) => {
                        self.taken_over = None;
                        self.strike(Verdict::After(late))
                    }
                    None => Verdict::Pass,
                }
            }
            _ => Verdict::Pass,
        }
    }
}

/// An ADD_PE in the name of another registrar.
fn named(bytes: &[u8], sender: ServerId) -> Option<Vec<u8>> {
    let message = EnrpMessage::parse(bytes).ok()?.message;
    let EnrpBody::HandleUpdate(mut update) = message.body else { return None };
    update.element.home = sender;
    Some(emit(&EnrpMessage { sender, body: update.into(), ..message }))
}

fn emit(message: &EnrpMessage<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).map(<[u8]>::to_vec).unwrap_or_default()
}
