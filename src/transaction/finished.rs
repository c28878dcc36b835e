//! What is left of a server transaction while timer J keeps it answerable: 48 bits.
//!
//! A response is a pure function of the request's octets, its source, a status and a detail of
//! 16 bits, so the retransmission itself supplies what answers it. Only responses that carry
//! more than that function can say (challenges, reasons, bodies) are kept as they were.

/// What the directory holds under the fingerprint of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// The message is open: its record is at this index.
    Open(u32),
    /// It is settled that nothing is answered (RFC 4320 section 4.2).
    Silent,
    /// A final response was sent.
    Final {
        /// Its status code.
        status: u16,
        /// What else the response depends on: seconds of Retry-After, 0 for none.
        detail: u16,
        /// Where a copy of the response may still be.
        kept: Option<u16>,
    },
}

const OPEN: u64 = 0;
const SILENT: u64 = 1;
const FINAL: u64 = 2;
const FINAL_KEPT: u64 = 3;

impl Entry {
    /// The entry in 48 bits: kind 2, and 32 of index, or status 10, detail 16, kept 16.
    pub const fn encode(self) -> u64 {
        match self {
            Self::Open(index) => OPEN << 46 | index as u64,
            Self::Silent => SILENT << 46,
            Self::Final { status, detail, kept } => {
                let said = (status as u64 & 0x3FF) << 32 | (detail as u64) << 16;
                match kept {
                    None => FINAL << 46 | said,
                    Some(kept) => FINAL_KEPT << 46 | said | kept as u64,
                }
            }
        }
    }

    /// Whether a retransmission and this entry are all that its answer needs, so that anybody can give
    /// it who reads the entry.
    pub const fn is_enough(self) -> bool {
        match self {
            Self::Silent | Self::Final { kept: None, .. } => true,
            Self::Open(_) | Self::Final { kept: Some(_), .. } => false,
        }
    }

    /// Reads an entry back.
    #[expect(clippy::cast_possible_truncation, reason = "each field has its own bits")]
    pub const fn decode(value: u64) -> Self {
        let status = (value >> 32) as u16 & 0x3FF;
        let detail = (value >> 16) as u16;
        match value >> 46 {
            OPEN => Self::Open(value as u32),
            SILENT => Self::Silent,
            FINAL => Self::Final { status, detail, kept: None },
            _ => Self::Final { status, detail, kept: Some(value as u16) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Directory;

    #[test]
    fn entries_come_back() {
        let mut entries = Vec::from([Entry::Open(0), Entry::Open(u32::MAX), Entry::Silent]);
        for status in [200, 503, 699] {
            for detail in [0, 5, u16::MAX] {
                for kept in [None, Some(0), Some(u16::MAX)] {
                    entries.push(Entry::Final { status, detail, kept });
                }
            }
        }
        for entry in entries {
            assert!(entry.encode() <= Directory::VALUE_MAX);
            assert_eq!(Entry::decode(entry.encode()), entry);
        }
    }
}
