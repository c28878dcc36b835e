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
    let choice = match arguments.driver {
        DriverName::Uring => Choice::Uring,
        DriverName::Mmsg => Choice::Mmsg,
    };
    let polling = match arguments.polling {
        PollingName::Spin => Polling::Spin,
        PollingName::Adaptive => Polling::Adaptive,
        PollingName::Wait => Polling::Wait,
    };
    // The kernel reads the slots for as long as there is a driver.
    let mut out = Departures::new();
    let driver = Driver::open(sockets(arguments.listen)?, choice, Arc::new(Tally::new(0)))?;
    live(Echo::new(&arguments), driver, &mut out, polling)
}

fn live(mut echo: Echo, mut driver: Driver, out: &mut Departures, polling: Polling) -> ! {
    loop {
        let room = out.free(Purse::Work).min(BURST_SIZE);
        let mut work = driver.reap(out, room, &mut |event, out| {
            if let Event::Burst(arrivals) = event {
                arrivals.iter().for_each(|arrival| echo.on_arrival(arrival, out));
            }
        });
        work += driver.submit(out, JournalSeq::NOW);
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
            undivided: Box::new([]),
            undivided_max: 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use roger::time::Instant;

    const REQUEST: &[u8] = b"MESSAGE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        Max-Forwards: 70\r\nFrom: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
        Content-Length: 0\r\n\r\n";
    const RESPONSE: &[u8] = b"SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";

    /// What leaves for what came from `port`, and the port that it goes to.
    fn passed(echo: &mut Echo, octets: &[u8], port: u16) -> Option<(Vec<u8>, Flow)> {
        let remote = SocketAddr::from(([127, 0, 0, 1], port));
        let flow = Flow::to(remote.into(), SocketId(1));
        let mut out = Departures::new();
        let arrival = Arrival { flow, at: Instant(0), octets, truncated: false };
        echo.on_arrival(&arrival, &mut out);
        let slot = out.pop(JournalSeq::NOW)?;
        let (octets, flow) = (out.octets(&slot).to_vec(), out.departure(&slot).flow);
        out.release(slot);
        Some((octets, flow))
    }

    #[test]
    fn a_response_goes_back_to_who_asked_last() {
        let options =
            ["", "--listen", "127.0.0.1:1", "--next", "127.0.0.1:2", "--transport", "tcp"];
        let mut echo = Echo::new(&Arguments::parse_from(options));
        for port in [3, 4] {
            let (octets, flow) = passed(&mut echo, REQUEST, port).unwrap();
            let ours = b"Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP a;";
            assert!(octets.windows(ours.len()).any(|window| window == ours));
            assert_eq!((flow.remote.port, flow.socket), (2, SocketId(1)));
            let (octets, flow) = passed(&mut echo, RESPONSE, 2).unwrap();
            assert_eq!(scan(&octets).unwrap().via_count, 1);
            assert_eq!((flow.remote.port, flow.socket), (port, SocketId(1)));
        }
        assert!(passed(&mut echo, &REQUEST[1..REQUEST.len() - 1], 3).is_none());
        let hopless = String::from_utf8(REQUEST.to_vec()).unwrap().replace("70", "0");
        assert!(passed(&mut echo, hopless.as_bytes(), 3).is_none());
    }
}
