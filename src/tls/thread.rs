//! The thread that owns all TLS connections.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::Sender;
use rustls::pki_types::CertificateDer;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::io::{Carried, Carrier, Waker, Wanted, now, prepare};
use crate::limits::{
    STREAM_CONNECT_MS, TLS_HANDSHAKE_MS, TLS_HANDSHAKES_MAX, TLS_HANDSHAKES_PER_SOURCE_MAX,
    TLS_LINGER_MS,
};
use crate::metrics::{Counter, Tally};
use crate::packet::{Endpoint, SocketId, ip_octets};
use crate::tls::material::Material;
use crate::tls::names::Directory;
use crate::tls::pump::{End, Pump};
use crate::tls::trouble::{Teller, Trouble};

/// Where connections come in, and own ones leave from.
#[derive(Debug)]
pub struct Entrance {
    /// Its number on every worker.
    pub socket: SocketId,
    /// Who listens there.
    pub listener: std::net::TcpListener,
    /// Where that is.
    pub address: SocketAddr,
}

/// How much there may be at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections that others have opened.
    pub accepted_max: u32,
    /// Of these, those of one source; all strangers together count as one.
    pub per_source_max: u32,
}

/// The workers, as far as connections are given to them.
pub trait Workers: Send {
    /// Makes a worker look at what it was told.
    fn wake(&self, worker: usize);

    /// Whether it still takes turns.
    fn is_able(&self, worker: usize) -> bool;
}

/// What the thread is started with.
pub struct Plan {
    /// Where connections come in.
    pub entrances: Vec<Entrance>,
    /// What each worker has to say and is told, in their order.
    pub carriers: Vec<Arc<Carrier>>,
    /// What the carriers wake.
    pub waker: Waker,
    /// How they are woken.
    pub workers: Box<dyn Workers>,
    /// Who may be at the other end.
    pub directory: Directory,
    /// What handshakes are made with at first.
    pub material: Material,
    /// How much there may be.
    pub limits: Limits,
    /// A CPU that no worker has, if there is one.
    pub cpu: Option<usize>,
    /// Where it counts: nobody else does there.
    pub tally: Arc<Tally>,
    /// Where it says what goes wrong; what does not fit there is not said.
    pub told: Sender<String>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Tls {
    orders: UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Use(Material),
    End,
}

impl Tls {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// There is no thread, or no descriptor for it.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, ordered) = unbounded_channel();
        let thread = thread::Builder::new().name("roger-tls".to_owned()).spawn(move || {
            if let Some(id) = plan.cpu {
                // Wherever else it runs, it works.
                core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            LocalSet::new().block_on(&runtime, live(plan, ordered));
        })?;
        Ok(Self { orders, thread })
    }

    /// Makes every handshake from now on with this. Connections that are there stay.
    pub fn renew(&self, material: Material) {
        // Only a thread that has broken does not listen, and then nobody shakes hands.
        let _ = self.orders.send(Order::Use(material));
    }

    /// Whether it still lives.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it, when what the drivers had written before they ended their connections has left, or a
    /// moment later.
    pub fn end(self) {
        let _ = self.orders.send(Order::End);
        // One that has panicked has said why on its own.
        let _ = self.thread.join();
    }
}

async fn live(plan: Plan, mut ordered: UnboundedReceiver<Order>) {
    let Plan { entrances, carriers, waker, workers, directory, material, limits, tally, .. } = plan;
    let sources = directory.sources();
    let none = || (0..sources).map(|_| Cell::new(0)).collect();
    let shared = Rc::new(Shared {
        leaving: entrances.iter().map(|one| (one.socket, one.address)).collect(),
        carriers,
        workers,
        directory,
        material: RefCell::new(material),
        limits,
        teller: Teller::new(plan.told),
        tally,
        accepted: Count { all: Cell::new(0), sources: none() },
        handshakes: Count { all: Cell::new(0), sources: none() },
        open: Cell::new(0),
        turn: Cell::new(0),
    });
    let mut doors = Vec::new();
    for entrance in entrances {
        match TcpListener::from_std(entrance.listener) {
            Ok(listener) => {
                let accepting = accept_all(Rc::clone(&shared), listener, entrance.socket);
                doors.push(spawn_local(accepting));
            }
            // It was listening before, so that the process has no descriptor left.
            Err(_) => shared.count(Counter::AcceptErrors),
        }
    }
    let asked = spawn_local(open_all(Rc::clone(&shared), waker));
    while let Some(Order::Use(material)) = ordered.recv().await {
        *shared.material.borrow_mut() = material;
    }
    doors.iter().chain([&asked]).for_each(|task| task.abort());
    for _ in 0..TLS_LINGER_MS / ENDING_PAUSE_MS {
        if shared.open.get() == 0 {
            break;
        }
        sleep(Duration::from_millis(ENDING_PAUSE_MS.into())).await;
    }
}

/// How often it is seen whether all connections have ended.
const ENDING_PAUSE_MS: u32 = 5;

/// How long nobody is accepted when that has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections have in common.
struct Shared {
    /// Where own connections leave from, by their socket.
    leaving: Vec<(SocketId, SocketAddr)>,
    carriers: Vec<Arc<Carrier>>,
    workers: Box<dyn Workers>,
    directory: Directory,
    material: RefCell<Material>,
    limits: Limits,
    teller: Teller,
    tally: Arc<Tally>,
    accepted: Count,
    handshakes: Count,
    open: Cell<u64>,
    /// The worker that the next connection is given to.
    turn: Cell<usize>,
}

/// How many there are, in all and of each source.
struct Count {
    all: Cell<u32>,
    sources: Box<[Cell<u32>]>,
}

impl Count {
    /// Counts one more unless there are too many.
    fn take(&self, source: usize, all_max: u32, per_source_max: u32) -> Option<Taken<'_>> {
        let of_source = self.sources.get(source)?;
        if self.all.get() >= all_max || of_source.get() >= per_source_max {
            return None;
        }
        self.all.set(self.all.get() + 1);
        of_source.set(of_source.get() + 1);
        Some(Taken { count: self, source })
    }
}

/// One that is counted, for as long as it is.
struct Taken<'a> {
    count: &'a Count,
    source: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Count { all, sources } = self.count;
        all.set(all.get() - 1);
        if let Some(of_source) = sources.get(self.source) {
            of_source.set(of_source.get() - 1);
        }
    }
}

/// A connection that is shown as open, for as long as it is.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.show_open(shared.open.get() + 1);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.show_open(self.0.open.get() - 1);
    }
}

/// Why there is no connection: what to count and to tell, and the errno for a driver.
struct Failed {
    trouble: Option<(Trouble, String)>,
    errno: i32,
}

impl Failed {
    const fn silently(errno: i32) -> Self {
        Self { trouble: None, errno }
    }

    fn of_handshake(error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or_default();
        let more = match error.get_ref() {
            Some(error) => format!(": {error}"),
            None => format!(": {error}"),
        };
        Self { trouble: Some((Trouble::of(error), more)), errno }
    }

    const fn of(trouble: Trouble) -> Self {
        Self { trouble: Some((trouble, String::new())), errno: 0 }
    }
}

impl Shared {
    fn count(&self, counter: Counter) {
        self.tally.counters.add(counter);
    }

    fn show_open(&self, open: u64) {
        self.open.set(open);
        self.tally.counters.set(Counter::TlsConnections, open);
    }

    fn tell(&self, remote: Endpoint, failed: &Failed) {
        if let Some((trouble, more)) = &failed.trouble {
            self.teller.tell(&self.tally.counters, (*trouble, remote), more, now());
        }
    }

    /// The next worker in turn that takes turns.
    fn next_worker(&self) -> Option<usize> {
        let count = self.carriers.len();
        let mut candidates = (0..count).map(|step| (self.turn.get() + step) % count);
        let worker = candidates.find(|worker| self.workers.is_able(*worker))?;
        self.turn.set((worker + 1) % count);
        Some(worker)
    }

    /// Tells a worker. `false` if too much waits there already: then it is as if nothing had been.
    fn hand_over(&self, worker: usize, carried: Carried) -> bool {
        let Some(carrier) = self.carriers.get(worker) else { return false };
        let is_told = carrier.tell(carried).is_ok();
        self.workers.wake(worker);
        is_told
    }

    fn copied(&self, end: End) {
        if end == End::Cut {
            self.count(Counter::TlsCut);
        }
    }
}

#[expect(clippy::infinite_loop, reason = "its task is aborted at the end")]
async fn accept_all(shared: Rc<Shared>, listener: TcpListener, socket: SocketId) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                spawn_local(serve(Rc::clone(&shared), stream, remote.into(), socket));
            }
            Err(_) => {
                shared.count(Counter::AcceptErrors);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The life of a connection that somebody else has opened.
async fn serve(shared: Rc<Shared>, stream: TcpStream, remote: Endpoint, socket: SocketId) {
    let shared = &*shared;
    let Limits { accepted_max, per_source_max } = shared.limits;
    let source = shared.directory.source(remote.ip);
    let taken = source.and_then(|source| {
        let handshake =
            shared.handshakes.take(source, TLS_HANDSHAKES_MAX, TLS_HANDSHAKES_PER_SOURCE_MAX)?;
        Some((shared.accepted.take(source, accepted_max, per_source_max)?, handshake))
    });
    let Some((_accepted, handshake)) = taken else { return shared.count(Counter::TlsRefused) };
    let _open = Open::new(shared);
    let (tls, local) = match shaken(shared, stream, remote).await {
        Ok(done) => done,
        Err(failed) => return shared.tell(remote, &failed),
    };
    drop(handshake);
    shared.count(Counter::TlsHandshakes);
    let ends = UnixStream::pair().and_then(|(own, theirs)| Ok((own, theirs.into_std()?)));
    let (Ok((own, theirs)), Some(worker)) = (ends, shared.next_worker()) else {
        return shared.count(Counter::TlsRefused);
    };
    let stream = theirs.into();
    if !shared.hand_over(worker, Carried::Accepted { socket, remote, local, stream }) {
        return shared.count(Counter::TlsRefused);
    }
    shared.copied(Pump::new(tls, own).await);
}

/// Shakes hands with somebody who has connected, and asks who he is.
async fn shaken(
    shared: &Shared,
    stream: TcpStream,
    remote: Endpoint,
) -> Result<(TlsStream<TcpStream>, [u8; 16]), Failed> {
    let local = stream.local_addr().map_err(|_| Failed::silently(0))?;
    prepare(&socket2::SockRef::from(&stream));
    let (acceptor, is_mutual) = {
        let material = shared.material.borrow();
        (TlsAcceptor::from(Arc::clone(&material.server)), material.is_mutual)
    };
    let patience = Duration::from_millis(TLS_HANDSHAKE_MS.into());
    let tls = match timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Err(Failed::of_handshake(&error)),
        Err(_) => return Err(Failed::of(Trouble::Timeout)),
    };
    let (_, session) = tls.get_ref();
    let shown = session.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let is_admitted = shown.is_some_and(|shown| shared.directory.admits(remote, shown));
    if is_mutual && !is_admitted {
        return Err(Failed::of(Trouble::WrongName));
    }
    Ok((tls.into(), ip_octets(local.ip())))
}

/// Opens what workers want, when they want it.
async fn open_all(shared: Rc<Shared>, waker: Waker) {
    #[expect(deprecated, reason = "a waker owns its descriptor as long as it lives")]
    let Ok(waker) = AsyncFd::new(waker) else { return };
    loop {
        // Before it is waited for: what is wanted at the start has woken nobody.
        for (worker, carrier) in shared.carriers.iter().enumerate() {
            while let Some(wanted) = carrier.wanted() {
                spawn_local(open(Rc::clone(&shared), worker, wanted));
            }
        }
        let Ok(mut woken) = waker.readable().await else { return };
        woken.get_inner().rest();
        woken.clear_ready();
    }
}

/// The life of a connection that a worker wants.
async fn open(shared: Rc<Shared>, worker: usize, wanted: Wanted) {
    let shared = &*shared;
    let _open = Open::new(shared);
    let Wanted { id, remote, .. } = wanted;
    let patience = Duration::from_millis(STREAM_CONNECT_MS.into());
    let connected = match timeout(patience, connected(shared, wanted)).await {
        Ok(connected) => connected,
        Err(_) => Err(Failed { errno: libc::ETIMEDOUT, ..Failed::of(Trouble::Timeout) }),
    };
    let ends = connected.and_then(|(tls, local)| {
        let pair = UnixStream::pair().and_then(|(own, theirs)| Ok((own, theirs.into_std()?)));
        let (own, theirs) =
            pair.map_err(|error| Failed::silently(error.raw_os_error().unwrap_or_default()))?;
        Ok((tls, own, theirs, local))
    });
    match ends {
        Ok((tls, own, theirs, local)) => {
            shared.count(Counter::TlsHandshakes);
            let stream = theirs.into();
            if shared.hand_over(worker, Carried::Opened { id, local, stream }) {
                shared.copied(Pump::new(tls, own).await);
            } else {
                shared.count(Counter::TlsRefused);
            }
        }
        Err(failed) => {
            shared.tell(remote, &failed);
            // What is not told there is over when the driver has waited long enough.
            shared.hand_over(worker, Carried::Failed { id, errno: failed.errno });
        }
    }
}

/// Connects to a peer, which has to prove its name.
async fn connected(
    shared: &Shared,
    wanted: Wanted,
) -> Result<(TlsStream<TcpStream>, [u8; 16]), Failed> {
    let remote = wanted.remote.to_socket_addr();
    let client = shared.material.borrow().client.clone();
    // Where nothing can be proved nothing is sent.
    let (Some(name), Some(client)) = (shared.directory.called(wanted.remote), client) else {
        return Err(Failed::silently(libc::EACCES));
    };
    let leaving = shared.leaving.iter().find(|(socket, _)| *socket == wanted.socket);
    let stream = connect(remote, leaving.map(|(_, address)| *address)).await;
    let (stream, local) =
        stream.map_err(|error| Failed::silently(error.raw_os_error().unwrap_or_default()))?;
    match TlsConnector::from(client).connect(name.clone(), stream).await {
        Ok(tls) => Ok((tls.into(), ip_octets(local.ip()))),
        Err(error) => Err(Failed::of_handshake(&error)),
    }
}

async fn connect(
    remote: SocketAddr,
    leaving: Option<SocketAddr>,
) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    prepare(&socket2::SockRef::from(&socket));
    if let Some(address) = leaving.filter(|address| !address.ip().is_unspecified()) {
        socket.bind(SocketAddr::new(address.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}
