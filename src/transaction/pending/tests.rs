//! Turns taken one by one, and at random against a model that searches.

use super::*;
use std::collections::{BTreeMap, VecDeque};

fn key(n: u64) -> Fingerprint {
    Fingerprint([n, n << 7])
}

#[test]
fn one_goes_and_the_others_wait_for_their_turn() {
    let mut pending = Pending::new(4);
    assert_eq!(pending.enter(2, key(1), 1), Entered::Go);
    assert_eq!(pending.enter(0, key(1), 1), Entered::Wait);
    assert_eq!(pending.enter(3, key(1), 1), Entered::Wait);
    assert_eq!(pending.enter(1, key(2), 1), Entered::Go);
    assert_eq!((pending.waiting(), pending.is_waiting(0), pending.is_waiting(2)), (2, true, false));
    assert!(!pending.has_ready());
    pending.leave(2);
    assert_eq!((pending.waiting(), pending.is_waiting(0), pending.has_ready()), (1, false, true));
    assert_eq!(pending.next_ready(), Some(0));
    assert_eq!(pending.next_ready(), None);
    assert!(!pending.has_ready());
    pending.leave(0);
    assert_eq!(pending.next_ready(), Some(3));
}

#[test]
fn who_leaves_while_ready_passes_the_turn_on() {
    let mut pending = Pending::new(4);
    pending.enter(0, key(1), 1);
    pending.enter(1, key(1), 1);
    pending.enter(2, key(1), 1);
    pending.leave(0);
    pending.leave(1);
    assert_eq!(pending.next_ready(), Some(2));
    assert_eq!(pending.next_ready(), None);
    // The turn was passed on once, not doubled.
    assert_eq!(pending.enter(3, key(1), 1), Entered::Wait);
}

#[test]
fn who_leaves_while_it_waits_frees_no_turn() {
    let mut pending = Pending::new(3);
    for index in 0..3 {
        pending.enter(index, key(1), 1);
    }
    pending.leave(1);
    pending.leave(1);
    assert_eq!((pending.waiting(), pending.next_ready()), (1, None));
    pending.leave(0);
    assert_eq!(pending.next_ready(), Some(2));
}

#[test]
fn who_has_not_entered_does_not_leave() {
    let mut pending = Pending::new(2);
    for index in [0, 1, 2, NONE] {
        pending.leave(index);
        assert!(!pending.is_waiting(index));
    }
    assert_eq!(pending.enter(1, key(1), 1), Entered::Go);
    pending.leave(1);
    pending.leave(1);
    assert_eq!(pending.enter(0, key(1), 1), Entered::Go);
    assert_eq!(pending.enter(1, key(1), 1), Entered::Wait);
}

#[test]
#[should_panic(expected = "State::Out")]
fn nobody_enters_twice() {
    let mut pending = Pending::new(2);
    pending.enter(0, key(1), 1);
    pending.enter(0, key(2), 1);
}

#[test]
#[should_panic(expected = "capacity > 0")]
fn there_is_room_for_one_at_least() {
    Pending::new(0);
}

#[test]
#[should_panic(expected = "1 << 30")]
fn no_more_than_a_group_can_number() {
    Pending::new((1 << 30) + 1);
}

#[test]
fn a_max_of_nobody_is_one() {
    let mut pending = Pending::new(2);
    assert_eq!(pending.enter(0, key(1), 0), Entered::Go);
    assert_eq!(pending.enter(1, key(1), 0), Entered::Wait);
    pending.leave(0);
    assert_eq!(pending.next_ready(), Some(1));
}

#[test]
fn a_max_that_changes_counts_from_then_on() {
    let mut pending = Pending::new(8);
    for index in 0..4 {
        pending.enter(index, key(1), 1);
    }
    // Nobody overtakes: two more may send, and they are the first two that wait.
    assert_eq!(pending.enter(4, key(1), 3), Entered::Wait);
    assert_eq!((pending.next_ready(), pending.next_ready()), (Some(1), Some(2)));
    assert_eq!(pending.next_ready(), None);
    // Three are pending where one may be: two ends free no turn, the third does.
    assert_eq!(pending.enter(5, key(1), 1), Entered::Wait);
    pending.leave(0);
    pending.leave(1);
    assert!(!pending.has_ready());
    pending.leave(2);
    assert_eq!((pending.next_ready(), pending.next_ready()), (Some(3), None));
}

#[test]
fn keys_of_one_bucket_are_told_apart() {
    // Four buckets, chosen by the lowest two bits: all of these share one. Groups end from the
    // middle, the front and the back of it.
    let keys = [
        Fingerprint([4, 1]),
        Fingerprint([4, 2]),
        Fingerprint([8, 1]),
        Fingerprint([4 | 1 << 40, 1]),
    ];
    for order in [[1, 0, 3, 2], [3, 2, 1, 0], [0, 1, 2, 3]] {
        let mut pending = Pending::new(4);
        for (index, key) in (0..).zip(keys) {
            assert_eq!(pending.enter(index, key, 1), Entered::Go);
        }
        for index in order {
            pending.leave(index);
            assert_eq!(pending.enter(index, keys[index as usize], 1), Entered::Go);
            pending.leave(index);
        }
        assert!(pending.buckets.iter().all(|first| *first == NONE));
    }
}

#[test]
fn a_record_takes_no_more_room_than_stated() {
    for capacity in [1, 2, 3, 5, 64, 65, 1_000, 4_097] {
        let size = Pending::new(capacity).size();
        let records = capacity as usize;
        assert!((44 * records..=RECORD_SIZE_MAX * records).contains(&size), "{capacity}: {size}");
    }
}

/// Who is pending, who waits, who is ready: as one would write it without a thought for time.
#[derive(Default)]
struct Model {
    groups: BTreeMap<u64, (u16, u16, VecDeque<u32>)>,
    ready: VecDeque<u32>,
    entered: BTreeMap<u32, u64>,
}

impl Model {
    fn waits(&self, index: u32) -> bool {
        let Some(key) = self.entered.get(&index) else { return false };
        self.groups[key].2.contains(&index)
    }

    fn enter(&mut self, index: u32, key: u64, max: u16) -> Entered {
        self.entered.insert(index, key);
        let group = self.groups.entry(key).or_default();
        group.1 = max.max(1);
        group.2.push_back(index);
        if group.2.len() == 1 && group.0 < group.1 {
            group.2.clear();
            group.0 += 1;
            return Entered::Go;
        }
        self.pass_on(key);
        Entered::Wait
    }

    fn leave(&mut self, index: u32) {
        let Some(key) = self.entered.remove(&index) else { return };
        let group = self.groups.get_mut(&key).unwrap();
        if group.2.contains(&index) {
            group.2.retain(|other| *other != index);
        } else {
            group.0 -= 1;
            self.ready.retain(|other| *other != index);
        }
        self.pass_on(key);
    }

    fn pass_on(&mut self, key: u64) {
        let group = self.groups.get_mut(&key).unwrap();
        while group.0 < group.1
            && let Some(first) = group.2.pop_front()
        {
            group.0 += 1;
            self.ready.push_back(first);
        }
    }

    fn waiting(&self) -> usize {
        self.groups.values().map(|group| group.2.len()).sum()
    }
}

fn random(word: &mut u64) -> u64 {
    *word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *word >> 33
}

#[test]
fn behaves_like_the_model() {
    for (seed, (capacity, keys, maxima)) in (1..).zip([
        (1, 1, &[1][..]),
        (2, 1, &[1]),
        (3, 2, &[1]),
        (7, 3, &[2]),
        (8, 100, &[1]),
        (64, 3, &[1, 1, 1, 1, 5, 0]),
        (65, 10, &[3]),
        (200, 40, &[1]),
        (500, 1, &[u16::MAX, 1]),
    ]) {
        let mut word = seed;
        let mut pending = Pending::new(capacity);
        let mut model = Model::default();
        for step in 0..6_000_u32 {
            // Now it fills up, now it runs empty.
            let fills = step / 500 % 2 == 0;
            let index = u32::try_from(random(&mut word) % u64::from(capacity)).unwrap();
            let n = random(&mut word) % keys;
            let max = maxima[usize::try_from(random(&mut word)).unwrap() % maxima.len()];
            let choice = random(&mut word) % 10;
            if choice < 2 {
                assert_eq!(pending.next_ready(), model.ready.pop_front(), "seed {seed}");
            } else if (choice < 8) == fills && !model.entered.contains_key(&index) {
                let entered = pending.enter(index, key(n), max);
                assert_eq!(entered, model.enter(index, n, max), "seed {seed} step {step}");
            } else {
                pending.leave(index);
                model.leave(index);
            }
            assert_eq!(pending.waiting() as usize, model.waiting(), "seed {seed}");
            assert_eq!(pending.has_ready(), !model.ready.is_empty(), "seed {seed}");
            assert_eq!(pending.is_waiting(index), model.waits(index), "seed {seed}");
        }
        for index in 0..capacity {
            pending.leave(index);
        }
        assert_eq!((pending.waiting(), pending.next_ready()), (0, None));
        assert!(pending.buckets.iter().all(|first| *first == NONE), "seed {seed}");
    }
}
