//! From evidence to the definitive status.

use crate::delivery::{Evidence, Mapping};

/// The definitive status of one delivery attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// D: the recipient's user agent acknowledged the whole message.
    Delivered,
    /// P: the recipient's side refused it for good, or cannot take it.
    Permanent,
    /// T: it is certain that it was not delivered; another try may work.
    Temporary,
    /// U: it may or may not have been delivered.
    Unknown,
    /// A: an intermediary took responsibility; whether it was delivered stays unknown.
    Accepted,
}

impl Verdict {
    /// Every verdict, in the order in which tables show them.
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Permanent, Self::Temporary, Self::Unknown, Self::Accepted];

    /// The letter by which tables, counters and accounts name it.
    pub const fn letter(self) -> char {
        match self {
            Self::Delivered => 'D',
            Self::Permanent => 'P',
            Self::Temporary => 'T',
            Self::Unknown => 'U',
            Self::Accepted => 'A',
        }
    }

    /// The verdict that `evidence` proves, where final responses mean what `mapping` says.
    pub fn from_evidence(evidence: Evidence, mapping: &Mapping) -> Self {
        match evidence {
            Evidence::Final(response) => mapping.verdict(response),
            // RFC 3261 section 8.1.3.1 reads a time-out as 408, which says nothing about receipt.
            Evidence::TimerF | Evidence::Deadline | Evidence::Shutdown => Self::Unknown,
            // After the first transmission a transport error proves nothing about that one.
            Evidence::Unreachable => Self::Unknown,
            Evidence::NeverSent | Evidence::UriWait | Evidence::DeadlineUnsent => Self::Temporary,
            Evidence::Earlier { verdict, .. } => verdict,
            Evidence::Content { .. } => Self::Permanent,
            // The phone would have acknowledged it and shown nothing; nobody has seen it.
            Evidence::Discarded => Self::Accepted,
        }
    }
}
