//! Sessions in which the other end waits for us, and nothing of ours is to be said at first: for the SMS side,
//! where the offer says `a=setup:passive` (RFC 4145 section 4.1, RFC 6135 section 4.2.2), and those that pass.
//!
//! The first thing said is a SEND without a body, which shows the other end which session the connection is
//! for (RFC 4975 section 5.4): nobody could send to us before.

use super::facts::{name, named};
use super::{Call, Wait};
use crate::engine::Engine;
use crate::id::Handle;
use crate::limits::MSRP_IDENT_SIZE_MAX;
use crate::metrics::Counter;
use crate::packet::{Departures, Endpoint, SocketId};
use crate::session::msrp::{Message, SendingId};
use crate::time::Instant;
use crate::wire::msrp::FailureReport;
use crate::wire::sip;

/// How far we have come to the other end, where that is for us to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Approach {
    /// There it is, and from this socket it is connected to.
    Known(Endpoint, SocketId),
    /// The SEND without a body.
    Greeting(SendingId),
}

impl Engine {
    /// The ACK to our answer is there: connects, if that was left to us. By then our answer is known, and with
    /// it who it is that comes. No departure.
    pub(super) fn approach(&mut self, handle: Handle<Call>, now: Instant, out: &mut Departures) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let Some(Approach::Known(remote, socket)) = call.approach.filter(|_| !call.is_ending)
        else {
            return;
        };
        call.approach = None;
        if !self.connect(handle, (remote, socket), now, out)
            && let Some(call) = self.sessions_mut().calls.get_mut(handle)
        {
            // There is no place for another connection.
            call.wait = Some((Wait::Refused, now));
        }
    }

    /// The session of a call has the connection that we have opened for it.
    pub(super) fn greet(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        let Some(session) = call.session else { return };
        let [low, high] = sessions.desk.minted(GREETING, name(handle)).0;
        let mut message_id = [0; MSRP_IDENT_SIZE_MAX];
        let (first, second) = message_id.split_at_mut(MSRP_IDENT_SIZE_MAX / 2);
        first.copy_from_slice(&sip::tag(low));
        second.copy_from_slice(&sip::tag(high));
        let message = Message {
            owner: name(handle),
            message_id: &message_id,
            content_type: None,
            size: 0,
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        call.approach = sessions.endpoint.send(session, &message).ok().map(Approach::Greeting);
    }

    /// The call whose greeting this is.
    pub(super) fn greeted(&self, sending: SendingId) -> Option<Handle<Call>> {
        let sessions = self.sessions.as_deref()?;
        let handle = sessions.endpoint.owner(sending).map(named::<Call>)?;
        let call = sessions.calls.get(handle)?;
        matches!(call.approach, Some(Approach::Greeting(it)) if it == sending).then_some(handle)
    }

    /// A greeting is answered, or its answer is waited for no longer. Whoever does not know the session will
    /// send nothing in it; where a session passes, whoever says nothing is not there for the other side either.
    pub(super) fn on_greeted(&mut self, handle: Handle<Call>, code: Option<u16>, now: Instant) {
        self.forget_greeting(handle);
        let is_carried = self.is_carried(handle);
        if code == Some(200) || (code.is_none() && !is_carried) || self.is_ending(handle) {
            return;
        }
        if is_carried {
            self.count(Counter::CarryEnded);
        }
        self.end_call(handle, now);
    }

    /// Nobody asks about the greeting of a call any more.
    pub(super) fn forget_greeting(&mut self, handle: Handle<Call>) {
        let sessions = self.sessions_mut();
        let approach = sessions.calls.get_mut(handle).and_then(|call| call.approach.take());
        if let Some(Approach::Greeting(sending)) = approach {
            sessions.endpoint.forget(sending);
        }
    }
}

/// Sets what is minted apart from every other use of the same key.
const GREETING: u64 = 0x5B16_0000 << 32;
