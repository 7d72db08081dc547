//! A peer that lost its state and begins anew from the same addresses and port (RFC 9260, 5.2).

use std::process::Command;
use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

use crate::cast;

#[test]
fn an_element_that_has_crashed_comes_back() {
    let name = "restart::an_element_that_has_crashed_comes_back";
    lab::run(name, Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 3, ..Shape::default() });
        let (r, old, new) = (network.host(1), network.host(2), network.host(3));
        let at = r.ip().to_string();
        let registrar = cast::registrar(r, 1, std::slice::from_ref(&at), &[]);
        let (ip, local) = (old.ip().to_string(), format!("{}:5000", old.ip()));
        let service = format!("sctp://{ip}:7000");
        let more = ["-r", &at, "--local", &local];
        let before = cast::element(old, "echo", 7, &service, &more);

        lab.case("the host falls silent, and another one with its address starts the same element");
        old.cut(0);
        let moved = Command::new("ip").args(["-n", "h3", "addr", "add", &format!("{ip}/24"), "dev", "eth0"]).status();
        assert!(moved.unwrap().success());
        let after = cast::element(new, "echo", 7, &service, &more);
        registrar.until("the peer has begun anew");
        assert!(cast::resolve(r, &at, "echo").contains("\"id\":7,"));
        drop(before);
        std::thread::sleep(Duration::from_secs(3));
        assert!(cast::status(r).contains("\"element_count\":1"), "it answers keep-alives");
        assert!(after.interrupt().status.success());
    });
}
