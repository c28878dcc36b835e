//! The INVITE of a caller on its way: what is taken of it, and ours towards the callee.

use super::describe::{PROTOCOLS, Part, ours};
use super::{Served, Side};
use crate::engine::large::facts::name;
use crate::engine::large::invite::CONTACT_SIZE_MAX;
use crate::engine::large::{Call, Sessions};
use crate::engine::record::{CALL_TAG, Leg, Towards};
use crate::engine::request::Asked;
use crate::engine::route::{Hop, Way};
use crate::engine::{Engine, Refusal, Serving};
use crate::id::Handle;
use crate::limits::{CARRIED_SDP_SIZE_MAX, DATAGRAM_SIZE_MAX, SLOT_SIZE};
use crate::metrics::Counter;
use crate::packet::Departures;
use crate::session::dialog::{Kept, Names};
use crate::session::msrp::{Acceptance, Keep, Reports};
use crate::session::negotiation::{self, Role};
use crate::transaction::branch::{Branch, MAGIC_COOKIE};
use crate::wire::sdp::{self, Setup};
use crate::wire::sip::{
    self, ALLOW_SESSIONS, Extra, Message, Method, Options, Originate, Request, through,
};

/// It is longer than what can be kept or sent on, now and at any time (RFC 3261 section 21.5.7).
const LONG: Not = Not::Refused(Refusal::new(513, "Message Too Large"));

/// Why an INVITE is not carried.
enum Not {
    Refused(Refusal),
    /// Its offer has nothing that can be carried.
    Acceptable,
    /// There is no room for it now.
    Room,
}

impl Engine {
    /// An INVITE outside of any dialog.
    pub(in crate::engine) fn on_invite(
        &mut self,
        asked: Asked<'_>,
        peer: u8,
        out: &mut Departures,
    ) {
        let hop = match self.admit_invite(asked.request) {
            Ok(hop) => hop,
            Err(refusal) => return self.refuse(asked, refusal, out),
        };
        if self.serving == Serving::Refusing {
            return self.turn_away(asked, Counter::RefusedDraining, out);
        }
        match self.begin_two(asked, peer, hop) {
            Ok(caller) => {
                self.count(Counter::CallsCarried);
                if let Some(served) = self.sessions_mut().calls.get_mut(caller)
                    && let Some(served) = served.carry.as_mut().and_then(|it| it.served.as_mut())
                {
                    served.state.on(crate::transaction::invite_server::Event::Trying);
                }
                self.provide(caller, asked.request, 100, out);
            }
            Err(Not::Refused(refusal)) => self.refuse(asked, refusal, out),
            Err(Not::Acceptable) => self.not_acceptable(asked, out),
            Err(Not::Room) => self.no_room_for_two(asked, out),
        }
    }

    /// Where it goes, as a MESSAGE would (RFC 3261 section 16.3).
    fn admit_invite(&self, request: &Request<'_>) -> Result<Hop, Refusal> {
        let octets = request.octets;
        if !request.fields.to_tag.is_empty() {
            return Err(Refusal::new(481, "Call/Transaction Does Not Exist"));
        }
        if request.fields.max_forwards == Some(0) {
            return Err(Refusal::new(483, "Too Many Hops"));
        }
        let again = self.second_visit(request.uri.of(octets));
        let is_ours = |branch: &Branch| {
            Towards::of(branch.attempt) == Towards::Call && branch.loop_hash == again
        };
        let mut vias = request.vias();
        if vias.any(|via| {
            Branch::decode(via.branch.of(octets), self.setup.key).as_ref().is_some_and(is_ours)
        }) {
            return Err(Refusal::new(482, "Loop Detected"));
        }
        let is_known = |option: &[u8]| option.eq_ignore_ascii_case(b"timer");
        let understood = sip::options(octets, Options::Require).all(is_known);
        if !request.fields.proxy_require.is_empty() || !understood {
            return Err(Refusal::new(420, "Bad Extension"));
        }
        let hop = self.next_hop(request)?;
        if self.peers.get(hop.peer).msrp.is_none() {
            return Err(Refusal::new(403, "Next Hop Takes No Sessions"));
        }
        Ok(hop)
    }

    /// What makes a second visit of an INVITE of ours a loop: it asks for the same once more. Its Call-ID and
    /// tags are not those that it came with, so that they say nothing.
    #[expect(clippy::cast_possible_truncation, reason = "32 bits are what a branch has room for")]
    fn second_visit(&self, uri: &[u8]) -> u32 {
        let mut hasher = self.setup.key.hasher();
        hasher.word(AGAIN);
        hasher.octets(uri);
        hasher.finish().0[0] as u32
    }

    /// Opens both calls; the INVITE to the callee is left to the timer of its call.
    fn begin_two(&mut self, asked: Asked<'_>, peer: u8, hop: Hop) -> Result<Handle<Call>, Not> {
        let (request, now) = (asked.request, asked.now);
        let octets = request.octets;
        // Whose sessions have TLS has none without it, at either end.
        if [peer, hop.peer].iter().any(|peer| self.peers.get(*peer).msrp_tls) {
            return Err(Not::Acceptable);
        }
        let body = request.fields.body.of(octets);
        if body.is_empty()
            || !super::super::responses::is_description(request.fields.content_type.of(octets))
        {
            return Err(Not::Acceptable);
        }
        let Ok(offer) = sdp::parse(body) else {
            return Err(Not::Refused(Refusal::new(400, "Bad Session Description")));
        };
        let agreed = negotiation::answer(&offer, None, &ours(b"", true), PROTOCOLS, Role::Passive);
        let index = agreed.map_err(|_| Not::Acceptable)?.index;
        if octets.len() > DATAGRAM_SIZE_MAX {
            return Err(LONG);
        }
        if !self.sessions_mut().has_room_for_two() {
            return Err(Not::Room);
        }
        let flow = self.reply_flow(asked);
        let transport = self.setup.transport_of(flow.socket);
        let socket = self.setup.request_sockets.to(flow.remote, transport).unwrap_or(flow.socket);
        let back =
            Hop { way: Way { remote: flow.remote, socket }, peer, pop_route: false, in_list: None };
        let side = |is_caller| Side {
            other: None,
            served: None,
            said: None,
            loop_hash: 0,
            heard: now,
            under_way: 0,
            awaited: None,
            is_caller,
        };
        let (towards, cseq) = (Towards::Call, 1);
        let loop_hash = self.second_visit(request.uri.of(octets));
        let calls = &mut self.sessions_mut().calls;
        let leg = Leg::new(towards, &back, cseq, now);
        let caller = calls.insert(Call::of_side(leg, Kept::NOTHING, side(true)));
        let caller = caller.map_err(|_| Not::Room)?;
        let leg = Leg::new(towards, &hop, cseq, now);
        let theirs = Side { other: Some(caller), loop_hash, ..side(false) };
        let callee = calls.insert(Call::of_side(leg, Kept::NOTHING, theirs));
        let Ok(callee) = callee else {
            calls.remove(caller);
            return Err(Not::Room);
        };
        let is_set_up = self.set_up(asked, (caller, callee), (&offer, index), hop.pop_route);
        if let Err(not) = is_set_up {
            self.drop_side(callee, now);
            self.drop_side(caller, now);
            return Err(not);
        }
        let open = self.sessions_mut().calls.len();
        self.tally.counters.set(Counter::CallsOpen, u64::from(open));
        self.sessions_mut().wheel.start(callee.index, now);
        Ok(caller)
    }

    fn set_up(
        &mut self,
        asked: Asked<'_>,
        (caller, callee): (Handle<Call>, Handle<Call>),
        (offer, index): (&sdp::Session<'_>, u8),
        pop_route: bool,
    ) -> Result<(), Not> {
        let (request, now) = (asked.request, asked.now);
        let octets = request.octets;
        let media = offer.media().nth(usize::from(index)).ok_or(Not::Acceptable)?;
        let kept = [self.kept_of_caller(request, caller), self.kept_of_callee(request, callee)];
        let [Some(of_caller), Some(of_callee)] = kept else { return Err(LONG) };
        let flow = self.reply_flow(asked);
        let sessions = self.sessions_mut();
        let store = sessions.carried.as_mut().ok_or(Not::Room)?;
        let buffer = store.asked.take().ok_or(Not::Room)?;
        store.asked.octets_mut(buffer)[..octets.len()].copy_from_slice(octets);
        if let Some(call) = sessions.calls.get_mut(caller) {
            call.kept = of_caller;
            call.previous = Some(negotiation::Previous::of(offer));
            if let Some(side) = &mut call.carry {
                side.other = Some(callee);
                side.served = Some(Served::new(asked, flow, buffer));
            }
        }
        if let Some(call) = sessions.calls.get_mut(callee) {
            call.kept = of_callee;
        }
        sessions.open_side(callee, media.max_size).ok_or(Not::Room)?;
        let part = Part {
            setup: Setup::ActPass,
            cema: false,
            direction: media.direction.unwrap_or_default(),
            offer: None,
            before: 0,
        };
        let mut description = [0; CARRIED_SDP_SIZE_MAX];
        let len = sessions.describe(callee, &media, &part, &mut description).ok_or(LONG)?;
        let routes = through::routes(octets, &request.fields, usize::from(pop_route));
        sessions
            .say(callee, &description[..len], routes, through::preferences(octets))
            .ok_or(LONG)?;
        let size = self.with_onward(callee, |invite| invite.size());
        if size.is_none_or(|size| size > SLOT_SIZE) {
            return Err(LONG);
        }
        if !self.remember_invite(asked.fingerprint, caller, now) {
            return Err(Not::Room);
        }
        Ok(())
    }

    /// A call that nobody knows yet is no more.
    fn drop_side(&mut self, handle: Handle<Call>, now: crate::time::Instant) {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.remove(handle) else { return };
        if let Some(session) = call.session {
            sessions.endpoint.close(session, now);
        }
        if let Some(side) = call.carry {
            sessions.release_side(side, now);
        }
    }

    /// The dialog with the caller: he has named it, but for our tag.
    fn kept_of_caller(&self, request: &Request<'_>, handle: Handle<Call>) -> Option<Kept> {
        let (octets, fields) = (request.octets, &request.fields);
        let tag = self.branch_of_call(handle, CALL_TAG);
        let names = Names {
            call_id: fields.call_id.of(octets),
            local_tag: &tag[MAGIC_COOKIE.len()..],
            remote_tag: fields.from_tag.of(octets),
        };
        let mut local = [0; NAME_ADDR_SIZE_MAX];
        let local = joined(through::name_addr(octets, fields.to, fields.to_uri), &mut local)?;
        let routes = sip::record_routes(octets, fields).ok()?;
        let contact = sip::contact_uri(octets, fields);
        let contact = if contact.is_empty() { fields.from_uri } else { contact };
        let parties = (local, fields.from_uri.of(octets));
        Kept::new(&names, parties, routes.iter(), contact.of(octets)).ok()
    }

    /// The dialog with the callee, which is to be.
    fn kept_of_callee(&self, request: &Request<'_>, handle: Handle<Call>) -> Option<Kept> {
        let (octets, fields) = (request.octets, &request.fields);
        let mut call_id = [0; crate::engine::instant::CALL_ID_SIZE_MAX];
        let call_id = self.call_id_of_call(handle, &mut call_id)?;
        let tag = self.branch_of_call(handle, CALL_TAG);
        let names = Names { call_id, local_tag: &tag[MAGIC_COOKIE.len()..], remote_tag: &[] };
        let mut local = [0; NAME_ADDR_SIZE_MAX];
        let local = joined(through::name_addr(octets, fields.from, fields.from_uri), &mut local)?;
        let parties = (local, fields.to_uri.of(octets));
        let none = core::iter::empty();
        Kept::new(&names, parties, none, request.uri.of(octets)).ok()
    }

    /// Composes our INVITE to the callee, while that of the caller has no final response.
    pub(in crate::engine::large) fn with_onward<R>(
        &self,
        handle: Handle<Call>,
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        let sessions = self.sessions.as_deref()?;
        let call = sessions.calls.get(handle)?;
        let caller = sessions.other_side(handle)?;
        let served = self.served(caller).filter(|served| served.is_pending())?;
        let octets = sessions.carried.as_ref()?.asked.octets(served.buffer?);
        let Ok(Message::Request(request)) = sip::parse(&octets[..served.len]) else { return None };
        let from = sessions.calls.get(caller)?.leg.peer;
        let hides = self.hides_identity(from, call.leg.peer, request.fields.privacy_id);
        let mut lines = [0; DATAGRAM_SIZE_MAX];
        let lines = carried_lines(request.octets, hides, &mut lines)?;
        let mut contact = [0; CONTACT_SIZE_MAX];
        let contact = self.contact(call, &mut contact)?;
        let hops = request.fields.max_forwards.map_or(sip::MAX_FORWARDS, |it| it.saturating_sub(1));
        let parameters = through::contact_parameters(request.octets);
        let description = sessions.said_description(handle)?;
        Some(then(&Originate {
            method: Method::Invite,
            max_forwards: hops,
            more: &[lines],
            extra: &[Extra::Contact { uri: contact, parameters }, Extra::Allow(ALLOW_SESSIONS)],
            content_type: b"application/sdp",
            body: &[description],
            ..self.outside(call, &self.branch_of_call(handle, call.leg.attempt))
        }))
    }
}

impl Sessions {
    /// Opens the session of one side, which takes messages up to the size that the other side takes.
    pub(super) fn open_side(&mut self, handle: Handle<Call>, size_max: Option<u64>) -> Option<()> {
        let acceptance = Acceptance {
            size_max: size_max.unwrap_or(u64::MAX),
            keep: Keep::Counted,
            reports: Reports::WhenTold,
        };
        let session = self.endpoint.open(name(handle), acceptance)?;
        let call = self.calls.get_mut(handle)?;
        call.session = Some(session);
        let uri = self.calls.get(handle).and_then(|call| self.our_uri(call))?;
        self.endpoint.offer(session, uri.octets()).then_some(())
    }
}

/// The header fields of a message that pass, identity among them where it may be shown.
pub(super) fn carried_lines<'a>(
    octets: &[u8],
    hides_identity: bool,
    to: &'a mut [u8],
) -> Option<&'a [u8]> {
    let identity = through::asserted(octets).filter(|_| !hides_identity);
    let mut end = 0;
    for line in through::end_to_end(octets).chain(identity) {
        to.get_mut(end..end + line.len())?.copy_from_slice(line);
        end += line.len();
    }
    to.get(..end)
}

fn joined<'a>(pieces: [&[u8]; 3], to: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for piece in pieces {
        to.get_mut(end..end + piece.len())?.copy_from_slice(piece);
        end += piece.len();
    }
    to.get(..end)
}

/// Octets of From or To: more makes a dialog that is not kept.
const NAME_ADDR_SIZE_MAX: usize = crate::limits::DIALOG_SIZE;

/// Sets the hash of a second visit apart from every other use of the same key.
const AGAIN: u64 = 0xA6A1_0000 << 32;
