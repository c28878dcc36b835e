//! Which short messages can become instant messages (TS 23.040 section 9.2.3, TS 23.038).

use crate::wire::tpdu::{Alphabet, Deliver};

/// What becomes of a short message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Its text goes to the IM side.
    Text,
    /// It is acknowledged and discarded: type 0 (TS 23.040 section 9.2.3.9).
    Discarded,
    /// It has no text that a person could read: the SC may try another way.
    Unsupported {
        /// The TP-FCS that says so.
        fcs: u8,
    },
}

/// RP-Cause "protocol error, unspecified": the only cause left to an MS for what is neither memory
/// nor syntax (TS 24.011 section 8.2.5.4); TP-FCS says what it was.
pub const CAUSE: u8 = 111;

/// Short message type 0.
const PID_TYPE_0: u8 = 0x40;
/// ME data download, ME de-personalization, (U)SIM data download.
const PID_DOWNLOADS: core::ops::RangeInclusive<u8> = 0x7D..=0x7F;
/// Data coding scheme (alphabet) not supported.
const FCS_ALPHABET: u8 = 0x90;
/// Special SMS message indication: a waiting voice mail and its kin.
const IEI_INDICATION: u8 = 0x01;

/// What becomes of this short message (hazard H55).
pub fn of(deliver: &Deliver<'_>) -> Content {
    let unsupported = Content::Unsupported { fcs: FCS_ALPHABET };
    if deliver.pid == PID_TYPE_0 {
        return Content::Discarded;
    }
    let user_data = &deliver.user_data;
    let for_a_machine = PID_DOWNLOADS.contains(&deliver.pid)
        || user_data.is_port_addressed()
        || deliver.dcs.message_waiting().is_some()
        || user_data.elements().any(|element| element.iei == IEI_INDICATION);
    if for_a_machine || deliver.dcs.is_compressed() || deliver.dcs.alphabet() == Alphabet::Octets {
        return unsupported;
    }
    Content::Text
}
