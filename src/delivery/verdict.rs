//! From evidence to the definitive status: table 3.1 of the mapping, as total matches.

use crate::delivery::evidence::{Evidence, Role};

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

    /// The verdict that `evidence` proves.
    pub const fn from_evidence(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Final { status, role } => Self::from_final(status, role),
            // RFC 3261 section 8.1.3.1 reads a time-out as 408, which says nothing about receipt.
            Evidence::TimerF | Evidence::Deadline | Evidence::Shutdown => Self::Unknown,
            // After the first transmission a transport error proves nothing about that one.
            Evidence::Unreachable => Self::Unknown,
            Evidence::NeverSent => Self::Temporary,
        }
    }

    const fn from_final(status: u16, role: Role) -> Self {
        match status {
            // RFC 3428 section 7: 202 is acceptance by an intermediary, never delivery.
            202 => Self::Accepted,
            200..=299 if role.speaks_for_the_recipient() => Self::Delivered,
            200..=299 => Self::Accepted,
            // Moved permanently: this address will not work again without the new one.
            301 => Self::Permanent,
            300..=399 => Self::Temporary,
            // Gone silent downstream, cancelled, timed out behind a gateway.
            408 | 487 | 504 => Self::Unknown,
            // Not now: unavailable, busy, no such dialog there, pending, challenged once.
            401 | 407 | 430 | 480 | 481 | 486 | 491 => Self::Temporary,
            // Kamailio's own 477 and 478: it could not send, could not resolve.
            477 | 478 => Self::Temporary,
            400..=499 => Self::Permanent,
            // Too long, wrong version, no such method, precondition: no repetition will help.
            501 | 505 | 513 | 580 => Self::Permanent,
            500..=599 => Self::Temporary,
            // RFC 3428 section 7: 6xx means delivered to the user agent and refused.
            _ => Self::Permanent,
        }
    }
}
