//! Processes that are killed or stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rserpool_tests::rig::Process;

use crate::bounds;
use crate::cast::{
    HANG, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, POOL, Registrar, agree, element, here, place, until, user,
};

const LOOPBACK: &str = "127.0.0.1";

/// Registrars on loopback that know each other.
fn registrars(count: usize) -> Vec<Registrar> {
    let places: Vec<String> = (0..count).map(|_| place()).collect();
    let registrars: Vec<Registrar> = places.iter().map(|ip| Registrar::start(&here, ip, &places)).collect();
    until("the registrars", || agree(&registrars.iter().collect::<Vec<_>>(), &[]));
    registrars
}

#[test]
fn elements_that_are_killed_under_load_are_handed_out_no_more_and_the_others_always() {
    let registrars = registrars(1);
    let mut elements: Vec<Option<Process>> =
        (1..=4).map(|id| Some(element(&here, LOOPBACK, id, &[&registrars[0]]))).collect();
    until("the elements", || registrars[0].knows(&[1, 2, 3, 4]));
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (stopped, count, asker) = (Arc::clone(&stop), Arc::clone(&answers), user(&[&registrars[0]]));
    let load = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let members = asker.resolve(POOL).expect("an answer");
            // Those who live are in each of the answers.
            assert!([3, 4].iter().all(|id| members.iter().any(|member| member.id().0 == *id)), "{members:?}");
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    until("answers", || answers.load(Ordering::Relaxed) > 10);
    let mut slowest = Duration::ZERO;
    for (at, left) in [(0, &[2, 3, 4][..]), (1, &[3, 4])] {
        let died = Instant::now();
        elements[at].take().unwrap().kill();
        until("its removal", || registrars[0].knows(left));
        slowest = slowest.max(died.elapsed());
    }
    let before = answers.load(Ordering::Relaxed);
    until("answers", || load.is_finished() || answers.load(Ordering::Relaxed) > before + 10);
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    println!("{} answers", answers.load(Ordering::Relaxed));
    bounds::KILLED.took(slowest);
}

#[test]
fn a_registrar_that_is_started_again_before_anybody_noticed_is_another_one_and_nothing_is_lost() {
    let mut registrars = registrars(2);
    let ids = [1, 2, 3];
    let _elements = ids.map(|id| element(&here, LOOPBACK, id, &[&registrars[0]]));
    until("the elements", || agree(&registrars.iter().collect::<Vec<_>>(), &ids));
    let before = registrars[0].count().unwrap().id;
    assert!(registrars[1].homes().unwrap().values().all(|home| *home == before));
    let died = Instant::now();
    registrars[0].kill();
    registrars[0].start_again(&here);
    until("agreement", || {
        assert!(registrars[1].knows(&ids), "none is lost, not for a moment");
        agree(&registrars.iter().collect::<Vec<_>>(), &ids)
    });
    bounds::RESTARTED.took(died.elapsed());
    assert_ne!(registrars[0].count().unwrap().id, before, "a new life, a new identifier");
}

#[test]
fn an_element_that_stands_still_is_removed_and_comes_back() {
    let registrars = registrars(1);
    let still = element(&here, LOOPBACK, 1, &[&registrars[0]]);
    let _other = element(&here, LOOPBACK, 2, &[&registrars[0]]);
    until("the elements", || registrars[0].knows(&[1, 2]));
    let begin = Instant::now();
    still.stop();
    until("its removal", || registrars[0].knows(&[2]));
    bounds::STOPPED.took(begin.elapsed());
    let begin = Instant::now();
    still.go_on();
    until("its return", || registrars[0].knows(&[1, 2]));
    bounds::WENT_ON.took(begin.elapsed());
}

#[test]
fn a_user_that_stands_still_is_told_what_it_missed() {
    let registrars = registrars(1);
    let mut command = here(&rserpool_tests::rig::binary("rserpool"));
    command.args(["resolve", POOL, "--watch", "--json", "--registrar", &registrars[0].asap()]);
    let first = element(&here, LOOPBACK, 1, &[&registrars[0]]);
    until("the element", || registrars[0].knows(&[1]));
    let watch = Process::start("watch", command);
    watch.wait_for("\"id\":1", HANG);
    watch.stop();
    let _second = element(&here, LOOPBACK, 2, &[&registrars[0]]);
    until("the second element", || registrars[0].knows(&[1, 2]));
    first.kill();
    until("the first one's end", || registrars[0].knows(&[2]));
    // Longer than an element may be silent: a user is not asked.
    let begin = Instant::now();
    until("time", || begin.elapsed() > KEEP_ALIVE_INTERVAL * 3 / 2 + KEEP_ALIVE_TIMEOUT);
    assert_eq!(watch.count("\"id\":2"), 0);
    let begin = Instant::now();
    watch.go_on();
    watch.wait_for("\"id\":2", HANG);
    bounds::USER_STOPPED.took(begin.elapsed());
}
