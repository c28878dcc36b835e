//! `sim SEED`, `sim A..B`, `sim --bugs`, `sim --bug NAME A..B`, worlds of their own: runs seeds and says what broke.
#![expect(clippy::print_stdout, reason = "a command prints")]
#![expect(clippy::print_stderr, reason = "a command says what went wrong")]

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::process::ExitCode;

use sim::{Bug, CarryBug, InwardBug, Outcome};

const USAGE: &str = "usage: sim SEED            one seed with the end of its story
       sim A..B            seeds A to B-1, a summary, the first failing one with its story
       sim --each A..B     one line per seed
       sim --bugs [A..B]   each planted bug over these seeds (0..1000) until it is found
       sim --bug NAME A..B one planted bug
       sim --inward A..B   messages of IM users to the SMS side, up to the first seed that fails
       sim --inward-bugs [A..B]  each bug planted there
       sim --carry A..B    sessions that pass from one IM user to another, up to the first seed that fails
       sim --carry-bugs [A..B]  each bug planted there";

/// The seed that is running, for whoever dies of a panic.
static SEED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("seed {} panicked:", SEED.load(Ordering::Relaxed));
        before(panic);
    }));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--bugs"] => Some(bugs(&(0..1_000))),
        ["--bugs", seeds] => range(seeds).map(|seeds| bugs(&seeds)),
        ["--each", seeds] => range(seeds).map(each),
        ["--inward", seeds] => range(seeds).map(inward),
        ["--inward-bugs"] => Some(inward_bugs(&(0..1_000))),
        ["--inward-bugs", seeds] => range(seeds).map(|seeds| inward_bugs(&seeds)),
        ["--carry", seeds] => range(seeds).map(carry),
        ["--carry-bugs"] => Some(carry_bugs(&(0..1_000))),
        ["--carry-bugs", seeds] => range(seeds).map(|seeds| carry_bugs(&seeds)),
        ["--bug", name, seeds] => {
            let bug = Bug::ALL.into_iter().find(|bug| bug.name() == name);
            bug.and_then(|bug| range(seeds).map(|seeds| swarm(seeds, Some(bug))))
        }
        [seeds] => match seeds.parse() {
            Ok(seed) => Some(one(seed, None, usize::MAX)),
            Err(_) => range(seeds).map(|seeds| swarm(seeds, None)),
        },
        _ => None,
    };
    done.unwrap_or_else(|| {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    })
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// Lines of the story that are told of a seed which failed among others.
const TAIL: usize = 80;

/// One seed, with the last `lines` of its story.
fn one(seed: u64, bug: Option<Bug>, lines: usize) -> ExitCode {
    SEED.store(seed, Ordering::Relaxed);
    let outcome = sim::explain(seed, bug);
    for line in outcome.trace.iter().skip(outcome.trace.len().saturating_sub(lines)) {
        println!("{line}");
    }
    println!("{}", summary(&outcome));
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Many seeds, up to the first that fails.
fn swarm(seeds: Range<u64>, bug: Option<Bug>) -> ExitCode {
    let (mut runs, mut messages, mut datagrams, mut digest) = (0_u64, 0, 0, 0_u64);
    let mut counts = BTreeMap::new();
    for seed in seeds {
        SEED.store(seed, Ordering::Relaxed);
        let outcome = sim::run(seed, bug);
        if outcome.violation.is_some() {
            return one(seed, bug, TAIL);
        }
        runs += 1;
        messages += outcome.messages;
        datagrams += outcome.datagrams;
        for (name, count) in outcome.counts {
            *counts.entry(name).or_insert(0_u64) += count;
        }
        digest = digest.rotate_left(1) ^ outcome.digest;
    }
    println!(
        "{runs} seeds, {messages} messages, {datagrams} datagrams sent, digest {digest:016x}: no invariant broken"
    );
    for (name, count) in counts {
        println!("{name:28} {count}");
    }
    ExitCode::SUCCESS
}

/// One line per seed, whatever came of it.
fn each(seeds: Range<u64>) -> ExitCode {
    let mut failed = 0_u64;
    for seed in seeds {
        SEED.store(seed, Ordering::Relaxed);
        let outcome = sim::run(seed, None);
        failed += u64::from(outcome.violation.is_some());
        println!("{}", summary(&outcome));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every planted bug, and the seed that finds it.
fn bugs(seeds: &Range<u64>) -> ExitCode {
    let mut missed = 0_u32;
    for bug in Bug::ALL {
        match sim::find(seeds.clone(), bug) {
            Some(outcome) => {
                let violation = outcome.violation.unwrap_or_default();
                let end = violation.char_indices().nth(110).map_or(violation.len(), |(at, _)| at);
                println!("{:24} seed {:>4}  {}", bug.name(), outcome.seed, &violation[..end]);
            }
            None => {
                missed += 1;
                println!("{:24} NOT FOUND", bug.name());
            }
        }
    }
    println!("{} planted, {missed} missed", Bug::ALL.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Messages to the SMS side, up to the first seed that fails.
fn inward(seeds: Range<u64>) -> ExitCode {
    let (mut runs, mut messages, mut delivered, mut parts, mut repeated, mut digest) =
        (0_u64, 0, 0, 0, 0, 0_u64);
    for seed in seeds {
        SEED.store(seed, Ordering::Relaxed);
        let outcome = sim::run_inward(seed, None, false);
        if outcome.violation.is_some() {
            let outcome = sim::run_inward(seed, None, true);
            for line in outcome.trace.iter().skip(outcome.trace.len().saturating_sub(TAIL)) {
                println!("{line}");
            }
            println!("seed {seed}: {}", outcome.violation.unwrap_or_default());
            return ExitCode::FAILURE;
        }
        runs += 1;
        messages += outcome.messages;
        delivered += outcome.delivered;
        parts += outcome.parts;
        repeated += outcome.repeated;
        digest = digest.rotate_left(1) ^ outcome.digest;
    }
    println!(
        "{runs} seeds, {messages} messages of which phones have {delivered}, {parts} parts, \
         {repeated} came again, digest {digest:016x}: no invariant broken"
    );
    ExitCode::SUCCESS
}

/// Every bug planted there, and the seed that finds it.
fn inward_bugs(seeds: &Range<u64>) -> ExitCode {
    let run = |bug, seed| sim::run_inward(seed, Some(bug), false).violation;
    planted(&InwardBug::ALL, InwardBug::name, run, seeds)
}

/// What each bug of a world is found by.
fn planted<B: Copy>(
    all: &[B],
    name: impl Fn(B) -> &'static str,
    run: impl Fn(B, u64) -> Option<String>,
    seeds: &Range<u64>,
) -> ExitCode {
    let mut missed = 0_u32;
    for bug in all.iter().copied() {
        let found = seeds.clone().find_map(|seed| Some((seed, run(bug, seed)?)));
        match found {
            Some((seed, violation)) => println!("{:24} seed {seed:>4}  {violation}", name(bug)),
            None => {
                missed += 1;
                println!("{:24} NOT FOUND", name(bug));
            }
        }
    }
    println!("{} planted, {missed} missed", all.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sessions that pass, up to the first seed that fails.
fn carry(seeds: Range<u64>) -> ExitCode {
    let (mut runs, mut calls, mut joined, mut messages) = (0_u64, 0, 0, 0);
    let (mut whole, mut delivered, mut reports, mut digest) = (0, 0, 0, 0_u64);
    for seed in seeds {
        SEED.store(seed, Ordering::Relaxed);
        let outcome = sim::run_carry(seed, None, false);
        if outcome.violation.is_some() {
            let outcome = sim::run_carry(seed, None, true);
            for line in outcome.trace.iter().skip(outcome.trace.len().saturating_sub(TAIL)) {
                println!("{line}");
            }
            println!("seed {seed}: {}", outcome.violation.unwrap_or_default());
            return ExitCode::FAILURE;
        }
        runs += 1;
        calls += outcome.calls;
        joined += outcome.joined;
        messages += outcome.messages;
        whole += outcome.whole;
        delivered += outcome.delivered;
        reports += outcome.reports;
        digest = digest.rotate_left(1) ^ outcome.digest;
    }
    println!(
        "{runs} seeds, {calls} calls of which {joined} were joined, {messages} messages of which \
         {whole} came whole and {delivered} were delivered, {reports} REPORTs, digest {digest:016x}: \
         no invariant broken"
    );
    ExitCode::SUCCESS
}

/// Every bug planted there, and the seed that finds it.
fn carry_bugs(seeds: &Range<u64>) -> ExitCode {
    let run = |bug, seed| sim::run_carry(seed, Some(bug), false).violation;
    planted(&CarryBug::ALL, CarryBug::name, run, seeds)
}

fn summary(outcome: &Outcome) -> String {
    let Outcome { seed, digest, messages, datagrams, simulated_ns, violation, .. } = outcome;
    let seconds = simulated_ns / 1_000_000_000;
    let verdict = violation.as_deref().unwrap_or("no invariant broken");
    [
        format_args!("seed {seed}: digest {digest:016x}, {messages} messages, ").to_string(),
        format_args!("{datagrams} datagrams sent, {seconds} s simulated: {verdict}").to_string(),
    ]
    .concat()
}
