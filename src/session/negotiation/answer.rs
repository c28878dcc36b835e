//! What becomes of an offer to us.

use crate::wire::sdp::{Direction, Media, Session, Setup, Taken};

use super::agreement::{Agreement, Certificates, Role};
use super::place::{Place, relayed};
use super::{Ours, Protocols, Refusal};

/// Takes the first media description of MSRP that can be taken. In a session that exists, only the
/// one `at` which it is (RFC 3264 section 8).
///
/// `prefers` is our part where the other end leaves it to us: passive, unless others cannot connect to
/// us (RFC 6135 section 4.2.2).
///
/// # Errors
///
/// Why none can be taken: what is wrong with the first one, if there is one.
pub fn answer(
    offer: &Session<'_>,
    at: Option<u8>,
    ours: &Ours<'_>,
    protocols: Protocols,
    prefers: Role,
) -> Result<Agreement, Refusal> {
    let mut refused = Refusal::NoStream;
    for (index, media) in (0_u8..).zip(offer.media()) {
        if at.is_some_and(|at| at != index) {
            continue;
        }
        match stream(&media, index, ours, protocols, prefers) {
            Ok(agreement) => return Ok(agreement),
            Err(why) if refused == Refusal::NoStream => refused = why,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// Whether a media description is one of MSRP, and then whether it has TLS.
pub(super) fn protocol(media: &Media<'_>) -> Option<bool> {
    if media.media.of(media.octets) != b"message" {
        return None;
    }
    match media.protocol.of(media.octets) {
        b"TCP/MSRP" => Some(false),
        b"TCP/TLS/MSRP" => Some(true),
        _ => None,
    }
}

fn stream(
    media: &Media<'_>,
    index: u8,
    ours: &Ours<'_>,
    protocols: Protocols,
    prefers: Role,
) -> Result<Agreement, Refusal> {
    let tls = protocol(media).ok_or(Refusal::NoStream)?;
    if media.port == 0 {
        return Err(Refusal::Port);
    }
    if let Some(wrong) = media.wrong {
        return Err(Refusal::Attribute(wrong));
    }
    if !(if tls { protocols.tls } else { protocols.tcp }) {
        return Err(Refusal::Protocol);
    }
    let place = Place::of(media, ours, tls, media.setup == Some(Setup::Active))?;
    let content = content(media, ours)?;
    let theirs = media.direction.unwrap_or_default();
    let (sends, receives) = (ours.sends && theirs.receives(), ours.receives && theirs.sends());
    if theirs != Direction::Inactive && !sends && !receives {
        return Err(Refusal::Direction);
    }
    let role = role(media.setup, ours, prefers)?;
    if !media.cema && !place.is_said_twice {
        return Err(Refusal::Address);
    }
    let cema = ours.cema && media.cema && !falls_back(media, ours);
    Ok(Agreement {
        index,
        role,
        target: match role {
            Role::Active => place.target(cema)?,
            Role::Passive => place.first,
        },
        tls,
        certificates: certificates(media, tls)?,
        name: place.first.host,
        path: media.path,
        path_count: media.path_count,
        peer: place.peer,
        cema,
        content,
        max_size: media.max_size,
        sends,
        receives,
    })
}

/// Our part by what the offer says (RFC 4145 section 4.1, RFC 6135). Who offers and says nothing
/// connects (RFC 4975 section 8.5).
fn role(setup: Option<Setup>, ours: &Ours<'_>, prefers: Role) -> Result<Role, Refusal> {
    match setup {
        Some(Setup::Passive) => Ok(Role::Active),
        Some(Setup::ActPass) if ours.listens => Ok(prefers),
        Some(Setup::ActPass) => Ok(Role::Active),
        Some(Setup::Active | Setup::HoldConn) | None if ours.listens => Ok(Role::Passive),
        Some(Setup::Active | Setup::HoldConn) | None => Err(Refusal::Setup),
    }
}

/// Where relays and middleboxes cannot go together (RFC 6714 section 4.3).
fn falls_back(media: &Media<'_>, ours: &Ours<'_>) -> bool {
    let (theirs, ours) = (media.path_count > 1, relayed(ours));
    match media.setup {
        Some(Setup::ActPass) => theirs && ours,
        Some(Setup::Passive) => ours,
        Some(Setup::Active | Setup::HoldConn) | None => theirs,
    }
}

/// The form of content that both know: one that is listed rather than one that may be tried.
pub(super) fn content(media: &Media<'_>, ours: &Ours<'_>) -> Result<u8, Refusal> {
    if ours.contents.is_empty() {
        return Ok(0);
    }
    let types = media.types();
    let mut best = (Taken::No, 0);
    for (index, content) in (0_u8..).zip(ours.contents) {
        let taken = if content.container.is_empty() {
            types.takes(content.media_type)
        } else {
            types.takes_wrapped(content.container, content.media_type)
        };
        if taken > best.0 {
            best = (taken, index);
        }
    }
    if best.0 == Taken::No { Err(Refusal::Types) } else { Ok(best.1) }
}

/// The fingerprints of who is connected to: of a relay there are none (RFC 6135 section 4.3).
pub(super) fn certificates(media: &Media<'_>, tls: bool) -> Result<Option<Certificates>, Refusal> {
    if tls && media.path_count == 1 { Certificates::of(media) } else { Ok(None) }
}
