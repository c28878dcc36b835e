//! Counters: one array per worker, written by its owner only, read by anybody.

mod counter;

pub use self::counter::Counter;

use core::sync::atomic::{AtomicU64, Ordering};

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
