//! What a user agent does with one INVITE and with the session that may follow, rightly and wrongly.

use crate::chance::Chance;
use crate::sdp::Flaw;
use crate::swarm::{MS, SECOND};

/// How many kinds of behaviour there are towards an INVITE, and how many of them break no rule.
pub(crate) const INVITES: usize = 14;
pub(crate) const INVITES_HONEST: usize = 3;

/// The same inside of a session.
pub(crate) const SESSIONS: usize = 34;
pub(crate) const SESSIONS_HONEST: usize = 9;

/// What is done with an INVITE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Invited {
    /// A 2xx so much later, with provisional responses before it.
    Accept { provisional: &'static [u16], after: u64 },
    /// Another final response so much later.
    Refuse { provisional: &'static [u16], status: u16, after: u64 },
    /// Nothing, or nothing final: CANCEL is answered as it should be.
    Silent { provisional: &'static [u16] },
    /// The same, and CANCEL is answered with 2xx to the INVITE.
    AcceptAfterCancel { provisional: &'static [u16], status: u16 },
    /// Nothing at all, whatever comes.
    Dead,
    /// So many forks, each with a 2xx and a session of its own.
    Fork(u64),
    /// 2xx with an answer that cannot be used.
    Unusable(Flaw),
}

/// How chunks are answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answers {
    Right,
    /// So much later.
    Slow(u64),
    /// In pieces.
    Pieces,
    Twice,
    /// The chunk with this number is refused, and not taken.
    Error {
        chunk: u64,
        status: u16,
    },
    /// The chunk with this number is taken, and not answered.
    None {
        chunk: u64,
    },
    /// No chunk is.
    Silent,
    /// Before all of it is there.
    Early,
}

/// How success is reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reports {
    Right,
    /// Before the response to the last chunk.
    First,
    /// In so many pieces, in any order, some of them overlapping.
    Pieces(u64),
    /// Without a Byte-Range.
    Whole,
    Twice,
    Late(u64),
    Never,
    /// Some octets are never reported.
    Gap,
    /// Of a message that is shorter or longer.
    Total(i64),
    /// About another Message-ID.
    Foreign,
    /// In another namespace.
    Namespace,
    /// As soon as the first octet of the message is there.
    Early,
    Failure(u16),
    FailureThenSuccess(u16),
}

/// How the session ends before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ends {
    InTime,
    /// BYE so long after the session began.
    Bye(u64),
    /// BYE when the message is whole, with the responses or instead of them.
    ByeAtEnd {
        answers: bool,
    },
    /// The connection ends at this octet of what we send: in order, or not.
    Octet {
        at: usize,
        in_order: bool,
    },
    /// It ends behind the first response, together with it.
    WithAnswer,
}

/// How the connection comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Connects {
    Right,
    /// Who should connect does so later, or not at all.
    Late(u64),
    Never,
    /// Who connects says nothing.
    Mute,
    /// A second connection claims the session.
    Second,
    /// Nobody listens where the path leads.
    Refused,
}

/// What comes in the middle of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Middle {
    Nothing,
    /// A request of this method in the dialog so long after the session began.
    Request(&'static str, u64),
}

/// What is done in a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Conduct {
    pub(crate) answers: Answers,
    pub(crate) reports: Reports,
    pub(crate) ends: Ends,
    pub(crate) connects: Connects,
    pub(crate) middle: Middle,
    /// Whether it is the agent who connects.
    pub(crate) is_active: bool,
    /// Whether `setup` is left out of an answer that means passive.
    pub(crate) is_terse: bool,
    /// Whether what was taken is lost behind the next hop, so that nobody sees it or reports it.
    pub(crate) loses: bool,
    /// Whether a proxy between us has asked to stay in the dialog.
    pub(crate) is_routed: bool,
}

impl Conduct {
    /// What the standards want.
    pub(crate) const HONEST: Self = Self {
        answers: Answers::Right,
        reports: Reports::Right,
        ends: Ends::InTime,
        connects: Connects::Right,
        middle: Middle::Nothing,
        is_active: false,
        is_terse: false,
        loses: false,
        is_routed: false,
    };

    /// What the standards allow.
    pub(crate) fn honest(chance: &mut Chance) -> Self {
        Self {
            is_active: chance.one_in(2),
            is_terse: chance.one_in(4),
            is_routed: chance.one_in(4),
            ..Self::HONEST
        }
    }

    /// Draws by the weights of the kinds; sometimes two things at once.
    pub(crate) fn draw(weights: &[u64; SESSIONS], wait: u64, chance: &mut Chance) -> Self {
        let mut conduct = Self::honest(chance);
        for _ in 0..chance.pick(&[1, 1, 1, 2]) {
            conduct.become_kind(chosen(weights, chance), wait, chance);
        }
        conduct
    }

    /// Whether it says what is not so: it has octets that nobody sees, or has none of those it speaks of.
    pub(crate) const fn lies(&self, speaks: bool) -> bool {
        self.loses && speaks
            || matches!(self.answers, Answers::Early)
            || matches!(
                self.reports,
                Reports::Early | Reports::Failure(_) | Reports::FailureThenSuccess(_)
            )
    }

    fn become_kind(&mut self, kind: usize, wait: u64, chance: &mut Chance) {
        // Most messages here have one chunk.
        let chunk = chance.pick(&[0, 0, 0, 1, 2]);
        let code = chance.pick(&[408, 403, 480]);
        match kind {
            1 => self.answers = Answers::Slow(chance.below(3 * SECOND)),
            2 => self.answers = Answers::Pieces,
            3 => self.reports = Reports::First,
            4 => self.reports = Reports::Pieces(chance.between(2, 6)),
            5 => self.reports = Reports::Whole,
            6 => self.reports = Reports::Late(chance.below(5 * SECOND)),
            7 => self.reports = Reports::Twice,
            8 => self.middle = middle(chance),
            9 => self.answers = Answers::Slow(chance.between(20 * SECOND, 40 * SECOND)),
            10 | 11 => self.answers = Answers::Error { chunk, status: response_status(chance) },
            12 => self.answers = Answers::None { chunk },
            13 => self.answers = Answers::Silent,
            14 => self.answers = Answers::Early,
            15 => self.answers = Answers::Twice,
            16 => self.reports = Reports::Late(chance.below(wait + 10 * SECOND)),
            17 => self.reports = Reports::Never,
            18 | 19 => self.reports = Reports::Gap,
            20 => self.reports = Reports::Total(chance.pick(&[-1, -7, 1, 1_000])),
            21 => self.reports = Reports::Foreign,
            22 => self.reports = Reports::Namespace,
            23 => self.reports = Reports::Early,
            24 => self.reports = Reports::Failure(code),
            25 => self.reports = Reports::FailureThenSuccess(code),
            26 => self.loses = true,
            27 => self.ends = Ends::Bye(chance.below(4 * SECOND)),
            28 => self.ends = Ends::ByeAtEnd { answers: chance.one_in(2) },
            29 => {
                let at = usize::try_from(chance.below(1_200)).unwrap_or(0);
                self.ends = Ends::Octet { at, in_order: chance.one_in(2) };
            }
            30 => self.ends = Ends::WithAnswer,
            31 => self.connects = chance.pick(&[Connects::Never, Connects::Mute]),
            32 => self.connects = chance.pick(&[Connects::Second, Connects::Refused]),
            33 => self.connects = Connects::Late(chance.below(40 * SECOND)),
            _ => {}
        }
        match self.connects {
            Connects::Right => {}
            Connects::Refused => self.is_active = false,
            Connects::Late(_) | Connects::Never | Connects::Mute | Connects::Second => {
                self.is_active = true;
            }
        }
    }
}

fn middle(chance: &mut Chance) -> Middle {
    let method = chance.pick(&["INVITE", "UPDATE", "OPTIONS", "INFO"]);
    Middle::Request(method, chance.pick(&[0, 5 * MS, 50 * MS, SECOND]) + chance.below(20 * MS))
}

/// Response codes of table 3.3, known and unknown ones.
fn response_status(chance: &mut Chance) -> u16 {
    chance.pick(&[400, 403, 408, 413, 415, 423, 481, 501, 506, 404, 499, 500, 503, 202, 299, 600])
}

impl Invited {
    /// What is wrong with the answer.
    pub(crate) const fn flaw(self) -> Option<Flaw> {
        if let Self::Unusable(flaw) = self { Some(flaw) } else { None }
    }

    /// What the INVITE is answered when it is cancelled.
    pub(crate) const fn after_cancel(self) -> u16 {
        if let Self::AcceptAfterCancel { status, .. } = self { status } else { 487 }
    }

    /// `wait` is how long a final response is waited for.
    pub(crate) fn draw(weights: &[u64; INVITES], wait: u64, chance: &mut Chance) -> Self {
        let provisional: &[u16] =
            chance.pick(&[&[] as &[u16], &[100], &[100], &[100, 180], &[180], &[183, 180], &[199]]);
        let soon = MS + chance.below(20 * MS);
        let late = wait - wait / 20 + chance.below(wait / 2);
        match chosen(weights, chance) {
            0 => Self::Accept { provisional, after: soon },
            1 => Self::Accept { provisional, after: chance.below(wait * 9 / 10) },
            2 => Self::Refuse { provisional, status: status(chance), after: soon },
            3 => Self::Refuse { provisional, status: status(chance), after: chance.below(wait) },
            4 => Self::Silent { provisional },
            5 => Self::Silent { provisional: &[180] },
            6 => Self::AcceptAfterCancel { provisional: &[180], status: 200 },
            7 => Self::Accept { provisional, after: late },
            8 => Self::Dead,
            9 => Self::Fork(chance.between(2, 4)),
            10 | 11 => Self::Unusable(Flaw::draw(chance)),
            12 => Self::Refuse { provisional, status: status(chance), after: late },
            _ => Self::Refuse { provisional, status: chance.pick(&[401, 407]), after: soon },
        }
    }
}

/// Each class of table 3.2.
fn status(chance: &mut Chance) -> u16 {
    if chance.one_in(4) {
        return u16::try_from(chance.between(300, 699)).unwrap_or(500);
    }
    chance.pick(&[
        300, 301, 302, 400, 402, 403, 404, 405, 406, 408, 410, 413, 415, 416, 420, 421, 430, 480,
        481, 484, 486, 487, 488, 491, 493, 494, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603,
        604, 606,
    ])
}

fn chosen(weights: &[u64], chance: &mut Chance) -> usize {
    let mut ticket = chance.below(weights.iter().sum());
    let kind = weights.iter().position(|weight| {
        let hit = ticket < *weight;
        ticket = ticket.saturating_sub(*weight);
        hit
    });
    kind.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_is_another_conduct() {
        let mut chance = Chance::new(1);
        let mut seen = BTreeSet::new();
        for kind in 0..SESSIONS {
            let mut weights = [0; SESSIONS];
            weights[kind] = 1;
            let mut conduct = Conduct::draw(&weights, 10 * SECOND, &mut chance);
            (conduct.is_active, conduct.is_terse, conduct.is_routed) = (false, false, false);
            assert_eq!(conduct == Conduct::HONEST, kind == 0, "{kind}");
            seen.insert(format!("{conduct:?}"));
        }
        assert!(seen.len() > 30, "{}", seen.len());
        let mut invited = BTreeSet::new();
        for kind in 0..INVITES {
            let mut weights = [0; INVITES];
            weights[kind] = 1;
            for _ in 0..20 {
                let drawn = Invited::draw(&weights, 10 * SECOND, &mut chance);
                invited.insert(format!("{:?}", core::mem::discriminant(&drawn)));
            }
        }
        assert_eq!(invited.len(), 7);
    }
}
