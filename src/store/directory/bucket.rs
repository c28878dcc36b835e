//! One bucket of a directory: ten places, which one thread writes and any thread reads.
//!
//! | octets | what |
//! | --- | --- |
//! | 0..10 | a tag per place: one octet of its fingerprint, 0 where the place is free |
//! | 10..16 | the version of the bucket |
//! | 16..36 | expiries, of places 0, 2, 4, 6, then 1, 3, 5, 7, then 8 and 9 |
//! | 36..96 | the values: first 32 bits of each, then the 16 above them |
//! | 96..256 | the fingerprints |
//!
//! What rules entries out or shows that they have ended is in the first of four cache lines. It is
//! read a word at a time, and all places of the word are compared at once; the expiries are in that
//! order so that their highest bits lie where those of the tags do.
//!
//! Others read while the writer writes, after the manner of a sequence lock. While a place is being
//! filled the version is odd, and afterwards it is another one: who finds the same even version
//! before and after reading has read what was there together. A tag alone is cleared without that,
//! since what lies behind it stays whole until the place is filled again.

use crate::store::sync::{Acquire, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release, fence};
use crate::store::{Fingerprint, prefetch};

/// Places of a bucket.
pub(super) const PLACES: usize = 10;
/// Places whose tags are in the word of their own; the rest are beside the version.
const TAGS_FIRST: usize = 8;
const LAST: u64 = 0x8080;
const EACH_OCTET: u64 = 0x0101_0101_0101_0101;
const EACH_LANE: u64 = 0x0001_0001_0001_0001;
/// One step of the version, which is above two tags. Odd, this bit is set.
const VERSION: u64 = 1 << 16;

/// Some places of a bucket: the highest bit of an octet each, as tags are placed in two words.
/// Iterates from the lowest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Places {
    first: u64,
    last: u64,
}

impl Places {
    pub(super) const fn one(at: usize) -> Self {
        if at < TAGS_FIRST {
            Self { first: 0x80 << (8 * at), last: 0 }
        } else {
            Self { first: 0, last: 0x80 << (8 * (at - TAGS_FIRST)) }
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.first | self.last == 0
    }

    pub(super) const fn count(self) -> u64 {
        // The product adds up all octets in the highest.
        ((self.first >> 7) + (self.last >> 7)).wrapping_mul(EACH_OCTET) >> 56
    }

    pub(super) const fn first(self) -> Option<usize> {
        if self.first != 0 {
            Some(self.first.trailing_zeros() as usize / 8)
        } else if self.last != 0 {
            Some(TAGS_FIRST + self.last.trailing_zeros() as usize / 8)
        } else {
            None
        }
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let first = self.first()?;
        if self.first != 0 {
            self.first &= self.first - 1;
        } else {
            self.last &= self.last - 1;
        }
        Some(first)
    }
}

/// What a place holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    pub(super) value: u64,
    /// The tick at whose end it ends, modulo 2^16.
    pub(super) expiry: u16,
}

/// What another thread saw in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// The value and the expiry under the fingerprint.
    Found(u64, u16),
    /// It is not in here as long as the version is this one.
    Nothing(Version),
    /// The writer was at work.
    Torn,
}

/// Which state of a bucket it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Version(u64);

impl Version {
    const fn of(tags_version: u64) -> Self {
        Self(tags_version / VERSION)
    }

    const fn is_odd(self) -> bool {
        self.0 % 2 == 1
    }
}

/// See the head of this file.
#[derive(Debug)]
#[repr(C, align(256))]
pub(super) struct Bucket {
    tags: AtomicU64,
    tags_version: AtomicU64,
    expiries: [AtomicU64; 2],
    expiries_last: AtomicU32,
    values_low: [AtomicU32; PLACES],
    values_high: [AtomicU16; PLACES],
    fingerprints: [[AtomicU64; 2]; PLACES],
}

impl Bucket {
    /// A bucket without entries, whose memory is not all zero until [`Bucket::settle`].
    pub(super) fn new() -> Self {
        Self {
            tags: AtomicU64::new(0),
            tags_version: AtomicU64::new(0),
            expiries: [AtomicU64::new(1), AtomicU64::new(1)],
            expiries_last: AtomicU32::new(1),
            values_low: core::array::from_fn(|_| AtomicU32::new(0)),
            values_high: core::array::from_fn(|_| AtomicU16::new(0)),
            fingerprints: core::array::from_fn(|_| [AtomicU64::new(0), AtomicU64::new(0)]),
        }
    }

    /// Makes the rest of a new bucket zero.
    pub(super) fn settle(&self) {
        self.expiries.iter().for_each(|word| word.store(0, Relaxed));
        self.expiries_last.store(0, Relaxed);
    }

    /// Starts to bring the line that a look-up reads first into the cache.
    pub(super) fn prefetch(&self) {
        prefetch(&self.tags);
    }

    /// What another thread finds under `fingerprint`, whatever the writer does meanwhile.
    pub(super) fn look(&self, fingerprint: Fingerprint) -> Look {
        let before = self.tags_version.load(Acquire);
        let version = Version::of(before);
        if version.is_odd() {
            return Look::Torn;
        }
        let mut look = Look::Nothing(version);
        for at in equal(self.tags.load(Relaxed), before, tag(fingerprint)) {
            if self.fingerprint(at) == fingerprint {
                look = Look::Found(self.value(at), self.expiry(at));
                break;
            }
        }
        // Whatever was read of a later filling, its odd version is seen below.
        fence(Acquire);
        if self.version() == version { look } else { Look::Torn }
    }

    /// The version by now; an acquire fence orders it after what was read.
    pub(super) fn version(&self) -> Version {
        Version::of(self.tags_version.load(Relaxed))
    }

    /// The place of `fingerprint`. For the writer, like all that follows.
    #[inline(always)]
    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<usize> {
        self.equal(tag(fingerprint)).find(|at| self.fingerprint(*at) == fingerprint)
    }

    /// The places that are free.
    #[inline(always)]
    pub(super) fn free(&self) -> Places {
        self.equal(0)
    }

    /// The places that are not.
    #[inline(always)]
    pub(super) fn taken(&self) -> Places {
        let Places { first, last } = self.free();
        Places { first: first ^ EACH_OCTET << 7, last: last ^ LAST }
    }

    /// The places taken by what has ended.
    #[inline(always)]
    pub(super) fn ended(&self, now: u16) -> Places {
        let [even, odd] = &self.expiries;
        let (even, odd) = (behind(even.load(Relaxed), now), behind(odd.load(Relaxed), now));
        let last = behind(u64::from(self.expiries_last.load(Relaxed)), now);
        let taken = self.taken();
        Places {
            first: (even >> 8 | odd) & taken.first,
            last: (last >> 8 | last >> 16) & taken.last,
        }
    }

    /// Puts `entry` into the free place `at`.
    #[inline(always)]
    pub(super) fn fill(&self, at: usize, entry: &Entry) {
        let tag = u64::from(tag(entry.fingerprint));
        let before = self.tags_version.load(Relaxed);
        self.begin(before);
        let [low, high] = entry.fingerprint.0;
        let [to_low, to_high] = &self.fingerprints[at];
        to_low.store(low, Relaxed);
        to_high.store(high, Relaxed);
        self.set(at, entry.value, entry.expiry);
        if at < TAGS_FIRST {
            self.tags.store(self.tags.load(Relaxed) | tag << (8 * at), Relaxed);
            self.end(before);
        } else {
            self.end(before | tag << (8 * (at - TAGS_FIRST)));
        }
    }

    /// Gives what is in the place `at` another value and end.
    #[inline(always)]
    pub(super) fn renew(&self, at: usize, value: u64, expiry: u16) {
        let before = self.tags_version.load(Relaxed);
        self.begin(before);
        self.set(at, value, expiry);
        self.end(before);
    }

    #[inline(always)]
    fn begin(&self, tags_version: u64) {
        self.tags_version.store(tags_version.wrapping_add(VERSION), Relaxed);
        // Who sees any of the stores that follow sees the odd version.
        fence(Release);
    }

    #[inline(always)]
    fn end(&self, tags_version: u64) {
        // Who sees the even version sees all stores before it.
        self.tags_version.store(tags_version.wrapping_add(2 * VERSION), Release);
    }

    /// Frees `places`. Who sees that sees what was done before it elsewhere.
    pub(super) fn clear(&self, places: Places) {
        for at in places {
            if at < TAGS_FIRST {
                self.tags.store(with_octet(self.tags.load(Relaxed), at, 0), Release);
            } else {
                let tags_version = self.tags_version.load(Relaxed);
                self.tags_version.store(with_octet(tags_version, at - TAGS_FIRST, 0), Release);
            }
        }
    }

    pub(super) fn entry(&self, at: usize) -> Entry {
        Entry { fingerprint: self.fingerprint(at), value: self.value(at), expiry: self.expiry(at) }
    }

    pub(super) fn value(&self, at: usize) -> u64 {
        let high = self.values_high[at].load(Relaxed);
        u64::from(self.values_low[at].load(Relaxed)) | u64::from(high) << 32
    }

    pub(super) fn expiry(&self, at: usize) -> u16 {
        if at < TAGS_FIRST {
            lane(self.expiries[at % 2].load(Relaxed), at / 2)
        } else {
            lane(u64::from(self.expiries_last.load(Relaxed)), at - TAGS_FIRST)
        }
    }

    fn fingerprint(&self, at: usize) -> Fingerprint {
        let [low, high] = &self.fingerprints[at];
        Fingerprint([low.load(Relaxed), high.load(Relaxed)])
    }

    fn equal(&self, tag: u8) -> Places {
        equal(self.tags.load(Relaxed), self.tags_version.load(Relaxed), tag)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "32 bits here and 16 there; two lanes")]
    fn set(&self, at: usize, value: u64, expiry: u16) {
        self.values_low[at].store(value as u32, Relaxed);
        self.values_high[at].store((value >> 32) as u16, Relaxed);
        if at < TAGS_FIRST {
            let word = &self.expiries[at % 2];
            word.store(with_lane(word.load(Relaxed), at / 2, expiry), Relaxed);
        } else {
            let word = u64::from(self.expiries_last.load(Relaxed));
            self.expiries_last.store(with_lane(word, at - TAGS_FIRST, expiry) as u32, Relaxed);
        }
    }
}

/// Whether `expiry` is not behind `now`, modulo 2^16.
pub(super) const fn is_alive(expiry: u16, now: u16) -> bool {
    expiry.wrapping_sub(now) < 1 << 15
}

/// An octet that the choice of buckets does not depend on: both choices use the highest bits.
#[expect(clippy::cast_possible_truncation, reason = "an octet is what is wanted")]
const fn tag(fingerprint: Fingerprint) -> u8 {
    let octet = fingerprint.0[0] as u8;
    if octet == 0 { 1 } else { octet }
}

/// The places whose tag is `tag`, of ten tags of which the last two are the lowest of the second
/// word.
const fn equal(tags: u64, tags_version: u64, tag: u8) -> Places {
    let all = EACH_OCTET * tag as u64;
    Places { first: zeros(tags ^ all), last: zeros(tags_version ^ all) & LAST }
}

/// The highest bit of each octet that is zero.
const fn zeros(word: u64) -> u64 {
    const LOW: u64 = EACH_OCTET * 0x7F;
    !(((word & LOW) + LOW) | word | LOW)
}

/// The highest bit of each lane of 16 bits that is behind `now`, modulo 2^16.
const fn behind(word: u64, now: u16) -> u64 {
    const HIGH: u64 = EACH_LANE << 15;
    let now = EACH_LANE * now as u64;
    // A subtraction per lane, each with a bit to borrow from; its own highest bit is then put right.
    ((word | HIGH).wrapping_sub(now & !HIGH) ^ word ^ !now) & HIGH
}

#[expect(clippy::cast_possible_truncation, reason = "a lane is what is wanted")]
const fn lane(word: u64, at: usize) -> u16 {
    (word >> (16 * at)) as u16
}

const fn with_lane(word: u64, at: usize, lane: u16) -> u64 {
    word & !(0xFFFF << (16 * at)) | (lane as u64) << (16 * at)
}

const fn with_octet(word: u64, at: usize, octet: u8) -> u64 {
    word & !(0xFF << (8 * at)) | (octet as u64) << (8 * at)
}

#[cfg(test)]
mod tests;
