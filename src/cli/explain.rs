//! `roger explain`: what a status, a silence or a code means, from the table that decides.

mod page;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::cli::check::{diagnoses, verdict};
use crate::cli::{Exit, Terminal, finish, read_text, tell};
use crate::config::{
    Config, Machine, Override, Sources, SystemNames, examine, nearest, overrides_from_environment,
};
use crate::delivery::mapping::{
    Event, Leg, On, Origin, Row, TABLE, msrp_meaning, registered, row_of_event, row_of_invite,
    row_of_msrp, row_of_status,
};
use crate::delivery::{Mapping, MsrpRole, Verdict};
use crate::oam::verdicts::{msrp_role_name, role_name};

/// What `roger explain` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// 404, timer-f, silence, invite 486, msrp 413, rp-cause 111, tp-fcs 0x90, tp-status 0x46;
    /// nothing: the whole table
    #[arg(value_name = "WHAT", num_args = 0..=2)]
    pub what: Vec<String>,
    /// As this peer's responses are read, with its role, preset and map
    #[arg(long, value_name = "NAME")]
    pub peer: Option<String>,
    /// The configuration that names the peer
    #[arg(long, value_name = "FILE", requires = "peer", default_value = "/etc/roger/roger.toml")]
    pub config: PathBuf,
    /// Set one value, over file and environment: --set timers.t1=100ms
    #[arg(long, value_name = "SECTION.KEY=VALUE", requires = "peer",
        value_parser = crate::cli::parse_override)]
    pub set: Vec<Override>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Table,
    Status(u16),
    Invite(u16),
    Msrp(u16),
    Event(Event),
    RpCause(u8),
    TpFcs(u8),
    TpStatus(u8),
}

/// The peer whose responses are meant.
struct Reader<'a> {
    name: &'a str,
    role: &'static str,
    msrp: Option<MsrpRole>,
    speaks: bool,
    ack_accepted: bool,
    mapping: &'a Mapping,
}

/// Explains.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let what = match understood(&arguments.what) {
        Ok(what) => what,
        Err(error) => {
            tell(&format!("roger: {error}"));
            return Exit::Usage;
        }
    };
    let config = match &arguments.peer {
        Some(_) => match configuration(arguments, terminal) {
            Ok(config) => Some(config),
            Err(exit) => return exit,
        },
        None => None,
    };
    let reader = match (&config, &arguments.peer) {
        (Some(config), Some(name)) => match reader(config, name) {
            Ok(reader) => Some(reader),
            Err(error) => {
                tell(&format!("roger: {error}"));
                return Exit::Usage;
            }
        },
        (_, _) => None,
    };
    let text = if arguments.json {
        format!("{:#}\n", to_json(what, reader.as_ref()))
    } else {
        page::page(what, reader.as_ref())
    };
    finish(io::stdout().write_all(text.as_bytes()), Exit::Ok)
}

fn configuration(arguments: &Arguments, terminal: Terminal) -> Result<Config, Exit> {
    let text = read_text(&arguments.config).map_err(|error| {
        tell(&format!("roger: {error}"));
        Exit::Config
    })?;
    let from_environment = overrides_from_environment().into_iter();
    let overrides: Vec<Override> = from_environment.chain(arguments.set.iter().cloned()).collect();
    let (machine, name) = (Machine::this(), arguments.config.display().to_string());
    let sources = Sources { name: &name, text: &text, overrides: &overrides, machine: &machine };
    let mut examination = examine(sources, &mut SystemNames);
    examination.config.take().ok_or_else(|| {
        // When nobody can be told, the exit code still says it.
        let _ = diagnoses(&examination, sources, &mut io::stderr().lock(), terminal.error);
        tell(&format!("roger: {name} is wrong"));
        verdict(&examination, false)
    })
}

fn reader<'a>(config: &'a Config, name: &str) -> Result<Reader<'a>, String> {
    let Some(peer) = config.peers.iter().find(|peer| peer.name == name) else {
        let near = nearest(name, config.peers.iter().map(|peer| peer.name.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("no peer is called `{}`{hint}", name.escape_default()));
    };
    if !peer.side.is_im() {
        return Err(format!(
            "`{name}` is on the SMS side alone: no message goes there, so nothing it answers decides"
        ));
    }
    Ok(Reader {
        name: &peer.name,
        role: role_name(peer.role),
        msrp: peer.msrp,
        speaks: peer.role.speaks_for_the_recipient(),
        ack_accepted: peer.ack_accepted,
        mapping: &peer.mapping,
    })
}

/// Kinds of codes, and the names by which events are known beside their own.
const KINDS: [&str; 6] = ["sip", "invite", "msrp", "rp-cause", "tp-fcs", "tp-status"];
const OTHER_NAMES: [(&str, Event); 6] = [
    ("silence", Event::TimerF),
    ("abort", Event::Aborted),
    ("reset", Event::ConnectionLost),
    ("sync_deadline", Event::Deadline),
    ("unreachable", Event::Unreachable),
    ("uri_wait", Event::UriWait),
];

fn understood(words: &[String]) -> Result<What, String> {
    match words {
        [] => Ok(What::Table),
        [word] if word.starts_with(|c: char| c.is_ascii_digit()) => status(word).map(What::Status),
        [word] => {
            let word = word.to_ascii_lowercase();
            let own = Event::ALL.into_iter().map(|event| (event.name(), event));
            let known: Vec<(&str, Event)> = own.chain(OTHER_NAMES).collect();
            if let Some((_, event)) = known.iter().find(|(name, _)| *name == word) {
                return Ok(What::Event(*event));
            }
            if KINDS.contains(&word.as_str()) {
                return Err(format!(
                    "`{word}` needs a number: roger explain {word} {}",
                    example(&word)
                ));
            }
            Err(unknown(&word, known.iter().map(|(name, _)| *name).chain(KINDS)))
        }
        [kind, code, ..] => match kind.to_ascii_lowercase().as_str() {
            "sip" => status(code).map(What::Status),
            "invite" => status(code).map(What::Invite),
            "msrp" => msrp(code),
            "rp-cause" => octet(code, 0x7F).map(What::RpCause),
            "tp-fcs" => octet(code, 0xFF).map(What::TpFcs),
            "tp-status" => octet(code, 0xFF).map(What::TpStatus),
            other => Err(unknown(other, KINDS.into_iter())),
        },
    }
}

fn example(kind: &str) -> &'static str {
    match kind {
        "rp-cause" => "111",
        "tp-fcs" => "0x90",
        "tp-status" => "0x46",
        "invite" => "486",
        "msrp" => "413",
        _ => "404",
    }
}

fn unknown<'n>(word: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    let word = word.escape_default();
    match nearest(&word.to_string(), known.clone()) {
        Some(near) => format!("there is nothing to explain about `{word}`; did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = known.collect();
            format!(
                "there is nothing to explain about `{word}`; known beside SIP statuses: {}",
                known.join(", ")
            )
        }
    }
}

fn status(word: &str) -> Result<u16, String> {
    match word.parse::<u16>() {
        Ok(status @ 200..=699) => Ok(status),
        Ok(status @ 100..=199) => Err(format!(
            "{status} is provisional and proves nothing: what counts is the final response, 200 to \
             699, or its absence (roger explain timer-f)"
        )),
        Ok(_) | Err(_) => Err(format!(
            "`{}` is not the status of a final SIP response, 200 to 699; codes of other protocols \
             need their kind, as in: roger explain tp-status 0x46",
            word.escape_default()
        )),
    }
}

/// RFC 4975 section 9: three digits.
fn msrp(word: &str) -> Result<What, String> {
    match word.parse::<u16>() {
        Ok(status) if word.len() == 3 && !word.starts_with('+') => Ok(What::Msrp(status)),
        Ok(_) | Err(_) => Err(format!(
            "`{}` is not the status of an MSRP response or REPORT, which has three digits",
            word.escape_default()
        )),
    }
}

fn octet(word: &str, most: u8) -> Result<u8, String> {
    let lower = word.to_ascii_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => lower.parse(),
    };
    match number {
        Ok(number) if number <= most && !word.starts_with('+') => Ok(number),
        Ok(_) | Err(_) => Err(format!(
            "`{}` is not a number from 0 to {most} (0x00 to 0x{most:02X})",
            word.escape_default()
        )),
    }
}

impl Reader<'_> {
    /// What a 2xx that says no more proves by this peer's role.
    fn success(&self) -> Verdict {
        if self.speaks { Verdict::Delivered } else { Verdict::Accepted }
    }

    /// Who answers what is asked about.
    fn who(&self, what: What) -> String {
        let of_msrp = match what {
            What::Msrp(_) => true,
            What::Event(event) => event.leg() == Leg::Msrp,
            What::Table
            | What::Status(_)
            | What::Invite(_)
            | What::RpCause(_)
            | What::TpFcs(_)
            | What::TpStatus(_) => false,
        };
        let name = self.name;
        match self.msrp {
            _ if !of_msrp => format!("peer {name}, role {}", self.role),
            Some(role) => format!("peer {name}, msrp {}", msrp_role_name(role)),
            None => format!("peer {name}, which takes no Large Messages (no msrp)"),
        }
    }
}

/// One row as it takes effect, with who says so.
struct Found {
    row: Row,
    origin: Option<Origin>,
}

fn found(what: What, reader: Option<&Reader<'_>>) -> Option<Found> {
    match (what, reader) {
        (What::Status(status), Some(reader)) => {
            let effective = reader.mapping.effective(status)?;
            Some(Found { row: effective.row, origin: Some(effective.origin) })
        }
        (What::Invite(status), Some(reader)) => {
            let effective = reader.mapping.effective_invite(status)?;
            Some(Found { row: effective.row, origin: Some(effective.origin) })
        }
        (What::Invite(status), None) => Some(Found { row: *row_of_invite(status)?, origin: None }),
        (What::Msrp(status), Some(reader)) => {
            let effective = reader.mapping.effective_msrp(status);
            Some(Found { row: effective.row, origin: Some(effective.origin) })
        }
        (What::Msrp(status), None) => Some(Found { row: *row_of_msrp(status), origin: None }),
        (What::Status(status), None) => Some(Found { row: *row_of_status(status)?, origin: None }),
        (What::Event(event), _) => Some(Found { row: *row_of_event(event), origin: None }),
        (What::Table | What::RpCause(_) | What::TpFcs(_) | What::TpStatus(_), _) => None,
    }
}

fn title(what: What) -> String {
    match what {
        What::Table => String::new(),
        What::Status(status) => match registered(status) {
            Some((phrase, _)) => format!("{status} {phrase}"),
            None => format!("{status}, which no registry knows"),
        },
        What::Invite(status) => match registered(status) {
            Some((phrase, _)) => format!("{status} {phrase} in answer to an INVITE"),
            None => format!("{status} in answer to an INVITE, which no registry knows"),
        },
        What::Msrp(status) => match msrp_meaning(status) {
            Some((meaning, _)) => format!("MSRP {status:03}: {meaning}"),
            None => format!("MSRP {status:03}, of which RFC 4975 says nothing"),
        },
        What::Event(event) => format!("{}: {}", event.name(), event.meaning()),
        What::RpCause(cause) => format!("RP-Cause {cause} (0x{cause:02X})"),
        What::TpFcs(fcs) => format!("TP-FCS 0x{fcs:02X} ({fcs})"),
        What::TpStatus(status) => format!("TP-Status 0x{status:02X} ({status})"),
    }
}

/// What a row is about.
fn label(on: On) -> String {
    match on.leg() {
        Leg::Message => name(on),
        Leg::Invite | Leg::Msrp if matches!(on, On::Event(_)) => name(on),
        leg @ (Leg::Invite | Leg::Msrp) => format!("{} {}", leg.name(), name(on)),
    }
}

/// The same where it stands among its kind.
fn name(on: On) -> String {
    match on {
        On::Statuses(statuses) | On::Invite(statuses) | On::Msrp(statuses) => {
            let statuses: Vec<String> = statuses.iter().map(ToString::to_string).collect();
            statuses.join(" ")
        }
        On::InviteClass(2) => "2xx too late".to_owned(),
        On::Class(class) | On::InviteClass(class) | On::MsrpClass(class) => {
            format!("other {class}xx")
        }
        On::MsrpOther => "any other".to_owned(),
        On::Event(event) => event.name().to_owned(),
    }
}

/// The same for programs.
fn to_json(what: What, reader: Option<&Reader<'_>>) -> Json {
    match what {
        What::Table => {
            let rows = TABLE
                .iter()
                .map(|row| row_json(&reader.map_or(*row, |reader| table::as_read(row, reader))));
            json!({ "rows": rows.collect::<Vec<_>>() })
        }
        What::Status(_) | What::Invite(_) | What::Msrp(_) | What::Event(_) => {
            let Some(found) = found(what, reader) else { return Json::Null };
            let mut json = row_json(&found.row);
            json["title"] = title(what).into();
            json["origin"] =
                found.origin.map_or_else(|| "standard".into(), |it| it.to_string().into());
            json["peer"] = reader.map(|reader| reader.name).into();
            json
        }
        What::RpCause(_) | What::TpFcs(_) | What::TpStatus(_) => {
            let lines = page::code_lines(what).into_iter();
            let mut json: serde_json::Map<String, Json> =
                lines.map(|(label, words)| (label.replace(' ', "_"), words.into())).collect();
            json.insert("title".to_owned(), title(what).into());
            json.into()
        }
    }
}

fn row_json(row: &Row) -> Json {
    let exception = row.exception.verdict().map(
        |verdict| json!({ "when": row.exception.words(), "verdict": verdict.letter().to_string() }),
    );
    json!({
        "on": label(row.on),
        "verdict": row.verdict.letter().to_string(),
        "exception": exception,
        "tries": (!row.tries.is_empty()).then_some(row.tries),
        "rp_cause": row.cause,
        "tp_fcs": row.cause.map(|_| row.fcs),
        "sm_error": row.sm_error.to_string(),
        "sm_error_finer": row.sm_error_extended.map(|error| error.to_string()),
        "tp_status_still_trying": row.tp_status.still_trying,
        "tp_status": row.tp_status.at_the_end,
        "message_state": row.message_state as u8,
        "stat": row.message_state.stat(),
        "source": row.source,
    })
}
