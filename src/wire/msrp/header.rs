//! Header fields: one line each, never folded (RFC 4975 section 9).

use crate::store::lanes::{self, LANES};
use crate::wire::cursor::{Cursor, find, find_control, halves, masked, visited};
use crate::wire::{Malformed, Span};

use super::class::Class;

/// The header fields that mean something here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    AuthenticationInfo,
    Authorization,
    ByteRange,
    ContentType,
    Expires,
    FailureReport,
    FromPath,
    MaxExpires,
    MessageId,
    MinExpires,
    Status,
    SuccessReport,
    ToPath,
    UsePath,
    WwwAuthenticate,
    Other,
}

impl Name {
    /// Names are compared without case, as every literal of the grammar.
    pub(super) fn of(name: &[u8]) -> Self {
        let mut words = [0; 16];
        match words.get_mut(..name.len()) {
            Some(room) => {
                room.copy_from_slice(name);
                Self::of_words(name.len(), halves(&words))
            }
            None if name.eq_ignore_ascii_case(b"Authentication-Info") => Self::AuthenticationInfo,
            None => Self::Other,
        }
    }

    /// The same for names of at most 16 octets, which stand at the front of two words. A bit set in
    /// each octet makes letters small, and makes no other octet of a name a letter.
    #[inline(always)]
    fn of_words(len: usize, (first, second): (u64, u64)) -> Self {
        const fn word(text: &[u8; 8]) -> u64 {
            u64::from_le_bytes(*text)
        }
        const STATUS: u64 = word(b"status\0\0");
        const TO_PATH: u64 = word(b"to-path\0");
        const EXPIRES: u64 = word(b"expires\0");
        const USE_PATH: u64 = word(b"use-path");
        const FROM_PAT: u64 = word(b"from-pat");
        const H: u64 = word(b"h\0\0\0\0\0\0\0");
        const MESSAGE_: u64 = word(b"message-");
        const ID: u64 = word(b"id\0\0\0\0\0\0");
        const BYTE_RAN: u64 = word(b"byte-ran");
        const GE: u64 = word(b"ge\0\0\0\0\0\0");
        const MIN_EXPI: u64 = word(b"min-expi");
        const MAX_EXPI: u64 = word(b"max-expi");
        const RES: u64 = word(b"res\0\0\0\0\0");
        const CONTENT_: u64 = word(b"content-");
        const TYPE: u64 = word(b"type\0\0\0\0");
        const AUTHORIZ: u64 = word(b"authoriz");
        const ATION: u64 = word(b"ation\0\0\0");
        const SUCCESS_: u64 = word(b"success-");
        const FAILURE_: u64 = word(b"failure-");
        const REPORT: u64 = word(b"report\0\0");
        const WWW_AUTH: u64 = word(b"www-auth");
        const ENTICATE: u64 = word(b"enticate");
        let small = 0x2020_2020_2020_2020;
        let words = (masked(first | small, len), masked(second | small, len.saturating_sub(8)));
        match words {
            (TO_PATH, 0) => Self::ToPath,
            (FROM_PAT, H) => Self::FromPath,
            (MESSAGE_, ID) => Self::MessageId,
            (BYTE_RAN, GE) => Self::ByteRange,
            (STATUS, 0) => Self::Status,
            (SUCCESS_, REPORT) => Self::SuccessReport,
            (FAILURE_, REPORT) => Self::FailureReport,
            (CONTENT_, TYPE) => Self::ContentType,
            (USE_PATH, 0) => Self::UsePath,
            (EXPIRES, 0) => Self::Expires,
            (MIN_EXPI, RES) => Self::MinExpires,
            (MAX_EXPI, RES) => Self::MaxExpires,
            (AUTHORIZ, ATION) => Self::Authorization,
            (WWW_AUTH, ENTICATE) => Self::WwwAuthenticate,
            _ => Self::Other,
        }
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Field {
    /// Which one.
    pub(super) name: Name,
    /// The first octet of its name.
    pub(super) at: usize,
    /// The first octet of its value.
    pub(super) value_at: usize,
    /// Behind the last octet of its value that is not white space.
    pub(super) value_end: usize,
    /// Behind its CRLF.
    pub(super) next: usize,
    /// Whether it is `hname ":" hval`: a name that begins with a letter, the colon directly behind
    /// it, and no control character but a tab in the value.
    pub(super) well_formed: bool,
}

impl Field {
    /// The value without white space around it.
    pub(super) fn value(&self) -> Span {
        Span::between(self.value_at, self.value_end)
    }

    /// A cursor over the value.
    pub(super) fn cursor<'a>(&self, octets: &'a [u8]) -> Cursor<'a> {
        Cursor::new(octets, self.value_at, self.value_end)
    }
}

/// Where a line ends that begins at `at`: its CR; and whether another control character than a tab
/// is in it.
///
/// # Errors
///
/// CR or LF by itself, or no end.
#[inline(always)]
pub(super) fn line_end(octets: &[u8], at: usize) -> Result<(usize, bool), Malformed> {
    let mut at = at;
    let mut control = false;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        let Some(found) = find_control(rest) else {
            return Err(Malformed { expected: "the end of a line", at: octets.len() });
        };
        at = at.saturating_add(found);
        match rest.get(found..) {
            Some([b'\r', b'\n', ..]) => return Ok((at, control)),
            Some([b'\r' | b'\n', ..]) | None => {
                return Err(Malformed { expected: "CR and LF together", at });
            }
            Some([octet, ..]) => control |= *octet != b'\t',
            Some([]) => {}
        }
        at = at.saturating_add(1);
    }
}

/// Reads the header field that begins at `at`.
///
/// # Errors
///
/// As [`line_end`].
#[inline(always)]
pub(super) fn field(octets: &[u8], at: usize) -> Result<Field, Malformed> {
    let (line_end, control) = line_end(octets, at)?;
    let line = octets.get(at..line_end).unwrap_or_default();
    let next = line_end.saturating_add(2);
    let front = octets.get(at..).and_then(<[u8]>::first_chunk::<LANES>);
    let colon = front.map(|front| lanes::equal(front, b':')).filter(|colons| *colons != 0);
    let colon = colon.map(|colons| colons.trailing_zeros() as usize);
    let words = front.map(halves);
    let Some(name_len) = colon.or_else(|| find(line, b':')).filter(|len| *len < line.len()) else {
        // No colon at all: all of it is a name that is none.
        let name = Name::Other;
        let (value_at, value_end) = (line_end, line_end);
        return Ok(Field { name, at, value_at, value_end, next, well_formed: false });
    };
    let written = line.get(..name_len).unwrap_or_default();
    let name = match words {
        Some(words) if name_len <= 16 => Name::of_words(name_len, words),
        _ => Name::of(written),
    };
    let named = name != Name::Other || is_name(written);
    let mut value = line.get(name_len.saturating_add(1)..).unwrap_or_default();
    while let [b' ' | b'\t', rest @ ..] = value {
        visited(0);
        value = rest;
    }
    let value_at = line_end.saturating_sub(value.len());
    while let [rest @ .., b' ' | b'\t'] = value {
        visited(0);
        value = rest;
    }
    let value_end = value_at.saturating_add(value.len());
    Ok(Field { name, at, value_at, value_end, next, well_formed: named && !control })
}

/// `hname = ALPHA *token`
pub(super) fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic) && Class::TOKEN.has_all(name)
}

/// A header field as it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeaderField<'a> {
    /// The name, in whatever case.
    pub name: &'a [u8],
    /// The value without white space around it.
    pub value: &'a [u8],
}

/// All header fields of a head in their order, those too that mean nothing here.
pub fn header_fields(head: &[u8]) -> impl Iterator<Item = HeaderField<'_>> {
    let mut next = line_end(head, 0).map_or(head.len(), |(end, _)| end.saturating_add(2));
    core::iter::from_fn(move || {
        if matches!(head.get(next..), None | Some([] | [b'\r', b'\n'])) {
            return None;
        }
        let field = field(head, next).ok()?;
        let line = head.get(next..field.value_at).unwrap_or_default();
        let name = line.get(..find(line, b':')?)?;
        next = field.next;
        Some(HeaderField { name, value: field.value().of(head) })
    })
}
