//! The values of message headers: escapes, addresses, namespaces, dates (RFC 3862 sections 2.3
//! and 3.6).

use super::super::cursor::{Class, visited};
use super::header::{is_plain_name, is_token_char};

/// One character of a value, decoded, and what is behind it. None if an escape is none.
fn character(value: &[u8]) -> Option<(Decoded, &[u8])> {
    match value {
        [b'\\', b'u', rest @ ..] => {
            let (unit, rest) = code_unit(rest)?;
            if !(0xD800..0xE000).contains(&unit) {
                return Some((Decoded::Character(char::from_u32(unit)?), rest));
            }
            // Four digits name no character beyond U+FFFF, so peers write two surrogates.
            let rest = rest.strip_prefix(b"\\u")?;
            let (low, rest) = code_unit(rest)?;
            let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            let character = char::decode_utf16(pair).next()?.ok()?;
            Some((Decoded::Character(character), rest))
        }
        [b'\\', octet, rest @ ..] => {
            let decoded = match octet {
                b'\\' | b'"' | b'\'' => *octet,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            };
            Some((Decoded::Octet(decoded), rest))
        }
        [b'\\'] | [] => None,
        [octet, rest @ ..] => Some((Decoded::Octet(*octet), rest)),
    }
}

enum Decoded {
    Octet(u8),
    Character(char),
}

/// `4(HEXDIG)`
fn code_unit(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_first_chunk::<4>()?;
    let unit = digits
        .iter()
        .try_fold(0_u32, |unit, &digit| Some((unit << 4) | char::from(digit).to_digit(16)?))?;
    Some((unit, rest))
}

/// Where an escape stands that is none.
pub(super) fn find_bad_escape(value: &[u8]) -> Option<usize> {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = rest.get(at..).unwrap_or_default();
        match character(escape) {
            Some((_, behind)) => rest = behind,
            None => return Some(value.len().saturating_sub(escape.len())),
        }
    }
    None
}

/// Writes what a header value means: its escapes decoded (section 2.3), all else as it is. How many
/// octets of UTF-8 that is, which is never more than the value has. None if there is no room, or if
/// an escape is none, which no value of a parsed message has.
pub fn unescape(value: &[u8], to: &mut [u8]) -> Option<usize> {
    visited(value.len());
    let mut rest = value;
    let mut at: usize = 0;
    while !rest.is_empty() {
        let (decoded, behind) = character(rest)?;
        let mut utf8 = [0; 4];
        let written: &[u8] = match decoded {
            Decoded::Octet(octet) => {
                utf8 = [octet, 0, 0, 0];
                utf8.get(..1)?
            }
            Decoded::Character(character) => character.encode_utf8(&mut utf8).as_bytes(),
        };
        let next = at.checked_add(written.len())?;
        to.get_mut(at..next)?.copy_from_slice(written);
        at = next;
        rest = behind;
    }
    Some(at)
}

/// Passes `DQUOTE *( Str-char / Escape ) DQUOTE`; what is behind it.
pub(super) fn behind_string(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value.strip_prefix(b"\"")?;
    loop {
        match rest {
            [b'"', behind @ ..] => return Some(behind),
            _ => rest = character(rest)?.1,
        }
    }
}

/// `[ Formal-name ] "<" URI ">"` with `Formal-name = 1*( Token SP ) / String`. The grammar has no
/// space behind a String, but everybody writes one, and it cannot be mistaken.
pub(super) fn is_address(value: &[u8]) -> bool {
    visited(value.len());
    let enclosed = if value.starts_with(b"\"") {
        behind_string(value).map(|rest| rest.strip_prefix(b" ").unwrap_or(rest))
    } else {
        let open = value.iter().position(|&octet| octet == b'<').unwrap_or(value.len());
        value.split_at_checked(open).filter(|(name, _)| is_tokens(name)).map(|(_, rest)| rest)
    };
    enclosed.is_some_and(|enclosed| enclosed_uri(enclosed).is_some())
}

/// `*( Token SP )`
fn is_tokens(name: &[u8]) -> bool {
    match name {
        [] => true,
        [tokens @ .., b' '] => tokens
            .split(|&octet| octet == b' ')
            .all(|token| !token.is_empty() && token.iter().all(|&octet| is_token_char(octet))),
        _ => false,
    }
}

/// `"<" URI ">"` and nothing else: an absolute URI (RFC 2396 section 3).
fn enclosed_uri(enclosed: &[u8]) -> Option<&[u8]> {
    let uri = enclosed.strip_prefix(b"<")?.strip_suffix(b">")?;
    let colon = uri.iter().position(|&octet| octet == b':')?;
    let (scheme, rest) = uri.split_at_checked(colon)?;
    let scheme = scheme.first()?.is_ascii_alphabetic()
        && scheme.iter().all(|o| o.is_ascii_alphanumeric() || matches!(o, b'+' | b'-' | b'.'));
    (scheme && rest.len() > 1 && Class::URI.has_all(rest)).then_some(uri)
}

/// `[ Name-prefix ] "<" URI ">"`, with the space between them that the examples have: the prefix,
/// which may be empty, and the URI.
pub(super) fn namespace(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let open = value.iter().position(|&octet| octet == b'<')?;
    let (prefix, enclosed) = value.split_at_checked(open)?;
    let prefix = prefix.strip_suffix(b" ").unwrap_or(prefix);
    let named = is_plain_name(prefix) || open == 0;
    enclosed_uri(enclosed).filter(|_| named).map(|uri| (prefix, uri))
}

/// `date-time` (RFC 3339 section 5.6): `2000-12-13T13:40:00.5-08:00`
pub(super) fn is_date_time(value: &[u8]) -> bool {
    date_time(value).is_some()
}

fn date_time(value: &[u8]) -> Option<()> {
    let (year, rest) = digits::<4>(value)?;
    let (month, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let (day, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let (hour, rest) = digits::<2>(rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b"t"))?)?;
    let (minute, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    // 60 is a leap second.
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = fraction.iter().take_while(|octet| octet.is_ascii_digit()).count();
        rest = fraction.get(len..).filter(|_| len > 0)?;
    }
    match rest {
        [b'Z' | b'z'] => Some(()),
        [b'+' | b'-', offset @ ..] => {
            let (hour, rest) = digits::<2>(offset)?;
            let (minute, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
            (hour <= 23 && minute <= 59 && rest.is_empty()).then_some(())
        }
        _ => None,
    }
}

/// A number of that many digits.
fn digits<const N: usize>(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<N>()?;
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some((number, rest))
}
