//! What can be observed about a message on the IM side, and who can prove what.

use crate::delivery::{Submission, Verdict};

/// Who a SIP peer is, which says who originates the final response that it sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A transparent proxy: a 200 that it passes on is the user agent's own.
    Proxy,
    /// The IM client itself.
    Endpoint,
    /// A server that answers on behalf of the client: its 200 proves acceptance only.
    ImServer,
    /// A gateway into another network: its 200 proves acceptance only (RFC 5438 section 12.2).
    Gateway,
}

impl Role {
    /// Whether a 200 from this peer was originated by the recipient's user agent (RFC 3428
    /// section 7; R1 and hazard H53).
    pub const fn speaks_for_the_recipient(self) -> bool {
        match self {
            Self::Proxy | Self::Endpoint => true,
            Self::ImServer | Self::Gateway => false,
        }
    }
}

/// Who a peer of an MSRP session is, which says what its 200 proves (R1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MsrpRole {
    /// The recipient's user agent itself.
    Endpoint,
    /// A relay (RFC 4976), whose 200 says that the next hop has the chunk.
    Relay,
    /// A server that answers on behalf of the recipient.
    ImServer,
    /// A back-to-back user agent with a session of its own to the recipient.
    B2bua,
}

impl MsrpRole {
    /// Whether a 200 to a chunk is the recipient's own, where the To-Path of the chunk had `uris`
    /// URIs: with more than one, the first is not the recipient's (RFC 4975 section 7.1).
    pub const fn speaks_for_the_recipient(self, uris: usize) -> bool {
        match self {
            Self::Endpoint => uris == 1,
            Self::Relay | Self::ImServer | Self::B2bua => false,
        }
    }
}

/// Which request of ours a final response answers: that changes what it proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// The first and only one.
    Once,
    /// A copy with the same Call-ID and CSeq, sent when another server would not take it (RFC 3263
    /// section 4.3): 482 then says that the first one is there after all.
    Again,
    /// The one with credentials, after a challenge (RFC 3261 section 22.2).
    WithCredentials,
}

/// A final response to a SIP MESSAGE (RFC 3428 section 7), as far as it is evidence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Final {
    /// Its status code, 200 to 699.
    pub status: u16,
    /// Who it came from.
    pub role: Role,
    /// Whether it says when to try again (RFC 3261 section 20.33): then it is not for good.
    pub retry_after: bool,
    /// What it answers.
    pub asked: Asked,
}

/// One observation. `Copy`, owns nothing, borrows nothing: it can be recorded and replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// A final response to the SIP MESSAGE.
    Final(Final),
    /// No final response within 64*T1 of the first transmission (RFC 3261 timer F; hazard H6: a fork
    /// of which one branch is dead looks the same).
    TimerF,
    /// No verdict within `sync_deadline` of the arrival, although the request has left (R10).
    Deadline,
    /// No verdict within `sync_deadline`, and the request has never left.
    DeadlineUnsent,
    /// Other requests to the same Request-URI were pending for too long (RFC 3428 section 8): the
    /// request has never left.
    UriWait,
    /// The local kernel refused the first transmission to every server: no octet has left.
    NeverSent,
    /// An ICMP error that quotes our own request (RFC 3261 section 18.4).
    Unreachable,
    /// The process was told to end before anything was known.
    Shutdown,
    /// The worker that had it is stuck or dead: nobody will know any more.
    WorkerLost,
    /// What an earlier submission of the same short message has proved (hazards H2 and H61): the SMS
    /// side tries again because our report was lost or came too late, and the IM side is not asked
    /// again.
    Earlier {
        /// What was proved.
        verdict: Verdict,
        /// The status that proved it, 0 if no final response did.
        status: u16,
    },
    /// The short message cannot become an instant message, so nothing was sent.
    Content {
        /// The RP-Cause that says so (TS 24.011 section 8.2.5.4).
        cause: u8,
        /// The TP-FCS that says it best (TS 23.040 section 9.2.3.22).
        fcs: u8,
    },
    /// A short message of type 0: acknowledged and discarded (TS 23.040 section 9.2.3.9).
    Discarded,
    /// A final response to the INVITE for a Large Message. No octet of the message has left before a
    /// session is there, so all of them are certain.
    Invite(Final),
    /// No final response to the INVITE in time (RFC 3261 timer B), or none after our CANCEL (section
    /// 9.1).
    InviteTimeout,
    /// The INVITE could not be sent on (RFC 3261 section 17.1.4).
    InviteError,
    /// A 2xx to the INVITE whose answer has no MSRP in it that we could use (RFC 4975 section 8):
    /// ended with ACK and BYE.
    AnswerUnusable,
    /// Every octet of the Large Message was acknowledged with 200, the last chunk too, by the
    /// recipient's user agent itself.
    Acknowledged,
    /// Success REPORTs cover every octet of the Large Message.
    Reported,
    /// A response to a SEND with this status.
    MsrpResponse(u16),
    /// A REPORT with this status (RFC 4975 section 7.3.2: it means what the response would).
    MsrpReport(u16),
    /// No response to a chunk within 30 s of its last octet (RFC 4975 section 7.1.1).
    MsrpTimeout,
    /// Everything was sent, but not all of it reported when the wait for REPORTs was over.
    ReportMissing,
    /// The wait was over before the last chunk had left.
    Unfinished,
    /// We have ended the message with `#` (RFC 4975 section 7.1): nobody may take it for whole.
    Aborted,
    /// The peer ended the session before the last chunk had left.
    ByeBeforeEnd,
    /// The peer ended the session after the last chunk had left, and before everything was proved.
    ByeAfterEnd,
    /// The peer, who was to open the connection, has not.
    NeverConnected,
    /// The connection was lost before any octet of the message had left.
    ConnectionUnused,
    /// The connection was lost with octets on it of which nobody knows.
    ConnectionLost,
    /// What became of a message to the SMS side at its SC.
    Submission(Submission),
}

impl Evidence {
    /// The status that it brings, 0 if there is none in it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Final(Final { status, .. })
            | Self::Invite(Final { status, .. })
            | Self::Earlier { status, .. }
            | Self::MsrpResponse(status)
            | Self::MsrpReport(status) => status,
            Self::TimerF
            | Self::Deadline
            | Self::DeadlineUnsent
            | Self::UriWait
            | Self::NeverSent
            | Self::Unreachable
            | Self::Shutdown
            | Self::WorkerLost
            | Self::Content { .. }
            | Self::Discarded
            | Self::InviteTimeout
            | Self::InviteError
            | Self::AnswerUnusable
            | Self::Acknowledged
            | Self::Reported
            | Self::MsrpTimeout
            | Self::ReportMissing
            | Self::Unfinished
            | Self::Aborted
            | Self::ByeBeforeEnd
            | Self::ByeAfterEnd
            | Self::NeverConnected
            | Self::ConnectionUnused
            | Self::ConnectionLost
            | Self::Submission(_) => 0,
        }
    }
}
