//! What happened to a message: one line of JSON for each, written off the packet path.
//!
//! The worker puts an [`Account`] into a ring when a message is closed; a thread of its own takes
//! them out and writes. When the writer cannot keep up, the worker drops accounts and counts them
//! (`accounts_lost`): it never waits.
//!
//! **A line is one line and pure ASCII, whatever a peer put into its identifiers.** Control
//! characters and everything beyond ASCII are escaped; octets that are not UTF-8 are read as
//! Latin-1, so that none is lost.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Thread};

use crossbeam::channel::{self, Receiver};
use crossbeam::queue::ArrayQueue;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::delivery::{Account, Evidence, Final, Identifier, Report, Role, RpResult};
use crate::oam::clock::TimeOfDay;
use crate::packet::SendError;

/// How many octets are written at once when many lines wait.
const BATCH_SIZE: usize = 1 << 16;

/// How long the writer sleeps when there is nothing to write.
const PAUSE: Duration = Duration::from_millis(5);

/// What the lines need to know beside the accounts.
#[derive(Clone, Debug)]
pub struct Context {
    /// The peers' names in the order of the configuration.
    pub peers: Box<[Box<str>]>,
    /// How moments become times of day.
    pub time: TimeOfDay,
}

/// One line. The fields stand in the order in which a reader asks for them.
#[derive(Serialize)]
struct Line<'a> {
    arrived: String,
    verdict: char,
    evidence: Proof,
    report: Told,
    statuses: &'a [u16],
    verdict_ms: f64,
    report_ms: f64,
    transmissions: u8,
    sms_peer: &'a str,
    im_peer: &'a str,
    recipient: String,
    sms_call_id: String,
    im_call_id: String,
    /// Which identifiers were longer than what is kept of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut: Vec<&'static str>,
}

#[derive(Serialize)]
struct Proof {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
}

#[derive(Serialize)]
struct Told {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Appends the line of one account, with its line feed.
pub fn write_line(account: &Account, context: &Context, to: &mut Vec<u8>) {
    let peer = |index: u8| context.peers.get(usize::from(index)).map_or("", |name| name);
    let identifiers = [
        ("recipient", &account.recipient),
        ("sms_call_id", &account.sms_call_id),
        ("im_call_id", &account.im_call_id),
    ];
    let line = Line {
        arrived: context.time.rfc3339(account.arrived),
        verdict: account.verdict.letter(),
        evidence: proof(account.evidence),
        report: told(account.report),
        statuses: account.statuses.codes(),
        verdict_ms: ms(account.decided.since(account.arrived)),
        report_ms: ms(account.reported.since(account.arrived)),
        transmissions: account.transmissions,
        sms_peer: peer(account.sms_peer),
        im_peer: peer(account.im_peer),
        recipient: readable(&account.recipient),
        sms_call_id: readable(&account.sms_call_id),
        im_call_id: readable(&account.im_call_id),
        cut: identifiers.iter().filter(|(_, one)| one.is_cut()).map(|(name, _)| *name).collect(),
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut *to, Ascii);
    // Writing into memory, strings and numbers only: there is nothing that could fail.
    let _ = line.serialize(&mut serializer);
    to.push(b'\n');
}

/// Milliseconds with three decimals.
fn ms(ns: u64) -> f64 {
    let us = u32::try_from(ns / 1_000).unwrap_or(u32::MAX);
    f64::from(us) / 1_000.0
}

const fn proof(evidence: Evidence) -> Proof {
    let (kind, status, role) = match evidence {
        Evidence::Final(Final { status, role, .. }) => {
            ("final", Some(status), Some(role_name(role)))
        }
        Evidence::Earlier { status, .. } => ("earlier", Some(status), None),
        Evidence::DeadlineUnsent => ("deadline_unsent", None, None),
        Evidence::UriWait => ("uri_wait", None, None),
        Evidence::Content { .. } => ("content", None, None),
        Evidence::Discarded => ("discarded", None, None),
        Evidence::TimerF => ("timer_f", None, None),
        Evidence::Deadline => ("deadline", None, None),
        Evidence::NeverSent => ("never_sent", None, None),
        Evidence::Unreachable => ("unreachable", None, None),
        Evidence::Shutdown => ("shutdown", None, None),
    };
    Proof { kind, status, role }
}

/// A role as the configuration names it.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Proxy => "proxy",
        Role::Endpoint => "endpoint",
        Role::ImServer => "im_server",
        Role::Gateway => "gateway",
    }
}

fn told(report: Report) -> Told {
    match report {
        Report::Silence => Told { outcome: "silence", status: None, error: None },
        Report::Response(status) => Told { outcome: "sent", status: Some(status), error: None },
        Report::Refused(status, error) => {
            Told { outcome: "refused", status: Some(status), error: Some(words(error)) }
        }
        Report::Rp(_, RpResult::Taken(status)) => {
            Told { outcome: "taken", status: Some(status), error: None }
        }
        Report::Rp(_, RpResult::Refused(status)) => {
            Told { outcome: "refused", status: Some(status), error: None }
        }
        Report::Rp(_, RpResult::Unconfirmed) => {
            Told { outcome: "unconfirmed", status: None, error: None }
        }
        Report::Rp(_, RpResult::Unsent(error)) => {
            Told { outcome: "unsent", status: None, error: Some(words(error)) }
        }
    }
}

fn words(error: SendError) -> String {
    match error {
        SendError::TooLong => "too long for the path".to_owned(),
        SendError::NoRoute => "no route".to_owned(),
        SendError::Forbidden => "forbidden by a local rule".to_owned(),
        SendError::Other(errno) => io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// An identifier as text: UTF-8 where it is UTF-8, else every octet as the Latin-1 character that
/// it is.
fn readable(identifier: &Identifier) -> String {
    let octets = identifier.octets();
    match core::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        // The cut went through a character.
        Err(error) if identifier.is_cut() && error.error_len().is_none() => {
            String::from_utf8_lossy(octets.get(..error.valid_up_to()).unwrap_or(octets)).into()
        }
        Err(_) => octets.iter().map(|&octet| char::from(octet)).collect(),
    }
}

/// JSON in ASCII: line separators beyond LF and the control characters of terminals have no way
/// through.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let plain = |c: char| c.is_ascii() && !c.is_ascii_control();
        for part in fragment.split_inclusive(|c| !plain(c)) {
            let text = part.trim_end_matches(|c| !plain(c));
            writer.write_all(text.as_bytes())?;
            for c in part.chars().skip(text.chars().count()) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Opens the file that lines are appended to, `-` for standard output.
///
/// # Errors
///
/// When it cannot be created or appended to.
pub fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    // Recipients are nobody's business but the operator's.
    let file: File = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    Ok(Box::new(file))
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    accounts: Arc<ArrayQueue<Account>>,
    stop: Arc<AtomicBool>,
    thread: Thread,
    ended: Receiver<Outcome>,
}

/// What became of the lines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Lines that were written.
    pub written: u64,
    /// Lines that could not be.
    pub failed: u64,
    /// Why the first of them could not.
    pub error: Option<io::Error>,
    /// Whether the writer still hangs in a write: whoever reads the lines has stopped reading.
    pub stuck: bool,
}

impl Writer {
    /// Starts it. `on_error` hears of the first line that cannot be written, at once.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub fn start(
        accounts: Arc<ArrayQueue<Account>>,
        context: Context,
        to: Box<dyn Write + Send>,
        on_error: fn(&io::Error),
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, ended) = channel::bounded(1);
        let (source, stopped) = (Arc::clone(&accounts), Arc::clone(&stop));
        let thread = thread::Builder::new().name("verdicts".to_owned()).spawn(move || {
            // Nobody listens when the writer was given up.
            let _ = tell.send(drain(&source, &context, to, &stopped, on_error));
        })?;
        Ok(Self { accounts, stop, thread: thread.thread().clone(), ended })
    }

    /// Writes what is still in the ring and ends, unless that takes longer than `patience`.
    pub fn finish(self, patience: Duration) -> Outcome {
        self.stop.store(true, Ordering::Release);
        self.thread.unpark();
        self.ended.recv_timeout(patience).unwrap_or_else(|_| Outcome {
            failed: self.accounts.len() as u64,
            stuck: true,
            ..Outcome::default()
        })
    }
}

fn drain(
    accounts: &ArrayQueue<Account>,
    context: &Context,
    to: Box<dyn Write + Send>,
    stop: &AtomicBool,
    on_error: fn(&io::Error),
) -> Outcome {
    let mut file = Lines { to, torn: false };
    let mut outcome = Outcome::default();
    let mut batch = Vec::with_capacity(BATCH_SIZE * 2);
    loop {
        // Read before the ring: what was put in before the stop is still found.
        let stopped = stop.load(Ordering::Acquire);
        batch.clear();
        let mut lines = 0;
        while batch.len() < BATCH_SIZE
            && let Some(account) = accounts.pop()
        {
            write_line(&account, context, &mut batch);
            lines += 1;
        }
        let (written, result) = file.put(&batch);
        outcome.written += written;
        outcome.failed += lines - written;
        if let Err(error) = result
            && outcome.error.is_none()
        {
            on_error(&error);
            outcome.error = Some(error);
        }
        if lines > 0 {
            continue;
        }
        if stopped {
            return outcome;
        }
        thread::park_timeout(PAUSE);
    }
}

/// A file of lines in which a half line never becomes the start of another one.
struct Lines {
    to: Box<dyn Write + Send>,
    /// Whether the last line has no end.
    torn: bool,
}

impl Lines {
    /// Writes whole lines. Says how many got through, and why the rest did not.
    fn put(&mut self, lines: &[u8]) -> (u64, io::Result<()>) {
        if lines.is_empty() {
            return (0, Ok(()));
        }
        if self.torn {
            match self.to.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(error) => return (0, Err(error)),
            }
        }
        let mut written = 0;
        let mut result = Ok(());
        while let Some(rest) = lines.get(written..)
            && !rest.is_empty()
        {
            match self.to.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        let through = lines.get(..written).unwrap_or(lines);
        self.torn = through.last().is_some_and(|&octet| octet != b'\n');
        let count = through.iter().filter(|&&octet| octet == b'\n').count();
        (count as u64, result.and_then(|()| self.to.flush()))
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;

    use super::*;
    use crate::delivery::{Asked, Form, Statuses, Verdict};
    use crate::time::Instant;

    /// Longer than any test.
    const FOREVER: Duration = Duration::from_secs(600);

    fn context() -> Context {
        let peers = ["sbc", "im \"x\""].map(Box::from);
        let time = TimeOfDay { unix_ns: 1_767_225_600_000_000_000, at: Instant(0) };
        Context { peers: Box::new(peers), time }
    }

    fn account(call_id: &[u8], recipient: &[u8]) -> Account {
        let mut statuses = Statuses::default();
        statuses.push(100);
        statuses.push(200);
        Account {
            form: Form::CutThrough,
            arrived: Instant(5_000),
            decided: Instant(41_305_999),
            reported: Instant(41_400_000),
            sms_call_id: Identifier::new(call_id),
            im_call_id: Identifier::new(call_id),
            recipient: Identifier::new(recipient),
            sms_peer: 0,
            im_peer: 1,
            transmissions: 2,
            statuses,
            evidence: Evidence::Final(Final {
                status: 200,
                role: Role::Proxy,
                retry_after: false,
                asked: Asked::Once,
            }),
            verdict: Verdict::Delivered,
            report: Report::Response(200),
        }
    }

    fn line(account: &Account) -> String {
        let mut text = Vec::new();
        write_line(account, &context(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_answers_what_happened() {
        let expected = concat!(
            r#"{"arrived":"2026-01-01T00:00:00.000005Z","verdict":"D","#,
            r#""evidence":{"kind":"final","status":200,"role":"proxy"},"#,
            r#""report":{"outcome":"sent","status":200},"statuses":[100,200],"#,
            r#""verdict_ms":41.3,"report_ms":41.395,"transmissions":2,"#,
            r#""sms_peer":"sbc","im_peer":"im \"x\"","recipient":"sip:bob@example.net","#,
            r#""sms_call_id":"a@b","im_call_id":"a@b"}"#,
            "\n"
        );
        assert_eq!(line(&account(b"a@b", b"sip:bob@example.net")), expected);
    }

    #[test]
    fn every_evidence_and_report_has_words() {
        let of = |evidence, report| {
            let text = line(&Account { evidence, report, ..account(b"a", b"b") });
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            (json["evidence"].to_string(), json["report"].to_string())
        };
        let silence = Report::Silence;
        for (evidence, kind) in [
            (Evidence::TimerF, "timer_f"),
            (Evidence::Deadline, "deadline"),
            (Evidence::NeverSent, "never_sent"),
            (Evidence::Unreachable, "unreachable"),
            (Evidence::Shutdown, "shutdown"),
        ] {
            assert_eq!(of(evidence, silence).0, format!("{{\"kind\":\"{kind}\"}}"));
        }
        assert_eq!(of(Evidence::TimerF, silence).1, r#"{"outcome":"silence"}"#);
        let refused = of(Evidence::NeverSent, Report::Refused(500, SendError::NoRoute)).1;
        assert_eq!(refused, r#"{"error":"no route","outcome":"refused","status":500}"#);
        let errno = of(Evidence::NeverSent, Report::Refused(500, SendError::Other(1))).1;
        assert!(errno.contains("not permitted"), "{errno}");
    }

    #[test]
    fn nothing_in_an_identifier_can_end_the_line_or_the_string() {
        let wicked = "a\r\nb\"}\\\u{85}\u{2028}\u{9b}31m\u{1b}[2J\u{7f}\t\0ü😀".as_bytes();
        let text = line(&account(wicked, b"sip:x"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.trim_end().bytes().all(|octet| (0x20..0x7F).contains(&octet)), "{text:?}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["sms_call_id"].as_str().unwrap().as_bytes(), wicked);
        assert_eq!(json["verdict"], "D");
    }

    #[test]
    fn octets_that_are_no_utf8_are_latin_1() {
        let text = line(&account(b"\xFF\xE9", b"sip:x"));
        assert!(text.contains(r#""sms_call_id":"\u00ff\u00e9""#), "{text}");
    }

    #[test]
    fn what_was_cut_is_said() {
        // 119 octets and a character of two: the cut goes through it.
        let long = format!("{}ü and more", "x".repeat(119));
        let text = line(&account(b"short", long.as_bytes()));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["recipient"], "x".repeat(119));
        assert_eq!(json["cut"], serde_json::json!(["recipient"]));
        assert!(!line(&account(b"short", b"short")).contains("cut"));
    }

    /// Takes so many octets, then nothing until there is room again.
    struct Disk {
        room: Arc<AtomicUsize>,
        text: Arc<ArrayQueue<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let count = self.room.load(Ordering::Relaxed).min(octets.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count, Ordering::Relaxed);
            octets[..count].iter().for_each(|&octet| self.text.push(octet).unwrap());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn disk(room: usize) -> (Disk, Arc<AtomicUsize>, Arc<ArrayQueue<u8>>) {
        let room = Arc::new(AtomicUsize::new(room));
        let text = Arc::new(ArrayQueue::new(1 << 16));
        (Disk { room: Arc::clone(&room), text: Arc::clone(&text) }, room, text)
    }

    #[test]
    fn a_line_that_was_torn_does_not_spoil_the_next_one() {
        let (disk, room, text) = disk(7);
        let mut file = Lines { to: Box::new(disk), torn: false };
        let (written, result) = file.put(b"one\ntwo\nthree\n");
        assert_eq!((written, result.unwrap_err().kind()), (1, io::ErrorKind::StorageFull));
        assert_eq!(file.put(b"four\n").0, 0);
        room.store(100, Ordering::Relaxed);
        assert_eq!(file.put(b"five\n").0, 1);
        assert_eq!(file.put(b"six\n").0, 1);
        let text: Vec<u8> = core::iter::from_fn(|| text.pop()).collect();
        assert_eq!(text, b"one\ntwo\nfive\nsix\n");
    }

    #[test]
    fn a_full_disk_is_told_and_what_it_cost_is_counted() {
        let ring = Arc::new(ArrayQueue::new(8));
        let writer =
            Writer::start(Arc::clone(&ring), context(), Box::new(disk(0).0), |_| {}).unwrap();
        for _ in 0..2 {
            ring.push(account(b"lost", b"x")).unwrap();
        }
        let outcome = writer.finish(FOREVER);
        assert_eq!((outcome.written, outcome.failed), (0, 2));
        assert_eq!(outcome.error.unwrap().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn the_writer_writes_everything_before_it_ends() {
        let ring = Arc::new(ArrayQueue::new(8));
        let (disk, _, text) = disk(usize::MAX);
        let writer = Writer::start(Arc::clone(&ring), context(), Box::new(disk), |_| {}).unwrap();
        for _ in 0..5 {
            ring.push(account(b"a", b"b")).unwrap();
        }
        assert_eq!(writer.finish(FOREVER).written, 5);
        let lines = core::iter::from_fn(|| text.pop()).filter(|&octet| octet == b'\n').count();
        assert_eq!(lines, 5);
    }

    /// Says when it is written to, and takes nothing until it is let go.
    struct Hanging(channel::Sender<()>, Receiver<()>);

    impl Write for Hanging {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stopped_reading_does_not_hold_up_the_end() {
        let (tell, hangs) = channel::bounded(1);
        let (let_go, wait) = channel::bounded(0);
        let ring = Arc::new(ArrayQueue::new(8));
        let to = Box::new(Hanging(tell, wait));
        let writer = Writer::start(Arc::clone(&ring), context(), to, |_| {}).unwrap();
        ring.push(account(b"a", b"b")).unwrap();
        hangs.recv().unwrap();
        ring.push(account(b"waits", b"b")).unwrap();
        let outcome = writer.finish(Duration::from_millis(1));
        assert!(outcome.stuck);
        assert_eq!(outcome.failed, 1);
        drop(let_go);
    }
}
