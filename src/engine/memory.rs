//! What is remembered of short messages, and the identifiers that lead back to it.
//!
//! Our Call-ID carries the key of the short message: it is the same for all attempts (hazard H13),
//! and a late response brings the key back with it, while its branch proves that we sent the request
//! (hazard H2). The key is a keyed hash, so that it says nothing to others.

use crate::delivery::{Memory, Verdict};
use crate::engine::Engine;
use crate::engine::record::Record;
use crate::id::Handle;
use crate::limits::TOMBSTONE_MS;
use crate::metrics::Counter;
use crate::store::Fingerprint;
use crate::time::Instant;

/// Hexadecimal digits of the key and of the salt in a Call-ID.
const KEY_DIGITS: usize = 32;
const SALT_DIGITS: usize = 4;

impl Engine {
    /// What is remembered under a key.
    pub(super) fn memory(&self, key: Fingerprint, now: Instant) -> Option<Memory> {
        self.memories.get(key, now).map(Memory::decode)
    }

    /// Remembers an outcome; never in the place of a delivery, which stays true.
    pub(super) fn remember(&mut self, key: Fingerprint, memory: Memory, now: Instant) {
        let known = self.memory(key, now).filter(|known| known.verdict == Verdict::Delivered);
        let kept = match known {
            Some(known) if memory.verdict != Verdict::Delivered => {
                Memory { attempt: known.attempt.max(memory.attempt), ..known }
            }
            Some(_) | None => memory,
        };
        let end = now.plus_ms(kept.life_ms(now, self.setup.gateway.permanent_window_ms));
        if self.memories.put_over(key, kept.encode(), now, end) {
            self.count(Counter::MemoriesEvicted);
        }
    }

    /// The report about an outcome was taken.
    pub(super) fn remember_reported(&mut self, key: Fingerprint, now: Instant) {
        if let Some(memory) = self.memory(key, now) {
            self.remember(key, Memory { reported: true, ..memory }, now);
        }
    }

    /// Leaves a tombstone for responses that come late. Beside the verdict and the status it holds
    /// who was asked, under which CSeq, and as much of the key as there is room for: a response must
    /// name the rest.
    pub(super) fn bury(
        &mut self,
        handle: Handle<Record>,
        key: Fingerprint,
        (peer, cseq): (u8, u32),
        (verdict, status): (Verdict, u16),
        now: Instant,
    ) {
        let said = (verdict as u64) << 16 | u64::from(status);
        let end = now.plus_ms(TOMBSTONE_MS);
        // A lost tombstone costs a duplicate at most.
        let _ =
            self.tombstones.put(self.grave(handle), mark(key, peer, cseq) << 19 | said, now, end);
    }

    /// Whether this peer was asked about this short message under this handle and this CSeq.
    pub(super) fn is_buried(
        &self,
        handle: Handle<Record>,
        key: Fingerprint,
        (peer, cseq): (u8, u32),
        now: Instant,
    ) -> bool {
        let found = self.tombstones.get(self.grave(handle), now);
        found.is_some_and(|value| value >> 19 == mark(key, peer, cseq))
    }

    /// Writes the Call-ID of our requests about a short message.
    pub(super) fn call_id<'a>(
        &self,
        key: Fingerprint,
        salt: u16,
        to: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let domain = self.setup.gateway.domain.as_bytes();
        let len = KEY_DIGITS + SALT_DIGITS + 1 + domain.len();
        let text = to.get_mut(..len)?;
        let (id, host) = text.split_at_mut_checked(KEY_DIGITS + SALT_DIGITS)?;
        let (key_digits, salt_digits) = id.split_at_mut_checked(KEY_DIGITS)?;
        let [low, high] = key.0;
        put_hex(u128::from(high) << 64 | u128::from(low), key_digits);
        put_hex(u128::from(salt), salt_digits);
        let (at, name) = host.split_first_mut()?;
        *at = b'@';
        name.copy_from_slice(domain);
        Some(text)
    }

    /// The tag of From in all requests about a short message.
    pub(super) fn tag_of_from(&self, key: Fingerprint, salt: u16) -> u64 {
        let [low, high] = key.0;
        self.setup.key.of_words(&[FROM_TAG | u64::from(salt), low, high]).0[0]
    }
}

/// The key and the salt in a Call-ID of ours.
pub(super) fn key_of_call_id(call_id: &[u8]) -> Option<(Fingerprint, u16)> {
    let (id, behind) = call_id.split_at_checked(KEY_DIGITS + SALT_DIGITS)?;
    if behind.first() != Some(&b'@') {
        return None;
    }
    let (key, salt) = id.split_at_checked(KEY_DIGITS)?;
    let (key, salt) = (hex(key)?, hex(salt)?);
    let low = u64::try_from(key & u128::from(u64::MAX)).ok()?;
    let high = u64::try_from(key >> 64).ok()?;
    Some((Fingerprint([low, high]), u16::try_from(salt).ok()?))
}

/// What a tombstone has room for, in 29 bits: 6 of the peer, 6 of the CSeq, 17 of the key.
const fn mark(key: Fingerprint, peer: u8, cseq: u32) -> u64 {
    (key.0[1] & ((1 << 17) - 1)) << 12 | ((cseq & 0x3F) as u64) << 6 | (peer & 0x3F) as u64
}

/// Writes a number in as many hexadecimal digits as there is room for.
pub(super) fn put_hex(number: u128, to: &mut [u8]) {
    let mut left = number;
    for digit in to.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(left & 0xF) as usize];
        left >>= 4;
    }
}

/// Reads hexadecimal digits.
pub(super) fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u128::from(value))
    })
}

/// Sets the tag of From apart from every other use of the same key.
const FROM_TAG: u64 = 0xF407_0000 << 32;

const _: () = assert!(crate::limits::PEERS_MAX <= 1 << 6);
