//! The network of connections whose octets the engine divides itself: between whoever stands at the other
//! end ([`crate::party`]) and the connections of the workers, which are the real ones
//! ([`roger::session::stream`]).
//!
//! What goes wrong with them is what goes wrong with others ([`Faults`]): they are cut at any octet, stand
//! still, are written in part, are reset, ended or dead at any octet, refused, and not answered. A write
//! that fails may have left all the same, in part, which is what doubtful octets are.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use roger::packet::{ConnectionId, Departures, Endpoint, StreamEvent};
use roger::session::stream::{Next, Order, Streams};
use roger::time::Instant;

use crate::air::{Air, Event, Step};
use crate::chance::Chance;
use crate::ledger::Verdict;
use crate::party::{Ask, Tidings};
use crate::swarm::{MS, SECOND};
use crate::tcp::{Faults, KERNEL, RESET, STALL_MAX, msrp_socket_of};

/// One connection.
#[derive(Debug)]
struct Conduit {
    worker: usize,
    /// Its place there and its name, once it has them.
    index: Option<u16>,
    id: Option<ConnectionId>,
    /// Their end, and ours.
    remote: Endpoint,
    local: Endpoint,
    call: Option<u64>,
    /// What has come to our kernel and was not read, and what comes behind it.
    came: VecDeque<u8>,
    came_end: Option<Result<(), i32>>,
    /// When the last octets come, here and there.
    last_in: u64,
    last_out: u64,
    window_until: u64,
    /// The other end still speaks, listens, and is told.
    speaks: bool,
    listens: bool,
    is_told: bool,
    /// It is there no more and does not say so.
    is_dead: bool,
    /// Our worker has it no more.
    is_gone: bool,
    connects: bool,
    reads: bool,
    writes: bool,
    /// Closing was our idea.
    is_shut: bool,
    parked: VecDeque<(Vec<u8>, usize)>,
    /// What the kernel holds that nobody takes.
    stuck: usize,
}

/// All of them there ever were.
#[derive(Debug)]
pub(crate) struct Conduits {
    chance: Chance,
    faults: Faults,
    conduits: Vec<Conduit>,
    at: BTreeMap<(usize, u16), usize>,
    port: u16,
    /// What the other end is to be told.
    pub(crate) tidings: VecDeque<Tidings>,
}

impl Conduits {
    pub(crate) const fn new(chance: Chance, faults: Faults) -> Self {
        Self {
            chance,
            faults,
            conduits: Vec::new(),
            at: BTreeMap::new(),
            port: 10_000,
            tidings: VecDeque::new(),
        }
    }

    fn begin(&mut self, worker: usize, remote: Endpoint, local: Endpoint, now: u64) -> usize {
        self.conduits.push(Conduit {
            worker,
            index: None,
            id: None,
            remote,
            local,
            call: None,
            came: VecDeque::new(),
            came_end: None,
            last_in: now,
            last_out: now,
            window_until: 0,
            speaks: true,
            listens: true,
            is_told: false,
            is_dead: false,
            is_gone: false,
            connects: false,
            reads: false,
            writes: false,
            is_shut: false,
            parked: VecDeque::new(),
            stuck: 0,
        });
        self.conduits.len() - 1
    }

    /// The worker whose connection it is, or will be.
    pub(crate) fn worker(&self, conduit: usize) -> usize {
        self.conduits[conduit].worker
    }

    /// Where those wanted to go that are not ours.
    pub(crate) fn ends(&self, conduit: usize) -> (Endpoint, Endpoint) {
        (self.conduits[conduit].remote, self.conduits[conduit].local)
    }

    /// Whether the place of a worker is one of these.
    pub(crate) fn has(&self, worker: usize, index: u16) -> bool {
        self.at.contains_key(&(worker, index))
    }

    /// The other end wants something.
    pub(crate) fn ask(&mut self, ask: Ask, air: &mut Air) {
        match ask {
            Ask::Open { from, to, call } => {
                self.port = if self.port < 39_000 { self.port + 1 } else { 10_000 };
                let remote = Endpoint { port: self.port, ..from };
                let conduit = self.begin(usize::MAX, remote, to, air.now);
                let at = (air.now + air.latency()).max(air.blocked_until(from.ip, true));
                let record = &mut self.conduits[conduit];
                (record.call, record.last_in) = (Some(call), at);
                air.at(at, Event::Conduit(conduit, Step::Knock));
            }
            Ask::Say { conduit, octets } => self.say(conduit, &octets, air),
            Ask::End { conduit, end } => self.end_there(conduit, end, air),
        }
    }

    /// The other end says something.
    fn say(&mut self, conduit: usize, octets: &Rc<[u8]>, air: &mut Air) {
        let latency = air.latency();
        let Self { chance, faults, conduits, .. } = self;
        let record = &mut conduits[conduit];
        if !record.speaks {
            return;
        }
        let blocked = air.blocked_until(record.remote.ip, true);
        let stall = if chance.share(faults.stall) { chance.below(STALL_MAX) } else { 0 };
        let mut at = record.last_in.max(air.now + latency).max(blocked) + stall;
        let (ends, kept) = faults.end(octets.len(), chance);
        if chance.share(faults.half_open) {
            record.is_dead = true;
            let later = air.now + chance.between(20 * SECOND, 60 * SECOND);
            air.at(later, Event::Conduit(conduit, Step::CameEnd(Err(TIMED_OUT))));
            return self.tell_end(conduit, Err(TIMED_OUT));
        }
        let mut rest = &octets[..kept];
        while !rest.is_empty() {
            let len = faults.piece(octets.len(), rest.len(), chance);
            let (piece, behind) = rest.split_at(len);
            air.at(at, Event::Conduit(conduit, Step::Came(piece.into())));
            at += chance.below(3) * MS / 2;
            rest = behind;
        }
        record.last_in = at;
        if let Some(end) = ends {
            self.end_there(conduit, end, air);
        }
    }

    /// The other end ends it.
    fn end_there(&mut self, conduit: usize, end: Result<(), i32>, air: &mut Air) {
        let record = &mut self.conduits[conduit];
        if !record.speaks {
            return;
        }
        record.speaks = false;
        air.at(record.last_in, Event::Conduit(conduit, Step::CameEnd(end)));
        if end.is_err() {
            self.tell_end(conduit, end);
        }
    }

    /// The other end knows that it is over.
    fn tell_end(&mut self, conduit: usize, end: Result<(), i32>) {
        let record = &mut self.conduits[conduit];
        (record.speaks, record.listens) = (false, false);
        if core::mem::replace(&mut record.is_told, false) {
            self.tidings.push_back(Tidings::Ended { conduit, end });
        }
    }

    fn tell_opened(&mut self, conduit: usize) {
        let record = &mut self.conduits[conduit];
        record.is_told = true;
        let Conduit { remote: here, local: there, call, .. } = *record;
        self.tidings.push_back(Tidings::Opened { conduit, here, there, call });
    }

    /// Somebody has come to us: `streams` are those of the worker that listens there, if one does.
    pub(crate) fn on_knock(
        &mut self,
        conduit: usize,
        taker: Option<(usize, &mut Streams)>,
        now: u64,
    ) {
        let Conduit { remote, local, call, .. } = self.conduits[conduit];
        let accepted = taker.and_then(|(worker, streams)| {
            let socket = msrp_socket_of(remote);
            let index = streams.accept(remote, local.ip, socket, Instant(now))?;
            Some((worker, index, streams.flow(index).connection))
        });
        let Some((worker, index, id)) = accepted else {
            self.conduits[conduit].is_gone = true;
            self.tidings.extend(call.map(|call| Tidings::Refused { call }));
            return;
        };
        let record = &mut self.conduits[conduit];
        (record.worker, record.index, record.id) = (worker, Some(index), id);
        self.at.insert((worker, index), conduit);
        self.tell_opened(conduit);
    }

    /// One of ours has come to the other end, which `listens` or does not.
    pub(crate) fn on_arrival(&mut self, conduit: usize, listens: bool, air: &mut Air) {
        let record = &self.conduits[conduit];
        if record.is_gone {
            return;
        }
        let refused = !listens || self.chance.share(self.faults.refused);
        let after = air.now + air.latency();
        let after = after.max(air.blocked_until(record.remote.ip, true));
        let result = if refused { Err(REFUSED) } else { Ok(()) };
        air.at(after, Event::Conduit(conduit, Step::Connected(result)));
        let record = &mut self.conduits[conduit];
        (record.last_in, record.last_out) = (after, after);
        match result {
            Ok(()) => self.tell_opened(conduit),
            Err(_) => (record.speaks, record.listens) = (false, false),
        }
    }

    /// Something else happens to a connection of the worker with these `streams`.
    pub(crate) fn on_step(
        &mut self,
        conduit: usize,
        step: Step,
        streams: Option<&mut Streams>,
        now: u64,
    ) {
        let record = &mut self.conduits[conduit];
        match step {
            Step::Knock => {}
            Step::Connected(result) => {
                if let (Some(streams), Some(index)) = (streams, record.index)
                    && core::mem::take(&mut record.connects)
                {
                    streams.connected(index, result.map(|()| record.local.ip), Instant(now));
                }
            }
            Step::Came(octets) => {
                if !record.is_dead && record.came_end.is_none() {
                    record.came.extend(octets.iter());
                }
            }
            Step::CameEnd(end) => {
                record.came_end.get_or_insert(end);
                record.speaks = false;
                record.listens &= end.is_ok();
            }
            Step::Went(octets) => {
                if record.listens && record.is_told {
                    self.tidings.push_back(Tidings::Came { conduit, octets });
                }
            }
            Step::WentEnd => self.tell_end(conduit, Ok(())),
        }
    }

    /// The connections of a worker in any order.
    fn of(&mut self, worker: usize) -> Vec<usize> {
        let of = self.at.range((worker, 0)..=(worker, u16::MAX));
        let mut conduits: Vec<usize> = of.map(|(_, conduit)| *conduit).collect();
        for at in (1..conduits.len()).rev() {
            conduits.swap(at, self.chance.index(at + 1));
        }
        conduits
    }

    /// One of ours is to be opened.
    pub(crate) fn connect(
        &mut self,
        streams: &Streams,
        (worker, index): (usize, u16),
        local: Endpoint,
        air: &mut Air,
    ) -> usize {
        let flow = streams.flow(index);
        let conduit = self.begin(worker, flow.remote, local, air.now);
        let record = &mut self.conduits[conduit];
        (record.index, record.id, record.connects) = (Some(index), flow.connection, true);
        self.at.insert((worker, index), conduit);
        if !self.chance.share(self.faults.unanswered) {
            let at = (air.now + air.latency()).max(air.blocked_until(flow.remote.ip, false));
            air.at(at, Event::Conduit(conduit, Step::Knock));
        }
        conduit
    }

    /// Whether it was we who have opened it, or try to.
    pub(crate) fn is_ours(&self, conduit: usize) -> bool {
        self.conduits[conduit].call.is_none()
    }

    /// Does what the connections ask for, except connecting.
    pub(crate) fn obey(
        &mut self,
        order: Order,
        streams: &mut Streams,
        worker: usize,
        air: &mut Air,
    ) -> Verdict<()> {
        let (Order::Connect(index)
        | Order::Read(index)
        | Order::Write(index)
        | Order::Shut(index)
        | Order::Close(index)) = order;
        let Some(conduit) = self.at.get(&(worker, index)).copied() else {
            return Err(format!("{order:?} for nobody"));
        };
        let record = &mut self.conduits[conduit];
        match order {
            Order::Connect(_) => {}
            Order::Read(_) => record.reads = true,
            Order::Write(_) => record.writes = true,
            Order::Shut(_) => {
                record.is_shut = true;
                let now = Instant(air.now);
                if core::mem::take(&mut record.connects) {
                    streams.connected(index, Err(CANCELLED), now);
                }
                if core::mem::take(&mut record.writes) {
                    streams.written(index, Err(CANCELLED), now);
                }
                if core::mem::take(&mut record.reads) {
                    streams.read_ended(index, Err(CANCELLED));
                }
            }
            Order::Close(_) => {
                self.at.remove(&(worker, index));
                if record.connects || record.reads || record.writes || !record.parked.is_empty() {
                    return Err(format!("conduit {conduit} is closed although something runs"));
                }
                let is_left = !record.came.is_empty();
                if record.came_end == Some(Ok(())) && !record.is_shut && is_left {
                    return Err(format!("H28: conduit {conduit}: octets before the end are left"));
                }
                record.is_gone = true;
                let at = record.last_out.max(air.now + MS);
                air.at(at, Event::Conduit(conduit, Step::WentEnd));
            }
        }
        Ok(())
    }

    /// Reads, and writes that could not be done at once.
    pub(crate) fn come(&mut self, streams: &mut Streams, worker: usize, air: &mut Air) {
        for conduit in self.of(worker) {
            self.write(streams, conduit, air);
            self.read(streams, conduit, air.now);
        }
    }

    fn read(&mut self, streams: &mut Streams, conduit: usize, now: u64) {
        let Self { chance, faults, conduits, .. } = self;
        let record = &mut conduits[conduit];
        let Some(index) = record.index else { return };
        if !record.reads || !record.parked.is_empty() || streams.is_behind(index) {
            return;
        }
        if !record.came.is_empty() {
            let all = record.came.len().min(streams.readable(index));
            let len = if chance.share(faults.cut) { 1 + chance.index(all) } else { all };
            streams.read(index, Instant(now));
            record.parked.push_back((record.came.drain(..len).collect(), 0));
        }
        // The end may be there while what came before it waits.
        if record.came.is_empty()
            && let Some(end) = record.came_end
        {
            record.reads = false;
            streams.read_ended(index, end);
        }
    }

    /// Writes what there is to write.
    pub(crate) fn go(&mut self, streams: &mut Streams, worker: usize, air: &mut Air) {
        for conduit in self.of(worker) {
            self.write(streams, conduit, air);
        }
    }

    fn write(&mut self, streams: &mut Streams, conduit: usize, air: &mut Air) {
        let latency = air.latency();
        let Self { chance, faults, conduits, .. } = self;
        let record = &mut conduits[conduit];
        let now = air.now;
        let Some(index) = record.index.filter(|_| record.writes && record.window_until <= now)
        else {
            return;
        };
        if chance.share(faults.window) {
            record.window_until = now + chance.below(STALL_MAX);
            return;
        }
        if record.is_dead && record.stuck >= KERNEL {
            return;
        }
        let unwritten = streams.unwritten(index);
        let fails = !record.listens && !record.is_dead || chance.share(faults.write_error);
        let all = unwritten.len();
        let len = match (fails, record.is_dead) {
            // It may have left all the same.
            (true, _) if record.listens && chance.one_in(2) => chance.index(all + 1),
            (true, _) => 0,
            (false, true) => all.min(KERNEL - record.stuck),
            (false, false) if chance.share(faults.short) => 1 + chance.index(all),
            (false, false) => all,
        };
        if record.is_dead {
            record.stuck += len;
        } else if len > 0 {
            let blocked = air.blocked_until(record.remote.ip, false);
            let at = record.last_out.max(now + latency).max(blocked);
            record.last_out = at;
            air.at(at, Event::Conduit(conduit, Step::Went(unwritten[..len].into())));
        }
        record.writes = false;
        let result = if fails { Err(chance.pick(&[32, RESET, 105])) } else { Ok(len) };
        streams.written(index, result, Instant(now));
    }

    /// Tells the engine of a worker what there is to tell, and takes what it wishes; `takes` says whether
    /// it takes something new.
    pub(crate) fn divide(
        &mut self,
        streams: &mut Streams,
        (worker, takes): (usize, bool),
        now: u64,
        out: &mut Departures,
        on: &mut impl FnMut(StreamEvent<'_>, &mut Departures),
    ) {
        let now = Instant(now);
        streams.tell(now, out, on);
        let conduits = if takes { self.of(worker) } else { Vec::new() };
        for conduit in conduits {
            let record = &mut self.conduits[conduit];
            let Some(index) = record.index else { continue };
            if let Some((octets, at)) = record.parked.front_mut()
                && let Next::UsedUp = streams.show(index, (octets, at), now, out, on)
            {
                record.parked.pop_front();
            }
        }
        streams.take_wishes(out, now);
        streams.offer(now, out, on);
        streams.take_wishes(out, now);
    }

    /// When a worker has to look again.
    pub(crate) fn next_look(&mut self, streams: &Streams, worker: usize, now: u64) -> u64 {
        let mut at = u64::MAX;
        let soon = now + MS / 10;
        for conduit in self.of(worker) {
            let record = &self.conduits[conduit];
            let Some(index) = record.index else { continue };
            let has_come = record.reads && (!record.came.is_empty() || record.came_end.is_some());
            let is_shown = !record.parked.is_empty();
            if (has_come || is_shown) && !streams.is_paused(index) {
                at = soon;
            } else if record.writes && record.window_until > now {
                at = at.min(record.window_until);
            } else if record.writes && record.stuck < KERNEL {
                at = at.min(soon);
            }
        }
        at
    }

    /// The connections of one worker, or of all, are gone with it: the other ends find that out.
    pub(crate) fn drop_all(&mut self, worker: Option<usize>, air: &mut Air) {
        let gone: Vec<(usize, u16)> = self
            .at
            .keys()
            .filter(|(of, _)| worker.is_none_or(|worker| worker == *of))
            .copied()
            .collect();
        for place in gone {
            let Some(conduit) = self.at.remove(&place) else { continue };
            let record = &mut self.conduits[conduit];
            (record.is_gone, record.index) = (true, None);
            (record.reads, record.writes, record.connects) = (false, false, false);
            let at = record.last_out.max(air.now + MS);
            air.at(at, Event::Conduit(conduit, Step::WentEnd));
        }
    }

    /// All faults end.
    pub(crate) fn calm(&mut self, air: &mut Air) {
        self.faults = self.faults.none();
        let now = air.now;
        for conduit in self.at.values().copied().collect::<Vec<_>>() {
            let record = &mut self.conduits[conduit];
            record.window_until = 0;
            let is_stalled = record.last_in.max(record.last_out) > now + SECOND;
            if record.is_dead || is_stalled {
                (record.last_in, record.last_out) = (now, now);
                air.at(now, Event::Conduit(conduit, Step::CameEnd(Err(RESET))));
                self.tell_end(conduit, Err(RESET));
            }
        }
    }

    /// Whether none is left but those of workers that are lost.
    pub(crate) fn at_end(&self, is_lost: impl Fn(usize) -> bool) -> Verdict<()> {
        match self.at.iter().find(|((worker, _), _)| !is_lost(*worker)) {
            Some((_, conduit)) => Err(format!("conduit {conduit} is left at the end")),
            None => Ok(()),
        }
    }
}

/// ECONNREFUSED, ECANCELED, ETIMEDOUT.
const REFUSED: i32 = 111;
const CANCELLED: i32 = 125;
const TIMED_OUT: i32 = 110;

#[cfg(test)]
mod tests;
