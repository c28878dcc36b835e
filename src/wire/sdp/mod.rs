//! Session descriptions (SDP), as far as setting up MSRP needs them (RFC 8866, RFC 4975 section 8).
//!
//! ```text
//! v=0                                                       the session: each line once, in this order
//! o=alice 2890844526 2890844527 IN IP4 alice.example.com
//! s=-
//! c=IN IP4 alice.example.com
//! t=0 0
//! m=message 7394 TCP/MSRP *                                 a media description, and what is below it
//! a=accept-types:message/cpim text/plain
//! a=path:msrp://alice.example.com:7394/2s93i9ek2a;tcp
//! ```
//!
//! [`parse`] reads a description once and says where things are; [`Session::media`] reads one media
//! description after the other. Nothing is copied.
//!
//! What breaks the form of the whole is [`Malformed`]: the order of lines, an `o=` without its six
//! fields, a port that is none. **What is wrong with an attribute is wrong with its media description
//! alone** ([`Media::wrong`]): it can be refused in an answer, whatever the others are. Attributes that
//! are not known are passed over, as they must be (RFC 8866 section 5.13). One that is repeated may
//! only say the same again, since one reader would take the first and another the last one.
//!
//! What all read alike is taken: LF for CRLF, no end of the last line, empty lines behind it, an empty
//! `s=`, spaces around media types. [`strict()`] says where a description breaks such a rule.
//!
//! **Adding an attribute**: a field of [`Media`], and an arm where `attribute` reads the others.

mod attribute;
pub mod build;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod line;
mod list;
mod media;
mod strict;

use core::net::{Ipv4Addr, Ipv6Addr};

use self::attribute::Common;
use self::line::{Line, line};
use super::cursor::{Class, Cursor, find};
use super::{Malformed, Span};
use crate::limits::{SDP_MEDIA_MAX, SDP_SIZE_MAX};

pub use self::attribute::{Direction, Fingerprint, Hash, Setup};
pub use self::list::{Entries, Taken, Types};
pub use self::media::{Fingerprints, Media, MediaDescriptions};
pub use self::strict::strict;

/// A description, as positions in its octets. The span of what is not there is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session<'a> {
    /// From the first octet to the end of the last line.
    pub octets: &'a [u8],
    /// Who made it, and which version it is.
    pub origin: Origin,
    /// The name of the session.
    pub name: Span,
    /// Where media go that say nothing else.
    pub connection: Option<Connection>,
    /// The lines `t=`, `r=` and `z=`, from the first letter to the end of the last value. An answer
    /// has those of its offer (RFC 3264 section 6).
    pub times: Span,
    /// How many media descriptions there are.
    pub media_count: u8,
    /// What stands above them and counts for each.
    common: Common,
    /// Where the first of them begins.
    media_at: u16,
}

/// `o=`: the session, and a version of its description (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// All six fields.
    pub value: Span,
    /// The login of the user, or a dash.
    pub username: Span,
    /// The session identifier.
    pub session_id: u64,
    /// The version, which rises with each change (RFC 3264 section 8).
    pub version: u64,
    /// The type of network: `IN`.
    pub net_type: Span,
    /// The type of address: `IP4` or `IP6`.
    pub address_type: Span,
    /// The address of the user's host.
    pub address: Span,
}

/// `c=`: where media go (RFC 8866 section 5.7).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// All that is said.
    pub value: Span,
    /// The type of network: `IN`.
    pub net_type: Span,
    /// The type of address: `IP4` or `IP6`.
    pub address_type: Span,
    /// The address or name, without what is behind it if it is a multicast one.
    pub address: Span,
}

impl Connection {
    /// The address, IPv4 in its IPv4-mapped form; none if it is a name.
    pub fn ip(&self, octets: &[u8]) -> Option<[u8; 16]> {
        ip(self.address.of(octets))
    }
}

/// The address that this text is, without brackets, IPv4 in its IPv4-mapped form; none if it is a
/// name.
pub fn ip(text: &[u8]) -> Option<[u8; 16]> {
    let text = core::str::from_utf8(text).ok()?;
    let v4 = text.parse::<Ipv4Addr>().ok().map(|address| address.to_ipv6_mapped());
    v4.or_else(|| text.parse::<Ipv6Addr>().ok()).map(|address| address.octets())
}

/// Reads a description.
///
/// # Errors
///
/// What breaks the form of the whole; see the module.
pub fn parse(octets: &[u8]) -> Result<Session<'_>, Malformed> {
    if octets.len() > SDP_SIZE_MAX {
        return Err(Malformed { expected: "a shorter description", at: SDP_SIZE_MAX });
    }
    let mut reader = Reader::default();
    let mut at = 0;
    while let Some(line) = line(octets, at)? {
        if line.letter == b'm' {
            break;
        }
        reader.line(octets, &line)?;
        at = line.next;
    }
    reader.ends(at)?;
    let mut session = Session {
        octets,
        origin: reader.origin,
        name: reader.name,
        connection: reader.connection,
        times: reader.times,
        media_count: 0,
        common: reader.common,
        media_at: u16::try_from(at).unwrap_or(u16::MAX),
    };
    while let Some(media) = media::read(&session, at)? {
        let count = session.media_count.saturating_add(1);
        if usize::from(count) > SDP_MEDIA_MAX {
            return Err(Malformed { expected: "fewer media descriptions", at });
        }
        session.media_count = count;
        at = usize::from(media.section.end());
    }
    session.octets = octets.get(..at).unwrap_or(octets);
    Ok(session)
}

/// What stands above the media descriptions.
#[derive(Default)]
struct Reader {
    /// The type of the line before.
    last: u8,
    origin: Origin,
    name: Span,
    connection: Option<Connection>,
    times: Span,
    common: Common,
}

impl Reader {
    fn line(&mut self, octets: &[u8], line: &Line) -> Result<(), Malformed> {
        let malformed = |expected| Malformed { expected, at: line.at };
        line::may_follow(self.last, line.letter).map_err(malformed)?;
        self.last = line.letter;
        match line.letter {
            b'v' if line.value.of(octets) != b"0" => return Err(malformed("version 0")),
            b'o' => self.origin = origin(octets, line.value)?,
            b's' => self.name = line.value,
            b'c' => self.connection = Some(connection(octets, line.value)?),
            b't' | b'r' | b'z' => {
                if line.letter == b't' {
                    time(octets, line.value)?;
                }
                let first = if self.times.is_empty() { line.at } else { self.times.at.into() };
                self.times = Span::between(first, line.value.end().into());
            }
            b'a' => {
                self.common.read(octets, line);
            }
            _ => {}
        }
        Ok(())
    }

    /// All that must be there is there.
    fn ends(&self, at: usize) -> Result<(), Malformed> {
        // An attribute may follow whatever a session may end with.
        line::may_follow(self.last, b'a').map_err(|expected| Malformed { expected, at })
    }
}

/// Passes a field and the space behind it, if another one follows.
fn field<'a>(cursor: &mut Cursor<'a>) -> Option<Span> {
    let at = cursor.at();
    let rest = cursor.rest();
    let len = find(rest, b' ').unwrap_or(rest.len());
    cursor.pass(len);
    let visible = rest.get(..len)?.iter().all(|octet| *octet > b' ' && *octet != 0x7F);
    (len > 0 && visible).then(|| Span::between(at, at.saturating_add(len)))
}

/// The same with the space, which must be there.
fn field_and_space(cursor: &mut Cursor<'_>) -> Option<Span> {
    let field = field(cursor)?;
    cursor.eat(b' ').then_some(field)
}

/// A number that stands alone in a field, of at most 64 bits.
fn number(octets: &[u8], field: Span) -> Option<u64> {
    let digits = field.of(octets);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, octet| {
        let digit = char::from(*octet).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A cursor over a value.
fn over(octets: &[u8], value: Span) -> Cursor<'_> {
    Cursor::new(octets, usize::from(value.at), usize::from(value.end()))
}

fn origin(octets: &[u8], value: Span) -> Result<Origin, Malformed> {
    let mut cursor = over(octets, value);
    let read = |cursor: &mut Cursor<'_>| {
        Some(Origin {
            value,
            username: field_and_space(cursor)?,
            session_id: number(octets, field_and_space(cursor)?)?,
            version: number(octets, field_and_space(cursor)?)?,
            net_type: token_and_space(octets, cursor)?,
            address_type: token_and_space(octets, cursor)?,
            address: field(cursor)?,
        })
    };
    read(&mut cursor).filter(|_| cursor.is_at_end()).ok_or_else(|| Malformed {
        expected: "a user, a session, a version, a network, a type of address and an address",
        at: value.at.into(),
    })
}

fn token_and_space(octets: &[u8], cursor: &mut Cursor<'_>) -> Option<Span> {
    field_and_space(cursor).filter(|field| list::is_token(field.of(octets)))
}

fn connection(octets: &[u8], value: Span) -> Result<Connection, Malformed> {
    let malformed =
        Malformed { expected: "a network, a type of address and an address", at: value.at.into() };
    let mut cursor = over(octets, value);
    let read = |cursor: &mut Cursor<'_>| {
        let net_type = token_and_space(octets, cursor)?;
        let address_type = token_and_space(octets, cursor)?;
        let address = field(cursor)?;
        Some(Connection { value, net_type, address_type, address })
    };
    let mut connection = read(&mut cursor).ok_or(malformed)?;
    let version = connection.address_type.of(octets);
    if connection.net_type.of(octets) != b"IN" || !matches!(version, b"IP4" | b"IP6") {
        // Other networks may say more behind the address.
        return Ok(connection);
    }
    let written = connection.address.of(octets);
    let len = find(written, b'/').unwrap_or(written.len());
    let (host, multicast) = written.split_at_checked(len).unwrap_or_default();
    let is_host = match ip(host) {
        Some(_) => (version == b"IP6") == host.contains(&b':'),
        None => Class::HOST.has_all(host),
    };
    let numbers = |text: &[u8]| {
        text.split(|&octet| octet == b'/')
            .skip(1)
            .all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    };
    if host.is_empty() || !is_host || !numbers(multicast) || !cursor.is_at_end() {
        return Err(malformed);
    }
    let at = usize::from(connection.address.at);
    connection.address = Span::between(at, at.saturating_add(len));
    Ok(connection)
}

/// `t=`: two numbers, which may have any number of digits (RFC 8866 section 5.9).
fn time(octets: &[u8], value: Span) -> Result<(), Malformed> {
    let mut cursor = over(octets, value);
    let read = cursor.number().is_some() && cursor.eat(b' ') && cursor.number().is_some();
    if read && cursor.is_at_end() {
        return Ok(());
    }
    Err(Malformed { expected: "a start and a stop time", at: value.at.into() })
}

impl<'a> Session<'a> {
    /// The media descriptions in their order.
    pub const fn media(&self) -> MediaDescriptions<'a> {
        MediaDescriptions::new(*self)
    }
}

#[cfg(test)]
mod judgement;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
