//! Sessions that pass from one IM user to another: a small world of its own, beside the large one, so that no
//! seed of that one tells another story because of it.
//!
//! ```text
//!   caller --- SIP, datagrams ---+                        +--- SIP, datagrams --- callee, and its fork
//!      |                         +--- world --- engine ---+                         |
//!      +------ MSRP, lines ------+  one bug, if planted   +------ MSRP, lines ------+
//!                                          |
//!                                        court    what each end truly has, was truly told, and knows
//! ```
//!
//! Both ends read and write SIP and MSRP by naive code. The court knows what each of them has said, has got and
//! has been told, and nothing of what the engine keeps. Datagrams are lost, doubled and late; lines are cut at
//! any octet, go deaf or are read slowly; ends ring, refuse, fork, hang up and fall silent at any moment.

mod bug;
mod court;
mod frame;
mod sip;
mod talk;
mod world;

pub use self::bug::CarryBug;

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct CarryOutcome {
    /// The seed.
    pub seed: u64,
    /// One number over everything that was sent and told.
    pub digest: u64,
    /// Sessions that were asked for.
    pub calls: u64,
    /// Of these, those in which something was said.
    pub joined: u64,
    /// Messages of which something was said.
    pub messages: u64,
    /// Of these, those that their recipient has whole.
    pub whole: u64,
    /// Of these, those with the verdict that they were delivered.
    pub delivered: u64,
    /// REPORTs that senders were told.
    pub reports: u64,
    /// The first invariant that broke.
    pub violation: Option<String>,
    /// What happened, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs one seed, with a bug planted if one is given; `told` keeps its story.
pub fn run_carry(seed: u64, bug: Option<CarryBug>, told: bool) -> CarryOutcome {
    world::World::new(seed, bug, told).run()
}

/// One end of a session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Who {
    call: usize,
    side: Side,
}

/// Which end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Side {
    Caller,
    Callee,
    /// Another callee that has the same INVITE.
    Fork,
}

impl Side {
    const ALL: [Self; 3] = [Self::Caller, Self::Callee, Self::Fork];

    const fn is_caller(self) -> bool {
        matches!(self, Self::Caller)
    }
}

impl Who {
    /// Where it listens.
    fn port(self) -> usize {
        let first = match self.side {
            Side::Caller => 7_000,
            Side::Callee => 8_000,
            Side::Fork => 9_000,
        };
        first + self.call
    }

    fn of_port(port: u16) -> Option<Self> {
        let port = usize::from(port);
        let side = match port / 1_000 {
            7 => Side::Caller,
            8 => Side::Callee,
            9 => Side::Fork,
            _ => return None,
        };
        Some(Self { call: port % 1_000, side })
    }

    const fn host(self) -> &'static str {
        if self.side.is_caller() { "10.0.0.10" } else { "10.0.0.9" }
    }

    /// Its MSRP URI.
    fn path(self) -> String {
        let (host, port) = (self.host(), self.port());
        format!("msrp://{host}:{port}/s{port}ession;tcp")
    }
}

/// What an end wishes to happen.
#[derive(Clone, Debug)]
enum Act {
    /// A datagram leaves for the engine.
    Send(Who, Vec<u8>),
    /// Its connection is opened.
    Open(Who),
    /// Octets on its connection.
    Say(Who, String),
    /// It is closed.
    Close(Who),
    /// Something happens so many milliseconds later.
    Later(u64, Due),
}

/// What is to happen with an end.
#[derive(Clone, Debug)]
enum Due {
    Sip(sip::Due),
    Talk(talk::Due),
}
