//! Intervals against a map with a mark for each octet, in every order and at random; and the capacity.

use super::*;
use std::collections::BTreeSet;

mod hazards;
mod interleaved;
mod sending;

/// Half-open octets of a test.
pub(super) fn octets(start: u64, end: u64) -> Octets {
    Octets::new(start, end).unwrap()
}

/// What a Byte-Range names (RFC 4975 section 7.1.1): positions from 1, the last one included.
pub(super) fn positions(first: u64, last: u64) -> Octets {
    octets(first - 1, last)
}

/// What a set of octets is: each of them is in it or not.
#[derive(Clone)]
struct Marks(Vec<bool>);

impl Marks {
    fn insert(&mut self, start: u64, end: u64) -> Inserted {
        let mut is_new = false;
        for at in start..end {
            if let Some(mark) = self.0.get_mut(usize::try_from(at).unwrap()) {
                is_new |= !core::mem::replace(mark, true);
            }
        }
        if is_new { Inserted::New } else { Inserted::Known }
    }

    /// Runs of marks, as one would read them off.
    fn intervals(&self) -> Vec<Octets> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.0.len() {
            let run = self.0[at..].iter().take_while(|mark| **mark).count();
            if run > 0 {
                found.push(octets(at as u64, (at + run) as u64));
            }
            at += run.max(1);
        }
        found
    }

    fn first_gap(&self) -> Option<Octets> {
        let start = self.0.iter().position(|mark| !mark)?;
        let len = self.0[start..].iter().take_while(|mark| !**mark).count();
        Some(octets(start as u64, (start + len) as u64))
    }
}

fn assert_alike(coverage: &Coverage, marks: &Marks, story: &dyn core::fmt::Debug) {
    assert_eq!(coverage.intervals(), marks.intervals(), "{story:?}");
    assert_eq!(coverage.first_gap(), marks.first_gap(), "{story:?}");
    assert_eq!(coverage.is_covered(), marks.0.iter().all(|mark| *mark), "{story:?}");
    let len = marks.0.iter().filter(|mark| **mark).count() as u64;
    assert_eq!((coverage.len(), coverage.is_empty()), (len, len == 0), "{story:?}");
    for start in 0..=coverage.total() {
        for end in start..=coverage.total() {
            let all = (start..end).all(|at| marks.0[usize::try_from(at).unwrap()]);
            assert_eq!(coverage.has(octets(start, end)), all, "{story:?} {start} {end}");
        }
    }
}

/// Every sequence of four ranges over six octets, those that go beyond them too.
#[test]
fn every_order_of_every_range_counts_as_octet_by_octet() {
    const TOTAL: u64 = 6;
    let ranges: Vec<(u64, u64)> =
        (0..=TOTAL).flat_map(|start| (start..=TOTAL + 1).map(move |end| (start, end))).collect();
    let mut reached = BTreeSet::new();
    let mut steps = 0;
    // All that four more ranges can lead to from a state follows from that state: each is entered once
    // for each number of ranges that led there.
    let mut states = Vec::from([(Coverage::new(TOTAL), Marks(Vec::from([false; 6])))]);
    for _ in 0..4 {
        let mut next = Vec::new();
        for (coverage, marks) in states {
            for &(start, end) in &ranges {
                let (mut coverage, mut marks) = (coverage, marks.clone());
                let beyond = coverage.beyond();
                let found = coverage.insert(octets(start, end));
                assert_eq!(
                    found,
                    marks.insert(start, end),
                    "{marks:?} {start} {end}",
                    marks = marks.0
                );
                assert_eq!(coverage.beyond() - beyond, u16::from(end > TOTAL));
                assert_alike(&coverage, &marks, &(&marks.0, start, end));
                // Once more: nothing changes (hazard H22).
                let before = coverage.intervals().to_vec();
                assert_eq!(coverage.insert(octets(start, end)), Inserted::Known);
                assert_eq!(coverage.intervals(), before);
                steps += 1;
                if reached.insert(marks.0.clone()) {
                    next.push((coverage, marks));
                }
            }
        }
        states = next;
    }
    // Every set of six octets was reached.
    assert_eq!(reached.len(), 1 << TOTAL);
    assert!(steps > 1_000, "{steps}");
}

pub(super) fn random(word: &mut u64) -> u64 {
    *word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *word >> 33
}

#[test]
fn random_ranges_count_as_octet_by_octet() {
    for seed in 1..200 {
        let mut word = seed;
        let total = 1 + random(&mut word) % 60;
        // With at most thirty gaps of one octet there may be no room, which the next test is about.
        let size = if total > 30 { 6 } else { total };
        let mut coverage = Coverage::new(total);
        let mut marks = Marks((0..total).map(|_| false).collect());
        for step in 0..60 {
            let start = random(&mut word) % (total + 2);
            let end = start + random(&mut word) % (size + 3);
            match coverage.insert(octets(start, end)) {
                Inserted::NoRoom => {
                    assert_eq!(marks.intervals().len(), MSRP_INTERVALS_MAX, "{seed} {step}");
                }
                kept @ (Inserted::New | Inserted::Known) => {
                    assert_eq!(kept, marks.insert(start, end), "{seed} {step}");
                }
            }
            assert_alike(&coverage, &marks, &(seed, step));
        }
    }
}

/// What does not fit is not claimed; what was kept is, and joining makes room.
#[test]
fn when_it_is_full_nothing_is_claimed_that_is_not_kept() {
    let room = MSRP_INTERVALS_MAX as u64;
    let total = 2 * room + 1;
    let mut coverage = Coverage::new(total);
    for number in 0..room {
        assert_eq!(coverage.insert(octets(2 * number, 2 * number + 1)), Inserted::New);
    }
    assert_eq!(coverage.insert(octets(total - 1, total)), Inserted::NoRoom);
    assert_eq!((coverage.no_room(), coverage.len()), (1, room));
    assert!(!coverage.has(octets(total - 1, total)));
    // All the gaps are filled: only what was not kept is missing.
    for number in 0..room {
        coverage.insert(octets(2 * number + 1, 2 * number + 2));
    }
    assert_eq!(coverage.first_gap(), Some(octets(total - 1, total)));
    assert!(!coverage.is_covered());
    assert_eq!(coverage.insert(octets(total - 1, total)), Inserted::New);
    assert!(coverage.is_covered());
    // One range over everything fits whatever is kept.
    let mut other = Coverage::new(total);
    for number in 0..room {
        other.insert(octets(2 * number + 1, 2 * number + 2));
    }
    assert_eq!(other.insert(octets(0, total)), Inserted::New);
    assert_eq!(other.intervals(), [octets(0, total)]);
}

#[test]
fn sizes_near_the_largest_number_are_no_trouble() {
    let mut coverage = Coverage::new(u64::MAX);
    assert_eq!(coverage.insert(octets(u64::MAX - 1, u64::MAX)), Inserted::New);
    assert_eq!(coverage.insert(octets(0, u64::MAX - 1)), Inserted::New);
    assert!(coverage.is_covered());
    assert_eq!(coverage.len(), u64::MAX);
}

/// Hazard H32: a receiver counts the octets that came, not those that a Byte-Range announced, and knows
/// the total from the chunk with `$` (RFC 4975 section 7.3.1).
#[test]
fn h32_a_chunk_shorter_than_announced_leaves_a_gap() {
    let mut received = Coverage::new(u64::MAX);
    // Announced as 1-2048, cut short after 2000.
    received.insert(octets(0, 2_000));
    received.insert(octets(2_048, 3_000));
    received.end_at(3_000);
    assert_eq!(received.first_gap(), Some(octets(2_000, 2_048)));
    received.insert(octets(1_990, 2_050));
    assert!(received.is_covered());
    // What lies behind the end does not count.
    let mut longer = Coverage::new(u64::MAX);
    longer.insert(octets(0, 10));
    longer.insert(octets(20, 30));
    longer.insert(octets(40, 50));
    longer.end_at(25);
    assert_eq!(longer.intervals(), [octets(0, 10), octets(20, 25)]);
    assert_eq!(longer.beyond(), 2);
    longer.end_at(0);
    assert!(longer.is_empty() && longer.is_covered());
}

#[test]
fn it_is_as_small_as_stated() {
    assert!(size_of::<Coverage>() <= 16 * MSRP_INTERVALS_MAX + 24, "{}", size_of::<Coverage>());
    assert!(size_of::<Ledger>() <= 1_280, "{}", size_of::<Ledger>());
}
