//! A relay between two connections, without sockets: what is read is cut as the drivers read, and what
//! a turn sends over a connection leaves in one write.

use std::sync::Arc;
use std::time;

use roger::engine::{Engine, Families, RequestSockets, Setup};
use roger::id::WorkerId;
use roger::limits::{BURST_SIZE, STREAM_READ_SIZE};
use roger::metrics::{Counter, Tally};
use roger::packet::{Arrival, Departures, Flow, JournalSeq, SocketId, Transport};
use roger::session::stream::{Message, Next, Order, Place, Rules, Streams};
use roger::store::{allocations_count, allocations_of_this_thread};
use roger::time::Instant;

use crate::{IM, Requests, Run, SMS, endpoint, respond, setup};

/// Bursts that come together: more than a read holds, so that a message is torn at its end.
const BURSTS: usize = 2;

struct Trunk {
    tally: Arc<Tally>,
    engine: Engine,
    streams: Streams,
    out: Departures,
    now: Instant,
    /// What was written to each connection, of at most two.
    written: [Vec<u8>; 2],
}

fn stream_setup(messages: u32) -> Setup {
    let mut setup = setup(2 * messages);
    for peer in &mut setup.peers {
        peer.transport = Transport::Tcp;
    }
    let tcp = Families { v4: Some(SocketId(0)), v6: None };
    Setup {
        transports: Box::new([Transport::Tcp]),
        request_sockets: RequestSockets { tcp, ..RequestSockets::default() },
        ..setup
    }
}

impl Trunk {
    fn new(messages: u32) -> Self {
        let (tally, now) = (Arc::new(Tally::new(2)), Instant(1_000_000_000));
        let rules = Rules {
            connections_max: 4,
            per_source_max: 1,
            known: Box::new([endpoint(SMS).ip]),
            ..Rules::closed(WorkerId(0))
        };
        Self {
            engine: Engine::new(stream_setup(messages), Arc::clone(&tally), now),
            streams: Streams::new(rules, Arc::clone(&tally), now),
            tally,
            out: Departures::new(),
            now,
            written: core::array::from_fn(|_| Vec::with_capacity(1 << 20)),
        }
    }

    /// Takes all that has come on a connection.
    fn take(&mut self, index: u16, octets: &[u8]) {
        for read in octets.chunks(STREAM_READ_SIZE) {
            self.now = Instant(self.now.0 + 20_000);
            self.streams.read(index, self.now);
            let mut at = 0;
            while self.burst(index, read, &mut at) {}
            self.engine.on_tick(self.now, &mut self.out);
        }
    }

    /// One turn with a read; whether there is more in it.
    fn burst(&mut self, index: u16, read: &[u8], at: &mut usize) -> bool {
        let mut found: [Option<Message>; BURST_SIZE] = [None; BURST_SIZE];
        let mut is_left = true;
        for place in &mut found {
            match self.streams.next(index, read, at, self.now) {
                Next::Message(message) => *place = Some(message),
                Next::Later => break,
                Next::UsedUp => {
                    is_left = false;
                    break;
                }
            }
        }
        let nothing = Flow::to(endpoint(SMS), SocketId(0));
        let nothing = Arrival { flow: nothing, at: self.now, octets: &[], truncated: false };
        let mut arrivals = [nothing; BURST_SIZE];
        let mut count = 0;
        for (arrival, message) in arrivals.iter_mut().zip(found.iter().flatten()) {
            let octets = match message.place {
                Place::Read { at, len } => &read[at..at + len],
                Place::Tail => self.streams.tail(message.index),
            };
            *arrival = Arrival { flow: self.streams.flow(message.index), octets, ..nothing };
            count += 1;
        }
        if count > 0 {
            self.engine.on_burst(&arrivals[..count], &mut self.out);
        }
        self.streams.settle();
        self.leave();
        is_left
    }

    fn leave(&mut self) {
        let Self { streams, out, now, .. } = self;
        while let Some(slot) = out.pop(JournalSeq::NOW) {
            let departure = out.departure(&slot);
            streams.send(departure.flow, out.octets(&slot), departure.owner, *now);
            out.release(slot);
        }
        while let Some(order) = streams.order() {
            match order {
                Order::Connect(index) => streams.connected(index, Ok([0; 16]), *now),
                Order::Write(index) => {
                    let octets = streams.unwritten(index);
                    self.written[usize::from(index)].extend_from_slice(octets);
                    let len = octets.len();
                    streams.written(index, Ok(len), *now);
                }
                Order::Read(_) => {}
                Order::Shut(_) | Order::Close(_) => panic!("nobody has ended a connection"),
            }
        }
        while let Some((owner, sent)) = streams.told() {
            self.engine.on_sent(owner, sent, *now);
        }
    }
}

/// Relays so many messages between two connections.
pub(crate) fn trunk(messages: u32) -> Run {
    let mut trunk = Trunk::new(messages);
    let sms = endpoint(SMS);
    let from = roger::packet::Endpoint { port: 49_152, ..sms };
    let sms = trunk.streams.accept(from, [0; 16], SocketId(0), trunk.now).unwrap();
    let mut requests = Requests::new();
    let (mut number, mut checksum) = (0, 0_u64);
    let (mut stream, mut response) = (Vec::with_capacity(1 << 20), Vec::with_capacity(2_048));
    allocations_count();
    let start = time::Instant::now();
    while number < messages {
        stream.clear();
        for _ in 0..BURSTS {
            requests.number(&mut number);
            requests.texts.iter().for_each(|text| stream.extend_from_slice(text));
        }
        trunk.take(sms, &stream);
        // The other connection is the one that the relay has opened.
        let im = 1 - sms;
        stream.clear();
        for request in messages_of(&trunk.written[usize::from(im)]) {
            respond(request, &mut response);
            stream.extend_from_slice(&response);
        }
        trunk.written[usize::from(im)].clear();
        trunk.take(im, &stream);
        for answer in messages_of(&trunk.written[usize::from(sms)]) {
            let some = u64::from(answer[answer.len() / 2]);
            checksum = checksum.wrapping_mul(0x0100_0000_01B3) ^ some ^ answer.len() as u64;
        }
        trunk.written[usize::from(sms)].clear();
    }
    let ns = start.elapsed().as_nanos() / u128::from(number);
    let allocations = allocations_of_this_thread().unwrap();
    let delivered = trunk.tally.counters.read(Counter::VerdictDelivered);
    assert_eq!(delivered, u64::from(number), "through {IM}");
    Run { ns, allocations, checksum }
}

/// What a stream of messages holds: bodies here are `x` and nothing else, or empty.
fn messages_of(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let end = memchr::memmem::find(octets, b"\r\n\r\n")? + 4;
        let body = octets[end..].iter().take_while(|octet| **octet == b'x').count();
        let (message, rest) = octets.split_at(end + body);
        octets = rest;
        Some(message)
    })
}
