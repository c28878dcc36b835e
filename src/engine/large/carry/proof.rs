//! What is proved of each message that is carried: a ledger, a verdict, an account.
//!
//! The role of its recipient's peer says what a 200 proves, as for a message of our own. Where only REPORTs
//! prove it and its sender has asked for them, they are waited for when all of it was given. A message that its
//! sender wants no answers about may be delivered without anybody saying so: then that is what is known.

use super::{PASSAGES_EACH, Store};
use crate::delivery::coverage::{Carried, End};
use crate::delivery::{
    Account, Evidence, Form, Identifier, MessageId, MsrpRole, Report, Statuses, Verdict,
};
use crate::engine::Engine;
use crate::engine::large::facts::named;
use crate::engine::large::{Call, Sessions};
use crate::engine::record::NEVER;
use crate::id::Handle;
use crate::metrics::Counter;
use crate::session::msrp::{Carriage, CarriedEnd, CarriedId};
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::wire::msrp::Flag;

/// One message on its way from one session to the other.
#[derive(Debug)]
pub(super) struct Passage {
    id: CarriedId,
    ledger: Carried,
    /// What will be told of it.
    account: Account,
    /// The calls of its sender and its recipient.
    from: Handle<Call>,
    to: Handle<Call>,
    wants_report: bool,
    /// Whether its REPORTs are waited for, and those beside it in the list of its recipient's side.
    is_awaited: bool,
    before: Option<Handle<Self>>,
    next: Option<Handle<Self>>,
}

/// Sets the key of a message of which only REPORTs may come apart from every other use of the same key.
const WAITING: u64 = 0x3A17_0000 << 32;

impl Sessions {
    fn note_under_way(&mut self, calls: [Handle<Call>; 2], is_more: bool) {
        for handle in calls {
            let side = self.calls.get_mut(handle).and_then(|call| call.carry.as_mut());
            if let Some(side) = side {
                side.under_way =
                    if is_more { side.under_way + 1 } else { side.under_way.saturating_sub(1) };
            }
        }
    }

    /// Puts a message at the front of those that its recipient may report.
    fn await_reports(&mut self, handle: Handle<Passage>) {
        let Some(store) = self.carried.as_mut() else { return };
        let Some(passage) = store.passages.get_mut(handle) else { return };
        passage.is_awaited = true;
        let side = self.calls.get_mut(passage.to).and_then(|call| call.carry.as_mut());
        let Some(side) = side else { return };
        passage.next = side.awaited.replace(handle);
        let next = passage.next.and_then(|next| store.passages.get_mut(next));
        if let Some(next) = next {
            next.before = Some(handle);
        }
    }

    /// Takes a message that is no more from there.
    fn await_no_reports(&mut self, passage: &Passage) {
        let Some(store) = self.carried.as_mut().filter(|_| passage.is_awaited) else { return };
        if let Some(next) = passage.next.and_then(|next| store.passages.get_mut(next)) {
            next.before = passage.before;
        }
        match passage.before.and_then(|before| store.passages.get_mut(before)) {
            Some(before) => before.next = passage.next,
            None => {
                let call = self.calls.get_mut(passage.to);
                if let Some(side) = call.and_then(|call| call.carry.as_mut()) {
                    side.awaited = passage.next;
                }
            }
        }
    }

    fn passage_key(&self, id: CarriedId) -> Fingerprint {
        let place = u64::from(id.index) << 32 | u64::from(id.generation);
        self.desk.minted(WAITING, place)
    }

    /// The passage of a message that is carried, or was.
    fn passage_of(&mut self, id: CarriedId, now: Instant) -> Option<Handle<Passage>> {
        let key = self.passage_key(id);
        let store = self.carried.as_mut()?;
        let running = store.running.get(id.index as usize).copied().flatten();
        let is_it = |handle: &Handle<Passage>| {
            store.passages.get(*handle).is_some_and(|passage| passage.id == id)
        };
        if let Some(handle) = running.filter(|handle| is_it(handle)) {
            return Some(handle);
        }
        let index = u32::try_from(store.waiting.get(key, now)?).ok()?;
        store.passages.handle_at(index).filter(|handle| is_it(handle))
    }
}

impl Store {
    /// Waits for the REPORTs of a message until then. `false` where too many are waited for: none of these is
    /// given up for another one, whose sender may be told as well as theirs.
    fn watch(
        &mut self,
        handle: Handle<Passage>,
        key: Fingerprint,
        now: Instant,
        until: Instant,
    ) -> bool {
        let has_place = self.waiting_count < self.passages.capacity() / PASSAGES_EACH;
        if !has_place || self.waiting.put(key, u64::from(handle.index), now, until).is_err() {
            return false;
        }
        self.waiting_count += 1;
        self.wheel.start(handle.index, until);
        true
    }
}

impl Engine {
    /// Takes what happened to a message that is carried.
    pub(in crate::engine::large) fn on_carriage(
        &mut self,
        id: CarriedId,
        carriage: Carriage,
        now: Instant,
    ) {
        if carriage == Carriage::Arriving {
            return self.begin_passage(id, now);
        }
        let sessions = self.sessions_mut();
        let Some(handle) = sessions.passage_of(id, now) else { return };
        let store = sessions.carried.as_mut();
        let Some(passage) = store.and_then(|it| it.passages.get_mut(handle)) else { return };
        let ledger = &mut passage.ledger;
        match carriage {
            Carriage::Arriving => {}
            Carriage::Begun { start, .. } => {
                passage.account.transmissions = passage.account.transmissions.saturating_add(1);
                ledger.begin(start);
            }
            Carriage::Gave { octets, .. } => ledger.write(octets),
            Carriage::Ended { chunk, flag } => ledger.end(chunk, end_of(flag)),
            Carriage::HandedOver { .. } => ledger.depart(),
            Carriage::Responded { chunk, octets, code } => {
                passage.account.statuses.push(code);
                ledger.respond(chunk, octets, code);
                self.count(Counter::MsrpResponsesIn);
            }
            Carriage::TimedOut { .. } => {
                ledger.time_out();
                self.count(Counter::MsrpTimeouts);
            }
            Carriage::Reported { octets, total, code, .. } => {
                ledger.report(octets, total, code);
                self.count(Counter::MsrpReportsIn);
                self.on_passage_report(handle, now);
            }
            Carriage::Answered { code, .. } => passage.account.report = Report::Response(code),
            Carriage::Over { end } => self.on_passage_over(handle, end, now),
        }
    }

    fn begin_passage(&mut self, id: CarriedId, now: Instant) {
        let Some(sessions) = self.sessions.as_deref() else { return };
        let Some(message) = sessions.endpoint.carried(id) else { return };
        let owner = |session| sessions.endpoint.session_owner(session).map(named);
        let (from, to) = (owner(message.from), owner(message.to));
        let Some((from, to)) = from.zip(to) else { return };
        let Some((sender, recipient)) = sessions.calls.get(from).zip(sessions.calls.get(to)) else {
            return;
        };
        let role = self.peers.get(recipient.leg.peer).msrp.unwrap_or(MsrpRole::Relay);
        let call_id = |call: &Call| Identifier::new(call.kept.names().call_id);
        let passage = Passage {
            id,
            ledger: Carried::new(role, usize::from(recipient.terms.uris)),
            account: Account {
                form: Form::Carried { message_id: MessageId::new(message.message_id), octets: 0 },
                arrived: now,
                decided: now,
                reported: now,
                sms_call_id: call_id(sender),
                im_call_id: call_id(recipient),
                recipient: Identifier::new(recipient.kept.remote()),
                sms_peer: sender.leg.peer,
                im_peer: recipient.leg.peer,
                transmissions: 0,
                statuses: Statuses::default(),
                evidence: Evidence::Unfinished,
                verdict: Verdict::Unknown,
                report: Report::Silence,
            },
            from,
            to,
            wants_report: message.success_report,
            is_awaited: false,
            before: None,
            next: None,
        };
        self.count(Counter::CarriedMessages);
        let sessions = self.sessions_mut();
        sessions.note_under_way([from, to], true);
        let Some(store) = sessions.carried.as_mut() else { return };
        // There is a place for each message and for each that waits, and none more wait.
        let Ok(handle) = store.passages.insert(passage) else {
            unreachable!("a passage is free for each message")
        };
        if let Some(running) = store.running.get_mut(id.index as usize) {
            *running = Some(handle);
        }
        self.show_passages();
    }

    fn show_passages(&self) {
        self.tally.counters.set(Counter::CarriedOpen, u64::from(self.passages()));
    }

    /// A message has come to its end in MSRP: what is known of it is told, or a REPORT is waited for.
    fn on_passage_over(&mut self, handle: Handle<Passage>, end: CarriedEnd, now: Instant) {
        let sessions = self.sessions_mut();
        let wait_ms = sessions.setup.report_wait_ms;
        let Some(store) = sessions.carried.as_mut() else { return };
        let Some(passage) = store.passages.get(handle) else { return };
        let (id, ledger, wants_report) = (passage.id, passage.ledger, passage.wants_report);
        let was_ended = sessions.calls.get(passage.to).is_some_and(|call| call.was_ended);
        let calls = [passage.from, passage.to];
        if let Some(running) = store.running.get_mut(id.index as usize) {
            *running = None;
        }
        let is_whole = matches!(end, CarriedEnd::Whole { .. });
        let may_be_reported = is_whole && wants_report && ledger.proof().is_none();
        sessions.note_under_way(calls, false);
        let key = sessions.passage_key(id);
        let Some(store) = sessions.carried.as_mut() else { return };
        if may_be_reported && store.watch(handle, key, now, now.plus_ms(wait_ms)) {
            return sessions.await_reports(handle);
        }
        if may_be_reported {
            self.count(Counter::CarriedUnwatched);
        }
        self.end_passage(handle, ledger.evidence(meaning(end, &ledger, was_ended)), now);
    }

    /// A REPORT may prove what was waited for.
    fn on_passage_report(&mut self, handle: Handle<Passage>, now: Instant) {
        let Some(store) = self.sessions_mut().carried.as_mut() else { return };
        let Some(passage) = store.passages.get(handle) else { return };
        let is_running = store.running.get(passage.id.index as usize) == Some(&Some(handle));
        let known = passage.ledger.evidence(Evidence::ReportMissing);
        if !is_running && known != Evidence::ReportMissing {
            self.end_waiting(handle, now);
        }
    }

    /// Ends the wait for REPORTs where it is over; at most so many. How many.
    pub(in crate::engine::large) fn expire_passages(
        &mut self,
        now: Instant,
        limit: usize,
    ) -> usize {
        let mut expired = 0;
        while expired < limit
            && let Some(store) = self.sessions_mut().carried.as_mut()
            && let Some(index) = store.wheel.expire(now)
        {
            if let Some(handle) = store.passages.handle_at(index) {
                self.end_waiting(handle, now);
            }
            expired += 1;
        }
        expired
    }

    /// When the next wait is over, or calls are to be looked through.
    pub(in crate::engine::large) fn next_passage_deadline(&self) -> Option<Instant> {
        let store = self.sessions.as_deref()?.carried.as_ref()?;
        let (parting, _) = store.parting;
        store.wheel.next().into_iter().chain((parting < NEVER).then_some(parting)).min()
    }

    /// Messages that are carried, or whose REPORTs are waited for.
    pub(in crate::engine) fn passages(&self) -> u32 {
        let store = self.sessions.as_deref().and_then(|all| all.carried.as_ref());
        store.map_or(0, |store| store.passages.len())
    }

    /// Ends what is known of messages that are carried because the process ends; at most so many. How many.
    pub(in crate::engine) fn abandon_passages(&mut self, now: Instant, limit: usize) -> usize {
        let (mut ended, mut index) = (0, 0);
        while ended < limit
            && self.passages() > 0
            && let Some(store) = self.sessions_mut().carried.as_mut()
        {
            let handle = store.passages.handle_at(index);
            index += 1;
            let Some(handle) = handle else { continue };
            store.wheel.stop(handle.index);
            let known = store.passages.get(handle).map(|it| it.ledger.evidence(Evidence::Shutdown));
            self.end_passage(handle, known.unwrap_or(Evidence::Shutdown), now);
            ended += 1;
        }
        ended
    }

    /// Ends the waits for REPORTs that would come in the session of a call, which has ended: one at a time, and
    /// when all that was said there is known. Whether there was one.
    pub(in crate::engine::large) fn end_lost_wait(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
    ) -> bool {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get(handle) else { return false };
        let awaited = call.carry.as_ref().and_then(|side| side.awaited);
        let Some(awaited) = awaited.filter(|_| call.session.is_none()) else { return false };
        if !sessions.is_behind && !sessions.endpoint.has_facts() {
            self.end_waiting(awaited, now);
        }
        true
    }

    fn end_waiting(&mut self, handle: Handle<Passage>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(store) = sessions.carried.as_mut() else { return };
        let Some(passage) = store.passages.get(handle) else { return };
        let (id, ledger) = (passage.id, passage.ledger);
        store.wheel.stop(handle.index);
        store.waiting_count -= 1;
        let key = sessions.passage_key(id);
        if let Some(store) = sessions.carried.as_mut() {
            store.waiting.remove(key, now);
        }
        self.end_passage(handle, ledger.evidence(Evidence::ReportMissing), now);
    }

    /// The verdict on a message that was carried, which is reached once.
    fn end_passage(&mut self, handle: Handle<Passage>, evidence: Evidence, now: Instant) {
        let store = self.sessions_mut().carried.as_mut();
        let Some(passage) = store.and_then(|it| it.passages.remove(handle)) else { return };
        self.sessions_mut().await_no_reports(&passage);
        self.show_passages();
        let mut account = passage.account;
        let verdict = Verdict::from_evidence(evidence, &self.peers.get(account.im_peer).mapping);
        self.count(match verdict {
            Verdict::Delivered => Counter::CarriedDelivered,
            Verdict::Permanent => Counter::CarriedPermanent,
            Verdict::Temporary => Counter::CarriedTemporary,
            Verdict::Unknown => Counter::CarriedUnknown,
            Verdict::Accepted => Counter::CarriedAccepted,
        });
        if let Form::Carried { octets, .. } = &mut account.form {
            *octets = passage.ledger.sent();
        }
        (account.decided, account.reported) = (now, now);
        (account.evidence, account.verdict) = (evidence, verdict);
        if self.setup.accounts {
            if !self.accounts.push(&account) {
                self.count(Counter::AccountsLost);
            }
            self.remains.wait(self.accounts.len);
        }
    }
}

const fn end_of(flag: Flag) -> End {
    match flag {
        Flag::More => End::More,
        Flag::Last => End::Last,
        Flag::Aborted => End::Abort,
    }
}

/// What an end means if nothing else is known.
fn meaning(end: CarriedEnd, ledger: &Carried, was_ended: bool) -> Evidence {
    match end {
        CarriedEnd::Whole { .. } => Evidence::ReportMissing,
        // Its last chunk was given, so that it may have been taken: of many chunks that came in no order nobody
        // can say what is missing. What its recipient has said against it, the ledger knows.
        CarriedEnd::Aborted | CarriedEnd::Stopped { .. } | CarriedEnd::SenderLost
            if ledger.is_all_given() =>
        {
            Evidence::ReportMissing
        }
        // Whoever goes on with it is let, and then its recipient may have all of it.
        CarriedEnd::Stalled => Evidence::ReportMissing,
        CarriedEnd::Aborted => Evidence::Aborted,
        // We have ended it, and nobody has all of it.
        CarriedEnd::Stopped { .. } if ledger.has_departed() => Evidence::Aborted,
        CarriedEnd::Stopped { code } => Evidence::MsrpResponse(code),
        CarriedEnd::SenderLost => Evidence::Unfinished,
        CarriedEnd::RecipientLost { .. } if was_ended && ledger.is_all_given() => {
            Evidence::ByeAfterEnd
        }
        CarriedEnd::RecipientLost { .. } if was_ended => Evidence::ByeBeforeEnd,
        // What was given to a connection may leave yet.
        CarriedEnd::RecipientLost { .. } if ledger.sent() == 0 && !ledger.is_all_given() => {
            Evidence::ConnectionUnused
        }
        // Whichever side has ended it: without its last chunk it is no message to anybody.
        CarriedEnd::RecipientLost { .. } if !ledger.is_all_given() => Evidence::Unfinished,
        CarriedEnd::RecipientLost { .. } => Evidence::ConnectionLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::setup::Large;

    /// Whatever is in the way of a message whose REPORTs would be waited for.
    #[test]
    fn what_waits_for_reports_is_not_given_up_for_another_one() {
        let now = Instant(0);
        let until = now.plus_ms(10_000);
        let large = Large { sessions_max: 4, carried_max: 4, ..Large::default() };
        let mut store = Store::new(&large, now).unwrap();
        let handle = |index| Handle::new(index, 1);
        let key = |number: u64| Fingerprint([number << 57, number << 49]);
        let mut watched = 0;
        // Twice as many as there are places in both buckets, whatever is counted.
        for number in 0..60 {
            store.waiting_count = 0;
            watched += u64::from(store.watch(handle(0), key(number), now, until));
        }
        assert!((8..60).contains(&watched), "{watched}");
        let found = (0..60).filter(|number| store.waiting.get(key(*number), now).is_some());
        assert_eq!(found.count() as u64, watched, "each that is to be told of is found");
        store.waiting_count = 4;
        assert!(!store.watch(handle(1), key(0), now, until), "no place for its passage");
    }
}
