//! Connections whose octets the engine divides itself: what each of them is promised.

use super::*;
use crate::limits::{
    SLOTS_EVIDENCE, STREAM_CONNECT_MS, STREAM_EVIDENCE_MIN, STREAM_HEADER_MS, STREAM_READ_SIZE,
    STREAM_READS_KEPT, STREAM_TAIL_SIZE, TIMERS_PER_TURN_MAX,
};
use crate::packet::{Departure, Departures, JournalSeq, Purse, Rest, StreamEvent, Used, Wish};

pub(super) const MSRP: SocketId = SocketId(2);

pub(super) fn rules_with(connections_max: u16) -> Rules {
    Rules { undivided: Box::new([MSRP]), ..rules(connections_max) }
}

/// What was told, octets as often as they were shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Told {
    Opened(ConnectionId, Option<u64>),
    Refused(u64),
    Arrived(ConnectionId, Vec<u8>),
    Room(ConnectionId, usize),
    Written(ConnectionId, u64),
    Lost(ConnectionId, u64),
}

/// An engine that notes what it is told, uses what it is told to, and fills what it has.
pub(super) struct Engine {
    pub(super) streams: Streams,
    pub(super) out: Departures,
    pub(super) told: Vec<Told>,
    pub(super) used: fn(&[u8]) -> Used,
    /// For each connection, what it has to say.
    pub(super) says: Vec<(ConnectionId, Vec<u8>)>,
    pub(super) now: Instant,
}

pub(super) const fn used(octets: usize, rest: Rest) -> Used {
    Used { octets, rest }
}

fn note(
    told: &mut Vec<Told>,
    says: &mut [(ConnectionId, Vec<u8>)],
    decide: fn(&[u8]) -> Used,
    event: StreamEvent<'_>,
) {
    told.push(match event {
        StreamEvent::Opened { flow, owner, .. } => {
            Told::Opened(flow.connection.unwrap(), owner.map(|owner| owner.0))
        }
        StreamEvent::Refused { owner, .. } => Told::Refused(owner.0),
        StreamEvent::Arrived { id, octets, used, .. } => {
            assert_eq!(*used, Used { octets: octets.len(), rest: Rest::WithMore });
            *used = decide(octets);
            Told::Arrived(id, octets.to_vec())
        }
        StreamEvent::Room { id, room, filled, .. } => {
            let says = says.iter_mut().find(|(of, _)| *of == id).map(|(_, says)| says);
            if let Some(says) = says {
                let len = says.len().min(room.len());
                room[..len].copy_from_slice(&says[..len]);
                says.drain(..len);
                *filled = len;
            }
            Told::Room(id, room.len())
        }
        StreamEvent::Written { id, octets, .. } => Told::Written(id, octets),
        StreamEvent::Lost { id, doubtful, .. } => Told::Lost(id, doubtful),
    });
}

impl Engine {
    pub(super) fn new(rules: Rules) -> Self {
        let connections_max = rules.connections_max;
        Self {
            streams: streams(rules),
            out: Departures::with_connections(connections_max),
            told: Vec::new(),
            used: |octets| used(octets.len(), Rest::WithMore),
            says: Vec::new(),
            now: START,
        }
    }

    /// What a driver does behind a burst, without reads; what was told.
    pub(super) fn turn(&mut self) -> Vec<Told> {
        let Self { streams, out, told, says, used, now } = self;
        let on = &mut |event: StreamEvent<'_>, _: &mut Departures| note(told, says, *used, event);
        streams.tell(*now, out, on);
        streams.take_wishes(out, *now);
        streams.offer(*now, out, on);
        core::mem::take(told)
    }

    /// Shows a parked read, of which `at` octets are used up.
    pub(super) fn show(&mut self, index: u16, read: &[u8], at: &mut usize) -> Next {
        let Self { streams, out, told, says, used, now } = self;
        let on = &mut |event: StreamEvent<'_>, _: &mut Departures| note(told, says, *used, event);
        streams.show(index, (read, at), *now, out, on)
    }

    /// A read comes and is shown; what was told.
    pub(super) fn read(&mut self, index: u16, read: &[u8]) -> Vec<Told> {
        self.streams.read(index, self.now);
        let mut at = 0;
        assert!(matches!(self.show(index, read, &mut at), Next::UsedUp));
        core::mem::take(&mut self.told)
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        self.out.wish(wish);
    }

    /// Somebody connects, and the engine knows.
    pub(super) fn accepted(&mut self, host: u8) -> (u16, ConnectionId) {
        let remote = endpoint(host, 40_000);
        let index = self.streams.accept(remote, [0; 16], MSRP, self.now).unwrap();
        assert_eq!(orders(&mut self.streams).pop(), Some(Order::Read(index)));
        let told = self.turn();
        let [Told::Opened(id, None)] = told[..] else { panic!("{told:?}") };
        (index, id)
    }

    /// The engine has something to say, which is put in.
    pub(super) fn say(&mut self, id: ConnectionId, len: usize) -> Vec<Told> {
        self.says.retain(|(_, says)| !says.is_empty());
        self.says.push((id, vec![b's'; len]));
        self.wish(Wish::Write(id));
        self.turn()
    }

    pub(super) fn wait(&mut self, ms: u32) {
        self.now = self.now.plus_ms(ms);
        self.streams.expire(self.now, 32);
    }
}

/// The driver has ended what it was told to end, and what is left is told.
pub(super) fn closed(engine: &mut Engine, index: u16) -> Vec<Told> {
    let mut told = engine.turn();
    for order in orders(&mut engine.streams) {
        if order == Order::Shut(index) {
            engine.streams.read_ended(index, Err(libc::ECANCELED));
        }
    }
    told.extend(engine.turn());
    assert_eq!(orders(&mut engine.streams), [Order::Close(index)]);
    told
}

#[test]
fn what_is_read_is_shown_where_it_lies_and_its_rest_with_what_comes_behind() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    engine.used = |octets| match octets.len() {
        0..=3 => used(0, Rest::WithMore),
        _ => used(4, Rest::WithMore),
    };
    let shown = |octets: &[u8]| Told::Arrived(id, octets.to_vec());
    assert_eq!(engine.read(index, b"aaaabbbbc"), [b"aaaabbbbc", &b"bbbbc"[..], b"c"].map(shown));
    assert_eq!(engine.read(index, b"c"), [shown(b"cc")]);
    assert_eq!(engine.read(index, b"ccdddde"), [b"ccccdddde", &b"dddde"[..], b"e"].map(shown));
    assert_eq!(counted(&engine.streams, Counter::MsrpOctetsIn), 16);
    assert_eq!(counted(&engine.streams, Counter::StreamMessagesIn), 0);
}

#[test]
fn what_is_not_wanted_now_stays_and_nothing_more_is_read_until_it_is() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    engine.used = |octets| used(octets.len().min(2), Rest::WhenWished);
    // What its tail can hold needs no buffer of the driver.
    assert_eq!(engine.read(index, b"abcd"), [Told::Arrived(id, b"abcd".to_vec())]);
    assert!(engine.streams.is_behind(index) && engine.streams.is_paused(index));
    assert_eq!(engine.turn(), []);
    assert!(!engine.streams.is_busy(), "nothing is left to do until it is wished");
    engine.wish(Wish::Read(id));
    assert_eq!(engine.turn(), []);
    assert!(engine.streams.is_busy());
    assert_eq!(engine.turn(), [Told::Arrived(id, b"cd".to_vec())]);
    assert!(engine.streams.is_paused(index), "even with nothing left");
    engine.wish(Wish::Read(id));
    assert_eq!(engine.turn(), []);
    assert!(!engine.streams.is_behind(index));
    assert_eq!(engine.turn(), []);
    // Whoever waits for us is not closed by our own delay.
    engine.used = |_| used(0, Rest::WhenWished);
    engine.read(index, b"ef");
    engine.wait(crate::limits::MSRP_IDLE_MS + 1_000);
    assert_eq!(orders(&mut engine.streams), []);
    engine.used = |octets| used(octets.len(), Rest::WithMore);
    engine.wish(Wish::Read(id));
    engine.turn();
    assert_eq!(engine.turn(), [Told::Arrived(id, b"ef".to_vec())]);
}

#[test]
fn a_long_read_may_be_kept_back_by_few_and_the_others_read_what_they_can_keep() {
    let mut engine = Engine::new(rules_with(60));
    engine.used = |octets| used(octets.len(), Rest::WithMore);
    let all: Vec<(u16, ConnectionId)> = (0..20).map(|_| engine.accepted(1)).collect();
    for (index, _) in &all {
        assert_eq!(engine.streams.readable(*index), STREAM_TAIL_SIZE, "at first");
        engine.read(*index, &[b'x'; STREAM_TAIL_SIZE]);
    }
    let long = all.iter().filter(|(index, _)| engine.streams.readable(*index) == STREAM_READ_SIZE);
    assert_eq!(long.count(), STREAM_READS_KEPT);
    engine.used = |_| used(0, Rest::WhenWished);
    let (first, last) = (all[0].0, all[19].0);
    engine.streams.read(first, START);
    assert!(matches!(engine.show(first, &vec![b'x'; STREAM_READ_SIZE], &mut 0), Next::Later));
    assert_eq!(engine.streams.readable(last), STREAM_TAIL_SIZE);
    engine.read(last, &[b'x'; STREAM_TAIL_SIZE]);
    // One that gives its own up leaves it to another one.
    engine.used = |octets| used(octets.len(), Rest::WithMore);
    engine.wish(Wish::Read(all[0].1));
    engine.turn();
    assert!(matches!(engine.show(first, b"x", &mut 0), Next::UsedUp));
    assert_eq!(engine.streams.readable(first), STREAM_TAIL_SIZE);
    engine.wish(Wish::Read(all[19].1));
    engine.turn();
    engine.turn();
    assert_eq!(engine.streams.readable(last), STREAM_READ_SIZE);
}

#[test]
fn what_was_read_before_the_end_is_shown_before_the_end() {
    for end in [Ok(()), Err(libc::ECONNRESET)] {
        let mut engine = Engine::new(rules_with(8));
        let (index, id) = engine.accepted(1);
        engine.streams.read(index, START);
        engine.streams.read_ended(index, end);
        assert_eq!(engine.turn(), []);
        engine.used = |octets| used(octets.len() / 2, Rest::WhenWished);
        engine.show(index, b"abcd", &mut 0);
        assert_eq!(core::mem::take(&mut engine.told), [Told::Arrived(id, b"abcd".to_vec())]);
        // Half of it waits for us: it is not over.
        assert_eq!(engine.turn(), []);
        assert_eq!(orders(&mut engine.streams), []);
        engine.used = |octets| used(octets.len(), Rest::WithMore);
        engine.wish(Wish::Read(id));
        let told = [engine.turn(), engine.turn(), engine.turn()].concat();
        assert_eq!(told, [Told::Arrived(id, b"cd".to_vec()), Told::Lost(id, 0)]);
        assert_eq!(orders(&mut engine.streams), [Order::Close(index)]);
        assert_empty(&engine.streams);
    }
}

#[test]
fn an_answer_to_the_last_octets_leaves_before_it_is_closed() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    engine.streams.read(index, START);
    engine.streams.read_ended(index, Ok(()));
    engine.show(index, b"request", &mut 0);
    assert_eq!(core::mem::take(&mut engine.told), [Told::Arrived(id, b"request".to_vec())]);
    // In the same turn, behind what was shown.
    engine.says.push((id, b"answer".to_vec()));
    engine.wish(Wish::Write(id));
    engine.streams.take_wishes(&mut engine.out, START);
    let told = engine.turn();
    assert!(matches!(told[..], [Told::Room(..), Told::Room(..)]), "{told:?}");
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.streams.unwritten(index), b"answer");
    engine.streams.written(index, Ok(6), START);
    let told = [engine.turn(), engine.turn()].concat();
    assert_eq!(told, [Told::Written(id, 6), Told::Lost(id, 0)]);
}

#[test]
fn every_connection_that_is_told_is_lost_once_and_its_place_is_free_then_only() {
    let mut engine = Engine::new(rules_with(2));
    // Opened and lost before anybody could be told.
    let index = engine.streams.accept(endpoint(1, 1), [0; 16], MSRP, START).unwrap();
    assert_eq!(orders(&mut engine.streams), [Order::Read(index)]);
    engine.streams.read_ended(index, Err(libc::ECONNRESET));
    assert_eq!(orders(&mut engine.streams), []);
    let told = [engine.turn(), engine.turn()].concat();
    let [Told::Opened(id, None), Told::Lost(lost, 0)] = told[..] else { panic!("{told:?}") };
    assert_eq!(id, lost);
    assert_eq!(orders(&mut engine.streams), [Order::Close(index)]);
    assert_empty(&engine.streams);
    // What is wished for one that was there is over.
    let (again, other) = engine.accepted(1);
    assert_eq!((again, other.index), (1, 1), "the place that was freed first");
    for wish in [Wish::Write(id), Wish::Read(id), Wish::Close(id)] {
        engine.wish(wish);
    }
    let foreign = ConnectionId { worker: WorkerId(9), ..other };
    engine.wish(Wish::Close(foreign));
    engine.wish(Wish::Close(ConnectionId { index: 9_999, ..other }));
    assert_eq!(engine.turn(), []);
    assert_eq!(orders(&mut engine.streams), []);
    engine.wish(Wish::Close(other));
    assert_eq!(closed(&mut engine, again), [Told::Lost(other, 0)]);
    // Nor of one that has the same place now.
    let (third, new) = engine.accepted(1);
    assert_eq!((third, new.index), (id.index, id.index));
    for wish in [Wish::Write(id), Wish::Read(id), Wish::Close(id)] {
        engine.wish(wish);
    }
    assert_eq!(engine.turn(), []);
    assert_eq!(orders(&mut engine.streams), []);
}

#[test]
fn a_connection_is_opened_for_whoever_wishes_and_for_nobody_else() {
    let mut engine = Engine::new(rules_with(8));
    let flow = Flow::to(endpoint(7, 2_855), MSRP);
    for owner in [1, 2] {
        engine.wish(Wish::Connect { flow, owner: Owner(owner) });
    }
    assert_eq!(engine.turn(), []);
    let found = orders(&mut engine.streams);
    let [Order::Connect(one), Order::Connect(two)] = found[..] else { panic!("{found:?}") };
    engine.streams.connected(one, Ok([3; 16]), START);
    engine.streams.connected(two, Err(libc::ECONNREFUSED), START);
    let told = [engine.turn(), engine.turn()].concat();
    let [Told::Opened(id, Some(1)), Told::Refused(2)] = told[..] else { panic!("{told:?}") };
    assert_eq!(engine.streams.flow(one).local, [3; 16]);
    assert_eq!(orders(&mut engine.streams), [Order::Read(one), Order::Close(two)]);
    // What has just failed is not tried again at once, and what is no such socket never.
    engine.wish(Wish::Connect { flow, owner: Owner(3) });
    engine.wish(Wish::Connect { flow: Flow::to(endpoint(8, 1), SocketId(1)), owner: Owner(4) });
    assert_eq!(engine.turn(), []);
    assert_eq!(engine.turn(), [Told::Refused(3), Told::Refused(4)]);
    // A departure does not go there.
    engine.streams.send(engine.streams.flow(one), b"x", Some(Owner(5)), START);
    let sent = engine.streams.told();
    assert_eq!(sent, Some((Owner(5), Err(SendError::NoConnection))));
    engine.wait(STREAM_CONNECT_MS);
    engine.wish(Wish::Connect { flow, owner: Owner(6) });
    engine.turn();
    let found = orders(&mut engine.streams);
    let [Order::Connect(three)] = found[..] else { panic!("{found:?}") };
    engine.wait(STREAM_CONNECT_MS);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(three)]);
    assert_eq!(engine.turn(), []);
    engine.streams.connected(three, Err(libc::ECANCELED), engine.now);
    assert_eq!(engine.turn(), [Told::Refused(6)]);
    engine.wish(Wish::Close(id));
    assert_eq!(orders(&mut engine.streams), [Order::Close(three)]);
    assert_eq!(closed(&mut engine, one), [Told::Lost(id, 0)]);
    assert_empty(&engine.streams);
}

#[test]
fn one_address_has_its_share_and_departures_keep_theirs() {
    let mut engine = Engine::new(rules_with(20));
    for owner in 0..11 {
        let flow = Flow::to(endpoint(7, 2_000 + owner as u16), MSRP);
        engine.wish(Wish::Connect { flow, owner: Owner(owner) });
    }
    engine.turn();
    assert_eq!(engine.turn(), [Told::Refused(10)], "half of the places for one address");
    assert_eq!(orders(&mut engine.streams).len(), 10);
    for owner in 20..30 {
        let flow = Flow::to(endpoint(owner as u8, 2_000), MSRP);
        engine.wish(Wish::Connect { flow, owner: Owner(owner) });
    }
    engine.turn();
    assert_eq!(engine.turn(), [Told::Refused(29)], "the last place is kept");
    // Whoever is gone has no share.
    for index in 0..10 {
        engine.streams.connected(index, Err(libc::ECONNREFUSED), START);
    }
    engine.turn();
    assert_eq!(engine.streams.wished.iter().filter(|(ip, _)| *ip == endpoint(7, 0).ip).count(), 0);
    let to_sip = Flow::to(endpoint(7, 5_060), SocketId(1));
    engine.streams.send(to_sip, b"x", None, START);
    assert!(orders(&mut engine.streams).iter().any(|order| matches!(order, Order::Connect(_))));
}

#[test]
fn nothing_is_shown_while_the_engine_could_not_say_what_it_makes_of_it() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    let left = STREAM_EVIDENCE_MIN + TIMERS_PER_TURN_MAX - 1;
    for _ in 0..SLOTS_EVIDENCE - left {
        engine.out.push(Purse::Evidence, Departure::default(), |_| 1);
    }
    engine.streams.accept(endpoint(2, 1), [0; 16], MSRP, START).unwrap();
    engine.wish(Wish::Write(id));
    engine.streams.read(index, START);
    let mut at = 0;
    assert!(matches!(engine.show(index, b"abc", &mut at), Next::Later));
    assert_eq!((at, engine.turn()), (0, vec![]));
    assert!(engine.streams.is_busy());
    let slot = engine.out.pop(JournalSeq::NOW).unwrap();
    engine.out.release(slot);
    assert!(matches!(engine.show(index, b"abc", &mut at), Next::UsedUp));
    assert_eq!(core::mem::take(&mut engine.told), [Told::Arrived(id, b"abc".to_vec())]);
    let told = engine.turn();
    assert!(matches!(told[..], [Told::Opened(..), Told::Room(..)]), "{told:?}");
}

#[test]
fn one_of_many_octets_or_of_many_calls_leaves_the_turn_to_others() {
    let mut engine = Engine::new(rules_with(8));
    let (index, _) = engine.accepted(1);
    engine.used = |_| used(1, Rest::WithMore);
    engine.streams.read(index, START);
    let (read, mut at) = ([b'x'; 1_000], 0);
    assert!(matches!(engine.show(index, &read, &mut at), Next::Later));
    assert_eq!(at, crate::limits::STREAM_SHOWS_PER_TURN);
    assert!(!engine.streams.is_paused(index));
    let mut turns = 1;
    while matches!(engine.show(index, &read, &mut at), Next::Later) {
        turns += 1;
    }
    assert_eq!(turns, 1_000 / crate::limits::STREAM_SHOWS_PER_TURN);
}

#[test]
fn a_head_has_its_time_and_an_end_line_and_silence_have_theirs() {
    let mut engine = Engine::new(rules_with(8));
    engine.used = |_| used(0, Rest::WithMore);
    let (head, _) = engine.accepted(1);
    let (end_line, _) = engine.accepted(1);
    engine.used = |octets| used(octets.len(), Rest::WithMore);
    let (silent, _) = engine.accepted(1);
    engine.read(silent, b"abc");
    engine.used = |_| used(0, Rest::WithMore);
    engine.read(head, &[b'h'; crate::limits::MSRP_END_LINE_SIZE_MAX + 1]);
    engine.read(end_line, &[b'-'; crate::limits::MSRP_END_LINE_SIZE_MAX]);
    engine.wait(STREAM_HEADER_MS - 1);
    // An octet now and then makes it no younger.
    engine.read(head, b"h");
    engine.wait(20);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(head)]);
    engine.wait(crate::limits::MSRP_STALLED_MS);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(end_line)]);
    assert_eq!(counted(&engine.streams, Counter::ClosedSlow), 2);
    engine.wait(crate::limits::MSRP_IDLE_MS - 200_000);
    assert_eq!(orders(&mut engine.streams), []);
    engine.wait(200_000);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(silent)]);
    assert_eq!(counted(&engine.streams, Counter::ClosedIdle), 1);
}

#[test]
fn what_cannot_be_used_however_much_comes_ends_its_connection() {
    let mut engine = Engine::new(rules_with(8));
    engine.used = |_| used(0, Rest::WithMore);
    let (whole, _) = engine.accepted(1);
    engine.read(whole, &[b'x'; DATAGRAM_SIZE_MAX]);
    assert_eq!(counted(&engine.streams, Counter::ClosedUnframed), 0);
    engine.read(whole, b"x");
    assert_eq!(counted(&engine.streams, Counter::ClosedUnframed), 1);
    let (at_once, _) = engine.accepted(1);
    engine.read(at_once, &[b'x'; DATAGRAM_SIZE_MAX + 1]);
    assert_eq!(counted(&engine.streams, Counter::ClosedUnframed), 2);
}

#[test]
fn the_one_that_has_kept_most_for_longest_makes_room() {
    let large = crate::limits::STREAM_TAILS_LARGE;
    let mut engine = Engine::new(rules_with(200));
    engine.used = |_| used(0, Rest::WithMore);
    let all: Vec<(u16, ConnectionId)> = (0..=large).map(|_| engine.accepted(1)).collect();
    for (index, _) in &all[..large as usize] {
        engine.now = engine.now.plus_ms(1);
        engine.read(*index, &[b'x'; STREAM_TAIL_SIZE + 1]);
    }
    assert_eq!(engine.streams.tails.large_free(), 0);
    engine.read(all[large as usize].0, &[b'x'; STREAM_TAIL_SIZE + 1]);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(all[0].0)]);
    assert_eq!(counted(&engine.streams, Counter::ClosedNoRoom), 1);
}
