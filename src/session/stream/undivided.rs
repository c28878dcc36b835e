//! Connections whose octets the engine divides itself: how they are wished for, told of and ended.
//!
//! They take the places, the tails and the outboxes that the others take, and are closed for the same
//! reasons. What is different is who says where something ends: nothing of them comes in a burst, and
//! nothing of them leaves from a slot. What a driver does about them in a turn, behind its burst:
//!
//! ```text
//!   Streams::tell ──> Streams::show, for each parked read ──> Streams::take_wishes
//!                 ──> Streams::offer ──> Streams::take_wishes ──> its orders
//! ```
//!
//! So an answer to what has just come is put in within the turn, and a connection is closed that the other
//! end has ended only when that could have been done.

use super::{Connection, Order, State, Streams};
use crate::limits::{
    OUTBOXES_SPARE, STREAM_EVIDENCE_MIN, STREAM_OCTETS_PER_TURN, STREAM_ROOM_MIN,
    STREAM_SHOWS_PER_TURN, TIMERS_PER_TURN_MAX,
};
use crate::metrics::Counter;
use crate::packet::{ConnectionId, Departures, Flow, Owner, Purse, SendError, StreamEvent, Wish};
use crate::time::Instant;

/// What such a connection has beside what all have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Undivided {
    /// Who has wished for it; none if it was accepted.
    owner: Option<Owner>,
    /// Whoever has to know was told that it is there.
    pub(super) is_known: bool,
    /// It was told that it is no more, or that there will be none.
    is_mourned: bool,
    /// It is closed when everything is written.
    pub(super) is_ending: bool,
    /// Nothing is written any more.
    pub(super) is_broken: bool,
    /// Octets written that were not told.
    written: u64,
    /// Octets that the driver was shown to be written, and has not said how that went.
    given: usize,
    /// Those of which it has said that it went wrong.
    doubtful: u64,
    /// Something is to be put in when there is room.
    wants_room: bool,
    /// Nothing is shown until that is wished for.
    pub(super) is_paused: bool,
    /// What is in the tail is shown again although nothing has come behind it.
    pub(super) is_due: bool,
    /// How many octets of the tail are those before the present place of the present read.
    pub(super) fresh: usize,
    /// Its last read was a long one.
    pub(super) reads_much: bool,
    /// It may keep back a read that is longer than its tail.
    pub(super) has_long_read: bool,
}

/// Wishes for connections whose refusals were not told yet, at most.
pub(super) const REFUSED_MAX: usize = 64;

/// Whether the engine may be shown something: whatever it makes of that, it can say it.
pub(super) fn has_evidence(out: &Departures) -> bool {
    out.free(Purse::Evidence) >= STREAM_EVIDENCE_MIN + TIMERS_PER_TURN_MAX
}

impl Streams {
    /// Whether a connection carries octets that the engine divides itself.
    pub fn is_undivided(&self, index: u16) -> bool {
        self.connections[usize::from(index)].undivided.is_some()
    }

    /// Whether what was read of it stays parked until that is wished otherwise.
    pub fn is_paused(&self, index: u16) -> bool {
        let connection = &self.connections[usize::from(index)];
        connection.undivided.is_some_and(|undivided| undivided.is_paused)
            && matches!(connection.state, State::Open | State::Ended)
    }

    pub(super) fn undivided(&mut self, index: u16) -> Option<&mut Undivided> {
        self.connection(index).undivided.as_mut()
    }

    /// Whether something is left to be told, shown or offered.
    pub(super) fn is_stirred(&self) -> bool {
        let may_be_given = self.has_outbox_to_give() && !self.boxless.is_empty();
        !self.stirred.is_empty()
            || !self.refused.is_empty()
            || !self.line.is_empty()
            || may_be_given
    }

    /// Something is to be told of this connection, or looked at, where it is one of these.
    pub(super) fn stir(&mut self, index: u16) {
        let connection = &mut self.connections[usize::from(index)];
        if connection.undivided.is_some() && !core::mem::replace(&mut connection.is_stirred, true) {
            self.stirred.push_back(index);
        }
    }

    fn id(&self, index: u16) -> Option<ConnectionId> {
        self.flow(index).connection
    }

    /// The connection of this name, if it is there and is not being closed.
    fn found(&self, id: ConnectionId) -> Option<u16> {
        let connection = self.connections.get(usize::from(id.index))?;
        let is_it = connection.generation == id.generation && id.worker == self.rules.worker;
        let is_there = matches!(connection.state, State::Open | State::Ended);
        let goes_on = connection.undivided.is_some_and(|undivided| !undivided.is_ending);
        (is_it && is_there && goes_on).then_some(id.index)
    }

    /// Takes what is wished for; says how many wishes that were. Those about connections that are no more
    /// are over.
    pub fn take_wishes(&mut self, out: &mut Departures, now: Instant) -> usize {
        let mut taken = 0;
        while self.refused.len() < REFUSED_MAX
            && let Some(wish) = out.pop_wish()
        {
            taken += 1;
            match wish {
                Wish::Connect { flow, owner } => {
                    if self.connect_for(owner, flow, now).is_err() {
                        self.refused.push_back(owner);
                    }
                }
                Wish::Write(id) => self.found(id).into_iter().for_each(|index| self.want(index)),
                Wish::Read(id) => {
                    self.found(id).into_iter().for_each(|index| self.resume(index, now))
                }
                Wish::Close(id) => {
                    self.found(id).into_iter().for_each(|index| self.finish(index));
                }
            }
        }
        taken
    }

    /// Opens a connection that is nobody else's.
    fn connect_for(&mut self, owner: Owner, flow: Flow, now: Instant) -> Result<(), SendError> {
        let ip = flow.remote.ip;
        let to_one = self.wished.iter().find(|(to, _)| *to == ip).map_or(0, |(_, count)| *count);
        if !self.rules.is_undivided(flow.socket)
            || !self.may_connect(flow, now)
            || to_one >= self.rules.to_one_max()
            || self.free.len() <= self.rules.kept_for_departures()
        {
            return Err(SendError::NoConnection);
        }
        let index = self.free.pop_front().ok_or(SendError::NoConnection)?;
        match self.wished.iter_mut().find(|(to, _)| *to == ip) {
            Some((_, count)) => *count += 1,
            None => self.wished.push((ip, 1)),
        }
        self.begin(index, Flow::to(flow.remote, flow.socket), State::Connecting, now);
        self.connection(index).undivided =
            Some(Undivided { owner: Some(owner), ..Undivided::default() });
        self.connection(index).running.connect = true;
        self.orders.push_back(Order::Connect(index));
        Ok(())
    }

    /// Something is to be put in.
    fn want(&mut self, index: u16) {
        let Some(undivided) = self.undivided(index) else { return };
        if !undivided.is_broken {
            undivided.wants_room = true;
            self.line_up(index);
        }
    }

    fn line_up(&mut self, index: u16) {
        let connection = &mut self.connections[usize::from(index)];
        if core::mem::replace(&mut connection.is_in_line, true) {
            return;
        }
        match connection.outbox {
            Some(_) => self.line.push_back(index),
            None => self.boxless.push_back(index),
        }
    }

    /// It is closed when everything is written. What comes until then is passed over: to close it with
    /// something unread would take from the other end what was written last.
    fn finish(&mut self, index: u16) {
        let connection = self.connection(index);
        let has_outbox = connection.outbox.is_some();
        if let Some(undivided) = &mut connection.undivided {
            (undivided.is_ending, undivided.wants_room) = (true, false);
            (undivided.is_paused, undivided.is_due, undivided.fresh) = (false, false, 0);
        }
        connection.in_message = None;
        let Self { connections, tails, .. } = self;
        tails.clear(&mut connections[usize::from(index)].inbox);
        if !has_outbox {
            self.shut(index);
        }
    }

    /// Tells what is to be told: what the driver and the other ends have done, and what is in tails and is
    /// to be shown again. Says how much that was.
    pub fn tell(
        &mut self,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> usize {
        let mut work = 0;
        while has_evidence(out)
            && let Some(owner) = self.refused.pop_front()
        {
            on(StreamEvent::Refused { owner, at: now }, out);
            work += 1;
        }
        for _ in 0..self.stirred.len() {
            if !has_evidence(out) {
                break;
            }
            let Some(index) = self.stirred.pop_front() else { break };
            // What it is stirred by meanwhile is looked at here.
            let again = self.tell_of(index, now, out, on);
            self.connection(index).is_stirred = again;
            if again {
                self.stirred.push_back(index);
            }
            work += 1;
        }
        work
    }

    /// The same of one connection; whether there is more.
    fn tell_of(
        &mut self,
        index: u16,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> bool {
        let Connection { flow, was_open, undivided: Some(undivided), .. } =
            &mut self.connections[usize::from(index)]
        else {
            return false;
        };
        let Some(id) = flow.connection else { return false };
        let (flow, was_open) = (*flow, *was_open);
        if was_open && !core::mem::replace(&mut undivided.is_known, true) {
            let owner = undivided.owner;
            let certificate = self.certificates.get(usize::from(index)).and_then(Option::as_ref);
            on(StreamEvent::Opened { flow, owner, certificate, at: now }, out);
        }
        if undivided.written > 0 {
            if !has_evidence(out) {
                return true;
            }
            let octets = core::mem::take(&mut undivided.written);
            on(StreamEvent::Written { id, octets, at: now }, out);
        }
        if self.show_tail(index, now, out, on) {
            // What is answered to that is wished for first.
            return true;
        }
        self.end_if_used(index);
        if !self.is_over(index) {
            return false;
        }
        if !has_evidence(out) {
            return true;
        }
        let Some(undivided) = self.undivided(index) else { return false };
        undivided.is_mourned = true;
        let Undivided { owner, doubtful, .. } = *undivided;
        match owner {
            Some(owner) if !was_open => on(StreamEvent::Refused { owner, at: now }, out),
            Some(_) | None => on(StreamEvent::Lost { id, doubtful, at: now }, out),
        }
        self.wind_up(index);
        false
    }

    /// Whether it is closing, and nothing uses it any more but that this was not told.
    fn is_over(&self, index: u16) -> bool {
        let connection = &self.connections[usize::from(index)];
        let uses = connection.running.any() || connection.parked > 0;
        connection.state == State::Closing && !uses
    }

    /// Whether its end has to be told before its place is given away; that is seen to.
    pub(super) fn is_to_be_mourned(&mut self, index: u16) -> bool {
        let undivided = self.connections[usize::from(index)].undivided;
        let waits = undivided.is_some_and(|undivided| !undivided.is_mourned);
        if waits {
            self.stir(index);
        }
        waits
    }

    /// Closes one that the other end has ended, when what has come was used and what was wished for is
    /// written.
    fn end_if_used(&mut self, index: u16) {
        let connection = &self.connections[usize::from(index)];
        let Some(undivided) = connection.undivided else { return };
        let is_read = connection.running.read || connection.parked > 0;
        let is_kept = undivided.is_due || (undivided.is_paused && connection.inbox.has_begun());
        let is_written = connection.outbox.is_some() || undivided.wants_room;
        if connection.state == State::Ended && !is_read && !is_kept && !is_written {
            self.shut(index);
        }
    }

    /// What there is of it is forgotten: its place is free.
    pub(super) fn forget_undivided(&mut self, index: u16) {
        let connection = &mut self.connections[usize::from(index)];
        let Some(undivided) = connection.undivided.take() else { return };
        let ip = connection.flow.remote.ip;
        self.long_reads -= usize::from(undivided.has_long_read);
        if undivided.owner.is_some()
            && let Some(at) = self.wished.iter().position(|(to, _)| *to == ip)
        {
            self.wished[at].1 -= 1;
            if self.wished[at].1 == 0 {
                self.wished.swap_remove(at);
            }
        }
    }

    /// The driver is about to write what it is shown.
    pub(super) fn note_given(&mut self, index: u16) {
        let Connection { outbox: Some(outbox), undivided: Some(undivided), .. } =
            &mut self.connections[usize::from(index)]
        else {
            return;
        };
        undivided.given = self.outboxes[*outbox].unwritten().len();
    }

    /// How a write went of one of these: what was shown is settled by that. An errno says that nothing of
    /// it was taken; that is not proved by whoever says it, and these octets are told to be doubtful.
    pub(super) fn note_written(&mut self, index: u16, result: Result<usize, i32>) {
        let Some(undivided) = self.undivided(index) else { return };
        let given = core::mem::take(&mut undivided.given);
        match result {
            Ok(len) => {
                let len = len.min(given) as u64;
                undivided.written += len;
                self.tally.counters.add_many(Counter::MsrpOctetsOut, len);
            }
            Err(_) => {
                undivided.doubtful += given as u64;
                (undivided.is_broken, undivided.wants_room) = (true, false);
            }
        }
        self.stir(index);
    }

    /// Reading has failed: what is written now would not come there.
    pub(super) fn note_broken(&mut self, index: u16) {
        if let Some(undivided) = self.undivided(index) {
            (undivided.is_broken, undivided.wants_room) = (true, false);
        }
    }

    /// Its outbox was emptied, and is somebody else's if somebody waits for one.
    pub(super) fn on_emptied(&mut self, index: u16) {
        let Some(undivided) = self.connections[usize::from(index)].undivided else { return };
        if undivided.is_ending {
            self.shut(index);
        } else if undivided.wants_room {
            self.line_up(index);
        }
    }

    fn has_outbox_to_give(&self) -> bool {
        self.outboxes_free.len() > OUTBOXES_SPARE
    }

    /// Offers room to those who wish to write, the first ones first: before all to those who have an outbox.
    /// Whoever has none waits for one, and the last ones are left to departures. Says how many had room.
    pub fn offer(
        &mut self,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> usize {
        let (mut work, before) = (0, self.offered);
        let is_enough = |streams: &Self| streams.offered - before >= STREAM_OCTETS_PER_TURN as u64;
        for _ in 0..self.line.len() {
            if !has_evidence(out) || is_enough(self) {
                return work;
            }
            let Some(index) = self.line.pop_front() else { break };
            if self.connections[usize::from(index)].outbox.is_none() {
                self.boxless.push_back(index);
                continue;
            }
            self.fill(index, now, out, on);
            work += 1;
        }
        for _ in 0..self.boxless.len() {
            if !has_evidence(out) || !self.has_outbox_to_give() || is_enough(self) {
                return work;
            }
            let Some(index) = self.boxless.pop_front() else { break };
            self.fill(index, now, out, on);
            work += 1;
        }
        work
    }

    /// Offers room to a connection that is not in the line any more.
    fn fill(
        &mut self,
        index: u16,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) {
        let connection = self.connection(index);
        connection.is_in_line = false;
        let is_there = matches!(connection.state, State::Open | State::Ended);
        // Somebody else may have this place by now.
        if !is_there || connection.undivided.is_none_or(|undivided| !undivided.wants_room) {
            return;
        }
        let Some(id) = self.id(index) else { return };
        let Some(outbox) = self.outbox(index, now) else { return self.line_up(index) };
        for _ in 0..STREAM_SHOWS_PER_TURN {
            if !has_evidence(out) {
                break;
            }
            let room = self.outboxes[outbox].room();
            if room.len() < STREAM_ROOM_MIN {
                // It lines up again when all was written.
                return self.order_write(index, now);
            }
            let (mut filled, most) = (0, room.len());
            on(StreamEvent::Room { id, room, filled: &mut filled, at: now }, out);
            let filled = filled.min(most);
            self.outboxes[outbox].fill(filled);
            self.offered += filled as u64;
            if filled == 0 {
                if let Some(undivided) = self.undivided(index) {
                    undivided.wants_room = false;
                }
                self.order_write(index, now);
                return self.stir(index);
            }
        }
        self.order_write(index, now);
        self.line_up(index);
    }
}
