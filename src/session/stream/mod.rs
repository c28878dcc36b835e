//! The connections of one worker: who is connected, what has come, what waits to leave, what is due.
//!
//! Nothing here knows a system call. A driver does what [`Streams::order`] asks for, and tells how
//! it went; a simulator does the same over a network of its own.
//!
//! # The life of a connection
//!
//! ```text
//!  accept ─────────────> Open ──(end of input)──> Ended ──┐
//!  send ──> Connecting ──┘ │                              ├──> Closing ──(no operation left)──> gone
//!               └──────────┴──(error, limit, framing)─────┘
//! ```
//!
//! What was read before the end of the input is taken before the connection is closed (hazard H28:
//! a 200 and the FIN in one segment), and what was put into its outbox before is written. When
//! writing fails, what has come may still be read: the kernel keeps it beyond a reset.
//!
//! # Whose octets
//!
//! A read belongs to the driver and stays *parked* there until all messages in it were taken. The
//! messages of a burst lie in parked reads and in tails ([`Message::place`]), and stay there until
//! [`Streams::settle`]. The outbox belongs to the connection, and from [`Order::Write`] to
//! [`Streams::written`] the driver may read what [`Streams::unwritten`] shows.
//!
//! Of some sockets the engine divides the octets itself: of their connections nothing is a message here
//! ([`Streams::show`] in the place of [`Streams::next`], [`Streams::offer`] in that of [`Streams::send`]).

mod elsewhere;
mod inbox;
mod lifecycle;
mod outbox;
mod rules;
mod showing;
#[cfg(test)]
mod tests;
mod undivided;

use std::collections::VecDeque;
use std::sync::Arc;

use core::num::NonZeroU32;

use self::elsewhere::Stray;
use self::inbox::{Found, Inbox, Tails};
use self::outbox::Outbox;
pub use self::rules::Rules;
use self::undivided::{REFUSED_MAX, Undivided};
use crate::limits::{OUTBOX_OWNERS, OUTBOX_SIZE, OUTBOXES, SLOTS_MAX, STREAM_READ_SIZE};
use crate::metrics::{Counter, Tally};
use crate::packet::{Certificate, Endpoint, Flow, Owner, Sent, SocketId};
use crate::time::{Instant, Wheel};

/// What a driver is to do. Each order is given once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Connect to [`Streams::flow`]'s remote end, then say [`Streams::connected`].
    Connect(u16),
    /// Read and say [`Streams::read`] for each read, until [`Streams::read_ended`]. There is no need
    /// to hurry: a driver reads again when the last read is used up, so that nobody takes the room of
    /// others, when the connection is not [`Streams::is_behind`], and when there is room. Until then
    /// it keeps the order.
    Read(u16),
    /// Write [`Streams::unwritten`] or the beginning of it, then say [`Streams::written`].
    Write(u16),
    /// End every operation on it that has not ended, each of which still says how it went.
    Shut(u16),
    /// Close it: no operation is left. The place is given to another connection afterwards.
    Close(u16),
}

/// One message that came on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The place of its connection.
    pub index: u16,
    /// Where its octets are.
    pub place: Place,
    /// Whether it is longer than what is held.
    pub truncated: bool,
}

/// Where the octets of a message are, until [`Streams::settle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the read that it was found in, from `at` on.
    Read {
        /// Where it begins.
        at: usize,
        /// How many octets.
        len: usize,
    },
    /// In the tail of its connection: [`Streams::tail`].
    Tail,
}

/// What the next part of a parked read is.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// A message.
    Message(Message),
    /// Nothing: the read is used up, and its buffer is free.
    UsedUp,
    /// To be asked again after [`Streams::settle`].
    Later,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Free,
    Connecting,
    Open,
    /// The other end sends nothing more, or takes nothing more.
    Ended,
    Closing,
}

/// The operations that a driver has begun for a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    connect: bool,
    read: bool,
    write: bool,
}

impl Running {
    const fn any(self) -> bool {
        self.connect || self.read || self.write
    }
}

#[derive(Debug)]
struct Connection {
    state: State,
    generation: NonZeroU32,
    flow: Flow,
    /// Who has opened it; `None` for us.
    source: Option<usize>,
    running: Running,
    inbox: Inbox,
    outbox: Option<usize>,
    /// Reads of it that are parked.
    parked: u32,
    /// Its tail is part of the present burst.
    is_lent: bool,
    /// The rest of a read waits for the tail, so that later reads must wait as well.
    is_waiting: bool,
    /// Octets could be exchanged: it was accepted, or connecting has succeeded.
    was_open: bool,
    /// When the last octet came or left, or the connecting began.
    heard: Instant,
    /// Since when a message has begun and not ended.
    in_message: Option<Instant>,
    /// Since when something waits that has not been written.
    stalled: Option<Instant>,
    /// When its timer fires.
    due: Instant,
    /// What it has besides if the engine divides its octets itself.
    undivided: Option<Undivided>,
    /// It is in the list of those about which something is to be told.
    is_stirred: bool,
    /// Its place is in one of the lines for room, be it from an earlier connection.
    is_in_line: bool,
}

/// All connections of one worker.
#[derive(Debug)]
pub struct Streams {
    rules: Rules,
    connections: Box<[Connection]>,
    /// Free places, the one that was freed first in front.
    free: VecDeque<u16>,
    /// Those that we have opened, by where they go.
    opened: Vec<(Endpoint, SocketId, u16)>,
    /// Where connecting has failed, and until when it is not tried again.
    failed: VecDeque<(Endpoint, SocketId, Instant)>,
    accepted: u16,
    /// How many connections each source has.
    sources: Box<[u16]>,
    tails: Tails,
    outboxes: Box<[Outbox]>,
    outboxes_free: Vec<usize>,
    /// How many connections have one whose octets the engine divides.
    outboxes_given: usize,
    /// Whose outbox each of them is, or was last.
    holders: Box<[u16]>,
    orders: VecDeque<Order>,
    /// Outboxes of connections that have ended, with something that others may write.
    strays: VecDeque<Stray>,
    /// Owners of departures that were written, or will not be.
    told: VecDeque<(Owner, Sent)>,
    /// Connections whose tail is lent, or that wait for that.
    touched: Vec<u16>,
    /// Of connections whose octets the engine divides: those about which something is to be told, those
    /// that have an outbox and are offered room, and those that wait for an outbox.
    stirred: VecDeque<u16>,
    line: VecDeque<u16>,
    boxless: VecDeque<u16>,
    /// Who is to be told that there will be no connection.
    refused: VecDeque<Owner>,
    /// What the other ends have shown, by place; empty where none of these connections is encrypted.
    certificates: Box<[Option<Certificate>]>,
    /// How many connections that were wished for go to each address.
    wished: Vec<([u8; 16], u16)>,
    /// How many may keep back a long read.
    long_reads: usize,
    /// Octets that were put into their outboxes, ever.
    offered: u64,
    wheel: Wheel,
    tally: Arc<Tally>,
}

/// The deadline of a timer that does not run.
const NEVER: Instant = Instant(u64::MAX);

/// How long a connection is left alone whose timer has fired for nothing.
const TIMER_PAUSE_MS: u32 = 8;

/// How many places are remembered where connecting has failed.
const FAILED_MAX: usize = 64;

impl Streams {
    /// Allocates and touches everything that `rules` ask for.
    ///
    /// # Panics
    ///
    /// Panics if there are more connections than a [`crate::packet::ConnectionId`] can name.
    pub fn new(rules: Rules, tally: Arc<Tally>, now: Instant) -> Self {
        rules.check();
        let connections = rules.connections_max;
        let places = usize::from(connections);
        let nobody = || Connection {
            state: State::Free,
            generation: NonZeroU32::MIN,
            flow: Flow::NOWHERE,
            source: None,
            running: Running::default(),
            inbox: Inbox::default(),
            outbox: None,
            parked: 0,
            is_lent: false,
            is_waiting: false,
            was_open: false,
            heard: now,
            in_message: None,
            stalled: None,
            due: NEVER,
            undivided: None,
            is_stirred: false,
            is_in_line: false,
        };
        // A connection has each order waiting once at most. Told are the owners in all outboxes, and
        // those whose departures find no connection.
        let owners = OUTBOXES * OUTBOX_OWNERS + SLOTS_MAX;
        let mut told: VecDeque<_> = core::iter::repeat_n((Owner(0), Ok(())), owners).collect();
        told.clear();
        Self {
            connections: core::iter::repeat_with(nobody).take(places).collect(),
            free: (0..connections).collect(),
            opened: Vec::with_capacity(places),
            failed: VecDeque::with_capacity(FAILED_MAX),
            accepted: 0,
            sources: core::iter::repeat_n(0, rules.sources()).collect(),
            tails: Tails::new(connections),
            outboxes: core::iter::repeat_with(Outbox::new).take(OUTBOXES).collect(),
            outboxes_free: (0..OUTBOXES).collect(),
            outboxes_given: 0,
            holders: core::iter::repeat_n(0, OUTBOXES).collect(),
            orders: VecDeque::with_capacity(5 * places),
            strays: VecDeque::with_capacity(OUTBOXES),
            told,
            touched: Vec::with_capacity(places),
            stirred: VecDeque::with_capacity(places),
            line: VecDeque::with_capacity(places),
            boxless: VecDeque::with_capacity(places),
            refused: VecDeque::with_capacity(REFUSED_MAX),
            certificates: Box::default(),
            wished: Vec::with_capacity(places),
            long_reads: 0,
            offered: 0,
            wheel: Wheel::new(u32::from(connections), now),
            rules,
            tally,
        }
    }

    /// Makes room for the certificates of connections whose octets the engine divides itself.
    #[must_use]
    pub fn with_certificates(self) -> Self {
        let certificates = core::iter::repeat_n(None, self.connections.len()).collect();
        Self { certificates, ..self }
    }

    /// The other end of a connection has shown this, and has its key. Said before [`Streams::tell`].
    pub fn show_certificate(&mut self, index: u16, certificate: Option<Certificate>) {
        if let Some(place) = self.certificates.get_mut(usize::from(index)) {
            *place = certificate;
        }
    }

    /// How many octets the connections take, used or not.
    pub fn size(&self) -> usize {
        size_of_val(&*self.connections)
            + size_of_val(&*self.certificates)
            + self.tails.size()
            + OUTBOXES * Outbox::SIZE
            + self.connections.len() * (Wheel::entry_size() + 5 * size_of::<Order>())
    }

    /// What is to be done next, in the order in which it became necessary.
    pub fn order(&mut self) -> Option<Order> {
        let order = self.orders.pop_front()?;
        if let Order::Close(index) = order {
            // Not before: what the driver still has at this place is that of the old connection.
            self.free.push_back(index);
            self.show_open();
        }
        Some(order)
    }

    /// An owner of a departure that was written, or never will be.
    pub fn told(&mut self) -> Option<(Owner, Sent)> {
        self.told.pop_front()
    }

    /// Whether something is to be done or told: by [`Streams::expire`], [`Streams::tell`] and
    /// [`Streams::offer`], too.
    pub fn is_busy(&self) -> bool {
        let is_told = self.told.is_empty() && !self.is_stirred();
        !self.orders.is_empty() || !is_told || !self.strays.is_empty()
    }

    /// Whether a connection that has nothing waiting may get something: else what was put into others is
    /// to be written before.
    pub fn has_outbox(&self) -> bool {
        !self.outboxes_free.is_empty()
    }

    /// Whether something waits to be written.
    pub fn is_writing(&self) -> bool {
        self.outboxes_free.len() < self.outboxes.len()
    }

    /// Where octets of a connection come from and go to.
    pub fn flow(&self, index: u16) -> Flow {
        self.connections[usize::from(index)].flow
    }

    /// Whether a connection is being opened.
    pub fn is_connecting(&self, index: u16) -> bool {
        self.connections[usize::from(index)].state == State::Connecting
    }

    /// What a connection may write now. What is shown last before [`Streams::written`] is what that is
    /// about.
    pub fn unwritten(&mut self, index: u16) -> &[u8] {
        self.note_given(index);
        match self.connections[usize::from(index)].outbox {
            Some(outbox) => self.outboxes[outbox].unwritten(),
            None => &[],
        }
    }

    /// Whether it is to be read from.
    pub fn is_read(&self, index: u16) -> bool {
        self.connections[usize::from(index)].running.read
    }

    /// Whether so much waits for the other end that it should not be read from: whoever does not read
    /// what is answered to him asks for nothing more. What comes on a connection that we have opened
    /// are answers, which ask for none. Where the engine divides the octets, it says itself when.
    pub fn is_behind(&self, index: u16) -> bool {
        if self.is_undivided(index) {
            return self.is_paused(index);
        }
        let connection = &self.connections[usize::from(index)];
        let outbox = connection.outbox.filter(|_| connection.source.is_some());
        outbox.is_some_and(|outbox| self.outboxes[outbox].waiting() >= OUTBOX_SIZE / 4)
    }

    /// How many octets may be read from it at once: the shortest requests are answered with nearly twice
    /// their octets, and who sends many of them before he reads is waited for, not ended.
    pub fn readable(&mut self, index: u16) -> usize {
        if self.is_undivided(index) {
            return self.long_or_short(index);
        }
        let connection = &self.connections[usize::from(index)];
        let outbox = connection.outbox.filter(|_| connection.source.is_some());
        let waiting = outbox.map_or(0, |outbox| self.outboxes[outbox].waiting());
        // Never none: that would look like the end of what comes.
        ((OUTBOX_SIZE - waiting) / 2).clamp(STREAM_READ_SIZE / 2, STREAM_READ_SIZE)
    }

    /// What is in the tail of a connection, where a message was found there.
    pub fn tail(&self, index: u16) -> &[u8] {
        self.tails.octets(index, &self.connections[usize::from(index)].inbox)
    }

    /// Somebody has connected. `None` if that is not wanted and is to be closed at once.
    pub fn accept(
        &mut self,
        remote: Endpoint,
        local: [u8; 16],
        socket: SocketId,
        now: Instant,
    ) -> Option<u16> {
        let source = self.rules.source(remote.ip, socket).filter(|(source, max)| {
            self.accepted < self.rules.accepted_max() && self.sources[*source] < *max
        });
        let place = source.and_then(|(source, _)| Some((source, self.free.pop_front()?)));
        let Some((source, index)) = place else {
            self.count(Counter::ConnectionsRefused);
            return None;
        };
        self.accepted += 1;
        self.sources[source] += 1;
        self.begin(index, Flow { local, ..Flow::to(remote, socket) }, State::Open, now);
        self.connection(index).source = Some(source);
        if self.rules.is_undivided(socket) {
            self.connection(index).undivided = Some(Undivided::default());
            self.stir(index);
        }
        self.count(Counter::ConnectionsAccepted);
        self.order_read(index);
        Some(index)
    }

    /// Puts a departure into the outbox of its connection; where that is gone, of one to where it goes,
    /// which is opened if there is none. That is made up for when the connection ends before the first
    /// octet was written. Its owner is told by [`Streams::told`], here or later.
    pub fn send(&mut self, flow: Flow, octets: &[u8], owner: Option<Owner>, now: Instant) {
        let named = self.named(flow);
        let port = if named.is_some() { flow.remote.port } else { 0 };
        let index = match named.or_else(|| self.opened_to(flow)) {
            Some(index) => Ok(index),
            None => self.connect(flow, now),
        };
        let put = index.and_then(|index| self.put(index, (octets, port), owner, now));
        match put {
            Ok(()) => self.count(Counter::StreamMessagesOut),
            Err(error) => {
                self.count(Counter::SendRefused);
                if let Some(owner) = owner {
                    self.told.push_back((owner, Err(error)));
                }
            }
        }
    }

    /// How connecting went: our own address, or an errno.
    pub fn connected(&mut self, index: u16, result: Result<[u8; 16], i32>, now: Instant) {
        let connection = self.connection(index);
        connection.running.connect = false;
        if connection.state != State::Connecting {
            return self.wind_up(index);
        }
        match result {
            Ok(local) => {
                connection.state = State::Open;
                connection.was_open = true;
                connection.flow.local = local;
                connection.heard = now;
                self.count(Counter::ConnectionsOpened);
                self.schedule(index);
                self.order_read(index);
                self.order_write(index, now);
                self.stir(index);
            }
            Err(_) => self.fail(index, now),
        }
    }

    /// A read has come, and is parked until [`Streams::next`] says that it is used up.
    pub fn read(&mut self, index: u16, now: Instant) {
        let connection = self.connection(index);
        connection.parked += 1;
        connection.heard = now;
    }

    /// The next message of a parked read of this connection, which is used up to `at`.
    pub fn next(&mut self, index: u16, read: &[u8], at: &mut usize, now: Instant) -> Next {
        let Self { connections, tails, .. } = self;
        let connection = &mut connections[usize::from(index)];
        match connection.state {
            State::Open | State::Ended => {}
            State::Free | State::Connecting | State::Closing => return self.used_up(index),
        }
        if connection.is_waiting {
            return Next::Later;
        }
        let mut pings = 0;
        let Connection { inbox, is_lent, .. } = connection;
        let was_skipping = inbox.is_skipping();
        let found = inbox.next(tails, index, (read, at), *is_lent, &mut pings);
        let has_ended = was_skipping && !inbox.is_skipping();
        let is_whole = matches!(found, Found::InTail { .. }) || *is_lent;
        let is_in_message = inbox.is_skipping() || (inbox.has_begun() && !is_whole);
        // The next message has a time of its own.
        if !is_in_message || has_ended {
            connection.in_message = None;
        }
        if is_in_message && connection.in_message.is_none() {
            connection.in_message = Some(now);
            self.schedule(index);
        }
        if pings > 0 {
            self.answer_ping(index, now);
        }
        let message = |place, truncated| Next::Message(Message { index, place, truncated });
        match found {
            Found::Here { at, len, truncated } => {
                self.count_message(truncated);
                message(Place::Read { at, len }, truncated)
            }
            Found::InTail { truncated } => {
                self.count_message(truncated);
                let connection = self.connection(index);
                connection.is_lent = true;
                self.touched.push(index);
                message(Place::Tail, truncated)
            }
            Found::Nothing => self.used_up(index),
            Found::TailLent => {
                self.connection(index).is_waiting = true;
                Next::Later
            }
            Found::Unframed => {
                self.count(Counter::ClosedUnframed);
                self.shut(index);
                self.used_up(index)
            }
            Found::NoTail => {
                // Whoever has kept a message unfinished for longest makes room.
                let oldest = self.oldest_in_message().unwrap_or(index);
                self.count(Counter::ClosedNoRoom);
                self.shut(oldest);
                if oldest == index { self.used_up(index) } else { self.next(index, read, at, now) }
            }
        }
    }

    /// The messages of the present burst are not looked at any more.
    pub fn settle(&mut self) {
        while let Some(index) = self.touched.pop() {
            let Self { connections, tails, .. } = self;
            let connection = &mut connections[usize::from(index)];
            connection.is_lent = false;
            connection.is_waiting = false;
            tails.clear(&mut connection.inbox);
            self.wind_up(index);
        }
    }

    /// Reading has ended: nothing more comes, or an errno.
    pub fn read_ended(&mut self, index: u16, result: Result<(), i32>) {
        let connection = self.connection(index);
        connection.running.read = false;
        match (connection.state, result) {
            (State::Open, Ok(())) => {
                connection.state = State::Ended;
                self.count(Counter::ConnectionsEnded);
                self.forget_opened(index);
                self.end(index);
            }
            (State::Open, Err(_)) => {
                self.count(Counter::ConnectionsReset);
                self.note_broken(index);
                self.break_off(index);
            }
            (State::Ended, _) => self.end(index),
            (State::Connecting | State::Closing | State::Free, _) => self.wind_up(index),
        }
    }

    /// How a write went: how many octets, or an errno and none.
    pub fn written(&mut self, index: u16, result: Result<usize, i32>, now: Instant) {
        let Self { connections, outboxes, told, .. } = self;
        let connection = &mut connections[usize::from(index)];
        connection.running.write = false;
        if let (Ok(len), Some(outbox)) = (result, connection.outbox) {
            let outbox = &mut outboxes[outbox];
            outbox.write(len);
            connection.heard = now;
            if outbox.is_marked_written() {
                connection.stalled = None;
            }
            while let Some(owner) = outbox.pop_written() {
                told.push_back((owner, Ok(())));
            }
        }
        let state = connection.state;
        self.note_written(index, result);
        match (state, result) {
            (State::Open | State::Ended, Ok(_)) => {
                self.order_write(index, now);
                self.end(index);
            }
            (State::Open | State::Ended, Err(_)) => {
                self.count(Counter::ConnectionsReset);
                self.empty_outbox(index);
                // Reading ends by itself now, but is not waited for without end.
                self.connection(index).stalled = Some(now);
                self.schedule(index);
                self.break_off(index);
            }
            (State::Connecting | State::Closing | State::Free, _) => self.wind_up(index),
        }
    }

    /// Does what is due: at most `limit` connections. Says how many. What connections have not written
    /// that have ended is given to others.
    pub fn expire(&mut self, now: Instant, limit: usize) -> usize {
        self.send_strays(now);
        let mut expired = 0;
        while expired < limit
            && let Some(index) = self.wheel.expire(now)
        {
            expired += 1;
            #[expect(clippy::cast_possible_truncation, reason = "the wheel has no other indices")]
            let index = index as u16;
            self.connection(index).due = NEVER;
            match self.overdue(index, now) {
                Some(Counter::ConnectionsFailed) => self.fail(index, now),
                Some(Counter::ClosedUnread) => self.give_up(index, Counter::ClosedUnread),
                Some(why) => {
                    self.count(why);
                    self.shut(index);
                }
                None => self.reschedule(index, now),
            }
        }
        expired
    }

    /// A moment before which [`Streams::expire`] has nothing to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next()
    }
}
