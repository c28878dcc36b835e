//! The engine without sockets.
//!
//! * *relay*: a message in, onward, its 200 in, the report out.
//! * *gateway*: RP-DATA in, its 200 and an instant message out, the 200 to that in, RP-ACK out, the
//!   200 to that in.
//! * *trunk*: the relay between two connections, with what divides and gathers their octets.
//!
//! * *flat*: the relay with 1,000 to 10 million finished transactions that are kept.
//!
//! `cargo bench --bench engine` prints nanoseconds, allocations and a checksum of each; without
//! `--bench` it runs a few messages, so that it cannot rot. A name and a number instead run that
//! many messages once: two such runs under an instruction counter give the instructions per message.
//! `cargo bench --bench engine -- flat` prints the last alone; it takes two minutes and 500 MB.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[path = "engine/trunk.rs"]
mod trunk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time;

use roger::delivery::Role;
use roger::engine::{Engine, Families, Gateway, Peer, RequestSockets, Setup, Strangers, Timers};
use roger::id::WorkerId;
use roger::limits::BURST_SIZE;
use roger::metrics::{Counter, Tally};
use roger::packet::{Arrival, Departures, Endpoint, Flow, JournalSeq, SocketId, Transport};
use roger::store::{HashKey, allocations_count, allocations_of_this_thread};
use roger::time::Instant;

#[global_allocator]
static ALLOCATOR: roger::store::CountingAllocator<std::alloc::System> =
    roger::store::CountingAllocator(std::alloc::System);

const SMS: &str = "10.0.0.1:5060";
const IM: &str = "10.0.0.9:5060";

const HEAD: &str = "MESSAGE sip:+4915112345678@im.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-00000000-sbc;rport\r\n\
    Max-Forwards: 69\r\n\
    From: \"SMSC\" <sip:+4917000000000@sms.example.com>;tag=a7f3e4c1e9d2b\r\n\
    To: <sip:+4915112345678@im.example.com>\r\n\
    Call-ID: 00000000-7f3a-4e1c-9d2b@sms.example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    P-Asserted-Identity: <sip:+4917000000000@sms.example.com>\r\n\
    User-Agent: sbc/1.0\r\n\
    Content-Type: text/plain;charset=UTF-8\r\n\
    Content-Length: 100\r\n\r\n";

fn endpoint(text: &str) -> Endpoint {
    Endpoint::from(text.parse::<SocketAddr>().unwrap())
}

fn setup(finished_max: u32) -> Setup {
    let peer = |name: &str, sms, address| Peer {
        sms,
        im: !sms,
        trusted: true,
        addresses: Box::new([endpoint(address)]),
        ..Peer::new(name, Role::Endpoint)
    };
    Setup {
        worker: WorkerId(0),
        node: 0,
        epoch: 1,
        key: HashKey([5, 6]),
        peers: Box::new([peer("sbc", true, SMS), peer("im", false, IM)]),
        own_endpoints: Box::new([]),
        own_hosts: Box::new([]),
        sent_by: Box::new(["10.0.0.5:5060".into()]),
        transports: Box::new([Transport::Udp]),
        request_sockets: RequestSockets {
            udp: Families { v4: Some(SocketId(0)), v6: None },
            ..RequestSockets::default()
        },
        next_servers: Box::new([endpoint(IM)]),
        timers: Timers::RFC_3261,
        gateway: Gateway { remembered_max: finished_max, ..Gateway::default() },
        large: None,
        strangers: Strangers::Silence,
        messages_max: 4_096,
        messages_large_max: 16,
        finished_max,
        accounts: false,
    }
}

const SHORT_HEAD: &str = "MESSAGE sip:ue@10.0.0.5:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-00000000-sbc;rport\r\n\
    Max-Forwards: 69\r\n\
    From: <sip:ipsmgw.example.com>;tag=a7f3e4c1e9d2b\r\n\
    To: <sip:+4915112345678@im.example.com>\r\n\
    Call-ID: 00000000-7f3a-4e1c-9d2b@sms.example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    P-Asserted-Identity: <sip:ipsmgw.example.com>\r\n\
    P-Called-Party-ID: <sip:00000000-@im.example.com>\r\n\
    Request-Disposition: fork, parallel\r\n\
    Accept-Contact: *;+g.3gpp.smsip;require;explicit\r\n\
    Content-Type: application/vnd.3gpp.sms\r\n\
    Content-Length: 172\r\n\r\n";

/// RP-DATA with an SMS-DELIVER of 160 septets up to its TP-UD.
const SHORT_BODY: [u8; 32] = [
    0x01, 0x2A, 0x08, 0x91, 0x68, 0x31, 0x08, 0x10, 0x83, 0x00, 0xF0, 0x00, 159, 0x04, 0x0B, 0x91,
    0x64, 0x07, 0x28, 0x15, 0x53, 0xF8, 0x00, 0x00, 0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23, 160,
];

/// "hellohel" in septets.
const EIGHT_LETTERS: [u8; 7] = [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9];

struct Run {
    ns: u128,
    allocations: u64,
    checksum: u64,
}

/// A burst of requests whose branch and Call-ID hold a number of fixed width.
struct Requests {
    texts: Vec<Vec<u8>>,
    places: Vec<usize>,
}

impl Requests {
    fn new() -> Self {
        let mut text = HEAD.as_bytes().to_vec();
        text.resize(HEAD.len() + 100, b'x');
        Self::of(&text)
    }

    fn short() -> Self {
        let text = [SHORT_HEAD.as_bytes(), &SHORT_BODY, &EIGHT_LETTERS.repeat(20)].concat();
        Self::of(&text)
    }

    fn of(text: &[u8]) -> Self {
        let places = memchr::memmem::find_iter(text, b"00000000-").collect();
        Self { texts: (0..BURST_SIZE).map(|_| text.to_vec()).collect(), places }
    }

    fn number(&mut self, number: &mut u32) {
        for text in &mut self.texts {
            *number += 1;
            for digit in 0..8_usize {
                let octet = b"0123456789abcdef"[(*number >> (4 * digit) & 15) as usize];
                for place in &self.places {
                    text[place + digit] = octet;
                }
            }
        }
    }
}

fn gateway(messages: u32) -> Run {
    let tally = Arc::new(Tally::new(2));
    let mut now = Instant(1_000_000_000);
    let mut engine = Engine::new(setup(2 * messages), Arc::clone(&tally), now);
    let mut out = Departures::new();
    let mut requests = Requests::short();
    let mut answers: Vec<Vec<u8>> = (0..BURST_SIZE).map(|_| Vec::with_capacity(2_048)).collect();
    let flow = |text| Flow {
        remote: endpoint(text),
        local: [0; 16],
        socket: SocketId(0),
        connection: None,
    };
    let (sms, im) = (flow(SMS), flow(IM));
    let mut checksum = 0_u64;
    let mut number = 0;
    allocations_count();
    let start = time::Instant::now();
    while number < messages {
        now = Instant(now.0 + 20_000);
        requests.number(&mut number);
        burst(&mut engine, &requests.texts, sms, now, &mut out);
        // First the answers to the instant messages, then those to the reports.
        for from in [im, sms] {
            let mut at = 0;
            leave(&mut engine, now, &mut out, |octets| {
                let some = u64::from(octets[octets.len() - 3]);
                checksum = checksum.wrapping_mul(0x0100_0000_01B3) ^ some ^ octets.len() as u64;
                if octets.starts_with(b"MESSAGE ") {
                    accept(octets, &mut answers[at]);
                    at += 1;
                }
            });
            assert_eq!(at, BURST_SIZE);
            now = Instant(now.0 + 20_000);
            burst(&mut engine, &answers, from, now, &mut out);
        }
        engine.on_tick(now, &mut out);
    }
    let ns = start.elapsed().as_nanos() / u128::from(number);
    let allocations = allocations_of_this_thread().unwrap();
    assert_eq!(tally.counters.read(Counter::RpAcks), u64::from(number));
    assert_eq!(tally.counters.read(Counter::ReportsTaken), u64::from(number));
    Run { ns, allocations, checksum }
}

/// A relay without sockets, and everybody around it.
struct Relay {
    tally: Arc<Tally>,
    engine: Engine,
    out: Departures,
    requests: Requests,
    responses: Vec<Vec<u8>>,
    now: Instant,
    /// How far the clock goes on for each half of a burst, in nanoseconds.
    step_ns: u64,
    number: u32,
    checksum: u64,
}

impl Relay {
    fn new(finished_max: u32, step_ns: u64) -> Self {
        let (tally, now) = (Arc::new(Tally::new(2)), Instant(1_000_000_000));
        Self {
            engine: Engine::new(setup(finished_max), Arc::clone(&tally), now),
            tally,
            out: Departures::new(),
            requests: Requests::new(),
            responses: (0..BURST_SIZE).map(|_| Vec::with_capacity(2_048)).collect(),
            now,
            step_ns,
            number: 0,
            checksum: 0,
        }
    }

    /// Relays bursts until there were `upto` messages; returns how long each took, in nanoseconds.
    fn run(&mut self, upto: u32) -> u128 {
        let flow = |text| Flow {
            remote: endpoint(text),
            local: [0; 16],
            socket: SocketId(0),
            connection: None,
        };
        let (sms, im) = (flow(SMS), flow(IM));
        let Self { engine, out, requests, responses, checksum, .. } = self;
        let (first, start) = (self.number, time::Instant::now());
        while self.number < upto {
            self.now = Instant(self.now.0 + self.step_ns);
            requests.number(&mut self.number);
            burst(engine, &requests.texts, sms, self.now, out);
            let mut at = 0;
            leave(engine, self.now, out, |octets| {
                respond(octets, &mut responses[at]);
                at += 1;
            });
            self.now = Instant(self.now.0 + self.step_ns);
            burst(engine, responses, im, self.now, out);
            leave(engine, self.now, out, |octets| {
                let some = u64::from(octets[octets.len() / 2]);
                *checksum = checksum.wrapping_mul(0x0100_0000_01B3) ^ some ^ octets.len() as u64;
            });
            engine.on_tick(self.now, out);
        }
        let ns = start.elapsed().as_nanos() / u128::from(self.number - first);
        let delivered = self.tally.counters.read(Counter::VerdictDelivered);
        assert_eq!(delivered, u64::from(self.number));
        ns
    }
}

fn relay(messages: u32) -> Run {
    // Twice what will be there, so that no message meets two full buckets and is refused.
    let mut relay = Relay::new(2 * messages, 20_000);
    allocations_count();
    let ns = relay.run(messages);
    let allocations = allocations_of_this_thread().unwrap();
    Run { ns, allocations, checksum: relay.checksum }
}

/// How often each engine's turn comes.
const SLICES: usize = 9;

/// Whether a message costs the same however many finished transactions are kept: engines with so many
/// of them at the load they are built for, each for longer than timer J runs, by their own clock.
fn flat(slice: u32, most: u32) {
    let live: Vec<u32> = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
        .into_iter()
        .filter(|live| *live <= most)
        .collect();
    let mut relays: Vec<Relay> = live
        .iter()
        .map(|live| {
            let timer_j_ns = u64::from(Timers::RFC_3261.transaction_ms()) * 1_000_000;
            // An entry lives to the end of its tick, so a little more than timer J are there at a time.
            let room = live + live / 50 + 64;
            Relay::new(room, timer_j_ns * BURST_SIZE as u64 / u64::from(*live) / 2)
        })
        .collect();
    // Once around and a quarter: forty seconds, eight of them with entries that come and end.
    for (relay, live) in relays.iter_mut().zip(&live) {
        relay.run(live + live / 4);
    }
    let mut slices: Vec<Vec<u128>> = live.iter().map(|_| Vec::with_capacity(SLICES)).collect();
    allocations_count();
    for _ in 0..SLICES {
        for (relay, all) in relays.iter_mut().zip(&mut slices) {
            all.push(relay.run(relay.number + slice));
        }
    }
    assert_eq!(allocations_of_this_thread(), Some(0));
    let median = |all: &[u128]| {
        let mut all = all.to_vec();
        all.sort_unstable();
        (all[all.len() / 2], all[0], all[all.len() - 1])
    };
    let (base, ..) = median(&slices[0]);
    for (live, all) in live.iter().zip(&slices) {
        let (ns, low, high) = median(all);
        let percent = ns * 100 / base.max(1);
        println!(
            "flat, {live:>8} live: {ns} ns a message [{low}-{high}], {percent} % of the first"
        );
    }
}

fn burst(
    engine: &mut Engine,
    datagrams: &[Vec<u8>],
    flow: Flow,
    at: Instant,
    out: &mut Departures,
) {
    let mut arrivals = [Arrival { flow, at, octets: &[], truncated: false }; BURST_SIZE];
    for (arrival, octets) in arrivals.iter_mut().zip(datagrams) {
        arrival.octets = octets;
    }
    engine.on_burst(&arrivals, out);
}

fn leave(engine: &mut Engine, now: Instant, out: &mut Departures, mut on: impl FnMut(&[u8])) {
    while let Some(slot) = out.pop(JournalSeq::NOW) {
        on(out.octets(&slot));
        let owner = out.departure(&slot).owner;
        out.release(slot);
        if let Some(owner) = owner {
            engine.on_sent(owner, Ok(()), now);
        }
    }
}

/// The cheapest answer there is: the first header fields under another first line.
fn respond(request: &[u8], response: &mut Vec<u8>) {
    answer(request, b"P-Asserted", response);
}

/// The same for a request of our own, whose first header fields end at CSeq.
fn accept(request: &[u8], response: &mut Vec<u8>) {
    let more: &[u8] = if memchr::memmem::find(request, b"\r\nDate: ").is_some() {
        b"Date: "
    } else {
        b"In-Reply-To: "
    };
    answer(request, more, response);
}

fn answer(request: &[u8], upto: &[u8], response: &mut Vec<u8>) {
    let first = memchr::memchr(b'\n', request).unwrap() + 1;
    let tail = memchr::memmem::find(request, upto).unwrap();
    response.clear();
    response.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    response.extend_from_slice(&request[first..tail]);
    response.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// What runs so many messages.
type Scenario = fn(u32) -> Run;

const SCENARIOS: [(&str, Scenario); 3] =
    [("relay", relay), ("gateway", gateway), ("trunk", trunk::trunk)];

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let wanted = std::env::args().find_map(|arg| arg.parse().ok());
    let messages = wanted.unwrap_or(if is_bench { 1_000_000 } else { 2_000 });
    let runs = if is_bench && wanted.is_none() { 5 } else { 1 };
    let named = |name: &str| std::env::args().any(|arg| arg == name);
    if named("flat") || !is_bench {
        flat(if is_bench { 200_000 } else { 64 }, if is_bench { u32::MAX } else { 1_000 });
        if is_bench {
            return;
        }
    }
    let all = !SCENARIOS.iter().any(|(name, _)| named(name));
    for (name, run) in SCENARIOS.iter().filter(|(name, _)| all || named(name)) {
        let mut all: Vec<Run> = (0..runs).map(|_| run(messages)).collect();
        all.sort_by_key(|run| run.ns);
        let median = &all[all.len() / 2];
        assert!(all.iter().all(|run| run.checksum == median.checksum));
        println!(
            "{name}, engine only: {} ns a message [{}-{}], {} allocations, checksum {:016x}",
            median.ns,
            all[0].ns,
            all[all.len() - 1].ns,
            median.allocations,
            median.checksum
        );
        assert_eq!(median.allocations, 0);
    }
}
