//! From evidence to the definitive status.

use crate::delivery::mapping::Row;
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

    /// The verdict of a letter.
    pub fn of_letter(letter: &str) -> Option<Self> {
        let mut letters = letter.chars();
        let (first, None) = (letters.next()?, letters.next()) else { return None };
        Self::ALL.into_iter().find(|verdict| verdict.letter() == first)
    }

    /// It in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Permanent => "permanent",
            Self::Temporary => "temporary",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
        }
    }

    /// The verdict that `evidence` proves, where statuses mean what `mapping` says. What 200s and REPORTs of
    /// MSRP prove depends on no peer's mapping: the role of its hop has been looked at before there is
    /// evidence ([`crate::delivery::Ledger`]).
    pub fn from_evidence(evidence: Evidence, mapping: &Mapping) -> Self {
        match (evidence, Row::of(evidence)) {
            (Evidence::Final(response), _) => mapping.verdict(response),
            (Evidence::Invite(response), _) => mapping.invite(response),
            (Evidence::MsrpResponse(status) | Evidence::MsrpReport(status), _) => {
                mapping.msrp(status)
            }
            (Evidence::Earlier { verdict, .. }, _) => verdict,
            (Evidence::Submission(submission), _) => submission.verdict(),
            (_, Some(row)) => row.verdict,
            // Only a status can have no row.
            (_, None) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Role;

    #[test]
    fn what_is_no_final_response_has_its_verdict() {
        let mapping = Mapping::of(Role::Proxy);
        let of = |evidence| Verdict::from_evidence(evidence, &mapping).letter();
        for evidence in [
            Evidence::TimerF,
            Evidence::Deadline,
            Evidence::Shutdown,
            Evidence::WorkerLost,
            Evidence::Unreachable,
        ] {
            assert_eq!(of(evidence), 'U', "{evidence:?}");
        }
        for evidence in [Evidence::NeverSent, Evidence::UriWait, Evidence::DeadlineUnsent] {
            assert_eq!(of(evidence), 'T', "{evidence:?}");
        }
        assert_eq!(of(Evidence::Content { cause: 96, fcs: 0xFF }), 'P');
        assert_eq!(of(Evidence::Discarded), 'A');
        for verdict in Verdict::ALL {
            assert_eq!(of(Evidence::Earlier { verdict, status: 0 }), verdict.letter());
            assert_eq!(Verdict::of_letter(&verdict.letter().to_string()), Some(verdict));
        }
        for wrong in ["", "DD", "x", "d"] {
            assert_eq!(Verdict::of_letter(wrong), None);
        }
    }
}
