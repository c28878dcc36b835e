//! Short octet strings that are kept.

/// At most `N` octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Text<const N: usize> {
    octets: [u8; N],
    len: u16,
}

impl<const N: usize> Text<N> {
    pub(super) const EMPTY: Self = Self { octets: [0; N], len: 0 };

    /// Keeps them, if they fit.
    pub(super) fn of(octets: &[u8]) -> Option<Self> {
        let mut text = Self::EMPTY;
        text.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        text.len = u16::try_from(octets.len()).ok()?;
        Some(text)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}
