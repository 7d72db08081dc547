//! Hosts with two links, and hosts with IPv6 only.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape, v4, v6};

use crate::cast;

#[test]
fn one_of_two_links_is_enough() {
    lab::run("links::one_of_two_links_is_enough", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 3, links: 2, ipv6: true, ..Shape::default() });
        let (r, e, user) = (network.host(1), network.host(2), network.host(3));
        let own = |host| [v4(host, 0).to_string(), v4(host, 1).to_string(), v6(host, 0).to_string()];
        let registrar = cast::registrar(r, 1, &own(1), &[]);
        let all = own(1).join(",");
        // RFC 5354, 3.4: one SCTP transport with all addresses.
        let service = format!("sctp://{}:7000,{}", v4(2, 0), v4(2, 1));
        let local = [v4(2, 0).to_string(), v4(2, 1).to_string()];
        let more = ["-r", &all, "--local", &local[0], "--local", &local[1]];
        let element = cast::element(e, "echo", 7, &service, &more);
        let answer = cast::resolve(user, &all, "echo");
        assert!(answer.contains(&format!("[\"{}:7000\",\"{}:7000\"]", v4(2, 0), v4(2, 1))), "{answer}");

        lab.case("a link is cut under traffic");
        let mut terminal = cast::terminal(user, &all, "echo");
        cast::echo(&mut terminal, "on two links");
        e.cut(0);
        cast::echo(&mut terminal, "on the second");
        e.mend(0);
        assert!(terminal.count("has failed") == 0, "{}", terminal.text());

        lab.case("the registrar loses the other one, and is reached by the first");
        r.cut(1);
        cast::echo(&mut terminal, "on the first");
        assert!(cast::resolve(user, &all, "echo").contains("\"id\":7,"));
        std::thread::sleep(Duration::from_secs(4));
        assert!(cast::status(r).contains("\"element_count\":1"), "keep-alives are answered");
        terminal.hang_up();
        assert!(element.interrupt().status.success());
        assert!(registrar.interrupt().status.success());
    });
}

#[test]
fn ipv6_only() {
    lab::run("links::ipv6_only", Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 3, ipv4: false, ipv6: true, ..Shape::default() });
        let (r, e, user) = (network.host(1), network.host(2), network.host(3));
        let at = r.ip().to_string();
        let registrar = cast::registrar(r, 1, std::slice::from_ref(&at), &[]);
        lab.case("a service at all addresses of the host is registered with those that others can use");
        let element = cast::element(e, "echo", 7, "sctp://[::]:7000", &["-r", &at]);
        let answer = cast::resolve(user, &at, "echo");
        assert!(answer.contains(&format!("[\"[{}]:7000\"]", e.ip())), "{answer}");
        let mut terminal = cast::terminal(user, &at, "echo");
        cast::echo(&mut terminal, "hello");
        assert!(element.interrupt().status.success());
        assert!(registrar.interrupt().status.success());
    });
}
