//! The users: they call, write, are told or lose patience, and say again what they have not heard of.

use std::collections::{BTreeMap, BTreeSet};

use super::centre::{PHONE, response};
use super::court::{Court, Wanted};
use super::wires::Frame;
use crate::chance::Chance;
use crate::text::Text;

/// What a user wishes to happen.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A datagram leaves for the engine.
    Send(Vec<u8>),
    /// The connection of a call is opened.
    Open(usize),
    /// Octets on the connection of a call.
    Say(usize, String),
    /// It is closed.
    Close(usize),
    /// Something happens so many milliseconds later.
    Later(u64, Due),
}

/// What is to happen with users.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A user writes what is next.
    Begin(usize),
    /// A request in a call, if nobody has answered it.
    Again { call: usize, tries: u32 },
    /// A message in a call.
    Write { call: usize, message: u32 },
    /// A user loses patience with a call.
    Leave(usize),
    /// What was not heard of is said again.
    Repeat(usize),
}

/// A message as its sender writes it each time.
#[derive(Clone, Debug)]
struct Plan {
    text: String,
    success: bool,
    failure: &'static str,
    chunks: usize,
}

/// One session of a user.
#[derive(Debug)]
pub(super) struct Call {
    user: usize,
    pub(super) attempt: u32,
    pub(super) messages: Vec<u32>,
    is_passive: bool,
    /// The request that waits for its answer.
    request: Option<Vec<u8>>,
    /// To with its tag, and the path of the engine, once they are known.
    agreed: Option<(String, String)>,
    pub(super) is_open: bool,
    is_over: bool,
    heard: BTreeSet<u32>,
    /// Chunks of each message that are acknowledged.
    acknowledged: BTreeMap<u32, usize>,
    buffer: Vec<u8>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Users {
    chance: Chance,
    plans: BTreeMap<u32, Plan>,
    /// What each has still to write.
    left: Vec<Vec<u32>>,
    pub(super) calls: Vec<Call>,
}

/// Times that the same is said.
const ATTEMPTS_MAX: u32 = 3;

impl Users {
    pub(super) fn new(court: &mut Court, mut chance: Chance) -> Self {
        let count = 1 + chance.index(3);
        let mut users = Self {
            plans: BTreeMap::new(),
            left: vec![Vec::new(); count],
            calls: Vec::new(),
            chance,
        };
        let mut message = 100;
        for user in 0..count {
            for _ in 0..=users.chance.below(7) {
                message += 1;
                let plan = users.plan(message);
                let failure = plan.failure != "no";
                court.expect(message, Wanted { user, success: plan.success, failure });
                users.plans.insert(message, plan);
                users.left[user].push(message);
            }
        }
        users
    }

    fn plan(&mut self, message: u32) -> Plan {
        let letter = if self.chance.one_in(3) { "\u{436}" } else { "." };
        let count = self.chance.pick(&[4, 10, 30, 45, 90, 160]);
        Plan {
            text: format!("{message}{letter}").repeat(count),
            success: !self.chance.one_in(4),
            failure: self.chance.pick(&["", "yes", "yes", "no", "partial"]),
            chunks: self.chance.pick(&[1, 1, 2, 4]),
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.left.len()
    }

    /// Something is due.
    pub(super) fn due(&mut self, due: Due, acts: &mut Vec<Act>) {
        match due {
            Due::Begin(user) => {
                let count = (1 + self.chance.index(2)).min(self.left[user].len());
                let messages: Vec<u32> = self.left[user].drain(..count).collect();
                if !messages.is_empty() {
                    self.call(user, 0, messages, acts);
                }
            }
            Due::Again { call, tries } => self.send(call, tries, acts),
            Due::Write { call, message } => self.write(call, message, acts),
            Due::Leave(call) => self.leave(call, acts),
            Due::Repeat(call) => {
                let Call { user, attempt, ref messages, ref heard, .. } = self.calls[call];
                let missing: Vec<u32> =
                    messages.iter().copied().filter(|message| !heard.contains(message)).collect();
                if !missing.is_empty() && attempt + 1 < ATTEMPTS_MAX {
                    self.call(user, attempt + 1, missing, acts);
                } else {
                    acts.push(Act::Later(1_000, Due::Begin(user)));
                }
            }
        }
    }

    fn call(&mut self, user: usize, attempt: u32, messages: Vec<u32>, acts: &mut Vec<Act>) {
        let number = self.calls.len();
        let is_passive = self.chance.one_in(4);
        let setup = if is_passive { "passive" } else { "actpass" };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n\
             m=message {} TCP/MSRP *\r\na=path:{}\r\na=accept-types:text/plain\r\n\
             a=setup:{setup}\r\na=sendonly\r\n",
            7_000 + number,
            path(number)
        );
        let invite = request((user, number), "INVITE", 1, "", &sdp);
        self.calls.push(Call {
            user,
            attempt,
            messages,
            is_passive,
            request: Some(invite),
            agreed: None,
            is_open: false,
            is_over: false,
            heard: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            buffer: Vec::new(),
        });
        self.send(number, 0, acts);
    }

    fn send(&mut self, call: usize, tries: u32, acts: &mut Vec<Act>) {
        let Some(octets) = self.calls[call].request.clone() else { return };
        if tries == 11 {
            self.calls[call].request = None;
            return self.end(call, acts);
        }
        acts.push(Act::Send(octets));
        acts.push(Act::Later(500 << tries.min(3), Due::Again { call, tries: tries + 1 }));
    }

    /// A datagram comes for a user.
    pub(super) fn take(&mut self, octets: &[u8], acts: &mut Vec<Act>) {
        let Some(text) = Text::read(octets) else { return };
        let call = text.value("Call-ID").and_then(|id| id.strip_prefix("call-")?.parse().ok());
        let Some(call) = call.filter(|call: &usize| *call < self.calls.len()) else { return };
        let Some(status) = text.status() else {
            acts.push(Act::Send(response(&text, 200)));
            if text.start.starts_with("BYE ") {
                self.calls[call].request = None;
                self.end(call, acts);
            }
            return;
        };
        let is_invite = text.value("CSeq").is_some_and(|value| value.ends_with("INVITE"));
        match (status, is_invite) {
            (..=199, _) => {}
            (200..=299, true) => self.agree(call, &text, acts),
            _ if is_invite && self.calls[call].agreed.is_some() => {}
            _ => {
                self.calls[call].request = None;
                self.end(call, acts);
            }
        }
    }

    fn agree(&mut self, call: usize, text: &Text<'_>, acts: &mut Vec<Act>) {
        let user = self.calls[call].user;
        let to = text.value("To").unwrap_or_default().to_owned();
        let tag = to.split_once(";tag=").map_or("", |(_, tag)| tag);
        let tag = [";tag=", tag].concat();
        acts.push(Act::Send(request((user, call), "ACK", 1, &tag, "")));
        let it = &mut self.calls[call];
        if it.agreed.is_some() {
            return;
        }
        it.request = None;
        let sdp = String::from_utf8_lossy(text.body).into_owned();
        let path = sdp.split("a=path:").nth(1).and_then(|rest| rest.split("\r\n").next());
        it.agreed = Some((tag, path.unwrap_or_default().to_owned()));
        if it.is_over {
            return self.leave(call, acts);
        }
        if !it.is_passive {
            acts.push(Act::Open(call));
        }
        let patience = self.chance.pick(&[5_000, 60_000, 600_000, 2_100_000]);
        acts.push(Act::Later(patience, Due::Leave(call)));
    }

    /// The connection of a call is there.
    pub(super) fn opened(&mut self, call: usize, acts: &mut Vec<Act>) {
        self.calls[call].is_open = true;
        let mut at = 0;
        for message in self.calls[call].messages.clone() {
            acts.push(Act::Later(at, Due::Write { call, message }));
            at += self.chance.exponential(1_000);
        }
    }

    fn write(&self, call: usize, message: u32, acts: &mut Vec<Act>) {
        let it = &self.calls[call];
        let (Some((_, to)), Some(plan)) = (&it.agreed, self.plans.get(&message)) else { return };
        if !it.is_open {
            return;
        }
        let total = plan.text.len();
        let mut ends: Vec<usize> =
            (1..=plan.chunks).map(|chunk| total * chunk / plan.chunks).collect();
        for end in &mut ends {
            while !plan.text.is_char_boundary(*end) {
                *end += 1;
            }
        }
        let mut at = 0;
        for (chunk, end) in ends.into_iter().enumerate() {
            let id = format!("c{call:04}m{message}k{chunk}");
            let flag = if end == total { '$' } else { '+' };
            let wanted = if plan.success { "Success-Report: yes\r\n" } else { "" };
            let failure = match plan.failure {
                "" => String::new(),
                what => format!("Failure-Report: {what}\r\n"),
            };
            let text = format!(
                "MSRP {id} SEND\r\nTo-Path: {to}\r\nFrom-Path: {}\r\nMessage-ID: m{message}\r\n\
                 {wanted}{failure}Byte-Range: {}-{end}/{total}\r\n\
                 Content-Type: text/plain;charset=UTF-8\r\n\r\n{}\r\n-------{id}{flag}\r\n",
                path(call),
                at + 1,
                &plan.text[at..end],
            );
            acts.push(Act::Say(call, text));
            at = end;
        }
    }

    /// Octets of the engine in a call.
    pub(super) fn hear(
        &mut self,
        call: usize,
        octets: &[u8],
        court: &mut Court,
        acts: &mut Vec<Act>,
    ) {
        self.calls[call].buffer.extend(octets);
        while let Some((frame, len)) = Frame::first(&self.calls[call].buffer) {
            self.calls[call].buffer.drain(..len);
            let named = frame.value("Message-ID").and_then(|id| id.strip_prefix('m')?.parse().ok());
            match frame.what.as_str() {
                "SEND" => {
                    let to = frame.value("From-Path").unwrap_or_default();
                    let id = &frame.id;
                    let text = format!(
                        "MSRP {id} 200 OK\r\nTo-Path: {to}\r\nFrom-Path: {}\r\n-------{id}$\r\n",
                        path(call)
                    );
                    acts.push(Act::Say(call, text));
                }
                "REPORT" => {
                    let Some((message, status)) = named.zip(frame.status()) else { continue };
                    court.heard(message, status);
                    let it = &mut self.calls[call];
                    if !it.heard.insert(message) {
                        court.object(format!("message {message} was reported twice in a session"));
                    }
                    if it.heard.len() == it.messages.len() {
                        acts.push(Act::Later(2_000, Due::Leave(call)));
                    }
                }
                "200" => {
                    let message = frame.id.get(6..9).and_then(|digits| digits.parse().ok());
                    if let Some(message) = message {
                        *self.calls[call].acknowledged.entry(message).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
    }

    /// The connection of a call is cut.
    pub(super) fn cut(&mut self, call: usize, acts: &mut Vec<Act>) {
        self.calls[call].is_open = false;
        self.leave(call, acts);
    }

    fn leave(&mut self, call: usize, acts: &mut Vec<Act>) {
        let it = &mut self.calls[call];
        if it.is_over && it.request.is_some() {
            return;
        }
        if let Some((tag, _)) = it.agreed.clone() {
            if it.is_over {
                return;
            }
            it.request = Some(request((it.user, call), "BYE", 2, &tag, ""));
            self.send(call, 0, acts);
        }
        self.end(call, acts);
    }

    /// A call is over: what was not heard of may be said again.
    fn end(&mut self, call: usize, acts: &mut Vec<Act>) {
        let it = &mut self.calls[call];
        if core::mem::replace(&mut it.is_over, true) {
            return;
        }
        if core::mem::take(&mut it.is_open) {
            acts.push(Act::Close(call));
        }
        let user = it.user;
        let wait = 500 + self.chance.exponential(15_000);
        let due = if self.chance.one_in(4) { Due::Begin(user) } else { Due::Repeat(call) };
        acts.push(Act::Later(wait, due));
    }

    /// The last session of a message, if that was said whole in it and it is still there.
    pub(super) fn told_in(&self, message: u32) -> Option<usize> {
        let is_of = |call: &Call| call.messages.contains(&message);
        let (call, it) = self.calls.iter().enumerate().rfind(|(_, call)| is_of(call))?;
        let plan = self.plans.get(&message)?;
        let chunks = it.acknowledged.get(&message).copied().unwrap_or(0);
        (it.is_open && chunks == plan.chunks).then_some(call)
    }

    /// Whether a REPORT about a message was heard in a session that is still there.
    pub(super) fn has_missed(&self, call: usize, message: u32) -> bool {
        let it = &self.calls[call];
        it.is_open && !it.heard.contains(&message)
    }
}

/// The MSRP URI of a call.
fn path(call: usize) -> String {
    format!("msrp://10.0.0.9:{}/s{call}ession;tcp", 7_000 + call)
}

/// A request of a user in a call.
fn request((user, call): (usize, usize), method: &str, cseq: u32, tag: &str, sdp: &str) -> Vec<u8> {
    let uri = format!("sip:+{PHONE}@sms.example;user=phone");
    let typed = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKcall{call}{method}{cseq};rport\r\n\
         Max-Forwards: 20\r\nFrom: <sip:user{user}@im.example>;tag=a{call}\r\nTo: <{uri}>{tag}\r\n\
         Call-ID: call-{call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:user{user}@10.0.0.9:5070>\r\n\
         {typed}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}
