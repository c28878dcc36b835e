//! How octets are shown that the engine divides itself.
//!
//! They are shown where they lie in the read. What is left of a read and needs more is kept in the tail
//! of the connection and is shown again with more behind it, in one piece: of the next read as many octets
//! are copied behind the tail as it takes until the engine uses what was kept, each time as many as before
//! that, and from there on it goes on in the read. So an octet is copied twice at most, however they are
//! cut.
//!
//! What the engine cannot take now stays parked, and nothing more is read. Only few connections may keep a
//! read back that is longer than their tail; the others read no more than that holds at once, so that
//! whoever is waited for takes nothing from others.

use super::undivided::has_evidence;
use super::{Connection, Next, State, Streams};
use crate::limits::{
    DATAGRAM_SIZE_MAX, STREAM_READ_SIZE, STREAM_READS_KEPT, STREAM_SHOWS_PER_TURN, STREAM_TAIL_SIZE,
};
use crate::metrics::Counter;
use crate::packet::{ConnectionId, Departures, Rest, StreamEvent, Used};
use crate::time::Instant;

/// What has become of a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Look {
    /// All of it was used, or is kept elsewhere.
    UsedUp,
    /// It goes on later.
    Later,
}

/// Octets that are copied behind a tail at first.
const STEP_MIN: usize = 512;

impl Streams {
    /// Shows what is in a parked read of such a connection, which is used up to `at`, the first of its reads
    /// first. [`Next::Later`]: it is shown again when the connection is not [`Streams::is_paused`].
    pub fn show(
        &mut self,
        index: u16,
        (read, at): (&[u8], &mut usize),
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> Next {
        if self.look(index, (read, at), now, out, on) == Look::Later {
            return Next::Later;
        }
        if let Some(undivided) = self.undivided(index) {
            undivided.fresh = 0;
            undivided.reads_much = read.len() >= STREAM_TAIL_SIZE / 2;
        }
        self.used_up(index)
    }

    /// Shows what is in a tail once more, if that was wished for and no read lies behind it; whether it was.
    pub(super) fn show_tail(
        &mut self,
        index: u16,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> bool {
        let connection = &self.connections[usize::from(index)];
        let is_due = connection.undivided.is_some_and(|undivided| undivided.is_due);
        let is_there = matches!(connection.state, State::Open | State::Ended);
        if !is_due || !is_there || connection.parked > 0 {
            return false;
        }
        self.look(index, (&[], &mut 0), now, out, on);
        true
    }

    /// What was not used is to be shown again, and more is read.
    pub(super) fn resume(&mut self, index: u16, now: Instant) {
        let connection = self.connection(index);
        let has_tail = connection.inbox.has_begun();
        if let Some(undivided) = &mut connection.undivided {
            undivided.is_due |= undivided.is_paused && has_tail;
            undivided.is_paused = false;
        }
        self.note_used(index, 0, now);
        self.stir(index);
    }

    /// How many octets may be read at once of such a connection.
    pub(super) fn long_or_short(&mut self, index: u16) -> usize {
        let may_be_long = self.long_reads < STREAM_READS_KEPT;
        let Connection { undivided: Some(undivided), inbox, .. } =
            &mut self.connections[usize::from(index)]
        else {
            return STREAM_READ_SIZE;
        };
        let is_long = undivided.reads_much && (undivided.has_long_read || may_be_long);
        self.long_reads += usize::from(is_long);
        self.long_reads -= usize::from(core::mem::replace(&mut undivided.has_long_read, is_long));
        let kept = inbox.len();
        match (is_long, kept < STREAM_TAIL_SIZE && !inbox.has_large()) {
            (true, _) => STREAM_READ_SIZE,
            (false, true) => STREAM_TAIL_SIZE - kept,
            (false, false) => (DATAGRAM_SIZE_MAX - kept).max(1),
        }
    }

    fn look(
        &mut self,
        index: u16,
        (read, at): (&[u8], &mut usize),
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) -> Look {
        let mut shows = 0;
        loop {
            let connection = &self.connections[usize::from(index)];
            let is_there = matches!(connection.state, State::Open | State::Ended);
            let undivided = connection.undivided.filter(|undivided| !undivided.is_ending);
            let Some(undivided) = undivided.filter(|_| is_there) else { return Look::UsedUp };
            let kept = connection.inbox.len();
            if undivided.is_paused {
                return self.stow(index, (read, at));
            }
            if !undivided.is_known || shows == STREAM_SHOWS_PER_TURN || !has_evidence(out) {
                return Look::Later;
            }
            shows += 1;
            if kept > 0 {
                if !undivided.is_due && !self.grow(index, (read, at)) {
                    return Look::UsedUp;
                }
                self.show_kept(index, at, now, out, on);
                continue;
            }
            let rest = &read[*at..];
            if rest.is_empty() {
                return Look::UsedUp;
            }
            let used = shown(self.flow(index).connection, rest, now, out, on);
            *at += used.octets;
            self.note_used(index, used.octets, now);
            match used.rest {
                Rest::WhenWished => self.pause(index),
                Rest::WithMore if used.octets > 0 => {}
                Rest::WithMore => {
                    self.keep(index, (read, at), now);
                    return Look::UsedUp;
                }
            }
        }
    }

    /// Shows what is in the tail. From its octets behind those of earlier reads on it goes on in the read.
    fn show_kept(
        &mut self,
        index: u16,
        at: &mut usize,
        now: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) {
        let Self { connections, tails, .. } = self;
        let Connection { flow, inbox, undivided: Some(undivided), .. } =
            &mut connections[usize::from(index)]
        else {
            return;
        };
        let tail = tails.octets(index, inbox);
        let len = tail.len();
        let used = shown(flow.connection, tail, now, out, on);
        if used.octets >= len - undivided.fresh {
            *at -= len - used.octets;
            undivided.fresh = 0;
            tails.clear(inbox);
        } else if used.octets > 0 {
            inbox.cut(tails, index, used.octets);
        }
        undivided.is_due = used.octets > 0 && inbox.has_begun();
        self.note_used(index, used.octets, now);
        if used.rest == Rest::WhenWished {
            self.pause(index);
        }
    }

    /// Copies more of the read behind the tail; `false` if there is nothing to be shown.
    fn grow(&mut self, index: u16, (read, at): (&[u8], &mut usize)) -> bool {
        let Connection { undivided: Some(undivided), inbox, .. } =
            &self.connections[usize::from(index)]
        else {
            return false;
        };
        let step = undivided.fresh.max(STEP_MIN);
        let more = (read.len() - *at).min(step).min(DATAGRAM_SIZE_MAX - inbox.len());
        if *at == read.len() {
            return false;
        }
        if more == 0 {
            self.give_up_dividing(index);
            return false;
        }
        if !self.append(index, &read[*at..*at + more]) {
            return false;
        }
        *at += more;
        if let Some(undivided) = self.undivided(index) {
            undivided.fresh += more;
        }
        true
    }

    /// Keeps the rest of a read in the tail, which is empty.
    fn keep(&mut self, index: u16, (read, at): (&[u8], &mut usize), now: Instant) {
        let rest = &read[*at..];
        if rest.len() > DATAGRAM_SIZE_MAX {
            return self.give_up_dividing(index);
        }
        if self.append(index, rest) {
            *at = read.len();
            self.note_used(index, 0, now);
        }
    }

    /// Keeps the rest of a read in the tail until that is wished otherwise, or leaves it parked where that
    /// is allowed.
    fn stow(&mut self, index: u16, (read, at): (&[u8], &mut usize)) -> Look {
        let rest = &read[*at..];
        let Connection { undivided: Some(undivided), inbox, .. } =
            &self.connections[usize::from(index)]
        else {
            return Look::UsedUp;
        };
        let len = inbox.len() + rest.len();
        let size = if inbox.has_large() { DATAGRAM_SIZE_MAX } else { STREAM_TAIL_SIZE };
        let is_long = len > size && undivided.has_long_read;
        if is_long || len > DATAGRAM_SIZE_MAX {
            return Look::Later;
        }
        if !rest.is_empty() && self.append(index, rest) {
            *at = read.len();
        }
        Look::UsedUp
    }

    /// Puts octets into the tail; `false` if the connection had to be closed for want of room.
    fn append(&mut self, index: u16, octets: &[u8]) -> bool {
        loop {
            let Self { connections, tails, .. } = self;
            if connections[usize::from(index)].inbox.append(tails, index, octets) {
                return true;
            }
            // Whoever has kept something unfinished for longest makes room.
            let oldest = self.oldest_in_message().unwrap_or(index);
            self.count(Counter::ClosedNoRoom);
            self.shut(oldest);
            if oldest == index {
                return false;
            }
        }
    }

    fn give_up_dividing(&mut self, index: u16) {
        self.count(Counter::ClosedUnframed);
        self.shut(index);
    }

    fn pause(&mut self, index: u16) {
        // What waits here waits for us.
        self.connection(index).in_message = None;
        if let Some(undivided) = self.undivided(index) {
            (undivided.is_paused, undivided.is_due) = (true, false);
        }
    }

    /// So many octets were used, and what is kept now has the time that an unfinished message has.
    fn note_used(&mut self, index: u16, octets: usize, now: Instant) {
        self.tally.counters.add_many(Counter::MsrpOctetsIn, octets as u64);
        let connection = self.connection(index);
        if !connection.inbox.has_begun() {
            connection.in_message = None;
        } else if octets > 0 || connection.in_message.is_none() {
            connection.in_message = Some(now);
            self.schedule(index);
        }
    }
}

/// What the engine says of octets.
fn shown(
    id: Option<ConnectionId>,
    octets: &[u8],
    now: Instant,
    out: &mut Departures,
    on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
) -> Used {
    let mut used = Used { octets: octets.len(), rest: Rest::WithMore };
    if let Some(id) = id {
        on(StreamEvent::Arrived { id, octets, used: &mut used, at: now }, out);
    }
    Used { octets: used.octets.min(octets.len()), ..used }
}
