//! Digest authentication as a server checks it (RFC 7616, RFC 3261 section 22), with hashes of its
//! own.

use crate::chance::Chance;
use crate::text::{Text, value_of};

/// The user name of ours that everybody here knows.
pub(crate) const USERNAME: &str = "roger";

/// The password.
pub(crate) const PASSWORD: &str = "zanzibar";

/// Header fields that ask for credentials: 401 or 407, one algorithm or a choice, with and without
/// quality of protection.
pub(crate) fn challenge(status: u16, chance: &mut Chance) -> String {
    let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    let nonce = chance.word();
    let qop = chance.pick(&["", ", qop=\"auth\"", ", qop=\"auth,auth-int\""]);
    let opaque = chance.pick(&["", ", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""]);
    let one = |algorithm: &str| {
        format!(
            "{name}: Digest realm=\"r, s\", nonce=\"n{nonce:016x}\"{qop}{opaque}{algorithm}\r\n"
        )
    };
    match chance.below(4) {
        0 => one(""),
        1 => one(", algorithm=MD5"),
        2 => one(", algorithm=SHA-256"),
        _ => one(", algorithm=SHA-256") + &one(", algorithm=MD5"),
    }
}

/// What a request has to say about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// What only who knows the password can say.
    Right,
    /// Something else.
    Wrong,
}

/// Checks the credentials of a request.
pub(crate) fn check(text: &Text<'_>) -> Credentials {
    let fields = ["Authorization", "Proxy-Authorization"];
    let mut given =
        text.lines().filter_map(|line| fields.iter().find_map(|name| value_of(line, name)));
    let Some(value) = given.next() else { return Credentials::None };
    let mut words = text.start.split(' ');
    let (Some(method), Some(uri)) = (words.next(), words.next()) else {
        return Credentials::Wrong;
    };
    if is_right(value, method, uri) == Some(true) { Credentials::Right } else { Credentials::Wrong }
}

fn is_right(value: &str, method: &str, request_uri: &str) -> Option<bool> {
    let parameters = value.strip_prefix("Digest ")?;
    let get = |name: &str| parameter(parameters, name);
    let sha = match get("algorithm").as_deref() {
        None | Some("MD5") => false,
        Some("SHA-256") => true,
        Some(_) => return None,
    };
    let hash = |text: &str| if sha { sha256(text.as_bytes()) } else { md5(text.as_bytes()) };
    let (realm, nonce, uri) = (get("realm")?, get("nonce")?, get("uri")?);
    if get("username")? != USERNAME || uri != request_uri {
        return Some(false);
    }
    let secret = hash(&format!("{USERNAME}:{realm}:{PASSWORD}"));
    let subject = hash(&format!("{method}:{uri}"));
    let expected = match get("qop").as_deref() {
        None => hash(&format!("{secret}:{nonce}:{subject}")),
        Some("auth") => {
            let (count, own) = (get("nc")?, get("cnonce")?);
            hash(&format!("{secret}:{nonce}:{count}:{own}:auth:{subject}"))
        }
        Some(_) => return None,
    };
    Some(get("response")? == expected)
}

/// The value of a parameter in a list of them, without its quotes.
fn parameter(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while let Some((left, right)) = rest.split_once('=') {
        let (value, tail) = match right.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => right.split_once(',').unwrap_or((right, "")),
        };
        if left.trim_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = tail;
    }
    None
}

/// A message with the padding that both hashes share, in blocks of 64 octets.
fn padded(message: &[u8], length: [u8; 8]) -> Vec<u8> {
    let mut octets = message.to_vec();
    octets.push(0x80);
    while octets.len() % 64 != 56 {
        octets.push(0);
    }
    octets.extend(length);
    octets
}

fn hexadecimal(octets: impl IntoIterator<Item = u8>) -> String {
    octets.into_iter().map(|octet| format!("{octet:02x}")).collect()
}

/// RFC 1321.
pub(crate) fn md5(message: &[u8]) -> String {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut state: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
    let length = (message.len() as u64 * 8).to_le_bytes();
    for block in padded(message, length).as_chunks::<64>().0 {
        let words: Vec<u32> =
            block.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_usize {
            let (mixed, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), 7 * step % 16),
            };
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(sine(step))
                .wrapping_add(words[word])
                .rotate_left(SHIFTS[step / 16][step % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum));
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d]) {
            *old = old.wrapping_add(new);
        }
    }
    hexadecimal(state.into_iter().flat_map(u32::to_le_bytes))
}

/// The integer part of 2^32 times abs(sin(step + 1)).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 2^32 by RFC 1321"
)]
fn sine(step: usize) -> u32 {
    let angle = f64::from(u32::try_from(step + 1).unwrap_or(1));
    (angle.sin().abs() * 4_294_967_296.0) as u32
}

/// The first primes, whose roots are the constants of SHA-256.
fn primes() -> impl Iterator<Item = u64> {
    (2_u64..).filter(|number| (2..*number).all(|divisor| number % divisor != 0))
}

/// The first 32 bits behind the point of the root of this degree.
fn fraction_of_root(number: u64, degree: u32) -> u32 {
    // The largest x with x^degree <= number * 2^(32 * degree), by bisection.
    let target = u128::from(number) << 32_u32.saturating_mul(degree).min(96);
    let (mut low, mut high) = (0_u128, 1_u128 << 37);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle.checked_pow(degree).is_some_and(|power| power <= target) {
            low = middle;
        } else {
            high = middle;
        }
    }
    u32::try_from(low & 0xFFFF_FFFF).unwrap_or(0)
}

/// FIPS 180-4.
pub(crate) fn sha256(message: &[u8]) -> String {
    let constants: Vec<u32> = primes().take(64).map(|prime| fraction_of_root(prime, 3)).collect();
    let mut state: Vec<u32> = primes().take(8).map(|prime| fraction_of_root(prime, 2)).collect();
    let length = (message.len() as u64 * 8).to_be_bytes();
    for block in padded(message, length).as_chunks::<64>().0 {
        let mut words: Vec<u32> =
            block.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
        for at in 16..64 {
            let (near, far) = (words[at - 2], words[at - 15]);
            let near = near.rotate_right(17) ^ near.rotate_right(19) ^ near >> 10;
            let far = far.rotate_right(7) ^ far.rotate_right(18) ^ far >> 3;
            words.push(
                words[at - 16].wrapping_add(far).wrapping_add(words[at - 7]).wrapping_add(near),
            );
        }
        let mut now = state.clone();
        for step in 0..64 {
            let (a, e) = (now[0], now[4]);
            let big = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let chosen = (e & now[5]) ^ (!e & now[6]);
            let first = now[7]
                .wrapping_add(big)
                .wrapping_add(chosen)
                .wrapping_add(constants[step])
                .wrapping_add(words[step]);
            let big = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & now[1]) ^ (a & now[2]) ^ (now[1] & now[2]);
            now.rotate_right(1);
            now[4] = now[4].wrapping_add(first);
            now[0] = first.wrapping_add(big).wrapping_add(majority);
        }
        for (old, new) in state.iter_mut().zip(now) {
            *old = old.wrapping_add(new);
        }
    }
    hexadecimal(state.into_iter().flat_map(u32::to_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_their_standards() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        let long =
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(md5(long.as_bytes()), "57edf4a22be3c955ac49da2e2107b67a");
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
    }

    /// The example of RFC 7616 section 3.9.1, with the names of this world.
    #[test]
    fn credentials_are_right_or_wrong() {
        let secret = md5(format!("{USERNAME}:r, s:{PASSWORD}").as_bytes());
        let subject = md5(b"MESSAGE:sip:a@b");
        let response = md5(format!("{secret}:n1:00000001:c1:auth:{subject}").as_bytes());
        let request = |uri: &str, response: &str| {
            format!(
                "MESSAGE sip:a@b SIP/2.0\r\nAuthorization: Digest username=\"{USERNAME}\", \
                 realm=\"r, s\", nonce=\"n1\", uri=\"{uri}\", qop=auth, nc=00000001, \
                 cnonce=\"c1\", response=\"{response}\"\r\n\r\n"
            )
        };
        let checked = |text: &str| check(&Text::read(text.as_bytes()).unwrap());
        assert_eq!(checked(&request("sip:a@b", &response)), Credentials::Right);
        assert_eq!(checked(&request("sip:a@c", &response)), Credentials::Wrong);
        assert_eq!(checked(&request("sip:a@b", &subject)), Credentials::Wrong);
        assert_eq!(checked("MESSAGE sip:a@b SIP/2.0\r\nTo: b\r\n\r\n"), Credentials::None);
    }
}
