//! What was handed over late: when it begins, and how old a copy may be.

use std::sync::Arc;

use roger::delivery::{Evidence, Verdict};
use roger::engine::{Engine, Neighbours, Setup, home_of};
use roger::limits::BURST_SIZE;
use roger::metrics::{Counter, Tally};
use roger::packet::Departures;
use roger::time::Instant;

use crate::bench::{Bench, IM, Left, SBC, answer, message, setup};

const START: Instant = Instant(1_000_000_000_000);

/// Two workers, and the number of a message whose home is the first one.
fn two(finished_max: u32, messages_max: u32) -> (Bench, Bench, u32) {
    let setup = Setup { finished_max, messages_max, ..setup() };
    let number = (1..).find(|number| is_home_first(&setup, *number)).unwrap();
    let mut benches = Neighbours::group(2, setup.next_servers.len()).into_iter().map(|worker| {
        let setup = Setup { worker: worker.own(), ..setup.clone() };
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let engine = Engine::among(worker, setup, Arc::clone(&tally), START);
        Bench { engine, out: Departures::new(), now: START, tally, sent: Ok(()) }
    });
    (benches.next().unwrap(), benches.next().unwrap(), number)
}

fn is_home_first(setup: &Setup, number: u32) -> bool {
    let uri = format!("sip:+1555000{number:04}@im.example:5070");
    home_of(setup.key, uri.as_bytes(), 2).0 == 0
}

/// Takes what was handed over.
fn take(home: &mut Bench) -> Vec<Left> {
    assert!(home.engine.on_handed(BURST_SIZE, home.now, &mut home.out) > 0);
    home.leave()
}

#[test]
fn a_request_that_was_handed_over_late_is_sent_now_and_due_when_it_arrived() {
    let (mut home, mut other, number) = two(1_000, 64);
    assert!(other.give(SBC, &message(number)).is_empty());
    home.now = START.plus_ms(20_000);
    assert!(take(&mut home)[0].is_request());
    let left = home.wait_ms(40_000);
    let requests = || left.iter().filter(|(_, left)| left.is_request()).map(|(at, _)| *at);
    // Timer E begins with the first transmission, and timer F ends 32 s after it.
    assert!((500..510).contains(&requests().next().unwrap()), "{left:?}");
    assert!((28_000..32_000).contains(&requests().next_back().unwrap()), "{left:?}");
    let account = home.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Deadline));
    assert_eq!(account.arrived, START);
    let waited = account.decided.since(START) / 1_000_000;
    assert!((28_000..28_100).contains(&waited), "{waited}");
}

#[test]
fn a_request_that_comes_home_after_its_deadline_is_not_accepted() {
    let (mut home, mut other, number) = two(1_000, 64);
    assert!(other.give(SBC, &message(number)).is_empty());
    home.now = START.plus_ms(28_001);
    assert!(take(&mut home).is_empty());
    assert_eq!(home.count(Counter::DroppedHandover), 1);
    assert_eq!(home.count(Counter::MessagesAccepted), 0);
    // Its client has sent it again.
    other.now = home.now;
    other.engine.on_tick(other.now, &mut other.out);
    other.now = other.now.plus_ms(3_000);
    other.engine.on_tick(other.now, &mut other.out);
    home.now = other.now;
    assert!(other.give(SBC, &message(number)).is_empty());
    assert!(take(&mut home)[0].is_request());
}

#[test]
fn a_response_that_was_handed_over_late_is_remembered_from_now_on() {
    let (mut home, mut other, number) = two(1_000, 64);
    let onward = home.give(SBC, &message(number)).remove(0);
    other.now = START.plus_ms(500);
    assert!(other.give(IM, &answer(&onward.text, "200 OK")).is_empty());
    home.now = START.plus_ms(20_000);
    assert_eq!(take(&mut home)[0].status(), 200);
    let account = home.account();
    assert_eq!((account.verdict, account.decided), (Verdict::Delivered, home.now));
    // 33 s after the response came, and 13 s after it was passed on.
    home.wait_ms(13_500);
    assert_eq!(home.give(SBC, &message(number))[0].status(), 200);
    assert_eq!(home.count(Counter::MessagesAccepted), 1);
}

#[test]
fn what_ended_soon_after_a_worker_stood_still_may_be_forgotten_as_well() {
    // So few places that each new message frees all that has ended.
    let (mut home, mut other, number) = two(8, 64);
    let onward = home.give(SBC, &message(number)).remove(0);
    home.give(IM, &answer(&onward.text, "200 OK"));
    home.wait_ms(32_300);
    other.wait_ms(31_900);
    assert_eq!(home.give(SBC, &message(after(number))).len(), 1);
    // The copy may have been in its socket when the transaction had not ended.
    home.wait_ms(1_700);
    other.now = home.now;
    assert!(other.give(SBC, &message(number)).is_empty());
    let taken = take(&mut home);
    assert!(taken.is_empty(), "{taken:?}");
    assert_eq!(home.count(Counter::DroppedForgotten), 1);
}

/// The next number whose home is the first worker.
fn after(number: u32) -> u32 {
    (number + 1..).find(|next| is_home_first(&setup(), *next)).unwrap()
}

#[test]
fn a_refusal_is_remembered_through_a_pause_like_everything_else() {
    // Room for one message, and so few places that each refusal frees all that has ended.
    let mut bench = Bench::with(Setup { finished_max: 8, messages_max: 1, ..setup() });
    assert!(bench.give(SBC, &message(1))[0].is_request());
    assert_eq!(bench.give(SBC, &message(2))[0].status(), 503);
    // It stands still for longer than timer J. What waited comes out of the socket.
    bench.now = bench.now.plus_ms(40_000);
    assert_eq!(bench.give(SBC, &message(3))[0].status(), 503);
    bench.wait_ms(100);
    assert_eq!(bench.account().evidence, Evidence::TimerF);
    assert_eq!(bench.give(SBC, &message(2))[0].status(), 503);
    assert_eq!(bench.count(Counter::MessagesAccepted), 1);
}

#[test]
fn a_refusal_that_was_forgotten_is_no_new_message_either() {
    let (mut home, mut other, number) = two(1_000, 1);
    assert!(home.give(SBC, &message(number))[0].is_request());
    let refused = after(number);
    assert_eq!(home.give(SBC, &message(refused))[0].status(), 503);
    other.wait_ms(10);
    home.wait_ms(33_000);
    // Another message, and so many refusals that the first one is forgotten.
    let next = after(refused);
    let onward = home.give(SBC, &message(next)).remove(0);
    let mut last = next;
    for _ in 0..60 {
        last = after(last);
        assert_eq!(home.give(SBC, &message(last))[0].status(), 503);
    }
    assert_eq!(home.give(IM, &answer(&onward.text, "200 OK"))[0].status(), 200);
    other.now = home.now;
    assert!(other.give(SBC, &message(refused)).is_empty());
    let taken = take(&mut home);
    assert!(taken.is_empty(), "{taken:?}");
    assert_eq!(home.count(Counter::DroppedForgotten), 1);
}

#[test]
fn what_is_handed_over_first_after_a_standstill_frees_nothing_that_is_asked_for_behind_it() {
    // A response that is kept is repeated by its home only, so that its copy is handed over.
    let (mut home, mut other, number) = two(8, 64);
    let onward = home.give(SBC, &message(number)).remove(0);
    assert_eq!(home.give(IM, &answer(&onward.text, "486 Busy Here"))[0].status(), 486);
    let next = (number + 1..).find(|next| is_home_first(&setup(), *next)).unwrap();
    other.wait_ms(31_500);
    assert!(other.give(SBC, &message(next)).is_empty());
    assert!(other.give(SBC, &message(number)).is_empty());
    // The home stood still meanwhile, and its first turn begins with the two of them.
    home.now = START.plus_ms(59_000);
    let taken = take(&mut home);
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(taken[0].is_request() && taken[1].status() == 486, "{taken:?}");
    assert_eq!(home.count(Counter::MessagesAccepted), 2);
}

#[test]
fn what_ended_while_a_worker_stood_still_gives_way_where_nothing_else_does() {
    let (mut home, _, number) = two(8, 64);
    let mut numbers = (number..).filter(|next| is_home_first(&setup(), *next));
    for number in numbers.by_ref().take(20) {
        let onward = home.give(SBC, &message(number)).remove(0);
        home.give(IM, &answer(&onward.text, "200 OK"));
    }
    home.now = START.plus_ms(60_000);
    assert!(home.give(SBC, &message(numbers.next().unwrap()))[0].is_request());
}

#[test]
fn the_first_turn_after_a_standstill_sweeps_nothing_that_ended_in_it() {
    let (mut home, _, number) = two(8, 64);
    // A round of sweeping takes 524 s: all of it is due when the standstill is over.
    home.now = START.plus_ms(500_000);
    home.wait_ms(4_000);
    // Some of them in each half of the table, of which one is still to be swept.
    for number in (number..).filter(|next| is_home_first(&setup(), *next)).take(6) {
        let onward = home.give(SBC, &message(number)).remove(0);
        home.give(IM, &answer(&onward.text, "200 OK"));
    }
    home.now = START.plus_ms(570_000);
    home.wait_ms(10);
    for number in (number..).filter(|next| is_home_first(&setup(), *next)).take(6) {
        assert_eq!(home.give(SBC, &message(number))[0].status(), 200);
    }
    assert_eq!(home.count(Counter::MessagesAccepted), 6);
}
