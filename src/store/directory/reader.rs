//! The view of a directory that threads other than its writer have.

use super::bucket::{Look, is_alive};
use super::{Table, modulo};
use crate::store::Fingerprint;
use crate::store::sync::{Acquire, Arc, TRIES_MAX, spin_loop};
use crate::time::Instant;

/// The writer was at work on the same bucket each time this was tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unsettled;

/// Reads a [`Directory`](super::Directory) while its owner writes, and waits for nobody.
#[derive(Clone, Debug)]
pub struct Reader {
    table: Arc<Table>,
}

impl Reader {
    pub(super) const fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    /// Starts to bring both buckets of `fingerprint` into the cache.
    pub fn prefetch(&self, fingerprint: Fingerprint) {
        self.table.prefetch(fingerprint);
    }

    /// The value that was under `fingerprint` at some moment of this call, if it has not ended by
    /// `now`. Nothing is found if there was such a moment without an entry: its owner may be about
    /// to put one. What the owner did before it put or took out what is seen here is seen as well.
    ///
    /// # Errors
    ///
    /// [`Unsettled`] if the owner was at work on it at each of a few tries.
    pub fn get(&self, fingerprint: Fingerprint, now: Instant) -> Result<Option<u64>, Unsettled> {
        let tick_now = self.table.tick(now);
        // What was cleared before this rose is then not seen any more.
        if tick_now > self.table.last_end.load(Acquire) {
            return Ok(None);
        }
        let [first, second] =
            self.table.choices(fingerprint).map(|index| &self.table.buckets[index]);
        for _ in 0..TRIES_MAX {
            let looked = first.look(fingerprint);
            let found = match looked {
                Look::Found(..) => looked,
                Look::Nothing(_) | Look::Torn => second.look(fingerprint),
            };
            match (looked, found) {
                (_, Look::Found(value, expiry)) => {
                    return Ok(is_alive(expiry, modulo(tick_now)).then_some(value));
                }
                // Had it moved from the second to the first meanwhile, the first would be another.
                (Look::Nothing(version), Look::Nothing(_)) if first.version() == version => {
                    return Ok(None);
                }
                _ => spin_loop(),
            }
        }
        Err(Unsettled)
    }
}
