//! What a session is offered as, what its answer is worth, and what is sent in it.

use super::facts::name;
use super::ids::SESSION_ID_SIZE;
use super::{Call, Sessions, Terms, Transfer, Wait};
use crate::delivery::coverage::Ledger;
use crate::delivery::{Evidence, MsrpRole};
use crate::engine::instant::TEXT;
use crate::engine::{Content, Engine, Profile};
use crate::id::Handle;
use crate::limits::{MSRP_UNBOUND_MS, MSRP_URI_SIZE_MAX, SUBMISSION_SIZE_MAX};
use crate::metrics::Counter;
use crate::packet::{Departures, Endpoint, SocketId};
use crate::session::msrp::{Message, SessionId};
use crate::session::negotiation::{self, Agreement, Meaning, Ours, Previous, Refusal, Role};
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Path};
use crate::wire::sdp::build::{self as sdp_build, Maker, Stream};
use crate::wire::sdp::{self, Direction, Setup};

/// The forms of content that a message may have, by their number in [`Transfer::content`].
const CONTENTS: [negotiation::Content<'static>; 2] = [
    negotiation::Content { container: b"", media_type: b"text/plain" },
    negotiation::Content { container: b"message/cpim", media_type: b"text/plain" },
];
const AS_TEXT: u8 = 0;
const AS_CPIM: u8 = 1;

/// Octets of a Content-Type in SEND: what an endpoint matches it with is in the offer.
const CPIM: &[u8] = b"message/cpim";

/// A URI of ours.
pub(super) struct OurUri {
    octets: [u8; MSRP_URI_SIZE_MAX],
    len: usize,
}

impl OurUri {
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl Sessions {
    /// Whether the session of a call has TLS, and host and port of our URI in it.
    pub(super) fn authority(&self, call: &Call) -> (bool, &str) {
        let is_tls = call.session.is_some_and(|session| self.desk.proofs.is_tls(session));
        (is_tls, self.setup.authority(is_tls, call.is_v4))
    }

    /// The URI of the session of a call, as its peer is given it. `None` if it is longer than is kept.
    pub(super) fn our_uri(&self, call: &Call) -> Option<OurUri> {
        let session_id: [u8; SESSION_ID_SIZE] = self.desk.session_id(call.session?);
        let mut uri = OurUri { octets: [0; MSRP_URI_SIZE_MAX], len: 0 };
        let (is_tls, authority) = self.authority(call);
        let scheme: &[u8] = if is_tls { b"msrps://" } else { b"msrp://" };
        for piece in [scheme, authority.as_bytes(), b"/", &session_id, b";tcp"] {
            let next = uri.len + piece.len();
            uri.octets.get_mut(uri.len..next)?.copy_from_slice(piece);
            uri.len = next;
        }
        Some(uri)
    }

    /// Writes our description of the session of a call: we send. As an offer whoever wants to connects, as an
    /// answer to `offer` it stays as it is. It is the same octets whenever it is written.
    pub(super) fn write_description(
        &self,
        handle: Handle<Call>,
        offer: Option<&sdp::Session<'_>>,
        to: &mut [u8],
    ) -> Option<usize> {
        let call = self.calls.get(handle)?;
        if call.carry.is_some() {
            // It was said once, and stays as it is.
            let said = self.said_description(handle)?;
            to.get_mut(..said.len())?.copy_from_slice(said);
            return Some(said.len());
        }
        let uri = self.our_uri(call)?;
        let (is_tls, authority) = self.authority(call);
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let [number, version] = self.desk.minted(DESCRIPTION, name(handle)).0;
        let maker = Maker {
            session_id: sdp_build::minted(number),
            // An answer says who connects, and so is another version than the offer.
            version: sdp_build::minted(version) + u64::from(offer.is_some()),
            host: host.as_bytes(),
        };
        let stream = Stream {
            tls: is_tls,
            port: port.parse().ok()?,
            path: uri.octets(),
            accept_types: b"message/cpim text/plain",
            accept_wrapped_types: b"text/plain",
            max_size: call.inward.map(|_| SUBMISSION_SIZE_MAX as u64),
            setup: if offer.is_some() { call.role.setup() } else { Setup::ActPass },
            cema: call.cema,
            fingerprint: call.session.and_then(|session| self.desk.proofs.own(session)),
            direction: if call.inward.is_some() {
                Direction::RecvOnly
            } else {
                Direction::SendOnly
            },
            more: b"",
        };
        match offer {
            Some(offer) => {
                let index = call.inward.map_or(0, |caller| caller.stream);
                sdp_build::answer(offer, &maker, Some((index, &stream)), to)
            }
            None => sdp_build::offer(&maker, &stream, to),
        }
    }
}

impl Engine {
    /// Takes the answer to the offer of a call. What cannot be used is evidence; where another offer may have
    /// an effect it is made.
    pub(super) fn on_answer(
        &mut self,
        handle: Handle<Call>,
        answer: &[u8],
        now: Instant,
        out: &mut Departures,
    ) {
        match self.use_answer(handle, answer, now, out) {
            Ok(()) => {}
            Err(meaning) => {
                let has_other = meaning == Meaning::OfferAgain;
                self.set_outcome(handle, Evidence::AnswerUnusable, has_other, now);
            }
        }
    }

    fn use_answer(
        &mut self,
        handle: Handle<Call>,
        answer: &[u8],
        now: Instant,
        out: &mut Departures,
    ) -> Result<(), Meaning> {
        const NOT_USABLE: Meaning = Meaning::NotUsable;
        let description = sdp::parse(answer).map_err(|_| NOT_USABLE)?;
        let sessions = self.sessions_mut();
        let call = sessions.calls.get(handle).ok_or(NOT_USABLE)?;
        let (peer, cema, session) = (call.leg.peer, call.cema, call.session.ok_or(NOT_USABLE)?);
        let transfer_at = call.transfer.ok_or(NOT_USABLE)?;
        let path = sessions.our_uri(call).ok_or(NOT_USABLE)?;
        let transfer = sessions.transfers.get(transfer_at).ok_or(NOT_USABLE)?;
        let (is_second, before) = (transfer.is_second, transfer.content);
        let order = self.contents(peer);
        let order = if is_second { core::slice::from_ref(&before) } else { order };
        let mut contents = [CONTENTS[0]; CONTENTS.len()];
        for (content, number) in contents.iter_mut().zip(order) {
            *content = CONTENTS[usize::from(*number)];
        }
        let ours = Ours {
            path: path.octets(),
            contents: &contents[..order.len()],
            listens: true,
            cema,
            sends: true,
            receives: false,
        };
        let agreed = self.judged(session, &description, &ours)?;
        let content = order[usize::from(agreed.content)];
        let size = self.compose(transfer_at, content).ok_or(NOT_USABLE)?;
        if agreed.max_size.is_some_and(|max| size as u64 > max) {
            return Err(Meaning::TooLarge);
        }
        let target = self.msrp_target(&agreed, answer);
        let role = self.peers.get(peer).msrp.unwrap_or(MsrpRole::Relay);
        let sessions = self.sessions_mut();
        let their_path = Path::parse(agreed.path.of(answer)).map_err(|_| NOT_USABLE)?;
        if !sessions.endpoint.agree(session, their_path) {
            return Err(NOT_USABLE);
        }
        let uris = usize::from(agreed.path_count);
        let transfer = sessions.transfers.get_mut(transfer_at).ok_or(NOT_USABLE)?;
        transfer.content = content;
        match &mut transfer.ledger {
            Some(ledger) => ledger.meet(role, uris),
            None => transfer.ledger = Some(Ledger::new(size as u64, role, uris)),
        }
        self.send_in_session(handle, transfer_at, size)?;
        if let Some(call) = self.sessions_mut().calls.get_mut(handle) {
            call.previous = Some(Previous::of(&description));
            call.role = agreed.role;
            call.terms = Terms { content, uris: agreed.path_count, size_max: agreed.max_size };
            call.wait = Some((Wait::Connection, now.plus_ms(MSRP_UNBOUND_MS)));
        }
        self.wait_for_call(handle);
        if agreed.role == Role::Passive {
            self.read_early(out);
            return Ok(());
        }
        let target = target.ok_or(NOT_USABLE)?;
        if !self.connect(handle, target, now, out)
            && let Some(call) = self.sessions_mut().calls.get_mut(handle)
        {
            // There is no place for another connection, which says nothing about them.
            call.wait = Some((Wait::Refused, now));
            self.wait_for_call(handle);
        }
        Ok(())
    }

    /// What is agreed upon by an answer, which has to say who is at the other end where our offer asks for that.
    fn judged(
        &mut self,
        session: SessionId,
        answer: &sdp::Session<'_>,
        ours: &Ours<'_>,
    ) -> Result<Agreement, Meaning> {
        let proofs = &mut self.sessions_mut().desk.proofs;
        let refusal = match negotiation::judge(answer, ours, proofs.is_tls(session), 0) {
            Ok(agreed) if proofs.agree(session, &agreed) => return Ok(agreed),
            Ok(_) => Refusal::Fingerprint,
            Err(refusal) => refusal,
        };
        if refusal == Refusal::Fingerprint {
            self.count(Counter::MsrpNoFingerprint);
        }
        Err(refusal.means())
    }

    /// Gives the message to the session of a call, which sends it when it has a connection.
    pub(super) fn send_in_session(
        &mut self,
        handle: Handle<Call>,
        transfer_at: Handle<Transfer>,
        size: usize,
    ) -> Result<(), Meaning> {
        let transfers = self.sessions.as_deref().map(|all| &all.transfers);
        let transfer = transfers.and_then(|all| all.get(transfer_at));
        let record = transfer.and_then(|transfer| transfer.record);
        let message_id = self.message_id(record.ok_or(Meaning::NotUsable)?);
        let sessions = self.sessions_mut();
        let session = sessions.calls.get(handle).and_then(|call| call.session);
        let transfer = sessions.transfers.get_mut(transfer_at).ok_or(Meaning::NotUsable)?;
        let message = Message {
            owner: name(transfer_at),
            message_id: &message_id,
            content_type: Some(if transfer.content == AS_CPIM { CPIM } else { TEXT }),
            size: size as u64,
            success_report: true,
            failure_report: FailureReport::Yes,
        };
        let sending = session.and_then(|session| sessions.endpoint.send(session, &message).ok());
        transfer.sending = sending;
        transfer.chunks_from = 0;
        sending.map(|_| ()).ok_or(Meaning::NotUsable)
    }

    /// Which forms of content a peer is offered, the best first.
    fn contents(&self, peer: u8) -> &'static [u8] {
        let peer = self.peers.get(peer);
        match (peer.profile, peer.content) {
            (Profile::Cpm, _) => &[AS_CPIM],
            (Profile::SimpleIm, Content::Cpim) => &[AS_CPIM, AS_TEXT],
            (Profile::SimpleIm, Content::Text) => &[AS_TEXT, AS_CPIM],
        }
    }

    /// Where to connect to, and from where. A name that nobody has resolved at the start leads nowhere.
    pub(super) fn msrp_target(
        &self,
        agreed: &Agreement,
        answer: &[u8],
    ) -> Option<(Endpoint, SocketId)> {
        let target = &agreed.target;
        let remote = match target.ip {
            Some(ip) => Endpoint { ip, port: target.port },
            None => self.peers.named(target.host.of(answer), target.port).next()?,
        };
        let families = self.sessions.as_deref()?.setup.sockets_of(agreed.tls);
        let socket = if remote.is_v4() { families.v4 } else { families.v6 };
        Some((remote, socket?))
    }

    /// Writes the body of a message in one of its forms. How many octets it has.
    pub(super) fn compose(&mut self, handle: Handle<Transfer>, content: u8) -> Option<usize> {
        let record_at = self.sessions.as_deref()?.transfers.get(handle)?.record?;
        let record = self.records.get(record_at)?;
        let message_id = self.message_id(record_at);
        let named: &[u8] = match self.peers.get(record.im.peer).profile {
            Profile::Cpm => &message_id,
            Profile::SimpleIm => &[],
        };
        // It is written where it stays, which is borrowed alone while the rest is read.
        let mut sessions = self.sessions.take()?;
        let to = sessions.desk.body_mut(handle.index);
        let wraps = (content == AS_CPIM).then_some(named);
        let len = self
            .records
            .get(record_at)
            .and_then(|record| self.write_content(record_at, record, wraps, to));
        self.sessions = Some(sessions);
        len
    }
}

const _: () = assert!(TEXT.len() <= crate::limits::MSRP_CONTENT_TYPE_SIZE_MAX);

/// Sets what is minted apart from every other use of the same key.
pub(super) const DESCRIPTION: u64 = 0x5D90_0000 << 32;
