//! SIGTERM and SIGINT as something to wait for.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::Error;

/// Something that a command can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// SIGTERM or SIGINT.
    Signal(&'static str),
    /// Something else, which its sender knows.
    Other,
}

/// Catches the signals that end a program.
#[derive(Debug)]
pub(crate) struct Signals {
    wakes: Receiver<Wake>,
    sender: Sender<Wake>,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Error> {
        let (sender, wakes) = channel();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Error::system("catch signals", error))?;
        let caught = sender.clone();
        thread::Builder::new()
            .name("rserpool-signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
                    if caught.send(Wake::Signal(name)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::system("start a thread", error))?;
        Ok(Signals { wakes, sender })
    }

    /// Others can wake the one who waits, too.
    pub(crate) fn sender(&self) -> Sender<Wake> {
        self.sender.clone()
    }

    /// Waits for anything, but not for ever.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Option<Wake> {
        // The sender is ours: only the time can be over.
        self.wakes.recv_timeout(timeout).ok()
    }
}
