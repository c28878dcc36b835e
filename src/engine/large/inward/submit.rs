//! The parts of a message on their way to the SC: each in SMS-SUBMIT in RP-DATA in a MESSAGE (TS 24.341 section
//! 5.3.1.2), the next one when the SC has answered for the one before.

use super::{CALL_ID, Named, REFERENCE, REPORTED, Stage, Submission};
use crate::delivery::{Asked, Evidence, Submission as Proof, Verdict};
use crate::engine::Engine;
use crate::engine::back::carried;
use crate::engine::instant::CALL_ID_SIZE_MAX;
use crate::engine::large::Sessions;
use crate::engine::record::{self, Errand, Leg, NEVER, Record, Towards};
use crate::engine::report::closed;
use crate::engine::response::Last;
use crate::id::Handle;
use crate::interwork::address::Number;
use crate::interwork::division;
use crate::limits::{STATUS_REPORTS_MS, SUBMISSION_SENDER_SIZE_MAX, TR1M_MS};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Arrival, Departure, Departures, Endpoint, JournalSeq, Purse, SendError};
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::transaction::branch::Branch;
use crate::transaction::non_invite_client::{Action, Event, State};
use crate::wire::rp::{self, Direction};
use crate::wire::sip::{self, Method, Originate, Party, Response, Routes};
use crate::wire::tpdu::{
    self, Alphabet, Submit, TPDU_SIZE_MAX, USER_DATA_SIZE_MAX, UserData, ValidityPeriod,
};

/// Octets of RP-DATA around its TPDU.
const RP_SIZE_MAX: usize = 16;

impl Engine {
    /// Sends the part whose turn it is for the first time.
    pub(super) fn submit_part(
        &mut self,
        handle: Handle<Submission>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(peer) = self.sessions_mut().submission(handle).map(|it| it.caller.peer) else {
            return;
        };
        let Some(hop) = self.report_hop(peer, 0) else {
            return self.conclude_submission(handle, Evidence::NeverSent, now);
        };
        let Some((reference, may_be_reported)) = self.next_reference(handle, now) else { return };
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        submission.stage = Stage::Sending;
        submission.asks_status &= may_be_reported;
        submission.reference = reference;
        if submission.number == 0 {
            submission.concatenation = reference;
        }
        submission.is_acknowledged = false;
        submission.since = now;
        submission.leg = Leg::new(Towards::Submission, &hop, 1, now);
        self.count(Counter::SubmissionParts);
        self.transmit_part(handle, now, out);
        self.wait_for_submission(handle);
    }

    /// The next RP-MR and TP-MR of a sender, and whether it may be reported: none that a part has which may
    /// still be. Where all of them are waited for, it goes all the same, and is not asked about.
    fn next_reference(&mut self, handle: Handle<Submission>, now: Instant) -> Option<(u8, bool)> {
        let key = self.setup.key;
        let store = self.sessions_mut().inward_mut()?;
        let submission = store.submissions.get(handle)?;
        let sender = submission.caller.sender;
        let counter = Sessions::of_sender(key, REFERENCE, sender.octets(), 0);
        // Whoever is not known begins anywhere.
        let last = match store.references.get(counter, now) {
            Some(last) => u8::try_from(last).unwrap_or(0),
            None => u8::try_from(now.0 >> 20 & 0xFF).unwrap_or(0),
        };
        let reported = |reference| Sessions::of_sender(key, REPORTED, sender.octets(), reference);
        let mut references = (1..=u8::MAX).map(|more| last.wrapping_add(more));
        let free =
            references.find(|reference| store.reported.get(reported(*reference), now).is_none());
        let found = free.unwrap_or_else(|| last.wrapping_add(1));
        let end = now.plus_ms(4 * STATUS_REPORTS_MS);
        store.references.put_over(counter, u64::from(found), now, end);
        let named = Named { submission: handle, part: submission.number };
        let may_be_reported = free.is_some()
            && submission.asks_status
            && store.reported.put(reported(found), named.short(), now, end).is_ok();
        Some((found, may_be_reported))
    }

    fn transmit_part(&mut self, handle: Handle<Submission>, now: Instant, out: &mut Departures) {
        let timers = self.setup.timers;
        let Some(submission) = self.sessions.as_deref().and_then(|all| all.submission(handle))
        else {
            return;
        };
        let transport = self.setup.transport_of(submission.leg.way.socket);
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        submission.leg.transmitted(now, timers, transport);
        let leg = submission.leg;
        let is_first = leg.transmissions == 1;
        let at = Handle::<Record>::new(handle.index, handle.generation);
        let owner = is_first.then_some(record::owner(at, Errand::Request(leg.attempt)));
        let departure = Departure { flow: leg.way.flow(), len: 0, after: JournalSeq::NOW, owner };
        let is_written = self.with_part(handle, |request| {
            out.push(Purse::Evidence, departure, |slot| {
                sip::originate(request, slot)
                    .unwrap_or_else(|| unreachable!("a slot holds two URIs and a few lines"))
            });
        });
        assert!(is_written.is_some(), "a part was divided so that it fits");
        if is_first {
            PeerTally::add(&self.peer_tally(leg.peer).requests_out);
        } else {
            self.count(Counter::Retransmissions);
        }
    }

    /// The key in the Call-ID of a part: its place, and a tag. Every worker has the same places.
    pub(super) fn key_of_part(&self, handle: Handle<Submission>, part: u8) -> Fingerprint {
        let place = u64::from(handle.index) << 32 | u64::from(handle.generation);
        let setup = &self.setup;
        let life =
            u64::from(setup.epoch) << 16 | u64::from(setup.node) << 8 | u64::from(setup.worker.0);
        let words = [CALL_ID | u64::from(part), life, place];
        Fingerprint([place, self.setup.key.of_words(&words).0[0]])
    }

    /// The octets of RP-DATA with the part.
    fn write_part(&self, submission: &Submission, to: &mut [u8]) -> Option<usize> {
        let sessions = self.sessions.as_deref()?;
        let octets = sessions.endpoint.octets(submission.incoming?)?;
        let rest = octets.get(submission.at as usize..submission.text.1 as usize)?;
        let rest = core::str::from_utf8(rest).ok()?;
        let is_whole = submission.parts == 1;
        let len = if is_whole { rest.len() } else { division::part(rest, submission.alphabet) };
        let text = rest.get(..len)?;
        let element =
            [0, 3, submission.concatenation, submission.parts, submission.number.wrapping_add(1)];
        let header: &[u8] = if is_whole { &[] } else { &element };
        let mut room = [0; USER_DATA_SIZE_MAX];
        let user_data = match submission.alphabet {
            Alphabet::Gsm7 => UserData::of_gsm7(text, header, &mut room)?,
            Alphabet::Ucs2 | Alphabet::Octets => UserData::of_ucs2(text, header, &mut room)?,
        };
        let (mut digits, mut centre) = ([0; 10], [0; 10]);
        let submit = Submit {
            reject_duplicates: false,
            status_report_request: submission.asks_status,
            reply_path: false,
            reference: submission.reference,
            destination: submission.caller.destination.address(&mut digits)?,
            pid: 0,
            dcs: user_data.dcs(),
            // Expires of an INVITE is how long the invitation holds, and not the message (RFC 3261 section
            // 20.19); MSRP and CPIM say nothing of that. So the SC keeps it for as long as it does by itself.
            validity_period: ValidityPeriod::None,
            user_data,
        };
        let mut tpdu = [0; TPDU_SIZE_MAX];
        let len = tpdu::submit(&submit, &mut tpdu)?;
        let number = self.peers.get(submission.caller.peer).submit.as_deref()?;
        let centre = Number::of(number.as_bytes())?.address(&mut centre)?;
        rp::data(Direction::MsToNetwork, submission.reference, &centre, tpdu.get(..len)?, to)
    }

    fn with_part<R>(
        &self,
        handle: Handle<Submission>,
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        let submission = self.sessions.as_deref()?.submission(handle)?;
        let peer = self.peers.get(submission.caller.peer);
        let mut body = [0; RP_SIZE_MAX + TPDU_SIZE_MAX];
        let len = self.write_part(submission, &mut body)?;
        let key = self.key_of_part(handle, submission.number);
        let mut call_id = [0; CALL_ID_SIZE_MAX];
        let call_id = self.call_id(key, u16::from(submission.number), &mut call_id)?;
        let mut from = [0; SUBMISSION_SENDER_SIZE_MAX + 2];
        let from = closed(submission.caller.sender.octets(), &mut from)?;
        // TS 24.341 section 5.3.1.2: to the PSI of the SC, which is its number where nothing else is known.
        let mut uri = [0; 32];
        let uri = tel(peer.submit.as_deref()?, &mut uri)?;
        let identity: &[u8] =
            if peer.trusted { b"P-Asserted-Identity: " } else { b"P-Preferred-Identity: " };
        let leg = &submission.leg;
        let at = Handle::<Record>::new(handle.index, handle.generation);
        Some(then(&Originate {
            method: Method::Message,
            uri,
            transport: carried(self.setup.transport_of(leg.way.socket)),
            sent_by: self.setup.sent_by_of(leg.way.socket),
            branch: &self.branch(at, leg.attempt, u32::from(submission.number)),
            max_forwards: sip::MAX_FORWARDS,
            routes: Routes { values: peer.report_route.as_bytes(), target: &[] },
            from: Party::Value(from),
            from_tag: &sip::tag(self.tag_of_from(key, u16::from(submission.number))),
            to: Party::Uri(uri),
            to_tag: &[],
            call_id,
            cseq: leg.cseq,
            preferences: &[],
            more: &[identity, from, b"\r\n"],
            extra: &[],
            content_type: b"application/vnd.3gpp.sms",
            body: &[body.get(..len)?],
        }))
    }

    /// A response to a MESSAGE with a part.
    pub(in crate::engine) fn on_submission_response(
        &mut self,
        response: &Response<'_>,
        arrival: &Arrival<'_>,
        peer: u8,
        branch: Branch,
    ) {
        let handle = Handle::new(branch.index, branch.generation);
        let submission = self.sessions.as_deref().and_then(|all| all.submission(handle));
        let running = submission.filter(|it| {
            it.stage == Stage::Sending
                && it.leg.attempt == branch.attempt
                && u32::from(it.number) == branch.loop_hash
        });
        let Some(leg) = running.map(|it| it.leg) else {
            return self.count(Counter::DroppedResponseRepeated);
        };
        if let Some(drop) = self.mismatch(&leg, (Method::Message, true), response, arrival, peer) {
            return self.count(drop);
        }
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        submission.statuses.push(response.status);
        let Action::Final(status) = submission.leg.client.on(Event::Response(response.status))
        else {
            return self.count(Counter::ProvisionalIn);
        };
        let is_acknowledged = submission.is_acknowledged;
        PeerTally::add(&self.peer_tally(peer).finals_in);
        let now = arrival.at;
        // RP-ACK says more than whatever has become of the request that it answers.
        if status >= 300 && !is_acknowledged {
            if status == 503 && self.submit_elsewhere(handle, Asked::Again, now) {
                return;
            }
            let last = Last { response, status, at: now };
            let evidence = Evidence::Final(last.evidence(self.peers.get(peer).role, leg.asked));
            return self.conclude_submission(handle, evidence, now);
        }
        // The next part takes a slot: the timer sends it.
        self.wait_for_submission(handle);
    }

    /// Prepares the part for the next address of the peer, which the timer sends. `false` if there is none.
    fn submit_elsewhere(&mut self, handle: Handle<Submission>, asked: Asked, now: Instant) -> bool {
        let Some(leg) = self.sessions_mut().submission(handle).map(|it| it.leg) else {
            return false;
        };
        let next = leg.server.map_or(0, |server| usize::from(server) + 1);
        let Some(hop) = self.report_hop(leg.peer, next) else { return false };
        let Some(store) = self.sessions_mut().inward_mut() else { return false };
        let Some(submission) = store.submissions.get_mut(handle) else { return false };
        let again = submission.leg.begin_again(Some(&hop), asked);
        if again {
            store.wheel.start(handle.index, now);
        }
        again
    }

    /// The kernel has refused the first transmission of a part.
    pub(in crate::engine) fn on_submission_sent(
        &mut self,
        (index, generation): (u32, u32),
        attempt: u8,
        error: SendError,
        now: Instant,
    ) {
        let handle = Handle::new(index, generation);
        let Some(store) = self.sessions.as_deref_mut().and_then(Sessions::inward_mut) else {
            return;
        };
        let Some(submission) = store.submissions.get_mut(handle) else { return };
        if submission.leg.attempt == attempt && submission.leg.transmissions == 1 {
            submission.leg.refused = Some(error);
            store.wheel.start(handle.index, now);
        }
    }

    /// An ICMP error quotes a MESSAGE with a part.
    pub(in crate::engine) fn on_submission_unreachable(
        &mut self,
        branch: Branch,
        remote: Endpoint,
        now: Instant,
    ) {
        let handle = Handle::new(branch.index, branch.generation);
        let submission = self.sessions.as_deref_mut().and_then(|it| it.submission_mut(handle));
        let found = submission.filter(|it| {
            it.leg.attempt == branch.attempt
                && it.leg.way.remote == remote
                && u32::from(it.number) == branch.loop_hash
        });
        let Some(submission) = found else { return self.count(Counter::IcmpForeign) };
        if submission.leg.transmissions > 1 {
            // It may be about a copy, and the SC have the first one: another SC, or the same message of a
            // sender who was told that it failed, would make two of it.
            return self.count(Counter::IcmpMatched);
        }
        let is_first = submission.leg.client.on(Event::TransportError) == Action::TransportError;
        let (peer, is_acknowledged) = (submission.leg.peer, submission.is_acknowledged);
        self.count(Counter::IcmpMatched);
        if is_first {
            PeerTally::add(&self.peer_tally(peer).unreachable);
            if !is_acknowledged && !self.submit_elsewhere(handle, Asked::Again, now) {
                self.conclude_submission(handle, Evidence::Unreachable, now);
            }
        }
    }

    /// Expires one timer of a submission, or gives one its turn: at most one departure. Whether there was one.
    pub(in crate::engine::large) fn expire_submission(
        &mut self,
        now: Instant,
        out: &mut Departures,
    ) -> bool {
        let Some(store) = self.sessions_mut().inward_mut() else { return false };
        if let Some(index) = store.turns.next_ready() {
            if let Some(handle) = store.submissions.handle_at(index) {
                self.submit_part(handle, now, out);
            }
            return true;
        }
        let Some(index) = store.wheel.expire(now) else { return false };
        if let Some(handle) = store.submissions.handle_at(index) {
            self.on_submission_timer(handle, now, out);
        }
        true
    }

    fn on_submission_timer(
        &mut self,
        handle: Handle<Submission>,
        now: Instant,
        out: &mut Departures,
    ) {
        let transaction_ms = self.setup.timers.transaction_ms();
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        match submission.stage {
            Stage::Arriving => return,
            Stage::Telling => return self.tell_submission(handle, now),
            Stage::Turn if submission.until <= now => {
                self.count(Counter::UriWaitsEnded);
                return self.conclude_submission(handle, Evidence::UriWait, now);
            }
            Stage::Reports if submission.until <= now => {
                let evidence = Evidence::Submission(Proof::Unreported);
                return self.conclude_submission(handle, evidence, now);
            }
            Stage::Turn | Stage::Reports => return self.wait_for_submission(handle),
            Stage::Sending => {}
        }
        let (leg, is_acknowledged) = (submission.leg, submission.is_acknowledged);
        let is_running = leg.is_running();
        if leg.refused.is_some() && is_running && !is_acknowledged {
            submission.leg.refused = None;
            if !self.submit_elsewhere(handle, leg.asked, now) {
                self.conclude_submission(handle, Evidence::NeverSent, now);
            }
            return;
        }
        if leg.transmissions == 0 {
            self.transmit_part(handle, now, out);
        } else if is_acknowledged && (!is_running || leg.sent.plus_ms(transaction_ms) <= now) {
            return self.next_submit(handle, now, out);
        } else if is_running && leg.sent.plus_ms(transaction_ms) <= now && !is_acknowledged {
            submission.leg.client.on(Event::TimerF);
            self.count(Counter::TimerF);
            PeerTally::add(&self.peer_tally(leg.peer).timer_f);
            return self.conclude_submission(handle, Evidence::TimerF, now);
        } else if !is_acknowledged && submission.since.plus_ms(TR1M_MS) <= now {
            let evidence = Evidence::Submission(Proof::RpSilence);
            return self.conclude_submission(handle, evidence, now);
        } else if is_running && leg.retransmit <= now {
            self.transmit_part(handle, now, out);
        }
        self.wait_for_submission(handle);
    }

    /// The SC has taken a part: the next one, or the wait for status reports.
    fn next_submit(&mut self, handle: Handle<Submission>, now: Instant, out: &mut Departures) {
        let len = self.sessions.as_deref().and_then(|all| {
            let submission = all.submission(handle)?;
            let octets = all.endpoint.octets(submission.incoming?)?;
            let rest = octets.get(submission.at as usize..submission.text.1 as usize)?;
            let rest = core::str::from_utf8(rest).ok()?;
            u32::try_from(division::part(rest, submission.alphabet)).ok()
        });
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        submission.taken = submission.taken.saturating_add(1);
        if submission.number + 1 < submission.parts {
            submission.number += 1;
            submission.at += len.unwrap_or(0);
            return self.submit_part(handle, now, out);
        }
        submission.stage = Stage::Reports;
        submission.until = now.plus_ms(STATUS_REPORTS_MS);
        let asks_status = submission.asks_status;
        self.leave_turn(handle);
        if !asks_status {
            let evidence = Evidence::Submission(Proof::Taken);
            return self.conclude_submission(handle, evidence, now);
        }
        self.release_octets(handle);
        self.weigh_submission(handle, now);
    }

    /// Others of the same sender may be submitted.
    pub(super) fn leave_turn(&mut self, handle: Handle<Submission>) {
        if let Some(store) = self.sessions_mut().inward_mut() {
            store.turns.leave(handle.index);
        }
    }

    /// When something is to be done for a submission if nothing arrives.
    pub(super) fn wait_for_submission(&mut self, handle: Handle<Submission>) {
        let timers = self.setup.timers;
        let Some(store) = self.sessions_mut().inward_mut() else { return };
        let Some(submission) = store.submissions.get(handle) else { return };
        let leg = &submission.leg;
        let due = match submission.stage {
            Stage::Arriving => NEVER,
            Stage::Turn | Stage::Reports | Stage::Telling => submission.until,
            Stage::Sending if leg.refused.is_some() || leg.transmissions == 0 => Instant::default(),
            Stage::Sending if leg.is_running() && submission.is_acknowledged => leg.due(timers),
            Stage::Sending if submission.is_acknowledged => Instant::default(),
            Stage::Sending if matches!(leg.client, State::Trying | State::Proceeding) => {
                leg.due(timers).min(submission.since.plus_ms(TR1M_MS))
            }
            Stage::Sending => submission.since.plus_ms(TR1M_MS),
        };
        if due == NEVER {
            store.wheel.stop(handle.index);
        } else {
            store.wheel.start(handle.index, due);
        }
    }

    /// Counts a verdict about a submission.
    pub(super) fn count_verdict(&self, verdict: Verdict) {
        self.count(match verdict {
            Verdict::Delivered => Counter::VerdictDelivered,
            Verdict::Permanent => Counter::VerdictPermanent,
            Verdict::Temporary => Counter::VerdictTemporary,
            Verdict::Unknown => Counter::VerdictUnknown,
            Verdict::Accepted => Counter::VerdictAccepted,
        });
    }
}

/// A number as a tel URI.
fn tel<'a>(number: &str, to: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = "tel:".len() + number.len();
    let text = to.get_mut(..len)?;
    let (scheme, rest) = text.split_at_mut("tel:".len());
    scheme.copy_from_slice(b"tel:");
    rest.copy_from_slice(number.as_bytes());
    Some(text)
}
