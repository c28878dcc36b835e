//! Two endpoints that send to each other through whatever may lie between them: octets that are torn
//! anywhere and come when they like, a connection that ends anywhere, a relay that cuts chunks, turns
//! their order around and answers itself. A plain model knows what was sent and what has been shown, and
//! holds against it what each side is told.

mod relay;

use self::relay::Relay;
use super::*;
use crate::wire::cursor::count_visits;

const URIS: [&str; 2] = ["msrp://a.example:7000/s0-a;tcp", "msrp://b.example:8000/s0-b;tcp"];
const RELAY: &str = "msrp://r.example:9000/r;tcp";
const NAMES: [&str; 2] = ["aa", "bb"];

/// Chance that can be repeated.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    pub(super) fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }
}

#[derive(Debug)]
struct PlainChunk {
    start: usize,
    end: usize,
    flag: Option<Flag>,
    is_handed: bool,
    answer: Option<u16>,
}

/// A message: what is true of it, and what its sender was told.
#[derive(Debug)]
struct Plain {
    sending: SendingId,
    message_id: String,
    body: Vec<u8>,
    failure_report: FailureReport,
    chunks: Vec<PlainChunk>,
    reported: Vec<bool>,
    is_reported: bool,
    has_aborted: bool,
    is_forgotten: bool,
    shown: Vec<bool>,
    received: u32,
}

impl Plain {
    /// Its session has ended, and that is what has left.
    fn judge_cut(&self, departed: Departed) {
        let is_there = self.shown.iter().any(|shown| *shown);
        assert!(departed != Departed::Nothing || !(is_there || self.received > 0));
        assert!(departed == Departed::All || self.received == 0);
        let is_last = |chunk: &PlainChunk| chunk.flag == Some(Flag::Last) && chunk.is_handed;
        assert!(departed == Departed::All || !self.chunks.iter().any(is_last));
    }
}

#[derive(Debug)]
struct Side {
    it: Endpoint,
    desk: Desk,
    session: SessionId,
    unhanded: Vec<u8>,
    /// On their way from here.
    wire: Vec<u8>,
    unread: Vec<u8>,
    messages: Vec<Plain>,
}

impl Side {
    fn new(place: usize, by_relay: bool) -> Self {
        let mut it = Endpoint::new(rules(), START);
        let session = it.open(0, ANY).unwrap();
        assert!(it.offer(session, URIS[place].as_bytes()));
        let peer = URIS[1 - place].to_owned();
        let peer = if by_relay { format!("{RELAY} {peer}") } else { peer };
        assert!(it.agree(session, path(&peer)));
        it.connected(0, START);
        if place == 0 {
            assert!(it.bind(session, 0));
        }
        let (unhanded, wire, unread, messages) = Default::default();
        let mut desk = Desk::new(NAMES[place]);
        desk.piece = 1_000;
        Self { it, desk, session, unhanded, wire, unread, messages }
    }
}

#[derive(Debug)]
struct World {
    sides: [Side; 2],
    relay: Option<Relay>,
    chance: Chance,
    aborts: u32,
    is_lost: bool,
    seen: Seen,
}

/// What the walks have met, so that none of it stays untried.
#[derive(Debug, Default)]
struct Seen {
    received: u32,
    reported: u32,
    interrupted: u32,
    aborted: u32,
    cut: [u32; 3],
    identifiers: u64,
    cut_in_body: u32,
}

impl World {
    fn new(seed: u64, by_relay: bool) -> Self {
        let sides = [Side::new(0, by_relay), Side::new(1, by_relay)];
        let relay = by_relay.then(Relay::default);
        let seen = Seen::default();
        Self { sides, relay, chance: Chance(seed), aborts: 0, is_lost: false, seen }
    }

    /// Some text, some of it what an end-line of ours may look like.
    fn body(&mut self) -> Vec<u8> {
        let chance = &mut self.chance;
        let size = match chance.below(5) {
            0 => chance.below(40),
            1 => 2_046 + chance.below(4),
            _ => chance.below(12_000),
        };
        let mut body = Vec::new();
        while body.len() < size {
            if chance.one_in(6) {
                let name = NAMES[chance.below(2)];
                let (index, generation, number) =
                    (chance.below(3), chance.below(3), chance.below(3));
                let flag = ["$", "+", "#", "", "$\r\n"][chance.below(5)];
                let hyphens = "-".repeat(5 + chance.below(4));
                for attempt in 0..5 {
                    let line = format!(
                        "\r\n{hyphens}{name}.{index}.{generation}.{number}.{attempt}{flag}"
                    );
                    body.extend(line.as_bytes());
                }
            } else {
                let len = chance.below(700);
                body.extend(core::iter::repeat_n(b'a' + chance.below(26) as u8, len));
            }
        }
        body.truncate(size);
        body
    }

    fn send(&mut self, place: usize) {
        let body = self.body();
        let failure_report =
            [FailureReport::Yes, FailureReport::Yes, FailureReport::Partial, FailureReport::No]
                [self.chance.below(4)];
        let side = &mut self.sides[place];
        let number = side.messages.len();
        if side.messages.iter().filter(|message| !message.is_forgotten).count() >= 5 {
            return;
        }
        let message_id = format!("{}-message-{number}", NAMES[place]);
        side.desk.bodies.push(body.clone());
        let message = Message {
            owner: number as u64,
            message_id: message_id.as_bytes(),
            content_type: Some(b"text/plain"),
            size: body.len() as u64,
            success_report: true,
            failure_report,
        };
        let sending = side.it.send(side.session, &message).unwrap();
        side.messages.push(Plain {
            sending,
            message_id,
            failure_report,
            chunks: Vec::new(),
            reported: vec![false; body.len()],
            is_reported: false,
            has_aborted: false,
            is_forgotten: false,
            shown: vec![false; body.len()],
            received: 0,
            body,
        });
    }

    fn write(&mut self, place: usize, room: usize) {
        let side = &mut self.sides[place];
        let mut to = vec![0; room];
        let len = side.it.write(0, &mut to, &mut side.desk);
        side.unhanded.extend(&to[..len]);
        self.judge(place);
    }

    fn hand_over(&mut self, place: usize, most: usize) {
        let side = &mut self.sides[place];
        let len = most.min(side.unhanded.len());
        side.wire.extend(side.unhanded.drain(..len));
        side.it.handed_over(0, len as u64, START);
        self.judge(place);
    }

    /// Octets come out of what lies between, and are read.
    fn deliver(&mut self, place: usize, most: usize) {
        let len = most.min(self.sides[1 - place].wire.len());
        let octets: Vec<u8> = self.sides[1 - place].wire.drain(..len).collect();
        match &mut self.relay {
            Some(relay) => {
                relay.take(1 - place, &octets, &mut self.chance);
                let octets = relay.give(place, &mut self.chance);
                self.sides[place].unread.extend(octets);
            }
            None => self.sides[place].unread.extend(octets),
        }
        self.read(place);
    }

    fn read(&mut self, place: usize) {
        loop {
            let side = &mut self.sides[place];
            let read = side.it.read(0, &side.unread, &mut side.desk, START);
            if let Step::Body { incoming, at } = read.step {
                let message_id = side.it.incoming(incoming).unwrap().1.to_vec();
                let octets: Vec<u8> = side.unread[..read.len].to_vec();
                let message = self.of_peer(place, &message_id);
                let range = at as usize..at as usize + octets.len();
                assert_eq!(message.body[range.clone()], octets);
                message.shown[range].fill(true);
            }
            self.sides[place].unread.drain(..read.len);
            match read.step {
                Step::Used | Step::Body { .. } => {}
                Step::Partial => return self.judge(place),
                Step::Behind => {
                    self.judge(place);
                    return self.write(place, 20_000);
                }
                Step::Early | Step::Broken | Step::Unproved | Step::Stopped => panic!("{read:?}"),
            }
        }
    }

    fn of_peer(&mut self, place: usize, message_id: &[u8]) -> &mut Plain {
        let messages = self.sides[1 - place].messages.iter_mut();
        messages.into_iter().find(|one| one.message_id.as_bytes() == message_id).unwrap()
    }

    /// Takes what a side was told, and holds it against what is true.
    fn judge(&mut self, place: usize) {
        while let Some(fact) = self.sides[place].it.fact() {
            match fact {
                Fact::Received { incoming, total, .. } => self.received(place, incoming, total),
                Fact::Bound { session, connection: 0 } => {
                    assert_eq!((place, session), (1, self.sides[1].session));
                }
                Fact::Arriving { .. } | Fact::Abandoned { .. } => {}
                Fact::Dropped { .. } | Fact::Lost { .. } => assert!(self.is_lost),
                Fact::Begun { sending, .. }
                | Fact::Gave { sending, .. }
                | Fact::Ended { sending, .. }
                | Fact::HandedOver { sending, .. }
                | Fact::Responded { sending, .. }
                | Fact::Reported { sending, .. }
                | Fact::Cut { sending, .. } => self.sent(place, sending, fact),
                Fact::Unbound { .. }
                | Fact::Carried { .. }
                | Fact::Resumed { .. }
                | Fact::Writable { .. }
                | Fact::TimedOut { .. }
                | Fact::Declined { .. }
                | Fact::Bound { .. } => {
                    panic!("{fact:?}")
                }
            }
        }
    }

    fn received(&mut self, place: usize, incoming: IncomingId, total: u64) {
        let side = &mut self.sides[place];
        let octets = side.it.octets(incoming).unwrap().to_vec();
        let message_id = side.it.incoming(incoming).unwrap().1.to_vec();
        side.it.release(incoming);
        let message = self.of_peer(place, &message_id);
        assert_eq!(octets.len() as u64, total);
        assert!(octets == message.body, "received and not equal");
        assert!(message.shown.iter().all(|shown| *shown));
        message.received += 1;
        assert_eq!(message.received, 1, "received again");
        let last =
            message.chunks.iter().find(|chunk| chunk.flag.is_some_and(|flag| flag != Flag::More));
        assert_eq!(last.map(|chunk| chunk.flag), Some(Some(Flag::Last)), "received and given up");
        self.seen.received += 1;
    }

    fn sent(&mut self, place: usize, sending: SendingId, fact: Fact) {
        let (is_direct, is_lost) = (self.relay.is_none(), self.is_lost);
        let seen = &mut self.seen;
        let messages = &mut self.sides[place].messages;
        let message =
            messages.iter_mut().find(|one| one.sending == sending && !one.is_forgotten).unwrap();
        let given = message.chunks.last().map_or(0, |chunk| chunk.end);
        match fact {
            Fact::Begun { chunk, .. } => {
                assert_eq!(chunk as usize, message.chunks.len());
                assert!(message.chunks.last().is_none_or(|chunk| chunk.flag == Some(Flag::More)));
                let (flag, is_handed, answer) = (None, false, None);
                message.chunks.push(PlainChunk {
                    start: given,
                    end: given,
                    flag,
                    is_handed,
                    answer,
                });
            }
            Fact::Gave { chunk, octets, .. } => {
                let chunk = &mut message.chunks[chunk as usize];
                assert_eq!(chunk.flag, None);
                chunk.end += octets as usize;
            }
            Fact::Ended { chunk, flag, .. } => {
                let chunk = &mut message.chunks[chunk as usize];
                assert_eq!(chunk.flag.replace(flag), None);
                match flag {
                    Flag::Last => assert_eq!(chunk.end, message.body.len()),
                    Flag::More => {
                        let is_short = chunk.end - chunk.start < 2_048;
                        seen.cut_in_body += u32::from(is_short);
                        seen.interrupted += 1;
                    }
                    Flag::Aborted => assert!(message.has_aborted),
                }
                seen.aborted += u32::from(flag == Flag::Aborted);
            }
            Fact::HandedOver { chunk, .. } => {
                let chunk = &mut message.chunks[chunk as usize];
                assert!(chunk.flag.is_some() && !chunk.is_handed);
                chunk.is_handed = true;
            }
            Fact::Responded { chunk, octets, code, .. } => {
                let chunk = &mut message.chunks[chunk as usize];
                assert_eq!(code, 200);
                assert_eq!(message.failure_report, FailureReport::Yes, "nobody asked");
                assert_eq!((chunk.start, chunk.end), (octets.start as usize, octets.end as usize));
                assert_eq!(chunk.answer.replace(code), None, "answered twice");
                assert!(chunk.is_handed || is_lost);
                let is_there = message.shown[chunk.start..chunk.end].iter().all(|shown| *shown);
                assert!(is_there || !is_direct, "acknowledged and not there");
                let is_last = chunk.flag == Some(Flag::Last);
                let all = message.chunks.iter().all(|chunk| chunk.answer.is_some());
                assert!(!(is_last && all && is_direct) || message.received == 1);
            }
            Fact::Reported { octets, code, .. } => {
                assert_eq!((code, message.received), (200, 1), "reported and not there");
                let octets = octets.unwrap();
                message.reported[octets.start as usize..octets.end as usize].fill(true);
                message.is_reported = true;
                seen.reported += 1;
            }
            Fact::Cut { departed, .. } => {
                message.judge_cut(departed);
                seen.cut[departed as usize] += 1;
            }
            _ => unreachable!(),
        }
    }

    /// What is reported whole needs nobody's memory any more.
    fn forget(&mut self, place: usize) {
        let side = &mut self.sides[place];
        for message in &mut side.messages {
            let is_reported = message.is_reported && message.reported.iter().all(|there| *there);
            let is_answered = message.failure_report != FailureReport::Yes
                || message.chunks.iter().all(|chunk| chunk.answer.is_some());
            let is_handed = message.chunks.iter().all(|chunk| chunk.is_handed);
            if is_reported && is_answered && is_handed && !message.is_forgotten {
                message.is_forgotten = true;
                side.it.forget(message.sending);
            }
        }
    }

    fn abort(&mut self, place: usize) {
        let count = self.sides[place].messages.len();
        let which = count.saturating_sub(1 + self.chance.below(4));
        let side = &mut self.sides[place];
        let Some(message) = side.messages.get_mut(which).filter(|one| !one.is_forgotten) else {
            return;
        };
        if self.aborts < 3 {
            self.aborts += 1;
            message.has_aborted = true;
            side.it.abort(message.sending);
        }
    }

    /// The connections end. Some of what was not handed over has left all the same.
    fn lose(&mut self) {
        self.is_lost = true;
        let mut doubtful = [0; 2];
        for (place, doubtful) in doubtful.iter_mut().enumerate() {
            let unhanded = self.sides[place].unhanded.len();
            *doubtful = self.chance.below(unhanded + 1);
            let left = self.chance.below(*doubtful + 1);
            let side = &mut self.sides[place];
            side.wire.extend(side.unhanded.drain(..left));
        }
        // What has come before the end is read before it (hazard H28).
        for place in 0..2 {
            let some = self.chance.below(20_000);
            self.deliver(place, some);
        }
        for (place, doubtful) in doubtful.into_iter().enumerate() {
            self.sides[place].it.lost(0, doubtful as u64);
            self.judge(place);
        }
    }

    fn step(&mut self) {
        let place = self.chance.below(2);
        match self.chance.below(40) {
            0..3 => self.send(place),
            3..14 => {
                let room = [1, 60, 600, 4_000, 30_000][self.chance.below(5)];
                self.write(place, room);
            }
            14..24 => {
                let most = [1, 30, 3_000, 100_000][self.chance.below(4)];
                self.hand_over(place, most);
            }
            24..37 => {
                let most = [1, 7, 300, 5_000][self.chance.below(4)];
                self.deliver(place, most);
            }
            37 => self.abort(place),
            _ => self.forget(place),
        }
    }

    /// Everything that is under way comes to its end.
    fn settle(&mut self) {
        for _ in 0..30 {
            for place in 0..2 {
                self.write(place, 20_000);
                self.hand_over(place, usize::MAX);
                self.deliver(place, usize::MAX);
            }
        }
        for side in &self.sides {
            assert!(!side.it.has_output(0) && side.unread.is_empty() && side.wire.is_empty());
            for message in side.messages.iter().filter(|message| !message.has_aborted) {
                assert_eq!(message.received, 1, "{}", message.message_id);
                assert!(message.is_reported && message.reported.iter().all(|there| *there));
                let answered = message.chunks.iter().all(|chunk| chunk.answer == Some(200));
                assert_eq!(answered, message.failure_report == FailureReport::Yes);
            }
        }
    }

    fn finish(mut self, total: &mut Seen) {
        for place in 0..2 {
            self.forget(place);
            total.identifiers += self.sides[place].it.counts().identifiers;
            let Counts {
                stray_responses,
                stray_reports,
                foreign_reports,
                malformed,
                homeless,
                duplicates,
                ..
            } = self.sides[place].it.counts();
            let strays =
                [stray_responses, stray_reports, foreign_reports, malformed, homeless, duplicates];
            assert_eq!(strays, [0; 6]);
        }
        total.received += self.seen.received;
        total.reported += self.seen.reported;
        total.interrupted += self.seen.interrupted;
        total.aborted += self.seen.aborted;
        total.cut_in_body += self.seen.cut_in_body;
        for (total, one) in total.cut.iter_mut().zip(self.seen.cut) {
            *total += one;
        }
    }
}

fn walk(by_relay: bool) -> Seen {
    let mut total = Seen::default();
    for seed in 0..40 {
        let mut world = World::new(seed * 2 + u64::from(by_relay), by_relay);
        world.send(0);
        let steps = 300 + world.chance.below(500);
        for _ in 0..steps {
            world.step();
        }
        if world.chance.one_in(2) {
            world.lose();
        } else {
            world.settle();
        }
        world.finish(&mut total);
    }
    total
}

fn check(seen: &Seen) {
    let Seen { received, reported, interrupted, aborted, cut, identifiers, cut_in_body } = seen;
    assert!(*received > 200 && *reported > 200, "{seen:?}");
    assert!(*interrupted > 20 && *aborted > 0 && *identifiers > 0 && *cut_in_body > 0, "{seen:?}");
    assert!(cut.iter().all(|cut| *cut > 4), "{seen:?}");
}

#[test]
fn what_is_said_is_true() {
    check(&walk(false));
}

#[test]
fn what_is_said_is_true_behind_a_relay() {
    check(&walk(true));
}

/// Ten times the octets are at most twelve times the work, octet by octet and all at once.
#[test]
fn work_grows_with_the_octets_only() {
    let mut work = Vec::new();
    for size in [3_000, 30_000] {
        for piece in [1, 100_000] {
            let mut bench = Bench::passive(ANY);
            let body = "-------x\r\n-------t001".repeat(size / 20);
            let octets = chunk("t001", "Message-ID: m001\r\n", &body[..size], '$');
            let visits = count_visits(|| {
                let (mut at, mut to) = (0, 0);
                while at < octets.len() {
                    to = octets.len().min(to + piece);
                    loop {
                        let read =
                            bench.it.read(0, &octets.as_bytes()[at..to], &mut bench.desk, START);
                        at += read.len;
                        if read.step == Step::Partial {
                            break;
                        }
                    }
                }
            });
            assert!(matches!(bench.facts()[1], Fact::Received { .. }));
            let mut bench = Bench::active(ANY);
            bench.desk.piece = 97;
            let body = "-------us.0.0.0.".repeat(size / 16);
            bench.send(body.as_bytes(), FailureReport::Yes);
            let writes = count_visits(|| {
                while bench.it.has_output(0) {
                    bench.written_on(0, piece.max(600));
                    bench.facts();
                }
            });
            work.push((visits, writes));
        }
    }
    let [few_read, few_write] = [work[0].0, work[0].1];
    assert!(work[2].0 <= few_read * 12 && work[3].0 <= work[1].0 * 12, "{work:?}");
    assert!(work[2].1 <= few_write * 12 && work[3].1 <= work[1].1 * 12, "{work:?}");
}
