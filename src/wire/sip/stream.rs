//! Where one message ends and the next begins in a stream (RFC 3261 sections 7.5 and 18.3).
//!
//! A stream has no datagrams, so the body ends where Content-Length says, which section 20.14 makes
//! mandatory there. What cannot be framed cannot be skipped either: after [`Frame::Malformed`] the
//! connection is of no more use.

use super::header::{self, Name, Step};
use super::wrong::{self, Wrong};
use super::{Class, Cursor, Malformed, start_line};
use crate::limits::{
    SIP_HEADER_SIZE_MAX, SIP_STREAM_EMPTY_MAX, SIP_STREAM_MESSAGE_SIZE_MAX, SIP_URI_SIZE_MAX,
};

/// What stands at the front of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A whole message: [`super::parse`] takes these octets, the empty lines in front included.
    Whole {
        /// How many octets.
        len: usize,
    },
    /// The beginning of a message, or nothing yet.
    Partial {
        /// Before there are that many octets, there is no use in asking again.
        wanted: usize,
    },
    /// No message can begin like this.
    Malformed(Malformed),
}

/// Octets of a start line: the URI, a method and a version as long as half of that at most.
const START_LINE_SIZE_MAX: usize = SIP_URI_SIZE_MAX + SIP_URI_SIZE_MAX / 2;

/// Says where the message ends that begins with these octets. The work is bounded by the sizes of
/// an empty part, a start line and a header section, whatever follows them.
pub fn frame(octets: &[u8]) -> Frame {
    match read(octets) {
        Ok(frame) => frame,
        Err(malformed) => Frame::Malformed(malformed),
    }
}

fn read(octets: &[u8]) -> Result<Frame, Malformed> {
    let mut at: usize = 0;
    while let Some([b'\r', b'\n', ..]) = octets.get(at..) {
        crate::wire::cursor::visited(2);
        at = at.saturating_add(2);
        if at > SIP_STREAM_EMPTY_MAX {
            return Err(Malformed { expected: "fewer empty lines", at });
        }
    }
    // Behind the empty lines, as the message itself is counted from its start line.
    let message = octets.get(at..).unwrap_or_default();
    let moved = |malformed: Malformed| Malformed {
        expected: malformed.expected,
        at: malformed.at.saturating_add(at),
    };
    match message_len(message).map_err(moved)? {
        Some(len) => {
            let len = at.saturating_add(len);
            let whole = len <= octets.len();
            Ok(if whole { Frame::Whole { len } } else { Frame::Partial { wanted: len } })
        }
        None => Ok(Frame::Partial { wanted: octets.len().saturating_add(1) }),
    }
}

/// How long the message is; none while its header section has not ended.
fn message_len(message: &[u8]) -> Result<Option<usize>, Malformed> {
    if matches!(message, [] | [b'\r']) {
        return Ok(None);
    }
    let read = message.get(..START_LINE_SIZE_MAX).unwrap_or(message);
    let Some(end) = header::first_line_end(read)? else {
        begins(message)?;
        let cut = read.len() == message.len();
        let expected = "a shorter start line";
        return if cut { Ok(None) } else { Err(Malformed { expected, at: START_LINE_SIZE_MAX }) };
    };
    if end.folded || end.nul {
        return Err(Malformed { expected: "a start line on one line", at: 0 });
    }
    if start_line::is_status_line(message) {
        start_line::status_line(message, end.at)?;
    } else {
        start_line::check_request_line(message, end.at)?;
    }
    let section_at = end.at.saturating_add(2);
    let section_max = section_at.saturating_add(SIP_HEADER_SIZE_MAX);
    let read = message.get(..section_max).unwrap_or(message);
    let mut content_length = Length::default();
    let mut next = section_at;
    let body_at = loop {
        next = header::passed(read, next);
        match header::step(read, next)? {
            Step::Field(field) => {
                if field.name == Name::ContentLength {
                    content_length.field(&field, message);
                }
                next = field.next;
            }
            Step::Body(body_at) => break body_at,
            Step::Cut(_) if read.len() < message.len() => {
                return Err(wrong::HEADER_SIZE.malformed(section_max));
            }
            Step::Cut(_) => return Ok(None),
        }
    };
    let len = content_length.value(body_at)?;
    let len = usize::try_from(len).ok().and_then(|len| body_at.checked_add(len));
    match len.filter(|len| *len <= SIP_STREAM_MESSAGE_SIZE_MAX) {
        Some(len) => Ok(Some(len)),
        None => Err(Malformed { expected: "a shorter message", at: content_length.at }),
    }
}

/// Whether a start line can begin so: octets that are no SIP are refused at the first one, and need
/// not wait for the end of a line that may never come.
fn begins(message: &[u8]) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(message, 0, message.len().min(START_LINE_SIZE_MAX));
    let name_len = cursor.skip(Class::TOKEN);
    match cursor.peek() {
        Some(b' ') if name_len > 0 => Ok(()),
        Some(b'/') if start_line::is_status_line(message) => Ok(()),
        None => Ok(()),
        Some(_) => Err(Malformed { expected: "a method or a version of SIP", at: cursor.at() }),
    }
}

/// What Content-Length says. It is judged at the end of the header section only: until then, the
/// line that follows might be a folded part of it.
#[derive(Default)]
struct Length {
    value: Option<u64>,
    wrong: Option<Wrong>,
    at: usize,
}

impl Length {
    fn field(&mut self, field: &header::Field, octets: &[u8]) {
        let mut cursor = field.cursor(octets);
        let value = cursor.number().filter(|_| cursor.is_at_end() && field.well_formed);
        if self.value.is_some() || self.wrong.is_some() {
            self.wrong = Some(wrong::CONTENT_LENGTH_TWICE);
        } else if value.is_none() {
            self.wrong = Some(wrong::CONTENT_LENGTH);
        }
        self.value = value;
        self.at = field.at;
    }

    fn value(&self, body_at: usize) -> Result<u64, Malformed> {
        match (self.wrong, self.value) {
            (Some(wrong), _) => Err(wrong.malformed(self.at)),
            (None, Some(value)) => Ok(value),
            (None, None) => {
                Err(Malformed { expected: "a Content-Length header field", at: body_at })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cursor::count_visits;

    const MESSAGE: &str = "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\n\
        From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\
        Content-Length: 5\r\n\r\nhello";

    fn with_length(field: &str) -> String {
        MESSAGE.replace("Content-Length: 5\r\n", field)
    }

    #[test]
    fn a_message_ends_where_its_length_says() {
        let two = MESSAGE.to_owned() + "\r\n\r\nMESSAGE";
        assert_eq!(frame(two.as_bytes()), Frame::Whole { len: MESSAGE.len() });
        for written in [
            "l:5\r\n",
            "L : 5\r\n",
            "Content-Length:\r\n 5\r\n",
            "CONTENT-LENGTH : 5 \r\n",
            "Subject: x\r\n l: 6\r\nConten: 6\r\ncontent-lengtH: 5\r\n",
        ] {
            let message = with_length(written);
            assert_eq!(
                frame(message.as_bytes()),
                Frame::Whole { len: message.len() },
                "{written:?}"
            );
        }
        let response = MESSAGE.replace("MESSAGE sip:a@b SIP/2.0", "SIP/2.0 200 OK");
        assert_eq!(frame(response.as_bytes()), Frame::Whole { len: response.len() });
        let led = "\r\n\r\n".to_owned() + MESSAGE;
        assert_eq!(frame(led.as_bytes()), Frame::Whole { len: led.len() });
        assert!(super::super::parse(led.as_bytes()).is_ok());
    }

    /// A prefix is never whole and never malformed, and says how much is missing once it knows.
    #[test]
    fn every_prefix_is_partial() {
        for field in ["Content-Length: 5\r\n", "Content-Length:\r\n\t5\r\n"] {
            let message = "\r\n".to_owned() + &with_length(field);
            let body_at = message.len() - 5;
            for len in 0..message.len() {
                let wanted = if len < body_at { len + 1 } else { message.len() };
                let partial = Frame::Partial { wanted };
                assert_eq!(frame(&message.as_bytes()[..len]), partial, "{len} of {field:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_framed_is_refused() {
        let long_line = format!("MESSAGE sip:{}", "a".repeat(2_000));
        let large = MESSAGE.replace("Call-ID: x", &format!("X: {}", "x".repeat(9_000)));
        let unended = large.replace("\r\n\r\nhello", "\r\n");
        let empty = "\r\n".repeat(600);
        for (text, expected) in [
            (with_length(""), "a Content-Length header field"),
            (with_length("l: 5\r\nl: 5\r\n"), "one Content-Length"),
            (with_length("l: x\r\nl: 5\r\n"), "one Content-Length"),
            (with_length("Content-Length\r\n : 6\r\nl: 5\r\n"), "one Content-Length"),
            (with_length("l: 5\r\nL\t\r\n\t:6\r\n"), "one Content-Length"),
            (with_length("content-length\0: 6\r\nl: 5\r\n"), "one Content-Length"),
            (with_length("l: 5 5\r\n"), "a number in Content-Length"),
            (with_length("l: -5\r\n"), "a number in Content-Length"),
            (with_length("l:\r\n"), "a number in Content-Length"),
            (with_length("l: 65535\r\n"), "a shorter message"),
            (with_length("l: 99999999999999999999\r\n"), "a shorter message"),
            (MESSAGE.replace("sip:a@b SIP/2.0", "/ HTTP/1.1"), "a version of SIP"),
            (MESSAGE.replace("Call-ID: x", "Call-ID: x\n"), "CR and LF together"),
            (MESSAGE.replace("SIP/2.0\r\nVia", "SIP/2.0\r\n Via"), "a start line on one line"),
            ("SIP/2.0 99 x\r\n".to_owned(), "a status code from 100 to 699"),
            ("\u{16}\u{3}\u{1}".to_owned(), "a method or a version of SIP"),
            (" MESSAGE".to_owned(), "a method or a version of SIP"),
            ("MESSAGE\t".to_owned(), "a method or a version of SIP"),
            ("HTTP/1.1 200".to_owned(), "a method or a version of SIP"),
            (long_line, "a shorter start line"),
            (large, "a smaller header section"),
            (unended, "a smaller header section"),
            (empty, "fewer empty lines"),
        ] {
            let Frame::Malformed(malformed) = frame(text.as_bytes()) else { panic!("{text:?}") };
            assert_eq!(malformed.expected, expected, "{text:?}");
            assert!(malformed.at <= text.len());
        }
    }

    /// Whatever waits behind a message or never ends, the work stays that of one header section.
    #[test]
    fn work_is_bounded() {
        let mut long = MESSAGE.to_owned();
        long.push_str(&"x".repeat(1 << 20));
        let once =
            count_visits(|| assert!(matches!(frame(MESSAGE.as_bytes()), Frame::Whole { .. })));
        let followed =
            count_visits(|| assert!(matches!(frame(long.as_bytes()), Frame::Whole { .. })));
        assert!(followed <= once + 100, "{once} {followed}");
        for piece in ["a", "\r\n", "a: b\r\n", "\r\n "] {
            let endless = "MESSAGE sip:a@b SIP/2.0\r\nX: ".to_owned() + &piece.repeat(1 << 18);
            let work = count_visits(|| {
                frame(endless.as_bytes());
            });
            assert!(work < 100_000, "{piece:?}: {work}");
        }
    }
}
