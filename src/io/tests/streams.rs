//! Connections: accepted and opened, read and written, and ended in every way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::{LOCALHOST_V4, choices, listening, message};
use crate::id::WorkerId;
use crate::metrics::Counter;
use crate::packet::{Flow, Owner, SendError, SocketId};

#[test]
fn messages_come_whole_however_they_are_cut() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_nodelay(true).unwrap();
        let whole: Vec<u8> = (0..100).flat_map(message).collect();
        let mut written = 0;
        for (number, piece) in whole.chunks(977).enumerate() {
            peer.write_all(piece).unwrap();
            written += piece.len();
            let expected = written / message(10).len() - 2;
            if number % 3 == 0 && expected < 100 {
                worker.run_until("messages", |worker| worker.got.len() >= expected.min(95));
            }
        }
        worker.run_until("all messages", |worker| worker.got.len() == 100);
        let local = worker.got[0].flow.connection;
        for (number, got) in worker.got.iter().enumerate() {
            assert_eq!(got.octets, message(number), "{choice:?} {number}");
            assert_eq!(got.flow.connection, local);
            assert_eq!(got.flow.remote, peer.local_addr().unwrap().into());
        }
        assert_eq!(worker.got[0].flow.connection.unwrap().worker, WorkerId(3));
        // And back on the same connection, in one write.
        let flow = worker.got[0].flow;
        for number in 0..50 {
            worker.push(flow, &message(number), Some(number as u64));
        }
        worker.run_until("sent", |worker| worker.sent.len() == 50);
        assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()));
        let expected: Vec<u8> = (0..50).flat_map(message).collect();
        let mut back = vec![0; expected.len()];
        peer.read_exact(&mut back).unwrap();
        assert_eq!(back, expected);
        assert!(worker.all_slots_are_free());
        drop(peer);
        worker.run_until("the end", |worker| worker.count(Counter::ConnectionsOpen) == 0);
        assert_eq!(worker.count(Counter::ConnectionsEnded), 1);
    }
}

#[test]
fn what_came_before_the_end_is_taken_before_the_end() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let mut peer = TcpStream::connect(address).unwrap();
        let whole: Vec<u8> = (0..70).flat_map(message).collect();
        peer.write_all(&whole).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        worker.run_until("messages", |worker| worker.got.len() == 70);
        worker.run_until("the end", |worker| worker.count(Counter::ConnectionsOpen) == 0);
    }
}

/// It lies in the queue of its listener with its end already there.
#[test]
fn who_is_gone_before_he_is_accepted_is_a_connection_that_was_reset() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let peer = TcpStream::connect(address).unwrap();
        socket2::SockRef::from(&peer).set_linger(Some(core::time::Duration::ZERO)).unwrap();
        drop(peer);
        worker.run_until("his end", |worker| worker.count(Counter::ConnectionsReset) == 1);
        assert_eq!(worker.count(Counter::ConnectionsAccepted), 1, "{choice:?}");
        assert_eq!(worker.count(Counter::ConnectionsOpen), 0, "{choice:?}");
        assert_eq!(worker.count(Counter::AcceptErrors), 0, "{choice:?}");
    }
}

#[test]
fn one_connection_is_opened_for_all_that_goes_to_one_place() {
    for choice in choices() {
        let (mut worker, _) = listening(choice, 64);
        let peer = TcpListener::bind(LOCALHOST_V4).unwrap();
        let flow = Flow::to(peer.local_addr().unwrap().into(), SocketId(0));
        for number in 0..20 {
            worker.push(flow, &message(number), Some(number as u64));
        }
        worker.turn();
        let (mut other, _) = peer.accept().unwrap();
        worker.run_until("sent", |worker| worker.sent.len() == 20);
        assert_eq!(worker.count(Counter::ConnectionsOpened), 1);
        let expected: Vec<u8> = (0..20).flat_map(message).collect();
        let mut got = vec![0; expected.len()];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
        // The answer comes on it.
        other.write_all(&message(7)).unwrap();
        worker.run_until("an answer", |worker| worker.got.len() == 1);
        assert_eq!(worker.got[0].flow.remote, flow.remote);
        // When it is gone, another one is opened.
        drop(other);
        worker.run_until("the end", |worker| worker.count(Counter::ConnectionsOpen) == 0);
        worker.push(flow, &message(21), Some(21));
        worker.turn();
        let (mut other, _) = peer.accept().unwrap();
        worker.run_until("sent", |worker| worker.sent.len() == 21);
        let mut got = vec![0; message(21).len()];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, message(21));
    }
}

/// RFC 3261 section 18.2.2: at the port of its Via, when that was found out only by writing, too.
#[test]
fn a_response_whose_connection_has_ended_leaves_on_another_one() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let sent_by = TcpListener::bind(LOCALHOST_V4).unwrap();
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&message(0)).unwrap();
        worker.run_until("a message", |worker| worker.got.len() == 1);
        let remote = sent_by.local_addr().unwrap().into();
        let flow = Flow { remote, ..worker.got[0].flow };
        socket2::SockRef::from(&peer).set_linger(Some(core::time::Duration::ZERO)).unwrap();
        drop(peer);
        for number in 1..=3 {
            worker.push(flow, &message(number), Some(number as u64));
        }
        // Nothing was read in between.
        worker.submit();
        worker.run_until("responses", |worker| worker.sent.len() == 3);
        assert_eq!(worker.sent, [1, 2, 3].map(|number| (Owner(number), Ok(()))), "{choice:?}");
        assert_eq!(worker.count(Counter::ResponsesMoved), 3, "{choice:?}");
        let (mut other, _) = sent_by.accept().unwrap();
        let expected: Vec<u8> = (1..=3).flat_map(message).collect();
        let mut got = vec![0; expected.len()];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn what_cannot_be_connected_to_was_sent_nothing() {
    for choice in choices() {
        let (mut worker, _) = listening(choice, 64);
        let nobody = TcpListener::bind(LOCALHOST_V4).unwrap().local_addr().unwrap();
        let flow = Flow::to(nobody.into(), SocketId(0));
        for number in 0..3 {
            worker.push(flow, &message(number), Some(number as u64));
        }
        worker.run_until("refusals", |worker| worker.sent.len() == 3);
        worker.push(flow, &message(3), Some(3));
        worker.run_until("another refusal", |worker| worker.sent.len() == 4);
        let refused = |number| (Owner(number), Err(SendError::NoConnection));
        assert_eq!(worker.sent, [0, 1, 2, 3].map(refused), "{choice:?}");
        assert_eq!(worker.count(Counter::ConnectionsFailed), 1);
        assert_eq!(worker.count(Counter::ConnectionsOpen), 0);
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&message(0)).unwrap();
        worker.run_until("a message", |worker| worker.got.len() == 1);
        let flow = worker.got[0].flow;
        let big = vec![b'x'; 9_000];
        let mut owner = 0;
        while worker.count(Counter::ClosedUnread) == 0 {
            owner += 1;
            assert!(owner < 20_000, "{choice:?}");
            worker.push(flow, &big, Some(owner));
            worker.turn();
        }
        let all = usize::try_from(owner).unwrap();
        worker.run_until("every owner told", |worker| worker.sent.len() == all);
        let lost = worker.sent.iter().filter(|(_, sent)| sent.is_err()).count();
        assert!(lost > 0 && lost < all, "{choice:?}: {lost} of {all}");
        assert!(worker.sent.iter().rev().take(2).all(|(_, sent)| sent.is_err()));
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn who_does_not_read_is_not_read_from_and_others_are() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 64);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&message(0)).unwrap();
        worker.run_until("a message", |worker| worker.got.len() == 1);
        let flow = worker.got[0].flow;
        // As much as the kernel takes, and a little more.
        let big = vec![b'x'; 9_000];
        let mut pushed = 0;
        let mut written = 0;
        while pushed < written + 8 {
            assert!(pushed < 5_000, "{choice:?}");
            worker.push(flow, &big, Some(1));
            pushed += 1;
            worker.turn();
            worker.turn();
            written = worker.sent.len();
        }
        // A read that was begun before is not taken back.
        peer.write_all(&message(1)).unwrap();
        worker.run_until("one more", |worker| worker.got.len() == 2);
        peer.write_all(&message(2)).unwrap();
        let mut other = TcpStream::connect(address).unwrap();
        other.write_all(&message(3)).unwrap();
        worker.run_until("the other one's", |worker| worker.got.len() == 3);
        worker.settle();
        assert_eq!(worker.got.len(), 3, "{choice:?}: he has not read his answers");
        assert_eq!(worker.got[2].octets, message(3));
        // When he reads, he is read from.
        let reader = std::thread::spawn(move || {
            let mut octets = vec![0; pushed * 9_000];
            peer.read_exact(&mut octets).unwrap();
            peer
        });
        worker.run_until("his message", |worker| worker.got.len() == 4);
        worker.run_until("all is written", |worker| worker.sent.len() == pushed);
        assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()));
        assert_eq!(worker.got[3].octets, message(2));
        drop(reader.join().unwrap());
    }
}

#[test]
fn what_a_server_does_not_read_goes_elsewhere_and_the_rest_is_written() {
    for choice in choices() {
        let (mut worker, _) = listening(choice, 64);
        let server = TcpListener::bind(LOCALHOST_V4).unwrap();
        let flow = Flow::to(server.local_addr().unwrap().into(), SocketId(0));
        let big = vec![b'x'; 9_000];
        let mut owner = 0;
        while worker.sent.iter().all(|(_, sent)| sent.is_ok()) {
            owner += 1;
            assert!(owner < 20_000, "{choice:?}");
            worker.push(flow, &big, Some(owner));
            worker.turn();
        }
        worker.turn();
        let refused = worker.sent.iter().filter(|(_, sent)| sent.is_err()).count();
        assert!(
            worker.sent.iter().all(|(_, sent)| matches!(sent, Ok(()) | Err(SendError::NotWritten)))
        );
        assert_eq!(worker.count(Counter::ConnectionsOpen), 1);
        let (mut other, _) = server.accept().unwrap();
        let expected = (usize::try_from(owner).unwrap() - refused) * big.len();
        let reader = std::thread::spawn(move || {
            let mut octets = vec![0; expected];
            other.read_exact(&mut octets).unwrap();
        });
        let all = usize::try_from(owner).unwrap();
        worker.run_until("the rest", |worker| worker.sent.len() == all);
        assert_eq!(worker.sent.iter().filter(|(_, sent)| sent.is_err()).count(), refused);
        reader.join().unwrap();
    }
}
