//! The first act: pool elements come and go.

use rserpool_core::PeId;
use rserpool_std::{PoolUser, RegistrarServer};

use super::Args;
use super::act::{CAST, PART, PATIENCE, failed, name_of, wait};
use super::client::Client;
use super::show::Show;
use super::stage::{self, Element};
use crate::error::Error;

pub(super) fn play(args: &Args, show: &mut Show) -> Result<(), Error> {
    show.title("First act: an element of the pool is killed");
    let registrar = stage::registrar()?;
    show.say(format_args!("registrar {} listens on tcp://{}", registrar.id(), registrar.local_addr()));
    let mut elements = CAST
        .iter()
        .map(|(name, id)| Element::start(name, *id, &[registrar.local_addr()]))
        .collect::<Result<Vec<_>, _>>()?;
    wait(|| Ok(count(&registrar)? == 3), "the three pool elements to register")?;
    for element in &registrar.status(9).map_err(failed)?.pools.first().map_or(Vec::new(), |p| p.elements.clone()) {
        let name = name_of(PeId(element.id));
        show.say(format_args!("element {name} {:#010x} is registered, at {}", element.id, element.addresses.join(" ")));
    }

    let user = PoolUser::new(stage::user_options(&[registrar.local_addr()])).map_err(failed)?;
    let mut client = Client::new(&user, args.interval)?;
    client.follow(show, PATIENCE)?;
    show.say(format_args!("the pool user sends a request every {} ms", args.interval.as_millis()));
    client.work(show, PART, || Ok(false))?;
    show.say_shares();

    let [_, b, c] = elements.as_mut_slice() else { return Err(Error::Failed("there are three elements".to_owned())) };
    b.kill()?;
    show.warn(format_args!("element B is killed (SIGKILL): no word to anybody"));
    client.work(show, PATIENCE, || Ok(count(&registrar)? == 2))?;
    show.say(format_args!("the registrar has removed B; its users are told"));
    client.work(show, PART, || Ok(false))?;
    show.say_shares();

    *b = Element::start(b.name, b.id, &[registrar.local_addr()])?;
    show.say(format_args!("element B is started again"));
    client.work(show, PATIENCE, || Ok(count(&registrar)? == 3))?;
    show.good(format_args!("element B is registered again"));
    client.work(show, PART, || Ok(false))?;
    show.say_shares();

    c.ask_to_leave()?;
    show.say(format_args!("element C is asked to end (SIGTERM): it deregisters first"));
    client.work(show, PATIENCE, || Ok(count(&registrar)? == 2 && c.has_ended()?))?;
    show.good(format_args!("element C has left in good order"));
    client.work(show, PART, || Ok(false))?;
    Ok(())
}

fn count(registrar: &RegistrarServer) -> Result<u32, Error> {
    Ok(registrar.status(0).map_err(failed)?.element_count)
}
