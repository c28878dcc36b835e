//! Connections under stress: what many of them at once, or the ends of others, must not do to one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{LOCALHOST_V4, Worker, choices, families, listening, listening_at, message};
use crate::limits::OUTBOXES;
use crate::metrics::Counter;
use crate::packet::{Flow, SocketId};

/// So many connections, each with the flow of the message that came on it.
fn connected(worker: &mut Worker, address: SocketAddr, count: usize) -> Vec<(TcpStream, Flow)> {
    let mut peers: Vec<TcpStream> =
        (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.write_all(&message(number)).unwrap();
    }
    let had = worker.got.len();
    worker.run_until("a message from each", |worker| worker.got.len() == had + count);
    peers
        .into_iter()
        .map(|peer| {
            let own = peer.local_addr().unwrap().into();
            let flow = worker.got.iter().find(|got| got.flow.remote == own).unwrap().flow;
            (peer, flow)
        })
        .collect()
}

#[test]
fn more_connections_are_answered_in_one_turn_than_there_are_outboxes() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 1_000);
        let count = 3 * OUTBOXES;
        let mut peers = connected(&mut worker, address, count);
        let trunk = TcpListener::bind(LOCALHOST_V4).unwrap();
        let onward = Flow::to(trunk.local_addr().unwrap().into(), SocketId(0));
        for (number, (_, flow)) in peers.iter().enumerate() {
            worker.push(*flow, &message(number), Some(number as u64));
        }
        worker.push(onward, &message(count), Some(count as u64));
        worker.run_until("all owners", |worker| worker.sent.len() == count + 1);
        assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()), "{choice:?} {:?}", worker.sent);
        assert_eq!(worker.count(Counter::ClosedNoRoom), 0, "{choice:?}");
        for (number, (peer, _)) in peers.iter_mut().enumerate() {
            let mut got = vec![0; message(number).len()];
            peer.read_exact(&mut got).unwrap();
            assert_eq!(got, message(number));
        }
        assert!(worker.all_slots_are_free());
    }
}

#[test]
fn both_families_are_accepted_and_connected_to() {
    for (choice, at) in
        choices().into_iter().flat_map(|one| families().into_iter().map(move |at| (one, at)))
    {
        let (mut worker, address) = listening_at(at, choice, 10);
        let (mut peer, flow) = connected(&mut worker, address, 1).remove(0);
        assert_eq!(flow.local, crate::packet::ip_octets(address.ip()), "{choice:?} {at}");
        let other = TcpListener::bind(at).unwrap();
        let onward = Flow::to(other.local_addr().unwrap().into(), SocketId(0));
        worker.push(flow, &message(1), Some(1));
        worker.push(onward, &message(2), Some(2));
        worker.run_until("both", |worker| worker.sent.len() == 2);
        assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()), "{choice:?} {at}");
        let (mut other, from) = other.accept().unwrap();
        assert_eq!(from.ip(), address.ip());
        for (stream, number) in [(&mut peer, 1), (&mut other, 2)] {
            let mut got = vec![0; message(number).len()];
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, message(number));
        }
    }
}

#[test]
fn each_connection_keeps_its_own_octets_when_buffers_are_short() {
    // More connections than buffers, each in the middle of a message when the next ones come: the pieces
    // of one never complete those of another, and places are used again meanwhile.
    for choice in choices() {
        let (mut worker, address) = listening(choice, 200);
        for round in 0..3 {
            let count = 90;
            let body = |number: usize| format!("{number:04}").repeat(900);
            let whole = |number: usize| {
                let body = body(number);
                format!(
                    "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK{number}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            let mut peers: Vec<TcpStream> =
                (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
            worker.run_until("all of them", |worker| {
                worker.count(Counter::ConnectionsOpen) == count as u64
            });
            worker.got.clear();
            for piece in 0..3 {
                for (number, peer) in peers.iter_mut().enumerate() {
                    let whole = whole(number + round);
                    let third = whole.len() / 3;
                    let end = if piece == 2 { whole.len() } else { (piece + 1) * third };
                    peer.write_all(&whole.as_bytes()[piece * third..end]).unwrap();
                    // Some of them go for good, and others take their places.
                    if piece == 1 && number % 9 == 0 {
                        socket2::SockRef::from(&*peer)
                            .set_linger(Some(core::time::Duration::ZERO))
                            .unwrap();
                        *peer = TcpStream::connect(address).unwrap();
                        peer.write_all(&whole.as_bytes()[..2 * third]).unwrap();
                    }
                }
                worker.turn();
            }
            worker.run_until("all", |worker| worker.got.len() == count);
            for (number, peer) in peers.iter().enumerate() {
                let own = peer.local_addr().unwrap().into();
                let got = worker.got.iter().find(|got| got.flow.remote == own).unwrap();
                assert!(got.octets == whole(number + round).as_bytes(), "{choice:?} {number}");
            }
            drop(peers);
            worker.run_until("the end", |worker| worker.count(Counter::ConnectionsOpen) == 0);
        }
    }
}

/// Turns that take no message, until one has nothing to do.
fn assert_rests(worker: &mut Worker, what: &str) {
    let quiet = (0..200).any(|_| {
        std::thread::park_timeout(core::time::Duration::from_millis(1));
        worker.reap(0) == 0
    });
    assert!(quiet, "{what}: {}", worker.summary());
}

#[test]
fn an_end_is_told_once_and_behind_what_came_before_it() {
    for (choice, counter) in choices().into_iter().flat_map(|one| {
        [Counter::ConnectionsEnded, Counter::ConnectionsReset].map(move |counter| (one, counter))
    }) {
        let (mut worker, address) = listening(choice, 10);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&message(1)).unwrap();
        worker.run_until("accepted", |worker| worker.count(Counter::ConnectionsOpen) == 1);
        worker.got.clear();
        peer.write_all(&message(2)).unwrap();
        assert_rests(&mut worker, "a message waits");
        if counter == Counter::ConnectionsReset {
            let now = core::time::Duration::ZERO;
            socket2::SockRef::from(&peer).set_linger(Some(now)).unwrap();
            drop(peer);
        } else {
            peer.shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_rests(&mut worker, "the end waits behind it");
        assert_eq!((worker.count(counter), worker.got.len()), (0, 0), "{choice:?} {counter:?}");
        worker.run_until("taken", |worker| worker.count(Counter::ConnectionsOpen) == 0);
        assert_eq!(worker.count(counter), 1, "{choice:?} {counter:?}");
        assert_eq!(worker.got.last().unwrap().octets, message(2), "{choice:?} {counter:?}");
    }
}

#[test]
fn whoever_has_read_everything_is_not_written_to_for_ever() {
    for choice in choices() {
        let (mut worker, address) = listening(choice, 10);
        let (mut peer, flow) = connected(&mut worker, address, 1).remove(0);
        let big = vec![b'x'; 9_000];
        let (mut pushed, mut told) = (0, 0);
        // Until the kernel takes no more.
        while worker.sent.len() + 3 > pushed {
            pushed += 1;
            worker.push(flow, &big, Some(pushed as u64));
            worker.turn();
            worker.turn();
            told = worker.sent.len();
        }
        assert!(told < pushed);
        let reading = std::thread::spawn(move || {
            let mut all = vec![0; pushed * 9_000];
            peer.read_exact(&mut all).unwrap();
            peer
        });
        worker.run_until("all", |worker| worker.sent.len() == pushed);
        assert!(worker.sent.iter().all(|(_, sent)| sent.is_ok()), "{choice:?}");
        let _peer = reading.join().unwrap();
        assert_rests(&mut worker, "all was read");
    }
}

#[test]
fn connecting_that_is_never_answered_ends_and_leaves_nothing() {
    for choice in choices() {
        let (mut worker, _) = listening(choice, 10);
        let silent =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent.bind(&LOCALHOST_V4.parse::<SocketAddr>().unwrap().into()).unwrap();
        silent.listen(0).unwrap();
        let address = silent.local_addr().unwrap().as_socket().unwrap();
        // Whoever finds its queue full is not answered.
        let _first = TcpStream::connect(address).unwrap();
        worker.push(Flow::to(address.into(), SocketId(0)), &message(1), Some(1));
        worker.run_until("the end", |worker| worker.sent.len() == 1);
        assert_eq!(worker.sent[0].1, Err(crate::packet::SendError::NoConnection), "{choice:?}");
        worker.settle();
        assert_eq!(worker.count(Counter::ConnectionsOpen), 0, "{choice:?}");
        assert_eq!(worker.count(Counter::ConnectionsFailed), 1, "{choice:?}");
    }
}
