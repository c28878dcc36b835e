//! Both ends of a relay or of a gateway in one thread, while the system under test stands between.
//!
//! Around a relay it sends MESSAGE as the SMS side, answers as the IM side, and takes the answer
//! back. Around a gateway it sends RP-DATA in MESSAGE, answers the instant message as the IM side,
//! takes RP-ACK in a MESSAGE and answers that; a message is complete when both the 200 of its
//! RP-DATA and its RP-ACK have come.
//!
//! In the closed loop a window of messages is always outstanding: the system under test is kept
//! busy and its processor time per message is what counts. With `--rate` messages are due at even
//! intervals whatever comes back, and their latency runs from when they were due, not from when
//! they left. Every answer is checked: its status, its one Via, the Call-ID that belongs to its
//! branch. Over UDP what is not answered within T1 is sent again and counted.
//!
//! Over TCP the SMS side connects to the system under test, which connects to the IM side; reports
//! come to the SMS side on a connection of their own, as their receiver is known by its address. What
//! is sent in a turn leaves in one write for each connection, and is read in one.
//!
//! The result is one JSON object on standard output. It is about the measuring window alone:
//! warming up and draining are outside.
#![expect(clippy::disallowed_macros, reason = "the message is composed once, before the start")]

mod abuse;
mod ends;
mod side;
mod template;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Parser;
use relay_bench::Transport;
use relay_bench::batch::Aggregation;
use relay_bench::usage::{Usage, stolen_seconds};
use roger::store::HashKey;
use serde::Serialize;

use crate::abuse::{Abuse, Deeds};
use crate::ends::{Ends, Tally};

/// Plays both ends of a relay or a gateway of MESSAGE and measures what is between them.
#[derive(Debug, Parser)]
struct Arguments {
    /// What stands between.
    #[arg(long, value_enum, default_value_t = Scenario::Relay)]
    scenario: Scenario,
    /// How packets are carried.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Where the system under test listens.
    #[arg(long)]
    target: SocketAddr,
    /// Where the SMS side sends from.
    #[arg(long)]
    sms: SocketAddr,
    /// Where the IM side listens.
    #[arg(long)]
    im: SocketAddr,
    /// The status code with which the IM side answers.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..700))]
    answer: u16,
    /// Messages outstanding in the closed loop.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// Messages per second in the open loop; without it the loop is closed.
    #[arg(long)]
    rate: Option<u32>,
    /// Octets in a MESSAGE through a relay.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u16).range(550..1300))]
    size: u16,
    /// Seconds before the measuring window.
    #[arg(long, default_value_t = 2.0)]
    warm: f64,
    /// Seconds in it.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Send to many recipients instead of one, in turn to those whose home is each of so many workers
    /// under this secret: the first of the recipient's four own digits is the number of the worker.
    /// For a relay; the digits begin at octet 20 of the request.
    #[arg(long, value_name = "SECRET:WORKERS")]
    homes: Option<Homes>,
    /// The process under test, whose processor time is read.
    #[arg(long)]
    process: Option<u32>,
    /// Send neighbours of one length as trains: cheaper here, dearer for who receives them.
    #[arg(long)]
    trains: bool,
    /// Connections of strangers, each of which sends one octet of a message a second.
    #[arg(long, default_value_t = 0)]
    slow: u32,
    /// Connections of strangers that are opened and closed in a second.
    #[arg(long, default_value_t = 0)]
    churn: u32,
    /// Connections of strangers that say nothing.
    #[arg(long, default_value_t = 0)]
    idle: u32,
}

impl Arguments {
    const fn aggregation(&self) -> Aggregation {
        if self.trains { Aggregation::Trains } else { Aggregation::None }
    }
}

/// A secret of 32 hexadecimal digits, and how many workers there are: at most ten.
#[derive(Clone, Copy, Debug)]
struct Homes {
    key: HashKey,
    workers: usize,
}

impl FromStr for Homes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (secret, workers) = text.split_once(':').ok_or("SECRET:WORKERS is wanted")?;
        let half = |digits: Option<&str>| {
            let digits = digits.filter(|digits| digits.len() == 16).ok_or("32 digits")?;
            u64::from_str_radix(digits, 16).map_err(|error| error.to_string())
        };
        let key = HashKey([half(secret.get(..16))?, half(secret.get(16..))?]);
        let workers = workers.parse().map_err(|error| format!("{workers}: {error}"))?;
        if !(1..=10).contains(&workers) {
            return Err(format!("{workers} workers have no digit of their own"));
        }
        Ok(Self { key, workers })
    }
}

/// What the system under test is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Scenario {
    /// MESSAGE goes through it, and so does its final response.
    Relay,
    /// RP-DATA becomes an instant message, and its final response a report.
    Gateway,
}

/// What the measuring window showed.
#[derive(Debug, Serialize)]
struct Outcome {
    completed: u64,
    seconds: f64,
    per_second: f64,
    /// Processor time of the system under test for one message.
    cpu_us: Option<f64>,
    /// What of it was spent in user space, by sampled ticks.
    user_us: Option<f64>,
    /// How much of the window it was on a processor: near 1 when it is saturated and single.
    busy: Option<f64>,
    /// How much of the window it had work and no processor, which neighbours had instead.
    waited: Option<f64>,
    involuntary: Option<u64>,
    /// The same of that of its threads which did most.
    busiest_waited: Option<f64>,
    busiest_involuntary: Option<u64>,
    /// How much of one core the hypervisor says that it took, of all cores together.
    stolen: f64,
    driver_busy: f64,
    driver_waited: f64,
    driver_involuntary: u64,
    window: u16,
    rate: Option<u32>,
    statuses: std::collections::BTreeMap<u16, u64>,
    /// Messages that came together, in datagrams at most a batch of them.
    per_receive: f64,
    /// Requests that came out on the IM side.
    relayed: u64,
    retransmitted: u64,
    rp_acks: u64,
    rp_errors: u64,
    /// Reports that came again.
    repeated: u64,
    /// Messages given up at the end of the run.
    unanswered: u64,
    /// Datagrams that are not what they should be.
    wrong: u64,
    /// Messages that were due while every place for an outstanding one was taken.
    overruns: u64,
    latency_us: Latency,
    /// How late the driver itself was.
    lateness_us: Latency,
    /// What strangers did meanwhile.
    strangers: Deeds,
    /// How many of the connections that say nothing were there at the end.
    idle_left: usize,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "three digits are recorded")]
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// Messages that may be outstanding in the open loop: the backlog of a second or less.
const OPEN_LOOP_PLACES: u16 = 1 << 15;

/// How long answers are awaited after the measuring window.
const DRAIN: Duration = Duration::from_secs(1);

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let places = arguments.rate.map_or(arguments.window, |_| OPEN_LOOP_PLACES);
    let message = match arguments.scenario {
        Scenario::Relay => template::text(&arguments)?,
        Scenario::Gateway => template::short_message(&arguments),
    };
    let mut ends = Ends::new(&arguments, places, message)?;

    ends.abuse = Abuse::new(&arguments)?;
    run(&mut ends, &arguments, Duration::from_secs_f64(arguments.warm))?;
    let usage = || arguments.process.map(Usage::of).transpose();
    let myself = Usage::of(std::process::id())?;
    let (stolen, peer, start) = (stolen_seconds()?, usage()?, now());
    ends.tally = Tally::new()?;
    if let Some(abuse) = &mut ends.abuse {
        abuse.deeds = Deeds::default();
    }
    run(&mut ends, &arguments, Duration::from_secs_f64(arguments.seconds))?;
    let seconds = start.elapsed();
    let (peer, myself) = (
        usage()?.zip(peer).map(|(after, before)| after.since(before)),
        Usage::of(std::process::id())?.since(myself),
    );
    let stolen = stolen_seconds()? - stolen;
    let completed = ends.tally.completed;
    let cpu_us = peer.map(|peer| ratio(peer.cpu_ns, real(completed)) / 1e3);
    let outcome = Outcome {
        completed,
        seconds: seconds.as_secs_f64(),
        per_second: ratio(completed, seconds.as_secs_f64()),
        cpu_us,
        user_us: cpu_us.zip(peer).map(|(cpu, peer)| cpu * peer.user_share()),
        busy: peer.map(|peer| ratio(peer.cpu_ns, seconds.as_secs_f64()) / 1e9),
        waited: peer.map(|peer| ratio(peer.waited_ns, seconds.as_secs_f64()) / 1e9),
        involuntary: peer.map(|peer| peer.involuntary),
        busiest_waited: peer.map(|peer| ratio(peer.busiest.waited_ns, seconds.as_secs_f64()) / 1e9),
        busiest_involuntary: peer.map(|peer| peer.busiest.involuntary),
        stolen: stolen / seconds.as_secs_f64(),
        driver_busy: ratio(myself.cpu_ns, seconds.as_secs_f64()) / 1e9,
        driver_waited: ratio(myself.waited_ns, seconds.as_secs_f64()) / 1e9,
        driver_involuntary: myself.involuntary,
        window: arguments.window,
        rate: arguments.rate,
        statuses: ends.tally.statuses(),
        per_receive: ratio(ends.tally.received.1, real(ends.tally.received.0)),
        relayed: ends.tally.relayed,
        retransmitted: ends.tally.retransmitted,
        rp_acks: ends.tally.rp_acks,
        rp_errors: ends.tally.rp_errors,
        repeated: ends.tally.repeated,
        overruns: ends.tally.overruns,
        latency_us: Latency::of(&ends.tally.latency),
        lateness_us: Latency::of(&ends.tally.lateness),
        strangers: ends.abuse.as_ref().map(|abuse| abuse.deeds).unwrap_or_default(),
        idle_left: ends.abuse.as_ref().map_or(0, Abuse::idle_left),
        unanswered: ends.drain(DRAIN)?,
        wrong: ends.tally.wrong,
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &outcome)?;
    writeln!(out)?;
    let expected = match arguments.scenario {
        Scenario::Relay => outcome.statuses.keys().all(|&status| status == arguments.answer),
        Scenario::Gateway => {
            outcome.statuses.keys().all(|&status| status == 200) && outcome.rp_errors == 0
        }
    };
    let clean = expected && outcome.completed > 0 && outcome.wrong == 0 && outcome.unanswered == 0;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(ends: &mut Ends, arguments: &Arguments, time: Duration) -> io::Result<()> {
    let start = now();
    match arguments.rate {
        None => ends.run_closed(arguments.window, start + time),
        Some(rate) => ends.run_open(rate, start, start + time),
    }
}

#[cfg(test)]
impl Arguments {
    fn for_test() -> Self {
        let of = ["lean-driver", "--target", "127.0.0.1:1", "--sms", "127.0.0.1:2", "--im"];
        Self::parse_from(of.into_iter().chain(["127.0.0.1:3"]))
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
const fn real(count: u64) -> f64 {
    count as f64
}

fn ratio(count: u64, by: f64) -> f64 {
    real(count) / by
}
