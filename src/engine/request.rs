//! Requests: repeated, refused, answered by ourselves, or accepted and sent on.

use crate::delivery::{Message, Report, Statuses};
use crate::engine::large::Taker;
use crate::engine::reading::is_short_message;
use crate::engine::record::{Leg, Record, Towards};
use crate::engine::remains::Left;
use crate::engine::route::{Hop, is_sips};
use crate::engine::{Engine, Refusal, Serving};
use crate::id::Handle;
use crate::limits::REQUEST_SMALL_SIZE;
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Arrival, Departures, Purse, Transport};
use crate::store::{Buffer, Directory, Fingerprint, Full, Unsettled, write_then_look};
use crate::time::Instant;
use crate::transaction::finished::Entry;
use crate::transaction::non_invite_server;
use crate::wire::sip::build::{self, Extra};
use crate::wire::sip::{Method, Request};

/// An arrival that is a request from a peer, with what the first pass has found out.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub request: &'a Request<'a>,
    pub arrival: &'a Arrival<'a>,
    pub fingerprint: Fingerprint,
    /// The moment as of which it is looked up.
    pub since: Instant,
    /// The moment at which it is worked on: timers run from here. What was handed over has arrived
    /// before.
    pub now: Instant,
}

/// How long an open message is found by its retransmissions if nothing ends it: half an hour.
const OPEN_MS: u32 = 1_800_000;

/// Known here, and not allowed (RFC 3261 section 8.2.1).
const METHOD_NOT_ALLOWED: Refusal = Refusal::new(405, "Method Not Allowed");

impl Engine {
    pub(super) fn on_request(&mut self, asked: Asked<'_>, peer: Option<u8>, out: &mut Departures) {
        let Some(peer) = peer else {
            return self.forbid_stranger(asked, out);
        };
        PeerTally::add(&self.peer_tally(peer).requests_in);
        let request = asked.request;
        let to_tag = request.fields.to_tag.of(request.octets);
        let is_message = request.method == Method::Message;
        let call = if is_message { None } else { self.call_tag(to_tag) };
        if request.method == Method::Ack && call.is_none() {
            return self.count(Counter::DroppedAck);
        }
        // What was accepted or refused is known before anything is held against this copy of it: an
        // error for a damaged copy would be a report about a message that may be delivered.
        let is_invite = request.method == Method::Invite;
        if is_invite && let Some(caller) = self.caller_of(asked.fingerprint, asked.since) {
            return self.on_invite_again(caller, asked, out);
        }
        if is_invite && self.on_inward_again(asked, out) {
            return;
        }
        if (is_message || is_invite || call.is_some())
            && let Some(entry) = self.known(asked.fingerprint, asked.since)
        {
            return self.on_retransmission(asked, entry, out);
        }
        if request.method == Method::Message && self.may_be_forgotten(asked) {
            return self.count(Counter::DroppedForgotten);
        }
        if request.method == Method::Message && self.neighbours.is_any_turned_away(asked.since) {
            match self.turned_away(asked) {
                // What was refused at the beginning of a pause that long is forgotten at its end.
                Ok(None)
                    if asked.since.plus_ms(self.setup.timers.transaction_ms()) <= asked.now =>
                {
                    return self.count(Counter::DroppedForgotten);
                }
                Ok(None) => {}
                Ok(Some(entry)) => return self.on_retransmission(asked, entry, out),
                Err(Unsettled) => return self.count(Counter::DroppedForgotten),
            }
        }
        // What waited in a ring until its deadline would end as unknown as soon as it is sent. Nobody has
        // accepted it, and if its client still wants it sent it has sent it again since.
        let deadline_ms = self.peers.get(peer).sync_deadline_ms;
        if asked.now > asked.arrival.at.plus_ms(deadline_ms) {
            return self.count(Counter::DroppedHandover);
        }
        if let Some(refusal) = self.flaw(asked) {
            return self.on_flawed(asked, refusal, out);
        }
        if let Some(branch) = call {
            return self.on_inside(asked, branch, out);
        }
        self.on_new(asked, peer, out);
    }

    /// Serves a request outside of any dialog that nobody knows yet.
    fn on_new(&mut self, asked: Asked<'_>, peer: u8, out: &mut Departures) {
        let request = asked.request;
        match request.method {
            Method::Message if is_short_message(request) => {
                self.on_short_message(asked, peer, out);
            }
            Method::Message => self.on_message(asked, peer, out),
            Method::Options => self.on_options(asked, out),
            Method::Invite => match self.taker(request, peer) {
                Taker::Inward => self.on_inward_invite(asked, peer, out),
                Taker::Carry => self.on_invite(asked, peer, out),
                Taker::Nobody => self.refuse(asked, METHOD_NOT_ALLOWED, out),
            },
            Method::Cancel => match self.taker(request, peer) {
                Taker::Inward if self.on_inward_cancel(asked, out) => {}
                Taker::Carry if self.on_carried_cancel(asked, out) => {}
                Taker::Inward | Taker::Carry | Taker::Nobody => self.on_cancel(asked, out),
            },
            // RFC 3261 sections 8.2.1 and 21.5.2: known here but not allowed, or not known.
            Method::Other => self.refuse(asked, Refusal::new(501, "Not Implemented"), out),
            Method::Ack
            | Method::Bye
            | Method::Register
            | Method::Subscribe
            | Method::Notify
            | Method::Refer
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Publish => {
                self.refuse(asked, METHOD_NOT_ALLOWED, out);
            }
        }
    }

    fn on_message(&mut self, asked: Asked<'_>, peer: u8, out: &mut Departures) {
        let loop_hash = self.loop_hash(asked.request);
        let hop = match self.admit(asked.request, peer, loop_hash) {
            Ok(hop) => hop,
            Err(refusal) => return self.refuse(asked, refusal, out),
        };
        if self.serving == Serving::Refusing {
            return self.turn_away(asked, Counter::RefusedDraining, out);
        }
        match self.room(asked.request.octets.len(), out) {
            Some(large) => self.accept(asked, peer, loop_hash, hop, large, out),
            None => self.turn_away(asked, Counter::RefusedNoRoom, out),
        }
    }

    /// RFC 3261 section 16.3, and who may send what where.
    fn admit(&self, request: &Request<'_>, peer: u8, loop_hash: u32) -> Result<Hop, Refusal> {
        if !self.peers.get(peer).sms {
            return Err(Refusal::new(403, "Messages Are Not Taken From Here"));
        }
        if request.fields.max_forwards == Some(0) {
            return Err(Refusal::new(483, "Too Many Hops"));
        }
        if self.is_loop(request, loop_hash) {
            return Err(Refusal::new(482, "Loop Detected"));
        }
        if !request.fields.proxy_require.is_empty() {
            return Err(Refusal::new(420, "Bad Extension"));
        }
        self.next_hop(request)
    }

    /// Whether everything a new message of `len` octets needs is free: a slot, a record, and a
    /// large buffer if it needs one, which is then taken.
    pub(super) fn room(&mut self, len: usize, out: &Departures) -> Option<Option<Buffer>> {
        if out.free(Purse::Work) == 0 || self.records.is_full() {
            return None;
        }
        if len <= REQUEST_SMALL_SIZE {
            return Some(None);
        }
        self.requests_large.take().map(Some)
    }

    /// Opens a record and sends the request on, or refuses it before anything has left.
    fn accept(
        &mut self,
        asked: Asked<'_>,
        peer: u8,
        loop_hash: u32,
        hop: Hop,
        large: Option<Buffer>,
        out: &mut Departures,
    ) {
        let record = self.record(asked, peer, loop_hash, hop, large);
        let Ok(handle) = self.records.insert(record) else {
            unreachable!("a record was free when the room was looked at");
        };
        // Timer J does not run before the end (RFC 3261 section 17.2.2): what ends the record puts
        // another entry in the place of this one. It outlasts any standstill of the process, after
        // which retransmissions are read before the timers of their records.
        let now = asked.now;
        let end = now.plus_ms(OPEN_MS);
        let entry = Entry::Open(handle.index);
        if let Err(why) = self.keep_request(handle, asked, entry, end, large) {
            return self.turn_away(asked, why, out);
        }
        self.count(Counter::MessagesAccepted);
        self.tally.counters.set(Counter::MessagesOpen, u64::from(self.records.len()));
        self.transmit_first(handle, asked.request, Purse::Work, now, out);
    }

    /// Keeps a request that is accepted with this entry until `end`, or gives everything back that was
    /// taken for it, and says under what its refusal counts. Whoever reads the entry finds the message on the board, too: should this worker be
    /// lost between the two, the message is told.
    pub(super) fn keep_request(
        &mut self,
        handle: Handle<Record>,
        asked: Asked<'_>,
        entry: Entry,
        end: Instant,
        large: Option<Buffer>,
    ) -> Result<(), Counter> {
        self.store_request(handle, asked.request.octets, large);
        let why = match self.put_transaction(asked.fingerprint, entry, asked.now, end) {
            Ok(()) if !self.is_turned_away_now(asked) => return Ok(()),
            Ok(()) => Counter::RefusedHandover,
            Err(Full) => Counter::RefusedNoRoom,
        };
        self.transactions.remove(asked.fingerprint, asked.now);
        self.remains.close(handle.index);
        self.records.remove(handle);
        if let Some(large) = large {
            self.requests_large.give(large);
        }
        Err(why)
    }

    /// Whether another worker refuses in this moment what is accepted here: each has written down what
    /// it does before it looks, so that not both go on.
    fn is_turned_away_now(&self, asked: Asked<'_>) -> bool {
        if self.neighbours.count() == 1 {
            return false;
        }
        write_then_look();
        self.neighbours.is_any_turned_away(asked.since) && self.turned_away(asked) != Ok(None)
    }

    /// Copies a request to where its record finds it.
    fn store_request(&mut self, handle: Handle<Record>, octets: &[u8], large: Option<Buffer>) {
        let place: &mut [u8] = match large {
            Some(buffer) => self.requests_large.octets_mut(buffer),
            None => &mut self.requests[handle.index as usize],
        };
        place[..octets.len()].copy_from_slice(octets);
        let address = place.as_ptr().addr();
        let Some(record) = self.records.get(handle) else { return };
        let left = Left {
            arrived: record.arrived,
            address,
            len: octets.len(),
            sms_peer: record.sms_peer,
            im_peer: record.im.peer,
            is_decided: false,
        };
        self.remains.open(handle.index, left);
    }

    fn record(
        &self,
        asked: Asked<'_>,
        peer: u8,
        loop_hash: u32,
        hop: Hop,
        large: Option<Buffer>,
    ) -> Record {
        let (request, at) = (asked.request, asked.arrival.at);
        Record {
            fingerprint: asked.fingerprint,
            sms: self.reply_flow(asked),
            im: Leg::new(Towards::Im, &hop, request.fields.cseq, at),
            arrived: at,
            decided: at,
            loop_hash,
            large,
            len: u16::try_from(request.octets.len()).unwrap_or(u16::MAX),
            source_port: asked.arrival.flow.remote.port,
            call_id: request.fields.call_id,
            uri: request.uri,
            statuses: Statuses::default(),
            sms_peer: peer,
            pop_route: hop.pop_route,
            is_short: false,
            server: non_invite_server::State::Trying,
            message: Message::new(),
            report: Report::Silence,
        }
    }

    /// RFC 3261 section 11.2: what a peer that probes us wants to know.
    fn on_options(&self, asked: Asked<'_>, out: &mut Departures) {
        if !asked.request.fields.require.is_empty() {
            return self.refuse(asked, Refusal::new(420, "Bad Extension"), out);
        }
        match self.serving {
            Serving::Open => {
                self.count(Counter::OptionsAnswered);
                self.answer(asked, Refusal::new(200, "OK"), Extra::Allow(build::ALLOW_PAGER), out);
            }
            Serving::Announcing | Serving::Refusing => {
                self.count(Counter::RefusedDraining);
                let extra = Extra::RetryAfter(u32::from(self.retry_after_s(asked.fingerprint)));
                self.answer(asked, Refusal::new(503, "Service Unavailable"), extra, out);
            }
        }
    }

    /// RFC 3261 section 9.2: cancelling a MESSAGE changes nothing, and is said to be understood
    /// if there is such a MESSAGE.
    fn on_cancel(&self, asked: Asked<'_>, out: &mut Departures) {
        let message = self.fingerprint(asked.request, b"MESSAGE");
        let is_known = self.known(message, asked.since).is_some()
            || self.neighbours.others().any(|worker| {
                matches!(self.neighbours.transaction(worker, message, asked.since), Ok(Some(_)))
            });
        let answer = if is_known {
            Refusal::new(200, "OK")
        } else {
            Refusal::new(481, "Call/Transaction Does Not Exist")
        };
        self.count(Counter::RefusedMethod);
        self.answer(asked, answer, Extra::None, out);
    }

    /// What is wrong with the request itself, whoever sent it and wherever it goes.
    fn flaw(&self, asked: Asked<'_>) -> Option<Refusal> {
        if asked.arrival.truncated {
            // RFC 3261 section 21.5.7: longer than what can be processed.
            return Some(Refusal::new(513, "Message Too Large"));
        }
        let fault = asked.request.fault?;
        // A scheme is the last thing that is found wrong. SIPS is right where every hop so far was
        // encrypted; whether the next one is, is seen when it is known (RFC 3261 section 26.2.2).
        let may_be_sips = fault.status == 416
            && is_sips(asked.request.uri.of(asked.request.octets))
            && self.setup.transport_of(asked.arrival.flow.socket) == Transport::Tls;
        (!may_be_sips).then_some(Refusal::new(fault.status, fault.reason))
    }

    /// Whether it may be a copy of what is forgotten here: a worker that stood still while this one
    /// went on has taken it out of a socket where it may have waited all the time. It must not be a new
    /// message. Its client sends it again.
    fn may_be_forgotten(&self, asked: Asked<'_>) -> bool {
        let forgotten_to = self.transactions.swept_to().max(self.refused.swept_to());
        asked.since < self.pause.looked_at(asked.arrival.at) && asked.since < forgotten_to
    }

    /// Remembers a server transaction. After a pause what ended in it gives way only where nothing else
    /// does, for copies of it may still wait in a socket. A worker that is lost remembers nothing: others
    /// would answer what has been told as unknown.
    pub(super) fn put_transaction(
        &mut self,
        fingerprint: Fingerprint,
        entry: Entry,
        at: Instant,
        end: Instant,
    ) -> Result<(), Full> {
        if self.neighbours.is_lost(self.setup.worker) {
            return Err(Full);
        }
        put_since(&mut self.transactions, fingerprint, entry, (self.pause.looked_at(at), at), end)
    }

    /// The same of what was refused.
    pub(super) fn put_refused(
        &mut self,
        fingerprint: Fingerprint,
        entry: Entry,
        at: Instant,
        end: Instant,
    ) -> Result<(), Full> {
        put_since(&mut self.refused, fingerprint, entry, (self.pause.looked_at(at), at), end)
    }

    /// A server transaction of ours, open, finished, or refused.
    pub(super) fn known(&self, fingerprint: Fingerprint, since: Instant) -> Option<Entry> {
        let now = self.pause.looked_at(since);
        let entry = self.transactions.get(fingerprint, now).or_else(|| {
            if self.refused.taken() == 0 { None } else { self.refused.get(fingerprint, now) }
        });
        entry.map(Entry::decode)
    }
}

fn put_since(
    directory: &mut Directory,
    fingerprint: Fingerprint,
    entry: Entry,
    (since, at): (Instant, Instant),
    end: Instant,
) -> Result<(), Full> {
    match directory.put(fingerprint, entry.encode(), since, end) {
        Err(Full) if since < at => directory.put(fingerprint, entry.encode(), at, end),
        put => put,
    }
}
