//! Messages to the SMS side that come again in another session, under the same Message-ID (hazard H27).

use roger::delivery::{Form, Report, Verdict};
use roger::metrics::Counter;
use roger::packet::StreamEvent;

use crate::bench::{Bench, IM, answer};
use crate::inward::submitted;
use crate::inward::{BOTH, Talk, acked, answered, inward_bench, later, mr, replies, reported};

/// The connection of a session is lost, which we end then.
fn lost(bench: &mut Bench, talk: &Talk) {
    let event = StreamEvent::Lost { id: talk.id, doubtful: 0, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let left = later(bench, 10);
    assert!(left[0].text.starts_with("BYE "), "{left:#?}");
    bench.give(IM, &answer(&left[0].text, "200 OK").replace(";tag=uas", ""));
}

#[test]
fn what_is_with_the_sc_is_not_submitted_again_and_told_where_it_came_last() {
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    first.heard(&mut bench);
    lost(&mut bench, &first);
    let second = Talk::open(&mut bench, 2);
    assert!(second.whole(&mut bench, BOTH, "hello").is_empty(), "it is with the SC");
    assert!(second.heard(&mut bench).starts_with("MSRP s3nd 200"));
    assert_eq!(bench.count(Counter::SubmissionsRepeated), 1);
    assert!(acked(&mut bench, 1, &part).is_empty());
    assert_eq!(second.heard(&mut bench), "");
    // And once more, while status reports are waited for; the one before is still there.
    let third = Talk::open(&mut bench, 3);
    assert!(third.whole(&mut bench, BOTH, "hello").is_empty());
    third.heard(&mut bench);
    assert_eq!((bench.engine.open(), bench.count(Counter::SubmissionsOpen)), (1, 1));
    reported(&mut bench, 2, mr(&part), 0);
    let report = third.heard(&mut bench);
    assert!(report.contains("Status: 000 200") && report.contains(&third.path), "{report}");
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Delivered, Report::Msrp(200)));
    assert_eq!(account.im_call_id.octets(), b"phone-3@im.example");
    let counts = [Counter::SubmissionParts, Counter::MsrpReportsOut];
    assert_eq!(counts.map(|counter| bench.count(counter)), [1, 1]);
}

#[test]
fn what_is_over_is_told_again_and_has_one_account() {
    for (status, said, verdict) in
        [(0x00, "000 200", Verdict::Delivered), (0x45, "000 415", Verdict::Permanent)]
    {
        let mut bench = inward_bench();
        let first = Talk::open(&mut bench, 1);
        let left = first.whole(&mut bench, BOTH, "hello");
        let part = submitted(&mut bench, &left);
        acked(&mut bench, 1, &part);
        first.heard(&mut bench);
        lost(&mut bench, &first);
        reported(&mut bench, 2, mr(&part), status);
        let account = bench.account();
        assert_eq!((account.verdict, account.report), (verdict, Report::Silence));
        let second = Talk::open(&mut bench, 2);
        assert!(second.whole(&mut bench, BOTH, "hello").is_empty());
        later(&mut bench, 10);
        let heard = second.heard(&mut bench);
        assert!(heard.contains("MSRP s3nd 200") && heard.contains(said), "{heard}");
        assert!(bench.engine.pop_account().is_none(), "it has its account");
        assert_eq!(bench.engine.open(), 0);
        // Who asks for nothing hears nothing.
        let third = Talk::open(&mut bench, 3);
        assert!(third.whole(&mut bench, "Failure-Report: no\r\n", "hello").is_empty());
        later(&mut bench, 10);
        assert_eq!(third.heard(&mut bench), "");
        assert_eq!(bench.count(Counter::SubmissionsRepeated), 2);
        // Within an hour.
        for _ in 0..361 {
            bench.now = bench.now.plus_ms(10_000);
            later(&mut bench, 4);
        }
        let fourth = Talk::open(&mut bench, 4);
        let left = fourth.whole(&mut bench, BOTH, "hello");
        submitted(&mut bench, &left);
    }
}

#[test]
fn what_may_be_with_its_recipient_is_not_risked_and_what_is_not_is_tried_anew() {
    // TR1M: nobody knows.
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    submitted(&mut bench, &left);
    later(&mut bench, 40_100);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    let second = Talk::open(&mut bench, 2);
    assert!(second.whole(&mut bench, BOTH, "hello").is_empty());
    assert!(second.heard(&mut bench).contains("000 408"));
    // Congested: it is certain that the SC has not taken it.
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    answered(&mut bench, 1, &replies(&part), &[5, mr(&part), 1, 42]);
    assert!(first.heard(&mut bench).contains("000 408"));
    assert_eq!(bench.account().verdict, Verdict::Temporary);
    let second = Talk::open(&mut bench, 2);
    let left = second.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 2, &part);
    reported(&mut bench, 3, mr(&part), 0);
    assert!(second.heard(&mut bench).contains("000 200"));
    let account = bench.account();
    assert_eq!(account.form, Form::Submitted { parts: 1, taken: 1, received: 1 });
    assert_eq!(bench.count(Counter::SubmissionsRepeated), 0);
    // It is delivered now, and that is what is known.
    let third = Talk::open(&mut bench, 3);
    assert!(third.whole(&mut bench, BOTH, "hello").is_empty());
    assert!(third.heard(&mut bench).contains("000 200"));
}

#[test]
fn what_only_looks_like_it_is_another_message() {
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 1, &part);
    // Another text under the same Message-ID: somebody counts his messages from the beginning again.
    let second = Talk::open(&mut bench, 2);
    let left = second.whole(&mut bench, BOTH, "hullo");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 2, &part);
    // The same text under another one.
    let third =
        second.send("th1rd", &format!("{BOTH}Content-Type: text/plain"), "1-5/5", "hello", '$');
    let left = second.says(&mut bench, &third.replace("m3ssage", "m3ssag3"));
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 3, &part);
    // The same from somebody else, and to somebody else.
    for (number, from, to) in [
        (4, "alice@", "carol@"),
        (5, "alice@im.example", "alice@im.example.org"),
        (6, "+491711234567", "+491711234568"),
    ] {
        let talk = Talk::open_as(&mut bench, number, |text| text.replace(from, to));
        let left = talk.whole(&mut bench, BOTH, "hello");
        submitted(&mut bench, &left);
        later(&mut bench, 41_000);
    }
    assert_eq!(bench.count(Counter::SubmissionsRepeated), 0);
    assert_eq!(bench.count(Counter::SubmissionParts), 6);
}

#[test]
fn a_copy_is_told_of_as_it_was_said_and_as_it_asks() {
    // In CPIM it is longer, and that is what the REPORT is about.
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    let second = Talk::open(&mut bench, 2);
    let cpim = "From: <sip:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
    let len = cpim.len();
    let fields = format!("{BOTH}Content-Type: message/cpim");
    let send = second.send("cp1m", &fields, &format!("1-{len}/{len}"), cpim, '$');
    assert!(second.says(&mut bench, &send).is_empty());
    acked(&mut bench, 1, &part);
    second.heard(&mut bench);
    reported(&mut bench, 2, mr(&part), 0);
    let report = second.heard(&mut bench);
    assert!(report.contains(&format!("Byte-Range: 1-{len}/{len}\r\n")), "{report}");
    // The last copy does not ask any more.
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    let second = Talk::open(&mut bench, 2);
    assert!(second.whole(&mut bench, "Failure-Report: no\r\n", "hello").is_empty());
    acked(&mut bench, 1, &part);
    reported(&mut bench, 2, mr(&part), 0);
    assert_eq!(bench.account().report, Report::Silence);
}

/// Buffers are for a few messages at a time only: what comes again needs none for long.
#[test]
fn copies_take_no_room() {
    let mut bench = inward_bench();
    let first = Talk::open(&mut bench, 1);
    let left = first.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    for number in 2..12 {
        let talk = Talk::open(&mut bench, number);
        assert!(talk.whole(&mut bench, BOTH, "hello").is_empty());
        assert!(talk.heard(&mut bench).starts_with("MSRP s3nd 200"), "{number}");
        if number == 6 {
            acked(&mut bench, 1, &part);
            reported(&mut bench, 2, mr(&part), 0);
        }
    }
    let other = Talk::open(&mut bench, 20);
    let left = other.whole(&mut bench, BOTH, "hullo");
    submitted(&mut bench, &left);
}
