//! Large Messages out: an INVITE for each, and an MSRP session in which it is sent (RFC 4975, TS 29.311
//! section 6.1.4.4).
//!
//! ```text
//!   begin ──INVITE──> Inviting ──2xx──> Agreed ──connection──> Open ──BYE of either──> Ending ──> gone
//!                        │ 3xx-6xx, timeout, CANCEL   │ none in 30 s   │ lost                ^
//!                        └────────────────────────────┴────────────────┴─────────────────────┘
//! ```
//!
//! A [`Transfer`] is one message on its way: its octets, and the ledger that says what is proved of it. A
//! [`Call`] is one dialog of INVITE with its MSRP session. A transfer has one call at a time; when nobody
//! knows what became of it, it is sent once more in a second one, under the same Message-ID (hazard H27).
//! A call outlives its transfer: it is ended with BYE, and its INVITE is answered with ACK for as long as
//! copies of its responses may come.
//!
//! Where a session has TLS, it has the connection whose certificate its SDP names, or none ([`proof`]).
//!
//! The verdict is reached as for every short message: here it is the ledger that says which evidence
//! decides. What comes after the deadline is remembered (hazards H59 and H60).

mod approach;
mod carry;
mod facts;
mod idle;
mod ids;
mod inside;
mod invite;
mod inward;
mod links;
mod octets;
mod offer;
mod outcome;
mod proof;
mod responses;
mod taker;
mod timers;

use self::approach::Approach;
use self::carry::{Side, Store};
use self::ids::Desk;
use self::links::Links;
use self::proof::Proofs;
pub(super) use self::taker::Taker;
use crate::delivery::coverage::Ledger;
use crate::delivery::{Evidence, Verdict};
use crate::engine::record::{Leg, Record};
use crate::engine::{Setup, setup};
use crate::id::Handle;
use crate::limits::{ANSWER_SIZE_MAX, SUBMISSION_SIZE_MAX};
use crate::packet::Flow;
use crate::session::dialog::{Dialog, Kept};
use crate::session::msrp::{self, Endpoint, SendingId, SessionId};
use crate::session::negotiation::{Previous, Role};
use crate::store::{Buffer, Directory, Fingerprint, Pool, Slab};
use crate::time::{Instant, Wheel};
use crate::transaction::{invite_client, success};
use crate::wire::sip::Method;

/// Everything that Large Messages need, allocated at the start.
#[derive(Debug)]
pub(super) struct Sessions {
    setup: setup::Large,
    calls: Slab<Call>,
    /// What is due for each call.
    wheel: Wheel,
    /// Answers to INVITEs in dialogs that wait for their ACK.
    answers: Pool<ANSWER_SIZE_MAX>,
    transfers: Slab<Transfer>,
    endpoint: Endpoint,
    desk: Desk,
    links: Links,
    /// Sessions that wait for another message, by who speaks to whom in them.
    idle: Directory,
    /// What messages to the SMS side need, where somebody takes them.
    inward: Option<Box<inward::Store>>,
    /// Facts wait until there is room for what follows from them.
    is_behind: bool,
    /// What sessions that are joined need; none where none are.
    carried: Option<Store>,
    /// Calls in which something is still to be sent.
    unfinished: u32,
}

/// One message that is sent in a session.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The short message that it is; none once that is over for the SMS side.
    record: Option<Handle<Record>>,
    /// What is proved; none before it is known how long it is.
    ledger: Option<Ledger>,
    /// Which of the forms of content the body has.
    content: u8,
    /// The session that it is sent in, or will be.
    call: Option<Handle<Call>>,
    sending: Option<SendingId>,
    /// What the ledger calls the first chunk of this session.
    chunks_from: u32,
    /// What the SMS side was told.
    told: Option<Verdict>,
    is_second: bool,
}

/// What a call waits for, beside the transactions of its dialog.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    /// A connection of its session.
    Connection,
    /// Its turn: the connection was refused.
    Refused,
    /// The last octets to be handed over, or an answer to one of them: the session looks after that.
    Sending,
    /// REPORTs about what was sent.
    Reports,
    /// The next message, for a while.
    Idle,
    /// What was said in the session before the BYE, and came by another way (hazard H28).
    Farewell,
}

/// A request of ours in a dialog, or about its INVITE: at most one is out.
#[derive(Clone, Copy, Debug)]
struct Inside {
    method: Method,
    leg: Leg,
}

/// An INVITE of theirs in the dialog that was answered 2xx, until its ACK.
#[derive(Clone, Copy, Debug)]
struct Reinvite {
    cseq: u32,
    state: success::State,
    transmissions: u8,
    sent: Instant,
    again: Instant,
    /// Where the answer goes.
    flow: Flow,
    /// The answer, and how many octets of it there are.
    answer: Buffer,
    len: usize,
}

/// What the INVITE of a call came to, or its answer.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    evidence: Evidence,
    /// Another offer may have an effect.
    has_other: bool,
}

/// What was agreed upon for the messages of a session.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// Which of the forms of content they have.
    content: u8,
    /// URIs in the path to the other end.
    uris: u8,
    /// Octets of a message at most, if the other end has said so.
    size_max: Option<u64>,
}

impl Terms {
    const NONE: Self = Self { content: 0, uris: 0, size_max: None };
}

/// Tags of a forked INVITE that are known apart: more are acknowledged, and not ended.
const FORKS_MAX: usize = 4;

/// One dialog of INVITE and its session.
#[derive(Debug)]
pub(super) struct Call {
    /// What is sent in it.
    transfer: Option<Handle<Transfer>>,
    /// Who sends in it to the SMS side, where we were called for that.
    inward: Option<inward::Caller>,
    /// Messages of his that are not over.
    submissions: u32,
    /// How far we have come to him, where it is for us to connect.
    approach: Option<Approach>,
    /// The INVITE.
    leg: Leg,
    invite: invite_client::Client,
    /// When the INVITE transaction entered its state: timers B, D and M run from here.
    entered: Instant,
    /// When it was cancelled.
    cancelled: Option<Instant>,
    /// The address family of our URI: the one that its first INVITE goes to. To another server the same
    /// offer goes.
    is_v4: bool,
    /// Whether the offer says that a middlebox may lead the connection through itself.
    cema: bool,
    /// The names of the dialog, both parties and the way, also of what is to become one.
    kept: Kept,
    dialog: Option<Dialog>,
    /// The tags of other 2xx to its INVITE, hashed; 0 for none.
    forks: [u64; FORKS_MAX],
    /// BYE, or CANCEL.
    inside: Option<Inside>,
    reinvite: Option<Reinvite>,
    /// Their last UPDATE, which is answered the same when it comes again.
    updated: Option<u32>,
    /// Their description, once it is agreed upon, and our part in connecting.
    previous: Option<Previous>,
    role: Role,
    /// What was agreed upon for messages, once it was.
    terms: Terms,
    /// Who speaks to whom in it; where we were called for the SMS side, the INVITE.
    between: Fingerprint,
    /// Whether a BYE of theirs has ended it.
    was_ended: bool,
    /// It is of no more use: what is left to do is to end it.
    is_ending: bool,
    outcome: Option<Outcome>,
    session: Option<SessionId>,
    /// The connection that it waits for, or has.
    link: Option<u16>,
    /// Whether it is counted as one in which something is still to be sent.
    is_unfinished: bool,
    /// Whether it stands in the list of those that wait for a connection.
    is_waiting: bool,
    /// The next one there.
    next_waiting: Option<Handle<Self>>,
    wait: Option<(Wait, Instant)>,
    /// It is one side of two whose sessions are joined.
    carry: Option<Side>,
}

/// Of a call whose INVITE is not ours, or is over.
const NO_INVITE: invite_client::Client = invite_client::Client {
    state: invite_client::State::Terminated,
    cancel: invite_client::Cancel::No,
};

impl Call {
    /// One of an INVITE that has not left; nothing is agreed upon.
    fn new(leg: Leg, now: Instant) -> Self {
        Self {
            transfer: None,
            inward: None,
            submissions: 0,
            approach: None,
            is_v4: leg.way.remote.is_v4(),
            leg,
            invite: invite_client::Client::new(),
            entered: now,
            cancelled: None,
            cema: false,
            kept: Kept::NOTHING,
            dialog: None,
            forks: [0; FORKS_MAX],
            inside: None,
            reinvite: None,
            updated: None,
            previous: None,
            role: Role::Active,
            terms: Terms::NONE,
            between: Fingerprint::default(),
            was_ended: false,
            is_ending: false,
            outcome: None,
            session: None,
            link: None,
            is_unfinished: false,
            is_waiting: false,
            next_waiting: None,
            wait: None,
            carry: None,
        }
    }

    /// Another dialog of the same INVITE, or of an earlier attempt at it, which is only there to be ended.
    fn beside(&self, kept: Kept, leg: Leg, status: u16) -> Self {
        Self {
            invite: NO_INVITE,
            cema: self.cema,
            is_v4: self.is_v4,
            kept,
            dialog: Dialog::of_response(status, leg.cseq),
            between: self.between,
            is_ending: true,
            ..Self::new(Leg { authorization: None, refused: None, ..leg }, self.entered)
        }
    }
}

/// Of so many calls, one may have an INVITE in its dialog that waits for the ACK of its answer.
const ANSWERS_SHARE: u32 = 16;

/// The same where others call us: the answer that makes a dialog waits for its ACK, too.
const ANSWERS_INWARD_SHARE: u32 = 4;

/// Messages that come where nothing is asked for, until they are refused.
const REFUSED_MAX: u32 = 16;

/// Answers to INVITEs that may wait for their ACK.
const fn answers_max(large: &setup::Large) -> u32 {
    large.sessions_max.div_ceil(match large.submissions_max {
        0 => ANSWERS_SHARE,
        _ => ANSWERS_INWARD_SHARE,
    })
}

/// What the time is counted in for which a session waits for another message, in milliseconds.
const IDLE_TICK_MS: u32 = 1_024;

/// Calls for each transfer that there may be: the one that it is in, and those that end.
const CALLS_PER_TRANSFER: u32 = 2;

impl Sessions {
    /// Allocates and touches everything.
    pub(super) fn new(setup: &Setup, large: &setup::Large, now: Instant) -> Self {
        let calls = large.sessions_max;
        let transfers = calls.div_ceil(CALLS_PER_TRANSFER);
        let buffers = large.submissions_max.div_ceil(inward::ARRIVING_SHARE);
        let incomings = REFUSED_MAX + buffers;
        let rules = msrp::Rules {
            connections_max: large.connections_max,
            sessions_max: calls,
            sendings_max: calls,
            // What comes where nothing is asked for is refused.
            incomings_max: incomings,
            buffers_max: buffers,
            buffer_size: if buffers > 0 { SUBMISSION_SIZE_MAX } else { 0 },
            response_ms: large.response_wait_ms,
            carrying: carry::rules(large),
        };
        let life = (setup.key, setup.node, setup.worker, setup.epoch);
        let mut desk = Desk::new(life, transfers, large.message_size as usize);
        if large.secure.is_some() {
            desk.proofs = Proofs::new(calls, large.connections_max);
        }
        Self {
            setup: large.clone(),
            calls: Slab::new(calls),
            wheel: Wheel::new(calls, now),
            answers: Pool::new(answers_max(large)),
            transfers: Slab::new(transfers),
            endpoint: Endpoint::new(rules, now),
            desk,
            links: Links::new(large.connections_max, large.places_max),
            idle: Directory::with_tick(calls, IDLE_TICK_MS, now),
            inward: inward::Store::new(large, incomings, now),
            is_behind: false,
            carried: Store::new(large, now),
            unfinished: 0,
        }
    }

    /// Octets of everything.
    pub(super) fn size(&self) -> usize {
        let calls = self.calls.capacity() as usize;
        let transfers = self.transfers.capacity() as usize;
        calls * (Slab::<Call>::entry_size() + Wheel::entry_size())
            + transfers * Slab::<Transfer>::entry_size()
            + answers_max(&self.setup) as usize * ANSWER_SIZE_MAX
            + self.inward.as_deref().map_or(0, inward::Store::size)
            + self.endpoint.size()
            + self.desk.size()
            + self.links.size()
            + self.idle.size()
            + self.carried.as_ref().map_or(0, Store::size)
    }

    /// Dialogs that are there or are being set up or ended.
    pub(super) const fn open(&self) -> u32 {
        self.calls.len()
    }

    /// Messages that have a place.
    pub(super) const fn under_way(&self) -> u32 {
        self.transfers.len()
    }

    /// Whether there is room for one more message.
    fn has_room(&self) -> bool {
        !self.transfers.is_full() && !self.calls.is_full()
    }
}
