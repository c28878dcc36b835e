//! Octets on their way from the worker that took them to the worker that they concern.
//!
//! Any packet may arrive on any worker, and what it leads to is decided on one: the home of its
//! message. So a worker that takes what is not its own copies it into a [`Parcel`] and puts that on a
//! ring; the home takes it before it receives anything itself. It is one hop, always: what comes out
//! of a ring never goes onto another one.
//!
//! ```text
//!  worker a                      a pair                       worker b
//!  post ──────> filled: bounded, what b has not taken ──────> take
//!       <────── empty:  bounded, what a may fill      <────── give_back
//! ```
//!
//! Each pair of workers has rings and parcels of its own, so that one which stands still takes room
//! from nobody else, and nobody ever waits for it: when no parcel is empty, a request is dropped or
//! refused, which nobody has accepted yet, and a response finds another way. A share of the parcels is
//! kept for what proves something.

use core::cell::Cell;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::id::WorkerId;
use crate::limits::{
    BURST_SIZE, DATAGRAM_SIZE_MAX, HANDOVER_LARGE_SHARE, HANDOVER_MAX, HANDOVER_PAIR_MIN,
    HANDOVER_PROOF_SHARE, HANDOVER_RESERVED_SHARE, REQUEST_SMALL_SIZE, WORKERS_MAX,
};
use crate::packet::{Arrival, Flow};
use crate::time::Instant;

/// What is handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A request: dropped when there is no room for it.
    Request,
    /// A response, which may prove something.
    Response,
    /// The beginning of a datagram of ours that an ICMP error quotes.
    Unreachable,
    /// A response of ours that leaves on a connection of the worker it is handed over to.
    Departure {
        /// Whether it is the report about a message, whose end is counted.
        is_report: bool,
    },
}

/// One arrival, copied.
#[derive(Debug)]
pub struct Parcel {
    kind: Kind,
    flow: Flow,
    at: Instant,
    since: Instant,
    truncated: bool,
    len: usize,
    octets: Box<[u8]>,
}

impl Parcel {
    /// Of `size` octets, all of them touched.
    fn empty(size: usize) -> Self {
        Self {
            kind: Kind::Request,
            flow: Flow::NOWHERE,
            at: Instant::default(),
            since: Instant::default(),
            truncated: false,
            len: 0,
            octets: core::iter::repeat_n(0xFF, size).collect(),
        }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The moment as of which it is to be looked up: when it was taken, or before a pause through which
    /// it may have waited.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The arrival, as the worker that took it saw it.
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival {
            flow: self.flow,
            at: self.at,
            octets: &self.octets[..self.len],
            truncated: self.truncated,
        }
    }
}

/// No parcel was empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoParcel;

/// The parcels of one size between two workers.
#[derive(Debug)]
struct Ring {
    filled: ArrayQueue<Parcel>,
    empty: ArrayQueue<Parcel>,
}

impl Ring {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { filled: ArrayQueue::new(capacity), empty: ArrayQueue::new(capacity) })
    }
}

/// One direction between two workers.
#[derive(Clone, Debug)]
struct Lane {
    small: Arc<Ring>,
    large: Arc<Ring>,
}

/// One worker's ends of all lanes.
#[derive(Debug)]
pub struct Handover {
    own: WorkerId,
    to: Box<[Option<Lane>]>,
    from: Box<[Option<Lane>]>,
    /// At which worker the next taking begins, so that none is always last.
    next: usize,
    /// Whom something was posted to since that was last asked.
    posted: Cell<u64>,
}

/// What was taken from the rings, to be given back. Without room by default.
#[derive(Debug, Default)]
pub struct Taken {
    parcels: Vec<(u8, Parcel)>,
}

impl Taken {
    /// Room for a burst.
    pub fn new() -> Self {
        Self { parcels: Vec::with_capacity(BURST_SIZE) }
    }

    /// The parcels, in the order of each lane.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Parcel> {
        self.parcels.iter().map(|(_, parcel)| parcel)
    }
}

/// Parcels of either size in one lane of a group of `workers`.
const fn capacities(workers: usize) -> [usize; 2] {
    let pairs = if workers > 1 { workers - 1 } else { 1 };
    let share = HANDOVER_MAX / pairs;
    let small = if share > HANDOVER_PAIR_MIN { share } else { HANDOVER_PAIR_MIN };
    [small, small / HANDOVER_LARGE_SHARE]
}

/// Octets that the parcels of a group of `workers` take, all lanes together.
pub const fn memory(workers: usize) -> usize {
    let [small, large] = capacities(workers);
    let lanes = workers * workers.saturating_sub(1);
    let header = 2 * size_of::<Parcel>();
    lanes * (small * (REQUEST_SMALL_SIZE + header) + large * (DATAGRAM_SIZE_MAX + header))
}

/// The ends of the lanes of a group, one for each worker in their order. They hold no parcels
/// until [`Handover::furnish`] is called.
///
/// # Panics
///
/// Panics if there are more than [`WORKERS_MAX`].
pub fn group(count: usize) -> Vec<Handover> {
    assert!(count <= WORKERS_MAX);
    let [small, large] = capacities(count);
    let lane = || Lane { small: Ring::new(small), large: Ring::new(large) };
    // The lane from worker a to worker b, at a * count + b.
    let lanes: Vec<Option<Lane>> =
        (0..count * count).map(|place| (place / count != place % count).then(lane)).collect();
    let end = |own: u8| {
        let at = usize::from(own);
        Handover {
            own: WorkerId(own),
            to: lanes[at * count..(at + 1) * count].into(),
            from: lanes.iter().skip(at).step_by(count).cloned().collect(),
            next: 0,
            posted: Cell::new(0),
        }
    };
    (0..).take(count).map(end).collect()
}

impl Handover {
    /// Whose ends these are.
    pub const fn own(&self) -> WorkerId {
        self.own
    }

    /// How many workers there are.
    pub const fn workers(&self) -> usize {
        self.to.len()
    }

    /// Allocates and touches the parcels that this worker fills, on its own core.
    pub fn furnish(&self) {
        for lane in self.to.iter().flatten() {
            for (ring, size) in
                [(&lane.small, REQUEST_SMALL_SIZE), (&lane.large, DATAGRAM_SIZE_MAX)]
            {
                while ring.empty.len() + ring.filled.len() < ring.empty.capacity() {
                    // It has room: nobody else adds to it before something was posted.
                    let _ = ring.empty.push(Parcel::empty(size));
                }
            }
        }
    }

    /// Hands an arrival over, to be looked up as of `since`.
    ///
    /// # Errors
    ///
    /// [`NoParcel`] if every parcel for that worker is under way, or for a request if the rest is kept
    /// for others.
    ///
    /// # Panics
    ///
    /// Panics if `to` is the worker itself or nobody.
    pub fn post(
        &self,
        to: WorkerId,
        kind: Kind,
        arrival: &Arrival<'_>,
        since: Instant,
    ) -> Result<(), NoParcel> {
        let len = arrival.octets.len();
        let (ring, mut parcel) = self.parcel(to, kind, len).ok_or(NoParcel)?;
        parcel.octets[..len].copy_from_slice(arrival.octets);
        let parcel = Parcel {
            kind,
            flow: arrival.flow,
            at: arrival.at,
            since,
            truncated: arrival.truncated,
            len,
            octets: parcel.octets,
        };
        self.put(to, ring, parcel);
        Ok(())
    }

    /// Hands a response over that leaves from there on the connection of `flow`: `fill` writes it, at
    /// most `len_max` octets, and returns how many they are.
    ///
    /// # Errors
    ///
    /// `fill`, unused, if there is no parcel for it.
    ///
    /// # Panics
    ///
    /// Panics if `to` is the worker itself or nobody.
    pub fn post_departure<F: FnOnce(&mut [u8]) -> usize>(
        &self,
        to: WorkerId,
        flow: Flow,
        is_report: bool,
        len_max: usize,
        fill: F,
    ) -> Result<(), F> {
        let kind = Kind::Departure { is_report };
        let Some((ring, mut parcel)) = self.parcel(to, kind, len_max) else { return Err(fill) };
        let len = fill(&mut parcel.octets);
        let (at, since) = (Instant::default(), Instant::default());
        let parcel = Parcel { kind, flow, at, since, truncated: false, len, octets: parcel.octets };
        self.put(to, ring, parcel);
        Ok(())
    }

    /// An empty parcel of `len` octets for something of this kind.
    fn parcel(&self, to: WorkerId, kind: Kind, len: usize) -> Option<(&Ring, Parcel)> {
        let lane = self.to[usize::from(to.0)].as_ref();
        let Some(lane) = lane else { unreachable!("nobody hands over to themselves") };
        let ring = if len <= REQUEST_SMALL_SIZE { &lane.small } else { &lane.large };
        if len > DATAGRAM_SIZE_MAX {
            return None;
        }
        let reserved = match kind {
            Kind::Request => ring.empty.capacity() / HANDOVER_RESERVED_SHARE,
            Kind::Departure { .. } => ring.empty.capacity() / HANDOVER_PROOF_SHARE,
            Kind::Response | Kind::Unreachable => 0,
        };
        // Nobody else takes from these, so there are at least as many when one is taken.
        if ring.empty.len() <= reserved {
            return None;
        }
        Some((ring, ring.empty.pop()?))
    }

    fn put(&self, to: WorkerId, ring: &Ring, parcel: Parcel) {
        let Ok(()) = ring.filled.push(parcel) else {
            unreachable!("a ring has room for all of its parcels");
        };
        self.posted.set(self.posted.get() | 1 << to.0);
    }

    /// Whom something was posted to since this was asked last, a bit for each worker: they may sleep.
    pub const fn posted(&self) -> u64 {
        self.posted.replace(0)
    }

    /// Whether something waits to be taken.
    pub fn is_waiting(&self) -> bool {
        self.from
            .iter()
            .flatten()
            .any(|lane| !lane.small.filled.is_empty() || !lane.large.filled.is_empty())
    }

    /// Takes what was handed over: at most `max`, and at most [`BURST_SIZE`], with what is in `taken`.
    pub fn take(&mut self, max: usize, taken: &mut Taken) {
        let room = max.min(BURST_SIZE);
        let count = self.from.len();
        for turn in 0..count {
            let from = (self.next + turn) % count;
            let Some(lane) = &self.from[from] else { continue };
            let number = self.number(from);
            for ring in [&lane.small, &lane.large] {
                while taken.parcels.len() < room
                    && let Some(parcel) = ring.filled.pop()
                {
                    taken.parcels.push((number, parcel));
                }
            }
        }
        self.next = (self.next + 1) % count.max(1);
    }

    /// Gives parcels back to those who filled them.
    pub fn give_back(&self, taken: &mut Taken) {
        for (from, parcel) in taken.parcels.drain(..) {
            let Some(lane) = &self.from[usize::from(from)] else {
                unreachable!("it came out of this lane");
            };
            let ring =
                if parcel.octets.len() <= REQUEST_SMALL_SIZE { &lane.small } else { &lane.large };
            let Ok(()) = ring.empty.push(parcel) else {
                unreachable!("a ring has room for all of its parcels");
            };
        }
    }

    fn number(&self, worker: usize) -> u8 {
        debug_assert!(worker < self.from.len());
        u8::try_from(worker).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests;
