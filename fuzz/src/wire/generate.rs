//! Arbitrary messages: each input is one, and most of the small changes of an input are small changes of the message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arbitrary::Unstructured;
use bumpalo::Bump;
use rserpool_core::wire::asap::*;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::*;
use rserpool_core::wire::*;
use rserpool_core::{Link, PeId, ServerId};

use super::message::Message;

/// Names that come again and again, so that what is sent concerns what is there.
pub const POOLS: [&[u8]; 5] = [b"a", b"bb", b"EchoPool", &[0xff; 33], b"ccc"];
/// The registrar under test, its peers, one that nobody has, and none.
pub const SERVERS: [u32; 6] = [0x11, 0x12, 0x13, 0x14, 77, 0];

/// A byte in 16 stands for something longer, or other than usual.
const RARE: u8 = 0xf0;

/// What an input says, from its beginning. When it has ended it says zeros.
pub struct Source<'a> {
    input: Unstructured<'a>,
    /// What values are made of that the input does not hold as it is.
    bump: &'a Bump,
}

impl<'a> Source<'a> {
    pub fn new(data: &'a [u8], bump: &'a Bump) -> Self {
        Source { input: Unstructured::new(data), bump }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.input.len()
    }

    /// The next byte, which remains.
    pub fn peek(&self) -> u8 {
        self.input.peek_bytes(1).map_or(0, |bytes| bytes[0])
    }

    pub fn link(&mut self) -> Link {
        if self.flag() { Link::Sctp } else { Link::Tcp }
    }

    pub fn u8(&mut self) -> u8 {
        self.input.arbitrary().unwrap_or(0)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.u8(), self.u8(), self.u8(), self.u8()])
    }

    pub fn below(&mut self, limit: u8) -> u8 {
        self.u8() % limit
    }

    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    fn rare(&mut self) -> bool {
        self.u8() >= RARE
    }

    /// Bytes of the input, and now and then so many that a length field ends.
    pub fn bytes(&mut self) -> &'a [u8] {
        match self.u8() {
            0xff => {
                let (len, byte) = (self.u16(), self.u8());
                self.bump.alloc_slice_fill_copy(len.into(), byte)
            }
            // What fits into one message and does not fit into the answer.
            0xfe => self.bump.alloc_slice_fill_copy(65_500 + usize::from(self.below(36)), b'x'),
            len => self.take(len.into()),
        }
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        self.input.bytes(len.min(self.input.len())).unwrap_or(&[])
    }

    fn several<T: Copy>(&mut self, min: u8, max: u8, mut one: impl FnMut(&mut Self) -> T) -> &'a [T] {
        let count = min + self.below(max - min + 1);
        let items: Vec<T> = (0..count).map(|_| one(self)).collect();
        self.bump.alloc_slice_copy(&items)
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| one(self))
    }

    /// A number of which the ends matter.
    pub fn number(&mut self) -> u32 {
        match self.u8() {
            byte @ ..0xe0 => byte.into(),
            0xe0..RARE => u32::MAX - u32::from(self.u8()),
            _ => self.u32(),
        }
    }

    pub fn handle(&mut self) -> PoolHandle<'a> {
        let usual = match self.u8() {
            byte @ ..RARE => POOLS[usize::from(byte) % POOLS.len()],
            _ => self.bytes(),
        };
        PoolHandle::new(usual).unwrap_or(PoolHandle::new(b"a").unwrap())
    }

    pub fn pe_id(&mut self) -> PeId {
        PeId(match self.u8() {
            byte @ ..RARE => u32::from(byte % 8),
            _ => self.u32(),
        })
    }

    pub fn server_id(&mut self) -> ServerId {
        ServerId(match self.u8() {
            byte @ ..RARE => SERVERS[usize::from(byte) % SERVERS.len()],
            _ => self.u32(),
        })
    }

    pub fn lifetime(&mut self) -> Lifetime {
        Lifetime::from_wire(match self.u8() {
            byte @ ..RARE => [300, 1, 10, 60, 3600, -1, 0, -2, i32::MAX, i32::MIN][usize::from(byte) % 10],
            _ => self.u32().cast_signed(),
        })
    }

    fn ip(&mut self) -> IpAddr {
        match self.u8() {
            byte @ ..0xc0 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, byte & 7)),
            byte @ 0xc0..RARE => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(byte & 7))),
            0xf0..0xf8 => IpAddr::V4(Ipv4Addr::from_bits(self.u32())),
            _ => IpAddr::V6(Ipv6Addr::from(
                [self.u32(), self.u32(), self.u32(), self.u32()]
                    .map(u32::to_be_bytes)
                    .concat::<u8>()
                    .try_into()
                    .unwrap_or([0; 16]),
            )),
        }
    }

    pub fn socket_addr(&mut self) -> SocketAddr {
        let ip = self.ip();
        let port = match self.u8() {
            byte @ ..RARE => [3863, 9901, 7, 0][usize::from(byte) % 4],
            _ => self.u16(),
        };
        SocketAddr::new(ip, port)
    }

    fn sctp(&mut self) -> Transport<'a> {
        let port = self.socket_addr().port();
        let transport_use = if self.flag() { TransportUse::DataPlusControl } else { TransportUse::DataOnly };
        let most = if self.rare() { 64 } else { 3 };
        let addresses = List::new(self.several(1, most, Self::ip));
        Transport::Sctp { port, transport_use, addresses }
    }

    /// Where ASAP and ENRP themselves run.
    pub fn control_transport(&mut self) -> Transport<'a> {
        if self.flag() { self.sctp() } else { Transport::Tcp(self.socket_addr()) }
    }

    pub fn transport(&mut self) -> Transport<'a> {
        match self.below(8) {
            0 => {
                let (at, service_code) = (self.socket_addr(), self.u32());
                Transport::Dccp { port: at.port(), service_code, address: at.ip() }
            }
            1 | 2 => self.sctp(),
            3 => Transport::Udp(self.socket_addr()),
            4 => Transport::UdpLite(self.socket_addr()),
            5 => Transport::Opaque(self.bytes()),
            _ => Transport::Tcp(self.socket_addr()),
        }
    }

    pub fn policy(&mut self) -> Policy<'a> {
        let kind = self.below(20);
        let mut n = || self.number();
        match kind {
            1 => Policy::WeightedRoundRobin { weight: n() },
            2 => Policy::Random,
            3 => Policy::WeightedRandom { weight: n() },
            4 => Policy::Priority { priority: n() },
            5 => Policy::LeastUsed { load: n() },
            6 => Policy::LeastUsedDegradation { load: n(), degradation: n() },
            7 => Policy::PriorityLeastUsed { load: n(), degradation: n() },
            8 => Policy::RandomizedLeastUsed { load: n() },
            9 => Policy::Rsplib(RsplibPolicy::RandomizedPriorityLeastUsed { load: n(), degradation: n() }),
            10 => Policy::Rsplib(RsplibPolicy::RandomizedLeastUsedDegradation { load: n(), degradation: n() }),
            11 => Policy::Rsplib(RsplibPolicy::PriorityLeastUsedDegradation { load: n(), degradation: n() }),
            12 => Policy::Rsplib(RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load: n(), degradation: n() }),
            13 => Policy::Rsplib(RsplibPolicy::WeightedRandomDpf { weight: n(), dpf: n(), distance: n() }),
            14 => Policy::Rsplib(RsplibPolicy::LeastUsedDpf { load: n(), dpf: n(), distance: n() }),
            15 => Policy::Rsplib(RsplibPolicy::LeastUsedDegradationDpf {
                load: n(),
                degradation: n(),
                dpf: n(),
                distance: n(),
            }),
            16 => {
                // Private types, and standard ones that are not assigned yet.
                let policy_type = [0x8000_0000, 0x6, 0x4000_0005, 0xb000_0001][usize::from(self.below(4))];
                Policy::Other { policy_type, data: self.bytes() }
            }
            _ => Policy::RoundRobin,
        }
    }

    pub fn element(&mut self) -> PoolElementParam<'a> {
        // Mostly such that they fit into one pool.
        let byte = self.u8();
        if byte < 0xc0 {
            return PoolElementParam {
                id: self.pe_id(),
                home: self.server_id(),
                lifetime: self.lifetime(),
                user_transport: Transport::Tcp(SocketAddr::from(([192, 0, 2, byte & 3], 7))),
                policy: Policy::RoundRobin,
                asap_transport: (byte & 4 == 4).then_some(Transport::Tcp(SocketAddr::from(([192, 0, 2, 3], 3863)))),
            };
        }
        PoolElementParam {
            id: self.pe_id(),
            home: self.server_id(),
            lifetime: self.lifetime(),
            user_transport: self.transport(),
            policy: self.policy(),
            asap_transport: self.maybe(Self::control_transport),
        }
    }

    fn elements(&mut self) -> List<'a, PoolElementParam<'a>> {
        List::new(self.several(1, 5, Self::element))
    }

    fn server_information(&mut self) -> ServerInformation<'a> {
        ServerInformation { id: self.server_id(), transport: self.control_transport() }
    }

    fn error(&mut self) -> OperationError<'a> {
        let cause = |s: &mut Self| {
            let code = match s.u8() {
                byte @ ..RARE => u16::from(byte % 0x12),
                _ => s.u16(),
            };
            Cause::new(code, s.bytes())
        };
        OperationError::new(self.several(1, 3, cause))
    }

    pub fn asap(&mut self) -> AsapMessage<'a> {
        match self.below(15) {
            0 => AsapError { error: self.error() }.into(),
            2 => Deregistration { pool_handle: self.handle(), id: self.pe_id() }.into(),
            3 => RegistrationResponse {
                rejected: self.flag(),
                pool_handle: self.handle(),
                id: self.pe_id(),
                error: self.maybe(Self::error),
            }
            .into(),
            4 => {
                DeregistrationResponse { pool_handle: self.handle(), id: self.pe_id(), error: self.maybe(Self::error) }
                    .into()
            }
            5 => HandleResolution {
                subscribe: self.flag(),
                pool_handle: self.handle(),
                wanted_items: self.maybe(Self::number),
            }
            .into(),
            6 => self.answer().into(),
            7 => EndpointKeepAlive {
                adopt: self.flag(),
                server: self.server_id(),
                pool_handle: self.handle(),
                id: self.maybe(Self::pe_id),
            }
            .into(),
            8 => EndpointKeepAliveAck { pool_handle: self.handle(), id: self.pe_id() }.into(),
            9 => EndpointUnreachable { pool_handle: self.handle(), id: self.pe_id() }.into(),
            10 => self.announce().into(),
            11 => Cookie { cookie: self.bytes() }.into(),
            12 => CookieEcho { cookie: self.bytes() }.into(),
            13 => {
                BusinessCard { pool_handle: self.handle(), policy: self.maybe(Self::policy), elements: self.elements() }
                    .into()
            }
            _ => Registration { pool_handle: self.handle(), element: self.element() }.into(),
        }
    }

    /// What pool elements and pool users ask of a registrar.
    pub fn request(&mut self) -> AsapMessage<'a> {
        match self.below(8) {
            3 => Deregistration { pool_handle: self.handle(), id: self.pe_id() }.into(),
            4 | 5 => HandleResolution {
                subscribe: self.flag(),
                pool_handle: self.handle(),
                wanted_items: self.maybe(Self::number),
            }
            .into(),
            6 => EndpointKeepAliveAck { pool_handle: self.handle(), id: self.pe_id() }.into(),
            7 => EndpointUnreachable { pool_handle: self.handle(), id: self.pe_id() }.into(),
            _ => Registration { pool_handle: self.handle(), element: self.element() }.into(),
        }
    }

    /// What a registrar answers to a resolution.
    pub fn answer(&mut self) -> HandleResolutionResponse<'a> {
        let negative = self.rare();
        HandleResolutionResponse {
            accepts_updates: self.flag(),
            pool_handle: self.handle(),
            policy: self.maybe(Self::policy),
            elements: if negative { List::empty() } else { self.elements() },
            error: negative.then(|| self.error()),
        }
    }

    /// What a registrar says to all.
    pub fn announce(&mut self) -> ServerAnnounce<'a> {
        let server = self.server_id();
        ServerAnnounce { server, transports: List::new(self.several(0, 4, Self::control_transport)) }
    }

    pub fn table(&mut self) -> HandleTableResponse<'a> {
        let (more, rejected) = (self.flag(), self.rare());
        let entry = |s: &mut Self| HandleTableEntry { pool_handle: s.handle(), elements: s.elements() };
        let entries = if rejected { &[] } else { self.several(0, 3, entry) };
        HandleTableResponse { more, rejected, entries: PoolEntries::new(entries) }
    }

    pub fn list(&mut self) -> ListResponse<'a> {
        let rejected = self.rare();
        let servers = if rejected { &[] } else { self.several(0, 4, Self::server_information) };
        ListResponse { rejected, servers: List::new(servers) }
    }

    pub fn enrp(&mut self) -> EnrpMessage<'a> {
        let (sender, receiver) = (self.server_id(), self.server_id());
        let body = match self.below(11) {
            2 => HandleTableRequest { own_children_only: self.flag() }.into(),
            3 => self.table().into(),
            4 | 0 => {
                let action = if self.flag() { UpdateAction::Delete } else { UpdateAction::Add };
                let (takeover_suggested, pool_handle, element) = (self.rare(), self.handle(), self.element());
                HandleUpdate { takeover_suggested, action, pool_handle, element }.into()
            }
            5 => ListRequest.into(),
            6 => self.list().into(),
            7 => InitTakeover { target: self.server_id() }.into(),
            8 => InitTakeoverAck { target: self.server_id() }.into(),
            9 => TakeoverServer { target: self.server_id() }.into(),
            10 => EnrpError { error: self.error() }.into(),
            _ => Presence {
                reply_required: self.flag(),
                checksum: self.maybe(Self::u16),
                server_information: self.maybe(Self::server_information),
            }
            .into(),
        };
        EnrpMessage { sender, receiver, body }
    }

    pub fn message(&mut self) -> Message<'a> {
        if self.flag() { Message::Enrp(self.enrp()) } else { Message::Asap(self.asap()) }
    }
}
