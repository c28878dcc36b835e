//! MSRP: requests and responses in a stream, read as they come and written in place (RFC 4975; of
//! relays, RFC 4976, what a client must carry).
//!
//! ```text
//! MSRP d93kswow SEND                                             start line: the transaction identifier
//! To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp         To-Path and From-Path first,
//! From-Path: msrp://alice.example.com:7777/iau39soe2843z;tcp
//! Message-ID: 12339sdqwer                                        what all chunks of a message share
//! Byte-Range: 1-16/16                                            which of its octets these are
//! Content-Type: text/plain                                       last; an empty line, if there is a body
//!
//! Hi, I'm Alice!                                                 any octets
//! -------d93kswow$                                               end-line: the identifier again, a flag
//! ```
//!
//! A body has no length in front of it: it ends where its end-line is, and may be larger than any
//! buffer. So a stream is read as events by a [`Reader`]: a head, pieces of a body, an end-line.
//! Byte-Range says where the octets belong and never how many there are.
//!
//! [`head`] reads a head once, from the front. Three things can come out:
//!
//! * a [`Head`] that can be worked with;
//! * a [`Request`] with a [`Fault`]: it is refused with that code, if it may be answered at all
//!   ([`Request::is_answered`]), and has what it takes: a first URI in To-Path and in From-Path;
//! * [`Malformed`]: nothing to answer to, or a response with anything wrong with it. The stream is
//!   still divided; the chunk is passed over up to its end-line.
//!
//! What two elements on a path might read differently is refused even where a reader could guess: a
//! header field that comes twice and must be single, CR or LF by itself, folding (which MSRP has not),
//! paths or a Content-Type in another place than theirs. What all read alike is taken: any case of
//! names, more or less white space in front of a value, header fields that are not known.
//!
//! **Adding a header field**: a variant of `Name` in `header`, its text in `Name::of_words`, an arm in
//! `Reader::field` in `fields`, and what is kept of it in [`Fields`].

pub mod build;
mod class;
mod fields;
mod header;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod reader;
#[cfg(any(test, fuzzing))]
mod reference;
mod search;
pub mod strict;
pub mod uri;
mod wrong;

use core::fmt;

use self::class::Class;
use super::cursor::{Cursor, visited};
use super::{Malformed, Span};

pub use self::build::{END_LINE_SIZE_MAX, Reply, Report, Send, comment, end_line};
pub use self::fields::{Fields, media_type};
pub use self::header::{HeaderField, header_fields};
pub use self::reader::{Event, Flag, Reader};
pub use self::search::end_line_occurs;
pub use self::uri::{Path, Scheme, Uri};

/// The start line and the header section of a request or a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Head<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response.
    Response(Response<'a>),
}

/// The methods that are known. They are compared with case (RFC 4975 section 9).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Method {
    /// RFC 4975
    Send,
    /// RFC 4975
    Report,
    /// RFC 4976
    Auth,
    /// Any other.
    #[default]
    Other,
}

impl Method {
    /// The method of this name.
    pub const fn of(name: &[u8]) -> Self {
        match name {
            b"SEND" => Self::Send,
            b"REPORT" => Self::Report,
            b"AUTH" => Self::Auth,
            _ => Self::Other,
        }
    }
}

/// What Failure-Report says (RFC 4975 section 7.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailureReport {
    /// Every request is answered: what is said when nothing is said.
    #[default]
    Yes,
    /// Nothing is answered.
    No,
    /// Only what fails is answered.
    Partial,
}

impl FailureReport {
    /// What a value means, if it is one. Literals of the grammar are compared without case.
    pub const fn of(value: &[u8]) -> Option<Self> {
        if value.eq_ignore_ascii_case(b"yes") {
            Some(Self::Yes)
        } else if value.eq_ignore_ascii_case(b"no") {
            Some(Self::No)
        } else if value.eq_ignore_ascii_case(b"partial") {
            Some(Self::Partial)
        } else {
            None
        }
    }

    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Partial => "partial",
        }
    }
}

/// What Byte-Range says: which octets of the message these are. The first octet of a message is octet
/// 1, and the last one is counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteRange {
    /// The first octet, at least 1.
    pub start: u64,
    /// The last octet; none if it is not known or the chunk may be interrupted. At least `start - 1`,
    /// which is a range of no octets.
    pub end: Option<u64>,
    /// How many octets the message has, if that is known.
    pub total: Option<u64>,
}

/// What Status says: a code, and where it is defined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// What the code means is said there; 0 (`000`): the same as in a response.
    pub namespace: u16,
    /// The status code, of three digits.
    pub code: u16,
    /// Words for people.
    pub comment: Span,
}

/// A request, as positions in its octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// From the start line to the last header field, or to the empty line behind it.
    pub octets: &'a [u8],
    /// The transaction identifier.
    pub transaction_id: Span,
    /// The method.
    pub method: Method,
    /// The method as it is written.
    pub method_name: Span,
    /// What the header fields say.
    pub fields: Fields,
    /// Whether a body follows, be it one of no octets.
    pub has_body: bool,
    /// Why it must be refused, if it must.
    pub fault: Option<Fault>,
}

/// The answer to a request that breaks the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The status code.
    pub code: u16,
    /// The comment, which says what is wrong.
    pub comment: &'static str,
    /// The octet at which it is wrong; 0 for the start line.
    pub at: u16,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.comment)
    }
}

/// A response, as positions in its octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response<'a> {
    /// From the start line to the last header field, or to the empty line behind it.
    pub octets: &'a [u8],
    /// The transaction identifier of the request that is answered.
    pub transaction_id: Span,
    /// The status code, of three digits.
    pub code: u16,
    /// Words for people.
    pub comment: Span,
    /// What the header fields say.
    pub fields: Fields,
    /// Whether a body follows, which no response should have.
    pub has_body: bool,
}

impl<'a> Request<'a> {
    /// To-Path. A request with a fault may have no more than a first URI that can be read.
    pub fn to_path(&self) -> Path<'a> {
        Path::read_before(self.fields.to_path.of(self.octets))
    }

    /// From-Path.
    pub fn from_path(&self) -> Path<'a> {
        Path::read_before(self.fields.from_path.of(self.octets))
    }

    /// Whether a response with this code is sent at all (RFC 4975 sections 7.1.2, 7.1.4 and 7.2): a
    /// REPORT is never answered; a SEND only if it asks for it, be it by silence; every other request
    /// is.
    pub const fn is_answered(&self, code: u16) -> bool {
        match (self.method, self.fields.failure_report) {
            (Method::Report, _) | (Method::Send, FailureReport::No) => false,
            (Method::Send, FailureReport::Partial) => code != 200,
            (Method::Send, FailureReport::Yes) | (Method::Auth | Method::Other, _) => true,
        }
    }
}

impl<'a> Response<'a> {
    /// To-Path.
    pub fn to_path(&self) -> Path<'a> {
        Path::read_before(self.fields.to_path.of(self.octets))
    }

    /// From-Path.
    pub fn from_path(&self) -> Path<'a> {
        Path::read_before(self.fields.from_path.of(self.octets))
    }
}

/// Reads a head: the octets that [`Event::Head`] has.
///
/// # Errors
///
/// What can neither be used nor be answered: see the module.
pub fn head(octets: &[u8]) -> Result<Head<'_>, Malformed> {
    if octets.len() > usize::from(u16::MAX) {
        return Err(Malformed { expected: "a shorter head", at: usize::from(u16::MAX) });
    }
    let (line_end, control) = header::line_end(octets, 0)?;
    let line = octets.get(..line_end).unwrap_or_default();
    let mut cursor = Cursor::new(line, 0, line.len());
    if !cursor.eat_all(b"MSRP ") {
        return Err(Malformed { expected: "MSRP and a space", at: 0 });
    }
    let transaction_at = cursor.at();
    let transaction = cursor.octets(Class::IDENT.run(cursor.rest())).unwrap_or_default();
    if !fields::is_ident(transaction) {
        let expected = "a transaction identifier of 4 to 32 characters";
        return Err(Malformed { expected, at: transaction_at });
    }
    let transaction_id = Span::between(transaction_at, cursor.at());
    if !cursor.eat(b' ') {
        let expected = "a space behind the transaction identifier";
        return Err(Malformed { expected, at: cursor.at() });
    }
    let section_at = line_end.saturating_add(2);
    let digit = |octet: u8| octet.is_ascii_digit();
    if cursor.peek().is_some_and(digit) {
        if control {
            return Err(Malformed {
                expected: "a comment without control characters",
                at: cursor.at(),
            });
        }
        response(octets, &mut cursor, transaction_id, section_at).map(Head::Response)
    } else {
        let method_name = Span::between(cursor.at(), line_end);
        let name = cursor.rest();
        let well_formed = !name.is_empty() && name.iter().all(u8::is_ascii_uppercase);
        request(octets, transaction_id, method_name, well_formed, section_at).map(Head::Request)
    }
}

fn request(
    octets: &[u8],
    transaction_id: Span,
    method_name: Span,
    well_formed: bool,
    section_at: usize,
) -> Result<Request<'_>, Malformed> {
    let section = fields::read(octets, section_at)?;
    let fields = section.fields;
    let method = Method::of(method_name.of(octets));
    let at = section_at.saturating_sub(2);
    let missing = |wanted: bool, there: bool, missing| (wanted && !there).then_some((missing, at));
    // A method that is not known may need other header fields than those that are.
    let wrong = (!well_formed)
        .then_some((wrong::METHOD, 0))
        .or(section.wrong)
        .or_else(|| (method == Method::Other).then_some((wrong::METHOD_UNKNOWN, 0)))
        .or_else(|| {
            let wanted = matches!(method, Method::Send | Method::Report);
            missing(wanted, !fields.message_id.is_empty(), wrong::MESSAGE_ID_MISSING)
        })
        .or_else(|| {
            missing(method == Method::Report, fields.status.is_some(), wrong::STATUS_MISSING)
        });
    Ok(Request {
        octets,
        transaction_id,
        method,
        method_name,
        fields,
        has_body: section.has_body,
        fault: wrong.map(|(wrong, at)| wrong.fault(at)),
    })
}

fn response<'a>(
    octets: &'a [u8],
    cursor: &mut Cursor<'_>,
    transaction_id: Span,
    section_at: usize,
) -> Result<Response<'a>, Malformed> {
    let at = cursor.at();
    visited(0);
    let code = fields::three_digits(cursor);
    let comment = fields::comment(cursor);
    let (Some(code), Some(comment)) = (code, comment) else {
        return Err(Malformed { expected: "a status code of three digits", at });
    };
    let section = fields::read(octets, section_at)?;
    if let Some((wrong, at)) = section.wrong {
        return Err(wrong.malformed(at));
    }
    let (fields, has_body) = (section.fields, section.has_body);
    Ok(Response { octets, transaction_id, code, comment, fields, has_body })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
