//! Messages from IM users to the SMS side: a session that we answer, and SMS-SUBMITs to an SC (RFC 4975, TS
//! 24.341 section 5.3.1, TS 23.040).
//!
//! ```text
//!   IM user                          we                                      SC
//!     | INVITE ------------------->  |
//!     | <----------------- 200, ACK  |
//!     | SEND, SEND ----------------> | Arriving
//!     | <---------------------- 200  |
//!     |                              | Turn      one message of a sender at a time
//!     |                              | Sending   MESSAGE (RP-DATA (SMS-SUBMIT)) --> |  each part, one by one
//!     |                              |           <-- MESSAGE (RP-ACK or RP-ERROR)   |
//!     |                              | Reports   <-- MESSAGE (SMS-STATUS-REPORT)    |  if they were asked for
//!     | <-------------------- REPORT | over      its account is told
//! ```
//!
//! A [`Submission`] is one message, from its first octet to its account, with a timer of its own. Its session
//! may end before: then there is no REPORT (RFC 4975 section 7.1.2), and what is known is told in the account
//! all the same. Its octets lie in the endpoint until the SC has taken the last part.
//!
//! Who answers for a part is found by Call-ID: ours names the place of the submission and the part, and has
//! the tag of this process; so an In-Reply-To is believed or not without a table. A status report has nothing
//! of ours but TP-MR, which counts up for each sender as it does in a phone (TS 23.040 section 9.2.3.6), and is
//! never given out while a part that has it may still be reported: else what became of one message would be
//! told of another.

mod accept;
mod again;
mod answers;
mod arrive;
mod outcome;
mod submit;

use super::Call;
use crate::delivery::{Identifier, Message, Statuses};
use crate::engine::record::{Leg, Towards};
use crate::engine::route::{Hop, Way};
use crate::engine::setup;
use crate::id::Handle;
use crate::interwork::address::Number;
use crate::interwork::division::PARTS_MAX;
use crate::limits::{MSRP_IDENT_SIZE_MAX, SUBMISSION_SENDER_SIZE_MAX};
use crate::session::msrp::{IncomingId, SessionId};
use crate::store::{Directory, Fingerprint, Slab};
use crate::time::{Instant, Wheel};
use crate::transaction::pending::Pending;
use crate::wire::msrp::FailureReport;
use crate::wire::tpdu::Alphabet;

/// What only messages to the SMS side need, allocated at the start.
#[derive(Debug)]
pub(super) struct Store {
    submissions: Slab<Submission>,
    wheel: Wheel,
    /// Whose turn it is: one message of a sender at a time (RFC 3428 section 8).
    turns: Pending,
    /// The submission of each message that arrives, by the place of that.
    arriving: Box<[Option<Handle<Submission>>]>,
    /// Calls, by their INVITE.
    invites: Directory,
    /// The last TP-MR of each sender.
    references: Directory,
    /// The parts that may be reported, by sender and TP-MR.
    reported: Directory,
    /// By sender and TP-MR, the TP-SCTS of the status report that has told last what became of a part.
    told: Directory,
    /// What has become of messages, for those that come again.
    known: Directory,
    /// REPORTs wait to be written.
    has_reports: bool,
}

/// Messages that may be assembled at a time, of so many submissions: the others are with the SC.
pub(super) const ARRIVING_SHARE: u32 = 4;

/// For each submission that there may be at a time, so many are remembered.
const REMEMBERED_SHARE: u32 = 16;

/// What the time is counted in for which TP-MRs and messages are remembered, in milliseconds.
const REFERENCES_TICK_MS: u32 = 2_048;

impl Store {
    /// Allocates and touches everything; nothing where nobody takes submissions.
    pub(super) fn new(large: &setup::Large, incomings: u32, now: Instant) -> Option<Box<Self>> {
        let submissions = large.submissions_max;
        if submissions == 0 {
            return None;
        }
        Some(Box::new(Self {
            submissions: Slab::new(submissions),
            wheel: Wheel::new(submissions, now),
            turns: Pending::new(submissions),
            arriving: core::iter::repeat_n(None, incomings as usize).collect(),
            invites: Directory::new(large.sessions_max, now),
            references: Directory::with_tick(
                submissions * REMEMBERED_SHARE,
                REFERENCES_TICK_MS,
                now,
            ),
            reported: Directory::with_tick(submissions * REMEMBERED_SHARE, REFERENCES_TICK_MS, now),
            told: Directory::with_tick(submissions * REMEMBERED_SHARE, REFERENCES_TICK_MS, now),
            known: Directory::with_tick(submissions * REMEMBERED_SHARE, REFERENCES_TICK_MS, now),
            has_reports: false,
        }))
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        let submissions = self.submissions.capacity() as usize;
        submissions * (Slab::<Submission>::entry_size() + Wheel::entry_size())
            + self.turns.size()
            + size_of_val(&*self.arriving)
            + self.invites.size()
            + self.references.size()
            + self.reported.size()
            + self.told.size()
            + self.known.size()
    }

    /// The call of an INVITE is no more.
    pub(super) fn forget_invite(&mut self, invite: Fingerprint, now: Instant) {
        self.invites.remove(invite, now);
    }

    /// A moment before which nothing is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.turns.has_ready() || self.has_reports {
            return Some(Instant::default());
        }
        self.wheel.next()
    }
}

/// Who sends in a session for the SMS side, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    sender: Sender,
    destination: Number,
    /// Which of the streams of the offer was taken.
    pub(super) stream: u8,
    /// The peer of the SC.
    peer: u8,
}

/// The URI of a sender.
#[derive(Clone, Copy, Debug)]
struct Sender {
    octets: [u8; SUBMISSION_SENDER_SIZE_MAX],
    len: u8,
}

impl Sender {
    fn of(octets: &[u8]) -> Option<Self> {
        let mut sender = Self { octets: [0; SUBMISSION_SENDER_SIZE_MAX], len: 0 };
        sender.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        sender.len = u8::try_from(octets.len()).ok()?;
        (sender.len > 0).then_some(sender)
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Its octets come.
    Arriving,
    /// Another message of its sender is being submitted.
    Turn,
    /// A part is with the SC, or about to be.
    Sending,
    /// The SC has all of it.
    Reports,
    /// It is over; its REPORT waits for room.
    Telling,
}

/// What is known of a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Nothing.
    Open,
    /// The SC will not say more than that it does not know.
    Unconfirmed,
    /// Its recipient has received it.
    Received,
}

/// One message to the SMS side.
#[derive(Debug)]
pub(super) struct Submission {
    stage: Stage,
    call: Handle<Call>,
    session: SessionId,
    caller: Caller,
    /// The dialog that it came in and its peer, for the account: it may be over long before.
    im: (Identifier, u8),
    /// Where its octets are, until they are of no more use.
    incoming: Option<IncomingId>,
    message_id: [u8; MSRP_IDENT_SIZE_MAX],
    message_id_len: u8,
    /// By what it is known when it comes again, once it is whole.
    identity: Option<Fingerprint>,
    /// Octets of it.
    total: u64,
    success_report: bool,
    failure_report: FailureReport,
    /// Whether status reports are asked for.
    asks_status: bool,
    alphabet: Alphabet,
    parts: u8,
    /// The part that is being submitted, from 0.
    number: u8,
    /// Where in the message the text begins, where it ends, and where this part of it begins.
    text: (u32, u32),
    at: u32,
    /// The reference that all parts have.
    concatenation: u8,
    /// RP-MR and TP-MR of the part.
    reference: u8,
    leg: Leg,
    /// When the part was sent first, to whichever server.
    since: Instant,
    is_acknowledged: bool,
    states: [Part; PARTS_MAX],
    /// When the SC has got each part, in its own words, as far as it has said that.
    got: [Option<u32>; PARTS_MAX],
    taken: u8,
    received: u8,
    arrived: Instant,
    decided: Instant,
    /// When its stage is over at the latest.
    until: Instant,
    statuses: Statuses,
    message: Message,
    /// The REPORT that was sent, or is to be.
    told: Option<u16>,
}

/// What a Call-ID of ours names: a submission, and one of its parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Named {
    submission: Handle<Submission>,
    part: u8,
}

impl Named {
    /// As much of it as a directory has room for.
    fn short(self) -> u64 {
        let Handle { index, generation, .. } = self.submission;
        u64::from(index & 0xFFFF) << 32
            | u64::from(generation & 0xFF_FFFF) << 8
            | u64::from(self.part)
    }

    fn of_short(short: u64, submissions: &Slab<Submission>) -> Option<Self> {
        let index = u32::try_from(short >> 32).ok()?;
        let part = u8::try_from(short & 0xFF).ok()?;
        let named = Self { submission: submissions.handle_at(index)?, part };
        (named.short() == short).then_some(named)
    }
}

/// Set what is hashed apart from every other use of the same key.
const CALL_ID: u64 = 0x5B11_0000 << 32;
const TURN: u64 = 0x5B12_0000 << 32;
const REFERENCE: u64 = 0x5B13_0000 << 32;
const REPORTED: u64 = 0x5B14_0000 << 32;
const MESSAGE: u64 = 0x5B15_0000 << 32;

impl Submission {
    /// A message whose first octets come.
    fn new(
        (call, session, caller): (Handle<Call>, SessionId, Caller),
        id: &[u8],
        now: Instant,
    ) -> Self {
        let mut message_id = [0; MSRP_IDENT_SIZE_MAX];
        let len = id.len().min(message_id.len());
        message_id[..len].copy_from_slice(&id[..len]);
        let message_id_len = u8::try_from(len).unwrap_or(0);
        let nowhere = Hop { way: Way::NOWHERE, peer: caller.peer, pop_route: false, in_list: None };
        Self {
            stage: Stage::Arriving,
            call,
            session,
            caller,
            im: (Identifier::new(&[]), caller.peer),
            incoming: None,
            message_id,
            message_id_len,
            identity: None,
            total: 0,
            success_report: false,
            failure_report: FailureReport::Yes,
            asks_status: false,
            alphabet: Alphabet::Gsm7,
            parts: 0,
            number: 0,
            text: (0, 0),
            at: 0,
            concatenation: 0,
            reference: 0,
            leg: Leg::new(Towards::Submission, &nowhere, 1, now),
            since: now,
            is_acknowledged: false,
            states: [Part::Open; PARTS_MAX],
            got: [None; PARTS_MAX],
            taken: 0,
            received: 0,
            arrived: now,
            decided: now,
            until: now,
            statuses: Statuses::default(),
            message: Message::new(),
            told: None,
        }
    }

    fn message_id(&self) -> &[u8] {
        &self.message_id[..usize::from(self.message_id_len)]
    }

    /// The REPORT that its sender has asked for.
    fn wanted(&self, status: Option<u16>) -> Option<u16> {
        status.filter(|status| match status {
            200 => self.success_report,
            _ => self.failure_report != FailureReport::No,
        })
    }
}

impl super::Sessions {
    fn inward_mut(&mut self) -> Option<&mut Store> {
        self.inward.as_deref_mut()
    }

    fn submission(&self, handle: Handle<Submission>) -> Option<&Submission> {
        self.inward.as_deref()?.submissions.get(handle)
    }

    fn submission_mut(&mut self, handle: Handle<Submission>) -> Option<&mut Submission> {
        self.inward.as_deref_mut()?.submissions.get_mut(handle)
    }

    /// The fingerprint of a sender for one use.
    fn of_sender(key: crate::store::HashKey, kind: u64, sender: &[u8], number: u8) -> Fingerprint {
        let identity = crate::interwork::address::identity(sender);
        let mut hasher = key.hasher();
        hasher.word(kind | u64::from(number));
        hasher.octets(identity.user);
        hasher.octets_ignoring_case(identity.host);
        hasher.finish()
    }
}
