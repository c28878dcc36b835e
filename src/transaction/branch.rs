//! Branches that say where their transaction is, and prove that this process made them.
//!
//! A branch carries node, boot epoch, worker, slab index, generation and attempt, a hash of what
//! the request asked for, and a tag that only the holder of the key can compute. Matching a
//! response is then a comparison: no table, no probe, nothing for a stranger to collide with or
//! to guess (RFC 3261 section 17.1.3 matches by branch; hazard H12 asks for 64 unguessable bits).
//!
//! ```text
//! z9hG4bK | node 2 | worker 2 | epoch 8 | index 8 | generation 8 | attempt 2 | loop 8 | tag 16
//! ```
//! All numbers are lower-case hexadecimal digits of fixed width, most significant first.

use crate::id::WorkerId;
use crate::store::HashKey;

/// RFC 3261 section 8.1.1.7: what a branch of this RFC begins with.
pub const MAGIC_COOKIE: &[u8; 7] = b"z9hG4bK";

/// Octets of a branch of ours, cookie included.
pub const BRANCH_SIZE: usize = MAGIC_COOKIE.len() + 2 * OCTETS;

const PLACE: usize = 19;
const OCTETS: usize = PLACE + 8;

/// What a branch of ours says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Branch {
    /// Which node of a group sent the request.
    pub node: u8,
    /// Which worker of it.
    pub worker: WorkerId,
    /// In which life of the process.
    pub epoch: u32,
    /// Where its record is.
    pub index: u32,
    /// Which life of that place.
    pub generation: u32,
    /// Which server of the list this request went to, from 0.
    pub attempt: u8,
    /// A hash of what makes a second visit of the same request a loop (RFC 3261 section 16.6
    /// step 8).
    pub loop_hash: u32,
}

impl Branch {
    /// The value of the branch parameter.
    pub fn encode(self, key: HashKey) -> [u8; BRANCH_SIZE] {
        let mut octets = [0; OCTETS];
        octets[..PLACE].copy_from_slice(&self.place());
        octets[PLACE..].copy_from_slice(&self.tag(key).to_be_bytes());
        let mut text = [0; BRANCH_SIZE];
        text[..MAGIC_COOKIE.len()].copy_from_slice(MAGIC_COOKIE);
        for (pair, octet) in
            text[MAGIC_COOKIE.len()..].as_chunks_mut::<2>().0.iter_mut().zip(octets)
        {
            *pair = [DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 0xF)]];
        }
        text
    }

    /// Reads a branch back. `None` means that this process did not make it.
    pub fn decode(text: &[u8], key: HashKey) -> Option<Self> {
        let text: &[u8; BRANCH_SIZE] = text.try_into().ok()?;
        let (cookie, digits) = text.split_first_chunk::<7>()?;
        // A proxy may change the case of a token (RFC 3261 section 7.3.1).
        if !cookie.eq_ignore_ascii_case(MAGIC_COOKIE) {
            return None;
        }
        let mut octets = [0; OCTETS];
        let mut seen = 0;
        for (octet, pair) in octets.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| VALUES[usize::from(digit)]);
            seen |= high | low;
            *octet = high << 4 | low & 0xF;
        }
        // Looked at once: responses with a branch of ours are the rule.
        if seen > 0xF {
            return None;
        }
        let [
            node,
            worker,
            e0,
            e1,
            e2,
            e3,
            i0,
            i1,
            i2,
            i3,
            g0,
            g1,
            g2,
            g3,
            attempt,
            a0,
            a1,
            a2,
            a3,
            tag @ ..,
        ] = octets;
        let branch = Self {
            node,
            worker: WorkerId(worker),
            epoch: u32::from_be_bytes([e0, e1, e2, e3]),
            index: u32::from_be_bytes([i0, i1, i2, i3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            attempt,
            loop_hash: u32::from_be_bytes([a0, a1, a2, a3]),
        };
        (branch.tag(key) == u64::from_be_bytes(tag)).then_some(branch)
    }

    fn place(self) -> [u8; PLACE] {
        let mut place = [0; PLACE];
        place[0] = self.node;
        place[1] = self.worker.0;
        place[2..6].copy_from_slice(&self.epoch.to_be_bytes());
        place[6..10].copy_from_slice(&self.index.to_be_bytes());
        place[10..14].copy_from_slice(&self.generation.to_be_bytes());
        place[14] = self.attempt;
        place[15..19].copy_from_slice(&self.loop_hash.to_be_bytes());
        place
    }

    fn tag(self, key: HashKey) -> u64 {
        let node = u64::from(self.node) << 16 | u64::from(self.worker.0) << 8;
        let words = [
            KIND | node | u64::from(self.attempt),
            u64::from(self.epoch) << 32 | u64::from(self.loop_hash),
            u64::from(self.index) << 32 | u64::from(self.generation),
        ];
        key.of_words(&words).0[0]
    }
}

/// Sets the tag of a branch apart from every other use of the same key.
const KIND: u64 = 0xB2A2_C400 << 32;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each octet as a hexadecimal digit, 0xFF where it is none.
static VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        let digit = DIGITS[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey([1, 2]);

    fn branch() -> Branch {
        Branch {
            node: 9,
            worker: WorkerId(3),
            epoch: 0x0102_0304,
            index: 0xDEAD_BEEF,
            generation: 7,
            attempt: 1,
            loop_hash: 0xCAFE_F00D,
        }
    }

    #[test]
    fn a_branch_comes_back() {
        let text = branch().encode(KEY);
        assert_eq!(Branch::decode(&text, KEY), Some(branch()));
        assert!(text.starts_with(b"z9hG4bK0903"));
        assert_eq!(Branch::decode(&text.to_ascii_uppercase(), KEY), Some(branch()));
    }

    #[test]
    fn a_stranger_cannot_make_one() {
        let guess = branch().encode(HashKey([1, 3]));
        assert_eq!(Branch::decode(&guess, KEY), None);
        assert_eq!(Branch::decode(b"z9hG4bKnot-ours", KEY), None);
    }

    #[test]
    fn no_digit_can_be_changed() {
        let text = branch().encode(KEY);
        for at in MAGIC_COOKIE.len()..text.len() {
            let mut changed = text;
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(Branch::decode(&changed, KEY), None, "digit {at}");
        }
    }
}
