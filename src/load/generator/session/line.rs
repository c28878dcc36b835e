//! Connections of MSRP: what has come of the chunk that is open, and what waits to be written.

use crate::packet::{ConnectionId, Departures, Wish};
use crate::wire::msrp::{Flag, Reader, end_line};

/// Octets that may wait to be written before nothing more is read: who does not take answers asks too much.
const BEHIND_SIZE: usize = 256 << 10;

/// The chunk that is open on a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunk {
    /// The session that it is for, if it brings something of a message.
    pub(super) call: Option<u32>,
    /// What tells that session from one that has its place later.
    pub(super) secret: u64,
    /// The place of that message among those of the session.
    pub(super) message: usize,
    /// Where its next octet goes.
    pub(super) at: usize,
    /// What it is answered at its end.
    pub(super) code: u16,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: ConnectionId,
    pub(super) reader: Reader,
    /// The head of the chunk that is open.
    pub(super) head: Vec<u8>,
    pub(super) chunk: Chunk,
    /// What is to be written, and how much of it was put in.
    out: Vec<u8>,
    at: usize,
    is_writing: bool,
    is_behind: bool,
    is_closing: bool,
}

impl Line {
    const fn new(id: ConnectionId) -> Self {
        Self {
            id,
            reader: Reader::new(),
            head: Vec::new(),
            chunk: Chunk { call: None, secret: 0, message: 0, at: 0, code: 0 },
            out: Vec::new(),
            at: 0,
            is_writing: false,
            is_behind: false,
            is_closing: false,
        }
    }

    /// Puts what `write` writes into `size` octets behind what waits.
    pub(super) fn say(
        &mut self,
        size: Option<usize>,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) {
        let from = self.out.len();
        self.out.resize(from + size.unwrap_or(0), 0);
        let len = write(&mut self.out[from..]).unwrap_or(0);
        self.out.truncate(from + len);
    }

    /// The end of a request without a body.
    pub(super) fn end(&mut self, transaction_id: &[u8]) {
        self.say(Some(crate::wire::msrp::END_LINE_SIZE_MAX), |to| {
            end_line(transaction_id, Flag::Last, false, to)
        });
    }

    /// Puts in what there is room for. 0: there is nothing.
    pub(super) fn fill(&mut self, room: &mut [u8], out: &mut Departures) -> usize {
        let rest = &self.out[self.at..];
        let len = rest.len().min(room.len());
        room[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
        }
        self.is_writing = len > 0;
        if self.out.len() - self.at < BEHIND_SIZE && core::mem::take(&mut self.is_behind) {
            out.wish(Wish::Read(self.id));
        }
        len
    }

    /// Whether nothing more is to be read until some of it is written.
    pub(super) const fn falls_behind(&mut self) -> bool {
        self.is_behind = self.out.len() - self.at >= BEHIND_SIZE;
        self.is_behind
    }

    /// Asks for what it needs: to write, if something waits.
    pub(super) fn wish(&mut self, out: &mut Departures) {
        let waits = self.out.len() > self.at;
        if waits && !core::mem::replace(&mut self.is_writing, true) {
            out.wish(Wish::Write(self.id));
        }
    }

    /// Ends it, when what waits is written.
    pub(super) fn close(&mut self, out: &mut Departures) {
        if !core::mem::replace(&mut self.is_closing, true) {
            out.wish(Wish::Close(self.id));
        }
    }
}

/// All connections, each at the place that the driver has for it.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Option<Box<Line>>>);

impl Lines {
    pub(super) fn open(&mut self, id: ConnectionId) {
        let place = usize::from(id.index);
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place] = Some(Box::new(Line::new(id)));
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Line> {
        let line = self.0.get_mut(usize::from(id.index))?.as_deref_mut();
        line.filter(|line| line.id == id)
    }

    pub(super) fn lost(&mut self, id: ConnectionId) {
        if self.get(id).is_some() {
            self.0[usize::from(id.index)] = None;
        }
    }
}
