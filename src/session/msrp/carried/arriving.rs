//! Chunks of messages that are carried, as they come.

use super::lists::{Chunk, Queue};
use super::ring::Ring;
use super::{Carriage, Carried, CarriedEnd, CarriedId, ChunkId, WayId};
use crate::limits::{
    MSRP_CARRIED_MAX, MSRP_IDENT_SIZE_MAX, MSRP_MIME_FIELDS_MAX, MSRP_MIME_SIZE_MAX,
    MSRP_STALLED_MS,
};
use crate::session::msrp::receiving::Arriving;
use crate::session::msrp::text::Text;
use crate::session::msrp::turns::Place;
use crate::session::msrp::{Endpoint, Step, Stopped};
use crate::store::{Intervals, Octets};
use crate::time::Instant;
use crate::wire::msrp::build::END_LINE_SIZE_MAX;
use crate::wire::msrp::{Flag, Request, header_fields};

/// What comes in front of header fields that are kept: a start line of nothing, so that they can be read like
/// a head.
const NO_LINE: &[u8] = b"\r\n";

/// The MIME header fields of a request but for Content-Type: those whose names begin with `Content-`. What
/// else is not known is said to us and not to the recipient (RFC 4975 section 12). `None`: more than are kept.
fn mime_of(request: &Request<'_>) -> Option<Text<MSRP_MIME_SIZE_MAX>> {
    const PREFIX: &[u8] = b"Content-";
    let (mut octets, mut len) = ([0; MSRP_MIME_SIZE_MAX], 0);
    let mut put = |piece: &[u8]| {
        octets.get_mut(len..len + piece.len())?.copy_from_slice(piece);
        len += piece.len();
        Some(())
    };
    put(NO_LINE)?;
    let mut count = 0;
    for field in header_fields(request.octets) {
        let is_mime =
            field.name.get(..PREFIX.len()).is_some_and(|it| it.eq_ignore_ascii_case(PREFIX));
        if is_mime && !field.name.eq_ignore_ascii_case(b"Content-Type") {
            count += 1;
            for piece in [field.name, b": ", field.value, b"\r\n"] {
                put(piece)?;
            }
        }
    }
    let kept = octets.get(..len).filter(|_| count <= MSRP_MIME_FIELDS_MAX)?;
    Text::of(kept)
}

impl Endpoint {
    /// Of what has come on a connection, as much as there is room for; `None` if that is not enough to get on:
    /// then the connection is stopped.
    pub(in crate::session::msrp) fn carriable<'o>(
        &mut self,
        connection: u16,
        octets: &'o [u8],
        now: Instant,
    ) -> Option<&'o [u8]> {
        let chunk = self.connection(connection).arriving.carried;
        let Some(chunk) = chunk.and_then(|chunk| self.carriage.chunks.get(chunk)) else {
            return Some(octets);
        };
        let id = chunk.carried;
        // The rest of what is decided is passed over.
        let Some(it) = self.carriage.messages.get(id).filter(|_| chunk.code.is_none()) else {
            return Some(octets);
        };
        let room = self.carriage.rings.room(it.ring);
        // In so many octets there is something to use, even if an end-line has begun to come.
        if room >= octets.len() || room > END_LINE_SIZE_MAX {
            return Some(&octets[..octets.len().min(room)]);
        }
        self.make_carried_ready(id);
        if !self.may_wait(id, connection) && !self.gets_on(id) {
            self.fail(id, 413, true);
            return Some(octets);
        }
        self.hold(connection, Stopped::Octets(id), now);
        None
    }

    /// A chunk with a body begins in a session that is joined, or it is refused with a code.
    pub(in crate::session::msrp) fn carry(
        &mut self,
        connection: u16,
        request: &Request<'_>,
        way: WayId,
        now: Instant,
    ) -> Result<Step, u16> {
        let fields = &request.fields;
        let start = fields.byte_range.map_or(0, |range| range.start - 1);
        let declared = fields.byte_range.and_then(|range| range.total);
        let message_id = Text::of(fields.message_id.of(request.octets)).ok_or(400_u16)?;
        let tid = Text::of(request.transaction_id.of(request.octets)).ok_or(400_u16)?;
        let it = self.carriage.ways.get(way).ok_or(481_u16)?;
        if self.sessions.get(it.to).is_none_or(|session| session.has_ended) {
            return Err(481);
        }
        let size_max = self.sessions.get(it.from).map_or(0, |session| session.acceptance.size_max);
        let known = self.carriage.messages_of(way).find(|id| {
            self.carriage.messages.get(*id).is_some_and(|one| one.message_id == message_id)
        });
        if let Some(code) = self.carriage.stopped_before(way, &message_id) {
            return Err(code);
        }
        if let Some(code) = known.and_then(|id| self.carriage.messages.get(id)?.stopped) {
            return Err(code);
        }
        let wrong = match known {
            _ if declared.unwrap_or(0).max(start) > size_max => Some(413),
            Some(id) if !self.is_alike(id, request) => Some(400),
            Some(_) | None => None,
        };
        if let Some(code) = wrong {
            match known {
                Some(id) => self.fail(id, code, true),
                None => self.refuse_message(way, message_id, code),
            }
            return Err(code);
        }
        let id = match known {
            Some(id) => id,
            None => {
                if !self.make_place(way, connection, now)? {
                    return Ok(Step::Stopped);
                }
                let begun = self.begin_carrying(request, way, message_id, declared, now);
                begun.inspect_err(|code| self.refuse_message(way, message_id, *code))?
            }
        };
        self.add_chunk(id, tid, start, connection, now)
    }

    /// A message is refused at its first chunk. Those that are on their way behind it are, too: without this
    /// one nobody needs them.
    fn refuse_message(&mut self, way: WayId, message_id: Text<MSRP_IDENT_SIZE_MAX>, code: u16) {
        let is_forgotten = self.carriage.remember_refused(way, message_id, code);
        self.counts.carried_forgotten += u64::from(is_forgotten);
    }

    /// Another chunk of a message.
    fn add_chunk(
        &mut self,
        id: CarriedId,
        transaction_id: Text<MSRP_IDENT_SIZE_MAX>,
        start: u64,
        connection: u16,
        now: Instant,
    ) -> Result<Step, u16> {
        let may_wait = self.may_wait(id, connection);
        if !self.carriage.has_place_for_chunk(id, !may_wait) {
            if may_wait {
                self.hold(connection, Stopped::Chunks(id), now);
                return Ok(Step::Stopped);
            }
            self.fail(id, 413, true);
            return Err(413);
        }
        let chunk = Chunk::new(id, transaction_id, start);
        let chunk = self.carriage.add_chunk(chunk).ok_or(413_u16)?;
        if let Some(it) = self.carriage.messages.get_mut(id) {
            it.progress_at = now;
        }
        self.connection(connection).arriving = Arriving::carried(chunk);
        Ok(Step::Used)
    }

    /// Whether a later chunk says the same of the message as the first one did. All chunks of a message have
    /// the same (RFC 4975 section 7.1.1), and what is said to its recipient can only be one of two.
    fn is_alike(&self, id: CarriedId, request: &Request<'_>) -> bool {
        let fields = &request.fields;
        self.carriage.messages.get(id).is_some_and(|it| {
            it.success_report == fields.success_report
                && it.failure_report == fields.failure_report
                && it.content_type.octets() == fields.content_type.of(request.octets)
        })
    }

    /// Makes sure that there is a place for another message: one that is between two of its chunks gives its
    /// place up, and can be taken up again. `false` if a place is to be waited for.
    fn make_place(&mut self, way: WayId, connection: u16, now: Instant) -> Result<bool, u16> {
        let it = self.carriage.ways.get(way).ok_or(481_u16)?;
        if it.count < MSRP_CARRIED_MAX {
            return Ok(true);
        }
        let (mut idle, mut busy) = (None, None);
        for id in self.carriage.messages_of(way) {
            let Some(one) = self.carriage.messages.get(id) else { continue };
            if one.is_idle() {
                if idle.is_none_or(|(_, at)| one.progress_at < at) {
                    idle = Some((id, one.progress_at));
                }
            } else {
                busy = Some(id);
            }
        }
        match (idle, busy) {
            (Some((id, _)), _) => {
                self.finish(id, CarriedEnd::Stalled);
                Ok(true)
            }
            (None, Some(id)) if self.may_wait(id, connection) => {
                self.hold(connection, Stopped::Chunks(id), now);
                Ok(false)
            }
            // Where nobody can be waited for, it takes the place of a message of others, if there is one.
            (None, _) => Ok(true),
        }
    }

    /// The first chunk of a message, or one that comes when nothing is known of it.
    fn begin_carrying(
        &mut self,
        request: &Request<'_>,
        way: WayId,
        message_id: Text<MSRP_IDENT_SIZE_MAX>,
        declared: Option<u64>,
        now: Instant,
    ) -> Result<CarriedId, u16> {
        let fields = &request.fields;
        let due = now.plus_ms(MSRP_STALLED_MS);
        let message = Carried {
            way,
            next_in_way: None,
            message_id,
            content_type: Text::of(fields.content_type.of(request.octets)).ok_or(415_u16)?,
            mime: mime_of(request).ok_or(413_u16)?,
            success_report: fields.success_report,
            failure_report: fields.failure_report,
            declared,
            ring: Ring::default(),
            ungiven: Queue::default(),
            owed: Queue::default(),
            chunk_count: 0,
            piece_count: 0,
            lapsed_count: 0,
            first_piece: None,
            last_piece: None,
            next_number: 0,
            open: None,
            extent: Intervals::NONE,
            total: None,
            is_aborted: false,
            has_no_sender: false,
            lost: None,
            stopped: None,
            owes_abort: false,
            first_at: None,
            last_at: None,
            progress_at: now,
            due,
            place: Place::default(),
            is_owing: false,
            next_owing: None,
        };
        if !self.is_writable(&message) {
            return Err(400);
        }
        let id = self.carriage.messages.insert(message).map_err(|_| 413_u16)?;
        self.carriage.enter(way, id);
        let is_forgotten = self.carriage.remember(id);
        self.counts.carried_forgotten += u64::from(is_forgotten);
        self.wheel.start(self.carried_timer(id), due);
        self.tell_carried(id, Carriage::Arriving);
        Ok(id)
    }

    /// Octets of a chunk.
    pub(in crate::session::msrp) fn carry_octets(
        &mut self,
        connection: u16,
        chunk: ChunkId,
        octets: &[u8],
        now: Instant,
    ) {
        let Some(one) = self.carriage.chunks.get_mut(chunk) else { return };
        // What is decided, or has lost its session, is passed over.
        if one.code.is_some() || one.flag.is_some() {
            return;
        }
        let id = one.carried;
        let end = one.octets.end.saturating_add(octets.len() as u64);
        let Some(way) = self.carriage.way_of(id) else { return };
        let size_max = self.sessions.get(way.from).map_or(0, |it| it.acceptance.size_max);
        if end > size_max {
            self.connection(connection).arriving = Arriving::NOTHING;
            return self.fail(id, 413, true);
        }
        if let Some(one) = self.carriage.chunks.get_mut(chunk) {
            one.octets.end = end;
        }
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        self.carriage.rings.put(id.index, &mut it.ring, octets);
        it.progress_at = now;
        self.make_carried_ready(id);
        self.wake_target(id);
    }

    /// A chunk has ended.
    pub(in crate::session::msrp) fn carry_end(&mut self, chunk: ChunkId, flag: Flag, now: Instant) {
        let Some(one) = self.carriage.chunks.get_mut(chunk) else { return };
        if one.code.is_some() || one.flag.is_some() {
            return;
        }
        one.flag = Some(flag);
        let (id, octets) = (one.carried, one.octets);
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        it.progress_at = now;
        it.note_end(octets, flag);
        self.make_carried_ready(id);
        self.wake_target(id);
    }

    pub(super) fn wake_target(&mut self, id: CarriedId) {
        if let Some(target) = self.target_of(id) {
            self.wake(target);
        }
    }
}

impl Carried {
    /// A chunk with these octets has ended.
    pub(super) fn note_end(&mut self, octets: Octets, flag: Flag) {
        match flag {
            Flag::Aborted => self.is_aborted = true,
            Flag::Last => self.total = Some(octets.end),
            Flag::More => {}
        }
        // What there is no room for makes the message look as if it were not whole: then it is not over before
        // it has stood still for long.
        self.extent.insert(octets);
    }

    /// Whether it is between two of its chunks.
    pub(super) const fn is_idle(&self) -> bool {
        let is_bare = self.chunk_count == 0 && self.piece_count == 0;
        is_bare && self.open.is_none() && !self.owes_abort
    }
}
