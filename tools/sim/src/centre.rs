//! Service centres: they hand short messages over, try again as service centres do, and take our
//! reports, lose them, refuse them or ask who we are.

use std::collections::BTreeMap;
use std::rc::Rc;

use roger::engine::Recipient;
use roger::packet::Endpoint;

use crate::air::{Air, Bound, Event, Grade, Over, Packet};
use crate::authentication::{self, Credentials};
use crate::chance::Chance;
use crate::rp::{Answer, Report};
use crate::short::{Composer, Short};
use crate::swarm::{LISTENER_V4, MS, SECOND, Swarm};
use crate::text::{Key, Text, written};

/// How many ways there are to take a report.
pub(crate) const KINDS: usize = 12;

/// TR1N: how long a service centre waits for a report (TS 24.011 section 10).
const PATIENCE: u64 = 40 * SECOND;

/// What a service centre is going to do.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Composes the next short message.
    Compose,
    /// Hands a short message over, for the first time or again.
    Submit(usize),
    /// Transmits the MESSAGE of a submission.
    Transmit(usize),
    /// Has waited long enough for the report about a submission.
    Impatient(usize),
    /// Answers a report.
    Answer(Packet),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Composed,
    Trying,
    Proceeding,
    /// A final response is there; so many copies follow all the same.
    Completed(u32),
    Ended,
}

/// One submission of a short message: RP-DATA, or what stands for it, in a MESSAGE of its own.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) short: usize,
    pub(crate) centre: usize,
    /// What names its transaction.
    pub(crate) key: Key,
    pub(crate) call_id: String,
    /// RP-MR.
    pub(crate) reference: u8,
    /// Where the report must go.
    pub(crate) report_to: String,
    pub(crate) octets: Rc<[u8]>,
    /// What the service centre was told by a report.
    pub(crate) heard: Option<Answer>,
    /// The final response.
    pub(crate) status: Option<u16>,
    to: Endpoint,
    state: State,
    started: u64,
    interval: u64,
}

/// What is done with one report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Plan {
    Answer(u16),
    /// So many nanoseconds later.
    Late(u16, u64),
    /// Not taken, not answered.
    Deaf,
    /// Taken, not answered.
    Mute,
    /// Only the copy with this number is answered.
    Copy(u32, u16),
    Twice(u16),
    /// From the second address of the service centre.
    Elsewhere(u16),
    /// Answered, and forgotten.
    Forgotten,
    Challenge(u16),
}

/// What a service centre remembers of a report.
#[derive(Debug)]
struct Memory {
    plan: Plan,
    copies: u32,
    answer: Option<Packet>,
}

/// All service centres.
#[derive(Debug, Default)]
pub(crate) struct Centres {
    pub(crate) shorts: Vec<Short>,
    pub(crate) submissions: Vec<Submission>,
    /// Something that no service centre may ever see.
    pub(crate) trouble: Option<String>,
    composer: Composer,
    by_key: BTreeMap<Key, usize>,
    by_call: BTreeMap<Box<str>, usize>,
    reports: BTreeMap<Key, Memory>,
    reference: u8,
}

impl Centres {
    /// The submission with this key.
    pub(crate) fn find(&self, key: &Key) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The submission with this Call-ID.
    pub(crate) fn find_call(&self, call_id: &str) -> Option<usize> {
        self.by_call.get(call_id).copied()
    }

    /// Does what is due.
    pub(crate) fn on_task(&mut self, task: Task, calm: bool, air: &mut Air, swarm: &Swarm) {
        match task {
            Task::Compose => self.compose(calm, air, swarm),
            Task::Submit(short) => self.submit(short, air, swarm),
            Task::Transmit(submission) => self.transmit(submission, air, swarm),
            Task::Impatient(submission) => {
                if self.submissions[submission].heard.is_none() {
                    let share = swarm.gateway.again_after_silence;
                    self.again(self.submissions[submission].short, share, air);
                }
            }
            Task::Answer(packet) => {
                let key = Text::read(&packet.octets).and_then(|text| text.key());
                if let Some(memory) = key.and_then(|key| self.reports.get_mut(&key)) {
                    memory.answer = Some(packet.clone());
                }
                air.send(packet, Bound::Relay);
            }
        }
    }

    fn compose(&mut self, calm: bool, air: &mut Air, swarm: &Swarm) {
        for short in self.composer.compose(air.now, calm, &mut air.chance, swarm) {
            let index = self.shorts.len();
            let at_once = air.chance.share(swarm.gateway.again_at_once);
            let retried = short.is_retried() && !calm;
            self.shorts.push(short);
            let delay = air.chance.below(20 * MS);
            air.after(delay, Event::Centre(Task::Submit(index)));
            if at_once && retried {
                let longest = air.chance.pick(&[20 * MS, SECOND, 30 * SECOND]);
                let delay = delay + air.chance.below(longest);
                air.after(delay, Event::Centre(Task::Submit(index)));
            }
        }
    }

    /// Tries a short message again, sometimes.
    fn again(&mut self, short: usize, share: u64, air: &mut Air) {
        let record = &mut self.shorts[short];
        if record.retries == 0 || !record.is_retried() || !air.chance.share(share) {
            return;
        }
        record.retries -= 1;
        let (low, high) = air.chance.pick(&[(1, 5), (1, 60), (60, 400)]);
        let delay = air.chance.between(low * SECOND, high * SECOND);
        air.after(delay, Event::Centre(Task::Submit(short)));
    }

    fn submit(&mut self, short: usize, air: &mut Air, swarm: &Swarm) {
        let index = self.submissions.len();
        let reference = if swarm.gateway.references_drawn {
            air.chance.word().to_be_bytes()[0] & 0x0F
        } else {
            self.reference = self.reference.wrapping_add(1);
            self.reference
        };
        let submission = written_by(&self.shorts[short], short, reference, &mut air.chance, swarm);
        self.by_key.insert(submission.key.clone(), index);
        self.by_call.insert(submission.call_id.as_str().into(), index);
        self.submissions.push(submission);
        self.transmit(index, air, swarm);
    }

    fn transmit(&mut self, index: usize, air: &mut Air, swarm: &Swarm) {
        let (t1, t2) = (u64::from(swarm.t1_ms) * MS, u64::from(swarm.t2_ms) * MS);
        let now = air.now;
        let submission = &mut self.submissions[index];
        submission.interval = match submission.state {
            State::Composed => {
                submission.started = now;
                submission.state = State::Trying;
                t1
            }
            State::Trying => (submission.interval * 2).min(t2),
            State::Proceeding => t2,
            State::Completed(0) | State::Ended => return,
            State::Completed(copies) => {
                submission.state = State::Completed(copies - 1);
                swarm.transaction() / 40
            }
        };
        let completed = matches!(submission.state, State::Completed(_));
        if !completed && now - submission.started >= swarm.transaction() {
            submission.state = State::Ended;
            let short = submission.short;
            return self.again(short, swarm.gateway.again_after_silence, air);
        }
        air.after(submission.interval, Event::Centre(Task::Transmit(index)));
        let packet = Packet {
            from: swarm.gateway.centres[submission.centre].addresses[0],
            to: submission.to,
            octets: submission.octets.clone(),
            grade: Grade::Sound,
            truncated: false,
            mark: Some(index),
            over: Over::Datagram,
        };
        air.send(packet, Bound::Relay);
    }

    /// Takes a datagram that came to a service centre.
    pub(crate) fn on_packet(
        &mut self,
        centre: usize,
        packet: &Packet,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        if packet.grade != Grade::Sound {
            return;
        }
        let Some(text) = Text::read(&packet.octets) else { return };
        let Some(key) = text.key() else { return };
        match text.status() {
            Some(status) => self.on_response(&key, status, air, swarm),
            None => self.on_report(centre, key, packet, &text, air, swarm),
        }
    }

    fn on_response(&mut self, key: &Key, status: u16, air: &mut Air, swarm: &Swarm) {
        let Some(index) = self.find(key) else { return };
        let submission = &mut self.submissions[index];
        if !matches!(submission.state, State::Trying | State::Proceeding) {
            return;
        }
        if status < 200 {
            submission.state = State::Proceeding;
            return;
        }
        let copies = if air.chance.one_in(8) { 2 } else { 0 };
        submission.state = State::Completed(copies);
        submission.status = Some(status);
        let short = submission.short;
        match status {
            200..=299 => air.after(PATIENCE, Event::Centre(Task::Impatient(index))),
            503 => self.again(short, swarm.gateway.again_after_error, air),
            _ => {}
        }
    }

    /// A report of ours.
    fn on_report(
        &mut self,
        centre: usize,
        key: Key,
        packet: &Packet,
        text: &Text<'_>,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        if let Some(memory) = self.reports.get_mut(&key) {
            memory.copies += 1;
            let (copies, plan) = (memory.copies, memory.plan);
            if let Some(answer) = memory.answer.clone() {
                air.send(answer, Bound::Relay);
            } else if let Plan::Copy(number, status) = plan
                && copies == number
            {
                self.hear(text, air, swarm);
                let answer = answered(packet, text, status, "", &mut air.chance);
                air.after(0, Event::Centre(Task::Answer(answer)));
            }
            return;
        }
        let known = swarm.gateway.centres[centre].known;
        let plan = match authentication::check(text) {
            // A damaged challenge is answered as it came.
            Credentials::Wrong if swarm.faults.corrupting() => Plan::Answer(403),
            Credentials::Wrong => {
                self.trouble = Some(format!("a report with wrong credentials: {}", text.head));
                Plan::Deaf
            }
            Credentials::Right => Plan::draw(false, air, swarm),
            Credentials::None => Plan::draw(known, air, swarm),
        };
        self.reports.insert(key, Memory { plan, copies: 1, answer: None });
        self.carry_out(plan, centre, packet, text, air, swarm);
    }

    fn carry_out(
        &mut self,
        plan: Plan,
        centre: usize,
        packet: &Packet,
        text: &Text<'_>,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        let heard = match plan {
            Plan::Answer(status) | Plan::Late(status, _) | Plan::Twice(status) => status < 300,
            Plan::Mute | Plan::Elsewhere(_) => true,
            Plan::Deaf | Plan::Copy(..) | Plan::Forgotten | Plan::Challenge(_) => false,
        };
        if heard {
            self.hear(text, air, swarm);
        }
        let soon = MS + air.chance.below(20 * MS);
        let mut answer = |status, delay, extra: &str, from: Endpoint| {
            let mut packet = answered(packet, text, status, extra, &mut air.chance);
            packet.from = from;
            air.after(delay, Event::Centre(Task::Answer(packet)));
        };
        let here = packet.to;
        match plan {
            Plan::Answer(503) => answer(503, soon, "Retry-After: 7\r\n", here),
            Plan::Answer(status) => answer(status, soon, "", here),
            Plan::Late(status, delay) => answer(status, delay, "", here),
            Plan::Twice(status) => {
                answer(status, soon, "", here);
                answer(status, soon + 30 * MS, "", here);
            }
            Plan::Elsewhere(status) => {
                let addresses = &swarm.gateway.centres[centre].addresses;
                answer(status, soon, "", addresses[addresses.len() - 1]);
            }
            Plan::Forgotten => answer(200, soon, "", here),
            Plan::Challenge(status) => {
                let challenge = authentication::challenge(status, &mut air.chance);
                let packet = answered(packet, text, status, &challenge, &mut air.chance);
                air.after(soon, Event::Centre(Task::Answer(packet)));
            }
            Plan::Deaf | Plan::Mute | Plan::Copy(..) => {}
        }
    }

    /// Believes what a report says, and acts on it.
    fn hear(&mut self, text: &Text<'_>, air: &mut Air, swarm: &Swarm) {
        let about = text.value("In-Reply-To").and_then(|call_id| self.find_call(call_id));
        let (Some(index), Some(report)) = (about, Report::read(text.body)) else { return };
        let submission = &mut self.submissions[index];
        if submission.heard.is_some() {
            return;
        }
        submission.heard = Some(report.answer);
        let (short, gateway) = (submission.short, &swarm.gateway);
        let share = match report.answer {
            Answer::Ack => gateway.again_after_ack,
            Answer::Error { .. } => gateway.again_after_error,
        };
        self.again(short, share, air);
    }
}

impl Plan {
    fn draw(challenges: bool, air: &mut Air, swarm: &Swarm) -> Self {
        let chance = &mut air.chance;
        let weights = &swarm.gateway.reports;
        let mut ticket = chance.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        let ok = chance.pick(&[200, 202]);
        match kind.unwrap_or(0) {
            1 => Self::Answer(503),
            2 => Self::Answer(chance.pick(&[400, 403, 404, 408, 415, 480, 500, 504, 600])),
            3 => Self::Deaf,
            4 => Self::Mute,
            5 => Self::Late(ok, chance.below(swarm.transaction() + 5 * SECOND)),
            6 => Self::Copy(u32::try_from(chance.between(2, 5)).unwrap_or(2), ok),
            7 => Self::Twice(ok),
            8 => Self::Elsewhere(ok),
            9 => Self::Forgotten,
            10 | 11 if challenges => Self::Challenge(chance.pick(&[401, 407])),
            _ => Self::Answer(ok),
        }
    }
}

/// A response to a report.
fn answered(
    packet: &Packet,
    text: &Text<'_>,
    status: u16,
    extra: &str,
    chance: &mut Chance,
) -> Packet {
    let vias: Vec<&str> = text.vias().map(str::trim).collect();
    let field = |name| text.value(name).unwrap_or("");
    let octets = format!(
        "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=sc{:x}\r\nCall-ID: {}\r\n\
         CSeq: {}\r\n{extra}Content-Length: 0\r\n\r\n",
        vias.join("\r\nVia: "),
        field("From"),
        field("To"),
        chance.word() >> 40,
        field("Call-ID"),
        field("CSeq"),
    );
    Packet {
        from: packet.to,
        to: packet.from,
        octets: octets.into_bytes().into(),
        grade: Grade::Sound,
        truncated: false,
        mark: None,
        over: packet.over,
    }
}

/// The MESSAGE that carries a short message (TS 24.341 section 5.3).
fn written_by(
    short: &Short,
    index: usize,
    reference: u8,
    chance: &mut Chance,
    swarm: &Swarm,
) -> Submission {
    let centre = &swarm.gateway.centres[short.centre];
    let (own, us) = (centre.addresses[0], swarm.places.sockets[LISTENER_V4]);
    let elsewhere = "sip:+4930123@home.example";
    let recipient = short.recipient.as_str();
    let called = centre.recipient != Recipient::CalledParty || !chance.one_in(5);
    let other = if chance.one_in(2) { elsewhere } else { recipient };
    let (called_party, to) = match centre.recipient {
        Recipient::CalledParty if called => (recipient, other),
        Recipient::CalledParty => ("", recipient),
        Recipient::To => (chance.pick(&["", elsewhere]), recipient),
        Recipient::RequestUri => (chance.pick(&["", elsewhere]), other),
    };
    let contact = format!("sip:roger@{}", written(us));
    let uri = if centre.recipient == Recipient::RequestUri { recipient } else { &contact };
    let from = format!("sip:sc{}@sms.example", short.centre);
    let asserted = match chance.below(4) {
        0 => None,
        1 => Some("tel:+8613800138000".to_owned()),
        _ => Some(format!("sip:ipsmgw{}.sms.example", short.centre)),
    };
    let branch = format!("z9hG4bKsc{:x}", chance.word());
    let call_id = format!("s{:x}@sc.example", chance.word());
    let mut head = format!(
        "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: <{from}>;tag={:x}\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n",
        written(own),
        chance.word() >> 40,
    );
    if let Some(asserted) = &asserted {
        head += &format!("P-Asserted-Identity: <{asserted}>\r\n");
    }
    if !called_party.is_empty() {
        head += &format!("P-Called-Party-ID: <{called_party}>\r\n");
    }
    if short.encoded {
        head += "Content-Encoding: gzip\r\n";
    }
    let body = short.body(reference);
    head += &format!(
        "Accept-Contact: *;+g.3gpp.smsip;require;explicit\r\nRequest-Disposition: no-fork\r\n\
         Content-Type: application/vnd.3gpp.sms\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let octets: Rc<[u8]> = [head.as_bytes(), &body].concat().into();
    let key = Text::read(&octets).and_then(|text| text.key());
    Submission {
        short: index,
        centre: short.centre,
        key: key.unwrap_or_else(|| unreachable!("it was just written")),
        call_id,
        reference,
        report_to: asserted.unwrap_or(from),
        octets,
        heard: None,
        status: None,
        to: us,
        state: State::Composed,
        started: 0,
        interval: 0,
    }
}
