//! A fixed number of octet buffers of one size.

/// A buffer that somebody holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Buffer(u32);

/// Buffers of `SIZE` octets; the one given back last is taken first.
#[derive(Debug)]
pub struct Pool<const SIZE: usize> {
    octets: Box<[[u8; SIZE]]>,
    free: Box<[u32]>,
    free_len: usize,
}

impl<const SIZE: usize> Pool<SIZE> {
    /// Allocates and touches `capacity` buffers.
    pub fn new(capacity: u32) -> Self {
        let mut octets: Box<[[u8; SIZE]]> =
            core::iter::repeat_n([0; SIZE], capacity as usize).collect();
        for buffer in &mut octets {
            buffer.fill(0xFF);
        }
        Self { octets, free: (0..capacity).rev().collect(), free_len: capacity as usize }
    }

    /// Takes a buffer, unless all are held.
    pub fn take(&mut self) -> Option<Buffer> {
        self.free_len = self.free_len.checked_sub(1)?;
        Some(Buffer(self.free[self.free_len]))
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buffer: Buffer) {
        self.free[self.free_len] = buffer.0;
        self.free_len += 1;
    }

    /// Octets of all buffers.
    pub fn size(&self) -> usize {
        size_of_val(&*self.octets)
    }

    /// How many buffers are free.
    pub const fn free(&self) -> usize {
        self.free_len
    }

    /// The octets of a buffer.
    pub fn octets(&self, buffer: Buffer) -> &[u8; SIZE] {
        &self.octets[buffer.0 as usize]
    }

    /// The octets of a buffer, to be written.
    pub fn octets_mut(&mut self, buffer: Buffer) -> &mut [u8; SIZE] {
        &mut self.octets[buffer.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_lent_one_at_a_time() {
        let mut pool = Pool::<4>::new(2);
        let first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert_ne!(first, second);
        assert_eq!(pool.take(), None);
        pool.octets_mut(first)[0] = 7;
        assert_eq!(pool.octets(second)[0], 0xFF);
        pool.give(first);
        assert_eq!(pool.take(), Some(first));
        assert_eq!(pool.octets(first)[0], 7);
    }
}
