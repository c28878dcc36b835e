//! MSRP as a person reads it.

/// One request or response.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) id: String,
    /// SEND, REPORT, or a status.
    pub(super) what: String,
    /// Everything up to the body or the end-line.
    pub(super) head: String,
    /// The body, if there is one.
    pub(super) body: Option<String>,
    /// How it ends: `$`, `+` or `#`.
    pub(super) flag: char,
}

impl Frame {
    /// The first one of these octets, and how many it has.
    pub(super) fn first(octets: &[u8]) -> Option<(Self, usize)> {
        let line_end = memchr::memmem::find(octets, b"\r\n")?;
        let line = core::str::from_utf8(octets.get(..line_end)?).ok()?;
        let mut words = line.split(' ').skip(1);
        let (id, what) = (words.next()?, words.next()?);
        let end_line = ["\r\n-------", id].concat();
        let at = memchr::memmem::find(octets, end_line.as_bytes())?;
        let end = at + end_line.len() + 3;
        let flag = char::from(*octets.get(at + end_line.len())?);
        let text = core::str::from_utf8(octets.get(..end)?).ok()?;
        let (head, body) = match text.get(..at)?.split_once("\r\n\r\n") {
            Some((head, body)) => (head, Some(body.to_owned())),
            None => (text.get(..at)?, None),
        };
        let frame =
            Self { id: id.to_owned(), what: what.to_owned(), head: head.to_owned(), body, flag };
        Some((frame, end))
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        let (head, id, flag) = (&self.head, &self.id, self.flag);
        match &self.body {
            Some(body) => format!("{head}\r\n\r\n{body}\r\n-------{id}{flag}\r\n"),
            None => format!("{head}\r\n-------{id}{flag}\r\n"),
        }
    }

    /// The same with another transaction identifier.
    pub(super) fn renamed(&self, id: &str) -> Self {
        let head = self.head.replacen(&self.id, id, 1);
        Self { id: id.to_owned(), head, ..self.clone() }
    }

    /// The value of a header field.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let begin = ["\r\n", name, ": "].concat();
        self.head.split(&begin).nth(1)?.split("\r\n").next()
    }

    /// The number of the message that it is about.
    pub(super) fn serial(&self) -> Option<u32> {
        self.value("Message-ID")?.strip_prefix("msg")?.parse().ok()
    }

    /// The status of a response or a REPORT.
    pub(super) fn status(&self) -> Option<u16> {
        match self.what.as_str() {
            "REPORT" => self.value("Status")?.split(' ').nth(1)?.parse().ok(),
            what => what.parse().ok(),
        }
    }

    /// Where it begins, from 0 on.
    pub(super) fn start(&self) -> u64 {
        let range = self.value("Byte-Range").and_then(|range| range.split('-').next());
        range.and_then(|start| start.parse::<u64>().ok()).map_or(0, |start| start.saturating_sub(1))
    }
}

/// The octet of a message at this place: text that says where it belongs.
pub(super) fn octet(serial: u32, at: u64) -> char {
    let letter = (u64::from(serial) * 31 + at * 7 + at / 19 + at / 301) % 26;
    char::from(b'a' + u8::try_from(letter).unwrap_or(0))
}

/// A response.
pub(super) fn response(frame: &Frame, from: &str, status: u16) -> String {
    let id = &frame.id;
    let to = frame.value("From-Path").unwrap_or_default();
    format!("MSRP {id} {status} W\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{id}$\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let text = "MSRP abcd SEND\r\nTo-Path: x\r\nMessage-ID: msg7\r\nByte-Range: 5-*/9\r\n\
            Content-Type: text/plain\r\n\r\nbody\r\n-------abcd+\r\nMSRP efgh REPORT\r\n\
            Status: 000 408\r\n-------efgh$\r\nMSRP";
        let (first, len) = Frame::first(text.as_bytes()).unwrap();
        assert_eq!(
            (first.what.as_str(), first.body.as_deref(), first.flag),
            ("SEND", Some("body"), '+')
        );
        assert_eq!((first.serial(), first.start()), (Some(7), 4));
        assert_eq!(first.written(), &text[..len]);
        let (second, next) = Frame::first(&text.as_bytes()[len..]).unwrap();
        assert_eq!((second.status(), second.body), (Some(408), None));
        assert!(Frame::first(&text.as_bytes()[len + next..]).is_none());
    }
}
