//! Two sessions that are joined: how each gets its connection, and how both end.

use super::Side;
use crate::engine::Engine;
use crate::engine::large::Call;
use crate::engine::large::facts::name;
use crate::engine::memory::put_hex;
use crate::engine::record::NEVER;
use crate::id::Handle;
use crate::limits::MSRP_IDENT_SIZE_MAX;
use crate::metrics::Counter;
use crate::session::dialog::State;
use crate::session::msrp::{Fact, Message, SendingId};
use crate::session::negotiation::Role;
use crate::time::Instant;
use crate::wire::msrp::FailureReport;

/// Set in the name of the owner of a SEND without a body: no place of a call has this bit.
const BINDING: u64 = 1 << 63;

/// Calls that are looked through in one turn, and how long it takes until they are again, in milliseconds.
const PARTING_MAX: u32 = 1_024;
const PARTING_MS: u32 = 250;

/// Sets what is minted apart from every other use of the same key.
const BINDING_ID: u64 = 0xB14D_0000 << 32;

impl Engine {
    /// The session of a side has its connection. If that is one of ours, a SEND without a body says so at once
    /// (RFC 4975 section 5.4): nobody knows when there will be another one.
    pub(in crate::engine::large) fn on_side_bound(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get(handle) else { return };
        if call.role != Role::Active || call.carry.is_none() {
            return;
        }
        let Some(session) = call.session else { return };
        let [low, high] = sessions.desk.minted(BINDING_ID, name(handle)).0;
        let mut message_id = [0; MSRP_IDENT_SIZE_MAX];
        put_hex(u128::from(high) << 64 | u128::from(low), &mut message_id);
        let message = Message {
            owner: BINDING | name(handle),
            message_id: &message_id,
            content_type: None,
            size: 0,
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        let sending = sessions.endpoint.send(session, &message).ok();
        if let Some(side) = sessions.calls.get_mut(handle).and_then(|call| call.carry.as_mut()) {
            side.binding = sending;
        }
    }

    /// Takes a fact that is about such a SEND. Whether it was one.
    pub(in crate::engine::large) fn on_binding_fact(&mut self, fact: Fact, now: Instant) -> bool {
        let (sending, is_bound) = if let Fact::Responded { sending, code, .. } = fact {
            (sending, code == 200)
        } else if let Fact::TimedOut { sending, .. } | Fact::Cut { sending, .. } = fact {
            (sending, false)
        } else {
            return false;
        };
        let Some(handle) = self.binding_of(sending) else { return false };
        let sessions = self.sessions_mut();
        sessions.endpoint.forget(sending);
        if let Some(side) = sessions.calls.get_mut(handle).and_then(|call| call.carry.as_mut()) {
            side.binding = None;
        }
        if !is_bound && !self.is_ending(handle) {
            // What is there knows no such session, or nobody is there.
            self.count(Counter::CarryEnded);
            self.end_call(handle, now);
        }
        true
    }

    fn binding_of(&self, sending: SendingId) -> Option<Handle<Call>> {
        let sessions = self.sessions.as_deref()?;
        let owner = sessions.endpoint.owner(sending)?;
        (owner & BINDING != 0).then(|| crate::engine::large::facts::named(owner & !BINDING))
    }

    /// Whether nobody new is served, so that sessions end as soon as nothing is under way in them: they would
    /// outlast any patience.
    pub(in crate::engine) fn part_later(&mut self, is_to_part: bool) {
        let sessions = self.sessions.as_deref_mut();
        if let Some(store) = sessions.and_then(|all| all.carried.as_mut()) {
            store.parting = (if is_to_part { Instant::default() } else { NEVER }, 0);
        }
    }

    /// Ends sessions in which nothing is under way, where nobody new is served; looks through some calls.
    pub(in crate::engine::large) fn part_quiet_sides(&mut self, now: Instant) {
        let sessions = self.sessions_mut();
        let count = sessions.calls.capacity();
        let Some(store) = sessions.carried.as_mut().filter(|it| it.parting.0 <= now) else {
            return;
        };
        let from = store.parting.1;
        let to = from.saturating_add(PARTING_MAX).min(count);
        store.parting =
            if to == count { (now.plus_ms(PARTING_MS), 0) } else { (Instant::default(), to) };
        for index in from..to {
            let sessions = self.sessions_mut();
            let Some(handle) = sessions.calls.handle_at(index) else { continue };
            let Some(call) = sessions.calls.get(handle).filter(|call| !call.is_ending) else {
                continue;
            };
            let is_there = call.dialog.is_some_and(|it| it.state() == State::Confirmed);
            let may_prove = |call: &Call| call.carry.as_ref().is_some_and(Side::may_prove);
            let other = call.carry.as_ref().and_then(|side| sessions.calls.get(side.other?));
            if is_there && call.carry.is_some() && !may_prove(call) && !other.is_some_and(may_prove)
            {
                self.end_call(handle, now);
            }
        }
    }

    pub(super) fn is_ending(&self, handle: Handle<Call>) -> bool {
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        call.is_none_or(|call| call.is_ending)
    }

    /// One of two calls ends, and its session has ended: so does the other one. Who has asked for the session
    /// and has no final response gets one: 487 if it is he who has ended it.
    pub(in crate::engine::large) fn end_both(&mut self, handle: Handle<Call>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get(handle) else { return };
        let Some(Side { other, is_caller, .. }) = &call.carry else { return };
        let (other, is_caller) = (*other, *is_caller);
        // Of what its messages come to is told when the facts are taken.
        sessions.is_behind = true;
        if is_caller && self.is_asked(handle) {
            self.answer_caller(handle, 487, None, now);
        }
        let Some(other) = other.filter(|other| !self.is_ending(*other)) else { return };
        if !is_caller && self.is_asked(other) {
            self.answer_caller(other, 500, None, now);
        }
        self.end_call(other, now);
    }
}
