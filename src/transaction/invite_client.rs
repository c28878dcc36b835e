//! The INVITE client transaction (RFC 3261 section 17.1.1, as RFC 6026 corrects it), with the CANCEL of
//! its transaction user (RFC 3261 section 9.1).
//!
//! ```text
//!              |INVITE sent
//!              v
//!          +---------+  1xx    +------------+
//!     A +->| Calling |-------->| Proceeding |<-+ 1xx
//!       +--|         |         |            |--+
//!          +---------+         +------------+
//!    B  | 300-699 |  | 2xx  2xx |  | 300-699
//!  error| ACK     |  +----+-----+  | ACK
//!       |         v       v        v
//!       |   +-----------+ +----------+
//!       |   | Completed | | Accepted |<-+ 2xx: to the transaction user, which sends the ACK
//!       |   | 300-699:  | |          |--+
//!       |   | ACK again | +----------+
//!       |   +-----------+      | M
//!       v   D | error          v
//!      +---------------------------+
//!      |         Terminated        |
//!      +---------------------------+
//! ```
//!
//! What the figure leaves open:
//!
//! * Proceeding has no timer, so that whoever has said 100 could be waited for without an end: the
//!   transaction user cancels when it has waited enough.
//! * A 2xx in Completed has no arrow there. A proxy passes on every 2xx, one that follows an error of
//!   another branch too (RFC 3261 section 16.7), and its sender has a session open: it goes to the
//!   transaction user as one that nobody wants, to be acknowledged and ended.
//! * CANCEL waits for a provisional response, and is not sent when there is a final one. It may cross
//!   with a 2xx: that one is not wanted either.
//! * Who is cancelled may answer nothing more: 64*T1 after the CANCEL the transaction is over.

/// Where the transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The INVITE is out, nothing is back.
    Calling,
    /// A provisional response is back.
    Proceeding,
    /// A 2xx is back; all of them go to the transaction user.
    Accepted,
    /// An error is back and acknowledged; repetitions of it are acknowledged again.
    Completed,
    /// Over.
    Terminated,
}

/// What the transaction user has decided about the INVITE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cancel {
    /// It is wanted.
    No,
    /// It is not wanted any more, and no provisional response is back yet.
    Wanted,
    /// CANCEL was sent.
    Sent,
}

/// The transaction: plain data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// Where it is.
    pub state: State,
    /// Whether it is cancelled.
    pub cancel: Cancel,
}

/// What happened to the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A response with this status matched.
    Response(u16),
    /// Timer A: time to retransmit. Only over unreliable transports.
    TimerA,
    /// Timer B: time to give up.
    TimerB,
    /// Timer D: time to forget an error.
    TimerD,
    /// Timer M: time to forget a 2xx.
    TimerM,
    /// The transport says that what this transaction has sent did not arrive.
    TransportError,
    /// The transaction user does not want it any more.
    Cancel,
    /// 64*T1 have passed since the CANCEL was sent.
    CancelTimeout,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing.
    None,
    /// Send the INVITE again, and set timer A anew.
    Retransmit,
    /// Tell the transaction user: this provisional response.
    Provisional(u16),
    /// The same, then send CANCEL and set its timer.
    ProvisionalThenCancel(u16),
    /// Send CANCEL in a transaction of its own, and set its timer.
    Cancel,
    /// Tell the transaction user: this 2xx. It acknowledges each, and ends at once what it does not
    /// want: one that comes after an error or after it was cancelled, and any but the first.
    Success {
        /// Its status.
        status: u16,
        /// Whether the session may be used, as far as this transaction knows.
        is_wanted: bool,
    },
    /// Send ACK within this transaction, and tell the transaction user: this error.
    AckThenFinal(u16),
    /// Send the same ACK again.
    Ack,
    /// Tell the transaction user: no final response.
    Timeout,
    /// Tell the transaction user: the transport failed.
    TransportError,
    /// Free the record.
    Free,
}

impl Client {
    /// The INVITE is sent.
    pub const fn new() -> Self {
        Self { state: State::Calling, cancel: Cancel::No }
    }

    /// Moves to the next state and says what to do. Every pair is listed.
    pub const fn on(&mut self, event: Event) -> Action {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        let same = self.state;
        let (next, action) = match (event, self.state) {
            (Event::Response(status), _) => self.on_response(status),
            (Event::TimerA, Calling) => (Calling, Action::Retransmit),
            (Event::TimerB, Calling) => (Terminated, Action::Timeout),
            (Event::TimerD, Completed) | (Event::TimerM, Accepted) => (Terminated, Action::Free),
            (Event::TransportError, Calling | Completed) => (Terminated, Action::TransportError),
            (Event::Cancel, Calling) => {
                self.cancel = Cancel::Wanted;
                (Calling, Action::None)
            }
            (Event::Cancel, Proceeding) => (Proceeding, self.send_cancel()),
            (Event::CancelTimeout, Proceeding) => match self.cancel {
                Cancel::Sent => (Terminated, Action::Timeout),
                Cancel::No | Cancel::Wanted => (Proceeding, Action::None),
            },
            (Event::TimerA | Event::TimerB, Proceeding | Accepted | Completed | Terminated)
            | (Event::TimerD, Calling | Proceeding | Accepted | Terminated)
            | (Event::TimerM, Calling | Proceeding | Completed | Terminated)
            | (Event::TransportError, Proceeding | Accepted | Terminated)
            | (Event::Cancel, Accepted | Completed | Terminated)
            | (Event::CancelTimeout, Calling | Accepted | Completed | Terminated) => {
                (same, Action::None)
            }
        };
        self.state = next;
        action
    }

    const fn on_response(&mut self, status: u16) -> (State, Action) {
        use State::{Accepted, Calling, Completed, Proceeding, Terminated};
        let is_wanted = matches!(self.cancel, Cancel::No);
        match (self.state, status) {
            (Calling, 0..=199) => (Proceeding, self.provisional(status)),
            (Proceeding, 0..=199) => (Proceeding, Action::Provisional(status)),
            (Calling | Proceeding | Accepted, 200..=299) => {
                (Accepted, Action::Success { status, is_wanted })
            }
            (Calling | Proceeding, 300..) => (Completed, Action::AckThenFinal(status)),
            (Completed, 200..=299) => (Completed, Action::Success { status, is_wanted: false }),
            (Completed, 300..) => (Completed, Action::Ack),
            (Accepted, 0..=199 | 300..) | (Completed, 0..=199) | (Terminated, _) => {
                (self.state, Action::None)
            }
        }
    }

    /// The first provisional response: what waited for it may leave.
    const fn provisional(&mut self, status: u16) -> Action {
        match self.cancel {
            Cancel::Wanted => {
                self.cancel = Cancel::Sent;
                Action::ProvisionalThenCancel(status)
            }
            Cancel::No | Cancel::Sent => Action::Provisional(status),
        }
    }

    const fn send_cancel(&mut self) -> Action {
        match self.cancel {
            Cancel::No | Cancel::Wanted => {
                self.cancel = Cancel::Sent;
                Action::Cancel
            }
            Cancel::Sent => Action::None,
        }
    }

    /// Milliseconds after which the state is left at the latest, from when it was entered: timer B, D or
    /// M. `None` where only a response or its transaction user ends it. Of D, 0 over reliable transports
    /// is a state that is left at once.
    pub const fn lifetime_ms(self, is_reliable: bool, t1_ms: u32) -> Option<u64> {
        match self.state {
            State::Calling | State::Accepted => Some(64 * t1_ms as u64),
            State::Completed => Some(timer_d_ms(is_reliable, t1_ms)),
            State::Proceeding | State::Terminated => None,
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds from transmission number `transmissions` (from 1) to the next over unreliable transports:
/// timer A, T1, doubling each time and bounded by timer B alone.
pub const fn timer_a_ms(transmissions: u8, t1_ms: u32) -> u64 {
    let doublings = if transmissions > 16 { 16 } else { transmissions.saturating_sub(1) };
    (t1_ms as u64) << doublings
}

/// Milliseconds of timer D: at least 32 s over unreliable transports, whatever T1 is here, because it is
/// the other side's; 0 over reliable ones.
pub const fn timer_d_ms(is_reliable: bool, t1_ms: u32) -> u64 {
    let own = 64 * t1_ms as u64;
    match (is_reliable, own > 32_000) {
        (true, _) => 0,
        (false, true) => own,
        (false, false) => 32_000,
    }
}

#[cfg(test)]
mod tests;
