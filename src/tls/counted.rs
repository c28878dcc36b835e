//! How many connections and handshakes there are at once, in all and of each source.

use core::cell::{Cell, RefCell};

/// How many there are, in all and of each source that has a number.
pub(super) struct Count {
    all: Cell<u32>,
    sources: Box<[Cell<u32>]>,
}

impl Count {
    /// None of so many sources.
    pub(super) fn new(sources: usize) -> Self {
        Self { all: Cell::new(0), sources: (0..sources).map(|_| Cell::new(0)).collect() }
    }

    /// Counts one more unless there are too many.
    pub(super) fn take(
        &self,
        source: usize,
        all_max: u32,
        per_source_max: u32,
    ) -> Option<Taken<'_>> {
        let of_source = self.sources.get(source)?;
        if self.all.get() >= all_max || of_source.get() >= per_source_max {
            return None;
        }
        self.all.set(self.all.get() + 1);
        of_source.set(of_source.get() + 1);
        Some(Taken { count: self, source })
    }
}

/// One that is counted, for as long as it is.
pub(super) struct Taken<'a> {
    count: &'a Count,
    source: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Count { all, sources } = self.count;
        all.set(all.get() - 1);
        if let Some(of_source) = sources.get(self.source) {
            of_source.set(of_source.get() - 1);
        }
    }
}

/// The addresses of those who do something that takes a moment, where nobody is known beforehand.
#[derive(Default)]
pub(super) struct Crowd(RefCell<Vec<[u8; 16]>>);

impl Crowd {
    /// One more from this address, unless there are too many.
    pub(super) fn enter(
        &self,
        ip: [u8; 16],
        all_max: usize,
        per_address_max: usize,
    ) -> Option<Entered<'_>> {
        let mut all = self.0.borrow_mut();
        if all.len() >= all_max || all.iter().filter(|one| **one == ip).count() >= per_address_max {
            return None;
        }
        all.push(ip);
        Some(Entered { crowd: self, ip })
    }
}

/// One of a crowd, for as long as it is.
pub(super) struct Entered<'a> {
    crowd: &'a Crowd,
    ip: [u8; 16],
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut all = self.crowd.0.borrow_mut();
        if let Some(at) = all.iter().position(|one| *one == self.ip) {
            all.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_has_room_for_others_than_those_of_one_address() {
        let crowd = Crowd::default();
        let enter = |last| crowd.enter([last; 16], 3, 2);
        let first = enter(1).unwrap();
        let second = enter(1).unwrap();
        assert!(enter(1).is_none(), "two of one address");
        let other = enter(2).unwrap();
        assert!(enter(3).is_none(), "three in all");
        drop(first);
        let _again = enter(1).unwrap();
        drop((second, other));
        assert!(enter(3).is_some());
    }
}
