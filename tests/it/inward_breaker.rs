//! Messages to the SMS side from whoever means harm, has bad luck or is in a hurry: what is told of them is
//! true, and told.

use roger::delivery::{Report, Verdict};

use crate::bench::{Bench, IM, Left, SBC, answer, endpoint};
use crate::inward::{
    BOTH, Talk, acked, answered, inward_bench, inward_setup, later, mr, of_sc, offer, replies,
    reported, request, rp_report, submitted,
};

/// The range of a REPORT of failure is what it is about (RFC 4975 section 7.1.2).
#[test]
fn a_report_about_what_does_not_fit_says_about_which_octets() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let long = "[".repeat(34_170);
    let long = talk.send("l0ng", "Content-Type: text/plain", "1-34170/34170", &long, '$');
    assert!(talk.says(&mut bench, &long).is_empty());
    let heard = talk.heard(&mut bench);
    assert!(heard.contains("000 413"), "{heard}");
    assert!(heard.contains("Byte-Range: 1-34170/34170\r\n"), "{heard}");
}

/// What becomes of a message is told of it, however many its sender has sent before.
#[test]
fn a_sender_who_asks_what_becomes_of_each_of_his_messages_may_send_many() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    for number in 0..300_u32 {
        let text =
            talk.send("s3nd", &format!("{BOTH}Content-Type: text/plain"), "1-5/5", "hello", '$');
        let left = talk.says(&mut bench, &text.replace("m3ssage", &format!("m{number:04}")));
        assert!(talk.heard(&mut bench).starts_with("MSRP s3nd 200"), "{number}");
        let part = submitted(&mut bench, &left);
        acked(&mut bench, 2 * number, &part);
        let second = u8::try_from(number % 60).unwrap();
        let minute = u8::try_from(number / 60).unwrap();
        let rp = at(&rp_report(mr(&part), 0), minute, second);
        for copy in 0..2 {
            status_report(&mut bench, 1_000 + 2 * number + copy, &rp);
            let is_told = talk.heard(&mut bench).contains("000 200");
            assert_eq!(is_told, copy == 0, "{number}");
        }
        assert_eq!(bench.account().verdict, Verdict::Delivered, "{number}");
    }
}

/// A status report of a message that the SC got at another minute and second.
fn at(rp: &[u8], minute: u8, second: u8) -> Vec<u8> {
    let scts = [0x52, 0x11, 0x22, 0x11];
    let place = rp.windows(4).position(|four| four == scts).unwrap() + scts.len();
    let semi = |number: u8| ((number % 10) << 4) | (number / 10);
    let mut other = rp.to_vec();
    (other[place], other[place + 1]) = (semi(minute), semi(second));
    other
}

/// A status report, which is answered twice: 200 and RP-ACK.
fn status_report(bench: &mut Bench, number: u32, rp: &[u8]) {
    let left = bench.give_octets(SBC, &of_sc(number, "", rp), false);
    assert_eq!((left.len(), left[0].status()), (2, 200));
    bench.give(SBC, &answer(&left[1].text, "200 OK"));
    later(bench, 4);
}

/// Whoever reads a Call-ID knows which part of which message it names, whichever worker has sent it.
#[test]
fn two_workers_never_give_the_same_call_id() {
    let mut seen = Vec::new();
    for worker in 0..2 {
        let mut setup = inward_setup(16);
        setup.worker = roger::id::WorkerId(worker);
        // A sender who is at home there.
        let named = |number: u32| {
            move |text: String| text.replace("sip:alice@", &format!("sip:alice{number}@"))
        };
        let is_here = |number: &u32| {
            let invite = named(*number)(offer(1, "text/plain"));
            !Bench::with(setup.clone()).give(IM, &invite).is_empty()
        };
        let number = (0..64).find(is_here).unwrap();
        let mut bench = Bench::with(setup.clone());
        let talk = Talk::open_as(&mut bench, 1, named(number));
        let left = talk.whole(&mut bench, BOTH, "hello");
        seen.push(submitted(&mut bench, &left).field("call-id").to_owned());
    }
    assert_ne!(seen[0], seen[1]);
}

/// Status reports are waited for half an hour, and so is the session in which they are told.
#[test]
fn a_session_stays_while_something_is_to_be_told_in_it() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 1, &part);
    talk.heard(&mut bench);
    for _ in 0..25 {
        let left = later(&mut bench, 60_000);
        assert!(left.is_empty(), "{left:#?}");
    }
    reported(&mut bench, 2, mr(&part), 0);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
    assert_eq!(bench.account().report, Report::Msrp(200));
    let left = later(&mut bench, 601_000);
    assert!(left.iter().any(|left| left.text.starts_with("BYE ")), "then it is ended");
}

/// The SC may have the first copy of a part when it is not there any more for the second one.
#[test]
fn an_icmp_error_behind_a_copy_makes_no_second_short_message() {
    let mut setup = inward_setup(16);
    setup.peers[0].addresses = Box::new([endpoint(SBC), endpoint("10.0.0.2:5060")]);
    let mut bench = Bench::with(setup);
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = left[0].clone();
    let copies = later(&mut bench, 510);
    assert_eq!(copies.len(), 1, "{copies:#?}");
    bench.engine.on_unreachable(endpoint(SBC), &copies[0].octets, bench.now);
    let left = later(&mut bench, 100);
    assert!(left.is_empty(), "{left:#?}");
    // What it has said was on its way.
    bench.give(SBC, &answer(&part.text, "202 Accepted"));
    acked(&mut bench, 1, &part);
    reported(&mut bench, 2, mr(&part), 0);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

/// The sender has no use for a session without an answer to his INVITE; those of the SMS side have.
#[test]
fn sessions_that_im_users_open_leave_room_for_messages_to_them() {
    let mut setup = inward_setup(4);
    if let Some(large) = &mut setup.large {
        large.sessions_max = 8;
    }
    setup.peers[1].msrp = Some(roger::delivery::MsrpRole::Endpoint);
    setup.gateway.pager_max = 100;
    let mut bench = Bench::with(setup);
    for number in 0..20 {
        let left = bench.give(IM, &offer(number, "text/plain"));
        if left[0].status() == 200 {
            let tag = left[0].field("to").split(";tag=").nth(1).unwrap();
            let uri = "sip:+491711234567@sms.example;user=phone";
            bench.give(IM, &request(number, "ACK", 1, uri, &format!(";tag={tag}"), ""));
        }
    }
    let left = crate::short::submit(
        &mut bench,
        &crate::short::Short::new(1, "is there room for one more"),
    );
    assert!(left.iter().any(|left| left.text.starts_with("INVITE ")), "{left:#?}");
}

/// Octets that never came are in no message, whatever its head says.
#[test]
fn what_ends_before_its_own_total_is_not_whole() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let fields = &format!("{BOTH}Content-Type: text/plain");
    let left = talk.says(&mut bench, &talk.send("sh0rt", fields, "1-20/20", "hello", '$'));
    assert!(left.is_empty(), "{left:#?}");
}

/// Octets behind the end of a message are no part of it, and nobody knows which of both is right.
#[test]
fn what_goes_on_behind_its_end_is_not_whole() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let fields = &format!("{BOTH}Content-Type: text/plain");
    let left = talk.says(&mut bench, &talk.send("b3hind", fields, "6-10/*", "world", '+'));
    assert!(left.is_empty(), "{left:#?}");
    let left = talk.says(&mut bench, &talk.send("fr0nt", fields, "1-5/*", "hello", '$'));
    assert!(left.is_empty(), "{left:#?}");
}

/// What was said of one message is never told of another, however late it comes: TP-MR has eight bits.
#[test]
fn a_status_report_that_comes_hours_late_is_of_nobody_else() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "is your phone off?");
    let first = submitted(&mut bench, &left);
    taken_at(&mut bench, 1, &first, 1);
    talk.heard(&mut bench);
    for _ in 0..130 {
        later(&mut bench, 60_000);
    }
    assert_eq!(bench.account().verdict, Verdict::Accepted, "nothing was said in half an hour");
    let talk = Talk::open(&mut bench, 2);
    let mut number = 2;
    let last = loop {
        let text =
            talk.send("s3nd", &format!("{BOTH}Content-Type: text/plain"), "1-5/5", "hello", '$');
        let left = talk.says(&mut bench, &text.replace("m3ssage", &format!("m{number:04}")));
        let part = submitted(&mut bench, &left);
        taken_at(&mut bench, number, &part, 59);
        number += 1;
        if mr(&part) == mr(&first) {
            break part;
        }
        talk.heard(&mut bench);
        status_report(&mut bench, 1_000 + number, &at(&rp_report(mr(&part), 0), 59, 0));
        assert!(talk.heard(&mut bench).contains("000 200"), "{number}");
        assert_eq!(bench.account().verdict, Verdict::Delivered);
    };
    talk.heard(&mut bench);
    status_report(&mut bench, 5_000, &at(&rp_report(mr(&last), 0), 1, 0));
    assert_eq!(talk.heard(&mut bench), "", "the first one was received");
    assert!(bench.engine.pop_account().is_none());
    status_report(&mut bench, 5_001, &at(&rp_report(mr(&last), 0), 59, 0));
    assert!(talk.heard(&mut bench).contains("000 200"));
}

/// The same while RP-ACK to the next part with that TP-MR is on its way.
#[test]
fn a_status_report_ahead_of_rp_ack_is_believed_when_both_name_the_same_moment() {
    for (minute, verdict) in [(7, Verdict::Delivered), (8, Verdict::Accepted)] {
        let mut bench = inward_bench();
        let talk = Talk::open(&mut bench, 1);
        let left = talk.whole(&mut bench, BOTH, "hello");
        let part = submitted(&mut bench, &left);
        status_report(&mut bench, 1, &at(&rp_report(mr(&part), 0), 7, 0));
        taken_at(&mut bench, 2, &part, minute);
        assert_eq!(talk.heard(&mut bench).contains("000 200"), verdict == Verdict::Delivered);
        later(&mut bench, 1_801_000);
        assert_eq!(bench.account().verdict, verdict);
    }
}

/// The account is all that is told of a message whose session is over: it names that session all the same.
#[test]
fn an_account_names_the_session_however_long_that_is_over() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 1, &part);
    talk.heard(&mut bench);
    assert_eq!(bench.give(IM, &talk.request("BYE", 2))[0].status(), 200);
    later(&mut bench, 70_000);
    assert_eq!(bench.engine.calls(), 0);
    reported(&mut bench, 2, mr(&part), 0);
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Delivered, Report::Silence));
    assert_eq!(account.im_call_id.octets(), b"phone-1@im.example");
    assert_eq!((account.sms_peer, account.im_peer), (0, 1));
}

/// RP-ACK of an SC with an SMS-SUBMIT-REPORT that says at which minute it has got the part.
fn taken_at(bench: &mut Bench, number: u32, part: &Left, minute: u8) {
    let scts = [0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23];
    let mut rp = vec![3, mr(part), 0x41, 9, 1, 0];
    rp.extend(scts);
    assert!(answered(bench, number, &replies(part), &at(&rp, minute, 0)).is_empty());
}
