//! What somebody does who means harm.

use super::*;
use crate::limits::{STREAM_TAIL_SIZE, STREAM_TAILS_LARGE};

/// Unfinished large messages take the few large tails. Whoever has been longest at it makes room,
/// one for each that needs it, and messages of the usual size need none.
#[test]
fn unfinished_messages_take_all_tails() {
    let slow = u16::try_from(STREAM_TAILS_LARGE).unwrap();
    let mut streams = streams(rules(slow + 100));
    let large = message(1, 5_000);
    for number in 0..slow {
        let index = accepted(&mut streams, endpoint(1, 1), at(u32::from(number)));
        Reader::default().feed(&mut streams, index, &large[..4_000], at(u32::from(number)));
        assert_eq!(index, number);
    }
    let index = accepted(&mut streams, endpoint(2, 1), at(1_000));
    let mut reader = Reader::default();
    for piece in [&message(2, 1_500)[..100], &[&message(2, 1_500)[100..], &large].concat()] {
        reader.feed(&mut streams, index, piece, at(1_000));
    }
    assert_eq!((reader.taken.len(), orders(&mut streams)), (2, vec![]));
    for victim in 0..3 {
        let mut reader = Reader::default();
        reader.feed(&mut streams, index, &large[..STREAM_TAIL_SIZE + 1], at(1_001));
        assert_eq!(orders(&mut streams), [Order::Shut(victim)]);
        reader.feed(&mut streams, index, &large[STREAM_TAIL_SIZE + 1..], at(1_001));
        assert_eq!(reader.taken.len(), 1);
        let other = accepted(&mut streams, endpoint(1, 1), at(2_000));
        Reader::default().feed(&mut streams, other, &large[..4_000], at(2_000));
        assert_eq!(orders(&mut streams), [], "what was lent is back");
    }
    assert_eq!(counted(&streams, Counter::ClosedNoRoom), 3);
}

/// Keep-alives without end are answered once per read, and whoever does not read the answers is
/// not kept.
#[test]
fn keep_alives_without_end() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let mut reader = Reader::default();
    reader.feed(&mut streams, index, &b"\r\n\r\n".repeat(5_000), START);
    assert_eq!(streams.unwritten(index), b"\r\n");
    assert_eq!(orders(&mut streams), [Order::Write(index)]);
    streams.written(index, Ok(2), START);
    reader.feed(&mut streams, index, b"\r", START);
    reader.feed(&mut streams, index, b"\n\r", START);
    assert_eq!(streams.unwritten(index), b"");
    reader.feed(&mut streams, index, b"\n", START);
    assert_eq!(streams.unwritten(index), b"\r\n");
    assert_eq!(counted(&streams, Counter::KeepAlivesAnswered), 2);
    // One empty line behind each message asks for nothing.
    streams.written(index, Ok(2), START);
    for _ in 0..4 {
        reader.feed(&mut streams, index, &[&message(1, 0)[..], b"\r\n"].concat(), START);
    }
    assert_eq!((streams.unwritten(index), reader.taken.len()), (&b""[..], 4));
    let mut reads = 0;
    while streams.connections[usize::from(index)].state == State::Open {
        reader.feed(&mut streams, index, b"\r\n\r\n", START);
        reads += 1;
    }
    assert!(reads > 60_000);
}

/// A connection ended in the middle of a burst: the orders stay single.
#[test]
fn an_answer_that_ends_the_connection_it_is_for() {
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let mut reader = Reader::default();
    let flow = streams.flow(index);
    streams.send(flow, &vec![b'x'; OUTBOX_SIZE], None, START);
    reader.feed(&mut streams, index, b"\r\n\r\nGET / HTTP", START);
    assert_eq!(orders(&mut streams), [Order::Write(index), Order::Shut(index)]);
    streams.written(index, Err(libc::ECANCELED), START);
    streams.read_ended(index, Err(libc::ECANCELED));
    assert_eq!(orders(&mut streams), [Order::Close(index)]);
    assert_empty(&streams);
}

/// The memory of idle connections is what was said.
#[test]
fn ten_thousand_connections_that_say_nothing() {
    let of = |connections| streams(rules(connections)).size();
    let each = (of(10_100) - of(100)) / 10_000;
    assert!(each < 3_000, "{each} octets");
}
