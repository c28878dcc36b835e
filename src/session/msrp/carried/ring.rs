//! Octets that have come and not left: one ring for each message that is carried.

/// Where the octets of one of them are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    start: usize,
    len: usize,
}

/// The room for all of them.
#[derive(Debug)]
pub(super) struct Rings {
    octets: Box<[u8]>,
    size: usize,
}

impl Rings {
    /// Allocates and touches it.
    pub(super) fn new(count: u32, size: usize) -> Self {
        let mut octets: Box<[u8]> = core::iter::repeat_n(0, count as usize * size).collect();
        octets.fill(0xFF);
        Self { octets, size }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// How many more octets fit.
    pub(super) const fn room(&self, ring: Ring) -> usize {
        self.size - ring.len
    }

    fn of(&self, place: u32) -> &[u8] {
        let at = place as usize * self.size;
        &self.octets[at..at + self.size]
    }

    /// Adds octets, for which there is room.
    pub(super) fn put(&mut self, place: u32, ring: &mut Ring, octets: &[u8]) {
        debug_assert!(octets.len() <= self.room(*ring), "no more is read than has room");
        let end = (ring.start + ring.len) % self.size;
        let until_wrap = octets.len().min(self.size - end);
        let (first, second) = octets.split_at(until_wrap);
        let at = place as usize * self.size;
        let it = &mut self.octets[at..at + self.size];
        it[end..end + first.len()].copy_from_slice(first);
        it[..second.len()].copy_from_slice(second);
        ring.len += octets.len();
    }

    /// The octets that are there, oldest first, but for those behind `most`.
    pub(super) fn both(&self, place: u32, ring: Ring, most: u64) -> [&[u8]; 2] {
        let len = usize::try_from(most).unwrap_or(usize::MAX).min(ring.len);
        let it = self.of(place);
        let until_wrap = len.min(self.size - ring.start);
        [&it[ring.start..ring.start + until_wrap], &it[..len - until_wrap]]
    }

    /// So many of the oldest octets have left.
    pub(super) fn take(&self, ring: &mut Ring, octets: usize) {
        let octets = octets.min(ring.len);
        ring.len -= octets;
        ring.start = if ring.len == 0 { 0 } else { (ring.start + octets) % self.size };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain queue, at every place of the wrap.
    #[test]
    fn a_ring_is_a_queue() {
        for step in 1..17 {
            let mut rings = Rings::new(2, 16);
            let (mut ring, mut plain, mut next) = (Ring::default(), Vec::new(), 0_u8);
            for round in 0..200 {
                let count = (round * step) % (rings.room(ring) + 1);
                let new: Vec<u8> = (0..count).map(|_| next).inspect(|_| ()).collect();
                let new: Vec<u8> = new
                    .iter()
                    .map(|_| {
                        next = next.wrapping_add(1);
                        next
                    })
                    .collect();
                rings.put(1, &mut ring, &new);
                plain.extend(new);
                let most = (round * 7) % 20;
                let both = rings.both(1, ring, most as u64).concat();
                assert_eq!(both, plain[..plain.len().min(most)]);
                let out = (round * 5) % 9;
                rings.take(&mut ring, out);
                plain.drain(..out.min(plain.len()));
                assert_eq!(rings.room(ring), 16 - plain.len());
            }
            assert!(rings.of(0).iter().all(|octet| *octet == 0xFF), "another one's");
        }
    }
}
