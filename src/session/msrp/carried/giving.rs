//! What of messages that are carried is written to their recipients.

use super::lists::{Piece, State};
use super::{Carriage, Carried, CarriedId, Endpoint, PieceId, Store};
use crate::limits::{
    MSRP_CHUNK_SIZE_MIN, MSRP_HEADER_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_MIME_FIELDS_MAX,
};
use crate::session::msrp::turns::Turn;
use crate::session::msrp::writing::{Next, Open, Part, identify, is_free};
use crate::session::msrp::{End, Host, Stopped, Transaction};
use crate::wire::msrp::{ByteRange, Flag, Path, Send, header_fields};

impl Carried {
    /// Writes the head of a piece; how many octets it has, if it can be written and fits.
    fn write_head(
        &self,
        transaction_id: &[u8],
        byte_range: ByteRange,
        (to_path, from_path): (Path<'_>, Path<'_>),
        to: &mut [u8],
    ) -> Option<usize> {
        let mut others = [(&b""[..], &b""[..]); MSRP_MIME_FIELDS_MAX];
        let mut count = 0;
        for (field, other) in header_fields(self.mime.octets()).zip(&mut others) {
            *other = (field.name, field.value);
            count += 1;
        }
        let send = Send {
            transaction_id,
            to_path,
            from_path,
            message_id: self.message_id.octets(),
            byte_range: Some(byte_range),
            success_report: self.success_report,
            failure_report: self.failure_report,
            others: &others[..count],
            content_type: Some(self.content_type.octets()),
        };
        send.write(to)
    }
}

impl Store {
    /// Whether a piece can be begun: one of a chunk that has come whole, or large enough not to be one of
    /// those that nobody should send (RFC 4975 section 7.1.1), even without the octet that is held back.
    pub(super) fn may_begin_piece(&self, id: CarriedId) -> bool {
        let Some(it) = self.messages.get(id).filter(|it| it.open.is_none()) else { return false };
        let first = it.ungiven.first.and_then(|chunk| self.chunks.get(chunk));
        let may_begin = first
            .is_some_and(|chunk| chunk.flag.is_some() || chunk.waiting() > MSRP_CHUNK_SIZE_MIN);
        it.owes_abort || may_begin
    }

    /// Octets of an open piece that may be written now: some of those that have come of its chunk.
    pub(in crate::session::msrp) fn octets_of(&self, piece: PieceId) -> &[u8] {
        let Some(piece) = self.pieces.get(piece) else { return &[] };
        let waiting = self.chunks.get(piece.chunk).map_or(0, super::Chunk::waiting);
        let Some(it) = self.messages.get(piece.carried) else { return &[] };
        let [first, _] = self.rings.both(piece.carried.index, it.ring, waiting);
        first
    }
}

impl Endpoint {
    /// Whether what a message says of itself can be written, whatever it came from.
    pub(super) fn is_writable(&self, message: &Carried) -> bool {
        let Some(way) = self.carriage.ways.get(message.way) else { return false };
        let Some(session) = self.sessions.get(way.to) else { return false };
        let paths = (Path::parse(session.peer.octets()), Path::parse(session.uri.octets()));
        // A peer that is not known yet is the first thing to be known when the session is bound.
        let Ok(from_path) = paths.1 else { return false };
        let to_path = paths.0.unwrap_or(from_path);
        let longest = [b'a'; MSRP_IDENT_SIZE_MAX];
        let range = ByteRange { start: u64::MAX - 1, end: None, total: message.declared };
        let mut room = [0; MSRP_HEADER_SIZE_MAX];
        message.write_head(&longest, range, (to_path, from_path), &mut room).is_some()
    }

    /// Begins a piece of the message whose turn it is.
    pub(in crate::session::msrp) fn begin_piece(
        &mut self,
        id: CarriedId,
        connection: u16,
        room: &mut [u8],
        host: &mut impl Host,
    ) -> Option<usize> {
        // An identifier is used once, so there must be room for whatever follows from it.
        if room.len() < MSRP_HEADER_SIZE_MAX {
            return None;
        }
        let it = self.carriage.messages.get(id)?;
        let chunk_id = it.ungiven.first;
        let chunk = chunk_id.and_then(|chunk| self.carriage.chunks.get(chunk));
        let (start, waiting, flag) = match chunk {
            Some(chunk) => (chunk.given, chunk.waiting(), chunk.flag),
            // Only that it is given up.
            None => (0, 0, Some(Flag::Aborted)),
        };
        if !self.carriage.has_place_for_piece(id, true) {
            self.leave_turn(Turn::Carried(id));
            return Some(0);
        }
        let (number, ring, declared) = (it.next_number, it.ring, it.declared);
        let is_interruptible = flag.is_none() || waiting > MSRP_CHUNK_SIZE_MIN;
        let no_chunk = super::ChunkId::new(u32::MAX, u32::MAX);
        let piece = Piece::new(id, chunk_id.unwrap_or(no_chunk), number, start);
        let piece = self.carriage.add_piece(piece)?;
        let name = |attempt| Transaction::Carried { piece, attempt };
        let both = self.carriage.rings.both(id.index, ring, waiting);
        let is_free = |text: &_, _: &_| is_free(text, both);
        let found = identify(is_interruptible, host, name, is_free, &mut self.counts);
        let written = found.and_then(|(transaction_id, attempt, is_interruptible)| {
            // What has no octets ends where nobody can say it ends before it begins.
            let end = start.checked_add(waiting).filter(|_| !is_interruptible && waiting > 0);
            let end = if start == 0 && waiting == 0 { Some(0) } else { end };
            let byte_range = ByteRange { start: start.checked_add(1)?, end, total: declared };
            let way = self.carriage.way_of(id)?;
            let session = self.sessions.get(way.to)?;
            let to = Path::parse(session.peer.octets()).ok()?;
            let from = Path::parse(session.uri.octets()).ok()?;
            let it = self.carriage.messages.get(id)?;
            let len = it.write_head(transaction_id.octets(), byte_range, (to, from), room)?;
            Some((len, transaction_id, attempt, is_interruptible))
        });
        self.leave_turn(Turn::Carried(id));
        let Some((len, transaction_id, attempt, is_interruptible)) = written else {
            self.carriage.remove_piece(piece);
            self.fail(id, 400, false);
            return Some(0);
        };
        let first_at = self.connection(connection).put;
        if let Some(one) = self.carriage.pieces.get_mut(piece) {
            one.attempt = attempt;
        }
        let it = self.carriage.messages.get_mut(id)?;
        it.next_number += 1;
        it.open = Some(piece);
        it.owes_abort = false;
        if it.first_at.is_none() {
            it.first_at = Some(first_at);
            self.carriage.note_begun(id);
        }
        let open = Open::new(Part::Piece(piece), transaction_id, true, is_interruptible);
        self.connection(connection).open = Some(open);
        self.tell_carried(id, Carriage::Begun { chunk: number, start });
        Some(len)
    }

    /// How an open piece goes on.
    pub(in crate::session::msrp) fn next_of_piece(
        &self,
        connection: u16,
        open: &Open,
        piece: PieceId,
    ) -> Next {
        let Some(piece) = self.carriage.pieces.get(piece) else { return Next::End(Flag::Aborted) };
        let Some(chunk) = self.carriage.chunks.get(piece.chunk).filter(|it| it.code.is_none())
        else {
            return Next::End(Flag::Aborted);
        };
        // The last octet waits until it is known whether it is the last one: so no piece is without octets
        // whose flag says where the message ends.
        let held = u64::from(chunk.flag.is_none());
        match (chunk.waiting().saturating_sub(held), chunk.flag) {
            (0, Some(flag)) => Next::End(flag),
            // Nobody waits for a sender who goes on slowly.
            (0, None) if self.others_wait(connection) => Next::End(Flag::More),
            (0, None) => Next::Nothing,
            (waiting, _) if !open.is_interruptible => Next::Body(waiting),
            (waiting, _) => {
                let until = self.until(connection);
                if open.must_end || open.carried >= until {
                    Next::End(Flag::More)
                } else {
                    Next::Body(waiting.min(until - open.carried))
                }
            }
        }
    }

    /// Octets of an open piece were written.
    pub(in crate::session::msrp) fn piece_given(&mut self, piece: PieceId, octets: usize) {
        let Some(piece) = self.carriage.pieces.get_mut(piece) else { return };
        piece.octets.end += octets as u64;
        let (id, chunk) = (piece.carried, piece.chunk);
        if let Some(chunk) = self.carriage.chunks.get_mut(chunk) {
            chunk.given += octets as u64;
        }
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        self.carriage.rings.take(&mut it.ring, octets);
        let room = self.carriage.rings.room(it.ring);
        if room >= self.carriage.rings.size() / 2 {
            self.resume_from(self.source_of(id), Stopped::Octets(id));
        }
    }

    /// The end-line of a piece was written; it ends at this octet of the stream.
    pub(in crate::session::msrp) fn piece_ended(
        &mut self,
        piece: PieceId,
        connection: u16,
        at: u64,
        flag: Flag,
    ) {
        let Some(one) = self.carriage.pieces.get_mut(piece) else { return };
        one.state = State::Given;
        let (id, chunk_id, number) = (one.carried, one.chunk, one.number);
        let part = Part::Piece(piece);
        self.connections[usize::from(connection)].ends.push_back(End { part, at });
        self.tell_carried(id, Carriage::Ended { chunk: number, flag });
        let chunk = self.carriage.chunks.get_mut(chunk_id).filter(|it| it.code.is_none());
        let is_given = chunk.is_some_and(|chunk| {
            chunk.is_given = chunk.waiting() == 0 && chunk.flag.is_some();
            chunk.is_given
        });
        let Some(it) = self.carriage.messages.get_mut(id) else { return };
        it.open = None;
        if flag == Flag::Last {
            it.last_at = Some(at);
        }
        let queue = it.ungiven;
        if is_given {
            let (queue, _) = self.carriage.pop(queue);
            if let Some(it) = self.carriage.messages.get_mut(id) {
                it.ungiven = queue;
            }
            self.settle_chunk(chunk_id);
        }
        self.make_carried_ready(id);
        self.finish_if_over(id);
    }
}
