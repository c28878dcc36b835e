//! Time as data: instants come in with packets, deadlines live on a wheel.

mod wheel;

pub use self::wheel::Wheel;

/// Nanoseconds of a clock that never goes back, as told by the driver.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `ms` milliseconds later.
    pub const fn plus_ms(self, ms: u32) -> Self {
        Self(self.0 + ms as u64 * 1_000_000)
    }

    /// Nanoseconds from `earlier` to here, 0 when it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
