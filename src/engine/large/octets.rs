//! Octets of MSRP connections, in and out.

use super::{Call, Wait};
use crate::engine::Engine;
use crate::id::Handle;
use crate::metrics::Counter;
use crate::packet::{
    Certificate, ConnectionId, Departures, Endpoint, Flow, Owner, Purse, Rest, SocketId,
    StreamEvent, Used, Wish,
};
use crate::session::msrp::Step;
use crate::time::Instant;

/// Departures that may follow from one fact: the report of a message, and the BYE of its session.
const DEPARTURES_PER_FACT: usize = 2;

const _: () = assert!(crate::limits::STREAM_EVIDENCE_MIN >= DEPARTURES_PER_FACT);

impl Engine {
    /// Takes what happened to a connection of MSRP.
    ///
    /// # Panics
    ///
    /// Panics if no MSRP is set up, or the caller has not kept
    /// [`STREAM_EVIDENCE_MIN`](crate::limits::STREAM_EVIDENCE_MIN) evidence slots free.
    pub fn on_stream(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        assert!(out.free(Purse::Evidence) >= crate::limits::STREAM_EVIDENCE_MIN);
        match event {
            StreamEvent::Opened { flow, owner, certificate, at } => {
                self.on_opened(&flow, owner, certificate, at, out);
            }
            StreamEvent::Refused { owner, at } => self.on_unconnected(place_of(owner), at),
            StreamEvent::Arrived { id, octets, used, at } => {
                *used = self.on_octets(id, octets, at, out);
            }
            StreamEvent::Room { id, room, filled, at } => {
                *filled = self.fill(id, room, at, out);
            }
            StreamEvent::Written { id, octets, at } => {
                let sessions = self.sessions_mut();
                let Some(place) = sessions.links.of(id) else { return };
                sessions.endpoint.handed_over(place, octets, at);
                self.take_facts(at, out);
                self.wish_to_write(place, out);
            }
            StreamEvent::Lost { id, doubtful, at } => self.on_lost(id, doubtful, at, out),
        }
    }

    fn on_opened(
        &mut self,
        flow: &Flow,
        owner: Option<Owner>,
        certificate: Option<&Certificate>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(id) = flow.connection else { return };
        let sessions = self.sessions_mut();
        let place = match owner {
            Some(owner) => {
                let place = place_of(owner);
                sessions.links.opened(place, id);
                place
            }
            None => match sessions.links.accept(id, flow) {
                Some(place) => place,
                None => {
                    self.count(Counter::MsrpConnectionsRefused);
                    return out.wish(Wish::Close(id));
                }
            },
        };
        let sessions = self.sessions_mut();
        sessions.desk.proofs.show(place, certificate.copied());
        sessions.endpoint.connected(place, now);
        let mut next = sessions.links.get(place).waiting.take();
        let (mut has_refused, mut is_used) = (false, false);
        while let Some(handle) = next {
            let sessions = self.sessions_mut();
            let Some(call) = sessions.calls.get_mut(handle) else { break };
            next = call.next_waiting.take();
            call.is_waiting = false;
            let session = call.session;
            if session.is_some_and(|session| !sessions.desk.proofs.admits(session, place)) {
                has_refused = true;
                self.on_unproved(handle, now);
                continue;
            }
            is_used = true;
            // Whoever was to listen may have connected all the same: then the session has its connection.
            let endpoint = &mut sessions.endpoint;
            if session.is_some_and(|session| endpoint.bind(session, place)) {
                self.on_bound(handle, place, now);
            } else {
                self.wait_for_call(handle);
            }
        }
        if has_refused && !is_used {
            self.close_link(place, out);
        }
        self.wish_to_write(place, out);
    }

    /// The other end of the connection that a call has waited for is not who its SDP says: for this call it is
    /// as if nobody had been there.
    fn on_unproved(&mut self, handle: Handle<Call>, now: Instant) {
        self.count(Counter::MsrpWrongCertificate);
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get_mut(handle) else { return };
        let endpoint = &sessions.endpoint;
        if call.session.and_then(|session| endpoint.connection_of(session)).is_none() {
            call.link = None;
            call.wait = Some((Wait::Refused, now));
        }
        self.wait_for_call(handle);
    }

    /// A connection to there for a call, or the one that there is. `false` if there can be none.
    pub(super) fn connect(
        &mut self,
        handle: Handle<Call>,
        (remote, socket): (Endpoint, SocketId),
        now: Instant,
        out: &mut Departures,
    ) -> bool {
        let sessions = self.sessions_mut();
        let session = sessions.calls.get(handle).and_then(|call| call.session);
        // The certificate of who is there may have been renewed since: then he has another connection.
        let proofs = &sessions.desk.proofs;
        let is_his = |place| session.is_some_and(|session| proofs.admits(session, place));
        let (place, is_new) = match sessions.links.ours(remote, socket, is_his) {
            Some(place) => (place, false),
            None => match sessions.links.connect(remote, socket) {
                Some(place) => (place, true),
                None => return false,
            },
        };
        let Some(call) = sessions.calls.get_mut(handle) else { return false };
        call.link = Some(place);
        if sessions.links.get(place).id.is_some() {
            if let Some(session) = session {
                sessions.endpoint.bind(session, place);
            }
            self.on_bound(handle, place, now);
            self.wish_to_write(place, out);
            return true;
        }
        call.is_waiting = true;
        call.next_waiting = sessions.links.get(place).waiting.replace(handle);
        if is_new {
            let owner = Owner(u64::from(place));
            out.wish(Wish::Connect { flow: Flow::to(remote, socket), owner });
        }
        true
    }

    /// No connection could be opened: for the calls that wait for it, there will be none.
    fn on_unconnected(&mut self, place: u16, now: Instant) {
        self.count(Counter::MsrpConnectionsFailed);
        let mut next = self.sessions_mut().links.remove(place);
        while let Some(handle) = next {
            let sessions = self.sessions_mut();
            let Some(call) = sessions.calls.get_mut(handle) else { return };
            next = call.next_waiting.take();
            call.is_waiting = false;
            let endpoint = &sessions.endpoint;
            if call.session.and_then(|session| endpoint.connection_of(session)).is_none() {
                call.link = None;
                // Many may have waited for it: what follows for each takes a slot, so that each has its
                // turn.
                call.wait = Some((Wait::Refused, now));
            }
            self.wait_for_call(handle);
        }
    }

    fn on_octets(
        &mut self,
        id: ConnectionId,
        octets: &[u8],
        now: Instant,
        out: &mut Departures,
    ) -> Used {
        let all = Used { octets: octets.len(), rest: Rest::WithMore };
        let Some(place) = self.sessions_mut().links.of(id) else { return all };
        if self.sessions_mut().links.get(place).is_closing {
            // Nothing behind what cannot be divided is read.
            return all;
        }
        let mut at = 0;
        let rest = loop {
            if !self.take_facts(now, out) {
                self.sessions_mut().links.get(place).is_behind = true;
                break Rest::WhenWished;
            }
            let sessions = self.sessions_mut();
            let read = sessions.endpoint.read(place, &octets[at..], &mut sessions.desk, now);
            at += read.len;
            match read.step {
                Step::Used | Step::Body { .. } => {}
                Step::Partial => break Rest::WithMore,
                Step::Behind => {
                    sessions.links.get(place).is_behind = true;
                    break Rest::WhenWished;
                }
                // It is shown again when what it waits for has left.
                Step::Stopped => break Rest::WhenWished,
                Step::Early => {
                    sessions.links.get(place).is_early = true;
                    break Rest::WhenWished;
                }
                Step::Unproved => {
                    self.count(Counter::MsrpWrongCertificate);
                    self.close_link(place, out);
                    return all;
                }
                Step::Broken => {
                    self.count(Counter::MsrpBroken);
                    self.close_link(place, out);
                    return all;
                }
            }
        };
        self.take_facts(now, out);
        self.wish_to_write(place, out);
        Used { octets: at, rest }
    }

    /// Writes what there is to write, as far as there is room.
    fn fill(
        &mut self,
        id: ConnectionId,
        room: &mut [u8],
        now: Instant,
        out: &mut Departures,
    ) -> usize {
        let Some(place) = self.sessions_mut().links.of(id) else { return 0 };
        let mut at = 0;
        loop {
            let sessions = self.sessions_mut();
            let len = sessions.endpoint.write(place, &mut room[at..], &mut sessions.desk);
            at += len;
            // Where facts wait, more may be written when they are taken.
            if !self.take_facts(now, out) || len == 0 {
                break;
            }
        }
        let sessions = self.sessions_mut();
        let link = sessions.links.get(place);
        if at == 0 {
            link.is_writing = false;
        }
        // What was waited for is answered: whoever was behind may say more.
        if at > 0 && core::mem::take(&mut link.is_behind) {
            out.wish(Wish::Read(id));
        }
        at
    }

    fn on_lost(&mut self, id: ConnectionId, doubtful: u64, now: Instant, out: &mut Departures) {
        let sessions = self.sessions_mut();
        let Some(place) = sessions.links.of(id) else { return };
        sessions.endpoint.lost(place, doubtful);
        self.take_facts(now, out);
        self.sessions_mut().links.remove(place);
    }

    /// Wishes to write on a connection, if there is something to write and that was not wished before.
    pub(super) fn wish_to_write(&mut self, place: u16, out: &mut Departures) {
        let sessions = self.sessions_mut();
        if !sessions.endpoint.has_output(place) {
            return;
        }
        let link = sessions.links.get(place);
        if let Some(id) = link.id
            && !core::mem::replace(&mut link.is_writing, true)
        {
            out.wish(Wish::Write(id));
        }
    }

    /// Shows again what could not be judged before the peer of a session was known.
    pub(super) fn read_early(&mut self, out: &mut Departures) {
        let sessions = self.sessions_mut();
        for place in sessions.links.taken() {
            let link = sessions.links.get(place);
            if core::mem::take(&mut link.is_early)
                && let Some(id) = link.id
            {
                out.wish(Wish::Read(id));
            }
        }
    }

    /// Goes on where there was no room for what follows from it.
    pub(super) fn catch_up(&mut self, now: Instant, out: &mut Departures) {
        let Some(sessions) = self.sessions.as_deref() else { return };
        if !sessions.is_behind || !self.take_facts(now, out) {
            return;
        }
        for place in self.sessions_mut().links.taken() {
            let link = self.sessions_mut().links.get(place);
            if core::mem::take(&mut link.is_behind)
                && let Some(id) = link.id
            {
                out.wish(Wish::Read(id));
            }
            self.wish_to_write(place, out);
        }
    }

    /// Closes a connection, when what was written before has left.
    pub(super) fn close_link(&mut self, place: u16, out: &mut Departures) {
        let link = self.sessions_mut().links.get(place);
        if let Some(id) = link.id
            && !core::mem::replace(&mut link.is_closing, true)
        {
            out.wish(Wish::Close(id));
        }
    }

    /// Whether facts may wait no longer: there is room for what follows from one.
    pub(super) fn has_room_for_a_fact(out: &Departures) -> bool {
        out.free(Purse::Evidence) >= DEPARTURES_PER_FACT
    }
}

/// The place of a connection that was wished for.
fn place_of(owner: Owner) -> u16 {
    u16::try_from(owner.0).unwrap_or(u16::MAX)
}
