//! Messages that are too long for one MESSAGE, to a user agent without MSRP: the text goes in several, one
//! after the other (RFC 3428 section 8 allows one at a time).
//!
//! Delivered is the message only when every part is; who has some of it has not got the message. A final
//! response speaks of one part, so what comes late proves nothing of the whole.

use crate::delivery::{Asked, Evidence, Final, Verdict};
use crate::engine::Engine;
use crate::engine::record::Record;
use crate::engine::response::Last;
use crate::engine::short::Stage;
use crate::id::Handle;
use crate::limits::PAGER_PARTS_MAX;
use crate::metrics::Counter;
use crate::packet::{Departures, Purse};
use crate::time::Instant;
use crate::transaction::pending::Entered;

/// How a text is divided, and how far it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Parts {
    /// How many there are.
    pub(super) count: u8,
    /// The one that is under way, from 0.
    pub(super) number: u8,
    /// The status with which a part was accepted by somebody who does not speak for the recipient: that is
    /// the best that can be said of the whole. 0 if none was.
    accepted: u16,
}

impl Parts {
    /// The whole.
    pub(super) const WHOLE: Self = Self { count: 1, number: 0, accepted: 0 };

    /// The part of a text in UTF-8 that is under way: none is longer than its share, but for the rest of a
    /// character.
    pub(super) fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let (count, number) = (usize::from(self.count), usize::from(self.number));
        let cut = |number: usize| {
            let mut at = text.len() * number / count;
            while text.get(at).is_some_and(|octet| octet & 0xC0 == 0x80) {
                at += 1;
            }
            at
        };
        &text[cut(number)..cut(number + 1)]
    }

    /// Whether it is the only one.
    pub(super) const fn is_whole(&self) -> bool {
        self.count == 1
    }

    const fn has_more(&self) -> bool {
        self.number + 1 < self.count
    }
}

impl Engine {
    /// Sends a message in parts whose session nobody wanted. `false` if no number of parts fits; then nothing
    /// has changed. At most one departure.
    pub(super) fn begin_parts(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) -> bool {
        if !self.divide(handle) {
            return false;
        }
        self.count(Counter::PagerSplit);
        let Some(uri_key) = self.uri_key_of(handle) else { return false };
        let Some(record) = self.records.get_mut(handle) else { return false };
        let short = &mut self.shorts[handle.index as usize];
        if record.im.transmissions > 0 {
            // The whole was sent before, and was too large.
            record.im.begin_again(None, Asked::Once);
            short.attempt = short.attempt.saturating_add(1);
        }
        match self.pending.enter(handle.index, uri_key, self.setup.gateway.uri_pending_max) {
            Entered::Go => self.send_instant(handle, now, purse, out),
            Entered::Wait => {
                self.count(Counter::UriWaits);
                self.shorts[handle.index as usize].stage = Stage::Queued;
                self.wait(handle);
            }
        }
        true
    }

    /// Finds the smallest number of parts that all fit.
    fn divide(&mut self, handle: Handle<Record>) -> bool {
        let max = usize::from(self.setup.gateway.pager_max);
        'counts: for count in 2..=PAGER_PARTS_MAX {
            for number in 0..count {
                self.shorts[handle.index as usize].parts = Parts { count, number, accepted: 0 };
                let Some(record) = self.records.get(handle) else { return false };
                let size = self.with_instant(handle, record, |instant| instant.size());
                if size.is_none_or(|size| size > max) {
                    continue 'counts;
                }
            }
            self.shorts[handle.index as usize].parts.number = 0;
            return true;
        }
        self.shorts[handle.index as usize].parts = Parts::WHOLE;
        false
    }

    /// A part has its final response: if it was taken, the next one is sent. `false` if the response speaks
    /// for the whole: the last one, or one that was not taken. The evidence of the whole is then
    /// [`Engine::evidence_of_parts`].
    pub(super) fn next_part(
        &mut self,
        handle: Handle<Record>,
        (response, verdict): (Final, Verdict),
        last: Last<'_>,
        out: &mut Departures,
    ) -> bool {
        let parts = &mut self.shorts[handle.index as usize].parts;
        let is_taken = matches!(verdict, Verdict::Delivered | Verdict::Accepted);
        if is_taken && verdict == Verdict::Accepted {
            parts.accepted = response.status;
        }
        if !is_taken || !parts.has_more() {
            return false;
        }
        let Some(record) = self.records.get_mut(handle) else { return false };
        if !record.im.begin_again(None, Asked::Once) {
            return false;
        }
        record.im.cseq += 1;
        let short = &mut self.shorts[handle.index as usize];
        short.parts.number += 1;
        // Whoever tries again doubles what is there.
        short.may_be_there = true;
        self.transmit_instant(handle, last.at, Purse::Evidence, out);
        self.wait(handle);
        true
    }

    /// What the final response to the last part says of the whole.
    pub(super) fn evidence_of_parts(
        &self,
        handle: Handle<Record>,
        (response, verdict): (Final, Verdict),
    ) -> Evidence {
        let parts = &self.shorts[handle.index as usize].parts;
        match parts.accepted {
            status @ 1.. if verdict == Verdict::Delivered => {
                Evidence::Final(Final { status, ..response })
            }
            _ => Evidence::Final(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_text_and_cut_no_character() {
        for text in ["", "a", "Grüße 😀😀 €", "ääääääääääääää"] {
            for count in 1..=PAGER_PARTS_MAX {
                let mut all: Vec<u8> = Vec::new();
                for number in 0..count {
                    let parts = Parts { count, number, accepted: 0 };
                    let part = parts.of(text.as_bytes());
                    assert!(core::str::from_utf8(part).is_ok(), "{text} {count} {number}");
                    all.extend(part);
                }
                assert_eq!(all, text.as_bytes());
            }
        }
    }
}
