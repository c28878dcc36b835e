//! A directory that one thread writes while others read it.
//!
//! Each model says what a reader may see, and holds for every order in which things can happen. A
//! reader may also find the owner at work each time it looks: that is never wrong.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use roger_loom::check;
use roger_loom::store::{Directory, Fingerprint, Reader, Unsettled, write_then_look};
use roger_loom::time::Instant;

const PREEMPTIONS: usize = 3;
const START: Instant = Instant(1_000_000_000_000);
const TICK_MS: u32 = 128;

const OPEN: u64 = 0x1111_1111_1111;
const FINAL: u64 = 0x2222_2222_2222;
const OTHER: u64 = 0x3333_3333_3333;

type Found = Result<Option<u64>, Unsettled>;

fn end() -> Instant {
    START.plus_ms(32_000)
}

/// A fingerprint whose buckets are these two of `count`. Their tags are all the same, so that only
/// the whole tells one from the other.
fn fingerprint(first: u64, second: u64, count: u64, n: u64) -> Fingerprint {
    let half = |bucket: u64| u64::MAX / count * bucket + u64::MAX / count / 2;
    Fingerprint([half(first) & !0xFFFF | n << 8 | 7, half(second) & !0xFFFF | n])
}

/// In a table of two buckets.
fn of_two(n: u64) -> Fingerprint {
    fingerprint(0, 1, 2, n)
}

/// A table of two buckets, each of which holds so many entries. Ten are all; of the first eight the
/// tags are in another word than of the rest.
fn filled(each: u64) -> Directory {
    let mut directory = Directory::new(16, START);
    for n in 0..2 * each {
        directory.put(of_two(100 + n), OTHER, START, end()).unwrap();
    }
    directory
}

fn read(reader: &Reader, n: u64) -> Found {
    reader.get(of_two(n), START)
}

#[track_caller]
fn assert_one_of(found: Found, expected: &[Option<u64>]) {
    assert!(found.is_err() || found.is_ok_and(|found| expected.contains(&found)), "{found:x?}");
}

#[test]
fn a_new_entry_is_there_as_a_whole_or_not_at_all() {
    for each in [0, 8] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(each);
            let reader = directory.reader();
            let thread = thread::spawn(move || {
                let first = read(&reader, 1);
                assert_one_of(first, &[None, Some(OPEN)]);
                if first == Ok(Some(OPEN)) {
                    assert_one_of(read(&reader, 1), &[Some(OPEN)]);
                }
            });
            directory.put(of_two(1), OPEN, START, end()).unwrap();
            assert_eq!(directory.get(of_two(1), START), Some(OPEN));
            thread.join().unwrap();
        });
    }
}

#[test]
fn what_a_thread_was_told_of_is_there() {
    check(PREEMPTIONS, || {
        let mut directory = filled(0);
        let reader = directory.reader();
        let told = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let told = Arc::clone(&told);
            move || {
                if told.load(Ordering::Acquire) {
                    assert_eq!(read(&reader, 1), Ok(Some(OPEN)));
                }
            }
        });
        directory.put(of_two(1), OPEN, START, end()).unwrap();
        told.store(true, Ordering::Release);
        thread.join().unwrap();
    });
}

#[test]
fn what_the_owner_did_before_is_seen_with_what_it_put_or_took_out() {
    for puts in [true, false] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(0);
            if !puts {
                directory.put(of_two(1), OPEN, START, end()).unwrap();
            }
            let reader = directory.reader();
            let did = Arc::new(AtomicBool::new(false));
            let thread = thread::spawn({
                let did = Arc::clone(&did);
                move || {
                    let found = read(&reader, 1);
                    assert_one_of(found, &[None, Some(OPEN)]);
                    if found == Ok(if puts { Some(OPEN) } else { None }) {
                        assert!(did.load(Ordering::Relaxed));
                    }
                }
            });
            did.store(true, Ordering::Relaxed);
            if puts {
                directory.put(of_two(1), OPEN, START, end()).unwrap();
            } else {
                directory.remove(of_two(1), START).unwrap();
            }
            thread.join().unwrap();
        });
    }
}

#[test]
fn an_overwritten_entry_is_the_one_or_the_other() {
    for each in [0, 8] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(each);
            directory.put(of_two(1), OPEN, START, end()).unwrap();
            let reader = directory.reader();
            let thread = thread::spawn(move || {
                let first = read(&reader, 1);
                assert_one_of(first, &[Some(OPEN), Some(FINAL)]);
                if first == Ok(Some(FINAL)) {
                    assert_one_of(read(&reader, 1), &[Some(FINAL)]);
                }
            });
            directory.put(of_two(1), FINAL, START, end()).unwrap();
            thread.join().unwrap();
        });
    }
}

#[test]
fn a_value_never_has_the_end_of_another() {
    for each in [0, 8] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(each);
            directory.put(of_two(1), OPEN, START, START).unwrap();
            let reader = directory.reader();
            let thread = thread::spawn(move || {
                // What was there before has ended by then.
                let found = reader.get(of_two(1), START.plus_ms(2 * TICK_MS));
                assert_one_of(found, &[None, Some(FINAL)]);
            });
            directory.put(of_two(1), FINAL, START, end()).unwrap();
            thread.join().unwrap();
        });
    }
}

#[test]
fn an_entry_is_found_whatever_happens_beside_it() {
    check(PREEMPTIONS, || {
        let mut directory = filled(0);
        directory.put(of_two(1), OPEN, START, end()).unwrap();
        directory.put(of_two(2), OTHER, START, end()).unwrap();
        directory.put(of_two(3), OTHER, START, end()).unwrap();
        let reader = directory.reader();
        let thread = thread::spawn(move || assert_one_of(read(&reader, 1), &[Some(OPEN)]));
        // The one beside it goes and another comes.
        assert_eq!(directory.remove(of_two(3), START), Some(OTHER));
        directory.put(of_two(4), OTHER, START, end()).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_place_that_is_used_again_gives_nobody_the_value_of_another() {
    for (each, asked) in [(0, 1), (0, 2), (8, 1), (8, 2)] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(each);
            directory.put(of_two(1), OPEN, START, end()).unwrap();
            let reader = directory.reader();
            let thread = thread::spawn(move || {
                let its_own = if asked == 1 { OPEN } else { FINAL };
                assert_one_of(read(&reader, asked), &[None, Some(its_own)]);
            });
            assert_eq!(directory.remove(of_two(1), START), Some(OPEN));
            directory.put(of_two(2), FINAL, START, end()).unwrap();
            thread.join().unwrap();
        });
    }
}

#[test]
fn what_is_pushed_out_and_what_pushes_keep_their_values() {
    for asked in [1, 2] {
        check(PREEMPTIONS, move || {
            let mut directory = filled(9);
            directory.put(of_two(98), OTHER, START, end()).unwrap();
            // The last place of the second bucket; it ends first.
            directory.put(of_two(1), OPEN, START, START).unwrap();
            let reader = directory.reader();
            let thread = thread::spawn(move || {
                let its_own = if asked == 1 { OPEN } else { FINAL };
                assert_one_of(read(&reader, asked), &[None, Some(its_own)]);
            });
            assert!(directory.put_over(of_two(2), FINAL, START, end()));
            thread.join().unwrap();
        });
    }
}

/// The newcomer finds both of its buckets full, and one entry in its way has another bucket to go
/// to: its second one, or its first one, which a reader has looked at by then.
#[test]
fn an_entry_on_the_move_is_found_and_so_is_what_it_makes_way_for() {
    for (asked, to_first) in [(1, false), (1, true), (2, true)] {
        check(PREEMPTIONS, move || {
            let of = |first, second, n| fingerprint(first, second, 3, n);
            let mut directory = Directory::new(24, START);
            let moves = if to_first { of(2, 0, 1) } else { of(0, 2, 1) };
            if to_first {
                // The third bucket is not the emptier one.
                directory.put(of(2, 0, 99), OTHER, START, end()).unwrap();
            }
            directory.put(moves, OPEN, START, end()).unwrap();
            for n in 100..119 {
                directory.put(of(0, 1, n), OTHER, START, end()).unwrap();
            }
            let comes = of(0, 1, 2);
            let reader = directory.reader();
            let thread = thread::spawn(move || match asked {
                1 => assert_one_of(reader.get(moves, START), &[Some(OPEN)]),
                _ => assert_one_of(reader.get(comes, START), &[None, Some(FINAL)]),
            });
            directory.put(comes, FINAL, START, end()).unwrap();
            assert_eq!(directory.get(moves, START), Some(OPEN));
            thread.join().unwrap();
        });
    }
}

#[test]
fn what_is_swept_and_replaced_is_never_found_after_its_end() {
    for asked in [1, 2] {
        check(PREEMPTIONS, move || {
            let later = START.plus_ms(2 * TICK_MS);
            let mut directory = filled(0);
            directory.put(of_two(1), OPEN, START, START).unwrap();
            let reader = directory.reader();
            let thread = thread::spawn(move || match asked {
                1 => {
                    // By a clock that is not so far yet it may be there, and later it is not.
                    assert_one_of(read(&reader, 1), &[None, Some(OPEN)]);
                    assert_one_of(reader.get(of_two(1), later), &[None]);
                }
                _ => assert_one_of(reader.get(of_two(2), later), &[None, Some(FINAL)]),
            });
            directory.sweep(later);
            directory.put(of_two(2), FINAL, later, end()).unwrap();
            thread.join().unwrap();
        });
    }
}

/// After a pause of so many ticks the end of the old entry looks as if it were ahead.
#[test]
fn what_ended_a_round_of_ticks_ago_does_not_come_back() {
    check(PREEMPTIONS, || {
        let mut directory = filled(0);
        directory.put(of_two(1), OPEN, START, end()).unwrap();
        let later = Instant(START.0 + ((1 << 16) - 10) * u64::from(TICK_MS) * 1_000_000);
        let reader = directory.reader();
        let thread = thread::spawn(move || {
            assert_one_of(reader.get(of_two(1), later), &[None]);
        });
        directory.put(of_two(2), FINAL, later, later.plus_ms(32_000)).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn what_one_reader_saw_another_sees_when_told() {
    check(PREEMPTIONS, || {
        let mut directory = filled(0);
        directory.put(of_two(1), OPEN, START, end()).unwrap();
        let told = Arc::new(AtomicBool::new(false));
        let first = thread::spawn({
            let (reader, told) = (directory.reader(), Arc::clone(&told));
            move || {
                let found = read(&reader, 1);
                assert_one_of(found, &[Some(OPEN), Some(FINAL)]);
                if found == Ok(Some(FINAL)) {
                    told.store(true, Ordering::Release);
                }
            }
        });
        let second = thread::spawn({
            let (reader, told) = (directory.reader(), Arc::clone(&told));
            move || {
                let earlier_saw_it = told.load(Ordering::Acquire);
                let found = read(&reader, 1);
                assert_one_of(found, &[Some(OPEN), Some(FINAL)]);
                assert!(!earlier_saw_it || found != Ok(Some(OPEN)));
            }
        });
        directory.put(of_two(1), FINAL, START, end()).unwrap();
        first.join().unwrap();
        second.join().unwrap();
    });
}

/// One accepts and another one refuses the same: each writes that down, and then looks for the other's.
fn accept_beside_refuse(between: fn()) {
    check(PREEMPTIONS, move || {
        let (mut accepted, mut refused) = (filled(0), filled(0));
        let (of_accepted, of_refused) = (accepted.reader(), refused.reader());
        let other = thread::spawn(move || {
            refused.put(of_two(1), FINAL, START, end()).unwrap();
            between();
            read(&of_accepted, 1)
        });
        accepted.put(of_two(1), OPEN, START, end()).unwrap();
        between();
        let seen = read(&of_refused, 1);
        let seen_by_other = other.join().unwrap();
        assert!(seen != Ok(None) || seen_by_other != Ok(None), "accepted and refused");
    });
}

#[test]
fn of_two_who_write_and_then_look_one_sees_the_other() {
    accept_beside_refuse(write_then_look);
}

#[test]
#[should_panic(expected = "accepted and refused")]
fn of_two_who_look_at_once_both_may_see_nothing() {
    accept_beside_refuse(|| ());
}
