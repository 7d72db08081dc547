//! An identifier that is claimed over two associations which are both there (RFC 5354, 3.12.5; RFC 5355, 2.3).

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::*;
use rserpool_core::wire::{AsapMessage, Lifetime};
use rserpool_core::{AssocId, PeId, RegistrarConfig, RegistrarEvent, RemovalReason};

/// How many disputes there can be at once in the storage of `Sim::registrar`.
const PLACES: u32 = 4;

/// A registrar, an element by script, and a stranger by script that registers exactly as the element did.
struct Dispute {
    sim: Sim,
    registrar: NodeId,
    element: NodeId,
    own: AssocId,
    stranger: NodeId,
    strange: AssocId,
}

fn dispute(config: RegistrarConfig) -> Dispute {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar_with(config);
    let element = sim.script();
    let (own, _) = sim.connect(element, registrar);
    let stranger = sim.script();
    let (strange, _) = sim.connect(stranger, registrar);
    let mut t = Dispute { sim, registrar, element, own, stranger, strange };
    t.registers(element, own);
    t.sim.run_secs(2);
    t
}

impl Dispute {
    fn registers(&mut self, node: NodeId, assoc: AssocId) {
        let mut element = param(5, 7);
        element.lifetime = Lifetime::INFINITE;
        self.sim.send(node, assoc, registration(b"echo", element));
        self.sim.run_for(Duration::from_millis(100));
        let answered =
            self.sim.received(node).iter().any(|(_, bytes)| bytes[..] == bytes_of(granted(b"echo", PeId(5))));
        assert!(answered, "an element that comes back is believed at once");
    }

    fn stranger_registers(&mut self) {
        self.registers(self.stranger, self.strange);
    }

    /// How many keep-alives have come to a node meanwhile. They are without the H flag.
    fn asked(&mut self, node: NodeId) -> usize {
        let received = self.sim.received(node);
        let asked = received.iter().filter(|(_, bytes)| match AsapMessage::parse(bytes).unwrap().message {
            AsapMessage::EndpointKeepAlive(message) => !message.adopt,
            _ => false,
        });
        asked.count()
    }

    fn element_answers(&mut self) {
        self.sim.send(self.element, self.own, ack(b"echo", 5));
        self.sim.run_for(Duration::from_millis(100));
    }

    fn is_listed(&self) -> bool {
        self.sim.elements_at(self.registrar) == 1
    }

    fn nothing_was_removed(&self) -> bool {
        let removed = |event: &(_, Event)| matches!(event.1, Event::Registrar(RegistrarEvent::Removed { .. }));
        !self.sim.nodes[self.registrar].events.iter().any(removed)
    }
}

#[test]
fn the_former_association_is_asked_and_an_element_that_answers_over_it_stays_when_the_other_is_lost() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    assert_eq!((t.asked(t.element), t.asked(t.stranger)), (1, 0));
    t.element_answers();
    t.sim.lose(t.stranger, t.strange);
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());
    // It is bound to its own association again.
    t.sim.lose(t.element, t.own);
    assert!(!t.is_listed());
}

#[test]
fn who_disputes_an_identifier_cannot_deregister_it_before_the_former_association_was_asked() {
    let mut t = dispute(RegistrarConfig::new());
    for _ in 0..5 {
        t.stranger_registers();
        t.sim.send(t.stranger, t.strange, deregistration(b"echo", 5));
        t.sim.run_for(Duration::from_millis(100));
        assert_eq!(t.sim.received(t.stranger).len(), 1, "2.2.4: it is answered");
        t.sim.run_secs(1);
        assert_eq!(t.asked(t.element), 1);
        t.element_answers();
    }
    assert!(t.is_listed() && t.nothing_was_removed());
}

#[test]
fn who_disputes_an_identifier_and_leaves_before_the_answer_takes_nothing_along() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.lose(t.stranger, t.strange);
    t.element_answers();
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());
}

#[test]
fn who_disputes_an_identifier_cannot_answer_for_the_other() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.send(t.stranger, t.strange, ack(b"echo", 5));
    t.sim.run_for(Duration::from_millis(100));
    t.sim.lose(t.stranger, t.strange);
    t.element_answers();
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());
}

/// The element was cut off, and nobody has told the registrar.
#[test]
fn a_former_association_without_an_answer_is_given_up_after_keep_alive_timeout() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.run_secs(6);
    assert_eq!((t.asked(t.element), t.asked(t.stranger)), (1, 1), "who is left is asked, too");
    t.sim.send(t.stranger, t.strange, ack(b"echo", 5));
    t.sim.run_secs(1);
    // The element has returned over the other association. What was the old one is nothing to it.
    t.sim.lose(t.element, t.own);
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());
    t.sim.send(t.stranger, t.strange, deregistration(b"echo", 5));
    t.sim.run_secs(1);
    assert!(!t.is_listed());
}

#[test]
fn the_former_association_ends_while_it_is_asked() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.lose(t.element, t.own);
    t.sim.run_secs(2);
    assert_eq!(t.asked(t.stranger), 1);
    t.sim.send(t.stranger, t.strange, ack(b"echo", 5));
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());
}

#[test]
fn where_nobody_answers_over_either_association_the_element_is_removed() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.run_secs(4);
    assert!(t.is_listed());
    t.sim.run_secs(7);
    assert!(t.sim.told_pr(t.registrar, RegistrarEvent::Removed { id: PeId(5), reason: RemovalReason::Unreachable }));
}

#[test]
fn an_element_that_registers_again_or_deregisters_over_its_former_association_has_its_identifier_back() {
    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.registers(t.element, t.own);
    t.sim.lose(t.stranger, t.strange);
    t.sim.run_secs(20);
    assert!(t.is_listed() && t.nothing_was_removed());

    let mut t = dispute(RegistrarConfig::new());
    t.stranger_registers();
    t.sim.send(t.element, t.own, deregistration(b"echo", 5));
    t.sim.run_secs(1);
    assert!(t.sim.told_pr(t.registrar, RegistrarEvent::Removed { id: PeId(5), reason: RemovalReason::Deregistered }));
}

/// RFC 5352, 9.1, threat 9: a stranger cannot have the element asked as often as it likes.
#[test]
fn however_often_an_identifier_is_disputed_its_element_is_asked_once_a_second() {
    let mut t = dispute(RegistrarConfig::new());
    for _ in 0..100 {
        t.stranger_registers();
        t.element_answers();
    }
    let asked = t.asked(t.element);
    assert!((15..=21).contains(&asked), "{asked} in 20 s");
    assert!(t.is_listed() && t.nothing_was_removed());
}

/// There are as many places for disputes as for elements that are dialled.
#[test]
fn where_too_many_identifiers_are_disputed_the_oldest_is_where_it_says_and_the_others_are_decided() {
    let mut t = dispute(RegistrarConfig::new());
    let many = 5..5 + PLACES + 3;
    for (node, assoc) in [(t.element, t.own), (t.stranger, t.strange)] {
        for id in many.clone() {
            t.sim.send(node, assoc, registration(b"echo", param(id, 7)));
            t.sim.run_for(Duration::from_millis(100));
        }
    }
    let ids = |received: Vec<(AssocId, Vec<u8>)>| -> BTreeSet<u32> {
        let keep_alives = received.iter().filter_map(|(_, bytes)| match AsapMessage::parse(bytes).unwrap().message {
            AsapMessage::EndpointKeepAlive(message) => message.id,
            _ => None,
        });
        keep_alives.map(|id| id.0).collect()
    };
    for id in ids(t.sim.received(t.element)) {
        t.sim.send(t.element, t.own, ack(b"echo", id));
    }
    t.sim.run_secs(2);
    let given_up = ids(t.sim.received(t.stranger));
    assert_eq!(given_up, many.clone().take(3).collect());
    for id in given_up {
        t.sim.send(t.stranger, t.strange, ack(b"echo", id));
    }
    t.sim.run_secs(10);
    assert_eq!(t.sim.elements_at(t.registrar), many.len());
    t.sim.lose(t.stranger, t.strange);
    assert_eq!(t.sim.elements_at(t.registrar), PLACES as usize);
}
