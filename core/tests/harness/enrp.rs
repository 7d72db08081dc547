//! Registrars with peers, and peers that a test plays.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::wire::enrp::{
    HandleTableEntry, HandleTableRequest, HandleTableResponse, HandleUpdate, InitTakeover, InitTakeoverAck,
    ListRequest, ListResponse, PoolEntries, Presence, TakeoverServer, UpdateAction,
};
use rserpool_core::wire::{
    EnrpBody, EnrpMessage, Lifetime, List, Policy, PoolElementParam, ServerInformation, Transport,
};
use rserpool_core::{
    AssocId, EndpointConfig, Instant, Link, PeId, PeerState, PeerView, Ppid, Registrar, RegistrarConfig,
    RegistrarEvent, ServerId,
};

use super::{Event, NodeId, Role, Sent, Sim, address_of, handle, service};

pub const PRESENCE: u8 = 0x01;
pub const TABLE_REQUEST: u8 = 0x02;
pub const TABLE_RESPONSE: u8 = 0x03;
pub const UPDATE: u8 = 0x04;
pub const LIST_REQUEST: u8 = 0x05;
pub const LIST_RESPONSE: u8 = 0x06;
pub const INIT_TAKEOVER: u8 = 0x07;
pub const INIT_TAKEOVER_ACK: u8 = 0x08;
pub const TAKEOVER_SERVER: u8 = 0x09;
pub const ENRP_ERROR: u8 = 0x0a;

/// Where a node takes associations from registrars.
pub fn enrp_address(n: NodeId) -> SocketAddr {
    SocketAddr::new(address_of(n).ip(), 9901)
}

/// An ENRP message as bytes.
pub fn enrp<'m>(sender: u32, receiver: u32, body: impl Into<EnrpBody<'m>>) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let message = EnrpMessage { sender: ServerId(sender), receiver: ServerId(receiver), body: body.into() };
    message.emit(&mut buf).unwrap().to_vec()
}

/// An element as registrars tell each other of it.
pub fn owned_by(home: u32, id: u32) -> PoolElementParam<'static> {
    PoolElementParam {
        id: PeId(id),
        home: ServerId(home),
        lifetime: Lifetime::from_secs(300),
        user_transport: service(7),
        policy: Policy::RoundRobin,
        asap_transport: Some(Transport::Tcp(SocketAddr::from(([203, 0, 113, 9], 4000)))),
    }
}

/// A peer that the test plays, and its association with a registrar.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub node: NodeId,
    pub id: u32,
    pub assoc: AssocId,
}

impl Sim {
    /// A registrar that is told of these peers. It is not polled before it knows them.
    pub fn registrar_among(&mut self, config: RegistrarConfig, peers: &[NodeId]) -> NodeId {
        let n = self.nodes.len();
        let mut config = config;
        if config.id.is_none() {
            config.id = super::server_id(n);
        }
        config.enrp.transport.clear();
        config.enrp.transport.push((Link::Tcp, enrp_address(n)));
        let mut machine = self.new_registrar(config, n as u64 + 7);
        for peer in peers {
            assert!(machine.add_peer(Link::Tcp, &[enrp_address(*peer)]));
        }
        self.add(Role::Registrar(machine))
    }

    /// As many registrars that know each other.
    pub fn cluster(&mut self, count: usize) -> Vec<NodeId> {
        self.cluster_with(count, &RegistrarConfig::new())
    }

    pub fn cluster_with(&mut self, count: usize, config: &RegistrarConfig) -> Vec<NodeId> {
        let first = self.nodes.len();
        let all: Vec<NodeId> = (first..first + count).collect();
        for n in &all {
            let others: Vec<NodeId> = all.iter().copied().filter(|other| other != n).collect();
            self.registrar_among(config.clone(), &others);
            self.run_secs(1);
        }
        self.run_secs(20);
        for n in &all {
            assert!(self.pr(*n).is_serving());
            assert_eq!(self.pr(*n).peers().filter(|peer| peer.state == PeerState::Active).count(), count - 1);
        }
        all
    }

    /// An element that can be dialled by registrars, and is registered.
    pub fn reachable(&mut self, pool: &[u8], id: u32, servers: &[NodeId]) -> NodeId {
        let config = EndpointConfig { asap_port: 4000, ..EndpointConfig::new() };
        let n = self.element_with(config, servers);
        let key = self.register(n, &super::info_with_id(pool, id));
        assert!(self.run_until(|s| s.pe_registered(n, key), Duration::from_secs(5)));
        n
    }

    fn pe_registered(&self, n: NodeId, key: rserpool_core::ElementKey) -> bool {
        let Role::Element(machine) = &self.nodes[n].role else { panic!("not a pool element") };
        machine.is_registered(key)
    }

    /// Calls a registrar, and drains it.
    pub fn pr_call<R>(&mut self, n: NodeId, call: impl FnOnce(&mut Registrar<'static>, Instant) -> R) -> R {
        let now = self.now;
        let Role::Registrar(machine) = &mut self.nodes[n].role else { panic!("not a registrar") };
        let result = call(machine, now);
        self.drain(n);
        result
    }

    /// The registrar ends without a word; its associations end with it, or nobody is told.
    pub fn kill(&mut self, n: NodeId, silently: bool) {
        for assoc in self.associations(n) {
            if !silently {
                self.lose(n, assoc);
            }
        }
        self.nodes[n].role = Role::Script;
        self.nodes[n].answer = super::Answer::Refuse;
        self.nodes[n].deaf = true;
        self.nodes[n].stop();
    }

    /// A peer that introduces itself to a registrar.
    pub fn peer_of(&mut self, registrar: NodeId, id: u32) -> Peer {
        let node = self.script();
        let (assoc, _) = self.connect_enrp(node, registrar);
        let peer = Peer { node, id, assoc };
        self.say(peer, presence(node, id, true));
        self.run_secs(1);
        peer
    }

    /// A script that a registrar has dialled as its peer.
    pub fn dialled_peer(&mut self, node: NodeId, id: u32) -> Peer {
        let assoc = self.associations(node)[0];
        Peer { node, id, assoc }
    }

    pub fn say<'m>(&mut self, peer: Peer, body: impl Into<EnrpBody<'m>>) {
        let bytes = enrp(peer.id, 0, body);
        self.send_bytes(peer.node, peer.assoc, &bytes);
    }

    /// The same, and a second passes.
    pub fn tell<'m>(&mut self, peer: Peer, body: impl Into<EnrpBody<'m>>) {
        self.say(peer, body);
        self.run_secs(1);
    }

    /// The ENRP messages of a type that a node has sent.
    pub fn enrp_sent(&self, from: NodeId, message_type: u8) -> Vec<&Sent> {
        self.trace.iter().filter(|s| s.from == from && s.ppid == Ppid::Enrp && s.bytes[0] == message_type).collect()
    }

    /// Those to one node.
    pub fn enrp_to(&self, from: NodeId, to: NodeId, message_type: u8) -> Vec<&Sent> {
        self.enrp_sent(from, message_type).into_iter().filter(|s| s.to == Some(to)).collect()
    }

    pub fn enrp_count(&self, from: NodeId, message_type: u8) -> usize {
        self.enrp_sent(from, message_type).len()
    }

    /// What has been sent so far does not count any more.
    pub fn forget_sent(&mut self) {
        self.trace.clear();
        for node in &mut self.nodes {
            node.inbox.clear();
            node.events.clear();
        }
    }

    pub fn told(&self, n: NodeId, event: RegistrarEvent) -> bool {
        self.told_pr(n, event)
    }

    pub fn peer_view(&self, n: NodeId, id: u32) -> Option<PeerView> {
        self.pr(n).peers().find(|peer| peer.id == ServerId(id))
    }

    /// The elements of a registrar's handlespace: pool, identifier, home; sorted.
    pub fn space(&self, n: NodeId) -> Vec<(Vec<u8>, u32, u32)> {
        let space = self.pr(n).handlespace();
        let mut all = Vec::new();
        let mut pool = space.next_pool(None);
        while let Some(p) = pool {
            let mut element = space.next_element(p, None);
            while let Some(e) = element {
                let view = space.element(e).unwrap();
                all.push((space.pool(p).unwrap().handle.as_bytes().to_vec(), view.id.0, view.home.0));
                element = space.next_element(p, Some(e));
            }
            pool = space.next_pool(Some(p));
        }
        all.sort();
        all
    }

    pub fn id_of(&self, n: NodeId) -> u32 {
        self.pr(n).id().0
    }
}

/// A presence of a script, with the checksum of nothing.
pub fn presence(node: NodeId, id: u32, reply_required: bool) -> Presence<'static> {
    presence_with(node, id, reply_required, 0xffff)
}

pub fn presence_with(node: NodeId, id: u32, reply_required: bool, checksum: u16) -> Presence<'static> {
    let transport = Transport::Tcp(enrp_address(node));
    Presence {
        reply_required,
        checksum: Some(checksum),
        server_information: Some(ServerInformation { id: ServerId(id), transport }),
    }
}

pub fn add<'a>(pool: &'a [u8], element: PoolElementParam<'a>) -> HandleUpdate<'a> {
    HandleUpdate { takeover_suggested: false, action: UpdateAction::Add, pool_handle: handle(pool), element }
}

pub fn delete<'a>(pool: &'a [u8], element: PoolElementParam<'a>) -> HandleUpdate<'a> {
    HandleUpdate { action: UpdateAction::Delete, ..add(pool, element) }
}

pub fn list(servers: &[ServerInformation<'_>]) -> Vec<ServerInformation<'static>> {
    servers.iter().map(|s| ServerInformation { id: s.id, transport: static_tcp(&s.transport) }).collect()
}

fn static_tcp(transport: &Transport<'_>) -> Transport<'static> {
    Transport::Tcp(transport.socket_addrs().next().unwrap())
}

pub fn table_request(own_children_only: bool) -> HandleTableRequest {
    HandleTableRequest { own_children_only }
}

/// A page of one pool, as bytes.
pub fn page(sender: u32, more: bool, pool: &[u8], elements: &[PoolElementParam<'_>]) -> Vec<u8> {
    let entries = [HandleTableEntry { pool_handle: handle(pool), elements: List::new(elements) }];
    let entries = if elements.is_empty() { PoolEntries::empty() } else { PoolEntries::new(&entries) };
    enrp(sender, 0, HandleTableResponse { more, rejected: false, entries })
}

pub fn refusal() -> HandleTableResponse<'static> {
    HandleTableResponse { more: false, rejected: true, entries: PoolEntries::empty() }
}

/// The identifiers in the pages that were sent, in their order, and their M flags.
pub fn listed(pages: &[&Sent]) -> (Vec<u32>, Vec<bool>) {
    let mut ids = Vec::new();
    let mut more = Vec::new();
    for page in pages {
        let EnrpBody::HandleTableResponse(table) = page.enrp().body else { panic!("no handle table") };
        more.push(table.more);
        for entry in table.entries.iter() {
            ids.extend(entry.elements.iter().map(|element| element.id.0));
        }
    }
    (ids, more)
}
