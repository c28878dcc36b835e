//! One number for everything that happened: the same seed must give the same.

/// A running hash over octets and words. It guards against chance, not against anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    pub(crate) const fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 29);
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.word(octets.len() as u64);
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for octet in rest {
            self.word(u64::from(*octet));
        }
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_octet_and_each_length_counts() {
        let of = |pieces: &[&[u8]]| {
            let mut digest = Digest::new();
            for piece in pieces {
                digest.octets(piece);
            }
            digest.value()
        };
        let base: &[&[u8]] = &[b"0123456789", b"x"];
        assert_eq!(of(base), of(base));
        let changes: [&[&[u8]]; 3] =
            [&[b"0123456788", b"x"], &[b"1123456789", b"x"], &[b"0123456789x"]];
        for other in changes {
            assert_ne!(of(base), of(other));
        }
    }
}
