//! What is proved of a message that is sent in a session, and what follows from it.

use super::{Call, Transfer, Wait};
use crate::delivery::coverage::{Observation, Standing};
use crate::delivery::{Evidence, MsrpRole, Verdict};
use crate::engine::Engine;
use crate::engine::record::Record;
use crate::engine::short::Stage;
use crate::id::Handle;
use crate::limits::{MSRP_LINGER_MS, MSRP_RESPONSE_WAIT_MS, SUBMISSION_IDLE_MS};
use crate::metrics::Counter;
use crate::packet::{Departures, Purse};
use crate::time::Instant;

impl Engine {
    /// Whether a short message to this peer can be sent as a Large Message.
    pub(in crate::engine) fn takes_large(&self, peer: u8) -> bool {
        self.sessions.is_some() && self.peers.get(peer).msrp.is_some()
    }

    /// Begins to send a short message in a session of its own. At most one departure, beside the report of
    /// one for which there is no room.
    pub(in crate::engine) fn begin_large(
        &mut self,
        record: Handle<Record>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        let has_room = self.sessions_mut().has_room();
        let handle = if has_room { self.begin_transfer(record) } else { None };
        let Some(handle) = handle else {
            self.shorts[record.index as usize].stage = Stage::Large;
            self.count(Counter::LargeNoRoom);
            return self.end_unsent(record, Evidence::NeverSent, now, purse, out);
        };
        self.count(Counter::LargeMessages);
        if self.begin_call(handle, true, now, purse, out) {
            return self.wait(record);
        }
        self.over(handle, Evidence::NeverSent, now, purse, out);
    }

    /// Takes a place for a message that is to be sent in a session.
    pub(super) fn begin_transfer(&mut self, record: Handle<Record>) -> Option<Handle<Transfer>> {
        let transfer = Transfer {
            record: Some(record),
            ledger: None,
            content: 0,
            call: None,
            sending: None,
            chunks_from: 0,
            told: None,
            is_second: false,
        };
        let handle = self.sessions_mut().transfers.insert(transfer).ok();
        let short = &mut self.shorts[record.index as usize];
        short.stage = Stage::Large;
        short.transfer = handle;
        handle
    }

    /// Looks at what the ledger of a transfer says, after something was observed.
    pub(super) fn weigh(&mut self, handle: Handle<Transfer>, now: Instant, out: &mut Departures) {
        let sessions = self.sessions_mut();
        let Some(transfer) = sessions.transfers.get_mut(handle) else { return };
        let Some(ledger) = &transfer.ledger else { return };
        if ledger.is_to_be_aborted()
            && let Some(sending) = transfer.sending
        {
            sessions.endpoint.abort(sending);
        }
        let is_contradicted = transfer.told.is_some_and(|told| ledger.contradicts(told));
        let is_told = transfer.record.is_none();
        match ledger.standing() {
            Standing::Open | Standing::Accepted | Standing::Doubtful => {}
            standing @ (Standing::Decided(_) | Standing::Again(_)) if is_told => {
                if is_contradicted {
                    self.count(Counter::Contradictions);
                }
                // Its verdict was told when all was acknowledged: anything but that ends the wait for REPORTs.
                if standing != Standing::Decided(Evidence::Acknowledged) {
                    self.end_transfer(handle, now);
                }
            }
            Standing::Decided(evidence) => self.over(handle, evidence, now, Purse::Evidence, out),
            Standing::Again(evidence) => self.again(handle, evidence, now, out),
        }
    }

    /// The message is sent once more, if there is time for that.
    fn again(
        &mut self,
        handle: Handle<Transfer>,
        evidence: Evidence,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(transfer) = self.sessions_mut().transfers.get_mut(handle) else { return };
        let (record, call, ledger) = (transfer.record, transfer.call, transfer.ledger);
        let peer = record.and_then(|record| self.records.get(record)).map_or(0, |it| it.im.peer);
        let role = self.peers.get(peer).msrp.unwrap_or(MsrpRole::Relay);
        let settled = ledger.map_or(evidence, |ledger| ledger.settled(evidence));
        let is_open = record.and_then(|record| self.records.get(record)).is_some_and(|record| {
            let deadline = record.arrived.plus_ms(self.deadline_ms(record));
            record.message.decided().is_none() && now < deadline
        });
        let sessions = self.sessions_mut();
        if !is_open || sessions.calls.is_full() {
            return self.over(handle, settled, now, Purse::Evidence, out);
        }
        let Some(transfer) = sessions.transfers.get_mut(handle) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        // How many URIs the way has is known with the answer.
        ledger.again(role, 1);
        transfer.is_second = true;
        transfer.call = None;
        if let Some(sending) = transfer.sending.take() {
            sessions.endpoint.forget(sending);
        }
        if let Some(call) = call {
            self.release_call(call, now);
        }
        self.count(Counter::LargeAgain);
        if !self.begin_call(handle, true, now, Purse::Evidence, out) {
            self.over(handle, settled, now, Purse::Evidence, out);
        }
    }

    /// This decides what is known of a message, unless the deadline did before.
    pub(super) fn over(
        &mut self,
        handle: Handle<Transfer>,
        evidence: Evidence,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        let sessions = self.sessions_mut();
        let Some(transfer) = sessions.transfers.get_mut(handle) else { return };
        let Some(record) = transfer.record.take() else {
            return self.end_transfer(handle, now);
        };
        let evidence = transfer.ledger.map_or(evidence, |ledger| ledger.settled(evidence));
        let (call, was_agreed) = (transfer.call, transfer.ledger.is_some());
        let peer = self.records.get(record).map_or(0, |record| record.im.peer);
        let verdict = Verdict::from_evidence(evidence, &self.peers.get(peer).mapping);
        let is_open = self.records.get(record).is_some_and(|at| at.message.decided().is_none());
        if is_open && !was_agreed && has_no_msrp(evidence) {
            self.shorts[record.index as usize].transfer = None;
            if self.begin_parts(record, now, purse, out) {
                return self.end_transfer(handle, now);
            }
        }
        if is_open {
            self.conclude(record, evidence, now, purse, out);
        } else if verdict == Verdict::Delivered {
            // Hazard H60: the SMS side will try again, and then it is what is known.
            self.count(Counter::LateDelivered);
            self.count(Counter::LateProofs);
        } else if matches!(verdict, Verdict::Permanent | Verdict::Temporary) {
            self.count(Counter::LateFailed);
        }
        self.end_attempt(record, Some((verdict, evidence.status())), now);
        self.settle(record, now);
        let sessions = self.sessions_mut();
        let Some(transfer) = sessions.transfers.get_mut(handle) else { return };
        transfer.told = Some(verdict);
        if evidence == Evidence::Acknowledged
            && sessions.setup.session_idle_ms == 0
            && let Some(call) = call
            && let Some(it) = sessions.calls.get_mut(call)
            && !it.was_ended
        {
            // The REPORT that was asked for may follow, and is told from a contradiction (hazard H20).
            it.wait = Some((Wait::Reports, now.plus_ms(MSRP_LINGER_MS)));
            return self.wait_for_call(call);
        }
        self.end_transfer(handle, now);
    }

    /// Nothing more is sent of a message, and nothing more is asked about it: its session is ended.
    pub(super) fn end_transfer(&mut self, handle: Handle<Transfer>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(transfer) = sessions.transfers.remove(handle) else { return };
        if let Some(sending) = transfer.sending {
            sessions.endpoint.forget(sending);
        }
        let Some(call) = transfer.call else { return };
        let is_delivered = transfer.told == Some(Verdict::Delivered);
        if !(is_delivered && self.leave_idle(call, now)) {
            self.release_call(call, now);
        }
    }

    fn release_call(&mut self, handle: Handle<Call>, now: Instant) {
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.transfer = None;
        }
        self.end_call(handle, now);
    }

    /// The wait of a call is over.
    pub(super) fn on_wait_over(
        &mut self,
        handle: Handle<Call>,
        wait: Wait,
        now: Instant,
        out: &mut Departures,
    ) {
        let observation = match wait {
            Wait::Connection => Observation::NeverConnected,
            // We were to connect: nothing has left, and another session may do.
            Wait::Refused => Observation::Lost,
            Wait::Reports => Observation::Waited,
            Wait::Sending => return,
            Wait::Idle | Wait::Farewell => return self.end_rest(handle, wait, now),
        };
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        call.wait = None;
        let Some(transfer) = call.transfer else {
            if wait == Wait::Connection && call.carry.is_some() {
                self.count(Counter::CarryEnded);
            }
            return self.end_call(handle, now);
        };
        let Some(it) = sessions.transfers.get_mut(transfer) else { return };
        if it.record.is_none() {
            return self.end_transfer(transfer, now);
        }
        if observation == Observation::Waited && it.ledger.is_some_and(|it| it.awaits_responses()) {
            // The wait is for REPORTs: a response has a time of its own (RFC 4975 section 7.1.1).
            call.wait = Some((wait, now.plus_ms(MSRP_RESPONSE_WAIT_MS)));
            return self.wait_for_call(handle);
        }
        if let Some(ledger) = &mut it.ledger {
            ledger.observe(observation);
        }
        self.weigh(transfer, now, out);
        if observation == Observation::Lost {
            self.end_call(handle, now);
        }
    }

    /// A session has rested for as long as it may. It goes on while something is to be told in it.
    fn end_rest(&mut self, handle: Handle<Call>, wait: Wait, now: Instant) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        if wait == Wait::Idle && call.submissions > 0 {
            call.wait = Some((wait, now.plus_ms(SUBMISSION_IDLE_MS)));
            return self.wait_for_call(handle);
        }
        self.end_call(handle, now);
    }

    /// The verdict on a message that is sent in a session is due (hazards H59 and H60).
    pub(in crate::engine) fn on_large_deadline(
        &mut self,
        record: Handle<Record>,
        now: Instant,
        out: &mut Departures,
    ) {
        let transfer = self.shorts[record.index as usize].transfer;
        let sessions = self.sessions_mut();
        // Of what waits for room the ledger does not know yet, and so nothing is certain.
        let knows_all = !sessions.is_behind && !sessions.endpoint.has_facts();
        let known = transfer.and_then(|handle| sessions.transfers.get(handle));
        let (Some(handle), Some(known)) = (transfer, known) else {
            return self.end_unsent(record, Evidence::DeadlineUnsent, now, Purse::Evidence, out);
        };
        let evidence = match &known.ledger {
            // Nothing but what makes a session has left. What was given to a connection may leave yet.
            None => Evidence::DeadlineUnsent,
            Some(ledger) if knows_all && !ledger.is_begun() => Evidence::DeadlineUnsent,
            // What is not whole is ended with `#`: nobody may take it for the message (hazard H29).
            Some(ledger) if knows_all && !ledger.is_all_given() => Evidence::Unfinished,
            Some(_) => {
                // All of it is there or on its way: more may be proved until the wait for REPORTs is over.
                return self.conclude(record, Evidence::Deadline, now, Purse::Evidence, out);
            }
        };
        self.over(handle, evidence, now, Purse::Evidence, out);
    }

    /// Whether any octet of a message that is sent in a session may have left, or leave yet.
    pub(in crate::engine) fn has_departed(&self, record: Handle<Record>) -> bool {
        let transfer = self.shorts[record.index as usize].transfer;
        let known = self.sessions.as_deref().zip(transfer);
        known
            .and_then(|(sessions, transfer)| sessions.transfers.get(transfer)?.ledger)
            .is_some_and(|ledger| ledger.is_begun() || ledger.is_after_doubt())
    }

    /// The record of a message is gone, because the process ends.
    pub(in crate::engine) fn abandon_large(&mut self, record: Handle<Record>) {
        let transfer = self.shorts[record.index as usize].transfer.take();
        if let (Some(handle), Some(sessions)) = (transfer, self.sessions.as_deref_mut())
            && let Some(transfer) = sessions.transfers.get_mut(handle)
        {
            transfer.record = None;
            transfer.told = Some(Verdict::Unknown);
        }
    }
}

/// Whether an answer to INVITE says that this user agent takes no MSRP, or none that we speak (RFC
/// 3261 section 21): then the text may go in pieces.
fn has_no_msrp(evidence: Evidence) -> bool {
    matches!(evidence, Evidence::AnswerUnusable)
        || matches!(evidence.status(), 405 | 415 | 420 | 488 | 501 | 606)
            && matches!(evidence, Evidence::Invite(_))
}
