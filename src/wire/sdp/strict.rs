//! What a standard forbids and all read alike nevertheless.

use super::attribute::split;
use super::line::{Line, line};
use super::{Session, list, over};
use crate::wire::{Malformed, Span};

/// Whether a description that can be read is also what RFC 8866 section 9 lets be written, and RFC
/// 4975, 4145 and 8122 of their attributes.
///
/// # Errors
///
/// Something that is not: first what is wrong with an attribute that is known.
pub fn strict(session: &Session<'_>) -> Result<(), Malformed> {
    if let Some((expected, at)) = session.common.wrong {
        return Err(Malformed { expected, at });
    }
    session.media().find_map(|media| media.wrong).map_or(Ok(()), Err)?;
    let octets = session.octets;
    let mut at = 0;
    while let Some(line) = line(octets, at)? {
        value(octets, &line)?;
        at = line.next;
    }
    if !octets.ends_with(b"\n") {
        return Err(Malformed { expected: "the end of the last line", at: octets.len() });
    }
    match session.media().find(|media| media.connection.is_none()) {
        Some(media) => {
            let at = media.section.at.into();
            Err(Malformed { expected: "a c= for this media description", at })
        }
        None => Ok(()),
    }
}

fn value(octets: &[u8], line: &Line) -> Result<(), Malformed> {
    let written = line.value.of(octets);
    let expected = match line.letter {
        _ if written.is_empty() => "a value",
        b'b' if !is_bandwidth(written) => "a type of bandwidth and a number",
        b't' if !written.split(|&octet| octet == b' ').all(is_time) => "0 or at least ten digits",
        b'a' => match attribute(octets, line.value) {
            Some(expected) => expected,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(Malformed { expected, at: line.value.at.into() })
}

/// `bwtype ":" bandwidth`
fn is_bandwidth(written: &[u8]) -> bool {
    let colon = written.iter().position(|&octet| octet == b':').unwrap_or(written.len());
    let (kind, number) = written.split_at_checked(colon).unwrap_or_default();
    let number = number.get(1..).unwrap_or_default();
    list::is_token(kind) && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

/// `time / "0"`
fn is_time(written: &[u8]) -> bool {
    written == b"0" || (written.len() >= 10 && !written.starts_with(b"0"))
}

/// What should have been there.
fn attribute(octets: &[u8], written: Span) -> Option<&'static str> {
    let (name, value) = split(octets, written);
    let text = value.unwrap_or_default().of(octets);
    if !list::is_token(name) {
        return Some("the name of an attribute");
    }
    if value.is_some_and(Span::is_empty) {
        return Some("the value of an attribute");
    }
    match name {
        b"accept-types" | b"accept-wrapped-types" if !has_single_spaces(text) => {
            Some("one space between entries")
        }
        b"fingerprint" if !is_upper_case(octets, value.unwrap_or_default()) => {
            Some("upper case, and one space in front")
        }
        _ => None,
    }
}

fn has_single_spaces(text: &[u8]) -> bool {
    let len = list::Entries::new(text).map(|entry| entry.len().saturating_add(1));
    len.fold(0_usize, usize::saturating_add) == text.len().saturating_add(1)
}

/// `2UHEX *(":" 2UHEX)` behind the hash function and its space.
fn is_upper_case(octets: &[u8], value: Span) -> bool {
    let mut cursor = over(octets, value);
    super::field_and_space(&mut cursor).is_some()
        && cursor.rest().iter().all(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F' | b':'))
}
