//! What is put in comes out in order and once, and its owner is told what is certain.

use super::*;
use crate::limits::OUTBOX_SIZE;

fn departures() -> Vec<Vec<u8>> {
    vec![message(1, 0), message(2, 40), b"x".to_vec(), message(3, 7)]
}

/// An open connection that has all departures in its outbox, of which the first `written` octets
/// were written, one write after the other.
fn half_written(streams: &mut Streams, written: usize) -> u16 {
    let index = accepted(streams, endpoint(1, 1), START);
    let flow = only(streams, index);
    for (owner, octets) in (0..).zip(departures()) {
        streams.send(flow, &octets, Some(Owner(owner)), START);
    }
    assert_eq!(orders(streams), [Order::Write(index)], "one write for all of them");
    let all = streams.unwritten(index).to_vec();
    assert_eq!(all, departures().concat());
    if written > 0 {
        streams.written(index, Ok(written), START);
        if written < all.len() {
            assert_eq!(orders(streams), [Order::Write(index)]);
        }
        assert_eq!(streams.unwritten(index), &all[written..]);
    }
    index
}

/// What each owner has to be told when so much was written and no more will be.
fn certain(written: usize, never: SendError) -> Vec<(u64, Sent)> {
    let mut start = 0;
    (0..)
        .zip(departures())
        .map(|(owner, octets)| {
            let end = start + octets.len();
            let sent = match () {
                () if end <= written => Ok(()),
                () if start >= written => Err(never),
                () => Err(SendError::Other(libc::EPIPE)),
            };
            start = end;
            (owner, sent)
        })
        .collect()
}

#[test]
fn every_cut_of_a_partly_written_outbox() {
    let mut streams = streams(rules(4));
    let len = departures().concat().len();
    for written in 0..len {
        // The write fails.
        let index = half_written(&mut streams, written);
        streams.written(index, Err(libc::EPIPE), START);
        assert_eq!(told(&mut streams), certain(written, SendError::NotWritten), "{written}");
        streams.read_ended(index, Ok(()));
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_empty(&streams);
        // It is called off, and says only then that some more was written.
        let index = half_written(&mut streams, written);
        streams.read_ended(index, Err(libc::ECONNRESET));
        assert_eq!(orders(&mut streams), [Order::Shut(index)]);
        let before: Vec<_> = certain(written, SendError::NotWritten)
            .into_iter()
            .filter(|(_, sent)| sent.is_ok())
            .collect();
        assert_eq!(told(&mut streams), before, "it may still be being written");
        let more = (len - written).min(5);
        streams.written(index, Ok(more), START);
        let after = certain(written + more, SendError::NotWritten);
        assert_eq!(told(&mut streams), after[before.len()..], "{written} and {more}");
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_empty(&streams);
    }
    let index = half_written(&mut streams, len);
    assert_eq!(told(&mut streams), certain(len, SendError::NotWritten));
    assert_eq!(orders(&mut streams), []);
    assert_eq!((streams.outboxes_free.len(), streams.unwritten(index).len()), (OUTBOXES, 0));
}

#[test]
fn nothing_is_put_into_what_cannot_be_written() {
    let mut streams = streams(rules(4));
    let index = half_written(&mut streams, 3);
    let flow = streams.flow(index);
    streams.written(index, Err(libc::EPIPE), START);
    told(&mut streams);
    let nowhere = Flow { remote: endpoint(1, 0), ..flow };
    streams.send(nowhere, b"late", Some(Owner(9)), START);
    assert_eq!(told(&mut streams), [(9, Err(SendError::NoConnection))]);
}

#[test]
fn a_connection_that_could_not_be_opened() {
    for result in [Err(libc::ECONNREFUSED), Err(libc::ETIMEDOUT)] {
        let mut streams = streams(rules(4));
        let index = connecting(&mut streams, endpoint(2, 5060), 0, START);
        streams.send(Flow::to(endpoint(2, 5060), SocketId(1)), b"second", Some(Owner(1)), START);
        assert_eq!((orders(&mut streams), told(&mut streams)), (vec![], vec![]));
        streams.connected(index, result, START);
        let never = Err(SendError::NoConnection);
        assert_eq!(told(&mut streams), [(0, never), (1, never)]);
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_empty(&streams);
        // Not tried again at once, but after a while.
        streams.send(Flow::to(endpoint(2, 5060), SocketId(1)), b"third", Some(Owner(2)), at(249));
        assert_eq!((orders(&mut streams), told(&mut streams)), (vec![], vec![(2, never)]));
        streams.send(Flow::to(endpoint(2, 5061), SocketId(1)), b"elsewhere", None, at(249));
        assert!(matches!(orders(&mut streams)[..], [Order::Connect(_)]));
        connecting(&mut streams, endpoint(2, 5060), 3, at(250));
    }
}

#[test]
fn what_waits_leaves_when_the_connection_is_there() {
    let mut streams = streams(rules(4));
    let index = connecting(&mut streams, endpoint(2, 5060), 0, START);
    assert_eq!(orders(&mut streams), [], "nothing is written before");
    let mut local = [0; 16];
    local[15] = 9;
    streams.connected(index, Ok(local), START);
    assert_eq!(orders(&mut streams), [Order::Read(index), Order::Write(index)]);
    assert_eq!(streams.flow(index).local, local);
    assert_eq!(streams.unwritten(index), b"first");
    assert_eq!(counted(&streams, Counter::ConnectionsOpened), 1);
}

/// The ring wraps anywhere, and no octet changes or moves while it may be being written.
#[test]
fn the_ring_wraps() {
    let mut chance = Chance(5);
    let mut streams = streams(rules(4));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let flow = streams.flow(index);
    let (mut put, mut written) = (Vec::new(), Vec::new());
    let mut owner = 0;
    let mut expected = VecDeque::new();
    while put.len() < 5 * OUTBOX_SIZE {
        let waits = put.len() - written.len();
        let octets: Vec<u8> = (0..1 + chance.below(9_000)).map(|_| chance.next() as u8).collect();
        if waits + octets.len() <= OUTBOX_SIZE {
            streams.send(flow, &octets, Some(Owner(owner)), START);
            put.extend(octets);
            expected.push_back((owner, put.len()));
            owner += 1;
        }
        if chance.one_in(2) {
            let unwritten = streams.unwritten(index);
            let len = 1 + chance.below(unwritten.len());
            written.extend_from_slice(&unwritten[..len]);
            streams.written(index, Ok(len), START);
        }
        for (told, sent) in told(&mut streams) {
            let (next, end) = expected.pop_front().unwrap();
            assert_eq!((told, sent), (next, Ok(())));
            assert!(end <= written.len());
        }
        assert!(expected.front().is_none_or(|(_, end)| *end > written.len()));
    }
    assert_eq!(written, put[..written.len()]);
    assert_eq!(counted(&streams, Counter::StreamMessagesOut), owner);
}

/// Whoever does not read ends the connection; only what was really written counts as sent.
#[test]
fn an_outbox_has_an_end() {
    for len in [1, 9_000] {
        let mut streams = streams(rules(4));
        let index = accepted(&mut streams, endpoint(1, 1), START);
        let octets = vec![b'x'; len];
        let fit = (OUTBOX_SIZE / len).min(OUTBOX_OWNERS);
        for owner in 0..=fit as u64 {
            streams.send(only(&streams, index), &octets, Some(Owner(owner)), START);
        }
        assert_eq!(told(&mut streams), [(fit as u64, Err(SendError::NotWritten))]);
        assert_eq!(orders(&mut streams), [Order::Write(index), Order::Shut(index)]);
        assert_eq!(counted(&streams, Counter::ClosedUnread), 1);
        streams.read_ended(index, Err(libc::ECANCELED));
        assert_eq!(orders(&mut streams), [], "the write still runs");
        streams.written(index, Ok(len), START);
        let all = told(&mut streams);
        assert_eq!(all.len(), fit);
        assert_eq!(all[0], (0, Ok(())));
        assert!(all[1..].iter().all(|(_, sent)| *sent == Err(SendError::NotWritten)));
        assert_eq!(orders(&mut streams), [Order::Close(index)]);
        assert_empty(&streams);
    }
}
