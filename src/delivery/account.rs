//! What is told about one message when everything about it is known.

use crate::delivery::{Answer, Evidence, Verdict};
use crate::limits::{IDENTIFIER_SIZE_MAX, MSRP_IDENT_SIZE_MAX, STATUSES_MAX};
use crate::packet::SendError;
use crate::time::Instant;

/// An identifier as it stood in the message, cut at [`IDENTIFIER_SIZE_MAX`] octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identifier {
    octets: [u8; IDENTIFIER_SIZE_MAX],
    len: u8,
    cut: bool,
}

impl Identifier {
    /// Copies `octets`, or as many of them as fit.
    pub fn new(octets: &[u8]) -> Self {
        let mut identifier = Self { octets: [0; IDENTIFIER_SIZE_MAX], len: 0, cut: false };
        let kept = octets.len().min(IDENTIFIER_SIZE_MAX);
        identifier.octets[..kept].copy_from_slice(&octets[..kept]);
        identifier.len = u8::try_from(kept).unwrap_or(u8::MAX);
        identifier.cut = kept < octets.len();
        identifier
    }

    /// The octets that were kept.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// Whether the identifier was longer.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

/// The status codes that came for one message, in order. Of more than [`STATUSES_MAX`] the last one
/// stands in the last place: it is the one that decided, after the many that only said "wait".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statuses {
    codes: [u16; STATUSES_MAX],
    len: u8,
}

impl Statuses {
    /// Remembers one more, in the place of the last one if the room is used up.
    pub const fn push(&mut self, status: u16) {
        if (self.len as usize) < STATUSES_MAX {
            self.len += 1;
        }
        self.codes[self.len as usize - 1] = status;
    }

    /// What was remembered.
    pub fn codes(&self) -> &[u16] {
        &self.codes[..usize::from(self.len)]
    }
}

/// What the side that it came from was told, and how that went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// Nothing, because nothing is known that may be said (RFC 4320 section 4.2).
    Silence,
    /// This final response, taken by the kernel.
    Response(u16),
    /// This final response, which the kernel refused.
    Refused(u16, SendError),
    /// RP-ACK or RP-ERROR in a MESSAGE of our own, and what became of that (ruling: the report has a
    /// result of its own).
    Rp(Answer, RpResult),
    /// A REPORT with this status in the session of its sender, who is of the IM side.
    Msrp(u16),
}

/// What became of a report that is a MESSAGE of our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RpResult {
    /// It was taken: this 2xx (200 and 202 are equal here).
    Taken(u16),
    /// It was refused: this final response.
    Refused(u16),
    /// No final response (timer F), or an ICMP error: nobody knows.
    Unconfirmed,
    /// The local kernel refused to send it.
    Unsent(SendError),
}

/// In which form a message came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A SIP MESSAGE with any content, passed through: its final response is the report.
    CutThrough,
    /// RP-DATA in a SIP MESSAGE (TS 24.341).
    Rp {
        /// RP-MR.
        reference: u8,
        /// The CSeq of our MESSAGE to the IM side: which attempt this was for the short message.
        /// 0 if none was made.
        attempt: u8,
        /// Whether an earlier attempt may have delivered it already.
        may_be_duplicate: bool,
    },
    /// A message in a session of an IM user, which went to an SC in so many SMS-SUBMITs (TS 24.341 section
    /// 5.3.1).
    Submitted {
        /// How many parts it has; 0 if it cannot be divided.
        parts: u8,
        /// To how many of them the SC has said RP-ACK.
        taken: u8,
        /// Of how many of them it has said that their recipient has received them.
        received: u8,
    },
    /// A message that was carried from one MSRP session to another: what its sender was told is what its
    /// recipient has said, and no report is ours.
    Carried {
        /// Its Message-ID.
        message_id: MessageId,
        /// How many octets of it have left.
        octets: u64,
    },
}

/// The Message-ID of a message in MSRP (RFC 4975 section 9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageId {
    octets: [u8; MSRP_IDENT_SIZE_MAX],
    len: u8,
}

impl MessageId {
    /// Copies `octets`, of which there are no more than fit.
    pub fn new(octets: &[u8]) -> Self {
        let mut id = Self { octets: [0; MSRP_IDENT_SIZE_MAX], len: 0 };
        let len = octets.len().min(MSRP_IDENT_SIZE_MAX);
        id.octets[..len].copy_from_slice(&octets[..len]);
        id.len = u8::try_from(len).unwrap_or(0);
        id
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// One message, its verdict, the proof, and the report.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// In which form it came.
    pub form: Form,
    /// When the MESSAGE arrived, or the last octet of a message in a session.
    pub arrived: Instant,
    /// When the verdict was reached.
    pub decided: Instant,
    /// When the report left, or when it was settled that none would.
    pub reported: Instant,
    /// Call-ID on the SMS side.
    pub sms_call_id: Identifier,
    /// Call-ID on the IM side.
    pub im_call_id: Identifier,
    /// The recipient: the Request-URI as it arrived, or the identity that was called.
    pub recipient: Identifier,
    /// The peer it came from, by its position in the configuration.
    pub sms_peer: u8,
    /// The peer it went to.
    pub im_peer: u8,
    /// How often the request was transmitted.
    pub transmissions: u8,
    /// Status codes seen on the IM side, provisional ones included.
    pub statuses: Statuses,
    /// What decided.
    pub evidence: Evidence,
    /// What was decided.
    pub verdict: Verdict,
    /// What was said about it.
    pub report: Report,
}
