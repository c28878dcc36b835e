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
    /// Whether success reports are wanted. It is always written: peers differ in what they take
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
