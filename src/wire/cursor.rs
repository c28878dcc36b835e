//! Reading octets forward, one at a time or a run of one class, never outside of them.
//!
//! A [`Cursor`] only moves forward, and every octet it passes is counted in tests: that is how the
//! claim of linear work is checked, without a clock (see [`visited`]).

use crate::store::lanes::{self, LANES};

/// A set of octets; the octets of RFC 3261 section 25.1 fall into eight of them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Class(u8);

impl Class {
    /// `token`: method names, header field names, parameter names.
    pub(super) const TOKEN: Self = Self(1);
    /// A parameter value that is not quoted: `token`, host, and whatever else cannot be mistaken
    /// for a separator. Peers put `=`, `/` and `@` into tags and branches, and all read them alike.
    pub(super) const VALUE: Self = Self(2);
    /// What a URI may hold between `<` and `>`, or in a request line.
    pub(super) const URI: Self = Self(4);
    /// The same without `;`, `,` and `?`, which end a URI that is not enclosed (section 20).
    pub(super) const BARE_URI: Self = Self(8);
    /// A host name or IPv4 address. The underscore is no letter of a host name, but common in one.
    pub(super) const HOST: Self = Self(16);
    /// `word` and `@`: a Call-ID.
    pub(super) const WORD: Self = Self(32);
    /// What may stand in a quoted string without a backslash; CR and LF there are folding.
    pub(super) const QUOTED: Self = Self(64);
    /// `LWS`: once the ends of the header fields are known, CR and LF within them are folding.
    pub(super) const LWS: Self = Self(128);

    /// Whether the octet belongs to it.
    pub(super) fn has(self, octet: u8) -> bool {
        classes_at(octet) & self.0 != 0
    }

    /// Whether all of these octets belong to it.
    pub(super) fn has_all(self, octets: &[u8]) -> bool {
        visited(octets.len());
        octets.iter().all(|&octet| self.has(octet))
    }

    /// How many octets at the front belong to it: many at a time while all of them do.
    #[inline]
    fn run(self, octets: &[u8]) -> usize {
        let count = match self {
            Self::VALUE => run_of_chunks(octets, |chunk| lanes::not_graphic_or(chunk, NO_VALUE)),
            Self::URI => run_of_chunks(octets, |chunk| lanes::not_graphic_or(chunk, NO_URI)),
            _ => {
                let (chunks, _) = octets.as_chunks::<8>();
                let of_all =
                    |chunk: &[u8; 8]| chunk.iter().fold(self.0, |all, &o| all & classes_at(o));
                let whole = chunks.iter().take_while(|chunk| of_all(chunk) != 0).count();
                Err(whole.wrapping_mul(8))
            }
        };
        match count {
            Ok(count) => count,
            Err(at) => at.wrapping_add(self.run_few(octets.get(at..).unwrap_or_default())),
        }
    }

    fn run_few(self, octets: &[u8]) -> usize {
        octets.iter().position(|&octet| !self.has(octet)).unwrap_or(octets.len())
    }
}

/// Where the first octet stands that `which` names, or else how far it was asked.
#[inline(always)]
fn run_of_chunks(octets: &[u8], which: impl Fn(&[u8; LANES]) -> u16) -> Result<usize, usize> {
    let (chunks, _) = octets.as_chunks::<LANES>();
    let mut at: usize = 0;
    for chunk in chunks {
        let found = which(chunk);
        if found != 0 {
            return Ok(at.wrapping_add(found.trailing_zeros() as usize));
        }
        at = at.wrapping_add(LANES);
    }
    Err(at)
}

/// The graphic characters that are not [`Class::VALUE`].
const NO_VALUE: &[u8; 6] = b"\",;<>\\";
/// The graphic characters that are not [`Class::URI`].
const NO_URI: &[u8; 9] = b"\"<>\\^`{|}";

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

const fn contains(octets: &[u8], wanted: u8) -> bool {
    match octets {
        [octet, rest @ ..] => *octet == wanted || contains(rest, wanted),
        [] => false,
    }
}

const fn classes_of(octet: u8) -> u8 {
    let alphanumeric = octet.is_ascii_alphanumeric();
    let token = alphanumeric
        || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
    let mut classes = 0;
    if token {
        classes |= Class::TOKEN.0;
    }
    if octet.is_ascii_graphic() && !contains(NO_VALUE, octet) {
        classes |= Class::VALUE.0;
    }
    let uri = octet.is_ascii_graphic() && !contains(NO_URI, octet);
    if uri {
        classes |= Class::URI.0;
    }
    if uri && !matches!(octet, b';' | b',' | b'?') {
        classes |= Class::BARE_URI.0;
    }
    if alphanumeric || matches!(octet, b'-' | b'.' | b'_') {
        classes |= Class::HOST.0;
    }
    if token
        || matches!(octet, b'(' | b')' | b'<' | b'>' | b':' | b'\\' | b'"' | b'/' | b'[' | b']')
        || matches!(octet, b'?' | b'{' | b'}' | b'@')
    {
        classes |= Class::WORD.0;
    }
    if matches!(octet, b'\t' | b'\r' | b'\n' | b' '..=b'~' | 0x80..)
        && octet != b'"'
        && octet != b'\\'
    {
        classes |= Class::QUOTED.0;
    }
    if matches!(octet, b' ' | b'\t' | b'\r' | b'\n') {
        classes |= Class::LWS.0;
    }
    classes
}

/// What is left of some octets, and where that is. It only gets less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
}

impl<'a> Cursor<'a> {
    /// Before the octet at `at`; the octets end at `end`.
    pub(super) fn new(octets: &'a [u8], at: usize, end: usize) -> Self {
        match octets.get(at..end) {
            Some(rest) => Self { rest, end },
            None => Self { rest: &[], end: octets.len() },
        }
    }

    /// Where it stands.
    pub(super) const fn at(&self) -> usize {
        self.end.wrapping_sub(self.rest.len())
    }

    /// What is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The octets between where it stood earlier and where it stands.
    pub(super) fn since(&self, earlier: &Self) -> &'a [u8] {
        earlier.rest.get(..earlier.rest.len().wrapping_sub(self.rest.len())).unwrap_or_default()
    }

    /// The next octet, which stays.
    pub(super) const fn peek(&self) -> Option<u8> {
        match self.rest {
            [octet, ..] => Some(*octet),
            [] => None,
        }
    }

    /// Passes this octet if it is the next one.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        match self.rest {
            [next, rest @ ..] if *next == octet => {
                visited(1);
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes these octets if they come next.
    pub(super) fn eat_all<const N: usize>(&mut self, octets: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((next, rest)) if next == octets => {
                visited(N);
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Passes all octets of a class.
    #[inline]
    pub(super) fn take(&mut self, class: Class) -> &'a [u8] {
        let count = class.run(self.rest);
        visited(count);
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// Passes all octets of a class, of which there are few.
    pub(super) fn take_few(&mut self, class: Class) -> &'a [u8] {
        let count = class.run_few(self.rest);
        visited(count);
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// Passes all octets of a class; says how many there were.
    pub(super) fn skip(&mut self, class: Class) -> usize {
        self.take(class).len()
    }

    /// Passes the next octet.
    pub(super) fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        visited(1);
        self.rest = rest;
        Some(*octet)
    }

    /// Passes exactly that many octets; none of them if there are fewer.
    pub(super) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        visited(count);
        self.rest = rest;
        Some(taken)
    }

    /// Passes that many octets.
    pub(super) fn pass(&mut self, count: usize) {
        visited(count);
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Passes white space and folding.
    pub(super) fn skip_lws(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            visited(1);
            self.rest = rest;
        }
    }

    /// Passes a quoted string, its quotes included (RFC 3261 section 25.1 `quoted-string`).
    /// False when there is none, or none that ends.
    pub(super) fn eat_quoted(&mut self) -> bool {
        if !self.eat(b'"') {
            return false;
        }
        loop {
            self.take(Class::QUOTED);
            match self.rest {
                [b'"', rest @ ..] => {
                    visited(1);
                    self.rest = rest;
                    return true;
                }
                // quoted-pair: any ASCII character but CR and LF, NUL included.
                [b'\\', octet @ 0..=0x7F, rest @ ..] if !matches!(octet, b'\r' | b'\n') => {
                    visited(2);
                    self.rest = rest;
                }
                _ => return false,
            }
        }
    }

    /// Passes decimal digits; their value, saturated at `u64::MAX`; none if there is no digit.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value: Option<u64> = None;
        while let [octet @ b'0'..=b'9', rest @ ..] = self.rest {
            let digit = u64::from(octet & 0x0F);
            value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            visited(1);
            self.rest = rest;
        }
        value
    }
}

/// Where an octet first stands.
#[inline]
pub(super) fn find(octets: &[u8], octet: u8) -> Option<usize> {
    first(octets, |other| other == octet, |chunk| lanes::equal(chunk, octet))
}

/// Where an octet below space first stands: a control character.
#[inline]
pub(super) fn find_control(octets: &[u8]) -> Option<usize> {
    first(octets, |octet| octet < b' ', |chunk| lanes::below(chunk, b' '))
}

/// Where an octet that is wanted first stands.
#[inline(always)]
fn first(
    octets: &[u8],
    is: impl Fn(u8) -> bool,
    which: impl Fn(&[u8; LANES]) -> u16,
) -> Option<usize> {
    let (chunks, tail) = octets.as_chunks::<LANES>();
    let mut at: usize = 0;
    for chunk in chunks {
        let found = which(chunk);
        if found != 0 {
            visited(at);
            return Some(at.wrapping_add(found.trailing_zeros() as usize));
        }
        at = at.wrapping_add(LANES);
    }
    visited(at);
    Some(at.wrapping_add(tail.iter().position(|&octet| is(octet))?))
}

/// The two words of sixteen octets, the first octet lowest.
#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
pub(super) const fn halves(octets: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*octets);
    (both as u64, (both >> 64) as u64)
}

/// The first `len` octets of a word; the others are zero.
#[expect(clippy::cast_possible_truncation, reason = "less than eight")]
pub(super) const fn masked(word: u64, len: usize) -> u64 {
    if len >= 8 { word } else { word & !(u64::MAX << (len as u32).wrapping_mul(8)) }
}

/// Counts work in octets, in tests only.
#[cfg(not(test))]
pub(crate) const fn visited(_count: usize) {}

#[cfg(test)]
pub(crate) use counting::{count_visits, visited};

#[cfg(test)]
mod counting {
    use core::cell::Cell;

    std::thread_local! {
        static VISITS: Cell<u64> = const { Cell::new(0) };
    }

    /// Counts octets that were passed, and one for each call, so that many short steps count too.
    pub(crate) fn visited(count: usize) {
        VISITS.with(|visits| visits.set(visits.get() + 1 + count as u64));
    }

    /// How much work `act` did.
    pub(crate) fn count_visits(act: impl FnOnce()) -> u64 {
        let before = VISITS.with(Cell::get);
        act();
        VISITS.with(Cell::get) - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &[u8]) -> Option<usize> {
        let mut cursor = Cursor::new(text, 0, text.len());
        cursor.eat_quoted().then(|| cursor.at())
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted(b"\"a\"b"), Some(3));
        assert_eq!(quoted(b"\"a\\\"b\" c"), Some(6));
        assert_eq!(quoted(b"\"\\\\\""), Some(4));
        assert_eq!(quoted(b"\"\\\0\""), Some(4), "RFC 4475 3.1.1.2");
        assert_eq!(quoted(b"\"\0\""), None);
        assert_eq!(quoted(b"\"a"), None);
        assert_eq!(quoted(b"\"a\\"), None);
        assert_eq!(quoted(b"\"a\\\r\n\""), None);
        assert_eq!(quoted(b"a"), None);
    }

    #[test]
    fn numbers_saturate() {
        let mut cursor = Cursor::new(b"36893488147419103232 9", 0, 22);
        assert_eq!(cursor.number(), Some(u64::MAX));
        assert_eq!(cursor.number(), None);
        cursor.skip_lws();
        assert_eq!(cursor.number(), Some(9));
        assert!(cursor.is_at_end());
    }

    #[test]
    fn classes_are_those_of_the_grammar() {
        for octet in 0..=u8::MAX {
            let token = octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet);
            assert_eq!(Class::TOKEN.has(octet), token, "{octet}");
            let word = token || b"()<>:\\\"/[]?{}@".contains(&octet);
            assert_eq!(Class::WORD.has(octet), word, "{octet}");
            assert_eq!(Class::LWS.has(octet), b" \t\r\n".contains(&octet), "{octet}");
            assert!(!Class::URI.has(octet) || octet.is_ascii_graphic(), "{octet}");
            assert!(!token || Class::VALUE.has(octet), "{octet}");
        }
    }

    #[test]
    fn octets_are_found_as_a_loop_finds_them() {
        let mut octets: Vec<u8> = (0..200_u8).map(|octet| octet.wrapping_mul(31) | 0x80).collect();
        for at in 0..octets.len() {
            for found in [0, 1, 0x1F, 0x20, b':', 0x7F, 0x80] {
                let before = core::mem::replace(&mut octets[at], found);
                for from in 0..12 {
                    let rest = &octets[from..];
                    assert_eq!(find(rest, found), rest.iter().position(|&octet| octet == found));
                    assert_eq!(find_control(rest), rest.iter().position(|&octet| octet < 0x20));
                }
                octets[at] = before;
            }
        }
        assert_eq!(find(b"aaa:;aaaa", b':'), Some(3));
        assert_eq!(find_control(b"abc\x1f \x20!aaa"), Some(3));
        assert_eq!(find_control(b"abc \x20!\x1faaa"), Some(6));
    }

    #[test]
    fn a_run_of_every_class_ends_where_a_loop_ends_it() {
        let classes = [
            Class::TOKEN,
            Class::VALUE,
            Class::URI,
            Class::BARE_URI,
            Class::HOST,
            Class::WORD,
            Class::QUOTED,
            Class::LWS,
        ];
        for class in classes {
            let member = (0..=u8::MAX).find(|&octet| class.has(octet)).unwrap();
            for len in [1, 7, 8, 15, 16, 17, 31, 33] {
                for at in 0..len {
                    for octet in 0..=u8::MAX {
                        let mut octets = vec![member; len];
                        octets[at] = octet;
                        let expected = if class.has(octet) { len } else { at };
                        assert_eq!(class.run(&octets), expected, "{octet} at {at} of {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn runs_end_where_a_loop_ends_them() {
        for at in 0..40 {
            for octet in [b'a', b' ', b'<', b';', b'%', 0, 0xFF] {
                let mut octets = [b'b'; 40];
                octets[at] = octet;
                for len in 0..=octets.len() {
                    for class in [Class::TOKEN, Class::VALUE, Class::URI, Class::WORD, Class::HOST]
                    {
                        let naive = octets[..len].iter().take_while(|&&o| class.has(o)).count();
                        assert_eq!(class.run(&octets[..len]), naive);
                    }
                }
            }
        }
    }

    #[test]
    fn work_is_counted() {
        let octets = [b'a'; 100];
        let visits = count_visits(|| {
            Cursor::new(&octets, 0, 100).skip(Class::TOKEN);
        });
        assert_eq!(visits, 101);
    }
}
