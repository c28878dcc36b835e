//! The header of a MIME part: header fields, an empty line (RFC 2045 section 3, RFC 5322
//! section 2.2). Names without case, values may be folded.

use super::super::cursor::Class;
use super::super::{Malformed, Span};
use super::line_end;

/// What is needed of the header of a MIME part.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Section {
    /// The value of Content-Type; empty when absent.
    pub(super) content_type: Span,
    /// The value of Content-Length, and where that is.
    pub(super) content_length: Option<u16>,
    length_at: usize,
    /// Behind the empty line.
    pub(super) body_at: usize,
}

impl Section {
    /// Where the body ends: RFC 3862 knows no Content-Length, and leaves the end to what is around
    /// it. But peers send one, and where it says less than there is, what is behind it is not meant
    /// to be shown.
    ///
    /// # Errors
    ///
    /// Fewer octets than Content-Length says.
    pub(super) fn end(&self, octets: &[u8]) -> Result<usize, Malformed> {
        let Some(len) = self.content_length else { return Ok(octets.len()) };
        let end = self.body_at.saturating_add(usize::from(len));
        if end > octets.len() {
            let expected = "as many octets as Content-Length says";
            return Err(Malformed { expected, at: self.length_at });
        }
        Ok(end)
    }
}

/// Reads the header that begins at `at`.
///
/// # Errors
///
/// A line that is no header field, CR or LF alone, no empty line, a second Content-Type or
/// Content-Length, a Content-Length that is no number below 65536.
pub(super) fn section(octets: &[u8], at: usize) -> Result<Section, Malformed> {
    let mut section = Section::default();
    let mut next = at;
    loop {
        let mut end = line_end(octets, next)?;
        if end == next {
            section.body_at = end.saturating_add(2);
            return Ok(section);
        }
        let line = octets.get(next..end).unwrap_or_default();
        let name_len = line.iter().position(|&octet| octet == b':').unwrap_or(line.len());
        let name = line.get(..name_len).unwrap_or_default();
        if name_len == line.len() || name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Malformed { expected: "a MIME header field or an empty line", at: next });
        }
        let value_at = next.saturating_add(name_len).saturating_add(1);
        while let Some(b' ' | b'\t') = octets.get(end.saturating_add(2)) {
            end = line_end(octets, end.saturating_add(2))?;
        }
        let written = octets.get(value_at..end).unwrap_or_default();
        let is_control =
            |octet: &u8| octet.is_ascii_control() && !matches!(octet, b'\t' | b'\r' | b'\n');
        if written.iter().any(is_control) {
            return Err(Malformed { expected: "no control character", at: value_at });
        }
        let leading = written.len().saturating_sub(written.trim_ascii_start().len());
        let value_at = value_at.saturating_add(leading).min(end);
        let value = written.trim_ascii();
        let span = Span::between(value_at, value_at.saturating_add(value.len()));
        if name.eq_ignore_ascii_case(b"Content-Type") {
            if !section.content_type.is_empty() {
                return Err(Malformed { expected: "one Content-Type", at: next });
            }
            if value.is_empty() {
                return Err(Malformed { expected: "a media type", at: value_at });
            }
            section.content_type = span;
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            if section.content_length.is_some() {
                return Err(Malformed { expected: "one Content-Length", at: next });
            }
            let number = number(value);
            let expected = "a number in Content-Length";
            section.content_length = Some(number.ok_or(Malformed { expected, at: value_at })?);
            section.length_at = value_at;
        }
        next = end.saturating_add(2);
    }
}

/// `1*DIGIT`; more than can be there at all is as wrong as no number.
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u16, |number, digit| {
        number.checked_mul(10)?.checked_add(u16::from(digit & 0x0F))
    })
}

/// The type and subtype of a Content-Type value; none if that is not how it begins.
pub(super) fn media_type(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(|octet| matches!(octet, b';' | b' ' | b'\t' | b'\r'));
    let (essence, parameters) = value.split_at_checked(end.unwrap_or(value.len()))?;
    let slash = essence.iter().position(|&octet| octet == b'/')?;
    let (kind, subtype) = essence.split_at_checked(slash)?;
    let subtype = subtype.get(1..)?;
    let is_token = |text: &[u8]| !text.is_empty() && Class::TOKEN.has_all(text);
    let behind = parameters.trim_ascii_start();
    let followed = behind.is_empty() || behind.starts_with(b";");
    (is_token(kind) && is_token(subtype) && followed).then_some((kind, subtype))
}
