//! The INVITE of a call and what goes with it: ACK, CANCEL, BYE (RFC 3261 sections 9, 13, 15 and 17.1.1, RFC
//! 6026).
//!
//! A response is answered with one request at most, ACK or CANCEL, because an arrival has one slot; what
//! else follows from it is left to the timer of the call, which is then due at once.

use super::facts::name;
use super::{Call, Transfer};
use crate::engine::back::carried;
use crate::engine::instant::{CALL_ID_SIZE_MAX, Identity};
use crate::engine::record::{self, CALL_TAG, Errand, Leg, NEVER, Record, Towards};
use crate::engine::route::{Hop, Way};
use crate::engine::{Engine, Profile};
use crate::id::Handle;
use crate::limits::{REQUEST_DATAGRAM_SIZE_MAX, SDP_OWN_SIZE_MAX};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departure, Departures, JournalSeq, Purse, Transport};
use crate::session::dialog::{Kept, Names};
use crate::session::msrp::{Acceptance, Keep, Reports};
use crate::time::Instant;
use crate::transaction::branch::{BRANCH_SIZE, Branch, MAGIC_COOKIE};
use crate::transaction::invite_client::timer_a_ms;
use crate::wire::sip::{self, ALLOW_SESSIONS, Extra, Method, Originate, Party, Routes};

/// Octets of a URI of ours in Contact.
pub(super) const CONTACT_SIZE_MAX: usize = 320;

impl Engine {
    /// Sends an INVITE for a message. `false` if there is no room for another call.
    pub(super) fn begin_call(
        &mut self,
        transfer_at: Handle<Transfer>,
        cema: bool,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) -> bool {
        let Some(handle) = self.insert_call(transfer_at, cema, now) else { return false };
        self.transmit_invite(handle, now, purse, out);
        self.wait_for_call(handle);
        true
    }

    fn insert_call(
        &mut self,
        transfer_at: Handle<Transfer>,
        cema: bool,
        now: Instant,
    ) -> Option<Handle<Call>> {
        let record_at = self.sessions.as_deref()?.transfers.get(transfer_at)?.record?;
        let im = self.records.get(record_at)?.im;
        let hop = Hop { way: im.way, peer: im.peer, pop_route: false, in_list: im.server };
        let own = self.own_certificate(im.peer)?;
        let call = Call {
            transfer: Some(transfer_at),
            cema,
            between: self.between(record_at)?,
            ..Call::new(Leg::new(Towards::Call, &hop, 1, now), now)
        };
        let sessions = self.sessions_mut();
        let handle = sessions.calls.insert(call).ok()?;
        let acceptance =
            Acceptance { size_max: u64::MAX, keep: Keep::Counted, reports: Reports::WhenTold };
        let session = sessions.endpoint.open(name(handle), acceptance);
        if let (Some(session), Some(own)) = (session, own) {
            sessions.desk.proofs.begin(session, own);
        }
        let kept = self.kept_of(handle, record_at);
        let sessions = self.sessions_mut();
        if let (Some(kept), Some(session)) = (kept, session)
            && let Some(call) = sessions.calls.get_mut(handle)
        {
            call.kept = kept;
            call.session = Some(session);
            let is_offered = self.offer_session(handle);
            let sessions = self.sessions_mut();
            if is_offered && let Some(transfer) = sessions.transfers.get_mut(transfer_at) {
                transfer.call = Some(handle);
                let open = sessions.calls.len();
                self.tally.counters.set(Counter::CallsOpen, u64::from(open));
                self.shorts[record_at.index as usize].call = Some(handle);
                return Some(handle);
            }
        }
        let sessions = self.sessions_mut();
        if let Some(session) = session {
            sessions.endpoint.close(session, now);
        }
        sessions.calls.remove(handle);
        None
    }

    /// The fingerprint of our certificate where sessions with this peer have TLS. Without a certificate
    /// there is none of those: what a peer has is configured, and no session falls back.
    pub(super) fn own_certificate(&self, peer: u8) -> Option<Option<[u8; 32]>> {
        if !self.peers.get(peer).msrp_tls {
            return Some(None);
        }
        let secure = self.sessions.as_deref()?.setup.secure.as_ref()?;
        Some(Some(secure.fingerprint.load()))
    }

    /// Says by which URI the session of a call is offered.
    fn offer_session(&mut self, handle: Handle<Call>) -> bool {
        let sessions = self.sessions_mut();
        let Some(call) = sessions.calls.get(handle) else { return false };
        let uri = sessions.our_uri(call);
        let Some((uri, session)) = uri.zip(call.session) else { return false };
        sessions.endpoint.offer(session, uri.octets())
    }

    /// What the dialog will be called, and who is in it.
    fn kept_of(&self, handle: Handle<Call>, record_at: Handle<Record>) -> Option<Kept> {
        let record = self.records.get(record_at)?;
        let mut call_id = [0; CALL_ID_SIZE_MAX];
        let call_id = self.call_id_of_call(handle, &mut call_id)?;
        let tag = self.branch_of_call(handle, CALL_TAG);
        let local_tag = &tag[MAGIC_COOKIE.len()..];
        let names = Names { call_id, local_tag, remote_tag: &[] };
        let recipient = record.uri.of(self.stored_octets(record_at, record));
        self.with_originator(record_at, record, |_, from| {
            Kept::new(&names, (from, recipient), core::iter::empty(), recipient).ok()
        })?
    }

    /// Writes the Call-ID of a call, which may be no more.
    pub(in crate::engine) fn call_id_of_call<'a>(
        &self,
        handle: Handle<Call>,
        to: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let id = self.sessions.as_deref()?.desk.minted(CALL_ID, name(handle));
        self.call_id(id, 0, to)
    }

    /// The branch of a request in a call; without its cookie, the tag of its dialog.
    pub(super) fn branch_of_call(&self, handle: Handle<Call>, attempt: u8) -> [u8; BRANCH_SIZE] {
        self.branch(
            Handle::new(handle.index, handle.generation),
            attempt,
            self.loop_hash_of(handle, attempt),
        )
    }

    /// The call whose dialog has this tag of ours.
    pub(in crate::engine) fn call_tag(&self, tag: &[u8]) -> Option<Branch> {
        let mut text = [0; BRANCH_SIZE];
        let (cookie, digits) = text.split_at_mut(MAGIC_COOKIE.len());
        if tag.len() != digits.len() {
            return None;
        }
        cookie.copy_from_slice(MAGIC_COOKIE);
        digits.copy_from_slice(tag);
        let branch = Branch::decode(&text, self.setup.key)?;
        (branch.attempt == CALL_TAG && self.is_of_this_life(branch)).then_some(branch)
    }

    /// Transmits the INVITE of this attempt, for the first time or again, while its message is open.
    pub(super) fn transmit_invite(
        &mut self,
        handle: Handle<Call>,
        now: Instant,
        purse: Purse,
        out: &mut Departures,
    ) {
        self.judge_invite(handle, now);
        let t1_ms = self.setup.timers.t1_ms;
        let Some(call) = self.sessions_mut().calls.get_mut(handle) else { return };
        let leg = &mut call.leg;
        let is_first = leg.transmissions == 0;
        if is_first {
            (leg.sent, call.entered) = (now, now);
        }
        leg.transmissions = leg.transmissions.saturating_add(1);
        let (way, peer, attempt, count) = (leg.way, leg.peer, leg.attempt, leg.transmissions);
        let is_reliable = self.setup.transport_of(way.socket).is_reliable();
        let retransmit =
            if is_reliable { NEVER } else { now.plus_ms(ms(timer_a_ms(count, t1_ms))) };
        let owner =
            record::owner(Handle::new(handle.index, handle.generation), Errand::Request(attempt));
        let departure = Departure {
            flow: way.flow(),
            len: 0,
            after: JournalSeq::NOW,
            owner: is_first.then_some(owner),
        };
        self.with_invite(handle, |invite| {
            out.push(purse, departure, |slot| {
                sip::originate(invite, slot).unwrap_or_else(|| unreachable!("a dialog fits a slot"))
            });
        });
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.leg.retransmit = retransmit;
        }
        if is_first {
            PeerTally::add(&self.peer_tally(peer).requests_out);
        } else {
            self.count(Counter::Retransmissions);
        }
    }

    /// An INVITE that is too long for a datagram goes over a connection, where there may be one (RFC 3261
    /// section 18.1.1).
    fn judge_invite(&mut self, handle: Handle<Call>, now: Instant) {
        let Some(call) = self.sessions.as_deref().and_then(|all| all.calls.get(handle)) else {
            return;
        };
        let leg = &call.leg;
        let (remote, peer) = (leg.way.remote, usize::from(leg.peer));
        let is_datagram = self.setup.transport_of(leg.way.socket) == Transport::Udp;
        if leg.transmissions > 0 || !is_datagram || leg.size != record::Size::AsItIs {
            return;
        }
        let Some(socket) = self.setup.request_sockets.to(remote, Transport::Tcp) else { return };
        let size = self.with_invite(handle, |invite| invite.size());
        if self.tcp_refused[peer] > now || size.is_none_or(|size| size <= REQUEST_DATAGRAM_SIZE_MAX)
        {
            return;
        }
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.leg.way = Way { remote, socket };
            call.leg.size = record::Size::Large;
        }
        self.count(Counter::SizeToTcp);
    }

    /// Composes the INVITE of a call. `None` once the message is over: then nothing is transmitted again.
    fn with_invite<R>(
        &self,
        handle: Handle<Call>,
        then: impl FnOnce(&Originate<'_>) -> R,
    ) -> Option<R> {
        if self.is_carried(handle) {
            return self.with_onward(handle, then);
        }
        let sessions = self.sessions.as_deref()?;
        let call = sessions.calls.get(handle)?;
        let record_at = sessions.transfers.get(call.transfer?)?.record?;
        let record = self.records.get(record_at)?;
        let mut sdp = [0; SDP_OWN_SIZE_MAX];
        let len = sessions.write_description(handle, None, &mut sdp)?;
        let mut contact = [0; CONTACT_SIZE_MAX];
        let contact = self.contact(call, &mut contact)?;
        let peer = self.peers.get(record.im.peer);
        let parameters: &[u8] = match peer.profile {
            Profile::SimpleIm => b";+g.oma.sip-im.large-message",
            Profile::Cpm => CPM_PARAMETER,
        };
        let of_identity = |identity: Identity<'_>, service: [&[u8]; 7]| {
            then(&Originate {
                method: Method::Invite,
                more: &identity.lines(service, self.authorization(call.leg.authorization)),
                extra: &[Extra::Contact { uri: contact, parameters }, Extra::Allow(ALLOW_SESSIONS)],
                content_type: b"application/sdp",
                body: &[&sdp[..len]],
                ..self.outside(call, &self.branch_of_call(handle, call.leg.attempt))
            })
        };
        self.with_identity(record_at, record, |identity| {
            self.with_service(record_at, record.im.peer, CPM_LARGE, |service| {
                of_identity(identity, service)
            })
        })
    }

    /// What INVITE, its CANCEL and the ACK of its errors have in common.
    pub(super) fn outside<'a>(
        &'a self,
        call: &'a Call,
        branch: &'a [u8; BRANCH_SIZE],
    ) -> Originate<'a> {
        Originate {
            method: Method::Invite,
            uri: call.kept.request_uri(),
            transport: carried(self.setup.transport_of(call.leg.way.socket)),
            sent_by: self.setup.sent_by_of(call.leg.way.socket),
            branch,
            max_forwards: sip::MAX_FORWARDS,
            routes: Routes { values: self.besides(call).0, target: &[] },
            from: Party::Value(call.kept.local()),
            from_tag: call.kept.names().local_tag,
            to: Party::Uri(call.kept.remote()),
            to_tag: &[],
            call_id: call.kept.names().call_id,
            cseq: call.leg.cseq,
            preferences: self.besides(call).1,
            more: &[],
            extra: &[],
            content_type: &[],
            body: &[],
        }
    }

    /// Route and preferences of INVITE and CANCEL: those of the caller, or that one user agent is to be found
    /// that takes Large Messages.
    fn besides<'a>(&'a self, call: &Call) -> (&'a [u8], &'a [u8]) {
        let said = self.sessions.as_deref().and_then(|all| all.said_besides(call));
        match (said, self.peers.get(call.leg.peer).profile) {
            (Some(said), _) => said,
            (None, Profile::SimpleIm) => (&[], ACCEPT_SIMPLE_IM),
            (None, Profile::Cpm) => (&[], ACCEPT_CPM),
        }
    }

    /// The URI at which requests in a dialog come to us.
    pub(super) fn contact<'a>(&self, call: &Call, to: &'a mut [u8]) -> Option<&'a [u8]> {
        let socket = call.leg.way.socket;
        let transport: &[u8] = match self.setup.transport_of(socket) {
            Transport::Udp => b"",
            Transport::Tcp | Transport::Tls => b";transport=tcp",
        };
        let scheme: &[u8] = match self.setup.transport_of(socket) {
            Transport::Udp | Transport::Tcp => b"sip:",
            Transport::Tls => b"sips:",
        };
        let mut len = 0;
        for piece in [scheme, self.setup.sent_by_of(socket), transport] {
            to.get_mut(len..len + piece.len())?.copy_from_slice(piece);
            len += piece.len();
        }
        to.get(..len)
    }
}

/// Milliseconds of a timer, which are never so many.
pub(super) fn ms(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

/// Who an INVITE may reach: one user agent that takes Large Messages (RFC 3841). With a fork the fastest one
/// would say what is true of all (hazard H5).
const ACCEPT_SIMPLE_IM: &[u8] = b"Request-Disposition: no-fork\r\n\
    Accept-Contact: *;+g.oma.sip-im.large-message\r\n";
const ACCEPT_CPM: &[u8] = b"Request-Disposition: no-fork\r\n\
    Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\"\r\n";
const CPM_PARAMETER: &[u8] =
    b";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\"";
const CPM_LARGE: &[u8] = b"urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg";

/// Sets what is minted apart from every other use of the same key.
const CALL_ID: u64 = 0x1417_0000 << 32;
