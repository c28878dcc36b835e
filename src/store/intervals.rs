//! Which octets of something there are, as intervals in a fixed capacity.

/// Octets of something, from the first (0) to before the last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Octets {
    /// The first of them.
    pub start: u64,
    /// The one after the last of them.
    pub end: u64,
}

impl Octets {
    /// No octets.
    pub const NONE: Self = Self { start: 0, end: 0 };

    /// The octets from `start` to before `end`; `None` if that is before `start`.
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start <= end { Some(Self { start, end }) } else { None }
    }

    /// How many they are.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Those of them before `end`.
    pub const fn before(self, end: u64) -> Self {
        let end = if self.end < end { self.end } else { end };
        Self { start: if self.start < end { self.start } else { end }, end }
    }

    /// From the first of both to the last of both.
    pub fn joined(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What became of octets that were to be counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// They count now, all of them or some that did not count before.
    New,
    /// They counted already, or are none.
    Known,
    /// There is no room to remember them, so they do not count: what is not remembered is not claimed.
    NoRoom,
}

/// A set of octets, kept as at most `N` intervals, of which there are fewer than 256.
///
/// Intervals are sorted, and neither touch nor overlap. When as many as fit are kept, one that
/// touches none of them is not: the set never says that it has an octet that was not inserted, and
/// what it forgets keeps it from being whole until it is inserted again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Intervals<const N: usize> {
    kept: [Octets; N],
    count: u8,
}

impl<const N: usize> Intervals<N> {
    /// No octets.
    pub const NONE: Self = {
        assert!(N <= u8::MAX as usize);
        Self { kept: [Octets::NONE; N], count: 0 }
    };

    /// The intervals that it consists of, in order.
    pub fn as_slice(&self) -> &[Octets] {
        &self.kept[..usize::from(self.count)]
    }

    /// Adds octets.
    pub fn insert(&mut self, octets: Octets) -> Inserted {
        if octets.is_empty() {
            return Inserted::Known;
        }
        let kept = self.as_slice();
        let first = kept.partition_point(|one| one.end < octets.start);
        let behind = kept.partition_point(|one| one.start <= octets.end);
        match kept.get(first..behind) {
            Some([only]) if only.start <= octets.start && octets.end <= only.end => Inserted::Known,
            Some([from, ..]) => {
                let (from, to) = (*from, kept[behind - 1]);
                self.kept[first] = octets.joined(from).joined(to);
                self.kept.copy_within(behind.., first + 1);
                // There are never more than a byte counts.
                self.count -= u8::try_from(behind - first - 1).unwrap_or(self.count);
                Inserted::New
            }
            Some([]) | None => {
                if usize::from(self.count) == N {
                    return Inserted::NoRoom;
                }
                self.kept.copy_within(first..usize::from(self.count), first + 1);
                self.kept[first] = octets;
                self.count += 1;
                Inserted::New
            }
        }
    }

    /// Takes out what lies beyond `end`. How many intervals reached beyond it.
    pub fn cut(&mut self, end: u64) -> u16 {
        let mut cut = 0;
        while let Some(last) = self.as_slice().last().copied()
            && last.end > end
        {
            cut += 1;
            let place = usize::from(self.count) - 1;
            self.kept[place] = last.before(end);
            if !self.kept[place].is_empty() {
                break;
            }
            self.count -= 1;
        }
        cut
    }

    /// Whether it has all of these octets.
    pub fn has(&self, octets: Octets) -> bool {
        octets.is_empty()
            || self.as_slice().iter().any(|one| one.start <= octets.start && octets.end <= one.end)
    }

    /// The octets from the first one on that it has without a gap.
    pub fn front(&self) -> Octets {
        match self.as_slice() {
            [first, ..] if first.start == 0 => *first,
            _ => Octets::NONE,
        }
    }

    /// How many octets it has.
    pub fn len(&self) -> u64 {
        self.as_slice().iter().map(|one| one.len()).sum()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 16;

    /// Against a set of octets that is none of intervals, as long as there is room.
    #[test]
    fn what_was_inserted_is_known_in_any_order() {
        let mut seed: u64 = 7;
        let mut chance = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let index = |at: u64| usize::try_from(at).unwrap();
        for _ in 0..300 {
            let (mut set, mut plain) = (Intervals::<MANY>::NONE, [false; 80]);
            for _ in 0..30 {
                let start = chance(80);
                let octets = Octets { start, end: start + chance(81 - start) };
                let meant = &mut plain[index(octets.start)..index(octets.end)];
                let is_new = meant.contains(&false);
                match set.insert(octets) {
                    Inserted::NoRoom => assert_eq!(set.as_slice().len(), MANY),
                    inserted @ (Inserted::New | Inserted::Known) => {
                        meant.fill(true);
                        assert_eq!(inserted == Inserted::New, is_new);
                    }
                }
                if chance(8) == 0 {
                    let end = chance(81);
                    let reached = set.as_slice().iter().filter(|one| one.end > end).count();
                    assert_eq!(usize::from(set.cut(end)), reached);
                    plain[index(end)..].fill(false);
                }
                let front = plain.iter().take_while(|there| **there).count();
                assert_eq!(set.front().end, front as u64);
                assert_eq!(set.len(), plain.iter().filter(|there| **there).count() as u64);
                assert!(set.as_slice().windows(2).all(|two| two[0].end < two[1].start));
                for end in 0..=80 {
                    let all = plain[index(start.min(end))..index(end)].iter().all(|there| *there);
                    assert_eq!(set.has(Octets { start: start.min(end), end }), all);
                }
            }
        }
    }

    #[test]
    fn too_many_pieces_are_not_remembered() {
        let mut set = Intervals::<MANY>::NONE;
        let octets = |at: u64| Octets { start: 2 * at, end: 2 * at + 1 };
        for at in 1..=MANY as u64 {
            assert_eq!(set.insert(octets(at)), Inserted::New);
        }
        assert_eq!(set.insert(octets(40)), Inserted::NoRoom);
        let all = Octets { start: 0, end: 100 };
        assert_eq!(set.insert(all), Inserted::New, "what touches others needs no room");
        assert_eq!(set.as_slice(), [all]);
    }
}
