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
}

/// A number in 16 hexadecimal digits in small letters, most significant first.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    /// Eight digits at once, an octet for each: each half is moved away from the other until every digit
    /// has an octet of its own.
    const fn digits(half: u32) -> u64 {
        let quarters = half as u64;
        let octets = (quarters | quarters << 16) & 0x0000_FFFF_0000_FFFF;
        let nibbles = (octets | octets << 8) & 0x00FF_00FF_00FF_00FF;
        let values = (nibbles | nibbles << 4) & 0x0F0F_0F0F_0F0F_0F0F;
        // 1 where the digit is a letter, which stands 39 places further on than it would as a digit.
        let letters = values.wrapping_add(0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        values.wrapping_add(0x3030_3030_3030_3030).wrapping_add(letters.wrapping_mul(39))
    }
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let (front, back) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    let text = u128::from(digits(front)) << 64 | u128::from(digits(back));
    text.to_be_bytes()
}

impl core::fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes()).ok_or(core::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_those_of_a_loop() {
        let mut number = 0x0123_4567_89AB_CDEF_u64;
        for _ in 0..1_000 {
            assert_eq!(hexadecimal(number), format!("{number:016x}").as_bytes());
            number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(7) ^ 0x5A;
        }
        for number in [0, u64::MAX, 0x9A, 1 << 63] {
            assert_eq!(hexadecimal(number), format!("{number:016x}").as_bytes());
        }
    }
}
