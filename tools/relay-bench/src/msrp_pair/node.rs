//! One end: a driver with one socket of MSRP and an endpoint on it, turn after turn as a worker takes them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use roger::id::WorkerId;
use roger::io::{Choice, Driver, Event, Polling, Sockets, StreamSocket, listen, raise_files};
use roger::limits::{BURST_SIZE, STREAM_IDLE_MS};
use roger::metrics::Tally;
use roger::packet::{
    ConnectionId, Departures, Flow, JournalSeq, Owner, Rest, SocketId, StreamEvent, Used, Wish,
};
use roger::session::msrp::{Endpoint, Fact, Step};
use roger::session::stream;
use roger::time::Instant;

use crate::host::Desk;

/// Files beside those of connections.
const FILES: u64 = 64;

/// Timers of one turn.
const TIMERS_MAX: usize = 64;

/// What is done with what an endpoint has observed.
pub(crate) trait Part {
    fn on_fact(&mut self, fact: Fact, endpoint: &mut Endpoint, now: Instant) -> io::Result<()>;

    /// A connection is there.
    fn on_opened(&mut self, _: u16, _: &mut Endpoint) {}

    /// A connection is no more.
    fn on_lost(&mut self, _: u16) {}
}

/// What is known of a connection. Its place is the one that the driver has for it.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    id: Option<ConnectionId>,
    is_writing: bool,
    is_behind: bool,
}

/// An endpoint and whoever acts upon its facts.
#[derive(Debug)]
pub(crate) struct Node<P> {
    pub(crate) endpoint: Endpoint,
    pub(crate) part: P,
    desk: Desk,
    links: Box<[Link]>,
    fault: Option<io::Error>,
}

impl<P: Part> Node<P> {
    pub(crate) fn new(endpoint: Endpoint, desk: Desk, part: P, connections: u16) -> Self {
        let links = core::iter::repeat_n(Link::default(), usize::from(connections)).collect();
        Self { endpoint, part, desk, links, fault: None }
    }

    fn on(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        match event {
            StreamEvent::Opened { flow, at, .. } => {
                let Some(id) = flow.connection else { return };
                self.links[usize::from(id.index)] = Link { id: Some(id), ..Link::default() };
                self.endpoint.connected(id.index, at);
                self.part.on_opened(id.index, &mut self.endpoint);
                self.wish(id.index, out);
            }
            StreamEvent::Refused { .. } => {
                self.fault = Some(io::ErrorKind::ConnectionRefused.into());
            }
            StreamEvent::Arrived { id, octets, used, at } => {
                *used = self.on_octets(id, octets, at);
                self.wish(id.index, out);
            }
            StreamEvent::Room { id, room, filled, at } => {
                *filled = self.fill(id, room, at, out);
            }
            StreamEvent::Written { id, octets, at } => {
                self.endpoint.handed_over(id.index, octets, at);
                self.take_facts(at);
                self.wish(id.index, out);
            }
            StreamEvent::Lost { id, doubtful, at } => {
                self.endpoint.lost(id.index, doubtful);
                self.take_facts(at);
                self.links[usize::from(id.index)] = Link::default();
                self.part.on_lost(id.index);
            }
        }
    }

    fn take_facts(&mut self, now: Instant) {
        while let Some(fact) = self.endpoint.fact() {
            if let Err(fault) = self.part.on_fact(fact, &mut self.endpoint, now) {
                self.fault.get_or_insert(fault);
            }
        }
    }

    fn on_octets(&mut self, id: ConnectionId, octets: &[u8], now: Instant) -> Used {
        let mut at = 0;
        loop {
            let read = self.endpoint.read(id.index, &octets[at..], &mut self.desk, now);
            at += read.len;
            self.take_facts(now);
            match read.step {
                Step::Used | Step::Body { .. } => {}
                Step::Partial => return Used { octets: at, rest: Rest::WithMore },
                Step::Behind => {
                    self.links[usize::from(id.index)].is_behind = true;
                    return Used { octets: at, rest: Rest::WhenWished };
                }
                Step::Early | Step::Broken | Step::Unproved | Step::Stopped => {
                    self.fault.get_or_insert_with(|| io::ErrorKind::InvalidData.into());
                    return Used { octets: octets.len(), rest: Rest::WithMore };
                }
            }
        }
    }

    fn fill(
        &mut self,
        id: ConnectionId,
        room: &mut [u8],
        now: Instant,
        out: &mut Departures,
    ) -> usize {
        let mut at = 0;
        loop {
            let len = self.endpoint.write(id.index, &mut room[at..], &mut self.desk);
            at += len;
            self.take_facts(now);
            if len == 0 {
                break;
            }
        }
        let link = &mut self.links[usize::from(id.index)];
        link.is_writing &= at > 0;
        if at > 0 && core::mem::take(&mut link.is_behind) {
            out.wish(Wish::Read(id));
        }
        at
    }

    fn wish(&mut self, place: u16, out: &mut Departures) {
        let link = &mut self.links[usize::from(place)];
        if let Some(id) = link.id
            && self.endpoint.has_output(place)
            && !core::mem::replace(&mut link.is_writing, true)
        {
            out.wish(Wish::Write(id));
        }
    }
}

/// A driver and what it moves octets between.
pub(crate) struct Stand {
    driver: Driver,
    out: Departures,
    pub(crate) address: SocketAddr,
}

impl Stand {
    /// Opens the driver with room for so many connections.
    pub(crate) fn open(at: SocketAddr, connections: u16, choice: Choice) -> io::Result<Self> {
        raise_files(u64::from(connections) + FILES)?;
        let listener = listen(at, false)?;
        let address = listener.local_addr()?;
        let rules = stream::Rules {
            connections_max: connections,
            per_source_max: connections,
            strangers: true,
            idle_ms: STREAM_IDLE_MS,
            undivided_max: connections,
            ..stream::Rules::closed(WorkerId(0))
        };
        let socket = StreamSocket::Msrp { listener: Some(listener), address };
        let sockets = Sockets { datagrams: Vec::new(), streams: Vec::from([socket]), rules };
        let out = Departures::with_connections(sockets.connections_wished_max());
        let driver = Driver::open(sockets, choice, Arc::new(Tally::new(0)))?;
        Ok(Self { driver, out, address })
    }

    /// Asks for a connection.
    pub(crate) fn connect(&mut self, to: SocketAddr) {
        let flow = Flow::to(to.into(), SocketId(0));
        self.out.wish(Wish::Connect { flow, owner: Owner(0) });
    }

    pub(crate) fn now(&self) -> Instant {
        self.driver.now()
    }

    /// One turn, and the wait for the next one if nothing was done.
    pub(crate) fn turn<P: Part>(&mut self, node: &mut Node<P>) -> io::Result<()> {
        let Self { driver, out, .. } = self;
        let mut work = driver.reap(out, BURST_SIZE, &mut |event, out| {
            if let Event::Stream(event) = event {
                node.on(event, out);
            }
        });
        let now = driver.now();
        work += node.endpoint.expire(&mut node.desk, now, TIMERS_MAX);
        node.take_facts(now);
        work += driver.submit(out, JournalSeq::NOW);
        if work == 0 {
            driver.idle(Some(now.plus_ms(100)), Polling::Wait, || true);
        }
        node.fault.take().map_or(Ok(()), Err)
    }
}
