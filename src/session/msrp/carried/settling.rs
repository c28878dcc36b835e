//! What became of pieces, and what senders are answered for their chunks.
//!
//! What a sender is told of a chunk is what its recipient has said of it, where that can be true of a chunk
//! of the sender's session:
//!
//! | from the recipient | to the sender | why |
//! |---|---|---|
//! | 200 to all its pieces | 200 | he has all its octets |
//! | 481, 506 | 481 | What the sender's URI leads to is gone, or is bound where we cannot reach it: it is of no more use, and he is to end it (RFC 4975 section 10.8). His own connection is the right one, so that 506 would be wrong. |
//! | 401 | 403 | Who is to authenticate himself is us, and we cannot: the sender cannot do anything about it. |
//! | any other | the same | It is about the message, which is the same. |
//! | nothing for 30 s; the connection is lost | 408 | a downstream transaction did not complete (section 10.4) |
//!
//! The first piece that fails decides its chunk, and ends the message: a part of it that is missing makes the
//! rest useless (sections 7.3.2 and 10.5). What was wholly given before is still answered as it comes.

use super::lists::State;
use super::{Carriage, CarriedEnd, CarriedId, ChunkId, Endpoint, PieceId, WayId};
use crate::limits::MSRP_STALLED_MS;
use crate::session::msrp::sending::Departed;
use crate::session::msrp::turns::Turn;
use crate::session::msrp::{FACTS_PER_STEP, Stopped};
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Flag, Path, Reply, comment};

/// What a sender is told where his recipient has said this.
pub(super) const fn towards_sender(code: u16) -> u16 {
    match code {
        481 | 506 => 481,
        401 => 403,
        other => other,
    }
}

impl Endpoint {
    /// A piece was answered on this connection. Whether it waits for that: a 200 is not for one whose end
    /// nobody can have seen.
    pub(in crate::session::msrp) fn piece_answered(
        &mut self,
        id: PieceId,
        attempt: u8,
        connection: u16,
        code: u16,
    ) -> bool {
        let Some(piece) = self.carriage.pieces.get(id) else { return false };
        let is_early = piece.state == State::Open && code == 200;
        let carried = piece.carried;
        if piece.attempt != attempt || is_early || self.target_of(carried) != Some(connection) {
            return false;
        }
        let (chunk, number, octets) = (piece.chunk, piece.number, piece.octets);
        self.tell_carried(carried, Carriage::Responded { chunk: number, octets, code });
        self.carriage.remove_piece(id);
        if code == 200 {
            self.settle_chunk(chunk);
        } else {
            self.refuse_chunk(carried, chunk, towards_sender(code));
        }
        self.make_carried_ready(carried);
        self.finish_if_over(carried);
        true
    }

    /// The last octet of a piece was handed over.
    pub(in crate::session::msrp) fn piece_handed_over(&mut self, id: PieceId, now: Instant) {
        self.tell_piece(id, |chunk| Carriage::HandedOver { chunk });
        let Some(piece) = self.carriage.pieces.get_mut(id) else { return };
        piece.state = State::HandedOver(now);
        let (carried, chunk) = (piece.carried, piece.chunk);
        let due = now.plus_ms(self.response_ms);
        let timer = self.carried_timer(carried);
        let Some(it) = self.carriage.messages.get_mut(carried) else { return };
        it.progress_at = now;
        if due < it.due {
            it.due = due;
            self.wheel.start(timer, due);
        }
        match it.failure_report {
            FailureReport::Yes => return,
            // An error may come, and nobody says that it will not: what came first has waited longest.
            FailureReport::Partial => self.let_oldest_go(carried),
            FailureReport::No => {
                self.carriage.remove_piece(id);
                self.settle_chunk(chunk);
            }
        }
        self.make_carried_ready(carried);
        self.finish_if_over(carried);
    }

    /// If others need its place, no error is waited for any more to the piece that was handed over first.
    fn let_oldest_go(&mut self, id: CarriedId) {
        if self.carriage.has_place_for_chunk(id, false)
            && self.carriage.has_place_for_piece(id, false)
        {
            return;
        }
        let mut at = self.carriage.messages.get(id).and_then(|it| it.first_piece);
        while let Some(piece) = at.and_then(|at| self.carriage.pieces.get(at))
            && !matches!(piece.state, State::HandedOver(_))
        {
            at = piece.next;
        }
        if let Some(oldest) = at {
            self.lapse(id, oldest);
        }
    }

    /// If all pieces of a chunk were answered with 200, so is the chunk.
    pub(super) fn settle_chunk(&mut self, id: ChunkId) {
        let chunk = self.carriage.chunks.get(id);
        if chunk.is_some_and(|it| it.is_given && it.pieces == 0 && it.code.is_none()) {
            self.decide(id, 200);
        }
    }

    /// A piece of this chunk has failed, and with it the message.
    fn refuse_chunk(&mut self, id: CarriedId, chunk: ChunkId, code: u16) {
        let it = self.carriage.chunks.get(chunk);
        if it.is_some_and(|it| it.is_given && it.code.is_none()) {
            self.decide(chunk, code);
        }
        self.fail(id, code, false);
    }

    /// A message is not carried any further: what was not wholly given is answered with this code, and so is
    /// what still comes. `is_to_tell`: its recipient does not know it yet. A piece that is open ends with `#`,
    /// else one of no octets says so.
    pub(in crate::session::msrp) fn fail(&mut self, id: CarriedId, code: u16, is_to_tell: bool) {
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        if it.stopped.is_some() {
            return;
        }
        it.stopped = Some(code);
        it.owes_abort = is_to_tell && it.open.is_none() && it.first_at.is_some();
        self.carriage.note_stopped(id, code);
        self.leave_turn(Turn::Carried(id));
        self.drop_ungiven(id, code);
        self.make_carried_ready(id);
        self.wake_target(id);
        self.resume_source(id);
        self.finish_if_over(id);
    }

    fn drop_ungiven(&mut self, id: CarriedId, code: u16) {
        while let Some(it) = self.carriage.messages.get(id) {
            let (queue, Some(chunk)) = self.carriage.pop(it.ungiven) else { break };
            if let Some(it) = self.carriage.messages.get_mut(id) {
                it.ungiven = queue;
            }
            self.decide(chunk, code);
        }
    }

    /// A chunk, which is in no queue, is to be answered with this code, if its sender asks for that.
    fn decide(&mut self, id: ChunkId, code: u16) {
        let Some(chunk) = self.carriage.chunks.get_mut(id) else { return };
        chunk.code = Some(code);
        let carried = chunk.carried;
        let Some(it) = self.carriage.messages.get(carried) else { return };
        let is_asked_for = match it.failure_report {
            FailureReport::Yes => true,
            FailureReport::Partial => code != 200,
            FailureReport::No => false,
        };
        if !is_asked_for || it.has_no_sender {
            return self.free_chunk(id, carried);
        }
        let owed = self.carriage.push(it.owed, id);
        if let Some(it) = self.carriage.messages.get_mut(carried) {
            it.owed = owed;
        }
        self.owe(carried);
    }

    /// A chunk needs nothing any more.
    fn free_chunk(&mut self, id: ChunkId, carried: CarriedId) {
        self.carriage.remove_chunk(id);
        self.resume_from(self.source_of(carried), Stopped::Chunks(carried));
    }

    /// The sender of a message is owed an answer: it is written as soon as there is room.
    fn owe(&mut self, id: CarriedId) {
        let Some(source) = self.source_of(id) else { return };
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        if core::mem::replace(&mut it.is_owing, true) {
            return;
        }
        it.next_owing = None;
        match self.connection(source).last_owed.replace(id) {
            Some(last) => {
                if let Some(last) = self.carriage.messages.get_mut(last) {
                    last.next_owing = Some(id);
                }
            }
            None => self.connection(source).first_owed = Some(id),
        }
        self.wake(source);
    }

    /// The first message that is owed an answer here is the first no more.
    fn take_owing(&mut self, connection: u16) -> Option<CarriedId> {
        let id = self.connection(connection).first_owed?;
        let it = self.carriage.messages.get_mut(id);
        let next = it.and_then(|it| {
            it.is_owing = false;
            it.next_owing.take()
        });
        let connection = self.connection(connection);
        connection.first_owed = next;
        if next.is_none() {
            connection.last_owed = None;
        }
        Some(id)
    }

    /// Puts one answer that is owed behind the others; whether there was one. There is room for it.
    pub(in crate::session::msrp) fn put_owed(&mut self, connection: u16) -> bool {
        let Some(id) = self.take_owing(connection) else { return false };
        let Some(it) = self.carriage.messages.get(id) else { return true };
        let (owed, Some(chunk)) = self.carriage.pop(it.owed) else { return true };
        if let Some(it) = self.carriage.messages.get_mut(id) {
            it.owed = owed;
        }
        if owed.first.is_some() {
            self.owe(id);
        }
        self.answer_owed(id, chunk, connection);
        self.free_chunk(chunk, id);
        self.finish_if_over(id);
        true
    }

    fn answer_owed(&mut self, id: CarriedId, chunk: ChunkId, connection: u16) {
        let Some(chunk) = self.carriage.chunks.get(chunk) else { return };
        let (code, octets) = (chunk.code.unwrap_or(408), chunk.octets);
        let Some(way) = self.carriage.way_of(id) else { return };
        let Some(session) = self.sessions.get(way.from).filter(|it| !it.has_ended) else { return };
        let paths = (Path::parse(session.peer.octets()), Path::parse(session.uri.octets()));
        let (Ok(peer), Ok(from_path)) = paths else { return };
        let reply = Reply {
            transaction_id: chunk.transaction_id.octets(),
            to_path: peer.first(),
            from_path,
            code,
            comment: comment(code),
        };
        if self.connections[usize::from(connection)].answers.put(|to| reply.write(to)) {
            self.tell_carried(id, Carriage::Answered { octets, code });
        }
    }

    /// The session where messages leave is bound.
    pub(in crate::session::msrp) fn way_is_open(&mut self, way: WayId) {
        let mut at = self.carriage.ways.get(way).and_then(|way| way.first);
        while let Some(id) = at {
            at = self.carriage.messages.get(id).and_then(|it| it.next_in_way);
            self.make_carried_ready(id);
            self.wake_target(id);
        }
    }

    /// The session where messages come has ended. What has come whole goes on; a chunk that is cut off ends
    /// with `#`, and nobody takes it for the end of the message.
    pub(in crate::session::msrp) fn way_has_no_sender(&mut self, way: WayId) {
        let from = self.carriage.ways.get(way).and_then(|way| self.sessions.get(way.from));
        let source = from.and_then(|session| session.connection);
        let mut at = self.carriage.ways.get(way).and_then(|way| way.first);
        while let Some(id) = at {
            at = self.carriage.messages.get(id).and_then(|it| it.next_in_way);
            self.resume_source(id);
            let Some(it) = self.carriage.messages.get_mut(id) else { continue };
            it.has_no_sender = true;
            if it.is_owing
                && let Some(source) = source
            {
                self.forget_owing(id, source);
            }
            while let Some(it) = self.carriage.messages.get(id) {
                let (owed, Some(chunk)) = self.carriage.pop(it.owed) else { break };
                if let Some(it) = self.carriage.messages.get_mut(id) {
                    it.owed = owed;
                }
                self.carriage.remove_chunk(chunk);
            }
            self.cut_off(id);
            self.make_carried_ready(id);
            self.wake_target(id);
            self.finish_if_over(id);
        }
    }

    /// The chunk that is coming has ended without an end-line, if one is.
    fn cut_off(&mut self, id: CarriedId) {
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        let last = it.ungiven.last.and_then(|chunk| self.carriage.chunks.get_mut(chunk));
        if let Some(chunk) = last.filter(|chunk| chunk.flag.is_none()) {
            chunk.flag = Some(Flag::Aborted);
            it.note_end(chunk.octets, Flag::Aborted);
        }
    }

    fn forget_owing(&mut self, id: CarriedId, source: u16) {
        let mut before: Option<CarriedId> = None;
        let mut at = self.connection(source).first_owed;
        while let Some(other) = at.filter(|at| *at != id) {
            before = Some(other);
            at = self.carriage.messages.get(other).and_then(|it| it.next_owing);
        }
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        it.is_owing = false;
        let next = it.next_owing.take();
        match before.and_then(|before| self.carriage.messages.get_mut(before)) {
            Some(before) => before.next_owing = next,
            None => self.connection(source).first_owed = next,
        }
        let it = self.connection(source);
        if it.last_owed == Some(id) {
            it.last_owed = before;
        }
    }

    /// The session where messages leave has ended: nobody can know what became of what was given and not
    /// answered.
    pub(in crate::session::msrp) fn way_has_no_recipient(&mut self, way: WayId) {
        let mut at = self.carriage.ways.get(way).and_then(|way| way.first);
        while let Some(id) = at {
            at = self.carriage.messages.get(id).and_then(|it| it.next_in_way);
            let departed = self.departed(id);
            self.leave_turn(Turn::Carried(id));
            let Some(it) = self.carriage.messages.get_mut(id) else { continue };
            it.lost = Some(departed);
            let code = *it.stopped.get_or_insert(408);
            it.owes_abort = false;
            self.drop_ungiven(id, code);
            while let Some(piece) = self.carriage.messages.get(id).and_then(|it| it.first_piece) {
                let chunk = self.carriage.remove_piece(piece).map(|piece| piece.chunk);
                let undecided = chunk.filter(|chunk| {
                    self.carriage.chunks.get(*chunk).is_some_and(|it| it.code.is_none())
                });
                if let Some(chunk) = undecided {
                    self.decide(chunk, 408);
                }
            }
            self.resume_source(id);
            self.finish_if_over(id);
        }
    }

    fn departed(&self, id: CarriedId) -> Departed {
        let target = self.target_of(id).map(|at| &self.connections[usize::from(at)]);
        // What was written on a connection that lives still leaves.
        let left = target.map_or(0, |it| if it.is_open { it.put } else { it.handed });
        let Some(it) = self.carriage.messages.get(id) else { return Departed::Nothing };
        match (it.first_at, it.last_at) {
            (_, Some(last_at)) if last_at <= left => Departed::All,
            (Some(first_at), _) if first_at < left => Departed::Some,
            _ => Departed::Nothing,
        }
    }

    /// The timer of a message: the pieces whose time is over, and whether it stands still.
    pub(in crate::session::msrp) fn carried_is_due(&mut self, index: u32, now: Instant) {
        let Some(id) = self.carriage.messages.handle_at(index) else { return };
        let heard_since = self.target_of(id).map_or(now, |target| {
            let it = &self.connections[usize::from(target)];
            // Who is not read from is not silent.
            if it.was_stopped { now } else { it.heard_since }
        });
        let mut next = now.plus_ms(self.response_ms);
        let mut at = self.carriage.messages.get(id).and_then(|it| it.first_piece);
        let mut told = 1;
        while let Some(piece) = at
            && let Some(it) = self.carriage.pieces.get(piece)
        {
            at = it.next;
            let State::HandedOver(since) = it.state else { continue };
            let due = since.max(heard_since).plus_ms(self.response_ms);
            if due > now || told + 3 > FACTS_PER_STEP {
                next = next.min(due.max(now.plus_ms(1)));
                break;
            }
            told += 1;
            self.lapse(id, piece);
        }
        self.stand_still(id, now);
        let timer = self.carried_timer(id);
        if let Some(it) = self.carriage.messages.get_mut(id) {
            it.due = next;
            self.wheel.start(timer, next);
        }
        self.make_carried_ready(id);
        self.wake_target(id);
        self.finish_if_over(id);
    }

    /// A piece was not answered in time. Where no 200 is asked for, that is nothing: it was an error that could
    /// have come.
    fn lapse(&mut self, id: CarriedId, piece: PieceId) {
        let Some(chunk) = self.carriage.pieces.get(piece).map(|piece| piece.chunk) else { return };
        let is_answered = self
            .carriage
            .messages
            .get(id)
            .is_some_and(|it| it.failure_report == FailureReport::Yes);
        self.carriage.lapse(piece);
        if !is_answered {
            return self.settle_chunk(chunk);
        }
        self.tell_piece(piece, |chunk| Carriage::TimedOut { chunk });
        match self.carriage.chunks.get(chunk) {
            Some(it) if it.code.is_some() => {}
            // The rest of it would be carried for nothing: its sender knows by now that it has failed.
            Some(it) if !it.is_given => self.fail(id, 408, true),
            Some(_) => self.decide(chunk, 408),
            None => {}
        }
    }

    /// If nothing has come for long, and nothing has left.
    fn stand_still(&mut self, id: CarriedId, now: Instant) {
        let Some(it) = self.carriage.messages.get(id) else { return };
        if it.progress_at.plus_ms(MSRP_STALLED_MS) > now {
            return;
        }
        if it.ungiven.first.is_some() {
            self.fail(id, 408, true);
        } else if it.is_idle() {
            self.finish(id, CarriedEnd::Stalled);
        }
    }
}
