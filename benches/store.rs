//! The directory: what is asked for and what is put, from a thousand to ten million entries that
//! live, with fingerprints at random.
//!
//! `cargo bench --bench store` prints the median nanoseconds of one operation of five runs, by
//! bursts of 64, with and without asking for all of a burst ahead; beside them the octets of an
//! entry, allocations and a checksum. Entries come and end all the time: a put meets a table that
//! is as full as it is built for. Without `--bench` a small table does it a few times, so that it
//! cannot rot.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;
use std::time;

use roger::limits::BURST_SIZE;
use roger::store::{
    CountingAllocator, Directory, Fingerprint, Reader, allocations_count,
    allocations_of_this_thread,
};
use roger::time::Instant;

#[global_allocator]
static ALLOCATOR: CountingAllocator<std::alloc::System> = CountingAllocator(std::alloc::System);

/// As long as a finished transaction stays answerable.
const LIFE_NS: u64 = 32_000_000_000;
const SIZES: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const RUNS: usize = 5;
/// An entry takes no more, at the load a table is built for.
const OCTETS_PER_ENTRY: usize = 32;

/// 64 bits that look random.
const fn mixed(n: u64) -> u64 {
    let mut word = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

const fn fingerprint(n: u64) -> Fingerprint {
    Fingerprint([mixed(2 * n), mixed(2 * n + 1)])
}

/// A table in the middle of its life: entry n was put at the n-th of equal steps.
struct Table {
    directory: Directory,
    reader: Reader,
    live: u64,
    /// The next entry to come.
    next: u64,
    asked: u64,
    checksum: u64,
}

/// What one kind of operation does for a burst.
type Act = fn(&mut Table, &[u64; BURST_SIZE], bool);

const ACTS: [(&str, Act); 5] = [
    ("get, found", |table, burst, ahead| table.get(burst, 0, ahead)),
    ("get, nothing", |table, burst, ahead| table.get(burst, 1 << 40, ahead)),
    ("read, found", |table, burst, ahead| table.read(burst, 0, ahead)),
    ("read, nothing", |table, burst, ahead| table.read(burst, 1 << 40, ahead)),
    ("put", |table, _, ahead| table.put(ahead)),
];

impl Table {
    fn new(live: u32) -> Self {
        let directory = Directory::new(live, Instant(LIFE_NS));
        assert!(directory.size() <= OCTETS_PER_ENTRY * (live as usize + 8));
        let reader = directory.reader();
        let live = u64::from(live);
        let mut table = Self { directory, reader, live, next: 0, asked: 0, checksum: 0 };
        while table.next < table.live + table.live / 2 {
            table.put(true);
        }
        table
    }

    fn now(&self) -> Instant {
        Instant(LIFE_NS + u64::try_from(u128::from(self.next) * self.step_ps() / 1_000).unwrap())
    }

    /// Entries live for a tick at most beyond their end, and the table is to hold so many.
    fn step_ps(&self) -> u128 {
        u128::from(LIFE_NS + 128_000_000) * 1_000 / u128::from(self.live)
    }

    /// The entries of a burst, none of which ends soon.
    fn burst(&mut self) -> [u64; BURST_SIZE] {
        let recent = self.live / 8 * 7;
        core::array::from_fn(|_| {
            self.asked += 1;
            self.next - 1 - mixed(!self.asked) % recent
        })
    }

    fn take(&mut self, found: Option<u64>) {
        self.checksum = self.checksum.rotate_left(5) ^ found.unwrap_or(1 << 50);
    }

    fn get(&mut self, burst: &[u64; BURST_SIZE], beyond: u64, ahead: bool) {
        let now = self.now();
        if ahead {
            burst.iter().for_each(|n| self.directory.prefetch(fingerprint(n + beyond)));
        }
        for n in burst {
            let found = self.directory.get(fingerprint(n + beyond), now);
            self.take(found);
        }
    }

    fn read(&mut self, burst: &[u64; BURST_SIZE], beyond: u64, ahead: bool) {
        let now = self.now();
        if ahead {
            burst.iter().for_each(|n| self.reader.prefetch(fingerprint(n + beyond)));
        }
        for n in burst {
            let found = self.reader.get(fingerprint(n + beyond), now).unwrap();
            self.take(found);
        }
    }

    fn put(&mut self, ahead: bool) {
        let now = self.now();
        self.directory.sweep(now);
        let burst = self.next..self.next + BURST_SIZE as u64;
        if ahead {
            burst.clone().for_each(|n| self.directory.prefetch(fingerprint(n)));
        }
        for n in burst {
            let end = Instant(now.0 + LIFE_NS);
            let refused = self.directory.put(fingerprint(n), n, now, end).is_err();
            self.take(Some(u64::from(refused)));
        }
        self.next += BURST_SIZE as u64;
    }

    /// Nanoseconds of one operation.
    fn time(&mut self, act: Act, bursts: usize, ahead: bool) -> f64 {
        let mut ns = 0;
        for _ in 0..bursts {
            let burst = self.burst();
            let start = time::Instant::now();
            act(black_box(self), black_box(&burst), ahead);
            ns += start.elapsed().as_nanos();
        }
        ns as f64 / (bursts * BURST_SIZE) as f64
    }
}

fn main() {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let sizes = if is_bench { &SIZES[..] } else { &SIZES[..1] };
    let (runs, bursts) = if is_bench { (RUNS, 8_192) } else { (1, 8) };
    for live in sizes {
        let mut table = Table::new(*live);
        let size = table.directory.size();
        println!(
            "{live} entries: {size} octets, {:.1} an entry at {} taken",
            size as f64 / f64::from(*live),
            table.directory.taken()
        );
        allocations_count();
        let mut lines = ACTS.map(|(name, act)| (name, act, [[0.0; RUNS]; 2]));
        for run in 0..runs {
            for (_, act, ns) in &mut lines {
                for (ns, ahead) in ns.iter_mut().zip([false, true]) {
                    ns[run] = table.time(*act, bursts, ahead);
                }
            }
        }
        let allocations = allocations_of_this_thread().unwrap();
        for (name, _, mut ns) in lines {
            ns.iter_mut().for_each(|ns| ns[..runs].sort_by(f64::total_cmp));
            let [plain, ahead] = ns.map(|ns| (ns[runs / 2], ns[0], ns[runs - 1]));
            println!(
                "{name:>15}: {:6.1} ns [{:.1}-{:.1}], asked for ahead {:6.1} ns [{:.1}-{:.1}]",
                plain.0, plain.1, plain.2, ahead.0, ahead.1, ahead.2
            );
        }
        println!("{:>15}  {allocations} allocations, checksum {:016x}", "", table.checksum);
        assert_eq!(allocations, 0);
    }
}
