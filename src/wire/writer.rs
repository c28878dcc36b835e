//! Octets appended to a slice; `None` as soon as it is full.

/// A slice and how much of it is written.
pub(crate) struct Writer<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Before the first octet.
    pub(crate) const fn new(to: &'a mut [u8]) -> Self {
        Self { to, at: 0 }
    }

    /// How many octets are written.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Appends octets.
    pub(crate) fn put(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.at.checked_add(octets.len())?;
        self.to.get_mut(self.at..end)?.copy_from_slice(octets);
        self.at = end;
        Some(())
    }

    /// Appends one octet.
    pub(crate) fn put_octet(&mut self, octet: u8) -> Option<()> {
        *self.to.get_mut(self.at)? = octet;
        self.at = self.at.checked_add(1)?;
        Some(())
    }

    /// Appends a character in UTF-8.
    pub(crate) fn put_char(&mut self, character: char) -> Option<()> {
        match u8::try_from(character) {
            Ok(octet @ ..0x80) => self.put_octet(octet),
            _ => self.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Appends the length of what follows in one octet, and that.
    pub(crate) fn put_counted(&mut self, octets: &[u8]) -> Option<()> {
        self.put_octet(u8::try_from(octets.len()).ok()?)?;
        self.put(octets)
    }

    /// Appends a number in decimal with at least that many digits.
    pub(crate) fn put_decimal(&mut self, number: u32, digits_min: usize) -> Option<()> {
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

    /// Appends a header field with its CRLF; its name brings the colon.
    pub(crate) fn put_field(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.put(name)?;
        self.put(value)?;
        self.put(b"\r\n")
    }

    /// Appends a number in decimal.
    pub(crate) fn put_number(&mut self, number: u32) -> Option<()> {
        self.put_decimal(number, 1)
    }

    /// Appends a number in 16 hexadecimal digits.
    pub(crate) fn put_hex(&mut self, number: u64) -> Option<()> {
        let mut digits = [b'0'; 16];
        let mut left = number;
        for digit in digits.iter_mut().rev() {
            let value = char::from_digit(u32::from(left.to_le_bytes()[0] & 0x0F), 16);
            *digit = value.map_or(b'0', |value| value as u8);
            left >>= 4;
        }
        self.put(&digits)
    }
}

impl core::fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes()).ok_or(core::fmt::Error)
    }
}
