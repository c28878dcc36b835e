//! What is due for calls, and for the sessions of MSRP.
//!
//! Each time the timer of a call fires it does one thing, which is one departure at most; if there is more
//! to do it is due again at once.

use super::invite::ms;
use super::{Call, Sessions, Side, Wait};
use crate::delivery::Evidence;
use crate::engine::Engine;
use crate::engine::record::{NEVER, Size};
use crate::engine::route::Hop;
use crate::engine::route::Way;
use crate::engine::setup::Timers;
use crate::id::Handle;
use crate::limits::TCP_REFUSED_MS;
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departures, Endpoint, Purse, SendError, Transport};
use crate::session::dialog;
use crate::time::Instant;
use crate::transaction::branch::Branch;
use crate::transaction::invite_client::{Action, Cancel, Event, State};
use crate::transaction::non_invite_client;

impl Engine {
    /// Expires at most `limit` timers of sessions; returns how many.
    pub(in crate::engine) fn on_large_tick(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Departures,
    ) -> usize {
        if self.sessions.is_none() {
            return 0;
        }
        self.catch_up(now, out);
        self.show_counts();
        let mut expired = 0;
        // Facts may have taken the slots that timers were to have.
        while expired < limit
            && Self::has_room_for_a_fact(out)
            && let Some(index) = self.sessions_mut().wheel.expire(now)
        {
            if let Some(handle) = self.sessions_mut().calls.handle_at(index) {
                self.on_call_timer(handle, now, out);
            }
            expired += 1;
        }
        while expired < limit && Self::has_room_for_a_fact(out) && self.expire_submission(now, out)
        {
            expired += 1;
        }
        expired += self.expire_passages(now, limit - expired);
        self.part_quiet_sides(now);
        while expired < limit && Self::has_room_for_a_fact(out) {
            let sessions = self.sessions_mut();
            if sessions.endpoint.expire(&mut sessions.desk, now, 1) == 0 {
                break;
            }
            self.take_facts(now, out);
            expired += 1;
        }
        // What has ended tells so.
        self.take_facts(now, out);
        self.write_reports(out);
        expired
    }

    /// Shows what the sessions have counted.
    fn show_counts(&self) {
        let Some(sessions) = self.sessions.as_deref() else { return };
        let counts = sessions.endpoint.counts();
        let stray = counts.stray_responses + counts.stray_reports + counts.foreign_reports;
        for (counter, count) in [
            (Counter::MsrpStray, stray),
            (Counter::MsrpForeign, counts.homeless),
            (Counter::MsrpMalformed, counts.malformed),
            (Counter::MsrpNoRoom, counts.no_room),
        ] {
            self.tally.counters.set(counter, count);
        }
    }

    /// A moment before which [`Engine::on_large_tick`] has nothing to do.
    pub(in crate::engine) fn next_large_deadline(&self) -> Option<Instant> {
        let sessions = self.sessions.as_deref()?;
        if sessions.is_behind || sessions.endpoint.has_facts() {
            return Some(Instant::default());
        }
        let inward = sessions.inward.as_deref().and_then(super::inward::Store::next_deadline);
        let endpoint = sessions.endpoint.next_deadline();
        let passages = self.next_passage_deadline();
        sessions.wheel.next().into_iter().chain(endpoint).chain(inward).chain(passages).min()
    }

    /// Does one thing that is due for a call.
    fn on_call_timer(&mut self, handle: Handle<Call>, now: Instant, out: &mut Departures) {
        self.do_one(handle, now, out);
        self.note_unfinished(handle);
        let Some(call) = self.sessions_mut().calls.get(handle) else { return };
        if !call.is_over() {
            return self.wait_for_call(handle);
        }
        // How the session of a message has ended is told by its call, which stays until then.
        let is_told = self.take_facts(now, out);
        let sessions = self.sessions_mut();
        match sessions.calls.get(handle) {
            Some(call) if is_told && call.is_over() => self.free_call(handle, now),
            Some(_) if is_told => self.wait_for_call(handle),
            Some(_) => sessions.wheel.start(handle.index, now),
            None => {}
        }
    }

    fn do_one(&mut self, handle: Handle<Call>, now: Instant, out: &mut Departures) {
        let timers = self.setup.timers;
        let Some(call) = self.sessions_mut().calls.get(handle) else { return };
        let transaction_ms = timers.transaction_ms();
        if let Some(error) = call.leg.refused {
            return self.on_invite_refused(handle, error, now);
        }
        if let Some(outcome) = call.outcome {
            return self.tell_outcome(handle, outcome, now, out);
        }
        if call.is_to_be_transmitted(now) {
            return self.transmit_invite(handle, now, Purse::Evidence, out);
        }
        if let Some(inside) = &call.inside {
            let (is_over, is_due) =
                (inside.leg.sent.plus_ms(transaction_ms) <= now, inside.leg.retransmit <= now);
            if inside.leg.refused.is_some() || is_over {
                if is_over {
                    self.count(Counter::TimerF);
                }
                if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
                    call.inside = None;
                }
                return;
            }
            if is_due && call.inside_is_running() {
                return self.transmit_inside(handle, now, out);
            }
        }
        if self.end_lost_wait(handle, now) || self.on_served_due(handle, now, out) {
            return;
        }
        if let Some(event) = self.due_event(handle, now) {
            return self.on_invite_event(handle, event, now, out);
        }
        let Some(call) = self.sessions_mut().calls.get(handle) else { return };
        if let Some((wait, until)) = call.wait.filter(|(wait, _)| *wait != Wait::Sending)
            && until <= now
        {
            return self.on_wait_over(handle, wait, now, out);
        }
        if call.reinvite.is_some_and(|it| it.is_due(now, transaction_ms)) {
            return self.on_reinvite_due(handle, now, out);
        }
        let may_bye = call.inside.is_none()
            && call.dialog.is_some_and(|it| it.state() == dialog::State::Confirmed);
        if call.is_ending && may_bye {
            self.begin_bye(handle, now, out);
        }
    }

    /// What the INVITE transaction waits for no longer.
    fn due_event(&self, handle: Handle<Call>, now: Instant) -> Option<Event> {
        let sessions = self.sessions.as_deref()?;
        let call = sessions.calls.get(handle)?;
        let due = |ms: u32, since: Instant| since.plus_ms(ms) <= now;
        let timers = self.setup.timers;
        let transaction_ms = timers.transaction_ms();
        let is_wanted = !call.is_ending && call.invite.cancel == Cancel::No;
        match call.invite.state {
            State::Calling if due(transaction_ms, call.entered) => Some(Event::TimerB),
            State::Calling | State::Proceeding
                if is_wanted && call.answer_by(sessions.setup.invite_wait_ms) <= now =>
            {
                Some(Event::Cancel)
            }
            State::Calling | State::Proceeding
                if call.is_ending && call.invite.cancel == Cancel::No =>
            {
                Some(Event::Cancel)
            }
            State::Proceeding => {
                let since = call.cancelled?;
                due(transaction_ms, since).then_some(Event::CancelTimeout)
            }
            State::Completed => {
                let is_reliable = self.setup.transport_of(call.leg.way.socket).is_reliable();
                let lifetime = call.invite.lifetime_ms(is_reliable, timers.t1_ms)?;
                due(ms(lifetime), call.entered).then_some(Event::TimerD)
            }
            State::Accepted => due(transaction_ms, call.entered).then_some(Event::TimerM),
            State::Calling | State::Terminated => None,
        }
    }

    fn on_invite_event(
        &mut self,
        handle: Handle<Call>,
        event: Event,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let (peer, was_ending) = (call.leg.peer, call.is_ending);
        let action = call.invite.on(event);
        if event == Event::TimerB {
            self.count(Counter::TimerB);
            PeerTally::add(&self.peer_tally(peer).timer_f);
        }
        if action == Action::Cancel {
            self.begin_cancel(handle, now, out);
        }
        // Nothing has been sent, and what is answered now is not used: that much is certain.
        if event != Event::TimerD && event != Event::TimerM && !was_ending {
            self.set_outcome(handle, Evidence::InviteTimeout, false, now);
        }
    }

    /// The kernel has refused the first transmission of a request of a call; the timer takes it from there.
    pub(in crate::engine) fn on_invite_sent(
        &mut self,
        handle: Handle<crate::engine::record::Record>,
        attempt: u8,
        error: SendError,
        now: Instant,
    ) {
        let handle = Handle::new(handle.index, handle.generation);
        let Some(sessions) = self.sessions.as_deref_mut() else { return };
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        if call.leg.attempt == attempt && call.leg.transmissions == 1 {
            call.leg.refused = Some(error);
            sessions.wheel.start(handle.index, now);
        }
    }

    /// An ICMP error quotes an INVITE of ours (RFC 3261 section 17.1.4).
    pub(in crate::engine) fn on_call_unreachable(
        &mut self,
        branch: Branch,
        remote: Endpoint,
        now: Instant,
    ) {
        let handle = Handle::new(branch.index, branch.generation);
        let call = self.sessions.as_deref_mut().and_then(|all| all.calls.get_mut(handle));
        let Some(call) =
            call.filter(|it| it.leg.attempt == branch.attempt && it.leg.way.remote == remote)
        else {
            return self.count(Counter::IcmpForeign);
        };
        let (peer, is_ending) = (call.leg.peer, call.is_ending);
        let is_first = call.invite.on(Event::TransportError) == Action::TransportError;
        self.count(Counter::IcmpMatched);
        if is_first {
            PeerTally::add(&self.peer_tally(peer).unreachable);
            self.sessions_mut().wheel.start(handle.index, now);
        }
        if is_first && !is_ending {
            self.set_outcome(handle, Evidence::InviteError, false, now);
        }
    }

    /// The kernel has refused the INVITE: nobody has it.
    fn on_invite_refused(&mut self, handle: Handle<Call>, error: SendError, now: Instant) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.leg.refused = None;
        if call.invite.state != State::Calling {
            // Somebody has answered it since.
            return;
        }
        let (leg, is_ending) = (call.leg, call.is_ending);
        let no_connection = matches!(error, SendError::NoConnection | SendError::NotWritten);
        if !is_ending && leg.size == Size::Large && no_connection {
            let udp = self.setup.request_sockets.to(leg.way.remote, Transport::Udp);
            if let Some(socket) = udp {
                let way = Way { remote: leg.way.remote, socket };
                let hop = Hop { way, peer: leg.peer, pop_route: false, in_list: leg.server };
                if self.begin_invite_again(handle, Some(&hop), leg.asked) {
                    if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
                        call.leg.size = Size::LargeAllTheSame;
                    }
                    if error == SendError::NoConnection {
                        self.tcp_refused[usize::from(leg.peer)] = now.plus_ms(TCP_REFUSED_MS);
                    }
                    return self.count(Counter::TcpToUdp);
                }
            }
        }
        if !is_ending && self.next_call_server(handle, leg.asked, now) {
            return;
        }
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.invite.on(Event::TransportError);
        }
        if !is_ending {
            self.set_outcome(handle, Evidence::InviteError, false, now);
        }
    }

    /// When something is to be done for a call if nothing arrives.
    pub(super) fn wait_for_call(&mut self, handle: Handle<Call>) {
        self.note_unfinished(handle);
        let timers = self.setup.timers;
        let transports =
            self.sessions.as_deref().and_then(|all| all.calls.get(handle)).map(|call| {
                let is_reliable = self.setup.transport_of(call.leg.way.socket).is_reliable();
                call.due(timers, is_reliable, self.sessions.as_deref())
            });
        let Some(due) = transports else { return };
        let sessions = self.sessions_mut();
        if due == NEVER {
            sessions.wheel.stop(handle.index);
        } else {
            sessions.wheel.start(handle.index, due);
        }
    }

    /// Counts a call while something is still to be sent in it.
    fn note_unfinished(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        let is_unfinished = call.is_unfinished();
        if core::mem::replace(&mut call.is_unfinished, is_unfinished) == is_unfinished {
            return;
        }
        sessions.unfinished = match is_unfinished {
            true => sessions.unfinished + 1,
            false => sessions.unfinished - 1,
        };
        let unfinished = sessions.unfinished;
        self.tally.counters.set(Counter::CallsUnfinished, u64::from(unfinished));
    }

    /// A call is of no more use: its session ends now, and the timer sends what ends its dialog.
    pub(super) fn end_call(&mut self, handle: Handle<Call>, now: Instant) {
        self.forget_greeting(handle);
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        let was_ending = core::mem::replace(&mut call.is_ending, true);
        call.wait = None;
        if let Some(session) = call.session.take() {
            sessions.endpoint.close(session, now);
        }
        sessions.wheel.start(handle.index, now);
        if !was_ending {
            self.end_both(handle, now);
        }
    }

    fn free_call(&mut self, handle: Handle<Call>, now: Instant) {
        let sessions = self.sessions_mut();
        sessions.wheel.stop(handle.index);
        let Some(call) = sessions.calls.remove(handle) else { return };
        if call.inward.is_some()
            && let Some(store) = sessions.inward.as_deref_mut()
        {
            // Its copies are known without it.
            store.forget_invite(call.between, now);
        }
        // Nothing is over that was unfinished.
        debug_assert!(!call.is_unfinished);
        if let Some(buffer) = call.leg.authorization {
            self.authorizations.give(buffer);
        }
        if let Some(side) = call.carry {
            self.sessions_mut().release_side(side, now);
        }
        let open = self.sessions_mut().calls.len();
        self.tally.counters.set(Counter::CallsOpen, u64::from(open));
    }
}

impl Call {
    /// Whether something is still to be sent in it, but for what answers copies.
    fn is_unfinished(&self) -> bool {
        let is_out = matches!(self.invite.state, State::Calling | State::Proceeding);
        let is_there = self.dialog.is_some_and(|it| it.state() == dialog::State::Confirmed);
        is_out || is_there || self.inside.is_some() || self.outcome.is_some()
    }

    /// Whether nothing more can come of it.
    fn is_over(&self) -> bool {
        let has_ended = self.dialog.is_none_or(|it| it.state() == dialog::State::Ended);
        self.is_ending
            && self.invite.state == State::Terminated
            && has_ended
            && self.inside.is_none()
            && self.reinvite.is_none()
            && self.outcome.is_none()
            && !self.is_waiting
            && self.carry.as_ref().is_none_or(Side::is_over)
    }

    /// Whether the INVITE of this attempt is due: for the first time, or again.
    fn is_to_be_transmitted(&self, now: Instant) -> bool {
        self.invite.state == State::Calling && !self.is_ending && self.leg.retransmit <= now
            || self.is_prepared()
    }

    /// Whether another attempt of the INVITE was prepared and has not left.
    fn is_prepared(&self) -> bool {
        self.invite.state == State::Calling && self.leg.transmissions == 0 && !self.is_ending
    }

    fn inside_is_running(&self) -> bool {
        use non_invite_client::State::{Proceeding, Trying};
        self.inside.is_some_and(|it| matches!(it.leg.client, Trying | Proceeding))
    }

    fn due(&self, timers: Timers, is_reliable: bool, sessions: Option<&Sessions>) -> Instant {
        let transaction_ms = timers.transaction_ms();
        if self.leg.refused.is_some() || self.outcome.is_some() || self.is_prepared() {
            return Instant::default();
        }
        let is_wanted = self.invite.cancel == Cancel::No;
        let invite_wait_ms = sessions.map_or(0, |all| all.setup.invite_wait_ms);
        let mut due = match self.invite.state {
            State::Calling | State::Proceeding if self.is_ending && is_wanted => {
                return Instant::default();
            }
            State::Calling if self.is_ending => self.entered.plus_ms(transaction_ms),
            State::Calling => self
                .leg
                .retransmit
                .min(self.entered.plus_ms(transaction_ms))
                .min(self.answer_by(invite_wait_ms)),
            State::Proceeding => match self.cancelled {
                Some(since) => since.plus_ms(transaction_ms),
                None => self.answer_by(invite_wait_ms),
            },
            State::Completed => {
                let lifetime = self.invite.lifetime_ms(is_reliable, timers.t1_ms);
                self.entered.plus_ms(lifetime.map_or(0, ms))
            }
            State::Accepted => self.entered.plus_ms(transaction_ms),
            State::Terminated => NEVER,
        };
        if let Some(inside) = &self.inside {
            let refused = inside.leg.refused.map_or(NEVER, |_| Instant::default());
            due = due.min(inside.leg.due(timers)).min(refused);
        }
        if let Some((wait, until)) = self.wait
            && wait != Wait::Sending
        {
            due = due.min(until);
        }
        if let Some(side) = &self.carry {
            let is_lost = self.session.is_none() && side.is_awaiting();
            due = if is_lost { Instant::default() } else { due.min(side.due(timers, is_reliable)) };
        }
        if let Some(it) = &self.reinvite {
            due = due.min(it.again).min(it.sent.plus_ms(transaction_ms));
        }
        let may_bye = self.dialog.is_some_and(|it| it.may_send_bye())
            && self.dialog.is_some_and(|it| it.state() == dialog::State::Confirmed);
        if self.is_ending && self.inside.is_none() && (may_bye || self.is_over()) {
            return Instant::default();
        }
        due
    }
}
