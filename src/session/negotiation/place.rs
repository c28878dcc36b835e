//! Where the other end says it is: by its path, and by `c=` and `m=`.

use crate::wire::Span;
use crate::wire::msrp::{Path, Scheme, Uri, uri};
use crate::wire::sdp::{self, Media};

use super::agreement::Target;
use super::{Ours, Refusal};

/// The path of the other end, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The first URI: who is connected to.
    pub(super) first: Target,
    /// The last URI: who the other end is.
    pub(super) peer: Span,
    /// Whether `c=` and `m=` say the same as one of the URIs.
    pub(super) is_said_twice: bool,
    /// What `c=` and `m=` say.
    pub(super) connection: Option<Target>,
}

/// Whether our own path leads over relays.
pub(super) fn relayed(ours: &Ours<'_>) -> bool {
    sdp::Entries::new(ours.path).count() > 1
}

impl Place {
    /// Reads the path of a media description whose protocol has TLS or not. `discard` says that its
    /// port may be 9, which means no port (RFC 6135 section 4.2.2).
    pub(super) fn of(
        media: &Media<'_>,
        ours: &Ours<'_>,
        tls: bool,
        discard: bool,
    ) -> Result<Self, Refusal> {
        let octets = media.octets;
        let scheme = if tls { Scheme::Msrps } else { Scheme::Msrp };
        let connection = connection(media);
        let mut first = None;
        let mut last: Option<(Span, Uri<'_>)> = None;
        let mut is_said_twice = connection.is_none();
        for span in media.uris() {
            let uri = uri::parse(span.of(octets)).map_err(|_| Refusal::Path)?;
            let target = target(&uri, span).filter(|_| uri.is_tcp()).ok_or(Refusal::Path)?;
            is_said_twice |= connection.is_some_and(|said| {
                (said.port == target.port || discard && said.port == DISCARD)
                    && is_same_host(octets, &said, &target)
            });
            if first.is_none() {
                if uri.scheme != scheme {
                    return Err(Refusal::Path);
                }
                first = Some(target);
            }
            last = Some((span, uri));
        }
        let (Some(first), Some((peer, uri))) = (first, last) else { return Err(Refusal::Path) };
        let own = Path::parse(ours.path).ok().and_then(|path| path.last_uri());
        if uri.session_id.is_none() || own.is_some_and(|own| own.matches(&uri)) {
            return Err(Refusal::Path);
        }
        Ok(Self { first, peer, is_said_twice, connection })
    }

    /// Where to connect to: as `c=` and `m=` say, or the path.
    pub(super) fn target(&self, by_connection: bool) -> Result<Target, Refusal> {
        let target = self.connection.filter(|_| by_connection).unwrap_or(self.first);
        let nobody = target.port == 0 || target.ip.is_some_and(is_nobody);
        if nobody { Err(Refusal::Address) } else { Ok(target) }
    }
}

/// The port that nobody listens at (RFC 4145 section 4.1).
const DISCARD: u16 = 9;

/// `0.0.0.0`, `::` and multicast: no end of a connection.
fn is_nobody(ip: [u8; 16]) -> bool {
    let ip = core::net::Ipv6Addr::from(ip).to_canonical();
    ip.is_unspecified() || ip.is_multicast()
}

fn connection(media: &Media<'_>) -> Option<Target> {
    let connection = media.connection?;
    let ip = connection.ip(media.octets);
    Some(Target { host: connection.address, ip, port: media.port })
}

fn is_same_host(octets: &[u8], one: &Target, other: &Target) -> bool {
    match (one.ip, other.ip) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.host.of(octets).eq_ignore_ascii_case(other.host.of(octets)),
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// Host and port of a URI that stands at `span`; none without a port.
fn target(uri: &Uri<'_>, span: Span) -> Option<Target> {
    let scheme = match uri.scheme {
        Scheme::Msrp => b"msrp://".len(),
        Scheme::Msrps => b"msrps://".len(),
    };
    let user = uri.userinfo.map_or(0, |user| user.len() + 1);
    let bracket = usize::from(uri.host.starts_with(b"["));
    let before = u16::try_from(scheme + user + bracket).ok()?;
    let len = u16::try_from(uri.host.len() - 2 * bracket).ok()?;
    let host = Span { at: span.at + before, len };
    Some(Target { host, ip: uri.address(), port: uri.port? })
}
