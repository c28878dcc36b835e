//! Whose turn it is to begin a chunk on a connection: one order for all that leaves there.

use super::Endpoint;
use super::carried::CarriedId;
use super::sending::SendingId;

/// Something that has a chunk to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// A message of our own.
    Sending(SendingId),
    /// One that is carried.
    Carried(CarriedId),
}

/// Where it stands in the order of its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    is_taken: bool,
    next: Option<Turn>,
}

impl Endpoint {
    fn place_of(&mut self, turn: Turn) -> Option<&mut Place> {
        match turn {
            Turn::Sending(id) => self.sendings.get_mut(id).map(|it| &mut it.place),
            Turn::Carried(id) => self.carriage.messages.get_mut(id).map(|it| &mut it.place),
        }
    }

    fn connection_in_turn(&self, turn: Turn) -> Option<u16> {
        let session = match turn {
            Turn::Sending(id) => self.sendings.get(id)?.session,
            Turn::Carried(id) => self.carriage.way_of(id)?.to,
        };
        self.sessions.get(session)?.connection
    }

    /// Its turn comes behind the others of the connection, unless it waits for it already.
    pub(super) fn take_place(&mut self, turn: Turn, connection: u16) {
        match self.place_of(turn) {
            Some(place) if !place.is_taken => *place = Place { is_taken: true, next: None },
            Some(_) | None => return,
        }
        match self.connection(connection).last_in_turn.replace(turn) {
            Some(last) => {
                if let Some(last) = self.place_of(last) {
                    last.next = Some(turn);
                }
            }
            None => self.connection(connection).first_in_turn = Some(turn),
        }
    }

    /// Takes it out of the order.
    pub(super) fn leave_turn(&mut self, turn: Turn) {
        let Some(place) = self.place_of(turn).filter(|place| place.is_taken) else { return };
        let next = core::mem::take(place).next;
        let Some(connection) = self.connection_in_turn(turn) else { return };
        let mut before = None;
        let mut at = self.connection(connection).first_in_turn;
        while let Some(other) = at.filter(|at| *at != turn) {
            before = Some(other);
            at = self.place_of(other).and_then(|place| place.next);
        }
        match before.and_then(|before| self.place_of(before)) {
            Some(before) => before.next = next,
            None => self.connection(connection).first_in_turn = next,
        }
        let it = self.connection(connection);
        if it.last_in_turn == Some(turn) {
            it.last_in_turn = before;
        }
    }
}
