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
//! One thread writes, and any number of others read without waiting for it: [`Reader`].
//!
//! Every probe is bounded, and nothing that is still alive is ever pushed out unless that is asked
//! for: where the youngest entries matter most, the one that ends first is the one to lose.

mod bucket;
mod reader;

pub use self::reader::{Reader, Unsettled};

use self::bucket::{Bucket, Entry, PLACES, Places, is_alive};
use crate::store::Fingerprint;
use crate::store::sync::{Arc, AtomicU64, Relaxed, Release};
use crate::time::Instant;

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

/// What the writer and the readers share.
#[derive(Debug)]
struct Table {
    buckets: Box<[Bucket]>,
    /// How many times the shortest tick is doubled.
    tick_shift: u32,
    /// The tick at whose end the last entry ends. What ended so long ago that its tick has come
    /// round again is cleared before this rises past it.
    last_end: AtomicU64,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Directory {
    table: Arc<Table>,
    taken: u64,
    /// When this round of sweeping began, and the bucket that is next in it.
    round_tick: u64,
    sweep_next: usize,
    /// The latest tick in which a place was freed because its entry had ended before; 0 before the
    /// first.
    swept_tick: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bucket: usize,
    at: usize,
}

impl Table {
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

    fn prefetch(&self, fingerprint: Fingerprint) {
        for index in self.choices(fingerprint) {
            self.buckets[index].prefetch();
        }
    }
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
        let buckets: Box<[Bucket]> = (0..buckets).map(|_| Bucket::new()).collect();
        buckets.iter().for_each(Bucket::settle);
        let table = Arc::new(Table { buckets, tick_shift, last_end: AtomicU64::new(0) });
        let tick_now = table.tick(now);
        Self { table, taken: 0, round_tick: tick_now, sweep_next: 0, swept_tick: 0 }
    }

    /// For another thread: finds what is put here.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.table))
    }

    /// Octets of the whole table.
    pub fn size(&self) -> usize {
        size_of_val(&*self.table.buckets)
    }

    /// Places taken, by entries that live or whose end nobody has noticed.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// The latest moment as of which places were freed, and at first when this table was made: what
    /// ended before it may be forgotten. What was put here to end then or later, and was not taken
    /// out or pushed out, is found as of its end: where it is not, it never was here.
    pub fn swept_to(&self) -> Instant {
        Instant((self.swept_tick << self.table.tick_shift) * TICK_NS)
    }

    /// Starts to bring both buckets of `fingerprint` into the cache.
    pub fn prefetch(&self, fingerprint: Fingerprint) {
        self.table.prefetch(fingerprint);
    }

    /// The value under `fingerprint`, if it has not ended.
    pub fn get(&self, fingerprint: Fingerprint, now: Instant) -> Option<u64> {
        let tick_now = self.table.tick(now);
        if tick_now > self.table.last_end.load(Relaxed) {
            return None;
        }
        let place = self.find(fingerprint)?;
        let bucket = &self.table.buckets[place.bucket];
        is_alive(bucket.expiry(place.at), modulo(tick_now)).then(|| bucket.value(place.at))
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
        let tick_now = self.table.tick(now);
        self.catch_up(tick_now);
        let expiry = self.expiry(value, tick_now, end);
        if let Some(place) = self.find(fingerprint) {
            self.table.buckets[place.bucket].renew(place.at, value, expiry);
            return Ok(());
        }
        let place = self.vacate(fingerprint, tick_now).ok_or(Full)?;
        self.fill(place, &Entry { fingerprint, value, expiry });
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
        let tick_now = self.table.tick(now);
        self.catch_up(tick_now);
        let expiry = self.expiry(value, tick_now, end);
        if let Some(place) = self.find(fingerprint) {
            self.table.buckets[place.bucket].renew(place.at, value, expiry);
            return false;
        }
        let place = self.vacate(fingerprint, tick_now);
        let gives_way = place.is_none();
        let place = place.unwrap_or_else(|| {
            let place = self.first_to_end(fingerprint, tick_now);
            self.clear(place);
            place
        });
        self.fill(place, &Entry { fingerprint, value, expiry });
        gives_way
    }

    /// Takes out what is under `fingerprint`: its value, if it had not ended.
    pub fn remove(&mut self, fingerprint: Fingerprint, now: Instant) -> Option<u64> {
        let value = self.get(fingerprint, now)?;
        let place = self.find(fingerprint)?;
        self.clear(place);
        Some(value)
    }

    /// The tick at whose end an entry is to end, so that none ends early, modulo 2^16.
    #[inline(always)]
    fn expiry(&self, value: u64, tick_now: u64, end: Instant) -> u16 {
        assert!(value <= Self::VALUE_MAX);
        let end = self.table.tick(end).min(tick_now + LIFE_TICKS_MAX);
        if end > self.table.last_end.load(Relaxed) {
            // Who sees this has also seen what was cleared before: an end may come round again.
            self.table.last_end.store(end, Release);
        }
        modulo(end)
    }

    /// Puts `entry` into a free place.
    #[inline(always)]
    fn fill(&mut self, place: Place, entry: &Entry) {
        self.table.buckets[place.bucket].fill(place.at, entry);
        self.taken += 1;
    }

    fn clear(&mut self, place: Place) {
        self.table.buckets[place.bucket].clear(Places::one(place.at));
        self.taken -= 1;
    }

    /// Frees places whose entries have ended, a bounded number per call, so that the ticks of
    /// old entries never come round again. Called every turn.
    pub fn sweep(&mut self, now: Instant) {
        let tick_now = self.table.tick(now);
        self.catch_up(tick_now);
        let count = self.table.buckets.len() as u64;
        let elapsed = tick_now.saturating_sub(self.round_tick);
        let due = (elapsed * count / SWEEP_TICKS).min(count);
        for _ in 0..due.saturating_sub(self.sweep_next as u64).min(SWEEP_BUCKETS_MAX) {
            self.free_ended(self.sweep_next, tick_now);
            self.sweep_next += 1;
        }
        if self.sweep_next == self.table.buckets.len() {
            self.sweep_next = 0;
            self.round_tick = tick_now;
        }
    }

    /// After a long time without turns, or with few: sweeps every bucket before a tick can wrap.
    fn catch_up(&mut self, tick_now: u64) {
        if tick_now.saturating_sub(self.round_tick) < BEHIND_TICKS {
            return;
        }
        let all_ended = tick_now > self.table.last_end.load(Relaxed);
        for index in 0..self.table.buckets.len() {
            if all_ended {
                self.free(index, self.table.buckets[index].taken(), tick_now);
            } else {
                self.free_ended(index, tick_now);
            }
        }
        self.sweep_next = 0;
        self.round_tick = tick_now;
    }

    /// Part of its callers, each of which a packet waits for.
    #[inline(always)]
    fn find(&self, fingerprint: Fingerprint) -> Option<Place> {
        for bucket in self.table.choices(fingerprint) {
            if let Some(at) = self.table.buckets[bucket].find(fingerprint) {
                return Some(Place { bucket, at });
            }
        }
        None
    }

    /// A free place in the emptier of the two buckets, once what has ended there is gone: where
    /// it was left the choice would be between two full ones, and no choice.
    #[inline(always)]
    fn vacate(&mut self, fingerprint: Fingerprint, tick_now: u64) -> Option<Place> {
        let choices = self.table.choices(fingerprint);
        for index in choices {
            self.free_ended(index, tick_now);
        }
        let [first, second] = choices;
        let [of_first, of_second] = choices.map(|index| self.table.buckets[index].free());
        let (bucket, free) = if of_first.count() >= of_second.count() {
            (first, of_first)
        } else {
            (second, of_second)
        };
        match free.first() {
            Some(at) => Some(Place { bucket, at }),
            None => choices.into_iter().find_map(|index| self.make_way(index, tick_now)),
        }
    }

    /// Moves one entry of a full bucket to its other bucket, if any of the ten can go.
    fn make_way(&mut self, index: usize, tick_now: u64) -> Option<Place> {
        for at in 0..PLACES {
            let entry = self.table.buckets[index].entry(at);
            let [first, second] = self.table.choices(entry.fingerprint);
            let other = if first == index { second } else { first };
            self.free_ended(other, tick_now);
            let to = &self.table.buckets[other];
            if let Some(free) = to.free().first() {
                // First there, then no longer here, so that a reader can tell a move from nothing.
                to.fill(free, &entry);
                self.table.buckets[index].clear(Places::one(at));
                return Some(Place { bucket: index, at });
            }
        }
        None
    }

    /// Of two buckets that are full of what lives, the entry that ends first.
    fn first_to_end(&self, fingerprint: Fingerprint, tick_now: u64) -> Place {
        let [first, second] = self.table.choices(fingerprint);
        let mut place = Place { bucket: first, at: 0 };
        let mut left = u16::MAX;
        for bucket in [first, second] {
            for at in 0..PLACES {
                let expiry = self.table.buckets[bucket].expiry(at);
                let this = expiry.wrapping_sub(modulo(tick_now));
                if this < left {
                    left = this;
                    place = Place { bucket, at };
                }
            }
        }
        place
    }

    #[inline(always)]
    fn free_ended(&mut self, index: usize, tick_now: u64) {
        let ended = self.table.buckets[index].ended(modulo(tick_now));
        if !ended.is_empty() {
            self.free(index, ended, tick_now);
        }
    }

    /// Frees places whose entries ended before `tick_now`.
    fn free(&mut self, index: usize, ended: Places, tick_now: u64) {
        if ended.is_empty() {
            return;
        }
        self.table.buckets[index].clear(ended);
        self.taken -= ended.count();
        self.swept_tick = self.swept_tick.max(tick_now);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ticks are compared modulo 2^16")]
const fn modulo(tick: u64) -> u16 {
    tick as u16
}

#[expect(clippy::cast_possible_truncation, reason = "the product is shifted below `count`")]
const fn scale(half: u64, count: usize) -> usize {
    ((half as u128 * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
