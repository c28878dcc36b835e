//! Descriptions written in place: an offer, and the answer to one (RFC 3264 sections 5 and 6).
//!
//! What is written reads back as what it was made of: a value that its attribute does not allow, or
//! that would end its line, makes no description.

use super::attribute::{self, Direction, Fingerprint, Setup};
use super::line::line;
use super::{Session, ip, list};
use crate::wire::cursor::Class;
use crate::wire::writer::Writer;

/// Who makes the description, and which version it is.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// The session identifier, below 2^63 (RFC 3264 section 5).
    pub session_id: u64,
    /// The version: one more with each change, and below 2^62 - 1 at first.
    pub version: u64,
    /// The address or name, without brackets, that `o=` and `c=` say.
    pub host: &'a [u8],
}

/// A session identifier or a first version from random bits: of 19 digits, so that whatever is minted
/// takes the same room.
pub const fn minted(random: u64) -> u64 {
    const FIRST: u64 = 1_000_000_000_000_000_000;
    FIRST.wrapping_add(random.rem_euclid(3 * FIRST))
}

/// Our media description of MSRP.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// Whether the protocol is `TCP/TLS/MSRP`.
    pub tls: bool,
    /// The port of `m=`: that of our URI; 9 where nobody can connect to us (RFC 6135 section 4.2.2).
    pub port: u16,
    /// The URIs of our path, with a space between them.
    pub path: &'a [u8],
    /// The media types that we take.
    pub accept_types: &'a [u8],
    /// Those that we take in a container only; empty for none.
    pub accept_wrapped_types: &'a [u8],
    /// Octets of the largest message that we take.
    pub max_size: Option<u64>,
    /// Who connects: never nobody (RFC 6135 section 4.2.1).
    pub setup: Setup,
    /// Whether a middlebox may lead connections through itself (RFC 6714).
    pub cema: bool,
    /// The fingerprint of our certificate.
    pub fingerprint: Option<Fingerprint>,
    /// Which way messages go.
    pub direction: Direction,
    /// Further attributes, each a line with its CRLF.
    pub more: &'a [u8],
}

/// Writes an offer with one stream, which is active or leaves it to the other end who connects (RFC
/// 6135 section 4.2.2). Returns how many octets it has; none if there is no room, or a value is not
/// what it must be.
pub fn offer(maker: &Maker<'_>, stream: &Stream<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    put_offer(maker, stream, &mut writer)?;
    Some(writer.at())
}

/// How many octets it has; none if a value is not what it must be.
pub fn offer_size(maker: &Maker<'_>, stream: &Stream<'_>) -> Option<usize> {
    let mut count = Count(0);
    put_offer(maker, stream, &mut count)?;
    Some(count.0)
}

/// Writes the answer to an offer, which takes the stream that this index names, or none of them: all
/// others get port 0. It is active or passive. Returns how many octets it has; none as for an offer.
pub fn answer(
    offer: &Session<'_>,
    maker: &Maker<'_>,
    taken: Option<(u8, &Stream<'_>)>,
    to: &mut [u8],
) -> Option<usize> {
    let mut writer = Writer::new(to);
    put_answer(offer, maker, taken, &mut writer)?;
    Some(writer.at())
}

/// How many octets it has; none if a value is not what it must be.
pub fn answer_size(
    offer: &Session<'_>,
    maker: &Maker<'_>,
    taken: Option<(u8, &Stream<'_>)>,
) -> Option<usize> {
    let mut count = Count(0);
    put_answer(offer, maker, taken, &mut count)?;
    Some(count.0)
}

/// What octets are appended to, or counted by: so the size is that of what is written.
trait Sink {
    fn put(&mut self, octets: &[u8]) -> Option<()>;

    fn put_all(&mut self, pieces: &[&[u8]]) -> Option<()> {
        pieces.iter().try_for_each(|piece| self.put(piece))
    }

    fn put_number(&mut self, number: u64) -> Option<()> {
        let mut digits = [b'0'; 20];
        let mut left = number;
        let mut count: usize = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' | left.rem_euclid(10).to_le_bytes()[0];
            left = left.div_euclid(10);
            count = count.saturating_add(1);
            if left == 0 {
                break;
            }
        }
        self.put(digits.get(digits.len().checked_sub(count)?..)?)
    }
}

impl Sink for Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        Writer::put(self, octets)
    }
}

struct Count(usize);

impl Sink for Count {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.0 = self.0.checked_add(octets.len())?;
        Some(())
    }
}

fn put_offer(maker: &Maker<'_>, stream: &Stream<'_>, to: &mut impl Sink) -> Option<()> {
    if !matches!(stream.setup, Setup::Active | Setup::ActPass) {
        return None;
    }
    put_session(maker, to)?;
    to.put(b"t=0 0\r\n")?;
    put_stream(stream, to)
}

fn put_answer(
    offer: &Session<'_>,
    maker: &Maker<'_>,
    taken: Option<(u8, &Stream<'_>)>,
    to: &mut impl Sink,
) -> Option<()> {
    let index = taken.map(|(index, _)| index);
    if index.is_some_and(|index| index >= offer.media_count) {
        return None;
    }
    put_session(maker, to)?;
    let times = offer.octets.get(..usize::from(offer.times.end()))?;
    let mut at = usize::from(offer.times.at);
    while let Some(line) = line(times, at).ok()? {
        to.put_all(&[&[line.letter], b"=", line.value.of(times), b"\r\n"])?;
        at = line.next;
    }
    for (number, media) in (0_u8..).zip(offer.media()) {
        if let Some((_, stream)) = taken.filter(|(index, _)| *index == number) {
            if !matches!(stream.setup, Setup::Active | Setup::Passive) {
                return None;
            }
            put_stream(stream, to)?;
            continue;
        }
        // One format must be there, whatever it means (RFC 3264 section 6).
        let of = |span: super::Span| span.of(offer.octets);
        let format = list::Entries::new(of(media.formats)).next()?;
        to.put_all(&[b"m=", of(media.media), b" 0 ", of(media.protocol), b" ", format, b"\r\n"])?;
    }
    Some(())
}

/// All lines above the times. No user has a login here, and the session no name (RFC 3264 section 5).
fn put_session(maker: &Maker<'_>, to: &mut impl Sink) -> Option<()> {
    let network = network(maker.host)?;
    to.put(b"v=0\r\no=- ")?;
    to.put_number(maker.session_id)?;
    to.put(b" ")?;
    to.put_number(maker.version)?;
    to.put_all(&[b" ", network, maker.host, b"\r\ns=-\r\nc=", network, maker.host, b"\r\n"])
}

/// The network and type of an address; none if it is neither an address nor a name.
fn network(host: &[u8]) -> Option<&'static [u8]> {
    match ip(host) {
        Some(_) if host.contains(&b':') => Some(b"IN IP6 "),
        None if host.is_empty() || !Class::HOST.has_all(host) => None,
        Some(_) | None => Some(b"IN IP4 "),
    }
}

fn put_stream(stream: &Stream<'_>, to: &mut impl Sink) -> Option<()> {
    let wrapped = stream.accept_wrapped_types;
    attribute::path(stream.path)?;
    attribute::types(stream.accept_types).ok()?;
    if !wrapped.is_empty() {
        attribute::types(wrapped).ok()?;
    }
    if stream.port == 0 || stream.fingerprint.is_some() && !stream.tls {
        return None;
    }
    to.put(b"m=message ")?;
    to.put_number(stream.port.into())?;
    let protocol: &[u8] = if stream.tls { b" TCP/TLS/MSRP *" } else { b" TCP/MSRP *" };
    to.put_all(&[protocol, b"\r\na=accept-types:", stream.accept_types, b"\r\n"])?;
    if !wrapped.is_empty() {
        to.put_all(&[b"a=accept-wrapped-types:", wrapped, b"\r\n"])?;
    }
    if let Some(size) = stream.max_size {
        to.put(b"a=max-size:")?;
        to.put_number(size)?;
        to.put(b"\r\n")?;
    }
    let setup = stream.setup.name().as_bytes();
    to.put_all(&[b"a=path:", stream.path, b"\r\na=setup:", setup, b"\r\n"])?;
    if stream.cema {
        to.put(b"a=msrp-cema\r\n")?;
    }
    if let Some(fingerprint) = stream.fingerprint {
        put_fingerprint(&fingerprint, to)?;
    }
    // What is meant where nothing is said.
    if stream.direction != Direction::SendRecv {
        to.put_all(&[b"a=", stream.direction.name().as_bytes(), b"\r\n"])?;
    }
    to.put(stream.more)
}

fn put_fingerprint(fingerprint: &Fingerprint, to: &mut impl Sink) -> Option<()> {
    to.put_all(&[b"a=fingerprint:", fingerprint.hash.name().as_bytes()])?;
    for (index, octet) in fingerprint.value().iter().enumerate() {
        let digit = |value: u8| char::from_digit(value.into(), 16).map(|digit| digit as u8);
        let (high, low) = (digit(octet >> 4)?, digit(octet & 0x0F)?);
        let before = if index == 0 { b' ' } else { b':' };
        to.put(&[before, high.to_ascii_uppercase(), low.to_ascii_uppercase()])?;
    }
    to.put(b"\r\n")
}
