//! The examples of the standards, challenges that nobody should trust, and answers read back by a
//! reader that goes octet by octet.

use super::super::properties::{Chance, mutate};
use super::super::{Message, laws, parse};
use super::*;
use crate::wire::cursor::count_visits;

const HEAD: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
    To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n";

fn response_text(status: u16, fields: &str) -> String {
    format!("SIP/2.0 {status} No\r\n{HEAD}{fields}Content-Length: 0\r\n\r\n")
}

fn response(text: &str) -> Response<'_> {
    match parse(text.as_bytes()) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// What is chosen of a 401 whose only challenge has these parameters.
fn asked(parameters: &str) -> Option<Challenge<'static>> {
    let text = response_text(401, &format!("WWW-Authenticate: {parameters}\r\n")).leak();
    challenge(&response(text))
}

fn written(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> String {
    let mut slot = [0; 2_000];
    let len = write(&mut slot).unwrap();
    String::from_utf8(slot[..len].to_vec()).unwrap()
}

const ALICE: Credentials<'_> = Credentials { username: b"alice", password: b"pass word" };

fn line(challenge: &Challenge<'_>) -> String {
    written(|to| authorization(challenge, ALICE, b"MESSAGE", b"sip:bob@example.com", 0x1A, to))
}

/// RFC 7616 section 3.9.1: both challenges, both answers.
#[test]
fn the_example_of_rfc_7616() {
    const SHARED: &str = "realm=\"http-auth@example.org\",\r\n    qop=\"auth, auth-int\",";
    const NONCE: &str = "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"";
    const OPAQUE: &str = "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    let field = |algorithm: &str| {
        format!(
            "WWW-Authenticate: Digest {SHARED}\r\n    algorithm={algorithm},\r\n    {NONCE},\r\n    \
             {OPAQUE}\r\n"
        )
    };
    let credentials = Credentials { username: b"Mufasa", password: b"Circle of Life" };
    let cnonce = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (fields, algorithm, response_digits) in [
        (
            field("SHA-256") + &field("MD5"),
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (field("MD5"), "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ] {
        let text = response_text(401, &fields);
        let challenge = challenge(&response(&text)).unwrap();
        let uri = b"/dir/index.html";
        let line = written(|to| answer(&challenge, credentials, b"GET", uri, cnonce, to));
        let expected = format!(
            "Authorization: Digest username=\"Mufasa\", realm=\"http-auth@example.org\", {NONCE}, \
             uri=\"/dir/index.html\", response=\"{response_digits}\", algorithm={algorithm}, \
             qop=auth, nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", \
             {OPAQUE}\r\n"
        );
        assert_eq!(line, expected);
    }
}

/// RFC 2617 section 3.5, and the same without `qop`, as RFC 2069 has it.
#[test]
fn the_example_of_rfc_2617_with_and_without_qop() {
    const PLAIN: &str = "Digest realm=\"testrealm@host.com\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let credentials = Credentials { username: b"Mufasa", password: b"Circle Of Life" };
    let of = |challenge: &Challenge<'_>| {
        written(|to| answer(challenge, credentials, b"GET", b"/dir/index.html", b"0a4f113b", to))
    };
    let with = asked(&format!("{PLAIN}, qop=\"auth,auth-int\"")).unwrap();
    assert!(with.qop_auth);
    assert!(of(&with).contains("response=\"6629fae49393a05397450978507c4ef1\""));
    assert!(of(&with).contains(", qop=auth, nc=00000001, cnonce=\"0a4f113b\", opaque="));
    let without = asked(PLAIN).unwrap();
    assert!(!without.qop_auth);
    assert!(of(&without).contains("response=\"670fd8c2df070c60b045671b8b24ff02\""));
    for name in ["qop", "nc=", "cnonce"] {
        assert!(!of(&without).contains(name), "RFC 3261 section 22.4 point 8");
    }
}

#[test]
fn escapes_are_repeated_as_they_are_and_hashed_as_what_they_mean() {
    let realm = r#"the \"realm\" \\ he\re"#;
    let escaped = asked(&format!(r#"Digest realm="{realm}", nonce="n\"1", qop="auth""#)).unwrap();
    assert_eq!(escaped.realm, realm.as_bytes());
    let credentials = Credentials { username: br#"al"ice\"#, password: b"pass word" };
    let uri = b"sip:bob@example.com";
    for (algorithm, digits) in [
        (Algorithm::Md5, "9223cb5ec46b996ee678ded8ca4dfcfa"),
        (Algorithm::Sha256, "71ea8f4a0d67ac2c853d8538387a4e56a7a95d3e57e8de0f88a86869a839a8e6"),
    ] {
        let challenge = Challenge { algorithm, ..escaped };
        let line = written(|to| {
            authorization(&challenge, credentials, b"MESSAGE", uri, 0x0123_4567_89AB_CDEF, to)
        });
        let expected = format!(
            r#"Authorization: Digest username="al\"ice\\", realm="{realm}", nonce="n\"1", uri="sip:bob@example.com", response="{digits}", algorithm={}, qop=auth, nc=00000001, cnonce="0123456789abcdef""#,
            algorithm.name()
        );
        assert_eq!(line, expected + "\r\n");
    }
}

#[test]
fn a_proxy_is_answered_as_a_proxy() {
    let fields = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\"\r\n\
        WWW-Authenticate: Digest realm=\"w\", nonce=\"2\"\r\n";
    for (status, expected) in [(401, Some(&b"w"[..])), (407, Some(b"p")), (403, None), (200, None)]
    {
        let text = response_text(status, fields);
        let challenge = challenge(&response(&text));
        assert_eq!(challenge.map(|challenge| challenge.realm), expected, "{status}");
        let Some(challenge) = challenge else { continue };
        assert_eq!(challenge.is_proxy, status == 407);
        let name = if status == 407 { "Proxy-Authorization: " } else { "Authorization: " };
        assert!(line(&challenge).starts_with(&format!("{name}Digest username=\"alice\", ")));
    }
}

#[test]
fn the_strongest_that_can_be_answered_is_chosen() {
    let md5 = "Digest realm=\"md5\", nonce=\"1\", algorithm=MD5, qop=\"auth\"";
    let other_md5 = "dIGEST realm=\"other\" , nonce=\"1\"";
    let sha = "digest\tREALM = \"sha\",\r\n Nonce= \"1\",Algorithm=\"sha-256\",qop=auth";
    let session = "Digest realm=\"sess\", nonce=\"1\", algorithm=SHA-256-sess, qop=\"auth\"";
    let md5_session = "Digest realm=\"sess\", nonce=\"1\", algorithm=MD5-sess, qop=\"auth\"";
    let sha_512 = "Digest realm=\"512\", nonce=\"1\", algorithm=SHA-512-256, qop=\"auth\"";
    let only_int = "Digest realm=\"int\", nonce=\"1\", algorithm=SHA-256, qop=\"auth-int\"";
    let basic = "Basic realm=\"basic\"";
    let aka = "Digest realm=\"aka\", nonce=\"1\", algorithm=AKAv1-MD5, qop=\"auth\"";
    for (fields, expected) in [
        (&[md5][..], Some("md5")),
        (&[md5, sha], Some("sha")),
        (&[sha, md5], Some("sha")),
        (&[md5, other_md5], Some("md5")),
        (&[other_md5, md5], Some("other")),
        (&[session, sha_512, only_int, basic, aka, md5], Some("md5")),
        (&[session, md5, basic, sha], Some("sha")),
        (&[session, md5_session, sha_512, only_int, basic, aka], None),
        (&[], None),
    ] {
        let fields: String =
            fields.iter().map(|field| format!("wWW-AUTHENTICATE : {field}\r\n")).collect();
        let text = response_text(401, &fields);
        let found = challenge(&response(&text)).map(|found| found.realm);
        assert_eq!(found, expected.map(str::as_bytes), "{fields}");
    }
}

#[test]
fn what_a_challenge_says_is_read() {
    let challenge = asked(
        "Digest realm=\"r, nonce=\\\"x\\\"\", domain=\"sip:a sip:b\", x=y, nonce=\"\", X=\"z\", \
         opaque=\"o,p\", stale=TRUE, qop=\"token , AUTH\"",
    );
    let expected = Challenge {
        realm: br#"r, nonce=\"x\""#,
        nonce: b"",
        opaque: Some(b"o,p"),
        algorithm: Algorithm::Md5,
        qop_auth: true,
        stale: true,
        is_proxy: false,
    };
    assert_eq!(challenge, Some(expected));
    for (parameters, stale) in
        [("stale=false", false), ("stale=\"true\"", true), ("stale=yes", false)]
    {
        let challenge = asked(&format!("Digest realm=a,nonce=b==,{parameters}")).unwrap();
        assert_eq!((challenge.realm, challenge.nonce), (&b"a"[..], &b"b=="[..]));
        assert_eq!(challenge.stale, stale, "{parameters}");
        assert_eq!((challenge.opaque, challenge.qop_auth), (None, false));
    }
    // Empty elements of a list.
    assert!(asked("Digest ,, realm=\"a\" , ,nonce=\"b\",").is_some());
}

#[test]
fn hostile_challenges_are_passed_over() {
    assert!(asked("Digest realm=\"a\", nonce=\"b\"").is_some());
    for parameters in [
        "",
        "Digest",
        "Digest ",
        "Digest,realm=\"a\"",
        "Digestrealm=\"a\", nonce=\"b\"",
        "Digest\"\"realm=\"a\", nonce=\"b\"",
        "Digest realm=\"a\"",
        "Digest nonce=\"b\"",
        "Digest realm=\"a\", nonce",
        "Digest realm=\"a\", nonce=",
        "Digest realm=\"a\", nonce=,",
        "Digest realm=\"a\", nonce=\"b",
        "Digest realm=\"a\", nonce=\"b\\\"",
        "Digest realm=\"a\", nonce=\"",
        "Digest realm=\"a, nonce=\"b\"",
        "Digest realm=\"a\" nonce=\"b\"",
        "Digest realm=\"a\"; nonce=\"b\"",
        "Digest realm=\"a\", nonce=\"b\" x",
        "Digest realm=\"a\", nonce=\"b\", =x",
        "Digest realm=\"a\", nonce=\"b\", \"x\"",
        "Digest realm=\"a\"x, nonce=\"b\"",
        "Digest realm=a\\b, nonce=\"b\"",
        // Two challenges in one header field: no grammar of SIP.
        "Digest realm=\"a\", nonce=\"b\", Digest realm=\"c\", nonce=\"d\"",
        // Said twice.
        "Digest realm=\"a\", nonce=\"b\", realm=\"a\"",
        "Digest realm=\"a\", nonce=\"b\", NONCE=\"c\"",
        "Digest realm=\"a\", nonce=\"b\", opaque=\"c\", opaque=\"d\"",
        "Digest realm=\"a\", nonce=\"b\", algorithm=MD5, algorithm=SHA-256",
        "Digest realm=\"a\", nonce=\"b\", qop=\"auth\", qop=\"auth-int\"",
        "Digest realm=\"a\", nonce=\"b\", stale=true, stale=false",
        // What must not be repeated.
        "Digest realm=\"a\r\n b\", nonce=\"b\"",
        "Digest realm=\"a\", nonce=\"b\r\n c\"",
        "Digest realm=\"a\", nonce=\"b\", opaque=\"c\r\n \"",
        "Digest realm=\"a\tb\", nonce=\"b\"",
        "Digest realm=\"a\\\0\", nonce=\"b\"",
        "Digest realm=\"a\\\x7f\", nonce=\"b\"",
        // Nothing of this can be answered.
        "Digest realm=\"a\", nonce=\"b\", qop=\"\"",
        "Digest realm=\"a\", nonce=\"b\", qop=\"authx, auth int\"",
        "Digest realm=\"a\", nonce=\"b\", algorithm=\"\"",
        "Digest realm=\"a\", nonce=\"b\", algorithm=MD55",
        "Digest realm=\"a\", nonce=\"b\", algorithm=\"M\\D5\"",
        "DigestX realm=\"a\", nonce=\"b\"",
    ] {
        assert_eq!(asked(parameters), None, "{parameters:?}");
    }
}

#[test]
fn what_would_break_the_line_is_not_written() {
    let challenge = asked("Digest realm=\"a\", nonce=\"b\", opaque=\"c\", qop=\"auth\"").unwrap();
    let mut slot = [0; 2_000];
    let mut len = |username: &[u8], method: &[u8], uri: &[u8]| {
        let credentials = Credentials { username, password: b"p\r\n" };
        authorization(&challenge, credentials, method, uri, 1, &mut slot)
    };
    assert!(len("zo\u{eb} x".as_bytes(), b"MESSAGE", b"sip:a@b").is_some());
    for username in [&b"a\r\nVia: x"[..], b"a\0", b"a\x7f", b"\t"] {
        assert_eq!(len(username, b"MESSAGE", b"sip:a@b"), None, "{username:?}");
    }
    for method in [&b"MES SAGE"[..], b"MESSAGE\r\n", b"\"", b"M:"] {
        assert_eq!(len(b"alice", method, b"sip:a@b"), None, "{method:?}");
    }
    for uri in [&b"sip:a\"@b"[..], b"sip:a@b\r\n", b"sip:a@\\b", b"sip:a b"] {
        assert_eq!(len(b"alice", b"MESSAGE", uri), None, "{uri:?}");
    }
}

#[test]
fn a_slot_that_is_too_short_is_said_to_be() {
    for parameters in ["qop=\"auth\", opaque=\"o\"", "opaque=\"o\"", "qop=\"auth\"", "x=y"] {
        let challenge = asked(&format!("Digest realm=\"a\", nonce=\"b\", {parameters}")).unwrap();
        let whole = line(&challenge);
        for len in 0..whole.len() {
            let mut slot = [0; 2_000];
            let uri = b"sip:bob@example.com";
            let wrote = authorization(&challenge, ALICE, b"MESSAGE", uri, 0x1A, &mut slot[..len]);
            assert_eq!(wrote, None, "{len} of {}", whole.len());
        }
    }
}

#[test]
fn credentials_do_not_print_themselves() {
    assert_eq!(format!("{ALICE:?}"), "Credentials(secret)");
}

/// Ten times the octets are at most twelve times the work, whatever is repeated.
#[test]
fn endless_challenges_are_linear() {
    let bombs: &[(&str, &str, &str)] = &[
        ("", "WWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n", ""),
        ("", "WWW-Authenticate: Digest realm=\"a\", nonce=\"b\r\n", ""),
        ("", "WWW-Authenticate:\r\n", ""),
        ("", "X: Digest\r\n", ""),
        ("WWW-Authenticate: Digest ", "x=y,", "\r\n"),
        ("WWW-Authenticate: Digest ", ",", "\r\n"),
        ("WWW-Authenticate: Digest ", ", ", "\r\n"),
        ("WWW-Authenticate: Digest ", "realm=a,", "\r\n"),
        ("WWW-Authenticate: Digest", " ", "\r\n"),
        ("WWW-Authenticate: Digest", "\r\n ", "x\r\n"),
        ("WWW-Authenticate: Digest realm=\"", "\\\"", "\", nonce=b\r\n"),
        ("WWW-Authenticate: Digest realm=\"", "\\\\", "\", nonce=b\r\n"),
        ("WWW-Authenticate: Digest realm=\"", "a", "\r\n"),
        ("WWW-Authenticate: Digest nonce=b,realm=", "a", "\r\n"),
        ("WWW-Authenticate: Digest realm=a,nonce=b,qop=\"", "a,", "\"\r\n"),
        ("WWW-Authenticate: Digest ", "a", "=b\r\n"),
        ("WWW-Authenticate: ", "D", " realm=a,nonce=b\r\n"),
        ("WWW-Authenticate: Digest realm", " ", "=a,nonce=b\r\n"),
    ];
    let base = response_text(401, "");
    let work = |octets: &[u8]| {
        // More header fields than a response may have: that is not what keeps this linear.
        let response = Response { octets, ..response(&base) };
        let mut slot = [0; 1_000];
        count_visits(|| {
            let challenge = challenge(&response);
            challenge.map(|found| authorization(&found, ALICE, b"M", b"sip:a", 1, &mut slot));
        })
    };
    for (before, repeated, behind) in bombs {
        let bomb = |len: usize| {
            response_text(401, &[before, &*repeated.repeat(len / repeated.len()), behind].concat())
        };
        let (small, large) = (bomb(6_000), bomb(60_000));
        let (few, many) = (work(small.as_bytes()), work(large.as_bytes()));
        assert!(many <= 12 * few, "{before:?} {repeated:?} {behind:?}: {few} {many}");
        assert!(many <= 12 * large.len() as u64, "{before:?} {repeated:?} {behind:?}: {many}");
    }
}

/// Names in small letters and values with their quotes, told apart octet by octet.
fn parameters(value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (scheme, rest) = value.split_at(6);
    assert!(scheme.eq_ignore_ascii_case(b"Digest"));
    let (mut elements, mut quoted, mut escaped) = (Vec::from([Vec::new()]), false, false);
    for &octet in rest {
        if octet == b',' && !quoted {
            elements.push(Vec::new());
            continue;
        }
        quoted ^= octet == b'"' && !escaped;
        escaped = octet == b'\\' && quoted && !escaped;
        elements.last_mut().unwrap().push(octet);
    }
    let pair = |element: Vec<u8>| {
        let at = element.iter().position(|octet| *octet == b'=')?;
        let name = element[..at].trim_ascii().to_ascii_lowercase();
        Some((String::from_utf8(name).unwrap(), element[at + 1..].trim_ascii().to_vec()))
    };
    elements.into_iter().filter_map(pair).collect()
}

/// What stands between the quotes, if there are any.
fn between_quotes(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").map_or(value, |value| value.strip_suffix(b"\"").unwrap())
}

fn meant(quoted: &[u8]) -> Vec<u8> {
    let mut octets = quoted.iter();
    let mut meant = Vec::new();
    while let Some(octet) = octets.next() {
        meant.push(if *octet == b'\\' { *octets.next().unwrap() } else { *octet });
    }
    meant
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let digest = D::digest(parts.join(&b':'));
    digest.iter().flat_map(|octet| format!("{octet:02x}").into_bytes()).collect()
}

/// The answer by the book, from what a reader finds in the line.
fn by_the_book<D: Digest>(said: &[(String, Vec<u8>)], secret: &[u8]) -> Vec<u8> {
    let of = |name: &str| {
        said.iter().find(|(other, _)| other == name).map(|(_, value)| meant(between_quotes(value)))
    };
    let must = |name: &str| of(name).unwrap_or_else(|| panic!("no {name}"));
    let first = hash::<D>(&[&must("username"), &must("realm"), secret]);
    let second = hash::<D>(&[b"MESSAGE", &must("uri")]);
    match of("qop") {
        Some(qop) => {
            hash::<D>(&[&first, &must("nonce"), &must("nc"), &must("cnonce"), &qop, &second])
        }
        None => hash::<D>(&[&first, &must("nonce"), &second]),
    }
}

/// One challenge as somebody might write it, often with something wrong.
fn some_challenge(chance: &mut Chance) -> String {
    let mut fields = Vec::new();
    for (name, values) in [
        ("realm", &["\"a\"", "\"a, \\\"b\\\" \\\\\"", "\"\"", "a.example", "\"\u{e9}=,\""][..]),
        ("nonce", &["\"0a4f113b==\"", "abc/def==", "\"\\n\""]),
        ("opaque", &["\"o\"", "\"\\\"\"", "\"\""]),
        ("algorithm", &["MD5", "SHA-256", "\"SHA-256\"", "md5", "MD5-sess"]),
        ("qop", &["\"auth\"", "\"auth,auth-int\"", "auth", "\"auth-int\"", "\" x , auth\""]),
        ("stale", &["true", "false"]),
        ("x-other", &["\"realm=\\\"b\\\", nonce=1\"", "y"]),
    ] {
        if fields.len() < 2 || chance.below(3) > 0 {
            let equals = chance.pick(&["=", "=", " = ", "=\r\n "]);
            let name = if chance.below(4) == 0 { name.to_ascii_uppercase() } else { name.into() };
            fields.insert(
                chance.below(fields.len() + 1),
                format!("{name}{equals}{}", chance.pick(values)),
            );
        }
    }
    let comma = chance.pick(&[", ", ",", " , ", ",\r\n\t"]);
    format!("{} {}", chance.pick(&["Digest", "digest", "DIGEST\t"]), fields.join(comma))
}

#[test]
fn what_is_chosen_and_written_is_what_another_reader_finds() {
    let mut found_count = 0;
    for seed in 0..20_000 {
        let mut chance = Chance(seed);
        let value = some_challenge(&mut chance);
        let Some(found) = asked(&value) else { continue };
        found_count += 1;
        let said = parameters(value.as_bytes());
        let of = |said: &[(String, Vec<u8>)], name: &str| {
            let mut values = said.iter().filter(|(other, _)| other == name);
            let value = values.next().map(|(_, value)| between_quotes(value).to_vec());
            assert!(values.next().is_none(), "seed {seed}");
            value
        };
        assert_eq!(of(&said, "realm").as_deref(), Some(found.realm), "seed {seed}");
        assert_eq!(of(&said, "nonce").as_deref(), Some(found.nonce), "seed {seed}");
        assert_eq!(of(&said, "opaque").as_deref(), found.opaque, "seed {seed}");
        assert_eq!(of(&said, "qop").is_some(), found.qop_auth, "seed {seed}");
        let line = line(&found);
        let (_, value) = line.strip_suffix("\r\n").unwrap().split_once(": ").unwrap();
        let wrote = parameters(value.as_bytes());
        for name in ["realm", "nonce", "opaque"] {
            assert_eq!(of(&wrote, name), of(&said, name), "seed {seed}");
        }
        let uri = of(&wrote, "uri").unwrap();
        assert_eq!(
            (of(&wrote, "username").unwrap(), uri),
            (b"alice".into(), b"sip:bob@example.com".into())
        );
        let response = match (found.algorithm, of(&wrote, "algorithm").as_deref()) {
            (Algorithm::Md5, Some(b"MD5")) => by_the_book::<Md5>(&wrote, ALICE.password),
            (Algorithm::Sha256, Some(b"SHA-256")) => by_the_book::<Sha256>(&wrote, ALICE.password),
            other => panic!("seed {seed}: {other:?}"),
        };
        assert_eq!(of(&wrote, "response"), Some(response), "seed {seed}: {line}");
    }
    assert!((5_000..19_000).contains(&found_count), "{found_count}");
}

#[test]
fn mutated_challenges_break_nothing() {
    let mut answered = 0;
    for seed in 0..30_000 {
        let mut chance = Chance(seed);
        let fields: String = (0..=chance.below(3))
            .map(|_| format!("WWW-Authenticate: {}\r\n", some_challenge(&mut chance)))
            .collect();
        let mut octets = response_text(401, &fields).into_bytes();
        for _ in 0..=chance.below(4) {
            mutate(&mut chance, &mut octets);
        }
        let held = std::panic::catch_unwind(|| laws::builds(&octets));
        assert!(held.is_ok(), "seed {seed}:\n{}", octets.escape_ascii());
        if let Ok(Message::Response(response)) = parse(&octets) {
            answered += usize::from(challenge(&response).is_some());
        }
    }
    assert!(answered > 3_000, "{answered}");
}
