//! The thread that speaks TLS, with workers that are not there: whom it gives connections to, and how
//! many.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roger::io::{Carrier, Waker};
use roger::metrics::{Counter, Tally};
use roger::packet::SocketId;
use roger::tls::names::Directory;
use roger::tls::{Entrance, Files, Limits, Material, Plan, Spoken, Tls, Workers};

use crate::pki::{Authority, self_signed};
use crate::status_socket::Directory as Place;
use crate::tls_site::{Channel, Site, ip, message, tcp};

/// Counts how often each of three workers was woken. The second one is lost.
struct Woken(Arc<[AtomicUsize; 3]>);

impl Workers for Woken {
    fn wake(&self, worker: usize) {
        self.0[worker].fetch_add(1, Ordering::Relaxed);
    }

    fn is_able(&self, worker: usize) -> bool {
        worker != 1
    }
}

struct Thread {
    tls: Tls,
    authority: Authority,
    address: std::net::SocketAddr,
    tally: Arc<Tally>,
    woken: Arc<[AtomicUsize; 3]>,
    _directory: Place,
}

impl Thread {
    fn start(name: &str, limits: Limits) -> Self {
        Self::speaking(Spoken::Sip, name, limits)
    }

    fn speaking(spoken: Spoken, name: &str, limits: Limits) -> Self {
        let directory = Place::new(name);
        let authority = Authority::new("test");
        let [certificate, key] = authority.certify(&["roger.example"]).write(&directory.0, "roger");
        let files = Files { certificate, key, ca: None, client_ca: None };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let waker = Waker::new().unwrap();
        let carrier = || Arc::new(Carrier::new(waker.try_clone().unwrap()));
        let carriers = Vec::from([carrier(), carrier(), carrier()]);
        let (tally, woken) =
            (Arc::new(Tally::new(0)), Arc::new([const { AtomicUsize::new(0) }; 3]));
        let tls = Tls::start(Plan {
            entrances: Vec::from([Entrance { socket: SocketId(0), listener, address, spoken }]),
            carriers,
            waker,
            workers: Box::new(Woken(Arc::clone(&woken))),
            directory: Directory::new([], true),
            material: Material::read(&files).unwrap(),
            fingerprint: Arc::default(),
            limits,
            cpu: None,
            tally: Arc::clone(&tally),
            told: crossbeam::channel::bounded(1).0,
        });
        Self { tls: tls.unwrap(), authority, address, tally, woken, _directory: directory }
    }

    fn connect(&self) -> Channel {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Channel::client(stream, self.authority.client(None))
    }

    /// The same with a certificate that nobody has signed.
    fn connect_with_one(&self) -> Channel {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Channel::client(stream, self.authority.client(Some(&self_signed(&[]))))
    }

    /// A client is through with its handshake before the other end is.
    #[track_caller]
    fn wait_until_woken(&self, expected: [usize; 3]) {
        let mut found = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(5));
            self.woken()
        });
        assert!(found.by_ref().take(2_000).any(|woken| woken == expected), "{:?}", self.woken());
    }

    fn woken(&self) -> [usize; 3] {
        [0, 1, 2].map(|worker| self.woken[worker].load(Ordering::Relaxed))
    }
}

#[test]
fn connections_go_to_workers_in_turn_and_to_none_that_is_lost_or_takes_none() {
    let limits = Limits { accepted_max: 10_000, per_source_max: 10_000, msrp_max: 0 };
    let thread = Thread::start("tls-turn", limits);
    // 256 wait for each of two, and nobody takes one.
    let all: Vec<Channel> = (0..512).map(|_| thread.connect()).collect();
    let mut more = thread.connect();
    assert!(more.is_closed());
    assert_eq!(thread.tally.counters.read(Counter::TlsRefused), 1);
    assert_eq!(thread.tally.counters.read(Counter::TlsHandshakes), 513);
    let [first, lost, third] = thread.woken();
    assert_eq!((first + third, lost), (513, 0));
    assert!(first >= 256 && third >= 256);
    // All that is there ends with it.
    thread.tls.end();
    for mut channel in all {
        assert!(channel.is_closed());
    }
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    for (accepted_max, per_source_max) in [(3, 9), (9, 3)] {
        let limits = Limits { accepted_max, per_source_max, msrp_max: 0 };
        let thread = Thread::start(&format!("tls-limit-{accepted_max}"), limits);
        let all: Vec<Channel> = (0..3).map(|_| thread.connect()).collect();
        assert!(thread.connect().is_closed());
        assert_eq!(thread.tally.counters.read(Counter::TlsRefused), 1);
        assert_eq!(thread.tally.counters.read(Counter::TlsHandshakes), 3);
        drop(all);
        thread.tls.end();
    }
}

#[test]
fn who_connects_for_msrp_comes_to_the_worker_whose_port_that_is() {
    let limits = Limits { accepted_max: 0, per_source_max: 0, msrp_max: 3 };
    let thread = Thread::speaking(Spoken::Msrp(2), "tls-msrp", limits);
    let all: Vec<Channel> = (0..3).map(|_| thread.connect_with_one()).collect();
    thread.wait_until_woken([0, 0, 3]);
    assert!(thread.connect_with_one().is_closed(), "there are so many and no more");
    assert_eq!(thread.tally.counters.read(Counter::TlsRefused), 1);
    drop(all);
    thread.tls.end();
    // Those who have begun to shake hands and go no further are in nobody's way.
    let thread = Thread::speaking(Spoken::Msrp(0), "tls-msrp-slow", limits);
    let silent: Vec<TcpStream> =
        (0..9).map(|_| TcpStream::connect(thread.address).unwrap()).collect();
    let all: Vec<Channel> = (0..3).map(|_| thread.connect_with_one()).collect();
    thread.wait_until_woken([3, 0, 0]);
    drop((silent, all));
    thread.tls.end();
    // The second one is lost, and nobody else has its sessions.
    let thread = Thread::speaking(Spoken::Msrp(1), "tls-msrp-lost", limits);
    assert!(thread.connect_with_one().is_closed());
    assert_eq!(thread.tally.counters.read(Counter::TlsRefused), 1);
    assert_eq!(thread.woken(), [0, 0, 0]);
    thread.tls.end();
}

#[test]
fn no_session_is_taken_up_again() {
    let site = Site::new("tls-again");
    let own = site.authority.certify(&["sms.example"]);
    let config = site.authority.client(Some(&own));
    for _ in 0..3 {
        let stream = tcp((ip("127.0.0.2"), 0).into(), site.address());
        let mut channel = Channel::client(stream, Arc::clone(&config));
        assert!(channel.is_full);
        channel.send(&message(1).replace("MESSAGE", "OPTIONS"));
        channel.get();
    }
}
