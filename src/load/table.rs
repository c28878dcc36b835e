//! The screen: a table with a line for each injected outcome, and the sums below it.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt::Write as _;

use crate::load::short::summary::{Row as ShortRow, Sums};
use crate::load::summary::{Quantiles, Row, Summary};
use crate::load::trunk::TrunkSummary;

/// When half of the messages leave this late, nobody had time for them, and timers of a tenth of
/// RFC 3261's end before anybody has looked.
const BEHIND_NS: u64 = 20_000_000;

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    /// A terminal that likes them.
    Colours,
    /// A file, a pipe, or somebody who set `NO_COLOR`.
    Plain,
}

impl Paint {
    /// Marks what is bad.
    pub fn bad(self, text: &str) -> String {
        self.dress("\x1b[1;31m", text)
    }

    /// Marks what is good.
    pub fn good(self, text: &str) -> String {
        self.dress("\x1b[32m", text)
    }

    /// Marks what the eye may skip.
    pub fn dim(self, text: &str) -> String {
        self.dress("\x1b[2m", text)
    }

    fn dress(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours => format!("{code}{text}\x1b[0m"),
            Self::Plain => String::from(text),
        }
    }
}

impl Summary {
    /// The tables, one line for each outcome, of 80 columns.
    pub fn table(&self, paint: Paint) -> String {
        let mut text = String::new();
        let head = format!(
            "  {:<27}{:>8}  {:<11}{:>6}{:>8}{:>8}{:>8}",
            "outcome injected by im", "messages", "verdict", "report", "p50", "p99", "p99.9"
        );
        let _ = writeln!(text, "{}", paint.dim(&head));
        for row in &self.rows {
            let _ = write!(
                text,
                "  {:<27}{:>8}  {:<11}{:>6}",
                row.outcome.label(),
                grouped(row.messages),
                row.verdict_cell(),
                row.report_cell()
            );
            text.push_str(&row.latency_cells());
            text.push_str(&faulty(paint, row.faulty));
            text.push('\n');
        }
        if !self.short_messages.rows.is_empty() {
            text.push_str(&self.short_table(paint));
        }
        if !self.large_messages.rows.is_empty() {
            text.push_str(&self.large_table(paint));
        }
        if self.trunk.messages > 0 {
            text.push_str(&self.trunk_table(paint));
        }
        text
    }

    /// The messages over connections, by how they were answered.
    fn trunk_table(&self, paint: Paint) -> String {
        let head = format!(
            "  {:<27}{:>8}  {:<11}{:>6}{:>8}{:>8}{:>8}",
            "over one TCP trunk", "messages", "verdict", "report", "p50", "p99", "p99.9"
        );
        let mut text = format!("\n{}\n", paint.dim(&head));
        let TrunkSummary { messages, responses, verdicts, intended, faulty: bad } = &self.trunk;
        let cells = [intended.p50_ns, intended.p99_ns, intended.p999_ns].map(duration);
        let _ = writeln!(
            text,
            "  {:<27}{:>8}  {:<17}{:>8}{:>8}{:>8}{}",
            list(responses.iter().map(|(status, count)| (status.to_string(), *count))).trim_end(),
            grouped(*messages),
            list(verdicts.iter().map(|(letter, count)| (letter.to_string(), *count))).trim_end(),
            cells[0],
            cells[1],
            cells[2],
            faulty(paint, *bad)
        );
        text
    }

    /// The short messages that went in sessions.
    fn large_table(&self, paint: Paint) -> String {
        short_rows(
            paint,
            ("Large Messages (MSRP)", "sessions"),
            &self.large_messages.rows,
            |sums| sums.sessions,
        )
    }

    /// The short messages: what the SC was told, and what the users saw.
    fn short_table(&self, paint: Paint) -> String {
        let rows = &self.short_messages.rows;
        short_rows(paint, ("short messages (RP-DATA)", "absorbed"), rows, |sums| sums.absorbed)
    }

    /// What stands below the tables: the pace, what was repaired, the faults, and the sums.
    pub fn totals(&self, paint: Paint) -> String {
        let mut text = String::new();
        let pace = format!(
            "  latency from the intended send; late by p50 {}, p99.9 {}, max {}\n  \
             late sends {}; sent again: {} requests, {} reports{}",
            duration(self.pacing.p50_ns),
            duration(self.pacing.p999_ns),
            duration(self.pacing.max_ns),
            grouped(self.late_sends),
            grouped(self.requests_repeated),
            grouped(self.reports_repeated),
            match self.reports_reworded {
                0 => String::new(),
                count => format!(" ({} reworded)", grouped(count)),
            }
        );
        let _ = writeln!(text, "{}", paint.dim(&pace));
        if self.pacing.p50_ns > BEHIND_NS || self.kernel_drops > 0 {
            let behind = "this machine was too busy for this rate: try a lower --rate";
            let _ = writeln!(text, "  {}", paint.bad(behind));
        }
        for (count, what) in [
            (self.refused, "refused with 503 before they were accepted: messages"),
            (self.kernel_drops, "dropped by the kernel before the engine: datagrams"),
            (self.strays, "belonging to no message: datagrams"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "  {}", paint.bad(&format!("{what} {}", grouped(count))));
            }
        }
        for fault in &self.faults {
            let _ = writeln!(text, "  {}", paint.bad(fault));
        }
        text.push_str(&self.short_totals(paint));
        let _ = writeln!(
            text,
            "\n  {} messages   {} verdicts   {} reports   {} rightly without one",
            grouped(self.messages),
            grouped(self.verdicts),
            grouped(self.reports),
            grouped(self.silent)
        );
        let _ = writeln!(
            text,
            "  {}   {}   {}   {}\n  contradicted {}   allocations after start {}",
            sum(paint, "lost", self.lost),
            sum(paint, "duplicated", self.duplicated),
            sum(paint, "false", self.is_false),
            sum(paint, "wrong", self.wrong),
            grouped(self.contradicted),
            grouped(self.allocations)
        );
        text
    }

    fn short_totals(&self, paint: Paint) -> String {
        let sums = &self.short_messages.sums;
        if sums.messages == 0 {
            return String::new();
        }
        format!(
            "\n  {} short messages in {} submissions   {} RP-ACK   {} RP-ERROR\n  \
             {} repetitions absorbed, {} sent on ({} known by their Call-ID)\n  \
             {}   {}   {}\n",
            grouped(sums.messages),
            grouped(sums.submissions),
            grouped(sums.rp_acks),
            grouped(sums.rp_errors),
            grouped(sums.absorbed),
            grouped(sums.submissions - sums.messages - sums.absorbed),
            grouped(sums.recognised),
            sum(paint, "false RP-ACK", sums.false_rp_acks),
            sum(paint, "lost reports", sums.lost_reports),
            sum(paint, "seen twice", sums.seen_twice)
        )
    }
}

/// A row for each case of short messages; what one of the columns says is told by its head.
fn short_rows(
    paint: Paint,
    (name, column): (&str, &str),
    rows: &[ShortRow],
    value: impl Fn(&Sums) -> u64,
) -> String {
    let head = format!(
        "  {name:<27}{:>8}{:>8}{:>10}{column:>10}{:>7}{:>8}",
        "messages", "RP-ACK", "RP-ERROR", "seen", "p50"
    );
    let mut text = format!("\n{}\n", paint.dim(&head));
    for row in rows {
        let sums = &row.sums;
        let _ = writeln!(
            text,
            "  {:<27}{:>8}{:>8}{:>10}{:>10}{:>7}{:>8}{}",
            row.case.label(),
            grouped(sums.messages),
            grouped(sums.rp_acks),
            grouped(sums.rp_errors),
            grouped(value(sums)),
            grouped(sums.seen),
            duration(row.intended.p50_ns),
            faulty(paint, sums.faulty)
        );
    }
    text
}

fn faulty(paint: Paint, count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    paint.bad(&format!("   {} faulty", grouped(count)))
}

/// A sum that ought to be 0.
fn sum(paint: Paint, name: &str, count: u64) -> String {
    let text = format!("{name} {}", grouped(count));
    if count == 0 { paint.good(&text) } else { paint.bad(&text) }
}

impl Row {
    fn verdict_cell(&self) -> String {
        match self.verdicts.iter().next() {
            Some((letter, _)) if self.verdicts.len() == 1 => verdict_name(*letter),
            _ => list(self.verdicts.iter().map(|(letter, count)| match letter {
                '-' => (String::from("none"), *count),
                letter => (String::from(*letter), *count),
            })),
        }
    }

    /// One status where all have the same, else each with its count.
    fn report_cell(&self) -> String {
        match self.reports.keys().next() {
            Some(name) if self.reports.len() == 1 => name.clone(),
            _ => list(self.reports.iter().map(|(name, count)| (name.clone(), *count))),
        }
    }

    /// Without a report there is no latency; then it is the verdict whose time is of interest.
    fn latency_cells(&self) -> String {
        if self.intended.count == 0 {
            let words = format!("verdict after {}", duration(self.decided.p50_ns));
            return format!("{words:>24}");
        }
        let Quantiles { p50_ns, p99_ns, p999_ns, .. } = self.intended;
        [p50_ns, p99_ns, p999_ns].iter().fold(String::new(), |mut text, ns| {
            let _ = write!(text, "{:>8}", duration(*ns));
            text
        })
    }
}

fn verdict_name(letter: char) -> String {
    let name = match letter {
        'D' => "delivered",
        'P' => "permanent",
        'T' => "temporary",
        'U' => "unknown",
        'A' => "accepted",
        _ => return String::from("none"),
    };
    format!("{letter} {name}")
}

fn list(counts: impl Iterator<Item = (String, u64)>) -> String {
    counts.fold(String::new(), |mut text, (name, count)| {
        let _ = write!(text, "{name}:{} ", grouped(count));
        text
    })
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the unit that suits it, with three digits.
pub fn duration(ns: u64) -> String {
    let scaled = |unit_ns: u64, unit: &str| {
        let hundredths = ns / (unit_ns / 100);
        match hundredths {
            0..1_000 => format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100),
            1_000..10_000 => format!("{}.{} {unit}", hundredths / 100, hundredths % 100 / 10),
            _ => format!("{} {unit}", hundredths / 100),
        }
    };
    match ns {
        0..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => scaled(1_000_000, "ms"),
        _ => scaled(1_000_000_000, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::summary::tests::Case;
    use crate::load::truth::Outcome;

    #[test]
    fn the_table_shows_what_happened_and_marks_what_is_faulty() {
        let mut case = Case::new();
        case.retell(Outcome::Busy, 'D');
        let summary = case.sum_up();
        let table = summary.table(Paint::Plain);
        assert_eq!(table.lines().count(), 21);
        let line = |name| table.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("200 OK").contains("D delivered"));
        assert!(line("200 OK").contains("100 us"));
        assert!(line("486 Busy").contains("1 faulty"));
        assert!(line("silence, client has it not").contains("U unknown    none"));
        assert!(line("silence, client has it not").contains("verdict after 90 us"));
        assert!(summary.totals(Paint::Plain).contains("false 1   wrong 1\n  contradicted 3"));
        assert!(summary.totals(Paint::Colours).contains("\x1b[1;31mwrong 1\x1b[0m"));
        assert!(!table.contains('\x1b'));
    }

    #[test]
    fn a_machine_without_time_is_named() {
        let mut summary = Case::new().sum_up();
        assert!(!summary.totals(Paint::Plain).contains("too busy"));
        summary.kernel_drops = 1;
        assert!(summary.totals(Paint::Plain).contains("too busy"));
        (summary.kernel_drops, summary.pacing.p50_ns) = (0, 200_000_000);
        assert!(summary.totals(Paint::Plain).contains("too busy"));
    }

    /// What people see first must fit what they see it on.
    #[test]
    fn the_tables_fit_80_columns() {
        let mut summary = Case::new().sum_up();
        summary.rows.iter_mut().for_each(|row| row.messages = 999_999);
        summary.short_messages.sums.messages = 999_999;
        summary.short_messages.sums.submissions = 9_999_999;
        for case in crate::load::short::case::Case::ALL {
            let sums = Sums { messages: 999_999, rp_errors: 999_999, ..Sums::default() };
            let intended = Quantiles { p50_ns: 123_456_789, ..Quantiles::default() };
            let row = ShortRow { case, sums, intended };
            match case.is_large() {
                true => summary.large_messages.rows.push(row),
                false => summary.short_messages.rows.push(row),
            }
        }
        let text = summary.table(Paint::Plain) + &summary.totals(Paint::Plain);
        assert_eq!(summary.table(Paint::Plain).lines().count(), 62);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn numbers_and_durations_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let durations = [999, 41_900, 1_100_000, 52_340_000, 301_000_000, 2_801_000_000];
        let words = ["0 us", "41 us", "1.10 ms", "52.3 ms", "301 ms", "2.80 s"];
        assert_eq!(durations.map(duration), words);
    }
}
