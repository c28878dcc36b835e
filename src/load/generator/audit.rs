//! What the sender was told, laid beside what the answering end really did, message by message.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use serde::Serialize;

use crate::load::generator::mix::Answer;
use crate::load::generator::plan::{Plan, Profile};
use crate::load::generator::record::{Flags, Report, Seen, SeenFlags, Sent};

/// How many faulty messages are named.
const FAULTS_NAMED_MAX: usize = 10;

/// What is wrong with one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// It reached nobody, and nobody said so.
    pub lost: bool,
    /// It was answered, and its sender was told nothing.
    pub answer_lost: bool,
    /// It was delivered in two transactions, or two transactions brought its report.
    pub duplicated: bool,
    /// Its sender was told that it is delivered, which nobody at the answering end has said.
    pub is_false: bool,
    /// Its sender was told something else than what the answering end said.
    pub wrong: bool,
    /// Its sender was told two things.
    pub contradicted: bool,
    /// A session brought its recipient other octets than were sent.
    pub damaged: bool,
}

impl Judgement {
    /// Whether anything is.
    pub fn is_faulty(self) -> bool {
        self != Self::default()
    }
}

/// What the sender was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// It is delivered.
    Delivered(u16),
    /// It is not.
    Failed(u16),
    /// Nothing.
    Nothing,
}

/// What the sender of a message was told: of a short message by its report, and by a final response
/// that refuses it.
pub const fn said(profile: Profile, sent: &Sent) -> Said {
    match (profile, sent.report, sent.status) {
        (Profile::Sms, Report::Ack, _) => Said::Delivered(200),
        (Profile::Sms, Report::Error(cause), _) => Said::Failed(cause as u16),
        (Profile::Sms, Report::None, 200..=299) | (_, _, 0) => Said::Nothing,
        (Profile::Pager, _, status @ 200..=299) => Said::Delivered(status),
        (_, _, status) => Said::Failed(status),
    }
}

/// Judges one message that left.
pub fn judge(profile: Profile, sent: &Sent, seen: &Seen) -> Judgement {
    let really = match seen.status {
        0 => Answer::Silence,
        status => Answer::Status(status),
    };
    let delivered = really.is_success();
    let mut judgement = Judgement {
        duplicated: (delivered && seen.transactions > 1) || sent.reports > 1,
        contradicted: sent.flags.has(Flags::DIFFERING),
        damaged: seen.flags.has(SeenFlags::DAMAGED),
        ..Judgement::default()
    };
    match said(profile, sent) {
        Said::Delivered(_) if !delivered => judgement.is_false = true,
        Said::Delivered(status) => judgement.wrong = differs(profile, status, seen.status),
        // It was delivered, and its sender believes otherwise.
        Said::Failed(_) if delivered => judgement.wrong = true,
        // Whoever got nothing, or said nothing, cannot contradict the tested system's own word.
        Said::Failed(_) if seen.status == 0 => {}
        Said::Failed(status) => judgement.wrong = differs(profile, status, seen.status),
        Said::Nothing if seen.transactions == 0 => judgement.lost = true,
        Said::Nothing => judgement.answer_lost = seen.status != 0,
    }
    judgement
}

/// Whether another status was told than was given. A short message is told success or failure only,
/// and a proxy makes 500 of 503 (RFC 3261 section 16.7 step 6).
const fn differs(profile: Profile, told: u16, given: u16) -> bool {
    match profile {
        Profile::Sms => false,
        Profile::Pager => told != given && !(told == 500 && given == 503),
    }
}

/// The sums of all judgements.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Audit {
    /// Messages that were judged: all that left and are over.
    pub judged: u64,
    /// Messages that reached nobody, or whose answer did not, and nobody said so.
    pub lost: u64,
    /// Of these, messages that did not reach the answering end.
    pub lost_requests: u64,
    /// Messages delivered or reported in two transactions.
    pub duplicated: u64,
    /// Messages called delivered that nobody has.
    #[serde(rename = "false")]
    pub is_false: u64,
    /// Messages told otherwise than they were answered.
    pub wrong: u64,
    /// Messages about which two things were told.
    pub contradicted: u64,
    /// Messages of which other octets came out of a session than were sent.
    pub damaged: u64,
    /// Messages that the tested system refused on its own, which is no fault.
    pub refused: u64,
    /// The first faulty messages, in words.
    pub faults: Vec<String>,
}

impl Audit {
    /// Judges all messages that left and are over.
    pub fn of(plan: &Plan, sent: &[Sent], seen: &[Seen]) -> Self {
        let mut audit = Self::default();
        for (number, (sent, seen)) in sent.iter().zip(seen).enumerate() {
            if sent.flags.has(Flags::RESOLVED) {
                audit.add(plan, number, sent, seen);
            }
        }
        audit
    }

    fn add(&mut self, plan: &Plan, number: usize, sent: &Sent, seen: &Seen) {
        let judgement = judge(plan.profile, sent, seen);
        self.judged += 1;
        self.lost += u64::from(judgement.lost || judgement.answer_lost);
        self.lost_requests += u64::from(judgement.lost);
        self.duplicated += u64::from(judgement.duplicated);
        self.is_false += u64::from(judgement.is_false);
        self.wrong += u64::from(judgement.wrong);
        self.contradicted += u64::from(judgement.contradicted);
        self.damaged += u64::from(judgement.damaged);
        let failed = matches!(said(plan.profile, sent), Said::Failed(_));
        self.refused += u64::from(failed && seen.transactions == 0);
        if judgement.is_faulty() && self.faults.len() < FAULTS_NAMED_MAX {
            self.faults.push(words(plan, number, judgement, (sent, seen)));
        }
    }

    /// Whether there is any fault.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.is_false == 0
            && self.wrong == 0
            && self.contradicted == 0
            && self.damaged == 0
    }
}

fn words(plan: &Plan, number: usize, judgement: Judgement, (sent, seen): (&Sent, &Seen)) -> String {
    let faults = [
        (judgement.lost, "lost"),
        (judgement.answer_lost, "its answer lost"),
        (judgement.duplicated, "duplicated"),
        (judgement.is_false, "false"),
        (judgement.wrong, "wrong"),
        (judgement.contradicted, "contradicted"),
        (judgement.damaged, "damaged"),
    ];
    let faults: Vec<&str> = faults.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    let told = match said(plan.profile, sent) {
        Said::Nothing => String::from("nothing"),
        _ if sent.report == Report::Ack => String::from("RP-ACK"),
        Said::Failed(cause) if sent.report != Report::None => format!("RP-ERROR {cause}"),
        Said::Delivered(status) | Said::Failed(status) => status.to_string(),
    };
    let really = match (seen.transactions, seen.status) {
        (0, _) => String::from("never saw it"),
        (_, 0) if seen.flags.has(SeenFlags::DAMAGED) => String::from("has other octets"),
        (_, 0) => String::from("was silent"),
        (transactions, status) => format!("said {status} in {transactions} transactions"),
    };
    format!(
        "message {number} ({}-{number:08x}): {}; the sender was told {told}, the answering end {really}",
        plan.run,
        faults.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Judgement = Judgement {
        lost: false,
        answer_lost: false,
        duplicated: false,
        is_false: false,
        wrong: false,
        contradicted: false,
        damaged: false,
    };

    fn sent(status: u16) -> Sent {
        Sent { at_ns: 1, status, ..Sent::default() }
    }

    fn seen(status: u16, transactions: u8) -> Seen {
        Seen { mark: 1, status, transactions, ..Seen::default() }
    }

    fn pager(told: u16, status: u16, transactions: u8) -> Judgement {
        judge(Profile::Pager, &sent(told), &seen(status, transactions))
    }

    #[test]
    fn what_both_ends_agree_on_is_fine() {
        for (told, status, transactions) in
            [(200, 200, 1), (480, 480, 1), (480, 480, 3), (500, 503, 1), (0, 0, 1), (408, 0, 1)]
        {
            assert_eq!(pager(told, status, transactions), FINE, "{told} {status}");
        }
        // The tested system refuses what it has not passed on.
        assert_eq!(pager(503, 0, 0), FINE);
    }

    #[test]
    fn each_fault_has_its_name() {
        assert_eq!(pager(0, 0, 0), Judgement { lost: true, ..FINE });
        assert_eq!(pager(0, 200, 1), Judgement { answer_lost: true, ..FINE });
        assert_eq!(pager(200, 200, 2), Judgement { duplicated: true, ..FINE });
        assert_eq!(pager(200, 0, 0), Judgement { is_false: true, ..FINE });
        assert_eq!(pager(200, 0, 1), Judgement { is_false: true, ..FINE });
        assert_eq!(pager(200, 480, 1), Judgement { is_false: true, ..FINE });
        assert_eq!(pager(408, 200, 1), Judgement { wrong: true, ..FINE });
        assert_eq!(pager(486, 480, 1), Judgement { wrong: true, ..FINE });
        assert_eq!(pager(202, 200, 1), Judgement { wrong: true, ..FINE });
        let mut other = seen(200, 1);
        other.flags.set(SeenFlags::DAMAGED);
        let judgement = judge(Profile::Pager, &sent(200), &other);
        assert_eq!(judgement, Judgement { damaged: true, ..FINE });
        let mut twice = sent(200);
        twice.flags.set(Flags::DIFFERING);
        let judgement = judge(Profile::Pager, &twice, &seen(200, 1));
        assert_eq!(judgement, Judgement { contradicted: true, ..FINE });
    }

    #[test]
    fn a_short_message_is_judged_by_its_report() {
        let sms = |status, report, seen: Seen| {
            let reports = u8::from(report != Report::None);
            judge(Profile::Sms, &Sent { report, reports, ..sent(status) }, &seen)
        };
        assert_eq!(sms(202, Report::Ack, seen(200, 1)), FINE);
        assert_eq!(sms(202, Report::Error(27), seen(480, 1)), FINE);
        assert_eq!(sms(202, Report::Error(41), seen(0, 1)), FINE);
        assert_eq!(sms(503, Report::None, seen(0, 0)), FINE);
        assert!(sms(200, Report::Ack, seen(480, 1)).is_false);
        assert!(sms(200, Report::Error(27), seen(200, 1)).wrong);
        // That it was taken says nothing about it.
        assert!(sms(200, Report::None, seen(200, 1)).answer_lost);
        assert!(sms(200, Report::None, seen(0, 0)).lost);
        let twice = Sent { report: Report::Ack, reports: 2, ..sent(200) };
        assert!(judge(Profile::Sms, &twice, &seen(200, 1)).duplicated);
    }

    #[test]
    fn what_came_with_other_octets_is_a_fault_whatever_was_told() {
        let plan = crate::load::generator::message::tests::plan(Profile::Pager);
        let mut told = sent(480);
        told.flags.set(Flags::RESOLVED);
        let mut damaged = seen(0, 1);
        damaged.flags.set(SeenFlags::DAMAGED);
        let audit = Audit::of(&plan, &[told], &[damaged]);
        assert_eq!((audit.judged, audit.damaged, audit.is_clean()), (1, 1, false));
        assert!(
            audit.faults[0].ends_with("the answering end has other octets"),
            "{:?}",
            audit.faults
        );
        told.status = 200;
        let audit = Audit::of(&plan, &[told], &[damaged]);
        assert_eq!((audit.damaged, audit.is_false), (1, 1), "nobody has what was sent");
    }
}
