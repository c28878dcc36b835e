//! Messages that are sent: which of their chunks wait for what, and what came back for them.
//!
//! ```text
//!  chunk:  Open --(end-line written)--> Given --(last octet handed over)--> HandedOver --(30 s)--> Lapsed
//!            |                            |                                    |                    |
//!            +----------------------------+------(response: told, gone)--------+--------------------+
//! ```
//!
//! A chunk that is answered late is answered all the same: it is kept when it has lapsed. A message goes
//! on being sent then, while more chunks may wait, since a peer that answers nothing may send REPORTs
//! (hazard H24); it ends with a failure (RFC 4975 section 7.3.2). Whatever is not 200 is one.

use super::octets::{byte_range, named};
use super::sessions::SessionId;
use super::text::Text;
use super::turns::{Place, Turn};
use super::writing::Part;
use super::{Connection, Endpoint, Fact, Host, Transaction};
use crate::id::Handle;
use crate::limits::{MSRP_CHUNKS_MAX, MSRP_CONTENT_TYPE_SIZE_MAX, MSRP_IDENT_SIZE_MAX};
use crate::store::Octets;
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Path, Request, Response, Send, Status};

/// What became of a REPORT.
pub(super) enum Reported {
    /// It is told, or counted.
    Taken,
    /// It is about no message that we send ourselves.
    OfNone(Status),
}

/// Names a message that is sent.
pub type SendingId = Handle<Sending>;

/// A message that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What its owner calls it.
    pub owner: u64,
    /// The same for all attempts to send it.
    pub message_id: &'a [u8],
    /// What it is; none for a SEND without a body, which binds a connection.
    pub content_type: Option<&'a [u8]>,
    /// How many octets; none without a body.
    pub size: u64,
    /// Whether success reports are wanted.
    pub success_report: bool,
    /// Whether responses and failure reports are wanted.
    pub failure_report: FailureReport,
}

/// Why a message is not sent. Nothing of it has left, or will.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// The session has ended, or its peer is not known.
    NoSession,
    /// As many are sent as may be.
    Full,
    /// It cannot be written: an identifier or a type that is none, or octets without a type.
    Unfit,
}

/// What of a message has left when its session ends: what is certain of it hangs on that (hazards H27 and
/// H51).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Departed {
    /// Not one octet of its first chunk.
    Nothing,
    /// Some, or it cannot be told; the chunk with `$` has not left.
    Some,
    /// All of it may have left, up to the end-line with `$`.
    All,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Open,
    Given,
    HandedOver(Instant),
    Lapsed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) number: u32,
    pub(super) attempt: u8,
    pub(super) octets: Octets,
    pub(super) state: State,
}

/// A message that is sent.
#[derive(Debug)]
pub struct Sending {
    pub(super) session: SessionId,
    pub(super) owner: u64,
    pub(super) message_id: Text<MSRP_IDENT_SIZE_MAX>,
    content_type: Option<Text<MSRP_CONTENT_TYPE_SIZE_MAX>>,
    pub(super) size: u64,
    pub(super) success_report: bool,
    pub(super) failure_report: FailureReport,
    /// Octets written.
    pub(super) at: u64,
    /// The number of the next chunk.
    pub(super) next_number: u32,
    chunks: [Chunk; MSRP_CHUNKS_MAX],
    count: u8,
    /// Where in the stream its first chunk begins, and where the one with `$` ends.
    pub(super) first_at: Option<u64>,
    pub(super) last_at: Option<u64>,
    /// No more of it is sent.
    pub(super) is_stopped: bool,
    pub(super) place: Place,
    is_timed: bool,
}

impl Sending {
    pub(super) fn chunks(&mut self) -> &mut [Chunk] {
        &mut self.chunks[..usize::from(self.count)]
    }

    /// Whether a chunk may be begun. A chunk that has lapsed may be answered late, and so it keeps its
    /// place; unless no answer was asked for.
    pub(super) fn is_ready(&self) -> bool {
        let chunks = &self.chunks[..usize::from(self.count)];
        let keeps_place = |chunk: &&Chunk| {
            chunk.state != State::Lapsed || self.failure_report == FailureReport::Yes
        };
        let taken = chunks.iter().filter(keeps_place).count();
        let is_open = chunks.iter().any(|chunk| chunk.state == State::Open);
        !self.is_stopped && self.last_at.is_none() && !is_open && taken < MSRP_CHUNKS_MAX
    }

    /// Notes a chunk that begins; what lapsed first makes room. There is some while it
    /// [is ready](Self::is_ready).
    pub(super) fn begin(&mut self, attempt: u8, first_at: u64) -> u32 {
        if usize::from(self.count) == MSRP_CHUNKS_MAX
            && let Some(lapsed) = self.chunks().iter().position(|one| one.state == State::Lapsed)
        {
            self.remove(lapsed);
        }
        let number = self.next_number;
        let octets = Octets { start: self.at, end: self.at };
        self.chunks[usize::from(self.count)] =
            Chunk { number, attempt, octets, state: State::Open };
        self.count += 1;
        self.next_number += 1;
        self.first_at.get_or_insert(first_at);
        number
    }

    fn remove(&mut self, place: usize) -> Chunk {
        let chunk = self.chunks[place];
        self.chunks.copy_within(place + 1..usize::from(self.count), place);
        self.count -= 1;
        chunk
    }

    /// The head of a chunk. It says what is wanted even where silence would mean the same: relays differ
    /// about that (hazard H25).
    pub(super) fn head<'a>(
        &'a self,
        transaction_id: &'a [u8],
        is_interruptible: bool,
        (to_path, from_path): (Path<'a>, Path<'a>),
    ) -> Send<'a> {
        let rest = Octets { start: self.at, end: self.size };
        let mut range = byte_range(rest, Some(self.size));
        if is_interruptible {
            range.end = None;
        }
        Send {
            transaction_id,
            to_path,
            from_path,
            message_id: self.message_id.octets(),
            byte_range: Some(range),
            success_report: self.success_report,
            failure_report: self.failure_report,
            others: &[],
            content_type: self.content_type.as_ref().map(Text::octets),
        }
    }

    pub(super) const fn has_body(&self) -> bool {
        self.content_type.is_some()
    }
}

impl Endpoint {
    /// Sends a message as soon as its session is bound and it is its turn. It is kept until it is
    /// [released](Endpoint::forget): REPORTs may come late.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn send(
        &mut self,
        session: SessionId,
        message: &Message<'_>,
    ) -> Result<SendingId, Refused> {
        let it = self.sessions.get(session).filter(|it| !it.has_ended).ok_or(Refused::NoSession)?;
        let paths = (Path::parse(it.peer.octets()), Path::parse(it.uri.octets()));
        let (Ok(to), Ok(from)) = paths else { return Err(Refused::NoSession) };
        let place = it.sendings.iter().position(Option::is_none).ok_or(Refused::Full)?;
        let content_type = message.content_type.map(|text| Text::of(text).ok_or(Refused::Unfit));
        let none = Chunk { number: 0, attempt: 0, octets: Octets::default(), state: State::Lapsed };
        let sending = Sending {
            session,
            owner: message.owner,
            message_id: Text::of(message.message_id).ok_or(Refused::Unfit)?,
            content_type: content_type.transpose()?,
            size: message.size,
            success_report: message.success_report,
            failure_report: message.failure_report,
            at: 0,
            next_number: 0,
            chunks: [none; MSRP_CHUNKS_MAX],
            count: 0,
            first_at: None,
            last_at: None,
            is_stopped: false,
            place: Place::default(),
            is_timed: false,
        };
        let is_fit = sending.head(b"aaaa", false, (to, from)).size().is_some();
        if !is_fit || (message.size > 0 && !sending.has_body()) {
            return Err(Refused::Unfit);
        }
        let id = self.sendings.insert(sending).map_err(|_| Refused::Full)?;
        if let Some(it) = self.sessions.get_mut(session) {
            it.sendings[place] = Some(id);
        }
        self.make_ready(id);
        Ok(id)
    }

    /// No more of a message is sent. The chunk that is being written ends with `#` (hazard H29); between two
    /// chunks there is nothing to end.
    pub fn abort(&mut self, id: SendingId) {
        self.stop(id);
    }

    /// Nobody asks about a message any more: what comes for it belongs to nothing.
    pub fn forget(&mut self, id: SendingId) {
        let session = self.sendings.get(id).map(|sending| sending.session);
        self.forget_sending(id);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            for place in &mut session.sendings {
                if *place == Some(id) {
                    *place = None;
                }
            }
        }
    }

    /// What the owner of a message has called it.
    pub fn owner(&self, id: SendingId) -> Option<u64> {
        self.sendings.get(id).map(|sending| sending.owner)
    }

    /// So many more octets of what was written on a connection were handed over to the operating system.
    pub fn handed_over(&mut self, connection: u16, octets: u64, now: Instant) {
        let it = self.connection(connection);
        it.handed = it.handed.saturating_add(octets).min(it.put);
        while let Some(end) = self.next_end(connection) {
            match end.part {
                Part::Chunk { sending, number } => self.chunk_handed_over(sending, number, now),
                Part::Piece(piece) => {
                    self.piece_handed_over(piece, now);
                    // More may be begun than while so many were under way.
                    self.wake(connection);
                }
            }
        }
    }

    fn chunk_handed_over(&mut self, id: SendingId, number: u32, now: Instant) {
        let timer = self.sending_timer(id);
        let Some(sending) = self.sendings.get_mut(id) else { return };
        let is_answered = sending.failure_report == FailureReport::Yes;
        if let Some(chunk) = sending.chunks().iter_mut().find(|one| one.number == number) {
            // Who asks for no responses waits for none (RFC 4975 section 7.1.1).
            chunk.state = if is_answered { State::HandedOver(now) } else { State::Lapsed };
            if is_answered && !sending.is_timed {
                sending.is_timed = true;
                self.wheel.start(timer, now.plus_ms(self.response_ms));
            }
        }
        self.tell(Fact::HandedOver { sending: id, chunk: number });
        self.make_ready(id);
    }

    fn next_end(&mut self, connection: u16) -> Option<super::End> {
        let it = self.connection(connection);
        it.ends.front().filter(|end| end.at <= it.handed)?;
        it.ends.pop_front()
    }

    /// A response came. It counts for a chunk of ours on the connection that it was sent on; a 200 does
    /// not before the chunk has its end, which nobody can have seen.
    pub(super) fn respond(&mut self, response: &Response<'_>, connection: u16, host: &impl Host) {
        let named = host.transaction(response.transaction_id.of(response.octets));
        if let Some(Transaction::Carried { piece, attempt }) = named
            && self.piece_answered(piece, attempt, connection, response.code)
        {
            return;
        }
        let Some((sending, chunk)) =
            named.and_then(|named| self.answer(named, connection, response.code))
        else {
            self.counts.stray_responses += 1;
            return;
        };
        let (number, code) = (chunk.number, response.code);
        self.tell(Fact::Responded { sending, chunk: number, octets: chunk.octets, code });
        if code != 200 {
            self.stop(sending);
        }
        self.make_ready(sending);
    }

    fn answer(
        &mut self,
        named: Transaction,
        connection: u16,
        code: u16,
    ) -> Option<(SendingId, Chunk)> {
        let Transaction::Chunk { sending: id, number, attempt } = named else { return None };
        let sending = self.sendings.get_mut(id)?;
        let session = self.sessions.get(sending.session)?;
        let place = sending.chunks().iter().position(|chunk| {
            let is_early = chunk.state == State::Open && code == 200;
            chunk.number == number && chunk.attempt == attempt && !is_early
        })?;
        if session.connection != Some(connection) {
            return None;
        }
        Some((id, sending.remove(place)))
    }

    /// A REPORT came in this session (hazard H23: it belongs to a message of the same session only).
    pub(super) fn reported(&mut self, request: &Request<'_>, session: SessionId) -> Reported {
        let Some(status) = request.fields.status.filter(|status| status.namespace == 0) else {
            self.counts.foreign_reports += 1;
            return Reported::Taken;
        };
        let message_id = request.fields.message_id.of(request.octets);
        let sendings = self.sessions.get(session).map(|session| session.sendings);
        let is_it = |id: &SendingId| {
            let sending = self.sendings.get(*id);
            // Of what was not begun, nobody knows.
            let begun = sending.filter(|sending| sending.first_at.is_some());
            begun.is_some_and(|sending| sending.message_id.octets() == message_id)
        };
        let Some(sending) = sendings.into_iter().flatten().flatten().find(is_it) else {
            return Reported::OfNone(status);
        };
        let range = request.fields.byte_range;
        let (octets, total) = (range.as_ref().map(named), range.and_then(|range| range.total));
        self.tell(Fact::Reported { sending, octets, total, code: status.code });
        if status.code != 200 {
            self.stop(sending);
        }
        Reported::Taken
    }

    /// The timer of a message: the chunks whose time is over, and when the next one's will be.
    pub(super) fn sending_is_due(&mut self, index: u32, now: Instant) {
        let Some(id) = self.sendings.handle_at(index) else { return };
        let Some(sending) = self.sendings.get_mut(id) else { return };
        sending.is_timed = false;
        let mut next: Option<Instant> = None;
        let mut lapsed = [None; MSRP_CHUNKS_MAX];
        for (chunk, lapsed) in sending.chunks().iter_mut().zip(&mut lapsed) {
            let State::HandedOver(at) = chunk.state else { continue };
            let due = at.plus_ms(self.response_ms);
            if due <= now {
                chunk.state = State::Lapsed;
                *lapsed = Some(chunk.number);
            } else if next.is_none_or(|next| due < next) {
                next = Some(due);
            }
        }
        if let Some(next) = next {
            sending.is_timed = true;
            self.wheel.start(self.sending_timer(id), next);
        }
        for chunk in lapsed.into_iter().flatten() {
            self.tell(Fact::TimedOut { sending: id, chunk });
        }
        self.make_ready(id);
    }

    /// No more of it is sent; a chunk that is open ends with `#`.
    fn stop(&mut self, id: SendingId) {
        if let Some(sending) = self.sendings.get_mut(id) {
            sending.is_stopped = true;
        }
        self.leave_turn(Turn::Sending(id));
    }

    /// The session of a message ends.
    pub(super) fn cut(&mut self, id: SendingId) {
        self.leave_turn(Turn::Sending(id));
        self.wheel.stop(self.sending_timer(id));
        let Some(sending) = self.sendings.get_mut(id) else { return };
        sending.is_stopped = true;
        let connection = self.sessions.get(sending.session).and_then(|session| session.connection);
        let it = connection.map(|connection| &self.connections[usize::from(connection)]);
        // What was written on a connection that lives still leaves.
        let left = |it: &Connection| if it.is_open { it.put } else { it.handed };
        let left = it.map_or(0, left);
        let departed = match (sending.first_at, sending.last_at) {
            (_, Some(last_at)) if last_at <= left => Departed::All,
            (Some(first_at), _) if first_at < left => Departed::Some,
            _ => Departed::Nothing,
        };
        self.tell(Fact::Cut { sending: id, departed });
    }

    pub(super) fn forget_sending(&mut self, id: SendingId) {
        self.leave_turn(Turn::Sending(id));
        self.wheel.stop(self.sending_timer(id));
        self.sendings.remove(id);
    }

    /// If a chunk may be begun, its turn comes behind the others of the connection.
    pub(super) fn make_ready(&mut self, id: SendingId) {
        let Some(sending) = self.sendings.get(id) else { return };
        if !sending.is_ready() {
            return;
        }
        let session = self.sessions.get(sending.session);
        if let Some(connection) = session.and_then(|session| session.connection) {
            self.take_place(Turn::Sending(id), connection);
        }
    }
}
