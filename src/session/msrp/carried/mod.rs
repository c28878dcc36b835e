//! Messages that are carried from one session to another: the MSRP half of a back-to-back user agent.
//!
//! ```text
//!   session A                                                              session B
//!   SEND ------> arriving --> ring of octets --> giving --> chunks --------> SEND
//!                   |                              |
//!                chunks of A                    pieces                  one or more of each chunk
//!                   |                              |
//!   200, 4xx <--- owed answers <---- settling <----+------------------------ 200, 4xx, or silence
//!   REPORT <----- reports <------------------------------------------------- REPORT
//! ```
//!
//! We are no relay (RFC 4976): a relay answers a SEND before it has sent it on, and takes that back by a
//! REPORT. Here a chunk is answered with what its recipient has answered, and with 200 only when he has
//! answered so for all octets that it had. A message is neither put together nor held: its octets wait in a
//! ring until there is room on the connection of B, and when the ring is full, nothing more is read from the
//! connection of A. What A has cut stays cut there, and may be cut in more pieces, which have identifiers of
//! their own; the flag of the last one is the flag of the chunk.
//!
//! # Waiting for each other
//!
//! A connection that is not read from brings no responses. So a sender is made to wait for *responses*
//! only where these can come: not while the connection of B is not read from either, and not where both
//! sessions have one connection. There, more chunks may wait than otherwise, as far as there is room for them
//! all; then the message is refused with 413. To wait for *room* on a connection is to wait for its other
//! end to read, and for nobody else.

mod arriving;
mod giving;
mod lists;
mod reports;
mod ring;
mod settling;
mod stopping;

pub(super) use self::lists::{Chunk, Way, WayId};
pub use self::lists::{Piece, PieceId};
use self::reports::Known;
use self::ring::{Ring, Rings};
use super::sending::Departed;
use super::sessions::SessionId;
use super::text::Text;
use super::turns::{Place, Turn};
use super::{Endpoint, Fact};
use crate::id::Handle;
use crate::limits::{
    MSRP_CARRIED_KNOWN_MAX, MSRP_CARRIED_LAPSED_MAX, MSRP_CARRIED_SPARE, MSRP_CARRIED_WINDOW,
    MSRP_CONTENT_TYPE_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_INTERVALS_MAX, MSRP_MIME_SIZE_MAX,
    MSRP_RING_SIZE_MIN,
};
use crate::store::{Intervals, Octets, Slab};
use crate::time::Instant;
use crate::wire::msrp::{FailureReport, Flag};

/// Names a message that is carried.
pub type CarriedId = Handle<Carried>;

/// Names a chunk that came, and that is not answered.
pub(super) type ChunkId = Handle<Chunk>;

/// How much is carried.
#[derive(Clone, Copy, Debug)]
pub struct Carrying {
    /// Pairs of sessions that are joined.
    pub joins_max: u32,
    /// Messages that are carried at the same time.
    pub messages_max: u32,
    /// Octets of each of them that have come and not left: at least 4096.
    pub ring_size: usize,
}

impl Carrying {
    /// For an endpoint that joins no sessions.
    pub const NOTHING: Self = Self { joins_max: 0, messages_max: 0, ring_size: 0 };
}

/// What happened to a message that is carried. *Its sender* is the peer of the session where it comes, *its
/// recipient* that of the session where it leaves, in chunks that are numbered from 0 on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carriage {
    /// Its first chunk has begun to come, or one that comes when nothing is known of the message any more.
    Arriving,
    /// A chunk to its recipient was begun: the next number.
    Begun {
        /// The number of the chunk.
        chunk: u32,
        /// Its first octet in the message, from 0 on.
        start: u64,
    },
    /// More octets of the body of a chunk were written.
    Gave {
        /// The number of the chunk.
        chunk: u32,
        /// How many.
        octets: u64,
    },
    /// The end-line of a chunk was written.
    Ended {
        /// The number of the chunk.
        chunk: u32,
        /// Its flag.
        flag: Flag,
    },
    /// The last octet of a chunk was handed over to the operating system.
    HandedOver {
        /// The number of the chunk.
        chunk: u32,
    },
    /// The recipient has answered a chunk.
    Responded {
        /// The number of the chunk.
        chunk: u32,
        /// The octets that were in it, as far as it was written.
        octets: Octets,
        /// The status code.
        code: u16,
    },
    /// The recipient has not answered a chunk in time.
    TimedOut {
        /// The number of the chunk.
        chunk: u32,
    },
    /// A REPORT of the recipient came, perhaps long after the message was [over](Carriage::Over).
    Reported {
        /// What its Byte-Range names; none without one.
        octets: Option<Octets>,
        /// The total of its Byte-Range.
        total: Option<u64>,
        /// The status code.
        code: u16,
        /// Whether it was passed on to the sender.
        is_passed_on: bool,
    },
    /// The sender was answered for a chunk of his.
    Answered {
        /// The octets that were in it, as far as they were read.
        octets: Octets,
        /// The status code.
        code: u16,
    },
    /// Nothing more comes of this but REPORTs.
    Over {
        /// How it came to its end.
        end: CarriedEnd,
    },
}

/// How a message that was carried came to its end. What it proves is said by what was told before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CarriedEnd {
    /// All of it was given, and all its chunks were answered or need no answer.
    Whole {
        /// How many octets it has.
        total: u64,
    },
    /// Its sender has given it up with `#`, and so was its recipient told.
    Aborted,
    /// It was refused with this code, by its recipient or by us.
    Stopped {
        /// The status code that its sender was told.
        code: u16,
    },
    /// Its sender went on with it no more, or not before others needed the room.
    Stalled,
    /// The session where it comes has ended.
    SenderLost,
    /// The session where it leaves has ended.
    RecipientLost {
        /// What of it has left.
        departed: Departed,
    },
}

/// What is known of a message that is carried.
#[derive(Clone, Copy, Debug)]
pub struct CarriedMessage<'a> {
    /// The session where it comes.
    pub from: SessionId,
    /// The session where it leaves.
    pub to: SessionId,
    /// Its Message-ID, the same on both sides.
    pub message_id: &'a [u8],
    /// Its Content-Type.
    pub content_type: &'a [u8],
    /// How many octets its sender says that it has.
    pub declared: Option<u64>,
    /// Whether its sender wants success reports.
    pub success_report: bool,
    /// Whether its sender wants responses and failure reports.
    pub failure_report: FailureReport,
}

/// A message that is carried.
#[derive(Debug)]
pub struct Carried {
    way: WayId,
    next_in_way: Option<CarriedId>,
    message_id: Text<MSRP_IDENT_SIZE_MAX>,
    content_type: Text<MSRP_CONTENT_TYPE_SIZE_MAX>,
    mime: Text<MSRP_MIME_SIZE_MAX>,
    success_report: bool,
    failure_report: FailureReport,
    declared: Option<u64>,
    ring: Ring,
    /// Chunks that are not wholly given; the last one may still come.
    ungiven: lists::Queue,
    /// Chunks whose answer is known and not written.
    owed: lists::Queue,
    /// All its chunks that are not answered, and all its pieces but those that have lapsed.
    chunk_count: u32,
    piece_count: u32,
    lapsed_count: u32,
    first_piece: Option<PieceId>,
    last_piece: Option<PieceId>,
    next_number: u32,
    /// The piece whose end-line was not written.
    open: Option<PieceId>,
    /// What has come in chunks that are whole, and up to where it goes.
    extent: Intervals<MSRP_INTERVALS_MAX>,
    total: Option<u64>,
    is_aborted: bool,
    has_no_sender: bool,
    lost: Option<Departed>,
    /// What more of it is answered with.
    stopped: Option<u16>,
    /// Its recipient is still to be told, by a chunk of no octets, that it is given up.
    owes_abort: bool,
    /// Where in the stream its first piece begins, and where the one with `$` ends.
    first_at: Option<u64>,
    last_at: Option<u64>,
    progress_at: Instant,
    /// When its timer is due.
    due: Instant,
    pub(super) place: Place,
    /// Whether it is among those whose sender is owed an answer, and the next one of them.
    is_owing: bool,
    next_owing: Option<CarriedId>,
}

/// Everything that is carried.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) ways: Slab<Way>,
    pub(super) messages: Slab<Carried>,
    chunks: Slab<Chunk>,
    pieces: Slab<Piece>,
    rings: Rings,
    /// Of each way in turn.
    known: Box<[Known]>,
    spare_chunks: u32,
    spare_pieces: u32,
}

impl Store {
    /// Allocates and touches everything.
    pub(super) fn new(rules: Carrying) -> Self {
        let messages = rules.messages_max.max(1);
        let ways = (2 * rules.joins_max).max(1);
        let size =
            if rules.messages_max == 0 { 0 } else { rules.ring_size.max(MSRP_RING_SIZE_MIN) };
        let spare = messages * MSRP_CARRIED_SPARE;
        let known_count = ways as usize * MSRP_CARRIED_KNOWN_MAX;
        Self {
            ways: Slab::new(ways),
            messages: Slab::new(messages),
            chunks: Slab::new(messages * MSRP_CARRIED_WINDOW + spare),
            pieces: Slab::new(messages * (MSRP_CARRIED_WINDOW + MSRP_CARRIED_LAPSED_MAX) + spare),
            rings: Rings::new(messages, size),
            known: core::iter::repeat_n(Known::NOTHING, known_count).collect(),
            spare_chunks: spare,
            spare_pieces: spare,
        }
    }

    pub(super) fn way_of(&self, id: CarriedId) -> Option<&Way> {
        self.ways.get(self.messages.get(id)?.way)
    }
}

impl Endpoint {
    /// Joins two sessions that have joined no others, before anything has come in them: what comes as SEND with
    /// a body in one of them leaves as SEND in the other. `false` if that cannot be. A SEND without a body
    /// concerns its own session only, and is answered there. What a session [accepts](super::Acceptance) is
    /// what may be carried from it: no larger messages than the other peer takes.
    pub fn join(&mut self, one: SessionId, other: SessionId) -> bool {
        let is_free = |id| {
            let session = self.sessions.get(id);
            session.is_some_and(|it| !it.has_ended && it.way_from.is_none())
        };
        let ways = &mut self.carriage.ways;
        if one == other || !is_free(one) || !is_free(other) || ways.len() + 2 > ways.capacity() {
            return false;
        }
        for (from, to) in [(one, other), (other, one)] {
            let Ok(way) = self.carriage.ways.insert(Way::new(from, to)) else { return false };
            self.carriage.forget_known(way);
            if let Some(session) = self.sessions.get_mut(from) {
                session.way_from = Some(way);
            }
            if let Some(session) = self.sessions.get_mut(to) {
                session.way_to = Some(way);
            }
        }
        true
    }

    /// The session that this one is joined to.
    pub fn joined_to(&self, id: SessionId) -> Option<SessionId> {
        Some(self.carriage.ways.get(self.sessions.get(id)?.way_from?)?.to)
    }

    /// What is known of a message that is carried and not [over](Carriage::Over).
    pub fn carried(&self, id: CarriedId) -> Option<CarriedMessage<'_>> {
        let it = self.carriage.messages.get(id)?;
        let way = self.carriage.ways.get(it.way)?;
        Some(CarriedMessage {
            from: way.from,
            to: way.to,
            message_id: it.message_id.octets(),
            content_type: it.content_type.octets(),
            declared: it.declared,
            success_report: it.success_report,
            failure_report: it.failure_report,
        })
    }

    /// The way of what comes in a session.
    pub(super) fn way_from(&self, session: SessionId) -> Option<WayId> {
        self.sessions.get(session)?.way_from
    }

    /// A session is closed. When the other one is, too, nothing is carried between them any more.
    pub(super) fn part(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let (Some(way_from), Some(way_to)) = (session.way_from, session.way_to) else { return };
        let Some(way) = self.carriage.ways.get(way_from) else { return };
        if self.sessions.get(way.to).is_none() {
            debug_assert!(way.first.is_none(), "both sessions have ended");
            self.carriage.ways.remove(way_from);
            self.carriage.ways.remove(way_to);
        }
    }

    /// The connection where the octets of a message come, or where they leave.
    fn source_of(&self, id: CarriedId) -> Option<u16> {
        self.sessions.get(self.carriage.way_of(id)?.from)?.connection
    }

    fn target_of(&self, id: CarriedId) -> Option<u16> {
        self.sessions.get(self.carriage.way_of(id)?.to)?.connection
    }

    fn tell_carried(&mut self, carried: CarriedId, carriage: Carriage) {
        self.tell(Fact::Carried { carried, carriage });
    }

    /// Something is to be written on a connection that is not the one that was read.
    pub(super) fn wake(&mut self, connection: u16) {
        if !self.connections[usize::from(connection)].is_woken && self.has_output(connection) {
            self.connection(connection).is_woken = true;
            self.tell(Fact::Writable { connection });
        }
    }

    /// If nothing more is to be done for a message, its place is free.
    fn finish_if_over(&mut self, id: CarriedId) {
        let Some(it) = self.carriage.messages.get(id) else { return };
        if it.chunk_count > 0 || it.piece_count > 0 || it.open.is_some() || it.owes_abort {
            return;
        }
        let whole = it.total.filter(|total| it.extent.front().end >= *total);
        let end = match (it.lost, it.stopped, whole) {
            (Some(departed), ..) => CarriedEnd::RecipientLost { departed },
            (None, Some(code), _) => CarriedEnd::Stopped { code },
            _ if it.is_aborted => CarriedEnd::Aborted,
            (None, None, Some(total)) => CarriedEnd::Whole { total },
            (None, None, None) if it.has_no_sender => CarriedEnd::SenderLost,
            (None, None, None) => return,
        };
        self.finish(id, end);
    }

    /// A message is over.
    fn finish(&mut self, id: CarriedId, end: CarriedEnd) {
        self.leave_turn(Turn::Carried(id));
        self.resume_source(id);
        self.wheel.stop(self.carried_timer(id));
        while let Some(piece) = self.carriage.messages.get(id).and_then(|it| it.first_piece) {
            self.carriage.remove_piece(piece);
        }
        let Some(way) = self.carriage.messages.get(id).map(|it| it.way) else { return };
        self.carriage.leave(way, id);
        self.carriage.messages.remove(id);
        self.tell_carried(id, Carriage::Over { end });
    }
}
