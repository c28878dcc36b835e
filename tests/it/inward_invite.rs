//! The INVITE of a session for the SMS side: its copies, its CANCEL, its end.

use roger::metrics::Counter;

use crate::bench::{Bench, IM};
use crate::inward::{BOTH, Talk, inward_bench, later, offer, request, submitted};

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
