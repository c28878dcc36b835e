//! Entries with generations, and a free list threaded through them.

use crate::id::Handle;
use crate::store::prefetch;

const NONE: u32 = u32::MAX;

/// A fixed number of `T`, each reachable by a [`Handle`] for as long as it is the same `T`.
///
/// The entry freed last is used first, so that a worker with few open entries stays in the cache.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Box<[Entry<T>]>,
    free_head: u32,
    len: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    /// Allocates `capacity` empty entries.
    pub fn new(capacity: u32) -> Self {
        assert!(capacity > 0);
        let entry = |index: u32| Entry {
            generation: 0,
            next_free: if index + 1 == capacity { NONE } else { index + 1 },
            value: None,
        };
        Self { entries: (0..capacity).map(entry).collect(), free_head: 0, len: 0 }
    }

    /// Stores `value`, or gives it back when every entry is taken.
    pub fn insert(&mut self, value: T) -> Result<Handle<T>, T> {
        if self.free_head == NONE {
            return Err(value);
        }
        let index = self.free_head;
        let entry = &mut self.entries[index as usize];
        assert!(entry.value.is_none());
        self.free_head = entry.next_free;
        entry.value = Some(value);
        self.len += 1;
        Ok(Handle::new(index, entry.generation))
    }

    /// Empties an entry. Handles to it are dead from here on. An entry whose generation would
    /// wrap is retired, so that no handle ever comes to life again.
    pub fn remove(&mut self, handle: Handle<T>) -> Option<T> {
        let entry = self.entries.get_mut(handle.index as usize)?;
        if entry.generation != handle.generation {
            return None;
        }
        let value = entry.value.take()?;
        self.len -= 1;
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            entry.next_free = self.free_head;
            self.free_head = handle.index;
        }
        Some(value)
    }

    /// The entry, if it still holds what the handle was made for.
    pub fn get(&self, handle: Handle<T>) -> Option<&T> {
        let entry = self.entries.get(handle.index as usize)?;
        if entry.generation == handle.generation { entry.value.as_ref() } else { None }
    }

    /// The entry to change, if it still holds what the handle was made for.
    pub fn get_mut(&mut self, handle: Handle<T>) -> Option<&mut T> {
        let entry = self.entries.get_mut(handle.index as usize)?;
        if entry.generation == handle.generation { entry.value.as_mut() } else { None }
    }

    /// The live handle at `index`, for timers that know only the position.
    pub fn handle_at(&self, index: u32) -> Option<Handle<T>> {
        let entry = self.entries.get(index as usize)?;
        entry.value.as_ref().map(|_| Handle::new(index, entry.generation))
    }

    /// Starts to bring the entry at `index` into the cache.
    pub fn prefetch(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            prefetch(entry);
        }
    }

    /// How many entries are taken.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether no entry is taken.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every entry is taken or retired.
    pub const fn is_full(&self) -> bool {
        self.free_head == NONE
    }

    /// How many entries there are.
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Octets of one entry.
    pub const fn entry_size() -> usize {
        size_of::<Entry<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_dies_with_its_entry() {
        let mut slab = Slab::new(2);
        let first = slab.insert('a').unwrap();
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b').unwrap();
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
    }

    #[test]
    fn a_full_slab_gives_the_value_back() {
        let mut slab = Slab::new(1);
        let only = slab.insert(1).unwrap();
        assert!(slab.is_full());
        assert_eq!(slab.insert(2), Err(2));
        slab.remove(only);
        assert!(slab.insert(3).is_ok());
    }

    #[test]
    fn an_entry_is_retired_before_its_generation_wraps() {
        let mut slab = Slab::new(1);
        slab.entries[0].generation = u32::MAX;
        let last = slab.insert('z').unwrap();
        assert_eq!(slab.remove(last), Some('z'));
        assert!(slab.is_full());
        assert_eq!(slab.get(last), None);
        assert_eq!(slab.len(), 0);
    }
}
