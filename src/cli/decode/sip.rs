//! SIP messages: one in a datagram, or one behind the other in a stream.

use serde::Serialize;

use super::request::Framing;
use super::sdp;
use super::text::{present, sha256, value};
use super::{Item, Outcome};
use crate::wire::sip::stream::{Frame, frame};
use crate::wire::sip::{Fields, Message, Survey, is_keep_alive, parse, survey};
use crate::wire::{Malformed, Span};

/// What a message says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    call_id: Option<String>,
    cseq: u32,
    cseq_method: Option<String>,
    branch: Option<String>,
    via_count: u16,
    via_host: Option<String>,
    via_port: Option<u16>,
    via_transport: Option<String>,
    from_uri: Option<String>,
    from_tag: Option<String>,
    to_uri: Option<String>,
    to_tag: Option<String>,
    max_forwards: Option<u8>,
    route_count: u16,
    record_route_count: u16,
    contact_count: u16,
    header_count: u16,
    content_type: Option<String>,
    content_length: Option<u64>,
    body_len: u16,
    body_sha256: String,
    /// The body, if it is a session description.
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp: Option<sdp::Facts>,
    /// What is wrong with it, at which of its octets. The message may be passed on all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp_error: Option<String>,
    consumed: usize,
}

/// What is wrong, where in the octets that were given.
struct Flaw {
    expected: String,
    at: usize,
}

impl Flaw {
    fn of(malformed: Malformed, before: usize) -> Self {
        let expected = format!("expected {}", malformed.expected);
        Self { expected, at: before.saturating_add(malformed.at) }
    }

    fn text(&self, before: &[Item]) -> String {
        let Self { expected, at } = self;
        match before.len() {
            0 => format!("{expected} at octet {at}"),
            count => format!("{expected} at octet {at}, in message {}", count + 1),
        }
    }
}

/// Reads what `framing` says there is.
pub(super) fn decode(octets: &[u8], framing: Framing) -> Outcome {
    match framing {
        Framing::Datagram => match facts(octets, 0) {
            Ok(facts) => {
                let rest = octets.len().saturating_sub(facts.consumed);
                Outcome::of(vec![Item::Sip(Box::new(facts))], rest)
            }
            Err(_) if is_keep_alive(octets) => {
                Outcome::wrong("no message: nothing but empty lines".to_owned(), Vec::new())
            }
            Err(flaw) => Outcome::wrong(flaw.text(&[]), Vec::new()),
        },
        Framing::Stream => stream(octets),
    }
}

fn stream(octets: &[u8]) -> Outcome {
    let mut items = Vec::new();
    let mut at = 0;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        // Empty lines behind the last message keep the connection open and begin nothing.
        if !items.is_empty() && rest.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
            return Outcome::of(items, rest.len());
        }
        match frame(rest) {
            Frame::Whole { len } => {
                match facts(rest.get(..len).unwrap_or_default(), at) {
                    Ok(facts) => items.push(Item::Sip(Box::new(facts))),
                    Err(flaw) => return Outcome::wrong(flaw.text(&items), items),
                }
                at = at.saturating_add(len);
            }
            Frame::Partial { wanted } => {
                let missing = wanted.saturating_sub(rest.len());
                let error = format!(
                    "the octets end in message {}, which wants at least {missing} more",
                    items.len() + 1
                );
                return Outcome::prefix(error, items);
            }
            Frame::Malformed(malformed) => {
                return Outcome::wrong(Flaw::of(malformed, at).text(&items), items);
            }
        }
    }
}

/// Reads one message, `before` octets behind the first one that was given.
///
/// A scheme that is not ours (416) is no flaw: the standard leaves it open, and it is the path that
/// cannot carry it.
fn facts(octets: &[u8], before: usize) -> Result<Facts, Flaw> {
    let mut message = octets;
    while let Some(rest) = message.strip_prefix(b"\r\n") {
        message = rest;
    }
    let empty = octets.len().saturating_sub(message.len());
    let before = before.saturating_add(empty);
    let read = parse(message).map_err(|malformed| Flaw::of(malformed, before))?;
    let (octets, fields) = match &read {
        Message::Request(request) => {
            if let Some(fault) = request.fault.filter(|fault| fault.status != 416) {
                let at = before.saturating_add(usize::from(fault.at));
                return Err(Flaw { expected: fault.to_string(), at });
            }
            (request.octets, &request.fields)
        }
        Message::Response(response) => (response.octets, &response.fields),
    };
    let survey = survey(octets).map_err(|malformed| Flaw::of(malformed, before))?;
    let mut facts = of_fields(octets, fields, survey);
    facts.consumed = empty.saturating_add(octets.len());
    match &read {
        Message::Request(request) => {
            facts.kind = "request";
            facts.method = Some(value(request.method_name.of(octets)));
            facts.ruri = Some(value(request.uri.of(octets)));
        }
        Message::Response(response) => {
            facts.kind = "response";
            facts.status = Some(response.status);
            facts.reason = Some(value(response.reason.of(octets)));
        }
    }
    Ok(facts)
}

fn of_fields(octets: &[u8], fields: &Fields, survey: Survey) -> Facts {
    let of = |span: Span| present(span.of(octets));
    let body = fields.body.of(octets);
    let (sdp, sdp_error) = match is_sdp(fields.content_type.of(octets)) {
        true => match sdp::facts(body) {
            Ok((facts, _)) => (Some(facts), None),
            Err(malformed) => (None, Some(malformed.to_string())),
        },
        false => (None, None),
    };
    Facts {
        call_id: of(fields.call_id),
        cseq: fields.cseq,
        cseq_method: present(behind_number(fields.cseq_value.of(octets))),
        branch: of(fields.via.branch),
        via_count: fields.via_count,
        via_host: of(fields.via.host),
        via_port: fields.via.port,
        via_transport: present(fields.via.transport_name(octets)),
        from_uri: of(fields.from_uri),
        from_tag: of(fields.from_tag),
        to_uri: of(fields.to_uri),
        to_tag: of(fields.to_tag),
        max_forwards: fields.max_forwards,
        route_count: fields.route_count,
        record_route_count: survey.record_route_count,
        contact_count: survey.contact_count,
        header_count: fields.header_count,
        content_type: of(fields.content_type),
        content_length: survey.content_length,
        body_len: fields.body.len,
        body_sha256: sha256(body),
        sdp,
        sdp_error,
        ..Facts::default()
    }
}

/// Whether a body of this type is a session description. One in a multipart is not looked for.
fn is_sdp(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|octet| *octet == b';').unwrap_or(content_type.len());
    let media_type = content_type.get(..end).unwrap_or_default().trim_ascii();
    media_type.eq_ignore_ascii_case(b"application/sdp")
}

/// The method behind the number in CSeq.
fn behind_number(cseq: &[u8]) -> &[u8] {
    let digits = cseq.iter().take_while(|octet| octet.is_ascii_digit()).count();
    cseq.get(digits..).unwrap_or_default().trim_ascii_start()
}
