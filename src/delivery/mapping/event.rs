//! What decides where no status does.

use crate::delivery::Evidence;
use crate::delivery::mapping::Leg;

/// What is known where no final response decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// [`Evidence::TimerF`].
    TimerF,
    /// [`Evidence::Deadline`].
    Deadline,
    /// [`Evidence::DeadlineUnsent`].
    DeadlineUnsent,
    /// [`Evidence::UriWait`].
    UriWait,
    /// [`Evidence::NeverSent`].
    NeverSent,
    /// [`Evidence::Unreachable`].
    Unreachable,
    /// [`Evidence::Shutdown`].
    Shutdown,
    /// [`Evidence::WorkerLost`].
    WorkerLost,
    /// [`Evidence::Content`].
    Content,
    /// [`Evidence::Discarded`].
    Discarded,
    /// [`Evidence::InviteTimeout`].
    InviteTimeout,
    /// [`Evidence::InviteError`].
    InviteError,
    /// [`Evidence::AnswerUnusable`].
    AnswerUnusable,
    /// [`Evidence::Acknowledged`].
    Acknowledged,
    /// [`Evidence::Reported`].
    Reported,
    /// [`Evidence::MsrpTimeout`].
    MsrpTimeout,
    /// [`Evidence::ReportMissing`].
    ReportMissing,
    /// [`Evidence::Unfinished`].
    Unfinished,
    /// [`Evidence::Aborted`].
    Aborted,
    /// [`Evidence::ByeBeforeEnd`].
    ByeBeforeEnd,
    /// [`Evidence::ByeAfterEnd`].
    ByeAfterEnd,
    /// [`Evidence::NeverConnected`].
    NeverConnected,
    /// [`Evidence::ConnectionUnused`].
    ConnectionUnused,
    /// [`Evidence::ConnectionLost`].
    ConnectionLost,
}

impl Event {
    /// Every event, each in the place of its number.
    pub const ALL: [Self; 24] = [
        Self::TimerF,
        Self::Deadline,
        Self::DeadlineUnsent,
        Self::UriWait,
        Self::NeverSent,
        Self::Unreachable,
        Self::Shutdown,
        Self::WorkerLost,
        Self::Content,
        Self::Discarded,
        Self::InviteTimeout,
        Self::InviteError,
        Self::AnswerUnusable,
        Self::Acknowledged,
        Self::Reported,
        Self::MsrpTimeout,
        Self::ReportMissing,
        Self::Unfinished,
        Self::Aborted,
        Self::ByeBeforeEnd,
        Self::ByeAfterEnd,
        Self::NeverConnected,
        Self::ConnectionUnused,
        Self::ConnectionLost,
    ];

    /// Its name on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimerF => "timer-f",
            Self::Deadline => "deadline",
            Self::DeadlineUnsent => "deadline-unsent",
            Self::UriWait => "uri-wait",
            Self::NeverSent => "never-sent",
            Self::Unreachable => "icmp",
            Self::Shutdown => "shutdown",
            Self::WorkerLost => "worker-lost",
            Self::Content => "content",
            Self::Discarded => "type-0",
            Self::InviteTimeout => "timer-b",
            Self::InviteError => "invite-error",
            Self::AnswerUnusable => "unusable-answer",
            Self::Acknowledged => "all-acknowledged",
            Self::Reported => "all-reported",
            Self::MsrpTimeout => "msrp-timeout",
            Self::ReportMissing => "report-missing",
            Self::Unfinished => "unfinished",
            Self::Aborted => "aborted",
            Self::ByeBeforeEnd => "bye-before-end",
            Self::ByeAfterEnd => "bye-after-end",
            Self::NeverConnected => "never-connected",
            Self::ConnectionUnused => "connection-unused",
            Self::ConnectionLost => "connection-lost",
        }
    }

    /// What happened.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::TimerF => "no final response within 64*T1, silence",
            Self::Deadline => "no verdict within sync_deadline, and the request has left",
            Self::DeadlineUnsent => "no verdict within sync_deadline, and the request never left",
            Self::UriWait => "other requests to the same URI were pending for too long",
            Self::NeverSent => "the kernel refused the first transmission to every server",
            Self::Unreachable => "an ICMP error that quotes our request",
            Self::Shutdown => "the process ended before anything was known",
            Self::WorkerLost => "the worker that had it is stuck or dead",
            Self::Content => "the short message cannot become an instant message",
            Self::Discarded => "a short message of type 0, which nobody is shown",
            Self::InviteTimeout => {
                "no final response to the INVITE in time, or none after our CANCEL"
            }
            Self::InviteError => "the INVITE could not be sent on",
            Self::AnswerUnusable => "a 2xx to the INVITE without MSRP that we could use",
            Self::Acknowledged => "200 to every chunk, the last too, from the recipient's own",
            Self::Reported => "success REPORTs cover every octet",
            Self::MsrpTimeout => "no response to a chunk within 30 s of its last octet",
            Self::ReportMissing => "all was sent, not all was reported in time",
            Self::Unfinished => "the wait was over before the last chunk had left",
            Self::Aborted => "we have ended the message with #",
            Self::ByeBeforeEnd => "BYE from the peer before the last chunk had left",
            Self::ByeAfterEnd => "BYE from the peer before all was proved, the last chunk out",
            Self::NeverConnected => "the peer has not opened the connection",
            Self::ConnectionUnused => "the connection was lost before any octet had left",
            Self::ConnectionLost => "the connection was lost with octets not acknowledged",
        }
    }

    /// The event that `evidence` is; `None` if it is a status.
    pub const fn of(evidence: Evidence) -> Option<Self> {
        Some(match evidence {
            Evidence::Final(_)
            | Evidence::Earlier { .. }
            | Evidence::Invite(_)
            | Evidence::MsrpResponse(_)
            | Evidence::MsrpReport(_)
            | Evidence::Submission(_) => return None,
            Evidence::Content { .. } => Self::Content,
            Evidence::TimerF => Self::TimerF,
            Evidence::Deadline => Self::Deadline,
            Evidence::DeadlineUnsent => Self::DeadlineUnsent,
            Evidence::UriWait => Self::UriWait,
            Evidence::NeverSent => Self::NeverSent,
            Evidence::Unreachable => Self::Unreachable,
            Evidence::Shutdown => Self::Shutdown,
            Evidence::WorkerLost => Self::WorkerLost,
            Evidence::Discarded => Self::Discarded,
            Evidence::InviteTimeout => Self::InviteTimeout,
            Evidence::InviteError => Self::InviteError,
            Evidence::AnswerUnusable => Self::AnswerUnusable,
            Evidence::Acknowledged => Self::Acknowledged,
            Evidence::Reported => Self::Reported,
            Evidence::MsrpTimeout => Self::MsrpTimeout,
            Evidence::ReportMissing => Self::ReportMissing,
            Evidence::Unfinished => Self::Unfinished,
            Evidence::Aborted => Self::Aborted,
            Evidence::ByeBeforeEnd => Self::ByeBeforeEnd,
            Evidence::ByeAfterEnd => Self::ByeAfterEnd,
            Evidence::NeverConnected => Self::NeverConnected,
            Evidence::ConnectionUnused => Self::ConnectionUnused,
            Evidence::ConnectionLost => Self::ConnectionLost,
        })
    }

    /// Where it happens.
    pub const fn leg(self) -> Leg {
        match self {
            Self::TimerF
            | Self::Deadline
            | Self::DeadlineUnsent
            | Self::UriWait
            | Self::NeverSent
            | Self::Unreachable
            | Self::Shutdown
            | Self::WorkerLost
            | Self::Content
            | Self::Discarded => Leg::Message,
            Self::InviteTimeout | Self::InviteError | Self::AnswerUnusable => Leg::Invite,
            Self::Acknowledged
            | Self::Reported
            | Self::MsrpTimeout
            | Self::ReportMissing
            | Self::Unfinished
            | Self::Aborted
            | Self::ByeBeforeEnd
            | Self::ByeAfterEnd
            | Self::NeverConnected
            | Self::ConnectionUnused
            | Self::ConnectionLost => Leg::Msrp,
        }
    }
}
