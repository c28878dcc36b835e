//! The `;name=value` lists behind Via values and addresses (RFC 3261 section 7.3.1).

use super::{Class, Cursor};
use crate::wire::cursor::masked;

/// One parameter; the cursor stands behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter<'a> {
    /// Its semicolon.
    pub(super) at: usize,
    /// Its name in small letters, if that has at most eight octets.
    name: u64,
    /// Its value with the quotes, if it has any; empty when absent.
    pub(super) value: &'a [u8],
    /// Where the value begins.
    pub(super) value_at: usize,
}

impl Parameter<'_> {
    /// Names are compared without case. The name is given with zeros behind it.
    pub(super) const fn is(&self, name: &[u8; 8]) -> bool {
        self.name == u64::from_le_bytes(*name)
    }
}

/// What stands next in a list of parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next<'a> {
    /// A parameter.
    Parameter(Parameter<'a>),
    /// A comma, which stays: another value follows.
    Comma,
    /// The end of the header field.
    End,
    /// Something else.
    Malformed,
}

/// Reads `SEMI name [ EQUAL value ]`, with white space around the separators.
#[inline(always)]
pub(super) fn next<'a>(cursor: &mut Cursor<'a>) -> Next<'a> {
    cursor.skip_lws();
    let at = cursor.at();
    if !cursor.eat(b';') {
        return match cursor.peek() {
            None => Next::End,
            Some(b',') => Next::Comma,
            Some(_) => Next::Malformed,
        };
    }
    cursor.skip_lws();
    let front = cursor.rest().first_chunk::<8>().copied();
    let name = cursor.take_few(Class::TOKEN);
    if name.is_empty() {
        return Next::Malformed;
    }
    let name = match front {
        Some(front) => small_word(front, name.len()),
        None => small_word(padded(name), name.len()),
    };
    if !cursor.eat(b'=') {
        // White space belongs to the parameter only if an equals sign follows.
        let mut ahead = *cursor;
        ahead.skip_lws();
        if !ahead.eat(b'=') {
            let value_at = cursor.at();
            return Next::Parameter(Parameter { at, name, value: &[], value_at });
        }
        *cursor = ahead;
    }
    cursor.skip_lws();
    let value_at = cursor.at();
    let mut value = cursor.take(Class::VALUE);
    if value.is_empty() {
        let before = *cursor;
        if !cursor.eat_quoted() {
            return Next::Malformed;
        }
        value = cursor.since(&before);
    }
    Next::Parameter(Parameter { at, name, value, value_at })
}

/// A name of at most eight octets in one word, in small letters; no such word for a longer one.
const fn small_word(front: [u8; 8], len: usize) -> u64 {
    // The bit makes letters small, and makes no other octet of a token a letter.
    let small = u64::from_le_bytes(front) | 0x2020_2020_2020_2020;
    if len > 8 { 0 } else { masked(small, len) }
}

/// What stands before the last eight octets of a header field.
#[cold]
fn padded(name: &[u8]) -> [u8; 8] {
    let mut front = [0; 8];
    for (room, octet) in front.iter_mut().zip(name) {
        *room = *octet;
    }
    front
}
