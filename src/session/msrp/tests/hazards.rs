//! The hazards of MSRP that an endpoint meets, by their numbers.

use super::*;

/// H16 and H15: responses come in any order, each for its own octets and for nothing else.
#[test]
fn h15_h16_a_response_is_of_one_chunk() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 30_000], FailureReport::Yes);
    let other = bench.send(&[b'b'; 10], FailureReport::Yes);
    bench.written();
    bench.facts();
    bench.show(&response(&ours(id, 1), 200));
    let octets = Octets { start: 16_384, end: 30_000 };
    assert_eq!(bench.facts(), [Fact::Responded { sending: id, chunk: 1, octets, code: 200 }]);
    bench.show(&response(&ours(other, 0), 200));
    bench.show(&response(&ours(id, 0), 400));
    let octets = Octets { start: 0, end: 16_384 };
    assert_eq!(bench.facts()[1], Fact::Responded { sending: id, chunk: 0, octets, code: 400 });
}

/// Responses that are not of this connection, of this life or of any chunk change nothing.
#[test]
fn responses_of_nobody_are_counted() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 9_000], FailureReport::Yes);
    bench.written_on(0, 3_000);
    bench.it.connected(1, START);
    bench.facts();
    let tid = ours(id, 0);
    let strays = [
        response("x.0.0.0.0", 200),
        response("us.0.0.1.0", 200),
        response("us.0.0.0.1", 200),
        response("us.0.1.0.0", 200),
        response("us.7.0.0.0", 200),
        // A 200 to what has no end yet is said without having seen it.
        response(&tid, 200),
    ];
    for stray in &strays {
        bench.show(stray);
    }
    assert_eq!(bench.show_on(1, response(&tid, 500).as_bytes()), Step::Partial);
    assert_eq!(bench.facts(), []);
    assert_eq!(bench.it.counts().stray_responses, strays.len() as u64 + 1);
    bench.written();
    bench.facts();
    for stray in &strays[..5] {
        bench.show(stray);
    }
    assert_eq!(bench.facts(), []);
    bench.show(&response(&tid, 200));
    assert!(matches!(bench.facts()[..], [Fact::Responded { .. }]));
}

/// H17, H18, H19, H22: ranges are told as they are, whatever they are and however often.
#[test]
fn h17_h18_h22_reports_are_facts() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 8_000], FailureReport::Yes);
    bench.show(&report("message1", "Byte-Range: 1-8000/8000\r\nStatus: 000 200 OK\r\n"));
    assert_eq!(bench.facts(), [], "nothing of it has left");
    bench.written();
    bench.facts();
    let octets = |start, end| Some(Octets { start, end });
    let table = [
        ("Byte-Range: 1-4000/8000\r\nStatus: 000 200 OK\r\n", octets(0, 4_000), Some(8_000), 200),
        ("Byte-Range: 1-4000/8000\r\nStatus: 000 200 OK\r\n", octets(0, 4_000), Some(8_000), 200),
        (
            "Byte-Range: 4097-9000/9000\r\nStatus: 000 200\r\n",
            octets(4_096, 9_000),
            Some(9_000),
            200,
        ),
        ("Byte-Range: 1-8000/*\r\nStatus: 000 200\r\n", octets(0, 8_000), None, 200),
        ("Byte-Range: 1-*/8000\r\nStatus: 000 200\r\n", octets(0, 0), Some(8_000), 200),
        ("Status: 000 200\r\n", None, None, 200),
        ("Byte-Range: 1-10/10\r\nStatus: 000 408\r\n", octets(0, 10), Some(10), 408),
    ];
    for (fields, octets, total, code) in table {
        bench.show(&report("message1", fields));
        assert_eq!(
            bench.facts(),
            [Fact::Reported { sending: id, octets, total, code }],
            "{fields}"
        );
    }
    assert_eq!(bench.written(), "", "a REPORT is never answered");
}

/// H23: a REPORT counts for its own session and Message-ID only; other namespaces say nothing.
#[test]
fn h23_a_report_of_something_else_is_ignored() {
    let mut bench = Bench::active(ANY);
    let other = bench.it.open(1, ANY).unwrap();
    let uri = OURS.replace("s0-", "s1-");
    assert!(bench.it.offer(other, uri.as_bytes()) && bench.it.agree(other, path(THEIRS)));
    assert!(bench.it.bind(other, 0));
    bench.send(b"Hello", FailureReport::Yes);
    bench.written();
    bench.facts();
    let good = report("message1", "Status: 000 200\r\n");
    let strays = [
        good.replace("message1", "message2"),
        good.replace(OURS, &uri),
        good.replace("s0-secret", "s0-guess"),
        good.replace(THEIRS, OURS),
    ];
    for stray in &strays {
        bench.show(stray);
    }
    assert_eq!(bench.it.counts().stray_reports, 4);
    bench.show(&report("message1", "Status: 001 200\r\n"));
    assert_eq!(bench.it.counts().foreign_reports, 1);
    bench.it.connected(1, START);
    assert_eq!(bench.show_on(1, good.as_bytes()), Step::Partial);
    assert_eq!((bench.facts(), bench.written()), (vec![], String::new()));
    bench.show(&good);
    assert_eq!(bench.facts().len(), 1);
}

/// H24: a message goes on when nobody answers, as long as more chunks may wait.
#[test]
fn h24_silence_does_not_end_a_message() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 100_000], FailureReport::Yes);
    let len = bench.written_on(0, 5_000).len();
    bench.it.handed_over(0, len as u64, START);
    bench.show(&chunk("t001", "Message-ID: m001\r\n", "Hi", '$'));
    let len = bench.written_on(0, 1_000).len();
    bench.it.handed_over(0, len as u64, START);
    bench.facts();
    bench.expire(RESPONSE_MS + 5);
    assert_eq!(bench.facts(), [Fact::TimedOut { sending: id, chunk: 0 }]);
    assert!(bench.written().ends_with(&format!("aaa\r\n-------{}$\r\n", ours(id, 1))));

    let mut bench = Bench::active(ANY);
    let ids = [
        bench.send(&[b'a'; 400_000], FailureReport::Yes),
        bench.send(&[b'b'; 400_000], FailureReport::Yes),
    ];
    bench.written();
    bench.facts();
    bench.expire(RESPONSE_MS + 5);
    bench.facts();
    assert_eq!(bench.written(), "", "as many as may wait for an answer");
    bench.show(&response(&ours(ids[0], 2), 200));
    assert!(bench.written().starts_with(&format!("MSRP {} SEND\r\n", ours(ids[0], 15))));
}

/// Who asks for no responses has no chunks that wait for them.
#[test]
fn chunks_that_nobody_answers_keep_no_place() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 400_000], FailureReport::Partial);
    bench.send(&[b'b'; 500_000], FailureReport::No);
    let mut written = bench.written();
    bench.facts();
    written += &bench.written();
    assert!(written.ends_with(&format!("-------{}$\r\n", ours(id, 15))), "{:?}", starts(&written));
}

/// H29 and H30: a failure ends the chunk that is open with `#`, and no other follows.
#[test]
fn h29_h30_a_failure_stops_the_message() {
    for code in [400, 403, 413, 415, 423, 481, 500, 506] {
        for by_report in [false, true] {
            let mut bench = Bench::active(ANY);
            let id = bench.send(&[b'a'; 50_000], FailureReport::Yes);
            assert_eq!(bench.written_on(0, 5_000).len(), 5_000);
            bench.it.handed_over(0, 5_000, START);
            let said = format!("Byte-Range: 1-9/50000\r\nStatus: 000 {code}\r\n");
            let octets =
                if by_report { report("message1", &said) } else { response(&ours(id, 0), code) };
            bench.show(&octets);
            assert_eq!(bench.written(), format!("\r\n-------{}#\r\n", ours(id, 0)), "{code}");
            assert_eq!(bench.written(), "", "{code}");
            let facts = bench.facts();
            assert!(facts.contains(&Fact::Ended { sending: id, chunk: 0, flag: Flag::Aborted }));
            bench.expire(RESPONSE_MS * 2);
            assert_eq!(
                bench.facts().len(),
                usize::from(by_report),
                "what was answered has no timer"
            );
        }
    }
    // Between two chunks nothing follows (RFC 4975 section 10.5).
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 400_000], FailureReport::Yes);
    bench.send(&[b'b'; 400_000], FailureReport::Yes);
    bench.written();
    bench.facts();
    bench.show(&response(&ours(id, 0), 413));
    assert_eq!(bench.written(), "");
}

/// A chunk that is not to be interrupted is written to its end, and is none all the same.
#[test]
fn h30_a_short_chunk_ends_with_an_abort() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 2_000], FailureReport::Yes);
    bench.written_on(0, 1_000);
    bench.show(&response(&ours(id, 0), 413));
    let written = bench.written();
    assert!(written.ends_with(&format!("aaa\r\n-------{}#\r\n", ours(id, 0))), "{written}");
}

/// H31: another identifier, and where none is free of the body, an interruption in front of it.
#[test]
fn h31_a_body_with_our_end_line() {
    for piece in [usize::MAX, 1, 7, 30] {
        let mut bench = Bench::active(ANY);
        bench.desk.piece = piece;
        bench.desk.forced = vec!["forced1"];
        let body = "x\r\n-------forced1$\r\ny";
        bench.send(body.as_bytes(), FailureReport::Yes);
        let written = bench.written();
        assert_eq!(starts(&written).len(), 1);
        assert!(written.starts_with("MSRP us.0.0.0.1 SEND\r\n") && written.contains(body));
        assert_eq!(bench.it.counts().identifiers, 1);

        let mut bench = Bench::active(ANY);
        bench.desk.piece = piece;
        bench.desk.forced = vec!["forced1"; 5];
        bench.send(body.as_bytes(), FailureReport::Yes);
        let written = bench.written();
        assert_eq!(starts(&written).len(), 2, "{written}");
        assert!(written.contains("x\r\n-------forced1\r\n-------forced1+\r\n"), "{written}");
        assert!(written.contains("$\r\ny\r\n-------us.0.0.1.0$\r\n"), "{written}");

        let mut bench = Bench::active(ANY);
        bench.desk.piece = piece;
        bench.desk.forced = vec!["forced1"];
        let body = format!("{}{body}{}", "a".repeat(2_990), "b".repeat(3_000));
        bench.send(body.as_bytes(), FailureReport::Yes);
        let written: String = (0..100).map(|_| bench.written_on(0, 500)).collect();
        assert_eq!(starts(&written).len(), 2);
        assert!(written.contains("ax\r\n-------forced1\r\n-------forced1+\r\n"));
        assert!(written.contains("Byte-Range: 3008-*/6"), "{written}");
    }
}

/// H32: what has come is counted, not what the head says.
#[test]
fn h32_a_short_chunk_leaves_a_gap() {
    let mut bench = Bench::passive(ANY);
    let fields =
        |range| format!("Message-ID: m001\r\nByte-Range: {range}\r\nSuccess-Report: yes\r\n");
    bench.show(&chunk("t001", &fields("1-10/20"), "12345", '+'));
    bench.show(&chunk("t002", &fields("11-20/20"), "1234567890", '$'));
    let written = bench.written();
    assert_eq!(starts(&written), ["MSRP t001 200 OK", "MSRP t002 200 OK"], "and no REPORT");
    assert!(!bench.facts().iter().any(|fact| matches!(fact, Fact::Received { .. })));
    bench.show(&chunk("t003", &fields("6-10/20"), "67890", '+'));
    let written = bench.written();
    assert_eq!(starts(&written), ["MSRP t003 200 OK", "MSRP usrep1 REPORT"]);
    assert!(written.contains("Byte-Range: 1-20/20\r\nStatus: 000 200 OK\r\n"));
}
