//! Links that are cut, between hosts in network namespaces: packets are lost, and nobody is told.

use std::path::Path;
use std::time::Instant;

use rserpool_tests::hosts::Hosts;
use rserpool_tests::rig::binary;

use crate::bounds;
use crate::cast::{POOL, Registrar, agree, element, until};

#[test]
fn an_element_whose_host_vanishes_is_removed_and_comes_back_with_it() {
    let Some(hosts) = Hosts::or_skip(3) else { return };
    let at = |host: u8| {
        let hosts = &hosts;
        move |program: &Path| hosts.command(host, program)
    };
    let registrar = Registrar::start(&at(1), &Hosts::ip(1), &[]);
    let _stays = element(&at(2), &Hosts::ip(2), 2, &[&registrar]);
    let _goes = element(&at(3), &Hosts::ip(3), 3, &[&registrar]);
    until("the elements", || registrar.knows(&[2, 3]));
    let cut = Instant::now();
    hosts.cut_off(&[3]);
    until("its removal", || registrar.knows(&[2]));
    bounds::VANISHED.took(cut.elapsed());
    hosts.heal(&[3]);
    // What tells it that it is no element any more is sent again by TCP.
    let back = until("its return", || registrar.knows(&[2, 3]));
    println!("the element is back after {back:?}");
}

#[test]
fn both_sides_of_a_partition_serve_and_after_it_each_element_has_one_home() {
    let Some(hosts) = Hosts::or_skip(6) else { return };
    let at = |host: u8| {
        let hosts = &hosts;
        move |program: &Path| hosts.command(host, program)
    };
    let places = [1, 2, 3].map(Hosts::ip);
    let registrars = [1, 2, 3].map(|host| Registrar::start(&at(host), &Hosts::ip(host), &places));
    let all: Vec<&Registrar> = registrars.iter().collect();
    until("the registrars", || agree(&all, &[]));
    // Each knows the registrar of the same number only; 6 is on the other side than its home.
    let _elements = [(4, 0), (5, 1), (6, 2)].map(|(host, home)| {
        [u32::from(host), u32::from(host) + 10].map(|id| element(&at(host), &Hosts::ip(host), id, &[all[home]]))
    });
    let _across = element(&at(4), &Hosts::ip(4), 30, &[all[2]]);
    let ids = [4, 5, 6, 14, 15, 16, 30];
    until("the elements", || agree(&all, &ids));

    let cut = Instant::now();
    hosts.cut_off(&[3, 6]);
    // 30 is on the greater side: its home is dead for it, and it is found by the one that takes over.
    until("two sides", || {
        assert!(all[2].homes().unwrap().contains_key(&6), "who can be reached stays");
        let there = all[0].homes().unwrap();
        assert!([4, 30].iter().all(|id| there.contains_key(id)), "who can be reached stays");
        agree(&all[..2], &[4, 5, 14, 15, 30]) && all[2].knows(&[6, 16])
    });
    bounds::PARTED.took(cut.elapsed());
    for (host, registrar, here) in [(1, all[0], 5), (3, all[2], 6)] {
        let mut resolve = hosts.command(host, &binary("rserpool"));
        let output = resolve.args(["resolve", POOL, "--json", "--registrar", &registrar.asap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("\"id\":{here}")), "{text}");
    }

    let healed = Instant::now();
    hosts.heal(&[3, 6]);
    until("agreement", || {
        assert!(all[2].homes().unwrap().contains_key(&6), "who can be reached stays");
        let there = all[0].homes().unwrap();
        assert!([4, 30].iter().all(|id| there.contains_key(id)), "who can be reached stays");
        agree(&all, &ids)
    });
    bounds::HEALED.took(healed.elapsed());
}
