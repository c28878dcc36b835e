//! Entries over time, with short and long ticks, also against a map that forgets nothing.

mod threads;

use super::*;
use crate::store::HashKey;

const START: Instant = Instant(1_000_000_000_000);

fn fingerprint(n: u64) -> Fingerprint {
    HashKey([3, 4]).of_words(&[n])
}

/// The usual ticks, and those of a table that remembers for hours; in milliseconds.
const TICKS: [u32; 2] = [128, 2_048];

/// So many times 128 ms, or as many ticks of another length as those are.
fn ticks(tick_ms: u32, ms: u32) -> u32 {
    ms / 128 * tick_ms
}

#[test]
fn what_was_put_is_found_until_its_end_and_not_after() {
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(100, tick_ms, START);
        let end = START.plus_ms(32_000);
        directory.put(fingerprint(1), 77, START, end).unwrap();
        assert_eq!(directory.get(fingerprint(1), START), Some(77));
        assert_eq!(directory.get(fingerprint(2), START), None);
        assert_eq!(directory.get(fingerprint(1), end), Some(77));
        assert_eq!(directory.get(fingerprint(1), end.plus_ms(tick_ms)), None);
    }
}

#[test]
fn an_entry_outlives_its_end_by_less_than_a_tick() {
    for tick_ms in TICKS {
        for offset in 0..=2_048 {
            let start = START.plus_ms(offset);
            let end = start.plus_ms(10_000);
            let mut directory = Directory::with_tick(100, tick_ms, start);
            directory.put(fingerprint(1), 77, start, end).unwrap();
            assert_eq!(directory.get(fingerprint(1), end), Some(77), "{tick_ms} ms, {offset}");
            assert_eq!(directory.get(fingerprint(1), end.plus_ms(tick_ms)), None);
        }
    }
}

#[test]
fn the_usual_tick_is_128_ms() {
    let mut usual = Directory::new(100, START);
    let mut told = Directory::with_tick(100, 128, START);
    for directory in [&mut usual, &mut told] {
        directory.put(fingerprint(1), 1, START, START.plus_ms(1_000)).unwrap();
    }
    for ms in 900..1_400 {
        let now = START.plus_ms(ms);
        assert_eq!(usual.get(fingerprint(1), now), told.get(fingerprint(1), now), "{ms} ms");
    }
    assert_eq!(usual.get(fingerprint(1), START.plus_ms(1_128)), None);
}

#[test]
fn long_ticks_hold_an_entry_for_nine_hours() {
    let nine_hours = 9 * 3_600_000;
    let mut directory = Directory::with_tick(100, 2_048, START);
    directory.put(fingerprint(1), 77, START, START.plus_ms(nine_hours)).unwrap();
    for ms in (0..=nine_hours).step_by(5_000) {
        directory.sweep(START.plus_ms(ms));
        assert_eq!(directory.get(fingerprint(1), START.plus_ms(ms)), Some(77), "{ms} ms");
    }
    assert_eq!(directory.get(fingerprint(1), START.plus_ms(nine_hours + 2_048)), None);
}

#[test]
fn a_tick_is_a_doubling_of_the_shortest() {
    for tick_ms in [0, 1, 64, 127, 129, 384, 640, 2_000] {
        let made = std::panic::catch_unwind(|| Directory::with_tick(100, tick_ms, START));
        assert!(made.is_err(), "{tick_ms} ms");
    }
    for doublings in 0..24 {
        Directory::with_tick(100, 128 << doublings, START);
    }
}

#[test]
#[should_panic(expected = "VALUE_MAX")]
fn a_value_has_48_bits() {
    let value = Directory::VALUE_MAX + 1;
    let _ = Directory::new(100, START).put(fingerprint(1), value, START, START);
}

#[test]
#[should_panic(expected = "end >= now")]
fn nothing_ends_before_it_begins() {
    let _ = Directory::new(100, START).put(fingerprint(1), 1, START, Instant(START.0 - 1));
}

#[test]
fn a_later_value_replaces_the_earlier() {
    let mut directory = Directory::new(100, START);
    directory.put(fingerprint(1), 1, START, START.plus_ms(1_000)).unwrap();
    directory.put(fingerprint(1), 2, START, START.plus_ms(9_000)).unwrap();
    assert_eq!(directory.get(fingerprint(1), START.plus_ms(5_000)), Some(2));
    assert!(!directory.put_over(fingerprint(1), 3, START, START.plus_ms(9_000)));
    assert_eq!(directory.get(fingerprint(1), START.plus_ms(5_000)), Some(3));
    assert_eq!(directory.taken(), 1);
}

#[test]
fn what_is_removed_is_gone_and_its_place_is_free() {
    let mut directory = Directory::new(100, START);
    directory.put(fingerprint(1), 1, START, START.plus_ms(1_000)).unwrap();
    directory.put(fingerprint(2), 2, START, START.plus_ms(1_000)).unwrap();
    assert_eq!(directory.remove(fingerprint(3), START), None);
    assert_eq!(directory.remove(fingerprint(1), START), Some(1));
    assert_eq!(directory.remove(fingerprint(1), START), None);
    assert_eq!(directory.get(fingerprint(1), START), None);
    assert_eq!(directory.get(fingerprint(2), START), Some(2));
    assert_eq!(directory.taken(), 1);
    // What has ended is nobody's to take, and the sweep frees its place once.
    assert_eq!(directory.remove(fingerprint(2), START.plus_ms(2_000)), None);
    directory.sweep(START.plus_ms(2_000_000));
    assert_eq!(directory.taken(), 0);
}

/// The tick of the end and the fingerprint of whatever lives in the two buckets of a fingerprint.
fn in_the_way(directory: &Directory, fingerprint: Fingerprint, now: Instant) -> Vec<(u16, u64)> {
    let now = modulo(directory.table.tick(now));
    let mut found = Vec::new();
    for index in directory.table.choices(fingerprint) {
        let bucket = &directory.table.buckets[index];
        for at in bucket.taken() {
            if is_alive(bucket.expiry(at), now) {
                found.push((bucket.expiry(at).wrapping_sub(now), bucket.value(at)));
            }
        }
    }
    found
}

/// Far more than there is room for, with ends in no order: each newcomer is found, and it costs
/// nobody anything or the one in its way that ends first.
#[test]
fn what_ends_first_gives_way_and_nothing_else() {
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(200, tick_ms, START);
        let mut living: std::collections::BTreeMap<u64, Instant> = Default::default();
        let (mut now, mut word, mut gave_way) = (START, 1_u64, 0);
        for n in 0..3_000_u64 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let end = now.plus_ms(ticks(tick_ms, 128 * u32::try_from(word >> 54).unwrap()));
            living.retain(|_, end| *end >= now);
            let mut way = in_the_way(&directory, fingerprint(n), now);
            let over = directory.put_over(fingerprint(n), n, now, end);
            assert_eq!(directory.get(fingerprint(n), now), Some(n));
            let lost: Vec<u64> = living
                .keys()
                .filter(|other| directory.get(fingerprint(**other), now) != Some(**other))
                .copied()
                .collect();
            living.insert(n, end);
            if over {
                gave_way += 1;
                assert_eq!(way.len(), 2 * PLACES);
                way.sort_unstable();
                let (soonest, _) = way[0];
                let gone: Vec<_> = way
                    .iter()
                    .filter(|(_, value)| directory.get(fingerprint(*value), now).is_none())
                    .collect();
                assert!(gone.len() == 1 && gone[0].0 == soonest, "{tick_ms} ms, {n}: {gone:?}");
                assert!(lost.iter().all(|value| *value == gone[0].1), "{lost:?} {gone:?}");
            } else {
                assert!(lost.is_empty(), "{tick_ms} ms, {n}: {lost:?}");
            }
            living.retain(|value, _| !lost.contains(value));
            now = now.plus_ms(tick_ms * 2);
            directory.sweep(now);
        }
        assert!((500..2_500).contains(&gave_way), "{gave_way}");
    }
}

#[test]
fn nobody_gives_way_where_put_finds_room() {
    let mut one = Directory::new(2_000, START);
    let mut other = Directory::new(2_000, START);
    let end = START.plus_ms(32_000);
    for n in 0..3_000_u64 {
        let refused = one.put(fingerprint(n), n, START, end).is_err();
        // Up to here both tables hold the same in the same places.
        if refused {
            assert!(other.put_over(fingerprint(n), n, START, end), "{n}");
            assert_eq!(one.taken(), other.taken());
            return;
        }
        assert!(!other.put_over(fingerprint(n), n, START, end), "{n}");
    }
    panic!("nothing was refused");
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
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(1_000, tick_ms, START);
        let end = START.plus_ms(ticks(tick_ms, 32_000));
        directory.put(fingerprint(1), 1, START, end).unwrap();
        let mut now = START;
        // A turn every eight ticks for more than one round of 16-bit ticks.
        for _ in 0..36_000 {
            now = now.plus_ms(8 * tick_ms);
            directory.sweep(now);
            if now >= end.plus_ms(tick_ms) {
                assert_eq!(directory.get(fingerprint(1), now), None);
            }
        }
        assert_eq!(directory.taken(), 0);
    }
}

#[test]
fn few_turns_and_long_pauses_free_every_place_as_well() {
    // A turn now and then is too little to sweep a bucket in its time.
    for tick_ms in TICKS {
        for pause_s in [600, 3_000, 9_000, 17_000, 20_000, 33_000, 40_000, 70_000] {
            let mut directory = Directory::with_tick(10_000, tick_ms, START);
            let mut now = START;
            let mut put = Vec::new();
            for n in 0..40 {
                for m in 0..200 {
                    let fingerprint = fingerprint(n * 1_000 + m);
                    let end = now.plus_ms(ticks(tick_ms, 32_000));
                    directory.put(fingerprint, 1, now, end).unwrap();
                    put.push(fingerprint);
                }
                now = now.plus_ms(ticks(tick_ms, pause_s * 1_000));
                assert!(put.iter().all(|one| directory.get(*one, now).is_none()), "{pause_s} s");
                directory.sweep(now);
            }
            assert!(directory.taken() <= 10_000, "{pause_s} s: {} taken", directory.taken());
            now = now.plus_ms(ticks(tick_ms, 6_000_000));
            directory.sweep(now);
            assert_eq!(directory.taken(), 0);
        }
    }
}

#[test]
fn a_life_longer_than_ticks_can_tell_is_shortened_and_not_lost() {
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(100, tick_ms, START);
        let end = START.plus_ms(ticks(tick_ms, 40_000_000));
        directory.put(fingerprint(1), 7, START, end).unwrap();
        let after = |ms| START.plus_ms(ticks(tick_ms, ms));
        assert_eq!(directory.get(fingerprint(1), START), Some(7));
        assert_eq!(directory.get(fingerprint(1), after(2_000_000)), Some(7));
        assert_eq!(directory.get(fingerprint(1), after(9_000_000)), None);
    }
}

#[test]
fn behaves_like_a_map_with_ends() {
    use std::collections::BTreeMap;
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(4_000, tick_ms, START);
        let mut model: BTreeMap<u64, (u64, Instant)> = BTreeMap::new();
        let mut now = START;
        let mut word = 1_u64;
        for _ in 0..100_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now = Instant(now.0 + (word >> 40) % 40_000_000 * u64::from(tick_ms / 128));
            let n = (word >> 20) % 3_000;
            let end = now.plus_ms(ticks(tick_ms, 8_000));
            match word >> 61 {
                0..3 => {
                    directory.put(fingerprint(n), word >> 20, now, end).unwrap();
                    model.insert(n, (word >> 20, end));
                }
                3 => {
                    // There is room for all.
                    assert!(!directory.put_over(fingerprint(n), word >> 20, now, end));
                    model.insert(n, (word >> 20, end));
                }
                4 => {
                    let removed = directory.remove(fingerprint(n), now);
                    match model.remove(&n) {
                        Some((value, end)) if now <= end => assert_eq!(removed, Some(value)),
                        Some((value, _)) => assert!(removed.is_none_or(|found| found == value)),
                        None => assert_eq!(removed, None),
                    }
                }
                _ => {}
            }
            let found = directory.get(fingerprint(n), now);
            match model.get(&n) {
                Some((value, end)) if now <= *end => assert_eq!(found, Some(*value)),
                Some((_, end)) if now >= end.plus_ms(tick_ms) => assert_eq!(found, None),
                Some((value, _)) => assert!(found.is_none() || found == Some(*value)),
                None => assert_eq!(found, None),
            }
            directory.sweep(now);
        }
    }
}

#[test]
fn what_has_not_ended_by_swept_to_is_known() {
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(300, tick_ms, START);
        assert_eq!(directory.swept_to(), Instant(0));
        let (mut now, mut word) = (START, 1_u64);
        let mut put: Vec<(u64, Instant)> = Vec::new();
        let (mut forgotten, mut rose) = (0, 0);
        for n in 0..4_000_u64 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let end = now.plus_ms(ticks(tick_ms, 128 * u32::try_from(word >> 57).unwrap()));
            let before = directory.swept_to();
            directory.put(fingerprint(n), n, now, end).unwrap();
            put.push((n, end));
            // Turns now and then, and once in a while a pause that lets everything end.
            now = now.plus_ms(tick_ms / 2);
            match word >> 40 & 0x3FF {
                0 => now = now.plus_ms(ticks(tick_ms, 1_100_000)),
                1..128 => directory.sweep(now),
                _ => {}
            }
            let swept_to = directory.swept_to();
            assert!(before <= swept_to && swept_to <= now);
            rose += u32::from(before < swept_to);
            put.retain(|(n, end)| {
                let found = directory.get(fingerprint(*n), *end);
                assert!(found.is_none_or(|value| value == *n));
                assert!(found.is_some() || *end < swept_to, "{n}: {end:?}, {swept_to:?}");
                forgotten += u32::from(found.is_none());
                found.is_some()
            });
        }
        assert!(forgotten > 3_000 && rose > 500, "{forgotten} {rose}");
    }
}

#[test]
fn a_table_forgets_nothing_before_a_place_is_needed() {
    let mut directory = Directory::new(100, START);
    let created = directory.swept_to();
    directory.put(fingerprint(1), 1, START, START.plus_ms(1_000)).unwrap();
    // It has ended, and nobody has looked.
    let later = START.plus_ms(10_000);
    directory.put(fingerprint(1), 2, later, later.plus_ms(1_000)).unwrap();
    assert_eq!(directory.swept_to(), created);
    // A whole round of sweeping.
    let later = later.plus_ms(600_000);
    directory.sweep(later);
    assert_eq!(directory.taken(), 0);
    assert!(directory.swept_to() <= later && later < directory.swept_to().plus_ms(128));
    // Nothing was there to be forgotten.
    let swept_to = directory.swept_to();
    directory.sweep(later.plus_ms(600_000));
    assert_eq!(directory.swept_to(), swept_to);
}

#[test]
fn what_is_taken_out_does_not_count_as_swept() {
    let mut directory = Directory::new(100, START);
    let created = directory.swept_to();
    let later = START.plus_ms(10_000);
    directory.put(fingerprint(1), 1, later, later.plus_ms(1_000)).unwrap();
    directory.remove(fingerprint(1), later).unwrap();
    assert_eq!(directory.swept_to(), created);
}

#[test]
fn a_reader_finds_what_its_owner_finds() {
    for tick_ms in TICKS {
        let mut directory = Directory::with_tick(400, tick_ms, START);
        let reader = directory.reader().clone();
        let (mut now, mut word) = (START, 1_u64);
        let (mut found, mut gave_way) = (0, 0);
        for _ in 0..100_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now = Instant(now.0 + (word >> 40) % 200_000_000 * u64::from(tick_ms / 128));
            let n = (word >> 20) % 1_000;
            let end = now.plus_ms(ticks(tick_ms, 64_000));
            match word >> 62 {
                0 => {
                    gave_way += u32::from(directory.put_over(fingerprint(n), word >> 20, now, end))
                }
                1 if word >> 50 & 7 == 0 => _ = directory.remove(fingerprint(n), now),
                1 => directory.sweep(now),
                _ => {}
            }
            if word >> 30 & 0xFFFF == 0 {
                now = now.plus_ms(ticks(tick_ms, 9_000_000));
            }
            let by_owner = directory.get(fingerprint(n), now);
            assert_eq!(reader.get(fingerprint(n), now), Ok(by_owner));
            found += u32::from(by_owner.is_some());
        }
        assert!(found > 10_000 && gave_way < 50_000, "{found} {gave_way}");
    }
}

#[test]
fn a_reader_outlives_its_directory() {
    let mut directory = Directory::new(100, START);
    let reader = directory.reader();
    directory.put(fingerprint(1), 77, START, START.plus_ms(1_000)).unwrap();
    drop(directory);
    assert_eq!(reader.get(fingerprint(1), START), Ok(Some(77)));
    assert_eq!(reader.get(fingerprint(1), START.plus_ms(1_128)), Ok(None));
}
