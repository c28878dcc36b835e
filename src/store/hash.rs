//! SipHash-1-3 with 128 bits: strangers choose what is hashed, so the hash has a key.

/// A key that nobody outside the process knows. A simulator passes a seed instead.
#[derive(Clone, Copy)]
pub struct HashKey(pub [u64; 2]);

impl core::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

/// 128 bits that stand for an identifier somebody else minted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fingerprint(pub [u64; 2]);

impl HashKey {
    /// A hash that takes words and octets one after the other.
    pub const fn hasher(self) -> Hasher {
        let [k0, k1] = self.0;
        Hasher {
            v: [
                k0 ^ 0x736F_6D65_7073_6575,
                // The constant 0xEE sets the variant of 128 bits apart.
                k1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE,
                k0 ^ 0x6C79_6765_6E65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            words: 0,
        }
    }

    /// The fingerprint of `words`.
    pub fn of_words(self, words: &[u64]) -> Fingerprint {
        let mut hasher = self.hasher();
        for word in words {
            hasher.word(*word);
        }
        hasher.finish()
    }
}

/// A hash in the making.
#[derive(Clone, Copy, Debug)]
pub struct Hasher {
    v: [u64; 4],
    words: u64,
}

impl Hasher {
    /// Takes one word.
    pub const fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        round(&mut self.v);
        self.v[0] ^= word;
        self.words += 1;
    }

    /// Takes octets and how many they are, so that no two sequences of calls look alike.
    pub fn octets(&mut self, octets: &[u8]) {
        let (words, tail) = octets.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        // A tail holds at most seven octets: the eighth is free for the length.
        self.word(tail_word(tail) | (octets.len() as u64) << 56);
    }

    /// Takes octets as if ASCII letters in them were lower-case.
    pub fn octets_ignoring_case(&mut self, octets: &[u8]) {
        let (words, tail) = octets.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(word.map(|octet| octet.to_ascii_lowercase())));
        }
        let last = tail_word(tail).to_le_bytes().map(|octet| octet.to_ascii_lowercase());
        self.word(u64::from_le_bytes(last) | (octets.len() as u64) << 56);
    }

    /// The fingerprint of everything taken.
    pub const fn finish(self) -> Fingerprint {
        let mut v = self.v;
        let tail = (self.words * 8) << 56;
        v[3] ^= tail;
        round(&mut v);
        v[0] ^= tail;
        v[2] ^= 0xEE;
        rounds_of_finish(&mut v);
        let low = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xDD;
        rounds_of_finish(&mut v);
        Fingerprint([low, v[0] ^ v[1] ^ v[2] ^ v[3]])
    }
}

/// At most seven octets as a word, least significant first.
const fn tail_word(tail: &[u8]) -> u64 {
    match *tail {
        [] => 0,
        [a] => a as u64,
        [a, b] => u16::from_le_bytes([a, b]) as u64,
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]) as u64,
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as u64,
        [a, b, c, d, e] => u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
        [a, b, c, d, e, f] => u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
        [a, b, c, d, e, f, g, ..] => u64::from_le_bytes([a, b, c, d, e, f, g, 0]),
    }
}

const fn rounds_of_finish(v: &mut [u64; 4]) {
    round(v);
    round(v);
    round(v);
}

const fn round(v: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *v;
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;
    use siphasher::sip128::{Hasher128 as _, SipHasher13};
    use std::hash::Hasher as _;

    #[test]
    fn agrees_with_an_independent_siphash() {
        let key = HashKey([0x0123_4567_89AB_CDEF, 42]);
        for words in [&[][..], &[1], &[1, 2], &[u64::MAX, 0, 7, 1 << 63]] {
            let mut reference = SipHasher13::new_with_keys(key.0[0], key.0[1]);
            for word in words {
                reference.write(&word.to_le_bytes());
            }
            let hash = reference.finish128();
            assert_eq!(key.of_words(words), Fingerprint([hash.h1, hash.h2]));
        }
    }

    #[test]
    fn octets_are_told_apart_by_length_and_place() {
        let of = |parts: &[&[u8]]| {
            let mut hasher = HashKey([1, 2]).hasher();
            for part in parts {
                hasher.octets(part);
            }
            hasher.finish()
        };
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"a"]), of(&[b"a\0"]));
        assert_ne!(of(&[b"12345678"]), of(&[b"12345678", b""]));
        assert_eq!(of(&[b"12345678", b"9"]), of(&[b"12345678", b"9"]));
    }

    #[test]
    fn case_is_ignored_on_request() {
        let of = |part: &[u8]| {
            let mut hasher = HashKey([1, 2]).hasher();
            hasher.octets_ignoring_case(part);
            hasher.finish()
        };
        assert_eq!(of(b"Gateway.Example:5060"), of(b"gateway.eXample:5060"));
        assert_ne!(of(b"gateway.example:5060"), of(b"gateway.example:5061"));
    }

    #[test]
    fn a_key_does_not_print_itself() {
        use std::fmt::Write as _;
        let mut shown = String::new();
        write!(shown, "{:?}", HashKey([7, 8])).unwrap();
        assert_eq!(shown, "HashKey(secret)");
    }
}
