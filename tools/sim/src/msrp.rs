//! MSRP as a person reads it: the octets up to the end-line, then lines and colons. On purpose none of the
//! engine's own reader, so that what the user agents and the judge see does not depend on what they
//! judge.

use memchr::memmem;

/// What a message of MSRP asks or answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Send,
    Report,
    /// A request with another method.
    Other(String),
    Response(u16),
}

/// A Byte-Range: the first octet from 1 on, the last, the total; nothing for `*`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
    pub(crate) total: Option<u64>,
}

/// One message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) tid: String,
    pub(crate) kind: Kind,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// `$`, `+` or `#`.
    pub(crate) flag: char,
}

impl Message {
    /// The value of the first header field with this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(had, _)| had.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The URIs of To-Path, nearest first.
    pub(crate) fn to_path(&self) -> Vec<&str> {
        self.field("To-Path").unwrap_or("").split(' ').filter(|uri| !uri.is_empty()).collect()
    }

    /// The URIs of From-Path, nearest first.
    pub(crate) fn path_from(&self) -> Vec<&str> {
        self.field("From-Path").unwrap_or("").split(' ').filter(|uri| !uri.is_empty()).collect()
    }

    pub(crate) fn message_id(&self) -> &str {
        self.field("Message-ID").unwrap_or("")
    }

    /// Its Byte-Range, if it has one that can be read.
    pub(crate) fn range(&self) -> Option<Range> {
        let (range, total) = self.field("Byte-Range")?.trim().split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let number = |text: &str| match text {
            "*" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        Some(Range { start: start.parse().ok()?, end: number(end)?, total: number(total)? })
    }

    /// The code of its Status, which only the namespace 000 has (RFC 4975 section 7.1.2).
    pub(crate) fn status(&self) -> Option<u16> {
        let mut words = self.field("Status")?.split(' ');
        if words.next()? != "000" {
            return None;
        }
        words.next()?.parse().ok()
    }

    /// Its octets.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let start = match &self.kind {
            Kind::Send => "SEND".to_owned(),
            Kind::Report => "REPORT".to_owned(),
            Kind::Other(method) => method.clone(),
            Kind::Response(status) => format!("{status} OK"),
        };
        let lines: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut octets = written(&start, &self.tid, &lines, &self.body);
        // The flag stands before the last line end.
        let flag = octets.len() - 3;
        octets[flag] = self.flag.to_string().as_bytes()[0];
        octets
    }

    /// Gives a header field that it has another value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        for (_, field) in self.fields.iter_mut().filter(|(had, _)| had == name) {
            value.clone_into(field);
        }
    }

    /// Reads what stands before the body: the start line and the header fields.
    fn head(octets: &[u8]) -> Result<Self, String> {
        let text = core::str::from_utf8(octets).map_err(|_| "a head that is no text".to_owned())?;
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or("");
        let mut words = start.split(' ');
        let (Some("MSRP"), Some(tid), Some(what)) = (words.next(), words.next(), words.next())
        else {
            return Err(format!("no start line of MSRP: {start:?}"));
        };
        let kind = match what {
            "SEND" => Kind::Send,
            "REPORT" => Kind::Report,
            code if code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit()) => {
                Kind::Response(code.parse().unwrap_or(0))
            }
            method => Kind::Other(method.to_owned()),
        };
        let mut fields = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                return Err(format!("a header line without a colon: {line:?}"));
            };
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let tid = tid.to_owned();
        Ok(Self { tid, kind, fields, body: Vec::new(), flag: ' ' })
    }
}

/// Divides what came on one connection.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    octets: Vec<u8>,
    is_broken: bool,
}

impl Reader {
    /// More has come.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Where the end-line of the message at the front begins, and its flag.
    fn end(&self) -> Option<(usize, char)> {
        let line = &self.octets[..memmem::find(&self.octets, b"\r\n")?];
        let tid = line.split(|octet| *octet == b' ').nth(1)?;
        let end_line = [b"\r\n-------", tid].concat();
        memmem::find_iter(&self.octets, &end_line).find_map(|at| {
            let behind = self.octets.get(at + end_line.len()..at + end_line.len() + 3)?;
            let flag = char::from(behind[0]);
            (matches!(flag, '$' | '+' | '#') && &behind[1..] == b"\r\n").then_some((at, flag))
        })
    }

    /// The next whole message. After an error nothing more can be read.
    pub(crate) fn next(&mut self) -> Option<Result<Message, String>> {
        if self.is_broken {
            return None;
        }
        if self.octets.len() >= 5 && !self.octets.starts_with(b"MSRP ") {
            self.is_broken = true;
            let start = String::from_utf8_lossy(&self.octets[..self.octets.len().min(40)]);
            return Some(Err(format!("what cannot be divided: {start:?}")));
        }
        let (end, flag) = self.end()?;
        let octets: Vec<u8> = self.octets[..end].to_vec();
        let line_end = memmem::find(&self.octets[end + 2..], b"\r\n").unwrap_or(0);
        self.octets.drain(..end + 2 + line_end + 2);
        let (head, body) = match memmem::find(&octets, b"\r\n\r\n") {
            Some(at) => (&octets[..at], octets[at + 4..].to_vec()),
            None => (&octets[..], Vec::new()),
        };
        let read = Message::head(head).map(|message| Message { body, flag, ..message });
        self.is_broken = read.is_err();
        Some(read)
    }

    /// A message without a body of which only the end-line is missing: what it says is said.
    pub(crate) fn head(&self) -> Option<Message> {
        let is_head = self.octets.ends_with(b"\r\n") && !self.octets.ends_with(b"\r\n\r\n");
        let message = Message::head(&self.octets).ok().filter(|_| is_head && !self.is_broken)?;
        message.field("From-Path").is_some().then_some(message)
    }

    /// What is there of a message whose end has not come: its head, and the octets of its body that are
    /// certainly no end-line.
    pub(crate) fn partial(&self) -> Option<Message> {
        let head = memmem::find(&self.octets, b"\r\n\r\n")?;
        let message = Message::head(&self.octets[..head]).ok()?;
        let rest = &self.octets[head + 4..];
        let certain = rest.len().saturating_sub(message.tid.len() + 12);
        Some(Message { body: rest[..certain].to_vec(), ..message })
    }

    /// How many octets wait for more.
    pub(crate) fn waiting(&self) -> usize {
        self.octets.len()
    }
}

/// Writes a message.
pub(crate) fn written(start: &str, tid: &str, lines: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut octets = format!("MSRP {tid} {start}\r\n").into_bytes();
    for (name, value) in lines {
        octets.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(body);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("-------{tid}$\r\n").as_bytes());
    octets
}

/// The response to a request, which goes to the hop before and no further (RFC 4975 section 7.2).
pub(crate) fn response(to: &Message, status: u16) -> Vec<u8> {
    let back = to.path_from().first().copied().unwrap_or("").to_owned();
    let own = to.to_path().first().copied().unwrap_or("").to_owned();
    let start = match status {
        200 => "200 OK".to_owned(),
        _ => format!("{status} Whatever"),
    };
    written(&start, &to.tid, &[("To-Path", &back), ("From-Path", &own)], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: &[u8] = b"MSRP abcd1234 SEND\r\nTo-Path: msrp://r:1/a;tcp msrp://c:2/b;tcp\r\n\
        From-Path: msrp://us:3/s;tcp\r\nMessage-ID: 77\r\nByte-Range: 1-*/9\r\n\
        Content-Type: text/plain\r\n\r\n-------ab\r\n-------abcd1234+\r\n";

    #[test]
    fn every_split_gives_the_same_messages() {
        let answer = b"MSRP zzzz9 200 OK\r\nTo-Path: x\r\nFrom-Path: y\r\n-------zzzz9$\r\n";
        let stream = [SEND, answer, SEND].concat();
        let whole = read(&[&stream]);
        assert_eq!(whole.len(), 3);
        let send = &whole[0];
        assert_eq!(
            (send.kind.clone(), send.flag, &send.body[..]),
            (Kind::Send, '+', &b"-------ab"[..])
        );
        assert_eq!(send.to_path(), ["msrp://r:1/a;tcp", "msrp://c:2/b;tcp"]);
        assert_eq!(send.range(), Some(Range { start: 1, end: None, total: Some(9) }));
        assert_eq!((whole[1].kind.clone(), whole[1].body.len()), (Kind::Response(200), 0));
        for at in 0..stream.len() {
            assert_eq!(read(&[&stream[..at], &stream[at..]]), whole, "{at}");
        }
    }

    fn read(pieces: &[&[u8]]) -> Vec<Message> {
        let mut reader = Reader::default();
        let mut read = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(message) = reader.next() {
                read.push(message.unwrap());
            }
        }
        assert_eq!(reader.waiting(), 0);
        read
    }

    #[test]
    fn what_cannot_be_divided_ends_the_reading() {
        let mut reader = Reader::default();
        reader.push(b"GET / HTTP/1.1\r\n\r\n");
        assert!(reader.next().unwrap().is_err());
        reader.push(SEND);
        assert_eq!(reader.next(), None);
    }

    #[test]
    fn a_chunk_without_its_end_shows_what_has_come() {
        let mut reader = Reader::default();
        reader.push(&SEND[..SEND.len() - 2]);
        assert_eq!(reader.next(), None);
        let partial = reader.partial().unwrap();
        assert!(b"-------ab".starts_with(&partial.body[..]) && partial.message_id() == "77");
    }

    #[test]
    fn a_response_goes_one_hop_back() {
        let mut reader = Reader::default();
        reader.push(SEND);
        let send = reader.next().unwrap().unwrap();
        let text = String::from_utf8(response(&send, 413)).unwrap();
        assert_eq!(
            text,
            "MSRP abcd1234 413 Whatever\r\nTo-Path: msrp://us:3/s;tcp\r\n\
             From-Path: msrp://r:1/a;tcp\r\n-------abcd1234$\r\n"
        );
    }

    #[test]
    fn a_status_counts_in_its_own_namespace_only() {
        let report = |status: &str| {
            let mut reader = Reader::default();
            reader.push(&written("REPORT", "q123", &[("Status", status)], &[]));
            reader.next().unwrap().unwrap().status()
        };
        assert_eq!(report("000 200 OK"), Some(200));
        assert_eq!(report("001 200 OK"), None);
    }
}
