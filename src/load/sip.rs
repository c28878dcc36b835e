//! As much SIP as two actors on a loopback need, written in the plainest way.
//!
//! One header field a line, full names, no folding: what the actors write themselves and what a
//! proxy passes on unchanged. Anything else does not read, and what does not read is counted by
//! the actor that got it.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;

use crate::load::schedule::Run;

/// Begins every branch (RFC 3261 section 8.1.1.7).
pub const COOKIE: &str = "z9hG4bK";

/// Max-Forwards of a new request.
pub const MAX_FORWARDS: u32 = 70;

/// A SIP message taken apart.
#[derive(Debug)]
pub struct Text<'a> {
    /// Request line or status line.
    pub start: &'a str,
    /// Header fields in their order, with the white space around the values gone.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Everything after the empty line.
    pub body: &'a str,
}

impl<'a> Text<'a> {
    /// Reads one datagram.
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(datagram).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?;
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            fields.push((name.trim(), value.trim()));
        }
        Some(Self { start, fields, body })
    }

    /// The first value of a header field.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// All Via values from the top down.
    pub fn vias(&self) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Via"))
            .flat_map(|(_, value)| value.split(',').map(str::trim))
    }

    /// The status code, if this is a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The user part of the Request-URI, if this is a MESSAGE request to a sip URI.
    pub fn recipient(&self) -> Option<&'a str> {
        let uri = self.start.strip_prefix("MESSAGE sip:")?.strip_suffix(" SIP/2.0")?;
        Some(uri.split_once('@')?.0)
    }
}

/// The value of one parameter of a header field.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(n, _)| n.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A fingerprint under which octets are recognised when they come again.
pub fn fingerprint(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(octets);
    hasher.finish()
}

/// The Call-ID of message `number`.
pub fn call_id(run: &Run, number: usize) -> String {
    format!("m{number}-{:08x}@sms.example", run.id)
}

/// The number in a Call-ID of this run.
pub fn number_of(run: &Run, call_id: &str) -> Option<usize> {
    let (number, rest) = call_id.strip_prefix('m')?.split_once('-')?;
    let number = number.parse().ok().filter(|number| *number < run.messages)?;
    (rest == format!("{:08x}@sms.example", run.id)).then_some(number)
}

/// The branch with which the SMS side sends message `number`.
pub fn branch(run: &Run, number: usize) -> String {
    format!("{COOKIE}-sms-{:08x}-{number}", run.id)
}

/// The user part that tells the IM side which message this is and what to do with it.
pub fn recipient(run: &Run, number: usize) -> String {
    format!("u{number:06}-{}", run.outcome(number).code())
}

/// What message `number` says.
pub fn body(run: &Run, number: usize) -> String {
    format!(
        "Message {number} of run {:08x}. Grüße aus der SMS-Welt: the tide is in at a quarter \
         past six, bring the boat round to the north side and do not forget the lamp.",
        run.id
    )
}

/// Writes the MESSAGE request of message `number`. Its retransmissions are the same octets.
pub fn write_request(
    run: &Run,
    number: usize,
    sent_by: SocketAddr,
    domain: SocketAddr,
    to: &mut String,
) {
    let recipient = recipient(run, number);
    let body = body(run, number);
    to.clear();
    let _ = write!(
        to,
        "MESSAGE sip:{recipient}@{domain} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {sent_by};branch={branch};rport\r\n\
         Max-Forwards: {MAX_FORWARDS}\r\n\
         From: <sip:+15551230001@sms.example>;tag={id:08x}{number}\r\n\
         To: <sip:{recipient}@{domain}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {len}\r\n\r\n{body}",
        branch = branch(run, number),
        id = run.id,
        call_id = call_id(run, number),
        len = body.len(),
    );
}

/// Writes a response as RFC 3261 section 8.2.6.2 wants it. The To tag follows from the branch.
pub fn write_response(request: &Text<'_>, status: u16, to: &mut String) {
    to.clear();
    let _ = write!(to, "SIP/2.0 {status} {}\r\n", phrase(status));
    for (name, value) in &request.fields {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        if !copied.iter().any(|copied| name.eq_ignore_ascii_case(copied)) {
            continue;
        }
        let _ = write!(to, "{name}: {value}");
        let untagged = name.eq_ignore_ascii_case("To") && parameter(value, "tag").is_none();
        if untagged && status != 100 {
            let top = request.vias().next().unwrap_or_default();
            let _ = write!(to, ";tag=im{:016x}", fingerprint(top.as_bytes()));
        }
        to.push_str("\r\n");
    }
    to.push_str("Content-Length: 0\r\n\r\n");
}

const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        487 => "Request Terminated",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        603 => "Decline",
        _ => "Unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::Timers;

    const RUN: Run =
        Run { id: 0xbeef, seed: 1, rate_mhz: 1_000, messages: 100, timers: Timers::SHORT };

    fn request(number: usize) -> String {
        let mut text = String::new();
        let sms = SocketAddr::from(([127, 0, 0, 1], 5061));
        let im = SocketAddr::from(([127, 0, 0, 1], 5062));
        write_request(&RUN, number, sms, im, &mut text);
        text
    }

    #[test]
    fn a_request_reads_back() {
        let text = request(7);
        let read = Text::read(text.as_bytes()).unwrap();
        assert_eq!(read.recipient(), Some(recipient(&RUN, 7).as_str()));
        assert_eq!(read.field("call-id").and_then(|id| number_of(&RUN, id)), Some(7));
        assert_eq!(read.body, body(&RUN, 7));
        assert_eq!(read.field("Content-Length"), Some(read.body.len().to_string().as_str()));
        let top = read.vias().next().unwrap();
        assert_eq!(parameter(top, "branch"), Some(branch(&RUN, 7).as_str()));
        assert_eq!(read.status(), None);
    }

    #[test]
    fn a_response_copies_what_it_must_and_tags_what_it_may() {
        let text = request(7);
        let read = Text::read(text.as_bytes()).unwrap();
        for (status, tagged) in [(100, false), (202, true)] {
            let mut response = String::new();
            write_response(&read, status, &mut response);
            let response = Text::read(response.as_bytes()).unwrap();
            assert_eq!(response.status(), Some(status));
            assert!(response.vias().eq(read.vias()));
            assert_eq!(response.field("Call-ID"), read.field("Call-ID"));
            assert_eq!(parameter(response.field("To").unwrap(), "tag").is_some(), tagged);
            assert_eq!(response.recipient(), None);
        }
    }

    #[test]
    fn identifiers_of_another_run_are_not_ours() {
        let other = Run { id: 0xbee, ..RUN };
        assert_eq!(number_of(&RUN, &call_id(&other, 7)), None);
        assert_eq!(number_of(&RUN, &call_id(&RUN, 100)), None);
        assert_eq!(number_of(&RUN, &call_id(&RUN, 99)), Some(99));
    }
}
