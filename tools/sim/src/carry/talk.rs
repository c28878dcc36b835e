//! The MSRP of both ends: what they send, and what they say of what they get.

use std::collections::{BTreeMap, VecDeque};

use roger::time::Instant;

use super::court::{Court, Wanted};
use super::frame::{Frame, octet, response};
use super::{Act, Who, sip};
use crate::chance::Chance;

/// What is to happen with the MSRP of an end.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// It writes its next chunk.
    Write(Who),
    /// It answers a chunk.
    Answer { who: Who, text: String, id: String, status: u16 },
    /// It reports a message, or what it takes for one.
    Report { who: Who, to: String, serial: u32, status: u16, range: Option<(u64, u64)>, total: u64 },
}

/// A chunk as its sender writes it.
#[derive(Clone, Debug)]
struct Chunk {
    serial: u32,
    number: usize,
    start: u64,
    end: u64,
    flag: char,
}

/// What all chunks of a message say.
#[derive(Clone, Debug)]
struct Plan {
    total: u64,
    success: &'static str,
    failure: &'static str,
    range: u64,
}

/// What a recipient does about a message.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Good,
    Late(u64),
    /// It has it, and nobody says so.
    Mute,
    /// From so many octets on there is an error.
    Error(u16, u64),
}

/// What a recipient has of a message.
#[derive(Clone, Debug)]
struct Inbox {
    fate: Fate,
    octets: Vec<bool>,
    total: Option<u64>,
    is_void: bool,
    is_done: bool,
}

/// One end.
#[derive(Debug, Default)]
struct Talker {
    to: Option<String>,
    is_open: bool,
    has_begun: bool,
    queue: VecDeque<Chunk>,
    inboxes: BTreeMap<u32, Inbox>,
    buffer: Vec<u8>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Talk {
    chance: Chance,
    plans: BTreeMap<u32, Plan>,
    talkers: BTreeMap<Who, Talker>,
    serials: u32,
    reports: u32,
    is_faultless: bool,
    /// Whether who answers is the recipient himself: towards the callee, towards the caller.
    pub(super) speaks: [bool; 2],
}

impl Talk {
    pub(super) fn new(is_faultless: bool, speaks: [bool; 2], chance: Chance) -> Self {
        Self {
            chance,
            plans: BTreeMap::new(),
            talkers: BTreeMap::new(),
            serials: 100,
            reports: 0,
            is_faultless,
            speaks,
        }
    }

    /// An end knows where to.
    pub(super) fn agreed(&mut self, who: Who, to: String, connects: bool, acts: &mut Vec<Act>) {
        let mut messages: Vec<VecDeque<Chunk>> = Vec::new();
        for _ in 0..self.chance.below(5) {
            messages.push(self.plan());
        }
        let mut queue = VecDeque::new();
        // Chunks of several messages come in any order; those of one message in theirs.
        while !messages.is_empty() {
            let at = if self.chance.one_in(2) { 0 } else { self.chance.index(messages.len()) };
            queue.extend(messages[at].pop_front());
            messages.retain(|chunks| !chunks.is_empty());
        }
        let it = self.talkers.entry(who).or_default();
        (it.to, it.queue) = (Some(to), queue);
        // Who was spoken to before it had an answer waits for nothing more.
        if it.has_begun {
            acts.push(later(1, Due::Write(who)));
        }
        if connects {
            acts.push(Act::Open(who));
        }
        let patience = self.chance.pick(&[3_000, 40_000, 200_000, 700_000]);
        let patience = if self.is_faultless { 200_000 } else { self.chance.exponential(patience) };
        acts.push(Act::Later(patience, super::Due::Sip(sip::Due::Leave(who))));
    }

    fn plan(&mut self) -> VecDeque<Chunk> {
        self.serials += 1;
        let serial = self.serials;
        let total = self.chance.pick(&[1, 5, 300, 2_000, 2_049, 5_000, 20_000, 40_000]);
        let plan = Plan {
            total,
            success: self.chance.pick(&["yes", "yes", "no", ""]),
            failure: self.chance.pick(&["", "yes", "yes", "no", "partial"]),
            range: self.chance.below(3),
        };
        self.plans.insert(serial, plan);
        let count = self.chance.pick(&[1, 1, 2, 3, 9, 100]).min(total);
        let mut cuts: Vec<u64> = (1..count).map(|_| 1 + self.chance.below(total - 1)).collect();
        cuts.extend([0, total]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut chunks: Vec<Chunk> = Vec::new();
        for pair in cuts.windows(2) {
            let flag = if pair[1] == total { '$' } else { '+' };
            chunks.push(Chunk { serial, number: 0, start: pair[0], end: pair[1], flag });
        }
        let at = self.chance.index(chunks.len());
        match if self.is_faultless { 9 } else { self.chance.below(14) } {
            // Given up in the middle of a chunk.
            0 => {
                chunks.truncate(at + 1);
                chunks[at].flag = '#';
                chunks[at].end =
                    chunks[at].start + 1 + self.chance.below(chunks[at].end - chunks[at].start);
            }
            // A gap.
            1 if at + 1 < chunks.len() => drop(chunks.remove(at)),
            // Some of it twice.
            2 if at + 1 < chunks.len() => chunks.insert(at, chunks[at].clone()),
            3 if at + 1 < chunks.len() => {
                chunks[at + 1].start -= self.chance.below(chunks[at + 1].start - chunks[at].start);
            }
            // It is never ended.
            4 if at + 1 < chunks.len() => chunks.truncate(at + 1),
            _ => {}
        }
        for (number, chunk) in chunks.iter_mut().enumerate() {
            chunk.number = number;
        }
        chunks.into()
    }

    /// The connection of an end is there.
    pub(super) fn opened(&mut self, who: Who, connects: bool, acts: &mut Vec<Act>) {
        let it = self.talkers.entry(who).or_default();
        it.is_open = true;
        if connects && (it.queue.is_empty() || self.chance.one_in(2)) {
            let to = it.to.clone().unwrap_or_default();
            let (port, path) = (who.port(), who.path());
            let text = format!(
                "MSRP bind{port} SEND\r\nTo-Path: {to}\r\nFrom-Path: {path}\r\n\
                 Message-ID: bind{port}\r\n-------bind{port}$\r\n"
            );
            acts.push(Act::Say(who, text));
        }
        if connects {
            self.begin(who, acts);
        }
    }

    /// Who was connected to speaks when somebody has spoken to him.
    fn begin(&mut self, who: Who, acts: &mut Vec<Act>) {
        let Some(it) = self.talkers.get_mut(&who) else { return };
        if !core::mem::replace(&mut it.has_begun, true) {
            acts.push(later(self.chance.exponential(500), Due::Write(who)));
        }
    }

    pub(super) fn closed(&mut self, who: Who) {
        if let Some(it) = self.talkers.get_mut(&who) {
            it.is_open = false;
        }
    }

    /// Whether an end is there to be told.
    pub(super) fn is_open(&self, who: Who) -> bool {
        self.talkers.get(&who).is_some_and(|it| it.is_open)
    }

    /// The session is over.
    pub(super) fn over(&mut self, who: Who, acts: &mut Vec<Act>) {
        if let Some(it) = self.talkers.get_mut(&who)
            && core::mem::take(&mut it.is_open)
        {
            acts.push(Act::Close(who));
        }
    }

    pub(super) fn due(&mut self, due: Due, now: Instant, court: &mut Court, acts: &mut Vec<Act>) {
        match due {
            Due::Write(who) => self.write(who, now, court, acts),
            Due::Answer { who, text, id, status } => {
                if self.is_open(who) {
                    court.answers(&id, status, now);
                    acts.push(Act::Say(who, text));
                }
            }
            Due::Report { who, to, serial, status, range, total } => {
                if !self.is_open(who) {
                    return;
                }
                self.reports += 1;
                let (number, from) = (self.reports, who.path());
                let text = range.map_or(String::new(), |(start, end)| {
                    format!("Byte-Range: {}-{end}/{total}\r\n", start + 1)
                });
                let id = format!("rep{number:05}");
                court.reports(who, serial, status, &text, &id);
                acts.push(Act::Say(
                    who,
                    format!(
                        "MSRP {id} REPORT\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
                         Message-ID: msg{serial:05}\r\n{text}Status: 000 {status} So\r\n\
                         -------{id}$\r\n"
                    ),
                ));
            }
        }
    }

    fn write(&mut self, who: Who, now: Instant, court: &mut Court, acts: &mut Vec<Act>) {
        let Some(it) = self.talkers.get_mut(&who).filter(|it| it.is_open) else { return };
        let Some(to) = it.to.clone() else { return };
        let Some(chunk) = it.queue.pop_front() else { return };
        let Chunk { serial, number, start, end, flag } = chunk;
        let Some(plan) = self.plans.get(&serial) else { return };
        let wanted = Wanted {
            from: who,
            success: plan.success == "yes",
            failure: if plan.failure.is_empty() { "yes" } else { plan.failure },
        };
        let id = format!("t{serial:05}k{number:03}");
        let field = |name: &str, value: &str| match value {
            "" => String::new(),
            _ => format!("{name}: {value}\r\n"),
        };
        let (first, total) = (start + 1, plan.total);
        let range = match plan.range {
            0 if flag != '#' => format!("{first}-{end}/{total}"),
            0 | 1 => format!("{first}-*/{total}"),
            _ => format!("{first}-*/*"),
        };
        let body: String = (start..end).map(|at| octet(serial, at)).collect();
        let text = format!(
            "MSRP {id} SEND\r\nTo-Path: {to}\r\nFrom-Path: {}\r\nMessage-ID: msg{serial:05}\r\n\
             {}{}Byte-Range: {range}\r\nContent-Type: text/plain\r\n\r\n{body}\r\n-------{id}{flag}\r\n",
            who.path(),
            field("Success-Report", plan.success),
            field("Failure-Report", plan.failure),
        );
        court.says(serial, wanted, &id, (start, end, flag), now);
        acts.push(Act::Say(who, text));
        let mean = self.chance.pick(&[1, 1, 50, 3_000]);
        let wait = self.chance.exponential(mean).min(20_000);
        acts.push(later(wait, Due::Write(who)));
    }

    /// Octets of the engine come to an end.
    pub(super) fn hear(
        &mut self,
        who: Who,
        octets: &[u8],
        now: Instant,
        court: &mut Court,
        acts: &mut Vec<Act>,
    ) {
        let Some(it) = self.talkers.get_mut(&who).filter(|it| it.is_open) else { return };
        it.buffer.extend(octets);
        while let Some(it) = self.talkers.get_mut(&who)
            && let Some((frame, len)) = Frame::first(&it.buffer)
        {
            it.buffer.drain(..len);
            match frame.what.as_str() {
                "SEND" => self.take(who, &frame, now, court, acts),
                "REPORT" => court.hears_report(who, &frame),
                _ => {
                    if let Some(status) = frame.status() {
                        court.hears_answer(who, &frame.id, status, now);
                    }
                }
            }
        }
    }

    fn take(
        &mut self,
        who: Who,
        frame: &Frame,
        now: Instant,
        court: &mut Court,
        acts: &mut Vec<Act>,
    ) {
        self.begin(who, acts);
        let Some(body) = &frame.body else {
            return acts.push(Act::Say(who, response(frame, &who.path(), 200)));
        };
        let Some(serial) = frame.serial() else {
            return court.object(format!("a message that nobody has sent: {}", frame.head));
        };
        court.gets(who, serial, frame, body, now);
        let fate = self.fate();
        let is_new = self.talkers.get(&who).is_some_and(|it| !it.inboxes.contains_key(&serial));
        if is_new && !matches!(fate, Fate::Good) {
            court.excuse(serial);
        }
        let Some(it) = self.talkers.get_mut(&who) else { return };
        let inbox = it.inboxes.entry(serial).or_insert_with(|| Inbox {
            fate,
            octets: Vec::new(),
            total: None,
            is_void: false,
            is_done: false,
        });
        let (start, end) = (frame.start(), frame.start() + body.len() as u64);
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        if inbox.octets.len() < range.end {
            inbox.octets.resize(range.end, false);
        }
        inbox.octets[range].fill(true);
        match frame.flag {
            '$' => inbox.total = Some(end),
            '#' => inbox.is_void = true,
            _ => {}
        }
        let mut status = 200;
        if let Fate::Error(code, from) = inbox.fate
            && end > from
        {
            (status, inbox.is_void) = (code, true);
        }
        let is_asked = match frame.value("Failure-Report").unwrap_or("yes") {
            "yes" => true,
            "partial" => status != 200,
            _ => false,
        };
        let delay = match inbox.fate {
            Fate::Mute => None,
            Fate::Late(ms) => Some(ms),
            Fate::Good | Fate::Error(..) => Some(0),
        };
        if let Some(delay) = delay.filter(|_| is_asked) {
            let text = response(frame, &who.path(), status);
            let due = Due::Answer { who, text, id: frame.id.clone(), status };
            acts.push(later(delay, due));
        }
        let wants = frame.value("Success-Report") == Some("yes");
        let speaks = self.speaks[usize::from(who.side.is_caller())];
        if wants && speaks && status == 200 && !self.is_faultless && self.chance.one_in(16) {
            // What it has it may say, before it has all.
            let to = frame.value("From-Path").unwrap_or_default().to_owned();
            let (range, total) = (Some((start, end)), end.max(self.chance.below(50_000)));
            acts.push(later(0, Due::Report { who, to, serial, status, range, total }));
        }
        self.complete(who, serial, frame, court, acts);
    }

    fn fate(&mut self) -> Fate {
        match if self.is_faultless { 99 } else { self.chance.below(24) } {
            0 => Fate::Late(1_000 + self.chance.below(45_000)),
            1 => Fate::Mute,
            2 | 3 => {
                let code = self.chance.pick(&[400, 403, 408, 413, 415, 423, 481, 500, 501, 506]);
                let mean = self.chance.pick(&[1, 3_000]);
                Fate::Error(code, self.chance.exponential(mean))
            }
            _ => Fate::Good,
        }
    }

    /// What a recipient does with a message that it has whole.
    fn complete(
        &mut self,
        who: Who,
        serial: u32,
        frame: &Frame,
        court: &mut Court,
        acts: &mut Vec<Act>,
    ) {
        let Some(it) = self.talkers.get_mut(&who) else { return };
        let Some(inbox) = it.inboxes.get_mut(&serial) else { return };
        let Some(total) = inbox.total.filter(|_| !inbox.is_void && !inbox.is_done) else { return };
        if inbox.octets.len() as u64 != total || !inbox.octets.iter().all(|is_there| *is_there) {
            return;
        }
        inbox.is_done = true;
        let speaks = self.speaks[usize::from(who.side.is_caller())];
        let failure = frame.value("Failure-Report").unwrap_or("yes");
        let to = frame.value("From-Path").unwrap_or_default().to_owned();
        let mean = self.chance.pick(&[1, 200, 5_000]);
        let delay = self.chance.exponential(mean);
        let report = |status, range, delay| {
            later(delay, Due::Report { who, to: to.clone(), serial, status, range, total })
        };
        let kind = if self.is_faultless { 99 } else { self.chance.below(24) };
        // Behind a relay it may be lost all the same. An end that has said 200 to all of it has it.
        if !speaks && failure != "no" && kind == 0 {
            let code = self.chance.pick(&[400, 408, 413, 481, 500]);
            court.excuse(serial);
            return acts.push(report(code, Some((0, total)), delay));
        }
        if !speaks && kind == 1 {
            return;
        }
        court.has(serial);
        if kind == 2 || kind == 10 {
            // About what was never sent to it, or what it has sent itself.
            let other = self.chance.between(101, u64::from(self.serials.max(101)));
            let other = u32::try_from(other).unwrap_or(101);
            let is_foreign = |from: Who| from.call != who.call || from == who;
            if court.ends(other).is_some_and(|(from, _)| is_foreign(from)) {
                let (to, range) = (to.clone(), Some((0, total)));
                let due = Due::Report { who, to, serial: other, status: 200, range, total };
                acts.push(later(delay, due));
            }
        }
        if frame.value("Success-Report") != Some("yes") && kind != 3 {
            return;
        }
        let middle = total / 2;
        match kind {
            4 => {}
            5 => acts.push(report(200, None, delay)),
            6 | 7 if middle > 0 => {
                acts.push(report(200, Some((middle, total)), delay));
                if kind == 6 {
                    acts.push(report(200, Some((0, middle)), delay + 300));
                }
            }
            8 => {
                acts.push(report(200, Some((0, total)), delay));
                acts.push(report(200, Some((0, total)), delay + 900));
            }
            // About something shorter, and about more than there is (hazard H18).
            11 if total > 1 => {
                let due = |range, total| {
                    let to = to.clone();
                    later(delay, Due::Report { who, to, serial, status: 200, range, total })
                };
                acts.push(due(Some((0, total - 1)), total - 1));
                acts.push(due(Some((0, total + 7)), total + 7));
            }
            9 => acts.push(report(200, Some((0, total)), 100_000 + self.chance.below(50_000))),
            _ => acts.push(report(200, Some((0, total)), delay)),
        }
    }
}

fn later(ms: u64, due: Due) -> Act {
    Act::Later(ms, super::Due::Talk(due))
}
