//! Messages read whole, and built from what was read.

use super::*;

const MESSAGE: &str = "MESSAGE sip:user2@domain.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP user1pc.domain.com:5070;branch=z9hG4bK776sgdkse;rport\r\n\
    Via: SIP/2.0/TCP a.example ; branch=z9hG4bK1 , SIP/2.0/UDP b.example\r\n\
    Max-Forwards: 70\r\n\
    Route: <sip:ours.example;lr>, <sip:next.example:5080;lr>\r\n\
    From: <sip:user1@domain.com>;tag=49583\r\n\
    To: \"User 2\" <sip:user2@domain.com>\r\n\
    P-Asserted-Identity: <sip:user1@domain.com>\r\n\
    P-Asserted-Identity: <tel:+1>\r\n\
    Call-ID: asd88asd77a@1.2.3.4\r\n\
    CSeq: 7 MESSAGE\r\n\
    Privacy: header; id\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 18\r\n\
    \r\n\
    Watson, come here.";

const SOURCE: Source =
    Source { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 9], port: 40_000 };

fn request(datagram: &str) -> Request<'_> {
    match parse(datagram.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn response(datagram: &str) -> Response<'_> {
    match parse(datagram.as_bytes()) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap()
}

fn built(build: impl FnOnce(&mut [u8]) -> Option<usize>) -> String {
    let mut slot = [0; 9_000];
    let len = build(&mut slot).unwrap();
    text(&slot[..len]).to_owned()
}

#[test]
fn a_message_is_read_whole() {
    let request = request(MESSAGE);
    let fields = &request.fields;
    let of = |span: Span| text(span.of(request.octets));
    assert_eq!(request.fault, None);
    assert_eq!((request.method, of(request.method_name)), (Method::Message, "MESSAGE"));
    assert_eq!(of(request.uri), "sip:user2@domain.com");
    assert_eq!(of(fields.via.sent_by), "user1pc.domain.com:5070");
    assert_eq!((fields.via_count, fields.via_fields), (3, 2));
    assert_eq!(of(fields.from), "<sip:user1@domain.com>;tag=49583");
    assert_eq!((of(fields.from_uri), of(fields.from_tag)), ("sip:user1@domain.com", "49583"));
    assert_eq!((of(fields.to_uri), of(fields.to_tag)), ("sip:user2@domain.com", ""));
    assert_eq!(of(fields.call_id), "asd88asd77a@1.2.3.4");
    assert_eq!((fields.cseq, fields.cseq_method), (7, Method::Message));
    assert_eq!(fields.max_forwards, Some(70));
    assert_eq!(of(fields.content_type), "text/plain");
    assert_eq!(of(fields.body), "Watson, come here.");
    assert_eq!((fields.asserted_count, fields.privacy_id), (2, true));
    assert_eq!((fields.header_count, fields.extra_count), (13, 6));
    let vias: Vec<_> = request.vias().map(|via| of(via.host).to_owned()).collect();
    assert_eq!(vias, ["user1pc.domain.com", "a.example", "b.example"]);
    let routes: Vec<_> =
        request.routes().map(|route| (of(route.host).to_owned(), route.port, route.lr)).collect();
    assert_eq!(
        routes,
        [("ours.example".to_owned(), None, true), ("next.example".to_owned(), Some(5080), true)]
    );
    assert_eq!(fields.route_count, 2);
}

#[test]
fn a_request_is_forwarded() {
    let forward = Forward {
        transport: Transport::Udp,
        sent_by: b"192.0.2.1:5060",
        branch: b"z9hG4bKours",
        source: SOURCE,
        max_forwards: 69,
        pop_route: true,
        strip_asserted: true,
    };
    let forwarded = built(|slot| forward_request(&request(MESSAGE), &forward, slot));
    let expected = MESSAGE
        .replace(
            "Via: SIP/2.0/UDP user1pc.domain.com:5070;branch=z9hG4bK776sgdkse;rport\r\n",
            "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours;rport\r\n\
             Via: SIP/2.0/UDP user1pc.domain.com:5070;branch=z9hG4bK776sgdkse;rport=40000\
             ;received=192.0.2.9\r\n",
        )
        .replace("70\r\n", "69\r\n")
        .replace("5069", "5070")
        .replace("<sip:ours.example;lr>, ", "")
        .replace("P-Asserted-Identity: <sip:user1@domain.com>\r\n", "")
        .replace("P-Asserted-Identity: <tel:+1>\r\n", "");
    assert_eq!(forwarded, expected);
    assert_eq!(request(&forwarded).fault, None);
    for len in 0..forwarded.len() {
        let mut short = [0; 9_000];
        assert_eq!(forward_request(&request(MESSAGE), &forward, &mut short[..len]), None);
    }
}

#[test]
fn what_leaves_in_a_stream_says_so_and_how_long_it_is() {
    let without = MESSAGE.replace("Content-Length: 18\r\n", "");
    assert_ne!(without, MESSAGE);
    let with = |transport, pop_route| Forward {
        transport,
        sent_by: b"192.0.2.1:5060",
        branch: b"z9hG4bKours",
        source: SOURCE,
        max_forwards: 69,
        pop_route,
        strip_asserted: false,
    };
    for (transport, name) in [(Transport::Tcp, "TCP"), (Transport::Tls, "TLS")] {
        for (written, pop_route) in [(&without[..], true), (MESSAGE, false)] {
            let forward = with(transport, pop_route);
            let sent = built(|slot| forward_request(&request(written), &forward, slot));
            let read = request(&sent);
            assert!(sent.contains(&format!("Via: SIP/2.0/{name} 192.0.2.1:5060;branch")), "{sent}");
            assert_eq!(sent.matches("Content-Length: 18\r\n").count(), 1, "{sent}");
            let whole = stream::Frame::Whole { len: sent.len() };
            assert_eq!((read.fault, stream::frame(sent.as_bytes())), (None, whole), "{sent}");
        }
    }
    let forward = with(Transport::Udp, false);
    let sent = built(|slot| forward_request(&request(&without), &forward, slot));
    assert!(!sent.contains("Content-Length"), "a datagram says how long it is");
    let none = with(Transport::Sctp, false);
    assert_eq!(forward_request(&request(MESSAGE), &none, &mut [0; 9_000]), None);

    let said = "SIP/2.0 486 Busy\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nv: SIP/2.0/TCP b\r\n\
                f: <sip:a@b>;tag=1\r\nt: <sip:b@c>;tag=2\r\ni: 1\r\nCSeq: 1 MESSAGE\r\n\r\nbody";
    let sent = built(|slot| forward_response(&response(said), None, false, true, slot));
    assert_eq!(sent.matches("Content-Length: 4\r\n").count(), 1, "{sent}");
    assert_eq!(stream::frame(sent.as_bytes()), stream::Frame::Whole { len: sent.len() });
}

#[test]
fn a_request_is_answered() {
    let reply = Reply {
        status: 503,
        reason: reason_phrase(503),
        to_tag: &tag(0xA1),
        source: SOURCE,
        extra: &[Extra::RetryAfter(5)],
        ..Reply::default()
    };
    let answer = built(|slot| respond(&request(MESSAGE), &reply, slot));
    assert_eq!(
        answer,
        "SIP/2.0 503 Service Unavailable\r\n\
         Via: SIP/2.0/UDP user1pc.domain.com:5070;branch=z9hG4bK776sgdkse;rport=40000\
         ;received=192.0.2.9\r\n\
         Via: SIP/2.0/TCP a.example ; branch=z9hG4bK1 , SIP/2.0/UDP b.example\r\n\
         From: <sip:user1@domain.com>;tag=49583\r\n\
         To: \"User 2\" <sip:user2@domain.com>;tag=00000000000000a1\r\n\
         Call-ID: asd88asd77a@1.2.3.4\r\n\
         CSeq: 7 MESSAGE\r\n\
         Retry-After: 5\r\n\
         Content-Length: 0\r\n\r\n"
    );
    assert_eq!(response(&answer).status, 503);
    assert_eq!(response(&answer).fields.retry_after, Some(5));
}

#[test]
fn a_response_is_passed_back_without_its_topmost_via() {
    let answer = "SIP/2.0 503 Service Unavailable\r\n\
        v: SIP/2.0/UDP ours;branch=z9hG4bKours;rport\r\n , SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        Via: SIP/2.0/UDP b\r\n\
        f: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\ni: x\r\nCSeq: 1 MESSAGE\r\nl: 0\r\n\r\n";
    let once = built(|slot| {
        forward_response(&response(answer), Some((500, "Failed")), false, false, slot)
    });
    assert_eq!(
        once,
        answer
            .replace("503 Service Unavailable", "500 Failed")
            .replace("SIP/2.0/UDP ours;branch=z9hG4bKours;rport\r\n , ", "")
    );
    let twice = built(|slot| forward_response(&response(&once), None, false, false, slot));
    assert_eq!(twice, once.replace("v: SIP/2.0/UDP a;branch=z9hG4bK1\r\n", ""));
    assert_eq!(response(&twice).fields.via_count, 1);
}

#[test]
fn what_positions_cannot_say_is_not_read() {
    let surplus = " ".repeat(usize::from(u16::MAX) - MESSAGE.len());
    let longest = [MESSAGE, &surplus].concat();
    assert_eq!(request(&longest).fault, None);
    let malformed = parse([&longest, "x"].concat().as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(malformed.expected, "a shorter datagram");
}

#[test]
fn trying_repeats_the_timestamp_and_gives_no_tag() {
    let with_timestamp = MESSAGE.replace("CSeq:", "Timestamp: 54.21\r\nCSeq:");
    let to_tag = &tag(7);
    let mut reply =
        Reply { status: 100, reason: "Trying", to_tag, source: SOURCE, ..Reply::default() };
    let answer = built(|slot| respond(&request(&with_timestamp), &reply, slot));
    assert!(answer.contains("\r\nTimestamp: 54.21\r\n"), "{answer}");
    assert!(answer.contains("\r\nTo: \"User 2\" <sip:user2@domain.com>\r\n"), "{answer}");
    reply.status = 200;
    let answer = built(|slot| respond(&request(&with_timestamp), &reply, slot));
    assert!(!answer.contains("Timestamp"), "{answer}");
}

#[test]
fn each_extra_is_one_header_field_or_what_options_asks_for() {
    for (extra, expected) in [
        (Extra::Allow(ALLOW_PAGER), "Allow: MESSAGE, OPTIONS\r\n"),
        (
            Extra::Allow(ALLOW_SESSIONS),
            "Allow: INVITE, ACK, CANCEL, BYE, UPDATE, MESSAGE, OPTIONS\r\n",
        ),
        (
            Extra::Capabilities { allow: ALLOW_PAGER, supported: b"" },
            "Allow: MESSAGE, OPTIONS\r\nAccept: */*\r\nSupported: \r\n",
        ),
        (Extra::None, ""),
        (Extra::Supported(b"timer"), "Supported: timer\r\n"),
        (Extra::Require(b"timer"), "Require: timer\r\n"),
        (
            Extra::Contact { uri: b"sip:a@b:5060;transport=tcp", parameters: b";+g.oma.sip-im" },
            "Contact: <sip:a@b:5060;transport=tcp>;+g.oma.sip-im\r\n",
        ),
        (
            Extra::SessionExpires(SessionExpires { seconds: 1_800, refresher: None }),
            "Session-Expires: 1800\r\n",
        ),
        (
            Extra::SessionExpires(SessionExpires { seconds: 90, refresher: Some(Refresher::Uac) }),
            "Session-Expires: 90;refresher=uac\r\n",
        ),
        (
            Extra::SessionExpires(SessionExpires { seconds: 90, refresher: Some(Refresher::Uas) }),
            "Session-Expires: 90;refresher=uas\r\n",
        ),
        (Extra::MinSe(90), "Min-SE: 90\r\n"),
        (
            Extra::Warning { code: 305, agent: b"roger.example:5060" },
            "Warning: 305 roger.example:5060 \"Incompatible media format\"\r\n",
        ),
        (Extra::Lines(b"Server: a\r\nX: b\r\n"), "Server: a\r\nX: b\r\n"),
        (Extra::Unsupported(b"a, b"), "Unsupported: a, b\r\n"),
        (Extra::Accept(b"text/plain"), "Accept: text/plain\r\n"),
        (Extra::RetryAfter(u32::MAX), "Retry-After: 4294967295\r\n"),
        (Extra::RetryAfter(0), "Retry-After: 0\r\n"),
    ] {
        let (to_tag, extra) = (&tag(u64::MAX), &[extra]);
        let reply =
            Reply { status: 405, reason: "x", to_tag, source: SOURCE, extra, ..Reply::default() };
        let answer = built(|slot| respond(&request(MESSAGE), &reply, slot));
        let expected = ["CSeq: 7 MESSAGE\r\n", expected, "Content-Length: 0\r\n\r\n"].concat();
        assert!(answer.ends_with(&expected), "{answer}");
        assert!(answer.contains(";tag=ffffffffffffffff\r\n"), "{answer}");
    }
}

#[test]
fn addresses_are_written_as_the_standards_write_them() {
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 203, 0, 113, 255];
    let mut v6 = [0; 16];
    v6[..4].copy_from_slice(&[0x20, 1, 0x0D, 0xB8]);
    v6[15] = 0x1F;
    for (ip, expected) in [(mapped, "203.0.113.255"), (v6, "2001:db8::1f")] {
        let source = Source { ip, port: 9 };
        let reply = Reply { status: 200, reason: "OK", source, ..Reply::default() };
        let answer = built(|slot| respond(&request(MESSAGE), &reply, slot));
        let expected = [";rport=9;received=", expected, "\r\n"].concat();
        assert!(answer.contains(&expected), "{answer}");
    }
}

#[test]
fn reason_phrases_are_there_for_every_status() {
    for status in 100..700 {
        assert!(!reason_phrase(status).is_empty());
    }
    assert_eq!((reason_phrase(482), reason_phrase(499)), ("Loop Detected", "Request Failure"));
}

#[test]
fn parsed_messages_are_small() {
    assert!(size_of::<Message<'_>>() <= 300, "{}", size_of::<Message<'_>>());
    assert!(size_of::<Fields>() <= 224, "{}", size_of::<Fields>());
}
