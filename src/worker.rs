//! One worker: a driver and an engine, turn after turn, on one core.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use core_affinity::CoreId;
use crossbeam::channel;
use crossbeam::queue::ArrayQueue;

use crate::delivery::Account;
use crate::engine::{Engine, Footprint, Serving, Setup};
use crate::io::{Choice, Driver, Event, Kind, Polling, Waker};
use crate::limits::{ACCOUNTS_MAX, ACCOUNTS_PATIENCE_MS, BURST_SIZE, TIMERS_PER_TURN_MAX};
use crate::metrics::{Counter, Tally};
use crate::packet::{Departures, JournalSeq, Purse};
use crate::store::{allocations_count, allocations_of_this_thread};
use crate::time::Instant;

/// What a worker is made of.
#[derive(Debug)]
pub struct Plan {
    /// What its engine is told.
    pub setup: Setup,
    /// Its sockets, in the order that `setup` numbers them.
    pub sockets: Vec<UdpSocket>,
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
    /// How it is told what to do.
    pub control: Arc<Control>,
}

/// What others tell a running worker. Read once a turn; wake the worker after a change.
#[derive(Debug, Default)]
pub struct Control {
    serving: AtomicU8,
    stopping: AtomicBool,
    abandoned: AtomicU32,
}

impl Control {
    /// Says how new work is met from here on.
    pub fn serve(&self, serving: Serving) {
        self.serving.store(serving as u8, Ordering::Release);
    }

    /// Ends the worker: what is open ends as unknown, its accounts are told.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// How many messages were open when the worker ended; 0 while it runs.
    pub fn abandoned(&self) -> u32 {
        self.abandoned.load(Ordering::Acquire)
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
    /// Interrupts its waiting.
    pub waker: Waker,
    /// Which driver it runs on.
    pub kind: Kind,
    /// Why that is not io_uring, where it was to be tried.
    pub refusal: Option<String>,
    /// What its tables take.
    pub footprint: Footprint,
    /// Its thread.
    pub thread: JoinHandle<()>,
}

struct Ready {
    waker: Waker,
    kind: Kind,
    refusal: Option<String>,
    footprint: Footprint,
}

/// Starts a worker, and returns when everything it needs is allocated and its sockets are armed.
///
/// # Errors
///
/// The core cannot be used, or no driver can be opened.
pub fn start(plan: Plan) -> io::Result<Worker> {
    let (tell, told) = channel::bounded(1);
    let mut name = String::from("roger-worker-");
    name.push(char::from(b'0' + plan.setup.worker.0 % 10));
    // Everything is made on the worker's own thread and core: memory is touched where it is used,
    // and a ring has a single issuer.
    let thread = thread::Builder::new().name(name).spawn(move || match Turner::new(plan) {
        Ok((mut turner, ready)) => {
            if tell.send(Ok(ready)).is_ok() {
                turner.run();
            }
        }
        Err(error) => drop(tell.send(Err(error))),
    })?;
    match told.recv() {
        Ok(Ok(Ready { waker, kind, refusal, footprint })) => {
            Ok(Worker { waker, kind, refusal, footprint, thread })
        }
        Ok(Err(error)) => Err(error),
        Err(channel::RecvError) => Err(io::Error::other("the worker ended while it started")),
    }
}

struct Turner {
    driver: Driver,
    engine: Engine,
    out: Departures,
    polling: Polling,
    serving: Serving,
    tally: Arc<Tally>,
    accounts: Option<Arc<ArrayQueue<Account>>>,
    control: Arc<Control>,
}

impl Turner {
    fn new(plan: Plan) -> io::Result<(Self, Ready)> {
        if let Some(id) = plan.cpu
            && !core_affinity::set_for_current(CoreId { id })
        {
            return Err(io::Error::other("the worker cannot be pinned to its core"));
        }
        let driver = Driver::open(plan.sockets, plan.driver, Arc::clone(&plan.tally))?;
        let engine = Engine::new(plan.setup, Arc::clone(&plan.tally), driver.now());
        let ready = Ready {
            waker: driver.waker()?,
            kind: driver.kind(),
            refusal: driver.refusal().map(ToString::to_string),
            footprint: engine.footprint(),
        };
        let turner = Self {
            driver,
            engine,
            out: Departures::new(),
            polling: plan.polling,
            serving: Serving::Open,
            tally: plan.tally,
            accounts: plan.accounts,
            control: plan.control,
        };
        Ok((turner, ready))
    }

    fn run(&mut self) {
        allocations_count();
        let mut began = self.driver.now();
        while !self.control.stopping.load(Ordering::Acquire) {
            let serving = self.control.serving();
            if serving != self.serving {
                self.serving = serving;
                self.engine.serve(serving);
            }
            let work = self.turn();
            let ended = self.driver.now();
            if work == 0 {
                self.tally.counters.add(Counter::TurnsIdle);
                self.driver.idle(self.engine.next_deadline(), self.polling);
                began = self.driver.now();
            } else {
                self.note_turn(ended.since(began));
                began = ended;
            }
        }
        self.wind_up();
    }

    /// One turn: what has arrived, what is due, what departs, what is told.
    fn turn(&mut self) -> usize {
        let Self { driver, engine, out, .. } = self;
        // An arrival is taken only while what it may prove can be passed on, and the timers of
        // this turn keep their slots beside it.
        let room = out.free(Purse::Evidence).saturating_sub(TIMERS_PER_TURN_MAX).min(BURST_SIZE);
        let mut work = driver.reap(out, room, &mut |event, out| match event {
            Event::Burst(arrivals) => engine.on_burst(arrivals, out),
            Event::Sent { owner, sent, at } => engine.on_sent(owner, sent, at),
            Event::Unreachable { remote, quoted, at } => engine.on_unreachable(remote, quoted, at),
        });
        if out.free(Purse::Evidence) >= TIMERS_PER_TURN_MAX {
            work += engine.on_tick(driver.now(), out);
        }
        work += driver.submit(out, JournalSeq::NOW);
        self.tell();
        work
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

    /// Ends what is open, in portions that the accounts have room for.
    fn wind_up(&mut self) {
        self.control.abandoned.store(self.engine.open(), Ordering::Release);
        let now: Instant = self.driver.now();
        let patience = now.plus_ms(ACCOUNTS_PATIENCE_MS);
        while self.engine.abandon(now, ACCOUNTS_MAX / 2) > 0 {
            self.tell_all(patience);
        }
        self.tell_all(patience);
    }

    /// Waits for whoever writes the accounts, for there is nothing else to do any more.
    fn tell_all(&mut self, patience: Instant) {
        while let Some(account) = self.engine.pop_account() {
            let Some(ring) = &self.accounts else { continue };
            while ring.is_full() && Arc::strong_count(ring) > 1 && self.driver.now() < patience {
                thread::park_timeout(Duration::from_millis(1));
            }
            if ring.push(account).is_err() {
                self.tally.counters.add(Counter::AccountsLost);
            }
        }
    }
}
