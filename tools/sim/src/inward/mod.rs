//! IM users who send Large Messages to somebody of the SMS side: a small world of its own, beside the large
//! one, so that no seed of that one tells another story because of it.
//!
//! ```text
//!   users (INVITE, MSRP) --+                       +-- centre (RP-ACK, RP-ERROR, status reports) -- phones
//!                          +-- world -- engine ----+
//!                          |      one bug, if planted
//!                        court    what phones truly have, what users truly heard, what accounts say
//! ```
//!
//! Users and the centre read and write SIP, MSRP and TPDUs by naive code, and the court knows the truth from
//! the centre alone. Datagrams are lost, doubled and late; connections are cut at any octet, and what was not
//! heard of is then sent again in another session under the same Message-ID.

mod bug;
mod centre;
mod court;
mod users;
mod wires;
mod world;

pub use self::bug::InwardBug;

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct InwardOutcome {
    /// The seed.
    pub seed: u64,
    /// One number over everything that was sent and told.
    pub digest: u64,
    /// Messages of users.
    pub messages: u64,
    /// Of these, those that their phone has whole.
    pub delivered: u64,
    /// SMS-SUBMITs.
    pub parts: u64,
    /// Messages that came again and were not submitted again.
    pub repeated: u64,
    /// The first invariant that broke.
    pub violation: Option<String>,
    /// What happened, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs one seed, with a bug planted if one is given; `told` keeps its story.
pub fn run_inward(seed: u64, bug: Option<InwardBug>, told: bool) -> InwardOutcome {
    world::World::new(seed, bug, told).run()
}
