//! What a message says to those who make a dialog of it (RFC 3261 section 12.1) or keep a session in
//! one (RFC 4028). Most messages make none: who asks pays for finding it, and [`Fields`] holds no
//! more for it than that it is there.

use super::header::{self, Name};
use super::parameter::{self, Next};
use super::{Class, Cursor, Fields, Malformed, Span, address, address_uri};
use crate::limits::SIP_RECORD_ROUTES_MAX;

/// The URI in the first Contact value, without brackets: where requests in the dialog go. Empty if
/// there is none or it cannot be read, as where it is `*`.
pub fn contact_uri(octets: &[u8], fields: &Fields) -> Span {
    if fields.contact_count == 0 {
        return Span::default();
    }
    let contact = header::section(octets).find(|field| field.name == Name::Contact);
    contact.map_or_else(Span::default, |field| address_uri(octets, field.value()))
}

/// The first Call-ID in In-Reply-To (RFC 3261 section 20.21); empty if there is none.
pub fn in_reply_to(octets: &[u8]) -> &[u8] {
    let Some(mut cursor) = header::named(octets, b"In-Reply-To").next() else { return &[] };
    cursor.take(Class::WORD)
}

/// All Record-Route values of a message in their order.
#[derive(Clone, Copy, Debug)]
pub struct RecordRoutes<'a> {
    octets: &'a [u8],
    values: [Span; SIP_RECORD_ROUTES_MAX],
    count: usize,
}

impl<'a> RecordRoutes<'a> {
    /// The values with their brackets and parameters, first the one that stands first: a callee follows
    /// them in this order, a caller in the reverse (sections 12.1.1 and 12.1.2).
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let octets = self.octets;
        self.values.iter().take(self.count).map(move |value| value.of(octets))
    }
}

/// Reads all Record-Route values.
///
/// # Errors
///
/// A value that is no `name-addr` with parameters, or more than [`SIP_RECORD_ROUTES_MAX`] of them: a
/// route set with holes would lead elsewhere.
pub fn record_routes<'a>(octets: &'a [u8], fields: &Fields) -> Result<RecordRoutes<'a>, Malformed> {
    let mut routes =
        RecordRoutes { octets, values: [Span::default(); SIP_RECORD_ROUTES_MAX], count: 0 };
    if fields.record_route_count == 0 {
        return Ok(routes);
    }
    for field in header::section(octets).filter(|field| field.name == Name::RecordRoute) {
        let mut cursor = field.cursor(octets);
        loop {
            let at = cursor.at();
            let value = record_route(&mut cursor)?;
            let room = routes.values.get_mut(routes.count);
            *room.ok_or(Malformed { expected: "fewer Record-Route values", at })? = value;
            routes.count = routes.count.saturating_add(1);
            if !cursor.eat(b',') {
                break;
            }
            cursor.skip_lws();
        }
    }
    Ok(routes)
}

/// `name-addr *( SEMI rr-param )`; the cursor stands behind it.
fn record_route(cursor: &mut Cursor<'_>) -> Result<Span, Malformed> {
    let before = *cursor;
    let address = address::value(cursor)?;
    // Without brackets the parameters of the URI would be those of the header field.
    let bracket = usize::from(address.uri.at).checked_sub(before.at().saturating_add(1));
    let is_enclosed = bracket.and_then(|at| before.rest().get(at)) == Some(&b'<');
    let written = cursor.since(&before).trim_ascii_end();
    if !is_enclosed {
        return Err(Malformed { expected: "a Record-Route value in brackets", at: before.at() });
    }
    Ok(Span::between(before.at(), before.at().saturating_add(written.len())))
}

/// Who refreshes the session (RFC 4028 section 4): the client or the server of the transaction that
/// says so, whoever has begun the dialog.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refresher {
    /// Who has sent the request.
    Uac,
    /// Who has answered it.
    Uas,
}

/// Session-Expires (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionExpires {
    /// Seconds from the 2xx to the end of the session; `u32::MAX` for anything above.
    pub seconds: u32,
    /// Who refreshes it; `None` where a request leaves that to its server.
    pub refresher: Option<Refresher>,
}

/// What a message says of the session timer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SessionTimer {
    /// Session-Expires.
    pub expires: Option<SessionExpires>,
    /// Min-SE, in seconds (RFC 4028 section 5); 90 holds where it is absent.
    pub min_se: Option<u32>,
}

/// Reads Session-Expires and Min-SE of a message, its octets from the start line on.
///
/// # Errors
///
/// What breaks their grammar, or one of them twice: two readers would end the session at two times.
pub fn session_timer(octets: &[u8]) -> Result<SessionTimer, Malformed> {
    let mut timer = SessionTimer::default();
    for mut cursor in header::named_either(octets, b"Session-Expires", b"x") {
        let malformed = Malformed { expected: "one Session-Expires", at: cursor.at() };
        let expires = session_expires(&mut cursor).ok_or(malformed)?;
        if timer.expires.replace(expires).is_some() {
            return Err(malformed);
        }
    }
    for mut cursor in header::named(octets, b"Min-SE") {
        let malformed = Malformed { expected: "one Min-SE", at: cursor.at() };
        let min_se = seconds(&mut cursor).ok_or(malformed)?;
        let is_whole = loop {
            match parameter::next(&mut cursor) {
                Next::Parameter(_) => {}
                Next::End => break true,
                Next::Comma | Next::Malformed => break false,
            }
        };
        if !is_whole || timer.min_se.replace(min_se).is_some() {
            return Err(malformed);
        }
    }
    Ok(timer)
}

/// `delta-seconds *( SEMI ( "refresher" EQUAL ( "uas" / "uac" ) / generic-param ) )`
fn session_expires(cursor: &mut Cursor<'_>) -> Option<SessionExpires> {
    let mut expires = SessionExpires { seconds: seconds(cursor)?, refresher: None };
    loop {
        let before = *cursor;
        let parameter = match parameter::next(cursor) {
            Next::Parameter(parameter) => parameter,
            Next::End => return Some(expires),
            Next::Comma | Next::Malformed => return None,
        };
        if parameter_name(before).eq_ignore_ascii_case(b"refresher") {
            let refresher = match parameter.value {
                value if value.eq_ignore_ascii_case(b"uac") => Refresher::Uac,
                value if value.eq_ignore_ascii_case(b"uas") => Refresher::Uas,
                _ => return None,
            };
            if expires.refresher.replace(refresher).is_some() {
                return None;
            }
        }
    }
}

/// The name of the parameter that stands next; of long ones nothing else remembers it.
fn parameter_name(before: Cursor<'_>) -> &[u8] {
    let mut cursor = before;
    cursor.skip_lws();
    cursor.eat(b';');
    cursor.skip_lws();
    cursor.take(Class::TOKEN)
}

/// `delta-seconds`
fn seconds(cursor: &mut Cursor<'_>) -> Option<u32> {
    cursor.number().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// A header field that lists option tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Options {
    /// What the other side must understand.
    Require,
    /// What the sender understands.
    Supported,
}

/// The option tags in all header fields of that name, in their order. Ends at what is no token.
pub fn options(octets: &[u8], which: Options) -> impl Iterator<Item = &[u8]> {
    let cursors = header::section(octets).filter_map(move |field| {
        let is_it = match which {
            Options::Require => field.name == Name::Require,
            Options::Supported => header::is_named(octets, &field, b"Supported", b"k"),
        };
        is_it.then(|| field.cursor(octets))
    });
    cursors.flat_map(|mut cursor| {
        core::iter::from_fn(move || {
            cursor.skip_lws();
            // `Supported` may be empty, and lists may have holes (section 7.3.1 of RFC 3261).
            while cursor.eat(b',') {
                cursor.skip_lws();
            }
            let option = cursor.take(Class::TOKEN);
            cursor.skip_lws();
            (!option.is_empty()).then_some(option)
        })
    })
}

/// The Session-Expires that answers a request where its client is to refresh the session, and we are not: none
/// where it does not know how, or has left that to us (RFC 4028 section 9 and table 2). Then the session has no
/// such end.
pub fn client_timer(octets: &[u8]) -> Option<SessionExpires> {
    let expires = session_timer(octets).ok()?.expires?;
    let knows = [Options::Supported, Options::Require];
    let knows = knows.into_iter().any(|which| has_option(octets, which, b"timer"));
    let refresher = Some(Refresher::Uac);
    (knows && expires.refresher != Some(Refresher::Uas))
        .then_some(SessionExpires { refresher, ..expires })
}

/// Whether an option tag is among them; they have no case.
pub fn has_option(octets: &[u8], which: Options, option: &[u8]) -> bool {
    options(octets, which).any(|listed| listed.eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests;
