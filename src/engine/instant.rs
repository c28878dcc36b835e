//! Instant messages out: the MESSAGE that a short message becomes, and what becomes of it (TS 29.311
//! section 6.1, RFC 3428 sections 4 and 8).

use crate::delivery::{Answer, Asked, Evidence, Final, Mark, Memory, Verdict};
use crate::engine::back::carried;
use crate::engine::memory::{key_of_call_id, put_hex};
use crate::engine::record::{self, Errand, Record, Towards};
use crate::engine::report::closed;
use crate::engine::response::Last;
use crate::engine::short::Stage;
use crate::engine::{Content, Engine, Profile, Setup};
use crate::id::Handle;
use crate::interwork::{address, content};
use crate::limits::{MSRP_IDENT_SIZE_MAX, SERVER_AVOIDED_MAX_S, SIP_URI_SIZE_MAX};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departure, Departures, JournalSeq, Purse};
use crate::time::Instant;
use crate::transaction::non_invite_client::{Action, Event, State};
use crate::wire::cpim::{self, Wrap};
use crate::wire::rp::{self, Direction};
use crate::wire::sip::{self, Method, Originate, Party, Response, Routes};
use crate::wire::tpdu::{self, Deliver, Tpdu, UserData};

/// Octets of a name-addr that stands for a user of the SMS side.
const ORIGINATOR_SIZE_MAX: usize = 640;
/// Octets of the CPIM header fields around a text.
const CPIM_SIZE_MAX: usize = 2_048;
/// Octets of a Call-ID of ours: a key, a salt, and a domain.
pub(super) const CALL_ID_SIZE_MAX: usize = 40 + 256;

impl Engine {
    /// Sends a request whose turn has come, for the first time.
    pub(super) fn send_instant(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        let cseq = u32::from(self.shorts[handle.index as usize].attempt);
        self.shorts[handle.index as usize].stage = Stage::Sent;
        if let Some(record) = self.records.get_mut(handle) {
            record.im.cseq = cseq;
        }
        self.transmit_instant(handle, now, purse, out);
        self.wait(handle);
    }

    /// Transmits the request of this attempt, for the first time or again.
    pub(super) fn transmit_instant(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        if self.may_be_large(handle) {
            self.judge_size(handle, Towards::Im, now);
        }
        self.note_transmission(handle, now);
        let Some(record) = self.records.get(handle) else { return };
        let is_first = record.im.transmissions == 1;
        let (flow, peer) = (record.im.way.flow(), record.im.peer);
        let owner = record::owner(handle, Errand::Request(record.im.attempt));
        let owner = is_first.then_some(owner);
        let Some(record) = self.records.get(handle) else { return };
        let departure = Departure { flow, len: 0, after: JournalSeq::NOW, owner };
        self.with_instant(handle, record, |instant| {
            out.push(purse, departure, |slot| {
                sip::originate(instant, slot).unwrap_or_else(|| unreachable!("it was measured"))
            });
        });
        if is_first {
            PeerTally::add(&self.peer_tally(peer).requests_out);
        } else {
            self.count(Counter::Retransmissions);
        }
    }

    /// Composes the request from the short message as it arrived. `None` if it cannot be written:
    /// then it never was.
    pub(super) fn with_instant<R>(
        &self,
        handle: Handle<Record>,
        record: &Record,
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        self.with_originator(handle, record, |deliver, from| {
            let peer = self.peers.get(record.im.peer);
            if peer.content == Content::Text {
                return self.composed(handle, record, (deliver, from), (TEXT, &[]), then);
            }
            let message_id = self.message_id(handle);
            let message_id: &[u8] = if peer.profile == Profile::Cpm { &message_id } else { &[] };
            let recipient = record.uri.of(self.stored_octets(handle, record));
            let mut head = [0; CPIM_SIZE_MAX];
            let head = wrapped(deliver, from, (recipient, message_id), &mut head)?;
            self.composed(handle, record, (deliver, from), (CPIM, head), then)
        })?
    }

    /// The Message-ID of a short message: the same for all attempts and both modes, so that who has it
    /// knows it again (RFC 4975 section 7.1.1, RFC 5438 section 6.3).
    pub(super) fn message_id(&self, handle: Handle<Record>) -> [u8; MSRP_IDENT_SIZE_MAX] {
        let short = &self.shorts[handle.index as usize];
        let [low, high] = short.key.0;
        let words = [MESSAGE_ID | u64::from(short.salt), low, high];
        let [low, high] = self.setup.key.of_words(&words).0;
        let mut text = [0; MSRP_IDENT_SIZE_MAX];
        put_hex(u128::from(high) << 64 | u128::from(low), &mut text);
        text
    }

    /// The service that a request belongs to, beside whom it may reach (R12): where it is CPM, that with
    /// the conversation and the message in it.
    pub(super) fn with_service<R>(
        &self,
        handle: Handle<Record>,
        peer: u8,
        service: &[u8],
        then: impl FnOnce([&[u8]; 7]) -> R,
    ) -> R {
        let peer = self.peers.get(peer);
        if peer.profile == Profile::SimpleIm {
            return then([&[]; 7]);
        }
        let name: &[u8] =
            if peer.trusted { b"P-Asserted-Service: " } else { b"P-Preferred-Service: " };
        let [conversation, _] = self.between(handle).unwrap_or_default().0;
        let contribution = self.message_id(handle);
        then([
            name,
            service,
            b"\r\nConversation-ID: ",
            &sip::tag(conversation),
            b"\r\nContribution-ID: ",
            &contribution,
            b"\r\n",
        ])
    }

    fn composed<R>(
        &self,
        handle: Handle<Record>,
        record: &Record,
        (deliver, from): (&Deliver<'_>, &[u8]),
        (content_type, head): (&[u8], &[u8]),
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        let short = &self.shorts[handle.index as usize];
        let recipient = record.uri.of(self.stored_octets(handle, record));
        let mut call_id = [0; CALL_ID_SIZE_MAX];
        let call_id = self.call_id(short.key, short.salt, &mut call_id)?;
        let mut text = [0; UserData::TEXT_SIZE_MAX];
        let len = deliver.user_data.text(&mut text)?;
        let text = short.parts.of(text.get(..len)?);
        let peer = record.im.peer;
        let preferences = match self.peers.get(peer).profile {
            Profile::SimpleIm => ACCEPT_SIMPLE_IM,
            Profile::Cpm => ACCEPT_CPM,
        };
        let of_identity = |identity: Identity<'_>, service: [&[u8]; 7]| {
            then(&Originate {
                method: Method::Message,
                uri: recipient,
                transport: carried(self.setup.transport_of(record.im.way.socket)),
                sent_by: self.setup.sent_by_of(record.im.way.socket),
                branch: &self.branch(handle, record.im.attempt, 0),
                max_forwards: sip::MAX_FORWARDS,
                routes: Routes::default(),
                from: Party::Value(identity.from),
                from_tag: &sip::tag(self.tag_of_from(short.key, short.salt)),
                to: Party::Uri(recipient),
                to_tag: &[],
                call_id,
                cseq: record.im.cseq,
                preferences,
                more: &identity.lines(service, self.authorization(record.im.authorization)),
                extra: &[],
                content_type,
                body: &[head, text],
            })
        };
        self.identified(record, (deliver, from), |identity| {
            self.with_service(handle, peer, CPM_PAGER, |service| of_identity(identity, service))
        })
    }

    /// The short message as it arrived, and who its originator is on the IM side, as a name-addr.
    pub(super) fn with_originator<R>(
        &self,
        handle: Handle<Record>,
        record: &Record,
        then: impl FnOnce(&Deliver<'_>, &[u8]) -> R,
    ) -> Option<R> {
        let octets = self.stored_octets(handle, record);
        let deliver = deliver_in(self.shorts[handle.index as usize].rp.of(octets))?;
        let mut from = [0; ORIGINATOR_SIZE_MAX];
        let domain = self.setup.gateway.domain.as_bytes();
        let len = address::write_originator(&deliver.originator, domain, &mut from)?;
        Some(then(&deliver, from.get(..len)?))
    }

    /// What every request about a short message says of where it comes from.
    pub(super) fn with_identity<R>(
        &self,
        handle: Handle<Record>,
        record: &Record,
        then: impl FnOnce(Identity<'_>) -> R,
    ) -> Option<R> {
        self.with_originator(handle, record, |deliver, from| {
            self.identified(record, (deliver, from), then)
        })?
    }

    fn identified<R>(
        &self,
        record: &Record,
        (deliver, from): (&Deliver<'_>, &[u8]),
        then: impl FnOnce(Identity<'_>) -> R,
    ) -> Option<R> {
        let mut date = [0; 29];
        let len = deliver.scts.write_http_date(&mut date)?;
        let date = date.get(..len)?;
        // RFC 3325 section 5: what a peer says who is not trusted is not asserted; and a name of letters is
        // nobody's identity.
        let asserts = self.peers.get(record.sms_peer).trusted
            && self.peers.get(record.im.peer).trusted
            && !deliver.originator.is_alphanumeric();
        let asserted: [&[u8]; 3] =
            if asserts { [b"P-Asserted-Identity: ", from, b"\r\n"] } else { [&[]; 3] };
        Some(then(Identity { from, date, asserted }))
    }

    /// Writes what a short message says as the body of a Large Message. How many octets it has.
    pub(super) fn write_content(
        &self,
        handle: Handle<Record>,
        record: &Record,
        message_id: Option<&[u8]>,
        to: &mut [u8],
    ) -> Option<usize> {
        self.with_originator(handle, record, |deliver, from| {
            let mut text = [0; UserData::TEXT_SIZE_MAX];
            let len = deliver.user_data.text(&mut text)?;
            let text = text.get(..len)?;
            let recipient = record.uri.of(self.stored_octets(handle, record));
            let head_len = match message_id {
                None => 0,
                Some(message_id) => wrapped(deliver, from, (recipient, message_id), to)?.len(),
            };
            let end = head_len + text.len();
            to.get_mut(head_len..end)?.copy_from_slice(text);
            Some(end)
        })?
    }

    /// The final response to an instant message.
    pub(super) fn on_instant_final(
        &mut self,
        handle: Handle<Record>,
        last: Last<'_>,
        out: &mut Departures,
    ) {
        let Some(record) = self.records.get(handle) else { return };
        let is_open = record.message.decided().is_none();
        if is_open && self.try_again(handle, last, out) {
            return;
        }
        // RFC 3428 section 8, TS 29.311 section 6.1.4.4: too large for a MESSAGE is not too large for a
        // session, which is tried once.
        let peer = self.records.get(handle).map_or(0, |record| record.im.peer);
        let is_whole = self.shorts[handle.index as usize].parts.is_whole();
        if is_open && is_whole && matches!(last.status, 413 | 513) && self.takes_large(peer) {
            self.count(Counter::PagerToLarge);
            self.pending.leave(handle.index);
            return self.begin_large(handle, last.at, Purse::Evidence, out);
        }
        let Some(record) = self.records.get(handle) else { return };
        let peer = self.peers.get(record.im.peer);
        let response = last.evidence(peer.role, record.im.asked);
        let proof = peer.mapping.verdict(response);
        if let Some(seconds) = last.response.fields.retry_after {
            let end = last.at.plus_ms(seconds.min(RETRY_AFTER_MAX_S) * 1_000);
            self.shorts[handle.index as usize].not_before = Mark::of(end);
        }
        if is_open && self.next_part(handle, (response, proof), last, out) {
            return;
        }
        if is_open {
            let evidence = self.evidence_of_parts(handle, (response, proof));
            self.conclude(handle, evidence, last.at, Purse::Evidence, out);
        } else {
            let is_delivered = last.status < 300;
            self.count(if is_delivered { Counter::LateDelivered } else { Counter::LateFailed });
        }
        // Of a part that comes late, the others were never sent.
        let proof = is_whole.then_some((proof, last.status));
        self.end_attempt(handle, proof, last.at);
        self.settle(handle, last.at);
    }

    /// RFC 3261 section 22.2: once more with credentials. RFC 3263 section 4.3: a server that says
    /// 503 has not taken the request, so that another one may be asked without doubling it (hazards H8
    /// and H49: where there is none left it is certain that nobody has it).
    fn try_again(&mut self, handle: Handle<Record>, last: Last<'_>, out: &mut Departures) -> bool {
        let again = match last.status {
            401 | 407 => self.authorize(handle, Towards::Im, last),
            503 => self.fail_over(handle, last),
            _ => false,
        };
        if again {
            self.transmit_instant(handle, last.at, Purse::Evidence, out);
            self.wait(handle);
        }
        again
    }

    fn fail_over(&mut self, handle: Handle<Record>, last: Last<'_>) -> bool {
        let Some(record) = self.records.get(handle) else { return false };
        let Some(server) = record.im.server else { return false };
        if let Some(seconds) = last.response.fields.retry_after {
            let until = last.at.plus_ms(seconds.min(SERVER_AVOIDED_MAX_S) * 1_000);
            self.neighbours.avoid(usize::from(server), until);
            self.count(Counter::ServersAvoided);
        }
        self.next_instant_server(handle, Asked::Again, last.at)
    }

    /// Turns to the next server of the list, if there is one.
    pub(super) fn next_instant_server(
        &mut self,
        handle: Handle<Record>,
        asked: Asked,
        now: Instant,
    ) -> bool {
        let Some(record) = self.records.get(handle) else { return false };
        let Some(server) = record.im.server else { return false };
        let Some(hop) = self.next_server_at(usize::from(server) + 1, now) else { return false };
        let Some(record) = self.records.get_mut(handle) else { return false };
        let is_other = record.im.peer != hop.peer;
        let again = record.im.begin_again(Some(&hop), asked);
        if again {
            self.count(Counter::NextServer);
        }
        if again
            && is_other
            && let Some(record) = self.records.get_mut(handle)
            && let Some(buffer) = record.im.authorization.take()
        {
            // They answer the challenge of another peer, who may ask for its own.
            self.authorizations.give(buffer);
        }
        again
    }

    /// The attempt is over, or never was: the next one for this recipient has its turn, what is
    /// proved is remembered, and those who wait for the same short message are told.
    pub(super) fn end_attempt(
        &mut self,
        handle: Handle<Record>,
        proof: Option<(Verdict, u16)>,
        now: Instant,
    ) {
        let index = handle.index as usize;
        let stage = core::mem::replace(&mut self.shorts[index].stage, Stage::Over);
        if stage == Stage::Attached || stage == Stage::Over {
            return self.running.leave(handle.index);
        }
        let Some(record) = self.records.get_mut(handle) else { return };
        if record.im.is_running() {
            record.im.client.on(Event::TransportError);
        }
        let Some(record) = self.records.get(handle) else { return };
        let short = &self.shorts[index];
        let own = record.message.decided();
        let said = own.map(|(verdict, evidence)| (verdict, super::close::status_of(evidence)));
        // The best evidence counts: a final response that came after the deadline is some.
        let best = match (proof, said) {
            (Some((Verdict::Delivered, status)), _) => Some((Verdict::Delivered, status)),
            // Whatever is said after the deadline says more than the silence until then.
            (Some(proof), Some((Verdict::Unknown, _)) | None) => Some(proof),
            (_, said) => said,
        };
        let (key, asked) = (short.key, (record.im.peer, record.im.cseq));
        let short_is_whole = short.parts.is_whole();
        let was_asked = record.im.transmissions > 0 || record.im.attempt > 0;
        let was_sent = match stage {
            Stage::Large => self.has_departed(handle),
            Stage::Sent => was_asked,
            Stage::Attached | Stage::Queued | Stage::Over => false,
        };
        if let Some((verdict, status)) = best {
            let unproved = matches!(verdict, Verdict::Unknown | Verdict::Accepted);
            let last = u8::try_from(record.im.cseq).unwrap_or(u8::MAX);
            let memory = Memory {
                verdict,
                status,
                reported: false,
                may_be_there: short.may_be_there || (was_sent && unproved),
                attempt: if was_asked { last } else { short.attempt.saturating_sub(1) },
                salt: short.salt,
                not_before: short.not_before,
            };
            self.remember(key, memory, now);
            if was_asked && short_is_whole && verdict != Verdict::Delivered {
                self.bury(handle, key, asked, (verdict, status), now);
            }
        }
        if stage != Stage::Large {
            self.pending.leave(handle.index);
        }
        self.running.leave(handle.index);
    }

    /// A positive response after its attempt was over: it decides nothing any more, but the SMS side
    /// will try again, and then it is what is known (hazard H2).
    pub(super) fn on_late_proof(
        &mut self,
        handle: Handle<Record>,
        response: &Response<'_>,
        peer: u8,
        now: Instant,
    ) {
        let (octets, fields) = (response.octets, &response.fields);
        if response.status < 200 || fields.via_count != 1 || fields.cseq_method != Method::Message {
            return;
        }
        let peer_of = self.peers.get(peer);
        let role = peer_of.role;
        let said = Final { status: response.status, role, retry_after: false, asked: Asked::Once };
        let verdict = peer_of.mapping.verdict(said);
        if !peer_of.im || !matches!(verdict, Verdict::Delivered | Verdict::Accepted) {
            return;
        }
        let Some((key, salt)) = key_of_call_id(fields.call_id.of(octets)) else { return };
        let named = fields.via.sent_by.of(octets);
        if !self.setup.sent_by.iter().any(|own| named.eq_ignore_ascii_case(own.as_bytes())) {
            return;
        }
        let is_known = match self.records.get(handle) {
            Some(record) => {
                record.is_short
                    && self.shorts[handle.index as usize].parts.is_whole()
                    && record.im.peer == peer
                    && record.im.cseq == fields.cseq
                    && self.shorts[handle.index as usize].key == key
            }
            None => self.is_buried(handle, key, (peer, fields.cseq), now),
        };
        let memory = self.memory(key, now).or_else(|| self.not_ended(handle));
        let Some(memory) = memory.filter(|memory| is_known && memory.salt == salt) else { return };
        // That somebody has accepted it (hazard H3) says more than silence, and no more than that.
        let says_more = if verdict == Verdict::Delivered {
            memory.verdict != Verdict::Delivered
        } else {
            memory.verdict == Verdict::Unknown
        };
        if says_more {
            if verdict == Verdict::Delivered {
                self.count(Counter::LateProofs);
            }
            let status = response.status;
            self.remember(key, Memory { verdict, status, ..memory }, now);
        }
    }

    /// What will be remembered of a first attempt that an ICMP error has ended a moment ago, unless
    /// something is proved before the timer that concludes from it.
    fn not_ended(&self, handle: Handle<Record>) -> Option<Memory> {
        let record = self.records.get(handle)?;
        let short = &self.shorts[handle.index as usize];
        (short.stage == Stage::Sent).then_some(Memory {
            verdict: Verdict::Unknown,
            status: 0,
            reported: false,
            may_be_there: true,
            attempt: u8::try_from(record.im.cseq).unwrap_or(u8::MAX),
            salt: short.salt,
            not_before: short.not_before,
        })
    }

    /// What the SMS side is told about a verdict.
    pub(super) fn answer_to(
        &self,
        handle: Handle<Record>,
        verdict: Verdict,
        evidence: Evidence,
    ) -> Answer {
        let Some(record) = self.records.get(handle) else { return NOT_PROVED };
        let peer = self.peers.get(record.im.peer);
        let short = &self.shorts[handle.index as usize];
        // An MS may be told more than it may say.
        if let (Evidence::Content { cause, fcs }, Direction::NetworkToMs) =
            (evidence, short.direction)
        {
            return Answer::Error { cause, fcs };
        }
        // Nobody asked for the status, and the operator has said that acceptance is enough.
        if verdict == Verdict::Accepted && peer.ack_accepted && !short.status_report {
            return Answer::Ack;
        }
        peer.mapping.answer(verdict, evidence)
    }

    /// Timer F or an ICMP error: the attempt is over and nobody knows.
    pub(super) fn on_instant_silence(
        &mut self,
        handle: Handle<Record>,
        evidence: Evidence,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(record) = self.records.get_mut(handle) else { return };
        let peer = record.im.peer;
        if evidence == Evidence::TimerF && record.im.client.on(Event::TimerF) == Action::Timeout {
            self.count(Counter::TimerF);
            PeerTally::add(&self.peer_tally(peer).timer_f);
        }
        let is_open = self.records.get(handle).is_some_and(|at| at.message.decided().is_none());
        if is_open {
            self.conclude(handle, evidence, now, Purse::Evidence, out);
        }
        self.end_attempt(handle, None, now);
        self.settle(handle, now);
    }

    /// Whether an ICMP error has ended the request.
    pub(super) fn is_unreachable(&self, record: &Record) -> bool {
        record.im.client == State::Terminated
    }
}

/// Whom a MESSAGE may reach (RFC 3841). One device is enough: with a fork the fastest one would say what is
/// true of all (hazard H5).
const ACCEPT_SIMPLE_IM: &[u8] =
    b"Request-Disposition: no-fork\r\nAccept-Contact: *;+g.oma.sip-im\r\n";
const ACCEPT_CPM: &[u8] = b"Request-Disposition: no-fork\r\n\
    Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"\r\n";
const CPM_PAGER: &[u8] = b"urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg";

/// Sets a Message-ID apart from every other use of the same key.
const MESSAGE_ID: u64 = 0x3E55_0000 << 32;

const _: () = assert!(MSRP_IDENT_SIZE_MAX == 32, "128 bits in hexadecimal digits");

/// What a request says of where it comes from.
pub(super) struct Identity<'a> {
    /// From, without its tag.
    pub from: &'a [u8],
    /// The value of Date.
    pub date: &'a [u8],
    /// P-Asserted-Identity in pieces; nothing where nothing is asserted.
    pub asserted: [&'a [u8]; 3],
}

impl<'a> Identity<'a> {
    /// The header fields that say so, in pieces, with those of the service and of who is authorized behind
    /// them.
    pub(super) const fn lines(
        &self,
        service: [&'a [u8]; 7],
        authorization: &'a [u8],
    ) -> [&'a [u8]; 14] {
        let [name, value, end] = self.asserted;
        let [a, b, c, d, e, f, g] = service;
        [b"Date: ", self.date, b"\r\n", name, value, end, a, b, c, d, e, f, g, authorization]
    }
}

/// Octets of a request at most, beside its recipient and its text: its own words, an originator of
/// twenty digits twice, and our names in Via, From, P-Asserted-Identity and Call-ID.
pub(super) fn overhead(setup: &Setup) -> usize {
    const WORDS: usize = 640;
    let sent_by = setup.sent_by.iter().map(|text| text.len()).max().unwrap_or(0);
    WORDS + sent_by + 5 * setup.gateway.domain.len()
}

/// What is said where nothing is known.
const NOT_PROVED: Answer = Answer::Error { cause: content::CAUSE, fcs: 0xFF };

/// How long a Retry-After is heeded.
const RETRY_AFTER_MAX_S: u32 = 3_600;

const CPIM: &[u8] = b"message/cpim";

/// Plain text as RFC 3428 section 4 wants it written.
pub(super) const TEXT: &[u8] = b"text/plain;charset=UTF-8";

/// The short message in an RP message that was read before.
pub(super) fn deliver_in(rp: &[u8]) -> Option<Deliver<'_>> {
    let Ok(rp::Message::Data(data)) = rp::parse(rp) else { return None };
    match tpdu::parse(data.tpdu, data.direction, tpdu::Answer::Ack) {
        Ok(Tpdu::Deliver(deliver)) => Some(deliver),
        Ok(_) | Err(_) => None,
    }
}

fn wrapped<'a>(
    deliver: &Deliver<'_>,
    from: &[u8],
    (recipient, message_id): (&[u8], &[u8]),
    to: &'a mut [u8],
) -> Option<&'a [u8]> {
    let mut uri = [0; SIP_URI_SIZE_MAX + 2];
    let recipient = closed(recipient, &mut uri)?;
    let mut moment = [0; 25];
    let len = deliver.scts.write_rfc3339(&mut moment)?;
    let date_time = moment.get(..len)?;
    let wrap = Wrap { from, to: recipient, date_time, message_id, content_type: TEXT };
    let len = cpim::head(&wrap, to)?;
    to.get(..len)
}
