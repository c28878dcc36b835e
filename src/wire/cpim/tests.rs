//! Every vector judged by its name, the facts of those that are taken, every truncation, and what
//! mutations must not break.

use super::*;
use crate::wire::cursor::count_visits;

fn vectors() -> Vec<(String, Vec<u8>)> {
    let mut vectors: Vec<_> = std::fs::read_dir("tests/vectors/cpim")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    vectors.sort();
    vectors
}

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/vectors/cpim/{name}.dat")).unwrap()
}

fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap()
}

fn unescaped(value: &[u8]) -> String {
    let mut room = vec![0; value.len()];
    let len = unescape(value, &mut room).unwrap();
    String::from_utf8(room[..len].to_vec()).unwrap()
}

#[test]
fn vectors_are_judged_by_their_names() {
    let vectors = vectors();
    assert!(vectors.len() > 100);
    for (name, octets) in vectors {
        let read = parse(&octets);
        assert_eq!(read.is_ok(), name.starts_with("ok-"), "{name}: {read:?}");
        laws::reads(&octets);
    }
}

/// What is wrong is said, and where.
#[test]
fn refusals_say_what_and_where() {
    for (name, expected, before) in [
        ("drop-lf-only", "CR and LF together", "\n"),
        ("drop-no-space", "a space", "x\r\n"),
        ("drop-two-spaces", "a value without space around it", " x\r\n"),
        ("drop-tab", "an escape instead of a control character", "\tb"),
        ("drop-escape-unknown", "an escape", "\\q"),
        ("drop-name-two-dots", "the name of a header and a colon", "a.b.c"),
        ("drop-from-no-brackets", "an address: a name, and a URI in brackets", "sip:a"),
        ("drop-date-no-zone", "a date and time of RFC 3339", "2025"),
        ("drop-content-without-empty-line", "an empty line in front of Content-Type", "Content-T"),
        ("drop-from-twice", "one From", "From: <sip:c"),
        ("drop-content-length-larger", "as many octets as Content-Length says", "6"),
        ("drop-content-type-no-colon", "a MIME header field or an empty line", "Content-Type text"),
    ] {
        let octets = vector(name);
        let at = text(&octets).find(before).unwrap();
        assert_eq!(parse(&octets), Err(Malformed { expected, at }), "{name}");
    }
    let latin = vector("drop-latin-1");
    let at = latin.iter().position(|&octet| octet == 0xE9).unwrap();
    assert_eq!(parse(&latin), Err(Malformed { expected: "UTF-8", at }));
}

/// RFC 3862 section 5.1, as it is printed there and as it stands in a SIP message.
#[test]
fn the_example_of_the_rfc_says_what_it_says() {
    for (name, first) in [("ok-rfc3862-5.1", 30), ("ok-rfc3862-5.1-body", 0)] {
        let octets = vector(name);
        let message = parse(&octets).unwrap();
        let of = |span: Span| text(span.of(&octets));
        assert_eq!(usize::from(message.headers.at), first);
        assert_eq!(of(message.from), "MR SANDERS <im:piglet@100akerwood.com>");
        assert_eq!(of(message.to), "Depressed Donkey <im:eeyore@100akerwood.com>");
        assert_eq!(of(message.date_time), "2000-12-13T13:40:00-08:00");
        assert_eq!(of(message.subject), "the weather will be fine today");
        assert_eq!(of(message.require), "MyFeatures.VitalMessageOption");
        assert_eq!(of(message.content_type), "text/xml; charset=utf-8");
        assert_eq!(message.content_length, None);
        assert_eq!(of(message.body), "<body>\r\nHere is the text of my message.\r\n</body>\r\n");
        let headers: Vec<_> = message.headers().collect();
        let names: Vec<_> = headers.iter().map(|header| text(header.name)).collect();
        assert_eq!(names[..4], ["From", "To", "DateTime", "Subject"]);
        assert_eq!(names[4..7], ["Subject", "NS", "Require"]);
        assert_eq!(names[7..], ["MyFeatures.VitalMessageOption", "MyFeatures.WackyMessageOption"]);
        assert_eq!(text(headers[4].parameters), ";lang=fr");
        assert_eq!(text(headers[4].value), "beau temps prevu pour aujourd'hui");
    }
}

#[test]
fn namespaces_say_what_a_prefix_means() {
    for (name, expected) in [
        ("ok-imdn", "34jk324j"),
        ("ok-imdn-other-prefix", "34jk324j"),
        ("ok-imdn-undeclared", "34jk324j"),
        ("ok-imdn-prefix-redeclared", ""),
    ] {
        let octets = vector(name);
        assert_eq!(text(parse(&octets).unwrap().message_id.of(&octets)), expected, "{name}");
    }
    let octets = vector("ok-imdn");
    let wanted = parse(&octets).unwrap().disposition_notification.of(&octets);
    assert_eq!(text(wanted), "positive-delivery, negative-delivery");
    // Another default namespace: From is no longer that of RFC 3862, but `c.From` is.
    let octets = b"NS: <urn:example:x>\r\nNS: c <urn:ietf:params:cpim-headers:>\r\n\
        From: whatever\r\nc.From: <sip:a@b>\r\n\r\n\r\n";
    assert_eq!(parse(octets).unwrap().from.of(octets), b"<sip:a@b>");
}

#[test]
fn escapes_are_decoded_on_use() {
    let octets = vector("ok-escapes");
    let subject = parse(&octets).unwrap().subject.of(&octets);
    assert!(subject.starts_with(b"\\\\ \\\""));
    assert_eq!(unescaped(subject), "\\ \" ' \u{8}\t\n\r \u{20AC} \u{1F600}");
    assert_eq!(unescape(b"abc", &mut [0; 2]), None, "no room");
    assert_eq!(unescape(b"\\u0000", &mut [1; 1]), Some(1));
    assert_eq!(unescape(b"a\\", &mut [0; 9]), None);
}

#[test]
fn names_have_a_case_and_may_be_there_twice() {
    let octets = vector("ok-other-case");
    assert_eq!(parse(&octets).unwrap().from.of(&octets), b"<sip:a@example.com>");
    let octets = vector("ok-several-to");
    let message = parse(&octets).unwrap();
    assert_eq!(message.to.of(&octets), b"<sip:b@example.com>");
    assert_eq!(message.headers().filter(|header| header.name == b"To").count(), 3);
    let octets = vector("ok-parameters");
    let message = parse(&octets).unwrap();
    assert_eq!(message.subject.of(&octets), b"title");
    let last = message.headers().last().unwrap();
    assert_eq!(text(last.parameters), ";lang=en-GB;x=1;y=\"a;b \\\" c\"");
}

#[test]
fn the_content_ends_where_its_length_says() {
    for (name, content_type, length, body) in [
        ("ok-no-mime-header", "", None, "hello"),
        ("ok-empty-content", "text/plain", None, ""),
        ("ok-content-length", "text/plain", Some(5), "hello"),
        ("ok-content-length-surplus", "text/plain", Some(3), "hel"),
        ("ok-folded-mime", "text/plain;\r\n\tcharset=UTF-8", None, "hello"),
        ("ok-whole-with-length", "text/plain; charset=UTF-8", None, "hello"),
    ] {
        let octets = vector(name);
        let message = parse(&octets).unwrap();
        assert_eq!(text(message.content_type.of(&octets)), content_type, "{name}");
        assert_eq!(message.content_length, length, "{name}");
        assert_eq!(text(message.body.of(&octets)), body, "{name}");
        assert!(message.octets.ends_with(body.as_bytes()), "{name}");
    }
}

#[test]
fn what_is_cut_off_before_the_content_is_refused() {
    for (name, octets) in vectors().iter().filter(|(name, _)| name.starts_with("ok-")) {
        let body = parse(octets).unwrap().body;
        for len in 0..octets.len() {
            let read = parse(&octets[..len]);
            assert!(len >= usize::from(body.at) || read.is_err(), "{name} cut at {len}");
            laws::reads(&octets[..len]);
        }
    }
    let octets = vector("ok-content-length");
    for len in 0..octets.len() {
        assert!(parse(&octets[..len]).is_err(), "Content-Length says more, cut at {len}");
    }
}

#[test]
fn what_does_not_fit_a_span_is_refused() {
    let mut octets = vector("ok-plain");
    octets.resize(usize::from(u16::MAX), b'x');
    assert!(parse(&octets).is_ok());
    octets.push(b'x');
    let malformed = Malformed { expected: "a shorter message", at: 65_535 };
    assert_eq!(parse(&octets), Err(malformed));
}

#[test]
fn a_head_reads_as_what_it_was_made_of() {
    let wrap = Wrap {
        from: b"<sip:+4912345@example.com;user=phone>",
        to: b"Bob <sip:bob@example.com>",
        date_time: b"2025-11-22T11:28:00+08:00",
        message_id: b"34jk324j",
        content_type: b"text/plain; charset=UTF-8",
    };
    let expected = "From: <sip:+4912345@example.com;user=phone>\r\n\
        To: Bob <sip:bob@example.com>\r\n\
        DateTime: 2025-11-22T11:28:00+08:00\r\n\
        NS: imdn <urn:ietf:params:imdn>\r\n\
        imdn.Message-ID: 34jk324j\r\n\r\n\
        Content-Type: text/plain; charset=UTF-8\r\n\r\n";
    let mut room = [0; 300];
    let len = head(&wrap, &mut room).unwrap();
    assert_eq!(text(&room[..len]), expected);
    let read = parse(&room[..len]).unwrap();
    assert_eq!((read.to.of(&room), read.message_id.of(&room)), (wrap.to, wrap.message_id));
    for short in 0..len {
        assert_eq!(head(&wrap, &mut room[..short]), None, "{short}");
    }
    let undated = Wrap { date_time: b"", ..wrap };
    let len = head(&undated, &mut room).unwrap();
    assert_eq!(text(&room[..len]), expected.replace("DateTime: 2025-11-22T11:28:00+08:00\r\n", ""));
    let unnamed = Wrap { message_id: b"", ..wrap };
    let len = head(&unnamed, &mut room).unwrap();
    assert!(!text(&room[..len]).contains("NS:"));
    for smuggled in [
        Wrap { from: b"<sip:a@b>\r\nSubject: x <sip:a@b>", ..wrap },
        Wrap { to: b"sip:a@b", ..wrap },
        Wrap { to: b"", ..wrap },
        Wrap { date_time: b"now", ..wrap },
        Wrap { content_type: b"text/plain;\r\nX: y", ..wrap },
        Wrap { content_type: b"text/plain ", ..wrap },
        Wrap { content_type: b"", ..wrap },
        Wrap { message_id: b"a\r\nSubject: x", ..wrap },
    ] {
        assert_eq!(head(&smuggled, &mut room), None, "{smuggled:?}");
    }
}

/// Octets changed, removed, doubled, exchanged with those of another vector: the laws hold.
#[test]
fn mutations_break_no_law() {
    let vectors = vectors();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    let mut taken = 0;
    for _ in 0..30_000 {
        let mut octets = vectors[next(vectors.len())].1.clone();
        for _ in 0..=next(3) {
            let at = next(octets.len());
            let end = (at + next(12)).min(octets.len());
            match next(5) {
                0 if !octets.is_empty() => octets[at] = b"\r\n :;<>\"\\.\0\x80uA0"[next(15)],
                1 => drop(octets.drain(at..end)),
                2 => {
                    let piece = octets[at..end].to_vec();
                    octets.splice(at..at, piece);
                }
                3 => octets.truncate(at),
                _ => {
                    let other = &vectors[next(vectors.len())].1;
                    let from = next(other.len());
                    let to = (from + next(60)).min(other.len());
                    octets.splice(at..end, other[from..to].iter().copied());
                }
            }
        }
        taken += usize::from(parse(&octets).is_ok());
        laws::reads(&octets);
    }
    assert!(taken > 1_000, "{taken} of the mutations are still messages");
}

/// Twice the octets, at most about twice the work, whatever they are.
#[test]
fn work_grows_with_the_octets_alone() {
    for piece in ["a", "a: b\r\n", "\r\n ", "a:;x=y", "NS: a <b:c>\r\n", "To: <b:c>\r\n", "\\\""] {
        for around in
            ["", "From: <sip:a@b>\r\n", "Subject: ", "From: \"", "\r\nX: a", "Subject:;a=\""]
        {
            let work = |count: usize| {
                let octets = format!("{around}{}\r\n\r\n\r\n", piece.repeat(count));
                count_visits(|| {
                    let _ = parse(octets.as_bytes());
                })
            };
            let (once, twice) = (work(1_000), work(2_000));
            assert!(twice <= 2 * once + 200, "{piece:?} {around:?}: {once} {twice}");
        }
    }
}
