//! Offers in a session that exists: whether they change anything (RFC 3264 section 8).

use crate::wire::sdp::Session;

/// What is remembered of the last description of the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Previous {
    /// Of all octets, `o=` with its version among them.
    octets: u64,
    media_count: u8,
}

/// What another description of the other end is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// The same again: it keeps the session alive (RFC 4028 section 7.4), and is answered with what we
    /// said last.
    Unchanged,
    /// Another one, or another version.
    Changed,
    /// One with fewer media descriptions, which there must not be: none of them ever goes away.
    Fewer,
}

impl Previous {
    /// What is to be remembered.
    pub fn of(session: &Session<'_>) -> Self {
        Self { octets: digest(session.octets), media_count: session.media_count }
    }

    /// What this description is beside the last one.
    ///
    /// One with the same `o=` must be the same throughout (RFC 3264 section 8, RFC 4975 section 8.4). Of
    /// those who change something and forget the version, the change is taken: nothing is gained by
    /// sending to where they are no longer.
    pub fn change(&self, session: &Session<'_>) -> Change {
        let now = Self::of(session);
        if now == *self {
            Change::Unchanged
        } else if now.media_count < self.media_count {
            Change::Fewer
        } else {
            Change::Changed
        }
    }
}

/// FNV-1a with 64 bits. Whoever finds two descriptions with the same one keeps his own session as it
/// was.
fn digest(octets: &[u8]) -> u64 {
    octets.iter().fold(0xCBF2_9CE4_8422_2325, |digest, octet| {
        (digest ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3)
    })
}
