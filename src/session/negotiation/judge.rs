//! What an answer to our offer is worth.

use crate::wire::sdp::{Media, Session, Setup};

use super::agreement::{Agreement, Role, Target};
use super::answer::{certificates, content, protocol};
use super::place::{Place, relayed};
use super::{Ours, Refusal};

/// Judges the answer to an offer of ours with one stream, with TLS or without, for a message of that
/// many octets.
///
/// # Errors
///
/// Why it cannot be used; [`Refusal::means`] says what to do.
pub fn judge(
    answer: &Session<'_>,
    ours: &Ours<'_>,
    tls: bool,
    size: u64,
) -> Result<Agreement, Refusal> {
    let mut streams = answer.media();
    let (Some(media), None) = (streams.next(), streams.next()) else {
        return Err(Refusal::Count);
    };
    match protocol(&media) {
        None => return Err(Refusal::NoStream),
        Some(_) if media.port == 0 => return Err(Refusal::Port),
        Some(answered) if answered != tls => return Err(Refusal::Protocol),
        Some(_) => {}
    }
    if let Some(wrong) = media.wrong {
        return Err(Refusal::Attribute(wrong));
    }
    let place = Place::of(&media, ours, tls, media.setup == Some(Setup::Active))?;
    let content = content(&media, ours)?;
    // An answer without a direction to an offer that has one means what it must say (RFC 3264 section
    // 6.1): the other way round.
    let theirs = media.direction.unwrap_or_default();
    let (sends, receives) = (ours.sends && theirs.receives(), ours.receives && theirs.sends());
    let is_ours = !ours.contents.is_empty();
    if is_ours && (ours.sends != sends || !sends && !receives) {
        return Err(Refusal::Direction);
    }
    let role = role(media.setup, ours)?;
    let agreement = Agreement {
        index: 0,
        role,
        target: target(&media, ours, role, &place)?,
        tls,
        certificates: certificates(&media, tls)?,
        name: place.first.host,
        path: media.path,
        path_count: media.path_count,
        peer: place.peer,
        cema: ours.cema && media.cema,
        content,
        max_size: media.max_size,
        sends,
        receives,
    };
    match media.max_size {
        Some(max_size) if size > max_size => Err(Refusal::TooLarge { max_size }),
        Some(_) | None => Ok(agreement),
    }
}

/// Our part by what the answer says. We offered `actpass` if others can connect to us, else `active`
/// (RFC 6135 section 4.2.2). Who answers and says nothing waits (RFC 4975 section 8.5).
const fn role(setup: Option<Setup>, ours: &Ours<'_>) -> Result<Role, Refusal> {
    match setup {
        Some(Setup::Active) if ours.listens => Ok(Role::Passive),
        Some(Setup::Passive | Setup::HoldConn) | None => Ok(Role::Active),
        Some(Setup::Active | Setup::ActPass) => Err(Refusal::Setup),
    }
}

/// Where to connect to, after an offer that said `msrp-cema` or did not (RFC 6714 section 4.2).
fn target(
    media: &Media<'_>,
    ours: &Ours<'_>,
    role: Role,
    place: &Place,
) -> Result<Target, Refusal> {
    let theirs = media.path_count > 1;
    let by_connection = ours.cema && (media.cema || !theirs);
    let in_between = ours.cema && !media.cema && !place.is_said_twice;
    match role {
        Role::Passive if in_between => Err(Refusal::OfferAgain),
        Role::Passive => Ok(place.first),
        Role::Active if in_between && (theirs || relayed(ours)) => Err(Refusal::OfferAgain),
        Role::Active => place.target(by_connection),
    }
}
