//! IM servers: what they show to their users, and what they answer, rightly and wrongly.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::packet::Endpoint;

use crate::air::{Air, Bound, Event, Grade, Packet};
use crate::authentication::{self, Credentials};
use crate::chance::Chance;
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::{Key, Text};

/// How many kinds of behaviour there are.
pub(crate) const KINDS: usize = 30;

/// How many of them break no rule.
pub(crate) const KINDS_HONEST: usize = 11;

/// What is done with one MESSAGE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Plan {
    /// One final response at once.
    Final(u16),
    /// A provisional one first.
    Provisional(u16, u16),
    /// A final one late, but before the other side gives up.
    Slow(u16),
    /// A final one with header fields that nobody needs.
    Wordy(u16),
    Silent,
    OnlyProvisional(u16),
    /// A final one when the other side gives up, or later.
    Late(u16),
    TwoFinals(u16, u16),
    Forked,
    /// The same final response several times.
    Repeated(u16),
    Flawed(Flaw, u16),
    /// 401 or 407 with a challenge.
    Challenge(u16),
}

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    CseqNumber,
    CseqMethod,
    Branch,
    SentBy,
    ExtraVia,
    OnlyOurVia,
    NoVia,
    OtherPort,
    OtherPeer,
    Stranger,
    SecondAddress,
    ShortBody,
    NoCallId,
    StatusOutside,
    Garbage,
}

/// One IM server with its users.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<Endpoint>,
    /// Rises with each crash: what was planned before is forgotten.
    pub(crate) life: u32,
    pub(crate) down: bool,
    /// The last response per transaction, which a retransmission gets again.
    memory: BTreeMap<Key, Option<Packet>>,
    /// What users have seen, by our branch in lower case. No crash takes it away.
    pub(crate) seen: BTreeSet<Box<str>>,
    /// Requests that came, by the transaction of the SMS side. No crash takes it away.
    pub(crate) received: BTreeSet<Key>,
    /// Something that no server may ever see.
    pub(crate) trouble: Option<String>,
}

impl Server {
    pub(crate) fn new(addresses: Vec<Endpoint>) -> Self {
        Self {
            addresses,
            life: 0,
            down: false,
            memory: BTreeMap::new(),
            seen: BTreeSet::new(),
            received: BTreeSet::new(),
            trouble: None,
        }
    }

    /// Forgets what it answered, keeps what was seen.
    pub(crate) fn crash(&mut self) {
        self.life += 1;
        self.down = true;
        self.memory.clear();
    }

    /// Remembers a response that is on its way, for retransmissions.
    pub(crate) fn answered(&mut self, packet: &Packet) {
        let key = Text::read(&packet.octets).and_then(|text| text.key());
        if let Some(slot) = key.and_then(|key| self.memory.get_mut(&key)) {
            *slot = Some(packet.clone());
        }
    }

    /// Takes a datagram that came to it.
    pub(crate) fn on_packet(
        &mut self,
        index: usize,
        packet: &Packet,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        if self.down {
            if air.faults.icmp > 0 {
                air.refuse(packet);
            }
            return;
        }
        let Some(text) = Text::read(&packet.octets) else { return };
        let (Some(key), true) = (text.key(), text.start.starts_with("MESSAGE ")) else { return };
        if let Some(below) = text.key_below() {
            self.received.insert(below);
        }
        if let Some(last) = self.memory.get(&key) {
            if let Some(last) = last.clone() {
                air.send(last, Bound::Relay);
            }
            return;
        }
        let plan = match self.gatekeeping(index, packet, &text, air, swarm) {
            Some(plan) => plan,
            None => Plan::draw(&mut air.chance, swarm),
        };
        if plan.shows(&mut air.chance) {
            self.seen.insert(key.branch.to_ascii_lowercase().into());
        }
        self.memory.insert(key, None);
        let desk =
            Desk { server: index, life: self.life, addresses: &self.addresses, packet, text };
        desk.carry_out(plan, air, swarm);
    }
}

impl Server {
    /// What is done with an instant message of a short message before anything else: what must
    /// get through does, and sometimes it is asked who we are.
    fn gatekeeping(
        &mut self,
        index: usize,
        packet: &Packet,
        text: &Text<'_>,
        air: &mut Air,
        swarm: &Swarm,
    ) -> Option<Plan> {
        if text.key_below().is_some() || swarm.gateway.messages == 0 {
            return None;
        }
        let is_calm = text.start.starts_with("MESSAGE sip:calm");
        match authentication::check(text) {
            Credentials::Wrong if packet.grade == Grade::Sound && !swarm.faults.corrupting() => {
                self.trouble = Some(format!("wrong credentials: {} {}", text.start, text.head));
                return Some(Plan::Final(403));
            }
            Credentials::None => {
                // Who is asked needs room for the answer.
                let known = swarm.gateway.known_to[index] && !is_calm;
                if known && air.chance.share(swarm.gateway.challenge) {
                    return Some(Plan::Challenge(air.chance.pick(&[401, 407])));
                }
            }
            Credentials::Right | Credentials::Wrong => {}
        }
        let too_large = swarm.large.as_ref().map_or(0, |large| large.too_large);
        if !is_calm && air.chance.share(too_large) {
            return Some(Plan::Final(air.chance.pick(&[413, 513])));
        }
        is_calm.then_some(Plan::Final(200))
    }
}

impl Plan {
    fn draw(chance: &mut Chance, swarm: &Swarm) -> Self {
        let weights = &swarm.manners.im;
        let mut ticket = chance.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        let any = any_status(chance);
        let ok = if chance.one_in(4) { any } else { 200 };
        let provisional = chance.pick(&[100, 100, 180, 183, 199]);
        match kind.unwrap_or(0) {
            0 => Self::Final(200),
            1 => Self::Final(202),
            2 => Self::Final(chance.pick(&[201, 204, 250, 299])),
            3 => Self::Final(chance.pick(&[300, 301, 302, 305, 380, 399])),
            4 => Self::Final(status_4xx(chance)),
            5 => Self::Final(chance.pick(&[500, 501, 502, 503, 504, 505, 513, 580, 599])),
            6 => Self::Final(chance.pick(&[600, 603, 604, 606, 607, 608, 699])),
            7 => Self::Provisional(provisional, 200),
            8 => Self::Provisional(provisional, any),
            9 => Self::Slow(ok),
            10 => Self::Wordy(any),
            11 => Self::Silent,
            12 => Self::OnlyProvisional(provisional),
            13 | 14 => Self::Late(ok),
            15 => Self::TwoFinals(any, any_status(chance)),
            16 => Self::Forked,
            17 => Self::Repeated(ok),
            18 => Self::Flawed(chance.pick(&[Flaw::CseqNumber, Flaw::CseqMethod]), ok),
            19 => Self::Flawed(Flaw::Branch, ok),
            20 => Self::Flawed(Flaw::SentBy, ok),
            21 => Self::Flawed(Flaw::ExtraVia, ok),
            22 => Self::Flawed(Flaw::OnlyOurVia, ok),
            23 => Self::Flawed(Flaw::NoVia, ok),
            24 => Self::Flawed(Flaw::OtherPort, ok),
            25 => Self::Flawed(Flaw::OtherPeer, ok),
            26 => Self::Flawed(Flaw::Stranger, ok),
            27 => Self::Flawed(Flaw::SecondAddress, ok),
            28 => Self::Flawed(chance.pick(&[Flaw::ShortBody, Flaw::NoCallId, Flaw::Garbage]), ok),
            _ => Self::Flawed(Flaw::StatusOutside, ok),
        }
    }

    /// Whether the user sees the message.
    fn shows(self, chance: &mut Chance) -> bool {
        match self {
            Self::Final(status)
            | Self::Provisional(_, status)
            | Self::Slow(status)
            | Self::Wordy(status)
            | Self::Late(status)
            | Self::Repeated(status)
            | Self::Flawed(_, status) => shown_by(status),
            Self::TwoFinals(one, other) => shown_by(one) || shown_by(other),
            Self::Forked => true,
            Self::Challenge(_) => false,
            Self::Silent | Self::OnlyProvisional(_) => chance.one_in(2),
        }
    }
}

/// 2xx but 202: the user agent has it. 6xx: the user refused it, having seen it.
fn shown_by(status: u16) -> bool {
    status != 202 && (status / 100 == 2 || status / 100 == 6)
}

fn status_4xx(chance: &mut Chance) -> u16 {
    let notable = [
        400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415, 416, 420, 421, 430, 477,
        478, 480, 480, 481, 482, 483, 484, 485, 486, 487, 488, 491, 493, 494, 499,
    ];
    chance.pick(&notable)
}

fn any_status(chance: &mut Chance) -> u16 {
    if chance.one_in(3) {
        return u16::try_from(chance.between(300, 699)).unwrap_or(500);
    }
    match chance.below(6) {
        0 => 200,
        1 => 202,
        2 => chance.pick(&[300, 301, 302]),
        3 => status_4xx(chance),
        4 => chance.pick(&[500, 501, 503, 504, 513]),
        _ => chance.pick(&[600, 603, 606]),
    }
}

/// One request on the desk of a server.
struct Desk<'a> {
    server: usize,
    life: u32,
    addresses: &'a [Endpoint],
    packet: &'a Packet,
    text: Text<'a>,
}

impl Desk<'_> {
    fn carry_out(&self, plan: Plan, air: &mut Air, swarm: &Swarm) {
        let soon = MS + air.chance.below(20 * MS);
        let patience = swarm.transaction().min(swarm.deadline());
        match plan {
            Plan::Final(status) => self.answer(status, soon, air),
            Plan::Wordy(status) => self.wordy(status, soon, air),
            Plan::Provisional(first, status) => {
                self.answer(first, soon, air);
                let later = soon + air.chance.below(patience / 2);
                self.answer(status, later, air);
            }
            Plan::OnlyProvisional(first) => self.answer(first, soon, air),
            Plan::Slow(status) => {
                let delay = air.chance.below(patience * 19 / 20);
                self.answer(status, delay, air);
            }
            Plan::Late(status) => {
                let delay = patience - patience / 50 + air.chance.below(patience / 4 + 5 * SECOND);
                self.answer(status, delay, air);
            }
            Plan::Silent => {}
            Plan::TwoFinals(one, other) => {
                self.answer(one, soon, air);
                let later = soon + air.chance.below(3 * SECOND);
                self.answer(other, later, air);
            }
            Plan::Forked => {
                for _ in 0..air.chance.between(2, 4) {
                    let delay = soon + air.chance.below(SECOND);
                    self.answer(200, delay, air);
                }
            }
            Plan::Repeated(status) => {
                let octets = self.response(status, &mut air.chance, "");
                for _ in 0..air.chance.between(2, 6) {
                    let delay = soon + air.chance.below(SECOND);
                    self.post(octets.clone(), Grade::Sound, self.packet.to, delay, air);
                }
            }
            Plan::Challenge(status) => {
                let challenge = authentication::challenge(status, &mut air.chance);
                let octets = self.response(status, &mut air.chance, &challenge);
                self.post(octets, Grade::Sound, self.packet.to, soon, air);
            }
            Plan::Flawed(flaw, status) => self.flawed(flaw, status, soon, air, swarm),
        }
    }

    fn answer(&self, status: u16, delay: u64, air: &mut Air) {
        let octets = self.response(status, &mut air.chance, "");
        self.post(octets, Grade::Sound, self.packet.to, delay, air);
    }

    fn wordy(&self, status: u16, delay: u64, air: &mut Air) {
        let words = "Server: chatty/1.0\r\nRetry-After: 17\r\nContact: <sip:else@im.example>;q=0.7\r\n\
             WWW-Authenticate: Digest realm=\"im\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\"\r\n\
             Warning: 399 im.example \"have a nice day, and; a=b\"\r\n";
        let octets = self.response(status, &mut air.chance, words);
        self.post(octets, Grade::Sound, self.packet.to, delay, air);
    }

    /// A response as RFC 3261 section 8.2.6 wants it, in one of the forms that it allows.
    fn response(&self, status: u16, chance: &mut Chance, extra: &str) -> String {
        let reason = match status {
            200 => "OK",
            202 => "Accepted",
            480 => "Temporarily Unavailable",
            _ => "Whatever I Like",
        };
        let (via, from, to) =
            if chance.one_in(8) { ("v", "f", "t") } else { ("Via", "From", "To") };
        let mut response = format!("SIP/2.0 {status} {reason}\r\n");
        let vias: Vec<&str> = self.text.vias().map(str::trim).collect();
        if chance.one_in(8) {
            response += &format!("{via}: {}\r\n", vias.join(", "));
        } else {
            for value in vias {
                response += &format!("{via}: {value}\r\n");
            }
        }
        let field = |name: &str| self.text.value(name).unwrap_or("");
        response += &format!("{from}: {}\r\n", field("From"));
        response += &format!("{to}: {}", field("To"));
        if status > 100 && !field("To").contains(";tag=") {
            response += &format!(";tag=im{:x}", chance.word() >> 32);
        }
        response += &format!("\r\nCall-ID: {}\r\nCSeq: {}\r\n", field("Call-ID"), field("CSeq"));
        response += extra;
        response += "Content-Length: 0\r\n\r\n";
        response
    }

    fn post(&self, octets: String, grade: Grade, from: Endpoint, delay: u64, air: &mut Air) {
        // A damaged request is echoed as it came.
        let damaged = self.packet.grade != Grade::Sound && grade != Grade::Foreign;
        let grade = if damaged { Grade::Doubtful } else { grade };
        let packet = Packet {
            from,
            to: self.packet.from,
            octets: Rc::from(octets.into_bytes()),
            grade,
            truncated: false,
            mark: None,
            over: self.packet.over,
        };
        air.after(delay, Event::Answer { server: self.server, life: self.life, packet });
    }

    fn flawed(&self, flaw: Flaw, status: u16, delay: u64, air: &mut Air, swarm: &Swarm) {
        let right = self.response(status, &mut air.chance, "");
        let here = self.packet.to;
        let (octets, grade, from) = match flaw {
            Flaw::OtherPort => {
                (right, Grade::Doubtful, Endpoint { port: here.port ^ 0x0101, ..here })
            }
            Flaw::SecondAddress => {
                let from = air.chance.pick(self.addresses);
                (right, if from == here { Grade::Sound } else { Grade::Doubtful }, from)
            }
            Flaw::OtherPeer => {
                let other = (self.server + 1) % swarm.places.servers.len();
                let from = swarm.places.servers[other].addresses[0];
                let own = self.addresses.contains(&from);
                (right, if own { Grade::Doubtful } else { Grade::Foreign }, from)
            }
            Flaw::Stranger => (right, Grade::Foreign, swarm.places.strangers[0]),
            // Where ours is the only Via, this is how it should be.
            Flaw::OnlyOurVia if self.text.key_below().is_none() => (right, Grade::Sound, here),
            Flaw::CseqNumber
            | Flaw::CseqMethod
            | Flaw::Branch
            | Flaw::SentBy
            | Flaw::ExtraVia
            | Flaw::OnlyOurVia
            | Flaw::NoVia
            | Flaw::ShortBody
            | Flaw::NoCallId
            | Flaw::StatusOutside
            | Flaw::Garbage => {
                (self.spoilt(flaw, &right, status, &mut air.chance), Grade::Void, here)
            }
        };
        self.post(octets, grade, from, delay, air);
    }

    /// The response with one thing wrong in its octets.
    fn spoilt(&self, flaw: Flaw, right: &str, status: u16, chance: &mut Chance) -> String {
        let cseq = self.text.value("CSeq").unwrap_or("1 MESSAGE");
        let number: u64 = cseq.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(1);
        let top = self.text.vias().next().unwrap_or("").trim();
        let branch = crate::text::parameter(top, "branch").unwrap_or("");
        let sent_by = crate::text::sent_by(top).unwrap_or("");
        let without_vias = || {
            let keep = |line: &&str| crate::text::value_of(line, "Via").is_none();
            right.split("\r\n").filter(keep).collect::<Vec<_>>().join("\r\n")
        };
        let on_top = |via: &str, text: &str| text.replacen("\r\n", &format!("\r\n{via}"), 1);
        match flaw {
            Flaw::CseqNumber => right.replacen(cseq, &format!("{} MESSAGE", number + 1), 1),
            Flaw::CseqMethod => right.replacen(cseq, &format!("{number} INVITE"), 1),
            Flaw::Branch => {
                // One digit of the branch, behind the cookie.
                let at = 7 + chance.index(branch.len().saturating_sub(7).max(1));
                let mut octets = branch.as_bytes().to_vec();
                if let Some(octet) = octets.get_mut(at) {
                    *octet = if *octet == b'0' { b'1' } else { b'0' };
                }
                right.replacen(branch, &String::from_utf8_lossy(&octets), 1)
            }
            Flaw::SentBy => right.replacen(sent_by, "192.0.2.99:5060", 1),
            Flaw::ExtraVia => {
                on_top("Via: SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKelse\r\n", right)
            }
            Flaw::OnlyOurVia => on_top(&format!("Via: {top}\r\n"), &without_vias()),
            Flaw::NoVia => without_vias(),
            Flaw::ShortBody => right.replacen("Content-Length: 0", "Content-Length: 40", 1),
            Flaw::NoCallId => right.replacen("Call-ID:", "Call-Idle:", 1),
            Flaw::StatusOutside => {
                let bad = chance.pick(&["099", "700", "999", "2000", "20", "2O0", "-200"]);
                right.replacen(&format!("SIP/2.0 {status}"), &format!("SIP/2.0 {bad}"), 1)
            }
            Flaw::Garbage => right.replacen("SIP/2.0", "SOP/2.0", 1),
            Flaw::OtherPort | Flaw::OtherPeer | Flaw::Stranger | Flaw::SecondAddress => {
                right.to_owned()
            }
        }
    }
}
