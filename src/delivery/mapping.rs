//! What a final response to a MESSAGE means: the one table.
//!
//! It is compiled for each peer at the start, from its role and from what its configuration says
//! otherwise, so that a look-up is an index.

use crate::delivery::evidence::{Asked, Final, Role};
use crate::delivery::{Evidence, Verdict};

/// Status codes end below this (RFC 3261 section 7.2).
const STATUSES: usize = 700;

/// What the RP layer is told (TS 24.011 section 7.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// RP-ACK.
    Ack,
    /// RP-ERROR with these values.
    Error {
        /// RP-Cause (section 8.2.5.4).
        cause: u8,
        /// TP-FCS (TS 23.040 section 9.2.3.22).
        fcs: u8,
    },
}

/// The table as one peer's final responses are read.
#[derive(Clone, Debug)]
pub struct Mapping {
    verdicts: Box<[Verdict; STATUSES]>,
}

impl Mapping {
    /// The table for a peer of this role.
    pub fn of(role: Role) -> Self {
        let mut verdicts = Box::new([Verdict::Unknown; STATUSES]);
        for (status, verdict) in (0..).zip(verdicts.iter_mut()) {
            *verdict = standard(status, role);
        }
        Self { verdicts }
    }

    /// What a final response proves.
    pub fn verdict(&self, response: Final) -> Verdict {
        let verdict = self.verdicts.get(usize::from(response.status)).copied();
        match (response.status, response.asked) {
            // The first copy is being processed there (hazard H8).
            (482, Asked::Again) => Verdict::Unknown,
            // Credentials that are refused stay refused.
            (401 | 407, Asked::WithCredentials) => Verdict::Permanent,
            (404 | 413 | 513, _) if response.retry_after => Verdict::Temporary,
            _ => verdict.unwrap_or(Verdict::Permanent),
        }
    }

    /// What the RP layer is told about a verdict and the evidence behind it, by us in the place of
    /// the MS: only 22, 81, 95 to 99 and 111 are legal causes in that direction.
    pub const fn answer(&self, verdict: Verdict, evidence: Evidence) -> Answer {
        match (verdict, evidence) {
            (Verdict::Delivered, _) | (_, Evidence::Discarded) => Answer::Ack,
            (_, Evidence::Content { cause, fcs }) => Answer::Error { cause, fcs },
            _ => Answer::Error { cause: 111, fcs: 0xFF },
        }
    }
}

const fn standard(status: u16, role: Role) -> Verdict {
    match status {
        // RFC 3428 section 7: 202 is acceptance by an intermediary, never delivery.
        202 => Verdict::Accepted,
        200..=299 if role.speaks_for_the_recipient() => Verdict::Delivered,
        200..=299 => Verdict::Accepted,
        // Moved permanently: this address will not work again without the new one.
        301 => Verdict::Permanent,
        300..=399 => Verdict::Temporary,
        // Gone silent downstream, cancelled, timed out behind a gateway.
        408 | 487 | 504 => Verdict::Unknown,
        // Not now: unavailable, busy, no such dialog there, pending, challenged once.
        401 | 407 | 430 | 480 | 481 | 486 | 491 => Verdict::Temporary,
        // Kamailio's own 477 and 478: it could not send, could not resolve.
        477 | 478 => Verdict::Temporary,
        400..=499 => Verdict::Permanent,
        // Too long, wrong version, no such method, precondition: no repetition will help.
        501 | 505 | 513 | 580 => Verdict::Permanent,
        500..=599 => Verdict::Temporary,
        // RFC 3428 section 7: 6xx means delivered to the user agent and refused.
        _ => Verdict::Permanent,
    }
}
