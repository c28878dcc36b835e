//! What is true of each message, and what may be said of it then.

use std::collections::{BTreeMap, BTreeSet};

use roger::delivery::{Account, Report, Verdict};
use roger::time::Instant;

use super::wires::Part;

/// How long RP-ACK or RP-ERROR is waited for, in milliseconds (TR1M, TS 24.011 section 10).
const TR1M_MS: u32 = 40_000;

/// What its sender wants to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) user: usize,
    pub(super) success: bool,
    pub(super) failure: bool,
}

/// What has become of a message.
#[derive(Clone, Debug, Default)]
struct Truth {
    /// Which try at it this is: what is known not to be there may be tried anew.
    attempt: u32,
    parts: u8,
    /// Call-IDs under which each part has left, in this attempt.
    submitted: BTreeMap<u8, BTreeSet<String>>,
    /// Parts that the centre has taken, in this attempt.
    taken: BTreeSet<u8>,
    /// Parts that the centre has said so of.
    acked: BTreeSet<u8>,
    /// Parts that the phone has.
    received: BTreeSet<u8>,
    accounts: u32,
}

impl Truth {
    fn is_delivered(&self) -> bool {
        self.parts > 0 && self.received.len() == usize::from(self.parts)
    }
}

/// Who has the turn of a user at the centre: since when, and whether that is over.
#[derive(Clone, Copy, Debug)]
struct Turn {
    message: u32,
    since: Instant,
    is_over: bool,
}

/// Knows what truly happened.
#[derive(Debug, Default)]
pub(super) struct Court {
    wanted: BTreeMap<u32, Wanted>,
    truths: BTreeMap<u32, Truth>,
    /// The message of each Call-ID of ours.
    named: BTreeMap<String, u32>,
    turns: BTreeMap<usize, Turn>,
    violation: Option<String>,
}

impl Court {
    pub(super) fn expect(&mut self, message: u32, wanted: Wanted) {
        self.wanted.insert(message, wanted);
        self.truths.insert(message, Truth::default());
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    pub(super) fn object(&mut self, what: String) {
        if self.violation.is_none() {
            self.violation = Some(what);
        }
    }

    fn truth(&mut self, message: u32) -> &mut Truth {
        self.truths.entry(message).or_default()
    }

    /// A part leaves the engine, for the first time under this Call-ID or again.
    pub(super) fn departs(&mut self, part: &Part, call_id: &str, now: Instant) {
        let message = part.message;
        let Some(wanted) = self.wanted.get(&message).copied() else {
            return self.object(format!("a part of message {message}, which nobody has sent"));
        };
        if self.named.insert(call_id.to_owned(), message).is_some() {
            return;
        }
        let truth = self.truth(message);
        truth.parts = part.parts;
        truth.submitted.entry(part.number).or_default().insert(call_id.to_owned());
        let is_early = part.number > 1 && !truth.acked.contains(&(part.number - 1));
        let is_again = truth.taken.contains(&part.number)
            || truth.submitted.get(&part.number).is_some_and(|all| all.len() > 1);
        if is_early {
            self.object(format!("part {} of message {message} before its turn", part.number));
        }
        if is_again {
            self.object(format!("part {} of message {message} was submitted twice", part.number));
        }
        if part.asks_status != wanted.success {
            self.object(format!("TP-SRR of message {message} is not what was asked for"));
        }
        let turn = Turn { message, since: now, is_over: false };
        if let Some(before) = self.turns.insert(wanted.user, turn)
            && before.message != message
            && !before.is_over
            && now < before.since.plus_ms(TR1M_MS)
        {
            self.object(format!("message {message} while {} was submitted", before.message));
        }
    }

    /// The attempt that a part which comes to the centre belongs to.
    pub(super) fn attempt(&mut self, message: u32) -> u32 {
        self.truth(message).attempt
    }

    /// The centre has taken a part, or has refused it: then the turn of its user is over with it.
    pub(super) fn took(&mut self, part: &Part, is_taken: bool) {
        let truth = self.truth(part.message);
        if is_taken {
            truth.taken.insert(part.number);
        }
        let user = self.wanted.get(&part.message).map(|wanted| wanted.user);
        let turn = user.and_then(|user| self.turns.get_mut(&user));
        if let Some(turn) = turn.filter(|turn| turn.message == part.message && !is_taken) {
            turn.is_over = true;
        }
    }

    /// The centre says that it has taken a part.
    pub(super) fn acknowledges(&mut self, part: &Part) {
        let truth = self.truth(part.message);
        truth.acked.insert(part.number);
        let user = self.wanted.get(&part.message).map(|wanted| wanted.user);
        if part.number == part.parts
            && let Some(turn) = user.and_then(|user| self.turns.get_mut(&user))
            && turn.message == part.message
        {
            turn.is_over = true;
        }
    }

    /// The phone has a part.
    pub(super) fn received(&mut self, part: &Part, attempt: u32) {
        let truth = self.truth(part.message);
        if truth.attempt == attempt {
            truth.received.insert(part.number);
        }
    }

    /// A user hears a REPORT about a message of his.
    pub(super) fn heard(&mut self, message: u32, status: u16) {
        let Some(wanted) = self.wanted.get(&message).copied() else {
            return self.object(format!("a REPORT about message {message}"));
        };
        let is_delivered = self.truth(message).is_delivered();
        match status {
            200 if !wanted.success => {
                self.object(format!("message {message}: success was not asked for"));
            }
            200 if !is_delivered => {
                self.object(format!("message {message}: success, and the phone has not all of it"));
            }
            200 => {}
            _ if !wanted.failure => {
                self.object(format!("message {message}: failure was not asked for"));
            }
            // Nobody knows, or it may be later.
            408 => {}
            _ if is_delivered => {
                self.object(format!("message {message}: {status}, and the phone has it"));
            }
            _ => {}
        }
    }

    /// An account is told. The message, if anything of it has left, and the REPORT that was sent.
    pub(super) fn told(&mut self, account: &Account) -> Option<(u32, u16)> {
        let call_id = String::from_utf8_lossy(account.sms_call_id.octets()).into_owned();
        let verdict = account.verdict;
        let Some(message) = self.named.get(&call_id).copied() else {
            if matches!(verdict, Verdict::Delivered | Verdict::Accepted) {
                self.object(format!("{verdict:?} of what has never left"));
            }
            return None;
        };
        let truth = self.truth(message);
        let is_delivered = truth.is_delivered();
        truth.accounts += 1;
        if verdict == Verdict::Delivered && !is_delivered {
            self.object(format!(
                "account of {message}: delivered, and the phone has not all of it"
            ));
        }
        let is_failure = matches!(verdict, Verdict::Permanent | Verdict::Temporary);
        if is_failure && is_delivered {
            self.object(format!("account of {message}: {verdict:?}, and the phone has it"));
        }
        if self.truth(message).accounts > 1 {
            self.object(format!("message {message} has two accounts"));
        }
        if verdict == Verdict::Temporary {
            // It may be tried anew.
            let attempt = self.truth(message).attempt + 1;
            self.truths.insert(message, Truth { attempt, ..Truth::default() });
        }
        let user = self.wanted.get(&message).map(|wanted| wanted.user);
        if let Some(turn) = user.and_then(|user| self.turns.get_mut(&user))
            && turn.message == message
        {
            turn.is_over = true;
        }
        match account.report {
            Report::Msrp(status) => Some((message, status)),
            Report::Silence | Report::Response(_) | Report::Refused(..) | Report::Rp(..) => None,
        }
    }

    /// Everything has come to rest: each message of which something has left has its account.
    pub(super) fn close(&mut self) -> (u64, u64) {
        let open = self
            .truths
            .iter()
            .find(|(_, truth)| !truth.submitted.is_empty() && truth.accounts == 0);
        if let Some(message) = open.map(|(message, _)| *message) {
            self.object(format!("message {message} has no account"));
        }
        let delivered = self.truths.values().filter(|truth| truth.is_delivered()).count();
        (self.truths.len() as u64, delivered as u64)
    }
}
