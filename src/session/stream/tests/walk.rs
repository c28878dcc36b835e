//! A driver and the other ends of many connections, doing whatever they may do in any order.

use std::collections::BTreeMap;

use super::*;

/// One connection, as the driver and the other end see it.
struct Link {
    id: ConnectionId,
    remote: Endpoint,
    socket: SocketId,
    running: Running,
    is_shut: bool,
    /// The order to read is kept: no read is in the kernel's hands.
    is_read_later: bool,
    /// What the other end has sent or will send, and how much of it was read.
    stream: Vec<u8>,
    read: usize,
    messages: usize,
    /// What comes behind that.
    end: Option<Result<(), i32>>,
    /// What has come to the other end.
    came: Vec<u8>,
    /// It takes nothing more.
    is_gone: bool,
    reader: Reader,
}

struct Sent {
    flow: Flow,
    told: Option<super::Sent>,
    len: usize,
}

struct World {
    streams: Streams,
    chance: Chance,
    now: Instant,
    links: BTreeMap<u16, Link>,
    gone: Vec<Link>,
    /// By owner.
    sent: Vec<Sent>,
    names: Vec<Flow>,
    /// Connections that were shut while the order to read them was kept.
    shut_unread: usize,
    serial: usize,
}

/// Three octets of an owner, two of a length, and the rest is the owner's as well.
fn departure(owner: usize, len: usize) -> Vec<u8> {
    let head =
        [b'D', (owner >> 16) as u8, (owner >> 8) as u8, owner as u8, (len >> 8) as u8, len as u8];
    let mut octets = head.to_vec();
    octets.resize(len.max(head.len()), owner as u8 ^ 0x55);
    octets
}

impl World {
    fn new(seed: u64) -> Self {
        let rules = Rules { idle_ms: 30_000, per_source_max: 6, ..rules(12) };
        Self {
            streams: streams(rules),
            chance: Chance(seed),
            now: START,
            links: BTreeMap::new(),
            gone: Vec::new(),
            sent: Vec::new(),
            names: Vec::new(),
            shut_unread: 0,
            serial: 0,
        }
    }

    fn link(&mut self, index: u16) {
        let flow = self.streams.flow(index);
        let link = Link {
            id: flow.connection.unwrap(),
            remote: flow.remote,
            socket: flow.socket,
            running: Running::default(),
            is_shut: false,
            is_read_later: false,
            stream: Vec::new(),
            read: 0,
            messages: 0,
            end: None,
            came: Vec::new(),
            is_gone: false,
            reader: Reader::default(),
        };
        assert!(self.names.iter().all(|name| name.connection != flow.connection), "a new name");
        self.names.push(flow);
        assert!(self.links.insert(index, link).is_none(), "the place is taken");
    }

    fn step(&mut self) {
        match self.chance.below(14) {
            0 => self.accept(),
            1..=3 => self.send(),
            4 | 5 => self.speak(),
            6 | 7 => self.read(),
            8 | 9 => self.write(),
            10 => self.connected(),
            11 => self.burst(),
            12 if self.chance.one_in(8) => self.hang_up(),
            13 => {
                let ms = if self.chance.one_in(50) { 40_000 } else { self.chance.below(60) };
                self.now = self.now.plus_ms(u32::try_from(ms).unwrap());
                self.streams.expire(self.now, 3);
            }
            _ => {}
        }
        self.obey();
    }

    fn accept(&mut self) {
        let host = 1 + self.chance.below(3) as u8;
        let remote = endpoint(host, 40_000 + self.chance.below(9) as u16);
        let socket = SocketId(1 + self.chance.below(2) as u8);
        if let Some(index) = self.streams.accept(remote, [0; 16], socket, self.now) {
            self.link(index);
        }
    }

    fn send(&mut self) {
        let mut flow = match self.names.len() {
            0 => Flow::to(endpoint(7, 5060), SocketId(1)),
            // Mostly one of the last ones, which may still be there.
            known => self.names[known - 1 - self.chance.below(known.min(20))],
        };
        if self.chance.one_in(3) {
            flow = Flow::to(endpoint(7, 5060 + self.chance.below(3) as u16), SocketId(1));
        } else if self.chance.one_in(2) {
            flow.remote.port = 0;
        }
        let owner = self.sent.len();
        let len = if self.chance.one_in(20) { 9_000 } else { 6 + self.chance.below(600) };
        let octets = departure(owner, len);
        self.sent.push(Sent { flow, told: None, len });
        self.streams.send(flow, &octets, Some(Owner(owner as u64)), self.now);
    }

    /// One of the connections for which something holds.
    fn any(&mut self, holds: impl Fn(&Link) -> bool) -> Option<u16> {
        let found: Vec<u16> =
            self.links.iter().filter(|(_, link)| holds(link)).map(|(index, _)| *index).collect();
        (!found.is_empty()).then(|| found[self.chance.below(found.len())])
    }

    fn speak(&mut self) {
        let Some(index) = self.any(|link| link.end.is_none() && link.stream.len() < 60_000) else {
            return;
        };
        self.serial += 1;
        let size = if self.chance.one_in(10) { self.chance.below(12_000) } else { 40 };
        let (is_bad, is_ping) = (self.chance.one_in(200), self.chance.one_in(4));
        let link = self.links.get_mut(&index).unwrap();
        if is_ping {
            link.stream.extend(b"\r\n\r\n");
        }
        if is_bad {
            link.stream.extend(b"\0");
            link.end = Some(Ok(()));
        } else {
            link.stream.extend(message(self.serial, size));
            link.messages += 1;
        }
    }

    fn hang_up(&mut self) {
        let Some(index) = self.any(|link| link.end.is_none()) else { return };
        let (at, is_reset) = (self.chance.next(), self.chance.one_in(2));
        let link = self.links.get_mut(&index).unwrap();
        // At any octet of what it was about to send.
        let left = link.stream.len() - link.read;
        let kept = usize::try_from(at % (left as u64 + 1)).unwrap();
        if at % 2 == 0 {
            link.stream.truncate(link.read + kept);
        }
        link.end = Some(if is_reset { Err(libc::ECONNRESET) } else { Ok(()) });
        link.is_gone |= is_reset;
    }

    /// A read or the end of reading; or a read begins, or has found no room.
    fn read(&mut self) {
        let Some(index) = self.any(|link| link.running.read) else { return };
        let (size, is_cancelled) = (1 + self.chance.below(3_000), self.chance.one_in(3));
        let has_no_room = self.chance.one_in(30);
        let is_behind = self.streams.is_behind(index);
        let link = self.links.get_mut(&index).unwrap();
        if link.is_read_later {
            link.is_read_later = is_behind;
            return;
        }
        if link.is_shut && is_cancelled {
            link.running.read = false;
            return self.streams.read_ended(index, Err(libc::ECANCELED));
        }
        if has_no_room && !link.is_shut {
            link.is_read_later = true;
            return;
        }
        let to = link.stream.len().min(link.read + size);
        if link.read < to {
            let octets = link.stream[link.read..to].to_vec();
            link.reader.park(&mut self.streams, index, &octets, self.now);
            link.read = to;
        } else if let Some(result) = link.end {
            link.running.read = false;
            self.streams.read_ended(index, result);
        }
    }

    fn write(&mut self) {
        let Some(index) = self.any(|link| link.running.write) else { return };
        let (part, fails) = (self.chance.next(), self.chance.one_in(60));
        let is_short = self.chance.one_in(2);
        let link = self.links.get_mut(&index).unwrap();
        let unwritten = self.streams.unwritten(index);
        assert!(!unwritten.is_empty());
        let result = if link.is_gone || fails || (link.is_shut && part % 2 == 0) {
            Err(if link.is_shut { libc::ECANCELED } else { libc::EPIPE })
        } else {
            let len = if is_short {
                1 + (part % unwritten.len() as u64) as usize
            } else {
                unwritten.len()
            };
            link.came.extend_from_slice(&unwritten[..len]);
            Ok(len)
        };
        if fails && !link.is_shut && link.end.is_none() {
            link.end = Some(Ok(()));
        }
        link.running.write = false;
        self.streams.written(index, result, self.now);
    }

    fn connected(&mut self) {
        let Some(index) = self.any(|link| link.running.connect) else { return };
        let refused = self.chance.one_in(4);
        self.links.get_mut(&index).unwrap().running.connect = false;
        let result = if refused { Err(libc::ECONNREFUSED) } else { Ok([1; 16]) };
        self.streams.connected(index, result, self.now);
    }

    fn burst(&mut self) {
        let Some(index) = self.any(|link| !link.reader.is_empty()) else { return };
        let limit = 1 + self.chance.below(4);
        let link = self.links.get_mut(&index).unwrap();
        link.reader.burst(&mut self.streams, index, limit, self.now);
    }

    fn obey(&mut self) {
        while let Some(order) = self.streams.order() {
            if let Order::Connect(index) = order {
                self.link(index);
            }
            let (Order::Connect(index)
            | Order::Read(index)
            | Order::Write(index)
            | Order::Shut(index)
            | Order::Close(index)) = order;
            if let Order::Close(_) = order {
                let link = self.links.remove(&index).unwrap();
                assert!(!link.running.any() && link.reader.is_empty());
                self.gone.push(link);
                continue;
            }
            let link = self.links.get_mut(&index).unwrap();
            assert_eq!(self.streams.flow(index).connection, Some(link.id));
            let began = match order {
                Order::Connect(_) => &mut link.running.connect,
                Order::Read(_) => &mut link.running.read,
                Order::Write(_) => &mut link.running.write,
                _ => &mut link.is_shut,
            };
            assert!(!core::mem::replace(began, true), "{order:?} twice");
            match order {
                Order::Read(_) => link.is_read_later = true,
                // Nobody else will say how a read went that was never begun.
                Order::Shut(_) if core::mem::take(&mut link.is_read_later) => {
                    link.running.read = false;
                    self.shut_unread += 1;
                    self.streams.read_ended(index, Err(libc::ECANCELED));
                }
                _ => {}
            }
        }
        while let Some((Owner(owner), result)) = self.streams.told() {
            let sent = &mut self.sent[usize::try_from(owner).unwrap()];
            assert_eq!(sent.told.replace(result), None, "{owner} is told once");
        }
        assert_eq!(
            counted(&self.streams, Counter::ConnectionsOpen),
            self.links.len() as u64,
            "every connection that is open has a place"
        );
    }

    /// Everybody hangs up.
    fn finish(&mut self) {
        for link in self.links.values_mut() {
            link.end = link.end.or(Some(Ok(())));
        }
        let mut turns = 0;
        while !self.links.is_empty() {
            self.read();
            self.write();
            self.connected();
            self.burst();
            self.obey();
            for link in self.links.values_mut() {
                link.end = link.end.or(Some(Ok(())));
            }
            self.now = self.now.plus_ms(1);
            self.streams.expire(self.now, 3);
            turns += 1;
            assert!(turns < 200_000, "it ends");
        }
        assert_empty(&self.streams);
    }

    /// What came to the other ends is what the owners were told.
    fn check(&self) {
        let mut whole = vec![None; self.sent.len()];
        let mut cut = vec![false; self.sent.len()];
        let mut other = streams(rules(2));
        for link in &self.gone {
            let mut rest = &link.came[..];
            let mut last = None;
            while let Some(kind) = rest.first() {
                if *kind == b'\r' {
                    rest = rest.get(2..).unwrap_or_default();
                    continue;
                }
                let [b'D', a, b, c, ..] = *rest else {
                    // Less than an owner: the end of what was written.
                    assert!(*kind == b'D' && rest.len() < 4);
                    break;
                };
                let owner = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
                let sent = &self.sent[owner];
                let expected = departure(owner, sent.len);
                let is_there = sent.flow.connection == Some(link.id);
                // What another connection has not written comes behind what is here.
                if is_there || sent.flow.connection.is_none() {
                    assert!(last < Some(owner), "in order");
                    last = Some(owner);
                }
                assert!(is_there || sent.flow.remote == link.remote, "to whom it was meant");
                assert_eq!(
                    sent.flow.socket, link.socket,
                    "and what is for TLS never leaves in clear"
                );
                if rest.len() < expected.len() {
                    assert_eq!(rest, &expected[..rest.len()]);
                    cut[owner] = true;
                    break;
                }
                assert_eq!(rest[..expected.len()], expected);
                assert_eq!(whole[owner].replace(link.id), None, "{owner} left once");
                rest = &rest[expected.len()..];
            }
            Self::check_taken(link, &mut other);
        }
        for (owner, sent) in self.sent.iter().enumerate() {
            match sent.told.expect("every owner is told") {
                Ok(()) => assert!(whole[owner].is_some(), "{owner} was written"),
                Err(SendError::Other(_)) => assert!(whole[owner].is_none(), "{owner}"),
                Err(error) => {
                    assert!(error.nothing_left());
                    assert!(whole[owner].is_none() && !cut[owner], "{owner} did not leave");
                }
            }
        }
    }

    /// What was taken is a beginning of what was sent; and all of it, unless we have closed.
    fn check_taken(link: &Link, other: &mut Streams) {
        let index = accepted(other, link.remote, START);
        let mut reader = Reader::default();
        reader.feed(other, index, &link.stream[..link.read], START);
        split::close(other, index);
        let taken = &link.reader.taken;
        assert_eq!(taken[..], reader.taken[..taken.len()]);
        if !link.is_shut {
            assert_eq!(taken.len(), reader.taken.len(), "what was read is taken");
        }
        assert!(taken.len() <= link.messages);
    }
}

#[test]
fn a_random_walk() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        for _ in 0..20_000 {
            world.step();
        }
        world.finish();
        world.check();
        assert!(world.shut_unread > 0);
        let tally = |counter| counted(&world.streams, counter);
        for counter in [
            Counter::ConnectionsFailed,
            Counter::ConnectionsRefused,
            Counter::ConnectionsEnded,
            Counter::ConnectionsReset,
            Counter::KeepAlivesAnswered,
            Counter::StreamMessagesCut,
            Counter::ResponsesMoved,
        ] {
            assert!(tally(counter) > 0, "{counter:?}");
        }
        let told = |kind: fn(&super::Sent) -> bool| {
            world.sent.iter().any(|sent| kind(&sent.told.unwrap()))
        };
        assert!(told(|sent| sent.is_ok()));
        assert!(told(|sent| *sent == Err(SendError::NotWritten)));
        assert!(told(|sent| *sent == Err(SendError::NoConnection)));
        assert!(told(|sent| matches!(sent, Err(SendError::Other(_)))));
    }
}
