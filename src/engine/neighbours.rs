//! The other workers, as an engine knows them: what their transactions look like from outside, the
//! rings to and from them, and what all of them share.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::handover::{self, Handover};
use crate::id::WorkerId;
use crate::store::{Fingerprint, Reader, Unsettled};
use crate::time::Instant;

/// What the workers of one process share. All of it is read without waiting.
#[derive(Debug)]
pub struct Common {
    workers: Box<[Shard]>,
    /// Until when each of the next servers is left alone, in nanoseconds: what a server has asked of
    /// one worker holds for all.
    avoided: Box<[AtomicU64]>,
}

/// One worker, seen by the others.
#[derive(Debug, Default)]
struct Shard {
    /// Its server transactions, once it has started.
    transactions: OnceLock<Reader>,
    /// What it has refused and remembers.
    refused: OnceLock<Reader>,
    /// Until when, in nanoseconds, others may remember that they have refused what is at home here.
    turned_away: AtomicU64,
    /// It is stuck or dead, and will never do anything again.
    lost: AtomicBool,
}

impl Common {
    fn new(workers: usize, servers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: (0..workers).map(|_| Shard::default()).collect(),
            avoided: (0..servers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Says that a worker will never do anything again. Whoever says so makes sure that it is true.
    pub fn lose(&self, worker: WorkerId) {
        if let Some(shard) = self.workers.get(usize::from(worker.0)) {
            shard.lost.store(true, Ordering::Release);
        }
    }
}

/// One worker's view of the others.
#[derive(Debug)]
pub struct Neighbours {
    pub(super) handover: Handover,
    common: Arc<Common>,
}

impl Neighbours {
    /// Of the only worker, with so many next servers.
    pub fn none(servers: usize) -> Self {
        let Some(only) = Self::group(1, servers).pop() else { unreachable!("there is one") };
        only
    }

    /// Of `workers` workers, in their order.
    pub fn group(workers: usize, servers: usize) -> Vec<Self> {
        let common = Common::new(workers, servers);
        handover::group(workers)
            .into_iter()
            .map(|handover| Self { handover, common: Arc::clone(&common) })
            .collect()
    }

    /// What all of them share.
    pub fn common(&self) -> Arc<Common> {
        Arc::clone(&self.common)
    }

    /// Which worker this is.
    pub const fn own(&self) -> WorkerId {
        self.handover.own()
    }

    /// How many workers there are.
    pub const fn count(&self) -> usize {
        self.handover.workers()
    }

    /// Whether there is such a worker.
    pub(super) const fn has(&self, worker: WorkerId) -> bool {
        (worker.0 as usize) < self.count()
    }

    /// Shows the server transactions of this worker to the others, and what it has refused.
    pub(super) fn show(&self, transactions: Reader, refused: Reader) {
        if let Some(shard) = self.common.workers.get(usize::from(self.own().0)) {
            // They are shown once, when the engine is made.
            let _ = shard.transactions.set(transactions);
            let _ = shard.refused.set(refused);
        }
    }

    /// Says that this worker remembers until `end` that it has refused what is at home there.
    pub(super) fn turn_away(&self, home: WorkerId, end: Instant) {
        if let Some(shard) = self.common.workers.get(usize::from(home.0)) {
            shard.turned_away.fetch_max(end.0, Ordering::AcqRel);
        }
    }

    /// Whether others may have refused what is at home here.
    pub(super) fn is_any_turned_away(&self, now: Instant) -> bool {
        let shard = self.common.workers.get(usize::from(self.own().0));
        shard.is_some_and(|shard| shard.turned_away.load(Ordering::Acquire) > now.0)
    }

    /// What a worker has refused; one that has not started has refused nothing.
    pub(super) fn refusal(
        &self,
        worker: WorkerId,
        fingerprint: Fingerprint,
        at: Instant,
    ) -> Result<Option<u64>, Unsettled> {
        let shard = self.common.workers.get(usize::from(worker.0));
        match shard.and_then(|shard| shard.refused.get()) {
            Some(reader) => reader.get(fingerprint, at),
            None => Ok(None),
        }
    }

    pub(super) fn is_lost(&self, worker: WorkerId) -> bool {
        let shard = self.common.workers.get(usize::from(worker.0));
        shard.is_some_and(|shard| shard.lost.load(Ordering::Acquire))
    }

    /// What a worker knows about a request; a worker that has not started knows nothing.
    pub(super) fn transaction(
        &self,
        worker: WorkerId,
        fingerprint: Fingerprint,
        at: Instant,
    ) -> Result<Option<u64>, Unsettled> {
        match self.reader(worker) {
            Some(reader) => reader.get(fingerprint, at),
            None => Ok(None),
        }
    }

    pub(super) fn prefetch(&self, worker: WorkerId, fingerprint: Fingerprint) {
        if let Some(reader) = self.reader(worker) {
            reader.prefetch(fingerprint);
        }
    }

    /// All workers but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = WorkerId> {
        let own = self.own();
        // There are at most WORKERS_MAX of them.
        (0..u8::MAX).take(self.count()).map(WorkerId).filter(move |worker| *worker != own)
    }

    /// Until when a server is left alone.
    pub(super) fn avoided_until(&self, server: usize) -> Instant {
        Instant(self.common.avoided.get(server).map_or(0, |until| until.load(Ordering::Relaxed)))
    }

    /// Leaves a server alone until `until`.
    pub(super) fn avoid(&self, server: usize, until: Instant) {
        if let Some(place) = self.common.avoided.get(server) {
            place.store(until.0, Ordering::Relaxed);
        }
    }

    fn reader(&self, worker: WorkerId) -> Option<&Reader> {
        self.common.workers.get(usize::from(worker.0))?.transactions.get()
    }
}
