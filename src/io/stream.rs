//! What both drivers know about connections: their sockets, what was read and waits to be taken, and
//! how the messages in it become a burst.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::address;
use super::carrier::{Carried, Carrier, Wanted};
use super::driver::Event;
use super::receive::NOTHING;
use super::socket::set;
use super::touched;
use crate::id::WorkerId;
use crate::limits::{
    BURST_SIZE, SOCKET_BUFFER_SIZE, STREAM_READ_SIZE, STREAM_READS, STREAM_SOCKETS_MAX,
    STREAM_STALLED_MS, STREAM_TIMERS_PER_TURN_MAX,
};
use crate::metrics::{Counter, Tally};
use crate::packet::{Arrival, Departures, Endpoint, Slot, SocketId, Transport, ip_octets};
use crate::session::stream::{Message, Next, Place, Rules, Streams};
use crate::time::Instant;

/// The sockets that a driver takes over.
///
/// [`SocketId`]s number the sockets of datagrams from 0 on, and behind them those of streams.
#[derive(Debug)]
pub struct Sockets {
    /// Of datagrams.
    pub datagrams: Vec<UdpSocket>,
    /// Of streams.
    pub streams: Vec<StreamSocket>,
    /// What holds for the connections of the latter.
    pub rules: Rules,
}

impl Sockets {
    /// How many connections there may be about which the engine wishes something.
    pub fn connections_wished_max(&self) -> u16 {
        if self.streams.iter().any(StreamSocket::is_undivided) {
            self.rules.connections_max
        } else {
            0
        }
    }
}

impl From<Vec<UdpSocket>> for Sockets {
    /// Datagrams only.
    fn from(datagrams: Vec<UdpSocket>) -> Self {
        Self { datagrams, streams: Vec::new(), rules: Rules::closed(WorkerId(0)) }
    }
}

/// Where connections come from and are opened from.
#[derive(Debug)]
pub enum StreamSocket {
    /// TCP.
    Tcp {
        /// Who accepts; `None` where connections are only opened.
        listener: Option<TcpListener>,
        /// The address that own connections leave from, whatever their port.
        address: SocketAddr,
    },
    /// TCP, of which the engine divides the octets itself (MSRP).
    Msrp {
        /// Who accepts; `None` where connections are only opened.
        listener: Option<TcpListener>,
        /// The address that own connections leave from, whatever their port.
        address: SocketAddr,
    },
    /// TLS, carried outside.
    Tls(Arc<Carrier>),
    /// TLS, carried outside, of which the engine divides the octets itself (MSRP).
    Msrps(Arc<Carrier>),
}

impl StreamSocket {
    /// Who accepts, where that is done here.
    pub const fn listener(&self) -> Option<&TcpListener> {
        match self {
            Self::Tcp { listener, .. } | Self::Msrp { listener, .. } => listener.as_ref(),
            Self::Tls(_) | Self::Msrps(_) => None,
        }
    }

    /// Whether the engine divides the octets of its connections itself.
    const fn is_undivided(&self) -> bool {
        matches!(self, Self::Msrp { .. } | Self::Msrps(_))
    }

    /// Who carries its connections, where that is done elsewhere.
    const fn carrier(&self) -> Option<&Arc<Carrier>> {
        match self {
            Self::Tcp { .. } | Self::Msrp { .. } => None,
            Self::Tls(carrier) | Self::Msrps(carrier) => Some(carrier),
        }
    }

    /// How it carries.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp { .. } | Self::Msrp { .. } => Transport::Tcp,
            Self::Tls(_) | Self::Msrps(_) => Transport::Tls,
        }
    }
}

/// Opens a listener as the drivers want it. An IPv6 socket carries IPv6 only.
///
/// # Errors
///
/// Returns what the kernel answered.
pub fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port that was listened on is free at once, whatever connections it had.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 1_024;

/// What was read from a connection and waits for its messages to be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parked {
    pub(super) index: u16,
    pub(super) buffer: u16,
    pub(super) len: usize,
    pub(super) at: usize,
}

/// The connections of a driver.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) streams: Streams,
    sockets: Box<[StreamSocket]>,
    /// The number of the first of them.
    first: u8,
    files: Box<[Option<OwnedFd>]>,
    parked: VecDeque<Parked>,
    /// The same of connections whose octets the engine divides itself.
    pub(super) undivided: VecDeque<Parked>,
    /// Connections to be read from: when what was read is used up, the other end is not behind with
    /// its own reading, and there are buffers.
    pub(super) to_read: VecDeque<u16>,
    /// Buffers that were used up in this turn.
    pub(super) used: Vec<u16>,
    tally: Arc<Tally>,
}

impl Connections {
    /// `None` where there are no sockets of streams.
    pub(super) fn open(
        first: usize,
        sockets: Vec<StreamSocket>,
        rules: Rules,
        tally: &Arc<Tally>,
        now: Instant,
    ) -> io::Result<Option<Self>> {
        if sockets.len() > STREAM_SOCKETS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(first) = u8::try_from(first).ok().filter(|_| !sockets.is_empty()) else {
            return Ok(None);
        };
        let places = usize::from(rules.connections_max);
        let kinds = (first..).zip(&sockets);
        let undivided =
            kinds.filter(|(_, socket)| socket.is_undivided()).map(|(id, _)| SocketId(id));
        let rules = Rules { undivided: undivided.collect(), ..rules };
        let mut streams = Streams::new(rules, Arc::clone(tally), now);
        if sockets.iter().any(|socket| matches!(socket, StreamSocket::Msrps(_))) {
            streams = streams.with_certificates();
        }
        let nothing = || Parked { index: 0, buffer: 0, len: 0, at: 0 };
        Ok(Some(Self {
            streams,
            sockets: sockets.into(),
            first,
            files: core::iter::repeat_with(|| None).take(places).collect(),
            parked: touched(STREAM_READS, nothing),
            undivided: touched(STREAM_READS, nothing),
            to_read: touched(places, || 0),
            used: Vec::with_capacity(STREAM_READS),
            tally: Arc::clone(tally),
        }))
    }

    /// The listeners with their sockets.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (SocketId, RawFd)> {
        (self.first..).zip(&self.sockets).filter_map(|(id, socket)| {
            socket.listener().map(|listener| (SocketId(id), listener.as_raw_fd()))
        })
    }

    /// Whether a socket is one of streams.
    pub(super) const fn has(&self, socket: SocketId) -> bool {
        socket.0 >= self.first && ((socket.0 - self.first) as usize) < self.sockets.len()
    }

    /// The file of a connection.
    pub(super) fn fd(&self, index: u16) -> Option<RawFd> {
        self.files[usize::from(index)].as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Whether something waits that no completion will tell of.
    pub(super) fn is_busy(&self) -> bool {
        let carried =
            |socket: &StreamSocket| socket.carrier().is_some_and(|carrier| carrier.is_waiting());
        let is_shown = |parked: &Parked| !self.streams.is_paused(parked.index);
        self.streams.is_busy()
            || !self.parked.is_empty()
            || self.undivided.iter().any(is_shown)
            || self.sockets.iter().any(carried)
    }

    /// Whether there is a connection that may be read from with so many buffers.
    pub(super) fn may_read(&self, buffers: usize) -> bool {
        let ready = |index: &u16| !self.streams.is_behind(*index);
        buffers > STREAM_READS / 4 && self.to_read.iter().any(ready)
    }

    /// The next connection that is to be read from now, if there is a buffer for it. Those that are
    /// behind wait.
    pub(super) fn next_to_read(&mut self, buffers: usize) -> Option<u16> {
        if buffers <= STREAM_READS / 4 {
            return None;
        }
        for _ in 0..self.to_read.len() {
            let index = self.to_read.pop_front()?;
            if !self.streams.is_behind(index) {
                return Some(index);
            }
            self.to_read.push_back(index);
        }
        None
    }

    /// A connection is not read from any more, and no read of it runs.
    pub(super) fn stop_reading(&mut self, index: u16) {
        if let Some(at) = self.to_read.iter().position(|of| *of == index) {
            self.to_read.remove(at);
        }
        if self.streams.is_read(index) {
            self.streams.read_ended(index, Err(libc::ECANCELED));
        }
    }

    /// How many reads wait for the messages in them to be taken.
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Takes note of a read.
    pub(super) fn park(&mut self, index: u16, buffer: u16, len: usize, now: Instant) {
        self.streams.read(index, now);
        let parked = Parked { index, buffer, len, at: 0 };
        match self.streams.is_undivided(index) {
            true => self.undivided.push_back(parked),
            false => self.parked.push_back(parked),
        }
    }

    /// Somebody has connected.
    pub(super) fn accepted(
        &mut self,
        file: OwnedFd,
        (socket, remote, local): (SocketId, Endpoint, [u8; 16]),
        now: Instant,
    ) -> Option<u16> {
        let index = self.streams.accept(remote, local, socket, now)?;
        self.files[usize::from(index)] = Some(file);
        Some(index)
    }

    /// The same of a connection that the kernel has just accepted from `name`: of one that has been
    /// reset since, it says so at that moment only.
    pub(super) fn accepted_from(
        &mut self,
        file: OwnedFd,
        socket: SocketId,
        name: &[u8],
        now: Instant,
    ) -> Option<u16> {
        let stream = Socket::from(file);
        let local = stream.local_addr().ok().and_then(|local| local.as_socket());
        let (Some(remote), Some(local)) = (address::read(name), local) else {
            self.count(Counter::AcceptErrors);
            return None;
        };
        prepare(&stream);
        self.accepted(stream.into(), (socket, remote, ip_octets(local.ip())), now)
    }

    /// Opens a socket for a connection that is to be opened. `None` when that is done elsewhere or has
    /// failed, which was told.
    pub(super) fn prepare(&mut self, index: u16, now: Instant) -> Option<(RawFd, Endpoint)> {
        let flow = self.streams.flow(index);
        let id = flow.connection?;
        match &self.sockets[usize::from(flow.socket.0 - self.first)] {
            StreamSocket::Tls(carrier) | StreamSocket::Msrps(carrier) => {
                let wanted = Wanted { id, socket: flow.socket, remote: flow.remote };
                if !carrier.want(wanted) {
                    self.streams.connected(index, Err(libc::EAGAIN), now);
                }
                None
            }
            StreamSocket::Tcp { address, .. } | StreamSocket::Msrp { address, .. } => {
                match leaving(*address) {
                    Ok(file) => {
                        let fd = file.as_raw_fd();
                        self.files[usize::from(index)] = Some(file.into());
                        Some((fd, flow.remote))
                    }
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or_default();
                        self.streams.connected(index, Err(errno), now);
                        None
                    }
                }
            }
        }
    }

    /// Connecting has succeeded, or not.
    pub(super) fn connected(&mut self, index: u16, result: Result<(), i32>, now: Instant) {
        let local = result.map(|()| {
            let file = self.files[usize::from(index)].as_ref();
            let name = file.and_then(|file| socket2::SockRef::from(file).local_addr().ok());
            let ip = name.and_then(|name| name.as_socket()).map(|name| name.ip());
            ip.map_or([0; 16], ip_octets)
        });
        self.streams.connected(index, local, now);
    }

    /// The error that is pending on a connection.
    pub(super) fn take_error(&self, index: u16) -> Option<i32> {
        let file = self.files[usize::from(index)].as_ref()?;
        let error = socket2::SockRef::from(file).take_error().ok()??;
        error.raw_os_error()
    }

    /// Closes the file of a connection.
    pub(super) fn close(&mut self, index: u16) {
        self.files[usize::from(index)] = None;
    }

    /// Looks at what was carried.
    pub(super) fn take_carried(&mut self, now: Instant) -> usize {
        let mut work = 0;
        for number in 0..self.sockets.len() {
            let Some(carrier) = self.sockets[number].carrier().map(Arc::clone) else { continue };
            for _ in 0..CARRIED_PER_TURN {
                let Some(carried) = carrier.carried() else { break };
                self.on_carried(carried, now);
                work += 1;
            }
        }
        work
    }

    fn on_carried(&mut self, carried: Carried, now: Instant) {
        match carried {
            Carried::Accepted { socket, remote, local, stream, certificate } => {
                if let Some(index) = self.accepted(stream, (socket, remote, local), now) {
                    self.streams.show_certificate(index, certificate);
                }
            }
            Carried::Opened { id, local, stream, certificate } => {
                if self.streams.flow(id.index).connection == Some(id)
                    && self.streams.is_connecting(id.index)
                {
                    self.files[usize::from(id.index)] = Some(stream);
                    self.streams.show_certificate(id.index, certificate);
                    self.streams.connected(id.index, Ok(local), now);
                }
            }
            Carried::Failed { id, errno } => {
                if self.streams.flow(id.index).connection == Some(id)
                    && self.streams.is_connecting(id.index)
                {
                    self.streams.connected(id.index, Err(errno), now);
                }
            }
        }
    }

    /// Puts what is in a slot into the outbox of its connection; the slot is free.
    pub(super) fn send(&mut self, slot: Slot, out: &mut Departures, now: Instant) {
        let departure = out.departure(&slot);
        self.streams.send(departure.flow, out.octets(&slot), departure.owner, now);
        out.release(slot);
    }

    /// Tells the owners of departures how they went, and ends what is overdue.
    pub(super) fn settle(
        &mut self,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut work = self.streams.expire(at, STREAM_TIMERS_PER_TURN_MAX);
        while let Some((owner, sent)) = self.streams.told() {
            on(Event::Sent { owner, sent, at }, out);
            work += 1;
        }
        work
    }

    /// Hands out one burst of at most `max` messages. `octets` says what is in a buffer. Buffers that
    /// are used up are put into [`Connections::used`].
    pub(super) fn burst<'a>(
        &mut self,
        octets: impl Fn(&Parked) -> &'a [u8],
        max: usize,
        at: Instant,
        out: &mut Departures,
        on: &mut impl FnMut(Event<'_>, &mut Departures),
    ) -> usize {
        let mut found = [None; BURST_SIZE];
        let max = max.min(BURST_SIZE);
        let mut count = 0;
        let mut looked_at = 0;
        // Every read is looked at once and keeps its place among those that are not used up.
        while looked_at < self.parked.len() && count < max {
            let mut parked = self.parked[looked_at];
            looked_at += 1;
            let read = octets(&parked);
            while count < max {
                match self.streams.next(parked.index, read, &mut parked.at, at) {
                    Next::Message(message) => {
                        found[count] = Some((message, read));
                        count += 1;
                    }
                    Next::Later => break,
                    Next::UsedUp => {
                        self.used.push(parked.buffer);
                        if self.streams.is_read(parked.index) {
                            self.to_read.push_back(parked.index);
                        }
                        parked.len = 0;
                        break;
                    }
                }
            }
            self.parked[looked_at - 1] = parked;
        }
        let mut arrivals = [NOTHING; BURST_SIZE];
        for (arrival, found) in arrivals.iter_mut().zip(found.iter().flatten()) {
            *arrival = self.arrival(found, at);
        }
        if count > 0 {
            on(Event::Burst(&arrivals[..count]), out);
        }
        self.streams.settle();
        self.parked.retain(|parked| parked.len > 0);
        count
    }

    fn arrival<'a>(&'a self, (message, read): &(Message, &'a [u8]), at: Instant) -> Arrival<'a> {
        let octets = match message.place {
            Place::Read { at, len } => &read[at..at + len],
            Place::Tail => self.streams.tail(message.index),
        };
        let flow = self.streams.flow(message.index);
        Arrival { flow, at, octets, truncated: message.truncated }
    }

    /// Octets of everything that is kept for connections and for what is read from them.
    pub(super) fn size(&self) -> usize {
        self.streams.size() + size_of_val(&*self.files) + STREAM_READS * STREAM_READ_SIZE
    }

    /// How many connections there may be.
    pub(super) fn places(&self) -> usize {
        self.files.len()
    }

    /// Counts what only a driver sees.
    pub(super) fn count(&self, counter: Counter) {
        self.tally.counters.add(counter);
    }
}

/// How long nobody is accepted when that has failed, in milliseconds.
pub(super) const ACCEPT_PAUSE_MS: u32 = 100;

/// Carried connections that are looked at in one turn.
const CARRIED_PER_TURN: usize = 8;

/// A socket that connects from this address.
fn leaving(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if !address.ip().is_unspecified() {
        // Which port it will be is settled by connecting, so that ports are not used up.
        let _ = set(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        socket.bind(&SocketAddr::new(address.ip(), 0).into())?;
    }
    prepare(&socket);
    Ok(socket)
}

/// What every connection has: nothing waits for more to be sent with it, and a peer that is gone is
/// noticed. None of it is worth losing a connection for.
pub(crate) fn prepare(socket: &Socket) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_SIZE);
    let patience = core::time::Duration::from_millis(u64::from(STREAM_STALLED_MS));
    let _ = socket.set_tcp_user_timeout(Some(patience));
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
}

const KEEP_ALIVE: core::time::Duration = core::time::Duration::from_secs(60);

/// Owns a file that the kernel has just opened.
#[expect(unsafe_code, reason = "a descriptor becomes an owner")]
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has opened the descriptor for us just now, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
