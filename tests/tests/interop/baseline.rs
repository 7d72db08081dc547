//! rsplib alone: the lab works, and what the other cases look for is what it says.

use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Shape};

#[test]
fn echo() {
    let Some(captures) = lab::run("baseline::echo", Duration::from_secs(60), |lab| {
        let network = lab.network(Shape { hosts: 3, ..Shape::default() });
        let _recording = network.record("echo");
        let registrar = network.host(1).start(
            "rspregistrar",
            &["-asap=10.251.0.1:3863", "-enrp=10.251.0.1:9901", "-identifier=0x11111111", "-quiet"],
        );
        let server =
            network.host(2).start("rspserver", &["-echo", "-identifier=0xabcd0001", "-registrar=10.251.0.1:3863"]);
        let mut terminal = network.host(3).start("rspterminal", &["-registrar=10.251.0.1:3863"]);
        lab::until("an echo", || {
            terminal.say("hello");
            std::thread::sleep(Duration::from_millis(500));
            terminal.text().contains("from PE $abcd0001> hello")
        });
        drop((registrar, server));
    }) else {
        return;
    };
    let echo = &captures["echo"];
    echo.assert_clean(&[]);
    assert!(echo.of(Ppid::Asap, 0x01).next().is_some(), "a registration");
}
