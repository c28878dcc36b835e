//! Messages of the relay layer, with the TPDU in them: bodies of `application/vnd.3gpp.sms`.

use serde::Serialize;

use super::text::hex;
use super::{Item, Outcome, tpdu};
use crate::wire::Malformed;
use crate::wire::rp::{Ack, Data, Direction, Error, Message, parse};
use crate::wire::tpdu::{self as transfer, Answer};

/// What a message says.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    #[serde(rename = "type")]
    kind: &'static str,
    mti: u8,
    dir: &'static str,
    mr: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    oa: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    da: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ud_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpdu: Option<tpdu::Facts>,
}

/// Reads the one message that the octets are. A TPDU that is none makes it no message either.
pub(super) fn decode(octets: &[u8]) -> Outcome {
    let read = parse(octets).map_err(|fault| fault.malformed);
    match read.and_then(|message| facts(&message)) {
        Ok(facts) => Outcome::of(vec![Item::Rp(Box::new(facts))], 0),
        Err(malformed) => Outcome::wrong(malformed.to_string(), Vec::new()),
    }
}

fn facts(message: &Message<'_>) -> Result<Facts, Malformed> {
    let facts = Facts {
        kind: "rp-smma",
        mti: message.mti(),
        dir: match message.direction() {
            Direction::NetworkToMs => "mt",
            Direction::MsToNetwork => "mo",
        },
        mr: message.reference(),
        oa: None,
        da: None,
        cause: None,
        ud_hex: None,
        tpdu: None,
    };
    let (facts, user_data, at, answer) = match message {
        Message::Data(Data { originator, destination, tpdu, tpdu_at, .. }) => {
            let oa = originator.as_ref().map(tpdu::number);
            let da = destination.as_ref().map(tpdu::number);
            (Facts { kind: "rp-data", oa, da, ..facts }, Some(*tpdu), *tpdu_at, None)
        }
        Message::Ack(Ack { tpdu, tpdu_at, .. }) => {
            (Facts { kind: "rp-ack", ..facts }, *tpdu, *tpdu_at, Some(Answer::Ack))
        }
        Message::Error(Error { cause, tpdu, tpdu_at, .. }) => {
            let cause = Some(*cause);
            let facts = Facts { kind: "rp-error", cause, ..facts };
            (facts, *tpdu, *tpdu_at, Some(Answer::Error))
        }
        Message::Smma(_) => (facts, None, 0, None),
    };
    let Some(octets) = user_data else { return Ok(facts) };
    let inside =
        |malformed: Malformed| Malformed { at: malformed.at.saturating_add(at), ..malformed };
    let tpdu = transfer::parse(octets, message.direction(), answer.unwrap_or(Answer::Ack))
        .map_err(|fault| inside(fault.malformed))?;
    // TS 23.040 clause 9.2.2: reports go in RP-ACK and RP-ERROR, all else in RP-DATA.
    if tpdu.is_report() != answer.is_some() {
        return Err(Malformed { expected: "a TPDU of a type that goes in this message", at });
    }
    Ok(Facts { ud_hex: Some(hex(octets)), tpdu: Some(tpdu::facts(&tpdu)), ..facts })
}
