//! The least that can stand on the driver of the product: the floor of the latency.
//!
//! What arrives is scanned once. A request gets a Via in front, with the branch that it came with, and
//! goes to the IM side; a response loses that Via and goes back to where the last request came from.
//! There is no table, no timer, no check, and whatever it cannot read it drops. Sockets, driver and
//! polling are those of `roger run` with one worker: it takes datagrams and connections at one address,
//! takes no more arrivals in a turn than it has slots for, and looks again at once, for a while, or
//! waits, as it is told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use relay_bench::Transport;
use relay_bench::message::{COOKIE, Scan, back, forward, hops_left, scan};
use roger::id::WorkerId;
use roger::io::{Choice, Driver, Event, Polling, SocketSpec, Sockets, StreamSocket, bind, listen};
use roger::limits::{BURST_SIZE, SOCKET_BUFFER_SIZE, STREAM_IDLE_MS};
use roger::metrics::Tally;
use roger::packet::{Arrival, Departure, Departures, Flow, JournalSeq, Purse, SocketId};
use roger::session::stream::Rules;

/// Passes MESSAGE and its response on and does nothing else.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens and sends from.
    #[arg(long)]
    listen: SocketAddr,
    /// Where requests go.
    #[arg(long)]
    next: SocketAddr,
    /// How packets are carried.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// How octets are moved.
    #[arg(long, value_enum, default_value_t = DriverName::Uring)]
    driver: DriverName,
    /// What it does in turns without work.
    #[arg(long, value_enum, default_value_t = PollingName::Adaptive)]
    polling: PollingName,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum DriverName {
    #[value(name = "io_uring")]
    Uring,
    Mmsg,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PollingName {
    Spin,
    Adaptive,
    Wait,
}

/// Where everything goes.
struct Echo {
    /// Our Via up to its branch.
    via: Box<[u8]>,
    next: Flow,
    /// Where the last request came from.
    asker: Flow,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut echo = Echo::new(&arguments);
    let mut out = Departures::new();
    let choice = match arguments.driver {
        DriverName::Uring => Choice::Uring,
        DriverName::Mmsg => Choice::Mmsg,
    };
    let polling = match arguments.polling {
        PollingName::Spin => Polling::Spin,
        PollingName::Adaptive => Polling::Adaptive,
        PollingName::Wait => Polling::Wait,
    };
    let mut driver = Driver::open(sockets(arguments.listen)?, choice, Arc::new(Tally::new(0)))?;
    loop {
        let room = out.free(Purse::Work).min(BURST_SIZE);
        let mut work = driver.reap(&mut out, room, &mut |event, out| {
            if let Event::Burst(arrivals) = event {
                arrivals.iter().for_each(|arrival| echo.on_arrival(arrival, out));
            }
        });
        work += driver.submit(&mut out, JournalSeq::NOW);
        if work == 0 {
            driver.idle(None, polling, || true);
        }
    }
}

/// One socket for datagrams and one for connections, in the order in which a driver numbers them.
fn sockets(listening: SocketAddr) -> io::Result<Sockets> {
    let datagrams = bind(&SocketSpec {
        address: listening,
        reuse_port: false,
        receive_buffer: SOCKET_BUFFER_SIZE,
        send_buffer: SOCKET_BUFFER_SIZE,
    })?;
    let listener = listen(listening, false)?;
    Ok(Sockets {
        datagrams: Vec::from([datagrams]),
        streams: Vec::from([StreamSocket::Tcp { listener: Some(listener), address: listening }]),
        rules: Rules {
            worker: WorkerId(0),
            connections_max: 1_024,
            per_source_max: 16,
            known: Box::new([]),
            strangers: true,
            idle_ms: STREAM_IDLE_MS,
        },
    })
}

impl Echo {
    fn new(arguments: &Arguments) -> Self {
        let mut via = b"Via: SIP/2.0/".to_vec();
        via.extend_from_slice(arguments.transport.name().as_bytes());
        via.push(b' ');
        via.extend_from_slice(arguments.listen.to_string().as_bytes());
        via.extend_from_slice(b";branch=");
        via.extend_from_slice(COOKIE);
        let socket = match arguments.transport {
            Transport::Udp => SocketId(0),
            Transport::Tcp => SocketId(1),
        };
        let next = Flow::to(arguments.next.into(), socket);
        Self { via: via.into(), next, asker: Flow::NOWHERE }
    }

    fn on_arrival(&mut self, arrival: &Arrival<'_>, out: &mut Departures) {
        let Some(found) = scan(arrival.octets) else { return };
        if found.status == 0 {
            self.on_request(arrival, &found, out);
        } else if found.via_count > 1 {
            push(out, self.asker, |slot| back(arrival.octets, &found, slot));
        }
    }

    fn on_request(&mut self, arrival: &Arrival<'_>, found: &Scan, out: &mut Departures) {
        let octets = arrival.octets;
        let Some(hops) = hops_left(octets, found) else { return };
        self.asker = arrival.flow;
        let branch = found.branch.of(octets);
        push(out, self.next, |slot| forward(octets, found, (&self.via, branch), hops, slot));
    }
}

/// There is a slot for each arrival that was taken.
fn push(out: &mut Departures, flow: Flow, fill: impl FnOnce(&mut [u8]) -> usize) {
    out.push(Purse::Work, Departure { flow, ..Departure::default() }, |slot| fill(slot));
}
