//! Server transactions by the branch that a client minted: as large as a table that remembers 32 s of
//! messages must be, touched at start, its entries prefetched for a batch together.
#![expect(unsafe_code, reason = "prefetching takes a raw pointer")]

use crate::batch::Address;

/// A transaction, in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Entry {
    fingerprint: u64,
    /// The number of the request that wrote it; zero when nothing did.
    pub sequence: u64,
    /// Where that came from.
    pub source: Address,
}

/// Entries that are looked at for one fingerprint; the oldest of them gives way.
const PROBES_MAX: usize = 4;

/// All transactions.
#[derive(Debug)]
pub struct Table {
    entries: Box<[Entry]>,
    sequence: u64,
}

impl Table {
    /// Allocates and touches everything.
    pub fn new(entries: usize) -> Self {
        let empty = Entry { fingerprint: 0, sequence: 0, source: Address::default() };
        let mut entries: Box<[Entry]> =
            std::iter::repeat_n(empty, entries.next_power_of_two()).collect();
        // A page of zeros is not memory yet; an odd number everywhere is.
        for entry in &mut entries {
            entry.fingerprint = 1;
        }
        Self { entries, sequence: 0 }
    }

    /// The number of the last request that was new.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where the search for a fingerprint begins.
    pub fn index(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint >> 32).unwrap_or(0) & (self.entries.len() - 1)
    }

    /// One entry.
    ///
    /// # Panics
    ///
    /// Panics if there is none at this index.
    pub const fn entry(&self, index: usize) -> Entry {
        self.entries[index]
    }

    /// Finds the entry of a retransmission, or makes room for a new one: its index and its number.
    pub fn insert(&mut self, fingerprint: u64, source: Address) -> (usize, u64) {
        let home = self.index(fingerprint);
        let mask = self.entries.len() - 1;
        let mut chosen = home;
        for probe in 0..PROBES_MAX {
            let index = (home + probe) & mask;
            let entry = self.entries[index];
            if entry.fingerprint == fingerprint && entry.sequence != 0 {
                return (index, entry.sequence);
            }
            if entry.sequence < self.entries[chosen].sequence {
                chosen = index;
            }
            if entry.sequence == 0 {
                break;
            }
        }
        self.sequence += 1;
        self.entries[chosen] = Entry { fingerprint, sequence: self.sequence, source };
        (chosen, self.sequence)
    }

    /// Has an entry fetched meanwhile; nothing if there is none.
    pub fn prefetch(&self, index: usize) -> Option<()> {
        prefetch(self.entries.get(index)?);
        Some(())
    }
}

/// Mixes a branch into 64 bits, eight octets at a time. Nobody attacks a bare relay.
pub fn fingerprint(octets: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut mixed = MULTIPLIER;
    let (words, rest) = octets.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for word in words.iter().chain([&last]) {
        mixed = (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> 29;
    }
    mixed
}

/// Has the memory behind a reference fetched.
pub fn prefetch<T>(entry: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint about an address; this one is a live reference.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(entry).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = entry;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retransmission_finds_its_entry() {
        let mut table = Table::new(8);
        let source = Address::default();
        let (one, other) = (fingerprint(b"0123456789"), fingerprint(b"0123456780"));
        let first = table.insert(one, source);
        assert_eq!(table.insert(other, source).1, 2);
        assert_eq!(table.insert(one, source), first);
        assert_eq!((table.sequence(), table.entry(first.0).sequence), (2, 1));
        assert_eq!((table.prefetch(7), table.prefetch(8)), (Some(()), None));
    }
}
