//! A worker that breaks, beside one that goes on.

use super::*;
use crate::config::Config;
use crate::delivery::{Evidence, Verdict};
use crate::engine::{Neighbours, home_of};
use crate::io::{Choice, Polling};
use crate::limits::SLOT_SIZE;
use crate::oam::identity::Identity;
use crate::oam::setup::{Local, Own, setup};
use crate::store::HashKey;
use crate::worker::{self, Plan, Worker, crew};

const KEY: HashKey = HashKey([1, 2]);

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two workers, each on a port of its own, and both sides. What worker 0 forwards has a Via that
/// leaves no room for a long message, which no configuration leads to: then it breaks.
struct Rig {
    sms: UdpSocket,
    im: UdpSocket,
    sockets: [UdpSocket; 2],
    workers: Vec<Worker>,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

impl Rig {
    fn new() -> (Self, Charge) {
        let (sms, im, sockets) = (socket(), socket(), [socket(), socket()]);
        let at = |socket: &UdpSocket| socket.local_addr().unwrap();
        let text = format!(
            "[workers]\ncpus = \"any\"\ncount = 2\n[[listen]]\naddress = \"{}\"\n\
             [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"{}\"\n\
             [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
             [route]\noutbound_proxies = \"im\"\n[capacity]\nrate = 100\nopen = 64\nopen_large = 8\n",
            at(&sockets[0]),
            at(&sms),
            at(&im),
        );
        let config = Config::parse(&text, "test").unwrap();
        let identity = Identity::unlocked(KEY, 7);
        let neighbours = Neighbours::group(2, 1);
        let crew = crew(2);
        let accounts = Arc::new(ArrayQueue::new(64));
        let charge = Charge {
            crew: Arc::clone(&crew),
            common: neighbours[0].common(),
            tally: Arc::new(Tally::new(2)),
            accounts: Some(Arc::clone(&accounts)),
            rules: config.peers.iter().map(|peer| peer.recipient).collect(),
            lost_after_ms: 60_000,
            steered: Vec::new(),
            doors: Vec::new(),
        };
        let start = |(neighbours, socket): (Neighbours, &UdpSocket)| {
            let local = Local {
                transport: crate::packet::Transport::Udp,
                address: at(socket),
                advertise: None,
                requests: true,
            };
            let locals = [local];
            let own = Own::of(locals.iter());
            let mut setup = setup(&config, neighbours.own(), locals.iter(), &own, &identity, true);
            if neighbours.own() == WorkerId(0) {
                setup.sent_by = Box::new(["x".repeat(SLOT_SIZE - 1_100).into()]);
            }
            let plan = Plan {
                setup,
                neighbours,
                sockets: Vec::from([socket.try_clone().unwrap()]).into(),
                driver: Choice::Auto,
                polling: Polling::Wait,
                cpu: None,
                tally: Arc::new(Tally::new(2)),
                accounts: Some(Arc::clone(&accounts)),
                crew: Arc::clone(&crew),
            };
            worker::start(plan).unwrap()
        };
        let workers = neighbours.into_iter().zip(&sockets).map(start).collect();
        crew.iter().for_each(|control| control.begin());
        (Self { sms, im, sockets, workers }, charge)
    }

    /// Sends a message of this length to a worker.
    fn send(&self, worker: usize, number: u32, len: usize) {
        let text = format!(
            "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {sms};branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <{uri}>\r\n\
             Call-ID: {number}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
             Content-Length: {len}\r\n\r\n{body}",
            uri = uri(number),
            sms = self.sms.local_addr().unwrap(),
            body = "x".repeat(len),
        );
        let to = self.sockets[worker].local_addr().unwrap();
        self.sms.send_to(text.as_bytes(), to).unwrap();
    }

    fn received(socket: &UdpSocket) -> String {
        let mut octets = [0; SLOT_SIZE];
        let len = socket.recv(&mut octets).unwrap();
        String::from_utf8(octets[..len].to_vec()).unwrap()
    }
}

fn uri(number: u32) -> String {
    format!("sip:u{number}@example.net")
}

fn numbers_of(worker: u8) -> impl Iterator<Item = u32> {
    (1..).filter(move |number| home_of(KEY, uri(*number).as_bytes(), 2) == WorkerId(worker))
}

/// The next loss.
fn loss(supervisor: &Supervisor) -> Loss {
    supervisor.losses.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_worker_that_breaks_is_told_at_once_and_what_was_open_is_unknown() {
    let (rig, charge) = Rig::new();
    let (crew, tally) = (Arc::clone(&charge.crew), Arc::clone(&charge.tally));
    let accounts = charge.accounts.clone().unwrap();
    let numbers: Vec<u32> = numbers_of(0).take(5).collect();
    for number in &numbers[..3] {
        // Wherever it arrives.
        rig.send(*number as usize % 2, *number, 2);
        assert!(Rig::received(&rig.im).contains(&uri(*number)));
    }
    rig.send(0, numbers[3], 2_000);
    // It is looked for by what it says itself, long before it has stood still for `lost_after`.
    let supervisor = Supervisor::start(charge).unwrap();
    let expected = Loss {
        worker: 0,
        is_broken: true,
        unknown: 4,
        nameless: 0,
        untold: 0,
        was_speaking: false,
    };
    assert_eq!(loss(&supervisor), expected);
    assert_eq!(supervisor.lost(), 0b01);
    let mut told = Vec::new();
    while let Some(account) = accounts.pop() {
        assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::WorkerLost));
        told.push(String::from_utf8(account.sms_call_id.octets().to_vec()).unwrap());
    }
    told.sort();
    let mut open: Vec<String> = numbers[..4].iter().map(u32::to_string).collect();
    open.sort();
    assert_eq!(told, open);
    let counted = [Counter::WorkersLost, Counter::VerdictUnknown, Counter::AccountsLost];
    assert_eq!(counted.map(|counter| tally.counters.read(counter)), [1, 4, 0]);
    // The other worker knows: what would have been for the lost one is refused.
    rig.send(1, numbers[4], 2);
    assert!(Rig::received(&rig.sms).starts_with("SIP/2.0 503 "));
    assert_eq!(supervisor.end().0, 0b01);
    for control in crew.iter() {
        control.stop();
        control.dismiss();
        control.wake();
    }
    rig.workers.into_iter().for_each(|worker| worker.thread.join().unwrap());
    assert!(accounts.is_empty());
}
