//! What is open on a worker, written so that another thread can tell it when the worker no longer
//! can.
//!
//! The engine of a worker that is stuck in the middle of a turn is nobody's to look at. So beside the
//! records there is a board of plain words, written by the worker and read by anybody: which places
//! are open, since when, and where in memory their requests lie. The requests themselves are never
//! read as Rust values by another thread, which might find them half written: the supervisor asks
//! the kernel for a copy of the octets and reads that as it would read what a stranger sent.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use crate::delivery::{Account, Evidence, Form, Identifier, Report, Statuses, Verdict};
use crate::engine::Recipient;
use crate::engine::gateway::recipient_by;
use crate::engine::reading::{is_short_message, read};
use crate::store::Board;
use crate::time::Instant;
use crate::wire::sip::{self, Message};

/// The places of one worker, each free or open.
#[derive(Debug)]
pub struct Remains {
    /// Flags, peers and length; when it arrived; where its octets are.
    places: Board<3>,
    /// Accounts of messages that are closed and wait to be told.
    waiting: AtomicU64,
}

const OPEN: u64 = 1;
const DECIDED: u64 = 2;

/// An open message, found on the board.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Left {
    /// When its request arrived.
    pub arrived: Instant,
    /// The address of the octets of its request in this process.
    pub address: usize,
    /// How many they are.
    pub len: usize,
    /// The peer it came from.
    pub sms_peer: u8,
    /// The peer it went to.
    pub im_peer: u8,
    /// Whether its verdict was reached, so that it is the worker's own.
    pub is_decided: bool,
}

impl Remains {
    /// Octets of one place.
    pub(super) const PLACE_SIZE: usize = Board::<3>::PLACE_SIZE;

    pub(super) fn new(places: u32) -> Arc<Self> {
        Arc::new(Self { places: Board::new(places), waiting: AtomicU64::new(0) })
    }

    /// Writes an open message into the place at `index`, which was free.
    pub(super) fn open(&self, index: u32, left: Left) {
        let peers = u64::from(left.sms_peer) << 8 | u64::from(left.im_peer) << 16;
        let what = OPEN | peers | (left.len as u64) << 32;
        self.places.write(index, [what, left.arrived.0, left.address as u64]);
    }

    /// Its verdict is reached.
    pub(super) fn decide(&self, index: u32) {
        self.places.mark(index, DECIDED);
    }

    /// The place is free.
    pub(super) fn close(&self, index: u32) {
        self.places.clear(index);
    }

    /// So many accounts wait to be told.
    pub(super) fn wait(&self, accounts: usize) {
        self.waiting.store(accounts as u64, Ordering::Relaxed);
    }

    /// How many messages are closed whose accounts nobody was told. True for as long as the worker
    /// says nothing any more.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Every open message. True for as long as the worker says nothing any more.
    pub fn left(&self) -> impl Iterator<Item = Left> {
        self.places.read().filter_map(|[what, arrived, address]| {
            let [_, sms_peer, im_peer, ..] = what.to_le_bytes();
            Some(Left {
                arrived: Instant(arrived),
                address: usize::try_from(address).ok()?,
                len: usize::try_from(what >> 32).ok()?,
                sms_peer,
                im_peer,
                is_decided: what & DECIDED != 0,
            })
        })
    }
}

impl Left {
    /// The account of a message whose worker is lost, from a copy of the octets of its request: it
    /// ends as unknown. `rule` says where its peer names the recipient of a short message. `None` if
    /// the octets are no request that can be read.
    pub fn account(&self, octets: &[u8], rule: Recipient, now: Instant) -> Option<Account> {
        let Ok(Message::Request(request)) = sip::parse(octets) else { return None };
        let is_short = is_short_message(&request);
        let form = if is_short {
            let reading = read(request.fields.body.of(octets)).ok().flatten();
            let reference = reading.map_or(0, |reading| reading.reference);
            Form::Rp { reference, attempt: 0, may_be_duplicate: false }
        } else {
            Form::CutThrough
        };
        Some(Account {
            form,
            arrived: self.arrived,
            decided: now,
            reported: now,
            sms_call_id: Identifier::new(request.fields.call_id.of(octets)),
            im_call_id: Identifier::new(match form {
                Form::CutThrough => request.fields.call_id.of(octets),
                // Whether we have asked, and under which name, only the worker knew.
                Form::Rp { .. } | Form::Submitted { .. } | Form::Carried { .. } => &[],
            }),
            recipient: Identifier::new(
                if is_short { recipient_by(rule, &request) } else { request.uri }.of(octets),
            ),
            sms_peer: self.sms_peer,
            im_peer: self.im_peer,
            transmissions: 0,
            statuses: Statuses::default(),
            evidence: Evidence::WorkerLost,
            verdict: Verdict::Unknown,
            report: Report::Silence,
        })
    }
}
