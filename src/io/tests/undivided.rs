//! Connections whose octets the engine divides itself, over loopback: a handler that answers with what it
//! is sent, taking and giving as it likes.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::{LOCALHOST_V4, choices_without_trains, listening, message};
use crate::id::WorkerId;
use crate::io::{Choice, Driver, Event, Polling, Sockets, StreamSocket, listen};
use crate::limits::BURST_SIZE;
use crate::metrics::{Counter, Tally};
use crate::packet::{
    ConnectionId, Departures, Flow, JournalSeq, Owner, Rest, SocketId, StreamEvent, Used, Wish,
};
use crate::session::stream::Rules;

/// What is known of one connection.
struct Link {
    id: ConnectionId,
    flow: Flow,
    owner: Option<u64>,
    /// What has come and was not put in again.
    holds: VecDeque<u8>,
    came: usize,
    put: usize,
    written: u64,
    lost: Option<u64>,
    is_paused: bool,
}

/// An engine that says again what it is told, on the same connection.
struct Echo {
    links: Vec<Link>,
    refused: Vec<u64>,
    /// Takes and gives at most so many octets at once, by chance, if that is not 0.
    at_once: usize,
    chance: u64,
    /// Holds so many octets of a connection at most.
    holds_max: usize,
    /// Keeps what it is told to itself.
    is_silent: bool,
}

impl Echo {
    fn draw(&mut self, most: usize) -> usize {
        self.chance = self.chance.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E);
        let most = if self.at_once == 0 { most } else { most.min(self.at_once) };
        if self.at_once == 0 || most == 0 {
            return most;
        }
        1 + usize::try_from(self.chance >> 33).unwrap() % most
    }

    fn link(&mut self, id: ConnectionId) -> &mut Link {
        self.links.iter_mut().find(|link| link.id == id).expect("it was told to be there")
    }

    fn on(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        match event {
            StreamEvent::Opened { flow, owner, .. } => {
                let id = flow.connection.unwrap();
                assert!(self.links.iter().all(|link| link.id != id));
                let owner = owner.map(|owner| owner.0);
                let holds = VecDeque::new();
                let link = Link {
                    id,
                    flow,
                    owner,
                    holds,
                    came: 0,
                    put: 0,
                    written: 0,
                    lost: None,
                    is_paused: false,
                };
                self.links.push(link);
            }
            StreamEvent::Refused { owner, .. } => self.refused.push(owner.0),
            StreamEvent::Arrived { id, octets, used, .. } => {
                let room = self.holds_max - self.link(id).holds.len();
                let len = self.draw(octets.len().min(room));
                let is_silent = self.is_silent;
                let link = self.link(id);
                assert_eq!(link.lost, None);
                link.came += len;
                if !is_silent {
                    link.holds.extend(&octets[..len]);
                    out.wish(Wish::Write(id));
                }
                link.is_paused = len == 0;
                let rest = if len == 0 { Rest::WhenWished } else { Rest::WithMore };
                *used = Used { octets: len, rest };
            }
            StreamEvent::Room { id, room, filled, .. } => {
                assert!(room.len() >= crate::limits::STREAM_ROOM_MIN);
                let most = self.link(id).holds.len().min(room.len());
                let len = self.draw(most);
                let link = self.link(id);
                for (to, octet) in room[..len].iter_mut().zip(link.holds.drain(..len)) {
                    *to = octet;
                }
                link.put += len;
                *filled = len;
                if len > 0 && core::mem::take(&mut link.is_paused) {
                    out.wish(Wish::Read(id));
                }
            }
            StreamEvent::Written { id, octets, .. } => {
                let link = self.link(id);
                assert_eq!(link.lost, None);
                link.written += octets;
                assert!(link.written <= link.put as u64);
            }
            StreamEvent::Lost { id, doubtful, .. } => {
                let link = self.link(id);
                assert_eq!(link.lost.replace(doubtful), None);
                assert!(link.written + doubtful <= link.put as u64);
            }
        }
    }
}

struct Worker {
    driver: Driver,
    out: Departures,
    echo: Echo,
    tally: Arc<Tally>,
}

impl Worker {
    fn new(choice: Choice) -> (Self, SocketAddr) {
        let rules = Rules {
            strangers: true,
            per_source_max: 64,
            undivided_max: 64,
            connections_max: 64,
            ..Rules::closed(WorkerId(3))
        };
        let listener = listen(LOCALHOST_V4.parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = StreamSocket::Msrp { listener: Some(listener), address };
        let sockets = Sockets { datagrams: Vec::new(), streams: vec![socket], rules };
        let out = Departures::with_connections(sockets.connections_wished_max());
        let tally = Arc::new(Tally::new(0));
        let driver = Driver::open(sockets, choice, Arc::clone(&tally)).unwrap();
        let echo = Echo {
            links: Vec::new(),
            refused: Vec::new(),
            at_once: 0,
            chance: 7,
            holds_max: 256 << 10,
            is_silent: false,
        };
        (Self { driver, out, echo, tally }, address)
    }

    fn turn(&mut self) -> usize {
        let Self { driver, out, echo, .. } = self;
        let work = driver.reap(out, BURST_SIZE, &mut |event, out| match event {
            Event::Stream(event) => echo.on(event, out),
            other @ (Event::Burst(_) | Event::Sent { .. } | Event::Unreachable { .. }) => {
                panic!("{other:?}")
            }
        });
        work + driver.submit(out, JournalSeq::NOW)
    }

    /// Turns until `done`, and sleeps in between as a worker does.
    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let mut quiet = 0;
        while !done(self) {
            assert!(quiet < 400, "{what}");
            if self.turn() == 0 {
                let until = self.driver.now().plus_ms(20);
                self.driver.idle(Some(until), Polling::Wait, || true);
                quiet += 1;
            } else {
                quiet = 0;
            }
        }
    }

    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            quiet = if self.turn() == 0 { quiet + 1 } else { 0 };
            let until = self.driver.now().plus_ms(5);
            self.driver.idle(Some(until), Polling::Wait, || true);
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.tally.counters.read(counter)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

/// Sends all of it and reads it back at the same time.
fn echoed(address: SocketAddr, len: usize, pause: Duration) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut peer = TcpStream::connect(address).unwrap();
        let mut writer = peer.try_clone().unwrap();
        let sends = thread::spawn(move || {
            writer.write_all(&pattern(len)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        thread::park_timeout(pause);
        let mut back = Vec::new();
        peer.read_to_end(&mut back).unwrap();
        sends.join().unwrap();
        assert!(back == pattern(len), "the same octets, in order: {} of {len}", back.len());
    })
}

const MEGABYTE: usize = 1 << 20;

#[test]
fn what_comes_goes_back_whatever_the_engine_takes_at_once() {
    for choice in choices_without_trains() {
        for (at_once, holds_max) in [(0, 256 << 10), (60_000, 100_000), (777, 5_000)] {
            let (mut worker, address) = Worker::new(choice);
            (worker.echo.at_once, worker.echo.holds_max) = (at_once, holds_max);
            let peers: Vec<_> = (0..3).map(|_| echoed(address, MEGABYTE, Duration::ZERO)).collect();
            worker.run_until("all echoed", |worker| {
                let lost = |link: &&Link| link.lost.is_some();
                worker.echo.links.iter().filter(lost).count() == 3
            });
            peers.into_iter().for_each(|peer| peer.join().unwrap());
            for link in &worker.echo.links {
                assert_eq!((link.came, link.put), (MEGABYTE, MEGABYTE), "{choice:?}");
                assert_eq!((link.written, link.lost), (MEGABYTE as u64, Some(0)));
            }
            assert_eq!(worker.count(Counter::MsrpOctetsIn), 3 * MEGABYTE as u64);
            assert_eq!(worker.count(Counter::MsrpOctetsOut), 3 * MEGABYTE as u64);
            assert_eq!(worker.count(Counter::ConnectionsEnded), 3);
            assert_eq!(worker.count(Counter::ConnectionsOpen), 0);
        }
    }
}

/// He reads nothing for a while: what he has sent waits with him, and nothing gets lost.
#[test]
fn who_reads_late_is_waited_for() {
    for choice in choices_without_trains() {
        let (mut worker, address) = Worker::new(choice);
        worker.echo.holds_max = 64 << 10;
        let peer = echoed(address, 16 * MEGABYTE, Duration::from_millis(500));
        worker.run_until("all echoed", |worker| {
            worker.echo.links.first().is_some_and(|link| link.lost.is_some())
        });
        peer.join().unwrap();
        assert_eq!(worker.echo.links[0].written, 16 * MEGABYTE as u64);
    }
}

#[test]
fn nothing_more_is_read_than_is_wished() {
    for choice in choices_without_trains() {
        let (mut worker, address) = Worker::new(choice);
        (worker.echo.is_silent, worker.echo.at_once) = (true, 10);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_nonblocking(true).unwrap();
        // He takes a few octets and pauses.
        worker.run_until("him", |worker| worker.echo.links.len() == 1);
        worker.echo.holds_max = 0;
        let mut sent = 0;
        let octets = vec![b'x'; 64 << 10];
        while let Ok(len) = peer.write(&octets) {
            sent += len;
            worker.settle();
            assert!(sent < 64 * MEGABYTE, "{choice:?}: his kernel and ours are full at last");
        }
        assert_eq!(worker.echo.links[0].came, 0);
        assert!(worker.echo.links[0].is_paused);
        // Somebody else is not kept waiting by that.
        (worker.echo.holds_max, worker.echo.is_silent, worker.echo.at_once) = (64 << 10, false, 0);
        let other = echoed(address, 1_000, Duration::ZERO);
        worker.run_until("the other one", |worker| {
            worker.echo.links.get(1).is_some_and(|link| link.lost.is_some())
        });
        other.join().unwrap();
        let (id, all) = (worker.echo.links[0].id, sent);
        worker.echo.is_silent = true;
        worker.out.wish(Wish::Read(id));
        worker.run_until("all of it", |worker| worker.echo.links[0].came == all);
        drop(peer);
        worker.run_until("his end", |worker| worker.echo.links[0].lost.is_some());
    }
}

#[test]
fn what_is_wished_is_opened_and_what_cannot_be_is_refused() {
    for choice in choices_without_trains() {
        let (mut worker, _) = Worker::new(choice);
        let theirs = TcpListener::bind(LOCALHOST_V4).unwrap();
        let nobody = TcpListener::bind(LOCALHOST_V4).unwrap().local_addr().unwrap();
        let to = |address: SocketAddr| Flow::to(address.into(), SocketId(0));
        let there = to(theirs.local_addr().unwrap());
        for (owner, flow) in [(1, there), (2, to(nobody)), (3, there)] {
            worker.out.wish(Wish::Connect { flow, owner: Owner(owner) });
        }
        // It is taken where departures are.
        assert!(worker.driver.submit(&mut worker.out, JournalSeq::NOW) > 0);
        worker.run_until("all three", |worker| {
            worker.echo.links.len() == 2 && worker.echo.refused == [2]
        });
        let owners: Vec<Option<u64>> = worker.echo.links.iter().map(|link| link.owner).collect();
        assert!(owners.contains(&Some(1)) && owners.contains(&Some(3)), "{owners:?}");
        let remote = theirs.local_addr().unwrap().into();
        assert!(worker.echo.links.iter().all(|link| link.flow.remote == remote));
        assert_ne!(worker.echo.links[0].flow.local, [0; 16]);
        let (mut one, mut two) = (theirs.accept().unwrap().0, theirs.accept().unwrap().0);
        for peer in [&mut one, &mut two] {
            peer.write_all(b"hello").unwrap();
        }
        worker.run_until("echoes", |worker| worker.echo.links.iter().all(|link| link.written == 5));
        for peer in [&mut one, &mut two] {
            let mut back = [0; 5];
            peer.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"hello");
        }
        // What is closed is written first.
        let id = worker.echo.links[0].id;
        worker.echo.link(id).holds.extend(b"bye");
        worker.out.wish(Wish::Write(id));
        worker.turn();
        worker.out.wish(Wish::Close(id));
        worker.run_until("the end", |worker| worker.echo.links[0].lost == Some(0));
        let said: Vec<Vec<u8>> = [one, two]
            .iter_mut()
            .map(|peer| {
                peer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let mut back = Vec::new();
                let ended = peer.read_to_end(&mut back).is_ok();
                assert_eq!(ended, !back.is_empty());
                back
            })
            .collect();
        assert!(said.contains(&b"bye".to_vec()) && said.contains(&Vec::new()));
        worker.run_until("the other end", |worker| worker.echo.links[1].lost == Some(0));
        assert_eq!(worker.count(Counter::ConnectionsOpen), 0);
    }
}

#[test]
fn a_connection_that_is_reset_is_lost_once_and_what_came_before_was_shown() {
    for choice in choices_without_trains() {
        let (mut worker, address) = Worker::new(choice);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&[b'x'; 3_000]).unwrap();
        worker.run_until("octets", |worker| {
            worker.echo.links.first().is_some_and(|link| link.written == 3_000)
        });
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        worker.run_until("his end", |worker| worker.echo.links[0].lost.is_some());
        assert_eq!(worker.echo.links[0].came, 3_000);
        assert_eq!(worker.count(Counter::ConnectionsReset), 1);
        worker.settle();
        assert_eq!(worker.count(Counter::ConnectionsOpen), 0);
    }
}

/// Messages of SIP come as ever beside them, on a listener of their own.
#[test]
fn other_connections_are_divided_as_ever() {
    for choice in choices_without_trains() {
        let (mut worker, address) = listening(choice, 8);
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&message(1)).unwrap();
        worker.run_until("a message", |worker| worker.got.len() == 1);
        assert_eq!(worker.count(Counter::MsrpOctetsIn), 0);
    }
}
