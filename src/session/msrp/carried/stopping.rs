//! Connections that nothing is read from, until there is room for what comes.

use super::{CarriedId, Endpoint};
use crate::limits::MSRP_STOPPED_MS;
use crate::session::msrp::turns::Turn;
use crate::session::msrp::{Fact, Stopped};
use crate::time::Instant;

impl Endpoint {
    /// A connection is read from: since when, says how long its other end was silent.
    pub(in crate::session::msrp) fn listen(&mut self, connection: u16, now: Instant) {
        let it = self.connection(connection);
        it.stopped = None;
        if core::mem::take(&mut it.was_stopped) {
            it.heard_since = now;
        }
    }

    /// Nothing more is read from a connection for a while.
    pub(in crate::session::msrp) fn hold(&mut self, connection: u16, why: Stopped, now: Instant) {
        let it = self.connection(connection);
        (it.stopped, it.is_resumed, it.was_stopped) = (Some(why), false, true);
        self.wheel.start(u32::from(connection), now.plus_ms(MSRP_STOPPED_MS));
    }

    /// A connection is to be read from again. Until that is done it is stopped: nobody is to wait for what would
    /// come on it, since it may be stopped again.
    fn resume(&mut self, connection: u16) {
        let it = self.connection(connection);
        if it.stopped.is_some() && !core::mem::replace(&mut it.is_resumed, true) {
            self.tell(Fact::Resumed { connection });
        }
    }

    /// If a connection is stopped for this, it is no more.
    pub(super) fn resume_from(&mut self, source: Option<u16>, why: Stopped) {
        if let Some(source) = source
            && self.connection(source).stopped == Some(why)
        {
            self.resume(source);
        }
    }

    /// Nothing of a message is to be waited for any more.
    pub(super) fn resume_source(&mut self, id: CarriedId) {
        let source = self.source_of(id);
        self.resume_from(source, Stopped::Octets(id));
        self.resume_from(source, Stopped::Chunks(id));
    }

    /// There is room for answers on a connection, or nobody to answer.
    pub(in crate::session::msrp) fn answers_have_left(&mut self, connection: u16) {
        if !core::mem::take(&mut self.connection(connection).is_waited_for) {
            return;
        }
        for other in 0..self.connections.len() {
            let Ok(other) = u16::try_from(other) else { return };
            if self.connection(other).stopped == Some(Stopped::Answers(connection)) {
                self.resume(other);
            }
        }
    }

    /// A connection was stopped for a while. What it waits for may have come to wait for it meanwhile: then
    /// more is written than otherwise, and whatever it waits for is tried again.
    pub(in crate::session::msrp) fn look_again(&mut self, connection: u16) {
        if let Some(Stopped::Octets(id) | Stopped::Chunks(id)) = self.connection(connection).stopped
        {
            self.make_carried_ready(id);
            self.wake_target(id);
        }
        self.resume(connection);
    }

    /// Whether the responses to a message can come while nothing is read from where it comes.
    pub(super) fn may_wait(&self, id: CarriedId, source: u16) -> bool {
        let Some(target) = self.target_of(id) else { return true };
        target != source && self.connections[usize::from(target)].stopped.is_none()
    }

    /// Whether what waits of a message leaves as soon as there is room on the connection of its recipient.
    pub(super) fn gets_on(&self, id: CarriedId) -> bool {
        let is_open = self.carriage.messages.get(id).is_some_and(|it| it.open.is_some());
        is_open || self.carriage.has_place_for_piece(id, true)
    }

    /// If a chunk to the recipient may be begun, its turn comes behind the others of his connection.
    pub(super) fn make_carried_ready(&mut self, id: CarriedId) {
        let Some(target) = self.target_of(id) else { return };
        let may_wait = self.source_of(id).is_none_or(|source| self.may_wait(id, source));
        let has_work = self.carriage.may_begin_piece(id);
        if has_work && self.carriage.has_place_for_piece(id, !may_wait) {
            self.take_place(Turn::Carried(id), target);
        }
    }
}
