//! A name means one connection, whatever has its place afterwards.

use super::*;

/// Nothing runs when a connection is closed, and its place is not given away before.
#[test]
fn a_place_is_given_away_after_its_close() {
    let mut streams = streams(rules(2));
    let other = connecting(&mut streams, endpoint(9, 9), 0, START);
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let old = streams.flow(index).connection;
    let mut reader = Reader::default();
    streams.send(only(&streams, index), b"x", Some(Owner(1)), START);
    reader.park(&mut streams, index, b"GET / HTTP/1.1\r\n\r\n", START);
    reader.park(&mut streams, index, b"more", START);
    reader.burst(&mut streams, index, 1, START);
    assert!(reader.is_empty() && reader.taken.is_empty());
    assert_eq!(orders(&mut streams), [Order::Write(index), Order::Shut(index)]);
    let refused = |streams: &mut Streams| {
        streams.accept(endpoint(1, 2), [0; 16], SocketId(1), START).is_none()
    };
    assert!(refused(&mut streams));
    streams.read_ended(index, Err(libc::ECANCELED));
    assert!(refused(&mut streams) && !streams.is_busy());
    streams.written(index, Err(libc::ECANCELED), START);
    assert!(refused(&mut streams), "it is not closed yet");
    assert_eq!(streams.order(), Some(Order::Close(index)));
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    streams.connected(other, Err(libc::ECONNREFUSED), START);
    assert_eq!(orders(&mut streams), [Order::Close(other)]);
    assert_eq!(told(&mut streams), [(0, Err(SendError::NoConnection))]);
    assert_empty(&streams);
    assert_eq!(accepted(&mut streams, endpoint(1, 2), START), index, "freed first, used first");
    assert_ne!(streams.flow(index).connection, old);
}

#[test]
fn an_old_name_is_nobody() {
    let mut streams = streams(rules(2));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let old = streams.flow(index);
    streams.read_ended(index, Ok(()));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    connecting(&mut streams, endpoint(9, 9), 0, START);
    assert_eq!(accepted(&mut streams, endpoint(2, 2), START), index);
    let new = streams.flow(index);
    assert_ne!(old.connection, new.connection);
    // What is meant for the old one goes to where that came from, and never to the new one.
    streams.send(Flow { remote: endpoint(1, 0), ..old }, b"x", Some(Owner(1)), START);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NoConnection))]);
    assert_eq!((streams.unwritten(index).len(), orders(&mut streams)), (0, vec![]));
    let foreign = new.connection.map(|id| ConnectionId { worker: WorkerId(4), ..id });
    streams.send(Flow { connection: foreign, remote: endpoint(1, 0), ..new }, b"x", None, START);
    assert_eq!((streams.unwritten(index).len(), orders(&mut streams)), (0, vec![]));
    let beyond = new.connection.map(|id| ConnectionId { index: 999, ..id });
    streams.send(Flow { connection: beyond, remote: endpoint(1, 0), ..new }, b"x", None, START);
    assert_eq!((streams.unwritten(index).len(), orders(&mut streams)), (0, vec![]));
}

/// Only what we have opened is found by its address: who connects from port 5060 gets no requests.
#[test]
fn accepted_connections_are_not_found_by_address() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 5060), START);
    let opened = connecting(&mut streams, endpoint(1, 5060), 1, START);
    assert_ne!(opened, index);
    streams.connected(opened, Ok([0; 16]), START);
    orders(&mut streams);
    streams.send(Flow::to(endpoint(1, 5060), SocketId(1)), b"again", None, START);
    assert_eq!(streams.unwritten(opened), b"firstagain");
    streams.send(Flow::to(endpoint(1, 5060), SocketId(0)), b"other", None, START);
    let [Order::Connect(other)] = orders(&mut streams)[..] else { panic!("another socket") };
    assert_ne!(other, opened);
    // When it has ended, the next departure opens another one.
    streams.written(opened, Ok(10), START);
    streams.read_ended(opened, Ok(()));
    assert_eq!(orders(&mut streams), [Order::Close(opened)]);
    connecting(&mut streams, endpoint(1, 5060), 2, START);
}

#[test]
fn names_outlive_their_numbers() {
    let mut streams = streams(rules(2));
    streams.connections[0].generation = NonZeroU32::MAX;
    let index = accepted(&mut streams, endpoint(1, 1), START);
    streams.read_ended(index, Ok(()));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_eq!(streams.connections[0].generation, NonZeroU32::MIN);
}

/// A response and the end in one segment: it is taken, and what is still to be written is.
#[test]
fn what_was_read_before_the_end_is_taken() {
    for ended in [Ok(()), Err(libc::ECONNRESET)] {
        let mut streams = streams(rules(4));
        let index = accepted(&mut streams, endpoint(1, 1), START);
        let mut reader = Reader::default();
        streams.send(streams.flow(index), b"answer", Some(Owner(1)), START);
        assert_eq!(orders(&mut streams), [Order::Write(index)]);
        let stream = [message(1, 9), message(2, 0), message(3, 5)].concat();
        reader.park(&mut streams, index, &stream[..200], START);
        reader.park(&mut streams, index, &stream[200..], START);
        streams.read_ended(index, ended);
        assert_eq!(orders(&mut streams), []);
        reader.burst(&mut streams, index, 1, START);
        streams.written(index, Ok(6), START);
        assert_eq!(told(&mut streams), [(1, Ok(()))]);
        while !reader.is_empty() {
            assert_eq!(orders(&mut streams), []);
            reader.burst(&mut streams, index, 1, START);
        }
        assert_eq!(reader.taken.len(), 3);
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_empty(&streams);
    }
}

/// The kernel keeps what has come when a write finds that the other end is gone.
#[test]
fn what_has_come_is_read_after_a_write_has_failed() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    streams.send(only(&streams, index), b"answer", Some(Owner(1)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    let mut reader = Reader::default();
    reader.feed(&mut streams, index, &message(1, 9)[..100], START);
    assert_eq!(orders(&mut streams), []);
    reader.feed(&mut streams, index, &message(1, 9)[100..], START);
    assert_eq!(reader.taken.len(), 1);
    streams.read_ended(index, Ok(()));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_empty(&streams);
}

/// A message in the tail stays what it is until the burst is settled, whatever becomes of its
/// connection.
#[test]
fn a_tail_is_kept_until_it_was_looked_at() {
    let mut streams = streams(rules(2));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let first = message(1, 3_000);
    Reader::default().feed(&mut streams, index, &first[..50], START);
    let rest = [&first[50..], &message(2, 0)[..20]].concat();
    streams.read(index, START);
    let mut at = 0;
    let Next::Message(Message { place: Place::Tail, .. }) =
        streams.next(index, &rest, &mut at, START)
    else {
        panic!("it is complete")
    };
    assert!(matches!(streams.next(index, &rest, &mut at, START), Next::Later));
    streams.read_ended(index, Err(libc::ECONNRESET));
    streams.expire(self::at(500_000), 8);
    assert_eq!(streams.tail(index), first);
    streams.settle();
    assert!(matches!(streams.next(index, &rest, &mut at, START), Next::UsedUp));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_empty(&streams);
}
