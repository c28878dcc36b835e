//! The whole table, as the crate's documentation shows it too.

use super::{Reader, What, found, name};
use crate::delivery::mapping::{Event, Exception, Leg, On, Origin, Row, TABLE};

/// The whole table: a part for each leg of the way.
pub(super) fn table(reader: Option<&Reader<'_>>) -> String {
    let head = |what: &str| {
        [what, "V", "RP/FCS", "TP-ST", "SMPP", "SM", "ext", "source"].map(str::to_owned)
    };
    let said = |leg| said(leg, reader);
    let own: usize = Leg::ALL.into_iter().map(|leg| said(leg).len()).sum();
    let mut lines = Vec::new();
    for leg in Leg::ALL {
        if leg != Leg::Message {
            lines.push([const { String::new() }; 8]);
        }
        lines.push(head(match leg {
            Leg::Message => "what came",
            Leg::Invite => "INVITE",
            Leg::Msrp => "MSRP",
        }));
        lines.extend(said(leg));
        let rows = TABLE.iter().filter(|row| row.on.leg() == leg);
        lines.extend(rows.map(|row| cells(&reader.map_or(*row, |reader| as_read(row, reader)))));
    }
    let mut text = columns(&lines);
    text.push_str(&legend(reader, own));
    text
}

/// What a peer's configuration and preset say about single statuses.
fn said(leg: Leg, reader: Option<&Reader<'_>>) -> Vec<[String; 8]> {
    let what = |status| match leg {
        Leg::Message => What::Status(status),
        Leg::Invite => What::Invite(status),
        Leg::Msrp => What::Msrp(status),
    };
    let mut lines = Vec::new();
    for status in 200..if leg == Leg::Msrp { 1_000 } else { 700 } {
        let Some(found) = found(what(status), reader) else { continue };
        if let Some(origin) = found.origin.filter(|origin| *origin != Origin::Standard) {
            let [_, rest @ ..] = cells(&found.row);
            let [verdict, rp, tp_status, smpp, error, extended, _] = rest;
            let (status, origin) = (status.to_string(), origin.to_string());
            lines.push([status, verdict, rp, tp_status, smpp, error, extended, origin]);
        }
    }
    lines
}

/// A row of the table as the peer's role reads it; what its configuration says of single statuses is
/// shown beside it.
pub(super) fn as_read(row: &Row, reader: &Reader<'_>) -> Row {
    match row.on {
        On::Class(2) => row.with(reader.success()),
        On::Class(_)
        | On::Statuses(_)
        | On::Event(_)
        | On::Invite(_)
        | On::InviteClass(_)
        | On::Msrp(_)
        | On::MsrpClass(_)
        | On::MsrpOther => *row,
    }
}

fn cells(row: &Row) -> [String; 8] {
    let mark = match row.exception {
        Exception::Never => "",
        Exception::RetryAfter => " a",
        Exception::Credentials => " b",
        Exception::Copy => " c",
    };
    let rp = match (row.on, row.cause) {
        (On::Event(Event::Shutdown | Event::WorkerLost), _) => "-".to_owned(),
        (On::Event(Event::Content), _) => "d".to_owned(),
        (_, None) => "ACK".to_owned(),
        (_, Some(cause)) => format!("{cause}/{:02X}", row.fcs),
    };
    let again = if row.again { " r" } else { mark };
    let end = format!("{:02X}", row.tp_status.at_the_end);
    let state = row.message_state;
    [
        name(row.on),
        format!("{}{again}", row.verdict.letter()),
        rp,
        row.tp_status
            .still_trying
            .map_or_else(|| end.clone(), |trying| format!("{trying:02X}/{end}")),
        format!("{} {}", state as u8, state.stat()),
        row.sm_error.to_string(),
        row.sm_error_extended.map_or_else(String::new, |error| error.to_string()),
        row.source.replace("section ", ""),
    ]
}

/// Columns between a cell and the next, so that every line fits a terminal of 80.
const GAPS: [usize; 8] = [2, 1, 2, 2, 2, 1, 2, 0];

fn columns(lines: &[[String; 8]]) -> String {
    let mut widths = [0; 8];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for ((cell, width), gap) in line.iter().zip(widths).zip(GAPS) {
            shown.push_str(&format!("{cell:width$}{:gap$}", ""));
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

fn legend(reader: Option<&Reader<'_>>, own: usize) -> String {
    let who = match reader {
        Some(reader) => format!("for peer {}, role {}", reader.name, reader.role),
        None => "A from an im_server or a gateway, which speaks for itself".to_owned(),
    };
    let own = if own == 0 { "" } else { "; what its configuration says stands first" };
    format!(
        "\n\
         V      D delivered, P permanent, T temporary, U unknown, A accepted\n\
         \x20      other 2xx: {who}{own}\n\
         \x20      a: T with a Retry-After; b: P in answer to credentials;\n\
         \x20      c: U in answer to a second copy, as the first one is there;\n\
         \x20      r: once more on a new session first, with the same Message-ID\n\
         INVITE for a Large Message: of it nothing has left, so all of it is certain\n\
         MSRP   responses, REPORTs and what became of the session of a Large Message\n\
         RP/FCS RP-ACK, or RP-Cause and TP-FCS of an RP-ERROR in the place of the MS;\n\
         \x20      202: at sync_deadline, unless the peer has ack_accepted and TP-SRI is 0;\n\
         \x20      d: what says best what is wrong, 95 to 99 or 111 and any TP-FCS\n\
         TP-ST  TP-Status while somebody still tries / at the end\n\
         SMPP   message_state and stat of a receipt at the end\n\
         SM     MAP error / detail as TS 23.040 says; ext: where alerts are raised\n"
    )
}
