//! What a connection has to send, copied out of the slots so that a slow peer holds none of them.

use std::collections::VecDeque;

use crate::limits::{OUTBOX_OWNERS, OUTBOX_SIZE};
use crate::packet::Owner;

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

/// A departure whose end matters: to its owner, or because it may leave elsewhere.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    len: u32,
    /// The port that it goes to on another connection, should this one end; 0 where it does not.
    port: u16,
    owner: Option<Owner>,
}

impl Entry {
    const NOTHING: Self = Self { start: 0, len: 0, port: 0, owner: None };

    const fn end(self) -> u64 {
        self.start + self.len as u64
    }
}

/// A departure that its connection will not write any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    start: u64,
    len: u32,
    /// Some of it was written.
    pub(super) is_begun: bool,
    /// The port that it goes to instead; 0 where it goes nowhere.
    pub(super) port: u16,
    /// Who is to be told.
    pub(super) owner: Option<Owner>,
}

impl Outbox {
    /// Allocates and touches it.
    pub(super) fn new() -> Self {
        let mut octets: Box<[u8]> = core::iter::repeat_n(0, OUTBOX_SIZE).collect();
        octets.fill(0xFF);
        let mut owners: VecDeque<_> = core::iter::repeat_n(Entry::NOTHING, OUTBOX_OWNERS).collect();
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

    /// Puts octets behind the others; `false` if there is no room. Should the connection end before,
    /// they may go to `port` of the same host, if that is not 0.
    pub(super) fn put(&mut self, octets: &[u8], port: u16, owner: Option<Owner>) -> bool {
        let is_full = self.owners.len() == OUTBOX_OWNERS;
        let Ok(len) = u32::try_from(octets.len()) else { return false };
        if octets.len() > OUTBOX_SIZE - self.waiting() || (is_full && owner.is_some()) {
            return false;
        }
        let start = self.put;
        self.append(octets);
        // Of what nobody is told, half of the room may be taken by what could leave elsewhere: the other
        // half is for those who have to be told.
        let may_move = port != 0 && self.owners.len() < OUTBOX_OWNERS / 2;
        if may_move || owner.is_some() {
            self.owners.push_back(Entry { start, len, port, owner });
        }
        true
    }

    /// Puts in what another outbox had and its connection has not written. It goes nowhere else.
    pub(super) fn put_left(&mut self, other: &Self, left: &Left) -> bool {
        let Left { start: from, len, owner, .. } = *left;
        if len as usize > OUTBOX_SIZE - self.waiting() || self.owners.len() == OUTBOX_OWNERS {
            return false;
        }
        let start = self.put;
        let at = place(from);
        let first = (len as usize).min(OUTBOX_SIZE - at);
        self.append(&other.octets[at..at + first]);
        self.append(&other.octets[..len as usize - first]);
        if owner.is_some() {
            self.owners.push_back(Entry { start, len, port: 0, owner });
        }
        true
    }

    /// Room behind what is there, in one piece. There is none that is left at the end for too little, until
    /// everything was written and the box begins anew: a stream that takes its time goes on with what the
    /// operating system has taken meanwhile, and whoever else waits for a box has his turn.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.clear();
        }
        let at = self.put.min(OUTBOX_SIZE as u64);
        &mut self.octets[place_or_end(at)..]
    }

    /// So much of the room was filled.
    pub(super) const fn fill(&mut self, len: usize) {
        self.put += len as u64;
    }

    fn append(&mut self, octets: &[u8]) {
        let at = place(self.put);
        let first = octets.len().min(OUTBOX_SIZE - at);
        self.octets[at..at + first].copy_from_slice(&octets[..first]);
        self.octets[..octets.len() - first].copy_from_slice(&octets[first..]);
        self.put += octets.len() as u64;
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
        while self.owners.front()?.end() <= self.written {
            let entry = self.owners.pop_front()?;
            if entry.owner.is_some() {
                return entry.owner;
            }
        }
        None
    }

    /// A departure that will not be written any more, the first one first.
    pub(super) fn pop_left(&mut self) -> Option<Left> {
        let Entry { start, len, port, owner } = self.owners.pop_front()?;
        Some(Left { start, len, is_begun: start < self.written, port, owner })
    }

    /// Whether something that was not begun may leave elsewhere.
    pub(super) fn has_elsewhere(&self) -> bool {
        self.owners.iter().any(|entry| entry.port != 0 && entry.start >= self.written)
    }

    /// Nothing leaves elsewhere any more.
    pub(super) fn forget_elsewhere(&mut self) {
        for entry in &mut self.owners {
            entry.port = 0;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        (self.written, self.put, self.marked) = (0, 0, 0);
    }

    /// Octets of one.
    pub(super) const SIZE: usize = OUTBOX_SIZE + OUTBOX_OWNERS * size_of::<Entry>();
}

/// The same of a box that is filled once, to its end.
fn place_or_end(position: u64) -> usize {
    usize::try_from(position).unwrap_or(OUTBOX_SIZE)
}

const fn place(position: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "masked to the size of the ring")]
    let place = (position & (OUTBOX_SIZE as u64 - 1)) as usize;
    place
}
