//! The sockets of all workers, bound before any of them starts.
//!
//! Every worker has the same list in the same order, so that a socket has one number everywhere:
//! first the listeners for datagrams, which the workers share by SO_REUSEPORT, then sockets of its own
//! for its requests, where they do not leave from the listeners, then the listeners for connections,
//! which are shared alike, and last those for MSRP, at ports of its own.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use crossbeam::atomic::AtomicCell;

use crate::config::{self, Config, HostPort, Requests, Strangers};
use crate::id::WorkerId;
use crate::io::{Carrier, SocketSpec, Sockets, StreamSocket, Waker, bind, bind_in, listen};
use crate::limits::{SOCKET_BUFFER_SIZE, STREAM_IDLE_MS};
use crate::oam::service::StartError;
use crate::oam::setup::{Local, MsrpLocal};
use crate::packet::{Endpoint, SocketId, Transport};
use crate::session::stream::Rules;
use crate::tls::{Entrance, Spoken};

/// The sockets of one worker and what is said about them.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Of datagrams: the listeners, then those of own requests.
    pub(super) datagrams: Vec<UdpSocket>,
    pub(super) streams: Vec<StreamSocket>,
    /// Where each listener of the configuration was bound.
    places: Vec<SocketAddr>,
    listening: Vec<Local>,
    own: Vec<Local>,
    connecting: Vec<Local>,
    msrp: Vec<MsrpLocal>,
    fingerprint: Arc<AtomicCell<[u8; 32]>>,
}

/// What TLS is carried through: listeners of no worker, and what connects its thread with each.
#[derive(Debug)]
pub(super) struct Carriers {
    pub(super) entrances: Vec<Entrance>,
    pub(super) carriers: Vec<Arc<Carrier>>,
    pub(super) waker: Waker,
    /// Our own certificate by SHA-256, as whoever speaks TLS says it.
    pub(super) fingerprint: Arc<AtomicCell<[u8; 32]>>,
}

impl Carriers {
    fn new(workers: usize) -> io::Result<Self> {
        let waker = Waker::new()?;
        let carriers = (0..workers).map(|_| Ok(Arc::new(Carrier::new(waker.try_clone()?))));
        let carriers = carriers.collect::<io::Result<_>>()?;
        Ok(Self { entrances: Vec::new(), carriers, waker, fingerprint: Arc::default() })
    }

    /// Listens, and gives every worker a socket whose connections come from there. Says where.
    fn listen(
        &mut self,
        configured: &config::Listener,
        workers: &mut [Bound],
    ) -> Result<SocketAddr, StartError> {
        let listener = patiently(|| listen(configured.address, false));
        let listener = listener.map_err(|error| StartError::Bind(configured.address, error))?;
        let address = at(listener.local_addr(), configured.address)?;
        for (bound, carrier) in workers.iter_mut().zip(&self.carriers) {
            bound.streams.push(StreamSocket::Tls(Arc::clone(carrier)));
            bound.connect_from(Transport::Tls, address, configured);
        }
        // Its number is known when all sockets are.
        let (socket, spoken) = (SocketId(0), Spoken::Sip);
        self.entrances.push(Entrance { socket, listener, address, spoken });
        Ok(address)
    }

    /// Listens for MSRP where one worker is to.
    fn listen_msrp(
        &mut self,
        configured: &config::MsrpListener,
        (worker, bound): (u8, &mut Bound),
    ) -> Result<(), StartError> {
        let index = usize::from(worker);
        let Some(carrier) = self.carriers.get(index) else { return Ok(()) };
        let (listener, address) = bound.add_msrp(configured, worker)?;
        bound.streams.push(StreamSocket::Msrps(Arc::clone(carrier)));
        bound.fingerprint = Arc::clone(&self.fingerprint);
        let socket = bound.last_number();
        self.entrances.push(Entrance { socket, listener, address, spoken: Spoken::Msrp(index) });
        Ok(())
    }

    /// Gives the entrances their numbers, which are the same on every worker.
    fn number(&mut self, workers: &[Bound]) {
        let Some(first) = workers.first() else { return };
        let all = first.locals().enumerate();
        let tls = all.filter(|(_, local)| local.transport == Transport::Tls);
        for (entrance, (number, _)) in self.entrances.iter_mut().zip(tls) {
            entrance.socket = SocketId(u8::try_from(number).unwrap_or(u8::MAX));
        }
    }
}

/// Binds everything for `workers` workers, in their order.
///
/// # Errors
///
/// Which address could not be had, and why.
pub(super) fn bound(
    config: &Config,
    workers: usize,
) -> Result<(Vec<Bound>, Option<Carriers>), StartError> {
    let mut all: Vec<Bound> = (0..workers).map(|_| Bound::default()).collect();
    let mut carriers = None;
    if config.tls.is_some() {
        carriers = Some(Carriers::new(workers).map_err(StartError::Carriers)?);
    }
    let single_port = config.requests == Requests::SinglePort;
    for listener in &config.listeners {
        let groups =
            groups(listener, workers).map_err(|error| StartError::Bind(listener.address, error))?;
        let v4 = listener.address.is_ipv4();
        let mut address = groups.address;
        for (bound, socket) in all.iter_mut().zip(groups.datagrams) {
            let requests = single_port && bound.first_of(v4).is_none();
            bound.listen_to(socket, listener, requests)?;
        }
        for (bound, socket) in all.iter_mut().zip(groups.connections) {
            bound.accept_from(socket, listener)?;
        }
        if let Some(carriers) = &mut carriers
            && listener.transports.contains(&Transport::Tls)
        {
            address = carriers.listen(listener, &mut all)?;
        }
        for bound in &mut all {
            bound.places.push(address);
        }
    }
    if let Requests::Ports(range) = config.requests {
        for bound in &mut all {
            for v4 in [true, false] {
                let Some(listener) = bound.first_of(v4).cloned() else { continue };
                let socket = bind_in(&spec(listener.address, false), range.first..=range.last)
                    .map_err(|error| StartError::Ports(range, error))?;
                let advertise = listener.advertise.map(|advertise| advertise.host);
                bound.add_own(socket, listener.address, advertise)?;
            }
        }
    }
    if let Some(carriers) = &mut carriers {
        carriers.number(&all);
    }
    for listener in config.large.iter().flat_map(|large| &large.listeners) {
        for (worker, bound) in (0..).zip(&mut all) {
            match &mut carriers {
                Some(carriers) if listener.is_tls => {
                    carriers.listen_msrp(listener, (worker, bound))?;
                }
                Some(_) | None => bound.accept_msrp(listener, worker)?,
            }
        }
    }
    Ok((all, carriers))
}

/// What holds for the connections of a worker.
pub(super) fn rules(config: &Config, worker: WorkerId) -> Rules {
    let places = config.peers.iter().flat_map(|peer| &peer.places);
    let mut known: Vec<[u8; 16]> =
        places.flat_map(|place| &place.addresses).map(|at| Endpoint::from(*at).ip).collect();
    known.sort_unstable();
    known.dedup();
    let of_msrp = config.large.as_ref().map_or(0, |large| large.connections);
    Rules {
        worker,
        connections_max: config.capacity.connections.saturating_add(of_msrp),
        per_source_max: config.capacity.connections_per_source,
        known: known.into(),
        strangers: config.strangers == Strangers::Forbid,
        idle_ms: STREAM_IDLE_MS,
        undivided: Box::new([]),
        undivided_max: of_msrp,
    }
}

/// One socket for each worker at the same address, for datagrams and for connections.
#[derive(Debug)]
struct Groups {
    address: SocketAddr,
    datagrams: Vec<UdpSocket>,
    connections: Vec<TcpListener>,
}

fn groups(listener: &config::Listener, workers: usize) -> io::Result<Groups> {
    let listens = |transport| listener.transports.contains(&transport);
    let mut tries = 0;
    loop {
        let mut datagrams = Vec::new();
        let mut address = listener.address;
        if listens(Transport::Udp) {
            datagrams = group(address, workers)?;
            address = datagrams[0].local_addr()?;
        }
        if !listens(Transport::Tcp) {
            return Ok(Groups { address, datagrams, connections: Vec::new() });
        }
        match accepting(address, workers) {
            Ok(connections) => {
                let address = connections[0].local_addr()?;
                return Ok(Groups { address, datagrams, connections });
            }
            // A port that is free for datagrams need not be for connections; another one may be.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && listener.address.port() == 0
                    && tries < PORT_TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

const PORT_TRIES: u32 = 16;

/// One listener for each worker at the same address, which nobody else has.
fn accepting(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let alone = match address.port() {
        0 => listen(address, false)?,
        _ => patiently(|| listen(address, false))?,
    };
    if workers == 1 {
        return Ok(Vec::from([alone]));
    }
    let address = alone.local_addr()?;
    drop(alone);
    (0..workers).map(|_| patiently(|| listen(address, true))).collect()
}

/// One socket for each worker at the same address.
fn group(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // An address that several sockets may share would be shared with another process of the same
    // user as well, and each would get a part of the datagrams: so it is asked for alone first.
    let alone = patiently(|| bind(&spec(address, false)))?;
    if workers == 1 {
        return Ok(Vec::from([alone]));
    }
    let address = alone.local_addr()?;
    drop(alone);
    (0..workers).map(|_| patiently(|| bind(&spec(address, true)))).collect()
}

/// Tries for a while to have an address that is in use: a ring keeps its sockets until the kernel
/// has torn it down, which may be a moment after its process has ended, and a process that is
/// restarted at once would find its own port taken.
#[expect(clippy::disallowed_methods, reason = "the control thread may sleep")]
fn patiently<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..BIND_TRIES {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
    bind()
}

const BIND_TRIES: u32 = 40;
const BIND_PAUSE: Duration = Duration::from_millis(50);

const fn spec(address: SocketAddr, reuse_port: bool) -> SocketSpec {
    SocketSpec {
        address,
        reuse_port,
        receive_buffer: SOCKET_BUFFER_SIZE,
        send_buffer: SOCKET_BUFFER_SIZE,
    }
}

impl Bound {
    /// All of them in the order in which they are numbered.
    pub(super) fn locals(&self) -> impl Iterator<Item = &Local> + Clone {
        self.listening.iter().chain(&self.own).chain(&self.connecting)
    }

    /// The sockets of MSRP, numbered behind all others.
    pub(super) fn msrp(&self) -> &[MsrpLocal] {
        &self.msrp
    }

    /// Where our own certificate is said that they have with TLS.
    pub(super) const fn fingerprint(&self) -> &Arc<AtomicCell<[u8; 32]>> {
        &self.fingerprint
    }

    /// Where each listener of the configuration was bound.
    pub(super) fn places(&self) -> &[SocketAddr] {
        &self.places
    }

    /// The sockets on which datagrams are listened for.
    pub(super) fn shared(&self) -> impl Iterator<Item = &UdpSocket> {
        self.datagrams.iter().take(self.listening.len())
    }

    /// As the worker takes them over.
    pub(super) fn sockets(self, rules: Rules) -> Sockets {
        Sockets { datagrams: self.datagrams, streams: self.streams, rules }
    }

    /// Listeners for connections, through which nobody connects any more once they are shut down.
    pub(super) fn doors(&self) -> io::Result<Vec<TcpListener>> {
        let doors = self.streams.iter().filter_map(StreamSocket::listener);
        doors.map(TcpListener::try_clone).collect()
    }

    /// The first listener of a family, which own requests share or whose address they have.
    fn first_of(&self, v4: bool) -> Option<&Local> {
        self.listening.iter().find(|local| local.address.is_ipv4() == v4)
    }

    fn listen_to(
        &mut self,
        socket: UdpSocket,
        listener: &config::Listener,
        requests: bool,
    ) -> Result<(), StartError> {
        let address = at(socket.local_addr(), listener.address)?;
        self.datagrams.push(socket);
        let advertise = listener.advertise.clone();
        self.listening.push(Local { transport: Transport::Udp, address, advertise, requests });
        Ok(())
    }

    fn accept_from(
        &mut self,
        listener: TcpListener,
        configured: &config::Listener,
    ) -> Result<(), StartError> {
        let address = at(listener.local_addr(), configured.address)?;
        self.streams.push(StreamSocket::Tcp { listener: Some(listener), address });
        self.connect_from(Transport::Tcp, address, configured);
        Ok(())
    }

    /// Listens for MSRP where this worker is to.
    fn accept_msrp(
        &mut self,
        configured: &config::MsrpListener,
        worker: u8,
    ) -> Result<(), StartError> {
        let (listener, address) = self.add_msrp(configured, worker)?;
        self.streams.push(StreamSocket::Msrp { listener: Some(listener), address });
        Ok(())
    }

    /// Binds the next socket for MSRP, and takes note of it.
    fn add_msrp(
        &mut self,
        configured: &config::MsrpListener,
        worker: u8,
    ) -> Result<(TcpListener, SocketAddr), StartError> {
        let wanted = configured.address_of(worker);
        let listener = patiently(|| listen(wanted, false));
        let listener = listener.map_err(|error| StartError::Bind(wanted, error))?;
        let address = at(listener.local_addr(), wanted)?;
        let authority = configured.authority_of(worker, address);
        self.msrp.push(MsrpLocal { address, authority, is_tls: configured.is_tls });
        Ok((listener, address))
    }

    /// The number of the socket that was added last.
    fn last_number(&self) -> SocketId {
        let before = (self.locals().count() + self.msrp.len()).saturating_sub(1);
        SocketId(u8::try_from(before).unwrap_or(u8::MAX))
    }

    /// Takes note of a socket of streams.
    fn connect_from(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        configured: &config::Listener,
    ) {
        let advertise = configured.advertise.clone();
        self.connecting.push(Local { transport, address, advertise, requests: false });
    }

    /// A socket of own requests: it is advertised under the listener's host with its own port.
    fn add_own(
        &mut self,
        socket: UdpSocket,
        wanted: SocketAddr,
        host: Option<String>,
    ) -> Result<(), StartError> {
        let address = at(socket.local_addr(), wanted)?;
        let advertise = host.map(|host| HostPort { host, port: address.port() });
        self.datagrams.push(socket);
        self.own.push(Local { transport: Transport::Udp, address, advertise, requests: true });
        Ok(())
    }
}

/// Where a socket was bound that was wanted there.
fn at(bound: io::Result<SocketAddr>, wanted: SocketAddr) -> Result<SocketAddr, StartError> {
    bound.map_err(|error| StartError::Bind(wanted, error))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may sleep")]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_given_up_in_a_moment_is_waited_for() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert_eq!(bind(&spec(address, false)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let holder = std::thread::spawn(move || {
            std::thread::sleep(2 * BIND_PAUSE);
            drop(held);
        });
        let bound = patiently(|| bind(&spec(address, false))).unwrap();
        assert_eq!(bound.local_addr().unwrap(), address);
        holder.join().unwrap();
    }

    #[test]
    fn a_group_shares_its_port_with_nobody_else() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = group(any, 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert!(first.iter().all(|socket| socket.local_addr().unwrap() == address));
        let second = group(address, 3).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }
}
