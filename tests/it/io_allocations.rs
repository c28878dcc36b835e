//! The drivers allocate nothing once they are open, on no path.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use roger::io::{Choice, Driver, Event, Polling, SocketSpec, Waker, bind};
use roger::limits::{BURST_SIZE, DATAGRAM_SIZE_MAX};
use roger::metrics::{Counter, Tally};
use roger::packet::{Departure, Departures, Flow, JournalSeq, Owner, Purse};
use roger::store::{allocations_count, allocations_of_this_thread};

struct Scene {
    driver: Driver,
    out: Departures,
    waker: Waker,
    peer: UdpSocket,
    ours: SocketAddr,
    dead: UdpSocket,
    got: usize,
    sent: usize,
    unreachable: usize,
}

impl Scene {
    fn new(choice: Choice, tally: Arc<Tally>) -> Option<Self> {
        let spec = SocketSpec {
            address: "0.0.0.0:0".parse().unwrap(),
            reuse_port: false,
            receive_buffer: 0,
            send_buffer: 0,
        };
        let socket = bind(&spec).unwrap();
        let ours = SocketAddr::new([127, 0, 0, 2].into(), socket.local_addr().unwrap().port());
        let driver = Driver::open(Vec::from([socket]), choice, tally).ok()?;
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        // It listens to itself only: whatever else comes is unreachable.
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
        dead.connect(dead.local_addr().unwrap()).unwrap();
        let waker = driver.waker().unwrap();
        let out = Departures::new();
        Some(Self { driver, out, waker, peer, ours, dead, got: 0, sent: 0, unreachable: 0 })
    }

    fn push(&mut self, remote: SocketAddr, len: usize) {
        let flow = Flow { remote: remote.into(), ..Flow::default() };
        let departure = Departure { flow, owner: Some(Owner(1)), ..Departure::default() };
        self.out.push(Purse::Work, departure, |_| len);
    }

    fn turn(&mut self) -> usize {
        let Self { driver, out, got, sent, unreachable, .. } = self;
        let work = driver.reap(out, BURST_SIZE, &mut |event, out| match event {
            Event::Burst(arrivals) => {
                *got += arrivals.len();
                for arrival in arrivals {
                    let departure = Departure { flow: arrival.flow, ..Departure::default() };
                    out.push(Purse::Refusals, departure, |_| 9);
                }
            }
            Event::Sent { .. } => *sent += 1,
            Event::Unreachable { .. } => *unreachable += 1,
            Event::Stream(_) => unreachable!("no such sockets"),
        });
        work + driver.submit(out, JournalSeq::NOW)
    }

    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut quiet = 0;
        while !done(self) {
            assert!(quiet < 200);
            if self.turn() > 0 {
                quiet = 0;
                continue;
            }
            quiet += 1;
            let until = self.driver.now().plus_ms(20);
            self.driver.idle(Some(until), Polling::Wait, || true);
        }
    }

    /// Floods with answers, cut datagrams, dead ports, refusals, waits and wake-ups.
    fn act(&mut self) {
        (self.got, self.sent, self.unreachable) = (0, 0, 0);
        let octets = [b'x'; DATAGRAM_SIZE_MAX + 1];
        for _ in 0..50 {
            self.peer.send_to(&octets[..600], self.ours).unwrap();
        }
        self.peer.send_to(&octets, self.ours).unwrap();
        self.run_until(|scene| scene.got == 51);
        for _ in 0..10 {
            self.push(self.dead.local_addr().unwrap(), 600);
            self.push(self.peer.local_addr().unwrap(), 600);
        }
        self.push("[::1]:9".parse().unwrap(), 600);
        self.run_until(|scene| scene.sent == 21 && scene.unreachable == 10);
        self.waker.wake();
        for polling in [Polling::Wait, Polling::Adaptive, Polling::Spin] {
            let until = self.driver.now().plus_ms(1);
            self.driver.idle(Some(until), polling, || true);
            self.turn();
        }
    }
}

#[test]
fn the_drivers_allocate_nothing_after_they_are_open() {
    for choice in [Choice::Uring, Choice::Mmsg] {
        let tally = Arc::new(Tally::new(0));
        let Some(mut scene) = Scene::new(choice, Arc::clone(&tally)) else {
            println!("io_uring is refused here");
            continue;
        };
        allocations_count();
        for _ in 0..3 {
            scene.act();
        }
        assert_eq!(allocations_of_this_thread(), Some(0), "{choice:?}");
        // What was meant to happen has happened.
        for counter in [Counter::SendRefused, Counter::SendRepeated, Counter::DatagramsOut] {
            assert!(tally.counters.read(counter) > 0, "{choice:?} {counter:?}");
        }
        let canary = Box::new(scene.got);
        assert_eq!(allocations_of_this_thread(), Some(1), "{canary}");
    }
}
