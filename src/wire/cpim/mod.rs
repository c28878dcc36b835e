//! `message/cpim`: a message with its own headers around a MIME part (RFC 3862).
//!
//! ```text
//! From: Alice <im:alice@example.com>                       message headers: one line each,
//! To: <im:bob@example.com>                                 names with case, order kept
//! NS: imdn <urn:ietf:params:imdn>
//! imdn.Message-ID: 34jk324j
//!
//! Content-Type: text/plain; charset=UTF-8                  MIME header fields
//!
//! Hello                                                    the content
//! ```
//!
//! The examples of RFC 3862 begin with the MIME header fields of the whole (`Content-Type:
//! Message/CPIM`) and an empty line. In SIP and MSRP these are fields of the enclosing message, and
//! the body begins with the message headers. Both are read: **a first block whose Content-Type is
//! `message/cpim` is the MIME header of the whole.** It cannot be meant as message headers: those
//! never say what follows them, and what follows a Content-Type of `message/cpim` is CPIM.
//!
//! Values stay as they are written, since "message processors must preserve exactly all octets of
//! all headers" (section 2.2), and are checked so that [`unescape`] never fails on them. What two
//! readers might read differently is refused: a line that ends with LF alone, a second header that
//! can only be meant once, a backslash that begins no escape.

mod header;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod mime;
mod value;

use memchr::memchr2;

use self::header::{Line, Namespace};
use super::cursor::visited;
use super::{Malformed, Span};

pub use self::header::{Header, Headers};
pub use self::value::unescape;

/// A message, as positions in its octets. The span of what is not there is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// From the first octet to the last one of the content.
    pub octets: &'a [u8],
    /// The value of From, with its Formal-name and brackets.
    pub from: Span,
    /// The value of the first To: there may be several.
    pub to: Span,
    /// The value of DateTime: an RFC 3339 `date-time`.
    pub date_time: Span,
    /// The value of the first Subject: there may be one for each language.
    pub subject: Span,
    /// The value of Require: names of headers that a reader must understand (section 3.5).
    pub require: Span,
    /// The value of Message-ID in the namespace `urn:ietf:params:imdn` (RFC 5438 section 6.3).
    pub message_id: Span,
    /// The value of Disposition-Notification in that namespace (RFC 5438 section 6.2).
    pub disposition_notification: Span,
    /// The value of Content-Type of the content, with its folding.
    pub content_type: Span,
    /// What Content-Length of the content says.
    pub content_length: Option<u16>,
    /// The content: as many octets as Content-Length says, else all that is left.
    pub body: Span,
    /// The message headers, without the empty line behind them.
    headers: Span,
}

/// Where a line ends: its CR.
///
/// # Errors
///
/// CR or LF alone, or no end.
fn line_end(octets: &[u8], at: usize) -> Result<usize, Malformed> {
    let rest = octets.get(at..).unwrap_or_default();
    let Some(len) = memchr2(b'\r', b'\n', rest) else {
        visited(rest.len());
        return Err(Malformed { expected: "the end of a line", at: octets.len() });
    };
    visited(len);
    let end = at.saturating_add(len);
    match rest.get(len..) {
        Some([b'\r', b'\n', ..]) => Ok(end),
        Some(_) | None => Err(Malformed { expected: "CR and LF together", at: end }),
    }
}

/// Reads the body of a SIP or MSRP message whose Content-Type is `message/cpim`, or a whole MIME
/// entity of that type.
///
/// # Errors
///
/// What breaks the grammar of RFC 3862 section 3.6: a line that does not end with CR and LF, a
/// header without its one space, octets that are not UTF-8, control characters, an unknown escape,
/// an address without brackets, a DateTime that is none, no empty line, and fewer octets than a
/// Content-Length says.
pub fn parse(octets: &[u8]) -> Result<Message<'_>, Malformed> {
    if octets.len() > usize::from(u16::MAX) {
        return Err(Malformed { expected: "a shorter message", at: usize::from(u16::MAX) });
    }
    let (octets, at) = entity(octets)?;
    let mut reader = Reader::new(octets);
    let mut next = at;
    loop {
        let end = line_end(octets, next)?;
        if end == next {
            break;
        }
        reader.line(&header::line(octets, next, end)?, next)?;
        next = end.saturating_add(2);
    }
    if next == at {
        return Err(Malformed { expected: "a message header", at });
    }
    let mut message = reader.message;
    message.headers = Span::between(at, next);
    let part = mime::section(octets, next.saturating_add(2))?;
    message.content_type = part.content_type;
    if !part.content_type.is_empty() && mime::media_type(part.content_type.of(octets)).is_none() {
        let at = usize::from(part.content_type.at);
        return Err(Malformed { expected: "a type and a subtype in Content-Type", at });
    }
    message.content_length = part.content_length;
    let body_end = part.end(octets)?;
    message.body = Span::between(part.body_at, body_end);
    message.octets = octets.get(..body_end).unwrap_or(octets);
    Ok(message)
}

/// The MIME header of the whole, if there is one, is passed; see the module.
fn entity(octets: &[u8]) -> Result<(&[u8], usize), Malformed> {
    let Ok(whole) = mime::section(octets, 0) else { return Ok((octets, 0)) };
    match mime::media_type(whole.content_type.of(octets)) {
        Some((kind, subtype))
            if kind.eq_ignore_ascii_case(b"message") && subtype.eq_ignore_ascii_case(b"cpim") =>
        {
            let end = whole.end(octets)?;
            Ok((octets.get(..end).unwrap_or(octets), whole.body_at))
        }
        Some(_) | None => Ok((octets, 0)),
    }
}

/// What the message headers said so far.
struct Reader<'a> {
    message: Message<'a>,
    /// The namespace of names without a prefix (section 3.4).
    default: Namespace,
    /// The prefixes that stand for the two namespaces that are known here. Others need not be
    /// remembered: the headers in them are not understood and ignored (section 2.2).
    core_prefix: &'a [u8],
    imdn_prefix: &'a [u8],
    /// The names seen that may be there once only.
    seen: u8,
}

impl<'a> Reader<'a> {
    const fn new(octets: &'a [u8]) -> Self {
        let none = Span { at: 0, len: 0 };
        Self {
            message: Message {
                octets,
                from: none,
                to: none,
                date_time: none,
                subject: none,
                require: none,
                message_id: none,
                disposition_notification: none,
                content_type: none,
                content_length: None,
                body: none,
                headers: none,
            },
            default: Namespace::Core,
            core_prefix: b"",
            // RFC 5438 section 6 writes the prefix into its grammar, and peers forget to declare it.
            imdn_prefix: b"imdn",
            seen: 0,
        }
    }

    fn line(&mut self, line: &Line<'a>, at: usize) -> Result<(), Malformed> {
        let value = line.header.value;
        let malformed = |expected| Err(Malformed { expected, at: usize::from(line.value.at) });
        if line.prefix.is_empty() && line.name == b"NS" {
            return match value::namespace(value) {
                Some((prefix, uri)) => {
                    self.declare(prefix, uri);
                    Ok(())
                }
                None => malformed("a namespace: a prefix, and a URI in brackets"),
            };
        }
        if line.prefix.is_empty() && line.name.eq_ignore_ascii_case(b"Content-Type") {
            // An unknown header by the grammar, but meant as the MIME header of the content, or of
            // a whole that is something else; a reader that guesses shows something else than one
            // that does not.
            return Err(Malformed { expected: "an empty line in front of Content-Type", at });
        }
        match (self.namespace(line.prefix), line.name) {
            (Namespace::Core, b"From" | b"To" | b"cc") if !value::is_address(value) => {
                return malformed("an address: a name, and a URI in brackets");
            }
            (Namespace::Core, b"From") => {
                self.message.from = line.value;
                return self.once(1, at, "one From");
            }
            (Namespace::Core, b"To") if self.message.to.is_empty() => self.message.to = line.value,
            (Namespace::Core, b"DateTime") => {
                if !value::is_date_time(value) {
                    return malformed("a date and time of RFC 3339");
                }
                self.message.date_time = line.value;
                return self.once(2, at, "one DateTime");
            }
            (Namespace::Core, b"Subject") if self.message.subject.is_empty() => {
                self.message.subject = line.value;
            }
            (Namespace::Core, b"Require") => {
                if !value.split(|&octet| octet == b',').all(header::is_name) {
                    return malformed("names of headers");
                }
                self.message.require = line.value;
            }
            (Namespace::Imdn, b"Message-ID") => {
                if value.is_empty() {
                    return malformed("a message identifier");
                }
                self.message.message_id = line.value;
                return self.once(4, at, "one Message-ID");
            }
            (Namespace::Imdn, b"Disposition-Notification") => {
                self.message.disposition_notification = line.value;
                return self.once(8, at, "one Disposition-Notification");
            }
            _ => {}
        }
        Ok(())
    }

    const fn once(&mut self, bit: u8, at: usize, expected: &'static str) -> Result<(), Malformed> {
        let first = self.seen & bit == 0;
        self.seen |= bit;
        if first { Ok(()) } else { Err(Malformed { expected, at }) }
    }

    fn namespace(&self, prefix: &[u8]) -> Namespace {
        if prefix.is_empty() {
            self.default
        } else if prefix == self.imdn_prefix {
            Namespace::Imdn
        } else if prefix == self.core_prefix {
            Namespace::Core
        } else {
            Namespace::Other
        }
    }

    /// From here on the prefix stands for this; it may have stood for something else.
    fn declare(&mut self, prefix: &'a [u8], uri: &[u8]) {
        let namespace = Namespace::of(uri);
        if prefix.is_empty() {
            self.default = namespace;
            return;
        }
        for (known, of) in
            [(&mut self.core_prefix, Namespace::Core), (&mut self.imdn_prefix, Namespace::Imdn)]
        {
            if namespace == of {
                *known = prefix;
            } else if *known == prefix {
                *known = b"";
            }
        }
    }
}

impl<'a> Message<'a> {
    /// The message headers in order, as they are written.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(self.headers.of(self.octets))
    }
}

/// What is wrapped around a content.
#[derive(Clone, Copy, Debug)]
pub struct Wrap<'a> {
    /// The value of From: `<sip:alice@example.com>`, with a Formal-name before it or without.
    pub from: &'a [u8],
    /// The value of To.
    pub to: &'a [u8],
    /// The value of DateTime, an RFC 3339 `date-time`; empty for none.
    pub date_time: &'a [u8],
    /// The Message-ID in the namespace of IMDN, an RFC 4975 `ident` (RFC 5438 section 6.3); empty for none.
    pub message_id: &'a [u8],
    /// The Content-Type of the content.
    pub content_type: &'a [u8],
}

/// What stands around a value, where there is one.
const fn around<'a>(value: &[u8], name: &'a [u8]) -> [&'a [u8]; 2] {
    if value.is_empty() { [b"", b""] } else { [name, b"\r\n"] }
}

/// The namespace of IMDN, and the name of its Message-ID (RFC 5438 section 6.3).
const IMDN: &[u8] = b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: ";

/// Writes everything up to the content, which goes behind it. How many octets that is.
///
/// None if there is no room, or if a value is not what the grammar asks for: what is written reads
/// back as the same values whatever they came from, so that nobody can smuggle a header in.
pub fn head(wrap: &Wrap<'_>, to: &mut [u8]) -> Option<usize> {
    let addresses = value::is_address(wrap.from) && value::is_address(wrap.to);
    let dated = wrap.date_time.is_empty() || value::is_date_time(wrap.date_time);
    let typed = mime::media_type(wrap.content_type).is_some()
        && wrap.content_type.trim_ascii() == wrap.content_type
        && wrap.content_type.iter().all(|octet| (b' '..=b'~').contains(octet));
    // Tokens of RFC 3862 and idents of RFC 4975 have this in common.
    let named = wrap.message_id.iter().all(u8::is_ascii_alphanumeric);
    if !(addresses && dated && typed && named) {
        return None;
    }
    let [date_time, date_time_end] = around(wrap.date_time, b"DateTime: ");
    let [message_id, message_id_end] = around(wrap.message_id, IMDN);
    let mut at: usize = 0;
    for piece in [
        b"From: ".as_slice(),
        wrap.from,
        b"\r\nTo: ",
        wrap.to,
        b"\r\n",
        date_time,
        wrap.date_time,
        date_time_end,
        message_id,
        wrap.message_id,
        message_id_end,
        b"\r\nContent-Type: ",
        wrap.content_type,
        b"\r\n\r\n",
    ] {
        let next = at.checked_add(piece.len())?;
        to.get_mut(at..next)?.copy_from_slice(piece);
        at = next;
    }
    Some(at)
}

#[cfg(test)]
mod tests;
