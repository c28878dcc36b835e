//! Lists of media types: what an endpoint takes (RFC 4975 section 8.6).

use super::super::cursor::visited;

/// The media types that an endpoint takes, as its two attributes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Types<'a> {
    /// `accept-types`: what may be a whole message, or stand in a container.
    pub root: &'a [u8],
    /// `accept-wrapped-types`: what may stand in a container only.
    pub wrapped: &'a [u8],
}

/// Whether a media type is taken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Taken {
    /// It is not.
    No,
    /// By `*` or `type/*`: it may be tried.
    Implicitly,
    /// It is listed. That should be preferred.
    Explicitly,
}

impl Types<'_> {
    /// Whether a message of this media type is taken.
    pub fn takes(self, media_type: &[u8]) -> Taken {
        taken(self.root, media_type)
    }

    /// Whether this media type is taken in a container of that type: the container must be in
    /// `accept-types`, the type in either list.
    pub fn takes_wrapped(self, container: &[u8], media_type: &[u8]) -> Taken {
        let inner = taken(self.root, media_type).max(taken(self.wrapped, media_type));
        taken(self.root, container).min(inner)
    }
}

fn taken(list: &[u8], media_type: &[u8]) -> Taken {
    Entries::new(list).map(|entry| matches(entry, media_type)).max().unwrap_or(Taken::No)
}

/// Whether an entry means a media type. Parameters on either side do not count.
fn matches(entry: &[u8], media_type: &[u8]) -> Taken {
    let (entry, wanted) = (without_parameters(entry), without_parameters(media_type));
    visited(entry.len());
    if entry.eq_ignore_ascii_case(wanted) {
        return Taken::Explicitly;
    }
    let all_of_type = entry.strip_suffix(b"*").is_some_and(|kind| {
        kind.ends_with(b"/")
            && wanted.get(..kind.len()).is_some_and(|front| front.eq_ignore_ascii_case(kind))
    });
    if entry == b"*" || all_of_type { Taken::Implicitly } else { Taken::No }
}

fn without_parameters(written: &[u8]) -> &[u8] {
    let end = written.iter().position(|&octet| octet == b';').unwrap_or(written.len());
    written.get(..end).unwrap_or_default().trim_ascii()
}

/// The entries of a list with spaces between them. A space in quotes is part of its entry.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those of this list.
    pub const fn new(list: &'a [u8]) -> Self {
        Self { rest: list }
    }

    /// How many octets are behind the last entry that was given.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ', rest @ ..] = self.rest {
            visited(1);
            self.rest = rest;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.rest.iter().position(|&octet| {
            if escaped {
                escaped = false;
                return false;
            }
            match octet {
                b'"' => quoted = !quoted,
                b'\\' => escaped = quoted,
                _ => {}
            }
            octet == b' ' && !quoted
        });
        let (entry, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        visited(entry.len());
        self.rest = rest;
        (!entry.is_empty()).then_some(entry)
    }
}

/// `format-entry`
pub(super) fn is_entry(entry: &[u8]) -> bool {
    visited(entry.len());
    let (kind, rest) = take_token(entry);
    if kind.is_empty() {
        return false;
    }
    let mut rest = match rest {
        [b'/', rest @ ..] => {
            let (subtype, rest) = take_token(rest);
            if subtype.is_empty() || kind == b"*" {
                return false;
            }
            rest
        }
        _ if kind == b"*" => return rest.is_empty(),
        _ => return false,
    };
    while let [b';', behind @ ..] = rest {
        let (name, behind) = take_token(behind);
        let [b'=', value @ ..] = behind else { return false };
        let (plain, behind) = take_token(value);
        let value_end = if plain.is_empty() { quoted(value) } else { Some(behind) };
        let Some(behind) = value_end.filter(|_| !name.is_empty()) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

/// What is behind a quoted string; none if there is none, or none that ends.
fn quoted(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\\' | b'"', rest @ ..] => rest,
            [b'\t' | b' '..=b'[' | b']'..=b'~' | 0x80.., rest @ ..] => rest,
            _ => return None,
        };
    }
}

fn take_token(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = octets.iter().position(|&octet| !is_token_char(octet)).unwrap_or(octets.len());
    octets.split_at_checked(end).unwrap_or_default()
}

/// `token` (RFC 8866 section 9, and RFC 4975 section 9 alike).
pub(super) fn is_token(octets: &[u8]) -> bool {
    visited(octets.len());
    !octets.is_empty() && octets.iter().all(|&octet| is_token_char(octet))
}

const fn is_token_char(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'{'..=b'~')
}
