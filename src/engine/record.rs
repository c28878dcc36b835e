//! An open message: what is known of it between its arrival and its account.

use crate::delivery::{Message, Report, Statuses};
use crate::engine::setup::Timers;
use crate::id::Handle;
use crate::limits::REQUEST_SMALL_SIZE;
use crate::packet::{Flow, Owner};
use crate::store::{Buffer, Fingerprint, Slab};
use crate::time::{Instant, Wheel};
use crate::transaction::{non_invite_client, non_invite_server};
use crate::wire::Span;

/// One message on its way: a server transaction towards the SMS side, a client transaction
/// towards the IM side, and the latch between evidence and verdict.
#[derive(Debug)]
pub(super) struct Record {
    /// Under which the directory finds it.
    pub fingerprint: Fingerprint,
    /// Where responses go.
    pub sms: Flow,
    /// Where the request goes.
    pub im: Flow,
    /// When the request arrived.
    pub arrived: Instant,
    /// When this attempt was transmitted first: timer F runs from here.
    pub sent: Instant,
    /// When timer E fires.
    pub retransmit: Instant,
    /// When the verdict was reached.
    pub decided: Instant,
    /// The CSeq number, which a response must repeat.
    pub cseq: u32,
    /// The loop hash that our branch carries.
    pub loop_hash: u32,
    /// The request as it arrived, when it is too long for the small buffer of this record.
    pub large: Option<Buffer>,
    /// Octets of the request as it arrived.
    pub len: u16,
    /// The port the request came from, which `rport` tells.
    pub source_port: u16,
    /// Where the Call-ID stands in the request.
    pub call_id: Span,
    /// Where the Request-URI stands in the request.
    pub uri: Span,
    /// What the IM side said.
    pub statuses: Statuses,
    /// How often the request was transmitted.
    pub transmissions: u8,
    /// Which of the next servers it went to, from 0.
    pub attempt: u8,
    /// The peer it came from.
    pub sms_peer: u8,
    /// The peer it went to.
    pub im_peer: u8,
    /// How the request is changed on its way.
    pub onward: Onward,
    /// The transaction towards the IM side.
    pub client: non_invite_client::State,
    /// The transaction towards the SMS side.
    pub server: non_invite_server::State,
    /// Evidence in, verdict out, once.
    pub message: Message,
    /// What the SMS side was told.
    pub report: Report,
}

/// How a request is changed on its way, beyond what every proxy does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Onward {
    /// The topmost Route named us and is removed.
    pub pop_route: bool,
    /// The next hop came from the list of next servers, so that there may be another.
    pub by_list: bool,
    /// The kernel refused the first transmission: the timer takes it from here.
    pub refused: bool,
}

/// Octets that one open message takes: record, its request, its timer.
pub(super) const OPEN_MESSAGE_SIZE: usize =
    Slab::<Record>::entry_size() + REQUEST_SMALL_SIZE + Wheel::entry_size();

const _: () = assert!(OPEN_MESSAGE_SIZE <= 2_560);

impl Record {
    /// When something is to be done about this message if nothing arrives.
    pub(super) fn due(&self, timers: Timers, sync_deadline_ms: u32) -> Instant {
        if self.onward.refused {
            return self.arrived;
        }
        let mut due = self.retransmit.min(self.sent.plus_ms(timers.transaction_ms()));
        if self.message.decided().is_none() {
            due = due.min(self.arrived.plus_ms(sync_deadline_ms));
            if self.server == non_invite_server::State::Trying {
                due = due.min(self.arrived.plus_ms(timers.trying_ms()));
            }
        }
        due
    }

    /// Starts an attempt: transmitted once, timers E and F from `now`.
    pub(super) const fn transmitted(&mut self, now: Instant, timers: Timers) {
        if self.transmissions == 0 {
            self.sent = now;
        }
        self.transmissions = self.transmissions.saturating_add(1);
        let interval = self.client.timer_e_ms(self.transmissions, timers.t1_ms, timers.t2_ms);
        self.retransmit = now.plus_ms(interval);
    }
}

/// Whose departure it is that the driver tells about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// The first transmission of this attempt.
    Request(u8),
    /// The report.
    Report,
}

const INDEX_BITS: u32 = 24;
const REPORT: u64 = 0xFF;

/// Attempts are numbered below this: what is left of the octet is the report.
pub(super) const ATTEMPTS_MAX: u8 = 0xFF;

/// Packs whom to tell: errand 8 bits, index 24, generation 32.
pub(super) const fn owner(handle: Handle<Record>, errand: Errand) -> Owner {
    let errand = match errand {
        Errand::Request(attempt) => attempt as u64,
        Errand::Report => REPORT,
    };
    Owner(errand << 56 | (handle.index as u64) << 32 | handle.generation as u64)
}

/// Unpacks whom to tell.
#[expect(clippy::cast_possible_truncation, reason = "each field has its own bits")]
pub(super) const fn errand(owner: Owner) -> (Handle<Record>, Errand) {
    let index = (owner.0 >> 32) as u32 & ((1 << INDEX_BITS) - 1);
    let errand = match owner.0 >> 56 {
        REPORT => Errand::Report,
        attempt => Errand::Request(attempt as u8),
    };
    (Handle::new(index, owner.0 as u32), errand)
}

/// The most messages that can be open: an owner has 24 bits for the index.
pub const MESSAGES_MAX: u32 = 1 << INDEX_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_back() {
        for errand_in in [Errand::Report, Errand::Request(0), Errand::Request(7)] {
            let handle = Handle::new(MESSAGES_MAX - 1, u32::MAX);
            assert_eq!(errand(owner(handle, errand_in)), (handle, errand_in));
        }
    }
}
