//! What the callee answers, and what the caller is told.

use super::describe::{PROTOCOLS, Part, answered, ours};
use super::onward::carried_lines;
use crate::delivery::Evidence;
use crate::engine::Engine;
use crate::engine::large::invite::CONTACT_SIZE_MAX;
use crate::engine::large::responses::is_description;
use crate::engine::large::{Call, Outcome, Terms, Wait};
use crate::engine::record::CALL_TAG;
use crate::engine::response::Last;
use crate::id::Handle;
use crate::limits::{
    CARRIED_SDP_SIZE_MAX, DATAGRAM_SIZE_MAX, FORWARD_GROWTH_MAX, MSRP_UNBOUND_MS,
    SIP_HEADER_SIZE_MAX,
};
use crate::metrics::Counter;
use crate::packet::{Departures, Endpoint, SocketId};
use crate::session::negotiation::{self, Agreement, Previous, Role};
use crate::time::Instant;
use crate::transaction::branch::{BRANCH_SIZE, MAGIC_COOKIE};
use crate::wire::msrp::Path;
use crate::wire::sdp::{self, Media, Session};
use crate::wire::sip::{
    self, ALLOW_SESSIONS, Extra, Message, Reply, Request, Response, Source, through,
};

/// Why a 2xx of the callee makes no session: what the caller is told.
const NOT_USABLE: u16 = 488;
const NO_ROOM: u16 = 500;

impl Engine {
    /// A provisional response of the callee. Whether it is passed on.
    pub(in crate::engine::large) fn on_callee_rings(
        &mut self,
        handle: Handle<Call>,
        last: Last<'_>,
        out: &mut Departures,
    ) -> bool {
        let Some(sessions) = self.sessions.as_deref_mut() else { return false };
        let Some(call) = sessions.calls.get_mut(handle) else { return false };
        let is_ending = call.is_ending;
        let Some(side) = &mut call.carry else { return false };
        side.heard = last.at;
        let caller = side.other.filter(|_| last.status > 100 && !is_ending);
        let Some(caller) = caller.filter(|caller| self.is_asked(*caller)) else { return false };
        self.count(Counter::ProvisionalIn);
        self.ring(caller, last.status, last.at, out);
        true
    }

    /// An error of the callee, which the caller gets from us: 503 speaks of one server, and not of us (RFC
    /// 3261 section 16.7 step 6).
    pub(in crate::engine::large) fn on_callee_error(
        &mut self,
        handle: Handle<Call>,
        last: Last<'_>,
    ) {
        let caller = self.sessions.as_deref().and_then(|all| all.other_side(handle));
        if let Some(caller) = caller {
            let status = if last.status == 503 { 500 } else { last.status };
            self.answer_caller(caller, status, Some(last.response), last.at);
        }
        self.end_call(handle, last.at);
    }

    /// There was no response of the callee that says what it comes to.
    pub(in crate::engine::large) fn on_callee_outcome(
        &mut self,
        handle: Handle<Call>,
        outcome: Outcome,
        now: Instant,
    ) {
        let status = if outcome.evidence == Evidence::InviteTimeout {
            408
        } else if outcome.evidence == Evidence::AnswerUnusable {
            NOT_USABLE
        } else {
            // It could not be sent on, which is as good as a 503 (RFC 3261 section 16.9).
            500
        };
        if let Some(caller) = self.sessions.as_deref().and_then(|all| all.other_side(handle)) {
            self.answer_caller(caller, status, None, now);
        }
        self.end_call(handle, now);
    }

    /// A 2xx of the callee that is wanted: both sessions are joined, and the caller is told.
    pub(in crate::engine::large) fn on_callee_answer(
        &mut self,
        handle: Handle<Call>,
        last: Last<'_>,
        out: &mut Departures,
    ) {
        let Some(caller) = self.sessions.as_deref().and_then(|all| all.other_side(handle)) else {
            return self.end_call(handle, last.at);
        };
        if let Err(status) = self.join_both((caller, handle), last, out) {
            self.count(Counter::CarryEnded);
            self.answer_caller(caller, status, None, last.at);
            self.end_call(handle, last.at);
        }
    }

    fn join_both(
        &mut self,
        (caller, callee): (Handle<Call>, Handle<Call>),
        last: Last<'_>,
        out: &mut Departures,
    ) -> Result<(), u16> {
        let (octets, len) = self.invite_of(caller).ok_or(NO_ROOM)?;
        let Ok(Message::Request(request)) = sip::parse(&octets[..len]) else {
            return Err(NO_ROOM);
        };
        let (said, fields) = (last.response.octets, &last.response.fields);
        if !is_description(fields.content_type.of(said)) {
            return Err(NOT_USABLE);
        }
        let answer = sdp::parse(fields.body.of(said)).map_err(|_| NOT_USABLE)?;
        let offer = sdp::parse(request.fields.body.of(request.octets)).map_err(|_| NO_ROOM)?;
        let theirs = self.agree_with_callee(callee, &answer)?;
        let of_caller = self.agree_with_caller(caller, &offer, theirs.max_size)?;
        let media = answer.media().next().ok_or(NOT_USABLE)?;
        self.describe_both((caller, callee), (&offer, &of_caller), (&media, theirs.role))?;
        let sessions = self.sessions_mut();
        let session = |handle| sessions.calls.get(handle).and_then(|call: &Call| call.session);
        let (one, other) = session(caller).zip(session(callee)).ok_or(NO_ROOM)?;
        if !sessions.endpoint.join(one, other) {
            return Err(NO_ROOM);
        }
        self.write_success(caller, &request, last).ok_or(NO_ROOM)?;
        self.lead(callee, &theirs, self.msrp_target(&theirs, answer.octets), last.at, out);
        self.lead(caller, &of_caller, self.msrp_target(&of_caller, offer.octets), last.at, out);
        Ok(())
    }

    fn agree_with_callee(
        &mut self,
        handle: Handle<Call>,
        answer: &Session<'_>,
    ) -> Result<Agreement, u16> {
        let sessions = self.sessions_mut();
        let call = sessions.calls.get(handle).ok_or(NO_ROOM)?;
        let session = call.session.ok_or(NO_ROOM)?;
        let uri = sessions.our_uri(call).ok_or(NO_ROOM)?;
        let agreed = negotiation::judge(answer, &ours(uri.octets(), false), false, 0)
            .map_err(|_| NOT_USABLE)?;
        let path = Path::parse(agreed.path.of(answer.octets)).map_err(|_| NOT_USABLE)?;
        if !sessions.endpoint.agree(session, path) {
            return Err(NOT_USABLE);
        }
        if let Some(call) = sessions.calls.get_mut(handle) {
            call.previous = Some(Previous::of(answer));
        }
        Ok(agreed)
    }

    fn agree_with_caller(
        &mut self,
        handle: Handle<Call>,
        offer: &Session<'_>,
        max_size: Option<u64>,
    ) -> Result<Agreement, u16> {
        let sessions = self.sessions_mut();
        sessions.open_side(handle, max_size).ok_or(NO_ROOM)?;
        let call = sessions.calls.get(handle).ok_or(NO_ROOM)?;
        let session = call.session.ok_or(NO_ROOM)?;
        let uri = sessions.our_uri(call).ok_or(NO_ROOM)?;
        let bring = ours(uri.octets(), true);
        let agreed = negotiation::answer(offer, None, &bring, PROTOCOLS, Role::Passive)
            .map_err(|_| NOT_USABLE)?;
        let path = Path::parse(agreed.path.of(offer.octets)).map_err(|_| NOT_USABLE)?;
        if sessions.endpoint.agree(session, path) { Ok(agreed) } else { Err(NOT_USABLE) }
    }

    /// Writes our answer to the caller, and what we say to the callee from here on: the same as our offer, but
    /// for who connects.
    fn describe_both(
        &mut self,
        (caller, callee): (Handle<Call>, Handle<Call>),
        (offer, of_caller): (&Session<'_>, &Agreement),
        (media, role): (&Media<'_>, Role),
    ) -> Result<(), u16> {
        let sessions = self.sessions_mut();
        let asked = offer.media().nth(usize::from(of_caller.index)).ok_or(NO_ROOM)?;
        let offered = asked.direction.unwrap_or_default();
        let part = Part {
            setup: of_caller.role.setup(),
            cema: of_caller.cema,
            direction: answered(media.direction.unwrap_or_default(), offered),
            offer: Some((offer, of_caller.index)),
            before: 0,
        };
        let mut text = [0; CARRIED_SDP_SIZE_MAX];
        let len = sessions.describe(caller, media, &part, &mut text).ok_or(NO_ROOM)?;
        let none = core::iter::empty;
        sessions.say(caller, &text[..len], none(), none()).ok_or(NO_ROOM)?;
        // It answers whatever they send in this dialog, which is what they have said already.
        let single = single_stream(media);
        let part = Part {
            setup: role.setup(),
            cema: false,
            direction: answered(offered, media.direction.unwrap_or_default()),
            offer: Some((&single, 0)),
            before: 1,
        };
        let len = sessions.describe(callee, &asked, &part, &mut text).ok_or(NO_ROOM)?;
        sessions.say_again(callee, &text[..len]).ok_or(NO_ROOM)
    }

    /// Leads the session of one side to its connection, or waits for one.
    fn lead(
        &mut self,
        handle: Handle<Call>,
        agreed: &Agreement,
        target: Option<(Endpoint, SocketId)>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        call.role = agreed.role;
        call.terms = Terms { content: 0, uris: agreed.path_count, size_max: agreed.max_size };
        call.wait = Some((Wait::Connection, now.plus_ms(MSRP_UNBOUND_MS)));
        if agreed.role == Role::Passive {
            self.read_early(out);
        } else if !target.is_some_and(|target| self.connect(handle, target, now, out))
            && let Some(call) = self.sessions_mut().calls.get_mut(handle)
        {
            // There will be none: what waits for it is over at once.
            call.wait = Some((Wait::Connection, now));
        }
        self.wait_for_call(handle);
    }

    /// Writes the 2xx to the caller.
    fn write_success(
        &mut self,
        handle: Handle<Call>,
        request: &Request<'_>,
        last: Last<'_>,
    ) -> Option<()> {
        let sessions = self.sessions.as_deref()?;
        let call = sessions.calls.get(handle)?;
        let from = sessions.calls.get(sessions.other_side(handle)?)?.leg.peer;
        let hides = self.hides_identity(from, call.leg.peer, last.response.fields.privacy_id);
        let mut lines = [0; DATAGRAM_SIZE_MAX];
        let lines = carried_lines(last.response.octets, hides, &mut lines)?;
        let mut contact = [0; CONTACT_SIZE_MAX];
        let uri = self.contact(call, &mut contact)?;
        let parameters = through::contact_parameters(last.response.octets);
        // Who asks for a timer refreshes it, and we answer that.
        let timer = sip::client_timer(request.octets);
        let expires = timer.map_or(Extra::None, Extra::SessionExpires);
        let tag = self.branch_of_call(handle, CALL_TAG);
        let reply = Reply {
            status: last.status,
            reason: sip::reason_phrase(last.status),
            to_tag: &tag[MAGIC_COOKIE.len()..],
            source: self.served(handle)?.source,
            record_route: true,
            extra: &[
                Extra::Contact { uri, parameters },
                Extra::Allow(ALLOW_SESSIONS),
                Extra::Supported(b"timer"),
                if timer.is_some() { Extra::Require(b"timer") } else { Extra::None },
                expires,
                Extra::Lines(lines),
            ],
            content_type: b"application/sdp",
            body: &[sessions.said_description(handle)?],
        };
        let mut octets = [0; DATAGRAM_SIZE_MAX];
        let len = sip::respond(request, &reply, &mut octets)?;
        self.settle_invite(handle, (last.status, &octets[..len]), last.at);
        Some(())
    }

    /// Answers the INVITE of a caller with an error, with what the callee has said in his.
    pub(super) fn answer_caller(
        &mut self,
        handle: Handle<Call>,
        status: u16,
        from: Option<&Response<'_>>,
        now: Instant,
    ) {
        let Some((octets, len)) = self.invite_of(handle) else { return };
        let Ok(Message::Request(request)) = sip::parse(&octets[..len]) else { return };
        let tag = self.branch_of_call(handle, CALL_TAG);
        let Some(served) = self.served(handle) else { return };
        let mut lines = [0; DATAGRAM_SIZE_MAX];
        let passed = from.and_then(|from| carried_lines(from.octets, true, &mut lines));
        // A redirection without its targets would lead nowhere.
        let mut contacts = [0; CONTACTS_SIZE_MAX];
        let redirects = from.filter(|from| matches!(from.status, 300..=399));
        let contacts = redirects.map_or(&[][..], |from| contacts_of(from.octets, &mut contacts));
        let bare = bare(status, &tag, served.source);
        let passed = Extra::Lines(passed.unwrap_or_default());
        let with = Reply { extra: &[Extra::Lines(contacts), passed], ..bare };
        let mut text = [0; DATAGRAM_SIZE_MAX];
        // Where all of it is too much, its status is what must be said.
        let len = sip::respond(&request, &with, &mut text)
            .or_else(|| sip::respond(&request, &bare, &mut text))
            .unwrap_or_else(|| unreachable!("it has no more than the header section"));
        self.settle_invite(handle, (status, &text[..len]), now);
    }
}

/// An error with nothing but what every response has.
fn bare(status: u16, tag: &[u8; BRANCH_SIZE], source: Source) -> Reply<'_> {
    let to_tag = &tag[MAGIC_COOKIE.len()..];
    Reply { status, reason: sip::reason_phrase(status), to_tag, source, ..Reply::default() }
}

// So an INVITE is never left without an answer because that has no room.
const _: () = assert!(SIP_HEADER_SIZE_MAX + FORWARD_GROWTH_MAX <= DATAGRAM_SIZE_MAX);

/// Octets of the targets of a redirection.
const CONTACTS_SIZE_MAX: usize = 2_048;

/// The targets of a redirection, as many as there is room for.
fn contacts_of<'a>(octets: &[u8], to: &'a mut [u8]) -> &'a [u8] {
    let mut end = 0;
    for line in through::contacts(octets) {
        let Some(room) = to.get_mut(end..end + line.len()) else { break };
        room.copy_from_slice(line);
        end += line.len();
    }
    &to[..end]
}

/// A description as if its one stream were offered.
fn single_stream<'a>(media: &Media<'a>) -> Session<'a> {
    sdp::parse(media.octets).unwrap_or_else(|_| unreachable!("it was read before"))
}
