//! Session descriptions.

use serde::Serialize;

use super::text::{hex, present, value};
use super::{Item, Outcome};
use crate::wire::sdp::{Connection, Entries, Media, Session, parse, strict};
use crate::wire::{Malformed, Span};

/// What a description says.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    origin: String,
    session_id: u64,
    session_version: u64,
    session_name: String,
    connection: Option<String>,
    media_count: u8,
    media: Vec<Stream>,
}

/// What a media description says, and what its session says for it.
#[derive(Debug, Serialize)]
struct Stream {
    media: String,
    port: u16,
    port_count: u16,
    proto: String,
    fmt: Vec<String>,
    connection: Option<String>,
    path: Option<Vec<String>>,
    accept_types: Option<Vec<String>>,
    accept_wrapped_types: Option<Vec<String>>,
    max_size: Option<u64>,
    setup: Option<&'static str>,
    msrp_cema: bool,
    direction: Option<&'static str>,
    fingerprints: Vec<[String; 2]>,
}

/// Reads one description.
pub(super) fn decode(octets: &[u8]) -> Outcome {
    match facts(octets) {
        Ok((facts, len)) => {
            Outcome::of(vec![Item::Sdp(Box::new(facts))], octets.len().saturating_sub(len))
        }
        Err(malformed) => Outcome::wrong(malformed.to_string(), Vec::new()),
    }
}

/// The facts of one description, and how many octets it has.
///
/// # Errors
///
/// What cannot be read, or must not be written so.
pub(super) fn facts(octets: &[u8]) -> Result<(Facts, usize), Malformed> {
    let session = parse(octets)?;
    strict(&session)?;
    Ok((of_session(&session), session.octets.len()))
}

fn of_session(session: &Session<'_>) -> Facts {
    let of = |span: Span| value(span.of(session.octets));
    Facts {
        origin: of(session.origin.value),
        session_id: session.origin.session_id,
        session_version: session.origin.version,
        session_name: of(session.name),
        connection: session.connection.map(|connection| of(connection.value)),
        media_count: session.media_count,
        media: session.media().map(|media| of_media(&media)).collect(),
    }
}

fn of_media(media: &Media<'_>) -> Stream {
    let of = |span: Span| value(span.of(media.octets));
    let entries = |span: Span| Entries::new(span.of(media.octets)).map(value).collect();
    let list = |span: Span| (!span.is_empty()).then(|| entries(span));
    Stream {
        media: of(media.media),
        port: media.port,
        port_count: media.port_count,
        proto: of(media.protocol),
        fmt: entries(media.formats),
        connection: media
            .connection
            .and_then(|Connection { value, .. }| present(value.of(media.octets))),
        path: list(media.path),
        accept_types: list(media.accept_types),
        accept_wrapped_types: list(media.accept_wrapped_types),
        max_size: media.max_size,
        setup: media.setup.map(|setup| setup.name()),
        msrp_cema: media.cema,
        direction: media.direction.map(|direction| direction.name()),
        fingerprints: media
            .fingerprints()
            .map(|print| [print.hash.name().to_owned(), hex(print.value())])
            .collect(),
    }
}
