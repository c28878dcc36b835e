//! Responses and REPORTs that wait to leave on a connection: whole, in their order, and before any more
//! of a chunk (RFC 4975 section 7.1.1).

use crate::limits::MSRP_ANSWERS_SIZE;

/// Octets in the order in which they leave.
#[derive(Debug)]
pub(super) struct Answers {
    octets: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Answers {
    /// Allocates and touches it.
    pub(super) fn new() -> Self {
        let mut octets: Box<[u8]> = core::iter::repeat_n(0, MSRP_ANSWERS_SIZE).collect();
        octets.fill(0xFF);
        Self { octets, start: 0, end: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much more fits.
    pub(super) const fn room(&self) -> usize {
        self.octets.len() - (self.end - self.start)
    }

    pub(super) const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Adds one; whether it fitted and could be written at all.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        if self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let len = write(&mut self.octets[self.end..]);
        self.end += len.unwrap_or(0);
        len.is_some()
    }

    /// Moves as many as fit; says how many.
    pub(super) fn take(&mut self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.end - self.start);
        to[..len].copy_from_slice(&self.octets[self.start..self.start + len]);
        self.start += len;
        len
    }
}
