//! A running engine with everything around it: sockets bound, worker started, counters in reach.

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::config::{self, Config, HostPort, Requests};
use crate::delivery::Account;
use crate::engine::{Footprint, Serving};
use crate::io::{Choice, Kind, Polling, SocketSpec, bind, bind_in, now};
use crate::limits::{ACCOUNTS_WAITING_MAX, SOCKET_BUFFER_SIZE};
use crate::metrics::{Counter, Tally};
use crate::oam::clock::TimeOfDay;
use crate::oam::setup::{Identity, Local, setup};
use crate::oam::status::{PeerState, Snapshot, counters};
use crate::oam::verdicts::role_name;
use crate::store::HashKey;
use crate::time::Instant;
use crate::worker::{self, Control, Plan, Worker};

/// A worker that runs, and what it was started with.
#[derive(Debug)]
pub struct Service {
    worker: Worker,
    control: Arc<Control>,
    tally: Arc<Tally>,
    accounts: Option<Arc<ArrayQueue<Account>>>,
    listening: Box<[SocketAddr]>,
    requests: Box<[SocketAddr]>,
    started: TimeOfDay,
    serving: Arc<AtomicU8>,
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartError {
    /// A socket could not be bound.
    Bind(SocketAddr, io::Error),
    /// No port of the range could be bound for own requests.
    Ports(config::PortRange, io::Error),
    /// There are no random numbers to make a secret of.
    Secret(io::Error),
    /// The worker did not start: its CPU or its driver was refused.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Ports(range, error) => {
                write!(f, "no port of {}-{} can be bound: {error}", range.first, range.last)
            }
            Self::Secret(error) => write!(f, "cannot read random numbers: {error}"),
            Self::Worker(error) => write!(f, "the worker did not start: {error}"),
        }
    }
}

impl core::error::Error for StartError {}

/// What was left when a service stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped {
    /// Messages that were open and ended as unknown.
    pub abandoned: u64,
}

struct Bound {
    sockets: Vec<UdpSocket>,
    locals: Vec<Local>,
}

impl Service {
    /// Binds the sockets of `config` and starts its worker.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(config: &Config, accounts_wanted: bool) -> Result<Self, StartError> {
        let Bound { sockets, locals } = bound(config)?;
        let addresses = |requests: bool| -> Box<[SocketAddr]> {
            let of_kind = locals.iter().filter(|local| !requests || local.requests);
            of_kind.map(|local| local.address).collect()
        };
        let (listening, requests) = (addresses(false), addresses(true));
        let started = TimeOfDay { unix_ns: unix_ns(), at: now() };
        let epoch = u32::try_from(started.unix_ns / 1_000_000_000).unwrap_or(u32::MAX);
        let identity = Identity { key: secret().map_err(StartError::Secret)?, epoch };
        let tally = Arc::new(Tally::new(config.peers.len()));
        let accounts = accounts_wanted.then(|| Arc::new(ArrayQueue::new(ACCOUNTS_WAITING_MAX)));
        let control = Arc::new(Control::default());
        let worker = worker::start(Plan {
            setup: setup(config, &locals, identity, accounts_wanted),
            sockets,
            driver: match config.workers.driver {
                config::Driver::Auto => Choice::Auto,
                config::Driver::Uring => Choice::Uring,
                config::Driver::Mmsg => Choice::Mmsg,
            },
            polling: match config.workers.polling {
                config::Polling::Spin => Polling::Spin,
                config::Polling::Adaptive => Polling::Adaptive,
                config::Polling::Wait => Polling::Wait,
            },
            cpu: config.workers.cpu,
            tally: Arc::clone(&tally),
            accounts: accounts.clone(),
            control: Arc::clone(&control),
        })
        .map_err(StartError::Worker)?;
        let serving = Arc::new(AtomicU8::new(Serving::Open as u8));
        Ok(Self { worker, control, tally, accounts, listening, requests, started, serving })
    }

    /// Where it listens, as bound: listeners in the order of the configuration, then the sockets
    /// of own requests.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Where own requests leave from.
    pub fn request_addresses(&self) -> &[SocketAddr] {
        &self.requests
    }

    /// What is counted.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Where accounts come out, if they were wanted.
    pub fn accounts(&self) -> Option<Arc<ArrayQueue<Account>>> {
        self.accounts.clone()
    }

    /// Which driver moves octets.
    pub const fn kind(&self) -> Kind {
        self.worker.kind
    }

    /// Why that is not `io_uring`, where it was to be tried.
    pub fn refusal(&self) -> Option<&str> {
        self.worker.refusal.as_deref()
    }

    /// What its tables take.
    pub const fn footprint(&self) -> Footprint {
        self.worker.footprint
    }

    /// When it was started, by both clocks.
    pub const fn started(&self) -> TimeOfDay {
        self.started
    }

    /// Whether its worker still runs.
    pub fn is_running(&self) -> bool {
        !self.worker.thread.is_finished()
    }

    /// Says how new work is met from here on.
    pub fn serve(&self, serving: Serving) {
        self.control.serve(serving);
        self.serving.store(serving as u8, Ordering::Relaxed);
        self.worker.waker.wake();
    }

    /// What `roger status` is answered from, for any thread.
    pub fn observer(&self, config: &Config) -> Observer {
        let peer = |peer: &config::Peer| PeerState {
            name: peer.name.clone(),
            side: peer.side.name().to_owned(),
            role: peer.side.is_im().then(|| role_name(peer.role).to_owned()),
            addresses: peer.places.iter().map(ToString::to_string).collect(),
            ..PeerState::default()
        };
        let unchanging = Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            node: config.node,
            up_ms: 0,
            serving: String::new(),
            driver: self.kind().to_string(),
            driver_refusal: self.refusal().map(str::to_owned),
            sockets: self.listening.iter().map(ToString::to_string).collect(),
            open_max: config.capacity.open,
            memory: self.footprint().total as u64,
            counters: Vec::new(),
            peers: config.peers.iter().map(peer).collect(),
        };
        let (tally, serving) = (self.tally(), Arc::clone(&self.serving));
        Observer { unchanging, tally, serving, started: self.started.at }
    }

    /// How many messages are accepted and not closed.
    pub fn open(&self) -> u64 {
        self.tally.counters.read(Counter::MessagesOpen)
    }

    /// Ends the worker. What is open ends as unknown, and its accounts are in the ring.
    pub fn stop(self) -> Stopped {
        self.control.stop();
        self.worker.waker.wake();
        // A worker that panicked has said why on its own.
        let _ = self.worker.thread.join();
        Stopped { abandoned: self.control.abandoned().into() }
    }
}

/// Sees everything about a service and changes nothing.
#[derive(Debug)]
pub struct Observer {
    unchanging: Snapshot,
    tally: Arc<Tally>,
    serving: Arc<AtomicU8>,
    started: Instant,
}

impl Observer {
    /// The state of this moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = now();
        let serving = self.serving.load(Ordering::Relaxed);
        let mut snapshot = Snapshot {
            up_ms: now.since(self.started) / 1_000_000,
            serving: serving_name(serving).to_owned(),
            counters: counters(&self.tally),
            ..self.unchanging.clone()
        };
        for (index, peer) in snapshot.peers.iter_mut().enumerate() {
            peer.count(&self.tally, index, now.0);
        }
        snapshot
    }
}

const fn serving_name(serving: u8) -> &'static str {
    const ANNOUNCING: u8 = Serving::Announcing as u8;
    const OPEN: u8 = Serving::Open as u8;
    match serving {
        OPEN => "open",
        ANNOUNCING => "announcing",
        _ => "refusing",
    }
}

/// The worker's clock.
pub(crate) fn clock() -> Instant {
    now()
}

fn bound(config: &Config) -> Result<Bound, StartError> {
    let mut bound = Bound { sockets: Vec::new(), locals: Vec::new() };
    let single_port = config.requests == Requests::SinglePort;
    for listener in &config.listeners {
        let first = bound.first_of(listener.address.is_ipv4()).is_none();
        let socket = patiently(|| bind(&spec(listener.address)))
            .map_err(|error| StartError::Bind(listener.address, error))?;
        let advertise = listener.advertise.clone();
        bound.add(socket, listener.address, advertise, single_port && first)?;
    }
    if let Requests::Ports(range) = config.requests {
        for v4 in [true, false] {
            let Some(listener) = bound.first_of(v4).cloned() else { continue };
            let socket = bind_in(&spec(listener.address), range.first..=range.last)
                .map_err(|error| StartError::Ports(range, error))?;
            let advertise = listener.advertise.map(|advertise| advertise.host);
            bound.add_own(socket, listener.address, advertise)?;
        }
    }
    Ok(bound)
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

const fn spec(address: SocketAddr) -> SocketSpec {
    SocketSpec {
        address,
        reuse_port: false,
        receive_buffer: SOCKET_BUFFER_SIZE,
        send_buffer: SOCKET_BUFFER_SIZE,
    }
}

impl Bound {
    /// The first listener of a family, which own requests share or whose address they have.
    fn first_of(&self, v4: bool) -> Option<&Local> {
        self.locals.iter().find(|local| local.address.is_ipv4() == v4)
    }

    fn add(
        &mut self,
        socket: UdpSocket,
        wanted: SocketAddr,
        advertise: Option<HostPort>,
        requests: bool,
    ) -> Result<(), StartError> {
        let address = socket.local_addr().map_err(|error| StartError::Bind(wanted, error))?;
        self.sockets.push(socket);
        self.locals.push(Local { address, advertise, requests });
        Ok(())
    }

    /// A socket of own requests: it is advertised under the listener's host with its own port.
    fn add_own(
        &mut self,
        socket: UdpSocket,
        wanted: SocketAddr,
        host: Option<String>,
    ) -> Result<(), StartError> {
        let port = socket.local_addr().map_err(|error| StartError::Bind(wanted, error))?.port();
        let advertise = host.map(|host| HostPort { host, port });
        self.add(socket, wanted, advertise, true)
    }
}

/// 128 bits that nobody knows.
fn secret() -> io::Result<HashKey> {
    let mut octets = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    let [low, high] = [0, 64].map(|shift| u128::from_ne_bytes(octets) >> shift);
    let word = |half: u128| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0);
    Ok(HashKey([word(low), word(high)]))
}

#[expect(clippy::disallowed_methods, reason = "the epoch and verdict lines need the time of day")]
fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may sleep")]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_given_up_in_a_moment_is_waited_for() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert_eq!(bind(&spec(address)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let holder = std::thread::spawn(move || {
            std::thread::sleep(2 * BIND_PAUSE);
            drop(held);
        });
        let bound = patiently(|| bind(&spec(address))).unwrap();
        assert_eq!(bound.local_addr().unwrap(), address);
        holder.join().unwrap();
    }
}
