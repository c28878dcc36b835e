//! What has come, held against what was sent, octet for octet.

use memchr::memmem;

use crate::load::generator::message::{
    DIGITS, GREETING, NAME_SIZE, RunId, digits_of, number_at, text,
};
use crate::load::generator::pieces::What;
use crate::load::generator::plan::Plan;
use crate::wire::cpim;

/// Knows every text of a run.
#[derive(Debug)]
pub(super) struct Texts {
    run: RunId,
    finder: memmem::Finder<'static>,
    /// The text of each message, with zeros for its number.
    text: Box<[u8]>,
    /// Where its number stands in it.
    number_at: usize,
    /// How many of them make one text together, which may come in one piece.
    parts: u32,
}

impl Texts {
    /// Those of `plan`.
    pub(super) fn new(plan: &Plan) -> Self {
        let needle = [GREETING, &plan.run.to_string(), "-"].concat();
        Self {
            run: plan.run,
            finder: memmem::Finder::new(needle.as_bytes()).into_owned(),
            text: text(plan).into_bytes().into(),
            number_at: number_at(plan),
            parts: u32::from(plan.parts).max(1),
        }
    }

    /// The messages whose names stand in `content`, in their order.
    pub(super) fn numbers<'a>(&'a self, content: &'a [u8]) -> impl Iterator<Item = u32> + use<'a> {
        self.finder.find_iter(content).filter_map(|at| {
            let at = at + GREETING.len();
            self.run.number_of(content.get(at..at + NAME_SIZE)?)
        })
    }

    /// Whether `content` is what was sent: one text or consecutive parts of one, and not an octet else.
    pub(super) fn are_intact(&self, content: &[u8]) -> bool {
        let Some(first) = self.numbers(content).next() else { return false };
        let is_whole = content.len().is_multiple_of(self.text.len());
        let mut texts = (0..).zip(content.chunks_exact(self.text.len()));
        is_whole
            && texts.all(|(more, text): (u32, _)| {
                let number = first.wrapping_add(more);
                number / self.parts == first / self.parts && self.is_text(text, number)
            })
    }

    /// How far the text of message `number` is there with `content` behind its first `at` octets. None if that
    /// is nothing that follows there.
    pub(super) fn follows(&self, number: u32, at: usize, content: &[u8]) -> Option<What> {
        let mut text = self.text.to_vec();
        text[self.number_at..self.number_at + DIGITS].copy_from_slice(&digits_of(number));
        let rest = text.get(at..)?;
        match content {
            [] => None,
            _ if content == rest => Some(What::Whole),
            _ => rest.starts_with(content).then_some(What::Beginning),
        }
    }

    fn is_text(&self, text: &[u8], number: u32) -> bool {
        let behind = self.number_at + DIGITS;
        text[..self.number_at] == self.text[..self.number_at]
            && text[self.number_at..behind] == digits_of(number)
            && text[behind..] == self.text[behind..]
    }
}

/// What a person reads of a message of this media type.
pub(super) fn content_of<'a>(media_type: &[u8], octets: &'a [u8]) -> &'a [u8] {
    const CPIM: &[u8] = b"message/cpim";
    let is_cpim = media_type.get(..CPIM.len()).is_some_and(|it| it.eq_ignore_ascii_case(CPIM));
    match cpim::parse(octets) {
        Ok(message) if is_cpim => message.body.of(octets),
        _ => octets,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::generator::message::tests::plan;
    use crate::load::generator::plan::Profile;

    pub(in crate::load::generator) fn written(texts: &Texts, number: u32) -> Vec<u8> {
        let mut text = texts.text.to_vec();
        text[texts.number_at..texts.number_at + DIGITS].copy_from_slice(&digits_of(number));
        text
    }

    #[test]
    fn every_octet_counts() {
        let texts = Texts::new(&plan(Profile::Sms));
        let text = written(&texts, 0xbeef);
        assert!(texts.are_intact(&text));
        assert_eq!(texts.numbers(&text).collect::<Vec<_>>(), [0xbeef]);
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            // Another number may be that of another message: it is the one that is brought then.
            let is_other = texts.numbers(&other).next() != Some(0xbeef);
            assert!(is_other || !texts.are_intact(&other), "{at}");
        }
        assert!(!texts.are_intact(&text[..text.len() - 1]));
        assert!(!texts.are_intact(&[&text[..], b" "].concat()));
        assert!(!texts.are_intact(b"") && !texts.are_intact(b"somebody else's"));
        // Two texts are not one.
        assert!(!texts.are_intact(&[text, written(&texts, 0xbef0)].concat()));
    }

    #[test]
    fn parts_may_come_in_one_piece() {
        let texts = Texts::new(&Plan { parts: 3, ..plan(Profile::Sms) });
        let all = |numbers: &[u32]| {
            let parts: Vec<_> = numbers.iter().map(|number| written(&texts, *number)).collect();
            parts.concat()
        };
        let whole = all(&[6, 7, 8]);
        assert!(texts.are_intact(&whole) && texts.are_intact(&all(&[7])));
        assert_eq!(texts.numbers(&whole).collect::<Vec<_>>(), [6, 7, 8]);
        for numbers in [&[6, 8][..], &[7, 6], &[8, 9], &[6, 6]] {
            assert!(!texts.are_intact(&all(numbers)), "{numbers:?}");
        }
    }
}
