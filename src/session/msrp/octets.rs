//! Which octets of a message are meant, and which have arrived.

use crate::limits::MSRP_INTERVALS_MAX;
use crate::wire::msrp::ByteRange;

/// Octets of a message, from the first (0) to before the last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Octets {
    /// The first of them.
    pub start: u64,
    /// The one after the last of them.
    pub end: u64,
}

impl Octets {
    /// What a Byte-Range names: positions from 1, the last one included (RFC 4975 section 7.1.1). Where the
    /// end is not said, it names none: nobody knows which.
    pub const fn of(range: &ByteRange) -> Self {
        let start = range.start.saturating_sub(1);
        match range.end {
            Some(end) if end > start => Self { start, end },
            Some(_) | None => Self { start, end: start },
        }
    }

    /// The Byte-Range that names them in a message of so many octets. None are `1-0`, wherever they are.
    pub const fn byte_range(self, total: Option<u64>) -> ByteRange {
        let start = if self.is_empty() { 0 } else { self.start };
        let end = if self.is_empty() { 0 } else { self.end };
        ByteRange { start: start.saturating_add(1), end: Some(end), total }
    }

    /// How many they are.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// The octets that have arrived, as intervals in a fixed capacity: sorted, and none touches another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    intervals: [Octets; MSRP_INTERVALS_MAX],
    count: u8,
}

impl Extent {
    pub(super) const NONE: Self =
        Self { intervals: [Octets { start: 0, end: 0 }; MSRP_INTERVALS_MAX], count: 0 };

    fn kept(&self) -> &[Octets] {
        &self.intervals[..usize::from(self.count)]
    }

    /// Adds octets; `false`, and nothing is added, if there is no room for another interval.
    pub(super) fn insert(&mut self, octets: Octets) -> bool {
        if octets.is_empty() {
            return true;
        }
        let kept = self.kept();
        let first = kept.partition_point(|one| one.end < octets.start);
        let behind = kept.partition_point(|one| one.start <= octets.end);
        let joined = behind - first;
        let count = kept.len();
        if joined == 0 {
            if count == MSRP_INTERVALS_MAX {
                return false;
            }
            self.intervals.copy_within(first..count, first + 1);
            self.intervals[first] = octets;
            self.count += 1;
            return true;
        }
        let start = octets.start.min(kept[first].start);
        let end = octets.end.max(kept[behind - 1].end);
        self.intervals[first] = Octets { start, end };
        self.intervals.copy_within(behind..count, first + 1);
        self.count -= u8::try_from(joined - 1).unwrap_or(0);
        true
    }

    /// Whether all octets before `end` are there.
    pub(super) fn reaches(&self, end: u64) -> bool {
        end == 0 || self.front().end >= end
    }

    /// The octets from the first one on that are there without a gap.
    pub(super) fn front(&self) -> Octets {
        match self.kept() {
            [first, ..] if first.start == 0 => *first,
            _ => Octets::default(),
        }
    }

    /// The first octets that are there.
    pub(super) fn first(&self) -> Octets {
        self.kept().first().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_range_is_what_it_says() {
        let range = |start, end| ByteRange { start, end, total: None };
        for (written, octets) in [
            (range(1, Some(4)), Octets { start: 0, end: 4 }),
            (range(5, Some(5)), Octets { start: 4, end: 5 }),
            (range(1, Some(0)), Octets { start: 0, end: 0 }),
        ] {
            assert_eq!(Octets::of(&written), octets);
            assert_eq!(octets.byte_range(None), written);
        }
        assert!(Octets::of(&range(7, None)).is_empty());
        assert_eq!(
            Octets { start: 9, end: 9 }.byte_range(Some(9)),
            ByteRange { start: 1, end: Some(0), total: Some(9) }
        );
    }

    /// Against a set of octets that is none of intervals, as long as there is room.
    #[test]
    fn what_has_arrived_is_known_in_any_order() {
        let mut seed: u64 = 7;
        let mut chance = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..300 {
            let (mut extent, mut plain) = (Extent::NONE, [false; 80]);
            for _ in 0..30 {
                let start = chance(80);
                let octets = Octets { start, end: start + chance(81 - start) };
                let held = extent.insert(octets);
                if held {
                    plain[usize::try_from(octets.start).unwrap()
                        ..usize::try_from(octets.end).unwrap()]
                        .fill(true);
                } else {
                    assert_eq!(extent.kept().len(), MSRP_INTERVALS_MAX);
                }
                let front = plain.iter().take_while(|there| **there).count();
                assert_eq!(extent.front().end, front as u64);
                let there: u64 = extent.kept().iter().map(|one| one.len()).sum();
                assert_eq!(there, plain.iter().filter(|there| **there).count() as u64);
                assert!(extent.kept().windows(2).all(|two| two[0].end < two[1].start));
                for end in 0..=80 {
                    assert_eq!(extent.reaches(end), end <= front as u64);
                }
            }
        }
    }

    #[test]
    fn too_many_pieces_are_not_remembered() {
        let mut extent = Extent::NONE;
        let octets = |at: u64| Octets { start: 2 * at, end: 2 * at + 1 };
        for at in 1..=MSRP_INTERVALS_MAX as u64 {
            assert!(extent.insert(octets(at)));
        }
        assert!(!extent.insert(octets(40)));
        assert!(extent.insert(Octets { start: 0, end: 100 }), "what touches others needs no room");
        assert_eq!(extent.kept(), [Octets { start: 0, end: 100 }]);
    }
}
