//! Where a request goes next, and whether it has been here before.

use crate::engine::record::ATTEMPTS_MAX;
use crate::engine::{Engine, Refusal};
use crate::packet::{Endpoint, Flow, SocketId};
use crate::time::Instant;
use crate::transaction::branch::Branch;
use crate::wire::Span;
use crate::wire::sip::uri::{self, Scheme};
use crate::wire::sip::{Request, Route};

/// RFC 3261 section 18.1.1: the port of SIP over UDP where none is written.
const PORT: u16 = 5060;

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
        let mut routes = request.routes();
        let mut route = routes.next();
        let is_own = |route: &Route| self.is_own(route.host.of(octets), route.port.unwrap_or(PORT));
        let pop_route = route.as_ref().is_some_and(is_own);
        if pop_route {
            route = routes.next();
        }
        if let Some(route) = route {
            return self.hop(route.host, route.port, octets, pop_route);
        }
        if !self.setup.next_servers.is_empty() {
            let hop = self.next_server(0).map(|hop| Hop { pop_route, ..hop });
            return hop.ok_or(Refusal::new(403, "No Socket For This Address Family"));
        }
        self.next_hop_by_uri(request.uri.of(octets), pop_route)
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
            (None, None) => Err(Refusal::new(403, "No Socket For This Address Family")),
        }
    }

    fn next_hop_by_uri(&self, uri: &[u8], pop_route: bool) -> Result<Hop, Refusal> {
        let Ok(uri) = uri::parse(uri) else {
            return Err(Refusal::new(400, "Bad Request-URI"));
        };
        match uri.scheme {
            Scheme::Sip => {}
            Scheme::Sips | Scheme::Tel | Scheme::Other => {
                return Err(Refusal::new(416, "No Route For This URI Scheme"));
            }
        }
        let port = uri.port.unwrap_or(PORT);
        if self.is_own(uri.host, port) {
            return Err(Refusal::new(404, "No Such User Here"));
        }
        match self.resolve(uri.host, port) {
            Some(endpoint) => self.hop_to(endpoint, pop_route, None),
            None => Err(Refusal::new(403, "Next Hop Not Allowed")),
        }
    }

    /// The hop to the first server of the list that is reached from a socket of ours, from number
    /// `from` on. What lies beyond the numbers of attempts is never reached.
    pub(super) fn next_server(&self, from: usize) -> Option<Hop> {
        let servers = self.setup.next_servers.iter().zip(0..ATTEMPTS_MAX).skip(from);
        servers
            .map(|(endpoint, number)| self.hop_to(*endpoint, false, Some(number)))
            .find_map(Result::ok)
    }

    /// The same, without those that have asked to be left alone (RFC 3261 section 21.5.4).
    pub(super) fn next_server_at(&self, from: usize, now: Instant) -> Option<Hop> {
        let servers = self.setup.next_servers.iter().zip(0..ATTEMPTS_MAX).skip(from);
        servers
            .filter(|(_, number)| self.neighbours.avoided_until(usize::from(*number)) <= now)
            .map(|(endpoint, number)| self.hop_to(*endpoint, false, Some(number)))
            .find_map(Result::ok)
    }

    /// The way back to an address of a peer of the SMS side.
    pub(super) fn hop_back(&self, endpoint: Endpoint, peer: u8, number: u8) -> Option<Hop> {
        let socket = self.request_socket(endpoint)?;
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

    fn hop(
        &self,
        host: Span,
        port: Option<u16>,
        octets: &[u8],
        pop_route: bool,
    ) -> Result<Hop, Refusal> {
        match self.resolve(host.of(octets), port.unwrap_or(PORT)) {
            Some(endpoint) => self.hop_to(endpoint, pop_route, None),
            None => Err(Refusal::new(403, "Next Hop Not Allowed")),
        }
    }

    fn hop_to(
        &self,
        endpoint: Endpoint,
        pop_route: bool,
        in_list: Option<u8>,
    ) -> Result<Hop, Refusal> {
        let peer = self.peers.at(endpoint).filter(|peer| self.peers.get(*peer).im);
        let Some(peer) = peer else {
            return Err(Refusal::new(403, "Next Hop Not Allowed"));
        };
        let Some(socket) = self.request_socket(endpoint) else {
            return Err(Refusal::new(403, "No Socket For This Address Family"));
        };
        let way = Way { remote: endpoint, socket };
        Ok(Hop { way, peer, pop_route, in_list })
    }

    fn resolve(&self, host: &[u8], port: u16) -> Option<Endpoint> {
        match uri::host_address(host) {
            Some(ip) => Some(Endpoint { ip, port }),
            None => {
                let reachable = |at: &Endpoint| self.request_socket(*at).is_some();
                self.peers.named(host, port).find(reachable)
            }
        }
    }

    fn is_own(&self, host: &[u8], port: u16) -> bool {
        match uri::host_address(host) {
            Some(ip) => self.setup.own_endpoints.contains(&Endpoint { ip, port }),
            None => {
                let own = &self.setup.own_hosts;
                own.iter()
                    .any(|(name, at)| *at == port && name.as_bytes().eq_ignore_ascii_case(host))
            }
        }
    }

    const fn request_socket(&self, endpoint: Endpoint) -> Option<SocketId> {
        if endpoint.is_v4() { self.setup.request_socket_v4 } else { self.setup.request_socket_v6 }
    }
}

/// Sets a loop hash apart from every other use of the same key.
const LOOP: u64 = 0x1009_0000 << 32;
