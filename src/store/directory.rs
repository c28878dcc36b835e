//! A table from fingerprints to small values, for identifiers that others mint.
//!
//! Entries end by time, not by removal: a finished transaction stays answerable for so long and
//! then its place is free. The table is an array of buckets of 256 octets. A fingerprint has two
//! buckets, chosen by its two halves, and goes into the emptier one. A look-up reads the first line
//! of both, where one octet per entry rules out almost all that does not match.
//!
//! The load it is built for is four places taken of five: 32 octets per entry. With entries that
//! come and end at such a load two buckets of ten are both full about once in 150 insertions; then
//! one of the twenty entries in the way moves to its own other bucket, if that has a place.
//!
//! Every probe is bounded, and nothing that is still alive is ever pushed out.

use crate::store::{Fingerprint, prefetch};
use crate::time::Instant;

const PLACES: usize = 10;
/// Of five places four are meant to be taken.
const LOAD: (u64, u64) = (4, 5);
const TICK_NS: u64 = 128 * 1_000_000;
/// Within this many ticks every bucket is swept once, long before a 16-bit tick wraps.
const SWEEP_TICKS: u64 = 4_096;
const SWEEP_BUCKETS_MAX: u64 = 32;
/// Who has not swept every bucket within this many ticks, for want of turns, does it at once.
const BEHIND_TICKS: u64 = 2 * SWEEP_TICKS;
/// No entry lives longer.
const LIFE_TICKS_MAX: u64 = (1 << 14) - 1;

// What ended in the round before the last is seen to have ended, whenever the next sweep comes:
// a pause beyond that is longer than any life, and then everything has ended.
const _: () = assert!(2 * BEHIND_TICKS + LIFE_TICKS_MAX < 1 << 15);

/// The two buckets of a fingerprint hold no free place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// Ten entries of 16 octets of fingerprint, 6 of value, 2 of expiry and one of tag.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(256))]
struct Bucket {
    /// One octet of each fingerprint, 0 where the place is free.
    tags: [u8; PLACES],
    /// The tick at whose end an entry ends, modulo 2^16: beside the tags, so that what has ended
    /// is seen without looking at the entries.
    expiries: [u16; PLACES],
    values: [[u8; 6]; PLACES],
    fingerprints: [Fingerprint; PLACES],
}

impl Bucket {
    const EMPTY: Self = Self {
        tags: [0; PLACES],
        expiries: [0; PLACES],
        values: [[0; 6]; PLACES],
        fingerprints: [Fingerprint([0, 0]); PLACES],
    };

    fn value(&self, at: usize) -> u64 {
        let [a, b, c, d, e, f] = self.values[at];
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    fn free(&self) -> usize {
        self.tags.iter().filter(|tag| **tag == 0).count()
    }
}

const _: () = assert!(size_of::<Bucket>() == 256);

/// See the head of this file.
#[derive(Debug)]
pub struct Directory {
    buckets: Box<[Bucket]>,
    taken: u64,
    /// The tick at whose end the last entry ends.
    last_end: u64,
    /// When this round of sweeping began, and the bucket that is next in it.
    round_tick: u64,
    sweep_next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bucket: usize,
    at: usize,
}

impl Directory {
    /// The largest value an entry can hold.
    pub const VALUE_MAX: u64 = (1 << 48) - 1;

    /// Allocates and touches room for `capacity` entries at the load it is built for.
    pub fn new(capacity: u32, now: Instant) -> Self {
        let places = u64::from(capacity.max(1)) * LOAD.1 / LOAD.0;
        let buckets = places.div_ceil(PLACES as u64).max(2);
        let touched = Bucket { expiries: [1; PLACES], ..Bucket::EMPTY };
        let mut buckets: Box<[Bucket]> =
            core::iter::repeat_n(touched, usize::try_from(buckets).unwrap_or(usize::MAX)).collect();
        for bucket in &mut buckets {
            bucket.expiries = [0; PLACES];
        }
        Self { buckets, taken: 0, last_end: 0, round_tick: now.0 / TICK_NS, sweep_next: 0 }
    }

    /// Octets of the whole table.
    pub fn size(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Places taken, by entries that live or whose end nobody has noticed.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Starts to bring both buckets of `fingerprint` into the cache.
    pub fn prefetch(&self, fingerprint: Fingerprint) {
        for bucket in self.choices(fingerprint) {
            prefetch(&self.buckets[bucket].tags);
        }
    }

    /// The value under `fingerprint`, if it has not ended.
    pub fn get(&self, fingerprint: Fingerprint, now: Instant) -> Option<u64> {
        if now.0 / TICK_NS > self.last_end {
            return None;
        }
        let place = self.find(fingerprint)?;
        let bucket = &self.buckets[place.bucket];
        is_alive(bucket.expiries[place.at], tick(now)).then(|| bucket.value(place.at))
    }

    /// Puts `value` under `fingerprint` until `end`, over what was there; an `end` beyond half an hour
    /// is brought forward.
    pub fn put(
        &mut self,
        fingerprint: Fingerprint,
        value: u64,
        now: Instant,
        end: Instant,
    ) -> Result<(), Full> {
        assert!(value <= Self::VALUE_MAX);
        assert!(end >= now);
        self.catch_up(now);
        let place = self.find(fingerprint).or_else(|| self.vacate(fingerprint, now)).ok_or(Full)?;
        // The tick of the end is rounded up, so that no entry ends early.
        let end = end.0.div_ceil(TICK_NS).min(now.0 / TICK_NS + LIFE_TICKS_MAX);
        self.last_end = self.last_end.max(end);
        let bucket = &mut self.buckets[place.bucket];
        if bucket.tags[place.at] == 0 {
            self.taken += 1;
        }
        let [a, b, c, d, e, f, ..] = value.to_le_bytes();
        bucket.tags[place.at] = tag(fingerprint);
        bucket.expiries[place.at] = tick(Instant(end * TICK_NS));
        bucket.values[place.at] = [a, b, c, d, e, f];
        bucket.fingerprints[place.at] = fingerprint;
        Ok(())
    }

    /// Frees places whose entries have ended, a bounded number per call, so that the ticks of
    /// old entries never come round again. Called every turn.
    pub fn sweep(&mut self, now: Instant) {
        self.catch_up(now);
        let tick_now = now.0 / TICK_NS;
        let count = self.buckets.len() as u64;
        let elapsed = tick_now.saturating_sub(self.round_tick);
        let due = (elapsed * count / SWEEP_TICKS).min(count);
        for _ in 0..due.saturating_sub(self.sweep_next as u64).min(SWEEP_BUCKETS_MAX) {
            self.free_ended(self.sweep_next, tick(now));
            self.sweep_next += 1;
        }
        if self.sweep_next == self.buckets.len() {
            self.sweep_next = 0;
            self.round_tick = tick_now;
        }
    }

    /// After a long time without turns, or with few: sweeps every bucket before a tick can wrap.
    fn catch_up(&mut self, now: Instant) {
        let tick_now = now.0 / TICK_NS;
        if tick_now.saturating_sub(self.round_tick) < BEHIND_TICKS {
            return;
        }
        if tick_now > self.last_end {
            self.buckets.iter_mut().for_each(|bucket| bucket.tags = [0; PLACES]);
            self.taken = 0;
        } else {
            for index in 0..self.buckets.len() {
                self.free_ended(index, tick(now));
            }
        }
        self.sweep_next = 0;
        self.round_tick = tick_now;
    }

    fn choices(&self, fingerprint: Fingerprint) -> [usize; 2] {
        let [low, high] = fingerprint.0;
        let count = self.buckets.len();
        let first = scale(low, count);
        let second = scale(high, count);
        // Two different buckets, always: one choice would be no choice.
        [first, if second == first { (first + 1) % count } else { second }]
    }

    fn find(&self, fingerprint: Fingerprint) -> Option<Place> {
        let tag = tag(fingerprint);
        for index in self.choices(fingerprint) {
            let bucket = &self.buckets[index];
            for at in 0..PLACES {
                if bucket.tags[at] == tag && bucket.fingerprints[at] == fingerprint {
                    return Some(Place { bucket: index, at });
                }
            }
        }
        None
    }

    /// A free place in the emptier of the two buckets, once what has ended there is gone: where
    /// it was left the choice would be between two full ones, and no choice.
    fn vacate(&mut self, fingerprint: Fingerprint, now: Instant) -> Option<Place> {
        let choices = self.choices(fingerprint);
        for index in choices {
            self.free_ended(index, tick(now));
        }
        let [first, second] = choices;
        let emptier = self.buckets[first].free() >= self.buckets[second].free();
        let bucket = if emptier { first } else { second };
        match self.buckets[bucket].tags.iter().position(|tag| *tag == 0) {
            Some(at) => Some(Place { bucket, at }),
            None => choices.into_iter().find_map(|index| self.make_way(index, now)),
        }
    }

    /// Moves one entry of a full bucket to its other bucket, if any of the ten can go.
    fn make_way(&mut self, index: usize, now: Instant) -> Option<Place> {
        for at in 0..PLACES {
            let from = self.buckets[index];
            let fingerprint = from.fingerprints[at];
            let [first, second] = self.choices(fingerprint);
            let other = if first == index { second } else { first };
            self.free_ended(other, tick(now));
            let to = &mut self.buckets[other];
            if let Some(free) = to.tags.iter().position(|tag| *tag == 0) {
                to.expiries[free] = from.expiries[at];
                to.values[free] = from.values[at];
                to.fingerprints[free] = fingerprint;
                to.tags[free] = from.tags[at];
                self.buckets[index].tags[at] = 0;
                return Some(Place { bucket: index, at });
            }
        }
        None
    }

    fn free_ended(&mut self, index: usize, now: u16) {
        let Bucket { tags, expiries, .. } = &mut self.buckets[index];
        for (tag, expiry) in tags.iter_mut().zip(expiries) {
            if *tag != 0 && !is_alive(*expiry, now) {
                *tag = 0;
                self.taken -= 1;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ticks are compared modulo 2^16")]
const fn tick(at: Instant) -> u16 {
    (at.0 / TICK_NS) as u16
}

/// Whether `expiry` is not behind `now`, modulo 2^16.
const fn is_alive(expiry: u16, now: u16) -> bool {
    expiry.wrapping_sub(now) < 1 << 15
}

#[expect(clippy::cast_possible_truncation, reason = "the product is shifted below `count`")]
const fn scale(half: u64, count: usize) -> usize {
    ((half as u128 * count as u128) >> 64) as usize
}

/// An octet that the choice of buckets does not depend on: both choices use the highest bits.
#[expect(clippy::cast_possible_truncation, reason = "an octet is what is wanted")]
const fn tag(fingerprint: Fingerprint) -> u8 {
    let octet = fingerprint.0[0] as u8;
    if octet == 0 { 1 } else { octet }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HashKey;

    const START: Instant = Instant(1_000_000_000_000);

    fn fingerprint(n: u64) -> Fingerprint {
        HashKey([3, 4]).of_words(&[n])
    }

    #[test]
    fn what_was_put_is_found_until_its_end_and_not_after() {
        let mut directory = Directory::new(100, START);
        let end = START.plus_ms(32_000);
        directory.put(fingerprint(1), 77, START, end).unwrap();
        assert_eq!(directory.get(fingerprint(1), START), Some(77));
        assert_eq!(directory.get(fingerprint(2), START), None);
        assert_eq!(directory.get(fingerprint(1), end), Some(77));
        assert_eq!(directory.get(fingerprint(1), end.plus_ms(1_100)), None);
    }

    #[test]
    fn a_later_value_replaces_the_earlier() {
        let mut directory = Directory::new(100, START);
        directory.put(fingerprint(1), 1, START, START.plus_ms(1_000)).unwrap();
        directory.put(fingerprint(1), 2, START, START.plus_ms(9_000)).unwrap();
        assert_eq!(directory.get(fingerprint(1), START.plus_ms(5_000)), Some(2));
        assert_eq!(directory.taken(), 1);
    }

    #[test]
    fn the_stated_capacity_fits_into_32_octets_an_entry() {
        let capacity = 200_000;
        let mut directory = Directory::new(capacity, START);
        assert!(directory.size() <= 32 * (capacity as usize + 8), "{}", directory.size());
        let end = START.plus_ms(32_000);
        let refused = (0..u64::from(capacity))
            .filter(|n| directory.put(fingerprint(*n), *n, START, end).is_err())
            .count();
        assert!(refused == 0, "{refused} of {capacity} refused");
        let found = (0..u64::from(capacity))
            .filter(|n| directory.get(fingerprint(*n), end) == Some(*n))
            .count();
        assert_eq!(found + refused, capacity as usize);
    }

    /// Entries come and end at the stated rate for a long time: what has ended must not be in
    /// the way of what comes.
    #[test]
    fn the_stated_rate_can_go_on() {
        let (rate, life_ms) = (5_000_u64, 32_000);
        let mut directory = Directory::new(160_000, START);
        let refused = (0..120 * rate)
            .filter(|n| {
                let now = Instant(START.0 + n * 1_000_000_000 / rate);
                directory.sweep(now);
                directory.put(fingerprint(*n), *n, now, now.plus_ms(life_ms)).is_err()
            })
            .count();
        assert!(refused == 0, "{refused} of {} refused", 120 * rate);
    }

    #[test]
    fn a_flood_is_refused_and_pushes_nothing_out() {
        let mut directory = Directory::new(1_000, START);
        let end = START.plus_ms(32_000);
        let mut kept = Vec::new();
        for n in 0..10_000_u64 {
            if directory.put(fingerprint(n), n, START, end).is_ok() {
                kept.push(n);
            }
        }
        assert!((1_000..1_400).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().all(|n| directory.get(fingerprint(*n), START) == Some(*n)));
        // When they have ended their places are taken again.
        let later = end.plus_ms(2_000);
        for n in 20_000..20_900_u64 {
            directory.put(fingerprint(n), n, later, later.plus_ms(32_000)).unwrap();
        }
    }

    #[test]
    fn old_entries_do_not_come_back_when_ticks_wrap() {
        let mut directory = Directory::new(1_000, START);
        directory.put(fingerprint(1), 1, START, START.plus_ms(32_000)).unwrap();
        let mut now = START;
        // Ten hours, a turn every second: more than one round of 16-bit ticks.
        for _ in 0..36_000 {
            now = now.plus_ms(1_000);
            directory.sweep(now);
            if now.since(START) > 34_000_000_000 {
                assert_eq!(directory.get(fingerprint(1), now), None);
            }
        }
        assert_eq!(directory.taken(), 0);
    }

    #[test]
    fn few_turns_and_long_pauses_free_every_place_as_well() {
        // A turn now and then is too little to sweep a bucket in its time.
        for pause_s in [600, 3_000, 9_000, 17_000, 20_000, 33_000, 40_000, 70_000] {
            let mut directory = Directory::new(10_000, START);
            let mut now = START;
            let mut put = Vec::new();
            for n in 0..40 {
                for m in 0..200 {
                    let fingerprint = fingerprint(n * 1_000 + m);
                    directory.put(fingerprint, 1, now, now.plus_ms(32_000)).unwrap();
                    put.push(fingerprint);
                }
                now = now.plus_ms(pause_s * 1_000);
                assert!(put.iter().all(|one| directory.get(*one, now).is_none()), "{pause_s} s");
                directory.sweep(now);
            }
            assert!(directory.taken() <= 10_000, "{pause_s} s: {} taken", directory.taken());
            now = now.plus_ms(6_000_000);
            directory.sweep(now);
            assert_eq!(directory.taken(), 0);
        }
    }

    #[test]
    fn a_life_longer_than_ticks_can_tell_is_shortened_and_not_lost() {
        let mut directory = Directory::new(100, START);
        directory.put(fingerprint(1), 7, START, START.plus_ms(40_000_000)).unwrap();
        assert_eq!(directory.get(fingerprint(1), START), Some(7));
        assert_eq!(directory.get(fingerprint(1), START.plus_ms(2_000_000)), Some(7));
        assert_eq!(directory.get(fingerprint(1), START.plus_ms(9_000_000)), None);
    }

    #[test]
    fn behaves_like_a_map_with_ends() {
        use std::collections::BTreeMap;
        let mut directory = Directory::new(4_000, START);
        let mut model: BTreeMap<u64, (u64, Instant)> = BTreeMap::new();
        let mut now = START;
        let mut word = 1_u64;
        for _ in 0..100_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now = Instant(now.0 + (word >> 40) % 40_000_000);
            let n = (word >> 20) % 3_000;
            if word >> 63 == 0 {
                let end = now.plus_ms(8_000);
                if directory.put(fingerprint(n), word >> 20, now, end).is_ok() {
                    model.insert(n, (word >> 20, end));
                }
            }
            let found = directory.get(fingerprint(n), now);
            match model.get(&n) {
                Some((value, end)) if now <= *end => assert_eq!(found, Some(*value)),
                Some((_, end)) if now > end.plus_ms(1_100) => assert_eq!(found, None),
                Some((value, _)) => assert!(found.is_none() || found == Some(*value)),
                None => assert_eq!(found, None),
            }
            directory.sweep(now);
        }
    }
}
