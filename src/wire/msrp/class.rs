//! The sets of octets that RFC 4975 section 9 and RFC 3986 appendix A name.

use crate::wire::cursor::visited;

/// A set of octets.
#[derive(Clone, Copy)]
pub(super) struct Class(u8);

impl Class {
    /// `ident-char`
    pub(super) const IDENT: Self = Self(1);
    /// `token`
    pub(super) const TOKEN: Self = Self(2);
    /// `session-id`: `unreserved`, `+`, `=` and `/`.
    pub(super) const SESSION: Self = Self(4);
    /// `reg-name` with the `%` of its escapes: `unreserved` and `sub-delims`.
    pub(super) const REG_NAME: Self = Self(8);
    /// `userinfo`: the same and `:`.
    pub(super) const USERINFO: Self = Self(16);
    /// `ALPHANUM`
    pub(super) const ALPHANUM: Self = Self(32);
    /// `unreserved`
    pub(super) const UNRESERVED: Self = Self(64);
    /// `DIGIT`
    pub(super) const DIGIT: Self = Self(128);

    /// Whether the octet belongs to it.
    #[cfg(test)]
    fn has(self, octet: u8) -> bool {
        classes_at(octet) & self.0 != 0
    }

    /// Whether all of these octets belong to it.
    pub(super) fn has_all(self, octets: &[u8]) -> bool {
        self.run(octets) == octets.len()
    }

    /// How many octets at the front belong to it: eight at a time while all eight do.
    #[inline]
    pub(super) fn run(self, octets: &[u8]) -> usize {
        let (chunks, _) = octets.as_chunks::<8>();
        let of_all = |chunk: &[u8; 8]| chunk.iter().fold(self.0, |all, &o| all & classes_at(o));
        let whole = chunks.iter().take_while(|chunk| of_all(chunk) != 0).count();
        let count = whole.wrapping_mul(8);
        let rest = octets.get(count..).unwrap_or_default();
        let few = rest.iter().take_while(|octet| classes_at(**octet) & self.0 != 0).count();
        visited(count.wrapping_add(few));
        count.wrapping_add(few)
    }

    /// Whether there is at least one octet, and all belong to it: `1*class`.
    pub(super) fn is(self, octets: &[u8]) -> bool {
        !octets.is_empty() && self.has_all(octets)
    }
}

fn classes_at(octet: u8) -> u8 {
    CLASSES.get(usize::from(octet)).copied().unwrap_or_default()
}

/// The classes of each octet.
static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses what goes wrong"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        classes[index] = classes_of(index as u8);
        index += 1;
    }
    classes
}

const fn classes_of(octet: u8) -> u8 {
    let alphanum = octet.is_ascii_alphanumeric();
    let unreserved = alphanum || matches!(octet, b'-' | b'.' | b'_' | b'~');
    let sub_delim = matches!(
        octet,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    );
    let mut classes = 0;
    if alphanum || matches!(octet, b'.' | b'-' | b'+' | b'%' | b'=') {
        classes |= Class::IDENT.0;
    }
    if alphanum
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`')
        || matches!(octet, b'{'..=b'~')
    {
        classes |= Class::TOKEN.0;
    }
    if unreserved || matches!(octet, b'+' | b'=' | b'/') {
        classes |= Class::SESSION.0;
    }
    if unreserved || sub_delim || octet == b'%' {
        classes |= Class::REG_NAME.0 | Class::USERINFO.0;
    }
    if octet == b':' {
        classes |= Class::USERINFO.0;
    }
    if alphanum {
        classes |= Class::ALPHANUM.0;
    }
    if unreserved {
        classes |= Class::UNRESERVED.0;
    }
    if octet.is_ascii_digit() {
        classes |= Class::DIGIT.0;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets as the grammars spell them.
    #[test]
    fn classes_are_those_of_the_grammar() {
        for octet in 0..=u8::MAX {
            let alphanum = octet.is_ascii_alphanumeric();
            let is_in = |more: &[u8]| alphanum || more.contains(&octet);
            assert_eq!(Class::IDENT.has(octet), is_in(b".-+%="), "{octet}");
            assert_eq!(Class::SESSION.has(octet), is_in(b"-._~+=/"), "{octet}");
            let token = matches!(octet,
                0x21 | 0x23..=0x27 | 0x2A..=0x2B | 0x2D..=0x2E | 0x30..=0x39 | 0x41..=0x5A
                    | 0x5E..=0x7E);
            assert_eq!(Class::TOKEN.has(octet), token, "{octet}");
            assert_eq!(Class::REG_NAME.has(octet), is_in(b"-._~%!$&'()*+,;="), "{octet}");
            assert_eq!(Class::USERINFO.has(octet), is_in(b"-._~%!$&'()*+,;=:"), "{octet}");
            assert_eq!(Class::ALPHANUM.has(octet), alphanum, "{octet}");
            assert_eq!(Class::UNRESERVED.has(octet), is_in(b"-._~"), "{octet}");
            assert_eq!(Class::DIGIT.has(octet), b"0123456789".contains(&octet), "{octet}");
        }
    }

    #[test]
    fn a_run_ends_at_the_first_octet_of_another_class() {
        assert_eq!(Class::DIGIT.run(b"12x3"), 2);
        assert_eq!(Class::DIGIT.run(b"123"), 3);
        assert_eq!(Class::DIGIT.run(b""), 0);
        for at in 0..30 {
            let mut octets = [b'7'; 30];
            octets[at] = b'x';
            assert_eq!(Class::DIGIT.run(&octets), at);
        }
        assert!(Class::DIGIT.is(b"1") && !Class::DIGIT.is(b"") && !Class::DIGIT.is(b"1x"));
    }
}
