//! Copies of final responses that say more than their status: challenges, reasons, bodies.

use crate::limits::KEPT_SIZE;
use crate::store::Fingerprint;

/// The most recent such responses; the oldest gives way.
#[derive(Debug)]
pub(super) struct Kept {
    responses: Box<[Response]>,
    next: u16,
}

#[derive(Clone, Debug)]
struct Response {
    fingerprint: Fingerprint,
    len: u16,
    octets: [u8; KEPT_SIZE],
}

impl Kept {
    pub(super) fn new(capacity: u16) -> Self {
        let empty =
            Response { fingerprint: Fingerprint::default(), len: 0, octets: [0xFF; KEPT_SIZE] };
        Self { responses: core::iter::repeat_n(empty, usize::from(capacity)).collect(), next: 0 }
    }

    /// Copies a response, if it is not too long; returns where.
    pub(super) fn keep(&mut self, fingerprint: Fingerprint, octets: &[u8]) -> Option<u16> {
        let len = u16::try_from(octets.len()).ok()?;
        let at = self.next;
        let kept = self.responses.get_mut(usize::from(at))?;
        kept.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        kept.len = len;
        kept.fingerprint = fingerprint;
        self.next = if usize::from(at) + 1 == self.responses.len() { 0 } else { at + 1 };
        Some(at)
    }

    /// The response to the request with this fingerprint, if it is still there.
    pub(super) fn get(&self, at: u16, fingerprint: Fingerprint) -> Option<&[u8]> {
        let kept = self.responses.get(usize::from(at))?;
        (kept.fingerprint == fingerprint).then(|| &kept.octets[..usize::from(kept.len)])
    }

    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.responses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_is_not_mistaken_for_another() {
        let of = |n: u64| Fingerprint([n, n]);
        let mut kept = Kept::new(2);
        let first = kept.keep(of(1), b"one").unwrap();
        let second = kept.keep(of(2), b"two").unwrap();
        assert_eq!(kept.get(first, of(1)), Some(&b"one"[..]));
        assert_eq!(kept.keep(of(3), b"three"), Some(first));
        assert_eq!(kept.get(first, of(1)), None);
        assert_eq!(kept.get(second, of(2)), Some(&b"two"[..]));
        assert_eq!(kept.keep(of(4), &[0; KEPT_SIZE + 1]), None);
        assert_eq!(kept.get(second, of(2)), Some(&b"two"[..]));
    }
}
