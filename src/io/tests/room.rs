//! Sockets without room to send.
//!
//! UDP on loopback never runs out of it, since a datagram is the receiver's at once. A TCP
//! connection in disguise does: it ignores the address, so a driver can send on it until its
//! buffer is full, and then has to wait.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use super::*;
use crate::limits::{SLOT_SIZE, SLOTS_WORK};
use crate::packet::SendError;

fn narrow_connection() -> (UdpSocket, TcpStream) {
    let listener = TcpListener::bind(LOCALHOST_V4).unwrap();
    let ours = TcpStream::connect(address_of(&listener)).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    socket2::SockRef::from(&ours).set_send_buffer_size(40_000).unwrap();
    (UdpSocket::from(OwnedFd::from(ours)), theirs)
}

fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

const _: () = assert!(SLOTS_WORK == u8::MAX as usize + 1);

fn fill(worker: &mut Worker) {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    for number in 0..=u8::MAX {
        worker.push_to(nowhere, &[number; SLOT_SIZE], Some(number.into()));
    }
    worker.settle();
    assert!(worker.sent.len() < SLOTS_WORK, "the connection is full");
}

#[test]
fn what_finds_no_room_leaves_when_there_is_some() {
    for choice in choices_without_trains() {
        let (ours, mut theirs) = narrow_connection();
        let mut worker = Worker::new(choice, vec![ours]);
        fill(&mut worker);
        theirs.set_nonblocking(true).unwrap();
        let mut octets = Vec::new();
        let mut part = [0; 10_000];
        while worker.sent.len() < SLOTS_WORK {
            while let Ok(len) = theirs.read(&mut part) {
                octets.extend_from_slice(&part[..len]);
            }
            if worker.turn() == 0 {
                let until = worker.driver.now().plus_ms(20);
                worker.driver.idle(Some(until), Polling::Wait, || true);
            }
        }
        assert!(worker.all_slots_are_free());
        let short = usize::try_from(worker.count(Counter::SendShort)).unwrap();
        let whole = usize::try_from(worker.count(Counter::DatagramsOut)).unwrap();
        let Worker { driver, sent, .. } = worker;
        drop(driver);
        theirs.set_nonblocking(false).unwrap();
        theirs.read_to_end(&mut octets).unwrap();
        // A stream takes a part of what finds little room, which no datagram socket does.
        let mut owners: Vec<_> = sent.iter().map(|(owner, _)| owner.0).collect();
        owners.sort_unstable();
        assert_eq!(owners, (0..SLOTS_WORK as u64).collect::<Vec<_>>(), "each is told once");
        let partly = sent.iter().filter(|(_, sent)| *sent == Err(SendError::Other(0)));
        assert_eq!(partly.count(), short);
        assert_eq!(whole + short, SLOTS_WORK);
        let mut counts = [0; SLOTS_WORK];
        for octet in octets {
            counts[usize::from(octet)] += 1;
        }
        for (owner, sent) in &sent {
            let count = counts[usize::try_from(owner.0).unwrap()];
            assert_eq!(count == SLOT_SIZE, sent.is_ok(), "{owner:?} {sent:?} {count}");
        }
    }
}

#[test]
fn room_ends_the_wait() {
    for choice in choices_without_trains() {
        let (ours, mut theirs) = narrow_connection();
        let mut worker = Worker::new(choice, vec![ours]);
        fill(&mut worker);
        let before = worker.sent.len();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 10_000];
            while theirs.read(&mut part).is_ok_and(|len| len > 0) {}
        });
        let never = worker.driver.now().plus_ms(60_000);
        worker.driver.idle(Some(never), Polling::Wait, || true);
        assert!(worker.driver.now() < never);
        worker.turn();
        worker.turn();
        assert!(worker.sent.len() > before, "{}", worker.summary());
        drop(worker);
        reader.join().unwrap();
    }
}

#[test]
fn sends_complete_while_no_arrival_is_taken() {
    for choice in choices_without_trains() {
        let (ours, mut theirs) = narrow_connection();
        let busy = bind(&spec(LOCALHOST_V4)).unwrap();
        let local = address(&busy);
        let mut worker = Worker::new(choice, vec![ours, busy]);
        fill(&mut worker);
        // More datagrams wait than a burst takes, and no slot is free to take them.
        let peer = UdpSocket::bind(LOCALHOST_V4).unwrap();
        for _ in 0..=BURST_SIZE {
            peer.send_to(b"a datagram", local).unwrap();
        }
        for _ in 0..3 {
            worker.reap(0);
            worker.driver.idle(Some(worker.driver.now().plus_ms(1)), Polling::Wait, || true);
        }
        let reader = std::thread::spawn(move || {
            let mut part = [0; 10_000];
            while theirs.read(&mut part).is_ok_and(|len| len > 0) {}
        });
        while worker.sent.len() < SLOTS_WORK {
            worker.reap(0);
            worker.submit();
        }
        assert_eq!(worker.got, []);
        assert!(worker.all_slots_are_free());
        worker.run_until("the datagrams", |worker| worker.got.len() == BURST_SIZE + 1);
        drop(worker);
        reader.join().unwrap();
    }
}

#[test]
fn a_driver_can_be_dropped_while_the_kernel_holds_slots() {
    for choice in choices_without_trains() {
        let (ours, _theirs) = narrow_connection();
        let mut worker = Worker::new(choice, vec![ours, bind(&spec(LOCALHOST_V4)).unwrap()]);
        fill(&mut worker);
        let Worker { driver, out, .. } = worker;
        drop(driver);
        drop(out);
    }
}
