//! The deterministic simulator: the third driver of the engine.
//!
//! It fills the same [`roger::packet::Arrival`]s as the kernel does and takes the same
//! [`roger::packet::Departures`], in one thread, with a clock and a network of its own. Everything
//! that happens follows from one number, so a run that fails can be run again.
//!
//! ```text
//!   sms (clients) --+                                       +-- im (servers, users)
//!   centre (SCs) ---+--> air --> world --> boundary --> engines
//!   strangers ------+    time    turns     one bug,         +-- the kernel: sent, refused, late
//!                        faults  fate      if planted
//!                                  |
//!                        ledger, gateway  what truly happened, octet by octet
//!                        judge, verdict   what must have been decided, by a table of its own
//! ```
//!
//! Three things make its judgement worth something. The actors and the judge read and write SIP
//! with naive string code and never with the engine's parser. The judge knows the truth: what
//! every IM user has really seen, and what every client was really told. And it is tested itself:
//! each [`Bug`] planted at the boundary must be found, and so must the mutants of the engine's
//! sources in `mutants/`.
//!
//! Half of the runs have several workers, each with an engine, sockets and turns of its own. They
//! hand over to each other, stand still alone, and are lost; and in some runs the process ends
//! without warning and starts again. The judge knows one thing of all this: what came may take a
//! moment to reach whom it concerns. Everything else is as with one worker.
//!
//! A run has two parts: faults on, where nothing wrong may happen (safety), then faults off,
//! where everything must come to its end (liveness). Each fault is armed in one run of four.
#![expect(clippy::disallowed_macros, reason = "a tool is cold code")]

mod agent;
mod air;
mod authentication;
mod boundary;
mod bug;
mod calls;
mod carry;
mod centre;
mod chance;
mod conduct;
mod conduit;
mod court;
mod crew;
mod digest;
mod fate;
mod form;
mod gateway;
mod im;
mod inward;
mod judge;
mod large;
mod ledger;
mod line;
mod meddle;
mod mischief;
mod msrp;
mod onward;
mod parts;
mod party;
mod passage;
mod passing;
mod post;
mod report;
mod rest;
mod rp;
mod sdp;
mod session;
mod setup;
mod short;
mod sms;
mod strife;
mod submission;
mod swarm;
mod tcp;
mod text;
mod turn;
mod verdict;
mod wire;
mod world;

pub use self::bug::Bug;
pub use self::carry::{CarryBug, CarryOutcome, run_carry};
pub use self::inward::{InwardBug, InwardOutcome, run_inward};

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// One number over every octet that was sent and every account that was told.
    pub digest: u64,
    /// Messages that were accepted.
    pub messages: u64,
    /// Submissions of short messages that were accepted.
    pub short_messages: u64,
    /// Datagrams that left.
    pub datagrams: u64,
    /// What only many workers, or more than one life of the process, make happen: by counter.
    pub counts: [(&'static str, u64); world::COUNTED_MAX],
    /// How much time passed in the simulated world.
    pub simulated_ns: u64,
    /// The first invariant that broke.
    pub violation: Option<String>,
    /// The last things that happened, if they were asked for.
    pub trace: Vec<String>,
}

/// Runs one seed, with a bug planted if one is given.
pub fn run(seed: u64, bug: Option<Bug>) -> Outcome {
    world::World::new(seed, bug, false).run()
}

/// Runs one seed again and keeps the end of its story.
pub fn explain(seed: u64, bug: Option<Bug>) -> Outcome {
    world::World::new(seed, bug, true).run()
}

/// The first of these seeds at which something breaks.
pub fn find(seeds: impl IntoIterator<Item = u64>, bug: Bug) -> Option<Outcome> {
    seeds.into_iter().map(|seed| run(seed, Some(bug))).find(|outcome| outcome.violation.is_some())
}
