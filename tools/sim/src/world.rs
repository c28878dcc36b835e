//! One run: the engine, everybody around it, and the judge.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use roger::delivery::{Account, Form, Verdict as Decided};
use roger::engine::Serving;
use roger::limits::{
    BURST_SIZE, SLOTS_EVIDENCE, SLOTS_MAX, SLOTS_REFUSALS, SLOTS_WORK, TIMERS_PER_TURN_MAX,
};
use roger::metrics::{Counter, Tally};
use roger::packet::{
    Departures, Endpoint, Flow, JournalSeq, Owner, Purse, SendError, Sent, Slot, SocketId,
};

use crate::Outcome;
use crate::air::{Air, Bound, Event, Grade, Packet};
use crate::boundary::{Boundary, Outgoing};
use crate::bug::Bug;
use crate::centre::{Centres, Task};
use crate::chance::Chance;
use crate::digest::Digest;
use crate::gateway;
use crate::im::Server;
use crate::ledger::{Ledger, Ticket, Verdict};
use crate::setup::setup;
use crate::sms::{self, Clients};
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::{Text, written};

/// Messages sent after all faults have ended.
const CALM_MESSAGES: u64 = 8;

/// Short messages after that, each to a recipient of its own.
const CALM_SHORTS: u64 = 4;

/// A run that has not come to rest so long after its faults is broken.
const REST: u64 = 300 * SECOND;

/// The same where service centres try again, up to three times and up to 400 seconds later; and
/// what is remembered for them is forgotten at last.
const REST_OF_CENTRES: u64 = 6_000 * SECOND;

/// Turns without end are a fault as well.
const EVENTS_MAX: u64 = 3_000_000;

/// Lines of the trace that are kept.
const TRACE_MAX: usize = 20_000;

/// A departure in the hands of the kernel.
#[derive(Debug)]
struct Held {
    until: u64,
    slot: Option<Slot>,
    owner: Option<Owner>,
    ticket: Ticket,
    sent: Sent,
}

/// Everything there is.
pub(crate) struct World {
    seed: u64,
    swarm: Swarm,
    air: Air,
    boundary: Boundary,
    tally: Arc<Tally>,
    out: Departures,
    ledger: Ledger,
    clients: Clients,
    gateway: gateway::Gateway,
    centres: Centres,
    servers: Vec<Server>,
    digest: Digest,
    inbox: VecDeque<Packet>,
    unreachables: VecDeque<(Endpoint, Rc<[u8]>, Grade)>,
    held: Vec<Held>,
    next_turn: u64,
    busy_until: u64,
    composed: u64,
    composed_shorts: u64,
    calm_at: Option<u64>,
    ended: bool,
    departed: u64,
    /// Verdicts that accounts have told, by verdict.
    verdicts: [u64; 5],
    trace: Option<VecDeque<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::new(&mut chance.fork());
        let setup = setup(&swarm, seed);
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let boundary = Boundary::new(setup, tally.clone(), &swarm, bug, chance.fork());
        let servers =
            swarm.places.servers.iter().map(|s| Server::new(s.addresses.clone())).collect();
        let mut world = Self {
            seed,
            air: Air::new(chance.fork(), swarm.faults.clone()),
            swarm,
            boundary,
            tally,
            out: Departures::new(),
            ledger: Ledger::default(),
            clients: Clients::default(),
            gateway: gateway::Gateway::default(),
            centres: Centres::default(),
            servers,
            digest: Digest::new(),
            inbox: VecDeque::new(),
            unreachables: VecDeque::new(),
            held: Vec::new(),
            next_turn: u64::MAX,
            busy_until: 0,
            composed: 0,
            composed_shorts: 0,
            calm_at: None,
            ended: false,
            departed: 0,
            verdicts: [0; 5],
            trace: traced.then(VecDeque::new),
        };
        world.ledger.may_refuse = world.swarm.tight || world.swarm.faults.hold > 0;
        world.gateway.may_refuse = world.ledger.may_refuse;
        world.schedule_faults();
        world
    }

    /// Plays the seed to its end, or to the first invariant that breaks.
    pub(crate) fn run(mut self) -> Outcome {
        let mut violation = None;
        let mut events = 0_u64;
        while let Some(event) = self.air.next() {
            events += 1;
            if let Err(error) = self.on_event(event).and_then(|()| self.at_rest(events)) {
                violation = Some(error);
                break;
            }
            if self.ended {
                break;
            }
        }
        if violation.is_none() {
            violation = self.at_end().err();
        }
        let now = self.air.now;
        if let Some(error) = &violation {
            self.note(|| format!("VIOLATION {error}"));
        }
        Outcome {
            seed: self.seed,
            digest: self.digest.value(),
            messages: self.ledger.submissions.len() as u64,
            short_messages: self.gateway.lives.len() as u64,
            datagrams: self.tally.counters.read(Counter::DatagramsIn).max(self.departed),
            simulated_ns: now,
            violation: violation
                .map(|error| format!("at {}.{:06} ms: {error}", now / MS, now % MS)),
            trace: self.trace.unwrap_or_default().into(),
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_MAX {
                trace.pop_front();
            }
            let now = self.air.now;
            trace.push_back(format!("{:>9}.{:03} ms  {}", now / MS, now % MS / 1_000, line()));
        }
    }

    fn schedule_faults(&mut self) {
        let Swarm { faults, spread, places, drain, .. } = self.swarm.clone();
        let mut chance = self.air.chance.fork();
        for _ in 0..faults.blocks {
            let host = if chance.one_in(2) {
                places.clients[chance.index(places.clients.len())].endpoint
            } else {
                places.servers[chance.index(places.servers.len())].addresses[0]
            };
            let (inbound, lasts) = (chance.one_in(2), chance.below(60 * SECOND));
            self.air.at(chance.below(spread), Event::Block { host, inbound, lasts });
        }
        for _ in 0..faults.crashes {
            let server = chance.index(places.servers.len());
            let at = chance.below(spread);
            self.air.at(at, Event::Crash(server));
            self.air.at(at + chance.below(20 * SECOND), Event::Restart(server));
        }
        for _ in 0..faults.stalls {
            self.air.at(chance.below(spread), Event::Stall(chance.below(10 * SECOND)));
        }
        for _ in 0..self.swarm.manners.strangers {
            self.air.at(chance.below(spread), Event::Stranger);
        }
        if let Some([announce, refuse, open]) = drain {
            self.air.at(announce, Event::Serve(Serving::Announcing));
            self.air.at(refuse, Event::Serve(Serving::Refusing));
            self.air.at(open, Event::Serve(Serving::Open));
        }
        self.air.at(0, Event::Compose);
        if self.swarm.gateway.messages > 0 {
            self.air.at(0, Event::Centre(Task::Compose));
        }
        self.air.at(spread + chance.below(20 * SECOND), Event::Calm);
    }

    fn on_event(&mut self, event: Event) -> Verdict<()> {
        match event {
            Event::Arrives(packet) => self.on_arrives(packet),
            Event::Turn => return self.on_turn_due(),
            Event::Compose => self.on_compose(),
            Event::Sms(index) => self.clients.on_timer(index, &mut self.air, &self.swarm),
            Event::Answer { server, life, packet } => self.on_answer(server, life, packet),
            Event::Quoted { remote, quoted, grade } => {
                self.unreachables.push_back((remote, quoted, grade));
                self.look(self.air.now);
            }
            Event::Crash(server) => {
                self.note(|| format!("IM server {server} crashes"));
                self.servers[server].crash();
            }
            Event::Restart(server) => {
                self.note(|| format!("IM server {server} is back"));
                self.servers[server].down = false;
                self.boundary.on_restart();
                self.look(self.air.now);
            }
            Event::Stall(lasts) => {
                self.note(|| format!("the worker stands still for {} ms", lasts / MS));
                self.busy_until = self.busy_until.max(self.air.now + lasts);
            }
            Event::Block { host, inbound, lasts } => {
                self.note(|| format!("{} is blocked, inbound {inbound}", written(host)));
                self.air.block(host, inbound, lasts);
            }
            Event::Serve(serving) => {
                self.note(|| format!("{serving:?}"));
                self.ledger.may_refuse |= serving == Serving::Refusing;
                self.gateway.may_refuse |= serving == Serving::Refusing;
                self.boundary.serve(serving);
            }
            Event::Stranger => {
                let overheard = self.ledger.overheard.clone();
                let packet = sms::strange(overheard.as_deref(), &mut self.air, &self.swarm);
                self.air.send(packet, Bound::Relay);
            }
            Event::Centre(task) => self.on_centre(task),
            Event::Calm => return self.on_calm(),
        }
        Ok(())
    }

    fn on_compose(&mut self) {
        self.composed += 1;
        self.clients.overheard.clone_from(&self.ledger.overheard);
        let calm = self.calm_at.is_some();
        self.clients.compose(&mut self.air, &self.swarm, calm);
        let last = self.swarm.messages + if calm { CALM_MESSAGES } else { 0 };
        if self.composed < last {
            let pause = sms::pause(&mut self.air.chance, &self.swarm);
            self.air.after(pause, Event::Compose);
        }
    }

    /// A service centre does something; composing goes on until there are enough.
    fn on_centre(&mut self, task: Task) {
        let calm = self.calm_at.is_some();
        if let Task::Compose = task {
            self.composed_shorts += 1;
            let last = self.swarm.gateway.messages;
            let limit = if calm { last + CALM_SHORTS } else { last };
            if self.composed_shorts < limit {
                let mean = self.swarm.spread / last;
                let burst = self.air.chance.one_in(3);
                let pause = if burst { MS } else { self.air.chance.exponential(mean * 3 / 2) };
                self.air.after(pause.min(10 * SECOND), Event::Centre(Task::Compose));
            }
        }
        self.centres.on_task(task, calm, &mut self.air, &self.swarm);
    }

    /// All faults end; what is open must end well from here on.
    fn on_calm(&mut self) -> Verdict<()> {
        self.note(|| "all faults end".to_owned());
        if self.swarm.abandon {
            return self.abandon();
        }
        self.calm_at = Some(self.air.now);
        self.air.calm();
        for server in &mut self.servers {
            server.down = false;
        }
        self.composed = self.composed.max(self.swarm.messages);
        self.air.after(0, Event::Compose);
        if self.swarm.gateway.messages > 0 {
            self.composed_shorts = self.composed_shorts.max(self.swarm.gateway.messages);
            self.air.after(0, Event::Centre(Task::Compose));
        }
        Ok(())
    }

    fn on_arrives(&mut self, packet: Packet) {
        let places = &self.swarm.places;
        if places.sockets.contains(&packet.to) {
            self.inbox.push_back(packet);
            self.look(self.air.now);
            return;
        }
        let server = places.servers.iter().position(|s| s.addresses.contains(&packet.to));
        let mut centres = self.swarm.gateway.centres.iter();
        if let Some(centre) = centres.position(|centre| centre.addresses.contains(&packet.to)) {
            return self.centres.on_packet(centre, &packet, &mut self.air, &self.swarm);
        }
        match server {
            Some(index) => {
                self.servers[index].on_packet(index, &packet, &mut self.air, &self.swarm);
            }
            None => self.clients.on_packet(&packet, &mut self.air, &self.swarm),
        }
    }

    fn on_answer(&mut self, server: usize, life: u32, packet: Packet) {
        let server = &mut self.servers[server];
        if server.down || server.life != life {
            return;
        }
        server.answered(&packet);
        self.air.send(packet, Bound::Relay);
    }

    /// Makes the worker look at `at`, or a little later.
    fn look(&mut self, at: u64) {
        let lag = self.air.chance.below(self.air.faults.lag + 1);
        let at = (at + lag).max(self.busy_until).max(self.air.now);
        if at < self.next_turn {
            self.next_turn = at;
            self.air.at(at, Event::Turn);
        }
    }

    fn on_turn_due(&mut self) -> Verdict<()> {
        if self.air.now != self.next_turn {
            return Ok(());
        }
        self.next_turn = u64::MAX;
        if self.air.now < self.busy_until {
            self.look(self.busy_until);
            return Ok(());
        }
        self.turn()
    }

    /// One turn of the worker, in the order of the real one.
    fn turn(&mut self) -> Verdict<()> {
        let now = self.air.now;
        self.complete(now, now);
        self.take_burst(now);
        while let Some((remote, quoted, grade)) = self.unreachables.pop_front() {
            self.note(|| {
                format!(
                    "ICMP about {} octets to {}: {}",
                    quoted.len(),
                    written(remote),
                    described(&quoted, Some(grade))
                )
            });
            if !self.gateway.on_unreachable(now, &quoted, grade) {
                self.ledger.on_unreachable(now, &quoted, grade);
            }
            self.boundary.on_unreachable(remote, &quoted, now);
        }
        let mut expired = 0;
        if self.out.free(Purse::Evidence) >= TIMERS_PER_TURN_MAX {
            expired = self.boundary.on_tick(now, &mut self.out);
        }
        self.submit(now)?;
        self.take_accounts(now)?;
        self.ledger.on_turn_end(now)?;
        self.gateway.on_turn_end()?;
        self.balance()?;
        let busy = !self.inbox.is_empty() || expired == TIMERS_PER_TURN_MAX;
        if busy {
            self.look(now + MS / 10);
        }
        if let Some(until) = self.held.iter().map(|held| held.until).min() {
            self.look(until);
        }
        if let Some(deadline) = self.boundary.next_deadline() {
            self.look(deadline.max(now + MS / 10));
        }
        Ok(())
    }

    /// Takes what the kernel has done.
    fn complete(&mut self, now: u64, until: u64) {
        let (done, held) =
            core::mem::take(&mut self.held).into_iter().partition(|h| h.until <= until);
        self.held = held;
        let done: Vec<Held> = done;
        for Held { slot, owner, ticket, sent, .. } in done {
            if let Some(slot) = slot
                && self.boundary.gives_back()
            {
                self.out.release(slot);
            }
            match ticket {
                Ticket::Gateway(ticket) => self.gateway.on_sent(ticket, sent),
                Ticket::Request(..) | Ticket::Report(_) | Ticket::Other => {
                    self.ledger.on_sent(now, ticket, sent);
                }
            }
            if let Some(owner) = owner {
                self.boundary.on_sent(owner, sent, now);
            }
        }
    }

    fn take_burst(&mut self, now: u64) {
        if self.inbox.is_empty()
            || self.out.free(Purse::Evidence) < BURST_SIZE + TIMERS_PER_TURN_MAX
        {
            return;
        }
        let mut burst = Vec::with_capacity(BURST_SIZE);
        while burst.len() < BURST_SIZE
            && let Some(packet) = self.inbox.pop_front()
        {
            let sockets = &self.swarm.places.sockets;
            let socket = sockets.iter().position(|socket| *socket == packet.to);
            let socket = SocketId(socket.and_then(|at| u8::try_from(at).ok()).unwrap_or(0));
            let flow = Flow { remote: packet.from, local: packet.to.ip, socket };
            let short = self.gateway.on_arrival(now, &packet, &self.centres, &self.swarm);
            if !short {
                let transaction = Text::salvage(&packet.octets)
                    .and_then(|text| text.key())
                    .and_then(|key| self.clients.find(&key));
                self.ledger.on_arrival(now, &packet, socket, transaction);
            }
            let short = packet.mark.map_or_else(String::new, |submission| {
                format!("  short {}", self.centres.submissions[submission].short)
            });
            self.note(|| {
                format!(
                    "in   {}  {}{short}",
                    written(packet.from),
                    described(&packet.octets, Some(packet.grade))
                )
            });
            burst.push((packet, flow));
        }
        self.boundary.on_burst(&mut burst, now, &mut self.out);
    }

    /// Hands what the engine wants to send to the kernel.
    fn submit(&mut self, now: u64) -> Verdict<()> {
        let mut list = Vec::new();
        while let Some(slot) = self.out.pop(JournalSeq::NOW) {
            list.push(Outgoing {
                departure: self.out.departure(&slot),
                octets: self.out.octets(&slot).into(),
                slot: Some(slot),
                swallowed: false,
            });
        }
        for outgoing in self.boundary.on_outgoing(list, now) {
            self.depart(now, outgoing)?;
        }
        Ok(())
    }

    fn depart(&mut self, now: u64, outgoing: Outgoing) -> Verdict<()> {
        let Outgoing { departure, octets, slot, swallowed } = outgoing;
        self.departed += 1;
        self.digest.octets(&octets);
        self.digest.word(now ^ u64::from(departure.flow.remote.port));
        let remote = departure.flow.remote;
        self.note(|| format!("out  {}  {}", written(remote), described(&octets, None)));
        let Self { ledger, gateway, centres, clients, swarm, .. } = self;
        let find = |key: &_| clients.find(key).map(|transaction| transaction.targets.clone());
        let ticket = if swallowed {
            Ticket::Other
        } else if let Some(ticket) = gateway
            .on_departure(now, &departure, &octets, centres, swarm)?
            // Of a damaged copy nobody knows what it was taken for.
            .filter(|ticket| *ticket != gateway::Ticket::Doubtful || !ledger.knows(&octets))
        {
            Ticket::Gateway(ticket)
        } else {
            ledger.on_departure(now, &departure, &octets, swarm, &find)?
        };
        let (sent, leaves) = self.kernel();
        let hold = self.air.chance.below(self.air.faults.hold + 1);
        // The evidence purse must not run dry: a driver that lets it waits for the kernel.
        let hold = if self.held.len() > SLOTS_EVIDENCE / 2 { 0 } else { hold };
        self.held.push(Held { until: now + hold, slot, owner: departure.owner, ticket, sent });
        if let Err(error) = sent {
            self.note(|| format!("     the kernel says {error:?}"));
        }
        if leaves && !swallowed {
            let from = self.swarm.places.sockets[usize::from(departure.flow.socket.0)];
            let is_im = self.swarm.places.servers.iter().any(|s| s.addresses.contains(&remote));
            let centres = &self.swarm.gateway.centres;
            let is_centre = centres.iter().any(|centre| centre.addresses.contains(&remote));
            let bound = match (is_im, is_centre) {
                (true, _) => Bound::Im,
                (false, true) => Bound::Centre,
                (false, false) => Bound::Sms,
            };
            let packet = Packet {
                from,
                to: remote,
                octets,
                grade: Grade::Sound,
                truncated: false,
                mark: None,
            };
            self.air.send(packet, bound);
        }
        Ok(())
    }

    /// What the kernel says about a departure, and whether it leaves.
    fn kernel(&mut self) -> (Sent, bool) {
        let Air { chance, faults, .. } = &mut self.air;
        if chance.share(faults.refuse) {
            let errors = [SendError::TooLong, SendError::NoRoute, SendError::Forbidden];
            return (Err(chance.pick(&errors)), false);
        }
        if chance.share(faults.refuse_other) {
            // ECONNREFUSED or ENOBUFS: it may stem from another datagram.
            return (Err(SendError::Other(chance.pick(&[111, 105]))), chance.one_in(2));
        }
        (Ok(()), true)
    }

    fn take_accounts(&mut self, now: u64) -> Verdict<()> {
        while let Some(account) = self.boundary.pop_account() {
            self.note(|| {
                format!(
                    "     account {} {:?} {:?} {:?}",
                    String::from_utf8_lossy(account.sms_call_id.octets()),
                    account.verdict,
                    account.evidence,
                    account.report
                )
            });
            self.digest.octets(account.sms_call_id.octets());
            for word in [account.arrived.0, account.decided.0, account.reported.0] {
                self.digest.word(word);
            }
            self.digest.word(u64::from(account.transmissions) << 8 | account.verdict as u64);
            self.count(account.verdict);
            let branches = self.judge(now, &account)?;
            let seen = branches
                .iter()
                .any(|branch| self.servers.iter().any(|server| server.seen.contains(branch)));
            let claims = account.verdict == Decided::Delivered && !self.swarm.faults.corrupting();
            if claims && !seen {
                let call_id = String::from_utf8_lossy(account.sms_call_id.octets());
                return Err(format!("I3: {call_id} delivered, and no user has seen it"));
            }
        }
        Ok(())
    }

    const fn count(&mut self, verdict: Decided) {
        self.verdicts[verdict as usize] += 1;
    }

    /// Judges an account, and yields the branches under which the message went to the IM side.
    fn judge(&mut self, now: u64, account: &Account) -> Verdict<Vec<Box<str>>> {
        if account.form == Form::CutThrough {
            let index = self.ledger.on_account(now, account, &self.swarm)?;
            let attempts = self.ledger.submissions[index].attempts.iter();
            return Ok(attempts.map(|attempt| attempt.branch.clone()).collect());
        }
        let life = self.gateway.on_account(now, account, &self.centres, &self.swarm)?;
        let short = life.map(|life| self.gateway.lives[life].short);
        let attempts = short.into_iter().flat_map(|short| self.gateway.attempts_of(short));
        Ok(attempts.map(|attempt| attempt.branch.clone()).collect())
    }

    /// I1 and I8 at a quiet point: everything accepted is open or accounted for, every slot is
    /// free or held.
    fn balance(&self) -> Verdict<()> {
        let seen = self.servers.iter().filter_map(|server| server.trouble.as_ref());
        if let Some(trouble) = seen.chain(&self.centres.trouble).next() {
            return Err(trouble.clone());
        }
        let read = |counter| self.tally.counters.read(counter);
        let accepted = read(Counter::MessagesAccepted);
        let submissions = self.ledger.submissions.len() as u64;
        if accepted < submissions || accepted != submissions && self.gateway.is_untouched() {
            return Err(format!("I1: {accepted} accepted, {submissions} sent on"));
        }
        let open = self.boundary.engine.open();
        let accounts = self.ledger.accounts + self.gateway.accounts;
        // RP-SMMA is open until its report is over, and no message.
        let others = self.gateway.others(&self.centres);
        let known = accounts + u64::from(open);
        if accepted > known || accepted + others < known {
            return Err(format!("I1: {accepted} accepted, {accounts} accounts, {open} open"));
        }
        if open > self.swarm.messages_max {
            return Err(format!("I8: {open} open"));
        }
        let free: usize = [Purse::Evidence, Purse::Refusals, Purse::Work]
            .into_iter()
            .map(|purse| self.out.free(purse))
            .sum();
        let held = self.held.iter().filter(|held| held.slot.is_some()).count();
        if free + held != SLOTS_MAX {
            return Err(format!("I8: {free} slots free, {held} held, of {SLOTS_MAX}"));
        }
        Ok(())
    }

    fn at_rest(&self, events: u64) -> Verdict<()> {
        // Service centres go on trying for a while.
        let rest = if self.swarm.gateway.messages > 0 { REST_OF_CENTRES } else { REST };
        if self.calm_at.is_some_and(|calm| self.air.now > calm + rest) || events > EVENTS_MAX {
            return Err(format!(
                "I8: no rest after {events} events, {} pending",
                self.air.pending()
            ));
        }
        Ok(())
    }

    /// The process is told to end: what is open becomes unknown, a few at a time.
    fn abandon(&mut self) -> Verdict<()> {
        let now = self.air.now;
        self.gateway.abandoned = true;
        self.note(|| "the process ends".to_owned());
        self.complete(now, u64::MAX);
        self.submit(now)?;
        self.complete(now, u64::MAX);
        self.take_accounts(now)?;
        while self.boundary.engine.abandon(roger::time::Instant(now), 7) > 0 {
            self.take_accounts(now)?;
        }
        self.take_accounts(now)?;
        self.submit(now)?;
        self.complete(now, u64::MAX);
        self.ended = true;
        Ok(())
    }

    /// Everything is over: nothing is open, everything is free, everybody was told one thing.
    fn at_end(&self) -> Verdict<()> {
        let engine = &self.boundary.engine;
        let missing = self.ledger.open() + self.gateway.open(&self.centres);
        if engine.open() != 0 || missing != 0 {
            let open = engine.open();
            return Err(format!("I8: at the end {open} open, {missing} without account"));
        }
        if engine.next_deadline().is_some() {
            return Err("I8: a timer runs for nothing".to_owned());
        }
        for (purse, slots) in [
            (Purse::Evidence, SLOTS_EVIDENCE),
            (Purse::Refusals, SLOTS_REFUSALS),
            (Purse::Work, SLOTS_WORK),
        ] {
            if self.out.free(purse) != slots {
                return Err(format!(
                    "I8: {} of {slots} {purse:?} slots free",
                    self.out.free(purse)
                ));
            }
        }
        self.counters_agree()?;
        if !self.ended {
            self.gateway.at_end(&self.centres, &self.swarm)?;
        }
        self.clients_agree()
    }

    /// The counters say what the accounts said.
    fn counters_agree(&self) -> Verdict<()> {
        for (counter, verdict) in [
            (Counter::VerdictDelivered, Decided::Delivered),
            (Counter::VerdictPermanent, Decided::Permanent),
            (Counter::VerdictTemporary, Decided::Temporary),
            (Counter::VerdictUnknown, Decided::Unknown),
            (Counter::VerdictAccepted, Decided::Accepted),
        ] {
            let counted = self.tally.counters.read(counter);
            let accounted = self.verdicts[verdict as usize];
            if counted != accounted {
                return Err(format!(
                    "{} counted {counted}, accounts say {accounted}",
                    counter.name()
                ));
            }
        }
        if self.tally.counters.read(Counter::MessagesOpen) != 0 {
            return Err("I1: the gauge of open messages is not 0".to_owned());
        }
        Ok(())
    }

    /// What each client heard is what was said to it; whoever heard 503 has sent nothing (I10).
    fn clients_agree(&self) -> Verdict<()> {
        if self.swarm.faults.corrupting() {
            return Ok(());
        }
        for transaction in &self.clients.transactions {
            let (Some(key), Some(heard)) = (&transaction.key, transaction.told) else { continue };
            // OPTIONS tells how things are at the moment.
            if transaction.octets.starts_with(b"OPTIONS ") {
                continue;
            }
            if !self.ledger.has_said(key, heard) {
                return Err(format!("I5: {key:?} heard {heard}, which nobody has said"));
            }
            let received = |server: &Server| server.received.contains(key);
            let elsewhere = self.servers.iter().any(received);
            if heard == 503 && elsewhere && !self.ledger.was_accepted(key) {
                return Err(format!("I10: {key:?} was refused, and an IM server has it"));
            }
        }
        Ok(())
    }
}

/// One line about a datagram.
fn described(octets: &[u8], grade: Option<Grade>) -> String {
    let grade = grade.filter(|grade| *grade != Grade::Sound);
    let grade = grade.map_or_else(String::new, |grade| format!(" [{grade:?}]"));
    match Text::read(octets) {
        Some(text) => {
            let field = |name| text.value(name).unwrap_or("-");
            let branch = text.key().map_or_else(|| "-".into(), |key| key.branch);
            let about = text.value("In-Reply-To").map_or_else(String::new, |call_id| {
                format!("  about {call_id}: {:?}", crate::rp::Report::read(text.body))
            });
            let (call_id, cseq) = (field("Call-ID"), field("CSeq"));
            format!("{}  {call_id}  {cseq}  {branch}{grade}{about}", text.start)
        }
        None => {
            let start = &octets[..octets.len().min(160)];
            format!("{} octets: {:?}{grade}", octets.len(), String::from_utf8_lossy(start))
        }
    }
}
