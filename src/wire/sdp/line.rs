//! One line of a session description, and where it may stand (RFC 8866 sections 5 and 9).

use memchr::memchr3;

use super::super::cursor::visited;
use super::super::{Malformed, Span};

/// `type "=" value`
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// The type: one letter.
    pub(super) letter: u8,
    /// Where the letter stands.
    pub(super) at: usize,
    /// What is behind the equals sign.
    pub(super) value: Span,
    /// Where the next line begins.
    pub(super) next: usize,
}

/// Reads the line that begins at `at`; none if only empty lines are left.
///
/// A line ends with CRLF or with LF (section 5), the last one perhaps with the octets: the body that
/// holds a description says how long it is.
///
/// # Errors
///
/// NUL, CR alone, or no type with its equals sign.
pub(super) fn line(octets: &[u8], at: usize) -> Result<Option<Line>, Malformed> {
    let rest = octets.get(at..).unwrap_or_default();
    let len = memchr3(b'\n', b'\r', 0, rest).unwrap_or(rest.len());
    visited(len);
    let end = at.saturating_add(len);
    let next = match rest.get(len..).unwrap_or_default() {
        [b'\r', b'\n', ..] => end.saturating_add(2),
        [b'\n', ..] => end.saturating_add(1),
        [0, ..] => return Err(Malformed { expected: "no NUL", at: end }),
        [_, ..] => return Err(Malformed { expected: "LF behind CR", at: end }),
        [] => end,
    };
    match rest.get(..len).unwrap_or_default() {
        [letter, b'=', ..] => {
            let value = Span::between(at.saturating_add(2), end);
            Ok(Some(Line { letter: *letter, at, value, next }))
        }
        [] if is_empty(rest) => Ok(None),
        _ => Err(Malformed { expected: "a type and an equals sign", at }),
    }
}

/// Whether nothing but ends of lines is left.
fn is_empty(rest: &[u8]) -> bool {
    visited(rest.len());
    rest.iter().all(|octet| matches!(octet, b'\r' | b'\n'))
}

/// The types of the lines of a session and of its times, in their order.
const SESSION: &[u8] = b"vosiuepcbtrzka";

/// The types of the lines below a media description, in their order.
const MEDIA: &[u8] = b"micbka";

/// Whether a line of this type may follow one of that type above the media descriptions; `last` is 0
/// in front of the first line.
///
/// # Errors
///
/// What must stand there.
pub(super) fn may_follow(last: u8, letter: u8) -> Result<(), &'static str> {
    let place = |letter| SESSION.iter().position(|&known| known == letter);
    let (before, here) = (place(last), place(letter));
    let Some(time) = place(b't') else { return Ok(()) };
    let follows = match (last, letter) {
        (0, _) => return if letter == b'v' { Ok(()) } else { Err("v=") },
        (b'v', _) => return if letter == b'o' { Ok(()) } else { Err("o=") },
        (b'o', _) => return if letter == b's' { Ok(()) } else { Err("s=") },
        // A time description has its repetitions, and these their zones; RFC 4566 lets the zones of
        // all times stand behind the last one.
        (b't' | b'r' | b'z', b't') | (b't' | b'r', b'r' | b'z') => true,
        (b'e' | b'p' | b'b' | b'a', _) if last == letter => true,
        _ => here > before,
    };
    match here {
        None => Err("a type of line that there is"),
        Some(here) if here > time && before < Some(time) => Err("t="),
        Some(_) if !follows => Err("lines in their order"),
        Some(_) => Ok(()),
    }
}

/// The same below a media description.
///
/// # Errors
///
/// What must stand there.
pub(super) fn may_follow_media(last: u8, letter: u8) -> Result<(), &'static str> {
    let place = |letter| MEDIA.iter().position(|&known| known == letter);
    let again = last == letter && matches!(letter, b'c' | b'b' | b'a');
    match place(letter) {
        None => Err("a type of line that a media description has"),
        Some(here) if Some(here) > place(last) || again => Ok(()),
        Some(_) => Err("lines in their order"),
    }
}
