//! When each message is due and what shall become of it: fixed before the first one leaves.
//!
//! The schedule is open: message `n` is due at `n / rate` whatever happened to those before it.
//! Latency counted from that instant contains the sender's own delays and those of a tested side
//! that holds everything up (no coordinated omission).

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::load::truth::Outcome;

/// From the start of the clock to the first message, so that all threads are there.
const LEAD_IN_NS: u64 = 50_000_000;

/// A send this much after its due time is counted as late.
pub const LATE_NS: u64 = 1_000_000;

/// The timers that both actors and the tested side agree on, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// RFC 3261 T1.
    pub t1_ms: u64,
    /// RFC 3261 T2.
    pub t2_ms: u64,
    /// When the tested side gives up waiting for proof.
    pub deadline_ms: u64,
}

impl Timers {
    /// A tenth of RFC 3261's, with a deadline as far before timer F as 28 s are before 32 s.
    pub const SHORT: Self = Self { t1_ms: 50, t2_ms: 400, deadline_ms: 2_800 };

    /// So long before timer F nothing is sent again, in nanoseconds. The tested side forgets a request
    /// after 64*T1, too (timer J), and a tenth of RFC 3261's times makes a tenth of the margin between
    /// the last retransmission and that: what a busy machine held up for longer would rightly be a new
    /// request.
    pub const fn quiet_ns(self) -> u64 {
        self.t2_ms * 1_000_000
    }

    /// Timer F: 64*T1 (RFC 3261 section 17.1.2.2).
    pub const fn f_ms(self) -> u64 {
        64 * self.t1_ms
    }
}

/// One run: how many messages, how fast, with which outcomes, under which name.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Stands in every identifier, so that two runs never meet.
    pub id: u32,
    /// Decides which outcome each message gets.
    pub seed: u64,
    /// Messages per second, times 1000.
    pub rate_mhz: u64,
    /// Messages in all.
    pub messages: usize,
    /// The timers in force.
    pub timers: Timers,
}

impl Run {
    /// When message `number` is due, in nanoseconds of the run's [`Clock`].
    pub fn due_ns(&self, number: usize) -> u64 {
        let at = u128::try_from(number).unwrap_or(u128::MAX) * 1_000_000_000_000;
        let at = at / u128::from(self.rate_mhz.max(1));
        LEAD_IN_NS + u64::try_from(at).unwrap_or(u64::MAX - LEAD_IN_NS)
    }

    /// What shall become of message `number`: every outcome once, then by chance and weight.
    pub fn outcome(&self, number: usize) -> Outcome {
        if let Some(outcome) = Outcome::ALL.get(number) {
            return *outcome;
        }
        let mut draw = chance(self.seed, number) % Outcome::WEIGHTS;
        for outcome in Outcome::ALL {
            if draw < outcome.weight() {
                return outcome;
            }
            draw -= outcome.weight();
        }
        unreachable!("the draw is below the sum of all weights")
    }
}

/// A number that `seed` and `number` determine (the output function of SplitMix64).
pub(super) fn chance(seed: u64, number: usize) -> u64 {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Nanoseconds since the start of a run. All threads of a run hold the same one.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

#[expect(clippy::disallowed_methods, reason = "a load generator lives by the clock")]
impl Clock {
    /// Begins to count.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sleeps until `at_ns`, or as little longer as the kernel can.
    pub fn sleep_until(self, at_ns: u64) {
        let now = self.now_ns();
        if at_ns > now {
            thread::sleep(Duration::from_nanos(at_ns - now));
        }
    }
}

/// Asks the kernel not to lengthen the sleeps of this thread, which it does by 50 us unless told
/// otherwise (proc(5), `timerslack_ns`). Where that is refused, sends are a little later.
pub fn sleep_sharply() {
    let own = fs::read_link("/proc/thread-self").ok();
    if let Some(thread) = own.as_ref().and_then(|path| path.file_name()) {
        let slack = std::path::Path::new("/proc").join(thread).join("timerslack_ns");
        let _ = fs::write(slack, "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Run {
        Run { id: 1, seed, rate_mhz: 5_000_000, messages: 50_000, timers: Timers::SHORT }
    }

    #[test]
    fn due_times_depend_on_nothing_but_the_rate() {
        let run = run(1);
        assert_eq!(run.due_ns(0), LEAD_IN_NS);
        assert_eq!(run.due_ns(1) - run.due_ns(0), 200_000);
        assert_eq!(run.due_ns(50_000) - run.due_ns(0), 10_000_000_000);
    }

    #[test]
    fn every_outcome_comes_in_its_share_and_the_seed_decides_where() {
        let run = run(7);
        let mut counts = [0_u64; Outcome::ALL.len()];
        for number in 0..run.messages {
            counts[run.outcome(number) as usize] += 1;
        }
        for outcome in Outcome::ALL {
            let expected = 50_000 * outcome.weight() / Outcome::WEIGHTS;
            let count = counts[outcome as usize];
            assert!(
                count > expected / 2 && count < expected * 2,
                "{outcome:?}: {count} of {expected}"
            );
        }
        let other = Run { seed: 8, ..run };
        assert!((100..300).any(|number| run.outcome(number) != other.outcome(number)));
        assert!((0..300).all(|number| run.outcome(number) == run.outcome(number)));
    }

    #[test]
    fn a_sleep_is_never_too_short() {
        sleep_sharply();
        let clock = Clock::start();
        for _ in 0..20 {
            let at_ns = clock.now_ns() + 100_000;
            clock.sleep_until(at_ns);
            assert!(clock.now_ns() >= at_ns);
        }
    }

    #[test]
    fn the_smallest_run_has_every_outcome() {
        let run = run(1);
        for (number, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(run.outcome(number), outcome);
        }
    }
}
