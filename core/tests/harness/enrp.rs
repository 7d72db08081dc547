//! Registrars with peers, and peers played by a test: what they send, receive and know.

use std::time::Duration;

use rserpool_core::wire::enrp::{
    HandleTableEntry, HandleTableRequest, HandleTableResponse, HandleUpdate, InitTakeover, InitTakeoverAck,
    ListRequest, ListResponse, PoolEntries, Presence, TakeoverServer, UpdateAction,
};
use rserpool_core::wire::{EnrpBody, EnrpMessage, List, PoolElementParam, ServerInformation, Transport};
use rserpool_core::{
    AssocId, Link, PeerState, PeerView, Ppid, Registrar, RegistrarConfig, RegistrarEvent, RegistrarStorage, ServerId,
};

use super::{Event, NodeId, Role, Sent, Sim, address_of, handle, leak, param, server_id};

/// The message types of RFC 5353, 2.
pub mod ty {
    pub const PRESENCE: u8 = 0x01;
    pub const TABLE_REQUEST: u8 = 0x02;
    pub const TABLE_RESPONSE: u8 = 0x03;
    pub const UPDATE: u8 = 0x04;
    pub const LIST_REQUEST: u8 = 0x05;
    pub const LIST_RESPONSE: u8 = 0x06;
    pub const INIT_TAKEOVER: u8 = 0x07;
    pub const INIT_TAKEOVER_ACK: u8 = 0x08;
    pub const TAKEOVER_SERVER: u8 = 0x09;
    pub const ERROR: u8 = 0x0a;
}

/// A registrar that a test plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer {
    pub node: NodeId,
    pub assoc: AssocId,
    pub id: u32,
}

pub fn enrp_bytes<'a>(id: u32, receiver: u32, body: impl Into<EnrpBody<'a>>) -> Vec<u8> {
    let message = EnrpMessage { sender: ServerId(id), receiver: ServerId(receiver), body: body.into() };
    let mut buf = vec![0; 70_000];
    message.emit(&mut buf).unwrap().to_vec()
}

pub fn presence(reply_required: bool, checksum: Option<u16>) -> Presence<'static> {
    Presence { reply_required, checksum, server_information: None }
}

/// Where node `n` accepts other registrars.
pub fn information(id: u32, n: NodeId) -> ServerInformation<'static> {
    ServerInformation { id: ServerId(id), transport: Transport::Tcp(address_of(n)) }
}

pub fn introduction(id: u32, n: NodeId, reply_required: bool) -> Presence<'static> {
    Presence { reply_required, checksum: Some(0xffff), server_information: Some(information(id, n)) }
}

/// An element of the registrar `home`.
pub fn owned(home: u32, id: u32, port: u16) -> PoolElementParam<'static> {
    PoolElementParam { home: ServerId(home), ..param(id, port) }
}

pub fn add<'a>(pool: &'a [u8], element: PoolElementParam<'a>) -> HandleUpdate<'a> {
    HandleUpdate { takeover_suggested: false, action: UpdateAction::Add, pool_handle: handle(pool), element }
}

pub fn delete<'a>(pool: &'a [u8], element: PoolElementParam<'a>) -> HandleUpdate<'a> {
    HandleUpdate { action: UpdateAction::Delete, ..add(pool, element) }
}

pub fn table_request(own_children_only: bool) -> HandleTableRequest {
    HandleTableRequest { own_children_only }
}

pub fn init_takeover(target: u32) -> InitTakeover {
    InitTakeover { target: ServerId(target) }
}

pub fn init_takeover_ack(target: u32) -> InitTakeoverAck {
    InitTakeoverAck { target: ServerId(target) }
}

pub fn takeover_server(target: u32) -> TakeoverServer {
    TakeoverServer { target: ServerId(target) }
}

/// Of an answer: what it says of a handle table.
#[derive(Debug, PartialEq)]
pub struct Page {
    pub more: bool,
    pub rejected: bool,
    /// Pool, identifier and home, in the order of the message.
    pub elements: Vec<(Vec<u8>, u32, u32)>,
}

pub fn page(bytes: &[u8]) -> Page {
    let EnrpBody::HandleTableResponse(table) = EnrpMessage::parse(bytes).unwrap().message.body else {
        panic!("no handle table")
    };
    let entries = table.entries.iter();
    let elements = entries.flat_map(|entry| {
        let name = entry.pool_handle.as_bytes().to_vec();
        entry.elements.iter().map(move |e| (name.clone(), e.id.0, e.home.0))
    });
    Page { more: table.more, rejected: table.rejected, elements: elements.collect() }
}

impl Sim {
    /// A registrar that knows where these nodes are, which may be added later.
    pub fn enrp_registrar(&mut self, peers: &[NodeId]) -> NodeId {
        self.enrp_registrar_with(RegistrarConfig::new(), peers)
    }

    pub fn enrp_registrar_with(&mut self, mut config: RegistrarConfig, peers: &[NodeId]) -> NodeId {
        let n = self.nodes.len();
        if config.id.is_none() {
            config.id = server_id(n);
        }
        if config.enrp.transport.is_empty() {
            config.enrp.transport.push((Link::Tcp, address_of(n)));
        }
        let seed = self.random(1 << 30);
        let machine = Registrar::new(leak(RegistrarStorage::<8, 32, 8, 24, 8, 48>::new()), config, seed, self.now);
        self.add_registrar(machine, peers)
    }

    pub fn add_registrar(&mut self, mut machine: Registrar<'static>, peers: &[NodeId]) -> NodeId {
        for peer in peers {
            assert!(machine.add_peer(Link::Tcp, &[address_of(*peer)]));
        }
        self.add(Role::Registrar(machine))
    }

    /// Registrars that know each other and serve.
    pub fn cluster<const N: usize>(&mut self, config: &RegistrarConfig) -> [NodeId; N] {
        let first = self.nodes.len();
        let all: Vec<NodeId> = (first..first + N).collect();
        for n in &all {
            let others: Vec<NodeId> = all.iter().copied().filter(|other| other != n).collect();
            self.enrp_registrar_with(config.clone(), &others);
        }
        let ready = |s: &Sim| all.iter().all(|n| s.pr(*n).is_serving() && s.active_peers(*n) == N - 1);
        assert!(self.run_until(ready, Duration::from_secs(60)), "the registrars find each other");
        all.try_into().unwrap()
    }

    /// A peer with an association to a registrar, which knows it by now.
    pub fn enrp_peer(&mut self, registrar: NodeId, id: u32) -> Peer {
        let node = self.script();
        // It is there only once it speaks: this test decides who connects.
        self.nodes[node].answer = super::Answer::Refuse;
        let (assoc, _) = self.connect_enrp(node, registrar);
        let peer = Peer { node, assoc, id };
        self.say(peer, introduction(id, node, true));
        self.run_for(Duration::from_millis(50));
        self.received(node);
        peer
    }

    /// A peer sends a message.
    pub fn say<'a>(&mut self, peer: Peer, body: impl Into<EnrpBody<'a>>) {
        self.send_bytes(peer.node, peer.assoc, &enrp_bytes(peer.id, 0, body));
    }

    /// A peer sends a message, and it is there and answered.
    pub fn tell<'a>(&mut self, peer: Peer, body: impl Into<EnrpBody<'a>>) {
        self.say(peer, body);
        self.run_for(Duration::from_millis(25));
    }

    pub fn table(&mut self, peer: Peer, more: bool, entries: &[(&[u8], &[PoolElementParam<'_>])]) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, elements)| HandleTableEntry { pool_handle: handle(name), elements: List::new(elements) })
            .collect();
        self.say(peer, HandleTableResponse { more, rejected: false, entries: PoolEntries::new(&entries) });
        self.run_for(Duration::from_millis(25));
    }

    pub fn refuse_table(&mut self, peer: Peer) {
        self.tell(peer, HandleTableResponse { more: false, rejected: true, entries: PoolEntries::empty() });
    }

    pub fn list(&mut self, peer: Peer, servers: &[ServerInformation<'_>]) {
        self.tell(peer, ListResponse { rejected: false, servers: List::new(servers) });
    }

    pub fn refuse_list(&mut self, peer: Peer) {
        self.tell(peer, ListResponse { rejected: true, servers: List::empty() });
    }

    /// What a peer was sent and has not looked at yet.
    pub fn hears(&mut self, peer: Peer) -> Vec<Vec<u8>> {
        self.received(peer.node).into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The same, of one message type.
    pub fn hears_of(&mut self, peer: Peer, message_type: u8) -> Vec<Vec<u8>> {
        self.hears(peer).into_iter().filter(|bytes| bytes[0] == message_type).collect()
    }

    /// Peers speak so often that nobody misses them, for so long.
    pub fn keep_up(&mut self, peers: &[Peer], time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for peer in peers {
                self.say(*peer, presence(false, None));
            }
            let left = end.saturating_duration_since(self.now);
            self.run_for(left.min(Duration::from_secs(2)));
        }
    }

    /// Messages of registrars to each other.
    pub fn enrp_sent(&self, from: NodeId, message_type: u8) -> Vec<&Sent> {
        self.trace.iter().filter(|s| s.from == from && s.ppid == Ppid::Enrp && s.bytes[0] == message_type).collect()
    }

    pub fn enrp_sent_to(&self, from: NodeId, to: NodeId, message_type: u8) -> Vec<&Sent> {
        self.enrp_sent(from, message_type).into_iter().filter(|s| s.to == Some(to)).collect()
    }

    pub fn peer_view(&self, registrar: NodeId, id: u32) -> Option<PeerView> {
        self.pr(registrar).peers().find(|peer| peer.id == ServerId(id))
    }

    pub fn peer_state(&self, registrar: NodeId, id: u32) -> Option<PeerState> {
        self.peer_view(registrar, id).map(|peer| peer.state)
    }

    pub fn active_peers(&self, registrar: NodeId) -> usize {
        let active = |peer: &PeerView| peer.state == PeerState::Active && peer.connected;
        self.pr(registrar).peers().filter(active).count()
    }

    pub fn owned_by(&self, registrar: NodeId, owner: u32) -> u32 {
        self.pr(registrar).handlespace().owned(ServerId(owner))
    }

    pub fn id_of(&self, registrar: NodeId) -> u32 {
        self.pr(registrar).id().0
    }

    pub fn checksum_at(&self, registrar: NodeId, owner: u32) -> u16 {
        self.pr(registrar).handlespace().checksum(ServerId(owner))
    }

    /// The whole handlespace: pool, identifier, home and parameters of each element, sorted.
    pub fn space(&self, registrar: NodeId) -> Vec<(Vec<u8>, u32, u32, Vec<u8>)> {
        let space = self.pr(registrar).handlespace();
        let pools = std::iter::successors(space.next_pool(None), |pool| space.next_pool(Some(*pool)));
        let mut all: Vec<_> = pools
            .flat_map(|pool| {
                let elements =
                    std::iter::successors(space.next_element(pool, None), move |e| space.next_element(pool, Some(*e)));
                elements.map(move |e| {
                    let (pool, view) = (space.pool(pool).unwrap(), space.element(e).unwrap());
                    (pool.handle.as_bytes().to_vec(), view.id.0, view.home.0, space.parameter_bytes(e).to_vec())
                })
            })
            .collect();
        all.sort();
        all
    }

    /// Pool, identifier and home of each element.
    pub fn homes(&self, registrar: NodeId) -> Vec<(Vec<u8>, u32, u32)> {
        self.space(registrar).into_iter().map(|(pool, id, home, _)| (pool, id, home)).collect()
    }

    pub fn events_of(&self, registrar: NodeId) -> Vec<RegistrarEvent> {
        let events = self.nodes[registrar].events.iter();
        events.filter_map(|(_, e)| if let Event::Registrar(e) = e { Some(*e) } else { None }).collect()
    }
}
