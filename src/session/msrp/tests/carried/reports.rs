//! REPORTs that are passed on.

use super::*;

fn report_of_bob(message_id: &str, fields: &str) -> String {
    format!(
        "MSRP bobsrep REPORT\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\n\
         Message-ID: {message_id}\r\n{fields}-------bobsrep$\r\n"
    )
}

/// H23: REPORTs are passed on as they are, to who has asked for that kind, in their own session.
#[test]
fn h23_reports_are_passed_on() {
    let ok = "Byte-Range: 1-3/7\r\nStatus: 000 200 Fine\r\n";
    let bad = "Byte-Range: 2-3/*\r\nStatus: 000 403 Never mind\r\n";
    let table = [
        ("Success-Report: yes\r\n", ok, true),
        ("", ok, false),
        ("Failure-Report: partial\r\n", bad, true),
        ("Success-Report: yes\r\nFailure-Report: no\r\n", bad, false),
        ("Success-Report: yes\r\nFailure-Report: no\r\n", ok, true),
    ];
    for (asked, status, is_passed_on) in table {
        let mut bridge = Bridge::new();
        bridge.alice(&chunk("t001", &format!("Message-ID: m001\r\n{asked}"), "Hello", '$'));
        bridge.bob(&report_of_bob("m001", status));
        assert_eq!(bridge.bench.it.counts().stray_reports, 1, "nothing of it has left");
        let written = bridge.for_bob();
        bridge.answer(&written, 200);
        bridge.for_alice();
        bridge.facts();
        // Long after it.
        bridge.bench.expire(600_000);
        bridge.bob(&report_of_bob("m001", status));
        let reported = bridge.for_alice();
        let expected = format!(
            "MSRP usrep1 REPORT\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: m001\r\n\
             {status}-------usrep1$\r\n"
        );
        assert_eq!(reported, if is_passed_on { expected } else { String::new() }, "{asked}");
        let facts = bridge.facts();
        let told = facts.iter().any(|fact| {
            let Fact::Carried { carriage, .. } = fact else { return false };
            matches!(carriage, Carriage::Reported { is_passed_on: it, .. } if *it == is_passed_on)
        });
        assert!(told, "{facts:?}");
        assert_eq!(bridge.bench.it.counts().unwanted_reports, u64::from(!is_passed_on));
        bridge.bob(&report_of_bob("m002", status));
        // Of the other direction there is no such message.
        bridge.alice(&report("m001", status));
        assert_eq!(bridge.bench.it.counts().stray_reports, 3);
        assert_eq!((bridge.for_alice(), bridge.for_bob()), (String::new(), String::new()));
    }
}

/// H20, H30: a failure that is reported ends what is still sent.
#[test]
fn h20_a_failure_that_is_reported_ends_the_message() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-5/20\r\n", "Hello", '+'));
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
    bridge.bob(&report_of_bob("m001", "Byte-Range: 1-5/20\r\nStatus: 000 408 Late\r\n"));
    assert!(bridge.for_alice().contains("Status: 000 408 Late\r\n"));
    bridge.alice(&chunk("t002", "Message-ID: m001\r\nByte-Range: 6-10/20\r\n", "Hello", '+'));
    assert_eq!(answers(&bridge.for_alice()), ["t002 408"]);
    assert_eq!(bridge.for_bob(), "");
}

/// Message-IDs are remembered in a fixed capacity.
#[test]
fn the_oldest_message_is_forgotten_first() {
    let mut bridge = Bridge::new();
    for number in 0..=64 {
        bridge.alice(&chunk(
            "t001",
            &format!("Message-ID: m{number:03}\r\nSuccess-Report: yes\r\n"),
            "Hello",
            '$',
        ));
        let written = bridge.for_bob();
        bridge.answer(&written, 200);
        bridge.for_alice();
        bridge.facts();
    }
    assert_eq!(bridge.bench.it.counts().carried_forgotten, 1);
    bridge.bob(&report_of_bob("m000", "Status: 000 200 OK\r\n"));
    assert_eq!((bridge.for_alice().as_str(), bridge.bench.it.counts().stray_reports), ("", 1));
    bridge.bob(&report_of_bob("m001", "Status: 000 200 OK\r\n"));
    assert!(bridge.for_alice().contains("Message-ID: m001"));
}

/// REPORTs wait for room among the answers to the sender, and none is lost.
#[test]
fn reports_wait_for_room() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nSuccess-Report: yes\r\n", "Hello", '$'));
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    bridge.facts();
    let reports: String = (1..=200)
        .map(|end| {
            report_of_bob("m001", &format!("Byte-Range: 1-{end}/200\r\nStatus: 000 200 OK\r\n"))
        })
        .collect();
    let (mut at, mut stops, mut passed) = (0, 0, String::new());
    loop {
        let it = &mut bridge.bench;
        let read = it.it.read(1, &reports.as_bytes()[at..], &mut it.desk, it.now);
        at += read.len;
        bridge.take_facts();
        match read.step {
            Step::Used => {}
            Step::Partial => break,
            Step::Stopped => {
                stops += 1;
                bridge.facts();
                passed += &bridge.for_alice();
                assert!(bridge.facts().contains(&Fact::Resumed { connection: 1 }));
            }
            step => panic!("{step:?}"),
        }
    }
    passed += &bridge.for_alice();
    let passed_on = passed.matches(" REPORT").count();
    assert!(stops > 0 && passed_on == 200, "{stops} {passed_on}");
    assert!((1..=200).all(|end| passed.contains(&format!("Byte-Range: 1-{end}/200\r\n"))));
}
