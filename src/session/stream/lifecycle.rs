//! How connections begin, wait for each other, and end: what is done inside of [`Streams`].

use core::num::NonZeroU32;

use super::elsewhere::Stray;
use super::inbox::Inbox;
use super::{Connection, FAILED_MAX, NEVER, Next, Order, State, Streams, TIMER_PAUSE_MS};
use crate::limits::{
    CONNECTIONS_TO_ONE_MAX, MSRP_END_LINE_SIZE_MAX, MSRP_IDLE_MS, MSRP_STALLED_MS, OUTBOXES,
    OUTBOXES_SPARE, STREAM_CONNECT_MS, STREAM_HEADER_MS, STREAM_RETRY_MS, STREAM_SLOW_MS,
    STREAM_STALLED_MS,
};
use crate::metrics::Counter;
use crate::packet::{ConnectionId, Endpoint, Flow, Owner, SendError, SocketId};
use crate::time::Instant;

impl Streams {
    pub(super) fn connection(&mut self, index: u16) -> &mut Connection {
        &mut self.connections[usize::from(index)]
    }

    pub(super) fn count(&self, counter: Counter) {
        self.tally.counters.add(counter);
    }

    pub(super) fn count_message(&self, truncated: bool) {
        self.count(Counter::StreamMessagesIn);
        if truncated {
            self.count(Counter::StreamMessagesCut);
        }
    }

    pub(super) fn begin(&mut self, index: u16, flow: Flow, state: State, now: Instant) {
        let worker = self.rules.worker;
        let connection = self.connection(index);
        let generation = connection.generation;
        connection.state = state;
        connection.flow =
            Flow { connection: Some(ConnectionId { generation, index, worker }), ..flow };
        connection.was_open = state == State::Open;
        connection.heard = now;
        connection.due = NEVER;
        // What was shown here was another connection's.
        self.show_certificate(index, None);
        self.schedule(index);
        self.show_open();
    }

    pub(super) fn show_open(&self) {
        let open = self.connections.len() - self.free.len();
        self.tally.counters.set(Counter::ConnectionsOpen, open as u64);
    }

    /// The connection that a departure is to leave on, if it is there.
    pub(super) fn named(&self, flow: Flow) -> Option<u16> {
        let id = flow.connection.filter(|id| id.worker == self.rules.worker)?;
        let connection = self.connections.get(usize::from(id.index))?;
        let is_it = connection.generation == id.generation && connection.state == State::Open;
        (is_it && connection.undivided.is_none()).then_some(id.index)
    }

    /// The connection that we have opened to where a departure goes.
    pub(super) fn opened_to(&self, flow: Flow) -> Option<u16> {
        let goes = |(remote, socket, _): &&(Endpoint, SocketId, u16)| {
            *remote == flow.remote && *socket == flow.socket
        };
        self.opened.iter().find(goes).map(|(_, _, index)| *index)
    }

    /// Whether connecting there may be tried.
    pub(super) fn may_connect(&mut self, flow: Flow, now: Instant) -> bool {
        while self.failed.front().is_some_and(|(_, _, until)| *until <= now) {
            self.failed.pop_front();
        }
        let has_failed = |(remote, socket, until): &(Endpoint, SocketId, Instant)| {
            *remote == flow.remote && *socket == flow.socket && *until > now
        };
        flow.remote.port != 0 && !self.failed.iter().any(has_failed)
    }

    pub(super) fn connect(&mut self, flow: Flow, now: Instant) -> Result<u16, SendError> {
        // Nobody divides there what a departure is.
        if !self.may_connect(flow, now) || self.rules.is_undivided(flow.socket) {
            return Err(SendError::NoConnection);
        }
        // Where answers go is up to whoever has asked, who must not take all places.
        let same = self.opened.iter().filter(|(remote, _, _)| remote.ip == flow.remote.ip);
        if same.count() >= CONNECTIONS_TO_ONE_MAX {
            return Err(SendError::NoConnection);
        }
        let index = self.free.pop_front().ok_or(SendError::NoConnection)?;
        self.begin(index, Flow::to(flow.remote, flow.socket), State::Connecting, now);
        self.opened.push((flow.remote, flow.socket, index));
        self.connection(index).running.connect = true;
        self.orders.push_back(Order::Connect(index));
        Ok(index)
    }

    pub(super) fn put(
        &mut self,
        index: u16,
        (octets, port): (&[u8], u16),
        owner: Option<Owner>,
        now: Instant,
    ) -> Result<(), SendError> {
        let Some(outbox) = self.outbox(index, now) else {
            // An answer that gets lost would never be missed as long as the connection is there.
            self.count(Counter::ClosedNoRoom);
            self.shut(index);
            return Err(SendError::NotWritten);
        };
        if self.outboxes[outbox].put(octets, port, owner) {
            self.order_write(index, now);
            return Ok(());
        }
        if self.connection(index).source.is_none() {
            // Nobody has accepted it here yet: somebody else may take it. What was put in before is
            // written as long as the other end reads at all.
            return Err(SendError::NotWritten);
        }
        // Whoever does not read what is answered to him is not waited for.
        self.give_up(index, Counter::ClosedUnread);
        Err(SendError::NotWritten)
    }

    /// Closes the connection of somebody who has not read what was written to him.
    pub(super) fn give_up(&mut self, index: u16, why: Counter) {
        self.count(why);
        if let Some(outbox) = self.connection(index).outbox {
            self.outboxes[outbox].forget_elsewhere();
        }
        self.shut(index);
    }

    /// The outbox of a connection, which gets one if it has none.
    pub(super) fn outbox(&mut self, index: u16, now: Instant) -> Option<usize> {
        if let Some(outbox) = self.connection(index).outbox {
            return Some(outbox);
        }
        // The same share of those that the engine does not hold itself.
        let share = OUTBOXES_SPARE * (OUTBOXES - self.outboxes_given) / OUTBOXES;
        if self.outboxes_free.len() < share {
            self.regain_outbox(now);
        }
        let outbox = self.outboxes_free.pop()?;
        self.outboxes_given += usize::from(self.is_undivided(index));
        self.holders[outbox] = index;
        self.connection(index).outbox = Some(outbox);
        Some(outbox)
    }

    /// Closes the connection whose outbox has not been emptied for longest, if that is long.
    pub(super) fn regain_outbox(&mut self, now: Instant) {
        let slowest = (0..)
            .zip(&self.holders)
            .filter_map(|(outbox, index)| {
                let connection = &self.connections[usize::from(*index)];
                let is_held = connection.outbox == Some(outbox);
                let since = connection.stalled.unwrap_or(connection.heard);
                // Those whose octets the engine divides take none of the last ones, and owe nobody any.
                let owes = connection.state != State::Closing && connection.undivided.is_none();
                (is_held && owes).then_some((since, *index))
            })
            .min();
        if let Some((since, index)) = slowest
            && since.plus_ms(STREAM_SLOW_MS) <= now
        {
            self.give_up(index, Counter::ClosedNoRoom);
        }
    }

    pub(super) fn answer_ping(&mut self, index: u16, now: Instant) {
        let Connection { state, outbox, .. } = self.connections[usize::from(index)];
        // Whose keep-alive stays without an answer asks again.
        let has_room = outbox.is_some() || self.outboxes_free.len() > OUTBOXES_SPARE;
        if state == State::Open && has_room && self.put(index, (b"\r\n", 0), None, now).is_ok() {
            self.count(Counter::KeepAlivesAnswered);
        }
    }

    pub(super) fn order_read(&mut self, index: u16) {
        self.connection(index).running.read = true;
        self.orders.push_back(Order::Read(index));
    }

    /// Writes what there is to write, unless that is being done.
    pub(super) fn order_write(&mut self, index: u16, now: Instant) {
        let Self { connections, outboxes, outboxes_free, orders, .. } = self;
        let connection = &mut connections[usize::from(index)];
        let Some(outbox) = connection.outbox else { return };
        if connection.running.write || connection.state == State::Connecting {
            return;
        }
        if outboxes[outbox].is_empty() {
            outboxes[outbox].clear();
            outboxes_free.push(outbox);
            connection.outbox = None;
            self.outboxes_given -= usize::from(connection.undivided.is_some());
            return self.on_emptied(index);
        }
        connection.running.write = true;
        orders.push_back(Order::Write(index));
        if connection.stalled.is_none() {
            connection.stalled = Some(now);
            outboxes[outbox].mark();
            self.schedule(index);
        }
    }

    /// A parked read is used up.
    pub(super) fn used_up(&mut self, index: u16) -> Next {
        let connection = self.connection(index);
        connection.parked -= 1;
        self.end(index);
        self.wind_up(index);
        Next::UsedUp
    }

    /// Closes a connection that has ended, when everything was taken and written.
    pub(super) fn end(&mut self, index: u16) {
        // An answer to what has just come may still be put in: it is looked at later.
        self.stir(index);
        let connection = self.connection(index);
        let uses = connection.running.read || connection.parked > 0 || connection.outbox.is_some();
        if connection.state == State::Ended && !uses && connection.undivided.is_none() {
            self.shut(index);
        }
    }

    /// After an error nothing is put into a connection any more, but what has come is taken.
    pub(super) fn break_off(&mut self, index: u16) {
        let connection = self.connection(index);
        let is_read = connection.parked > 0 || connection.running.read;
        if !is_read && connection.undivided.is_none() {
            return self.shut(index);
        }
        connection.state = State::Ended;
        self.forget_opened(index);
        self.end(index);
    }

    /// Connecting has failed.
    pub(super) fn fail(&mut self, index: u16, now: Instant) {
        let Flow { remote, socket, .. } = self.flow(index);
        if self.failed.len() == FAILED_MAX {
            self.failed.pop_front();
        }
        self.failed.push_back((remote, socket, now.plus_ms(STREAM_RETRY_MS)));
        self.count(Counter::ConnectionsFailed);
        self.shut(index);
    }

    /// Begins to close a connection. Nothing is taken from it or put into it any more.
    pub(super) fn shut(&mut self, index: u16) {
        self.forget_opened(index);
        let Self { connections, tails, orders, .. } = self;
        let connection = &mut connections[usize::from(index)];
        if matches!(connection.state, State::Closing | State::Free) {
            return;
        }
        connection.state = State::Closing;
        connection.due = NEVER;
        if connection.running.any() {
            orders.push_back(Order::Shut(index));
        }
        if !connection.is_lent {
            tails.clear(&mut connection.inbox);
        }
        self.wheel.stop(u32::from(index));
        self.wind_up(index);
    }

    /// Frees the place of a connection that is closing, when nothing uses it any more.
    pub(super) fn wind_up(&mut self, index: u16) {
        let connection = self.connection(index);
        let uses = connection.running.any() || connection.parked > 0 || connection.is_lent;
        if connection.state != State::Closing || uses {
            return;
        }
        self.empty_outbox(index);
        if self.is_to_be_mourned(index) {
            return;
        }
        self.forget_undivided(index);
        let Self { connections, tails, .. } = self;
        let connection = &mut connections[usize::from(index)];
        tails.clear(&mut connection.inbox);
        connection.inbox = Inbox::default();
        connection.state = State::Free;
        connection.generation = connection.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        connection.is_waiting = false;
        (connection.in_message, connection.stalled) = (None, None);
        if let Some(source) = connection.source.take() {
            self.accepted -= 1;
            self.sources[source] -= 1;
        }
        self.orders.push_back(Order::Close(index));
    }

    /// Tells the owners of what will not be written any more, or finds it another connection soon.
    pub(super) fn empty_outbox(&mut self, index: u16) {
        let Self { connections, outboxes, outboxes_free, outboxes_given, told, strays, .. } = self;
        let connection = &mut connections[usize::from(index)];
        let Some(outbox) = connection.outbox.take() else { return };
        *outboxes_given -= usize::from(connection.undivided.is_some());
        if outboxes[outbox].has_elsewhere() {
            let Flow { remote, socket, .. } = connection.flow;
            return strays.push_back(Stray { outbox, ip: remote.ip, socket });
        }
        let never = match connection.was_open {
            true => SendError::NotWritten,
            false => SendError::NoConnection,
        };
        while let Some(left) = outboxes[outbox].pop_left() {
            let error = if left.is_begun { SendError::Other(libc::EPIPE) } else { never };
            told.extend(left.owner.map(|owner| (owner, Err(error))));
        }
        outboxes[outbox].clear();
        outboxes_free.push(outbox);
    }

    pub(super) fn forget_opened(&mut self, index: u16) {
        if self.connections[usize::from(index)].source.is_none()
            && let Some(at) = self.opened.iter().position(|(_, _, of)| *of == index)
        {
            self.opened.swap_remove(at);
        }
    }

    pub(super) fn oldest_in_message(&self) -> Option<u16> {
        (0..)
            .zip(&self.connections)
            .filter(|(_, connection)| connection.inbox.has_large() && !connection.is_lent)
            .min_by_key(|(_, connection)| connection.in_message.unwrap_or(connection.heard))
            .map(|(index, _)| index)
    }

    /// Why the time of a connection is over, if it is.
    pub(super) fn overdue(&self, index: u16, now: Instant) -> Option<Counter> {
        let connection = &self.connections[usize::from(index)];
        let over = |since: Instant, ms: u32| since.plus_ms(ms) <= now;
        if connection.state == State::Connecting {
            return over(connection.heard, STREAM_CONNECT_MS).then_some(Counter::ConnectionsFailed);
        }
        let is_stalled = connection.stalled.is_some_and(|since| over(since, STREAM_STALLED_MS));
        // What is not read here is not the other end's delay.
        let is_due = connection.undivided.is_some_and(|undivided| undivided.is_due);
        let is_ours = connection.parked > 0 || is_due || self.is_behind(index);
        if is_ours && (connection.outbox.is_none() || !is_stalled) {
            return None;
        }
        if is_stalled {
            return Some(Counter::ClosedUnread);
        }
        let [unfinished_ms, idle_ms] = self.patience_ms(connection);
        if connection.in_message.is_some_and(|since| over(since, unfinished_ms)) {
            return Some(Counter::ClosedSlow);
        }
        over(connection.heard, idle_ms).then_some(Counter::ClosedIdle)
    }

    /// How long a message may be unfinished, and a connection silent.
    fn patience_ms(&self, connection: &Connection) -> [u32; 2] {
        match connection.undivided {
            None => [STREAM_HEADER_MS, self.rules.idle_ms],
            Some(_) if connection.inbox.len() <= MSRP_END_LINE_SIZE_MAX => {
                [MSRP_STALLED_MS, MSRP_IDLE_MS]
            }
            Some(_) => [STREAM_HEADER_MS, MSRP_IDLE_MS],
        }
    }

    /// Starts the timer of a connection, unless it fires early enough.
    pub(super) fn schedule(&mut self, index: u16) {
        self.reschedule(index, Instant(0));
    }

    /// The same, not to fire until after `earliest`.
    pub(super) fn reschedule(&mut self, index: u16, earliest: Instant) {
        let [unfinished_ms, idle_ms] = self.patience_ms(&self.connections[usize::from(index)]);
        let connection = &mut self.connections[usize::from(index)];
        let due = if connection.state == State::Connecting {
            connection.heard.plus_ms(STREAM_CONNECT_MS)
        } else {
            let message = connection.in_message.map(|since| since.plus_ms(unfinished_ms));
            let stalled = connection.stalled.map(|since| since.plus_ms(STREAM_STALLED_MS));
            let idle = connection.heard.plus_ms(idle_ms);
            [message, stalled].into_iter().flatten().fold(idle, Ord::min)
        };
        // A timer that fires at once would keep the others from being looked at.
        let due = due.max(earliest.plus_ms(TIMER_PAUSE_MS));
        if due < connection.due {
            connection.due = due;
            self.wheel.start(u32::from(index), due);
        }
    }
}
