//! Requests of ours made at random, read back by the parser; and what ACK and CANCEL have in common with
//! their INVITE. Seeded: a failure names the seed to repeat.

use super::*;
use crate::wire::sip::properties::Chance;
use crate::wire::sip::{
    Message, Method, Options, Refresher, SessionExpires, contact_uri, has_option, parse,
    session_timer,
};

const CASES: u64 = 5_000;
const METHODS: [Method; 7] = [
    Method::Message,
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Update,
    Method::Options,
];
const URIS: &[&str] = &[
    "sip:a@b",
    "sip:+15551230002@im.example;user=phone",
    "sip:[2001:db8::1]:5061;transport=tcp;lr",
    "tel:+1;phone-context=x",
];
const TAGS: &[&str] = &["", "a", "0123456789abcdef"];
const ROUTES: &[&str] = &["", "<sip:p1;lr>", "<sip:p1;lr>,\"P, 2\" <sip:p2;lr>;x=\"a,b\""];
const BODIES: &[&[&[u8]]] =
    &[&[], &[b"v=0\r\n"], &[b"", b"\r\n\r\n", b"Content-Length: 7\r\n\r\n"], &[b"\0\xE9", b""]];
const EXTRAS: &[(Extra<'static>, u16)] = &[
    (Extra::None, 0),
    (Extra::RetryAfter(7), 1),
    (Extra::Allow(ALLOW_SESSIONS), 1),
    (Extra::Capabilities { allow: ALLOW_PAGER, supported: b"timer" }, 3),
    (Extra::Unsupported(b"a, b"), 1),
    (Extra::Accept(b"application/sdp"), 1),
    (Extra::Supported(b"timer"), 1),
    (Extra::Require(b"timer"), 1),
    (Extra::Contact { uri: b"sip:ours:5060", parameters: b";+g.oma.sip-im" }, 1),
    (Extra::SessionExpires(SessionExpires { seconds: 90, refresher: Some(Refresher::Uas) }), 1),
    (Extra::MinSe(u32::MAX), 1),
    (Extra::Warning { code: 399, agent: b"a:5060" }, 1),
    (Extra::Lines(b"Server: x\r\nDate: y\r\n"), 2),
];

fn party(chance: &mut Chance) -> Party<'static> {
    match chance.below(3) {
        0 => Party::Uri(b"sip:alice@example.com"),
        1 => Party::Value(b"\"A, <B>\" <sip:alice@example.com>"),
        _ => Party::Value(b"sip:alice@example.com"),
    }
}

/// The value as it is sent, without its tag.
fn shown(party: Party<'_>) -> Vec<u8> {
    match party {
        Party::Uri(uri) => [b"<", uri, b">"].concat(),
        Party::Value(value) => value.to_vec(),
    }
}

fn tagged(party: Party<'_>, tag: &[u8]) -> Vec<u8> {
    let parameter = if tag.is_empty() { Vec::new() } else { [b";tag=", tag].concat() };
    [shown(party), parameter].concat()
}

fn written(message: &Originate<'_>, slot: &mut [u8; 2_000], seed: u64) -> usize {
    let len = originate(message, slot).unwrap();
    assert_eq!(len, message.size(), "{seed}");
    let short = &mut slot[..len - 1];
    assert_eq!(originate(message, short), None, "{seed}");
    assert_eq!(originate(message, slot), Some(len), "{seed}");
    len
}

fn assert_reads(message: &Originate<'_>, seed: u64) {
    let mut slot = [0; 2_000];
    let len = written(message, &mut slot, seed);
    let text = slot[..len].escape_ascii().to_string();
    let Ok(Message::Request(request)) = parse(&slot[..len]) else { panic!("{seed}\n{text}") };
    let (octets, fields) = (request.octets, &request.fields);
    let of = |span: Span| span.of(octets);
    assert_eq!(request.fault, None, "{seed}\n{text}");
    assert_eq!((request.method, octets.len()), (message.method, len), "{seed}\n{text}");
    assert_eq!(of(request.uri), message.uri, "{seed}\n{text}");
    assert_eq!(fields.via.transport, message.transport, "{seed}\n{text}");
    assert_eq!(of(fields.via.sent_by), message.sent_by, "{seed}\n{text}");
    assert_eq!(of(fields.via.branch), message.branch, "{seed}\n{text}");
    assert_eq!((fields.via_count, fields.via.rport), (1, true), "{seed}\n{text}");
    assert_eq!(fields.max_forwards, Some(message.max_forwards), "{seed}\n{text}");
    assert_eq!(of(fields.from), tagged(message.from, message.from_tag), "{seed}\n{text}");
    assert_eq!(of(fields.to), tagged(message.to, message.to_tag), "{seed}\n{text}");
    assert_eq!(of(fields.from_tag), message.from_tag, "{seed}\n{text}");
    assert_eq!(of(fields.to_tag), message.to_tag, "{seed}\n{text}");
    assert_eq!(of(fields.call_id), message.call_id, "{seed}\n{text}");
    assert_eq!((fields.cseq, fields.cseq_method), (message.cseq, message.method), "{seed}\n{text}");
    assert_eq!(of(fields.content_type), message.content_type, "{seed}\n{text}");
    assert_eq!(of(fields.body), message.body.concat(), "{seed}\n{text}");
    assert!(fields.has_content_length, "{seed}\n{text}");
    // The values in their order, and the target behind them.
    let Routes { values, target } = message.routes;
    let values_count = match values {
        b"" => 0,
        values => 1 + u16::from(values.contains(&b'2')),
    };
    assert_eq!(fields.route_count, values_count + u16::from(!target.is_empty()), "{seed}\n{text}");
    let last = request.routes().last().map(|route| of(route.uri)).unwrap_or_default();
    assert!(target.is_empty() || last == target, "{seed}\n{text}");
}

fn random(chance: &mut Chance) -> Originate<'static> {
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let body = BODIES[chance.below(BODIES.len())];
    let target: &[u8] = if chance.one_in(3) { b"sip:target@a" } else { b"" };
    Originate {
        method: METHODS[chance.below(METHODS.len())],
        uri: chance.pick(URIS).as_bytes(),
        transport: transports[chance.below(3)],
        sent_by: chance.pick(&["a", "[2001:db8::5]:5060", "192.0.2.1:5061"]).as_bytes(),
        branch: chance.pick(&["z9hG4bK1", "z9hG4bKffffffffffffffff"]).as_bytes(),
        max_forwards: chance.octet(),
        routes: Routes { values: chance.pick(ROUTES).as_bytes(), target },
        from: party(chance),
        from_tag: chance.pick(TAGS).as_bytes(),
        to: party(chance),
        to_tag: chance.pick(TAGS).as_bytes(),
        call_id: chance.pick(&["x", "1@roger.example", "a:b<c>"]).as_bytes(),
        cseq: u32::try_from(chance.next() >> 33).unwrap() >> chance.below(31),
        preferences: chance.pick(&["", "Request-Disposition: no-fork\r\n"]).as_bytes(),
        more: &[b"Subject: ", b"a\r\n"],
        extra: &[],
        content_type: if body.is_empty() { b"" } else { b"application/sdp" },
        body,
    }
}

#[test]
fn requests_are_read_as_they_were_meant() {
    for seed in 0..CASES {
        let mut chance = Chance(seed);
        let message = random(&mut chance);
        let (extra, lines) = EXTRAS[chance.below(EXTRAS.len())];
        let message = Originate { extra: &[extra], ..message };
        assert_reads(&message, seed);
        // Each header field is there once, and says what it is there for.
        let mut slot = [0; 2_000];
        let len = written(&message, &mut slot, seed);
        let Ok(Message::Request(request)) = parse(&slot[..len]) else { panic!("{seed}") };
        let (octets, fields) = (request.octets, &request.fields);
        let fixed = 8 + u16::from(message.routes != Routes::default());
        let others = u16::from(!message.preferences.is_empty())
            + u16::from(!message.content_type.is_empty());
        assert_eq!(fields.header_count, fixed + others + lines, "{seed}");
        let contact = contact_uri(octets, fields).of(octets);
        assert_eq!(!contact.is_empty(), matches!(extra, Extra::Contact { .. }), "{seed}");
        let timer = session_timer(octets).unwrap();
        assert_eq!(timer.expires.is_some(), matches!(extra, Extra::SessionExpires(_)), "{seed}");
        assert_eq!(timer.min_se.is_some(), extra == Extra::MinSe(u32::MAX), "{seed}");
        let supports = matches!(extra, Extra::Supported(_) | Extra::Capabilities { .. });
        assert_eq!(has_option(octets, Options::Supported, b"timer"), supports, "{seed}");
        let requires = matches!(extra, Extra::Require(_));
        assert_eq!(has_option(octets, Options::Require, b"timer"), requires, "{seed}");
    }
}

/// RFC 3261 sections 9.1 and 17.1.1.3.
#[test]
fn ack_and_cancel_are_found_by_what_the_invite_says() {
    for seed in 0..CASES {
        let mut chance = Chance(seed);
        let extra = &[EXTRAS[chance.below(EXTRAS.len())].0];
        let invite = Originate { method: Method::Invite, extra, ..random(&mut chance) };
        let (ack, cancel) = (invite.ack(b"<sip:c@d>;tag=theirs"), invite.cancel());
        for own in [&ack, &cancel] {
            assert!(own.more.is_empty() && own.extra.is_empty(), "{seed}");
            assert!(own.body.is_empty() && own.content_type.is_empty(), "{seed}");
            assert_eq!((own.uri, own.branch), (invite.uri, invite.branch), "{seed}");
            assert_eq!((own.sent_by, own.transport), (invite.sent_by, invite.transport), "{seed}");
            assert_eq!((own.from, own.from_tag), (invite.from, invite.from_tag), "{seed}");
            assert_eq!((own.routes, own.call_id), (invite.routes, invite.call_id), "{seed}");
            assert_eq!((own.cseq, own.preferences), (invite.cseq, invite.preferences), "{seed}");
            assert_eq!(own.max_forwards, MAX_FORWARDS, "{seed}");
        }
        assert_eq!((cancel.method, cancel.to), (Method::Cancel, invite.to), "{seed}");
        assert_eq!(cancel.to_tag, invite.to_tag, "{seed}");
        assert_reads(&cancel, seed);
        let mut slot = [0; 2_000];
        let len = written(&ack, &mut slot, seed);
        let Ok(Message::Request(request)) = parse(&slot[..len]) else { panic!("{seed}") };
        assert_eq!((request.fault, request.method), (None, Method::Ack), "{seed}");
        assert_eq!(request.fields.to.of(request.octets), b"<sip:c@d>;tag=theirs", "{seed}");
        assert_eq!(request.fields.cseq, invite.cseq, "{seed}");
    }
}
