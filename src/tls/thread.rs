//! The thread that owns all TLS connections.

use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::pki_types::{CertificateDer, ServerName};
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
use crate::packet::{Certificate, Endpoint, ip_octets};
use crate::tls::counted::{Count, Crowd};
use crate::tls::material::Material;
use crate::tls::names::Directory;
use crate::tls::plan::{Door, Entrance, Limits, Plan, Spoken, Workers};
use crate::tls::pump::{End, Pump};
use crate::tls::trouble::{Teller, Trouble};

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
    let fingerprint = plan.fingerprint;
    let shared = Rc::new(Shared {
        doors: entrances.iter().map(Entrance::door).collect(),
        carriers,
        workers,
        directory,
        material: RefCell::new(material),
        limits,
        teller: Teller::new(plan.told),
        tally,
        accepted: Count::new(sources),
        handshakes: Count::new(sources),
        msrp_accepted: Count::new(1),
        msrp_handshakes: Crowd::default(),
        open: Cell::new(0),
        turn: Cell::new(0),
    });
    let mut doors = Vec::new();
    for entrance in entrances {
        let door = entrance.door();
        match TcpListener::from_std(entrance.listener) {
            Ok(listener) => {
                let accepting = accept_all(Rc::clone(&shared), listener, door);
                doors.push(spawn_local(accepting));
            }
            // It was listening before, so that the process has no descriptor left.
            Err(_) => shared.count(Counter::AcceptErrors),
        }
    }
    let asked = spawn_local(open_all(Rc::clone(&shared), waker));
    while let Some(Order::Use(material)) = ordered.recv().await {
        // A session that was offered before and connects after it may be refused by the other end: nothing of
        // its message has left then.
        fingerprint.store(material.fingerprint());
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
    /// Where connections come in, and own ones leave from.
    doors: Vec<Door>,
    carriers: Vec<Arc<Carrier>>,
    workers: Box<dyn Workers>,
    directory: Directory,
    material: RefCell<Material>,
    limits: Limits,
    teller: Teller,
    tally: Arc<Tally>,
    accepted: Count,
    handshakes: Count,
    /// The same of MSRP, where nobody is known before his session is.
    msrp_accepted: Count,
    msrp_handshakes: Crowd,
    open: Cell<u64>,
    /// The worker that the next connection is given to.
    turn: Cell<usize>,
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
        let is_told = carrier.tell(carried);
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
async fn accept_all(shared: Rc<Shared>, listener: TcpListener, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let shared = Rc::clone(&shared);
                match door.spoken {
                    Spoken::Sip => spawn_local(serve(shared, stream, remote.into(), door)),
                    Spoken::Msrp(_) => spawn_local(serve_msrp(shared, stream, remote.into(), door)),
                };
            }
            Err(_) => {
                shared.count(Counter::AcceptErrors);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The life of a connection of SIP that somebody else has opened.
async fn serve(shared: Rc<Shared>, stream: TcpStream, remote: Endpoint, door: Door) {
    let shared = &*shared;
    let Limits { accepted_max, per_source_max, .. } = shared.limits;
    let source = shared.directory.source(remote.ip);
    let taken = source.and_then(|source| {
        let handshake =
            shared.handshakes.take(source, TLS_HANDSHAKES_MAX, TLS_HANDSHAKES_PER_SOURCE_MAX)?;
        Some((shared.accepted.take(source, accepted_max, per_source_max)?, handshake))
    });
    let Some((_accepted, handshake)) = taken else { return shared.count(Counter::TlsRefused) };
    let _open = Open::new(shared);
    match shaken(shared, stream, remote, door).await {
        Ok(shaken) => {
            drop(handshake);
            let worker = shared.next_worker();
            shared.carry(shaken, remote, door, worker).await;
        }
        Err(failed) => shared.tell(remote, &failed),
    }
}

/// The same of one of MSRP: anybody may connect, and goes to the worker whose port that is.
async fn serve_msrp(shared: Rc<Shared>, stream: TcpStream, remote: Endpoint, door: Door) {
    const HANDSHAKES_MAX: usize = TLS_HANDSHAKES_MAX as usize;
    const PER_ADDRESS_MAX: usize = TLS_HANDSHAKES_PER_SOURCE_MAX as usize;
    let shared = &*shared;
    let msrp_max = shared.limits.msrp_max;
    let handshake = shared.msrp_handshakes.enter(remote.ip, HANDSHAKES_MAX, PER_ADDRESS_MAX);
    let Some(handshake) = handshake else { return shared.count(Counter::TlsRefused) };
    let _open = Open::new(shared);
    match shaken(shared, stream, remote, door).await {
        Ok(shaken) => {
            drop(handshake);
            // Not before: who never comes to the end of a handshake takes nobody's place.
            let Some(_accepted) = shared.msrp_accepted.take(0, msrp_max, msrp_max) else {
                return shared.count(Counter::TlsRefused);
            };
            let worker = match door.spoken {
                Spoken::Msrp(worker) => Some(worker),
                Spoken::Sip => None,
            };
            let worker = worker.filter(|worker| shared.workers.is_able(*worker));
            shared.carry(shaken, remote, door, worker).await;
        }
        Err(failed) => shared.tell(remote, &failed),
    }
}

/// A connection after its handshake.
struct Shaken {
    tls: TlsStream<TcpStream>,
    local: [u8; 16],
    /// What the other end has shown, where the engine judges that.
    certificate: Option<Certificate>,
}

impl Shared {
    /// Gives a connection that was accepted to a worker, and copies its octets until it ends.
    async fn carry(&self, shaken: Shaken, remote: Endpoint, door: Door, worker: Option<usize>) {
        let Shaken { tls, local, certificate } = shaken;
        self.count(Counter::TlsHandshakes);
        let ends = UnixStream::pair().and_then(|(own, theirs)| Ok((own, theirs.into_std()?)));
        let (Ok((own, theirs)), Some(worker)) = (ends, worker) else {
            return self.count(Counter::TlsRefused);
        };
        let (socket, stream) = (door.socket, theirs.into());
        let carried = Carried::Accepted { socket, remote, local, stream, certificate };
        if !self.hand_over(worker, carried) {
            return self.count(Counter::TlsRefused);
        }
        self.copied(Pump::new(tls, own).await);
    }

    /// What the other end of a connection of MSRP has shown.
    fn judged(
        &self,
        tls: &TlsStream<TcpStream>,
        remote: Endpoint,
        door: Door,
    ) -> Option<Certificate> {
        let (_, session) = tls.get_ref();
        let have_connected = matches!(tls, TlsStream::Client(_));
        matches!(door.spoken, Spoken::Msrp(_)).then_some(())?;
        let shown = session.peer_certificates()?;
        self.material.borrow().judge(shown, have_connected, &self.called(remote))
    }

    /// Under which name somebody is called over MSRP: his address has to do where he has none.
    fn called(&self, remote: Endpoint) -> ServerName<'static> {
        let by_address = || ServerName::from(remote.to_socket_addr().ip());
        self.directory.called(remote).cloned().unwrap_or_else(by_address)
    }
}

/// Shakes hands with somebody who has connected, and asks who he is.
async fn shaken(
    shared: &Shared,
    stream: TcpStream,
    remote: Endpoint,
    door: Door,
) -> Result<Shaken, Failed> {
    let local = stream.local_addr().map_err(|_| Failed::silently(0))?;
    prepare(&socket2::SockRef::from(&stream));
    let (acceptor, is_mutual) = {
        let material = shared.material.borrow();
        match door.spoken {
            Spoken::Sip => (Arc::clone(&material.server), material.is_mutual),
            Spoken::Msrp(_) => (Arc::clone(&material.msrp_server), false),
        }
    };
    let patience = Duration::from_millis(TLS_HANDSHAKE_MS.into());
    let tls = match timeout(patience, TlsAcceptor::from(acceptor).accept(stream)).await {
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
    let tls = tls.into();
    let certificate = shared.judged(&tls, remote, door);
    Ok(Shaken { tls, local: ip_octets(local.ip()), certificate })
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
    let connected = match timeout(patience, connected(shared, worker, wanted)).await {
        Ok(connected) => connected,
        Err(_) => Err(Failed { errno: libc::ETIMEDOUT, ..Failed::of(Trouble::Timeout) }),
    };
    let ends = connected.and_then(|shaken| {
        let pair = UnixStream::pair().and_then(|(own, theirs)| Ok((own, theirs.into_std()?)));
        let (own, theirs) =
            pair.map_err(|error| Failed::silently(error.raw_os_error().unwrap_or_default()))?;
        Ok((shaken, own, theirs))
    });
    match ends {
        Ok((Shaken { tls, local, certificate }, own, theirs)) => {
            shared.count(Counter::TlsHandshakes);
            let stream = theirs.into();
            if shared.hand_over(worker, Carried::Opened { id, local, stream, certificate }) {
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

/// Connects to a peer, which has to prove its name; or to an end of MSRP, which has to show a certificate.
async fn connected(shared: &Shared, worker: usize, wanted: Wanted) -> Result<Shaken, Failed> {
    let is_meant = |door: &&Door| {
        door.socket == wanted.socket && [Spoken::Sip, Spoken::Msrp(worker)].contains(&door.spoken)
    };
    let nothing = || Failed::silently(libc::EACCES);
    let door = *shared.doors.iter().find(is_meant).ok_or_else(nothing)?;
    let (name, client) = {
        let material = shared.material.borrow();
        match door.spoken {
            Spoken::Sip => {
                (shared.directory.called(wanted.remote).cloned(), material.client.clone())
            }
            Spoken::Msrp(_) => {
                (Some(shared.called(wanted.remote)), Some(Arc::clone(&material.msrp_client)))
            }
        }
    };
    // Where nothing can be proved nothing is sent.
    let (name, client) = name.zip(client).ok_or_else(nothing)?;
    let stream = connect(wanted.remote.to_socket_addr(), door.address).await;
    let (stream, local) =
        stream.map_err(|error| Failed::silently(error.raw_os_error().unwrap_or_default()))?;
    match TlsConnector::from(client).connect(name, stream).await {
        Ok(tls) => {
            let tls = tls.into();
            let certificate = shared.judged(&tls, wanted.remote, door);
            Ok(Shaken { tls, local: ip_octets(local.ip()), certificate })
        }
        Err(error) => Err(Failed::of_handshake(&error)),
    }
}

async fn connect(remote: SocketAddr, leaving: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    prepare(&socket2::SockRef::from(&socket));
    if !leaving.ip().is_unspecified() {
        socket.bind(SocketAddr::new(leaving.ip(), 0))?;
    }
    let stream = socket.connect(remote).await?;
    let local = stream.local_addr()?;
    Ok((stream, local))
}
