//! Where a request goes next, and whether it has been here before.

use crate::engine::record::ATTEMPTS_MAX;
use crate::engine::{Engine, Refusal};
use crate::packet::{Endpoint, Flow, SocketId, Transport};
use crate::time::Instant;
use crate::transaction::branch::Branch;
use crate::wire::sip::uri::{self, Scheme, Uri};
use crate::wire::sip::{self, Request};

/// RFC 3261 section 19.1.2: the port where none is written.
pub(super) const fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

/// Where a request of ours goes, and from which of our sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Way {
    pub remote: Endpoint,
    pub socket: SocketId,
}

impl Way {
    /// To nobody.
    pub(super) const NOWHERE: Self =
        Self { remote: Flow::NOWHERE.remote, socket: Flow::NOWHERE.socket };

    /// As a departure names it.
    pub(super) const fn flow(self) -> Flow {
        Flow::to(self.remote, self.socket)
    }
}

/// The next hop of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hop {
    pub way: Way,
    pub peer: u8,
    pub pop_route: bool,
    /// Which of the next servers it is, if it is one.
    pub in_list: Option<u8>,
}

impl Engine {
    /// RFC 3261 section 16.4 and 16.6 step 7: the Route that is left once ours is removed, else
    /// the outbound proxies, else the Request-URI. The next hop must be a peer of the IM side.
    pub(super) fn next_hop(&self, request: &Request<'_>) -> Result<Hop, Refusal> {
        let octets = request.octets;
        let is_sips = is_sips(request.uri.of(octets));
        let mut routes = request.routes();
        let mut route = routes.next();
        let mut pop_route = false;
        if let Some(first) = &route {
            let uri = uri::parse(first.uri.of(octets)).map_err(|_| BAD_ROUTE)?;
            let port = port_of(&uri, named(&uri).ok().flatten());
            pop_route = self.is_own(uri.host, port);
        }
        if pop_route {
            route = routes.next();
        }
        let hop = if let Some(route) = route {
            let uri = uri::parse(route.uri.of(octets)).map_err(|_| BAD_ROUTE)?;
            self.hop_of(&uri, pop_route)
        } else if !self.setup.next_servers.is_empty() {
            let hop = self.next_server(0).map(|hop| Hop { pop_route, ..hop });
            hop.ok_or(NO_SOCKET)
        } else {
            self.next_hop_by_uri(request.uri.of(octets), pop_route)
        }?;
        // RFC 3261 section 26.2.2: with SIPS every hop is encrypted, this one too.
        if is_sips && self.setup.transport_of(hop.way.socket) != Transport::Tls {
            return Err(NOT_SECURE);
        }
        Ok(hop)
    }

    /// The next hop of a request of our own to this URI.
    pub(super) fn next_hop_to(&self, uri: &[u8], now: Instant) -> Result<Hop, Refusal> {
        if self.setup.next_servers.is_empty() {
            return self.next_hop_by_uri(uri, false);
        }
        if uri::parse(uri).is_err() {
            return Err(Refusal::new(400, "Bad Recipient"));
        }
        match (self.next_server_at(0, now), self.next_server(0)) {
            (Some(hop), _) => Ok(hop),
            (None, Some(_)) => Err(Refusal::new(503, "Service Unavailable")),
            (None, None) => Err(NO_SOCKET),
        }
    }

    fn next_hop_by_uri(&self, uri: &[u8], pop_route: bool) -> Result<Hop, Refusal> {
        let Ok(uri) = uri::parse(uri) else {
            return Err(Refusal::new(400, "Bad Request-URI"));
        };
        let wanted = named(&uri)?;
        let port = port_of(&uri, wanted);
        if self.is_own(uri.host, port) {
            return Err(Refusal::new(404, "No Such User Here"));
        }
        self.hop_of(&uri, pop_route)
    }

    /// The hop that a Route or a Request-URI names, by the transport that it asks for.
    pub(super) fn hop_of(&self, uri: &Uri<'_>, pop_route: bool) -> Result<Hop, Refusal> {
        let wanted = named(uri)?;
        let port = port_of(uri, wanted);
        match self.resolve(uri.host, port, wanted) {
            Some(endpoint) => self.hop_to(endpoint, wanted, pop_route, None),
            None => Err(NOT_ALLOWED),
        }
    }

    /// The hop to the first server of the list that is reached from a socket of ours, from number
    /// `from` on. What lies beyond the numbers of attempts is never reached.
    pub(super) fn next_server(&self, from: usize) -> Option<Hop> {
        let servers = self.setup.next_servers.iter().zip(0..ATTEMPTS_MAX).skip(from);
        servers
            .map(|(endpoint, number)| self.hop_to(*endpoint, None, false, Some(number)))
            .find_map(Result::ok)
    }

    /// The same, without those that have asked to be left alone (RFC 3261 section 21.5.4).
    pub(super) fn next_server_at(&self, from: usize, now: Instant) -> Option<Hop> {
        let servers = self.setup.next_servers.iter().zip(0..ATTEMPTS_MAX).skip(from);
        servers
            .filter(|(_, number)| self.neighbours.avoided_until(usize::from(*number)) <= now)
            .map(|(endpoint, number)| self.hop_to(*endpoint, None, false, Some(number)))
            .find_map(Result::ok)
    }

    /// The way back to an address of a peer of the SMS side.
    pub(super) fn hop_back(&self, endpoint: Endpoint, peer: u8, number: u8) -> Option<Hop> {
        let transport = self.peers.get(peer).transport;
        let socket = self.setup.request_sockets.to(endpoint, transport)?;
        let way = Way { remote: endpoint, socket };
        Some(Hop { way, peer, pop_route: false, in_list: Some(number) })
    }

    /// Whether one of the Vias is ours and asked for the same (RFC 3261 section 16.3 step 4): a
    /// spiral comes back asking for something else, and passes.
    pub(super) fn is_loop(&self, request: &Request<'_>, loop_hash: u32) -> bool {
        request.fields.via_count > 1
            && request.vias().any(|via| {
                Branch::decode(via.branch.of(request.octets), self.setup.key)
                    .is_some_and(|branch| branch.loop_hash == loop_hash)
            })
    }

    /// A hash of what makes a second visit a loop: Request-URI, To, From tag, Call-ID, CSeq, and
    /// how many Routes are left.
    #[expect(clippy::cast_possible_truncation, reason = "32 bits are what a branch has room for")]
    pub(super) fn loop_hash(&self, request: &Request<'_>) -> u32 {
        let (octets, fields) = (request.octets, &request.fields);
        let mut hasher = self.identity(request);
        hasher.word(LOOP | u64::from(fields.route_count));
        hasher.octets(request.uri.of(octets));
        hasher.octets(fields.to_tag.of(octets));
        hasher.finish().0[0] as u32
    }

    /// Whether P-Asserted-Identity is removed on its way between two peers: it is believed from
    /// the trusted only (RFC 3325 section 5), and where privacy is asked for it is shown to the
    /// trusted only (section 7).
    pub(super) fn hides_identity(&self, from: u8, to: u8, privacy_id: bool) -> bool {
        !self.peers.get(from).trusted || (privacy_id && !self.peers.get(to).trusted)
    }

    fn hop_to(
        &self,
        endpoint: Endpoint,
        wanted: Option<Transport>,
        pop_route: bool,
        in_list: Option<u8>,
    ) -> Result<Hop, Refusal> {
        let peer = self.peers.at(endpoint).filter(|peer| self.peers.get(*peer).im);
        let Some(peer) = peer else { return Err(NOT_ALLOWED) };
        let transport = self.peers.get(peer).transport;
        let transport = match (wanted, transport) {
            (None, _) => transport,
            // Whoever writes a URI may choose how, and not whether what is said stays between us and
            // a peer who has proved his name.
            (Some(wanted), _) if (wanted == Transport::Tls) != (transport == Transport::Tls) => {
                return Err(NOT_ALLOWED);
            }
            (Some(wanted), _) => wanted,
        };
        let Some(socket) = self.setup.request_sockets.to(endpoint, transport) else {
            return Err(NO_SOCKET);
        };
        let way = Way { remote: endpoint, socket };
        Ok(Hop { way, peer, pop_route, in_list })
    }

    fn resolve(&self, host: &[u8], port: u16, wanted: Option<Transport>) -> Option<Endpoint> {
        match uri::host_address(host) {
            Some(ip) => Some(Endpoint { ip, port }),
            None => {
                let reachable = |at: &Endpoint| self.hop_to(*at, wanted, false, None).is_ok();
                self.peers.named(host, port).find(reachable)
            }
        }
    }

    pub(super) fn is_own(&self, host: &[u8], port: u16) -> bool {
        match uri::host_address(host) {
            Some(ip) => self.setup.own_endpoints.contains(&Endpoint { ip, port }),
            None => {
                let own = &self.setup.own_hosts;
                own.iter()
                    .any(|(name, at)| *at == port && name.as_bytes().eq_ignore_ascii_case(host))
            }
        }
    }
}

fn port_of(uri: &Uri<'_>, wanted: Option<Transport>) -> u16 {
    uri.port.unwrap_or_else(|| default_port(wanted.unwrap_or_default()))
}

/// Whether a URI asks for encryption on every hop.
pub(super) fn is_sips(uri: &[u8]) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

/// The transport that a URI asks for. That of SIPS is TLS, which its parameter may call TCP (RFC 3261
/// section 26.2.2).
fn named(uri: &Uri<'_>) -> Result<Option<Transport>, Refusal> {
    let is_secure = match uri.scheme {
        Scheme::Sip => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other => return Err(NO_ROUTE),
    };
    let Some(name) = uri.param(b"transport") else {
        return Ok(is_secure.then_some(Transport::Tls));
    };
    match (sip::Transport::of(name), is_secure) {
        (sip::Transport::Tls, _) | (sip::Transport::Tcp, true) => Ok(Some(Transport::Tls)),
        (sip::Transport::Tcp, false) => Ok(Some(Transport::Tcp)),
        (sip::Transport::Udp, false) => Ok(Some(Transport::Udp)),
        (sip::Transport::Udp, true) => Err(NOT_SECURE),
        (sip::Transport::Sctp | sip::Transport::Other, _) => {
            Err(Refusal::new(403, "No Socket For This Transport"))
        }
    }
}

const BAD_ROUTE: Refusal = Refusal::new(400, "Bad Route");
const NO_ROUTE: Refusal = Refusal::new(416, "No Route For This URI Scheme");
const NOT_SECURE: Refusal = Refusal::new(416, "No Encrypted Way To This URI");
const NOT_ALLOWED: Refusal = Refusal::new(403, "Next Hop Not Allowed");
const NO_SOCKET: Refusal = Refusal::new(403, "No Socket For This Way");

/// Sets a loop hash apart from every other use of the same key.
const LOOP: u64 = 0x1009_0000 << 32;
