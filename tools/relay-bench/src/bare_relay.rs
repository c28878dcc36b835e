//! The least that a stateful relay of MESSAGE can be: the floor of the measurement.
//!
//! It receives a batch, scans each datagram once, remembers a request in a table by the branch
//! that the SMS side minted, writes its own Via in front and sends it on; a response finds its
//! entry by the number in that Via, loses the Via and goes back to where the request came from.
//! There are no timers, no retransmissions, no verdicts, no checks of who is speaking, and
//! whatever it cannot read it drops. The table is as large as one that remembers 32 s of messages
//! must be, touched at start, and a batch prefetches its entries together.
#![expect(unsafe_code, reason = "prefetching takes a raw pointer")]

use std::io;
use std::net::{SocketAddr, UdpSocket};

use clap::Parser;
use relay_bench::batch::{Address, Aggregation, BATCH_SIZE, Inbox, Outbox, Wait, bind};
use relay_bench::message::{COOKIE, Scan, Writer, hex, number, scan, write_hex};

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

/// A transaction, in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry {
    fingerprint: u64,
    /// The number of the request that wrote it; zero when nothing did.
    sequence: u64,
    source: Address,
}

struct Relay {
    socket: UdpSocket,
    next: Address,
    /// Our Via up to its branch.
    via: Box<[u8]>,
    entries: Box<[Entry]>,
    sequence: u64,
}

/// Entries that are looked at for one fingerprint; the oldest of them gives way.
const PROBES_MAX: usize = 4;

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
        let empty = Entry { fingerprint: 0, sequence: 0, source: Address::default() };
        let mut entries: Box<[Entry]> =
            std::iter::repeat_n(empty, arguments.entries.next_power_of_two()).collect();
        // A page of zeros is not memory yet; an odd number everywhere is.
        for entry in &mut entries {
            entry.fingerprint = 1;
        }
        Ok(Self { socket, next: arguments.next.into(), via: via.into(), entries, sequence: 0 })
    }

    /// The first pass: scan, locate, and have the entry fetched meanwhile.
    fn read(&self, octets: &[u8]) -> Option<(Scan, Place)> {
        let found = scan(octets)?;
        let branch = found.branch.of(octets);
        let (place, index) = if found.status == 0 {
            let fingerprint = fingerprint(branch);
            (Place::Fingerprint(fingerprint), self.index(fingerprint))
        } else {
            let (index, sequence) = branch.split_at_checked(8)?;
            let index = usize::try_from(hex(index)?).ok()?;
            (Place::Entry(index, hex(sequence)?), index)
        };
        prefetch(self.entries.get(index)?);
        Some((found, place))
    }

    fn index(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint >> 32).unwrap_or(0) & (self.entries.len() - 1)
    }

    /// Finds the entry of a retransmission, or makes room for a new one.
    fn insert(&mut self, fingerprint: u64, source: Address) -> (usize, u64) {
        let home = self.index(fingerprint);
        let mask = self.entries.len() - 1;
        let mut chosen = home;
        for probe in 0..PROBES_MAX {
            let index = (home + probe) & mask;
            let entry = self.entries[index];
            if entry.fingerprint == fingerprint && entry.sequence != 0 {
                return (index, entry.sequence);
            }
            if entry.sequence < self.entries[chosen].sequence {
                chosen = index;
            }
            if entry.sequence == 0 {
                break;
            }
        }
        self.sequence += 1;
        self.entries[chosen] = Entry { fingerprint, sequence: self.sequence, source };
        (chosen, self.sequence)
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
        let (index, sequence) = self.insert(fingerprint, source);
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
        let entry = self.entries[index];
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

/// Mixes a branch into 64 bits, eight octets at a time. Nobody attacks a bare relay.
fn fingerprint(octets: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut mixed = MULTIPLIER;
    let (words, rest) = octets.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for word in words.iter().chain([&last]) {
        mixed = (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 29;
    }
    mixed
}

fn prefetch(entry: &Entry) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint about an address; this one is a live reference.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(entry).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = entry;
}
