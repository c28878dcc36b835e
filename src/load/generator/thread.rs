//! What both ends have in common: a thread on its core, a driver, and what they cost.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use core_affinity::CoreId;
use crossbeam::channel::Sender;
use serde::Serialize;

use crate::io::Driver;
use crate::metrics::{Counter, Tally};
use crate::store::{allocations_count, allocations_of_this_thread};

/// What both ends are told while they run.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// When the first message is due; 0 until that is known.
    start_ns: AtomicU64,
    stop: AtomicU8,
}

/// How a run is ended before its time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Stop {
    /// It is not.
    No = 0,
    /// Nothing new leaves; what is open is waited for.
    Soft = 1,
    /// At once.
    Now = 2,
}

impl Orders {
    pub(super) fn start(&self, start_ns: u64) {
        self.start_ns.store(start_ns, Ordering::Release);
    }

    pub(super) fn stop(&self, stop: Stop) {
        self.stop.fetch_max(stop as u8, Ordering::Release);
    }

    pub(super) fn stopped(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Soft,
            _ => Stop::Now,
        }
    }

    /// Waits for the start, which comes as soon as both ends are ready. `None` if it never does.
    #[expect(clippy::disallowed_methods, reason = "it waits before anything is measured")]
    pub(super) fn wait(&self) -> Option<u64> {
        loop {
            match (self.start_ns.load(Ordering::Acquire), self.stopped()) {
                (_, Stop::Now) => return None,
                (0, _) => std::thread::sleep(Duration::from_millis(1)),
                (start_ns, _) => return Some(start_ns),
            }
        }
    }
}

/// What an end says when it is ready, or why it cannot be.
pub(super) type Ready = Sender<io::Result<Opened>>;

/// What an end runs on.
#[derive(Clone, Debug, Serialize)]
pub struct Opened {
    /// How it moves octets.
    pub driver: String,
    /// Why that is not `io_uring`, where it was to be tried.
    pub refusal: Option<String>,
}

impl Opened {
    pub(super) fn of(driver: &Driver) -> Self {
        Self {
            driver: driver.kind().to_string(),
            refusal: driver.refusal().map(ToString::to_string),
        }
    }
}

/// Pins this thread to a core that it may use.
pub(super) fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(id) = cpu else { return Ok(()) };
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    // A core far beyond those that there are is more than a set of cores can hold.
    if allowed.contains(&CoreId { id }) && core_affinity::set_for_current(CoreId { id }) {
        return Ok(());
    }
    Err(io::Error::other("there is no such cpu, or it may not be used"))
}

/// What a thread had used when it began to be measured.
#[derive(Debug)]
pub(super) struct Meter {
    cpu_ns: u64,
    involuntary: u64,
}

impl Meter {
    pub(super) fn start() -> Self {
        let (cpu_ns, involuntary) = used();
        allocations_count();
        Self { cpu_ns, involuntary }
    }

    pub(super) fn stop(&self, tally: &Arc<Tally>) -> Cost {
        let allocations = allocations_of_this_thread();
        let (cpu_ns, involuntary) = used();
        let count = |counter| tally.counters.read(counter);
        Cost {
            cpu_ns: cpu_ns.saturating_sub(self.cpu_ns),
            involuntary_switches: involuntary.saturating_sub(self.involuntary),
            allocations,
            messages_in: count(Counter::DatagramsIn) + count(Counter::StreamMessagesIn),
            messages_out: count(Counter::DatagramsOut) + count(Counter::StreamMessagesOut),
            socket_drops: count(Counter::KernelDrops),
            sends_refused: count(Counter::SendRefused),
        }
    }
}

/// What an end has used, and what the kernel did to it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Time on a core, in nanoseconds.
    pub cpu_ns: u64,
    /// How often its core was taken from it.
    pub involuntary_switches: u64,
    /// Allocations of its thread while it ran, where they are counted.
    pub allocations: Option<u64>,
    /// Datagrams, or messages of a stream, that it took.
    pub messages_in: u64,
    /// Datagrams, or messages of a stream, that left it.
    pub messages_out: u64,
    /// Datagrams that the kernel dropped because it did not take them.
    pub socket_drops: u64,
    /// Sends that the kernel refused.
    pub sends_refused: u64,
}

/// Nanoseconds on a core and involuntary switches of this thread (proc(5)), as far as they are told.
fn used() -> (u64, u64) {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let cpu_ns = schedstat.split(' ').next().and_then(|ns| ns.parse().ok());
    let switches = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    let switches = switches.and_then(|count| count.trim().parse().ok());
    (cpu_ns.unwrap_or(0), switches.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_never_taken_back() {
        let orders = Orders::default();
        orders.stop(Stop::Now);
        orders.stop(Stop::Soft);
        assert_eq!(orders.stopped(), Stop::Now);
        assert_eq!(orders.wait(), None);
        let orders = Orders::default();
        orders.start(7);
        assert_eq!(orders.wait(), Some(7));
    }

    #[test]
    fn time_on_a_core_is_told() {
        let meter = Meter::start();
        let sum = (0..20_000_000_u64).fold(0, |sum: u64, n| core::hint::black_box(sum ^ n));
        assert_ne!(sum, 1);
        assert!(meter.stop(&Arc::new(Tally::new(0))).cpu_ns > 0);
    }
}
