//! Heads, end-lines, responses and reports, written in place.
//!
//! Everything says beforehand how many octets it takes, and what is written reads back as the same
//! values whatever they came from: nobody can smuggle a header field in, or an end. So a value that
//! breaks the grammar gives `None`, as a slice does that is too short.

use super::fields::{is_ident, media_type};
use super::header::{Name, is_name};
use super::{ByteRange, FailureReport, Flag, Method, Path, Request};
use crate::limits::MSRP_IDENT_SIZE_MAX;
use crate::wire::cursor::find_control;
use crate::wire::writer::Writer;

/// A SEND up to its body.
#[derive(Clone, Copy, Debug)]
pub struct Send<'a> {
    /// The transaction identifier. The end-line that it makes must not occur in the body
    /// ([`super::end_line_occurs`]).
    pub transaction_id: &'a [u8],
    /// All hops to the recipient.
    pub to_path: Path<'a>,
    /// Ourselves.
    pub from_path: Path<'a>,
    /// The same for all chunks of a message.
    pub message_id: &'a [u8],
    /// Which octets of the message follow. An end that is left open (`*`) lets the chunk be
    /// interrupted, which all must be that are longer than 2048 octets (RFC 4975 section 7.1.1).
    pub byte_range: Option<ByteRange>,
    /// Whether success reports are wanted. It is always written (H25): peers differ in what they take
    /// silence for.
    pub success_report: bool,
    /// Whether responses and failure reports are wanted. It is always written, too.
    pub failure_report: FailureReport,
    /// Further header fields: names that are not among those above, and their values.
    pub others: &'a [(&'a [u8], &'a [u8])],
    /// What the body is; none if there is no body, not even one of no octets.
    pub content_type: Option<&'a [u8]>,
}

impl Send<'_> {
    /// How many octets [`Send::write`] writes.
    pub fn size(&self) -> Option<usize> {
        counted(|to| self.put(to))
    }

    /// Writes it up to where its body begins, or, if it has none, its end-line.
    pub fn write(&self, to: &mut [u8]) -> Option<usize> {
        written(to, |to| self.put(to))
    }

    fn put(&self, to: &mut impl Put) -> Option<()> {
        put_request(to, self.transaction_id, b"SEND", self.to_path, self.from_path)?;
        put_message_id(to, self.message_id)?;
        put_byte_range(to, self.byte_range)?;
        to.put(b"Success-Report: ")?;
        to.put(if self.success_report { b"yes" } else { b"no" })?;
        to.put(b"\r\nFailure-Report: ")?;
        to.put(self.failure_report.text().as_bytes())?;
        to.put(b"\r\n")?;
        for (name, value) in self.others {
            let unknown = is_name(name) && Name::of(name) == Name::Other;
            to.put((unknown && is_value(value)).then_some(name)?)?;
            to.put(b": ")?;
            to.put(value)?;
            to.put(b"\r\n")?;
        }
        if let Some(content_type) = self.content_type {
            let typed = media_type(content_type).is_some() && is_value(content_type);
            to.put(b"Content-Type: ")?;
            to.put(typed.then_some(content_type)?)?;
            to.put(b"\r\n\r\n")?;
        }
        Some(())
    }
}

/// A REPORT: whole, as it has no body.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The transaction identifier.
    pub transaction_id: &'a [u8],
    /// All of the From-Path of the SEND that is reported on.
    pub to_path: Path<'a>,
    /// Ourselves: what the To-Path of the SEND said.
    pub from_path: Path<'a>,
    /// The Message-ID of the SEND.
    pub message_id: &'a [u8],
    /// The octets that are reported on, which a failure report must say.
    pub byte_range: Option<ByteRange>,
    /// The code, in namespace 000: 200 for success.
    pub code: u16,
    /// Words for people; may be empty.
    pub comment: &'a str,
}

impl Report<'_> {
    /// How many octets [`Report::write`] writes.
    pub fn size(&self) -> Option<usize> {
        counted(|to| self.put(to))
    }

    /// Writes it with its end-line.
    pub fn write(&self, to: &mut [u8]) -> Option<usize> {
        written(to, |to| self.put(to))
    }

    fn put(&self, to: &mut impl Put) -> Option<()> {
        put_request(to, self.transaction_id, b"REPORT", self.to_path, self.from_path)?;
        put_message_id(to, self.message_id)?;
        put_byte_range(to, self.byte_range)?;
        to.put(b"Status: 000 ")?;
        put_code(to, self.code, self.comment)?;
        put_end_line(to, self.transaction_id, Flag::Last)
    }
}

/// A response: whole, as it has no body.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The transaction identifier of the request.
    pub transaction_id: &'a [u8],
    /// To a SEND the first URI of its From-Path, to other requests all of it.
    pub to_path: Path<'a>,
    /// Ourselves.
    pub from_path: Path<'a>,
    /// The code.
    pub code: u16,
    /// Words for people; may be empty.
    pub comment: &'a str,
}

impl<'a> Reply<'a> {
    /// The response to a request (RFC 4975 section 7.2), if it is to be answered at all
    /// ([`Request::is_answered`]). We are who the request was sent to: the first URI of its To-Path.
    pub fn to(request: &Request<'a>, code: u16, comment: &'a str) -> Self {
        let from_path = request.from_path();
        // Behind the first URI of a request with a fault may be anything.
        let all = request.method != Method::Send && request.fault.is_none();
        Self {
            transaction_id: request.transaction_id.of(request.octets),
            to_path: if all { from_path } else { from_path.first() },
            from_path: request.to_path().first(),
            code,
            comment,
        }
    }

    /// How many octets [`Reply::write`] writes.
    pub fn size(&self) -> Option<usize> {
        counted(|to| self.put(to))
    }

    /// Writes it with its end-line.
    pub fn write(&self, to: &mut [u8]) -> Option<usize> {
        written(to, |to| self.put(to))
    }

    fn put(&self, to: &mut impl Put) -> Option<()> {
        put_protocol(to, self.transaction_id)?;
        put_code(to, self.code, self.comment)?;
        put_paths(to, self.to_path, self.from_path)?;
        put_end_line(to, self.transaction_id, Flag::Last)
    }
}

/// Octets of an end-line at most, with the CRLF in front of it that a body needs.
pub const END_LINE_SIZE_MAX: usize = 12 + MSRP_IDENT_SIZE_MAX;

/// Writes an end-line: behind a body with a CRLF in front of it, behind a head without.
pub fn end_line(
    transaction_id: &[u8],
    flag: Flag,
    behind_body: bool,
    to: &mut [u8],
) -> Option<usize> {
    written(to, |to| {
        if behind_body {
            to.put(b"\r\n")?;
        }
        put_end_line(to, is_ident(transaction_id).then_some(transaction_id)?, flag)
    })
}

/// Words for people that go with a code; what the code means is said by RFC 4975 section 10.
pub const fn comment(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        408 => "Request Timeout",
        413 => "Message Unwanted",
        415 => "Media Type Not Supported",
        423 => "Parameter Out Of Bounds",
        481 => "Session Does Not Exist",
        501 => "Unknown Method",
        506 => "Session Bound To Another Connection",
        _ => "",
    }
}

/// Something that octets are put into, or counted by.
trait Put {
    fn put(&mut self, octets: &[u8]) -> Option<()>;
}

impl Put for Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        Writer::put(self, octets)
    }
}

struct Count(usize);

impl Put for Count {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.0 = self.0.checked_add(octets.len())?;
        Some(())
    }
}

fn counted(put: impl FnOnce(&mut Count) -> Option<()>) -> Option<usize> {
    let mut count = Count(0);
    put(&mut count)?;
    Some(count.0)
}

fn written(
    to: &mut [u8],
    put: impl for<'w> FnOnce(&mut Writer<'w>) -> Option<()>,
) -> Option<usize> {
    let mut writer = Writer::new(to);
    put(&mut writer)?;
    Some(writer.at())
}

fn put_protocol(to: &mut impl Put, transaction_id: &[u8]) -> Option<()> {
    to.put(b"MSRP ")?;
    to.put(is_ident(transaction_id).then_some(transaction_id)?)?;
    to.put(b" ")
}

fn put_request(
    to: &mut impl Put,
    transaction_id: &[u8],
    method: &[u8],
    to_path: Path<'_>,
    from_path: Path<'_>,
) -> Option<()> {
    put_protocol(to, transaction_id)?;
    to.put(method)?;
    to.put(b"\r\n")?;
    put_paths(to, to_path, from_path)
}

fn put_paths(to: &mut impl Put, to_path: Path<'_>, from_path: Path<'_>) -> Option<()> {
    to.put(b"To-Path: ")?;
    to.put(to_path.octets())?;
    to.put(b"\r\nFrom-Path: ")?;
    to.put(from_path.octets())?;
    to.put(b"\r\n")
}

fn put_message_id(to: &mut impl Put, message_id: &[u8]) -> Option<()> {
    to.put(b"Message-ID: ")?;
    to.put(is_ident(message_id).then_some(message_id)?)?;
    to.put(b"\r\n")
}

fn put_byte_range(to: &mut impl Put, range: Option<ByteRange>) -> Option<()> {
    let Some(range) = range else { return Some(()) };
    let ordered = range.end.is_none_or(|end| end >= range.start.saturating_sub(1));
    if range.start == 0 || !ordered {
        return None;
    }
    to.put(b"Byte-Range: ")?;
    put_number(to, Some(range.start))?;
    to.put(b"-")?;
    put_number(to, range.end)?;
    to.put(b"/")?;
    put_number(to, range.total)?;
    to.put(b"\r\n")
}

/// A number in decimal, or `*`. The largest one is kept for what is beyond all numbers.
fn put_number(to: &mut impl Put, number: Option<u64>) -> Option<()> {
    let Some(number) = number else { return to.put(b"*") };
    let mut digits = [b'0'; 20];
    let mut left = (number < u64::MAX).then_some(number)?;
    let mut count: usize = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' | left.rem_euclid(10).to_le_bytes()[0];
        left = left.div_euclid(10);
        count = count.saturating_add(1);
        if left == 0 {
            break;
        }
    }
    to.put(digits.get(digits.len().checked_sub(count)?..)?)
}

/// `status-code [SP comment] CRLF`
fn put_code(to: &mut impl Put, code: u16, comment: &str) -> Option<()> {
    let [hundreds, tens, ones] = [code / 100, code / 10 % 10, code % 10].map(|digit| {
        // More than nine hundreds is no digit.
        u8::try_from(digit).ok().filter(|digit| *digit < 10)
    });
    to.put(&[b'0' | hundreds?, b'0' | tens?, b'0' | ones?])?;
    if !comment.is_empty() {
        to.put(b" ")?;
        to.put(is_value(comment.as_bytes()).then_some(comment)?.as_bytes())?;
    }
    to.put(b"\r\n")
}

fn put_end_line(to: &mut impl Put, transaction_id: &[u8], flag: Flag) -> Option<()> {
    to.put(b"-------")?;
    to.put(transaction_id)?;
    to.put(&[flag.octet(), b'\r', b'\n'])
}

/// `hval` that reads back as it is: no control character, and no space around it.
fn is_value(value: &[u8]) -> bool {
    find_control(value).is_none() && !value.starts_with(b" ") && !value.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::super::{Head, head};
    use super::*;

    const PATH: &[u8] = b"msrp://a.example:7777/iau39soe2843z;tcp";

    fn path(text: &[u8]) -> Path<'_> {
        Path::parse(text).unwrap()
    }

    fn send<'a>() -> Send<'a> {
        Send {
            transaction_id: b"d93kswow",
            to_path: path(b"msrps://r.example:9/r;tcp msrp://b.example:8888/9di;tcp"),
            from_path: path(PATH),
            message_id: b"12339sdqwer",
            byte_range: Some(ByteRange {
                start: 1,
                end: None,
                total: Some(18_446_744_073_709_551_614),
            }),
            success_report: true,
            failure_report: FailureReport::Partial,
            others: &[(b"Content-ID", b"<a@b>"), (b"X-Y", b"")],
            content_type: Some(b"message/cpim"),
        }
    }

    /// Writes into exactly the room that was asked for, and into no less.
    fn exactly(size: Option<usize>, write: impl Fn(&mut [u8]) -> Option<usize>) -> Option<String> {
        let mut slot = vec![0; size?];
        assert_eq!(write(&mut slot), size);
        for short in 0..slot.len() {
            assert_eq!(write(&mut vec![0; short]), None);
        }
        Some(String::from_utf8(slot).unwrap())
    }

    fn sent(send: &Send<'_>) -> Option<String> {
        exactly(send.size(), |to| send.write(to))
    }

    #[test]
    fn a_send_has_its_header_fields_in_their_order() {
        assert_eq!(
            sent(&send()).unwrap(),
            "MSRP d93kswow SEND\r\n\
             To-Path: msrps://r.example:9/r;tcp msrp://b.example:8888/9di;tcp\r\n\
             From-Path: msrp://a.example:7777/iau39soe2843z;tcp\r\n\
             Message-ID: 12339sdqwer\r\n\
             Byte-Range: 1-*/18446744073709551614\r\n\
             Success-Report: yes\r\n\
             Failure-Report: partial\r\n\
             Content-ID: <a@b>\r\n\
             X-Y: \r\n\
             Content-Type: message/cpim\r\n\r\n"
        );
        let bodiless = Send {
            byte_range: Some(ByteRange { start: 1, end: Some(0), total: Some(0) }),
            success_report: false,
            failure_report: FailureReport::No,
            others: &[],
            content_type: None,
            ..send()
        };
        let written = sent(&bodiless).unwrap();
        assert!(
            written.ends_with("Byte-Range: 1-0/0\r\nSuccess-Report: no\r\nFailure-Report: no\r\n")
        );
    }

    #[test]
    fn h25_what_reports_are_wanted_is_always_written() {
        for (success, failure, expected) in [
            (false, FailureReport::Yes, "Success-Report: no\r\nFailure-Report: yes\r\n"),
            (true, FailureReport::No, "Success-Report: yes\r\nFailure-Report: no\r\n"),
        ] {
            let send = Send { success_report: success, failure_report: failure, ..send() };
            assert!(sent(&send).unwrap().contains(expected));
        }
    }

    /// Nothing that would read back as something else is written.
    #[test]
    fn what_breaks_the_grammar_is_not_written() {
        let range = |start, end| Some(ByteRange { start, end, total: None });
        for (what, broken) in [
            ("identifier", Send { transaction_id: b"abc", ..send() }),
            ("identifier", Send { transaction_id: b"a b c d", ..send() }),
            ("Message-ID", Send { message_id: b"12\r\n34", ..send() }),
            ("range", Send { byte_range: range(0, None), ..send() }),
            ("range", Send { byte_range: range(5, Some(3)), ..send() }),
            ("range", Send { byte_range: range(u64::MAX, None), ..send() }),
            ("name", Send { others: &[(b"X: y\r\nZ", b"a")], ..send() }),
            ("name", Send { others: &[(b"", b"a")], ..send() }),
            ("known name", Send { others: &[(b"to-path", b"a")], ..send() }),
            ("value", Send { others: &[(b"X", b"a\r\nY: b")], ..send() }),
            ("value", Send { others: &[(b"X", b" a")], ..send() }),
            ("type", Send { content_type: Some(b"text"), ..send() }),
            ("type", Send { content_type: Some(b"a/b;\r\nX: y"), ..send() }),
        ] {
            assert_eq!(sent(&broken), None, "{what}");
            assert_eq!(broken.write(&mut [0; 1_000]), None, "{what}");
        }
    }

    #[test]
    fn a_report_is_whole() {
        let report = Report {
            transaction_id: b"dkei38sd",
            to_path: path(PATH),
            from_path: path(b"msrp://b.example:8888/9di;tcp"),
            message_id: b"12339sdqwer",
            byte_range: Some(ByteRange { start: 1, end: Some(106), total: Some(106) }),
            code: 200,
            comment: "OK",
        };
        assert_eq!(
            exactly(report.size(), |to| report.write(to)).unwrap(),
            "MSRP dkei38sd REPORT\r\n\
             To-Path: msrp://a.example:7777/iau39soe2843z;tcp\r\n\
             From-Path: msrp://b.example:8888/9di;tcp\r\n\
             Message-ID: 12339sdqwer\r\n\
             Byte-Range: 1-106/106\r\n\
             Status: 000 200 OK\r\n\
             -------dkei38sd$\r\n"
        );
        let short = Report { byte_range: None, code: 7, comment: "", ..report };
        let written = exactly(short.size(), |to| short.write(to)).unwrap();
        assert!(written.contains("\r\nStatus: 000 007\r\n-------"));
        for broken in [
            Report { code: 1_000, ..report },
            Report { comment: "a\r\nb", ..report },
            Report { comment: "a ", ..report },
            Report { message_id: b"-abc", ..report },
        ] {
            assert_eq!(broken.size(), None);
        }
    }

    /// RFC 4975 section 7.2: to a SEND the previous hop is told, to others all hops are.
    #[test]
    fn a_response_goes_back_to_where_it_must() {
        let request = |method: &str| {
            format!(
                "MSRP d93kswow {method}\r\nTo-Path: msrp://b:1/x;tcp msrp://c:1/y;tcp\r\n\
                 From-Path: msrps://r:2/z;tcp msrp://a:3/w;tcp\r\nMessage-ID: 1234\r\n"
            )
        };
        let all = "msrps://r:2/z;tcp msrp://a:3/w;tcp";
        for (method, to_path) in
            [("SEND", "msrps://r:2/z;tcp"), ("AUTH", all), ("auth", "msrps://r:2/z;tcp")]
        {
            let octets = request(method);
            let Ok(Head::Request(request)) = head(octets.as_bytes()) else { panic!("{octets}") };
            let reply = Reply::to(&request, 481, comment(481));
            assert_eq!(
                exactly(reply.size(), |to| reply.write(to)).unwrap(),
                format!(
                    "MSRP d93kswow 481 Session Does Not Exist\r\nTo-Path: {to_path}\r\n\
                     From-Path: msrp://b:1/x;tcp\r\n-------d93kswow$\r\n"
                )
            );
        }
        let octets = request("SEND");
        let Ok(Head::Request(request)) = head(octets.as_bytes()) else { panic!("{octets}") };
        let reply = Reply::to(&request, 299, comment(299));
        assert!(
            exactly(reply.size(), |to| reply.write(to))
                .unwrap()
                .starts_with("MSRP d93kswow 299\r\n")
        );
    }

    #[test]
    fn an_end_line_has_a_line_end_before_it_only_behind_a_body() {
        let mut slot = [0; END_LINE_SIZE_MAX];
        let longest = [b'a'; MSRP_IDENT_SIZE_MAX];
        assert_eq!(end_line(&longest, Flag::More, true, &mut slot), Some(END_LINE_SIZE_MAX));
        let len = end_line(b"abcd", Flag::Aborted, true, &mut slot).unwrap();
        assert_eq!(&slot[..len], b"\r\n-------abcd#\r\n");
        let len = end_line(b"abcd", Flag::Last, false, &mut slot).unwrap();
        assert_eq!(&slot[..len], b"-------abcd$\r\n");
        assert_eq!(end_line(b"abcd", Flag::Last, false, &mut slot[..13]), None);
        assert_eq!(end_line(b"a\r\nb", Flag::Last, false, &mut slot), None);
    }
}
