//! Between the worker's clock, which never goes back, and the time of day, which people read.

use crate::time::Instant;

/// What both clocks said at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_ns: u64,
    /// The worker's clock.
    pub at: Instant,
}

impl TimeOfDay {
    /// `at` as RFC 3339 writes it, in UTC with microseconds.
    pub fn rfc3339(self, at: Instant) -> String {
        let ns = match at.since(self.at) {
            0 => self.unix_ns.saturating_sub(self.at.since(at)),
            later => self.unix_ns.saturating_add(later),
        };
        let (seconds, us) = (ns / 1_000_000_000, ns % 1_000_000_000 / 1_000);
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last day of one, and in eras of 400
/// years, which have 146097 days each.
const fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // As `date -u -d @SECONDS` prints them.
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_709_251_200, "2024-03-01T00:00:00"),
            (1_767_225_599, "2025-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = TimeOfDay { unix_ns: seconds * 1_000_000_000, at: Instant(500) };
            assert_eq!(time.rfc3339(Instant(500)), format!("{date}.000000Z"));
        }
    }

    #[test]
    fn moments_before_and_after_keep_their_distance() {
        let time = TimeOfDay { unix_ns: 1_000_000_000, at: Instant(7_000_000) };
        assert_eq!(time.rfc3339(Instant(8_000_000)), "1970-01-01T00:00:01.001000Z");
        assert_eq!(time.rfc3339(Instant(5_000_000)), "1970-01-01T00:00:00.998000Z");
    }
}
