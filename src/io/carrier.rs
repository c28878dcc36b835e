//! Connections that somebody else carries, as TLS is carried outside of the packet path.
//!
//! Whoever carries them connects, accepts and proves who is who, in his own time and thread. A driver
//! gets one end of a pair of local sockets with the plain octets, and treats it like any connection.
//! What a driver has written to it is as far from the peer as what the kernel has taken of a
//! connection of its own: it may have left, and nobody may say that it has not.

use std::os::fd::OwnedFd;

use crossbeam::queue::ArrayQueue;

use super::waker::Waker;
use crate::packet::{Certificate, ConnectionId, Endpoint, SocketId};

/// A connection that a driver wants to have opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Under which name the answer is expected.
    pub id: ConnectionId,
    /// The socket that it belongs to.
    pub socket: SocketId,
    /// Where to.
    pub remote: Endpoint,
}

/// What a driver is told about carried connections.
#[derive(Debug)]
pub enum Carried {
    /// Somebody has connected, and proved what he has to.
    Accepted {
        /// The socket that it belongs to.
        socket: SocketId,
        /// The other end.
        remote: Endpoint,
        /// Our own address.
        local: [u8; 16],
        /// The plain octets.
        stream: OwnedFd,
        /// What the other end has shown, where the engine judges that.
        certificate: Option<Certificate>,
    },
    /// A wanted connection is there.
    Opened {
        /// Which.
        id: ConnectionId,
        /// Our own address.
        local: [u8; 16],
        /// The plain octets.
        stream: OwnedFd,
        /// What the other end has shown, where the engine judges that.
        certificate: Option<Certificate>,
    },
    /// It cannot be had. Not an octet has left.
    Failed {
        /// Which.
        id: ConnectionId,
        /// The errno, or 0 where it was not the network that refused.
        errno: i32,
    },
}

/// What passes between one driver and whoever carries its connections.
#[derive(Debug)]
pub struct Carrier {
    wanted: ArrayQueue<Wanted>,
    carried: ArrayQueue<Carried>,
    waker: Waker,
}

/// Connections in either direction that wait to be looked at. What finds no room is told as failed,
/// or closed.
const WAITING_MAX: usize = 256;

impl Carrier {
    /// Connects a driver with the carrier that `waker` wakes.
    pub fn new(waker: Waker) -> Self {
        Self { wanted: ArrayQueue::new(WAITING_MAX), carried: ArrayQueue::new(WAITING_MAX), waker }
    }

    /// What the driver wants next.
    pub fn wanted(&self) -> Option<Wanted> {
        self.wanted.pop()
    }

    /// Tells the driver, which must be woken after it. `false` when too much waits already: a connection is
    /// then closed.
    pub fn tell(&self, carried: Carried) -> bool {
        self.carried.push(carried).is_ok()
    }

    /// `false` when too much waits already.
    pub(super) fn want(&self, wanted: Wanted) -> bool {
        let is_queued = self.wanted.push(wanted).is_ok();
        if is_queued {
            self.waker.wake();
        }
        is_queued
    }

    pub(super) fn carried(&self) -> Option<Carried> {
        self.carried.pop()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.carried.is_empty()
    }
}
