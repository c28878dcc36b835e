//! Ten times the octets take at most twelve times the work, however they come.

use super::*;
use crate::wire::cursor::count_visits;

fn work(stream: &[u8], piece: usize) -> u64 {
    let mut streams = streams(rules(2));
    let index = accepted(&mut streams, endpoint(1, 1), START);
    let mut reader = Reader::default();
    count_visits(|| {
        for piece in stream.chunks(piece) {
            reader.feed(&mut streams, index, piece, START);
        }
    })
}

fn assert_linear(name: &str, of: impl Fn(usize) -> Vec<u8>, sizes: [usize; 2]) {
    let [small, large] = sizes.map(of);
    let grown = large.len().div_ceil(small.len()) as u64;
    for piece in [1, 7, 500, 1_460, 32 << 10] {
        let [once, more] = [&small, &large].map(|stream| work(stream, piece));
        // What lies whole in one piece is not copied, and grows by a step when it does not any more.
        if piece < small.len() {
            assert!(
                more * 10 <= once * grown * 12,
                "{name} in pieces of {piece}: {once} for {}, {more} for {}",
                small.len(),
                large.len()
            );
        }
        assert!(more <= 10 * large.len() as u64, "{name} in pieces of {piece}: {more}");
    }
}

#[test]
fn messages() {
    let of = |size| message(1, 300).repeat(size / 500);
    assert_linear("messages", of, [20_000, 200_000]);
}

#[test]
fn bodies() {
    let of = |size| message(1, size);
    assert_linear("a body", of, [800, 8_000]);
    assert_linear("a body that is cut", of, [6_000, 60_000]);
}

#[test]
fn keep_alives() {
    assert_linear("keep-alives", |size| b"\r\n".repeat(size), [2_000, 20_000]);
}

/// Header sections of every kind that ask for being read again and again.
#[test]
fn header_bombs() {
    let start = b"MESSAGE sip:a@b SIP/2.0\r\n";
    for piece in
        [&b"a: b\r\n"[..], b"X:\r\n y\r\n", b" \t", b"\r\n ", b"\r\n\t\r\n ", b"\"", b"\\\"", b"("]
    {
        let of = |size: usize| {
            let mut octets = [&start[..], b"A: a"].concat();
            octets.extend(piece.iter().cycle().take(size));
            octets.extend(b"\r\nb: c\r\nl: 0\r\n\r\n");
            octets
        };
        assert_linear("a header bomb", of, [750, 7_500]);
    }
    let uri = |size: usize| [b"MESSAGE sip:", &b"u".repeat(size)[..]].concat();
    assert_linear("a start line", uri, [140, 1_400]);
    let unended = |size: usize| [&start[..], b"A: ", &b"a".repeat(size)].concat();
    assert_linear("a field without an end", unended, [890, 8_900]);
}
