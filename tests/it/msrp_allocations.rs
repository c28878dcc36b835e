//! An MSRP endpoint allocates nothing once it is there, on no path.

use roger::limits::MSRP_IDENT_SIZE_MAX;
use roger::session::msrp::{
    Acceptance, Carrying, Endpoint, Fact, Host, Keep, Message, Reports, Rules, SessionId, Step,
    Transaction, WRITE_SIZE_MIN,
};
use roger::session::msrp::{Carriage, CarriedEnd, PieceId, SendingId};
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::time::Instant;
use roger::wire::msrp::{FailureReport, Path};

const SIZE: usize = 40_000;

/// The number of no chunk.
const CARRIED: u32 = u32::MAX;

const URIS: [&str; 2] = ["msrp://a.example:7000/s0;tcp", "msrp://b.example:8000/s0;tcp"];
const ACCEPTANCE: Acceptance =
    Acceptance { size_max: SIZE as u64, keep: Keep::Assembled, reports: Reports::AtOnce };

struct Desk {
    body: Box<[u8]>,
    reports: u32,
}

impl Host for Desk {
    /// The session-id is `s` and its place.
    fn session(&self, session_id: &[u8]) -> Option<u32> {
        session_id.get(1).map(|digit| u32::from(digit & 0x0F))
    }

    /// Eight digits of each number.
    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize {
        let numbers = match transaction {
            Transaction::Chunk { sending, number, .. } => {
                [sending.index, sending.generation, number]
            }
            Transaction::Carried { piece, .. } => [piece.index, piece.generation, CARRIED],
            Transaction::Report => {
                self.reports += 1;
                [u32::MAX, 0, self.reports]
            }
        };
        for (place, digit) in to.iter_mut().take(24).enumerate() {
            let shift = 4 * (7 - place % 8);
            *digit = b'a' + u8::try_from((numbers[place / 8] >> shift) & 15).unwrap();
        }
        24
    }

    fn transaction(&self, transaction_id: &[u8]) -> Option<Transaction> {
        let number = |from: usize| {
            let digits = transaction_id.get(from..from + 8)?.iter();
            digits.copied().try_fold(0, |number, digit| {
                Some(number << 4 | u32::from(digit.checked_sub(b'a')?))
            })
        };
        if number(16)? == CARRIED {
            let piece = PieceId::new(number(0)?, number(8)?);
            return Some(Transaction::Carried { piece, attempt: 0 });
        }
        let sending = SendingId::new(number(0)?, number(8)?);
        Some(Transaction::Chunk { sending, number: number(16)?, attempt: 0 })
    }

    fn body(&self, _: u64, start: u64, most: usize) -> &[u8] {
        let rest = &self.body[usize::try_from(start).unwrap()..];
        &rest[..most.min(rest.len())]
    }
}

struct Side {
    it: Endpoint,
    desk: Desk,
    session: Option<SessionId>,
    received: u32,
    reported: u32,
    carried: u32,
    others: u32,
}

impl Side {
    fn new(carrying: Carrying) -> Self {
        let rules = Rules {
            connections_max: 2,
            sessions_max: 2,
            sendings_max: 8,
            incomings_max: 8,
            buffers_max: 4,
            buffer_size: SIZE,
            response_ms: 30_000,
            carrying,
        };
        let it = Endpoint::new(rules, Instant(0));
        let desk = Desk { body: [b'-'].repeat(SIZE).into(), reports: 0 };
        Self { it, desk, session: None, received: 0, reported: 0, carried: 0, others: 0 }
    }

    fn begin(&mut self, place: usize) {
        let session = self.it.open(0, ACCEPTANCE).unwrap();
        assert!(self.it.offer(session, URIS[place].as_bytes()));
        let peer = Path::parse(URIS[1 - place].as_bytes()).unwrap();
        assert!(self.it.agree(session, peer));
        self.it.connected(0, Instant(0));
        self.session = Some(session);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only these are acted upon")]
    fn take(&mut self) {
        while let Some(fact) = self.it.fact() {
            match fact {
                Fact::Received { incoming, .. } => {
                    self.received += 1;
                    self.it.release(incoming);
                }
                Fact::Reported { sending, .. } => {
                    self.reported += 1;
                    self.it.forget(sending);
                }
                Fact::Cut { sending, .. } => self.it.forget(sending),
                Fact::Carried {
                    carriage: Carriage::Over { end: CarriedEnd::Whole { .. } },
                    ..
                } => {
                    self.carried += 1;
                }
                _ => self.others += 1,
            }
        }
    }
}

/// Everything that leaves one side, in pieces, to the other one.
fn exchange(from: &mut Side, to: &mut Side, room: &mut [u8], kept: &mut Vec<u8>, now: Instant) {
    exchange_on([0, 0], from, to, room, kept, now);
}

/// The same, on the connection of this place on each side.
fn exchange_on(
    places: [u16; 2],
    from: &mut Side,
    to: &mut Side,
    room: &mut [u8],
    kept: &mut Vec<u8>,
    now: Instant,
) {
    loop {
        let len = from.it.write(places[0], room, &mut from.desk);
        from.it.handed_over(places[0], len as u64, now);
        from.take();
        kept.extend_from_slice(&room[..len]);
        let mut at = 0;
        loop {
            let read = to.it.read(places[1], &kept[at..], &mut to.desk, now);
            at += read.len;
            to.take();
            if !matches!(read.step, Step::Used | Step::Body { .. }) {
                break;
            }
        }
        kept.drain(..at);
        if len == 0 {
            return;
        }
    }
}

#[test]
fn an_msrp_endpoint_allocates_nothing() {
    let mut sides = [Side::new(Carrying::NOTHING), Side::new(Carrying::NOTHING)];
    let mut room = [0; WRITE_SIZE_MIN];
    let mut kept = [Vec::with_capacity(1 << 18), Vec::with_capacity(1 << 18)];
    let mut ids = Vec::from_iter((0..400_u32).map(|number| format!("message-{number}")));
    allocations_count();
    for round in 0..40_u32 {
        for (place, side) in sides.iter_mut().enumerate() {
            side.begin(place);
            kept[place].clear();
        }
        let [one, other] = &mut sides;
        assert!(one.it.bind(one.session.unwrap(), 0));
        for place in 0..6 {
            let side = if place % 2 == 0 { &mut *one } else { &mut *other };
            let id = ids.pop().unwrap();
            let message = Message {
                owner: 0,
                message_id: id.as_bytes(),
                content_type: Some(b"text/plain"),
                size: [0, 10, 3_000, SIZE as u64][(round as usize + place) % 4],
                success_report: true,
                failure_report: FailureReport::Yes,
            };
            side.it.send(side.session.unwrap(), &message).unwrap();
        }
        let now = Instant(u64::from(round) * 200_000_000_000);
        let turns = if round % 3 == 0 { 1 } else { 6 };
        for _ in 0..turns {
            exchange(one, other, &mut room, &mut kept[0], now);
            exchange(other, one, &mut room, &mut kept[1], now);
        }
        for side in [one, other] {
            side.it.expire(&mut side.desk, now.plus_ms(100_000), 100);
            side.take();
            side.it.lost(0, 0);
            side.take();
            side.it.close(side.session.take().unwrap(), now);
            side.take();
        }
    }
    assert_eq!(allocations_of_this_thread(), Some(0));
    let [one, other] = &sides;
    assert!(one.received > 50 && other.received > 50, "{} {}", one.received, other.received);
    assert!(one.reported > 50 && other.reported > 50 && one.others > 1_000);
}

#[test]
fn what_is_carried_allocates_nothing() {
    let carrying = Carrying { joins_max: 1, messages_max: 16, ring_size: 4_096 };
    let mut middle = Side::new(carrying);
    let mut ends = [Side::new(Carrying::NOTHING), Side::new(Carrying::NOTHING)];
    let mut room = [0; WRITE_SIZE_MIN];
    let mut kept = Vec::from_iter((0..4).map(|_| Vec::with_capacity(1 << 19)));
    let mut ids = Vec::from_iter((0..400_u32).map(|number| format!("message-{number}")));
    let ours = ["msrp://c.example:7000/s0;tcp", "msrp://c.example:7000/s1;tcp"];
    allocations_count();
    for round in 0..40_u32 {
        let now = Instant(u64::from(round) * 200_000_000_000);
        let acceptance = Acceptance { reports: Reports::WhenTold, ..ACCEPTANCE };
        let sessions = [0, 1].map(|place| {
            let session = middle.it.open(0, acceptance).unwrap();
            assert!(middle.it.offer(session, ours[place].as_bytes()));
            assert!(middle.it.agree(session, Path::parse(URIS[place].as_bytes()).unwrap()));
            middle.it.connected(u16::try_from(place).unwrap(), now);
            assert!(middle.it.bind(session, u16::try_from(place).unwrap()));
            session
        });
        assert!(middle.it.join(sessions[0], sessions[1]));
        kept.iter_mut().for_each(Vec::clear);
        for (place, side) in ends.iter_mut().enumerate() {
            let session = side.it.open(0, ACCEPTANCE).unwrap();
            assert!(side.it.offer(session, URIS[place].as_bytes()));
            assert!(side.it.agree(session, Path::parse(ours[place].as_bytes()).unwrap()));
            side.it.connected(0, now);
            assert!(side.it.bind(session, 0));
            side.session = Some(session);
            for number in 0..4 {
                let id = ids.pop().unwrap();
                let message = Message {
                    owner: 0,
                    message_id: id.as_bytes(),
                    content_type: Some(b"text/plain"),
                    size: [10, 3_000, 100, SIZE as u64][(round as usize + number) % 4],
                    success_report: true,
                    failure_report: FailureReport::Yes,
                };
                side.it.send(session, &message).unwrap();
            }
        }
        let turns = if round % 3 == 0 { 1 } else { 40 };
        for _ in 0..turns {
            for (place, side) in ends.iter_mut().enumerate() {
                let at = u16::try_from(place).unwrap();
                let [to, from] = [place, place + 2];
                exchange_on([0, at], side, &mut middle, &mut room, &mut kept[to], now);
                exchange_on([at, 0], &mut middle, side, &mut room, &mut kept[from], now);
            }
        }
        middle.it.expire(&mut middle.desk, now.plus_ms(100_000), 100);
        middle.take();
        for (place, side) in ends.iter_mut().enumerate() {
            middle.it.lost(u16::try_from(place).unwrap(), 0);
            middle.take();
            side.it.lost(0, 0);
            side.take();
            side.it.close(side.session.take().unwrap(), now);
            side.take();
        }
        // The place that is free last is taken first.
        for session in sessions.into_iter().rev() {
            middle.it.close(session, now);
            middle.take();
        }
    }
    assert_eq!(allocations_of_this_thread(), Some(0));
    let received = ends.iter().map(|side| side.received).sum::<u32>();
    let reported = ends.iter().map(|side| side.reported).sum::<u32>();
    assert!(received > 200 && reported > 200 && middle.carried > 200, "{received} {reported}");
}
