//! Running engines with everything around them: sockets bound, workers started, counters in reach.

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;

use crossbeam::queue::ArrayQueue;

use crate::config::{self, Config};
use crate::delivery::Account;
use crate::engine::{Common, Footprint, Neighbours, Serving, Setup};
use crate::handover;
use crate::io::{Choice, Kind, Polling, now, raise_files, steer};
use crate::limits::{ACCOUNTS_WAITING_MAX, TLS_HANDSHAKES_MAX};
use crate::metrics::{Counter, Tally, Total};
use crate::oam::clock::TimeOfDay;
use crate::oam::encryption::Encryption;
use crate::oam::identity::{Identity, IdentityError};
use crate::oam::setup::{Own, large, next_servers, setup};
use crate::oam::sockets::{Bound, bound, rules};
use crate::oam::status::{PeerState, Snapshot, WorkerState, counters};
use crate::oam::supervisor::{Charge, Loss, Supervisor};
use crate::oam::verdicts::role_name;
use crate::time::Instant;
use crate::tls::Material;
use crate::worker::{self, Crew, Plan, Stage, Worker};

/// Workers that run, and what they were started with.
#[derive(Debug)]
pub struct Service {
    workers: Vec<Worker>,
    crew: Crew,
    supervisor: Supervisor,
    total: Total,
    accounts: Option<Arc<ArrayQueue<Account>>>,
    listening: Box<[SocketAddr]>,
    requests: Box<[SocketAddr]>,
    msrp: Box<[Box<[SocketAddr]>]>,
    started: TimeOfDay,
    serving: Arc<AtomicU8>,
    lost_after_ms: u32,
    tls: Option<Encryption>,
    /// While it lives, no other process has the same.
    _identity: Identity,
}

/// Why a service did not start.
#[derive(Debug)]
pub enum StartError {
    /// The system does not say how many files may be open.
    Files(io::Error),
    /// All connections together need more files than may be open.
    FewFiles {
        /// Needed.
        wanted: u64,
        /// Allowed (RLIMIT_NOFILE).
        allowed: u64,
    },
    /// A socket could not be bound.
    Bind(SocketAddr, io::Error),
    /// No port of the range could be bound for own requests.
    Ports(config::PortRange, io::Error),
    /// The secret or the boot epoch cannot be had.
    Identity(IdentityError),
    /// Datagrams cannot be spread over the workers.
    Steering(io::Error),
    /// A worker did not start: its CPU or its driver was refused.
    Worker(usize, io::Error),
    /// There is no thread to look after the workers.
    Supervisor(io::Error),
    /// A certificate or a key cannot be used.
    Certificates(String),
    /// TLS connections cannot be carried to the workers.
    Carriers(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(error) => write!(f, "cannot ask for open files: {error}"),
            Self::FewFiles { wanted, allowed } => write!(
                f,
                "{wanted} files may be needed, and {allowed} may be open: raise RLIMIT_NOFILE \
                 (LimitNOFILE= of the unit), or lower `connections`"
            ),
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Ports(range, error) => {
                write!(f, "no port of {}-{} can be bound: {error}", range.first, range.last)
            }
            Self::Identity(error) => error.fmt(f),
            Self::Steering(error) => {
                write!(f, "cannot spread datagrams over the workers: {error}")
            }
            Self::Worker(index, error) => write!(f, "worker {index} did not start: {error}"),
            Self::Supervisor(error) => write!(f, "cannot look after the workers: {error}"),
            Self::Certificates(problem) => write!(f, "cannot speak TLS: {problem}"),
            Self::Carriers(error) => write!(f, "cannot carry TLS connections: {error}"),
        }
    }
}

impl core::error::Error for StartError {}

/// What was left when a service stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stopped {
    /// Messages that were open and ended as unknown.
    pub abandoned: u64,
    /// Workers that were lost since that was asked last.
    pub losses: Vec<Loss>,
}

/// Sockets, ring and waker of a worker.
const FILES_PER_WORKER: u64 = 48;

/// What the process has open beside its workers.
const FILES_BESIDE: u64 = 64;

/// How long a worker that ends, and is not lost, is waited for beyond what it may wait itself.
const ENDING_PATIENCE_MS: u32 = 10_000;

/// How often it is seen whether all have ended.
const ENDING_PAUSE: Duration = Duration::from_millis(5);

impl Service {
    /// Binds the sockets of `config` and starts its workers.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(config: &Config, accounts_wanted: bool) -> Result<Self, StartError> {
        let count = config.workers.count();
        let started = TimeOfDay { unix_ns: unix_ns(), at: now() };
        // First of all: where listeners are shared, a second process must not even bind them.
        let directory = config.state_directory.as_deref();
        let identity = Identity::open(directory).map_err(StartError::Identity)?;
        let wanted = files_wanted(config);
        match raise_files(wanted) {
            Ok(allowed) if allowed >= wanted => {}
            Ok(allowed) => return Err(StartError::FewFiles { wanted, allowed }),
            Err(error) => return Err(StartError::Files(error)),
        }
        let material = config.tls.as_ref().map(Material::read).transpose();
        let material = material.map_err(StartError::Certificates)?;
        let (bound, carriers) = bound(config, count)?;
        let steered = steered(config, &bound).map_err(StartError::Steering)?;
        let doors = bound.iter().map(Bound::doors).collect::<io::Result<Vec<_>>>();
        let doors = doors.map_err(StartError::Steering)?;
        let (listening, requests) = (addresses(&bound, false), addresses(&bound, true));
        let msrp = bound.iter().map(|one| one.msrp().iter().map(|local| local.address).collect());
        let msrp = msrp.collect();
        // The last two are those of the supervisor and of TLS.
        let total = Total::of((0..count + 2).map(|_| Arc::new(Tally::new(config.peers.len()))));
        let waiting = ACCOUNTS_WAITING_MAX * count;
        let accounts = accounts_wanted.then(|| Arc::new(ArrayQueue::new(waiting)));
        let crew = worker::crew(count);
        let tally = || Arc::clone(&total.tallies()[count + 1]);
        let tls = material.zip(carriers);
        let tls = tls.map(|both| Encryption::start(config, both, Arc::clone(&crew), tally()));
        let tls = tls.transpose().map_err(StartError::Carriers)?;
        let beginning =
            Beginning { config, identity: &identity, total: &total, accounts: &accounts };
        let (workers, common) = beginning.start_all(bound, &crew)?;
        let charge = Charge {
            crew: Arc::clone(&crew),
            common,
            tally: Arc::clone(&total.tallies()[count]),
            accounts: accounts.clone(),
            rules: config.peers.iter().map(|peer| peer.recipient).collect(),
            lost_after_ms: config.workers.lost_after_ms,
            steered,
            doors,
        };
        let supervisor = match Supervisor::start(charge) {
            Ok(supervisor) => supervisor,
            Err(error) => {
                end(&crew, workers, 0);
                return Err(StartError::Supervisor(error));
            }
        };
        let serving = Arc::new(AtomicU8::new(Serving::Open as u8));
        // Not one of them before all can: what one has accepted would be lost with the others.
        crew.iter().for_each(|control| control.begin());
        Ok(Self {
            workers,
            crew,
            supervisor,
            total,
            accounts,
            listening,
            requests,
            msrp,
            started,
            serving,
            lost_after_ms: config.workers.lost_after_ms,
            tls,
            _identity: identity,
        })
    }

    /// Where it listens, as bound: listeners in the order of the configuration, then the sockets
    /// of own requests.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Octets that connections take in all workers, used or not.
    pub fn connections_size(&self) -> usize {
        self.workers.iter().map(|worker| worker.connections_size).sum()
    }

    /// Where own requests leave from.
    pub fn request_addresses(&self) -> &[SocketAddr] {
        &self.requests
    }

    /// Where each worker listens for MSRP, in the order of the configuration.
    pub fn msrp_addresses(&self) -> &[Box<[SocketAddr]>] {
        &self.msrp
    }

    /// What is counted, by all workers together; each worker's own tally is in it, in their order, and
    /// that of whoever speaks for those that are lost and that of TLS come last.
    pub fn total(&self) -> Total {
        self.total.clone()
    }

    /// Where accounts come out, if they were wanted.
    pub fn accounts(&self) -> Option<Arc<ArrayQueue<Account>>> {
        self.accounts.clone()
    }

    /// Which driver moves octets: the same for all workers, or the less able where they differ.
    pub fn kind(&self) -> Kind {
        let differs = self.workers.iter().any(|worker| worker.kind != Kind::Uring);
        if differs { Kind::Mmsg } else { Kind::Uring }
    }

    /// Why that is not `io_uring`, where it was to be tried.
    pub fn refusal(&self) -> Option<&str> {
        self.workers.iter().find_map(|worker| worker.refusal.as_deref())
    }

    /// What the tables of all workers take, and the parcels between them.
    pub fn footprint(&self) -> Footprint {
        let mut footprints = self.workers.iter().map(|worker| worker.footprint);
        let Some(first) = footprints.next() else { unreachable!("there is one worker at least") };
        let parcels = handover::memory(self.workers.len());
        let others: usize = footprints.map(|footprint| footprint.total).sum();
        Footprint { total: first.total + others + parcels, ..first }
    }

    /// When it was started, by both clocks.
    pub const fn started(&self) -> TimeOfDay {
        self.started
    }

    /// Reads the files of `[tls]` again, all or nothing, for the handshakes from now on; `None` where
    /// TLS is not spoken. Connections that are there stay.
    ///
    /// # Errors
    ///
    /// Says which file is wrong; then nothing has changed.
    pub fn renew_certificates(&self) -> Option<Result<(), String>> {
        self.tls.as_ref().map(Encryption::renew)
    }

    /// What went wrong with TLS connections since this was asked last, in a few lines.
    pub fn troubles(&self) -> impl Iterator<Item = String> {
        self.tls.iter().flat_map(Encryption::troubles)
    }

    /// Whether every worker still runs or is known to be lost, and TLS is spoken where it is to be.
    pub fn is_running(&self) -> bool {
        if self.tls.as_ref().is_some_and(|tls| !tls.is_running()) {
            return false;
        }
        let lost = self.supervisor.lost();
        let mut ended = self.workers.iter().enumerate().filter(|(_, w)| w.thread.is_finished());
        ended.all(|(index, _)| lost & 1 << index != 0)
    }

    /// Whether no worker is left.
    pub fn is_deserted(&self) -> bool {
        self.supervisor.lost().count_ones() as usize >= self.workers.len()
    }

    /// Workers that were lost since this was asked last.
    pub fn losses(&self) -> impl Iterator<Item = Loss> {
        self.supervisor.losses()
    }

    /// Says how new work is met from here on.
    pub fn serve(&self, serving: Serving) {
        self.serving.store(serving as u8, Ordering::Relaxed);
        for control in self.crew.iter() {
            control.serve(serving);
            control.wake();
        }
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
            workers: Vec::new(),
            counters: Vec::new(),
            peers: config.peers.iter().map(peer).collect(),
        };
        Observer {
            unchanging,
            total: self.total(),
            crew: Arc::clone(&self.crew),
            cpus: config.workers.cpus.clone(),
            lost: self.supervisor.lost_bits(),
            serving: Arc::clone(&self.serving),
            started: self.started.at,
        }
    }

    /// How many messages are accepted and not closed, by workers that can.
    pub fn open(&self) -> u64 {
        [Counter::MessagesOpen, Counter::SubmissionsOpen, Counter::CarriedOpen]
            .map(|gauge| self.of_the_able(gauge))
            .iter()
            .sum()
    }

    /// How many dialogs are not ended yet, by workers that can: who has answered an INVITE waits for an ACK
    /// and a BYE, which would never come.
    pub fn unfinished(&self) -> u64 {
        self.of_the_able(Counter::CallsUnfinished)
    }

    fn of_the_able(&self, gauge: Counter) -> u64 {
        let lost = self.supervisor.lost();
        let tallies = self.total.tallies().iter().take(self.workers.len()).enumerate();
        let able = tallies.filter(|(index, _)| lost & 1 << index == 0);
        able.map(|(_, tally)| tally.counters.read(gauge)).sum()
    }

    /// Ends the workers. What is open ends as unknown, and its accounts are in the ring. A worker that
    /// can no longer end is lost like any other, and not waited for.
    pub fn stop(self) -> Stopped {
        for control in self.crew.iter() {
            control.stop();
            control.wake();
        }
        let patience = now().plus_ms(self.lost_after_ms).plus_ms(ENDING_PATIENCE_MS);
        while !self.is_over() && now() < patience {
            thread::park_timeout(ENDING_PAUSE);
        }
        let (mut lost, losses) = self.supervisor.end();
        for (index, worker) in self.workers.iter().enumerate() {
            lost |= u64::from(!worker.thread.is_finished()) << index;
        }
        end(&self.crew, self.workers, lost);
        if let Some(tls) = self.tls {
            tls.end();
        }
        let abandoned = self.crew.iter().map(|control| u64::from(control.abandoned())).sum();
        Stopped { abandoned, losses }
    }

    /// Whether every worker has ended or is lost.
    fn is_over(&self) -> bool {
        let lost = self.supervisor.lost();
        let mut workers = self.workers.iter().enumerate();
        workers.all(|(index, worker)| worker.thread.is_finished() || lost & 1 << index != 0)
    }
}

/// What all workers are started with.
struct Beginning<'a> {
    config: &'a Config,
    identity: &'a Identity,
    total: &'a Total,
    accounts: &'a Option<Arc<ArrayQueue<Account>>>,
}

impl Beginning<'_> {
    /// Starts the workers one after the other; none goes on if one cannot start.
    fn start_all(
        &self,
        bound: Vec<Bound>,
        crew: &Crew,
    ) -> Result<(Vec<Worker>, Arc<Common>), StartError> {
        let Self { config, identity, total, accounts } = *self;
        let own = Own::of(bound.iter().flat_map(Bound::locals));
        let servers = next_servers(config).count();
        let neighbours = Neighbours::group(bound.len(), servers);
        let Some(common) = neighbours.first().map(Neighbours::common) else {
            unreachable!("there is one worker at least");
        };
        let mut workers = Vec::with_capacity(bound.len());
        for (index, (neighbours, bound)) in neighbours.into_iter().zip(bound).enumerate() {
            let rules = rules(config, neighbours.own());
            let first = bound.locals().count();
            let large = large(config, bound.msrp(), first, bound.fingerprint());
            let setup =
                setup(config, neighbours.own(), bound.locals(), &own, identity, accounts.is_some());
            let plan = Plan {
                setup: Setup { large, ..setup },
                neighbours,
                sockets: bound.sockets(rules),
                driver: choice(config.workers.driver),
                polling: polling(config.workers.polling),
                cpu: config.workers.cpus.get(index).copied().flatten(),
                tally: Arc::clone(&total.tallies()[index]),
                accounts: accounts.clone(),
                crew: Arc::clone(crew),
            };
            match worker::start(plan) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    end(crew, workers, 0);
                    return Err(StartError::Worker(index, error));
                }
            }
        }
        Ok((workers, common))
    }
}

/// How many files the process may need at the same time.
pub(super) fn files_wanted(config: &Config) -> u64 {
    let workers = config.workers.count() as u64;
    let of_msrp = config.large.as_ref().map_or(0, |large| large.connections);
    let connections = u64::from(config.capacity.connections) * workers;
    let encrypted = match config.tls {
        Some(_) => 2 * connections + u64::from(TLS_HANDSHAKES_MAX),
        None => 0,
    };
    let listens_tls = config.large.iter().flat_map(|large| &large.listeners).any(|one| one.is_tls);
    let msrp = u64::from(of_msrp) * workers;
    // One that is encrypted has the ends of a pair beside its own.
    let msrp = if listens_tls { 3 * msrp + u64::from(TLS_HANDSHAKES_MAX) } else { msrp };
    connections + encrypted + msrp + workers * FILES_PER_WORKER + FILES_BESIDE
}

/// Ends workers, and waits for those that are not lost.
fn end(crew: &Crew, workers: Vec<Worker>, lost: u64) {
    for control in crew.iter() {
        control.stop();
        control.dismiss();
        control.wake();
    }
    for (index, worker) in workers.into_iter().enumerate() {
        if lost & 1 << index == 0 || worker.thread.is_finished() {
            // A worker that panicked has said why on its own.
            let _ = worker.thread.join();
        }
    }
}

/// Sees everything about a service and changes nothing.
#[derive(Debug)]
pub struct Observer {
    unchanging: Snapshot,
    total: Total,
    crew: Crew,
    cpus: Vec<Option<usize>>,
    lost: Arc<AtomicU64>,
    serving: Arc<AtomicU8>,
    started: Instant,
}

impl Observer {
    /// The state of this moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = now();
        let serving = self.serving.load(Ordering::Relaxed);
        let lost = self.lost.load(Ordering::Acquire);
        let workers = self.cpus.iter().zip(self.total.tallies()).enumerate();
        let mut snapshot = Snapshot {
            up_ms: now.since(self.started) / 1_000_000,
            serving: serving_name(serving).to_owned(),
            counters: counters(&self.total),
            workers: workers
                .map(|(index, (cpu, tally))| {
                    let state = state_name(self.crew[index].stage(), lost & 1 << index != 0);
                    WorkerState::of(*cpu, state, self.crew[index].turns(), tally)
                })
                .collect(),
            ..self.unchanging.clone()
        };
        // What was open on a worker that is lost has ended, and it can no longer count that.
        let tallies = self.total.tallies().iter().take(self.crew.len()).enumerate();
        let gone = tallies.filter(|(index, _)| lost & 1 << index != 0);
        let gone: u64 = gone.map(|(_, one)| one.counters.read(Counter::MessagesOpen)).sum();
        let counts = snapshot.counters.iter_mut().flat_map(|group| &mut group.counters);
        for count in counts.filter(|count| count.name == Counter::MessagesOpen.name()) {
            count.value = count.value.saturating_sub(gone);
        }
        for (index, peer) in snapshot.peers.iter_mut().enumerate() {
            peer.count(&self.total, index, now.0);
        }
        snapshot
    }
}

const fn state_name(stage: Stage, is_lost: bool) -> &'static str {
    match (stage, is_lost) {
        (Stage::Broken, _) => "broken",
        (Stage::Ended, true) => "silenced",
        (Stage::Running, true) => "stuck",
        (Stage::Ended, false) => "ended",
        (Stage::Running, false) => "running",
    }
}

/// Attaches the program that spreads datagrams over the workers, where it is wanted: one socket of
/// each group, through which that can be changed.
fn steered(config: &Config, bound: &[Bound]) -> io::Result<Vec<UdpSocket>> {
    if config.workers.steering != config::Steering::Spread || bound.len() < 2 {
        return Ok(Vec::new());
    }
    let Some(first) = bound.first() else { return Ok(Vec::new()) };
    let workers = u8::try_from(bound.len()).unwrap_or(u8::MAX);
    let listeners = first.shared();
    listeners
        .map(|socket| {
            steer(socket, workers)?;
            socket.try_clone()
        })
        .collect()
}

/// Where sockets are bound that own requests leave from, and all others before them if wanted:
/// listeners once, for all workers have the same.
fn addresses(bound: &[Bound], requests: bool) -> Box<[SocketAddr]> {
    let listeners = bound.first().filter(|_| !requests).map_or(&[][..], Bound::places);
    let mut found = Vec::from(listeners);
    for local in bound.iter().flat_map(Bound::locals).filter(|local| local.requests) {
        if !found.contains(&local.address) {
            found.push(local.address);
        }
    }
    found.into()
}

const fn choice(driver: config::Driver) -> Choice {
    match driver {
        config::Driver::Auto => Choice::Auto,
        config::Driver::Uring => Choice::Uring,
        config::Driver::Mmsg => Choice::Mmsg,
    }
}

const fn polling(polling: config::Polling) -> Polling {
    match polling {
        config::Polling::Spin => Polling::Spin,
        config::Polling::Adaptive => Polling::Adaptive,
        config::Polling::Wait => Polling::Wait,
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

#[expect(clippy::disallowed_methods, reason = "verdict lines need the time of day")]
fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
