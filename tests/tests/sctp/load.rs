//! The same load over TCP and over SCTP. What is measured is shown, and not judged: in here a system call costs more
//! than the work.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

#[test]
fn over_either_link() {
    lab::run("load::over_either_link", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 1, ..Shape::default() });
        for transport in ["tcp", "sctp"] {
            lab.case(transport);
            let load = ["--pools", "100", "--duration", "3s"];
            let ended = network.host(1).rserpool(&[&["bench", "--transport", transport], &load[..]].concat());
            // Every answer has to be a positive one.
            let ended = ended.wait_within(lab::HANG);
            assert!(ended.status.success(), "{}", ended.text);
            println!("{}", ended.text);
        }
    });
}
