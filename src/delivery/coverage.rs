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

mod ledger;
mod observation;
#[cfg(test)]
mod tests;

pub use self::ledger::Ledger;
pub use self::observation::{Effect, End, Observation, Standing};

use crate::limits::MSRP_INTERVALS_MAX;

/// Octets of a message, from the first (0) to before the last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Octets {
    start: u64,
    end: u64,
}

impl Octets {
    /// No octets.
    pub const NONE: Self = Self { start: 0, end: 0 };

    /// The octets from `start` to before `end`; `None` if that is before `start`.
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start <= end { Some(Self { start, end }) } else { None }
    }

    /// What a Byte-Range names (RFC 4975 section 7.1.1): positions from 1, the last one included, and
    /// `1-0` for nothing. The only place where one becomes the other. `None` for what is no range.
    pub const fn of_byte_range(range_start: u64, range_end: u64) -> Option<Self> {
        if range_start == 0 {
            return None;
        }
        Self::new(range_start - 1, range_end)
    }

    /// The range-start and range-end of a Byte-Range that names them.
    pub const fn byte_range(self) -> (u64, u64) {
        (self.start.saturating_add(1), self.end)
    }

    /// The first of them.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The one after the last of them.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// How many they are.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Those of them before `end`.
    const fn before(self, end: u64) -> Self {
        let end = if self.end < end { self.end } else { end };
        Self { start: if self.start < end { self.start } else { end }, end }
    }

    /// From the first of both to the last of both.
    const fn joined(self, other: Self) -> Self {
        let start = if self.start < other.start { self.start } else { other.start };
        Self { start, end: if self.end > other.end { self.end } else { other.end } }
    }
}

/// What became of octets that were to be counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// They count now, all of them or some that did not count before.
    New,
    /// They counted already, or are none (hazard H22).
    Known,
    /// There is no room to remember them, so they do not count: what is not remembered is not claimed.
    NoRoom,
}

/// A set of octets of one message, kept as intervals in a fixed capacity.
///
/// Intervals are sorted, and neither touch nor overlap. When as many as fit are kept, one that
/// touches none of them is not: the set never says that it has an octet that was not inserted, and
/// what it forgets keeps it from being covered until it is inserted again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coverage {
    total: u64,
    intervals: [Octets; MSRP_INTERVALS_MAX],
    count: u8,
    beyond: u16,
    no_room: u16,
}

impl Coverage {
    /// None of `total` octets. Of a message whose total is not known yet, `total` is the most that it
    /// may have, until [`Self::end_at`].
    pub const fn new(total: u64) -> Self {
        let intervals = [Octets::NONE; MSRP_INTERVALS_MAX];
        Self { total, intervals, count: 0, beyond: 0, no_room: 0 }
    }

    /// How many octets the message has.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The message ends here: a receiver knows it from the chunk with `$` (RFC 4975 section 7.3.1). What
    /// lies beyond does not count any more, and is counted as such.
    pub fn end_at(&mut self, total: u64) {
        self.total = total;
        while let Some(last) = self.intervals().last().copied()
            && last.end > total
        {
            self.note_beyond();
            let place = usize::from(self.count) - 1;
            self.intervals[place] = last.before(total);
            if self.intervals[place].is_empty() {
                self.count -= 1;
            }
        }
    }

    /// Counts these octets. What lies beyond the total is left out and counted apart (hazard H18).
    pub fn insert(&mut self, octets: Octets) -> Inserted {
        if octets.end > self.total {
            self.note_beyond();
        }
        let octets = octets.before(self.total);
        if octets.is_empty() {
            return Inserted::Known;
        }
        let kept = self.intervals();
        let first = kept.partition_point(|one| one.end < octets.start);
        let behind = kept.partition_point(|one| one.start <= octets.end);
        match kept.get(first..behind) {
            Some([only]) if only.start <= octets.start && octets.end <= only.end => Inserted::Known,
            Some([from, ..]) => {
                let (from, to) = (*from, kept[behind - 1]);
                self.intervals[first] = octets.joined(from).joined(to);
                self.intervals.copy_within(behind.., first + 1);
                self.leave(behind - first - 1);
                Inserted::New
            }
            Some([]) | None => {
                if usize::from(self.count) == MSRP_INTERVALS_MAX {
                    self.no_room = self.no_room.saturating_add(1);
                    return Inserted::NoRoom;
                }
                self.intervals.copy_within(first..usize::from(self.count), first + 1);
                self.intervals[first] = octets;
                self.count += 1;
                Inserted::New
            }
        }
    }

    const fn note_beyond(&mut self) {
        self.beyond = self.beyond.saturating_add(1);
    }

    /// So many intervals were joined with another one.
    fn leave(&mut self, joined: usize) {
        // There are never more than a byte counts.
        self.count -= u8::try_from(joined).unwrap_or(self.count);
    }

    /// The intervals that it consists of, in order.
    pub fn intervals(&self) -> &[Octets] {
        &self.intervals[..usize::from(self.count)]
    }

    /// Whether it has every octet of the message. A message of none is covered; whether anything was
    /// ever said about it, this cannot know.
    pub fn is_covered(&self) -> bool {
        self.first_gap().is_none()
    }

    /// Whether it has all of these octets.
    pub fn has(&self, octets: Octets) -> bool {
        octets.is_empty()
            || self.intervals().iter().any(|one| one.start <= octets.start && octets.end <= one.end)
    }

    /// The first octets of the message that it has not.
    pub fn first_gap(&self) -> Option<Octets> {
        let (start, end) = match self.intervals() {
            [] => (0, self.total),
            [only] if only.start == 0 => (only.end, self.total),
            [first, second, ..] if first.start == 0 => (first.end, second.start),
            [first, ..] => (0, first.start),
        };
        (start < end).then_some(Octets { start, end })
    }

    /// How many octets it has.
    pub fn len(&self) -> u64 {
        self.intervals().iter().map(|one| one.len()).sum()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
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
