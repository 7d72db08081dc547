//! Three registrars: replication, takeover, and the element that is dialled at its ASAP port.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

use crate::cast;

#[test]
fn three_registrars_and_a_takeover() {
    let name = "peers::three_registrars_and_a_takeover";
    let captures = lab::run(name, Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("takeover");
        let at = |host: u8| network.host(host).ip().to_string();
        let mut registrars: Vec<_> = (1..=3)
            .map(|host| {
                let peers: Vec<String> = (1..=3).filter(|other| *other != host).map(at).collect();
                Some(cast::registrar(network.host(host), host, &[at(host)], &peers))
            })
            .collect();
        let user = network.host(5);
        let (id, first) = (7, at(1));
        let element = cast::element(network.host(4), "echo", id, "sctp://0.0.0.0:7000", &["-r", &first]);
        let home = |registrar: u8, home: u8| {
            cast::resolve(user, &at(registrar), "echo").contains(&format!("\"id\":{id},\"home\":{home},"))
        };

        lab.case("all of them know the element");
        for registrar in 1..=3 {
            lab::until("the element", || home(registrar, 1));
        }

        lab.case("its home is killed: one of the others takes over, and the element stays");
        registrars[0].take().unwrap().kill();
        element.until("another registrar is the home now");
        let new = match element.text().contains("home now server=0x00000003") {
            true => 3,
            false => 2,
        };
        for registrar in 2..=3 {
            lab::until("the new home", || home(registrar, new));
        }

        lab.case("the new home leaves in good order: the last one has the element");
        let left = registrars[usize::from(new) - 1].take().unwrap();
        assert!(left.interrupt().status.success());
        let last = 5 - new;
        lab::until("the last home", || home(last, last));

        lab.case("and can lose it");
        assert!(element.interrupt().status.success());
        assert!(cast::resolve(user, &at(last), "echo").contains("unknown pool handle"));
        drop(recording);
    });
    let Some(captures) = captures else { return };
    captures["takeover"].assert_clean(&[]);
}
