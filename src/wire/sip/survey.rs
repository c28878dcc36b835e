//! The header fields that the packet path passes over, for those who judge a message and do not
//! carry it: a proxy must not refuse a request for a Contact that only its end points read, but who
//! stares at a capture wants to know.

use super::header::{self, Field, Name};
use super::parameter::{self, Next};
use super::{Class, Cursor, Malformed, address};

/// What these header fields say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Survey {
    /// Contact values in all Contact header fields together; `*` is one.
    pub contact_count: u16,
    /// Record-Route values in all Record-Route header fields together.
    pub record_route_count: u16,
    /// What Content-Length says.
    pub content_length: Option<u64>,
}

/// Reads Contact, Record-Route, Date, Content-Type and Content-Length of a message that
/// [`super::parse`] took: its `octets`, from the start line on.
///
/// # Errors
///
/// The first of these that breaks the grammar of RFC 3261 section 25.1.
pub fn survey(octets: &[u8]) -> Result<Survey, Malformed> {
    let mut survey = Survey::default();
    let section_at = header::start_line_end(octets)?.at.saturating_add(2);
    for field in header::Fields::from(octets, section_at) {
        let malformed = |expected| Malformed { expected, at: field.at };
        let mut cursor = field.cursor(octets);
        match field.name {
            Name::Contact => {
                let count = contacts(&mut cursor).ok_or_else(|| malformed("a Contact value"))?;
                survey.contact_count = survey.contact_count.saturating_add(count);
            }
            Name::RecordRoute => {
                let count = addresses(&mut cursor, true)
                    .ok_or_else(|| malformed("a Record-Route value"))?;
                survey.record_route_count = survey.record_route_count.saturating_add(count);
            }
            Name::ContentType if !is_media_type(&mut cursor) => {
                return Err(malformed("a media type in Content-Type"));
            }
            Name::ContentLength => survey.content_length = cursor.number(),
            Name::Other if is_date_field(octets, &field) && !is_date(cursor.rest()) => {
                return Err(malformed("a date in GMT"));
            }
            Name::CallId
            | Name::ContentType
            | Name::CSeq
            | Name::From
            | Name::MaxForwards
            | Name::PAssertedIdentity
            | Name::ContentEncoding
            | Name::PCalledPartyId
            | Name::Privacy
            | Name::ProxyRequire
            | Name::Require
            | Name::RetryAfter
            | Name::Route
            | Name::Timestamp
            | Name::To
            | Name::Via
            | Name::Other => {}
        }
    }
    Ok(survey)
}

/// `"*" / contact-param *( COMMA contact-param )`
fn contacts(cursor: &mut Cursor<'_>) -> Option<u16> {
    if cursor.rest() == b"*" { Some(1) } else { addresses(cursor, false) }
}

/// Values with their parameters, `enclosed` in brackets or not; how many.
fn addresses(cursor: &mut Cursor<'_>, enclosed: bool) -> Option<u16> {
    let mut count: u16 = 0;
    loop {
        let before = *cursor;
        address::value(cursor).ok()?;
        if enclosed && !cursor.since(&before).contains(&b'<') {
            return None;
        }
        count = count.saturating_add(1);
        if cursor.is_at_end() {
            return Some(count);
        }
        if !cursor.eat(b',') {
            return None;
        }
        cursor.skip_lws();
    }
}

/// `m-type SLASH m-subtype *( SEMI m-parameter )`
fn is_media_type(cursor: &mut Cursor<'_>) -> bool {
    let kind = cursor.skip(Class::TOKEN) > 0;
    cursor.skip_lws();
    let slash = cursor.eat(b'/');
    cursor.skip_lws();
    let subtype = cursor.skip(Class::TOKEN) > 0;
    if !(kind && slash && subtype) {
        return false;
    }
    loop {
        match parameter::next(cursor) {
            Next::Parameter(parameter) if !parameter.value.is_empty() => {}
            Next::End => return true,
            Next::Parameter(_) | Next::Comma | Next::Malformed => return false,
        }
    }
}

fn is_date_field(octets: &[u8], field: &Field) -> bool {
    let name = Cursor::new(octets, field.at, field.value_at).take_few(Class::TOKEN);
    name.eq_ignore_ascii_case(b"Date")
}

/// `SIP-date`: "Sat, 13 Nov 2010 23:29:00 GMT". The only zone is GMT (section 20.17).
fn is_date(value: &[u8]) -> bool {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    const SHAPE: &[u8; 29] = b"www, 00 mmm 0000 00:00:00 GMT";
    let Ok(date) = <&[u8; 29]>::try_from(value) else { return false };
    let shaped = SHAPE.iter().zip(date).all(|(shape, octet)| match shape {
        b'w' | b'm' => octet.is_ascii_alphabetic(),
        b'0' => octet.is_ascii_digit(),
        other => other.eq_ignore_ascii_case(octet),
    });
    let part = |at: usize, len: usize| date.get(at..at.saturating_add(len)).unwrap_or_default();
    let one_of = |names: &[&[u8]], at| names.iter().any(|n| n.eq_ignore_ascii_case(part(at, 3)));
    let within = |at, least: &[u8], most: &[u8]| (least..=most).contains(&part(at, 2));
    shaped
        && one_of(&DAYS, 0)
        && within(5, b"01", b"31")
        && one_of(&MONTHS, 8)
        && within(17, b"00", b"23")
        && within(20, b"00", b"59")
        && within(23, b"00", b"60")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Result<Survey, &'static str> {
        let text = format!("MESSAGE sip:a@b SIP/2.0\r\n{fields}\r\n");
        survey(text.as_bytes()).map_err(|malformed| malformed.expected)
    }

    #[test]
    fn values_are_counted() {
        for (fields, contacts, routes, length) in [
            ("", 0, 0, None),
            ("Contact: *\r\nl: 17\r\n", 1, 0, Some(17)),
            ("Contact: <sip:a@b>;q=1, \"x, y\" <sip:c@d?e=f>\r\nm: sip:g@h\r\n", 3, 0, None),
            ("Record-Route: <sip:a;lr>,\r\n <sip:b;lr>\r\nRecord-Route: <sip:c>;x\r\n", 0, 3, None),
            (
                "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nc: Text/Plain ; charset=\"a\"\r\n",
                0,
                0,
                None,
            ),
        ] {
            let expected = Survey {
                contact_count: contacts,
                record_route_count: routes,
                content_length: length,
            };
            assert_eq!(read(fields), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_said() {
        for (field, expected) in [
            ("Contact: sip:a@b?Route=%3Csip:c%3E", "a Contact value"),
            ("Contact: <sip:a@b", "a Contact value"),
            ("Contact: <sip:a@b>,", "a Contact value"),
            ("Contact:", "a Contact value"),
            ("Record-Route: sip:a", "a Record-Route value"),
            ("Content-Type: text", "a media type in Content-Type"),
            ("Content-Type: text/plain, text/html", "a media type in Content-Type"),
            ("Content-Type: text/plain;charset", "a media type in Content-Type"),
            ("Date: Fri, 01 Jan 2010 16:00:00 EST", "a date in GMT"),
            ("Date: Fri, 01 Jan 2010 24:00:00 GMT", "a date in GMT"),
            ("Date: Xyz, 01 Jan 2010 16:00:00 GMT", "a date in GMT"),
            ("Date: Fri, 00 Jan 2010 16:00:00 GMT", "a date in GMT"),
            ("date : 1262361600", "a date in GMT"),
        ] {
            assert_eq!(read(&format!("{field}\r\n")), Err(expected), "{field:?}");
        }
    }
}
