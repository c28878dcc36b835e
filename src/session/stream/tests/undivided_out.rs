//! What the engine puts into connections whose octets it divides itself.

use super::undivided::{Engine, Told, closed, rules_with};
use super::*;
use crate::limits::{OUTBOXES_SPARE, STREAM_ROOM_MIN, STREAM_STALLED_MS};
use crate::packet::Wish;

#[test]
fn what_is_put_in_is_written_and_told_and_what_is_cut_off_is_doubtful() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    let told = engine.say(id, 100);
    let expected = [Told::Room(id, OUTBOX_SIZE), Told::Room(id, OUTBOX_SIZE - 100)];
    assert_eq!(told, expected);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.streams.unwritten(index), [b's'; 100]);
    // More is put in while that is being written.
    assert_eq!(engine.say(id, 50).len(), 2);
    engine.streams.written(index, Ok(60), START);
    assert_eq!(engine.turn(), [Told::Written(id, 60)]);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.streams.unwritten(index).len(), 90);
    assert_eq!(engine.say(id, 7).len(), 2);
    engine.streams.written(index, Err(libc::EPIPE), START);
    engine.streams.read_ended(index, Err(libc::ECONNRESET));
    let told = [engine.turn(), engine.turn()].concat();
    assert_eq!(told, [Told::Lost(id, 90)], "not the 7 that nobody was shown");
    assert_eq!(counted(&engine.streams, Counter::MsrpOctetsOut), 60);
    assert_eq!(engine.streams.outboxes_free.len(), OUTBOXES);
}

#[test]
fn room_is_one_piece_and_long_enough_or_it_is_not_offered() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    let told = engine.say(id, 3 * OUTBOX_SIZE);
    assert_eq!(told, [Told::Room(id, OUTBOX_SIZE)]);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert!(!engine.streams.is_busy());
    assert_eq!(engine.streams.unwritten(index).len(), OUTBOX_SIZE);
    engine.streams.written(index, Ok(OUTBOX_SIZE - 1), START);
    assert_eq!(engine.turn(), [Told::Written(id, OUTBOX_SIZE as u64 - 1)], "not in two pieces");
    assert_eq!(engine.streams.unwritten(index).len(), 1);
    engine.streams.written(index, Ok(1), START);
    let told = engine.turn();
    assert_eq!(told, [Told::Written(id, 1), Told::Room(id, OUTBOX_SIZE)]);
    // Just as much as has to be.
    let (_, other) = engine.accepted(1);
    let told = engine.say(other, OUTBOX_SIZE - STREAM_ROOM_MIN);
    assert_eq!(told, [Told::Room(other, OUTBOX_SIZE), Told::Room(other, STREAM_ROOM_MIN)]);
    let (_, third) = engine.accepted(1);
    let told = engine.say(third, OUTBOX_SIZE - STREAM_ROOM_MIN + 1);
    assert_eq!(told, [Told::Room(third, OUTBOX_SIZE)]);
}

#[test]
fn who_waits_for_an_outbox_has_it_in_his_turn_and_departures_keep_theirs() {
    let mut engine = Engine::new(rules_with(100));
    let all: Vec<(u16, ConnectionId)> = (0..60).map(|_| engine.accepted(1)).collect();
    for (_, id) in &all {
        engine.says.push((*id, vec![b's'; 2 * OUTBOX_SIZE]));
        engine.wish(Wish::Write(*id));
    }
    let mut order = Vec::new();
    let mut rooms = |told: Vec<Told>| {
        for told in told {
            if let Told::Room(id, _) = told {
                order.push(id);
            }
        }
    };
    for _ in 0..OUTBOXES {
        rooms(engine.turn());
    }
    let given = OUTBOXES - OUTBOXES_SPARE;
    assert_eq!(engine.streams.outboxes_free.len(), OUTBOXES_SPARE);
    // A departure still has an outbox, and costs nobody his connection.
    engine.streams.send(Flow::to(endpoint(9, 5_060), SocketId(1)), b"x", None, START);
    engine.wait(1_100);
    engine.streams.send(Flow::to(endpoint(9, 5_061), SocketId(1)), b"x", None, engine.now);
    assert_eq!(counted(&engine.streams, Counter::ClosedNoRoom), 0);
    // Whoever has written has his next turn behind the others.
    orders(&mut engine.streams);
    for (index, _) in &all[..given] {
        let len = engine.streams.unwritten(*index).len();
        assert_eq!(len, OUTBOX_SIZE);
        engine.streams.written(*index, Ok(len), engine.now);
    }
    for _ in 0..OUTBOXES {
        rooms(engine.turn());
    }
    let expected: Vec<ConnectionId> = all.iter().map(|(_, id)| *id).collect();
    assert_eq!(order[..60], expected[..], "the first ones first");
    assert_eq!(order[60], expected[0]);
}

#[test]
fn what_is_closed_is_written_first_and_what_comes_meanwhile_is_passed_over() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    engine.say(id, 100);
    engine.wish(Wish::Close(id));
    engine.wish(Wish::Write(id));
    assert_eq!(engine.turn(), []);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.read(index, b"too late"), []);
    assert_eq!(engine.streams.unwritten(index).len(), 100);
    engine.streams.written(index, Ok(40), START);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.streams.unwritten(index).len(), 60);
    engine.streams.written(index, Ok(60), START);
    assert_eq!(closed(&mut engine, index), [Told::Written(id, 100), Told::Lost(id, 0)]);
    assert_empty(&engine.streams);
}

#[test]
fn who_does_not_read_is_closed_and_what_he_may_have_is_doubtful() {
    let mut engine = Engine::new(rules_with(8));
    let (index, id) = engine.accepted(1);
    engine.say(id, 100);
    assert_eq!(orders(&mut engine.streams), [Order::Write(index)]);
    assert_eq!(engine.streams.unwritten(index).len(), 100);
    engine.wait(STREAM_STALLED_MS - 100);
    assert_eq!(orders(&mut engine.streams), []);
    engine.wait(200);
    assert_eq!(orders(&mut engine.streams), [Order::Shut(index)]);
    assert_eq!(counted(&engine.streams, Counter::ClosedUnread), 1);
    engine.streams.written(index, Err(libc::ECANCELED), engine.now);
    engine.streams.read_ended(index, Err(libc::ECANCELED));
    assert_eq!(engine.turn(), [Told::Lost(id, 100)]);
}
