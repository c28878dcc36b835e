//! The alphabets of short messages: the GSM 7 bit default alphabet with its extension table, packed
//! as TS 23.038 clause 6.1.2.1.1 says, and UCS-2, which is UTF-16 on every network there is.

use crate::wire::cursor::visited;
use crate::wire::writer::Writer;

/// The default alphabet (TS 23.038 clause 6.2.1). At 0x1B stands what a lone escape is shown as.
static DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table (clause 6.2.1.1): what an escape and this septet are.
static EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// The escape to the extension table.
const ESCAPE: u8 = 0x1B;

/// The septets of the first 256 characters of Unicode; [`ABSENT`] for those that have none.
static SEPTETS: [u8; 256] = septets();

/// No septet.
const ABSENT: u8 = 0x80;

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses what goes wrong"
)]
const fn septets() -> [u8; 256] {
    let mut septets = [ABSENT; 256];
    let mut septet = 0;
    while septet < 128 {
        let character = DEFAULT[septet] as usize;
        if character < 256 && septet as u8 != ESCAPE {
            septets[character] = septet as u8;
        }
        septet += 1;
    }
    septets
}

/// The septets whose character is one octet in UTF-8, and that octet; 0 for all others and for the
/// escape, as no septet is NUL.
static PLAIN: [u8; 128] = plain();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses what goes wrong"
)]
const fn plain() -> [u8; 128] {
    let mut plain = [0; 128];
    let mut septet = 0;
    while septet < 128 {
        if DEFAULT[septet].is_ascii() && septet as u8 != ESCAPE {
            plain[septet] = DEFAULT[septet] as u8;
        }
        septet += 1;
    }
    plain
}

/// Writes `count` septets, from the septet `first` on, as UTF-8. `None` if there are fewer, or no
/// room.
///
/// An escape with a septet that is not in the extension table is the septet's own character, an
/// escape with another escape is a space (clause 6.2.1.1), and so is an escape at the end.
///
/// Eight septets are seven octets, so all groups of eight begin at the same bit of an octet. Each
/// group is taken out of one word; where all eight are plain they are written as they are.
pub(super) fn read_septets(
    octets: &[u8],
    first: usize,
    count: usize,
    writer: &mut Writer<'_>,
) -> Option<()> {
    visited(count);
    let bit = first.checked_mul(7)?;
    if bit.checked_add(count.checked_mul(7)?)?.div_ceil(8) > octets.len() {
        return None;
    }
    let shift = u32::try_from(bit & 7).ok()?;
    let mut octets = octets.get(bit >> 3..)?;
    let mut left = count;
    let mut escaped = false;
    while let (8.., Some(group)) = (left, octets.first_chunk::<8>()) {
        let septets = unpacked(u64::from_le_bytes(*group) >> shift);
        let plain = septets.map(|septet| PLAIN.get(usize::from(septet)).copied().unwrap_or(0));
        if !escaped && !plain.contains(&0) {
            writer.put(&plain)?;
        } else {
            for septet in septets {
                escaped = put_septet(septet, escaped, writer)?;
            }
        }
        octets = octets.get(7..)?;
        left = left.saturating_sub(8);
    }
    // At most eight septets are left, and less than a word of octets if there are eight.
    let mut word = [0; 8];
    let rest = octets.get(..octets.len().min(8))?;
    word.get_mut(..rest.len())?.copy_from_slice(rest);
    let mut held = u64::from_le_bytes(word) >> shift;
    for _ in 0..left {
        escaped = put_septet(held.to_le_bytes()[0] & 0x7F, escaped, writer)?;
        held >>= 7;
    }
    if escaped { writer.put_octet(b' ') } else { Some(()) }
}

/// The lowest eight septets of a word.
fn unpacked(word: u64) -> [u8; 8] {
    let mut left = word;
    [(); 8].map(|()| {
        let septet = left.to_le_bytes()[0] & 0x7F;
        left >>= 7;
        septet
    })
}

/// Writes a septet, which may be behind an escape; whether it is an escape itself.
fn put_septet(septet: u8, escaped: bool, writer: &mut Writer<'_>) -> Option<bool> {
    if escaped {
        writer.put_char(extended_character(septet))?;
    } else if septet != ESCAPE {
        writer.put_char(default_character(septet))?;
    }
    Some(!escaped && septet == ESCAPE)
}

fn default_character(septet: u8) -> char {
    DEFAULT.get(usize::from(septet)).copied().unwrap_or(' ')
}

fn extended_character(septet: u8) -> char {
    let found = EXTENSION.iter().find(|(escaped, _)| *escaped == septet);
    found.map_or_else(|| default_character(septet), |(_, character)| *character)
}

/// Writes UTF-16 in network order as UTF-8. Half a surrogate pair is U+FFFD, and so is an octet
/// that is left over: the text shows that something is missing there.
pub(super) fn read_ucs2(octets: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    visited(octets.len());
    let (units, left) = octets.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
    for character in char::decode_utf16(units) {
        writer.put_char(character.unwrap_or(char::REPLACEMENT_CHARACTER))?;
    }
    if left.is_empty() { Some(()) } else { writer.put_char(char::REPLACEMENT_CHARACTER) }
}

/// Septets packed into octets from a bit on; what is before that bit stays.
pub(super) struct Packer<'a> {
    to: &'a mut [u8],
    count: usize,
}

impl<'a> Packer<'a> {
    /// Goes on behind `count` septets.
    pub(super) const fn new(to: &'a mut [u8], count: usize) -> Self {
        Self { to, count }
    }

    /// How many septets there are, those before it included.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Appends a text; `None` if a character is not in the alphabet or there is no room.
    pub(super) fn put_text(&mut self, text: &str) -> Option<()> {
        for character in text.chars() {
            if let Some(septet) = default_septet(character) {
                self.put(septet)?;
            } else {
                let (septet, _) = EXTENSION.iter().find(|(_, other)| *other == character)?;
                self.put(ESCAPE)?;
                self.put(*septet)?;
            }
        }
        Some(())
    }

    fn put(&mut self, septet: u8) -> Option<()> {
        let bit = self.count.checked_mul(7)?;
        let [low, high] = (u16::from(septet) << (bit & 7)).to_le_bytes();
        let at = bit >> 3;
        *self.to.get_mut(at)? |= low;
        // A septet reaches into the next octet from the second bit on.
        if bit & 7 > 1 {
            *self.to.get_mut(at.checked_add(1)?)? |= high;
        }
        self.count = self.count.checked_add(1)?;
        Some(())
    }
}

/// How many septets of the GSM 7 bit default alphabet a character is: two behind an escape, `None` if it is not
/// in there.
pub fn septets_of(character: char) -> Option<usize> {
    if default_septet(character).is_some() {
        return Some(1);
    }
    EXTENSION.iter().any(|(_, other)| *other == character).then_some(2)
}

fn default_septet(character: char) -> Option<u8> {
    let code = usize::try_from(u32::from(character)).ok()?;
    match SEPTETS.get(code) {
        Some(&ABSENT) => None,
        Some(&septet) => Some(septet),
        None => {
            let at = DEFAULT.iter().position(|other| *other == character)?;
            u8::try_from(at).ok()
        }
    }
}

/// Writes a text as UTF-16 in network order.
pub(super) fn put_ucs2(text: &str, writer: &mut Writer<'_>) -> Option<()> {
    for unit in text.encode_utf16() {
        writer.put(&unit.to_be_bytes())?;
    }
    Some(())
}

/// How many octets that many septets take.
pub(super) const fn octets_of_septets(count: usize) -> usize {
    count.saturating_mul(7).div_ceil(8)
}

/// How many septets that many octets are, fill bits included: a header in octets ends, and the text
/// behind it begins, at a whole septet (TS 23.040 clause 9.2.3.24).
pub(super) const fn septets_of_octets(count: usize) -> usize {
    count.saturating_mul(8).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as clause 6.1.2.1.1 draws it: the reference for packing.
    fn packed(septets: &[u8]) -> Vec<u8> {
        let bits: Vec<bool> = septets
            .iter()
            .flat_map(|septet| (0..7).map(move |bit| septet >> bit & 1 == 1))
            .collect();
        bits.chunks(8)
            .map(|bits| bits.iter().rev().fold(0, |octet, &bit| octet << 1 | u8::from(bit)))
            .collect()
    }

    fn read(octets: &[u8], first: usize, count: usize) -> String {
        let mut room = [0; 400];
        let mut writer = Writer::new(&mut room);
        read_septets(octets, first, count, &mut writer).unwrap();
        let len = writer.at();
        std::str::from_utf8(&room[..len]).unwrap().to_owned()
    }

    #[test]
    fn every_septet_at_every_bit_is_read_and_packed() {
        for septet in (0..128).filter(|septet| *septet != ESCAPE) {
            for before in 0..9 {
                let mut septets = vec![0x2A; before];
                septets.push(septet);
                let octets = packed(&septets);
                let expected = DEFAULT[usize::from(septet)].to_string();
                assert_eq!(read(&octets, before, 1), expected);
                assert_eq!(read(&octets, 0, before + 1), "*".repeat(before) + &expected);
                let mut room = [0; 9];
                let mut packer = Packer::new(&mut room, 0);
                packer.put_text(&("*".repeat(before) + &expected)).unwrap();
                assert_eq!(packer.count(), before + 1);
                assert_eq!(&room[..octets.len()], &octets);
            }
        }
    }

    #[test]
    fn escapes_are_read_as_the_standard_says() {
        for septet in 0..128 {
            let octets = packed(&[ESCAPE, septet, 0x61]);
            let plain = DEFAULT[usize::from(septet)];
            let found = EXTENSION.iter().find(|(escaped, _)| *escaped == septet);
            let expected = found.map_or(plain, |(_, character)| *character);
            assert_eq!(read(&octets, 0, 3), format!("{expected}a"), "{septet:#x}");
            let mut room = [0; 3];
            if EXTENSION.iter().any(|(escaped, _)| *escaped == septet) {
                Packer::new(&mut room, 0).put_text(&format!("{expected}a")).unwrap();
                assert_eq!(room.to_vec(), octets);
            }
        }
        assert_eq!(read(&packed(&[0x61, ESCAPE]), 0, 2), "a ");
        assert_eq!(read(&packed(&[ESCAPE, ESCAPE, 0x65]), 0, 3), " e");
        assert_eq!(read(&packed(&[ESCAPE, ESCAPE, ESCAPE]), 0, 3), "  ");
    }

    #[test]
    fn known_packings() {
        assert_eq!(read(b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37", 0, 10), "hellohello");
        assert_eq!(read(b"\x9b\xf2\x86\x87\xdf\xf8\x00", 0, 7), "€[x]");
        let mut room = [0; 9];
        Packer::new(&mut room, 0).put_text("hellohello").unwrap();
        assert_eq!(&room, b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37");
        let few = read_septets(&[0xE8], 0, 2, &mut Writer::new(&mut [0; 9]));
        assert_eq!(few, None, "two septets are two octets");
        assert_eq!(Packer::new(&mut [0; 9], 0).put_text("hellohellos"), None);
        assert_eq!(Packer::new(&mut [0; 9], 0).put_text("ç"), None);
        assert_eq!(Packer::new(&mut [0; 9], 0).put_text("語"), None);
    }

    #[test]
    fn half_a_character_is_shown_as_missing() {
        let read = |octets: &[u8]| {
            let mut room = [0; 40];
            let mut writer = Writer::new(&mut room);
            read_ucs2(octets, &mut writer).unwrap();
            let len = writer.at();
            std::str::from_utf8(&room[..len]).unwrap().to_owned()
        };
        assert_eq!(read(b"\xd8\x3d\xde\x00"), "😀");
        assert_eq!(read(b"\xd8\x3d\0a"), "\u{FFFD}a");
        assert_eq!(read(b"\0a\xde\x00"), "a\u{FFFD}");
        assert_eq!(read(b"\0a\0"), "a\u{FFFD}");
        assert_eq!(read(b"\xd8\x3d\xde"), "\u{FFFD}\u{FFFD}");
    }
}
