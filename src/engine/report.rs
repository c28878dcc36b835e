//! Reports about short messages: RP-ACK or RP-ERROR in a MESSAGE of our own, and the fate of that
//! (TS 24.341 section 5.3.2.4).
//!
//! The report has a result of its own (R8). A final response other than 2xx, or none, changes nothing of
//! the verdict: the SC tries again, and what is remembered answers.

use crate::delivery::{Answer, Asked, Evidence, Report, RpResult, Verdict};
use crate::engine::back::carried;
use crate::engine::instant::CALL_ID_SIZE_MAX;
use crate::engine::record::{self, Errand, Leg, NEVER, Record, Towards};
use crate::engine::response::Last;
use crate::engine::route::Hop;
use crate::engine::short::Stage;
use crate::engine::{Engine, gateway};
use crate::id::Handle;
use crate::limits::{AUTHORIZATION_SIZE_MAX, SIP_URI_SIZE_MAX};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departure, Departures, JournalSeq, Purse, SendError};
use crate::report::rp;
use crate::time::Instant;
use crate::transaction::non_invite_client::Event;
use crate::wire::sip::{self, Method, Originate, Party, Routes};

impl Engine {
    /// Takes evidence about a short message: the verdict is reached, once, and the report leaves.
    pub(super) fn conclude(
        &mut self,
        handle: Handle<Record>,
        evidence: Evidence,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        let key = self.shorts[handle.index as usize].key;
        // What an earlier attempt has proved since is better than anything but proof itself.
        let proved = self.memory(key, now).filter(|it| it.verdict == Verdict::Delivered);
        let Some(record) = self.records.get_mut(handle) else { return };
        let mapping = &self.peers.get(record.im.peer).mapping;
        let evidence = match proved {
            Some(memory) if Verdict::from_evidence(evidence, mapping) != Verdict::Delivered => {
                gateway::earlier(memory)
            }
            Some(_) | None => evidence,
        };
        let Some(verdict) = record.message.observe(evidence, mapping) else { return };
        self.decide(handle, verdict, now);
        let answer = self.answer_to(handle, verdict, evidence);
        let waits = verdict == Verdict::Accepted
            && answer != Answer::Ack
            && matches!(evidence, Evidence::Final(_));
        if waits {
            // Hazard H3: until the deadline there may be more proof.
            return self.wait(handle);
        }
        self.start_report(handle, answer, now, purse, out);
    }

    /// Sends the report for the first time.
    pub(super) fn start_report(
        &mut self,
        handle: Handle<Record>,
        answer: Answer,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        let Some(record) = self.records.get(handle) else { return };
        let peer = record.sms_peer;
        let short = &mut self.shorts[handle.index as usize];
        assert!(short.answer.is_none(), "one message, one report");
        short.answer = Some(answer);
        short.told = now;
        self.count(match answer {
            Answer::Ack => Counter::RpAcks,
            Answer::Error { .. } => Counter::RpErrors,
        });
        self.count(Counter::ReportsSent);
        let Some(hop) = self.report_hop(peer, 0) else {
            // A peer that cannot be reached is refused before anything is accepted from it.
            return self.end_report(handle, RpResult::Unsent(SendError::NoRoute), now);
        };
        self.shorts[handle.index as usize].report = Leg::new(Towards::Sms, &hop, 1, now);
        self.transmit_report(handle, now, purse, out);
        self.wait(handle);
    }

    fn transmit_report(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        if self.report_may_be_large(handle) {
            self.judge_size(handle, Towards::Sms, now);
        }
        let timers = self.setup.timers;
        let leg = &mut self.shorts[handle.index as usize].report;
        leg.transmitted(now, timers, self.setup.transport_of(leg.way.socket));
        let is_first = leg.transmissions == 1;
        let (flow, peer) = (leg.way.flow(), leg.peer);
        let owner = record::owner(handle, Errand::Request(leg.attempt));
        let departure =
            Departure { flow, len: 0, after: JournalSeq::NOW, owner: is_first.then_some(owner) };
        let Some(record) = self.records.get(handle) else { return };
        out.push(purse, departure, |slot| {
            let len = self.with_report(handle, record, |report| sip::originate(report, slot));
            len.flatten().unwrap_or_else(|| unreachable!("a slot holds two URIs and a few lines"))
        });
        if is_first {
            PeerTally::add(&self.peer_tally(peer).requests_out);
        } else {
            self.count(Counter::Retransmissions);
        }
    }

    /// R3: to the sender's identity, from the recipient's, In-Reply-To the Call-ID of the RP-DATA, its
    /// RP-MR repeated. RP-MR has eight bits and is used again all the time: nothing is ever looked up
    /// by it (hazard H48).
    pub(super) fn with_report<R>(
        &self,
        handle: Handle<Record>,
        record: &Record,
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        let octets = self.stored_octets(handle, record);
        let short = &self.shorts[handle.index as usize];
        let peer = self.peers.get(record.sms_peer);
        let mut body = [0; rp::SIZE_MAX];
        let len = rp::write(short.direction, short.reference, short.answer?, &mut body)?;
        let mut call_id = [0; CALL_ID_SIZE_MAX];
        // The transaction of the RP-DATA is this report's alone.
        let call_id = self.call_id(record.fingerprint, REPORT_SALT, &mut call_id)?;
        let mut from = [0; SIP_URI_SIZE_MAX + 2];
        let recipient = record.uri.of(octets);
        let from = closed(recipient, &mut from)?;
        let sender = short.sender.of(octets);
        let identity: &[u8] =
            if peer.trusted { b"P-Asserted-Identity: " } else { b"P-Preferred-Identity: " };
        Some(then(&Originate {
            method: Method::Message,
            uri: sender,
            transport: carried(self.setup.transport_of(short.report.way.socket)),
            sent_by: self.setup.sent_by_of(short.report.way.socket),
            branch: &self.branch(handle, short.report.attempt, 0),
            max_forwards: sip::MAX_FORWARDS,
            routes: Routes { values: peer.report_route.as_bytes(), target: &[] },
            from: Party::Value(from),
            from_tag: &sip::tag(self.tag_of_from(record.fingerprint, REPORT_SALT)),
            to: Party::Uri(sender),
            to_tag: &[],
            call_id,
            cseq: short.report.cseq,
            preferences: &[],
            more: &[
                b"In-Reply-To: ",
                record.call_id.of(octets),
                b"\r\n",
                identity,
                from,
                b"\r\n",
                self.authorization(short.report.authorization),
            ],
            extra: &[],
            content_type: b"application/vnd.3gpp.sms",
            body: &[body.get(..len)?],
        }))
    }

    /// The final response to a report. 200 and 202 are equal here; 503 leads to the next address (R8).
    pub(super) fn on_report_final(
        &mut self,
        handle: Handle<Record>,
        last: Last<'_>,
        out: &mut Departures,
    ) {
        let again = match last.status {
            401 | 407 => self.authorize(handle, Towards::Sms, last),
            503 => self.next_report_server(handle, Asked::Again),
            _ => false,
        };
        if again {
            self.transmit_report(handle, last.at, Purse::Evidence, out);
            return self.wait(handle);
        }
        let result = match last.status {
            200..=299 => RpResult::Taken(last.status),
            status => RpResult::Refused(status),
        };
        self.end_report(handle, result, last.at);
    }

    fn next_report_server(&mut self, handle: Handle<Record>, asked: Asked) -> bool {
        let leg = &self.shorts[handle.index as usize].report;
        let next = leg.server.map_or(0, |server| usize::from(server) + 1);
        let Some(hop) = self.report_hop(leg.peer, next) else { return false };
        self.shorts[handle.index as usize].report.begin_again(Some(&hop), asked)
    }

    /// The address of a peer of the SMS side, from number `from` on, that is reached from a socket of
    /// ours.
    pub(super) fn report_hop(&self, peer: u8, from: usize) -> Option<Hop> {
        let addresses = self.peers.get(peer).addresses.iter().zip(0..).skip(from);
        addresses.map(|(address, number)| self.hop_back(*address, peer, number)).find_map(|hop| hop)
    }

    fn end_report(&mut self, handle: Handle<Record>, result: RpResult, now: Instant) {
        let key = self.shorts[handle.index as usize].key;
        self.count(match result {
            RpResult::Taken(_) => Counter::ReportsTaken,
            RpResult::Refused(_) => Counter::ReportsRejected,
            RpResult::Unconfirmed => Counter::ReportsUnconfirmed,
            RpResult::Unsent(_) => Counter::ReportsRefused,
        });
        self.shorts[handle.index as usize].result = Some(result);
        let answer = self.shorts[handle.index as usize].answer;
        if answer == Some(Answer::Ack) && matches!(result, RpResult::Taken(_)) {
            self.remember_reported(key, now);
        }
        self.settle(handle, now);
    }

    /// Closes the message when both its attempt and its report are over.
    pub(super) fn settle(&mut self, handle: Handle<Record>, now: Instant) {
        let short = &self.shorts[handle.index as usize];
        let (Some(answer), Some(result)) = (short.answer, short.result) else {
            return self.wait(handle);
        };
        if short.stage != Stage::Over {
            return self.wait(handle);
        }
        if let Some(record) = self.records.get_mut(handle) {
            record.report = Report::Rp(answer, result);
        }
        self.close(handle, now);
    }

    /// What is due for a short message: one thing, and at most one departure.
    pub(super) fn on_short_timer(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(record) = self.records.get(handle) else { return };
        let short = &self.shorts[handle.index as usize];
        let transaction_ms = self.setup.timers.transaction_ms();
        let is_open = record.message.decided().is_none();
        let deadline = record.arrived.plus_ms(self.deadline_ms(record));
        let (im, report) = (&record.im, &short.report);
        if im.refused.is_some() {
            return self.on_instant_refused(handle, now, out);
        }
        if let Some(error) = report.refused {
            return self.on_report_refused(handle, error, now, out);
        }
        if short.stage == Stage::Sent && self.is_unreachable(record) {
            return self.on_instant_silence(handle, Evidence::Unreachable, now, out);
        }
        if is_open && deadline <= now && short.stage != Stage::Over {
            return self.on_short_deadline(handle, now, out);
        }
        let turn_ms = self.setup.gateway.uri_wait_ms;
        if short.stage == Stage::Queued && record.arrived.plus_ms(turn_ms) <= now {
            self.count(Counter::UriWaitsEnded);
            return self.end_unsent(handle, Evidence::UriWait, now, Purse::Evidence, out);
        }
        if let Some((verdict, evidence)) = record.message.decided()
            && short.answer.is_none()
            && deadline <= now
        {
            // Accepted, and nothing more was proved.
            let answer = self.answer_to(handle, verdict, evidence);
            return self.start_report(handle, answer, now, Purse::Evidence, out);
        }
        if im.is_running() && im.sent.plus_ms(transaction_ms) <= now {
            return self.on_instant_silence(handle, Evidence::TimerF, now, out);
        }
        if short.answer.is_some() && short.result.is_none() && !report.is_running() {
            return self.on_report_unreachable(handle, now, out);
        }
        if report.is_running() && report.sent.plus_ms(transaction_ms) <= now {
            let peer = report.peer;
            self.shorts[handle.index as usize].report.client.on(Event::TimerF);
            self.count(Counter::TimerF);
            PeerTally::add(&self.peer_tally(peer).timer_f);
            return self.end_report(handle, RpResult::Unconfirmed, now);
        }
        if im.is_running() && im.retransmit <= now {
            self.transmit_instant(handle, now, Purse::Evidence, out);
        } else if report.is_running() && report.retransmit <= now {
            self.transmit_report(handle, now, Purse::Evidence, out);
        }
        self.wait(handle);
    }

    fn on_short_deadline(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) {
        self.count(Counter::Deadlines);
        let Some(record) = self.records.get(handle) else { return };
        let stage = self.shorts[handle.index as usize].stage;
        if stage == Stage::Large {
            return self.on_large_deadline(handle, now, out);
        }
        if stage == Stage::Sent && record.im.transmissions > 0 {
            // It stays on its way until timer F, for what may still come.
            return self.conclude(handle, Evidence::Deadline, now, Purse::Evidence, out);
        }
        // Another submission's request may be out; of this one nothing was.
        let evidence = match stage {
            Stage::Attached => Evidence::Deadline,
            Stage::Queued | Stage::Sent | Stage::Large | Stage::Over => Evidence::DeadlineUnsent,
        };
        self.end_unsent(handle, evidence, now, Purse::Evidence, out);
    }

    /// Ends a submission whose request has not left.
    pub(super) fn end_unsent(
        &mut self,
        handle: Handle<Record>,
        evidence: Evidence,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        self.conclude(handle, evidence, now, purse, out);
        self.end_attempt(handle, None, now);
        self.settle(handle, now);
    }

    /// The kernel refused the request: nothing has left, so that another server may get it.
    fn on_instant_refused(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) {
        let Some(record) = self.records.get_mut(handle) else { return };
        let Some(error) = record.im.refused.take() else { return };
        if !record.im.is_running() {
            // Somebody has answered it since.
            return self.wait(handle);
        }
        let is_open = record.message.decided().is_none();
        if is_open && self.back_to_udp(handle, Towards::Im, error, now) {
            self.transmit_instant(handle, now, Purse::Evidence, out);
            return self.wait(handle);
        }
        let Some(record) = self.records.get(handle) else { return };
        // The request with credentials has not left, so that nobody has refused them.
        let asked = match record.im.asked {
            Asked::WithCredentials => Asked::Once,
            asked @ (Asked::Once | Asked::Again) => asked,
        };
        if is_open && self.next_instant_server(handle, asked, now) {
            self.transmit_instant(handle, now, Purse::Evidence, out);
            return self.wait(handle);
        }
        let Some(record) = self.records.get_mut(handle) else { return };
        record.im.client.on(Event::TransportError);
        // A server that was asked before has said 503 or challenged us: that much is certain.
        record.im.transmissions = 0;
        self.end_unsent(handle, Evidence::NeverSent, now, Purse::Evidence, out);
    }

    fn on_report_refused(
        &mut self,
        handle: Handle<Record>,
        error: SendError,
        now: Instant,
        out: &mut Departures,
    ) {
        let leg = &mut self.shorts[handle.index as usize].report;
        leg.refused = None;
        if !leg.is_running() {
            return self.wait(handle);
        }
        if self.back_to_udp(handle, Towards::Sms, error, now) {
            self.transmit_report(handle, now, Purse::Evidence, out);
            return self.wait(handle);
        }
        if self.report_again(handle, now, out) {
            return;
        }
        self.shorts[handle.index as usize].report.client.on(Event::TransportError);
        self.end_report(handle, RpResult::Unsent(error), now);
    }

    /// An ICMP error has ended the report. Where it is told twice it still is one report, with one RP-MR.
    fn on_report_unreachable(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        out: &mut Departures,
    ) {
        if !self.report_again(handle, now, out) {
            self.end_report(handle, RpResult::Unconfirmed, now);
        }
    }

    /// The report to the next address after a failure of the transport, if there is one.
    fn report_again(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) -> bool {
        let asked = self.shorts[handle.index as usize].report.asked;
        let again = self.next_report_server(handle, asked);
        if again {
            self.transmit_report(handle, now, Purse::Evidence, out);
            self.wait(handle);
        }
        again
    }

    /// When something is to be done about a short message if nothing arrives.
    pub(super) fn short_due(&self, handle: Handle<Record>, record: &Record) -> Instant {
        let short = &self.shorts[handle.index as usize];
        let timers = self.setup.timers;
        let lost = short.stage == Stage::Sent && self.is_unreachable(record);
        let unreported =
            short.answer.is_some() && short.result.is_none() && !short.report.is_running();
        if record.im.refused.is_some() || short.report.refused.is_some() || lost || unreported {
            return record.arrived;
        }
        // Of a record that waits for nothing else, the deadline is as good as any time.
        let deadline = record.arrived.plus_ms(self.deadline_ms(record));
        let mut due = if short.answer.is_none() { deadline } else { NEVER };
        if short.stage == Stage::Queued {
            due = due.min(record.arrived.plus_ms(self.setup.gateway.uri_wait_ms));
        }
        for leg in [&record.im, &short.report] {
            if leg.is_running() {
                due = due.min(leg.due(timers));
            }
        }
        due
    }

    /// Ends a short message because the process ends.
    pub(super) fn abandon_short(&mut self, handle: Handle<Record>, now: Instant) {
        let Some(record) = self.records.get_mut(handle) else { return };
        let mapping = &self.peers.get(record.im.peer).mapping;
        // Without a verdict only RP-SMMA is answered, which is no message.
        let is_message = self.shorts[handle.index as usize].answer.is_none();
        if is_message && let Some(verdict) = record.message.observe(Evidence::Shutdown, mapping) {
            self.decide(handle, verdict, now);
            self.count(Counter::ReportsSilent);
        }
        let short = &self.shorts[handle.index as usize];
        if let Some(answer) = short.answer
            && let Some(record) = self.records.get_mut(handle)
        {
            record.report = Report::Rp(answer, short.result.unwrap_or(RpResult::Unconfirmed));
        }
        self.abandon_large(handle);
        self.end_attempt(handle, None, now);
        self.close(handle, now);
    }
}

/// A URI in brackets.
pub(super) fn closed<'a>(uri: &[u8], to: &'a mut [u8]) -> Option<&'a [u8]> {
    let text = to.get_mut(..uri.len() + 2)?;
    let [open, middle @ .., close] = &mut *text else { return None };
    (*open, *close) = (b'<', b'>');
    middle.copy_from_slice(uri);
    Some(text)
}

/// Octets of a report at most, beside sender and recipient, who are named twice, the Call-ID that it
/// answers and its Route: its own words, our names in Via and Call-ID, and credentials.
pub(super) const OVERHEAD: usize = 768 + CALL_ID_SIZE_MAX + AUTHORIZATION_SIZE_MAX;

/// Sets the Call-ID of a report apart from that of an instant message: no salt is as large.
const REPORT_SALT: u16 = 0xFFFF;
