//! As much of SIP as the packets of the driver need: full header names, no folding, one Via value
//! in a header field. A relay of the world's SIP needs far more; that difference is part of what
//! the measurement shows.

use memchr::{memchr, memmem};

/// A range of octets in a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The first octet.
    pub at: usize,
    /// The octet after the last.
    pub end: usize,
}

impl Range {
    /// The octets themselves.
    pub fn of(self, octets: &[u8]) -> &[u8] {
        octets.get(self.at..self.end).unwrap_or_default()
    }
}

/// Where everything is that a relay or an end point looks at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scan {
    /// The status code; zero in a request.
    pub status: u16,
    /// Where the start line ends, its CRLF included.
    pub start_line_end: usize,
    /// The topmost Via header field with its CRLF.
    pub via: Range,
    /// All Via header fields with their CRLFs.
    pub vias: Range,
    /// How many they are.
    pub via_count: usize,
    /// The branch in the topmost one, without the cookie.
    pub branch: Range,
    /// The value of Max-Forwards.
    pub max_forwards: Range,
    /// The From header field with its CRLF.
    pub from: Range,
    /// The To header field with its CRLF.
    pub to: Range,
    /// The Call-ID header field with its CRLF.
    pub call_id: Range,
    /// The CSeq header field with its CRLF.
    pub cseq: Range,
    /// The P-Asserted-Identity header field with its CRLF.
    pub asserted: Range,
    /// The P-Called-Party-ID header field with its CRLF.
    pub called_party: Range,
    /// The In-Reply-To header field with its CRLF.
    pub in_reply_to: Range,
    /// The body, as long as Content-Length says.
    pub body: Range,
}

/// What every branch of RFC 3261 begins with.
pub const COOKIE: &[u8] = b"z9hG4bK";

/// Finds everything in one pass over the lines, or nothing when something is missing.
pub fn scan(octets: &[u8]) -> Option<Scan> {
    let mut found = Scan { start_line_end: line_end(octets, 0)?, ..Scan::default() };
    if let Some(status) = octets.strip_prefix(b"SIP/2.0 ") {
        found.status = u16::try_from(number(status.get(..3)?)?).ok()?;
    }
    let mut content_length = None;
    let mut at = found.start_line_end;
    loop {
        let end = line_end(octets, at)?;
        let line = octets.get(at..end)?;
        let range = Range { at, end };
        match line {
            [b'\r', b'\n'] => break,
            [b'V', b'i', b'a', b':', ..] => on_via(&mut found, range, octets)?,
            [b'F', b'r', b'o', b'm', b':', ..] => found.from = range,
            [b'T', b'o', b':', ..] => found.to = range,
            [b'C', b'a', b'l', b'l', b'-', b'I', b'D', b':', ..] => found.call_id = range,
            [b'C', b'S', b'e', b'q', b':', ..] => found.cseq = range,
            [b'P', b'-', b'A', b's', b's', ..] => found.asserted = range,
            [b'P', b'-', b'C', b'a', b'l', ..] => found.called_party = range,
            [b'I', b'n', b'-', b'R', b'e', ..] => found.in_reply_to = range,
            [b'M', b'a', b'x', b'-', b'F', ..] => {
                found.max_forwards =
                    Range { at: at + b"Max-Forwards: ".len(), end: end.checked_sub(2)? };
            }
            [b'C', b'o', b'n', b't', b'e', b'n', b't', b'-', b'L', ..] => {
                content_length = number(line.get(b"Content-Length: ".len()..line.len() - 2)?);
            }
            _ => {}
        }
        at = end;
    }
    found.body = Range { at: at + 2, end: at + 2 + content_length? };
    let whole = found.via_count > 0
        && found.body.end <= octets.len()
        && [found.from, found.to, found.call_id, found.cseq].iter().all(|range| range.at > 0);
    whole.then_some(found)
}

fn on_via(found: &mut Scan, line: Range, octets: &[u8]) -> Option<()> {
    if found.via_count == 0 {
        let text = line.of(octets);
        let at = memmem::find(text, b"branch=z9hG4bK")? + b"branch=z9hG4bK".len();
        let len = text[at..].iter().position(|&octet| octet == b';' || octet == b'\r')?;
        found.via = line;
        found.vias.at = line.at;
        found.branch = Range { at: line.at + at, end: line.at + at + len };
    }
    found.via_count += 1;
    found.vias.end = line.end;
    Some(())
}

/// The position after the next CRLF.
fn line_end(octets: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr(b'\n', octets.get(at..)?)? + 1;
    (end >= at + 2 && octets[end - 2] == b'\r').then_some(end)
}

/// The value of Max-Forwards in the next hop's copy; nothing if there are too few hops left, or more
/// than two digits say.
pub fn hops_left(octets: &[u8], found: &Scan) -> Option<[u8; 2]> {
    let hops = number(found.max_forwards.of(octets)).filter(|&hops| hops > 10 && hops <= 99)?;
    let hops = u8::try_from(hops - 1).ok()?;
    Some([b'0' + hops / 10, b'0' + hops % 10])
}

/// A request as it is passed on: our Via, whose value ends with `branch`, in front of the others, and
/// `hops` as its Max-Forwards. Returns its length.
pub fn forward(
    octets: &[u8],
    found: &Scan,
    (via, branch): (&[u8], &[u8]),
    hops: [u8; 2],
    slot: &mut [u8],
) -> usize {
    let mut writer = Writer::new(slot);
    writer
        .put(&octets[..found.via.at])
        .put(via)
        .put(branch)
        .put(b"\r\n")
        .put(&octets[found.via.at..found.max_forwards.at])
        .put(&hops)
        .put(&octets[found.max_forwards.end..found.body.end]);
    writer.len()
}

/// A response as it is passed back: without the topmost Via. Returns its length.
pub fn back(octets: &[u8], found: &Scan, slot: &mut [u8]) -> usize {
    let mut writer = Writer::new(slot);
    writer.put(&octets[..found.via.at]).put(&octets[found.via.end..found.body.end]);
    writer.len()
}

/// The URI between the brackets of a name-addr.
pub fn bracketed(line: &[u8]) -> Option<&[u8]> {
    let at = memchr(b'<', line)? + 1;
    let len = memchr(b'>', line.get(at..)?)?;
    line.get(at..at + len)
}

/// Decimal digits and nothing else.
pub fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |value: usize, digit| {
        digit.is_ascii_digit().then(|| value * 10 + usize::from(digit - b'0'))
    })
}

/// Hexadecimal digits in lower case and nothing else.
pub fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |value: u64, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// Writes a number as hexadecimal digits that fill `to`.
pub fn write_hex(mut value: u64, to: &mut [u8]) {
    for digit in to.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::from(value.to_le_bytes()[0] & 0xF)];
        value >>= 4;
    }
}

/// Writes a number as decimal digits that fill `to`.
pub fn write_decimal(mut value: u64, to: &mut [u8]) {
    for digit in to.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Writes pieces one after the other.
#[derive(Debug)]
pub struct Writer<'a> {
    octets: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `octets`.
    pub const fn new(octets: &'a mut [u8]) -> Self {
        Self { octets, len: 0 }
    }

    /// Appends a piece.
    ///
    /// # Panics
    ///
    /// Panics if it does not fit.
    pub fn put(&mut self, piece: &[u8]) -> &mut Self {
        self.octets[self.len..self.len + piece.len()].copy_from_slice(piece);
        self.len += piece.len();
        self
    }

    /// How much was written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_found() {
        let request = b"MESSAGE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
            From: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nIn-Reply-To: 2\r\n\
            P-Asserted-Identity: <sip:c>\r\nP-Called-Party-ID: \"d\" <sip:d>\r\n\
            Content-Length: 0\r\n\r\n";
        let found = scan(request).unwrap();
        assert_eq!(bracketed(found.asserted.of(request)), Some(&b"sip:c"[..]));
        assert_eq!(bracketed(found.called_party.of(request)), Some(&b"sip:d"[..]));
        assert_eq!(found.in_reply_to.of(request), b"In-Reply-To: 2\r\n");
        assert_eq!(bracketed(b"<sip:a"), None);
    }

    const RESPONSE: &[u8] = b"SIP/2.0 202 Accepted\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK01ab;rport=5060\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bK02\r\n\
        From: <sip:a@example.net>;tag=1\r\n\
        To: <sip:b@example.net>;tag=2\r\n\
        Call-ID: 3\r\n\
        CSeq: 1 MESSAGE\r\n\
        Content-Length: 2\r\n\r\nokX";

    #[test]
    fn everything_is_found() {
        let found = scan(RESPONSE).unwrap();
        assert_eq!(found.status, 202);
        assert_eq!(found.branch.of(RESPONSE), b"01ab");
        assert_eq!(found.via_count, 2);
        assert!(found.via.of(RESPONSE).ends_with(b"rport=5060\r\n"));
        assert!(found.vias.of(RESPONSE).ends_with(b"z9hG4bK02\r\n"));
        assert_eq!(found.call_id.of(RESPONSE), b"Call-ID: 3\r\n");
        assert_eq!(found.cseq.of(RESPONSE), b"CSeq: 1 MESSAGE\r\n");
        assert_eq!(found.body.of(RESPONSE), b"ok");
    }

    #[test]
    fn what_is_passed_on_and_back_differs_by_our_via_and_a_hop() {
        const REQUEST: &[u8] = b"MESSAGE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
            Max-Forwards: 70\r\nFrom: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: 1\r\n\
            CSeq: 1 MESSAGE\r\nContent-Length: 2\r\n\r\nok";
        let found = scan(REQUEST).unwrap();
        let hops = hops_left(REQUEST, &found).unwrap();
        assert_eq!(&hops, b"69");
        let mut slot = [0; 1_000];
        let via = (&b"Via: SIP/2.0/UDP b;branch=z9hG4bK"[..], &b"2"[..]);
        let len = forward(REQUEST, &found, via, hops, &mut slot);
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        let expected = text(REQUEST)
            .replace("Via:", "Via: SIP/2.0/UDP b;branch=z9hG4bK2\r\nVia:")
            .replace(": 70", ": 69");
        assert_eq!(text(&slot[..len]), expected);
        // Nothing but the Via on the way back.
        let found = scan(expected.as_bytes()).unwrap();
        let len = back(expected.as_bytes(), &found, &mut slot);
        assert_eq!(text(&slot[..len]), text(REQUEST).replace(": 70", ": 69"));
        for (hops, left) in
            [("10", None), ("11", Some(*b"10")), ("99", Some(*b"98")), ("100", None)]
        {
            let request = text(REQUEST).replace("70", hops);
            let found = scan(request.as_bytes()).unwrap();
            assert_eq!(hops_left(request.as_bytes(), &found), left, "{hops}");
        }
    }

    #[test]
    fn every_shorter_message_is_refused() {
        for end in 0..RESPONSE.len() - 1 {
            assert_eq!(scan(&RESPONSE[..end]), None, "{end}");
        }
    }

    #[test]
    fn numbers_survive_both_ways() {
        let mut digits = [0; 16];
        write_hex(0x0123_4567_89ab_cdef, &mut digits);
        assert_eq!(&digits, b"0123456789abcdef");
        assert_eq!(hex(&digits), Some(0x0123_4567_89ab_cdef));
        let mut digits = [0; 4];
        write_decimal(12_345, &mut digits);
        assert_eq!(&digits, b"2345");
        assert_eq!(hex(b"0g"), None);
        assert_eq!(number(b"070"), Some(70));
        assert_eq!(number(b""), None);
        assert_eq!(number(b"7 "), None);
    }
}
