//! One MSRP endpoint: its sessions, what they send and what they receive (RFC 4975).
//!
//! ```text
//!   octets of a connection                                     octets for a connection
//!        | read                                                         ^ write
//!        v                                                              |
//!   wire::msrp::Reader -- SEND --> receiving --> answers ---------------+  first
//!        |                                       (responses, REPORTs)   |
//!        +--- response, REPORT --> sending ------> chunks --------------+  then
//!        |                            |
//!        +--- first request --> sessions: which one, bound to which connection
//!        |                            |
//!        +--- SEND in a joined session --> carried --> chunks of the other session
//!                                     |
//!                                     +--> Fact, Fact, Fact: what was observed
//! ```
//!
//! Nothing here opens a connection, reads a clock or knows what a fact means. Connections have the
//! places that [`crate::session::stream`] gives to them. Who puts both together
//!
//! * shows what has arrived ([`Endpoint::read`]) until nothing of it can be used;
//! * lets it fill what is to be written ([`Endpoint::write`]), and tells when octets were handed over to
//!   the operating system ([`Endpoint::handed_over`]): only then does the timer of a chunk run (hazard H52);
//! * takes the facts ([`Endpoint::fact`]) after each of these calls.
//!
//! A fact is what was seen and never what it proves: 200 to a chunk is [`Fact::Responded`] for its octets
//! and nothing else. What was read before the end of a connection is shown before
//! [`Endpoint::lost`] is said (hazard H28).
//!
//! # Identifiers
//!
//! Ids of ours are minted and read by the [`Host`], whose key makes them impossible to guess: a session-id
//! names the place of its session, a transaction identifier the place of its message and the number of the
//! chunk. So nothing is searched for, and what nobody was given matches nothing.

mod answers;
mod carried;
mod incoming;
mod octets;
mod receiving;
mod sending;
mod sessions;
mod text;
mod turns;
mod writing;

use std::collections::VecDeque;

use self::answers::Answers;
pub use self::carried::{
    Carriage, Carried, CarriedEnd, CarriedId, CarriedMessage, Carrying, Piece, PieceId,
};
pub use self::incoming::{Incoming, IncomingId};
use self::receiving::Arriving;
pub use self::receiving::{Read, Step};
pub use self::sending::{Departed, Message, Refused, Sending, SendingId};
pub use self::sessions::{Acceptance, Keep, Reports, Session, SessionId};
use self::turns::Turn;
pub use self::writing::WRITE_SIZE_MIN;
use self::writing::{Open, Part};
use crate::limits::{
    MSRP_ANSWER_SIZE_MAX, MSRP_ANSWERS_SIZE, MSRP_CHUNKS_MAX, MSRP_ENDS_MAX, MSRP_IDENT_SIZE_MAX,
    MSRP_UNBOUND_MS,
};
use crate::store::{Octets, Slab};
use crate::time::{Instant, Wheel};
use crate::wire::msrp::{Flag, Reader};

/// What a transaction identifier of ours names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transaction {
    /// A SEND.
    Chunk {
        /// The message that it is a chunk of.
        sending: SendingId,
        /// Which one, from 0 on.
        number: u32,
        /// How many other identifiers its body did not allow (hazard H31).
        attempt: u8,
    },
    /// A SEND with octets of a message that is carried.
    Carried {
        /// The chunk.
        piece: PieceId,
        /// How many other identifiers its body did not allow.
        attempt: u8,
    },
    /// A REPORT, which nobody answers.
    Report,
}

/// What an endpoint asks for.
pub trait Host {
    /// Whether a session may belong to this connection, which nothing but its path was asked for yet.
    /// Where connections prove who is at their other end, this says whether it is who it should be.
    fn admits(&self, _session: SessionId, _connection: u16) -> bool {
        true
    }

    /// The place of the session that a session-id of ours names, if we have minted it.
    fn session(&self, session_id: &[u8]) -> Option<u32>;

    /// Writes a transaction identifier that names this and has never been used; says how many octets it
    /// has. It has at least 64 bits that nobody can guess.
    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize;

    /// What a transaction identifier names, if we have minted it.
    fn transaction(&self, transaction_id: &[u8]) -> Option<Transaction>;

    /// Octets of the message of this owner from `start` on: at most `most`, and at least one. They are
    /// the same whenever they are asked for.
    fn body(&self, owner: u64, start: u64, most: usize) -> &[u8];
}

/// What was observed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fact {
    /// The first request of a session came on this connection, and the session belongs to it now.
    Bound {
        /// The session.
        session: SessionId,
        /// The place of the connection.
        connection: u16,
    },
    /// The connection of a session is lost, and so is the session. It is told after its messages.
    Lost {
        /// The session.
        session: SessionId,
    },
    /// A connection has belonged to no session for so long that it is to be closed.
    Unbound {
        /// The place of the connection.
        connection: u16,
    },
    /// A chunk was begun: the next number.
    Begun {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
    },
    /// More octets of the body of a chunk were written.
    Gave {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
        /// How many.
        octets: u64,
    },
    /// The end-line of a chunk was written.
    Ended {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
        /// Its flag.
        flag: Flag,
    },
    /// The last octet of a chunk was handed over to the operating system.
    HandedOver {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
    },
    /// A chunk was answered.
    Responded {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
        /// The octets of the message that were in it, as far as it was written.
        octets: Octets,
        /// The status code.
        code: u16,
    },
    /// A REPORT came in this session with the Message-ID of this message and a status of namespace 000.
    Reported {
        /// The message.
        sending: SendingId,
        /// What its Byte-Range names, be it beyond the message; none without a Byte-Range.
        octets: Option<Octets>,
        /// The total of its Byte-Range.
        total: Option<u64>,
        /// The status code.
        code: u16,
    },
    /// A chunk was not answered in time.
    TimedOut {
        /// The message.
        sending: SendingId,
        /// The number of the chunk.
        chunk: u32,
    },
    /// The session of a message has ended before the message was released.
    Cut {
        /// The message.
        sending: SendingId,
        /// What of it has left.
        departed: Departed,
    },
    /// The first chunk of a message has begun to come. Before anything more is read, what it says of itself
    /// ([`Endpoint::incoming`]) can be judged, and it can be refused ([`Endpoint::refuse`]).
    Arriving {
        /// The message.
        incoming: IncomingId,
    },
    /// A message has arrived whole. It stays until [`Endpoint::release`].
    Received {
        /// The message.
        incoming: IncomingId,
        /// How many octets it has: up to the end of the chunk with `$`.
        total: u64,
        /// The total that its Byte-Range has said, if any.
        declared: Option<u64>,
    },
    /// The sender has given a message up with `#`.
    Abandoned {
        /// The message, which is no more.
        incoming: IncomingId,
    },
    /// A message was refused with this code while it arrived.
    Declined {
        /// The message, which is no more.
        incoming: IncomingId,
        /// The status code.
        code: u16,
    },
    /// A message that is not whole has made no progress for too long, or its session has ended.
    Dropped {
        /// The message, which is no more.
        incoming: IncomingId,
    },
    /// Something happened to a message that is carried from one session to [another](Endpoint::join).
    Carried {
        /// The message.
        carried: CarriedId,
        /// What.
        carriage: Carriage,
    },
    /// What has come on this connection and could not be [used](Step::Stopped) is to be shown again.
    Resumed {
        /// The place of the connection.
        connection: u16,
    },
    /// Something is to be written on this connection, because of what came on another one. It is told once
    /// until there is [writing](Endpoint::write) to it.
    Writable {
        /// The place of the connection.
        connection: u16,
    },
}

/// What is counted and changes nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Responses to nothing that waits for one on this connection.
    pub stray_responses: u64,
    /// REPORTs about no message of their session, or with a session that is none.
    pub stray_reports: u64,
    /// REPORTs whose status has another namespace than 000.
    pub foreign_reports: u64,
    /// Heads that can neither be used nor answered.
    pub malformed: u64,
    /// Requests to no session, or to one that is not theirs.
    pub homeless: u64,
    /// Chunks of messages that had arrived before.
    pub duplicates: u64,
    /// Messages for which there was no room.
    pub no_room: u64,
    /// Transaction identifiers that could not be used, because their end-line was in the body.
    pub identifiers: u64,
    /// Message-IDs of messages that were carried and whose REPORTs can no longer be passed on.
    pub carried_forgotten: u64,
    /// REPORTs about messages that were carried and for which their sender did not ask.
    pub unwanted_reports: u64,
}

/// How many of everything.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Places of connections.
    pub connections_max: u16,
    /// Sessions.
    pub sessions_max: u32,
    /// Messages that are sent or wait for reports.
    pub sendings_max: u32,
    /// Messages that arrive or wait to be released.
    pub incomings_max: u32,
    /// Buffers for messages that are assembled.
    pub buffers_max: u32,
    /// Octets of each of them.
    pub buffer_size: usize,
    /// How long a response is waited for once the last octet of its chunk was handed over, in milliseconds
    /// (RFC 4975 section 7.1.1 says 30 s).
    pub response_ms: u32,
    /// What is carried between sessions.
    pub carrying: Carrying,
}

/// A chunk that ends at this octet of the stream.
#[derive(Clone, Copy, Debug)]
struct End {
    part: Part,
    at: u64,
}

/// Why nothing is read from a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stopped {
    /// This message has no room for more octets before some have left.
    Octets(CarriedId),
    /// It has no place for another chunk, or it has the place of another message, before it is answered.
    Chunks(CarriedId),
    /// Answers wait to be written on this other connection.
    Answers(u16),
}

/// One connection.
#[derive(Debug)]
struct Connection {
    is_open: bool,
    reader: Reader,
    arriving: Arriving,
    answers: Answers,
    /// The chunk that is being written.
    open: Option<Open>,
    /// Octets written, and those of them that were handed over.
    put: u64,
    handed: u64,
    ends: VecDeque<End>,
    /// Messages that have a chunk to send, in the order of their turns.
    first_in_turn: Option<Turn>,
    last_in_turn: Option<Turn>,
    /// Messages that are carried and whose chunks are to be answered here.
    first_owed: Option<CarriedId>,
    last_owed: Option<CarriedId>,
    /// Others are not read from before answers have left here.
    is_waited_for: bool,
    /// Why nothing is read from it.
    stopped: Option<Stopped>,
    /// It was told that it is to be read from again, and that was not done yet.
    is_resumed: bool,
    /// It was stopped since it was last read from.
    was_stopped: bool,
    /// Since when it is read from without a stop.
    heard_since: Instant,
    /// It was told to be writable.
    is_woken: bool,
    /// Sessions that belong to it.
    first_session: Option<SessionId>,
}

/// The sessions of one endpoint. Everything is allocated at the start.
#[derive(Debug)]
pub struct Endpoint {
    sessions: Slab<Session>,
    sendings: Slab<Sending>,
    incomings: Slab<Incoming>,
    connections: Box<[Connection]>,
    buffers: incoming::Buffers,
    carriage: carried::Store,
    wheel: Wheel,
    response_ms: u32,
    facts: VecDeque<Fact>,
    counts: Counts,
}

/// Facts that one step of reading or writing tells at most, and one timer.
const FACTS_PER_STEP: usize = 16;

/// Facts that may wait to be taken before there are more such steps.
const FACTS_IN_STEPS: usize = 128;

const _: () = assert!(MSRP_CHUNKS_MAX < FACTS_PER_STEP, "a timer tells of all chunks of a message");

impl Endpoint {
    /// Allocates and touches everything that `rules` ask for.
    pub fn new(rules: Rules, now: Instant) -> Self {
        let no_part = Part::Chunk { sending: SendingId::new(0, 0), number: 0 };
        let no_end = End { part: no_part, at: 0 };
        let ends = || {
            let mut ends: VecDeque<_> = core::iter::repeat_n(no_end, MSRP_ENDS_MAX).collect();
            ends.clear();
            ends
        };
        let connection = || Connection {
            is_open: false,
            reader: Reader::new(),
            arriving: Arriving::NOTHING,
            answers: Answers::new(),
            open: None,
            put: 0,
            handed: 0,
            ends: ends(),
            first_in_turn: None,
            last_in_turn: None,
            first_owed: None,
            last_owed: None,
            is_waited_for: false,
            stopped: None,
            is_resumed: false,
            was_stopped: false,
            heard_since: now,
            is_woken: false,
            first_session: None,
        };
        let timers = u32::from(rules.connections_max)
            + rules.sendings_max
            + rules.incomings_max
            + rules.carrying.messages_max;
        // Each entry can tell of its end once, each chunk that it was handed over, and each connection that
        // it can be read and written again.
        let facts_max = FACTS_IN_STEPS
            + usize::from(rules.connections_max) * (3 + MSRP_ENDS_MAX)
            + rules.carrying.messages_max as usize
            + rules.sessions_max as usize
            + rules.sendings_max as usize
            + rules.incomings_max as usize;
        let nothing = Fact::Unbound { connection: 0 };
        let mut facts: VecDeque<_> = core::iter::repeat_n(nothing, facts_max).collect();
        facts.clear();
        Self {
            sessions: Slab::new(rules.sessions_max),
            sendings: Slab::new(rules.sendings_max),
            incomings: Slab::new(rules.incomings_max),
            connections: core::iter::repeat_with(connection)
                .take(usize::from(rules.connections_max))
                .collect(),
            buffers: incoming::Buffers::new(rules.buffers_max, rules.buffer_size),
            carriage: carried::Store::new(rules.carrying),
            wheel: Wheel::new(timers, now),
            response_ms: rules.response_ms,
            facts,
            counts: Counts::default(),
        }
    }

    /// Octets of everything.
    pub fn size(&self) -> usize {
        self.connections.len() * (size_of::<Connection>() + MSRP_ANSWERS_SIZE)
            + self.connections.len() * MSRP_ENDS_MAX * size_of::<End>()
            + self.sessions.capacity() as usize * Slab::<Session>::entry_size()
            + self.sendings.capacity() as usize * Slab::<Sending>::entry_size()
            + self.incomings.capacity() as usize * Slab::<Incoming>::entry_size()
            + self.buffers.len() * self.buffers.size()
            + self.facts.capacity() * size_of::<Fact>()
            + self.connections.len() * Wheel::entry_size()
    }

    /// The next fact, in the order in which they were observed.
    pub fn fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// Whether a fact waits to be taken.
    pub fn has_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    /// What was counted so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// A connection exists, whoever has opened it. Its place was free, or [`Endpoint::lost`].
    pub fn connected(&mut self, connection: u16, now: Instant) {
        let it = self.connection(connection);
        it.is_open = true;
        it.reader = Reader::new();
        it.arriving = Arriving::NOTHING;
        it.answers.clear();
        it.open = None;
        (it.put, it.handed) = (0, 0);
        it.ends.clear();
        (it.stopped, it.was_stopped, it.is_woken) = (None, false, false);
        it.heard_since = now;
        self.start_unbound(connection, now);
    }

    /// A connection exists no more: all its sessions have failed (RFC 4975 section 5.4). Of what was
    /// written and not handed over, so many octets may have left all the same.
    pub fn lost(&mut self, connection: u16, doubtful: u64) {
        let it = self.connection(connection);
        it.is_open = false;
        it.handed = it.handed.saturating_add(doubtful).min(it.put);
        while let Some(session) = self.connection(connection).first_session {
            self.end(session);
            self.tell(Fact::Lost { session });
        }
        let it = self.connection(connection);
        it.answers.clear();
        it.open = None;
        it.ends.clear();
        it.stopped = None;
        self.answers_have_left(connection);
        self.wheel.stop(u32::from(connection));
    }

    /// Does what is due: at most `limit` timers. Says how many.
    pub fn expire(&mut self, host: &mut impl Host, now: Instant, limit: usize) -> usize {
        let mut expired = 0;
        while expired < limit
            && self.may_tell()
            && let Some(timer) = self.wheel.expire(now)
        {
            expired += 1;
            let sendings_at = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
            let incomings_at = sendings_at + self.sendings.capacity();
            let carried_at = incomings_at + self.incomings.capacity();
            match u16::try_from(timer) {
                Ok(connection) if timer < sendings_at => {
                    if self.connection(connection).first_session.is_none() {
                        self.tell(Fact::Unbound { connection });
                    } else {
                        self.look_again(connection);
                    }
                }
                _ if timer < incomings_at => self.sending_is_due(timer - sendings_at, now),
                _ if timer < carried_at => self.incoming_is_due(timer - incomings_at, now, host),
                _ => self.carried_is_due(timer - carried_at, now),
            }
        }
        expired
    }

    /// A moment before which [`Endpoint::expire`] has nothing to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next()
    }

    fn start_unbound(&mut self, connection: u16, now: Instant) {
        self.wheel.start(u32::from(connection), now.plus_ms(MSRP_UNBOUND_MS));
    }

    fn sending_timer(&self, sending: SendingId) -> u32 {
        u32::try_from(self.connections.len()).unwrap_or(u32::MAX) + sending.index
    }

    fn incoming_timer(&self, incoming: IncomingId) -> u32 {
        let sendings_at = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        sendings_at + self.sendings.capacity() + incoming.index
    }

    fn carried_timer(&self, carried: CarriedId) -> u32 {
        let sendings_at = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        sendings_at + self.sendings.capacity() + self.incomings.capacity() + carried.index
    }

    fn connection(&mut self, connection: u16) -> &mut Connection {
        &mut self.connections[usize::from(connection)]
    }

    fn tell(&mut self, fact: Fact) {
        debug_assert!(self.facts.len() < self.facts.capacity(), "facts are taken after each call");
        self.facts.push_back(fact);
    }

    /// Whether there is room for what a step tells.
    fn may_tell(&self) -> bool {
        self.facts.len() + FACTS_PER_STEP <= FACTS_IN_STEPS
    }

    /// Whether there is room for what a request is answered with.
    fn may_answer(&self, connection: u16) -> bool {
        self.connections[usize::from(connection)].answers.room() >= MSRP_ANSWER_SIZE_MAX
    }
}

#[cfg(test)]
mod tests;
