//! Times of the TP layer: time stamps (TS 23.040 clause 9.2.3.11) and validity periods (9.2.3.12).

use crate::wire::Malformed;
use crate::wire::cursor::Cursor;
use crate::wire::writer::Writer;

/// A time local to its sender, with its zone: year, month, day, hour, minute, second as two digits
/// each, and the zone in quarters of an hour, the first digit of each in the low half of its octet.
/// Bit 3 of the zone is its sign.
///
/// One that was read is a real time. Clause 9.2.3.11 lets a mobile station take what is no digit
/// for 0; here it is refused, because a time stamp tells messages apart and becomes a Date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timestamp(pub [u8; 7]);

impl Timestamp {
    /// The octets of [`Self::write_rfc3339`].
    pub const RFC3339_SIZE: usize = 25;
    /// The octets of [`Self::write_http_date`].
    pub const HTTP_DATE_SIZE: usize = 29;

    /// A moment in a zone: seconds since 1970-01-01T00:00:00Z, and quarters of an hour by which the
    /// zone is ahead. `None` outside of the years 1990 to 2089 in that zone, or beyond 79 quarters.
    pub fn of(unix_seconds: i64, quarters: i8) -> Option<Self> {
        if quarters.unsigned_abs() > QUARTERS_MAX {
            return None;
        }
        let local = unix_seconds.checked_add(i64::from(quarters).checked_mul(QUARTER)?)?;
        let (year, month, day) = civil(local.div_euclid(DAY))?;
        let second = u32::try_from(local.rem_euclid(DAY)).ok()?;
        let years = u32::from(year.checked_sub(YEAR_MIN)?);
        if years > 99 {
            return None;
        }
        let sign = if quarters < 0 { 8 } else { 0 };
        let stamp = Self([
            swapped(u32::from(year).rem_euclid(100)),
            swapped(u32::from(month)),
            swapped(u32::from(day)),
            swapped(second.div_euclid(3_600)),
            swapped(second.div_euclid(60).rem_euclid(60)),
            swapped(second.rem_euclid(60)),
            swapped(u32::from(quarters.unsigned_abs())) | sign,
        ]);
        stamp.wrong_octet().is_none().then_some(stamp)
    }

    /// The year, 1990 to 2089: two digits say no more, and there was no short message before.
    pub fn year(&self) -> u16 {
        let year = u16::from(number(self.0[0]).unwrap_or_default());
        if year < 90 { year.saturating_add(2_000) } else { year.saturating_add(1_900) }
    }

    /// The month, 1 to 12.
    pub fn month(&self) -> u8 {
        number(self.0[1]).unwrap_or_default()
    }

    /// The day of the month, from 1 on.
    pub fn day(&self) -> u8 {
        number(self.0[2]).unwrap_or_default()
    }

    /// The hour, 0 to 23.
    pub fn hour(&self) -> u8 {
        number(self.0[3]).unwrap_or_default()
    }

    /// The minute, 0 to 59.
    pub fn minute(&self) -> u8 {
        number(self.0[4]).unwrap_or_default()
    }

    /// The second, 0 to 59.
    pub fn second(&self) -> u8 {
        number(self.0[5]).unwrap_or_default()
    }

    /// By how many quarters of an hour the zone is ahead of UTC, -79 to 79.
    pub fn quarters(&self) -> i8 {
        let quarters = number(self.0[6] & !8).unwrap_or_default().cast_signed();
        if self.0[6] & 8 == 0 { quarters } else { quarters.wrapping_neg() }
    }

    /// The moment in seconds since 1970-01-01T00:00:00Z.
    pub fn unix_seconds(&self) -> i64 {
        let days = days_before(self.year(), self.month(), self.day());
        let minutes =
            i64::from(self.hour()).saturating_mul(60).saturating_add(i64::from(self.minute()));
        days.saturating_mul(DAY)
            .saturating_add(minutes.saturating_mul(60))
            .saturating_add(i64::from(self.second()))
            .saturating_sub(i64::from(self.quarters()).saturating_mul(QUARTER))
    }

    /// Writes it as RFC 3339 has it, with its zone: `2025-11-22T11:28:00+08:00`. `None` if there is
    /// no room.
    pub fn write_rfc3339(&self, to: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(to);
        writer.put_decimal(u32::from(self.year()), 4)?;
        let parts =
            [(b'-', self.month()), (b'-', self.day()), (b'T', self.hour()), (b':', self.minute())];
        for (before, part) in parts.into_iter().chain([(b':', self.second())]) {
            writer.put_octet(before)?;
            writer.put_decimal(u32::from(part), 2)?;
        }
        let quarters = self.quarters();
        // Minus zero says that the zone is unknown there (section 4.3), which nobody says here.
        writer.put_octet(if quarters < 0 { b'-' } else { b'+' })?;
        let quarters = u32::from(quarters.unsigned_abs());
        writer.put_decimal(quarters >> 2, 2)?;
        writer.put_octet(b':')?;
        writer.put_decimal((quarters & 3).saturating_mul(15), 2)?;
        Some(writer.at())
    }

    /// Writes it in UTC as the Date header field has it (RFC 3261 section 20.17):
    /// `Sat, 22 Nov 2025 03:28:00 GMT`. `None` if there is no room.
    pub fn write_http_date(&self, to: &mut [u8]) -> Option<usize> {
        let moment = self.unix_seconds();
        let days = moment.div_euclid(DAY);
        let second = u32::try_from(moment.rem_euclid(DAY)).ok()?;
        let (year, month, day) = civil(days)?;
        let weekday = usize::try_from(days.rem_euclid(7)).ok()?;
        let mut writer = Writer::new(to);
        writer.put(*WEEKDAYS.get(weekday)?)?;
        writer.put(b", ")?;
        writer.put_decimal(u32::from(day), 2)?;
        writer.put_octet(b' ')?;
        writer.put(*MONTHS.get(usize::from(month).checked_sub(1)?)?)?;
        writer.put_octet(b' ')?;
        writer.put_decimal(u32::from(year), 4)?;
        let clock = [
            (b' ', second.div_euclid(3_600)),
            (b':', second.div_euclid(60).rem_euclid(60)),
            (b':', second.rem_euclid(60)),
        ];
        for (before, part) in clock {
            writer.put_octet(before)?;
            writer.put_decimal(part, 2)?;
        }
        writer.put(b" GMT")?;
        Some(writer.at())
    }

    /// Reads a time stamp.
    pub(super) fn read(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Self, Malformed> {
        let at = cursor.at();
        let octets = cursor.octets(7).and_then(|octets| octets.as_array::<7>());
        let stamp = Self(*octets.ok_or(Malformed { expected, at })?);
        match stamp.wrong_octet() {
            None => Ok(stamp),
            Some((octet, expected)) => Err(Malformed { expected, at: at.saturating_add(octet) }),
        }
    }

    /// Writes it if it is a real time.
    pub(super) fn put(&self, writer: &mut Writer<'_>) -> Option<()> {
        if self.wrong_octet().is_some() {
            return None;
        }
        writer.put(&self.0)
    }

    /// The first octet that no time has there, and what it should be.
    fn wrong_octet(&self) -> Option<(usize, &'static str)> {
        let [year, month, day, hour, minute, second, zone] = self.0;
        let within = |octet, least, most| {
            number(octet).is_some_and(|number| least <= number && number <= most)
        };
        if !within(year, 0, 99) {
            return Some((0, "a year of two digits"));
        }
        if !within(month, 1, 12) {
            return Some((1, "a month from 01 to 12"));
        }
        if !within(day, 1, days_of(self.year(), self.month())) {
            return Some((2, "a day of that month"));
        }
        if !within(hour, 0, 23) {
            return Some((3, "an hour from 00 to 23"));
        }
        if !within(minute, 0, 59) {
            return Some((4, "a minute from 00 to 59"));
        }
        if !within(second, 0, 59) {
            return Some((5, "a second from 00 to 59"));
        }
        if !within(zone & !8, 0, QUARTERS_MAX) {
            return Some((6, "a time zone in quarters of an hour"));
        }
        None
    }
}

/// TP-Validity-Period, in the format that the first octet of its SMS-SUBMIT says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValidityPeriod {
    /// Not present.
    None,
    /// The relative format: its octet.
    Relative(u8),
    /// The absolute format: when it ends.
    Absolute(Timestamp),
    /// The enhanced format: its seven octets.
    Enhanced([u8; 7]),
}

impl ValidityPeriod {
    /// TP-Validity-Period-Format: 0 not present, 1 enhanced, 2 relative, 3 absolute.
    pub const fn format(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Enhanced(_) => 1,
            Self::Relative(_) => 2,
            Self::Absolute(_) => 3,
        }
    }

    /// How many seconds it lasts from the submission on; `None` if it is not present or absolute.
    pub fn seconds(&self) -> Option<u32> {
        match self {
            Self::None | Self::Absolute(_) => None,
            Self::Relative(period) => Some(relative_seconds(*period)),
            Self::Enhanced([indicator, first, second, third, ..]) => match indicator & 7 {
                1 => Some(relative_seconds(*first)),
                2 => Some(u32::from(*first)),
                3 => {
                    let minutes = u32::from(number(*first)?)
                        .checked_mul(60)?
                        .checked_add(number(*second)?.into())?;
                    minutes.checked_mul(60)?.checked_add(number(*third)?.into())
                }
                _ => None,
            },
        }
    }

    /// Whether the service centre is to try once only (bit 6 of the enhanced format).
    pub const fn is_single_shot(&self) -> bool {
        match self {
            Self::Enhanced([indicator, ..]) => *indicator & 0x40 != 0,
            Self::None | Self::Relative(_) | Self::Absolute(_) => false,
        }
    }

    /// Reads a period in a format of [`Self::format`].
    pub(super) fn read(cursor: &mut Cursor<'_>, format: u8) -> Result<Self, Malformed> {
        let missing = Malformed { expected: "TP-Validity-Period", at: cursor.at() };
        match format & 3 {
            0 => Ok(Self::None),
            2 => cursor.octet().map(Self::Relative).ok_or(missing),
            3 => Timestamp::read(cursor, missing.expected).map(Self::Absolute),
            _ => {
                let octets = cursor.octets(7).and_then(|octets| octets.as_array::<7>());
                let octets = *octets.ok_or(missing)?;
                is_enhanced(octets).then_some(Self::Enhanced(octets)).ok_or(Malformed {
                    expected: "an enhanced validity period without reserved bits and octets",
                    ..missing
                })
            }
        }
    }

    /// Writes it if it can be read again.
    pub(super) fn put(&self, writer: &mut Writer<'_>) -> Option<()> {
        match self {
            Self::None => Some(()),
            Self::Relative(period) => writer.put_octet(*period),
            Self::Absolute(stamp) => stamp.put(writer),
            Self::Enhanced(octets) if is_enhanced(*octets) => writer.put(octets),
            Self::Enhanced(_) => None,
        }
    }
}

/// TS 23.040 clause 9.2.3.12.1.
const fn relative_seconds(period: u8) -> u32 {
    let value = period as u32;
    let (count, unit) = match period {
        0..=143 => (value.saturating_add(1), 5 * 60),
        // Half hours behind the first 24 of them.
        144..=167 => (value.saturating_sub(143).saturating_add(24), 30 * 60),
        168..=196 => (value.saturating_sub(166), 24 * 60 * 60),
        197.. => (value.saturating_sub(192), 7 * 24 * 60 * 60),
    };
    count.saturating_mul(unit)
}

/// TS 23.040 clause 9.2.3.12.3: a functionality indicator, and octets that its lowest three bits
/// say. Reserved bits and unused octets must be zero; an extended indicator is not defined.
fn is_enhanced([indicator, first, second, third, rest @ ..]: [u8; 7]) -> bool {
    let is_rest_zero = rest == [0; 3];
    let is_below_60 = |octet| number(octet).is_some_and(|number| number < 60);
    indicator & 0xB8 == 0
        && is_rest_zero
        && match indicator & 7 {
            0 => [first, second, third] == [0; 3],
            1 => [second, third] == [0; 2],
            2 => first != 0 && [second, third] == [0; 2],
            3 => number(first).is_some() && is_below_60(second) && is_below_60(third),
            _ => false,
        }
}

/// The most quarters of an hour that two digits and a sign in three and four bits can say.
const QUARTERS_MAX: u8 = 79;
const QUARTER: i64 = 15 * 60;
const DAY: i64 = 24 * 60 * 60;
/// The first year that two digits stand for.
const YEAR_MIN: u16 = 1_990;

/// From 1970-01-01 on, a Thursday.
static WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
static MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Two digits, the first of them in the low half; `None` if one of them is none.
const fn number(octet: u8) -> Option<u8> {
    let (tens, units) = (octet & 0x0F, octet >> 4);
    if tens > 9 || units > 9 { None } else { Some(tens.wrapping_mul(10).wrapping_add(units)) }
}

/// The reverse, for a number below 100.
fn swapped(number: u32) -> u8 {
    let (tens, units) = (number.div_euclid(10), number.rem_euclid(10));
    (units << 4 | tens).to_le_bytes()[0]
}

const fn days_of(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to that day, by years that begin in March and eras of 400 years.
fn days_before(year: u16, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year).saturating_sub(i64::from(month <= 2));
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = month.saturating_add(9).rem_euclid(12);
    let of_year = from_march
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5)
        .saturating_add(day)
        .saturating_sub(1);
    era.saturating_mul(146_097)
        .saturating_add(of_era.saturating_mul(365))
        .saturating_add(of_era.div_euclid(4))
        .saturating_sub(of_era.div_euclid(100))
        .saturating_add(of_year)
        .saturating_sub(719_468)
}

/// The reverse: year, month and day; `None` before year 0 and behind 65535.
fn civil(days: i64) -> Option<(u16, u8, u8)> {
    let days = days.checked_add(719_468)?;
    let of_era = days.rem_euclid(146_097);
    let year_of_era = of_era
        .checked_sub(of_era.div_euclid(1_460))?
        .checked_add(of_era.div_euclid(36_524))?
        .checked_sub(of_era.div_euclid(146_096))?
        .div_euclid(365);
    let before = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era.div_euclid(4))?
        .checked_sub(year_of_era.div_euclid(100))?;
    let of_year = of_era.checked_sub(before)?;
    let from_march = of_year.checked_mul(5)?.checked_add(2)?.div_euclid(153);
    let before = from_march.checked_mul(153)?.checked_add(2)?.div_euclid(5);
    let day = of_year.checked_sub(before)?.checked_add(1)?;
    let month = from_march.checked_add(2)?.rem_euclid(12).checked_add(1)?;
    let year = days
        .div_euclid(146_097)
        .checked_mul(400)?
        .checked_add(year_of_era)?
        .checked_add(i64::from(month <= 2))?;
    Some((u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut [u8]) -> Option<usize>) -> String {
        let mut room = [0; 40];
        let len = write(&mut room).unwrap();
        assert_eq!(write(&mut vec![0; len - 1]), None);
        std::str::from_utf8(&room[..len]).unwrap().to_owned()
    }

    #[test]
    fn a_time_stamp_is_written_in_both_ways() {
        let stamp = Timestamp([0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23]);
        assert_eq!(stamp.wrong_octet(), None);
        assert_eq!(text(|to| stamp.write_rfc3339(to)), "2025-11-22T11:28:00+08:00");
        assert_eq!(text(|to| stamp.write_http_date(to)), "Sat, 22 Nov 2025 03:28:00 GMT");
        let west = Timestamp([0x52, 0x10, 0x10, 0x00, 0x00, 0x00, 0x0A]);
        assert_eq!(text(|to| west.write_rfc3339(to)), "2025-01-01T00:00:00-05:00");
        assert_eq!(text(|to| west.write_http_date(to)), "Wed, 01 Jan 2025 05:00:00 GMT");
        let east = Timestamp([0x00, 0x30, 0x10, 0x00, 0x00, 0x00, 0x22]);
        assert_eq!(east.quarters(), 22);
        assert_eq!(text(|to| east.write_rfc3339(to)), "2000-03-01T00:00:00+05:30");
        assert_eq!(text(|to| east.write_http_date(to)), "Tue, 29 Feb 2000 18:30:00 GMT");
    }

    #[test]
    fn every_day_comes_after_the_one_before() {
        let mut days = days_before(1990, 1, 1);
        assert_eq!(days, 7_305);
        for year in 1990..=2089 {
            for month in 1..=12 {
                for day in 1..=days_of(year, month) {
                    assert_eq!(days_before(year, month, day), days);
                    assert_eq!(civil(days), Some((year, month, day)));
                    let moment = days * DAY + days % DAY;
                    let quarters =
                        i8::try_from(days % 80).unwrap() * if day % 2 == 0 { -1 } else { 1 };
                    match Timestamp::of(moment, quarters) {
                        Some(stamp) => {
                            assert_eq!(stamp.wrong_octet(), None);
                            assert_eq!(
                                (stamp.unix_seconds(), stamp.quarters()),
                                (moment, quarters)
                            );
                        }
                        None => assert!((1990, 1, 1) == (year, month, day) || year == 2089),
                    }
                    days += 1;
                }
            }
        }
        assert_eq!(Timestamp::of(days * DAY, 0), None);
        assert_eq!(Timestamp::of(days * DAY - 1, 0).unwrap().year(), 2089);
        assert_eq!(Timestamp::of(0, 0), None);
        assert_eq!(Timestamp::of(7_305 * DAY, 80), None);
    }

    #[test]
    fn no_other_time_is_real() {
        let real = [0x42, 0x20, 0x92, 0x32, 0x95, 0x95, 0x00];
        assert_eq!(Timestamp(real).wrong_octet(), None, "2024-02-29");
        for (octet, wrong) in [
            (0, 0x5A),
            (0, 0xA2),
            (1, 0x00),
            (1, 0x31),
            (1, 0xA0),
            (2, 0x00),
            (2, 0x03),
            (2, 0x2B),
            (3, 0x42),
            (3, 0xB1),
            (4, 0x06),
            (5, 0x06),
            (6, 0xA0),
            (6, 0xF7),
        ] {
            let mut octets = real;
            octets[octet] = wrong;
            assert_eq!(Timestamp(octets).wrong_octet().map(|(at, _)| at), Some(octet), "{wrong:x}");
        }
        let mut common = real;
        common[0] = 0x52;
        assert_eq!(Timestamp(common).wrong_octet().map(|(at, _)| at), Some(2), "2025-02-29");
        for zone in 0..=u8::MAX {
            let mut octets = real;
            octets[6] = zone;
            assert_eq!(Timestamp(octets).wrong_octet().is_none(), zone >> 4 <= 9, "{zone:x}");
        }
    }

    #[test]
    fn validity_periods_last_as_long_as_the_table_says() {
        const HOUR: u32 = 3_600;
        for (period, seconds) in [
            (0, 300),
            (11, HOUR),
            (143, 12 * HOUR),
            (144, 12 * HOUR + 1_800),
            (167, 24 * HOUR),
            (168, 48 * HOUR),
            (196, 720 * HOUR),
            (197, 5 * 168 * HOUR),
            (255, 63 * 168 * HOUR),
        ] {
            assert_eq!(ValidityPeriod::Relative(period).seconds(), Some(seconds), "{period}");
        }
        let enhanced = |octets| ValidityPeriod::read(&mut Cursor::new(octets, 0, 7), 1).ok();
        let seconds = |octets| enhanced(octets).and_then(|period| period.seconds());
        assert_eq!(seconds(b"\x01\x0b\0\0\0\0\0"), Some(HOUR));
        assert_eq!(seconds(b"\x02\x0b\0\0\0\0\0"), Some(11));
        assert_eq!(seconds(b"\x43\x21\x43\x95\0\0\0"), Some(12 * HOUR + 34 * 60 + 59));
        let shot = enhanced(b"\x40\0\0\0\0\0\0").unwrap();
        assert_eq!((shot.seconds(), shot.is_single_shot()), (None, true));
        for wrong in [
            b"\x80\0\0\0\0\0\0",
            b"\x08\0\0\0\0\0\0",
            b"\x20\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0",
            b"\x00\x01\0\0\0\0\0",
            b"\x01\0\x01\0\0\0\0",
            b"\x02\0\0\0\0\0\0",
            b"\x02\x01\0\x01\0\0\0",
            b"\x03\x0a\0\0\0\0\0",
            b"\x03\0\x06\0\0\0\0",
            b"\x03\0\0\x06\0\0\0",
            b"\x03\0\0\0\0\0\x01",
        ] {
            assert_eq!(enhanced(wrong), None, "{wrong:?}");
        }
    }
}
