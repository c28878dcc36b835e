//! The SMS side: a non-INVITE client (RFC 3261 section 17.1.2) that submits on schedule.
//!
//! One thread paces: it sends each message when it is due and retransmits what is not answered
//! (timers E and F). Another listens, so that the instant of an answer is not the end of somebody's
//! sleep. They share one small cell of atomics per message; the pacer writes what was sent, the
//! listener what came.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::utils::CachePadded;

use crate::load::schedule::{Clock, LATE_NS, Run, sleep_sharply};
use crate::load::sip::{self, Text};
use crate::load::{DATAGRAM_SIZE_MAX, receive};

/// Counts that may be read while the actor runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Messages submitted.
    pub sent: CachePadded<AtomicU64>,
    /// Of these, sent more than [`LATE_NS`] after they were due.
    pub late: CachePadded<AtomicU64>,
    /// Messages with a final response.
    pub answered: CachePadded<AtomicU64>,
    /// Messages without one at timer F.
    pub timed_out: CachePadded<AtomicU64>,
    /// Requests sent again by timer E.
    pub retransmissions: CachePadded<AtomicU64>,
    /// Sends that the kernel refused; timer E makes them good.
    pub send_errors: CachePadded<AtomicU64>,
    /// Datagrams that were no response to a request of this run.
    pub strays: CachePadded<AtomicU64>,
}

/// What the SMS side knows of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Submission {
    /// When it was due.
    pub due_ns: u64,
    /// When it left.
    pub sent_ns: u64,
    /// How often it was sent.
    pub transmissions: u16,
    /// Final responses that came.
    pub finals: u16,
    /// The first of them.
    pub status: Option<u16>,
    /// When that came.
    pub answered_ns: u64,
    /// Whether another one had another status.
    pub differing: bool,
    /// How many had the same status in other octets.
    pub reworded: u16,
}

/// The running actor.
#[derive(Debug)]
pub struct Sms {
    pacer: JoinHandle<Vec<u64>>,
    listener: JoinHandle<Vec<Heard>>,
    shared: Arc<Shared>,
    run: Run,
}

#[derive(Debug)]
struct Shared {
    cells: Box<[Cell]>,
    watch: Watch,
    stop: AtomicBool,
}

/// What the two threads tell each other about one message.
#[derive(Debug, Default)]
struct Cell {
    transmissions: AtomicU16,
    state: AtomicU8,
}

/// No final response yet.
const TRYING: u8 = 0;
/// 100 came: timer E runs at T2.
const PROCEEDING: u8 = 1;
/// A final response came.
const COMPLETED: u8 = 2;

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    finals: u16,
    status: Option<u16>,
    at_ns: u64,
    fingerprint: u64,
    differing: bool,
    reworded: u16,
}

impl Sms {
    /// Starts to submit from `socket` to `server`, for clients at `domain`.
    pub fn start(
        run: Run,
        clock: Clock,
        socket: UdpSocket,
        server: SocketAddr,
        domain: SocketAddr,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            cells: core::iter::repeat_with(Cell::default).take(run.messages).collect(),
            watch: Watch::default(),
            stop: AtomicBool::new(false),
        });
        let sent_by = socket.local_addr()?;
        let mut listener = Listener {
            run,
            clock,
            socket: socket.try_clone()?,
            shared: Arc::clone(&shared),
            heard: core::iter::repeat_n(Heard::default(), run.messages).collect(),
        };
        let mut pacer = Pacer {
            run,
            clock,
            socket,
            server,
            names: (sent_by, domain),
            shared: Arc::clone(&shared),
            sent_ns: Vec::with_capacity(run.messages),
            timers: BinaryHeap::new(),
            text: String::new(),
        };
        let listener =
            thread::Builder::new().name(String::from("sms-listen")).spawn(move || {
                listener.run_until_stopped();
                listener.heard
            })?;
        let pacer = thread::Builder::new().name(String::from("sms-pace")).spawn(move || {
            sleep_sharply();
            pacer.run_to_the_end();
            pacer.sent_ns
        })?;
        Ok(Self { pacer, listener, shared, run })
    }

    /// What can be seen of it from outside.
    pub fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// Whether every message was submitted and is either answered or past timer F.
    pub fn is_done(&self) -> bool {
        self.pacer.is_finished()
    }

    /// Stops it and takes its record, one submission per message that left.
    pub fn finish(self) -> io::Result<Vec<Submission>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let sent = self.pacer.join().map_err(|_| io::Error::other("the SMS side panicked"))?;
        let heard = self.listener.join().map_err(|_| io::Error::other("the SMS side panicked"))?;
        let submission = |(number, (sent_ns, heard)): (usize, (u64, Heard))| Submission {
            due_ns: self.run.due_ns(number),
            sent_ns,
            transmissions: self.shared.cells[number].transmissions.load(Ordering::Relaxed),
            finals: heard.finals,
            status: heard.status,
            answered_ns: heard.at_ns,
            differing: heard.differing,
            reworded: heard.reworded,
        };
        Ok(sent.into_iter().zip(heard).enumerate().map(submission).collect())
    }
}

/// Timer E of one message, and when timer F ends it.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct TimerE {
    at_ns: u64,
    number: usize,
    interval_ms: u64,
    f_ns: u64,
}

struct Pacer {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    server: SocketAddr,
    /// Our own `sent-by`, and the host part of the recipients.
    names: (SocketAddr, SocketAddr),
    shared: Arc<Shared>,
    sent_ns: Vec<u64>,
    timers: BinaryHeap<Reverse<TimerE>>,
    text: String,
}

impl Pacer {
    fn run_to_the_end(&mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.send_what_is_due();
            self.expire_timers();
            let next = self.sent_ns.len();
            let due = (next < self.run.messages).then(|| self.run.due_ns(next));
            let timer = self.timers.peek().map(|Reverse(timer)| timer.at_ns);
            match due.into_iter().chain(timer).min() {
                Some(at_ns) => self.clock.sleep_until(at_ns),
                None => return,
            }
        }
    }

    fn send_what_is_due(&mut self) {
        while self.sent_ns.len() < self.run.messages {
            let number = self.sent_ns.len();
            let due_ns = self.run.due_ns(number);
            let now = self.clock.now_ns();
            if due_ns > now {
                return;
            }
            if now - due_ns > LATE_NS {
                count(&self.shared.watch.late);
            }
            self.sent_ns.push(now);
            self.transmit(number);
            count(&self.shared.watch.sent);
            let timers = self.run.timers;
            self.timers.push(Reverse(TimerE {
                at_ns: now + timers.t1_ms * 1_000_000,
                number,
                interval_ms: timers.t1_ms,
                f_ns: now + timers.f_ms() * 1_000_000,
            }));
        }
    }

    /// A transmission is counted before it leaves: whoever answers it finds it counted.
    fn transmit(&mut self, number: usize) {
        let (sent_by, domain) = self.names;
        sip::write_request(&self.run, number, sent_by, domain, &mut self.text);
        self.shared.cells[number].transmissions.fetch_add(1, Ordering::Relaxed);
        if self.socket.send_to(self.text.as_bytes(), self.server).is_err() {
            count(&self.shared.watch.send_errors);
        }
    }

    fn expire_timers(&mut self) {
        let now = self.clock.now_ns();
        while self.timers.peek().is_some_and(|Reverse(timer)| timer.at_ns <= now) {
            let Some(Reverse(timer)) = self.timers.pop() else { return };
            let state = self.shared.cells[timer.number].state.load(Ordering::Acquire);
            if state == COMPLETED {
                continue;
            }
            if now >= timer.f_ns {
                count(&self.shared.watch.timed_out);
                continue;
            }
            if now + self.run.timers.quiet_ns() < timer.f_ns {
                self.transmit(timer.number);
                count(&self.shared.watch.retransmissions);
            }
            self.arm_again(&timer, state, now);
        }
    }

    /// RFC 3261 section 17.1.2.2: the interval doubles up to T2; in Proceeding it is T2.
    fn arm_again(&mut self, timer: &TimerE, state: u8, now: u64) {
        let t2_ms = self.run.timers.t2_ms;
        let doubled = if state == PROCEEDING { t2_ms } else { timer.interval_ms * 2 };
        let interval_ms = doubled.min(t2_ms);
        let at_ns = timer.f_ns.min(now + interval_ms * 1_000_000);
        self.timers.push(Reverse(TimerE { at_ns, interval_ms, ..*timer }));
    }
}

struct Listener {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    shared: Arc<Shared>,
    heard: Vec<Heard>,
}

impl Listener {
    fn run_until_stopped(&mut self) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        let Ok(socket) = self.socket.try_clone() else { return };
        while !self.shared.stop.load(Ordering::Relaxed) {
            let Some((datagram, _)) = receive(&socket, &mut buffer) else { continue };
            let now = self.clock.now_ns();
            match self.understand(datagram) {
                Some((number, 100)) => self.on_trying(number),
                Some((number, status)) => self.on_final(number, status, datagram, now),
                None => count(&self.shared.watch.strays),
            }
        }
    }

    /// Which message is answered, and how. A response that is not the answer to our request, as we
    /// sent it and nobody else's, is nobody's; so is a provisional one that RFC 4320 forbids.
    fn understand(&self, datagram: &[u8]) -> Option<(usize, u16)> {
        let text = Text::read(datagram)?;
        let status = text.status().filter(|status| *status == 100 || *status >= 200)?;
        let number = sip::number_of(&self.run, text.field("Call-ID")?)?;
        let mut vias = text.vias();
        let branch = sip::parameter(vias.next()?, "branch")?;
        let ours = branch == sip::branch(&self.run, number) && vias.next().is_none();
        let tagged = status == 100 || sip::parameter(text.field("To")?, "tag").is_some();
        let same = text.field("CSeq")? == "1 MESSAGE";
        (ours && tagged && same && text.body.is_empty()).then_some((number, status))
    }

    fn on_trying(&self, number: usize) {
        let state = &self.shared.cells[number].state;
        if state.load(Ordering::Relaxed) == TRYING {
            state.store(PROCEEDING, Ordering::Release);
        }
    }

    fn on_final(&mut self, number: usize, status: u16, datagram: &[u8], now: u64) {
        let heard = &mut self.heard[number];
        let fingerprint = sip::fingerprint(datagram);
        heard.finals = heard.finals.saturating_add(1);
        if let Some(first) = heard.status {
            let reworded = first == status && heard.fingerprint != fingerprint;
            heard.differing |= first != status;
            heard.reworded = heard.reworded.saturating_add(u16::from(reworded));
            return;
        }
        heard.status = Some(status);
        heard.at_ns = now;
        heard.fingerprint = fingerprint;
        self.shared.cells[number].state.store(COMPLETED, Ordering::Release);
        count(&self.shared.watch.answered);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::Timers;
    use crate::load::{bind, receive_patiently, until};

    const TIMERS: Timers = Timers { t1_ms: 10, t2_ms: 40, deadline_ms: 500 };

    /// Submits one message to a server that the test plays, and hands over what arrives.
    struct Bench {
        sms: Sms,
        run: Run,
        socket: UdpSocket,
    }

    impl Bench {
        fn new(timers: Timers) -> Self {
            let run = Run { id: 0xfeed, seed: 1, rate_mhz: 1_000, messages: 1, timers };
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let socket = bind(any).unwrap();
            let server = socket.local_addr().unwrap();
            let clock = Clock::start();
            let sms = Sms::start(run, clock, bind(any).unwrap(), server, server).unwrap();
            Self { sms, run, socket }
        }

        fn request(&self) -> (String, SocketAddr) {
            let mut buffer = [0; DATAGRAM_SIZE_MAX];
            let (datagram, source) = receive_patiently(&self.socket, &mut buffer);
            (String::from_utf8(datagram.to_vec()).unwrap(), source)
        }

        fn send(&self, text: &str, to: SocketAddr) {
            self.socket.send_to(text.as_bytes(), to).unwrap();
        }

        fn answer(&self, request: &str, status: u16, to: SocketAddr) {
            self.send(&response(request, status), to);
        }

        fn wait_for(&self, counter: impl Fn(&Watch) -> &AtomicU64, count: u64) {
            until(|| counter(self.sms.watch()).load(Ordering::Relaxed) >= count);
        }

        fn finish(self) -> Submission {
            self.sms.finish().unwrap()[0]
        }
    }

    fn response(request: &str, status: u16) -> String {
        let mut text = String::new();
        sip::write_response(&Text::read(request.as_bytes()).unwrap(), status, &mut text);
        text
    }

    #[test]
    fn silence_is_met_with_timer_e_until_timer_f() {
        let bench = Bench::new(TIMERS);
        let (first, _) = bench.request();
        until(|| bench.sms.is_done());
        assert_eq!(bench.request().0, first);
        assert_eq!(bench.sms.watch().timed_out.load(Ordering::Relaxed), 1);
        let submission = bench.finish();
        assert_eq!(submission.status, None);
        // At 0, 10 and 30 ms and then each 40: 18 before 640 ms, fewer when timers are delayed.
        assert!((2..=18).contains(&submission.transmissions), "{}", submission.transmissions);
    }

    #[test]
    fn a_final_response_ends_the_retransmissions_and_is_timed() {
        let bench = Bench::new(Timers::SHORT);
        let (request, source) = bench.request();
        bench.answer(&request, 486, source);
        bench.wait_for(|watch| &watch.answered, 1);
        until(|| bench.sms.is_done());
        let run = bench.run;
        assert_eq!(bench.sms.watch().timed_out.load(Ordering::Relaxed), 0);
        let submission = bench.finish();
        assert_eq!((submission.status, submission.finals), (Some(486), 1));
        assert_eq!(submission.due_ns, run.due_ns(0));
        assert!(submission.due_ns <= submission.sent_ns);
        assert!(submission.sent_ns <= submission.answered_ns);
    }

    #[test]
    fn finals_beyond_the_first_are_counted_and_compared() {
        let tagged = |text: &str| text.replace(";tag=im", ";tag=mi");
        for (second, tag, differing, reworded) in
            [(200, false, false, 0), (200, true, false, 1), (486, false, true, 0)]
        {
            let bench = Bench::new(Timers::SHORT);
            let (request, source) = bench.request();
            bench.answer(&request, 200, source);
            let second = response(&request, second);
            bench.send(&if tag { tagged(&second) } else { second }, source);
            bench.send("the end", source);
            bench.wait_for(|watch| &watch.strays, 1);
            let submission = bench.finish();
            assert_eq!((submission.finals, submission.status), (2, Some(200)));
            assert_eq!((submission.differing, submission.reworded), (differing, reworded));
        }
    }

    #[test]
    fn a_provisional_response_slows_the_retransmissions_down() {
        // T2 beyond F: after 100 the next timer E is timer F.
        let bench = Bench::new(Timers { t1_ms: 30, t2_ms: 60_000, deadline_ms: 1_000 });
        let (request, source) = bench.request();
        bench.answer(&request, 100, source);
        until(|| bench.sms.is_done());
        let submission = bench.finish();
        assert_eq!((submission.status, submission.finals), (None, 0));
        // One at 30 ms, which was armed before. Without the 100: 30, 90, 210, 450, 930, 1890 ms.
        assert!(submission.transmissions < 5, "{}", submission.transmissions);
    }

    #[test]
    fn what_does_not_answer_our_request_is_a_stray() {
        let bench = Bench::new(Timers::SHORT);
        let (request, source) = bench.request();
        let two_vias = request.replacen("Via:", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=x\r\nVia:", 1);
        let below = request.replacen("Max-", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=x\r\nMax-", 1);
        for (request, status) in [
            (two_vias.as_str(), 200),
            (&below, 200),
            (&request.replace("-sms-", "-sns-"), 200),
            (&request.replace("1 MESSAGE", "2 MESSAGE"), 200),
            (&request.replace("@sms.example\r\nCSeq", "@ims.example\r\nCSeq"), 200),
            (&request, 183),
        ] {
            bench.send(&response(request, status), source);
        }
        let right = response(&request, 200);
        bench.send(&right.replace(";tag=im", ";tug=im"), source);
        bench.send(&(right.clone() + "surplus"), source);
        bench.wait_for(|watch| &watch.strays, 8);
        bench.send(&right, source);
        bench.wait_for(|watch| &watch.answered, 1);
        assert_eq!(bench.sms.watch().strays.load(Ordering::Relaxed), 8);
        assert_eq!(bench.finish().finals, 1);
    }
}
