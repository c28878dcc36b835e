//! Where the end-line of a chunk may stand among the octets of its body.
//!
//! An end-line is CRLF, seven hyphens, the transaction identifier, a flag and CRLF. An identifier
//! begins with a letter or a digit, so the hyphens in front of it are **exactly** seven. Wherever
//! seven hyphens stand, four of them fill one of the words that the octets divide into (RFC 4975
//! section 7.3.1): the search compares whole words, sixteen of them without a branch between them,
//! and looks at single octets only around a word of hyphens. Nothing in a body can make that slow:
//! CR and LF are not looked for, a long line of hyphens is passed in words as well, and a line that
//! only begins like the end-line costs one comparison.

use crate::wire::cursor::visited;

/// What stands in front of the transaction identifier.
pub(super) const BEGIN: &[u8] = b"\r\n-------";

/// Four hyphens.
const HYPHENS: u32 = u32::from_ne_bytes(*b"----");

/// Where [`BEGIN`] first stands at or behind `from`, with no eighth hyphen behind it. An octet that
/// has not arrived may be one yet.
pub(super) fn find(octets: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let word = at.checked_add(find_word(octets.get(at..)?)?)?;
        let before = octets.get(from..word)?;
        let leading = before.iter().rev().take_while(|octet| **octet == b'-').count();
        let run_at = word.checked_sub(leading)?;
        let run_len = hyphens(octets.get(run_at..)?);
        let start = run_at.checked_sub(2).filter(|start| *start >= from);
        if run_len == 7
            && let Some(start) = start
            && octets.get(start..run_at) == Some(b"\r\n")
        {
            return Some(start);
        }
        at = run_at.checked_add(run_len)?;
    }
}

/// Where a word of hyphens first stands: at a multiple of four octets.
fn find_word(octets: &[u8]) -> Option<usize> {
    let (blocks, _) = octets.as_chunks::<64>();
    let has_word = |block: &&[u8; 64]| {
        let (words, _) = block.as_chunks::<4>();
        words.iter().fold(false, |any, word| any | (u32::from_ne_bytes(*word) == HYPHENS))
    };
    let passed = blocks.iter().take_while(|block| !has_word(block)).count().checked_mul(64)?;
    let (words, _) = octets.get(passed..)?.as_chunks::<4>();
    let found = words.iter().position(|word| u32::from_ne_bytes(*word) == HYPHENS);
    visited(found.map_or(octets.len(), |words| passed.saturating_add(words.saturating_mul(4))));
    passed.checked_add(found?.checked_mul(4)?)
}

/// How many hyphens there are at the front.
fn hyphens(octets: &[u8]) -> usize {
    let (blocks, _) = octets.as_chunks::<16>();
    let all = |block: &&[u8; 16]| block.iter().fold(true, |all, octet| all & (*octet == b'-'));
    let passed = blocks.iter().take_while(all).count().saturating_mul(16);
    let rest = octets.get(passed..).unwrap_or_default();
    let more = rest.iter().take_while(|octet| **octet == b'-').count();
    visited(passed.saturating_add(more));
    passed.saturating_add(more)
}

/// How many octets at the end, none of them before `from`, are the beginning of [`BEGIN`], or all of
/// it.
pub(super) fn begun(octets: &[u8], from: usize) -> usize {
    let rest = octets.get(from..).unwrap_or_default();
    let most = rest.len().min(BEGIN.len());
    visited(most);
    (1..=most)
        .rev()
        .find(|len| BEGIN.get(..*len).is_some_and(|begin| rest.ends_with(begin)))
        .unwrap_or_default()
}

/// Whether the end-line of a transaction stands in the octets of its body, wherever in a line and
/// whatever its flag: then another identifier must be chosen (H31, RFC 4975 section 7.1).
///
/// All octets that are sent as one chunk must be asked about together, as an end-line may lie across
/// two pieces of them. The work is linear in them.
pub fn end_line_occurs(transaction_id: &[u8], body: &[u8]) -> bool {
    let mut at: usize = 0;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(word) = find_word(rest) else { return false };
        let leading = rest.get(..word).unwrap_or_default();
        let leading = leading.iter().rev().take_while(|octet| **octet == b'-').count();
        let run_at = at.saturating_add(word.saturating_sub(leading));
        let run_len = hyphens(body.get(run_at..).unwrap_or_default());
        at = run_at.saturating_add(run_len);
        let behind = body.get(at..).unwrap_or_default();
        if run_len >= 7
            && let Some([b'+' | b'$' | b'#', ..]) = behind.strip_prefix(transaction_id)
        {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cursor::count_visits;

    /// Position by position.
    fn naive(octets: &[u8], from: usize) -> Option<usize> {
        (from..octets.len()).find(|at| {
            octets[*at..].starts_with(BEGIN) && octets.get(at + BEGIN.len()) != Some(&b'-')
        })
    }

    #[test]
    fn hyphens_are_found_wherever_they_stand() {
        for len in [0, 1, 3, 7, 15, 63, 64, 65, 130] {
            for run in 0..20 {
                for crlf in [&b"\r\n"[..], b"\n", b"\r", b"\n\r", b""] {
                    for behind in [&b"x"[..], b"", b"\r\n", b"-x"] {
                        let front = vec![b'a'; len];
                        let octets = [&front, crlf, &vec![b'-'; run], behind, &front].concat();
                        for from in [0, len, len + 1, len + 3, octets.len()] {
                            let told = octets.escape_ascii();
                            assert_eq!(find(&octets, from), naive(&octets, from), "{told} {from}");
                        }
                    }
                }
            }
        }
        assert_eq!(find(b"", 7), None);
    }

    #[test]
    fn what_may_become_an_end_is_measured() {
        for len in 0..=BEGIN.len() {
            let octets = [b"-\r-\r\n-x", &BEGIN[..len]].concat();
            assert_eq!(begun(&octets, 0), len);
            // Nothing in front of `from` counts.
            assert_eq!(begun(&octets, 7 + 1), 0);
            assert_eq!(begun(&octets, octets.len()), 0);
        }
        assert_eq!(begun(b"\r", 0), 1);
        assert_eq!(begun(b"\r\r", 0), 1);
        assert_eq!(begun(b"\n", 0), 0);
    }

    /// H31: an identifier whose end-line is in the body is noticed, wherever it stands there.
    #[test]
    fn h31_an_end_line_in_what_is_sent_is_noticed() {
        let id = b"a-7%.+=b";
        for front in 0..70 {
            for hyphens in 0..12 {
                for flag in [&b"$"[..], b"+", b"#", b"!", b""] {
                    let piece = [&vec![b'-'; hyphens], &id[..], flag].concat();
                    let body = [&vec![b'x'; front], &piece[..], b"-------a-7%.+=c$"].concat();
                    let occurs = hyphens >= 7 && matches!(flag, b"$" | b"+" | b"#");
                    assert_eq!(end_line_occurs(id, &body), occurs, "{}", body.escape_ascii());
                }
            }
        }
        assert!(!end_line_occurs(id, b""));
        assert!(!end_line_occurs(id, b"-------a-7%.+=b"));
        let near = b"-------a-7%.+=".repeat(5_000);
        let (less, more) = (&near[..near.len() / 10], &near[..]);
        let work = |body: &[u8]| count_visits(|| assert!(!end_line_occurs(id, body)));
        assert!(work(more) <= work(less) * 12);
    }
}
