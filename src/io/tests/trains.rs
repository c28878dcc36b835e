//! Trains: what goes together, what does not, and what happens where they are refused.

use std::net::UdpSocket;
use std::time::Duration;

use socket2::SockRef;

use super::{Worker, address, families, spec};
use crate::io::socket::set;
use crate::io::{Choice, Kind, bind};
use crate::limits::{BURST_SIZE, DATAGRAM_SIZE_MAX, SLOTS_WORK};
use crate::metrics::Counter;

/// A worker with trains, and a socket beside it.
fn pair(local: &str) -> (Worker, UdpSocket, std::net::SocketAddr) {
    let socket = bind(&spec(local)).unwrap();
    let own = address(&socket);
    let peer = UdpSocket::bind(local).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let worker = Worker::new(Choice::Trains, vec![socket]);
    assert_eq!(worker.driver.kind(), Kind::Trains);
    (worker, peer, own)
}

fn lengths(peer: &UdpSocket, count: usize) -> Vec<usize> {
    let mut octets = vec![0; 70_000];
    (0..count).map(|_| peer.recv(&mut octets).unwrap()).collect()
}

#[test]
fn what_has_one_length_and_one_way_leaves_as_one() {
    for local in families() {
        let (mut worker, peer, _) = pair(local);
        // A socket that takes trains shows what left together.
        set(&SockRef::from(&peer), libc::SOL_UDP, libc::UDP_GRO, 1).unwrap();
        let other = UdpSocket::bind(local).unwrap();
        other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for len in [500, 500, 500, 200, 500, 600, 600] {
            worker.push_to(address(&peer), &vec![7; len], None);
        }
        worker.push_to(address(&other), &[7; 600], None);
        worker.push_to(address(&peer), &[7; 600], None);
        worker.run_until("all", |worker| worker.count(Counter::DatagramsOut) == 9);
        // The shorter one ends its train; a longer one begins another, and so does another way.
        assert_eq!(lengths(&peer, 4), [1_700, 500, 1_200, 600]);
        assert_eq!(lengths(&other, 1), [600]);
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn whoever_takes_no_trains_sees_none() {
    let (mut worker, peer, _) = pair("127.0.0.1:0");
    for number in 0..100_u8 {
        worker.push_to(address(&peer), &[number; 460], Some(u64::from(number)));
    }
    worker.run_until("all", |worker| worker.sent.len() == 100);
    for (number, (owner, sent)) in worker.sent.iter().enumerate() {
        assert_eq!((owner.0, *sent), (number as u64, Ok(())));
    }
    let mut octets = [0; 1_000];
    for number in 0..100 {
        let len = peer.recv(&mut octets).unwrap();
        assert_eq!(octets[..len], [number; 460]);
    }
    assert!(worker.all_slots_are_free());
}

#[test]
fn a_train_is_told_burst_after_burst() {
    let (mut sender, _, from) = pair("127.0.0.1:0");
    let (mut receiver, _, to) = pair("127.0.0.1:0");
    for number in 0..60_u8 {
        sender.push_to(to, &[number; 460], None);
    }
    sender.push_to(to, &[60; 10], None);
    sender.run_until("all", |worker| worker.count(Counter::DatagramsOut) == 61);
    // What does not fit this turn waits for the next, and nothing more is received meanwhile.
    assert_eq!(receiver.reap(5), 5);
    sender.push_to(to, &[61; 460], None);
    sender.submit();
    receiver.run_until("all", |worker| worker.got.len() == 62);
    assert!(receiver.bursts.iter().all(|burst| *burst <= BURST_SIZE));
    for (number, got) in receiver.got.iter().enumerate() {
        let len = if number == 60 { 10 } else { 460 };
        assert_eq!(got.octets, vec![u8::try_from(number).unwrap(); len]);
        assert_eq!((got.flow.remote, got.truncated), (from.into(), false));
    }
    assert_eq!(receiver.count(Counter::DatagramsIn), 62);
}

#[test]
fn what_is_refused_as_a_train_leaves_one_by_one() {
    let (_, peer, _) = pair("127.0.0.1:0");
    // The datagrams of a train get sums of their own: a socket that wants none may send no train.
    let bound = bind(&spec("127.0.0.1:0")).unwrap();
    set(&SockRef::from(&bound), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let mut worker = Worker::new(Choice::Trains, vec![bound]);
    for number in 0..40_u8 {
        worker.push_to(address(&peer), &[number; 460], Some(u64::from(number)));
    }
    worker.run_until("all", |worker| worker.sent.len() == 40);
    assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()), "{:?}", worker.sent);
    assert_eq!(lengths(&peer, 40), [460; 40]);
    // And it stays so, without another try for each.
    assert_eq!(worker.driver.kind(), Kind::Mmsg);
    for number in 0..40_u8 {
        worker.push_to(address(&peer), &[number; 460], None);
    }
    worker.run_until("all", |worker| worker.count(Counter::DatagramsOut) == 80);
    assert_eq!(lengths(&peer, 40), [460; 40]);
    assert!(worker.all_slots_are_free());
}

#[test]
fn icmp_speaks_of_the_first_of_a_train() {
    let (mut worker, nobody, _) = pair("127.0.0.1:0");
    let remote = address(&nobody);
    drop(nobody);
    for number in 0..10 {
        worker.push_to(remote, &[number; 100], Some(u64::from(number)));
    }
    worker.run_until("the error", |worker| worker.unreachable.len() == 1);
    worker.settle();
    assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()) && worker.sent.len() == 10);
    let [(said, quoted)] = &worker.unreachable[..] else { panic!() };
    assert_eq!((*said, quoted[0]), (remote.into(), 0));
    // The error ends a call that is not about it: then everything leaves one by one.
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..10 {
        worker.push_to(address(&peer), &[number; 100], None);
    }
    worker.run_until("all", |worker| worker.count(Counter::DatagramsOut) == 20);
    assert_eq!(lengths(&peer, 10), [100; 10]);
}

#[test]
fn large_datagrams_are_cut_and_trains_of_them_stay_below_a_packet() {
    let (mut receiver, peer, to) = pair("127.0.0.1:0");
    peer.send_to(&vec![1; DATAGRAM_SIZE_MAX + 1], to).unwrap();
    let (mut sender, _, _) = pair("127.0.0.1:0");
    for _ in 0..SLOTS_WORK {
        sender.push_to(to, &[2; 8_000], None);
    }
    sender.run_until("all", |worker| worker.count(Counter::DatagramsOut) == SLOTS_WORK as u64);
    receiver.settle();
    assert!(receiver.got[0].truncated);
    assert_eq!(receiver.got[0].octets.len(), DATAGRAM_SIZE_MAX);
    assert!(receiver.got.len() > 8);
    assert!(receiver.got[1..].iter().all(|got| got.octets == [2; 8_000] && !got.truncated));
    // None of them was refused: trains still leave.
    set(&SockRef::from(&peer), libc::SOL_UDP, libc::UDP_GRO, 1).unwrap();
    for _ in 0..3 {
        sender.push_to(address(&peer), &[3; 500], None);
    }
    sender.submit();
    assert_eq!(lengths(&peer, 1), [1_500]);
}
