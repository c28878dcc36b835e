//! An engine and the other ends of many connections whose octets it divides, doing whatever they may do in
//! any order, against what each of them knows itself.

use std::collections::BTreeMap;

use super::undivided::{MSRP, rules_with};
use super::*;
use crate::packet::{Departures, Rest, StreamEvent, Used, Wish};

/// One connection, as the driver and the other end see it.
struct Link {
    id: ConnectionId,
    running: Running,
    is_shut: bool,
    is_read_later: bool,
    /// How many octets the other end has sent or will send, and how many were read.
    sent: usize,
    read: usize,
    end: Option<Result<(), i32>>,
    /// It takes nothing more.
    is_gone: bool,
    parked: VecDeque<(Vec<u8>, usize)>,
    /// What has come to the other end.
    came: Vec<u8>,
    /// What of a write that has failed was shown.
    failed: usize,
}

/// One connection, as the engine sees it.
struct Our {
    serial: u64,
    used: usize,
    /// Nothing of less than so many octets can be used.
    needs: usize,
    is_paused: bool,
    put: usize,
    written: u64,
    is_closed: bool,
    doubtful: Option<u64>,
}

struct World {
    streams: Streams,
    out: Departures,
    chance: Chance,
    now: Instant,
    links: BTreeMap<u16, Link>,
    gone: Vec<Link>,
    ours: Vec<(ConnectionId, Our)>,
    wished: u64,
    refused: Vec<u64>,
    opened: Vec<u64>,
}

/// The octet at a place of what is said on a connection, in one direction or the other.
fn octet(id: ConnectionId, at: usize, is_ours: bool) -> u8 {
    let salt = u64::from(id.generation.get()) << 16 | u64::from(id.index);
    let mixed = (salt * 2 + u64::from(is_ours)).wrapping_mul(0x9E37_79B9) ^ (at as u64 * 0x85EB);
    (mixed >> 7) as u8 ^ at as u8
}

fn octets(id: ConnectionId, at: usize, len: usize, is_ours: bool) -> Vec<u8> {
    (at..at + len).map(|at| octet(id, at, is_ours)).collect()
}

/// What the engine does about what it is told.
fn on(
    event: StreamEvent<'_>,
    out: &mut Departures,
    ours: &mut Vec<(ConnectionId, Our)>,
    (opened, refused): (&mut Vec<u64>, &mut Vec<u64>),
    chance: &mut Chance,
) {
    let our = |ours: &mut Vec<(ConnectionId, Our)>, id| {
        ours.iter().rposition(|(of, _)| *of == id).expect("it was told to be there")
    };
    match event {
        StreamEvent::Opened { flow, owner, .. } => {
            let id = flow.connection.unwrap();
            assert!(ours.iter().all(|(of, _)| *of != id), "a new name");
            opened.extend(owner.map(|owner| owner.0));
            ours.push((
                id,
                Our {
                    serial: ours.len() as u64,
                    used: 0,
                    needs: 1,
                    is_paused: false,
                    put: 0,
                    written: 0,
                    is_closed: false,
                    doubtful: None,
                },
            ));
        }
        StreamEvent::Refused { owner, .. } => refused.push(owner.0),
        StreamEvent::Arrived { id, octets: shown, used, .. } => {
            let at = our(ours, id);
            let our = &mut ours[at].1;
            assert!(our.doubtful.is_none() && !our.is_closed && !our.is_paused);
            assert!(!shown.is_empty());
            assert!(shown.iter().enumerate().all(|(n, o)| *o == octet(id, our.used + n, false)));
            let enough = shown.len() >= our.needs;
            let len = if enough { our.needs.max(1 + chance.below(shown.len())) } else { 0 };
            if enough {
                our.needs = if chance.one_in(6) { chance.below(8_000) } else { chance.below(300) };
            }
            our.used += len;
            our.is_paused = chance.one_in(5);
            let rest = if our.is_paused { Rest::WhenWished } else { Rest::WithMore };
            *used = Used { octets: len, rest };
            if chance.one_in(3) {
                out.wish(Wish::Write(id));
            }
        }
        StreamEvent::Room { id, room, filled, .. } => {
            let at = our(ours, id);
            let our = &mut ours[at].1;
            assert!(our.doubtful.is_none() && !our.is_closed);
            assert!(room.len() >= crate::limits::STREAM_ROOM_MIN);
            let most = if chance.one_in(9) { room.len() } else { 2_000 };
            *filled = if chance.one_in(3) { 0 } else { chance.below(most) };
            room[..*filled].copy_from_slice(&octets(id, our.put, *filled, true));
            our.put += *filled;
        }
        StreamEvent::Written { id, octets, .. } => {
            let at = our(ours, id);
            assert!(ours[at].1.doubtful.is_none());
            ours[at].1.written += octets;
        }
        StreamEvent::Lost { id, doubtful, .. } => {
            let at = our(ours, id);
            assert_eq!(ours[at].1.doubtful.replace(doubtful), None, "lost once");
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            streams: streams(Rules { per_source_max: 6, ..rules_with(12) }),
            out: Departures::with_connections(64),
            chance: Chance(seed),
            now: START,
            links: BTreeMap::new(),
            gone: Vec::new(),
            ours: Vec::new(),
            wished: 0,
            refused: Vec::new(),
            opened: Vec::new(),
        }
    }

    fn link(&mut self, index: u16) {
        let link = Link {
            id: self.streams.flow(index).connection.unwrap(),
            running: Running::default(),
            is_shut: false,
            is_read_later: false,
            sent: 0,
            read: 0,
            end: None,
            is_gone: false,
            parked: VecDeque::new(),
            came: Vec::new(),
            failed: 0,
        };
        assert!(self.links.insert(index, link).is_none(), "the place is taken");
    }

    fn any(&mut self, holds: impl Fn(&Link) -> bool) -> Option<u16> {
        let found: Vec<u16> =
            self.links.iter().filter(|(_, link)| holds(link)).map(|(index, _)| *index).collect();
        (!found.is_empty()).then(|| found[self.chance.below(found.len())])
    }

    fn step(&mut self) {
        match self.chance.below(16) {
            0 => {
                let remote = endpoint(1 + self.chance.below(3) as u8, 40_000);
                if let Some(index) = self.streams.accept(remote, [0; 16], MSRP, self.now) {
                    self.link(index);
                }
            }
            1 => {
                let flow = Flow::to(endpoint(7, 2_000 + self.chance.below(40) as u16), MSRP);
                self.out.wish(Wish::Connect { flow, owner: Owner(self.wished) });
                self.wished += 1;
            }
            2 | 3 => {
                let len = if self.chance.one_in(9) { 70_000 } else { 1 + self.chance.below(900) };
                if let Some(index) = self.any(|link| link.end.is_none()) {
                    self.links.get_mut(&index).unwrap().sent += len;
                }
            }
            4..=6 => self.read(),
            7 | 8 => self.write(),
            9 => self.connected(),
            10 => self.divide(),
            11 | 12 => self.wish(),
            13 if self.chance.one_in(6) => self.hang_up(),
            14 => {
                let ms = if self.chance.one_in(80) { 12_000 } else { self.chance.below(60) };
                self.now = self.now.plus_ms(u32::try_from(ms).unwrap());
                self.streams.expire(self.now, 3);
            }
            _ => {}
        }
        self.obey();
    }

    /// The engine wishes something of one of the last connections, be it there or not.
    fn wish(&mut self) {
        let known = self.ours.len();
        if known == 0 || self.out.has_wishes() {
            return;
        }
        let at = known - 1 - self.chance.below(known.min(14));
        let (id, our) = &mut self.ours[at];
        match self.chance.below(20) {
            0 => {
                self.out.wish(Wish::Close(*id));
                self.take();
                self.ours[at].1.is_closed = true;
            }
            1..=7 => self.out.wish(Wish::Write(*id)),
            _ => {
                our.is_paused = false;
                self.out.wish(Wish::Read(*id));
                self.take();
            }
        }
    }

    fn take(&mut self) {
        self.streams.take_wishes(&mut self.out, self.now);
    }

    fn hang_up(&mut self) {
        let Some(index) = self.any(|link| link.end.is_none()) else { return };
        let is_reset = self.chance.one_in(2);
        let link = self.links.get_mut(&index).unwrap();
        link.sent = link.read + self.chance.below(link.sent - link.read + 1);
        link.end = Some(if is_reset { Err(libc::ECONNRESET) } else { Ok(()) });
        link.is_gone |= is_reset;
    }

    fn read(&mut self) {
        let Some(index) = self.any(|link| link.running.read && link.parked.len() < 2) else {
            return;
        };
        let (most, is_cancelled) = (1 + self.chance.below(3_000), self.chance.one_in(3));
        let most = if self.chance.one_in(5) { 1 } else { most };
        let is_behind = self.streams.is_behind(index);
        let size = self.streams.readable(index).min(most);
        assert!(size > 0);
        let link = self.links.get_mut(&index).unwrap();
        if link.is_read_later {
            link.is_read_later = is_behind;
            return;
        }
        if link.is_shut && is_cancelled {
            link.running.read = false;
            return self.streams.read_ended(index, Err(libc::ECANCELED));
        }
        let len = size.min(link.sent - link.read);
        if len > 0 {
            self.streams.read(index, self.now);
            link.parked.push_back((octets(link.id, link.read, len, false), 0));
            link.read += len;
        } else if let Some(end) = link.end {
            link.running.read = false;
            self.streams.read_ended(index, end);
        }
    }

    fn write(&mut self) {
        let Some(index) = self.any(|link| link.running.write) else { return };
        let (part, fails) = (self.chance.next() as usize, self.chance.one_in(80));
        let link = self.links.get_mut(&index).unwrap();
        link.running.write = false;
        if link.is_shut && part.is_multiple_of(2) {
            // Nobody was shown anything of it.
            return self.streams.written(index, Err(libc::ECANCELED), self.now);
        }
        let unwritten = self.streams.unwritten(index);
        assert!(!unwritten.is_empty());
        if link.is_gone || fails {
            link.failed = unwritten.len();
            link.came.extend_from_slice(&unwritten[..part % (unwritten.len() + 1)]);
            return self.streams.written(index, Err(libc::EPIPE), self.now);
        }
        let len = if part.is_multiple_of(3) { 1 + part % unwritten.len() } else { unwritten.len() };
        link.came.extend_from_slice(&unwritten[..len]);
        self.streams.written(index, Ok(len), self.now);
    }

    fn connected(&mut self) {
        let Some(index) = self.any(|link| link.running.connect) else { return };
        self.links.get_mut(&index).unwrap().running.connect = false;
        let refused = self.chance.one_in(4);
        let result = if refused { Err(libc::ECONNREFUSED) } else { Ok([1; 16]) };
        self.streams.connected(index, result, self.now);
    }

    /// What a driver does behind a burst.
    fn divide(&mut self) {
        let Self { streams, out, ours, refused, opened, chance, links, now, .. } = self;
        let shown: Vec<u16> = links.keys().copied().collect();
        let on = &mut |event: StreamEvent<'_>, out: &mut Departures| {
            on(event, out, ours, (opened, refused), chance);
        };
        streams.tell(*now, out, on);
        for index in shown {
            let link = links.get_mut(&index).unwrap();
            if let Some((read, at)) = link.parked.front_mut()
                && let Next::UsedUp = streams.show(index, (read, at), *now, out, on)
            {
                link.parked.pop_front();
            }
        }
        streams.take_wishes(out, *now);
        streams.offer(*now, out, on);
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
                assert!(!link.running.any() && link.parked.is_empty());
                self.gone.push(link);
                continue;
            }
            let link = self.links.get_mut(&index).unwrap();
            let began = match order {
                Order::Connect(_) => &mut link.running.connect,
                Order::Read(_) => &mut link.running.read,
                Order::Write(_) => &mut link.running.write,
                _ => &mut link.is_shut,
            };
            assert!(!core::mem::replace(began, true), "{order:?} twice");
            match order {
                Order::Read(_) => link.is_read_later = true,
                Order::Shut(_) if core::mem::take(&mut link.is_read_later) => {
                    link.running.read = false;
                    self.streams.read_ended(index, Err(libc::ECANCELED));
                }
                _ => {}
            }
        }
    }

    /// Everybody hangs up, and the engine waits for nothing.
    fn finish(&mut self) {
        let mut turns = 0;
        while !self.links.is_empty() || self.out.has_wishes() || self.streams.is_busy() {
            for link in self.links.values_mut() {
                link.end = link.end.or(Some(Ok(())));
            }
            for (id, our) in &mut self.ours {
                if our.doubtful.is_none() && core::mem::take(&mut our.is_paused) {
                    self.out.wish(Wish::Read(*id));
                }
            }
            self.take();
            self.read();
            self.write();
            self.connected();
            self.divide();
            self.obey();
            self.now = self.now.plus_ms(1);
            self.streams.expire(self.now, 3);
            turns += 1;
            assert!(turns < 100_000, "it ends");
        }
        assert_empty(&self.streams);
    }

    /// What each end knows is what the other one was told.
    fn check(&self) -> [usize; 3] {
        let mut seen = [0; 3];
        assert_eq!(self.opened.len() + self.refused.len(), self.wished as usize);
        let mut owners = [&self.opened[..], &self.refused].concat();
        owners.sort_unstable();
        assert!((0..self.wished).eq(owners), "each one is told one thing");
        for link in &self.gone {
            let Some((_, our)) = self.ours.iter().find(|(id, _)| *id == link.id) else {
                assert!(link.read == 0 && link.came.is_empty());
                continue;
            };
            let doubtful = our.doubtful.expect("every one is lost") as usize;
            assert_eq!(doubtful, link.failed, "exactly what was cut off");
            let written = our.written as usize;
            let came = &link.came;
            assert!(written + doubtful <= our.put, "{}", our.serial);
            assert!((written..=written + doubtful).contains(&came.len()));
            assert!(came.iter().enumerate().all(|(at, o)| *o == octet(link.id, at, true)));
            assert!(our.used <= link.read);
            if !link.is_shut && !our.is_closed {
                let left = link.read - our.used;
                assert!(left < our.needs.max(1), "{left} of {} before the end", our.needs);
            }
            seen[0] += usize::from(doubtful > 0);
            seen[1] += our.used;
            seen[2] += written;
        }
        seen
    }
}

#[test]
fn a_random_walk() {
    let mut seen = [0; 3];
    for seed in 0..4 {
        let mut world = World::new(seed);
        for _ in 0..30_000 {
            world.step();
        }
        world.finish();
        for (all, some) in seen.iter_mut().zip(world.check()) {
            *all += some;
        }
        for counter in [
            Counter::ConnectionsFailed,
            Counter::ConnectionsEnded,
            Counter::ConnectionsReset,
            Counter::ClosedUnread,
        ] {
            assert!(counted(&world.streams, counter) > 0, "{counter:?}");
        }
        assert_eq!(counted(&world.streams, Counter::ClosedUnframed), 0);
    }
    assert!(seen[0] > 20 && seen[1] > 1 << 20 && seen[2] > 1 << 20, "{seen:?}");
}

/// Pieces of all kinds of lengths, each used when it is whole, with a head that says how long it is.
fn pieces() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut pieces = Vec::new();
    for len in [0_usize, 1, 2, 700, 3, 0, 5_000, 8, 8_990] {
        let [low, high] = u16::try_from(len).unwrap().to_le_bytes();
        let mut piece = vec![low, high];
        piece.extend((0..len).map(|at| at as u8 ^ len as u8));
        pieces.push(piece);
    }
    (pieces.concat(), pieces)
}

/// Feeds reads of these lengths; what was used, piece by piece. `pauses` makes it ask for each.
fn divided(
    (streams, out): (&mut Streams, &mut Departures),
    reads: &[&[u8]],
    pauses: bool,
) -> Vec<Vec<u8>> {
    let index = streams.accept(endpoint(1, 1), [0; 16], MSRP, START).unwrap();
    let mut used_up = Vec::new();
    let mut on = |event: StreamEvent<'_>, out: &mut Departures| {
        let StreamEvent::Arrived { id, octets, used, .. } = event else { return };
        let head = octets.first_chunk().map(|head| 2 + usize::from(u16::from_le_bytes(*head)));
        let whole = head.filter(|len| *len <= octets.len());
        used_up.extend(whole.map(|len| octets[..len].to_vec()));
        let rest = if pauses && whole.is_some() { Rest::WhenWished } else { Rest::WithMore };
        *used = Used { octets: whole.unwrap_or(0), rest };
        if rest == Rest::WhenWished {
            out.wish(Wish::Read(id));
        }
    };
    streams.tell(START, out, &mut on);
    for read in reads {
        streams.read(index, START);
        let mut at = 0;
        while let Next::Later = streams.show(index, (read, &mut at), START, out, &mut on) {
            streams.take_wishes(out, START);
        }
        for _ in 0..12 {
            streams.take_wishes(out, START);
            streams.tell(START, out, &mut on);
        }
    }
    streams.read_ended(index, Ok(()));
    streams.tell(START, out, &mut on);
    let last = orders(streams).pop();
    assert_eq!(last, Some(Order::Close(index)));
    assert_eq!(counted(streams, Counter::ClosedUnframed), 0);
    used_up
}

#[test]
fn every_cut_gives_the_same() {
    let (all, pieces) = pieces();
    let mut streams = streams(rules_with(2));
    let mut out = Departures::with_connections(2);
    for pauses in [false, true] {
        for cut in 0..=all.len() {
            let (front, back) = all.split_at(cut);
            let reads: Vec<&[u8]> = [front, back].into_iter().filter(|r| !r.is_empty()).collect();
            assert!(
                divided((&mut streams, &mut out), &reads, pauses) == pieces,
                "cut at {cut}, {pauses}"
            );
        }
        let one_by_one: Vec<&[u8]> = all.chunks(1).collect();
        assert!(
            divided((&mut streams, &mut out), &one_by_one, pauses) == pieces,
            "octet by octet, {pauses}"
        );
    }
    assert_empty(&streams);
}

/// However they are cut, an octet is copied twice at most.
#[test]
fn the_work_is_linear() {
    let (all, _) = pieces();
    let mut streams = streams(rules_with(2));
    let mut out = Departures::with_connections(2);
    for len in [1, 2, 3, 7, 100, 511, 512, 513, 4_000, all.len()] {
        let reads: Vec<&[u8]> = all.chunks(len).collect();
        let work = crate::wire::cursor::count_visits(|| {
            drop(divided((&mut streams, &mut out), &reads, false))
        });
        let most = 2 * all.len() + 4 * reads.len() + 100;
        assert!(work <= most as u64, "{work} for {} in reads of {len}", all.len());
    }
}
