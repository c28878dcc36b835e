//! Counters: one array per worker, written by its owner only, read by anybody.

mod counter;

pub use self::counter::Counter;

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The counters of one worker.
#[derive(Debug)]
pub struct Counters {
    values: [AtomicU64; Counter::COUNT],
}

impl Counters {
    /// All zero.
    pub const fn new() -> Self {
        Self { values: [const { AtomicU64::new(0) }; Counter::COUNT] }
    }

    /// Counts one. Only the owning worker may call this: it is a plain load and store.
    pub fn add(&self, counter: Counter) {
        self.add_many(counter, 1);
    }

    /// Counts several.
    pub fn add_many(&self, counter: Counter, count: u64) {
        let value = &self.values[counter as usize];
        value.store(value.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, counter: Counter, value: u64) {
        self.values[counter as usize].store(value, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self, counter: Counter) -> u64 {
        self.values[counter as usize].load(Ordering::Relaxed)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// What is counted about one peer. In lines of its own: beside the counters of another worker each
/// count would take the line from the other core.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PeerTally {
    /// Requests that came from it.
    pub requests_in: AtomicU64,
    /// First transmissions of requests to it.
    pub requests_out: AtomicU64,
    /// Final responses that came from it.
    pub finals_in: AtomicU64,
    /// Requests to it that ended with timer F.
    pub timer_f: AtomicU64,
    /// Requests to it that ended with an ICMP error.
    pub unreachable: AtomicU64,
    /// When the last datagram came from it, in nanoseconds of the worker's clock; 0 for never.
    pub last_heard_ns: AtomicU64,
}

impl PeerTally {
    /// Counts one in `field`. Only the owning worker may call this.
    pub fn add(field: &AtomicU64) {
        field.store(field.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What several workers count together.
#[derive(Clone, Debug)]
pub struct Total {
    tallies: Arc<[Arc<Tally>]>,
}

impl Total {
    /// Of these.
    pub fn of(tallies: impl IntoIterator<Item = Arc<Tally>>) -> Self {
        Self { tallies: tallies.into_iter().collect() }
    }

    /// What all of them have counted so far; of the longest turn, the longest.
    pub fn read(&self, counter: Counter) -> u64 {
        let values = self.tallies.iter().map(|tally| tally.counters.read(counter));
        if counter == Counter::TurnLongestNs { values.max().unwrap_or(0) } else { values.sum() }
    }

    /// The sum of one field over what each has counted about the peer at position `index`.
    pub fn peer(&self, index: usize, field: impl Fn(&PeerTally) -> &AtomicU64) -> u64 {
        self.of_peer(index, field).sum()
    }

    /// When the last datagram came from the peer at position `index`, in nanoseconds; 0 for never.
    pub fn last_heard_ns(&self, index: usize) -> u64 {
        self.of_peer(index, |peer| &peer.last_heard_ns).max().unwrap_or(0)
    }

    /// Each of them, in the order of the workers.
    pub fn tallies(&self) -> &[Arc<Tally>] {
        &self.tallies
    }

    fn of_peer(
        &self,
        index: usize,
        field: impl Fn(&PeerTally) -> &AtomicU64,
    ) -> impl Iterator<Item = u64> {
        let peers = self.tallies.iter().filter_map(move |tally| tally.peers.get(index));
        peers.map(move |peer| field(peer).load(Ordering::Relaxed))
    }
}

/// Everything one worker counts, in lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct Tally {
    /// By what happened.
    pub counters: Counters,
    /// By peer, in the order of the configuration.
    pub peers: Box<[PeerTally]>,
}

impl Tally {
    /// All zero, for `peers` peers.
    pub fn new(peers: usize) -> Self {
        let peers = core::iter::repeat_with(PeerTally::default).take(peers).collect();
        Self { counters: Counters::new(), peers }
    }
}
