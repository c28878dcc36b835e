//! Loopback tests of all drivers: each runs once on io_uring, where that is allowed, once on `mmsg`,
//! and once on that with trains.
#![expect(clippy::disallowed_macros, reason = "tests may allocate")]

mod echo;
mod errors;
mod load;
mod refusal;
mod room;
mod seccomp;
mod sockets;
mod steering;
mod streams;
mod streams_breaker;
mod traffic;
mod trains;
mod undivided;
mod wait;

use core::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;

use super::{Choice, Driver, Event, Polling, SocketSpec, Sockets, StreamSocket, bind, listen};
use crate::id::WorkerId;
use crate::limits::BURST_SIZE;
use crate::metrics::{Counter, Tally};
use crate::packet::{Departure, Departures, Endpoint, Flow, JournalSeq, Owner, Purse, Sent};
use crate::session::stream::Rules;
use crate::time::Instant;

/// A datagram as it was handed over.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Got {
    flow: Flow,
    octets: Vec<u8>,
    truncated: bool,
}

/// A worker without an engine: it keeps what it is told.
struct Worker {
    driver: Driver,
    out: Departures,
    tally: Arc<Tally>,
    got: Vec<Got>,
    bursts: Vec<usize>,
    sent: Vec<(Owner, Sent)>,
    unreachable: Vec<(Endpoint, Vec<u8>)>,
}

/// The drivers that this machine allows.
fn choices() -> Vec<Choice> {
    let tally = Arc::new(Tally::new(0));
    match Driver::open(Vec::new(), Choice::Uring, tally) {
        Ok(_) => vec![Choice::Uring, Choice::Mmsg, Choice::Trains],
        Err(error) => {
            println!("io_uring is refused here: {error}");
            vec![Choice::Mmsg, Choice::Trains]
        }
    }
}

/// Those of which each departure is a send of its own.
fn choices_without_trains() -> Vec<Choice> {
    choices().into_iter().filter(|choice| *choice != Choice::Trains).collect()
}

const LOCALHOST_V4: &str = "127.0.0.1:0";
const LOCALHOST_V6: &str = "[::1]:0";

/// The families that this machine has.
fn families() -> Vec<&'static str> {
    let mut families = vec![LOCALHOST_V4];
    if UdpSocket::bind(LOCALHOST_V6).is_ok() {
        families.push(LOCALHOST_V6);
    }
    families
}

fn spec(address: &str) -> SocketSpec {
    SocketSpec {
        address: address.parse().unwrap(),
        reuse_port: false,
        receive_buffer: 0,
        send_buffer: 0,
    }
}

/// A worker that listens for connections, and where.
fn listening(choice: Choice, connections_max: u16) -> (Worker, SocketAddr) {
    listening_at(LOCALHOST_V4, choice, connections_max)
}

fn listening_at(at: &str, choice: Choice, connections_max: u16) -> (Worker, SocketAddr) {
    let rules = Rules {
        worker: WorkerId(3),
        connections_max,
        per_source_max: connections_max,
        known: Box::new([]),
        strangers: true,
        idle_ms: 60_000,
        undivided: Box::new([]),
        undivided_max: connections_max,
    };
    let listener = listen(at.parse().unwrap(), false).unwrap();
    let address = listener.local_addr().unwrap();
    let socket = StreamSocket::Tcp { listener: Some(listener), address };
    let sockets = Sockets { datagrams: Vec::new(), streams: vec![socket], rules };
    (Worker::new(choice, sockets), address)
}

/// A message as it comes on a connection.
fn message(number: usize) -> Vec<u8> {
    format!(
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK{number}\r\n\
         Content-Length: 5\r\n\r\nhello"
    )
    .into_bytes()
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

impl Worker {
    fn new(choice: Choice, sockets: impl Into<Sockets>) -> Self {
        let tally = Arc::new(Tally::new(0));
        let driver = Driver::open(sockets, choice, Arc::clone(&tally)).unwrap();
        Self::with(driver, tally)
    }

    fn with(driver: Driver, tally: Arc<Tally>) -> Self {
        Self {
            driver,
            out: Departures::new(),
            tally,
            got: Vec::new(),
            bursts: Vec::new(),
            sent: Vec::new(),
            unreachable: Vec::new(),
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.tally.counters.read(counter)
    }

    fn push(&mut self, flow: Flow, octets: &[u8], owner: Option<u64>) {
        let departure = Departure { flow, len: 0, after: JournalSeq::NOW, owner: owner.map(Owner) };
        self.out.push(Purse::Work, departure, |slot| {
            slot[..octets.len()].copy_from_slice(octets);
            octets.len()
        });
    }

    fn push_to(&mut self, remote: SocketAddr, octets: &[u8], owner: Option<u64>) {
        self.push(Flow { remote: remote.into(), ..Flow::default() }, octets, owner);
    }

    fn submit(&mut self) -> usize {
        self.driver.submit(&mut self.out, JournalSeq::NOW)
    }

    fn reap(&mut self, arrivals_max: usize) -> usize {
        let Self { driver, out, got, bursts, sent, unreachable, .. } = self;
        driver.reap(out, arrivals_max, &mut |event, _| match event {
            Event::Burst(arrivals) => {
                bursts.push(arrivals.len());
                got.extend(arrivals.iter().map(|arrival| Got {
                    flow: arrival.flow,
                    octets: arrival.octets.to_vec(),
                    truncated: arrival.truncated,
                }));
            }
            Event::Sent { owner, sent: how, .. } => sent.push((owner, how)),
            Event::Unreachable { remote, quoted, .. } => {
                unreachable.push((remote, quoted.to_vec()));
            }
            Event::Stream(_) => {}
        })
    }

    /// One turn: what a worker does, without an engine.
    fn turn(&mut self) -> usize {
        let work = self.reap(BURST_SIZE);
        work + self.submit()
    }

    /// Turns until `done`, and gives up when nothing has happened for a long while.
    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        const QUIET_TURNS_MAX: usize = 200;
        let mut quiet = 0;
        while !done(self) {
            assert!(quiet < QUIET_TURNS_MAX, "{what}: {:?}", self.summary());
            if self.turn() == 0 {
                let until = self.driver.now().plus_ms(20);
                self.driver.idle(Some(until), Polling::Wait, || true);
                quiet += 1;
            } else {
                quiet = 0;
            }
        }
    }

    /// Turns until nothing more happens, to see that nothing more comes.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            if self.turn() == 0 {
                let until: Instant = self.driver.now().plus_ms(5);
                self.driver.idle(Some(until), Polling::Wait, || true);
                quiet += 1;
            } else {
                quiet = 0;
            }
        }
    }

    fn summary(&self) -> String {
        let counters: Vec<_> = Counter::ALL
            .into_iter()
            .filter(|counter| self.count(*counter) > 0)
            .map(|counter| (counter.name(), self.count(counter)))
            .collect();
        format!(
            "{} got, {:?} sent, {} unreachable, {counters:?}",
            self.got.len(),
            self.sent,
            self.unreachable.len()
        )
    }

    fn all_slots_are_free(&self) -> bool {
        use crate::limits::{SLOTS_EVIDENCE, SLOTS_REFUSALS, SLOTS_WORK};
        self.out.free(Purse::Work) == SLOTS_WORK
            && self.out.free(Purse::Refusals) == SLOTS_REFUSALS
            && self.out.free(Purse::Evidence) == SLOTS_EVIDENCE
    }
}
