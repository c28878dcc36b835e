//! All chance of a run, from one seed.

/// xoshiro256** by Blackman and Vigna: short, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// The stream that belongs to `seed`; neighbouring seeds give unrelated streams.
    pub(crate) fn new(seed: u64) -> Self {
        let mut word = seed;
        let state = core::array::from_fn(|_| {
            // SplitMix64, as its authors recommend for seeding.
            word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        });
        Self { state }
    }

    /// A stream of its own for one part of the world, so that a draw more in one part leaves the
    /// others as they were.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.word())
    }

    /// 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let c = c ^ a;
        let d = d ^ b;
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// Uniform below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.word()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Uniform from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A position in something that has `len` of them.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `items`.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// True once in `count` draws.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// True `share` times in ten thousand.
    pub(crate) fn share(&mut self, share: u64) -> bool {
        share > 0 && self.below(10_000) < share
    }

    /// About exponential with this mean: the leading zeros of a random word are geometric, and a
    /// uniform fraction fills the steps. No floating point, so no machine differs.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        let halvings = u64::from(self.word().leading_zeros());
        let fraction = self.below(1_000);
        // ln 2 = 0.693: the mean time in which the survivors halve.
        mean * 693 / 1_000 * (halvings * 1_000 + fraction) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_stream() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            core::array::from_fn::<u64, 8, _>(|_| chance.word())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn draws_stay_in_range_and_reach_its_ends() {
        let mut chance = Chance::new(1);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[chance.index(5)] = true;
            assert!((3..=9).contains(&chance.between(3, 9)));
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn the_exponential_has_its_mean() {
        let mut chance = Chance::new(2);
        let sum: u64 = (0..100_000).map(|_| chance.exponential(1_000)).sum();
        let mean = sum / 100_000;
        assert!((950..1_100).contains(&mean), "{mean}");
    }
}
