//! A bucket alone: words against places one by one, and what a reader sees of a half-done change.
#![expect(clippy::cast_possible_truncation, reason = "random words are cut to what is wanted")]

use super::*;
use crate::store::directory::{Directory, Unsettled};
use crate::time::Instant;

/// Numbers that look random, the same on every run.
fn numbers() -> impl Iterator<Item = u64> {
    let mut word = 1_u64;
    core::iter::repeat_with(move || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word ^ word >> 29
    })
}

#[test]
fn a_bucket_takes_four_lines() {
    assert_eq!(size_of::<Bucket>(), 256);
    // What rules out and what has ended is in the first.
    assert!(core::mem::offset_of!(Bucket, values_low) <= 64);
}

#[test]
fn tags_are_found_where_they_are_and_nowhere_else() {
    let mut numbers = numbers();
    for _ in 0..100_000 {
        let mut next = || numbers.next().unwrap();
        // Few different octets, so that they meet; the version is anything.
        let octets: Vec<u8> =
            (0..16).map(|_| [0, 1, 0x7F, 0x80, 0xFF][next() as usize % 5]).collect();
        let (tags, tags_version) = octets.split_at(8);
        let word = |octets: &[u8]| u64::from_le_bytes(octets.try_into().unwrap());
        for tag in [0, 1, 0x7F, 0x80, 0xFF] {
            let found: Vec<usize> = equal(word(tags), word(tags_version), tag).collect();
            let expected: Vec<usize> = (0..PLACES).filter(|at| octets[*at] == tag).collect();
            assert_eq!(found, expected, "{tag} in {octets:?}");
        }
    }
}

#[test]
fn what_is_behind_is_told_for_each_lane() {
    let mut numbers = numbers();
    for round in 0..100_000 {
        let mut next = || numbers.next().unwrap();
        let now = next() as u16;
        // Near the two ends of what counts as behind, or anywhere.
        let near = |word: u64| match word >> 60 {
            0..4 => now.wrapping_add(word as u16 % 3).wrapping_sub(1),
            4..8 => now.wrapping_add(word as u16 % 3).wrapping_add(0x7FFF),
            _ => word as u16,
        };
        let lanes: [u16; 4] = core::array::from_fn(|_| near(next()));
        let word = (0..4).fold(0, |word, at| with_lane(word, at, lanes[at]));
        let high = |at: usize| 1_u64 << (16 * at + 15);
        let expected: u64 = (0..4).filter(|at| !is_alive(lanes[*at], now)).map(high).sum();
        assert_eq!(behind(word, now), expected, "{round}: {lanes:?} at {now}");
        assert_eq!(lanes, core::array::from_fn(|at| lane(word, at)));
    }
}

#[test]
fn ten_places_hold_what_they_are_given() {
    let bucket = Bucket::new();
    bucket.settle();
    let mut kept: [Option<Entry>; PLACES] = [None; PLACES];
    let mut numbers = numbers();
    for _ in 0..20_000 {
        let mut next = || numbers.next().unwrap();
        let at = next() as usize % PLACES;
        if next() % 3 == 0 {
            bucket.clear(Places::one(at));
            if let Some(Entry { fingerprint, .. }) = kept[at].take() {
                // What lies behind a free place is there no more.
                assert_eq!(bucket.find(fingerprint), None);
                assert!(matches!(bucket.look(fingerprint), Look::Nothing(_)));
            }
        } else {
            // Few different tags, the lowest among them.
            let fingerprint = Fingerprint([(next() << 8) | (next() % 4), next()]);
            let entry = Entry { fingerprint, value: next() >> 16, expiry: next() as u16 };
            let entry = match kept[at] {
                Some(Entry { fingerprint, .. }) => Entry { fingerprint, ..entry },
                None => entry,
            };
            if kept[at].is_some() {
                bucket.renew(at, entry.value, entry.expiry);
            } else {
                bucket.fill(at, &entry);
            }
            kept[at] = Some(entry);
        }
        let now = next() as u16;
        let places = |which: &dyn Fn(Option<Entry>) -> bool| -> Vec<usize> {
            (0..PLACES).filter(|at| which(kept[*at])).collect()
        };
        assert_eq!(bucket.free().collect::<Vec<_>>(), places(&|entry| entry.is_none()));
        assert_eq!(bucket.taken().collect::<Vec<_>>(), places(&|entry| entry.is_some()));
        let ended = places(&|entry| entry.is_some_and(|entry| !is_alive(entry.expiry, now)));
        assert_eq!(bucket.ended(now).collect::<Vec<_>>(), ended);
        assert_eq!(bucket.ended(now).count() as usize, ended.len());
        for (at, entry) in kept.iter().enumerate() {
            let Some(entry) = entry else { continue };
            assert_eq!(bucket.find(entry.fingerprint), Some(at));
            let look = bucket.look(entry.fingerprint);
            assert!(matches!(look, Look::Found(value, expiry)
                if value == entry.value && expiry == entry.expiry));
        }
        assert!(matches!(bucket.look(Fingerprint([next(), next()])), Look::Nothing(_)));
    }
}

#[test]
fn a_version_that_comes_round_leaves_the_tags_alone() {
    let bucket = Bucket::new();
    bucket.settle();
    let entry = |n| Entry { fingerprint: Fingerprint([n, n]), value: n, expiry: 0 };
    bucket.fill(8, &entry(8));
    bucket.fill(9, &entry(9));
    let tags = bucket.tags_version.load(Relaxed) % VERSION;
    bucket.tags_version.store(tags | !1 << 16, Relaxed);
    bucket.fill(0, &entry(1));
    assert_eq!(bucket.version(), Version(0));
    assert_eq!(bucket.taken().collect::<Vec<_>>(), [0, 8, 9]);
}

#[test]
fn a_reader_gives_up_where_the_writer_stands_still() {
    let (now, end) = (Instant(1_000_000_000), Instant(9_000_000_000));
    let mut directory = Directory::new(1, now);
    let reader = directory.reader();
    let [one, other] = [Fingerprint([1, u64::MAX]), Fingerprint([2, u64::MAX])];
    directory.put(one, 77, now, end).unwrap();
    let [first, second] = directory.table.choices(one);
    let stand_still = |index: usize| {
        let bucket = &directory.table.buckets[index];
        bucket.tags_version.store(bucket.tags_version.load(Relaxed) ^ VERSION, Relaxed);
    };
    assert_eq!(reader.get(one, now), Ok(Some(77)));
    assert_eq!(reader.get(other, now), Ok(None));
    // What is found in one bucket is found, whatever happens in the other.
    assert_eq!(directory.table.buckets[first].find(one), Some(0));
    stand_still(second);
    assert_eq!(reader.get(one, now), Ok(Some(77)));
    assert_eq!(reader.get(other, now), Err(Unsettled));
    stand_still(second);
    stand_still(first);
    assert_eq!(reader.get(one, now), Err(Unsettled));
    assert_eq!(reader.get(other, now), Err(Unsettled));
    stand_still(first);
    assert_eq!(reader.get(one, now), Ok(Some(77)));
    assert_eq!(reader.get(other, now), Ok(None));
}
