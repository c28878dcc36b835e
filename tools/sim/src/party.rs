//! Who is at the other end of the connections whose octets the engine divides itself (MSRP), and how he
//! uses them.
//!
//! The network ([`crate::conduit`]) tells him what happens by [`Party::on_tidings`], in the order in which it
//! happens there. What he wants is put into [`Air::asks`], at any time, and is done when the present event
//! is over. So he needs to know nothing of workers, reads and writes; a conduit is a number that is never
//! given to another one.
//!
//! ```text
//!   his Ask::Open ──> Tidings::Opened { call: Some(..) } or Tidings::Refused
//!   our connecting to where he listens ──> Tidings::Opened { call: None }
//!   Ask::Say ──> what comes to us, cut anywhere; what we write ──> Tidings::Came, cut anywhere
//!   Ask::End, or our closing, or a fault ──> Tidings::Ended, once, and nothing after it
//! ```
//!
//! After `Ask::End` with `Ok` (FIN) he still hears what we write, until `Tidings::Ended`. After one with an
//! errno (RST) he hears `Tidings::Ended` and nothing else. What he says on a conduit that has ended is lost.

use core::fmt;
use std::rc::Rc;

use roger::packet::Endpoint;

use crate::air::Air;
use crate::swarm::Swarm;

/// What he wants of the network.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A connection from him to `to`: a listener of ours ([`crate::tcp::msrp_at`]).
    Open {
        /// His address; the network chooses the port.
        from: Endpoint,
        /// Where we listen.
        to: Endpoint,
        /// Comes back in what he is told.
        call: u64,
    },
    /// Octets to us, behind those said before.
    Say { conduit: usize, octets: Rc<[u8]> },
    /// Nothing more to us: FIN, or RST with an errno; behind what was said before.
    End { conduit: usize, end: Result<(), i32> },
}

/// What he is told.
#[derive(Clone, Debug)]
pub(crate) enum Tidings {
    /// A connection is there.
    Opened {
        /// Its name from here on.
        conduit: usize,
        /// His end: where he listens, if we have connected, or where he has connected from.
        here: Endpoint,
        /// Our end.
        there: Endpoint,
        /// What he has asked for; none if we have connected.
        call: Option<u64>,
    },
    /// He was not accepted.
    Refused { call: u64 },
    /// Octets of ours have come to him.
    Came { conduit: usize, octets: Rc<[u8]> },
    /// It is no more: we have closed it, or it is dead.
    Ended { conduit: usize, end: Result<(), i32> },
}

/// The other end of all such connections.
pub(crate) trait Party: fmt::Debug {
    /// Whether he accepts connections here: asked when one of ours has come to him.
    fn listens(&self, at: Endpoint) -> bool;

    /// Something has happened. What he does about it now or later goes to [`Air::asks`].
    fn on_tidings(&mut self, tidings: Tidings, air: &mut Air, swarm: &Swarm);
}
