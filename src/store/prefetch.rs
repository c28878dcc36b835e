//! A hint to the cache: this line will be read soon.
#![expect(unsafe_code, reason = "the prefetch instruction is an intrinsic")]

/// Starts to bring the cache line of `place` nearer. Never faults, changes nothing.
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of a valid reference reads nothing and cannot fault.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
