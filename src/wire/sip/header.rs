//! Header fields: where each begins and ends, and which one it is (RFC 3261 section 7.3).
//!
//! A header field ends at the first CRLF that is not followed by white space (folding). CR and LF
//! stand nowhere else in a header section, so a bare one makes the whole datagram unreadable: two
//! elements would disagree about where the header fields are. NUL stands only behind a backslash.

use memchr::memchr3;

use crate::store::lanes::{self, LANES};
use crate::wire::cursor::{Class, Cursor, find, find_control, halves, masked, visited};
use crate::wire::{Malformed, Span};

/// The header fields that mean something here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    CallId,
    Contact,
    ContentEncoding,
    ContentLength,
    ContentType,
    CSeq,
    From,
    MaxForwards,
    PAssertedIdentity,
    PCalledPartyId,
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
    /// Names are compared without case; some have a compact form (section 7.3.3).
    fn of(name: &[u8]) -> Self {
        let mut words = [0; 16];
        match words.get_mut(..name.len()) {
            Some(room) => {
                room.copy_from_slice(name);
                Self::of_words(name.len(), halves(&words))
            }
            None if name.eq_ignore_ascii_case(b"P-Asserted-Identity") => Self::PAssertedIdentity,
            None if name.eq_ignore_ascii_case(b"P-Called-Party-ID") => Self::PCalledPartyId,
            None => Self::Other,
        }
    }

    /// The same for names of at most 16 octets, which stand at the front of two words. A bit set in
    /// each octet makes letters small, and makes no other octet a letter; CR becomes a hyphen, but
    /// is in no name.
    #[inline(always)]
    fn of_words(len: usize, (first, second): (u64, u64)) -> Self {
        const fn word(text: &[u8; 8]) -> u64 {
            u64::from_le_bytes(*text)
        }
        const COMPACT_C: u64 = word(b"c\0\0\0\0\0\0\0");
        const COMPACT_E: u64 = word(b"e\0\0\0\0\0\0\0");
        const COMPACT_F: u64 = word(b"f\0\0\0\0\0\0\0");
        const COMPACT_I: u64 = word(b"i\0\0\0\0\0\0\0");
        const COMPACT_L: u64 = word(b"l\0\0\0\0\0\0\0");
        const COMPACT_M: u64 = word(b"m\0\0\0\0\0\0\0");
        const COMPACT_T: u64 = word(b"t\0\0\0\0\0\0\0");
        const COMPACT_V: u64 = word(b"v\0\0\0\0\0\0\0");
        const TO: u64 = word(b"to\0\0\0\0\0\0");
        const VIA: u64 = word(b"via\0\0\0\0\0");
        const CSEQ: u64 = word(b"cseq\0\0\0\0");
        const FROM: u64 = word(b"from\0\0\0\0");
        const ROUTE: u64 = word(b"route\0\0\0");
        const CALL_ID: u64 = word(b"call-id\0");
        const CONTACT: u64 = word(b"contact\0");
        const PRIVACY: u64 = word(b"privacy\0");
        const REQUIRE: u64 = word(b"require\0");
        const MAX_FORW: u64 = word(b"max-forw");
        const ARDS: u64 = word(b"ards\0\0\0\0");
        const CONTENT_: u64 = word(b"content-");
        const LENGTH: u64 = word(b"length\0\0");
        const ENCODING: u64 = word(b"encoding");
        const TYPE: u64 = word(b"type\0\0\0\0");
        const RECORD_R: u64 = word(b"record-r");
        const OUTE: u64 = word(b"oute\0\0\0\0");
        const PROXY_RE: u64 = word(b"proxy-re");
        const QUIRE: u64 = word(b"quire\0\0\0");
        const TIMESTAM: u64 = word(b"timestam");
        const P: u64 = word(b"p\0\0\0\0\0\0\0");
        const RETRY_AF: u64 = word(b"retry-af");
        const TER: u64 = word(b"ter\0\0\0\0\0");
        let small = 0x2020_2020_2020_2020;
        let (first, second) =
            (masked(first | small, len), masked(second | small, len.saturating_sub(8)));
        if len < 8 {
            return match first {
                VIA | COMPACT_V => Self::Via,
                FROM | COMPACT_F => Self::From,
                TO | COMPACT_T => Self::To,
                CALL_ID | COMPACT_I => Self::CallId,
                CSEQ => Self::CSeq,
                COMPACT_L => Self::ContentLength,
                COMPACT_C => Self::ContentType,
                COMPACT_E => Self::ContentEncoding,
                CONTACT | COMPACT_M => Self::Contact,
                ROUTE => Self::Route,
                PRIVACY => Self::Privacy,
                REQUIRE => Self::Require,
                _ => Self::Other,
            };
        }
        match (first, second) {
            (MAX_FORW, ARDS) => Self::MaxForwards,
            (CONTENT_, LENGTH) => Self::ContentLength,
            (CONTENT_, TYPE) => Self::ContentType,
            (CONTENT_, ENCODING) => Self::ContentEncoding,
            (RECORD_R, OUTE) => Self::RecordRoute,
            (PROXY_RE, QUIRE) => Self::ProxyRequire,
            (TIMESTAM, P) => Self::Timestamp,
            (RETRY_AF, TER) => Self::RetryAfter,
            _ => Self::Other,
        }
    }

    /// Whether every response has it.
    pub(super) const fn is_basic(self) -> bool {
        match self {
            Self::Via | Self::From | Self::To | Self::CallId | Self::CSeq | Self::ContentLength => {
                true
            }
            Self::Contact
            | Self::ContentEncoding
            | Self::ContentType
            | Self::MaxForwards
            | Self::PAssertedIdentity
            | Self::PCalledPartyId
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
}

/// One header field, folding included.
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
#[inline(always)]
pub(super) fn step(octets: &[u8], at: usize) -> Result<Step, Malformed> {
    let rest = octets.get(at..).unwrap_or_default();
    if let [b'\r', b'\n', ..] = rest {
        visited(2);
        return Ok(Step::Body(at.wrapping_add(2)));
    }
    match usual(rest, at) {
        Some(field) => Ok(Step::Field(field)),
        None => unusual(octets, at),
    }
}

/// A header field as they all are: a name that the colon follows, and a line without control
/// characters. It is read in words of eight octets.
#[inline(always)]
fn usual(rest: &[u8], at: usize) -> Option<Field> {
    let front = rest.first_chunk::<LANES>()?;
    let line_len = find_control(rest)?;
    let (line, behind) = rest.split_at_checked(line_len)?;
    if !matches!(behind, [b'\r', b'\n', next, ..] if !matches!(next, b' ' | b'\t')) {
        return None;
    }
    let name_len = match lanes::equal(front, b':') {
        0 => find(line, b':')?,
        colons => colons.trailing_zeros() as usize,
    };
    let (written, [_, value @ ..]) = line.split_at_checked(name_len)? else { return None };
    let name =
        if name_len < LANES { Name::of_words(name_len, halves(front)) } else { Name::of(written) };
    let known = name != Name::Other || Class::TOKEN.has_all(written);
    if !known || name_len == 0 {
        return None;
    }
    let mut value = value;
    while let [b' ', rest @ ..] = value {
        visited(0);
        value = rest;
    }
    let line_end = at.wrapping_add(line_len);
    let value_at = line_end.wrapping_sub(value.len());
    let value_end = value_at.wrapping_add(trimmed_len(value));
    let next = line_end.wrapping_add(2);
    Some(Field { name, at, value_at, value_end, next, well_formed: true })
}

/// Passes header fields as they all are, from the one at `at` on, and stops before the first that is
/// not, or that may be Content-Length by the beginning of its name: all that dividing a stream has to
/// know of the others is that nobody divides them differently.
#[inline]
pub(super) fn passed(octets: &[u8], at: usize) -> usize {
    let mut line = at;
    if may_be_length(octets, line) {
        return line;
    }
    let (chunks, _) = octets.get(at..).unwrap_or_default().as_chunks::<LANES>();
    let mut chunk_at = at;
    'chunks: for chunk in chunks {
        let mut controls = lanes::below(chunk, b' ');
        while controls != 0 {
            let control = chunk_at.wrapping_add(controls.trailing_zeros() as usize);
            controls &= controls.wrapping_sub(1);
            // The LF of the line that has ended before.
            if control < line {
                continue;
            }
            match octets.get(control..) {
                Some([b'\r', b'\n', next, ..])
                    if control > line && !matches!(next, b' ' | b'\t') =>
                {
                    line = control.wrapping_add(2);
                    if may_be_length(octets, line) {
                        break 'chunks;
                    }
                }
                _ => break 'chunks,
            }
        }
        chunk_at = chunk_at.wrapping_add(LANES);
    }
    // A stop costs what was looked at beyond it: less than a line, which the next step reads.
    visited(line.wrapping_sub(at));
    line
}

/// Whether the name of the header field at `at` begins like Content-Length or the compact form of it,
/// or there is too little to tell.
#[inline(always)]
fn may_be_length(octets: &[u8], at: usize) -> bool {
    match octets.get(at..) {
        Some([first, second, third, ..]) => {
            let small = [first | 0x20, second | 0x20, third | 0x20];
            matches!(small, [b'l', _, _] | [b'c', b'o', b'n'])
        }
        _ => true,
    }
}

/// A step of any kind: folding, white space before the colon, long names, empty lines, errors.
#[inline(never)]
fn unusual(octets: &[u8], at: usize) -> Result<Step, Malformed> {
    let mut cursor = Cursor::new(octets, at, octets.len());
    let name = cursor.take(Class::TOKEN);
    let name_len = name.len();
    let name = Name::of(name);
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
    // A Content-Length whose colon is not where it must be stays one, and a wrong one: whoever unfolds
    // first may find the colon on the next line, and end the message elsewhere.
    let name = if colon || name == Name::ContentLength { name } else { Name::Other };
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
pub(super) fn line_end(octets: &[u8], at: usize) -> Result<Option<LineEnd>, Malformed> {
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

/// The end of the first line, folding included; none if the octets end before it.
///
/// # Errors
///
/// A CR or LF by itself.
pub(super) fn first_line_end(octets: &[u8]) -> Result<Option<LineEnd>, Malformed> {
    if let Some(at) = find_control(octets)
        && let Some([b'\r', b'\n', next, ..]) = octets.get(at..)
        && !matches!(next, b' ' | b'\t')
    {
        return Ok(Some(LineEnd { at, folded: false, nul: false }));
    }
    line_end(octets, 0)
}

/// The end of the start line, which is never folded.
///
/// # Errors
///
/// A CR or LF by itself, or no end at all.
#[inline]
pub(super) fn start_line_end(octets: &[u8]) -> Result<LineEnd, Malformed> {
    match first_line_end(octets)? {
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

/// All header fields of a message that begins with its start line. Out of line: the first pass over a
/// message, which is most of the work, must not share its start line with those who look again.
#[inline(never)]
pub(super) fn section(octets: &[u8]) -> Fields<'_> {
    let end = start_line_end(octets);
    Fields::from(octets, end.map_or(octets.len(), |end| end.at.saturating_add(2)))
}

/// The values of all header fields of a name that [`Name`] does not know, in a message that begins
/// with its start line. Who asks for them pays for finding them.
pub(super) fn named<'a>(octets: &'a [u8], name: &[u8]) -> impl Iterator<Item = Cursor<'a>> {
    named_either(octets, name, name)
}

/// The same where the name has a compact form.
pub(super) fn named_either<'a>(
    octets: &'a [u8],
    name: &[u8],
    compact: &[u8],
) -> impl Iterator<Item = Cursor<'a>> {
    let is_it = move |field: &Field| is_named(octets, field, name, compact);
    section(octets).filter(is_it).map(|field| field.cursor(octets))
}

/// Whether a header field has one of these names, which [`Name`] does not know.
pub(super) fn is_named(octets: &[u8], field: &Field, name: &[u8], compact: &[u8]) -> bool {
    let written = || Cursor::new(octets, field.at, field.value_at).take(Class::TOKEN);
    let is_it = |name| written().eq_ignore_ascii_case(name);
    field.name == Name::Other && field.well_formed && (is_it(name) || is_it(compact))
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
            ("E:x\r\n", Name::ContentEncoding),
            ("content-encoding:x\r\n", Name::ContentEncoding),
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
            ("p-called-party-id:x\r\n", Name::PCalledPartyId),
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
    fn what_is_read_in_words_is_what_is_read_in_octets() {
        let starts =
            ["Via", "Content-Length", "Fifteen-Octets1", "Sixteen-Octets-2", "\u{e9}", "", "a b"];
        for start in starts {
            for colon in [":", ": ", "  : ", ":\t", "::", ""] {
                for value in
                    ["", "x", "a long value that takes more than one word", "x \t", "\0", "\u{1}"]
                {
                    for end in ["\r\n", "\r\n\r\n", "\r\n ", "\r\n folded\r\n", "\n", "\r", ""] {
                        let text = [start, colon, value, end, "To: <sip:a@b>;tag=c\r\n"].concat();
                        let Some(field) = usual(text.as_bytes(), 0) else { continue };
                        let Ok(Step::Field(other)) = unusual(text.as_bytes(), 0) else { panic!() };
                        assert_eq!(field, other, "{text:?}");
                    }
                }
            }
        }
        assert!(usual(b"Via: a\r\nCSeq: 1 MESSAGE\r\n", 0).is_some());
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
    fn header_fields_are_found_by_any_name() {
        let text = "SIP/2.0 401 X\r\nSome-Header-Of-Theirs: 1\r\nvia: 2\r\n\
            SOME-header-OF-theirs \t:\r\n 3\r\n 4 \r\nSome-Header-Of-Theirs2: 5\r\n\
            Some-Header-Of-Theirs: \0\r\nSome-Header-Of-Theirs:\r\n\r\n\
            Some-Header-Of-Theirs: 6\r\n";
        let found = |name: &[u8]| -> Vec<_> {
            named(text.as_bytes(), name)
                .map(|value| String::from_utf8(value.rest().to_vec()).unwrap())
                .collect()
        };
        assert_eq!(found(b"some-Header-of-theirs"), ["1", "3\r\n 4", ""]);
        assert_eq!(found(b"Via").len(), 0, "a name with a variant is found by that");
        assert_eq!(named(b"SIP/2.0 401 X", b"x").count(), 0);
        assert_eq!(named(b"", b"").count(), 0);
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
