//! SIP as a person reads it: lines, names, colons. On purpose none of the engine's own parser, so
//! that what the actors and the judge see does not depend on what they judge.

use roger::packet::Endpoint;

/// A SIP message, split where a person would split it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The start line.
    pub(crate) start: &'a str,
    /// The header lines.
    pub(crate) head: &'a str,
    /// What follows the empty line.
    pub(crate) body: &'a [u8],
}

impl<'a> Text<'a> {
    /// Splits a datagram, unless it has no empty line or no text before it.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let end = memchr::memmem::find(octets, b"\r\n\r\n")?;
        let upper = core::str::from_utf8(&octets[..end]).ok()?;
        let (start, head) = upper.split_once("\r\n")?;
        Some(Self { start, head, body: &octets[end + 4..] })
    }

    /// Splits a datagram that may have lost its end.
    pub(crate) fn salvage(octets: &'a [u8]) -> Option<Self> {
        Self::read(octets).or_else(|| {
            let (start, head) = core::str::from_utf8(octets).ok()?.split_once("\r\n")?;
            Some(Self { start, head, body: &[] })
        })
    }

    /// The header lines, one after the other.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'a str> {
        self.head.split('\n').map(|line| line.trim_end_matches('\r'))
    }

    /// The value of the first header line with this name, long or compact.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.lines().find_map(|line| value_of(line, name))
    }

    /// Every Via value, topmost first.
    pub(crate) fn vias(&self) -> impl Iterator<Item = &'a str> {
        self.lines().filter_map(|line| value_of(line, "Via")).flat_map(|value| value.split(','))
    }

    /// The status code of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        let rest = self.start.get(8..).filter(|_| self.is_response())?;
        let code = rest.get(..3)?;
        let ends = rest.as_bytes().get(3).is_none_or(|octet| *octet == b' ');
        (ends && code.bytes().all(|octet| octet.is_ascii_digit())).then(|| code.parse().ok())?
    }

    /// RFC 3261 section 7.1: the version has no case.
    fn is_response(&self) -> bool {
        self.start.get(..8).is_some_and(|version| version.eq_ignore_ascii_case("SIP/2.0 "))
    }

    /// Whether it is a CANCEL or answers one: CANCEL shares the branch of what it cancels.
    fn is_cancel(&self) -> bool {
        if self.is_response() {
            self.value("CSeq").is_some_and(|value| value.ends_with(" CANCEL"))
        } else {
            self.start.starts_with("CANCEL ")
        }
    }

    /// Whose transaction this is, by the topmost Via.
    pub(crate) fn key(&self) -> Option<Key> {
        Some(Key::of(self.vias().next()?, self.is_cancel()))
    }

    /// The key of the second Via: whom a forwarded request was received from.
    pub(crate) fn key_below(&self) -> Option<Key> {
        Some(Key::of(self.vias().nth(1)?, self.is_cancel()))
    }
}

/// What names a transaction of a client: its branch, its sent-by, and whether it is a CANCEL.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    /// The value of the branch parameter.
    pub(crate) branch: Box<str>,
    /// Host and port as they stand in the Via.
    pub(crate) sent_by: Box<str>,
    /// Whether it cancels the other transaction with this branch.
    pub(crate) cancel: bool,
}

impl Key {
    fn of(via: &str, cancel: bool) -> Self {
        let branch = parameter(via, "branch").unwrap_or("").into();
        // Host names and hexadecimal digits of addresses have no case.
        let sent_by = sent_by(via).unwrap_or("").to_ascii_lowercase().into();
        Self { branch, sent_by, cancel }
    }
}

/// Host and port as they stand in a Via value.
pub(crate) fn sent_by(via: &str) -> Option<&str> {
    let rest = via.trim().split_once(' ')?.1;
    let rest = rest.split(';').next()?.trim();
    (!rest.is_empty()).then_some(rest)
}

/// The value of a parameter, empty when it stands without one.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|piece| {
        let piece = piece.trim();
        let (left, right) = piece.split_once('=').unwrap_or((piece, ""));
        left.trim().eq_ignore_ascii_case(name).then(|| right.trim())
    })
}

/// The value of a header line if it has this name, long or compact.
pub(crate) fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (left, right) = line.split_once(':')?;
    let left = left.trim_end();
    let same = left.eq_ignore_ascii_case(name)
        || compact_of(name).is_some_and(|compact| left.eq_ignore_ascii_case(compact));
    same.then(|| right.trim())
}

/// The compact form of a header name (RFC 3261 section 7.3.3).
pub(crate) fn compact_of(name: &str) -> Option<&'static str> {
    match name {
        "Via" => Some("v"),
        "From" => Some("f"),
        "To" => Some("t"),
        "Call-ID" => Some("i"),
        "Content-Type" => Some("c"),
        "Content-Length" => Some("l"),
        _ => None,
    }
}

/// An address and a port as they stand in a Via or a URI.
pub(crate) fn written(endpoint: Endpoint) -> String {
    endpoint.to_socket_addr().to_string()
}

/// Host and port of a text such as `192.0.2.1:5060`.
pub(crate) fn endpoint(text: &str) -> Option<Endpoint> {
    let with_port = if text.rsplit_once(':').is_some_and(|(left, _)| {
        !left.ends_with(':') && (!left.contains(':') || left.ends_with(']'))
    }) {
        text.to_owned()
    } else {
        format!("{text}:5060")
    };
    with_port.parse::<core::net::SocketAddr>().ok().map(Endpoint::from)
}

/// A message without the topmost Via value, which is what a proxy passes upstream.
pub(crate) fn without_top_via(octets: &[u8]) -> Option<Vec<u8>> {
    let text = Text::read(octets)?;
    let line = text.lines().find(|line| value_of(line, "Via").is_some())?;
    let at = line.as_ptr() as usize - octets.as_ptr() as usize;
    let mut rest = octets[..at].to_vec();
    if let Some((_, others)) = line.split_once(',') {
        rest.extend_from_slice(line.split_once(':')?.0.as_bytes());
        rest.extend_from_slice(b": ");
        rest.extend_from_slice(others.trim_start().as_bytes());
        rest.extend_from_slice(&octets[at + line.len()..]);
    } else {
        rest.extend_from_slice(&octets[at + line.len() + 2..]);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours\r\n\
        Via: SIP/2.0/UDP 198.51.100.1:5060;rport=9;branch=z9hG4bKtheirs\r\nl: 0\r\n\r\n";

    #[test]
    fn a_response_is_read_line_by_line() {
        let text = Text::read(RESPONSE.as_bytes()).unwrap();
        assert_eq!(text.status(), Some(200));
        assert_eq!(text.value("Content-Length"), Some("0"));
        assert_eq!(&*text.key().unwrap().branch, "z9hG4bKours");
        assert_eq!(&*text.key_below().unwrap().sent_by, "198.51.100.1:5060");
        assert_eq!(parameter("a;rport;b=1", "rport"), Some(""));
    }

    #[test]
    fn the_topmost_via_goes_and_nothing_else() {
        let rest = without_top_via(RESPONSE.as_bytes()).unwrap();
        let rest = core::str::from_utf8(&rest).unwrap();
        assert_eq!(
            rest,
            RESPONSE.replace("v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours\r\n", "")
        );
        let joined = b"SIP/2.0 200 OK\r\nVia: one, two\r\nX: y\r\n\r\n";
        assert_eq!(without_top_via(joined).unwrap(), b"SIP/2.0 200 OK\r\nVia: two\r\nX: y\r\n\r\n");
    }

    #[test]
    fn addresses_are_read_in_both_families() {
        for text in ["192.0.2.1:5062", "[2001:db8::1]:5060"] {
            assert_eq!(written(endpoint(text).unwrap()), text);
        }
        assert_eq!(endpoint("192.0.2.1").unwrap().port, 5060);
        assert_eq!(endpoint("[2001:db8::1]").unwrap().port, 5060);
        assert_eq!(endpoint("example.invalid:1"), None);
    }
}
