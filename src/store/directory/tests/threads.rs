//! One thread writes and two read, as fast as they can, in a table that is nearly full.

use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::{AtomicU32, fence};
use std::thread;

use super::*;

const KEYS: u64 = 2_000;
const STEPS: u64 = 500_000;
const READS: u64 = 400_000;
const READERS: u32 = 2;

/// What the writer tells the readers besides.
struct Told {
    now: AtomicU64,
    /// Of each key, until when it is surely found; 0 where it may not be there.
    sure_until: Vec<AtomicU64>,
    /// Of each key, the latest end it was ever given.
    last_end: Vec<AtomicU64>,
    readers_done: AtomicU32,
}

fn value(fingerprint: Fingerprint, is_final: bool) -> u64 {
    let [low, high] = fingerprint.0;
    (low ^ high.rotate_left(7)) >> 17 << 1 | u64::from(is_final)
}

fn next(word: &mut u64) -> u64 {
    *word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *word >> 20
}

/// How many newcomers found no place.
fn write(directory: &mut Directory, told: &Told) -> u64 {
    let (mut word, mut now, mut refused) = (1, START.0, 0);
    for step in 0.. {
        if step >= STEPS && told.readers_done.load(Relaxed) == READERS {
            break;
        }
        now += 700_000 + next(&mut word) % 600_000;
        told.now.store(now, Release);
        directory.sweep(Instant(now));
        let n = next(&mut word) % KEYS;
        let sure_until = &told.sure_until[n as usize];
        if next(&mut word).is_multiple_of(8) {
            sure_until.store(0, Release);
            directory.remove(fingerprint(n), Instant(now));
            continue;
        }
        // The lowest bits tell one life of a key from the next.
        let life_ns = (1 + next(&mut word) % 7) * 128_000_000;
        let end = (now + life_ns) >> 20 << 20 | step & 0xF_FFFF;
        told.last_end[n as usize].fetch_max(end, Relaxed);
        sure_until.store(sure_until.load(Relaxed).min(end), Release);
        let value = value(fingerprint(n), step % 2 == 0);
        match directory.put(fingerprint(n), value, Instant(now), Instant(end)) {
            Ok(()) => sure_until.store(end, Release),
            Err(Full) => refused += 1,
        }
    }
    refused
}

/// Says that a reader is done, also where it fails.
struct Done<'a>(&'a Told);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.readers_done.fetch_add(1, Relaxed);
    }
}

/// How often something was found, and how often nothing.
fn read(reader: &Reader, told: &Told, seed: u64) -> [u64; 2] {
    let _done = Done(told);
    let (mut word, mut found) = (seed, [0; 2]);
    for _ in 0..READS {
        let n = next(&mut word) % KEYS;
        let sure_until = &told.sure_until[n as usize];
        let before = sure_until.load(Acquire);
        let now = told.now.load(Acquire);
        let Ok(read) = reader.get(fingerprint(n), Instant(now)) else { continue };
        fence(Acquire);
        if let Some(read) = read {
            found[0] += 1;
            assert_eq!(read >> 1, value(fingerprint(n), false) >> 1, "{n}");
            let end = Instant(told.last_end[n as usize].load(Relaxed));
            assert!(now < end.plus_ms(128).0, "{n} at {now}, {end:?}");
        } else {
            found[1] += 1;
            let after = sure_until.load(Relaxed);
            let lives = before >= told.now.load(Relaxed);
            assert!(before != after || !lives, "{n} at {now}, until {before}");
        }
    }
    found
}

#[test]
fn readers_beside_a_writer_see_entries_whole_and_alive() {
    let mut directory = Directory::new(400, START);
    let zeros = || (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let told = Told {
        now: AtomicU64::new(START.0),
        sure_until: zeros(),
        last_end: zeros(),
        readers_done: AtomicU32::new(0),
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (told, seed) = (&told, 77 + u64::from(reader));
                let reader = directory.reader();
                scope.spawn(move || read(&reader, told, seed))
            })
            .collect();
        let refused = write(&mut directory, &told);
        let found: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        // It was so full that entries had to move, and yet most found a place.
        assert!((100..STEPS / 10).contains(&refused), "{refused}");
        for [something, nothing] in found {
            assert!(something > READS / 20, "{something} {nothing}");
            assert!(nothing > READS / 20, "{something} {nothing}");
        }
    });
}
