//! What holds for every datagram whatsoever: the mutation test and the fuzz targets check it.

use super::*;
use crate::limits::{FORWARD_GROWTH_MAX, SIP_HEADER_FIELDS_MAX, SIP_HEADER_SIZE_MAX, SIP_VIAS_MAX};

/// Where the datagrams of these checks come from: an address that few Via values name.
pub const SOURCE: Source =
    Source { ip: [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99], port: 40_001 };

/// What an answer may be longer than its request.
const SLOT: usize = 1_000;

/// Reading: spans lie where they must, counts agree, and what was read reads the same again.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(datagram: &[u8]) {
    match parse(datagram) {
        Ok(Message::Request(request)) => {
            let (octets, fields) = (request.octets, &request.fields);
            spans(octets, fields);
            dialogs(octets, fields);
            assert!(!request.method_name.is_empty());
            assert_eq!(request.method, Method::of(request.method_name.of(octets)));
            assert!(request.vias().count() <= usize::from(fields.via_count));
            assert!(request.routes().count() <= usize::from(fields.route_count));
            if request.fault.is_none() {
                assert_eq!(request.vias().count(), usize::from(fields.via_count));
                assert_eq!(request.routes().count(), usize::from(fields.route_count));
                assert!(!fields.from_uri.is_empty());
                assert!(!fields.to_uri.is_empty());
                assert!(!fields.call_id.is_empty());
                assert_eq!(fields.cseq_method, request.method);
                assert!(uri::parse(request.uri.of(octets)).is_ok());
                assert_eq!(parse(octets), Ok(Message::Request(request)));
            }
        }
        Ok(Message::Response(response)) => {
            spans(response.octets, &response.fields);
            dialogs(response.octets, &response.fields);
            assert!((100..=699).contains(&response.status));
            assert_eq!(response.vias().count(), usize::from(response.fields.via_count));
            assert_eq!(parse(response.octets), Ok(Message::Response(response)));
        }
        Err(malformed) => assert!(malformed.at <= datagram.len()),
    }
}

/// Framing: what is whole is read as exactly that message; fewer octets of it are never more than
/// the beginning of one; what is behind it changes nothing.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn frames(octets: &[u8]) {
    use super::stream::{Frame, frame};
    match frame(octets) {
        Frame::Whole { len } => {
            let whole = octets.get(..len).unwrap_or_default();
            assert!(len > 0 && whole.len() == len);
            assert_eq!(frame(whole), Frame::Whole { len });
            for cut in [0, len / 3, len / 2, len.saturating_sub(1)] {
                let prefix = frame(whole.get(..cut).unwrap_or_default());
                assert!(
                    matches!(prefix, Frame::Partial { wanted } if wanted > cut && wanted <= len)
                );
            }
            let read = match parse(whole) {
                Ok(Message::Request(request)) => Some(request.octets),
                Ok(Message::Response(response)) => Some(response.octets),
                Err(_) => None,
            };
            assert!(read.is_none_or(|read| whole.ends_with(read)));
            let empty = len.saturating_sub(read.map_or(len, <[u8]>::len));
            assert!(whole.get(..empty).is_some_and(is_keep_alive));
        }
        Frame::Partial { wanted } => assert!(wanted > octets.len()),
        Frame::Malformed(malformed) => assert!(malformed.at <= octets.len()),
    }
}

fn spans(octets: &[u8], fields: &Fields) {
    let via = &fields.via;
    for span in [fields.from, fields.to, fields.call_id, fields.cseq_value, fields.content_type]
        .into_iter()
        .chain([fields.proxy_require, fields.require, fields.timestamp, fields.body])
        .chain([fields.from_uri, fields.from_tag, fields.to_uri, fields.to_tag])
        .chain([via.value, via.host, via.sent_by, via.branch, via.received, via.rport_written])
        .chain([fields.via_field, fields.route_field, fields.route, fields.max_forwards_written])
        .chain(fields.asserted)
    {
        assert!(usize::from(span.end()) <= octets.len());
        assert_eq!(span.of(octets).len(), usize::from(span.len));
    }
    assert_eq!(usize::from(fields.body.end()), octets.len());
    within(via.value, fields.via_field);
    within(via.sent_by, via.value);
    within(via.host, via.sent_by);
    within(fields.from_tag, fields.from);
    within(fields.to_tag, fields.to);
    within(fields.route, fields.route_field);
    assert!(fields.via_count >= 1);
    assert!(fields.header_count > fields.extra_count);
    assert!(fields.cseq < 1 << 31);
}

/// What dialogs read lies in the header section, and a route set is whole or there is none.
fn dialogs(octets: &[u8], fields: &Fields) {
    let head = octets.get(..usize::from(fields.body.at)).unwrap_or_default();
    let contact = contact_uri(octets, fields);
    assert!(usize::from(contact.end()) <= head.len());
    assert!(contact.is_empty() || fields.contact_count > 0);
    if let Ok(routes) = record_routes(octets, fields) {
        assert!(routes.iter().count() >= usize::from(fields.record_route_count));
        for value in routes.iter() {
            let uri = address_uri(value, Span::between(0, value.len()));
            assert!(!uri.is_empty() && !value.ends_with(b" "));
        }
    }
    for which in [Options::Require, Options::Supported] {
        assert!(options(octets, which).all(|option| Class::TOKEN.has_all(option)));
        let first = options(octets, which).next();
        assert!(first.is_none_or(|option| has_option(octets, which, option)));
    }
    let timer = session_timer(octets);
    assert!(timer.is_ok() || timer.is_err_and(|malformed| malformed.at <= head.len()));
}

fn within(inner: Span, outer: Span) {
    assert!(inner.is_empty() || inner.at >= outer.at);
    assert!(inner.is_empty() || inner.end() <= outer.end());
}

/// Building: what is forwarded, passed back or answered reads well, and has what it must have.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn builds(datagram: &[u8]) {
    let mut slot = vec![0; datagram.len().saturating_add(SLOT)];
    match parse(datagram) {
        Ok(Message::Request(request)) => {
            for choice in 0..4_u8 {
                forwards(&request, choice & 1 != 0, choice & 2 != 0, &mut slot);
            }
            for status in [100, 200, 503] {
                answers(&request, status, &mut slot);
            }
            accepts(&request, &mut slot);
        }
        Ok(Message::Response(response)) => {
            passes_back(&response, &mut slot);
            for status in [401, 407] {
                authorizes(&Response { status, ..response }, &mut slot);
            }
        }
        Err(_) => {}
    }
}

/// Whether two more header fields and one more Via value stay below the limits.
fn has_room(octets: &[u8], fields: &Fields) -> bool {
    let header_len = octets.len().saturating_sub(usize::from(fields.body.len));
    usize::from(fields.via_count) < SIP_VIAS_MAX
        && usize::from(fields.header_count).saturating_add(2) <= SIP_HEADER_FIELDS_MAX
        && header_len.saturating_add(FORWARD_GROWTH_MAX) <= SIP_HEADER_SIZE_MAX
}

fn forwards(request: &Request<'_>, pop_route: bool, strip_asserted: bool, slot: &mut [u8]) {
    let forward = Forward {
        transport: Transport::Udp,
        sent_by: b"[2001:db8::1]:5060",
        branch: b"z9hG4bK0123456789abcdef",
        source: SOURCE,
        max_forwards: 69,
        pop_route,
        strip_asserted,
    };
    let written = forward_request(request, &forward, slot);
    assert!(written.is_some());
    let out = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    assert!(out.len() <= request.octets.len().saturating_add(FORWARD_GROWTH_MAX));
    let (before, fields) = (request.octets, &request.fields);
    if request.fault.is_some() || !has_room(before, fields) {
        return;
    }
    let read = parse(out);
    assert!(matches!(read, Ok(Message::Request(Request { fault: None, .. }))), "{read:?}");
    if let Ok(Message::Request(sent)) = read {
        let after = &sent.fields;
        assert_eq!(after.via.branch.of(out), forward.branch);
        assert_eq!(after.via_count, fields.via_count.saturating_add(1));
        assert_eq!(after.max_forwards, Some(69));
        assert_eq!(after.body.of(out), fields.body.of(before));
        assert_eq!(after.from.of(out), fields.from.of(before));
        assert_eq!(after.to.of(out), fields.to.of(before));
        assert_eq!(after.call_id.of(out), fields.call_id.of(before));
        assert_eq!(after.cseq_value.of(out), fields.cseq_value.of(before));
        let popped = u16::from(pop_route && fields.route_count > 0);
        assert_eq!(after.route_count, fields.route_count.saturating_sub(popped));
        let asserted = if strip_asserted { 0 } else { fields.asserted_count };
        assert_eq!(after.asserted_count, asserted);
        vias_amended(before, request.vias(), out, sent.vias().skip(1));
    }
}

/// The topmost Via says where the request came from; all else in the Via values is as it was.
fn vias_amended(
    before: &[u8],
    was: impl Iterator<Item = Via>,
    after: &[u8],
    is: impl Iterator<Item = Via>,
) {
    for (index, (was, is)) in was.zip(is).enumerate() {
        assert_eq!(is.sent_by.of(after), was.sent_by.of(before));
        assert_eq!(is.branch.of(after), was.branch.of(before));
        assert_eq!(is.rport, was.rport);
        if index > 0 {
            assert_eq!(is.value.of(after), was.value.of(before));
            continue;
        }
        let same = uri::host_address(was.host.of(before)) == Some(SOURCE.ip);
        if was.rport || !was.received.is_empty() || !same {
            assert_eq!(is.received.of(after), b";received=2001:db8::99");
        } else {
            assert!(is.received.is_empty());
        }
        if was.rport {
            assert_eq!(is.rport_written.of(after), b";rport=40001");
        }
    }
}

fn answers(request: &Request<'_>, status: u16, slot: &mut [u8]) {
    let reply = Reply {
        status,
        reason: reason_phrase(status),
        to_tag: b"0123456789abcdef",
        source: SOURCE,
        extra: &[Extra::RetryAfter(7)],
        ..Reply::default()
    };
    let written = respond(request, &reply, slot);
    assert!(written.is_some());
    let out = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    let (before, fields) = (request.octets, &request.fields);
    if request.fault.is_some() || !has_room(before, fields) {
        return;
    }
    let read = parse(out);
    assert!(matches!(read, Ok(Message::Response(_))), "{read:?}");
    if let Ok(Message::Response(sent)) = read {
        let after = &sent.fields;
        assert_eq!((sent.status, sent.reason.of(out)), (status, reply.reason.as_bytes()));
        assert_eq!(after.via_count, fields.via_count);
        assert_eq!(after.from.of(out), fields.from.of(before));
        assert_eq!(after.call_id.of(out), fields.call_id.of(before));
        assert_eq!(after.cseq_value.of(out), fields.cseq_value.of(before));
        assert!(after.to.of(out).starts_with(fields.to.of(before)));
        let given = status != 100 && fields.to_tag.is_empty();
        let tag = if given { b"0123456789abcdef" } else { fields.to_tag.of(before) };
        assert_eq!(after.to_tag.of(out), tag);
        assert_eq!(after.retry_after, Some(7));
        assert!(after.body.is_empty());
        vias_amended(before, request.vias(), out, sent.vias());
    }
}

/// A 2xx that makes a dialog: both ends know it by the same names, and the same way.
fn accepts(request: &Request<'_>, slot: &mut [u8]) {
    let expires = SessionExpires { seconds: 1_800, refresher: Some(Refresher::Uac) };
    let reply = Reply {
        status: 200,
        reason: reason_phrase(200),
        to_tag: b"ours",
        source: SOURCE,
        record_route: true,
        extra: &[
            Extra::Contact { uri: b"sip:ours.example", parameters: b"" },
            Extra::SessionExpires(expires),
            Extra::Require(b"timer"),
        ],
        content_type: b"application/sdp",
        body: &[b"v=0", b"\r\n"],
    };
    let written = respond(request, &reply, slot);
    assert!(written.is_some());
    let out = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    let (before, fields) = (request.octets, &request.fields);
    let head = before.len().saturating_sub(usize::from(fields.body.len));
    let most = head.saturating_add(FORWARD_GROWTH_MAX).saturating_add(reply.content_size());
    assert!(out.len() <= most);
    if request.fault.is_some() || !has_room(before, fields) {
        return;
    }
    let read = parse(out);
    assert!(matches!(read, Ok(Message::Response(_))), "{read:?}");
    if let Ok(Message::Response(sent)) = read {
        let after = &sent.fields;
        assert_eq!(contact_uri(out, after).of(out), b"sip:ours.example");
        assert_eq!(session_timer(out).map(|timer| timer.expires), Ok(Some(expires)));
        assert!(has_option(out, Options::Require, b"timer"));
        assert_eq!(after.record_route_count, fields.record_route_count);
        match (record_routes(before, fields), record_routes(out, after)) {
            (Ok(there), Ok(here)) => assert!(there.iter().eq(here.iter())),
            (there, here) => assert!(there.is_err() && here.is_err()),
        }
        assert_eq!(after.body.of(out), b"v=0\r\n");
    }
}

fn passes_back(response: &Response<'_>, slot: &mut [u8]) {
    let (before, fields) = (response.octets, &response.fields);
    let written = forward_response(response, None, false, false, slot);
    assert!(written.is_some());
    let out = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    assert!(out.len() < before.len());
    let read = parse(out);
    if fields.via_count < 2 {
        assert!(read.is_err());
        return;
    }
    assert!(matches!(read, Ok(Message::Response(_))), "{read:?}");
    if let Ok(Message::Response(sent)) = read {
        let after = &sent.fields;
        assert_eq!(sent.status, response.status);
        assert_eq!(sent.reason.of(out), response.reason.of(before));
        assert_eq!(after.via_count, fields.via_count.saturating_sub(1));
        assert_eq!(after.body.of(out), fields.body.of(before));
        assert_eq!(after.extra_count, fields.extra_count);
        for (was, is) in response.vias().skip(1).zip(sent.vias()) {
            assert_eq!(is.value.of(out), was.value.of(before));
        }
    }
    let written = forward_response(response, Some((500, reason_phrase(500))), false, true, slot);
    let out = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    let told = matches!(parse(out), Ok(Message::Response(sent)) if sent.status == 500);
    assert!(told);
}

/// The answer to a challenge is one line, and one header field of a request.
fn authorizes(response: &Response<'_>, slot: &mut [u8]) {
    let Some(challenge) = digest::challenge(response) else { return };
    assert_eq!(challenge.is_proxy, response.status == 407);
    let credentials = digest::Credentials { username: b"a \"b\" \\", password: b"secret" };
    let uri = b"sip:c@d";
    let written = digest::authorization(&challenge, credentials, b"MESSAGE", uri, 7, slot);
    assert!(written.is_some());
    let line = slot.get(..written.unwrap_or_default()).unwrap_or_default();
    assert!(line.iter().position(u8::is_ascii_control) == line.len().checked_sub(2));
    let head = b"MESSAGE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n";
    let datagram = [&head[..], line, b"\r\n"].concat();
    let read = parse(&datagram);
    // Five header fields and this one; a long challenge may be more than a request may hold.
    let one_more =
        matches!(&read, Ok(Message::Request(request)) if request.fields.header_count == 6);
    assert!(one_more || line.len() > SIP_HEADER_SIZE_MAX / 2, "{read:?}");
}
