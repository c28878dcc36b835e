//! Connections of several workers: a response leaves where its request came in, and a request that finds
//! no room on its way home is refused and stays refused.

use std::sync::Arc;

use roger::delivery::{Report, Verdict};
use roger::engine::{Common, Engine, Neighbours, Setup, home_of};
use roger::id::WorkerId;
use roger::limits::{
    BURST_SIZE, HANDOVER_MAX, HANDOVER_PROOF_SHARE, HANDOVER_RESERVED_SHARE, SLOTS_EVIDENCE,
    TIMERS_PER_TURN_MAX,
};
use roger::metrics::{Counter, Tally};
use roger::packet::{Departures, Flow, Purse, SendError};
use roger::time::Instant;

use crate::bench::{Bench, IM, Left, SBC, answer, endpoint, message, setup};
use crate::streams::{EPHEMERAL, TCP, connection, on, with_sockets};

const START: Instant = Instant(1_000_000_000_000);

/// Two workers: the home of what is sent, and the one that has the connection.
struct Pair {
    home: Bench,
    other: Bench,
    common: Arc<Common>,
    setup: Setup,
}

impl Pair {
    fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = setup();
        with_sockets(&mut setup);
        setup.messages_max = 4_096;
        setup.finished_max = 100_000;
        change(&mut setup);
        let neighbours = Neighbours::group(2, setup.next_servers.len());
        let common = neighbours[0].common();
        let mut benches = neighbours.into_iter().map(|worker| {
            let setup = Setup { worker: worker.own(), ..setup.clone() };
            let tally = Arc::new(Tally::new(setup.peers.len()));
            let engine = Engine::among(worker, setup, Arc::clone(&tally), START);
            Bench { engine, out: Departures::new(), now: START, tally, sent: Ok(()) }
        });
        let (home, other) = (benches.next().unwrap(), benches.next().unwrap());
        Self { home, other, common, setup }
    }

    /// Numbers of messages whose home is the first worker.
    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let key = self.setup.key;
        (1..9_999).filter(move |number| {
            let uri = format!("sip:+1555000{number:04}@im.example:5070");
            home_of(key, uri.as_bytes(), 2).0 == 0
        })
    }

    /// Fills the ring to the home with requests that came in datagrams, with one connection's worth of
    /// patience. Returns the numbers of them.
    fn fill(&mut self, numbers: &mut impl Iterator<Item = u32>) -> Vec<u32> {
        let mut posted = Vec::new();
        for number in numbers {
            assert!(self.other.give(SBC, &message(number)).is_empty());
            if self.other.count(Counter::DroppedHandover) > 0 {
                break;
            }
            posted.push(number);
        }
        assert_eq!(posted.len(), HANDOVER_MAX - HANDOVER_MAX / HANDOVER_RESERVED_SHARE);
        posted
    }
}

fn take(bench: &mut Bench) -> Vec<Left> {
    let mut all = Vec::new();
    while bench.engine.is_handed() {
        bench.engine.on_handed(BURST_SIZE, bench.now, &mut bench.out);
        all.extend(bench.leave());
    }
    all
}

/// On the connection of the other worker.
fn arrival() -> Flow {
    on(TCP, EPHEMERAL, connection(1, 5))
}

fn give(bench: &mut Bench, number: u32) -> Vec<Left> {
    bench.give_by(arrival(), message(number).as_bytes(), false)
}

#[test]
fn a_report_leaves_where_the_connection_is_and_is_closed_at_home() {
    let mut pair = Pair::new(|_| {});
    let number = pair.numbers().next().unwrap();
    assert!(give(&mut pair.other, number).is_empty());
    let onward = take(&mut pair.home).remove(0);
    assert!(pair.home.give(IM, &answer(&onward.text, "200 OK")).is_empty(), "not from here");
    let account = pair.home.account();
    assert_eq!((account.verdict, account.report), (Verdict::Delivered, Report::Response(200)));
    assert_eq!(pair.home.engine.open(), 0);
    let back = take(&mut pair.other).remove(0);
    assert_eq!(back.flow, Flow { remote: endpoint(SBC), ..arrival() });
    assert_eq!(back.status(), 200);
    assert_eq!(pair.home.count(Counter::ResponsesHandedOver), 1);
    assert_eq!(pair.other.count(Counter::ReportsRefused), 0);
    // The same for an answer that is kept at home only.
    let second = pair.numbers().nth(1).unwrap();
    give(&mut pair.other, second);
    let onward = take(&mut pair.home).remove(0);
    pair.home.give(IM, &answer(&onward.text, "486 Busy"));
    assert_eq!(take(&mut pair.other)[0].status(), 486);
    assert!(give(&mut pair.other, second).is_empty());
    assert!(take(&mut pair.home).is_empty());
    assert_eq!(take(&mut pair.other)[0].status(), 486);
}

#[test]
fn a_report_that_fails_elsewhere_is_counted_there() {
    for (error, status) in [("200 OK", 200), ("SendError", 500)] {
        let mut pair = Pair::new(|_| {});
        let number = pair.numbers().next().unwrap();
        give(&mut pair.other, number);
        if status == 200 {
            let onward = take(&mut pair.home).remove(0);
            pair.home.give(IM, &answer(&onward.text, error));
        } else {
            pair.home.sent = Err(SendError::Forbidden);
            take(&mut pair.home);
            assert!(pair.home.wait_ms(10).is_empty());
        }
        assert_eq!(pair.home.account().report, Report::Response(status));
        pair.other.sent = Err(SendError::NoConnection);
        assert_eq!(take(&mut pair.other)[0].status(), status);
        assert_eq!(pair.other.count(Counter::ReportsRefused), 1);
        assert_eq!(pair.home.engine.open() + pair.other.engine.open(), 0);
    }
}

#[test]
fn what_is_no_report_is_not_counted_as_one() {
    let mut pair = Pair::new(|_| {});
    let number = pair.numbers().next().unwrap();
    give(&mut pair.other, number);
    take(&mut pair.home);
    assert!(pair.home.wait_ms(3_600).iter().all(|(_, left)| left.is_request()));
    pair.other.sent = Err(SendError::NoConnection);
    let trying = take(&mut pair.other).remove(0);
    assert_eq!((trying.status(), trying.owner), (100, None));
    assert_eq!(pair.other.count(Counter::ReportsRefused), 0);
}

#[test]
fn without_a_parcel_a_response_leaves_from_home_on_another_connection() {
    let mut pair = Pair::new(|_| {});
    let room = HANDOVER_MAX - HANDOVER_MAX / HANDOVER_PROOF_SHARE;
    let mut elsewhere = Vec::new();
    for number in pair.numbers().take(room + 1) {
        give(&mut pair.other, number);
        let onward = take(&mut pair.home).remove(0);
        elsewhere.extend(pair.home.give(IM, &answer(&onward.text, "200 OK")));
        assert_eq!(pair.home.account().report, Report::Response(200));
    }
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].flow, Flow::to(endpoint(SBC), TCP));
    assert_eq!(pair.home.count(Counter::ResponsesElsewhere), 1);
    // What may prove something still has room: an answer to a request of the other worker.
    let foreign = (1..9_999).find(|number| pair.numbers().all(|own| own != *number)).unwrap();
    let onward = pair.other.give(SBC, &message(foreign)).remove(0);
    assert!(pair.home.give(IM, &answer(&onward.text, "200 OK")).is_empty());
    assert_eq!(pair.home.count(Counter::DroppedHandoverProof), 0);
    assert_eq!(take(&mut pair.other).len(), room + 1);
    assert_eq!(pair.other.account().verdict, Verdict::Delivered);
}

#[test]
fn where_the_worker_of_the_connection_is_lost_the_home_answers() {
    let mut pair = Pair::new(|_| {});
    let number = pair.numbers().next().unwrap();
    give(&mut pair.other, number);
    let onward = take(&mut pair.home).remove(0);
    pair.common.lose(WorkerId(1));
    let back = pair.home.give(IM, &answer(&onward.text, "200 OK")).remove(0);
    assert_eq!((back.status(), back.flow), (200, Flow::to(endpoint(SBC), TCP)));
    assert_eq!(pair.home.account().report, Report::Response(200));
}

#[test]
fn each_response_that_is_handed_over_has_its_slot() {
    let mut pair = Pair::new(|_| {});
    for number in pair.numbers().take(BURST_SIZE + 8) {
        give(&mut pair.other, number);
        let onward = take(&mut pair.home).remove(0);
        pair.home.give(IM, &answer(&onward.text, "200 OK"));
    }
    let Bench { engine, out, now, .. } = &mut pair.other;
    let max = TIMERS_PER_TURN_MAX / 4;
    assert_eq!(engine.on_handed(max, *now, out), max);
    assert_eq!(out.free(Purse::Evidence), SLOTS_EVIDENCE - max);
    assert_eq!(engine.on_handed(SLOTS_EVIDENCE - max, *now, out), BURST_SIZE);
}

#[test]
fn a_request_on_a_connection_that_finds_no_room_is_refused_where_it_came_in() {
    let mut pair = Pair::new(|_| {});
    let mut numbers = pair.numbers();
    let posted = pair.fill(&mut numbers);
    let number = numbers.next().unwrap();
    let refused = give(&mut pair.other, number).remove(0);
    assert_eq!((refused.status(), refused.flow.connection), (503, connection(1, 5)));
    assert!((1..=5).contains(&refused.field("retry-after").parse::<u32>().unwrap()));
    assert_eq!(pair.other.count(Counter::RefusedHandover), 1);
    let dropped = pair.other.count(Counter::DroppedHandover);
    assert!(pair.other.give(SBC, &message(numbers.next().unwrap())).is_empty());
    assert_eq!(pair.other.count(Counter::DroppedHandover), dropped + 1, "a datagram comes again");
    // It stays refused, wherever its copies arrive, and nothing else is.
    for _ in 0..posted.len().div_ceil(BURST_SIZE) {
        pair.home.engine.on_handed(BURST_SIZE, pair.home.now, &mut pair.home.out);
        for onward in pair.home.leave() {
            assert!(onward.is_request());
            pair.home.give(IM, &answer(&onward.text, "200 OK"));
        }
    }
    assert_eq!(pair.home.count(Counter::MessagesAccepted), posted.len() as u64);
    assert_eq!(pair.home.give(SBC, &message(number))[0].status(), 503);
    assert!(give(&mut pair.other, number).is_empty());
    assert!(take(&mut pair.home).is_empty());
    assert_eq!(take(&mut pair.other)[0].status(), 503);
    let next = numbers.next().unwrap();
    let onward = pair.home.give(SBC, &message(next)).remove(0);
    pair.home.give(IM, &answer(&onward.text, "200 OK"));
    // Until timer J has run.
    pair.home.wait_ms(32_500);
    assert!(pair.home.give(SBC, &message(number))[0].is_request());
}

#[test]
fn a_copy_that_was_in_the_ring_before_the_refusal_is_not_accepted_behind_it() {
    let mut pair = Pair::new(|_| {});
    let mut numbers = pair.numbers();
    let posted = pair.fill(&mut numbers);
    // The client's connection has ended, and it asks again on another one.
    let again = on(TCP, "10.0.0.1:49153", connection(1, 6));
    let refused = pair.other.give_by(again, message(posted[3]).as_bytes(), false).remove(0);
    assert_eq!(refused.status(), 503);
    let left = take(&mut pair.home);
    assert_eq!(pair.home.count(Counter::MessagesAccepted), posted.len() as u64 - 1);
    let answers: Vec<u16> =
        left.iter().filter(|left| !left.is_request()).map(Left::status).collect();
    assert_eq!(answers, [503]);
}

#[test]
fn what_was_accepted_is_not_refused_for_want_of_room() {
    let mut pair = Pair::new(|_| {});
    let mut numbers = pair.numbers();
    let open = numbers.next().unwrap();
    give(&mut pair.other, open);
    assert_eq!(take(&mut pair.home).len(), 1);
    pair.fill(&mut numbers);
    let again = on(TCP, "10.0.0.1:49153", connection(1, 6));
    assert!(pair.other.give_by(again, message(open).as_bytes(), false).is_empty());
    assert_eq!(pair.other.count(Counter::RefusedHandover), 0);
}
