//! Sessions that pass through: a back-to-back user agent for INVITE and MSRP between two IM sides.
//!
//! ```text
//!   caller                        we                         callee
//!     | INVITE, offer              |                            |
//!     |--------------------------->| 100   INVITE, offer        |
//!     |<---------------------------|--------------------------->|     two calls, each the other's
//!     | 180                        |                        180 |
//!     |<---------------------------|<---------------------------|
//!     | 200, answer                |                200, answer |     both sessions are joined
//!     |<---------------------------|<---------------------------|
//!     | ACK                        | ACK                        |
//!     |--------------------------->|--------------------------->|
//!     |=========== MSRP ===========|=========== MSRP ===========|     crate::session::msrp::Endpoint::join
//!     | BYE                        | BYE                        |
//!     |--------------------------->|--------------------------->|
//! ```
//!
//! Each side is a dialog of its own with a [`Call`] of its own, and each has a session of its own, in which we
//! are an end: connections, their direction and all URIs are of one side. What both ends have to know of each
//! other is in our descriptions as it was in theirs. Whatever ends one call ends the other.
//!
//! A description that changes in a dialog is refused with 488 and all stays as it was (RFC 3261 section
//! 14.2): what changes in a session of MSRP is where it leads or what may be sent in it, which makes it
//! another session; whoever wants that sets one up. The same description again keeps a session alive, and is
//! answered on its side.
//!
//! What is proved of each message that passes is told in an account of its own ([`proof`]). We send no report:
//! its sender has the responses and REPORTs of its recipient.

mod answer;
mod describe;
mod joined;
mod onward;
mod proof;
mod served;

use self::proof::Passage;
pub(super) use self::served::Served;
use super::idle::{named_short, short_name};
use super::{Call, Sessions};
use crate::engine::record::{CALL_ATTEMPTS_MAX, Leg, NEVER};
use crate::engine::{Engine, setup};
use crate::id::Handle;
use crate::limits::{
    CARRIED_INVITES_SHARE, CARRIED_RINGING_MS, CARRIED_SAID_SIZE_MAX, DATAGRAM_SIZE_MAX,
};
use crate::session::dialog::Kept;
use crate::session::msrp::Carrying;
use crate::session::negotiation::Role;
use crate::store::{Buffer, Directory, Fingerprint, Pool, Slab};
use crate::time::{Instant, Wheel};

/// What only joined sessions need, allocated at the start.
#[derive(Debug)]
pub(super) struct Store {
    /// Calls towards callers, by their INVITE.
    invites: Directory,
    /// INVITEs of callers, and then what they were answered with.
    asked: Pool<DATAGRAM_SIZE_MAX>,
    /// What we have said of each session.
    said: Pool<CARRIED_SAID_SIZE_MAX>,
    passages: Slab<Passage>,
    /// When REPORTs are waited for no longer.
    wheel: Wheel,
    /// The passage of each message that is being carried, by the place of that.
    running: Box<[Option<Handle<Passage>>]>,
    /// The passages of those of which only REPORTs may come.
    waiting: Directory,
    waiting_count: u32,
    /// When calls are looked through for sessions that are to be ended, and from which place on.
    parting: (Instant, u32),
}

/// What one side of two has beside its call.
#[derive(Debug)]
pub(super) struct Side {
    /// The call of the other side, while it is there.
    other: Option<Handle<Call>>,
    /// The INVITE of the caller, for as long as it may be answered; none towards the callee.
    served: Option<Served>,
    said: Option<Said>,
    /// What makes a second visit of our INVITE a loop.
    loop_hash: u32,
    /// When the callee was heard of last.
    heard: Instant,
    /// Messages that have come or leave in its session and are not over.
    under_way: u32,
    /// The first of those that have left in its session and whose REPORTs are waited for.
    awaited: Option<Handle<Passage>>,
    /// Whether it is towards the caller.
    is_caller: bool,
}

/// What we have said of a session, one after the other in one buffer.
#[derive(Clone, Copy, Debug)]
struct Said {
    buffer: Buffer,
    /// Octets of our description.
    description: usize,
    /// Of the values of Route behind it.
    routes: usize,
    /// Of the preferences of the caller behind these.
    preferences: usize,
}

/// Passages for each message that may be carried: its own, and one that waits for REPORTs.
const PASSAGES_EACH: u32 = 2;

/// What the time is counted in for which REPORTs are waited for, in milliseconds.
const WAIT_TICK_MS: u32 = 1_024;

/// How long an INVITE is found by its copies if nothing ends it, in milliseconds: longer than anybody rings.
const INVITE_MS: u32 = 8 * CARRIED_RINGING_MS;

/// What the endpoint carries.
pub(super) const fn rules(large: &setup::Large) -> Carrying {
    if large.carried_max == 0 {
        return Carrying::NOTHING;
    }
    Carrying {
        joins_max: large.sessions_max.div_ceil(2),
        messages_max: large.carried_max,
        ring_size: large.carried_ring as usize,
    }
}

impl Store {
    /// Allocates and touches everything; nothing where nothing is carried.
    pub(super) fn new(large: &setup::Large, now: Instant) -> Option<Self> {
        let (calls, messages) = (large.sessions_max, large.carried_max);
        if messages == 0 {
            return None;
        }
        let passages = messages * PASSAGES_EACH;
        Some(Self {
            invites: Directory::with_tick(calls.div_ceil(2), WAIT_TICK_MS, now),
            asked: Pool::new(calls.div_ceil(CARRIED_INVITES_SHARE)),
            said: Pool::new(calls),
            passages: Slab::new(passages),
            wheel: Wheel::new(passages, now),
            running: core::iter::repeat_n(None, messages as usize).collect(),
            // At half the load there is room for each, as good as always.
            waiting: Directory::with_tick(messages.saturating_mul(2), WAIT_TICK_MS, now),
            waiting_count: 0,
            parting: (NEVER, 0),
        })
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        let passages = self.passages.capacity() as usize;
        self.invites.size()
            + self.waiting.size()
            + self.asked.size()
            + self.said.size()
            + passages * (Slab::<Passage>::entry_size() + Wheel::entry_size())
            + size_of_val(&*self.running)
    }
}

impl Sessions {
    /// Whether there is room for two calls whose sessions are joined.
    fn has_room_for_two(&self) -> bool {
        let is_free = self.calls.capacity() - self.calls.len() >= 2;
        let store = self.carried.as_ref();
        is_free && store.is_some_and(|it| it.asked.free() > 0 && it.said.free() >= 2)
    }

    /// The call of the other side.
    pub(super) fn other_side(&self, handle: Handle<Call>) -> Option<Handle<Call>> {
        self.calls.get(handle)?.carry.as_ref()?.other
    }

    /// Our description in the session of a call, as it was said.
    pub(super) fn said_description(&self, handle: Handle<Call>) -> Option<&[u8]> {
        let said = self.calls.get(handle)?.carry.as_ref()?.said?;
        self.carried.as_ref()?.said.octets(said.buffer).get(..said.description)
    }

    /// The values of Route and the preferences that an INVITE of ours has, and its CANCEL.
    pub(super) fn said_besides(&self, call: &Call) -> Option<(&[u8], &[u8])> {
        let said = call.carry.as_ref()?.said?;
        let octets = self.carried.as_ref()?.said.octets(said.buffer);
        let behind = octets.get(said.description..)?;
        let (routes, behind) = behind.split_at_checked(said.routes)?;
        Some((routes, behind.get(..said.preferences)?))
    }

    /// A call is gone: what it had is given back.
    pub(super) fn release_side(&mut self, side: Side, now: Instant) {
        let other = side.other.and_then(|other| self.calls.get_mut(other));
        if let Some(other) = other.and_then(|other| other.carry.as_mut()) {
            other.other = None;
        }
        let Some(store) = &mut self.carried else { return };
        if let Some(said) = side.said {
            store.said.give(said.buffer);
        }
        if let Some(served) = side.served {
            store.forget_invite(served, now);
        }
    }
}

impl Side {
    /// Whether what is said in its session may still prove something.
    pub(super) const fn may_prove(&self) -> bool {
        self.under_way > 0 || self.awaited.is_some()
    }

    /// Whether REPORTs are waited for.
    pub(super) const fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Whether nothing more is to be done for it than for any call.
    pub(super) const fn is_over(&self) -> bool {
        self.served.is_none() && self.awaited.is_none()
    }

    /// When something is to be done about the INVITE of the caller.
    pub(super) fn due(&self, timers: setup::Timers, is_reliable: bool) -> Instant {
        self.served.as_ref().map_or(NEVER, |served| served.due(timers, is_reliable))
    }
}

impl Call {
    /// One side of two.
    fn of_side(leg: Leg, kept: Kept, side: Side) -> Self {
        let now = leg.sent;
        let is_caller = side.is_caller;
        let mut call = Self { kept, role: Role::Passive, carry: Some(side), ..Self::new(leg, now) };
        if is_caller {
            call.invite = super::NO_INVITE;
        }
        call
    }

    /// Until when a final response to its INVITE is waited for.
    pub(super) fn answer_by(&self, invite_wait_ms: u32) -> Instant {
        match &self.carry {
            Some(side) => side.heard.plus_ms(CARRIED_RINGING_MS),
            None => self.leg.sent.plus_ms(invite_wait_ms),
        }
    }
}

impl Engine {
    /// Whether sessions pass through.
    pub(in crate::engine) fn carries(&self) -> bool {
        self.sessions.as_deref().is_some_and(|all| all.carried.is_some())
    }

    /// Whether a call is one side of two.
    pub(super) fn is_carried(&self, handle: Handle<Call>) -> bool {
        self.sessions
            .as_deref()
            .and_then(|all| all.calls.get(handle))
            .is_some_and(|call| call.carry.is_some())
    }

    /// The call towards the caller whose INVITE this is.
    pub(in crate::engine) fn caller_of(
        &self,
        invite: Fingerprint,
        now: Instant,
    ) -> Option<Handle<Call>> {
        let sessions = self.sessions.as_deref()?;
        let short = sessions.carried.as_ref()?.invites.get(invite, now)?;
        named_short(sessions, short)
    }

    /// What a request in a transaction of INVITE says in its branch of loops.
    pub(super) fn loop_hash_of(&self, handle: Handle<Call>, attempt: u8) -> u32 {
        if attempt > CALL_ATTEMPTS_MAX {
            return 0;
        }
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        call.and_then(|call| call.carry.as_ref()).map_or(0, |side| side.loop_hash)
    }

    fn remember_invite(&mut self, invite: Fingerprint, handle: Handle<Call>, now: Instant) -> bool {
        let end = now.plus_ms(INVITE_MS);
        let store = self.sessions_mut().carried.as_mut();
        store.is_some_and(|it| it.invites.put(invite, short_name(handle), now, end).is_ok())
    }
}
