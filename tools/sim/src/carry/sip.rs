//! The SIP of both ends: they call, ring, answer, hang up, and fall silent.

use std::collections::{BTreeMap, BTreeSet};

use super::court::LIMIT;
use super::{Act, Side, Who};
use crate::chance::Chance;
use crate::text::Text;

/// What is to happen with the SIP of an end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// It calls.
    Call(usize),
    /// A request, if nobody has answered it.
    Again {
        number: u32,
        tries: u32,
    },
    /// The caller cancels.
    Cancel(usize),
    /// A callee rings, or answers.
    Ring(Who),
    Answer(Who),
    /// A final response, if nobody has acknowledged it.
    Final {
        who: Who,
        tries: u32,
    },
    /// An end hangs up.
    Leave(Who),
    /// It falls silent.
    Hush(Who),
}

/// What an end learns from its SIP.
#[derive(Clone, Debug)]
pub(super) enum Learnt {
    /// The path of the engine, and whether it is this end that connects.
    Agreed { who: Who, to: String, connects: bool },
    /// The session is over, and this end knows it.
    Over(Who),
}

/// What one end knows of its dialog.
#[derive(Debug, Default)]
struct Dialog {
    /// The INVITE as it came, or as it was sent.
    invite: String,
    /// The last response that was sent to it.
    response: Option<(u16, String)>,
    /// From and To of requests of this end.
    parties: Option<(String, String)>,
    cseq: u32,
    is_acked: bool,
    is_over: bool,
    is_silent: bool,
    has_rung: bool,
    wants_cancel: bool,
    /// Whether it heard that somebody rings.
    is_waiting: bool,
    is_final: bool,
    acks: bool,
    connects: bool,
    /// How it answers: a status, or nothing.
    answer: Option<u16>,
    setup: &'static str,
    limit: Option<u64>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Sip {
    chance: Chance,
    dialogs: BTreeMap<Who, Dialog>,
    /// Requests that wait for an answer.
    open: BTreeMap<u32, (Who, String)>,
    numbers: u32,
    /// The call of each Call-ID of the engine, which callees learn from the first INVITE.
    named: BTreeMap<String, usize>,
    is_faultless: bool,
    pub(super) learnt: Vec<Learnt>,
    /// Calls of which an INVITE has come to their callee.
    called: BTreeSet<usize>,
    /// Calls of which the engine has heard that somebody rings.
    rung: BTreeSet<usize>,
}

impl Sip {
    pub(super) fn new(is_faultless: bool, chance: Chance) -> Self {
        Self {
            chance,
            dialogs: BTreeMap::new(),
            open: BTreeMap::new(),
            numbers: 0,
            named: BTreeMap::new(),
            is_faultless,
            learnt: Vec::new(),
            called: BTreeSet::new(),
            rung: BTreeSet::new(),
        }
    }

    fn fault(&mut self, count: u64) -> bool {
        !self.is_faultless && self.chance.one_in(count)
    }

    pub(super) fn due(&mut self, due: Due, acts: &mut Vec<Act>) {
        match due {
            Due::Call(call) => self.call(call, acts),
            Due::Again { number, tries } => self.send(number, tries, acts),
            Due::Cancel(call) => {
                let who = Who { call, side: Side::Caller };
                let Some(it) = self.dialogs.get_mut(&who) else { return };
                it.wants_cancel = true;
                self.cancel(who, acts);
            }
            Due::Ring(who) => self.respond(who, 180, acts),
            Due::Answer(who) => {
                let Some(answer) = self.dialogs.get(&who).and_then(|it| it.answer) else { return };
                self.respond(who, answer, acts);
            }
            Due::Final { who, tries } => self.repeat_final(who, tries, acts),
            Due::Leave(who) => self.leave(who, acts),
            Due::Hush(who) => {
                if let Some(it) = self.dialogs.get_mut(&who) {
                    it.is_silent = true;
                }
            }
        }
    }

    fn call(&mut self, call: usize, acts: &mut Vec<Act>) {
        let who = Who { call, side: Side::Caller };
        let setup = self.chance.pick(&["actpass", "actpass", "active", "passive"]);
        let limit = self.fault(8).then_some(LIMIT);
        let body = sdp(who, setup, limit);
        let invite = format!(
            "INVITE sip:bob{call}@im.example:5070 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.10:5070;branch=z9hG4bKal{call};rport\r\n\
             Max-Forwards: 20\r\nFrom: <sip:alice{call}@im-2.example>;tag=al{call}\r\n\
             To: <sip:bob{call}@im.example>\r\nCall-ID: al-{call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:alice{call}@10.0.0.10:5070>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let acks = !self.fault(15);
        let it = Dialog { invite: invite.clone(), cseq: 1, acks, setup, ..Dialog::default() };
        self.dialogs.insert(who, it);
        self.open(who, invite, acts);
        if self.fault(7) {
            let mean = self.chance.pick(&[30, 500, 4_000]);
            acts.push(later(self.chance.exponential(mean), Due::Cancel(call)));
        }
        self.hush(who, acts);
    }

    fn hush(&mut self, who: Who, acts: &mut Vec<Act>) {
        if self.fault(14) {
            acts.push(later(self.chance.exponential(20_000), Due::Hush(who)));
        }
    }

    fn open(&mut self, who: Who, text: String, acts: &mut Vec<Act>) {
        self.numbers += 1;
        self.open.insert(self.numbers, (who, text));
        self.send(self.numbers, 0, acts);
    }

    fn is_silent(&self, who: Who) -> bool {
        self.dialogs.get(&who).is_none_or(|it| it.is_silent)
    }

    fn send(&mut self, number: u32, tries: u32, acts: &mut Vec<Act>) {
        let Some((who, text)) = self.open.get(&number).cloned() else { return };
        if tries == 11 || self.is_silent(who) {
            self.open.remove(&number);
            return self.over(who);
        }
        acts.push(Act::Send(who, text.into_bytes()));
        acts.push(later(500 << tries.min(3), Due::Again { number, tries: tries + 1 }));
    }

    /// No request of this end in this transaction is sent again.
    fn answered(&mut self, who: Who, method: &str) {
        self.open.retain(|_, (of, text)| *of != who || !text.starts_with(method));
    }

    fn cancel(&mut self, who: Who, acts: &mut Vec<Act>) {
        let Some(it) = self.dialogs.get_mut(&who) else { return };
        if !it.wants_cancel || !it.is_waiting || it.is_final {
            return;
        }
        it.wants_cancel = false;
        let text = bodiless(&it.invite).replacen("INVITE ", "CANCEL ", 1);
        let text = text.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL");
        self.open(who, text, acts);
    }

    /// An end hangs up, if there is something to hang up.
    pub(super) fn leave(&mut self, who: Who, acts: &mut Vec<Act>) {
        let Some(it) = self.dialogs.get_mut(&who) else { return };
        if it.is_over {
            return;
        }
        let Some((from, to)) = it.parties.clone() else {
            it.wants_cancel = true;
            return self.cancel(who, acts);
        };
        if !who.side.is_caller() && !it.is_acked {
            return;
        }
        it.cseq += 1;
        let cseq = it.cseq;
        let text = self.inside(who, "BYE", cseq, &from, &to);
        self.open(who, text, acts);
        self.over(who);
    }

    fn inside(&self, who: Who, method: &str, cseq: u32, from: &str, to: &str) -> String {
        let invite = self.dialogs.get(&who).map_or("", |it| &it.invite);
        let call_id = Text::read(invite.as_bytes()).and_then(|text| text.value("Call-ID"));
        let (host, port) = (who.host(), who.port());
        format!(
            "{method} sip:10.0.0.5:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {host}:5070;branch=z9hG4bK{method}{port}c{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            call_id.unwrap_or_default()
        )
    }

    fn over(&mut self, who: Who) {
        let Some(it) = self.dialogs.get_mut(&who) else { return };
        if !core::mem::replace(&mut it.is_over, true) {
            self.learnt.push(Learnt::Over(who));
        }
    }

    /// A datagram of a callee comes to the engine.
    pub(super) fn comes(&mut self, octets: &[u8]) {
        let Some(text) = Text::read(octets) else { return };
        let call = text.value("Call-ID").and_then(|id| self.named.get(id).copied());
        if text.status() == Some(180) {
            self.rung.extend(call);
        }
    }

    /// A datagram comes for one of those at this address.
    pub(super) fn take(&mut self, is_caller: bool, octets: &[u8], acts: &mut Vec<Act>) {
        let Some(text) = Text::read(octets) else { return };
        let call_id = text.value("Call-ID").unwrap_or_default();
        if text.start.starts_with("INVITE ") && !is_caller {
            return self.on_invite(&text, octets, acts);
        }
        let call = match is_caller {
            true => call_id.strip_prefix("al-").and_then(|call| call.parse().ok()),
            false => self.named.get(call_id).copied(),
        };
        let Some(call) = call else { return };
        let side = match is_caller {
            true => Side::Caller,
            false => {
                let of_fork =
                    |name| text.value(name).is_some_and(|value| value.contains(";tag=fo"));
                if of_fork("To") || of_fork("From") { Side::Fork } else { Side::Callee }
            }
        };
        let who = Who { call, side };
        if self.is_silent(who) {
            return;
        }
        match text.status() {
            Some(status) => self.on_response(who, status, &text, acts),
            None => self.on_request(who, &text, acts),
        }
    }

    fn on_invite(&mut self, text: &Text<'_>, octets: &[u8], acts: &mut Vec<Act>) {
        let call = text.value("From").and_then(|from| {
            from.split("sip:alice").nth(1)?.split('@').next()?.parse::<usize>().ok()
        });
        let Some(call) = call else { return };
        let who = Who { call, side: Side::Callee };
        if !self.called.insert(call) {
            for side in [Side::Callee, Side::Fork] {
                let who = Who { call, side };
                let Some(it) = self.dialogs.get(&who).filter(|it| !it.is_silent) else { continue };
                // RFC 6026 section 7.1: what was answered 2xx is not answered again for a copy.
                if let Some((status, response)) = &it.response
                    && !it.is_acked
                    && *status != 200
                {
                    acts.push(Act::Send(who, response.clone().into_bytes()));
                }
            }
            return;
        }
        self.named.insert(text.value("Call-ID").unwrap_or_default().to_owned(), call);
        let invite = String::from_utf8_lossy(octets).into_owned();
        let is_forked = self.fault(8);
        for side in [Side::Callee, Side::Fork] {
            let who = Who { side, ..who };
            if side == Side::Fork && !is_forked {
                continue;
            }
            let answer =
                match (is_forked, if self.is_faultless { 9 } else { self.chance.below(16) }) {
                    (false, 0) => Some(self.chance.pick(&[302, 404, 480, 486, 488, 503, 603])),
                    // It rings for ever, or never does anything.
                    (_, 1) => None,
                    _ => Some(200),
                };
            let setup = self.chance.pick(&["passive", "passive", "active"]);
            let limit = self.fault(8).then_some(LIMIT);
            let it = Dialog { invite: invite.clone(), answer, setup, limit, ..Dialog::default() };
            self.dialogs.insert(who, it);
            let rings = self.chance.exponential(300);
            if !self.chance.one_in(3) {
                acts.push(later(rings, Due::Ring(who)));
            }
            let mean = self.chance.pick(&[10, 1_000, 1_000, 20_000]);
            if answer.is_some() {
                acts.push(later(rings + self.chance.exponential(mean), Due::Answer(who)));
            }
            self.hush(who, acts);
        }
    }

    fn respond(&mut self, who: Who, status: u16, acts: &mut Vec<Act>) {
        let Some(it) = self.dialogs.get_mut(&who).filter(|it| !it.is_silent && !it.is_final) else {
            return;
        };
        let Some(text) = Text::read(it.invite.as_bytes()) else { return };
        let tag = if who.side == Side::Fork { "fo" } else { "bo" };
        let body = if status == 200 { sdp(who, it.setup, it.limit) } else { String::new() };
        let call = who.call;
        let fields = match status {
            200 => format!(
                "Contact: <sip:bob{call}@10.0.0.9:5070>\r\nContent-Type: application/sdp\r\n"
            ),
            302 => "Contact: <sip:bob@far.example>\r\n".to_owned(),
            _ => String::new(),
        };
        let response = response(&text, status, &format!("{tag}{call}"), &fields, &body);
        let parties = Text::read(response.as_bytes())
            .and_then(|text| Some((text.value("To")?.to_owned(), text.value("From")?.to_owned())));
        let to = attribute(text.body, "path");
        it.response = Some((status, response.clone()));
        it.has_rung |= status < 200;
        if status == 200 {
            it.parties = parties;
            it.connects = it.setup == "active";
            let connects = it.connects;
            self.learnt.push(Learnt::Agreed { who, to, connects });
        }
        if status < 200 {
            acts.push(Act::Send(who, response.into_bytes()));
        } else {
            it.is_final = true;
            self.repeat_final(who, 0, acts);
        }
    }

    fn repeat_final(&mut self, who: Who, tries: u32, acts: &mut Vec<Act>) {
        let Some(it) = self.dialogs.get_mut(&who).filter(|it| !it.is_acked && !it.is_silent) else {
            return;
        };
        let Some((status, response)) = it.response.clone() else { return };
        if tries < 11 {
            acts.push(Act::Send(who, response.into_bytes()));
            acts.push(later(500 << tries.min(3), Due::Final { who, tries: tries + 1 }));
        } else if status == 200 {
            // RFC 3261 section 13.3.1.4: the session is there, and it is ended.
            it.is_acked = true;
            self.leave(who, acts);
        }
    }

    fn on_response(&mut self, who: Who, status: u16, text: &Text<'_>, acts: &mut Vec<Act>) {
        let cseq = text.value("CSeq").unwrap_or_default();
        let method = cseq.split(' ').nth(1).unwrap_or_default();
        if method != "INVITE" {
            if status >= 200 {
                self.answered(who, method);
            }
            return;
        }
        self.answered(who, "INVITE");
        let Some(it) = self.dialogs.get_mut(&who) else { return };
        if status < 200 {
            it.is_waiting = true;
            return self.cancel(who, acts);
        }
        let to = text.value("To").unwrap_or_default().to_owned();
        let from = text.value("From").unwrap_or_default().to_owned();
        let is_first = !core::mem::replace(&mut it.is_final, true);
        if status >= 300 {
            let ack = bodiless(&it.invite).replacen("INVITE ", "ACK ", 1);
            let ack = ack.replace("CSeq: 1 INVITE", "CSeq: 1 ACK");
            let ack =
                ack.replace(&format!("To: <sip:bob{}@im.example>", who.call), &format!("To: {to}"));
            acts.push(Act::Send(who, ack.into_bytes()));
            return self.over(who);
        }
        let acks = it.acks;
        if is_first {
            it.parties = Some((from.clone(), to.clone()));
            it.connects = attribute(text.body, "setup") == "passive";
            let (to, connects) = (attribute(text.body, "path"), it.connects);
            self.learnt.push(Learnt::Agreed { who, to, connects });
        }
        if acks {
            let ack = self.inside(who, "ACK", 1, &from, &to);
            acts.push(Act::Send(who, ack.into_bytes()));
        }
    }

    fn on_request(&mut self, who: Who, text: &Text<'_>, acts: &mut Vec<Act>) {
        let method = text.start.split(' ').next().unwrap_or_default();
        if method == "ACK" {
            for side in [Side::Callee, Side::Fork] {
                let who = Who { side, ..who };
                let tag = if side == Side::Fork { ";tag=fo" } else { ";tag=bo" };
                if text.value("To").is_some_and(|to| to.contains(tag))
                    && let Some(it) = self.dialogs.get_mut(&who)
                {
                    it.is_acked = true;
                    if it.response.as_ref().is_some_and(|(status, _)| *status >= 300) {
                        self.over(who);
                    }
                }
            }
            return;
        }
        let tag = match who.side {
            Side::Caller => format!("al{}", who.call),
            Side::Callee => format!("bo{}", who.call),
            Side::Fork => format!("fo{}", who.call),
        };
        acts.push(Act::Send(who, response(text, 200, &tag, "", "").into_bytes()));
        if method == "BYE" {
            self.answered(who, "BYE");
            if let Some(it) = self.dialogs.get_mut(&who) {
                it.is_acked = true;
            }
            self.over(who);
        }
        if method == "CANCEL" {
            let all = [Side::Callee, Side::Fork].map(|side| Who { side, ..who });
            let is_taken = |who: &Who| {
                let response = self.dialogs.get(who).and_then(|it| it.response.as_ref());
                response.is_some_and(|(status, _)| *status >= 200)
            };
            if !all.iter().any(is_taken) {
                self.respond(all[0], 487, acts);
                if let Some(fork) = self.dialogs.get_mut(&all[1]) {
                    fork.is_final = true;
                }
            }
            for who in all {
                if self.dialogs.get(&who).is_some_and(|it| it.parties.is_none()) {
                    self.over(who);
                }
            }
        }
    }

    /// Whether two callees have the INVITE of a call: what ends with one of them may go on with the other.
    pub(super) fn is_forked(&self, call: usize) -> bool {
        self.dialogs.contains_key(&Who { call, side: Side::Fork })
    }

    /// What this end still believes, if that is wrong when all is over.
    pub(super) fn belief(&self, who: Who) -> Option<&'static str> {
        let it = self.dialogs.get(&who).filter(|it| !it.is_over && !it.is_silent)?;
        if it.parties.is_some() && (who.side.is_caller() || it.is_acked) {
            return Some("believes in a session");
        }
        if who.side.is_caller() && !it.is_final {
            return Some("waits for an answer");
        }
        // Where another one has answered, it is for who has forked to say so (RFC 3261 section 16.7).
        let is_taken = [Side::Callee, Side::Fork].into_iter().any(|side| {
            self.dialogs.get(&Who { side, ..who }).is_some_and(|it| it.parties.is_some())
        });
        // What nobody has said anything to cannot be cancelled (section 9.1).
        let rings = !it.is_final && it.answer.is_none() && self.rung.contains(&who.call);
        (rings && it.has_rung && !is_taken).then_some("rings for ever")
    }
}

fn later(ms: u64, due: Due) -> Act {
    Act::Later(ms, super::Due::Sip(due))
}

fn attribute(sdp: &[u8], name: &str) -> String {
    let sdp = String::from_utf8_lossy(sdp);
    let begin = ["a=", name, ":"].concat();
    let value = sdp.split(&begin).nth(1).and_then(|rest| rest.split("\r\n").next());
    value.unwrap_or_default().to_owned()
}

fn sdp(who: Who, setup: &str, limit: Option<u64>) -> String {
    let (host, port, path) = (who.host(), who.port(), who.path());
    let limit = limit.map_or(String::new(), |limit| format!("a=max-size:{limit}\r\n"));
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=message {port} TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:{path}\r\n\
         a=setup:{setup}\r\n{limit}"
    )
}

/// A request without its body.
fn bodiless(request: &str) -> String {
    let head = request.split("Contact: ").next().unwrap_or_default();
    format!("{head}Content-Length: 0\r\n\r\n")
}

/// What a UAS answers.
fn response(request: &Text<'_>, status: u16, tag: &str, fields: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for line in request.lines() {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if matches!(name.as_str(), "via" | "from" | "to" | "call-id" | "cseq" | "record-route") {
            text.push_str(line);
            if name == "to" && !line.contains(";tag=") {
                text.push_str(";tag=");
                text.push_str(tag);
            }
            text.push_str("\r\n");
        }
    }
    text.push_str(fields);
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}
