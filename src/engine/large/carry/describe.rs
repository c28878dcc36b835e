//! Our descriptions of sessions that are joined: what both ends have to know of each other is the other one's,
//! where the session leads to and who connects is ours.

use super::Said;
use crate::engine::large::facts::name;
use crate::engine::large::offer::DESCRIPTION;
use crate::engine::large::{Call, Sessions};
use crate::id::Handle;
use crate::limits::CARRIED_SDP_SIZE_MAX;
use crate::session::negotiation::{Ours, Protocols};
use crate::wire::sdp::build::{self as sdp_build, Maker, Stream};
use crate::wire::sdp::{self, Direction, Media, Setup};

/// What is done: no stream has TLS where we carry.
pub(super) const PROTOCOLS: Protocols = Protocols { tcp: true, tls: false };

/// What we bring into a session that is joined: whatever both ends agree upon.
pub(super) const fn ours(path: &[u8], cema: bool) -> Ours<'_> {
    Ours { path, contents: &[], listens: true, cema, sends: true, receives: true }
}

/// What our description says beside what it repeats of the other side's.
pub(super) struct Part<'a> {
    pub(super) setup: Setup,
    pub(super) cema: bool,
    pub(super) direction: Direction,
    /// The offer that it answers, and which of its streams; none in an offer.
    pub(super) offer: Option<(&'a sdp::Session<'a>, u8)>,
    /// How many of our descriptions of this session came before.
    pub(super) before: u64,
}

/// The direction of an answer of ours, where the other side has answered so to an offer of this direction: an
/// answer that says nothing means what it may (RFC 3264 section 6.1).
pub(super) const fn answered(theirs: Direction, offered: Direction) -> Direction {
    Direction::of(theirs.sends() && offered.receives(), theirs.receives() && offered.sends())
}

impl Sessions {
    /// Writes our description of the session of a call, with what the other side has said in its own. `None` if
    /// that is more than is kept.
    pub(super) fn describe(
        &self,
        handle: Handle<Call>,
        theirs: &Media<'_>,
        part: &Part<'_>,
        to: &mut [u8; CARRIED_SDP_SIZE_MAX],
    ) -> Option<usize> {
        let call = self.calls.get(handle)?;
        let uri = self.our_uri(call)?;
        let (_, authority) = self.authority(call);
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let [number, version] = self.desk.minted(DESCRIPTION, name(handle)).0;
        let maker = Maker {
            session_id: sdp_build::minted(number),
            version: sdp_build::minted(version) + part.before,
            host: host.as_bytes(),
        };
        let mut more = [0; CARRIED_SDP_SIZE_MAX];
        let more = others(theirs, &mut more)?;
        let stream = Stream {
            tls: false,
            port: port.parse().ok()?,
            path: uri.octets(),
            accept_types: theirs.accept_types.of(theirs.octets),
            accept_wrapped_types: theirs.accept_wrapped_types.of(theirs.octets),
            max_size: theirs.max_size,
            setup: part.setup,
            cema: part.cema,
            fingerprint: None,
            direction: part.direction,
            more,
        };
        match part.offer {
            Some((offer, at)) => sdp_build::answer(offer, &maker, Some((at, &stream)), to),
            None => sdp_build::offer(&maker, &stream, to),
        }
    }

    /// Keeps our description of the session of a call, with what else its INVITE repeats.
    pub(super) fn say<'a>(
        &mut self,
        handle: Handle<Call>,
        description: &[u8],
        routes: impl Iterator<Item = &'a [u8]>,
        preferences: impl Iterator<Item = &'a [u8]>,
    ) -> Option<()> {
        let store = self.carried.as_mut()?;
        let side = self.calls.get_mut(handle)?.carry.as_mut()?;
        let buffer = match side.said {
            Some(said) => said.buffer,
            None => store.said.take()?,
        };
        let mut said = Said { buffer, description: 0, routes: 0, preferences: 0 };
        side.said = Some(said);
        let octets = store.said.octets_mut(buffer);
        let mut end = 0;
        let mut put = |piece: &[u8]| {
            octets.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            end += piece.len();
            Some(piece.len())
        };
        said.description = put(description)?;
        for route in routes {
            if said.routes > 0 {
                said.routes += put(b",")?;
            }
            said.routes += put(route)?;
        }
        for line in preferences {
            said.preferences += put(line)?;
        }
        side.said = Some(said);
        Some(())
    }

    /// Says again what was said of the session of a call, with another description.
    pub(super) fn say_again(&mut self, handle: Handle<Call>, description: &[u8]) -> Option<()> {
        let (mut kept, mut len) = ([0; crate::limits::CARRIED_SAID_SIZE_MAX], [0; 2]);
        let call = self.calls.get(handle)?;
        let (routes, preferences) = self.said_besides(call)?;
        let mut end = 0;
        for (piece, len) in [routes, preferences].into_iter().zip(&mut len) {
            kept.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            (end, *len) = (end + piece.len(), piece.len());
        }
        let (routes, behind) = kept.split_at(len[0]);
        let some = |piece: &'_ [u8]| !piece.is_empty();
        let routes = Some(routes).filter(|it| some(it));
        let preferences = Some(&behind[..len[1]]).filter(|it| some(it));
        self.say(handle, description, routes.into_iter(), preferences.into_iter())
    }
}

/// The attributes that are between both ends, each with its CRLF.
fn others<'a>(theirs: &Media<'_>, to: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for line in theirs.others() {
        for piece in [line, b"\r\n"] {
            to.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            end += piece.len();
        }
    }
    to.get(..end)
}
