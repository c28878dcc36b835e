//! The IM side: a user agent server that does to each message what its Request-URI asks for, and
//! writes down what the client has.
//!
//! A retransmitted request gets the last response again (RFC 3261 section 17.2.2), except where
//! the injected outcome loses it. What is due later waits in a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::utils::CachePadded;

use crate::load::schedule::{Clock, Run, Timers};
use crate::load::sip::{self, Text};
use crate::load::truth::{After, Outcome, Truth};
use crate::load::{DATAGRAM_SIZE_MAX, receive};

/// How long after timer F the response of [`After::TimerF`] leaves.
const AFTER_F_MS: u64 = 200;

/// Counts that may be read while the actor runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Messages that arrived, retransmissions not counted.
    pub received: CachePadded<AtomicU64>,
    /// Datagrams that were no request of this run.
    pub strays: CachePadded<AtomicU64>,
}

/// The running actor.
#[derive(Debug)]
pub struct Im {
    thread: JoinHandle<Vec<Truth>>,
    stop: Arc<AtomicBool>,
    watch: Arc<Watch>,
}

impl Im {
    /// Starts to answer on `socket`.
    pub fn start(run: Run, clock: Clock, socket: UdpSocket) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let watch = Arc::new(Watch::default());
        let mut actor = Actor {
            run,
            clock,
            socket,
            watch: Arc::clone(&watch),
            truths: core::iter::repeat_n(Truth::default(), run.messages).collect(),
            due: BinaryHeap::new(),
            text: String::new(),
        };
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name(String::from("im")).spawn(move || {
            actor.run_until(&stopping);
            actor.truths
        })?;
        Ok(Self { thread, stop, watch })
    }

    /// What can be seen of it from outside.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Stops it and takes its record, one truth per message.
    pub fn finish(self) -> io::Result<Vec<Truth>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the IM side panicked"))
    }
}

/// A response that leaves later.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Pending {
    at_ns: u64,
    number: usize,
    status: u16,
    text: String,
    to: SocketAddr,
}

struct Actor {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    watch: Arc<Watch>,
    truths: Vec<Truth>,
    due: BinaryHeap<Reverse<Pending>>,
    text: String,
}

impl Actor {
    fn run_until(&mut self, stop: &AtomicBool) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        let Ok(socket) = self.socket.try_clone() else { return };
        while !stop.load(Ordering::Relaxed) {
            if let Some((datagram, source)) = receive(&socket, &mut buffer) {
                self.on_datagram(datagram, source);
            }
            self.send_what_is_due();
        }
    }

    fn on_datagram(&mut self, datagram: &[u8], source: SocketAddr) {
        let text = Text::read(datagram);
        let understood = text.as_ref().and_then(|text| self.understand(text));
        match (text, understood) {
            (Some(text), Some((number, outcome))) => {
                self.on_request(&text, source, number, outcome)
            }
            _ => count(&self.watch.strays),
        }
    }

    /// Which message this is. Whatever a proxy must not do to a request makes it nobody's.
    fn understand(&self, text: &Text<'_>) -> Option<(usize, Outcome)> {
        let number = sip::number_of(&self.run, text.field("Call-ID")?)?;
        let (user, code) = text.recipient()?.split_once('-')?;
        let outcome = Outcome::from_code(code)?;
        let named = user.strip_prefix('u')?.parse().ok() == Some(number);
        let forwards: u32 = text.field("Max-Forwards")?.parse().ok()?;
        let ours = parameter_of_last_via(text)? == sip::branch(&self.run, number);
        let once = text.vias().count() == 2 && forwards + 1 == sip::MAX_FORWARDS;
        (named && ours && once).then_some((number, outcome))
    }

    fn on_request(&mut self, text: &Text<'_>, source: SocketAddr, number: usize, outcome: Outcome) {
        let now = self.clock.now_ns();
        let top = text.vias().next().unwrap_or_default();
        let branch = sip::fingerprint(sip::parameter(top, "branch").unwrap_or_default().as_bytes());
        let intact = text.body == sip::body(&self.run, number);
        let truth = &mut self.truths[number];
        truth.requests = truth.requests.saturating_add(1);
        truth.damaged |= !intact;
        truth.has |= intact && outcome.client_has_it();
        if truth.requests == 1 {
            truth.received_ns = now;
            truth.branch = branch;
            count(&self.watch.received);
        }
        if truth.requests == 1 || truth.branch != branch {
            truth.transactions = truth.transactions.saturating_add(1);
        }
        let requests = truth.requests;
        let answers = outcome.answers();
        if requests == outcome.answers_lost() + 1 {
            for answer in answers {
                self.answer(
                    text,
                    source,
                    number,
                    answer.status,
                    wait_ns(self.run.timers, answer.after),
                );
            }
        } else if requests > outcome.answers_lost()
            && let Some(last) = self.last_answer(number, outcome)
        {
            self.answer(text, source, number, last, 0);
        }
    }

    /// What a retransmission is answered: the final response that was sent, else the provisional
    /// one that was, else nothing yet.
    fn last_answer(&self, number: usize, outcome: Outcome) -> Option<u16> {
        let first = outcome.answers().first()?.status;
        self.truths[number].status.or_else(|| (first < 200).then_some(first))
    }

    fn answer(&mut self, to: &Text<'_>, source: SocketAddr, number: usize, status: u16, wait: u64) {
        sip::write_response(to, status, &mut self.text);
        if wait == 0 {
            self.send(number, status, source);
        } else {
            let at_ns = self.clock.now_ns() + wait;
            let text = self.text.clone();
            self.due.push(Reverse(Pending { at_ns, number, status, text, to: source }));
        }
    }

    fn send_what_is_due(&mut self) {
        let now = self.clock.now_ns();
        while self.due.peek().is_some_and(|Reverse(pending)| pending.at_ns <= now) {
            let Some(Reverse(pending)) = self.due.pop() else { return };
            self.text = pending.text;
            self.send(pending.number, pending.status, pending.to);
        }
    }

    /// Sends `self.text`. A response that the kernel refuses is a lost response.
    fn send(&mut self, number: usize, status: u16, to: SocketAddr) {
        let now = self.clock.now_ns();
        let truth = &mut self.truths[number];
        if status >= 200 && truth.status.is_none() {
            truth.status = Some(status);
            truth.answered_ns = Some(now);
        }
        let _ = self.socket.send_to(self.text.as_bytes(), to);
    }
}

/// How long after the arrival of its request a response leaves.
pub(super) const fn wait_ns(timers: Timers, after: After) -> u64 {
    let ms = match after {
        After::Now => 0,
        After::Ms(ms) => ms,
        After::Deadline => timers.deadline_ms.midpoint(timers.f_ms()),
        After::TimerF => timers.f_ms() + AFTER_F_MS,
    };
    ms * 1_000_000
}

fn parameter_of_last_via<'a>(text: &Text<'a>) -> Option<&'a str> {
    sip::parameter(text.vias().last()?, "branch")
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{bind, receive_patiently};

    const RUN: Run =
        Run { id: 0xcafe, seed: 1, rate_mhz: 1_000, messages: 100, timers: Timers::SHORT };

    fn forwarded(number: usize, by: SocketAddr, branch: &str) -> String {
        let mut text = String::new();
        let sms = SocketAddr::from(([127, 0, 0, 1], 5061));
        sip::write_request(&RUN, number, sms, by, &mut text);
        let via = std::fmt::format(format_args!(
            "SIP/2.0\r\nVia: SIP/2.0/UDP {by};branch=z9hG4bK{branch}\r\nVia: SIP"
        ));
        text.replacen("SIP/2.0\r\nVia: SIP", &via, 1)
            .replace("Max-Forwards: 70", "Max-Forwards: 69")
    }

    struct Bench {
        im: Im,
        at: SocketAddr,
        socket: UdpSocket,
    }

    impl Bench {
        fn new() -> Self {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let listening = bind(any).unwrap();
            let at = listening.local_addr().unwrap();
            let socket = bind(any).unwrap();
            Self { im: Im::start(RUN, Clock::start(), listening).unwrap(), at, socket }
        }

        fn send(&self, text: &str) {
            self.socket.send_to(text.as_bytes(), self.at).unwrap();
        }

        /// The next response.
        fn status(&self) -> u16 {
            let mut buffer = [0; DATAGRAM_SIZE_MAX];
            let datagram = receive_patiently(&self.socket, &mut buffer).0;
            Text::read(datagram).unwrap().status().unwrap()
        }

        fn request(&self, outcome: Outcome, branch: &str) -> String {
            forwarded(outcome as usize, self.socket.local_addr().unwrap(), branch)
        }
    }

    #[test]
    fn each_outcome_answers_as_its_script_says() {
        let bench = Bench::new();
        for outcome in Outcome::ALL {
            bench.send(&bench.request(outcome, "b1"));
            if outcome.answers_lost() > 0 {
                bench.send(&bench.request(outcome, "b1"));
            }
            for answer in outcome.answers() {
                if !matches!(answer.after, After::Deadline | After::TimerF) {
                    assert_eq!(bench.status(), answer.status, "{outcome:?}");
                }
            }
        }
        for _ in [Outcome::OkLate, Outcome::OkTooLate] {
            assert_eq!(bench.status(), 200);
        }
        let truths = bench.im.finish().unwrap();
        for outcome in Outcome::ALL {
            let truth = truths[outcome as usize];
            assert_eq!(truth.has, outcome.client_has_it(), "{outcome:?}");
            let first = outcome.answers().iter().map(|answer| answer.status).find(|s| *s >= 200);
            assert_eq!(truth.status, first, "{outcome:?}");
            assert_eq!(truth.transactions, 1, "{outcome:?}");
        }
        let late = truths[Outcome::OkLate as usize];
        let waited = late.answered_ns.unwrap() - late.received_ns;
        assert!(waited >= Timers::SHORT.deadline_ms * 1_000_000);
    }

    #[test]
    fn a_retransmission_gets_the_first_final_response_again() {
        let bench = Bench::new();
        let request = bench.request(Outcome::OkThenBusy, "b1");
        bench.send(&request);
        assert_eq!([bench.status(), bench.status()], [200, 486]);
        bench.send(&request);
        assert_eq!(bench.status(), 200);
        let truth = bench.im.finish().unwrap()[Outcome::OkThenBusy as usize];
        assert_eq!((truth.requests, truth.transactions), (2, 1));
    }

    #[test]
    fn a_second_transaction_for_one_message_is_noticed() {
        let bench = Bench::new();
        bench.send(&bench.request(Outcome::Ok, "b1"));
        bench.send(&bench.request(Outcome::Ok, "b2"));
        assert_eq!([bench.status(), bench.status()], [200, 200]);
        assert_eq!(bench.im.finish().unwrap()[0].transactions, 2);
    }

    #[test]
    fn a_message_that_was_changed_on_its_way_is_not_the_message() {
        let bench = Bench::new();
        let request = bench.request(Outcome::Ok, "b1");
        bench.send(&request.replace("north side", "south side"));
        assert_eq!(bench.status(), 200);
        let truth = bench.im.finish().unwrap()[0];
        assert!(truth.damaged);
        assert!(!truth.has);
    }

    #[test]
    fn what_a_proxy_must_not_do_is_counted_as_a_stray() {
        let bench = Bench::new();
        let request = bench.request(Outcome::Ok, "b1");
        bench.send(&request.replace("Max-Forwards: 69", "Max-Forwards: 70"));
        bench.send(&request.replacen("Via:", "Via: SIP/2.0/UDP 127.0.0.1:9\r\nVia:", 1));
        bench.send(&request.replace("-sms-", "-sns-"));
        bench.send(&request.replace("sip:u000000-", "sip:u000001-"));
        bench.send("\r\n\r\n");
        bench.send(&bench.request(Outcome::Busy, "b1"));
        assert_eq!(bench.status(), 486);
        assert_eq!(bench.im.watch().strays.load(Ordering::Relaxed), 5);
        assert_eq!(bench.im.finish().unwrap()[0], Truth::default());
    }
}
