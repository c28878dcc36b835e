//! The least that a stateful relay of MESSAGE can be: the floor of the measurement.
//!
//! It receives a batch, scans each datagram once, remembers a request in a table by the branch
//! that the SMS side minted, writes its own Via in front and sends it on; a response finds its
//! entry by the number in that Via, loses the Via and goes back to where the request came from.
//! There are no timers, no retransmissions, no verdicts, no checks of who is speaking, and
//! whatever it cannot read it drops. The table is as large as one that remembers 32 s of messages
//! must be, touched at start, and a batch prefetches its entries together.
//!
//! Over TCP it takes one connection and opens one: in a turn it reads once from each, and writes once
//! to each that has something coming.

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use relay_bench::batch::{self, Address, Aggregation, BATCH_SIZE, Wait, bind};
use relay_bench::message::{COOKIE, Scan, back, forward, hex, hops_left, scan, write_hex};
use relay_bench::table::{Table, fingerprint};
use relay_bench::trunk::{self, Trunks};
use relay_bench::{Post, Reading, Transport};

/// Relays MESSAGE and does nothing else.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where it listens and sends from.
    #[arg(long)]
    listen: SocketAddr,
    /// Where requests go.
    #[arg(long)]
    next: SocketAddr,
    /// How many transactions it remembers; a power of two.
    #[arg(long, default_value_t = 1 << 23)]
    entries: usize,
    /// How packets are carried.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// How what comes over a connection is read.
    #[arg(long, value_enum, default_value_t)]
    reading: Reading,
}

struct Relay {
    next: Address,
    /// Our Via up to its branch.
    via: Box<[u8]>,
    table: Table,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let relay = Relay::new(&arguments);
    match arguments.transport {
        Transport::Udp => over_udp(&arguments, relay),
        Transport::Tcp => over_tcp(&arguments, relay),
    }
}

fn over_udp(arguments: &Arguments, mut relay: Relay) -> io::Result<()> {
    let socket = bind(arguments.listen)?;
    let mut inbox = batch::Inbox::new();
    let mut out = batch::Outbox::new();
    let mut scans = [None; BATCH_SIZE];
    loop {
        let count = inbox.receive(&socket, Wait::ForOne)?;
        for (index, found) in scans[..count].iter_mut().enumerate() {
            let octets = inbox.octets(index);
            *found = scan(octets).and_then(|found| Some((found, relay.locate(octets, &found)?)));
        }
        for (index, found) in scans[..count].iter().enumerate() {
            if let Some((found, place)) = found {
                let octets = inbox.octets(index);
                relay.on_message(octets, found, *place, inbox.source(index), &mut out);
            }
        }
        out.send(&socket, Aggregation::None)?;
    }
}

fn over_tcp(arguments: &Arguments, mut relay: Relay) -> io::Result<()> {
    let (mut trunks, mut out) = (Trunks::new(), trunk::Outbox::new());
    trunks.listen(arguments.listen)?;
    trunks.accept(&mut out)?;
    trunks.connect(None, arguments.next, &mut out)?;
    let mut inbox = trunk::Inbox::new(arguments.reading);
    let mut places = [None; BATCH_SIZE];
    loop {
        let count = inbox.receive(&trunks)?;
        for first in (0..count).step_by(BATCH_SIZE) {
            let batch = first..count.min(first + BATCH_SIZE);
            for (index, place) in batch.clone().zip(&mut places) {
                let found = inbox.scan(index);
                *place = found.and_then(|found| relay.locate(inbox.octets(index), found));
            }
            for (index, place) in batch.zip(places) {
                if let Some((found, place)) = inbox.scan(index).zip(place) {
                    let octets = inbox.octets(index);
                    relay.on_message(octets, found, place, inbox.source(index), &mut out);
                }
            }
        }
        out.send(&trunks)?;
        if count == 0 {
            trunks.wait(&out)?;
        }
    }
}

/// What the second pass over a batch needs to know about a message beside its scan.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The fingerprint of the branch of a request.
    Fingerprint(u64),
    /// The entry and the sequence number in the branch of a response.
    Entry(usize, u64),
}

impl Relay {
    fn new(arguments: &Arguments) -> Self {
        let mut via = b"Via: SIP/2.0/".to_vec();
        via.extend_from_slice(arguments.transport.name().as_bytes());
        via.push(b' ');
        via.extend_from_slice(arguments.listen.to_string().as_bytes());
        via.extend_from_slice(b";branch=");
        via.extend_from_slice(COOKIE);
        let table = Table::new(arguments.entries);
        Self { next: arguments.next.into(), via: via.into(), table }
    }

    /// The first pass: locate, and have the entry fetched meanwhile.
    fn locate(&self, octets: &[u8], found: &Scan) -> Option<Place> {
        let branch = found.branch.of(octets);
        let (place, index) = if found.status == 0 {
            let fingerprint = fingerprint(branch);
            (Place::Fingerprint(fingerprint), self.table.index(fingerprint))
        } else {
            let (index, sequence) = branch.split_at_checked(8)?;
            let index = usize::try_from(hex(index)?).ok()?;
            (Place::Entry(index, hex(sequence)?), index)
        };
        self.table.prefetch(index)?;
        Some(place)
    }

    /// The second pass.
    fn on_message(
        &mut self,
        octets: &[u8],
        found: &Scan,
        place: Place,
        source: Address,
        out: &mut impl Post,
    ) {
        match place {
            Place::Fingerprint(fingerprint) => {
                self.on_request(octets, found, fingerprint, source, out);
            }
            Place::Entry(index, sequence) => {
                self.on_response(octets, found, (index, sequence), out)
            }
        }
    }

    fn on_request(
        &mut self,
        octets: &[u8],
        found: &Scan,
        fingerprint: u64,
        source: Address,
        out: &mut impl Post,
    ) {
        let Some(hops) = hops_left(octets, found) else { return };
        let (index, sequence) = self.table.insert(fingerprint, source);
        let mut branch = [0; 24];
        write_hex(u64::try_from(index).unwrap_or(0), &mut branch[..8]);
        write_hex(sequence, &mut branch[8..]);
        out.push(self.next, |slot| forward(octets, found, (&self.via, &branch), hops, slot));
    }

    fn on_response(
        &self,
        octets: &[u8],
        found: &Scan,
        (index, sequence): (usize, u64),
        out: &mut impl Post,
    ) {
        let entry = self.table.entry(index);
        if entry.sequence != sequence || found.via_count < 2 {
            return;
        }
        out.push(entry.source, |slot| back(octets, found, slot));
    }
}
