//! Identifiers of MSRP that say what they name and prove that this process made them.
//!
//! ```text
//! session-id       index 8 | generation 8 | tag 32             hexadecimal digits
//! transaction id   kind 1 | index 3 | generation 4 | number 4 | tag 8   octets, in 32 letters of base 32
//!                  (of what is carried, the place is that of the chunk, which has no number)
//! ```
//!
//! Who knows a session-id may speak in that session, and nothing else tells strangers apart: its tag has
//! 128 bits (RFC 4975 section 14.1 asks for 80). A transaction identifier is only believed on the
//! connection of its message; its tag has 64. Node, worker and epoch are in the tag alone: a
//! connection is of one worker, and what another life has made has another tag.

use super::proof::Proofs;
use crate::engine::memory::{hex, put_hex};
use crate::id::WorkerId;
use crate::limits::MSRP_IDENT_SIZE_MAX;
use crate::session::msrp::{Host, PieceId, SendingId, SessionId, Transaction};
use crate::store::{Fingerprint, HashKey};

/// Octets of a session-id.
pub(super) const SESSION_ID_SIZE: usize = PLACE_DIGITS + 32;

const PLACE_DIGITS: usize = 16;

/// Mints and reads identifiers of MSRP, holds the bodies of what is sent, and knows who is who.
#[derive(Debug)]
pub(super) struct Desk {
    key: HashKey,
    life: u64,
    /// REPORTs so far: each has an identifier of its own.
    reports: u64,
    bodies: Box<[u8]>,
    body_size: usize,
    /// Which sessions have TLS, and with whom.
    pub(super) proofs: Proofs,
}

impl Desk {
    /// With room for so many bodies. Allocates and touches it.
    pub(super) fn new(
        (key, node, worker, epoch): (HashKey, u8, WorkerId, u32),
        count: u32,
        body_size: usize,
    ) -> Self {
        let mut bodies: Box<[u8]> = core::iter::repeat_n(0, count as usize * body_size).collect();
        bodies.fill(0xFF);
        let life = u64::from(epoch) << 16 | u64::from(node) << 8 | u64::from(worker.0);
        Self { key, life, reports: 0, bodies, body_size, proofs: Proofs::default() }
    }

    /// 128 bits that nobody can guess, for this use and this name.
    pub(super) fn minted(&self, kind: u64, name: u64) -> Fingerprint {
        self.key.of_words(&[kind, self.life, name])
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.bodies) + self.proofs.size()
    }

    /// Where the body of the message at this place is written.
    pub(super) fn body_mut(&mut self, place: u32) -> &mut [u8] {
        let at = place as usize * self.body_size;
        &mut self.bodies[at..at + self.body_size]
    }

    /// The session-id of a session.
    pub(super) fn session_id(&self, session: SessionId) -> [u8; SESSION_ID_SIZE] {
        let place = u64::from(session.index) << 32 | u64::from(session.generation);
        let mut text = [0; SESSION_ID_SIZE];
        let (of_place, of_tag) = text.split_at_mut(PLACE_DIGITS);
        put_hex(u128::from(place), of_place);
        put_hex(self.session_tag(place), of_tag);
        text
    }

    fn session_tag(&self, place: u64) -> u128 {
        let [low, high] = self.key.of_words(&[SESSION, self.life, place]).0;
        u128::from(high) << 64 | u128::from(low)
    }

    fn transaction_tag(&self, place: [u8; PLACE]) -> u64 {
        let [k, a, b, c, d, e, f, g, h, i, j, l] = place;
        let first = u64::from_be_bytes([k, a, b, c, d, e, f, g]);
        let second = u64::from(u32::from_be_bytes([h, i, j, l]));
        self.key.of_words(&[TRANSACTION, self.life, first, second]).0[0]
    }
}

impl Host for Desk {
    fn admits(&self, session: SessionId, connection: u16) -> bool {
        self.proofs.admits(session, connection)
    }

    fn session(&self, session_id: &[u8]) -> Option<u32> {
        let text: &[u8; SESSION_ID_SIZE] = session_id.try_into().ok()?;
        let (place, tag) = text.split_at(PLACE_DIGITS);
        let place = u64::try_from(hex(place)?).ok()?;
        // How long it takes says nothing about how much of it was right.
        let differs = core::hint::black_box(self.session_tag(place) ^ hex(tag)?);
        (differs == 0).then_some(u32::try_from(place >> 32).unwrap_or(u32::MAX))
    }

    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize {
        let mut place = [0; PLACE];
        match transaction {
            Transaction::Chunk { sending, number, attempt } => {
                place[0] = CHUNK | attempt & 0xF;
                place[1..4].copy_from_slice(&sending.index.to_be_bytes()[1..]);
                place[4..8].copy_from_slice(&sending.generation.to_be_bytes());
                place[8..].copy_from_slice(&number.to_be_bytes());
            }
            Transaction::Carried { piece, attempt } => {
                place[0] = CARRIED | attempt & 0xF;
                place[1..4].copy_from_slice(&piece.index.to_be_bytes()[1..]);
                place[4..8].copy_from_slice(&piece.generation.to_be_bytes());
            }
            Transaction::Report => {
                self.reports += 1;
                place[0] = REPORT;
                place[4..].copy_from_slice(&self.reports.to_be_bytes());
            }
        }
        let mut octets = [0; PLACE + 8];
        octets[..PLACE].copy_from_slice(&place);
        octets[PLACE..].copy_from_slice(&self.transaction_tag(place).to_be_bytes());
        for (letters, five) in to.as_chunks_mut::<8>().0.iter_mut().zip(octets.as_chunks::<5>().0) {
            let [a, b, c, d, e] = *five;
            let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
            for (letter, shift) in letters.iter_mut().zip((0..8).rev()) {
                *letter = LETTERS[(bits >> (5 * shift) & 0x1F) as usize];
            }
        }
        MSRP_IDENT_SIZE_MAX
    }

    fn transaction(&self, transaction_id: &[u8]) -> Option<Transaction> {
        let text: &[u8; MSRP_IDENT_SIZE_MAX] = transaction_id.try_into().ok()?;
        let mut octets = [0; PLACE + 8];
        for (five, letters) in octets.as_chunks_mut::<5>().0.iter_mut().zip(text.as_chunks::<8>().0)
        {
            let mut bits = 0_u64;
            for letter in letters {
                let value = match letter {
                    b'a'..=b'z' => letter - b'a',
                    b'2'..=b'7' => letter - b'2' + 26,
                    _ => return None,
                };
                bits = bits << 5 | u64::from(value);
            }
            let [.., a, b, c, d, e] = bits.to_be_bytes();
            *five = [a, b, c, d, e];
        }
        let (place, tag) = octets.split_first_chunk::<PLACE>()?;
        if self.transaction_tag(*place).to_be_bytes() != tag {
            return None;
        }
        let [kind, i0, i1, i2, g0, g1, g2, g3, n0, n1, n2, n3] = *place;
        if kind & 0xF0 == REPORT {
            return Some(Transaction::Report);
        }
        let index = u32::from_be_bytes([0, i0, i1, i2]);
        let generation = u32::from_be_bytes([g0, g1, g2, g3]);
        if kind & 0xF0 == CARRIED {
            let piece = PieceId::new(index, generation);
            return Some(Transaction::Carried { piece, attempt: kind & 0xF });
        }
        let sending = SendingId::new(index, generation);
        let number = u32::from_be_bytes([n0, n1, n2, n3]);
        Some(Transaction::Chunk { sending, number, attempt: kind & 0xF })
    }

    fn body(&self, owner: u64, start: u64, most: usize) -> &[u8] {
        let place = usize::try_from(owner >> 32).unwrap_or(usize::MAX);
        let at = place.saturating_mul(self.body_size);
        // What has no body may have any owner.
        let body = self.bodies.get(at..at.saturating_add(self.body_size)).unwrap_or_default();
        let rest = usize::try_from(start).ok().and_then(|start| body.get(start..));
        let rest = rest.unwrap_or_default();
        &rest[..most.min(rest.len())]
    }
}

/// Octets of a transaction identifier in front of its tag.
const PLACE: usize = 12;

const CHUNK: u8 = 0x10;
const REPORT: u8 = 0x20;
const CARRIED: u8 = 0x30;

/// Base 32 without case (RFC 4648 section 6), since a transport may look at an identifier without it.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Set the tags apart from each other and from every other use of the same key.
const SESSION: u64 = 0x5E55_0000 << 32;
const TRANSACTION: u64 = 0x7A4A_0000 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(epoch: u32) -> Desk {
        Desk::new((HashKey([1, 2]), 3, WorkerId(1), epoch), 2, 10)
    }

    #[test]
    fn what_is_minted_names_what_it_was_minted_for() {
        let mut desk = desk(4);
        let sending = SendingId::new(0x00AB_CDEF, 0xFFFF_FFFE);
        let of_chunk = Transaction::Chunk { sending, number: 0xFEDC_BA98, attempt: 3 };
        let mut text = [0; MSRP_IDENT_SIZE_MAX];
        let carried = Transaction::Carried { piece: PieceId::new(0x00AB_CDEF, 9), attempt: 15 };
        for transaction in [of_chunk, carried, Transaction::Report] {
            let len = desk.mint(transaction, &mut text);
            assert!(text.iter().all(u8::is_ascii_alphanumeric));
            assert_eq!(desk.transaction(&text[..len]), Some(transaction));
            for place in 0..len {
                let mut other = text;
                other[place] = if other[place] == b'a' { b'b' } else { b'a' };
                assert_eq!(desk.transaction(&other), None);
            }
        }
        let first = text;
        desk.mint(Transaction::Report, &mut text);
        assert_ne!(first, text, "no identifier is used twice");
    }

    #[test]
    fn h23_an_id_of_another_life_names_nothing() {
        let (mut one, other) = (desk(4), desk(5));
        let mut text = [0; MSRP_IDENT_SIZE_MAX];
        let sending = SendingId::new(1, 1);
        one.mint(Transaction::Chunk { sending, number: 0, attempt: 0 }, &mut text);
        assert_eq!(other.transaction(&text), None);
        let session = one.session_id(SessionId::new(7, 9));
        assert_eq!(one.session(&session), Some(7));
        assert_eq!(other.session(&session), None);
        for place in 0..session.len() {
            let mut guessed = session;
            guessed[place] = if guessed[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(one.session(&guessed), None);
        }
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is_asked_from() {
        let mut desk = desk(1);
        desk.body_mut(1).copy_from_slice(b"0123456789");
        assert_eq!(desk.body(1 << 32, 3, 4), b"3456");
        assert_eq!(desk.body(1 << 32, 8, 40), b"89");
        assert_eq!(desk.body(1 << 32, 10, 1), b"");
    }
}
