//! The drivers allocate nothing for connections whose octets the engine divides itself, on no path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use roger::id::WorkerId;
use roger::io::{Choice, Driver, Event, Polling, Sockets, StreamSocket, listen};
use roger::limits::BURST_SIZE;
use roger::metrics::{Counter, Tally};
use roger::packet::{
    ConnectionId, Departures, Flow, JournalSeq, Owner, Rest, SocketId, StreamEvent, Used, Wish,
};
use roger::session::stream::Rules;
use roger::store::{allocations_count, allocations_of_this_thread};

/// What is said back, and what was told.
struct Echo {
    holds: Box<[u8]>,
    len: usize,
    last: Option<ConnectionId>,
    opened: usize,
    refused: usize,
    lost: usize,
    written: u64,
}

impl Echo {
    fn on(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        match event {
            StreamEvent::Opened { flow, .. } => {
                self.opened += 1;
                self.last = flow.connection;
            }
            StreamEvent::Refused { .. } => self.refused += 1,
            StreamEvent::Arrived { id, octets, used, .. } => {
                // Something is always left to wait for more, or for our wish.
                let len = octets.len().div_ceil(2).min(self.holds.len() - self.len);
                self.holds[self.len..self.len + len].copy_from_slice(&octets[..len]);
                self.len += len;
                let rest = if len == 0 { Rest::WhenWished } else { Rest::WithMore };
                *used = Used { octets: len, rest };
                out.wish(if len == 0 { Wish::Read(id) } else { Wish::Write(id) });
            }
            StreamEvent::Room { room, filled, .. } => {
                let len = self.len.min(room.len());
                room[..len].copy_from_slice(&self.holds[..len]);
                self.holds.copy_within(len..self.len, 0);
                self.len -= len;
                *filled = len;
            }
            StreamEvent::Written { octets, .. } => self.written += octets,
            StreamEvent::Lost { .. } => self.lost += 1,
        }
    }
}

struct Scene {
    driver: Driver,
    out: Departures,
    echo: Echo,
    ours: SocketAddr,
    nobody: SocketAddr,
}

impl Scene {
    fn new(choice: Choice, tally: &Arc<Tally>) -> Option<Self> {
        let rules = Rules {
            strangers: true,
            per_source_max: 64,
            connections_max: 64,
            undivided_max: 64,
            ..Rules::closed(WorkerId(0))
        };
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let ours = listener.local_addr().unwrap();
        let socket = StreamSocket::Msrp { listener: Some(listener), address: ours };
        let sockets = Sockets { datagrams: Vec::new(), streams: Vec::from([socket]), rules };
        let driver = Driver::open(sockets, choice, Arc::clone(tally)).ok()?;
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let echo = Echo {
            holds: core::iter::repeat_n(0, 100_000).collect(),
            len: 0,
            last: None,
            opened: 0,
            refused: 0,
            lost: 0,
            written: 0,
        };
        Some(Self { driver, out: Departures::with_connections(64), echo, ours, nobody })
    }

    fn run_until(&mut self, done: impl Fn(&Echo) -> bool) {
        let mut quiet = 0;
        while !done(&self.echo) {
            assert!(quiet < 200);
            let Self { driver, out, echo, .. } = self;
            let mut work = driver.reap(out, BURST_SIZE, &mut |event, out| {
                if let Event::Stream(event) = event {
                    echo.on(event, out);
                }
            });
            work += driver.submit(out, JournalSeq::NOW);
            quiet = if work > 0 { 0 } else { quiet + 1 };
            if work == 0 {
                let until = driver.now().plus_ms(20);
                driver.idle(Some(until), Polling::Wait, || true);
            }
        }
    }

    /// Is connected to and connects, echoes in pieces, is refused, closes, and is reset.
    fn act(&mut self) {
        let Echo { opened, lost, written, refused, .. } = self.echo;
        let mut peer = TcpStream::connect(self.ours).unwrap();
        let mut back = [0; 1_000];
        for _ in 0..50 {
            let written = self.echo.written;
            peer.write_all(&back).unwrap();
            self.run_until(|echo| echo.written == written + 1_000);
            peer.read_exact(&mut back).unwrap();
        }
        assert_eq!(self.echo.written, written + 50_000);
        let flow = Flow::to(self.nobody.into(), SocketId(0));
        self.out.wish(Wish::Connect { flow, owner: Owner(1) });
        self.run_until(|echo| echo.refused == refused + 1);
        let other = TcpStream::connect(self.ours).unwrap();
        self.run_until(|echo| echo.opened == opened + 2);
        let id = self.echo.last.unwrap();
        self.out.wish(Wish::Close(id));
        self.run_until(|echo| echo.lost == lost + 1);
        drop((peer, other));
        self.run_until(|echo| echo.lost == lost + 2);
    }
}

#[test]
fn connections_that_the_engine_divides_allocate_nothing() {
    for choice in [Choice::Uring, Choice::Mmsg] {
        let tally = Arc::new(Tally::new(0));
        let Some(mut scene) = Scene::new(choice, &tally) else {
            println!("io_uring is refused here");
            continue;
        };
        allocations_count();
        for _ in 0..3 {
            scene.act();
        }
        assert_eq!(allocations_of_this_thread(), Some(0), "{choice:?}");
        // What was meant to happen has happened.
        assert_eq!(tally.counters.read(Counter::MsrpOctetsOut), 150_000);
        assert!(tally.counters.read(Counter::ConnectionsFailed) > 0);
        let canary = Box::new(scene.ours);
        assert_eq!(allocations_of_this_thread(), Some(1), "{canary}");
    }
}
