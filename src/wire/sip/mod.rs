//! SIP messages in datagrams: read in one pass, judged as RFC 3261 does, built in place.
//!
//! [`parse`] reads a datagram once, from the front: the start line, then header field by header
//! field. For each it finds the end, knows the name, and reads the value there and then if the
//! engine needs it. Nothing is copied; [`Fields`] says where things are. What the engine does not
//! need is passed over and forwarded octet for octet, unless its mere extent is in doubt.
//!
//! Three things can come out:
//!
//! * a [`Message`] that can be worked with;
//! * a [`Request`] with a [`Fault`]: it is refused, and has what it takes to say why: a method, a
//!   topmost Via that says where from, a CSeq;
//! * [`Malformed`]: no SIP, nothing to answer to, or a response with anything wrong with it.
//!
//! What two elements on a path might read differently is refused even where a reader could guess:
//! repeated header fields that must be single, control characters in front of a colon, a CR or LF
//! by itself, a Content-Length that does not fit. What all read alike is taken: compact forms,
//! folding, white space around separators (also before the colon, RFC 4475 section 3.1.1.1),
//! any case, several values in a header field, parameter values that are not quite tokens.
//!
//! **Adding a header field**: a variant of `Name` in `header`, its text in `Name::of`, an arm in
//! `Reader::field`, and what is kept of it in [`Fields`]. What only matters to those who judge a
//! message and do not carry it is read by [`survey()`].

mod address;
pub mod build;
mod dialog;
pub mod digest;
mod fields;
mod header;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod parameter;
mod start_line;
pub mod stream;
mod survey;
pub mod through;
pub mod uri;
mod via;
mod wrong;

use core::fmt;

use self::header::Name;
use super::cursor::{Class, Cursor};
use super::{Malformed, Span};

pub use self::build::{
    ALLOW_PAGER, ALLOW_SESSIONS, Extra, Forward, MAX_FORWARDS, Originate, Party, Reply, Routes,
    Source, forward_request, forward_response, originate, reason_phrase, respond, tag,
};
pub use self::dialog::{
    Options, RecordRoutes, Refresher, SessionExpires, SessionTimer, client_timer, contact_uri,
    has_option, in_reply_to, options, record_routes, session_timer,
};
pub use self::fields::Fields;
pub use self::survey::{Survey, survey};
pub use self::via::{COOKIE, Transport, Via};

/// A message in a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response.
    Response(Response<'a>),
}

/// The methods that are known. They are compared with case (RFC 3261 section 7.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Method {
    /// RFC 3428
    Message,
    /// RFC 3261
    Options,
    /// RFC 3261
    Invite,
    /// RFC 3261
    Ack,
    /// RFC 3261
    Cancel,
    /// RFC 3261
    Bye,
    /// RFC 3261
    Register,
    /// RFC 6665
    Subscribe,
    /// RFC 6665
    Notify,
    /// RFC 3515
    Refer,
    /// RFC 6086
    Info,
    /// RFC 3311
    Update,
    /// RFC 3262
    Prack,
    /// RFC 3903
    Publish,
    /// Any other token.
    #[default]
    Other,
}

impl Method {
    /// The method of this name.
    pub const fn of(name: &[u8]) -> Self {
        match name {
            b"MESSAGE" => Self::Message,
            b"OPTIONS" => Self::Options,
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"CANCEL" => Self::Cancel,
            b"BYE" => Self::Bye,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"REFER" => Self::Refer,
            b"INFO" => Self::Info,
            b"UPDATE" => Self::Update,
            b"PRACK" => Self::Prack,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }

    /// Its name; none for what is only known to be another.
    pub const fn name(self) -> Option<&'static [u8]> {
        Some(match self {
            Self::Message => b"MESSAGE",
            Self::Options => b"OPTIONS",
            Self::Invite => b"INVITE",
            Self::Ack => b"ACK",
            Self::Cancel => b"CANCEL",
            Self::Bye => b"BYE",
            Self::Register => b"REGISTER",
            Self::Subscribe => b"SUBSCRIBE",
            Self::Notify => b"NOTIFY",
            Self::Refer => b"REFER",
            Self::Info => b"INFO",
            Self::Update => b"UPDATE",
            Self::Prack => b"PRACK",
            Self::Publish => b"PUBLISH",
            Self::Other => return None,
        })
    }
}

/// A request, as positions in its octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// From the start line to the end of the body; what lies behind that is cut off.
    pub octets: &'a [u8],
    /// The method.
    pub method: Method,
    /// The method as it is written.
    pub method_name: Span,
    /// The Request-URI.
    pub uri: Span,
    /// What the header fields say.
    pub fields: Fields,
    /// Why it must be refused, if it must.
    pub fault: Option<Fault>,
}

/// The answer to a request that breaks the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The status code.
    pub status: u16,
    /// The reason phrase, which says what is wrong.
    pub reason: &'static str,
    /// The octet at which it is wrong; 0 for the start line.
    pub at: u16,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)
    }
}

/// A response, as positions in its octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response<'a> {
    /// From the start line to the end of the body; what lies behind that is cut off.
    pub octets: &'a [u8],
    /// The status code, from 100 to 699.
    pub status: u16,
    /// The reason phrase.
    pub reason: Span,
    /// What the header fields say.
    pub fields: Fields,
}

/// A Route value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// The URI without brackets.
    pub uri: Span,
    /// The host in it.
    pub host: Span,
    /// The port in it.
    pub port: Option<u16>,
    /// Whether it is a loose router (RFC 3261 section 16.4).
    pub lr: bool,
}

/// Whether a datagram keeps a path open and says nothing: CR, LF and NUL only, or nothing at all.
pub fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram.iter().all(|octet| matches!(octet, b'\r' | b'\n' | 0))
}

/// Reads a datagram.
///
/// # Errors
///
/// What can neither be used nor be answered: see the module.
pub fn parse(datagram: &[u8]) -> Result<Message<'_>, Malformed> {
    // Section 7.5 lets empty lines stand before the start line.
    let mut octets = datagram;
    while let Some(rest) = octets.strip_prefix(b"\r\n") {
        super::cursor::visited(2);
        octets = rest;
    }
    if octets.len() > usize::from(u16::MAX) {
        return Err(Malformed { expected: "a shorter datagram", at: usize::from(u16::MAX) });
    }
    let end = header::start_line_end(octets)?;
    if start_line::is_status_line(octets) {
        response(octets, &end).map(Message::Response)
    } else {
        request(octets, &end).map(Message::Request)
    }
}

fn request<'a>(octets: &'a [u8], end: &header::LineEnd) -> Result<Request<'a>, Malformed> {
    let line = start_line::request_line(octets, end.at)?;
    let section = fields::read(octets, end.at.saturating_add(2))?;
    let fields = section.fields;
    // Section 16.3 asks for reasonable syntax before it asks for a scheme that is understood.
    let (unsupported, unreadable) = match line.wrong {
        Some(wrong::SCHEME) => (Some((wrong::SCHEME, 0)), None),
        other => (None, other.map(|wrong| (wrong, 0))),
    };
    let mut wrong = unreadable.or(section.wrong);
    if wrong.is_none() {
        let same = section.cseq_method_name.of(octets) == line.method_name.of(octets);
        if fields.via.branch.of(octets) == COOKIE {
            // RFC 4475 section 3.2.1.
            wrong = Some((wrong::BRANCH, usize::from(fields.via.branch.at)));
        } else if !same {
            // RFC 4475 section 3.1.2.18.
            let known = line.method != Method::Other;
            let method = if known { wrong::CSEQ_METHOD } else { wrong::METHOD };
            wrong = Some((method, usize::from(fields.cseq_value.at)));
        }
    }
    let wrong = wrong.or(unsupported);
    Ok(Request {
        octets: octets.get(..section.end).unwrap_or(octets),
        method: line.method,
        method_name: line.method_name,
        uri: line.uri,
        fields,
        fault: wrong.map(|(wrong, at)| wrong.fault(at)),
    })
}

fn response<'a>(octets: &'a [u8], end: &header::LineEnd) -> Result<Response<'a>, Malformed> {
    if end.nul {
        return Err(Malformed { expected: "a start line without NUL", at: 0 });
    }
    let (status, reason) = start_line::status_line(octets, end.at)?;
    let section = fields::read(octets, end.at.saturating_add(2))?;
    if let Some((wrong, at)) = section.wrong {
        return Err(wrong.malformed(at));
    }
    Ok(Response {
        octets: octets.get(..section.end).unwrap_or(octets),
        status,
        reason,
        fields: section.fields,
    })
}

impl<'a> Request<'a> {
    /// All Via values in order. Ends at one that cannot be read.
    pub fn vias(&self) -> impl Iterator<Item = Via> + use<'a> {
        values(self.octets, self.fields.via_field, Name::Via, read_via)
    }

    /// All Route values in order. Ends at one that cannot be read.
    pub fn routes(&self) -> impl Iterator<Item = Route> + use<'a> {
        values(self.octets, self.fields.route_field, Name::Route, fields::route)
    }
}

/// The URI in the first P-Asserted-Identity header field that has one; empty if there is none. It is
/// read where it is needed, which is not on the way of a message that is passed on.
pub fn asserted_uri(octets: &[u8], fields: &Fields) -> Span {
    let value = |line: &Span| match header::step(octets, usize::from(line.at)) {
        Ok(header::Step::Field(field)) if !line.is_empty() => address_uri(octets, field.value()),
        Ok(_) | Err(_) => Span::default(),
    };
    fields.asserted.iter().map(value).find(|uri| !uri.is_empty()).unwrap_or_default()
}

/// The URI in the first value of a header field that holds addresses, without brackets; empty if it
/// cannot be read.
pub fn address_uri(octets: &[u8], value: Span) -> Span {
    let mut cursor = Cursor::new(octets, usize::from(value.at), usize::from(value.end()));
    address::value(&mut cursor).map_or_else(|_| Span::default(), |address| address.uri)
}

impl<'a> Response<'a> {
    /// All Via values in order.
    pub fn vias(&self) -> impl Iterator<Item = Via> + use<'a> {
        values(self.octets, self.fields.via_field, Name::Via, read_via)
    }
}

fn read_via(cursor: &mut Cursor<'_>, _octets: &[u8]) -> Option<Via> {
    match via::value(cursor) {
        Ok((via, via::Reading::Whole | via::Reading::OtherProtocol)) => Some(via),
        Ok((_, via::Reading::SentBy)) | Err(_) => None,
    }
}

/// The values of all header fields of a name, from its first header field on.
fn values<'a, T>(
    octets: &'a [u8],
    first: Span,
    name: Name,
    read: impl Fn(&mut Cursor<'a>, &'a [u8]) -> Option<T>,
) -> impl Iterator<Item = T> {
    let mut fields = header::Fields::from(octets, usize::from(first.at));
    let mut cursor: Option<Cursor<'a>> = None;
    let mut done = first.is_empty();
    core::iter::from_fn(move || {
        if done {
            return None;
        }
        let mut values = match cursor.take() {
            Some(values) => values,
            None => fields.find(|field| field.name == name)?.cursor(octets),
        };
        let value = read(&mut values, octets);
        done = value.is_none();
        if values.eat(b',') {
            values.skip_lws();
            cursor = Some(values);
        }
        value
    })
}

#[cfg(test)]
mod judgement;
#[cfg(test)]
pub(in crate::wire) mod properties;
#[cfg(test)]
mod tests;
