//! Several engines that hand over to each other: wherever a packet arrives, the outcome is the same.

use std::sync::Arc;

use roger::delivery::{Account, Evidence, Verdict};
use roger::engine::{Common, Engine, Neighbours, Recipient, Setup, home_of};
use roger::id::WorkerId;
use roger::limits::{
    BURST_SIZE, HANDOVER_LARGE_SHARE, HANDOVER_MAX, HANDOVER_RESERVED_SHARE, TIMERS_PER_TURN_MAX,
};
use roger::metrics::{Counter, Tally, Total};
use roger::packet::{Arrival, Departures, Flow, SocketId};
use roger::time::Instant;

use crate::bench::{Bench, IM, IM_2, Left, SBC, answer, endpoint, message, setup};
use crate::short::Short;

const START: Instant = Instant(1_000_000_000_000);

/// Engines of one process.
pub(crate) struct Group {
    pub(crate) benches: Vec<Bench>,
    common: Arc<Common>,
    setup: Setup,
}

impl Group {
    fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    pub(crate) fn with(count: usize, change: impl FnOnce(&mut Setup)) -> Self {
        Self::started(count, change, |_| START)
    }

    /// Each worker at a moment of its own.
    fn started(
        count: usize,
        change: impl FnOnce(&mut Setup),
        at: impl Fn(usize) -> Instant,
    ) -> Self {
        let mut setup = setup();
        change(&mut setup);
        let neighbours = Neighbours::group(count, setup.next_servers.len());
        let common = neighbours[0].common();
        let of = |neighbours: Neighbours| {
            let now = at(neighbours.own().0.into());
            let setup = Setup { worker: neighbours.own(), ..setup.clone() };
            let tally = Arc::new(Tally::new(setup.peers.len()));
            let engine = Engine::among(neighbours, setup, Arc::clone(&tally), now);
            Bench { engine, out: Departures::with_connections(64), now, tally, sent: Ok(()) }
        };
        Self { benches: neighbours.into_iter().map(of).collect(), common, setup }
    }

    /// The home of the messages of this number.
    fn home(&self, number: u32) -> usize {
        let uri = format!("sip:+1555000{number:04}@im.example:5070");
        home_of(self.setup.key, uri.as_bytes(), self.benches.len()).0.into()
    }

    /// Some worker that is not the home of this number.
    fn other(&self, number: u32) -> usize {
        (self.home(number) + 1) % self.benches.len()
    }

    /// A number whose home is this worker, from `from` on.
    fn number_of(&self, worker: usize, from: u32) -> u32 {
        (from..).find(|number| self.home(*number) == worker).unwrap()
    }

    /// One datagram to one worker; what leaves any of them.
    pub(crate) fn give(&mut self, worker: usize, from: &str, text: &str) -> Vec<Left> {
        let mut left = self.benches[worker].give(from, text);
        left.extend(self.hand());
        left
    }

    /// Every worker takes what was handed over to it.
    pub(crate) fn hand(&mut self) -> Vec<Left> {
        let mut all = Vec::new();
        for bench in &mut self.benches {
            while bench.engine.is_handed() {
                let taken = bench.engine.on_handed(BURST_SIZE, bench.now, &mut bench.out);
                assert!(taken > 0);
                all.extend(bench.leave());
            }
        }
        all
    }

    pub(crate) fn wait_ms(&mut self, ms: u32) -> Vec<Left> {
        let each = self.benches.iter_mut().map(|bench| bench.wait_ms(ms));
        each.flatten().map(|(_, left)| left).collect()
    }

    fn total(&self) -> Total {
        Total::of(self.benches.iter().map(|bench| Arc::clone(&bench.tally)))
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.total().read(counter)
    }

    pub(crate) fn accounts(&mut self) -> Vec<Account> {
        let pop = |bench: &mut Bench| std::iter::from_fn(|| bench.engine.pop_account()).collect();
        self.benches.iter_mut().flat_map::<Vec<_>, _>(pop).collect()
    }
}

/// Numbers that look random, the same at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// What became of messages that were played to a group, every packet to a random worker of it: the
/// responses to each, in their order, and its verdict.
fn scattered(workers: usize, messages: u32) -> Vec<(Vec<u16>, char)> {
    let mut group = Group::with(workers, |setup| setup.messages_max = 4_096);
    let mut dice = Dice(7);
    let mut told = vec![Vec::new(); messages as usize];
    let statuses = ["200 OK", "486 Busy Here", "202 Accepted", "404 Not Found", "480 Gone"];
    let number_in = |left: &Left| -> usize {
        left.field("Call-ID")[5..].split('@').next().unwrap().parse().unwrap()
    };
    for number in 0..messages {
        let request = message(number);
        let onward = group.give(dice.below(workers), SBC, &request);
        assert_eq!(onward.len(), 1, "{number}");
        // Once more, before there is an answer.
        assert!(group.give(dice.below(workers), SBC, &request).is_empty(), "{number}");
        let silent = number % 11 == 0;
        if !silent {
            let response = answer(&onward[0].text, statuses[number as usize % statuses.len()]);
            for left in group.give(dice.below(workers), IM, &response) {
                told[number_in(&left)].push(left.status());
            }
            // The response again proves nothing new, the request again gets the same again.
            assert!(group.give(dice.below(workers), IM, &response).is_empty());
            for left in group.give(dice.below(workers), SBC, &request) {
                told[number_in(&left)].push(left.status());
            }
        }
    }
    let mut ticks = group.wait_ms(33_000);
    ticks.retain(|left| !left.is_request());
    for left in ticks {
        told[number_in(&left)].push(left.status());
    }
    assert_eq!(group.count(Counter::MessagesAccepted), u64::from(messages));
    assert_eq!(group.benches.iter().map(|bench| bench.engine.open()).sum::<u32>(), 0);
    let mut verdicts = vec!['?'; messages as usize];
    for account in group.accounts() {
        let call_id = String::from_utf8_lossy(account.sms_call_id.octets()).into_owned();
        let number: usize = call_id[5..].split('@').next().unwrap().parse().unwrap();
        assert_eq!(verdicts[number], '?', "one account a message");
        verdicts[number] = account.verdict.letter();
    }
    if workers > 1 {
        assert!(group.count(Counter::HandedOver) > u64::from(messages));
        assert!(group.count(Counter::AnsweredForHome) > u64::from(messages) / 8);
    }
    told.into_iter().zip(verdicts).collect()
}

#[test]
fn verdicts_are_the_same_wherever_packets_arrive() {
    let alone = scattered(1, 600);
    assert!(alone.iter().filter(|(_, verdict)| *verdict == 'D').count() > 90);
    for workers in [2, 3, 4, 8] {
        assert_eq!(scattered(workers, 600), alone, "{workers} workers");
    }
}

#[test]
fn what_was_answered_is_answered_again_by_whoever_gets_it() {
    let mut group = Group::new(2);
    let onward = group.give(group.home(1), SBC, &message(1)).remove(0);
    let first = group.give(group.home(1), IM, &answer(&onward.text, "200 OK")).remove(0);
    let again = group.give(group.other(1), SBC, &message(1)).remove(0);
    assert_eq!((first.status(), again.status()), (200, 200));
    assert_eq!((group.count(Counter::AnsweredForHome), group.count(Counter::HandedOver)), (1, 0));
    // With more to say than a status the answer is kept at home, and comes from there.
    let onward = group.give(group.home(2), SBC, &message(2)).remove(0);
    let response = answer(&onward.text, "480 Nobody Is Here");
    let first = group.give(group.home(2), IM, &response).remove(0);
    let again = group.give(group.other(2), SBC, &message(2)).remove(0);
    assert_eq!(first.text, again.text);
    assert_eq!(group.count(Counter::HandedOver), 1);
}

#[test]
fn an_icmp_error_reaches_the_worker_that_sent() {
    let mut group = Group::new(2);
    let onward = group.give(group.home(1), SBC, &message(1)).remove(0);
    let other = group.other(1);
    let now = group.benches[other].now;
    group.benches[other].engine.on_unreachable(endpoint(IM), onward.text.as_bytes(), now);
    group.hand();
    assert_eq!(group.count(Counter::IcmpMatched), 1);
    assert_eq!(group.accounts()[0].evidence, Evidence::Unreachable);
}

#[test]
fn a_cancel_finds_its_message_on_every_worker() {
    let mut group = Group::new(3);
    group.give(group.home(1), SBC, &message(1));
    let cancel = message(1).replacen("MESSAGE", "CANCEL", 1).replace("1 MESSAGE", "1 CANCEL");
    for worker in 0..3 {
        assert_eq!(group.give(worker, SBC, &cancel)[0].status(), 200, "{worker}");
    }
    let unknown = cancel.replace("call-1@", "call-9@");
    for worker in 0..3 {
        assert_eq!(group.give(worker, SBC, &unknown)[0].status(), 481, "{worker}");
    }
}

#[test]
fn a_damaged_copy_is_not_refused_by_a_worker_that_does_not_know_it() {
    let mut group = Group::new(4);
    let onward = group.give(group.home(1), SBC, &message(1)).remove(0);
    // Its damage makes another recipient of it, and an error.
    let damaged = (2..100).map(|other| {
        message(1)
            .replacen("+15550000001", &format!("+1555000{other:04}"), 1)
            .replace("Max-Forwards: 20", "Max-Forwards: many")
    });
    let damaged: Vec<String> = damaged.collect();
    for (number, text) in (2..).zip(&damaged) {
        let left = group.give(group.home(number), SBC, text);
        assert!(left.is_empty(), "{left:?}");
    }
    let report = group.give(group.home(1), IM, &answer(&onward.text, "200 OK")).remove(0);
    assert_eq!(report.status(), 200);
    for (number, text) in (2..).zip(&damaged) {
        assert_eq!(group.give(group.home(number), SBC, text)[0].status(), 200);
    }
    // What nobody knows is wrong for everybody.
    let unknown = damaged[0].replace("call-1@", "call-1000@");
    assert_eq!(group.give(0, SBC, &unknown)[0].status(), 400);
}

#[test]
fn without_room_on_the_way_requests_are_dropped_before_they_are_accepted() {
    let mut group = Group::with(2, |setup| setup.messages_max = 4_096);
    let other = group.other(1);
    let home = group.home(1);
    // Something that is open there, to be proved later.
    let open = group.give(home, SBC, &message(group.number_of(home, 5_000))).remove(0);
    let mut dropped = Vec::new();
    let mut number = 0;
    while dropped.len() < 20 {
        number = group.number_of(home, number + 1);
        group.benches[other].give(SBC, &message(number));
        if group.count(Counter::DroppedHandover) > dropped.len() as u64 {
            dropped.push(number);
        }
        assert!(number < 9_000, "the ring is bounded");
    }
    let requests = HANDOVER_MAX - HANDOVER_MAX / HANDOVER_RESERVED_SHARE;
    assert_eq!(group.count(Counter::HandedOver), requests as u64);
    // A response still finds its way, and proves what it proves.
    group.benches[other].give(IM, &answer(&open.text, "200 OK"));
    assert_eq!(group.count(Counter::DroppedHandoverProof), 0);
    let left = group.hand();
    assert_eq!(left.iter().filter(|left| !left.is_request()).count(), 1);
    assert_eq!(group.count(Counter::MessagesAccepted), requests as u64 + 1);
    // The clients of the others send them again.
    for number in dropped {
        assert!(group.give(other, SBC, &message(number))[0].is_request());
    }
}

#[test]
fn responses_use_the_reserved_parcels_and_are_counted_where_even_these_are_gone() {
    let mut group = Group::new(2);
    let other = group.other(1);
    let onward = group.give(group.home(1), SBC, &message(1)).remove(0);
    let response = answer(&onward.text, "100 Trying");
    for _ in 0..HANDOVER_MAX + 3 {
        group.benches[other].give(IM, &response);
    }
    assert_eq!(group.count(Counter::DroppedHandoverProof), 3);
    // What is too long for these has parcels of its own.
    let long = answer(&onward.text, "180 Ringing")
        .replace("Content-Length", &format!("Subject: {}\r\nContent-Length", "x".repeat(3_000)));
    for _ in 0..=HANDOVER_MAX / HANDOVER_LARGE_SHARE {
        group.benches[other].give(IM, &long);
    }
    assert_eq!(group.count(Counter::DroppedHandoverProof), 4);
    group.hand();
    assert_eq!(group.count(Counter::ProvisionalIn), group.count(Counter::HandedOver));
}

/// Turns of one worker, while others stand still.
fn goes_on(bench: &mut Bench, seconds: u32) {
    for _ in 0..10 * seconds {
        bench.now = bench.now.plus_ms(100);
        bench.engine.on_tick(bench.now, &mut bench.out);
        bench.leave();
    }
}

#[test]
fn a_copy_that_waited_in_the_socket_of_a_worker_that_stood_still_is_not_a_new_message() {
    for (seconds, is_forgotten) in [(60, false), (1_200, true)] {
        let mut group = Group::new(2);
        let (home, other) = (group.home(1), group.other(1));
        let onward = group.give(home, SBC, &message(1)).remove(0);
        group.give(home, IM, &answer(&onward.text, "200 OK"));
        group.benches[other].wait_ms(10);
        // The home goes on beyond timer J; the other worker stands still all the time.
        goes_on(&mut group.benches[home], seconds);
        group.benches[other].now = group.benches[home].now;
        let again = group.give(other, SBC, &message(1));
        if is_forgotten {
            assert!(again.is_empty(), "{again:?}");
        } else {
            assert_eq!(again[0].status(), 200);
        }
        assert_eq!(group.count(Counter::DroppedForgotten), u64::from(is_forgotten));
        // Where nothing was forgotten, what is unknown is new; else it comes again, and then that
        // worker is known to run.
        let number = group.number_of(home, 100);
        assert_eq!(group.give(other, SBC, &message(number)).is_empty(), is_forgotten);
        group.wait_ms(3_000);
        assert_eq!(group.give(other, SBC, &message(number)).is_empty(), !is_forgotten);
    }
}

#[test]
fn a_worker_that_waited_for_the_others_to_start_takes_new_messages() {
    let home = Group::new(2).home(1);
    // The home starts later than the other one, for its tables are large.
    let later = START.plus_ms(5_000);
    let mut group = Group::started(2, |_| {}, |worker| if worker == home { later } else { START });
    group.benches.iter_mut().for_each(|bench| bench.now = later);
    assert!(group.give(group.other(1), SBC, &message(1))[0].is_request());
    assert_eq!(group.count(Counter::DroppedForgotten), 0);
}

#[test]
fn who_is_lost_accepts_nothing_on_any_worker_and_contradicts_nothing() {
    let mut group = Group::new(2);
    let (home, other) = (group.home(1), group.other(1));
    let next = || {
        let number = group.number_of(home, 10);
        (number, group.number_of(home, number + 1))
    };
    let (open, fresh) = next();
    let onward = group.give(home, SBC, &message(1)).remove(0);
    group.give(home, IM, &answer(&onward.text, "200 OK"));
    let waiting = group.give(home, SBC, &message(open)).remove(0);
    group.common.lose(WorkerId(u8::try_from(home).unwrap()));
    // Answered before: answered again. Accepted before: silence. New: refused, and only that.
    assert_eq!(group.give(other, SBC, &message(1))[0].status(), 200);
    assert!(group.give(other, SBC, &message(open)).is_empty());
    let refusal = group.give(other, SBC, &message(fresh)).remove(0);
    assert_eq!(refusal.status(), 503);
    assert!((1..=5).contains(&refusal.field("Retry-After").parse::<u32>().unwrap()));
    assert_eq!(group.give(other, SBC, &message(fresh))[0].text, refusal.text);
    // What it was proved comes to nobody.
    assert!(group.give(other, IM, &answer(&waiting.text, "200 OK")).is_empty());
    assert_eq!((group.count(Counter::RefusedLost), group.count(Counter::DroppedLost)), (2, 2));
    assert!(!group.benches[home].engine.is_handed());
    // The others go on.
    let own = group.number_of(other, 1);
    assert!(group.give(other, SBC, &message(own))[0].is_request());
}

#[test]
fn what_is_left_on_a_worker_can_be_told_by_another() {
    let mut group = Group::new(2);
    let home = group.home(1);
    let large = message(1).replace("Hello", &"x".repeat(3_000)).replace("h: 5", "h: 3000");
    let [first, second, third] = [1, 2, 3].map(|n| group.number_of(home, n * 100));
    let mut given = vec![large];
    given.extend([first, second].map(message));
    for text in &given {
        assert!(group.give(home, SBC, text)[0].is_request());
    }
    let onward = group.give(home, SBC, &message(third)).remove(0);
    group.benches[home].sent = Ok(());
    group.give(home, IM, &answer(&onward.text, "200 OK"));
    // Decided, and not closed: nobody has said yet how its report went.
    let report = {
        let flow =
            Flow { remote: endpoint(SBC), local: [0; 16], socket: SocketId(0), connection: None };
        let number = group.number_of(home, 400);
        let text = message(number);
        let bench = &mut group.benches[home];
        let arrival = Arrival { flow, at: bench.now, octets: text.as_bytes(), truncated: false };
        bench.engine.on_burst(&[arrival], &mut bench.out);
        let onward = bench.leave().remove(0);
        let text = answer(&onward.text, "200 OK");
        let flow = Flow { remote: endpoint(IM), ..flow };
        let arrival = Arrival { flow, at: bench.now, octets: text.as_bytes(), truncated: false };
        bench.engine.on_burst(&[arrival], &mut bench.out);
        number
    };
    let remains = group.benches[home].engine.remains();
    let left: Vec<_> = remains.left().collect();
    assert_eq!(left.iter().filter(|left| left.is_decided).count(), 1, "{report}");
    let undecided: Vec<_> = left.iter().filter(|left| !left.is_decided).collect();
    assert_eq!(undecided.len(), 3);
    for (left, text) in undecided.iter().zip(&given) {
        assert_eq!(left.len, text.len());
        let account = left.account(text.as_bytes(), Recipient::CalledParty, left.arrived).unwrap();
        assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::WorkerLost));
        assert!(text.contains(std::str::from_utf8(account.sms_call_id.octets()).unwrap()));
        assert!(text.contains(std::str::from_utf8(account.recipient.octets()).unwrap()));
        assert_eq!((account.sms_peer, account.im_peer), (0, 1));
    }
    assert!(undecided[0].account(b"not a request", Recipient::To, Instant(0)).is_none());
    // The one that is closed has an account, which is here until somebody takes it.
    assert_eq!(remains.waiting(), 1);
    assert_eq!(group.benches[home].account().verdict, Verdict::Delivered);
    assert_eq!(remains.waiting(), 0);
}

#[test]
fn what_is_left_of_a_short_message_names_its_recipient_and_reference() {
    let mut group = Group::new(1);
    let short = Short::new(7, "Hello");
    let bench = &mut group.benches[0];
    bench.give_octets(SBC, &short.request(), false);
    let left = bench.engine.remains().left().next().unwrap();
    let account = left.account(&short.request(), Recipient::CalledParty, left.arrived).unwrap();
    let own = {
        bench.engine.abandon(bench.now, 10);
        bench.account()
    };
    assert_eq!(account.recipient.octets(), own.recipient.octets());
    assert_eq!(account.sms_call_id.octets(), own.sms_call_id.octets());
    let reference =
        |account: &Account| format!("{:?}", account.form).split(',').next().unwrap().to_owned();
    assert_eq!(reference(&account), reference(&own));
}

/// 10^5 responses with branches that are not ours, and as many with right ones from elsewhere, to
/// random workers: nothing changes.
#[test]
fn forged_responses_change_nothing_on_any_worker() {
    const FORGED: u32 = 100_000;
    let mut group = Group::with(4, |setup| setup.messages_max = 256);
    let mut dice = Dice(3);
    let open: Vec<Left> =
        (0..64).flat_map(|n| group.give(dice.below(4), SBC, &message(n))).collect();
    assert_eq!(open.len(), 64);
    for round in 0..FORGED {
        let response = answer(&open[dice.below(64)].text, "200 OK");
        let at = response.find("z9hG4bK").unwrap() + 7 + dice.below(54);
        let mut wrong = response.clone().into_bytes();
        // Another digit in the same place.
        wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
        let wrong = String::from_utf8(wrong).unwrap();
        assert!(group.give(dice.below(4), IM, &wrong).is_empty());
        // A peer of the other side, another port of nobody, the second IM peer.
        let from = [SBC, "10.0.0.77:5070", IM_2][round as usize % 3];
        assert!(group.give(dice.below(4), from, &response).is_empty());
    }
    assert_eq!(group.count(Counter::DroppedResponseForeign), u64::from(FORGED));
    let elsewhere = [Counter::DroppedResponseSource, Counter::DroppedStranger];
    assert_eq!(
        elsewhere.map(|counter| group.count(counter)).iter().sum::<u64>(),
        u64::from(FORGED)
    );
    let verdicts = [
        Counter::VerdictDelivered,
        Counter::VerdictPermanent,
        Counter::VerdictTemporary,
        Counter::VerdictUnknown,
        Counter::VerdictAccepted,
    ];
    assert!(verdicts.iter().all(|verdict| group.count(*verdict) == 0));
    // The canary: the true response still does.
    for onward in &open {
        assert_eq!(group.give(dice.below(4), IM, &answer(&onward.text, "200 OK")).len(), 1);
    }
    assert_eq!(group.count(Counter::VerdictDelivered), 64);
}

/// Far more transactions than there is room for, all to one home and with ids that a stranger
/// chose: what is too many is refused or dropped, what was answered stays answered.
#[test]
fn a_flood_of_unique_branches_pushes_out_nothing_that_lives() {
    let mut group = Group::with(4, |setup| {
        setup.finished_max = 500;
        setup.messages_max = 64;
    });
    let mut dice = Dice(9);
    let request = |number: u32| message(1).replace("z9hG4bKsbc1", &format!("z9hG4bKsbc{number}"));
    let mut answered = Vec::new();
    let mut refused = Vec::new();
    for number in 0..5_000 {
        let text = request(number);
        let left = group.give(dice.below(4), SBC, &text);
        match left.as_slice() {
            [onward] if onward.is_request() => {
                let back = group.give(dice.below(4), IM, &answer(&onward.text, "200 OK"));
                assert_eq!(back[0].status(), 200);
                answered.push(text);
            }
            [refusal] => {
                assert_eq!(refusal.status(), 503);
                refused.push(text);
            }
            [] => {}
            more => panic!("{more:?}"),
        }
    }
    assert!((450..=640).contains(&answered.len()), "{}", answered.len());
    assert!(!refused.is_empty());
    assert!(group.count(Counter::DroppedNoMemory) > 3_000);
    for text in &answered {
        assert_eq!(group.give(dice.below(4), SBC, text)[0].status(), 200);
    }
    for text in &refused {
        assert_eq!(group.give(dice.below(4), SBC, text)[0].status(), 503);
    }
    assert_eq!(group.count(Counter::MessagesAccepted), answered.len() as u64);
}

/// Recipients and ids of strangers' choice do not decide where they are kept: without the key the
/// homes of a million similar names are even.
#[test]
fn homes_are_even_for_whatever_names_a_stranger_chooses() {
    let key = setup().key;
    let mut homes = [0_u32; 4];
    for number in 0..100_000_u32 {
        let uri = format!("sip:+49151{:08}@im.example", number.wrapping_mul(4));
        homes[usize::from(home_of(key, uri.as_bytes(), 4).0)] += 1;
    }
    assert!(homes.iter().all(|count| (24_000..26_000).contains(count)), "{homes:?}");
    // All ways to write one recipient lead to one home.
    for ways in [
        ["sip:+15551234567@a.example", "tel:+15551234567", "sip:+15551234567@b.example;user=phone"],
        ["sip:bob@im.example", "sip:bob@IM.example;transport=udp", "sips:bob@im.example:5061"],
    ] {
        let found = ways.map(|uri| home_of(key, uri.as_bytes(), 64));
        assert_eq!(found, [found[0]; 3], "{ways:?}");
    }
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_left_alone_by_all() {
    let mut group = Group::with(2, |setup| {
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2)]);
    });
    let short = |number: u32| Short {
        recipient: format!("sip:+1555000{number:04}@im.example"),
        ..Short::new(number, "Hello")
    };
    let numbers = [group.number_of(0, 1), group.number_of(1, 1)];
    let out = group.benches[0].give_octets(SBC, &short(numbers[0]).request(), false);
    let instant = out.iter().find(|left| left.is_request()).unwrap();
    assert_eq!(instant.to, IM.parse().unwrap());
    let busy = crate::bench::answer_with(&instant.text, "503 Busy", "Retry-After: 30\r\n");
    group.give(0, IM, &busy);
    let out = group.benches[1].give_octets(SBC, &short(numbers[1]).request(), false);
    let instant = out.iter().find(|left| left.is_request()).unwrap();
    assert_eq!(instant.to, IM_2.parse().unwrap());
}

#[test]
fn a_burst_of_handed_arrivals_leaves_the_timers_their_slots() {
    let mut group = Group::with(2, |setup| setup.messages_max = 1_024);
    let (home, other) = (group.home(1), group.other(1));
    let mut number = 0;
    for _ in 0..3 * BURST_SIZE {
        number = group.number_of(home, number + 1);
        group.benches[other].give(SBC, &message(number));
    }
    let bench = &mut group.benches[home];
    assert_eq!(bench.engine.on_handed(BURST_SIZE + 7, bench.now, &mut bench.out), BURST_SIZE);
    assert_eq!(bench.engine.on_handed(5, bench.now, &mut bench.out), 5);
    assert_eq!(bench.engine.on_tick(bench.now, &mut bench.out), 0);
    assert!(TIMERS_PER_TURN_MAX > 0 && bench.engine.is_handed());
}
