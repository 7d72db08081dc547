//! What happens, in which order.

use std::time::{Duration, Instant};

use rserpool_core::PeId;

use super::score::Score;
use super::show::Show;
use super::{Args, first, second};
use crate::error::Error;

/// The pool elements.
pub(super) const CAST: [(&str, PeId); 3] = [("A", PeId(0xa)), ("B", PeId(0xb)), ("C", PeId(0xc))];

/// How long each part is played.
pub(super) const PART: Duration = Duration::from_millis(1800);
/// How long something may take to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn play(args: &Args) -> Result<Score, Error> {
    let mut show = Show::new(args.json);
    first::play(args, &mut show)?;
    show.score.interval();
    second::play(args, &mut show)?;
    Ok(show.score)
}

pub(super) fn wait(mut condition: impl FnMut() -> Result<bool, Error>, what: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            return Err(Error::Failed(format!("timed out waiting for {what}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

pub(super) fn failed(error: rserpool_std::Error) -> Error {
    Error::Failed(error.to_string())
}

pub(super) fn name_of(id: PeId) -> &'static str {
    CAST.iter().find(|(_, known)| *known == id).map_or("?", |(name, _)| *name)
}
