//! What a seed makes of TCP: who uses it, and what goes wrong with it.

use roger::id::WorkerId;
use roger::packet::{Endpoint, SocketId};
use roger::session::stream::Rules;

use crate::chance::Chance;
use crate::swarm::{LISTENER_V4, LISTENER_V6, SECOND, Swarm};

/// The first of the two sockets for connections, IPv4 and then IPv6, behind those for datagrams.
pub(crate) const STREAMS_AT: u8 = 4;

/// The first of the two sockets of MSRP behind those.
pub(crate) const MSRP_AT: u8 = STREAMS_AT + 2;

/// Who uses connections.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    /// Clients that send their requests over them.
    pub(crate) clients: Vec<bool>,
    /// IM servers that get theirs over them.
    pub(crate) servers: Vec<bool>,
    /// Other IM servers that listen for them all the same.
    pub(crate) listens: Vec<bool>,
    /// Connections of one worker.
    pub(crate) connections_max: u16,
    pub(crate) faults: Faults,
}

/// Faults of connections; shares are of ten thousand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Messages that come in pieces, and reads that take less than there is.
    pub(crate) cut: u64,
    /// Writes of which less is taken than there is.
    pub(crate) short: u64,
    /// Messages before which the way to us stands still for up to two minutes.
    pub(crate) stall: u64,
    /// Writes before which the other end takes nothing for up to two minutes.
    pub(crate) window: u64,
    /// Messages at some octet of which the other end resets the connection, or ends it.
    pub(crate) reset: u64,
    pub(crate) fin: u64,
    /// Messages after which the other end is there no more and does not say so.
    pub(crate) half_open: u64,
    /// Connections of ours that are refused, or not answered.
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// Writes that fail although nothing is wrong with the connection.
    pub(crate) write_error: u64,
}

impl Tcp {
    /// One run of three has connections.
    pub(crate) fn draw(faultless: bool, servers: usize, chance: &mut Chance) -> Option<Self> {
        if !chance.one_in(3) {
            return None;
        }
        let clients = (0..3).map(|_| !chance.one_in(3)).collect();
        let tcp: Vec<bool> = (0..servers).map(|_| !chance.one_in(3)).collect();
        let listens = tcp.iter().map(|tcp| *tcp || chance.one_in(2)).collect();
        Some(Self {
            clients,
            servers: tcp,
            listens,
            connections_max: u16::try_from(chance.between(96, 160)).unwrap_or(96),
            faults: Faults::draw(faultless, chance),
        })
    }
}

impl Faults {
    /// Whether the connection ends with these octets, and how many of them still come.
    pub(crate) fn end(
        &self,
        octets: usize,
        chance: &mut Chance,
    ) -> (Option<Result<(), i32>>, usize) {
        let end = if chance.share(self.reset) {
            Some(Err(RESET))
        } else if chance.share(self.fin) {
            Some(Ok(()))
        } else {
            None
        };
        let kept = match end {
            Some(_) if chance.one_in(2) => chance.index(octets + 1),
            Some(_) | None => octets,
        };
        (end, kept)
    }

    /// How many octets come at once of the rest of what is on the way: one by one, a segment at most, or all.
    pub(crate) fn piece(&self, whole: usize, rest: usize, chance: &mut Chance) -> usize {
        if !chance.share(self.cut) {
            rest
        } else if whole < 600 && chance.one_in(30) {
            1
        } else {
            1 + chance.index(rest.min(1_460))
        }
    }

    /// What is no fault may go on.
    pub(crate) fn none(&self) -> Self {
        Self { cut: self.cut, short: self.short, ..Self::default() }
    }

    pub(crate) fn draw(faultless: bool, chance: &mut Chance) -> Self {
        let cut = if chance.one_in(4) { 0 } else { chance.between(1, 10_000) };
        let short = if chance.one_in(2) { 0 } else { chance.between(1, 5_000) };
        let mut armed =
            |high| if !faultless && chance.one_in(4) { chance.between(1, high) } else { 0 };
        Self {
            cut,
            short,
            stall: armed(100),
            window: armed(100),
            reset: armed(1_000),
            fin: armed(1_000),
            half_open: armed(200),
            refused: armed(3_000),
            unanswered: armed(1_000),
            write_error: armed(300),
        }
    }
}

impl Swarm {
    /// Whether requests of this client come over connections.
    pub(crate) fn is_tcp_client(&self, client: usize) -> bool {
        self.tcp.as_ref().is_some_and(|tcp| tcp.clients.get(client) == Some(&true))
    }

    /// Whether requests to this server go over connections.
    pub(crate) fn is_tcp_server(&self, server: usize) -> bool {
        self.tcp.as_ref().is_some_and(|tcp| tcp.servers.get(server) == Some(&true))
    }

    /// Whether somebody takes connections at this address.
    pub(crate) fn listens(&self, at: Endpoint) -> bool {
        let Some(tcp) = &self.tcp else { return false };
        match crate::judge::server_of(at, self) {
            Some(server) => tcp.listens[server],
            None => self.places.clients.iter().any(|client| client.endpoint.ip == at.ip),
        }
    }

    /// How many connections each worker may have; none if there are none.
    pub(crate) fn connections_max(&self) -> Option<u16> {
        let tcp = self.tcp.as_ref().map(|tcp| tcp.connections_max);
        let msrp = self.large.as_ref().map(|large| large.connections_max);
        (tcp.is_some() || msrp.is_some()).then(|| tcp.unwrap_or(0) + msrp.unwrap_or(0))
    }

    /// What goes wrong with connections of MSRP.
    pub(crate) fn stream_faults(&self) -> Faults {
        self.large.as_ref().map(|large| large.faults.clone()).unwrap_or_default()
    }

    /// The rules of the connections of a worker.
    pub(crate) fn rules(&self, worker: usize) -> Option<Rules> {
        let connections_max = self.connections_max()?;
        let large = self.large.as_ref();
        let msrp = large.map_or(connections_max, |large| large.connections_max);
        Some(Rules {
            worker: WorkerId(u8::try_from(worker).unwrap_or(0)),
            connections_max,
            per_source_max: connections_max,
            known: Box::new([]),
            strangers: true,
            idle_ms: 120_000,
            undivided: [MSRP_AT, MSRP_AT + 1].map(SocketId).into(),
            undivided_max: msrp,
        })
    }
}

/// Whether a departure leaves on a connection.
pub(crate) const fn is_stream(socket: SocketId) -> bool {
    socket.0 >= STREAMS_AT
}

/// The socket whose connections these are, by the address they come to.
pub(crate) const fn socket_of(remote: Endpoint) -> SocketId {
    SocketId(if remote.is_v4() { STREAMS_AT } else { STREAMS_AT + 1 })
}

/// Where a worker listens for MSRP, next to a listener of everybody: each worker has a port of its own.
pub(crate) fn msrp_at(worker: usize, listener: Endpoint) -> Endpoint {
    Endpoint { port: MSRP_PORT + u16::try_from(worker).unwrap_or(0), ..listener }
}

/// The port of the first worker (RFC 4975 section 15.4).
const MSRP_PORT: u16 = 2_855;

/// The socket whose connections those of MSRP are, by the address at their other end.
pub(crate) const fn msrp_socket_of(remote: Endpoint) -> SocketId {
    SocketId(if remote.is_v4() { MSRP_AT } else { MSRP_AT + 1 })
}

/// Where that socket listens, among the sockets of this world.
pub(crate) const fn listener_of(remote: Endpoint) -> usize {
    if remote.is_v4() { LISTENER_V4 } else { LISTENER_V6 }
}

/// How long it may take until it is known what becomes of a departure: nobody reads, the connection
/// ends, nobody answers our connecting, and when somebody does, nobody reads.
pub(crate) const TOLD_AFTER: u64 = 24 * SECOND;

/// What the kernel takes of what nobody reads.
pub(crate) const KERNEL: usize = 64 << 10;

/// ECONNRESET.
pub(crate) const RESET: i32 = 104;

/// The longest standstill.
pub(crate) const STALL_MAX: u64 = 120 * SECOND;
