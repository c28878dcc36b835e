//! What each end truly has, has said and was told, and what may be said of it then.

use std::collections::{BTreeMap, BTreeSet};

use roger::delivery::{Account, Evidence, Form, Verdict};
use roger::limits::MSRP_STALLED_MS;
use roger::time::Instant;

use super::Who;
use super::frame::{Frame, octet};

/// What the sender of a message wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) from: Who,
    pub(super) success: bool,
    pub(super) failure: &'static str,
}

/// A chunk as its sender has written it: where it begins in the message, and in all that was said of it.
#[derive(Clone, Debug)]
struct Chunk {
    id: String,
    start: u64,
    end: u64,
    flag: char,
    at: u64,
    /// Octets of it that the recipient has answered with 200.
    answered: u64,
    told: Option<u16>,
}

impl Chunk {
    const fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// A REPORT that its recipient has sent.
#[derive(Clone, Debug)]
struct Said {
    id: String,
    status: u16,
    range: String,
    is_told: bool,
}

/// What is true of a message.
#[derive(Debug)]
struct Truth {
    wanted: Wanted,
    chunks: Vec<Chunk>,
    /// Octets of all that was said which have come to the recipient.
    got: u64,
    /// When its sender has said something of it last.
    said_at: Instant,
    to: Option<Who>,
    is_given_up: bool,
    has_end: bool,
    is_whole: bool,
    /// Whether the recipient does something that is a cause for an error.
    is_excused: bool,
    /// When something was first called wrong.
    wrong_at: Option<(Instant, String)>,
    errors: BTreeSet<u16>,
    reports: Vec<Said>,
    accounts: u32,
    verdict: Option<Verdict>,
}

/// A chunk that has come to a recipient.
#[derive(Clone, Copy, Debug)]
struct Piece {
    serial: u32,
    chunk: Option<usize>,
    octets: u64,
}

/// Knows what truly happened.
#[derive(Debug, Default)]
pub(super) struct Court {
    truths: BTreeMap<u32, Truth>,
    pieces: BTreeMap<String, Piece>,
    /// Since when each session is over, or not what it should be.
    over: BTreeMap<usize, Instant>,
    /// Whether the recipient himself answers: the callee, the caller.
    speaks: [bool; 2],
    /// Whether there may be no room for a message.
    is_scarce: bool,
    pub(super) heard_reports: u64,
    violation: Option<String>,
}

/// What the descriptions of some ends name as the size that they take.
pub(super) const LIMIT: u64 = 3_000;

/// How long it may take until what has happened shows elsewhere, in milliseconds.
const SHOWS_MS: u32 = 75_000;

impl Court {
    pub(super) fn new(speaks: [bool; 2], is_scarce: bool) -> Self {
        Self { speaks, is_scarce, ..Self::default() }
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    pub(super) fn object(&mut self, what: String) {
        if self.violation.is_none() {
            self.violation = Some(what);
        }
    }

    /// A session is over, or in trouble that may be a cause for everything.
    pub(super) fn over(&mut self, call: usize, now: Instant) {
        self.over.entry(call).or_insert(now);
    }

    pub(super) fn is_over(&self, call: usize) -> bool {
        self.over.contains_key(&call)
    }

    pub(super) fn excuse(&mut self, serial: u32) {
        if let Some(truth) = self.truths.get_mut(&serial) {
            truth.is_excused = true;
        }
    }

    /// A sender writes a chunk.
    pub(super) fn says(
        &mut self,
        serial: u32,
        wanted: Wanted,
        id: &str,
        (start, end, flag): (u64, u64, char),
        now: Instant,
    ) {
        let truth = self.truths.entry(serial).or_insert_with(|| Truth {
            wanted,
            chunks: Vec::new(),
            got: 0,
            said_at: now,
            to: None,
            is_given_up: false,
            has_end: false,
            is_whole: false,
            is_excused: false,
            wrong_at: None,
            errors: BTreeSet::new(),
            reports: Vec::new(),
            accounts: 0,
            verdict: None,
        });
        // A description may name a limit.
        truth.is_excused |= end > LIMIT || flag == '#' || self.is_scarce;
        truth.said_at = now;
        let at = truth.chunks.last().map_or(0, |last| last.at + last.len());
        let id = id.to_owned();
        truth.chunks.push(Chunk { id, start, end, flag, at, answered: 0, told: None });
    }

    /// A recipient gets a chunk: each octet that was said comes once, in order and unchanged.
    pub(super) fn gets(&mut self, who: Who, serial: u32, frame: &Frame, body: &str, now: Instant) {
        let octets = body.len() as u64;
        let Some(truth) = self.truths.get_mut(&serial) else {
            return self.object(format!("message {serial}, which nobody has sent"));
        };
        let from = truth.wanted.from;
        if from.call != who.call || from.side.is_caller() == who.side.is_caller() {
            return self.object(format!("message {serial} of {from:?} has come to {who:?}"));
        }
        if truth.to.is_some_and(|to| to != who) {
            return self.object(format!("message {serial} has come to two ends"));
        }
        truth.to = Some(who);
        let failure = frame.value("Failure-Report").unwrap_or("yes");
        let success = frame.value("Success-Report") == Some("yes");
        let is_meant = (success, failure) == (truth.wanted.success, truth.wanted.failure);
        let start = frame.start();
        let is_changed = body.chars().zip(start..).any(|(it, at)| it != octet(serial, at));
        let got = truth.got;
        let at = truth.chunks.iter().position(|it| it.at <= got && got < it.at + it.len());
        let mut wrong = None;
        let mut flag_wrong = None;
        if let Some(chunk) = at.and_then(|at| truth.chunks.get(at)).filter(|_| octets > 0) {
            let (due, left) = (chunk.start + (got - chunk.at), chunk.at + chunk.len() - got);
            let is_end = left == octets;
            if start != due || octets > left {
                wrong = Some(format!("{octets} octets from {start} on where {due} was next"));
            }
            let is_right = match frame.flag {
                '#' => true,
                flag if is_end => flag == chunk.flag,
                flag => flag == '+',
            };
            if !is_right {
                flag_wrong = Some(frame.flag);
            }
        } else if octets > 0 {
            wrong = Some(format!("{octets} octets from {start} on, which were not said"));
        } else if frame.flag != '#' {
            flag_wrong = Some(frame.flag);
        }
        truth.got += octets;
        truth.is_given_up |= frame.flag == '#';
        truth.has_end |= frame.flag == '$';
        if frame.flag == '#' && truth.wrong_at.is_none() {
            truth.wrong_at = Some((now, "given up".to_owned()));
        }
        let piece = Piece { serial, chunk: at.filter(|_| octets > 0), octets };
        let is_again = self.pieces.insert(frame.id.clone(), piece).is_some();
        if !is_meant {
            self.object(format!("message {serial} asks for other reports than its sender"));
        }
        if is_changed {
            self.object(format!("octets of message {serial} are not what was said"));
        }
        if let Some(wrong) = wrong {
            self.object(format!("message {serial}: {wrong}"));
        }
        if let Some(flag) = flag_wrong {
            self.object(format!("a chunk of message {serial} ends with {flag}"));
        }
        if is_again {
            self.object(format!("two chunks of message {serial} have one name"));
        }
    }

    /// A recipient has a message whole.
    pub(super) fn has(&mut self, serial: u32) {
        if let Some(truth) = self.truths.get_mut(&serial) {
            truth.is_whole = true;
        }
    }

    /// A recipient answers a chunk.
    pub(super) fn answers(&mut self, id: &str, status: u16, _now: Instant) {
        let Some(piece) = self.pieces.get(id).copied() else { return };
        let Some(truth) = self.truths.get_mut(&piece.serial) else { return };
        if status != 200 {
            truth.errors.insert(status);
        } else if let Some(chunk) = piece.chunk.and_then(|at| truth.chunks.get_mut(at)) {
            chunk.answered += piece.octets;
        }
    }

    /// A recipient sends a REPORT, perhaps about what it never had.
    pub(super) fn reports(&mut self, who: Who, serial: u32, status: u16, range: &str, id: &str) {
        let Some(truth) = self.truths.get_mut(&serial).filter(|it| it.to == Some(who)) else {
            return;
        };
        let range = range.trim_end().to_owned();
        truth.reports.push(Said { id: id.to_owned(), status, range, is_told: false });
    }

    /// A sender is answered.
    pub(super) fn hears_answer(&mut self, who: Who, id: &str, status: u16, now: Instant) {
        if id.starts_with("bind") {
            return;
        }
        let serial = id.get(1..6).and_then(|serial| serial.parse::<u32>().ok());
        let found = serial.and_then(|serial| self.truths.get_mut(&serial));
        let Some(truth) = found.filter(|it| it.wanted.from == who) else {
            return self.object(format!("{who:?} is answered for {id}"));
        };
        let failure = truth.wanted.failure;
        let Some(chunk) = truth.chunks.iter_mut().find(|it| it.id == id) else {
            return self.object(format!("{who:?} is answered for {id}, which it has not said"));
        };
        let is_first = chunk.told.replace(status).is_none();
        let is_early = status == 200 && chunk.answered < chunk.len();
        let is_unwanted = failure == "no" || failure == "partial" && status == 200;
        if status != 200 {
            truth.errors.insert(status);
            if truth.wrong_at.is_none() {
                truth.wrong_at = Some((now, format!("{status} is told")));
            }
        }
        if !is_first {
            self.object(format!("{id} is answered twice"));
        }
        if is_early {
            self.object(format!("{id} is answered 200, which its recipient has not"));
        }
        if is_unwanted {
            self.object(format!("{id} is answered {status}, which nobody has asked for"));
        }
    }

    /// A sender gets a REPORT.
    pub(super) fn hears_report(&mut self, who: Who, frame: &Frame) {
        let serial = frame.serial().unwrap_or(0);
        let found = self.truths.get_mut(&serial);
        let Some(truth) = found.filter(|it| it.wanted.from == who) else {
            return self.object(format!("{who:?} gets a REPORT about {serial}"));
        };
        let status = frame.status().unwrap_or(0);
        let is_wanted =
            if status == 200 { truth.wanted.success } else { truth.wanted.failure != "no" };
        let range =
            frame.value("Byte-Range").map_or(String::new(), |it| format!("Byte-Range: {it}"));
        let is_it =
            |said: &&mut Said| !said.is_told && said.status == status && said.range == range;
        self.heard_reports += 1;
        match truth.reports.iter_mut().find(is_it) {
            Some(said) if is_wanted => said.is_told = true,
            Some(_) => self.object(format!("a REPORT about {serial} that nobody has asked for")),
            None => self
                .object(format!("a REPORT about {serial} that nobody has sent: {status} {range}")),
        }
    }

    /// What the engine tells of a message.
    pub(super) fn account(&mut self, account: &Account, now: Instant) {
        let Form::Carried { message_id, .. } = account.form else {
            return self.object("an account of another form".to_owned());
        };
        let text = String::from_utf8_lossy(message_id.octets()).into_owned();
        let serial = text.strip_prefix("msg").and_then(|serial| serial.parse::<u32>().ok());
        let Some((serial, truth)) = serial.and_then(|it| Some((it, self.truths.get_mut(&it)?)))
        else {
            return self.object(format!("an account of {text}, which nobody has sent"));
        };
        truth.accounts += 1;
        truth.verdict = Some(account.verdict);
        let is_to_caller = !truth.wanted.from.side.is_caller();
        let peers = if is_to_caller { (1, 2) } else { (2, 1) };
        let is_over = self.over.get(&truth.wanted.from.call).is_some_and(|at| *at <= now);
        let has_report = truth.reports.iter().any(|said| said.status == 200);
        let acknowledged = truth.has_end && (truth.is_answered() || has_report);
        let evidence = account.evidence;
        let is_so = match Some(evidence) {
            Some(Evidence::Acknowledged) => self.speaks[usize::from(is_to_caller)] && acknowledged,
            Some(Evidence::Reported) => truth.reports.iter().any(|said| said.status == 200),
            // We say some of them ourselves, and the sender may not have heard yet.
            Some(Evidence::MsrpResponse(413)) if truth.is_large() || self.is_scarce => true,
            Some(Evidence::MsrpResponse(408)) if truth.is_excused || is_over => true,
            Some(Evidence::MsrpResponse(code)) => truth.errors.contains(&code),
            Some(Evidence::MsrpReport(code)) => {
                truth.reports.iter().any(|said| said.status == code)
            }
            Some(Evidence::MsrpTimeout) => truth.is_excused || is_over,
            Some(Evidence::ConnectionUnused) => truth.got == 0,
            // What stands still may be gone on with.
            Some(Evidence::ReportMissing) => {
                truth.chunks.iter().any(|chunk| chunk.flag == '$')
                    || now >= truth.said_at.plus_ms(MSRP_STALLED_MS)
            }
            Some(Evidence::Aborted) | Some(Evidence::Unfinished) => !truth.is_whole,
            Some(Evidence::ByeBeforeEnd)
            | Some(Evidence::ByeAfterEnd)
            | Some(Evidence::ConnectionLost) => true,
            Some(_) | None => false,
        };
        let (whole, accounts) = (truth.is_whole, truth.accounts);
        let verdict = account.verdict;
        let is_false = match verdict {
            Verdict::Delivered => !whole,
            Verdict::Permanent | Verdict::Temporary => whole,
            Verdict::Unknown | Verdict::Accepted => false,
        };
        let proves = matches!(evidence, Evidence::Acknowledged | Evidence::Reported);
        if (account.sms_peer, account.im_peer) != peers {
            self.object(format!("message {serial} is told of the wrong peers"));
        }
        if accounts > 1 {
            self.object(format!("message {serial} is told of twice"));
        }
        if is_false || proves != (verdict == Verdict::Delivered) {
            self.object(format!(
                "message {serial} is {verdict:?} by {evidence:?}; its recipient has it: {whole}"
            ));
        }
        if !is_so {
            self.object(format!(
                "message {serial} is {verdict:?} by {evidence:?}, which is not so"
            ));
        }
    }

    /// Whether a chunk waits for its answer.
    pub(super) fn is_unanswered(&self, id: &str) -> bool {
        let serial = id.get(1..6).and_then(|serial| serial.parse::<u32>().ok());
        serial.and_then(|serial| self.truths.get(&serial)).is_some_and(|truth| {
            let chunk = truth.chunks.iter().find(|it| it.id == id);
            truth.wanted.failure == "yes" && chunk.is_some_and(|it| it.told.is_none())
        })
    }

    /// Whether the recipient of a message that was given up does not know that.
    pub(super) fn is_abort_missing(&self, serial: u32) -> bool {
        self.truths.get(&serial).is_some_and(|it| {
            let is_said = it.chunks.iter().any(|chunk| chunk.flag == '#');
            is_said && it.got > 0 && !it.is_given_up && it.errors.is_empty()
        })
    }

    /// Who sends a message, and who gets it.
    pub(super) fn ends(&self, serial: u32) -> Option<(Who, Option<Who>)> {
        self.truths.get(&serial).map(|it| (it.wanted.from, it.to))
    }

    /// Whether a REPORT of the recipient was not passed on to a sender who wants it.
    pub(super) fn is_report_missing(&self, serial: u32, id: &str) -> bool {
        self.truths.get(&serial).is_some_and(|it| {
            let is_wanted = |status| match status {
                200 => it.wanted.success,
                _ => it.wanted.failure != "no",
            };
            let is_it = |said: &Said| said.id == id && !said.is_told && is_wanted(said.status);
            it.reports.iter().any(is_it)
        })
    }

    /// The end: how many messages, of how many the recipients have all, and how many were delivered.
    pub(super) fn close(&mut self) -> (u64, u64, u64) {
        let (mut whole, mut delivered) = (0, 0);
        let mut objections = Vec::new();
        for (serial, it) in &self.truths {
            whole += u64::from(it.is_whole);
            delivered += u64::from(it.verdict == Some(Verdict::Delivered));
            if it.got > 0 && it.accounts == 0 {
                objections.push(format!("message {serial} is told of nowhere"));
            }
            let is_denied = matches!(it.verdict, Some(Verdict::Permanent | Verdict::Temporary));
            if is_denied && it.is_whole {
                objections.push(format!("message {serial} is {:?}, and it has come", it.verdict));
            }
            let over = self.over.get(&it.wanted.from.call).copied();
            if let Some((at, what)) = it.wrong_at.as_ref().filter(|_| !it.is_excused)
                && over.is_none_or(|over| over > at.plus_ms(SHOWS_MS))
            {
                objections.push(format!("message {serial}: {what} without a cause"));
            }
        }
        if let Some(objection) = objections.into_iter().next() {
            self.object(objection);
        }
        (self.truths.len() as u64, whole, delivered)
    }
}

impl Truth {
    /// Whether some ends do not take it.
    fn is_large(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.end > LIMIT)
    }

    /// Whether the recipient has answered all that was said with 200.
    fn is_answered(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.answered == chunk.len())
    }
}
