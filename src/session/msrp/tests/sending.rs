//! Messages that are sent, chunk by chunk.

use super::*;
use crate::limits::MSRP_CHUNKS_MAX;

#[test]
fn what_fits_goes_as_one_chunk() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(b"Hello", FailureReport::Yes);
    let tid = ours(id, 0);
    assert_eq!(
        bench.written(),
        format!(
            "MSRP {tid} SEND\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: message1\r\n\
             Byte-Range: 1-5/5\r\nSuccess-Report: yes\r\nFailure-Report: yes\r\n\
             Content-Type: text/plain\r\n\r\nHello\r\n-------{tid}$\r\n"
        )
    );
    assert_eq!(
        bench.facts(),
        [
            Fact::Begun { sending: id, chunk: 0 },
            Fact::Gave { sending: id, chunk: 0, octets: 5 },
            Fact::Ended { sending: id, chunk: 0, flag: Flag::Last },
            Fact::HandedOver { sending: id, chunk: 0 },
        ]
    );
    bench.show(&response(&tid, 200));
    let octets = Octets { start: 0, end: 5 };
    assert_eq!(bench.facts(), [Fact::Responded { sending: id, chunk: 0, octets, code: 200 }]);
    assert_eq!(bench.written(), "");
}

/// RFC 4975 section 5.4: what binds a connection may have no body.
#[test]
fn a_send_without_a_body_binds() {
    let mut bench = Bench::active(ANY);
    let message = Message {
        owner: 0,
        message_id: b"bind",
        content_type: None,
        size: 0,
        success_report: false,
        failure_report: FailureReport::Yes,
    };
    let id = bench.it.send(bench.session, &message).unwrap();
    let tid = ours(id, 0);
    let written = bench.written();
    let end = format!(
        "Byte-Range: 1-0/0\r\nSuccess-Report: no\r\nFailure-Report: yes\r\n-------{tid}$\r\n"
    );
    assert!(written.ends_with(&end), "{written}");
    for unfit in [
        Message { size: 1, ..message },
        Message { message_id: b"a b", ..message },
        Message { content_type: Some(b"text"), ..message },
    ] {
        assert_eq!(bench.it.send(bench.session, &unfit), Err(Refused::Unfit));
    }
}

/// Section 7.1.1: an open end, and one chunk as long as nobody else has anything to say.
#[test]
fn a_long_message_is_one_open_chunk() {
    let mut bench = Bench::active(ANY);
    let body = "a".repeat(50_000);
    bench.send(body.as_bytes(), FailureReport::Yes);
    let written: String = (0..60).map(|_| bench.written_on(0, 1_000)).collect();
    assert_eq!(starts(&written).len(), 1);
    assert!(written.contains("Byte-Range: 1-*/50000\r\n"));
    assert!(written.contains(&body));
}

#[test]
fn an_answer_interrupts_a_chunk_and_goes_first() {
    let mut bench = Bench::active(ANY);
    let body: String = (b'a'..b'x').cycle().take(9_000).map(char::from).collect();
    let id = bench.send(body.as_bytes(), FailureReport::Yes);
    let mut written = bench.written_on(0, 700);
    bench.show(&chunk("t001", "Message-ID: m001\r\nSuccess-Report: yes\r\n", "Hi", '$'));
    written += &bench.written_on(0, 1 << 20);
    let lines = starts(&written);
    let (one, two) = (ours(id, 0), ours(id, 1));
    assert_eq!(
        lines,
        [
            format!("MSRP {one} SEND").as_str(),
            "MSRP t001 200 OK",
            "MSRP usrep1 REPORT",
            &format!("MSRP {two} SEND"),
        ]
    );
    // Never below 2048 octets, and then the exact position.
    assert!(written.contains(&format!("{}\r\n-------{one}+\r\n", &body[..2_048])));
    assert!(written.contains("Byte-Range: 2049-*/9000\r\n"), "{written}");
    assert!(written.ends_with(&format!("{}\r\n-------{two}$\r\n", &body[2_048..])));
}

#[test]
fn messages_of_one_connection_take_turns() {
    let mut bench = Bench::active(ANY);
    let ids = [
        bench.send(&[b'a'; 40_000], FailureReport::Yes),
        bench.send(&[b'b'; 20_000], FailureReport::Yes),
    ];
    let written = bench.written();
    let lines: Vec<_> = starts(&written).iter().map(|line| (*line).to_owned()).collect();
    let line = |of: usize, number| format!("MSRP {} SEND", ours(ids[of], number));
    assert_eq!(lines, [line(0, 0), line(1, 0), line(0, 1), line(1, 1), line(0, 2)]);
    for letter in ["a", "b"] {
        let wanted = if letter == "a" { 40_000 } else { 20_000 };
        let runs =
            written.split("\r\n").filter(|line| line.len() > 2_000 && line.starts_with(letter));
        assert_eq!(runs.map(str::len).sum::<usize>(), wanted);
    }
}

/// All chunks say the same, explicitly (hazard H25).
#[test]
fn h25_all_chunks_say_what_is_wanted() {
    let mut bench = Bench::active(ANY);
    bench.send(&[b'a'; 40_000], FailureReport::Partial);
    bench.send(&[b'b'; 40_000], FailureReport::Partial);
    let written = bench.written();
    let chunks = starts(&written).len();
    assert!(chunks > 4);
    let said = "Success-Report: yes\r\nFailure-Report: partial\r\n";
    assert_eq!(written.matches(said).count(), chunks);
}

/// As many chunks wait for responses as may; each response makes room for another.
#[test]
fn chunks_that_wait_are_limited() {
    let mut bench = Bench::active(ANY);
    let ids = [
        bench.send(&[b'a'; 400_000], FailureReport::Yes),
        bench.send(&[b'b'; 400_000], FailureReport::Yes),
    ];
    let chunks = starts(&bench.written()).len();
    assert_eq!(chunks, 2 * MSRP_CHUNKS_MAX);
    assert_eq!(bench.written(), "");
    bench.facts();
    bench.show(&response(&ours(ids[0], 3), 200));
    assert!(bench.written().starts_with(&format!("MSRP {} SEND\r\n", ours(ids[0], 15))));
}

/// Hazard H52: the timer runs from where the last octet was handed over, and no sooner.
#[test]
fn h52_the_timer_runs_from_the_last_octet() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(b"Hello", FailureReport::Yes);
    let len = bench.written_on(0, 9_000).len() as u64;
    bench.expire(RESPONSE_MS * 2);
    bench.it.handed_over(0, len - 1, bench.now);
    bench.expire(RESPONSE_MS * 4);
    bench.facts();
    bench.it.handed_over(0, 1, bench.now);
    assert_eq!(bench.facts(), [Fact::HandedOver { sending: id, chunk: 0 }]);
    bench.expire(RESPONSE_MS * 5 - 2);
    assert_eq!(bench.facts(), []);
    bench.expire(RESPONSE_MS * 5 + 5);
    assert_eq!(bench.facts(), [Fact::TimedOut { sending: id, chunk: 0 }]);
    // What comes late is told all the same, once.
    bench.show(&response(&ours(id, 0), 200));
    bench.show(&response(&ours(id, 0), 200));
    assert!(matches!(bench.facts()[..], [Fact::Responded { code: 200, .. }]));
    assert_eq!(bench.it.counts().stray_responses, 1);
}

#[test]
fn each_chunk_has_a_time_of_its_own() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 30_000], FailureReport::Yes);
    bench.send(&[b'b'; 10], FailureReport::No);
    bench.written();
    bench.now = at(10_000);
    bench.facts();
    bench.show(&response(&ours(id, 0), 200));
    bench.expire(RESPONSE_MS + 5);
    let timed_out = |facts: Vec<Fact>| {
        let number =
            |fact| if let Fact::TimedOut { chunk, .. } = fact { Some(chunk) } else { None };
        facts.into_iter().filter_map(number).collect::<Vec<_>>()
    };
    assert_eq!(timed_out(bench.facts()), [1]);
}

/// Failure-Report says who waits for what (section 7.1.1).
#[test]
fn who_asks_for_no_response_waits_for_none() {
    for failure_report in [FailureReport::No, FailureReport::Partial] {
        let mut bench = Bench::active(ANY);
        let id = bench.send(b"Hello", failure_report);
        bench.written();
        bench.facts();
        bench.expire(RESPONSE_MS * 3);
        assert_eq!(bench.facts(), []);
        bench.show(&response(&ours(id, 0), 400));
        assert!(matches!(bench.facts()[..], [Fact::Responded { code: 400, .. }]));
    }
}

#[test]
fn what_is_aborted_is_not_ended() {
    let mut bench = Bench::active(ANY);
    let id = bench.send(&[b'a'; 50_000], FailureReport::Yes);
    bench.written_on(0, 3_000);
    bench.it.abort(id);
    let tid = ours(id, 0);
    assert_eq!(bench.written(), format!("\r\n-------{tid}#\r\n"));
    assert!(bench.facts().contains(&Fact::Ended { sending: id, chunk: 0, flag: Flag::Aborted }));
    assert_eq!(bench.written(), "");
    // Forgotten in the middle: the stream stays whole.
    let id = bench.send(&[b'a'; 50_000], FailureReport::Yes);
    bench.written_on(0, 3_000);
    bench.it.forget(id);
    let next = bench.send(b"next", FailureReport::Yes);
    let written = bench.written();
    assert!(written.starts_with(&format!(
        "\r\n-------{}#\r\nMSRP {} SEND\r\n",
        ours(id, 0),
        ours(next, 0)
    )));
    // Before its turn: nothing of it is written.
    let id = bench.send(b"never", FailureReport::Yes);
    bench.it.abort(id);
    assert_eq!(bench.written(), "");
}

/// What is certain when the connection ends (hazards H27 and H51).
#[test]
fn h27_h51_how_much_has_left_is_told() {
    let table = [
        (0, 0, Departed::Nothing),
        (0, 1, Departed::Some),
        (1, 0, Departed::Some),
        (4_000, 0, Departed::Some),
        (u64::MAX, 0, Departed::All),
        (0, u64::MAX, Departed::All),
    ];
    for (handed, doubtful, departed) in table {
        let mut bench = Bench::active(ANY);
        let before = bench.send(b"before", FailureReport::Yes);
        bench.written();
        let id = bench.send(&[b'a'; 4_000], FailureReport::Yes);
        let unbegun = bench.send(b"later", FailureReport::Yes);
        bench.it.abort(unbegun);
        bench.written_on(0, 1 << 20);
        bench.it.handed_over(0, handed, bench.now);
        bench.facts();
        bench.it.lost(0, doubtful);
        let session = bench.session;
        assert_eq!(
            bench.facts(),
            [
                Fact::Cut { sending: before, departed: Departed::All },
                Fact::Cut { sending: id, departed },
                Fact::Cut { sending: unbegun, departed: Departed::Nothing },
                Fact::Lost { session },
            ]
        );
        assert_eq!(bench.written(), "");
        assert!(bench.it.owner(id).is_some(), "until it is forgotten");
        bench.it.forget(id);
        assert!(bench.it.owner(id).is_none());
    }
}
