//! What the answering end answers: each message by its number, so that both ends know it.

#![expect(clippy::disallowed_macros, reason = "cold code")]

use core::fmt;

use crate::load::schedule::chance;

/// What one message is answered with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A response: a final one, or one to INVITE after which nothing follows.
    Status(u16),
    /// Nothing.
    Silence,
}

impl Answer {
    /// Whether this says that the message was delivered.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }

    fn read(text: &str, rings: bool) -> Result<Self, String> {
        match text.parse() {
            _ if text == "silent" => Ok(Self::Silence),
            Ok(status @ 200..=699) => Ok(Self::Status(status)),
            Ok(180) if rings => Ok(Self::Status(180)),
            _ if rings => {
                Err(format!("'{text}' is neither 180, a status from 200 to 699, nor 'silent'"))
            }
            _ => Err(format!("'{text}' is neither a final status from 200 to 699 nor 'silent'")),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Silence => f.write_str("silent"),
        }
    }
}

/// Answers and how often each is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mix {
    shares: Box<[(Answer, u32)]>,
    sum: u64,
}

impl Mix {
    /// The same answer to everything.
    pub fn always(status: u16) -> Self {
        Self { shares: Box::new([(Answer::Status(status), 1)]), sum: 1 }
    }

    /// Reads `200`, or `200:90,480:8,silent:2`: answers with their weights, which are 1 if not given.
    ///
    /// # Errors
    ///
    /// Says what cannot be read.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::read_with(text, false)
    }

    /// The same for INVITE: 180 is an answer, too, of whoever rings until he is cancelled.
    ///
    /// # Errors
    ///
    /// Says what cannot be read.
    pub fn read_ringing(text: &str) -> Result<Self, String> {
        Self::read_with(text, true)
    }

    fn read_with(text: &str, rings: bool) -> Result<Self, String> {
        let shares = text
            .split(',')
            .map(|share| {
                let (answer, weight) = share.split_once(':').unwrap_or((share, "1"));
                let weight = weight.parse().ok().filter(|weight| *weight > 0);
                let weight = weight
                    .ok_or_else(|| format!("the weight in '{share}' is no number above 0"))?;
                Ok::<_, String>((Answer::read(answer, rings)?, weight))
            })
            .collect::<Result<Box<[_]>, _>>()?;
        let sum = shares.iter().map(|(_, weight)| u64::from(*weight)).sum();
        Ok(Self { shares, sum })
    }

    /// What whatever has this `number` is answered under this `seed`.
    pub fn answer(&self, seed: u64, number: u64) -> Answer {
        if let [(answer, _)] = *self.shares {
            return answer;
        }
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let mut draw = chance(seed, number) % self.sum;
        for (answer, weight) in &self.shares {
            match draw.checked_sub(u64::from(*weight)) {
                Some(rest) => draw = rest,
                None => return *answer,
            }
        }
        unreachable!("the draw is below the sum of all weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_given_always() {
        let mix = Mix::read("480").unwrap();
        assert!((0..100).all(|number| mix.answer(1, number) == Answer::Status(480)));
    }

    #[test]
    fn answers_come_in_their_shares() {
        let mix = Mix::read("200:7,486:2,silent").unwrap();
        let mut counts = [0; 3];
        for number in 0..100_000 {
            match mix.answer(9, number) {
                Answer::Status(200) => counts[0] += 1,
                Answer::Status(486) => counts[1] += 1,
                Answer::Silence => counts[2] += 1,
                other => panic!("{other}"),
            }
        }
        for (count, share) in counts.into_iter().zip([70_000_u32, 20_000, 10_000]) {
            assert!(share.abs_diff(count) < 1_000, "{counts:?}");
        }
        assert!((0..100).any(|number| mix.answer(9, number) != mix.answer(10, number)));
    }

    #[test]
    fn only_whoever_is_invited_rings() {
        assert_eq!(Mix::read_ringing("180").unwrap().answer(1, 1), Answer::Status(180));
        assert!(Mix::read("180").is_err());
        for text in ["100", "183", "700", "rings"] {
            assert!(Mix::read_ringing(text).unwrap_err().contains("180"), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (text, part) in [
            ("", "''"),
            ("100", "'100'"),
            ("700", "'700'"),
            ("quiet", "'quiet'"),
            ("200:0", "'200:0'"),
            ("200,", "''"),
            ("200:x", "'200:x'"),
        ] {
            let error = Mix::read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
