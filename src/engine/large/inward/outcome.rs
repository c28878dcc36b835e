//! The end of a message to the SMS side: its verdict, its REPORT, its account.

use super::{Stage, Submission};
use crate::delivery::{
    Account, Evidence, Form, Identifier, Report, Submission as Proof, Verdict, report_of_submission,
};
use crate::engine::instant::CALL_ID_SIZE_MAX;
use crate::engine::large::{Call, Wait};
use crate::engine::{Engine, Serving};
use crate::id::Handle;
use crate::limits::{MSRP_FAREWELL_MS, SUBMISSION_IDLE_MS};
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::time::Instant;

/// How long a REPORT waits for room before it is tried again, and how often, in milliseconds.
const TELL_AGAIN_MS: u32 = 200;
const TELL_MS: u32 = 10_000;

impl Engine {
    /// This decides what is known of a message: once, and for good.
    pub(super) fn conclude_submission(
        &mut self,
        handle: Handle<Submission>,
        evidence: Evidence,
        now: Instant,
    ) {
        let Some(peer) = self.sessions_mut().submission(handle).map(|it| it.caller.peer) else {
            return;
        };
        let mapping = &self.peers.get(peer).mapping;
        let Some(sessions) = self.sessions.as_deref_mut() else { return };
        let Some(submission) = sessions.submission_mut(handle) else { return };
        let verdict = Verdict::from_evidence(evidence, mapping);
        // A 200 to the MESSAGE is never what decides.
        assert!(
            verdict != Verdict::Delivered || evidence == Evidence::Submission(Proof::Received),
            "only status reports prove delivery"
        );
        if submission.message.observe(evidence, mapping).is_none() {
            return;
        }
        let had_turn = matches!(submission.stage, Stage::Turn | Stage::Sending);
        submission.decided = now;
        let status = report_of_submission(evidence, verdict);
        submission.told = submission.wanted(status);
        submission.stage = Stage::Telling;
        submission.until = now;
        self.count_verdict(verdict);
        self.remember_submission(handle, (verdict, status), now);
        if had_turn {
            self.leave_turn(handle);
        }
        self.release_octets(handle);
        self.tell_submission(handle, now);
    }

    /// The octets of a message are of no more use.
    pub(super) fn release_octets(&mut self, handle: Handle<Submission>) {
        let sessions = self.sessions_mut();
        let incoming = sessions.submission_mut(handle).and_then(|it| it.incoming.take());
        if let Some(incoming) = incoming {
            sessions.endpoint.release(incoming);
        }
    }

    /// Tells the sender, if his session is there, and closes the message.
    pub(super) fn tell_submission(&mut self, handle: Handle<Submission>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(submission) = sessions.submission(handle) else { return };
        // A session that is over or about to be is the call's no longer.
        let is_there = sessions
            .calls
            .get(submission.call)
            .is_some_and(|call| call.session == Some(submission.session));
        let (session, total, told) = (submission.session, submission.total, submission.told);
        let (id, len) = (submission.message_id, submission.message_id().len());
        let is_late = submission.decided.plus_ms(TELL_MS) <= now;
        let Some(status) = told.filter(|_| is_there) else {
            return self.close_submission(handle, None, now);
        };
        let desk = &mut sessions.desk;
        if sessions.endpoint.report_on(session, (&id[..len], total), status, desk) {
            if let Some(store) = sessions.inward_mut() {
                store.has_reports = true;
            }
            self.count(Counter::MsrpReportsOut);
            return self.close_submission(handle, Some(status), now);
        }
        if is_late {
            return self.close_submission(handle, None, now);
        }
        // Other answers wait to be written on its connection.
        if let Some(submission) = sessions.submission_mut(handle) {
            submission.until = now.plus_ms(TELL_AGAIN_MS);
        }
        self.wait_for_submission(handle);
    }

    fn close_submission(&mut self, handle: Handle<Submission>, told: Option<u16>, now: Instant) {
        let account = self.account_of_submission(handle, told, now);
        self.remove_submission(handle, now);
        if let Some(account) = account {
            if !self.accounts.push(&account) {
                self.count(Counter::AccountsLost);
            }
            self.remains.wait(self.accounts.len);
        }
    }

    /// A message is no more.
    pub(super) fn remove_submission(&mut self, handle: Handle<Submission>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(store) = sessions.inward_mut() else { return };
        store.wheel.stop(handle.index);
        let Some(submission) = store.submissions.remove(handle) else { return };
        let open = store.submissions.len();
        self.tally.counters.set(Counter::SubmissionsOpen, u64::from(open));
        self.leave_session(submission.call, now);
    }

    /// A message belongs to a session no longer.
    fn leave_session(&mut self, handle: Handle<Call>, now: Instant) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.submissions -= 1;
        if let Some((Wait::Idle, until)) = &mut call.wait {
            // It rests from here on, and the REPORT has time to leave.
            *until = now.plus_ms(SUBMISSION_IDLE_MS).max(*until);
            self.wait_for_call(handle);
        }
        if self.serving == Serving::Refusing {
            // The BYE goes another way, and would overtake the REPORT.
            self.end_idle_call(handle, now.plus_ms(MSRP_FAREWELL_MS));
        }
    }

    fn account_of_submission(
        &self,
        handle: Handle<Submission>,
        told: Option<u16>,
        now: Instant,
    ) -> Option<Account> {
        if !self.setup.accounts {
            return None;
        }
        let sessions = self.sessions.as_deref()?;
        let submission = sessions.submission(handle)?;
        let (verdict, evidence) = submission.message.decided()?;
        let mut text = [0; CALL_ID_SIZE_MAX];
        let key = self.key_of_part(handle, submission.number);
        let was_sent = submission.leg.transmissions > 0;
        let sms = self.call_id(key, u16::from(submission.number), &mut text);
        Some(Account {
            form: Form::Submitted {
                parts: submission.parts,
                taken: submission.taken,
                received: submission.received,
            },
            arrived: submission.arrived,
            decided: submission.decided,
            reported: if told.is_some() { now } else { submission.decided },
            sms_call_id: Identifier::new(sms.filter(|_| was_sent).unwrap_or_default()),
            im_call_id: submission.im.0,
            recipient: Identifier::new(submission.caller.destination.digits().as_bytes()),
            sms_peer: submission.caller.peer,
            im_peer: submission.im.1,
            transmissions: submission.leg.transmissions,
            statuses: submission.statuses,
            evidence,
            verdict,
            report: told.map_or(Report::Silence, Report::Msrp),
        })
    }

    /// Messages to the SMS side that are whole and not with the SC yet.
    pub(in crate::engine) fn submissions_open(&self) -> u32 {
        let store = self.sessions.as_deref().and_then(|all| all.inward.as_deref());
        store.map_or(0, |store| store.submissions.len())
    }

    /// Ends messages to the SMS side because the process ends: at most `limit`, and says how many are left.
    pub(in crate::engine) fn abandon_submissions(&mut self, now: Instant, limit: usize) -> u32 {
        let mut ended = 0;
        for index in 0..self
            .sessions
            .as_deref()
            .map_or(0, |all| all.inward.as_deref().map_or(0, |store| store.submissions.capacity()))
        {
            let Some(store) = self.sessions_mut().inward_mut() else { break };
            let Some(handle) = store.submissions.handle_at(index) else { continue };
            let Some(submission) = store.submissions.get(handle) else { continue };
            if ended == limit {
                break;
            }
            let evidence = match submission.stage {
                // Nobody was told that it is whole, or that is all that its sender was told.
                Stage::Arriving => {
                    self.remove_submission(handle, now);
                    continue;
                }
                Stage::Reports => Evidence::Submission(Proof::Unreported),
                Stage::Turn | Stage::Sending | Stage::Telling => Evidence::Shutdown,
            };
            self.conclude_submission(handle, evidence, now);
            ended += 1;
        }
        self.submissions_open()
    }

    /// Wishes to write the REPORTs that wait.
    pub(in crate::engine::large) fn write_reports(&mut self, out: &mut Departures) {
        let store = self.sessions_mut().inward_mut();
        if !store.is_some_and(|store| core::mem::take(&mut store.has_reports)) {
            return;
        }
        for place in self.sessions_mut().links.taken() {
            self.wish_to_write(place, out);
        }
    }
}
