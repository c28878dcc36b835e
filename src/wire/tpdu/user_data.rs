//! TP-User-Data: a header of information elements, and text or data (TS 23.040 clause 9.2.3.24).

use super::alphabet::{self, Packer};
use super::dcs::{Alphabet, Dcs};
use crate::wire::Malformed;
use crate::wire::cursor::{Cursor, visited};
use crate::wire::writer::Writer;

/// The most octets of user data in an SMS-DELIVER or SMS-SUBMIT: 160 septets.
pub const USER_DATA_SIZE_MAX: usize = 140;

/// TP-UD with what is needed to read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UserData<'a> {
    /// TP-UDL: septets of the default alphabet that is not compressed, octets of all else.
    pub udl: u8,
    /// TP-UDHI: whether a header comes first.
    pub udhi: bool,
    /// TP-UD, the header included.
    pub octets: &'a [u8],
    dcs: Dcs,
}

/// An information element of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element<'a> {
    /// Its identifier.
    pub iei: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// That a message is a part of a longer one (clauses 9.2.3.24.1 and 9.2.3.24.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Concatenation {
    /// What all parts have in common.
    pub reference: u16,
    /// Whether the reference has 16 bits; the same number in 8 bits is another reference.
    pub wide: bool,
    /// How many parts there are, at least one.
    pub total: u8,
    /// Which part this is, 1 to `total`.
    pub number: u8,
}

impl<'a> UserData<'a> {
    /// The most octets that [`Self::text`] writes: 181 septets, which is 159 octets, of two octets
    /// each. No TPDU has more, and UCS-2 becomes half as much again at most.
    pub const TEXT_SIZE_MAX: usize = 362;

    /// User data as it is to be read again. `None` if `octets` are not as many as `udl` says, or
    /// the header reaches beyond them.
    pub fn new(dcs: Dcs, udhi: bool, udl: u8, octets: &'a [u8]) -> Option<Self> {
        let user_data = Self { udl, udhi, octets, dcs };
        (user_data.is_whole() && octets.len() == size_of_udl(dcs, udl)).then_some(user_data)
    }

    /// No user data at all, in any alphabet.
    pub const fn empty(dcs: Dcs) -> Self {
        Self { udl: 0, udhi: false, octets: &[], dcs }
    }

    /// A text in the default alphabet, behind the information elements in `header` if there are
    /// any. `None` if a character is not in that alphabet, or if it does not fit.
    pub fn of_gsm7(
        text: &str,
        header: &[u8],
        room: &'a mut [u8; USER_DATA_SIZE_MAX],
    ) -> Option<Self> {
        room.fill(0);
        let size = put_header(header, room)?;
        let mut packer = Packer::new(room, alphabet::septets_of_octets(size));
        packer.put_text(text)?;
        let count = packer.count();
        let octets = room.get(..alphabet::octets_of_septets(count))?;
        Self::new(Dcs::GSM7, size > 0, u8::try_from(count).ok()?, octets)
    }

    /// A text in UCS-2, behind the information elements in `header` if there are any. `None` if it
    /// does not fit.
    pub fn of_ucs2(
        text: &str,
        header: &[u8],
        room: &'a mut [u8; USER_DATA_SIZE_MAX],
    ) -> Option<Self> {
        let size = put_header(header, room)?;
        let mut writer = Writer::new(room.get_mut(size..)?);
        alphabet::put_ucs2(text, &mut writer)?;
        let end = size.checked_add(writer.at())?;
        Self::new(Dcs::UCS2, size > 0, u8::try_from(end).ok()?, room.get(..end)?)
    }

    /// The data coding scheme by which it is read.
    pub const fn dcs(&self) -> Dcs {
        self.dcs
    }

    /// The information elements of the header as they came, without UDHL before them.
    pub fn header(&self) -> &'a [u8] {
        self.octets.get(1..self.header_size()).unwrap_or_default()
    }

    /// What is behind the header, in octets. Of packed septets that is text from a whole septet on.
    pub fn data(&self) -> &'a [u8] {
        self.octets.get(self.header_size()..).unwrap_or_default()
    }

    /// The information elements in order. If the last one is cut, or one octet is left over, there
    /// are none: "the whole User Data Header shall be ignored" (clause 9.2.3.24).
    pub fn elements(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let header = self.header();
        let mut elements = Elements { rest: header };
        while elements.next().is_some() {}
        Elements { rest: if elements.rest.is_empty() { header } else { &[] } }
    }

    /// Which part of a longer message it is, if it is one.
    ///
    /// An element of another length than its own, without parts, or with a number that is not one
    /// of them is ignored; of several the last one counts, whichever width (clause 9.2.3.24).
    pub fn concatenation(&self) -> Option<Concatenation> {
        let parts = self.elements().filter_map(|element| match (element.iei, element.data) {
            (0x00, &[reference, total, number]) => {
                Some(Concatenation { reference: reference.into(), wide: false, total, number })
            }
            (0x08, &[high, low, total, number]) => Some(Concatenation {
                reference: u16::from_be_bytes([high, low]),
                wide: true,
                total,
                number,
            }),
            _ => None,
        });
        parts.filter(|part| part.number >= 1 && part.number <= part.total).last()
    }

    /// Whether it is for an application's port (elements 04 and 05), not for a reader.
    pub fn is_port_addressed(&self) -> bool {
        self.elements().any(|element| matches!((element.iei, element.data.len()), (4, 2) | (5, 4)))
    }

    /// Whether its septets are meant for the shift table of a language (elements 24 and 25).
    /// [`Self::text`] knows the default tables only, and reads it as who has no other (TS 23.038
    /// clause 6.2.1.2.5).
    pub fn has_language(&self) -> bool {
        self.elements().any(|element| matches!(element.iei, 0x24 | 0x25))
    }

    /// Writes the text in UTF-8. `None` if there is none, because it is 8 bit data or compressed,
    /// and if there is no room; [`Self::TEXT_SIZE_MAX`] octets are always enough.
    pub fn text(&self, to: &mut [u8]) -> Option<usize> {
        if self.dcs.is_compressed() {
            return None;
        }
        let mut writer = Writer::new(to);
        match self.dcs.alphabet() {
            Alphabet::Octets => return None,
            Alphabet::Ucs2 => alphabet::read_ucs2(self.data(), &mut writer)?,
            Alphabet::Gsm7 => {
                let first = alphabet::septets_of_octets(self.header_size());
                let count = usize::from(self.udl).checked_sub(first)?;
                alphabet::read_septets(self.octets, first, count, &mut writer)?;
            }
        }
        Some(writer.at())
    }

    /// UDHL and what it counts.
    fn header_size(&self) -> usize {
        match self.octets.first() {
            Some(udhl) if self.udhi => usize::from(*udhl).saturating_add(1),
            _ => 0,
        }
    }

    /// Whether the header ends within the data, which are as many octets as TP-UDL says.
    fn is_whole(&self) -> bool {
        if !self.udhi {
            return true;
        }
        let size = self.header_size();
        let room = usize::from(self.udl);
        let needed = if self.dcs.is_packed() { alphabet::septets_of_octets(size) } else { size };
        size > 0 && needed <= room
    }

    /// Reads TP-UDL and TP-UD, of at most `size_max` octets.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        dcs: Dcs,
        udhi: bool,
        size_max: usize,
    ) -> Result<Self, Malformed> {
        let at = cursor.at();
        let udl = cursor.octet().ok_or(Malformed { expected: "TP-User-Data-Length", at })?;
        let size = size_of_udl(dcs, udl);
        if size > size_max {
            let expected = "a TP-User-Data-Length that a TPDU has room for";
            return Err(Malformed { expected, at });
        }
        let at = cursor.at();
        let octets = cursor.octets(size);
        let octets = octets.ok_or(Malformed { expected: "all of TP-User-Data", at })?;
        let user_data = Self { udl, udhi, octets, dcs };
        if user_data.is_whole() {
            Ok(user_data)
        } else {
            Err(Malformed { expected: "a TP-User-Data-Header within TP-User-Data", at })
        }
    }

    /// Writes TP-UDL and TP-UD if they can be read again with this scheme and limit.
    pub(super) fn put(&self, dcs: Dcs, size_max: usize, writer: &mut Writer<'_>) -> Option<()> {
        let size = size_of_udl(dcs, self.udl);
        if self.dcs != dcs || self.octets.len() != size || size > size_max || !self.is_whole() {
            return None;
        }
        writer.put_octet(self.udl)?;
        writer.put(self.octets)
    }
}

/// How many octets that many units of TP-UDL are.
fn size_of_udl(dcs: Dcs, udl: u8) -> usize {
    let udl = usize::from(udl);
    if dcs.is_packed() { alphabet::octets_of_septets(udl) } else { udl }
}

/// Writes UDHL and the elements, if there are any; the octets that they take together.
fn put_header(header: &[u8], room: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(room);
    if !header.is_empty() {
        writer.put_counted(header)?;
    }
    Some(writer.at())
}

/// The elements one after the other, up to the first that is cut.
struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let [iei, len, behind @ ..] = self.rest else { return None };
        let (data, rest) = behind.split_at_checked(usize::from(*len))?;
        visited(data.len());
        self.rest = rest;
        Some(Element { iei: *iei, data })
    }
}
