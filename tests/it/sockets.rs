//! A worker on real sockets, with each driver: the same flows, and no allocation.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use roger::delivery::Account;
use roger::engine::{Engine, Serving, Setup};
use roger::io::{Choice, Kind, Polling, SocketSpec, bind};
use roger::metrics::{Counter, Tally};
use roger::packet::Endpoint;
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::worker::{Control, Plan, Worker, start};

use crate::bench::{answer, message, message_with, setup};

struct Rig {
    sms: UdpSocket,
    im: UdpSocket,
    engine: SocketAddr,
    tally: Arc<Tally>,
    control: Arc<Control>,
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
        setup.request_socket_v6 = setup.request_socket_v4;
        change(&mut setup);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let control = Arc::new(Control::default());
        let worker = start(Plan {
            setup,
            sockets: Vec::from([listener]),
            driver,
            polling: Polling::Adaptive,
            cpu: None,
            tally: Arc::clone(&tally),
            accounts,
            control: Arc::clone(&control),
        })
        .unwrap();
        Self { sms, im, engine, tally, control, worker }
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
        self.control.stop();
        self.worker.waker.wake();
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
        let Rig { sms, im, engine, tally, control, worker } = rig;
        drop(im);
        sms.send_to(message(400).as_bytes(), engine).unwrap();
        while tally.counters.read(Counter::IcmpMatched) == 0 {
            std::thread::yield_now();
        }
        control.serve(Serving::Refusing);
        worker.waker.wake();
        while tally.counters.read(Counter::RefusedDraining) == 0 {
            sms.send_to(message(500).as_bytes(), engine).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(tally.counters.read(Counter::Allocations), 0);
        control.stop();
        worker.waker.wake();
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
    let Rig { control, worker, tally, .. } = rig;
    control.stop();
    worker.waker.wake();
    let mut told = 0;
    while !worker.thread.is_finished() || !ring.is_empty() {
        told += usize::from(ring.pop().is_some());
        std::thread::yield_now();
    }
    assert_eq!((told, tally.counters.read(Counter::AccountsLost)), (60, 0));
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
