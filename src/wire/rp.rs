//! The messages of the relay layer, RP-DATA, RP-ACK, RP-ERROR and RP-SMMA (TS 24.011 clauses 7.3
//! and 8.2), as a MESSAGE with `application/vnd.3gpp.sms` carries them.
//!
//! The octets of such a body are one message: what is behind the last element of one that has no
//! optional ones is refused. The spare bits beside the message type are not looked at.

#[cfg(test)]
mod judgement;
#[cfg(any(test, fuzzing))]
pub mod laws;
#[cfg(test)]
mod tests;

use super::Malformed;
use super::cursor::Cursor;
use super::tpdu::Address;
use super::writer::Writer;

/// Which way a message goes. The message type says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the mobile station to the network: the answers to what was terminated there.
    MsToNetwork,
    /// From the network to the mobile station.
    NetworkToMs,
}

/// A message of any type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// RP-DATA: a TPDU that asks for an answer.
    Data(Data<'a>),
    /// RP-ACK: it was taken.
    Ack(Ack<'a>),
    /// RP-ERROR: it was not.
    Error(Error<'a>),
    /// RP-SMMA: the mobile station has memory again.
    Smma(Smma),
}

impl Message<'_> {
    /// Which way it goes.
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Data(Data { direction, .. })
            | Self::Ack(Ack { direction, .. })
            | Self::Error(Error { direction, .. }) => *direction,
            Self::Smma(_) => Direction::MsToNetwork,
        }
    }

    /// RP-Message-Reference: what an answer has in common with what it answers.
    pub const fn reference(&self) -> u8 {
        match self {
            Self::Data(Data { reference, .. })
            | Self::Ack(Ack { reference, .. })
            | Self::Error(Error { reference, .. })
            | Self::Smma(Smma { reference }) => *reference,
        }
    }

    /// RP-Message-Type-Indicator, 0 to 6.
    pub const fn mti(&self) -> u8 {
        let even = match self {
            Self::Data(_) => 0,
            Self::Ack(_) => 2,
            Self::Error(_) => 4,
            Self::Smma(_) => 6,
        };
        mti_of(even, self.direction())
    }
}

/// RP-DATA (clauses 7.3.1.1 and 7.3.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Data<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// RP-Message-Reference.
    pub reference: u8,
    /// RP-Originator-Address: the service centre, towards the mobile station only.
    pub originator: Option<Address<'a>>,
    /// RP-Destination-Address: the service centre, from the mobile station only.
    pub destination: Option<Address<'a>>,
    /// RP-User-Data: the TPDU, at least one octet.
    pub tpdu: &'a [u8],
    /// Where the TPDU begins.
    pub tpdu_at: usize,
}

/// RP-ACK (clause 7.3.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// RP-Message-Reference of what it answers.
    pub reference: u8,
    /// RP-User-Data: the TPDU, if there is one.
    pub tpdu: Option<&'a [u8]>,
    /// Where the TPDU begins; 0 if there is none.
    pub tpdu_at: usize,
}

/// RP-ERROR (clause 7.3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Error<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// RP-Message-Reference of what it answers.
    pub reference: u8,
    /// RP-Cause, 0 to 127 (clause 8.2.5.4).
    pub cause: u8,
    /// The diagnostic field of RP-Cause, if there is one.
    pub diagnostic: Option<u8>,
    /// RP-User-Data: the TPDU, if there is one.
    pub tpdu: Option<&'a [u8]>,
    /// Where the TPDU begins; 0 if there is none.
    pub tpdu_at: usize,
}

/// RP-SMMA (clause 7.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Smma {
    /// RP-Message-Reference.
    pub reference: u8,
}

/// Why octets are no message, and what an RP-ERROR says of it. Only RP-DATA and RP-SMMA are
/// answered at all (clause 9.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What should have been there.
    pub malformed: Malformed,
    /// RP-Cause: 96 invalid mandatory information, 97 message type non-existent, 99 information
    /// element non-existent, 111 unspecified.
    pub cause: u8,
    /// RP-Message-Reference, if it could be read.
    pub reference: Option<u8>,
    /// RP-Message-Type-Indicator, 0 to 7, if it could be read.
    pub mti: Option<u8>,
}

impl Fault {
    /// Invalid mandatory information.
    pub const INVALID_MANDATORY_INFORMATION: u8 = 96;
    /// Message type non-existent or not implemented.
    pub const MESSAGE_TYPE_NON_EXISTENT: u8 = 97;
    /// Information element non-existent or not implemented.
    pub const ELEMENT_NON_EXISTENT: u8 = 99;
    /// Protocol error, unspecified.
    pub const PROTOCOL_ERROR: u8 = 111;
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.malformed.fmt(f)
    }
}

impl core::error::Error for Fault {}

/// The identifier of RP-User-Data where it is optional (clause 7.3.3).
const USER_DATA_IEI: u8 = 0x41;

/// What went wrong behind the message type and reference: the octet, and RP-Cause.
type Wrong = (Malformed, u8);

/// Reads a message.
///
/// # Errors
///
/// What is wrong, and RP-Cause for it.
pub fn parse(octets: &[u8]) -> Result<Message<'_>, Fault> {
    let mut cursor = Cursor::new(octets, 0, octets.len());
    let at_start = |expected, cause, mti| Fault {
        malformed: Malformed { expected, at: 0 },
        cause,
        reference: octets.get(1).copied(),
        mti,
    };
    let Some(first) = cursor.octet() else {
        return Err(at_start("an RP message", Fault::PROTOCOL_ERROR, None));
    };
    let mti = first & 7;
    if mti == 7 {
        let expected = "a message type from 0 to 6";
        return Err(at_start(expected, Fault::MESSAGE_TYPE_NON_EXISTENT, Some(mti)));
    }
    let direction = if mti & 1 == 0 { Direction::MsToNetwork } else { Direction::NetworkToMs };
    let result = match cursor.octet() {
        None => Err(mandatory("RP-Message-Reference", &cursor)),
        Some(reference) => match mti >> 1 {
            0 => parse_data(direction, reference, &mut cursor).map(Message::Data),
            1 => parse_ack(direction, reference, &mut cursor).map(Message::Ack),
            2 => parse_error(direction, reference, &mut cursor).map(Message::Error),
            _ => parse_end(&cursor).map(|()| Message::Smma(Smma { reference })),
        },
    };
    result.map_err(|(malformed, cause)| Fault {
        malformed,
        cause,
        reference: octets.get(1).copied(),
        mti: Some(mti),
    })
}

const fn mandatory(expected: &'static str, cursor: &Cursor<'_>) -> Wrong {
    (Malformed { expected, at: cursor.at() }, Fault::INVALID_MANDATORY_INFORMATION)
}

fn parse_data<'a>(
    direction: Direction,
    reference: u8,
    cursor: &mut Cursor<'a>,
) -> Result<Data<'a>, Wrong> {
    let originator =
        parse_address(direction == Direction::NetworkToMs, "RP-Originator-Address", cursor)?;
    let destination =
        parse_address(direction == Direction::MsToNetwork, "RP-Destination-Address", cursor)?;
    let wrong = mandatory("RP-User-Data", cursor);
    let tpdu = take_counted(cursor).filter(|tpdu| !tpdu.is_empty()).ok_or(wrong)?;
    let tpdu_at = cursor.at().saturating_sub(tpdu.len());
    parse_end(cursor)?;
    Ok(Data { direction, reference, originator, destination, tpdu, tpdu_at })
}

/// Reads the address of the service centre where it must be, and its empty element where it must
/// not (clauses 8.2.5.1 and 8.2.5.2).
fn parse_address<'a>(
    is_due: bool,
    expected: &'static str,
    cursor: &mut Cursor<'a>,
) -> Result<Option<Address<'a>>, Wrong> {
    let wrong = mandatory(expected, cursor);
    let address = Address::read_in_rp(cursor, expected)
        .map_err(|malformed| (malformed, Fault::INVALID_MANDATORY_INFORMATION))?;
    match (is_due, address) {
        (true, None) => Err(wrong),
        (false, Some(_)) => {
            let expected = "no address of the service centre in this direction";
            Err((Malformed { expected, ..wrong.0 }, wrong.1))
        }
        _ => Ok(address),
    }
}

/// Passes a length and what it counts.
fn take_counted<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let count = cursor.octet()?;
    cursor.octets(usize::from(count))
}

fn parse_ack<'a>(
    direction: Direction,
    reference: u8,
    cursor: &mut Cursor<'a>,
) -> Result<Ack<'a>, Wrong> {
    let (tpdu, tpdu_at) = parse_options(cursor)?;
    Ok(Ack { direction, reference, tpdu, tpdu_at })
}

fn parse_error<'a>(
    direction: Direction,
    reference: u8,
    cursor: &mut Cursor<'a>,
) -> Result<Error<'a>, Wrong> {
    let wrong = mandatory("RP-Cause", cursor);
    // A greater length than defined is no error (clause 9.1).
    let (cause, diagnostic) = match take_counted(cursor).ok_or(wrong)? {
        [] => return Err(wrong),
        [cause] => (*cause, None),
        [cause, diagnostic, ..] => (*cause, Some(*diagnostic)),
    };
    let (tpdu, tpdu_at) = parse_options(cursor)?;
    // The highest bit is for extensions.
    Ok(Error { direction, reference, cause: cause & 0x7F, diagnostic, tpdu, tpdu_at })
}

/// Reads the optional part of RP-ACK and RP-ERROR: RP-User-Data, of which the first counts. As the
/// standard layer 3 has it (TS 24.007 clause 11.2.4, TS 24.011 clause 9), elements that are not
/// known are passed over unless they demand to be comprehended, and RP-User-Data without a TPDU is
/// as good as none. What is cut makes the message wrong.
fn parse_options<'a>(cursor: &mut Cursor<'a>) -> Result<(Option<&'a [u8]>, usize), Wrong> {
    let mut found = (None, 0);
    while let Some(iei) = cursor.peek() {
        let at = cursor.at();
        if iei & 0xF0 == 0 {
            let expected = "no unknown element that demands to be comprehended";
            return Err((Malformed { expected, at }, Fault::INVALID_MANDATORY_INFORMATION));
        }
        cursor.pass(1);
        if iei & 0x80 != 0 {
            // Elements of one octet.
            continue;
        }
        let expected = "all of an optional element";
        let value = take_counted(cursor);
        let value = value.ok_or((Malformed { expected, at }, Fault::PROTOCOL_ERROR))?;
        if iei == USER_DATA_IEI && found.0.is_none() && !value.is_empty() {
            found = (Some(value), cursor.at().saturating_sub(value.len()));
        }
    }
    Ok(found)
}

fn parse_end(cursor: &Cursor<'_>) -> Result<(), Wrong> {
    if cursor.is_at_end() {
        return Ok(());
    }
    let malformed = Malformed { expected: "the end of the message", at: cursor.at() };
    Err((malformed, Fault::ELEMENT_NON_EXISTENT))
}

/// The even message types are the mobile station's.
const fn mti_of(even: u8, direction: Direction) -> u8 {
    match direction {
        Direction::MsToNetwork => even,
        Direction::NetworkToMs => even | 1,
    }
}

/// Writes an RP-DATA from or to the service centre `centre`; returns how many octets it has. `None`
/// if there is no room, or no TPDU, or if the address is a name.
pub fn data(
    direction: Direction,
    reference: u8,
    centre: &Address<'_>,
    tpdu: &[u8],
    to: &mut [u8],
) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put(&[mti_of(0, direction), reference])?;
    match direction {
        Direction::NetworkToMs => {
            centre.put_in_rp(&mut writer)?;
            writer.put_octet(0)?;
        }
        Direction::MsToNetwork => {
            writer.put_octet(0)?;
            centre.put_in_rp(&mut writer)?;
        }
    }
    if tpdu.is_empty() {
        return None;
    }
    writer.put_counted(tpdu)?;
    Some(writer.at())
}

/// Writes an RP-ACK, without RP-User-Data if `tpdu` is empty; returns how many octets it has.
/// `None` if there is no room.
pub fn ack(direction: Direction, reference: u8, tpdu: &[u8], to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put(&[mti_of(2, direction), reference])?;
    put_user_data(tpdu, &mut writer)?;
    Some(writer.at())
}

/// Writes an RP-ERROR, without RP-User-Data if `tpdu` is empty; returns how many octets it has.
/// `None` if there is no room, or if `cause` is beyond 127.
pub fn error(
    direction: Direction,
    reference: u8,
    cause: u8,
    diagnostic: Option<u8>,
    tpdu: &[u8],
    to: &mut [u8],
) -> Option<usize> {
    if cause > 0x7F {
        return None;
    }
    let mut writer = Writer::new(to);
    writer.put(&[mti_of(4, direction), reference])?;
    match diagnostic {
        None => writer.put(&[1, cause])?,
        Some(diagnostic) => writer.put(&[2, cause, diagnostic])?,
    }
    put_user_data(tpdu, &mut writer)?;
    Some(writer.at())
}

/// Writes an RP-SMMA; returns how many octets it has. `None` if there is no room.
pub fn smma(reference: u8, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put(&[mti_of(6, Direction::MsToNetwork), reference])?;
    Some(writer.at())
}

/// Writes any message that was read; returns how many octets it has. `None` if there is no room.
pub fn write(message: &Message<'_>, to: &mut [u8]) -> Option<usize> {
    match message {
        Message::Data(view) => {
            let centre = match view.direction {
                Direction::NetworkToMs => view.originator?,
                Direction::MsToNetwork => view.destination?,
            };
            data(view.direction, view.reference, &centre, view.tpdu, to)
        }
        Message::Ack(view) => {
            ack(view.direction, view.reference, view.tpdu.unwrap_or_default(), to)
        }
        Message::Error(view) => {
            let tpdu = view.tpdu.unwrap_or_default();
            error(view.direction, view.reference, view.cause, view.diagnostic, tpdu, to)
        }
        Message::Smma(view) => smma(view.reference, to),
    }
}

fn put_user_data(tpdu: &[u8], writer: &mut Writer<'_>) -> Option<()> {
    if tpdu.is_empty() {
        return Some(());
    }
    writer.put_octet(USER_DATA_IEI)?;
    writer.put_counted(tpdu)
}
