//! The sending end: a non-INVITE client (RFC 3261 section 17.1.2) that submits on schedule, and the
//! service centre that reports come back to.

mod report;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::io::{Driver, Event, Polling, Sockets};
use crate::limits::{BURST_SIZE, OUTBOX_OWNERS, SLOTS_MAX};
use crate::load::generator::interval::{INTERVAL_NS, Interval, Round};
use crate::load::generator::message::{Template, own_via};
use crate::load::generator::plan::{LINGER_NS, Plan, Profile};
use crate::load::generator::record::{Flags, Sent};
use crate::load::generator::response::{Heard, Reader};
use crate::load::generator::summary::statuses;
use crate::load::generator::thread::{Cost, Meter, Opened, Orders, Ready, Stop, pin};
use crate::load::generator::timers::{ClientTimers, Expired};
use crate::load::generator::window::{Owned, Window};
use crate::metrics::Tally;
use crate::packet::{
    Arrival, Departure, Departures, Endpoint, Flow, JournalSeq, Owner, Purse, SendError, SocketId,
};
use crate::time::Instant;

/// Before a message is due the thread looks at the clock for so long instead of sleeping, in
/// nanoseconds: no kernel wakes it more sharply.
const WATCHFUL_NS: u64 = 120_000;

/// The thread sleeps no longer than this, in nanoseconds, so that timers expire in time.
const SLEEP_MAX_NS: u64 = 5_000_000;

/// After how long a message is tried again that found no connection, in nanoseconds.
const AGAIN_NS: u64 = 20_000_000;

/// What can be seen of the sending end while it runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Messages that left.
    pub sent: AtomicU64,
    /// Messages about which something is still waited for.
    pub open: AtomicU64,
    /// Messages that are over, delivered or not.
    pub resolved: AtomicU64,
    /// Messages that are over and were not delivered.
    pub failed: AtomicU64,
}

/// What came that is written down with no message.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Response datagrams by status, repeated ones too.
    #[serde(serialize_with = "statuses")]
    pub responses: Box<[u64]>,
    /// Final responses that came again.
    pub finals_repeated: u64,
    /// Responses that match no message that has left.
    pub unmatched: u64,
    /// Requests that are no report about a message that has left, probes not counted.
    pub stray_requests: u64,
    /// Requests that brought a report again in the same transaction.
    pub reports_repeated: u64,
    /// Datagrams that are no SIP, or were cut.
    pub malformed: u64,
    /// ICMP errors about what was sent.
    pub unreachable: u64,
    /// Messages that could not be written to a connection; they are tried again.
    pub unwritten: u64,
}

/// What the sending end has to tell when it ends.
#[derive(Debug)]
pub struct Told {
    /// The record of each message that left.
    pub sent: Box<[Sent]>,
    /// When the first message was due, in nanoseconds of the monotonic clock.
    pub start_ns: u64,
    /// When the last message left, likewise.
    pub last_ns: u64,
    /// What was counted.
    pub counts: Counts,
    /// The last interval.
    pub interval: Box<Interval>,
    /// What it has used.
    pub cost: Cost,
}

/// Everything that the thread of a sending end takes over.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) plan: Plan,
    pub(super) sockets: Sockets,
    pub(super) address: SocketAddr,
    pub(super) cpu: Option<usize>,
    pub(super) orders: Arc<Orders>,
    pub(super) watch: Arc<Watch>,
    pub(super) round: Round,
}

impl Task {
    /// Lives on this thread until everything was said.
    ///
    /// # Errors
    ///
    /// The core or the driver cannot be had; `ready` is told that instead.
    pub(super) fn live(self, ready: &Ready) -> Option<Told> {
        match Sender::new(self) {
            Ok(mut sender) => {
                ready.send(Ok(Opened::of(&sender.driver))).ok()?;
                sender.live()
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                None
            }
        }
    }
}

struct Sender {
    driver: Driver,
    out: Departures,
    tally: Arc<Tally>,
    orders: Arc<Orders>,
    watch: Arc<Watch>,
    round: Round,
    polling: Polling,
    state: State,
}

/// Everything but the driver and its slots.
struct State {
    plan: Plan,
    flow: Flow,
    template: Template,
    reader: Reader,
    timers: ClientTimers,
    sent: Box<[Sent]>,
    /// The message that leaves next.
    next: u32,
    /// The first message whose time is not written down: its timers do not run yet.
    noted: u32,
    /// How many will leave.
    messages: u32,
    open: u32,
    /// What waits to be written to a connection.
    window: Window,
    /// Messages of which no octet could be written to a connection.
    again: VecDeque<u32>,
    /// When they are tried again.
    again_ns: u64,
    resolved: u64,
    failed: u64,
    start_ns: u64,
    last_ns: u64,
    /// When the last message was resolved.
    resolved_ns: u64,
    interval: Box<Interval>,
    counts: Counts,
}

impl Sender {
    fn new(task: Task) -> io::Result<Self> {
        let Task { plan, sockets, address, cpu, orders, watch, round } = task;
        pin(cpu)?;
        let tally = Arc::new(Tally::new(0));
        let driver = Driver::open(sockets, plan.driver, Arc::clone(&tally))?;
        let messages = usize::try_from(plan.messages).map_err(io::Error::other)?;
        let per_second = plan.pace.rate_mhz / 1_000 + 1;
        let repeats = !plan.transport.is_reliable();
        let state = State {
            flow: Flow::to(Endpoint::from(plan.target), SocketId(0)),
            template: Template::new(&plan, address),
            reader: Reader::new(plan.run, own_via(&plan, address)),
            timers: ClientTimers::new(
                plan.timers,
                repeats,
                plan.profile == Profile::Sms,
                per_second.min(u64::from(plan.messages)),
            ),
            sent: core::iter::repeat_n(Sent::default(), messages).collect(),
            next: 0,
            noted: 0,
            messages: plan.messages,
            open: 0,
            window: Window::default(),
            again: VecDeque::with_capacity(SLOTS_MAX + OUTBOX_OWNERS),
            again_ns: 0,
            resolved: 0,
            failed: 0,
            start_ns: 0,
            last_ns: 0,
            resolved_ns: 0,
            interval: Box::new(Interval::new().map_err(io::Error::other)?),
            counts: Counts {
                responses: core::iter::repeat_n(0, 700).collect(),
                ..Counts::default()
            },
            plan,
        };
        let polling = state.plan.polling;
        Ok(Self { driver, out: Departures::new(), tally, orders, watch, round, polling, state })
    }

    fn live(&mut self) -> Option<Told> {
        let meter = Meter::start();
        self.state.start_ns = self.orders.wait()?;
        while self.turn() {}
        let cost = meter.stop(&self.tally);
        let state = &mut self.state;
        state.interval.to_ns = state.elapsed_ns(self.driver.now().0);
        let mut sent = core::mem::take(&mut state.sent).into_vec();
        sent.truncate(usize::try_from(state.next).unwrap_or(usize::MAX));
        let interval = Interval::new().ok()?;
        Some(Told {
            sent: sent.into(),
            start_ns: state.start_ns,
            last_ns: state.last_ns,
            counts: core::mem::take(&mut state.counts),
            interval: core::mem::replace(&mut state.interval, Box::new(interval)),
            cost,
        })
    }

    /// One turn; says whether there is to be another one.
    fn turn(&mut self) -> bool {
        let Self { driver, out, state, .. } = self;
        match self.orders.stopped() {
            Stop::No => {}
            Stop::Soft => state.messages = state.next,
            Stop::Now => return false,
        }
        let now_ns = driver.now().0;
        let first = state.next;
        state.submit_what_is_due(now_ns, out);
        state.expire_timers(now_ns, out);
        state.submit_again(now_ns, out);
        if state.next > first {
            state.note_sent(first, driver.now().0);
        }
        let mut work = driver.submit(out, JournalSeq::NOW);
        // Responses are read whatever waits to leave: whoever answers may not read on before.
        let room = out.free(Purse::Evidence).min(BURST_SIZE);
        work += driver.reap(out, room, &mut |event, out| state.on_event(&event, out));
        if state.is_done(now_ns) {
            return false;
        }
        if state.elapsed_ns(now_ns) >= state.interval.from_ns + INTERVAL_NS {
            let elapsed_ns = state.elapsed_ns(now_ns);
            self.round.hand_over(&mut state.interval, elapsed_ns);
        }
        self.watch.sent.store(u64::from(state.next), Ordering::Relaxed);
        self.watch.open.store(u64::from(state.open), Ordering::Relaxed);
        self.watch.resolved.store(state.resolved, Ordering::Relaxed);
        self.watch.failed.store(state.failed, Ordering::Relaxed);
        if work == 0 {
            let until_ns = state.next_due_ns().unwrap_or(u64::MAX).saturating_sub(WATCHFUL_NS);
            if until_ns > now_ns {
                let until = Instant(until_ns.min(now_ns + SLEEP_MAX_NS));
                driver.idle(Some(until), self.polling, || true);
            }
        }
        true
    }
}

impl State {
    const fn elapsed_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.start_ns)
    }

    /// When the next message is due, if there is one.
    fn next_due_ns(&self) -> Option<u64> {
        (self.next < self.messages).then(|| self.due_ns(self.next))
    }

    fn due_ns(&self, number: u32) -> u64 {
        self.start_ns + self.plan.pace.due_ns(number)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        let over = self.next >= self.messages && self.open == 0;
        over && now_ns >= self.last_ns.max(self.resolved_ns) + LINGER_NS
    }

    /// At most a burst, so that what comes back is looked at in time.
    fn submit_what_is_due(&mut self, now_ns: u64, out: &mut Departures) {
        let room = out.free(Purse::Work).min(BURST_SIZE);
        for _ in 0..room {
            match self.next_due_ns() {
                Some(due_ns) if due_ns <= now_ns && self.window.is_open() => {}
                _ => return,
            }
            self.push(Purse::Work, self.next, out);
            self.next += 1;
        }
    }

    /// The messages from `first` on are about to leave, at `now_ns`.
    fn note_sent(&mut self, first: u32, now_ns: u64) {
        for number in first..self.next {
            let pacing_ns = now_ns.saturating_sub(self.due_ns(number));
            if self.plan.is_measured(number) {
                self.interval.pacing.saturating_record(pacing_ns);
            }
            if let Some(sent) = message(&mut self.sent, number) {
                sent.at_ns = now_ns;
                sent.transmissions = 1;
            }
        }
        self.noted = self.next;
        self.last_ns = now_ns;
        self.open += self.next - first;
        self.interval.sent += u64::from(self.next - first);
    }

    /// Messages that found no connection, once more. Timer F ends that.
    fn submit_again(&mut self, now_ns: u64, out: &mut Departures) {
        if now_ns < self.again_ns {
            return;
        }
        while self.window.is_open()
            && out.free(Purse::Evidence) > 0
            && let Some(number) = self.again.pop_front()
        {
            let over =
                message(&mut self.sent, number).is_none_or(|sent| sent.flags.has(Flags::RESOLVED));
            if !over {
                self.push(Purse::Evidence, number, out);
            }
        }
    }

    fn push(&mut self, purse: Purse, number: u32, out: &mut Departures) {
        let len = self.template.size();
        let owner = self.window.give(Owned::Message(number), self.plan.transport, len);
        let departure = Departure { flow: self.flow, owner, ..Departure::default() };
        out.push(purse, departure, |slot| self.template.write(number, slot));
    }

    fn expire_timers(&mut self, now_ns: u64, out: &mut Departures) {
        for _ in 0..BURST_SIZE {
            if out.free(Purse::Evidence) == 0 {
                return;
            }
            let left = usize::try_from(self.noted).unwrap_or(usize::MAX).min(self.sent.len());
            match self.timers.expire(now_ns, &self.sent[..left]) {
                Some(Expired::E(number)) => {
                    self.push(Purse::Evidence, number, out);
                    self.interval.retransmissions += 1;
                    if let Some(sent) = message(&mut self.sent, number) {
                        sent.transmissions = sent.transmissions.saturating_add(1);
                    }
                }
                Some(Expired::End(number)) => self.time_out(number, now_ns),
                None => return,
            }
        }
    }

    fn time_out(&mut self, number: u32, now_ns: u64) {
        if let Some(sent) = message(&mut self.sent, number) {
            sent.flags.set(Flags::RESOLVED);
            self.open = self.open.saturating_sub(1);
            self.resolved += 1;
            self.failed += 1;
            self.resolved_ns = now_ns;
            self.interval.timed_out += 1;
        }
    }

    fn on_event(&mut self, event: &Event<'_>, out: &mut Departures) {
        match event {
            Event::Burst(arrivals) => {
                for arrival in *arrivals {
                    self.on_arrival(arrival, out);
                }
            }
            Event::Unreachable { .. } => self.counts.unreachable += 1,
            Event::Sent { owner, sent, at } => self.on_sent(*owner, *sent, at.0),
            Event::Stream(_) => {}
        }
    }

    /// Only what leaves on a connection has an owner. What was not written to it is not lost yet.
    fn on_sent(&mut self, owner: Owner, sent: Result<(), SendError>, at_ns: u64) {
        if let (Owned::Message(number), Err(error)) = (self.window.take(owner), sent) {
            self.counts.unwritten += 1;
            if error.nothing_left() {
                self.again.push_back(number);
                self.again_ns = at_ns + AGAIN_NS;
            }
        }
    }

    fn on_arrival(&mut self, arrival: &Arrival<'_>, out: &mut Departures) {
        if arrival.truncated {
            self.counts.malformed += 1;
            return;
        }
        match self.reader.read(arrival.octets) {
            Heard::Response { number, status } => self.on_response(number, status, arrival.at.0),
            Heard::Request(request) => self.on_request(&request, arrival, out),
            Heard::Foreign => self.counts.unmatched += 1,
            Heard::Malformed => self.counts.malformed += 1,
            Heard::Nothing => {}
        }
    }

    fn on_response(&mut self, number: u32, status: u16, at_ns: u64) {
        let Some(sent) = message(&mut self.sent, number).filter(|sent| sent.at_ns > 0) else {
            self.counts.unmatched += 1;
            return;
        };
        if let Some(count) = self.counts.responses.get_mut(usize::from(status)) {
            *count += 1;
        }
        if status < 200 {
            sent.flags.set(Flags::PROCEEDING);
            return;
        }
        sent.finals = sent.finals.saturating_add(1);
        if sent.status != 0 {
            self.counts.finals_repeated += 1;
            if sent.status != status {
                sent.flags.set(Flags::DIFFERING);
            }
            return;
        }
        sent.status = status;
        let taken = (200..300).contains(&status);
        if self.plan.profile == Profile::Pager || !taken {
            self.resolve(number, taken, at_ns);
        }
    }

    /// Something final was said about message `number`, at `at_ns`. What comes after its end is in
    /// the record and in no figure.
    fn resolve(&mut self, number: u32, delivered: bool, at_ns: u64) {
        let due_ns = self.due_ns(number);
        let Some(sent) = message(&mut self.sent, number) else { return };
        if sent.flags.has(Flags::RESOLVED) {
            return;
        }
        sent.flags.set(Flags::RESOLVED);
        if self.plan.is_measured(number) {
            self.interval.intended.saturating_record(at_ns.saturating_sub(due_ns));
            self.interval.actual.saturating_record(at_ns.saturating_sub(sent.at_ns));
        }
        self.open = self.open.saturating_sub(1);
        self.resolved += 1;
        self.resolved_ns = at_ns;
        if delivered {
            self.interval.succeeded += 1;
        } else {
            self.interval.failed += 1;
            self.failed += 1;
        }
    }
}

fn message(sent: &mut [Sent], number: u32) -> Option<&mut Sent> {
    sent.get_mut(usize::try_from(number).ok()?)
}
