//! A timing wheel with links in the entries: start, stop and expire are O(1), none allocates.
//!
//! Timers are lower bounds: whatever has piled up, none is ever early (hazard H50).

use crate::time::Instant;

const SPOKES: u64 = 8_192;
const TICK_NS: u64 = 4_000_000;
const WORDS: usize = (SPOKES / 64) as usize;
const NONE: u32 = u32::MAX;

const _: () = {
    assert!(SPOKES.is_power_of_two());
    // One turn covers timer F (64 * T1 = 32 s), so that no entry waits for a second one.
    assert!(SPOKES * TICK_NS > 32_000_000_000);
};

#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    prev: u32,
    /// The tick at whose beginning the deadline has passed; `STOPPED` when the timer does not run.
    tick: u64,
}

const STOPPED: u64 = u64::MAX;

/// Deadlines of one worker, one per slab entry. Timers are lower bounds: never early, late by
/// less than a tick and the length of a turn.
#[derive(Debug)]
pub struct Wheel {
    spokes: Box<[u32]>,
    /// One bit per spoke that is not empty.
    occupied: Box<[u64]>,
    entries: Box<[Entry]>,
    /// Every spoke up to this tick is done.
    tick: u64,
    running: u32,
}

impl Wheel {
    /// Allocates room for one timer per `index < capacity`.
    pub fn new(capacity: u32, now: Instant) -> Self {
        let idle = Entry { next: NONE, prev: NONE, tick: STOPPED };
        Self {
            spokes: core::iter::repeat_n(NONE, position(SPOKES)).collect(),
            occupied: core::iter::repeat_n(0, WORDS).collect(),
            entries: core::iter::repeat_n(idle, capacity as usize).collect(),
            tick: now.0 / TICK_NS,
            running: 0,
        }
    }

    /// Starts the timer of entry `index`, stopping the one that runs.
    pub fn start(&mut self, index: u32, deadline: Instant) {
        self.stop(index);
        let tick = deadline.0.div_ceil(TICK_NS).max(self.tick + 1);
        let spoke = spoke_of(tick);
        let head = self.spokes[spoke];
        self.entries[index as usize] = Entry { next: head, prev: NONE, tick };
        if head != NONE {
            self.entries[head as usize].prev = index;
        }
        self.spokes[spoke] = index;
        self.occupied[spoke / 64] |= 1 << (spoke % 64);
        self.running += 1;
    }

    /// Stops a timer. Stopping one that does not run is a no-op.
    pub fn stop(&mut self, index: u32) {
        let entry = self.entries[index as usize];
        if entry.tick == STOPPED {
            return;
        }
        let spoke = spoke_of(entry.tick);
        if entry.prev == NONE {
            assert!(self.spokes[spoke] == index);
            self.spokes[spoke] = entry.next;
            if entry.next == NONE {
                self.occupied[spoke / 64] &= !(1 << (spoke % 64));
            }
        } else {
            self.entries[entry.prev as usize].next = entry.next;
        }
        if entry.next != NONE {
            self.entries[entry.next as usize].prev = entry.prev;
        }
        self.entries[index as usize].tick = STOPPED;
        self.running -= 1;
    }

    /// Pops one entry whose deadline has passed, oldest tick first.
    pub fn expire(&mut self, now: Instant) -> Option<u32> {
        let tick_now = now.0 / TICK_NS;
        // After a long pause once around finds everything.
        self.tick = self.tick.max(tick_now.saturating_sub(SPOKES));
        while self.tick < tick_now {
            if self.running == 0 {
                self.tick = tick_now;
                return None;
            }
            let tick = self.tick + 1;
            let mut index = self.spokes[spoke_of(tick)];
            while index != NONE {
                let entry = self.entries[index as usize];
                if entry.tick <= tick {
                    self.stop(index);
                    return Some(index);
                }
                index = entry.next;
            }
            self.tick = tick;
        }
        None
    }

    /// A moment before which nothing expires, and not long before something may; `None` when no
    /// timer runs.
    pub fn next(&self) -> Option<Instant> {
        if self.running == 0 {
            return None;
        }
        let first = self.tick + 1;
        let mut ahead = 0;
        while ahead < SPOKES {
            let spoke = spoke_of(first + ahead);
            let rest = self.occupied[spoke / 64] >> (spoke % 64);
            if rest != 0 {
                return Some(Instant((first + ahead + u64::from(rest.trailing_zeros())) * TICK_NS));
            }
            ahead += 64 - (spoke % 64) as u64;
        }
        Some(Instant(first * TICK_NS))
    }

    /// How many timers run.
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Octets per timer.
    pub const fn entry_size() -> usize {
        size_of::<Entry>()
    }
}

const fn spoke_of(tick: u64) -> usize {
    position(tick % SPOKES)
}

#[expect(clippy::cast_possible_truncation, reason = "at most SPOKES")]
const fn position(spoke: u64) -> usize {
    spoke as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const START: Instant = Instant(7_000_000_123);

    #[test]
    fn a_timer_is_never_early_and_not_a_tick_late() {
        for ms in [0, 1, 4, 499, 500, 3_500, 28_000, 32_000, 40_000, 100_000] {
            let mut wheel = Wheel::new(1, START);
            let deadline = START.plus_ms(ms);
            wheel.start(0, deadline);
            let mut now = START;
            while wheel.expire(now).is_none() {
                now = Instant(now.0 + 1_000_000);
            }
            assert!(now >= deadline, "{ms} ms: early");
            assert!(now.since(deadline) <= 2 * TICK_NS, "{ms} ms: late by {}", now.since(deadline));
        }
    }

    #[test]
    fn a_year_of_pause_is_walked_once_around() {
        let mut wheel = Wheel::new(3, START);
        for (index, ms) in [(0, 40_000), (1, 500), (2, 100_000)] {
            wheel.start(index, START.plus_ms(ms));
        }
        let later = Instant(START.0 + 365 * 86_400 * 1_000_000_000);
        let mut expired = [wheel.expire(later), wheel.expire(later), wheel.expire(later)];
        expired.sort_unstable();
        assert_eq!(expired, [Some(0), Some(1), Some(2)]);
        assert_eq!(wheel.expire(later), None);
        wheel.start(0, later.plus_ms(40_000));
        assert_eq!(wheel.expire(later.plus_ms(39_999)), None);
        assert_eq!(wheel.expire(later.plus_ms(40_004)), Some(0));
    }

    #[test]
    fn next_is_never_after_the_first_deadline() {
        let mut wheel = Wheel::new(3, START);
        assert_eq!(wheel.next(), None);
        wheel.start(0, START.plus_ms(20_000));
        wheel.start(1, START.plus_ms(500));
        let next = wheel.next().unwrap();
        assert!(next >= START && next.0 <= START.plus_ms(504).0);
        wheel.stop(1);
        let next = wheel.next().unwrap();
        assert!(next.0 > START.plus_ms(19_000).0 && next.0 <= START.plus_ms(20_004).0);
    }

    #[test]
    fn behaves_like_a_sorted_list() {
        let mut wheel = Wheel::new(64, START);
        let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
        let mut now = START;
        let mut word = 9_u64;
        for _ in 0..200_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = u32::try_from(word >> 58).unwrap();
            match word >> 56 & 3 {
                0 => {
                    let deadline = now.plus_ms(u32::try_from(word >> 20 & 0xFFFF).unwrap());
                    wheel.start(index, deadline);
                    model.insert(index, deadline);
                }
                1 => {
                    wheel.stop(index);
                    model.remove(&index);
                }
                _ => now = Instant(now.0 + (word >> 30) % 50_000_000),
            }
            while let Some(expired) = wheel.expire(now) {
                let deadline = model.remove(&expired).unwrap();
                assert!(deadline <= now);
            }
            assert!(model.values().all(|deadline| now.since(*deadline) < TICK_NS));
            assert_eq!(wheel.running() as usize, model.len());
        }
    }
}
