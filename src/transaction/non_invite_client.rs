//! The non-INVITE client transaction (RFC 3261 section 17.1.2).
//!
//! ```text
//!              |request
//!              v
//!          +--------+  1xx   +------------+
//!     E +->| Trying |------->| Proceeding |<-+ E
//!       +--|        |        |            |--+
//!          +--------+        +------------+
//!       F | 200-699 |    200-699 |   | F
//!    error|         v            v   | error
//!         |        +-----------+     |
//!         |        | Completed |     |
//!         |        +-----------+     |
//!         v              | K         v
//!          +----------------------------+
//!          |         Terminated         |
//!          +----------------------------+
//! ```
//!
//! A lost response is repeated by the server when the request is (hazard H1). Completed needs no record
//! of its own: timer K only absorbs repeated responses, and a response
//! whose branch is authentic but whose record is gone is absorbed without one.

/// Where the transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The request is out, nothing is back.
    Trying,
    /// A provisional response is back.
    Proceeding,
    /// A final response is back; repetitions of it are absorbed.
    Completed,
    /// Over.
    Terminated,
}

/// What happened to the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A response with this status matched.
    Response(u16),
    /// Timer E: time to retransmit.
    TimerE,
    /// Timer F: time to give up.
    TimerF,
    /// Timer K: time to forget.
    TimerK,
    /// The transport says that the request did not arrive.
    TransportError,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing.
    None,
    /// Send the request again.
    Retransmit,
    /// Tell the transaction user: this final response.
    Final(u16),
    /// Tell the transaction user: no final response.
    Timeout,
    /// Tell the transaction user: the transport failed.
    TransportError,
    /// Free the record.
    Free,
}

impl State {
    /// Moves to the next state and says what to do. Every pair is listed.
    pub const fn on(&mut self, event: Event) -> Action {
        let (next, action) = match (*self, event) {
            (Self::Trying | Self::Proceeding, Event::Response(100..=199)) => {
                (Self::Proceeding, Action::None)
            }
            (Self::Trying | Self::Proceeding, Event::Response(status)) => {
                (Self::Completed, Action::Final(status))
            }
            (Self::Trying | Self::Proceeding, Event::TimerE) => (*self, Action::Retransmit),
            (Self::Trying | Self::Proceeding, Event::TimerF) => (Self::Terminated, Action::Timeout),
            (Self::Trying | Self::Proceeding, Event::TransportError) => {
                (Self::Terminated, Action::TransportError)
            }
            (Self::Completed, Event::TimerK) => (Self::Terminated, Action::Free),
            (Self::Trying | Self::Proceeding, Event::TimerK)
            | (
                Self::Completed,
                Event::Response(_) | Event::TimerE | Event::TimerF | Event::TransportError,
            )
            | (
                Self::Terminated,
                Event::Response(_)
                | Event::TimerE
                | Event::TimerF
                | Event::TimerK
                | Event::TransportError,
            ) => (*self, Action::None),
        };
        *self = next;
        action
    }

    /// Milliseconds from transmission number `transmissions` (from 1) to the next, over UDP:
    /// T1, doubling up to T2; T2 throughout once a provisional response is back.
    pub const fn timer_e_ms(self, transmissions: u8, t1_ms: u32, t2_ms: u32) -> u32 {
        match self {
            Self::Proceeding => t2_ms,
            Self::Trying | Self::Completed | Self::Terminated => {
                let doublings =
                    if transmissions > 16 { 16 } else { transmissions.saturating_sub(1) };
                let interval = (t1_ms as u64) << doublings;
                if interval < t2_ms as u64 { t1_ms << doublings } else { t2_ms }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole machine as text, so that a change to it shows up as a diff.
    #[test]
    fn transitions() {
        use std::fmt::Write as _;
        let states = [State::Trying, State::Proceeding, State::Completed, State::Terminated];
        let events = [
            Event::Response(180),
            Event::Response(200),
            Event::Response(480),
            Event::TimerE,
            Event::TimerF,
            Event::TimerK,
            Event::TransportError,
        ];
        let mut table = String::new();
        for before in states {
            for event in events {
                let mut after = before;
                let action = after.on(event);
                writeln!(table, "{before:?} + {event:?} -> {after:?}, {action:?}").unwrap();
            }
        }
        assert_eq!(table, include_str!("../../tests/snapshots/non_invite_client.txt"));
    }

    /// RFC 3261 section 17.1.2.2 and table 4: 0 .5 1.5 3.5 7.5 11.5 .. 31.5 s.
    #[test]
    fn timer_e_doubles_up_to_t2() {
        let mut at = 0;
        let mut sent = Vec::from([0]);
        for transmissions in 1..=10 {
            at += State::Trying.timer_e_ms(transmissions, 500, 4_000);
            sent.push(at);
        }
        let expected =
            [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(sent, expected);
        assert_eq!(State::Proceeding.timer_e_ms(1, 500, 4_000), 4_000);
        assert_eq!(State::Trying.timer_e_ms(255, 500, 4_000), 4_000);
    }
}
