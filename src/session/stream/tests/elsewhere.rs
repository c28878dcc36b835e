//! What a connection had to write when it ended leaves on another one, once.

use super::*;
use crate::limits::CONNECTIONS_TO_ONE_MAX;

const PORT: u16 = 5062;

/// An accepted connection, and where answers on it go: to the port of their Via, should it end.
fn asked(streams: &mut Streams) -> (u16, Flow) {
    let index = accepted(streams, endpoint(1, 40_000), START);
    let flow = streams.flow(index);
    (index, Flow { remote: endpoint(1, PORT), ..flow })
}

/// The connection that is being opened to there.
fn opened(streams: &mut Streams) -> u16 {
    streams.expire(START, 8);
    let [Order::Connect(index)] = orders(streams)[..] else { panic!("another connection") };
    assert_eq!(streams.flow(index).remote, endpoint(1, PORT));
    assert_eq!(streams.flow(index).socket, SocketId(1));
    index
}

#[test]
fn what_was_not_begun_leaves_on_another_connection() {
    let all: Vec<Vec<u8>> = (0..4).map(|number| message(number, 90 * number)).collect();
    let len = all.concat().len();
    let mut streams = streams(rules(4));
    for written in 0..len {
        let (index, flow) = asked(&mut streams);
        for (owner, octets) in (0..).zip(&all) {
            // Of the third one nobody is told.
            let owner = (owner != 2).then_some(Owner(owner));
            streams.send(flow, octets, owner, START);
        }
        if written > 0 {
            streams.written(index, Ok(written), START);
        }
        orders(&mut streams);
        streams.written(index, Err(libc::EPIPE), START);
        streams.read_ended(index, Err(libc::ECONNRESET));
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        let mut start = 0;
        let mut rest: Vec<u8> = Vec::new();
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for (owner, octets) in (0..).zip(&all) {
            let end = start + octets.len();
            if end <= written {
                before.push((owner, Ok(())));
            } else if start < written {
                before.push((owner, Err(SendError::Other(libc::EPIPE))));
            } else {
                rest.extend(octets);
                behind.push((owner, Ok(())));
            }
            start = end;
        }
        before.retain(|(owner, _)| *owner != 2);
        behind.retain(|(owner, _)| *owner != 2);
        if rest.is_empty() {
            // The last one was begun.
            assert_eq!(told(&mut streams), before);
            assert_empty(&streams);
            continue;
        }
        assert!(streams.is_busy(), "a driver must not sleep now");
        let other = opened(&mut streams);
        assert_eq!(told(&mut streams), before, "{written}");
        streams.connected(other, Ok([0; 16]), START);
        assert_eq!(orders(&mut streams), [Order::Read(other), Order::Write(other)]);
        assert_eq!(streams.unwritten(other), rest, "{written}");
        streams.written(other, Ok(rest.len()), START);
        assert_eq!(told(&mut streams), behind, "{written}");
        assert!(counted(&streams, Counter::ResponsesMoved) > 0);
        streams.read_ended(other, Ok(()));
        assert_eq!(orders(&mut streams), [Order::Close(other)]);
        assert_empty(&streams);
    }
}

#[test]
fn what_lies_around_the_end_of_the_ring() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    let (big, rest) = (vec![b'x'; OUTBOX_SIZE - 10], message(7, 90));
    streams.send(flow, &big, None, START);
    streams.send(flow, b"small", Some(Owner(1)), START);
    streams.written(index, Ok(big.len()), START);
    streams.send(flow, &rest, Some(Owner(2)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    let other = opened(&mut streams);
    streams.connected(other, Ok([0; 16]), START);
    assert_eq!(streams.unwritten(other), [&b"small"[..], &rest].concat());
}

/// Whether an error of reading or of writing says that it has ended, and whether a write runs.
#[test]
fn whatever_tells_that_it_has_ended() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    streams.send(flow, b"answer", Some(Owner(1)), START);
    assert_eq!(orders(&mut streams), [Order::Write(index)]);
    streams.read_ended(index, Err(libc::ECONNRESET));
    assert_eq!(orders(&mut streams), [Order::Shut(index)]);
    streams.expire(START, 8);
    assert!(!streams.is_busy(), "the write may still go well");
    streams.written(index, Err(libc::ECANCELED), START);
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    let other = opened(&mut streams);
    streams.connected(other, Ok([0; 16]), START);
    assert_eq!(streams.unwritten(other), b"answer");
}

/// One that is there already is as good, and keeps its own order.
#[test]
fn it_joins_what_goes_there_already() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    let other = connecting(&mut streams, endpoint(1, PORT), 7, START);
    streams.send(flow, b"answer", Some(Owner(1)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    streams.expire(START, 8);
    assert_eq!(orders(&mut streams), []);
    streams.connected(other, Ok([0; 16]), START);
    assert_eq!(streams.unwritten(other), b"firstanswer");
}

#[test]
fn it_is_moved_once() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    streams.send(flow, b"answer", Some(Owner(1)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    let other = opened(&mut streams);
    streams.connected(other, Ok([0; 16]), START);
    orders(&mut streams);
    streams.written(other, Err(libc::EPIPE), START);
    streams.expire(START, 8);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    assert_eq!((orders(&mut streams), streams.outboxes_free.len()), (vec![], OUTBOXES));
}

#[test]
fn nobody_listens_there() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    streams.send(flow, b"answer", Some(Owner(1)), START);
    streams.send(Flow { remote: endpoint(1, 0), ..flow }, b"nowhere", Some(Owner(2)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    let other = opened(&mut streams);
    assert_eq!(told(&mut streams), [(2, Err(SendError::NotWritten))]);
    streams.connected(other, Err(libc::ECONNREFUSED), START);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NoConnection))]);
}

/// Whoever has not read on one connection is not written to on another one.
#[test]
fn who_does_not_read_is_not_tried_again() {
    let give_up: [fn(&mut Streams, u16, Flow); 2] = [
        |streams, _, _| {
            streams.expire(at(crate::limits::STREAM_STALLED_MS), 8);
        },
        |streams, _, flow| {
            let big = vec![b'x'; OUTBOX_SIZE];
            streams.send(flow, &big, None, START);
        },
    ];
    for give_up in give_up {
        let mut streams = streams(rules(4));
        let (index, flow) = asked(&mut streams);
        streams.send(flow, b"answer", Some(Owner(1)), START);
        assert_eq!(orders(&mut streams), [Order::Write(index)]);
        give_up(&mut streams, index, flow);
        assert_eq!(counted(&streams, Counter::ClosedUnread), 1);
        assert_eq!(orders(&mut streams), [Order::Shut(index)]);
        streams.written(index, Err(libc::ECANCELED), START);
        streams.read_ended(index, Err(libc::ECANCELED));
        streams.expire(START, 8);
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
        assert_empty(&streams);
    }
}

/// Without an outbox or a place nothing is opened.
#[test]
fn there_is_no_room_for_another() {
    let mut streams = streams(rules(200));
    let (index, flow) = asked(&mut streams);
    streams.send(flow, b"answer", Some(Owner(1)), START);
    orders(&mut streams);
    for _ in 1..OUTBOXES {
        let other = accepted(&mut streams, endpoint(2, 1), START);
        streams.send(streams.flow(other), b"answer", None, START);
        orders(&mut streams);
    }
    streams.written(index, Err(libc::EPIPE), START);
    streams.expire(START, 8);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    assert_eq!((orders(&mut streams), streams.outboxes_free.len()), (vec![], 1));

    let mut streams = super::streams(rules(1));
    let (index, flow) = {
        // The only place there is.
        let other = connecting(&mut streams, endpoint(9, 9), 0, START);
        streams.connected(other, Ok([0; 16]), START);
        streams.written(other, Ok(5), START);
        orders(&mut streams);
        told(&mut streams);
        (other, Flow { remote: endpoint(9, PORT), ..streams.flow(other) })
    };
    streams.send(flow, b"answer", Some(Owner(1)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    streams.expire(START, 8);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NoConnection))]);
    assert_eq!(orders(&mut streams), []);
}

/// What may leave elsewhere takes no room from those who have to be told: a connection is not ended for
/// that as long as octets fit.
#[test]
fn what_nobody_is_told_of_leaves_room_for_owners() {
    let mut streams = streams(rules(4));
    let (index, flow) = asked(&mut streams);
    for _ in 0..OUTBOX_OWNERS {
        streams.send(flow, &[b'x'; 200], None, START);
    }
    streams.send(flow, b"report", Some(Owner(1)), START);
    assert_eq!((told(&mut streams), counted(&streams, Counter::ClosedUnread)), (vec![], 0));
    assert_eq!(orders(&mut streams), [Order::Write(index)]);
    while !streams.unwritten(index).is_empty() {
        let len = streams.unwritten(index).len();
        streams.written(index, Ok(len), START);
        orders(&mut streams);
    }
    assert_eq!(told(&mut streams), [(1, Ok(()))]);
}

/// Whoever names another port in each request and hangs up has us connect to few of them, and all
/// that these take is free again.
#[test]
fn nobody_has_us_connect_everywhere() {
    let mut streams = streams(rules(100));
    let (mut next, mut done) = (0, Vec::new());
    for _ in 0..4 {
        let (index, flow) = asked(&mut streams);
        for _ in 0..100 {
            let remote = Endpoint { port: 10_000 + next, ..flow.remote };
            streams.send(Flow { remote, ..flow }, b"answer", Some(Owner(next.into())), START);
            next += 1;
        }
        orders(&mut streams);
        streams.written(index, Err(libc::ECONNRESET), START);
        streams.read_ended(index, Err(libc::ECONNRESET));
        streams.expire(START, 8);
        done.extend(orders(&mut streams));
    }
    let connecting: Vec<u16> = done
        .into_iter()
        .filter_map(|order| if let Order::Connect(index) = order { Some(index) } else { None })
        .collect();
    assert_eq!(connecting.len(), CONNECTIONS_TO_ONE_MAX);
    let mut all = told(&mut streams);
    assert!(all.iter().all(|(_, sent)| *sent == Err(SendError::NoConnection)));
    assert_eq!(all.len(), 400 - CONNECTIONS_TO_ONE_MAX);
    for index in connecting {
        streams.connected(index, Err(libc::ECONNREFUSED), START);
    }
    streams.expire(START, 8);
    all.extend(told(&mut streams));
    all.sort_by_key(|(owner, _)| *owner);
    assert!(all.iter().map(|(owner, _)| *owner).eq(0..400), "each is told once");
    orders(&mut streams);
    assert_empty(&streams);
}
