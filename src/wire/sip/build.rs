//! Messages written in place: a request forwarded, a response passed back, a request answered, a
//! request of our own.
//!
//! Forwarding copies the octets of a message and changes only what a proxy must change (RFC 3261
//! sections 16.6, 16.7 and 18.2.1): a handful of edits, made in the order in which they lie in
//! the message. What is between them is copied as it is, the body too. Every function returns how
//! many octets it wrote, or `None` if the slot is too short.

mod extra;
mod originate;
mod respond;

use core::net::Ipv6Addr;

use super::fields::ASSERTED_KEPT;
use super::header::{self, Name};
use super::start_line::STATUS_AT;
use super::uri::host_address;
use super::{Fields, Request, Response, Span, Transport};
use crate::wire::writer::Writer;

pub use self::extra::{ALLOW_PAGER, ALLOW_SESSIONS, Extra};
pub use self::originate::{MAX_FORWARDS, Originate, Party, Routes, originate};
pub use self::respond::{Reply, reason_phrase, respond, tag};

/// Where a datagram came from, IPv4 in its IPv4-mapped form.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// The address in network order.
    pub ip: [u8; 16],
    /// The port in host order.
    pub port: u16,
}

/// What changes in a request on its way through.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// How it leaves. In a stream it has a Content-Length (RFC 3261 section 18.3).
    pub transport: Transport,
    /// Host and port of our Via value.
    pub sent_by: &'a [u8],
    /// The branch of our Via value with its cookie.
    pub branch: &'a [u8],
    /// Where the request came from.
    pub source: Source,
    /// The Max-Forwards that it leaves with.
    pub max_forwards: u8,
    /// Whether the topmost Route value is ours and is removed (RFC 3261 section 16.4).
    pub pop_route: bool,
    /// Whether P-Asserted-Identity is removed (RFC 3325 section 5).
    pub strip_asserted: bool,
}

/// Writes a request as it leaves (RFC 3261 section 16.6): our Via on top, `received` and `rport` in
/// the one below it (RFC 3581 section 4), Max-Forwards, Route, P-Asserted-Identity.
pub fn forward_request(
    request: &Request<'_>,
    forward: &Forward<'_>,
    to: &mut [u8],
) -> Option<usize> {
    let fields = &request.fields;
    let mut edits = Edits::default();
    edits.add(
        fields.via_field.at,
        0,
        With::Via {
            transport: forward.transport,
            sent_by: forward.sent_by,
            branch: forward.branch,
        },
    );
    amend_via(&mut edits, request, forward.source);
    if fields.max_forwards.is_some() {
        let written = fields.max_forwards_written;
        edits.add(written.at, written.len, With::Number(u32::from(forward.max_forwards)));
    } else {
        let max_forwards = With::MaxForwards(u32::from(forward.max_forwards));
        edits.add(fields.via_field.end(), 0, max_forwards);
    }
    if forward.transport != Transport::Udp {
        frame(&mut edits, fields);
    }
    if forward.pop_route {
        edits.remove_first(fields.route_field, fields.route, fields.route_next);
    }
    let asserted = Asserted::of(forward.strip_asserted, request.octets, fields);
    edits.apply(request.octets, asserted, to)
}

/// Writes a response as it is passed back (RFC 3261 section 16.7): without its topmost Via value,
/// with another status code and reason phrase if so told, and without P-Asserted-Identity if so
/// told (RFC 3325 section 5 says it of requests and responses). What may leave in a stream, now or
/// when it is repeated, `needs_length` (RFC 3261 section 18.3).
pub fn forward_response(
    response: &Response<'_>,
    to_status: Option<(u16, &'static str)>,
    strip_asserted: bool,
    needs_length: bool,
    to: &mut [u8],
) -> Option<usize> {
    let fields = &response.fields;
    let mut edits = Edits::default();
    if needs_length {
        frame(&mut edits, fields);
    }
    if let Some((status, reason)) = to_status {
        let at = Span::between(STATUS_AT, STATUS_AT).at;
        let len = response.reason.end().saturating_sub(at);
        edits.add(at, len, With::Status { status, reason });
    }
    edits.remove_first(fields.via_field, fields.via.value, fields.via_next);
    edits.apply(response.octets, Asserted::of(strip_asserted, response.octets, fields), to)
}

/// Says how long the body is where nobody has: in a datagram that is how much is left of it, in a
/// stream nobody could tell where the next message begins.
fn frame(edits: &mut Edits<'_>, fields: &Fields) {
    if !fields.has_content_length {
        let length = With::ContentLength(u32::from(fields.body.len));
        edits.add(fields.via_field.end(), 0, length);
    }
}

/// The topmost Via says where the request came from: `received` if the host of `sent-by` is not
/// that address (RFC 3261 section 18.2.1) or `rport` asks for it (RFC 3581 section 4), the port if
/// `rport` asks for it. What a sender wrote there itself is overwritten.
fn amend_via(edits: &mut Edits<'_>, request: &Request<'_>, source: Source) {
    let via = &request.fields.via;
    if via.rport {
        let written = via.rport_written;
        edits.add(written.at, written.len, With::Rport(source.port));
    }
    let told = || host_address(via.host.of(request.octets)) == Some(source.ip);
    if !via.received.is_empty() {
        edits.add(via.received.at, via.received.len, With::Received(source.ip));
    } else if via.rport || !told() {
        edits.add(via.value.end(), 0, With::Received(source.ip));
    }
}

/// What is written in the place of what is removed.
#[derive(Clone, Copy, Debug, Default)]
enum With<'a> {
    #[default]
    Nothing,
    Via {
        transport: Transport,
        sent_by: &'a [u8],
        branch: &'a [u8],
    },
    Received([u8; 16]),
    Rport(u16),
    Number(u32),
    MaxForwards(u32),
    ContentLength(u32),
    Status {
        status: u16,
        reason: &'a str,
    },
}

/// One change: `len` octets at `at` give way to something else.
#[derive(Clone, Copy, Debug, Default)]
struct Edit<'a> {
    at: u16,
    len: u16,
    with: With<'a>,
}

/// The changes to one message: our Via, two in the Via below it, Max-Forwards, Content-Length, Route.
#[derive(Clone, Copy, Debug, Default)]
struct Edits<'a> {
    edits: [Edit<'a>; 6],
    count: usize,
}

impl<'a> Edits<'a> {
    /// Keeps them in the order of their places, and of their coming where that is the same.
    fn add(&mut self, at: u16, len: u16, with: With<'a>) {
        let mut edit = Edit { at, len, with };
        for kept in self.edits.iter_mut().take(self.count) {
            if edit.at < kept.at {
                core::mem::swap(kept, &mut edit);
            }
        }
        if let Some(room) = self.edits.get_mut(self.count) {
            *room = edit;
            self.count = self.count.saturating_add(1);
        }
    }

    /// Removes the first value of a list: with its whole header field if it is alone there, else
    /// up to the value that begins at `next`.
    fn remove_first(&mut self, field: Span, value: Span, next: u16) {
        if next == 0 {
            self.add(field.at, field.len, With::Nothing);
        } else {
            self.add(value.at, next.saturating_sub(value.at), With::Nothing);
        }
    }

    /// Writes the octets with these changes, and without the header fields that are stripped.
    fn apply(&self, octets: &[u8], asserted: Asserted<'_>, to: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(to);
        self.write(octets, 0, asserted, &mut writer)?;
        Some(writer.at())
    }

    fn write(
        &self,
        octets: &[u8],
        from: usize,
        mut asserted: Asserted<'_>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let mut from = from;
        let mut strip = asserted.next();
        for edit in self.edits.iter().take(self.count) {
            while let Some(span) = strip.filter(|span| span.at < edit.at) {
                writer.put(octets.get(from..usize::from(span.at))?)?;
                from = usize::from(span.end());
                strip = asserted.next();
            }
            let at = usize::from(edit.at);
            writer.put(octets.get(from..at)?)?;
            writer.put_instead(edit.with)?;
            from = at.saturating_add(usize::from(edit.len));
        }
        while let Some(span) = strip {
            writer.put(octets.get(from..usize::from(span.at))?)?;
            from = usize::from(span.end());
            strip = asserted.next();
        }
        writer.put(octets.get(from..)?)
    }
}

/// The P-Asserted-Identity header fields of a message in order: those whose places are kept, or all
/// found anew if there are more.
#[derive(Clone, Copy, Debug)]
struct Asserted<'a> {
    kept: [Span; ASSERTED_KEPT],
    at: usize,
    left: usize,
    anew: Option<header::Fields<'a>>,
}

impl<'a> Asserted<'a> {
    const fn none() -> Self {
        Self { kept: [Span { at: 0, len: 0 }; ASSERTED_KEPT], at: 0, left: 0, anew: None }
    }

    /// All of a message if they are wanted, else none.
    fn of(wanted: bool, octets: &'a [u8], fields: &Fields) -> Self {
        if !wanted {
            return Self::none();
        }
        let kept = fields.asserted;
        let left = usize::from(fields.asserted_count);
        let first = kept.first().copied().unwrap_or_default();
        let anew =
            (left > ASSERTED_KEPT).then(|| header::Fields::from(octets, usize::from(first.at)));
        Self { kept, at: 0, left, anew }
    }
}

impl Iterator for Asserted<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.anew {
            Some(fields) => {
                Some(fields.find(|field| field.name == Name::PAssertedIdentity)?.line())
            }
            None => {
                let span = self.kept.get(self.at).copied();
                self.at = self.at.saturating_add(1);
                span
            }
        }
    }
}

impl Writer<'_> {
    fn put_instead(&mut self, with: With<'_>) -> Option<()> {
        match with {
            With::Nothing => Some(()),
            With::Via { transport, sent_by, branch } => {
                self.put(transport.via()?)?;
                self.put(sent_by)?;
                self.put(b";branch=")?;
                self.put(branch)?;
                self.put(b";rport\r\n")
            }
            With::Received(ip) => {
                self.put(b";received=")?;
                self.put_address(ip)
            }
            With::Rport(port) => {
                self.put(b";rport=")?;
                self.put_number(u32::from(port))
            }
            With::Number(number) => self.put_number(number),
            With::MaxForwards(number) => {
                self.put(b"Max-Forwards: ")?;
                self.put_number(number)?;
                self.put(b"\r\n")
            }
            With::ContentLength(number) => {
                self.put(b"Content-Length: ")?;
                self.put_number(number)?;
                self.put(b"\r\n")
            }
            With::Status { status, reason } => self.put_status(status, reason),
        }
    }

    fn put_status(&mut self, status: u16, reason: &str) -> Option<()> {
        self.put_number(u32::from(status))?;
        self.put(b" ")?;
        self.put(reason.as_bytes())
    }

    /// IPv6 without brackets (RFC 5118 section 4.5), in the form of RFC 5952.
    fn put_address(&mut self, ip: [u8; 16]) -> Option<()> {
        let address = Ipv6Addr::from_octets(ip);
        if let Some(v4) = address.to_ipv4_mapped() {
            let [a, b, c, d] = v4.octets();
            self.put_number(u32::from(a))?;
            for octet in [b, c, d] {
                self.put(b".")?;
                self.put_number(u32::from(octet))?;
            }
            return Some(());
        }
        use core::fmt::Write as _;
        write!(self, "{address}").ok()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
