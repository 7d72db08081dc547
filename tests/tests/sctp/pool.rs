//! One registrar: registration, resolution, keep-alives, failover.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

use crate::cast;

#[test]
fn a_pool_with_one_registrar() {
    lab::run("pool::a_pool_with_one_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let (r, a, b, user) = (network.host(1), network.host(2), network.host(3), network.host(4));
        let at = r.ip().to_string();
        let registrar = cast::registrar(r, 1, std::slice::from_ref(&at), &[]);

        lab.case("what is not there is not resolved");
        assert!(cast::resolve(user, &at, "echo").contains("unknown pool handle"));

        lab.case("registration and resolution");
        let one = cast::element(a, "echo", 0xa, "sctp://0.0.0.0:7000", &["-r", &at]);
        let two = cast::element(b, "echo", 0xb, "sctp://0.0.0.0:7000", &["-r", &at]);
        let answer = cast::resolve(user, &at, "echo");
        for (id, host) in [(0xa, a), (0xb, b)] {
            assert!(answer.contains(&format!("\"id\":{id},")), "{answer}");
            assert!(answer.contains(&format!("\"{}:7000\"", host.ip())), "{answer}");
        }
        assert!(answer.contains("\"transport\":\"SCTP\""), "{answer}");

        lab.case("failover: the user goes on with the other element, whichever it has");
        let mut terminal = cast::terminal(user, &at, "echo");
        cast::echo(&mut terminal, "hello");
        let (its, other) = match terminal.text().contains("connected to 0x0000000a") {
            true => (one, two),
            false => (two, one),
        };
        its.kill();
        cast::echo(&mut terminal, "again");
        lab::until("the element to be removed", || !cast::resolve(user, &at, "echo").contains("},{"));

        lab.case("an element that is registered gets keep-alives, and leaves the pool if it does not answer");
        registrar.until("registered in pool");
        std::thread::sleep(Duration::from_secs(4));
        assert!(cast::status(r).contains("\"element_count\":1"));
        other.signal("STOP");
        lab::until("its removal", || cast::status(r).contains("\"element_count\":0"));
        other.signal("CONT");
        lab::until("its return", || cast::status(r).contains("\"element_count\":1"));

        lab.case("one that leaves is gone at once");
        assert!(other.interrupt().status.success());
        assert!(cast::resolve(user, &at, "echo").contains("unknown pool handle"));
        assert!(registrar.interrupt().status.success());
    });
}
