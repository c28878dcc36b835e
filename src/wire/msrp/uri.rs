//! MSRP URIs: their parts, and when two of them are the same (RFC 4975 sections 6 and 9).

use super::class::Class;
use crate::wire::Malformed;
use crate::wire::cursor::{find, visited};
use crate::wire::sip::uri::host_address;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `msrp`
    Msrp,
    /// `msrps`: the connection is protected with TLS.
    Msrps,
}

/// An MSRP URI in its parts, as they are written: nothing is unescaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Uri<'a> {
    /// All of it.
    pub octets: &'a [u8],
    /// The scheme.
    pub scheme: Scheme,
    /// What stands in front of the `@`, if there is one; it means nothing for a comparison.
    pub userinfo: Option<&'a [u8]>,
    /// A name, an IPv4 address or an IPv6 reference with its brackets.
    pub host: &'a [u8],
    /// The port. There is no default; what is compared and connected to has one.
    pub port: Option<u16>,
    /// The session, without the slash in front of it. Without one a URI names a device and no
    /// session there.
    pub session_id: Option<&'a [u8]>,
    /// The transport: `tcp`, in any case.
    pub transport: &'a [u8],
    /// The parameters behind the transport, from their first semicolon on.
    pub parameters: &'a [u8],
}

impl Uri<'_> {
    /// Whether the transport is TCP.
    pub const fn is_tcp(&self) -> bool {
        self.transport.eq_ignore_ascii_case(b"tcp")
    }

    /// The address that the host is, IPv4 in its IPv4-mapped form; none if it is a name.
    pub fn address(&self) -> Option<[u8; 16]> {
        host_address(self.host)
    }

    /// Whether both name the same session at the same place (RFC 4975 section 6.1): schemes, names of
    /// hosts and transports without case and names without needless escapes, addresses as addresses,
    /// session-ids with case, and a port or a session-id only beside another one. What stands in
    /// front of `@` and behind the transport does not matter.
    pub fn matches(&self, other: &Uri<'_>) -> bool {
        self.octets == other.octets
            || (self.scheme == other.scheme
                && self.port == other.port
                && self.session_id == other.session_id
                && self.transport.eq_ignore_ascii_case(other.transport)
                && hosts_match(self.host, other.host))
    }
}

fn hosts_match(one: &[u8], other: &[u8]) -> bool {
    match (host_address(one), host_address(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => names_match(one, other),
        // An escaped digit is a digit: `%31` is 1.
        (Some(_), None) | (None, Some(_)) => names_match(one, other),
    }
}

/// Character by character, without case, what is escaped without need unescaped.
fn names_match(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (one, other);
    loop {
        match (character(&mut one), character(&mut other)) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// One character of a name in small letters, and whether it stays escaped.
fn character(rest: &mut &[u8]) -> Option<(u8, bool)> {
    visited(0);
    let (character, behind) = match *rest {
        [b'%', high, low, behind @ ..] => {
            let value = |digit: u8| char::from(digit).to_digit(16);
            let octet = (value(*high)? << 4) | value(*low)?;
            let octet = u8::try_from(octet).ok()?;
            let needless = octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
            ((octet.to_ascii_lowercase(), !needless), behind)
        }
        [octet, behind @ ..] => ((octet.to_ascii_lowercase(), false), behind),
        [] => return None,
    };
    *rest = behind;
    Some(character)
}

/// Reads `MSRP-URI` (RFC 4975 section 9).
///
/// # Errors
///
/// What breaks the grammar: another scheme, no host, an address without a port (section 6), a port
/// that is none, a session-id that is empty or has other characters, no transport, a parameter that
/// is no `token ["=" token]`.
pub fn parse(octets: &[u8]) -> Result<Uri<'_>, Malformed> {
    match usual(octets) {
        Some(uri) => Ok(uri),
        None => unusual(octets),
    }
}

/// A URI as nearly all are: a name or an IPv4 address that needs no escape, a port, a session, and the
/// transport at the end. It is read in one pass.
#[inline]
fn usual(octets: &[u8]) -> Option<Uri<'_>> {
    let (scheme, rest) = match octets {
        [b'm', b's', b'r', b'p', b':', b'/', b'/', rest @ ..] => (Scheme::Msrp, rest),
        [b'm', b's', b'r', b'p', b's', b':', b'/', b'/', rest @ ..] => (Scheme::Msrps, rest),
        _ => return None,
    };
    let (host, rest) = rest.split_at_checked(Class::UNRESERVED.run(rest))?;
    let [b':', rest @ ..] = rest else { return None };
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    let port = Some(port_of(digits)?);
    let [b'/', rest @ ..] = rest else { return None };
    let (session_id, rest) = rest.split_at_checked(Class::SESSION.run(rest))?;
    let [b';', transport @ ..] = rest else { return None };
    let whole = !host.is_empty() && !session_id.is_empty() && Class::ALPHANUM.is(transport);
    let session_id = Some(session_id);
    let (userinfo, parameters): (_, &[u8]) = (None, &[]);
    whole.then_some(Uri { octets, scheme, userinfo, host, port, session_id, transport, parameters })
}

/// A URI of any kind.
#[inline(never)]
pub(super) fn unusual(octets: &[u8]) -> Result<Uri<'_>, Malformed> {
    let malformed = |expected, rest: &[u8]| {
        Err(Malformed { expected, at: octets.len().saturating_sub(rest.len()) })
    };
    let Some((scheme, rest)) = scheme(octets) else {
        return malformed("msrp:// or msrps://", octets);
    };
    // `/` and `;` end the authority; neither userinfo nor the host may have a slash, and a semicolon
    // may stand in both (`sub-delims`), but then none could be told from that of the transport.
    let authority_len = rest.iter().position(|o| matches!(o, b'/' | b';')).unwrap_or(rest.len());
    visited(authority_len);
    let (authority, behind) = rest.split_at_checked(authority_len).unwrap_or_default();
    let (userinfo, host_port) = match find(authority, b'@') {
        Some(at) => {
            let (userinfo, host) = authority.split_at_checked(at).unwrap_or_default();
            (Some(userinfo), host.get(1..).unwrap_or_default())
        }
        None => (None, authority),
    };
    let well_formed = |text: &[u8]| Class::USERINFO.has_all(text) && escapes_are_whole(text);
    if !userinfo.is_none_or(well_formed) {
        return malformed("a user in front of @", rest);
    }
    let Some((host, port)) = host_port_of(host_port) else {
        return malformed("a host, and the port of an address", rest);
    };
    let (session_id, behind) = match behind {
        [b'/', rest @ ..] => {
            let len = Class::SESSION.run(rest);
            if len == 0 {
                return malformed("a session-id", rest);
            }
            let (session_id, behind) = rest.split_at_checked(len).unwrap_or_default();
            (Some(session_id), behind)
        }
        _ => (None, behind),
    };
    let [b';', rest @ ..] = behind else {
        return malformed("a semicolon and a transport", behind);
    };
    let (transport, parameters) =
        rest.split_at_checked(Class::ALPHANUM.run(rest)).unwrap_or_default();
    if transport.is_empty() {
        return malformed("a transport", rest);
    }
    if !are_parameters(parameters) {
        return malformed("parameters of a URI", parameters);
    }
    Ok(Uri { octets, scheme, userinfo, host, port, session_id, transport, parameters })
}

/// Passes `msrp-scheme "://"`.
fn scheme(octets: &[u8]) -> Option<(Scheme, &[u8])> {
    let colon = octets.iter().take(6).position(|octet| *octet == b':')?;
    let (name, rest) = octets.split_at_checked(colon)?;
    let scheme = if name.eq_ignore_ascii_case(b"msrp") {
        Scheme::Msrp
    } else if name.eq_ignore_ascii_case(b"msrps") {
        Scheme::Msrps
    } else {
        return None;
    };
    Some((scheme, rest.strip_prefix(b"://")?))
}

/// `host [ ":" port ]`; an address has a port.
fn host_port_of(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_len = match text {
        [b'[', ..] => find(text, b']')?.checked_add(1)?,
        _ => find(text, b':').unwrap_or(text.len()),
    };
    let (host, behind) = text.split_at_checked(host_len)?;
    let port = match behind {
        [] => None,
        [b':', digits @ ..] => Some(port_of(digits)?),
        _ => return None,
    };
    // An address of a SIP URI may have a colon too many (RFC 5118 section 4.10), this one not.
    let is_address = host_address(host).is_some() && !host.windows(3).any(|three| three == b":::");
    let is_name = Class::REG_NAME.is(host) && escapes_are_whole(host);
    (if is_address { port.is_some() } else { is_name }).then_some((host, port))
}

/// Port 0 is no port to connect to, but one that a peer writes who will not be connected to.
fn port_of(digits: &[u8]) -> Option<u16> {
    if !Class::DIGIT.is(digits) {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u16, |port, digit| port.checked_mul(10)?.checked_add(u16::from(digit & 0x0F)))
}

/// `*( ";" token ["=" token] )`
fn are_parameters(text: &[u8]) -> bool {
    let mut parameters = text.split(|octet| *octet == b';');
    let starts = parameters.next().is_none_or(<[u8]>::is_empty);
    starts
        && parameters.all(|parameter| {
            let equals = find(parameter, b'=').unwrap_or(parameter.len());
            let (name, value) = parameter.split_at_checked(equals).unwrap_or_default();
            Class::TOKEN.is(name) && value.get(1..).is_none_or(|value| Class::TOKEN.is(value))
        })
}

fn escapes_are_whole(octets: &[u8]) -> bool {
    let mut rest = octets;
    while let Some(at) = find(rest, b'%') {
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let [high, low, ..] = rest else { return false };
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return false;
        }
    }
    true
}

/// The URIs of a To-Path, From-Path or Use-Path, in their order: the leftmost is visited first. All of
/// them can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Path<'a> {
    octets: &'a [u8],
}

impl<'a> Path<'a> {
    /// Reads `MSRP-URI *( SP MSRP-URI )`, also as `a=path` has it (RFC 4975 section 8.2).
    ///
    /// # Errors
    ///
    /// A URI that cannot be read, or more than [`crate::limits::MSRP_PATH_URIS_MAX`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let mut at: usize = 0;
        for _ in 0..crate::limits::MSRP_PATH_URIS_MAX {
            let rest = octets.get(at..).unwrap_or_default();
            let len = find(rest, b' ').unwrap_or(rest.len());
            parse(rest.get(..len).unwrap_or_default()).map_err(|malformed| Malformed {
                expected: malformed.expected,
                at: at.saturating_add(malformed.at),
            })?;
            if len == rest.len() {
                return Ok(Self { octets });
            }
            at = at.saturating_add(len).saturating_add(1);
        }
        Err(Malformed { expected: "fewer URIs in a path", at })
    }

    /// The path in a head that was read: all of it can be read, or the head has a fault.
    pub(super) const fn read_before(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// As it is written.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// All URIs, as they are written.
    pub fn written(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        self.octets.split(|octet| *octet == b' ')
    }

    /// All URIs.
    pub fn uris(&self) -> impl DoubleEndedIterator<Item = Uri<'a>> + use<'a> {
        self.written().filter_map(|uri| parse(uri).ok())
    }

    /// How many URIs: at least one.
    pub fn count(&self) -> usize {
        self.written().count()
    }

    /// The first URI as a path of its own: the previous hop of a From-Path.
    pub fn first(&self) -> Self {
        Self { octets: self.written().next().unwrap_or_default() }
    }

    /// The first URI: the next hop of a To-Path, the previous one of a From-Path.
    pub fn first_uri(&self) -> Option<Uri<'a>> {
        self.uris().next()
    }

    /// The last URI: where it ends, or where it came from.
    pub fn last_uri(&self) -> Option<Uri<'a>> {
        self.uris().next_back()
    }
}
