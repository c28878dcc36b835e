//! Messages that arrive.

use super::*;
use crate::limits::{MSRP_INCOMINGS_MAX, MSRP_INTERVALS_MAX, MSRP_STALLED_MS};

fn of(facts: &[Fact]) -> Option<IncomingId> {
    facts.iter().find_map(|fact| {
        if let Fact::Received { incoming, .. } = fact { Some(*incoming) } else { None }
    })
}

fn ranged(tid: &str, range: &str, body: &str, flag: char) -> String {
    let fields = format!("Message-ID: m001\r\nByte-Range: {range}\r\nSuccess-Report: yes\r\n");
    chunk(tid, &fields, body, flag)
}

/// Section 7.3.1: any order, any pieces; of what comes twice the last stays; `$` says where the end is.
#[test]
fn chunks_come_in_any_order() {
    let chunks = [
        ranged("t001", "1-5/*", "Hello", '+'),
        ranged("t002", "6-*/12", ", World", '+'),
        ranged("t003", "8-12/12", "world", '$'),
    ];
    for (order, whole) in [
        ([0, 1, 2], "Hello, world"),
        ([2, 1, 0], "Hello, World"),
        ([1, 0, 2], "Hello, world"),
        ([2, 0, 1], "Hello, World"),
    ] {
        let mut bench = Bench::passive(ANY);
        for (place, which) in order.into_iter().enumerate() {
            bench.show(&chunks[which]);
            let facts = bench.facts();
            assert_eq!(of(&facts).is_some(), place == 2, "{order:?}");
            if let Some(id) = of(&facts) {
                assert_eq!(bench.it.octets(id).unwrap(), whole.as_bytes());
                let (session, message_id, content_type) = bench.it.incoming(id).unwrap();
                assert_eq!((session, message_id), (bench.session, &b"m001"[..]));
                assert_eq!(content_type, b"text/plain");
                bench.it.release(id);
                assert_eq!(bench.it.octets(id), None);
            }
        }
        let written = bench.written();
        assert_eq!(starts(&written).len(), 4, "three responses and a REPORT");
        assert!(written.contains("Byte-Range: 1-12/12\r\nStatus: 000 200 OK\r\n"));
    }
}

/// Sections 7.1.2 and 7.2: who is answered what.
#[test]
fn answers_go_where_they_are_asked_for() {
    for (fields, good, bad) in [
        ("", &["MSRP t001 200 OK"][..], &["MSRP t001 413 Message Unwanted"][..]),
        ("Failure-Report: no\r\n", &[], &[]),
        ("Failure-Report: partial\r\n", &[], &["MSRP t001 413 Message Unwanted"]),
        ("Failure-Report: no\r\nSuccess-Report: yes\r\n", &["MSRP usrep1 REPORT"], &[]),
        (
            "Success-Report: yes\r\n",
            &["MSRP t001 200 OK", "MSRP usrep1 REPORT"],
            &["MSRP t001 413 Message Unwanted"],
        ),
    ] {
        let fields = format!("Message-ID: m001\r\n{fields}");
        let mut bench = Bench::passive(ANY);
        bench.show(&chunk("t001", &fields, "Hello", '$'));
        assert_eq!(starts(&bench.written()), good, "{fields}");
        let mut bench = Bench::passive(Acceptance { size_max: 4, ..ANY });
        bench.show(&chunk("t001", &fields, "Hello", '$'));
        assert_eq!(starts(&bench.written()), bad, "{fields}");
    }
    let mut bench = Bench::passive(ANY);
    bench.show(&chunk("t001", "Message-ID: m001\r\n", "Hello", '$'));
    assert_eq!(
        bench.written(),
        format!("MSRP t001 200 OK\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\n-------t001$\r\n")
    );
}

/// To the previous hop only; a REPORT goes all the way (section 7.1.2).
#[test]
fn answers_go_to_the_previous_hop() {
    let all = format!("msrp://relay.example:9000/r1;tcp {THEIRS}");
    let mut bench = Bench::passive(ANY);
    assert!(bench.it.agree(bench.session, path(&all)));
    bench.show(&ranged("t001", "1-2/2", "Hi", '$').replace(THEIRS, &all));
    let written = bench.written();
    assert!(
        written.starts_with("MSRP t001 200 OK\r\nTo-Path: msrp://relay.example:9000/r1;tcp\r\n")
    );
    assert!(written.contains(&format!("REPORT\r\nTo-Path: {all}\r\nFrom-Path: {OURS}\r\n")));
}

#[test]
fn a_message_without_a_range_is_whole_with_its_end() {
    let mut bench = Bench::passive(ANY);
    bench.show(&chunk("t001", "Message-ID: m001\r\n", "", '$'));
    assert!(matches!(bench.facts()[1], Fact::Received { total: 0, declared: None, .. }));
    // What has no body is no message.
    let octets = chunk("t002", "Message-ID: m002\r\nByte-Range: 1-0/0\r\n", "", '$');
    bench.show(&octets.replace("Content-Type: text/plain\r\n\r\n\r\n", ""));
    assert_eq!(bench.facts(), []);
    assert_eq!(starts(&bench.written()), ["MSRP t001 200 OK", "MSRP t002 200 OK"]);
}

/// Section 5.4: acknowledged again, and not delivered again.
#[test]
fn a_duplicate_is_acknowledged_and_not_delivered() {
    for released in [false, true] {
        let mut bench = Bench::passive(ANY);
        bench.show(&ranged("t001", "1-2/2", "Hi", '$'));
        let id = of(&bench.facts()).unwrap();
        if released {
            bench.it.release(id);
        }
        bench.written();
        bench.show(&ranged("t002", "1-2/2", "Ho", '$'));
        assert_eq!(bench.facts(), []);
        let written = bench.written();
        assert_eq!(starts(&written), ["MSRP t002 200 OK", "MSRP usrep2 REPORT"]);
        assert_eq!(bench.it.counts().duplicates, 1);
        assert!(released || bench.it.octets(id) == Some(b"Hi"));
    }
    // What was never reported is not reported for a duplicate.
    let mut bench = Bench::passive(Acceptance { reports: Reports::WhenTold, ..ANY });
    bench.show(&ranged("t001", "1-2/2", "Hi", '$'));
    bench.show(&ranged("t002", "1-2/2", "Hi", '$'));
    assert_eq!(starts(&bench.written()), ["MSRP t001 200 OK", "MSRP t002 200 OK"]);
}

#[test]
fn reports_are_sent_when_told() {
    let acceptance = Acceptance { reports: Reports::WhenTold, ..ANY };
    for (code, fields, sent) in [
        (200, "Success-Report: yes\r\n", true),
        (200, "", false),
        (403, "", true),
        (403, "Failure-Report: partial\r\n", true),
        (403, "Failure-Report: no\r\n", false),
    ] {
        let mut bench = Bench::passive(acceptance);
        let octets = chunk("t001", &format!("Message-ID: m001\r\n{fields}"), "Hello", '$');
        bench.show(&octets);
        bench.written();
        let id = of(&bench.facts()).unwrap();
        assert_eq!(bench.it.report(id, code, &mut bench.desk), sent, "{code} {fields}");
        let written = bench.written();
        assert_eq!(written.contains(&format!("Byte-Range: 1-5/5\r\nStatus: 000 {code} ")), sent);
        if code == 200 {
            assert!(!bench.it.report(id, 200, &mut bench.desk), "once");
        }
        bench.it.lost(0, 0);
        assert!(!bench.it.report(id, code, &mut bench.desk), "into a dead session");
    }
}

/// What is too large is refused as soon as that is known, and stays refused.
#[test]
fn what_is_too_large_is_refused_at_once() {
    let acceptance = Acceptance { size_max: 8, ..ANY };
    for octets in [
        ranged("t001", "1-*/9", "", '+'),
        ranged("t001", "10-*/*", "", '+'),
        ranged("t001", "1-*/*", "123456789", '+'),
        ranged("t001", "7-*/8", "123", '+'),
    ] {
        let mut bench = Bench::passive(acceptance);
        let end = octets.rfind("\r\n-------").unwrap();
        bench.show(&octets[..end + 1]);
        assert_eq!(starts(&bench.written()), ["MSRP t001 413 Message Unwanted"], "{octets}");
        bench.show(&octets[end + 1..]);
        assert_eq!(bench.written(), "");
        bench.facts();
    }
    let mut bench = Bench::passive(acceptance);
    bench.show(&ranged("t001", "1-*/*", "12345678", '+'));
    bench.show(&ranged("t002", "9-*/*", "1", '+'));
    bench.show(&ranged("t003", "1-2/2", "12", '$'));
    let written = bench.written();
    let codes: Vec<_> = starts(&written).iter().map(|line| &line[10..13]).collect();
    assert_eq!(codes, ["200", "413", "413"], "the message, not the chunk");
    assert!(bench.facts().iter().any(|fact| matches!(fact, Fact::Declined { code: 413, .. })));
}

/// Section 7.3.1: what somebody does not understand he refuses with its first chunk, and behind it.
#[test]
fn what_is_not_understood_is_refused() {
    for (fields, code) in [
        ("", Some("415")),
        ("Failure-Report: partial\r\n", Some("415")),
        ("Failure-Report: no\r\n", None),
    ] {
        let mut bench = Bench::passive(ANY);
        let fields = format!("Message-ID: m001\r\n{fields}Byte-Range: 1-*/9\r\n");
        let octets = chunk("t001", &fields, "1234", '+');
        let end = octets.find("1234").unwrap();
        bench.show(&octets[..end]);
        let facts: Vec<_> = core::iter::from_fn(|| bench.it.fact()).collect();
        let [Fact::Bound { .. }, Fact::Arriving { incoming }] = facts[..] else {
            panic!("{facts:?}")
        };
        assert_eq!(bench.it.incoming(incoming).unwrap().2, b"text/plain");
        bench.it.refuse(incoming, 415);
        assert_eq!(bench.facts(), [Fact::Declined { incoming, code: 415 }]);
        bench.show(&octets[end..]);
        bench.show(&octets.replace("t001", "t002"));
        let written = bench.written();
        let codes: Vec<_> = starts(&written).iter().map(|line| &line[10..13]).collect();
        assert_eq!(codes, [code, code].into_iter().flatten().collect::<Vec<_>>());
        assert_eq!((bench.facts(), bench.it.buffers_free()), (vec![], 10));
        // What is whole is refused no more.
        bench.show(&chunk("t003", "Message-ID: m002\r\n", "x", '$'));
        let id = of(&bench.facts()).unwrap();
        bench.it.refuse(id, 415);
        assert!(bench.it.octets(id).is_some());
    }
}

/// A later chunk may be what says that a message is too large.
#[test]
fn a_later_chunk_says_that_it_is_too_large() {
    let mut bench = Bench::passive(Acceptance { size_max: 8, ..ANY });
    bench.show(&ranged("t001", "1-*/*", "1234", '+'));
    bench.show(&ranged("t002", "5-*/9", "5", '+'));
    bench.show(&ranged("t003", "5-8/8", "5678", '$'));
    let written = bench.written();
    let codes: Vec<_> = starts(&written).iter().map(|line| &line[10..13]).collect();
    assert_eq!(codes, ["200", "413", "413"]);
    assert!(matches!(bench.facts()[..], [Fact::Bound { .. }, Fact::Declined { code: 413, .. }]));
}

#[test]
fn there_is_only_so_much_room() {
    let mut bench = Bench::passive(ANY);
    let begin = |number: usize| {
        let fields = format!("Message-ID: m{number:03}\r\nByte-Range: 1-*/9\r\n");
        chunk(&format!("t{number:03}"), &fields, "1234", '+')
    };
    for number in 0..=MSRP_INCOMINGS_MAX {
        bench.show(&begin(number));
    }
    let written = bench.written();
    let lines = starts(&written);
    assert_eq!(lines.last(), Some(&"MSRP t008 413 Message Unwanted"));
    assert_eq!(lines.iter().filter(|line| line.ends_with("200 OK")).count(), MSRP_INCOMINGS_MAX);
    // All of it is there again when the session ends.
    bench.it.close(bench.session, START);
    assert_eq!(bench.it.buffers_free(), 10);

    // More pieces than are remembered are not claimed.
    let mut bench = Bench::passive(ANY);
    for piece in 0..=MSRP_INTERVALS_MAX {
        let at = 2 * piece + 1;
        bench.show(&ranged(&format!("t{piece:03}"), &format!("{at}-{at}/90"), "x", '+'));
    }
    let written = bench.written();
    assert_eq!(starts(&written).last(), Some(&"MSRP t016 413 Message Unwanted"));
}

#[test]
fn what_is_given_up_is_dropped() {
    let mut bench = Bench::passive(ANY);
    bench.show(&ranged("t001", "1-*/9", "1234", '+'));
    bench.show(&ranged("t002", "5-*/9", "12", '#'));
    assert!(matches!(bench.facts()[..], [Fact::Bound { .. }, Fact::Abandoned { .. }]));
    assert_eq!(starts(&bench.written()), ["MSRP t001 200 OK", "MSRP t002 200 OK"]);
    bench.show(&ranged("t003", "5-9/9", "12345", '$'));
    assert_eq!(bench.facts(), [], "what was given up is no part of anything");
    bench.it.lost(0, 0);
    assert!(matches!(bench.facts()[..], [Fact::Dropped { .. }, Fact::Lost { .. }]));
    assert_eq!(bench.it.buffers_free(), 10);
}

/// A sender who has a 200 for each chunk learns that a message has come to nothing.
#[test]
fn what_stands_still_is_dropped_and_reported() {
    let mut bench = Bench::passive(ANY);
    bench.show(&ranged("t001", "3-*/9", "1234", '+'));
    bench.written();
    bench.facts();
    bench.expire(MSRP_STALLED_MS - 2);
    let octets = ranged("t002", "7-*/9", "123", '$');
    let (front, rest) = octets.split_at(octets.len() - 17);
    bench.show(front);
    bench.expire(MSRP_STALLED_MS + 5);
    assert_eq!(bench.facts(), [], "it makes progress");
    bench.expire(MSRP_STALLED_MS * 2 + 5);
    assert!(matches!(bench.facts()[..], [Fact::Dropped { .. }]));
    assert!(bench.written().contains("Byte-Range: 3-6/9\r\nStatus: 000 408 "));
    // The rest is no 200 any more, whether it was on its way or comes later.
    bench.show(rest);
    bench.show(&ranged("t003", "1-2/9", "12", '+'));
    let written = bench.written();
    assert_eq!(
        starts(&written),
        ["MSRP t002 408 Request Timeout", "MSRP t003 408 Request Timeout"]
    );
    assert_eq!(bench.facts(), []);
    // A message that is whole has no such time.
    bench.show(&ranged("t004", "1-2/2", "Hi", '$').replace("m001", "m002"));
    bench.facts();
    bench.expire(MSRP_STALLED_MS * 5);
    assert_eq!(bench.facts(), []);
}

/// What is carried on is shown and not kept.
#[test]
fn octets_are_shown_where_they_belong() {
    let mut bench = Bench::passive(Acceptance { keep: Keep::Counted, size_max: 1 << 40, ..ANY });
    let octets = ranged("t001", "1000001-*/1000005", "12345", '$');
    let (mut at, mut shown) = (0, Vec::new());
    loop {
        let read = bench.it.read(0, &octets.as_bytes()[at..], &mut bench.desk, START);
        if let Step::Body { at: place, .. } = read.step {
            shown.push((place, octets[at..at + read.len].to_owned()));
        }
        at += read.len;
        if read.step == Step::Partial {
            break;
        }
    }
    assert_eq!(shown, [(1_000_000, "12345".to_owned())]);
    assert_eq!(bench.it.buffers_free(), 10);
}

/// Who does not read what is answered is not read from.
#[test]
fn answers_that_wait_stop_the_reading() {
    let mut bench = Bench::passive(ANY);
    let stray = chunk("t001", "Message-ID: m001\r\n", "Hi", '$').replace("s0-", "s9-");
    let many = stray.repeat(400);
    let (mut at, mut behind) = (0, 0);
    while at < many.len() {
        let read = bench.it.read(0, &many.as_bytes()[at..], &mut bench.desk, START);
        at += read.len;
        if read.step == Step::Behind {
            assert_eq!(read.len, 0);
            behind += 1;
            let some = bench.written_on(0, 100);
            assert!(!some.is_empty());
        }
    }
    assert!(behind > 10);
    // Facts that nobody takes stop it as well.
    let mut bench = Bench::passive(ANY);
    let mut steps = Vec::new();
    for number in 0..600 {
        let octets = chunk("t001", &format!("Message-ID: m{number:03}\r\n"), "Hi", '#');
        let mut at = 0;
        while at < octets.len() && steps.last() != Some(&Step::Behind) {
            let read = bench.it.read(0, &octets.as_bytes()[at..], &mut bench.desk, START);
            at += read.len;
            steps.push(read.step);
            bench.written();
        }
    }
    assert_eq!(steps.last(), Some(&Step::Behind));
    bench.facts();
    assert_ne!(bench.it.read(0, b"\r", &mut bench.desk, START).step, Step::Behind);
}

#[test]
fn what_is_no_msrp_ends_the_connection() {
    let mut bench = Bench::passive(ANY);
    assert_eq!(bench.show_on(0, b"MSRP t001 SEND\rx"), Step::Broken);
    let mut bench = Bench::passive(ANY);
    bench.show("MSRP t001 SEND\r\nFrom-Path: a\r\n-------t001$\r\n");
    assert_eq!(bench.it.counts().malformed, 1);
    bench.show(&ranged("t002", "x", "Hi", '$'));
    assert!(bench.written().starts_with("MSRP t002 400 Malformed Byte-Range\r\n"));
    assert_eq!(bench.facts(), []);
}

/// RFC 4975 section 11.1 and what follows there, cut at every octet: always the same.
#[test]
fn wherever_it_is_cut() {
    let conversation = [
        chunk("dkei38sd", "Message-ID: 4564dpWd\r\nByte-Range: 1-*/8\r\n", "abcd", '+'),
        response("us.0.0.0.0", 200),
        chunk("dkei38ia", "Message-ID: 4564dpWd\r\nByte-Range: 5-8/8\r\n", "EFGH", '$'),
        report("message1", "Byte-Range: 1-5/5\r\nStatus: 000 200 OK\r\n"),
        chunk("d93kswow", "Message-ID: 12339sdqwer\r\nByte-Range: 1-16/16\r\nSuccess-Report: yes\r\nFailure-Report: no\r\n", "Hi, I'm Alice!\r\n", '$'),
        chunk("8490dkei", "Message-ID: 8822dd\r\n", "\r\n-------8490dkei\r\n", '#'),
        chunk("d93ksxxx", "Message-ID: 9933\r\n", "x", '$').replace("s0-", "s1-"),
    ]
    .concat();
    let run = |cuts: &[usize]| {
        let mut bench = Bench::active(ANY);
        bench.send(b"Hello", FailureReport::Yes);
        bench.written();
        let (mut have, mut from) = (String::new(), 0);
        for to in cuts.iter().copied().chain([conversation.len()]) {
            have += &conversation[from..to];
            from = to;
            loop {
                let read = bench.it.read(0, have.as_bytes(), &mut bench.desk, START);
                have.drain(..read.len);
                if read.step == Step::Partial {
                    break;
                }
            }
        }
        (bench.facts(), bench.written())
    };
    let (facts, written) = run(&[]);
    assert_eq!(
        starts(&written),
        [
            "MSRP dkei38sd 200 OK",
            "MSRP dkei38ia 200 OK",
            "MSRP usrep1 REPORT",
            "MSRP 8490dkei 200 OK",
            "MSRP d93ksxxx 481 Session Does Not Exist",
        ]
    );
    assert_eq!(facts.len(), 9, "{facts:?}");
    for cut in 0..conversation.len() {
        assert_eq!(run(&[cut]), (facts.clone(), written.clone()), "{cut}");
    }
    let all: Vec<_> = (0..conversation.len()).collect();
    assert_eq!(run(&all), (facts, written));
}
