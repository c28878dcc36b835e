//! The TPDUs of the short message transfer layer (TS 23.040 clause 9.2): six types, in both
//! directions, with what TS 23.038 says of their data coding schemes and alphabets.
//!
//! [`parse`] gives a view that borrows the octets; [`write()`] and its kin are the inverse. What the
//! standard forbids is refused with the reason: a length that is not that of the octets, a digit
//! that is none, a time that is not real, octets behind the end. What it leaves open is taken:
//! every protocol identifier and data coding scheme, spare bits, reserved values that a receiver
//! has to read as something else.

mod address;
mod alphabet;
mod build;
mod dcs;
#[cfg(any(test, fuzzing))]
pub mod laws;
mod time;
mod user_data;

pub use address::Address;
pub use alphabet::septets_of;
pub use build::{command, deliver, deliver_report, status_report, submit, submit_report, write};
pub use dcs::{Alphabet, Dcs, MessageWaiting};
pub use time::{Timestamp, ValidityPeriod};
pub use user_data::{Concatenation, Element, USER_DATA_SIZE_MAX, UserData};

use super::Malformed;
use super::cursor::Cursor;
use super::rp::Direction;

/// The most octets of a TPDU: an SMS-SUBMIT with all that it can have.
pub const TPDU_SIZE_MAX: usize = 164;

/// Which answer of the RP layer an SMS-DELIVER-REPORT or SMS-SUBMIT-REPORT came in: in an RP-ERROR
/// they have a TP-Failure-Cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// RP-ACK.
    Ack,
    /// RP-ERROR.
    Error,
}

/// A TPDU of any type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tpdu<'a> {
    /// A message from the service centre to the mobile station.
    Deliver(Deliver<'a>),
    /// The mobile station's answer to an SMS-DELIVER or SMS-STATUS-REPORT.
    DeliverReport(DeliverReport<'a>),
    /// A message from the mobile station to the service centre.
    Submit(Submit<'a>),
    /// The service centre's answer to an SMS-SUBMIT or SMS-COMMAND.
    SubmitReport(SubmitReport<'a>),
    /// What became of a message that was submitted.
    StatusReport(StatusReport<'a>),
    /// What the service centre is to do with a message that was submitted.
    Command(Command<'a>),
}

impl Tpdu<'_> {
    /// Whether it is an answer, which goes in RP-ACK and RP-ERROR; all others go in RP-DATA.
    pub const fn is_report(&self) -> bool {
        matches!(self, Self::DeliverReport(_) | Self::SubmitReport(_))
    }
}

/// SMS-DELIVER (clause 9.2.2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deliver<'a> {
    /// TP-MMS: whether more messages wait in the service centre (the bit is 0 then).
    pub more_messages: bool,
    /// TP-LP: whether it was forwarded or spawned, so that it must not be again.
    pub loop_prevention: bool,
    /// TP-SRI: whether a status report will go to the sender.
    pub status_report_indication: bool,
    /// TP-RP: whether an answer may go through the same service centre.
    pub reply_path: bool,
    /// TP-OA: who sent it.
    pub originator: Address<'a>,
    /// TP-PID.
    pub pid: u8,
    /// TP-DCS.
    pub dcs: Dcs,
    /// TP-SCTS: when the service centre got it.
    pub scts: Timestamp,
    /// TP-UD.
    pub user_data: UserData<'a>,
}

/// SMS-DELIVER-REPORT (clause 9.2.2.1a).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliverReport<'a> {
    /// TP-FCS, in an RP-ERROR only.
    pub fcs: Option<u8>,
    /// TP-PI and what it says.
    pub parameters: Parameters<'a>,
}

/// SMS-SUBMIT (clause 9.2.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Submit<'a> {
    /// TP-RD: whether a duplicate of a message that is held is to be rejected.
    pub reject_duplicates: bool,
    /// TP-SRR: whether a status report is asked for.
    pub status_report_request: bool,
    /// TP-RP: whether an answer may go through the same service centre.
    pub reply_path: bool,
    /// TP-MR: the number that its sender gave it.
    pub reference: u8,
    /// TP-DA: whom it is for.
    pub destination: Address<'a>,
    /// TP-PID.
    pub pid: u8,
    /// TP-DCS.
    pub dcs: Dcs,
    /// TP-VP.
    pub validity_period: ValidityPeriod,
    /// TP-UD.
    pub user_data: UserData<'a>,
}

/// SMS-SUBMIT-REPORT (clause 9.2.2.2a).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubmitReport<'a> {
    /// TP-FCS, in an RP-ERROR only.
    pub fcs: Option<u8>,
    /// TP-SCTS: when the service centre got the SMS-SUBMIT.
    pub scts: Timestamp,
    /// TP-PI and what it says.
    pub parameters: Parameters<'a>,
}

/// SMS-STATUS-REPORT (clause 9.2.2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusReport<'a> {
    /// TP-MMS: whether more messages wait in the service centre (the bit is 0 then).
    pub more_messages: bool,
    /// TP-LP: whether it was forwarded or spawned, so that it must not be again.
    pub loop_prevention: bool,
    /// TP-SRQ: whether it answers an SMS-COMMAND, not an SMS-SUBMIT.
    pub of_command: bool,
    /// TP-MR of what it is about.
    pub reference: u8,
    /// TP-RA: whom the message was for.
    pub recipient: Address<'a>,
    /// TP-SCTS: when the service centre got the message.
    pub scts: Timestamp,
    /// TP-DT: when `status` came to be.
    pub discharge_time: Timestamp,
    /// TP-ST: what became of it.
    pub status: u8,
    /// TP-PI and what it says, if it is there.
    pub parameters: Option<Parameters<'a>>,
}

/// SMS-COMMAND (clause 9.2.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command<'a> {
    /// TP-SRR: whether a status report is asked for.
    pub status_report_request: bool,
    /// TP-MR: the number that its sender gave it.
    pub reference: u8,
    /// TP-PID.
    pub pid: u8,
    /// TP-CT: 0 enquiry, 1 cancel a status report, 2 delete, 3 ask for a status report.
    pub command_type: u8,
    /// TP-MN: TP-MR of the message that it is about.
    pub message_number: u8,
    /// TP-DA of the message that it is about.
    pub destination: Address<'a>,
    /// TP-CDL, TP-UDHI and TP-CD: always octets.
    pub data: UserData<'a>,
}

/// TP-Parameter-Indicator (clause 9.2.3.27) and the parameters that it says are there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters<'a> {
    /// TP-PI: an octet, and those that its highest bit, and theirs, announce.
    pub indicator: &'a [u8],
    /// TP-PID.
    pub pid: Option<u8>,
    /// TP-DCS.
    pub dcs: Option<Dcs>,
    /// TP-UD. Without TP-DCS it is in the default alphabet.
    pub user_data: Option<UserData<'a>>,
    /// What is behind TP-UD: parameters of a later release, which a reserved bit of the indicator
    /// announces and a receiver has to discard.
    pub later: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// None at all: an indicator of zero.
    pub const NONE: Parameters<'static> =
        Parameters { indicator: &[0], pid: None, dcs: None, user_data: None, later: &[] };

    /// These parameters, with the indicator that says so.
    pub fn new(pid: Option<u8>, dcs: Option<Dcs>, user_data: Option<UserData<'a>>) -> Self {
        const INDICATORS: [[u8; 1]; 8] = [[0], [1], [2], [3], [4], [5], [6], [7]];
        let indicator = usize::from(pid.is_some())
            | usize::from(dcs.is_some()) << 1
            | usize::from(user_data.is_some()) << 2;
        let indicator = INDICATORS.get(indicator).map_or(&[0][..], |octet| octet);
        Self { indicator, pid, dcs, user_data, later: &[] }
    }

    /// The first octet of TP-PI.
    pub fn pi(&self) -> u8 {
        self.indicator.first().copied().unwrap_or_default()
    }

    /// TP-UDHI of the TPDU that has them.
    const fn udhi(&self) -> bool {
        match self.user_data {
            Some(UserData { udhi, .. }) => udhi,
            None => false,
        }
    }
}

/// Whether a reserved bit is set, which announces octets behind TP-UD.
fn announces_later(indicator: &[u8]) -> bool {
    let reserved = |(index, octet): (usize, &u8)| octet & if index == 0 { 0x78 } else { 0x7F };
    indicator.iter().enumerate().any(|octet| reserved(octet) != 0)
}

/// Why octets are no TPDU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What should have been there; the octet is counted from the first of the TPDU.
    pub malformed: Malformed,
    /// The TP-Failure-Cause that says it best: 0xB0 TPDU not supported, 0xC7 TP-VP not supported,
    /// else 0xFF unspecified. Of a protocol identifier or a data coding scheme no octet is wrong.
    pub fcs: u8,
}

impl Fault {
    /// TPDU not supported.
    pub const FCS_TPDU_NOT_SUPPORTED: u8 = 0xB0;
    /// TP-Validity-Period not supported.
    pub const FCS_VP_NOT_SUPPORTED: u8 = 0xC7;
    /// Unspecified error cause.
    pub const FCS_UNSPECIFIED: u8 = 0xFF;
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self { malformed, fcs: Self::FCS_UNSPECIFIED }
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.malformed.fmt(f)
    }
}

impl core::error::Error for Fault {}

/// The bits of the first octet (clause 9.2.3).
mod bit {
    pub(super) const MMS: u8 = 0x04;
    pub(super) const RD: u8 = 0x04;
    pub(super) const LP: u8 = 0x08;
    pub(super) const SRI: u8 = 0x20;
    pub(super) const SRR: u8 = 0x20;
    pub(super) const SRQ: u8 = 0x20;
    pub(super) const UDHI: u8 = 0x40;
    pub(super) const RP: u8 = 0x80;
}

/// The most octets of TP-UD or TP-CD by type (clause 9.2.2).
mod size {
    pub(super) const DELIVER_REPORT_ACK: usize = 159;
    pub(super) const DELIVER_REPORT_ERROR: usize = 158;
    pub(super) const SUBMIT_REPORT_ACK: usize = 152;
    pub(super) const SUBMIT_REPORT_ERROR: usize = 151;
    /// Where TP-RA has two octets and TP-PID and TP-DCS are absent; 131 are guaranteed.
    pub(super) const STATUS_REPORT: usize = 143;
    pub(super) const COMMAND: usize = 157;
}

/// Reads a TPDU that goes in a direction; `answer` counts for the two reports only.
///
/// A mobile station has to read TP-MTI 3 as an SMS-DELIVER (clause 9.2.3.1), and so does this.
///
/// # Errors
///
/// What is wrong, and TP-FCS for it.
pub fn parse(octets: &[u8], direction: Direction, answer: Answer) -> Result<Tpdu<'_>, Fault> {
    let mut cursor = Cursor::new(octets, 0, octets.len());
    let first = octet(&mut cursor, "a TPDU")?;
    let (mti, cursor) = (first & 3, &mut cursor);
    let tpdu = match (direction, mti) {
        (Direction::NetworkToMs, 0 | 3) => Tpdu::Deliver(parse_deliver(first, cursor)?),
        (Direction::NetworkToMs, 1) => {
            Tpdu::SubmitReport(parse_submit_report(first, answer, cursor)?)
        }
        (Direction::NetworkToMs, _) => Tpdu::StatusReport(parse_status_report(first, cursor)?),
        (Direction::MsToNetwork, 0) => {
            Tpdu::DeliverReport(parse_deliver_report(first, answer, cursor)?)
        }
        (Direction::MsToNetwork, 1) => Tpdu::Submit(parse_submit(first, cursor)?),
        (Direction::MsToNetwork, 2) => Tpdu::Command(parse_command(first, cursor)?),
        (Direction::MsToNetwork, _) => {
            let malformed =
                Malformed { expected: "a message type that a mobile station sends", at: 0 };
            return Err(Fault { malformed, fcs: Fault::FCS_TPDU_NOT_SUPPORTED });
        }
    };
    if cursor.is_at_end() {
        Ok(tpdu)
    } else {
        Err(Malformed { expected: "the end of the TPDU", at: cursor.at() }.into())
    }
}

fn octet(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<u8, Malformed> {
    let at = cursor.at();
    cursor.octet().ok_or(Malformed { expected, at })
}

fn parse_deliver<'a>(first: u8, cursor: &mut Cursor<'a>) -> Result<Deliver<'a>, Malformed> {
    let originator = Address::read(cursor, "TP-Originating-Address")?;
    let pid = octet(cursor, "TP-Protocol-Identifier")?;
    let dcs = Dcs(octet(cursor, "TP-Data-Coding-Scheme")?);
    let scts = Timestamp::read(cursor, "TP-Service-Centre-Time-Stamp")?;
    let udhi = first & bit::UDHI != 0;
    let user_data = UserData::read(cursor, dcs, udhi, USER_DATA_SIZE_MAX)?;
    Ok(Deliver {
        more_messages: first & bit::MMS == 0,
        loop_prevention: first & bit::LP != 0,
        status_report_indication: first & bit::SRI != 0,
        reply_path: first & bit::RP != 0,
        originator,
        pid,
        dcs,
        scts,
        user_data,
    })
}

fn parse_submit<'a>(first: u8, cursor: &mut Cursor<'a>) -> Result<Submit<'a>, Fault> {
    let reference = octet(cursor, "TP-Message-Reference")?;
    let destination = Address::read(cursor, "TP-Destination-Address")?;
    let pid = octet(cursor, "TP-Protocol-Identifier")?;
    let dcs = Dcs(octet(cursor, "TP-Data-Coding-Scheme")?);
    let validity_period = ValidityPeriod::read(cursor, first >> 3 & 3)
        .map_err(|malformed| Fault { malformed, fcs: Fault::FCS_VP_NOT_SUPPORTED })?;
    let udhi = first & bit::UDHI != 0;
    let user_data = UserData::read(cursor, dcs, udhi, USER_DATA_SIZE_MAX)?;
    Ok(Submit {
        reject_duplicates: first & bit::RD != 0,
        status_report_request: first & bit::SRR != 0,
        reply_path: first & bit::RP != 0,
        reference,
        destination,
        pid,
        dcs,
        validity_period,
        user_data,
    })
}

fn parse_deliver_report<'a>(
    first: u8,
    answer: Answer,
    cursor: &mut Cursor<'a>,
) -> Result<DeliverReport<'a>, Malformed> {
    let (fcs, size_max) = match answer {
        Answer::Ack => (None, size::DELIVER_REPORT_ACK),
        Answer::Error => (Some(octet(cursor, "TP-Failure-Cause")?), size::DELIVER_REPORT_ERROR),
    };
    let indicator = parse_indicator(cursor)?;
    let parameters = parse_parameters(indicator, first, size_max, cursor)?;
    Ok(DeliverReport { fcs, parameters })
}

fn parse_submit_report<'a>(
    first: u8,
    answer: Answer,
    cursor: &mut Cursor<'a>,
) -> Result<SubmitReport<'a>, Malformed> {
    let (fcs, size_max) = match answer {
        Answer::Ack => (None, size::SUBMIT_REPORT_ACK),
        Answer::Error => (Some(octet(cursor, "TP-Failure-Cause")?), size::SUBMIT_REPORT_ERROR),
    };
    let indicator = parse_indicator(cursor)?;
    let scts = Timestamp::read(cursor, "TP-Service-Centre-Time-Stamp")?;
    let parameters = parse_parameters(indicator, first, size_max, cursor)?;
    Ok(SubmitReport { fcs, scts, parameters })
}

fn parse_status_report<'a>(
    first: u8,
    cursor: &mut Cursor<'a>,
) -> Result<StatusReport<'a>, Malformed> {
    let reference = octet(cursor, "TP-Message-Reference")?;
    let recipient = Address::read(cursor, "TP-Recipient-Address")?;
    let scts = Timestamp::read(cursor, "TP-Service-Centre-Time-Stamp")?;
    let discharge_time = Timestamp::read(cursor, "TP-Discharge-Time")?;
    let status = octet(cursor, "TP-Status")?;
    let parameters = if cursor.is_at_end() && first & bit::UDHI == 0 {
        None
    } else {
        let indicator = parse_indicator(cursor)?;
        Some(parse_parameters(indicator, first, size::STATUS_REPORT, cursor)?)
    };
    Ok(StatusReport {
        more_messages: first & bit::MMS == 0,
        loop_prevention: first & bit::LP != 0,
        of_command: first & bit::SRQ != 0,
        reference,
        recipient,
        scts,
        discharge_time,
        status,
        parameters,
    })
}

fn parse_command<'a>(first: u8, cursor: &mut Cursor<'a>) -> Result<Command<'a>, Malformed> {
    Ok(Command {
        status_report_request: first & bit::SRR != 0,
        reference: octet(cursor, "TP-Message-Reference")?,
        pid: octet(cursor, "TP-Protocol-Identifier")?,
        command_type: octet(cursor, "TP-Command-Type")?,
        message_number: octet(cursor, "TP-Message-Number")?,
        destination: Address::read(cursor, "TP-Destination-Address")?,
        data: UserData::read(cursor, Dcs::OCTETS, first & bit::UDHI != 0, size::COMMAND)?,
    })
}

/// Reads TP-PI: octets as long as their highest bit is set, and one more.
fn parse_indicator<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let before = *cursor;
    while octet(cursor, "TP-Parameter-Indicator")? & 0x80 != 0 {}
    Ok(cursor.since(&before))
}

/// Reads what TP-PI says is there.
fn parse_parameters<'a>(
    indicator: &'a [u8],
    first: u8,
    size_max: usize,
    cursor: &mut Cursor<'a>,
) -> Result<Parameters<'a>, Malformed> {
    let pi = indicator.first().copied().unwrap_or_default();
    let udhi = first & bit::UDHI != 0;
    let mut parameters = Parameters { indicator, ..Parameters::NONE };
    if pi & 1 != 0 {
        parameters.pid = Some(octet(cursor, "TP-Protocol-Identifier")?);
    }
    if pi & 2 != 0 {
        parameters.dcs = Some(Dcs(octet(cursor, "TP-Data-Coding-Scheme")?));
    }
    if pi & 4 != 0 {
        let dcs = parameters.dcs.unwrap_or_default();
        parameters.user_data = Some(UserData::read(cursor, dcs, udhi, size_max)?);
    } else if udhi {
        // TP-UDHI says how TP-UD begins.
        return Err(Malformed { expected: "TP-User-Data with its header", at: cursor.at() });
    }
    if announces_later(indicator) {
        parameters.later = cursor.octets(cursor.rest().len()).unwrap_or_default();
    }
    Ok(parameters)
}

#[cfg(test)]
pub(in crate::wire) mod judgement;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
