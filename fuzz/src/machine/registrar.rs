//! A registrar under any sequence of inputs, in fixed and in growable storage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rserpool_core::handlespace::Handlespace;
use rserpool_core::wire::asap::{EndpointKeepAliveAck, HandleResolution};
use rserpool_core::wire::enrp::{EnrpBody, InitTakeover, InitTakeoverAck, Presence, TakeoverServer};
use rserpool_core::wire::{AsapMessage, EnrpMessage, MAX_MESSAGE_LEN, ServerInformation, Transport};
use rserpool_core::{
    AsapRates, Compat, Destination, EnrpRates, Input, Instant, Link, Ppid, Rate, Registrar, RegistrarConfig,
    RegistrarEvent, RegistrarLimits, RegistrarStorage, ServerId,
};

use super::host::{Sent, Subject};
use super::model::Model;
use super::world::{Assoc, Cause, Outcome, World, each_op};
use crate::wire::generate::{SERVERS, Source};
use crate::wire::message::Message;

/// An element as a handlespace has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub home: ServerId,
    pub expires: Option<Instant>,
    /// Its user transport, policy and ASAP transport, encoded.
    pub parameters: Vec<u8>,
    pub user_transport: Vec<u8>,
    pub policy: Vec<u8>,
}

/// All elements, by pool and identifier.
pub type Space = BTreeMap<(Vec<u8>, u32), Listed>;

pub fn space(handlespace: &Handlespace<'_>) -> Space {
    let mut found = Space::new();
    let pools = std::iter::successors(handlespace.next_pool(None), |pool| handlespace.next_pool(Some(*pool)));
    for pool in pools {
        let view = handlespace.pool(pool).expect("it was just met");
        let mut count = 0;
        let mut next = handlespace.next_element(pool, None);
        while let Some(at) = next {
            let element = handlespace.element(at).expect("it was just met");
            // RFC 5352, 3.1, rule 5: what all elements of a pool have in common.
            assert_eq!(element.policy().map(|policy| policy.policy_type()), Some(view.policy_type));
            assert_eq!(element.user_transport().map(|transport| transport.kind()), Some(view.transport));
            let listed = Listed {
                home: element.home,
                expires: element.expires,
                parameters: handlespace.parameter_bytes(at).to_vec(),
                user_transport: handlespace.user_transport_bytes(at).to_vec(),
                policy: handlespace.policy_bytes(at).to_vec(),
            };
            let before = found.insert((view.handle.as_bytes().to_vec(), element.id.0), listed);
            assert!(before.is_none(), "{} is twice in a pool", element.id);
            assert_eq!(handlespace.find_element(pool, element.id), Some(at));
            next = handlespace.next_element(pool, Some(at));
            count += 1;
        }
        assert!(count > 0, "a pool has an element");
        assert_eq!(view.elements, count);
        assert_eq!(handlespace.find_pool(view.handle), Some(pool));
    }
    assert_eq!(found.len(), handlespace.elements() as usize);
    found
}

/// RFC 5353, 3.6.2, with the sum of RFC 1071, over all elements of one home.
pub fn checksum(space: &Space, home: ServerId) -> u16 {
    let mut bytes = Vec::new();
    for ((pool, id), _) in space.iter().filter(|(_, listed)| listed.home == home) {
        bytes.extend(pool);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(id.to_be_bytes());
    }
    let mut sum: u64 = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[derive(Debug, PartialEq)]
pub struct State {
    space: Space,
    subscriptions: u32,
}

impl Subject for Registrar<'_> {
    type State = State;
    const SPEAKS_ENRP: bool = true;

    fn state(&self) -> State {
        let space = space(self.handlespace());
        for home in space.values().map(|listed| listed.home).collect::<BTreeSet<_>>() {
            let owned = space.values().filter(|listed| listed.home == home).count();
            assert_eq!(self.handlespace().owned(home) as usize, owned);
            assert_eq!(self.handlespace().checksum(home), checksum(&space, home), "RFC 5353, 3.6.2");
        }
        State { subscriptions: self.subscriptions(), space }
    }
}

/// What there is place for.
#[derive(Clone, Copy)]
pub struct Room {
    pub pools: u32,
    pub elements: u32,
    /// Without the registrar itself.
    pub peers: usize,
    pub subscriptions: u32,
    pub handle: usize,
}

const FIXED: Room = Room { pools: 3, elements: 6, peers: 3, subscriptions: 3, handle: 32 };
const GROWN: Room = Room { pools: 4, elements: 7, peers: 4, subscriptions: 4, handle: 300 };

/// The first bytes say what is tried.
#[derive(Clone, Copy)]
struct Setting {
    growable: bool,
    peers: bool,
    /// Little may be asked for in a second, and few reports are enough.
    tight: bool,
    /// The peers are rsplib's, whatever they say.
    rsplib: bool,
    /// No peer is known by configuration.
    lonely: bool,
    sctp: bool,
    flags: u8,
}

impl Setting {
    fn config(self) -> RegistrarConfig {
        let bit = |n: u8| self.flags >> n & 1 == 1;
        let mut config = RegistrarConfig {
            id: ServerId(SERVERS[0]),
            announce: bit(0),
            keep_alive_interval: Duration::from_secs(if bit(1) { 2 } else { 30 }),
            keep_alive_timeout: Duration::from_secs(if bit(2) { 1 } else { 5 }),
            lost_association_grace: if bit(3) { Duration::from_secs(3) } else { Duration::ZERO },
            max_items: if bit(4) { 2 } else { 128 },
            max_elements_per_association: if bit(5) { 2 } else { 4096 },
            max_subscriptions_per_association: 2,
            register_over_tcp: !bit(6),
            ..RegistrarConfig::new()
        };
        config.t6_server_announce = Duration::from_secs(20);
        for link in [Link::Sctp, Link::Tcp] {
            config.announced.push((link, ([192, 0, 2, 1], 3863).into()));
        }
        let rate = Rate { per_second: 1, burst: 2 };
        if self.tight {
            // Each reporter counts once, and there are few.
            config.max_bad_pe_report = 1;
            config.rates =
                AsapRates { registrations: rate, resolutions: rate, unreachable_reports: rate, errors: rate };
        }
        if self.peers {
            if self.tight {
                config.enrp.rates = EnrpRates { tables: rate, lists: rate, presences: rate, errors: rate };
            }
            let link = if self.sctp { Link::Sctp } else { Link::Tcp };
            config.enrp.transport.push((link, ([192, 0, 2, 1], 9901).into()));
            config.enrp.multicast = bit(0);
            config.enrp.table_page_len = 150;
            config.enrp.compat = match bit(7) {
                _ if self.rsplib => Compat::Rsplib,
                true => Compat::Auto,
                false => Compat::Rfc,
            };
        }
        config
    }
}

pub fn ops(data: &[u8]) {
    let Some((&[kind, flags], rest)) = data.split_first_chunk() else { return };
    let bit = |n: u8| kind >> n & 1 == 1;
    let setting =
        Setting { growable: bit(0), peers: bit(1), tight: bit(2), rsplib: bit(3), lonely: bit(4), sctp: bit(5), flags };
    let config = setting.config();
    if setting.growable {
        let limits = RegistrarLimits {
            pools: GROWN.pools,
            elements: GROWN.elements,
            peers: GROWN.peers as u32 + 1,
            claims: 2,
            associations: 8,
            subscriptions: GROWN.subscriptions,
            handle_len: GROWN.handle,
        };
        run(Registrar::growable(limits, config.clone(), 7, Instant::ZERO), GROWN, config, setting, rest);
    } else {
        let mut storage = Box::new(RegistrarStorage::<3, 6, 4, 7, 3, 32, 96>::new());
        run(Registrar::new(&mut storage, config.clone(), 7, Instant::ZERO), FIXED, config, setting, rest);
    }
}

fn run(mut registrar: Registrar<'_>, room: Room, config: RegistrarConfig, setting: Setting, data: &[u8]) {
    if setting.peers && !setting.lonely {
        for n in [2, 3] {
            assert!(registrar.add_peer(Link::Tcp, &[([192, 0, 2, n], 9901).into()]));
        }
    }
    let mut world = World::new(registrar, setting.peers);
    let mut model = Model::new(config, !setting.peers);
    // Somebody is there, and a peer where there are some.
    for ppid in [Ppid::Asap, if setting.peers { Ppid::Enrp } else { Ppid::Asap }] {
        world.connect(None, Link::Sctp, ppid, &[([192, 0, 2, 2], 9901).into()]);
    }
    let mut prompt = Prompt::default();
    world.outcome(Cause::Other);
    each_op(data, |source| {
        let outcome = one(&mut world, source, setting, &mut prompt);
        check(&mut world, &mut model, &room, &outcome);
        answer(&mut world, source, &mut prompt, outcome.sent.clone(), |world, outcome| {
            check(world, &mut model, &room, outcome);
        });
        if prompt.elements {
            let asked = outcome.sent.iter().filter_map(|sent| match (sent.to, sent.message()) {
                (Destination::Assoc(to), Message::Asap(AsapMessage::EndpointKeepAlive(asked))) => {
                    Some((to, asked.pool_handle, asked.id?))
                }
                _ => None,
            });
            for (to, pool_handle, id) in asked {
                let ack = EndpointKeepAliveAck { pool_handle, id };
                let bytes = Message::Asap(ack.into()).bytes().expect("it is short");
                if world.is_open(to) {
                    let outcome = world.message(Assoc { id: to, ppid: Ppid::Asap }, &bytes);
                    check(&mut world, &mut model, &room, &outcome);
                }
            }
        }
    });
}

fn one(
    world: &mut World<Registrar<'_>>,
    source: &mut Source<'_>,
    setting: Setting,
    prompt: &mut Prompt,
) -> Outcome<RegistrarEvent> {
    match source.u8() {
        op @ ..0x90 => {
            let picked = world.pick(source.u8());
            match picked {
                Some(assoc) if assoc.ppid == Ppid::Asap && op < 0x60 => {
                    let message = Message::Asap(source.request());
                    world.say(source, assoc, message)
                }
                Some(assoc) => world.sensible(source, assoc),
                None => world.outcome(Cause::Other),
            }
        }
        0x90..0x98 => {
            if source.flag() {
                prompt.elements = !prompt.elements;
            } else {
                let ppid = if setting.peers && source.flag() { Ppid::Enrp } else { Ppid::Asap };
                world.connect(None, Link::Tcp, ppid, &[([192, 0, 2, 2], 9901).into()]);
            }
            world.outcome(Cause::Other)
        }
        0x98..0xa8 => {
            let message = if setting.peers && source.flag() {
                Message::Enrp(source.enrp())
            } else {
                Message::Asap(source.asap())
            };
            if let Some(bytes) = message.bytes() {
                let (from, ppid) = (source.socket_addr(), message.ppid());
                let _ = world.host.input(Input::Datagram { from, ppid, bytes: &bytes });
            }
            world.outcome(Cause::Other)
        }
        0xa8 => {
            world.host.call(|registrar, now| registrar.leave(now));
            world.outcome(Cause::Other)
        }
        0xa9 if setting.peers => {
            let (link, at) = (source.link(), [source.socket_addr(), source.socket_addr()]);
            let count = usize::from(source.below(3));
            world.host.call(|registrar, _| registrar.add_peer(link, &at[..count]));
            world.outcome(Cause::Other)
        }
        0xf0..0xf8 if setting.peers => prompt.peer(world, source),
        0xf8..0xfc => {
            let request =
                HandleResolution { subscribe: source.flag(), pool_handle: source.handle(), wanted_items: None };
            match (world.pick(source.u8()), Message::Asap(request.into()).bytes()) {
                (Some(assoc), Some(bytes)) if assoc.ppid == Ppid::Asap => world.last_words(assoc, &bytes),
                _ => world.outcome(Cause::Other),
            }
        }
        0xfc..=0xff => match world.pick(source.u8()) {
            Some(assoc) => {
                let (link, peer) = (source.link(), source.socket_addr());
                world.supplant(assoc, link, peer)
            }
            None => world.outcome(Cause::Other),
        },
        _ => world.happen(source),
    }
}

/// Who answers at once.
#[derive(Default)]
struct Prompt {
    /// Elements answer their keep-alives.
    elements: bool,
    /// These peers what they are asked.
    peers: Vec<(Assoc, ServerId)>,
}

impl Prompt {
    /// A peer comes that answers from now on, or falls silent.
    fn peer(&mut self, world: &mut World<Registrar<'_>>, source: &mut Source<'_>) -> Outcome<RegistrarEvent> {
        let n = source.below(3);
        let sender = ServerId(SERVERS[usize::from(n) + 1]);
        let known = self.peers.len();
        self.peers.retain(|(_, id)| *id != sender);
        let at = ([192, 0, 2, n + 2], 9901).into();
        let connected =
            if self.peers.len() == known { world.connect(None, Link::Tcp, Ppid::Enrp, &[at]) } else { None };
        let Some(id) = connected else { return world.outcome(Cause::Other) };
        let assoc = Assoc { id, ppid: Ppid::Enrp };
        self.peers.push((assoc, sender));
        // Where there is no place for it, it is turned away.
        let outcome = world.outcome(Cause::Other);
        if !world.is_open(id) {
            return outcome;
        }
        let server_information = Some(ServerInformation { id: sender, transport: Transport::Tcp(at) });
        let presence = Presence { reply_required: source.flag(), checksum: None, server_information };
        let presence = EnrpMessage { sender, receiver: ServerId::NONE, body: presence.into() };
        let mut said = world.message(assoc, &Message::Enrp(presence).bytes().expect("it is short"));
        said.sent.splice(0..0, outcome.sent);
        said
    }
}

/// What peers are asked they answer, with what they are asked then, too.
fn answer(
    world: &mut World<Registrar<'_>>,
    source: &mut Source<'_>,
    prompt: &mut Prompt,
    mut sent: Vec<Sent>,
    mut check: impl FnMut(&mut World<Registrar<'_>>, &Outcome<RegistrarEvent>),
) {
    // There are handle tables without end.
    for _ in 0..4 {
        for one in std::mem::take(&mut sent) {
            prompt.peers.retain(|(assoc, _)| world.is_open(assoc.id));
            let peer = prompt.peers.iter().find(|(assoc, _)| one.to == Destination::Assoc(assoc.id));
            let (Some((assoc, sender)), Message::Enrp(asked)) = (peer.copied(), one.message()) else { continue };
            let body = match asked.body {
                EnrpBody::Presence(Presence { reply_required: true, .. }) => {
                    let own = world.host.machine.handlespace().checksum(sender);
                    let checksum = Some(if source.flag() { source.u16() } else { own });
                    Presence { reply_required: false, checksum, server_information: None }.into()
                }
                EnrpBody::HandleTableRequest(_) => source.table().into(),
                EnrpBody::ListRequest(_) => source.list().into(),
                EnrpBody::InitTakeover(InitTakeover { target }) => match source.below(6) {
                    // It wants to do it itself, or has done so.
                    4 => InitTakeover { target }.into(),
                    5 => TakeoverServer { target }.into(),
                    _ => InitTakeoverAck { target }.into(),
                },
                _ => continue,
            };
            let reply = EnrpMessage { sender, receiver: asked.sender, body };
            let Some(bytes) = Message::Enrp(reply).bytes() else { continue };
            let outcome = world.message(assoc, &bytes);
            check(world, &outcome);
            sent.extend(outcome.sent);
        }
    }
}

fn check(world: &mut World<Registrar<'_>>, model: &mut Model, room: &Room, outcome: &Outcome<RegistrarEvent>) {
    world.host.state();
    let registrar = &world.host.machine;
    let handlespace = registrar.handlespace();
    assert!(handlespace.pools() <= room.pools && handlespace.elements() <= room.elements, "storage bounds hold");
    assert!(registrar.subscriptions() <= room.subscriptions, "storage bounds hold");
    assert!(registrar.peers().count() <= room.peers, "storage bounds hold");
    for peer in registrar.peers() {
        assert!(peer.id != registrar.id() && !peer.state.text().is_empty());
    }
    for event in &outcome.events {
        if let RegistrarEvent::Removed { reason, .. } = event {
            assert!(!reason.text().is_empty());
        }
    }
    for sent in &outcome.sent {
        assert!(sent.bytes.len() <= MAX_MESSAGE_LEN + 1);
        if let Message::Enrp(message) = sent.message() {
            assert_eq!(message.sender, registrar.id(), "it speaks for itself");
        }
    }
    let now = world.host.now;
    if let Some((due, at)) = world.host.late {
        model.late(due, at);
    }
    let space = &world.host.state().space;
    assert!(space.keys().all(|(pool, _)| pool.len() <= room.handle), "storage bounds hold");
    model.step(now, outcome, space);
}
