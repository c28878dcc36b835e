//! What holds for any description whatsoever: the mutation test and the fuzz target check it.

use super::*;
use crate::wire::sdp;

const OURS: Ours<'static> = Ours {
    path: b"msrp://192.0.2.1:2855/ours;tcp",
    contents: &[
        Content { container: b"message/cpim", media_type: b"text/plain" },
        Content { container: b"", media_type: b"text/plain" },
    ],
    listens: true,
    cema: true,
    sends: true,
    receives: true,
};

/// Answering and judging: whatever comes of it names what is in the description.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn agrees(octets: &[u8]) {
    let Ok(session) = sdp::parse(octets) else { return };
    let protocols = Protocols { tcp: true, tls: true };
    for (listens, cema) in [(true, true), (true, false), (false, true), (false, false)] {
        let ours = Ours { listens, cema, ..OURS };
        if let Ok(agreement) = answer(&session, None, &ours, protocols, Role::Passive) {
            holds(&session, &agreement, &ours);
            let again = answer(&session, Some(agreement.index), &ours, protocols, Role::Passive);
            assert_eq!(again, Ok(agreement));
        }
        for tls in [true, false] {
            if let Ok(agreement) = judge(&session, &ours, tls, 1_000) {
                assert_eq!((agreement.index, agreement.tls), (0, tls));
                assert!(agreement.sends && agreement.max_size.is_none_or(|max| max >= 1_000));
                holds(&session, &agreement, &ours);
            }
        }
    }
    assert_eq!(Previous::of(&session).change(&session), Change::Unchanged);
}

fn holds(session: &sdp::Session<'_>, agreement: &Agreement, ours: &Ours<'_>) {
    let media = session.media().nth(agreement.index.into());
    let of = |span: crate::wire::Span| span.of(session.octets);
    assert!(media.is_some_and(|media| media.port > 0 && media.wrong.is_none()));
    assert!(media.is_some_and(|media| media.path == agreement.path));
    assert!(agreement.role == Role::Active || ours.listens);
    assert!(ours.cema || !agreement.cema);
    assert!(of(agreement.path).ends_with(of(agreement.peer)) && !agreement.peer.is_empty());
    assert!(!of(agreement.name).is_empty() && !of(agreement.target.host).is_empty());
    let ip = sdp::ip(of(agreement.target.host));
    assert!(agreement.role == Role::Passive || agreement.target.port > 0);
    assert!(agreement.target.ip.is_none() || agreement.target.ip == ip);
    assert!(agreement.tls || agreement.certificates.is_none());
    assert!(usize::from(agreement.content) < ours.contents.len());
}
