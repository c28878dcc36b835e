//! REPORTs of recipients, passed on to the senders, and the Message-IDs that they are recognised by.

use super::{Carriage, CarriedId, Endpoint, Store, WayId};
use crate::limits::{MSRP_ANSWER_SIZE_MAX, MSRP_CARRIED_KNOWN_MAX, MSRP_IDENT_SIZE_MAX};
use crate::session::msrp::octets::named;
use crate::session::msrp::sessions::SessionId;
use crate::session::msrp::text::Text;
use crate::session::msrp::{Host, Step, Stopped, Transaction};
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Path, Report, Request, Status, comment};

/// A message that is or was carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    message_id: Text<MSRP_IDENT_SIZE_MAX>,
    carried: Option<CarriedId>,
    success_report: bool,
    failure_report: bool,
    /// Something of it has left.
    has_begun: bool,
    /// What more of it is answered with.
    stopped: Option<u16>,
}

impl Known {
    pub(super) const NOTHING: Self = Self {
        message_id: Text::EMPTY,
        carried: None,
        success_report: false,
        failure_report: false,
        has_begun: false,
        stopped: None,
    };
}

impl Store {
    fn known_of(&mut self, way: WayId) -> &mut [Known] {
        let at = way.index as usize * MSRP_CARRIED_KNOWN_MAX;
        &mut self.known[at..at + MSRP_CARRIED_KNOWN_MAX]
    }

    fn known(&self, way: WayId, message_id: &[u8]) -> Option<&Known> {
        let at = way.index as usize * MSRP_CARRIED_KNOWN_MAX;
        let known = &self.known[at..at + MSRP_CARRIED_KNOWN_MAX];
        known.iter().find(|it| !it.message_id.is_empty() && it.message_id.octets() == message_id)
    }

    fn known_as(&mut self, id: CarriedId) -> Option<&mut Known> {
        let way = self.messages.get(id)?.way;
        self.known_of(way).iter_mut().find(|it| it.carried == Some(id))
    }

    /// A way is new.
    pub(super) fn forget_known(&mut self, way: WayId) {
        self.known_of(way).fill(Known::NOTHING);
    }

    /// Remembers a message; whether another one is forgotten for it.
    pub(super) fn remember(&mut self, id: CarriedId) -> bool {
        let Some(it) = self.messages.get(id) else { return false };
        let known = Known {
            message_id: it.message_id,
            carried: Some(id),
            success_report: it.success_report,
            failure_report: it.failure_report != FailureReport::No,
            has_begun: self.known(it.way, it.message_id.octets()).is_some_and(|it| it.has_begun),
            stopped: None,
        };
        self.put_known(it.way, known)
    }

    /// The same of a message of which nothing is taken.
    pub(super) fn remember_refused(
        &mut self,
        way: WayId,
        message_id: Text<MSRP_IDENT_SIZE_MAX>,
        code: u16,
    ) -> bool {
        let before = self.known(way, message_id.octets()).copied().unwrap_or(Known::NOTHING);
        self.put_known(way, Known { message_id, stopped: Some(code), ..before })
    }

    /// Puts it in place of the one with its Message-ID or of the oldest one.
    fn put_known(&mut self, way: WayId, known: Known) -> bool {
        let message_id = known.message_id;
        if let Some(before) = self.known_of(way).iter_mut().find(|it| it.message_id == message_id) {
            *before = known;
            return false;
        }
        let Some(it) = self.ways.get_mut(way) else { return false };
        let place = it.next_known;
        it.next_known = (place + 1) % MSRP_CARRIED_KNOWN_MAX;
        let before = core::mem::replace(&mut self.known_of(way)[place], known);
        !before.message_id.is_empty()
    }

    /// Something of a message leaves.
    pub(super) fn note_begun(&mut self, id: CarriedId) {
        if let Some(known) = self.known_as(id) {
            known.has_begun = true;
        }
    }

    pub(super) fn note_stopped(&mut self, id: CarriedId, code: u16) {
        if let Some(known) = self.known_as(id) {
            known.stopped = Some(code);
        }
    }

    /// What a message was refused with, if it was: no more of it is taken (RFC 4975 section 10.5).
    pub(super) fn stopped_before(
        &self,
        way: WayId,
        message_id: &Text<MSRP_IDENT_SIZE_MAX>,
    ) -> Option<u16> {
        self.known(way, message_id.octets())?.stopped
    }
}

impl Endpoint {
    /// A REPORT came in a session on this connection about no message of our own. If it is about one that was
    /// carried there, it is passed on to who has asked for it.
    pub(in crate::session::msrp) fn pass_report(
        &mut self,
        request: &Request<'_>,
        status: Status,
        session: SessionId,
        connection: u16,
        host: &mut impl Host,
        now: Instant,
    ) -> Step {
        let way = self.sessions.get(session).and_then(|session| session.way_to);
        let message_id = request.fields.message_id.of(request.octets);
        let known = way.and_then(|way| self.carriage.known(way, message_id));
        let Some((way, known)) = way.zip(known.filter(|known| known.has_begun).copied()) else {
            self.counts.stray_reports += 1;
            return Step::Used;
        };
        let is_wanted = match status.code {
            200 => known.success_report,
            _ => known.failure_report,
        };
        let from = self.carriage.ways.get(way).and_then(|way| self.sessions.get(way.from));
        let source = from.and_then(|session| session.connection).filter(|_| is_wanted);
        if let Some(source) = source
            && source != connection
            && self.connection(source).answers.room() < MSRP_ANSWER_SIZE_MAX
        {
            self.connection(source).is_waited_for = true;
            self.hold(connection, Stopped::Answers(source), now);
            return Step::Stopped;
        }
        self.counts.unwanted_reports += u64::from(!is_wanted);
        let is_passed_on =
            source.is_some_and(|source| self.put_passed(request, status, way, source, host));
        let range = request.fields.byte_range;
        let Some(carried) = known.carried else { return Step::Used };
        let (octets, total) = (range.as_ref().map(named), range.and_then(|range| range.total));
        let code = status.code;
        self.tell_carried(carried, Carriage::Reported { octets, total, code, is_passed_on });
        // Who has asked for it gives the message up, and so do we (RFC 4975 section 7.3.2).
        if code != 200 && is_wanted {
            self.fail(carried, super::settling::towards_sender(code), false);
        }
        Step::Used
    }

    /// Byte-Range and Status are as they came; the comment, too, where it can be written.
    fn put_passed(
        &mut self,
        request: &Request<'_>,
        status: Status,
        way: WayId,
        source: u16,
        host: &mut impl Host,
    ) -> bool {
        let from = self.carriage.ways.get(way).and_then(|way| self.sessions.get(way.from));
        let Some(session) = from.filter(|session| !session.has_ended) else { return false };
        let paths = (Path::parse(session.peer.octets()), Path::parse(session.uri.octets()));
        let (Ok(to_path), Ok(from_path)) = paths else { return false };
        let mut id = [0; MSRP_IDENT_SIZE_MAX];
        let len = host.mint(Transaction::Report, &mut id);
        let words = core::str::from_utf8(status.comment.of(request.octets)).unwrap_or_default();
        let report = Report {
            transaction_id: id.get(..len).unwrap_or_default(),
            to_path,
            from_path,
            message_id: request.fields.message_id.of(request.octets),
            byte_range: request.fields.byte_range,
            code: status.code,
            comment: words,
        };
        let answers = &mut self.connections[usize::from(source)].answers;
        let is_put = answers.put(|to| report.write(to))
            || answers.put(|to| Report { comment: comment(status.code), ..report }.write(to));
        self.wake(source);
        is_put
    }
}
