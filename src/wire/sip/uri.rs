//! SIP, SIPS and tel URIs, and the hosts in them (RFC 3261 section 19.1, RFC 3966, RFC 5118).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{Class, Cursor, Malformed};
use crate::wire::cursor::find;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `sip`
    Sip,
    /// `sips`
    Sips,
    /// `tel` (RFC 3966)
    Tel,
    /// Any other, of which nothing but the scheme is read.
    Other,
}

/// A URI in its parts, as they are written: nothing is unescaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// The user, without a password; of a tel URI the number; of another scheme all behind it.
    pub user: &'a [u8],
    /// The host: a name, an IPv4 address or an IPv6 reference with its brackets. Empty for
    /// schemes other than `sip` and `sips`.
    pub host: &'a [u8],
    /// The port, if one is written.
    pub port: Option<u16>,
    /// The parameters from the first semicolon on.
    pub params: &'a [u8],
    /// The headers from the question mark on.
    pub headers: &'a [u8],
}

impl<'a> Uri<'a> {
    /// The value of a parameter, empty if it has none; `None` if the parameter is not there.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.split(|&octet| octet == b';').skip(1).find_map(|param| {
            let (found, value) = match find(param, b'=') {
                Some(at) => (param.get(..at)?, param.get(at.saturating_add(1)..)?),
                None => (param, param.get(param.len()..)?),
            };
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Reads a URI that stands by itself, such as a Request-URI.
///
/// # Errors
///
/// What breaks the grammar of its scheme. A scheme that is not known has none.
pub fn parse(octets: &[u8]) -> Result<Uri<'_>, Malformed> {
    let mut cursor = Cursor::new(octets, 0, octets.len());
    let scheme = eat_scheme(&mut cursor)
        .ok_or_else(|| Malformed { expected: "the scheme of a URI", at: cursor.at() })?;
    let rest = cursor.rest();
    let rest_at = cursor.at();
    cursor.skip(Class::URI);
    if !cursor.is_at_end() || rest.is_empty() {
        return Err(Malformed { expected: "an octet of a URI", at: cursor.at() });
    }
    if !escapes_are_whole(rest) {
        return Err(Malformed { expected: "two hexadecimal digits behind %", at: rest_at });
    }
    match scheme {
        Scheme::Sip | Scheme::Sips => sip(scheme, octets, rest_at),
        Scheme::Tel => tel(rest, rest_at),
        Scheme::Other => Ok(Uri { user: rest, ..empty(scheme) }),
    }
}

/// Passes `scheme ":"`.
pub(super) fn eat_scheme(cursor: &mut Cursor<'_>) -> Option<Scheme> {
    if cursor.eat_all(b"sip:") {
        return Some(Scheme::Sip);
    }
    let name = cursor.take(Class::TOKEN);
    if !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    if !name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(octet)) {
        return None;
    }
    let scheme = if name.eq_ignore_ascii_case(b"sip") {
        Scheme::Sip
    } else if name.eq_ignore_ascii_case(b"sips") {
        Scheme::Sips
    } else if name.eq_ignore_ascii_case(b"tel") {
        Scheme::Tel
    } else {
        Scheme::Other
    };
    cursor.eat(b':').then_some(scheme)
}

const fn empty<'a>(scheme: Scheme) -> Uri<'a> {
    Uri { scheme, user: &[], host: &[], port: None, params: &[], headers: &[] }
}

/// `[ userinfo "@" ] host [ ":" port ] *( ";" parameter ) [ "?" headers ]`
///
/// `@` stands nowhere else unescaped, so the first one ends the user, whatever the user contains:
/// `;`, `?` and `/` are ordinary there (RFC 4475 section 3.1.1.2).
fn sip(scheme: Scheme, octets: &[u8], at: usize) -> Result<Uri<'_>, Malformed> {
    let mut uri = empty(scheme);
    let rest = octets.get(at..).unwrap_or_default();
    let mut host_at = at;
    if let Some(len) = find(rest, b'@') {
        let userinfo = rest.get(..len).unwrap_or_default();
        let user_len = find(userinfo, b':').unwrap_or(len);
        uri.user = userinfo.get(..user_len).unwrap_or_default();
        host_at = at.saturating_add(len).saturating_add(1);
        if uri.user.is_empty() || find(octets.get(host_at..).unwrap_or_default(), b'@').is_some() {
            return Err(Malformed { expected: "a user, and one @ behind it", at });
        }
    }
    let before = Cursor::new(octets, host_at, octets.len());
    let mut cursor = before;
    eat_host(&mut cursor).ok_or(Malformed { expected: "a host", at: host_at })?;
    uri.host = cursor.since(&before);
    if cursor.eat(b':') {
        let port = cursor.number().and_then(|port| u16::try_from(port).ok());
        let malformed = Malformed { expected: "a port", at: cursor.at() };
        uri.port = Some(port.filter(|port| *port > 0).ok_or(malformed)?);
    }
    let tail = cursor.rest();
    if tail.is_empty() {
        return Ok(uri);
    }
    let params_len = find(tail, b'?').unwrap_or(tail.len());
    uri.params = tail.get(..params_len).unwrap_or_default();
    uri.headers = tail.get(params_len..).unwrap_or_default();
    let mut params = uri.params.split(|&octet| octet == b';');
    let starts = params.next().is_none_or(<[u8]>::is_empty);
    if !starts || params.any(|param| param.is_empty() || param.starts_with(b"=")) {
        return Err(Malformed { expected: "parameters of a URI", at: cursor.at() });
    }
    if uri.headers.len() == 1 {
        return Err(Malformed { expected: "headers of a URI", at: octets.len() });
    }
    Ok(uri)
}

/// `telephone-subscriber` (RFC 3966 section 3), its number not looked into further.
fn tel(rest: &[u8], at: usize) -> Result<Uri<'_>, Malformed> {
    let number_len = find(rest, b';').unwrap_or(rest.len());
    let number = rest.get(..number_len).unwrap_or_default();
    let digits = number.strip_prefix(b"+").unwrap_or(number);
    let phone_digit = |octet: &u8| octet.is_ascii_hexdigit() || b"*#-.()".contains(octet);
    if digits.is_empty() || !digits.iter().all(phone_digit) {
        return Err(Malformed { expected: "a telephone number", at });
    }
    let params = rest.get(number_len..).unwrap_or_default();
    Ok(Uri { user: number, params, ..empty(Scheme::Tel) })
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

/// Passes a host name, an IPv4 address or an IPv6 reference with its brackets.
pub(super) fn eat_host(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.peek() != Some(b'[') {
        return (cursor.skip(Class::HOST) > 0).then_some(());
    }
    let rest = cursor.rest();
    let window = rest.get(..rest.len().min(IPV6_REFERENCE_LEN_MAX)).unwrap_or_default();
    let len = find(window, b']')?.saturating_add(1);
    host_address(rest.get(..len)?)?;
    cursor.pass(len);
    Some(())
}

/// `[0000:0000:0000:0000:0000:0000:255.255.255.255]` has 48 octets; one more for the third colon
/// of RFC 5118 section 4.10.
const IPV6_REFERENCE_LEN_MAX: usize = 49;

/// The address that a host is, IPv4 in its IPv4-mapped form; none if it is a name.
pub fn host_address(host: &[u8]) -> Option<[u8; 16]> {
    match host {
        [b'[', address @ .., b']'] => Some(ipv6(address)?.octets()),
        [b'0'..=b'9', ..] => Some(ipv4(host)?.to_ipv6_mapped().octets()),
        _ => None,
    }
}

fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let address = core::str::from_utf8(text).ok()?;
    // RFC 5118 section 4.10: the grammar of RFC 3261 has a colon too many before an IPv4 address.
    match address.split_once(":::") {
        None => address.parse().ok(),
        Some((_, behind)) if !behind.contains('.') => None,
        Some((before, behind)) => {
            let mut corrected = [0; IPV6_REFERENCE_LEN_MAX];
            let len = before.len().checked_add(2)?.checked_add(behind.len())?;
            let room = corrected.get_mut(..len)?;
            let (head, tail) = room.split_at_mut_checked(before.len())?;
            let (colons, tail) = tail.split_at_mut_checked(2)?;
            head.copy_from_slice(before.as_bytes());
            colons.copy_from_slice(b"::");
            tail.copy_from_slice(behind.as_bytes());
            core::str::from_utf8(room).ok()?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::type_complexity, reason = "one row of a table")]
    fn parts(text: &str) -> Option<(Scheme, &str, &str, Option<u16>, &str, &str)> {
        let uri = parse(text.as_bytes()).ok()?;
        let text = |octets| core::str::from_utf8(octets).unwrap();
        Some((
            uri.scheme,
            text(uri.user),
            text(uri.host),
            uri.port,
            text(uri.params),
            text(uri.headers),
        ))
    }

    #[test]
    fn uris_come_apart() {
        for (text, expected) in [
            ("sip:a@b", (Scheme::Sip, "a", "b", None, "", "")),
            ("SIP:b:5070", (Scheme::Sip, "", "b", Some(5070), "", "")),
            ("sips:a:secret@b;lr", (Scheme::Sips, "a", "b", None, ";lr", "")),
            ("sip:[2001:db8::10]:5070", (Scheme::Sip, "", "[2001:db8::10]", Some(5070), "", "")),
            ("sip:[2001:db8::10:5070]", (Scheme::Sip, "", "[2001:db8::10:5070]", None, "", "")),
            (
                "sip:a@[2001:db8:::192.0.2.1]",
                (Scheme::Sip, "a", "[2001:db8:::192.0.2.1]", None, "", ""),
            ),
            ("sip:a@b;x=y;z?h=v&i=w", (Scheme::Sip, "a", "b", None, ";x=y;z", "?h=v&i=w")),
            (
                "sip:user;par=u%40example.net@example.com",
                (Scheme::Sip, "user;par=u%40example.net", "example.com", None, "", ""),
            ),
            (
                "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.\
                 (doesn't-it)@example.com",
                (
                    Scheme::Sip,
                    "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
                    "example.com",
                    None,
                    "",
                    "",
                ),
            ),
            (
                "tel:+1-201-555-0123;phone-context=example.com",
                (Scheme::Tel, "+1-201-555-0123", "", None, ";phone-context=example.com", ""),
            ),
            ("tel:*100#", (Scheme::Tel, "*100#", "", None, "", "")),
            (
                "nobodyKnowsThisScheme:totallyopaquecontent",
                (Scheme::Other, "totallyopaquecontent", "", None, "", ""),
            ),
            (
                "soap.beep://192.0.2.103:3002",
                (Scheme::Other, "//192.0.2.103:3002", "", None, "", ""),
            ),
        ] {
            assert_eq!(parts(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_uris_are_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            "sip:@b",
            "sip:a@",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "sip:[2001:db8::10",
            "sip:[2001:db8::g]",
            "sip:[2001:db8:::10]",
            "sip:[1::2::192.0.2.1]",
            "sip:a@b:",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:a@b:80x",
            "sip:a@b:-1",
            "sip:a@b/",
            "sip:a@b;",
            "sip:a@b;;lr",
            "sip:a@b;=x",
            "sip:a@b?",
            "sip:a%4@b",
            "sip:a%@b",
            "sip:a%zz@b",
            "sip:a\0@b",
            "sip:a b@c",
            "sip:a@b\u{e9}",
            "<sip:a@b>",
            "1sip:a@b",
            ":a@b",
            "tel:",
            "tel:+",
            "tel:abcxyz",
            "urn:",
        ] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }

    #[test]
    fn parameters_are_found_without_case() {
        let uri = parse(b"sip:a@b;Transport=udp;LR;maddr=c").unwrap();
        assert_eq!(uri.param(b"transport"), Some(&b"udp"[..]));
        assert_eq!(uri.param(b"lr"), Some(&b""[..]));
        assert_eq!(uri.param(b"ttl"), None);
        assert_eq!(parse(b"sip:a@b").unwrap().param(b""), None);
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        let mapped = |a, b, c, d| Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets();
        assert_eq!(host_address(b"192.0.2.1"), Some(mapped(192, 0, 2, 1)));
        assert_eq!(host_address(b"[::ffff:192.0.2.1]"), Some(mapped(192, 0, 2, 1)));
        let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
        assert_eq!(host_address(b"[2001:db8::1]"), Some(address.octets()));
        let address: Ipv6Addr = "2001:db8::192.0.2.1".parse().unwrap();
        assert_eq!(host_address(b"[2001:db8:::192.0.2.1]"), Some(address.octets()));
        let longest = b"[0000:0000:0000:0000:0000:0000:255.255.255.255]";
        assert!(host_address(longest).is_some());
        for name in
            ["", "example.com", "1.2.3", "1.2.3.256", "01.2.3.4", "2001:db8::1", "[", "[]", "[::1"]
        {
            assert_eq!(host_address(name.as_bytes()), None, "{name}");
        }
        let long = [b":::".as_slice(), &[b'.'; 100]].concat();
        assert_eq!(ipv6(&long), None);
    }
}
