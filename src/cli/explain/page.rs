//! The page about one status, event or code.

use super::{Found, Reader, What, found, label, table, title};
use crate::delivery::mapping::{
    Event, Leg, Origin, Row, SmError, TABLE, TpStatus, Way, fcs_name, msrp_meaning, registered,
    row_of_invite, row_of_msrp, row_of_status, rp_cause_name, rp_cause_way, tp_status_name,
};
use crate::delivery::{MsrpRole, Verdict};

/// Columns of what is printed.
const WIDTH: usize = 79;

/// The page about `what`, for people.
pub(super) fn page(what: What, reader: Option<&Reader<'_>>) -> String {
    if what == What::Table {
        return table::table(reader);
    }
    let mut text = title(what) + "\n";
    let lines = match found(what, reader) {
        Some(found) => row_lines(what, &found, reader),
        None => code_lines(what),
    };
    for (label, words) in lines {
        text.push_str(&paragraph(label, &words));
    }
    text
}

/// Words beside a label, broken at [`WIDTH`].
fn paragraph(label: &str, words: &str) -> String {
    const INDENT: usize = 16;
    let mut text = format!("  {label:<width$}", width = INDENT - 2);
    let mut column = INDENT;
    for word in words.split(' ') {
        let len = word.chars().count();
        if column > INDENT && column + 1 + len > WIDTH {
            text.push_str(&format!("\n{:INDENT$}", ""));
            column = INDENT;
        }
        if column > INDENT {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += len;
    }
    text + "\n"
}

fn row_lines(
    what: What,
    found: &Found,
    reader: Option<&Reader<'_>>,
) -> Vec<(&'static str, String)> {
    let row = &found.row;
    let mut lines = Vec::from([("verdict", described(row.verdict))]);
    if let Some(verdict) = row.exception.verdict() {
        let (letter, word) = (verdict.letter(), verdict.word());
        lines.push(("", format!("{letter} {word} {}", row.exception.words())));
    }
    if let (What::Status(200..=299), Verdict::Delivered, None) = (what, row.verdict, reader) {
        let words = "A accepted from an im_server or a gateway, which speaks for itself";
        lines.push(("", words.to_owned()));
    }
    if what == What::Msrp(200) {
        let words = match reader.and_then(|reader| reader.msrp) {
            None | Some(MsrpRole::Endpoint) => {
                "D delivered once every octet has it, the last chunk too, from the recipient's own \
                 user agent (all-acknowledged)"
            }
            Some(MsrpRole::Relay | MsrpRole::B2bua | MsrpRole::ImServer) => {
                "D delivered only when REPORTs of success cover every octet (all-reported), as this \
                 peer is not the recipient's own user agent"
            }
        };
        lines.push(("", words.to_owned()));
    }
    if !row.tries.is_empty() {
        lines.push(("tries first", row.tries.to_owned()));
    }
    lines.push(("SIP sender", sip_answer(what, row.verdict).to_owned()));
    lines.push(("RP layer", rp_answer(what, row, reader)));
    lines.push(("repetition", repetition(what, row.verdict).to_owned()));
    let finer = row.sm_error_extended.map(|error| format!("; finer: {}", sm_error(error)));
    lines.push(("SM error", sm_error(row.sm_error) + &finer.unwrap_or_default()));
    lines.push(("TP-Status", tp_status(row)));
    let state = row.message_state;
    lines.push(("SMPP", format!("message_state {}, stat:{}", state as u8, state.stat())));
    let status = match what {
        What::Status(status) | What::Invite(status) => registered(status),
        What::Msrp(status) => msrp_meaning(status),
        What::Table | What::Event(_) | What::RpCause(_) | What::TpFcs(_) | What::TpStatus(_) => {
            None
        }
    };
    let defined = status.map(|(_, document)| document).filter(|document| *document != row.source);
    let defined = defined.map(|document| format!("; defined in {document}")).unwrap_or_default();
    lines.push(("source", format!("{}{defined}", row.source)));
    lines.push(("origin", origin(what, found, reader)));
    lines
}

fn described(verdict: Verdict) -> String {
    let meaning = match verdict {
        Verdict::Delivered => "the recipient's user agent has the message",
        Verdict::Permanent => "refused for good, or it cannot be taken",
        Verdict::Temporary => "certainly not delivered; another try may work",
        Verdict::Unknown => "it may or may not have been delivered",
        Verdict::Accepted => "somebody took it; nobody knows whether it was delivered",
    };
    format!("{} {}: {meaning}", verdict.letter(), verdict.word())
}

/// What a sender that speaks SIP itself is answered (cut-through).
const fn sip_answer(what: What, verdict: Verdict) -> &'static str {
    match (what, verdict) {
        (What::Status(503), _) => {
            "500 instead: a 503 speaks of one server only (RFC 3261 section 16.7)"
        }
        (What::Status(408), _) => "nothing (RFC 4320 section 4.2)",
        (What::Status(_), _) => "this response, passed back",
        (What::Invite(_) | What::Msrp(_), _) => LARGE,
        (What::Event(event), _) if !matches!(event.leg(), Leg::Message) => LARGE,
        (What::Event(Event::NeverSent), _) => "500",
        (
            What::Event(Event::UriWait | Event::DeadlineUnsent | Event::Content | Event::Discarded),
            _,
        ) => "does not happen: its messages pass at once, as they are",
        (_, _) => "nothing: its own timer says that nobody knows (RFC 4320)",
    }
}

const LARGE: &str = "does not happen: its messages pass at once, as they are";

fn rp_answer(what: What, row: &Row, reader: Option<&Reader<'_>>) -> String {
    let Some(cause) = row.cause else { return "RP-ACK".to_owned() };
    if what == What::Event(Event::Shutdown) {
        return "nothing: the process has ended".to_owned();
    }
    if what == What::Event(Event::WorkerLost) {
        return "nothing: who could say it does not run any more".to_owned();
    }
    if what == What::Event(Event::Content) {
        return "RP-ERROR with the RP-Cause (95 to 99, 111) and the TP-FCS that say what is wrong"
            .to_owned();
    }
    let error = format!(
        "RP-ERROR, RP-Cause {cause} ({}), TP-FCS 0x{:02X} ({})",
        rp_cause_name(cause).unwrap_or("reserved"),
        row.fcs,
        fcs_name(row.fcs).unwrap_or("reserved"),
    );
    match (row.verdict, reader.map(|reader| reader.ack_accepted)) {
        (Verdict::Accepted, None) => format!(
            "{error} at sync_deadline; RP-ACK where the peer has ack_accepted and TP-SRI is 0"
        ),
        (Verdict::Accepted, Some(false)) => format!("{error} at sync_deadline"),
        (Verdict::Accepted, Some(true)) => {
            format!("RP-ACK where TP-SRI is 0 (ack_accepted); else {error} at sync_deadline")
        }
        (_, _) => error,
    }
}

/// What the next submission of the same short message gets.
const fn repetition(what: What, verdict: Verdict) -> &'static str {
    match (what, verdict) {
        (What::Event(Event::Discarded), _) => "RP-ACK again; nothing is sent",
        (What::Event(Event::Shutdown), _) => "sent again: nothing is remembered over a restart",
        (What::Event(Event::WorkerLost), _) => {
            "503 while the process goes on without that worker, else sent again"
        }
        (_, Verdict::Delivered) => "RP-ACK at once; nothing is sent again",
        (_, Verdict::Permanent) => "the same answer within permanent_window; nothing is sent again",
        (_, Verdict::Temporary) => "sent again",
        (_, Verdict::Unknown | Verdict::Accepted) => {
            "RP-ACK if a 200 came late; else one new attempt, marked as a possible duplicate"
        }
    }
}

fn sm_error(error: SmError) -> String {
    match error.code {
        0 => error.name().to_owned(),
        _ => format!("{error} {}", error.name()),
    }
}

fn tp_status(row: &Row) -> String {
    let named = |status: u8| {
        let (_, name) = tp_status_name(status);
        format!("0x{status:02X} ({})", name.unwrap_or("reserved"))
    };
    let end = named(row.tp_status.at_the_end);
    match row.tp_status.still_trying {
        Some(trying) => format!("{} while still trying, then {end}", named(trying)),
        None => end,
    }
}

fn origin(what: What, found: &Found, reader: Option<&Reader<'_>>) -> String {
    let Some(reader) = reader else {
        return "standard; --peer NAME shows what holds for a peer".to_owned();
    };
    let Some(origin) = &found.origin else { return "standard, for every peer".to_owned() };
    let mut text = match origin {
        Origin::Standard | Origin::Configuration(_) => origin.to_string(),
        Origin::Preset(preset) => {
            let about = |status| [What::Status(status), What::Invite(status)].contains(&what);
            let row = preset.rows().iter().find(|(status, ..)| about(*status));
            format!("{origin}: {}", row.map_or("", |(_, _, why)| *why))
        }
    };
    let row = match what {
        What::Status(status) => row_of_status(status),
        What::Invite(status) => row_of_invite(status),
        What::Msrp(status) => Some(row_of_msrp(status)),
        What::Table | What::Event(_) | What::RpCause(_) | What::TpFcs(_) | What::TpStatus(_) => {
            None
        }
    };
    if *origin != Origin::Standard
        && let Some(row) = row
    {
        text.push_str(&format!("; the standards say {}", row.verdict.letter()));
    }
    format!("{text}; {}", reader.who(what))
}

pub(super) fn code_lines(what: What) -> Vec<(&'static str, String)> {
    let reserved = || "reserved".to_owned();
    let named = |name: Option<&str>| name.map_or_else(reserved, str::to_owned);
    match what {
        What::RpCause(cause) => {
            let way = match (rp_cause_name(cause), rp_cause_way(cause)) {
                (None, _) => "read as 41 from a network and as 111 from a mobile station",
                (Some(_), Way::NetworkToMs) => {
                    "network to mobile station only: in answer to an SMS-SUBMIT"
                }
                (Some(_), Way::MsToNetwork) => {
                    "mobile station to network only. Never sent by roger: a service centre then waits \
                     for an alert that no instant messaging client sends"
                }
                (Some(_), Way::Both) => "both ways",
            };
            Vec::from([
                ("means", named(rp_cause_name(cause))),
                ("direction", way.to_owned()),
                ("source", "TS 24.011 section 8.2.5.4".to_owned()),
            ])
        }
        What::TpFcs(fcs) => {
            let report = match fcs {
                0x00..=0x7F => "in no report",
                0xA0..=0xAF | 0xC0..=0xCF => "SMS-SUBMIT-REPORT: to a mobile station",
                0xD0..=0xDF | 0x81 => "SMS-DELIVER-REPORT: from a mobile station",
                _ => "both reports",
            };
            Vec::from([
                ("means", named(fcs_name(fcs))),
                ("stands in", report.to_owned()),
                ("sent for", rows_with(|row| row.cause.is_some() && row.fcs == fcs)),
                ("source", "TS 23.040 section 9.2.3.22".to_owned()),
            ])
        }
        What::TpStatus(status) => {
            let (class, name) = tp_status_name(status);
            let uses = |row: &Row| {
                let TpStatus { still_trying, at_the_end } = row.tp_status;
                at_the_end == status || still_trying == Some(status)
            };
            Vec::from([
                ("means", named(name)),
                ("class", class.to_owned()),
                ("stands for", rows_with(uses)),
                ("source", "TS 23.040 section 9.2.3.15".to_owned()),
            ])
        }
        What::Table | What::Status(_) | What::Invite(_) | What::Msrp(_) | What::Event(_) => {
            Vec::new()
        }
    }
}

fn rows_with(is: impl Fn(&Row) -> bool) -> String {
    let names: Vec<String> = TABLE.iter().filter(|row| is(row)).map(|row| label(row.on)).collect();
    if names.is_empty() { "nothing here".to_owned() } else { names.join(", ") }
}
