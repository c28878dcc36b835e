//! What is sent, in which order, and how many chunks may wait.

use super::super::*;
use super::positions;
use crate::delivery::coverage::{Effect, End, Observation, Standing};
use crate::delivery::{Evidence, MsrpRole};
use crate::limits::MSRP_CHUNKS_MAX;

const ROOM: u32 = {
    assert!(MSRP_CHUNKS_MAX == 15);
    15
};

fn endpoint(total: u64) -> Ledger {
    Ledger::new(total, MsrpRole::Endpoint, 1)
}

#[test]
fn chunks_are_sent_one_after_the_other_from_the_front() {
    let mut ledger = endpoint(10);
    assert_eq!(ledger.begin(), Some(0));
    assert_eq!(ledger.begin(), None, "one is open");
    ledger.write(3);
    ledger.write(1);
    ledger.end(End::More);
    assert_eq!(ledger.begin(), Some(1));
    ledger.write(6);
    ledger.end(End::Last);
    assert_eq!((ledger.begin(), ledger.sent()), (None, 10));
    assert_eq!(ledger.observe(Observation::Response { chunk: 0, status: 200 }), Effect::Counted);
    assert_eq!(ledger.acknowledged().intervals(), [super::octets(0, 4)]);
    assert_eq!(ledger.observe(Observation::Response { chunk: 0, status: 200 }), Effect::Repeated);
    assert_eq!(ledger.observe(Observation::Response { chunk: 2, status: 200 }), Effect::Stray);
    assert_eq!(ledger.standing(), Standing::Open);
    assert_eq!(ledger.observe(Observation::Response { chunk: 1, status: 200 }), Effect::Counted);
    assert_eq!(ledger.standing(), Standing::Decided(Evidence::Acknowledged));
}

#[test]
fn no_more_chunks_wait_than_there_is_room_for() {
    let mut ledger = endpoint(100);
    for number in 0..ROOM {
        assert_eq!(ledger.begin(), Some(number));
        ledger.write(2);
        ledger.end(End::More);
    }
    assert_eq!(ledger.begin(), None);
    // Every second is answered, then as many again: what is acknowledged always fits.
    let mut next = ROOM;
    for answered in (0..ROOM).step_by(2) {
        ledger.observe(Observation::Response { chunk: answered, status: 200 });
        assert_eq!(ledger.begin(), Some(next));
        ledger.write(1);
        ledger.end(End::More);
        next += 1;
    }
    assert_eq!(ledger.begin(), None);
    for answered in (0..next).rev() {
        ledger.observe(Observation::Response { chunk: answered, status: 200 });
    }
    assert_eq!(ledger.acknowledged().no_room(), 0);
    assert_eq!(ledger.acknowledged().intervals(), [super::octets(0, ledger.sent())]);
}

/// However the responses are shuffled, there is room for what they say.
#[test]
fn acknowledged_octets_always_fit() {
    for seed in 1..300 {
        let mut word = seed;
        let mut ledger = endpoint(u64::MAX);
        let mut waiting = Vec::new();
        for _ in 0..400 {
            if super::random(&mut word).is_multiple_of(2)
                && let Some(number) = ledger.begin()
            {
                ledger.write(1 + super::random(&mut word) % 5_000);
                ledger.end(End::More);
                waiting.push(number);
            } else if !waiting.is_empty() {
                let place = usize::try_from(super::random(&mut word)).unwrap() % waiting.len();
                let chunk = waiting.swap_remove(place);
                ledger.observe(Observation::Response { chunk, status: 200 });
            }
            assert!(waiting.len() <= MSRP_CHUNKS_MAX);
        }
        assert_eq!(ledger.acknowledged().no_room(), 0, "{seed}");
    }
}

#[test]
fn an_empty_message_is_proved_like_any_other() {
    let mut ledger = endpoint(0);
    let report = |octets| Observation::Report { octets, total: Some(0), status: 200 };
    assert_eq!(ledger.observe(report(None)), Effect::Stray);
    assert_eq!(ledger.standing(), Standing::Open);
    ledger.begin();
    ledger.end(End::Last);
    assert_eq!(ledger.standing(), Standing::Open);
    let mut other = ledger;
    assert_eq!(other.observe(report(Some(positions(1, 0)))), Effect::Repeated);
    assert_eq!(other.standing(), Standing::Decided(Evidence::Reported));
    ledger.observe(Observation::Response { chunk: 0, status: 200 });
    assert_eq!(ledger.standing(), Standing::Decided(Evidence::Acknowledged));
}

#[test]
#[should_panic(expected = "more than the message")]
fn no_more_is_written_than_there_is() {
    let mut ledger = endpoint(2);
    ledger.begin();
    ledger.write(3);
}

#[test]
#[should_panic(expected = "no chunk is open")]
fn nothing_is_written_outside_of_a_chunk() {
    endpoint(2).write(1);
}

#[test]
#[should_panic(expected = "octets are left")]
fn the_last_chunk_ends_at_the_end() {
    let mut ledger = endpoint(2);
    ledger.begin();
    ledger.write(1);
    ledger.end(End::Last);
}

#[test]
#[should_panic(expected = "not to be sent again")]
fn nothing_is_sent_again_that_is_not_to_be() {
    endpoint(2).again(MsrpRole::Endpoint, 1);
}
