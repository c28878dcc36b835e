//! The non-INVITE server transaction (RFC 3261 section 17.2.2, with RFC 4320).
//!
//! ```text
//!              |request
//!              v
//!          +--------+  1xx from TU  +------------+
//!   drop +-| Trying |-------------->| Proceeding |-+ request: send the 1xx again
//!        +>|        |               |            |<+
//!          +--------+               +------------+
//!              | 200-699 or silence        | 200-699 or silence
//!              v                           v
//!            +-------------------------------+
//!            |           Completed           |-+ request: send the final again, if there is one
//!            +-------------------------------+<+
//!                            | J
//!                            v
//!                      Terminated
//! ```
//!
//! Silence is what RFC 4320 section 4.2 demands in the place of a 408: the transaction is over for
//! us, its retransmissions are absorbed, and the client's own timer F tells it what is known.

/// Where the transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Nothing was sent.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response was sent.
    Completed,
    /// It is settled that no final response will be sent.
    Silent,
    /// Over: the request would be a new one.
    Terminated,
}

/// What happened to the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The request came again.
    Request,
    /// The transaction user has a response with this status.
    Respond(u16),
    /// The transaction user will say nothing.
    Silence,
    /// Timer J: time to forget.
    TimerJ,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing: absorbed.
    None,
    /// Send the response of the transaction user.
    Send,
    /// Send the provisional response again.
    RepeatProvisional,
    /// Send the final response again.
    RepeatFinal,
    /// Free the entry.
    Free,
}

impl State {
    /// Moves to the next state and says what to do. Every pair is listed.
    pub const fn on(&mut self, event: Event) -> Action {
        let (next, action) = match (*self, event) {
            (Self::Trying, Event::Request) => (Self::Trying, Action::None),
            (Self::Proceeding, Event::Request) => (Self::Proceeding, Action::RepeatProvisional),
            (Self::Completed, Event::Request) => (Self::Completed, Action::RepeatFinal),
            (Self::Silent, Event::Request) => (Self::Silent, Action::None),
            (Self::Trying | Self::Proceeding, Event::Respond(100..=199)) => {
                (Self::Proceeding, Action::Send)
            }
            (Self::Trying | Self::Proceeding, Event::Respond(_)) => (Self::Completed, Action::Send),
            (Self::Trying | Self::Proceeding, Event::Silence) => (Self::Silent, Action::None),
            (Self::Completed | Self::Silent, Event::TimerJ) => (Self::Terminated, Action::Free),
            (Self::Trying | Self::Proceeding, Event::TimerJ)
            | (Self::Completed | Self::Silent, Event::Respond(_) | Event::Silence)
            | (
                Self::Terminated,
                Event::Request | Event::Respond(_) | Event::Silence | Event::TimerJ,
            ) => (*self, Action::None),
        };
        *self = next;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole machine as text, so that a change to it shows up as a diff.
    #[test]
    fn transitions() {
        use std::fmt::Write as _;
        let states =
            [State::Trying, State::Proceeding, State::Completed, State::Silent, State::Terminated];
        let events = [
            Event::Request,
            Event::Respond(100),
            Event::Respond(200),
            Event::Respond(480),
            Event::Silence,
            Event::TimerJ,
        ];
        let mut table = String::new();
        for before in states {
            for event in events {
                let mut after = before;
                let action = after.on(event);
                writeln!(table, "{before:?} + {event:?} -> {after:?}, {action:?}").unwrap();
            }
        }
        assert_eq!(table, include_str!("../../tests/snapshots/non_invite_server.txt"));
    }
}
