//! Reading octets forward, one at a time or a run of one class, never outside of them.
//!
//! A [`Cursor`] only moves forward, and every octet it passes is counted in tests: that is how the
//! claim of linear work is checked, without a clock (see [`visited`]).

/// A set of octets; the octets of RFC 3261 section 25.1 fall into eight of them.
#[derive(Clone, Copy)]
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
        CLASSES.get(usize::from(octet)).is_some_and(|classes| classes & self.0 != 0)
    }
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
    let alphanumeric = octet.is_ascii_alphanumeric();
    let token = alphanumeric
        || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
    let mut classes = 0;
    if token {
        classes |= Class::TOKEN.0;
    }
    if octet.is_ascii_graphic() && !matches!(octet, b'"' | b',' | b';' | b'<' | b'>' | b'\\') {
        classes |= Class::VALUE.0;
    }
    let uri = octet.is_ascii_graphic()
        && !matches!(octet, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
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

/// A position in octets that only rises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Before the octet at `at`; the octets end at `end`.
    pub(super) fn new(octets: &'a [u8], at: usize, end: usize) -> Self {
        Self { octets: octets.get(..end).unwrap_or(octets), at }
    }

    /// Where it stands.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next octet, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Whether nothing is left.
    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.octets.len()
    }

    /// The octets from `at` to where it stands.
    pub(super) fn since(&self, at: usize) -> &'a [u8] {
        self.octets.get(at..self.at).unwrap_or_default()
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    /// Passes this octet if it is the next one.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let eaten = self.peek() == Some(octet);
        if eaten {
            self.pass(1);
        }
        eaten
    }

    /// Passes these octets if they come next.
    pub(super) fn eat_all(&mut self, octets: &[u8]) -> bool {
        let eaten = self.rest().starts_with(octets);
        if eaten {
            self.pass(octets.len());
        }
        eaten
    }

    /// Passes all octets of a class; says how many there were.
    pub(super) fn skip(&mut self, class: Class) -> usize {
        let rest = self.rest();
        let count = rest.iter().position(|&octet| !class.has(octet)).unwrap_or(rest.len());
        self.pass(count);
        count
    }

    /// Passes white space and folding.
    pub(super) fn skip_lws(&mut self) {
        if self.peek().is_some_and(|octet| octet <= b' ') {
            self.skip(Class::LWS);
        }
    }

    /// Passes a quoted string, its quotes included (RFC 3261 section 25.1 `quoted-string`).
    /// False when there is none, or none that ends.
    pub(super) fn eat_quoted(&mut self) -> bool {
        if !self.eat(b'"') {
            return false;
        }
        loop {
            self.skip(Class::QUOTED);
            if self.eat(b'"') {
                return true;
            }
            // quoted-pair: any ASCII character but CR and LF, NUL included.
            if !self.eat(b'\\') {
                return false;
            }
            match self.peek() {
                Some(0..=0x7F) if self.peek() != Some(b'\r') && self.peek() != Some(b'\n') => {
                    self.pass(1);
                }
                Some(_) | None => return false,
            }
        }
    }

    /// Passes decimal digits; their value, saturated at `u64::MAX`; none if there is no digit.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value: u64 = 0;
        let start = self.at;
        while let Some(octet @ b'0'..=b'9') = self.peek() {
            value = value.saturating_mul(10).saturating_add(u64::from(octet & 0x0F));
            self.pass(1);
        }
        (self.at != start).then_some(value)
    }

    fn pass(&mut self, count: usize) {
        visited(count);
        // `at` never exceeds the length of a slice, which is less than half of `usize::MAX`.
        self.at = self.at.wrapping_add(count);
    }
}

/// Counts work in octets, in tests only.
#[cfg(not(test))]
pub(super) const fn visited(_count: usize) {}

#[cfg(test)]
pub(super) use counting::{count_visits, visited};

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
    fn work_is_counted() {
        let octets = [b'a'; 100];
        let visits = count_visits(|| {
            Cursor::new(&octets, 0, 100).skip(Class::TOKEN);
        });
        assert_eq!(visits, 101);
    }
}
