//! What a connection has not written before it ended, and another one may.
//!
//! A response goes back on the connection of its request as long as that is open, and otherwise on
//! another one to the port that its Via names (RFC 3261 section 18.2.2). The end of a connection may show
//! only when something is to be written to it, so what was put into its outbox and was not begun goes
//! there as well, once. Whoever has not read what was written to him is not tried again: the outboxes
//! are there for others.

use super::Streams;
use crate::metrics::Counter;
use crate::packet::{Endpoint, Flow, SendError, Sent, SocketId};
use crate::session::stream::outbox::Left;
use crate::time::Instant;

/// An outbox without a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stray {
    pub(super) outbox: usize,
    /// Where its connection led to.
    pub(super) ip: [u8; 16],
    pub(super) socket: SocketId,
}

impl Streams {
    /// Gives what was not written to connections that may write it, or tells that nobody will.
    pub(super) fn send_strays(&mut self, now: Instant) {
        while let Some(stray) = self.strays.pop_front() {
            while let Some(left) = self.outboxes[stray.outbox].pop_left() {
                let sent = self.send_left(stray, &left, now);
                if let (Err(error), Some(owner)) = (sent, left.owner) {
                    self.told.push_back((owner, Err(error)));
                }
            }
            self.outboxes[stray.outbox].clear();
            self.outboxes_free.push(stray.outbox);
        }
    }

    fn send_left(&mut self, stray: Stray, left: &Left, now: Instant) -> Sent {
        if left.is_begun {
            return Err(SendError::Other(libc::EPIPE));
        }
        if left.port == 0 {
            return Err(SendError::NotWritten);
        }
        let flow = Flow::to(Endpoint { ip: stray.ip, port: left.port }, stray.socket);
        let index = match self.opened_to(flow) {
            Some(index) => index,
            None if self.has_outbox() => self.connect(flow, now)?,
            None => return Err(SendError::NotWritten),
        };
        let to = self.outbox(index, now).ok_or(SendError::NotWritten)?;
        let both = self.outboxes.get_disjoint_mut([stray.outbox, to]);
        if !both.is_ok_and(|[from, to]| to.put_left(from, left)) {
            return Err(SendError::NotWritten);
        }
        self.count(Counter::ResponsesMoved);
        self.order_write(index, now);
        Ok(())
    }
}
