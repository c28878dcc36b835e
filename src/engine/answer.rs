//! What goes out: requests onward, answers of our own, answers repeated.

use crate::engine::back::{Back, Leaves, carried};
use crate::engine::record::{self, Errand, Record, Towards};
use crate::engine::request::Asked;
use crate::engine::{Engine, Refusal, Serving, Setup};
use crate::id::Handle;
use crate::limits::{FORWARD_GROWTH_MAX, REQUEST_DATAGRAM_SIZE_MAX, SLOTS_REFUSALS};
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departure, Departures, JournalSeq, Owner, Purse};
use crate::store::Fingerprint;
use crate::time::Instant;
use crate::transaction::branch::{BRANCH_SIZE, Branch};
use crate::transaction::finished::Entry;
use crate::transaction::non_invite_server::{Action, Event, State};
use crate::wire::sip::build::{self, Extra, Forward, Reply, Source};
use crate::wire::sip::{self, Message, Request};

impl Engine {
    /// The first transmission of an attempt, whose fate the driver reports.
    pub(super) fn transmit_first(
        &mut self,
        handle: Handle<Record>,
        request: &Request<'_>,
        purse: Purse,
        now: Instant,
        out: &mut Departures,
    ) {
        if request.octets.len() + FORWARD_GROWTH_MAX > REQUEST_DATAGRAM_SIZE_MAX {
            self.judge_size(handle, Towards::Im, now);
        }
        self.note_transmission(handle, now);
        self.wait(handle);
        let Some(record) = self.records.get(handle) else { return };
        let owner = record::owner(handle, Errand::Request(record.im.attempt));
        self.transmit(handle, record, request, purse, Some(owner), out);
        PeerTally::add(&self.peer_tally(record.im.peer).requests_out);
    }

    /// The stored request: once more (timer E), or for the first time to the next server.
    pub(super) fn transmit_stored(
        &mut self,
        handle: Handle<Record>,
        now: Instant,
        out: &mut Departures,
    ) {
        if self.records.get(handle).is_some_and(|record| record.im.transmissions == 0) {
            self.judge_size(handle, Towards::Im, now);
        }
        self.note_transmission(handle, now);
        let Some(record) = self.records.get(handle) else { return };
        let Some(request) = self.stored(handle, record) else { return };
        // Whether an attempt has left at all is told by its first transmission.
        let is_first = record.im.transmissions == 1;
        let owner = is_first.then(|| record::owner(handle, Errand::Request(record.im.attempt)));
        self.transmit(handle, record, &request, Purse::Evidence, owner, out);
        if is_first {
            PeerTally::add(&self.peer_tally(record.im.peer).requests_out);
        } else {
            self.count(Counter::Retransmissions);
        }
    }

    fn transmit(
        &self,
        handle: Handle<Record>,
        record: &Record,
        request: &Request<'_>,
        purse: Purse,
        owner: Option<Owner>,
        out: &mut Departures,
    ) {
        let branch = self.branch(handle, record.im.attempt, record.loop_hash);
        let forward = self.forward(record, request, &branch);
        let departure =
            Departure { flow: record.im.way.flow(), owner, len: 0, after: JournalSeq::NOW };
        out.push(purse, departure, |slot| fits(build::forward_request(request, &forward, slot)));
    }

    /// Counts a transmission to the IM side.
    pub(super) fn note_transmission(&mut self, handle: Handle<Record>, now: Instant) {
        let timers = self.setup.timers;
        let Some(record) = self.records.get_mut(handle) else { return };
        record.im.transmitted(now, timers, self.setup.transport_of(record.im.way.socket));
    }

    /// What changes in the request of a record on its way through.
    pub(super) fn forward<'a>(
        &'a self,
        record: &Record,
        request: &Request<'_>,
        branch: &'a [u8; BRANCH_SIZE],
    ) -> Forward<'a> {
        Forward {
            transport: carried(self.setup.transport_of(record.im.way.socket)),
            sent_by: self.setup.sent_by_of(record.im.way.socket),
            branch,
            source: Source { ip: record.sms.remote.ip, port: record.source_port },
            // RFC 3261 section 16.6 step 3: one less, or 70 where there was none.
            max_forwards: request.fields.max_forwards.map_or(70, |hops| hops.saturating_sub(1)),
            pop_route: record.pop_route,
            strip_asserted: self.hides_identity(
                record.sms_peer,
                record.im.peer,
                request.fields.privacy_id,
            ),
        }
    }

    /// The branch of an attempt.
    pub(super) fn branch(
        &self,
        handle: Handle<Record>,
        attempt: u8,
        loop_hash: u32,
    ) -> [u8; BRANCH_SIZE] {
        let Setup { node, worker, epoch, key, .. } = self.setup;
        let (index, generation) = (handle.index, handle.generation);
        Branch { node, worker, epoch, index, generation, attempt, loop_hash }.encode(key)
    }

    /// The octets of the request of a record, as it arrived.
    pub(super) fn stored_octets(&self, handle: Handle<Record>, record: &Record) -> &[u8] {
        let octets: &[u8] = match record.large {
            Some(buffer) => self.requests_large.octets(buffer),
            None => &self.requests[handle.index as usize],
        };
        &octets[..usize::from(record.len)]
    }

    /// The request of a record, read again. It was read once already, so it can be.
    pub(super) fn stored(&self, handle: Handle<Record>, record: &Record) -> Option<Request<'_>> {
        match sip::parse(self.stored_octets(handle, record)) {
            Ok(Message::Request(request)) => Some(request),
            Ok(Message::Response(_)) | Err(_) => None,
        }
    }

    /// Refuses a request for what it is: the same answer every time, so nothing is remembered.
    pub(super) fn refuse(&self, asked: Asked<'_>, refusal: Refusal, out: &mut Departures) {
        self.count(match refusal.status {
            403 | 404 => Counter::RefusedForbidden,
            405 | 501 => Counter::RefusedMethod,
            413 | 414 | 513 => Counter::RefusedSize,
            416 | 420 | 505 => Counter::RefusedUnsupported,
            482 | 483 => Counter::RefusedLoop,
            _ => Counter::RefusedMalformed,
        });
        let fields = &asked.request.fields;
        let extra = match refusal.status {
            405 => Extra::Allow(build::ALLOW_PAGER),
            420 if fields.proxy_require.is_empty() => {
                Extra::Unsupported(fields.require.of(asked.request.octets))
            }
            420 => Extra::Unsupported(fields.proxy_require.of(asked.request.octets)),
            _ => Extra::None,
        };
        self.answer(asked, refusal, extra, out);
    }

    /// Answers 503 to a MESSAGE and remembers it: what was refused once is never sent on, or an
    /// SBC that has taken its other route would have doubled the message (invariant I10).
    pub(super) fn turn_away(&mut self, asked: Asked<'_>, why: Counter, out: &mut Departures) {
        let seconds = self.retry_after_s(asked.fingerprint);
        let entry = Entry::Final { status: 503, detail: seconds, kept: None };
        let now = asked.now;
        let end = now.plus_ms(self.setup.timers.transaction_ms());
        let mut remembered = self.put_refused(asked.fingerprint, entry, now, end);
        if remembered.is_err() && self.serving == Serving::Refusing {
            // Nothing new is taken any more, so the places of what was are free for this.
            remembered = self.put_transaction(asked.fingerprint, entry, now, end);
        }
        if remembered.is_err() {
            return self.count(Counter::DroppedNoMemory);
        }
        self.count(why);
        let extra = Extra::RetryAfter(u32::from(seconds));
        self.answer(asked, Refusal::new(503, "Service Unavailable"), extra, out);
    }

    /// A request that is known: absorbed, or answered as before.
    pub(super) fn on_retransmission(&self, asked: Asked<'_>, entry: Entry, out: &mut Departures) {
        let mut state = match entry {
            Entry::Open(index) => {
                let record = self.records.handle_at(index).and_then(|at| self.records.get(at));
                record.map_or(State::Silent, |record| record.server)
            }
            Entry::Silent => State::Silent,
            Entry::Final { .. } => State::Completed,
        };
        match (state.on(Event::Request), entry) {
            (Action::RepeatProvisional, _) => {
                self.count(Counter::TryingOut);
                self.respond(asked, Refusal::new(100, "Trying"), Extra::None, Purse::Evidence, out);
            }
            (Action::RepeatFinal, Entry::Final { status, detail, kept }) => {
                self.count(Counter::ReportsRepeated);
                let copy = kept.and_then(|at| self.kept.get(at, asked.fingerprint));
                if let Some(copy) = copy {
                    let to = Back::to(self.reply_flow(asked), Purse::Evidence, copy.len());
                    self.send_back(to, out, |slot| {
                        slot[..copy.len()].copy_from_slice(copy);
                        copy.len()
                    });
                    return;
                }
                let extra = match detail {
                    0 => Extra::None,
                    seconds => Extra::RetryAfter(u32::from(seconds)),
                };
                let answer = Refusal::new(status, build::reason_phrase(status));
                self.respond(asked, answer, extra, Purse::Evidence, out);
            }
            (
                Action::None | Action::Send | Action::Free | Action::RepeatFinal,
                Entry::Open(_) | Entry::Silent | Entry::Final { .. },
            ) => self.count(Counter::RequestsAbsorbed),
        }
    }

    /// 403 for a stranger, never longer than what the stranger sent.
    pub(super) fn forbid_stranger(&mut self, asked: Asked<'_>, out: &mut Departures) {
        // Half of the slots is for peers: a flood from outside must not leave their OPTIONS
        // unanswered.
        let spent = out.free(Purse::Refusals) <= SLOTS_REFUSALS / 2;
        if asked.request.method == sip::Method::Ack || spent {
            return self.count(Counter::DroppedStranger);
        }
        let source = asked.arrival.flow.remote;
        let reply = Reply {
            status: 403,
            reason: "Forbidden",
            to_tag: &self.to_tag(asked.fingerprint),
            source: Source { ip: source.ip, port: source.port },
            ..Reply::default()
        };
        let len = build::respond(asked.request, &reply, &mut *self.scratch);
        let Some(len) = len.filter(|len| *len <= asked.arrival.octets.len()) else {
            return self.count(Counter::DroppedStranger);
        };
        let octets = &self.scratch[..len];
        let to = Back::to(self.reply_flow(asked), Purse::Refusals, len);
        self.send_back(to, out, |slot| {
            slot[..len].copy_from_slice(octets);
            len
        });
        self.count(Counter::StrangersRefused);
    }

    /// An answer to what is not accepted, if a slot is left for it.
    pub(super) fn answer(
        &self,
        asked: Asked<'_>,
        answer: Refusal,
        extra: Extra<'_>,
        out: &mut Departures,
    ) {
        if out.free(Purse::Refusals) == 0 {
            return self.count(Counter::DroppedNoSlot);
        }
        self.respond(asked, answer, extra, Purse::Refusals, out);
    }

    pub(super) fn respond(
        &self,
        asked: Asked<'_>,
        answer: Refusal,
        extra: Extra<'_>,
        purse: Purse,
        out: &mut Departures,
    ) {
        let source = asked.arrival.flow.remote;
        let source = Source { ip: source.ip, port: source.port };
        let to = Back::to(self.reply_flow(asked), purse, answer_len_max(asked.request));
        let answer = Answer { answer, extra, source };
        self.respond_to(asked.request, asked.fingerprint, answer, to, out);
    }

    /// Writes a response of our own: a pure function of the request, its source and the answer.
    pub(super) fn respond_to(
        &self,
        request: &Request<'_>,
        fingerprint: Fingerprint,
        Answer { answer, extra, source }: Answer<'_>,
        to: Back,
        out: &mut Departures,
    ) -> Leaves {
        let (status, reason) = (answer.status, answer.reason);
        let (to_tag, extra) = (&self.to_tag(fingerprint), &[extra]);
        let reply = Reply { status, reason, to_tag, source, extra, ..Reply::default() };
        self.send_back(to, out, |slot| fits(build::respond(request, &reply, slot)))
    }

    fn to_tag(&self, fingerprint: Fingerprint) -> [u8; 16] {
        let [low, high] = fingerprint.0;
        build::tag(self.setup.key.of_words(&[TO_TAG, low, high]).0[0])
    }

    /// One to five seconds, by the fingerprint, so that those who were refused together do not
    /// come back together.
    pub(super) const fn retry_after_s(&self, fingerprint: Fingerprint) -> u16 {
        1 + (fingerprint.0[1] % 5) as u16
    }
}

/// What an answer says, and where its request came from.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub answer: Refusal,
    pub extra: Extra<'a>,
    pub source: Source,
}

/// Octets of an answer of our own at most: it has no body.
pub(super) fn answer_len_max(request: &Request<'_>) -> usize {
    request.octets.len() - usize::from(request.fields.body.len) + FORWARD_GROWTH_MAX
}

/// Sets the hash of a To tag apart from every other use of the same key.
const TO_TAG: u64 = 0x7054_A600 << 32;

/// What is written is bounded by what arrived and by `FORWARD_GROWTH_MAX`.
pub(super) fn fits(len: Option<usize>) -> usize {
    let Some(len) = len else { unreachable!("a slot holds the longest datagram and its growth") };
    len
}
