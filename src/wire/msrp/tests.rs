//! Every vector judged by its name, and what is said of single ones.

use super::*;

/// All vectors with their names.
pub(super) fn vectors() -> Vec<(String, Vec<u8>)> {
    let mut vectors: Vec<_> = std::fs::read_dir("tests/vectors/msrp")
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
    std::fs::read(format!("tests/vectors/msrp/{name}.dat")).unwrap()
}

fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap()
}

/// The events of a stream that has arrived as a whole, with the octets of each.
fn events(octets: &[u8]) -> (Vec<(Event, &[u8])>, Event) {
    let mut reader = Reader::new();
    let mut events = Vec::new();
    let mut rest = octets;
    loop {
        let event = reader.read(rest);
        let (Event::Head { len } | Event::Body { len } | Event::End { len, .. }) = event else {
            return (events, event);
        };
        let (front, behind) = rest.split_at(len);
        events.push((event, front));
        rest = behind;
    }
}

/// What becomes of a stream, as the names of the vectors say it.
fn judged(octets: &[u8]) -> String {
    let (events, last) = events(octets);
    if matches!(last, Event::Malformed(_)) {
        return "end".to_owned();
    }
    if !matches!(events.last(), Some((Event::End { .. }, _))) {
        return "cut".to_owned();
    }
    let mut judged = "ok".to_owned();
    for (event, octets) in &events {
        if matches!(event, Event::Head { .. }) {
            judged = match head(octets) {
                Ok(Head::Request(Request { fault: Some(fault), .. })) => fault.code.to_string(),
                Ok(_) => judged,
                Err(_) => "drop".to_owned(),
            };
        }
    }
    judged
}

#[test]
fn vectors_are_judged_by_their_names() {
    let vectors = vectors();
    assert!(vectors.len() > 200);
    for (name, octets) in vectors {
        let (expected, _) = name.split_once('-').unwrap();
        let expected = if expected == "lax" { "ok" } else { expected };
        assert_eq!(judged(&octets), expected, "{name}: {:?}", events(&octets));
        laws::reads(&octets);
    }
}

#[test]
fn the_example_of_rfc_4975_is_read() {
    let octets = vector("ok-rfc4975-11.1-send");
    let (events, last) = events(&octets);
    let [(Event::Head { .. }, octets), (Event::Body { .. }, body), (end, _)] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(last, Event::Partial { wanted: 1 });
    assert_eq!(*end, Event::End { flag: Flag::Last, len: 20 });
    assert_eq!(text(body), "Hi, I'm Alice!");
    let Ok(Head::Request(request)) = head(octets) else { panic!() };
    assert_eq!(request.fault, None);
    assert_eq!(request.method, Method::Send);
    assert_eq!(request.transaction_id.of(octets), b"d93kswow");
    assert_eq!(request.fields.message_id.of(octets), b"12339sdqwer");
    // As the RFC has it: two more than there are.
    let range = ByteRange { start: 1, end: Some(16), total: Some(16) };
    assert_eq!(request.fields.byte_range, Some(range));
    assert_eq!(request.fields.content_type.of(octets), b"text/plain");
    assert!(request.has_body && !request.fields.success_report);
    assert_eq!(request.fields.failure_report, FailureReport::Yes);
    let to = request.to_path().first_uri().unwrap();
    assert_eq!((to.scheme, to.port, to.is_tcp()), (Scheme::Msrp, Some(8888), true));
    assert_eq!((to.host, to.session_id), (&b"bob.example.com"[..], Some(&b"9di4eae923wzd"[..])));
}

/// What is refused is said, and where.
#[test]
fn refusals_say_what_and_where() {
    for (name, comment, before) in [
        ("400-method-small", "Malformed Method", "MSRP"),
        ("501-nickname", "Unknown Method", "MSRP"),
        ("400-unknown-method-and-bad-header", "Malformed Header Field", "Use-Nickname"),
        ("400-message-id-missing", "Missing Message-ID", "\r\nTo-Path"),
        ("400-message-id-twice", "Repeated Message-ID", "Message-ID: 12339sdqwer\r\nContent"),
        ("400-byte-range-zero", "Malformed Byte-Range", "Byte-Range"),
        ("400-success-report-value", "Malformed Success-Report", "Success"),
        ("400-failure-report-value", "Malformed Failure-Report", "Failure"),
        ("400-content-type-missing", "Missing Content-Type", "\r\nhello"),
        ("400-content-type-not-last", "Content-Type Not Last", "X: y"),
        ("400-content-type-no-subtype", "Malformed Content-Type", "Content-Type"),
        ("400-header-field-folded", "Malformed Header Field", " z"),
        ("400-header-field-nul", "Malformed Header Field", "X: y"),
        ("400-to-path-not-first", "To-Path Not First", "To-Path"),
        ("400-from-path-third", "From-Path Not Second", "From-Path"),
        (
            "400-to-path-twice",
            "Repeated To-Path",
            "To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\nMess",
        ),
        ("400-to-path-second-uri", "Malformed To-Path", "sip:x"),
        ("400-report-status-missing", "Missing Status", "\r\nTo-Path"),
        ("400-report-status-cut", "Malformed Status", "Status"),
        ("400-auth-expires", "Malformed Expires", "Expires"),
        ("400-auth-use-path", "Malformed Use-Path", "msrp:x"),
    ] {
        let octets = vector(name);
        let (events, _) = events(&octets);
        let Ok(Head::Request(request)) = head(events[0].1) else { panic!("{name}") };
        let at = text(&octets).find(before).unwrap();
        let fault = request.fault.unwrap();
        assert_eq!((fault.comment, usize::from(fault.at)), (comment, at), "{name}");
    }
    for (name, expected, before) in [
        ("end-protocol", "MSRP and a space", "Q"),
        ("end-identifier-short", "a transaction identifier of 4 to 32 characters", " SEND"),
        ("end-identifier-character", "a space behind the transaction identifier", "_"),
        ("end-lf-in-start-line", "CR and LF together", "\nTo"),
        ("end-cr-in-header-field", "CR and LF together", "\rY"),
    ] {
        let octets = vector(name);
        let at = text(&octets).find(before).unwrap();
        let malformed = Malformed { expected, at };
        assert_eq!(events(&octets).1, Event::Malformed(malformed), "{name}");
    }
    for (name, expected) in [
        ("drop-to-path-missing", "MSRP URIs in To-Path"),
        ("drop-from-path-missing", "MSRP URIs in From-Path"),
        ("drop-200-code-long", "a status code of three digits"),
        ("drop-200-comment-control", "a comment without control characters"),
        ("drop-200-repeated-to-path", "one To-Path"),
    ] {
        let octets = vector(name);
        assert_eq!(head(events(&octets).0[0].1).unwrap_err().expected, expected, "{name}");
    }
}

/// Whoever shows more than the head, or less, is told.
#[test]
fn a_head_is_read_alone() {
    let octets = vector("ok-rfc4975-11.1-send");
    let len = events(&octets).0[0].1.len();
    assert!(head(&octets[..len]).is_ok());
    let malformed = Malformed { expected: "nothing behind the empty line", at: len };
    assert_eq!(head(&octets[..=len]), Err(malformed));
    for cut in 0..len {
        let whole_lines = octets[..cut].ends_with(b"\r\n");
        assert!(head(&octets[..cut]).is_err() || whole_lines, "cut at {cut}");
    }
    let long = [&octets[..len - 2], &b"X".repeat(70_000)].concat();
    assert_eq!(head(&long).unwrap_err().expected, "a shorter head");
}

/// H31, H32: what looks like an end in a body is none, and the length is what is there.
#[test]
fn h31_h32_a_body_ends_at_its_end_line_and_nowhere_else() {
    for (name, len) in [
        ("ok-body-other-end-lines", 149),
        ("ok-body-of-hyphens", 100),
        ("ok-body-ends-with-crlf", 7),
        ("ok-body-of-crlf", 2),
        ("ok-byte-range-beyond-total", 5),
    ] {
        let octets = vector(name);
        let (events, _) = events(&octets);
        let body: usize = events
            .iter()
            .filter(|(event, _)| matches!(event, Event::Body { .. }))
            .map(|(_, octets)| octets.len())
            .sum();
        assert_eq!(body, len, "{name}");
    }
    let octets = vector("lax-body-empty-without-its-crlf");
    assert_eq!(events(&octets).0.len(), 2, "a head and an end");
}

#[test]
fn a_torn_end_line_is_held_back_and_all_before_it_is_not() {
    let head = "MSRP a786hjs2 SEND\r\nTo-Path: x\r\nContent-Type: a/b\r\n\r\n";
    let mut reader = Reader::new();
    assert_eq!(reader.read(head.as_bytes()), Event::Head { len: head.len() });
    assert_eq!(reader.transaction_id(), b"a786hjs2");
    assert_eq!(reader.read(b"hello\r\n-------a786"), Event::Body { len: 5 });
    assert_eq!(reader.read(b"\r\n-------a786"), Event::Partial { wanted: 14 });
    assert_eq!(reader.read(b"\r\n-------a786hjs3$\r\n"), Event::Body { len: 18 });
    assert_eq!(reader.read(b"\r\n"), Event::Partial { wanted: 3 });
    assert_eq!(
        reader.read(b"\r\n-------a786hjs2#\r\nMSRP"),
        Event::End { flag: Flag::Aborted, len: 20 }
    );
    assert_eq!(reader.transaction_id(), b"");
    assert_eq!(reader, Reader::new());
    assert!(size_of::<Reader>() <= 40);
}

/// RFC 4976 section 7.
#[test]
fn what_relays_say_is_read() {
    let octets = vector("ok-200-to-auth");
    let Ok(Head::Response(response)) = head(events(&octets).0[0].1) else { panic!() };
    let (octets, fields) = (response.octets, &response.fields);
    assert_eq!((response.code, response.comment.of(octets)), (200, &b"OK"[..]));
    let use_path = Path::parse(fields.use_path.of(octets)).unwrap();
    assert_eq!(use_path.count(), 2);
    assert_eq!(use_path.last_uri().unwrap().host, b"r.example.com");
    let expires = (fields.expires, fields.min_expires, fields.max_expires);
    assert_eq!(expires, (Some(u32::MAX), Some(1), Some(7_200)));
    assert_eq!(fields.www_authenticate.of(octets), b"Digest realm=\"x\"");
    assert_eq!(fields.authentication_info.of(octets), b"nextnonce=\"y\"");
    assert!(fields.authorization.is_empty());
    let octets = vector("ok-auth");
    let Ok(Head::Request(request)) = head(events(&octets).0[0].1) else { panic!() };
    assert_eq!(request.method, Method::Auth);
    let authorization = request.fields.authorization.of(request.octets);
    assert_eq!(authorization, b"Digest username=\"a\", realm=\"b\"");
    // Of several the first counts: which one to answer is the business of who is challenged.
    let twice = "MSRP a786hjs2 401\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp\r\n\
        WWW-Authenticate: Digest a\r\nwww-authenticate: Digest b\r\n";
    let Ok(Head::Response(response)) = head(twice.as_bytes()) else { panic!() };
    assert_eq!(response.fields.www_authenticate.of(twice.as_bytes()), b"Digest a");
    let names: Vec<_> = header_fields(twice.as_bytes()).map(|field| text(field.name)).collect();
    assert_eq!(names, ["To-Path", "From-Path", "WWW-Authenticate", "www-authenticate"]);
    assert_eq!(header_fields(twice.as_bytes()).last().unwrap().value, b"Digest b");
}

/// RFC 4975 sections 7.1.2, 7.1.4 and 7.2.
#[test]
fn who_asks_for_no_answer_gets_none() {
    for (method, failure_report, of_200, of_400) in [
        ("SEND", "", true, true),
        ("SEND", "Failure-Report: yes\r\n", true, true),
        ("SEND", "Failure-Report: partial\r\n", false, true),
        ("SEND", "Failure-Report: no\r\n", false, false),
        ("REPORT", "Status: 000 200\r\n", false, false),
        ("REPORT", "", false, false),
        ("AUTH", "Failure-Report: no\r\n", true, true),
        ("NICKNAME", "", true, true),
    ] {
        let octets = format!(
            "MSRP a786hjs2 {method}\r\nTo-Path: msrp://a:1/b;tcp\r\n\
             From-Path: msrp://c:1/d;tcp\r\nMessage-ID: 1234\r\n{failure_report}"
        );
        let Ok(Head::Request(request)) = head(octets.as_bytes()) else { panic!("{octets}") };
        assert_eq!(request.is_answered(200), of_200, "{octets}");
        assert_eq!(request.is_answered(400), of_400, "{octets}");
    }
}

#[test]
fn uris_are_the_same_where_rfc_4975_says_so() {
    let uri = |text: &'static str| uri::parse(text.as_bytes()).unwrap();
    for (one, other, same) in [
        ("msrp://a.example:1/x;tcp", "MSRP://A.Example:1/x;TCP", true),
        ("msrp://u@a:1/x;tcp", "msrp://v:w@a:1/x;tcp", true),
        ("msrp://u@a:1/x;tcp", "msrp://a:1/x;tcp", true),
        ("msrp://a:1/x;tcp", "msrp://a:1/x;tcp;p=q", true),
        ("msrp://a:1/x;tcp", "msrp://a:01/x;tcp", true),
        ("msrp://%61:1/x;tcp", "msrp://A:1/x;tcp", true),
        ("msrp://a%2Db:1/x;tcp", "msrp://a-b:1/x;tcp", true),
        ("msrp://a%2fb:1/x;tcp", "msrp://a%2Fb:1/x;tcp", true),
        ("msrp://a%2Cb:1/x;tcp", "msrp://a,b:1/x;tcp", false),
        ("msrp://[2001:db8::1]:1/x;tcp", "msrp://[2001:DB8:0::1]:1/x;tcp", true),
        ("msrp://[::ffff:10.0.0.1]:1/x;tcp", "msrp://10.0.0.1:1/x;tcp", true),
        ("msrp://10.0.0.1:1/x;tcp", "msrp://10.0.0.%31:1/x;tcp", true),
        ("msrp://10.0.0.1:1/x;tcp", "msrp://10.0.0.2:1/x;tcp", false),
        ("msrp://a:1/x;tcp", "msrps://a:1/x;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://b:1/x;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://ab:1/x;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://a:2/x;tcp", false),
        ("msrp://a/x;tcp", "msrp://a:2855/x;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://a:1/X;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://a:1;tcp", false),
        ("msrp://a:1/x;tcp", "msrp://a:1/x;sctp", false),
    ] {
        assert_eq!(uri(one).matches(&uri(other)), same, "{one} {other}");
        assert_eq!(uri(other).matches(&uri(one)), same, "{other} {one}");
        assert!(uri(one).matches(&uri(one)));
    }
}

#[test]
fn a_uri_comes_apart() {
    let uri = uri::parse(b"msrps://u%20@[2001:db8::1]:2855/a/b=;tcp;x;y=z").unwrap();
    assert_eq!((uri.scheme, uri.port), (Scheme::Msrps, Some(2855)));
    assert_eq!((uri.userinfo, uri.host), (Some(&b"u%20"[..]), &b"[2001:db8::1]"[..]));
    assert_eq!((uri.session_id, uri.transport), (Some(&b"a/b="[..]), &b"tcp"[..]));
    assert_eq!(uri.parameters, b";x;y=z");
    assert!(uri.address().is_some());
    let bare = uri::parse(b"msrp://relay.example;tcp").unwrap();
    assert_eq!((bare.port, bare.session_id, bare.userinfo), (None, None, None));
    let path = Path::parse(b"msrp://a:1/x;tcp msrp://b:2/y;tcp msrp://c:3/z;tcp").unwrap();
    assert_eq!(path.count(), 3);
    assert_eq!(path.first_uri().unwrap().host, b"a");
    assert_eq!(path.last_uri().unwrap().host, b"c");
    assert_eq!(path.first().octets(), b"msrp://a:1/x;tcp");
    assert_eq!(path.written().next_back(), Some(&b"msrp://c:3/z;tcp"[..]));
    assert_eq!(Path::parse(b"msrp://a:1/x;tcp ").unwrap_err().at, 17);
}

#[test]
fn media_types_come_apart() {
    for (value, expected) in [
        ("text/plain", Some(("text", "plain"))),
        ("Text/Plain;charset=UTF-8", Some(("Text", "Plain"))),
        ("message/cpim ; x=\"y;z\"", Some(("message", "cpim"))),
        ("text", None),
        ("text/", None),
        ("/plain", None),
        ("text/plain x", None),
        ("te xt/plain", None),
        ("", None),
    ] {
        let expected = expected.map(|(kind, subtype)| (kind.as_bytes(), subtype.as_bytes()));
        assert_eq!(media_type(value.as_bytes()), expected, "{value}");
    }
}
