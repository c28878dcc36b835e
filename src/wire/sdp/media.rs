//! A media description: its `m=`, and what is below it up to the next one (RFC 8866 section 5.14).

use super::attribute::{Common, Direction, Fingerprint, Msrp, Setup, fingerprint, split};
use super::line::{self, line};
use super::list::Types;
use super::{Connection, Session, connection, field, field_and_space, list, number, over};
use crate::wire::{Malformed, Span};

/// A media description, as positions in the octets of its session. What the session says for all
/// media is in it where it says nothing else itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Media<'a> {
    /// The octets of the session.
    pub octets: &'a [u8],
    /// From its `m` to the end of its last line.
    pub section: Span,
    /// The type of media: `message` for MSRP.
    pub media: Span,
    /// The port; 0 for a stream that is not wanted (RFC 3264 section 5.1).
    pub port: u16,
    /// How many ports.
    pub port_count: u16,
    /// The protocol: `TCP/MSRP` or `TCP/TLS/MSRP`.
    pub protocol: Span,
    /// The formats with spaces between them: `*` for MSRP.
    pub formats: Span,
    /// Where it goes.
    pub connection: Option<Connection>,
    /// The URIs on the way to who made this, with spaces between them; the last one is that of the
    /// session (RFC 4975 section 8.2).
    pub path: Span,
    /// How many URIs these are.
    pub path_count: u8,
    /// The media types that are taken as a whole message.
    pub accept_types: Span,
    /// Those that are taken in a container only.
    pub accept_wrapped_types: Span,
    /// Octets of the largest message that is wanted (RFC 4975 section 8.6).
    pub max_size: Option<u64>,
    /// Who connects.
    pub setup: Option<Setup>,
    /// Whether connections may be led through a middlebox by the address in `c=` and `m=` (RFC 6714).
    pub cema: bool,
    /// Which way messages go.
    pub direction: Option<Direction>,
    /// The first attribute that is not what its standard says it must be.
    pub wrong: Option<Malformed>,
    fingerprints: Span,
}

/// Reads the media description that begins at `at`; none if there is none.
pub(super) fn read<'a>(session: &Session<'a>, at: usize) -> Result<Option<Media<'a>>, Malformed> {
    let octets = session.octets;
    let Some(first) = line(octets, at)? else { return Ok(None) };
    let mut media = media(octets, first.value)?;
    let (mut common, mut msrp) = (Common::default(), Msrp::default());
    let (mut last, mut next) = (b'm', first.next);
    while let Some(line) = line(octets, next)?.filter(|line| line.letter != b'm') {
        let malformed = |expected| Malformed { expected, at: line.at };
        line::may_follow_media(last, line.letter).map_err(malformed)?;
        last = line.letter;
        match line.letter {
            b'c' => {
                let read = connection(octets, line.value)?;
                // Several are the layers of a multicast, which MSRP has not.
                media.connection = media.connection.or(Some(read));
            }
            b'a' if !common.read(octets, &line) => {
                let read = msrp.read(octets, &line);
                common.wrong(read.is_err(), read.err().unwrap_or_default(), line.at);
            }
            _ => {}
        }
        next = line.next;
    }
    let above = &session.common;
    let wrong = common.wrong.or(above.wrong);
    Ok(Some(Media {
        section: Span::between(at, next),
        connection: media.connection.or(session.connection),
        path: msrp.path,
        path_count: msrp.path_count,
        accept_types: msrp.accept_types,
        accept_wrapped_types: msrp.accept_wrapped_types,
        max_size: msrp.max_size,
        setup: common.setup.or(above.setup),
        cema: msrp.cema,
        direction: common.direction.or(above.direction),
        wrong: wrong.map(|(expected, at)| Malformed { expected, at }),
        fingerprints: match common.fingerprints {
            own if own.is_empty() => above.fingerprints,
            own => own,
        },
        ..media
    }))
}

/// `media SP port ["/" integer] SP proto 1*(SP fmt)`
fn media(octets: &[u8], value: Span) -> Result<Media<'_>, Malformed> {
    let malformed = Malformed {
        expected: "a type of media, a port, a protocol and formats",
        at: value.at.into(),
    };
    let mut cursor = over(octets, value);
    let name = field_and_space(&mut cursor).ok_or(malformed)?;
    let ports = field_and_space(&mut cursor).ok_or(malformed)?;
    let protocol = field_and_space(&mut cursor).ok_or(malformed)?;
    let formats = Span::between(cursor.at(), value.end().into());
    loop {
        let format = field(&mut cursor).ok_or(malformed)?;
        if !list::is_token(format.of(octets)) {
            return Err(malformed);
        }
        if !cursor.eat(b' ') {
            break;
        }
    }
    let mut names = protocol.of(octets).split(|&octet| octet == b'/');
    if !list::is_token(name.of(octets)) || !names.all(list::is_token) {
        return Err(malformed);
    }
    let (port, port_count) = self::ports(octets, ports)
        .ok_or_else(|| Malformed { expected: "a port", at: ports.at.into() })?;
    Ok(Media {
        octets,
        section: Span::default(),
        media: name,
        port,
        port_count,
        protocol,
        formats,
        connection: None,
        path: Span::default(),
        path_count: 0,
        accept_types: Span::default(),
        accept_wrapped_types: Span::default(),
        max_size: None,
        setup: None,
        cema: false,
        direction: None,
        wrong: None,
        fingerprints: Span::default(),
    })
}

/// `port ["/" integer]`
fn ports(octets: &[u8], field: Span) -> Option<(u16, u16)> {
    let len = field.of(octets).iter().position(|&octet| octet == b'/');
    let at = usize::from(field.at);
    let end = at.saturating_add(len.unwrap_or_else(|| usize::from(field.len)));
    let port = number(octets, Span::between(at, end))?;
    let count = match len {
        Some(_) => {
            let count = Span::between(end.saturating_add(1), field.end().into());
            number(octets, count).filter(|&count| count > 0)?
        }
        None => 1,
    };
    Some((u16::try_from(port).ok()?, u16::try_from(count).ok()?))
}

impl<'a> Media<'a> {
    /// The URIs of its path in order, as they are written.
    pub fn uris(&self) -> impl Iterator<Item = Span> + use<'a> {
        let end = usize::from(self.path.end());
        let mut entries = list::Entries::new(self.path.of(self.octets));
        core::iter::from_fn(move || {
            let uri = entries.next()?;
            let behind = end.saturating_sub(entries.left());
            Some(Span::between(behind.saturating_sub(uri.len()), behind))
        })
    }

    /// The media types that it takes.
    pub fn types(&self) -> Types<'a> {
        Types {
            root: self.accept_types.of(self.octets),
            wrapped: self.accept_wrapped_types.of(self.octets),
        }
    }

    /// Its attributes that nothing here reads, each from its letter on and without the end of its line: what
    /// they mean is between both ends.
    pub fn others(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let octets = self.octets;
        let lines = octets.get(..usize::from(self.section.end())).unwrap_or_default();
        let mut at = usize::from(self.section.at);
        core::iter::from_fn(move || {
            loop {
                let line = line(lines, at).ok()??;
                at = line.next;
                if line.letter == b'a' && !super::attribute::is_known(octets, &line) {
                    return octets.get(line.at..usize::from(line.value.end()));
                }
            }
        })
    }

    /// Whether it has fingerprints, whatever their hash functions.
    pub const fn has_fingerprints(&self) -> bool {
        !self.fingerprints.is_empty()
    }

    /// The fingerprints of certificates, in order, those aside whose hash function is not known. If
    /// it has none, those of its session (RFC 8122 section 5).
    pub const fn fingerprints(&self) -> Fingerprints<'a> {
        Fingerprints { octets: self.octets, at: self.fingerprints.at, end: self.fingerprints.end() }
    }
}

/// Fingerprints one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprints<'a> {
    octets: &'a [u8],
    at: u16,
    end: u16,
}

impl Iterator for Fingerprints<'_> {
    type Item = Fingerprint;

    fn next(&mut self) -> Option<Fingerprint> {
        let octets = self.octets.get(..usize::from(self.end))?;
        loop {
            let line = line(octets, usize::from(self.at)).ok()??;
            self.at = u16::try_from(line.next).ok()?;
            if let (b"fingerprint", Some(value)) = split(octets, line.value)
                && let Some(Some(fingerprint)) = fingerprint(value.of(octets))
            {
                return Some(fingerprint);
            }
        }
    }
}

/// Media descriptions one after the other.
#[derive(Clone, Copy, Debug)]
pub struct MediaDescriptions<'a> {
    session: Session<'a>,
    at: u16,
}

impl<'a> MediaDescriptions<'a> {
    pub(super) const fn new(session: Session<'a>) -> Self {
        Self { session, at: session.media_at }
    }
}

impl<'a> Iterator for MediaDescriptions<'a> {
    type Item = Media<'a>;

    fn next(&mut self) -> Option<Media<'a>> {
        let media = read(&self.session, usize::from(self.at)).ok()??;
        self.at = media.section.end();
        Some(media)
    }
}
