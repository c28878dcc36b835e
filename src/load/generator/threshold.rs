//! What makes a run fail, as it is written on the command line: `p99.9>500us`, `unresolved>0`.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt;
use core::str::FromStr;

use serde::Serialize;

/// Which histogram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// From the instant at which each message was due.
    Intended,
    /// From the actual send.
    Actual,
    /// From the one to the other.
    Pacing,
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Count {
    /// Messages about which nothing was said in time.
    Unresolved,
    /// Messages that were said not to be delivered.
    Failed,
    /// Messages that the audit calls lost.
    Lost,
    /// Messages that the audit calls duplicated.
    Duplicated,
    /// Messages that the audit calls false.
    False,
    /// Messages that the audit calls wrong.
    Wrong,
    /// Messages that the audit calls contradicted.
    Contradicted,
    /// Messages that the audit calls damaged.
    Damaged,
    /// Requests sent again.
    Retransmissions,
    /// Datagrams that the kernel dropped before the generator.
    Drops,
    /// What came and belongs to no message.
    Strays,
}

impl Count {
    const ALL: [(&str, Self); 11] = [
        ("unresolved", Self::Unresolved),
        ("failed", Self::Failed),
        ("lost", Self::Lost),
        ("duplicated", Self::Duplicated),
        ("false", Self::False),
        ("wrong", Self::Wrong),
        ("contradicted", Self::Contradicted),
        ("damaged", Self::Damaged),
        ("retransmissions", Self::Retransmissions),
        ("drops", Self::Drops),
        ("strays", Self::Strays),
    ];

    /// Whether both ends have to be played to know it.
    const fn needs_audit(self) -> bool {
        matches!(
            self,
            Self::Lost
                | Self::Duplicated
                | Self::False
                | Self::Wrong
                | Self::Contradicted
                | Self::Damaged
        )
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// The latency that this share of all messages does not exceed, in nanoseconds.
    Quantile(Which, f64),
    /// A count.
    Count(Count),
    /// The rate that was achieved, in percent of the offered one.
    Achieved,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Relation {
    /// Longer ones first: one begins like another.
    const ALL: [(&str, Self); 4] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::Above), ("<", Self::Below)];

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

/// A condition under which a run has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    relation: Relation,
    limit: f64,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Result {
    /// As it was written.
    pub threshold: String,
    /// What it came to: nanoseconds, a count or percent. None where nothing was measured, which
    /// passes no threshold.
    pub value: Option<f64>,
    /// Whether the run passes it.
    pub pass: bool,
}

impl Threshold {
    /// Holds it against a run, which knows `value` of each metric, or knows that there is none.
    pub fn check(&self, value: impl FnOnce(Metric) -> Option<f64>) -> Result {
        let value = value(self.metric);
        let pass = value.is_some_and(|value| !self.relation.holds(value, self.limit));
        Result { threshold: self.text.clone(), value, pass }
    }

    /// Whether both ends have to be played to know what it asks for.
    pub const fn needs_audit(&self) -> bool {
        matches!(self.metric, Metric::Count(count) if count.needs_audit())
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> core::result::Result<Self, String> {
        let Some((metric, relation, limit)) = split(text) else {
            return Err(format!("'{text}' has none of > >= < <=, as in p99.9>500us"));
        };
        let metric = metric_of(metric.trim())?;
        let limit = limit_of(metric, limit.trim())?;
        Ok(Self { text: text.to_owned(), metric, relation, limit })
    }
}

fn split(text: &str) -> Option<(&str, Relation, &str)> {
    let (metric, rest) = text.split_at(text.find(['<', '>'])?);
    let mut all = Relation::ALL.into_iter();
    all.find_map(|(sign, relation)| Some((metric, relation, rest.strip_prefix(sign)?)))
}

fn metric_of(text: &str) -> core::result::Result<Metric, String> {
    if let Some((_, count)) = Count::ALL.iter().find(|(name, _)| *name == text) {
        return Ok(Metric::Count(*count));
    }
    if text == "achieved" {
        return Ok(Metric::Achieved);
    }
    let (which, quantile) = match text.split_once('.') {
        Some(("intended", rest)) => (Which::Intended, rest),
        Some(("actual", rest)) => (Which::Actual, rest),
        Some(("pacing", rest)) => (Which::Pacing, rest),
        _ => (Which::Intended, text),
    };
    let percent = match quantile {
        "max" => Some(100.0),
        _ => quantile.strip_prefix('p').and_then(|percent| percent.parse().ok()),
    };
    let within = percent.filter(|percent: &f64| (0.0..=100.0).contains(percent));
    within.map(|percent| Metric::Quantile(which, (percent * 1e7).round() / 1e9)).ok_or_else(|| {
        let names: Vec<&str> = Count::ALL.iter().map(|(name, _)| *name).collect();
        format!(
            "'{text}' is nothing that is measured: p50 to p99.999 and max, with intended., actual. \
             or pacing. before it, achieved, {}",
            names.join(", ")
        )
    })
}

fn limit_of(metric: Metric, text: &str) -> core::result::Result<f64, String> {
    let (units, example): (&[(&str, f64)], &str) = match metric {
        Metric::Quantile(..) => {
            (&[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)], "500us or 2ms")
        }
        Metric::Count(_) => (&[("", 1.0)], "0"),
        Metric::Achieved => (&[("%", 1.0)], "99%"),
    };
    let read = |(unit, factor): &(&str, f64)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    };
    units.iter().find_map(read).ok_or_else(|| format!("'{text}' should look like {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, value: f64) -> bool {
        text.parse::<Threshold>().unwrap().check(|_| Some(value)).pass
    }

    #[test]
    fn a_threshold_fails_when_its_condition_holds() {
        assert!(check("p99.9>500us", 500_000.0));
        assert!(!check("p99.9>500us", 500_001.0));
        assert!(!check("p99.9>=500us", 500_000.0));
        assert!(check("unresolved>0", 0.0));
        assert!(!check("unresolved>0", 1.0));
        assert!(check("achieved<99%", 99.0));
        assert!(!check("achieved<99%", 98.9));
        assert!(!check("achieved<=99%", 99.0));
        assert!(check("max > 1.5 s", 1_500_000_000.0));
    }

    #[test]
    fn what_was_not_measured_passes_nothing() {
        let result = "p50>1s".parse::<Threshold>().unwrap().check(|_| None);
        assert_eq!((result.value, result.pass), (None, false));
    }

    #[test]
    fn it_says_what_it_looks_at() {
        for (text, expected) in [
            ("p99.9>1ms", Metric::Quantile(Which::Intended, 0.999)),
            ("actual.p50>1ms", Metric::Quantile(Which::Actual, 0.5)),
            ("pacing.max>1ms", Metric::Quantile(Which::Pacing, 1.0)),
            ("intended.p99.99>1ms", Metric::Quantile(Which::Intended, 0.9999)),
            ("false>0", Metric::Count(Count::False)),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            match (threshold.metric, expected) {
                (Metric::Quantile(which, one), Metric::Quantile(expected, other)) => {
                    assert!(which == expected && (one - other).abs() < 1e-9, "{text}");
                }
                (metric, expected) => assert_eq!(metric, expected),
            }
            assert_eq!(threshold.needs_audit(), text.starts_with("false"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, part) in [
            ("p99.9", "none of >"),
            ("p99=1ms", "none of >"),
            ("p101>1ms", "'p101'"),
            ("mean>1ms", "'mean'"),
            ("p99>500", "500us"),
            ("unresolved>0us", "like 0"),
            ("achieved<1", "99%"),
            ("p99>-1ms", "500us"),
            ("p99>>1ms", "500us"),
            ("", "none of >"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
