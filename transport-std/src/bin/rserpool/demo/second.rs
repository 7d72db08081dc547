//! The second act: the registrar itself is killed.

use std::time::Instant;

use rserpool_core::PeId;
use rserpool_std::PoolUser;
use rserpool_std::status::RegistrarStatus;

use super::Args;
use super::act::{CAST, PART, PATIENCE, failed, name_of, wait};
use super::client::Client;
use super::cluster::{Folder, Registrar, agree, homes};
use super::score::RegistrarScore;
use super::show::Show;
use super::stage::{self, Element};
use crate::error::Error;

pub(super) fn play(args: &Args, show: &mut Show) -> Result<(), Error> {
    show.title("Second act: the registrar of the elements is killed");
    let folder = Folder::new()?;
    let r1 = Registrar::start("R1", &folder, &[])?;
    let r2 = Registrar::start("R2", &folder, &[r1.enrp])?;
    let r3 = Registrar::start("R3", &folder, &[r1.enrp, r2.enrp])?;
    let mut cluster = [r1, r2, r3];
    wait(|| Ok(agree(&statuses(&cluster)?)), "the registrars to find each other")?;
    for (registrar, status) in cluster.iter().zip(statuses(&cluster)?) {
        let (name, id) = (registrar.name, status.id);
        show.say(format_args!(
            "registrar {name} {id:#010x} listens on tcp://{}, for peers on {}",
            registrar.asap, registrar.enrp
        ));
    }

    // A and B could not help themselves: they know no other registrar.
    let all = cluster.each_ref().map(|registrar| registrar.asap);
    let start = |(name, id): (&'static str, PeId)| Element::start(name, id, if name == "C" { &all } else { &all[..1] });
    let _elements = CAST.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let registered =
        || Ok(statuses(&cluster)?.iter().all(|status| status.element_count == 3) && agree(&statuses(&cluster)?));
    wait(registered, "all registrars to know the three pool elements")?;
    show.say("A and B know only R1, C knows all three; each registrar knows all elements, and their checksums agree");
    let before = statuses(&cluster)?;
    say_homes(show, &cluster, &before);

    let user = PoolUser::new(stage::user_options(&all)).map_err(failed)?;
    let mut client = Client::new(&user, args.interval)?;
    client.follow(show, PATIENCE)?;
    show.score.interval();
    client.work(show, PART, || Ok(false))?;

    let dead = before.first().map_or(0, |status| status.id);
    let [r1, survivors @ ..] = &mut cluster;
    r1.kill()?;
    let killed = Instant::now();
    show.warn("registrar R1 is killed (SIGKILL): no word to anybody");
    let gone = |status: &RegistrarStatus| status.peers.iter().all(|peer| peer.id != dead);
    let saved =
        |status: &RegistrarStatus| status.element_count == 3 && homes(status).values().all(|home| *home != dead);
    let taken_over = || {
        let statuses = statuses(survivors)?;
        Ok(statuses.iter().all(|status| gone(status) && saved(status)) && agree(&statuses))
    };
    client.work(show, PATIENCE, taken_over)?;
    if !taken_over()? {
        return Err(Error::Failed("timed out waiting for the takeover".to_owned()));
    }
    let after = statuses(survivors)?;
    let seconds = killed.elapsed().as_secs_f64();
    let heir = after.iter().position(|status| counter(status, "takeovers") > 0).and_then(|at| survivors.get(at));
    let heir = heir.map_or("a peer", |heir| heir.name);
    show.good(format_args!("{heir} has taken R1 over after {seconds:.1} s; its elements adopt {heir} as their home"));
    client.work(show, PART, || Ok(false))?;
    let after = statuses(survivors)?;
    say_homes(show, survivors, &after);
    if !after.iter().all(saved) {
        return Err(Error::Failed("an element was lost with its registrar".to_owned()));
    }
    show.say_shares();

    let peers = [survivors[0].enrp, survivors[1].enrp];
    r1.start_again(&peers)?;
    show.say("R1 is started again: it asks its peers for the handlespace before it serves");
    let restarted = Instant::now();
    client.work(show, PATIENCE, || Ok(agree(&statuses(&cluster)?)))?;
    let end = statuses(&cluster)?;
    if !agree(&end) {
        return Err(Error::Failed("timed out waiting for R1 to come back".to_owned()));
    }
    let (id, seconds) = (end.first().map_or(0, |status| status.id), restarted.elapsed().as_secs_f64());
    show.good(format_args!(
        "R1 serves again, as {id:#010x}, with all elements after {seconds:.1} s; all checksums agree"
    ));
    client.work(show, PART, || Ok(false))?;

    let end = statuses(&cluster)?;
    let first = |statuses: &[RegistrarStatus], at: usize| statuses.get(at).map_or((0, String::new()), owned);
    for (at, registrar) in cluster.iter().enumerate() {
        let ((_, before), (id, owned)) = (first(&before, at), first(&end, at));
        let after = at.checked_sub(1).map_or_else(|| "killed".to_owned(), |at| first(&after, at).1);
        let status = end.get(at);
        show.score.registrars.push(RegistrarScore {
            name: registrar.name.to_owned(),
            id,
            home_of_before: before,
            home_of_after_kill: after,
            home_of_at_end: owned,
            elements: status.map_or(0, |status| status.element_count),
            checksum: status.map_or(0, |status| status.checksum),
            agrees: agree(&end),
        });
    }
    Ok(())
}

fn statuses(registrars: &[Registrar]) -> Result<Vec<RegistrarStatus>, Error> {
    registrars.iter().map(Registrar::status).collect()
}

fn counter(status: &RegistrarStatus, name: &str) -> u64 {
    status.counters.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
}

/// A registrar's identifier, and the names of the elements whose home it is.
fn owned(status: &RegistrarStatus) -> (u32, String) {
    let homes = homes(status);
    let own: Vec<&str> =
        homes.iter().filter(|(_, home)| **home == status.id).map(|(id, _)| name_of(PeId(*id))).collect();
    (status.id, if own.is_empty() { "-".to_owned() } else { own.join(", ") })
}

fn say_homes(show: &Show, registrars: &[Registrar], statuses: &[RegistrarStatus]) {
    let homes = registrars.iter().zip(statuses).map(|(registrar, status)| (registrar.name, owned(status).1));
    let homes: Vec<String> =
        homes.filter(|(_, own)| own != "-").map(|(name, own)| format!("{name} of {own}")).collect();
    show.say(format_args!("homes: {}", homes.join("; ")));
}
