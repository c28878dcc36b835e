//! As much MSRP as a user agent on a loopback needs, read and written in the plainest way (RFC 4975
//! section 7).

#![expect(clippy::disallowed_macros, reason = "cold code")]

/// A request or a response taken apart.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Frame {
    pub(super) transaction: String,
    /// A method, or a status code.
    pub(super) what: String,
    fields: Vec<(String, String)>,
    /// None if there is no empty line behind the header fields.
    pub(super) body: Option<Vec<u8>>,
    /// `$`, `+` or `#`.
    pub(super) flag: char,
}

impl Frame {
    /// The first value of a header field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first octet, from 1, and how many the message has.
    pub(super) fn range(&self) -> Option<(usize, usize)> {
        let (range, total) = self.field("Byte-Range")?.split_once('/')?;
        Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
    }
}

/// Takes the first frame out of what was read. `Ok(None)` if it is not whole yet.
pub(super) fn take(read: &mut Vec<u8>) -> Result<Option<Frame>, &'static str> {
    let Some(line) = find(read, b"\r\n") else { return Ok(None) };
    let start = core::str::from_utf8(&read[..line]).map_err(|_| "a start line that is no text")?;
    let mut words = start.split(' ');
    let (Some("MSRP"), Some(transaction), Some(what)) = (words.next(), words.next(), words.next())
    else {
        return Err("no start line");
    };
    let (transaction, what) = (transaction.to_owned(), what.to_owned());
    let end_line = format!("\r\n-------{transaction}");
    let Some(end) = find(read, end_line.as_bytes()) else { return Ok(None) };
    let behind = end + end_line.len();
    let Some(rest) = read.get(behind..behind + 3) else { return Ok(None) };
    let flag = char::from(rest[0]);
    if !matches!(flag, '$' | '+' | '#') || &rest[1..] != b"\r\n" {
        return Err("no end-line");
    }
    let inner = &read[line + 2..end];
    let (head, body) = match find(inner, b"\r\n\r\n") {
        Some(at) => (&inner[..at], Some(inner[at + 4..].to_vec())),
        None => (inner, None),
    };
    let head = core::str::from_utf8(head).map_err(|_| "a head that is no text")?;
    let mut fields = Vec::new();
    for field in head.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = field.split_once(": ").ok_or("no header field")?;
        fields.push((name.to_owned(), value.to_owned()));
    }
    read.drain(..behind + 3);
    Ok(Some(Frame { transaction, what, fields, body, flag }))
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}

/// A response to a SEND from the first hop of the way to `from`.
pub(super) fn response(send: &Frame, status: &str) -> String {
    let id = &send.transaction;
    let to = send.field("From-Path").unwrap_or_default();
    let from = send.field("To-Path").and_then(|path| path.split(' ').next()).unwrap_or_default();
    format!("MSRP {id} {status}\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{id}$\r\n")
}

/// A REPORT of `status` about these octets of the message of a SEND, the first and the last from 1.
pub(super) fn report(send: &Frame, id: u64, (first, last): (usize, usize), status: &str) -> String {
    let field = |name| send.field(name).unwrap_or_default();
    let total = send.range().map_or(0, |(_, total)| total);
    format!(
        "MSRP r{id:08x} REPORT\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {}\r\n\
         Byte-Range: {first}-{last}/{total}\r\nStatus: 000 {status}\r\n-------r{id:08x}$\r\n",
        field("From-Path"),
        field("To-Path"),
        field("Message-ID"),
    )
}

/// A SEND without a body, which tells whose connection this is (section 5.4).
pub(super) fn binding(to: &str, from: &str, id: u64) -> String {
    format!(
        "MSRP b{id:08x} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: b{id:08x}\r\n\
         -------b{id:08x}$\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: &str = "MSRP d93kswow SEND\r\nTo-Path: msrp://b:8888/9di4;tcp\r\n\
         From-Path: msrp://a:7777/iau3;tcp\r\nMessage-ID: 1233\r\nByte-Range: 1-25/25\r\n\
         Content-Type: text/plain\r\n\r\nHey Bob,\r\n-------d93kswo\r\n-------d93kswow$\r\n";

    #[test]
    fn a_frame_is_taken_when_all_of_it_is_there() {
        for end in 0..SEND.len() {
            assert_eq!(take(&mut Vec::from(&SEND[..end])), Ok(None), "{end}");
        }
        let mut read = Vec::from(format!("{SEND}MSRP x"));
        let frame = take(&mut read).unwrap().unwrap();
        assert_eq!(read, b"MSRP x");
        assert_eq!((frame.what.as_str(), frame.flag, frame.range()), ("SEND", '$', Some((1, 25))));
        assert_eq!(frame.body.as_deref(), Some(&b"Hey Bob,\r\n-------d93kswo"[..]));
        let answer = response(&frame, "200 OK");
        let frame = take(&mut Vec::from(answer)).unwrap().unwrap();
        assert_eq!((frame.what.as_str(), frame.body.is_none()), ("200", true));
        assert_eq!(frame.field("To-Path"), Some("msrp://a:7777/iau3;tcp"));
    }

    #[test]
    fn what_is_no_msrp_is_an_error() {
        for wrong in ["HTTP/1.1 200 OK\r\n", "MSRP x\r\n", "MSRP x SEND\r\n-------x?\r\n"] {
            assert!(take(&mut Vec::from(wrong)).is_err(), "{wrong}");
        }
    }
}
