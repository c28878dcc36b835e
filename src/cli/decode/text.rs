//! Octets as JSON can hold them.

use sha2::{Digest, Sha256};

/// A header value: folding is one space, and octets that are not UTF-8 are Latin-1.
pub(super) fn value(octets: &[u8]) -> String {
    let unfolded = unfolded(octets);
    match String::from_utf8(unfolded) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// The same for a value that may not be there.
pub(super) fn present(octets: &[u8]) -> Option<String> {
    (!octets.is_empty()).then(|| value(octets))
}

/// `LWS = [*WSP CRLF] 1*WSP`: around a line end it means one space (RFC 3261 section 25.1).
fn unfolded(octets: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (before, behind) = rest.split_at(at);
        unfolded.extend_from_slice(before.trim_ascii_end());
        unfolded.push(b' ');
        rest = behind.trim_ascii_start();
    }
    unfolded.extend_from_slice(rest);
    unfolded
}

/// The SHA-256 of a body, in hexadecimal digits.
pub(super) fn sha256(octets: &[u8]) -> String {
    hex(&Sha256::digest(octets))
}

/// Two hexadecimal digits for each octet.
pub(super) fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        // A String has room for everything.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_one_space() {
        for (written, meant) in [
            ("a", "a"),
            ("a b\t c", "a b\t c"),
            ("a\r\n b", "a b"),
            ("a \t\r\n \r\n\t b", "a b"),
            ("", ""),
        ] {
            assert_eq!(value(written.as_bytes()), meant, "{written:?}");
        }
    }

    #[test]
    fn octets_that_are_not_utf_8_are_latin_1() {
        assert_eq!(value("é€".as_bytes()), "é€");
        assert_eq!(value(b"caf\xe9 \xff\0"), "caf\u{e9} \u{ff}\0");
        assert_eq!(present(b""), None);
    }

    #[test]
    fn a_digest_is_that_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        assert_eq!(hex(&[0, 0x0F, 0xFF]), "000fff");
    }
}
