//! What a back-to-back user agent takes from a message on one side into its own on the other: the header
//! fields that are about both ends and not about the way between them (RFC 3261 section 6).

use super::header::{self, Field, Name};
use super::{Fields, Span};

/// Header fields of one side alone, beside those that are read as [`Name`]s: they say what each user agent
/// can do itself, or name a dialog that the other side does not know.
const OWN: [(&[u8], &[u8]); 9] = [
    (b"Allow", b"Allow"),
    (b"Supported", b"k"),
    (b"Session-Expires", b"x"),
    (b"Min-SE", b"Min-SE"),
    (b"Replaces", b"Replaces"),
    (b"Join", b"Join"),
    (b"Target-Dialog", b"Target-Dialog"),
    (b"RSeq", b"RSeq"),
    (b"Path", b"Path"),
];

/// By which its sender chooses among those whom a request may reach (RFC 3841).
const PREFERENCES: [(&[u8], &[u8]); 3] =
    [(b"Accept-Contact", b"a"), (b"Reject-Contact", b"j"), (b"Request-Disposition", b"d")];

/// The header fields that pass from one side to the other, octet for octet with their CRLF: all but those of
/// one side, of the body, of identity and of preference.
pub fn end_to_end(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let passes = move |field: &Field| match field.name {
        Name::Other => !is_one_of(octets, field, &OWN) && !is_one_of(octets, field, &PREFERENCES),
        Name::Privacy | Name::PCalledPartyId | Name::RetryAfter => true,
        Name::CallId
        | Name::Contact
        | Name::ContentEncoding
        | Name::ContentLength
        | Name::ContentType
        | Name::CSeq
        | Name::From
        | Name::MaxForwards
        | Name::PAssertedIdentity
        | Name::ProxyRequire
        | Name::RecordRoute
        | Name::Require
        | Name::Route
        | Name::Timestamp
        | Name::To
        | Name::Via => false,
    };
    lines(octets, move |field| field.well_formed && passes(field))
}

/// The preferences of a caller: an ACK to an error and a CANCEL have those of their INVITE.
pub fn preferences(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(octets, move |field| is_one_of(octets, field, &PREFERENCES))
}

/// All P-Asserted-Identity header fields.
pub fn asserted(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(octets, |field| field.name == Name::PAssertedIdentity)
}

/// All Contact header fields: where a redirection leads.
pub fn contacts(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(octets, |field| field.name == Name::Contact)
}

/// What stands behind the URI of the first Contact value: the features of a user agent (RFC 3840 section 9).
/// Nothing where there are several values.
pub fn contact_parameters(octets: &[u8]) -> &[u8] {
    let contact = section(octets).find(|field| field.name == Name::Contact);
    let Some(value) = contact.map(|field| field.value()) else { return &[] };
    let uri = super::address_uri(octets, value);
    let behind = octets.get(usize::from(uri.end())..usize::from(value.end()));
    // Without brackets, what follows is part of neither.
    let parameters = behind.and_then(|behind| behind.strip_prefix(b">")).unwrap_or_default();
    let is_one = !parameters.contains(&b',') && !parameters.contains(&b'\r');
    if is_one && parameters.starts_with(b";") { parameters } else { &[] }
}

/// From or To as a `name-addr` without parameters, with what must be written around it: nothing where it
/// stands so, and brackets where its URI has none.
pub fn name_addr(octets: &[u8], value: Span, uri: Span) -> [&[u8]; 3] {
    let end = usize::from(uri.end());
    if octets.get(end) == Some(&b'>') {
        let whole = octets.get(usize::from(value.at)..end.saturating_add(1));
        return [&[], whole.unwrap_or_default(), &[]];
    }
    [b"<", uri.of(octets), b">"]
}

/// The Route values that are left when the first one is removed or stays, octet for octet; commas belong
/// between them.
pub fn routes<'a>(
    octets: &'a [u8],
    fields: &Fields,
    skip: usize,
) -> impl Iterator<Item = &'a [u8]> {
    let has_some = fields.route_count > 0;
    let fields = section(octets).filter(move |field| has_some && field.name == Name::Route);
    let values = fields.flat_map(move |field| {
        let mut cursor = field.cursor(octets);
        let mut is_over = false;
        core::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let at = cursor.at();
            super::fields::route(&mut cursor, octets)?;
            let value = Span::between(at, cursor.at()).of(octets).trim_ascii();
            is_over = !cursor.eat(b',');
            cursor.skip_lws();
            Some(value)
        })
    });
    values.skip(skip)
}

fn lines(octets: &[u8], is_wanted: impl Fn(&Field) -> bool) -> impl Iterator<Item = &[u8]> {
    section(octets).filter(is_wanted).map(move |field| field.line().of(octets))
}

fn is_one_of(octets: &[u8], field: &Field, names: &[(&[u8], &[u8])]) -> bool {
    names.iter().any(|(name, compact)| header::is_named(octets, field, name, compact))
}

fn section(octets: &[u8]) -> header::Fields<'_> {
    let end = header::start_line_end(octets);
    header::Fields::from(octets, end.map_or(octets.len(), |end| end.at.saturating_add(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::{self, Message};

    const INVITE: &[u8] = b"INVITE sip:bob@b.example SIP/2.0\r\n\
        Via: SIP/2.0/UDP a.example;branch=z9hG4bKx\r\nMax-Forwards: 9\r\n\
        Route: <sip:us.example;lr>,<sip:one.example;lr> ;x=1\r\nRoute: <sip:two.example;lr>\r\n\
        From: \"Al, ;>ice\" <sip:al@a.example>;tag=1\r\nTo: sip:bob@b.example\r\n\
        Call-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:al@10.0.0.1>;+g.oma.sip-im;x=\"1\"\r\n\
        P-Asserted-Identity: <sip:al@a.example>\r\nAllow: INVITE\r\nk: timer\r\n\
        e: identity\r\nSubject: one\r\n two\r\na: *;+g.oma.sip-im\r\nConversation-ID: 7\r\nx: 90\r\n\
        Authorization: Digest a=\"b\"\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n";

    fn joined<'a>(lines: impl Iterator<Item = &'a [u8]>) -> String {
        lines.map(|line| format!("{}|", String::from_utf8_lossy(line))).collect()
    }

    #[test]
    fn what_is_of_both_ends_passes_and_what_is_of_one_side_does_not() {
        assert_eq!(
            joined(end_to_end(INVITE)),
            "Subject: one\r\n two\r\n|Conversation-ID: 7\r\n|Authorization: Digest a=\"b\"\r\n|"
        );
        assert_eq!(joined(preferences(INVITE)), "a: *;+g.oma.sip-im\r\n|");
        assert_eq!(joined(asserted(INVITE)), "P-Asserted-Identity: <sip:al@a.example>\r\n|");
        assert_eq!(contact_parameters(INVITE), b";+g.oma.sip-im;x=\"1\"");
    }

    #[test]
    fn parties_and_routes_are_as_they_stand() {
        let Ok(Message::Request(request)) = sip::parse(INVITE) else { panic!("an INVITE") };
        let fields = &request.fields;
        let from = name_addr(INVITE, fields.from, fields.from_uri).concat();
        assert_eq!(from, b"\"Al, ;>ice\" <sip:al@a.example>");
        let to = name_addr(INVITE, fields.to, fields.to_uri).concat();
        assert_eq!(to, b"<sip:bob@b.example>");
        let all = "<sip:us.example;lr>|<sip:one.example;lr> ;x=1|<sip:two.example;lr>|";
        assert_eq!(joined(routes(INVITE, fields, 0)), all);
        assert_eq!(joined(routes(INVITE, fields, 1)), &all["<sip:us.example;lr>|".len()..]);
    }
}
