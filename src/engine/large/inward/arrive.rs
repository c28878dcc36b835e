//! Messages that come in a session for the SMS side: which are taken, and what of them is said.

use super::{Stage, Submission};
use crate::delivery::{Identifier, Submission as Proof};
use crate::engine::large::facts::named;
use crate::engine::large::{Call, Wait};
use crate::engine::{Engine, Serving};
use crate::id::Handle;
use crate::interwork::division;
use crate::limits::{SUBMISSION_IDLE_MS, SUBMISSION_TURN_MS};
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::session::msrp::IncomingId;
use crate::time::Instant;
use crate::transaction::pending::Entered;
use crate::wire::cpim;

/// Where the text of a message is, and what its CPIM asks for.
struct Text {
    start: usize,
    end: usize,
    /// Whether it asks what became of it, so that the SC is asked, too.
    is_asked_for: bool,
    /// Whether it asks for notifications of any kind (RFC 5438 section 6.2), which we do not send: a session
    /// has its REPORT (section 13 there), and the account says what became of a message.
    asks_imdn: bool,
}

impl Engine {
    /// The first chunk of a message comes: it is taken, or refused before anything more is read.
    pub(in crate::engine::large) fn on_arriving(&mut self, incoming: IncomingId, now: Instant) {
        let is_refusing = self.serving == Serving::Refusing;
        let sessions = self.sessions_mut();
        let Some((session, message_id, content_type)) = sessions.endpoint.incoming(incoming) else {
            return;
        };
        let call = sessions.endpoint.session_owner(session).map(named::<Call>);
        let caller = call.and_then(|call| sessions.calls.get(call)?.inward);
        let (Some(call), Some(caller)) = (call, caller) else {
            // Our offer says that we send and receive nothing.
            return sessions.endpoint.refuse(incoming, 403);
        };
        if is_refusing {
            // Nothing of it is taken: its sender may try another session, which we refuse and others may not
            // (RFC 4975 section 10.4).
            sessions.endpoint.refuse(incoming, 408);
            return self.count(Counter::RefusedDraining);
        }
        if !is_text(content_type) && !is_cpim(content_type) {
            sessions.endpoint.refuse(incoming, 415);
            return self.count(Counter::SubmissionsUnfit);
        }
        let Some((success_report, failure_report)) = sessions.endpoint.wanted(incoming) else {
            return;
        };
        let mut submission = Submission::new((call, session, caller), message_id, now);
        submission.incoming = Some(incoming);
        if let Some(it) = sessions.calls.get(call) {
            submission.im = (Identifier::new(it.kept.names().call_id), it.leg.peer);
        }
        (submission.success_report, submission.failure_report) = (success_report, failure_report);
        submission.asks_status = success_report;
        let taken = sessions.inward_mut().and_then(|store| {
            let handle = store.submissions.insert(submission).ok()?;
            *store.arriving.get_mut(incoming.index as usize)? = Some(handle);
            Some(store.submissions.len())
        });
        if let Some(call) = sessions.calls.get_mut(call) {
            call.wait = Some((Wait::Idle, now.plus_ms(SUBMISSION_IDLE_MS)));
            call.submissions += u32::from(taken.is_some());
        }
        match taken {
            Some(open) => self.tally.counters.set(Counter::SubmissionsOpen, u64::from(open)),
            None => {
                sessions.endpoint.refuse(incoming, 413);
                self.count(Counter::SubmissionsNoRoom);
            }
        }
        self.wait_for_call(call);
    }

    /// The submission of a message that arrives, which it does no longer.
    fn arrived(&mut self, incoming: IncomingId) -> Option<Handle<Submission>> {
        let store = self.sessions_mut().inward_mut()?;
        let handle = store.arriving.get_mut(incoming.index as usize)?.take()?;
        let submission = store.submissions.get(handle)?;
        (submission.incoming == Some(incoming)).then_some(handle)
    }

    /// A message is no more that was not whole.
    pub(in crate::engine::large) fn on_incoming_gone(
        &mut self,
        incoming: IncomingId,
        now: Instant,
    ) {
        let handle = self.arrived(incoming);
        let sessions = self.sessions_mut();
        sessions.endpoint.release(incoming);
        if let Some(handle) = handle {
            self.remove_submission(handle, now);
        }
    }

    /// A message is whole: its first part goes to the SC, or it waits for its turn. At most one departure.
    pub(in crate::engine::large) fn on_received(
        &mut self,
        incoming: IncomingId,
        total: u64,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(handle) = self.arrived(incoming) else {
            return self.sessions_mut().endpoint.release(incoming);
        };
        self.count(Counter::Submissions);
        let fit = self.read_submission(handle, total, now);
        if let Err(status) = fit {
            self.count(Counter::SubmissionsUnfit);
            let unfit = crate::delivery::Evidence::Submission(Proof::Unfit { status });
            return self.conclude_submission(handle, unfit, now);
        }
        if self.is_again(handle, now) {
            return;
        }
        let key = self.setup.key;
        let sessions = self.sessions_mut();
        let Some(store) = sessions.inward_mut() else { return };
        let Some(submission) = store.submissions.get_mut(handle) else { return };
        submission.stage = Stage::Turn;
        submission.until = now.plus_ms(SUBMISSION_TURN_MS);
        let sender = submission.caller.sender;
        let turn = super::super::Sessions::of_sender(key, super::TURN, sender.octets(), 0);
        match store.turns.enter(handle.index, turn, 1) {
            Entered::Go => self.submit_part(handle, now, out),
            Entered::Wait => {
                self.count(Counter::UriWaits);
                self.wait_for_submission(handle);
            }
        }
    }

    /// Looks at what a message says.
    ///
    /// # Errors
    ///
    /// The status that says why it is not what a short message can say.
    fn read_submission(
        &mut self,
        handle: Handle<Submission>,
        total: u64,
        now: Instant,
    ) -> Result<(), u16> {
        let sessions = self.sessions_mut();
        let submission = sessions.submission_mut(handle).ok_or(400_u16)?;
        // What does not fit is reported as well, and by its octets.
        (submission.total, submission.arrived) = (total, now);
        let incoming = submission.incoming.ok_or(400_u16)?;
        let octets = sessions.endpoint.octets(incoming).ok_or(400_u16)?;
        let (_, _, content_type) = sessions.endpoint.incoming(incoming).ok_or(400_u16)?;
        let text = text_of(octets, is_cpim(content_type))?;
        let said = core::str::from_utf8(&octets[text.start..text.end]).map_err(|_| 400_u16)?;
        let division = division::divide(said).ok_or(413_u16)?;
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let submission = sessions.submission_mut(handle).ok_or(400_u16)?;
        submission.asks_status |= text.is_asked_for;
        submission.text = (number(text.start), number(text.end));
        submission.at = number(text.start);
        (submission.alphabet, submission.parts) = (division.alphabet, division.parts);
        if text.asks_imdn {
            self.count(Counter::SubmissionsImdn);
        }
        Ok(())
    }
}

/// Where the text of a message is.
fn text_of(octets: &[u8], is_cpim: bool) -> Result<Text, u16> {
    if !is_cpim {
        return Ok(Text { start: 0, end: octets.len(), is_asked_for: false, asks_imdn: false });
    }
    let message = cpim::parse(octets).map_err(|_| 400_u16)?;
    let of = |span: crate::wire::Span| span.of(message.octets);
    // Nobody here understands what must be understood (RFC 3862 section 3.5).
    if !of(message.require).is_empty() || !is_text(of(message.content_type)) {
        return Err(415);
    }
    let asks = of(message.disposition_notification);
    let wants = |what: &[u8]| {
        asks.split(|octet| *octet == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(what))
    };
    let body = of(message.body);
    let start = body.as_ptr().addr() - octets.as_ptr().addr();
    let is_asked_for = wants(b"positive-delivery") || wants(b"negative-delivery");
    let asks_imdn = !asks.is_empty();
    Ok(Text { start, end: start + body.len(), is_asked_for, asks_imdn })
}

/// Whether it is text/plain that is UTF-8, of which US-ASCII is a part and which nothing said means.
fn is_text(content_type: &[u8]) -> bool {
    if content_type.is_empty() {
        return true;
    }
    let mut pieces = content_type.split(|octet| *octet == b';');
    let essence = pieces.next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"text/plain")
        && pieces.all(|parameter| {
            let mut sides = parameter.splitn(2, |octet| *octet == b'=');
            let name = sides.next().unwrap_or_default().trim_ascii();
            let value = sides.next().unwrap_or_default().trim_ascii();
            let value =
                value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")).unwrap_or(value);
            !name.eq_ignore_ascii_case(b"charset")
                || value.eq_ignore_ascii_case(b"utf-8")
                || value.eq_ignore_ascii_case(b"us-ascii")
        })
}

fn is_cpim(content_type: &[u8]) -> bool {
    let essence = content_type.split(|octet| *octet == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"message/cpim")
}
