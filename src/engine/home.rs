//! Where an arrival belongs: the home of its message.
//!
//! The home of a MESSAGE is a keyed hash of who it is for, so that all attempts at one short message,
//! everything that waits for its turn with one recipient and all copies of one request meet on one
//! worker, which decides alone. Our branches name the worker that minted them. Whatever else arrives is
//! answered where it arrives: the answer is a pure function of its octets.

use crate::engine::large::Taker;
use crate::engine::record;
use crate::engine::request::Asked;
use crate::engine::{Engine, Refusal, Seen};
use crate::handover::{Kind, Taken};
use crate::id::WorkerId;
use crate::interwork::address;
use crate::limits::BURST_SIZE;
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Arrival, Departure, Departures, Endpoint, Flow, JournalSeq, Purse};
use crate::store::{HashKey, Unsettled, prefetch, write_then_look};
use crate::time::Instant;
use crate::transaction::finished::Entry;
use crate::wire::sip::build::Extra;
use crate::wire::sip::{Method, Request};

/// The worker of `workers` that is the home of messages for whom this URI names.
pub fn home_of(key: HashKey, uri: &[u8], workers: usize) -> WorkerId {
    let identity = address::identity(uri);
    let mut hasher = key.hasher();
    hasher.word(HOME);
    hasher.octets(identity.user);
    hasher.octets_ignoring_case(identity.host);
    let scaled = (u128::from(hasher.finish().0[0]) * workers as u128) >> 64;
    WorkerId(u8::try_from(scaled).unwrap_or(0))
}

/// Octets of a line of the cache.
const LINE_SIZE: usize = 64;

/// Sets the hash of a home apart from every other use of the same key.
const HOME: u64 = 0x4043_0000 << 32;

impl Engine {
    /// The home of a request.
    pub(super) fn home(&self, request: &Request<'_>, peer: u8) -> WorkerId {
        let workers = self.neighbours.count();
        if workers == 1 {
            return self.setup.worker;
        }
        if request.method != Method::Message {
            // A request in the dialog of a call is of the worker that has the call.
            let tag = request.fields.to_tag.of(request.octets);
            if let Some(branch) = self.call_tag(tag) {
                return branch.worker;
            }
            if !matches!(request.method, Method::Invite | Method::Cancel) {
                return self.setup.worker;
            }
            return match self.taker(request, peer) {
                // What the SC says about what is sent there comes for this sender, to his home.
                Taker::Inward => {
                    let sender = self.sender(request, peer).of(request.octets);
                    home_of(self.setup.key, sender, workers)
                }
                // Where a MESSAGE to the same recipient is.
                Taker::Carry => {
                    let recipient = address::without_headers(request.uri.of(request.octets));
                    home_of(self.setup.key, recipient, workers)
                }
                Taker::Nobody => self.setup.worker,
            };
        }
        let uri = if super::reading::is_short_message(request) {
            self.recipient(request, peer).of(request.octets)
        } else {
            address::without_headers(request.uri.of(request.octets))
        };
        home_of(self.setup.key, uri, workers)
    }

    /// The worker that an arrival concerns, if it is another one.
    pub(super) fn elsewhere(&self, seen: &Seen<'_>) -> Option<WorkerId> {
        let worker = match seen {
            Seen::Nothing => return None,
            Seen::Request { home, .. } => *home,
            Seen::Response(_, _, branch) => branch.worker,
        };
        (worker != self.setup.worker).then_some(worker)
    }

    /// What concerns another worker. A retransmission whose answer is a function of its own octets is
    /// answered here; everything else is handed over.
    pub(super) fn on_foreign(
        &mut self,
        seen: &Seen<'_>,
        arrival: &Arrival<'_>,
        home: WorkerId,
        since: Instant,
        out: &mut Departures,
    ) {
        match seen {
            Seen::Nothing => {}
            Seen::Request { request, peer, fingerprint, .. } => {
                let (fingerprint, now) = (*fingerprint, arrival.at);
                let asked = Asked { request, arrival, fingerprint, since, now };
                self.on_foreign_request(asked, *peer, home, out);
            }
            Seen::Response(..) => self.hand_over_proof(home, Kind::Response, arrival, since),
        }
    }

    fn on_foreign_request(
        &mut self,
        asked: Asked<'_>,
        peer: Option<u8>,
        home: WorkerId,
        out: &mut Departures,
    ) {
        if asked.request.method == Method::Ack {
            // It is never answered, whatever becomes of it; its sender sends it again for each copy of what
            // it acknowledges.
            return self.hand_over_proof(home, Kind::Request, asked.arrival, asked.since);
        }
        // In this order: what a lost worker has not accepted by now it never will.
        let is_lost = self.neighbours.is_lost(home);
        let known = self.neighbours.transaction(home, asked.fingerprint, asked.since);
        match known.map(|entry| entry.map(Entry::decode)) {
            Ok(Some(entry)) if entry.is_enough() => {
                self.count(Counter::AnsweredForHome);
                if let Some(peer) = peer {
                    PeerTally::add(&self.peer_tally(peer).requests_in);
                }
                self.on_retransmission(asked, entry, out);
            }
            // What was accepted may be delivered, whoever is lost: nothing is said.
            Ok(Some(_)) | Err(_) if is_lost => self.count(Counter::DroppedLost),
            // Nobody will ever accept it, so that it need not be remembered that nobody has.
            Ok(None) if is_lost => {
                self.count(Counter::RefusedLost);
                let seconds = u32::from(self.retry_after_s(asked.fingerprint));
                let refusal = Refusal::new(503, "Service Unavailable");
                self.answer(asked, refusal, Extra::RetryAfter(seconds), out);
            }
            Ok(None) if asked.arrival.flow.connection.is_some() => {
                if !self.hand_over(home, Kind::Request, asked.arrival, asked.since) {
                    self.turn_away_from(home, asked, out);
                }
            }
            Ok(_) | Err(_) => {
                if !self.hand_over(home, Kind::Request, asked.arrival, asked.since) {
                    self.count(Counter::DroppedHandover);
                }
            }
        }
    }

    /// Refuses a request for which its home has no room in its ring and which its client will not send
    /// again by itself, because it came on a connection.
    ///
    /// Nobody has accepted it. But a client whose connection has ended may have sent it before, on
    /// another one, and that copy may lie in the ring of a home that stands still; or it goes back to
    /// datagrams. Were that accepted after our 503, an SBC that has taken its other route would have
    /// doubled the message (invariant I10). So it is remembered here, before it is said, that it was
    /// refused, and the home looks there before it accepts anything from now on; and what the home has
    /// accepted until then is not refused. Where both happen at once, each looks once more when it has
    /// written down what it is about to do, and whoever sees the other one lets go.
    fn turn_away_from(&mut self, home: WorkerId, asked: Asked<'_>, out: &mut Departures) {
        let seconds = self.retry_after_s(asked.fingerprint);
        let entry = Entry::Final { status: 503, detail: seconds, kept: None };
        let end = asked.now.plus_ms(self.setup.timers.transaction_ms());
        if self.put_refused(asked.fingerprint, entry, asked.now, end).is_err() {
            return self.count(Counter::DroppedNoMemory);
        }
        self.neighbours.turn_away(home, end);
        write_then_look();
        if self.neighbours.transaction(home, asked.fingerprint, asked.since) != Ok(None) {
            let _ = self.put_refused(asked.fingerprint, entry, asked.now, asked.now);
            return self.count(Counter::DroppedHandover);
        }
        self.count(Counter::RefusedHandover);
        let extra = Extra::RetryAfter(u32::from(seconds));
        self.answer(asked, Refusal::new(503, "Service Unavailable"), extra, out);
    }

    /// What another worker has answered to a request that is at home here, because this one had no
    /// room in its ring.
    pub(super) fn turned_away(&self, asked: Asked<'_>) -> Result<Option<Entry>, Unsettled> {
        for worker in self.neighbours.others() {
            if let Some(value) = self.neighbours.refusal(worker, asked.fingerprint, asked.since)? {
                return Ok(Some(Entry::decode(value)));
            }
        }
        Ok(None)
    }

    /// A MESSAGE that will be refused for what it is. It may be a damaged copy of one that another
    /// worker has accepted or turned away, whose home its damage hides.
    pub(super) fn on_flawed(&self, asked: Asked<'_>, refusal: Refusal, out: &mut Departures) {
        if asked.request.method == Method::Ack {
            // It is never answered, whatever is wrong about it (RFC 3261 section 17.1.1.3).
            return self.count(Counter::DroppedAck);
        }
        if asked.request.method == Method::Message {
            match self.elsewhere_known(asked) {
                Ok(None) => {}
                Ok(Some(entry)) if entry.is_enough() => {
                    return self.on_retransmission(asked, entry, out);
                }
                Ok(Some(_)) => return self.count(Counter::RequestsAbsorbed),
                // It comes again, and then it will be known.
                Err(Unsettled) => return self.count(Counter::DroppedForgotten),
            }
        }
        self.refuse(asked, refusal, out);
    }

    /// What other workers know of a request, whoever of them it is at home with.
    fn elsewhere_known(&self, asked: Asked<'_>) -> Result<Option<Entry>, Unsettled> {
        for worker in self.neighbours.others() {
            let found = self.neighbours.transaction(worker, asked.fingerprint, asked.since)?;
            if found.is_some() {
                return Ok(found.map(Entry::decode));
            }
        }
        self.turned_away(asked)
    }

    /// `false` if there was no parcel for it.
    fn hand_over(&self, to: WorkerId, kind: Kind, arrival: &Arrival<'_>, since: Instant) -> bool {
        if self.neighbours.is_lost(to) {
            self.count(Counter::DroppedLost);
            return true;
        }
        let is_posted = self.neighbours.handover.post(to, kind, arrival, since).is_ok();
        if is_posted {
            self.count(Counter::HandedOver);
        }
        is_posted
    }

    /// Hands over what may prove something.
    fn hand_over_proof(&self, to: WorkerId, kind: Kind, arrival: &Arrival<'_>, since: Instant) {
        if !self.hand_over(to, kind, arrival, since) {
            self.count(Counter::DroppedHandoverProof);
        }
    }

    /// Hands over what ICMP quotes.
    pub(super) fn hand_over_unreachable(
        &self,
        to: WorkerId,
        remote: Endpoint,
        quoted: &[u8],
        at: Instant,
    ) {
        let flow = Flow { remote, ..Flow::NOWHERE };
        let arrival = Arrival { flow, at, octets: quoted, truncated: false };
        self.hand_over_proof(to, Kind::Unreachable, &arrival, at);
    }

    /// Takes what other workers have handed over, at most `max` and at most a burst. Returns how much
    /// that was.
    ///
    /// # Panics
    ///
    /// Panics if the caller has not kept `max` evidence slots free.
    pub fn on_handed(&mut self, max: usize, now: Instant, out: &mut Departures) -> usize {
        assert!(out.free(Purse::Evidence) >= max.min(BURST_SIZE));
        // It lies beside the engine while it is worked on, and has its room for good.
        let mut taken = core::mem::take(&mut self.taken);
        self.neighbours.handover.take(max, &mut taken);
        let count = taken.iter().len();
        if count > 0 {
            self.pause.notice(now);
            self.on_taken(&taken, now, out);
            self.neighbours.handover.give_back(&mut taken);
        }
        self.taken = taken;
        count
    }

    fn on_taken(&mut self, taken: &Taken, now: Instant, out: &mut Departures) {
        // They lie in the caches of another core: all of them come at the same time.
        for parcel in taken.iter() {
            for line in parcel.arrival().octets.chunks(LINE_SIZE) {
                line.iter().take(1).for_each(prefetch);
            }
        }
        let mut burst: [Seen<'_>; BURST_SIZE] = core::array::from_fn(|_| Seen::Nothing);
        for (seen, parcel) in burst.iter_mut().zip(taken.iter()) {
            *seen = match parcel.kind() {
                Kind::Unreachable | Kind::Departure { .. } => Seen::Nothing,
                Kind::Request | Kind::Response => self.see(&parcel.arrival(), true),
            };
        }
        for (seen, parcel) in burst.iter().zip(taken.iter()) {
            let arrival = parcel.arrival();
            // A request has arrived when it was taken, and its deadline counts from there. What proves
            // something decides when its home sees it, as if it had waited in a socket; and whatever
            // follows from either begins now, or timer J would have run while nobody could know.
            let proof = Arrival { at: now, ..arrival };
            match parcel.kind() {
                Kind::Unreachable => self.on_unreachable(proof.flow.remote, proof.octets, now),
                // It came from where its home was found, and is not looked for again: one hop.
                Kind::Request => self.act(seen, &arrival, (parcel.since(), now), out),
                Kind::Response => self.act(seen, &proof, (parcel.since(), now), out),
                Kind::Departure { is_report } => {
                    let owner = is_report.then_some(record::HANDED_OVER);
                    let departure =
                        Departure { flow: arrival.flow, len: 0, after: JournalSeq::NOW, owner };
                    out.push(Purse::Evidence, departure, |slot| {
                        slot[..arrival.octets.len()].copy_from_slice(arrival.octets);
                        arrival.octets.len()
                    });
                }
            }
        }
    }

    /// Whether something was handed over and waits.
    pub fn is_handed(&self) -> bool {
        self.neighbours.handover.is_waiting()
    }

    /// To whom something was handed over since this was asked last, a bit for each worker: they may
    /// sleep.
    pub const fn posted(&mut self) -> u64 {
        self.neighbours.handover.posted()
    }
}
