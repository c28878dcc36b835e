//! One worker's connections, an engine that says everything again, and somebody at the other end who
//! compares.

use std::sync::Arc;

use roger::id::WorkerId;
use roger::metrics::Tally;
use roger::packet::{Flow, Owner, Rest, SocketId, Used, Wish};
use roger::session::stream::Rules;

use super::*;
use crate::swarm::Faults as AirFaults;
use crate::tcp::MSRP_AT;

/// The other end of one connection.
#[derive(Default)]
struct Peer {
    said: Vec<u8>,
    heard: Vec<u8>,
    ended: Option<Result<(), i32>>,
}

/// The engine's end.
#[derive(Default)]
struct Ours {
    used: Vec<u8>,
    put: usize,
    written: u64,
    doubtful: Option<u64>,
    is_paused: bool,
}

struct Scene {
    air: Air,
    conduits: Conduits,
    streams: Streams,
    out: Departures,
    chance: Chance,
    peers: BTreeMap<usize, Peer>,
    ours: BTreeMap<u64, Ours>,
    names: BTreeMap<usize, ConnectionId>,
    refused: usize,
    calls_refused: usize,
    listens: bool,
    /// Never waits for more: it asks to be shown the rest again.
    takes_all: bool,
}

const fn key(id: ConnectionId) -> u64 {
    (id.generation.get() as u64) << 16 | id.index as u64
}

fn us() -> Endpoint {
    Endpoint::from(core::net::SocketAddr::from(([10, 0, 0, 1], 2_855)))
}

fn them() -> Endpoint {
    Endpoint::from(core::net::SocketAddr::from(([10, 0, 2, 1], 2_855)))
}

/// Something between two others: what is said, by its place.
fn octets(from: usize, len: usize) -> Rc<[u8]> {
    (from..from + len).map(|at| (at ^ (at >> 8)).to_le_bytes()[0]).collect()
}

impl Scene {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut chance = Chance::new(seed);
        let rules = Rules {
            connections_max: 64,
            per_source_max: 64,
            strangers: true,
            undivided: [SocketId(MSRP_AT)].into(),
            undivided_max: 64,
            ..Rules::closed(WorkerId(0))
        };
        Self {
            air: Air::new(chance.fork(), AirFaults::none()),
            conduits: Conduits::new(chance.fork(), faults),
            streams: Streams::new(rules, Arc::new(Tally::new(0)), Instant(0)),
            out: Departures::with_connections(64),
            chance,
            peers: BTreeMap::new(),
            ours: BTreeMap::new(),
            names: BTreeMap::new(),
            refused: 0,
            calls_refused: 0,
            listens: true,
            takes_all: false,
        }
    }

    /// What the other end does about what it is told.
    fn hear(&mut self) {
        loop {
            for ask in core::mem::take(&mut self.air.asks) {
                self.conduits.ask(ask, &mut self.air);
            }
            let Some(tidings) = self.conduits.tidings.pop_front() else { return };
            match tidings {
                Tidings::Opened { conduit, .. } => {
                    assert!(self.peers.insert(conduit, Peer::default()).is_none());
                }
                Tidings::Refused { .. } => self.calls_refused += 1,
                Tidings::Came { conduit, octets } => {
                    let peer = self.peers.get_mut(&conduit).unwrap();
                    assert_eq!(peer.ended, None, "nothing behind the end");
                    peer.heard.extend_from_slice(&octets);
                }
                Tidings::Ended { conduit, end } => {
                    let peer = self.peers.get_mut(&conduit).unwrap();
                    assert_eq!(peer.ended.replace(end), None, "once");
                }
            }
        }
    }

    fn say(&mut self, conduit: usize, len: usize) {
        let peer = self.peers.get_mut(&conduit).unwrap();
        let octets = octets(peer.said.len(), len);
        peer.said.extend_from_slice(&octets);
        self.air.asks.push(Ask::Say { conduit, octets });
    }

    fn divide(&mut self) {
        let Self { conduits, streams, out, chance, ours, refused, air, takes_all, .. } = self;
        conduits.divide(streams, (0, true), air.now, out, &mut |event, out| match event {
            StreamEvent::Opened { flow, .. } => {
                assert!(ours.insert(key(flow.connection.unwrap()), Ours::default()).is_none());
            }
            StreamEvent::Refused { .. } => *refused += 1,
            StreamEvent::Arrived { id, octets, used, .. } => {
                let our = ours.get_mut(&key(id)).unwrap();
                let len = chance.index(octets.len() + 1);
                let wants_more = !*takes_all && chance.one_in(2);
                our.used.extend_from_slice(&octets[..len]);
                our.is_paused = !wants_more && len == 0;
                // Whoever wants more of what is too long already never has it.
                let len = if len == 0 && !our.is_paused && octets.len() > 4_000 {
                    our.used.push(octets[0]);
                    1
                } else {
                    len
                };
                let rest = if our.is_paused { Rest::WhenWished } else { Rest::WithMore };
                *used = Used { octets: len, rest };
                out.wish(Wish::Write(id));
                if our.is_paused {
                    out.wish(Wish::Read(id));
                }
            }
            StreamEvent::Room { id, room, filled, .. } => {
                let our = ours.get_mut(&key(id)).unwrap();
                let rest = &our.used[our.put..];
                let len = if rest.is_empty() { 0 } else { 1 + chance.index(rest.len()) };
                *filled = len.min(room.len());
                room[..*filled].copy_from_slice(&rest[..*filled]);
                our.put += *filled;
            }
            StreamEvent::Written { id, octets, .. } => {
                ours.get_mut(&key(id)).unwrap().written += octets
            }
            StreamEvent::Lost { id, doubtful, .. } => {
                let our = ours.get_mut(&key(id)).unwrap();
                assert_eq!(our.doubtful.replace(doubtful), None, "once");
                assert!(our.written + doubtful <= our.put as u64);
            }
        });
    }

    fn obey(&mut self) {
        while let Some(order) = self.streams.order() {
            if let Order::Connect(index) = order {
                self.conduits.connect(&self.streams, (0, index), us(), &mut self.air);
                continue;
            }
            self.conduits.obey(order, &mut self.streams, 0, &mut self.air).unwrap();
        }
        for ((_, index), conduit) in &self.conduits.at {
            self.names.insert(*conduit, self.streams.flow(*index).connection.unwrap());
        }
    }

    /// One turn of the worker.
    fn turn(&mut self) {
        self.obey();
        self.conduits.come(&mut self.streams, 0, &mut self.air);
        self.streams.expire(Instant(self.air.now), 32);
        self.obey();
        self.divide();
        self.obey();
        self.conduits.go(&mut self.streams, 0, &mut self.air);
        self.obey();
        self.hear();
    }

    /// Until so much time has passed.
    fn run(&mut self, lasts: u64) {
        let until = self.air.now + lasts;
        self.air.at(until, Event::Calm);
        let mut looks = false;
        loop {
            self.turn();
            let next = self.conduits.next_look(&self.streams, 0, self.air.now);
            let busy = self.streams.is_busy() || self.out.has_wishes();
            let next = if busy { self.air.now + MS } else { next.max(self.air.now + MS) };
            let next = next.min(self.streams.next_deadline().map_or(u64::MAX, |at| at.0 + MS));
            if next < until && !core::mem::replace(&mut looks, true) {
                self.air.at(next.min(self.air.now + 10 * MS), Event::Turn(0));
            }
            match self.air.next() {
                Some(Event::Conduit(conduit, Step::Knock)) if self.conduits.is_ours(conduit) => {
                    self.conduits.on_arrival(conduit, self.listens, &mut self.air);
                }
                Some(Event::Conduit(conduit, Step::Knock)) => {
                    let now = self.air.now;
                    self.conduits.on_knock(conduit, Some((0, &mut self.streams)), now);
                }
                Some(Event::Conduit(conduit, step)) => {
                    self.conduits.on_step(conduit, step, Some(&mut self.streams), self.air.now);
                }
                Some(Event::Turn(_)) => looks = false,
                _ => return self.turn(),
            }
            self.hear();
        }
    }

    fn check(&self) {
        for (conduit, peer) in &self.peers {
            let Some(our) = self.names.get(conduit).and_then(|id| self.ours.get(&key(*id))) else {
                continue;
            };
            assert!(peer.said.starts_with(&our.used), "in order, and nothing twice");
            assert!(our.used.starts_with(&peer.heard));
            let most = our.written + our.doubtful.unwrap_or(0);
            assert!(peer.heard.len() as u64 <= most, "what has left is written or doubtful");
        }
    }
}

#[test]
fn everything_that_is_said_is_heard_again() {
    let faults = Faults { cut: 9_000, short: 5_000, ..Faults::default() };
    let mut scene = Scene::new(1, faults);
    scene.takes_all = true;
    for call in 0..3 {
        scene.air.asks.push(Ask::Open { from: them(), to: us(), call });
    }
    let to_them = Flow::to(them(), SocketId(MSRP_AT));
    scene.out.wish(Wish::Connect { flow: to_them, owner: Owner(1) });
    scene.hear();
    scene.run(SECOND);
    assert_eq!(scene.peers.len(), 4);
    for conduit in 0..4 {
        scene.say(conduit, 70_000);
    }
    scene.run(60 * SECOND);
    for conduit in 0..4 {
        scene.say(conduit, 1);
        scene.air.asks.push(Ask::End { conduit, end: Ok(()) });
    }
    scene.run(20 * SECOND);
    scene.check();
    for peer in scene.peers.values() {
        assert_eq!((peer.heard.len(), peer.ended), (70_001, Some(Ok(()))));
    }
    assert!(scene.ours.values().all(|our| our.doubtful == Some(0)));
    scene.conduits.at_end(|_| false).unwrap();
}

#[test]
fn whatever_goes_wrong_nothing_is_told_wrong() {
    let mut doubted = 0;
    let mut cut = 0;
    let (mut refused, mut lost) = (0, 0);
    for seed in 0..6 {
        let faults = Faults {
            cut: 5_000,
            short: 3_000,
            stall: 200,
            window: 300,
            reset: 600,
            fin: 600,
            half_open: 200,
            refused: 2_000,
            unanswered: 1_000,
            write_error: 300,
        };
        let mut scene = Scene::new(seed, faults);
        for round in 0..12 {
            scene.air.asks.push(Ask::Open { from: them(), to: us(), call: round });
            let to_them = Flow::to(them(), SocketId(MSRP_AT));
            scene.out.wish(Wish::Connect { flow: to_them, owner: Owner(round) });
            scene.run(SECOND);
            for conduit in scene.peers.keys().copied().collect::<Vec<_>>() {
                let len = 1 + scene.chance.index(20_000);
                scene.say(conduit, len);
            }
        }
        scene.run(60 * SECOND);
        scene.conduits.calm(&mut scene.air);
        for conduit in scene.peers.keys().copied().collect::<Vec<_>>() {
            scene.air.asks.push(Ask::End { conduit, end: Ok(()) });
        }
        scene.hear();
        scene.run(60 * SECOND);
        scene.check();
        scene.conduits.at_end(|_| false).unwrap();
        assert!(scene.peers.values().all(|peer| peer.ended.is_some()));
        assert!(scene.ours.values().all(|our| our.doubtful.is_some()), "every one is lost");
        doubted += scene.ours.values().filter(|our| our.doubtful > Some(0)).count();
        cut += scene.peers.values().filter(|peer| peer.heard.len() < peer.said.len()).count();
        refused += scene.refused;
        lost += scene.ours.len();
        assert_eq!(scene.ours.len() + scene.refused, 24, "opened or refused, each");
    }
    assert!(doubted > 0 && cut > 0 && refused > 0 && lost > 60, "{doubted} {cut} {refused}");
}
