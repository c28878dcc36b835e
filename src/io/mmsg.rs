//! The driver on `recvmmsg` and `sendmmsg`.
//!
//! A departure that finds the socket's buffer full stays queued, in its place among those of its
//! socket, and is tried again by the next `submit`; `wait` then also waits for room.
//!
//! The kernel touches memory of ours only within a call, so nothing can be in flight when the
//! driver is dropped.
#![expect(unsafe_code, reason = "system calls on arrays of headers")]

mod inbox;
mod stream;
mod train;

use core::fmt;
use core::ptr;
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use self::inbox::{Inbox, Rest};
use self::stream::Lines;
use self::train::{Coupling, Train};
use super::clock;
use super::driver::Event;
use super::error_queue::ErrorQueues;
use super::receive::NOTHING;
use super::send::{Envelope, Held, Repeated, refusal, repeat};
use super::socket::Local;
use super::stream::Connections;
use super::waker::Waker;
use super::{len_u32, touched};
use crate::limits::{BURST_SIZE, DATAGRAM_SIZE_MAX, SLOTS_MAX, SOCKETS_MAX};
use crate::metrics::{Counter, Tally};
use crate::packet::{Arrival, Departures, JournalSeq, SendError, Sent, SocketId};
use crate::time::Instant;

pub(super) struct Mmsg {
    locals: Box<[Local]>,
    waker: Waker,
    receive: Batch,
    buffers: Inbox,
    /// Which socket each header of the batch came to.
    origins: [SocketId; BURST_SIZE],
    /// What of the batch was not told yet.
    rest: Rest,
    /// How departures leave that go together.
    coupling: Option<Coupling>,
    /// Where the next burst begins to look, so that no socket starves another.
    next_socket: usize,
    send: Batch,
    envelopes: Box<[Envelope]>,
    held: Held,
    /// Slots to be sent, for each socket.
    queues: Box<[VecDeque<u16>]>,
    /// Slots whose owners are to be told.
    finished: VecDeque<(u16, Sent)>,
    errors: ErrorQueues,
    lines: Option<Box<Lines>>,
    tally: Arc<Tally>,
}

/// Headers of one system call, each of one part.
struct Batch {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
}

impl Batch {
    fn new() -> Self {
        let part = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: all zero is a header without name, parts and control messages.
        let header: libc::mmsghdr = unsafe { core::mem::zeroed() };
        Self {
            headers: core::iter::repeat_n(header, BURST_SIZE).collect(),
            parts: core::iter::repeat_n(part, BURST_SIZE).collect(),
        }
    }
}

impl Mmsg {
    pub(super) fn open(
        locals: Box<[Local]>,
        connections: Option<Connections>,
        trains: bool,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        if trains {
            locals.iter().for_each(Local::take_trains);
        }
        let coupling = trains.then(|| Coupling::new(locals.len()));
        let queues = locals.iter().map(|_| touched(SLOTS_MAX, || 0)).collect();
        let mut mmsg = Self {
            locals,
            waker: Waker::new()?,
            receive: Batch::new(),
            buffers: Inbox::new(trains)?,
            origins: [SocketId(0); BURST_SIZE],
            rest: Rest::default(),
            coupling,
            next_socket: 0,
            send: Batch::new(),
            envelopes: core::iter::repeat_n(Envelope::EMPTY, BURST_SIZE).collect(),
            held: Held::new(),
            queues,
            finished: touched(SLOTS_MAX, || (0, Ok(()))),
            errors: ErrorQueues::new(),
            lines: connections.map(Lines::new).transpose()?.map(Box::new),
            tally,
        };
        for index in 0..BURST_SIZE {
            mmsg.make_ready(index);
        }
        Ok(mmsg)
    }

    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(super) fn reap(
        &mut self,
        out: &mut Departures,
        arrivals_max: usize,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = 0;
        if !self.finished.is_empty() {
            work += self.tell(clock::now(), out, on);
        }
        let mut parked = 0;
        if let Some(lines) = &mut self.lines {
            work += lines.tend(clock::now(), out, on);
            parked = lines.parked();
        }
        // Neither datagrams nor connections keep the others waiting.
        let datagrams_max = if parked > 0 { arrivals_max / 2 } else { arrivals_max };
        let count = self.burst(datagrams_max.min(BURST_SIZE), out, on);
        work += count;
        if let Some(lines) = &mut self.lines {
            let at = clock::now();
            work += lines.burst(arrivals_max - count, at, out, on);
            work += lines.divide(arrivals_max > 0, at, out, on);
            lines.follow_orders(at);
        }
        if self.errors.is_suspected() {
            work += self.errors.read(&self.locals, &self.tally, clock::now(), out, on);
        }
        work
    }

    pub(super) fn submit(&mut self, out: &mut Departures, committed: JournalSeq) -> usize {
        let mut taken = 0;
        let has_work = self.lines.is_some() && (out.queued() > 0 || out.has_wishes());
        let now = if has_work { clock::now() } else { Instant(0) };
        while let Some(slot) = out.pop(committed) {
            let socket = out.departure(&slot).flow.socket;
            if let Some(lines) = &mut self.lines
                && lines.has(socket)
            {
                if !lines.connections().streams.has_outbox() {
                    // What is written now leaves room for the next.
                    lines.follow_orders(now);
                }
                lines.connections().send(slot, out, now);
                taken += 1;
                continue;
            }
            self.queues[usize::from(socket.0)].push_back(self.held.put(slot));
            taken += 1;
        }
        if let Some(lines) = self.lines.as_mut().filter(|_| has_work) {
            taken += lines.connections().streams.take_wishes(out, now);
            lines.follow_orders(now);
        }
        for index in 0..self.queues.len() {
            if !self.queues[index].is_empty() {
                self.send_queue(index, out);
            }
        }
        taken
    }

    pub(super) fn wait(&mut self, timeout_ns: Option<u64>) {
        let is_busy = self.lines.as_ref().is_some_and(|lines| lines.is_busy());
        if is_busy
            || self.errors.is_suspected()
            || !self.finished.is_empty()
            || !self.rest.is_empty()
        {
            return;
        }
        let nobody = libc::pollfd { fd: -1, events: 0, revents: 0 };
        let mut polled = [nobody; SOCKETS_MAX + 2];
        let waker =
            libc::pollfd { fd: self.waker.event().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        polled[SOCKETS_MAX] = waker;
        if let Some(lines) = &self.lines {
            polled[SOCKETS_MAX + 1].fd = lines.epoll();
            polled[SOCKETS_MAX + 1].events = libc::POLLIN;
        }
        for ((polled, local), queue) in polled.iter_mut().zip(&self.locals).zip(&self.queues) {
            polled.fd = local.fd();
            polled.events = libc::POLLIN;
            if !queue.is_empty() {
                polled.events |= libc::POLLOUT;
            }
        }
        poll(&mut polled, timeout_ns);
        for (polled, local) in polled.iter().zip(&self.locals) {
            if polled.revents & libc::POLLERR != 0 {
                self.errors.suspect(local.id);
            }
        }
        if polled[SOCKETS_MAX].revents != 0 {
            self.waker.rest();
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.is_writing())
    }

    pub(super) fn connections_size(&self) -> usize {
        self.lines.as_ref().map_or(0, |lines| lines.size())
    }

    /// A moment before which nothing is due by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lines.as_ref().and_then(|lines| lines.next_deadline())
    }

    /// Tells the owners how their departures went.
    fn tell(
        &mut self,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = 0;
        while let Some((index, sent)) = self.finished.pop_front() {
            let Some(slot) = self.held.take(index) else { continue };
            let owner = out.departure(&slot).owner;
            out.release(slot);
            if let Some(owner) = owner {
                on(Event::Sent { owner, sent, at }, out);
            }
            work += 1;
        }
        work
    }

    /// Fills the batch with at most `room` datagrams from all sockets; returns how many.
    fn receive(&mut self, room: usize) -> usize {
        let sockets = self.locals.len();
        let mut count = 0;
        for step in 0..sockets {
            if count == room {
                break;
            }
            let index = (self.next_socket + step) % sockets;
            let got = self.receive_from(index, count, room);
            self.origins[count..count + got].fill(self.locals[index].id);
            count += got;
            if count == room {
                self.next_socket = (index + 1) % sockets;
            }
        }
        count
    }

    /// Receives into the positions `start..end` of the batch.
    fn receive_from(&mut self, index: usize, start: usize, end: usize) -> usize {
        // The first error may be what ICMP left on the socket; behind it there may be datagrams.
        for _ in 0..2 {
            let headers = &mut self.receive.headers[start..end];
            let (first, len) = (headers.as_mut_ptr(), len_u32(headers.len()));
            let (fd, timeout) = (self.locals[index].fd(), ptr::null_mut());
            // SAFETY: each header points at its own buffer of this driver, in the sizes it states.
            let got = unsafe { libc::recvmmsg(fd, first, len, libc::MSG_DONTWAIT, timeout) };
            if let Ok(got) = usize::try_from(got) {
                return got;
            }
            match errno() {
                libc::EAGAIN => return 0,
                _ => {
                    self.tally.counters.add(Counter::ReceiveErrors);
                    self.errors.suspect(self.locals[index].id);
                }
            }
        }
        0
    }

    /// Tells at most `room` datagrams, out of what was received before if that was more; returns how
    /// many.
    fn burst(
        &mut self,
        room: usize,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        if room == 0 {
            return 0;
        }
        if self.rest.is_empty() {
            self.rest = Rest::of(self.receive(room));
        }
        if self.rest.is_empty() {
            return 0;
        }
        let (at, start) = (clock::now(), self.rest.next);
        let mut arrivals = [NOTHING; BURST_SIZE];
        let mut count = 0;
        while count < room && !self.rest.is_empty() {
            let index = self.rest.next;
            let socket = self.origins[index];
            let received = self.buffers.received(index, &self.receive.headers[index]);
            let local = &mut self.locals[usize::from(socket.0)];
            let Some((flow, segment)) = local.arrived(received.name, received.control, &self.tally)
            else {
                self.tally.counters.add(Counter::ReceiveErrors);
                self.rest.end_header();
                continue;
            };
            let (octets, is_last) = self.rest.datagram(received.octets, segment);
            let truncated = octets.len() > DATAGRAM_SIZE_MAX || (is_last && received.truncated);
            let octets = &octets[..octets.len().min(DATAGRAM_SIZE_MAX)];
            arrivals[count] = Arrival { flow, at, octets, truncated };
            count += 1;
            if is_last {
                self.rest.end_header();
            }
        }
        self.tally.counters.add_many(Counter::DatagramsIn, count as u64);
        if count > 0 {
            on(Event::Burst(&arrivals[..count]), out);
        }
        for index in start..self.rest.next {
            self.make_ready(index);
        }
        count
    }

    /// Lets position `index` of the receive batch point at its buffer, all of it free.
    fn make_ready(&mut self, index: usize) {
        let part = &mut self.receive.parts[index];
        let header = &mut self.receive.headers[index].msg_hdr;
        self.buffers.make_ready(index, header, part);
    }

    /// Sends what is queued for one socket until that is done or the socket has no room.
    fn send_queue(&mut self, index: usize, out: &mut Departures) {
        let mut failed_before = false;
        while !self.queues[index].is_empty() {
            match self.send_train(index, out) {
                Train::Sent => continue,
                Train::NoRoom => return,
                Train::None => {}
            }
            let count = self.address(index, out);
            match self.send_batch(index, count) {
                Ok(sent) => {
                    if failed_before {
                        self.tally.counters.add(Counter::SendRepeated);
                    }
                    for position in 0..sent {
                        let len = self.send.headers[position].msg_len as usize;
                        self.finish_front(index, Ok(len), out);
                    }
                    // The kernel stops at the first that fails and does not say why. If that was an
                    // error of another datagram, it is off the socket now.
                    failed_before = sent < count;
                    if failed_before {
                        self.errors.suspect(self.locals[index].id);
                    }
                }
                Err(libc::EAGAIN) => return,
                Err(_) => {
                    self.errors.suspect(self.locals[index].id);
                    if !self.repeat_front(index, out) {
                        return;
                    }
                    failed_before = false;
                }
            }
        }
    }

    /// Writes the headers for the first of the queue; returns for how many.
    fn address(&mut self, index: usize, out: &Departures) -> usize {
        let local = &self.locals[index];
        let mut count = 0;
        for slot in self.queues[index].iter().take(self.singles(index, out)) {
            let Some(slot) = self.held.get(*slot) else { break };
            let octets = out.octets(slot);
            let envelope = &mut self.envelopes[count];
            envelope.address(&out.departure(slot).flow, local);
            let part = &mut self.send.parts[count];
            part.iov_base = octets.as_ptr().cast_mut().cast();
            part.iov_len = octets.len();
            let header = &mut self.send.headers[count].msg_hdr;
            header.msg_name = envelope.name.0.as_mut_ptr().cast();
            header.msg_namelen = envelope.name_len;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = envelope.source.0.as_mut_ptr().cast();
            header.msg_controllen = envelope.source_len;
            count += 1;
        }
        assert!(count > 0, "what is queued is held");
        count
    }

    /// The first `count` headers in one call: how many were sent, or the errno of the first.
    fn send_batch(&mut self, index: usize, count: usize) -> Result<usize, i32> {
        let fd = self.locals[index].fd();
        let headers = &mut self.send.headers[..count];
        let (first, len) = (headers.as_mut_ptr(), len_u32(headers.len()));
        // SAFETY: the headers were just written; they point at envelopes of this driver and at
        // octets of held slots, which nobody changes during the call.
        let sent = unsafe { libc::sendmmsg(fd, first, len, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| errno())
    }

    /// Does the failed send at the head of the queue again; false if there is no room for it.
    fn repeat_front(&mut self, index: usize, out: &mut Departures) -> bool {
        let front = self.queues[index].front().copied();
        let Some(slot) = front.and_then(|slot| self.held.get(slot)) else { return false };
        let len = out.octets(slot).len();
        match repeat(&self.locals[index], out, slot) {
            Repeated::Sent => {
                self.tally.counters.add(Counter::SendRepeated);
                self.finish_front(index, Ok(len), out);
            }
            Repeated::NoRoom => return false,
            Repeated::Failed(errno) => self.finish_front(index, Err(errno), out),
        }
        true
    }

    /// The departure at the head of the queue is done: `len` octets have left, or none for an
    /// errno.
    fn finish_front(&mut self, index: usize, result: Result<usize, i32>, out: &mut Departures) {
        let Some(index) = self.queues[index].pop_front() else { return };
        let Some(slot) = self.held.take(index) else { return };
        let counters = &self.tally.counters;
        let sent = match result {
            Ok(len) if len == out.octets(&slot).len() => {
                counters.add(Counter::DatagramsOut);
                Ok(())
            }
            Ok(_) => {
                counters.add(Counter::SendShort);
                Err(SendError::Other(0))
            }
            Err(errno) => {
                counters.add(Counter::SendRefused);
                Err(refusal(errno))
            }
        };
        if out.departure(&slot).owner.is_some() {
            // The owner is told in `reap`; until then the slot stays, which bounds the list.
            self.finished.push_back((self.held.put(slot), sent));
        } else {
            out.release(slot);
        }
    }
}

impl fmt::Debug for Mmsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mmsg")
            .field("locals", &self.locals)
            .field("outstanding", &self.held.count())
            .finish_non_exhaustive()
    }
}

fn poll(polled: &mut [libc::pollfd], timeout_ns: Option<u64>) {
    let timeout = timeout_ns.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let (first, count) = (polled.as_mut_ptr(), polled.len() as libc::nfds_t);
    // SAFETY: `polled` and `timeout` outlive the call.
    let ready = unsafe { libc::ppoll(first, count, timeout, ptr::null()) };
    assert!(ready >= 0 || errno() == libc::EINTR, "ppoll of our own descriptors");
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}
