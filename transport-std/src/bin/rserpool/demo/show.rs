//! What the audience is told.

use std::io::{self, Write};

use super::act::CAST;
use super::score::Score;
use crate::output::Paint;

/// Tells the audience, with the time since the start.
pub(super) struct Show {
    pub(super) score: Score,
    quiet: bool,
    paint: Paint,
}

impl Show {
    pub(super) fn new(quiet: bool) -> Self {
        Show { score: Score::new(), quiet, paint: Paint::stdout() }
    }

    /// The beginning of an act.
    pub(super) fn title(&self, text: &str) {
        if !self.quiet {
            // As below.
            let _ = writeln!(io::stdout(), "{}", self.paint.bold(text));
        }
    }

    pub(super) fn say(&self, text: impl std::fmt::Display) {
        self.line(text);
    }

    pub(super) fn warn(&self, text: impl std::fmt::Display) {
        self.line(self.paint.warn(text));
    }

    pub(super) fn good(&self, text: impl std::fmt::Display) {
        self.line(self.paint.good(text));
    }

    pub(super) fn say_shares(&self) {
        let shares: Vec<String> =
            CAST.iter().map(|(name, id)| format!("{name} {}", self.score.served_by(*id))).collect();
        self.say(format_args!("served so far: {}", shares.join(", ")));
    }

    fn line(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let time = self.paint.dim(format!("{:7.3} s", self.score.elapsed().as_secs_f64()));
            // A closed pipe is no reason to stop: the exit status still tells.
            let _ = writeln!(io::stdout(), "{time}  {text}");
        }
    }
}
