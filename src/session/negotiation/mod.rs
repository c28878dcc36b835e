//! Offer and answer for MSRP: who connects to whom, and what may be sent then (RFC 3264, RFC 4975
//! section 8, RFC 6135, RFC 6714, RFC 8122).
//!
//! Plain functions of the description of the other end and of what we bring: [`answer()`] says what
//! becomes of an offer to us, [`judge()`] what an answer to ours is worth. Both end in an
//! [`Agreement`], which holds no octets: its spans are in that description.
//!
//! Who connects, by what is offered and answered (`-`: nothing is said, or `holdconn`, which an MSRP
//! endpoint reads so):
//!
//! | offer   | answer of ours              | | offer of ours | answer       | we         |
//! |---------|-----------------------------|-|---------------|--------------|------------|
//! | active  | passive                     | | actpass       | active       | wait       |
//! | -       | passive                     | | actpass       | passive or - | connect    |
//! | passive | active                      | | active        | passive or - | connect    |
//! | actpass | as we are told to           | | any other     |              | refuse it  |
//!
//! Where to: to the first URI of the path, or to the address in `c=` and `m=` if both ends know that a
//! middlebox may have put its own there (RFC 6714). A name and an address cannot be compared without
//! asking somebody, which the packet path does not do; they are taken for the same if the ports are,
//! since refusing would cost every client with a name in its path.

mod agreement;
mod answer;
mod judge;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod place;
mod previous;

use crate::wire::Malformed;

pub use self::agreement::{Agreement, Certificates, Role, Target};
pub use self::answer::answer;
pub use self::judge::judge;
pub use self::previous::{Change, Previous};

/// What we bring into every session.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// Our path: our URI, behind those of our relays if there are any.
    pub path: &'a [u8],
    /// The forms of content that we know, those first that we like best. None where we carry for others:
    /// forms and directions are then theirs to agree upon.
    pub contents: &'a [Content<'a>],
    /// Whether others can connect to us.
    pub listens: bool,
    /// Whether a middlebox may lead connections through itself (RFC 6714).
    pub cema: bool,
    /// Whether we want to send messages.
    pub sends: bool,
    /// Whether we want to receive messages.
    pub receives: bool,
}

/// A form of content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content<'a> {
    /// The media type around it: `message/cpim`; empty for none.
    pub container: &'a [u8],
    /// The media type of what is said: `text/plain`.
    pub media_type: &'a [u8],
}

/// Which protocols we do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protocols {
    /// `TCP/MSRP`
    pub tcp: bool,
    /// `TCP/TLS/MSRP`
    pub tls: bool,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// There is no media description of MSRP, or not where it was.
    NoStream,
    /// An answer with more or fewer media descriptions than its offer (RFC 3264 section 6).
    Count,
    /// Port 0: it is not wanted, or no longer (RFC 3264 sections 6 and 8.2).
    Port,
    /// An attribute is not what its standard says it must be.
    Attribute(Malformed),
    /// With or without TLS, as we do not do it or did not offer it.
    Protocol,
    /// No path; a URI in it without TCP or without a port, or protected while the protocol is not, or
    /// the other way round; none of a session at its end, or our own (RFC 4975 sections 6 and 8.2).
    Path,
    /// None of the forms of content that we know (RFC 4975 section 8.6).
    Types,
    /// Nobody wants to receive what the other end sends, or send what it receives.
    Direction,
    /// Both would connect, or both wait (RFC 4145 section 4.1).
    Setup,
    /// The address in `c=` and `m=` is another one than in the path, and the other end does not say
    /// that this is meant (RFC 6714 section 4.3); or it is none to connect to.
    Address,
    /// Fingerprints only by hash functions that are not good enough (RFC 8122 section 5).
    Fingerprint,
    /// A middlebox stands between us and one who does not know of such: what helps is an offer without
    /// `msrp-cema` (RFC 6714 section 4.2).
    OfferAgain,
    /// Our message is larger than they take: that many octets (RFC 4975 section 8.6).
    TooLarge {
        /// `max-size` of the other end.
        max_size: u64,
    },
}

/// What a refusal of ours means for the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// Nothing was sent, and nothing can be: there is no session with this user agent. The INVITE is
    /// acknowledged and ended.
    NotUsable,
    /// The same, and another offer may have an effect.
    OfferAgain,
    /// The session could be used, by a smaller message or in pieces.
    TooLarge,
}

impl Refusal {
    /// The status that an offer is refused with: Not Acceptable Here (RFC 4975 section 8.6, RFC 6714
    /// section 4.3).
    pub const STATUS: u16 = 488;

    /// What it means for the message.
    pub const fn means(self) -> Meaning {
        match self {
            Self::OfferAgain => Meaning::OfferAgain,
            Self::TooLarge { .. } => Meaning::TooLarge,
            Self::NoStream
            | Self::Count
            | Self::Port
            | Self::Attribute(_)
            | Self::Protocol
            | Self::Path
            | Self::Types
            | Self::Direction
            | Self::Setup
            | Self::Address
            | Self::Fingerprint => Meaning::NotUsable,
        }
    }
}

#[cfg(test)]
mod tests;
