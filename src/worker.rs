//! One worker: a driver and an engine, turn after turn, on one core.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use core_affinity::CoreId;
use crossbeam::channel;
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use crate::delivery::Account;
use crate::engine::{Engine, Footprint, Neighbours, Remains, Serving, Setup};
use crate::id::WorkerId;
use crate::io::{Choice, Driver, Event, Kind, Polling, Sockets, Waker};
use crate::limits::{
    ACCOUNTS_MAX, ACCOUNTS_PATIENCE_MS, BURST_SIZE, STREAM_SLOW_MS, TIMERS_PER_TURN_MAX,
};
use crate::metrics::{Counter, Tally};
use crate::packet::{Departures, JournalSeq, Purse};
use crate::store::{Bell, Gate, allocations_count, allocations_of_this_thread};
use crate::time::Instant;

/// What a worker is made of.
#[derive(Debug)]
pub struct Plan {
    /// What its engine is told.
    pub setup: Setup,
    /// The other workers.
    pub neighbours: Neighbours,
    /// Its sockets, in the order that `setup` numbers them.
    pub sockets: Sockets,
    /// How octets are moved.
    pub driver: Choice,
    /// What it does when there is nothing to do.
    pub polling: Polling,
    /// The core it is pinned to.
    pub cpu: Option<usize>,
    /// Where it counts.
    pub tally: Arc<Tally>,
    /// Where accounts go; an account that finds the ring full is lost and counted.
    pub accounts: Option<Arc<ArrayQueue<Account>>>,
    /// How all workers are told what to do and wake each other, in their order.
    pub crew: Crew,
}

/// The controls of all workers in their order.
pub type Crew = Arc<[CachePadded<Control>]>;

/// The controls of `workers` workers that have not started.
pub fn crew(workers: usize) -> Crew {
    (0..workers).map(|_| CachePadded::new(Control::default())).collect()
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// It takes turns, or will.
    Running,
    /// It has ended as it was told.
    Ended,
    /// It has ended in the middle of a turn, by a broken invariant of our own.
    Broken,
}

/// What others tell a running worker and see of it. Read once a turn; wake the worker after a change.
#[derive(Debug, Default)]
pub struct Control {
    serving: AtomicU8,
    beginning: AtomicBool,
    stopping: AtomicBool,
    abandoned: AtomicU32,
    /// Turns so far: one that stands still is stuck.
    turns: AtomicU64,
    stage: AtomicU8,
    /// It is not waited for any more, and may free what it has.
    dismissed: AtomicBool,
    bell: Bell,
    waker: OnceLock<Waker>,
    gate: Gate,
    remains: OnceLock<Arc<Remains>>,
}

impl Control {
    /// Says how new work is met from here on.
    pub fn serve(&self, serving: Serving) {
        self.serving.store(serving as u8, Ordering::Release);
    }

    /// Lets it take turns: until then it has started, and takes nothing that it could lose if another
    /// one does not start.
    pub fn begin(&self) {
        self.beginning.store(true, Ordering::Release);
    }

    /// Ends the worker: what is open ends as unknown, its accounts are told.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// How many messages were open when the worker ended; 0 while it runs.
    pub fn abandoned(&self) -> u32 {
        self.abandoned.load(Ordering::Acquire)
    }

    /// How many turns it has taken. One that is woken takes a turn.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Shows that it does not stand still.
    pub(crate) fn show_turn(&self) {
        self.turns.store(self.turns().wrapping_add(1), Ordering::Relaxed);
    }

    /// Through which it says what it has to say.
    #[cfg(test)]
    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Ended,
            _ => Stage::Broken,
        }
    }

    /// Takes the word from it for good: it sends and tells nothing any more, and ends when it can.
    /// `false` while it is still sending or telling what it had begun to.
    pub fn silence(&self) -> bool {
        self.gate.shut()
    }

    /// Whether the word was taken from it.
    pub fn is_silenced(&self) -> bool {
        self.gate.is_shut()
    }

    /// What is open on it, once it has started.
    pub fn remains(&self) -> Option<&Remains> {
        self.remains.get().map(AsRef::as_ref)
    }

    /// Says that nobody looks at what it leaves any more.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
    }

    /// Interrupts its waiting, wherever it is.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    fn serving(&self) -> Serving {
        match self.serving.load(Ordering::Acquire) {
            0 => Serving::Open,
            1 => Serving::Announcing,
            _ => Serving::Refusing,
        }
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    /// Which driver it runs on.
    pub kind: Kind,
    /// Why that is not io_uring, where it was to be tried.
    pub refusal: Option<String>,
    /// What its tables take.
    pub footprint: Footprint,
    /// Octets that its connections take, used or not.
    pub connections_size: usize,
    /// Its thread.
    pub thread: JoinHandle<()>,
}

struct Ready {
    kind: Kind,
    refusal: Option<String>,
    footprint: Footprint,
    connections_size: usize,
}

/// Starts a worker, and returns when everything it needs is allocated and its sockets are armed. It
/// takes no turn before [`Control::begin`].
///
/// # Errors
///
/// The core cannot be used, or no driver can be opened.
pub fn start(plan: Plan) -> io::Result<Worker> {
    let (tell, told) = channel::bounded(1);
    let mut name = String::from("roger-worker-");
    for divisor in [10, 1] {
        name.push(char::from(b'0' + plan.setup.worker.0 / divisor % 10));
    }
    // Everything is made on the worker's own thread and core: memory is touched where it is used,
    // and a ring has a single issuer.
    let thread = thread::Builder::new().name(name).spawn(move || match Turner::new(plan) {
        Ok((mut turner, ready)) => {
            if tell.send(Ok(ready)).is_ok() {
                turner.live();
            }
        }
        Err(error) => drop(tell.send(Err(error))),
    })?;
    match told.recv() {
        Ok(Ok(Ready { kind, refusal, footprint, connections_size })) => {
            Ok(Worker { kind, refusal, footprint, connections_size, thread })
        }
        Ok(Err(error)) => Err(error),
        Err(channel::RecvError) => Err(io::Error::other("the worker ended while it started")),
    }
}

/// How the life of a worker ends, unless it breaks.
enum End {
    /// It was told to, and has told what was open.
    Told,
    /// The word was taken from it.
    Silenced,
}

struct Turner {
    driver: Driver,
    engine: Engine,
    out: Departures,
    polling: Polling,
    serving: Serving,
    tally: Arc<Tally>,
    accounts: Option<Arc<ArrayQueue<Account>>>,
    crew: Crew,
    own: WorkerId,
}

impl Turner {
    fn new(plan: Plan) -> io::Result<(Self, Ready)> {
        if let Some(id) = plan.cpu
            && !core_affinity::set_for_current(CoreId { id })
        {
            return Err(io::Error::other("the worker cannot be pinned to its core"));
        }
        let own = plan.setup.worker;
        let connections_max = plan.sockets.connections_wished_max();
        let driver = Driver::open(plan.sockets, plan.driver, Arc::clone(&plan.tally))?;
        let tally = Arc::clone(&plan.tally);
        let engine = Engine::among(plan.neighbours, plan.setup, tally, driver.now());
        let control = &plan.crew[usize::from(own.0)];
        // Each control is the one of one worker, which starts once.
        let _ = control.waker.set(driver.waker()?);
        let _ = control.remains.set(engine.remains());
        let ready = Ready {
            kind: driver.kind(),
            refusal: driver.refusal().map(ToString::to_string),
            footprint: engine.footprint(),
            connections_size: driver.connections_size(),
        };
        let turner = Self {
            driver,
            engine,
            out: Departures::with_connections(connections_max),
            polling: plan.polling,
            serving: Serving::Open,
            tally: plan.tally,
            accounts: plan.accounts,
            crew: plan.crew,
            own,
        };
        Ok((turner, ready))
    }

    fn control(&self) -> &Control {
        &self.crew[usize::from(self.own.0)]
    }

    /// Takes turns to the end. What a broken invariant leaves behind is kept until somebody has told
    /// what is open in it.
    fn live(&mut self) {
        // The engine is not used again when it has panicked, so it does not matter in which state.
        let lived = catch_unwind(AssertUnwindSafe(|| self.run()));
        let control = self.control();
        match lived {
            Ok(End::Told) => return control.stage.store(Stage::Ended as u8, Ordering::Release),
            // Its sockets stay open: to close one would change the places of the others.
            Ok(End::Silenced) => control.stage.store(Stage::Ended as u8, Ordering::Release),
            Err(_) => {
                control.gate.shut();
                control.gate.leave();
                control.stage.store(Stage::Broken as u8, Ordering::Release);
            }
        }
        while !control.dismissed.load(Ordering::Acquire) {
            thread::park_timeout(DISMISSAL_PAUSE);
        }
    }

    fn run(&mut self) -> End {
        while !self.control().beginning.load(Ordering::Acquire)
            && !self.control().stopping.load(Ordering::Acquire)
        {
            thread::park_timeout(BEGINNING_PAUSE);
        }
        allocations_count();
        let mut began = self.driver.now();
        while !self.control().stopping.load(Ordering::Acquire) {
            let serving = self.control().serving();
            if serving != self.serving {
                self.serving = serving;
                self.engine.serve(serving);
            }
            let Some(work) = self.turn() else { return End::Silenced };
            let ended = self.driver.now();
            if work == 0 {
                self.tally.counters.add(Counter::TurnsIdle);
                self.idle();
                began = self.driver.now();
            } else {
                self.note_turn(ended.since(began));
                began = ended;
            }
        }
        if !self.part() {
            return End::Silenced;
        }
        self.wind_up()
    }

    /// Before it ends, what others have handed over to it leaves, and what connections have not taken:
    /// their messages may be closed already, and nobody would say again what is told here. Nothing new is
    /// taken. `false` when its word was taken from it.
    fn part(&mut self) -> bool {
        self.engine.serve(Serving::Refusing);
        let patience = self.driver.now().plus_ms(STREAM_SLOW_MS);
        while (self.engine.is_handed() || self.out.queued() > 0 || self.driver.is_writing())
            && self.driver.now() < patience
        {
            if self.control().gate.is_shut() {
                return false;
            }
            self.control().show_turn();
            let Self { driver, engine, out, .. } = self;
            let mut work = engine.on_handed(room(out), driver.now(), out);
            work += driver.reap(out, 0, &mut |event, out| match event {
                Event::Burst(arrivals) => engine.on_burst(arrivals, out),
                Event::Sent { owner, sent, at } => engine.on_sent(owner, sent, at),
                Event::Unreachable { remote, quoted, at } => {
                    engine.on_unreachable(remote, quoted, at);
                }
                Event::Stream(event) => engine.on_stream(event, out),
            });
            let posted = engine.posted();
            if !self.control().gate.enter() {
                return false;
            }
            work += self.driver.submit(&mut self.out, JournalSeq::NOW);
            self.tell();
            self.control().gate.leave();
            self.ring(posted);
            if work == 0 {
                let until = self.driver.now().plus_ms(PARTING_PAUSE_MS).min(patience);
                self.driver.idle(Some(until), Polling::Wait, || true);
            }
        }
        true
    }

    /// One turn: what was handed over, what has arrived, what is due, what departs, what is told.
    /// `None` when its word was taken from it.
    fn turn(&mut self) -> Option<usize> {
        // What it took now would be accepted and never answered: others may still refuse it.
        if self.control().gate.is_shut() {
            return None;
        }
        self.control().show_turn();
        let Self { driver, engine, out, .. } = self;
        let mut work = 0;
        if engine.is_handed() {
            work += engine.on_handed(room(out), driver.now(), out);
        }
        // An arrival is taken only while what it may prove can be passed on, and the timers of
        // this turn keep their slots beside it.
        work += driver.reap(out, room(out), &mut |event, out| match event {
            Event::Burst(arrivals) => engine.on_burst(arrivals, out),
            Event::Sent { owner, sent, at } => engine.on_sent(owner, sent, at),
            Event::Unreachable { remote, quoted, at } => engine.on_unreachable(remote, quoted, at),
            Event::Stream(event) => engine.on_stream(event, out),
        });
        if out.free(Purse::Evidence) >= TIMERS_PER_TURN_MAX {
            work += engine.on_tick(driver.now(), out);
        }
        let posted = engine.posted();
        if !self.control().gate.enter() {
            return None;
        }
        work += self.driver.submit(&mut self.out, JournalSeq::NOW);
        self.tell();
        self.control().gate.leave();
        self.ring(posted);
        Some(work)
    }

    /// Wakes those to whom something was handed over.
    fn ring(&self, posted: u64) {
        let mut left = posted;
        while left != 0 {
            let control = &self.crew[left.trailing_zeros() as usize];
            if control.bell.ring() {
                control.wake();
            }
            left &= left - 1;
        }
    }

    fn idle(&mut self) {
        let until = self.engine.next_deadline();
        let Self { driver, engine, crew, own, .. } = self;
        let bell = &crew[usize::from(own.0)].bell;
        driver.idle(until, self.polling, || {
            bell.lie_down();
            !engine.is_handed()
        });
        bell.get_up();
    }

    fn tell(&mut self) {
        while let Some(account) = self.engine.pop_account() {
            let lost = self.accounts.as_ref().is_some_and(|ring| ring.push(account).is_err());
            if lost {
                self.tally.counters.add(Counter::AccountsLost);
            }
        }
    }

    fn note_turn(&self, ns: u64) {
        let counters = &self.tally.counters;
        counters.add(Counter::TurnsBusy);
        if ns > counters.read(Counter::TurnLongestNs) {
            counters.set(Counter::TurnLongestNs, ns);
        }
        counters.set(Counter::Allocations, allocations_of_this_thread().unwrap_or(0));
    }

    /// Ends what is open, in portions that the accounts have room for. It is watched until the end, so
    /// that what it can no longer tell is told in its place.
    fn wind_up(&mut self) -> End {
        self.control().abandoned.store(self.engine.open(), Ordering::Release);
        let now: Instant = self.driver.now();
        let patience = now.plus_ms(ACCOUNTS_PATIENCE_MS);
        loop {
            self.control().show_turn();
            if !self.control().gate.enter() {
                return End::Silenced;
            }
            let left = self.engine.abandon(now, ACCOUNTS_MAX / 2);
            self.tell_all(patience);
            self.control().gate.leave();
            if left == 0 {
                return End::Told;
            }
        }
    }

    /// Waits for whoever writes the accounts, for there is nothing else to do any more.
    fn tell_all(&mut self, patience: Instant) {
        while let Some(account) = self.engine.pop_account() {
            let Some(ring) = &self.accounts else { continue };
            while ring.is_full() && Arc::strong_count(ring) > 1 && self.driver.now() < patience {
                self.control().show_turn();
                thread::park_timeout(Duration::from_millis(1));
            }
            if ring.push(account).is_err() {
                self.tally.counters.add(Counter::AccountsLost);
            }
        }
    }
}

/// How often a worker looks whether it may begin.
const BEGINNING_PAUSE: Duration = Duration::from_millis(1);

/// How often a worker that ends looks whether something was handed over to it.
const PARTING_PAUSE_MS: u32 = 5;

/// How often a worker that is broken looks whether it may go.
const DISMISSAL_PAUSE: Duration = Duration::from_millis(10);

/// How many arrivals may be taken: each has a slot for what it may prove, and the timers of a turn
/// have theirs.
fn room(out: &Departures) -> usize {
    out.free(Purse::Evidence).saturating_sub(TIMERS_PER_TURN_MAX).min(BURST_SIZE)
}
