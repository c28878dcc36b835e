//! TPDUs of the short message transfer layer.

use serde::Serialize;

use super::request::Keys;
use super::text::hex;
use super::{Item, Outcome};
use crate::wire::tpdu::{
    Address, Alphabet, Command, Dcs, Deliver, Fault, Parameters, StatusReport, Submit,
    SubmitReport, Timestamp, Tpdu, UserData, ValidityPeriod, parse,
};

/// What a TPDU says. Flags are the bits as they are sent: `mms` is true when no more messages wait.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    originator: Option<Originator>,
    #[serde(flatten)]
    destination: Option<Destination>,
    #[serde(flatten)]
    recipient: Option<Recipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mr: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dcs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alphabet: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ud_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udhi: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udh: Option<Vec<[String; 2]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concat: Option<[u16; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    st: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pi: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sri: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    srr: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    srq: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rd: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_path: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpf: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vp_rel: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vp_abs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vp_enh_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mn: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ct: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cd_hex: Option<String>,
}

#[derive(Debug, Serialize)]
struct Originator {
    oa: String,
    oa_ton: u8,
    oa_npi: u8,
}

#[derive(Debug, Serialize)]
struct Destination {
    da: String,
    da_ton: u8,
    da_npi: u8,
}

#[derive(Debug, Serialize)]
struct Recipient {
    ra: String,
    ra_ton: u8,
    ra_npi: u8,
}

/// Reads the one TPDU that the octets are.
pub(super) fn decode(octets: &[u8], keys: Keys) -> Outcome {
    match parse(octets, keys.direction, keys.answer) {
        Ok(tpdu) => Outcome::of(vec![Item::Tpdu(Box::new(facts(&tpdu)))], 0),
        Err(Fault { malformed, .. }) => Outcome::wrong(malformed.to_string(), Vec::new()),
    }
}

/// What a TPDU says.
pub(super) fn facts(tpdu: &Tpdu<'_>) -> Facts {
    match tpdu {
        Tpdu::Deliver(deliver) => of_deliver(deliver),
        Tpdu::DeliverReport(report) => {
            Facts { kind: "deliver-report", fcs: report.fcs, ..of_parameters(&report.parameters) }
        }
        Tpdu::Submit(submit) => of_submit(submit),
        Tpdu::SubmitReport(SubmitReport { fcs, scts, parameters }) => Facts {
            kind: "submit-report",
            fcs: *fcs,
            scts: Some(time(scts)),
            ..of_parameters(parameters)
        },
        Tpdu::StatusReport(report) => of_status_report(report),
        Tpdu::Command(command) => of_command(command),
    }
}

fn of_deliver(deliver: &Deliver<'_>) -> Facts {
    let Address { ton, npi, .. } = deliver.originator;
    Facts {
        kind: "deliver",
        originator: Some(Originator { oa: number(&deliver.originator), oa_ton: ton, oa_npi: npi }),
        pid: Some(deliver.pid),
        scts: Some(time(&deliver.scts)),
        mms: Some(!deliver.more_messages),
        sri: Some(deliver.status_report_indication),
        reply_path: Some(deliver.reply_path),
        ..of_user_data(deliver.dcs, &deliver.user_data)
    }
}

fn of_submit(submit: &Submit<'_>) -> Facts {
    let facts = Facts {
        kind: "submit",
        destination: Some(destination(&submit.destination)),
        mr: Some(submit.reference),
        pid: Some(submit.pid),
        rd: Some(submit.reject_duplicates),
        srr: Some(submit.status_report_request),
        reply_path: Some(submit.reply_path),
        vpf: Some(submit.validity_period.format()),
        ..of_user_data(submit.dcs, &submit.user_data)
    };
    match submit.validity_period {
        ValidityPeriod::Relative(octet) => Facts { vp_rel: Some(octet), ..facts },
        ValidityPeriod::Absolute(end) => Facts { vp_abs: Some(time(&end)), ..facts },
        ValidityPeriod::Enhanced(octets) => Facts { vp_enh_hex: Some(hex(&octets)), ..facts },
        ValidityPeriod::None => facts,
    }
}

fn of_status_report(report: &StatusReport<'_>) -> Facts {
    let Address { ton, npi, .. } = report.recipient;
    let parameters = report.parameters.as_ref().map(of_parameters);
    Facts {
        kind: "status-report",
        recipient: Some(Recipient { ra: number(&report.recipient), ra_ton: ton, ra_npi: npi }),
        mr: Some(report.reference),
        scts: Some(time(&report.scts)),
        dt: Some(time(&report.discharge_time)),
        st: Some(report.status),
        mms: Some(!report.more_messages),
        srq: Some(report.of_command),
        ..parameters.unwrap_or_else(|| Facts { udhi: Some(false), ..Facts::default() })
    }
}

fn of_command(command: &Command<'_>) -> Facts {
    Facts {
        kind: "command",
        destination: Some(destination(&command.destination)),
        mr: Some(command.reference),
        pid: Some(command.pid),
        srr: Some(command.status_report_request),
        udhi: Some(command.data.udhi),
        udh: elements(&command.data),
        mn: Some(command.message_number),
        ct: Some(command.command_type),
        cd_hex: Some(hex(command.data.octets)),
        ..Facts::default()
    }
}

/// What TP-PI says is there.
fn of_parameters(parameters: &Parameters<'_>) -> Facts {
    let facts = match &parameters.user_data {
        Some(user_data) => of_user_data(user_data.dcs(), user_data),
        None => Facts { udhi: Some(false), ..Facts::default() },
    };
    Facts {
        pi: Some(parameters.pi()),
        pid: parameters.pid,
        dcs: parameters.dcs.map(|Dcs(octet)| octet),
        alphabet: facts.alphabet.or_else(|| parameters.dcs.map(alphabet)),
        ..facts
    }
}

fn of_user_data(dcs: Dcs, user_data: &UserData<'_>) -> Facts {
    let mut room = [0; UserData::TEXT_SIZE_MAX];
    let text = user_data.text(&mut room).and_then(|len| room.get(..len));
    let concatenation = user_data.concatenation();
    Facts {
        dcs: Some(dcs.0),
        alphabet: Some(alphabet(dcs)),
        text: text.map(|text| String::from_utf8_lossy(text).into_owned()),
        ud_hex: Some(hex(user_data.octets)),
        udl: Some(user_data.udl),
        udhi: Some(user_data.udhi),
        udh: elements(user_data),
        concat: concatenation
            .map(|part| [part.reference, u16::from(part.total), u16::from(part.number)]),
        ..Facts::default()
    }
}

fn elements(user_data: &UserData<'_>) -> Option<Vec<[String; 2]>> {
    let of = |element: crate::wire::tpdu::Element<'_>| [hex(&[element.iei]), hex(element.data)];
    user_data.udhi.then(|| user_data.elements().map(of).collect())
}

const fn alphabet(dcs: Dcs) -> &'static str {
    match dcs.alphabet() {
        Alphabet::Gsm7 => "gsm7",
        Alphabet::Octets => "8bit",
        Alphabet::Ucs2 => "ucs2",
    }
}

fn destination(address: &Address<'_>) -> Destination {
    Destination { da: number(address), da_ton: address.ton, da_npi: address.npi }
}

/// An address as people write it: an international number has a plus before it.
pub(super) fn number(address: &Address<'_>) -> String {
    let mut room = [0; Address::TEXT_SIZE_MAX];
    let len = address.write(&mut room).unwrap_or_default();
    let text = String::from_utf8_lossy(room.get(..len).unwrap_or_default());
    if address.is_international() { format!("+{text}") } else { text.into_owned() }
}

fn time(stamp: &Timestamp) -> String {
    let mut room = [0; Timestamp::RFC3339_SIZE];
    let len = stamp.write_rfc3339(&mut room).unwrap_or_default();
    String::from_utf8_lossy(room.get(..len).unwrap_or_default()).into_owned()
}
