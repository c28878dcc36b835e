//! The INVITE of an IM user for somebody of the SMS side: it is answered at once, 200 or an error.
//!
//! So there is nothing that a CANCEL could end (RFC 3261 section 9.2); who wants no session ends it with BYE.
//! Errors are functions of the INVITE and are given again for each of its copies.

use super::{Caller, Sender};
use crate::engine::large::approach::Approach;
use crate::engine::large::facts::name;
use crate::engine::large::idle::{named_short, short_name};
use crate::engine::large::invite::ms;
use crate::engine::large::responses::is_description;
use crate::engine::large::{Call, NO_INVITE, Reinvite, Wait};
use crate::engine::record::{CALL_TAG, Leg, Towards};
use crate::engine::request::Asked;
use crate::engine::route::{Hop, Way};
use crate::engine::{Engine, Refusal, Serving};
use crate::id::Handle;
use crate::interwork::address::{Number, without_headers};
use crate::limits::{MSRP_UNBOUND_MS, SUBMISSION_SIZE_MAX};
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::session::dialog::{Dialog, Kept, Names};
use crate::session::msrp::{Acceptance, Keep, Reports};
use crate::session::negotiation::{self, Content, Ours, Previous, Protocols, Role};
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::transaction::branch::MAGIC_COOKIE;
use crate::transaction::finished::Entry;
use crate::transaction::success::{State, interval_ms};
use crate::wire::msrp::Path;
use crate::wire::sdp;
use crate::wire::sip::uri::{self, Scheme};
use crate::wire::sip::{self, Extra, Options, Request};

/// What we take: a text, in CPIM or by itself.
const CONTENTS: [Content<'static>; 2] = [
    Content { container: b"", media_type: b"text/plain" },
    Content { container: b"message/cpim", media_type: b"text/plain" },
];

/// What is known of an INVITE that was answered 200, for as long as copies of it may come: its answer is with
/// its call, and no message has this place.
const TAKEN: Entry = Entry::Open(u32::MAX);

/// Of so many places for sessions, one is for messages to IM users alone.
const SENDING_SHARE: u32 = 4;

const NO_ROOM: Refusal = Refusal::new(503, "Service Unavailable");
const UNACCEPTABLE: Refusal = Refusal::new(488, "Not Acceptable Here");

impl Engine {
    /// Whether an INVITE or its CANCEL is for somebody of the SMS side: a number in our domain or of no
    /// domain, from the IM side, while there is somebody who takes submissions.
    pub(in crate::engine) fn is_inward(&self, request: &Request<'_>, peer: u8) -> bool {
        let has_store = self.sessions.as_deref().is_some_and(|all| all.inward.is_some());
        if !has_store || !self.peers.get(peer).im || !request.fields.to_tag.is_empty() {
            return false;
        }
        let Ok(uri) = uri::parse(request.uri.of(request.octets)) else { return false };
        match uri.scheme {
            Scheme::Tel => true,
            Scheme::Sip | Scheme::Sips => {
                let domain = self.setup.gateway.domain.as_bytes();
                uri.host.eq_ignore_ascii_case(domain)
                    || self.is_own(uri.host, uri.port.unwrap_or(5060))
            }
            Scheme::Other => false,
        }
    }

    /// The INVITE of a session for the SMS side. At most one departure.
    pub(in crate::engine) fn on_inward_invite(
        &mut self,
        asked: Asked<'_>,
        peer: u8,
        out: &mut Departures,
    ) {
        if self.serving == Serving::Refusing {
            return self.turn_away(asked, Counter::RefusedDraining, out);
        }
        match self.take_call(asked, peer) {
            Ok(handle) => {
                self.count(Counter::CallsTaken);
                let open = self.sessions_mut().calls.len();
                self.tally.counters.set(Counter::CallsOpen, u64::from(open));
                self.push_answer(handle, out);
                self.wait_for_call(handle);
                self.read_early(out);
            }
            Err(NO_ROOM) => self.turn_away(asked, Counter::SubmissionsNoRoom, out),
            Err(UNACCEPTABLE) => {
                self.count(Counter::CallsUnacceptable);
                let agent = self.setup.sent_by_of(asked.arrival.flow.socket);
                self.answer(asked, UNACCEPTABLE, Extra::Warning { code: 304, agent }, out);
            }
            Err(refusal @ Refusal { status: 415, .. }) => {
                self.count(Counter::CallsUnacceptable);
                self.answer(asked, refusal, Extra::Accept(b"application/sdp"), out);
            }
            Err(refusal) => self.refuse(asked, refusal, out),
        }
    }

    /// CANCEL of such an INVITE: it has its answer already, so that there is nothing to be ended, and no 487
    /// (RFC 3261 section 9.2). A CANCEL need not say who is behind it, so it may come to another worker than
    /// its INVITE. Whether it was one.
    pub(in crate::engine) fn on_inward_cancel(
        &self,
        asked: Asked<'_>,
        out: &mut Departures,
    ) -> bool {
        let invite = self.fingerprint(asked.request, b"INVITE");
        let is_known = self.known(invite, asked.since).is_some()
            || self.neighbours.others().any(|worker| {
                matches!(self.neighbours.transaction(worker, invite, asked.since), Ok(Some(_)))
            });
        if is_known {
            self.answer(asked, Refusal::new(200, "OK"), Extra::None, out);
        }
        is_known
    }

    /// A copy of an INVITE that has its answer: that again, until its ACK is there. Whether it was one.
    pub(in crate::engine) fn on_inward_again(
        &mut self,
        asked: Asked<'_>,
        out: &mut Departures,
    ) -> bool {
        let Some(handle) = self.call_of_invite(asked.fingerprint, asked.now) else { return false };
        let call = self.sessions_mut().calls.get(handle);
        if call.is_some_and(|call| call.reinvite.is_some()) {
            self.repeat_answer(handle, asked.now, out);
        } else {
            self.count(Counter::RequestsAbsorbed);
        }
        true
    }

    fn call_of_invite(&self, fingerprint: Fingerprint, now: Instant) -> Option<Handle<Call>> {
        let sessions = self.sessions.as_deref()?;
        let short = sessions.inward.as_deref()?.invites.get(fingerprint, now)?;
        named_short(sessions, short)
    }

    /// The peer whose SC takes submissions.
    fn submission_peer(&self) -> Option<u8> {
        (0..u8::try_from(self.setup.peers.len()).ok()?)
            .find(|peer| self.peers.get(*peer).submit.is_some())
    }

    /// Makes a call of an INVITE, whose 200 is then written, or nothing.
    fn take_call(&mut self, asked: Asked<'_>, peer: u8) -> Result<Handle<Call>, Refusal> {
        let (octets, fields) = (asked.request.octets, &asked.request.fields);
        let mut required = sip::options(octets, Options::Require);
        if required.any(|option| !option.eq_ignore_ascii_case(b"timer")) {
            return Err(Refusal::new(420, "Bad Extension"));
        }
        let destination =
            Number::of_uri(asked.request.uri.of(octets)).ok_or(Refusal::new(404, "Not Found"))?;
        let sender = self.sender(asked.request, peer);
        let sender = Sender::of(without_headers(sender.of(octets)))
            .ok_or(Refusal::new(403, "Sender Not Usable"))?;
        let body = fields.body.of(octets);
        if body.is_empty() {
            return Err(UNACCEPTABLE);
        }
        if !is_description(fields.content_type.of(octets)) {
            return Err(Refusal::new(415, "Unsupported Media Type"));
        }
        let offer = sdp::parse(body).map_err(|_| Refusal::new(400, "Bad Session Description"))?;
        let sc = self.submission_peer().ok_or(NO_ROOM)?;
        self.report_hop(sc, 0).ok_or(NO_ROOM)?;
        let caller = Caller { sender, destination, stream: 0, peer: sc };
        if !self.has_room_for_a_caller() {
            return Err(NO_ROOM);
        }
        let handle = self.insert_inward(asked, (peer, caller)).ok_or(NO_ROOM)?;
        let made = self.agree_inward(handle, asked, &offer);
        if let Err(refusal) = made {
            self.drop_inward(handle, asked.now);
            return Err(refusal);
        }
        Ok(handle)
    }

    /// Whether another session may be opened by IM users: what is to be sent to them, and that they have not
    /// called for, always finds a share of the places.
    fn has_room_for_a_caller(&self) -> bool {
        let is_sent_to = self.setup.peers.iter().any(|peer| peer.msrp.is_some());
        self.sessions.as_deref().is_some_and(|all| {
            let most = all.calls.capacity() - all.calls.capacity() / SENDING_SHARE;
            !is_sent_to || all.calls.len() < most
        })
    }

    fn insert_inward(
        &mut self,
        asked: Asked<'_>,
        (peer, caller): (u8, Caller),
    ) -> Option<Handle<Call>> {
        let (octets, fields) = (asked.request.octets, &asked.request.fields);
        let remote = asked.arrival.flow.remote;
        let transport = self.setup.transport_of(asked.arrival.flow.socket);
        let socket = self.setup.request_sockets.to(remote, transport)?;
        let way = Way { remote, socket };
        let hop = Hop { way, peer, pop_route: false, in_list: None };
        let now = asked.now;
        let own = self.own_certificate(peer)?;
        let call = called(&hop, &caller, fields.cseq, now);
        let handle = self.sessions_mut().calls.insert(call).ok()?;
        let tag = self.branch_of_call(handle, CALL_TAG);
        let names = Names {
            call_id: fields.call_id.of(octets),
            local_tag: &tag[MAGIC_COOKIE.len()..],
            remote_tag: fields.from_tag.of(octets),
        };
        let contact = sip::contact_uri(octets, fields);
        let remote = fields.from_uri.of(octets);
        let target = if contact.is_empty() { remote } else { contact.of(octets) };
        let routes = sip::record_routes(octets, fields).ok();
        let kept = routes.and_then(|routes| {
            Kept::new(&names, (fields.to.of(octets), remote), routes.iter(), target).ok()
        });
        let acceptance = Acceptance {
            size_max: SUBMISSION_SIZE_MAX as u64,
            keep: Keep::Assembled,
            reports: Reports::WhenTold,
        };
        let sessions = self.sessions_mut();
        let session = sessions.endpoint.open(name(handle), acceptance);
        if let (Some(session), Some(own)) = (session, own) {
            sessions.desk.proofs.begin(session, own);
        }
        match (kept, session, sessions.calls.get_mut(handle)) {
            (Some(kept), Some(_), Some(call)) => {
                (call.kept, call.session) = (kept, session);
                Some(handle)
            }
            _ => {
                self.drop_inward(handle, now);
                None
            }
        }
    }

    /// Judges the offer, and writes our answer to it.
    fn agree_inward(
        &mut self,
        handle: Handle<Call>,
        asked: Asked<'_>,
        offer: &sdp::Session<'_>,
    ) -> Result<(), Refusal> {
        let sessions = self.sessions_mut();
        let call = sessions.calls.get(handle).ok_or(NO_ROOM)?;
        let session = call.session.ok_or(NO_ROOM)?;
        let uri = sessions.our_uri(call).ok_or(NO_ROOM)?;
        let ours = Ours {
            path: uri.octets(),
            contents: &CONTENTS,
            listens: true,
            cema: true,
            sends: false,
            receives: true,
        };
        let is_tls = sessions.desk.proofs.is_tls(session);
        let protocols = Protocols { tcp: !is_tls, tls: is_tls };
        let agreed = negotiation::answer(offer, None, &ours, protocols, Role::Passive)
            .map_err(|_| UNACCEPTABLE)?;
        if !agreed.receives {
            return Err(UNACCEPTABLE);
        }
        if !sessions.desk.proofs.agree(session, &agreed) {
            self.count(Counter::MsrpNoFingerprint);
            return Err(UNACCEPTABLE);
        }
        let path = Path::parse(agreed.path.of(offer.octets)).map_err(|_| UNACCEPTABLE)?;
        if !sessions.endpoint.offer(session, uri.octets())
            || !sessions.endpoint.agree(session, path)
        {
            return Err(UNACCEPTABLE);
        }
        let approach = match agreed.role {
            Role::Passive => None,
            Role::Active => {
                let target = self.msrp_target(&agreed, offer.octets).ok_or(UNACCEPTABLE)?;
                Some(Approach::Known(target.0, target.1))
            }
        };
        let call = self.sessions_mut().calls.get_mut(handle).ok_or(NO_ROOM)?;
        call.previous = Some(Previous::of(offer));
        (call.cema, call.role, call.approach) = (agreed.cema, agreed.role, approach);
        if let Some(caller) = &mut call.inward {
            caller.stream = agreed.index;
        }
        self.keep_success(handle, asked)
    }

    /// Keeps our 200 until its ACK, and the INVITE for its copies.
    fn keep_success(&mut self, handle: Handle<Call>, asked: Asked<'_>) -> Result<(), Refusal> {
        let flow = self.reply_flow(asked);
        let too_large = Refusal::new(513, "Message Too Large");
        let (octets, len) = self.write_answer(handle, asked).ok_or(too_large)?;
        let end = asked.now.plus_ms(self.setup.timers.transaction_ms());
        let (t1_ms, t2_ms) = (self.setup.timers.t1_ms, self.setup.timers.t2_ms);
        let sessions = self.sessions_mut();
        let short = short_name(handle);
        let store = sessions.inward.as_deref_mut().ok_or(NO_ROOM)?;
        store.invites.put(asked.fingerprint, short, asked.now, end).map_err(|_| NO_ROOM)?;
        let Some(answer) = sessions.answers.take() else {
            store.invites.remove(asked.fingerprint, asked.now);
            return Err(NO_ROOM);
        };
        sessions.answers.octets_mut(answer)[..len].copy_from_slice(&octets[..len]);
        // For its CANCEL. Where there is no room, that gets 481, which leaves the session as it is, too.
        let _ = self.put_transaction(asked.fingerprint, TAKEN, asked.now, end);
        let sessions = self.sessions_mut();
        if let Some(call) = sessions.calls.get_mut(handle) {
            call.between = asked.fingerprint;
            call.reinvite = Some(Reinvite {
                cseq: asked.request.fields.cseq,
                state: State::Waiting,
                transmissions: 1,
                sent: asked.now,
                again: asked.now.plus_ms(ms(interval_ms(1, t1_ms, t2_ms))),
                flow,
                answer,
                len,
            });
        }
        Ok(())
    }

    /// A call of which nobody knows.
    fn drop_inward(&mut self, handle: Handle<Call>, now: Instant) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.remove(handle) else { return };
        if let Some(session) = call.session {
            sessions.endpoint.close(session, now);
        }
    }
}

/// A call that an INVITE with this CSeq has made, before anything is agreed upon.
fn called(hop: &Hop, caller: &Caller, cseq: u32, now: Instant) -> Call {
    Call {
        inward: Some(*caller),
        invite: NO_INVITE,
        dialog: Dialog::of_request(200, cseq),
        role: Role::Passive,
        wait: Some((Wait::Connection, now.plus_ms(MSRP_UNBOUND_MS))),
        ..Call::new(Leg::new(Towards::Call, hop, 0, now), now)
    }
}
