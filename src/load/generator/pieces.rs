//! What MESSAGE requests bring where the rest comes in sessions: a text, or one piece of it after the other to
//! a recipient who takes no session.
//!
//! Only the first piece names its message. Another one is known by its recipient and by what it says: to one
//! recipient one MESSAGE is under way at a time (RFC 3428 section 8).

use std::collections::BTreeMap;

use crate::load::generator::content::{Texts, content_of};
use crate::load::generator::plan::Plan;
use crate::load::generator::reply::KEY;
use crate::wire::sip::Request;

/// What a MESSAGE has brought of a message of this run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Brought {
    /// The number of that message.
    pub(super) number: u32,
    /// The fingerprint of the transaction that it began with.
    pub(super) mark: u32,
    pub(super) what: What,
}

/// How much of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// All of it is there now.
    Whole,
    /// Its beginning, without a gap.
    Beginning,
    /// What was there already.
    Again,
    /// Other octets.
    Other,
}

/// A text of which something has come, and nothing else to its recipient since.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u32,
    /// Octets that are there.
    at: usize,
    /// Fingerprints of the transactions that brought the first piece and the last one.
    first: u32,
    last: u32,
}

/// All recipients who get their texts in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    texts: Texts,
    open: BTreeMap<u64, Open>,
}

impl Pieces {
    /// Those of `plan`; none where nothing is taken in sessions, or where nobody knows what was sent.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        (plan.sessions.is_some() && plan.plays_both())
            .then(|| Self { texts: Texts::new(plan), open: BTreeMap::new() })
    }

    /// What `request` brings, whose transaction has the fingerprint `mark`. None if that is nothing of this run.
    pub(super) fn take(&mut self, request: &Request<'_>, mark: u32) -> Option<Brought> {
        let fields = &request.fields;
        let of = |span: crate::wire::Span| span.of(request.octets);
        let mut hasher = KEY.hasher();
        hasher.octets(of(fields.to_uri));
        let [recipient, _] = hasher.finish().0;
        self.read(recipient, content_of(of(fields.content_type), of(fields.body)), mark)
    }

    fn read(&mut self, recipient: u64, content: &[u8], mark: u32) -> Option<Brought> {
        let open = self.open.get_mut(&recipient);
        if let Some(open) = open.as_ref().filter(|open| open.first == mark || open.last == mark) {
            return Some(Brought { number: open.number, mark: open.first, what: What::Again });
        }
        let brought = |number, what| Some(Brought { number, mark, what });
        let Some(number) = self.texts.numbers(content).next() else {
            let open = open?;
            let what = self.texts.follows(open.number, open.at, content)?;
            (open.at, open.last) = (open.at + content.len(), mark);
            return Some(Brought { number: open.number, mark: open.first, what });
        };
        if self.texts.are_intact(content) {
            return brought(number, What::Whole);
        }
        let Some(what) = self.texts.follows(number, 0, content) else {
            return brought(number, What::Other);
        };
        let open = Open { number, at: content.len(), first: mark, last: mark };
        self.open.insert(recipient, open);
        brought(number, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::generator::content::tests::written;
    use crate::load::generator::message::tests::plan;
    use crate::load::generator::plan::Profile;

    const ALICE: u64 = 1;
    const BOB: u64 = 2;

    fn pieces() -> (Pieces, Vec<u8>) {
        let texts = Texts::new(&plan(Profile::Sms));
        let text = written(&texts, 7);
        (Pieces { texts, open: BTreeMap::new() }, text)
    }

    fn brought(what: What, mark: u32) -> Option<Brought> {
        Some(Brought { number: 7, mark, what })
    }

    #[test]
    fn a_text_is_whole_when_its_last_piece_is_there() {
        let (mut pieces, text) = pieces();
        assert_eq!(pieces.read(ALICE, &text, 1), brought(What::Whole, 1));
        assert_eq!(pieces.read(ALICE, &text[..50], 2), brought(What::Beginning, 2));
        assert_eq!(pieces.read(ALICE, &text[50..90], 3), brought(What::Beginning, 2));
        for mark in [2, 3] {
            assert_eq!(pieces.read(ALICE, &text[50..90], mark), brought(What::Again, 2));
        }
        assert_eq!(pieces.read(ALICE, &text[90..], 4), brought(What::Whole, 2));
        assert_eq!(pieces.read(ALICE, &text[90..], 4), brought(What::Again, 2));
        assert_eq!(pieces.read(ALICE, &text[90..], 5), None, "there is nothing behind it");
    }

    #[test]
    fn a_gap_is_not_filled() {
        let (mut pieces, text) = pieces();
        pieces.read(ALICE, &text[..50], 1);
        assert_eq!(pieces.read(ALICE, &text[90..], 2), None);
        assert_eq!(pieces.read(BOB, &text[50..], 3), None);
        assert_eq!(pieces.read(ALICE, b"", 4), None);
        assert_eq!(pieces.read(ALICE, &text[50..], 5), brought(What::Whole, 1));
    }

    #[test]
    fn other_octets_are_told_apart() {
        let (mut pieces, mut text) = pieces();
        text[60] ^= 1;
        assert_eq!(pieces.read(ALICE, &text, 1), brought(What::Other, 1));
        assert_eq!(pieces.read(ALICE, &text[..60], 2), brought(What::Beginning, 2));
        assert_eq!(pieces.read(ALICE, &text[60..], 3), None);
    }
}
