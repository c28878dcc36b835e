//! What a run comes to: the sums of all judgements, and a row for each injected outcome.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use crate::load::judge::{Judgement, Ledger, judge};
use crate::load::schedule::{LATE_NS, Run};
use crate::load::short::summary::ShortSummary;
use crate::load::sip;
use crate::load::sms::Submission;
use crate::load::trunk::TrunkSummary;
use crate::load::truth::{Outcome, Truth};
use crate::metrics::{Counter, Total};

/// How many faulty messages are named.
pub(super) const FAULTS_NAMED_MAX: usize = 10;

/// The longest latency that is told from a longer one.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Latencies of some messages in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99 of 100 were not longer.
    pub p99_ns: u64,
    /// 999 of 1000 were not longer.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Quantiles {
    pub(super) fn of(values: impl Iterator<Item = u64>) -> Self {
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LATENCY_MAX_NS, 3) else {
            unreachable!("an hour with three significant digits can be held")
        };
        for value in values {
            histogram.saturating_record(value);
        }
        Self {
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        }
    }
}

/// One line of the table: all messages with the same injected outcome.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was injected.
    #[serde(serialize_with = "as_label")]
    pub outcome: Outcome,
    /// How many messages.
    pub messages: u64,
    /// How many of each verdict; `-` is none.
    pub verdicts: BTreeMap<char, u64>,
    /// How many of each report; `none` is silence, `refused` a message that was not accepted.
    pub reports: BTreeMap<String, u64>,
    /// From the intended send to the report.
    pub intended: Quantiles,
    /// From the actual send to the report.
    pub actual: Quantiles,
    /// From the arrival to the verdict, as the tested side says.
    pub decided: Quantiles,
    /// How many were lost, duplicated, false or wrong.
    pub faulty: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn as_label<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.label())
}

/// What a run comes to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Messages submitted.
    pub messages: u64,
    /// Messages with a verdict; of short messages, submissions.
    pub verdicts: u64,
    /// Messages with a report at the SMS side; of short messages, submissions.
    pub reports: u64,
    /// Messages about which nothing may be said, and nothing was.
    pub silent: u64,
    /// Messages refused with 503 before they were accepted.
    pub refused: u64,
    /// Messages without a verdict, or without a report that is due.
    pub lost: u64,
    /// Messages with two verdicts or reports, or twice at the client.
    pub duplicated: u64,
    /// Messages called delivered that were not, or failed that were delivered.
    #[serde(rename = "false")]
    pub is_false: u64,
    /// Messages with another verdict or report than their outcome determines.
    pub wrong: u64,
    /// Responses that contradicted a verdict, which stood.
    pub contradicted: u64,
    /// Allocations of the tested side's worker after its start.
    pub allocations: u64,
    /// Datagrams that the kernel dropped before the tested side.
    pub kernel_drops: u64,
    /// Messages that left more than a millisecond after they were due.
    pub late_sends: u64,
    /// From the intended to the actual send.
    pub pacing: Quantiles,
    /// Requests that the SMS side sent again.
    pub requests_repeated: u64,
    /// Reports that came again for them.
    pub reports_repeated: u64,
    /// Of these, reports with the same status in other octets.
    pub reports_reworded: u64,
    /// Datagrams and verdicts that belong to no message of the run.
    pub strays: u64,
    /// The table.
    pub rows: Vec<Row>,
    /// The short messages, which the sums above contain.
    pub short_messages: ShortSummary,
    /// Those of them that went in sessions over MSRP.
    pub large_messages: ShortSummary,
    /// The messages over connections, which the sums above contain.
    pub trunk: TrunkSummary,
    /// The first faulty messages, in words.
    pub faults: Vec<String>,
    /// Everything that the tested side counted.
    pub counters: BTreeMap<&'static str, u64>,
}

/// All records of one run.
#[derive(Debug)]
pub struct Records<'a> {
    /// Which run.
    pub run: Run,
    /// The SMS side's.
    pub submissions: &'a [Submission],
    /// The IM side's.
    pub truths: &'a [Truth],
    /// The tested side's.
    pub ledger: &'a Ledger,
    /// The tested side's counters.
    pub counters: &'a Total,
    /// Datagrams that the actors could not make sense of.
    pub strays: u64,
}

impl Records<'_> {
    /// Judges all messages that left.
    pub fn sum_up(&self) -> Summary {
        let counted = Counter::ALL.into_iter().map(|c| (c.name(), self.counters.read(c)));
        let mut summary = Summary {
            counters: counted.filter(|(_, count)| *count > 0).collect(),
            contradicted: self.counters.read(Counter::Contradictions),
            allocations: self.counters.read(Counter::Allocations),
            kernel_drops: self.counters.read(Counter::KernelDrops),
            strays: self.strays + self.ledger.strays,
            pacing: Quantiles::of(self.submissions.iter().map(|sent| sent.sent_ns - sent.due_ns)),
            ..Summary::default()
        };
        let mut faulty = BTreeMap::new();
        for number in 0..self.submissions.len() {
            if self.count(number, &mut summary) {
                *faulty.entry(self.run.outcome(number) as usize).or_insert(0) += 1;
            }
        }
        for outcome in Outcome::ALL {
            let faulty = faulty.get(&(outcome as usize)).copied().unwrap_or(0);
            summary.rows.extend(self.row(outcome, faulty));
        }
        summary
    }

    /// Adds one message to the sums and says whether it is faulty.
    fn count(&self, number: usize, summary: &mut Summary) -> bool {
        let (sent, told) = (&self.submissions[number], &self.ledger.told[number]);
        let outcome = self.run.outcome(number);
        let judgement = judge(outcome, sent, &self.truths[number], told);
        let silent = outcome.right().report.is_none() && sent.status.is_none();
        summary.messages += 1;
        summary.verdicts += u64::from(told.accounts > 0);
        summary.refused += u64::from(judgement.refused);
        summary.reports += u64::from(sent.status.is_some() && !judgement.refused);
        summary.silent += u64::from(silent && told.accounts > 0);
        summary.lost += u64::from(judgement.lost);
        summary.duplicated += u64::from(judgement.duplicated);
        summary.is_false += u64::from(judgement.is_false);
        summary.wrong += u64::from(judgement.wrong);
        summary.late_sends += u64::from(sent.sent_ns - sent.due_ns > LATE_NS);
        summary.requests_repeated += u64::from(sent.transmissions.saturating_sub(1));
        summary.reports_repeated += u64::from(sent.finals.saturating_sub(1));
        summary.reports_reworded += u64::from(sent.reworded);
        let words = self.fault(number, judgement);
        let faulty = words.is_some();
        if summary.faults.len() < FAULTS_NAMED_MAX {
            summary.faults.extend(words);
        }
        faulty
    }

    fn fault(&self, number: usize, judgement: Judgement) -> Option<String> {
        let kinds = judgement.words();
        if kinds.is_empty() {
            return None;
        }
        let (sent, truth, told) =
            (&self.submissions[number], &self.truths[number], &self.ledger.told[number]);
        Some(format!(
            "{}: {} ({}): verdicts {} ({}), reports {} ({}) for {} requests; \
             the client has it{}, from {} requests in {} transactions",
            kinds.join(" and "),
            sip::call_id(&self.run, number),
            self.run.outcome(number).label(),
            told.accounts,
            told.verdict.unwrap_or('-'),
            sent.finals,
            report_name(sent.status),
            sent.transmissions,
            if truth.has { "" } else { " not" },
            truth.requests,
            truth.transactions,
        ))
    }

    fn is_refused(&self, number: usize) -> bool {
        let outcome = self.run.outcome(number);
        let (sent, truth) = (&self.submissions[number], &self.truths[number]);
        judge(outcome, sent, truth, &self.ledger.told[number]).refused
    }

    fn row(&self, outcome: Outcome, faulty: u64) -> Option<Row> {
        let numbers: Vec<usize> =
            (0..self.submissions.len()).filter(|n| self.run.outcome(*n) == outcome).collect();
        if numbers.is_empty() {
            return None;
        }
        let mut verdicts = BTreeMap::new();
        let mut reports = BTreeMap::new();
        for number in &numbers {
            let verdict = self.ledger.told[*number].verdict.unwrap_or('-');
            *verdicts.entry(verdict).or_insert(0) += 1;
            let status = self.submissions[*number].status;
            let name = if self.is_refused(*number) { REFUSED.into() } else { report_name(status) };
            *reports.entry(name).or_insert(0) += 1;
        }
        let reported = |number: &&usize| {
            self.submissions[**number].status.is_some() && !self.is_refused(**number)
        };
        let answered = || numbers.iter().filter(reported).map(|number| &self.submissions[*number]);
        let told = numbers.iter().map(|number| &self.ledger.told[*number]);
        Some(Row {
            outcome,
            messages: u64::try_from(numbers.len()).unwrap_or(u64::MAX),
            verdicts,
            reports,
            intended: Quantiles::of(answered().map(|s| s.answered_ns.saturating_sub(s.due_ns))),
            actual: Quantiles::of(answered().map(|s| s.answered_ns.saturating_sub(s.sent_ns))),
            decided: Quantiles::of(told.filter(|t| t.accounts > 0).map(|told| told.decided_ns)),
            faulty,
        })
    }
}

/// What stands for the report of a message that was refused.
const REFUSED: &str = "refused";

fn report_name(status: Option<u16>) -> String {
    status.map_or_else(|| String::from("none"), |status| status.to_string())
}

impl Summary {
    /// Whether there were messages, and none was lost, duplicated, false or wrong.
    pub const fn is_clean(&self) -> bool {
        let lost = self.lost > 0 || self.duplicated > 0;
        let untrue = self.is_false > 0 || self.wrong > 0;
        self.messages > 0 && !lost && !untrue
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::judge::Told;
    use crate::load::schedule::Timers;
    use crate::metrics::Tally;
    use std::sync::Arc;

    const RUN: Run =
        Run { id: 5, seed: 1, rate_mhz: 1_000_000, messages: 20, timers: Timers::SHORT };

    /// The records of a run in which everything is right.
    pub(crate) struct Case {
        submissions: Vec<Submission>,
        truths: Vec<Truth>,
        ledger: Ledger,
    }

    impl Case {
        pub(crate) fn new() -> Self {
            let mut case =
                Self { submissions: Vec::new(), truths: Vec::new(), ledger: Ledger::new(RUN) };
            for number in 0..RUN.messages {
                let outcome = RUN.outcome(number);
                let right = outcome.right();
                let due_ns = RUN.due_ns(number);
                case.submissions.push(Submission {
                    due_ns,
                    sent_ns: due_ns + 60_000,
                    transmissions: 1,
                    finals: u16::from(right.report.is_some()),
                    status: right.report,
                    answered_ns: due_ns + 100_000,
                    differing: false,
                    reworded: 0,
                });
                case.truths.push(Truth {
                    requests: 1,
                    transactions: 1,
                    has: outcome.client_has_it(),
                    ..Truth::default()
                });
                case.tell(number, right.verdict, right.report);
            }
            case
        }

        fn tell(&mut self, number: usize, verdict: char, report: Option<u16>) {
            let call_id = sip::call_id(&RUN, number);
            self.ledger.note(call_id.as_bytes(), verdict, report, 90_000);
        }

        pub(crate) fn retell(&mut self, outcome: Outcome, verdict: char) {
            self.ledger.told[outcome as usize].verdict = Some(verdict);
        }

        fn sent(&mut self, outcome: Outcome) -> &mut Submission {
            &mut self.submissions[outcome as usize]
        }

        pub(crate) fn sum_up(&self) -> Summary {
            let tally = Arc::new(Tally::new(0));
            tally.counters.add_many(Counter::Contradictions, 3);
            let counters = Total::of([tally]);
            Records {
                run: RUN,
                submissions: &self.submissions,
                truths: &self.truths,
                ledger: &self.ledger,
                counters: &counters,
                strays: 0,
            }
            .sum_up()
        }

        /// Lost, duplicated, false, wrong.
        #[track_caller]
        fn expect(&self, sums: [u64; 4]) {
            let summary = self.sum_up();
            let counted = [summary.lost, summary.duplicated, summary.is_false, summary.wrong];
            assert_eq!(counted, sums, "{:?}", summary.faults);
            assert_eq!(summary.is_clean(), sums == [0; 4]);
            assert_eq!(summary.faults.is_empty(), sums == [0; 4]);
        }
    }

    #[test]
    fn what_is_right_is_clean() {
        let case = Case::new();
        case.expect([0; 4]);
        let summary = case.sum_up();
        assert_eq!((summary.messages, summary.verdicts), (20, 20));
        assert_eq!((summary.reports, summary.silent), (15, 5));
        assert_eq!(summary.rows.len(), Outcome::ALL.len());
        assert_eq!(summary.contradicted, 3);
        assert_eq!(summary.counters, BTreeMap::from([("contradictions", 3)]));
    }

    #[test]
    fn a_message_without_a_verdict_is_lost() {
        let mut case = Case::new();
        case.ledger.told[Outcome::OkTooLate as usize] = Told::default();
        case.expect([1, 0, 0, 0]);
        assert_eq!(case.sum_up().verdicts, 19);
    }

    #[test]
    fn a_report_that_is_due_and_does_not_come_is_lost() {
        let mut case = Case::new();
        case.sent(Outcome::Busy).status = None;
        case.sent(Outcome::Busy).finals = 0;
        case.expect([1, 0, 0, 0]);
    }

    #[test]
    fn a_second_verdict_is_a_duplicate() {
        let mut case = Case::new();
        case.tell(Outcome::Ok as usize, 'D', Some(200));
        case.expect([0, 1, 0, 0]);
    }

    #[test]
    fn a_second_report_is_a_duplicate_unless_it_was_asked_for() {
        let mut case = Case::new();
        case.sent(Outcome::OkTwice).finals = 2;
        case.expect([0, 1, 0, 0]);
        case.sent(Outcome::OkTwice).transmissions = 2;
        case.expect([0; 4]);
        case.sent(Outcome::OkTwice).reworded = 1;
        case.expect([0; 4]);
        let summary = case.sum_up();
        assert_eq!((summary.reports_repeated, summary.reports_reworded), (1, 1));
        case.sent(Outcome::OkTwice).differing = true;
        case.expect([0, 1, 0, 0]);
    }

    #[test]
    fn a_message_that_reached_the_client_twice_is_a_duplicate() {
        let mut case = Case::new();
        case.truths[Outcome::Ok as usize].transactions = 2;
        case.expect([0, 1, 0, 0]);
    }

    #[test]
    fn delivered_although_the_client_has_it_not_is_false() {
        let mut case = Case::new();
        case.retell(Outcome::Accepted, 'D');
        case.expect([0, 0, 1, 1]);

        let mut case = Case::new();
        case.truths[Outcome::Ok as usize].has = false;
        case.expect([0, 0, 1, 0]);

        let mut case = Case::new();
        case.sent(Outcome::SilentHasNot).status = Some(200);
        case.sent(Outcome::SilentHasNot).finals = 1;
        case.expect([0, 0, 1, 1]);
    }

    #[test]
    fn a_failure_although_the_client_has_it_is_false() {
        let mut case = Case::new();
        case.retell(Outcome::OkThenBusy, 'T');
        case.expect([0, 0, 1, 1]);

        let mut case = Case::new();
        case.sent(Outcome::SilentHas).status = Some(408);
        case.sent(Outcome::SilentHas).finals = 1;
        case.expect([0, 0, 1, 1]);
    }

    #[test]
    fn another_verdict_or_report_than_the_outcome_determines_is_wrong() {
        let mut case = Case::new();
        case.retell(Outcome::Busy, 'P');
        case.expect([0, 0, 0, 1]);

        let mut case = Case::new();
        case.sent(Outcome::Overloaded).status = Some(503);
        case.expect([0, 0, 0, 1]);

        let mut case = Case::new();
        case.ledger.told[Outcome::Ok as usize].report = None;
        case.expect([0, 0, 0, 1]);
    }

    #[test]
    fn a_503_of_our_own_means_not_accepted_and_must_be_true() {
        let mut case = Case::new();
        let number = Outcome::Ok as usize;
        case.ledger.told[number] = Told::default();
        case.submissions[number].status = Some(503);
        case.truths[number] = Truth::default();
        case.expect([0; 4]);
        case.submissions[number].answered_ns += 1_000_000_000;
        let summary = case.sum_up();
        assert_eq!((summary.refused, summary.reports), (1, 14));
        assert_eq!(summary.rows[number].reports.get("refused"), Some(&1));
        assert_eq!(summary.rows[number].intended.count, 0);
        case.truths[number].requests = 1;
        case.expect([0, 0, 1, 0]);
    }

    #[test]
    fn nothing_at_all_is_not_a_success() {
        let mut case = Case::new();
        case.submissions.clear();
        assert!(!case.sum_up().is_clean());
    }

    #[test]
    fn verdicts_about_something_else_are_strays() {
        let mut case = Case::new();
        case.ledger.note(b"somebody@else", 'D', None, 0);
        case.expect([0; 4]);
        assert_eq!(case.sum_up().strays, 1);
    }
}
