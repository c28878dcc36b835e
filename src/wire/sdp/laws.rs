//! What holds for any octets whatsoever: the mutation test and the fuzz target check it.

use super::build::{Maker, Stream, answer, answer_size};
use super::*;
use crate::wire::msrp;

/// Reading: spans lie where they must, what was read reads the same again, media descriptions stand
/// one behind the other; and an answer to it can be written, and says what it must.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(octets: &[u8]) {
    let session = match parse(octets) {
        Ok(session) => session,
        Err(malformed) => {
            assert!(malformed.at <= octets.len());
            return;
        }
    };
    assert!(octets.starts_with(session.octets));
    let behind = octets.get(session.octets.len()..).unwrap_or_default();
    assert!(behind.iter().all(|octet| matches!(octet, b'\r' | b'\n')));
    assert_eq!(parse(session.octets), Ok(session));
    if let Err(malformed) = strict(&session) {
        assert!(malformed.at <= octets.len());
    }
    let mut at = session.media_at;
    let mut count: u8 = 0;
    for media in session.media() {
        assert_eq!(media.section.at, at);
        assert!(media.section.of(octets).starts_with(b"m="));
        at = media.section.end();
        count = count.saturating_add(1);
        describes(&media);
    }
    assert_eq!((usize::from(at), count), (session.octets.len(), session.media_count));
    assert!(session.times.of(octets).starts_with(b"t="));
    for taken in [None, Some(0), count.checked_sub(1), Some(count)] {
        answers(&session, taken);
    }
}

fn describes(media: &Media<'_>) {
    for span in [media.media, media.protocol, media.formats, media.path]
        .into_iter()
        .chain([media.accept_types, media.accept_wrapped_types])
        .filter(|span| !span.is_empty())
    {
        assert!(span.at > media.section.at && span.end() <= media.section.end());
    }
    assert!(media.port_count > 0 && !media.protocol.is_empty() && !media.formats.is_empty());
    assert_eq!(media.uris().count(), usize::from(media.path_count));
    let mut last = media.path.at;
    for uri in media.uris() {
        assert!(uri.at >= last && uri.end() <= media.path.end());
        assert!(msrp::uri::parse(uri.of(media.octets)).is_ok());
        last = uri.end();
    }
    if let Some(wrong) = media.wrong {
        assert!(wrong.at < media.octets.len());
    }
    for fingerprint in media.fingerprints() {
        assert!(media.has_fingerprints());
        assert_eq!(fingerprint.value().len(), fingerprint.hash.size());
    }
    if let Some(connection) = media.connection {
        let said = connection.value;
        assert!(connection.address.at > said.at && connection.address.end() <= said.end());
        assert!(!connection.address.is_empty());
    }
}

/// What we would answer, in short.
const STREAM: Stream<'static> = Stream {
    tls: false,
    port: 2855,
    path: b"msrp://192.0.2.1:2855/s;tcp",
    accept_types: b"message/cpim",
    accept_wrapped_types: b"text/plain",
    max_size: Some(1_000_000),
    setup: Setup::Passive,
    cema: true,
    fingerprint: None,
    direction: Direction::RecvOnly,
    more: b"",
};

fn answers(offer: &Session<'_>, taken: Option<u8>) {
    let maker = Maker { session_id: 1, version: 2, host: b"192.0.2.1" };
    let taken = taken.map(|index| (index, &STREAM));
    let mut room = vec![0; offer.octets.len().saturating_mul(2).saturating_add(1_000)];
    let written = answer(offer, &maker, taken, &mut room);
    assert_eq!(written, answer_size(offer, &maker, taken));
    let is_there = taken.is_none_or(|(index, _)| index < offer.media_count);
    assert_eq!(written.is_some(), is_there);
    let Some(len) = written.filter(|len| *len <= SDP_SIZE_MAX) else { return };
    let out = room.get(..len).unwrap_or_default();
    let read = parse(out);
    assert!(read.is_ok_and(|session| session.media_count == offer.media_count), "{read:?}");
    let Ok(session) = read else { return };
    assert_eq!(strict(&session).is_ok(), is_strict_part(offer), "{:?}", strict(&session));
    let lines = |session: &Session<'_>| {
        let lines = session.times.of(session.octets).split(|octet| *octet == b'\n');
        lines.map(|line| line.trim_ascii_end().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&session), lines(offer), "the times of an answer are those of its offer");
    for (index, (was, is)) in (0_u8..).zip(offer.media().zip(session.media())) {
        if taken.is_some_and(|(taken, _)| taken == index) {
            assert_eq!((is.port, is.path.of(out)), (STREAM.port, STREAM.path));
            assert_eq!((is.setup, is.direction), (Some(STREAM.setup), Some(STREAM.direction)));
            assert_eq!((is.max_size, is.cema, is.wrong), (STREAM.max_size, true, None));
            continue;
        }
        assert_eq!((is.port, is.wrong), (0, None));
        assert_eq!(is.media.of(out), was.media.of(offer.octets));
        assert_eq!(is.protocol.of(out), was.protocol.of(offer.octets));
        let first = Entries::new(was.formats.of(offer.octets)).next();
        assert_eq!(Some(is.formats.of(out)), first);
    }
}

/// Whether what an answer repeats of an offer is written as it must be: the times.
fn is_strict_part(offer: &Session<'_>) -> bool {
    let times = [b"v=0\no=- 0 0 IN IP4 a\ns=-\n", offer.times.of(offer.octets), b"\n"].concat();
    parse(&times).is_ok_and(|session| strict(&session).is_ok())
}
