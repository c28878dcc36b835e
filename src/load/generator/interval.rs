//! What happened in one stretch of a run: histograms that the sending end fills and hands over.
//!
//! The sending end always has one of them, and a few more go round: it hands over the one that is
//! full when another one is empty, and goes on with that. Whoever watches empties it and gives it
//! back. Nothing is allocated, and nobody waits.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use hdrhistogram::{CreationError, Histogram};

/// How long one of them is, in nanoseconds, unless nobody takes it.
pub const INTERVAL_NS: u64 = 1_000_000_000;

/// The longest latency that is told from a longer one, in nanoseconds.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// How many go round.
const INTERVALS: usize = 4;

/// Latencies in nanoseconds, to three significant digits.
pub type Latencies = Histogram<u64>;

/// One stretch of a run. The histograms have what is measured only, the counts have everything.
#[derive(Debug)]
pub struct Interval {
    /// When it began, in nanoseconds after the first message was due.
    pub from_ns: u64,
    /// When it ended.
    pub to_ns: u64,
    /// From the instant at which each message was due to what was said about it.
    pub intended: Latencies,
    /// From the actual send.
    pub actual: Latencies,
    /// From the instant at which each message was due to the actual send.
    pub pacing: Latencies,
    /// Messages that left.
    pub sent: u64,
    /// Messages about which it was said that they were delivered.
    pub succeeded: u64,
    /// Messages about which it was said that they were not.
    pub failed: u64,
    /// Messages about which nothing was said in time.
    pub timed_out: u64,
    /// Requests sent again by timer E.
    pub retransmissions: u64,
}

impl Interval {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// None: its bounds are constants.
    pub fn new() -> Result<Self, CreationError> {
        let latencies = || {
            let mut latencies = Latencies::new_with_bounds(1, LATENCY_MAX_NS, 3)?;
            // The first touch of its pages is not to be in a figure.
            latencies.record(LATENCY_MAX_NS).map_err(|_| CreationError::LowIsZero)?;
            latencies.reset();
            Ok(latencies)
        };
        Ok(Self {
            from_ns: 0,
            to_ns: 0,
            intended: latencies()?,
            actual: latencies()?,
            pacing: latencies()?,
            sent: 0,
            succeeded: 0,
            failed: 0,
            timed_out: 0,
            retransmissions: 0,
        })
    }

    /// Takes in what `other` has.
    pub fn add(&mut self, other: &Self) {
        self.to_ns = self.to_ns.max(other.to_ns);
        for (own, others) in [
            (&mut self.intended, &other.intended),
            (&mut self.actual, &other.actual),
            (&mut self.pacing, &other.pacing),
        ] {
            // Both have the same bounds, so that nothing can be out of them.
            let _ = own.add(others);
        }
        self.sent += other.sent;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.retransmissions += other.retransmissions;
    }

    fn clear(&mut self) {
        for latencies in [&mut self.intended, &mut self.actual, &mut self.pacing] {
            latencies.reset();
        }
        self.sent = 0;
        self.succeeded = 0;
        self.failed = 0;
        self.timed_out = 0;
        self.retransmissions = 0;
    }
}

/// The round that intervals make between the sending end and whoever watches.
#[derive(Clone, Debug)]
pub struct Round {
    filled: Arc<ArrayQueue<Box<Interval>>>,
    empty: Arc<ArrayQueue<Box<Interval>>>,
}

impl Round {
    /// A few that are empty.
    ///
    /// # Errors
    ///
    /// None: the bounds are constants.
    pub fn new() -> Result<Self, CreationError> {
        let round = Self {
            filled: Arc::new(ArrayQueue::new(INTERVALS + 1)),
            empty: Arc::new(ArrayQueue::new(INTERVALS + 1)),
        };
        for _ in 0..INTERVALS {
            // There is room for one more than there are.
            let _ = round.empty.push(Box::new(Interval::new()?));
        }
        Ok(round)
    }

    /// Hands `interval` over, which ends at `now_ns`, if there is an empty one to go on with.
    pub(super) fn hand_over(&self, interval: &mut Box<Interval>, now_ns: u64) {
        interval.to_ns = now_ns;
        if let Some(empty) = self.empty.pop() {
            let full = core::mem::replace(interval, empty);
            // There is room for all.
            let _ = self.filled.push(full);
            interval.from_ns = now_ns;
        }
    }

    /// Shows `look` each one that is full, and empties it.
    pub fn take(&self, mut look: impl FnMut(&Interval)) {
        while let Some(mut interval) = self.filled.pop() {
            look(&interval);
            interval.clear();
            let _ = self.empty.push(interval);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_nobody_looks() {
        let round = Round::new().unwrap();
        let mut own = Box::new(Interval::new().unwrap());
        for second in 1..=20_u64 {
            own.sent += 1;
            own.intended.record(second * 1_000).unwrap();
            round.hand_over(&mut own, second * INTERVAL_NS);
        }
        let mut total = Interval::new().unwrap();
        let mut ends = Vec::new();
        round.take(|interval| {
            total.add(interval);
            ends.push((interval.from_ns / INTERVAL_NS, interval.to_ns / INTERVAL_NS));
        });
        assert_eq!(ends, [(0, 1), (1, 2), (2, 3), (3, 4)]);
        total.add(&own);
        assert_eq!((total.sent, total.intended.len()), (20, 20));
        assert_eq!((own.from_ns, own.to_ns), (4 * INTERVAL_NS, 20 * INTERVAL_NS));
        round.hand_over(&mut own, 21 * INTERVAL_NS);
        assert_eq!((own.sent, own.intended.len()), (0, 0));
    }
}
