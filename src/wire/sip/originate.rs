//! MESSAGE requests of our own, as a user agent client writes them (RFC 3261 section 8.1.1, RFC
//! 3428 section 4).

use super::Transport;
use crate::wire::writer::Writer;

/// What a MESSAGE of ours says.
#[derive(Clone, Copy, Debug)]
pub struct Originate<'a> {
    /// The Request-URI.
    pub uri: &'a [u8],
    /// How it leaves, as our Via value says.
    pub transport: Transport,
    /// Host and port of our Via value.
    pub sent_by: &'a [u8],
    /// The branch of our Via value with its cookie.
    pub branch: &'a [u8],
    /// A Route value; empty when there is none.
    pub route: &'a [u8],
    /// From without a tag: a name-addr.
    pub from: &'a [u8],
    /// The tag of From, in 16 hexadecimal digits.
    pub from_tag: u64,
    /// The URI in To.
    pub to: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The number in CSeq.
    pub cseq: u32,
    /// Further header fields, each with its CRLF. Never a Contact (RFC 3428 section 4).
    pub more: &'a [&'a [u8]],
    /// Content-Type.
    pub content_type: &'a [u8],
    /// The body in pieces.
    pub body: &'a [&'a [u8]],
}

impl Originate<'_> {
    /// How many octets it has.
    pub fn size(&self) -> usize {
        let route = if self.route.is_empty() { 0 } else { sum(&[b"Route: ", self.route, CRLF]) };
        let of_fields = sum(&[
            REQUEST,
            self.uri,
            VERSION,
            self.transport.via().unwrap_or_default(),
            self.sent_by,
            BRANCH,
            self.branch,
            RPORT,
            b"From: ",
            self.from,
            TAG,
            b"0123456789abcdef",
            TO,
            self.to,
            b">\r\nCall-ID: ",
            self.call_id,
            b"\r\nCSeq: ",
            b" MESSAGE\r\nContent-Type: ",
            self.content_type,
            b"\r\nContent-Length: \r\n\r\n",
        ]);
        let length = sum(self.body);
        let numbers = digits(self.cseq).saturating_add(digits(u32::try_from(length).unwrap_or(0)));
        let rest = route.saturating_add(sum(self.more)).saturating_add(length);
        of_fields.saturating_add(numbers).saturating_add(rest)
    }
}

const CRLF: &[u8] = b"\r\n";
const REQUEST: &[u8] = b"MESSAGE ";
const VERSION: &[u8] = b" SIP/2.0\r\n";
const BRANCH: &[u8] = b";branch=";
/// RFC 3581: the response comes back the way the request went.
const RPORT: &[u8] = b";rport\r\nMax-Forwards: 70\r\n";
const TAG: &[u8] = b";tag=";
const TO: &[u8] = b"\r\nTo: <";

fn sum(pieces: &[&[u8]]) -> usize {
    pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()))
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().map_or(1, |log| usize::try_from(log).unwrap_or(0).saturating_add(1))
}

/// Writes the request. Returns how many octets it has, or `None` if they do not fit.
pub fn originate(message: &Originate<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    let via = message.transport.via()?;
    for piece in [REQUEST, message.uri, VERSION, via, message.sent_by] {
        writer.put(piece)?;
    }
    for piece in [BRANCH, message.branch, RPORT] {
        writer.put(piece)?;
    }
    if !message.route.is_empty() {
        writer.put_field(b"Route: ", message.route)?;
    }
    writer.put(b"From: ")?;
    writer.put(message.from)?;
    writer.put(TAG)?;
    writer.put_hex(message.from_tag)?;
    writer.put(TO)?;
    writer.put(message.to)?;
    writer.put(b">\r\n")?;
    writer.put_field(b"Call-ID: ", message.call_id)?;
    writer.put(b"CSeq: ")?;
    writer.put_number(message.cseq)?;
    writer.put(b" MESSAGE\r\n")?;
    for line in message.more {
        writer.put(line)?;
    }
    writer.put_field(b"Content-Type: ", message.content_type)?;
    writer.put(b"Content-Length: ")?;
    writer.put_number(u32::try_from(sum(message.body)).ok()?)?;
    writer.put(b"\r\n\r\n")?;
    for piece in message.body {
        writer.put(piece)?;
    }
    Some(writer.at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::{self, Message, Method};

    #[test]
    fn what_is_written_is_read_back() {
        let message = Originate {
            uri: b"sip:+15551230002@im.example;user=phone",
            transport: Transport::Tcp,
            sent_by: b"10.0.0.5:5060",
            branch: b"z9hG4bK1",
            route: b"<sip:s-cscf.example;lr>",
            from: b"\"A, B\" <sip:roger.example>",
            from_tag: 0xAB,
            to: b"sip:+15551230002@im.example;user=phone",
            call_id: b"1@roger.example",
            cseq: 2,
            more: &[b"Date: Sat, 22 Nov 2025 03:28:00 GMT\r\n", b"In-Reply-To: x@y\r\n"],
            content_type: b"text/plain;charset=UTF-8",
            body: &[b"hello", b"hello"],
        };
        let mut octets = [0; 1_024];
        let len = originate(&message, &mut octets).unwrap();
        assert_eq!(len, message.size());
        let bare = Originate { route: b"", cseq: 4_000_000_000, more: &[], body: &[], ..message };
        let bare_len = originate(&bare, &mut [0; 1_024]).unwrap();
        assert_eq!(bare_len, bare.size());
        let Ok(Message::Request(request)) = sip::parse(&octets[..len]) else { panic!() };
        let (octets, fields) = (request.octets, request.fields);
        assert_eq!(request.fault, None);
        assert_eq!((request.method, fields.cseq), (Method::Message, 2));
        assert_eq!(request.uri.of(octets), message.uri);
        assert_eq!(fields.via.transport, Transport::Tcp);
        assert_eq!(fields.from_uri.of(octets), b"sip:roger.example");
        assert_eq!(fields.from_tag.of(octets), b"00000000000000ab");
        assert_eq!(fields.to_uri.of(octets), message.to);
        assert_eq!(fields.body.of(octets), b"hellohello");
        assert_eq!(fields.route_count, 1);
        assert_eq!(fields.contact_count, 0);
        let mut short = [0; 100];
        assert_eq!(originate(&message, &mut short), None);
    }
}
