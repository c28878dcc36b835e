//! The addresses of both layers: semi-octets, or letters of the default alphabet in the TP layer
//! (TS 23.040 clause 9.1.2.5, TS 24.011 clauses 8.2.5.1 and 8.2.5.2).

use super::alphabet::{self, Packer};
use crate::wire::Malformed;
use crate::wire::cursor::Cursor;
use crate::wire::writer::Writer;

/// The most octets behind the type of address, in both layers.
const VALUE_SIZE_MAX: usize = 10;

/// The most semi-octets.
const DIGITS_MAX: u8 = 20;

/// The digits of TS 23.040 clause 9.1.2.3, in the letters of TS 24.008 table 10.5.118. The
/// sixteenth is the filler.
const DIGITS: &[u8; 15] = b"0123456789*#abc";

/// The semi-octet that fills the last octet of an odd number of digits.
const FILLER: u8 = 0x0F;

/// An address: a type of address, and an octet for two digits, the first of them in the low half.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Address<'a> {
    /// The type of number, 0 to 7: 0 unknown, 1 international, 2 national, 3 network specific,
    /// 4 subscriber, 5 alphanumeric, 6 abbreviated, 7 reserved, which is read as unknown.
    pub ton: u8,
    /// The numbering plan, 0 to 15: 1 is E.164.
    pub npi: u8,
    /// How many semi-octets there are, the filler not included.
    pub digits: u8,
    octets: &'a [u8],
    packed: bool,
}

impl<'a> Address<'a> {
    /// The most octets that [`Self::write`] writes: eleven letters of two octets each.
    pub const TEXT_SIZE_MAX: usize = 22;

    /// Whether it is a name in letters (type of number 5), which only the TP layer has.
    pub const fn is_alphanumeric(&self) -> bool {
        self.packed
    }

    /// Whether it is a number with its country code (type of number 1).
    pub const fn is_international(&self) -> bool {
        self.ton == 1
    }

    /// The octets behind the type of address, as they came.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// An address in digits: `0` to `9`, `*`, `#`, `a`, `b` and `c`, twenty at most. `None` if there
    /// are others or more, or if `ton` or `npi` are beyond 7 and 15.
    pub fn of_digits(
        ton: u8,
        npi: u8,
        digits: &str,
        room: &'a mut [u8; VALUE_SIZE_MAX],
    ) -> Option<Self> {
        let count = u8::try_from(digits.len()).ok().filter(|count| *count <= DIGITS_MAX)?;
        if ton > 7 || npi > 15 {
            return None;
        }
        for (pair, octet) in digits.as_bytes().chunks(2).zip(room.iter_mut()) {
            let low = semi_octet(*pair.first()?)?;
            let high = pair.get(1).map_or(Some(FILLER), |digit| semi_octet(*digit))?;
            *octet = high << 4 | low;
        }
        let octets = room.get(..usize::from(count).div_ceil(2))?;
        Some(Self { ton, npi, digits: count, octets, packed: false })
    }

    /// A name in up to eleven septets of the default alphabet; `None` if it does not fit in there.
    ///
    /// Of eight septets the last one must not be `@`: it would be read as padding.
    pub fn of_letters(name: &str, room: &'a mut [u8; VALUE_SIZE_MAX]) -> Option<Self> {
        room.fill(0);
        let mut packer = Packer::new(room, 0);
        packer.put_text(name)?;
        let count = packer.count();
        let octets = room.get(..alphabet::octets_of_septets(count))?;
        let digits = u8::try_from(count.checked_mul(7)?.div_ceil(4)).ok()?;
        Some(Self { ton: 5, npi: 0, digits, octets, packed: true })
    }

    /// Writes the digits, or the name in UTF-8; no `+` before an international number. `None` if
    /// there is no room.
    pub fn write(&self, to: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(to);
        if self.packed {
            alphabet::read_septets(self.octets, 0, self.letters(), &mut writer)?;
        } else {
            for index in 0..self.digits {
                let octet = *self.octets.get(usize::from(index >> 1))?;
                let digit = if index & 1 == 0 { octet & 0x0F } else { octet >> 4 };
                writer.put_octet(*DIGITS.get(usize::from(digit))?)?;
            }
        }
        Some(writer.at())
    }

    /// How many septets a name has. Seven of them take thirteen semi-octets, but many senders count
    /// whole octets, and fourteen semi-octets would be eight: the eighth is padding if it is zero.
    fn letters(&self) -> usize {
        let count = usize::from(self.digits).saturating_mul(4).div_euclid(7);
        let padded = count == 8 && self.octets.get(6).is_some_and(|octet| octet >> 1 == 0);
        if padded { 7 } else { count }
    }

    /// Reads an address of the TP layer: its length in semi-octets, its type, its value.
    pub(super) fn read(cursor: &mut Cursor<'a>, expected: &'static str) -> Result<Self, Malformed> {
        let missing = Malformed { expected, at: cursor.at() };
        let digits = cursor.octet().ok_or(missing)?;
        if digits > DIGITS_MAX {
            return Err(Malformed { expected: "an address of up to 20 semi-octets", ..missing });
        }
        let (ton, npi) = read_type(cursor)?;
        let at = cursor.at();
        let count = usize::from(digits).div_ceil(2);
        let octets = cursor.octets(count).ok_or(Malformed { expected, at })?;
        let address = Self { ton, npi, digits, octets, packed: ton == 5 };
        match address.wrong_octet() {
            Some(wrong) if !address.packed => Err(Malformed {
                expected: "digits, and a filler behind an odd number of them only",
                at: at.saturating_add(wrong),
            }),
            _ => Ok(address),
        }
    }

    /// Reads the address of a service centre in the RP layer: its length in octets, the type
    /// included, its type, its value. `None` where the length is 0.
    pub(in crate::wire) fn read_in_rp(
        cursor: &mut Cursor<'a>,
        expected: &'static str,
    ) -> Result<Option<Self>, Malformed> {
        let missing = Malformed { expected, at: cursor.at() };
        let count = match cursor.octet().ok_or(missing)? {
            0 => return Ok(None),
            length @ 2..=11 => usize::from(length).saturating_sub(1),
            _ => return Err(Malformed { expected: "an address of 2 to 11 octets", ..missing }),
        };
        let (ton, npi) = read_type(cursor)?;
        let at = cursor.at();
        let octets = cursor.octets(count).ok_or(Malformed { expected, at })?;
        let filled = octets.last().is_some_and(|octet| octet >> 4 == FILLER);
        let digits = count.saturating_mul(2).saturating_sub(usize::from(filled));
        let digits = u8::try_from(digits).unwrap_or(DIGITS_MAX);
        let address = Self { ton, npi, digits, octets, packed: false };
        match address.wrong_octet() {
            None => Ok(Some(address)),
            Some(wrong) => Err(Malformed {
                expected: "digits, and a filler behind an odd number of them only",
                at: at.saturating_add(wrong),
            }),
        }
    }

    /// The first octet whose halves are not what the number of digits says.
    fn wrong_octet(&self) -> Option<usize> {
        let last = self.octets.len().wrapping_sub(1);
        let is_odd = self.digits & 1 == 1;
        self.octets.iter().enumerate().position(|(index, octet)| {
            let filled = is_odd && index == last;
            octet & 0x0F == FILLER || (octet >> 4 == FILLER) != filled
        })
    }

    /// Whether its octets are as many as its digits ask for, and right.
    fn is_whole(&self) -> bool {
        let count = usize::from(self.digits).div_ceil(2);
        let is_known = self.ton <= 7 && self.npi <= 15 && self.digits <= DIGITS_MAX;
        is_known && self.octets.len() == count && (self.packed || self.wrong_octet().is_none())
    }

    const fn type_octet(&self) -> u8 {
        0x80 | self.ton << 4 | self.npi
    }

    /// Writes it as the TP layer has it.
    pub(super) fn put(&self, writer: &mut Writer<'_>) -> Option<()> {
        if !self.is_whole() || self.packed != (self.ton == 5) {
            return None;
        }
        writer.put_octet(self.digits)?;
        writer.put_octet(self.type_octet())?;
        writer.put(self.octets)
    }

    /// Writes it as the RP layer has it.
    pub(in crate::wire) fn put_in_rp(&self, writer: &mut Writer<'_>) -> Option<()> {
        if !self.is_whole() || self.packed || self.digits == 0 {
            return None;
        }
        writer.put_octet(u8::try_from(self.octets.len()).ok()?.checked_add(1)?)?;
        writer.put_octet(self.type_octet())?;
        writer.put(self.octets)
    }
}

/// Reads a type of address: type of number and numbering plan. Its highest bit is one in both
/// layers; a zero would announce another octet, which neither of them has.
fn read_type(cursor: &mut Cursor<'_>) -> Result<(u8, u8), Malformed> {
    let at = cursor.at();
    match cursor.octet() {
        Some(octet @ 0x80..) => Ok((octet >> 4 & 7, octet & 0x0F)),
        _ => Err(Malformed { expected: "a type of address whose first bit is one", at }),
    }
}

fn semi_octet(digit: u8) -> Option<u8> {
    u8::try_from(DIGITS.iter().position(|other| *other == digit)?).ok()
}
