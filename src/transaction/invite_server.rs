//! The INVITE server transaction (RFC 3261 section 17.2.1, as RFC 6026 corrects it), with the CANCEL of
//! the other side (RFC 3261 section 9.2).
//!
//! ```text
//!                    |INVITE
//!                    v
//!             +------------+  1xx from TU, 100 after 200 ms
//!   INVITE:   | Proceeding |--+
//!   1xx again |            |<-+
//!             +------------+
//!    300-699 from TU |  | 2xx from TU
//!                    v  v
//!   +------------------+ +--------------------+
//!   | Completed        | | Accepted           |--+ 2xx from TU: sent
//!   | INVITE, G: again | | INVITE: absorbed   |<-+ ACK: to TU
//!   +------------------+ +--------------------+
//!       | ACK     | H         | L
//!       v         |           |
//!   +-----------+ |           |
//!   | Confirmed | |           |
//!   +-----------+ |           |
//!       | I       v           v
//!   +--------------------------------+
//!   |           Terminated           |
//!   +--------------------------------+
//! ```
//!
//! A transport error is told to the transaction user and changes no state, so that the INVITE that comes
//! again is not taken for a new one (RFC 6026 section 7.1). The 2xx is repeated by the transaction user
//! ([`crate::transaction::success`]).

/// Milliseconds within which something must have been answered (RFC 3261 section 17.2.1).
pub const TRYING_MS: u64 = 200;

/// Where the transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The INVITE is with the transaction user, and nothing was answered yet.
    Fresh,
    /// A provisional response was sent. The standard has one state for this and the one before.
    Proceeding,
    /// A 2xx was sent.
    Accepted,
    /// An error was sent, and no ACK has come.
    Completed,
    /// An error was sent and acknowledged.
    Confirmed,
    /// Over: the request would be a new one.
    Terminated,
}

/// What happened to the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The INVITE came again.
    Request,
    /// An ACK matched (RFC 3261 section 17.2.3).
    Ack,
    /// A CANCEL matched.
    Cancel,
    /// The transaction user has a response with this status.
    Respond(u16),
    /// [`TRYING_MS`] have passed.
    Trying,
    /// Timer G: time to send the error again. Only over unreliable transports.
    TimerG,
    /// Timer H: no ACK has come.
    TimerH,
    /// Timer I: time to forget an error.
    TimerI,
    /// Timer L: time to forget a 2xx.
    TimerL,
    /// The transport says that a response did not arrive.
    TransportError,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing: absorbed.
    None,
    /// Send the response of the transaction user.
    Send,
    /// Send 100, without a To-tag (RFC 3261 section 8.2.6.2).
    SendTrying,
    /// Send what was sent last again.
    Repeat,
    /// Tell the transaction user: an ACK, which ends the repetition of its 2xx.
    Ack,
    /// Tell the transaction user: it is cancelled, and answers 487.
    Cancelled,
    /// Tell the transaction user: no ACK to its error has come.
    Failure,
    /// Tell the transaction user: the transport failed.
    TransportError,
    /// Free the entry.
    Free,
}

impl State {
    /// Moves to the next state and says what to do. Every pair is listed.
    pub const fn on(&mut self, event: Event) -> Action {
        let (next, action) = match (*self, event) {
            (Self::Fresh, Event::Request | Event::Trying) => (Self::Proceeding, Action::SendTrying),
            (Self::Proceeding, Event::Request) => (Self::Proceeding, Action::Repeat),
            (Self::Fresh | Self::Proceeding, Event::Respond(0..=199)) => {
                (Self::Proceeding, Action::Send)
            }
            (Self::Fresh | Self::Proceeding | Self::Accepted, Event::Respond(200..=299)) => {
                (Self::Accepted, Action::Send)
            }
            (Self::Fresh | Self::Proceeding, Event::Respond(_)) => (Self::Completed, Action::Send),
            (Self::Fresh | Self::Proceeding, Event::Cancel) => (*self, Action::Cancelled),
            (
                Self::Fresh | Self::Proceeding | Self::Accepted | Self::Completed,
                Event::TransportError,
            ) => (*self, Action::TransportError),
            (Self::Accepted, Event::Ack) => (Self::Accepted, Action::Ack),
            (Self::Completed, Event::Request | Event::TimerG) => (Self::Completed, Action::Repeat),
            (Self::Completed, Event::Ack) => (Self::Confirmed, Action::None),
            (Self::Completed, Event::TimerH) => (Self::Terminated, Action::Failure),
            (Self::Confirmed, Event::TimerI) | (Self::Accepted, Event::TimerL) => {
                (Self::Terminated, Action::Free)
            }
            (
                Self::Fresh | Self::Proceeding,
                Event::Ack | Event::TimerG | Event::TimerH | Event::TimerI | Event::TimerL,
            )
            | (Self::Proceeding, Event::Trying)
            | (
                Self::Accepted,
                Event::Request
                | Event::Cancel
                | Event::Respond(_)
                | Event::Trying
                | Event::TimerG
                | Event::TimerH
                | Event::TimerI,
            )
            | (
                Self::Completed,
                Event::Cancel | Event::Respond(_) | Event::Trying | Event::TimerI | Event::TimerL,
            )
            | (
                Self::Confirmed,
                Event::Request
                | Event::Ack
                | Event::Cancel
                | Event::Respond(_)
                | Event::Trying
                | Event::TimerG
                | Event::TimerH
                | Event::TimerL
                | Event::TransportError,
            )
            | (
                Self::Terminated,
                Event::Request
                | Event::Ack
                | Event::Cancel
                | Event::Respond(_)
                | Event::Trying
                | Event::TimerG
                | Event::TimerH
                | Event::TimerI
                | Event::TimerL
                | Event::TransportError,
            ) => (*self, Action::None),
        };
        *self = next;
        action
    }

    /// What a CANCEL for this INVITE is answered itself: 200 as long as the transaction is there, whatever
    /// it does to it, else 481 (RFC 3261 section 9.2).
    pub const fn cancel_status(self) -> u16 {
        match self {
            Self::Fresh | Self::Proceeding | Self::Accepted | Self::Completed | Self::Confirmed => {
                200
            }
            Self::Terminated => 481,
        }
    }

    /// Milliseconds after which the state is left at the latest, from when it was entered: timer H, I or
    /// L, or the 100. `None` where only the transaction user ends it.
    pub const fn lifetime_ms(self, is_reliable: bool, t1_ms: u32, t4_ms: u32) -> Option<u64> {
        match self {
            Self::Fresh => Some(TRYING_MS),
            Self::Completed | Self::Accepted => Some(64 * t1_ms as u64),
            Self::Confirmed => Some(if is_reliable { 0 } else { t4_ms as u64 }),
            Self::Proceeding | Self::Terminated => None,
        }
    }
}

/// Milliseconds from sending an error for the `transmissions`-th time (from 1) to the next over unreliable
/// transports: timer G, T1, doubling up to T2.
pub const fn timer_g_ms(transmissions: u8, t1_ms: u32, t2_ms: u32) -> u64 {
    let doublings = if transmissions > 16 { 16 } else { transmissions.saturating_sub(1) };
    let interval = (t1_ms as u64) << doublings;
    if interval < t2_ms as u64 { interval } else { t2_ms as u64 }
}

#[cfg(test)]
mod tests;
