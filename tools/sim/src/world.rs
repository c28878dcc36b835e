//! One run: the engine, everybody around it, and the judge.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roger::engine::Serving;
use roger::metrics::{Counter, Tally};
use roger::time::Instant;

use crate::Outcome;
use crate::agent::{self, Hosts};
use crate::air::{Air, Bound, Event, Packet};
use crate::boundary::Boundary;
use crate::bug::Bug;
use crate::centre::{Centres, Task};
use crate::chance::Chance;
use crate::conduit::Conduits;
use crate::crew::Worker;
use crate::digest::Digest;
use crate::gateway;
use crate::im::Server;
use crate::ledger::{Ledger, Verdict};
use crate::line::Lines;
use crate::party::Party;
use crate::setup::setup;
use crate::sms::{self, Clients};
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::{Text, written};

/// Messages sent after all faults have ended.
const CALM_MESSAGES: u64 = 8;

/// Short messages after that, each to a recipient of its own.
const CALM_SHORTS: u64 = 4;

/// What only many workers, or more than one life, make happen.
pub(crate) const COUNTED: [Counter; COUNTED_MAX] = [
    Counter::HandedOver,
    Counter::AnsweredForHome,
    Counter::DroppedHandover,
    Counter::DroppedHandoverProof,
    Counter::DroppedForgotten,
    Counter::DroppedLost,
    Counter::RefusedLost,
    Counter::DroppedResponseEarlier,
];
pub(crate) const COUNTED_MAX: usize = 8;

/// Lines of the trace that are kept.
const TRACE_MAX: usize = 20_000;

/// Everything there is.
pub(crate) struct World {
    seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) air: Air,
    pub(crate) boundary: Boundary,
    pub(crate) workers: Vec<Worker>,
    /// Tallies of earlier lives of the process.
    pub(crate) past_tallies: Vec<Arc<Tally>>,
    /// Which life it lives, and whether it lives at all.
    pub(crate) life: u32,
    pub(crate) is_down: bool,
    pub(crate) serving: Serving,
    /// What happens to workers.
    pub(crate) fate: Chance,
    /// Connections, and who is at their other ends.
    pub(crate) lines: Lines,
    /// Those whose octets the engine divides itself, and who is at their other end, if anybody is.
    pub(crate) conduits: Conduits,
    pub(crate) party: Option<Box<dyn Party>>,
    /// User agents that take Large Messages.
    pub(crate) hosts: Hosts,
    /// The last final response that each worker's own requests got.
    pub(crate) answers: BTreeMap<usize, Packet>,
    pub(crate) ledger: Ledger,
    pub(crate) clients: Clients,
    pub(crate) gateway: gateway::Gateway,
    pub(crate) centres: Centres,
    pub(crate) servers: Vec<Server>,
    pub(crate) digest: Digest,
    composed: u64,
    composed_shorts: u64,
    pub(crate) calm_at: Option<u64>,
    pub(crate) ended: bool,
    pub(crate) departed: u64,
    /// Verdicts that accounts have told, by verdict.
    pub(crate) verdicts: [u64; 5],
    /// Verdicts that were reached and that nobody tells any more, at most; and those that were told
    /// for a lost worker, which counts nothing.
    pub(crate) untold: u64,
    pub(crate) told_for_lost: u64,
    /// Messages of a lost worker in this life that have no account.
    pub(crate) lost_open: u64,
    trace: Option<VecDeque<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::new(&mut chance.fork());
        let setup = setup(&swarm, seed);
        let workers: Vec<Worker> = (0..swarm.crew.workers)
            .map(|worker| Worker::new(setup.peers.len(), swarm.rules(worker), 0))
            .collect();
        let tallies: Vec<Arc<Tally>> = workers.iter().map(|worker| worker.tally.clone()).collect();
        let boundary = Boundary::new(setup, &tallies, &swarm, bug, chance.fork());
        let servers =
            swarm.places.servers.iter().map(|s| Server::new(s.addresses.clone())).collect();
        let told = swarm.clone();
        let hosts = Hosts::default();
        let mut world = Self {
            seed,
            air: Air::new(chance.fork(), swarm.faults.clone()),
            swarm,
            boundary,
            workers,
            past_tallies: Vec::new(),
            life: 0,
            is_down: false,
            serving: Serving::Open,
            fate: chance.fork(),
            lines: Lines::new(chance.fork(), told.tcp.as_ref()),
            conduits: Conduits::new(chance.fork(), told.stream_faults()),
            party: told.large.as_ref().map(|_| Box::new(hosts.clone()) as Box<dyn Party>),
            hosts,
            answers: BTreeMap::new(),
            ledger: Ledger::default(),
            clients: Clients::default(),
            gateway: gateway::Gateway::default(),
            centres: Centres::default(),
            servers,
            digest: Digest::new(),
            composed: 0,
            composed_shorts: 0,
            calm_at: None,
            ended: false,
            departed: 0,
            verdicts: [0; 5],
            untold: 0,
            told_for_lost: 0,
            lost_open: 0,
            trace: traced.then(VecDeque::new),
        };
        world.ledger.may_refuse = world.swarm.tight || world.swarm.faults.hold > 0;
        world.gateway.may_refuse = world.ledger.may_refuse;
        world.note(|| {
            let Swarm { t1_ms, messages_max, messages_large_max, finished_max, crew, .. } = &told;
            format!(
                "T1 {t1_ms} ms, {messages_max} and {messages_large_max} large open, \
                 {finished_max} finished, {crew:?}"
            )
        });
        world.schedule_faults();
        world
    }

    /// Plays the seed to its end, or to the first invariant that breaks.
    pub(crate) fn run(mut self) -> Outcome {
        let mut violation = None;
        let mut events = 0_u64;
        while let Some(event) = self.air.next() {
            events += 1;
            let is_void = self.is_void(&event);
            let done = self.on_event(event).and_then(|()| self.speak_out());
            self.hear_out();
            let rest = |()| if is_void { Ok(()) } else { self.at_rest(events) };
            if let Err(error) = done.and_then(rest) {
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
        let counts = COUNTED.map(|counter| (counter.name(), self.counted(counter)));
        Outcome {
            counts,
            seed: self.seed,
            digest: self.digest.value(),
            messages: self.ledger.submissions.len() as u64,
            short_messages: self.gateway.lives.len() as u64,
            datagrams: self.departed,
            simulated_ns: now,
            violation: violation
                .map(|error| format!("at {}.{:06} ms: {error}", now / MS, now % MS)),
            trace: self.trace.unwrap_or_default().into(),
        }
    }

    /// Whether its story is told.
    pub(crate) const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
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
        self.schedule_fates(spread);
        self.air.at(0, Event::Compose);
        if self.swarm.gateway.messages > 0 {
            self.air.at(0, Event::Centre(Task::Compose));
        }
        self.air.at(spread + chance.below(20 * SECOND), Event::Calm);
        for _ in 0..self.swarm.large.as_ref().map_or(0, |large| large.strangers) {
            let word = chance.word() >> 1;
            self.air.at(chance.below(spread), Event::Agent(agent::Task::Strange(word)));
        }
    }

    fn on_event(&mut self, event: Event) -> Verdict<()> {
        match event {
            Event::Arrives(packet) => self.on_arrives(packet),
            Event::Turn(worker) => return self.on_turn_due(worker),
            Event::Compose => self.on_compose(),
            Event::Sms(index) => self.clients.on_timer(index, &mut self.air, &self.swarm),
            Event::Answer { server, life, packet } => self.on_answer(server, life, packet),
            Event::Quoted { own, remote, quoted, grade } => {
                let place = self.swarm.places.sockets.iter().position(|socket| *socket == own);
                if let Some(worker) = place.and_then(|place| self.taker(place, remote)) {
                    self.workers[worker].unreachables.push_back((remote, quoted, grade));
                    self.look(worker, self.air.now);
                }
            }
            Event::Crash(server) => {
                self.note(|| format!("IM server {server} crashes"));
                self.servers[server].crash();
                self.hosts.on_crash(server, self.air.now);
                self.cut_lines_of(server);
            }
            Event::Restart(server) => {
                self.note(|| format!("IM server {server} is back"));
                self.servers[server].down = false;
                self.boundary.on_restart();
                self.look(0, self.air.now);
            }
            Event::Stall(lasts) => {
                self.note(|| format!("all workers stand still for {} ms", lasts / MS));
                for worker in &mut self.workers {
                    worker.busy_until = worker.busy_until.max(self.air.now + lasts);
                }
            }
            Event::StallOne(worker, lasts) => self.on_stall(worker, lasts),
            Event::Stick(worker) => self.on_stick(worker),
            Event::Lost { worker, life } => return self.on_lost(worker, life),
            Event::Die => self.on_death(),
            Event::Revive => self.on_revival(),
            Event::Block { host, inbound, lasts } => {
                self.note(|| format!("{} is blocked, inbound {inbound}", written(host)));
                self.air.block(host, inbound, lasts);
            }
            Event::Serve(serving) => {
                self.note(|| format!("{serving:?}"));
                self.ledger.may_refuse |= serving == Serving::Refusing;
                self.gateway.may_refuse |= serving == Serving::Refusing;
                self.serving = serving;
                for worker in 0..self.workers.len() {
                    if !self.workers[worker].is_lost {
                        self.boundary.serve(worker, serving);
                    }
                }
            }
            Event::Stranger => {
                let overheard = self.ledger.overheard.clone();
                let packet = sms::strange(overheard.as_deref(), &mut self.air, &self.swarm);
                self.air.send(packet, Bound::Relay);
            }
            Event::Centre(task) => self.on_centre(task),
            Event::Agent(task) => self.hosts.on_task(task, &mut self.air, &self.swarm),
            Event::Line(line, step) => return self.on_line(line, step),
            Event::Conduit(conduit, step) => self.on_conduit(conduit, step),
            Event::Calm => return self.on_calm(),
        }
        Ok(())
    }

    /// Whether what is composed now must get through.
    fn is_calm(&self) -> bool {
        self.calm_at.is_some_and(|at| self.air.now >= at)
    }

    fn on_compose(&mut self) {
        self.composed += 1;
        self.clients.overheard.clone_from(&self.ledger.overheard);
        let calm = self.is_calm();
        self.clients.compose(&mut self.air, &self.swarm, calm);
        let last = self.swarm.messages + if calm { CALM_MESSAGES } else { 0 };
        if self.composed < last {
            let pause = sms::pause(&mut self.air.chance, &self.swarm);
            self.air.after(pause, Event::Compose);
        }
    }

    /// A service centre does something; composing goes on until there are enough.
    fn on_centre(&mut self, task: Task) {
        let calm = self.is_calm();
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
        self.on_revival();
        if self.swarm.abandon {
            return self.abandon();
        }
        // Connections that are dead already have to be found so.
        let has_streams = self.swarm.tcp.is_some() || self.swarm.large.is_some();
        let rest = if has_streams { 15 * SECOND } else { 0 };
        self.calm_at = Some(self.air.now + rest);
        self.air.calm();
        self.calm_lines();
        self.conduits.calm(&mut self.air);
        for server in &mut self.servers {
            server.down = false;
        }
        self.composed = self.composed.max(self.swarm.messages);
        self.air.after(rest, Event::Compose);
        if self.swarm.gateway.messages > 0 {
            self.composed_shorts = self.composed_shorts.max(self.swarm.gateway.messages);
            self.air.after(rest, Event::Centre(Task::Compose));
        }
        Ok(())
    }

    pub(crate) fn on_arrives(&mut self, packet: Packet) {
        let places = &self.swarm.places;
        let place = places.sockets.iter().position(|socket| *socket == packet.to);
        if let Some(place) = place {
            if let Some(worker) = self.taker(place, packet.from) {
                self.workers[worker].inbox.push_back((self.air.now, packet));
                self.look(worker, self.air.now);
            }
            return;
        }
        let server = places.servers.iter().position(|s| s.addresses.contains(&packet.to));
        let mut centres = self.swarm.gateway.centres.iter();
        if let Some(centre) = centres.position(|centre| centre.addresses.contains(&packet.to)) {
            return self.centres.on_packet(centre, &packet, &mut self.air, &self.swarm);
        }
        match server {
            Some(index)
                if !self.servers[index].down
                    && Text::read(&packet.octets).is_some_and(|text| agent::concerns(&text)) =>
            {
                self.hosts.on_packet(index, &packet, &mut self.air, &self.swarm);
            }
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

    /// The process is told to end: what is open becomes unknown, a few at a time.
    fn abandon(&mut self) -> Verdict<()> {
        let now = self.air.now;
        self.gateway.abandoned = true;
        self.note(|| "the process ends".to_owned());
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_lost {
                continue;
            }
            (self.ledger.seat, self.gateway.seat) = (worker, worker);
            self.complete(worker, now, u64::MAX);
            self.submit(worker, now)?;
            self.complete(worker, now, u64::MAX);
            self.take_accounts(worker, now)?;
            while self.boundary.engines[worker].abandon(Instant(now), 7) > 0 {
                self.take_accounts(worker, now)?;
            }
            self.take_accounts(worker, now)?;
            self.submit(worker, now)?;
            self.complete(worker, now, u64::MAX);
        }
        self.ended = true;
        Ok(())
    }
}
