//! What a run comes to, for people.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt::Write as _;
use std::collections::BTreeMap;

use crate::load::generator::session::Told;
use crate::load::generator::summary::{Latency, Summary, by_status, float};
use crate::load::generator::thread::Cost;
use crate::load::table::{Paint, grouped};

impl Summary {
    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if self.sender.is_some() {
            self.head(&mut text);
            self.latencies(&mut text, paint);
            self.said(&mut text, paint);
        } else if let Some(answerer) = &self.answerer {
            let statuses = by_status(&answerer.counts.responses);
            let statuses = statuses.iter();
            let statuses: Vec<String> =
                statuses.map(|(status, count)| format!("{status}: {}", grouped(*count))).collect();
            let _ = writeln!(
                text,
                "requests {}   left unanswered {}   ({})",
                grouped(answerer.counts.requests),
                grouped(answerer.counts.silent),
                statuses.join(", ")
            );
        }
        if let Some(told) = self.answerer.as_ref().and_then(|answerer| answerer.sessions.as_ref()) {
            sessions(told, &mut text);
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
                let has_sessions =
                    self.answerer.as_ref().is_some_and(|answerer| answerer.sessions.is_some());
                let mut sums = Vec::from([
                    sum("lost", audit.lost),
                    sum("duplicated", audit.duplicated),
                    sum("false", audit.is_false),
                    sum("wrong", audit.wrong),
                    sum("contradicted", audit.contradicted),
                ]);
                if has_sessions {
                    sums.push(sum("damaged", audit.damaged));
                }
                let judged = grouped(audit.judged);
                let _ =
                    writeln!(text, "{}   (of {judged} messages at both ends)", sums.join("   "));
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
        if let Some(sender) = self.sender.as_ref().filter(|sender| sender.counts.unreachable > 0) {
            let count = grouped(sender.counts.unreachable);
            let said = format!("ICMP said {count} times that {} is unreachable", self.target);
            let _ = writeln!(text, "{}", paint.bad(&said));
        }
        if let Some(sender) = self.sender.as_ref().filter(|sender| sender.counts.unwritten > 0) {
            let count = grouped(sender.counts.unwritten);
            let said = format!("{count} times a message could not be written to a connection");
            let _ = writeln!(text, "{}", paint.bad(&said));
        }
        let mut costs = Vec::new();
        if let Some(sender) = &self.sender {
            costs.push(cost("sender", &sender.cost, self.messages));
        }
        if let Some(answerer) = &self.answerer {
            let in_sessions = answerer.sessions.as_ref().map_or(0, |told| told.counts.messages);
            costs.push(cost("answerer", &answerer.cost, answerer.counts.requests + in_sessions));
        }
        let _ = writeln!(text, "{}", paint.dim(&costs.join("; ")));
    }
}

/// What came in sessions.
fn sessions(told: &Told, text: &mut String) {
    let counts = &told.counts;
    let said = |what: &str, statuses: &BTreeMap<u16, u64>, silent: u64| {
        let mut all: Vec<String> = statuses
            .iter()
            .map(|(status, count)| format!("{status}: {}", grouped(*count)))
            .collect();
        if silent > 0 {
            all.push(format!("silent: {}", grouped(silent)));
        }
        let all = if all.is_empty() { String::from("none") } else { all.join(", ") };
        format!("{what} {all}")
    };
    let _ = writeln!(
        text,
        "sessions {}   at once {}   connected by us {}   ({}; {}; {})",
        grouped(counts.sessions),
        grouped(counts.sessions_at_once),
        grouped(counts.active),
        said("INVITE", &counts.invite_responses, counts.invites_silent),
        said("SEND", &counts.send_responses, counts.sends_silent),
        said("REPORT", &counts.reports, 0),
    );
    if counts.messages == 0 {
        return;
    }
    let pace = told
        .octets_per_second
        .map_or_else(String::new, |octets| format!(", {:.2} MB/s", octets / 1e6));
    let q = &told.delivery;
    let [p50, p99, max] = [q.p50_ns, q.p99_ns, q.max_ns].map(|ns| fine(float(ns)));
    let _ = writeln!(
        text,
        "brought by sessions {}, {} again   {} octets in {} chunks{pace}   from INVITE on p50 {p50}   \
         p99 {p99}   max {max}",
        grouped(counts.messages),
        grouped(counts.messages_repeated),
        grouped(counts.octets),
        grouped(counts.chunks),
    );
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
