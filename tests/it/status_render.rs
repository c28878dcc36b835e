//! `roger status`: every counter, every peer, on a screen.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use roger::metrics::{Counter, Tally, Total};
use roger::oam::status::{PeerState, Snapshot, WorkerState, counters, render};

use crate::snapshot::assert_snapshot;

/// What was counted.
const COUNTED: [(Counter, u64); 23] = [
    (Counter::DatagramsIn, 2_469_136),
    (Counter::DatagramsOut, 2_469_130),
    (Counter::MessagesAccepted, 1_234_567),
    (Counter::MessagesOpen, 12),
    (Counter::VerdictDelivered, 1_234_000),
    (Counter::VerdictUnknown, 555),
    (Counter::VerdictPermanent, 12),
    (Counter::ShortMessages, 400_000),
    (Counter::RpAcks, 399_300),
    (Counter::RpErrors, 700),
    (Counter::ReportsTaken, 399_990),
    (Counter::ReportsRejected, 1),
    (Counter::ReportsUnconfirmed, 9),
    (Counter::RetriesAbsorbed, 300),
    (Counter::RetriesAttached, 20),
    (Counter::RetriesAttempted, 280),
    (Counter::PossibleDuplicates, 3),
    (Counter::UriWaits, 4_000),
    (Counter::UriWaitsEnded, 2),
    (Counter::Contradictions, 1),
    (Counter::DroppedStranger, 7),
    (Counter::DroppedResponseCseq, 2),
    (Counter::TurnLongestNs, 354_308),
];

fn snapshot() -> Snapshot {
    let tally = Arc::new(Tally::new(3));
    for (counter, value) in COUNTED {
        tally.counters.set(counter, value);
    }
    let sbc = &tally.peers[0];
    sbc.requests_in.store(1_234_567, Ordering::Relaxed);
    sbc.last_heard_ns.store(59_999_000_000, Ordering::Relaxed);
    let im = &tally.peers[1];
    im.requests_out.store(1_234_567, Ordering::Relaxed);
    im.finals_in.store(1_234_012, Ordering::Relaxed);
    im.timer_f.store(540, Ordering::Relaxed);
    im.unreachable.store(3, Ordering::Relaxed);
    im.last_heard_ns.store(1, Ordering::Relaxed);
    let peer = |name: &str, side: &str, role: Option<&str>, addresses: &[&str]| PeerState {
        name: name.to_owned(),
        side: side.to_owned(),
        role: role.map(str::to_owned),
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        ..PeerState::default()
    };
    let other = Arc::new(Tally::new(3));
    other.counters.set(Counter::HandedOver, 12);
    let total = Total::of([Arc::clone(&tally), Arc::clone(&other)]);
    let mut peers = vec![
        peer("sbc", "sms", None, &["192.0.2.1:5060"]),
        peer(
            "im",
            "im",
            Some("proxy"),
            &["192.0.2.20:5080", "im.example.net:5080 = [2001:db8::1]:5080"],
        ),
        peer("spare", "both", Some("im_server"), &["192.0.2.30:5060"]),
    ];
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.count(&total, index, 60_000_000_000);
    }
    Snapshot {
        version: "0.1.0".to_owned(),
        pid: 4_711,
        node: 3,
        up_ms: 1_051_860_000,
        serving: "announcing".to_owned(),
        driver: "mmsg".to_owned(),
        driver_refusal: Some("Operation not permitted (os error 1)".to_owned()),
        sockets: vec!["0.0.0.0:5060".to_owned(), "[::]:5060".to_owned()],
        open_max: 65_536,
        memory: 177_072_128,
        workers: vec![
            WorkerState::of(Some(2), "running", 12_345_678, &tally),
            WorkerState::of(None, "stuck", 17, &other),
        ],
        counters: counters(&total),
        peers,
    }
}

#[test]
fn zeros_are_named_and_the_rest_is_shown() {
    assert_snapshot("status.txt", &render(&snapshot(), false, false));
}

#[test]
fn all_counters_can_be_shown_with_what_they_mean() {
    let text = render(&snapshot(), true, false);
    assert_snapshot("status_all.txt", &text);
    for counter in Counter::ALL {
        let shown = text.lines().filter(|line| {
            line.get(17..).is_some_and(|rest| rest.split(' ').next() == Some(counter.name()))
        });
        assert_eq!(shown.count(), 1, "{}", counter.name());
    }
}

#[test]
fn where_there_are_no_short_messages_there_is_no_line_for_them() {
    let mut none = snapshot();
    for count in none.counters.iter_mut().flat_map(|group| &mut group.counters) {
        count.value *= u64::from(count.name != "short_messages");
    }
    assert!(!render(&none, false, false).contains("their reports"));
    assert!(render(&none, false, false).contains("1,234,567 accepted, 12 open"));
    for count in none.counters.iter_mut().flat_map(|group| &mut group.counters) {
        count.value = 0;
    }
    assert!(!render(&none, false, false).contains(" accepted, "));
}

#[test]
fn colours_add_nothing_but_colours() {
    let (plain, mut coloured) =
        (render(&snapshot(), false, false), render(&snapshot(), false, true));
    assert!(coloured.contains("\x1b[1;31m"), "an alarm is red");
    for style in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[1;31m"] {
        coloured = coloured.replace(style, "");
    }
    assert_eq!(coloured, plain);
    assert!(!plain.contains('\x1b'));
}

#[test]
fn what_a_process_says_is_understood_on_the_other_side() {
    let said = serde_json::to_string(&snapshot()).unwrap();
    let understood: Snapshot = serde_json::from_str(&said).unwrap();
    assert_eq!(understood, snapshot());
}
