//! Connections under stress: what many of them at once, or the ends of others, must not do to one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{LOCALHOST_V4, Worker, choices};
use crate::id::WorkerId;
use crate::io::{Choice, Sockets, StreamSocket, listen};
use crate::limits::OUTBOXES;
use crate::metrics::Counter;
use crate::packet::{Flow, SocketId};
use crate::session::stream::Rules;

fn listening(choice: Choice, connections_max: u16) -> (Worker, SocketAddr) {
    let rules = Rules {
        worker: WorkerId(0),
        connections_max,
        per_source_max: connections_max,
        known: Box::new([]),
        strangers: true,
        idle_ms: 60_000,
    };
    let listener = listen(LOCALHOST_V4.parse().unwrap(), false).unwrap();
    let address = listener.local_addr().unwrap();
    let socket = StreamSocket::Tcp { listener: Some(listener), address };
    let sockets = Sockets { datagrams: Vec::new(), streams: vec![socket], rules };
    (Worker::new(choice, sockets), address)
}

fn message(number: usize) -> Vec<u8> {
    format!(
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK{number}\r\n\
         Content-Length: 5\r\n\r\nhello"
    )
    .into_bytes()
}

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
