//! What RFC 4975 forbids and all read alike: no reason to refuse a message on its way, but one to
//! say so to who stares at a capture.

use super::class::Class;
use super::header::{self, Name};
use super::{Head, Malformed, Method};
use crate::wire::cursor::find;

/// Holds a head that was read, and is without a fault, against the letter of the grammar.
///
/// # Errors
///
/// The first header field that has not exactly one space in front of its value, or, where the grammar
/// has no room for it, one behind it; a value that is not UTF-8; parameters of Content-Type that are
/// none; fields that describe a body where there is none; a body in a response; Success-Report or
/// Failure-Report in a REPORT (sections 7.1, 7.1.2, 7.2 and 9).
pub fn check(head: &Head<'_>) -> Result<(), Malformed> {
    let (octets, has_body, method) = match head {
        Head::Request(request) => (request.octets, request.has_body, Some(request.method)),
        Head::Response(response) => (response.octets, response.has_body, None),
    };
    let (line_end, _) = header::line_end(octets, 0)?;
    let mut next = line_end.saturating_add(2);
    while octets.get(next..).is_some_and(|rest| !rest.is_empty() && rest != b"\r\n") {
        let field = header::field(octets, next)?;
        let malformed = |expected, at| Err(Malformed { expected, at });
        let value = field.value().of(octets);
        let line_end = field.next.saturating_sub(2);
        let line = octets.get(next..line_end).unwrap_or_default();
        let value_at = find(line, b':').unwrap_or_default().saturating_add(1);
        let written = line.get(value_at..).unwrap_or_default();
        let value_at = next.saturating_add(value_at);
        if written.first() != Some(&b' ') {
            return malformed("a space behind the colon", value_at);
        }
        if field.name != Name::Other && written.get(1..) != Some(value) {
            return malformed("a value with one space in front of it", value_at);
        }
        if let Err(error) = core::str::from_utf8(written) {
            return malformed("UTF-8", value_at.saturating_add(error.valid_up_to()));
        }
        let name = line.get(..8).unwrap_or_default();
        if !has_body && name.eq_ignore_ascii_case(b"content-") {
            return malformed("a body behind a field that describes one", next);
        }
        if field.name == Name::ContentType && !has_parameters(value) {
            return malformed("parameters of a media type", value_at);
        }
        let asks = matches!(field.name, Name::SuccessReport | Name::FailureReport);
        if asks && method == Some(Method::Report) {
            return malformed("a REPORT that asks for no report", next);
        }
        next = field.next;
    }
    if method.is_none() && has_body {
        return Err(Malformed { expected: "no body in a response", at: next });
    }
    Ok(())
}

/// `type "/" subtype *( ";" gen-param )`
fn has_parameters(value: &[u8]) -> bool {
    let essence = value.iter().take_while(|octet| **octet != b';').count();
    let (essence, mut rest) = value.split_at_checked(essence).unwrap_or_default();
    while let [b';', parameter @ ..] = rest {
        match behind_parameter(parameter) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty() && !essence.ends_with(b" ") && !essence.ends_with(b"\t")
}

/// Passes `pname [ "=" pval ]`. A space in front of it is written by nearly all, and the RFCs that
/// define the types have it.
fn behind_parameter(octets: &[u8]) -> Option<&[u8]> {
    let octets = octets.trim_ascii_start();
    let behind_token = |octets| match Class::TOKEN.run(octets) {
        0 => None,
        len => octets.get(len..),
    };
    match behind_token(octets)? {
        [b'=', b'"', quoted @ ..] => behind_quoted(quoted),
        [b'=', token @ ..] => behind_token(token),
        behind => Some(behind),
    }
}

/// Passes `*(qdtext / qd-esc) DQUOTE`.
fn behind_quoted(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', b'\\' | b'"', behind @ ..] => behind,
            [b'\\', ..] | [] => return None,
            [_, behind @ ..] => behind,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::head;
    use super::*;

    #[test]
    fn the_letter_of_the_grammar_is_known() {
        let start =
            "MSRP a786hjs2 SEND\r\nTo-Path: msrp://a:1/b;tcp\r\nFrom-Path: msrp://c:1/d;tcp\r\n";
        for (rest, expected, before) in [
            ("Message-ID: 1234\r\nX: y  \r\nX:  z\r\nX: \r\nContent-Type: a/b\r\n\r\n", "", ""),
            ("Message-ID: 1234\r\nContent-Type: a/b;c;d=e; f=\"g;\\\"\\\\\"\r\n\r\n", "", ""),
            ("Message-ID: 1234\r\n", "", ""),
            ("Message-ID:1234\r\n", "a space behind the colon", "1234"),
            ("Message-ID:\t1234\r\n", "a space behind the colon", "\t1234"),
            ("Message-ID: 1234\r\nX:\r\n", "a space behind the colon", "\r\n-"),
            ("Message-ID:  1234\r\n", "a value with one space in front of it", "  1234"),
            ("Message-ID: 1234 \r\n", "a value with one space in front of it", " 1234 "),
            (
                "Message-ID: 1234\r\nContent-Type: a/b\r\n",
                "a body behind a field that describes one",
                "Content",
            ),
            (
                "Message-ID: 1234\r\ncontent-ID: a/b\r\n",
                "a body behind a field that describes one",
                "content",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b;\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b;c=\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b;c=\"d\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b;c=\"\\d\"\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b;c d\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
            (
                "Message-ID: 1234\r\nContent-Type: a/b ;c\r\n\r\n",
                "parameters of a media type",
                " a/b",
            ),
        ] {
            let octets = start.to_owned() + rest;
            let checked = check(&head(octets.as_bytes()).unwrap());
            let text = octets.clone() + "-";
            let wrong = text.find(before).filter(|_| !expected.is_empty());
            let wrong = wrong.map(|at| Malformed { expected, at });
            assert_eq!(checked.err(), wrong, "{rest:?}");
        }
        let report = start.replace("SEND", "REPORT")
            + "Message-ID: 1234\r\nStatus: 000 200\r\nFailure-Report: no\r\n";
        let checked = check(&head(report.as_bytes()).unwrap());
        assert_eq!(checked.unwrap_err().expected, "a REPORT that asks for no report");
        let response = start.replace("SEND", "200 OK") + "Content-Type: a/b\r\n\r\n";
        let checked = check(&head(response.as_bytes()).unwrap());
        assert_eq!(checked.unwrap_err().expected, "no body in a response");
        let latin = [start.as_bytes(), b"Message-ID: 1234\r\nX: a\xe9\r\n"].concat();
        let checked = check(&head(&latin).unwrap());
        assert_eq!(checked, Err(Malformed { expected: "UTF-8", at: latin.len() - 3 }));
    }
}
