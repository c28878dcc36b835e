//! The clock of the packet path, read in this file only.
#![expect(unsafe_code, reason = "clock_gettime fills a structure of ours")]

use crate::time::Instant;

/// Nanoseconds of `CLOCK_MONOTONIC`: never set back, and not moved by whoever sets the date.
pub(crate) fn now() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives on this stack and is exclusively ours during the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert!(result == 0, "CLOCK_MONOTONIC exists on every Linux");
    Instant(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let mut before = now();
        for _ in 0..1_000 {
            let after = now();
            assert!(after >= before);
            before = after;
        }
        assert!(before.0 > 0);
    }
}
