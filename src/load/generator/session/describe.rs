//! What is offered to us, and how we answer it (RFC 3264, RFC 4975 section 8, RFC 6135).

#![expect(clippy::disallowed_macros, reason = "a description is written once for each session")]

use crate::limits::SDP_OWN_SIZE_MAX;
use crate::load::generator::plan;
use crate::load::generator::session::message::MESSAGE_SIZE_MAX;
use crate::packet::Endpoint;
use crate::wire::msrp::uri;
use crate::wire::sdp::build::{self, Maker, Stream};
use crate::wire::sdp::{self, Direction, Media, Setup};

/// The user agent behind a relay that is played: nobody ever connects to it.
const BEHIND: &str = "msrp://phone.invalid:2855/";

/// A session that is agreed upon.
#[derive(Debug)]
pub(super) struct Agreed {
    /// Our answer.
    pub(super) answer: Vec<u8>,
    pub(super) ours: Box<[u8]>,
    pub(super) theirs: Box<[u8]>,
    /// Where we connect, if we do.
    pub(super) connects_to: Option<Endpoint>,
}

/// Answers an offer: with a session at `index` in the table that has this secret, in which we connect if we
/// may and are to. None if nothing in it can be used.
pub(super) fn answer(
    offer: &[u8],
    terms: &plan::Sessions,
    (index, secret): (u32, u64),
    is_active: bool,
) -> Option<Agreed> {
    let offer = sdp::parse(offer).ok()?;
    let (number, media) = (0_u8..).zip(offer.media()).find(|(_, media)| is_usable(media))?;
    let theirs: Box<[u8]> = media.path.of(offer.octets).into();
    let place = place_of(&media);
    let connects = match media.setup {
        Some(Setup::Passive) => true,
        Some(Setup::ActPass) => is_active && place.is_some(),
        // Who says nothing connects (RFC 4975 section 8.7).
        Some(Setup::Active | Setup::HoldConn) | None => false,
    };
    let connects_to = if connects { Some(place?) } else { None };
    let name = session_id(index, secret);
    let mut ours = format!("msrp://{}/{name};tcp", terms.address);
    if terms.report.is_some() {
        ours.push_str(&format!(" {BEHIND}{name};tcp"));
    }
    let host = terms.address.ip().to_string();
    let maker = Maker {
        session_id: build::minted(secret),
        version: build::minted(secret >> 1),
        host: host.as_bytes(),
    };
    let stream = Stream {
        tls: false,
        port: terms.address.port(),
        path: ours.as_bytes(),
        accept_types: b"message/cpim text/plain",
        accept_wrapped_types: b"text/plain",
        max_size: u64::try_from(MESSAGE_SIZE_MAX).ok(),
        setup: if connects { Setup::Active } else { Setup::Passive },
        cema: false,
        fingerprint: None,
        direction: Direction::RecvOnly,
        more: &[],
    };
    let mut answer = [0; SDP_OWN_SIZE_MAX];
    let len = build::answer(&offer, &maker, Some((number, &stream)), &mut answer)?;
    let answer = answer[..len].to_vec();
    Some(Agreed { answer, ours: ours.into_bytes().into(), theirs, connects_to })
}

/// A stream of MSRP over TCP that somebody sends in.
fn is_usable(media: &Media<'_>) -> bool {
    let of = |span: crate::wire::Span| span.of(media.octets);
    media.wrong.is_none()
        && media.port != 0
        && media.path_count > 0
        && of(media.media).eq_ignore_ascii_case(b"message")
        && of(media.protocol).eq_ignore_ascii_case(b"TCP/MSRP")
        && matches!(media.direction, None | Some(Direction::SendRecv | Direction::SendOnly))
}

/// Where whoever made this is connected to: at the first URI of its path, if that is an address.
fn place_of(media: &Media<'_>) -> Option<Endpoint> {
    let first = media.uris().next()?.of(media.octets);
    let uri = uri::parse(first).ok()?;
    Some(Endpoint { ip: uri.address()?, port: uri.port? })
}

/// The name of a session in its URI.
fn session_id(index: u32, secret: u64) -> String {
    format!("s{index:08x}{secret:016x}")
}

/// The session that a path leads to, and the secret that it must have.
pub(super) fn session_of(to_path: &[u8]) -> Option<(u32, u64)> {
    let first = to_path.split(|octet| *octet == b' ').next()?;
    let name = core::str::from_utf8(uri::parse(first).ok()?.session_id?).ok()?;
    let (index, secret) =
        name.strip_prefix('s').filter(|it| it.len() == 24)?.split_at_checked(8)?;
    Some((u32::from_str_radix(index, 16).ok()?, u64::from_str_radix(secret, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::generator::mix::Mix;

    fn terms(is_relay: bool) -> plan::Sessions {
        plan::Sessions {
            address: "10.0.0.9:2855".parse().unwrap(),
            invite: Mix::read("200").unwrap(),
            send: Mix::read("200").unwrap(),
            report: is_relay.then(|| Mix::read("200").unwrap()),
            active_percent: 0,
            count: 1,
        }
    }

    fn offer(lines: &str) -> String {
        let first = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n";
        [first, "m=message 7000 TCP/MSRP *\r\na=accept-types:text/plain\r\n", lines].concat()
    }

    const PATH: &str = "a=path:msrp://10.0.0.1:7000/we;tcp\r\n";

    fn agreed(lines: &str, is_active: bool, is_relay: bool) -> Option<Agreed> {
        let lines = [PATH, lines].concat();
        answer(offer(&lines).as_bytes(), &terms(is_relay), (3, 0xfeed), is_active)
    }

    #[test]
    fn who_connects_is_agreed_upon() {
        for (setup, is_active, connects) in [
            ("a=setup:actpass\r\n", false, false),
            ("a=setup:actpass\r\n", true, true),
            ("a=setup:active\r\n", true, false),
            ("a=setup:passive\r\n", false, true),
            ("", true, false),
        ] {
            let agreed = agreed(setup, is_active, false).unwrap();
            assert_eq!(agreed.connects_to.is_some(), connects, "{setup}");
            let text = String::from_utf8(agreed.answer).unwrap();
            let ours = if connects { "a=setup:active\r\n" } else { "a=setup:passive\r\n" };
            assert!(text.contains(ours) && text.contains("a=recvonly\r\n"), "{text}");
            assert!(text.contains("a=max-size:1056768\r\n"), "{text}");
            assert!(text.contains("m=message 2855 TCP/MSRP *\r\n"), "{text}");
        }
    }

    #[test]
    fn a_path_leads_back_to_its_session() {
        let agreed = agreed("a=setup:actpass\r\n", false, true).unwrap();
        let ours = "msrp://10.0.0.9:2855/s00000003000000000000feed;tcp \
                    msrp://phone.invalid:2855/s00000003000000000000feed;tcp";
        assert_eq!(agreed.ours, ours.as_bytes().into());
        assert_eq!(&*agreed.theirs, b"msrp://10.0.0.1:7000/we;tcp");
        assert_eq!(session_of(&agreed.ours), Some((3, 0xfeed)));
        for other in ["", "msrp://a:1/s3;tcp", "msrp://a:1/x00000003000000000000feed;tcp"] {
            assert_eq!(session_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_not_answered() {
        assert!(agreed("a=recvonly\r\n", false, false).is_none());
        assert!(answer(b"", &terms(false), (1, 1), false).is_none());
        assert!(answer(offer("").as_bytes(), &terms(false), (1, 1), false).is_none(), "no path");
        // A name is nothing that we could connect to.
        let named = offer("a=path:msrp://a.example:7000/we;tcp\r\na=setup:passive\r\n");
        assert!(answer(named.as_bytes(), &terms(false), (1, 1), true).is_none());
        let text = agreed("", false, false).map(|agreed| agreed.answer);
        assert!(text.is_some());
        let closed = offer(PATH).replace("message 7000", "message 0");
        assert!(answer(closed.as_bytes(), &terms(false), (1, 1), false).is_none());
    }
}
