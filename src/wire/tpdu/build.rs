//! Views to octets: the inverse of reading, in place.
//!
//! `None` says that there is no room, or that the view is of no TPDU: what is written can be read,
//! and is the same view then.

use super::{
    Command, Dcs, Deliver, DeliverReport, Parameters, StatusReport, Submit, SubmitReport,
    Timestamp, Tpdu, USER_DATA_SIZE_MAX, announces_later, bit, size,
};
use crate::wire::writer::Writer;

/// Writes a TPDU of any type; returns how many octets it has.
pub fn write(tpdu: &Tpdu<'_>, to: &mut [u8]) -> Option<usize> {
    match tpdu {
        Tpdu::Deliver(view) => deliver(view, to),
        Tpdu::DeliverReport(view) => write_deliver_report(view, to),
        Tpdu::Submit(view) => submit(view, to),
        Tpdu::SubmitReport(view) => write_submit_report(view, to),
        Tpdu::StatusReport(view) => status_report(view, to),
        Tpdu::Command(view) => command(view, to),
    }
}

/// Writes an SMS-DELIVER; returns how many octets it has.
pub fn deliver(view: &Deliver<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put_octet(
        flag(!view.more_messages, bit::MMS)
            | flag(view.loop_prevention, bit::LP)
            | flag(view.status_report_indication, bit::SRI)
            | flag(view.user_data.udhi, bit::UDHI)
            | flag(view.reply_path, bit::RP),
    )?;
    view.originator.put(&mut writer)?;
    writer.put(&[view.pid, view.dcs.0])?;
    view.scts.put(&mut writer)?;
    view.user_data.put(view.dcs, USER_DATA_SIZE_MAX, &mut writer)?;
    Some(writer.at())
}

/// Writes an SMS-SUBMIT; returns how many octets it has.
pub fn submit(view: &Submit<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put_octet(
        1 | flag(view.reject_duplicates, bit::RD)
            | view.validity_period.format() << 3
            | flag(view.status_report_request, bit::SRR)
            | flag(view.user_data.udhi, bit::UDHI)
            | flag(view.reply_path, bit::RP),
    )?;
    writer.put_octet(view.reference)?;
    view.destination.put(&mut writer)?;
    writer.put(&[view.pid, view.dcs.0])?;
    view.validity_period.put(&mut writer)?;
    view.user_data.put(view.dcs, USER_DATA_SIZE_MAX, &mut writer)?;
    Some(writer.at())
}

/// Writes an SMS-STATUS-REPORT; returns how many octets it has.
pub fn status_report(view: &StatusReport<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put_octet(
        2 | flag(!view.more_messages, bit::MMS)
            | flag(view.loop_prevention, bit::LP)
            | flag(view.of_command, bit::SRQ)
            | flag(view.parameters.is_some_and(|parameters| parameters.udhi()), bit::UDHI),
    )?;
    writer.put_octet(view.reference)?;
    view.recipient.put(&mut writer)?;
    view.scts.put(&mut writer)?;
    view.discharge_time.put(&mut writer)?;
    writer.put_octet(view.status)?;
    if let Some(parameters) = &view.parameters {
        put_indicator(parameters, &mut writer)?;
        put_parameters(parameters, size::STATUS_REPORT, &mut writer)?;
    }
    Some(writer.at())
}

/// Writes an SMS-DELIVER-REPORT without parameters: for an RP-ACK if there is no TP-FCS, else for
/// an RP-ERROR. Returns how many octets it has.
pub fn deliver_report(fcs: Option<u8>, to: &mut [u8]) -> Option<usize> {
    write_deliver_report(&DeliverReport { fcs, parameters: Parameters::NONE }, to)
}

fn write_deliver_report(view: &DeliverReport<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put_octet(flag(view.parameters.udhi(), bit::UDHI))?;
    let size_max = match view.fcs {
        None => size::DELIVER_REPORT_ACK,
        Some(fcs) => {
            writer.put_octet(fcs)?;
            size::DELIVER_REPORT_ERROR
        }
    };
    put_indicator(&view.parameters, &mut writer)?;
    put_parameters(&view.parameters, size_max, &mut writer)?;
    Some(writer.at())
}

/// Writes an SMS-SUBMIT-REPORT without parameters: for an RP-ACK if there is no TP-FCS, else for an
/// RP-ERROR. Returns how many octets it has.
pub fn submit_report(fcs: Option<u8>, scts: Timestamp, to: &mut [u8]) -> Option<usize> {
    write_submit_report(&SubmitReport { fcs, scts, parameters: Parameters::NONE }, to)
}

fn write_submit_report(view: &SubmitReport<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    writer.put_octet(1 | flag(view.parameters.udhi(), bit::UDHI))?;
    let size_max = match view.fcs {
        None => size::SUBMIT_REPORT_ACK,
        Some(fcs) => {
            writer.put_octet(fcs)?;
            size::SUBMIT_REPORT_ERROR
        }
    };
    put_indicator(&view.parameters, &mut writer)?;
    view.scts.put(&mut writer)?;
    put_parameters(&view.parameters, size_max, &mut writer)?;
    Some(writer.at())
}

/// Writes an SMS-COMMAND; returns how many octets it has.
pub fn command(view: &Command<'_>, to: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(to);
    let first = 2 | flag(view.status_report_request, bit::SRR) | flag(view.data.udhi, bit::UDHI);
    writer.put(&[first, view.reference, view.pid, view.command_type, view.message_number])?;
    view.destination.put(&mut writer)?;
    view.data.put(Dcs::OCTETS, size::COMMAND, &mut writer)?;
    Some(writer.at())
}

const fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// Writes TP-PI if it says what is there.
fn put_indicator(parameters: &Parameters<'_>, writer: &mut Writer<'_>) -> Option<()> {
    let (last, others) = parameters.indicator.split_last()?;
    let said = flag(parameters.pid.is_some(), 1)
        | flag(parameters.dcs.is_some(), 2)
        | flag(parameters.user_data.is_some(), 4);
    let is_chain = last & 0x80 == 0 && others.iter().all(|octet| octet & 0x80 != 0);
    let may_go_on = parameters.later.is_empty() || announces_later(parameters.indicator);
    if parameters.pi() & 7 != said || !is_chain || !may_go_on {
        return None;
    }
    writer.put(parameters.indicator)
}

fn put_parameters(
    parameters: &Parameters<'_>,
    size_max: usize,
    writer: &mut Writer<'_>,
) -> Option<()> {
    if let Some(pid) = parameters.pid {
        writer.put_octet(pid)?;
    }
    if let Some(dcs) = parameters.dcs {
        writer.put_octet(dcs.0)?;
    }
    if let Some(user_data) = &parameters.user_data {
        user_data.put(parameters.dcs.unwrap_or_default(), size_max, writer)?;
    }
    writer.put(parameters.later)
}
