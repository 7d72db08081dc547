//! Messages that are received and not handled yet.

use std::collections::VecDeque;

use rserpool_core::Ppid;
use rserpool_core::wire::padded_len;

use crate::driver::link::Unusable;

/// How much memory is kept while nothing is held, in bytes.
const KEPT_CAPACITY: usize = 4096;

/// Where the messages in what was read begin and end, and what of it is kept for later. As the framer of a byte stream,
/// but the boundaries and protocols come from the system.
#[derive(Debug)]
pub(in crate::driver) struct Messages {
    protocol: Ppid,
    max_message_len: usize,
    marks: VecDeque<Mark>,
    /// The bytes of the first marks, before those of the chunk that was read last.
    held: Vec<u8>,
    /// Where in `held` the next message begins.
    at: usize,
    /// Messages of protocols that this side does not speak, which were passed over.
    foreign: u64,
}

#[derive(Debug)]
struct Mark {
    ppid: u32,
    len: usize,
    /// It ends the message; if not, more of it is on its way (RFC 6458, 8.1.20: partial delivery).
    whole: bool,
}

impl Messages {
    pub(in crate::driver) const fn new(protocol: Ppid, max_message_len: usize) -> Self {
        Messages { protocol, max_message_len, marks: VecDeque::new(), held: Vec::new(), at: 0, foreign: 0 }
    }

    /// So many bytes of a message have been read behind those that were read before.
    pub(super) fn note(&mut self, ppid: u32, len: usize, whole: bool) {
        match self.marks.back_mut().filter(|mark| !mark.whole) {
            Some(begun) => {
                begun.len += len;
                begun.whole = whole;
            }
            None => self.marks.push_back(Mark { ppid, len, whole }),
        }
    }

    /// The rest of the message that has begun will not come.
    pub(super) fn forget_begun(&mut self) {
        if let Some(mark) = self.marks.back_mut().filter(|mark| !mark.whole) {
            // Its bytes are still to be passed over.
            mark.whole = true;
            mark.ppid = 0;
        }
    }

    /// The next message, of what is held and then of `chunk`, which shrinks. `None`: what is left is held.
    pub(in crate::driver) fn next<'m, 'c: 'm>(
        &'m mut self,
        chunk: &mut &'c [u8],
    ) -> Result<Option<(Ppid, &'m [u8])>, Unusable> {
        loop {
            let Some(mark) = self.marks.front() else {
                self.hold(&[]);
                return Ok(None);
            };
            let Mark { ppid, len, whole } = *mark;
            if len > padded_len(self.max_message_len) {
                return Err(Unusable::TooLong);
            }
            if !whole {
                self.hold(chunk);
                *chunk = &[];
                return Ok(None);
            }
            self.marks.pop_front();
            let is_held = self.at < self.held.len();
            let start = self.at;
            if is_held {
                let missing = (start + len).saturating_sub(self.held.len()).min(chunk.len());
                let (part, rest) = chunk.split_at(missing);
                self.held.extend_from_slice(part);
                *chunk = rest;
                self.at = (start + len).min(self.held.len());
            }
            let taken = if is_held {
                None
            } else {
                let (message, rest) = chunk.split_at(len.min(chunk.len()));
                *chunk = rest;
                Some(message)
            };
            match Ppid::from_number(ppid) {
                Some(ppid) if ppid == self.protocol => {
                    return Ok(Some((ppid, taken.unwrap_or(&self.held[start..self.at]))));
                }
                Some(_) => return Err(Unusable::WrongProtocol),
                None => self.foreign += 1,
            }
        }
    }

    /// Keeps `rest` for later.
    pub(in crate::driver) fn hold(&mut self, rest: &[u8]) {
        self.held.drain(..self.at);
        self.at = 0;
        self.held.extend_from_slice(rest);
        if self.held.is_empty() && self.held.capacity() > KEPT_CAPACITY {
            self.held = Vec::new();
        }
    }

    pub(in crate::driver) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// How many messages of other protocols were passed over since this was asked last.
    pub(in crate::driver) fn take_foreign(&mut self) -> u64 {
        std::mem::take(&mut self.foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASAP: u32 = 11;

    fn all(messages: &mut Messages, mut chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some((_, message)) = messages.next(&mut chunk).unwrap() {
            found.push(message.to_vec());
        }
        assert!(chunk.is_empty());
        found
    }

    #[test]
    fn messages_in_pieces_are_put_together() {
        let mut messages = Messages::new(Ppid::Asap, 100);
        messages.note(ASAP, 2, true);
        messages.note(ASAP, 3, false);
        assert_eq!(all(&mut messages, &[1, 1, 2, 2, 2]), [vec![1, 1]]);
        assert!(!messages.is_empty());
        messages.note(ASAP, 1, false);
        assert!(all(&mut messages, &[3]).is_empty());
        messages.note(ASAP, 1, true);
        messages.note(ASAP, 2, true);
        assert_eq!(all(&mut messages, &[4, 5, 5]), [vec![2, 2, 2, 3, 4], vec![5, 5]]);
        assert!(messages.is_empty());
    }

    #[test]
    fn what_is_left_of_a_turn_comes_in_the_next() {
        let mut messages = Messages::new(Ppid::Asap, 100);
        for len in [1, 2, 3] {
            messages.note(ASAP, len, true);
        }
        let mut chunk = &[1, 2, 2, 3, 3, 3][..];
        assert_eq!(messages.next(&mut chunk).unwrap().unwrap().1, [1]);
        messages.hold(chunk);
        assert_eq!(all(&mut messages, &[]), [vec![2, 2], vec![3, 3, 3]]);
    }

    #[test]
    fn other_protocols_are_passed_over_and_the_wrong_one_of_ours_is_a_fault() {
        let mut messages = Messages::new(Ppid::Asap, 100);
        messages.note(0, 2, true);
        messages.note(ASAP, 1, true);
        assert_eq!(all(&mut messages, &[9, 9, 1]), [vec![1]]);
        assert_eq!(messages.take_foreign(), 1);
        messages.note(12, 1, true);
        assert!(matches!(messages.next(&mut &[1][..]), Err(Unusable::WrongProtocol)));
    }

    #[test]
    fn a_message_that_is_given_up_is_passed_over() {
        let mut messages = Messages::new(Ppid::Asap, 100);
        messages.note(ASAP, 2, false);
        assert!(all(&mut messages, &[1, 1]).is_empty());
        messages.forget_begun();
        messages.note(ASAP, 2, true);
        assert_eq!(all(&mut messages, &[2, 2]), [vec![2, 2]]);
    }

    #[test]
    fn a_message_over_the_limit_is_found_before_it_is_whole() {
        let mut messages = Messages::new(Ppid::Asap, 8);
        messages.note(ASAP, 9, false);
        assert!(matches!(messages.next(&mut &[0; 9][..]), Err(Unusable::TooLong)));
    }
}
