//! The drivers beside a bare loop of `sendmmsg` and `recvmmsg`: what a datagram costs, sent and
//! received, on one core.
//!
//! One socket sends 32 datagrams of 600 octets to itself and receives them, again and again, so the
//! two system calls and the loopback between them are all there is. They take turns in short
//! samples, so that whatever else the machine does meets all of them; medians of processor time are
//! compared. The bare loop runs again on a port that is shared, and with the program that spreads
//! datagrams over workers, which tells the price of both.
//! `cargo bench --bench io` prints nanoseconds per datagram and ratios, of those whose name
//! contains a word that is given, for a profiler; without `--bench` it runs a few turns, so that it
//! cannot rot.
#![expect(clippy::print_stdout, reason = "a bench reports on its standard output")]
#![expect(clippy::disallowed_macros, reason = "a bench is not the packet path")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![expect(unsafe_code, reason = "the bare loop calls the kernel itself")]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use roger::io::{Choice, Driver, Event, SocketSpec, bind, steer};
use roger::limits::BURST_SIZE;
use roger::metrics::Tally;
use roger::packet::{Departure, Departures, Endpoint, Flow, JournalSeq, Purse};

const LEN: usize = 600;

#[global_allocator]
static ALLOCATOR: roger::store::CountingAllocator<std::alloc::System> =
    roger::store::CountingAllocator(std::alloc::System);

fn socket(reuse_port: bool) -> UdpSocket {
    let spec = SocketSpec {
        address: "127.0.0.1:0".parse().unwrap(),
        reuse_port,
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
    };
    bind(&spec).unwrap()
}

/// Something that sends a batch to itself and receives it; it returns the sum of the first octets.
trait Turner {
    fn turn(&mut self, number: u8) -> u64;
}

struct Driven {
    driver: Driver,
    out: Departures,
    flow: Flow,
}

impl Driven {
    fn new(choice: Choice) -> Option<Self> {
        let socket = socket(false);
        let remote = Endpoint::from(socket.local_addr().unwrap());
        let driver = Driver::open(vec![socket], choice, Arc::new(Tally::new(0))).ok()?;
        let flow = Flow { remote, ..Flow::default() };
        Some(Self { driver, out: Departures::new(), flow })
    }
}

impl Turner for Driven {
    fn turn(&mut self, number: u8) -> u64 {
        let Self { driver, out, flow } = self;
        for _ in 0..BURST_SIZE {
            let departure = Departure { flow: *flow, ..Departure::default() };
            out.push(Purse::Work, departure, |slot| {
                slot[0] = number;
                LEN
            });
        }
        driver.submit(out, JournalSeq::NOW);
        let (mut sum, mut got) = (0, 0);
        while got < BURST_SIZE {
            driver.reap(out, BURST_SIZE, &mut |event, _| {
                if let Event::Burst(arrivals) = event {
                    got += arrivals.len();
                    sum += arrivals.iter().map(|a| u64::from(a.octets[0])).sum::<u64>();
                }
            });
        }
        sum
    }
}

const NAME: usize = 16;
const CONTROL: usize = 80;

/// The same with nothing around it: the least that these system calls can cost.
struct Bare {
    socket: UdpSocket,
    to: socket2::SockAddr,
    sent: Box<[[u8; LEN]]>,
    got: Box<[[u8; 9_000]]>,
    names: Box<[[u8; NAME]]>,
    controls: Box<[[u8; CONTROL]]>,
    parts: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Bare {
    fn new() -> Self {
        Self::on(socket(false))
    }

    /// On a port that is shared, though with nobody; `steered` by a program that chooses among four.
    fn sharing(steered: bool) -> Self {
        let socket = socket(true);
        if steered {
            steer(&socket, 4).unwrap();
        }
        Self::on(socket)
    }

    fn on(socket: UdpSocket) -> Self {
        // SAFETY: all zero is a header without name, parts and control messages.
        let header: libc::mmsghdr = unsafe { core::mem::zeroed() };
        let part = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        Self {
            to: socket.local_addr().unwrap().into(),
            socket,
            sent: vec![[0; LEN]; BURST_SIZE].into(),
            got: vec![[0; 9_000]; BURST_SIZE].into(),
            names: vec![[0; NAME]; BURST_SIZE].into(),
            controls: vec![[0; CONTROL]; BURST_SIZE].into(),
            parts: vec![part; BURST_SIZE].into(),
            headers: vec![header; BURST_SIZE].into(),
        }
    }
}

impl Turner for Bare {
    fn turn(&mut self, number: u8) -> u64 {
        let fd = self.socket.as_raw_fd();
        for index in 0..BURST_SIZE {
            self.sent[index][0] = number;
            self.parts[index].iov_base = self.sent[index].as_mut_ptr().cast();
            self.parts[index].iov_len = LEN;
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.to.as_ptr().cast_mut().cast();
            header.msg_namelen = self.to.len();
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            header.msg_control = core::ptr::null_mut();
            header.msg_controllen = 0;
        }
        let (first, count) = (self.headers.as_mut_ptr(), self.headers.len());
        let count = u32::try_from(count).unwrap();
        // SAFETY: the headers point at what this structure owns.
        let sent = unsafe { libc::sendmmsg(fd, first, count, libc::MSG_DONTWAIT) };
        assert_eq!(usize::try_from(sent), Ok(BURST_SIZE));
        for index in 0..BURST_SIZE {
            self.parts[index].iov_base = self.got[index].as_mut_ptr().cast();
            self.parts[index].iov_len = self.got[index].len();
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_namelen = u32::try_from(NAME).unwrap();
            header.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
        }
        let (first, timeout) = (self.headers.as_mut_ptr(), core::ptr::null_mut());
        // SAFETY: the headers point at what this structure owns.
        let got = unsafe { libc::recvmmsg(fd, first, count, libc::MSG_DONTWAIT, timeout) };
        assert_eq!(usize::try_from(got), Ok(BURST_SIZE));
        self.got.iter().map(|octets| u64::from(octets[0])).sum()
    }
}

/// The processor time of this thread: neighbours that take the core away are not in it.
fn spent_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one structure of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

struct Contestant {
    name: &'static str,
    turner: Box<dyn Turner>,
    ns: Vec<f64>,
    sum: u64,
}

impl Contestant {
    fn new(name: &'static str, turner: Box<dyn Turner>, samples: usize) -> Self {
        Self { name, turner, ns: Vec::with_capacity(samples), sum: 0 }
    }

    fn sample(&mut self, turns: usize) {
        let began = spent_ns();
        for number in (0..=250).cycle().take(turns) {
            self.sum += self.turner.turn(number);
        }
        let datagrams = (turns * BURST_SIZE) as f64;
        self.ns.push((spent_ns() - began) as f64 / datagrams);
    }

    fn median(&mut self) -> f64 {
        self.ns.sort_by(f64::total_cmp);
        self.ns[self.ns.len() / 2]
    }
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let (samples, turns) = if full { (1_001, 40) } else { (3, 10) };
    if let Some(core) = core_affinity::get_core_ids().and_then(|mut cores| cores.pop()) {
        core_affinity::set_for_current(core);
    }
    let mut contestants = vec![
        Contestant::new("bare sendmmsg + recvmmsg", Box::new(Bare::new()), samples),
        Contestant::new("bare, shared port", Box::new(Bare::sharing(false)), samples),
        Contestant::new("bare, shared and steered", Box::new(Bare::sharing(true)), samples),
    ];
    for (name, choice) in [("driver mmsg", Choice::Mmsg), ("driver io_uring", Choice::Uring)] {
        match Driven::new(choice) {
            Some(driven) => contestants.push(Contestant::new(name, Box::new(driven), samples)),
            None => println!("{name}: refused here"),
        }
    }
    if let Some(name) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        contestants.retain(|contestant| contestant.name.contains(&name));
    }
    roger::store::allocations_count();
    for _ in 0..samples {
        for contestant in &mut contestants {
            contestant.sample(turns);
        }
    }
    let allocations = roger::store::allocations_of_this_thread().unwrap_or_default();
    assert_eq!(allocations, 0);
    let Some(bare) = contestants.first_mut().map(Contestant::median) else { return };
    for contestant in &mut contestants {
        let (least, ns) =
            (contestant.ns.iter().copied().fold(f64::MAX, f64::min), contestant.median());
        println!(
            "{:<26} {ns:7.1} ns/datagram  {:.3} of the first  (least {least:.1}, sum {:x})",
            contestant.name,
            ns / bare,
            contestant.sum,
        );
    }
    println!("allocations {allocations}");
}
