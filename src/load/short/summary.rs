//! What the short messages of a run come to: the sums of all judgements, and a row for each case. Those that went
//! in sessions have rows and sums of their own, which the sums of all contain.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use serde::{Serialize, Serializer};

use crate::load::schedule::{LATE_NS, Run};
use crate::load::short::case::Case;
use crate::load::short::judge::{Ledger, Verdict, judge};
use crate::load::short::plan;
use crate::load::short::sc::Sent;
use crate::load::short::user::Seen;
use crate::load::summary::{FAULTS_NAMED_MAX, Quantiles, Summary};

/// One line of the table: all short messages with the same injected case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was injected.
    #[serde(serialize_with = "as_label")]
    pub case: Case,
    /// How much of it.
    #[serde(flatten)]
    pub sums: Sums,
    /// From the intended first submission to its report.
    pub intended: Quantiles,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn as_label<S: Serializer>(case: &Case, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(case.label())
}

/// What was submitted, said and seen.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sums {
    /// Short messages.
    pub messages: u64,
    /// How often they were submitted, repetitions included.
    pub submissions: u64,
    /// Submissions with a verdict.
    pub verdicts: u64,
    /// Submissions that were answered RP-ACK.
    pub rp_acks: u64,
    /// Submissions that were answered RP-ERROR.
    pub rp_errors: u64,
    /// Repetitions that reached nobody on the IM side.
    pub absorbed: u64,
    /// INVITEs for sessions in which they were to be sent.
    pub sessions: u64,
    /// Messages that a user saw.
    pub seen: u64,
    /// Messages that a user saw more than once.
    pub seen_twice: u64,
    /// Second attempts at what nobody could prove, which the user agent knew by their Call-ID.
    pub recognised: u64,
    /// RP-ACKs for what no user had seen.
    pub false_rp_acks: u64,
    /// Submissions without a report, or without a verdict.
    pub lost_reports: u64,
    /// Messages that were lost, duplicated, false or wrong.
    pub faulty: u64,
}

impl Sums {
    fn add(&mut self, case: Case, sent: &Sent, seen: &Seen, verdicts: u64, judged: &Verdict) {
        let submissions = u64::try_from(sent.count).unwrap_or(u64::MAX);
        let reports = || sent.submissions().iter().filter_map(|one| one.report);
        let acks = reports().filter(|report| report.cause.is_none()).count();
        let acks = u64::try_from(acks).unwrap_or(u64::MAX);
        let reports = u64::try_from(reports().count()).unwrap_or(u64::MAX);
        self.messages += 1;
        self.submissions += submissions;
        self.verdicts += verdicts;
        self.rp_acks += acks;
        self.rp_errors += reports - acks;
        self.absorbed += submissions.saturating_sub(u64::from(seen.transactions.max(1)));
        self.sessions += if case.is_large() { u64::from(seen.transactions) } else { 0 };
        self.seen += u64::from(seen.times > 0);
        self.seen_twice += u64::from(seen.times > 1);
        self.recognised += u64::from(seen.recognised);
        self.false_rp_acks += u64::from(judged.is_false_ack);
        self.lost_reports += judged.lost_reports;
        self.faulty += u64::from(is_faulty(judged));
    }
}

const fn is_faulty(judged: &Verdict) -> bool {
    let judgement = judged.judgement;
    judgement.lost || judgement.duplicated || judgement.is_false || judgement.wrong
}

/// What all short messages of a run come to, or those of them that went in sessions.
#[derive(Debug, Default, Serialize)]
pub struct ShortSummary {
    /// All of them.
    #[serde(flatten)]
    pub sums: Sums,
    /// The table.
    pub rows: Vec<Row>,
}

/// All records of the short messages of one run.
#[derive(Debug)]
pub struct ShortRecords<'a> {
    /// Which run.
    pub run: Run,
    /// The SC's.
    pub sent: &'a [Sent],
    /// The users'.
    pub seen: &'a [Seen],
    /// The tested side's.
    pub ledger: &'a Ledger,
}

impl ShortRecords<'_> {
    /// Judges all messages that left, and adds them to what the others have come to.
    pub fn add_to(&self, summary: &mut Summary) {
        let mut rows: Vec<(Sums, Vec<u64>)> = Case::ALL.map(|_| Default::default()).into();
        for number in 0..self.run.messages {
            let sent = &self.sent[number];
            let Some(first) = sent.submissions().first() else { continue };
            let case = plan::case(&self.run, number);
            let (seen, told) = (&self.seen[number], &self.ledger.told[number]);
            let judged = judge((number, case), sent, seen, told);
            let verdicts = told.iter().filter(|told| told.accounts > 0).count();
            let verdicts = u64::try_from(verdicts).unwrap_or(u64::MAX);
            let (sums, latencies) = &mut rows[case as usize];
            let large = case.is_large().then_some(&mut summary.large_messages.sums);
            for sums in [sums, &mut summary.short_messages.sums].into_iter().chain(large) {
                sums.add(case, sent, seen, verdicts, &judged);
            }
            if first.report.is_some() {
                latencies.push(first.heard_ns.saturating_sub(sent.due_ns));
            }
            let judgement = judged.judgement;
            summary.refused += u64::from(judgement.refused);
            summary.lost += u64::from(judgement.lost);
            summary.duplicated += u64::from(judgement.duplicated);
            summary.is_false += u64::from(judgement.is_false);
            summary.wrong += u64::from(judgement.wrong);
            summary.late_sends += u64::from(first.sent_ns - sent.due_ns > LATE_NS);
            if is_faulty(&judged) && summary.faults.len() < FAULTS_NAMED_MAX {
                summary.faults.push(self.fault(number, &judged));
            }
        }
        let rows = Case::ALL.into_iter().zip(rows).filter(|(_, (sums, _))| sums.messages > 0);
        for (case, (sums, latencies)) in rows {
            let row = Row { case, sums, intended: Quantiles::of(latencies.into_iter()) };
            match case.is_large() {
                true => summary.large_messages.rows.push(row),
                false => summary.short_messages.rows.push(row),
            }
        }
        let sums = summary.short_messages.sums;
        summary.messages += sums.messages;
        summary.verdicts += sums.verdicts;
        summary.reports += sums.rp_acks + sums.rp_errors;
        summary.strays += self.ledger.strays;
    }

    fn fault(&self, number: usize, judged: &Verdict) -> String {
        let kinds = judged.judgement.words().join(" and ");
        let (sent, seen) = (&self.sent[number], &self.seen[number]);
        let mut text = format!(
            "{kinds}: {} ({}):",
            plan::call_id(&self.run, number, 0),
            plan::case(&self.run, number).label()
        );
        for (one, told) in sent.submissions().iter().zip(&self.ledger.told[number]) {
            let status = one.status.map_or_else(|| String::from("-"), |status| status.to_string());
            let report = match one.report.map(|report| (report.cause, report.fcs)) {
                None => String::from("no report"),
                Some((Some(cause), fcs)) => format!("RP-ERROR {cause} {:#04x}", fcs.unwrap_or(0)),
                Some((None, _)) => String::from("RP-ACK"),
            };
            let verdict = told.claim.map_or('-', |claim| claim.verdict);
            text.push_str(&format!(" {status}, {report}, verdict {verdict};"));
        }
        let Seen { times, recognised, transactions, requests, .. } = *seen;
        text.push_str(&format!(
            " seen {times} times, recognised {recognised}, from {requests} requests in \
             {transactions} transactions"
        ));
        text
    }
}
