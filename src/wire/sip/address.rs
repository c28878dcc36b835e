//! `name-addr` and `addr-spec` with their parameters: From, To, Route and their kin
//! (RFC 3261 section 20.10).

use super::parameter::{self, Next};
use super::{Class, Cursor, Malformed, Span, uri};

/// One address value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Address {
    /// The URI without brackets.
    pub(super) uri: Span,
    /// The value of `tag`; empty when absent.
    pub(super) tag: Span,
}

/// Reads one value and stops at the comma behind it or at the end.
///
/// # Errors
///
/// What breaks the grammar: an unquoted display name that is no list of tokens, a quoted string or
/// a bracket without end, white space in the URI, an empty or second tag.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<Address, Malformed> {
    let malformed = Malformed { expected: "an address", at: cursor.at() };
    let mut address = Address { uri: eat_uri(cursor).ok_or(malformed)?, tag: Span::default() };
    loop {
        let parameter = match parameter::next(cursor) {
            Next::Parameter(parameter) => parameter,
            Next::Comma | Next::End => return Ok(address),
            Next::Malformed => {
                return Err(Malformed { expected: "a parameter", at: cursor.at() });
            }
        };
        if parameter.is(b"tag\0\0\0\0\0") {
            let value = parameter.value;
            if value.is_empty() || value.starts_with(b"\"") || !address.tag.is_empty() {
                return Err(Malformed { expected: "one tag", at: parameter.at });
            }
            address.tag = Span::between(parameter.value_at, cursor.at());
        }
    }
}

/// Passes the display name and the URI with its brackets; says where the URI is.
fn eat_uri(cursor: &mut Cursor<'_>) -> Option<Span> {
    cursor.skip_lws();
    match cursor.peek()? {
        b'<' => return eat_enclosed(cursor),
        b'"' => {
            if !cursor.eat_quoted() {
                return None;
            }
            cursor.skip_lws();
            return eat_enclosed(cursor);
        }
        _ => {}
    }
    let mut ahead = *cursor;
    if ahead.take_few(Class::TOKEN).is_empty() {
        return None;
    }
    if ahead.peek() == Some(b':') {
        return eat_bare(cursor);
    }
    *cursor = ahead;
    // The display name is a list of tokens. No white space is needed before the bracket
    // (RFC 4475 section 3.1.1.6).
    loop {
        cursor.skip_lws();
        if cursor.peek() == Some(b'<') {
            return eat_enclosed(cursor);
        }
        if cursor.skip(Class::TOKEN) == 0 {
            return None;
        }
    }
}

fn eat_enclosed(cursor: &mut Cursor<'_>) -> Option<Span> {
    if !cursor.eat(b'<') {
        return None;
    }
    let at = cursor.at();
    uri::eat_scheme(cursor)?;
    let len = cursor.skip(Class::URI);
    let uri = Span::between(at, cursor.at());
    (len > 0 && cursor.eat(b'>')).then_some(uri)
}

/// A URI that is not enclosed ends at `;`, which then begins a parameter of the header field. It
/// must not contain `,` or `?` (section 20), at which the caller finds no parameter.
fn eat_bare(cursor: &mut Cursor<'_>) -> Option<Span> {
    let at = cursor.at();
    uri::eat_scheme(cursor)?;
    (cursor.skip(Class::BARE_URI) > 0).then(|| Span::between(at, cursor.at()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(&str, &str, &str)> {
        let mut cursor = Cursor::new(text.as_bytes(), 0, text.len());
        let address = value(&mut cursor).ok()?;
        let part = |span: Span| core::str::from_utf8(span.of(text.as_bytes())).unwrap();
        Some((part(address.uri), part(address.tag), &text[cursor.at()..]))
    }

    #[test]
    fn all_forms_are_read() {
        for (text, expected) in [
            ("<sip:a@b>;tag=1", ("sip:a@b", "1", "")),
            ("sip:a@b;tag=1", ("sip:a@b", "1", "")),
            ("sip:a@b", ("sip:a@b", "", "")),
            ("sip:a@b ; x ; Tag = 1", ("sip:a@b", "1", "")),
            ("\"A, \\\"B\\\" <c>\" <sip:a@b;x?y=z>;q=\";tag=2\";tag=1", ("sip:a@b;x?y=z", "1", "")),
            ("A. B*C <sip:a@b>", ("sip:a@b", "", "")),
            ("caller<sip:a@b>;tag=323", ("sip:a@b", "323", "")),
            ("\r\n sip:a@b\r\n ;\r\n tag\r\n =\r\n 1", ("sip:a@b", "1", "")),
            ("isbn:2983792873", ("isbn:2983792873", "", "")),
            ("<http://www.example.com>;tag=3", ("http://www.example.com", "3", "")),
            ("<tel:+1>", ("tel:+1", "", "")),
            ("<sip:a;lr>,<sip:b;lr>", ("sip:a;lr", "", ",<sip:b;lr>")),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "a",
            "<>",
            "<sip:>",
            "sip:",
            "<a@b>",
            "< sip:a@b >",
            "<sip:a@b",
            "<sip:a b>",
            "<sip:a\0b>",
            "<sip:a<b>",
            "sip:a@b?x=y",
            "sip:a@b x",
            "\"A <sip:a@b>",
            "\"A\" sip:a@b",
            "\"A\" \"B\" <sip:a@b>",
            "A, B <sip:a@b>",
            "A \"B\" <sip:a@b>",
            "<sip:a@b>;tag",
            "<sip:a@b>;tag=",
            "<sip:a@b>;tag=\"1\"",
            "<sip:a@b>;tag=1;tag=1",
            "<sip:a@b>;;tag=1",
            "<sip:a@b>;tag=1;",
            "<sip:a@b>x",
            "<sip:a@b>>",
            "<1:a@b>",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
