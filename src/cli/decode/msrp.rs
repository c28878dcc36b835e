//! MSRP requests and responses, one behind the other as in a stream.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::text::{hex, present, value};
use super::{Item, Outcome};
use crate::limits::MSRP_REPORT_BODY_SIZE_MAX;
use crate::wire::Malformed;
use crate::wire::msrp::{
    Event, Fields, Flag, Head, Method, Path, Reader, Request, Response, head, header_fields, strict,
};

/// What a request or a response says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    #[serde(rename = "type")]
    kind: &'static str,
    tid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    to_path: Vec<String>,
    from_path: Vec<String>,
    message_id: Option<String>,
    byte_range: Option<(u64, Option<u64>, Option<u64>)>,
    success_report: Option<String>,
    failure_report: Option<String>,
    status_ns: Option<u16>,
    status_code: Option<u16>,
    status_comment: Option<String>,
    use_path: Option<Vec<String>>,
    expires: Option<u32>,
    content_type: Option<String>,
    header_count: u16,
    has_body: bool,
    body_len: u64,
    body_sha256: String,
    flag: String,
    consumed: u64,
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

/// A chunk that is being read.
#[derive(Default)]
struct Open {
    facts: Facts,
    digest: Sha256,
    at: usize,
    may_go_on: bool,
}

/// Reads all requests and responses that there are.
pub(super) fn decode(octets: &[u8]) -> Outcome {
    let mut reader = Reader::new();
    let mut items = Vec::new();
    let mut open = Open::default();
    let mut at = 0;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        if rest.is_empty() && !items.is_empty() && reader == Reader::new() {
            return Outcome::of(items, 0);
        }
        let read = match reader.read(rest) {
            Event::Head { len } => begin(rest.get(..len).unwrap_or_default(), at).map(|begun| {
                open = begun;
                len
            }),
            Event::Body { len } => {
                open.digest.update(rest.get(..len).unwrap_or_default());
                open.facts.body_len += len as u64;
                Ok(len)
            }
            Event::End { flag, len } => {
                let line = rest.get(..len).unwrap_or_default();
                end(core::mem::take(&mut open), flag, line, at).map(|facts| {
                    items.push(Item::Msrp(Box::new(facts)));
                    len
                })
            }
            Event::Partial { wanted } => {
                let missing = wanted.saturating_sub(rest.len());
                let error = format!(
                    "the octets end in message {}, which wants at least {missing} more",
                    items.len() + 1
                );
                return Outcome::prefix(error, items);
            }
            Event::Malformed(malformed) => Err(Flaw::of(malformed, at)),
        };
        match read {
            Ok(len) => at = at.saturating_add(len),
            Err(flaw) => return Outcome::wrong(flaw.text(&items), items),
        }
    }
}

/// A head, `before` octets behind the first one that was given. A method that is not known (501) is
/// no flaw: standards to come may bring some.
fn begin(octets: &[u8], before: usize) -> Result<Open, Flaw> {
    let read = head(octets).map_err(|malformed| Flaw::of(malformed, before))?;
    let facts = match &read {
        Head::Request(request) => {
            if let Some(fault) = request.fault.filter(|fault| fault.code != 501) {
                let at = before.saturating_add(usize::from(fault.at));
                return Err(Flaw { expected: fault.to_string(), at });
            }
            of_request(request)
        }
        Head::Response(response) => of_response(response),
    };
    strict::check(&read).map_err(|malformed| Flaw::of(malformed, before))?;
    let may_go_on = matches!(&read, Head::Request(request) if request.method == Method::Send);
    Ok(Open { facts, at: before, may_go_on, ..Open::default() })
}

/// The end-line, `before` octets behind the first one that was given.
fn end(open: Open, flag: Flag, line: &[u8], before: usize) -> Result<Facts, Flaw> {
    let mut facts = open.facts;
    let wrong = |expected| Err(Flaw::of(Malformed { expected, at: 0 }, before));
    if facts.has_body && !line.starts_with(b"\r\n") {
        return wrong("CR and LF in front of the end-line");
    }
    if !open.may_go_on && flag != Flag::Last {
        return wrong("$ behind what is not sent in chunks");
    }
    if !open.may_go_on && facts.body_len > MSRP_REPORT_BODY_SIZE_MAX as u64 {
        return wrong("a body of 10240 octets at most, as it is no SEND");
    }
    facts.body_sha256 = hex(&open.digest.finalize());
    facts.flag = char::from(flag.octet()).to_string();
    facts.consumed = before.saturating_add(line.len()).saturating_sub(open.at) as u64;
    Ok(facts)
}

fn of_request(request: &Request<'_>) -> Facts {
    let (octets, fields) = (request.octets, &request.fields);
    Facts {
        kind: "request",
        tid: value(request.transaction_id.of(octets)),
        method: Some(value(request.method_name.of(octets))),
        to_path: uris(request.to_path()),
        from_path: uris(request.from_path()),
        has_body: request.has_body,
        ..of_fields(octets, fields)
    }
}

fn of_response(response: &Response<'_>) -> Facts {
    let (octets, fields) = (response.octets, &response.fields);
    Facts {
        kind: "response",
        tid: value(response.transaction_id.of(octets)),
        status: Some(response.code),
        comment: present(response.comment.of(octets)),
        to_path: uris(response.to_path()),
        from_path: uris(response.from_path()),
        has_body: response.has_body,
        ..of_fields(octets, fields)
    }
}

fn of_fields(octets: &[u8], fields: &Fields) -> Facts {
    // What is meant where nothing is said is no fact of these octets.
    let written = |name: &str| {
        let mut found = header_fields(octets);
        let field = found.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        field.map(|field| value(field.value))
    };
    let use_path = Path::parse(fields.use_path.of(octets));
    Facts {
        message_id: present(fields.message_id.of(octets)),
        byte_range: fields.byte_range.map(|range| (range.start, range.end, range.total)),
        success_report: written("Success-Report"),
        failure_report: written("Failure-Report"),
        status_ns: fields.status.map(|status| status.namespace),
        status_code: fields.status.map(|status| status.code),
        status_comment: fields.status.and_then(|status| present(status.comment.of(octets))),
        use_path: use_path.ok().map(uris),
        expires: fields.expires,
        content_type: present(fields.content_type.of(octets)),
        header_count: fields.header_count,
        ..Facts::default()
    }
}

fn uris(path: Path<'_>) -> Vec<String> {
    path.written().map(value).collect()
}
