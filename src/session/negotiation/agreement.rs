//! What was agreed upon.

use crate::wire::Span;
use crate::wire::sdp::{Direction, Fingerprint, Hash, Media, Setup};

use super::Refusal;

/// Which part we have in connecting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// We connect, and send a SEND at once, if only an empty one (RFC 4975 section 5.4).
    Active,
    /// We are connected to.
    Passive,
}

impl Role {
    /// As our answer says it.
    pub const fn setup(self) -> Setup {
        match self {
            Self::Active => Setup::Active,
            Self::Passive => Setup::Passive,
        }
    }
}

/// Where the other end is connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The name or address, without brackets.
    pub host: Span,
    /// The address, IPv4 in its IPv4-mapped form; none if it is a name.
    pub ip: Option<[u8; 16]>,
    /// The port.
    pub port: u16,
}

/// A session as both ends see it. Spans are in the description of the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// The media description.
    pub index: u8,
    /// Who connects.
    pub role: Role,
    /// Where to, if we do.
    pub target: Target,
    /// Whether the connection has TLS. Whoever connects is its client.
    pub tls: bool,
    /// By which fingerprints the certificate of the other end is known. Without any, that of a server
    /// is known by [`Agreement::name`] (RFC 4975 section 14.4).
    pub certificates: Option<Certificates>,
    /// The host in the first URI of the path, without brackets.
    pub name: Span,
    /// The path of the other end: where our requests go.
    pub path: Span,
    /// How many URIs are in it. More than one: relays are on the way.
    pub path_count: u8,
    /// The last of them: who the other end is.
    pub peer: Span,
    /// Whether our answer says `msrp-cema`, or both said it.
    pub cema: bool,
    /// Which of our forms of content is used.
    pub content: u8,
    /// Octets of the largest message that the other end wants.
    pub max_size: Option<u64>,
    /// Whether we may send messages.
    pub sends: bool,
    /// Whether the other end may.
    pub receives: bool,
}

impl Agreement {
    /// The direction as our answer says it (RFC 3264 section 6.1).
    pub const fn direction(&self) -> Direction {
        Direction::of(self.sends, self.receives)
    }
}

/// Fingerprints by one hash function, of which one must be that of the certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Certificates {
    first: Fingerprint,
    second: Option<Fingerprint>,
}

impl Certificates {
    /// The hash functions that are good enough, the best first. SHA-256 is what everybody must have
    /// (RFC 8122 section 5.1); SHA-1 is not good enough any more, and by MD5 and MD2 no certificate may
    /// be known.
    const HASHES: [Hash; 3] = [Hash::Sha512, Hash::Sha384, Hash::Sha256];

    /// Those of a media description, by the best hash function that it has; none if it has none. Two
    /// are kept: a certificate and the one that follows it. One that would be a third is not known.
    pub(super) fn of(media: &Media<'_>) -> Result<Option<Self>, Refusal> {
        if !media.has_fingerprints() {
            return Ok(None);
        }
        for hash in Self::HASHES {
            let mut some = media.fingerprints().filter(|one| one.hash == hash);
            if let Some(first) = some.next() {
                return Ok(Some(Self { first, second: some.find(|other| *other != first) }));
            }
        }
        Err(Refusal::Fingerprint)
    }

    /// The hash function.
    pub const fn hash(&self) -> Hash {
        self.first.hash
    }

    /// Whether a certificate is known whose DER form has this hash value.
    pub fn knows(&self, value: &[u8]) -> bool {
        self.first.value() == value || self.second.is_some_and(|one| one.value() == value)
    }
}
