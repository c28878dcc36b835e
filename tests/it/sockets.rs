//! A worker on real sockets, with each driver: the same flows, and no allocation.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use roger::delivery::Account;
use roger::engine::{Engine, Neighbours, Serving, Setup};
use roger::io::{Choice, Kind, Polling, SocketSpec, bind};
use roger::limits::SLOT_SIZE;
use roger::metrics::{Counter, Tally};
use roger::packet::Endpoint;
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::worker::{Crew, Plan, Stage, Worker, crew, start};

use crate::bench::{answer, message, message_with, setup};

struct Rig {
    sms: UdpSocket,
    im: UdpSocket,
    engine: SocketAddr,
    tally: Arc<Tally>,
    crew: Crew,
    worker: Worker,
}

fn socket(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

impl Rig {
    fn new(ip: &str, driver: Choice, change: impl FnOnce(&mut Setup)) -> Self {
        Self::with_accounts(ip, driver, None, change)
    }

    fn with_accounts(
        ip: &str,
        driver: Choice,
        accounts: Option<Arc<ArrayQueue<Account>>>,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        Self::in_crew(crew(1), ip, driver, accounts, change)
    }

    fn in_crew(
        crew: Crew,
        ip: &str,
        driver: Choice,
        accounts: Option<Arc<ArrayQueue<Account>>>,
        change: impl FnOnce(&mut Setup),
    ) -> Self {
        let (sms, im) = (socket(ip), socket(ip));
        let spec = SocketSpec {
            address: SocketAddr::new(ip.parse().unwrap(), 0),
            reuse_port: true,
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
        };
        let listener = bind(&spec).unwrap();
        let engine = listener.local_addr().unwrap();
        let mut setup = setup();
        setup.peers = setup.peers[..2].into();
        setup.peers[0].addresses = Box::new([Endpoint::from(sms.local_addr().unwrap())]);
        setup.peers[1].addresses = Box::new([Endpoint::from(im.local_addr().unwrap())]);
        setup.next_servers = setup.peers[1].addresses.clone();
        setup.own_endpoints = Box::new([Endpoint::from(engine)]);
        setup.sent_by = Box::new([engine.to_string().into()]);
        setup.request_sockets.udp.v6 = setup.request_sockets.udp.v4;
        change(&mut setup);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let worker = start(Plan {
            neighbours: Neighbours::none(setup.next_servers.len()),
            setup,
            sockets: Vec::from([listener]).into(),
            driver,
            polling: Polling::Adaptive,
            cpu: None,
            tally: Arc::clone(&tally),
            accounts,
            crew: Arc::clone(&crew),
        })
        .unwrap();
        // What comes before it may begin waits for it.
        crew[0].wake();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(crew[0].turns(), 0);
        crew[0].begin();
        Self { sms, im, engine, tally, crew, worker }
    }

    fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
        let mut octets = [0; 16_384];
        let (len, from) = socket.recv_from(&mut octets).unwrap();
        (String::from_utf8(octets[..len].to_vec()).unwrap(), from)
    }

    fn sms_sends(&self, text: &str) {
        self.sms.send_to(text.as_bytes(), self.engine).unwrap();
    }

    fn im_sends(&self, text: &str) {
        self.im.send_to(text.as_bytes(), self.engine).unwrap();
    }

    fn relay(&self, number: u32, status: &str) {
        self.sms_sends(&message(number));
        let (onward, from) = Self::receive(&self.im);
        assert_eq!(from, self.engine);
        self.im_sends(&answer(&onward, status));
        let (back, from) = Self::receive(&self.sms);
        assert_eq!(from, self.engine);
        assert!(back.starts_with(&format!("SIP/2.0 {status}\r\n")), "{back}");
        assert!(back.contains(&format!("Call-ID: call-{number}@")));
    }

    fn stop(self) -> Arc<Tally> {
        self.crew[0].stop();
        self.crew[0].wake();
        self.worker.thread.join().unwrap();
        self.tally
    }
}

#[test]
fn a_worker_relays_on_both_drivers_and_both_families() {
    for (ip, driver, kind) in [
        ("127.0.0.1", Choice::Uring, Kind::Uring),
        ("127.0.0.1", Choice::Mmsg, Kind::Mmsg),
        ("::1", Choice::Uring, Kind::Uring),
        ("::1", Choice::Mmsg, Kind::Mmsg),
    ] {
        let rig = Rig::new(ip, driver, |_| {});
        assert_eq!(rig.worker.kind, kind);
        for number in 0..200 {
            rig.relay(number, if number % 7 == 0 { "486 Busy Here" } else { "200 OK" });
        }
        let tally = rig.stop();
        assert_eq!(tally.counters.read(Counter::VerdictDelivered), 171);
        assert_eq!(tally.counters.read(Counter::VerdictTemporary), 29);
        assert_eq!(tally.counters.read(Counter::DatagramsIn), 400);
        // The last completion may not have been looked at when it ended.
        assert!((399..=400).contains(&tally.counters.read(Counter::DatagramsOut)));
        assert_eq!(tally.counters.read(Counter::MessagesOpen), 0);
    }
}

/// The whole loop: accepted, refused, repeated, malformed, forged, timed out, unreachable, and
/// what was open when it ended.
#[test]
fn a_worker_allocates_nothing_after_its_start() {
    for driver in [Choice::Uring, Choice::Mmsg] {
        let rig = Rig::new("127.0.0.1", driver, |setup| {
            setup.timers.t1_ms = 10;
            setup.timers.t2_ms = 80;
            setup.peers.iter_mut().for_each(|peer| peer.sync_deadline_ms = 500);
            setup.messages_max = 32;
        });
        for number in 0..50 {
            rig.relay(number, "200 OK");
            rig.sms_sends(&message(number));
            assert!(Rig::receive(&rig.sms).0.starts_with("SIP/2.0 200"));
            rig.sms_sends(&message(number).replace("MESSAGE", "INVITE"));
            assert!(Rig::receive(&rig.sms).0.starts_with("SIP/2.0 405"));
            rig.sms_sends("garbage");
            rig.im_sends("SIP/2.0 200 OK\r\n\r\n");
        }
        rig.sms_sends(&message_with(100, "", &"x".repeat(4_000)));
        let (onward, _) = Rig::receive(&rig.im);
        rig.im_sends(&answer(&onward, "503 Service Unavailable"));
        assert!(Rig::receive(&rig.sms).0.starts_with("SIP/2.0 500"));
        // Silence, until timer F has ended all of them, with more than there is room for.
        for number in 200..300 {
            rig.sms_sends(&message(number));
        }
        while rig.tally.counters.read(Counter::TimerF) < 32 {
            std::thread::yield_now();
        }
        assert!(rig.tally.counters.read(Counter::Retransmissions) > 0);
        assert!(rig.tally.counters.read(Counter::RefusedNoRoom) > 0);
        // A peer that is gone: the error queue.
        let Rig { sms, im, engine, tally, crew, worker } = rig;
        drop(im);
        sms.send_to(message(400).as_bytes(), engine).unwrap();
        while tally.counters.read(Counter::IcmpMatched) == 0 {
            std::thread::yield_now();
        }
        crew[0].serve(Serving::Refusing);
        crew[0].wake();
        while tally.counters.read(Counter::RefusedDraining) == 0 {
            sms.send_to(message(500).as_bytes(), engine).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(tally.counters.read(Counter::Allocations), 0);
        crew[0].stop();
        crew[0].wake();
        worker.thread.join().unwrap();
        assert_eq!(tally.counters.read(Counter::MessagesOpen), 0);
    }
}

#[test]
fn no_account_is_lost_when_more_are_open_than_can_wait() {
    let ring = Arc::new(ArrayQueue::new(4));
    let rig = Rig::with_accounts("127.0.0.1", Choice::Auto, Some(Arc::clone(&ring)), |setup| {
        setup.timers.t1_ms = 30_000;
    });
    for number in 0..60 {
        rig.sms_sends(&message(number));
        Rig::receive(&rig.im);
    }
    let Rig { crew, worker, tally, .. } = rig;
    crew[0].stop();
    crew[0].wake();
    let mut told = 0;
    while !worker.thread.is_finished() || !ring.is_empty() {
        told += usize::from(ring.pop().is_some());
        std::thread::yield_now();
    }
    assert_eq!((told, tally.counters.read(Counter::AccountsLost)), (60, 0));
}

/// No configuration leads to a Via that a slot cannot hold. With one, a message that is long enough
/// breaks an invariant.
#[test]
fn a_worker_that_breaks_leaves_what_was_open_on_it() {
    for driver in [Choice::Uring, Choice::Mmsg] {
        let rig = Rig::new("127.0.0.1", driver, |setup| {
            setup.sent_by = Box::new(["x".repeat(SLOT_SIZE - 1_100).into()]);
        });
        let mut sent: Vec<String> = (1..=3).map(message).collect();
        for text in &sent {
            rig.sms_sends(text);
            assert!(Rig::receive(&rig.im).0.starts_with("MESSAGE "));
        }
        assert_eq!(rig.crew[0].stage(), Stage::Running);
        sent.push(message_with(4, "", &"x".repeat(2_000)));
        rig.sms_sends(&sent[3]);
        while rig.crew[0].stage() == Stage::Running {
            std::thread::yield_now();
        }
        let Rig { crew, worker, tally, .. } = rig;
        assert_eq!(crew[0].stage(), Stage::Broken);
        assert!(crew[0].silence());
        // It is held until somebody has told it, and its memory with it.
        let left: Vec<_> = crew[0].remains().unwrap().left().collect();
        let lens: Vec<usize> = left.iter().map(|left| left.len).collect();
        assert_eq!(lens, sent.iter().map(String::len).collect::<Vec<_>>());
        assert!(
            left.iter().all(|left| !left.is_decided && (left.sms_peer, left.im_peer) == (0, 1))
        );
        assert!(!worker.thread.is_finished());
        let turns = crew[0].turns();
        crew[0].wake();
        crew[0].dismiss();
        worker.thread.join().unwrap();
        assert_eq!((crew[0].stage(), crew[0].turns()), (Stage::Broken, turns));
        // Nobody has told anything yet.
        assert_eq!(tally.counters.read(Counter::VerdictUnknown), 0);
        assert_eq!(tally.counters.read(Counter::MessagesAccepted), 4);
    }
}

#[test]
fn who_may_say_nothing_any_more_takes_nothing_either() {
    for driver in [Choice::Uring, Choice::Mmsg] {
        let crew = crew(1);
        assert!(crew[0].silence());
        let rig = Rig::in_crew(crew, "127.0.0.1", driver, None, |setup| {
            let engine = setup.own_endpoints[0].to_socket_addr();
            socket("127.0.0.1").send_to(message(1).as_bytes(), engine).unwrap();
        });
        let Rig { crew, worker, tally, .. } = rig;
        while crew[0].stage() == Stage::Running {
            std::thread::yield_now();
        }
        // It holds its sockets until nobody looks at what it leaves any more.
        crew[0].dismiss();
        worker.thread.join().unwrap();
        assert_eq!((crew[0].stage(), crew[0].turns()), (Stage::Ended, 0));
        assert_eq!(tally.counters.read(Counter::DatagramsIn), 0);
    }
}

#[test]
fn the_tripwire_trips() {
    allocations_count();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(allocations_of_this_thread(), Some(1));
}

#[test]
fn the_memory_of_a_message_is_what_is_promised() {
    let setup = Setup { finished_max: 1_000_000, messages_max: 1_000, ..setup() };
    let tally = Arc::new(Tally::new(setup.peers.len()));
    let engine = Engine::new(setup, tally, roger::time::Instant(0));
    let footprint = engine.footprint();
    assert!(footprint.open_message <= 2_560, "{footprint:?}");
    assert!(footprint.finished_transaction <= 32, "{footprint:?}");
}
