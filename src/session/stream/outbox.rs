//! What a connection has to send, copied out of the slots so that a slow peer holds none of them.

use std::collections::VecDeque;

use crate::limits::{OUTBOX_OWNERS, OUTBOX_SIZE};
use crate::packet::{Owner, SendError, Sent};

/// Octets in the order in which they leave, in a ring.
#[derive(Debug)]
pub(super) struct Outbox {
    octets: Box<[u8]>,
    /// Octets written since the box was taken.
    written: u64,
    /// Octets put in since then.
    put: u64,
    /// What `put` was when it was marked.
    marked: u64,
    owners: VecDeque<Entry>,
}

/// A departure whose owner wants to know.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    end: u64,
    owner: Owner,
}

impl Outbox {
    /// Allocates and touches it.
    pub(super) fn new() -> Self {
        let mut octets: Box<[u8]> = core::iter::repeat_n(0, OUTBOX_SIZE).collect();
        octets.fill(0xFF);
        let nobody = Entry { start: 0, end: 0, owner: Owner(0) };
        let mut owners: VecDeque<_> = core::iter::repeat_n(nobody, OUTBOX_OWNERS).collect();
        owners.clear();
        Self { octets, written: 0, put: 0, marked: 0, owners }
    }

    /// Whether all was written.
    pub(super) const fn is_empty(&self) -> bool {
        self.written == self.put
    }

    /// Octets that were not written.
    pub(super) fn waiting(&self) -> usize {
        usize::try_from(self.put - self.written).unwrap_or(OUTBOX_SIZE)
    }

    /// Remembers where the end is now.
    pub(super) const fn mark(&mut self) {
        self.marked = self.put;
    }

    /// Whether everything was written that was there when it was marked.
    pub(super) const fn is_marked_written(&self) -> bool {
        self.written >= self.marked
    }

    /// Puts octets behind the others; `false` if there is no room.
    pub(super) fn put(&mut self, octets: &[u8], owner: Option<Owner>) -> bool {
        let room = OUTBOX_SIZE - usize::try_from(self.put - self.written).unwrap_or(OUTBOX_SIZE);
        if octets.len() > room || self.owners.len() == OUTBOX_OWNERS {
            return false;
        }
        let at = place(self.put);
        let first = octets.len().min(OUTBOX_SIZE - at);
        self.octets[at..at + first].copy_from_slice(&octets[..first]);
        self.octets[..octets.len() - first].copy_from_slice(&octets[first..]);
        let start = self.put;
        self.put += octets.len() as u64;
        if let Some(owner) = owner {
            self.owners.push_back(Entry { start, end: self.put, owner });
        }
        true
    }

    /// What can be written next. It stays where it is until it is said to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        let at = place(self.written);
        let len = usize::try_from(self.put - self.written).unwrap_or(OUTBOX_SIZE);
        &self.octets[at..at + len.min(OUTBOX_SIZE - at)]
    }

    /// Takes note that so many octets were written.
    pub(super) fn write(&mut self, len: usize) {
        self.written = (self.written + len as u64).min(self.put);
    }

    /// An owner whose departure has been written.
    pub(super) fn pop_written(&mut self) -> Option<Owner> {
        let first = self.owners.front()?;
        if first.end > self.written {
            return None;
        }
        self.owners.pop_front().map(|entry| entry.owner)
    }

    /// An owner whose departure will not be written any more, and what is certain about it. `never` is
    /// the reason when nothing of it was written.
    pub(super) fn pop_unwritten(&mut self, never: SendError) -> Option<(Owner, Sent)> {
        let entry = self.owners.pop_front()?;
        let error = if entry.start >= self.written { never } else { SendError::Other(libc::EPIPE) };
        Some((entry.owner, Err(error)))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        (self.written, self.put, self.marked) = (0, 0, 0);
    }

    /// Octets of one.
    pub(super) const SIZE: usize = OUTBOX_SIZE + OUTBOX_OWNERS * size_of::<Entry>();
}

const fn place(position: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "masked to the size of the ring")]
    let place = (position & (OUTBOX_SIZE as u64 - 1)) as usize;
    place
}
