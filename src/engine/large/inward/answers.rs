//! What an SC says of what was submitted: RP-ACK, RP-ERROR, SMS-STATUS-REPORT (TS 24.341 section 5.3.1.4).

use super::{Named, Part, REPORTED, Stage, Submission};
use crate::delivery::{Evidence, PartStatus, Submission as Proof, part_status};
use crate::engine::large::Sessions;
use crate::engine::memory::key_of_call_id;
use crate::engine::request::Asked;
use crate::engine::{Engine, Refusal};
use crate::id::Handle;
use crate::limits::STATUS_REPORTS_MS;
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::wire::rp::{self, Direction};
use crate::wire::sip::{self, Extra};
use crate::wire::tpdu::{self, StatusReport, Timestamp};

impl Engine {
    /// A MESSAGE with an RP-ACK or RP-ERROR to a mobile station from a peer that takes submissions. Whether it
    /// was one; then it is answered.
    pub(in crate::engine) fn on_rp_answer(
        &mut self,
        asked: Asked<'_>,
        peer: u8,
        out: &mut Departures,
    ) -> bool {
        if !self.takes_submissions(peer) {
            return false;
        }
        let body = asked.request.fields.body.of(asked.request.octets);
        let (reference, said) = match rp::parse(body) {
            Ok(rp::Message::Ack(ack)) if ack.direction == Direction::NetworkToMs => {
                (ack.reference, Ok(ack.tpdu.and_then(received_at)))
            }
            Ok(rp::Message::Error(error)) if error.direction == Direction::NetworkToMs => {
                (error.reference, Err(error.cause))
            }
            Ok(_) | Err(_) => return false,
        };
        self.answer(asked, Refusal::new(200, "OK"), Extra::None, out);
        match self.answered_part(asked, peer, reference) {
            Some(handle) => self.on_part_answered(handle, said, asked.now),
            None => self.count(Counter::SubmissionStray),
        }
        true
    }

    /// The submission whose part is answered: the one that In-Reply-To names, while that part waits for its
    /// answer under this RP-MR. Eight bits alone would be believed of whoever guesses them.
    fn answered_part(
        &self,
        asked: Asked<'_>,
        peer: u8,
        reference: u8,
    ) -> Option<Handle<Submission>> {
        let (key, part) = key_of_call_id(sip::in_reply_to(asked.request.octets))?;
        let part = u8::try_from(part).ok()?;
        let [place, _] = key.0;
        let index = u32::try_from(place >> 32).ok()?;
        let generation = u32::try_from(place & u64::from(u32::MAX)).ok()?;
        let handle = Handle::new(index, generation);
        if self.key_of_part(handle, part) != key {
            return None;
        }
        let submission = self.sessions.as_deref()?.submission(handle)?;
        let is_it = submission.stage == Stage::Sending
            && submission.number == part
            && submission.reference == reference
            && submission.caller.peer == peer
            && !submission.is_acknowledged;
        is_it.then_some(handle)
    }

    /// RP-ACK, and when the SC has got the part, if it says so, or RP-ERROR with its cause.
    fn on_part_answered(
        &mut self,
        handle: Handle<Submission>,
        said: Result<Option<u32>, u8>,
        now: Instant,
    ) {
        let got = match said {
            Ok(got) => got,
            Err(cause) => {
                self.count(Counter::SubmissionErrors);
                let evidence = Evidence::Submission(Proof::RpError { cause });
                return self.conclude_submission(handle, evidence, now);
            }
        };
        self.count(Counter::SubmissionAcks);
        if let Some(submission) = self.sessions_mut().submission_mut(handle) {
            submission.is_acknowledged = true;
            let part = usize::from(submission.number);
            let before = core::mem::replace(&mut submission.got[part], got);
            if before.is_some_and(|before| got.is_some_and(|got| got != before)) {
                // What was reported ahead of this was another part, which had its TP-MR before.
                let state = core::mem::replace(&mut submission.states[part], Part::Open);
                submission.received -= u8::from(state == Part::Received);
                self.count(Counter::StatusReportsStray);
            }
        }
        // Its 200 has taken the slot of its arrival: the timer sends what follows.
        self.wait_for_submission(handle);
    }

    /// Whether this peer takes submissions, and we make them.
    pub(in crate::engine) fn takes_submissions(&self, peer: u8) -> bool {
        let has_store = self.sessions.as_deref().is_some_and(|all| all.inward.is_some());
        has_store && self.peers.get(peer).submit.is_some()
    }

    /// A status report about what `sender` has submitted to this peer.
    pub(in crate::engine) fn on_status_report(
        &mut self,
        (sender, peer): (&[u8], u8),
        report: &StatusReport<'_>,
        now: Instant,
    ) {
        let key = Sessions::of_sender(self.setup.key, REPORTED, sender, report.reference);
        let named = self.reported_part((key, peer), report, now);
        let Some(named) = named.filter(|_| !report.of_command) else {
            return self.count(Counter::StatusReportsStray);
        };
        let Some(submission) = self.sessions_mut().submission_mut(named.submission) else { return };
        // TP-MR has eight bits, and a status report may be days late: TP-SCTS says of which part it is.
        let said = second(report.scts);
        let got = submission.got[usize::from(named.part)].get_or_insert(said);
        if *got != said {
            return self.count(Counter::StatusReportsStray);
        }
        let state = &mut submission.states[usize::from(named.part)];
        let status = part_status(report.status);
        if *state != Part::Open {
            return self.count(Counter::StatusReportsStray);
        }
        match status {
            PartStatus::Received => {
                *state = Part::Received;
                submission.received = submission.received.saturating_add(1);
            }
            PartStatus::Unconfirmed => *state = Part::Unconfirmed,
            PartStatus::Trying | PartStatus::Failed => {}
        }
        if status != PartStatus::Trying
            && let Some(store) = self.sessions_mut().inward_mut()
        {
            // Its TP-MR may be given out again. What comes again of this part is known by its TP-SCTS.
            let end = now.plus_ms(4 * STATUS_REPORTS_MS);
            store.reported.remove(key, now);
            store.told.put_over(key, stamp(report.scts), now, end);
        }
        self.count(Counter::StatusReportsIn);
        if status == PartStatus::Failed {
            let evidence = Evidence::Submission(Proof::NotReceived { status: report.status });
            return self.conclude_submission(named.submission, evidence, now);
        }
        self.weigh_submission(named.submission, now);
    }

    /// The part that a status report is about.
    fn reported_part(
        &self,
        (key, peer): (Fingerprint, u8),
        report: &StatusReport<'_>,
        now: Instant,
    ) -> Option<Named> {
        let store = self.sessions.as_deref()?.inward.as_deref()?;
        if store.told.get(key, now) == Some(stamp(report.scts)) {
            return None;
        }
        let named = Named::of_short(store.reported.get(key, now)?, &store.submissions)?;
        let submission = store.submissions.get(named.submission)?;
        let mut room = [0; 10];
        let destination = submission.caller.destination.address(&mut room)?;
        // An SC may write a number in another form, but two in the same form are the same or are not.
        let is_foreign = destination.ton == report.recipient.ton
            && (destination.digits != report.recipient.digits
                || destination.octets() != report.recipient.octets());
        let is_it = submission.caller.peer == peer && !is_foreign;
        is_it.then_some(named)
    }

    /// Whether all parts are taken, and what is known of them.
    pub(super) fn weigh_submission(&mut self, handle: Handle<Submission>, now: Instant) {
        let Some(submission) = self.sessions_mut().submission(handle) else { return };
        let parts = &submission.states[..usize::from(submission.parts)];
        let is_open = parts.contains(&Part::Open);
        if submission.stage != Stage::Reports || is_open {
            return self.wait_for_submission(handle);
        }
        let are_received = submission.received == submission.parts;
        let proof = if are_received { Proof::Received } else { Proof::Unreported };
        self.conclude_submission(handle, Evidence::Submission(proof), now);
    }
}

/// When an SC has got a message, but for its zone, as a directory keeps it.
fn stamp(scts: Timestamp) -> u64 {
    let [year, month, day, hour, minute, second, _] = scts.0;
    u64::from_be_bytes([0, 0, year, month, day, hour, minute, second])
}

/// The second of a month at which an SC has got a part: TP-SCTS, which both SMS-SUBMIT-REPORT and
/// SMS-STATUS-REPORT have (TS 23.040 sections 9.2.2.2a and 9.2.2.3).
const fn second(scts: Timestamp) -> u32 {
    let [_, _, day, hour, minute, second, _] = scts.0;
    u32::from_be_bytes([day, hour, minute, second])
}

/// The same in the SMS-SUBMIT-REPORT of an RP-ACK.
fn received_at(tpdu: &[u8]) -> Option<u32> {
    match tpdu::parse(tpdu, Direction::NetworkToMs, tpdu::Answer::Ack) {
        Ok(tpdu::Tpdu::SubmitReport(report)) => Some(second(report.scts)),
        Ok(_) | Err(_) => None,
    }
}
