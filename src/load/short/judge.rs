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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::short::octets::Report;

    /// The three records of a message with which everything is right.
    struct Records {
        case: Case,
        sent: Sent,
        seen: Seen,
        told: [Told; SUBMISSIONS_MAX],
    }

    const NUMBER: usize = 3;

    impl Records {
        fn of(case: Case) -> Self {
            let right = case.right();
            let repeated = right.submissions_max > 1;
            let mut records = Self {
                case,
                sent: Sent { count: 1 + usize::from(repeated), ..Sent::default() },
                seen: Seen {
                    requests: right.transactions,
                    transactions: right.transactions,
                    times: u16::from(right.seen),
                    // Before the last report, and before the first one where that is RP-ACK.
                    at_ns: if right.error == ' ' { 50 } else { 150 },
                    ..Seen::default()
                },
                told: [Told::default(); SUBMISSIONS_MAX],
            };
            for place in 0..records.sent.count {
                let is_last = place + 1 == records.sent.count;
                let acknowledged = right.acknowledged && (is_last || right.error == ' ');
                records.say(place, acknowledged);
            }
            records
        }

        fn say(&mut self, place: usize, acknowledged: bool) {
            let right = self.case.right();
            let error = |value| (!acknowledged).then_some(value);
            let reference = plan::reference(NUMBER, place);
            let is_lost = self.case.loses_reports() && place == 0;
            self.sent.submissions[place] = Submission {
                status: Some(200),
                report: Some(Report { reference, cause: error(CAUSE), fcs: error(right.fcs) }),
                heard_ns: if place == 0 { 100 } else { 200 },
                is_lost,
                ..Submission::default()
            };
            let verdict = if acknowledged { right.verdict } else { right.error };
            let (acknowledged, is_taken) = (Some(acknowledged), !is_lost);
            let claim = Some(Claim { verdict, acknowledged, is_taken });
            self.told[place] = Told { accounts: 1, claim };
        }

        fn judge(&self) -> Verdict {
            judge((NUMBER, self.case), &self.sent, &self.seen, &self.told)
        }

        #[track_caller]
        fn expect(&self, words: &[&str]) {
            assert_eq!(self.judge().judgement.words(), words, "{:?}", self.case);
        }

        fn report(&mut self) -> &mut Report {
            self.sent.submissions[0].report.as_mut().unwrap()
        }
    }

    #[test]
    fn what_is_right_is_clean() {
        for case in Case::ALL {
            Records::of(case).expect(&[]);
            assert!(!Records::of(case).judge().is_false_ack, "{case:?}");
        }
    }

    #[test]
    fn an_ack_before_the_user_has_seen_it_is_false() {
        let mut records = Records::of(Case::Ok);
        records.seen.at_ns = 101;
        assert!(records.judge().is_false_ack);
        records.expect(&["false"]);
    }

    /// 200 of a relay proves nothing, and a session that was not needed is a second message.
    #[test]
    fn a_session_proves_what_the_user_has_and_there_is_one() {
        let mut records = Records::of(Case::RelayGap);
        records.say(0, true);
        assert!(records.judge().is_false_ack);
        let mut records = Records::of(Case::SessionLost);
        records.seen.times = 2;
        records.expect(&["duplicated"]);
        let mut records = Records::of(Case::Session);
        records.seen.transactions = 2;
        records.expect(&["duplicated"]);
        let mut records = Records::of(Case::SessionLost);
        records.seen.transactions = 1;
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::SessionTooLarge);
        (records.seen.times, records.seen.at_ns) = (1, 50);
        records.expect(&["false", "wrong"]);
    }

    #[test]
    fn each_word_of_a_report_counts() {
        let mut records = Records::of(Case::Octets);
        records.report().fcs = Some(0xFF);
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::NotFound);
        records.report().cause = Some(22);
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::Ok);
        records.report().reference += 1;
        records.expect(&["wrong"]);
    }

    #[test]
    fn the_claims_must_be_what_was_heard() {
        let mut records = Records::of(Case::Ok);
        records.told[0].claim.as_mut().unwrap().acknowledged = Some(false);
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::Ok);
        records.told[0].claim.as_mut().unwrap().is_taken = false;
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::NotFound);
        records.told[0].claim.as_mut().unwrap().verdict = 'T';
        records.expect(&["wrong"]);
    }

    #[test]
    fn the_rp_data_is_answered_200() {
        let mut records = Records::of(Case::Ok);
        records.sent.submissions[0].status = Some(202);
        records.expect(&["wrong"]);
        records.sent.submissions[0].status = None;
        records.expect(&["wrong"]);
    }

    #[test]
    fn a_503_of_our_own_means_that_nothing_is_due() {
        let mut records = Records::of(Case::Ok);
        records.sent.submissions[0] = Submission { status: Some(503), ..Submission::default() };
        records.told[0] = Told::default();
        records.seen = Seen::default();
        records.expect(&[]);
        assert!(records.judge().judgement.refused);
    }

    #[test]
    fn what_was_not_tried_again_and_what_ends_otherwise_is_wrong() {
        let mut records = Records::of(Case::Busy);
        records.seen.transactions = 1;
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::OkLate);
        records.say(1, false);
        records.expect(&["wrong"]);
        let mut records = Records::of(Case::Ok);
        records.seen.transactions = 2;
        records.expect(&["duplicated"]);
    }

    #[test]
    fn what_is_missing_is_lost_and_what_is_doubled_is_duplicated() {
        let mut records = Records::of(Case::Ok);
        records.sent.submissions[0].report = None;
        records.expect(&["lost"]);
        let mut records = Records::of(Case::Ok);
        records.told[0].accounts = 2;
        records.expect(&["duplicated"]);
        records.told[0].accounts = 0;
        records.expect(&["lost"]);
        let mut records = Records::of(Case::Ok);
        records.seen.times = 2;
        records.expect(&["duplicated"]);
    }
}
