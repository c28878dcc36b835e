//! The judge of short messages: what the SC sent and heard, what the user has seen, and what the
//! tested side says, held against what was injected.

use crate::load::judge::Judgement;
use crate::load::schedule::Run;
use crate::load::short::case::{CAUSE, Case, SUBMISSIONS_MAX};
use crate::load::short::plan;
use crate::load::short::sc::{Sent, Submission};
use crate::load::short::user::Seen;

/// What the tested side says about one submission.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// How often it said something: more than once is a doubled verdict.
    pub accounts: u16,
    /// What it says.
    pub claim: Option<Claim>,
}

/// What it says about one submission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The verdict.
    pub verdict: char,
    /// Whether it says that it sent RP-ACK, else RP-ERROR; `None` if it sent nothing.
    pub acknowledged: Option<bool>,
    /// Whether it says that the report was taken.
    pub is_taken: bool,
}

/// What the tested side says about all submissions of a run.
#[derive(Debug)]
pub struct Ledger {
    run: Run,
    pub(super) told: Vec<[Told; SUBMISSIONS_MAX]>,
    /// Submissions of the run about which something was said.
    pub settled: usize,
    /// Verdicts about something else.
    pub strays: u64,
}

impl Ledger {
    /// Nothing is said yet.
    pub fn new(run: Run) -> Self {
        let told = core::iter::repeat_n([Told::default(); SUBMISSIONS_MAX], run.messages).collect();
        Self { run, told, settled: 0, strays: 0 }
    }

    /// Notes what is said about the submission with this Call-ID.
    pub fn note(&mut self, call_id: &[u8], claim: Claim) {
        let call_id = core::str::from_utf8(call_id).unwrap_or_default();
        let place = plan::of_call_id(&self.run, call_id);
        let told = place.and_then(|(number, at)| self.told.get_mut(number)?.get_mut(at));
        let Some(told) = told else {
            self.strays += 1;
            return;
        };
        told.accounts = told.accounts.saturating_add(1);
        if told.accounts == 1 {
            told.claim = Some(claim);
            self.settled += 1;
        }
    }
}

/// What is held against one message, and which of the sums it belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// As for every message.
    pub judgement: Judgement,
    /// An RP-ACK although the user had not seen it.
    pub is_false_ack: bool,
    /// No report about a submission, or no verdict.
    pub lost_reports: u64,
}

/// Judges one message by its three records.
pub fn judge(
    (number, case): (usize, Case),
    sent: &Sent,
    seen: &Seen,
    told: &[Told; SUBMISSIONS_MAX],
) -> Verdict {
    let right = case.right();
    let mut verdict = Verdict::default();
    let judgement = &mut verdict.judgement;
    for (submission, told) in sent.submissions().iter().zip(told) {
        if is_refused(submission, told) {
            judgement.refused = true;
            continue;
        }
        let missing = u64::from(submission.report.is_none()) + u64::from(told.accounts == 0);
        verdict.lost_reports += missing;
        judgement.duplicated |= told.accounts > 1 || submission.differing;
        judgement.wrong |= submission.status != Some(200);
        verdict.is_false_ack |= case != Case::TypeZero && is_acknowledged_unseen(submission, seen);
        judgement.is_false |= told.claim.is_some_and(|claim| is_false(claim, submission, seen));
        judgement.wrong |= told.claim.is_some_and(|claim| is_wrong(case, claim, submission));
    }
    for (index, submission) in sent.submissions().iter().enumerate() {
        // RP-MR is the SC's own, and each report repeats that of its submission.
        let reference = plan::reference(number, index);
        let differs = submission.report.is_some_and(|report| report.reference != reference);
        judgement.wrong |= differs;
    }
    judgement.lost = verdict.lost_reports > 0;
    judgement.is_false |= verdict.is_false_ack;
    judgement.duplicated |= seen.times > 1 || seen.transactions > right.transactions;
    judgement.wrong |= seen.is_damaged || seen.is_crowded;
    if !judgement.refused && !judgement.lost {
        let last = sent.submissions().last().and_then(|submission| submission.report);
        judgement.wrong |= last.is_some_and(|last| last.cause.is_none() != right.acknowledged)
            || seen.transactions < right.transactions
            || (seen.times > 0) != right.seen;
    }
    verdict
}

/// 503 is the promise that the message has gone nowhere, and nothing is due.
fn is_refused(submission: &Submission, told: &Told) -> bool {
    submission.status == Some(503) && submission.report.is_none() && told.accounts == 0
}

fn is_acknowledged_unseen(submission: &Submission, seen: &Seen) -> bool {
    let acknowledged = submission.report.is_some_and(|report| report.cause.is_none());
    acknowledged && (seen.times == 0 || seen.at_ns > submission.heard_ns)
}

/// Called delivered while the user had not seen it, or failed while the user had.
fn is_false(claim: Claim, submission: &Submission, seen: &Seen) -> bool {
    let was_seen = seen.times > 0 && seen.at_ns <= submission.heard_ns;
    match claim.verdict {
        'D' => !was_seen && submission.report.is_some(),
        'P' | 'T' => was_seen,
        _ => false,
    }
}

fn is_wrong(case: Case, claim: Claim, submission: &Submission) -> bool {
    let right = case.right();
    let Some(report) = submission.report else { return false };
    let acknowledged = report.cause.is_none();
    let verdict = if acknowledged { right.verdict } else { right.error };
    let illegal = !acknowledged && (report.cause != Some(CAUSE) || report.fcs != Some(right.fcs));
    claim.verdict != verdict
        || claim.acknowledged != Some(acknowledged)
        || claim.is_taken == submission.is_lost
        || illegal
}
