//! Who somebody is on the other side: TP addresses as URIs, and URIs as identities.

use crate::wire::sip::uri::{self, Scheme};
use crate::wire::tpdu::Address;
use crate::wire::writer::Writer;

/// Octets of the longest name-addr that [`write_originator`] makes beside the domain.
const ORIGINATOR_SIZE_MAX: usize = 128;

/// Writes the originator of a short message as a name-addr: a number as the user of a SIP URI in our
/// domain (RFC 3261 section 19.1.6), a name as a display name before a URI of the domain itself.
/// `None` if it does not fit.
pub fn write_originator(address: &Address<'_>, domain: &[u8], to: &mut [u8]) -> Option<usize> {
    let mut text = [0; ORIGINATOR_SIZE_MAX];
    let len = address.write(&mut text)?;
    let text = text.get(..len)?;
    let mut writer = Writer::new(to);
    if address.is_alphanumeric() {
        writer.put(b"\"")?;
        for &octet in text {
            match octet {
                b'"' | b'\\' => writer.put(&[b'\\', octet])?,
                // A display name is one line.
                0..b' ' | 0x7F => writer.put(b" ")?,
                _ => writer.put(&[octet])?,
            }
        }
        writer.put(b"\" <sip:")?;
        writer.put(domain)?;
        writer.put(b">")?;
        return Some(writer.at());
    }
    writer.put(b"<sip:")?;
    if address.is_international() {
        writer.put(b"+")?;
    }
    put_user(text, &mut writer)?;
    if !address.is_international() {
        // A number that is not global says where it is valid (RFC 3966 section 5.1.5).
        writer.put(b";phone-context=")?;
        writer.put(domain)?;
    }
    writer.put(b"@")?;
    writer.put(domain)?;
    writer.put(b";user=phone>")?;
    Some(writer.at())
}

/// The digits of a number, with what may not stand in a user escaped; an address without digits is
/// somebody who is not named (RFC 3323 section 4.1.1.3).
fn put_user(text: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    if text.is_empty() {
        return writer.put(b"anonymous");
    }
    for &octet in text {
        match octet {
            b'#' => writer.put(b"%23")?,
            _ => writer.put(&[octet])?,
        }
    }
    Some(())
}

/// A telephone number as short messages name it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Number {
    /// Whether it begins with its country code.
    pub is_international: bool,
    digits: [u8; NUMBER_SIZE_MAX],
    len: u8,
}

/// The most digits of a number (TS 23.040 section 9.1.2.5).
const NUMBER_SIZE_MAX: usize = 20;

impl Number {
    /// Its digits, `*` and `#` among them, without a plus.
    pub fn digits(&self) -> &str {
        let digits = self.digits.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(digits).unwrap_or_default()
    }

    /// The number that a text is: digits behind a plus or none, with the visual separators of RFC 3966
    /// section 3 or without. `None` if it is no number, or too long for a short message.
    pub fn of(text: &[u8]) -> Option<Self> {
        let (is_international, mut rest) = match text {
            [b'+', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut number = Self { is_international, ..Self::default() };
        while let [first, behind @ ..] = rest {
            rest = behind;
            let digit = match first {
                b'0'..=b'9' => *first,
                b'*' | b'#' if !is_international => *first,
                b'%' if !is_international && behind.starts_with(b"23") => {
                    rest = behind.get(2..)?;
                    b'#'
                }
                b'-' | b'.' | b'(' | b')' => continue,
                _ => return None,
            };
            *number.digits.get_mut(usize::from(number.len))? = digit;
            number.len += 1;
        }
        (number.len > 0).then_some(number)
    }

    /// The number of whom a URI names: a tel URI, or the user of a SIP URI. Parameters say where a number is
    /// valid that is not global, which a short message cannot.
    pub fn of_uri(octets: &[u8]) -> Option<Self> {
        let uri = uri::parse(octets).ok()?;
        match uri.scheme {
            Scheme::Sip | Scheme::Sips | Scheme::Tel => Self::of(number(uri.user)),
            Scheme::Other => None,
        }
    }

    /// It as an address of either layer, international or unknown in the numbering plan of telephony.
    pub fn address<'a>(&self, room: &'a mut [u8; 10]) -> Option<Address<'a>> {
        Address::of_digits(u8::from(self.is_international), 1, self.digits(), room)
    }
}

/// What two URIs of one person share: a global number wherever it stands, else user and host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity<'a> {
    /// The number with its plus, else the user.
    pub user: &'a [u8],
    /// The host, which has no case; empty for a global number.
    pub host: &'a [u8],
}

/// The identity that a URI names; a URI that cannot be read names itself.
pub fn identity(octets: &[u8]) -> Identity<'_> {
    let Ok(uri) = uri::parse(octets) else { return Identity { user: octets, host: &[] } };
    match uri.scheme {
        Scheme::Sip | Scheme::Sips | Scheme::Tel if is_global_number(number(uri.user)) => {
            Identity { user: number(uri.user), host: &[] }
        }
        Scheme::Sip | Scheme::Sips => Identity { user: uri.user, host: uri.host },
        Scheme::Tel | Scheme::Other => Identity { user: octets, host: &[] },
    }
}

/// A URI as it may stand in a request line: without headers (RFC 3261 section 19.1.1).
pub fn without_headers(octets: &[u8]) -> &[u8] {
    let headers = uri::parse(octets).map_or(0, |uri| uri.headers.len());
    octets.get(..octets.len().saturating_sub(headers)).unwrap_or(octets)
}

/// The number of a telephone-subscriber, without its parameters.
fn number(user: &[u8]) -> &[u8] {
    user.split(|&octet| octet == b';').next().unwrap_or_default()
}

fn is_global_number(user: &[u8]) -> bool {
    let [b'+', digits @ ..] = user else { return false };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_identity_in_every_form() {
        let plus = identity(b"tel:+15551230002");
        for same in [
            &b"sip:+15551230002@example.net;user=phone"[..],
            b"sips:+15551230002@other.example:5061",
            b"tel:+15551230002;x=y",
            b"sip:+15551230002;npdi@example.net;user=phone",
        ] {
            assert_eq!(identity(same), plus, "{}", String::from_utf8_lossy(same));
        }
        assert_ne!(identity(b"sip:15551230002@example.net"), plus);
        assert_ne!(identity(b"sip:bob@a.example"), identity(b"sip:bob@b.example"));
        assert_eq!(identity(b"sip:bob@a.example;x=y"), identity(b"sips:bob@a.example:5061"));
        assert_ne!(identity(b"urn:service:sos"), identity(b"urn:service:test"));
        assert_ne!(identity(b"tel:911;phone-context=a"), identity(b"tel:911;phone-context=b"));
    }

    #[test]
    fn a_number_is_read_from_every_form_and_nothing_else_is_one() {
        let of = |uri: &[u8]| {
            Number::of_uri(uri).map(|it| (it.is_international, it.digits().to_owned()))
        };
        let plus = Some((true, "15551230002".to_owned()));
        for same in [
            &b"sip:+15551230002@example.net;user=phone"[..],
            b"sip:+1-555-123-0002;npdi@example.net",
            b"tel:+1(555)123.0002;x=y",
        ] {
            assert_eq!(of(same), plus, "{}", String::from_utf8_lossy(same));
        }
        assert_eq!(of(b"sip:0171;phone-context=x@y"), Some((false, "0171".to_owned())));
        assert_eq!(of(b"sip:*100%23@y"), Some((false, "*100#".to_owned())));
        for none in [
            &b"sip:bob@example.net"[..],
            b"sip:+@example.net",
            b"sip:example.net",
            b"sip:1a2@example.net",
            b"sip:+123456789012345678901@example.net",
            b"urn:service:sos",
        ] {
            assert_eq!(of(none), None, "{}", String::from_utf8_lossy(none));
        }
        let number = Number::of(b"+491710760000").unwrap();
        let mut room = [0; 10];
        let address = number.address(&mut room).unwrap();
        assert_eq!((address.ton, address.npi, address.digits), (1, 1, 12));
    }

    #[test]
    fn headers_do_not_stand_in_a_request_line() {
        assert_eq!(without_headers(b"sip:a@b;c=d?e=f&g"), b"sip:a@b;c=d");
        assert_eq!(without_headers(b"sip:a@b"), b"sip:a@b");
        assert_eq!(without_headers(b"no uri"), b"no uri");
    }
}
