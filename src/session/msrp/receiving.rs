//! Messages that arrive: octets as they come, and what is answered.
//!
//! How many octets a chunk has is counted; its head only says where they belong (RFC 4975 section 7.3.1,
//! hazard H32). The chunk with `$` says where the message ends. Chunks may come in any order; of
//! octets that come twice the last ones stay.
//!
//! A refusal is answered at once, so that the rest need not come; a 200 only when the chunk has ended, and
//! a success report only when the message is whole. So nothing is acknowledged that is not here.

use super::carried::ChunkId;
use super::incoming::{IncomingId, State};
use super::sending::Reported;
use super::sessions::{Home, Reports, SessionId};
use super::text::Text;
use super::{Endpoint, Host};
use crate::limits::{MSRP_IDENT_SIZE_MAX, MSRP_STALLED_MS};
use crate::store::Octets;
use crate::time::Instant;
use crate::wire::msrp::{
    Event, FailureReport, Flag, Head, Method, Path, Reply, Request, comment, head,
};

pub(super) type Ident = Text<MSRP_IDENT_SIZE_MAX>;

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
    /// They are to be shown again at [`super::Fact::Resumed`]: what is carried has no room.
    Stopped,
    /// They are to be shown again when the peer of the session is known ([`Endpoint::agree`]).
    Early,
    /// The stream cannot be divided: the connection is to be closed.
    Broken,
    /// They are of a session that may not belong to this connection ([`Host::admits`]), which is to be
    /// closed: nothing is answered, and the session waits for the one that is right.
    Unproved,
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
    /// A chunk that is carried to another session.
    pub(super) carried: Option<ChunkId>,
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
        carried: None,
    };

    /// A chunk that is carried.
    pub(super) fn carried(chunk: ChunkId) -> Self {
        Self { carried: Some(chunk), ..Self::NOTHING }
    }

    /// Whether it is a chunk of this message.
    pub(super) fn is_of(&self, incoming: IncomingId) -> bool {
        self.incoming == Some(incoming)
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
        self.listen(connection, now);
        let mut reader = self.connection(connection).reader;
        let Some(octets) = self.carriable(connection, octets, now) else {
            return Read { len: 0, step: Step::Stopped };
        };
        let event = reader.read(octets);
        let (len, step) = match event {
            Event::Head { len } => {
                let step = self.head(connection, &octets[..len], host, now);
                if step != Step::Used {
                    return Read { len: 0, step };
                }
                (len, step)
            }
            Event::Body { len } => (len, self.body(connection, &octets[..len], now)),
            Event::End { flag, len } => {
                self.ended(connection, flag, host, now);
                (len, Step::Used)
            }
            Event::Partial { .. } => (0, Step::Partial),
            Event::Malformed(_) => (0, Step::Broken),
        };
        self.connection(connection).reader = reader;
        Read { len, step }
    }

    /// A head came: it is used, or cannot be judged yet and is to be read again, or must not be looked at.
    fn head(&mut self, connection: u16, octets: &[u8], host: &mut impl Host, now: Instant) -> Step {
        self.connection(connection).arriving = Arriving::NOTHING;
        match head(octets) {
            Ok(Head::Request(request)) => return self.request(connection, &request, host, now),
            Ok(Head::Response(response)) => self.respond(&response, connection, host),
            Err(_) => self.counts.malformed += 1,
        }
        Step::Used
    }

    fn request(
        &mut self,
        connection: u16,
        request: &Request<'_>,
        host: &mut impl Host,
        now: Instant,
    ) -> Step {
        if let Some(fault) = request.fault {
            self.answer_request(connection, request, fault.code, fault.comment);
            return Step::Used;
        }
        let session = match self.home(request, connection, host) {
            Home::Session(session) => session,
            Home::Early => return Step::Early,
            Home::Unproved => return Step::Unproved,
            Home::None(code) => {
                match request.method {
                    Method::Report => self.counts.stray_reports += 1,
                    Method::Send | Method::Auth | Method::Other => self.counts.homeless += 1,
                }
                self.answer_request(connection, request, code, comment(code));
                return Step::Used;
            }
        };
        match request.method {
            Method::Send => {
                self.bind_arrived(session, connection);
                let arrived = match self.way_from(session).filter(|_| request.has_body) {
                    Some(way) => self.carry(connection, request, way, now),
                    None => self.arrive(connection, request, session, now).map(|()| Step::Used),
                };
                match arrived {
                    Ok(step) => return step,
                    Err(code) => self.answer_request(connection, request, code, comment(code)),
                }
            }
            Method::Report => {
                if let Reported::OfNone(status) = self.reported(request, session) {
                    return self.pass_report(request, status, session, connection, host, now);
                }
            }
            // Only relays are asked for authentication (RFC 4976 section 5.1).
            Method::Auth | Method::Other => {
                self.answer_request(connection, request, 501, comment(501))
            }
        }
        Step::Used
    }

    /// Answers at once, if that is asked for. The rest of the chunk is passed over.
    fn answer_request(&mut self, connection: u16, request: &Request<'_>, code: u16, comment: &str) {
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
            // What is longer or shorter is another message, of which nothing is taken under this name.
            let other = |said: u64| said != total;
            if start > total || range.and_then(|range| range.total).is_some_and(other) {
                return Err(400);
            }
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
            let id = known.map_or_else(|| self.accept(request, session, message_id), Ok);
            if id == Err(413) {
                self.counts.no_room += 1;
            }
            let id = id?;
            self.wheel.start(self.incoming_timer(id), now.plus_ms(MSRP_STALLED_MS));
            arriving.incoming = Some(id);
        } else if fields.success_report && it.acceptance.reports == Reports::AtOnce {
            arriving.again = Some((message_id, 0));
        }
        self.connection(connection).arriving = arriving;
        Ok(())
    }

    fn body(&mut self, connection: u16, octets: &[u8], now: Instant) -> Step {
        let arriving = self.connection(connection).arriving;
        if let Some(chunk) = arriving.carried {
            self.carry_octets(connection, chunk, octets, now);
            return Step::Used;
        }
        let Some(id) = arriving.incoming else { return Step::Used };
        let Some(incoming) = self.incomings.get(id) else { return Step::Used };
        let at = arriving.octets.end;
        let end = at.saturating_add(octets.len() as u64);
        let session = self.sessions.get(incoming.session);
        if end > session.map_or(0, |session| session.acceptance.size_max) {
            self.refuse(id, 413);
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
    fn ended(&mut self, connection: u16, flag: Flag, host: &mut impl Host, now: Instant) {
        let arriving = self.connection(connection).arriving;
        if let Some(chunk) = arriving.carried {
            self.connection(connection).arriving = Arriving::NOTHING;
            return self.carry_end(chunk, flag, now);
        }
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

    /// Answers the chunk that is being read, if that is asked for.
    pub(super) fn answer_chunk(&mut self, connection: u16, code: u16) {
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
}
