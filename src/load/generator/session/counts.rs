//! What came in sessions, and what was said to it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::generator::interval::Latencies;
use crate::load::generator::summary::Quantiles;

/// How often each status was said.
pub(super) type Statuses = BTreeMap<u16, u64>;

/// What was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// INVITEs, repeated ones not counted.
    pub invites: u64,
    /// INVITEs that came again.
    pub invites_repeated: u64,
    /// What INVITEs were answered, by status; what was repeated not counted.
    pub invite_responses: Statuses,
    /// INVITEs that were left without an answer because the plan says so.
    pub invites_silent: u64,
    /// Of those answered 486, as many as found all sessions taken.
    pub full: u64,
    /// Sessions that were agreed upon.
    pub sessions: u64,
    /// Of these, sessions in which the answering end connected.
    pub active: u64,
    /// The most that there were at once.
    pub sessions_at_once: u64,
    /// INVITEs that were cancelled before they had a final answer.
    pub cancelled: u64,
    /// Sessions that ended with BYE.
    pub byes: u64,
    /// Answers to INVITE that were never acknowledged.
    pub unacknowledged: u64,
    /// Connections of MSRP.
    pub connections: u64,
    /// Connections that could not be opened.
    pub connections_refused: u64,
    /// Messages that came whole, those that came again too.
    pub messages: u64,
    /// Of these, messages that their recipient knew by their Message-ID.
    pub messages_repeated: u64,
    /// Their octets, with what the tested system has put around the text.
    pub octets: u64,
    /// Chunks.
    pub chunks: u64,
    /// What chunks were answered, by status.
    pub send_responses: Statuses,
    /// Messages whose end was left without an answer because the plan says so.
    pub sends_silent: u64,
    /// REPORTs that left, by status.
    pub reports: Statuses,
    /// Requests to no session of ours, messages that are none of this run, and all that was not asked for.
    pub strays: u64,
    /// What breaks the rules of SIP, SDP or MSRP.
    pub malformed: u64,
    /// When the first and the last message was whole.
    #[serde(skip)]
    pub(super) first_last_ns: Option<(u64, u64)>,
}

/// One more of this status.
pub(super) fn count(statuses: &mut Statuses, status: u16) {
    *statuses.entry(status).or_default() += 1;
}

/// What the sessions of the answering end have to tell.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// What was counted there.
    #[serde(flatten)]
    pub counts: Counts,
    /// Octets of messages in a second, from the first that was whole to the last; none where fewer than two
    /// were.
    pub octets_per_second: Option<f64>,
    /// From an INVITE to the end of the first message in its session.
    pub delivery: Quantiles,
}

impl Told {
    /// What came and belongs to no session or message.
    pub const fn strays(&self) -> u64 {
        self.counts.strays + self.counts.malformed
    }

    pub(super) fn of(counts: &Counts, delivery: &Latencies) -> Self {
        let ns = counts.first_last_ns.map_or(0, |(first, last)| last.saturating_sub(first));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = (ns > 0).then(|| counts.octets as f64 * 1e9 / ns as f64);
        Self {
            counts: counts.clone(),
            octets_per_second: per_second,
            delivery: Quantiles::of(delivery),
        }
    }
}
