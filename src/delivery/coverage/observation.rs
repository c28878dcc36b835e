//! What can be noticed of a message that is being sent, what that does, and what is known then.

use crate::delivery::Evidence;
use crate::delivery::coverage::Octets;

/// How a chunk ends: the flag of its end-line (RFC 4975 section 7.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// `+`: more of the message follows.
    More,
    /// `$`: it was the last one.
    Last,
    /// `#`: the message ends here and is not whole.
    Abort,
}

/// What was noticed about a message that is being sent. Whoever passes it on has made sure that it
/// belongs to this message: a transaction identifier of ours names the chunk, and a REPORT came in
/// this session with this Message-ID (hazard H23).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observation {
    /// A response to the SEND of this chunk.
    Response {
        /// The number that [`Ledger::begin`](super::Ledger::begin) gave to it.
        chunk: u32,
        /// Its status code.
        status: u16,
    },
    /// A REPORT whose Status has the namespace 000.
    Report {
        /// Its Byte-Range; `None` where it has none, and speaks of what was sent. One that ends with `*`
        /// names no octets, and is empty.
        octets: Option<Octets>,
        /// The total of its Byte-Range; `None` for `*`.
        total: Option<u64>,
        /// Its status code.
        status: u16,
    },
    /// 30 s have passed since the last octet of this chunk was handed over (RFC 4975 section 7.1.1).
    Timeout {
        /// The number of the chunk.
        chunk: u32,
    },
    /// The wait for REPORTs is over.
    Waited,
    /// BYE came from the peer.
    Bye,
    /// The connection is lost. What it had brought before was observed before (hazard H28).
    Lost,
    /// The peer was to open the connection and has not.
    NeverConnected,
}

/// What an observation did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It counts.
    Counted,
    /// It says what is known already (hazard H22).
    Repeated,
    /// It is about nothing that was sent, or speaks of what it cannot know; it changes nothing.
    Stray,
    /// It contradicts stronger proof (hazard H19).
    Contradiction,
    /// There is no room to remember it, so it does not count ([`Coverage`](super::Coverage)).
    NoRoom,
}

/// What is known about the whole message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Nothing is decided.
    Open,
    /// Every octet was acknowledged, but not by the recipient: REPORTs decide, and until then it is
    /// accepted.
    Accepted,
    /// It will be unknown unless proof comes before the wait for REPORTs is over (hazard H24).
    Doubtful,
    /// This decides.
    Decided(Evidence),
    /// This decides, unless the message is sent once more on a new session with the same Message-ID
    /// ([`again`](super::Ledger::again)).
    Again(Evidence),
}
