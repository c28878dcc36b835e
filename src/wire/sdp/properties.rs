//! Descriptions made at random, compared with a second reader that splits lines and looks them up;
//! mutations, prefixes and single octets held against the laws; and work that is linear.

use super::build::{Maker, Stream, answer, minted, offer, offer_size};
use super::laws;
use super::plain::{Plain, plainly};
use super::*;
use crate::wire::cursor::count_visits;
use crate::wire::sip::properties::Chance;

fn pick<'a>(chance: &mut Chance, choices: &[&'a str]) -> &'a str {
    choices[chance.below(choices.len())]
}

const ATTRIBUTES: &[&str] = &[
    "path:msrp://a.example:1/x;tcp",
    "path:msrps://[2001:db8::1]:2855/y;tcp msrp://10.0.0.1:9/z;tcp",
    "path:msrp://",
    "accept-types:*",
    "accept-types:message/cpim text/plain;a=\"b c\"",
    "accept-types:text",
    "accept-wrapped-types:text/* image/png",
    "max-size:4096",
    "max-size:99999999999999999999999",
    "max-size:x",
    "setup:active",
    "setup:PASSIVE",
    "setup:actpass",
    "setup:holdconn",
    "setup:other",
    "msrp-cema",
    "sendonly",
    "recvonly",
    "inactive",
    "fingerprint:SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
    "fingerprint:sha-1 00",
    "fingerprint:sha-999 00:FF",
    "rtpmap:99 h263-1998/90000",
    "x",
    "x:\u{e9}",
];

/// A description, most often a well-formed one.
fn description(chance: &mut Chance) -> String {
    let mut lines: Vec<String> = vec!["v=0".to_owned()];
    let id = chance.next() >> chance.below(64);
    let host = pick(chance, &["IP4 192.0.2.1", "IP6 2001:db8::1", "IP4 a.example"]);
    lines.push(format!("o={} {id} {} IN {host}", pick(chance, &["-", "alice"]), id / 3));
    lines.push(format!("s={}", pick(chance, &["-", " ", "a b", ""])));
    for (line, odds) in [
        ("i=x", 6),
        ("u=http://a.example", 6),
        ("e=a@b (c)", 6),
        ("p=+1 617", 6),
        ("c=IN IP4 192.0.2.7", 2),
        ("b=AS:64", 5),
    ] {
        if chance.one_in(odds) {
            lines.push(line.to_owned());
        }
    }
    for _ in 0..=usize::from(chance.one_in(5)) {
        lines.push(pick(chance, &["t=0 0", "t=3724394400 3730536000"]).to_owned());
        if chance.one_in(6) {
            lines.push("r=7d 1h 0 25h".to_owned());
        }
    }
    attributes(chance, &mut lines, 3);
    for _ in 0..chance.below(4) {
        let media = pick(chance, &["message", "message", "audio", "image"]);
        let port = chance.below(70_000).saturating_sub(4_000);
        let ports = pick(chance, &["", "", "", "/2", "/0"]);
        let protocol = pick(chance, &["TCP/MSRP", "TCP/TLS/MSRP", "RTP/AVP", "udptl"]);
        lines.push(format!("m={media} {port}{ports} {protocol} {}", pick(chance, &["*", "0 8"])));
        if chance.one_in(8) {
            lines.push("i=y".to_owned());
        }
        if chance.one_in(3) {
            lines
                .push(pick(chance, &["c=IN IP6 2001:db8::9", "c=IN IP4 224.2.1.1/127"]).to_owned());
        }
        attributes(chance, &mut lines, 8);
    }
    if chance.one_in(10) {
        let at = chance.below(lines.len());
        match chance.below(3) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, 0),
            _ => lines.push(lines[at].clone()),
        }
    }
    let end = pick(chance, &["\r\n", "\r\n", "\n"]);
    let mut whole = lines.join(end);
    whole.push_str(pick(chance, &[end, end, "", "\r\n\r\n"]));
    whole
}

fn attributes(chance: &mut Chance, lines: &mut Vec<String>, most: usize) {
    for _ in 0..chance.below(most) {
        lines.push(format!("a={}", pick(chance, ATTRIBUTES)));
    }
}

fn viewed(media: &Media<'_>) -> Plain {
    let of = |span: Span| String::from_utf8(span.of(media.octets).to_vec()).unwrap();
    let line = of(media.section);
    Plain {
        line: line.lines().next().unwrap()[2..].to_owned(),
        port: media.port.into(),
        connection: media.connection.map(|connection| of(connection.value)),
        path: media.uris().map(of).collect(),
        accept_types: of(media.accept_types),
        accept_wrapped_types: of(media.accept_wrapped_types),
        max_size: media.max_size,
        setup: media.setup.map(|setup| setup.name().to_owned()),
        cema: media.cema,
        direction: media.direction.map(|direction| direction.name().to_owned()),
        fingerprints: media.fingerprints().count(),
        is_wrong: media.wrong.is_some(),
    }
}

#[test]
fn a_plain_reader_says_the_same() {
    let mut chance = Chance(1);
    let (mut taken, mut wrong, mut refused) = (0, 0, 0);
    for seed in 0..3_000 {
        let whole = description(&mut chance);
        let read = parse(whole.as_bytes());
        let plain = plainly(&whole);
        assert_eq!(read.is_ok(), plain.is_some(), "{seed}: {read:?}\n{whole}");
        let (Ok(session), Some(plain)) = (read, plain) else {
            refused += 1;
            continue;
        };
        let views: Vec<_> = session.media().map(|media| viewed(&media)).collect();
        assert_eq!(views, plain, "{seed}\n{whole}");
        taken += views.len();
        wrong += views.iter().filter(|view| view.is_wrong).count();
        laws::reads(whole.as_bytes());
    }
    assert!(taken > 2_000 && wrong > 500 && refused > 150, "{taken} {wrong} {refused}");
}

/// Every offer that can be written reads as what it was written from, and has the size foretold.
#[test]
fn what_is_written_reads_back() {
    let mut chance = Chance(2);
    let paths = [
        "msrp://a.example:2855/0123;tcp",
        "msrp://r:1/;tcp",
        "msrps://r:1;tcp msrps://[::1]:2/x;tcp",
    ];
    let types = ["*", "message/cpim text/plain;charset=utf-8", "text", "", "a/b\r\na=x"];
    let hosts = ["192.0.2.1", "2001:db8::1", "a.example", "", "a b", "[::1]", "a\r\nx"];
    let mut written_count = 0;
    for _ in 0..3_000 {
        let session_id = minted(chance.next());
        let host = pick(&mut chance, &hosts);
        let maker = Maker { session_id, version: chance.next(), host: host.as_bytes() };
        let tls = chance.one_in(3);
        let value = [0xA5; 64];
        let hash = [Hash::Sha256, Hash::Sha1, Hash::Sha512][chance.below(3)];
        let print = Fingerprint::new(hash, &value[..hash.size()]);
        let stream = Stream {
            tls,
            port: [0, 9, 2855, u16::MAX][chance.below(4)],
            path: pick(&mut chance, &paths).as_bytes(),
            accept_types: pick(&mut chance, &types).as_bytes(),
            accept_wrapped_types: pick(&mut chance, &types).as_bytes(),
            max_size: [None, Some(0), Some(u64::MAX)][chance.below(3)],
            setup: [Setup::Active, Setup::ActPass, Setup::Passive, Setup::HoldConn]
                [chance.below(4)],
            cema: chance.one_in(2),
            fingerprint: print.filter(|_| chance.one_in(2)),
            direction: Direction::of(chance.one_in(2), chance.one_in(2)),
            more: b"",
        };
        let mut room = [0; 2_000];
        let written = offer(&maker, &stream, &mut room);
        assert_eq!(written, offer_size(&maker, &stream));
        let is_type = |text: &[u8]| !text.is_empty() && text != b"text" && !text.contains(&b'\r');
        let wrapped = stream.accept_wrapped_types;
        let is_good = matches!(host, "192.0.2.1" | "2001:db8::1" | "a.example")
            && !stream.path.starts_with(b"msrp://r")
            && is_type(stream.accept_types)
            && (wrapped.is_empty() || is_type(wrapped))
            && stream.port > 0
            && (tls || stream.fingerprint.is_none());
        let offered = matches!(stream.setup, Setup::Active | Setup::ActPass);
        assert_eq!(written.is_some(), is_good && offered, "{maker:?} {stream:?}");
        let Some(len) = written else { continue };
        written_count += 1;
        assert_eq!(offer(&maker, &stream, &mut { room }[..len - 1]), None, "no room");
        let session = parse(&room[..len]).unwrap();
        assert_eq!(strict(&session), Ok(()));
        assert_eq!(
            (session.origin.session_id, session.origin.version),
            (session_id, maker.version)
        );
        assert_eq!(session.origin.address.of(&room), maker.host);
        assert_eq!(session.connection.unwrap().address.of(&room), maker.host);
        let media = session.media().next().unwrap();
        reads_as(&media, &stream);
        // The same as an answer to itself.
        let stream = Stream { setup: Setup::Passive, ..stream };
        let mut out = [0; 2_000];
        let len = answer(&session, &maker, Some((0, &stream)), &mut out).unwrap();
        reads_as(&parse(&out[..len]).unwrap().media().next().unwrap(), &stream);
        let both = Stream { setup: Setup::ActPass, ..stream };
        assert_eq!(answer(&session, &maker, Some((0, &both)), &mut out), None);
        assert_eq!(answer(&session, &maker, Some((1, &stream)), &mut out), None);
    }
    assert!(written_count > 50, "{written_count}");
}

fn reads_as(media: &Media<'_>, stream: &Stream<'_>) {
    let of = |span: Span| span.of(media.octets);
    let protocol: &[u8] = if stream.tls { b"TCP/TLS/MSRP" } else { b"TCP/MSRP" };
    assert_eq!((of(media.media), of(media.protocol)), (&b"message"[..], protocol));
    assert_eq!((media.port, of(media.path)), (stream.port, stream.path));
    assert_eq!(of(media.accept_types), stream.accept_types);
    assert_eq!(of(media.accept_wrapped_types), stream.accept_wrapped_types);
    assert_eq!((media.max_size, media.setup), (stream.max_size, Some(stream.setup)));
    assert_eq!((media.cema, media.wrong), (stream.cema, None));
    assert_eq!(media.direction.unwrap_or_default(), stream.direction);
    assert_eq!(media.fingerprints().next(), stream.fingerprint);
}

#[test]
fn what_is_minted_has_nineteen_digits() {
    for random in [0, 1, u64::MAX, 3_000_000_000_000_000_000, 2_999_999_999_999_999_999] {
        let minted = minted(random);
        assert_eq!(minted.to_string().len(), 19);
        assert!(minted < (1 << 62) - 1, "RFC 3264 section 5");
    }
    assert_ne!(minted(1), minted(2));
}

/// Each prefix, and each octet changed to each of those that mean something, and to all others where
/// it is short.
#[test]
fn prefixes_and_single_octets_break_no_law() {
    let mut chance = Chance(3);
    for _ in 0..3 {
        let whole = description(&mut chance).into_bytes();
        for len in 0..whole.len() {
            laws::reads(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            for octet in *b"\r\n\0 =:/;a0m\x80" {
                changed[at] = octet;
                laws::reads(&changed);
            }
        }
    }
    let short = b"v=0\no=- 1 1 IN IP4 a\ns=-\nt=0 0\nm=message 1 TCP/MSRP *\na=setup:active\n";
    for at in 0..short.len() {
        let mut changed = *short;
        for octet in 0..=u8::MAX {
            changed[at] = octet;
            laws::reads(&changed);
        }
    }
}

#[test]
fn mutations_break_no_law() {
    let mut chance = Chance(4);
    let mut taken = 0;
    for _ in 0..6_000 {
        let mut octets = description(&mut chance).into_bytes();
        for _ in 0..=chance.below(3) {
            let at = chance.below(octets.len());
            let end = (at + chance.below(12)).min(octets.len());
            match chance.below(4) {
                0 => octets[at] = b"\r\n :;=/,\".\0\x80mat09"[chance.below(17)],
                1 => drop(octets.drain(at..end)),
                2 => {
                    let piece = octets[at..end].to_vec();
                    octets.splice(at..at, piece);
                }
                _ => octets.truncate(at + 1),
            }
            if octets.is_empty() {
                octets.push(b'v');
            }
        }
        taken += usize::from(parse(&octets).is_ok());
        laws::reads(&octets);
    }
    assert!(taken > 1_000, "{taken} of the mutations are still descriptions");
}

/// Twice the octets, at most about twice the work: reading, and going over all that was read.
#[test]
fn work_grows_with_the_octets_alone() {
    let head = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\n";
    for (before, piece, behind) in [
        ("t=0 0\r\n", "a=x\r\n", ""),
        ("t=0 0\r\n", "\n", ""),
        ("t=0 0\r\n", "\r\n", "x"),
        ("", "t=0 0\r\n", ""),
        ("", "e=x\r\n", "t=0 0\r\n"),
        ("t=0 0\r\na=", "x", "\r\n"),
        ("t=0 0\r\na=", ":", "\r\n"),
        ("t=0 0\r\nm=a 1 x", " 0", "\r\n"),
        ("t=0 0\r\nm=a 1 x", "/y", " 0\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\na=accept-types:", "a/b ", "\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\na=accept-types:a/b", ";c=\"\\\"\"", "\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\n", "a=accept-types:*\r\n", ""),
        ("t=0 0\r\nm=a 1 x 0\r\na=accept-types:", " ", "\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\na=path:msrp://a:1/", "x", ";tcp\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\na=path:msrp://a:1/x;tcp", ";a=b", "\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\na=fingerprint:x 00", ":00", "\r\n"),
        ("t=0 0\r\na=fingerprint:x 00\r\n", "a=fingerprint:y 00\r\n", "m=a 1 x 0\r\nm=a 1 x 0\r\n"),
        ("t=0 0\r\nm=a 1 x 0\r\n", "c=IN IP4 a\r\n", ""),
    ] {
        let work = |count: usize| {
            let octets = format!("{head}{before}{}{behind}", piece.repeat(count));
            assert!(octets.len() <= SDP_SIZE_MAX);
            count_visits(|| {
                let Ok(session) = parse(octets.as_bytes()) else { return };
                for media in session.media() {
                    let _ = media.types().takes(b"text/plain");
                    let _ = media.uris().count() + media.fingerprints().count();
                }
            })
        };
        let (once, twice) = (work(300), work(600));
        assert!(twice <= 2 * once + 200, "{before:?} {piece:?}: {once} {twice}");
    }
    // Many media descriptions cost no more than their octets.
    let work = |count: usize| {
        let octets = format!("{head}t=0 0\r\n{}", "m=a 1 x 0\r\na=x\r\n".repeat(count));
        count_visits(|| assert_eq!(parse(octets.as_bytes()).unwrap().media().count(), count))
    };
    assert!(work(32) <= 2 * work(16) + 200);
}
