//! What a run comes to, for programs and for people.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt::Write as _;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::generator::audit::{Audit, Said, said};
use crate::load::generator::interval::{Interval, Latencies};
use crate::load::generator::plan::{Plan, Profile};
use crate::load::generator::record::{Flags, Report, Sent};
use crate::load::generator::stage::Records;
use crate::load::generator::thread::Cost;
use crate::load::generator::threshold::{self, Count, Metric, Threshold, Which};
use crate::load::table::{Paint, grouped};

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
    fn of(latencies: &Latencies) -> Self {
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
    /// Responses by status, repeated ones too.
    pub responses: BTreeMap<u16, u64>,
    /// Final responses that came again.
    pub finals_repeated: u64,
    /// Responses that match no message that has left.
    pub unmatched: u64,
    /// MESSAGE requests that are no report about a message that has left.
    pub stray_requests: u64,
    /// Requests that brought a report again.
    pub reports_repeated: u64,
    /// Datagrams that are no SIP, or were cut.
    pub malformed: u64,
    /// ICMP errors.
    pub unreachable: u64,
    /// Messages that could not be written to a connection at first.
    pub unwritten: u64,
    /// What it cost.
    pub cost: Cost,
}

/// What came to the answering end, by datagram.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AnswererSide {
    /// MESSAGE requests of this run, repeated ones too.
    pub requests: u64,
    /// Of these, requests that came again in the same transaction.
    pub repeats: u64,
    /// Responses that left, by status.
    pub responses: BTreeMap<u16, u64>,
    /// Requests left without an answer, as was asked for.
    pub silent: u64,
    /// MESSAGE requests that are none of this run.
    pub stray_requests: u64,
    /// Responses, which nothing has asked for.
    pub stray_responses: u64,
    /// Datagrams that are no SIP, were cut, or broke its rules.
    pub malformed: u64,
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
            sender: records.sender.as_ref().map(sender_side),
            answerer: records.answerer.as_ref().map(answerer_side),
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
            },
        }
    }

    /// What came and belongs to no message.
    pub fn strays(&self) -> u64 {
        let sender =
            self.sender.as_ref().map_or(0, |s| s.unmatched + s.stray_requests + s.malformed);
        let answerer = self
            .answerer
            .as_ref()
            .map_or(0, |a| a.stray_requests + a.stray_responses + a.malformed);
        sender + answerer
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if self.sender.is_some() {
            self.head(&mut text);
            self.latencies(&mut text, paint);
            self.said(&mut text, paint);
        }
        self.costs(&mut text, paint);
        for result in &self.thresholds {
            let verdict = if result.pass { paint.good("pass") } else { paint.bad("FAIL") };
            let value = result.value.map_or_else(
                || "nothing measured".to_owned(),
                |value| match result.threshold.contains(['p', 'm'])
                    && result.threshold.ends_with('s')
                {
                    true => fine(value),
                    false => format!("{value}"),
                },
            );
            let _ = writeln!(text, "threshold {}: {value}, {verdict}", result.threshold);
        }
        text
    }

    fn head(&self, text: &mut String) {
        let offered = rate(self.rate);
        let achieved = match self.achieved {
            Some(achieved) => {
                format!("{} achieved ({:.1} %)", rate(achieved), achieved * 100.0 / self.rate)
            }
            None => String::from("too few to tell the rate achieved"),
        };
        let warmup = match self.warmup {
            0 => String::new(),
            count => format!(", {} of them before it as warm-up", grouped(count)),
        };
        let _ = writeln!(
            text,
            "{} over {} to {}   {offered} msg/s offered   {achieved}   {} messages in {:.1} s{warmup}",
            self.profile,
            self.transport,
            self.target,
            grouped(self.messages),
            self.seconds,
        );
    }

    fn latencies(&self, text: &mut String, paint: Paint) {
        let Latency { intended, actual, pacing } = self.latency;
        if intended.count == 0 {
            let _ = writeln!(text, "no message was answered while it was measured");
            return;
        }
        let mut head = " ".repeat(22);
        for name in ["p50", "p90", "p99", "p99.9", "p99.99", "max"] {
            let _ = write!(head, "{name:>9}");
        }
        let _ = writeln!(text, "{}", paint.dim(&head));
        let standing = self.standing.as_ref();
        let sentence = standing.map_or_else(String::new, |standing| {
            if standing.stands {
                paint.good(&standing.sentence)
            } else {
                paint.bad(&standing.sentence)
            }
        });
        for (name, q, remark) in [
            ("verdict (intended)", intended, "<- use this one"),
            ("verdict (actual send)", actual, ""),
            ("generator pacing err", pacing, sentence.as_str()),
        ] {
            let _ = write!(text, "{name:<22}");
            for ns in [q.p50_ns, q.p90_ns, q.p99_ns, q.p999_ns, q.p9999_ns, q.max_ns] {
                let _ = write!(text, "{:>9}", fine(float(ns)));
            }
            let _ = writeln!(text, "{}{remark}", if remark.is_empty() { "" } else { "   " });
        }
    }

    fn said(&self, text: &mut String, paint: Paint) {
        let outcomes: Vec<String> = self
            .outcomes
            .iter()
            .map(|(name, count)| format!("{name}: {}", grouped(*count)))
            .collect();
        let _ = writeln!(
            text,
            "delivered {}   failed {}   unresolved {}   ({})",
            grouped(self.delivered),
            grouped(self.failed),
            grouped(self.unresolved + self.unfinished),
            outcomes.join(", ")
        );
        match &self.audit {
            Some(audit) => {
                let sum = |name: &str, count: u64| match count {
                    0 => paint.good(&format!("{name} 0")),
                    _ => paint.bad(&format!("{name} {}", grouped(count))),
                };
                let _ = writeln!(
                    text,
                    "{}   {}   {}   {}   {}   (of {} messages at both ends)",
                    sum("lost", audit.lost),
                    sum("duplicated", audit.duplicated),
                    sum("false", audit.is_false),
                    sum("wrong", audit.wrong),
                    sum("contradicted", audit.contradicted),
                    grouped(audit.judged)
                );
                for fault in &audit.faults {
                    let _ = writeln!(text, "  {}", paint.bad(fault));
                }
            }
            None => {
                let _ = writeln!(text, "truth not audited: only one end was played");
            }
        }
    }

    fn costs(&self, text: &mut String, paint: Paint) {
        let _ = writeln!(
            text,
            "retransmissions {}   socket drops {}   strays {}",
            grouped(self.retransmissions),
            grouped(self.socket_drops),
            grouped(self.strays())
        );
        if let Some(sender) = self.sender.as_ref().filter(|sender| sender.unreachable > 0) {
            let count = grouped(sender.unreachable);
            let said = format!("ICMP said {count} times that {} is unreachable", self.target);
            let _ = writeln!(text, "{}", paint.bad(&said));
        }
        if let Some(sender) = self.sender.as_ref().filter(|sender| sender.unwritten > 0) {
            let count = grouped(sender.unwritten);
            let said = format!("{count} times a message could not be written to a connection");
            let _ = writeln!(text, "{}", paint.bad(&said));
        }
        let mut costs = Vec::new();
        if let Some(sender) = &self.sender {
            costs.push(cost("sender", &sender.cost, self.messages));
        }
        if let Some(answerer) = &self.answerer {
            costs.push(cost("answerer", &answerer.cost, answerer.requests));
        }
        let _ = writeln!(text, "{}", paint.dim(&costs.join("; ")));
    }
}

fn cost(name: &str, cost: &Cost, messages: u64) -> String {
    let each = float(cost.cpu_ns) / float(messages.max(1)) / 1e3;
    let allocations = cost
        .allocations
        .map_or_else(String::new, |count| format!(", {} allocations", grouped(count)));
    format!(
        "{name}: {each:.2} us of cpu a message, {} involuntary switches{allocations}",
        grouped(cost.involuntary_switches)
    )
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

fn sender_side(told: &crate::load::generator::sender::Told) -> SenderSide {
    let counts = &told.counts;
    SenderSide {
        responses: by_status(&counts.responses),
        finals_repeated: counts.finals_repeated,
        unmatched: counts.unmatched,
        stray_requests: counts.stray_requests,
        reports_repeated: counts.reports_repeated,
        malformed: counts.malformed,
        unreachable: counts.unreachable,
        unwritten: counts.unwritten,
        cost: told.cost,
    }
}

fn answerer_side(told: &crate::load::generator::answerer::Told) -> AnswererSide {
    let counts = &told.counts;
    AnswererSide {
        requests: counts.requests,
        repeats: counts.repeats,
        responses: by_status(&counts.responses),
        silent: counts.silent,
        stray_requests: counts.stray_requests,
        stray_responses: counts.stray_responses,
        malformed: counts.malformed,
        cost: told.cost,
    }
}

fn by_status(counts: &[u64]) -> BTreeMap<u16, u64> {
    (0..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| (status, *count))
        .collect()
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// For ratios, which need no more than 53 bits.
#[expect(clippy::cast_precision_loss, reason = "for people and ratios")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Messages per second: whole ones, unless they are few.
fn rate(per_second: f64) -> String {
    if per_second < 100.0 {
        return format!("{per_second:.1}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a rate is far below 2^64")]
    #[expect(clippy::cast_sign_loss, reason = "a rate is above 0")]
    let whole = per_second.round() as u64;
    grouped(whole)
}

/// A duration in the unit that suits it, with three digits.
pub fn fine(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999_500.0 => (ns / 1e3, "us"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    match value {
        value if value < 9.995 && unit != "us" => format!("{value:.2}{unit}"),
        value if value < 99.95 => format!("{value:.1}{unit}"),
        value => format!("{value:.0}{unit}"),
    }
}
