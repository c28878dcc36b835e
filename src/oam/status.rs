//! What a running process says about itself: every counter with what it means, and the peers.
//!
//! The process tells it as one JSON document ([`Snapshot`]); the client shows it. Both may be of
//! different versions: what one does not know, the other leaves out or shows by its name.

mod summary;

use core::fmt::Write as _;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::{Counter, Tally, Total};

/// The state of a process at one moment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Snapshot {
    /// Version of the program.
    pub version: String,
    /// Process.
    pub pid: u32,
    /// Node of a group.
    pub node: u8,
    /// How long it runs.
    pub up_ms: u64,
    /// How new work is met: `open`, `announcing`, `refusing`.
    pub serving: String,
    /// How octets move.
    pub driver: String,
    /// Why `io_uring` was not used, if it was wanted.
    pub driver_refusal: Option<String>,
    /// Sockets as bound.
    pub sockets: Vec<String>,
    /// How many messages can be open.
    pub open_max: u32,
    /// Octets that were allocated for tables at the start.
    pub memory: u64,
    /// Every worker, in their order.
    #[serde(default)]
    pub workers: Vec<WorkerState>,
    /// Every counter, of all workers together.
    pub counters: Vec<Group>,
    /// Every peer in the order of the configuration.
    pub peers: Vec<PeerState>,
}

/// Counters that belong together.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Group {
    /// What they are about.
    pub name: String,
    /// The counters.
    pub counters: Vec<Count>,
}

/// One counter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Count {
    /// Its name.
    pub name: String,
    /// What was counted.
    pub value: u64,
    /// What that means.
    pub meaning: String,
}

/// One worker.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct WorkerState {
    /// The CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// What it does: `running`, `ended`; of those that are lost, `stuck` where they stand still,
    /// `silenced` where they have noticed, `broken` where they have ended by themselves.
    pub state: String,
    /// Turns so far.
    pub turns: u64,
    /// Its own counters that are not zero, by name.
    pub counters: BTreeMap<String, u64>,
}

impl WorkerState {
    /// What one worker has counted.
    pub fn of(cpu: Option<usize>, state: &str, turns: u64, tally: &Tally) -> Self {
        let counted = Counter::ALL.map(|counter| (counter, tally.counters.read(counter)));
        let counters = counted.into_iter().filter(|(_, value)| *value > 0);
        Self {
            cpu,
            state: state.to_owned(),
            turns,
            counters: counters.map(|(counter, value)| (counter.name().to_owned(), value)).collect(),
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter.name()).copied().unwrap_or(0)
    }
}

/// One peer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct PeerState {
    /// Its name.
    pub name: String,
    /// Its side: `sms`, `im`, `both`.
    pub side: String,
    /// Its role, on the IM side.
    pub role: Option<String>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// How long ago the last datagram came from it.
    pub last_heard_ms: Option<u64>,
    /// Requests that came from it.
    pub requests_in: u64,
    /// Requests that went to it.
    pub requests_out: u64,
    /// Final responses that came from it.
    pub finals_in: u64,
    /// Requests that it never answered.
    pub timer_f: u64,
    /// Requests that ICMP said did not reach it.
    pub unreachable: u64,
}

/// The groups, and in plain words what each counter means.
const GROUPS: [(&str, &[(Counter, &str)]); 14] = [
    (
        "messages",
        &[
            (Counter::MessagesAccepted, "accepted: each ends in exactly one verdict"),
            (Counter::MessagesOpen, "accepted and not closed at this moment"),
            (Counter::VerdictDelivered, "D: the recipient's user agent has it"),
            (Counter::VerdictPermanent, "P: refused for good"),
            (Counter::VerdictTemporary, "T: not delivered, another try may work"),
            (Counter::VerdictUnknown, "U: may or may not have been delivered"),
            (Counter::VerdictAccepted, "A: an intermediary took it, no more is known"),
            (Counter::Contradictions, "a final response that contradicts the verdict"),
            (Counter::LateDelivered, "a positive response after the verdict U"),
            (Counter::LateFailed, "another final response after the verdict U"),
            (Counter::Deadlines, "no verdict within sync_deadline"),
            (Counter::TimerF, "no final response within 64*T1"),
        ],
    ),
    (
        "reports",
        &[
            (Counter::ReportsSent, "sent to the SMS side: final responses and RP messages"),
            (Counter::ReportsSilent, "nothing may be said (RFC 4320)"),
            (Counter::ReportsRefused, "refused by the kernel"),
            (Counter::ReportsRepeated, "sent again for a retransmitted request"),
            (Counter::AcceptancesPassed, "a 200 that proves acceptance only, passed unchanged"),
            (Counter::AccountsLost, "verdict lines lost: the writer could not keep up"),
        ],
    ),
    (
        "short messages",
        &[
            (Counter::ShortMessages, "accepted messages that came as RP-DATA"),
            (Counter::RpAcks, "RP-ACK sent: for the SC that is the end"),
            (Counter::RpErrors, "RP-ERROR sent: the SC may repeat the message"),
            (Counter::ReportsTaken, "reports that the SC answered 2xx"),
            (Counter::ReportsRejected, "reports that the SC answered otherwise"),
            (Counter::ReportsUnconfirmed, "reports that the SC never answered"),
            (Counter::RetriesAbsorbed, "repetitions answered from what was known before"),
            (Counter::RetriesAttached, "repetitions that wait for the running attempt"),
            (Counter::RetriesAttempted, "repetitions sent to the recipient again"),
            (Counter::PossibleDuplicates, "of these, possibly delivered before"),
            (Counter::LateProofs, "delivery proved after the verdict, for the next repetition"),
            (Counter::MemoriesEvicted, "forgotten before their time: the table was full"),
            (Counter::UriWaits, "waited for another message to the same URI"),
            (Counter::UriWaitsEnded, "of these, waited too long"),
            (Counter::RefusedContent, "no text in it: RP-ERROR"),
            (Counter::RpRefused, "RP-DATA malformed or for submission: RP-ERROR"),
            (Counter::RpMalformed, "RP message without a reference: 400"),
            (Counter::RefusedMediaType, "RP message encoded or with an extension: 415, 420"),
            (Counter::RefusedNoServer, "no server may be asked now: 503"),
            (Counter::RpUnexpected, "RP-ACK or RP-ERROR that answers nothing"),
            (Counter::MemoryAvailable, "RP-SMMA acknowledged"),
        ],
    ),
    (
        "large messages",
        &[
            (Counter::LargeMessages, "messages that began to be sent in a session"),
            (Counter::LargeInSession, "of these, in a session that was there"),
            (Counter::PagerToLarge, "of these, too large for a MESSAGE: 413, 513"),
            (Counter::PagerSplit, "sent in several MESSAGEs: nobody wanted a session"),
            (Counter::LargeAgain, "sent once more in a second session"),
            (Counter::LargeNoRoom, "no session was free"),
            (Counter::CallsOpen, "dialogs of INVITE now"),
            (Counter::CallsUnfinished, "of these, dialogs that are not ended yet"),
            (Counter::CallsAnswered, "dialogs that an answer to our INVITE has made"),
            (Counter::Forks, "further answers to one INVITE: ACK and BYE"),
            (Counter::OffersWithoutCema, "INVITEs repeated without RFC 6714"),
            (Counter::DialogsTooLong, "answers to INVITE too long to be kept, or not readable"),
            (Counter::AcksOut, "ACK sent"),
            (Counter::CancelsOut, "CANCEL sent for the first time"),
            (Counter::CancelsIn, "CANCEL taken in time"),
            (Counter::ByesOut, "BYE sent for the first time"),
            (Counter::ByesIn, "BYE taken"),
            (Counter::TimerB, "no response to INVITE within 64*T1"),
        ],
    ),
    (
        "msrp",
        &[
            (Counter::MsrpConnectionsFailed, "connections that could not be opened"),
            (Counter::MsrpConnectionsRefused, "connections for which there was no place"),
            (Counter::MsrpBroken, "connections closed: what came was not MSRP"),
            (Counter::MsrpUnbound, "connections closed: they belonged to no session"),
            (
                Counter::MsrpWrongCertificate,
                "connections refused: the SDP names another certificate",
            ),
            (Counter::MsrpNoFingerprint, "sessions refused: no certificate in the SDP"),
            (Counter::MsrpSessionsLost, "sessions lost with their connection"),
            (Counter::MsrpResponsesIn, "responses received"),
            (Counter::MsrpReportsIn, "REPORTs received"),
            (Counter::MsrpTimeouts, "chunks without a response within 30 s"),
            (Counter::MsrpStray, "responses and REPORTs that answer nothing"),
            (Counter::MsrpForeign, "requests to no session of ours, or to another's"),
            (Counter::MsrpNoRoom, "messages for which there was no room (413)"),
            (Counter::MsrpMalformed, "heads that can neither be used nor answered"),
        ],
    ),
    (
        "submissions",
        &[
            (Counter::CallsTaken, "sessions for the SMS side that were answered"),
            (Counter::CallsUnacceptable, "offers with nothing that is taken (488, 415)"),
            (Counter::Submissions, "messages that arrived whole"),
            (Counter::SubmissionsOpen, "messages that arrive or are not over"),
            (Counter::SubmissionsUnfit, "messages refused: no text, or too long"),
            (Counter::SubmissionsNoRoom, "messages and sessions for which there was no room"),
            (Counter::SubmissionsRepeated, "messages that came again, and were submitted once"),
            (Counter::SubmissionsImdn, "messages that ask for IMDN: none is sent"),
            (Counter::SubmissionParts, "SMS-SUBMITs sent"),
            (Counter::SubmissionAcks, "RP-ACKs to them"),
            (Counter::SubmissionErrors, "RP-ERRORs to them"),
            (Counter::SubmissionStray, "RP-ACKs and RP-ERRORs that answer nothing"),
            (Counter::StatusReportsIn, "SMS-STATUS-REPORTs about them"),
            (Counter::StatusReportsStray, "SMS-STATUS-REPORTs about nothing, or again"),
            (Counter::MsrpReportsOut, "REPORTs sent"),
        ],
    ),
    (
        "carried sessions",
        &[
            (Counter::CallsCarried, "INVITEs passed on, whose sessions are joined"),
            (Counter::CarryUnacceptable, "INVITEs refused: no MSRP in their offer"),
            (Counter::CarryNoRoom, "INVITEs refused: no two sessions were free"),
            (Counter::CarryEnded, "ended: one of the two could not be used"),
            (Counter::CarriedMessages, "messages carried, each with one verdict"),
            (Counter::CarriedDelivered, "of these, D delivered"),
            (Counter::CarriedPermanent, "of these, P permanent failure"),
            (Counter::CarriedTemporary, "of these, T temporary failure"),
            (Counter::CarriedUnknown, "of these, U unknown"),
            (Counter::CarriedAccepted, "of these, A accepted"),
            (Counter::CarriedOpen, "of these, under way or waiting for REPORTs"),
            (Counter::CarriedUnwatched, "of these, REPORTs not waited for: too many"),
        ],
    ),
    (
        "transactions",
        &[
            (Counter::RequestsAbsorbed, "retransmitted requests absorbed"),
            (Counter::Retransmissions, "our own retransmissions (timer E)"),
            (Counter::NextServer, "sent to the next server: nothing had left, or 503"),
            (Counter::SizeToTcp, "sent over TCP: longer than 1300 octets"),
            (Counter::TcpToUdp, "of these, back over UDP: there was no connection"),
            (Counter::ServersAvoided, "servers left alone for their Retry-After"),
            (Counter::Authorized, "challenges answered with credentials"),
            (Counter::ProvisionalIn, "provisional responses received"),
            (Counter::TryingOut, "100 sent after 7*T1 of silence"),
            (Counter::OptionsAnswered, "OPTIONS answered"),
        ],
    ),
    (
        "refused requests",
        &[
            (Counter::RefusedNoRoom, "503: no room left"),
            (Counter::RefusedDraining, "503: draining"),
            (Counter::RefusedLost, "503: the worker that it belongs to is lost"),
            (Counter::RefusedHandover, "503: on a connection, and no room on the way to its home"),
            (Counter::RefusedMalformed, "400: malformed"),
            (Counter::RefusedMethod, "405, 501: method not served"),
            (Counter::RefusedLoop, "482, 483: loop, or too many hops"),
            (Counter::RefusedSize, "413, 414, 513: too long"),
            (Counter::RefusedUnsupported, "416, 420, 505: scheme, extension or version"),
            (Counter::RefusedForbidden, "403: peer or next hop may not be served"),
            (Counter::StrangersRefused, "403: from no peer"),
        ],
    ),
    (
        "dropped datagrams",
        &[
            (Counter::DroppedStranger, "from no peer"),
            (Counter::DroppedMalformed, "not SIP, or not enough of it to be answered"),
            (Counter::DroppedKeepAlive, "keep-alive: only CR and LF"),
            (Counter::DroppedTruncated, "longer than the buffer, not answerable"),
            (Counter::DroppedNoSlot, "no slot left to refuse it"),
            (Counter::DroppedNoMemory, "its refusal could not be remembered"),
            (Counter::DroppedAck, "ACK, which has nothing to acknowledge here"),
            (Counter::DroppedResponseMalformed, "response: malformed or cut short"),
            (Counter::DroppedForgotten, "may be a copy of what was forgotten during a pause"),
            (Counter::DroppedHandover, "no room or no time on the way to its home"),
            (
                Counter::DroppedHandoverProof,
                "response or ICMP error: no room on the way to its home",
            ),
            (Counter::DroppedLost, "its home is lost"),
            (Counter::DroppedResponseForeign, "response: branch is not ours"),
            (Counter::DroppedResponseEarlier, "response: to a request of an earlier life"),
            (Counter::DroppedResponseSource, "response: not from the server that was asked"),
            (Counter::DroppedResponseCseq, "response: CSeq is not that of its request"),
            (Counter::DroppedResponseVia, "response: no Via below ours"),
            (Counter::DroppedResponseRepeated, "response: repeated after the end"),
            (Counter::KernelDrops, "by the kernel: socket buffer full"),
        ],
    ),
    (
        "connections",
        &[
            (Counter::ConnectionsOpen, "connections now"),
            (Counter::ConnectionsAccepted, "accepted"),
            (Counter::ConnectionsOpened, "opened by us"),
            (Counter::ConnectionsFailed, "could not be opened"),
            (Counter::ConnectionsRefused, "not wanted: from strangers, or too many"),
            (Counter::AcceptErrors, "could not be accepted: no descriptors or memory"),
            (Counter::StreamMessagesIn, "messages received"),
            (Counter::StreamMessagesOut, "messages sent"),
            (Counter::StreamMessagesCut, "messages longer than what is held, cut"),
            (Counter::MsrpOctetsIn, "octets received on MSRP connections"),
            (Counter::MsrpOctetsOut, "octets sent on MSRP connections"),
            (Counter::KeepAlivesAnswered, "keep-alives answered"),
            (Counter::ResponsesMoved, "responses on another connection: theirs had ended"),
            (Counter::ConnectionsEnded, "ended by the other end"),
            (Counter::ConnectionsReset, "ended with an error"),
            (Counter::ClosedIdle, "closed: nothing came for long"),
            (Counter::ClosedSlow, "closed: a message did not come to its end"),
            (Counter::ClosedUnframed, "closed: no messages can be told apart"),
            (Counter::ClosedUnread, "closed: what was sent was not read"),
            (Counter::ClosedNoRoom, "closed: no room for unfinished messages"),
        ],
    ),
    (
        "transport",
        &[
            (Counter::DatagramsIn, "datagrams received"),
            (Counter::DatagramsOut, "datagrams sent"),
            (Counter::SendRefused, "sends refused by the local kernel"),
            (Counter::SendRepeated, "sends repeated: the error was another datagram's"),
            (Counter::SendShort, "sends shorter than the datagram"),
            (Counter::IcmpMatched, "ICMP errors that quote a request of ours"),
            (Counter::IcmpForeign, "ICMP errors that quote nothing of ours"),
            (Counter::IcmpIgnored, "ICMP errors that are no failure of sending"),
            (Counter::ReceiveNoBuffers, "receive buffers ran out"),
            (Counter::ReceiveErrors, "receives that ended with an error"),
            (Counter::ReceiveRearmed, "multishot receives armed again"),
            (Counter::Cancelled, "operations cancelled"),
            (Counter::CompletionsUnknown, "completions that nothing of ours explains"),
            (Counter::CompletionOverflows, "completion queue overflows"),
        ],
    ),
    (
        "TLS",
        &[
            (Counter::TlsConnections, "connections now, with those that shake hands"),
            (Counter::TlsHandshakes, "handshakes that succeeded"),
            (Counter::TlsNotTls, "what came is not TLS"),
            (Counter::TlsUntrusted, "certificate: of nobody we know"),
            (Counter::TlsExpired, "certificate: its time is over, or has not come"),
            (Counter::TlsWrongName, "certificate: of somebody else"),
            (Counter::TlsRejected, "our certificate was not accepted"),
            (Counter::TlsTimeouts, "the handshake took too long"),
            (Counter::TlsFailed, "the handshake failed otherwise"),
            (Counter::TlsRefused, "not wanted: from strangers, or too many"),
            (Counter::TlsCut, "ended without a word (close_notify)"),
        ],
    ),
    (
        "workers",
        &[
            (Counter::WorkersLost, "stuck or dead"),
            (Counter::HandedOver, "handed over to the worker that it concerns"),
            (
                Counter::ResponsesHandedOver,
                "responses handed over to the worker that has the connection",
            ),
            (
                Counter::ResponsesElsewhere,
                "responses on another connection: no room on the way to theirs",
            ),
            (
                Counter::AnsweredForHome,
                "retransmissions answered by another worker than their home",
            ),
            (Counter::Allocations, "allocations after the start: must be 0"),
            (Counter::TurnLongestNs, "longest turn in nanoseconds"),
            (Counter::TurnsBusy, "turns that found something to do"),
            (Counter::TurnsIdle, "turns that found nothing to do"),
        ],
    ),
];

/// Every counter of `total`, in groups.
pub fn counters(total: &Total) -> Vec<Group> {
    let count = |(counter, meaning): &(Counter, &str)| Count {
        name: counter.name().to_owned(),
        value: total.read(*counter),
        meaning: (*meaning).to_owned(),
    };
    GROUPS
        .iter()
        .map(|(name, counters)| Group {
            name: (*name).to_owned(),
            counters: counters.iter().map(count).collect(),
        })
        .collect()
}

impl PeerState {
    /// Adds what was counted about the peer at position `index`; `now` by the workers' clock.
    pub fn count(&mut self, total: &Total, index: usize, now_ns: u64) {
        let last_heard = total.last_heard_ns(index);
        self.last_heard_ms =
            (last_heard > 0).then(|| now_ns.saturating_sub(last_heard) / 1_000_000);
        self.requests_in = total.peer(index, |peer| &peer.requests_in);
        self.requests_out = total.peer(index, |peer| &peer.requests_out);
        self.finals_in = total.peer(index, |peer| &peer.finals_in);
        self.timer_f = total.peer(index, |peer| &peer.timer_f);
        self.unreachable = total.peer(index, |peer| &peer.unreachable);
    }
}

/// Shows a snapshot to people. Counters that are zero are only named, unless `all` are wanted.
pub fn render(snapshot: &Snapshot, all: bool, colour: bool) -> String {
    let mut text = head(snapshot, colour);
    text.push('\n');
    text.push_str(&peers(&snapshot.peers, colour));
    if snapshot.workers.len() > 1 {
        text.push('\n');
        text.push_str(&workers(&snapshot.workers, colour));
    }
    text.push_str(&summary::summary(snapshot, colour));
    for group in &snapshot.counters {
        text.push('\n');
        text.push_str(&self::group(group, all, colour));
    }
    text
}

fn head(snapshot: &Snapshot, colour: bool) -> String {
    let mut text = format!(
        "roger {}  up {}  {}  node {}  pid {}  {}\n",
        snapshot.version,
        duration(snapshot.up_ms),
        paint(&snapshot.serving, if snapshot.serving == "open" { GOOD } else { ALARM }, colour),
        snapshot.node,
        snapshot.pid,
        snapshot.driver,
    );
    if let Some(refusal) = &snapshot.driver_refusal {
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(text, "io_uring refused: {refusal}");
    }
    let _ = writeln!(
        text,
        "listening on {}  room for {} open messages  {} MiB of tables",
        snapshot.sockets.join(", "),
        snapshot.open_max,
        snapshot.memory >> 20,
    );
    text
}

/// One line for each worker.
fn workers(workers: &[WorkerState], colour: bool) -> String {
    let mut rows = Vec::from([WORKER_HEADINGS.map(str::to_owned)]);
    for (number, worker) in workers.iter().enumerate() {
        let count = |counter| grouped(worker.count(counter));
        rows.push([
            number.to_string(),
            worker.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string()),
            worker.state.clone(),
            count(Counter::MessagesOpen),
            count(Counter::MessagesAccepted),
            count(Counter::DatagramsIn),
            count(Counter::HandedOver),
            count(Counter::TurnsBusy),
            format!("{} us", grouped(worker.count(Counter::TurnLongestNs) / 1_000)),
        ]);
    }
    table(&rows, WORKER_NUMBERS, colour)
}

/// The columns of the workers' table.
const WORKER_HEADINGS: [&str; 9] = [
    "worker",
    "cpu",
    "state",
    "open",
    "accepted",
    "datagrams in",
    "handed over",
    "busy turns",
    "longest turn",
];

/// Which of them are numbers.
const WORKER_NUMBERS: core::ops::Range<usize> = 3..9;

/// Rows under their headings, the first row: words to the left, `numbers` to the right.
fn table<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    numbers: core::ops::Range<usize>,
    colour: bool,
) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if numbers.contains(&column) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        let style = if number == 0 { HEADING } else { "" };
        let _ = writeln!(text, "{}", paint(line.trim_end(), style, colour));
    }
    text
}

fn peers(peers: &[PeerState], colour: bool) -> String {
    let mut rows = Vec::from([HEADINGS.map(str::to_owned)]);
    for peer in peers {
        let mut addresses = peer.addresses.iter();
        let heard = |ms| format!("{} ago", duration(ms));
        rows.push([
            peer.name.clone(),
            peer.side.clone(),
            peer.role.clone().unwrap_or_else(|| "-".to_owned()),
            peer.last_heard_ms.map_or_else(|| "never".to_owned(), heard),
            grouped(peer.requests_in),
            grouped(peer.requests_out),
            grouped(peer.finals_in),
            grouped(peer.timer_f),
            grouped(peer.unreachable),
            addresses.next().cloned().unwrap_or_default(),
        ]);
        for address in addresses {
            let mut row = [const { String::new() }; HEADINGS.len()];
            if let Some(last) = row.last_mut() {
                last.clone_from(address);
            }
            rows.push(row);
        }
    }
    table(&rows, NUMBERS, colour)
}

/// The columns of the peers' table.
const HEADINGS: [&str; 10] =
    ["peer", "side", "role", "heard", "in", "out", "finals", "timer F", "unreachable", "address"];

/// Which of them are numbers.
const NUMBERS: core::ops::Range<usize> = 4..9;

fn group(group: &Group, all: bool, colour: bool) -> String {
    let mut text = format!("{}\n", paint(&group.name, HEADING, colour));
    let (counted, zero): (Vec<&Count>, Vec<&Count>) =
        group.counters.iter().partition(|one| one.value > 0);
    let shown = counted.iter().chain(zero.iter().filter(|_| all));
    for one in shown {
        let alarming = one.value > 0 && ALARMING.contains(&one.name.as_str());
        let line = format!("{:>15}  {:<26} {}", grouped(one.value), one.name, one.meaning);
        let _ = writeln!(text, "{}", paint(&line, if alarming { ALARM } else { "" }, colour));
    }
    if !all && !zero.is_empty() {
        text.push_str(&zeros(&zero, colour));
    }
    text
}

/// The names of counters that are zero, on as few lines as are needed.
fn zeros(zero: &[&Count], colour: bool) -> String {
    const WIDTH: usize = 96;
    let mut lines = Vec::from([format!("{:>15}  ", 0)]);
    for one in zero {
        let line = lines.last().map_or(0, String::len);
        if line + one.name.len() > WIDTH {
            lines.push(" ".repeat(17));
        }
        if let Some(line) = lines.last_mut() {
            let _ = write!(line, "{} ", one.name);
        }
    }
    let painted = lines.iter().map(|line| paint(line.trim_end(), FAINT, colour) + "\n");
    painted.collect()
}

/// Counters that should wake somebody when they are not zero.
const ALARMING: [&str; 8] = [
    "contradictions",
    "memories_evicted",
    "reports_rejected",
    "accounts_lost",
    "allocations",
    "kernel_drops",
    "reports_refused",
    "dropped_no_slot",
];

const HEADING: &str = "1";
const GOOD: &str = "32";
const ALARM: &str = "1;31";
const FAINT: &str = "2";

fn paint(text: &str, style: &str, colour: bool) -> String {
    if colour && !style.is_empty() {
        format!("\x1b[{style}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds as people say them: two units at most.
pub(crate) fn duration(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match () {
        () if ms < 1_000 => format!("{ms} ms"),
        () if seconds < 60 => format!("{seconds}.{} s", ms / 100 % 10),
        () if minutes < 60 => format!("{minutes} min {} s", seconds % 60),
        () if hours < 24 => format!("{hours} h {} min", minutes % 60),
        () => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_stands_in_exactly_one_group() {
        let grouped: Vec<Counter> =
            GROUPS.iter().flat_map(|(_, counters)| counters.iter().map(|(one, _)| *one)).collect();
        for counter in Counter::ALL {
            let times = grouped.iter().filter(|one| **one == counter).count();
            assert_eq!(times, 1, "{} stands in {times} groups", counter.name());
        }
        assert_eq!(grouped.len(), Counter::COUNT);
    }

    #[test]
    fn alarms_are_counters() {
        for name in ALARMING {
            assert!(Counter::ALL.iter().any(|counter| counter.name() == name), "{name}");
        }
    }

    #[test]
    fn numbers_and_times_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
            (1_051_860_000, "12 d 4 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
