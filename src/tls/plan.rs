//! What the thread of TLS is started with.

use core::fmt;
use core::net::SocketAddr;
use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use crossbeam::channel::Sender;

use crate::io::{Carrier, Waker};
use crate::metrics::Tally;
use crate::packet::SocketId;
use crate::tls::material::Material;
use crate::tls::names::Directory;

/// Where connections come in, and own ones leave from.
#[derive(Debug)]
pub struct Entrance {
    /// Its number on every worker.
    pub socket: SocketId,
    /// Who listens there.
    pub listener: std::net::TcpListener,
    /// Where that is.
    pub address: SocketAddr,
    /// What is spoken there.
    pub spoken: Spoken,
}

/// What is spoken behind an entrance, and so who has to prove what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spoken {
    /// SIP, with peers that are called by their names, by any worker.
    Sip,
    /// MSRP, with anybody who has a certificate, by the worker with this number.
    Msrp(usize),
}

/// How much there may be at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections that others have opened.
    pub accepted_max: u32,
    /// Of these, those of one source; all strangers together count as one.
    pub per_source_max: u32,
    /// Beside them, those of MSRP, whoever has opened them.
    pub msrp_max: u32,
}

/// The workers, as far as connections are given to them.
pub trait Workers: Send {
    /// Makes a worker look at what it was told.
    fn wake(&self, worker: usize);

    /// Whether it still takes turns.
    fn is_able(&self, worker: usize) -> bool;
}

/// What the thread is started with.
pub struct Plan {
    /// Where connections come in.
    pub entrances: Vec<Entrance>,
    /// What each worker has to say and is told, in their order.
    pub carriers: Vec<Arc<Carrier>>,
    /// What the carriers wake.
    pub waker: Waker,
    /// How they are woken.
    pub workers: Box<dyn Workers>,
    /// Who may be at the other end.
    pub directory: Directory,
    /// What handshakes are made with at first.
    pub material: Material,
    /// Where the fingerprint of our certificate stands, for who says it in SDP: that of `material` at first.
    pub fingerprint: Arc<AtomicCell<[u8; 32]>>,
    /// How much there may be.
    pub limits: Limits,
    /// A CPU that no worker has, if there is one.
    pub cpu: Option<usize>,
    /// Where it counts: nobody else does there.
    pub tally: Arc<Tally>,
    /// Where it says what goes wrong; what does not fit there is not said.
    pub told: Sender<String>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An [`Entrance`] without its listener.
#[derive(Clone, Copy)]
pub(super) struct Door {
    pub(super) socket: SocketId,
    pub(super) address: SocketAddr,
    pub(super) spoken: Spoken,
}

impl Entrance {
    pub(super) const fn door(&self) -> Door {
        Door { socket: self.socket, address: self.address, spoken: self.spoken }
    }
}
