//! What is asked: the kind of the octets, and how to read them.

/// What octets can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Sip,
    Cpim,
}

impl Kind {
    const ALL: [(&str, Self); 2] = [("sip", Self::Sip), ("cpim", Self::Cpim)];
}

/// Where SIP messages end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Framing {
    /// One message, with all that came with it.
    #[default]
    Datagram,
    /// One message behind the other.
    Stream,
}

/// How to read them. Keys that mean nothing to a kind are of no effect there, so that one list of
/// files can have the same keys throughout.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    pub(super) framing: Framing,
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
            b"dir=mt" | b"dir=mo" | b"rp=ack" | b"rp=error" => {}
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
