//! Digest authentication, as the one who is asked for it (RFC 3261 section 22, RFC 2617, RFC 7616,
//! RFC 8760).
//!
//! A 401 or 407 carries challenges, one in each header field (RFC 3261 section 7.3.1).
//! [`challenge`] chooses the one to answer, [`authorization`] writes the header field that answers it.
//! Passed over are: schemes other than Digest, algorithms other than SHA-256 and MD5, those with
//! `-sess` too, `qop` without `auth`, and whatever two readers might take for different things:
//! parameters said twice, control characters (folding is made of them) in what must be repeated.
//!
//! Parameter values are taken quoted or not, whichever the grammar asks for, as peers do either;
//! they are written as the grammar asks.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Class, Cursor, Response, header};
use crate::wire::cursor::{find, visited};
use crate::wire::writer::Writer;

/// How the secret is hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// `MD5`, also where a challenge names none.
    Md5,
    /// `SHA-256`
    Sha256,
}

impl Algorithm {
    /// As it is written in header fields.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// A challenge that can be answered. `realm`, `nonce` and `opaque` are what stood between the
/// quotes, backslashes included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Challenge<'a> {
    /// For whom the user name and the password are meant.
    pub realm: &'a [u8],
    /// What makes the answer one for this time only.
    pub nonce: &'a [u8],
    /// What is repeated in the answer, if anything.
    pub opaque: Option<&'a [u8]>,
    /// How the secret is hashed.
    pub algorithm: Algorithm,
    /// Whether `qop` was there and offered `auth`; without it the answer is that of RFC 2069.
    pub qop_auth: bool,
    /// Whether only the nonce of an earlier answer was too old: the password was right.
    pub stale: bool,
    /// Whether a proxy asks (407).
    pub is_proxy: bool,
}

/// A user name and a password, in UTF-8 and without quotes or escapes.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The user name.
    pub username: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

impl core::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials(secret)")
    }
}

/// The challenge to answer among the WWW-Authenticate header fields of a 401 or the
/// Proxy-Authenticate header fields of a 407: the topmost with SHA-256, else the topmost with MD5.
/// RFC 8760 section 2.4 would have the topmost of both, and allows a policy of one's own: who can
/// answer with the stronger one has no reason to show the hash of the weaker.
pub fn challenge<'a>(response: &Response<'a>) -> Option<Challenge<'a>> {
    let (name, is_proxy) = match response.status {
        401 => (&b"WWW-Authenticate"[..], false),
        407 => (&b"Proxy-Authenticate"[..], true),
        _ => return None,
    };
    let mut first_md5 = None;
    for mut value in header::named(response.octets, name) {
        match Parameters::of(&mut value).and_then(|said| said.challenge(is_proxy)) {
            Some(found) if found.algorithm == Algorithm::Sha256 => return Some(found),
            found => first_md5 = first_md5.or(found),
        }
    }
    first_md5
}

/// The parameters of a challenge that mean something, without quotes.
#[derive(Clone, Copy, Debug, Default)]
struct Parameters<'a> {
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    opaque: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    stale: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// `"Digest" LWS digest-cln *(COMMA digest-cln)`; empty elements of the list are passed over, as
    /// RFC 9110 section 5.6.1.2 has it.
    fn of(cursor: &mut Cursor<'a>) -> Option<Self> {
        if !cursor.take(Class::TOKEN).eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let mut said = Self::default();
        let mut separated = cursor.skip(Class::LWS) > 0;
        while !cursor.is_at_end() {
            if cursor.eat(b',') {
                separated = true;
            } else if separated {
                let (name, value) = parameter(cursor)?;
                said.take(name, value)?;
                separated = false;
            } else {
                return None;
            }
            cursor.skip_lws();
        }
        Some(said)
    }

    /// None if it was said before.
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Option<()> {
        let known: [(&[u8], _); 6] = [
            (b"realm", &mut self.realm),
            (b"nonce", &mut self.nonce),
            (b"opaque", &mut self.opaque),
            (b"algorithm", &mut self.algorithm),
            (b"qop", &mut self.qop),
            (b"stale", &mut self.stale),
        ];
        match known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
            Some((_, place)) => place.replace(value).is_none().then_some(()),
            None => Some(()),
        }
    }

    fn challenge(self, is_proxy: bool) -> Option<Challenge<'a>> {
        let (realm, nonce) = (self.realm?, self.nonce?);
        if ![realm, nonce, self.opaque.unwrap_or_default()].into_iter().all(is_text) {
            return None;
        }
        let is = |value: Option<&[u8]>, text: &[u8]| {
            value.is_some_and(|value| value.eq_ignore_ascii_case(text))
        };
        let algorithm = match self.algorithm {
            None => Algorithm::Md5,
            said if is(said, b"MD5") => Algorithm::Md5,
            said if is(said, b"SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let offers_auth = |qop: &[u8]| {
            visited(qop.len());
            let mut options = qop.split(|octet| *octet == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"auth"))
        };
        if !self.qop.is_none_or(offers_auth) {
            return None;
        }
        Some(Challenge {
            realm,
            nonce,
            opaque: self.opaque,
            algorithm,
            qop_auth: self.qop.is_some(),
            stale: is(self.stale, b"true"),
            is_proxy,
        })
    }
}

/// `name EQUAL ( token / quoted-string )`, the value without its quotes.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let name = cursor.take_few(Class::TOKEN);
    cursor.skip_lws();
    if name.is_empty() || !cursor.eat(b'=') {
        return None;
    }
    cursor.skip_lws();
    let value = cursor.take(Class::VALUE);
    if !value.is_empty() {
        return Some((name, value));
    }
    let before = *cursor;
    match (cursor.eat_quoted(), cursor.since(&before)) {
        (true, [_, value @ .., _]) => Some((name, value)),
        _ => None,
    }
}

/// Whether it can stand between quotes without breaking a line or a reader.
fn is_text(octets: &[u8]) -> bool {
    visited(octets.len());
    !octets.iter().any(u8::is_ascii_control)
}

/// Writes the header field that answers a challenge, from its name to its CRLF: the first use of
/// this nonce (`nc=00000001`), with a `cnonce` that nobody can guess beforehand, in 16 hexadecimal
/// digits. `method` and `uri` are those of the request that it will stand in.
///
/// None if it does not fit, or if a user name with control characters, a method that is no token or
/// a URI with octets that no URI has would break the header field.
pub fn authorization(
    challenge: &Challenge<'_>,
    credentials: Credentials<'_>,
    method: &[u8],
    uri: &[u8],
    cnonce: u64,
    to: &mut [u8],
) -> Option<usize> {
    let mut digits = [0; 16];
    hexadecimal(&cnonce.to_be_bytes(), &mut digits);
    answer(challenge, credentials, method, uri, &digits, to)
}

fn answer(
    challenge: &Challenge<'_>,
    credentials: Credentials<'_>,
    method: &[u8],
    uri: &[u8],
    cnonce: &[u8],
    to: &mut [u8],
) -> Option<usize> {
    if !is_text(credentials.username) || !Class::TOKEN.has_all(method) || !Class::URI.has_all(uri) {
        return None;
    }
    let response = match challenge.algorithm {
        Algorithm::Md5 => response::<Md5>(challenge, credentials, method, uri, cnonce),
        Algorithm::Sha256 => response::<Sha256>(challenge, credentials, method, uri, cnonce),
    };
    let mut writer = Writer::new(to);
    writer.put(if challenge.is_proxy { b"Proxy-Authorization: " } else { b"Authorization: " })?;
    writer.put(b"Digest username=\"")?;
    for &octet in credentials.username {
        if matches!(octet, b'"' | b'\\') {
            writer.put_octet(b'\\')?;
        }
        writer.put_octet(octet)?;
    }
    for (name, value) in [
        (&b"\", realm=\""[..], challenge.realm),
        (b"\", nonce=\"", challenge.nonce),
        (b"\", uri=\"", uri),
        (b"\", response=\"", response.digits()),
        (b"\", algorithm=", challenge.algorithm.name().as_bytes()),
    ] {
        writer.put(name)?;
        writer.put(value)?;
    }
    if challenge.qop_auth {
        writer.put(b", qop=auth, nc=00000001, cnonce=\"")?;
        writer.put(cnonce)?;
        writer.put(b"\"")?;
    }
    if let Some(opaque) = challenge.opaque {
        writer.put(b", opaque=\"")?;
        writer.put(opaque)?;
        writer.put(b"\"")?;
    }
    writer.put(b"\r\n")?;
    Some(writer.at())
}

/// `response` of RFC 7616 section 3.4.1 with `qop` = `auth`, or that of RFC 2069 without `qop`. The
/// value of a quoted string is what it says, not how it is written (RFC 9110 section 5.6.4).
fn response<D: Digest>(
    challenge: &Challenge<'_>,
    credentials: Credentials<'_>,
    method: &[u8],
    uri: &[u8],
    cnonce: &[u8],
) -> Hash {
    let secret = Hash::of::<D>(|hash| {
        hash.update(credentials.username);
        hash.update(b":");
        unescaped(challenge.realm, |piece| hash.update(piece));
        hash.update(b":");
        hash.update(credentials.password);
    });
    let request = Hash::of::<D>(|hash| {
        hash.update(method);
        hash.update(b":");
        hash.update(uri);
    });
    Hash::of::<D>(|hash| {
        hash.update(secret.digits());
        hash.update(b":");
        unescaped(challenge.nonce, |piece| hash.update(piece));
        if challenge.qop_auth {
            hash.update(b":00000001:");
            hash.update(cnonce);
            hash.update(b":auth");
        }
        hash.update(b":");
        hash.update(request.digits());
    })
}

/// Passes on what stands in a quoted string, piece by piece, without the backslashes that escape.
fn unescaped(quoted: &[u8], mut take: impl FnMut(&[u8])) {
    let mut rest = quoted;
    while let Some((piece, [_, octet, behind @ ..])) =
        find(rest, b'\\').and_then(|at| rest.split_at_checked(at))
    {
        take(piece);
        take(&[*octet]);
        rest = behind;
    }
    take(rest);
}

/// A hash in hexadecimal digits.
struct Hash {
    digits: [u8; 64],
    len: usize,
}

impl Hash {
    fn of<D: Digest>(feed: impl FnOnce(&mut D)) -> Self {
        let mut hash = D::new();
        feed(&mut hash);
        let octets = hash.finalize();
        let mut digits = [0; 64];
        hexadecimal(&octets, &mut digits);
        Self { digits, len: octets.len().saturating_mul(2) }
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

/// Two small digits for each octet that there is room for.
fn hexadecimal(octets: &[u8], digits: &mut [u8]) {
    let digit = |value: u8| if value < 10 { b'0' | value } else { (b'a' - 10).wrapping_add(value) };
    for (pair, octet) in digits.as_chunks_mut::<2>().0.iter_mut().zip(octets) {
        *pair = [digit(octet >> 4), digit(octet & 0x0F)];
    }
}

#[cfg(test)]
mod tests;
