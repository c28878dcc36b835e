//! The clock, the network, and the engine between users and the centre.

use core::num::NonZeroU32;
use std::collections::BTreeMap;
use std::sync::Arc;

use roger::delivery::Role;
use roger::engine::{Engine, Families, Large, Peer, RequestSockets, Setup, Strangers, Timers};
use roger::engine::{Gateway, Host};
use roger::id::WorkerId;
use roger::limits::TIMERS_PER_TURN_MAX;
use roger::metrics::{Counter, Tally};
use roger::packet::{
    Arrival, ConnectionId, Departures, Endpoint, Flow, JournalSeq, Owner, Rest, SocketId,
    StreamEvent, Transport, Used, Wish,
};
use roger::store::HashKey;
use roger::time::Instant;

use super::InwardOutcome;
use super::bug::InwardBug;
use super::centre::{self, Centre, status_report};
use super::court::Court;
use super::users::{self, Users};
use super::wires::{Frame, Part};
use crate::chance::Chance;
use crate::digest::Digest;
use crate::text::{Text, endpoint};

const START: Instant = Instant(1_000_000_000_000);

/// Nothing takes longer than this, in milliseconds: users lose patience, and the engine's own waits end.
const END_MS: u32 = 4 * 3_600_000;

const MSRP: SocketId = SocketId(1);

/// Indices of connections that are used in turn.
const PLACES: usize = 200;

enum Event {
    ToEngine(bool, Vec<u8>),
    ToUsers(Vec<u8>),
    ToCentre(Vec<u8>),
    Opened(usize, Option<Owner>),
    Said(usize, Vec<u8>),
    Heard(usize, Vec<u8>),
    Cut(usize),
    User(users::Due),
    Centre(centre::Due),
    Check(usize, u32),
}

/// One connection of MSRP.
struct Line {
    call: usize,
    id: ConnectionId,
    is_open: bool,
    /// What the engine has not used yet.
    unread: Vec<u8>,
    is_blocked: bool,
    /// When the last octets arrive on either side.
    last: [Instant; 2],
    /// What the user has not divided yet, for a bug that changes what he hears.
    held: Vec<u8>,
}

pub(super) struct World {
    seed: u64,
    bug: Option<InwardBug>,
    chance: Chance,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    engine: Engine,
    out: Departures,
    tally: Arc<Tally>,
    users: Users,
    centre: Centre,
    court: Court,
    lines: Vec<Line>,
    /// Of ten thousand datagrams, and of connections.
    lost: u64,
    doubled: u64,
    cut: u64,
    digest: Digest,
    trace: Option<Vec<String>>,
}

fn setup(seed: u64) -> Setup {
    let peer = |name: &str, address: &str| Peer {
        trusted: true,
        addresses: endpoint(address).into_iter().collect(),
        hosts: endpoint(address)
            .map(|endpoint| Host { name: format!("{name}.example").into(), port: 5060, endpoint })
            .into_iter()
            .collect(),
        ..Peer::new(name, Role::Endpoint)
    };
    Setup {
        worker: WorkerId(0),
        node: 1,
        epoch: 7,
        key: HashKey([seed, !seed]),
        peers: [
            Peer { sms: true, submit: Some("+491710760000".into()), ..peer("sc", "10.0.0.1:5060") },
            Peer { im: true, ..peer("im", "10.0.0.9:5070") },
        ]
        .into(),
        own_endpoints: endpoint("10.0.0.5:5060").into_iter().collect(),
        own_hosts: [("roger.example".into(), 5060)].into(),
        sent_by: ["10.0.0.5:5060".into()].into(),
        transports: [Transport::Udp].into(),
        request_sockets: RequestSockets {
            udp: Families { v4: Some(SocketId(0)), v6: None },
            ..RequestSockets::default()
        },
        next_servers: endpoint("10.0.0.9:5070").into_iter().collect(),
        timers: Timers::RFC_3261,
        gateway: Gateway { domain: "sms.example".into(), ..Gateway::default() },
        large: Some(Large {
            sockets: Families { v4: Some(MSRP), v6: None },
            authority_v4: "10.0.0.5:2855".into(),
            submissions_max: 16,
            ..Large::default()
        }),
        strangers: Strangers::Silence,
        messages_max: 64,
        messages_large_max: 4,
        finished_max: 2_000,
        accounts: true,
    }
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<InwardBug>, told: bool) -> Self {
        let mut chance = Chance::new(seed ^ 0x1A3A_4D00);
        let mut court = Court::default();
        let users = Users::new(&mut court, chance.fork());
        let is_honest = chance.one_in(6);
        let centre = Centre::new(is_honest, chance.fork());
        let is_faultless = chance.one_in(4);
        let mut draw = |most| if is_faultless { 0 } else { chance.below(most) };
        let (lost, doubled, cut) = (draw(2_500), draw(1_500), draw(6_000));
        let setup = setup(seed);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let engine = Engine::new(setup, Arc::clone(&tally), START);
        let mut world = Self {
            seed,
            bug,
            chance: chance.fork(),
            now: START,
            events: BTreeMap::new(),
            sequence: 0,
            engine,
            out: Departures::with_connections(256),
            tally,
            users,
            centre,
            court,
            lines: Vec::new(),
            lost,
            doubled,
            cut,
            digest: Digest::new(),
            trace: told.then(Vec::new),
        };
        for user in 0..world.users.count() {
            let at = world.chance.below(2_000);
            world.later(at, Event::User(users::Due::Begin(user)));
        }
        world
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let ms = self.now.since(START) / 1_000_000;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{ms:>9} ms  {}", what()));
        }
    }

    fn later(&mut self, ms: u64, event: Event) {
        self.at(self.now.plus_ms(u32::try_from(ms).unwrap_or(u32::MAX)), event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    /// A datagram is on its way, or is not.
    fn post(&mut self, octets: &[u8], event: impl Fn(Vec<u8>) -> Event) {
        self.digest.octets(octets);
        let copies = if self.chance.share(self.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance.share(self.lost) {
                continue;
            }
            let straggles = self.lost > 0 && self.chance.one_in(60);
            let delay = if straggles { 4_000 } else { 20 };
            let delay = 1 + self.chance.exponential(delay);
            self.later(delay, event(octets.to_vec()));
        }
    }

    pub(super) fn run(mut self) -> InwardOutcome {
        let end = START.plus_ms(END_MS);
        while self.court.violation().is_none() && self.now < end {
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            let due = self.engine.next_deadline().map(|due| due.max(self.now));
            match (next, due) {
                (None, None) => break,
                (Some(next), Some(due)) if next <= due => self.step(),
                (Some(_), None) => self.step(),
                (_, Some(due)) => self.tick(due),
            }
        }
        let (messages, delivered) = self.court.close();
        let left = (self.engine.open(), self.engine.calls());
        if left != (0, 0) {
            self.court.object(format!("messages and calls that never end: {left:?}"));
        }
        InwardOutcome {
            seed: self.seed,
            digest: self.digest.value(),
            messages,
            delivered,
            parts: self.centre.parts,
            repeated: self.tally.counters.read(Counter::SubmissionsRepeated),
            violation: self.court.violation(),
            trace: self.trace.unwrap_or_default(),
        }
    }

    fn tick(&mut self, due: Instant) {
        self.now = due;
        let expired = self.engine.on_tick(self.now, &mut self.out);
        self.drain();
        if expired == 0 && self.engine.next_deadline().is_some_and(|due| due <= self.now) {
            self.now = self.now.plus_ms(1);
        }
        debug_assert!(expired <= TIMERS_PER_TURN_MAX);
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else { return };
        self.now = self.now.max(at);
        let (mut of_users, mut of_centre) = (Vec::new(), Vec::new());
        match event {
            Event::ToEngine(is_centre, octets) => self.arrive(is_centre, &octets),
            Event::ToUsers(octets) => self.users.take(&octets, &mut of_users),
            Event::ToCentre(octets) => {
                self.centre.take(&octets, &mut self.court, &mut of_centre);
            }
            Event::Opened(line, owner) => self.open(line, owner, &mut of_users),
            Event::Said(line, octets) => {
                self.lines[line].unread.extend(octets);
                self.show(line);
            }
            Event::Heard(line, octets) => self.hear(line, &octets, &mut of_users),
            Event::Cut(line) => self.cut(line, &mut of_users),
            Event::User(due) => self.users.due(due, &mut of_users),
            Event::Centre(due) => self.centre.due(due, &mut self.court, &mut of_centre),
            Event::Check(call, message) => {
                if self.users.has_missed(call, message) {
                    self.court.object(format!("nobody heard the REPORT about {message}"));
                }
            }
        }
        for act in of_users {
            self.do_for_user(act);
        }
        for act in of_centre {
            match act {
                centre::Act::Send(octets) => self.of_centre(octets),
                centre::Act::Later(ms, due) => self.later(ms, Event::Centre(due)),
            }
        }
        self.drain();
    }

    /// What the centre sends, as the engine seems to take it.
    fn of_centre(&mut self, mut octets: Vec<u8>) {
        let body = Text::read(&octets).map_or(octets.len(), |text| octets.len() - text.body.len());
        match (self.bug, &octets[body..]) {
            (Some(InwardBug::ErrorIsAck), [5, reference, ..]) => {
                octets = replaced(&octets, body, &[3, *reference]);
            }
            (Some(InwardBug::ReportOfAnother), [1, ..]) => {
                octets[body + 13] = octets[body + 13].wrapping_sub(1)
            }
            (Some(InwardBug::AckIsReceipt), [3, _]) => {
                // RP-MR of a part is its TP-MR, too.
                let report = replaced(&octets, body, &status_report(octets[body + 1], 0));
                let head = Text::read(&report).map_or(0, |text| report.len() - text.body.len());
                let upper = String::from_utf8_lossy(&report[..head]);
                let upper = upper.replace("sc-", "sc-9").replace("z9hG4bKsc", "z9hG4bKsd");
                let mut forged = upper.replace("In-Reply-To", "X-Said").into_bytes();
                forged.extend(&report[head..]);
                self.later(30, Event::ToEngine(true, forged));
            }
            _ => {}
        }
        self.post(&octets, |octets| Event::ToEngine(true, octets));
    }

    fn arrive(&mut self, is_centre: bool, octets: &[u8]) {
        let from = if is_centre { "10.0.0.1:5060" } else { "10.0.0.9:5070" };
        let Some(from) = endpoint(from) else { return };
        self.note(|| format!("in   {}", brief(octets)));
        let flow = Flow::to(from, SocketId(0));
        let arrival = Arrival { flow, at: self.now, octets, truncated: false };
        self.engine.on_burst(&[arrival], &mut self.out);
    }

    fn do_for_user(&mut self, act: users::Act) {
        match act {
            users::Act::Send(octets) => self.post(&octets, |octets| Event::ToEngine(false, octets)),
            users::Act::Later(ms, due) => self.later(ms, Event::User(due)),
            users::Act::Open(call) => {
                let line = self.line(call);
                self.later(10, Event::Opened(line, None));
            }
            users::Act::Say(call, text) => self.say(call, text),
            users::Act::Close(call) => {
                if let Some(line) = self.line_of(call) {
                    let at = self.lines[line].last[0].max(self.now).plus_ms(1);
                    self.at(at, Event::Cut(line));
                }
            }
        }
    }

    fn line(&mut self, call: usize) -> usize {
        let number = self.lines.len();
        let generation = u32::try_from(number / PLACES + 1).ok().and_then(NonZeroU32::new);
        let index = u16::try_from(number % PLACES).unwrap_or(0);
        let id = ConnectionId {
            generation: generation.unwrap_or(NonZeroU32::MIN),
            index,
            worker: WorkerId(0),
        };
        self.lines.push(Line {
            call,
            id,
            is_open: false,
            unread: Vec::new(),
            is_blocked: false,
            last: [START; 2],
            held: Vec::new(),
        });
        number
    }

    fn line_of(&self, call: usize) -> Option<usize> {
        self.lines.iter().position(|line| line.call == call && line.is_open)
    }

    fn open(&mut self, line: usize, owner: Option<Owner>, acts: &mut Vec<users::Act>) {
        let Some(remote) = endpoint("10.0.0.9:7777") else { return };
        let (call, id) = (self.lines[line].call, self.lines[line].id);
        self.lines[line].is_open = true;
        let flow = Flow { connection: Some(id), ..Flow::to(remote, MSRP) };
        self.note(|| format!("line {line} of call {call} is open"));
        let event = StreamEvent::Opened { flow, owner, certificate: None, at: self.now };
        self.engine.on_stream(event, &mut self.out);
        self.users.opened(call, acts);
        if self.chance.share(self.cut) {
            let mean = self.chance.pick(&[200, 3_000, 60_000]);
            let at = self.chance.exponential(mean);
            self.later(at, Event::Cut(line));
        }
    }

    fn cut(&mut self, line: usize, acts: &mut Vec<users::Act>) {
        let it = &mut self.lines[line];
        if !core::mem::replace(&mut it.is_open, false) {
            return;
        }
        let (id, call) = (it.id, it.call);
        self.note(|| format!("line {line} of call {call} is cut"));
        let event = StreamEvent::Lost { id, doubtful: 0, at: self.now };
        self.engine.on_stream(event, &mut self.out);
        self.users.cut(call, acts);
    }

    /// A user writes on a connection: it comes in pieces.
    fn say(&mut self, call: usize, text: String) {
        let Some(line) = self.line_of(call) else { return };
        let is_again = self.users.calls[call].attempt > 0;
        let text = match self.bug {
            Some(InwardBug::CopyIsAnother) if is_again => {
                text.replace("Message-ID: m", "Message-ID: copy")
            }
            Some(_) | None => text,
        };
        self.digest.octets(text.as_bytes());
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let len =
                if self.chance.one_in(2) { rest.len() } else { 1 + self.chance.index(rest.len()) };
            let (piece, behind) = rest.split_at(len);
            let at = self.now.plus_ms(u32::try_from(self.chance.exponential(30)).unwrap_or(0));
            let at = at.max(self.lines[line].last[0]);
            self.lines[line].last[0] = at;
            self.at(at, Event::Said(line, piece.to_vec()));
            rest = behind;
        }
    }

    fn show(&mut self, line: usize) {
        let it = &mut self.lines[line];
        if !it.is_open || it.is_blocked || it.unread.is_empty() {
            return;
        }
        let octets = core::mem::take(&mut it.unread);
        let mut used = Used { octets: octets.len(), rest: Rest::WithMore };
        let event =
            StreamEvent::Arrived { id: it.id, octets: &octets, used: &mut used, at: self.now };
        self.engine.on_stream(event, &mut self.out);
        let it = &mut self.lines[line];
        it.unread = octets[used.octets..].to_vec();
        it.is_blocked = used.rest == Rest::WhenWished;
    }

    /// Octets come to a user, whole frames at a time: that is where a bug may change them.
    fn hear(&mut self, line: usize, octets: &[u8], acts: &mut Vec<users::Act>) {
        if !self.lines[line].is_open {
            return;
        }
        let call = self.lines[line].call;
        self.lines[line].held.extend(octets);
        while let Some((frame, len)) = Frame::first(&self.lines[line].held) {
            self.lines[line].held.drain(..len);
            let is_report = frame.what == "REPORT";
            let text = match self.bug {
                Some(InwardBug::SilentReport) if is_report => continue,
                Some(InwardBug::FailureIsSuccess) if is_report => {
                    frame.text.replace("Status: 000 4", "Status: 000 200 ")
                }
                Some(_) | None => frame.text.clone(),
            };
            self.note(|| format!("call {call} hears {} {:?}", frame.what, frame.status()));
            self.users.hear(call, text.as_bytes(), &mut self.court, acts);
        }
    }

    /// Everything that the engine wishes, until it wishes nothing.
    fn drain(&mut self) {
        loop {
            let mut is_idle = true;
            while let Some(slot) = self.out.pop(JournalSeq::NOW) {
                is_idle = false;
                let departure = self.out.departure(&slot);
                let octets = self.out.octets(&slot).to_vec();
                self.out.release(slot);
                if let Some(owner) = departure.owner {
                    self.engine.on_sent(owner, Ok(()), self.now);
                }
                self.depart(departure.flow.remote, octets);
            }
            while let Some(wish) = self.out.pop_wish() {
                is_idle = false;
                self.grant(wish);
            }
            while let Some(account) = self.engine.pop_account() {
                self.note(|| format!("account {:?} {:?}", account.verdict, account.evidence));
                self.digest.word(account.verdict as u64);
                if let Some((message, _)) = self.court.told(&account)
                    && let Some(call) = self.users.told_in(message)
                {
                    self.later(10_000, Event::Check(call, message));
                }
            }
            if is_idle {
                return;
            }
        }
    }

    fn depart(&mut self, to: Endpoint, mut octets: Vec<u8>) {
        self.note(|| format!("out  {}", brief(&octets)));
        if Some(to) != endpoint("10.0.0.1:5060") {
            return self.post(&octets, Event::ToUsers);
        }
        let body = Text::read(&octets).map_or(octets.len(), |text| octets.len() - text.body.len());
        if Part::read(&octets[body..]).is_some() {
            if self.bug == Some(InwardBug::NoStatusReport) {
                octets[body + 12] &= !0x20;
            }
            self.submit(&octets, body);
            if self.bug == Some(InwardBug::SubmitAgain) && self.chance.one_in(6) {
                let upper = String::from_utf8_lossy(&octets[..body]);
                let upper = upper
                    .replace("Call-ID: ", "Call-ID: 7")
                    .replace("branch=z9hG4bK", "branch=z9hG4bK7");
                let again = [upper.as_bytes(), &octets[body..]].concat();
                self.submit(&again, again.len() + body - octets.len());
            }
        } else {
            self.post(&octets, Event::ToCentre);
        }
    }

    /// A part is on its way to the centre.
    fn submit(&mut self, octets: &[u8], body: usize) {
        let text = Text::read(octets);
        if let (Some(text), Some(part)) = (text, Part::read(&octets[body..])) {
            self.court.departs(&part, text.value("Call-ID").unwrap_or_default(), self.now);
        }
        self.post(octets, Event::ToCentre);
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { flow, owner } => {
                let call = usize::from(flow.remote.port).checked_sub(7_000);
                if let Some(call) = call.filter(|call| *call < self.users.calls.len()) {
                    let line = self.line(call);
                    self.later(10, Event::Opened(line, Some(owner)));
                }
            }
            Wish::Write(id) => {
                if let Some(line) = self.lines.iter().position(|line| line.id == id && line.is_open)
                {
                    self.write(line);
                }
            }
            Wish::Read(id) => {
                if let Some(line) = self.lines.iter().position(|line| line.id == id) {
                    self.lines[line].is_blocked = false;
                    self.show(line);
                }
            }
            Wish::Close(id) => {
                if let Some(line) = self.lines.iter().position(|line| line.id == id && line.is_open)
                {
                    let at = self.lines[line].last[1].max(self.now).plus_ms(1);
                    self.at(at, Event::Cut(line));
                }
            }
        }
    }

    fn write(&mut self, line: usize) {
        let id = self.lines[line].id;
        loop {
            let (mut room, mut filled) = ([0; 8_192], 0);
            let event =
                StreamEvent::Room { id, room: &mut room, filled: &mut filled, at: self.now };
            self.engine.on_stream(event, &mut self.out);
            if filled == 0 {
                return;
            }
            self.digest.octets(&room[..filled]);
            let at = self.now.plus_ms(u32::try_from(self.chance.exponential(30)).unwrap_or(0));
            let at = at.max(self.lines[line].last[1]);
            self.lines[line].last[1] = at;
            self.at(at, Event::Heard(line, room[..filled].to_vec()));
            let event = StreamEvent::Written { id, octets: filled as u64, at: self.now };
            self.engine.on_stream(event, &mut self.out);
        }
    }
}

/// A request with another body.
fn replaced(octets: &[u8], body: usize, with: &[u8]) -> Vec<u8> {
    let upper = String::from_utf8_lossy(&octets[..body]);
    let head = upper.split("Content-Length:").next().unwrap_or_default();
    let mut text = format!("{head}Content-Length: {}\r\n\r\n", with.len()).into_bytes();
    text.extend(with);
    text
}

/// The first line, and what tells requests apart.
fn brief(octets: &[u8]) -> String {
    let Some(text) = Text::read(octets) else { return String::new() };
    let of = |name| text.value(name).unwrap_or_default();
    let body = text.body.iter().take(16).map(|octet| format!("{octet:02x}")).collect::<String>();
    format!("{} | {} | {} | {body}", text.start, of("Call-ID"), of("CSeq"))
}
