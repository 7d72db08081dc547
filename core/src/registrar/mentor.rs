//! What a registrar gives to peers that start or re-synchronise: the list of peers, and the handlespace in pages
//! (RFC 5353, 3.2.2.2, 3.2.3 and 3.6.3).

use super::Registrar;
use super::peers::Owed;
use super::rates::Charge;
use crate::arena::Idx;
use crate::handlespace::ElementRef;
use crate::wire::enrp::HandleTableRequest;
use crate::wire::param::POOL_ELEMENT;
use crate::wire::{EmitError, Item, MAX_MESSAGE_LEN, ServerInformation, Writer, padded_len};
use crate::{AssocId, Instant, ServerId};

const TABLE_RESPONSE: u8 = 0x03;
const LIST_RESPONSE: u8 = 0x06;
const REJECT: u8 = 0x01;
const MORE: u8 = 0x02;
/// Type, flags, length and two identifiers.
const HEADER_LEN: usize = 12;

/// A peer's download: where it stands. There is no buffer; a page is made when it is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Session {
    open: bool,
    /// The W flag: only the elements that this registrar owns.
    own_only: bool,
    /// Not the beginning: the next element is in `next`.
    under_way: bool,
    /// What the next page begins with; nothing at the end.
    next: Option<ElementRef>,
    /// When it is given up, if the peer does not ask for the next page before.
    pub(super) until: Instant,
}

impl Session {
    pub(super) const CLOSED: Session =
        Session { open: false, own_only: false, under_way: false, next: None, until: Instant::ZERO };

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    fn step_over(&mut self, own_only: bool, element: ElementRef, next: Option<ElementRef>) {
        if self.open && self.own_only == own_only && self.next == Some(element) {
            self.next = next;
        }
    }
}

impl Registrar<'_> {
    /// A peer wants the first page, or the next one.
    pub(super) fn table_request(&mut self, from: Idx, assoc: AssocId, message: &HandleTableRequest) {
        let own_only = message.own_children_only;
        let session = self.peers.at(from).session;
        if !session.open || session.own_only != own_only {
            if self.over_rate(assoc, Charge::Table) {
                return self.owe(from, Owed::TABLE_REFUSAL);
            }
            self.peers.at_mut(from).session = Session { open: true, own_only, ..Session::CLOSED };
        }
        self.peers.at_mut(from).session.until = Instant::MAX;
        self.owe(from, Owed::TABLE_RESPONSE);
    }

    fn first_of(&self, own_only: bool) -> Option<ElementRef> {
        if own_only {
            return self.handlespace.next_owned(self.id, None);
        }
        let pool = self.handlespace.next_pool(None)?;
        self.handlespace.next_element(pool, None)
    }

    /// What comes after an element in a walk over all elements, or over this registrar's own.
    pub(super) fn after(&self, element: ElementRef, own_only: bool) -> Option<ElementRef> {
        if own_only {
            return self.handlespace.next_owned(self.id, Some(element));
        }
        let pool = self.pool_of(element)?;
        self.handlespace.next_element(pool, Some(element)).or_else(|| {
            let next = self.handlespace.next_pool(Some(pool))?;
            self.handlespace.next_element(next, None)
        })
    }

    /// An element is about to be removed: downloads that stand at it go on behind it, and so do the offers of a registrar
    /// that leaves.
    pub(super) fn step_over(&mut self, element: ElementRef) {
        let next = self.after(element, false);
        self.peers.for_each(|_, peer| peer.session.step_over(false, element, next));
        let next = self.after(element, true);
        self.step_over_own(element, next);
    }

    /// An element is this registrar's no more: the same for those who walk over its own elements only.
    pub(super) fn step_over_own(&mut self, element: ElementRef, next: Option<ElementRef>) {
        self.peers.for_each(|_, peer| peer.session.step_over(true, element, next));
        self.leave.step_over(element, next);
    }

    /// The page that a peer waits for; the session is over with the last one, or with the refusal.
    pub(super) fn emit_table(&mut self, to: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        if !self.startup.is_serving() {
            // RFC 5353, 3.2.3: "it MUST reject the request".
            return self.refuse_table(to, buf);
        }
        let session = self.peers.at(to).session;
        let start = if session.under_way { session.next } else { self.first_of(session.own_only) };
        // What fits is found out first, since the M flag stands before the entries.
        let room = self.config.enrp.table_page_len.clamp(HEADER_LEN, MAX_MESSAGE_LEN).min(buf.len().max(HEADER_LEN));
        let (count, next) = self.fitting(to, start, session.own_only, room);
        let len = self.write_page(to, start, count, session.own_only, next.is_some(), buf)?;
        let until = self.now + self.config.enrp.no_response();
        let peer = self.peers.at_mut(to);
        peer.session = match next {
            // RFC 5353, 3.2.3: "it SHOULD start a session timer".
            Some(_) => Session { under_way: true, next, until, ..session },
            None => Session::CLOSED,
        };
        self.stats.table_pages = self.stats.table_pages.wrapping_add(1);
        Ok(len)
    }

    /// The refusal of a handle table, whether this registrar has none yet or was asked too often. A session is over with it.
    pub(super) fn refuse_table(&mut self, to: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        let written = write_refusal(TABLE_RESPONSE, self.id, self.peers.at(to).id, buf);
        if !matches!(written, Err(EmitError::BufferTooSmall { .. })) {
            self.peers.at_mut(to).session = Session::CLOSED;
            self.stats.table_rejections = self.stats.table_rejections.wrapping_add(1);
        }
        written
    }

    /// How many elements from `start` on fit into `room`, at least one if there is one, and what comes after them.
    fn fitting(&self, to: Idx, start: Option<ElementRef>, own_only: bool, room: usize) -> (usize, Option<ElementRef>) {
        let mut nowhere = Writer::new(&mut []);
        nowhere.bytes(&[0; HEADER_LEN]);
        let mut pool = None;
        let (mut count, mut any) = (0usize, false);
        let mut at = start;
        while let Some(element) = at {
            let before = nowhere.len();
            let told = self.write_entry(to, element, &mut pool, &mut nowhere);
            let len = padded_len(nowhere.len());
            let alone = !any;
            if told && len > room && !(alone && len <= MAX_MESSAGE_LEN) {
                if alone {
                    // It is in no message that there could be: a handle and an element of 64 KiB together.
                    debug!("an element of {} bytes fits into no handle table", len.saturating_sub(before));
                    return (count, self.after(element, own_only));
                }
                return (count, Some(element));
            }
            any |= told;
            count += 1;
            at = self.after(element, own_only);
        }
        (count, None)
    }

    fn write_page(
        &self,
        to: Idx,
        start: Option<ElementRef>,
        count: usize,
        own_only: bool,
        more: bool,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let mut w = Writer::new(buf);
        w.message(TABLE_RESPONSE, if more { MORE } else { 0 }, |w| {
            w.u32(self.id.0);
            w.u32(self.peers.at(to).id.0);
            let mut pool = None;
            let mut at = start;
            for _ in 0..count {
                let Some(element) = at else { break };
                self.write_entry(to, element, &mut pool, w);
                at = self.after(element, own_only);
            }
        });
        w.finish().map(<[u8]>::len)
    }

    /// An element, after its pool's handle where that is another one than before. `false`: the peer is not told of it.
    fn write_entry(
        &self,
        to: Idx,
        element: ElementRef,
        pool: &mut Option<crate::handlespace::PoolRef>,
        w: &mut Writer<'_>,
    ) -> bool {
        let dialect = self.dialect(to);
        let Some(view) = self.handlespace.element(element) else { return false };
        let Some(handle) = self.handlespace.pool(view.pool).map(|pool| pool.handle) else { return false };
        if !dialect.takes_handle(handle) {
            return false;
        }
        if pool.replace(view.pool) != Some(view.pool) {
            handle.emit_into(w);
        }
        w.tlv(POOL_ELEMENT, |w| {
            w.u32(view.id.0);
            w.u32(view.home.0);
            w.u32(dialect.lifetime_out(view.lifetime).to_wire().cast_unsigned());
            w.items(self.handlespace.parameter_bytes(element));
        });
        true
    }

    /// RFC 5353, 3.2.2.2: all registrars that this one knows, or a refusal while it starts itself.
    pub(super) fn emit_list(&self, to: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        let receiver = self.peers.at(to).id;
        if !self.startup.is_serving() {
            return self.refuse_list(to, buf);
        }
        let mut w = Writer::new(buf);
        w.message(LIST_RESPONSE, 0, |w| {
            w.u32(self.id.0);
            w.u32(receiver.0);
            for at in self.peers.iter() {
                let peer = self.peers.at(at);
                // Only those that live: one that is dead would come back by the lists of others.
                if peer.lives()
                    && peer.id != receiver
                    && let Some(transport) = peer.transport()
                {
                    ServerInformation { id: peer.id, transport }.emit_item(w);
                }
            }
        });
        w.finish().map(<[u8]>::len)
    }

    /// The refusal of a list of peers.
    pub(super) fn refuse_list(&self, to: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        write_refusal(LIST_RESPONSE, self.id, self.peers.at(to).id, buf)
    }
}

fn write_refusal(ty: u8, sender: ServerId, receiver: ServerId, buf: &mut [u8]) -> Result<usize, EmitError> {
    let mut w = Writer::new(buf);
    w.message(ty, REJECT, |w| {
        w.u32(sender.0);
        w.u32(receiver.0);
    });
    w.finish().map(<[u8]>::len)
}
