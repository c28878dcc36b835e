//! What is linked to a message that is carried: the way that it takes, the chunks that came, and the pieces
//! that left.

use super::{CarriedId, ChunkId, Endpoint, Store};
use crate::id::Handle;
use crate::limits::{MSRP_CARRIED_LAPSED_MAX, MSRP_CARRIED_WINDOW, MSRP_IDENT_SIZE_MAX};
use crate::session::msrp::sessions::SessionId;
use crate::session::msrp::text::Text;
use crate::store::Octets;
use crate::time::Instant;
use crate::wire::msrp::Flag;

/// Names one direction of two sessions that are joined.
pub(in crate::session::msrp) type WayId = Handle<Way>;

/// Names a chunk that leaves for the recipient of a message that is carried.
pub type PieceId = Handle<Piece>;

/// One direction of two sessions that are joined.
#[derive(Debug)]
pub(in crate::session::msrp) struct Way {
    pub(in crate::session::msrp) from: SessionId,
    pub(in crate::session::msrp) to: SessionId,
    /// The messages that take it.
    pub(super) first: Option<CarriedId>,
    last: Option<CarriedId>,
    pub(super) count: usize,
    /// Where the next Message-ID is remembered.
    pub(super) next_known: usize,
}

impl Way {
    pub(super) const fn new(from: SessionId, to: SessionId) -> Self {
        Self { from, to, first: None, last: None, count: 0, next_known: 0 }
    }
}

/// A chunk that came, until it is answered.
#[derive(Debug)]
pub(in crate::session::msrp) struct Chunk {
    pub(super) carried: CarriedId,
    pub(super) transaction_id: Text<MSRP_IDENT_SIZE_MAX>,
    /// The octets that have come.
    pub(super) octets: Octets,
    /// Up to here they were given to pieces.
    pub(super) given: u64,
    /// How it has ended, if it has.
    pub(super) flag: Option<Flag>,
    /// Pieces of it that were not answered.
    pub(super) pieces: u32,
    /// Its last piece was ended.
    pub(super) is_given: bool,
    /// What it is answered with.
    pub(super) code: Option<u16>,
    next: Option<ChunkId>,
}

impl Chunk {
    pub(super) const fn new(
        carried: CarriedId,
        transaction_id: Text<MSRP_IDENT_SIZE_MAX>,
        start: u64,
    ) -> Self {
        Self {
            carried,
            transaction_id,
            octets: Octets { start, end: start },
            given: start,
            flag: None,
            pieces: 0,
            is_given: false,
            code: None,
            next: None,
        }
    }

    /// Octets that wait in the ring.
    pub(super) const fn waiting(&self) -> u64 {
        self.octets.end - self.given
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Open,
    Given,
    HandedOver(Instant),
    Lapsed,
}

/// A chunk that leaves for the recipient of a message that is carried: all of a chunk that came, or a part.
#[derive(Debug)]
pub struct Piece {
    pub(super) carried: CarriedId,
    pub(super) chunk: ChunkId,
    pub(super) number: u32,
    pub(super) attempt: u8,
    pub(super) octets: Octets,
    pub(super) state: State,
    pub(super) next: Option<PieceId>,
    prev: Option<PieceId>,
}

impl Piece {
    pub(super) const fn new(carried: CarriedId, chunk: ChunkId, number: u32, start: u64) -> Self {
        Self {
            carried,
            chunk,
            number,
            attempt: 0,
            octets: Octets { start, end: start },
            state: State::Open,
            next: None,
            prev: None,
        }
    }
}

/// Chunks in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queue {
    pub(super) first: Option<ChunkId>,
    pub(super) last: Option<ChunkId>,
}

impl Store {
    /// The messages that take a way. Whoever takes one out has asked for the next one before.
    pub(super) fn messages_of(&self, way: WayId) -> impl Iterator<Item = CarriedId> {
        let first = self.ways.get(way).and_then(|way| way.first);
        core::iter::successors(first, |id| self.messages.get(*id)?.next_in_way)
    }

    /// A message takes a way.
    pub(super) fn enter(&mut self, way: WayId, id: CarriedId) {
        let Some(way) = self.ways.get_mut(way) else { return };
        way.count += 1;
        way.first.get_or_insert(id);
        let before = way.last.replace(id).and_then(|last| self.messages.get_mut(last));
        if let Some(before) = before {
            before.next_in_way = Some(id);
        }
    }

    /// It takes it no more.
    pub(super) fn leave(&mut self, way: WayId, id: CarriedId) {
        let before = self.messages_of(way).take_while(|other| *other != id).last();
        let next = self.messages.get_mut(id).and_then(|it| it.next_in_way.take());
        let Some(way) = self.ways.get_mut(way) else { return };
        way.count -= 1;
        if way.last == Some(id) {
            way.last = before;
        }
        match before.and_then(|before| self.messages.get_mut(before)) {
            Some(before) => before.next_in_way = next,
            None => way.first = next,
        }
    }

    pub(super) fn push(&mut self, mut queue: Queue, id: ChunkId) -> Queue {
        if let Some(chunk) = self.chunks.get_mut(id) {
            chunk.next = None;
        }
        match queue.last.replace(id) {
            Some(last) => {
                if let Some(last) = self.chunks.get_mut(last) {
                    last.next = Some(id);
                }
            }
            None => queue.first = Some(id),
        }
        queue
    }

    pub(super) fn pop(&mut self, mut queue: Queue) -> (Queue, Option<ChunkId>) {
        let first = queue.first;
        queue.first = first.and_then(|first| self.chunks.get_mut(first)?.next.take());
        if queue.first.is_none() {
            queue.last = None;
        }
        (queue, first)
    }

    /// Whether another chunk of this message may be kept: it has the same as all others, and shares what is
    /// spare.
    pub(super) fn has_place_for_chunk(&self, id: CarriedId, may_spare: bool) -> bool {
        let count = self.messages.get(id).map_or(0, |it| it.chunk_count);
        count < MSRP_CARRIED_WINDOW || (may_spare && self.spare_chunks > 0)
    }

    pub(super) fn has_place_for_piece(&self, id: CarriedId, may_spare: bool) -> bool {
        let count = self.messages.get(id).map_or(0, |it| it.piece_count);
        count < MSRP_CARRIED_WINDOW || (may_spare && self.spare_pieces > 0)
    }

    /// Adds a chunk behind those that are not given.
    pub(super) fn add_chunk(&mut self, chunk: Chunk) -> Option<ChunkId> {
        let id = chunk.carried;
        let chunk = self.chunks.insert(chunk).ok()?;
        let queue = self.messages.get(id)?.ungiven;
        let queue = self.push(queue, chunk);
        let it = self.messages.get_mut(id)?;
        it.ungiven = queue;
        it.chunk_count += 1;
        self.spare_chunks -= u32::from(it.chunk_count > MSRP_CARRIED_WINDOW);
        Some(chunk)
    }

    /// A chunk that is in no queue needs nothing any more.
    pub(super) fn remove_chunk(&mut self, id: ChunkId) {
        let Some(chunk) = self.chunks.remove(id) else { return };
        let Some(it) = self.messages.get_mut(chunk.carried) else { return };
        self.spare_chunks += u32::from(it.chunk_count > MSRP_CARRIED_WINDOW);
        it.chunk_count -= 1;
    }

    /// Adds a piece behind the others.
    pub(super) fn add_piece(&mut self, mut piece: Piece) -> Option<PieceId> {
        let (id, chunk) = (piece.carried, piece.chunk);
        let it = self.messages.get(id)?;
        piece.prev = it.last_piece;
        let prev = piece.prev;
        let piece = self.pieces.insert(piece).ok()?;
        if let Some(prev) = prev.and_then(|prev| self.pieces.get_mut(prev)) {
            prev.next = Some(piece);
        }
        let it = self.messages.get_mut(id)?;
        it.first_piece.get_or_insert(piece);
        it.last_piece = Some(piece);
        it.piece_count += 1;
        self.spare_pieces -= u32::from(it.piece_count > MSRP_CARRIED_WINDOW);
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.pieces += 1;
        }
        Some(piece)
    }

    /// Nothing is waited for any more for a piece. A few of these are kept while the message is, since they may
    /// be answered late; they keep no place from others.
    pub(super) fn lapse(&mut self, id: PieceId) {
        let Some(piece) = self.pieces.get_mut(id) else { return };
        if piece.state == State::Lapsed {
            return;
        }
        piece.state = State::Lapsed;
        let (carried, chunk) = (piece.carried, piece.chunk);
        self.piece_needs_nothing(carried, chunk);
        let Some(it) = self.messages.get_mut(carried) else { return };
        it.lapsed_count += 1;
        if it.lapsed_count > MSRP_CARRIED_LAPSED_MAX {
            let mut at = it.first_piece;
            let is_lapsed = |piece: &Piece| piece.state == State::Lapsed;
            while let Some(piece) =
                at.and_then(|at| self.pieces.get(at)).filter(|it| !is_lapsed(it))
            {
                at = piece.next;
            }
            if let Some(oldest) = at {
                self.remove_piece(oldest);
            }
        }
    }

    /// Takes a piece out.
    pub(super) fn remove_piece(&mut self, id: PieceId) -> Option<Piece> {
        let piece = self.pieces.remove(id)?;
        if let Some(next) = piece.next.and_then(|next| self.pieces.get_mut(next)) {
            next.prev = piece.prev;
        }
        if let Some(prev) = piece.prev.and_then(|prev| self.pieces.get_mut(prev)) {
            prev.next = piece.next;
        }
        if let Some(it) = self.messages.get_mut(piece.carried) {
            if it.first_piece == Some(id) {
                it.first_piece = piece.next;
            }
            if it.last_piece == Some(id) {
                it.last_piece = piece.prev;
            }
            if it.open == Some(id) {
                it.open = None;
            }
        }
        if piece.state != State::Lapsed {
            self.piece_needs_nothing(piece.carried, piece.chunk);
        } else if let Some(it) = self.messages.get_mut(piece.carried) {
            it.lapsed_count -= 1;
        }
        Some(piece)
    }

    fn piece_needs_nothing(&mut self, carried: CarriedId, chunk: ChunkId) {
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.pieces -= 1;
        }
        if let Some(it) = self.messages.get_mut(carried) {
            self.spare_pieces += u32::from(it.piece_count > MSRP_CARRIED_WINDOW);
            it.piece_count -= 1;
        }
    }
}

impl Endpoint {
    /// The number of a piece, told with something that happened to it.
    pub(in crate::session::msrp) fn tell_piece(
        &mut self,
        id: PieceId,
        carriage: impl FnOnce(u32) -> super::Carriage,
    ) {
        let Some(piece) = self.carriage.pieces.get(id) else { return };
        let (carried, number) = (piece.carried, piece.number);
        self.tell_carried(carried, carriage(number));
    }
}

#[cfg(test)]
impl Store {
    /// Whether nothing is kept that belongs to a message, and all that is spare is there.
    pub(in crate::session::msrp) fn is_bare(&self) -> bool {
        let spare = self.messages.capacity() * crate::limits::MSRP_CARRIED_SPARE;
        let is_empty = self.chunks.is_empty() && self.pieces.is_empty();
        is_empty && (self.spare_chunks, self.spare_pieces) == (spare, spare)
    }
}
