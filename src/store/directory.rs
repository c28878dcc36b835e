//! A table from fingerprints to small values, for identifiers that others mint.
//!
//! Entries end by time, hardly ever by removal: a finished transaction stays answerable for so long
//! and then its place is free. Time is counted in ticks, and a table is told how long they are: the
//! longer, the longer entries can live, and the longer they may outlive their end.
//!
//! The table is an array of buckets of 256 octets. A fingerprint has two buckets, chosen by its two
//! halves, and goes into the emptier one. A look-up reads the first line of both, where one octet
//! per entry rules out almost all that does not match.
//!
//! The load it is built for is four places taken of five: 32 octets per entry. With entries that
//! come and end at such a load two buckets of ten are both full about once in 150 insertions; then
//! one of the twenty entries in the way moves to its own other bucket, if that has a place.
//!
//! Every probe is bounded, and nothing that is still alive is ever pushed out unless that is asked
//! for: where the youngest entries matter most, the one that ends first is the one to lose.

use crate::store::{Fingerprint, prefetch};
use crate::time::Instant;

const PLACES: usize = 10;
/// Of five places four are meant to be taken.
const LOAD: (u64, u64) = (4, 5);
/// The shortest tick, and the usual one. Longer ones are this one doubled so many times, so that a
/// tick is a division by a constant and a shift.
const TICK_MS: u32 = 128;
const TICK_NS: u64 = TICK_MS as u64 * 1_000_000;
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
    /// How many times the shortest tick is doubled.
    tick_shift: u32,
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

    /// Allocates and touches room for `capacity` entries at the load it is built for, which live for
    /// half an hour at most: 16,383 ticks of 128 ms.
    pub fn new(capacity: u32, now: Instant) -> Self {
        Self::with_tick(capacity, TICK_MS, now)
    }

    /// The same with another tick, in milliseconds: an entry lives for 16,383 ticks at most, and is
    /// found for less than one longer than it was to live. With ticks of 2,048 ms that is nine hours.
    ///
    /// # Panics
    ///
    /// Panics if `tick_ms` is not 128 or a doubling of it.
    pub fn with_tick(capacity: u32, tick_ms: u32, now: Instant) -> Self {
        assert!(tick_ms.is_multiple_of(TICK_MS) && tick_ms.is_power_of_two());
        let tick_shift = (tick_ms / TICK_MS).trailing_zeros();
        let places = u64::from(capacity.max(1)) * LOAD.1 / LOAD.0;
        let buckets = places.div_ceil(PLACES as u64).max(2);
        let touched = Bucket { expiries: [1; PLACES], ..Bucket::EMPTY };
        let mut buckets: Box<[Bucket]> =
            core::iter::repeat_n(touched, usize::try_from(buckets).unwrap_or(usize::MAX)).collect();
        for bucket in &mut buckets {
            bucket.expiries = [0; PLACES];
        }
        let mut directory =
            Self { buckets, taken: 0, tick_shift, last_end: 0, round_tick: 0, sweep_next: 0 };
        directory.round_tick = directory.tick(now);
        directory
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
        let tick_now = self.tick(now);
        if tick_now > self.last_end {
            return None;
        }
        let place = self.find(fingerprint)?;
        let bucket = &self.buckets[place.bucket];
        is_alive(bucket.expiries[place.at], modulo(tick_now)).then(|| bucket.value(place.at))
    }

    /// Puts `value` under `fingerprint` until `end`, over what was there; an `end` beyond the longest
    /// life is brought forward.
    ///
    /// # Errors
    ///
    /// [`Full`] if everything in its way lives and nothing of it can move.
    pub fn put(
        &mut self,
        fingerprint: Fingerprint,
        value: u64,
        now: Instant,
        end: Instant,
    ) -> Result<(), Full> {
        assert!(end >= now);
        let tick_now = self.tick(now);
        self.catch_up(tick_now);
        let place =
            self.find(fingerprint).or_else(|| self.vacate(fingerprint, tick_now)).ok_or(Full)?;
        self.fill(place, fingerprint, value, tick_now, end);
        Ok(())
    }

    /// The same, but where everything in its way lives and nothing of it can move, that of it which
    /// ends first gives way, even to what ends before it. Whether something gave way.
    pub fn put_over(
        &mut self,
        fingerprint: Fingerprint,
        value: u64,
        now: Instant,
        end: Instant,
    ) -> bool {
        assert!(end >= now);
        let tick_now = self.tick(now);
        self.catch_up(tick_now);
        let place = self.find(fingerprint).or_else(|| self.vacate(fingerprint, tick_now));
        let gives_way = place.is_none();
        let place = place.unwrap_or_else(|| self.first_to_end(fingerprint, tick_now));
        self.fill(place, fingerprint, value, tick_now, end);
        gives_way
    }

    /// Takes out what is under `fingerprint`: its value, if it had not ended.
    pub fn remove(&mut self, fingerprint: Fingerprint, now: Instant) -> Option<u64> {
        let value = self.get(fingerprint, now)?;
        let place = self.find(fingerprint)?;
        self.buckets[place.bucket].tags[place.at] = 0;
        self.taken -= 1;
        Some(value)
    }

    #[inline(always)]
    fn fill(
        &mut self,
        place: Place,
        fingerprint: Fingerprint,
        value: u64,
        tick_now: u64,
        end: Instant,
    ) {
        assert!(value <= Self::VALUE_MAX);
        // It lives to the end of that tick, so that no entry ends early.
        let end = self.tick(end).min(tick_now + LIFE_TICKS_MAX);
        self.last_end = self.last_end.max(end);
        let bucket = &mut self.buckets[place.bucket];
        if bucket.tags[place.at] == 0 {
            self.taken += 1;
        }
        let [a, b, c, d, e, f, ..] = value.to_le_bytes();
        bucket.tags[place.at] = tag(fingerprint);
        bucket.expiries[place.at] = modulo(end);
        bucket.values[place.at] = [a, b, c, d, e, f];
        bucket.fingerprints[place.at] = fingerprint;
    }

    /// Frees places whose entries have ended, a bounded number per call, so that the ticks of
    /// old entries never come round again. Called every turn.
    pub fn sweep(&mut self, now: Instant) {
        let tick_now = self.tick(now);
        self.catch_up(tick_now);
        let count = self.buckets.len() as u64;
        let elapsed = tick_now.saturating_sub(self.round_tick);
        let due = (elapsed * count / SWEEP_TICKS).min(count);
        for _ in 0..due.saturating_sub(self.sweep_next as u64).min(SWEEP_BUCKETS_MAX) {
            self.free_ended(self.sweep_next, modulo(tick_now));
            self.sweep_next += 1;
        }
        if self.sweep_next == self.buckets.len() {
            self.sweep_next = 0;
            self.round_tick = tick_now;
        }
    }

    /// After a long time without turns, or with few: sweeps every bucket before a tick can wrap.
    fn catch_up(&mut self, tick_now: u64) {
        if tick_now.saturating_sub(self.round_tick) < BEHIND_TICKS {
            return;
        }
        if tick_now > self.last_end {
            self.buckets.iter_mut().for_each(|bucket| bucket.tags = [0; PLACES]);
            self.taken = 0;
        } else {
            for index in 0..self.buckets.len() {
                self.free_ended(index, modulo(tick_now));
            }
        }
        self.sweep_next = 0;
        self.round_tick = tick_now;
    }

    const fn tick(&self, at: Instant) -> u64 {
        (at.0 / TICK_NS).wrapping_shr(self.tick_shift)
    }

    fn choices(&self, fingerprint: Fingerprint) -> [usize; 2] {
        let [low, high] = fingerprint.0;
        let count = self.buckets.len();
        let first = scale(low, count);
        let second = scale(high, count);
        // Two different buckets, always: one choice would be no choice.
        [first, if second == first { (first + 1) % count } else { second }]
    }

    /// Part of its callers, each of which a packet waits for.
    #[inline(always)]
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
    #[inline(always)]
    fn vacate(&mut self, fingerprint: Fingerprint, tick_now: u64) -> Option<Place> {
        let choices = self.choices(fingerprint);
        for index in choices {
            self.free_ended(index, modulo(tick_now));
        }
        let [first, second] = choices;
        let emptier = self.buckets[first].free() >= self.buckets[second].free();
        let bucket = if emptier { first } else { second };
        match self.buckets[bucket].tags.iter().position(|tag| *tag == 0) {
            Some(at) => Some(Place { bucket, at }),
            None => choices.into_iter().find_map(|index| self.make_way(index, modulo(tick_now))),
        }
    }

    /// Moves one entry of a full bucket to its other bucket, if any of the ten can go.
    fn make_way(&mut self, index: usize, now: u16) -> Option<Place> {
        for at in 0..PLACES {
            let from = self.buckets[index];
            let fingerprint = from.fingerprints[at];
            let [first, second] = self.choices(fingerprint);
            let other = if first == index { second } else { first };
            self.free_ended(other, now);
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

    /// Of two buckets that are full of what lives, the entry that ends first.
    fn first_to_end(&self, fingerprint: Fingerprint, tick_now: u64) -> Place {
        let [first, second] = self.choices(fingerprint);
        let mut place = Place { bucket: first, at: 0 };
        let mut left = u16::MAX;
        for bucket in [first, second] {
            for (at, expiry) in self.buckets[bucket].expiries.iter().enumerate() {
                let this = expiry.wrapping_sub(modulo(tick_now));
                if this < left {
                    left = this;
                    place = Place { bucket, at };
                }
            }
        }
        place
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
const fn modulo(tick: u64) -> u16 {
    tick as u16
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
mod tests;
