//! The driver on io_uring.
//!
//! # Which memory the kernel may touch, and for how long
//!
//! | memory | who | from | until |
//! |---|---|---|---|
//! | receive buffers | kernel writes | given to the buffer ring | the completion that names the buffer |
//! | buffer ring | kernel reads | registered | the ring is closed |
//! | receive header | kernel reads | the SQE of the multishot | the enter that submits it |
//! | envelope of a slot | kernel reads | the SQE of the send | the enter that submits it |
//! | octets of a slot | kernel reads | the SQE of the send | its completion |
//! | word of the waker | kernel writes | the SQE of the read | its completion |
//! | name of who connects | kernel writes | the SQE of the accept | its completion |
//! | name of who is connected to | kernel reads | the SQE of the connect | the enter that submits it |
//! | outbox of a connection | kernel reads | the SQE of the write | its completion |
//!
//! Whatever the kernel *writes* belongs to this driver and is unmapped in `Drop` only, after
//! everything was cancelled and every operation has completed; if that cannot be had, the memory is
//! leaked rather than freed. What it only *reads* of somebody else's is the octets of the slots,
//! which stay with [`Held`] until their completion; `Drop` waits for these, too, so it is enough
//! that the `Departures` outlive the driver.
//!
//! # A turn
//!
//! The ring runs its work only when we enter it (single issuer, deferred task work): nothing is
//! added to the completion queue at any other time. Under load the one `io_uring_enter` of
//! `submit` sends the departures of this turn and takes the datagrams of the next. `reap` enters
//! only if it finds nothing and the kernel has flagged that there is something.
//!
//! A multishot receive goes on until it ends: with an error of the socket, when no buffer is left
//! (ENOBUFS), or when it is cancelled. Each way is counted and the receive is armed again; what
//! comes meanwhile waits in the socket's own buffer.
#![expect(unsafe_code, reason = "submission of operations on memory that the kernel uses")]

mod close;
mod stream;
#[cfg(test)]
mod tests;

use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue, types};

use self::stream::Lines;
use super::address::NAME_SIZE;
use super::buffers::{Buffers, Filled, Group};
use super::clock;
use super::control::CONTROL_SIZE;
use super::driver::Event;
use super::error_queue::ErrorQueues;
use super::receive::{NAME_ROOM, NOTHING};
use super::send::{Envelope, Held, Repeated, refusal, repeat};
use super::socket::Local;
use super::stream::Connections;
use super::token::Token;
use super::waker::Waker;
use super::{len_u32, touched};
use crate::limits::{BURST_SIZE, RECEIVE_BUFFERS, SLOTS_MAX, SOCKETS_MAX};
use crate::metrics::{Counter, Tally};
use crate::packet::{Arrival, Departures, JournalSeq, SendError, Sent, Slot, SocketId};
use crate::time::Instant;

/// One send for each slot, one receive for each socket, the waker and the cancel.
const SUBMISSIONS: usize = (SLOTS_MAX + SOCKETS_MAX + 2).next_power_of_two();

/// Everything that can complete before we look: each submission, each buffer, and the end of each
/// receive. So the queue cannot overflow, and if it does, the kernel keeps the rest for us.
const COMPLETIONS: usize = (SUBMISSIONS + RECEIVE_BUFFERS + SOCKETS_MAX).next_power_of_two();

/// Where the waker stands among the registered files, behind all sockets.
const WAKER_FILE: usize = SOCKETS_MAX;

/// Completions that are copied out at a time.
const COMPLETIONS_AT_ONCE: usize = 64;

/// What may complete for each connection: a connect, reads and a write, and accepts beside.
const COMPLETIONS_PER_CONNECTION: usize = 4;

/// The most entries that the kernel grants.
const COMPLETIONS_MAX: usize = 1 << 16;

/// A ring that the kernel has granted with all we need of it.
pub(super) struct Ready {
    ring: IoUring,
    buffers: Buffers,
    waker: Waker,
}

pub(super) struct Uring {
    ring: IoUring,
    // What the kernel may write: freed by `Drop`, and only when the kernel has let go.
    buffers: ManuallyDrop<Buffers>,
    woken: ManuallyDrop<Box<[u8; 8]>>,
    header: Box<libc::msghdr>,
    letters: Box<[Letter]>,
    locals: Box<[Local]>,
    waker: Waker,
    waker_armed: bool,
    armed: [bool; SOCKETS_MAX],
    filled: VecDeque<Filled>,
    held: Held,
    errors: ErrorQueues,
    lines: Option<Box<Lines>>,
    tally: Arc<Tally>,
}

/// What the kernel says about an operation.
#[derive(Clone, Copy, Debug)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

impl From<&cqueue::Entry> for Completion {
    fn from(entry: &cqueue::Entry) -> Self {
        Self { user_data: entry.user_data(), result: entry.result(), flags: entry.flags() }
    }
}

/// How the datagram of a slot is addressed.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Letter {
    header: libc::msghdr,
    part: libc::iovec,
    envelope: Envelope,
    /// It was sent once more after an error and waits for room now.
    repeated: bool,
}

impl Uring {
    /// Asks the kernel for a ring with everything that this driver uses.
    pub(super) fn prepare(
        locals: &[Local],
        buffers: usize,
        connections: usize,
    ) -> io::Result<Ready> {
        let completions = COMPLETIONS + connections * COMPLETIONS_PER_CONNECTION;
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(len_u32(completions.next_power_of_two().min(COMPLETIONS_MAX)))
            .build(len_u32(SUBMISSIONS))?;
        let parameters = ring.params();
        let complete = parameters.is_feature_ext_arg()
            && parameters.is_feature_nodrop()
            && parameters.is_feature_submit_stable();
        let submitter = ring.submitter();
        let mut probe = Probe::new();
        submitter.register_probe(&mut probe)?;
        let operations = [
            opcode::RecvMsgMulti::CODE,
            opcode::Send::CODE,
            opcode::SendMsg::CODE,
            opcode::Read::CODE,
            opcode::AsyncCancel2::CODE,
            opcode::Accept::CODE,
            opcode::Connect::CODE,
            opcode::Recv::CODE,
        ];
        if !complete || !operations.iter().all(|code| probe.is_supported(*code)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let waker = Waker::new()?;
        let mut files = [-1; SOCKETS_MAX + 1];
        for (file, local) in files.iter_mut().zip(locals) {
            *file = local.fd();
        }
        files[WAKER_FILE] = waker.event().as_raw_fd();
        submitter.register_files(&files)?;
        let buffers = Buffers::register(&submitter, Group::Datagrams, buffers)?;
        Ok(Ready { ring, buffers, waker })
    }

    /// Begins to receive.
    pub(super) fn open(
        ready: Ready,
        locals: Box<[Local]>,
        connections: Option<Connections>,
        tally: Arc<Tally>,
    ) -> io::Result<Self> {
        let Ready { ring, buffers, waker } = ready;
        let lines = match connections {
            Some(connections) => Some(Box::new(Lines::new(&ring.submitter(), connections)?)),
            None => None,
        };
        // SAFETY: all zero is a header without name, parts and control messages.
        let empty: libc::msghdr = unsafe { core::mem::zeroed() };
        let letter = Letter {
            header: empty,
            part: libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 },
            envelope: Envelope::EMPTY,
            repeated: false,
        };
        let header =
            libc::msghdr { msg_namelen: len_u32(NAME_ROOM), msg_controllen: CONTROL_SIZE, ..empty };
        let mut uring = Self {
            ring,
            buffers: ManuallyDrop::new(buffers),
            woken: ManuallyDrop::new(Box::new([0; 8])),
            header: Box::new(header),
            letters: core::iter::repeat_n(letter, SLOTS_MAX).collect(),
            locals,
            waker,
            waker_armed: false,
            armed: [false; SOCKETS_MAX],
            filled: touched(RECEIVE_BUFFERS, Filled::nothing),
            held: Held::new(),
            errors: ErrorQueues::new(),
            lines,
            tally,
        };
        uring.arm();
        uring.enter(true);
        Ok(uring)
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
        self.enter_if_flagged();
        if self.ring.completion().is_empty()
            && self.filled.is_empty()
            && !self.errors.is_suspected()
            && self.lines.is_none()
        {
            return 0;
        }
        let at = clock::now();
        let mut work = self.complete(at, out, on);
        work += self.tend(at, out, on);
        // Neither datagrams nor connections keep the others waiting.
        let parked = self.lines.as_ref().map_or(0, |lines| lines.connections.parked());
        let datagrams_max = if parked > 0 { arrivals_max / 2 } else { arrivals_max };
        let taken = self.burst(datagrams_max, at, out, on);
        work += taken + self.stream_burst(arrivals_max - taken, at, out, on);
        work += self.divide(arrivals_max > 0, at, out, on);
        if self.errors.is_suspected() {
            work += self.errors.read(&self.locals, &self.tally, at, out, on);
        }
        self.arm();
        self.follow_orders(at);
        if !self.ring.submission().is_empty() {
            self.enter(true);
        }
        work
    }

    pub(super) fn submit(&mut self, out: &mut Departures, committed: JournalSeq) -> usize {
        let mut taken = 0;
        let has_work = self.lines.is_some() && (out.queued() > 0 || out.has_wishes());
        let now = if has_work { clock::now() } else { Instant(0) };
        let mut put = 0;
        // What is put into outboxes is written when this turn is over, and leaves room for the next.
        while (put == 0 || self.has_outbox())
            && let Some(slot) = out.pop(committed)
        {
            let socket = out.departure(&slot).flow.socket;
            if let Some(lines) = &mut self.lines
                && lines.connections.has(socket)
            {
                lines.connections.send(slot, out, now);
                taken += 1;
                put += 1;
                continue;
            }
            self.address(&slot, out);
            let index = self.held.put(slot);
            self.push_send(index, socket);
            taken += 1;
        }
        taken += self.take_wishes(out, now);
        if taken > 0 {
            self.follow_orders(now);
        }
        if !self.ring.submission().is_empty() {
            self.enter(self.filled.len() < BURST_SIZE);
        }
        taken
    }

    pub(super) fn wait(&mut self, timeout_ns: Option<u64>) {
        let is_busy = self.lines.as_ref().is_some_and(|lines| lines.is_busy());
        if is_busy || self.errors.is_suspected() || !self.ring.completion().is_empty() {
            return;
        }
        self.arm();
        self.enter_and_wait(timeout_ns);
    }

    /// Submits what is queued and waits for a completion.
    fn enter_and_wait(&mut self, timeout_ns: Option<u64>) {
        let ns = timeout_ns.unwrap_or_default();
        let rest = u32::try_from(ns % 1_000_000_000).unwrap_or_default();
        let timeout = types::Timespec::new().sec(ns / 1_000_000_000).nsec(rest);
        let mut arguments = types::SubmitArgs::new();
        if timeout_ns.is_some() {
            arguments = arguments.timespec(&timeout);
        }
        let mut flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if self.ring.params().is_feature_no_iowait() {
            // An idle worker is idle: without this the system would show a core that waits for I/O.
            flags |= EnterFlags::NO_IOWAIT;
        }
        let queued = len_u32(self.ring.submission().len());
        let submitter = self.ring.submitter();
        // SAFETY: the flags announce an argument of this type, which outlives the call together
        // with the time that it points at; what is queued keeps the promise made when pushed.
        entered(unsafe { submitter.enter(queued, 1, flags.bits(), Some(&arguments)) });
    }

    /// Enters the kernel if it has flagged work, unless enough datagrams wait already: more would
    /// only use up the buffers. A send that has not completed is worth an enter in any case, since
    /// it is what frees a slot, without which no arrival is taken.
    fn enter_if_flagged(&mut self) {
        if !self.ring.completion().is_empty() {
            return;
        }
        let queue = self.ring.submission();
        let (run, overflown) = (queue.taskrun(), queue.cq_overflow());
        drop(queue);
        if overflown {
            self.tally.counters.add(Counter::CompletionOverflows);
        }
        let wanted = self.filled.len() < BURST_SIZE || self.held.count() > 0;
        if overflown || (run && wanted) {
            self.enter(true);
        }
    }

    /// Submits what is queued, and may run the ring's work, the receives among it.
    fn enter(&mut self, run: bool) {
        let queued = len_u32(self.ring.submission().len());
        let flags = if run { EnterFlags::GETEVENTS.bits() } else { 0 };
        let submitter = self.ring.submitter();
        // SAFETY: no argument is passed, and what is queued keeps the promise made when pushed.
        entered(unsafe { submitter.enter::<libc::sigset_t>(queued, 0, flags, None) });
    }

    /// Takes every completion that is there.
    fn complete(
        &mut self,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = 0;
        loop {
            let mut completions = [const { MaybeUninit::uninit() }; COMPLETIONS_AT_ONCE];
            let completions = self.ring.completion().fill(&mut completions);
            for completion in &*completions {
                work += self.on_completion(&completion.into(), at, out, on);
            }
            if completions.len() < COMPLETIONS_AT_ONCE {
                return work;
            }
        }
    }

    fn on_completion(
        &mut self,
        completion: &Completion,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        match Token::decode(completion.user_data) {
            Some(Token::Send(index)) => self.on_sent(index, completion.result, at, out, on),
            Some(Token::Receive(socket)) if usize::from(socket.0) < self.locals.len() => {
                self.on_received(socket, completion);
                0
            }
            Some(Token::Wake) => {
                self.waker_armed = false;
                1
            }
            Some(
                token @ (Token::Accept(_) | Token::Connect(_) | Token::Read(_) | Token::Write(_)),
            ) if self.lines.is_some() => {
                self.on_stream(token, completion, at);
                1
            }
            Some(Token::Cancel) => 0,
            Some(
                Token::Receive(_)
                | Token::Accept(_)
                | Token::Connect(_)
                | Token::Read(_)
                | Token::Write(_),
            )
            | None => {
                self.tally.counters.add(Counter::CompletionsUnknown);
                0
            }
        }
    }

    /// A send has completed with `result`: octets, or an errno below zero.
    fn on_sent(
        &mut self,
        index: u16,
        result: i32,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let Some(slot) = self.held.get(index) else {
            self.tally.counters.add(Counter::CompletionsUnknown);
            return 0;
        };
        let len = out.octets(slot).len();
        let sent = match usize::try_from(result) {
            Ok(octets) if octets == len => Ok(()),
            Ok(_) => {
                self.tally.counters.add(Counter::SendShort);
                Err(SendError::Other(0))
            }
            Err(_) if result == -libc::ECANCELED => {
                self.tally.counters.add(Counter::Cancelled);
                Err(SendError::Other(libc::ECANCELED))
            }
            Err(_) => match self.on_send_error(index, -result, out) {
                Some(sent) => sent,
                None => return 1,
            },
        };
        if sent.is_ok() {
            self.tally.counters.add(Counter::DatagramsOut);
        }
        if let Some(slot) = self.held.take(index) {
            let owner = out.departure(&slot).owner;
            out.release(slot);
            if let Some(owner) = owner {
                on(Event::Sent { owner, sent, at }, out);
            }
        }
        1
    }

    /// Does a failed send again once, at once; `None` if it is back with the kernel, to wait for
    /// room.
    fn on_send_error(&mut self, index: u16, errno: i32, out: &Departures) -> Option<Sent> {
        let slot = self.held.get(index)?;
        let socket = out.departure(slot).flow.socket;
        self.errors.suspect(socket);
        let letter = &mut self.letters[usize::from(index)];
        let answer = if letter.repeated {
            Repeated::Failed(errno)
        } else {
            letter.repeated = true;
            repeat(&self.locals[usize::from(socket.0)], out, slot)
        };
        match answer {
            Repeated::Sent => {
                self.tally.counters.add(Counter::SendRepeated);
                Some(Ok(()))
            }
            Repeated::NoRoom => {
                self.push_send(index, socket);
                None
            }
            Repeated::Failed(errno) => {
                self.tally.counters.add(Counter::SendRefused);
                Some(Err(refusal(errno)))
            }
        }
    }

    /// A multishot receive has taken a datagram, or has ended, or both.
    fn on_received(&mut self, socket: SocketId, completion: &Completion) {
        let result = completion.result;
        let counters = &self.tally.counters;
        if let Some(buffer) = cqueue::buffer_select(completion.flags) {
            let len = usize::try_from(result).unwrap_or_default();
            match self.buffers.filled(socket, buffer, len) {
                Some(filled) => self.filled.push_back(filled),
                None => counters.add(Counter::CompletionsUnknown),
            }
        } else {
            match -result {
                libc::ENOBUFS => counters.add(Counter::ReceiveNoBuffers),
                libc::ECANCELED => counters.add(Counter::Cancelled),
                errno => {
                    counters.add(Counter::ReceiveErrors);
                    if errno > 0 {
                        self.errors.suspect(socket);
                    }
                }
            }
        }
        if !cqueue::more(completion.flags) {
            counters.add(Counter::ReceiveRearmed);
            self.armed[usize::from(socket.0)] = false;
        }
    }

    /// Hands out one burst and gives its buffers back.
    fn burst(
        &mut self,
        arrivals_max: usize,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let taken = self.filled.len().min(arrivals_max).min(BURST_SIZE);
        if taken == 0 {
            return 0;
        }
        let mut arrivals = [NOTHING; BURST_SIZE];
        let mut count = 0;
        for filled in self.filled.iter().take(taken) {
            let octets = self.buffers.octets(filled);
            let local = &mut self.locals[usize::from(filled.socket.0)];
            let Ok(message) = types::RecvMsgOut::parse(octets, &self.header) else {
                self.tally.counters.add(Counter::ReceiveErrors);
                continue;
            };
            let name = message.name_data();
            let name = &name[..name.len().min(NAME_SIZE)];
            let Some(flow) = local.flow(name, message.control_data(), &self.tally) else {
                self.tally.counters.add(Counter::ReceiveErrors);
                continue;
            };
            let truncated = message.is_payload_truncated();
            let start = super::receive::PAYLOAD_AT.min(octets.len());
            arrivals[count] = Arrival { flow, at, octets: &octets[start..], truncated };
            count += 1;
        }
        self.tally.counters.add_many(Counter::DatagramsIn, count as u64);
        if count > 0 {
            on(Event::Burst(&arrivals[..count]), out);
        }
        for filled in self.filled.drain(..taken) {
            self.buffers.give(filled);
        }
        self.buffers.publish();
        taken
    }

    pub(super) fn is_writing(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.connections.streams.is_writing())
    }

    fn has_outbox(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.connections.streams.has_outbox())
    }

    pub(super) fn connections_size(&self) -> usize {
        self.lines.as_ref().map_or(0, |lines| lines.connections.size())
    }

    /// A moment before which nothing is due by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lines.as_ref().and_then(|lines| lines.connections.streams.next_deadline())
    }

    /// Queues whatever receive has ended, unless all buffers wait to be taken, and the waker.
    fn arm(&mut self) {
        if self.filled.len() < self.buffers.count() {
            for index in 0..self.locals.len() {
                if self.armed[index] {
                    continue;
                }
                self.armed[index] = true;
                let socket = self.locals[index].id;
                let file = types::Fixed(u32::from(socket.0));
                let receive = opcode::RecvMsgMulti::new(
                    file,
                    &raw const *self.header,
                    Group::Datagrams.number(),
                );
                let token = Token::Receive(socket);
                self.push(&receive.build().user_data(token.encode()));
            }
        }
        if !self.waker_armed {
            self.waker_armed = true;
            let word = self.woken.as_mut_ptr();
            let read = opcode::Read::new(types::Fixed(len_u32(WAKER_FILE)), word, 8);
            self.push(&read.build().user_data(Token::Wake.encode()));
        }
    }

    /// Writes where the departure goes, and where its octets are.
    fn address(&mut self, slot: &Slot, out: &Departures) {
        let flow = out.departure(slot).flow;
        let octets = out.octets(slot);
        let letter = &mut self.letters[usize::from(slot.index())];
        letter.envelope.address(&flow, &self.locals[usize::from(flow.socket.0)]);
        letter.part.iov_base = octets.as_ptr().cast_mut().cast();
        letter.part.iov_len = octets.len();
        letter.repeated = false;
    }

    fn push_send(&mut self, index: u16, socket: SocketId) {
        let file = types::Fixed(u32::from(socket.0));
        let letter = &mut self.letters[usize::from(index)];
        let Envelope { source_len, name_len, .. } = letter.envelope;
        let name = letter.envelope.name.0.as_mut_ptr();
        let send = if source_len == 0 {
            let octets = letter.part.iov_base.cast_const().cast();
            let len = len_u32(letter.part.iov_len);
            opcode::Send::new(file, octets, len)
                .dest_addr(name.cast_const().cast())
                .dest_addr_len(name_len)
                .build()
        } else {
            letter.header.msg_name = name.cast();
            letter.header.msg_namelen = name_len;
            letter.header.msg_iov = &raw mut letter.part;
            letter.header.msg_iovlen = 1;
            letter.header.msg_control = letter.envelope.source.0.as_mut_ptr().cast();
            letter.header.msg_controllen = source_len;
            opcode::SendMsg::new(file, &raw const letter.header).build()
        };
        self.push(&send.user_data(Token::Send(index).encode()));
    }

    /// Queues an operation. Where connections have filled the queue, what is in it is submitted first.
    fn push(&mut self, operation: &squeue::Entry) {
        if self.ring.submission().is_full() {
            self.enter(false);
        }
        // SAFETY: the memory that the operation names is kept as the table at the top says.
        let pushed = unsafe { self.ring.submission().push(operation) };
        assert!(pushed.is_ok(), "the submission queue has room when it was submitted");
    }
}

impl fmt::Debug for Uring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uring")
            .field("locals", &self.locals)
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}

/// Looks at what `io_uring_enter` said: that it was interrupted, that the time is over or that
/// completions must be taken first are no errors.
///
/// # Panics
///
/// Panics if the ring cannot be entered: that is a broken invariant of this file.
fn entered(result: io::Result<usize>) {
    let Err(error) = result else { return };
    match error.raw_os_error() {
        Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => {}
        errno => panic!("io_uring_enter failed with errno {errno:?}"),
    }
}
