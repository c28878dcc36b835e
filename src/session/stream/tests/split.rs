//! However a stream is cut, the same messages come out of it, in the same order.

use super::*;
use crate::limits::{SIP_STREAM_MESSAGE_SIZE_MAX, STREAM_TAIL_SIZE};
use crate::wire::sip::stream::{Frame, frame};

/// What a stream says, read as a whole and by nothing but the framing of one message; and whether
/// the connection is closed after it.
fn said(stream: &[u8]) -> (Vec<Taken>, bool) {
    let mut taken = Vec::new();
    let mut rest = stream;
    loop {
        rest = match rest {
            [] | [b'\r'] => return (taken, false),
            [b'\r', b'\n', after @ ..] => after,
            [b'\r', ..] => return (taken, true),
            _ => match frame(rest) {
                Frame::Malformed(_) => return (taken, true),
                Frame::Whole { len } | Frame::Partial { wanted: len } => {
                    let held = &rest[..rest.len().min(DATAGRAM_SIZE_MAX)];
                    let has_header = held.windows(4).any(|four| four == b"\r\n\r\n");
                    if held.len() == DATAGRAM_SIZE_MAX && !has_header {
                        return (taken, true);
                    }
                    if has_header && held.len() >= len.min(DATAGRAM_SIZE_MAX) {
                        let truncated = len > DATAGRAM_SIZE_MAX;
                        taken.push(Taken {
                            octets: rest[..held.len().min(len)].to_vec(),
                            truncated,
                        });
                    }
                    match rest.get(len..) {
                        Some(after) => after,
                        None => return (taken, false),
                    }
                }
            },
        };
    }
}

fn assert_said(stream: &[u8], streams: &mut Streams, cuts: &[usize], burst: usize) {
    assert_says(stream, &said(stream), streams, cuts, burst);
}

fn assert_says(
    stream: &[u8],
    expected: &(Vec<Taken>, bool),
    streams: &mut Streams,
    cuts: &[usize],
    burst: usize,
) {
    let index = accepted(streams, endpoint(1, 1), START);
    let mut reader = Reader::default();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        if from < to {
            reader.park(streams, index, &stream[from..to], START);
        }
        from = to;
        // A burst of none leaves the reads parked, so that several wait at once.
        if burst > 0 || to == stream.len() {
            while !reader.is_empty() {
                reader.burst(streams, index, burst.max(3), START);
            }
        }
    }
    let is_closed = streams.connections[usize::from(index)].state == State::Closing;
    assert_eq!((&reader.taken, is_closed), (&expected.0, expected.1), "cut at {cuts:?}");
    assert_eq!(streams.connections[usize::from(index)].parked, 0);
    close(streams, index);
}

pub(super) fn close(streams: &mut Streams, index: u16) {
    streams.read_ended(index, Ok(()));
    while streams.is_busy() {
        match streams.order() {
            Some(Order::Write(index)) => {
                let len = streams.unwritten(index).len();
                streams.written(index, Ok(len), START);
            }
            Some(Order::Close(closed)) => assert_eq!(closed, index),
            Some(Order::Shut(_)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    assert_empty(streams);
}

fn assert_same_however_cut(stream: &[u8], chance: &mut Chance) {
    let mut streams = streams(rules(2));
    assert_said(stream, &mut streams, &[], 1);
    let every: Vec<usize> = (1..stream.len()).collect();
    for burst in [1, 0] {
        assert_said(stream, &mut streams, &every, burst);
    }
    for _ in 0..10 {
        let few = 1 + chance.below(12);
        let mut cuts: Vec<usize> = (0..few).map(|_| chance.below(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let burst = chance.below(4);
        assert_said(stream, &mut streams, &cuts, burst);
    }
}

/// All vectors of SIP; most of them were written as datagrams, so that with a length they are
/// streams as well.
fn vectors() -> Vec<Vec<u8>> {
    let mut vectors = Vec::new();
    for directory in ["rfc4475", "rfc5118", "sip"] {
        for entry in std::fs::read_dir(format!("tests/vectors/{directory}")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "dat") {
                vectors.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    vectors.sort();
    assert!(vectors.len() > 200);
    vectors.into_iter().flat_map(|(_, octets)| [with_length(&octets), octets]).collect()
}

/// The same with a Content-Length that is right, in front of whatever else it says.
fn with_length(octets: &[u8]) -> Vec<u8> {
    let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
        return octets.to_vec();
    };
    let line = format!("\r\nContent-Length: {}", octets.len() - end - 4);
    [&octets[..end], line.as_bytes(), &octets[end..]].concat()
}

#[test]
fn every_vector_cut_at_every_octet() {
    let mut streams = streams(rules(2));
    let behind = message(7, 3);
    let mut whole = 0;
    for vector in vectors() {
        let stream = [&message(6, 20)[..], b"\r\n\r\n", &vector, b"\r\n", &behind].concat();
        let expected = said(&stream);
        whole += usize::from(expected.0.len() > 2);
        let every: Vec<usize> = (1..stream.len()).collect();
        assert_said(&stream, &mut streams, &every, 1);
        // In two pieces, cut at every octet of the vector and around it.
        let from = stream.len() - behind.len() - 2 - vector.len() - 4;
        // The few long ones would take most of the time; each octet of them ends a read above.
        let step = if vector.len() > 4_000 { 11 } else { 1 };
        for cut in (from..stream.len()).step_by(step) {
            assert_says(&stream, &expected, &mut streams, &[cut], 1);
        }
    }
    assert!(whole > 100, "{whole}");
}

#[test]
fn many_messages_in_random_pieces() {
    let mut chance = Chance(1);
    for seed in 0..60 {
        let mut stream = Vec::new();
        for call_id in 0..1 + chance.below(12) {
            for _ in 0..chance.below(5) {
                stream.extend(b"\r\n");
            }
            let body = match chance.below(8) {
                0 => chance.below(DATAGRAM_SIZE_MAX + 200),
                1 => STREAM_TAIL_SIZE - 150 + chance.below(20),
                2 => 0,
                _ => chance.below(400),
            };
            stream.extend(message(call_id, body));
        }
        if chance.one_in(3) {
            let at = chance.below(stream.len());
            stream[at] ^= 1 << chance.below(8);
        }
        let mut cut = Chance(seed);
        assert_same_however_cut(&stream, &mut cut);
    }
}

#[test]
fn sizes_around_the_limits() {
    let mut chance = Chance(2);
    let header = message(1, 1_000).len() - 1_000;
    for size in [STREAM_TAIL_SIZE, DATAGRAM_SIZE_MAX, 2 * DATAGRAM_SIZE_MAX] {
        for body in size - header - 2..size - header + 3 {
            let stream =
                [message(1, body), message(2, 5), message(3, body), message(4, 0)].concat();
            let (taken, is_closed) = said(&stream);
            assert_eq!((taken.len(), is_closed), (4, false));
            assert_eq!(taken[0].truncated, header + body > DATAGRAM_SIZE_MAX);
            assert_same_however_cut(&stream, &mut chance);
        }
    }
    let largest = message(1, SIP_STREAM_MESSAGE_SIZE_MAX - header - 2);
    let mut streams = streams(rules(2));
    let stream = [&largest[..], &message(2, 0)].concat();
    assert_eq!(said(&stream).0.len(), 2);
    let every: Vec<usize> = (1..stream.len()).collect();
    assert_said(&stream, &mut streams, &every, 1);
    assert_said(&stream, &mut streams, &[], 1);
}

/// A header section may end behind what is held. Such a message is refused, cut or not.
#[test]
fn a_header_section_that_is_not_held() {
    let mut chance = Chance(3);
    for missing in [0, 1, 400] {
        let mut stream = message(1, 0);
        let line_at = stream.iter().position(|octet| *octet == b'\n').unwrap() + 1;
        let wanted = DATAGRAM_SIZE_MAX + missing - stream.len();
        let uri = b"MESSAGE sip:".len();
        let field = [b"X: ", &b"x".repeat(wanted - 900 - 5)[..], b"\r\n"].concat();
        stream.splice(line_at..line_at, field);
        stream.splice(uri..uri, b"u".repeat(900));
        assert_eq!(stream.len(), DATAGRAM_SIZE_MAX + missing);
        stream.extend(message(2, 2));
        assert_eq!(said(&stream).1, missing > 0);
        assert_same_however_cut(&stream, &mut chance);
    }
}

#[test]
fn nothing_is_delivered_after_a_doubt() {
    let good = message(1, 4);
    for bad in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\r\r\n",
        b"\n",
        b"\0",
        b"MESSAGE sip:a@b SIP/2.0\r\n\r\n",
        b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 1\r\n\r\n",
        b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 99999\r\n\r\n",
        b"MESSAGE sip:a@b SIP/2.0\r\nX: a\nb\r\nl: 0\r\n\r\n",
    ] {
        let stream = [&good[..], bad, &good, &good].concat();
        let (taken, is_closed) = said(&stream);
        assert_eq!((taken.len(), is_closed), (1, true), "{bad:?}");
        assert_same_however_cut(&stream, &mut Chance(4));
    }
}
