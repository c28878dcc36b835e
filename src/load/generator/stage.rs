//! One run from its sockets to its records.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel;

use crate::io::{SocketSpec, Sockets, StreamSocket, bind, listen, now, raise_files};
use crate::limits::CONNECTIONS_MAX as CONNECTIONS_LIMIT;
use crate::load::generator::interval::Round;
use crate::load::generator::plan::{LEAD_IN_NS, Plan, SOCKET_BUFFER_SIZE, Sessions};
use crate::load::generator::thread::{Opened, Orders};
use crate::load::generator::{answerer, sender};
use crate::packet::Transport;

pub use crate::load::generator::thread::Stop;

/// How long an end may take to get ready: it touches the records of up to a hundred million messages.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// Connections of an end: those of a large system under test, each with its own for every worker.
const CONNECTIONS_MAX: u16 = 1_024;

/// Files that an end needs beside its connections.
const FILES_BESIDE: u64 = 128;

/// How often another port is tried that may be free for both UDP and TCP.
const PORT_TRIES: u32 = 32;

/// How long a port that was asked for is waited for between two tries.
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// A run whose ends are ready.
#[derive(Debug)]
pub struct Stage {
    plan: Plan,
    orders: Arc<Orders>,
    round: Round,
    sender: Option<Running<sender::Watch, sender::Told>>,
    answerer: Option<Running<answerer::Watch, answerer::Told>>,
    start_ns: u64,
}

/// An end that runs.
#[derive(Debug)]
struct Running<W, T> {
    address: SocketAddr,
    opened: Opened,
    watch: Arc<W>,
    thread: JoinHandle<Option<T>>,
}

/// What both ends have to tell.
#[derive(Debug)]
pub struct Records {
    /// The run.
    pub plan: Plan,
    /// The sending end.
    pub sender: Option<sender::Told>,
    /// The answering end.
    pub answerer: Option<answerer::Told>,
}

/// A look at a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Nanoseconds since the first message was due.
    pub at_ns: u64,
    /// Messages that left.
    pub sent: u64,
    /// Messages about which something is still waited for.
    pub open: u64,
    /// Messages that are over and were not delivered.
    pub failed: u64,
    /// Requests that reached the answering end.
    pub requests: u64,
}

impl Stage {
    /// Opens the sockets, starts the ends, and returns when they have everything they need.
    ///
    /// # Errors
    ///
    /// A socket, a core or a driver cannot be had; the message says which.
    pub fn set(mut plan: Plan) -> io::Result<Self> {
        let orders = Arc::new(Orders::default());
        let round = Round::new().map_err(io::Error::other)?;
        // The answering end first: where the sender speaks to it directly, its port must be known.
        let answerer = match plan.answerer {
            Some(end) => {
                let (mut sockets, address) = answering(end.address)?;
                if let Some(sessions) = &mut plan.sessions {
                    sessions.address = taking_sessions(sessions, &mut sockets)?;
                }
                if plan.target.port() == 0 {
                    plan.target = address;
                }
                let watch = Arc::new(answerer::Watch::default());
                let task = answerer::Task {
                    plan: plan.clone(),
                    sockets,
                    address,
                    cpu: end.cpu,
                    orders: Arc::clone(&orders),
                    watch: Arc::clone(&watch),
                };
                Some(start("load-answer", address, watch, move |ready| task.live(ready))?)
            }
            None => None,
        };
        let sender = match plan.sender {
            Some(end) => {
                let own = local(end.address, plan.target)?;
                let (sockets, address) = sending(own, plan.transport)?;
                let watch = Arc::new(sender::Watch::default());
                let task = sender::Task {
                    plan: plan.clone(),
                    sockets,
                    address,
                    cpu: end.cpu,
                    orders: Arc::clone(&orders),
                    watch: Arc::clone(&watch),
                    round: round.clone(),
                };
                let started = start("load-send", address, watch, move |ready| task.live(ready));
                Some(started.inspect_err(|_| orders.stop(Stop::Now))?)
            }
            None => None,
        };
        Ok(Self { plan, orders, round, sender, answerer, start_ns: 0 })
    }

    /// Lets the first message be due in a moment.
    pub fn start(&mut self) {
        self.start_ns = now().0 + LEAD_IN_NS;
        self.orders.start(self.start_ns);
    }

    /// Ends the run before its time.
    pub fn stop(&self, stop: Stop) {
        self.orders.stop(stop);
    }

    /// The run, with the addresses that were found.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the sending end is, and what it runs on.
    pub fn sender(&self) -> Option<(SocketAddr, &Opened)> {
        self.sender.as_ref().map(|end| (end.address, &end.opened))
    }

    /// Where the answering end is, and what it runs on.
    pub fn answerer(&self) -> Option<(SocketAddr, &Opened)> {
        self.answerer.as_ref().map(|end| (end.address, &end.opened))
    }

    /// Where the intervals that have passed are taken from.
    pub fn round(&self) -> Round {
        self.round.clone()
    }

    /// Looks at the run.
    pub fn look(&self) -> Look {
        use std::sync::atomic::Ordering::Relaxed;
        let mut look = Look { at_ns: now().0.saturating_sub(self.start_ns), ..Look::default() };
        if let Some(Running { watch, .. }) = &self.sender {
            look.sent = watch.sent.load(Relaxed);
            look.open = watch.open.load(Relaxed);
            look.failed = watch.failed.load(Relaxed);
        }
        if let Some(Running { watch, .. }) = &self.answerer {
            look.requests = watch.requests.load(Relaxed);
        }
        look
    }

    /// Whether the sending end has said everything; an answering end alone ends when it is told to.
    pub fn is_over(&self) -> bool {
        let over = |thread: &JoinHandle<_>| thread.is_finished();
        let broken = self.answerer.as_ref().is_some_and(|end| end.thread.is_finished());
        broken || self.sender.as_ref().is_some_and(|end| over(&end.thread))
    }

    /// Takes the records.
    ///
    /// # Errors
    ///
    /// An end broke.
    pub fn finish(self) -> io::Result<Records> {
        let broken = || io::Error::other("an end of the generator broke");
        if self.sender.as_ref().is_some_and(|end| !end.thread.is_finished()) {
            self.orders.stop(Stop::Now);
        }
        let sender = match self.sender {
            Some(end) => Some(end.thread.join().map_err(|_| broken())?.ok_or_else(broken)?),
            None => None,
        };
        self.orders.stop(Stop::Now);
        let answerer = match self.answerer {
            Some(end) => Some(end.thread.join().map_err(|_| broken())?.ok_or_else(broken)?),
            None => None,
        };
        Ok(Records { plan: self.plan, sender, answerer })
    }
}

/// Starts an end on a thread of its own, and waits until it is ready.
fn start<W, T: Send + 'static>(
    name: &str,
    address: SocketAddr,
    watch: Arc<W>,
    live: impl FnOnce(&channel::Sender<io::Result<Opened>>) -> Option<T> + Send + 'static,
) -> io::Result<Running<W, T>> {
    let (tell, told) = channel::bounded(1);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || live(&tell))?;
    let opened = told
        .recv_timeout(READY_PATIENCE)
        .map_err(|_| io::Error::other("an end of the generator did not get ready"))??;
    Ok(Running { address, opened, watch, thread })
}

/// One socket to send from and to get reports at. Over a stream answers may come on new connections,
/// to the address that Via has.
fn sending(address: SocketAddr, transport: Transport) -> io::Result<(Sockets, SocketAddr)> {
    if !transport.is_reliable() {
        let socket = datagrams(address).map_err(|error| explained(address, &error))?;
        let address = socket.local_addr()?;
        return Ok((Sockets::from(Vec::from([socket])), address));
    }
    let listener = listen(address, false).map_err(|error| explained(address, &error))?;
    let address = listener.local_addr()?;
    let mut sockets = open_to_all(Vec::new());
    sockets.streams.push(StreamSocket::Tcp { listener: Some(listener), address });
    Ok((sockets, address))
}

/// A user agent server is reached over UDP and over TCP (RFC 3261 section 18.2.1), at the same port.
#[expect(clippy::disallowed_methods, reason = "nothing is measured yet")]
fn answering(wanted: SocketAddr) -> io::Result<(Sockets, SocketAddr)> {
    let mut tries = PORT_TRIES;
    loop {
        let bound = datagrams(wanted).and_then(|socket| {
            let address = socket.local_addr()?;
            Ok((socket, listen(address, false)?, address))
        });
        tries -= 1;
        match bound {
            Ok((socket, listener, address)) => {
                let mut sockets = open_to_all(Vec::from([socket]));
                sockets.streams.push(StreamSocket::Tcp { listener: Some(listener), address });
                return Ok((sockets, address));
            }
            Err(error) if tries == 0 || error.kind() != io::ErrorKind::AddrInUse => {
                return Err(explained(wanted, &error));
            }
            // Another port may be free for both; one that was asked for may be in a moment, for a ring
            // keeps its sockets until the kernel has torn it down.
            Err(_) if wanted.port() == 0 => {}
            Err(_) => thread::sleep(PORT_PAUSE),
        }
    }
}

/// One more socket, for MSRP, with as many connections as there may be sessions; where it is.
fn taking_sessions(sessions: &Sessions, sockets: &mut Sockets) -> io::Result<SocketAddr> {
    let listener =
        listen(sessions.address, false).map_err(|error| explained(sessions.address, &error))?;
    let address = listener.local_addr()?;
    sockets.streams.push(StreamSocket::Msrp { listener: Some(listener), address });
    // Half of all may lead to one address because they were wished for, and each end may connect.
    let count = u16::try_from(sessions.count).unwrap_or(u16::MAX);
    let rules = &mut sockets.rules;
    let connections = rules.connections_max.saturating_add(count.saturating_mul(3));
    rules.connections_max = connections.min(CONNECTIONS_LIMIT);
    rules.undivided_max = count.saturating_add(CONNECTIONS_MAX).min(rules.connections_max);
    raise_files(u64::from(rules.connections_max) + FILES_BESIDE)?;
    Ok(address)
}

/// Whoever is tested may open as many connections as he likes.
fn open_to_all(datagrams: Vec<UdpSocket>) -> Sockets {
    let mut sockets = Sockets::from(datagrams);
    sockets.rules.strangers = true;
    sockets.rules.connections_max = CONNECTIONS_MAX;
    sockets.rules.per_source_max = CONNECTIONS_MAX;
    sockets
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    bind(&SocketSpec {
        address,
        reuse_port: false,
        receive_buffer: SOCKET_BUFFER_SIZE,
        send_buffer: SOCKET_BUFFER_SIZE,
    })
}

fn explained(address: SocketAddr, error: &io::Error) -> io::Error {
    let words = ["cannot listen on ", &address.to_string(), ": ", &error.to_string()];
    io::Error::new(error.kind(), words.concat())
}

/// The address to send from: what stands in Via and From must be one that answers can reach.
fn local(wanted: SocketAddr, target: SocketAddr) -> io::Result<SocketAddr> {
    if !wanted.ip().is_unspecified() {
        return Ok(wanted);
    }
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connecting a datagram socket sends nothing; it asks for the route.
    let probe = UdpSocket::bind(any)?;
    probe.connect(target)?;
    Ok(SocketAddr::new(probe.local_addr()?.ip(), wanted.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_is_the_one_that_reaches_the_target() {
        let target: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let any: SocketAddr = "0.0.0.0:7".parse().unwrap();
        assert_eq!(local(any, target).unwrap(), "127.0.0.1:7".parse().unwrap());
        let own: SocketAddr = "127.0.0.5:0".parse().unwrap();
        assert_eq!(local(own, target).unwrap(), own);
    }
}
