//! A driver that does what it is told, for one connection or many, and what all tests share.

#![expect(
    clippy::disallowed_macros,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "tests may allocate, and their numbers are small"
)]

mod attack;
mod certificates;
mod deadlines;
mod elsewhere;
mod limits;
mod names;
mod outbox;
mod split;
mod undivided;
mod undivided_out;
mod undivided_walk;
mod walk;
mod work;

use super::*;
use crate::id::WorkerId;
use crate::limits::DATAGRAM_SIZE_MAX;
use crate::limits::{OUTBOX_OWNERS, OUTBOX_SIZE, OUTBOXES};
use crate::packet::{ConnectionId, SendError};

/// SplitMix64: the same numbers for the same seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

pub(super) const START: Instant = Instant(5_000_000_000);

pub(super) fn at(ms: u32) -> Instant {
    START.plus_ms(ms)
}

pub(super) fn endpoint(host: u8, port: u16) -> Endpoint {
    let mut ip = [0; 16];
    (ip[10], ip[11], ip[12], ip[15]) = (0xFF, 0xFF, 10, host);
    Endpoint { ip, port }
}

pub(super) fn rules(connections_max: u16) -> Rules {
    Rules {
        worker: WorkerId(3),
        connections_max,
        per_source_max: connections_max,
        known: Box::new([]),
        strangers: true,
        idle_ms: 120_000,
        undivided: Box::new([]),
        undivided_max: connections_max,
    }
}

pub(super) fn streams(rules: Rules) -> Streams {
    Streams::new(rules, Arc::new(Tally::new(0)), START)
}

pub(super) fn counted(streams: &Streams, counter: Counter) -> u64 {
    streams.tally.counters.read(counter)
}

pub(super) fn orders(streams: &mut Streams) -> Vec<Order> {
    core::iter::from_fn(|| streams.order()).collect()
}

pub(super) fn told(streams: &mut Streams) -> Vec<(u64, Sent)> {
    core::iter::from_fn(|| streams.told()).map(|(owner, sent)| (owner.0, sent)).collect()
}

/// Somebody connects, and is read from.
pub(super) fn accepted(streams: &mut Streams, from: Endpoint, now: Instant) -> u16 {
    let index = streams.accept(from, [0; 16], SocketId(1), now).unwrap();
    assert_eq!(orders(streams), [Order::Read(index)]);
    index
}

/// The connection, and nowhere else should it end.
pub(super) fn only(streams: &Streams, index: u16) -> Flow {
    let flow = streams.flow(index);
    Flow { remote: Endpoint { port: 0, ..flow.remote }, ..flow }
}

/// We connect to somebody, who does not answer yet.
pub(super) fn connecting(streams: &mut Streams, to: Endpoint, owner: u64, now: Instant) -> u16 {
    streams.send(Flow::to(to, SocketId(1)), b"first", Some(Owner(owner)), now);
    let [Order::Connect(index)] = orders(streams)[..] else { panic!("it is to be connected") };
    index
}

/// A message as it was delivered.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Taken {
    pub(super) octets: Vec<u8>,
    pub(super) truncated: bool,
}

impl core::fmt::Debug for Taken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let shown = &self.octets[..self.octets.len().min(30)];
        let (text, len) = (String::from_utf8_lossy(shown), self.octets.len());
        write!(f, "{text:?}..{len}{}", if self.truncated { " cut" } else { "" })
    }
}

/// A read that is parked.
struct Parked {
    octets: Vec<u8>,
    at: usize,
    is_used_up: bool,
}

/// What a driver holds of one connection.
#[derive(Default)]
pub(super) struct Reader {
    parked: VecDeque<Parked>,
    pub(super) taken: Vec<Taken>,
}

impl Reader {
    pub(super) fn park(&mut self, streams: &mut Streams, index: u16, octets: &[u8], now: Instant) {
        streams.read(index, now);
        self.parked.push_back(Parked { octets: octets.to_vec(), at: 0, is_used_up: false });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// One burst of at most `limit` messages, which are looked at when it is complete.
    pub(super) fn burst(&mut self, streams: &mut Streams, index: u16, limit: usize, now: Instant) {
        let mut lent = Vec::new();
        let mut read = 0;
        while lent.len() < limit
            && let Some(parked) = self.parked.get_mut(read)
        {
            match streams.next(index, &parked.octets, &mut parked.at, now) {
                Next::Message(message) => lent.push((read, message)),
                Next::UsedUp => {
                    parked.is_used_up = true;
                    read += 1;
                }
                Next::Later => break,
            }
        }
        for (read, Message { place, truncated, .. }) in lent {
            let octets = match place {
                Place::Read { at, len } => self.parked[read].octets[at..at + len].to_vec(),
                Place::Tail => streams.tail(index).to_vec(),
            };
            self.taken.push(Taken { octets, truncated });
        }
        streams.settle();
        self.parked.retain(|parked| !parked.is_used_up);
    }

    /// Reads one piece and takes everything in it.
    pub(super) fn feed(&mut self, streams: &mut Streams, index: u16, octets: &[u8], now: Instant) {
        self.park(streams, index, octets, now);
        while !self.is_empty() {
            self.burst(streams, index, 32, now);
        }
    }
}

pub(super) fn message(call_id: usize, body: usize) -> Vec<u8> {
    let text = format!(
        "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK{call_id}\r\n\
         From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: {body}\r\n\r\n"
    );
    let mut octets = text.into_bytes();
    octets.extend((0..body).map(|at| b"\r\nMESSAGE: x\r\n\r\n"[at % 16]));
    octets
}

/// Nothing is left of any connection.
pub(super) fn assert_empty(streams: &Streams) {
    assert!(streams.connections.iter().all(|connection| connection.state == State::Free));
    assert_eq!(streams.free.len(), streams.connections.len());
    assert_eq!((streams.outboxes_free.len(), streams.outboxes_given), (OUTBOXES, 0));
    assert_eq!((streams.long_reads, streams.wished.len()), (0, 0));
    assert_eq!(streams.tails.large_free(), crate::limits::STREAM_TAILS_LARGE as usize);
    assert_eq!((streams.accepted, streams.opened.len()), (0, 0));
    assert!(streams.sources.iter().all(|count| *count == 0));
    assert_eq!(streams.wheel.running(), 0);
    assert!(!streams.is_busy() && streams.touched.is_empty());
    assert_eq!(counted(streams, Counter::ConnectionsOpen), 0);
}
