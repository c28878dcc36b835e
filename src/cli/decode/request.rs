//! What is asked: the kind of the octets, and how to read them.

use crate::wire::rp::Direction;
use crate::wire::tpdu::Answer;

/// What octets can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Sip,
    Msrp,
    Cpim,
    Rp,
    Sdp,
    SmsTpdu,
}

impl Kind {
    const ALL: [(&str, Self); 6] = [
        ("sip", Self::Sip),
        ("msrp", Self::Msrp),
        ("sdp", Self::Sdp),
        ("cpim", Self::Cpim),
        ("rp", Self::Rp),
        ("sms-tpdu", Self::SmsTpdu),
    ];
}

/// Where SIP messages end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// One message, with all that came with it.
    Datagram,
    /// One message behind the other.
    Stream,
}

/// How to read them. Keys that mean nothing to a kind are of no effect there, so that one list of
/// files can have the same keys throughout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) framing: Framing,
    /// Which way a TPDU goes, which its octets do not say.
    pub(super) direction: Direction,
    /// Which answer of the RP layer a report came in.
    pub(super) answer: Answer,
}

impl Default for Keys {
    /// A datagram; a TPDU that goes to a mobile station; a report in an RP-ACK.
    fn default() -> Self {
        Self { framing: Framing::Datagram, direction: Direction::NetworkToMs, answer: Answer::Ack }
    }
}

/// Reads a kind and its keys.
///
/// # Errors
///
/// A kind, a key or a value that there is not, with those that there are.
pub(super) fn parse<'a>(
    kind: &[u8],
    given: impl Iterator<Item = &'a [u8]>,
) -> Result<(Kind, Keys), String> {
    let known = Kind::ALL.iter().find(|(name, _)| name.as_bytes() == kind);
    let Some((_, kind)) = known else {
        let names: Vec<_> = Kind::ALL.iter().map(|(name, _)| *name).collect();
        let kind = String::from_utf8_lossy(kind);
        return Err(format!("there is no kind {kind:?}, but {}", names.join(", ")));
    };
    let mut keys = Keys::default();
    for key in given {
        match key {
            b"framing=datagram" => keys.framing = Framing::Datagram,
            b"framing=stream" => keys.framing = Framing::Stream,
            b"dir=mt" => keys.direction = Direction::NetworkToMs,
            b"dir=mo" => keys.direction = Direction::MsToNetwork,
            b"rp=ack" => keys.answer = Answer::Ack,
            b"rp=error" => keys.answer = Answer::Error,
            _ => {
                let key = String::from_utf8_lossy(key);
                return Err(format!(
                    "there is no key {key:?}, but framing=datagram, framing=stream, dir=mt, \
                     dir=mo, rp=ack, rp=error"
                ));
            }
        }
    }
    Ok((*kind, keys))
}
