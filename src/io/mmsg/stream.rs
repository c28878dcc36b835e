//! Connections on epoll: what is ready is read, and what there is to write is written at once.

use core::slice;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::errno;
use crate::io::address::Name;
use crate::io::driver::Event;
use crate::io::len_u32;
use crate::io::memory::Mapping;
use crate::io::stream::{ACCEPT_PAUSE_MS, Connections, Parked, own};
use crate::limits::{ACCEPTS_PER_TURN, STREAM_READ_SIZE, STREAM_READS};
use crate::metrics::Counter;
use crate::packet::{Departures, SocketId};
use crate::session::stream::Order;
use crate::time::Instant;

/// What this driver needs for connections.
#[derive(Debug)]
pub(super) struct Lines {
    connections: Connections,
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
    buffers: Mapping,
    free: Vec<u16>,
    begun: Box<[Begun]>,
    /// Accepting has failed for want of something, and is tried again from then on.
    accepts_from: Option<Instant>,
}

/// What was begun for a connection and has not ended.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    connect: bool,
    read: bool,
    write: bool,
    /// Epoll knows the file.
    is_known: bool,
    /// Epoll tells when there is something to read: also while nobody wants to read, until it does.
    is_watched: bool,
}

/// Events taken in one turn.
const EVENTS: u8 = 64;

/// Set in the data of an event of a listener.
const LISTENER: u64 = 1 << 32;

impl Lines {
    pub(super) fn new(connections: Connections) -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        let nothing = libc::epoll_event { events: 0, u64: 0 };
        let begun = core::iter::repeat_n(Begun::default(), connections.places()).collect();
        let lines = Self {
            epoll: own(epoll),
            events: core::iter::repeat_n(nothing, usize::from(EVENTS)).collect(),
            buffers: Mapping::new(STREAM_READS * STREAM_READ_SIZE)?,
            free: (0..STREAM_READS).rev().filter_map(|at| u16::try_from(at).ok()).collect(),
            begun,
            accepts_from: None,
            connections,
        };
        lines.listen(libc::EPOLL_CTL_ADD, libc::EPOLLIN);
        Ok(lines)
    }

    pub(super) fn size(&self) -> usize {
        self.connections.size()
    }

    pub(super) fn epoll(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Whether there is anything to do that no event tells of.
    pub(super) fn is_busy(&self) -> bool {
        self.connections.is_busy()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let own = self.connections.streams.next_deadline();
        own.into_iter().chain(self.accepts_from).min()
    }

    pub(super) const fn has(&self, socket: SocketId) -> bool {
        self.connections.has(socket)
    }

    pub(super) const fn connections(&mut self) -> &mut Connections {
        &mut self.connections
    }

    pub(super) fn is_writing(&self) -> bool {
        self.connections.streams.is_writing()
    }

    pub(super) fn parked(&self) -> usize {
        self.connections.parked()
    }

    /// What there is to do about connections before messages are taken from them.
    pub(super) fn tend(
        &mut self,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = self.connections.take_carried(at);
        if self.accepts_from.is_some_and(|from| from <= at) {
            self.accepts_from = None;
            self.listen(libc::EPOLL_CTL_MOD, libc::EPOLLIN);
        }
        work += self.look(at);
        work += self.connections.settle(at, out, on);
        self.follow_orders(at);
        work
    }

    /// Takes at most `max` messages from what was read.
    pub(super) fn burst(
        &mut self,
        max: usize,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        if self.connections.parked() == 0 || max == 0 {
            return 0;
        }
        let Self { connections, buffers, free, .. } = self;
        let octets = |parked: &Parked| {
            let octets = buffers.at(usize::from(parked.buffer) * STREAM_READ_SIZE);
            assert!(parked.len <= STREAM_READ_SIZE);
            // SAFETY: so much was read into this buffer, which is written to again only when it is
            // free, below.
            unsafe { slice::from_raw_parts(octets.as_ptr(), parked.len) }
        };
        let taken = connections.burst(octets, max, at, out, on);
        free.append(&mut connections.used);
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
        let Self { connections, buffers, free, .. } = self;
        let octets = |parked: &Parked| {
            let octets = buffers.at(usize::from(parked.buffer) * STREAM_READ_SIZE);
            assert!(parked.len <= STREAM_READ_SIZE);
            // SAFETY: so much was read into this buffer, which is written to again only when it is
            // free, below.
            unsafe { slice::from_raw_parts(octets.as_ptr(), parked.len) }
        };
        let work = connections.divide(octets, takes, at, out, on);
        free.append(&mut connections.used);
        work
    }

    /// Does what the connections ask for.
    pub(super) fn follow_orders(&mut self, at: Instant) {
        while let Some(order) = self.connections.streams.order() {
            match order {
                Order::Connect(index) => self.connect(index, at),
                Order::Read(index) => self.connections.to_read.push_back(index),
                Order::Write(index) => self.write(index, at),
                Order::Shut(index) => self.shut(index, at),
                Order::Close(index) => {
                    self.begun[usize::from(index)] = Begun::default();
                    self.connections.close(index);
                }
            }
        }
        for _ in 0..self.connections.to_read.len() {
            let Some(index) = self.connections.next_to_read(STREAM_READS) else { return };
            let begun = &mut self.begun[usize::from(index)];
            begun.read = true;
            if !begun.is_watched {
                begun.is_watched = true;
                self.watch(index);
            }
        }
    }

    /// Reads, writes and accepts what is ready.
    fn look(&mut self, at: Instant) -> usize {
        let events = self.events.as_mut_ptr();
        // SAFETY: the events are so many, and ours.
        let found =
            unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, i32::from(EVENTS), 0) };
        let found = usize::try_from(found).unwrap_or_default();
        for number in 0..found {
            let libc::epoll_event { events, u64: data } = self.events[number];
            if data & LISTENER != 0 {
                self.accept(SocketId(data.to_le_bytes()[0]), at);
                continue;
            }
            let Ok(index) = u16::try_from(data) else { continue };
            self.on_ready(index, events, at);
        }
        found
    }

    fn on_ready(&mut self, index: u16, events: u32, at: Instant) {
        let begun = self.begun[usize::from(index)];
        let has = |wanted: i32| events & wanted.cast_unsigned() != 0;
        let over = libc::EPOLLERR | libc::EPOLLHUP;
        if begun.connect && has(libc::EPOLLOUT | over) {
            return self.connected(index, at);
        }
        if begun.write && has(libc::EPOLLOUT | over) {
            self.write(index, at);
        }
        if begun.read && has(libc::EPOLLIN | over) {
            self.read(index, at);
        } else if has(over) && !begun.write && begun.is_known {
            // Nobody waits for anything here, and it would be told for ever.
            let begun = &mut self.begun[usize::from(index)];
            (begun.is_known, begun.is_watched) = (false, false);
            self.control(libc::EPOLL_CTL_DEL, index, 0);
        } else if has(libc::EPOLLIN) && begun.is_watched {
            self.begun[usize::from(index)].is_watched = false;
            self.watch(index);
        }
    }

    fn connect(&mut self, index: u16, at: Instant) {
        let Some((fd, remote)) = self.connections.prepare(index, at) else { return };
        let mut name = Name::EMPTY;
        let len = name.write(remote);
        // SAFETY: the name has so many octets, and is read within the call.
        let result = unsafe { libc::connect(fd, name.0.as_ptr().cast(), len) };
        let errno = if result == 0 { 0 } else { errno() };
        if errno == libc::EINPROGRESS {
            self.begun[usize::from(index)].connect = true;
            return self.watch(index);
        }
        let result = if errno == 0 { Ok(()) } else { Err(errno) };
        self.connections.connected(index, result, at);
    }

    fn connected(&mut self, index: u16, at: Instant) {
        self.begun[usize::from(index)].connect = false;
        let error = self.connections.take_error(index);
        self.watch(index);
        self.connections.connected(index, error.map_or(Ok(()), Err), at);
    }

    fn read(&mut self, index: u16, at: Instant) {
        let (Some(fd), Some(buffer)) = (self.connections.fd(index), self.free.pop()) else {
            return;
        };
        let octets = self.buffers.at(usize::from(buffer) * STREAM_READ_SIZE).as_ptr().cast();
        let len = self.connections.streams.readable(index).min(STREAM_READ_SIZE);
        // SAFETY: the buffer is free and has so much room.
        let got = unsafe { libc::recv(fd, octets, len, libc::MSG_DONTWAIT) };
        let result = usize::try_from(got).map_err(|_| errno());
        if let Ok(len @ 1..) = result {
            self.begun[usize::from(index)].read = false;
            return self.connections.park(index, buffer, len, at);
        }
        self.free.push(buffer);
        if result == Err(libc::EAGAIN) {
            return;
        }
        let begun = &mut self.begun[usize::from(index)];
        (begun.read, begun.is_watched) = (false, false);
        self.watch(index);
        self.connections.streams.read_ended(index, result.map(|_| ()));
    }

    fn write(&mut self, index: u16, at: Instant) {
        let Some(fd) = self.connections.fd(index) else { return };
        let octets = self.connections.streams.unwritten(index);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the octets are read within the call.
        let sent = unsafe { libc::send(fd, octets.as_ptr().cast(), octets.len(), flags) };
        let result = usize::try_from(sent).map_err(|_| errno());
        if result == Err(libc::EAGAIN) {
            self.begun[usize::from(index)].write = true;
            return self.watch(index);
        }
        let waited = self.begun[usize::from(index)].write;
        self.begun[usize::from(index)].write = false;
        if waited {
            self.watch(index);
        }
        self.connections.streams.written(index, result, at);
    }

    /// Ends what was begun for a connection.
    fn shut(&mut self, index: u16, at: Instant) {
        let begun = core::mem::take(&mut self.begun[usize::from(index)]);
        if begun.connect || self.connections.fd(index).is_none() {
            self.connections.connected(index, Err(libc::ECANCELED), at);
        }
        self.connections.stop_reading(index);
        if begun.write {
            self.connections.streams.written(index, Err(libc::ECANCELED), at);
        }
    }

    fn accept(&mut self, socket: SocketId, at: Instant) {
        let listener = self.connections.listeners().find(|(id, _)| *id == socket);
        let Some((_, listener)) = listener else { return };
        for _ in 0..ACCEPTS_PER_TURN {
            let mut name = Name::EMPTY;
            let mut len = len_u32(name.0.len());
            let at_name = name.0.as_mut_ptr().cast();
            // SAFETY: the name has room for so many octets, and both are written within the call.
            let fd = unsafe { libc::accept4(listener, at_name, &raw mut len, libc::SOCK_CLOEXEC) };
            if fd >= 0 {
                let name = &name.0[..(len as usize).min(name.0.len())];
                self.connections.accepted_from(own(fd), socket, name, at);
                continue;
            }
            match errno() {
                libc::EAGAIN => return,
                libc::ECONNABORTED | libc::EINTR => {}
                _ => {
                    self.connections.count(Counter::AcceptErrors);
                    self.accepts_from = Some(at.plus_ms(ACCEPT_PAUSE_MS));
                    return self.listen(libc::EPOLL_CTL_MOD, 0);
                }
            }
        }
    }

    /// Says what is wanted to know of all listeners.
    fn listen(&self, operation: i32, events: i32) {
        for (socket, listener) in self.connections.listeners() {
            self.control_fd(operation, listener, LISTENER | u64::from(socket.0), events);
        }
    }

    /// Says what is wanted to know of a connection.
    fn watch(&mut self, index: u16) {
        let begun = &mut self.begun[usize::from(index)];
        let read = if begun.is_watched { libc::EPOLLIN } else { 0 };
        let write = if begun.write || begun.connect { libc::EPOLLOUT } else { 0 };
        let is_known = core::mem::replace(&mut begun.is_known, true);
        let operation = if is_known { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        self.control(operation, index, read | write);
    }

    fn control(&self, operation: i32, index: u16, events: i32) {
        if let Some(fd) = self.connections.fd(index) {
            self.control_fd(operation, fd, u64::from(index), events);
        }
    }

    fn control_fd(&self, operation: i32, fd: RawFd, data: u64, events: i32) {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: data };
        // SAFETY: the event is read within the call.
        unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) };
    }
}
