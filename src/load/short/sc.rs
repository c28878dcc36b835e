//! The SC: submits short messages on schedule, takes or loses the reports, and repeats.
//!
//! SCs repeat after an RP-ERROR of any kind and when no report comes; they wait minutes for that, this
//! one a moment. One thread does what is due, another one listens.

#![expect(clippy::disallowed_types, reason = "two threads of a load generator share its record")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::utils::CachePadded;

use crate::load::schedule::{Clock, LATE_NS, Run, sleep_sharply};
use crate::load::short::case::{Case, SUBMISSIONS_MAX};
use crate::load::short::octets::{self, Report};
use crate::load::short::plan::{self, Domains};
use crate::load::short::user::Proofs;
use crate::load::sip::{self, Text};
use crate::load::{DATAGRAM_SIZE_MAX, receive};

/// From a report, taken or lost, to the repetition: more than from the tested side's deadline to its
/// timer F, so that the first attempt is over.
const PAUSE_MS: u64 = 600;

/// From the submission to its repetition while no report has come.
const IMPATIENCE_MS: u64 = 100;

/// How often it is looked whether the late response that a repetition waits for has left.
const LOOK_MS: u64 = 20;

/// Counts that may be read while the actor runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Messages submitted, repetitions not counted.
    pub sent: CachePadded<AtomicU64>,
    /// Of these, sent more than [`LATE_NS`] after they were due.
    pub late: CachePadded<AtomicU64>,
    /// Messages about which everything was said.
    pub finished: CachePadded<AtomicU64>,
    /// Datagrams that were no response to a request of this run, and no report about one.
    pub strays: CachePadded<AtomicU64>,
}

/// What the SC knows of one submission.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Submission {
    /// When it left.
    pub sent_ns: u64,
    /// How often it was sent.
    pub transmissions: u16,
    /// The first final response.
    pub status: Option<u16>,
    /// The first report about it.
    pub report: Option<Report>,
    /// When that came.
    pub heard_ns: u64,
    /// How often it came.
    pub copies: u16,
    /// Fingerprint of its octets.
    pub fingerprint: u64,
    /// Whether another report came, too.
    pub differing: bool,
    /// Whether the SC lost it: it was not answered.
    pub is_lost: bool,
}

/// What the SC knows of one message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// When it was due.
    pub due_ns: u64,
    /// Its submissions in their order.
    pub submissions: [Submission; SUBMISSIONS_MAX],
    /// How many there are.
    pub count: usize,
    /// Whether a repetition is due later.
    pub will_repeat: bool,
    /// Whether everything was said.
    pub is_finished: bool,
}

impl Sent {
    /// The submissions that there are.
    pub fn submissions(&self) -> &[Submission] {
        &self.submissions[..self.count]
    }
}

/// The running actor.
#[derive(Debug)]
pub struct Sc {
    threads: [JoinHandle<()>; 2],
    actor: Arc<Mutex<Actor>>,
    shared: Arc<Shared>,
    messages: u64,
}

#[derive(Debug, Default)]
struct Shared {
    watch: Watch,
    stop: AtomicBool,
}

impl Sc {
    /// Starts to submit from `socket` to `server`, for users at these `domains`.
    pub fn start(
        run: Run,
        clock: Clock,
        socket: UdpSocket,
        (server, domains): (SocketAddr, Domains),
        proofs: Proofs,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let listening = socket.try_clone()?;
        let actor = Arc::new(Mutex::new(Actor {
            run,
            clock,
            sent_by: socket.local_addr()?,
            socket,
            server,
            domains,
            proofs,
            shared: Arc::clone(&shared),
            sent: core::iter::repeat_n(Sent::default(), run.messages).collect(),
            next: 0,
            due: BinaryHeap::new(),
            text: String::new(),
        }));
        let (pacing, hearing) = (Arc::clone(&actor), Arc::clone(&actor));
        let (stopping, stopped) = (Arc::clone(&shared), Arc::clone(&shared));
        let pacer = thread::Builder::new().name(String::from("sc-pace")).spawn(move || {
            sleep_sharply();
            while !stopping.stop.load(Ordering::Relaxed) {
                let at_ns = lock(&pacing).do_what_is_due();
                clock.sleep_until(at_ns);
            }
        })?;
        let listener = thread::Builder::new().name(String::from("sc-listen")).spawn(move || {
            let mut buffer = [0; DATAGRAM_SIZE_MAX];
            while !stopped.stop.load(Ordering::Relaxed) {
                let Some((datagram, source)) = receive(&listening, &mut buffer) else { continue };
                let now = clock.now_ns();
                if lock(&hearing).on_datagram(datagram, source, now).is_none() {
                    count(&stopped.watch.strays);
                }
            }
        })?;
        let messages = u64::try_from(run.messages).unwrap_or(u64::MAX);
        Ok(Self { threads: [pacer, listener], actor, shared, messages })
    }

    /// What can be seen of it from outside.
    pub fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// Whether every message was submitted as often as it will be, and everything was said.
    pub fn is_done(&self) -> bool {
        self.shared.watch.finished.load(Ordering::Relaxed) >= self.messages
    }

    /// Stops it and takes its record, one for each message.
    pub fn finish(self) -> io::Result<Vec<Sent>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("the SC panicked"))?;
        }
        Ok(core::mem::take(&mut lock(&self.actor).sent))
    }
}

/// What a thread that panicked has left behind is as good as it was; the other end is told in the end.
fn lock(actor: &Mutex<Actor>) -> MutexGuard<'_, Actor> {
    actor.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something to be done later.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Due {
    at_ns: u64,
    number: usize,
    what: What,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum What {
    /// Timer E of a submission, and when timer F ends it.
    Transmit { submission: usize, interval_ms: u64, f_ns: u64 },
    /// The next submission.
    Repeat,
}

#[derive(Debug)]
struct Actor {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    sent_by: SocketAddr,
    server: SocketAddr,
    domains: Domains,
    proofs: Proofs,
    shared: Arc<Shared>,
    sent: Vec<Sent>,
    next: usize,
    due: BinaryHeap<Reverse<Due>>,
    text: String,
}

impl Actor {
    /// Does what is due and says when it wants to be asked again.
    fn do_what_is_due(&mut self) -> u64 {
        self.submit_what_is_due();
        self.repeat_what_is_due();
        let next = (self.next < self.run.messages).then(|| self.run.due_ns(self.next));
        let timer = self.due.peek().map(|Reverse(due)| due.at_ns);
        // The listener may find something that is due sooner.
        let look_ns = self.clock.now_ns() + LOOK_MS * 1_000_000;
        next.into_iter().chain(timer).fold(look_ns, u64::min)
    }

    fn submit_what_is_due(&mut self) {
        while self.next < self.run.messages {
            let number = self.next;
            let due_ns = self.run.due_ns(number);
            let now = self.clock.now_ns();
            if due_ns > now {
                return;
            }
            if now - due_ns > LATE_NS {
                count(&self.shared.watch.late);
            }
            self.next += 1;
            self.sent[number].due_ns = due_ns;
            count(&self.shared.watch.sent);
            self.submit(number);
            if plan::case(&self.run, number) == Case::InFlight {
                self.repeat_after(number, IMPATIENCE_MS);
            }
        }
    }

    /// The first submission of a message, or a repetition.
    fn submit(&mut self, number: usize) {
        let now = self.clock.now_ns();
        let sent = &mut self.sent[number];
        let submission = sent.count;
        sent.submissions[submission].sent_ns = now;
        sent.count += 1;
        sent.will_repeat = false;
        self.transmit(number, submission);
        let timers = self.run.timers;
        self.push(
            now + timers.t1_ms * 1_000_000,
            number,
            What::Transmit {
                submission,
                interval_ms: timers.t1_ms,
                f_ns: now + timers.f_ms() * 1_000_000,
            },
        );
    }

    /// A send that the kernel refuses is made good by timer E.
    fn transmit(&mut self, number: usize, submission: usize) {
        let reference = plan::reference(number, submission);
        let text = plan::text(&self.run, number);
        let rp = octets::rp_data(reference, plan::kind(&self.run, number), &text);
        let (sent_by, domain) = (self.sent_by, self.domains.of(&self.run, number));
        let request = plan::request(&self.run, (number, submission), sent_by, domain, &rp);
        let sent = &mut self.sent[number].submissions[submission];
        sent.transmissions = sent.transmissions.saturating_add(1);
        let _ = self.socket.send_to(&request, self.server);
    }

    fn push(&mut self, at_ns: u64, number: usize, what: What) {
        self.due.push(Reverse(Due { at_ns, number, what }));
    }

    fn repeat_after(&mut self, number: usize, ms: u64) {
        self.sent[number].will_repeat = true;
        self.push(self.clock.now_ns() + ms * 1_000_000, number, What::Repeat);
    }

    fn repeat_what_is_due(&mut self) {
        let now = self.clock.now_ns();
        while self.due.peek().is_some_and(|Reverse(due)| due.at_ns <= now) {
            let Some(Reverse(Due { number, what, .. })) = self.due.pop() else { return };
            match what {
                What::Repeat => {
                    let waits = plan::case(&self.run, number).waits_for_proof();
                    if waits && !self.proofs.is_proved(number) {
                        self.repeat_after(number, LOOK_MS);
                    } else {
                        self.submit(number);
                    }
                }
                What::Transmit { submission, interval_ms, f_ns } => {
                    self.on_timer_e(number, (submission, interval_ms, f_ns), now);
                }
            }
        }
    }

    /// RFC 3261 section 17.1.2.2.
    fn on_timer_e(
        &mut self,
        number: usize,
        (submission, interval_ms, f_ns): (usize, u64, u64),
        now: u64,
    ) {
        let is_over = now + self.run.timers.quiet_ns() >= f_ns;
        if self.sent[number].submissions[submission].status.is_some() || is_over {
            return;
        }
        self.transmit(number, submission);
        let interval_ms = (interval_ms * 2).min(self.run.timers.t2_ms);
        let at_ns = f_ns.min(now + interval_ms * 1_000_000);
        self.push(at_ns, number, What::Transmit { submission, interval_ms, f_ns });
    }

    /// `None` if it is nothing of this run, or not what it ought to be.
    fn on_datagram(&mut self, datagram: &[u8], source: SocketAddr, now: u64) -> Option<()> {
        let end = datagram.windows(4).position(|octets| octets == b"\r\n\r\n")? + 4;
        let (head, body) = datagram.split_at(end);
        let head = Text::read(head)?;
        match head.status() {
            Some(status) => self.on_response(&head, status),
            None => self.on_report(&head, body, (sip::fingerprint(datagram), now), source),
        }
    }

    fn on_response(&mut self, head: &Text<'_>, status: u16) -> Option<()> {
        let (number, submission) = plan::of_call_id(&self.run, head.field("Call-ID")?)?;
        let branch = sip::parameter(head.vias().next()?, "branch")?;
        let is_ours = branch == plan::branch(&self.run, number, submission);
        let sent = self.sent[number].submissions.get_mut(submission)?;
        if !is_ours || status < 200 || head.field("Content-Length")? != "0" {
            return None;
        }
        if sent.status.is_none() {
            sent.status = Some(status);
            if status >= 300 {
                self.finish_if_over(number);
            }
        }
        Some(())
    }

    /// A report names the submission by its In-Reply-To (RFC 3261 section 20.21), and comes from the
    /// recipient to the SC (TS 24.341 section 5.3.2.4).
    fn on_report(
        &mut self,
        head: &Text<'_>,
        body: &[u8],
        (fingerprint, now): (u64, u64),
        source: SocketAddr,
    ) -> Option<()> {
        let (number, submission) = plan::of_call_id(&self.run, head.field("In-Reply-To")?)?;
        let recipient = plan::recipient(&self.run, number, self.domains.of(&self.run, number));
        let is_right = head.recipient()? == "sc"
            && head.field("From")?.starts_with(&recipient)
            && head.field("To")? == plan::SC
            && head.field("P-Asserted-Identity")? == recipient
            && head.field("Content-Type")? == plan::MEDIA_TYPE
            && head.vias().count() == 1;
        let report = octets::report(body).filter(|_| is_right)?;
        let case = plan::case(&self.run, number);
        let message = &mut self.sent[number];
        let sent = message.submissions[..message.count].get_mut(submission)?;
        sent.copies = sent.copies.saturating_add(1);
        let is_first = sent.report.is_none();
        if is_first {
            (sent.report, sent.heard_ns, sent.fingerprint) = (Some(report), now, fingerprint);
        }
        sent.differing |= sent.fingerprint != fingerprint;
        sent.is_lost = case.loses_reports() && submission == 0;
        let is_dropped = case == Case::AckLostOnce && sent.copies == 1;
        if !sent.is_lost && !is_dropped {
            let status = if number.is_multiple_of(2) { 200 } else { 202 };
            sip::write_response(head, status, &mut self.text);
            let _ = self.socket.send_to(self.text.as_bytes(), source);
        }
        if is_first {
            self.on_first_report(number, submission, report);
        }
        Some(())
    }

    fn on_first_report(&mut self, number: usize, submission: usize, report: Report) {
        let sent = &self.sent[number];
        let is_heard = !sent.submissions[submission].is_lost;
        let wants = !is_heard || report.cause.is_some();
        let may = sent.count < usize::from(plan::case(&self.run, number).right().submissions_max);
        if wants && may && !sent.will_repeat {
            return self.repeat_after(number, PAUSE_MS);
        }
        self.finish_if_over(number);
    }

    fn finish_if_over(&mut self, number: usize) {
        let sent = &mut self.sent[number];
        let is_over =
            |one: &Submission| one.report.is_some() || one.status.is_some_and(|s| s >= 300);
        if !sent.will_repeat && !sent.is_finished && sent.submissions().iter().all(is_over) {
            sent.is_finished = true;
            count(&self.shared.watch.finished);
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
