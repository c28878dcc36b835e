//! Connections on io_uring: one read and one write of each at a time.
//!
//! A connection has at most one operation of each kind in the kernel's hands, and its place in the
//! table is given to another one only when all have completed: so a completion needs to say the place
//! only, and cannot be taken for one of a later connection.

use core::mem::ManuallyDrop;
use std::io;
use std::os::fd::RawFd;

use io_uring::{cqueue, opcode, squeue, types};

use super::{Completion, Uring};
use crate::io::address::{NAME_SIZE, Name};
use crate::io::buffers::{Buffers, Group};
use crate::io::driver::Event;
use crate::io::len_u32;
use crate::io::stream::{ACCEPT_PAUSE_MS, Connections, Parked, own};
use crate::io::token::Token;
use crate::limits::{ACCEPTS_PER_TURN, STREAM_READS};
use crate::metrics::Counter;
use crate::packet::{Departures, SocketId};
use crate::session::stream::Order;
use crate::time::Instant;

/// What a ring needs for connections.
pub(super) struct Lines {
    pub(super) connections: Connections,
    // What the kernel may write: dropped by the ring's `Drop`, and only when it has let go.
    pub(super) buffers: ManuallyDrop<Buffers>,
    accepts: ManuallyDrop<Box<[Accept]>>,
    /// Where connections go; the kernel reads it when the operation is submitted.
    names: Box<[Name]>,
    /// Whether a read of the connection is in the kernel's hands.
    reading: Box<[bool]>,
    /// How many of the buffers the kernel has.
    buffers_left: usize,
    /// Operations in the kernel's hands.
    pub(super) running: usize,
    /// Accepting has failed for want of something, and is tried again from then on.
    accepts_from: Instant,
}

/// One accept of a listener, and where the kernel writes who has connected.
struct Accept {
    listener: RawFd,
    socket: SocketId,
    name: [u8; NAME_SIZE + 4],
    name_len: libc::socklen_t,
    is_armed: bool,
}

impl Lines {
    pub(super) fn new(
        submitter: &io_uring::Submitter<'_>,
        connections: Connections,
    ) -> io::Result<Self> {
        let accept = |(socket, listener): (SocketId, RawFd)| Accept {
            listener,
            socket,
            name: [0; NAME_SIZE + 4],
            name_len: 0,
            is_armed: false,
        };
        let accepts = connections
            .listeners()
            .flat_map(|listener| core::iter::repeat_n(listener, ACCEPTS_PER_TURN))
            .map(accept)
            .collect();
        Ok(Self {
            buffers: ManuallyDrop::new(Buffers::register(submitter, Group::Reads, STREAM_READS)?),
            accepts: ManuallyDrop::new(accepts),
            names: core::iter::repeat_n(Name::EMPTY, connections.places()).collect(),
            reading: core::iter::repeat_n(false, connections.places()).collect(),
            buffers_left: STREAM_READS,
            running: 0,
            accepts_from: Instant(0),
            connections,
        })
    }

    /// Lets go of what the kernel may have written.
    #[expect(unsafe_code, reason = "memory that the kernel has let go of")]
    pub(super) fn drop_buffers(&mut self) {
        // SAFETY: the ring's `Drop` calls this once, when every operation has completed.
        unsafe { ManuallyDrop::drop(&mut self.buffers) };
        // SAFETY: as above.
        unsafe { ManuallyDrop::drop(&mut self.accepts) };
    }
}

impl Uring {
    /// What there is to do about connections before messages are taken from them.
    pub(super) fn tend(
        &mut self,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let Some(lines) = &mut self.lines else { return 0 };
        let work = lines.connections.take_carried(at) + lines.connections.settle(at, out, on);
        if at >= lines.accepts_from {
            self.accept();
        }
        self.follow_orders(at);
        work
    }

    /// Takes at most `max` messages from what was read.
    pub(super) fn stream_burst(
        &mut self,
        max: usize,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let Some(lines) = &mut self.lines else { return 0 };
        let Lines { connections, buffers, .. } = &mut **lines;
        if connections.parked() == 0 || max == 0 {
            return 0;
        }
        let octets = |parked: &Parked| {
            // SAFETY: a parked buffer was named by its completion, with so many octets in it, and is
            // given back below, when the burst is over.
            #[expect(unsafe_code, reason = "octets that the kernel has written")]
            unsafe {
                buffers.read(parked.buffer, parked.len)
            }
        };
        let taken = connections.burst(octets, max, at, out, on);
        lines.give_back();
        taken
    }

    /// What there is to do behind a burst about connections whose octets the engine divides itself.
    pub(super) fn divide(
        &mut self,
        takes: bool,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let Some(lines) = &mut self.lines else { return 0 };
        let Lines { connections, buffers, .. } = &mut **lines;
        let octets = |parked: &Parked| {
            // SAFETY: a parked buffer was named by its completion, with so many octets in it, and is
            // given back below, when it is used up.
            #[expect(unsafe_code, reason = "octets that the kernel has written")]
            unsafe {
                buffers.read(parked.buffer, parked.len)
            }
        };
        let work = connections.divide(octets, takes, at, out, on);
        lines.give_back();
        work
    }

    /// Takes what is wished for; says how much that was.
    pub(super) fn take_wishes(&mut self, out: &mut Departures, at: Instant) -> usize {
        self.lines.as_mut().map_or(0, |lines| lines.connections.streams.take_wishes(out, at))
    }

    /// Does what the connections ask for.
    pub(super) fn follow_orders(&mut self, at: Instant) {
        while let Some(lines) = &mut self.lines
            && let Some(order) = lines.connections.streams.order()
        {
            match order {
                Order::Connect(index) => self.connect(index, at),
                Order::Read(index) => lines.connections.to_read.push_back(index),
                Order::Write(index) => self.write(index),
                Order::Shut(index) => self.shut(index, at),
                Order::Close(index) => lines.connections.close(index),
            }
        }
        let waiting = self.lines.as_ref().map_or(0, |lines| lines.connections.to_read.len());
        for _ in 0..waiting {
            let Some(lines) = &mut self.lines else { return };
            let Some(index) = lines.connections.next_to_read(lines.buffers_left) else { return };
            self.read(index);
        }
    }

    fn connect(&mut self, index: u16, at: Instant) {
        let Some(lines) = &mut self.lines else { return };
        let Some((fd, remote)) = lines.connections.prepare(index, at) else { return };
        let name = &mut lines.names[usize::from(index)];
        let len = name.write(remote);
        let connect = opcode::Connect::new(types::Fd(fd), name.0.as_ptr().cast(), len).build();
        lines.running += 1;
        self.push(&connect.user_data(Token::Connect(index).encode()));
    }

    fn read(&mut self, index: u16) {
        let Some(lines) = &mut self.lines else { return };
        let Some(fd) = lines.connections.fd(index) else { return };
        let len = lines.connections.streams.readable(index);
        let read = opcode::Recv::new(types::Fd(fd), core::ptr::null_mut(), len_u32(len))
            .buf_group(Group::Reads.number())
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        lines.reading[usize::from(index)] = true;
        lines.running += 1;
        self.push(&read.user_data(Token::Read(index).encode()));
    }

    fn write(&mut self, index: u16) {
        let Some(lines) = &mut self.lines else { return };
        let Some(fd) = lines.connections.fd(index) else { return };
        let octets = lines.connections.streams.unwritten(index);
        let write = opcode::Send::new(types::Fd(fd), octets.as_ptr(), len_u32(octets.len()))
            .flags(libc::MSG_NOSIGNAL)
            .build();
        lines.running += 1;
        self.push(&write.user_data(Token::Write(index).encode()));
    }

    /// Ends the operations of a connection: each completes, with an error or with what it has done.
    fn shut(&mut self, index: u16, at: Instant) {
        let Some(lines) = &mut self.lines else { return };
        if !lines.reading[usize::from(index)] {
            lines.connections.stop_reading(index);
        }
        let Some(fd) = lines.connections.fd(index) else {
            // Connecting was not ours, and is not waited for.
            return lines.connections.connected(index, Err(libc::ECANCELED), at);
        };
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::fd(types::Fd(fd)).all());
        self.push(&cancel.build().user_data(Token::Cancel.encode()));
    }

    /// Arms every accept that is not.
    fn accept(&mut self) {
        let Some(lines) = &self.lines else { return };
        for number in 0..lines.accepts.len() {
            let Some(lines) = &mut self.lines else { return };
            let accept = &mut lines.accepts[number];
            if accept.is_armed {
                continue;
            }
            accept.is_armed = true;
            accept.name_len = len_u32(accept.name.len());
            let (name, len) = (accept.name.as_mut_ptr().cast(), &raw mut accept.name_len);
            let operation = opcode::Accept::new(types::Fd(accept.listener), name, len)
                .flags(libc::SOCK_CLOEXEC)
                .build();
            lines.running += 1;
            let number = u16::try_from(number).unwrap_or_default();
            self.push(&operation.user_data(Token::Accept(number).encode()));
        }
    }

    /// An operation of a connection has completed.
    pub(super) fn on_stream(&mut self, token: Token, completion: &Completion, at: Instant) {
        let Some(lines) = &mut self.lines else { return };
        lines.running -= 1;
        let result = completion.result;
        match token {
            Token::Accept(number) => lines.on_accepted(number, result, at),
            Token::Connect(index) => {
                let result = if result == 0 { Ok(()) } else { Err(-result) };
                lines.connections.connected(index, result, at);
            }
            Token::Read(index) => lines.on_read(index, completion, at),
            Token::Write(index) => {
                let result = usize::try_from(result).map_err(|_| -result);
                lines.connections.streams.written(index, result, at);
            }
            Token::Send(_) | Token::Receive(_) | Token::Wake | Token::Cancel => {}
        }
    }
}

impl Lines {
    fn on_accepted(&mut self, number: u16, result: i32, at: Instant) {
        let Some(accept) = self.accepts.get_mut(usize::from(number)) else { return };
        accept.is_armed = false;
        if result < 0 {
            if result != -libc::ECANCELED && result != -libc::ECONNABORTED {
                self.connections.count(Counter::AcceptErrors);
                self.accepts_from = at.plus_ms(ACCEPT_PAUSE_MS);
            }
            return;
        }
        let len = (accept.name_len as usize).min(accept.name.len());
        self.connections.accepted_from(own(result), accept.socket, &accept.name[..len], at);
    }

    fn on_read(&mut self, index: u16, completion: &Completion, at: Instant) {
        let Completion { result, flags, .. } = *completion;
        self.reading[usize::from(index)] = false;
        if let Some(buffer) = cqueue::buffer_select(flags) {
            self.buffers_left = self.buffers_left.saturating_sub(1);
            match usize::try_from(result) {
                Ok(len) if len > 0 && self.buffers.has(buffer, len) => {
                    return self.connections.park(index, buffer, len, at);
                }
                Ok(_) | Err(_) => {
                    self.connections.used.push(buffer);
                    self.give_back();
                }
            }
        }
        let streams = &mut self.connections.streams;
        match result {
            0 => streams.read_ended(index, Ok(())),
            errno if errno == -libc::ENOBUFS => {
                self.connections.count(Counter::ReceiveNoBuffers);
                self.connections.to_read.push_back(index);
            }
            errno if errno < 0 => streams.read_ended(index, Err(-errno)),
            _ => {}
        }
    }

    /// Whether there is anything to do that no completion tells of.
    pub(super) fn is_busy(&self) -> bool {
        self.connections.is_busy() || self.connections.may_read(self.buffers_left)
    }

    /// Gives buffers that are used up back to the kernel.
    fn give_back(&mut self) {
        if self.connections.used.is_empty() {
            return;
        }
        while let Some(buffer) = self.connections.used.pop() {
            self.buffers.give_read(buffer);
            self.buffers_left += 1;
        }
        self.buffers.publish();
    }
}
