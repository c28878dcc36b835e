//! What senders are told when something fails, and what recipients are.

use super::*;

/// H16, H15: a chunk is answered when all of its pieces are, and by the first one that fails.
#[test]
fn h15_errors_of_the_recipient_are_passed_on() {
    let codes = [
        (400, 400),
        (401, 403),
        (403, 403),
        (408, 408),
        (413, 413),
        (415, 415),
        (423, 423),
        (481, 481),
        (501, 501),
        (506, 481),
        (299, 299),
    ];
    for (code, told) in codes {
        let mut bridge = Bridge::new();
        bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-5/20\r\n", "Hello", '+'));
        bridge.alice(&chunk("t002", "Message-ID: m001\r\nByte-Range: 6-10/20\r\n", "Hello", '+'));
        let written = bridge.for_bob();
        let tids = sends(&written);
        bridge.bob(&answer_of_bob(&tids[0], code));
        bridge.bob(&answer_of_bob(&tids[1], 200));
        assert_eq!(answers(&bridge.for_alice()), [format!("t001 {told}"), "t002 200".to_owned()]);
        // No more of it is taken, and nothing more of it leaves.
        bridge.alice(&chunk("t003", "Message-ID: m001\r\nByte-Range: 11-15/20\r\n", "Hello", '+'));
        assert_eq!(answers(&bridge.for_alice()), [format!("t003 {told}")]);
        assert_eq!(bridge.for_bob(), "");
        assert_eq!(bridge.ends(), [CarriedEnd::Stopped { code: told }]);
        bridge.bob(&answer_of_bob(&tids[0], 200));
        assert_eq!(bridge.bench.it.counts().stray_responses, 1, "answered before");
    }
}

/// H30: an error while a chunk comes ends it on both sides.
#[test]
fn h30_an_open_chunk_is_given_up() {
    let mut bridge = Bridge::new();
    let octets =
        chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9000\r\n", &"x".repeat(3_000), '$');
    let (first, rest) = octets.split_at(octets.len() - 300);
    bridge.alice(first);
    let written = bridge.for_bob();
    bridge.bob(&answer_of_bob(&sends(&written)[0], 200));
    assert_eq!(bridge.bench.it.counts().stray_responses, 1, "nobody can have seen its end");
    bridge.answer(&written, 413);
    assert_eq!(bridge.for_bob(), format!("\r\n-------{}#\r\n", sends(&written)[0]));
    assert_eq!(answers(&bridge.for_alice()), ["t001 413"], "at once");
    bridge.alice(rest);
    assert_eq!((bridge.for_alice(), bridge.for_bob()), (String::new(), String::new()));
}

/// H29: what is given up with `#` is given up on the other side.
#[test]
fn h29_an_abort_is_carried() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/20\r\n", "Hello", '#'));
    let written = bridge.for_bob();
    assert!(written.ends_with("\r\n\r\nHello\r\n-------us.c.0.0.0#\r\n"), "{written}");
    bridge.answer(&written, 200);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
    assert_eq!(bridge.ends(), [CarriedEnd::Aborted]);
}

/// What is cut off by the end of a connection is never taken for the end of the message, be the piece of it
/// open or between two others.
#[test]
fn a_chunk_that_is_cut_off_is_aborted() {
    for (size, is_written) in [(3_000, true), (3_000, false), (100, false)] {
        let mut bridge = Bridge::new();
        let octets =
            chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9000\r\n", &"x".repeat(size), '$');
        bridge.alice(&octets[..octets.len() - 15]);
        let before = if is_written { bridge.for_bob() } else { String::new() };
        bridge.lose(0);
        let after = bridge.for_bob();
        let written = before + &after;
        let tid = sends(&written).pop().unwrap();
        assert!(
            written.ends_with(&format!("\r\n-------{tid}#\r\n")),
            "{size} {is_written} {written}"
        );
        assert!(!written.contains("$\r\n"));
        bridge.answer(&written, 200);
        assert_eq!(bridge.ends(), [CarriedEnd::Aborted]);
    }
}

/// What had come whole goes on, and nobody is answered.
#[test]
fn what_has_come_whole_goes_on() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    bridge.alice(&chunk("t002", "Message-ID: m002\r\nByte-Range: 1-5/9\r\n", "Hello", '+'));
    bridge.lose(0);
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    assert_eq!(sends(&written).len(), 2);
    assert_eq!(bridge.ends(), [CarriedEnd::Whole { total: 5 }, CarriedEnd::SenderLost]);
    assert!(!bridge.bench.it.has_output(0));
}

/// H27: whoever loses its recipient is told that nobody knows; what comes afterwards has nowhere to go.
#[test]
fn h27_the_recipient_is_lost() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    let written = bridge.bench.written_on(1, 1 << 20);
    bridge.alice(&chunk("t002", "Message-ID: m002\r\n", "Hello", '$'));
    let octets =
        chunk("t003", "Message-ID: m003\r\nByte-Range: 1-*/9000\r\n", &"x".repeat(2_500), '+');
    bridge.alice(&octets[..octets.len() - 20]);
    let len = written.len() as u64;
    bridge.bench.it.lost(1, len);
    assert_eq!(bridge.ends(), [], "it is owed answers, and is over when these were written");
    bridge.alice(&octets[octets.len() - 20..]);
    assert_eq!(answers(&bridge.for_alice()), ["t001 408", "t002 408", "t003 408"]);
    let lost = |departed| CarriedEnd::RecipientLost { departed };
    assert_eq!(
        bridge.ends(),
        [lost(Departed::All), lost(Departed::Nothing), lost(Departed::Nothing)]
    );
    bridge.alice(&chunk("t004", "Message-ID: m004\r\n", "Hello", '$'));
    assert_eq!(answers(&bridge.for_alice()), ["t004 481"]);
    let (alice, bob) = (bridge.bench.session, bridge.bob);
    bridge.bench.it.close(bob, START);
    assert_eq!(bridge.bench.it.joined_to(alice), Some(bob));
    bridge.bench.it.close(alice, START);
    assert_eq!(bridge.bench.it.carriage.ways.len(), 0);
}

/// H52: 30 s from the moment at which the last octet was handed over, and no less.
#[test]
fn h52_silence_is_told_as_408() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-5/9\r\n", "Hello", '+'));
    let written = bridge.bench.written_on(1, 1 << 20);
    bridge.bench.expire(20_000);
    bridge.bench.it.handed_over(1, written.len() as u64, at(20_000));
    bridge.bench.expire(RESPONSE_MS + 19_990);
    assert_eq!(bridge.for_alice(), "");
    bridge.bench.expire(RESPONSE_MS + 20_100);
    assert_eq!(answers(&bridge.for_alice()), ["t001 408"]);
    let carried = CarriedId::new(0, 0);
    let facts = bridge.facts();
    let timed_out = Fact::Carried { carried, carriage: Carriage::TimedOut { chunk: 0 } };
    assert!(facts.contains(&timed_out), "{facts:?}");
    // A late answer is told, and answers nobody twice.
    bridge.answer(&written, 200);
    let octets = Octets { start: 0, end: 5 };
    let responded = Carriage::Responded { chunk: 0, octets, code: 200 };
    assert_eq!(bridge.facts(), [Fact::Carried { carried, carriage: responded }]);
    assert_eq!(bridge.for_alice(), "");
}

/// Who is not read from is not silent.
#[test]
fn silence_is_of_who_is_listened_to() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-5/9\r\n", "Hello", '+'));
    bridge.for_bob();
    // Alice takes nothing, so Bob is not read from.
    let octets = format!(
        "MSRP b001 SEND\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\nMessage-ID: m009\r\n\
         Content-Type: text/plain\r\n\r\n{}",
        "x".repeat(9_000)
    );
    assert_eq!(bridge.bench.show_on(1, octets.as_bytes()), Step::Stopped);
    bridge.bench.expire(RESPONSE_MS + 10);
    let is_answer = |octets: &str| octets.contains("t001 408");
    assert!(!is_answer(&bridge.for_alice()));
    // Then he is, and says nothing.
    bridge.bench.expire(45_000);
    bridge.bench.show_on(1, b"xxx");
    bridge.facts();
    for ms in [RESPONSE_MS + 20_000, 45_000 + RESPONSE_MS - 10] {
        bridge.bench.expire(ms);
        assert!(!is_answer(&bridge.for_alice()), "{ms}");
    }
    bridge.bench.expire(45_000 + RESPONSE_MS + 100);
    assert!(is_answer(&bridge.for_alice()));
}

/// Nothing is answered that is not asked for.
#[test]
fn failure_report_is_kept_to() {
    for (failure_report, code, told) in
        [("partial", 200, None), ("partial", 403, Some("t001 403")), ("no", 403, None)]
    {
        let mut bridge = Bridge::new();
        let fields = format!("Message-ID: m001\r\nFailure-Report: {failure_report}\r\n");
        bridge.alice(&chunk("t001", &fields, "Hello", '$'));
        let written = bridge.for_bob();
        assert!(written.contains(&format!("Failure-Report: {failure_report}\r\n")));
        bridge.answer(&written, code);
        let answered = answers(&bridge.for_alice());
        assert_eq!(answered.first().map(String::as_str), told, "{failure_report}");
    }
    // Silence is no failure where nobody asks for a 200, and then nothing is kept.
    for (failure_report, ms) in [("partial", RESPONSE_MS + 100), ("no", 0)] {
        let mut bridge = Bridge::new();
        let fields = format!("Message-ID: m001\r\nFailure-Report: {failure_report}\r\n");
        bridge.alice(&chunk("t001", &fields, "Hello", '$'));
        bridge.for_bob();
        bridge.bench.expire(ms);
        assert_eq!(bridge.for_alice(), "");
        assert_eq!(bridge.ends(), [CarriedEnd::Whole { total: 5 }]);
        // What has gone before the session was lost is not known to fail.
        bridge.lose(1);
        assert_eq!(bridge.for_alice(), "");
    }
}

/// Responses that are not of this connection, of this life or of any chunk change nothing.
#[test]
fn responses_of_nobody_are_counted() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    let written = bridge.for_bob();
    for tid in ["us.c.0.1.0", "us.c.0.0.1", "us.c.1.0.0", "us.c.9999.0.0"] {
        bridge.bob(&answer_of_bob(tid, 200));
    }
    bridge.alice(&response(&sends(&written)[0], 200));
    assert_eq!(bridge.bench.it.counts().stray_responses, 5);
    assert_eq!(bridge.for_alice(), "");
    bridge.answer(&written, 200);
    bridge.answer(&written, 403);
    assert_eq!(bridge.bench.it.counts().stray_responses, 6);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
}

/// Of chunks that were not answered in time, some may be answered late.
#[test]
fn a_few_late_answers_are_told() {
    let mut bridge = Bridge::new();
    for number in 0..10 {
        let range = format!("Byte-Range: {}-{}/90\r\n", number * 5 + 1, number * 5 + 5);
        bridge.alice(&chunk("t001", &format!("Message-ID: m001\r\n{range}"), "Hello", '+'));
    }
    let written = bridge.for_bob();
    bridge.bench.expire(RESPONSE_MS + 100);
    bridge.facts();
    assert_eq!(answers(&bridge.for_alice()), ["t001 408"; 10]);
    bridge.answer(&written, 200);
    assert_eq!(bridge.bench.it.counts().stray_responses, 2);
    assert_eq!(bridge.for_alice(), "");
}

/// The rest of a chunk whose sender has been told 408 is carried for nothing.
#[test]
fn a_chunk_that_has_timed_out_is_given_up() {
    let mut bridge = Bridge::new();
    let octets =
        chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9000\r\n", &"x".repeat(3_000), '$');
    bridge.alice(&octets[..octets.len() - 100]);
    bridge.for_bob();
    // It is cut, and the first piece of it is not answered.
    bridge.bob(&format!(
        "MSRP b001 SEND\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\nMessage-ID: m009\r\n-------b001$\r\n"
    ));
    assert!(bridge.for_bob().contains("+\r\n"));
    bridge.bench.expire(RESPONSE_MS + 100);
    assert_eq!(answers(&bridge.for_alice()), ["t001 408"]);
    let last = bridge.for_bob();
    assert!(last.contains("Byte-Range: 1-0/9000\r\n") && last.ends_with("#\r\n"), "{last}");
    bridge.alice(&octets[octets.len() - 100..]);
    assert_eq!((bridge.for_alice(), bridge.for_bob()), (String::new(), String::new()));
}

/// A sender who stops in the middle is not waited for longer than anybody else.
#[test]
fn what_stands_still_is_given_up() {
    let mut bridge = Bridge::new();
    let octets =
        chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9000\r\n", &"x".repeat(3_000), '$');
    bridge.alice(&octets[..octets.len() - 50]);
    let written = bridge.for_bob();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\n", "", '$')[..0]);
    bridge.bench.expire(89_000);
    assert_eq!(bridge.for_bob(), "");
    bridge.bench.expire(121_000);
    assert_eq!(bridge.for_bob(), format!("\r\n-------{}#\r\n", sends(&written)[0]));
    assert_eq!(answers(&bridge.for_alice()), ["t001 408"]);
    bridge.answer(&written, 200);
    assert_eq!(bridge.ends(), [CarriedEnd::Stopped { code: 408 }]);
}
