//! The driver that a worker holds: either of the two, and how it waits.

use core::fmt;
use core::marker::PhantomData;
use std::io;
use std::sync::Arc;

use super::clock;
use super::mmsg::Mmsg;
use super::socket;
use super::stream::{Connections, Sockets};
use super::uring::Uring;
use super::waker::Waker;
use crate::limits::{ADAPTIVE_SPIN_NS, RECEIVE_BUFFERS};
use crate::metrics::Tally;
use crate::packet::{Arrival, Departures, Endpoint, JournalSeq, Owner, Sent, StreamEvent};
use crate::time::Instant;

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// io_uring, or `mmsg` where that is refused.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// `recvmmsg` and `sendmmsg`.
    Mmsg,
    /// The same with trains: datagrams of one length to one place leave in one call and one piece
    /// (`UDP_SEGMENT`), and arrive as they left where the path allows it (`UDP_GRO`).
    Trains,
}

/// Which driver it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// io_uring.
    Uring,
    /// `recvmmsg` and `sendmmsg`.
    Mmsg,
    /// The same with trains.
    Trains,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Mmsg => "mmsg",
            Self::Trains => "mmsg with trains",
        })
    }
}

/// What a worker does in turns without work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Polling {
    /// Looks again at once: the shortest latency, for a core of its own.
    Spin,
    /// Looks again for a while, then lets the kernel wake it.
    #[default]
    Adaptive,
    /// Lets the kernel wake it.
    Wait,
}

/// Something that the driver tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// Datagrams, or messages of connections: at least one and at most
    /// [`BURST_SIZE`](crate::limits::BURST_SIZE), in the order of each socket or connection. Their
    /// octets are the kernel's again when the call returns.
    Burst(&'a [Arrival<'a>]),
    /// How a departure with an owner went. Each one ends in exactly one of these.
    Sent {
        /// Whom it concerns.
        owner: Owner,
        /// What the kernel said.
        sent: Sent,
        /// When that was noticed.
        at: Instant,
    },
    /// An ICMP error about a datagram of ours.
    Unreachable {
        /// Where the datagram was to go.
        remote: Endpoint,
        /// The beginning of the datagram, as far as ICMP quotes it.
        quoted: &'a [u8],
        /// When that was noticed.
        at: Instant,
    },
    /// Something about a connection whose octets the engine divides itself.
    Stream(StreamEvent<'a>),
}

/// Moves octets between sockets and an engine, for one worker.
///
/// It stays on the thread that opened it: that thread is the one that io_uring lets submit.
///
/// **The `Departures` given to `submit` are the same in every call and outlive the driver**: the
/// kernel reads a departure's octets in its slot until the send has completed. Slots that the
/// driver holds when it is dropped are not given back.
#[derive(Debug)]
pub struct Driver {
    backend: Backend,
    refusal: Option<io::Error>,
    idle_since: Option<Instant>,
    thread: PhantomData<*const ()>,
}

#[derive(Debug)]
enum Backend {
    Uring(Uring),
    Mmsg(Mmsg),
}

impl Driver {
    /// Takes the sockets over; [`Sockets`] says how they are numbered.
    ///
    /// Everything that will ever be needed is allocated, mapped and touched here.
    ///
    /// # Errors
    ///
    /// Returns why the wanted driver cannot be had; [`Choice::Auto`] fails only if `mmsg` does.
    pub fn open(
        sockets: impl Into<Sockets>,
        choice: Choice,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        Self::with_buffers(sockets.into(), choice, tally, RECEIVE_BUFFERS)
    }

    pub(super) fn with_buffers(
        sockets: Sockets,
        choice: Choice,
        tally: Arc<Tally>,
        buffers: usize,
    ) -> io::Result<Self> {
        let Sockets { datagrams, streams, rules } = sockets;
        let locals = socket::take(datagrams)?;
        let now = clock::now();
        let connections = Connections::open(locals.len(), streams, rules, &tally, now)?;
        let places = connections.as_ref().map_or(0, Connections::places);
        let trains = choice == Choice::Trains;
        let prepared = match choice {
            Choice::Mmsg | Choice::Trains => None,
            Choice::Uring => Some(Ok(Uring::prepare(&locals, buffers, places)?)),
            Choice::Auto => Some(Uring::prepare(&locals, buffers, places)),
        };
        let (backend, refusal) = match prepared {
            Some(Ok(ready)) => {
                (Backend::Uring(Uring::open(ready, locals, connections, tally)?), None)
            }
            Some(Err(refusal)) => {
                (Backend::Mmsg(Mmsg::open(locals, connections, trains, tally)?), Some(refusal))
            }
            None => (Backend::Mmsg(Mmsg::open(locals, connections, trains, tally)?), None),
        };
        Ok(Self { backend, refusal, idle_since: None, thread: PhantomData })
    }

    /// Which of them this is: where every train was refused, `mmsg` alone.
    pub fn kind(&self) -> Kind {
        match &self.backend {
            Backend::Uring(_) => Kind::Uring,
            Backend::Mmsg(mmsg) if mmsg.has_trains() => Kind::Trains,
            Backend::Mmsg(_) => Kind::Mmsg,
        }
    }

    /// Why [`Choice::Auto`] did not take io_uring.
    pub const fn refusal(&self) -> Option<&io::Error> {
        self.refusal.as_ref()
    }

    /// Octets that connections take, whether they are used or not; 0 where there can be none.
    pub fn connections_size(&self) -> usize {
        match &self.backend {
            Backend::Uring(uring) => uring.connections_size(),
            Backend::Mmsg(mmsg) => mmsg.connections_size(),
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        clock::now()
    }

    /// Tells `on` what has happened: first how departures went, then at most `arrivals_max`
    /// datagrams in one burst, then what ICMP says. Returns how much that was; a wake-up counts as
    /// well, so that whoever is woken takes another turn.
    pub fn reap(
        &mut self,
        out: &mut Departures,
        arrivals_max: usize,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let work = match &mut self.backend {
            Backend::Uring(uring) => uring.reap(out, arrivals_max, on),
            Backend::Mmsg(mmsg) => mmsg.reap(out, arrivals_max, on),
        };
        self.worked(work)
    }

    /// Hands to the kernel every departure that waits for no more than `committed`; returns how
    /// many were taken from `out`.
    pub fn submit(&mut self, out: &mut Departures, committed: JournalSeq) -> usize {
        let work = match &mut self.backend {
            Backend::Uring(uring) => uring.submit(out, committed),
            Backend::Mmsg(mmsg) => mmsg.submit(out, committed),
        };
        self.worked(work)
    }

    /// Whether something waits for the other end of a connection to take it.
    pub fn is_writing(&self) -> bool {
        match &self.backend {
            Backend::Uring(uring) => uring.is_writing(),
            Backend::Mmsg(mmsg) => mmsg.is_writing(),
        }
    }

    /// Passes the time after a turn without work, until there may be some: a datagram, the
    /// completion of a send, a wake-up, or `until`. Before it sleeps it asks `may_sleep`, for only the
    /// caller knows of work that comes another way.
    pub fn idle(
        &mut self,
        until: Option<Instant>,
        polling: Polling,
        may_sleep: impl FnOnce() -> bool,
    ) {
        let wait = match polling {
            Polling::Spin => false,
            Polling::Wait => true,
            Polling::Adaptive => {
                let now = clock::now();
                let since = *self.idle_since.get_or_insert(now);
                now.since(since) >= ADAPTIVE_SPIN_NS
            }
        };
        if !wait {
            core::hint::spin_loop();
            return;
        }
        let own = match &self.backend {
            Backend::Uring(uring) => uring.next_deadline(),
            Backend::Mmsg(mmsg) => mmsg.next_deadline(),
        };
        let until = until.into_iter().chain(own).min();
        let timeout_ns = match until {
            Some(until) => match until.since(clock::now()) {
                0 => return,
                left => Some(left),
            },
            None => None,
        };
        if !may_sleep() {
            return;
        }
        match &mut self.backend {
            Backend::Uring(uring) => uring.wait(timeout_ns),
            Backend::Mmsg(mmsg) => mmsg.wait(timeout_ns),
        }
    }

    /// What interrupts [`Driver::idle`].
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub fn waker(&self) -> io::Result<Waker> {
        match &self.backend {
            Backend::Uring(uring) => uring.waker().try_clone(),
            Backend::Mmsg(mmsg) => mmsg.waker().try_clone(),
        }
    }

    const fn worked(&mut self, work: usize) -> usize {
        if work > 0 {
            self.idle_since = None;
        }
        work
    }
}
