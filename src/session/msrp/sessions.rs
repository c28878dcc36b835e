//! Sessions: what they were offered as, who the peer is, and which connection they are bound to.
//!
//! ```text
//!   open --> offer (our URI) --> agree (the peer's path) --> bind, or the peer's first request --> end
//! ```

use super::carried::WayId;
use super::incoming::Remembered;
use super::sending::SendingId;
use super::text::Text;
use super::{Endpoint, Fact, Host, IncomingId};
use crate::id::Handle;
use crate::limits::{
    MSRP_INCOMINGS_MAX, MSRP_PATH_SIZE_MAX, MSRP_REMEMBERED_MAX, MSRP_SENDINGS_MAX,
    MSRP_URI_SIZE_MAX,
};
use crate::time::Instant;
use crate::wire::msrp::{Path, Request, Uri, uri};

/// Names a session.
pub type SessionId = Handle<Session>;

/// What becomes of the octets that arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// They are put together in a buffer.
    Assembled,
    /// They are shown as they come ([`super::Step::Body`]), and which ones they are is kept.
    Counted,
}

/// When success reports are sent to who asks for them (RFC 4975 section 7.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reports {
    /// Together with the response to the chunk that makes the message whole: we are its recipient.
    AtOnce,
    /// When [`Endpoint::report`] says so: what is promised is known elsewhere.
    WhenTold,
}

/// Which messages a session takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Acceptance {
    /// Octets of a message at most: what `a=max-size` has said. What is assembled has a buffer, too.
    pub size_max: u64,
    /// What becomes of the octets.
    pub keep: Keep,
    /// When success reports are sent.
    pub reports: Reports,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    pub(super) owner: u64,
    pub(super) uri: Text<MSRP_URI_SIZE_MAX>,
    pub(super) peer: Text<MSRP_PATH_SIZE_MAX>,
    pub(super) acceptance: Acceptance,
    pub(super) connection: Option<u16>,
    pub(super) has_ended: bool,
    next: Option<SessionId>,
    prev: Option<SessionId>,
    pub(super) sendings: [Option<SendingId>; MSRP_SENDINGS_MAX],
    pub(super) incomings: [Option<IncomingId>; MSRP_INCOMINGS_MAX],
    pub(super) remembered: [Remembered; MSRP_REMEMBERED_MAX],
    pub(super) remembered_next: u8,
    /// Where to what comes here is carried, and from where what leaves here comes.
    pub(super) way_from: Option<WayId>,
    pub(super) way_to: Option<WayId>,
}

/// Whose request it is.
pub(super) enum Home {
    /// Of this session, which is bound to the connection or to none.
    Session(SessionId),
    /// Of a session whose peer is not known yet.
    Early,
    /// Of a session that may not belong to this connection.
    Unproved,
    /// Of none, and this is the answer.
    None(u16),
}

impl Endpoint {
    /// Takes a place for a session; none if all are taken. It accepts nothing before it is offered.
    pub fn open(&mut self, owner: u64, acceptance: Acceptance) -> Option<SessionId> {
        let size_max = match acceptance.keep {
            Keep::Assembled => acceptance.size_max.min(self.buffers.size() as u64),
            Keep::Counted => acceptance.size_max,
        };
        let session = Session {
            owner,
            uri: Text::EMPTY,
            peer: Text::EMPTY,
            acceptance: Acceptance { size_max, ..acceptance },
            connection: None,
            has_ended: false,
            next: None,
            prev: None,
            sendings: [None; MSRP_SENDINGS_MAX],
            incomings: [None; MSRP_INCOMINGS_MAX],
            remembered: [Remembered::NOTHING; MSRP_REMEMBERED_MAX],
            remembered_next: 0,
            way_from: None,
            way_to: None,
        };
        self.sessions.insert(session).ok()
    }

    /// The URI that the peer is given, whose session-id names the place of the session. `false` if it is
    /// no such URI.
    pub fn offer(&mut self, id: SessionId, our_uri: &[u8]) -> bool {
        let is_one = uri::parse(our_uri).is_ok_and(|uri| uri.session_id.is_some());
        match (self.sessions.get_mut(id), Text::of(our_uri)) {
            (Some(session), Some(text)) if is_one => {
                session.uri = text;
                true
            }
            _ => false,
        }
    }

    /// The path that the peer has given: all hops to it. `false` if it is longer than is kept.
    pub fn agree(&mut self, id: SessionId, peer: Path<'_>) -> bool {
        match (self.sessions.get_mut(id), Text::of(peer.octets())) {
            (Some(session), Some(text)) => {
                session.peer = text;
                true
            }
            _ => false,
        }
    }

    /// The session belongs to a connection that we have opened, or that leads where its path does. The
    /// first request on it is then to be sent at once (RFC 4975 section 5.4). `false` if it
    /// belongs to one already, or the connection is no more.
    pub fn bind(&mut self, id: SessionId, connection: u16) -> bool {
        let is_open = self.connection(connection).is_open;
        let free = |session: &&mut Session| session.connection.is_none() && !session.has_ended;
        let Some(session) = self.sessions.get_mut(id).filter(free).filter(|_| is_open) else {
            return false;
        };
        let next = self.connections[usize::from(connection)].first_session.replace(id);
        session.connection = Some(connection);
        session.next = next;
        let (sendings, way_to) = (session.sendings, session.way_to);
        if let Some(next) = next.and_then(|next| self.sessions.get_mut(next)) {
            next.prev = Some(id);
        }
        self.wheel.stop(u32::from(connection));
        for sending in sendings.into_iter().flatten() {
            self.make_ready(sending);
        }
        if let Some(way) = way_to {
            self.way_is_open(way);
        }
        true
    }

    /// The session ends, for all that SIP says. Its messages are told as [`Fact::Cut`] and
    /// [`Fact::Dropped`], and its place is free. What was to be [forgotten](Endpoint::forget) or
    /// [released](Endpoint::release) still is.
    pub fn close(&mut self, id: SessionId, now: Instant) {
        let connection = self.sessions.get(id).and_then(|session| session.connection);
        self.end(id);
        self.part(id);
        self.sessions.remove(id);
        if let Some(connection) = connection
            && self.connection(connection).first_session.is_none()
            && self.connection(connection).is_open
        {
            self.start_unbound(connection, now);
        }
    }

    /// What the owner has called it.
    pub fn session_owner(&self, id: SessionId) -> Option<u64> {
        self.sessions.get(id).map(|session| session.owner)
    }

    /// The connection that a session belongs to.
    pub fn connection_of(&self, id: SessionId) -> Option<u16> {
        self.sessions.get(id)?.connection
    }

    /// Nothing more comes and nothing more leaves in a session.
    pub(super) fn end(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.has_ended {
            return;
        }
        session.has_ended = true;
        let (sendings, incomings) = (session.sendings, session.incomings);
        let (way_from, way_to) = (session.way_from, session.way_to);
        for sending in sendings.into_iter().flatten() {
            self.cut(sending);
        }
        for incoming in incomings.into_iter().flatten() {
            self.drop_incoming(incoming);
        }
        if let Some(way) = way_from {
            self.way_has_no_sender(way);
        }
        if let Some(way) = way_to {
            self.way_has_no_recipient(way);
        }
        self.unbind(id);
    }

    fn unbind(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let (next, prev) = (session.next.take(), session.prev.take());
        let Some(connection) = session.connection.take() else { return };
        if let Some(next) = next.and_then(|next| self.sessions.get_mut(next)) {
            next.prev = prev;
        }
        match prev.and_then(|prev| self.sessions.get_mut(prev)) {
            Some(prev) => prev.next = next,
            None => self.connection(connection).first_session = next,
        }
    }

    /// Whose request this is (RFC 4975 sections 5.4 and 7.3).
    pub(super) fn home(&self, request: &Request<'_>, connection: u16, host: &impl Host) -> Home {
        let to_path = request.to_path();
        // We are no relay, so we must be where it ends.
        let Some(to) = to_path.first_uri().filter(|_| to_path.count() == 1) else {
            return Home::None(481);
        };
        let place = to.session_id.and_then(|id| host.session(id));
        let Some(id) = place.and_then(|place| self.sessions.handle_at(place)) else {
            return Home::None(481);
        };
        let Some(session) = self.sessions.get(id).filter(|session| !session.has_ended) else {
            return Home::None(481);
        };
        if !uri::parse(session.uri.octets()).is_ok_and(|uri| is_same(&uri, &to)) {
            return Home::None(481);
        }
        if session.peer.octets().is_empty() {
            return Home::Early;
        }
        // A stranger learns no more than that there is nothing for him.
        if !is_peer(session, request.from_path()) {
            return Home::None(481);
        }
        match session.connection {
            Some(bound) if bound != connection => Home::None(506),
            // Others have the connection with right: they keep it, and here is nothing for this one.
            None if !host.admits(id, connection) => match self.is_used(connection) {
                true => Home::None(481),
                false => Home::Unproved,
            },
            _ => Home::Session(id),
        }
    }

    /// Whether a session belongs to a connection.
    fn is_used(&self, connection: u16) -> bool {
        let connection = self.connections.get(usize::from(connection));
        connection.is_some_and(|connection| connection.first_session.is_some())
    }

    /// A request of this session came on this connection: if it is the first one, both belong together
    /// from here on.
    pub(super) fn bind_arrived(&mut self, session: SessionId, connection: u16) {
        if self.sessions.get(session).is_some_and(|session| session.connection.is_none())
            && self.bind(session, connection)
        {
            self.tell(Fact::Bound { session, connection });
        }
    }
}

/// Whether it is our URI (RFC 4975 section 6.1). How long it takes says nothing about the session-id.
fn is_same(ours: &Uri<'_>, theirs: &Uri<'_>) -> bool {
    let (one, other) = (ours.session_id.unwrap_or_default(), theirs.session_id.unwrap_or_default());
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other));
    one.len() == other.len() && core::hint::black_box(differs) == 0 && ours.matches(theirs)
}

/// Whether From-Path is the path that the peer has given. A request has passed the hops of its path in
/// the other direction, so both are written in the same order (RFC 4976 section 5.1).
fn is_peer(session: &Session, from: Path<'_>) -> bool {
    if session.peer.octets() == from.octets() {
        return true;
    }
    let Ok(peer) = Path::parse(session.peer.octets()) else { return false };
    peer.count() == from.count()
        && peer.uris().zip(from.uris()).all(|(one, other)| one.matches(&other))
}
