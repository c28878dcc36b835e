//! The clock, the network, and the engine between both ends.

use core::num::NonZeroU32;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roger::delivery::{Account, Evidence, Form, MsrpRole, Role, Verdict};
use roger::engine::{Engine, Families, Gateway, Host, Large, Peer, RequestSockets, Setup};
use roger::engine::{Strangers, Timers};
use roger::id::WorkerId;
use roger::limits::TIMERS_PER_TURN_MAX;
use roger::metrics::{Counter, Tally};
use roger::packet::{
    Arrival, ConnectionId, Departures, Endpoint, Flow, JournalSeq, Owner, Rest, SocketId,
    StreamEvent, Transport, Used, Wish,
};
use roger::store::HashKey;
use roger::time::Instant;

use super::court::Court;
use super::frame::{Frame, response};
use super::sip::{self, Learnt, Sip};
use super::talk::Talk;
use super::{Act, CarryBug, CarryOutcome, Due, Side, Who};
use crate::chance::Chance;
use crate::digest::Digest;
use crate::text::{Text, endpoint};

const START: Instant = Instant(1_000_000_000_000);

/// Nothing takes longer than this, in milliseconds: ends lose patience, and the engine's own waits end.
const END_MS: u32 = 6 * 3_600_000;

const MSRP: SocketId = SocketId(1);

/// Indices of connections that are used in turn.
const PLACES: usize = 200;

/// How long it may take until a sender knows of a chunk, a recipient of `#`, and a sender of a REPORT.
const ANSWER_MS: u64 = 300_000;
const SHOWS_MS: u64 = 150_000;

/// How long it takes at most until an end has a BYE: each of eleven copies may be lost.
const BYE_MS: u32 = 45_000;

/// After so many octets who reads slowly rests.
const SLOW_OCTETS: usize = 4_096;

enum Event {
    ToEngine(bool, Vec<u8>),
    ToEnd(bool, Vec<u8>),
    Opened(usize, Option<Owner>),
    Refused(Owner),
    Said(usize, Vec<u8>),
    Heard(usize, Vec<u8>),
    Room(usize),
    Cut(usize),
    Deaf(usize),
    Due(Due),
    CheckAnswer(Who, String),
    CheckAbort(u32),
    CheckReport(u32, String),
}

/// One connection.
struct Line {
    who: Who,
    id: ConnectionId,
    is_open: bool,
    /// Nothing that is said comes, and nobody knows.
    is_deaf: bool,
    /// It is read slowly: with a rest after so many octets.
    is_slow: bool,
    until_rest: usize,
    is_resting: bool,
    connects: bool,
    unread: Vec<u8>,
    is_blocked: bool,
    /// When the last octets arrive on either side.
    last: [Instant; 2],
    /// What the end has not divided yet, for a bug that changes what it hears.
    held: Vec<u8>,
}

pub(super) struct World {
    seed: u64,
    bug: Option<CarryBug>,
    chance: Chance,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    engine: Engine,
    out: Departures,
    tally: Arc<Tally>,
    sip: Sip,
    talk: Talk,
    court: Court,
    lines: Vec<Line>,
    calls: usize,
    joined: BTreeSet<usize>,
    /// Since when each end has a session, and since when each session has ended.
    agreed: BTreeMap<Who, Instant>,
    ended: BTreeMap<usize, Instant>,
    /// Of ten thousand datagrams, and of connections.
    lost: u64,
    doubled: u64,
    cut: u64,
    is_faultless: bool,
    digest: Digest,
    trace: Option<Vec<String>>,
}

/// How much there is room for.
struct Room {
    sessions: u32,
    messages: u32,
    ring: u32,
}

fn setup(seed: u64, roles: [MsrpRole; 2], room: &Room) -> Setup {
    let peer = |name: &str, address: &str, role| Peer {
        trusted: true,
        im: true,
        msrp: Some(role),
        addresses: endpoint(address).into_iter().collect(),
        hosts: endpoint(address)
            .map(|endpoint| Host { name: format!("{name}.example").into(), port: 5070, endpoint })
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
            Peer { sms: true, im: false, msrp: None, ..peer("sbc", "10.0.0.1:5060", roles[0]) },
            peer("im", "10.0.0.9:5070", roles[0]),
            peer("im-2", "10.0.0.10:5070", roles[1]),
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
        gateway: Gateway::default(),
        large: Some(Large {
            sockets: Families { v4: Some(MSRP), v6: None },
            authority_v4: "10.0.0.5:2855".into(),
            sessions_max: room.sessions,
            carried_max: room.messages,
            carried_ring: room.ring,
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
    pub(super) fn new(seed: u64, bug: Option<CarryBug>, told: bool) -> Self {
        let mut chance = Chance::new(seed ^ 0x1A3A_CA44);
        let is_faultless = chance.one_in(6);
        let others = [MsrpRole::Relay, MsrpRole::B2bua, MsrpRole::ImServer];
        let mut role = || {
            if chance.one_in(2) { MsrpRole::Endpoint } else { chance.pick(&others) }
        };
        let roles = [role(), role()];
        let speaks = roles.map(|role| role == MsrpRole::Endpoint);
        let mut draw = |most| if is_faultless { 0 } else { chance.below(most) };
        let (lost, doubled, cut) = (draw(2_500), draw(1_500), draw(4_000));
        let is_scarce = !is_faultless && chance.one_in(6);
        let room = Room {
            sessions: if is_scarce { chance.pick(&[2, 4]) } else { 16 },
            messages: if is_scarce { chance.pick(&[1, 2, 4]) } else { 64 },
            ring: chance.pick(&[4_096, 16_384]),
        };
        let setup = setup(seed, roles, &room);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let engine = Engine::new(setup, Arc::clone(&tally), START);
        let calls = 1 + chance.index(4);
        let mut world = Self {
            seed,
            bug,
            now: START,
            events: BTreeMap::new(),
            sequence: 0,
            engine,
            out: Departures::with_connections(256),
            tally,
            sip: Sip::new(is_faultless, chance.fork()),
            talk: Talk::new(is_faultless, speaks, chance.fork()),
            court: Court::new(speaks, is_scarce),
            lines: Vec::new(),
            calls,
            joined: BTreeSet::new(),
            agreed: BTreeMap::new(),
            ended: BTreeMap::new(),
            lost,
            doubled,
            cut,
            is_faultless,
            digest: Digest::new(),
            trace: told.then(Vec::new),
            chance,
        };
        for call in 0..calls {
            let at = world.chance.below(60_000);
            world.later(at, Event::Due(Due::Sip(sip::Due::Call(call))));
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

    pub(super) fn run(mut self) -> CarryOutcome {
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
        let (messages, whole, delivered) = self.court.close();
        let left = (self.engine.open(), self.engine.calls());
        if left != (0, 0) {
            self.court.object(format!("messages and calls that never end: {left:?}"));
        }
        let counted = [Counter::CarriedOpen, Counter::CallsOpen, Counter::CallsUnfinished];
        if let Some(counter) = counted.into_iter().find(|it| self.tally.counters.read(*it) != 0) {
            self.court.object(format!("{counter:?} is not 0 at the end"));
        }
        if let Some(line) = self.lines.iter().position(|line| line.is_open) {
            self.court.object(format!("line {line} is never closed"));
        }
        for call in 0..self.calls {
            for side in Side::ALL {
                if let Some(belief) = self.sip.belief(Who { call, side }) {
                    self.court.object(format!("{side:?} of call {call} {belief}"));
                }
            }
        }
        CarryOutcome {
            seed: self.seed,
            digest: self.digest.value(),
            calls: self.calls as u64,
            joined: self.joined.len() as u64,
            messages,
            whole,
            delivered,
            reports: self.court.heard_reports,
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
        let mut acts = Vec::new();
        match event {
            Event::ToEngine(is_caller, octets) => self.arrive(is_caller, &octets),
            Event::ToEnd(is_caller, octets) => self.sip.take(is_caller, &octets, &mut acts),
            Event::Opened(line, owner) => self.open(line, owner, &mut acts),
            Event::Refused(owner) => {
                let event = StreamEvent::Refused { owner, at: self.now };
                self.engine.on_stream(event, &mut self.out);
            }
            Event::Said(line, octets) => {
                if !self.lines[line].is_deaf {
                    self.lines[line].unread.extend(octets);
                    self.show(line);
                }
            }
            Event::Heard(line, octets) => self.hear(line, &octets, &mut acts),
            Event::Room(line) => {
                self.lines[line].is_resting = false;
                if self.lines[line].is_open {
                    self.write(line);
                }
            }
            Event::Cut(line) => self.cut(line, &mut acts),
            Event::Deaf(line) => {
                self.lines[line].is_deaf = true;
                self.court.over(self.lines[line].who.call, self.now);
            }
            Event::Due(Due::Sip(due)) => {
                self.note(|| format!("{due:?}"));
                match due {
                    sip::Due::Hush(who) => self.hush(who),
                    sip::Due::Leave(who) => self.leaves(who),
                    sip::Due::Call(_)
                    | sip::Due::Again { .. }
                    | sip::Due::Cancel(_)
                    | sip::Due::Ring(_)
                    | sip::Due::Answer(_)
                    | sip::Due::Final { .. } => {}
                }
                self.sip.due(due, &mut acts);
            }
            Event::Due(Due::Talk(due)) => {
                self.note(|| format!("{due:?}").chars().take(240).collect());
                self.talk.due(due, self.now, &mut self.court, &mut acts);
            }
            Event::CheckAnswer(who, id) => {
                if self.is_there(who.call)
                    && self.talk.is_open(who)
                    && self.court.is_unanswered(&id)
                {
                    self.court.object(format!("nobody has answered {id}"));
                }
            }
            Event::CheckAbort(serial) => {
                if self.is_between(serial) && self.court.is_abort_missing(serial) {
                    self.court.object(format!("nobody was told that {serial} is given up"));
                }
            }
            Event::CheckReport(serial, id) => {
                if self.is_between(serial) && self.court.is_report_missing(serial, &id) {
                    self.court.object(format!("nobody was told of a REPORT about {serial}"));
                }
            }
        }
        self.do_all(acts);
        self.drain();
    }

    fn is_there(&self, call: usize) -> bool {
        !self.court.is_over(call)
    }

    fn is_between(&self, serial: u32) -> bool {
        let Some((from, Some(to))) = self.court.ends(serial) else { return false };
        self.is_there(from.call) && self.talk.is_open(from) && self.talk.is_open(to)
    }

    /// An end hangs up by itself: if the session has long ended, it should have been told.
    fn leaves(&mut self, who: Who) {
        let times = (self.agreed.get(&who), self.ended.get(&who.call));
        let (Some(agreed), Some(ended)) = times else { return };
        let known_by = (*agreed).max(*ended).plus_ms(BYE_MS);
        let is_forked = self.sip.is_forked(who.call);
        if self.now > known_by && !is_forked && self.sip.belief(who).is_some() {
            self.court.object(format!("{who:?} was not told that its session is over"));
        }
    }

    /// An end is silent from now on: its host is dead, and so are its connections after a while.
    fn hush(&mut self, who: Who) {
        self.court.over(who.call, self.now);
        for line in 0..self.lines.len() {
            if self.lines[line].who == who {
                self.lines[line].is_deaf = true;
                let wait = self.chance.exponential(60_000);
                self.later(wait, Event::Cut(line));
            }
        }
    }

    fn arrive(&mut self, is_caller: bool, octets: &[u8]) {
        let from = if is_caller { "10.0.0.10:5070" } else { "10.0.0.9:5070" };
        let Some(from) = endpoint(from) else { return };
        self.note(|| format!("in   {}", brief(octets)));
        if !is_caller {
            self.sip.comes(octets);
        }
        let flow = Flow::to(from, SocketId(0));
        let arrival = Arrival { flow, at: self.now, octets, truncated: false };
        self.engine.on_burst(&[arrival], &mut self.out);
    }

    fn do_all(&mut self, acts: Vec<Act>) {
        let mut acts = acts;
        loop {
            for act in core::mem::take(&mut acts) {
                self.do_one(act);
            }
            for learnt in core::mem::take(&mut self.sip.learnt) {
                self.note(|| format!("{learnt:?}"));
                match learnt {
                    Learnt::Agreed { who, to, connects } => {
                        self.agreed.entry(who).or_insert(self.now);
                        self.talk.agreed(who, to, connects, &mut acts);
                    }
                    Learnt::Over(who) => {
                        self.ended.entry(who.call).or_insert(self.now);
                        self.court.over(who.call, self.now);
                        self.talk.over(who, &mut acts);
                    }
                }
            }
            if acts.is_empty() {
                return;
            }
        }
    }

    fn do_one(&mut self, act: Act) {
        match act {
            Act::Send(who, octets) => {
                let is_caller = who.side.is_caller();
                self.post(&octets, |octets| Event::ToEngine(is_caller, octets));
            }
            Act::Later(ms, due) => self.later(ms, Event::Due(due)),
            Act::Open(who) => {
                let line = self.line(who, true);
                self.later(10, Event::Opened(line, None));
            }
            Act::Say(who, text) => self.say(who, &text),
            Act::Close(who) => {
                if let Some(line) = self.line_of(who) {
                    let at = self.lines[line].last[0].max(self.now).plus_ms(1);
                    self.at(at, Event::Cut(line));
                }
            }
        }
    }

    fn line(&mut self, who: Who, connects: bool) -> usize {
        let number = self.lines.len();
        let generation = u32::try_from(number / PLACES + 1).ok().and_then(NonZeroU32::new);
        let index = u16::try_from(number % PLACES).unwrap_or(0);
        let id = ConnectionId {
            generation: generation.unwrap_or(NonZeroU32::MIN),
            index,
            worker: WorkerId(0),
        };
        let is_slow = !self.is_faultless && self.chance.one_in(6);
        self.lines.push(Line {
            who,
            id,
            is_open: false,
            is_deaf: false,
            is_slow,
            until_rest: SLOW_OCTETS,
            is_resting: false,
            connects,
            unread: Vec::new(),
            is_blocked: false,
            last: [START; 2],
            held: Vec::new(),
        });
        number
    }

    fn line_of(&self, who: Who) -> Option<usize> {
        self.lines.iter().position(|line| line.who == who && line.is_open)
    }

    fn open(&mut self, line: usize, owner: Option<Owner>, acts: &mut Vec<Act>) {
        let (who, id, connects) =
            (self.lines[line].who, self.lines[line].id, self.lines[line].connects);
        let Some(remote) = endpoint(&format!("{}:{}", who.host(), who.port())) else { return };
        self.lines[line].is_open = true;
        let flow = Flow { connection: Some(id), ..Flow::to(remote, MSRP) };
        self.note(|| format!("line {line} of {who:?} is open"));
        let event = StreamEvent::Opened { flow, owner, certificate: None, at: self.now };
        self.engine.on_stream(event, &mut self.out);
        self.talk.opened(who, connects, acts);
        let mean = self.chance.pick(&[30, 300, 3_000, 60_000]);
        if self.chance.share(self.cut) {
            let at = self.chance.exponential(mean);
            self.later(at, Event::Cut(line));
        } else if self.chance.share(self.cut / 3) {
            // Half open: what is said there goes nowhere, until somebody notices.
            let at = self.chance.exponential(mean);
            self.later(at, Event::Deaf(line));
            let until = at + self.chance.exponential(100_000);
            self.later(until, Event::Cut(line));
        }
    }

    fn cut(&mut self, line: usize, acts: &mut Vec<Act>) {
        let it = &mut self.lines[line];
        if !core::mem::replace(&mut it.is_open, false) {
            return;
        }
        let (id, who) = (it.id, it.who);
        self.court.over(who.call, self.now);
        self.ended.entry(who.call).or_insert(self.now);
        self.note(|| format!("line {line} of {who:?} is cut"));
        let event = StreamEvent::Lost { id, doubtful: 0, at: self.now };
        self.engine.on_stream(event, &mut self.out);
        self.talk.closed(who);
        if self.chance.one_in(2) {
            self.sip.leave(who, acts);
        }
    }

    /// An end writes on its connection: it comes in pieces.
    fn say(&mut self, who: Who, text: &str) {
        let Some(line) = self.line_of(who) else { return };
        self.note(|| format!("{who:?} says {}", head(text)));
        self.joined.insert(who.call);
        self.digest.octets(text.as_bytes());
        let Some((frame, _)) = Frame::first(text.as_bytes()) else { return };
        if self.bug == Some(CarryBug::EarlyAnswer)
            && frame.body.is_some()
            && frame.value("Failure-Report").is_none()
        {
            let early = response(&frame, "msrp://10.0.0.5:2855/x;tcp", 200);
            self.later(1, Event::Heard(line, early.into_bytes()));
        }
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let len = match self.chance.below(4) {
                0 | 1 => rest.len(),
                2 => 1 + self.chance.index(rest.len().min(40)),
                _ => 1 + self.chance.index(rest.len()),
            };
            let (piece, behind) = rest.split_at(len);
            let at = self.now.plus_ms(u32::try_from(self.chance.exponential(30)).unwrap_or(0));
            let at = at.max(self.lines[line].last[0]);
            self.lines[line].last[0] = at;
            self.at(at, Event::Said(line, piece.to_vec()));
            rest = behind;
        }
        let said = self.lines[line].last[0].since(self.now) / 1_000_000;
        match (frame.what.as_str(), frame.serial()) {
            ("SEND", Some(serial)) => {
                self.later(said + ANSWER_MS, Event::CheckAnswer(who, frame.id.clone()));
                if frame.flag == '#' {
                    self.later(said + SHOWS_MS, Event::CheckAbort(serial));
                }
            }
            ("REPORT", Some(serial)) => {
                self.later(said + SHOWS_MS, Event::CheckReport(serial, frame.id.clone()));
            }
            _ => {}
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

    /// Octets come to an end, whole frames at a time: that is where a bug may change them.
    fn hear(&mut self, line: usize, octets: &[u8], acts: &mut Vec<Act>) {
        if !self.lines[line].is_open || self.lines[line].is_deaf {
            return;
        }
        let who = self.lines[line].who;
        self.lines[line].held.extend(octets);
        while let Some((frame, len)) = Frame::first(&self.lines[line].held) {
            self.lines[line].held.drain(..len);
            let text = self.as_it_seems(&frame);
            self.note(|| format!("{who:?} hears {}", head(&text)));
            self.talk.hear(who, text.as_bytes(), self.now, &mut self.court, acts);
            let is_report = frame.what == "REPORT";
            if is_report && self.bug == Some(CarryBug::ForeignReport) {
                let others: Vec<Who> = self.lines.iter().map(|line| line.who).collect();
                let is_other = |it: &Who| it.call != who.call && self.talk.is_open(*it);
                let other = others.into_iter().find(is_other);
                if let Some(other) = other {
                    self.talk.hear(other, text.as_bytes(), self.now, &mut self.court, acts);
                }
            }
        }
    }

    /// What the engine seems to have written.
    fn as_it_seems(&mut self, frame: &Frame) -> String {
        let text = frame.written();
        let is_send = frame.what == "SEND" && frame.body.is_some();
        let status = frame.status().filter(|_| frame.what != "REPORT");
        match self.bug {
            Some(CarryBug::LostAbort) if is_send => {
                Frame { flag: if frame.flag == '#' { '+' } else { frame.flag }, ..frame.clone() }
                    .written()
            }
            Some(CarryBug::ChunkTwice) if is_send && self.chance.one_in(4) => {
                let again = frame.renamed(&format!("again{}", frame.id));
                text + &again.written()
            }
            Some(CarryBug::OctetChanged) if is_send && self.chance.one_in(4) => {
                let body = frame.body.as_ref().map(|body| body.replacen('e', "f", 1));
                Frame { body, ..frame.clone() }.written()
            }
            Some(CarryBug::ErrorIsAnswer) if status.is_some_and(|it| it != 200) => {
                Frame { head: frame.head.replacen(&frame.what, "200", 1), ..frame.clone() }
                    .written()
            }
            Some(CarryBug::SilentReport) if frame.what == "REPORT" => String::new(),
            Some(CarryBug::SilentAnswer) if status.is_some() && frame.id.starts_with('t') => {
                String::new()
            }
            Some(CarryBug::AnswerTwice) if status.is_some() => [&*text, &*text].concat(),
            Some(_) | None => text,
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
                self.depart(departure.flow.remote, &octets);
            }
            while let Some(wish) = self.out.pop_wish() {
                is_idle = false;
                self.grant(wish);
            }
            while let Some(account) = self.engine.pop_account() {
                self.tell(account);
            }
            if is_idle {
                return;
            }
        }
    }

    fn tell(&mut self, mut account: Account) {
        let verdict = account.verdict;
        match self.bug {
            Some(CarryBug::DeliveredWithGap) if account.evidence == Evidence::Unfinished => {
                (account.verdict, account.evidence) = (Verdict::Delivered, Evidence::Acknowledged);
            }
            Some(CarryBug::DeliveredIsTemporary) if verdict == Verdict::Delivered => {
                (account.verdict, account.evidence) = (Verdict::Temporary, Evidence::Unfinished);
            }
            Some(CarryBug::AccountTwice) if self.chance.one_in(3) => {
                self.court.account(&account, self.now);
            }
            Some(CarryBug::NoAccount) if self.chance.one_in(3) => return,
            Some(_) | None => {}
        }
        self.note(|| {
            let Form::Carried { message_id, octets } = account.form else { return String::new() };
            let id = String::from_utf8_lossy(message_id.octets()).into_owned();
            format!("account {id} ({octets} octets) {:?} {:?}", account.verdict, account.evidence)
        });
        self.digest.word(account.verdict as u64);
        self.court.account(&account, self.now);
    }

    fn depart(&mut self, to: Endpoint, octets: &[u8]) {
        self.note(|| format!("out  {}", brief(octets)));
        let is_caller = Some(to) == endpoint("10.0.0.10:5070");
        match self.bug {
            Some(CarryBug::SilentBye) if octets.starts_with(b"BYE ") => return,
            Some(CarryBug::SilentCancel) if octets.starts_with(b"CANCEL ") => return,
            Some(_) | None => {}
        }
        self.post(octets, |octets| Event::ToEnd(is_caller, octets));
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { flow, owner } => {
                let Some(who) = Who::of_port(flow.remote.port) else { return };
                if !self.is_faultless && self.chance.one_in(20) {
                    self.court.over(who.call, self.now);
                    return self.later(50, Event::Refused(owner));
                }
                let line = self.line(who, false);
                self.later(10, Event::Opened(line, Some(owner)));
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
        let (id, is_slow) = (self.lines[line].id, self.lines[line].is_slow);
        while !self.lines[line].is_resting {
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
            let left = self.lines[line].until_rest.checked_sub(filled).filter(|_| is_slow);
            self.lines[line].until_rest = left.unwrap_or(SLOW_OCTETS);
            if is_slow && left.is_none() {
                self.lines[line].is_resting = true;
                let rest = self.chance.below(4_000);
                self.later(rest, Event::Room(line));
            }
        }
    }
}

/// The first line, and what tells requests apart.
fn brief(octets: &[u8]) -> String {
    let Some(text) = Text::read(octets) else { return String::new() };
    let of = |name| text.value(name).unwrap_or_default();
    format!("{} | {} | {} | {}", text.start, of("Call-ID"), of("CSeq"), of("To"))
}

/// The lines of a frame without its body.
fn head(text: &str) -> String {
    let Some((frame, _)) = Frame::first(text.as_bytes()) else { return String::new() };
    let len = frame.body.as_ref().map_or(0, String::len);
    let of = |name| frame.value(name).unwrap_or("-");
    let (id, range) = (of("Message-ID"), of("Byte-Range"));
    let flag = frame.flag;
    format!("{} {} {id} {range} {} ({len} octets) {flag}", frame.what, frame.id, of("Status"))
}
