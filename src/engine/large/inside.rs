//! Requests of the other end in the dialog of a call: BYE, re-INVITE, UPDATE, ACK (RFC 3261 sections 12.2.2,
//! 14.2 and 15.1.2, RFC 3311, RFC 4028).

use super::responses::is_description;
use super::{Call, Outcome, Reinvite, Side, Wait};
use crate::engine::back::Back;
use crate::engine::record::CALL_TAG;
use crate::engine::request::Asked;
use crate::engine::{Engine, Refusal};
use crate::id::Handle;
use crate::limits::{ANSWER_SIZE_MAX, CARRIED_SDP_SIZE_MAX, MSRP_FAREWELL_MS};
use crate::metrics::Counter;
use crate::packet::{Departures, Purse};
use crate::session::dialog::{self, Names, Request as Within};
use crate::session::negotiation::Change;
use crate::store::Buffer;
use crate::time::Instant;
use crate::transaction::branch::{Branch, MAGIC_COOKIE};
use crate::transaction::success::{Action, Event, State, interval_ms};
use crate::wire::sdp;
use crate::wire::sip::{self, ALLOW_SESSIONS, Extra, Method, Reply, Source};

impl Engine {
    /// A request whose To has a tag of ours: in the dialog of a call, or of one that is no more. At most one
    /// departure.
    pub(in crate::engine) fn on_inside(
        &mut self,
        asked: Asked<'_>,
        branch: Branch,
        out: &mut Departures,
    ) {
        let (octets, fields) = (asked.request.octets, &asked.request.fields);
        let method = asked.request.method;
        let handle = Handle::new(branch.index, branch.generation);
        let names = Names {
            call_id: fields.call_id.of(octets),
            local_tag: fields.to_tag.of(octets),
            remote_tag: fields.from_tag.of(octets),
        };
        if method == Method::Ack && self.on_error_ack(handle, (&names, fields.cseq), asked.now) {
            return;
        }
        let call = self.sessions.as_deref_mut().and_then(|all| all.calls.get_mut(handle));
        let call = call.filter(|call| call.dialog.is_some() && call.kept.is(&names));
        let Some(call) = call else {
            if method == Method::Ack {
                return self.count(Counter::DroppedAck);
            }
            return self.refuse(asked, NO_DIALOG, out);
        };
        let answered = call.reinvite.map(|it| it.cseq);
        if method == Method::Invite && answered == Some(fields.cseq) {
            return self.repeat_answer(handle, asked.now, out);
        }
        if method == Method::Update && call.updated == Some(fields.cseq) {
            return self.answer_update(handle, asked, out);
        }
        let Some(dialog) = &mut call.dialog else { return };
        match dialog.on_request(method, fields.cseq) {
            Err(dialog::Refusal::Overlapping) => {
                let extra = Extra::RetryAfter(u32::from(self.retry_after_s(asked.fingerprint)));
                let refusal = Refusal::new(500, "Server Internal Error");
                self.answer(asked, refusal, extra, out);
            }
            Err(refusal) => {
                let status = refusal.status();
                let refusal = Refusal::new(status, sip::reason_phrase(status));
                self.refuse(asked, refusal, out);
            }
            Ok(Within::Bye { .. }) => self.on_bye(handle, asked, out),
            Ok(Within::Invite) => self.on_reinvite(handle, asked, out),
            Ok(Within::Update) => {
                call.updated = Some(fields.cseq);
                self.answer_update(handle, asked, out);
            }
            Ok(Within::Ack) => {
                self.end_reinvite(handle);
                self.approach(handle, asked.now, out);
                self.on_success_ack(handle);
                self.wait_for_call(handle);
            }
            Ok(Within::StrayAck) => self.count(Counter::DroppedAck),
            Ok(Within::Other) if method == Method::Options => {
                let extra = Extra::Allow(ALLOW_SESSIONS);
                self.answer(asked, Refusal::new(200, "OK"), extra, out);
            }
            Ok(Within::Other) => {
                self.refuse(asked, Refusal::new(405, "Method Not Allowed"), out);
            }
        }
    }

    /// BYE: the session is over, at any moment.
    fn on_bye(&mut self, handle: Handle<Call>, asked: Asked<'_>, out: &mut Departures) {
        self.count(Counter::ByesIn);
        // Its copies are answered the same, when there is no dialog any more.
        self.finish(asked.fingerprint, 200, None, asked.now);
        self.answer(asked, Refusal::new(200, "OK"), Extra::None, out);
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.was_ended = true;
        self.end_reinvite(handle);
        if self.may_be_proved(handle) {
            // What was said before the BYE comes over another connection, and may be read after it.
            if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
                call.wait = Some((Wait::Farewell, asked.now.plus_ms(MSRP_FAREWELL_MS)));
            }
            return self.wait_for_call(handle);
        }
        // Whatever that says of a message is said by the ledger: it is told when the facts are taken.
        self.end_call(handle, asked.now);
    }

    /// Whether all of a message was given to its connection, so that proof of it may be on its way.
    fn may_be_proved(&self, handle: Handle<Call>) -> bool {
        let Some(sessions) = self.sessions.as_deref() else { return false };
        let call = sessions.calls.get(handle).filter(|call| call.session.is_some());
        if call.and_then(|call| call.carry.as_ref()).is_some_and(Side::may_prove) {
            return true;
        }
        let transfer = call.and_then(|call| sessions.transfers.get(call.transfer?));
        let ledger = transfer.and_then(|transfer| transfer.ledger);
        ledger.is_some_and(|ledger| ledger.is_all_given())
    }

    /// A re-INVITE: the same again, or it is refused and all stays as it was (section 14.2).
    fn on_reinvite(&mut self, handle: Handle<Call>, asked: Asked<'_>, out: &mut Departures) {
        let kept = self.answer_of(handle, asked).and_then(|(octets, len)| {
            self.keep_answer(handle, &octets[..len]).map(|answer| (answer, len)).ok_or(500)
        });
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        if let Some(dialog) = &mut call.dialog {
            // Only of a 2xx there is an ACK to be waited for.
            dialog.answer_invite(kept.err().unwrap_or(200));
        }
        let (answer, len) = match kept {
            Ok(kept) => kept,
            Err(status) => return self.refuse_inside(asked, status, out),
        };
        self.refresh_target(handle, asked);
        let flow = self.reply_flow(asked);
        let (t1_ms, t2_ms) = (self.setup.timers.t1_ms, self.setup.timers.t2_ms);
        let again = asked.now.plus_ms(super::invite::ms(interval_ms(1, t1_ms, t2_ms)));
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.reinvite = Some(Reinvite {
                cseq: asked.request.fields.cseq,
                state: State::Waiting,
                transmissions: 1,
                sent: asked.now,
                again,
                flow,
                answer,
                len,
            });
        }
        self.push_answer(handle, out);
        self.wait_for_call(handle);
    }

    /// Keeps an answer until its ACK, in the place of one whose ACK was lost. `None` without a buffer.
    fn keep_answer(&mut self, handle: Handle<Call>, octets: &[u8]) -> Option<Buffer> {
        self.end_reinvite(handle);
        let answers = &mut self.sessions_mut().answers;
        let answer = answers.take()?;
        answers.octets_mut(answer)[..octets.len()].copy_from_slice(octets);
        Some(answer)
    }

    /// Refuses a description in a dialog. What there was no room for may be asked for again.
    fn refuse_inside(&self, asked: Asked<'_>, status: u16, out: &mut Departures) {
        let refusal = Refusal::new(status, sip::reason_phrase(status));
        if status == 500 {
            let extra = Extra::RetryAfter(u32::from(self.retry_after_s(asked.fingerprint)));
            return self.answer(asked, refusal, extra, out);
        }
        self.refuse(asked, refusal, out);
    }

    /// The answer to a re-INVITE once more: its copy came, or its ACK did not.
    pub(super) fn repeat_answer(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) {
        let (t1_ms, t2_ms) = (self.setup.timers.t1_ms, self.setup.timers.t2_ms);
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let Some(it) = &mut call.reinvite else { return };
        it.transmissions = it.transmissions.saturating_add(1);
        it.again = now.plus_ms(super::invite::ms(interval_ms(it.transmissions, t1_ms, t2_ms)));
        self.push_answer(handle, out);
        self.wait_for_call(handle);
    }

    /// No ACK has come yet, or none will (section 13.3.1.4).
    pub(super) fn on_reinvite_due(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) {
        let transaction_ms = self.setup.timers.transaction_ms();
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let Some(it) = &mut call.reinvite else { return };
        let is_over = it.sent.plus_ms(transaction_ms) <= now;
        match it.state.on(if is_over { Event::Timeout } else { Event::Again }) {
            Action::Retransmit => self.repeat_answer(handle, now, out),
            Action::End => {
                if let Some(dialog) = &mut call.dialog {
                    dialog.give_up_ack();
                }
                self.end_reinvite(handle);
                self.end_call(handle, now);
            }
            Action::None | Action::Confirm => self.end_reinvite(handle),
        }
    }

    /// The answer to an INVITE in the dialog of a call is not sent again.
    pub(super) fn end_reinvite(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let reinvite = sessions.calls.get_mut(handle).and_then(|call| call.reinvite.take());
        if let Some(reinvite) = reinvite {
            sessions.answers.give(reinvite.answer);
        }
    }

    pub(super) fn push_answer(&self, handle: Handle<Call>, out: &mut Departures) {
        let Some(sessions) = self.sessions.as_deref() else { return };
        let Some(it) = sessions.calls.get(handle).and_then(|call| call.reinvite) else { return };
        let octets = &sessions.answers.octets(it.answer)[..it.len];
        self.send_back(Back::to(it.flow, Purse::Evidence, it.len), out, |slot| {
            slot[..octets.len()].copy_from_slice(octets);
            octets.len()
        });
    }

    /// UPDATE: the same again keeps the session alive (RFC 4028 section 7.4), anything else is refused.
    fn answer_update(&mut self, handle: Handle<Call>, asked: Asked<'_>, out: &mut Departures) {
        let (octets, len) = match self.answer_of(handle, asked) {
            Ok(written) => written,
            Err(status) => return self.refuse_inside(asked, status, out),
        };
        self.refresh_target(handle, asked);
        let flow = self.reply_flow(asked);
        self.send_back(Back::to(flow, Purse::Evidence, len), out, |slot| {
            slot[..len].copy_from_slice(&octets[..len]);
            len
        });
    }

    /// Our 200 to a re-INVITE or an UPDATE.
    ///
    /// # Errors
    ///
    /// The status with which it is refused: what is judged of its description, or 500 for what is longer
    /// than what is kept.
    fn answer_of(
        &self,
        handle: Handle<Call>,
        asked: Asked<'_>,
    ) -> Result<([u8; ANSWER_SIZE_MAX], usize), u16> {
        match self.judge_description(handle, asked) {
            200 => self.write_answer(handle, asked).ok_or(500),
            status => Err(status),
        }
    }

    /// What a description in a dialog is answered with: 200 if it is the one that is agreed upon or there is
    /// none, else 488 (RFC 3264 section 8).
    fn judge_description(&self, handle: Handle<Call>, asked: Asked<'_>) -> u16 {
        let (octets, fields) = (asked.request.octets, &asked.request.fields);
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        let Some(previous) = call.and_then(|call| call.previous) else { return 488 };
        let body = fields.body.of(octets);
        if body.is_empty() {
            return 200;
        }
        if !is_description(fields.content_type.of(octets)) {
            return 415;
        }
        match sdp::parse(body) {
            Ok(description) if previous.change(&description) == Change::Unchanged => 200,
            Ok(_) => 488,
            Err(_) => 400,
        }
    }

    /// Where the other end is from here on.
    fn refresh_target(&mut self, handle: Handle<Call>, asked: Asked<'_>) {
        let contact = sip::contact_uri(asked.request.octets, &asked.request.fields);
        if let Some(call) = self.sessions_mut().calls.get_mut(handle)
            && !contact.is_empty()
        {
            // Without room for it the old one stays, and leads to the same user agent or nowhere.
            let _ = call.kept.set_target(contact.of(asked.request.octets));
        }
    }

    /// Our 200 to a re-INVITE or an UPDATE: our description as it was, and the session timer as they want it
    /// (RFC 4028 section 9). `None` if that and what is copied from the request are too long.
    pub(super) fn write_answer(
        &self,
        handle: Handle<Call>,
        asked: Asked<'_>,
    ) -> Option<([u8; ANSWER_SIZE_MAX], usize)> {
        let sessions = self.sessions.as_deref()?;
        let call = sessions.calls.get(handle)?;
        let has_offer = !asked.request.fields.body.is_empty();
        let is_invite = asked.request.method == Method::Invite;
        let mut sdp = [0; CARRIED_SDP_SIZE_MAX];
        let offer = sdp::parse(asked.request.fields.body.of(asked.request.octets)).ok();
        let len = if has_offer || is_invite {
            // Without an offer there is one of ours, which their ACK answers.
            sessions.write_description(handle, offer.as_ref(), &mut sdp)?
        } else {
            0
        };
        let mut contact = [0; super::invite::CONTACT_SIZE_MAX];
        let contact = self.contact(call, &mut contact)?;
        // Who asks refreshes it: we end it ourselves long before.
        let timer = sip::client_timer(asked.request.octets);
        let expires = timer.map_or(Extra::None, Extra::SessionExpires);
        let source = asked.arrival.flow.remote;
        let tag = self.branch_of_call(handle, CALL_TAG);
        let reply = Reply {
            status: 200,
            reason: "OK",
            to_tag: &tag[MAGIC_COOKIE.len()..],
            // What makes the dialog has its routes (RFC 3261 section 12.1.1).
            record_route: asked.request.fields.to_tag.is_empty(),
            source: Source { ip: source.ip, port: source.port },
            extra: &[
                Extra::Contact { uri: contact, parameters: b"" },
                Extra::Allow(ALLOW_SESSIONS),
                Extra::Supported(b"timer"),
                if timer.is_some() { Extra::Require(b"timer") } else { Extra::None },
                expires,
            ],
            content_type: if len > 0 { b"application/sdp" } else { b"" },
            body: &[&sdp[..len]],
        };
        let mut octets = [0; ANSWER_SIZE_MAX];
        let len = sip::respond(asked.request, &reply, &mut octets)?;
        Some((octets, len))
    }

    /// Tells what the INVITE of a call came to, or tries another offer.
    pub(super) fn tell_outcome(
        &mut self,
        handle: Handle<Call>,
        outcome: Outcome,
        now: Instant,
        out: &mut Departures,
    ) {
        if self.is_carried(handle) {
            if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
                call.outcome = None;
            }
            return self.on_callee_outcome(handle, outcome, now);
        }
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.outcome = None;
        let (transfer, cema) = (call.transfer, call.cema);
        self.end_call(handle, now);
        let Some(transfer) = transfer else { return };
        if outcome.has_other && cema && !self.sessions_mut().calls.is_full() {
            if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
                call.transfer = None;
            }
            self.count(Counter::OffersWithoutCema);
            if self.begin_call(transfer, false, now, Purse::Evidence, out) {
                return;
            }
        }
        self.over(transfer, outcome.evidence, now, Purse::Evidence, out);
    }
}

impl Reinvite {
    /// Whether the answer is to be sent again, or is waited for no longer.
    pub(super) fn is_due(&self, now: Instant, transaction_ms: u32) -> bool {
        self.again <= now || self.sent.plus_ms(transaction_ms) <= now
    }
}

const NO_DIALOG: Refusal = Refusal::new(481, "Call/Transaction Does Not Exist");
