//! The judge: three records that know nothing of each other, held against what was injected.
//!
//! What the SMS side sent and heard, what the client has, and what the tested side says that it
//! decided. Whether they agree is decided per message and by plain comparison; no record may
//! explain another one away.

use crate::load::schedule::Run;
use crate::load::sip;
use crate::load::sms::Submission;
use crate::load::truth::{Outcome, Truth};

/// What the tested side says about one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// How often it said something: more than once is a doubled verdict.
    pub accounts: u16,
    /// The first verdict.
    pub verdict: Option<char>,
    /// The final response that it says it sent, if any.
    pub report: Option<u16>,
    /// From the arrival of the message to the verdict.
    pub decided_ns: u64,
}

/// What the tested side says about all messages of a run.
#[derive(Debug)]
pub struct Ledger {
    run: Run,
    pub(super) told: Vec<Told>,
    /// Messages of the run about which something was said.
    pub settled: usize,
    /// Verdicts about something else.
    pub strays: u64,
}

impl Ledger {
    /// Nothing is said yet.
    pub fn new(run: Run) -> Self {
        let told = core::iter::repeat_n(Told::default(), run.messages).collect();
        Self { run, told, settled: 0, strays: 0 }
    }

    /// Notes a verdict about the message with this Call-ID.
    pub fn note(&mut self, call_id: &[u8], verdict: char, report: Option<u16>, decided_ns: u64) {
        let call_id = core::str::from_utf8(call_id).unwrap_or_default();
        let Some(number) = sip::number_of(&self.run, call_id) else {
            self.strays += 1;
            return;
        };
        let told = &mut self.told[number];
        told.accounts = told.accounts.saturating_add(1);
        if told.accounts == 1 {
            *told = Told { accounts: 1, verdict: Some(verdict), report, decided_ns };
            self.settled += 1;
        }
    }
}

/// What is held against one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// No verdict, or no report where one is due.
    pub lost: bool,
    /// Two verdicts, two reports, or the message twice at the client.
    pub duplicated: bool,
    /// Called delivered while the client has it not, or failed while it has.
    pub is_false: bool,
    /// Another verdict or report than the injected outcome determines.
    pub wrong: bool,
    /// Refused with 503 before it was accepted, so that nothing is due.
    pub refused: bool,
}

impl Judgement {
    /// What is held against it, in words; nothing if it is as it ought to be.
    pub fn words(self) -> Vec<&'static str> {
        let kinds = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.is_false, "false"),
            (self.wrong, "wrong"),
        ];
        kinds.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect()
    }
}

/// Judges one message by its three records.
pub fn judge(outcome: Outcome, sent: &Submission, truth: &Truth, told: &Told) -> Judgement {
    let right = outcome.right();
    // 503 is the promise that the message has gone nowhere.
    if told.accounts == 0 && sent.status == Some(503) {
        let broken = truth.requests > 0;
        return Judgement { refused: true, is_false: broken, ..Judgement::default() };
    }
    let positive = |status: u16| status < 300 && status != 202;
    let delivered = told.verdict == Some('D') || sent.status.is_some_and(positive);
    let failed = matches!(told.verdict, Some('P' | 'T')) || sent.status.is_some_and(|s| s >= 300);
    let verdict_differs = told.verdict.is_some_and(|verdict| verdict != right.verdict);
    let report_differs = sent.status.is_some() && sent.status != right.report;
    let claim_differs = told.accounts > 0 && sent.status.is_some() && told.report != sent.status;
    Judgement {
        lost: told.accounts == 0 || (right.report.is_some() && sent.status.is_none()),
        // Each transmission of a request fetches one final response at most.
        duplicated: told.accounts > 1
            || sent.differing
            || sent.finals > sent.transmissions
            || truth.transactions > 1,
        is_false: (delivered && !truth.has) || (failed && truth.has),
        wrong: verdict_differs || report_differs || claim_differs,
        refused: false,
    }
}
