//! What an SC says, and what of it is believed.

use roger::delivery::{Form, Report, Verdict};
use roger::metrics::Counter;
use roger::packet::{SendError, StreamEvent};

use crate::bench::{Bench, IM_2, Left, SBC, answer};
use crate::inward::{
    BOTH, Talk, acked, answered, inward_bench, inward_setup, later, mr, of_sc, replies, reported,
    rp_report, submitted,
};

/// A message of so many letters whose first part is with the SC.
fn begun(bench: &mut Bench, letters: usize) -> (Talk, Left) {
    let talk = Talk::open(bench, 1);
    let left = talk.whole(bench, BOTH, &"a".repeat(letters));
    let part = submitted(bench, &left);
    talk.heard(bench);
    (talk, part)
}

/// A status report with something else in it.
fn changed(bench: &mut Bench, number: u32, from: &str, rp: &[u8]) {
    let left = bench.give_octets(from, &of_sc(number, "", rp), false);
    for left in left.iter().filter(|left| left.is_request()) {
        bench.give(from, &answer(&left.text, "200 OK"));
    }
    later(bench, 4);
}

/// Where another peer takes submissions, too.
fn two_centres() -> Bench {
    let mut setup = inward_setup(16);
    setup.peers[2].submit = Some("+491710760001".into());
    setup.peers[2].sms = true;
    Bench::with(setup)
}

#[test]
fn what_another_part_another_peer_or_a_phone_says_is_not_believed() {
    let mut bench = two_centres();
    let (_, first) = begun(&mut bench, 400);
    let give = |bench: &mut Bench, from: &str, number: u32, reply: &str, rp: &[u8]| {
        bench.give_octets(from, &of_sc(number, reply, rp), false);
        let left = later(bench, 4);
        assert!(left.iter().all(|left| !left.is_request()), "{left:#?}");
    };
    // As a phone would say it.
    give(&mut bench, SBC, 1, &replies(&first), &[2, mr(&first)]);
    give(&mut bench, SBC, 2, &replies(&first), &[4, mr(&first), 1, 30]);
    // Another SC.
    give(&mut bench, IM_2, 3, &replies(&first), &[3, mr(&first)]);
    let counts = [Counter::SubmissionAcks, Counter::SubmissionErrors];
    assert_eq!(counts.map(|counter| bench.count(counter)), [0, 0]);
    assert_eq!(bench.count(Counter::SubmissionStray), 1);
    let left = acked(&mut bench, 4, &first);
    let second = submitted(&mut bench, &left);
    // To the first part, with the reference of the second one.
    give(&mut bench, SBC, 5, &replies(&first), &[3, mr(&second)]);
    assert_eq!(bench.count(Counter::SubmissionStray), 2);
    assert_eq!(bench.count(Counter::SubmissionAcks), 1);
}

#[test]
fn an_rp_ack_before_the_response_counts_once_and_the_next_part_waits_for_that() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, &"a".repeat(200));
    let first = left.iter().find(|left| left.is_request()).unwrap().clone();
    let left = acked(&mut bench, 1, &first);
    assert!(left.is_empty(), "one request to the SC at a time: {left:#?}");
    let left = answered(&mut bench, 2, &replies(&first), &[5, mr(&first), 1, 30]);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(bench.count(Counter::SubmissionStray), 1, "it has said that it has it");
    // That the request has failed means nothing any more.
    bench.give(SBC, &answer(&first.text, "500 Server Internal Error"));
    let left = later(&mut bench, 4);
    assert_eq!(left.iter().filter(|left| left.is_request()).count(), 1, "{left:#?}");
    assert!(bench.engine.pop_account().is_none());
}

#[test]
fn an_rp_ack_goes_on_without_the_response_after_timer_f() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, &"a".repeat(200));
    let first = left.iter().find(|left| left.is_request()).unwrap().clone();
    acked(&mut bench, 1, &first);
    let left = later(&mut bench, 32_100);
    let second = left.iter().rfind(|left| left.is_request()).unwrap();
    assert_ne!(second.field("call-id"), first.field("call-id"), "{left:#?}");
    // An acknowledged part is not sent again elsewhere, and is not given up after TR1M.
    bench.give(SBC, &answer(&second.text, "202 Accepted"));
    acked(&mut bench, 2, second);
    later(&mut bench, 50_000);
    assert!(bench.engine.pop_account().is_none(), "status reports are waited for");
}

#[test]
fn silence_to_the_request_is_unknown_and_so_is_silence_behind_it() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    assert_eq!(left.len(), 1);
    let left = later(&mut bench, 31_900);
    assert_eq!(left.iter().filter(|left| left.is_request()).count(), 10, "timer E");
    assert!(bench.engine.pop_account().is_none());
    later(&mut bench, 200);
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Unknown, Report::Msrp(408)));
    assert_eq!(bench.count(Counter::TimerF), 1);
}

#[test]
fn a_request_that_fails_fails_the_message_and_503_goes_elsewhere() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    bench.give(SBC, &answer(&left[0].text, "403 Forbidden"));
    later(&mut bench, 4);
    assert!(talk.heard(&mut bench).contains("Status: 000 403"));
    assert_eq!(bench.account().verdict, Verdict::Permanent);
    // A second address of the SC, which is asked where the first one has not taken it.
    for how in ["503", "icmp", "refused"] {
        let mut setup = inward_setup(16);
        let mut addresses = setup.peers[0].addresses.to_vec();
        addresses.push(crate::bench::endpoint("10.0.0.2:5060"));
        setup.peers[0].addresses = addresses.into();
        let mut bench = Bench::with(setup);
        if how == "refused" {
            bench.sent = Err(SendError::NoRoute);
        }
        let talk = Talk::open(&mut bench, 1);
        let left = talk.whole(&mut bench, BOTH, "hello");
        bench.sent = Ok(());
        match how {
            "503" => {
                let busy = answer(&left[0].text, "503 Service Unavailable");
                bench.give(SBC, &busy);
            }
            "icmp" => {
                let other = crate::bench::endpoint("10.0.0.3:5060");
                let remote = crate::bench::endpoint(SBC);
                let (quoted, now) = (left[0].octets.clone(), bench.now);
                bench.engine.on_unreachable(other, &quoted, now);
                assert_eq!(bench.count(Counter::IcmpForeign), 1, "it was not sent there");
                bench.engine.on_unreachable(remote, &quoted, now);
            }
            _ => {}
        }
        let again = later(&mut bench, 4);
        let again = again.iter().find(|left| left.is_request()).expect(how);
        assert_eq!(again.to.to_string(), "10.0.0.2:5060", "{how}");
        assert_eq!(mr(again), mr(&left[0]), "the same part");
        // Of the first one nothing is believed any more.
        bench.give(SBC, &answer(&left[0].text, "403 Forbidden"));
        later(&mut bench, 4);
        assert!(bench.engine.pop_account().is_none(), "{how}");
        bench.give("10.0.0.2:5060", &answer(&again.text, "202 Accepted"));
        acked(&mut bench, 1, again);
        reported(&mut bench, 2, mr(again), 0);
        assert_eq!(bench.account().verdict, Verdict::Delivered, "{how}");
    }
}

#[test]
fn status_reports_are_about_this_part_of_this_sc_to_this_number() {
    let mut bench = two_centres();
    let (talk, part) = begun(&mut bench, 5);
    acked(&mut bench, 1, &part);
    let right = rp_report(mr(&part), 0);
    let mut of_command = right.clone();
    of_command[12] |= 0x20;
    changed(&mut bench, 2, SBC, &of_command);
    let mut other_number = right.clone();
    other_number[16] ^= 0x01;
    changed(&mut bench, 3, SBC, &other_number);
    changed(&mut bench, 4, IM_2, &right);
    let mut other_reference = right.clone();
    other_reference[13] = other_reference[13].wrapping_add(1);
    changed(&mut bench, 5, SBC, &other_reference);
    assert_eq!(bench.count(Counter::StatusReportsStray), 4);
    assert!(bench.engine.pop_account().is_none());
    // The same number in the form of its country cannot be compared.
    let mut national = right;
    national[15] = 0xA1;
    changed(&mut bench, 6, SBC, &national);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

#[test]
fn a_status_report_before_the_rp_ack_waits_for_it() {
    let mut bench = inward_bench();
    let (talk, part) = begun(&mut bench, 5);
    reported(&mut bench, 1, mr(&part), 0);
    assert_eq!(talk.heard(&mut bench), "");
    acked(&mut bench, 2, &part);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
    let account = bench.account();
    assert_eq!(account.form, Form::Submitted { parts: 1, taken: 1, received: 1 });
}

#[test]
fn what_is_not_confirmed_of_one_part_is_not_of_the_whole() {
    let mut bench = inward_bench();
    let (talk, first) = begun(&mut bench, 200);
    let left = acked(&mut bench, 1, &first);
    let second = submitted(&mut bench, &left);
    acked(&mut bench, 2, &second);
    reported(&mut bench, 3, mr(&first), 0);
    reported(&mut bench, 4, mr(&second), 0x01);
    assert_eq!(talk.heard(&mut bench), "");
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Accepted, Report::Silence));
    assert_eq!(account.form, Form::Submitted { parts: 2, taken: 2, received: 1 });
    // Nobody says anything: after half an hour that is all that is known.
    let mut bench = inward_bench();
    let (_, part) = begun(&mut bench, 5);
    acked(&mut bench, 1, &part);
    for _ in 0..179 {
        bench.now = bench.now.plus_ms(10_000);
        later(&mut bench, 2);
    }
    assert!(bench.engine.pop_account().is_none());
    bench.now = bench.now.plus_ms(20_000);
    later(&mut bench, 2);
    assert_eq!(bench.account().verdict, Verdict::Accepted);
}

#[test]
fn all_parts_have_one_reference_and_each_a_tp_mr_that_nobody_else_has() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let mut left = talk.whole(&mut bench, BOTH, &"a".repeat(400));
    let mut seen = Vec::new();
    for number in 1..=3 {
        let part = submitted(&mut bench, &left);
        let header = part.body().windows(3).position(|it| it == [5, 0, 3]).unwrap();
        seen.push((part.body()[header + 3], mr(&part)));
        left = acked(&mut bench, number, &part);
    }
    assert!(seen.iter().all(|(reference, _)| *reference == seen[0].0), "{seen:?}");
    // Nothing of this sender is reported yet, so that a counter that has come round passes all of it by.
    let mut given: Vec<u8> = seen.iter().map(|(_, mr)| *mr).collect();
    for message in 0..14 {
        let text = talk.send("n3xt", &format!("{BOTH}Content-Type: text/plain"), "1-1/1", "a", '$');
        let left = talk.says(&mut bench, &text.replace("m3ssage", &format!("m3ss{message:03}")));
        let part = submitted(&mut bench, &left);
        assert!(!given.contains(&mr(&part)), "{given:?}");
        given.push(mr(&part));
        acked(&mut bench, 100 + message, &part);
    }
}

#[test]
fn who_waits_too_long_for_his_turn_is_told_so() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let mut left = talk.whole(&mut bench, BOTH, &"a".repeat(600));
    let second = talk.send("s3c0nd", &format!("{BOTH}Content-Type: text/plain"), "1-1/1", "b", '$');
    assert!(talk.says(&mut bench, &second.replace("m3ssage", "other")).is_empty());
    // Each part of the first one takes 39 s.
    for number in 1..=3 {
        let part = submitted(&mut bench, &left);
        later(&mut bench, 39_000);
        left = acked(&mut bench, number, &part);
    }
    let part = submitted(&mut bench, &left);
    later(&mut bench, 4_000);
    assert_eq!(bench.count(Counter::UriWaitsEnded), 1);
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Temporary, Report::Msrp(408)));
    // The first one is not disturbed, and whoever comes next has his turn behind it.
    acked(&mut bench, 4, &part);
    let third = talk.send("th1rd", &format!("{BOTH}Content-Type: text/plain"), "1-1/1", "c", '$');
    let left = talk.says(&mut bench, &third.replace("m3ssage", "third"));
    submitted(&mut bench, &left);
}

#[test]
fn an_account_names_what_was_sent_and_a_report_waits_for_a_connection_that_is_there() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let long = "[".repeat(34_170);
    let text = talk.send("l0ng", "Content-Type: text/plain", "1-34170/34170", &long, '$');
    assert!(talk.says(&mut bench, &text).is_empty());
    assert!(bench.account().sms_call_id.octets().is_empty(), "nothing has left");
    let left = talk.says(&mut bench, &talk.send("n3xt", "", "1-1/1", "a", '$'));
    assert!(left.is_empty(), "no Content-Type, no message");
    let event = StreamEvent::Lost { id: talk.id, doubtful: 0, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    later(&mut bench, 10);
    assert_eq!(bench.engine.open(), 0);
}

#[test]
fn who_is_not_trusted_prefers_an_identity() {
    let mut setup = inward_setup(16);
    setup.peers[0].trusted = false;
    let mut bench = Bench::with(setup);
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    assert_eq!(left[0].field("p-preferred-identity"), "<sip:alice@im.example>");
    assert_eq!(left[0].field("p-asserted-identity"), "");
}
