//! What is remembered of a short message, so that its repetition is not a second message.
//!
//! An SC submits a short message again when our report was an error, came too late or was lost. The
//! repetition has another RP-MR and another Call-ID, but the same originator, recipient, time stamp
//! and text: under a key made of these stands what is here. It holds the best evidence of all
//! attempts, and a repetition is answered from it wherever it is proof (hazards H2, H3, H46, H47,
//! H61).

use crate::delivery::Verdict;
use crate::time::Instant;

/// What is known of a short message after its last attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Memory {
    /// The verdict.
    pub verdict: Verdict,
    /// The status that proved it, 0 if no final response did.
    pub status: u16,
    /// Whether the report was taken by the SMS side.
    pub reported: bool,
    /// Whether any attempt may have delivered it: one of them was unknown or accepted.
    pub may_be_there: bool,
    /// The CSeq of the last attempt.
    pub attempt: u8,
    /// What sets its Call-ID apart from that of an equal short message much later.
    pub salt: u16,
    /// Before this the IM side does not want to be asked again (Retry-After).
    pub not_before: Mark,
}

/// A moment in units of four seconds, modulo four hours and a half: longer than anything that is
/// remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark(u16);

const MARK_MS: u32 = 4_000;
const MARK_NS: u64 = MARK_MS as u64 * 1_000_000;
const MARK_BITS: u32 = 12;
const SALT_BITS: u32 = 12;
const STATUS_BITS: u32 = 10;
const ATTEMPT_BITS: u32 = 6;

/// Attempts on one short message while it is remembered.
pub const ATTEMPTS_MAX: u8 = (1 << ATTEMPT_BITS) - 1;

impl Mark {
    /// No moment at all.
    pub const NONE: Self = Self(0);

    /// The end of the unit in which `at` lies, or of the next one where that is the sign for none.
    pub const fn of(at: Instant) -> Self {
        let unit = (at.0.div_ceil(MARK_NS) % (1 << MARK_BITS)) as u16;
        Self(if unit == 0 { 1 } else { unit })
    }

    /// Whether `now` is before it.
    const fn is_ahead(self, now: Instant) -> bool {
        self.units_ahead(now) > 0
    }

    /// How many units it lies ahead of `now`; half of all marks lie ahead of any moment.
    const fn units_ahead(self, now: Instant) -> u16 {
        let ahead = self.0.wrapping_sub((now.0 / MARK_NS % (1 << MARK_BITS)) as u16);
        let ahead = ahead & ((1 << MARK_BITS) - 1);
        if self.0 != 0 && ahead < 1 << (MARK_BITS - 1) { ahead } else { 0 }
    }

    /// Milliseconds from `now` until it has passed.
    const fn left_ms(self, now: Instant) -> u32 {
        self.units_ahead(now) as u32 * MARK_MS
    }
}

/// What to do with a submission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Course {
    /// Nothing is known of it: a first attempt.
    First,
    /// A further attempt with the same Call-ID and the next CSeq, which lets the recipient's user
    /// agent recognise it (hazard H13).
    Again,
    /// No attempt: what was proved before answers for it.
    Answer,
}

impl Memory {
    /// What to do when the short message comes again.
    pub const fn course(&self, now: Instant) -> Course {
        match self.verdict {
            // H2 and H47: it is there, and our report was lost or came too late.
            Verdict::Delivered => Course::Answer,
            // H61 and R6: SCs repeat after an error of any kind; the recipient's no stays a no.
            Verdict::Permanent => Course::Answer,
            // H3: whoever has accepted it has it. A second copy would be a duplicate.
            Verdict::Accepted => Course::Answer,
            Verdict::Temporary if self.not_before.is_ahead(now) => Course::Answer,
            Verdict::Temporary | Verdict::Unknown if self.attempt >= ATTEMPTS_MAX => Course::Answer,
            Verdict::Temporary | Verdict::Unknown => Course::Again,
        }
    }

    /// How long it is remembered from `now` on, in milliseconds, given how long a permanent failure
    /// is: as long as an SC may repeat it, and beyond what the IM side asked for (Retry-After).
    pub const fn life_ms(&self, now: Instant, permanent_window_ms: u32) -> u32 {
        match self.verdict {
            Verdict::Permanent => permanent_window_ms,
            // H47: the SC has our report, so what comes later is another message with equal text.
            Verdict::Delivered if self.reported => REPEATED_ACK_MS,
            Verdict::Temporary => self.not_before.left_ms(now) + REMEMBERED_MS,
            Verdict::Delivered | Verdict::Unknown | Verdict::Accepted => REMEMBERED_MS,
        }
    }

    /// Packs it into the 48 bits of a directory's entry: verdict 3 bits, status 10, reported 1, may be
    /// there 1, attempt 6, salt 12, mark 12.
    pub const fn encode(&self) -> u64 {
        let mut value = self.verdict as u64;
        value = value << STATUS_BITS | (self.status & ((1 << STATUS_BITS) - 1)) as u64;
        value = value << 1 | self.reported as u64;
        value = value << 1 | self.may_be_there as u64;
        value = value << ATTEMPT_BITS | (self.attempt & ATTEMPTS_MAX) as u64;
        value = value << SALT_BITS | (self.salt & ((1 << SALT_BITS) - 1)) as u64;
        value << MARK_BITS | self.not_before.0 as u64
    }

    /// Unpacks it.
    pub fn decode(value: u64) -> Self {
        let mut left = value;
        let mut take = |bits: u32| {
            let part = left & ((1 << bits) - 1);
            left >>= bits;
            u16::try_from(part).unwrap_or(u16::MAX)
        };
        let not_before = Mark(take(MARK_BITS));
        let salt = take(SALT_BITS);
        let attempt = u8::try_from(take(ATTEMPT_BITS)).unwrap_or(ATTEMPTS_MAX);
        let may_be_there = take(1) == 1;
        let reported = take(1) == 1;
        let status = take(STATUS_BITS);
        let verdict = Verdict::ALL[usize::from(take(3)).min(Verdict::ALL.len() - 1)];
        Self { verdict, status, reported, may_be_there, attempt, salt, not_before }
    }
}

/// The salt of a short message that is seen for the first time now: equal ones meet again after 34
/// hours at the earliest.
pub const fn salt(now: Instant) -> u16 {
    const SALT_NS: u64 = 30_000_000_000;
    (now.0 / SALT_NS % (1 << SALT_BITS)) as u16
}

/// How long an outcome answers for repetitions that come because our report was an error or was
/// lost, in milliseconds (hazard H2).
const REMEMBERED_MS: u32 = 300_000;

/// How long it does so once the report was taken (the refinement of hazard H47).
const REPEATED_ACK_MS: u32 = 120_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(verdict: Verdict) -> Memory {
        Memory {
            verdict,
            status: 603,
            reported: false,
            may_be_there: false,
            attempt: 3,
            salt: 0xABC,
            not_before: Mark::NONE,
        }
    }

    const NOW: Instant = Instant(987_654_321_000_000_000);

    #[test]
    fn it_comes_back_from_48_bits() {
        for verdict in Verdict::ALL {
            for (reported, may_be_there) in [(false, true), (true, false)] {
                let all = Memory {
                    reported,
                    may_be_there,
                    status: 699,
                    attempt: ATTEMPTS_MAX,
                    salt: 0xFFF,
                    not_before: Mark(0xFFF),
                    ..memory(verdict)
                };
                assert!(all.encode() < 1 << 48);
                assert_eq!(Memory::decode(all.encode()), all);
                let some = Memory { reported, may_be_there, ..memory(verdict) };
                assert_eq!(Memory::decode(some.encode()), some);
            }
        }
    }

    #[test]
    fn h2_h3_h61_what_is_proved_answers_and_what_is_not_is_tried_again() {
        let course = |verdict| memory(verdict).course(NOW);
        assert_eq!(course(Verdict::Delivered), Course::Answer);
        assert_eq!(course(Verdict::Permanent), Course::Answer);
        assert_eq!(course(Verdict::Accepted), Course::Answer);
        assert_eq!(course(Verdict::Temporary), Course::Again);
        assert_eq!(course(Verdict::Unknown), Course::Again);
        let tired = Memory { attempt: ATTEMPTS_MAX, ..memory(Verdict::Unknown) };
        assert_eq!(tired.course(NOW), Course::Answer);
    }

    #[test]
    fn retry_after_is_waited_for() {
        for wait_s in [1, 4, 5, 60, 3_600] {
            let end = NOW.plus_ms(wait_s * 1_000);
            let asked = Memory { not_before: Mark::of(end), ..memory(Verdict::Temporary) };
            assert_eq!(asked.course(NOW), Course::Answer, "{wait_s}");
            assert_eq!(asked.course(end.plus_ms(4_000)), Course::Again, "{wait_s}");
        }
        let now = Memory { not_before: Mark::of(NOW), ..memory(Verdict::Temporary) };
        assert_eq!(now.course(NOW.plus_ms(4_000)), Course::Again);
        // Whatever the time is, no wish is no wish, and the sign for none is no moment.
        for at in (0..5_000).map(|unit| Instant(unit * MARK_NS)) {
            assert_eq!(memory(Verdict::Temporary).course(at), Course::Again);
            let soon = Memory { not_before: Mark::of(at), ..memory(Verdict::Temporary) };
            assert_eq!(soon.course(Instant(at.0.saturating_sub(2 * MARK_NS + 1))), Course::Answer);
        }
    }

    #[test]
    fn h47_a_report_that_was_taken_shortens_the_memory() {
        let taken = Memory { reported: true, ..memory(Verdict::Delivered) };
        assert_eq!(taken.life_ms(NOW, 9), 120_000);
        assert_eq!(memory(Verdict::Delivered).life_ms(NOW, 9), 300_000);
        assert_eq!(memory(Verdict::Unknown).life_ms(NOW, 9), 300_000);
        assert_eq!(memory(Verdict::Permanent).life_ms(NOW, 9), 9);
        assert_eq!(memory(Verdict::Temporary).life_ms(NOW, 9), 300_000);
        let later = Mark::of(NOW.plus_ms(900_000));
        let asked = Memory { not_before: later, ..memory(Verdict::Temporary) };
        assert!((1_200_000..=1_204_000).contains(&asked.life_ms(NOW, 9)));
    }

    #[test]
    fn equal_messages_long_after_each_other_have_other_salts() {
        assert_ne!(salt(NOW), salt(NOW.plus_ms(120_000)));
        assert_ne!(salt(NOW), salt(NOW.plus_ms(3_600_000)));
    }
}
