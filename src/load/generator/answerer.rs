//! The answering end: IM clients that answer each MESSAGE as the plan says, and write down what they
//! really have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::io::{Driver, Event, Polling, Sockets};
use crate::limits::BURST_SIZE;
use crate::load::generator::message::Search;
use crate::load::generator::mix::Answer;
use crate::load::generator::pieces::{Brought, Pieces, What};
use crate::load::generator::plan::Plan;
use crate::load::generator::record::Seen;
use crate::load::generator::reply::{self, Said};
use crate::load::generator::session::{self, Sessions};
use crate::load::generator::summary::statuses;
use crate::load::generator::thread::{Cost, Meter, Opened, Orders, Ready, Stop, pin};
use crate::load::generator::window::Window;
use crate::metrics::Tally;
use crate::packet::{Arrival, Departures, JournalSeq, Purse, StreamEvent};
use crate::time::Instant;
use crate::wire::sip::{self, Extra, Message, Method, Request};

/// The thread sleeps no longer than this, in nanoseconds, so that it ends when it is told to.
const SLEEP_MAX_NS: u64 = 20_000_000;

/// What can be seen of the answering end while it runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests and sessions that brought a message, repeated ones too.
    pub requests: AtomicU64,
}

/// What came.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// MESSAGE requests of this run, or of anybody where no run is played here; repeated ones too.
    pub requests: u64,
    /// Requests that brought a message again in the same transaction.
    pub repeats: u64,
    /// Responses that left, by status.
    #[serde(serialize_with = "statuses")]
    pub responses: Box<[u64]>,
    /// Requests that were left without an answer because the plan says so.
    pub silent: u64,
    /// MESSAGE requests that are none of this run.
    pub stray_requests: u64,
    /// Responses, which nothing here has asked for.
    pub stray_responses: u64,
    /// Datagrams that are no SIP, were cut, or broke its rules.
    pub malformed: u64,
}

/// What the answering end has to tell when it ends.
#[derive(Debug)]
pub struct Told {
    /// The record of each message; empty where only this end is played.
    pub seen: Box<[Seen]>,
    /// What was counted.
    pub counts: Counts,
    /// What came in sessions, if it takes any.
    pub sessions: Option<session::Told>,
    /// What it has used.
    pub cost: Cost,
}

/// Everything that the thread of an answering end takes over.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) plan: Plan,
    pub(super) sockets: Sockets,
    pub(super) address: SocketAddr,
    pub(super) cpu: Option<usize>,
    pub(super) orders: Arc<Orders>,
    pub(super) watch: Arc<Watch>,
}

impl Task {
    /// Lives on this thread until it is told to stop.
    pub(super) fn live(self, ready: &Ready) -> Option<Told> {
        match Answerer::new(self) {
            Ok(mut answerer) => {
                ready.send(Ok(Opened::of(&answerer.driver))).ok()?;
                answerer.live()
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                None
            }
        }
    }
}

struct Answerer {
    driver: Driver,
    out: Departures,
    tally: Arc<Tally>,
    orders: Arc<Orders>,
    watch: Arc<Watch>,
    polling: Polling,
    state: State,
}

struct State {
    plan: Plan,
    search: Search,
    seen: Box<[Seen]>,
    counts: Counts,
    sessions: Option<Sessions>,
    pieces: Option<Pieces>,
    window: Window,
}

impl Answerer {
    fn new(task: Task) -> io::Result<Self> {
        let Task { plan, sockets, address, cpu, orders, watch } = task;
        pin(cpu)?;
        let tally = Arc::new(Tally::new(0));
        let out = Departures::with_connections(sockets.connections_wished_max());
        let driver = Driver::open(sockets, plan.driver, Arc::clone(&tally))?;
        let messages = if plan.plays_both() { plan.messages } else { 0 };
        let messages = usize::try_from(messages).map_err(io::Error::other)?;
        let state = State {
            search: Search::new(&plan),
            seen: core::iter::repeat_n(Seen::default(), messages).collect(),
            counts: Counts {
                responses: core::iter::repeat_n(0, 700).collect(),
                ..Counts::default()
            },
            pieces: Pieces::new(&plan),
            sessions: Sessions::new(&plan, address).map_err(io::Error::other)?,
            window: Window::default(),
            plan,
        };
        let polling = state.plan.polling;
        Ok(Self { driver, out, tally, orders, watch, polling, state })
    }

    fn live(&mut self) -> Option<Told> {
        let meter = Meter::start();
        self.orders.wait()?;
        // A soft stop is about what leaves the other end: what is open there is still answered.
        while self.orders.stopped() < Stop::Now {
            self.turn();
        }
        // What came before the end is in the record.
        while self.take() > 0 {}
        Some(Told {
            seen: core::mem::take(&mut self.state.seen),
            counts: core::mem::take(&mut self.state.counts),
            sessions: self.state.sessions.as_ref().map(Sessions::told),
            cost: meter.stop(&self.tally),
        })
    }

    fn turn(&mut self) {
        if self.take() == 0 {
            let until = Instant(self.driver.now().0 + SLEEP_MAX_NS);
            self.driver.idle(Some(until), self.polling, || true);
        }
    }

    fn take(&mut self) -> usize {
        let Self { driver, out, state, .. } = self;
        let room = out.free(Purse::Evidence).min(BURST_SIZE);
        let room = if state.window.is_open() { room } else { 0 };
        let work = driver.reap(out, room, &mut |event, out| match event {
            Event::Burst(arrivals) => {
                for arrival in arrivals {
                    state.on_arrival(arrival, out);
                }
            }
            Event::Sent { owner, .. } => {
                state.window.take(owner);
            }
            Event::Stream(event) => state.on_stream(event, out),
            Event::Unreachable { .. } => {}
        });
        state.expire(driver.now().0, out);
        let brought = state.sessions.as_ref().map_or(0, Sessions::messages);
        self.watch.requests.store(state.counts.requests + brought, Ordering::Relaxed);
        work + driver.submit(out, JournalSeq::NOW)
    }
}

impl State {
    fn on_arrival(&mut self, arrival: &Arrival<'_>, out: &mut Departures) {
        if arrival.truncated {
            self.counts.malformed += 1;
            return;
        }
        match sip::parse(arrival.octets) {
            Ok(Message::Request(request)) => self.on_request(&request, arrival, out),
            Ok(Message::Response(_)) => self.counts.stray_responses += 1,
            Err(_) if sip::is_keep_alive(arrival.octets) => {}
            Err(_) => self.counts.malformed += 1,
        }
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, out: &mut Departures) {
        if let Some(sessions) = &mut self.sessions {
            sessions.on_stream(event, &mut self.seen, out);
        }
    }

    fn expire(&mut self, now_ns: u64, out: &mut Departures) {
        if let Some(sessions) = &mut self.sessions {
            sessions.expire(now_ns, (&mut self.window, out));
        }
    }

    fn on_request(&mut self, request: &Request<'_>, arrival: &Arrival<'_>, out: &mut Departures) {
        if request.method != Method::Message {
            let out = (&mut self.window, out);
            match &mut self.sessions {
                Some(sessions) => sessions.on_request(request, arrival, out),
                None => reply::answer_other(request, arrival, sip::ALLOW_PAGER, out),
            }
            return;
        }
        if let Some(fault) = request.fault {
            self.counts.malformed += 1;
            let said = Said { status: fault.status, reason: fault.reason, extra: Extra::None };
            reply::answer(request, said, arrival, (&mut self.window, out));
            return;
        }
        let mark = reply::mark_of(request);
        let answer = if self.plan.plays_both() {
            self.answer_of_run(request, mark)
        } else {
            self.counts.requests += 1;
            Some(self.plan.mix.answer(self.plan.seed, mark))
        };
        match answer {
            Some(Answer::Status(status)) => {
                if let Some(count) = self.counts.responses.get_mut(usize::from(status)) {
                    *count += 1;
                }
                let reason = sip::reason_phrase(status);
                let said = Said { status, reason, extra: Extra::None };
                reply::answer(request, said, arrival, (&mut self.window, out));
            }
            Some(Answer::Silence) => self.counts.silent += 1,
            None => {
                self.counts.stray_requests += 1;
                let reason = "Not a Message of This Run";
                let said = Said { status: 404, reason, extra: Extra::None };
                reply::answer(request, said, arrival, (&mut self.window, out));
            }
        }
    }

    /// What a message of this run is answered; `None` if it is none.
    fn answer_of_run(&mut self, request: &Request<'_>, mark: u64) -> Option<Answer> {
        if let Some(pieces) = &mut self.pieces {
            let brought = pieces.take(request, reply::short(mark))?;
            return self.answer_of_piece(brought);
        }
        let number = self.search.number_in(request.fields.body.of(request.octets))?;
        let seen = self.seen.get_mut(usize::try_from(number).ok()?)?;
        self.counts.requests += 1;
        let mark = reply::short(mark);
        let answer = self.plan.mix.answer(self.plan.seed, u64::from(number));
        if seen.transactions == 0 {
            seen.mark = mark;
            seen.transactions = 1;
            if let Answer::Status(status) = answer {
                seen.status = status;
            }
        } else if seen.mark == mark {
            self.counts.repeats += 1;
        } else {
            seen.transactions = seen.transactions.saturating_add(1);
        }
        Some(answer)
    }
    /// The same where it may come in pieces, and in sessions too.
    fn answer_of_piece(&mut self, Brought { number, mark, what }: Brought) -> Option<Answer> {
        let seen = self.seen.get_mut(usize::try_from(number).ok()?)?;
        self.counts.requests += 1;
        let answer = self.plan.mix.answer(self.plan.seed, u64::from(number));
        let said = match answer {
            Answer::Status(status) => status,
            Answer::Silence => 0,
        };
        let is_again = match what {
            What::Again => true,
            What::Other => seen.bring(mark, None),
            What::Whole => seen.bring(mark, Some(said)),
            // Of a part of it nobody can say that it is delivered.
            What::Beginning => {
                seen.bring(mark, Some(if answer.is_success() { 0 } else { said }));
                false
            }
        };
        self.counts.repeats += u64::from(is_again);
        Some(answer)
    }
}
