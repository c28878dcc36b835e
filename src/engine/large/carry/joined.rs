//! Two sessions that are joined: how both end.

use super::Side;
use crate::engine::Engine;
use crate::engine::large::Call;
use crate::engine::record::NEVER;
use crate::id::Handle;
use crate::session::dialog::State;
use crate::time::Instant;

/// Calls that are looked through in one turn, and how long it takes until they are again, in milliseconds.
const PARTING_MAX: u32 = 1_024;
const PARTING_MS: u32 = 250;

impl Engine {
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

    pub(in crate::engine::large) fn is_ending(&self, handle: Handle<Call>) -> bool {
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
