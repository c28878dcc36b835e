//! What dialogs read of a message, in every form that the grammar allows, and what it forbids.

use super::*;
use crate::wire::cursor::count_visits;
use crate::wire::sip::{Message, parse};

fn invite(lines: &str) -> String {
    format!(
        "INVITE sip:bob@biloxi.com SIP/2.0\r\n{lines}Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn fields(text: &str) -> Fields {
    match parse(text.as_bytes()) {
        Ok(Message::Request(request)) if request.fault.is_none() => request.fields,
        other => panic!("{other:?}"),
    }
}

fn contact(lines: &str) -> String {
    let text = invite(lines);
    let uri = contact_uri(text.as_bytes(), &fields(&text)).of(text.as_bytes());
    core::str::from_utf8(uri).unwrap().to_owned()
}

fn routes(lines: &str) -> Result<Vec<String>, &'static str> {
    let text = invite(lines);
    let routes = record_routes(text.as_bytes(), &fields(&text));
    let routes = routes.map_err(|malformed| malformed.expected)?;
    Ok(routes.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
}

#[test]
fn in_reply_to_names_the_first_call_id() {
    let of = |lines: &str| {
        core::str::from_utf8(in_reply_to(invite(lines).as_bytes())).unwrap().to_owned()
    };
    assert_eq!(of(""), "");
    assert_eq!(of("In-Reply-To: one@a\r\n"), "one@a");
    assert_eq!(of("in-reply-to :  one@a , two@b\r\nIn-Reply-To: three\r\n"), "one@a");
    assert_eq!(of("In-Reply-To:\r\n"), "");
}

#[test]
fn the_first_contact_is_the_target() {
    for (lines, expected) in [
        ("", ""),
        ("Contact: <sip:bob@192.0.2.4>\r\n", "sip:bob@192.0.2.4"),
        ("m:sip:bob@192.0.2.4;expires=7\r\n", "sip:bob@192.0.2.4"),
        (
            "CONTACT : \"B, o\" <sips:b@[::1]:5061;transport=tls>;+g.oma.sip-im , <sip:c@d>\r\n",
            "sips:b@[::1]:5061;transport=tls",
        ),
        ("Contact:\r\n <sip:a@b>\r\nContact: <sip:c@d>\r\n", "sip:a@b"),
        ("Contact: *\r\n", ""),
        ("Contact: \"x <sip:a@b>\r\n", ""),
        ("X-Contact: <sip:a@b>\r\n", ""),
    ] {
        assert_eq!(contact(lines), expected, "{lines:?}");
    }
}

#[test]
fn record_routes_are_whole_and_in_order() {
    for (lines, expected) in [
        ("", &[][..]),
        ("Record-Route: <sip:p1;lr>\r\n", &["<sip:p1;lr>"]),
        (
            "Record-Route: <sip:p4>, <sip:p3;lr>;x=\"a,b\" ,\"P, 2\" <sip:p2;lr>\r\n\
             Subject: <sip:none>\r\nrecord-route :\r\n <sip:p1;lr>\r\n ; y\r\n",
            &["<sip:p4>", "<sip:p3;lr>;x=\"a,b\"", "\"P, 2\" <sip:p2;lr>", "<sip:p1;lr>\r\n ; y"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(routes(lines), Ok(expected), "{lines:?}");
    }
    let text = invite("Record-Route: <sip:p2>\r\nRecord-Route: <sip:p1>\r\n");
    let routes = record_routes(text.as_bytes(), &fields(&text)).unwrap();
    assert!(routes.iter().rev().eq([&b"<sip:p1>"[..], b"<sip:p2>"]));
}

/// A route set with a hole leads elsewhere.
#[test]
fn record_routes_that_cannot_all_be_read_make_no_route_set() {
    let bracket = "a Record-Route value in brackets";
    for (line, expected) in [
        ("Record-Route: <sip:p2;lr>, sip:p1;lr\r\n", bracket),
        ("Record-Route: sip:p1\r\n", bracket),
        ("Record-Route:\r\n", "an address"),
        ("Record-Route: <sip:p1>,\r\n", "an address"),
        ("Record-Route: <sip:p1\r\n", "an address"),
        ("Record-Route: <sip:p1> x\r\n", "a parameter"),
    ] {
        assert_eq!(routes(line), Err(expected), "{line:?}");
    }
    let many = |count| format!("Record-Route: <sip:a;lr>{}\r\n", ",<sip:a;lr>".repeat(count - 1));
    assert_eq!(routes(&many(SIP_RECORD_ROUTES_MAX)).unwrap().len(), SIP_RECORD_ROUTES_MAX);
    let (most, more) = (many(SIP_RECORD_ROUTES_MAX), "Record-Route: <sip:b>\r\n");
    assert_eq!(routes(&[&most, more].concat()), Err("fewer Record-Route values"));
}

#[test]
fn session_timers_are_read() {
    let expires = |seconds, refresher| Some(SessionExpires { seconds, refresher });
    for (lines, expected, min_se) in [
        ("", None, None),
        ("Session-Expires: 1800\r\n", expires(1_800, None), None),
        ("x:90;refresher=uac\r\n", expires(90, Some(Refresher::Uac)), None),
        (
            "SESSION-EXPIRES :\r\n 4000 ; y ; Refresher\t= UAS ;z=\"1;2\"\r\nmin-se: 120;a=b\r\n",
            expires(4_000, Some(Refresher::Uas)),
            Some(120),
        ),
        ("Min-SE: 90\r\n", None, Some(90)),
        ("Session-Expires: 99999999999\r\n", expires(u32::MAX, None), None),
        ("Session-Expires-Not: 7\r\nxx: 8\r\n", None, None),
    ] {
        let text = invite(lines);
        let timer = SessionTimer { expires: expected, min_se };
        assert_eq!(session_timer(text.as_bytes()), Ok(timer), "{lines:?}");
    }
}

#[test]
fn session_timers_that_two_might_read_differently_are_refused() {
    let (expires, min_se) = ("one Session-Expires", "one Min-SE");
    for (lines, expected) in [
        ("Session-Expires:\r\n", expires),
        ("Session-Expires: -1\r\n", expires),
        ("Session-Expires: 90, 91\r\n", expires),
        ("Session-Expires: 90 s\r\n", expires),
        ("Session-Expires: 90;refresher\r\n", expires),
        ("Session-Expires: 90;refresher=ua\r\n", expires),
        ("Session-Expires: 90;refresher=\"uac\"\r\n", expires),
        ("Session-Expires: 90;refresher=uac;refresher=uac\r\n", expires),
        ("Session-Expires: 90\r\nx: 90\r\n", expires),
        ("Min-SE: a\r\n", min_se),
        ("Min-SE: 90;\r\n", min_se),
        ("Min-SE: 90, 91\r\n", min_se),
        ("Min-SE: 90\r\nMin-SE: 90\r\n", min_se),
    ] {
        let text = invite(lines);
        let read = session_timer(text.as_bytes());
        assert_eq!(read.map_err(|malformed| malformed.expected), Err(expected), "{lines:?}");
    }
}

#[test]
fn option_tags_are_found_wherever_they_stand() {
    for (lines, required, supported) in [
        ("", &[][..], &[][..]),
        ("Require: timer\r\nSupported:\r\n", &["timer"], &[]),
        (
            "k: 100rel , timer\r\nrequire:a,\r\n b\r\nSUPPORTED: path\r\nRequire: Timer\r\n",
            &["a", "b", "Timer"],
            &["100rel", "timer", "path"],
        ),
        ("Supported: ,, a,\r\n", &[], &["a"]),
        ("Supported: a, \"b\", c\r\nSupported: d\r\n", &[], &["a", "d"]),
        ("Proxy-Require: timer\r\nX-Supported: timer\r\nkk: timer\r\n", &[], &[]),
    ] {
        let text = invite(lines);
        let list = |which| {
            options(text.as_bytes(), which)
                .map(|option| core::str::from_utf8(option).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(list(Options::Require), required, "{lines:?}");
        assert_eq!(list(Options::Supported), supported, "{lines:?}");
        for (which, there) in [(Options::Require, required), (Options::Supported, supported)] {
            let is_there = there.iter().any(|option| option.eq_ignore_ascii_case("timer"));
            assert_eq!(has_option(text.as_bytes(), which, b"TIMER"), is_there, "{lines:?}");
        }
    }
}

/// Ten times the octets are at most twelve times the work, whatever is repeated.
#[test]
fn work_is_linear() {
    for (before, repeated, behind) in [
        ("", "Record-Route: <sip:a;lr>\r\n", ""),
        ("Record-Route: <sip:a>", ";x=\"y\"", "\r\n"),
        ("Record-Route: ", "\"\\\"", "\r\n"),
        ("", "Contact: \"\r\n", ""),
        ("Session-Expires: 1", " ; refresher", "\r\n"),
        ("Session-Expires: 1", ";x=\"a\"", "\r\n"),
        ("", "k: a\r\n", ""),
        ("Supported: ", ",", "\r\n"),
        ("Supported: a", " , a", "\r\n"),
        ("Require: ", "a,\r\n ", "a\r\n"),
    ] {
        let visits = |len: usize| {
            let repeated = repeated.repeat(len / repeated.len());
            let text = invite(&format!("{before}{repeated}{behind}"));
            let octets = text.as_bytes();
            let Ok(Message::Request(request)) = parse(octets) else { panic!("{before}") };
            count_visits(|| {
                _ = contact_uri(octets, &request.fields);
                _ = record_routes(octets, &request.fields).map(|routes| routes.iter().count());
                _ = session_timer(octets);
                _ = has_option(octets, Options::Require, b"b");
                _ = has_option(octets, Options::Supported, b"b");
            })
        };
        let (few, many) = (visits(5_000), visits(50_000));
        assert!(many <= 12 * few, "{before:?} {repeated:?} {behind:?}: {few} {many}");
        assert!(many <= 16 * 50_000, "{before:?} {repeated:?}: {many}");
    }
}
