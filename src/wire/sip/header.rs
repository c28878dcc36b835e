//! Header fields: where each begins and ends, and which one it is (RFC 3261 section 7.3).
//!
//! A header field ends at the first CRLF that is not followed by white space (folding). CR and LF
//! stand nowhere else in a header section, so a bare one makes the whole datagram unreadable: two
//! elements would disagree about where the header fields are. NUL stands only behind a backslash.

use memchr::memchr3;

use crate::wire::cursor::{Class, Cursor, visited};
use crate::wire::{Malformed, Span};

/// The header fields that mean something here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    CallId,
    Contact,
    ContentLength,
    ContentType,
    CSeq,
    From,
    MaxForwards,
    PAssertedIdentity,
    Privacy,
    ProxyRequire,
    RecordRoute,
    Require,
    RetryAfter,
    Route,
    Timestamp,
    To,
    Via,
    Other,
}

impl Name {
    /// Names are compared without case; each has one length, some a compact form (section 7.3.3).
    fn of(name: &[u8]) -> Self {
        let (candidate, text): (Self, &[u8]) = match (name.len(), name.first()) {
            (1, Some(letter)) => return Self::of_compact(*letter),
            (2, _) => (Self::To, b"To"),
            (3, _) => (Self::Via, b"Via"),
            (4, Some(b'F' | b'f')) => (Self::From, b"From"),
            (4, _) => (Self::CSeq, b"CSeq"),
            (5, _) => (Self::Route, b"Route"),
            (7, Some(b'R' | b'r')) => (Self::Require, b"Require"),
            (7, Some(b'P' | b'p')) => (Self::Privacy, b"Privacy"),
            (7, _) if name.get(1) == Some(&b'a') || name.get(1) == Some(&b'A') => {
                (Self::CallId, b"Call-ID")
            }
            (7, _) => (Self::Contact, b"Contact"),
            (9, _) => (Self::Timestamp, b"Timestamp"),
            (11, _) => (Self::RetryAfter, b"Retry-After"),
            (12, Some(b'M' | b'm')) => (Self::MaxForwards, b"Max-Forwards"),
            (12, Some(b'R' | b'r')) => (Self::RecordRoute, b"Record-Route"),
            (12, _) => (Self::ContentType, b"Content-Type"),
            (13, _) => (Self::ProxyRequire, b"Proxy-Require"),
            (14, _) => (Self::ContentLength, b"Content-Length"),
            (19, _) => (Self::PAssertedIdentity, b"P-Asserted-Identity"),
            (_, _) => return Self::Other,
        };
        if name.eq_ignore_ascii_case(text) { candidate } else { Self::Other }
    }

    /// Whether every response has it.
    pub(super) const fn is_basic(self) -> bool {
        match self {
            Self::Via | Self::From | Self::To | Self::CallId | Self::CSeq | Self::ContentLength => {
                true
            }
            Self::Contact
            | Self::ContentType
            | Self::MaxForwards
            | Self::PAssertedIdentity
            | Self::Privacy
            | Self::ProxyRequire
            | Self::RecordRoute
            | Self::Require
            | Self::RetryAfter
            | Self::Route
            | Self::Timestamp
            | Self::Other => false,
        }
    }

    const fn of_compact(letter: u8) -> Self {
        match letter.to_ascii_lowercase() {
            b'c' => Self::ContentType,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b't' => Self::To,
            b'v' => Self::Via,
            _ => Self::Other,
        }
    }
}

/// One header field, folding included.
#[derive(Clone, Copy, Debug)]
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
    /// Whether it is a `token`, white space and a colon, without a NUL in its value.
    pub(super) well_formed: bool,
}

impl Field {
    /// The whole header field with its CRLF.
    pub(super) fn line(&self) -> Span {
        Span::between(self.at, self.next)
    }

    /// The value without white space around it.
    pub(super) fn value(&self) -> Span {
        Span::between(self.value_at, self.value_end)
    }

    /// A cursor over the value.
    pub(super) fn cursor<'a>(&self, octets: &'a [u8]) -> Cursor<'a> {
        Cursor::new(octets, self.value_at, self.value_end)
    }
}

/// What comes next in a header section.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Another header field.
    Field(Field),
    /// The empty line; the body begins here.
    Body(usize),
    /// The datagram ends within the header section; the last whole header field ended here.
    Cut(usize),
}

/// Reads one step of a header section.
///
/// # Errors
///
/// A CR or LF by itself.
pub(super) fn step(octets: &[u8], at: usize) -> Result<Step, Malformed> {
    let mut cursor = Cursor::new(octets, at, octets.len());
    let name_len = cursor.skip(Class::TOKEN);
    let name = Name::of(cursor.since(at));
    // HCOLON allows white space before the colon. What matters is that the field is known by its
    // name afterwards and not by the octets in front of the colon.
    while cursor.eat(b' ') || cursor.eat(b'\t') {}
    let colon = cursor.eat(b':');
    if name_len == 0 && !colon {
        if cursor.rest().starts_with(b"\r\n") && cursor.at() == at {
            return Ok(Step::Body(at.saturating_add(2)));
        }
        if cursor.is_at_end() {
            return Ok(Step::Cut(at));
        }
    }
    while cursor.eat(b' ') || cursor.eat(b'\t') {}
    let Some(end) = line_end(octets, cursor.at())? else { return Ok(Step::Cut(at)) };
    if end.folded {
        cursor.skip_lws();
    }
    let value_at = cursor.at().min(end.at);
    let value = octets.get(value_at..end.at).unwrap_or_default();
    let value_end = value_at.saturating_add(trimmed_len(value));
    let well_formed = colon && name_len > 0 && !end.nul;
    let name = if colon { name } else { Name::Other };
    let next = end.at.saturating_add(2);
    Ok(Step::Field(Field { name, at, value_at, value_end, next, well_formed }))
}

/// Where a line ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineEnd {
    /// Its CR.
    pub(super) at: usize,
    /// Whether there is folding before that.
    pub(super) folded: bool,
    /// Whether there is a NUL before that without a backslash.
    pub(super) nul: bool,
}

/// The end of the header field that `at` lies in; none if the datagram ends before it.
///
/// # Errors
///
/// A CR or LF by itself.
fn line_end(octets: &[u8], at: usize) -> Result<Option<LineEnd>, Malformed> {
    let mut end = LineEnd { at, folded: false, nul: false };
    loop {
        let rest = octets.get(end.at..).unwrap_or_default();
        let Some(found) = memchr3(b'\r', b'\n', 0, rest) else {
            visited(rest.len());
            return Ok(None);
        };
        visited(found);
        end.at = end.at.saturating_add(found);
        match rest.get(found..) {
            Some([b'\r', b'\n', b' ' | b'\t', ..]) => {
                end.folded = true;
                end.at = end.at.saturating_add(3);
            }
            Some([b'\r', b'\n', ..]) => return Ok(Some(end)),
            Some([b'\r']) | None => return Ok(None),
            Some([0, ..]) => {
                end.nul |= octets.get(end.at.wrapping_sub(1)) != Some(&b'\\');
                end.at = end.at.saturating_add(1);
            }
            Some(_) => return Err(Malformed { expected: "CR and LF together", at: end.at }),
        }
    }
}

/// The end of the start line, which is never folded.
///
/// # Errors
///
/// A CR or LF by itself, or no end at all.
pub(super) fn start_line_end(octets: &[u8]) -> Result<LineEnd, Malformed> {
    match line_end(octets, 0)? {
        Some(end) if !end.folded => Ok(end),
        Some(_) | None => Err(Malformed { expected: "a start line on one line", at: 0 }),
    }
}

fn trimmed_len(value: &[u8]) -> usize {
    let mut value = value;
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = value {
        visited(0);
        value = rest;
    }
    value.len()
}

/// The header fields from a position on, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// From the header field that begins at `at`.
    pub(super) const fn from(octets: &'a [u8], at: usize) -> Self {
        Self { octets, at }
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        match step(self.octets, self.at) {
            Ok(Step::Field(field)) => {
                self.at = field.next;
                Some(field)
            }
            Ok(Step::Body(_) | Step::Cut(_)) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field {
        match step(text.as_bytes(), 0) {
            Ok(Step::Field(field)) => field,
            other => panic!("{other:?}"),
        }
    }

    fn value(text: &str) -> &str {
        let field = field(text);
        core::str::from_utf8(field.value().of(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_header_field_ends_where_folding_ends() {
        let text = "Subject:  a\r\n b \r\n\t c  \r\nTo: x\r\n";
        let field = field(text);
        assert_eq!(value(text), "a\r\n b \r\n\t c");
        assert_eq!(&text[field.next..], "To: x\r\n");
        assert_eq!(field.line().of(text.as_bytes()), &text.as_bytes()[..text.len() - 7]);
    }

    #[test]
    fn a_value_may_begin_on_the_next_line_or_be_empty() {
        assert_eq!(value("To :\r\n sip:a@b\r\n"), "sip:a@b");
        assert_eq!(value("s :\r\n"), "");
        assert_eq!(value("s: \t\r\n \r\n"), "");
        assert_eq!(value("s:x\r\n"), "x");
    }

    #[test]
    fn names_have_no_case_and_some_are_short() {
        for (text, name) in [
            ("v: x\r\n", Name::Via),
            ("VIA: x\r\n", Name::Via),
            ("vIa \t : x\r\n", Name::Via),
            ("F:x\r\n", Name::From),
            ("fROM:x\r\n", Name::From),
            ("t:x\r\n", Name::To),
            ("to:x\r\n", Name::To),
            ("i:x\r\n", Name::CallId),
            ("call-id:x\r\n", Name::CallId),
            ("cseq:x\r\n", Name::CSeq),
            ("L:x\r\n", Name::ContentLength),
            ("content-LENGTH:x\r\n", Name::ContentLength),
            ("C:x\r\n", Name::ContentType),
            ("content-type:x\r\n", Name::ContentType),
            ("m:x\r\n", Name::Contact),
            ("Contact:x\r\n", Name::Contact),
            ("max-forwards:x\r\n", Name::MaxForwards),
            ("route:x\r\n", Name::Route),
            ("record-route:x\r\n", Name::RecordRoute),
            ("require:x\r\n", Name::Require),
            ("proxy-require:x\r\n", Name::ProxyRequire),
            ("privacy:x\r\n", Name::Privacy),
            ("p-asserted-identity:x\r\n", Name::PAssertedIdentity),
            ("timestamp:x\r\n", Name::Timestamp),
            ("retry-after:x\r\n", Name::RetryAfter),
            ("C%6Fntact:x\r\n", Name::Other),
            ("P-Asserted-Service:x\r\n", Name::Other),
            ("x:x\r\n", Name::Other),
            ("From2:x\r\n", Name::Other),
        ] {
            assert_eq!(field(text).name, name, "{text:?}");
            assert!(field(text).well_formed, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_header_field_is_seen() {
        for text in [
            "Via\x01: x\r\n",
            "Via\u{a0}: x\r\n",
            "no colon\r\n",
            "nocolon\r\n",
            ": x\r\n",
            " continuation: of nothing\r\n",
            "Via: a\0b\r\n",
            "To\x00: x\r\n",
        ] {
            assert!(!field(text).well_formed, "{text:?}");
            assert_eq!(&text[field(text).next..], "", "{text:?}");
        }
        assert_eq!(field("Via\x0b: x\r\n").name, Name::Other);
        assert_eq!(field("Via\r\n").name, Name::Other);
        assert!(field("To: \"\\\0\" <sip:a@b>\r\n").well_formed, "RFC 4475 3.1.1.2");
    }

    #[test]
    fn bare_cr_and_lf_are_errors() {
        for text in ["Via: x\n", "Via: x\ry\r\n", "Via: x\r\n\ny", "\n", "\rx", "Via\n: x\r\n"] {
            let mut at = 0;
            let result = loop {
                match step(text.as_bytes(), at) {
                    Ok(Step::Field(field)) => at = field.next,
                    other => break other.map(|_| ()),
                }
            };
            assert!(result.is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_end_is_an_empty_line_or_missing() {
        assert!(matches!(step(b"\r\nbody", 0), Ok(Step::Body(2))));
        for text in ["", "V", "Via", "Via:", "Via: x", "Via: x\r", "Via: x\r\n ", "\r"] {
            let step = step(text.as_bytes(), 0);
            assert!(matches!(step, Ok(Step::Cut(0))), "{text:?} {step:?}");
        }
    }
}
