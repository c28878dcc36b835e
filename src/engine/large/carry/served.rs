//! The INVITE of a caller: its server transaction, and its 2xx until the ACK (RFC 3261 sections 13.3.1.4 and
//! 17.2.1, RFC 6026).
//!
//! Whatever it is answered with is written once and kept until the caller has it: first the INVITE is in its
//! buffer, then its final response. The timer of the call sends that, because what led to it has taken the only
//! slot of its arrival: an ACK to the callee, or the 200 to a CANCEL.

use super::Store;
use crate::engine::back::Back;
use crate::engine::large::Call;
use crate::engine::large::invite::ms;
use crate::engine::record::{CALL_TAG, NEVER};
use crate::engine::request::Asked;
use crate::engine::setup::Timers;
use crate::engine::{Engine, Refusal};
use crate::id::Handle;
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::metrics::Counter;
use crate::packet::{Departures, Flow, Purse};
use crate::session::dialog::{Dialog, Names};
use crate::store::{Buffer, Fingerprint};
use crate::time::Instant;
use crate::transaction::branch::MAGIC_COOKIE;
use crate::transaction::invite_server::{Action, Event, State, timer_g_ms};
use crate::transaction::success;
use crate::wire::sip::{self, Extra, Message, Reply, Request, Source};

/// How long a message stays in the network, in milliseconds (RFC 3261 table 4, T4).
const T4_MS: u32 = 5_000;

/// An INVITE of a caller.
#[derive(Debug)]
pub(in crate::engine::large) struct Served {
    pub(super) fingerprint: Fingerprint,
    pub(super) cseq: u32,
    pub(super) state: State,
    /// When it entered its state.
    pub(super) entered: Instant,
    /// Where responses go, and where it came from.
    pub(super) flow: Flow,
    pub(super) source: Source,
    /// The INVITE, or its final response; none when that need not be sent again.
    pub(super) buffer: Option<Buffer>,
    pub(super) len: usize,
    /// The status of its last response.
    pub(super) status: u16,
    /// How often its final response was sent.
    pub(super) transmissions: u8,
    /// When that is sent again.
    pub(super) again: Instant,
    /// Its 2xx.
    pub(super) success: success::State,
}

impl Served {
    pub(super) fn new(asked: Asked<'_>, flow: Flow, buffer: Buffer) -> Self {
        let remote = asked.arrival.flow.remote;
        Self {
            fingerprint: asked.fingerprint,
            cseq: asked.request.fields.cseq,
            state: State::Fresh,
            entered: asked.now,
            flow,
            source: Source { ip: remote.ip, port: remote.port },
            buffer: Some(buffer),
            len: asked.request.octets.len(),
            status: 100,
            transmissions: 0,
            again: asked.now,
            success: success::State::Waiting,
        }
    }

    /// Whether it has no final response.
    pub(super) const fn is_pending(&self) -> bool {
        matches!(self.state, State::Fresh | State::Proceeding)
    }

    /// When something is to be done about it if nothing arrives.
    pub(super) fn due(&self, timers: Timers, is_reliable: bool) -> Instant {
        if self.is_pending() {
            return NEVER;
        }
        if self.transmissions == 0 {
            return Instant::default();
        }
        let again = match self.state {
            State::Completed if is_reliable => NEVER,
            State::Accepted if self.success != success::State::Waiting => NEVER,
            State::Completed | State::Accepted => self.again,
            State::Fresh | State::Proceeding | State::Confirmed | State::Terminated => NEVER,
        };
        let lifetime = self.state.lifetime_ms(is_reliable, timers.t1_ms, T4_MS);
        lifetime.map_or(again, |lifetime| again.min(self.entered.plus_ms(ms(lifetime))))
    }
}

impl Store {
    /// An INVITE is not known any more.
    pub(super) fn forget_invite(&mut self, served: Served, now: Instant) {
        self.invites.remove(served.fingerprint, now);
        if let Some(buffer) = served.buffer {
            self.asked.give(buffer);
        }
    }
}

impl Engine {
    fn served_mut(&mut self, handle: Handle<Call>) -> Option<&mut Served> {
        self.sessions.as_deref_mut()?.calls.get_mut(handle)?.carry.as_mut()?.served.as_mut()
    }

    /// The INVITE of the caller of a call.
    pub(super) fn served(&self, handle: Handle<Call>) -> Option<&Served> {
        self.sessions.as_deref()?.calls.get(handle)?.carry.as_ref()?.served.as_ref()
    }

    /// Whether the INVITE of a call has no final response.
    pub(in crate::engine::large) fn is_asked(&self, handle: Handle<Call>) -> bool {
        self.served(handle).is_some_and(Served::is_pending)
    }

    /// A copy of an INVITE: of what is written next its buffer may be overwritten.
    pub(super) fn invite_of(
        &self,
        handle: Handle<Call>,
    ) -> Option<([u8; DATAGRAM_SIZE_MAX], usize)> {
        let served = self.served(handle).filter(|served| served.is_pending())?;
        let store = self.sessions.as_deref()?.carried.as_ref()?;
        Some((*store.asked.octets(served.buffer?), served.len))
    }

    /// The INVITE of a caller came again.
    pub(in crate::engine) fn on_invite_again(
        &mut self,
        handle: Handle<Call>,
        asked: Asked<'_>,
        out: &mut Departures,
    ) {
        let Some(served) = self.served_mut(handle) else { return };
        let (action, status) = (served.state.on(Event::Request), served.status);
        match action {
            Action::SendTrying | Action::Repeat if status < 200 => {
                self.provide(handle, asked.request, status, out);
            }
            Action::Repeat => self.push_final(handle, out),
            Action::None
            | Action::Send
            | Action::SendTrying
            | Action::Ack
            | Action::Cancelled
            | Action::Failure
            | Action::TransportError
            | Action::Free => self.count(Counter::RequestsAbsorbed),
        }
    }

    /// A provisional response of ours, which is a function of the request and its status: what a callee
    /// says in his beside that is not passed on, since it may be lost without anybody noticing (RFC 3262).
    pub(super) fn provide(
        &self,
        handle: Handle<Call>,
        request: &Request<'_>,
        status: u16,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions.as_deref().and_then(|all| all.calls.get(handle)) else {
            return;
        };
        let Some(served) = self.served(handle) else { return };
        let mut uri = [0; crate::engine::large::invite::CONTACT_SIZE_MAX];
        let Some(uri) = self.contact(call, &mut uri) else { return };
        let tag = self.branch_of_call(handle, CALL_TAG);
        let is_early = status > 100;
        let contact = Extra::Contact { uri, parameters: b"" };
        let reply = Reply {
            status,
            reason: sip::reason_phrase(status),
            to_tag: if is_early { &tag[MAGIC_COOKIE.len()..] } else { &[] },
            source: served.source,
            record_route: is_early,
            extra: &[if is_early { contact } else { Extra::None }],
            ..Reply::default()
        };
        let to = Back::to(served.flow, Purse::Evidence, request.octets.len() + uri.len() + 512);
        if status == 100 {
            self.count(Counter::TryingOut);
        }
        self.send_back(to, out, |slot| {
            sip::respond(request, &reply, slot)
                .unwrap_or_else(|| unreachable!("a slot holds the longest datagram and its growth"))
        });
    }

    /// A provisional response of the callee, which the caller gets from us.
    pub(super) fn ring(
        &mut self,
        handle: Handle<Call>,
        status: u16,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(served) = self.served_mut(handle).filter(|served| served.is_pending()) else {
            return;
        };
        served.state.on(Event::Respond(status));
        served.status = status;
        let cseq = served.cseq;
        if let Some(call) = self.sessions_mut().calls.get_mut(handle)
            && call.dialog.is_none()
        {
            call.dialog = Dialog::of_request(status, cseq);
        }
        let Some((octets, len)) = self.invite_of(handle) else { return };
        if let Ok(Message::Request(request)) = sip::parse(&octets[..len]) {
            self.provide(handle, &request, status, out);
        }
        self.sessions_mut().wheel.start(handle.index, now);
    }

    /// The final response to the INVITE of a caller, which the timer sends.
    pub(super) fn settle_invite(
        &mut self,
        handle: Handle<Call>,
        (status, octets): (u16, &[u8]),
        now: Instant,
    ) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        let Some(served) = call.carry.as_mut().and_then(|side| side.served.as_mut()) else {
            return;
        };
        served.state.on(Event::Respond(status));
        (served.status, served.entered, served.len) = (status, now, octets.len());
        if let (Some(buffer), Some(store)) = (served.buffer, &mut sessions.carried) {
            store.asked.octets_mut(buffer)[..octets.len()].copy_from_slice(octets);
        }
        match &mut call.dialog {
            Some(dialog) => dialog.answer_invite(status),
            None => call.dialog = Dialog::of_request(status, served.cseq),
        }
        sessions.wheel.start(handle.index, now);
    }

    fn push_final(&self, handle: Handle<Call>, out: &mut Departures) {
        let Some(served) = self.served(handle) else { return };
        let store = self.sessions.as_deref().and_then(|all| all.carried.as_ref());
        let (Some(store), Some(buffer)) = (store, served.buffer) else { return };
        let octets = &store.asked.octets(buffer)[..served.len];
        let to = Back::to(served.flow, Purse::Evidence, octets.len());
        self.send_back(to, out, |slot| {
            slot[..octets.len()].copy_from_slice(octets);
            octets.len()
        });
    }

    /// Does one thing that is due for the INVITE of a caller. Whether there was one.
    pub(in crate::engine::large) fn on_served_due(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) -> bool {
        let timers = self.setup.timers;
        let transports = &self.setup.transports;
        let is_reliable = self.served(handle).is_some_and(|served| {
            transports.get(usize::from(served.flow.socket.0)).is_some_and(|it| it.is_reliable())
        });
        let Some(served) = self.served_mut(handle) else { return false };
        if served.due(timers, is_reliable) > now {
            return false;
        }
        if served.transmissions == 0 {
            self.transmit_final(handle, now, out);
            return true;
        }
        let lifetime = served.state.lifetime_ms(is_reliable, timers.t1_ms, T4_MS);
        let is_over = lifetime.is_some_and(|it| served.entered.plus_ms(ms(it)) <= now);
        match served.state {
            State::Accepted if served.success == success::State::Waiting => {
                let event = if is_over { success::Event::Timeout } else { success::Event::Again };
                match served.success.on(event) {
                    success::Action::Retransmit => self.transmit_final(handle, now, out),
                    success::Action::End => self.on_no_ack(handle, now),
                    success::Action::None | success::Action::Confirm => {}
                }
            }
            State::Completed if !is_over => {
                served.state.on(Event::TimerG);
                self.transmit_final(handle, now, out);
            }
            State::Completed => self.end_invite(handle, Event::TimerH, now),
            State::Confirmed => self.end_invite(handle, Event::TimerI, now),
            State::Accepted => self.end_invite(handle, Event::TimerL, now),
            State::Fresh | State::Proceeding | State::Terminated => return false,
        }
        true
    }

    fn transmit_final(&mut self, handle: Handle<Call>, now: Instant, out: &mut Departures) {
        let Timers { t1_ms, t2_ms } = self.setup.timers;
        let Some(served) = self.served_mut(handle) else { return };
        served.transmissions = served.transmissions.saturating_add(1);
        served.again = now.plus_ms(ms(timer_g_ms(served.transmissions, t1_ms, t2_ms)));
        self.push_final(handle, out);
    }

    /// No ACK has come to a 2xx, and none will: both sides are ended (section 13.3.1.4).
    fn on_no_ack(&mut self, handle: Handle<Call>, now: Instant) {
        let call = self.sessions_mut().calls.get_mut(handle);
        if let Some(dialog) = call.and_then(|call| call.dialog.as_mut()) {
            dialog.give_up_ack();
        }
        self.end_call(handle, now);
    }

    fn end_invite(&mut self, handle: Handle<Call>, event: Event, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(side) = sessions.calls.get_mut(handle).and_then(|call| call.carry.as_mut()) else {
            return;
        };
        let Some(mut served) = side.served.take() else { return };
        served.state.on(event);
        if let Some(store) = &mut sessions.carried {
            store.forget_invite(served, now);
        }
    }

    /// The ACK of a 2xx, which its dialog has taken.
    pub(in crate::engine::large) fn on_success_ack(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let Some(side) = sessions.calls.get_mut(handle).and_then(|call| call.carry.as_mut()) else {
            return;
        };
        let Some(served) = &mut side.served else { return };
        if served.state.on(Event::Ack) == Action::Ack
            && served.success.on(success::Event::Ack) == success::Action::Confirm
            && let (Some(buffer), Some(store)) = (served.buffer.take(), &mut sessions.carried)
        {
            store.asked.give(buffer);
        }
    }

    /// The ACK of an error, which belongs to its transaction (section 17.1.1.3). Whether it is one.
    pub(in crate::engine::large) fn on_error_ack(
        &mut self,
        handle: Handle<Call>,
        (names, cseq): (&Names<'_>, u32),
        now: Instant,
    ) -> bool {
        let call = self.sessions.as_deref_mut().and_then(|all| all.calls.get_mut(handle));
        let Some(call) = call.filter(|call| call.kept.is(names)) else { return false };
        let Some(served) = call.carry.as_mut().and_then(|side| side.served.as_mut()) else {
            return false;
        };
        if served.cseq != cseq || served.state != State::Completed {
            return false;
        }
        served.state.on(Event::Ack);
        served.entered = now;
        self.wait_for_call(handle);
        true
    }

    /// CANCEL of an INVITE that passes. Whether it is one.
    pub(in crate::engine) fn on_carried_cancel(
        &mut self,
        asked: Asked<'_>,
        out: &mut Departures,
    ) -> bool {
        let invite = self.fingerprint(asked.request, b"INVITE");
        let caller = self.caller_of(invite, asked.since);
        if let Some(caller) = caller {
            self.on_invite_cancelled(caller, asked, out);
        }
        caller.is_some()
    }

    /// CANCEL of the INVITE of a call: it is answered at once, and the INVITE 487 if that is in time (section
    /// 9.2).
    fn on_invite_cancelled(
        &mut self,
        handle: Handle<Call>,
        asked: Asked<'_>,
        out: &mut Departures,
    ) {
        let tag = self.branch_of_call(handle, CALL_TAG);
        let source = asked.arrival.flow.remote;
        let Some(served) = self.served_mut(handle) else { return };
        let (status, action) = (served.state.cancel_status(), served.state.on(Event::Cancel));
        let reply = Reply {
            status,
            reason: sip::reason_phrase(status),
            to_tag: &tag[MAGIC_COOKIE.len()..],
            source: Source { ip: source.ip, port: source.port },
            ..Reply::default()
        };
        let len_max = crate::engine::answer::answer_len_max(asked.request);
        let to = Back::to(self.reply_flow(asked), Purse::Evidence, len_max);
        self.send_back(to, out, |slot| {
            sip::respond(asked.request, &reply, slot)
                .unwrap_or_else(|| unreachable!("a slot holds the longest datagram and its growth"))
        });
        if action == Action::Cancelled {
            self.count(Counter::CancelsIn);
            self.end_call(handle, asked.now);
        }
    }

    /// An INVITE is refused for want of something that may be there later.
    pub(super) fn no_room_for_two(&mut self, asked: Asked<'_>, out: &mut Departures) {
        self.turn_away(asked, Counter::CarryNoRoom, out);
    }

    /// An INVITE whose offer cannot be carried.
    pub(super) fn not_acceptable(&self, asked: Asked<'_>, out: &mut Departures) {
        self.count(Counter::CarryUnacceptable);
        let agent = self.setup.sent_by_of(asked.arrival.flow.socket);
        let refusal = Refusal::new(488, "Not Acceptable Here");
        self.answer(asked, refusal, Extra::Warning { code: 304, agent }, out);
    }
}
