//! Bodies of `message/cpim`.

use serde::Serialize;

use super::text::{present, sha256, value};
use super::{Item, Outcome};
use crate::wire::Span;
use crate::wire::cpim::{Message, parse, unescape};

/// What a message says. Values of message headers have their escapes decoded.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    headers: Vec<[String; 2]>,
    from: Option<String>,
    to: Option<String>,
    datetime: Option<String>,
    subject: Option<String>,
    imdn_message_id: Option<String>,
    imdn_disposition: Option<Vec<String>>,
    content_type: Option<String>,
    content_length: Option<u16>,
    body_len: u16,
    body_sha256: String,
}

/// Reads one message.
pub(super) fn decode(octets: &[u8]) -> Outcome {
    match parse(octets) {
        Ok(message) => {
            let rest = octets.len().saturating_sub(message.octets.len());
            Outcome::of(vec![Item::Cpim(Box::new(facts(&message)))], rest)
        }
        Err(malformed) => Outcome::wrong(malformed.to_string(), Vec::new()),
    }
}

fn facts(message: &Message<'_>) -> Facts {
    let octets = message.octets;
    let of = |span: Span| (!span.is_empty()).then(|| meant(span.of(octets)));
    let list = |wanted: String| wanted.split(',').map(|wish| wish.trim().to_owned()).collect();
    Facts {
        headers: message
            .headers()
            .map(|header| [value(header.name), meant(header.value)])
            .collect(),
        from: of(message.from),
        to: of(message.to),
        datetime: of(message.date_time),
        subject: of(message.subject),
        imdn_message_id: of(message.message_id),
        imdn_disposition: of(message.disposition_notification).map(list),
        content_type: present(message.content_type.of(octets)),
        content_length: message.content_length,
        body_len: message.body.len,
        body_sha256: sha256(message.body.of(octets)),
    }
}

/// The value with its escapes decoded: what they stand for is text, and no folding even if it is
/// CR and LF. A value of a parsed message is UTF-8 and has no escape that is none.
fn meant(written: &[u8]) -> String {
    let mut room = vec![0; written.len()];
    let len = unescape(written, &mut room).unwrap_or_default();
    room.truncate(len);
    String::from_utf8_lossy(&room).into_owned()
}
