//! Tells what is open on a worker that no longer can.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::delivery::Account;
use crate::engine::{Recipient, Remains};
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::time::Instant;

/// What was told of a lost worker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Told {
    /// Messages that end as unknown.
    pub(super) unknown: u64,
    /// Of these, those whose request could not be read, so that nothing names them.
    pub(super) nameless: u64,
    /// Messages whose verdict was reached, but whose account was not told.
    pub(super) untold: u64,
}

/// Ends what is open as unknown, and gives its accounts to `tell`. `rules` say where each peer names
/// the recipient of a short message.
pub(super) fn tell(
    remains: &Remains,
    rules: &[Recipient],
    now: Instant,
    mut tell: impl FnMut(&Account),
) -> Told {
    // The kernel copies: whatever the stuck worker is in the middle of, these are octets and no
    // values of its own.
    let memory = File::open("/proc/self/mem");
    let mut octets = [0; DATAGRAM_SIZE_MAX];
    let mut told = Told { untold: remains.waiting(), ..Told::default() };
    for left in remains.left() {
        if left.is_decided {
            told.untold += 1;
            continue;
        }
        told.unknown += 1;
        let rule = rules.get(usize::from(left.sms_peer)).copied();
        let read = octets.get_mut(..left.len).and_then(|room| {
            memory.as_ref().ok()?.read_exact_at(room, left.address as u64).ok()?;
            left.account(room, rule.unwrap_or(Recipient::CalledParty), now)
        });
        match read {
            Some(account) => tell(&account),
            None => told.nameless += 1,
        }
    }
    told
}
