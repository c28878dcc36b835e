//! Messages that arrive: octets as they come, and what is answered.
//!
//! How many octets a chunk has is counted; its head only says where they belong (RFC 4975 section 7.3.1,
//! hazard H32). The chunk with `$` says where the message ends. Chunks may come in any order; of
//! octets that come twice the last ones stay.
//!
//! A refusal is answered at once, so that the rest need not come; a 200 only when the chunk has ended, and
//! a success report only when the message is whole. So nothing is acknowledged that is not here.

use super::octets::{Extent, Octets};
use super::sessions::{Home, Keep, Reports, SessionId};
use super::text::Text;
use super::{Endpoint, Fact, Host, Transaction};
use crate::id::Handle;
use crate::limits::{
    MSRP_CONTENT_TYPE_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_REMEMBERED_MAX, MSRP_STALLED_MS,
};
use crate::time::Instant;
use crate::wire::msrp::{
    Event, FailureReport, Flag, Head, Method, Path, Reply, Report, Request, comment, head,
};

/// Names a message that arrives.
pub type IncomingId = Handle<Incoming>;

type Ident = Text<MSRP_IDENT_SIZE_MAX>;

/// What became of octets that were shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Read {
    /// How many of them are used and not to be shown again.
    pub len: usize,
    /// What follows from that.
    pub step: Step,
}

/// What follows from octets that were shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The rest is to be shown.
    Used,
    /// These are octets of a message, and the rest is to be shown.
    Body {
        /// The message.
        incoming: IncomingId,
        /// Where in it they belong: the first octet is 0.
        at: u64,
    },
    /// More octets are to be waited for.
    Partial,
    /// They are to be shown again when facts were taken and answers were written.
    Behind,
    /// They are to be shown again when the peer of the session is known ([`Endpoint::agree`]).
    Early,
    /// The stream cannot be divided: the connection is to be closed.
    Broken,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Partial,
    Whole,
}

/// A message that arrives, or has arrived.
#[derive(Debug)]
pub struct Incoming {
    session: SessionId,
    message_id: Ident,
    content_type: Text<MSRP_CONTENT_TYPE_SIZE_MAX>,
    success_report: bool,
    failure_report: FailureReport,
    declared: Option<u64>,
    total: Option<u64>,
    extent: Extent,
    state: State,
    is_reported: bool,
    buffer: Option<u32>,
}

/// A message that has come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    message_id: Ident,
    /// What its chunks are answered with from here on.
    code: u16,
    total: u64,
    is_reported: bool,
}

impl Remembered {
    pub(super) const NOTHING: Self =
        Self { message_id: Text::EMPTY, code: 0, total: 0, is_reported: false };
}

/// The chunk that is being read on a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving {
    session: Option<SessionId>,
    transaction_id: Ident,
    /// Whether it is to be answered with 200 at its end.
    is_owed: bool,
    failure_report: FailureReport,
    incoming: Option<IncomingId>,
    octets: Octets,
    /// A message that was here before and is reported again: so many octets.
    again: Option<(Ident, u64)>,
}

impl Arriving {
    pub(super) const NOTHING: Self = Self {
        session: None,
        transaction_id: Text::EMPTY,
        is_owed: false,
        failure_report: FailureReport::No,
        incoming: None,
        octets: Octets { start: 0, end: 0 },
        again: None,
    };
}

/// Room for messages that are assembled.
#[derive(Debug)]
pub(super) struct Buffers {
    octets: Box<[u8]>,
    size: usize,
    free: Vec<u32>,
}

impl Buffers {
    /// Allocates and touches them.
    pub(super) fn new(count: u32, size: usize) -> Self {
        let mut octets: Box<[u8]> = core::iter::repeat_n(0, count as usize * size).collect();
        octets.fill(0xFF);
        Self { octets, size, free: (0..count).rev().collect() }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    fn octets(&mut self, buffer: u32) -> &mut [u8] {
        let at = buffer as usize * self.size;
        &mut self.octets[at..at + self.size]
    }
}

impl Endpoint {
    /// Looks at the front of what has come on a connection and was not used before.
    pub fn read(
        &mut self,
        connection: u16,
        octets: &[u8],
        host: &mut impl Host,
        now: Instant,
    ) -> Read {
        if !self.may_tell() || !self.may_answer(connection) {
            return Read { len: 0, step: Step::Behind };
        }
        let mut reader = self.connection(connection).reader;
        let event = reader.read(octets);
        let (len, step) = match event {
            Event::Head { len } => {
                if !self.head(connection, &octets[..len], host, now) {
                    return Read { len: 0, step: Step::Early };
                }
                (len, Step::Used)
            }
            Event::Body { len } => (len, self.body(connection, &octets[..len], now)),
            Event::End { flag, len } => {
                self.ended(connection, flag, host);
                (len, Step::Used)
            }
            Event::Partial { .. } => (0, Step::Partial),
            Event::Malformed(_) => (0, Step::Broken),
        };
        self.connection(connection).reader = reader;
        Read { len, step }
    }

    /// Buffers that no message has.
    pub const fn buffers_free(&self) -> usize {
        self.buffers.free.len()
    }

    /// The octets of a message that is [whole](Fact::Received) and was assembled.
    pub fn octets(&self, id: IncomingId) -> Option<&[u8]> {
        let incoming = self.incomings.get(id)?;
        let at = incoming.buffer? as usize * self.buffers.size;
        let len = usize::try_from(incoming.total?).ok()?;
        self.buffers.octets.get(at..at + len).filter(|_| incoming.state == State::Whole)
    }

    /// The session, Message-ID and Content-Type of a message.
    pub fn incoming(&self, id: IncomingId) -> Option<(SessionId, &[u8], &[u8])> {
        let incoming = self.incomings.get(id)?;
        Some((incoming.session, incoming.message_id.octets(), incoming.content_type.octets()))
    }

    /// Reports on a message that is [whole](Fact::Received), with 200 or the code of a failure; whether
    /// that will leave. It does not if nobody asks for it, and not where it was reported before, the
    /// session has ended, or answers wait to be written.
    pub fn report(&mut self, id: IncomingId, code: u16, host: &mut impl Host) -> bool {
        let Some(incoming) = self.incomings.get(id) else { return false };
        let is_wanted = match code {
            200 => incoming.success_report,
            _ => incoming.failure_report != FailureReport::No,
        };
        let (Some(total), true) = (incoming.total, is_wanted && !incoming.is_reported) else {
            return false;
        };
        let (session, message_id) = (incoming.session, incoming.message_id);
        let octets = Octets { start: 0, end: total };
        if incoming.state != State::Whole
            || !self.put_report(session, &message_id, octets, Some(total), code, host)
        {
            return false;
        }
        if let Some(incoming) = self.incomings.get_mut(id) {
            incoming.is_reported = code == 200;
        }
        true
    }

    /// Nobody needs a message any more. Its Message-ID is remembered: what comes of it again is
    /// acknowledged and not delivered.
    pub fn release(&mut self, id: IncomingId) {
        self.remember(id, 200);
        self.forget_incoming(id);
    }

    /// A head came. `false` if it cannot be judged yet, and is to be read again.
    fn head(&mut self, connection: u16, octets: &[u8], host: &mut impl Host, now: Instant) -> bool {
        self.connection(connection).arriving = Arriving::NOTHING;
        match head(octets) {
            Ok(Head::Request(request)) => return self.request(connection, &request, host, now),
            Ok(Head::Response(response)) => self.respond(&response, connection, host),
            Err(_) => self.counts.malformed += 1,
        }
        true
    }

    fn request(
        &mut self,
        connection: u16,
        request: &Request<'_>,
        host: &mut impl Host,
        now: Instant,
    ) -> bool {
        if let Some(fault) = request.fault {
            self.refuse(connection, request, fault.code, fault.comment);
            return true;
        }
        let session = match self.home(request, connection, host) {
            Home::Session(session) => session,
            Home::Early => return false,
            Home::None(code) => {
                match request.method {
                    Method::Report => self.counts.stray_reports += 1,
                    Method::Send | Method::Auth | Method::Other => self.counts.homeless += 1,
                }
                self.refuse(connection, request, code, comment(code));
                return true;
            }
        };
        match request.method {
            Method::Send => {
                self.bind_arrived(session, connection);
                if let Err(code) = self.arrive(connection, request, session, now) {
                    self.refuse(connection, request, code, comment(code));
                }
            }
            Method::Report => self.reported(request, session),
            // Only relays are asked for authentication (RFC 4976 section 5.1).
            Method::Auth | Method::Other => self.refuse(connection, request, 501, comment(501)),
        }
        true
    }

    /// Answers at once, if that is asked for. The rest of the chunk is passed over.
    fn refuse(&mut self, connection: u16, request: &Request<'_>, code: u16, comment: &str) {
        let it = self.connection(connection);
        it.arriving = Arriving::NOTHING;
        if request.is_answered(code) {
            it.answers.put(|to| Reply::to(request, code, comment).write(to));
        }
    }

    /// A chunk of a message begins, or it is refused with a code.
    fn arrive(
        &mut self,
        connection: u16,
        request: &Request<'_>,
        session: SessionId,
        now: Instant,
    ) -> Result<(), u16> {
        let fields = &request.fields;
        let range = fields.byte_range;
        let start = range.map_or(0, |range| range.start - 1);
        let message_id = Text::of(fields.message_id.of(request.octets)).ok_or(400_u16)?;
        let mut arriving = Arriving {
            session: Some(session),
            transaction_id: Text::of(request.transaction_id.of(request.octets)).ok_or(400_u16)?,
            is_owed: true,
            failure_report: fields.failure_report,
            octets: Octets { start, end: start },
            ..Arriving::NOTHING
        };
        let it = self.sessions.get(session).ok_or(481_u16)?;
        let known = it.incomings.iter().flatten().copied().find(|id| {
            self.incomings.get(*id).is_some_and(|incoming| incoming.message_id == message_id)
        });
        let whole =
            known.and_then(|id| self.incomings.get(id)).filter(|it| it.state == State::Whole);
        let before = it.remembered.iter().find(|one| one.code > 0 && one.message_id == message_id);
        if let Some(before) = before.filter(|before| before.code != 200) {
            return Err(before.code);
        }
        let before = before.map(|before| (before.total, before.is_reported));
        if let Some((total, is_reported)) =
            whole.map(|it| (it.total.unwrap_or(0), it.is_reported)).or(before)
        {
            self.counts.duplicates += 1;
            // Both acknowledgements are still needed (RFC 4975 section 5.4).
            let again = is_reported && fields.success_report;
            arriving.again = again.then_some((message_id, total));
        } else if request.has_body {
            let size = range.and_then(|range| range.total).unwrap_or(0).max(start);
            if size > it.acceptance.size_max {
                if let Some(known) = known {
                    self.decline(known, 413);
                }
                return Err(413);
            }
            let id = known.map_or_else(|| self.accept(request, session, message_id), Ok)?;
            self.wheel.start(self.incoming_timer(id), now.plus_ms(MSRP_STALLED_MS));
            arriving.incoming = Some(id);
        } else if fields.success_report && it.acceptance.reports == Reports::AtOnce {
            arriving.again = Some((message_id, 0));
        }
        self.connection(connection).arriving = arriving;
        Ok(())
    }

    /// The first chunk of a message that comes. What there is no room for is not wanted (RFC 4975 section
    /// 10.5): that ends the message, and nobody takes it for delivered.
    fn accept(
        &mut self,
        request: &Request<'_>,
        session: SessionId,
        message_id: Ident,
    ) -> Result<IncomingId, u16> {
        let fields = &request.fields;
        let content_type = Text::of(fields.content_type.of(request.octets)).ok_or(415_u16)?;
        let it = self.sessions.get_mut(session).ok_or(481_u16)?;
        let place = it.incomings.iter_mut().find(|place| place.is_none()).ok_or(413_u16)?;
        if self.incomings.is_full() {
            return Err(413);
        }
        let buffer = match it.acceptance.keep {
            Keep::Assembled => Some(self.buffers.free.pop().ok_or(413_u16)?),
            Keep::Counted => None,
        };
        let incoming = Incoming {
            session,
            message_id,
            content_type,
            success_report: fields.success_report,
            failure_report: fields.failure_report,
            declared: fields.byte_range.and_then(|range| range.total),
            total: None,
            extent: Extent::NONE,
            state: State::Partial,
            is_reported: false,
            buffer,
        };
        let id = self.incomings.insert(incoming).map_err(|_| 413_u16)?;
        *place = Some(id);
        Ok(id)
    }

    fn body(&mut self, connection: u16, octets: &[u8], now: Instant) -> Step {
        let arriving = self.connection(connection).arriving;
        let Some(id) = arriving.incoming else { return Step::Used };
        let Some(incoming) = self.incomings.get(id) else { return Step::Used };
        let at = arriving.octets.end;
        let end = at.saturating_add(octets.len() as u64);
        let session = self.sessions.get(incoming.session);
        if end > session.map_or(0, |session| session.acceptance.size_max) {
            self.decline(id, 413);
            self.answer_chunk(connection, 413);
            self.connection(connection).arriving = Arriving::NOTHING;
            return Step::Used;
        }
        if let (Some(buffer), Ok(at)) = (incoming.buffer, usize::try_from(at)) {
            self.buffers.octets(buffer)[at..at + octets.len()].copy_from_slice(octets);
        }
        self.connection(connection).arriving.octets.end = end;
        self.wheel.start(self.incoming_timer(id), now.plus_ms(MSRP_STALLED_MS));
        Step::Body { incoming: id, at }
    }

    /// A chunk has ended.
    fn ended(&mut self, connection: u16, flag: Flag, host: &mut impl Host) {
        let arriving = self.connection(connection).arriving;
        let code = match arriving.incoming {
            Some(id) => self.place(id, arriving.octets, flag),
            None => 200,
        };
        if arriving.is_owed {
            self.answer_chunk(connection, code);
        }
        self.connection(connection).arriving = Arriving::NOTHING;
        if let (Some(session), Some((message_id, total))) = (arriving.session, arriving.again)
            && flag == Flag::Last
        {
            let octets = Octets { start: 0, end: total };
            self.put_report(session, &message_id, octets, Some(total), 200, host);
        }
        if let Some(id) = arriving.incoming {
            self.complete(id, host);
        }
    }

    /// Counts the octets of a chunk; says what it is answered with.
    fn place(&mut self, id: IncomingId, octets: Octets, flag: Flag) -> u16 {
        // It was dropped while this chunk stood still.
        let Some(incoming) = self.incomings.get_mut(id) else { return 408 };
        if flag == Flag::Aborted {
            self.tell(Fact::Abandoned { incoming: id });
            self.forget_incoming(id);
            return 200;
        }
        // More pieces than are remembered: what is not remembered is not claimed.
        if !incoming.extent.insert(octets) {
            self.decline(id, 413);
            return 413;
        }
        if flag == Flag::Last {
            incoming.total = Some(octets.end);
        }
        200
    }

    /// If the message is whole now, it is told and reported.
    fn complete(&mut self, id: IncomingId, host: &mut impl Host) {
        let Some(incoming) = self.incomings.get_mut(id) else { return };
        let Some(total) = incoming.total.filter(|total| incoming.extent.reaches(*total)) else {
            return;
        };
        if incoming.state == State::Whole {
            return;
        }
        incoming.state = State::Whole;
        let (declared, session) = (incoming.declared, incoming.session);
        self.wheel.stop(self.incoming_timer(id));
        let reports = self.sessions.get(session).map(|session| session.acceptance.reports);
        if reports == Some(Reports::AtOnce) {
            self.report(id, 200, host);
        }
        self.tell(Fact::Received { incoming: id, total, declared });
    }

    /// Answers the chunk that is being read, if that is asked for.
    fn answer_chunk(&mut self, connection: u16, code: u16) {
        let it = &mut self.connections[usize::from(connection)];
        let arriving = &it.arriving;
        let is_asked_for = match arriving.failure_report {
            FailureReport::Yes => true,
            FailureReport::Partial => code != 200,
            FailureReport::No => false,
        };
        let session = arriving.session.and_then(|session| self.sessions.get(session));
        let Some(session) = session.filter(|session| is_asked_for && !session.has_ended) else {
            return;
        };
        let paths = (Path::parse(session.peer.octets()), Path::parse(session.uri.octets()));
        let (Ok(peer), Ok(from_path)) = paths else { return };
        let transaction_id = arriving.transaction_id;
        let reply = Reply {
            transaction_id: transaction_id.octets(),
            to_path: peer.first(),
            from_path,
            code,
            comment: comment(code),
        };
        it.answers.put(|to| reply.write(to));
    }

    fn put_report(
        &mut self,
        session: SessionId,
        message_id: &Ident,
        octets: Octets,
        total: Option<u64>,
        code: u16,
        host: &mut impl Host,
    ) -> bool {
        let session = self.sessions.get(session).filter(|session| !session.has_ended);
        let Some((session, connection)) = session.and_then(|it| Some((it, it.connection?))) else {
            return false;
        };
        let paths = (Path::parse(session.peer.octets()), Path::parse(session.uri.octets()));
        let (Ok(to_path), Ok(from_path)) = paths else { return false };
        let mut id = [0; MSRP_IDENT_SIZE_MAX];
        let len = host.mint(Transaction::Report, &mut id);
        let report = Report {
            transaction_id: id.get(..len).unwrap_or_default(),
            to_path,
            from_path,
            message_id: message_id.octets(),
            byte_range: Some(octets.byte_range(total)),
            code,
            comment: comment(code),
        };
        self.connections[usize::from(connection)].answers.put(|to| report.write(to))
    }

    /// A message that is not whole has made no progress for too long. Its sender may have a 200 for each
    /// of its chunks, so he is told that they are worth nothing.
    pub(super) fn incoming_is_due(&mut self, index: u32, now: Instant, host: &mut impl Host) {
        let Some(id) = self.incomings.handle_at(index) else { return };
        let Some(incoming) = self.incomings.get(id) else { return };
        if incoming.failure_report != FailureReport::No {
            let (session, message_id) = (incoming.session, incoming.message_id);
            let (octets, total) = (incoming.extent.first(), incoming.declared);
            if !self.put_report(session, &message_id, octets, total, 408, host) {
                // Answers wait to be written: so does this.
                return self.wheel.start(self.incoming_timer(id), now.plus_ms(1_000));
            }
        }
        self.remember(id, 408);
        self.forget_incoming(id);
        self.tell(Fact::Dropped { incoming: id });
    }

    /// No more of a message is taken.
    fn decline(&mut self, id: IncomingId, code: u16) {
        self.remember(id, code);
        self.forget_incoming(id);
        self.tell(Fact::Declined { incoming: id, code });
    }

    /// The session of a message ends. One that is whole stays.
    pub(super) fn drop_incoming(&mut self, id: IncomingId) {
        if self.incomings.get(id).is_some_and(|incoming| incoming.state == State::Partial) {
            self.forget_incoming(id);
            self.tell(Fact::Dropped { incoming: id });
        }
    }

    fn remember(&mut self, id: IncomingId, code: u16) {
        let Some(incoming) = self.incomings.get(id) else { return };
        let Some(session) = self.sessions.get_mut(incoming.session) else { return };
        session.remembered[usize::from(session.remembered_next)] = Remembered {
            message_id: incoming.message_id,
            code,
            total: incoming.total.unwrap_or(0),
            is_reported: incoming.is_reported,
        };
        let next = usize::from(session.remembered_next) + 1;
        session.remembered_next = u8::try_from(next % MSRP_REMEMBERED_MAX).unwrap_or(0);
    }

    fn forget_incoming(&mut self, id: IncomingId) {
        self.wheel.stop(self.incoming_timer(id));
        let Some(incoming) = self.incomings.remove(id) else { return };
        self.buffers.free.extend(incoming.buffer);
        let Some(session) = self.sessions.get_mut(incoming.session) else { return };
        for place in &mut session.incomings {
            if *place == Some(id) {
                *place = None;
            }
        }
    }
}
