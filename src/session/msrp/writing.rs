//! What is written on a connection, and in which order: answers first, then chunks in turn.
//!
//! A chunk of at most 2048 octets is written without a break. A longer one leaves its end open and is
//! interrupted with `+`, never before 2048 octets of it, when an answer waits or when it has had its turn
//! (RFC 4975 section 7.1.1). One is interrupted, too, in front of what would be its own end-line: an
//! identifier cannot be guessed, so this is the one chance in many lifetimes that a body has it
//! (hazard H31).

use super::carried::{Carriage, PieceId};
use super::sending::{SendingId, State};
use super::text::Text;
use super::turns::Turn;
use super::{Counts, End, Endpoint, Fact, Host, Transaction};
use crate::limits::{
    MSRP_CHUNK_SIZE_MIN, MSRP_ENDS_MAX, MSRP_HEADER_SIZE_MAX, MSRP_IDENT_SIZE_MAX, MSRP_TURN_SIZE,
};
use crate::wire::msrp::{Flag, Path, end_line, end_line_occurs};

/// Room in which [`Endpoint::write`] always gets on.
pub const WRITE_SIZE_MIN: usize = MSRP_HEADER_SIZE_MAX;

/// Identifiers that are tried for a chunk that is not to be interrupted.
const ATTEMPTS: u8 = 4;

/// Octets in which an end-line may have begun: all of it but its flag.
const TAIL: usize = 7 + MSRP_IDENT_SIZE_MAX;

/// The last octets of a body that were written.
#[derive(Clone, Copy, Debug)]
struct Tail {
    octets: [u8; TAIL],
    len: usize,
}

impl Tail {
    const NOTHING: Self = Self { octets: [0; TAIL], len: 0 };

    /// How many octets of a piece may follow, so that no end-line of this transaction is there: all, or
    /// those in front of the flag of the first one.
    fn allows(&self, transaction_id: &[u8], piece: &[u8]) -> usize {
        let occurs = |len: usize| {
            let mut both = [0; 2 * TAIL];
            let begin = len.min(TAIL);
            both[..self.len].copy_from_slice(&self.octets[..self.len]);
            both[self.len..self.len + begin].copy_from_slice(&piece[..begin]);
            end_line_occurs(transaction_id, &both[..self.len + begin])
                || end_line_occurs(transaction_id, &piece[..len])
        };
        if !occurs(piece.len()) {
            return piece.len();
        }
        // What has one in it keeps it however much more follows.
        let (mut without, mut with) = (0, piece.len());
        while with - without > 1 {
            let middle = without.midpoint(with);
            if occurs(middle) { with = middle } else { without = middle }
        }
        without
    }

    fn follow(&mut self, piece: &[u8]) {
        let new = piece.len().min(TAIL);
        let kept = self.len.min(TAIL - new);
        self.octets.copy_within(self.len - kept..self.len, 0);
        self.octets[kept..kept + new].copy_from_slice(&piece[piece.len() - new..]);
        self.len = kept + new;
    }
}

/// What a chunk is a part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A message of our own, and the number of the chunk.
    Chunk { sending: SendingId, number: u32 },
    /// One that is carried.
    Piece(PieceId),
}

/// A chunk whose end-line was not written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) part: Part,
    pub(super) transaction_id: Text<MSRP_IDENT_SIZE_MAX>,
    pub(super) has_body: bool,
    pub(super) is_interruptible: bool,
    /// The next octet would make it end in the wrong place.
    pub(super) must_end: bool,
    /// Octets of its body, and those of them that were not told.
    pub(super) carried: u64,
    untold: u64,
    tail: Tail,
}

/// What a chunk goes on with.
pub(super) enum Next {
    End(Flag),
    /// At most so many octets.
    Body(u64),
    /// Nothing yet: its octets have not come.
    Nothing,
}

impl Open {
    pub(super) const fn new(
        part: Part,
        transaction_id: Text<MSRP_IDENT_SIZE_MAX>,
        has_body: bool,
        is_interruptible: bool,
    ) -> Self {
        Self {
            part,
            transaction_id,
            has_body,
            is_interruptible,
            must_end: false,
            carried: 0,
            untold: 0,
            tail: Tail::NOTHING,
        }
    }
}

impl Endpoint {
    /// Writes what is to leave on a connection, as far as there is room; says how many octets. They are
    /// the next ones of the stream. Nothing is left to write if it is less than [`WRITE_SIZE_MIN`]
    /// where there was more room, unless facts wait to be taken.
    pub fn write(&mut self, connection: u16, to: &mut [u8], host: &mut impl Host) -> usize {
        let mut at = 0;
        self.connection(connection).is_woken = false;
        while self.may_tell() && self.connection(connection).is_open {
            let room = &mut to[at..];
            let it = self.connection(connection);
            let step = if it.open.is_some() {
                self.go_on(connection, room, host)
            } else if !it.answers.is_empty() {
                Some(self.take_answers(connection, room)).filter(|taken| *taken > 0)
            } else if self.put_owed(connection) {
                Some(0)
            } else {
                self.begin(connection, room, host)
            };
            let Some(len) = step else { break };
            at += len;
            self.connection(connection).put += len as u64;
        }
        self.tell_given(connection);
        at
    }

    /// Whether something is to be written on a connection.
    pub fn has_output(&self, connection: u16) -> bool {
        let it = &self.connections[usize::from(connection)];
        let may_go_on =
            it.open.map(|open| !matches!(self.next_of(connection, &open), Next::Nothing));
        let may_begin = it.first_in_turn.is_some() && it.ends.len() < MSRP_ENDS_MAX;
        it.is_open && may_go_on.unwrap_or_else(|| self.answers_wait(connection) || may_begin)
    }

    fn take_answers(&mut self, connection: u16, room: &mut [u8]) -> usize {
        let it = self.connection(connection);
        let taken = it.answers.take(room);
        if it.answers.is_empty() {
            self.answers_have_left(connection);
        }
        taken
    }

    /// Whether answers wait to be written.
    fn answers_wait(&self, connection: u16) -> bool {
        let it = &self.connections[usize::from(connection)];
        !it.answers.is_empty() || it.first_owed.is_some()
    }

    /// How many octets a chunk that can be interrupted may have, as things are.
    pub(super) fn until(&self, connection: u16) -> u64 {
        let it = &self.connections[usize::from(connection)];
        match (self.answers_wait(connection), it.first_in_turn) {
            (true, _) => MSRP_CHUNK_SIZE_MIN,
            (false, Some(_)) => MSRP_TURN_SIZE,
            (false, None) => u64::MAX,
        }
    }

    /// Whether anybody else waits to write on a connection.
    pub(super) fn others_wait(&self, connection: u16) -> bool {
        self.until(connection) < u64::MAX
    }

    /// Begins the chunk whose turn it is.
    fn begin(&mut self, connection: u16, room: &mut [u8], host: &mut impl Host) -> Option<usize> {
        let it = &self.connections[usize::from(connection)];
        match it.first_in_turn.filter(|_| it.ends.len() < MSRP_ENDS_MAX)? {
            Turn::Sending(id) => self.begin_chunk(id, connection, room, host),
            Turn::Carried(id) => self.begin_piece(id, connection, room, host),
        }
    }

    fn begin_chunk(
        &mut self,
        id: SendingId,
        connection: u16,
        room: &mut [u8],
        host: &mut impl Host,
    ) -> Option<usize> {
        let first_at = self.connection(connection).put;
        let sending = self.sendings.get(id)?;
        let session = self.sessions.get(sending.session)?;
        let to = Path::parse(session.peer.octets()).ok()?;
        let from = Path::parse(session.uri.octets()).ok()?;
        let rest = sending.size - sending.at;
        let (owner, start, number) = (sending.owner, sending.at, sending.next_number);
        let name = |attempt| Transaction::Chunk { sending: id, number, attempt };
        let is_free = |text: &_, host: &_| is_free_of(text, host, owner, start, rest);
        let (transaction_id, attempt, is_interruptible) =
            identify(rest > MSRP_CHUNK_SIZE_MIN, host, name, is_free, &mut self.counts)?;
        let head = sending.head(transaction_id.octets(), is_interruptible, (to, from));
        let len = head.write(room)?;
        let has_body = sending.has_body();
        self.leave_turn(Turn::Sending(id));
        let number = self.sendings.get_mut(id)?.begin(attempt, first_at);
        let part = Part::Chunk { sending: id, number };
        self.connection(connection).open =
            Some(Open::new(part, transaction_id, has_body, is_interruptible));
        self.tell(Fact::Begun { sending: id, chunk: number });
        Some(len)
    }

    fn go_on(&mut self, connection: u16, room: &mut [u8], host: &impl Host) -> Option<usize> {
        let open = self.connection(connection).open?;
        let most = match self.next_of(connection, &open) {
            Next::End(flag) => return self.end_chunk(connection, flag, room),
            Next::Body(most) => usize::try_from(most).unwrap_or(usize::MAX).min(room.len()),
            Next::Nothing => return None,
        };
        let piece = match open.part {
            Part::Chunk { sending, .. } => {
                let sending = self.sendings.get(sending)?;
                host.body(sending.owner, sending.at, most)
            }
            Part::Piece(piece) => self.carriage.octets_of(piece),
        };
        let piece = &piece[..piece.len().min(most)];
        if piece.is_empty() {
            return None;
        }
        let allowed = open.tail.allows(open.transaction_id.octets(), piece);
        let must_end = allowed < piece.len();
        room[..allowed].copy_from_slice(&piece[..allowed]);
        let given = &room[..allowed];
        let it = self.connection(connection).open.as_mut()?;
        it.must_end = must_end;
        it.carried += allowed as u64;
        it.untold += allowed as u64;
        it.tail.follow(given);
        match open.part {
            Part::Chunk { sending, number } => self.chunk_given(sending, number, allowed),
            Part::Piece(piece) => self.piece_given(piece, allowed),
        }
        Some(allowed)
    }

    fn chunk_given(&mut self, sending: SendingId, number: u32, octets: usize) {
        let Some(sending) = self.sendings.get_mut(sending) else { return };
        sending.at += octets as u64;
        let at = sending.at;
        if let Some(chunk) = sending.chunks().iter_mut().find(|one| one.number == number) {
            chunk.octets.end = at;
        }
    }

    /// How an open chunk goes on.
    fn next_of(&self, connection: u16, open: &Open) -> Next {
        let sending = match open.part {
            Part::Chunk { sending, .. } => sending,
            Part::Piece(piece) => return self.next_of_piece(connection, open, piece),
        };
        // Whoever has forgotten the message has aborted it.
        let Some(sending) = self.sendings.get(sending) else {
            return Next::End(Flag::Aborted);
        };
        let is_whole = sending.at == sending.size;
        if sending.is_stopped && (open.is_interruptible || is_whole) {
            return Next::End(Flag::Aborted);
        }
        if is_whole {
            return Next::End(Flag::Last);
        }
        let mut most = sending.size - sending.at;
        if open.is_interruptible {
            let until = self.until(connection);
            if open.must_end || open.carried >= until {
                return Next::End(Flag::More);
            }
            most = most.min(until - open.carried);
        }
        Next::Body(most)
    }

    fn end_chunk(&mut self, connection: u16, flag: Flag, room: &mut [u8]) -> Option<usize> {
        let it = self.connection(connection);
        let open = it.open?;
        let len = end_line(open.transaction_id.octets(), flag, open.has_body, room)?;
        let at = it.put + len as u64;
        self.tell_given(connection);
        let it = self.connection(connection);
        it.open = None;
        let (sending, chunk) = match open.part {
            Part::Chunk { sending, number } => (sending, number),
            Part::Piece(piece) => {
                self.piece_ended(piece, connection, at, flag);
                return Some(len);
            }
        };
        let Some(known) = self.sendings.get_mut(sending) else { return Some(len) };
        if let Some(one) = known.chunks().iter_mut().find(|one| one.number == chunk) {
            one.state = State::Given;
        }
        if flag == Flag::Last {
            known.last_at = Some(at);
        }
        self.connections[usize::from(connection)].ends.push_back(End { part: open.part, at });
        self.tell(Fact::Ended { sending, chunk, flag });
        self.make_ready(sending);
        Some(len)
    }

    /// Tells how much of the body of the open chunk was written.
    fn tell_given(&mut self, connection: u16) {
        let Some(open) = self.connection(connection).open.as_mut() else { return };
        let octets = core::mem::take(&mut open.untold);
        let part = open.part;
        match part {
            _ if octets == 0 => {}
            Part::Chunk { sending, number } => {
                self.tell(Fact::Gave { sending, chunk: number, octets });
            }
            Part::Piece(piece) => self.tell_piece(piece, |chunk| Carriage::Gave { chunk, octets }),
        }
    }
}

/// An identifier for a chunk whose octets are free of its end-line, which attempt that was, and whether the
/// chunk can be interrupted: then it need not be free (hazard H31).
pub(super) fn identify<H: Host>(
    mut is_interruptible: bool,
    host: &mut H,
    name: impl Fn(u8) -> Transaction,
    is_free: impl Fn(&Text<MSRP_IDENT_SIZE_MAX>, &H) -> bool,
    counts: &mut Counts,
) -> Option<(Text<MSRP_IDENT_SIZE_MAX>, u8, bool)> {
    let mut attempt = 0;
    loop {
        let mut octets = [0; MSRP_IDENT_SIZE_MAX];
        let len = host.mint(name(attempt), &mut octets);
        let text = Text::of(octets.get(..len)?)?;
        if is_interruptible || is_free(&text, host) {
            return Some((text, attempt, is_interruptible));
        }
        counts.identifiers += 1;
        is_interruptible = attempt + 1 == ATTEMPTS;
        if !is_interruptible {
            attempt += 1;
        }
    }
}

/// Whether the end-line of a transaction is not in these octets, which follow each other.
pub(super) fn is_free(transaction_id: &Text<MSRP_IDENT_SIZE_MAX>, pieces: [&[u8]; 2]) -> bool {
    let mut tail = Tail::NOTHING;
    pieces.into_iter().all(|piece| {
        let is_free = tail.allows(transaction_id.octets(), piece) == piece.len();
        tail.follow(piece);
        is_free
    })
}

/// Whether the end-line of a transaction is not in these octets of a message.
fn is_free_of(
    transaction_id: &Text<MSRP_IDENT_SIZE_MAX>,
    host: &impl Host,
    owner: u64,
    start: u64,
    len: u64,
) -> bool {
    let (mut at, end) = (start, start + len);
    let mut tail = Tail::NOTHING;
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX);
        let piece = host.body(owner, at, most);
        let piece = &piece[..piece.len().min(most)];
        if tail.allows(transaction_id.octets(), piece) < piece.len() {
            return false;
        }
        tail.follow(piece);
        at += piece.len() as u64;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever the pieces are cut: the octets up to the flag and not one more.
    #[test]
    fn h31_an_end_line_across_pieces_is_noticed() {
        let id = b"abcdefgh";
        let body = [&b"xx"[..], b"---------abcdefgh", b"+yyyy", b"-------abcdefgh$"].concat();
        let first = 2 + 17;
        for size in 1..body.len() {
            let (mut tail, mut at) = (Tail::NOTHING, 0);
            loop {
                let piece = &body[at..body.len().min(at + size)];
                let allowed = tail.allows(id, piece);
                tail.follow(&piece[..allowed]);
                at += allowed;
                if allowed < piece.len() {
                    break;
                }
            }
            assert_eq!(at, first, "pieces of {size}");
        }
    }

    #[test]
    fn the_last_octets_are_kept() {
        let octets: Vec<u8> = (0..200).collect();
        for size in 1..100 {
            let mut tail = Tail::NOTHING;
            for piece in octets.chunks(size) {
                tail.follow(piece);
            }
            assert_eq!(&tail.octets[..tail.len], &octets[200 - TAIL..]);
        }
    }
}
