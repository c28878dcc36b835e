//! Sixteen octets asked at once. The answer has a bit for each octet, the first one lowest.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "SSE2 is called by its intrinsics")
)]

/// How many octets are asked at once.
pub const LANES: usize = 16;

/// Which octets are below `bound`, which is at least 1.
#[inline(always)]
pub fn below(octets: &[u8; LANES], bound: u8) -> u16 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to every x86-64.
    unsafe {
        sse2::below(octets, bound)
    }
    #[cfg(not(target_arch = "x86_64"))]
    portable(octets, |octet| octet < bound)
}

/// Which octets are `wanted`.
#[inline(always)]
pub fn equal(octets: &[u8; LANES], wanted: u8) -> u16 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to every x86-64.
    unsafe {
        sse2::equal(octets, wanted)
    }
    #[cfg(not(target_arch = "x86_64"))]
    portable(octets, |octet| octet == wanted)
}

/// Which octets are no graphic characters of ASCII, or one of `others`.
#[inline(always)]
pub fn not_graphic_or<const N: usize>(octets: &[u8; LANES], others: &[u8; N]) -> u16 {
    let graphic = below(octets, 0x7F) & !below(octets, 0x21);
    others.iter().fold(!graphic, |mask, &other| mask | equal(octets, other))
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(octets: &[u8; LANES], is: impl Fn(u8) -> bool) -> u16 {
    octets.iter().rev().fold(0, |mask, &octet| mask << 1 | u16::from(is(octet)))
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
    };

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn below(octets: &[u8; 16], bound: u8) -> u16 {
        let octets = lanes(octets);
        let highest = _mm_set1_epi8(bound.wrapping_sub(1).cast_signed());
        mask(_mm_cmpeq_epi8(_mm_min_epu8(octets, highest), octets))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn equal(octets: &[u8; 16], wanted: u8) -> u16 {
        mask(_mm_cmpeq_epi8(lanes(octets), _mm_set1_epi8(wanted.cast_signed())))
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
    fn lanes(octets: &[u8; 16]) -> __m128i {
        let both = u128::from_le_bytes(*octets);
        _mm_set_epi64x(((both >> 64) as u64).cast_signed(), (both as u64).cast_signed())
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sixteen bits")]
    fn mask(lanes: __m128i) -> u16 {
        _mm_movemask_epi8(lanes) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_answer_as_a_loop_does() {
        let mut octets = *b"SIP/2.0 \0\t\x1F ~\x7F\x80\xFF";
        for at in 0..LANES {
            for octet in 0..=u8::MAX {
                let before = core::mem::replace(&mut octets[at], octet);
                for bound in [1, 0x20, 0x21, 0x7F, 0x80, 0xFF] {
                    assert_eq!(below(&octets, bound), portable(&octets, |octet| octet < bound));
                    assert_eq!(equal(&octets, bound), portable(&octets, |octet| octet == bound));
                }
                let wanted = |octet: u8| !octet.is_ascii_graphic() || b"<;".contains(&octet);
                assert_eq!(not_graphic_or(&octets, b"<;"), portable(&octets, wanted));
                octets[at] = before;
            }
        }
    }
}
