//! What was observed in MSRP sessions, and what the ledgers make of it.

use super::{Call, Transfer, Wait};
use crate::delivery::coverage::{End, Observation};
use crate::engine::{Engine, Serving};
use crate::id::Handle;
use crate::limits::SUBMISSION_IDLE_MS;
use crate::metrics::Counter;
use crate::packet::{Departures, Wish};
use crate::session::msrp::{Departed, Fact, SendingId, SessionId};
use crate::session::negotiation::Role;
use crate::time::Instant;
use crate::wire::msrp::Flag;

/// The name of an owner in the words of a session.
pub(super) const fn name<T>(handle: Handle<T>) -> u64 {
    (handle.index as u64) << 32 | handle.generation as u64
}

/// Who a name names.
#[expect(clippy::cast_possible_truncation, reason = "each half has its own bits")]
pub(super) const fn named<T>(name: u64) -> Handle<T> {
    Handle::new((name >> 32) as u32, name as u32)
}

impl Engine {
    /// Takes facts while there is room for what follows from them. Whether all were taken.
    pub(super) fn take_facts(&mut self, now: Instant, out: &mut Departures) -> bool {
        loop {
            if !Self::has_room_for_a_fact(out) {
                self.sessions_mut().is_behind = true;
                return false;
            }
            let sessions = self.sessions_mut();
            let Some(fact) = sessions.endpoint.fact() else {
                sessions.is_behind = false;
                return true;
            };
            self.on_fact(fact, now, out);
        }
    }

    fn on_fact(&mut self, fact: Fact, now: Instant, out: &mut Departures) {
        match fact {
            Fact::Carried { carried, carriage } => self.on_carriage(carried, carriage, now),
            Fact::Resumed { connection } => {
                if let Some(id) = self.sessions_mut().links.get(connection).id {
                    out.wish(Wish::Read(id));
                }
            }
            Fact::Writable { connection } => self.wish_to_write(connection, out),
            Fact::Bound { session, connection } => {
                if let Some(handle) = self.call_of(session) {
                    self.on_bound(handle, connection, now);
                }
            }
            Fact::Lost { session } => self.on_session_lost(session, now),
            Fact::Unbound { connection } => {
                self.count(Counter::MsrpUnbound);
                self.close_link(connection, out);
            }
            Fact::Begun { sending, chunk } => self.on_begun(sending, chunk),
            Fact::Gave { sending, octets, .. } => {
                if let Some((_, transfer)) = self.transfer_of(sending)
                    && let Some(ledger) = &mut transfer.ledger
                {
                    ledger.write(octets);
                }
            }
            Fact::Ended { sending, flag, .. } => self.on_ended(sending, flag, now, out),
            Fact::HandedOver { sending, chunk } => self.on_handed_over(sending, chunk, now),
            Fact::Responded { sending, chunk, code, .. } => {
                self.count(Counter::MsrpResponsesIn);
                if let Some(handle) = self.greeted(sending) {
                    return self.on_greeted(handle, Some(code), now);
                }
                let observe =
                    |from: u32| Observation::Response { chunk: from + chunk, status: code };
                self.observe(sending, observe, now, out);
            }
            Fact::Reported { sending, octets, total, code } => {
                self.count(Counter::MsrpReportsIn);
                let observe = |_| Observation::Report { octets, total, status: code };
                self.observe(sending, observe, now, out);
            }
            Fact::TimedOut { sending, chunk } => {
                self.count(Counter::MsrpTimeouts);
                if let Some(handle) = self.greeted(sending) {
                    return self.on_greeted(handle, None, now);
                }
                let observe = |from: u32| Observation::Timeout { chunk: from + chunk };
                self.observe(sending, observe, now, out);
            }
            Fact::Cut { sending, departed } => {
                if let Some(handle) = self.greeted(sending) {
                    return self.on_greeted(handle, None, now);
                }
                self.on_cut(sending, departed, now, out);
            }
            Fact::Arriving { incoming } => self.on_arriving(incoming, now),
            Fact::Received { incoming, total, .. } => self.on_received(incoming, total, now, out),
            Fact::Abandoned { incoming }
            | Fact::Declined { incoming, .. }
            | Fact::Dropped { incoming } => self.on_incoming_gone(incoming, now),
        }
    }

    /// The call whose session this is.
    fn call_of(&self, session: SessionId) -> Option<Handle<Call>> {
        self.sessions.as_deref()?.endpoint.session_owner(session).map(named)
    }

    /// The transfer whose message this is.
    fn transfer_of(&mut self, sending: SendingId) -> Option<(Handle<Transfer>, &mut Transfer)> {
        let sessions = self.sessions.as_deref_mut()?;
        let handle = sessions.endpoint.owner(sending).map(named)?;
        let transfer = sessions.transfers.get_mut(handle)?;
        (transfer.sending == Some(sending)).then_some((handle, transfer))
    }

    /// The session of a call has its connection.
    pub(super) fn on_bound(&mut self, handle: Handle<Call>, link: u16, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        call.link = Some(link);
        // Who has said BYE already is not waited for any longer because his connection is there.
        if !matches!(call.wait, Some((Wait::Farewell, _))) {
            call.wait = Some(match call.inward {
                None => (Wait::Sending, now),
                Some(_) => (Wait::Idle, now.plus_ms(SUBMISSION_IDLE_MS)),
            });
        }
        let is_sender = call.inward.is_none() && call.carry.is_none();
        if call.role == Role::Active && !is_sender {
            self.greet(handle);
        }
        self.wait_for_call(handle);
        if self.serving == Serving::Refusing {
            self.end_idle_call(handle, now);
        }
    }

    fn on_begun(&mut self, sending: SendingId, chunk: u32) {
        let Some((_, transfer)) = self.transfer_of(sending) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        // The session begins one only where the ledger may: both stop at the same facts.
        let number = ledger.begin();
        let Some(number) = number else { unreachable!("the session sends what is over") };
        if chunk == 0 {
            transfer.chunks_from = number;
        }
        assert_eq!(number, transfer.chunks_from + chunk, "chunks are counted together");
    }

    fn on_ended(&mut self, sending: SendingId, flag: Flag, now: Instant, out: &mut Departures) {
        let Some((handle, transfer)) = self.transfer_of(sending) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        ledger.end(match flag {
            Flag::More => End::More,
            Flag::Last => End::Last,
            Flag::Aborted => End::Abort,
        });
        if flag == Flag::Aborted {
            self.weigh(handle, now, out);
        }
    }

    fn on_handed_over(&mut self, sending: SendingId, chunk: u32, now: Instant) {
        let Some((_, transfer)) = self.transfer_of(sending) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        ledger.hand_over(transfer.chunks_from + chunk);
        // Once its verdict is told, only what was to follow at once is waited for.
        let is_awaited = ledger.is_all_sent() && transfer.record.is_some();
        let call = transfer.call.filter(|_| is_awaited);
        let sessions = self.sessions_mut();
        let until = now.plus_ms(sessions.setup.report_wait_ms);
        let Some(call) = call else { return };
        if let Some(it) = sessions.calls.get_mut(call)
            && !it.was_ended
        {
            it.wait = Some((Wait::Reports, until));
            self.wait_for_call(call);
        }
    }

    fn observe(
        &mut self,
        sending: SendingId,
        observation: impl FnOnce(u32) -> Observation,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some((handle, transfer)) = self.transfer_of(sending) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        ledger.observe(observation(transfer.chunks_from));
        self.weigh(handle, now, out);
    }

    /// The session of a message has ended before it was proved.
    fn on_cut(
        &mut self,
        sending: SendingId,
        departed: Departed,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some((handle, transfer)) = self.transfer_of(sending) else { return };
        let Some(ledger) = &mut transfer.ledger else { return };
        if departed != Departed::Nothing {
            ledger.depart();
        }
        let call = transfer.call;
        let sessions = self.sessions_mut();
        let call = call.and_then(|call| sessions.calls.get(call));
        let was_ended = call.is_some_and(|call| call.was_ended);
        let observation = if was_ended { Observation::Bye } else { Observation::Lost };
        if let Some((_, transfer)) = self.transfer_of(sending)
            && let Some(ledger) = &mut transfer.ledger
        {
            ledger.observe(observation);
        }
        self.weigh(handle, now, out);
        let left = self.sessions_mut().transfers.get(handle);
        if left.is_some_and(|transfer| transfer.record.is_none()) {
            // Its verdict is told, and nobody can say more of it.
            self.end_transfer(handle, now);
        }
    }

    /// The connection of a session is lost, and the session with it (RFC 4975 section 5.4).
    fn on_session_lost(&mut self, session: SessionId, now: Instant) {
        let Some(handle) = self.call_of(session) else { return };
        self.count(Counter::MsrpSessionsLost);
        let sessions = self.sessions_mut();
        if let Some(call) = sessions.calls.get_mut(handle) {
            call.link = None;
        }
        self.end_call(handle, now);
    }
}
