//! Responses to the requests of a call: to its INVITE, its CANCEL and its BYE (RFC 3261 sections 13.2.2 and
//! 17.1.1, RFC 6026).

use super::{Call, FORKS_MAX, Inside, Outcome};
use crate::delivery::{Asked, Evidence};
use crate::engine::Engine;
use crate::engine::back::carried;
use crate::engine::record::{CALL_ACK, CALL_ATTEMPTS_MAX, CALL_INSIDE, Leg};
use crate::engine::response::Last;
use crate::engine::route::{Hop, Way};
use crate::id::Handle;
use crate::limits::{SERVER_AVOIDED_MAX_S, SLOT_SIZE};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Arrival, Departure, Departures, JournalSeq, Purse};
use crate::session::dialog::{Dialog, Kept, Names};
use crate::time::Instant;
use crate::transaction::branch::Branch;
use crate::transaction::invite_client::{Action, Client, Event, State};
use crate::transaction::non_invite_client;
use crate::wire::sip::{self, Method, Originate, Party, Response, uri};

impl Engine {
    /// A response to a request of a call.
    pub(in crate::engine) fn on_call_response(
        &mut self,
        response: &Response<'_>,
        arrival: &Arrival<'_>,
        peer: u8,
        branch: Branch,
        out: &mut Departures,
    ) {
        let handle = Handle::new(branch.index, branch.generation);
        let method = response.fields.cseq_method;
        let leg =
            self.sessions.as_deref().and_then(|all| all.calls.get(handle)).and_then(|call| match (
                method,
                &call.inside,
            ) {
                (Method::Invite, _) => Some(call.leg),
                (_, Some(inside)) if inside.method == method => Some(inside.leg),
                (_, Some(_) | None) => None,
            });
        let Some(leg) = leg else {
            let is_final = response.status >= 200;
            return self.count(match is_final {
                true => Counter::DroppedResponseRepeated,
                false => Counter::ProvisionalIn,
            });
        };
        // What comes for an attempt that is over is acknowledged and ended, no more.
        let is_present = leg.attempt == branch.attempt;
        let expected = match is_present {
            true => leg,
            false => self.earlier(leg, response, arrival, peer),
        };
        if let Some(drop) = self.mismatch(&expected, (method, true), response, arrival, peer) {
            return self.count(drop);
        }
        let last = Last { response, status: response.status, at: arrival.at };
        match (method, is_present) {
            (Method::Invite, true) => self.on_invite_response(handle, last, peer, out),
            (Method::Invite, false) if last.status >= 300 => {
                self.acknowledge_error(handle, branch.attempt, arrival.flow.remote, last, out);
            }
            (Method::Invite, false) if last.status >= 200 => {
                self.on_fork(handle, expected, last, out);
                self.wait_for_call(handle);
            }
            (_, true) => self.on_inside_response(handle, last),
            (_, false) => self.count(Counter::DroppedResponseRepeated),
        }
    }

    /// The attempt at an INVITE that a response is for, while another one is under way: which one it was its
    /// branch proves, and it went where its response comes from, if somebody is there who is called.
    fn earlier(&self, leg: Leg, response: &Response<'_>, arrival: &Arrival<'_>, peer: u8) -> Leg {
        let cseq = response.fields.cseq;
        let remote = arrival.flow.remote;
        let transport = self.setup.transport_of(arrival.flow.socket);
        let socket = self.setup.request_sockets.to(remote, transport);
        let is_called = peer == leg.peer || self.peers.get(peer).msrp.is_some();
        match socket.filter(|_| is_called) {
            Some(socket) => Leg { cseq, peer, way: Way { remote, socket }, ..leg },
            None => Leg { cseq, ..leg },
        }
    }

    fn on_invite_response(
        &mut self,
        handle: Handle<Call>,
        last: Last<'_>,
        peer: u8,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let (before, attempt, remote) = (call.invite.state, call.leg.attempt, call.leg.way.remote);
        let action = call.invite.on(Event::Response(last.status));
        if call.invite.state != before {
            call.entered = last.at;
        }
        self.note_status(handle, last.status);
        match action {
            Action::Success { is_wanted, .. } => {
                if before != State::Accepted {
                    PeerTally::add(&self.peer_tally(peer).finals_in);
                }
                self.on_success(handle, last, is_wanted, out);
            }
            Action::AckThenFinal(_) => {
                PeerTally::add(&self.peer_tally(peer).finals_in);
                self.acknowledge_error(handle, attempt, remote, last, out);
                self.on_invite_error(handle, last);
            }
            Action::Ack => self.acknowledge_error(handle, attempt, remote, last, out),
            Action::ProvisionalThenCancel(_) => {
                self.count(Counter::ProvisionalIn);
                self.begin_cancel(handle, last.at, out);
            }
            Action::Provisional(_) if self.on_callee_rings(handle, last, out) => {}
            Action::Provisional(_) | Action::None => self.count(Counter::ProvisionalIn),
            Action::Cancel
            | Action::Retransmit
            | Action::Timeout
            | Action::TransportError
            | Action::Free => unreachable!("no response leads to that"),
        }
        self.wait_for_call(handle);
    }

    /// An error: another server, the same with credentials, or that is what is known.
    fn on_invite_error(&mut self, handle: Handle<Call>, last: Last<'_>) {
        let again = self.is_wanted(handle)
            && match last.status {
                401 | 407 => self.authorize_call(handle, last),
                503 => {
                    self.avoid_server(handle, last);
                    self.next_call_server(handle, Asked::Again, last.at)
                }
                _ => false,
            };
        if again {
            // Its slot is taken by the ACK: the timer is due at once, and sends it.
            return;
        }
        if self.is_carried(handle) {
            return self.on_callee_error(handle, last);
        }
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        let Some(call) = call else { return };
        let role = self.peers.get(call.leg.peer).role;
        let asked = call.leg.asked;
        let evidence = Evidence::Invite(last.evidence(role, asked));
        self.set_outcome(handle, evidence, false, last.at);
    }

    /// Whether the message still waits for what its INVITE comes to.
    pub(super) fn is_wanted(&self, handle: Handle<Call>) -> bool {
        let Some(sessions) = self.sessions.as_deref() else { return false };
        sessions.calls.get(handle).is_some_and(|call| {
            if let Some(caller) = sessions.other_side(handle) {
                return !call.is_ending && call.outcome.is_none() && self.is_asked(caller);
            }
            let transfer = call.transfer.and_then(|transfer| sessions.transfers.get(transfer));
            !call.is_ending
                && call.outcome.is_none()
                && transfer.is_some_and(|transfer| transfer.record.is_some())
        })
    }

    fn avoid_server(&self, handle: Handle<Call>, last: Last<'_>) {
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        if let Some(server) = call.and_then(|call| call.leg.server)
            && let Some(seconds) = last.response.fields.retry_after
        {
            let until = last.at.plus_ms(seconds.min(SERVER_AVOIDED_MAX_S) * 1_000);
            self.neighbours.avoid(usize::from(server), until);
            self.count(Counter::ServersAvoided);
        }
    }

    /// Turns to the next server of the list, if there is one.
    pub(super) fn next_call_server(
        &mut self,
        handle: Handle<Call>,
        asked: Asked,
        now: Instant,
    ) -> bool {
        let call = self.sessions.as_deref().and_then(|all| all.calls.get(handle));
        let Some(server) = call.and_then(|call| call.leg.server) else { return false };
        let Some(hop) = self.next_server_at(usize::from(server) + 1, now) else { return false };
        if self.peers.get(hop.peer).msrp.is_none() {
            return false;
        }
        let again = self.begin_invite_again(handle, Some(&hop), asked);
        if again {
            self.count(Counter::NextServer);
        }
        again
    }

    /// Prepares another attempt of the INVITE, which the timer sends.
    pub(super) fn begin_invite_again(
        &mut self,
        handle: Handle<Call>,
        hop: Option<&Hop>,
        asked: Asked,
    ) -> bool {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return false };
        if call.leg.attempt >= CALL_ATTEMPTS_MAX {
            return false;
        }
        let given = if hop.is_some_and(|hop| hop.peer != call.leg.peer) {
            call.leg.authorization.take()
        } else {
            None
        };
        call.leg.begin_again(hop, asked);
        call.invite = Client::new();
        if let Some(buffer) = given {
            self.authorizations.give(buffer);
        }
        true
    }

    /// A 2xx: each has its ACK, and what is not used its BYE (section 13.2.2.4).
    fn on_success(
        &mut self,
        handle: Handle<Call>,
        last: Last<'_>,
        is_wanted: bool,
        out: &mut Departures,
    ) {
        let (octets, fields) = (last.response.octets, &last.response.fields);
        let Some(call) = self.sessions_mut().calls.get(handle) else { return };
        let tag = fields.to_tag.of(octets);
        let is_first = call.dialog.is_none();
        if !is_first && call.kept.names().remote_tag != tag {
            let leg = call.leg;
            return self.on_fork(handle, leg, last, out);
        }
        if !is_first {
            // Its ACK was lost, or crossed with this copy.
            self.count(Counter::DroppedResponseRepeated);
            return self.acknowledge(handle, out);
        }
        let Some(kept) = kept_of(call, last.response) else {
            self.count(Counter::DialogsTooLong);
            return self.set_outcome(handle, Evidence::AnswerUnusable, false, last.at);
        };
        let cseq = call.leg.cseq;
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.kept = kept;
            call.dialog = Dialog::of_response(last.status, cseq);
        }
        self.count(Counter::CallsAnswered);
        self.acknowledge(handle, out);
        if is_wanted && self.is_wanted(handle) && self.is_carried(handle) {
            return self.on_callee_answer(handle, last, out);
        }
        if is_wanted && self.is_wanted(handle) {
            let is_sdp = fields.content_type.of(octets);
            let body = if is_description(is_sdp) { fields.body.of(octets) } else { &[] };
            return self.on_answer(handle, body, last.at, out);
        }
        self.end_call(handle, last.at);
    }

    /// Another branch of a fork has answered, too, or an attempt that was over: it gets an ACK and, once, a
    /// BYE, if there is room for both.
    fn on_fork(&mut self, handle: Handle<Call>, leg: Leg, last: Last<'_>, out: &mut Departures) {
        let tag = last.response.fields.to_tag.of(last.response.octets);
        let [known, _] = self.hash_of_tag(tag);
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let Some(kept) = kept_of(call, last.response) else {
            return self.count(Counter::DialogsTooLong);
        };
        if call.forks.contains(&known) {
            return self.push_ack(handle, &kept, (leg, leg.cseq), out);
        }
        let place = call.forks.iter().position(|fork| *fork == 0);
        let fork = call.beside(kept, leg, last.status);
        // Without room for its BYE it gets no ACK: it comes again, and whoever never gets an ACK ends the
        // dialog himself (section 13.3.1.4). Acknowledged, it would be there for ever.
        let Some(place) = place else { return self.count(Counter::LargeNoRoom) };
        let Ok(beside) = self.sessions_mut().calls.insert(fork) else {
            return self.count(Counter::LargeNoRoom);
        };
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.forks[place] = known;
        }
        self.count(Counter::Forks);
        self.acknowledge(beside, out);
        self.wait_for_call(beside);
    }

    fn hash_of_tag(&self, tag: &[u8]) -> [u64; 2] {
        let mut hasher = self.setup.key.hasher();
        hasher.word(FORK);
        hasher.octets(tag);
        hasher.finish().0
    }

    /// The ACK of the 2xx that made the dialog of a call.
    pub(super) fn acknowledge(&self, handle: Handle<Call>, out: &mut Departures) {
        let Some(call) = self.sessions.as_deref().and_then(|all| all.calls.get(handle)) else {
            return;
        };
        self.push_ack(handle, &call.kept, (call.leg, call.leg.cseq), out);
    }

    fn push_ack(
        &self,
        handle: Handle<Call>,
        kept: &Kept,
        (leg, cseq): (Leg, u32),
        out: &mut Departures,
    ) {
        let way = self.way_inside(kept, leg.way);
        let branch = self.branch_of_call(handle, CALL_ACK);
        self.count(Counter::AcksOut);
        let departure = Departure { flow: way.flow(), ..Departure::default() };
        let ack = Originate { method: Method::Ack, cseq, ..self.within(kept, way, &branch) };
        out.push(Purse::Evidence, departure, |slot| {
            sip::originate(&ack, slot).unwrap_or_else(|| unreachable!("a dialog fits a slot"))
        });
    }

    /// The ACK of an error, in the transaction of its INVITE (section 17.1.1.3). It has the To of the response
    /// and what else our INVITE had: where that is longer than whatever leaves, there is none, and the other end
    /// gives its transaction up by timer H.
    fn acknowledge_error(
        &self,
        handle: Handle<Call>,
        attempt: u8,
        remote: crate::packet::Endpoint,
        last: Last<'_>,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions.as_deref().and_then(|all| all.calls.get(handle)) else {
            return;
        };
        let flow = Way { remote, ..call.leg.way }.flow();
        let branch = self.branch_of_call(handle, attempt);
        let fields = &last.response.fields;
        let outside = Originate { cseq: fields.cseq, ..self.outside(call, &branch) };
        let ack = outside.ack(fields.to.of(last.response.octets));
        if ack.size() > SLOT_SIZE {
            return self.count(Counter::DialogsTooLong);
        }
        self.count(Counter::AcksOut);
        out.push(Purse::Evidence, Departure { flow, ..Departure::default() }, |slot| {
            sip::originate(&ack, slot).unwrap_or_else(|| unreachable!("it was measured"))
        });
    }

    /// A request in the dialog of this buffer.
    pub(super) fn within<'a>(
        &'a self,
        kept: &'a Kept,
        way: Way,
        branch: &'a [u8],
    ) -> Originate<'a> {
        let names = kept.names();
        Originate {
            method: Method::Bye,
            uri: kept.request_uri(),
            transport: carried(self.setup.transport_of(way.socket)),
            sent_by: self.setup.sent_by_of(way.socket),
            branch,
            max_forwards: sip::MAX_FORWARDS,
            routes: kept.routes(),
            from: Party::Value(kept.local()),
            from_tag: names.local_tag,
            to: Party::Uri(kept.remote()),
            to_tag: names.remote_tag,
            call_id: names.call_id,
            cseq: 0,
            preferences: &[],
            more: &[],
            extra: &[],
            content_type: &[],
            body: &[],
        }
    }

    /// Where requests in a dialog go: as its route set says, or where its INVITE went if that names nobody
    /// whom we know.
    pub(super) fn way_inside(&self, kept: &Kept, way: Way) -> Way {
        let hop = uri::parse(kept.next_hop()).ok().and_then(|uri| self.hop_of(&uri, false).ok());
        hop.map_or(way, |hop| hop.way)
    }

    /// CANCEL, which has the branch of its INVITE.
    pub(super) fn begin_cancel(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.cancelled = Some(now);
        let leg = Leg {
            transmissions: 0,
            sent: now,
            retransmit: now,
            refused: None,
            authorization: None,
            client: non_invite_client::State::Trying,
            ..call.leg
        };
        call.inside = Some(Inside { method: Method::Cancel, leg });
        self.count(Counter::CancelsOut);
        self.transmit_inside(handle, now, out);
    }

    /// BYE, if the dialog may be ended by us now. Whether it was sent.
    pub(super) fn begin_bye(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) -> bool {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return false };
        let Some(cseq) = call.dialog.as_mut().and_then(|it| it.next_request(Method::Bye, 1)) else {
            return false;
        };
        let (kept, way) = (call.kept.clone(), call.leg.way);
        let way = self.way_inside(&kept, way);
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return false };
        let leg = Leg {
            way,
            cseq,
            attempt: CALL_INSIDE,
            transmissions: 0,
            sent: now,
            retransmit: now,
            refused: None,
            authorization: None,
            client: non_invite_client::State::Trying,
            ..call.leg
        };
        call.inside = Some(Inside { method: Method::Bye, leg });
        self.count(Counter::ByesOut);
        self.transmit_inside(handle, now, out);
        true
    }

    /// Transmits BYE or CANCEL, for the first time or again.
    pub(super) fn transmit_inside(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        out: &mut Departures,
    ) {
        let timers = self.setup.timers;
        let Some(call) = self.sessions.as_deref().and_then(|all| all.calls.get(handle)) else {
            return;
        };
        let Some(inside) = call.inside else { return };
        let branch = self.branch_of_call(handle, inside.leg.attempt);
        let request = if inside.method == Method::Cancel {
            self.outside(call, &branch).cancel()
        } else {
            Originate {
                method: inside.method,
                cseq: inside.leg.cseq,
                ..self.within(&call.kept, inside.leg.way, &branch)
            }
        };
        let departure =
            Departure { flow: inside.leg.way.flow(), len: 0, after: JournalSeq::NOW, owner: None };
        out.push(Purse::Evidence, departure, |slot| {
            sip::originate(&request, slot).unwrap_or_else(|| unreachable!("a dialog fits a slot"))
        });
        let transport = self.setup.transport_of(inside.leg.way.socket);
        if inside.leg.transmissions > 0 {
            self.count(Counter::Retransmissions);
        }
        let call = self.sessions_mut().calls.get_mut(handle);
        if let Some(inside) = call.and_then(|call| call.inside.as_mut()) {
            inside.leg.transmitted(now, timers, transport);
        }
    }

    /// A response to BYE or CANCEL.
    fn on_inside_response(&mut self, handle: Handle<Call>, last: Last<'_>) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let Some(inside) = &mut call.inside else { return };
        let event = non_invite_client::Event::Response(last.status);
        if let non_invite_client::Action::Final(_) = inside.leg.client.on(event) {
            // Whatever it says: who is not there any more needs no BYE, and a CANCEL decides nothing.
            call.inside = None;
        }
        self.wait_for_call(handle);
    }

    /// Prepares the INVITE once more with credentials (section 22.2).
    fn authorize_call(&mut self, handle: Handle<Call>, last: Last<'_>) -> bool {
        let Some(sessions) = self.sessions.as_deref() else { return false };
        let Some(call) = sessions.calls.get(handle) else { return false };
        let (leg, transfer) = (call.leg, call.transfer);
        let record = transfer.and_then(|at| sessions.transfers.get(at)).and_then(|it| it.record);
        let Some(record) = record else { return false };
        let Some(uri) = self.records.get(record).map(|record| record.uri) else { return false };
        if leg.asked == Asked::WithCredentials {
            return false;
        }
        let Some(buffer) = leg.authorization.or_else(|| self.authorizations.take()) else {
            return false;
        };
        let asked_for = (&b"INVITE"[..], uri, leg.peer);
        let is_written = self.write_authorization(record, asked_for, last, buffer).is_some();
        if !is_written || !self.begin_invite_again(handle, None, Asked::WithCredentials) {
            if leg.authorization.is_none() {
                self.authorizations.give(buffer);
            }
            return false;
        }
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.leg.cseq += 1;
            call.leg.authorization = Some(buffer);
        }
        self.count(Counter::Authorized);
        true
    }

    /// What the INVITE of a call comes to, which its timer tells at once. What was known before stays.
    pub(super) fn set_outcome(
        &mut self,
        handle: Handle<Call>,
        evidence: Evidence,
        has_other: bool,
        now: Instant,
    ) {
        let sessions = self.sessions_mut();
        if let Some(call) = sessions.calls.get_mut(handle) {
            call.outcome.get_or_insert(Outcome { evidence, has_other });
            sessions.wheel.start(handle.index, now);
        }
    }

    fn note_status(&mut self, handle: Handle<Call>, status: u16) {
        let Some(sessions) = self.sessions.as_deref() else { return };
        let transfer = sessions.calls.get(handle).and_then(|call| call.transfer);
        let record = transfer.and_then(|at| sessions.transfers.get(at)).and_then(|it| it.record);
        if let Some(record) = record.and_then(|record| self.records.get_mut(record)) {
            record.statuses.push(status);
        }
    }
}

/// What the dialog of a 2xx is called and where it leads. `None` if there is no room for it, or it cannot be
/// read.
pub(super) fn kept_of(call: &Call, response: &Response<'_>) -> Option<Kept> {
    let (octets, fields) = (response.octets, &response.fields);
    let routes = sip::record_routes(octets, fields).ok()?;
    let contact = sip::contact_uri(octets, fields);
    let names = call.kept.names();
    let names = Names { remote_tag: fields.to_tag.of(octets), ..names };
    // Whoever names no Contact is where he was called.
    let target = if contact.is_empty() { call.kept.remote() } else { contact.of(octets) };
    Kept::new(&names, (call.kept.local(), call.kept.remote()), routes.iter().rev(), target).ok()
}

/// Whether a body is a session description.
pub(super) fn is_description(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|octet| *octet == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/sdp")
}

const _: () = assert!(FORKS_MAX > 0);

/// Sets the hash of a tag apart from every other use of the same key.
const FORK: u64 = 0xF04C_0000 << 32;
