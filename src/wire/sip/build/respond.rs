//! Responses of our own (RFC 3261 sections 8.2.6 and 12.1.1).

use super::extra::{Count, Extra, Sink, write_content};
use super::{Asserted, Edits, Source, amend_via};
use crate::wire::sip::Request;
use crate::wire::sip::header::{self, Name};
use crate::wire::writer::{Writer, hexadecimal};

/// What a request is answered with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'a str,
    /// The tag of To, if the request has none there; never on 100, and on every other response (RFC 3261
    /// section 8.2.6.2). One made of a number is [`super::tag`].
    pub to_tag: &'a [u8],
    /// Where the request came from.
    pub source: Source,
    /// Whether the Record-Route header fields of the request stand in it, as they must where it makes a
    /// dialog: on a 2xx and on 101-199 with a tag, to INVITE (RFC 3261 section 12.1.1).
    pub record_route: bool,
    /// More header fields, in this order.
    pub extra: &'a [Extra<'a>],
    /// Content-Type; empty where there is no body.
    pub content_type: &'a [u8],
    /// The body in pieces.
    pub body: &'a [&'a [u8]],
}

impl Reply<'_> {
    /// How many octets its own header fields and its body come to. What is copied from the request, with
    /// what is added there, is no longer than the header section of that and
    /// [`FORWARD_GROWTH_MAX`](crate::limits::FORWARD_GROWTH_MAX).
    pub fn content_size(&self) -> usize {
        let mut count = Count::default();
        self.write_content(&mut count).map_or(0, |()| count.0)
    }

    fn write_content(&self, to: &mut impl Sink) -> Option<()> {
        for extra in self.extra {
            extra.write(to)?;
        }
        write_content(self.content_type, self.body, to)
    }
}

/// A tag of 16 hexadecimal digits, most significant first.
pub fn tag(number: u64) -> [u8; 16] {
    hexadecimal(number)
}

/// Writes a response to a request (RFC 3261 section 8.2.6): all Via values with `received` and
/// `rport` in the topmost one, From, To, Call-ID, CSeq, then what else the reply says. The same
/// request and reply give the same octets, so that a retransmission can be answered anew.
pub fn respond(request: &Request<'_>, reply: &Reply<'_>, to: &mut [u8]) -> Option<usize> {
    let fields = &request.fields;
    let octets = request.octets;
    let mut writer = Writer::new(to);
    writer.put(b"SIP/2.0 ")?;
    writer.put_status(reply.status, reply.reason)?;
    writer.put(b"\r\n")?;
    put_vias(request, reply.source, &mut writer)?;
    if reply.record_route && fields.record_route_count > 0 {
        put_record_routes(request, &mut writer)?;
    }
    // What a faulty request lacks, its response lacks.
    if !fields.from.is_empty() {
        writer.put_field(b"From: ", fields.from.of(octets))?;
    }
    if !fields.to.is_empty() {
        writer.put(b"To: ")?;
        writer.put(fields.to.of(octets))?;
        let gives_tag = fields.to_tag.is_empty() && reply.status != 100;
        if gives_tag && !reply.to_tag.is_empty() {
            writer.put(b";tag=")?;
            writer.put(reply.to_tag)?;
        }
        writer.put(b"\r\n")?;
    }
    if !fields.call_id.is_empty() {
        writer.put_field(b"Call-ID: ", fields.call_id.of(octets))?;
    }
    writer.put_field(b"CSeq: ", fields.cseq_value.of(octets))?;
    // Section 8.2.6.1.
    if reply.status == 100 && !fields.timestamp.is_empty() {
        writer.put_field(b"Timestamp: ", fields.timestamp.of(octets))?;
    }
    reply.write_content(&mut writer)?;
    Some(writer.at())
}

/// All Via header fields of a request in their order.
fn put_vias(request: &Request<'_>, source: Source, writer: &mut Writer<'_>) -> Option<()> {
    let fields = &request.fields;
    let first = fields.via_field;
    let mut edits = Edits::default();
    amend_via(&mut edits, request, source);
    let upto_first = request.octets.get(..usize::from(first.end()))?;
    edits.write(upto_first, usize::from(first.at), Asserted::none(), writer)?;
    let more = usize::from(fields.via_fields.saturating_sub(1));
    let behind = header::Fields::from(request.octets, usize::from(first.end()));
    for field in behind.filter(|field| field.name == Name::Via).take(more) {
        writer.put(field.line().of(request.octets))?;
    }
    Some(())
}

/// All Record-Route header fields of a request, octet for octet: their parameters and their order are
/// those of the proxies on the way.
fn put_record_routes(request: &Request<'_>, writer: &mut Writer<'_>) -> Option<()> {
    let octets = request.octets;
    for field in header::section(octets).filter(|field| field.name == Name::RecordRoute) {
        writer.put(field.line().of(octets))?;
    }
    Some(())
}

/// The reason phrase that the standards suggest for a status code; that of its class for others.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            0 | 1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
