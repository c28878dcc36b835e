//! Sessions that stay for further messages of the same originator to the same recipient: what comes next
//! goes into the session that is there (TS 29.311 section 6.1.4.5). When it dies with a message in it, that
//! is sent once more in a session of its own, under the same Message-ID.

use super::facts::{name, named};
use super::{Call, Wait};
use crate::delivery::MsrpRole;
use crate::delivery::coverage::Ledger;
use crate::engine::record::Record;
use crate::engine::{Engine, Serving};
use crate::id::Handle;
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::store::Fingerprint;
use crate::time::Instant;

impl Engine {
    /// A session whose message is delivered waits for the next one. `false` where it is to be ended.
    pub(super) fn leave_idle(&mut self, handle: Handle<Call>, now: Instant) -> bool {
        let idle_ms = self.sessions_mut().setup.session_idle_ms;
        if self.serving == Serving::Refusing {
            return false;
        }
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return false };
        let is_over = call.is_ending || call.was_ended;
        let is_open = call.session.is_some() && call.link.is_some() && !is_over;
        if idle_ms == 0 || !is_open {
            return false;
        }
        let until = now.plus_ms(idle_ms);
        // The one that was used last is the one that is found; what gives way is ended by its own timer.
        sessions.idle.put_over(call.between, short_name(handle), now, until);
        call.transfer = None;
        call.wait = Some((Wait::Idle, until));
        self.wait_for_call(handle);
        true
    }

    /// Sends a message in the session that is there between these two. `false` if there is none, or it does
    /// not take the message. No departure.
    pub(in crate::engine) fn begin_in_session(
        &mut self,
        record: Handle<Record>,
        now: Instant,
        out: &mut Departures,
    ) -> bool {
        let Some(handle) = self.idle_between(record, now) else { return false };
        let Some(transfer_at) = self.begin_transfer(record) else { return false };
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return false };
        let (terms, peer, link) = (call.terms, call.leg.peer, call.link);
        call.transfer = Some(transfer_at);
        call.wait = Some((Wait::Sending, now));
        if let Some(transfer) = sessions.transfers.get_mut(transfer_at) {
            (transfer.call, transfer.content) = (Some(handle), terms.content);
        }
        let role = self.peers.get(peer).msrp.unwrap_or(MsrpRole::Relay);
        let size = self.compose(transfer_at, terms.content);
        let size = size.filter(|size| terms.size_max.is_none_or(|max| *size as u64 <= max));
        let is_sent = size.is_some_and(|size| {
            if let Some(transfer) = self.sessions_mut().transfers.get_mut(transfer_at) {
                let uris = usize::from(terms.uris);
                transfer.ledger = Some(Ledger::new(size as u64, role, uris));
            }
            self.send_in_session(handle, transfer_at, size).is_ok()
        });
        if !is_sent {
            let sessions = self.sessions_mut();
            sessions.transfers.remove(transfer_at);
            self.shorts[record.index as usize].transfer = None;
            self.leave_idle(handle, now);
            return false;
        }
        self.shorts[record.index as usize].call = Some(handle);
        self.count(Counter::LargeMessages);
        self.count(Counter::LargeInSession);
        if let Some(link) = link {
            self.wish_to_write(link, out);
        }
        self.wait_for_call(handle);
        self.wait(record);
        true
    }

    /// The session between the originator and the recipient of a short message that waits for a message.
    fn idle_between(&self, record: Handle<Record>, now: Instant) -> Option<Handle<Call>> {
        let sessions = self.sessions.as_deref()?;
        let between = self.between(record)?;
        let handle = named_short(sessions, sessions.idle.get(between, now)?)?;
        let call = sessions.calls.get(handle)?;
        let is_idle = matches!(call.wait, Some((Wait::Idle, _)));
        let peer = self.records.get(record)?.im.peer;
        (is_idle && call.between == between && call.leg.peer == peer).then_some(handle)
    }
}

impl Engine {
    /// The process is to end, and nothing new begins in a session: those that wait for something are ended,
    /// each by its timer. Where a message is under way its session goes on until that is told.
    pub(in crate::engine) fn end_idle_calls(&mut self) {
        let Some(capacity) = self.sessions.as_deref().map(|all| all.calls.capacity()) else {
            return;
        };
        for index in 0..capacity {
            if let Some(handle) = self.sessions_mut().calls.handle_at(index) {
                self.end_idle_call(handle, Instant::default());
            }
        }
    }

    /// The same for one, at that moment.
    pub(super) fn end_idle_call(&mut self, handle: Handle<Call>, at: Instant) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let is_idle = match call.wait {
            Some((Wait::Idle, _)) => call.submissions == 0,
            Some((Wait::Connection, _)) => call.inward.is_some(),
            _ => false,
        };
        if is_idle {
            call.wait = Some((Wait::Idle, at));
            self.wait_for_call(handle);
        }
    }
}

/// As much of the name of a call as a directory has room for.
pub(super) fn short_name(handle: Handle<Call>) -> u64 {
    let whole = name(handle);
    (whole >> 32 & 0xFF_FFFF) << 24 | whole & 0xFF_FFFF
}

pub(super) fn named_short(sessions: &super::Sessions, short: u64) -> Option<Handle<Call>> {
    let index = u32::try_from(short >> 24).ok()?;
    let handle = sessions.calls.handle_at(index)?;
    (short_name(handle) == short).then(|| named(name(handle)))
}

impl Engine {
    /// Who speaks to whom in a short message, under the key of this process.
    pub(in crate::engine) fn between(&self, record: Handle<Record>) -> Option<Fingerprint> {
        let known = self.records.get(record)?;
        let mut hasher = self.setup.key.hasher();
        hasher.word(BETWEEN);
        hasher.octets(known.uri.of(self.stored_octets(record, known)));
        self.with_originator(record, known, |_, from| {
            hasher.octets(from);
            hasher.finish()
        })
    }
}

/// Sets the key of a session apart from every other use of the same key.
const BETWEEN: u64 = 0xBE70_0000 << 32;
