//! Which session a request is of, and which connection it belongs to.

use super::*;
use crate::limits::MSRP_UNBOUND_MS;

fn first() -> String {
    chunk("t001", "Message-ID: m001\r\nByte-Range: 1-2/2\r\n", "Hi", '$')
}

#[test]
fn the_first_request_binds() {
    let mut bench = Bench::passive(ANY);
    bench.show(&first());
    let facts = bench.facts();
    assert_eq!(facts[0], Fact::Bound { session: bench.session, connection: 0 });
    assert!(matches!(facts[1], Fact::Received { total: 2, .. }));
    assert_eq!(bench.it.connection_of(bench.session), Some(0));
    assert_eq!(bench.it.session_owner(bench.session), Some(77));
    bench.show(&first().replace("m001", "m002"));
    assert!(!bench.facts().iter().any(|fact| matches!(fact, Fact::Bound { .. })), "once");
}

/// RFC 4975 sections 5.4 and 7.3: who is not of a session here binds nothing, and gets the code.
#[test]
fn whoever_is_not_of_a_session_is_refused() {
    let table = [
        ("another session-id", first().replace("/s0-secret", "/s0-secreT"), Some(481)),
        ("a longer session-id", first().replace("/s0-secret", "/s0-secrets"), Some(481)),
        ("a place that nobody has", first().replace("/s0-secret", "/s3-secret"), Some(481)),
        ("a session-id that is not ours", first().replace("/s0-secret", "/x"), Some(481)),
        ("no session-id", first().replace("/s0-secret", ""), Some(481)),
        ("another port", first().replace("us.example:7000", "us.example:7001"), Some(481)),
        ("another scheme", first().replace("msrp://us", "msrps://us"), Some(481)),
        ("somebody else", first().replace("/theirs", "/Theirs"), Some(481)),
        (
            "a hop that was not agreed",
            first().replace(THEIRS, &format!("{OURS} {THEIRS}")),
            Some(481),
        ),
        ("no end here", first().replace(OURS, &format!("{OURS} {OURS}")), Some(481)),
        (
            "a silent one",
            first().replace("s0-secret", "s0").replace("m001", "m001\r\nFailure-Report: no"),
            None,
        ),
        ("a method of relays", first().replace(" SEND", " AUTH"), Some(501)),
        ("a method of nobody", first().replace(" SEND", " NICK"), Some(501)),
        (
            "a REPORT",
            first().replace(" SEND", " REPORT").replace("m001", "m001\r\nStatus: 000 200"),
            None,
        ),
    ];
    for (what, octets, code) in table {
        let mut bench = Bench::passive(ANY);
        bench.show(&octets);
        let written = bench.written();
        let line =
            code.map(|code| format!("MSRP t001 {code} {}", crate::wire::msrp::comment(code)));
        assert_eq!(starts(&written), line.as_deref().into_iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(bench.facts(), [], "{what}");
        assert_eq!(bench.it.connection_of(bench.session), None, "{what}");
    }
}

#[test]
fn a_uri_is_compared_as_uris_are() {
    let mut bench = Bench::passive(ANY);
    bench.show(
        &first()
            .replace("msrp://us.example", "MSRP://somebody@US.example")
            .replace(";tcp\r\nFrom", ";TCP;x=y\r\nFrom"),
    );
    assert!(matches!(bench.facts()[..], [Fact::Bound { .. }, Fact::Received { .. }]));
}

#[test]
fn a_bound_session_has_one_connection() {
    let mut bench = Bench::passive(ANY);
    bench.show(&first());
    bench.it.connected(1, START);
    bench.facts();
    assert_eq!(bench.show_on(1, first().replace("m001", "m002").as_bytes()), Step::Partial);
    assert!(bench.written_on(1, 9_000).starts_with("MSRP t001 506 "));
    assert_eq!(bench.facts(), []);
    assert!(!bench.it.bind(bench.session, 1));
}

/// A peer that is quicker than its SDP waits, and nothing of it is lost.
#[test]
fn a_request_before_its_answer_waits() {
    let mut it = Endpoint::new(rules(), START);
    let session = it.open(1, ANY).unwrap();
    assert!(it.offer(session, OURS.as_bytes()));
    it.connected(0, START);
    let mut bench = Bench { it, desk: Desk::new("us"), session, now: START };
    assert_eq!(bench.show_on(0, first().as_bytes()), Step::Early);
    assert_eq!(bench.show_on(0, first().as_bytes()), Step::Early);
    assert_eq!((bench.facts(), bench.written()), (vec![], String::new()));
    assert!(bench.it.agree(session, path(THEIRS)));
    bench.show(&first());
    assert!(matches!(bench.facts()[..], [Fact::Bound { .. }, Fact::Received { .. }]));
}

#[test]
fn several_sessions_share_a_connection_and_its_loss() {
    let mut bench = Bench::passive(ANY);
    let mut all = vec![bench.session];
    bench.show(&first());
    for place in 1..4 {
        let session = bench.it.open(place, ANY).unwrap();
        let uri = OURS.replace("s0-", &format!("s{place}-"));
        assert!(bench.it.offer(session, uri.as_bytes()));
        assert!(bench.it.agree(session, path(THEIRS)));
        bench.show(&first().replace(OURS, &uri));
        all.push(session);
    }
    assert_eq!(bench.it.open(9, ANY), None, "as many as there may be");
    bench.facts();
    // One in the middle, the first and the last one can leave.
    bench.it.close(all.remove(1), START);
    bench.it.lost(0, 0);
    let lost: Vec<_> = bench.facts();
    all.reverse();
    assert_eq!(lost, all.iter().map(|it| Fact::Lost { session: *it }).collect::<Vec<_>>());
    assert!(!bench.it.bind(all[0], 0), "a lost session is lost");
    bench.it.connected(0, START);
    assert!(!bench.it.bind(all[0], 0), "on any connection");
}

#[test]
fn a_connection_of_no_session_is_closed() {
    let mut bench = Bench::passive(ANY);
    bench.expire(MSRP_UNBOUND_MS - 1);
    assert_eq!(bench.facts(), []);
    bench.expire(MSRP_UNBOUND_MS + 5);
    assert_eq!(bench.facts(), [Fact::Unbound { connection: 0 }]);

    let mut bench = Bench::passive(ANY);
    bench.show(&first());
    let incoming =
        |fact| if let Fact::Received { incoming, .. } = fact { Some(incoming) } else { None };
    let incoming = bench.facts().into_iter().find_map(incoming).unwrap();
    bench.it.release(incoming);
    bench.expire(MSRP_UNBOUND_MS * 2);
    assert_eq!(bench.facts(), [], "bound");
    bench.it.close(bench.session, bench.now);
    bench.expire(MSRP_UNBOUND_MS * 3 + 5);
    assert_eq!(bench.facts(), [Fact::Unbound { connection: 0 }], "no more");
}

#[test]
fn what_cannot_be_kept_is_no_session() {
    let mut it = Endpoint::new(rules(), START);
    let session = it.open(1, ANY).unwrap();
    assert!(!it.offer(session, b"msrp://us.example:7000;tcp"), "no session-id");
    assert!(!it.offer(session, b"sip:us"));
    let long = format!("{THEIRS} {}", THEIRS.replace("them", &"x".repeat(MSRP_PATH_SIZE)));
    assert!(!it.agree(session, path(&long)));
    let message = Message {
        owner: 0,
        message_id: b"mmmm",
        content_type: None,
        size: 0,
        success_report: false,
        failure_report: FailureReport::Yes,
    };
    assert_eq!(it.send(session, &message), Err(Refused::NoSession));
}

const MSRP_PATH_SIZE: usize = crate::limits::MSRP_PATH_SIZE_MAX;
