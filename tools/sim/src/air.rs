//! Virtual time and the network: everything that is going to happen, in order, and what goes
//! wrong on the way.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use roger::engine::Serving;
use roger::limits::DATAGRAM_SIZE_MAX;
use roger::packet::Endpoint;

use crate::centre::Task;
use crate::chance::Chance;
use crate::party::Ask;
use crate::swarm::{Faults, MS, SECOND};

/// What the receiver must make of a datagram, as far as its maker knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Grade {
    /// As it should be: it has to count.
    Sound,
    /// It may count or not: its octets were damaged, or the standards leave it open.
    Doubtful,
    /// It must not count: it was made wrong on purpose.
    Void,
    /// It must not count whatever its octets are: it comes from somewhere else.
    Foreign,
}

/// One datagram.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) octets: Rc<[u8]>,
    pub(crate) grade: Grade,
    pub(crate) truncated: bool,
    /// The submission of a short message that it carries, whatever has become of its octets.
    pub(crate) mark: Option<usize>,
    pub(crate) over: Over,
}

/// How it is carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Datagram,
    /// On a connection: this one, if it is there.
    Stream(Option<usize>),
}

/// Where a datagram is bound, which decides what can happen to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bound {
    Relay,
    Sms,
    Centre,
    Im,
}

/// One thing that is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A datagram is there.
    Arrives(Packet),
    /// A worker looks.
    Turn(usize),
    /// The SMS side composes its next message.
    Compose,
    /// A client transaction on the SMS side is due.
    Sms(usize),
    /// An IM server answers, unless it has crashed since.
    Answer {
        server: usize,
        life: u32,
        packet: Packet,
    },
    /// An ICMP error quotes a datagram that has left from this address of ours.
    Quoted {
        own: Endpoint,
        remote: Endpoint,
        quoted: Rc<[u8]>,
        grade: Grade,
    },
    /// An IM server forgets everything but what its users saw.
    Crash(usize),
    /// It is back.
    Restart(usize),
    /// All workers stand still for so long.
    Stall(u64),
    /// One worker does.
    StallOne(usize, u64),
    /// One worker stands still for ever, and later that is seen, if the process still lives its life
    /// with this number.
    Stick(usize),
    Lost {
        worker: usize,
        life: u32,
    },
    /// The process ends without warning.
    Die,
    /// It is there again.
    Revive,
    /// One direction between us and the host at this address is dead for so long.
    Block {
        host: Endpoint,
        inbound: bool,
        lasts: u64,
    },
    /// New work is met differently from here on.
    Serve(Serving),
    /// A stranger tries something.
    Stranger,
    /// A service centre does something.
    Centre(Task),
    /// A user agent of Large Messages does something.
    Agent(crate::agent::Task),
    /// Something happens to a connection.
    Line(usize, Step),
    /// The same of one whose octets the engine divides itself.
    Conduit(usize, Step),
    /// All faults end.
    Calm,
}

/// What happens to a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Somebody wants to be accepted.
    Knock,
    /// How our connecting went.
    Connected(Result<(), i32>),
    /// Octets have come to us.
    Came(Rc<[u8]>),
    /// The other end has ended it, or it is dead.
    CameEnd(Result<(), i32>),
    /// Octets of ours have come to the other end.
    Went(Rc<[u8]>),
    /// Our end has come there.
    WentEnd,
}

/// When, in which order among its like, and where the event is kept: small, because a heap moves
/// what it holds again and again.
type Scheduled = (u64, u64, usize);

#[derive(Clone, Copy, Debug)]
struct Block {
    host: Endpoint,
    inbound: bool,
    until: u64,
}

/// The queue of events and the way from one host to another.
#[derive(Debug)]
pub(crate) struct Air {
    pub(crate) now: u64,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    queue: BinaryHeap<Reverse<Scheduled>>,
    events: Vec<Option<Event>>,
    vacant: Vec<usize>,
    sequence: u64,
    blocks: Vec<Block>,
    /// What is to be sent on connections.
    pub(crate) streamed: Vec<Packet>,
    /// What is wanted of the connections whose octets the engine divides itself.
    pub(crate) asks: Vec<Ask>,
}

impl Air {
    pub(crate) fn new(chance: Chance, faults: Faults) -> Self {
        Self {
            now: 0,
            chance,
            faults,
            queue: BinaryHeap::with_capacity(1_024),
            events: Vec::with_capacity(1_024),
            vacant: Vec::new(),
            sequence: 0,
            blocks: Vec::new(),
            streamed: Vec::new(),
            asks: Vec::new(),
        }
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.queue.push(Reverse((at.max(self.now), self.sequence, place)));
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next event; the clock is set to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse((at, _, place)) = self.queue.pop()?;
        self.now = at;
        self.vacant.push(place);
        self.events[place].take()
    }

    /// How many events are to come.
    pub(crate) fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Blocks one direction between us and a host.
    pub(crate) fn block(&mut self, host: Endpoint, inbound: bool, lasts: u64) {
        self.blocks.push(Block { host, inbound, until: self.now + lasts });
    }

    /// Until when nothing gets through in this direction.
    pub(crate) fn blocked_until(&self, ip: [u8; 16], inbound: bool) -> u64 {
        let blocks = self.blocks.iter();
        let these = blocks.filter(|block| block.inbound == inbound && block.host.ip == ip);
        these.map(|block| block.until).max().unwrap_or(0)
    }

    /// Ends all faults.
    pub(crate) fn calm(&mut self) {
        self.faults = Faults::none();
        self.blocks.clear();
    }

    /// Sends a datagram, for better or worse.
    pub(crate) fn send(&mut self, packet: Packet, bound: Bound) {
        if packet.over != Over::Datagram {
            return self.streamed.push(packet);
        }
        let (host, inbound) = match bound {
            Bound::Relay => (packet.from, true),
            Bound::Sms | Bound::Centre | Bound::Im => (packet.to, false),
        };
        let now = self.now;
        let blocked = |block: &Block| {
            block.until > now && block.inbound == inbound && block.host.ip == host.ip
        };
        if self.blocks.iter().any(blocked) || self.chance.share(self.faults.loss) {
            return;
        }
        if matches!(bound, Bound::Im | Bound::Centre) && self.chance.share(self.faults.icmp) {
            self.refuse(&packet);
            return;
        }
        let twice = self.chance.share(self.faults.duplicate);
        self.deliver(packet.clone());
        if twice {
            self.deliver(packet);
        }
    }

    /// The host of a datagram, or something before it, answers with an ICMP error.
    pub(crate) fn refuse(&mut self, packet: &Packet) {
        let whole = packet.octets.len();
        let quoted = self.chance.pick(&[whole, whole, 548, 200, 100, 20]).min(whole);
        // The branch stands in our Via, which is the second line and the topmost of all Vias.
        let mut ends = packet.octets.windows(2).enumerate().filter(|(_, two)| two == b"\r\n");
        let ours_ends = ends.nth(1).map_or(whole, |(at, _)| at);
        let whole = packet.grade == Grade::Sound && quoted >= ours_ends + 2;
        let grade = if whole { Grade::Sound } else { Grade::Doubtful };
        let quoted = packet.octets[..quoted].into();
        let delay = self.latency();
        self.after(delay, Event::Quoted { own: packet.from, remote: packet.to, quoted, grade });
    }

    pub(crate) fn latency(&mut self) -> u64 {
        MS + self.chance.below(3 * MS)
    }

    fn deliver(&mut self, mut packet: Packet) {
        let mut delay = self.latency();
        if self.faults.delay > 0 {
            delay += self.chance.exponential(self.faults.delay).min(2 * SECOND);
        }
        if self.chance.share(self.faults.straggle) {
            delay += self.chance.between(2 * SECOND, 45 * SECOND);
        }
        if self.chance.share(self.faults.truncate) {
            let len = self.chance.index(packet.octets.len());
            packet.octets = packet.octets[..len].into();
            packet.truncated = self.chance.one_in(2);
            packet.grade = packet.grade.damaged();
        }
        if self.chance.share(self.faults.flip) && !packet.octets.is_empty() {
            let mut octets = packet.octets.to_vec();
            for _ in 0..self.chance.between(1, 4) {
                let at = self.chance.index(octets.len());
                octets[at] ^= 1 << self.chance.below(8);
            }
            packet.octets = octets.into();
            packet.grade = packet.grade.damaged();
        }
        if packet.octets.len() > DATAGRAM_SIZE_MAX {
            packet.octets = packet.octets[..DATAGRAM_SIZE_MAX].into();
            packet.truncated = true;
        }
        self.after(delay, Event::Arrives(packet));
    }
}

impl Grade {
    /// What becomes of it when octets are damaged: what was wrong may come right.
    const fn damaged(self) -> Self {
        match self {
            Self::Sound | Self::Doubtful | Self::Void => Self::Doubtful,
            Self::Foreign => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn air(faults: Faults) -> Air {
        Air::new(Chance::new(1), faults)
    }

    fn packet() -> Packet {
        let octets: Rc<[u8]> = b"MESSAGE a\r\nVia: b\r\nVia: c\r\n\r\n".as_slice().into();
        let [from, to] = [1, 2].map(|port| Endpoint { port, ..Endpoint::default() });
        Packet {
            from,
            to,
            octets,
            grade: Grade::Sound,
            truncated: false,
            mark: None,
            over: Over::Datagram,
        }
    }

    #[test]
    fn events_come_in_order_of_time_then_of_making() {
        let mut air = air(Faults::none());
        air.at(5, Event::Crash(1));
        air.at(3, Event::Crash(2));
        air.at(5, Event::Crash(3));
        let mut order = Vec::new();
        while let Some(Event::Crash(index)) = air.next() {
            order.push((air.now, index));
        }
        assert_eq!(order, [(3, 2), (5, 1), (5, 3)]);
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let outcome = |faults: Faults, bound| {
            let mut air = air(faults);
            air.send(packet(), bound);
            core::iter::from_fn(|| air.next()).collect::<Vec<_>>()
        };
        assert_eq!(outcome(Faults { loss: 10_000, ..Faults::none() }, Bound::Im).len(), 0);
        assert_eq!(outcome(Faults { duplicate: 10_000, ..Faults::none() }, Bound::Im).len(), 2);
        let icmp = Faults { icmp: 10_000, ..Faults::none() };
        assert!(matches!(outcome(icmp.clone(), Bound::Im)[..], [Event::Quoted { .. }]));
        assert!(matches!(outcome(icmp, Bound::Sms)[..], [Event::Arrives(_)]));
        let flipped = outcome(Faults { flip: 10_000, ..Faults::none() }, Bound::Im);
        let [Event::Arrives(arrived)] = &flipped[..] else { panic!("one datagram") };
        assert_eq!(arrived.grade, Grade::Doubtful);
        assert_ne!(arrived.octets, packet().octets);
    }

    #[test]
    fn a_block_holds_one_direction_until_it_is_over() {
        let mut air = air(Faults::none());
        air.block(packet().to, false, SECOND);
        air.send(packet(), Bound::Im);
        assert_eq!(air.pending(), 0);
        let mut back = packet();
        core::mem::swap(&mut back.from, &mut back.to);
        air.send(back, Bound::Relay);
        assert_eq!(air.pending(), 1);
        air.calm();
        air.send(packet(), Bound::Im);
        assert_eq!(air.pending(), 2);
    }
}
