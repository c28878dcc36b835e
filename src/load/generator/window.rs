//! How much may be on its way into connections: less than a connection takes before it is closed.
//!
//! On a stream the receiver sets the pace. What it does not take yet stays here and leaves late, which
//! the pacing error shows; a driver that is given more than it can hold would close the connection.

use crate::limits::{OUTBOX_OWNERS, OUTBOX_SIZE};
use crate::packet::{Owner, Transport};

/// Octets that may wait to be written: what is given in one turn still fits on top of them.
const OCTETS_MAX: u64 = (OUTBOX_SIZE / 2) as u64;

/// Departures that may wait to be written.
const DEPARTURES_MAX: u64 = (OUTBOX_OWNERS / 2) as u64;

/// Marks the owner of an answer, whose departure is of no interest once it has ended.
const ANSWER: u64 = 1 << 63;

/// What waits to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    octets: u64,
    departures: u64,
}

/// What was to leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Owned {
    /// The message of this number.
    Message(u32),
    /// An answer.
    Answer,
}

impl Window {
    /// Whether more may be given.
    pub(super) const fn is_open(self) -> bool {
        self.octets < OCTETS_MAX && self.departures < DEPARTURES_MAX
    }

    /// A departure of `len` octets is given; says who is told how it went. Datagrams wait for nobody.
    pub(super) fn give(&mut self, owned: Owned, transport: Transport, len: usize) -> Option<Owner> {
        if !transport.is_reliable() {
            return None;
        }
        let len = u64::from(u16::try_from(len).unwrap_or(u16::MAX));
        self.octets += len;
        self.departures += 1;
        let what = match owned {
            Owned::Message(number) => u64::from(number),
            Owned::Answer => ANSWER,
        };
        Some(Owner(what | len << 32))
    }

    /// It has left, or never will; says which it was.
    pub(super) fn take(&mut self, owner: Owner) -> Owned {
        self.octets = self.octets.saturating_sub(owner.0 >> 32 & u64::from(u16::MAX));
        self.departures = self.departures.saturating_sub(1);
        let [a, b, c, d, ..] = owner.0.to_le_bytes();
        match owner.0 & ANSWER {
            0 => Owned::Message(u32::from_le_bytes([a, b, c, d])),
            _ => Owned::Answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_before_a_connection_would() {
        for len in [20, 500, 1_300] {
            let mut window = Window::default();
            let mut owners = Vec::new();
            while window.is_open() {
                owners.extend(window.give(Owned::Message(7), Transport::Tcp, len));
            }
            assert!(owners.len() * len < OUTBOX_SIZE * 3 / 4 && owners.len() <= OUTBOX_OWNERS / 2);
            let first = owners.pop().unwrap();
            assert_eq!(window.take(first), Owned::Message(7));
            assert!(window.is_open());
        }
    }

    #[test]
    fn owners_are_told_apart() {
        let mut window = Window::default();
        for owned in [Owned::Message(0), Owned::Message(u32::MAX), Owned::Answer] {
            let owner = window.give(owned, Transport::Tls, 600).unwrap();
            assert_eq!(window.take(owner), owned);
        }
        assert_eq!((window.octets, window.departures), (0, 0));
        assert_eq!(window.give(Owned::Answer, Transport::Udp, 600), None);
    }
}
