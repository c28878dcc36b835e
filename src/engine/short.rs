//! What is known of a short message beside its record.

use crate::delivery::{Answer, Mark, RpResult};
use crate::engine::large::{Call, Transfer};
use crate::engine::parts::Parts;
use crate::engine::record::{Leg, Towards};
use crate::engine::route::{Hop, Way};
use crate::id::Handle;
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::wire::Span;
use crate::wire::rp::Direction;

/// A short message between RP-DATA and the fate of its report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    /// The key under which repetitions of it meet.
    pub key: Fingerprint,
    /// Sets its Call-ID apart from that of an equal one much later.
    pub salt: u16,
    /// RP-MR, which the report repeats.
    pub reference: u8,
    /// The direction of the report.
    pub direction: Direction,
    /// Whether somebody asked for a status report (TP-SRI).
    pub status_report: bool,
    /// Whether an earlier attempt may have delivered it.
    pub may_be_there: bool,
    /// What keeps it from being sent, or whether it was.
    pub stage: Stage,
    /// How its text is divided.
    pub parts: Parts,
    /// Its way in a session, while it has one.
    pub transfer: Option<Handle<Transfer>>,
    /// The call of its last INVITE, which may be no more.
    pub call: Option<Handle<Call>>,
    /// The CSeq of its first request in this submission; 0 if there is none.
    pub attempt: u8,
    /// Before this the IM side does not want to be asked again.
    pub not_before: Mark,
    /// Where the sender of the RP-DATA stands in the request: who gets the report.
    pub sender: Span,
    /// Where the RP message stands in the request.
    pub rp: Span,
    /// What is reported, once that is settled.
    pub answer: Option<Answer>,
    /// The report on its way.
    pub report: Leg,
    /// When the report left first.
    pub told: Instant,
    /// What became of the report.
    pub result: Option<RpResult>,
}

impl Short {
    /// What stands at the index of a record that is no short message.
    pub(super) const fn none(now: Instant) -> Self {
        let nowhere = Hop { way: Way::NOWHERE, peer: 0, pop_route: false, in_list: None };
        Self {
            key: Fingerprint([0, 0]),
            salt: 0,
            reference: 0,
            direction: Direction::MsToNetwork,
            status_report: false,
            may_be_there: false,
            stage: Stage::Over,
            parts: Parts::WHOLE,
            transfer: None,
            call: None,
            attempt: 0,
            not_before: Mark::NONE,
            sender: Span { at: 0, len: 0 },
            rp: Span { at: 0, len: 0 },
            answer: None,
            report: Leg::new(Towards::Sms, &nowhere, 0, now),
            told: now,
            result: None,
        }
    }
}

/// How far the way of a short message to the IM side has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// An attempt for the same short message is running: its outcome is awaited.
    Attached,
    /// Another request to the same Request-URI is pending (RFC 3428 section 8).
    Queued,
    /// Its request has its turn.
    Sent,
    /// It is sent in a session of MSRP.
    Large,
    /// No attempt is made, or it is over.
    Over,
}
