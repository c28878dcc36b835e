//! What takes too long is ended, and nothing else.

use super::*;

/// Lets time pass and asserts when the connection is shut: not before `ms`, and not long after.
fn assert_shut(streams: &mut Streams, index: u16, ms: u32, why: Counter) {
    let before = counted(streams, why);
    streams.expire(at(ms - 1), 8);
    assert_eq!(orders(streams), [], "{why:?} before {ms} ms");
    streams.expire(at(ms + 16), 8);
    assert_eq!(orders(streams), [Order::Shut(index)], "{why:?} after {ms} ms");
    assert_eq!(counted(streams, why), before + 1);
}

#[test]
fn silence() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let mut reader = Reader::default();
    reader.feed(&mut streams, index, b"\r\n", at(50_000));
    let flow = streams.flow(index);
    streams.send(flow, b"x", None, at(60_000));
    orders(&mut streams);
    streams.written(index, Ok(1), at(60_000));
    assert_shut(&mut streams, index, 180_000, Counter::ClosedIdle);
    streams.read_ended(index, Err(libc::ECANCELED));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_empty(&streams);
}

/// From the first octet of a message to its last, however busy the other end is.
#[test]
fn a_message_that_does_not_end() {
    for octets in [message(1, 300), message(1, 20_000)] {
        for first in [1, 50, octets.len() - 1] {
            let mut streams = streams(rules(4));
            let index = accepted(&mut streams, endpoint(1, 1), START);
            let mut reader = Reader::default();
            reader.feed(&mut streams, index, &message(9, 9), at(1_000));
            reader.feed(&mut streams, index, &octets[..first], at(2_000));
            let rest = octets.len() - 1 - first;
            for step in 0..10 {
                let piece = &octets[first + rest * step / 10..first + rest * (step + 1) / 10];
                reader.feed(&mut streams, index, piece, at(2_500 + 900 * step as u32));
                streams.expire(at(2_500 + 900 * step as u32), 8);
            }
            assert_shut(&mut streams, index, 12_000, Counter::ClosedSlow);
        }
    }
}

/// Each message has its own time, though it begins in the read in which the last one ends.
#[test]
fn a_message_begins_where_the_last_one_ends() {
    for len in [300, 20_000] {
        let mut streams = streams(rules(4));
        let index = accepted(&mut streams, endpoint(1, 1), START);
        let mut reader = Reader::default();
        let octets = message(1, len);
        let mut begin = 0;
        for turn in 0..5 {
            reader.feed(&mut streams, index, &octets[begin..200], at(9_000 * turn));
            let piece = [&octets[200..], &octets[..100]].concat();
            begin = 100;
            streams.expire(at(9_000 * turn + 8_999), 8);
            reader.feed(&mut streams, index, &piece, at(9_000 * turn + 8_999));
        }
        assert_eq!((reader.taken.len(), orders(&mut streams)), (5, vec![]));
        streams.expire(at(9_000 * 5 + 9_990), 8);
        assert_eq!(orders(&mut streams), [], "the last one began a little later");
        streams.expire(at(9_000 * 5 + 10_015), 8);
        assert_eq!(orders(&mut streams), [Order::Shut(index)]);
    }
}

#[test]
fn connecting_takes_too_long() {
    let mut streams = streams(rules(4));
    let index = connecting(&mut streams, endpoint(2, 5060), 0, START);
    assert_shut(&mut streams, index, 2_000, Counter::ConnectionsFailed);
    assert_eq!(told(&mut streams), [], "it may succeed until it is called off");
    // A success that was on its way changes nothing.
    streams.connected(index, Ok([0; 16]), at(2_020));
    assert_eq!(told(&mut streams), [(0, Err(SendError::NoConnection))]);
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_empty(&streams);
}

/// Taking an octet now and then is not reading.
#[test]
fn a_reader_that_stalls() {
    for takes in [false, true] {
        let mut streams = streams(rules(4));
        let index = accepted(&mut streams, endpoint(1, 1), START);
        let flow = streams.flow(index);
        streams.send(flow, &message(1, 100), Some(Owner(1)), at(1_000));
        for step in 1..10 {
            if takes {
                streams.written(index, Ok(1), at(1_000 + step * 900));
                streams.send(flow, b"more", None, at(1_000 + step * 900));
            }
            streams.expire(at(1_000 + step * 900), 8);
        }
        orders(&mut streams);
        assert_shut(&mut streams, index, 11_000, Counter::ClosedUnread);
    }
}

#[test]
fn a_reader_that_is_slow_but_reads() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let flow = streams.flow(index);
    for step in 0..30 {
        streams.send(flow, &message(1, 0), None, at(step * 5_000));
        streams.expire(at(step * 5_000), 8);
        if step > 0 {
            let len = message(1, 0).len();
            streams.written(index, Ok(len), at(step * 5_000));
        }
        assert!(!orders(&mut streams).contains(&Order::Shut(index)));
    }
}

/// What waits here is not the other end's delay, and does not keep the timer from firing.
#[test]
fn a_read_that_is_parked() {
    let mut streams = streams(rules(4));
    let [index, other] = [1, 2].map(|host| accepted(&mut streams, endpoint(host, 1), START));
    let mut reader = Reader::default();
    reader.feed(&mut streams, index, b"MESSAGE", START);
    reader.park(&mut streams, index, b" ", at(1_000));
    for host in 0..4 {
        assert!(streams.expire(at(20_000 + host), 8) <= 1, "one connection is looked at once");
    }
    assert_eq!(orders(&mut streams), []);
    reader.burst(&mut streams, index, 1, at(20_100));
    streams.expire(at(20_200), 8);
    assert_eq!(orders(&mut streams), [Order::Shut(index)]);
    streams.expire(at(120_020), 8);
    assert_eq!(orders(&mut streams), [Order::Shut(other)]);
}

/// After a write has failed, reading ends as well; where it does not, it is ended.
#[test]
fn reading_that_does_not_end() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    streams.send(only(&streams, index), b"x", Some(Owner(1)), START);
    orders(&mut streams);
    streams.written(index, Err(libc::EPIPE), START);
    assert_eq!(told(&mut streams), [(1, Err(SendError::NotWritten))]);
    assert_shut(&mut streams, index, 10_000, Counter::ClosedUnread);
}
