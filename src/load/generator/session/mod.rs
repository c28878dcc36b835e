//! The IM clients that take Large Messages: an INVITE is answered as the plan says, and so is what comes in its
//! MSRP session (RFC 4975).
//!
//! ```text
//!   tested system ──INVITE──> [invite]      180, 200 with a description, an error, or nothing
//!                 <──200───
//!                 ───ACK───> [calls]       until then the answer is repeated (RFC 3261 section 13.3.1.4)
//!                 ═══SEND══> [stream]      each chunk is answered, the last one of a message as the plan says
//!                 <══200═══                 and with a REPORT, of the recipient's or through a relay
//!                 ───BYE───>
//! ```
//!
//! Nothing here is shared with the engine but the readers and writers of [`crate::wire`]: a session is no more
//! than a name in a table, and a message is the octets that came under one Message-ID.
//!
//! **What is true.** Of recipients who answer themselves a message is delivered when its last chunk was answered
//! 200; behind a relay when a REPORT of success was sent. Both are written down before they leave. A recipient
//! knows a message that comes again by its Message-ID.

mod calls;
mod counts;
mod describe;
mod invite;
mod line;
mod message;
mod stream;

use std::net::SocketAddr;

use hdrhistogram::CreationError;

use self::calls::Calls;
use self::line::Lines;
use crate::load::generator::content::Texts;
use crate::load::generator::interval::{Interval, Latencies};
use crate::load::generator::plan::{self, Plan, Timers};
use crate::load::generator::record::Seen;
use crate::packet::SocketId;

pub use self::counts::{Counts, Told};

/// Where the socket of MSRP is among those of the answering end: behind that of UDP and that of TCP.
const MSRP_SOCKET: SocketId = SocketId(2);

/// All sessions of the answering end.
#[derive(Debug)]
pub(super) struct Sessions {
    terms: plan::Sessions,
    timers: Timers,
    /// Decides what is answered, beside what decides it for a MESSAGE.
    seed: u64,
    /// Our URI in Contact.
    contact: Box<str>,
    calls: Calls,
    lines: Lines,
    /// What was sent; none where the sending end is not played, so that nobody knows.
    texts: Option<Texts>,
    counts: Counts,
    /// From an INVITE to the end of the first message in its session, in nanoseconds.
    delivery: Latencies,
}

impl Sessions {
    /// Those of `plan`, at an answering end that listens for SIP at `address`. None if it takes none.
    ///
    /// # Errors
    ///
    /// There is no histogram to be had.
    pub(super) fn new(plan: &Plan, address: SocketAddr) -> Result<Option<Self>, CreationError> {
        let Some(terms) = plan.sessions.clone() else { return Ok(None) };
        // Others reach us where they do so for MSRP, if we do not know better.
        let ip = if address.ip().is_unspecified() { terms.address.ip() } else { address.ip() };
        let own = SocketAddr::new(ip, address.port()).to_string();
        Ok(Some(Self {
            timers: plan.timers,
            seed: plan.seed,
            contact: ["sip:answer@", &own].concat().into(),
            calls: Calls::new(plan.seed ^ u64::from(plan.run.0)),
            lines: Lines::default(),
            texts: plan.plays_both().then(|| Texts::new(plan)),
            counts: Counts::default(),
            delivery: Interval::new()?.intended,
            terms,
        }))
    }

    /// Messages that sessions have brought.
    pub(super) const fn messages(&self) -> u64 {
        self.counts.messages
    }

    /// What came of all of them.
    pub(super) fn told(&self) -> Told {
        Told::of(&self.counts, &self.delivery)
    }
}

/// The records of all messages, to be written to.
type Record<'a> = &'a mut [Seen];

#[cfg(test)]
mod tests;
