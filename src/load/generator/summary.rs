//! What a run comes to.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::load::generator::answerer;
use crate::load::generator::audit::{Audit, Said, said};
use crate::load::generator::interval::{Interval, Latencies};
use crate::load::generator::plan::{Plan, Profile};
use crate::load::generator::record::{Flags, Report, Sent};
use crate::load::generator::sender;
use crate::load::generator::session;
use crate::load::generator::stage::Records;
use crate::load::generator::thread::Cost;
use crate::load::generator::threshold::{self, Count, Metric, Threshold, Which};
use crate::load::table::grouped;

/// The generator's own error may be so much of the p99.9, in percent, for the figures to stand.
const NOISE_MAX_PERCENT: f64 = 15.0;

/// The share of the offered rate that must have been achieved, in percent.
const ACHIEVED_MIN_PERCENT: f64 = 99.0;

/// Latencies in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90 of 100 were not longer.
    pub p90_ns: u64,
    /// 99 of 100 were not longer.
    pub p99_ns: u64,
    /// 999 of 1000 were not longer.
    pub p999_ns: u64,
    /// 9999 of 10 000 were not longer.
    pub p9999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Quantiles {
    pub(super) fn of(latencies: &Latencies) -> Self {
        Self {
            count: latencies.len(),
            p50_ns: latencies.value_at_quantile(0.5),
            p90_ns: latencies.value_at_quantile(0.9),
            p99_ns: latencies.value_at_quantile(0.99),
            p999_ns: latencies.value_at_quantile(0.999),
            p9999_ns: latencies.value_at_quantile(0.9999),
            max_ns: latencies.max(),
        }
    }
}

/// Latencies of the messages that are measured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Latency {
    /// From the instant at which each message was due to what was said about it.
    pub intended: Quantiles,
    /// From the actual send.
    pub actual: Quantiles,
    /// From the one to the other: the generator's own error.
    pub pacing: Quantiles,
}

/// Whether the figures stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Whether they do.
    pub stands: bool,
    /// The generator's own error at p99.9, in percent of the latency there.
    pub noise_percent: f64,
    /// The sentence.
    pub sentence: String,
}

/// What came to the sending end, by datagram.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SenderSide {
    /// What was counted there.
    #[serde(flatten)]
    pub counts: sender::Counts,
    /// What it cost.
    pub cost: Cost,
}

/// What came to the answering end, by datagram.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AnswererSide {
    /// What was counted there.
    #[serde(flatten)]
    pub counts: answerer::Counts,
    /// What came in sessions, where it took any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<session::Told>,
    /// What it cost.
    pub cost: Cost,
}

/// What a run comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The run, as it stands in every identifier.
    pub run: String,
    /// What the messages are.
    pub profile: &'static str,
    /// How they are carried.
    pub transport: &'static str,
    /// Where they went.
    pub target: String,
    /// Messages per second that were to leave.
    pub rate: f64,
    /// Messages per second that left; none where fewer than two were measured.
    pub achieved: Option<f64>,
    /// Messages that left, the warm-up among them.
    pub messages: u64,
    /// Of these, messages that are in no figure.
    pub warmup: u64,
    /// From the first measured message to the last, in seconds.
    pub seconds: f64,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// The latencies.
    pub latency: Latency,
    /// Whether they stand; none where nothing was measured.
    pub standing: Option<Standing>,
    /// What was said about each message, and about how many.
    pub outcomes: BTreeMap<String, u64>,
    /// Messages that were said to be delivered.
    pub delivered: u64,
    /// Messages that were said not to be.
    pub failed: u64,
    /// Messages about which nothing was said in time.
    pub unresolved: u64,
    /// Messages that were still open when the run was ended.
    pub unfinished: u64,
    /// Requests sent again by timer E.
    pub retransmissions: u64,
    /// Datagrams that the kernel dropped before the generator itself.
    pub socket_drops: u64,
    /// What the sending end counted, if it was played.
    pub sender: Option<SenderSide>,
    /// What the answering end counted, if it was played.
    pub answerer: Option<AnswererSide>,
    /// Both ends beside each other, if both were played.
    pub audit: Option<Audit>,
    /// The thresholds and what became of them.
    pub thresholds: Vec<threshold::Result>,
    /// Whether nothing failed.
    pub ok: bool,
}

impl Summary {
    /// Sums a run up: its records, and everything that its intervals have.
    pub fn of(
        records: &Records,
        total: &Interval,
        thresholds: &[Threshold],
        interrupted: bool,
    ) -> Self {
        let plan = &records.plan;
        let sent: &[Sent] = records.sender.as_ref().map_or(&[], |told| &told.sent);
        let warmup = usize::try_from(plan.warmup).unwrap_or(usize::MAX).min(sent.len());
        let (seconds, achieved) = pace(&sent[warmup..]);
        let seen = records.answerer.as_ref().map(|told| &*told.seen);
        let audit = seen.filter(|_| plan.plays_both()).map(|seen| Audit::of(plan, sent, seen));
        let mut summary = Self {
            run: plan.run.to_string(),
            profile: plan.profile.name(),
            transport: name_of(plan),
            target: plan.target.to_string(),
            rate: float(plan.pace.rate_mhz) / 1_000.0,
            achieved,
            messages: count(sent.len()),
            warmup: count(warmup),
            seconds,
            interrupted,
            latency: Latency {
                intended: Quantiles::of(&total.intended),
                actual: Quantiles::of(&total.actual),
                pacing: Quantiles::of(&total.pacing),
            },
            standing: None,
            outcomes: BTreeMap::new(),
            delivered: 0,
            failed: 0,
            unresolved: 0,
            unfinished: 0,
            retransmissions: total.retransmissions,
            socket_drops: 0,
            sender: records
                .sender
                .as_ref()
                .map(|told| SenderSide { counts: told.counts.clone(), cost: told.cost }),
            answerer: records.answerer.as_ref().map(|told| AnswererSide {
                counts: told.counts.clone(),
                sessions: told.sessions.clone(),
                cost: told.cost,
            }),
            audit,
            thresholds: Vec::new(),
            ok: false,
        };
        sent.iter().for_each(|sent| summary.add(plan.profile, sent));
        summary.conclude(total, thresholds);
        summary
    }

    fn add(&mut self, profile: Profile, sent: &Sent) {
        let name = if !sent.flags.has(Flags::RESOLVED) {
            self.unfinished += 1;
            String::from("unfinished")
        } else {
            match (said(profile, sent), sent.report) {
                (Said::Delivered(_), Report::Ack) => String::from("RP-ACK"),
                (Said::Failed(cause), Report::Error(_)) => format!("RP-ERROR {cause}"),
                (Said::Delivered(status) | Said::Failed(status), _) => status.to_string(),
                (Said::Nothing, _) => String::from("unresolved"),
            }
        };
        if sent.flags.has(Flags::RESOLVED) {
            match said(profile, sent) {
                Said::Delivered(_) => self.delivered += 1,
                Said::Failed(_) => self.failed += 1,
                Said::Nothing => self.unresolved += 1,
            }
        }
        *self.outcomes.entry(name).or_default() += 1;
    }

    fn conclude(&mut self, total: &Interval, thresholds: &[Threshold]) {
        let costs = [self.sender.as_ref().map(|s| s.cost), self.answerer.as_ref().map(|a| a.cost)];
        self.socket_drops = costs.iter().flatten().map(|cost| cost.socket_drops).sum();
        self.standing = self.standing();
        self.thresholds =
            thresholds.iter().map(|t| t.check(|metric| self.value(metric, total))).collect();
        let judged = match &self.audit {
            Some(audit) => audit.is_clean(),
            // Whoever plays one end only cannot know better than what he is told.
            None => self.failed == 0 && self.unresolved == 0,
        };
        self.ok = judged && self.thresholds.iter().all(|result| result.pass);
    }

    fn standing(&self) -> Option<Standing> {
        let Latency { intended, pacing, .. } = self.latency;
        if intended.count == 0 {
            return None;
        }
        let noise_percent = float(pacing.p999_ns) * 100.0 / float(intended.p999_ns.max(1));
        let achieved = self.achieved.map_or(100.0, |rate| rate * 100.0 / self.rate);
        let fallen = |why: &str| (false, format!("figures do not stand: {why}"));
        let (stands, sentence) = if self.socket_drops > 0 {
            let drops = grouped(self.socket_drops);
            fallen(&format!("the generator itself dropped {drops} datagrams"))
        } else if achieved < ACHIEVED_MIN_PERCENT {
            fallen(&format!("the generator achieved {achieved:.1} % of the rate"))
        } else if noise_percent > NOISE_MAX_PERCENT {
            let noise = format!("its noise is {noise_percent:.0}% of p99.9");
            fallen(&format!("the generator itself was late, {noise}"))
        } else {
            let bound = noise_percent.ceil().max(1.0);
            (true, format!("generator noise is below {bound:.0}% of p99.9: figures stand"))
        };
        Some(Standing { stands, noise_percent, sentence })
    }

    fn value(&self, metric: Metric, total: &Interval) -> Option<f64> {
        let audited = |value: fn(&Audit) -> u64| self.audit.as_ref().map(|a| float(value(a)));
        match metric {
            Metric::Quantile(which, quantile) => {
                let latencies = match which {
                    Which::Intended => &total.intended,
                    Which::Actual => &total.actual,
                    Which::Pacing => &total.pacing,
                };
                let is_measured = !latencies.is_empty();
                is_measured.then(|| float(latencies.value_at_quantile(quantile)))
            }
            Metric::Achieved => self.achieved.map(|rate| rate * 100.0 / self.rate),
            Metric::Count(count) => match count {
                Count::Unresolved => Some(float(self.unresolved + self.unfinished)),
                Count::Failed => Some(float(self.failed)),
                Count::Retransmissions => Some(float(self.retransmissions)),
                Count::Drops => Some(float(self.socket_drops)),
                Count::Strays => Some(float(self.strays())),
                Count::Lost => audited(|audit| audit.lost),
                Count::Duplicated => audited(|audit| audit.duplicated),
                Count::False => audited(|audit| audit.is_false),
                Count::Wrong => audited(|audit| audit.wrong),
                Count::Contradicted => audited(|audit| audit.contradicted),
                Count::Damaged => audited(|audit| audit.damaged),
            },
        }
    }

    /// What came and belongs to no message.
    pub fn strays(&self) -> u64 {
        let sender = self.sender.as_ref().map_or(0, |SenderSide { counts, .. }| {
            counts.unmatched + counts.stray_requests + counts.malformed
        });
        let answerer =
            self.answerer.as_ref().map_or(0, |AnswererSide { counts, sessions, .. }| {
                let in_sessions = sessions.as_ref().map_or(0, session::Told::strays);
                counts.stray_requests + counts.stray_responses + counts.malformed + in_sessions
            });
        sender + answerer
    }
}

fn name_of(plan: &Plan) -> &'static str {
    match plan.transport {
        crate::packet::Transport::Udp => "udp",
        crate::packet::Transport::Tcp => "tcp",
        crate::packet::Transport::Tls => "tls",
    }
}

/// Seconds from the first to the last of them, and how many left in each.
fn pace(sent: &[Sent]) -> (f64, Option<f64>) {
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else { return (0.0, None) };
    let seconds = float(last.at_ns.saturating_sub(first.at_ns)) / 1e9;
    let steps = float(count(sent.len() - 1));
    (seconds, (seconds > 0.0).then(|| steps / seconds))
}

/// The statuses that there were, each with how often, of counts at the number of each status.
pub fn by_status(counts: &[u64]) -> BTreeMap<u16, u64> {
    (0..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| (status, *count))
        .collect()
}

/// The same in a result.
pub(super) fn statuses<S: Serializer>(counts: &[u64], to: S) -> Result<S::Ok, S::Error> {
    by_status(counts).serialize(to)
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// For ratios, which need no more than 53 bits.
#[expect(clippy::cast_precision_loss, reason = "for people and ratios")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
