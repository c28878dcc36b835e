//! How much fits: in the process, in each of its workers, and in the machine.

use core::fmt;

use crate::config::carry;
use crate::config::diagnosis::Diagnosis;
use crate::config::reader::Reader;
use crate::config::relations::{either, remark};
use crate::config::sections::Draft;
use crate::config::{Config, Machine, peering};
use crate::handover;
use crate::limits::{DATAGRAM_SIZE_MAX, REMEMBERED_SIZE};

/// What one worker has room for.
///
/// A hash says where a message is at home, so that workers do not get exactly the same number of
/// them. Each has room for its part and for four standard deviations more, which one of 64 workers
/// needs to exceed once in 500 times that all of it is full: what is configured for the process
/// fits the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// Messages that may be open at once.
    pub messages_max: u32,
    /// How many of them may be long.
    pub messages_large_max: u32,
    /// Finished server transactions that stay answerable.
    pub finished_max: u32,
    /// Short messages that are remembered.
    pub remembered_max: u32,
    /// Sessions of Large Messages at once.
    pub sessions_max: u32,
}

impl Share {
    fn of(whole: Self, workers: usize) -> Self {
        Self {
            messages_max: share(whole.messages_max, workers),
            messages_large_max: share(whole.messages_large_max, workers),
            finished_max: share(whole.finished_max, workers),
            remembered_max: share(whole.remembered_max, workers),
            sessions_max: share(whole.sessions_max, workers),
        }
    }

    /// Octets that the tables of a worker take, about.
    fn memory(self) -> u64 {
        /// A record, its stored request and its share of the tables.
        const OPEN_SIZE: u64 = 2_560;
        /// One finished transaction.
        const FINISHED_SIZE: u64 = 32;
        u64::from(self.messages_max) * OPEN_SIZE
            + u64::from(self.messages_large_max) * DATAGRAM_SIZE_MAX as u64
            + u64::from(self.finished_max) * FINISHED_SIZE
            + u64::from(self.remembered_max) * REMEMBERED_SIZE as u64
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} open, {} of them large, {} finished, {} remembered",
            self.messages_max, self.messages_large_max, self.finished_max, self.remembered_max,
        )?;
        match self.sessions_max {
            0 => Ok(()),
            sessions => write!(f, ", {sessions} sessions"),
        }
    }
}

/// The part of one of `workers` in `whole`: of so many throws into so many equal boxes, what falls
/// into one has the mean `whole / workers` and the variance of the binomial distribution.
pub(super) fn share(whole: u32, workers: usize) -> u32 {
    let (all, n) = (u64::from(whole), workers.max(1) as u64);
    if n == 1 {
        return whole;
    }
    let variance_of_four = (16 * all * (n - 1)).div_ceil(n * n);
    let root = variance_of_four.isqrt();
    let four_deviations = if root * root < variance_of_four { root + 1 } else { root };
    u32::try_from(all.div_ceil(n) + four_deviations).map_or(whole, |share| share.min(whole))
}

impl Config {
    /// How many finished transactions must stay answerable: those of 64*T1 at the planned rate
    /// (RFC 3261 timer J).
    pub fn finished_max(&self) -> u32 {
        u32::try_from(finished(self.capacity.rate, self.timers.t1_ms)).unwrap_or(u32::MAX)
    }

    /// What each worker has room for.
    pub fn per_worker(&self) -> Share {
        let whole = Share {
            messages_max: self.capacity.open,
            messages_large_max: self.capacity.open_large,
            finished_max: self.finished_max(),
            remembered_max: self.gateway.remembered_max,
            sessions_max: self.large.as_ref().map_or(0, |large| large.sessions),
        };
        Share::of(whole, self.workers.count())
    }
}

fn finished(rate: u32, t1_ms: u32) -> u64 {
    u64::from(rate) * 64 * u64::from(t1_ms) / 1_000
}

/// Octets that all workers take together.
fn memory(whole: Share, workers: usize) -> u64 {
    let parcels = u64::try_from(handover::memory(workers)).unwrap_or(u64::MAX);
    Share::of(whole, workers).memory() * workers as u64 + parcels
}

/// Octets that Large Messages take in all workers, about. Says what each of them has room for.
fn large_memory(reader: &mut Reader, draft: &Draft, workers: usize) -> u64 {
    /// A dialog, its session, and what is counted of its message.
    const SESSION_SIZE: u64 = 16 << 10;
    /// A head that has not come whole, and responses that wait.
    const CONNECTION_SIZE: u64 = 32 << 10;
    if draft.msrp.is_empty() {
        return 0;
    }
    let large = &draft.large;
    let sessions = share(large.sessions.value.0, workers);
    if workers > 1 {
        let room = format!("each worker has room for {sessions}");
        remark(reader, "[large]", 0, "sessions", &room);
    }
    let each = u64::from(sessions) * (SESSION_SIZE + u64::from(large.message_size.value.0))
        + u64::from(large.connections.value.0) * CONNECTION_SIZE;
    each * workers as u64 + carry::memory(reader, draft, sessions, workers)
}

/// Whether it fits, and this machine too.
pub(super) fn judge(reader: &mut Reader, draft: &Draft, workers: usize, machine: &Machine) {
    let (rate, open, large) = (&draft.rate, &draft.open, &draft.open_large);
    if !rate.sound || !open.sound || !large.sound || !draft.timers.t1.sound {
        return;
    }
    if large.value.0 > open.value.0 {
        reader.report(Diagnosis::error(
            "open_large counts some of the open messages, so it cannot be more",
            either(large, open),
            format!("{} > {}", large.value.0, open.value.0),
        ));
    }
    let finished = finished(rate.value.0, draft.timers.t1.value.0);
    let Some(finished) = u32::try_from(finished).ok().filter(|all| *all < u32::MAX / 2) else {
        reader.report(
            Diagnosis::error(
                format!("{finished} finished transactions cannot be kept"),
                either(rate, &draft.timers.t1),
                "at most 2147483646",
            )
            .because("rate * 64*T1 transactions must stay answerable (RFC 3261 timer J)"),
        );
        return;
    };
    let whole = Share {
        messages_max: open.value.0,
        messages_large_max: large.value.0,
        finished_max: finished,
        remembered_max: peering::remembered_max(rate.value.0),
        sessions_max: 0,
    };
    if workers > 1 {
        let each = Share::of(whole, workers);
        for (key, finished, room) in [
            ("rate", " finished", each.finished_max),
            ("open", "", each.messages_max),
            ("open_large", "", each.messages_large_max),
        ] {
            let room = format!("each worker has room for {room}{finished}");
            remark(reader, "[capacity]", 0, key, &room);
        }
    }
    let sessions = large_memory(reader, draft, workers);
    let needed = memory(whole, workers) + sessions;
    if machine.memory > 0 && needed > machine.memory / 4 * 3 {
        let among = if workers == 1 { String::new() } else { format!(", among {workers} workers") };
        reader.report(
            Diagnosis::warning(
                format!(
                    "this capacity needs about {} MiB, and the machine has {}",
                    needed >> 20,
                    machine.memory >> 20,
                ),
                if open.is_default() { either(rate, large) } else { open.origin.clone() },
                "all of it is allocated at the start",
            )
            .because(format!(
                "{} open messages, {} of them large, and {finished} finished ones (rate * 64*T1)\
                 {among}{}",
                open.value.0,
                large.value.0,
                match sessions {
                    0 => String::new(),
                    octets => format!("; sessions and connections of MSRP, {} MiB", octets >> 20),
                },
            )),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_mean_and_four_deviations_and_never_more_than_all() {
        assert_eq!(share(65_536, 1), 65_536);
        // The deviation is the root of 65536 * 1/4 * 3/4, 110.85.
        assert_eq!(share(65_536, 4), 16_384 + 444);
        // 3 + the root of 16 * 9 * 2 / 9, which is not whole.
        assert_eq!(share(9, 3), 3 + 6);
        assert_eq!(share(64, 4), 16 + 14);
        assert_eq!(share(10, 64), 1 + 2);
        assert_eq!(share(1, 64), 1);
        assert_eq!(share(0, 2), 0);
        assert_eq!(share(u32::MAX, 1), u32::MAX);
        assert!(share(u32::MAX, 2) > u32::MAX / 2);
    }

    #[test]
    fn a_fair_spread_fits_its_shares() {
        /// The finaliser of SplitMix64: evenly spread, always the same.
        fn mixed(n: u64) -> u64 {
            let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            n ^ n >> 31
        }
        let (whole, workers) = (20_000_u32, 7_usize);
        for seed in 0..50 {
            let mut counts = [0_u32; 7];
            for message in 0..u64::from(whole) {
                let home = mixed((seed << 32 | message).wrapping_mul(0x9E37_79B9_7F4A_7C15)) % 7;
                counts[usize::try_from(home).unwrap()] += 1;
            }
            assert!(counts.iter().all(|&count| count <= share(whole, workers)), "{counts:?}");
        }
    }

    #[test]
    fn the_memory_of_a_process_is_that_of_all_its_workers() {
        let whole = Share {
            messages_max: 65_536,
            messages_large_max: 1_024,
            finished_max: 320_000,
            remembered_max: 1_500_000,
            sessions_max: 0,
        };
        let one = memory(whole, 1);
        assert_eq!(one, 65_536 * 2_560 + 1_024 * 9_000 + 320_000 * 32 + 1_500_000 * 32);
        assert!(memory(whole, 8) > one);
        let parcels = handover::memory(8) as u64;
        assert!(parcels > 0 && memory(whole, 8) - parcels < one + one / 10);
    }
}
