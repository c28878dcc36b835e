//! What attributes say, as far as MSRP needs them (RFC 8866 section 5.13).

use super::super::Span;
use super::super::cursor::{Cursor, find, visited};
use super::line::Line;
use super::list;
use crate::wire::msrp::Path;

/// Who connects (RFC 4145 section 4, RFC 6135).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Setup {
    /// Whoever says it connects.
    Active,
    /// Whoever says it is connected to.
    Passive,
    /// The other end may choose.
    ActPass,
    /// Nobody yet. An MSRP endpoint reads it as if nothing were said (RFC 6135 section 4.2.1).
    HoldConn,
}

impl Setup {
    fn of(value: &[u8]) -> Option<Self> {
        [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn]
            .into_iter()
            .find(|setup| setup.name().as_bytes().eq_ignore_ascii_case(value))
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }
}

/// Which way messages go, as whoever says it sees them (RFC 8866 section 6.7, RFC 4975 section 8.9).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// From whoever says it.
    SendOnly,
    /// To whoever says it.
    RecvOnly,
    /// No way.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Whether whoever says it sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether whoever says it receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction of who does the one, the other, both or nothing.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// The hash function of a certificate's fingerprint (RFC 8122 section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
    /// `md5`, which must not be used
    Md5,
    /// `md2`, which must not be used
    Md2,
}

impl Hash {
    const ALL: [Self; 7] =
        [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512, Self::Md5, Self::Md2];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
            Self::Md5 => "md5",
            Self::Md2 => "md2",
        }
    }

    /// How many octets its values have.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
            Self::Md5 | Self::Md2 => 16,
        }
    }
}

/// The fingerprint of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    /// The hash function.
    pub hash: Hash,
    /// As many octets as it has; zeros behind them.
    octets: [u8; 64],
}

impl Fingerprint {
    /// A fingerprint that was calculated; none if it has not the size of its hash function.
    pub fn new(hash: Hash, value: &[u8]) -> Option<Self> {
        let mut octets = [0; 64];
        let room = octets.get_mut(..hash.size())?;
        if room.len() != value.len() {
            return None;
        }
        room.copy_from_slice(value);
        Some(Self { hash, octets })
    }

    /// The value of the hash function.
    pub fn value(&self) -> &[u8] {
        self.octets.get(..self.hash.size()).unwrap_or_default()
    }
}

/// The attributes that may stand above the media descriptions, and count there for each of them
/// that says nothing else (RFC 4145 section 4, RFC 8122 section 5, RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Common {
    /// Who connects.
    pub(super) setup: Option<Setup>,
    /// Which way messages go.
    pub(super) direction: Option<Direction>,
    /// Where there are lines with fingerprints; empty if there are none.
    pub(super) fingerprints: Span,
    /// What is wrong with one of these attributes, and where.
    pub(super) wrong: Option<(&'static str, usize)>,
}

/// The attributes of a media description of MSRP (RFC 4975 section 8, RFC 6714 section 5).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Msrp {
    pub(super) path: Span,
    pub(super) path_count: u8,
    pub(super) accept_types: Span,
    pub(super) accept_wrapped_types: Span,
    pub(super) max_size: Option<u64>,
    pub(super) cema: bool,
}

const VALUE: &str = "a value where there must be one, and nowhere else";

/// The name of an attribute, and its value if it has one.
pub(super) fn split(octets: &[u8], attribute: Span) -> (&[u8], Option<Span>) {
    let written = attribute.of(octets);
    let colon = find(written, b':');
    let name = written.get(..colon.unwrap_or(written.len())).unwrap_or_default();
    let value = colon.map(|colon| {
        let at = usize::from(attribute.at).saturating_add(colon).saturating_add(1);
        Span::between(at, usize::from(attribute.end()))
    });
    (name, value)
}

/// Whether an attribute says something about the way of messages or the messages themselves that is read
/// here.
pub(super) fn is_known(octets: &[u8], line: &Line) -> bool {
    const OTHERS: [&[u8]; 6] = [
        b"path",
        b"accept-types",
        b"accept-wrapped-types",
        b"max-size",
        b"msrp-cema",
        b"connection",
    ];
    let (name, _) = split(octets, line.value);
    OTHERS.contains(&name) || Common::default().read(octets, line)
}

impl Common {
    /// Reads an attribute, if it is one of these: whether it is.
    pub(super) fn read(&mut self, octets: &[u8], line: &Line) -> bool {
        let (name, value) = split(octets, line.value);
        let at = line.at;
        match (name, value) {
            (b"setup", Some(value)) => match Setup::of(value.of(octets)) {
                Some(setup) => {
                    let other = self.setup.is_some_and(|earlier| earlier != setup);
                    self.setup = Some(setup);
                    self.wrong(other, "one setup", at);
                }
                None => self.wrong(true, "active, passive, actpass or holdconn", at),
            },
            (b"fingerprint", Some(value)) => {
                let read = fingerprint(value.of(octets));
                self.wrong(read.is_none(), "a hash function and its value", at);
                let known = self.fingerprints;
                let first = if known.is_empty() { at } else { usize::from(known.at) };
                self.fingerprints = Span::between(first, usize::from(line.value.end()));
            }
            (b"setup" | b"fingerprint", None) => self.wrong(true, VALUE, at),
            (_, None) => {
                let direction = |known: &Direction| known.name().as_bytes() == name;
                let Some(direction) = Direction::ALL.into_iter().find(direction) else {
                    return false;
                };
                let other = self.direction.is_some_and(|earlier| earlier != direction);
                self.direction = Some(direction);
                self.wrong(other, "one direction", at);
            }
            _ => return false,
        }
        true
    }

    pub(super) const fn wrong(&mut self, is_wrong: bool, expected: &'static str, at: usize) {
        if is_wrong && self.wrong.is_none() {
            self.wrong = Some((expected, at));
        }
    }
}

impl Msrp {
    /// Reads an attribute, if it is one of these.
    ///
    /// # Errors
    ///
    /// What should have been there.
    pub(super) fn read(&mut self, octets: &[u8], line: &Line) -> Result<(), &'static str> {
        let (name, value) = split(octets, line.value);
        let text = value.unwrap_or_default().of(octets);
        match (name, value) {
            (b"path", Some(value)) => {
                let count = path(text).ok_or("a path of MSRP URIs")?;
                self.path_count = count;
                once(octets, &mut self.path, value, "one path")
            }
            (b"accept-types", Some(value)) => {
                types(text)?;
                once(octets, &mut self.accept_types, value, "one accept-types")
            }
            (b"accept-wrapped-types", Some(value)) => {
                types(text)?;
                once(octets, &mut self.accept_wrapped_types, value, "one accept-wrapped-types")
            }
            (b"max-size", Some(_)) => {
                let mut cursor = Cursor::new(text, 0, text.len());
                // More than 64 bits count is as good as no limit.
                let size = cursor.number().filter(|_| cursor.is_at_end());
                let size = size.ok_or("a number of octets")?;
                let other = self.max_size.is_some_and(|earlier| earlier != size);
                self.max_size = Some(size);
                if other { Err("one max-size") } else { Ok(()) }
            }
            (b"msrp-cema", None) => {
                self.cema = true;
                Ok(())
            }
            (
                b"path" | b"accept-types" | b"accept-wrapped-types" | b"max-size" | b"msrp-cema",
                _,
            ) => Err(VALUE),
            _ => Ok(()),
        }
    }
}

/// An attribute may be repeated if it says the same again: whoever reads the first or the last one
/// reads the same.
fn once(
    octets: &[u8],
    kept: &mut Span,
    value: Span,
    expected: &'static str,
) -> Result<(), &'static str> {
    let other = !kept.is_empty() && kept.of(octets) != value.of(octets);
    visited(usize::from(value.len));
    *kept = value;
    if other { Err(expected) } else { Ok(()) }
}

/// How many URIs there are in a path; none if one of them is no MSRP URI.
pub(super) fn path(value: &[u8]) -> Option<u8> {
    u8::try_from(Path::parse(value).ok()?.count()).ok()
}

pub(super) fn types(value: &[u8]) -> Result<(), &'static str> {
    let mut entries = list::Entries::new(value).peekable();
    let some = entries.peek().is_some();
    if some && entries.all(list::is_entry) { Ok(()) } else { Err("a list of media types") }
}

/// Reads `hash-func SP fingerprint` (RFC 8122 section 5): the hash function, if it is known, and the
/// value. None if it is neither.
pub(super) fn fingerprint(value: &[u8]) -> Option<Option<Fingerprint>> {
    let space = find(value, b' ')?;
    let (name, written) = value.split_at_checked(space)?;
    let written = written.trim_ascii_start();
    if name.is_empty() || !list::is_token(name) {
        return None;
    }
    visited(written.len());
    let is_known = |hash: &Hash| hash.name().as_bytes().eq_ignore_ascii_case(name);
    let hash = Hash::ALL.into_iter().find(is_known);
    let mut octets = [0; 64];
    let mut count: usize = 0;
    for pair in written.split(|&octet| octet == b':') {
        let [high, low] = pair else { return None };
        let digit = |octet: &u8| char::from(*octet).to_digit(16);
        let (high, low) = (digit(high)?, digit(low)?);
        if let Some(octet) = octets.get_mut(count) {
            *octet = u8::try_from(high << 4 | low).ok()?;
        }
        count = count.checked_add(1)?;
    }
    match hash {
        Some(hash) if hash.size() == count => Some(Some(Fingerprint { hash, octets })),
        Some(_) => None,
        None => Some(None),
    }
}
