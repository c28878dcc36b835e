//! What the header fields of a head say.

use super::class::Class;
use super::header::{self, Field, Name};
use super::uri::{self, Path};
use super::wrong::{self, Wrong};
use super::{ByteRange, FailureReport, Status};
use crate::limits::{MSRP_IDENT_SIZE_MAX, MSRP_IDENT_SIZE_MIN};
use crate::wire::cursor::{Cursor, find};
use crate::wire::{Malformed, Span};

/// What the header fields say. The span of what is not there is empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// The value of To-Path.
    pub to_path: Span,
    /// The value of From-Path.
    pub from_path: Span,
    /// The value of Message-ID.
    pub message_id: Span,
    /// What Byte-Range says.
    pub byte_range: Option<ByteRange>,
    /// Whether success reports are wanted: `no` unless it is said.
    pub success_report: bool,
    /// Whether responses and failure reports are wanted: `yes` unless it is said.
    pub failure_report: FailureReport,
    /// What Status says.
    pub status: Option<Status>,
    /// The value of Content-Type, with its parameters.
    pub content_type: Span,
    /// The value of Use-Path (RFC 4976 section 7).
    pub use_path: Span,
    /// Expires, in seconds (RFC 4976 section 7).
    pub expires: Option<u32>,
    /// Min-Expires, in seconds.
    pub min_expires: Option<u32>,
    /// Max-Expires, in seconds.
    pub max_expires: Option<u32>,
    /// The value of the first WWW-Authenticate (RFC 4976 section 7).
    pub www_authenticate: Span,
    /// The value of the first Authorization.
    pub authorization: Span,
    /// The value of the first Authentication-Info.
    pub authentication_info: Span,
    /// Header fields of all names.
    pub header_count: u16,
}

/// The header section of one head, read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    pub(super) fields: Fields,
    /// Whether an empty line ends it, behind which a body begins.
    pub(super) has_body: bool,
    /// The first thing that was wrong, and where.
    pub(super) wrong: Option<(Wrong, usize)>,
}

/// Reads the header fields that begin at `at`, to the end of the octets or to an empty line there.
///
/// # Errors
///
/// CR or LF alone, octets behind the empty line, or no URI in To-Path or From-Path that an answer
/// could be made of.
pub(super) fn read(octets: &[u8], at: usize) -> Result<Section, Malformed> {
    let mut reader = Reader { octets, section: Section::default(), seen: 0 };
    let mut next = at;
    while next < octets.len() {
        if let Some([b'\r', b'\n', behind @ ..]) = octets.get(next..) {
            reader.section.has_body = true;
            if behind.is_empty() {
                break;
            }
            let at = next.saturating_add(2);
            return Err(Malformed { expected: "nothing behind the empty line", at });
        }
        let field = header::field(octets, next)?;
        reader.field(&field);
        next = field.next;
    }
    reader.finish(next)
}

struct Reader<'a> {
    octets: &'a [u8],
    section: Section,
    /// The names seen, one bit each.
    seen: u32,
}

impl Reader<'_> {
    /// Only the first thing that is wrong is answered.
    fn wrong(&mut self, wrong: Wrong, at: usize) {
        self.section.wrong.get_or_insert((wrong, at));
    }

    const fn has_seen(&self, name: Name) -> bool {
        self.seen & 1_u32.wrapping_shl(name as u32) != 0
    }

    /// Whether it is the only one that may be there; the first one counts.
    fn is_only(&mut self, field: &Field, twice: Wrong) -> bool {
        let first = !self.has_seen(field.name);
        self.seen |= 1_u32.wrapping_shl(field.name as u32);
        if !first {
            self.wrong(twice, field.at);
        }
        first
    }

    fn field(&mut self, field: &Field) {
        let index = self.section.fields.header_count;
        self.section.fields.header_count = index.saturating_add(1);
        if !field.well_formed {
            self.wrong(wrong::HEADER_FIELD, field.at);
        }
        if self.has_seen(Name::ContentType) {
            self.wrong(wrong::CONTENT_TYPE_PLACE, field.at);
        }
        let value = field.value();
        let fields = &mut self.section.fields;
        match field.name {
            Name::ToPath => self.read_to_path(field, index),
            Name::FromPath => self.read_from_path(field, index),
            Name::MessageId => self.message_id(field),
            Name::ByteRange => self.byte_range(field),
            Name::SuccessReport => self.success_report(field),
            Name::FailureReport => self.failure_report(field),
            Name::Status => self.status(field),
            Name::ContentType => self.content_type(field),
            Name::UsePath => self.use_path(field),
            Name::Expires => self.seconds(field, |fields| &mut fields.expires),
            Name::MinExpires => self.seconds(field, |fields| &mut fields.min_expires),
            Name::MaxExpires => self.seconds(field, |fields| &mut fields.max_expires),
            Name::WwwAuthenticate if fields.www_authenticate.is_empty() => {
                fields.www_authenticate = value;
            }
            Name::Authorization if fields.authorization.is_empty() => fields.authorization = value,
            Name::AuthenticationInfo if fields.authentication_info.is_empty() => {
                fields.authentication_info = value;
            }
            Name::WwwAuthenticate
            | Name::Authorization
            | Name::AuthenticationInfo
            | Name::Other => {}
        }
    }

    fn read_to_path(&mut self, field: &Field, index: u16) {
        if self.is_only(field, wrong::TO_PATH_TWICE) {
            self.section.fields.to_path = field.value();
            if index != 0 {
                self.wrong(wrong::TO_PATH_PLACE, field.at);
            }
            self.path(field, wrong::TO_PATH);
        }
    }

    fn read_from_path(&mut self, field: &Field, index: u16) {
        if self.is_only(field, wrong::FROM_PATH_TWICE) {
            self.section.fields.from_path = field.value();
            if index != 1 {
                self.wrong(wrong::FROM_PATH_PLACE, field.at);
            }
            self.path(field, wrong::FROM_PATH);
        }
    }

    fn path(&mut self, field: &Field, malformed: Wrong) {
        if let Err(found) = Path::parse(field.value().of(self.octets)) {
            self.wrong(malformed, field.value_at.saturating_add(found.at));
        }
    }

    fn message_id(&mut self, field: &Field) {
        if self.is_only(field, wrong::MESSAGE_ID_TWICE) {
            self.section.fields.message_id = field.value();
            if !is_ident(field.value().of(self.octets)) {
                self.wrong(wrong::MESSAGE_ID, field.at);
            }
        }
    }

    fn byte_range(&mut self, field: &Field) {
        if self.is_only(field, wrong::BYTE_RANGE_TWICE) {
            self.section.fields.byte_range = byte_range(&mut field.cursor(self.octets));
            if self.section.fields.byte_range.is_none() {
                self.wrong(wrong::BYTE_RANGE, field.at);
            }
        }
    }

    fn success_report(&mut self, field: &Field) {
        if self.is_only(field, wrong::SUCCESS_REPORT_TWICE) {
            let value = field.value().of(self.octets);
            self.section.fields.success_report = value.eq_ignore_ascii_case(b"yes");
            if !self.section.fields.success_report && !value.eq_ignore_ascii_case(b"no") {
                self.wrong(wrong::SUCCESS_REPORT, field.at);
            }
        }
    }

    fn failure_report(&mut self, field: &Field) {
        if self.is_only(field, wrong::FAILURE_REPORT_TWICE) {
            let value = field.value().of(self.octets);
            match FailureReport::of(value) {
                Some(report) => self.section.fields.failure_report = report,
                None => self.wrong(wrong::FAILURE_REPORT, field.at),
            }
        }
    }

    fn status(&mut self, field: &Field) {
        if self.is_only(field, wrong::STATUS_TWICE) {
            self.section.fields.status = status(&mut field.cursor(self.octets));
            if self.section.fields.status.is_none() {
                self.wrong(wrong::STATUS, field.at);
            }
        }
    }

    fn content_type(&mut self, field: &Field) {
        // A second one stands behind the first, which is then not the last.
        if self.is_only(field, wrong::CONTENT_TYPE_PLACE) {
            self.section.fields.content_type = field.value();
            if media_type(field.value().of(self.octets)).is_none() {
                self.wrong(wrong::CONTENT_TYPE, field.at);
            }
        }
    }

    fn use_path(&mut self, field: &Field) {
        if self.is_only(field, wrong::USE_PATH_TWICE) {
            self.section.fields.use_path = field.value();
            self.path(field, wrong::USE_PATH);
        }
    }

    /// `1*DIGIT`; what is beyond all clocks is as long as they go.
    fn seconds(&mut self, field: &Field, place: fn(&mut Fields) -> &mut Option<u32>) {
        if self.is_only(field, wrong::EXPIRES_TWICE) {
            let mut cursor = field.cursor(self.octets);
            let seconds = cursor.number().filter(|_| cursor.is_at_end());
            let saturated = seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
            *place(&mut self.section.fields) = saturated;
            if seconds.is_none() {
                self.wrong(wrong::EXPIRES, field.at);
            }
        }
    }

    /// The header section ends at `end`.
    fn finish(mut self, end: usize) -> Result<Section, Malformed> {
        let fields = &self.section.fields;
        for (path, missing) in
            [(fields.to_path, wrong::TO_PATH), (fields.from_path, wrong::FROM_PATH)]
        {
            // Where nothing is wrong, all URIs were read.
            if self.section.wrong.is_some() || path.is_empty() {
                let mut uris = path.of(self.octets).split(|octet| *octet == b' ');
                let first = uris.next().unwrap_or_default();
                uri::parse(first).map_err(|_| {
                    missing.malformed(if path.is_empty() { end } else { usize::from(path.at) })
                })?;
            }
        }
        if self.section.has_body && !self.has_seen(Name::ContentType) {
            self.wrong(wrong::CONTENT_TYPE_MISSING, end);
        }
        Ok(self.section)
    }
}

/// `ident = ALPHANUM 3*31ident-char`
pub(super) fn is_ident(text: &[u8]) -> bool {
    (MSRP_IDENT_SIZE_MIN..=MSRP_IDENT_SIZE_MAX).contains(&text.len())
        && text.first().is_some_and(u8::is_ascii_alphanumeric)
        && Class::IDENT.has_all(text)
}

/// `range-start "-" range-end "/" total`. The first octet is octet 1, and a chunk of none ends in front
/// of the one it begins with (`1-0/0`). An end beyond the total says nothing about its octets, which
/// are counted, not believed (RFC 4975 section 7.3.1).
fn byte_range(cursor: &mut Cursor<'_>) -> Option<ByteRange> {
    let start = number(cursor)?;
    let end = cursor.eat(b'-').then(|| number_or_star(cursor))??;
    let total = cursor.eat(b'/').then(|| number_or_star(cursor))??;
    let ordered = start >= 1 && end.is_none_or(|end| end >= start.saturating_sub(1));
    (ordered && cursor.is_at_end()).then_some(ByteRange { start, end, total })
}

/// A number that leaves room for another: what is larger counts nothing that exists.
fn number(cursor: &mut Cursor<'_>) -> Option<u64> {
    cursor.number().filter(|number| *number < u64::MAX)
}

fn number_or_star(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    if cursor.eat(b'*') { Some(None) } else { number(cursor).map(Some) }
}

/// `namespace SP status-code [SP comment]`
fn status(cursor: &mut Cursor<'_>) -> Option<Status> {
    let namespace = three_digits(cursor)?;
    let code = cursor.eat(b' ').then(|| three_digits(cursor))??;
    let comment = comment(cursor)?;
    Some(Status { namespace, code, comment })
}

/// `3DIGIT`
pub(super) fn three_digits(cursor: &mut Cursor<'_>) -> Option<u16> {
    let digits = cursor.octets(3)?;
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then_some(u16::from(digit & 0x0F))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `[SP comment]` up to the end.
pub(super) fn comment(cursor: &mut Cursor<'_>) -> Option<Span> {
    let spaced = cursor.eat(b' ');
    let at = cursor.at();
    let len = cursor.rest().len();
    (spaced || len == 0).then(|| Span::between(at, at.saturating_add(len)))
}

/// The type and the subtype of a Content-Type value: `type "/" subtype *( ";" gen-param )`. None if that
/// is not how it begins. Parameters are for who knows the type; white space in front of them is
/// written by many and read alike by all.
pub fn media_type(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = find(value, b'/')?;
    let (kind, rest) = value.split_at_checked(slash)?;
    let rest = rest.get(1..)?;
    let (subtype, behind) = rest.split_at_checked(Class::TOKEN.run(rest))?;
    let behind = behind.trim_ascii_start();
    let followed = behind.is_empty() || behind.starts_with(b";");
    (Class::TOKEN.is(kind) && !subtype.is_empty() && followed).then_some((kind, subtype))
}
