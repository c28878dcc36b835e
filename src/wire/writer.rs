//! Octets appended to a slice; `None` as soon as it is full.

/// A slice and how much of it is written.
pub(super) struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Before the first octet.
    pub(super) const fn new(to: &'a mut [u8]) -> Self {
        Self { to, at: 0 }
    }

    /// How many octets are written.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Appends octets.
    pub(super) fn put(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.at.checked_add(octets.len())?;
        self.to.get_mut(self.at..end)?.copy_from_slice(octets);
        self.at = end;
        Some(())
    }

    /// Appends one octet.
    pub(super) fn put_octet(&mut self, octet: u8) -> Option<()> {
        *self.to.get_mut(self.at)? = octet;
        self.at = self.at.checked_add(1)?;
        Some(())
    }

    /// Appends a character in UTF-8.
    pub(super) fn put_char(&mut self, character: char) -> Option<()> {
        match u8::try_from(character) {
            Ok(octet @ ..0x80) => self.put_octet(octet),
            _ => self.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Appends the length of what follows in one octet, and that.
    pub(super) fn put_counted(&mut self, octets: &[u8]) -> Option<()> {
        self.put_octet(u8::try_from(octets.len()).ok()?)?;
        self.put(octets)
    }

    /// Appends a number in decimal with at least that many digits.
    pub(super) fn put_decimal(&mut self, number: u32, digits_min: usize) -> Option<()> {
        let mut digits = [b'0'; 10];
        let mut left = number;
        let mut count: usize = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' | left.rem_euclid(10).to_le_bytes()[0];
            left = left.div_euclid(10);
            count = count.saturating_add(1);
            if left == 0 && count >= digits_min {
                break;
            }
        }
        self.put(digits.get(digits.len().checked_sub(count)?..)?)
    }
}
