//! Connections: a network of byte streams between the peers of this world and the connections of the
//! workers, which are the real ones ([`roger::session::stream`]). What io_uring does in production is
//! done here, rightly, in any order and in any pieces.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use roger::limits::{CONNECTIONS_TO_ONE_MAX, STREAM_READ_SIZE, STREAM_RETRY_MS};
use roger::packet::{ConnectionId, Endpoint, Flow, Owner, SendError, SocketId};
use roger::session::stream::{Next, Order, Place, Streams};
use roger::time::Instant;

use crate::air::{Event, Grade, Over, Packet, Step};
use crate::bug::Bug;
use crate::chance::Chance;
use crate::ledger::{Ticket, Verdict};
use crate::submission::sanitised;
use crate::swarm::{MS, SECOND};
use crate::tcp::{self, Faults, KERNEL, RESET, STALL_MAX, Tcp};
use crate::text::{Text, written};
use crate::world::World;

/// Connections that one host opens at most.
const LINES_MAX: usize = 5;

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    worker: usize,
    /// Its place there and its name, once it has them.
    index: Option<u16>,
    id: Option<ConnectionId>,
    remote: Endpoint,
    socket: SocketId,
    /// What the other end has said, or is about to say, as far as it was not taken.
    said: VecDeque<Said>,
    /// Octets said, come to our kernel, and read.
    spoken: usize,
    arrived: usize,
    came: VecDeque<u8>,
    came_end: Option<Result<(), i32>>,
    /// When the last octets come, here and there.
    last_in: u64,
    last_out: u64,
    window_until: u64,
    /// The other end still speaks, and listens.
    is_open_there: bool,
    listens_there: bool,
    is_half_open: bool,
    /// Nobody has it any more.
    is_gone: bool,
    connects: bool,
    reads: bool,
    writes: bool,
    /// Closing was our idea.
    is_shut: bool,
    /// We have opened it, or tried to.
    is_ours: bool,
    /// A write has failed, and not because it was called off.
    is_broken: bool,
    /// Since when nothing of it is left here.
    closed: u64,
    parked: VecDeque<Parked>,
    heard: Vec<u8>,
    /// What the kernel holds that nobody takes.
    stuck: usize,
}

#[derive(Debug)]
struct Said {
    packet: Packet,
    end: usize,
    /// Nothing behind it may ever be taken.
    is_doubt: bool,
    is_framed: bool,
}

#[derive(Debug)]
struct Parked {
    octets: Vec<u8>,
    at: usize,
}

/// A departure on a connection.
#[derive(Debug)]
struct Sending {
    ticket: Ticket,
    owner: Option<Owner>,
    is_told: bool,
    /// Where it was to go, and since when.
    flow: Flow,
    at: u64,
    /// The line that it was put on because it was to go back on that.
    line: Option<usize>,
}

/// All connections there ever were.
#[derive(Debug)]
pub(crate) struct Lines {
    chance: Chance,
    faults: Faults,
    lines: Vec<Line>,
    at: BTreeMap<(usize, u16), usize>,
    open: Vec<usize>,
    sendings: Vec<Sending>,
    /// The line that a request of the SMS side was sent on last.
    carried: BTreeMap<Rc<[u8]>, usize>,
    port: u16,
}

impl Lines {
    pub(crate) fn new(chance: Chance, tcp: Option<&Tcp>) -> Self {
        Self {
            chance,
            faults: tcp.map(|tcp| tcp.faults.clone()).unwrap_or_default(),
            lines: Vec::new(),
            at: BTreeMap::new(),
            open: Vec::new(),
            sendings: Vec::new(),
            carried: BTreeMap::new(),
            port: 40_000,
        }
    }

    fn begin(&mut self, worker: usize, remote: Endpoint, now: u64) -> usize {
        self.open.push(self.lines.len());
        self.lines.push(Line {
            worker,
            index: None,
            id: None,
            remote,
            socket: tcp::socket_of(remote),
            said: VecDeque::new(),
            spoken: 0,
            arrived: 0,
            came: VecDeque::new(),
            came_end: None,
            last_in: now,
            last_out: now,
            window_until: 0,
            is_open_there: true,
            listens_there: true,
            is_half_open: false,
            is_gone: false,
            connects: false,
            reads: false,
            writes: false,
            is_shut: false,
            is_ours: false,
            is_broken: false,
            closed: u64::MAX,
            parked: VecDeque::new(),
            heard: Vec::new(),
            stuck: 0,
        });
        self.lines.len() - 1
    }

    fn is_usable(&self, line: usize, ip: [u8; 16]) -> bool {
        let line = &self.lines[line];
        line.is_open_there && !line.is_gone && !line.is_half_open && line.remote.ip == ip
    }
}

/// What the other ends do.
impl World {
    /// Puts what is to be sent on connections there.
    pub(crate) fn speak_out(&mut self) -> Verdict<()> {
        for packet in core::mem::take(&mut self.air.streamed) {
            self.speak(packet);
        }
        Ok(())
    }

    fn speak(&mut self, packet: Packet) {
        let is_request = Text::read(&packet.octets).is_some_and(|text| text.status().is_none());
        let ip = packet.from.ip;
        // Over a connection nobody repeats himself, but for those who do; where it has ended, the same
        // request may come again on another one.
        if is_request
            && let Some(line) = self.lines.carried.get(&packet.octets)
            && self.lines.is_usable(*line, ip)
            && !self.lines.chance.one_in(10)
        {
            return;
        }
        let (is_framed, is_doubt) = framed(&packet.octets);
        let named = match packet.over {
            Over::Stream(Some(line)) if self.lines.is_usable(line, ip) => Some(line),
            Over::Stream(_) | Over::Datagram => None,
        };
        let usable: Vec<usize> = self.lines.open.clone();
        let usable: Vec<usize> =
            usable.into_iter().filter(|line| self.lines.is_usable(*line, ip)).collect();
        let again = usable.len() >= LINES_MAX || !self.lines.chance.one_in(4);
        let line = match named {
            // What cannot be read goes on a connection of its own, so that nothing gets lost with it.
            _ if !is_framed => self.knock(packet.from, packet.to),
            Some(line) => line,
            None if !usable.is_empty() && again => self.lines.chance.pick(&usable),
            None => self.knock(packet.from, packet.to),
        };
        if is_request {
            self.lines.carried.insert(packet.octets.clone(), line);
        }
        let follower = is_doubt.then(|| Packet {
            octets: follower(line).into_bytes().into(),
            grade: Grade::Void,
            mark: None,
            ..packet.clone()
        });
        self.say(line, packet, is_framed, is_doubt);
        if let Some(follower) = follower {
            self.say(line, follower, true, false);
        }
        if !is_framed {
            self.end_there(line, Ok(()));
        }
    }

    /// Whether it is what was still on its way over a connection that is there no more.
    pub(crate) fn is_void(&self, event: &Event) -> bool {
        matches!(event, Event::Line(line, _) if self.lines.lines[*line].is_gone)
    }

    /// Somebody opens a connection to us.
    fn knock(&mut self, from: Endpoint, to: Endpoint) -> usize {
        self.lines.port = if self.lines.port < 60_000 { self.lines.port + 1 } else { 40_000 };
        let remote = Endpoint { port: self.lines.port, ..from };
        let line = self.lines.begin(usize::MAX, remote, self.air.now);
        let at = (self.air.now + self.air.latency()).max(self.air.blocked_until(from.ip, true));
        self.lines.lines[line].last_in = at;
        self.note(|| format!("line {line} from {} to {}", written(remote), written(to)));
        self.air.at(at, Event::Line(line, Step::Knock));
        line
    }

    /// The other end says something.
    fn say(&mut self, line: usize, packet: Packet, is_framed: bool, is_doubt: bool) {
        let latency = self.air.latency();
        let Lines { chance, faults, lines, .. } = &mut self.lines;
        let record = &mut lines[line];
        let octets = packet.octets.clone();
        record.spoken += octets.len();
        record.said.push_back(Said { packet, end: record.spoken, is_doubt, is_framed });
        let blocked = self.air.blocked_until(record.remote.ip, true);
        let stall = if chance.share(faults.stall) { chance.below(STALL_MAX) } else { 0 };
        let mut at = record.last_in.max(self.air.now + latency).max(blocked) + stall;
        let (ends, kept) = faults.end(octets.len(), chance);
        if chance.share(faults.half_open) {
            record.is_half_open = true;
            let later = self.air.now + chance.between(20 * SECOND, 60 * SECOND);
            self.air.at(later, Event::Line(line, Step::CameEnd(Err(110))));
            return;
        }
        let mut rest = &octets[..kept];
        while !rest.is_empty() {
            let len = faults.piece(octets.len(), rest.len(), chance);
            let (piece, behind) = rest.split_at(len);
            self.air.at(at, Event::Line(line, Step::Came(piece.into())));
            at += chance.below(3) * MS / 2;
            rest = behind;
        }
        record.last_in = at;
        if let Some(end) = ends {
            self.end_there(line, end);
        }
    }

    /// The other end ends it.
    fn end_there(&mut self, line: usize, end: Result<(), i32>) {
        let record = &mut self.lines.lines[line];
        if !record.is_open_there {
            return;
        }
        record.is_open_there = false;
        record.listens_there &= end.is_ok();
        let at = record.last_in;
        self.air.at(at, Event::Line(line, Step::CameEnd(end)));
    }

    /// Something happens to a connection.
    pub(crate) fn on_line(&mut self, line: usize, step: Step) -> Verdict<()> {
        let now = self.air.now;
        let record = &mut self.lines.lines[line];
        if record.is_gone {
            return Ok(());
        }
        match step {
            Step::Knock => self.on_knock(line),
            Step::Connected(result) => {
                record.connects = false;
                let (worker, index) = (record.worker, record.index);
                record.is_open_there &= result.is_ok();
                record.listens_there &= result.is_ok();
                if let (Some(streams), Some(index)) = (&mut self.workers[worker].streams, index) {
                    streams.connected(index, result.map(|()| [0; 16]), Instant(now));
                }
                self.look(worker, now);
            }
            Step::Came(octets) => {
                if !record.is_half_open && record.came_end.is_none() {
                    record.arrived += octets.len();
                    record.came.extend(octets.iter());
                }
                let worker = record.worker;
                self.look(worker, now);
            }
            Step::CameEnd(end) => {
                record.came_end.get_or_insert(end);
                (record.is_open_there, record.is_half_open) = (false, false);
                record.listens_there &= end.is_ok();
                let worker = record.worker;
                self.look(worker, now);
            }
            Step::Went(octets) => {
                record.heard.extend_from_slice(&octets);
                return self.hear(line);
            }
            Step::WentEnd => {
                record.is_gone = true;
                self.lines.open.retain(|open| *open != line);
            }
        }
        Ok(())
    }

    fn on_knock(&mut self, line: usize) {
        let now = self.air.now;
        let Line { remote, socket, .. } = self.lines.lines[line];
        let place = tcp::listener_of(remote);
        let local = self.swarm.places.sockets[place].ip;
        let worker = self.taker(place, remote);
        let accepted = worker.and_then(|worker| {
            let streams = self.workers[worker].streams.as_mut()?;
            let index = streams.accept(remote, local, socket, Instant(now))?;
            Some((worker, index, streams.flow(index).connection))
        });
        let Some((worker, index, id)) = accepted else {
            self.note(|| format!("line {line} is refused"));
            self.lines.lines[line].is_gone = true;
            return self.lines.open.retain(|open| *open != line);
        };
        self.note(|| format!("line {line} is accepted by worker {worker} at {index}"));
        let record = &mut self.lines.lines[line];
        (record.worker, record.index, record.id) = (worker, Some(index), id);
        self.lines.at.insert((worker, index), line);
        self.look(worker, now);
    }

    /// The other end takes whole messages of what has come there.
    fn hear(&mut self, line: usize) -> Verdict<()> {
        loop {
            let record = &mut self.lines.lines[line];
            while record.heard.starts_with(b"\r\n") {
                record.heard.drain(..2);
            }
            let Some(end) = record.heard.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(());
            };
            // What came damaged goes on as it is.
            let head = sanitised(&record.heard[..end + 4].into());
            let length = Text::read(&head)
                .and_then(|text| text.value("Content-Length")?.trim().parse::<usize>().ok());
            let Some(length) = length else {
                let head = String::from_utf8_lossy(&head).into_owned();
                return Err(format!("line {line}: what we have sent cannot be divided: {head}"));
            };
            let whole = end + 4 + length;
            if record.heard.len() < whole {
                return Ok(());
            }
            let octets: Rc<[u8]> = record.heard.drain(..whole).collect();
            let remote = record.remote;
            let from = self.swarm.places.sockets[tcp::listener_of(remote)];
            let to = self.addressee(&sanitised(&octets), remote)?;
            let packet = Packet {
                from,
                to,
                octets,
                grade: Grade::Sound,
                truncated: false,
                mark: None,
                over: Over::Stream(Some(line)),
            };
            self.on_arrives(packet);
        }
    }

    /// Who takes it at the other end, and whether it is for somebody there.
    fn addressee(&self, octets: &[u8], remote: Endpoint) -> Verdict<Endpoint> {
        let Some(text) = Text::read(octets) else {
            return Err("what came on a connection cannot be read".to_owned());
        };
        if text.status().is_none() {
            return Ok(remote);
        }
        let Some(transaction) = text.key().and_then(|key| self.clients.find(&key)) else {
            return Ok(remote);
        };
        if transaction.source.ip != remote.ip {
            return Err(format!("I7: an answer came to {}: {}", written(remote), text.head));
        }
        Ok(transaction.reply_to)
    }

    /// A server is there no more, and its connections with it.
    pub(crate) fn cut_lines_of(&mut self, server: usize) {
        let addresses = self.swarm.places.servers[server].addresses.clone();
        for line in self.lines.open.clone() {
            let record = &mut self.lines.lines[line];
            if addresses.iter().any(|address| address.ip == record.remote.ip) {
                record.last_in = record.last_in.min(self.air.now);
                self.end_there(line, Err(RESET));
            }
        }
    }

    /// The connections of one worker, or of all, are gone with it.
    pub(crate) fn drop_lines(&mut self, worker: Option<usize>) {
        let Lines { open, lines, at, .. } = &mut self.lines;
        open.retain(|line| {
            let line = &mut lines[*line];
            let is_gone = worker.is_none_or(|worker| worker == line.worker);
            line.is_gone |= is_gone;
            !is_gone
        });
        at.retain(|_, line| !lines[*line].is_gone);
        if worker.is_none() {
            self.lines.sendings.iter_mut().for_each(|sending| sending.is_told = true);
        }
    }

    /// All faults end.
    pub(crate) fn calm_lines(&mut self) {
        self.lines.faults = self.lines.faults.none();
        let now = self.air.now;
        for line in self.lines.open.clone() {
            let record = &mut self.lines.lines[line];
            record.window_until = 0;
            let is_stalled = record.last_in.max(record.last_out) > now + SECOND;
            if record.is_half_open || is_stalled {
                (record.last_in, record.last_out) = (now, now);
                self.end_there(line, Err(RESET));
            }
        }
    }
}

/// What the driver does.
impl World {
    /// Takes what the kernel has done for the connections of a worker.
    pub(crate) fn lines_in(&mut self, worker: usize, now: u64) -> Verdict<()> {
        let Some(mut streams) = self.workers[worker].streams.take() else { return Ok(()) };
        self.obey(&mut streams, worker, now)?;
        for line in self.lines_of(worker) {
            self.line_in(&mut streams, line, now);
        }
        self.conduits.come(&mut streams, worker, &mut self.air);
        streams.expire(Instant(now), 32);
        self.obey(&mut streams, worker, now)?;
        self.workers[worker].streams = Some(streams);
        self.tell_all(worker, now)
    }

    /// The same behind what was sent.
    pub(crate) fn lines_out(&mut self, worker: usize, now: u64) -> Verdict<()> {
        let Some(mut streams) = self.workers[worker].streams.take() else { return Ok(()) };
        self.obey(&mut streams, worker, now)?;
        for line in self.lines_of(worker) {
            self.write(&mut streams, line, now);
        }
        self.conduits.go(&mut streams, worker, &mut self.air);
        self.obey(&mut streams, worker, now)?;
        let is_busy = streams.is_busy();
        let next = streams.next_deadline();
        let again = self.conduits.next_look(&streams, worker, now);
        self.workers[worker].streams = Some(streams);
        self.tell_all(worker, now)?;
        let mut at = next.map_or(u64::MAX, |next| next.0.max(now + MS / 10));
        at = at.min(again);
        if is_busy {
            at = now + MS / 10;
        }
        for line in self.lines_of(worker) {
            let line = &self.lines.lines[line];
            let has_come = line.reads && (!line.came.is_empty() || line.came_end.is_some());
            if has_come || !line.parked.is_empty() {
                at = now + MS / 10;
            } else if line.writes && line.window_until > now {
                at = at.min(line.window_until);
            } else if line.writes && line.stuck < KERNEL {
                at = at.min(now + MS / 10);
            }
        }
        if at < u64::MAX {
            self.look(worker, at);
        }
        Ok(())
    }

    /// The connections of a worker in any order.
    fn lines_of(&mut self, worker: usize) -> Vec<usize> {
        let of = self.lines.at.range((worker, 0)..=(worker, u16::MAX));
        let mut lines: Vec<usize> = of.map(|(_, line)| *line).collect();
        for at in (1..lines.len()).rev() {
            lines.swap(at, self.lines.chance.index(at + 1));
        }
        lines
    }

    fn obey(&mut self, streams: &mut Streams, worker: usize, now: u64) -> Verdict<()> {
        while let Some(order) = streams.order() {
            let (Order::Connect(index)
            | Order::Read(index)
            | Order::Write(index)
            | Order::Shut(index)
            | Order::Close(index)) = order;
            if streams.is_undivided(index) || self.conduits.has(worker, index) {
                self.obey_conduit(streams, order, worker)?;
                continue;
            }
            if let Order::Connect(_) = order {
                self.connect(streams, worker, index, now);
                continue;
            }
            let Some(line) = self.lines.at.get(&(worker, index)).copied() else {
                return Err(format!("{order:?} for nobody"));
            };
            let record = &mut self.lines.lines[line];
            match order {
                Order::Connect(_) => {}
                Order::Read(_) => record.reads = true,
                Order::Write(_) => record.writes = true,
                Order::Shut(_) => self.cancel(streams, line, now),
                Order::Close(_) => self.close(worker, index, line, now)?,
            }
        }
        Ok(())
    }

    fn connect(&mut self, streams: &Streams, worker: usize, index: u16, now: u64) {
        let flow = streams.flow(index);
        let line = self.lines.begin(worker, flow.remote, now);
        self.note(|| {
            format!("line {line} of worker {worker} at {index} to {}", written(flow.remote))
        });
        let down = crate::judge::server_of(flow.remote, &self.swarm)
            .is_some_and(|server| self.servers[server].down);
        let listens = self.swarm.listens(flow.remote) && !down;
        let (back, latency) = (self.air.latency(), self.air.latency());
        let Lines { chance, faults, lines, at, .. } = &mut self.lines;
        let record = &mut lines[line];
        (record.index, record.id) = (Some(index), flow.connection);
        (record.connects, record.is_open_there, record.is_ours) = (true, false, true);
        at.insert((worker, index), line);
        let refused = !listens || chance.share(faults.refused);
        let unanswered = chance.share(faults.unanswered);
        let after = now + back + latency;
        let after = after.max(self.air.blocked_until(flow.remote.ip, false));
        let after = after.max(self.air.blocked_until(flow.remote.ip, true));
        (record.last_in, record.last_out) = (after, after);
        if unanswered {
            record.is_half_open = true;
            return;
        }
        record.is_open_there = !refused;
        let result = if refused { Err(111) } else { Ok(()) };
        self.air.at(after, Event::Line(line, Step::Connected(result)));
    }

    /// Whatever still runs ends, as it may.
    fn cancel(&mut self, streams: &mut Streams, line: usize, now: u64) {
        let Lines { lines, .. } = &mut self.lines;
        let record = &mut lines[line];
        record.is_shut = true;
        let Some(index) = record.index else { return };
        let cancelled = Err(125);
        if core::mem::take(&mut record.connects) {
            streams.connected(index, Err(125), Instant(now));
        }
        if core::mem::take(&mut record.writes) {
            streams.written(index, cancelled, Instant(now));
        }
        if core::mem::take(&mut record.reads) {
            streams.read_ended(index, Err(125));
        }
    }

    fn close(&mut self, worker: usize, index: u16, line: usize, now: u64) -> Verdict<()> {
        self.note(|| format!("line {line} is closed"));
        self.lines.at.remove(&(worker, index));
        let record = &mut self.lines.lines[line];
        record.closed = now;
        if record.connects || record.reads || record.writes || !record.parked.is_empty() {
            return Err(format!("line {line} is closed although something runs"));
        }
        let whole = record.said.front().filter(|said| said.is_framed && said.end <= record.arrived);
        if record.came_end == Some(Ok(())) && !record.is_shut && whole.is_some() {
            let head = &whole.map(|said| said.packet.octets.clone()).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..head.len().min(80)]).into_owned();
            return Err(format!(
                "H28: line {line}: what came before the end was not taken: {head}"
            ));
        }
        let is_unread = record.arrived > 0 && !record.came.is_empty();
        let at = record.last_out.max(now + MS);
        record.is_open_there &= !is_unread;
        self.air.at(at, Event::Line(line, Step::WentEnd));
        Ok(())
    }

    /// Reads, and writes that could not be done at once.
    fn line_in(&mut self, streams: &mut Streams, line: usize, now: u64) {
        self.write(streams, line, now);
        let finds = [Bug::InputDroppedAtEnd, Bug::ResyncAfterDoubt, Bug::TailOctetLost]
            .map(|bug| self.boundary.bug == Some(bug));
        let strikes = finds.iter().any(|is| *is) && self.boundary.chance.one_in(4);
        let swaps = self.boundary.strikes(Bug::ReadsSwapped);
        let Lines { chance, faults, lines, .. } = &mut self.lines;
        let record = &mut lines[line];
        let Some(index) = record.index else { return };
        if finds[0] && record.came_end.is_some() {
            record.came.clear();
        }
        if finds[1] && record.said.front().is_some_and(|said| said.is_doubt) {
            resync(record);
        }
        while record.reads && !record.came.is_empty() && record.parked.len() < 4 {
            let all = record.came.len().min(STREAM_READ_SIZE);
            let len = if chance.share(faults.cut) { 1 + chance.index(all) } else { all };
            let mut octets: Vec<u8> = record.came.drain(..len).collect();
            if finds[2] && strikes && octets.len() > 1 {
                octets.pop();
            }
            streams.read(index, Instant(now));
            record.parked.push_back(Parked { octets, at: 0 });
        }
        if swaps && record.parked.len() > 1 && record.parked[1].at == 0 {
            record.parked.make_contiguous().reverse();
        }
        if record.reads
            && record.came.is_empty()
            && let Some(end) = record.came_end
        {
            record.reads = false;
            streams.read_ended(index, end);
        }
    }

    fn write(&mut self, streams: &mut Streams, line: usize, now: u64) {
        let latency = self.air.latency();
        let lies = self.boundary.strikes(Bug::ShortWriteAsWhole);
        let Lines { chance, faults, lines, .. } = &mut self.lines;
        let record = &mut lines[line];
        let Some(index) = record.index.filter(|_| record.writes && record.window_until <= now)
        else {
            return;
        };
        let unwritten = streams.unwritten(index);
        if !record.listens_there || chance.share(faults.write_error) {
            (record.writes, record.is_broken) = (false, true);
            let error = chance.pick(&[32, 104, 105]);
            return streams.written(index, Err(error), Instant(now));
        }
        if chance.share(faults.window) {
            record.window_until = now + chance.below(STALL_MAX);
            return;
        }
        let all = unwritten.len();
        let mut len = if chance.share(faults.short) { 1 + chance.index(all) } else { all };
        if record.is_half_open {
            len = len.min(KERNEL.saturating_sub(record.stuck));
            record.stuck += len;
            if len == 0 {
                return;
            }
        } else {
            let blocked = self.air.blocked_until(record.remote.ip, false);
            let at = record.last_out.max(now + latency).max(blocked);
            record.last_out = at;
            let octets = unwritten[..len].into();
            self.air.at(at, Event::Line(line, Step::Went(octets)));
        }
        record.writes = false;
        let told = if lies { all } else { len };
        streams.written(index, Ok(told), Instant(now));
    }

    /// Tells how departures went.
    fn tell_all(&mut self, worker: usize, now: u64) -> Verdict<()> {
        while let Some((owner, sent)) =
            self.workers[worker].streams.as_mut().and_then(Streams::told)
        {
            let sending = usize::try_from(owner.0).unwrap_or(0);
            let Some(sending) = self.lines.sendings.get_mut(sending) else {
                return Err(format!("{owner:?} is told, and is nobody"));
            };
            if core::mem::replace(&mut sending.is_told, true) {
                return Err(format!("{owner:?} is told twice"));
            }
            let (ticket, owner) = (sending.ticket, sending.owner);
            let Sending { flow, at, line, .. } = *sending;
            if sent.is_err() {
                self.note(|| format!("     a departure on a connection: {sent:?}"));
            }
            if sent.is_err_and(SendError::nothing_left) && !self.was_tried(worker, flow, line, at) {
                let to = written(flow.remote);
                return Err(format!("18.2.2: a response was not written, nor tried at {to}"));
            }
            self.on_told(now, ticket, sent);
            let said = match sent {
                Err(SendError::Other(_)) if self.boundary.bug == Some(Bug::PartlyAsNever) => {
                    Err(SendError::NotWritten)
                }
                same => same,
            };
            if let Some(owner) = owner {
                self.boundary.on_sent(worker, owner, said, now);
            }
        }
        Ok(())
    }

    /// Whether a response that has not left on its own connection was tried at the port of its Via, or
    /// need not be: what waits behind what the other end does not read is not.
    fn was_tried(&self, worker: usize, flow: Flow, line: Option<usize>, since: u64) -> bool {
        let is_here = |id: ConnectionId| usize::from(id.worker.0) == worker;
        let is_broken = line.is_none_or(|line| self.lines.lines[line].is_broken);
        if !flow.connection.is_some_and(is_here) || flow.remote.port == 0 || !is_broken {
            return true;
        }
        let mut opened = self.lines.lines.iter().filter(|of| of.is_ours && of.worker == worker);
        if opened.any(|of| of.remote == flow.remote && of.closed.saturating_add(RETRY) > since) {
            return true;
        }
        let open = self.lines.at.range((worker, 0)..=(worker, u16::MAX)).map(|(_, line)| *line);
        let to_one = |line: &usize| {
            let line = &self.lines.lines[*line];
            line.is_ours && line.remote.ip == flow.remote.ip
        };
        let places = self.swarm.tcp.as_ref().map_or(0, |tcp| usize::from(tcp.connections_max));
        let has_outbox = self.workers[worker].streams.as_ref().is_some_and(Streams::has_outbox);
        open.clone().count() + 2 >= places
            || open.filter(to_one).count() >= CONNECTIONS_TO_ONE_MAX
            || !has_outbox
    }

    /// Messages of a worker's connections, each with where it came from.
    pub(crate) fn taken(
        &mut self,
        worker: usize,
        room: usize,
        now: u64,
    ) -> Verdict<Vec<(Packet, Flow)>> {
        let mut taken = Vec::new();
        let Some(mut streams) = self.workers[worker].streams.take() else { return Ok(taken) };
        for line in self.lines_of(worker) {
            self.take_line(&mut streams, line, room, now, &mut taken)?;
        }
        streams.settle();
        self.workers[worker].streams = Some(streams);
        Ok(taken)
    }

    fn take_line(
        &mut self,
        streams: &mut Streams,
        line: usize,
        room: usize,
        now: u64,
        taken: &mut Vec<(Packet, Flow)>,
    ) -> Verdict<()> {
        let record = &mut self.lines.lines[line];
        let Some(index) = record.index else { return Ok(()) };
        let flow = streams.flow(index);
        while taken.len() < room
            && let Some(Parked { octets, at }) = record.parked.front_mut()
        {
            let message = match streams.next(index, octets, at, Instant(now)) {
                Next::Message(message) => message,
                Next::UsedUp => {
                    record.parked.pop_front();
                    continue;
                }
                Next::Later => break,
            };
            let found: Rc<[u8]> = match message.place {
                Place::Read { at, len } => octets[at..at + len].into(),
                Place::Tail => streams.tail(index).into(),
            };
            let Some(Said { packet, is_doubt, is_framed, .. }) = record.said.pop_front() else {
                return Err(format!("line {line}: a message that nobody has sent"));
            };
            let whole = if message.truncated || !is_framed {
                packet.octets.starts_with(&found)
            } else {
                packet.octets == found
            };
            if is_doubt || !whole {
                let [sent, found] = [&packet.octets, &found].map(|o| String::from_utf8_lossy(o));
                return Err(format!("line {line}: sent {sent:?}, taken {found:?}"));
            }
            let to = self.swarm.places.sockets[tcp::listener_of(record.remote)];
            let packet = Packet {
                from: record.remote,
                to,
                octets: found,
                truncated: message.truncated,
                ..packet
            };
            taken.push((packet, flow));
        }
        Ok(())
    }

    /// A departure leaves on a connection.
    pub(crate) fn send_on_line(
        &mut self,
        worker: usize,
        mut flow: Flow,
        octets: &[u8],
        ticket: Ticket,
        owner: Option<Owner>,
        now: u64,
    ) {
        let reuses = self.boundary.strikes(Bug::PlaceReused);
        let number = Owner(self.lines.sendings.len() as u64);
        let line = flow.connection.and_then(|id| self.lines.at.get(&(worker, id.index))).copied();
        let line = line.filter(|line| self.lines.lines[*line].id == flow.connection);
        self.lines.sendings.push(Sending { ticket, owner, is_told: false, flow, at: now, line });
        if flow.connection.is_some() && self.boundary.strikes(Bug::GoneForGood) {
            flow.remote.port = 0;
        }
        let Some(streams) = &mut self.workers[worker].streams else { return };
        if reuses && let Some(id) = flow.connection {
            // Or the one beside it, where nobody has come yet.
            let now = streams.flow(id.index).connection;
            let beside = streams.flow(id.index.saturating_sub(1)).connection;
            flow.connection = if now == Some(id) { beside } else { now };
        }
        streams.send(flow, octets, Some(number), Instant(now));
    }

    /// Every departure on a connection was told, and no connection is left.
    pub(crate) fn lines_at_end(&self) -> Verdict<()> {
        for (number, sending) in self.lines.sendings.iter().enumerate() {
            if !sending.is_told && self.workers.iter().all(|worker| !worker.is_lost) {
                return Err(format!("departure {number} on a connection was never told"));
            }
        }
        let left = self.lines.at.iter().find(|((worker, _), _)| !self.workers[*worker].is_lost);
        if let Some((_, line)) = left {
            return Err(format!("line {line} is left at the end"));
        }
        Ok(())
    }
}

/// Goes on behind what cannot be read, as nobody must.
fn resync(line: &mut Line) {
    let bad = line.said.front().map_or(0, |said| said.packet.octets.len());
    if line.came.len() > bad {
        line.came.drain(..bad);
        line.said.pop_front();
    }
}

/// Whether a stream can be divided behind these octets; and whether it certainly cannot.
fn framed(octets: &[u8]) -> (bool, bool) {
    if octets.first().is_none_or(|first| !first.is_ascii_alphanumeric()) {
        return (false, octets.first() == Some(&0));
    }
    let Some(text) = Text::read(octets) else { return (false, false) };
    let starts = match text.start.split(' ').collect::<Vec<_>>()[..] {
        ["SIP/2.0", status, ..] => {
            status.len() == 3 && status.parse::<u16>().is_ok_and(|s| s < 700)
        }
        [method, _, "SIP/2.0"] => !method.is_empty(),
        _ => false,
    };
    if !starts {
        return (false, false);
    }
    let lengths: Vec<&str> =
        text.lines().filter_map(|line| crate::text::value_of(line, "Content-Length")).collect();
    let [length] = lengths[..] else { return (false, lengths.len() > 1) };
    let is_whole = length.trim().parse() == Ok(text.body.len());
    (is_whole, length.trim().starts_with('-'))
}

/// A message behind one that cannot be read: who takes it has been led by the nose.
fn follower(line: usize) -> String {
    format!(
        "MESSAGE sip:smuggled@im.example SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.1.1:5060;\
         branch=z9hG4bKsmuggled{line}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
         Call-ID: smuggled{line}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// How long after a failure it is not tried again, and what a turn takes.
const RETRY: u64 = STREAM_RETRY_MS as u64 * MS + SECOND;
