//! Which octets of a message a Byte-Range names: the only place where one becomes the other.

use crate::store::Octets;
use crate::wire::msrp::ByteRange;

/// What a Byte-Range names: positions from 1, the last one included (RFC 4975 section 7.1.1). Where the
/// end is not said, it names none: nobody knows which.
pub(super) const fn named(range: &ByteRange) -> Octets {
    let start = range.start.saturating_sub(1);
    match range.end {
        Some(end) if end > start => Octets { start, end },
        Some(_) | None => Octets { start, end: start },
    }
}

/// The Byte-Range that names them in a message of so many octets. None are `1-0`, wherever they are.
pub(super) const fn byte_range(octets: Octets, total: Option<u64>) -> ByteRange {
    let named = if octets.is_empty() { Octets::NONE } else { octets };
    ByteRange { start: named.start.saturating_add(1), end: Some(named.end), total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_range_is_what_it_says() {
        let range = |start, end| ByteRange { start, end, total: None };
        for (written, octets) in [
            (range(1, Some(4)), Octets { start: 0, end: 4 }),
            (range(5, Some(5)), Octets { start: 4, end: 5 }),
            (range(1, Some(0)), Octets { start: 0, end: 0 }),
        ] {
            assert_eq!(named(&written), octets);
            assert_eq!(byte_range(octets, None), written);
        }
        assert!(named(&range(7, None)).is_empty());
        assert_eq!(
            byte_range(Octets { start: 9, end: 9 }, Some(9)),
            ByteRange { start: 1, end: Some(0), total: Some(9) }
        );
    }
}
