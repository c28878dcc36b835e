//! What an RP message wants, before anything is kept of the request that brings it.

use crate::engine::Refusal;
use crate::interwork::content;
use crate::wire::rp::{self, Direction};
use crate::wire::sip::Request;
use crate::wire::tpdu::{self, Deliver, StatusReport, Tpdu};

/// The media type of an RP message (TS 24.341 section 7).
const MEDIA_TYPE: (&[u8], &[u8]) = (b"application", b"vnd.3gpp.sms");

/// RP-Cause "requested facility not implemented" (TS 24.011 section 8.2.5.4), legal towards an MS.
const CAUSE_NOT_IMPLEMENTED: u8 = 69;
/// TP-FCS "TPDU not supported" (TS 23.040 section 9.2.3.22).
pub(super) const FCS_TPDU: u8 = 0xB0;
/// TP-FCS "unspecified error cause".
pub(super) const FCS_UNSPECIFIED: u8 = 0xFF;

/// An RP message that has arrived.
pub(super) struct Reading<'a> {
    /// RP-MR.
    pub reference: u8,
    /// The direction of its answer.
    pub direction: Direction,
    pub what: What<'a>,
}

/// What it wants.
pub(super) enum What<'a> {
    /// A short message to be delivered.
    Deliver { deliver: Deliver<'a>, tpdu: &'a [u8] },
    /// What became of a message that was submitted.
    Status { report: StatusReport<'a> },
    /// Something that is refused.
    Refused { cause: u8, fcs: u8 },
    /// RP-SMMA: the memory of an MS is available again. There is nothing that waits for it.
    MemoryAvailable,
}

/// Whether a request carries an RP message.
pub(super) fn is_short_message(request: &Request<'_>) -> bool {
    let (kind, rest) = MEDIA_TYPE;
    let written = request.fields.content_type.of(request.octets);
    let Some((head, behind)) = written.split_at_checked(kind.len()) else { return false };
    if !head.eq_ignore_ascii_case(kind) {
        return false;
    }
    // White space and folding may surround the slash (RFC 3261 section 25.1): what is taken for
    // something else here would be relayed, and its 200 taken for a delivery.
    let Some(behind) = behind.trim_ascii_start().strip_prefix(b"/") else { return false };
    let Some((subtype, params)) = behind.trim_ascii_start().split_at_checked(rest.len()) else {
        return false;
    };
    subtype.eq_ignore_ascii_case(rest)
        && matches!(params.first(), None | Some(b';' | b' ' | b'\t' | b'\r'))
}

/// Why the entity in a request cannot be read, whatever is in it.
pub(super) fn unacceptable(request: &Request<'_>) -> Option<Refusal> {
    if !request.fields.require.is_empty() {
        return Some(Refusal::new(420, "Bad Extension"));
    }
    let encoding = request.fields.content_encoding.of(request.octets);
    let is_plain = encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity");
    (!is_plain).then_some(Refusal::new(415, "Content-Encoding Not Supported"))
}

/// Reads an RP message. `None` is one that wants nothing.
///
/// # Errors
///
/// What has no RP-MR that an answer could repeat.
pub(super) fn read(body: &[u8]) -> Result<Option<Reading<'_>>, Refusal> {
    let message = match rp::parse(body) {
        Ok(message) => message,
        Err(fault) => return faulty(&fault),
    };
    let reference = message.reference();
    let reading = |direction, what| Ok(Some(Reading { reference, direction, what }));
    match message {
        rp::Message::Ack(_) | rp::Message::Error(_) => Ok(None),
        rp::Message::Smma(_) => reading(Direction::NetworkToMs, What::MemoryAvailable),
        // Submission is not served, whatever is in it (R4).
        rp::Message::Data(data) if data.direction == Direction::MsToNetwork => {
            let refused = What::Refused { cause: CAUSE_NOT_IMPLEMENTED, fcs: FCS_UNSPECIFIED };
            reading(Direction::NetworkToMs, refused)
        }
        rp::Message::Data(data) => {
            let what = match tpdu::parse(data.tpdu, Direction::NetworkToMs, tpdu::Answer::Ack) {
                Ok(Tpdu::Deliver(deliver)) => What::Deliver { deliver, tpdu: data.tpdu },
                Ok(Tpdu::StatusReport(report)) => What::Status { report },
                Ok(_) => What::Refused { cause: content::CAUSE, fcs: FCS_TPDU },
                Err(fault) => What::Refused { cause: content::CAUSE, fcs: fault.fcs },
            };
            reading(Direction::MsToNetwork, what)
        }
    }
}

/// What an RP message that cannot be read is answered.
fn faulty<'a>(fault: &rp::Fault) -> Result<Option<Reading<'a>>, Refusal> {
    /// RP-ACK and RP-ERROR in both directions.
    const ANSWERS: core::ops::RangeInclusive<u8> = 2..=5;
    let (Some(reference), Some(mti)) = (fault.reference, fault.mti) else {
        return Err(Refusal::new(400, "RP Message Without Reference"));
    };
    if ANSWERS.contains(&mti) {
        return Ok(None);
    }
    let direction = if mti % 2 == 1 { Direction::MsToNetwork } else { Direction::NetworkToMs };
    let what = What::Refused { cause: fault.cause, fcs: FCS_UNSPECIFIED };
    Ok(Some(Reading { reference, direction, what }))
}
