//! One row for each rule of answering an offer and of judging an answer.

#![expect(clippy::disallowed_macros, reason = "tests may allocate")]

use super::*;
use crate::wire::Span;
use crate::wire::sdp::{Direction, Hash, Session, parse};

/// A description with these lines from the first `m=` on.
fn description(lines: &str) -> String {
    format!("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n{lines}\n")
}

/// Where all of them come from.
const M: &str = "m=message 2855 TCP/MSRP *\n";
const TYPES: &str = "a=accept-types:message/cpim text/plain\n";
const PATH: &str = "a=path:msrp://192.0.2.9:2855/x;tcp\n";

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
const RELAYED: Ours<'static> =
    Ours { path: b"msrp://192.0.2.2:1;tcp msrp://192.0.2.1:2855/ours;tcp", ..OURS };
const DEAF: Ours<'static> = Ours { listens: false, ..OURS };
const PLAIN: Ours<'static> = Ours { cema: false, ..OURS };
const BOTH: Protocols = Protocols { tcp: true, tls: true };

fn answered(lines: &str, ours: &Ours<'_>) -> Result<Agreement, Refusal> {
    let whole = description(lines);
    let session = parse(whole.as_bytes()).unwrap();
    laws::agrees(whole.as_bytes());
    answer(&session, None, ours, BOTH, Role::Passive)
}

fn judged(lines: &str, ours: &Ours<'_>) -> Result<Agreement, Refusal> {
    let whole = description(lines);
    let session = parse(whole.as_bytes()).unwrap();
    judge(&session, ours, false, 1_000)
}

fn text(lines: &str, span: Span) -> String {
    let whole = description(lines);
    String::from_utf8(span.of(whole.as_bytes()).to_vec()).unwrap()
}

/// Host and port that we connect to.
fn target(lines: &str, agreement: &Agreement) -> (String, u16) {
    (text(lines, agreement.target.host), agreement.target.port)
}

#[test]
fn a_plain_offer_is_taken() {
    let lines = format!("{M}{TYPES}{PATH}a=max-size:4096");
    let agreement = answered(&lines, &OURS).unwrap();
    assert_eq!((agreement.index, agreement.role), (0, Role::Passive));
    assert_eq!(agreement.role.setup(), crate::wire::sdp::Setup::Passive);
    assert_eq!(target(&lines, &agreement), ("192.0.2.9".to_owned(), 2855));
    assert_eq!(agreement.target.ip, crate::wire::sdp::ip(b"192.0.2.9"));
    assert_eq!(text(&lines, agreement.path), "msrp://192.0.2.9:2855/x;tcp");
    assert_eq!(agreement.peer, agreement.path);
    assert_eq!((agreement.path_count, agreement.max_size), (1, Some(4096)));
    assert_eq!((agreement.tls, agreement.certificates, agreement.cema), (false, None, false));
    assert_eq!((agreement.sends, agreement.receives, agreement.content), (true, true, 0));
}

#[test]
fn the_answerer_connects_or_waits_as_the_offer_lets_him() {
    use Role::{Active, Passive};
    for (setup, prefers, heard, deaf) in [
        ("", Passive, Ok(Passive), Err(Refusal::Setup)),
        ("a=setup:active", Active, Ok(Passive), Err(Refusal::Setup)),
        ("a=setup:holdconn", Active, Ok(Passive), Err(Refusal::Setup)),
        ("a=setup:passive", Passive, Ok(Active), Ok(Active)),
        ("a=setup:actpass", Passive, Ok(Passive), Ok(Active)),
        ("a=setup:actpass", Active, Ok(Active), Ok(Active)),
    ] {
        let whole = description(&format!("{M}{TYPES}{PATH}{setup}"));
        let session = parse(whole.as_bytes()).unwrap();
        for (ours, expected) in [(OURS, heard), (DEAF, deaf)] {
            let role = answer(&session, None, &ours, BOTH, prefers).map(|agreed| agreed.role);
            assert_eq!(role, expected, "{setup:?} {prefers:?}");
        }
    }
}

/// RFC 4145 section 4.1 and RFC 6135 section 4.2: an offer of `actpass`, and one of `active`.
#[test]
fn an_answer_must_fit_the_part_that_was_offered() {
    use Role::{Active, Passive};
    for (setup, actpass, active) in [
        ("", Ok(Active), Ok(Active)),
        ("a=setup:passive", Ok(Active), Ok(Active)),
        ("a=setup:holdconn", Ok(Active), Ok(Active)),
        ("a=setup:active", Ok(Passive), Err(Refusal::Setup)),
        ("a=setup:actpass", Err(Refusal::Setup), Err(Refusal::Setup)),
    ] {
        let lines = format!("{M}{TYPES}{PATH}{setup}");
        assert_eq!(judged(&lines, &OURS).map(|agreed| agreed.role), actpass, "{setup}");
        assert_eq!(judged(&lines, &DEAF).map(|agreed| agreed.role), active, "{setup}");
    }
}

/// What is refused alike in an offer and in an answer: a stream of MSRP, its path, its types.
#[test]
fn what_no_session_can_be_made_of_is_refused() {
    let at = description("").len() - 1 + format!("{M}{TYPES}{PATH}").len();
    let expected = "active, passive, actpass or holdconn";
    for (lines, refusal) in [
        ("m=audio 2855 TCP/MSRP *\nTYPESPATH", Refusal::NoStream),
        ("m=message 2855 RTP/AVP *\nTYPESPATH", Refusal::NoStream),
        ("m=message 2855 tcp/msrp *\nTYPESPATH", Refusal::NoStream),
        ("m=message 0 TCP/MSRP *\nTYPESPATH", Refusal::Port),
        ("MTYPESPATHa=setup:x", Refusal::Attribute(Malformed { expected, at })),
        ("MTYPES", Refusal::Path),
        ("MTYPESa=path:msrps://192.0.2.9:2855/x;tcp", Refusal::Path),
        ("MTYPESa=path:msrp://192.0.2.9:2855/x;sctp", Refusal::Path),
        ("MTYPESa=path:msrp://alice.example/x;tcp", Refusal::Path),
        ("MTYPESa=path:msrp://192.0.2.9:2855;tcp", Refusal::Path),
        ("MTYPESa=path:msrp://192.0.2.9:2855/x;tcp msrp://192.0.2.8:1;tcp", Refusal::Path),
        ("MTYPESa=path:msrp://192.0.2.9:2855;tcp msrp://alice/x;tcp", Refusal::Path),
        ("MTYPESa=path:msrp://192.0.2.9:2855;tcp msrp://192.0.2.1:2855/ours;tcp", Refusal::Path),
        ("MPATH", Refusal::Types),
        ("MPATHa=accept-types:text/html image/*", Refusal::Types),
        ("MPATHa=accept-types:message/cpim", Refusal::Types),
        ("MPATHa=accept-wrapped-types:text/plain", Refusal::Types),
        ("MPATHa=accept-types:message/cpim\na=accept-wrapped-types:text/html", Refusal::Types),
    ] {
        let lines = lines.replace("TYPES", TYPES).replace("PATH", PATH);
        let lines =
            lines.strip_prefix('M').map_or_else(|| lines.clone(), |rest| format!("{M}{rest}"));
        assert_eq!(answered(&lines, &OURS), Err(refusal), "{lines}");
        assert_eq!(judged(&lines, &OURS), Err(refusal), "{lines}");
        assert_eq!(refusal.means(), Meaning::NotUsable);
    }
    assert_eq!(answered("", &OURS), Err(Refusal::NoStream));
    assert_eq!(judged("", &OURS), Err(Refusal::Count));
    assert_eq!(judged(&format!("{M}{TYPES}{PATH}{M}"), &OURS), Err(Refusal::Count));
}

#[test]
fn a_form_that_is_listed_is_better_than_one_that_may_be_tried() {
    for (types, content) in [
        ("a=accept-types:message/cpim text/plain", 0),
        ("a=accept-types:text/plain message/cpim", 0),
        ("a=accept-types:message/cpim\na=accept-wrapped-types:text/plain", 0),
        ("a=accept-types:message/cpim\na=accept-wrapped-types:*", 0),
        ("a=accept-types:text/plain", 1),
        ("a=accept-types:TEXT/plain;charset=utf-8", 1),
        ("a=accept-types:*", 0),
        ("a=accept-types:* text/plain", 1),
        ("a=accept-types:text/*", 1),
        ("a=accept-types:message/* text/plain", 1),
        ("a=accept-types:message/cpim *", 0),
    ] {
        let lines = format!("{M}{PATH}{types}");
        assert_eq!(answered(&lines, &OURS).map(|agreed| agreed.content), Ok(content), "{types}");
        assert_eq!(judged(&lines, &OURS).map(|agreed| agreed.content), Ok(content), "{types}");
    }
}

#[test]
fn protocols_are_those_that_we_do_or_offered() {
    let plain = format!("{M}{TYPES}{PATH}");
    let tls =
        format!("m=message 2855 TCP/TLS/MSRP *\n{TYPES}a=path:msrps://192.0.2.9:2855/x;tcp\n");
    let answered = |lines: &str, tcp, tls| {
        let whole = description(lines);
        let session = parse(whole.as_bytes()).unwrap();
        let protocols = Protocols { tcp, tls };
        answer(&session, None, &OURS, protocols, Role::Passive).map(|agreed| agreed.tls)
    };
    assert_eq!(answered(&plain, true, false), Ok(false));
    assert_eq!(answered(&plain, false, true), Err(Refusal::Protocol));
    assert_eq!(answered(&tls, false, true), Ok(true));
    assert_eq!(answered(&tls, true, false), Err(Refusal::Protocol));
    let judged = |lines: &str, tls| {
        let whole = description(lines);
        judge(&parse(whole.as_bytes()).unwrap(), &OURS, tls, 0).map(|agreed| agreed.tls)
    };
    assert_eq!(judged(&plain, false), Ok(false));
    assert_eq!(judged(&plain, true), Err(Refusal::Protocol));
    assert_eq!(judged(&tls, true), Ok(true));
    assert_eq!(judged(&tls, false), Err(Refusal::Protocol));
}

#[test]
fn the_first_stream_that_can_be_taken_is() {
    let other = "m=audio 1 RTP/AVP 0\n";
    let refused = format!("m=message 0 TCP/MSRP *\n{TYPES}{PATH}");
    let good = format!("{M}{TYPES}{PATH}");
    for (lines, index) in [
        (format!("{other}{good}"), Ok(1)),
        (format!("{good}{good}"), Ok(0)),
        (format!("{refused}{good}"), Ok(1)),
        (format!("{refused}{M}"), Err(Refusal::Port)),
        (format!("{M}{refused}"), Err(Refusal::Path)),
        (format!("{other}{M}{other}"), Err(Refusal::Path)),
    ] {
        assert_eq!(answered(&lines, &OURS).map(|agreed| agreed.index), index, "{lines}");
    }
    // In a session that exists, the stream stays where it is.
    let whole = description(&format!("{good}{refused}"));
    let session = parse(whole.as_bytes()).unwrap();
    let again = |at| answer(&session, Some(at), &OURS, BOTH, Role::Passive);
    assert_eq!(again(0).map(|agreed| agreed.index), Ok(0));
    assert_eq!(again(1), Err(Refusal::Port), "it is over");
    assert_eq!(again(2), Err(Refusal::NoStream));
}

/// RFC 3264 section 6.1: what is offered, what we want, and what is answered.
#[test]
fn messages_go_where_both_ends_want_them_to() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (offered, sends, receives, expected) in [
        ("", true, true, Ok(SendRecv)),
        ("a=sendrecv", true, true, Ok(SendRecv)),
        ("a=sendrecv", false, true, Ok(RecvOnly)),
        ("a=sendonly", true, true, Ok(RecvOnly)),
        ("a=recvonly", true, true, Ok(SendOnly)),
        ("a=inactive", true, true, Ok(Inactive)),
        ("a=sendonly", true, false, Err(Refusal::Direction)),
        ("a=recvonly", false, true, Err(Refusal::Direction)),
        ("a=sendrecv", false, false, Err(Refusal::Direction)),
    ] {
        let ours = Ours { sends, receives, ..OURS };
        let agreed = answered(&format!("{M}{TYPES}{PATH}{offered}"), &ours);
        assert_eq!(agreed.map(|agreed| agreed.direction()), expected, "{offered} {sends}");
    }
    for (answered, sends, receives, expected) in [
        ("", true, false, Ok(SendOnly)),
        ("a=recvonly", true, false, Ok(SendOnly)),
        ("a=recvonly", true, true, Ok(SendOnly)),
        ("", true, true, Ok(SendRecv)),
        ("a=sendonly", true, true, Err(Refusal::Direction)),
        ("a=sendonly", true, false, Err(Refusal::Direction)),
        ("a=inactive", true, false, Err(Refusal::Direction)),
        ("a=sendonly", false, true, Ok(RecvOnly)),
        ("a=recvonly", false, true, Err(Refusal::Direction)),
    ] {
        let ours = Ours { sends, receives, ..OURS };
        let agreed = judged(&format!("{M}{TYPES}{PATH}{answered}"), &ours);
        assert_eq!(agreed.map(|agreed| agreed.direction()), expected, "{answered} {sends}");
    }
}

#[test]
fn a_message_that_is_too_large_is_told_apart() {
    for (size, expected) in [
        ("a=max-size:1000", Ok(Some(1_000))),
        ("a=max-size:999", Err(Refusal::TooLarge { max_size: 999 })),
        ("", Ok(None)),
    ] {
        let agreed = judged(&format!("{M}{TYPES}{PATH}{size}"), &OURS);
        assert_eq!(agreed.map(|agreed| agreed.max_size), expected, "{size}");
    }
    assert_eq!(Refusal::TooLarge { max_size: 999 }.means(), Meaning::TooLarge);
    assert_eq!(Refusal::OfferAgain.means(), Meaning::OfferAgain);
    // A session that cannot be used at all is no reason to cut the message.
    let lines = format!("{M}{TYPES}{PATH}a=max-size:1\na=setup:actpass");
    assert_eq!(judged(&lines, &OURS), Err(Refusal::Setup));
}

#[test]
fn certificates_are_known_by_the_best_hash() {
    let print = |hash: Hash, octet: &str| {
        format!("a=fingerprint:{} {}\n", hash.name(), [octet; 64][..hash.size()].join(":"))
    };
    let of = |prints: &str, path: &str| {
        let lines = format!("m=message 2855 TCP/TLS/MSRP *\n{TYPES}{path}{prints}");
        answered(&lines, &OURS).map(|agreed| agreed.certificates)
    };
    let direct = "a=path:msrps://192.0.2.9:2855/x;tcp\n";
    let relayed = "a=path:msrps://192.0.2.9:2855;tcp msrps://192.0.2.8:1/x;tcp\n";
    assert_eq!(of("", direct), Ok(None));
    let weak = [print(Hash::Sha1, "01"), print(Hash::Md5, "02"), "a=fingerprint:x 00\n".into()];
    for weak in &weak {
        assert_eq!(of(weak, direct), Err(Refusal::Fingerprint), "{weak}");
    }
    assert_eq!(of(&weak[0], relayed), Ok(None), "of the relay, not of who is behind it");
    let all = format!(
        "{}{}{}{}{}{}",
        weak[0],
        print(Hash::Sha256, "03"),
        print(Hash::Sha384, "04"),
        print(Hash::Sha384, "04"),
        print(Hash::Sha384, "05"),
        print(Hash::Sha384, "06"),
    );
    let certificates = of(&all, direct).unwrap().unwrap();
    assert_eq!(certificates.hash(), Hash::Sha384);
    assert!(certificates.knows(&[4; 48]) && certificates.knows(&[5; 48]));
    assert!(!certificates.knows(&[6; 48]) && !certificates.knows(&[3; 32]));
    assert!(!certificates.knows(&[]) && !certificates.knows(&[4; 47]));
    let best = of(&format!("{all}{}", print(Hash::Sha512, "07")), direct).unwrap().unwrap();
    assert!(best.hash() == Hash::Sha512 && best.knows(&[7; 64]) && !best.knows(&[4; 48]));
    let least = of(&print(Hash::Sha256, "03"), direct).unwrap().unwrap();
    assert!(least.hash() == Hash::Sha256 && least.knows(&[3; 32]));
    let plain = answered(&format!("{M}{TYPES}{PATH}{}", weak[0]), &OURS);
    assert_eq!(plain.map(|agreed| agreed.certificates), Ok(None), "without TLS it means nothing");
}

#[test]
fn the_first_uri_is_connected_to_and_the_last_one_is_the_peer() {
    let path = "msrp://u@relay.example:2855;tcp msrp://[2001:db8::7]:4000/x;tcp";
    let lines = format!(
        "m=message 4000 TCP/MSRP *\nc=IN IP6 2001:db8::7\n{TYPES}a=path:{path}\na=setup:passive"
    );
    for agreed in [answered(&lines, &PLAIN), judged(&lines, &PLAIN)] {
        let agreement = agreed.unwrap();
        assert_eq!(agreement.role, Role::Active);
        assert_eq!(target(&lines, &agreement), ("relay.example".to_owned(), 2855));
        assert_eq!((agreement.target.ip, agreement.name), (None, agreement.target.host));
        assert_eq!(text(&lines, agreement.path), path);
        assert_eq!(text(&lines, agreement.peer), "msrp://[2001:db8::7]:4000/x;tcp");
        assert_eq!(agreement.path_count, 2);
    }
    let lines = format!(
        "m=message 4000 TCP/MSRP *\nc=IN IP6 2001:db8::7\n{TYPES}\
         a=path:msrp://[2001:db8:0::7]:4000/x;tcp\na=setup:passive"
    );
    let agreement = answered(&lines, &OURS).unwrap();
    assert_eq!(target(&lines, &agreement), ("2001:db8:0::7".to_owned(), 4000));
    assert_eq!(agreement.target.ip, crate::wire::sdp::ip(b"2001:db8::7"));
}

mod middlebox;
mod renewed;

/// Both descriptions of a row.
fn sessions<'a>(one: &'a str, other: &'a str) -> (Session<'a>, Session<'a>) {
    (parse(one.as_bytes()).unwrap(), parse(other.as_bytes()).unwrap())
}
