//! The INVITE of a session for the SMS side: its copies, its CANCEL, its end.

use roger::metrics::Counter;

use crate::bench::{Bench, IM, SBC, field};
use roger::packet::StreamEvent;

use crate::inward::{
    BOTH, Talk, acked, inward_bench, inward_setup, later, mr, offer, reported, request, submitted,
};

fn cancel(number: u32) -> String {
    request(number, "INVITE", 1, "sip:+491711234567@sms.example;user=phone", "", "")
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL")
}

fn status(bench: &mut Bench, text: &str) -> u16 {
    let left = bench.give(IM, text);
    assert_eq!(left.len(), 1, "{left:#?}");
    left[0].status()
}

/// RFC 3261 section 9.2: a CANCEL has no effect on an INVITE that has its final response.
#[test]
fn a_cancel_behind_the_200_is_answered_and_ends_nothing() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    assert_eq!(status(&mut bench, &cancel(1)), 200);
    let left = later(&mut bench, 2_000);
    assert!(left.is_empty(), "no 487, no BYE: {left:#?}");
    let left = talk.whole(&mut bench, BOTH, "hello");
    submitted(&mut bench, &left);
    // Of what was refused, too, and of nothing.
    assert_eq!(status(&mut bench, &offer(2, "image/png")), 488);
    assert_eq!(status(&mut bench, &cancel(2)), 481, "its refusal is not remembered");
    assert_eq!(status(&mut bench, &cancel(3)), 481);
}

#[test]
fn a_copy_of_an_invite_whose_session_is_over_makes_no_second_one() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    assert_eq!(status(&mut bench, &talk.request("BYE", 2)), 200);
    later(&mut bench, 100);
    assert_eq!(bench.engine.calls(), 0);
    let left = bench.give(IM, &offer(1, "text/plain message/cpim"));
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!((bench.engine.calls(), bench.count(Counter::CallsTaken)), (0, 1));
    // Timer J is over: a request that looks the same is another one.
    later(&mut bench, 33_000);
    assert_eq!(status(&mut bench, &offer(1, "text/plain message/cpim")), 200);
}

#[test]
fn what_is_no_session_for_the_sms_side_is_refused() {
    let mut bench = inward_bench();
    let plain = offer(1, "text/plain");
    // From the SMS side; in a dialog that is none of ours.
    assert_eq!(bench.give(SBC, &plain)[0].status(), 405);
    let inside = plain.replace("user=phone>\r\nCall-ID", "user=phone>;tag=guess\r\nCall-ID");
    assert_ne!(status(&mut bench, &inside), 200);
    let requires =
        |what: &str| plain.replace("Max-Forwards", &format!("Require: {what}\r\nMax-Forwards"));
    let left = bench.give(IM, &requires("100rel"));
    assert_eq!((left[0].status(), field(&left[0].text, "unsupported")), (420, "100rel"));
    let silent = request(2, "INVITE", 1, "sip:+491711234567@sms.example;user=phone", "", "");
    assert_eq!(status(&mut bench, &silent), 488);
    let left = bench.give(IM, &offer(3, "text/plain").replace("application/sdp", "text/html"));
    assert_eq!((left[0].status(), field(&left[0].text, "accept")), (415, "application/sdp"));
    let inactive = offer(4, "text/plain").replace("a=sendonly", "a=inactive");
    assert_eq!(status(&mut bench, &inactive), 488);
    assert_eq!(bench.engine.calls(), 0);
    assert_eq!(status(&mut bench, &requires("timer")), 200);
    // Nobody knows where the SC is.
    let mut setup = inward_setup(16);
    setup.peers[0].addresses = Box::new([]);
    let mut bench = Bench::with(setup);
    assert_eq!(status(&mut bench, &plain), 503);
}

#[test]
fn what_was_refused_takes_no_room_and_where_there_is_none_that_is_said() {
    let mut bench = inward_bench();
    for number in 1..100 {
        assert_eq!(status(&mut bench, &offer(number, "image/png")), 488);
    }
    // As many as may wait for their ACK: a quarter of all sessions.
    for number in 100..116 {
        assert_eq!(status(&mut bench, &offer(number, "text/plain")), 200, "{number}");
    }
    let next = offer(116, "text/plain");
    assert_eq!(status(&mut bench, &next), 503);
    assert_eq!(status(&mut bench, &next), 503, "what was refused stays refused");
    assert_eq!(bench.engine.calls(), 16);
    assert_eq!(bench.count(Counter::SubmissionsNoRoom), 1);
}

#[test]
fn a_session_lasts_while_something_is_said_in_it_and_ends_where_its_caller_is() {
    let mut bench = inward_bench();
    let bare = |text: String| text.replace("Contact: <sip:alice@10.0.0.9:5070>\r\n", "");
    let talk = Talk::open_as(&mut bench, 1, bare);
    let wait = |bench: &mut Bench, minutes: u32| {
        let mut left = Vec::new();
        for _ in 0..minutes * 6 {
            bench.now = bench.now.plus_ms(10_000);
            left.extend(later(bench, 2).into_iter().filter(|left| left.text.starts_with("BYE ")));
        }
        left
    };
    // Two messages, and each is over for the SC before TR1M.
    for number in 1..3 {
        assert!(wait(&mut bench, (number - 1) * 9).is_empty());
        let send = talk.send("s3nd", &format!("{BOTH}Content-Type: text/plain"), "1-1/1", "a", '$');
        let left = talk.says(&mut bench, &send.replace("m3ssage", &format!("m3ssage{number}")));
        let part = submitted(&mut bench, &left);
        acked(&mut bench, number, &part);
        reported(&mut bench, number + 10, mr(&part), 0);
    }
    assert!(wait(&mut bench, 9).is_empty(), "ten minutes from the last message");
    let bye = wait(&mut bench, 2);
    assert!(bye[0].text.starts_with("BYE sip:alice@im.example SIP/2.0\r\n"), "{}", bye[0].text);
    // With a Contact it goes there.
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 2);
    let left = talk.whole(&mut bench, BOTH, "hello");
    submitted(&mut bench, &left);
    let event = StreamEvent::Lost { id: talk.id, doubtful: 0, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let bye = later(&mut bench, 4);
    assert!(bye[0].text.starts_with("BYE sip:alice@10.0.0.9:5070 SIP"), "{}", bye[0].text);
}
