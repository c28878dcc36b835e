//! Who may connect, and how many.

use crate::id::WorkerId;
use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_OWN_SHARE, STREAM_TO_ONE_SHARE};
use crate::packet::SocketId;

/// What holds for the connections of one worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Whose connections they are.
    pub worker: WorkerId,
    /// How many there may be at once, at most [`CONNECTIONS_MAX`]. A share of them is kept for those
    /// that we open.
    pub connections_max: u16,
    /// How many of them one source may have opened; all strangers together count as one.
    pub per_source_max: u16,
    /// The addresses of those that are known, IPv4 in its IPv4-mapped form, in ascending order.
    pub known: Box<[[u8; 16]]>,
    /// Whether others may connect as well.
    pub strangers: bool,
    /// After how long without an octet a connection is closed, in milliseconds.
    pub idle_ms: u32,
    /// The sockets whose connections carry octets that the engine divides itself
    /// ([`StreamEvent`](crate::packet::StreamEvent)). A driver knows them by their kind.
    pub undivided: Box<[SocketId]>,
    /// How many of those connections others may have opened, whoever they are: a path leads anybody here,
    /// and only a session says who he is (RFC 4975 section 14.1).
    pub undivided_max: u16,
}

impl Rules {
    /// Rules for a worker that nobody may connect to, which opens a few connections itself.
    pub fn closed(worker: WorkerId) -> Self {
        Self {
            worker,
            connections_max: 16,
            per_source_max: 0,
            known: Box::new([]),
            strangers: false,
            idle_ms: crate::limits::STREAM_IDLE_MS,
            undivided: Box::new([]),
            undivided_max: 0,
        }
    }

    /// How many accepted connections there may be at once.
    pub(super) const fn accepted_max(&self) -> u16 {
        let own = self.connections_max / CONNECTIONS_OWN_SHARE;
        self.connections_max - if own == 0 { 1 } else { own }
    }

    /// Whether the engine itself divides what connections of this socket carry.
    pub(super) fn is_undivided(&self, socket: SocketId) -> bool {
        self.undivided.contains(&socket)
    }

    /// How many places have to be left when a connection is opened that is wished for: half of those that
    /// are kept for what we open is for departures.
    pub(super) const fn kept_for_departures(&self) -> usize {
        (self.connections_max / CONNECTIONS_OWN_SHARE / 2) as usize
    }

    /// How many connections may be opened to one address because they were wished for.
    pub(super) const fn to_one_max(&self) -> u16 {
        let most = self.connections_max / STREAM_TO_ONE_SHARE;
        if most == 0 { 1 } else { most }
    }

    /// How many numbers sources have.
    pub(super) fn sources(&self) -> usize {
        self.known.len() + 2
    }

    /// The number of who connects to a socket, and how many connections he may have. All strangers have one
    /// number, and all whose octets are not divided another. `None` if he may not connect.
    pub(super) fn source(&self, ip: [u8; 16], socket: SocketId) -> Option<(usize, u16)> {
        if self.is_undivided(socket) {
            return Some((self.known.len() + 1, self.undivided_max));
        }
        match self.known.binary_search(&ip) {
            Ok(number) => Some((number, self.per_source_max)),
            Err(_) => self.strangers.then_some((self.known.len(), self.per_source_max)),
        }
    }

    pub(super) fn check(&self) {
        assert!((1..=CONNECTIONS_MAX).contains(&self.connections_max));
        assert!(self.known.is_sorted(), "sources are looked up by bisection");
    }
}
