//! Octets to views and views to octets. Nothing in here keeps state, reads a clock, allocates or
//! panics.
//!
//! A view borrows the datagram and says *where* things are ([`Span`]); values are decoded when
//! they are used. Binary formats have their fields in the view as they are and borrow what is
//! longer than a word; text in them is decoded into a slice of the caller's. Whatever a peer sends, the answer is a view or a [`Malformed`], after work that
//! grows with the length of the datagram and with nothing else. The lints below make the compiler
//! hold this module to that: no indexing, no unchecked arithmetic, no panic, no `unsafe`.

#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::string_slice)]
#![deny(clippy::panic, clippy::unreachable, clippy::unimplemented, clippy::panic_in_result_fn)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::get_unwrap, unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::string_slice,
        clippy::disallowed_macros,
        reason = "tests may panic and allocate"
    )
)]

pub mod cpim;
pub(crate) mod cursor;
pub mod msrp;
pub mod rp;
pub mod sdp;
pub mod sip;
pub mod tpdu;
pub(crate) mod writer;

use core::fmt;

/// Octets that are not what the standard says they must be: the only error of this module.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed {
    /// What should have been there.
    pub expected: &'static str,
    /// The octet at which it should have been.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at octet {}", self.expected, self.at)
    }
}

impl core::error::Error for Malformed {}

/// A piece of a datagram, by position: half the size of a slice twice over, and free to be copied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The first octet.
    pub at: u16,
    /// How many octets.
    pub len: u16,
}

impl Span {
    /// The octets themselves; none if the span does not lie in `octets`.
    pub fn of(self, octets: &[u8]) -> &[u8] {
        octets.get(usize::from(self.at)..usize::from(self.end())).unwrap_or_default()
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The position behind the last octet.
    pub const fn end(self) -> u16 {
        self.at.saturating_add(self.len)
    }

    /// From one position to another.
    #[expect(clippy::cast_possible_truncation, reason = "no more than u16::MAX octets are read")]
    const fn between(at: usize, end: usize) -> Self {
        Self { at: at as u16, len: end.wrapping_sub(at) as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_outside_of_the_octets_is_empty() {
        let octets = b"abcdef";
        assert_eq!(Span { at: 1, len: 2 }.of(octets), b"bc");
        assert_eq!(Span { at: 4, len: 3 }.of(octets), b"");
        assert_eq!(Span { at: u16::MAX, len: u16::MAX }.of(octets), b"");
        assert!(Span { at: 7, len: 0 }.is_empty());
    }

    #[test]
    fn malformed_says_what_and_where() {
        let malformed = Malformed { expected: "a Via value", at: 17 };
        assert_eq!(malformed.to_string(), "expected a Via value at octet 17");
    }
}
