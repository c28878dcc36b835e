//! More at once than fits: bursts, buffers, sockets.

use super::*;
use crate::limits::{RECEIVE_BUFFERS, SLOTS_WORK};

/// Sends `count` numbered datagrams.
fn flood(peer: &UdpSocket, to: SocketAddr, count: usize) {
    for number in 0..count {
        peer.send_to(&number.to_le_bytes(), to).unwrap();
    }
}

/// The numbers of what came from `peer`.
fn numbers(worker: &Worker, peer: &UdpSocket) -> Vec<usize> {
    let remote = Endpoint::from(address(peer));
    let from_peer = worker.got.iter().filter(|got| got.flow.remote == remote);
    from_peer.map(|got| usize::from_le_bytes(got.octets[..8].try_into().unwrap())).collect()
}

#[test]
fn a_flood_comes_in_bursts_and_in_order() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let count = 2 * BURST_SIZE + 10;
        flood(&peer, local, count);
        worker.run_until("the flood", |worker| worker.got.len() == count);
        assert_eq!(numbers(&worker, &peer), (0..count).collect::<Vec<_>>());
        // The kernel takes 33 datagrams of a socket at once for a multishot receive.
        assert!(worker.bursts.iter().any(|burst| *burst >= 33), "{:?}", worker.bursts);
        assert!(worker.bursts.iter().all(|burst| *burst <= BURST_SIZE));
    }
}

#[test]
fn no_more_is_taken_than_the_worker_allows() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        flood(&peer, local, 100);
        for _ in 0..20 {
            worker.reap(0);
            worker.submit();
        }
        assert_eq!(worker.got, []);
        while worker.got.len() < 20 {
            worker.reap(5);
            worker.submit();
        }
        assert_eq!(worker.bursts, [5, 5, 5, 5]);
        worker.run_until("the rest", |worker| worker.got.len() == 100);
        assert_eq!(numbers(&worker, &peer), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_is_lost_when_the_receive_buffers_run_out() {
    if !choices().contains(&Choice::Uring) {
        return;
    }
    const BUFFERS: usize = 8;
    let ours = bind(&spec(LOCALHOST_V4)).unwrap();
    let local = address(&ours);
    let tally = Arc::new(Tally::new(0));
    let driver =
        Driver::with_buffers(vec![ours].into(), Choice::Uring, Arc::clone(&tally), BUFFERS)
            .unwrap();
    let mut worker = Worker::with(driver, tally);
    let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
    for _ in 0..5 {
        flood(&peer, local, 10 * BUFFERS);
        worker.run_until("the flood", |worker| worker.got.len() == 10 * BUFFERS);
        assert_eq!(numbers(&worker, &peer), (0..10 * BUFFERS).collect::<Vec<_>>());
        assert!(worker.bursts.iter().all(|burst| *burst <= BUFFERS));
        worker.got.clear();
    }
    let ended = worker.count(Counter::ReceiveNoBuffers);
    assert!(ended >= 5, "{}", worker.summary());
    assert_eq!(worker.count(Counter::ReceiveRearmed), ended);
    assert_eq!(worker.count(Counter::ReceiveErrors), 0);
    assert_eq!(worker.count(Counter::KernelDrops), 0);
    assert_eq!(worker.count(Counter::CompletionOverflows), 0);
}

#[test]
fn a_receive_without_buffers_is_not_armed_before_there_are_some() {
    if !choices().contains(&Choice::Uring) {
        return;
    }
    let ours = bind(&spec(LOCALHOST_V4)).unwrap();
    let local = address(&ours);
    let tally = Arc::new(Tally::new(0));
    let driver =
        Driver::with_buffers(vec![ours].into(), Choice::Uring, Arc::clone(&tally), 8).unwrap();
    let mut worker = Worker::with(driver, tally);
    let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
    flood(&peer, local, 20);
    for _ in 0..50 {
        worker.reap(0);
        worker.submit();
    }
    assert_eq!(worker.count(Counter::ReceiveNoBuffers), 1);
    worker.run_until("the flood", |worker| worker.got.len() == 20);
    assert_eq!(numbers(&worker, &peer), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_busy_socket_does_not_starve_another() {
    for choice in choices() {
        let sockets = [(); 2].map(|()| bind(&spec(LOCALHOST_V4)).unwrap());
        let locals = sockets.each_ref().map(address);
        let mut worker = Worker::new(choice, Vec::from(sockets));
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let other = UdpSocket::bind(LOCALHOST_V4).unwrap();
        // As many as the socket holds.
        let count = 256;
        flood(&peer, locals[0], count);
        other.send_to(&0_usize.to_le_bytes(), locals[1]).unwrap();
        let mut turns = 0;
        while numbers(&worker, &other).is_empty() {
            worker.turn();
            turns += 1;
            assert!(turns <= 4, "{}", worker.summary());
        }
        worker.run_until("the rest", |worker| worker.got.len() == count + 1);
        let of_other = worker.got.iter().find(|got| got.flow.socket.0 == 1).unwrap();
        assert_eq!(of_other.flow.remote, address(&other).into());
    }
}

#[test]
fn what_the_kernel_drops_is_counted() {
    for choice in choices() {
        let tiny = SocketSpec { receive_buffer: 1, ..spec(LOCALHOST_V4) };
        let ours = bind(&tiny).unwrap();
        let local = address(&ours);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        for round in 1..=2 {
            for _ in 0..50 {
                peer.send_to(&[0; 600], local).unwrap();
            }
            worker.settle();
            // The kernel tells what was lost with the next datagram that is not.
            peer.send_to(&[0; 600], local).unwrap();
            worker.settle();
            let lost = worker.count(Counter::KernelDrops);
            assert!(lost > 0, "{}", worker.summary());
            assert_eq!(lost + worker.got.len() as u64, round * 51, "{}", worker.summary());
        }
    }
}

#[test]
fn every_slot_can_be_in_flight_at_once() {
    for choice in choices() {
        let ours = bind(&spec(LOCALHOST_V4)).unwrap();
        let roomy = SocketSpec { receive_buffer: 1 << 22, ..spec(LOCALHOST_V4) };
        let peer = bind(&roomy).unwrap();
        let mut worker = Worker::new(choice, vec![ours]);
        let count = SLOTS_WORK;
        for number in 0..count {
            worker.push_to(address(&peer), &number.to_le_bytes(), Some(number as u64));
        }
        assert_eq!(worker.submit(), count);
        worker.run_until("all completions", |worker| worker.sent.len() == count);
        let expected: Vec<_> = (0..count).map(|number| (Owner(number as u64), Ok(()))).collect();
        assert_eq!(worker.sent, expected);
        let mut octets = [0; 100];
        for number in 0..count {
            let len = peer.recv(&mut octets).unwrap();
            assert_eq!(octets[..len], number.to_le_bytes(), "in order");
        }
        assert!(worker.all_slots_are_free());
        assert_eq!(worker.count(Counter::DatagramsOut), count as u64);
    }
}

#[test]
fn all_buffers_are_used_again_and_again() {
    for choice in choices() {
        let roomy = SocketSpec { receive_buffer: 1 << 22, ..spec(LOCALHOST_V4) };
        let ours = bind(&roomy).unwrap();
        let local = address(&ours);
        let mut worker = Worker::new(choice, vec![ours]);
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        for _ in 0..3 {
            flood(&peer, local, RECEIVE_BUFFERS + 50);
            worker.run_until("a round", |worker| worker.got.len() == RECEIVE_BUFFERS + 50);
            assert_eq!(numbers(&worker, &peer), (0..RECEIVE_BUFFERS + 50).collect::<Vec<_>>());
            worker.got.clear();
        }
    }
}
