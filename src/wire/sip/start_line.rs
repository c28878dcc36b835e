//! Request-Line and Status-Line (RFC 3261 sections 7.1 and 7.2).

use super::wrong::{self, Wrong};
use super::{Class, Cursor, Malformed, Method, Span, uri};
use crate::limits::SIP_URI_SIZE_MAX;
use crate::wire::cursor::find;

/// A request line that names a method and a version of SIP.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) method_name: Span,
    pub(super) uri: Span,
    pub(super) wrong: Option<Wrong>,
}

/// What every SIP version begins with.
const PROTOCOL: &[u8] = b"SIP/";

/// Whether this begins a response.
pub(super) fn is_status_line(octets: &[u8]) -> bool {
    octets.get(..PROTOCOL.len()).is_some_and(|start| start.eq_ignore_ascii_case(PROTOCOL))
}

/// Reads `Method SP Request-URI SP SIP-Version`; the line ends at `end`.
///
/// # Errors
///
/// No method, or no version of SIP: not a request.
pub(super) fn request_line(octets: &[u8], end: usize) -> Result<RequestLine, Malformed> {
    let mut cursor = Cursor::new(octets, 0, end);
    if cursor.skip(Class::TOKEN) == 0 {
        return Err(Malformed { expected: "a method", at: 0 });
    }
    let method_name = Span::between(0, cursor.at());
    let method = Method::of(method_name.of(octets));
    if !cursor.eat(b' ') {
        return Err(Malformed { expected: "a space behind the method", at: cursor.at() });
    }
    let uri_at = cursor.at();
    let rest = cursor.rest();
    if let Some((written, version)) = find(rest, b' ').and_then(|len| rest.split_at_checked(len))
        && version.eq_ignore_ascii_case(b" SIP/2.0")
    {
        let uri = Span::between(uri_at, uri_at.wrapping_add(written.len()));
        return Ok(RequestLine { method, method_name, uri, wrong: request_uri(written) });
    }
    let line = octets.get(..end).unwrap_or_default();
    let (uri, wrong) = unusual(line, uri_at)?;
    Ok(RequestLine { method, method_name, uri, wrong: Some(wrong) })
}

/// Whether [`request_line`] reads this one, without a look into its URI.
///
/// # Errors
///
/// As there.
pub(super) fn check_request_line(octets: &[u8], end: usize) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(octets, 0, end);
    let has_method = cursor.skip(Class::TOKEN) > 0 && cursor.eat(b' ');
    let version = cursor.rest().last_chunk::<8>();
    if has_method && version.is_some_and(|version| version.eq_ignore_ascii_case(b" SIP/2.0")) {
        return Ok(());
    }
    request_line(octets, end).map(drop)
}

/// What is wrong with a Request-URI, if anything.
fn request_uri(octets: &[u8]) -> Option<Wrong> {
    if octets.len() > SIP_URI_SIZE_MAX {
        return Some(wrong::URI_TOO_LONG);
    }
    match uri::parse(octets) {
        // RFC 3261 section 19.1.1: no headers in a Request-URI (RFC 4475 section 3.1.2.11).
        Ok(uri) if !uri.headers.is_empty() => Some(wrong::REQUEST_URI),
        Ok(uri) => match uri.scheme {
            uri::Scheme::Sip | uri::Scheme::Tel => None,
            // SIPS asks for TLS on every hop (section 26.2.2), which a datagram has not.
            uri::Scheme::Sips | uri::Scheme::Other => Some(wrong::SCHEME),
        },
        Err(_) => Some(wrong::REQUEST_URI),
    }
}

/// A request line of another version of SIP, or one with too many spaces or with octets in its
/// URI that no URI has. All are refused, since elements differ in how they mend them.
fn unusual(line: &[u8], uri_at: usize) -> Result<(Span, Wrong), Malformed> {
    let trimmed = line.trim_ascii_end();
    let rest = trimmed.get(uri_at..).unwrap_or_default();
    let space = rest.iter().rposition(|&octet| octet == b' ').unwrap_or(rest.len());
    let version = rest.get(space..).unwrap_or_default().trim_ascii_start();
    if !is_status_line(version) {
        return Err(Malformed { expected: "a version of SIP", at: trimmed.len() });
    }
    let uri_end = uri_at.saturating_add(space);
    let mut numbers = Cursor::new(version, PROTOCOL.len(), version.len());
    let dotted = numbers.number().is_some() && numbers.eat(b'.') && numbers.number().is_some();
    let dotted = dotted && numbers.is_at_end() && version.len() == PROTOCOL.len().saturating_add(3);
    let two = version.eq_ignore_ascii_case(b"SIP/2.0");
    let wrong = if dotted && !two { wrong::VERSION } else { wrong::REQUEST_LINE };
    Ok((Span::between(uri_at, uri_end), wrong))
}

/// Reads `SIP-Version SP Status-Code SP Reason-Phrase`; the line ends at `end`.
///
/// The space behind the status code is missing from some peers that send no reason phrase, which
/// is read alike by all (RFC 4475 section 3.1.1.13); losing the response would lose a report.
///
/// # Errors
///
/// What breaks the grammar, another version, or a status code of no class.
pub(super) fn status_line(octets: &[u8], end: usize) -> Result<(u16, Span), Malformed> {
    let line = octets.get(..end).unwrap_or_default();
    let version = line.get(..8).unwrap_or_default();
    if !version.eq_ignore_ascii_case(b"SIP/2.0 ") {
        return Err(Malformed { expected: "SIP/2.0 and a space", at: 0 });
    }
    let malformed = Malformed { expected: "a status code from 100 to 699", at: STATUS_AT };
    let mut cursor = Cursor::new(line, STATUS_AT, line.len());
    let status = cursor.number().and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| matches!(status, 100..=699)).ok_or(malformed)?;
    let three = cursor.at() == STATUS_AT.saturating_add(3);
    if !three || !(cursor.eat(b' ') || cursor.is_at_end()) {
        return Err(malformed);
    }
    Ok((status, Span::between(cursor.at(), end)))
}

/// Where the status code begins.
pub(super) const STATUS_AT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Option<(Method, &str, Option<u16>)> {
        let read = request_line(line.as_bytes(), line.len()).ok()?;
        let uri = core::str::from_utf8(read.uri.of(line.as_bytes())).unwrap();
        Some((read.method, uri, read.wrong.map(|wrong| wrong.status)))
    }

    #[test]
    fn request_lines_are_judged() {
        let long = format!("MESSAGE sip:{}@b SIP/2.0", "a".repeat(SIP_URI_SIZE_MAX));
        assert_eq!(request(&long).unwrap().2, Some(414));
        for (line, uri, status) in [
            ("MESSAGE sip:a@b SIP/2.0", "sip:a@b", None),
            ("MESSAGE sip:a@b sip/2.0", "sip:a@b", None),
            ("MESSAGE tel:+1 SIP/2.0", "tel:+1", None),
            ("MESSAGE sips:a@b SIP/2.0", "sips:a@b", Some(416)),
            ("MESSAGE urn:service:sos SIP/2.0", "urn:service:sos", Some(416)),
            ("MESSAGE sip:a@b SIP/7.0", "sip:a@b", Some(505)),
            ("MESSAGE sip:a@b SIP/1.0", "sip:a@b", Some(505)),
            ("MESSAGE sip:a@b SIP/2.00", "sip:a@b", Some(400)),
            ("MESSAGE sip:a@b SIP/x", "sip:a@b", Some(400)),
            ("MESSAGE  sip:a@b  SIP/2.0", " sip:a@b ", Some(400)),
            ("MESSAGE sip:a@b SIP/2.0  ", "sip:a@b", Some(400)),
            ("MESSAGE sip:a@b; lr SIP/2.0", "sip:a@b; lr", Some(400)),
            ("MESSAGE <sip:a@b> SIP/2.0", "<sip:a@b>", Some(400)),
            ("MESSAGE sip:a\0@b SIP/2.0", "sip:a\0@b", Some(400)),
            ("MESSAGE sip:a@b?x=y SIP/2.0", "sip:a@b?x=y", Some(400)),
            ("MESSAGE  SIP/2.0", "", Some(400)),
            ("MESSAGE a SIP/2.0", "a", Some(400)),
        ] {
            assert_eq!(request(line), Some((Method::Message, uri, status)), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_sip_request_is_dropped() {
        for line in [
            "",
            " MESSAGE sip:a@b SIP/2.0",
            "MESSAGE",
            "MESSAGE ",
            "MESSAGE\tsip:a@b SIP/2.0",
            "MESSAGE sip:a@b",
            "MESSAGE sip:a@b ",
            "GET / HTTP/1.1",
            "MES<SAGE sip:a@b SIP/2.0",
        ] {
            assert_eq!(request(line), None, "{line:?}");
        }
    }

    #[test]
    fn status_lines_are_judged() {
        let read = |line: &str| {
            let (status, reason) = status_line(line.as_bytes(), line.len()).ok()?;
            Some((status, String::from_utf8(reason.of(line.as_bytes()).to_vec()).unwrap()))
        };
        for (line, status, reason) in [
            ("SIP/2.0 200 OK", 200, "OK"),
            ("sip/2.0 699  x ", 699, " x "),
            ("SIP/2.0 100 ", 100, ""),
            ("SIP/2.0 100", 100, ""),
        ] {
            assert_eq!(read(line), Some((status, reason.to_owned())), "{line:?}");
        }
        for line in [
            "SIP/2.0",
            "SIP/2.0 ",
            "SIP/3.0 200 OK",
            "SIP/2.0  200 OK",
            "SIP/2.0 099 x",
            "SIP/2.0 99 x",
            "SIP/2.0 0200 x",
            "SIP/2.0 700 x",
            "SIP/2.0 2000 x",
            "SIP/2.0 200OK",
            "SIP/2.0 200\tOK",
            "SIP/2.0 4294967301 better not break the receiver",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
