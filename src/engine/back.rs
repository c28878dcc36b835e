//! The way back: a response leaves from where its request has arrived.
//!
//! A connection is of one worker, and a message is decided on by its home. So a response to what has
//! arrived on the connection of another worker is handed over to that worker. Where that cannot be, it
//! leaves from the home's own socket to the port that the topmost Via names, on another connection (RFC
//! 3261 section 18.2.2).

use crate::engine::request::Asked;
use crate::engine::route::default_port;
use crate::engine::{Engine, Neighbours};
use crate::metrics::Counter;
use crate::packet::{Departure, Departures, Flow, JournalSeq, Owner, Purse, Transport};
use crate::wire::sip;

/// Where a response goes and who is told about it.
#[derive(Clone, Copy)]
pub(super) struct Back {
    pub flow: Flow,
    pub purse: Purse,
    pub owner: Option<Owner>,
    /// Octets that it has at most.
    pub len_max: usize,
}

impl Back {
    /// Nobody is told about it.
    pub(super) const fn to(flow: Flow, purse: Purse, len_max: usize) -> Self {
        Self { flow, purse, owner: None, len_max }
    }
}

/// Where a response leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaves {
    /// From this worker, which is told how that went.
    Here,
    /// From this worker, on another connection than its request came on.
    HereInstead,
    /// From the worker that has the connection. Its owner is not told.
    Elsewhere,
}

impl Engine {
    /// RFC 3261 section 18.2.2 and RFC 3581 section 4: responses go back to the packet's source
    /// address, to its port if it asked for that, and leave from where the request arrived. Over a
    /// connection they go back on that one. Where it is gone, its port leads nowhere, and another one
    /// is opened to the port of `sent-by`.
    pub(super) fn reply_flow(&self, asked: Asked<'_>) -> Flow {
        let mut flow = asked.arrival.flow;
        let via = &asked.request.fields.via;
        flow.remote.port = match flow.connection {
            None => via.reply_port(flow.remote.port),
            Some(_) => {
                via.port.unwrap_or_else(|| default_port(self.setup.transport_of(flow.socket)))
            }
        };
        flow
    }

    /// Sends a response that `fill` writes.
    pub(super) fn send_back(
        &self,
        to: Back,
        out: &mut Departures,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Leaves {
        let leaves = self.neighbours.send_back(to, out, fill);
        self.note_leaving(leaves);
        leaves
    }

    /// Counts what does not leave as it would from the only worker.
    pub(super) fn note_leaving(&self, leaves: Leaves) {
        match leaves {
            Leaves::Here => {}
            Leaves::HereInstead => self.count(Counter::ResponsesElsewhere),
            Leaves::Elsewhere => self.count(Counter::ResponsesHandedOver),
        }
    }
}

impl Neighbours {
    /// Sends a response that `fill` writes, or has it sent.
    pub(super) fn send_back(
        &self,
        to: Back,
        out: &mut Departures,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Leaves {
        let Back { flow, purse, owner, len_max } = to;
        let departure = Departure { flow, len: 0, after: JournalSeq::NOW, owner };
        let foreign = flow.connection.map(|connection| connection.worker);
        let Some(worker) = foreign.filter(|worker| *worker != self.own()) else {
            out.push(purse, departure, |slot| fill(slot));
            return Leaves::Here;
        };
        let fill = if self.has(worker) && !self.is_lost(worker) {
            match self.handover.post_departure(worker, flow, owner.is_some(), len_max, fill) {
                Ok(()) => return Leaves::Elsewhere,
                Err(fill) => fill,
            }
        } else {
            fill
        };
        let flow = Flow { connection: None, ..flow };
        out.push(purse, Departure { flow, ..departure }, |slot| fill(slot));
        Leaves::HereInstead
    }
}

/// How a Via names a transport.
pub(super) const fn carried(transport: Transport) -> sip::Transport {
    match transport {
        Transport::Udp => sip::Transport::Udp,
        Transport::Tcp => sip::Transport::Tcp,
        Transport::Tls => sip::Transport::Tls,
    }
}
