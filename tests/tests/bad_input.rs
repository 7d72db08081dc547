//! Messages that a registrar must not fall for, over real connections. Each has the RFC's answer or none, and those who
//! behave go on being served.

use rserpool_core::wire::asap::{
    DeregistrationResponse, EndpointKeepAliveAck, HandleResolutionResponse, RegistrationResponse,
};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::Presence;
use rserpool_core::wire::param::{POOL_ELEMENT, POOL_HANDLE};
use rserpool_core::wire::{
    AsapMessage, EnrpMessage, Lifetime, List, OperationError, Policy, PoolElementParam, Transport,
};
use rserpool_core::{PeId, ServerId};
use rserpool_tests::scene::{
    Scene, at, deregistration, element, emit, handle, message, registration, resolution, response, tlv, unreachable,
    until, with_u16,
};

const INVALID_VALUES: (bool, Option<u16>) = (false, Some(0x3));
const GRANTED: (bool, Option<u16>) = (true, None);

const REGISTRATION: u8 = 0x01;
const HANDLE_RESOLUTION: u8 = 0x05;

/// The values of an element parameter by hand.
fn element_of(id: u32, lifetime: i32, parameters: &[&[u8]]) -> Vec<u8> {
    let fields = [id.to_be_bytes(), [0; 4], lifetime.to_be_bytes()].concat();
    tlv(POOL_ELEMENT, &[&fields, &parameters.concat()[..]].concat())
}

fn tcp_transport(port: u16) -> Vec<u8> {
    let mut bytes = vec![0; Transport::Tcp(at(port)).encoded_len()];
    Transport::Tcp(at(port)).emit(&mut bytes).unwrap().to_vec()
}

fn round_robin() -> Vec<u8> {
    let mut bytes = vec![0; Policy::RoundRobin.encoded_len()];
    Policy::RoundRobin.emit(&mut bytes).unwrap().to_vec()
}

fn pool(name: &[u8]) -> Vec<u8> {
    tlv(POOL_HANDLE, name)
}

#[test]
fn a_pool_handle_of_no_bytes_is_an_invalid_value() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let answer = peer.ask(&message(HANDLE_RESOLUTION, &[&pool(b"")]));
    assert_eq!(response(&answer), INVALID_VALUES);
    let element = element_of(1, 300, &[&tcp_transport(9), &round_robin()]);
    let answer = peer.ask(&message(REGISTRATION, &[&pool(b""), &element]));
    assert_eq!(response(&answer), INVALID_VALUES);
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn a_pool_handle_of_65000_bytes_is_a_pool_handle() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let long = vec![b'x'; 65_000];
    assert_eq!(response(&peer.ask(&resolution(&long, false))), (false, Some(0x9)));
    assert_eq!(response(&peer.ask(&registration(&long, element(1)))), GRANTED);
    let answer = peer.ask(&resolution(&long, false));
    assert!(matches!(
        AsapMessage::parse(&answer).unwrap().message,
        AsapMessage::HandleResolutionResponse(response) if response.elements.len() == 1
    ));
    assert_eq!(response(&peer.ask(&deregistration(&long, 1))), GRANTED);
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn elements_with_values_that_mean_nothing_are_refused() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let sound = element(1);
    let refused = [
        ("port 0", PoolElementParam { user_transport: Transport::Tcp(at(0)), ..sound }),
        ("any address", PoolElementParam { user_transport: Transport::Tcp("0.0.0.0:9".parse().unwrap()), ..sound }),
        ("multicast", PoolElementParam { user_transport: Transport::Udp("224.0.1.185:9".parse().unwrap()), ..sound }),
        ("lifetime 0", PoolElementParam { lifetime: Lifetime::from_wire(0), ..sound }),
        ("lifetime -2", PoolElementParam { lifetime: Lifetime::from_wire(-2), ..sound }),
        ("the least lifetime", PoolElementParam { lifetime: Lifetime::from_wire(i32::MIN), ..sound }),
        ("no address", PoolElementParam { user_transport: Transport::sctp(9, &[]), ..sound }),
        ("policy 0", PoolElementParam { policy: Policy::Other { policy_type: 0, data: &[] }, ..sound }),
    ];
    for (what, element) in refused {
        let answer = peer.ask(&registration(b"pool", element));
        assert_eq!(response(&answer), INVALID_VALUES, "{what}");
        let parsed = AsapMessage::parse(&answer).unwrap().message;
        assert!(matches!(parsed, AsapMessage::RegistrationResponse(response) if response.rejected), "{what}");
    }
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn an_infinite_lifetime_is_granted() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let element = PoolElementParam { lifetime: Lifetime::INFINITE, ..element(1) };
    assert_eq!(response(&peer.ask(&registration(b"pool", element))), GRANTED);
    let status = scene.registrar.status(10).unwrap();
    let pool = status.pools.iter().find(|pool| pool.handle == "pool").unwrap();
    assert_eq!(pool.elements[0].expires_in, None);
    scene.check();
}

#[test]
fn registrations_that_do_not_hold_together_are_refused_or_passed_over() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let sound = registration(b"pool", element(1));
    let (transport, policy) = (tcp_transport(9), round_robin());
    let sound_element = element_of(1, 300, &[&transport, &policy]);
    let of_elements = |element: &[u8]| message(REGISTRATION, &[&pool(b"pool"), element]);
    let bad = [
        ("two transports", of_elements(&element_of(1, 300, &[&transport, &transport, &policy]))),
        ("no transport", of_elements(&element_of(1, 300, &[&policy]))),
        ("no policy", of_elements(&element_of(1, 300, &[&transport]))),
        ("policy before transport", of_elements(&element_of(1, 300, &[&policy, &transport]))),
        ("two elements", message(REGISTRATION, &[&pool(b"pool"), &sound_element, &sound_element])),
        ("no element", message(REGISTRATION, &[&pool(b"pool")])),
        ("no pool", message(REGISTRATION, &[&sound_element])),
        ("nothing", message(REGISTRATION, &[])),
        ("element before pool", message(REGISTRATION, &[&sound_element, &pool(b"pool")])),
        // The pool handle's length, its parameter being the first: beyond the message, below its own header.
        ("a handle beyond the message", with_u16(sound.clone(), 6, 0xfff0)),
        ("a handle shorter than its header", with_u16(sound.clone(), 6, 3)),
        ("a handle of length 0", with_u16(sound.clone(), 6, 0)),
        // The element's length: it follows header, handle, type.
        ("an element beyond the message", with_u16(sound.clone(), 14, 0x1000)),
        ("an element that ends in its transport", with_u16(sound.clone(), 14, 20)),
        // The transport's length: three fields further on.
        ("a transport beyond its element", with_u16(sound.clone(), 30, 0x100)),
        ("a transport that ends in its address", with_u16(sound.clone(), 30, 12)),
    ];
    for (what, bytes) in &bad {
        let malformed = scene.counters().malformed;
        peer.send(bytes);
        // Where pool handle and identifier can be read the registration is refused (RFC 5352, 3.1), other parameters
        // with invalid values are reported by an ASAP_ERROR (RFC 5354, 3.12.4), and none is granted.
        let answer = peer.ask(&resolution(b"nobody", false));
        match AsapMessage::parse(&answer).map(|parsed| parsed.message) {
            Ok(AsapMessage::Error(_) | AsapMessage::RegistrationResponse(_)) => {
                assert_eq!(response(&answer), INVALID_VALUES, "{what}");
                assert_eq!(response(&peer.receive().unwrap()), (false, Some(0x9)), "{what}");
            }
            _ => assert_eq!(response(&answer), (false, Some(0x9)), "{what}"),
        }
        assert_eq!(scene.counters().malformed, malformed + 1, "{what}");
    }
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn a_message_longer_than_what_follows_it_waits_for_the_rest() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    // The message's own length: what is sent next is taken for its end, so it is no message any more.
    let sound = registration(b"pool", element(1));
    let longer = with_u16(sound.clone(), 2, u16::try_from(sound.len()).unwrap() + 16);
    peer.send(&longer);
    peer.send(&resolution(b"pool", false));
    let malformed = scene.counters().malformed;
    until("the message's end", || {
        peer.send(&[HANDLE_RESOLUTION, 0, 0, 4]);
        scene.counters().malformed > malformed
    });
    peer.finish();
    peer.is_closed();
    // A length that cannot be one ends the connection: there is no way to find the next message.
    let mut peer = scene.peer();
    peer.send(&with_u16(sound, 2, 3));
    peer.is_closed();
    until("the count", || scene.stats().closed.framing == 1);
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn ten_thousand_parameters_are_read_once() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    // Unknown, to be skipped.
    let skipped = tlv(0x8abc, &[]).repeat(10_000);
    let answer = peer.ask(&message(HANDLE_RESOLUTION, &[&pool(b"nobody"), &skipped]));
    assert_eq!(response(&answer), (false, Some(0x9)));
    // Unknown, to be skipped and reported: as many as an error message is made of.
    let reported = tlv(0xcabc, &[]).repeat(10_000);
    let answer = peer.ask(&message(HANDLE_RESOLUTION, &[&pool(b"nobody"), &reported]));
    assert_eq!(response(&answer), (false, Some(0x9)));
    let report = peer.receive().unwrap();
    assert_eq!(response(&report), (false, Some(0x1)));
    assert!(report.len() < 1000, "{} bytes", report.len());
    // Known ones, where one is wanted.
    peer.send(&message(HANDLE_RESOLUTION, &[&pool(b"abcd").repeat(8_000)]));
    peer.is_served_without_an_answer_before();
    scene.check();
}

#[test]
fn unknown_parameters_are_treated_as_their_two_upper_bits_say() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let with = |parameter_type: u16| message(HANDLE_RESOLUTION, &[&pool(b"nobody"), &tlv(parameter_type, b"what")]);
    // 00: stop, silently.
    peer.send(&with(0x3abc));
    peer.is_served_without_an_answer_before();
    // 01: stop, and report.
    let report = peer.ask(&with(0x7abc));
    assert_eq!(unrecognized(&report), Some(Cause::UnrecognizedParameter(&tlv(0x7abc, b"what"))));
    // 10: go on.
    assert_eq!(response(&peer.ask(&with(0xbabc))), (false, Some(0x9)));
    // 11: go on, and report.
    assert_eq!(response(&peer.ask(&with(0xfabc))), (false, Some(0x9)));
    let report = peer.receive().unwrap();
    assert_eq!(unrecognized(&report), Some(Cause::UnrecognizedParameter(&tlv(0xfabc, b"what"))));
    peer.is_served_without_an_answer_before();
    scene.check();
}

/// The only cause of an ASAP_ERROR.
fn unrecognized(bytes: &[u8]) -> Option<Cause<'_>> {
    match AsapMessage::parse(bytes).ok()?.message {
        AsapMessage::Error(error) => error.error.causes().next(),
        _ => None,
    }
}

#[test]
fn unknown_messages_are_treated_as_their_two_upper_bits_say() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    for message_type in [0x00, 0x10, 0x3f, 0x80, 0xbf, 0xc0, 0xff] {
        peer.send(&message(message_type, &[b"what"]));
        peer.is_served_without_an_answer_before();
    }
    for message_type in [0x40, 0x7f] {
        let unknown = message(message_type, &[b"what"]);
        let report = peer.ask(&unknown);
        assert_eq!(unrecognized(&report), Some(Cause::UnrecognizedMessage(&unknown)));
    }
    scene.check();
}

#[test]
fn answers_that_nobody_asked_for_are_passed_over() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let pool_handle = handle(b"good");
    let error = Some(OperationError::new(&[Cause::LackOfResources]));
    for unwanted in [
        emit(RegistrationResponse { rejected: false, pool_handle, id: PeId(1), error: None }),
        emit(RegistrationResponse { rejected: true, pool_handle, id: PeId(1), error }),
        emit(DeregistrationResponse { pool_handle, id: PeId(1), error: None }),
        emit(HandleResolutionResponse {
            accepts_updates: true,
            pool_handle,
            policy: None,
            elements: List::new(&[element(1)]),
            error: None,
        }),
        emit(EndpointKeepAliveAck { pool_handle, id: PeId(1) }),
        emit(rserpool_core::wire::asap::AsapError { error: OperationError::new(&[Cause::Unspecified]) }),
    ] {
        peer.send(&unwanted);
        peer.is_served_without_an_answer_before();
    }
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn enrp_on_the_asap_port_is_not_understood() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    let presence = Presence { reply_required: true, checksum: Some(7), server_information: None };
    let message = EnrpMessage { sender: ServerId(1), receiver: ServerId::NONE, body: presence.into() };
    let mut bytes = vec![0; message.encoded_len()];
    peer.send(message.emit(&mut bytes).unwrap());
    peer.is_served_without_an_answer_before();
    scene.check();
}

#[test]
fn a_stranger_cannot_deregister_an_element_or_take_its_identifier() {
    let scene = Scene::new();
    let (mut owner, mut stranger) = (scene.peer(), scene.peer());
    assert_eq!(response(&owner.ask(&registration(b"pool", element(1)))), GRANTED);
    assert_eq!(response(&stranger.ask(&deregistration(b"pool", 1))), (false, Some(0xa)));
    let elsewhere = PoolElementParam { user_transport: Transport::Tcp(at(10)), ..element(1) };
    assert_eq!(response(&stranger.ask(&registration(b"pool", elsewhere))), (false, Some(0x4)));
    assert_eq!(scene.strangers(), 1);
    assert_eq!(response(&owner.ask(&deregistration(b"pool", 1))), GRANTED);
    // One that is not there has left.
    assert_eq!(response(&stranger.ask(&deregistration(b"pool", 1))), GRANTED);
    assert_eq!(response(&stranger.ask(&deregistration(b"nobody", 1))), GRANTED);
    scene.check();
}

#[test]
fn an_element_that_does_not_suit_its_pool_is_refused() {
    let scene = Scene::new();
    let (mut first, mut second) = (scene.peer(), scene.peer());
    assert_eq!(response(&first.ask(&registration(b"pool", element(1)))), GRANTED);
    let mut refused = |element| response(&second.ask(&registration(b"pool", element)));
    assert_eq!(refused(PoolElementParam { policy: Policy::Random, ..element(2) }), (false, Some(0x5)));
    assert_eq!(refused(PoolElementParam { user_transport: Transport::Udp(at(9)), ..element(2) }), (false, Some(0x7)));
    let addresses = [[127, 0, 0, 1].into()];
    let control = Transport::sctp(9, &addresses);
    assert_eq!(refused(PoolElementParam { user_transport: control, ..element(2) }), (false, Some(0x7)));
    assert_eq!(scene.strangers(), 1);
    scene.check();
}

#[test]
fn reports_about_elements_that_do_not_exist_change_nothing() {
    let scene = Scene::new();
    let mut peer = scene.peer();
    for id in 0..1000 {
        peer.send(&unreachable(b"nobody", id));
        peer.send(&unreachable(b"good", id));
    }
    peer.is_served_without_an_answer_before();
    assert_eq!(scene.counters().unreachable_reports, 2000);
    assert_eq!(scene.counters().reported, 0);
    scene.check();
}
