//! What is proved of a message that an SC has got in parts, and what its sender is told in his session (TS
//! 24.011 section 8.2.5.4, TS 23.040 section 9.2.3.15, RFC 4975 section 7.1.2).
//!
//! That an SC has taken a part says that it will try, and nothing about its recipient (RFC 5438 section
//! 12.2): success is what TP-Status 0 says of every part, and nothing else.

use crate::delivery::{Evidence, Final, Verdict};

/// What decides about a message that was submitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Submission {
    /// An RP-ACK to every part, and nobody has asked for status reports.
    Taken,
    /// An RP-ERROR to a part, with this RP-Cause.
    RpError {
        /// The cause, 0 to 127.
        cause: u8,
    },
    /// Neither RP-ACK nor RP-ERROR to a part in TR1M (TS 24.011 section 10).
    RpSilence,
    /// Status reports say of every part that its recipient has received it.
    Received,
    /// A status report says of a part that the SC tries no more, with this TP-Status.
    NotReceived {
        /// The status, 0x40 to 0x7F.
        status: u8,
    },
    /// Every part was taken and none of them failed, but not all are known to be received: status reports
    /// have not come in time, or say that the SC does not know.
    Unreported,
    /// It cannot be sent in short messages: the status of the REPORT that says why.
    Unfit {
        /// A status of MSRP.
        status: u16,
    },
}

impl Submission {
    /// The verdict that it proves.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Taken | Self::Unreported => Verdict::Accepted,
            Self::Received => Verdict::Delivered,
            // Out of order, failing for a while, congested, without resources.
            Self::RpError { cause: 22 | 27 | 38 | 41 | 42 | 47 } => Verdict::Temporary,
            Self::NotReceived { status: 0x60..=0x7F } => Verdict::Temporary,
            Self::RpError { .. } | Self::NotReceived { .. } | Self::Unfit { .. } => {
                Verdict::Permanent
            }
            Self::RpSilence => Verdict::Unknown,
        }
    }

    /// The status of the REPORT about it; `None` where nothing may be said, because nothing is known.
    pub const fn report(self) -> Option<u16> {
        match self {
            Self::Received => Some(200),
            Self::Taken | Self::Unreported => None,
            Self::RpError { cause } => Some(match cause {
                1 | 8 | 10 | 21 | 28 | 30 | 50 => 403,
                22 => 413,
                27 | 38 | 41 | 42 | 47 => 408,
                29 | 69 => 501,
                _ => 400,
            }),
            Self::RpSilence => Some(408),
            Self::NotReceived { status } => Some(match status {
                0x41 | 0x45 => 415,
                // Not obtainable; the validity period has expired; given up for now.
                0x43 | 0x46 | 0x60..=0x7F => 408,
                _ => 403,
            }),
            Self::Unfit { status } => Some(status),
        }
    }
}

/// The status of the REPORT about a message that came to this on its way to an SC; `None` where nothing may be
/// said.
pub const fn report_of_submission(evidence: Evidence, verdict: Verdict) -> Option<u16> {
    match (evidence, verdict) {
        (Evidence::Submission(submission), _) => submission.report(),
        // The peer has refused the request that had a part in it.
        (Evidence::Final(Final { status: 413 | 513, .. }), _) => Some(413),
        (Evidence::Final(Final { status: 415 | 488, .. }), _) => Some(415),
        (Evidence::Final(Final { status: 405 | 501, .. }), _) => Some(501),
        (_, Verdict::Permanent) => Some(403),
        (_, Verdict::Temporary | Verdict::Unknown) => Some(408),
        (_, Verdict::Delivered | Verdict::Accepted) => None,
    }
}

/// What a TP-Status says of a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PartStatus {
    /// The recipient has it.
    Received,
    /// The SC is done with it and does not know: forwarded, replaced, or as only that SC says it.
    Unconfirmed,
    /// The SC goes on trying.
    Trying,
    /// The SC tries no more.
    Failed,
}

/// What a TP-Status says (TS 23.040 section 9.2.3.15). What is reserved proves nothing.
pub const fn part_status(status: u8) -> PartStatus {
    match status {
        0x00 => PartStatus::Received,
        0x20..=0x3F => PartStatus::Trying,
        0x40..=0x7F => PartStatus::Failed,
        0x01..=0x1F | 0x80.. => PartStatus::Unconfirmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_recipient_has_is_delivered() {
        let all = (0..=255).map(|status| Submission::NotReceived { status });
        let all = all.chain((0..=127).map(|cause| Submission::RpError { cause }));
        let none = [Submission::Taken, Submission::RpSilence, Submission::Unreported];
        for submission in all.chain(none) {
            assert_ne!(submission.verdict(), Verdict::Delivered, "{submission:?}");
            assert_ne!(submission.report(), Some(200), "{submission:?}");
        }
        assert_eq!(Submission::Received.verdict(), Verdict::Delivered);
        assert_eq!(Submission::Received.report(), Some(200));
        let received: Vec<u8> =
            (0..=255).filter(|status| part_status(*status) == PartStatus::Received).collect();
        assert_eq!(received, [0]);
    }

    #[test]
    fn what_is_only_accepted_is_not_reported() {
        for submission in [Submission::Taken, Submission::Unreported] {
            assert_eq!(submission.verdict(), Verdict::Accepted);
            assert_eq!(submission.report(), None);
        }
    }

    #[test]
    fn each_failure_has_its_status() {
        for (cause, report, verdict) in [
            (1, 403, 'P'),
            (21, 403, 'P'),
            (22, 413, 'T'),
            (27, 408, 'T'),
            (30, 403, 'P'),
            (38, 408, 'T'),
            (42, 408, 'T'),
            (69, 501, 'P'),
            (96, 400, 'P'),
            (111, 400, 'P'),
            (127, 400, 'P'),
        ] {
            let it = Submission::RpError { cause };
            assert_eq!((it.report(), it.verdict().letter()), (Some(report), verdict), "{cause}");
        }
        for (status, report, verdict) in [
            (0x40, 403, 'P'),
            (0x41, 415, 'P'),
            (0x43, 408, 'P'),
            (0x45, 415, 'P'),
            (0x46, 408, 'P'),
            (0x49, 403, 'P'),
            (0x60, 408, 'T'),
            (0x7F, 408, 'T'),
        ] {
            let it = Submission::NotReceived { status };
            assert_eq!((it.report(), it.verdict().letter()), (Some(report), verdict), "{status}");
        }
        assert_eq!(Submission::RpSilence.report(), Some(408));
        assert_eq!(Submission::RpSilence.verdict(), Verdict::Unknown);
    }
}
