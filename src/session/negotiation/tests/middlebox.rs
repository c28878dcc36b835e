//! Addresses in `c=` and `m=` beside the path: RFC 6714, RFC 6135 section 4.2.2.

use super::*;

/// Through a middlebox: the address is not that of the path.
const AWAY: &str = "c=IN IP4 198.51.100.5\n";

#[test]
fn an_offer_says_the_same_place_twice() {
    for (lines, expected) in [
        ("m=message 2855 TCP/MSRP *\na=path:msrp://192.0.2.9:2855/x;tcp", Ok(())),
        ("m=message 2856 TCP/MSRP *\na=path:msrp://192.0.2.9:2855/x;tcp", Err(Refusal::Address)),
        ("m=message 2855 TCP/MSRP *\na=path:msrp://192.0.2.8:2855/x;tcp", Err(Refusal::Address)),
        ("m=message 2855 TCP/MSRP *\na=path:msrp://alice.example:2855/x;tcp", Ok(())),
        (
            "m=message 2855 TCP/MSRP *\na=path:msrp://alice.example:2856/x;tcp",
            Err(Refusal::Address),
        ),
        ("m=message 1 TCP/MSRP *\nc=IN IP4 Alice\na=path:msrp://alice:1/x;tcp", Ok(())),
        (
            "m=message 1 TCP/MSRP *\nc=IN IP4 bob\na=path:msrp://alice:1/x;tcp",
            Err(Refusal::Address),
        ),
        // Of a client with a relay: its own address (RFC 4975 section 8.1), or that of the relay.
        ("m=message 1 TCP/MSRP *\na=path:msrp://192.0.2.7:2;tcp msrp://192.0.2.9:1/x;tcp", Ok(())),
        ("m=message 1 TCP/MSRP *\na=path:msrp://192.0.2.9:1;tcp msrp://192.0.2.7:2/x;tcp", Ok(())),
        (
            "m=message 1 TCP/MSRP *\na=path:msrp://192.0.2.7:1;tcp msrp://192.0.2.9:2/x;tcp",
            Err(Refusal::Address),
        ),
        // Who connects has no port to be connected to.
        ("m=message 9 TCP/MSRP *\na=setup:active\na=path:msrp://192.0.2.9:2855/x;tcp", Ok(())),
        (
            "m=message 9 TCP/MSRP *\na=setup:active\na=path:msrp://192.0.2.8:2855/x;tcp",
            Err(Refusal::Address),
        ),
        (
            "m=message 8 TCP/MSRP *\na=setup:active\na=path:msrp://192.0.2.9:2855/x;tcp",
            Err(Refusal::Address),
        ),
        (
            "m=message 9 TCP/MSRP *\na=setup:actpass\na=path:msrp://192.0.2.9:2855/x;tcp",
            Err(Refusal::Address),
        ),
    ] {
        let lines = format!("{lines}\n{TYPES}");
        for ours in [&OURS, &PLAIN] {
            assert_eq!(answered(&lines, ours).map(|_| ()), expected, "{lines}");
        }
        // If the other end knows of middleboxes, so it may be.
        assert!(answered(&format!("{lines}a=msrp-cema"), &OURS).is_ok(), "{lines}");
    }
    let whole = "v=0\no=- 1 1 IN IP4 a\ns=-\nt=0 0\nm=message 1 TCP/MSRP *\n\
        a=accept-types:*\na=path:msrp://192.0.2.9:2/x;tcp\n";
    let session = parse(whole.as_bytes()).unwrap();
    assert!(answer(&session, None, &OURS, BOTH, Role::Passive).is_ok(), "no c= says nothing else");
}

#[test]
fn an_offer_through_a_middlebox_is_answered_to_it() {
    let path = "a=path:msrp://192.0.2.9:2855/x;tcp\n";
    let relays = "a=path:msrp://192.0.2.9:2855;tcp msrp://192.0.2.7:1/x;tcp\n";
    let (there, here) = (("198.51.100.5", 7777), ("192.0.2.9", 2855));
    for (path, setup, ours, cema, to) in [
        (path, "passive", OURS, true, there),
        (path, "passive", PLAIN, false, here),
        // Relays of ours cannot connect to a middlebox on our behalf.
        (path, "passive", RELAYED, false, here),
        (path, "actpass", Ours { listens: false, ..RELAYED }, true, there),
        (relays, "passive", OURS, true, there),
        (relays, "actpass", DEAF, true, there),
        (relays, "actpass", Ours { listens: false, ..RELAYED }, false, here),
    ] {
        let lines =
            format!("m=message 7777 TCP/MSRP *\n{AWAY}{TYPES}{path}a=setup:{setup}\na=msrp-cema");
        let agreement = answered(&lines, &ours).unwrap();
        assert_eq!((agreement.cema, agreement.role), (cema, Role::Active), "{lines}");
        assert_eq!(target(&lines, &agreement), (to.0.to_owned(), to.1), "{lines} {ours:?}");
        assert_eq!(text(&lines, agreement.name), "192.0.2.9");
    }
    // Who waits says whether it knows of middleboxes all the same.
    for (path, setup, ours, cema) in [
        (path, "", OURS, true),
        (path, "a=setup:active", OURS, true),
        (path, "a=setup:actpass", OURS, true),
        (path, "a=setup:actpass", RELAYED, true),
        (path, "a=setup:actpass", PLAIN, false),
        (relays, "a=setup:actpass", OURS, true),
        (relays, "a=setup:actpass", RELAYED, false),
        (relays, "a=setup:active", OURS, false),
        (relays, "a=setup:holdconn", OURS, false),
        (relays, "", OURS, false),
    ] {
        let lines = format!("m=message 7777 TCP/MSRP *\n{AWAY}{TYPES}{path}{setup}\na=msrp-cema");
        let agreement = answered(&lines.replace("\n\n", "\n"), &ours).unwrap();
        assert_eq!((agreement.cema, agreement.role), (cema, Role::Passive), "{lines} {ours:?}");
    }
}

/// RFC 6714 section 4.2.
#[test]
fn an_answer_through_a_middlebox_is_followed_or_asks_for_another_offer() {
    let path = "a=path:msrp://192.0.2.9:2855/x;tcp\n";
    let relays = "a=path:msrp://192.0.2.9:2855;tcp msrp://192.0.2.7:1/x;tcp\n";
    let (there, here) = (Ok(("198.51.100.5", 7777)), Ok(("192.0.2.9", 2855)));
    let again = Err(Refusal::OfferAgain);
    let middlebox = format!("m=message 7777 TCP/MSRP *\n{AWAY}{TYPES}");
    let direct = format!("m=message 2855 TCP/MSRP *\n{TYPES}");
    let behind = format!("m=message 1 TCP/MSRP *\nc=IN IP4 192.0.2.7\n{TYPES}");
    for (lines, path, setup, cema, ours, expected) in [
        (&middlebox, path, "passive", true, OURS, there),
        (&middlebox, path, "passive", false, OURS, there),
        (&middlebox, path, "active", true, OURS, here),
        (&middlebox, path, "active", false, OURS, again),
        (&middlebox, path, "passive", false, RELAYED, again),
        (&middlebox, path, "passive", true, RELAYED, there),
        (&middlebox, relays, "passive", false, OURS, again),
        (&middlebox, relays, "passive", true, OURS, there),
        (&middlebox, path, "passive", false, PLAIN, here),
        (&middlebox, path, "passive", true, PLAIN, here),
        (&middlebox, path, "active", false, PLAIN, here),
        (&direct, path, "passive", false, OURS, here),
        (&direct, path, "passive", false, RELAYED, here),
        (&direct, path, "active", false, OURS, here),
        // No middlebox, but a relay that does not know of such: as the path says.
        (&behind, relays, "passive", false, OURS, here),
        (&behind, relays, "passive", true, OURS, Ok(("192.0.2.7", 1))),
    ] {
        let cema_line = if cema { "a=msrp-cema" } else { "a=x" };
        let lines = format!("{lines}{path}a=setup:{setup}\n{cema_line}");
        let agreed = judged(&lines, &ours);
        let to = agreed.map(|agreement| target(&lines, &agreement));
        let expected = expected.map(|(host, port): (&str, u16)| (host.to_owned(), port));
        assert_eq!(to, expected, "{lines} {ours:?}");
        assert!(agreed.is_err() || agreed.unwrap().cema == (cema && ours.cema));
    }
    let lines = format!("m=message 9 TCP/MSRP *\n{TYPES}{path}a=setup:active");
    assert!(judged(&lines, &OURS).is_ok(), "who connects has no port to be connected to");
}

#[test]
fn nobody_is_connected_to() {
    for (address, port, expected) in [
        ("192.0.2.9", 2855, Ok(())),
        ("0.0.0.0", 2855, Err(Refusal::Address)),
        ("224.2.1.1", 2855, Err(Refusal::Address)),
    ] {
        for (setup, expected) in [("passive", expected), ("active", Ok(()))] {
            let lines = format!(
                "m=message {port} TCP/MSRP *\nc=IN IP4 {address}\n{TYPES}\
                 a=path:msrp://{address}:{port}/x;tcp\na=setup:{setup}"
            );
            assert_eq!(answered(&lines, &OURS).map(|_| ()), expected, "{lines}");
            assert_eq!(judged(&lines, &OURS).map(|_| ()), expected, "{lines}");
            let cema = format!("{}\na=msrp-cema", lines.replace(&format!("//{address}"), "//a"));
            assert_eq!(answered(&cema, &OURS).map(|_| ()), expected, "{cema}");
        }
    }
    let lines = format!(
        "m=message 1 TCP/MSRP *\nc=IN IP6 ::\n{TYPES}a=path:msrp://[::]:1/x;tcp\na=setup:passive"
    );
    assert_eq!(answered(&lines, &OURS), Err(Refusal::Address));
    let lines = format!("{M}{TYPES}a=path:msrp://192.0.2.9:0/x;tcp\na=setup:passive\na=msrp-cema");
    assert_eq!(answered(&lines, &PLAIN), Err(Refusal::Address));
    assert!(answered(&lines, &OURS).is_ok(), "the port in m= is one");
}
