//! The 2xx to an INVITE until its ACK, at the transaction user that sent it (RFC 3261 section 13.3.1.4).
//!
//! ```text
//!             |2xx sent
//!             v
//!   again +->+---------+  ACK   +-----------+
//!         +--| Waiting |------->| Confirmed |
//!            +---------+        +-----------+
//!                 | 64*T1
//!                 v
//!            +----------+
//!            | Given up |  BYE
//!            +----------+
//! ```
//!
//! It is sent again over every transport, reliable ones too, because nobody knows which ones follow. An
//! ACK has a branch of its own: it is found by its dialog and CSeq, and comes again for each 2xx that
//! crossed with it.

use crate::transaction::invite_server::timer_g_ms;

/// Where the 2xx is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// No ACK has come.
    Waiting,
    /// An ACK has come.
    Confirmed,
    /// None came in time: the dialog is there and its session is ended.
    GivenUp,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// Time to send it again ([`interval_ms`]).
    Again,
    /// An ACK of its dialog came.
    Ack,
    /// 64*T1 have passed since it was sent first.
    Timeout,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing.
    None,
    /// Send the 2xx again, through the server transaction.
    Retransmit,
    /// The session begins: what the ACK brings counts.
    Confirm,
    /// End the session with BYE.
    End,
}

impl State {
    /// Moves to the next state and says what to do. Every pair is listed.
    pub const fn on(&mut self, event: Event) -> Action {
        let (next, action) = match (*self, event) {
            (Self::Waiting, Event::Again) => (Self::Waiting, Action::Retransmit),
            (Self::Waiting, Event::Ack) => (Self::Confirmed, Action::Confirm),
            (Self::Waiting, Event::Timeout) => (Self::GivenUp, Action::End),
            (Self::Confirmed | Self::GivenUp, Event::Again | Event::Ack | Event::Timeout) => {
                (*self, Action::None)
            }
        };
        *self = next;
        action
    }
}

/// Milliseconds from sending it for the `transmissions`-th time (from 1) to the next: T1, doubling up to
/// T2.
pub const fn interval_ms(transmissions: u8, t1_ms: u32, t2_ms: u32) -> u64 {
    timer_g_ms(transmissions, t1_ms, t2_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_repeated_until_its_ack_and_the_session_ended_without_one() {
        for (events, actions, last) in [
            (
                [Event::Again, Event::Ack, Event::Ack, Event::Again, Event::Timeout],
                [Action::Retransmit, Action::Confirm, Action::None, Action::None, Action::None],
                State::Confirmed,
            ),
            (
                [Event::Again, Event::Timeout, Event::Ack, Event::Again, Event::Timeout],
                [Action::Retransmit, Action::End, Action::None, Action::None, Action::None],
                State::GivenUp,
            ),
        ] {
            let mut state = State::Waiting;
            assert_eq!(events.map(|event| state.on(event)), actions);
            assert_eq!(state, last);
        }
    }

    /// 0 .5 1.5 3.5 7.5 11.5 .. 31.5 s.
    #[test]
    fn intervals_double_up_to_t2() {
        let mut at = 0;
        for (transmissions, expected) in
            (1..).zip([500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
        {
            at += interval_ms(transmissions, 500, 4_000);
            assert_eq!(at, expected);
        }
        assert_eq!(interval_ms(255, 500, 4_000), 4_000);
    }
}
