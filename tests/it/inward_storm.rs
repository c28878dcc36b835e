//! Everything that can happen to messages to the SMS side, in any order: nothing panics, no message is told
//! twice, and nothing is left.

use roger::delivery::Verdict;
use roger::metrics::Counter;
use roger::packet::{Flow, Rest, StreamEvent, Used, Wish};

use crate::bench::{Bench, IM, Left, SBC, answer, endpoint};
use crate::inward::{
    BOTH, MSRP_SOCKET, PHONE, connection, inward_setup, later, mr, of_sc, offer, replies, request,
    rp_report,
};

const SEEDS: u64 = 3;
const STEPS: u32 = 500;

/// A generator of numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// One session, as far as it has come.
struct Session {
    number: u32,
    tag: String,
    path: String,
    cseq: u32,
}

struct Storm {
    bench: Bench,
    dice: Dice,
    sessions: Vec<Session>,
    /// Connections that are open.
    lines: Vec<u16>,
    next: u32,
    parts: Vec<Left>,
    byes: Vec<Left>,
    sc: u32,
    delivered: usize,
    received: usize,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut setup = inward_setup(8);
        if let Some(large) = &mut setup.large {
            (large.sessions_max, large.connections_max) = (12, 8);
        }
        setup.peers[0].addresses = Box::new([endpoint(SBC), endpoint("10.0.0.2:5060")]);
        Self {
            bench: Bench::with(setup),
            dice: Dice(seed),
            sessions: Vec::new(),
            lines: Vec::new(),
            next: 1,
            parts: Vec::new(),
            byes: Vec::new(),
            sc: 0,
            delivered: 0,
            received: 0,
        }
    }

    fn keep(&mut self, left: Vec<Left>) {
        for left in left {
            if left.text.starts_with("MESSAGE tel:") {
                self.parts.push(left);
            } else if left.text.starts_with("BYE ") {
                self.byes.push(left);
            }
        }
    }

    fn pick<T: Clone>(dice: &mut Dice, all: &[T]) -> Option<T> {
        let count = all.len() as u64;
        (count > 0).then(|| all[usize::try_from(dice.below(count)).unwrap()].clone())
    }

    /// One of the parts, mostly the last one.
    fn part(&mut self) -> Option<Left> {
        match self.dice.below(4) {
            0 => Self::pick(&mut self.dice, &self.parts),
            _ => self.parts.last().cloned(),
        }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0 => self.invite(),
            1 | 2 => self.open_line(),
            3..=7 => self.say(),
            8 if self.dice.below(3) == 0 => self.within("BYE"),
            9 => {
                let method = self.dice.of(&["ACK", "INVITE", "UPDATE", "CANCEL"]);
                self.within(method);
            }
            10..=12 => self.answer_part(),
            13 | 14 => self.rp_answer(),
            15 | 16 => self.status_report(),
            17 if self.dice.below(3) == 0 => self.lose(),
            18 => self.answer_bye(),
            _ => {
                let ms = self.dice.of(&[2, 40, 600, 600, 600, 5_000, 5_000, 45_000]);
                let left = later(&mut self.bench, ms);
                self.keep(left);
            }
        }
        self.settle();
    }

    fn invite(&mut self) {
        let number = self.next;
        self.next += 1;
        let text = offer(number, "text/plain message/cpim");
        for _ in 0..=self.dice.below(2) {
            let left = self.bench.give(IM, &text);
            if let Some(ok) = left.iter().find(|left| left.text.starts_with("SIP/2.0 200")) {
                let sdp = String::from_utf8(ok.body().to_vec()).unwrap();
                let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
                let tag = ok.field("to").split(";tag=").nth(1).unwrap().to_owned();
                let path = path.to_owned();
                if self.sessions.iter().all(|it| it.number != number) {
                    self.sessions.push(Session { number, tag, path, cseq: 1 });
                }
            }
        }
        if self.dice.below(4) > 0 {
            self.within_last("ACK");
        }
    }

    fn within(&mut self, method: &str) {
        let count = self.sessions.len() as u64;
        if count > 0 {
            let at = usize::try_from(self.dice.below(count)).unwrap();
            self.within_at(method, at);
        }
    }

    fn within_last(&mut self, method: &str) {
        if let Some(at) = self.sessions.len().checked_sub(1) {
            self.within_at(method, at);
        }
    }

    fn within_at(&mut self, method: &str, at: usize) {
        let session = &mut self.sessions[at];
        if !matches!(method, "ACK" | "CANCEL") {
            session.cseq += 1;
        }
        let uri = "sip:+491711234567@sms.example;user=phone";
        let tag = format!(";tag={}", session.tag);
        let tag = if method == "CANCEL" { "" } else { &tag };
        let text = request(session.number, method, session.cseq, uri, tag, "");
        let left = self.bench.give(IM, &text);
        self.keep(left);
    }

    fn open_line(&mut self) {
        let index = u16::try_from(self.dice.below(8)).unwrap();
        if self.lines.contains(&index) {
            return;
        }
        let flow = Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET);
        let flow = Flow { connection: Some(connection(index)), ..flow };
        let event =
            StreamEvent::Opened { flow, owner: None, certificate: None, at: self.bench.now };
        self.bench.engine.on_stream(event, &mut self.bench.out);
        self.lines.push(index);
    }

    fn say(&mut self) {
        let count = self.sessions.len() as u64;
        if count == 0 || self.lines.is_empty() {
            return;
        }
        // Mostly one of the last.
        let back = self.dice.below(count.min(4));
        let session = &self.sessions[usize::try_from(count - 1 - back).unwrap()];
        let (path, number) = (session.path.clone(), session.number as usize);
        let line = match self.dice.below(16) {
            0 => self.dice.of(&self.lines),
            _ => self.lines[number % self.lines.len()],
        };
        let id = format!("t{:07}", self.dice.below(10_000_000));
        let message = format!("m{:04}", self.dice.below(40));
        let total = self.dice.of(&[5, 200, 400]);
        let (start, len) = match self.dice.below(4) {
            0..=2 => (1, total),
            _ => (1 + self.dice.below(total), 1 + self.dice.below(total)),
        };
        let said = match self.dice.below(8) {
            0 | 2 => "*".to_owned(),
            1 => self.dice.below(500).to_string(),
            _ => total.to_string(),
        };
        let flag = self.dice.of(&['$', '$', '$', '$', '$', '+', '+', '#']);
        let body = "ab[c".repeat(200)[..usize::try_from(len).unwrap()].to_owned();
        let kind = self.dice.of(&[
            "text/plain",
            "text/plain",
            "text/plain;charset=utf-8",
            "text/plain",
            "text/plain",
            "message/cpim",
            "image/png",
        ]);
        let wanted = self.dice.of(&["", BOTH, BOTH, "Failure-Report: partial\r\n"]);
        let end = start + len - 1;
        let text = match self.dice.below(16) {
            0 => format!(
                "MSRP {id} REPORT\r\nTo-Path: {path}\r\nFrom-Path: {PHONE}\r\nMessage-ID: {message}\r\n\
                 Byte-Range: {start}-{end}/{said}\r\nStatus: 000 200\r\n-------{id}$\r\n"
            ),
            1 => format!(
                "MSRP {id} SEND\r\nTo-Path: {path}\r\nFrom-Path: {PHONE}\r\nMessage-ID: {message}\r\n\
                 {wanted}-------{id}{flag}\r\n"
            ),
            _ => format!(
                "MSRP {id} SEND\r\nTo-Path: {path}\r\nFrom-Path: {PHONE}\r\nMessage-ID: {message}\r\n\
                 Byte-Range: {start}-{end}/{said}\r\n{wanted}Content-Type: {kind}\r\n\r\n{body}\r\n-------{id}{flag}\r\n"
            ),
        };
        let cut = match self.dice.below(40) {
            0 => usize::try_from(self.dice.below(text.len() as u64)).unwrap(),
            _ => text.len(),
        };
        let mut used = Used { octets: cut, rest: Rest::WithMore };
        let event = StreamEvent::Arrived {
            id: connection(line),
            octets: &text.as_bytes()[..cut],
            used: &mut used,
            at: self.bench.now,
        };
        self.bench.engine.on_stream(event, &mut self.bench.out);
        if used.octets < cut {
            // What is not taken lies in the buffer of the connection, which this one has not.
            self.drop_line(line);
        }
    }

    fn drop_line(&mut self, line: u16) {
        self.lines.retain(|one| *one != line);
        let event = StreamEvent::Lost { id: connection(line), doubtful: 0, at: self.bench.now };
        self.bench.engine.on_stream(event, &mut self.bench.out);
    }

    fn lose(&mut self) {
        if let Some(line) = Self::pick(&mut self.dice, &self.lines) {
            self.drop_line(line);
        }
    }

    fn answer_part(&mut self) {
        let Some(part) = self.part() else { return };
        let status = self.dice.of(&[
            "202 Accepted",
            "200 OK",
            "202 Accepted",
            "503 Service Unavailable",
            "480 Gone",
            "100 Trying",
        ]);
        if self.dice.below(12) == 0 {
            let remote = endpoint(&part.to.to_string());
            self.bench.engine.on_unreachable(remote, &part.octets, self.bench.now);
        } else {
            let left = self.bench.give(&part.to.to_string(), &answer(&part.text, status));
            self.keep(left);
        }
    }

    fn sc(&mut self, in_reply_to: &str, rp: &[u8]) {
        self.sc += 1;
        let left = self.bench.give_octets(SBC, &of_sc(self.sc, in_reply_to, rp), false);
        for report in left.iter().filter(|left| left.is_request() && left.text.contains("sc@")) {
            self.bench.give(SBC, &answer(&report.text, "200 OK"));
        }
        self.keep(left);
    }

    fn rp_answer(&mut self) {
        let Some(part) = self.part() else { return };
        let reference = mr(&part);
        let rp = match self.dice.below(8) {
            0 => vec![5, reference, 1, 42],
            1 => vec![3, reference.wrapping_add(1)],
            _ => vec![3, reference],
        };
        self.sc(&replies(&part), &rp);
    }

    fn status_report(&mut self) {
        let Some(part) = self.part() else { return };
        let status = self.dice.of(&[0, 0, 0, 0x20, 0x45, 0x01]);
        self.received += usize::from(status == 0);
        let mut rp = rp_report(mr(&part), status);
        let at = rp.windows(2).position(|two| two == [0x52, 0x11]).unwrap();
        rp[at + 5] = u8::try_from(((self.sc % 10) << 4) | (self.sc / 10 % 6)).unwrap();
        self.sc("", &rp);
    }

    fn answer_bye(&mut self) {
        if let Some(bye) = self.byes.pop() {
            let ok = answer(&bye.text, "200 OK").replace(";tag=uas", "");
            self.bench.give(IM, &ok);
        }
    }

    /// Takes what is to be written and what is told.
    fn settle(&mut self) {
        let left = later(&mut self.bench, 2);
        self.keep(left);
        loop {
            let wishes: Vec<Wish> = core::iter::from_fn(|| self.bench.out.pop_wish()).collect();
            if wishes.is_empty() {
                break;
            }
            for wish in wishes {
                match wish {
                    Wish::Write(id) if self.lines.contains(&id.index) => {
                        let (mut room, mut filled) = ([0; 8_192], 0);
                        let at = self.bench.now;
                        let event =
                            StreamEvent::Room { id, room: &mut room, filled: &mut filled, at };
                        self.bench.engine.on_stream(event, &mut self.bench.out);
                        let octets = filled as u64;
                        let event = StreamEvent::Written { id, octets, at };
                        self.bench.engine.on_stream(event, &mut self.bench.out);
                    }
                    Wish::Close(id) if self.lines.contains(&id.index) => self.drop_line(id.index),
                    Wish::Connect { .. } | Wish::Write(_) | Wish::Read(_) | Wish::Close(_) => {}
                }
            }
        }
        while let Some(account) = self.bench.engine.pop_account() {
            self.delivered += usize::from(account.verdict == Verdict::Delivered);
        }
        let old = self.parts.len().saturating_sub(16);
        self.parts.drain(..old);
        assert!(self.delivered <= self.received, "who has said so?");
    }

    fn end(&mut self) {
        for line in self.lines.clone() {
            self.drop_line(line);
        }
        for _ in 0..40 {
            let left = later(&mut self.bench, 60_000);
            self.keep(left);
            self.settle();
        }
        let left = (self.bench.engine.calls(), self.bench.count(Counter::SubmissionsOpen));
        assert_eq!(left, (0, 0), "nothing is left");
    }
}

#[test]
fn in_whatever_order_nothing_is_left() {
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        for _ in 0..STEPS {
            storm.step();
        }
        storm.end();
    }
}
