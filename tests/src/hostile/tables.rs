//! Registrars whose handle tables have no end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rserpool_core::ServerId;
use rserpool_core::wire::enrp::{HandleUpdate, ListResponse, UpdateAction};
use rserpool_core::wire::{EnrpBody, EnrpMessage, List};

use super::corpus::{GHOST, emit_enrp, page, presence};
use super::registrar::BadRegistrar;
use super::stage::{FAR, Outcome, Setup, Stage};
use super::volley;
use crate::scene::{Peer, element, handle, until};

/// Gives a page and says that there is more, as often as it is asked.
fn endless(peer: &mut Peer, id: ServerId, element: u32, stop: &AtomicBool, pages: &AtomicUsize) {
    let introduced = peer.try_send(&presence(id, true, 7));
    while introduced && !stop.load(Ordering::Acquire) {
        let Some(question) = peer.receive() else { return };
        let answer = match EnrpMessage::parse(&question).map(|parsed| parsed.message.body) {
            Ok(EnrpBody::ListRequest(_)) => emit_enrp(id, ListResponse { rejected: false, servers: List::empty() }),
            Ok(EnrpBody::HandleTableRequest(_)) => {
                pages.fetch_add(1, Ordering::AcqRel);
                page(id, true, element)
            }
            Ok(EnrpBody::Presence(message)) if message.reply_required => presence(id, false, 7),
            _ => continue,
        };
        if !peer.try_send(&answer) {
            return;
        }
    }
}

pub(super) fn at_resynchronisation() -> Outcome {
    const PEERS: u32 = 8;
    Stage::start(&Setup::peered()).endures(|stage| {
        let (stop, pages) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (1..=PEERS)
            .map(|n| {
                let (mut peer, stop, pages) = (stage.enrp(), Arc::clone(&stop), Arc::clone(&pages));
                // Half of them have nothing in their pages, the others always the same element.
                std::thread::spawn(move || endless(&mut peer, ServerId(GHOST.0 + n), n % 2 * n, &stop, &pages))
            })
            .collect();
        until("pages", || pages.load(Ordering::Acquire) > 1000);
        // The copy of what the other registrar owns is spoilt. However many tables have no end, its own is read.
        let mut foreign = element(0);
        let user = stage.user();
        foreign.id = user.resolve(FAR).ok().and_then(|members| Some(members.first()?.id())).expect("its element");
        foreign.home = stage.far_id();
        let (action, pool_handle) = (UpdateAction::Delete, handle(FAR.as_bytes()));
        let delete = HandleUpdate { takeover_suggested: false, action, pool_handle, element: foreign };
        volley::over(stage.enrp(), std::iter::once(emit_enrp(stage.far_id(), delete)));
        until("the re-synchronisation with the other registrar", || user.resolve(FAR).is_ok());
        stop.store(true, Ordering::Release);
        for thread in threads {
            let _ = thread.join();
        }
        format!("{PEERS} registrars, {} pages", pages.load(Ordering::Acquire))
    })
}

pub(super) fn of_the_mentor() -> Outcome {
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let mentor = BadRegistrar::new(move |peer, stop| endless(peer, GHOST, 1, stop, &counted));
    let arguments = vec!["--peer".to_owned(), mentor.address().to_string()];
    Stage::start(&Setup { arguments, starting: true, ..Setup::default() }).endures(|stage| {
        until("the start in spite of its mentor", || stage.status().serving);
        drop(mentor);
        format!("{} pages", pages.load(Ordering::Acquire))
    })
}
