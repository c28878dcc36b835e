//! The users of the IM side and their user agents, which do to each text what its case says.
//!
//! A user agent knows a message by its Call-ID: what it has shown already is not shown again, so that
//! a second attempt with the same Call-ID is no second message, and one with another Call-ID is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::utils::CachePadded;

use crate::load::im::wait_ns;
use crate::load::schedule::{Clock, Run};
use crate::load::short::case::Case;
use crate::load::short::plan;
use crate::load::sip::{self, Text};
use crate::load::{DATAGRAM_SIZE_MAX, receive};

/// How many transactions of one message are told apart.
pub(super) const TRANSACTIONS_MAX: usize = 8;

/// Of which messages a 2xx has left.
#[derive(Clone, Debug)]
pub struct Proofs(Arc<[AtomicBool]>);

impl Proofs {
    /// Of none yet.
    pub fn new(messages: usize) -> Self {
        Self(core::iter::repeat_with(AtomicBool::default).take(messages).collect())
    }

    /// Whether a 2xx to this message has left.
    pub fn is_proved(&self, number: usize) -> bool {
        self.0[number].load(Ordering::Acquire)
    }

    pub(super) fn prove(&self, number: usize) {
        self.0[number].store(true, Ordering::Release);
    }
}

/// What is known of one message on the IM side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Transmissions of requests that arrived.
    pub requests: u16,
    /// Transactions that carried it.
    pub transactions: u16,
    /// How often the user saw it: more than once is a duplicate.
    pub times: u16,
    /// How often the user agent got it again and knew it.
    pub recognised: u16,
    /// When the user saw it first.
    pub at_ns: u64,
    /// Whether what arrived differs from what was sent.
    pub is_damaged: bool,
    /// Whether it came while another one to the same recipient was pending.
    pub is_crowded: bool,
    pub(super) branches: [u64; TRANSACTIONS_MAX],
    pub(super) answered: [Option<u16>; TRANSACTIONS_MAX],
    pub(super) call_id: u64,
    pub(super) is_pending: bool,
}

/// The running actor.
#[derive(Debug)]
pub struct Users {
    thread: JoinHandle<Vec<Seen>>,
    stop: Arc<AtomicBool>,
    strays: Arc<CachePadded<AtomicU64>>,
}

impl Users {
    /// Starts to answer on `socket`.
    pub fn start(run: Run, clock: Clock, socket: UdpSocket, proofs: Proofs) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let strays = Arc::new(CachePadded::default());
        let mut actor = Actor {
            run,
            clock,
            domain: socket.local_addr()?,
            socket,
            proofs,
            strays: Arc::clone(&strays),
            seen: core::iter::repeat_n(Seen::default(), run.messages).collect(),
            due: BinaryHeap::new(),
        };
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name(String::from("users")).spawn(move || {
            actor.run_until(&stopping);
            actor.seen
        })?;
        Ok(Self { thread, stop, strays })
    }

    /// Datagrams that were no message of this run.
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// Stops it and takes its record, one for each message.
    pub fn finish(self) -> io::Result<Vec<Seen>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the users panicked"))
    }
}

/// A response that leaves later.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Pending {
    at_ns: u64,
    number: usize,
    transaction: usize,
    status: u16,
    text: String,
    to: SocketAddr,
}

struct Actor {
    run: Run,
    clock: Clock,
    socket: UdpSocket,
    domain: SocketAddr,
    proofs: Proofs,
    strays: Arc<CachePadded<AtomicU64>>,
    seen: Vec<Seen>,
    due: BinaryHeap<Reverse<Pending>>,
}

impl Actor {
    fn run_until(&mut self, stop: &AtomicBool) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        let Ok(socket) = self.socket.try_clone() else { return };
        while !stop.load(Ordering::Relaxed) {
            if let Some((datagram, source)) = receive(&socket, &mut buffer)
                && self.on_datagram(datagram, source).is_none()
            {
                self.strays.fetch_add(1, Ordering::Relaxed);
            }
            self.send_what_is_due();
        }
    }

    /// `None` if it is nothing of this run, or not what RFC 3428 wants it to be.
    fn on_datagram(&mut self, datagram: &[u8], source: SocketAddr) -> Option<()> {
        let text = Text::read(datagram)?;
        let number = plan::number_of_text(&self.run, text.body)?;
        let recipient = plan::recipient(&self.run, number, self.domain);
        let uri = recipient.strip_prefix('<')?.strip_suffix('>')?;
        let is_right = text.start.strip_prefix("MESSAGE ")?.strip_suffix(" SIP/2.0")? == uri
            && text.field("To")? == recipient
            && text.field("From")?.starts_with("<sip:+15551230001@")
            && text.field("Content-Type")? == "text/plain;charset=UTF-8"
            && text.field("Contact").is_none()
            && text.vias().count() == 1;
        is_right.then(|| self.on_request(&text, source, number))?
    }

    fn on_request(&mut self, text: &Text<'_>, source: SocketAddr, number: usize) -> Option<()> {
        let now = self.clock.now_ns();
        let case = plan::case(&self.run, number);
        let other = number ^ 1;
        let is_crowded = case.is_pair() && self.seen.get(other).is_some_and(|seen| seen.is_pending);
        let branch = sip::parameter(text.vias().next()?, "branch")?;
        let branch = sip::fingerprint(branch.as_bytes());
        let call_id = sip::fingerprint(text.field("Call-ID")?.as_bytes());
        let is_intact = text.body == plan::text(&self.run, number);
        let seen = &mut self.seen[number];
        seen.requests = seen.requests.saturating_add(1);
        seen.is_damaged |= !is_intact;
        let known = usize::from(seen.transactions).min(TRANSACTIONS_MAX);
        if let Some(place) = seen.branches[..known].iter().position(|one| *one == branch) {
            // A retransmission gets the response again, if there was one (RFC 3261 section 17.2.2).
            if let Some(status) = seen.answered[place] {
                self.answer(text, source, (number, place), (status, 0));
            }
            return Some(());
        }
        let place = known.min(TRANSACTIONS_MAX - 1);
        seen.branches[place] = branch;
        seen.transactions = seen.transactions.saturating_add(1);
        seen.is_crowded |= is_crowded;
        if is_intact && case.is_seen_at(place) {
            match seen.times {
                0 => (seen.times, seen.at_ns, seen.call_id) = (1, now, call_id),
                _ if seen.call_id == call_id => seen.recognised += 1,
                _ => seen.times = seen.times.saturating_add(1),
            }
        }
        if let Some(answer) = case.answer(place) {
            seen.is_pending = true;
            let wait = wait_ns(self.run.timers, answer.after);
            self.answer(text, source, (number, place), (answer.status, wait));
        }
        Some(())
    }

    fn answer(
        &mut self,
        to: &Text<'_>,
        source: SocketAddr,
        (number, transaction): (usize, usize),
        (status, wait_ns): (u16, u64),
    ) {
        let mut text = String::new();
        sip::write_response(to, status, &mut text);
        if plan::case(&self.run, number) == Case::NotBefore {
            text = text.replace("Content-Length:", "Retry-After: 60\r\nContent-Length:");
        }
        let at_ns = self.clock.now_ns() + wait_ns;
        let pending = Pending { at_ns, number, transaction, status, text, to: source };
        if wait_ns == 0 {
            self.send(&pending);
        } else {
            self.due.push(Reverse(pending));
        }
    }

    fn send_what_is_due(&mut self) {
        let now = self.clock.now_ns();
        while self.due.peek().is_some_and(|Reverse(pending)| pending.at_ns <= now) {
            let Some(Reverse(pending)) = self.due.pop() else { return };
            self.send(&pending);
        }
    }

    /// The record is made after the response has left: whoever finds the proof finds it sent. A
    /// response that the kernel refuses is a lost response.
    fn send(&mut self, pending: &Pending) {
        let Pending { number, transaction, status, text, to, .. } = pending;
        let seen = &mut self.seen[*number];
        seen.is_pending = false;
        seen.answered[*transaction].get_or_insert(*status);
        let _ = self.socket.send_to(text.as_bytes(), to);
        if *status < 300 {
            self.proofs.prove(*number);
        }
    }
}
