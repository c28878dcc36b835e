//! The byte ledger of a Large Message: which of its octets somebody has, and what that proves.
//!
//! ```text
//!   sent       [======= chunk 0 =======][==== chunk 1 ====][== chunk 2 $ ==]
//!   200        [=======================]                   [===============]   acknowledged, per hop
//!   REPORT     [==============================]                                reported, end to end
//!                                             ^ first gap
//! ```
//!
//! The rule that 200 to the last chunk means delivery holds only where the chunks before it have
//! arrived too (hazard H15), and only where that 200 is the recipient's own (hazard H26). So octets
//! are counted, not chunks: relays may cut and join chunks, and REPORTs name any range they like
//! (RFC 4975 sections 7.1.1 and 7.1.3).

mod carried;
mod ledger;
mod observation;
#[cfg(test)]
mod tests;

pub use self::carried::Carried;
pub use self::ledger::Ledger;
pub use self::observation::{Effect, End, Observation, Standing};

use crate::limits::MSRP_INTERVALS_MAX;
use crate::store::Intervals;
pub use crate::store::{Inserted, Octets};

/// A set of octets of one message of known length, in a fixed capacity: what it has no room for it
/// does not claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coverage {
    total: u64,
    set: Intervals<MSRP_INTERVALS_MAX>,
    beyond: u16,
    no_room: u16,
}

impl Coverage {
    /// None of `total` octets. Of a message whose total is not known yet, `total` is the most that it
    /// may have, until [`Self::end_at`].
    pub const fn new(total: u64) -> Self {
        Self { total, set: Intervals::NONE, beyond: 0, no_room: 0 }
    }

    /// How many octets the message has.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The message ends here: a receiver knows it from the chunk with `$` (RFC 4975 section 7.3.1). What
    /// lies beyond does not count any more, and is counted as such.
    pub fn end_at(&mut self, total: u64) {
        self.total = total;
        self.beyond = self.beyond.saturating_add(self.set.cut(total));
    }

    /// Counts these octets, once however often they come (hazard H22). What lies beyond the total is left
    /// out and counted apart (hazard H18).
    pub fn insert(&mut self, octets: Octets) -> Inserted {
        if octets.end > self.total {
            self.note_beyond();
        }
        let inserted = self.set.insert(octets.before(self.total));
        if inserted == Inserted::NoRoom {
            self.no_room = self.no_room.saturating_add(1);
        }
        inserted
    }

    const fn note_beyond(&mut self) {
        self.beyond = self.beyond.saturating_add(1);
    }

    /// The intervals that it consists of, in order.
    pub fn intervals(&self) -> &[Octets] {
        self.set.as_slice()
    }

    /// Whether it has every octet of the message. A message of none is covered; whether anything was
    /// ever said about it, this cannot know.
    pub fn is_covered(&self) -> bool {
        self.first_gap().is_none()
    }

    /// Whether it has all of these octets.
    pub fn has(&self, octets: Octets) -> bool {
        self.set.has(octets)
    }

    /// The first octets of the message that it has not.
    pub fn first_gap(&self) -> Option<Octets> {
        let start = self.set.front().end;
        let next = self.intervals().iter().find(|one| one.start > start);
        let end = next.map_or(self.total, |one| one.start);
        (start < end).then_some(Octets { start, end })
    }

    /// How many octets it has.
    pub fn len(&self) -> u64 {
        self.set.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// How often something beyond the total was to be counted.
    pub const fn beyond(&self) -> u16 {
        self.beyond
    }

    /// How often something could not be remembered.
    pub const fn no_room(&self) -> u16 {
        self.no_room
    }
}

/// Whether every octet is in one of the two.
fn cover_together(one: &Coverage, other: &Coverage) -> bool {
    let mut reached = 0;
    while reached < one.total {
        let both = one.intervals().iter().chain(other.intervals());
        let further = both.filter(|it| it.start <= reached).map(|it| it.end).max();
        match further {
            Some(end) if end > reached => reached = end,
            Some(_) | None => return false,
        }
    }
    true
}
