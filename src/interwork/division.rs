//! A text as short messages: in which alphabet, in how many parts, and where each ends (TS 23.038, TS 23.040
//! section 9.2.3.24.1).
//!
//! The GSM 7 bit default alphabet is used where it has every character, else UCS-2. All parts but the last
//! are as long as they can be; no part ends within an escape and its septet, or between two surrogates, which
//! would be no character at either end.

use crate::wire::tpdu::{Alphabet, septets_of};

/// Parts of one message at most: their number has one octet.
pub const PARTS_MAX: usize = 255;

/// How a text is divided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Division {
    /// The alphabet of all parts: never [`Alphabet::Octets`].
    pub alphabet: Alphabet,
    /// How many there are, at least one.
    pub parts: u8,
}

/// Divides a text. `None` if it would be more than [`PARTS_MAX`] parts.
pub fn divide(text: &str) -> Option<Division> {
    let is_gsm7 = text.chars().all(|character| septets_of(character).is_some());
    let alphabet = if is_gsm7 { Alphabet::Gsm7 } else { Alphabet::Ucs2 };
    if fits(text, alphabet, whole_max(alphabet)) == text.len() {
        return Some(Division { alphabet, parts: 1 });
    }
    let (mut rest, mut parts) = (text, 0_u8);
    while !rest.is_empty() {
        parts = parts.checked_add(1)?;
        rest = rest.get(part(rest, alphabet)..)?;
    }
    Some(Division { alphabet, parts })
}

/// Octets of the first part of what is left of a text that has several.
pub fn part(text: &str, alphabet: Alphabet) -> usize {
    fits(text, alphabet, part_max(alphabet))
}

/// Octets of the longest front of a text that has no more than `max` units.
fn fits(text: &str, alphabet: Alphabet, max: usize) -> usize {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += match alphabet {
            Alphabet::Gsm7 => septets_of(character).unwrap_or(1),
            Alphabet::Ucs2 | Alphabet::Octets => character.len_utf16(),
        };
        if units > max {
            return at;
        }
    }
    text.len()
}

/// Septets or units of UTF-16 in a message that is one part.
const fn whole_max(alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Gsm7 => 160,
        Alphabet::Ucs2 | Alphabet::Octets => 70,
    }
}

/// The same behind a header with the element of concatenation with an 8 bit reference.
const fn part_max(alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Gsm7 => 153,
        Alphabet::Ucs2 | Alphabet::Octets => 67,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tpdu::{USER_DATA_SIZE_MAX, UserData};

    fn parts(text: &str) -> (Division, Vec<&str>) {
        let division = divide(text).unwrap();
        let (mut rest, mut parts) = (text, Vec::new());
        if division.parts == 1 {
            return (division, Vec::from([text]));
        }
        while !rest.is_empty() {
            let (one, behind) = rest.split_at(part(rest, division.alphabet));
            parts.push(one);
            rest = behind;
        }
        (division, parts)
    }

    /// What each part says once it was written and read.
    fn read(text: &str) -> (Division, Vec<String>) {
        let (division, parts) = parts(text);
        let read = |part: &&str| {
            let header: &[u8] = if division.parts > 1 { &[0, 3, 7, 9, 1] } else { &[] };
            let mut room = [0; USER_DATA_SIZE_MAX];
            let user_data = match division.alphabet {
                Alphabet::Gsm7 => UserData::of_gsm7(part, header, &mut room),
                Alphabet::Ucs2 | Alphabet::Octets => UserData::of_ucs2(part, header, &mut room),
            };
            let mut said = [0; UserData::TEXT_SIZE_MAX];
            let len = user_data.expect("a part fits").text(&mut said).unwrap();
            core::str::from_utf8(&said[..len]).unwrap().to_owned()
        };
        (division, parts.iter().map(read).collect())
    }

    #[test]
    fn every_part_fits_and_all_of_them_are_the_text() {
        for text in [
            "",
            "a",
            &"a".repeat(160),
            &"a".repeat(161),
            &"[".repeat(80),
            &"[".repeat(81),
            &("a".to_owned() + &"€".repeat(200)),
            &"ж".repeat(70),
            &"ж".repeat(71),
            &("ж".to_owned() + &"😀".repeat(100)),
            &"😀".repeat(35),
        ] {
            let (division, said) = read(text);
            assert_eq!(said.len(), usize::from(division.parts), "{text}");
            assert_eq!(said.concat(), text);
        }
    }

    #[test]
    fn lengths_are_those_of_the_standard() {
        let of = |text: &str| divide(text).map(|it| (it.alphabet, it.parts));
        assert_eq!(of(&"a".repeat(160)), Some((Alphabet::Gsm7, 1)));
        assert_eq!(of(&"a".repeat(306)), Some((Alphabet::Gsm7, 2)));
        assert_eq!(of(&"a".repeat(307)), Some((Alphabet::Gsm7, 3)));
        assert_eq!(of(&"ж".repeat(134)), Some((Alphabet::Ucs2, 2)));
        assert_eq!(of(&"ж".repeat(135)), Some((Alphabet::Ucs2, 3)));
        assert_eq!(of(&"a".repeat(255 * 153)), Some((Alphabet::Gsm7, 255)));
        assert_eq!(of(&"a".repeat(255 * 153 + 1)), None);
        assert_eq!(of(&"ж".repeat(255 * 67 + 1)), None);
    }

    #[test]
    fn no_part_ends_within_a_character() {
        // An escape would be the 153rd septet, a high surrogate the 67th unit.
        let text = "a".repeat(152) + "€" + &"b".repeat(20);
        let (_, of_gsm7) = parts(&text);
        assert_eq!(of_gsm7[0].len(), 152);
        let text = "ж".repeat(66) + "😀" + &"ж".repeat(9);
        let (_, of_ucs2) = parts(&text);
        assert_eq!(of_ucs2[0].chars().count(), 66);
        assert!(of_ucs2[1].starts_with('😀'));
    }
}
