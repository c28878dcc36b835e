//! Messages that arrive, or have arrived: what of them is there, and what becomes of them.

use super::octets::byte_range;
use super::receiving::{Arriving, Ident};
use super::sessions::{Keep, Reports, SessionId};
use super::text::Text;
use super::{Endpoint, Fact, Host, Transaction};
use crate::id::Handle;
use crate::limits::{
    MSRP_CONTENT_TYPE_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_INTERVALS_MAX, MSRP_REMEMBERED_MAX,
};
use crate::store::{Inserted, Intervals, Octets};
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Flag, Path, Report, Request, comment};

/// Names a message that arrives.
pub type IncomingId = Handle<Incoming>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Partial,
    Whole,
}

/// A message that arrives, or has arrived.
#[derive(Debug)]
pub struct Incoming {
    pub(super) session: SessionId,
    pub(super) message_id: Ident,
    content_type: Text<MSRP_CONTENT_TYPE_SIZE_MAX>,
    success_report: bool,
    failure_report: FailureReport,
    declared: Option<u64>,
    pub(super) total: Option<u64>,
    extent: Intervals<MSRP_INTERVALS_MAX>,
    pub(super) state: State,
    pub(super) is_reported: bool,
    pub(super) buffer: Option<u32>,
}

/// A message that has come to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    pub(super) message_id: Ident,
    /// What its chunks are answered with from here on.
    pub(super) code: u16,
    pub(super) total: u64,
    pub(super) is_reported: bool,
}

impl Remembered {
    pub(super) const NOTHING: Self =
        Self { message_id: Text::EMPTY, code: 0, total: 0, is_reported: false };
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

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.octets.len() / self.size.max(1)
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// All octets of a buffer.
    pub(super) fn octets(&mut self, buffer: u32) -> &mut [u8] {
        let at = buffer as usize * self.size;
        &mut self.octets[at..at + self.size]
    }
}

impl Endpoint {
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

    /// What the sender of a message wants to be told: whether of success, and of what else.
    pub fn wanted(&self, id: IncomingId) -> Option<(bool, FailureReport)> {
        let incoming = self.incomings.get(id)?;
        Some((incoming.success_report, incoming.failure_report))
    }

    /// Reports on the first `total` octets of a message that was [released](Endpoint::release), with 200 or
    /// the code of a failure; whether that will leave. From here on its chunks are answered so when they come
    /// again (RFC 4975 section 5.4).
    pub fn report_on(
        &mut self,
        session: SessionId,
        (message_id, total): (&[u8], u64),
        code: u16,
        host: &mut impl Host,
    ) -> bool {
        let Some(message_id) = Text::of(message_id) else { return false };
        let octets = Octets { start: 0, end: total };
        if !self.put_report(session, &message_id, octets, Some(total), code, host) {
            return false;
        }
        let known = self.sessions.get_mut(session).and_then(|session| {
            session.remembered.iter_mut().find(|it| it.code > 0 && it.message_id == message_id)
        });
        if let Some(known) = known {
            (known.code, known.is_reported) = (code, code == 200);
        }
        true
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

    /// A message that is not whole is not wanted: 413, 415 for what it is, or whatever fits (RFC 4975
    /// section 10). The chunk that comes is answered so at once, and each one behind it.
    pub fn refuse(&mut self, id: IncomingId, code: u16) {
        let Some(incoming) = self.incomings.get(id) else { return };
        if incoming.state != State::Partial {
            return;
        }
        let session = self.sessions.get(incoming.session);
        let connection = session.and_then(|session| session.connection);
        self.decline(id, code);
        if let Some(connection) = connection
            && self.connection(connection).arriving.is_of(id)
        {
            self.answer_chunk(connection, code);
            self.connection(connection).arriving = Arriving::NOTHING;
        }
    }

    /// Nobody needs a message any more. Its Message-ID is remembered: what comes of it again is
    /// acknowledged and not delivered.
    pub fn release(&mut self, id: IncomingId) {
        self.remember(id, 200);
        self.forget_incoming(id);
    }

    /// The first chunk of a message that comes. What there is no room for is not wanted (RFC 4975 section
    /// 10.5): that ends the message, and nobody takes it for delivered.
    pub(super) fn accept(
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
            extent: Intervals::NONE,
            state: State::Partial,
            is_reported: false,
            buffer,
        };
        let id = self.incomings.insert(incoming).map_err(|_| 413_u16)?;
        *place = Some(id);
        self.tell(Fact::Arriving { incoming: id });
        Ok(id)
    }

    /// Counts the octets of a chunk; says what it is answered with.
    pub(super) fn place(&mut self, id: IncomingId, octets: Octets, flag: Flag) -> u16 {
        // It was dropped while this chunk stood still.
        let Some(incoming) = self.incomings.get_mut(id) else { return 408 };
        if flag == Flag::Aborted {
            self.tell(Fact::Abandoned { incoming: id });
            self.forget_incoming(id);
            return 200;
        }
        // More pieces than are remembered: what is not remembered is not claimed.
        if incoming.extent.insert(octets) == Inserted::NoRoom {
            self.decline(id, 413);
            return 413;
        }
        if flag == Flag::Last {
            incoming.total = Some(octets.end);
        }
        let Some(total) = incoming.total else { return 200 };
        // Its sender says that there is more of it than what ends here: nobody knows what is missing.
        let last = incoming.extent.as_slice().last().map_or(0, |octets| octets.end);
        if last > total || incoming.declared.is_some_and(|declared| declared != total) {
            self.decline(id, 400);
            return 400;
        }
        200
    }

    /// If the message is whole now, it is told and reported.
    pub(super) fn complete(&mut self, id: IncomingId, host: &mut impl Host) {
        let Some(incoming) = self.incomings.get_mut(id) else { return };
        let Some(total) = incoming.total.filter(|total| incoming.extent.front().end >= *total)
        else {
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

    pub(super) fn put_report(
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
            byte_range: Some(byte_range(octets, total)),
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
            let (octets, total) = (
                incoming.extent.as_slice().first().copied().unwrap_or_default(),
                incoming.declared,
            );
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
    pub(super) fn decline(&mut self, id: IncomingId, code: u16) {
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

    pub(super) fn forget_incoming(&mut self, id: IncomingId) {
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
