//! One message header on its line (RFC 3862 sections 2.2 and 3.6).
//!
//! ```text
//! Header      = Header-name ":" *( ";" Parameter ) SP Header-value CRLF
//! Header-name = [ Name-prefix "." ] Name
//! Parameter   = Lang-param / Ext-param
//! ```

use super::super::cursor::visited;
use super::super::{Malformed, Span};
use super::value;

/// The namespaces that are known here (section 3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Namespace {
    /// That of RFC 3862 itself.
    Core,
    /// That of RFC 5438.
    Imdn,
    /// One that is not understood.
    Other,
}

impl Namespace {
    pub(super) fn of(uri: &[u8]) -> Self {
        match uri {
            b"urn:ietf:params:cpim-headers:" => Self::Core,
            b"urn:ietf:params:imdn" => Self::Imdn,
            _ => Self::Other,
        }
    }
}

/// One message header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// The name with its prefix.
    pub name: &'a [u8],
    /// The parameters from the first semicolon on: `;lang=fr`.
    pub parameters: &'a [u8],
    /// The value as it is written: [`super::unescape`] says what it means.
    pub value: &'a [u8],
}

/// A line that was read.
pub(super) struct Line<'a> {
    pub(super) header: Header<'a>,
    /// The prefix of the name, without the dot.
    pub(super) prefix: &'a [u8],
    /// The name without the prefix.
    pub(super) name: &'a [u8],
    pub(super) value: Span,
}

/// `NAMECHAR`
pub(super) const fn is_name_char(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'^'..=b'`' | b'|' | b'~')
}

/// `TOKENCHAR`
pub(super) const fn is_token_char(octet: u8) -> bool {
    is_name_char(octet) || matches!(octet, b'.' | 0x80..)
}

/// `Header-name`
pub(super) fn is_name(name: &[u8]) -> bool {
    let (prefix, name) = split_prefix(name);
    prefix.is_none_or(is_plain_name) && is_plain_name(name)
}

/// `Name`
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&octet| is_name_char(octet))
}

fn split_prefix(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let dot = name.iter().position(|&octet| octet == b'.');
    match dot.and_then(|dot| name.split_at_checked(dot)) {
        Some((prefix, [_, name @ ..])) => (Some(prefix), name),
        Some(_) | None => (None, name),
    }
}

/// Reads the line from `at` to its CR at `end`.
///
/// # Errors
///
/// What breaks the grammar above or one of the rules of section 2.2.
pub(super) fn line(octets: &[u8], at: usize, end: usize) -> Result<Line<'_>, Malformed> {
    let line = octets.get(at..end).unwrap_or_default();
    visited(line.len());
    let malformed = |expected, offset: usize| Malformed { expected, at: at.saturating_add(offset) };
    if let Err(error) = core::str::from_utf8(line) {
        return Err(malformed("UTF-8", error.valid_up_to()));
    }
    if let Some(offset) = line.iter().position(u8::is_ascii_control) {
        return Err(malformed("an escape instead of a control character", offset));
    }
    let colon = line.iter().position(|&octet| octet == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(colon).unwrap_or_default();
    let ([b':', rest @ ..], true) = (rest, is_name(name)) else {
        return Err(malformed("the name of a header and a colon", 0));
    };
    let offset = |rest: &[u8]| line.len().saturating_sub(rest.len());
    let mut behind = rest;
    while let [b';', parameter @ ..] = behind {
        behind =
            parameter_end(parameter).ok_or_else(|| malformed("a parameter", offset(parameter)))?;
    }
    let parameters = rest.get(..rest.len().saturating_sub(behind.len())).unwrap_or_default();
    let [b' ', value @ ..] = behind else {
        return Err(malformed("a space", offset(behind)));
    };
    if value.first() == Some(&b' ') || value.last() == Some(&b' ') {
        return Err(malformed("a value without space around it", offset(value)));
    }
    if let Some(bad) = value::find_bad_escape(value) {
        return Err(malformed("an escape", offset(value).saturating_add(bad)));
    }
    let (prefix, plain) = split_prefix(name);
    Ok(Line {
        header: Header { name, parameters, value },
        prefix: prefix.unwrap_or_default(),
        name: plain,
        value: Span::between(at.saturating_add(offset(value)), end),
    })
}

/// Passes `Name "=" ( Token / Number / String )`, and for `lang` a Language-tag; what is behind it.
fn parameter_end(parameter: &[u8]) -> Option<&[u8]> {
    let equals = parameter.iter().position(|&octet| octet == b'=')?;
    let (name, rest) = parameter.split_at_checked(equals)?;
    let rest = rest.get(1..)?;
    if !is_plain_name(name) {
        return None;
    }
    if rest.first() == Some(&b'"') && name != b"lang" {
        return value::behind_string(rest);
    }
    let len = rest.iter().position(|&octet| !is_token_char(octet)).unwrap_or(rest.len());
    let (token, behind) = rest.split_at_checked(len)?;
    let good = if name == b"lang" { is_language_tag(token) } else { !token.is_empty() };
    good.then_some(behind)
}

/// `1*8ALPHA *( "-" 1*8( ALPHA / DIGIT ) )` (RFC 3066 section 2.1)
fn is_language_tag(tag: &[u8]) -> bool {
    let mut subtags = tag.split(|&octet| octet == b'-');
    let primary = subtags.next().unwrap_or_default();
    let short = |subtag: &[u8]| matches!(subtag.len(), 1..=8);
    short(primary)
        && primary.iter().all(u8::is_ascii_alphabetic)
        && subtags.all(|subtag| short(subtag) && subtag.iter().all(u8::is_ascii_alphanumeric))
}

/// Message headers that were read once, again.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Headers<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0 }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let end = super::line_end(self.octets, self.at).ok()?;
        let read = line(self.octets, self.at, end).ok()?;
        self.at = end.saturating_add(2);
        Some(read.header)
    }
}
