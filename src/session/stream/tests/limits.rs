//! Who may connect, and how many.

use super::*;
use crate::limits::{CONNECTIONS_TO_ONE_MAX, OUTBOX_SIZE, OUTBOXES_SPARE};

fn accept(streams: &mut Streams, host: u8) -> Option<u16> {
    let index = streams.accept(endpoint(host, 40_000), [0; 16], SocketId(1), START);
    orders(streams);
    index
}

fn close(streams: &mut Streams, index: u16) {
    streams.read_ended(index, Ok(()));
    assert_eq!(orders(streams), [Order::Close(index)]);
}

#[test]
fn strangers_and_sources() {
    let known: Box<[_]> = [1, 2].map(|host| endpoint(host, 0).ip).into();
    let mut streams = streams(Rules { per_source_max: 2, known: known.clone(), ..rules(40) });
    let mut first = Vec::new();
    for host in [1, 2] {
        first.push(accept(&mut streams, host).unwrap());
        assert!(accept(&mut streams, host).is_some());
        assert_eq!(accept(&mut streams, host), None, "a third one of the same source");
    }
    // All strangers are one source.
    assert!(accept(&mut streams, 3).is_some() && accept(&mut streams, 4).is_some());
    assert_eq!(accept(&mut streams, 5), None);
    assert_eq!(counted(&streams, Counter::ConnectionsRefused), 3);
    assert_eq!(counted(&streams, Counter::ConnectionsAccepted), 6);
    assert_eq!(counted(&streams, Counter::ConnectionsOpen), 6);
    close(&mut streams, first[0]);
    assert!(accept(&mut streams, 2).is_none() && accept(&mut streams, 1).is_some());
    let mut closed = super::streams(Rules { strangers: false, known, ..rules(40) });
    assert!(accept(&mut closed, 3).is_none() && accept(&mut closed, 1).is_some());
}

/// However many have connected, we can open some of our own.
#[test]
fn a_share_is_ours() {
    let mut streams = streams(rules(20));
    let accepted = (0..20).filter(|_| accept(&mut streams, 1).is_some()).count();
    assert_eq!(accepted, 18);
    for port in 1..=2 {
        connecting(&mut streams, endpoint(2, port), 0, START);
    }
    streams.send(Flow::to(endpoint(2, 3), SocketId(1)), b"x", Some(Owner(7)), START);
    assert_eq!(told(&mut streams), [(7, Err(SendError::NoConnection))]);
    assert_eq!(orders(&mut streams), []);
}

/// Whoever wants his answers at another port each time does not get all places.
#[test]
fn connections_to_one_address() {
    let mut streams = streams(rules(200));
    for port in 0..100 {
        streams.send(Flow::to(endpoint(2, 1 + port), SocketId(1)), b"x", None, START);
    }
    assert_eq!(orders(&mut streams).len(), CONNECTIONS_TO_ONE_MAX);
    connecting(&mut streams, endpoint(3, 1), 0, START);
}

/// Whoever does not read leaves his outbox to those who do, before the last one is taken.
#[test]
fn outboxes_of_the_slow() {
    let mut streams = streams(rules(200));
    let slow: Vec<u16> = (0..OUTBOXES)
        .map(|number| {
            let now = at(u32::try_from(number).unwrap());
            let index = accepted(&mut streams, endpoint(1, 1), now);
            streams.send(streams.flow(index), b"answer", Some(Owner(0)), now);
            assert_eq!(orders(&mut streams), [Order::Write(index)]);
            index
        })
        .collect();
    assert_eq!(counted(&streams, Counter::ClosedNoRoom), 0, "all at once is no sign of slowness");
    // The last one is served at last, and those who are slow longest are not any more.
    streams.written(slow[OUTBOXES - 1], Ok(6), at(900));
    let index = accepted(&mut streams, endpoint(2, 1), at(1_010));
    let mut closed = 0;
    for turn in 0..OUTBOXES_SPARE {
        let now = at(1_010 + u32::try_from(turn).unwrap());
        streams.send(streams.flow(index), b"answer", Some(Owner(1)), now);
        for order in orders(&mut streams) {
            match order {
                Order::Shut(shut) => {
                    assert_eq!(shut, slow[closed]);
                    closed += 1;
                    streams.written(shut, Err(libc::ECANCELED), now);
                    streams.read_ended(shut, Err(libc::ECANCELED));
                }
                Order::Write(written) => {
                    assert_eq!(written, index);
                    streams.written(index, Ok(6), now);
                }
                other => assert!(matches!(other, Order::Close(_)), "{other:?}"),
            }
        }
    }
    assert_eq!((closed, streams.outboxes_free.len()), (OUTBOXES_SPARE - 1, OUTBOXES_SPARE));
    let told = told(&mut streams);
    assert_eq!(told.iter().filter(|told| **told == (1, Ok(()))).count(), OUTBOXES_SPARE);
}

/// Where no outbox is left, what is to be sent ends its connection, and a keep-alive does not.
#[test]
fn no_outbox_is_left() {
    let mut streams = streams(rules(200));
    let quiet = accepted(&mut streams, endpoint(2, 1), START);
    for _ in 0..OUTBOXES {
        let index = accepted(&mut streams, endpoint(1, 1), START);
        streams.send(streams.flow(index), b"answer", None, START);
        assert_eq!(orders(&mut streams), [Order::Write(index)]);
    }
    Reader::default().feed(&mut streams, quiet, b"\r\n\r\n", START);
    assert_eq!((orders(&mut streams), counted(&streams, Counter::KeepAlivesAnswered)), (vec![], 0));
    streams.send(streams.flow(quiet), b"answer", Some(Owner(1)), START);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    assert_eq!(orders(&mut streams), [Order::Shut(quiet)]);
    assert_eq!(counted(&streams, Counter::ClosedNoRoom), 1);
}

/// Who sends the shortest requests there are, and reads nothing meanwhile, is read from no more before
/// his outbox is full: he is behind, but not ended.
#[test]
fn short_requests_are_answered_into_the_room_there_is() {
    let request = b"OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/TCP a;branch=z9hG4bK1\r\nf:sip:a;tag=1\r\n\
        t:sip:a\r\ni:1\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n";
    // 200 with Allow and the like, `received` and a tag.
    let answer = [b'x'; 206];
    for waiting in [0, 1, OUTBOX_SIZE / 8, OUTBOX_SIZE / 4 - 1] {
        let mut streams = streams(rules(4));
        let index = accepted(&mut streams, endpoint(1, 1), START);
        let flow = streams.flow(index);
        streams.send(flow, &vec![b'x'; waiting], None, START);
        while !streams.is_behind(index) {
            for _ in 0..streams.readable(index).div_ceil(request.len()) {
                streams.send(flow, &answer, None, START);
            }
        }
        assert_eq!(counted(&streams, Counter::ClosedUnread), 0, "{waiting}");
        let room = OUTBOX_SIZE - streams.unwritten(index).len();
        streams.send(flow, &vec![b'x'; room], None, START);
        assert!(streams.readable(index) > 0, "nothing would be taken for the end");
    }
}
