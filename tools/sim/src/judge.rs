//! The reference model: what a status means, what must have been decided, what may be changed in
//! passing. Written from the mapping table and the RFCs, and on purpose not from the engine.

use roger::delivery::{Account, Evidence, Final, Report, Role, Verdict as Decided};
use roger::limits::KEPT_SIZE;
use roger::packet::Endpoint;

use crate::air::Packet;
use crate::ledger::Verdict;
use crate::submission::{Proof, Submission, What, slack};
use crate::swarm::{Client, MS, Swarm};
use crate::tcp;
use crate::text::{Text, endpoint, parameter, sent_by, value_of};

/// What a final response proves, by the letters of the mapping table: delivered, permanent,
/// temporary, unknown, accepted.
pub(crate) fn letter(status: u16, role: Role) -> char {
    let recipient_speaks = role == Role::Proxy || role == Role::Endpoint;
    if status == 202 {
        return 'A';
    }
    if (200..300).contains(&status) {
        return if recipient_speaks { 'D' } else { 'A' };
    }
    // Time-outs somewhere behind, and a cancelled branch, leave it open.
    if [408, 487, 504].contains(&status) {
        return 'U';
    }
    // Not there, busy, pending, to be challenged: another try may work.
    if [401, 407, 430, 480, 481, 486, 491].contains(&status) {
        return 'T';
    }
    // Servers that will never do it.
    if [501, 505, 513, 580].contains(&status) {
        return 'P';
    }
    match status / 100 {
        3 => {
            if status == 301 {
                'P'
            } else {
                'T'
            }
        }
        5 => 'T',
        _ => 'P',
    }
}

/// The IM server at this address.
pub(crate) fn server_of(address: Endpoint, swarm: &Swarm) -> Option<usize> {
    swarm.places.servers.iter().position(|server| server.addresses.contains(&address))
}

/// What the SMS side is told about a final response; nothing for 408 (RFC 4320).
fn passed(status: u16) -> Option<u16> {
    match status {
        408 => None,
        503 => Some(500),
        other => Some(other),
    }
}

/// When 100 is due: when a client's timer E has reached T2 (RFC 4320 section 4.1).
pub(crate) fn trying(swarm: &Swarm) -> u64 {
    let (mut at, mut interval) = (0, u64::from(swarm.t1_ms));
    while interval < u64::from(swarm.t2_ms) {
        at += interval;
        interval *= 2;
    }
    at * MS
}

/// Something that may rightly have decided.
#[derive(Clone, Copy, Debug)]
enum Outcome<'a> {
    Proof(&'a Proof),
    NeverSent,
    /// One of the limits, not before this moment.
    Limit(Evidence, u64),
}

/// Judges one account against everything that is known of its message.
pub(crate) fn account(
    account: &Account,
    record: &Submission,
    now: u64,
    swarm: &Swarm,
) -> Verdict<()> {
    identity(account, record, swarm)?;
    let outcomes = outcomes(record, swarm);
    let mut complaint = None;
    let mut fits = matches!(account.evidence, Evidence::Shutdown | Evidence::WorkerLost);
    for outcome in &outcomes {
        match fit(account, *outcome, record, swarm) {
            Ok(()) => fits = true,
            Err(error) => complaint = Some(error),
        }
        if fits {
            break;
        }
    }
    if !fits {
        let detail = complaint.unwrap_or_default();
        return Err(format!(
            "I2/I3/I4: {:?} {:?} where {outcomes:?} was right {detail}",
            account.verdict, account.evidence
        ));
    }
    verdict(account)?;
    if !record.tainted {
        report(account, record)?;
    }
    if account.evidence == Evidence::WorkerLost {
        // Who tells it only knows that it was open.
        return if account.decided.0 == now { Ok(()) } else { Err("told late".to_owned()) };
    }
    timing(account, record, now, swarm)
}

/// Whose account it is (I7).
fn identity(account: &Account, record: &Submission, swarm: &Swarm) -> Verdict<()> {
    if account.arrived.0 != record.arrived {
        return Err(format!("arrived at {} instead of {}", account.arrived.0, record.arrived));
    }
    if record.tainted {
        return Ok(());
    }
    let Some(text) = Text::read(&record.request) else { return Err("no request".to_owned()) };
    let same = |identifier: &[u8], text: Option<&str>| {
        text.is_some_and(|text| text.as_bytes().starts_with(identifier))
    };
    if !same(account.sms_call_id.octets(), text.value("Call-ID"))
        || !same(account.im_call_id.octets(), text.value("Call-ID"))
    {
        return Err("I7: another Call-ID".to_owned());
    }
    if !same(account.recipient.octets(), text.start.split(' ').nth(1)) {
        return Err("I7: another recipient".to_owned());
    }
    if record.client != Some(account.sms_peer.into()) {
        return Err(format!("I7: from peer {}", account.sms_peer));
    }
    let clients = swarm.places.clients.len();
    let is_last = |server: &crate::swarm::Server| {
        let lost = account.evidence == Evidence::WorkerLost;
        let mut tried = record.attempts.iter().rev().take(if lost { usize::MAX } else { 1 });
        tried.any(|attempt| server.addresses.contains(&attempt.server))
    };
    let server = usize::from(account.im_peer).checked_sub(clients);
    let server = server.and_then(|index| swarm.places.servers.get(index));
    if !server.is_some_and(is_last) {
        return Err(format!("I7: to peer {}", account.im_peer));
    }
    Ok(())
}

/// Everything that could rightly have decided, in order: the first certain proof closes the list.
fn outcomes<'a>(record: &'a Submission, swarm: &Swarm) -> Vec<Outcome<'a>> {
    // What becomes of a connection may be known late, and what follows is a transaction of its own.
    let is_late = record.attempts.iter().any(|attempt| attempt.is_stream);
    let first = if is_late { record.attempts.last() } else { record.attempts.first() };
    let first = first.map_or(record.arrived, |attempt| attempt.sent[0]);
    let deadline = record.arrived + swarm.deadline();
    let timer_f = first + swarm.transaction();
    let limit = deadline.min(timer_f);
    let mut outcomes = Vec::new();
    let all_tried = record.tainted || record.tried() >= record.servers_max;
    if record.never_left() && all_tried {
        outcomes.push(Outcome::NeverSent);
    }
    let mut closed = None;
    for proof in &record.proofs {
        if proof.at > limit + slack(swarm) || closed.is_some_and(|by| proof.at >= by) {
            break;
        }
        if !proof.ends() {
            continue;
        }
        outcomes.push(Outcome::Proof(proof));
        // What came before it had surely reached whom it concerns may be the first one as well.
        if proof.certain && proof.by < limit {
            closed = Some(closed.unwrap_or(u64::MAX).min(proof.by));
        }
    }
    let stalls = swarm.faults.stalls > 0 || swarm.crew.stalls > 0 || is_late;
    if closed.is_none() && (stalls || !matches!(outcomes.first(), Some(Outcome::NeverSent))) {
        if deadline <= timer_f + slack(swarm) {
            outcomes.push(Outcome::Limit(Evidence::Deadline, deadline));
        }
        if timer_f <= deadline + slack(swarm) {
            outcomes.push(Outcome::Limit(Evidence::TimerF, timer_f));
        }
    }
    outcomes
}

/// Whether the account says what this outcome says.
fn fit(account: &Account, outcome: Outcome<'_>, record: &Submission, swarm: &Swarm) -> Verdict<()> {
    let decided = account.decided.0;
    match (outcome, account.evidence) {
        (Outcome::NeverSent, Evidence::NeverSent) => Ok(()),
        (Outcome::Limit(limit, from), evidence) if limit == evidence => {
            if decided < from || decided > from + slack(swarm) {
                return Err(format!("decided {decided}, due {from}"));
            }
            Ok(())
        }
        (Outcome::Proof(proof), Evidence::Unreachable) if proof.what == What::Unreachable => {
            if proof.reached(decided) {
                Ok(())
            } else {
                Err("at another time".to_owned())
            }
        }
        (Outcome::Proof(proof), Evidence::Final(Final { status, role, .. })) => {
            let server = swarm.places.servers.iter().find(|s| s.addresses.contains(&proof.server));
            let right = proof.what == What::Response(status)
                && proof.reached(decided)
                && server.is_some_and(|server| server.role == role)
                && record.attempts.iter().any(|attempt| attempt.server == proof.server);
            if right { Ok(()) } else { Err(format!("decided {decided} by {status}")) }
        }
        (Outcome::NeverSent | Outcome::Limit(..) | Outcome::Proof(_), _) => {
            Err("other evidence".to_owned())
        }
    }
}

/// Whether the verdict follows from the evidence, by the table above.
fn verdict(account: &Account) -> Verdict<()> {
    let right = match account.evidence {
        // Where a server says when to try again it has not refused for good.
        Evidence::Final(Final { status: 404 | 413 | 513, retry_after: true, .. }) => 'T',
        Evidence::Final(Final { status, role, .. }) => letter(status, role),
        Evidence::NeverSent => 'T',
        Evidence::TimerF
        | Evidence::Deadline
        | Evidence::Unreachable
        | Evidence::Shutdown
        | Evidence::WorkerLost => 'U',
        Evidence::DeadlineUnsent | Evidence::UriWait => 'T',
        Evidence::Earlier { .. }
        | Evidence::Content { .. }
        | Evidence::Discarded
        | Evidence::Invite(_)
        | Evidence::InviteTimeout
        | Evidence::InviteError
        | Evidence::AnswerUnusable
        | Evidence::Acknowledged
        | Evidence::Reported
        | Evidence::MsrpResponse(_)
        | Evidence::MsrpReport(_)
        | Evidence::MsrpTimeout
        | Evidence::ReportMissing
        | Evidence::Unfinished
        | Evidence::Aborted
        | Evidence::ByeBeforeEnd
        | Evidence::ByeAfterEnd
        | Evidence::NeverConnected
        | Evidence::ConnectionUnused
        | Evidence::ConnectionLost
        | Evidence::Submission(_) => '-',
    };
    let said = match account.verdict {
        Decided::Delivered => 'D',
        Decided::Permanent => 'P',
        Decided::Temporary => 'T',
        Decided::Unknown => 'U',
        Decided::Accepted => 'A',
    };
    if said == right {
        Ok(())
    } else {
        Err(format!("verdict {said} where {:?} proves {right}", account.evidence))
    }
}

/// Whether the report is the one that the verdict asks for, and the one that left.
fn report(account: &Account, record: &Submission) -> Verdict<()> {
    let due = match account.evidence {
        Evidence::Final(Final { status, .. }) => passed(status),
        Evidence::NeverSent => Some(500),
        Evidence::TimerF
        | Evidence::Deadline
        | Evidence::Unreachable
        | Evidence::Shutdown
        | Evidence::WorkerLost
        | Evidence::DeadlineUnsent
        | Evidence::UriWait
        | Evidence::Earlier { .. }
        | Evidence::Content { .. }
        | Evidence::Discarded
        | Evidence::Invite(_)
        | Evidence::InviteTimeout
        | Evidence::InviteError
        | Evidence::AnswerUnusable
        | Evidence::Acknowledged
        | Evidence::Reported
        | Evidence::MsrpResponse(_)
        | Evidence::MsrpReport(_)
        | Evidence::MsrpTimeout
        | Evidence::ReportMissing
        | Evidence::Unfinished
        | Evidence::Aborted
        | Evidence::ByeBeforeEnd
        | Evidence::ByeAfterEnd
        | Evidence::NeverConnected
        | Evidence::ConnectionUnused
        | Evidence::ConnectionLost
        | Evidence::Submission(_) => None,
    };
    let told = record.told.as_ref();
    let right = match (account.report, due) {
        (Report::Silence, None) => told.is_none(),
        (Report::Response(said), Some(due)) => {
            // What another worker sends leaves a little later.
            let leaves_there = record.is_handed && told.is_none();
            said == due
                && (leaves_there || told.is_some_and(|told| told.status == said))
                && record.told_refused.is_none()
        }
        (Report::Refused(said, error), Some(due)) => {
            said == due
                && told.is_some_and(|told| told.status == said)
                && record.told_refused == Some(error)
        }
        (Report::Silence, Some(_))
        | (Report::Response(_) | Report::Refused(..), None)
        | (Report::Rp(..) | Report::Msrp(_), _) => false,
    };
    if right {
        return Ok(());
    }
    let told = told.map(|told| told.status);
    Err(format!(
        "I5: report {:?} where {due:?} was due and {told:?} was sent ({:?})",
        account.report, record.told_refused
    ))
}

/// Whether it came in time and tells how often we sent.
fn timing(account: &Account, record: &Submission, now: u64, swarm: &Swarm) -> Verdict<()> {
    if !(account.arrived <= account.decided
        && account.decided <= account.reported
        && account.reported.0 <= now)
    {
        return Err("its times are out of order".to_owned());
    }
    let untold = if record.is_stream { tcp::TOLD_AFTER } else { 0 };
    let is_late = record.attempts.iter().any(|attempt| attempt.is_stream);
    let last = record.attempts.last().filter(|_| is_late);
    let begun = last.map_or(record.arrived, |last| last.sent[0]);
    let limit = (record.arrived + swarm.deadline()).max(begun + swarm.transaction());
    let end = limit + 2 * slack(swarm) + untold;
    if now > end {
        return Err(format!("I8: closed at {now}, {} ms late", (now - end) / MS));
    }
    let sent: usize = record.attempts.iter().map(|attempt| attempt.sent.len()).sum();
    if usize::from(account.transmissions) != sent && record.attempts.len() == 1 {
        return Err(format!("{} transmissions, {sent} seen", account.transmissions));
    }
    let codes = account.statuses.codes();
    // In their order, but for those that may have overtaken each other.
    let mut left: Vec<&Proof> = record.proofs.iter().collect();
    let came = codes.iter().all(|code| {
        let found = left.iter().position(|proof| proof.what == What::Response(*code));
        let Some(found) = found else { return false };
        let reached = left.remove(found).at;
        left.retain(|proof| proof.by >= reached);
        true
    });
    if !came {
        return Err(format!("statuses {codes:?} did not come"));
    }
    let waited = account.decided.0 - record.arrived;
    let due = trying(swarm) + slack(swarm);
    let was_handed = record.is_handed;
    if waited > due && record.trying_at.is_none() && record.told_refused.is_none() && !was_handed {
        return Err("no 100 although the client waited (RFC 4320)".to_owned());
    }
    Ok(())
}

/// Whether what was sent on is what came, but for what a proxy must change (RFC 3261 16.6).
pub(crate) fn same_request(
    came: &Packet,
    went: &[u8],
    client: Option<&Client>,
    to: Endpoint,
    swarm: &Swarm,
) -> Verdict<()> {
    let (Some(before), Some(after)) = (Text::read(&came.octets), Text::read(went)) else {
        return Err("a request without an empty line".to_owned());
    };
    if before.start != after.start {
        return Err(format!("start line {:?} became {:?}", before.start, after.start));
    }
    if before.body != after.body {
        return Err("another body".to_owned());
    }
    let touched = ["Via", "Max-Forwards", "Route", "P-Asserted-Identity"];
    let kept = |text: &Text<'_>| -> String {
        let rest = |line: &&str| touched.iter().all(|name| value_of(line, name).is_none());
        text.lines().filter(rest).collect::<Vec<_>>().join("\n")
    };
    if kept(&before) != kept(&after) {
        return Err(format!("header fields {:?} became {:?}", kept(&before), kept(&after)));
    }
    hops(&before, &after)?;
    routes(&before, &after, swarm)?;
    vias(&before, &after, came)?;
    let asserted = |text: &Text<'_>| text.value("P-Asserted-Identity").map(str::to_owned);
    let shown = asserted(&after);
    let believed = client.is_some_and(|client| client.trusted);
    let server = swarm.places.servers.iter().find(|server| server.addresses.contains(&to));
    let private = before.value("Privacy").is_some_and(|value| value.contains("id"));
    let visible = !private || server.is_some_and(|server| server.trusted);
    if shown.is_some() != (asserted(&before).is_some() && believed && visible) {
        return Err(format!("P-Asserted-Identity: {shown:?} (RFC 3325)"));
    }
    Ok(())
}

fn hops(before: &Text<'_>, after: &Text<'_>) -> Verdict<()> {
    let read =
        |text: &Text<'_>| text.value("Max-Forwards").and_then(|hops| hops.parse::<u32>().ok());
    let right = match (read(before), read(after)) {
        (Some(before), Some(after)) => after + 1 == before,
        (None, Some(after)) => after == 70,
        (_, None) => false,
    };
    if right { Ok(()) } else { Err("Max-Forwards is wrong".to_owned()) }
}

fn routes(before: &Text<'_>, after: &Text<'_>, swarm: &Swarm) -> Verdict<()> {
    let read = |text: &Text<'_>| -> Vec<String> {
        let lines = text.lines().filter_map(|line| value_of(line, "Route"));
        lines.flat_map(|line| line.split(',')).map(|value| value.trim().to_owned()).collect()
    };
    let (mut expected, went) = (read(before), read(after));
    let ours = expected.first().is_some_and(|first| {
        let host = first.trim_start_matches("<sip:").split([';', '>']).next().unwrap_or("");
        host == "relay.example"
            || endpoint(host).is_some_and(|host| swarm.places.sockets.contains(&host))
    });
    if ours {
        expected.remove(0);
    }
    if expected == went { Ok(()) } else { Err(format!("Route {expected:?} became {went:?}")) }
}

fn vias(before: &Text<'_>, after: &Text<'_>, came: &Packet) -> Verdict<()> {
    let bare = |via: &str| -> String {
        let keep = |piece: &&str| {
            let name = piece.trim().split('=').next().unwrap_or("");
            name != "received" && name != "rport"
        };
        via.split(';').filter(keep).map(str::trim).collect::<Vec<_>>().join(";")
    };
    let was: Vec<&str> = before.vias().map(str::trim).collect();
    let is: Vec<&str> = after.vias().skip(1).map(str::trim).collect();
    if was.len() != is.len() || was.get(1..) != is.get(1..) {
        return Err(format!("Vias {was:?} became {is:?}"));
    }
    let (Some(was), Some(is)) = (was.first(), is.first()) else {
        return Err("no Via".to_owned());
    };
    if bare(was) != bare(is) {
        return Err(format!("Via {was:?} became {is:?}"));
    }
    let source = came.from.to_socket_addr();
    let asked = parameter(was, "rport").is_some();
    if asked && parameter(is, "rport") != Some(&source.port().to_string()) {
        return Err(format!("rport of {is:?} is not that of {source} (RFC 3581)"));
    }
    let same_host = sent_by(was).and_then(endpoint).is_some_and(|at| at.ip == came.from.ip);
    let received = parameter(is, "received").map(|text| text.trim_matches(['[', ']']).to_owned());
    let right = received == Some(source.ip().to_string());
    if (received.is_some() || !same_host || asked) && !right {
        return Err(format!("received of {is:?} is not {source} (RFC 3261 18.2.1)"));
    }
    Ok(())
}

/// Whether a response went on as it came, but for the start line of a 503 and for spaces that a
/// list of Vias may lose with its first value.
pub(crate) fn same_response(expected: &[u8], went: &[u8], status: u16) -> bool {
    let (Some(one), Some(other)) = (Text::read(expected), Text::read(went)) else { return false };
    let start = if status == 503 {
        other.start.starts_with("SIP/2.0 500 ")
    } else {
        one.start == other.start
    };
    let squeezed = |text: &Text<'_>| -> Vec<String> {
        text.lines()
            .map(|line| match value_of(line, "Via") {
                Some(value) => format!("Via:{}", value.replace(' ', "")),
                None => line.to_owned(),
            })
            .collect()
    };
    start && squeezed(&one) == squeezed(&other) && one.body == other.body
}

/// Octets of a response to what came over a connection without the value of rport, which is another
/// one on the next connection.
pub(crate) fn without_port(octets: &[u8]) -> Vec<u8> {
    let mut kept = octets.to_vec();
    if memchr::memmem::find(octets, b"SIP/2.0/TCP ").is_some() || octets.starts_with(b"SIP/2.0/TCP")
    {
        while let Some(at) = memchr::memmem::find(&kept, b"rport=") {
            let digits = kept[at + 6..].iter().take_while(|octet| octet.is_ascii_digit()).count();
            kept.drain(at + 5..at + 6 + digits);
        }
    }
    kept
}

/// Whether a repeated final response says what the first one said. Failures are repeated octet for
/// octet, with their challenges and reasons; a success has nothing but its status to say, so the
/// To tag and words of no meaning may differ.
pub(crate) fn same_answer(first: &[u8], again: &[u8]) -> bool {
    let (Some(one), Some(other)) = (Text::read(first), Text::read(again)) else { return false };
    let [first, again] = [first, again].map(without_port);
    let (first, again) = (&*first, &*again);
    let rebuilt = one.status().is_some_and(|status| status < 300) || first.len() > KEPT_SIZE;
    if !rebuilt {
        return first == again;
    }
    let bare = |text: &Text<'_>| {
        let vias: Vec<String> = text
            .vias()
            .map(|via| {
                String::from_utf8_lossy(&without_port(via.replace(' ', "").as_bytes())).into_owned()
            })
            .collect();
        let to = text.value("To").map(|to| to.split(";tag=").next().unwrap_or("").to_owned());
        let fields = ["From", "Call-ID", "CSeq"].map(|name| text.value(name).map(str::to_owned));
        (text.status(), vias, to, fields)
    };
    bare(&one) == bare(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the standards' text gives it, once more in another form.
    #[test]
    fn the_letters_are_those_of_the_mapping_table() {
        let by_endpoint = |status| letter(status, Role::Endpoint);
        for (statuses, expected) in [
            (&[200_u16, 201, 299] as &[u16], 'D'),
            (&[202], 'A'),
            (&[301, 400, 403, 404, 415, 482, 484, 501, 505, 513, 600, 603, 699], 'P'),
            (&[300, 302, 305, 380, 401, 407, 430, 480, 481, 486, 491, 500, 502, 503], 'T'),
            (&[408, 487, 504], 'U'),
        ] {
            for status in statuses {
                assert_eq!(by_endpoint(*status), expected, "{status}");
            }
        }
        assert_eq!(letter(200, Role::Gateway), 'A');
        assert_eq!(letter(200, Role::ImServer), 'A');
        assert_eq!(letter(200, Role::Proxy), 'D');
    }

    #[test]
    fn a_response_that_lost_a_header_field_is_not_the_same() {
        let came = b"SIP/2.0 503 Busy\r\nVia: a,  b\r\nX: y\r\n\r\n";
        assert!(same_response(came, b"SIP/2.0 500 Oops\r\nv: a,b\r\nX: y\r\n\r\n", 503));
        assert!(!same_response(came, b"SIP/2.0 500 Oops\r\nVia: a,b\r\n\r\n", 503));
        assert!(!same_response(came, b"SIP/2.0 503 Busy\r\nVia: a,b\r\nX: y\r\n\r\n", 503));
    }
}
