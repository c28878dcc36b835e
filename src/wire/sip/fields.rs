//! The header fields that the engine needs, collected in one pass over the header section.

use super::header::{self, Field, Name, Step};
use super::wrong::{self, Wrong};
use super::{Class, Cursor, Malformed, Method, Span, Via, address, uri, via};
use crate::limits::{SIP_HEADER_FIELDS_MAX, SIP_HEADER_SIZE_MAX, SIP_VIAS_MAX};

/// P-Asserted-Identity header fields whose place is kept; RFC 3325 section 9.1 knows two values.
pub(super) const ASSERTED_KEPT: usize = 2;

/// What the header fields of a message say. All spans lie in its octets; a span of a header field
/// that is not there is empty, as is the tag of an address without one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// The topmost Via value.
    pub via: Via,
    /// Via values in all Via header fields together.
    pub via_count: u16,
    /// The value of From.
    pub from: Span,
    /// The URI in From, without brackets.
    pub from_uri: Span,
    /// The tag of From; RFC 2543 did not demand one.
    pub from_tag: Span,
    /// The value of To.
    pub to: Span,
    /// The URI in To, without brackets.
    pub to_uri: Span,
    /// The tag of To.
    pub to_tag: Span,
    /// The value of Call-ID.
    pub call_id: Span,
    /// The number in CSeq, below 2^31.
    pub cseq: u32,
    /// The method in CSeq.
    pub cseq_method: Method,
    /// The value of CSeq.
    pub cseq_value: Span,
    /// The value of Max-Forwards.
    pub max_forwards: Option<u8>,
    /// The value of Content-Type.
    pub content_type: Span,
    /// The value of the first Content-Encoding header field.
    pub content_encoding: Span,
    /// The body: what Content-Length says, else all that is left.
    pub body: Span,
    /// Route values in all Route header fields together.
    pub route_count: u16,
    /// The value of the first Proxy-Require header field.
    pub proxy_require: Span,
    /// The value of the first Require header field.
    pub require: Span,
    /// P-Asserted-Identity header fields (RFC 3325).
    pub asserted_count: u16,
    /// The value of the first P-Called-Party-ID header field (RFC 7315 section 4.2).
    pub called_party: Span,
    /// Whether Privacy asks for `id` (RFC 3325 section 9.3).
    pub privacy_id: bool,
    /// Contact header fields.
    pub contact_count: u16,
    /// Record-Route header fields.
    pub record_route_count: u16,
    /// All header fields.
    pub header_count: u16,
    /// Header fields other than Via, From, To, Call-ID, CSeq and Content-Length.
    pub extra_count: u16,
    /// Whether there is a Content-Length.
    pub has_content_length: bool,
    /// The seconds of Retry-After; what is no number there is ignored.
    pub retry_after: Option<u32>,
    /// The value of Timestamp.
    pub timestamp: Span,
    /// The first Via header field with its CRLF.
    pub(super) via_field: Span,
    /// The second value in that header field begins here; 0 if there is none.
    pub(super) via_next: u16,
    /// Via header fields.
    pub(super) via_fields: u16,
    /// The first Route header field with its CRLF.
    pub(super) route_field: Span,
    /// The second value in that header field begins here; 0 if there is none.
    pub(super) route_next: u16,
    /// The first Route value.
    pub(super) route: Span,
    /// Route header fields.
    pub(super) route_fields: u16,
    /// The number in Max-Forwards as it is written.
    pub(super) max_forwards_written: Span,
    /// The first P-Asserted-Identity header fields with their CRLF.
    pub(super) asserted: [Span; ASSERTED_KEPT],
}

/// The header section of one message, read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    pub(super) fields: Fields,
    /// The method in CSeq as it is written.
    pub(super) cseq_method_name: Span,
    /// Behind the body.
    pub(super) end: usize,
    /// The first thing that was wrong, and where.
    pub(super) wrong: Option<(Wrong, usize)>,
}

/// Reads the header fields that begin at `at`.
///
/// # Errors
///
/// CR or LF alone, or Via or CSeq missing: without these the sender cannot tell what is answered.
pub(super) fn read(octets: &[u8], at: usize) -> Result<Section, Malformed> {
    let mut reader = Reader { octets, section: Section::default(), content_length: None, seen: 0 };
    let mut next = at;
    let body_at = loop {
        match header::step(octets, next)? {
            Step::Field(field) => {
                reader.field(&field)?;
                next = field.next;
            }
            Step::Body(body_at) => break body_at,
            Step::Cut(end) => {
                reader.wrong(wrong::HEADER_END, end);
                reader.limits(at, end);
                return reader.finish(end, end);
            }
        }
    };
    reader.limits(at, body_at);
    reader.finish(body_at, octets.len())
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    octets: &'a [u8],
    section: Section,
    /// What Content-Length says, and where.
    content_length: Option<(u64, usize)>,
    /// The names seen, one bit each.
    seen: u32,
}

impl Reader<'_> {
    /// Only the first thing that is wrong is answered.
    fn wrong(&mut self, wrong: Wrong, at: usize) {
        self.section.wrong.get_or_insert((wrong, at));
    }

    /// Whether this is the first header field of its name.
    const fn is_first(&mut self, name: Name) -> bool {
        let bit = 1_u32.wrapping_shl(name as u32);
        let first = self.seen & bit == 0;
        self.seen |= bit;
        first
    }

    /// Whether it is the only one that may be there; the first one counts.
    fn is_only(&mut self, field: &Field, twice: Wrong) -> bool {
        let first = self.is_first(field.name);
        if !first {
            self.wrong(twice, field.at);
        }
        first
    }

    fn field(&mut self, field: &Field) -> Result<(), Malformed> {
        if !field.well_formed {
            self.wrong(wrong::HEADER_FIELD, field.at);
        }
        let fields = &mut self.section.fields;
        fields.header_count = fields.header_count.saturating_add(1);
        match field.name {
            Name::Via => return self.via(field),
            Name::From => self.from(field),
            Name::To => self.to(field),
            Name::CallId => self.call_id(field),
            Name::CSeq => self.cseq(field),
            Name::ContentLength => self.content_length(field),
            Name::MaxForwards => self.max_forwards(field),
            Name::ContentType => self.content_type(field),
            Name::Route => self.route(field),
            Name::PAssertedIdentity => self.asserted(field),
            Name::Contact => fields.contact_count = fields.contact_count.saturating_add(1),
            Name::RecordRoute => {
                fields.record_route_count = fields.record_route_count.saturating_add(1);
            }
            Name::Privacy => fields.privacy_id |= asks_for_id(field.value().of(self.octets)),
            Name::PCalledPartyId if fields.called_party.is_empty() => {
                fields.called_party = field.value();
            }
            Name::ContentEncoding if fields.content_encoding.is_empty() => {
                fields.content_encoding = field.value();
            }
            Name::Require if fields.require.is_empty() => fields.require = field.value(),
            Name::ProxyRequire if fields.proxy_require.is_empty() => {
                fields.proxy_require = field.value();
            }
            Name::Timestamp if fields.timestamp.is_empty() => fields.timestamp = field.value(),
            Name::RetryAfter => {
                let seconds = field.cursor(self.octets).number();
                let saturated = |seconds| u32::try_from(seconds).unwrap_or(u32::MAX);
                fields.retry_after = fields.retry_after.or_else(|| seconds.map(saturated));
            }
            Name::ContentEncoding
            | Name::PCalledPartyId
            | Name::Require
            | Name::ProxyRequire
            | Name::Timestamp
            | Name::Other => {}
        }
        if !field.name.is_basic() {
            let extra = &mut self.section.fields.extra_count;
            *extra = extra.saturating_add(1);
        }
        Ok(())
    }

    /// The topmost value is where the answer goes: without it there is none.
    fn via(&mut self, field: &Field) -> Result<(), Malformed> {
        let mut cursor = field.cursor(self.octets);
        let first = self.is_first(Name::Via);
        let fields = &mut self.section.fields;
        fields.via_fields = fields.via_fields.saturating_add(1);
        let mut topmost = first;
        loop {
            let at = cursor.at();
            let (reading, end) = match via::value(&mut cursor) {
                Ok((value, reading)) => {
                    if topmost {
                        self.section.fields.via = value;
                        self.section.fields.via_field = field.line();
                    }
                    (reading, value.value.end())
                }
                Err(malformed) if topmost => return Err(malformed),
                Err(_) => (via::Reading::SentBy, 0),
            };
            let count = &mut self.section.fields.via_count;
            *count = count.saturating_add(1);
            match reading {
                via::Reading::Whole => {}
                via::Reading::OtherProtocol => self.wrong(wrong::VIA_PROTOCOL, at),
                via::Reading::SentBy => {
                    self.wrong(wrong::VIA, usize::from(end).max(at));
                    return Ok(());
                }
            }
            if !cursor.eat(b',') {
                return Ok(());
            }
            cursor.skip_lws();
            if topmost {
                self.section.fields.via_next = Span::between(cursor.at(), cursor.at()).at;
            }
            topmost = false;
        }
    }

    fn from(&mut self, field: &Field) {
        if self.is_only(field, wrong::FROM_TWICE) {
            self.section.fields.from = field.value();
            match self.address(field) {
                Some(address) => {
                    self.section.fields.from_uri = address.uri;
                    self.section.fields.from_tag = address.tag;
                }
                None => self.wrong(wrong::FROM, field.at),
            }
        }
    }

    fn to(&mut self, field: &Field) {
        if self.is_only(field, wrong::TO_TWICE) {
            self.section.fields.to = field.value();
            match self.address(field) {
                Some(address) => {
                    self.section.fields.to_uri = address.uri;
                    self.section.fields.to_tag = address.tag;
                }
                None => self.wrong(wrong::TO, field.at),
            }
        }
    }

    /// The one address of a header field.
    fn address(&self, field: &Field) -> Option<address::Address> {
        let mut cursor = field.cursor(self.octets);
        let address = address::value(&mut cursor).ok()?;
        cursor.is_at_end().then_some(address)
    }

    /// `word [ "@" word ]`
    fn call_id(&mut self, field: &Field) {
        if self.is_only(field, wrong::CALL_ID_TWICE) {
            self.section.fields.call_id = field.value();
            let mut cursor = field.cursor(self.octets);
            if cursor.skip(Class::WORD) == 0 || !cursor.is_at_end() {
                self.wrong(wrong::CALL_ID, field.at);
            }
        }
    }

    /// `1*DIGIT LWS Method`, the number below 2^31 (section 8.1.1.5).
    fn cseq(&mut self, field: &Field) {
        if !self.is_only(field, wrong::CSEQ_TWICE) {
            return;
        }
        self.section.fields.cseq_value = field.value();
        let mut cursor = field.cursor(self.octets);
        let number = cursor.number().and_then(|number| u32::try_from(number).ok());
        let number_end = cursor.at();
        cursor.skip_lws();
        let method_at = cursor.at();
        let method = cursor.take(Class::TOKEN);
        match number.filter(|number| *number < 1 << 31) {
            Some(number) if method_at > number_end && !method.is_empty() && cursor.is_at_end() => {
                self.section.fields.cseq = number;
                self.section.fields.cseq_method = Method::of(method);
                self.section.cseq_method_name = Span::between(method_at, cursor.at());
            }
            Some(_) | None => self.wrong(wrong::CSEQ, field.at),
        }
    }

    /// `1*DIGIT`; whether it fits the datagram is known at the end.
    fn content_length(&mut self, field: &Field) {
        if self.is_only(field, wrong::CONTENT_LENGTH_TWICE) {
            let mut cursor = field.cursor(self.octets);
            match cursor.number() {
                Some(len) if cursor.is_at_end() => self.content_length = Some((len, field.at)),
                Some(_) | None => self.wrong(wrong::CONTENT_LENGTH, field.at),
            }
        }
    }

    /// `1*DIGIT`, from 0 to 255 (section 20.22).
    fn max_forwards(&mut self, field: &Field) {
        if self.is_only(field, wrong::MAX_FORWARDS_TWICE) {
            let mut cursor = field.cursor(self.octets);
            match cursor.number().and_then(|number| u8::try_from(number).ok()) {
                Some(number) if cursor.is_at_end() => {
                    self.section.fields.max_forwards = Some(number);
                    self.section.fields.max_forwards_written = field.value();
                }
                Some(_) | None => self.wrong(wrong::MAX_FORWARDS, field.at),
            }
        }
    }

    fn content_type(&mut self, field: &Field) {
        if self.is_only(field, wrong::CONTENT_TYPE_TWICE) {
            self.section.fields.content_type = field.value();
        }
    }

    fn route(&mut self, field: &Field) {
        let mut cursor = field.cursor(self.octets);
        let first = self.is_first(Name::Route);
        let fields = &mut self.section.fields;
        fields.route_fields = fields.route_fields.saturating_add(1);
        let mut topmost = first;
        loop {
            let at = cursor.at();
            if route(&mut cursor, self.octets).is_none() {
                return self.wrong(wrong::ROUTE, at);
            }
            let fields = &mut self.section.fields;
            fields.route_count = fields.route_count.saturating_add(1);
            if topmost {
                fields.route_field = field.line();
                fields.route = Span::between(at, cursor.at());
            }
            if !cursor.eat(b',') {
                return;
            }
            cursor.skip_lws();
            if topmost {
                fields.route_next = Span::between(cursor.at(), cursor.at()).at;
            }
            topmost = false;
        }
    }

    /// Out of line, or the loop over all header fields gets longer by what few of them need.
    #[inline(never)]
    fn asserted(&mut self, field: &Field) {
        let fields = &mut self.section.fields;
        if let Some(kept) = fields.asserted.get_mut(usize::from(fields.asserted_count)) {
            *kept = field.line();
        }
        fields.asserted_count = fields.asserted_count.saturating_add(1);
    }

    fn limits(&mut self, at: usize, end: usize) {
        let fields = &self.section.fields;
        let (fields_len, vias_len) = (fields.header_count, fields.via_count);
        if end.saturating_sub(at) > SIP_HEADER_SIZE_MAX {
            self.wrong(wrong::HEADER_SIZE, at.saturating_add(SIP_HEADER_SIZE_MAX));
        }
        if usize::from(fields_len) > SIP_HEADER_FIELDS_MAX {
            self.wrong(wrong::HEADER_COUNT, at);
        }
        if usize::from(vias_len) > SIP_VIAS_MAX {
            self.wrong(wrong::VIA_COUNT, at);
        }
    }

    /// The body begins at `body_at`; the datagram ends at `end`.
    fn finish(mut self, body_at: usize, end: usize) -> Result<Section, Malformed> {
        if self.is_first(Name::Via) {
            return Err(Malformed { expected: "a Via header field", at: body_at });
        }
        if self.is_first(Name::CSeq) {
            return Err(Malformed { expected: "a CSeq header field", at: body_at });
        }
        // Ideally, says RFC 4475 section 3.3.1, a request without these is answered all the same.
        for (name, missing) in [
            (Name::From, wrong::FROM_MISSING),
            (Name::To, wrong::TO_MISSING),
            (Name::CallId, wrong::CALL_ID_MISSING),
        ] {
            if self.is_first(name) {
                self.wrong(missing, body_at);
            }
        }
        // Section 18.3: octets behind the body are cut off; a body that is cut off is an error.
        let mut body_end = end;
        self.section.fields.has_content_length = self.content_length.is_some();
        if let Some((len, at)) = self.content_length {
            match usize::try_from(len).ok().and_then(|len| body_at.checked_add(len)) {
                Some(said) if said <= end => body_end = said,
                Some(_) | None => self.wrong(wrong::CONTENT_LENGTH_LARGER, at),
            }
        }
        self.section.fields.body = Span::between(body_at, body_end);
        self.section.end = body_end;
        Ok(self.section)
    }
}

/// One Route value, the host of its URI read; the cursor stands behind it.
pub(super) fn route(cursor: &mut Cursor<'_>, octets: &[u8]) -> Option<super::Route> {
    let address = address::value(cursor).ok()?;
    let written = address.uri.of(octets);
    let uri = uri::parse(written).ok()?;
    if uri.host.is_empty() {
        return None;
    }
    // The host lies within the URI, which lies within the octets.
    let offset = uri.host.as_ptr().addr().wrapping_sub(octets.as_ptr().addr());
    let host = Span::between(offset, offset.wrapping_add(uri.host.len()));
    Some(super::Route { uri: address.uri, host, port: uri.port, lr: uri.param(b"lr").is_some() })
}

/// `priv-value *( ";" priv-value )` (RFC 3323 section 4.2)
fn asks_for_id(value: &[u8]) -> bool {
    value
        .split(|octet| matches!(octet, b';' | b','))
        .any(|value| value.trim_ascii().eq_ignore_ascii_case(b"id"))
}
