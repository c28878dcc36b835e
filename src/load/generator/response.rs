//! What a response is about: read where it usually stands, else by reading all of it.
//!
//! A response without further Via values begins with its status line and our own Via, to which
//! parameters may have been added. Where that is so, octet for octet, and the response ends with its
//! header section, the status and the number are known. Whatever looks otherwise is read by [`sip`],
//! and is ours if its topmost branch is and its CSeq says MESSAGE (RFC 3261 section 17.1.3).

use crate::load::generator::message::{RunId, hex, of_branch};
use crate::wire::sip::{self, Message, Method};

/// The longest status line that is read where it usually stands.
const STATUS_LINE_MAX: usize = 64;

/// What came to the sending end.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for a moment")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard<'a> {
    /// A response to message `number`.
    Response {
        /// Which message.
        number: u32,
        /// From 100 to 699.
        status: u16,
    },
    /// A request.
    Request(sip::Request<'a>),
    /// A response to something else.
    Foreign,
    /// A keep-alive.
    Nothing,
    /// No SIP.
    Malformed,
}

/// Reads what comes to one sending end.
#[derive(Debug)]
pub(super) struct Reader {
    run: RunId,
    own_via: Box<[u8]>,
}

impl Reader {
    pub(super) const fn new(run: RunId, own_via: Box<[u8]>) -> Self {
        Self { run, own_via }
    }

    pub(super) fn read<'a>(&self, octets: &'a [u8]) -> Heard<'a> {
        self.usual(octets).unwrap_or_else(|| self.any(octets))
    }

    fn usual(&self, octets: &[u8]) -> Option<Heard<'static>> {
        let rest = octets.strip_prefix(b"SIP/2.0 ")?;
        let [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', rest @ ..] = rest else {
            return None;
        };
        let status = [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'));
        let line = rest.get(..STATUS_LINE_MAX).unwrap_or(rest);
        let end = memchr::memchr2(b'\r', b'\n', line)?;
        let rest = rest.get(end..)?.strip_prefix(b"\r\n")?;
        let rest = rest.strip_prefix(&*self.own_via)?;
        let (number, rest) = rest.split_first_chunk()?;
        let ended = matches!(rest.first(), Some(b';' | b'\r')) && rest.ends_with(b"\r\n\r\n");
        ended.then_some(Heard::Response { number: hex(number)?, status })
    }

    fn any<'a>(&self, octets: &'a [u8]) -> Heard<'a> {
        if sip::is_keep_alive(octets) {
            return Heard::Nothing;
        }
        match sip::parse(octets) {
            Ok(Message::Request(request)) => Heard::Request(request),
            Ok(Message::Response(response)) => {
                let branch = of_branch(response.fields.via.branch.of(response.octets));
                let number = branch.and_then(|name| self.run.number_of(name));
                let is_message = response.fields.cseq_method == Method::Message;
                match number.filter(|_| is_message && response.fields.via_count == 1) {
                    Some(number) => Heard::Response { number, status: response.status },
                    None => Heard::Foreign,
                }
            }
            Err(_) => Heard::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_VIA: &[u8] = b"Via: SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bK0000beef-";

    fn reader() -> Reader {
        Reader::new(RunId(0xbeef), OWN_VIA.into())
    }

    fn response(first: &str, via: &str, cseq: &str) -> String {
        let rest = "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: ";
        let end = "\r\nContent-Length: 0\r\n\r\n";
        ["SIP/2.0 ", first, "\r\n", via, rest, cseq, end].concat()
    }

    fn via(rest: &str) -> String {
        String::from_utf8_lossy(OWN_VIA).into_owned() + rest
    }

    #[test]
    fn the_usual_way_and_the_long_way_agree() {
        let reader = reader();
        for (first, rest) in [
            ("200 OK", "0000002a"),
            ("200 ", "0000002a;rport=5080"),
            ("480 Temporarily Unavailable", "0000002a;received=10.0.0.9;rport=7"),
            ("100 Trying", "0000002a;rport"),
        ] {
            let text = response(first, &via(rest), "1 MESSAGE");
            let usual = reader.usual(text.as_bytes()).unwrap();
            assert_eq!(reader.any(text.as_bytes()), usual, "{first} {rest}");
            let status = first[..3].parse().unwrap();
            assert_eq!(usual, Heard::Response { number: 0x2a, status });
        }
    }

    #[test]
    fn what_looks_otherwise_is_read_as_it_is() {
        let reader = reader();
        let expected = Heard::Response { number: 0x2a, status: 200 };
        for via in [
            "v: SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bK0000beef-0000002a",
            "Via: SIP/2.0/UDP 10.0.0.1:5080;rport=1;branch=z9hG4bK0000beef-0000002a",
            "Via:SIP / 2.0 / UDP 10.0.0.1 ; branch = z9hG4bK0000beef-0000002a",
        ] {
            let text = response("200 OK", via, "1 MESSAGE");
            assert_eq!(reader.usual(text.as_bytes()), None);
            assert_eq!(reader.read(text.as_bytes()), expected);
        }
    }

    #[test]
    fn what_is_not_ours_is_foreign() {
        let reader = reader();
        for (via, cseq) in [
            (via("0000002a"), "1 OPTIONS"),
            (via("0000002g"), "1 MESSAGE"),
            (via("0000002"), "1 MESSAGE"),
            (via("0000002ab"), "1 MESSAGE"),
            (via("0000002a, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1"), "1 MESSAGE"),
            (via("").replace("beef", "beee") + "0000002a", "1 MESSAGE"),
        ] {
            // An OPTIONS of ours has never left, so that only the long way has to look at CSeq.
            let text = response("200 OK", &via, cseq) + "x";
            assert_eq!(reader.read(text.as_bytes()), Heard::Foreign, "{via} {cseq}");
        }
    }

    #[test]
    fn bad_input_is_counted() {
        let reader = reader();
        let whole = response("200 OK", &via("0000002a"), "1 MESSAGE");
        for cut in 5..whole.len() {
            assert_eq!(reader.usual(&whole.as_bytes()[..cut]), None, "{cut}");
        }
        assert_eq!(reader.read(b"\r\n\r\n"), Heard::Nothing);
        assert_eq!(reader.read(b"SIP/2.0 200 OK\r\n\r\n"), Heard::Malformed);
        assert_eq!(reader.read(b"hello"), Heard::Malformed);
        assert_eq!(reader.usual(b"SIP/2.0 700 No\r\n"), None);
    }
}
