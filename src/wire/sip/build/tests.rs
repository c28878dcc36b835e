//! Requests and responses of our own: as RFC 3261 writes them, as a whole session writes them, and read
//! back.

use super::*;
use crate::wire::sip::{
    Message, Method, Refresher, SessionExpires, contact_uri, parse, record_routes, session_timer,
};

const SDP: &[u8] = b"v=0\r\n";

fn v4(octets: [u8; 4]) -> Source {
    Source { ip: core::net::Ipv4Addr::from_octets(octets).to_ipv6_mapped().octets(), port: 5060 }
}

fn written(message: &Originate<'_>) -> String {
    let mut slot = [0; 2_000];
    let len = originate(message, &mut slot).unwrap();
    assert_eq!(len, message.size());
    assert_eq!(originate(message, &mut slot[..len - 1]), None);
    String::from_utf8(slot[..len].to_vec()).unwrap()
}

fn request(text: &str) -> Request<'_> {
    match parse(text.as_bytes()) {
        Ok(Message::Request(request)) if request.fault.is_none() => request,
        other => panic!("{other:?}\n{text}"),
    }
}

fn response(text: &str) -> Response<'_> {
    match parse(text.as_bytes()) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}\n{text}"),
    }
}

fn answered(text: &str, reply: &Reply<'_>) -> String {
    let mut slot = [0; 4_000];
    let request = request(text);
    let len = respond(&request, reply, &mut slot).unwrap();
    let head = text.len() - usize::from(request.fields.body.len);
    assert!(len <= head + crate::limits::FORWARD_GROWTH_MAX + reply.content_size());
    assert_eq!(respond(&request, reply, &mut slot[..len - 1]), None);
    let answer = String::from_utf8(slot[..len].to_vec()).unwrap();
    assert_eq!(response(&answer).status, reply.status);
    answer
}

/// The INVITE of RFC 3261 section 24.2 (F1).
fn invite<'a>(body: &'a [&'a [u8]]) -> Originate<'a> {
    Originate {
        method: Method::Invite,
        uri: b"sip:bob@biloxi.com",
        sent_by: b"pc33.atlanta.com",
        branch: b"z9hG4bKnashds8",
        max_forwards: MAX_FORWARDS,
        from: Party::Value(b"Alice <sip:alice@atlanta.com>"),
        from_tag: b"1928301774",
        to: Party::Value(b"Bob <sip:bob@biloxi.com>"),
        call_id: b"a84b4c76e66710",
        cseq: 314_159,
        extra: &[Extra::Contact { uri: b"sip:alice@pc33.atlanta.com", parameters: b"" }],
        content_type: b"application/sdp",
        body,
        ..Originate::default()
    }
}

/// Start line, header fields in any order, and how long the body is: what RFC 3261 prints, but that our
/// Via values ask for `rport`.
fn assert_is(ours: &str, theirs: &str) {
    let sorted = |text: &str| {
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ;", ";");
        let mut lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(sorted(&ours.replacen(";rport", "", 1)), sorted(theirs));
}

#[test]
fn requests_are_those_of_rfc_3261() {
    let (front, back) = ([b'a'; 100], [b'b'; 42]);
    assert_is(
        &written(&invite(&[&front, &back])),
        "INVITE sip:bob@biloxi.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8\r\n\
         Max-Forwards: 70\r\n\
         To: Bob <sip:bob@biloxi.com>\r\n\
         From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
         Call-ID: a84b4c76e66710\r\n\
         CSeq: 314159 INVITE\r\n\
         Contact: <sip:alice@pc33.atlanta.com>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: 142\r\n\r\n",
    );
    let ack = Originate {
        method: Method::Ack,
        uri: b"sip:bob@192.0.2.4",
        branch: b"z9hG4bKnashds9",
        to_tag: b"a6c85cf",
        extra: &[],
        content_type: b"",
        ..invite(&[])
    };
    assert_is(
        &written(&ack),
        "ACK sip:bob@192.0.2.4 SIP/2.0\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds9\r\n\
         Max-Forwards: 70\r\n\
         To: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n\
         From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
         Call-ID: a84b4c76e66710\r\n\
         CSeq: 314159 ACK\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let bye = Originate {
        method: Method::Bye,
        uri: b"sip:alice@pc33.atlanta.com",
        sent_by: b"192.0.2.4",
        branch: b"z9hG4bKnashds10",
        from: Party::Value(b"Bob <sip:bob@biloxi.com>"),
        from_tag: b"a6c85cf",
        to: Party::Value(b"Alice <sip:alice@atlanta.com>"),
        to_tag: b"1928301774",
        cseq: 231,
        ..ack
    };
    assert_is(
        &written(&bye),
        "BYE sip:alice@pc33.atlanta.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKnashds10\r\n\
         Max-Forwards: 70\r\n\
         From: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r\n\
         To: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
         Call-ID: a84b4c76e66710\r\n\
         CSeq: 231 BYE\r\n\
         Content-Length: 0\r\n\r\n",
    );
}

/// RFC 3261 section 17.1.1.3, with its own example.
#[test]
fn an_error_is_acknowledged_as_rfc_3261_does_it() {
    let invite = Originate {
        sent_by: b"pc33.atlanta.com",
        branch: b"z9hG4bKkjshdyff",
        from_tag: b"88sja8x",
        call_id: b"987asjd97y7atg",
        cseq: 986_759,
        ..invite(&[])
    };
    assert_is(
        &written(&invite.ack(b"Bob <sip:bob@biloxi.com>;tag=99sa0xk")),
        "ACK sip:bob@biloxi.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKkjshdyff\r\n\
         To: Bob <sip:bob@biloxi.com>;tag=99sa0xk\r\n\
         From: Alice <sip:alice@atlanta.com>;tag=88sja8x\r\n\
         Max-Forwards: 70\r\n\
         Call-ID: 987asjd97y7atg\r\n\
         CSeq: 986759 ACK\r\n\
         Content-Length: 0\r\n\r\n",
    );
}

/// F5, F6, F9 and F14 of RFC 3261 section 24.2: what Bob gets, and what he and Alice answer.
#[test]
fn responses_are_those_of_rfc_3261() {
    const VIAS: &str = "Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1\r\n \
         ;received=192.0.2.3\r\n\
         Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1\r\n \
         ;received=192.0.2.2\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8\r\n \
         ;received=192.0.2.1\r\n";
    let common = |to: &str, cseq: &str| {
        format!(
            "To: Bob <sip:bob@biloxi.com>{to}\r\nFrom: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
             Call-ID: a84b4c76e66710\r\nCSeq: {cseq}\r\n"
        )
    };
    let asked = [
        "INVITE sip:bob@192.0.2.4 SIP/2.0\r\n",
        &VIAS.replacen("\r\n ;received=192.0.2.3", "", 1),
        "Max-Forwards: 68\r\n",
        &common("", "314159 INVITE"),
        "Contact: <sip:alice@pc33.atlanta.com>\r\nContent-Length: 0\r\n\r\n",
    ]
    .concat();
    let contact = [Extra::Contact { uri: b"sip:bob@192.0.2.4", parameters: b"" }];
    let ringing = Reply {
        status: 180,
        reason: reason_phrase(180),
        to_tag: b"a6c85cf",
        source: v4([192, 0, 2, 3]),
        record_route: true,
        extra: &contact,
        ..Reply::default()
    };
    let expected = |status: &str, behind: &str| {
        ["SIP/2.0 ", status, "\r\n", VIAS, &common(";tag=a6c85cf", "314159 INVITE"), behind]
            .concat()
    };
    let contact = "Contact: <sip:bob@192.0.2.4>\r\n";
    let bare = "Content-Length: 0\r\n\r\n";
    assert_is(&answered(&asked, &ringing), &expected("180 Ringing", &[contact, bare].concat()));
    let body = [b'c'; 131];
    let (status, reason, body) = (200, "OK", &[&body[..]]);
    let ok = Reply { status, reason, content_type: b"application/sdp", body, ..ringing };
    let content = "Content-Type: application/sdp\r\nContent-Length: 131\r\n\r\n";
    let answer = answered(&asked, &ok);
    assert_is(&answer, &expected("200 OK", &[contact, content].concat()));
    assert!(answer.ends_with(&"c".repeat(131)));
    let (status, reason, extra) = (100, "Trying", &[]);
    let trying = Reply { status, reason, extra, ..ringing };
    let untagged = expected("100 Trying", bare).replace(";tag=a6c85cf", "");
    assert_is(&answered(&asked, &trying), &untagged);
}

const ROUTED: &str = "INVITE sip:sip-im@192.0.2.4 SIP/2.0\r\n\
    Record-Route: <sip:p2.example;lr>\r\n \
    , <sip:p1.example;lr>;x\r\n\
    Via: SIP/2.0/TCP 192.0.2.3;branch=z9hG4bKp2\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1\r\n\
    record-route: <sip:p0.example;lr>\r\n\
    Max-Forwards: 68\r\n\
    From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n\
    To: Bob <sip:bob@biloxi.com>\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 314159 INVITE\r\n\
    Content-Length: 0\r\n\r\n";

/// Every kind of message that a session needs, as one text to be read.
#[test]
fn a_whole_session_is_written() {
    let mut session = String::new();
    requests(&mut session);
    responses(&mut session);
    assert_eq!(session, include_str!("../../../../tests/snapshots/sip_session.txt"));
}

fn show(session: &mut String, title: &str, message: &str) {
    assert_eq!(message.matches('\n').count(), message.matches("\r\n").count());
    session.push_str(&format!("== {title}\n{}\n", message.replace("\r\n", "\n")));
}

const fn expires(seconds: u32, refresher: Option<Refresher>) -> Extra<'static> {
    Extra::SessionExpires(SessionExpires { seconds, refresher })
}

fn requests(session: &mut String) {
    let contact = Extra::Contact {
        uri: b"sip:alice@pc33.atlanta.com:5060;transport=tcp",
        parameters: b";+g.oma.sip-im",
    };
    let invite = Originate {
        transport: Transport::Tcp,
        routes: Routes { values: b"<sip:p1.example;lr>,<sip:p2.example;lr>", target: b"" },
        to: Party::Uri(b"sip:bob@biloxi.com"),
        preferences: b"Accept-Contact: *;+g.oma.sip-im;require\r\n",
        more: &[b"Subject: ", b"a b\r\n"],
        extra: &[
            contact,
            Extra::Allow(ALLOW_SESSIONS),
            Extra::Supported(b"timer"),
            expires(1_800, None),
            Extra::MinSe(90),
        ],
        ..invite(&[SDP])
    };
    show(session, "INVITE", &written(&invite));
    show(session, "CANCEL", &written(&invite.cancel()));
    show(session, "ACK to 487", &written(&invite.ack(b"<sip:bob@biloxi.com>;tag=a6c85cf")));
    let strict = Routes { values: b"<sip:p2.example>", target: b"sip:bob@192.0.2.4" };
    let update = Originate {
        method: Method::Update,
        uri: b"sip:p1.example",
        branch: b"z9hG4bKnashds10",
        routes: strict,
        to_tag: b"a6c85cf",
        cseq: 314_160,
        preferences: b"",
        more: &[],
        extra: &[contact, expires(1_800, Some(Refresher::Uac))],
        content_type: b"",
        body: &[],
        ..invite
    };
    show(session, "UPDATE through a strict router", &written(&update));
    let alone = Routes { values: b"", target: b"sip:bob@192.0.2.4" };
    let bye = Originate { method: Method::Bye, routes: alone, cseq: 314_161, extra: &[], ..update };
    show(session, "BYE through one strict router", &written(&bye));
}

fn responses(session: &mut String) {
    let contact = Extra::Contact { uri: b"sip:roger@192.0.2.4", parameters: b";+g.oma.sip-im" };
    let ok = Reply {
        status: 200,
        reason: "OK",
        to_tag: b"a6c85cf",
        source: v4([192, 0, 2, 3]),
        record_route: true,
        extra: &[
            contact,
            Extra::Allow(ALLOW_SESSIONS),
            Extra::Supported(b"timer"),
            Extra::Require(b"timer"),
            expires(1_800, Some(Refresher::Uac)),
        ],
        content_type: b"application/sdp",
        body: &[b"v=0", b"\r\n"],
    };
    show(session, "INVITE of theirs", ROUTED);
    show(session, "200", &answered(ROUTED, &ok));
    for (status, extra) in [
        (183, &[contact][..]),
        (422, &[Extra::MinSe(90)]),
        (481, &[]),
        (487, &[]),
        (488, &[Extra::Warning { code: 304, agent: b"roger.example" }]),
        (491, &[]),
        (500, &[Extra::RetryAfter(7)]),
    ] {
        let reason = reason_phrase(status);
        let record_route = status < 200;
        let (content_type, body) = (&b""[..], &[][..]);
        let reply = Reply { status, reason, record_route, extra, content_type, body, ..ok };
        show(session, &format!("{status}"), &answered(ROUTED, &reply));
    }
}

#[test]
fn a_dialog_reads_the_same_at_both_ends() {
    let contact = Extra::Contact { uri: b"sip:roger@192.0.2.4;transport=tcp", parameters: b"" };
    let expires = SessionExpires { seconds: 600, refresher: Some(Refresher::Uas) };
    let reply = Reply {
        status: 200,
        reason: "OK",
        to_tag: b"ours",
        source: v4([192, 0, 2, 3]),
        record_route: true,
        extra: &[contact, Extra::SessionExpires(expires), Extra::MinSe(100)],
        ..Reply::default()
    };
    let answer = answered(ROUTED, &reply);
    let (asked, read) = (request(ROUTED), response(&answer));
    let there = record_routes(asked.octets, &asked.fields).unwrap();
    let here = record_routes(read.octets, &read.fields).unwrap();
    assert!(here.iter().eq(there.iter()));
    assert_eq!(here.iter().count(), 3);
    let contact = contact_uri(read.octets, &read.fields).of(read.octets);
    assert_eq!(contact, b"sip:roger@192.0.2.4;transport=tcp");
    let timer = session_timer(read.octets).unwrap();
    assert_eq!((timer.expires, timer.min_se), (Some(expires), Some(100)));
    assert_eq!(read.fields.to_tag.of(read.octets), b"ours");
    // Whoever is not told to, copies none.
    let without = answered(ROUTED, &Reply { record_route: false, ..reply });
    assert_eq!(response(&without).fields.record_route_count, 0);
    // A tag that is there already stays.
    let tagged = ROUTED.replace("<sip:bob@biloxi.com>", "<sip:bob@biloxi.com>;tag=there");
    let again = answered(&tagged, &reply);
    assert_eq!(response(&again).fields.to_tag.of(again.as_bytes()), b"there");
}

#[test]
fn a_message_is_written_as_any_request() {
    let message = Originate {
        method: Method::Message,
        uri: b"sip:+15551230002@im.example;user=phone",
        transport: Transport::Tcp,
        sent_by: b"10.0.0.5:5060",
        branch: b"z9hG4bK1",
        max_forwards: 7,
        routes: Routes { values: b"<sip:s-cscf.example;lr>", target: b"" },
        from: Party::Value(b"\"A, B\" <sip:roger.example>"),
        from_tag: &tag(0xAB),
        to: Party::Uri(b"sip:+15551230002@im.example;user=phone"),
        call_id: b"1@roger.example",
        cseq: 2,
        more: &[b"Date: Sat, 22 Nov 2025 03:28:00 GMT\r\n", b"In-Reply-To: x@y\r\n"],
        content_type: b"text/plain;charset=UTF-8",
        body: &[b"hello", b"hello"],
        ..Originate::default()
    };
    assert_eq!(
        written(&message),
        "MESSAGE sip:+15551230002@im.example;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/TCP 10.0.0.5:5060;branch=z9hG4bK1;rport\r\n\
         Max-Forwards: 7\r\n\
         Route: <sip:s-cscf.example;lr>\r\n\
         From: \"A, B\" <sip:roger.example>;tag=00000000000000ab\r\n\
         To: <sip:+15551230002@im.example;user=phone>\r\n\
         Call-ID: 1@roger.example\r\n\
         CSeq: 2 MESSAGE\r\n\
         Date: Sat, 22 Nov 2025 03:28:00 GMT\r\n\
         In-Reply-To: x@y\r\n\
         Content-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: 10\r\n\r\n\
         hellohello"
    );
    let bare = Originate {
        routes: Routes::default(),
        max_forwards: 255,
        cseq: 4_000_000_000,
        more: &[],
        body: &[],
        ..message
    };
    let text = written(&bare);
    assert!(text.contains("\r\nCSeq: 4000000000 MESSAGE\r\n"), "{text}");
    assert!(!text.contains("Route"), "{text}");
    // What has no name and what leaves by nothing of ours is not written.
    for unwritten in [
        Originate { method: Method::Other, ..message },
        Originate { transport: Transport::Sctp, ..message },
    ] {
        assert_eq!((originate(&unwritten, &mut [0; 2_000]), unwritten.size()), (None, 0));
    }
}

/// Each method is written under the name that it is read by.
#[test]
fn methods_have_their_names() {
    for method in [
        Method::Message,
        Method::Options,
        Method::Invite,
        Method::Ack,
        Method::Cancel,
        Method::Bye,
        Method::Register,
        Method::Subscribe,
        Method::Notify,
        Method::Refer,
        Method::Info,
        Method::Update,
        Method::Prack,
        Method::Publish,
    ] {
        assert_eq!(method.name().map(Method::of), Some(method));
        let text = written(&Originate { method, ..invite(&[SDP]) });
        assert_eq!(request(&text).method, method);
    }
    assert_eq!(Method::Other.name(), None);
}

/// A warn-code has the text that RFC 3261 section 20.43 gives it, in quotes.
#[test]
fn warnings_have_their_texts() {
    for code in 300..400 {
        let extra = &[Extra::Warning { code, agent: b"a" }];
        let reply = Reply { status: 488, reason: "x", extra, ..Reply::default() };
        let answer = answered(ROUTED, &reply);
        let line = answer.lines().find_map(|line| line.strip_prefix("Warning: ")).unwrap();
        let [number, agent, text] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((number, agent), (code.to_string().as_str(), "a"));
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
        assert!(!text.is_empty() && !text.contains('"'), "{line}");
        assert_eq!(code == 305, text == "Incompatible media format", "{line}");
    }
}
