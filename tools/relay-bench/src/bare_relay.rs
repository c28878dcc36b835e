//! The least that a stateful relay of MESSAGE can be: the floor of the measurement.
//!
//! It receives a batch, scans each datagram once, remembers a request in a table by the branch
//! that the SMS side minted, writes its own Via in front and sends it on; a response finds its
//! entry by the number in that Via, loses the Via and goes back to where the request came from.
//! There are no timers, no retransmissions, no verdicts, no checks of who is speaking, and
//! whatever it cannot read it drops. The table is as large as one that remembers 32 s of messages
//! must be, touched at start, and a batch prefetches its entries together.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use clap::Parser;
use relay_bench::batch::{Address, Aggregation, BATCH_SIZE, Inbox, Outbox, Wait, bind};
use relay_bench::message::{COOKIE, Scan, Writer, hex, number, scan, write_hex};
use relay_bench::table::{Table, fingerprint};

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
}

struct Relay {
    socket: UdpSocket,
    next: Address,
    /// Our Via up to its branch.
    via: Box<[u8]>,
    table: Table,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut relay = Relay::new(&arguments)?;
    let mut inbox = Inbox::new();
    let mut out = Outbox::new();
    let mut scans = [None; BATCH_SIZE];
    loop {
        let count = inbox.receive(&relay.socket, Wait::ForOne)?;
        for (index, found) in scans[..count].iter_mut().enumerate() {
            *found = relay.read(inbox.octets(index));
        }
        for (index, found) in scans[..count].iter().enumerate() {
            if let Some((found, place)) = found {
                let octets = inbox.octets(index);
                match found.status {
                    0 => relay.on_request(octets, found, *place, inbox.source(index), &mut out),
                    _ => relay.on_response(octets, found, *place, &mut out),
                }
            }
        }
        out.send(&relay.socket, Aggregation::None)?;
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
    fn new(arguments: &Arguments) -> io::Result<Self> {
        let socket = bind(arguments.listen)?;
        let mut via = b"Via: SIP/2.0/UDP ".to_vec();
        via.extend_from_slice(socket.local_addr()?.to_string().as_bytes());
        via.extend_from_slice(b";branch=");
        via.extend_from_slice(COOKIE);
        let table = Table::new(arguments.entries);
        Ok(Self { socket, next: arguments.next.into(), via: via.into(), table })
    }

    /// The first pass: scan, locate, and have the entry fetched meanwhile.
    fn read(&self, octets: &[u8]) -> Option<(Scan, Place)> {
        let found = scan(octets)?;
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
        Some((found, place))
    }

    fn on_request(
        &mut self,
        octets: &[u8],
        found: &Scan,
        place: Place,
        source: Address,
        out: &mut Outbox,
    ) {
        let Place::Fingerprint(fingerprint) = place else { return };
        let digits = found.max_forwards.of(octets);
        let Some(hops) = number(digits).filter(|&hops| hops > 10 && hops <= 99) else { return };
        let (index, sequence) = self.table.insert(fingerprint, source);
        let mut branch = [0; 24];
        write_hex(u64::try_from(index).unwrap_or(0), &mut branch[..8]);
        write_hex(sequence, &mut branch[8..]);
        let hops = u8::try_from(hops - 1).unwrap_or(0);
        let hops = [b'0' + hops / 10, b'0' + hops % 10];
        out.push(self.next, |slot| {
            let mut writer = Writer::new(slot);
            writer
                .put(&octets[..found.via.at])
                .put(&self.via)
                .put(&branch)
                .put(b"\r\n")
                .put(&octets[found.via.at..found.max_forwards.at])
                .put(&hops)
                .put(&octets[found.max_forwards.end..found.body.end]);
            writer.len()
        });
    }

    fn on_response(&self, octets: &[u8], found: &Scan, place: Place, out: &mut Outbox) {
        let Place::Entry(index, sequence) = place else { return };
        let entry = self.table.entry(index);
        if entry.sequence != sequence || found.via_count < 2 {
            return;
        }
        out.push(entry.source, |slot| {
            let mut writer = Writer::new(slot);
            writer.put(&octets[..found.via.at]).put(&octets[found.via.end..found.body.end]);
            writer.len()
        });
    }
}
