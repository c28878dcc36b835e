//! One endpoint between peers who send whatever may be sent, and answer what and when they like: octets that
//! are torn anywhere, chunks in any order, slow sides, errors, silence, and connections that end anywhere. A
//! plain model knows what each peer has sent and has, and holds against it what each of them is told:
//!
//! * what a recipient gets of a message are the octets of its sender, in the order in which he sent them,
//!   each as often as he did, and its chunks end as they did with him;
//! * a sender is told 200 only for octets that his recipient has answered with 200;
//! * every chunk is answered as often as was asked for.

mod peer;

use std::collections::VecDeque;

use self::peer::{Peer, Received};
use super::walk::Chance;
use super::*;
use crate::limits::MSRP_RESPONSE_MS;

const URIS: [&str; 4] = [
    "msrp://us.example:7000/s0-u;tcp",
    "msrp://us.example:7000/s1-u;tcp",
    "msrp://us.example:7000/s2-u;tcp",
    "msrp://us.example:7000/s3-u;tcp",
];
const PEERS: [&str; 4] = [
    "msrp://p.example:8000/p0;tcp",
    "msrp://p.example:8000/p1;tcp",
    "msrp://p.example:8000/p2;tcp",
    "msrp://p.example:8000/p3;tcp",
];

/// The session that one of the four is joined to.
const fn partner(session: usize) -> usize {
    session ^ 1
}

/// What a sender has sent of one chunk.
#[derive(Debug)]
struct Chunk {
    transaction_id: String,
    /// Where among the octets of the message, as they were sent, it begins and ends.
    from: usize,
    to: usize,
    flag: Option<Flag>,
    answer: Option<u16>,
}

/// What a recipient has got as one chunk.
#[derive(Debug)]
struct Piece {
    from: usize,
    to: usize,
    flag: Flag,
    answer: Option<u16>,
}

/// A message, as both sides know it.
#[derive(Debug)]
struct Plain {
    session: usize,
    message_id: String,
    success_report: bool,
    failure_report: FailureReport,
    /// Octets with their places, as they were sent and as they came.
    sent: Vec<(u64, u8)>,
    got: usize,
    chunks: Vec<Chunk>,
    pieces: Vec<Piece>,
    /// Which chunk comes.
    current: usize,
    is_given_up: bool,
}

impl Plain {
    /// A recipient got the end of a chunk.
    fn piece(&mut self, from: usize, to: usize, flag: Flag) {
        let chunk = &self.chunks[self.current];
        assert!(!self.is_given_up, "more of what was given up");
        assert!(chunk.from <= from && to <= chunk.to, "{} of another chunk", self.message_id);
        if flag == Flag::Aborted {
            self.is_given_up = true;
        } else if to == chunk.to && chunk.flag.is_some_and(|it| it != Flag::Aborted) {
            assert_eq!(Some(flag), chunk.flag, "{} ends in another way", self.message_id);
            self.current += 1;
        } else {
            assert_eq!(flag, Flag::More, "{} ends where it does not end", self.message_id);
        }
        self.pieces.push(Piece { from, to, flag, answer: None });
    }

    /// Its sender got an answer.
    fn answered(&mut self, place: usize, code: u16) {
        let chunk = &mut self.chunks[place];
        assert_eq!(chunk.answer.replace(code), None, "answered again");
        let asked = match self.failure_report {
            FailureReport::Yes => true,
            FailureReport::Partial => code != 200,
            FailureReport::No => false,
        };
        assert!(asked, "nobody has asked");
        if code != 200 {
            return;
        }
        let mut reached = chunk.from;
        let mut is_ended = false;
        for piece in &self.pieces {
            if piece.from == reached && piece.to <= chunk.to && piece.answer == Some(200) {
                reached = piece.to;
                is_ended |= Some(piece.flag) == chunk.flag && piece.to == chunk.to;
            }
        }
        assert!(reached == chunk.to && is_ended, "{} {chunk:?} {:?}", self.message_id, self.pieces);
    }
}

struct World {
    it: Endpoint,
    desk: Desk,
    sessions: Vec<SessionId>,
    /// Which connection a session has.
    connections: [usize; 4],
    peers: Vec<Peer>,
    messages: Vec<Plain>,
    /// Chunks that were not sent yet, of each message.
    plans: Vec<(usize, VecDeque<Vec<u8>>)>,
    reports: Vec<(usize, String)>,
    chance: Chance,
    now: u32,
    is_harsh: bool,
    is_lost: bool,
    seen: Seen,
}

/// What the walks have met.
#[derive(Debug, Default)]
struct Seen {
    carried: u32,
    answered: u32,
    refused: u32,
    stopped: u32,
    resumed: u32,
    cut: u32,
    aborted: u32,
    reported: u32,
    identifiers: u64,
    ends: [u32; 6],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(7_919));
        let connections = [[0, 1, 2, 3], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]][chance.below(4)];
        let is_harsh = chance.one_in(2);
        let messages_max = if is_harsh { 12 } else { 200 };
        let carrying = Carrying { joins_max: 2, messages_max, ring_size: 4_096 };
        let mut it = Endpoint::new(Rules { carrying, ..rules() }, START);
        for connection in 0..4 {
            it.connected(connection, START);
        }
        let mut sessions = Vec::new();
        for place in 0..4 {
            let acceptance = Acceptance { reports: Reports::WhenTold, ..ANY };
            let session = it.open(0, acceptance).unwrap();
            assert!(it.offer(session, URIS[place].as_bytes()));
            assert!(it.agree(session, path(PEERS[place])));
            assert!(it.bind(session, connections[place] as u16));
            sessions.push(session);
        }
        assert!(it.join(sessions[0], sessions[1]) && it.join(sessions[2], sessions[3]));
        Self {
            it,
            desk: Desk::new("us"),
            sessions,
            connections,
            peers: (0..4).map(|_| Peer::default()).collect(),
            messages: Vec::new(),
            plans: Vec::new(),
            reports: Vec::new(),
            chance,
            now: 0,
            is_harsh,
            is_lost: false,
            seen: Seen::default(),
        }
    }

    /// Some text, some of it what an end-line of ours may look like.
    fn body(&mut self) -> Vec<u8> {
        let chance = &mut self.chance;
        let size = [0, 5, 300, 2_048, 6_000, 20_000][chance.below(6)];
        let mut body = Vec::new();
        while body.len() < size {
            if chance.one_in(3) {
                let (index, generation) = (chance.below(3), chance.below(6));
                let flag = ["$", "+", "#", "", "$\r\n"][chance.below(5)];
                for attempt in 0..5 {
                    let line = format!("\r\n-------us.c.{index}.{generation}.{attempt}{flag}");
                    body.extend(line.as_bytes());
                }
            } else {
                let len = chance.below(400);
                body.extend(core::iter::repeat_n(b'a' + chance.below(26) as u8, len));
            }
        }
        body.truncate(size);
        body
    }

    /// A peer sends a message: all of its chunks, or with others between them.
    fn send(&mut self) {
        let session = self.chance.below(4);
        if self.messages.iter().filter(|one| one.session == session).count() > 40 {
            return;
        }
        let body = self.body();
        let chance = &mut self.chance;
        let message_id = format!("message{}", self.messages.len());
        let all =
            [FailureReport::Yes, FailureReport::Yes, FailureReport::Partial, FailureReport::No];
        let (success_report, failure_report) = (chance.one_in(2), all[chance.below(4)]);
        let is_last = |to: usize| to == body.len();
        let ranges = ranges(body.len(), chance);
        let gives_up = chance.one_in(8).then(|| chance.below(ranges.len()));
        let total = if chance.one_in(3) { "*".to_owned() } else { body.len().to_string() };
        let mut plain = Plain {
            session,
            message_id,
            success_report,
            failure_report,
            sent: Vec::new(),
            got: 0,
            chunks: Vec::new(),
            pieces: Vec::new(),
            current: 0,
            is_given_up: false,
        };
        let mut requests = Vec::new();
        for (place, (from, to)) in ranges.into_iter().enumerate() {
            let flag = match gives_up {
                Some(last) if last == place => Flag::Aborted,
                _ if is_last(to) => Flag::Last,
                _ => Flag::More,
            };
            let tid = format!("t{}x{place}", self.messages.len());
            let range = format!("Byte-Range: {}-*/{total}\r\n", from + 1);
            let yes = if success_report { "yes" } else { "no" };
            let head = format!(
                "MSRP {tid} SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {}\r\n{range}\
                 Success-Report: {yes}\r\nFailure-Report: {}\r\nContent-Type: text/plain\r\n\r\n",
                URIS[session],
                PEERS[session],
                plain.message_id,
                failure_report.text()
            );
            let end = format!("\r\n-------{tid}{}\r\n", char::from(flag.octet()));
            let start = plain.sent.len();
            plain.sent.extend((from..to).map(|at| (at as u64, body[at])));
            plain.chunks.push(Chunk {
                transaction_id: tid,
                from: start,
                to: plain.sent.len(),
                flag: Some(flag),
                answer: None,
            });
            requests.push([head.as_bytes(), &body[from..to], end.as_bytes()].concat());
            if flag == Flag::Aborted {
                break;
            }
        }
        self.messages.push(plain);
        self.plans.push((self.connections[session], requests.into()));
    }

    /// The next chunk of a message, or all of them that are left.
    fn go_on(&mut self, most: usize) {
        if self.plans.is_empty() {
            return;
        }
        let place = self.chance.below(self.plans.len());
        let (connection, requests) = &mut self.plans[place];
        let most = most.min(requests.len());
        for request in requests.drain(..most) {
            self.peers[*connection].say(request, 0);
        }
        if self.plans[place].1.is_empty() {
            self.plans.swap_remove(place);
        }
    }

    /// Octets of a peer are shown.
    fn show(&mut self, connection: usize, most: usize) {
        let peer = &mut self.peers[connection];
        peer.speak(most);
        while !self.peers[connection].is_stopped {
            let peer = &mut self.peers[connection];
            let now = at(self.now);
            let read = self.it.read(connection as u16, &peer.unread, &mut self.desk, now);
            peer.unread.drain(..read.len);
            peer.said += read.len;
            peer.is_writable |= self.it.has_output(connection as u16);
            self.judge();
            match read.step {
                Step::Used => {}
                Step::Partial => return,
                Step::Stopped => {
                    self.seen.stopped += 1;
                    self.peers[connection].is_stopped = true;
                }
                Step::Behind => self.write(connection, 20_000),
                step => panic!("{step:?}"),
            }
        }
    }

    fn write(&mut self, connection: usize, room: usize) {
        // Nobody writes who was not told that there is something to write.
        if core::mem::take(&mut self.peers[connection].is_writable) {
            self.fill(connection, room);
        }
        let most = self.chance.below(room * 2);
        let peer = &mut self.peers[connection];
        let len = most.min(peer.unhanded.len());
        peer.inbox.extend(peer.unhanded.drain(..len));
        peer.heard += len;
        self.it.handed_over(connection as u16, len as u64, at(self.now));
        self.judge();
    }

    fn fill(&mut self, connection: usize, room: usize) {
        let mut to = vec![0; room];
        let len = self.it.write(connection as u16, &mut to, &mut self.desk);
        let peer = &mut self.peers[connection];
        peer.unhanded.extend(&to[..len]);
        peer.is_writable |= self.it.has_output(connection as u16);
        self.judge();
    }

    /// A peer reads what has come for it.
    fn receive(&mut self, connection: usize) {
        for received in self.peers[connection].receive() {
            match received {
                Received::Octets { message_id, start, octets } => {
                    let message = self.message(&message_id);
                    for (place, octet) in octets.iter().enumerate() {
                        let is = (start + place as u64, *octet);
                        assert_eq!(message.sent.get(message.got), Some(&is), "{message_id}");
                        message.got += 1;
                    }
                }
                Received::End { transaction_id, message_id, octets, flag, is_answered } => {
                    let message = self.message(&message_id);
                    let to = message.got;
                    message.piece(to - octets, to, flag);
                    let session = partner(message.session);
                    self.seen.carried += 1;
                    self.seen.cut += u32::from(flag == Flag::More);
                    self.seen.aborted += u32::from(flag == Flag::Aborted);
                    self.respond(connection, session, transaction_id, &message_id, is_answered);
                }
                Received::Response { transaction_id, code } => {
                    let found = self.messages.iter_mut().find_map(|one| {
                        let mut ids = one.chunks.iter().map(|chunk| &chunk.transaction_id);
                        let place = ids.position(|id| *id == transaction_id)?;
                        Some((one, place))
                    });
                    let (message, place) = found.unwrap();
                    message.answered(place, code);
                    self.seen.answered += 1;
                    self.seen.refused += u32::from(code != 200);
                }
                Received::Report { session, text } => {
                    let sent = (session, text);
                    let place = self.reports.iter().position(|one| *one == sent);
                    self.reports.swap_remove(place.expect("nobody has reported that"));
                    self.seen.reported += 1;
                }
            }
        }
    }

    fn message(&mut self, message_id: &str) -> &mut Plain {
        self.messages.iter_mut().find(|one| one.message_id == message_id).unwrap()
    }

    /// A recipient answers, now or later or never, and may report.
    fn respond(
        &mut self,
        connection: usize,
        session: usize,
        tid: String,
        message_id: &str,
        is_answered: FailureReport,
    ) {
        let is_harsh = self.is_harsh && self.chance.one_in(12);
        let codes = [400, 401, 403, 408, 413, 415, 481, 501, 506];
        let code = if is_harsh { codes[self.chance.below(codes.len())] } else { 200 };
        let is_said = match is_answered {
            FailureReport::Yes => !(self.is_harsh && self.chance.one_in(30)),
            FailureReport::Partial => code != 200,
            FailureReport::No => false,
        };
        let message = self.message(message_id);
        let wanted = (message.success_report, message.failure_report);
        if let Some(piece) = message.pieces.last_mut() {
            // Silence agrees, where nothing is to be said.
            let agreed = is_answered != FailureReport::Yes && code == 200;
            piece.answer = if is_said { Some(code) } else { agreed.then_some(200) };
        }
        let paths = format!("To-Path: {}\r\nFrom-Path: {}\r\n", URIS[session], PEERS[session]);
        let behind = self.chance.below(4);
        let peer = &mut self.peers[connection];
        if is_said {
            let text = format!("MSRP {tid} {code} Said\r\n{paths}-------{tid}$\r\n");
            peer.say(text.into_bytes(), behind);
        }
        if self.chance.one_in(4) {
            let end = self.chance.below(100);
            let code = if self.is_harsh && self.chance.one_in(10) { 403 } else { 200 };
            let text = format!(
                "Message-ID: {message_id}\r\nByte-Range: 1-{end}/*\r\nStatus: 000 {code} {}\r\n",
                self.reports.len()
            );
            let is_wanted = if code == 200 { wanted.0 } else { wanted.1 != FailureReport::No };
            if is_wanted {
                self.reports.push((partner(session), text.clone()));
            }
            let text = format!("MSRP reprep REPORT\r\n{paths}{text}-------reprep$\r\n");
            self.peers[connection].say(text.into_bytes(), behind);
        }
    }

    fn judge(&mut self) {
        while let Some(fact) = self.it.fact() {
            match fact {
                Fact::Resumed { connection } => {
                    self.peers[usize::from(connection)].is_stopped = false;
                    self.seen.resumed += 1;
                }
                Fact::Carried { carriage: Carriage::Over { end }, .. } => {
                    let place = match end {
                        CarriedEnd::Whole { .. } => 0,
                        CarriedEnd::Aborted => 1,
                        CarriedEnd::Stopped { .. } => 2,
                        CarriedEnd::Stalled => 3,
                        CarriedEnd::SenderLost => 4,
                        CarriedEnd::RecipientLost { .. } => 5,
                    };
                    self.seen.ends[place] += 1;
                }
                Fact::Writable { connection } => {
                    self.peers[usize::from(connection)].is_writable = true;
                }
                Fact::Carried { .. } | Fact::Lost { .. } | Fact::Unbound { .. } => {}
                _ => panic!("{fact:?}"),
            }
        }
    }

    fn step(&mut self) {
        let connection = self.chance.below(4);
        match self.chance.below(20) {
            0 => self.send(),
            1..3 => self.go_on(2),
            3..8 => {
                let most = [1, 40, 700, 30_000][self.chance.below(4)];
                self.show(connection, most);
            }
            8..14 => {
                let room = [1, 300, 9_000, 20_000][self.chance.below(4)];
                self.write(connection, room);
            }
            14..19 => self.receive(connection),
            _ => {
                let ms = [1, 100, 300][self.chance.below(3)];
                self.pass(ms);
            }
        }
    }

    fn pass(&mut self, ms: u32) {
        self.now += ms;
        while self.it.expire(&mut self.desk, at(self.now), 10) > 0 {
            self.judge();
        }
        self.judge();
    }

    /// A connection ends. Some of what was not handed over has left all the same.
    fn lose(&mut self, connection: usize) {
        let peer = &mut self.peers[connection];
        let doubtful = self.chance.below(peer.unhanded.len() + 1);
        let peer = &mut self.peers[connection];
        let left = doubtful / 2;
        peer.inbox.extend(peer.unhanded.drain(..left));
        peer.unhanded.clear();
        // What was not shown is lost.
        peer.unread.clear();
        peer.silence();
        peer.is_lost = true;
        self.it.lost(connection as u16, doubtful as u64);
        self.judge();
        self.receive(connection);
        self.is_lost = true;
    }

    /// Everything that is under way comes to its end.
    fn settle(&mut self) {
        while !self.plans.is_empty() {
            self.go_on(usize::MAX);
        }
        for round in 0..3_000 {
            let before = self.progress();
            for connection in 0..4 {
                if self.peers[connection].is_lost {
                    continue;
                }
                self.show(connection, usize::MAX);
                self.write(connection, 20_000);
                self.receive(connection);
            }
            let is_quiet =
                self.peers.iter().all(|peer| peer.is_lost || peer.is_quiet() && !peer.is_writable);
            if is_quiet && self.it.carriage.messages.is_empty() {
                return;
            }
            // Whoever waits is woken by what he waits for. Time helps those only who wait for each other, or for
            // who says nothing.
            let is_moving = self.progress() != before || !is_quiet && !self.is_stopped();
            let is_woken = self.is_harsh || self.is_lost || self.is_stopped();
            let all = self.messages.iter().all(|one| one.got == one.sent.len());
            assert!(is_moving || is_woken || all, "{:?}", self.connections);
            if !is_moving {
                self.pass(if is_quiet { MSRP_RESPONSE_MS / 2 } else { 50 });
            }
            assert!(round < 2_900, "{:?} {:?}", self.it.next_deadline(), self.connections);
        }
    }

    fn is_stopped(&self) -> bool {
        self.peers.iter().any(|peer| peer.is_stopped)
    }

    /// What changes when anything moves.
    fn progress(&self) -> usize {
        let of_peers = self.peers.iter().map(|peer| peer.said + peer.heard);
        of_peers.sum::<usize>() + self.seen.resumed as usize
    }

    fn finish(mut self, total: &mut Seen) {
        for message in &self.messages {
            let to = self.connections[message.session];
            let is_lost = self.peers[to].is_lost
                || self.peers[self.connections[partner(message.session)]].is_lost;
            for chunk in &message.chunks {
                let is_answered = chunk.answer.is_some();
                assert!(
                    is_answered
                        || message.failure_report != FailureReport::Yes
                        || self.peers[to].is_lost,
                    "{message:?} {:?} {:?}",
                    self.connections,
                    self.peers.iter().map(|peer| peer.is_lost).collect::<Vec<_>>()
                );
            }
            let all = message.chunks.iter().all(|chunk| chunk.answer == Some(200));
            if all && message.failure_report == FailureReport::Yes {
                assert_eq!(message.got, message.sent.len());
            }
            let is_whole = message.got == message.sent.len();
            let of_peers = is_lost || self.is_harsh;
            assert!(
                of_peers || is_whole,
                "{:?} {:?} {:?}",
                message.chunks,
                message.pieces,
                self.connections
            );
        }
        for place in 0..4 {
            self.it.close(self.sessions[place], at(self.now));
            self.judge();
        }
        assert!(self.it.carriage.ways.is_empty() && self.it.carriage.messages.is_empty());
        assert!(self.it.carriage.is_bare());
        assert!(self.is_lost || self.reports.is_empty(), "{:?}", self.reports);
        let counts = self.it.counts();
        assert_eq!([counts.malformed, counts.foreign_reports, counts.duplicates], [0; 3]);
        assert!(
            self.is_harsh || self.is_lost || counts.stray_responses + counts.stray_reports == 0
        );
        let seen = self.seen;
        total.carried += seen.carried;
        total.answered += seen.answered;
        total.refused += seen.refused;
        total.stopped += seen.stopped;
        total.resumed += seen.resumed;
        total.cut += seen.cut;
        total.aborted += seen.aborted;
        total.reported += seen.reported;
        total.identifiers += counts.identifiers;
        for (total, one) in total.ends.iter_mut().zip(seen.ends) {
            *total += one;
        }
    }
}

/// What the chunks of a message have of it.
fn ranges(size: usize, chance: &mut Chance) -> Vec<(usize, usize)> {
    let count = if chance.one_in(8) { 200 } else { chance.below(5) };
    let mut cuts: Vec<usize> = (0..count).map(|_| chance.below(size + 1)).collect();
    cuts.extend([0, size]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut ranges: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    if ranges.is_empty() {
        ranges.push((0, 0));
    }
    if chance.one_in(4) {
        // Out of order, and some of it twice.
        let (one, other) = (chance.below(ranges.len()), chance.below(ranges.len()));
        ranges.swap(one, other);
        let again = ranges[one];
        ranges.push((again.0.saturating_sub(3), again.1));
    }
    ranges
}

fn walk(seeds: core::ops::Range<u64>) -> Seen {
    let mut total = Seen::default();
    for seed in seeds {
        let mut world = World::new(seed);
        let steps = 200 + world.chance.below(600);
        let lost_at = world.chance.one_in(3).then(|| world.chance.below(steps));
        for step in 0..steps {
            world.step();
            if lost_at == Some(step) {
                let connection = world.connections[world.chance.below(4)];
                world.lose(connection);
            }
        }
        world.settle();
        world.finish(&mut total);
    }
    total
}

#[test]
fn what_is_carried_is_true() {
    let seen = walk(0..60);
    assert!(seen.carried > 500 && seen.answered > 500 && seen.refused > 20, "{seen:?}");
    assert!(seen.stopped > 20 && seen.resumed > 20 && seen.cut > 100, "{seen:?}");
    assert!(seen.aborted > 10 && seen.reported > 50 && seen.identifiers > 0, "{seen:?}");
    assert!([0, 1, 2, 4, 5].iter().all(|end| seen.ends[*end] > 3), "{seen:?}");
}
