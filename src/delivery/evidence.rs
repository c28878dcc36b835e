//! What can be observed about a message on the IM side, and who can prove what.

use crate::delivery::Verdict;

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
}
