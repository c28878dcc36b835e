//! What an instant message and a report must look like: who from, who to, and how it is written
//! down.

use roger::packet::Endpoint;

use crate::centre::Submission;
use crate::judge::server_of;
use crate::ledger::Verdict;
use crate::rp::{Answer, Report};
use crate::short::Short;
use crate::swarm::Swarm;
use crate::text::{Text, value_of};

/// The host of the URIs that stand for users of the SMS side.
pub(crate) const DOMAIN: &str = "gw.example";

/// An instant message as its recipient sees it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) uri: String,
    /// The URI in From.
    pub(crate) from: String,
    /// From without its tag: who sends, where many share the URI of the gateway.
    pub(crate) sender: String,
    pub(crate) text: String,
    pub(crate) date: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    /// Whether it shows credentials.
    pub(crate) authorized: bool,
    /// The DateTime of message/cpim.
    date_time: Option<String>,
}

impl Message {
    /// Reads an instant message to this server.
    pub(crate) fn read(text: &Text<'_>, server: Endpoint, swarm: &Swarm) -> Verdict<Self> {
        let Some(index) = server_of(server, swarm) else {
            return Err(format!("a message to {server:?}, who is nobody"));
        };
        let field = |name: &str| {
            text.value(name).ok_or_else(|| format!("an instant message without {name}"))
        };
        let body = String::from_utf8(text.body.to_vec()).map_err(|_| "not UTF-8".to_owned())?;
        let kind = field("Content-Type")?.to_ascii_lowercase().replace(' ', "");
        let (words, date_time) = match (swarm.gateway.cpim[index], kind.as_str()) {
            (false, "text/plain;charset=utf-8") => (body, None),
            (true, "message/cpim") => unwrap(&body, text)?,
            (_, kind) => return Err(format!("an instant message in {kind}")),
        };
        let cseq = field("CSeq")?.strip_suffix(" MESSAGE").and_then(|cseq| cseq.parse().ok());
        let authorized = ["Authorization", "Proxy-Authorization"]
            .iter()
            .any(|name| text.lines().any(|line| value_of(line, name).is_some()));
        Ok(Self {
            uri: text.start.split(' ').nth(1).unwrap_or("").to_owned(),
            from: uri_in(field("From")?).to_owned(),
            sender: field("From")?.split(";tag=").next().unwrap_or("").to_owned(),
            text: words,
            date: field("Date")?.to_owned(),
            call_id: field("Call-ID")?.to_owned(),
            cseq: cseq.ok_or_else(|| "a CSeq that is none".to_owned())?,
            authorized,
            date_time,
        })
    }
}

/// What stands in message/cpim, and its DateTime (RFC 3862 section 2).
pub(crate) fn unwrap(body: &str, text: &Text<'_>) -> Verdict<(String, Option<String>)> {
    let mut pieces = body.splitn(3, "\r\n\r\n");
    let (Some(head), Some(inner), Some(words)) = (pieces.next(), pieces.next(), pieces.next())
    else {
        return Err(format!("message/cpim that is none: {body:?}"));
    };
    let get = |head: &str, name: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let found = lines.find(|(left, _)| left.eq_ignore_ascii_case(name));
        found.map(|(_, right)| right.to_owned()).unwrap_or_default()
    };
    let same = |name: &str| uri_in(&get(head, name)) == uri_in(text.value(name).unwrap_or(""));
    let kind = get(inner, "Content-Type").to_ascii_lowercase().replace(' ', "");
    if !same("From") || !same("To") || kind != "text/plain;charset=utf-8" {
        return Err(format!("message/cpim for somebody else: {body:?}"));
    }
    Ok((words.to_owned(), Some(get(head, "DateTime"))))
}

/// The URI of a name-addr, or of an addr-spec without parameters.
pub(crate) fn uri_in(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(""),
        None => value.split(';').next().unwrap_or("").trim(),
    }
}

/// Whether this URI stands for the originator of a short message.
pub(crate) fn is_from(uri: &str, short: &Short) -> bool {
    if short.originator.ton == 5 {
        // Letters are no user: they are shown, and the gateway is who sends.
        return uri == format!("sip:{DOMAIN}");
    }
    let Some(user) = uri
        .strip_prefix("sip:")
        .and_then(|rest| rest.strip_suffix(";user=phone").or(Some(rest)))
        .and_then(|rest| rest.strip_suffix(&format!("@{DOMAIN}")))
    else {
        return false;
    };
    match short.originator.ton {
        1 => user.strip_prefix('+') == Some(&short.originator.text),
        // A local number says where it is one (RFC 3966 section 5.1.4).
        _ => user.split(";phone-context=").next() == Some(&short.originator.text),
    }
}

/// Whether acceptance by a server of this short message is acknowledged where nobody asked for a
/// status report.
pub(crate) fn accepts(short: &Short, swarm: &Swarm) -> bool {
    let mut servers = short.targets.iter().filter_map(|target| server_of(*target, swarm));
    servers.any(|server| swarm.gateway.ack_accepted[server])
}

/// Whether an instant message is written as RFC 3428 and the field mapping want it.
pub(crate) fn check(message: &Message, short: &Short, text: &Text<'_>) -> Verdict<()> {
    let who = &message.call_id;
    if !is_from(&message.from, short) {
        return Err(format!("I7: {who}: from {} ({:?})", message.from, short.originator));
    }
    if text.value("To").map(uri_in) != Some(short.recipient.as_str()) {
        return Err(format!("I7: {who}: To is {:?}", text.value("To")));
    }
    if text.value("Contact").is_some() {
        return Err(format!("{who}: a Contact (RFC 3428 section 4)"));
    }
    if text.value("Request-Disposition") != Some("no-fork") {
        return Err(format!("{who}: may be forked (hazard H5)"));
    }
    let shown = format!("\"{}\" <", short.originator.text);
    if short.originator.ton == 5 && !text.value("From").is_some_and(|from| from.starts_with(&shown))
    {
        return Err(format!("I7: {who}: {:?} is not shown", short.originator.text));
    }
    if !text.value("From").is_some_and(|from| from.contains(";tag=")) {
        return Err(format!("{who}: no From tag"));
    }
    if let Some(date_time) = &message.date_time
        && *date_time != date_time_of(short)
    {
        return Err(format!("{who}: DateTime {date_time} is not {}", date_time_of(short)));
    }
    Ok(())
}

/// TP-SCTS with its offset, as RFC 3339 writes it.
fn date_time_of(short: &Short) -> String {
    let [year, month, day, hour, minute, second, _] =
        crate::rp::timestamp(short.seconds, short.quarters)
            .map(|swapped| format!("{}{}", swapped & 0xF, swapped >> 4));
    let quarters = short.quarters.unsigned_abs();
    let sign = if short.quarters < 0 { '-' } else { '+' };
    format!(
        "20{year}-{month}-{day}T{hour}:{minute}:{second}{sign}{:02}:{:02}",
        quarters / 4,
        quarters % 4 * 15
    )
}

/// Whether a report belongs to the submission that it names (I7): the reference, who to and who
/// from.
pub(crate) fn check_report(
    report: &Report,
    submission: &Submission,
    short: &Short,
    text: &Text<'_>,
    swarm: &Swarm,
) -> Verdict<()> {
    let who = &submission.call_id;
    let [ack, error] = short.fate.report_types();
    let due = if report.answer == Answer::Ack { ack } else { error };
    if report.mti != due || report.reference != submission.reference {
        let (mti, reference) = (report.mti, report.reference);
        return Err(format!(
            "I7: {who}: report {mti} {reference} where {due} {} was due",
            submission.reference
        ));
    }
    let uri = text.start.split(' ').nth(1).unwrap_or("");
    let to = text.value("To").map_or("", uri_in);
    if uri != submission.report_to || to != submission.report_to {
        return Err(format!("I7: {who}: report to {uri} {to}, not {}", submission.report_to));
    }
    let from = text.value("From").map_or("", uri_in);
    let known = short.fate.report_types() == [2, 4];
    if known && from != short.recipient {
        return Err(format!("I7: {who}: report from {from}, not {}", short.recipient));
    }
    for name in ["P-Preferred-Identity", "P-Asserted-Identity"] {
        if known && text.value(name).is_some_and(|value| uri_in(value) != short.recipient) {
            return Err(format!("I7: {who}: {name} {:?}", text.value(name)));
        }
    }
    let centre = &swarm.gateway.centres[submission.centre];
    if text.value("Route").unwrap_or("") != centre.route {
        return Err(format!("{who}: Route {:?}", text.value("Route")));
    }
    if text.value("Content-Type") != Some("application/vnd.3gpp.sms") {
        return Err(format!("{who}: a report in {:?}", text.value("Content-Type")));
    }
    if text.value("Contact").is_some() {
        return Err(format!("{who}: a Contact (RFC 3428 section 4)"));
    }
    Ok(())
}
