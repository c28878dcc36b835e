//! Threads that hand over to each other as fast as they can.

use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::packet::SocketId;

const WORKERS: usize = 3;

/// What each worker hands over to each of the others.
const PARCELS: u32 = 17_000;

/// What a worker has got so far.
#[derive(Default)]
struct Got {
    /// By sender and size: the number that comes next.
    next: [[u32; 2]; WORKERS],
    total: u32,
}

/// Which of the sizes a parcel with this number has: large ones are rare.
const fn size_of_number(number: u32) -> usize {
    (number % 16 == 7) as usize
}

/// The octets of the parcel with this number: each depends on all that is known about it.
fn fill(from: u8, to: u8, number: u32, octets: &mut [u8]) -> usize {
    let spread = number.wrapping_mul(0x9E37_79B9) >> 20;
    let len = match size_of_number(number) {
        0 => 8 + spread as usize % (REQUEST_SMALL_SIZE - 7),
        _ => REQUEST_SMALL_SIZE + 1 + spread as usize % (DATAGRAM_SIZE_MAX - REQUEST_SMALL_SIZE),
    };
    let [a, b, c, d] = number.to_le_bytes();
    let pattern = [from, to, a, b, c, d, a ^ from, b ^ to];
    for (octet, value) in octets[..len].iter_mut().zip(pattern.iter().cycle()) {
        *octet = *value;
    }
    len
}

const fn kind(number: u32) -> Kind {
    match number % 3 {
        0 => Kind::Request,
        1 => Kind::Response,
        _ => Kind::Unreachable,
    }
}

fn arrival(number: u32, octets: &[u8]) -> Arrival<'_> {
    let flow = Flow { socket: SocketId(number.to_le_bytes()[0]), ..Flow::NOWHERE };
    let truncated = number.is_multiple_of(5);
    Arrival { flow, at: Instant(number.into()), octets, truncated }
}

impl Got {
    /// Each lane comes in the order of its sizes, and whole.
    fn check(&mut self, own: u8, parcel: &Parcel) {
        let found = parcel.arrival();
        let from = found.octets[0];
        let number = u32::from_le_bytes(found.octets[2..6].try_into().unwrap());
        let next = &mut self.next[usize::from(from)][size_of_number(number)];
        while size_of_number(*next) != size_of_number(number) {
            *next += 1;
        }
        assert_eq!(number, *next, "from {from} to {own}: one is missing, or comes twice");
        *next += 1;
        let mut room = [0; DATAGRAM_SIZE_MAX];
        let len = fill(from, own, number, &mut room);
        let expected = arrival(number, &room[..len]);
        assert!(found.octets == expected.octets, "from {from} to {own}: {number} is damaged");
        assert_eq!((found.flow, found.at), (expected.flow, expected.at));
        assert_eq!(found.truncated, expected.truncated);
        assert_eq!((parcel.kind(), parcel.since().0), (kind(number), u64::from(number) + 1));
        self.total += 1;
    }

    fn take(&mut self, own: &mut Handover, taken: &mut Taken) {
        own.take(BURST_SIZE, taken);
        taken.iter().for_each(|parcel| self.check(own.own().0, parcel));
        own.give_back(taken);
    }
}

/// One worker: hands over to the others in turn, and takes what comes, until it has everything.
fn work(own: &mut Handover, all: u32) {
    let (mut got, mut taken) = (Got::default(), Taken::new());
    let mut room = [0; DATAGRAM_SIZE_MAX];
    let mut number = [0; WORKERS];
    while got.total < all || number.iter().sum::<u32>() < all {
        let me = own.own();
        for to in (0..3).map(WorkerId).filter(|to| *to != me) {
            let next = &mut number[usize::from(to.0)];
            if *next == PARCELS {
                continue;
            }
            let len = fill(me.0, to.0, *next, &mut room);
            let arrival = arrival(*next, &room[..len]);
            let since = Instant(u64::from(*next) + 1);
            *next += u32::from(own.post(to, kind(*next), &arrival, since).is_ok());
        }
        if own.is_waiting() {
            got.take(own, &mut taken);
        } else {
            thread::yield_now();
        }
    }
}

/// How many parcels of each size lie in a lane, filled and empty.
fn parcels(lane: &Lane) -> [(usize, usize); 2] {
    [&lane.small, &lane.large].map(|ring| (ring.filled.len(), ring.empty.len()))
}

#[test]
fn nothing_is_lost_or_doubled_between_threads_and_every_parcel_comes_back() {
    let mut group = group(WORKERS);
    let all = 2 * PARCELS;
    thread::scope(|scope| {
        let run = |own: &mut Handover| {
            own.furnish();
            work(own, all);
        };
        let threads: Vec<_> = group.iter_mut().map(|own| scope.spawn(move || run(own))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    // All three together: 102,000.
    let [small, large] = capacities(WORKERS);
    for own in &group {
        for lane in own.to.iter().chain(&own.from).flatten() {
            assert_eq!(parcels(lane), [(0, small), (0, large)]);
        }
    }
}

#[test]
fn who_takes_nothing_holds_up_nobody() {
    let group = group(WORKERS);
    group.iter().for_each(Handover::furnish);
    let [first, mut second, silent] = <[Handover; WORKERS]>::try_from(group).unwrap();
    let is_over = AtomicBool::new(false);
    let mut room = [0; DATAGRAM_SIZE_MAX];
    let len = fill(0, 2, 0, &mut room);
    while first.post(silent.own(), Kind::Response, &arrival(0, &room[..len]), Instant(1)).is_ok() {}
    thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let (mut got, mut taken) = (Got::default(), Taken::new());
            while got.total < PARCELS {
                got.take(&mut second, &mut taken);
            }
            is_over.store(true, Ordering::Release);
        });
        let mut number = 0;
        while number < PARCELS {
            let len = fill(0, 1, number, &mut room);
            let arrival = arrival(number, &room[..len]);
            let since = Instant(u64::from(number) + 1);
            number += u32::from(first.post(WorkerId(1), kind(number), &arrival, since).is_ok());
        }
        taking.join().unwrap();
    });
    assert!(is_over.load(Ordering::Acquire));
    assert!(silent.is_waiting());
    assert_eq!(first.posted(), 0b110);
}
