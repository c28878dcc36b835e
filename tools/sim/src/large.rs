//! What a seed makes of Large Messages: which of them there are, who takes them, and what goes wrong.

use roger::delivery::MsrpRole;

use crate::chance::Chance;
use crate::conduct::{INVITES, INVITES_HONEST, SESSIONS, SESSIONS_HONEST};
use crate::tcp::Faults;

/// Large Messages.
#[derive(Clone, Debug)]
pub(crate) struct Large {
    /// Octets of a MESSAGE at most; what is longer is a Large Message.
    pub(crate) pager_max: u16,
    /// Who the sessions of each server are with.
    pub(crate) roles: Vec<MsrpRole>,
    /// Whether its service is OMA CPM, where what it gets is message/cpim anyway.
    pub(crate) is_cpm: Vec<bool>,
    /// How long a final response to INVITE is waited for, and REPORTs, in milliseconds.
    pub(crate) invite_wait_ms: u32,
    pub(crate) report_wait_ms: u32,
    /// How long a session stays for the next message, in milliseconds.
    pub(crate) session_idle_ms: u32,
    /// Dialogs of one worker, and its connections.
    pub(crate) sessions_max: u32,
    pub(crate) connections_max: u16,
    /// Whether one of those is so small that messages are refused.
    pub(crate) is_tight: bool,
    /// How often, of ten thousand, a MESSAGE is answered that it is too large.
    pub(crate) too_large: u64,
    /// Weights of what is done with INVITEs, and in sessions, in the order of [`crate::conduct`].
    pub(crate) invites: [u64; INVITES],
    pub(crate) sessions: [u64; SESSIONS],
    /// How many connections strangers open.
    pub(crate) strangers: u64,
    /// What goes wrong with connections.
    pub(crate) faults: Faults,
}

impl Large {
    /// One run of two with short messages has large ones, too.
    pub(crate) fn draw(faultless: bool, servers: usize, chance: &mut Chance) -> Option<Self> {
        if !chance.one_in(2) {
            return None;
        }
        let roles = [
            MsrpRole::Endpoint,
            MsrpRole::Endpoint,
            MsrpRole::Relay,
            MsrpRole::ImServer,
            MsrpRole::B2bua,
        ];
        let is_tight = !faultless && chance.one_in(8);
        let mut large = Self {
            // Every short message, some of them, or none but those that a server finds too large.
            pager_max: chance.pick(&[200, 200, 700, 800, 1_150]),
            roles: (0..servers).map(|_| chance.pick(&roles)).collect(),
            is_cpm: (0..servers).map(|_| chance.one_in(3)).collect(),
            invite_wait_ms: chance.pick(&[10_000, 10_000, 3_000]),
            report_wait_ms: chance.pick(&[120_000, 30_000, 5_000]),
            session_idle_ms: chance.pick(&[0, 0, 2_000, 60_000]),
            sessions_max: if is_tight { 1 + u32::from(chance.one_in(2)) } else { 256 },
            connections_max: 256,
            is_tight,
            too_large: chance.pick(&[0, 500, 5_000]),
            invites: [0; INVITES],
            sessions: [0; SESSIONS],
            strangers: if !faultless && chance.one_in(4) { chance.between(1, 30) } else { 0 },
            faults: Faults::default(),
        };
        let mut weigh = |kind: usize, honest: usize| match (kind, kind < honest, faultless) {
            (0, ..) => 100,
            (_, true, _) => chance.below(60),
            (_, false, false) if chance.one_in(4) => chance.between(1, 60),
            (_, false, _) => 0,
        };
        for (kind, weight) in large.invites.iter_mut().enumerate() {
            *weight = weigh(kind, INVITES_HONEST);
        }
        for (kind, weight) in large.sessions.iter_mut().enumerate() {
            *weight = weigh(kind, SESSIONS_HONEST);
        }
        large.faults = Faults::draw(faultless, chance);
        Some(large)
    }
}
