//! Where one message of a connection ends and the next begins, over any number of reads.
//!
//! A message that lies whole in a read is used where it lies. What is torn off at the end of a read
//! is copied to the connection's *tail* and completed there by the reads that follow. The work is
//! linear in the octets however they are cut: the end of a header section is looked for in new
//! octets only, and the section is read once, when it is whole.

use memchr::memmem;

use crate::limits::{DATAGRAM_SIZE_MAX, STREAM_TAIL_SIZE, STREAM_TAILS_LARGE};
use crate::store::{Buffer, Pool};
use crate::wire::cursor::visited;
use crate::wire::sip::stream::{Frame, frame};

/// The beginning of a message that has not come whole, for each connection.
#[derive(Debug)]
pub(super) struct Tails {
    small: Box<[[u8; STREAM_TAIL_SIZE]]>,
    large: Pool<DATAGRAM_SIZE_MAX>,
}

impl Tails {
    pub(super) fn new(connections: u16) -> Self {
        let mut small: Box<[[u8; STREAM_TAIL_SIZE]]> =
            core::iter::repeat_n([0; STREAM_TAIL_SIZE], usize::from(connections)).collect();
        for tail in &mut small {
            tail.fill(0xFF);
        }
        Self { small, large: Pool::new(STREAM_TAILS_LARGE) }
    }

    /// What is in the tail of a connection.
    pub(super) fn octets(&self, index: u16, inbox: &Inbox) -> &[u8] {
        let tail: &[u8] = match inbox.large {
            Some(buffer) => self.large.octets(buffer),
            None => &self.small[usize::from(index)],
        };
        &tail[..inbox.len]
    }

    fn octets_mut(&mut self, index: u16, inbox: &Inbox) -> &mut [u8] {
        match inbox.large {
            Some(buffer) => self.large.octets_mut(buffer),
            None => &mut self.small[usize::from(index)],
        }
    }

    /// Gives the tail of a connection back.
    pub(super) fn clear(&mut self, inbox: &mut Inbox) {
        if let Some(buffer) = inbox.large.take() {
            self.large.give(buffer);
        }
        (inbox.len, inbox.searched, inbox.wanted) = (0, 0, None);
    }

    #[cfg(test)]
    pub(super) const fn large_free(&self) -> usize {
        self.large.free()
    }

    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.small) + STREAM_TAILS_LARGE as usize * DATAGRAM_SIZE_MAX
    }
}

/// What is known about the message that a connection is in the middle of.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Octets in the tail.
    len: usize,
    /// Of these, how many contain no end of a header section.
    searched: usize,
    /// How long the message is, when its header section is there.
    wanted: Option<usize>,
    /// The tail, when it is too long for the small one.
    large: Option<Buffer>,
    /// Octets of a message that is not taken whole, still to come.
    skip: usize,
    /// CRLFs between messages, so far; a pair of them asks for an answer (RFC 5626 section 4.4.1).
    empty_lines: usize,
    /// A CR between messages whose LF has not come.
    cr: bool,
}

/// What comes next in a read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// A message, from `at` on in the read.
    Here {
        /// Where it begins.
        at: usize,
        /// Its octets, or as many as are taken.
        len: usize,
        /// Whether the rest of it is skipped.
        truncated: bool,
    },
    /// A message: all that is in the tail.
    InTail {
        /// Whether the rest of it is skipped.
        truncated: bool,
    },
    /// No whole message any more: the read is used up.
    Nothing,
    /// The tail cannot take the rest of the read yet: it is lent.
    TailLent,
    /// This is no message.
    Unframed,
    /// The beginning of the message is too long for the tails that are left.
    NoTail,
}

impl Inbox {
    /// Whether the tail holds something.
    pub(super) const fn has_begun(&self) -> bool {
        self.len > 0
    }

    /// Whether more of a message that is not taken whole is to come.
    pub(super) const fn is_skipping(&self) -> bool {
        self.skip > 0
    }

    /// Whether the tail is one of the few large ones.
    pub(super) const fn has_large(&self) -> bool {
        self.large.is_some()
    }

    /// Octets in the tail.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts octets behind those in the tail, which may hold so many; `false` if there is no large tail.
    pub(super) fn append(&mut self, tails: &mut Tails, index: u16, octets: &[u8]) -> bool {
        let len = self.len + octets.len();
        if !self.make_room(tails, index, len) {
            return false;
        }
        visited(octets.len());
        tails.octets_mut(index, self)[self.len..len].copy_from_slice(octets);
        self.len = len;
        true
    }

    /// Takes octets away from the front of the tail.
    pub(super) fn cut(&mut self, tails: &mut Tails, index: u16, front: usize) {
        let len = self.len;
        visited(len - front);
        tails.octets_mut(index, self).copy_within(front..len, 0);
        self.len -= front;
    }

    /// Takes the next message out of `read`, which is used up to `at`. `is_lent` says that the tail
    /// must not be written. Says as well how many keep-alives want an answer.
    pub(super) fn next(
        &mut self,
        tails: &mut Tails,
        index: u16,
        (read, at): (&[u8], &mut usize),
        is_lent: bool,
        pings: &mut u32,
    ) -> Found {
        self.pass_skipped(read.len(), at);
        if self.len > 0 && !is_lent {
            return self.complete(tails, index, (read, at));
        }
        if !self.pass_empty_lines(read, at, pings) {
            return Found::Unframed;
        }
        let rest = &read[*at..];
        if rest.is_empty() {
            return Found::Nothing;
        }
        let begun = match frame(rest) {
            // Cut anywhere else, its header section would not be found.
            Frame::Whole { len: wanted } | Frame::Partial { wanted }
                if wanted > DATAGRAM_SIZE_MAX && !is_header_held(rest) =>
            {
                return Found::Unframed;
            }
            Frame::Whole { len } => {
                let found = Found::Here {
                    at: *at,
                    len: len.min(DATAGRAM_SIZE_MAX),
                    truncated: len > DATAGRAM_SIZE_MAX,
                };
                *at += len;
                return found;
            }
            Frame::Malformed(_) => return Found::Unframed,
            Frame::Partial { wanted } => (wanted > rest.len() + 1).then_some(wanted),
        };
        if let Some(wanted) = begun.filter(|_| rest.len() >= DATAGRAM_SIZE_MAX) {
            self.skip = wanted - rest.len();
            let found = Found::Here { at: *at, len: DATAGRAM_SIZE_MAX, truncated: true };
            *at = read.len();
            return found;
        }
        if is_lent {
            return Found::TailLent;
        }
        self.complete(tails, index, (read, at))
    }

    /// Moves octets from the read to the tail until the message there is whole.
    fn complete(
        &mut self,
        tails: &mut Tails,
        index: u16,
        (read, at): (&[u8], &mut usize),
    ) -> Found {
        loop {
            // The header section of most messages ends before the small tail does.
            let likely =
                if self.len < STREAM_TAIL_SIZE { STREAM_TAIL_SIZE } else { DATAGRAM_SIZE_MAX };
            let wanted = self.wanted.unwrap_or(likely).min(DATAGRAM_SIZE_MAX);
            let rest = &read[*at..];
            let more = rest.len().min(wanted - self.len);
            if !self.make_room(tails, index, self.len + more) {
                return Found::NoTail;
            }
            let tail = tails.octets_mut(index, self);
            visited(more);
            tail[self.len..self.len + more].copy_from_slice(&rest[..more]);
            self.len += more;
            *at += more;
            let tail = &tail[..self.len];
            if self.wanted.is_none() {
                let from = self.searched.saturating_sub(HEADER_END.len() - 1);
                visited(tail.len() - from);
                let Some(end) = memmem::find(&tail[from..], HEADER_END) else {
                    self.searched = self.len;
                    if self.len == DATAGRAM_SIZE_MAX {
                        return Found::Unframed;
                    }
                    if *at == read.len() {
                        return Found::Nothing;
                    }
                    continue;
                };
                let end = from + end + HEADER_END.len();
                *at -= self.len - end;
                self.len = end;
                match frame(&tail[..end]) {
                    Frame::Whole { len } => self.wanted = Some(len),
                    Frame::Partial { wanted } if wanted > end => self.wanted = Some(wanted),
                    Frame::Partial { .. } | Frame::Malformed(_) => return Found::Unframed,
                }
                continue;
            }
            let whole = self.wanted.unwrap_or_default();
            if self.len < whole.min(DATAGRAM_SIZE_MAX) {
                return Found::Nothing;
            }
            self.skip = whole - self.len;
            return Found::InTail { truncated: self.skip > 0 };
        }
    }

    /// Passes what remains of a message that was not taken whole.
    fn pass_skipped(&mut self, len: usize, at: &mut usize) {
        // The tail is lent as long as the beginning of that message is in it.
        let passed = self.skip.min(len - *at);
        self.skip -= passed;
        *at += passed;
    }

    /// Passes the empty lines between messages (RFC 3261 section 7.5). `false` for a CR alone.
    fn pass_empty_lines(&mut self, read: &[u8], at: &mut usize, pings: &mut u32) -> bool {
        loop {
            match (read.get(*at), self.cr) {
                (Some(b'\r'), false) => self.cr = true,
                (Some(b'\n'), true) => {
                    self.cr = false;
                    self.empty_lines += 1;
                    if self.empty_lines == 2 {
                        self.empty_lines = 0;
                        *pings += 1;
                    }
                }
                (Some(_), true) => return false,
                (Some(_), false) => {
                    self.empty_lines = 0;
                    return true;
                }
                (None, _) => return true,
            }
            *at += 1;
        }
    }

    /// Moves the tail to a large buffer if it must hold so many octets.
    fn make_room(&mut self, tails: &mut Tails, index: u16, len: usize) -> bool {
        if self.large.is_some() || len <= STREAM_TAIL_SIZE {
            return true;
        }
        let Some(buffer) = tails.large.take() else { return false };
        let Tails { small, large } = tails;
        large.octets_mut(buffer)[..self.len]
            .copy_from_slice(&small[usize::from(index)][..self.len]);
        self.large = Some(buffer);
        true
    }
}

/// Whether the header section ends within what is held of a message.
fn is_header_held(message: &[u8]) -> bool {
    let held = message.len().min(DATAGRAM_SIZE_MAX);
    visited(held);
    memmem::find(&message[..held], HEADER_END).is_some()
}

const HEADER_END: &[u8] = b"\r\n\r\n";
