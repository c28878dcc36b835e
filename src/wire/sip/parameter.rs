//! The `;name=value` lists behind Via values and addresses (RFC 3261 section 7.3.1).

use super::{Class, Cursor};

/// One parameter; the cursor stands behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter<'a> {
    /// Its semicolon.
    pub(super) at: usize,
    /// Its name.
    pub(super) name: &'a [u8],
    /// Its value with the quotes, if it has any; empty when absent.
    pub(super) value: &'a [u8],
    /// Where the value begins.
    pub(super) value_at: usize,
}

impl Parameter<'_> {
    /// Names are compared without case.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
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
    let name_at = cursor.at();
    if cursor.skip(Class::TOKEN) == 0 {
        return Next::Malformed;
    }
    let name = cursor.since(name_at);
    // White space belongs to the parameter only if an equals sign follows.
    let mut ahead = *cursor;
    ahead.skip_lws();
    if !ahead.eat(b'=') {
        let value_at = cursor.at();
        return Next::Parameter(Parameter { at, name, value: &[], value_at });
    }
    ahead.skip_lws();
    *cursor = ahead;
    let value_at = cursor.at();
    let read = match cursor.peek() {
        Some(b'"') => cursor.eat_quoted(),
        Some(_) | None => cursor.skip(Class::VALUE) > 0,
    };
    if !read {
        return Next::Malformed;
    }
    Next::Parameter(Parameter { at, name, value: cursor.since(value_at), value_at })
}
