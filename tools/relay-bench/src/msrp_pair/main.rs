//! A sender and a receiver of MSRP, each the driver and the endpoint of the product, and the same octets over
//! plain TCP: what a Large Message costs.
//!
//! There is no SIP: both ends know the URIs of all sessions beforehand, and all sessions of a sender share one
//! connection, as those of the product to one place do. The verdict on each message is that of the product's
//! ledger. Identifiers are counted up instead of being made impossible to guess, which costs less than those
//! of the product do.

#![expect(clippy::disallowed_macros, reason = "a measurement, not the packet path")]

mod crowd;
mod floor;
mod host;
mod node;
mod receiver;
mod sender;

use std::fs;
use std::io;
use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};
use relay_bench::usage::Usage;
use roger::io::Choice;
use roger::store::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator<std::alloc::System> = CountingAllocator(std::alloc::System);

/// Carries messages over MSRP, or the same octets over plain TCP.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Receives over MSRP, until whoever has sent something goes away, or everybody does.
    Receive(Receive),
    /// Sends over MSRP and waits for the verdicts.
    Send(Send),
    /// Receives over plain TCP, and answers each message with two hundred octets.
    FloorReceive {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// Octets of a message.
        #[arg(long)]
        size: usize,
    },
    /// Sends over plain TCP, as many octets as MSRP would take.
    FloorSend(Load),
    /// Opens connections, binds a session to each, and says next to nothing.
    Crowd(Crowd),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DriverName {
    #[value(name = "io_uring")]
    Uring,
    Mmsg,
}

impl DriverName {
    const fn choice(self) -> Choice {
        match self {
            Self::Uring => Choice::Uring,
            Self::Mmsg => Choice::Mmsg,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Receive {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Sessions that there are.
    #[arg(long)]
    sessions: u32,
    /// Connections that there may be.
    #[arg(long, default_value_t = 16)]
    connections: u16,
    /// Messages of which some octets may have come, at once.
    #[arg(long, default_value_t = 64)]
    arriving: u32,
    /// The relay between both.
    #[arg(long)]
    relay: Option<SocketAddr>,
    /// How octets are moved.
    #[arg(long, value_enum, default_value_t = DriverName::Uring)]
    driver: DriverName,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Load {
    /// Who receives.
    #[arg(long)]
    to: SocketAddr,
    /// Octets of a message.
    #[arg(long)]
    size: usize,
    /// Sessions.
    #[arg(long, default_value_t = 1)]
    sessions: u32,
    /// Messages of each session that are under way at once.
    #[arg(long, default_value_t = 4)]
    window: u32,
    /// How long messages are sent.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Send {
    #[command(flatten)]
    load: Load,
    /// Whether the other end is taken for a relay, so that a REPORT is what proves.
    #[arg(long)]
    reports: bool,
    /// The relay between both, which is connected to instead.
    #[arg(long)]
    relay: Option<SocketAddr>,
    /// How octets are moved.
    #[arg(long, value_enum, default_value_t = DriverName::Uring)]
    driver: DriverName,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Crowd {
    /// Who receives.
    #[arg(long)]
    to: SocketAddr,
    /// The number of the first session.
    #[arg(long)]
    first: u32,
    /// Connections, each with a session.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// From an octet of a connection to the next one; 0: none follows.
    #[arg(long, default_value_t = 0)]
    interval_ms: u64,
    /// How long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> io::Result<()> {
    match Arguments::parse().what {
        What::Receive(receive) => receiver::run(receive),
        What::Send(send) => sender::run(send),
        What::FloorReceive { listen, size } => floor::receive(listen, size),
        What::FloorSend(load) => floor::send(load),
        What::Crowd(crowd) => crowd::run(crowd),
    }
}

/// Processor time of this process so far.
fn cpu_ns() -> io::Result<u64> {
    Ok(Usage::of(std::process::id())?.cpu_ns)
}

/// Octets of this process that are in memory.
fn resident() -> io::Result<u64> {
    const PAGE_SIZE: u64 = 4_096;
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE_SIZE).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
