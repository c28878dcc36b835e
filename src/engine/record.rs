//! An open message: what is known of it between its arrival and its account.

use crate::delivery::{Asked, Message, Report, Statuses};
use crate::engine::remains::Remains;
use crate::engine::route::{Hop, Way};
use crate::engine::setup::Timers;
use crate::engine::short::Short;
use crate::id::Handle;
use crate::limits::REQUEST_SMALL_SIZE;
use crate::packet::{Flow, Owner, SendError, Transport};
use crate::store::{Buffer, Fingerprint, Slab};
use crate::time::{Instant, Wheel};
use crate::transaction::pending::Pending;
use crate::transaction::{non_invite_client, non_invite_server};
use crate::wire::Span;

/// One message on its way: a server transaction towards the SMS side, a client transaction
/// towards the IM side, and the latch between evidence and verdict. What a short message in RP-DATA
/// needs beside that is in the [`Short`] at the same index.
#[derive(Debug)]
pub(super) struct Record {
    /// Under which the directory finds it.
    pub fingerprint: Fingerprint,
    /// Where responses go.
    pub sms: Flow,
    /// The request towards the IM side.
    pub im: Leg,
    /// When the request arrived.
    pub arrived: Instant,
    /// When the verdict was reached.
    pub decided: Instant,
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
    /// Where the recipient stands in the request: the Request-URI, or the identity that is called.
    pub uri: Span,
    /// What the IM side said.
    pub statuses: Statuses,
    /// The peer it came from.
    pub sms_peer: u8,
    /// Whether the topmost Route named us and is removed.
    pub pop_route: bool,
    /// Whether it came in RP-DATA, so that our requests are our own and so are our reports.
    pub is_short: bool,
    /// The transaction towards the SMS side.
    pub server: non_invite_server::State,
    /// Evidence in, verdict out, once.
    pub message: Message,
    /// What the SMS side was told.
    pub report: Report,
}

/// One client transaction of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    /// Where the request goes.
    pub way: Way,
    /// When this attempt was transmitted first: timer F runs from here.
    pub sent: Instant,
    /// When timer E fires.
    pub retransmit: Instant,
    /// The CSeq number, which a response must repeat.
    pub cseq: u32,
    /// How often this attempt was transmitted.
    pub transmissions: u8,
    /// Which attempt it is, from 0; the branch says so.
    pub attempt: u8,
    /// The peer it went to.
    pub peer: u8,
    /// Which server of its list it went to, if it is one, so that there may be another.
    pub server: Option<u8>,
    /// The kernel refused the first transmission: the timer takes it from here.
    pub refused: Option<SendError>,
    /// What a final response would answer.
    pub asked: Asked,
    /// What its size has had to do with its way.
    pub size: Size,
    /// The credentials that it carries.
    pub authorization: Option<Buffer>,
    /// The transaction.
    pub client: non_invite_client::State,
}

/// What the size of a request has had to do with its way to a server (RFC 3261 section 18.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Size {
    /// Nothing: it goes as its hop says, unless it turns out to be too long for that.
    AsItIs,
    /// It is too long for a datagram and goes over a connection.
    Large,
    /// It is too long for a datagram, and there was no connection.
    LargeAllTheSame,
}

/// The client transactions of a message, and those of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Towards {
    /// The MESSAGE to the IM side.
    Im,
    /// INVITE and what goes with it.
    Call,
    /// The report in a MESSAGE of our own to the SMS side.
    Sms,
    /// A part of a message in a MESSAGE to an SC.
    Submission,
}

/// The attempts of an INVITE are numbered from here to there.
const CALL_ATTEMPTS: u8 = 0x40;
pub(super) const CALL_ATTEMPTS_MAX: u8 = 0x5F;
/// BYE in a call.
pub(super) const CALL_INSIDE: u8 = 0x60;
/// ACK of a 2xx, which is never answered.
pub(super) const CALL_ACK: u8 = 0x61;
/// No request: the tag of a dialog.
pub(super) const CALL_TAG: u8 = 0x62;
/// The attempts of a MESSAGE with a part of a submission are numbered from here.
const SUBMISSION_ATTEMPTS: u8 = 0x70;
/// The attempts of the report are numbered from here.
const REPORT_ATTEMPTS: u8 = 0x80;
/// Attempts of each kind have so many numbers.
const ATTEMPTS_EACH: u8 = 0x40;

impl Towards {
    /// Which of them an attempt number in a branch belongs to.
    pub(super) const fn of(attempt: u8) -> Self {
        match attempt {
            0..CALL_ATTEMPTS => Self::Im,
            CALL_ATTEMPTS..SUBMISSION_ATTEMPTS => Self::Call,
            SUBMISSION_ATTEMPTS..REPORT_ATTEMPTS => Self::Submission,
            REPORT_ATTEMPTS.. => Self::Sms,
        }
    }

    /// The number of its first attempt.
    pub(super) const fn first_attempt(self) -> u8 {
        match self {
            Self::Im => 0,
            Self::Call => CALL_ATTEMPTS,
            Self::Sms => REPORT_ATTEMPTS,
            Self::Submission => SUBMISSION_ATTEMPTS,
        }
    }
}

impl Leg {
    /// A request that has not left.
    pub(super) const fn new(towards: Towards, hop: &Hop, cseq: u32, now: Instant) -> Self {
        Self {
            way: hop.way,
            sent: now,
            retransmit: now,
            cseq,
            transmissions: 0,
            attempt: towards.first_attempt(),
            peer: hop.peer,
            server: hop.in_list,
            refused: None,
            asked: Asked::Once,
            size: Size::AsItIs,
            authorization: None,
            client: non_invite_client::State::Trying,
        }
    }

    /// Whether it is out and has no final response.
    pub(super) const fn is_running(&self) -> bool {
        use non_invite_client::State;
        self.transmissions > 0
            && match self.client {
                State::Trying | State::Proceeding => true,
                State::Completed | State::Terminated => false,
            }
    }

    /// Counts a transmission: timers E and F. A transport that repeats what is lost by itself has no
    /// timer E (RFC 3261 section 17.1.2.2).
    pub(super) const fn transmitted(&mut self, now: Instant, timers: Timers, transport: Transport) {
        if self.transmissions == 0 {
            self.sent = now;
        }
        self.transmissions = self.transmissions.saturating_add(1);
        if transport.is_reliable() {
            self.retransmit = NEVER;
            return;
        }
        let interval = self.client.timer_e_ms(self.transmissions, timers.t1_ms, timers.t2_ms);
        self.retransmit = now.plus_ms(interval);
    }

    /// Begins another attempt, at another server or with credentials. `false` if there were too
    /// many.
    pub(super) fn begin_again(&mut self, hop: Option<&Hop>, asked: Asked) -> bool {
        if self.attempt % ATTEMPTS_EACH >= ATTEMPTS_MAX {
            return false;
        }
        self.attempt += 1;
        self.transmissions = 0;
        self.refused = None;
        self.asked = asked;
        self.client = non_invite_client::State::Trying;
        if let Some(hop) = hop {
            (self.way, self.peer, self.server) = (hop.way, hop.peer, hop.in_list);
            self.size = Size::AsItIs;
        }
        true
    }

    /// When something is to be done about it if nothing arrives.
    pub(super) fn due(&self, timers: Timers) -> Instant {
        self.retransmit.min(self.sent.plus_ms(timers.transaction_ms()))
    }
}

/// Later than anything.
pub(super) const NEVER: Instant = Instant(u64::MAX);

/// Octets of what only a short message needs.
const SHORT_SIZE: usize = size_of::<Short>() + 2 * Pending::RECORD_SIZE;

/// Octets that one open message takes: record, its request, its timer, its place on the board.
pub(super) const OPEN_MESSAGE_SIZE: usize = Slab::<Record>::entry_size()
    + REQUEST_SMALL_SIZE
    + Wheel::entry_size()
    + SHORT_SIZE
    + Remains::PLACE_SIZE;

const _: () = assert!(OPEN_MESSAGE_SIZE <= 2_560);

/// Whose departure it is that the driver tells about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// The first transmission of this attempt, of either request.
    Request(u8),
    /// The final response that is the report.
    Report,
    /// The final response that is the report of another worker's message, which has closed it.
    Handed,
}

const INDEX_BITS: u32 = 24;
const REPORT: u64 = 0xFF;
const HANDED: u64 = 0x7F;

/// Attempts of one request are numbered up to this: no number is that of [`Errand::Report`] or of
/// [`Errand::Handed`].
pub(super) const ATTEMPTS_MAX: u8 = 0x3E;

/// Packs whom to tell: errand 8 bits, index 24, generation 32.
pub(super) const fn owner(handle: Handle<Record>, errand: Errand) -> Owner {
    let errand = match errand {
        Errand::Request(attempt) => attempt as u64,
        Errand::Report => REPORT,
        Errand::Handed => HANDED,
    };
    Owner(errand << 56 | (handle.index as u64) << 32 | handle.generation as u64)
}

/// Who is told about the report of another worker's message.
pub(super) const HANDED_OVER: Owner = Owner(HANDED << 56);

/// Unpacks whom to tell.
#[expect(clippy::cast_possible_truncation, reason = "each field has its own bits")]
pub(super) const fn errand(owner: Owner) -> (Handle<Record>, Errand) {
    let index = (owner.0 >> 32) as u32 & ((1 << INDEX_BITS) - 1);
    let errand = match owner.0 >> 56 {
        REPORT => Errand::Report,
        HANDED => Errand::Handed,
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
        for errand_in in [
            Errand::Report,
            Errand::Handed,
            Errand::Request(0),
            Errand::Request(ATTEMPTS_MAX),
            Errand::Request(REPORT_ATTEMPTS | ATTEMPTS_MAX),
        ] {
            let handle = Handle::new(MESSAGES_MAX - 1, u32::MAX);
            assert_eq!(errand(owner(handle, errand_in)), (handle, errand_in));
        }
    }
}
