//! A drain with messages on their way to the SMS side.

use roger::delivery::{Evidence, Report, Verdict};
use roger::engine::Serving;
use roger::metrics::Counter;

use crate::bench::{IM, answer};
use crate::inward::{BOTH, Talk, acked, inward_bench, later, offer, reported, submitted};

#[test]
fn a_drain_waits_for_what_is_with_the_sc_and_ends_what_waits_for_nothing() {
    let mut bench = inward_bench();
    let (busy, idle) = (Talk::open(&mut bench, 1), Talk::open(&mut bench, 2));
    let left = busy.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    // The other one has said something that is over.
    let left = idle.whole(&mut bench, "", "hullo");
    assert!(left.is_empty(), "one message of a sender at a time: {left:#?}");
    busy.heard(&mut bench);
    idle.heard(&mut bench);
    let left = acked(&mut bench, 1, &part);
    let other = submitted(&mut bench, &left);
    acked(&mut bench, 2, &other);
    assert_eq!(bench.account().verdict, Verdict::Accepted);
    // A session that was agreed upon and has no connection yet.
    let early = bench.give(IM, &offer(3, "text/plain"));
    assert_eq!(early[0].status(), 200);
    bench.engine.serve(Serving::Announcing);
    assert!(later(&mut bench, 10).is_empty(), "everything is still taken");
    bench.engine.serve(Serving::Refusing);
    let byes = later(&mut bench, 10);
    assert_eq!(byes.len(), 1, "{byes:#?}");
    assert!(byes[0].text.starts_with("BYE ") && byes[0].text.contains("phone-2@"), "{byes:#?}");
    bench.give(IM, &answer(&byes[0].text, "200 OK").replace(";tag=uas", ""));
    assert_eq!(bench.give(IM, &offer(4, "text/plain"))[0].status(), 503);
    // Nothing new is taken in the session that goes on.
    let second = busy.send("s3c0nd", "Content-Type: text/plain", "1-1/1", "a", '$');
    assert!(busy.says(&mut bench, &second.replace("m3ssage", "other")).is_empty());
    assert!(busy.heard(&mut bench).starts_with("MSRP s3c0nd 408"));
    assert_eq!(bench.count(Counter::RefusedDraining), 2);
    assert_eq!(bench.count(Counter::SubmissionsOpen), 1);
    assert_eq!(bench.engine.open(), 1, "it is waited for");
    reported(&mut bench, 3, part.body()[1], 0);
    assert!(busy.heard(&mut bench).contains("Status: 000 200"));
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    assert_eq!((bench.engine.open(), bench.count(Counter::SubmissionsOpen)), (0, 0));
    let left = later(&mut bench, 900);
    let is_bye = left.iter().any(|left| left.text.starts_with("BYE "));
    assert!(!is_bye, "it does not overtake the REPORT: {left:#?}");
    let byes = later(&mut bench, 110);
    assert!(byes.iter().any(|bye| bye.text.contains("phone-1@")), "{byes:#?}");
}

#[test]
fn what_is_open_when_the_drain_is_over_is_told_as_what_it_is() {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    let first = submitted(&mut bench, &left);
    acked(&mut bench, 1, &first);
    let second = talk.send("s3c0nd", "Content-Type: text/plain", "1-1/1", "a", '$');
    let left = talk.says(&mut bench, &second.replace("m3ssage", "other"));
    submitted(&mut bench, &left);
    let third = talk.send("th1rd", "Content-Type: text/plain", "1-1/2", "a", '+');
    assert!(talk.says(&mut bench, &third.replace("m3ssage", "third")).is_empty());
    bench.engine.serve(Serving::Refusing);
    assert_eq!(bench.engine.open(), 3);
    let now = bench.now;
    assert_eq!(bench.engine.abandon(now, 1), 2, "not more than asked for");
    assert_eq!(bench.engine.abandon(now, 9), 0);
    let accounts: Vec<_> = core::iter::from_fn(|| bench.engine.pop_account()).collect();
    let told: Vec<_> = accounts.iter().map(|it| (it.verdict, it.report)).collect();
    assert_eq!(told, [(Verdict::Accepted, Report::Silence), (Verdict::Unknown, Report::Msrp(408))]);
    assert_eq!(accounts[1].evidence, Evidence::Shutdown);
}
