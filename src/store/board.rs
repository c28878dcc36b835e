//! Places that one thread writes and another may read when the first no longer can.

use crate::store::sync::{Acquire, AtomicU64, Relaxed, Release};

/// Places of a few words each, all zero where nothing is written. Whoever writes is alone; whoever
/// reads sees of a place what was written to it before, or that it is empty.
#[derive(Debug)]
pub struct Board<const WORDS: usize> {
    places: Box<[[AtomicU64; WORDS]]>,
}

impl<const WORDS: usize> Board<WORDS> {
    /// Octets of one place.
    pub const PLACE_SIZE: usize = WORDS * size_of::<u64>();

    /// So many empty places.
    pub fn new(places: u32) -> Self {
        let place = || core::array::from_fn(|_| AtomicU64::new(0));
        Self { places: core::iter::repeat_with(place).take(places as usize).collect() }
    }

    /// Writes to an empty place. The first word says that something is there, and is not zero.
    pub fn write(&self, index: u32, words: [u64; WORDS]) {
        let place = &self.places[index as usize];
        for (to, word) in place.iter().zip(words).skip(1) {
            to.store(word, Relaxed);
        }
        // The others are there for whoever sees this one.
        place[0].store(words[0], Release);
    }

    /// Sets bits of the first word of a place that is not empty.
    pub fn mark(&self, index: u32, bits: u64) {
        let first = &self.places[index as usize][0];
        first.store(first.load(Relaxed) | bits, Release);
    }

    /// Empties a place.
    pub fn clear(&self, index: u32) {
        self.places[index as usize][0].store(0, Relaxed);
    }

    /// What stands in the places that are not empty.
    pub fn read(&self) -> impl Iterator<Item = [u64; WORDS]> {
        self.places.iter().filter_map(|place| {
            let first = place[0].load(Acquire);
            let mut words = core::array::from_fn(|at| if at == 0 { first } else { 0 });
            for (word, from) in words.iter_mut().zip(place).skip(1) {
                *word = from.load(Relaxed);
            }
            (first != 0).then_some(words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_until_it_is_cleared() {
        let board = Board::new(3);
        board.write(2, [1, 20, 30]);
        board.write(0, [4, 50, 60]);
        board.mark(2, 8);
        assert_eq!(board.read().collect::<Vec<_>>(), [[4, 50, 60], [9, 20, 30]]);
        board.clear(0);
        assert_eq!(board.read().collect::<Vec<_>>(), [[9, 20, 30]]);
        board.write(0, [1, 2, 3]);
        assert_eq!(board.read().next(), Some([1, 2, 3]));
    }
}
