//! Short messages in: RP-DATA in a SIP MESSAGE, of which we are the receiver (TS 24.341 section
//! 5.3.2, TS 23.204 section 6.4).
//!
//! The request is answered at once (R3): its 200 says that the packet has arrived and nothing about the
//! message. What is true of the message is said later, by RP-ACK or RP-ERROR in a MESSAGE of our own.

use crate::delivery::{
    Answer, Course, Evidence, Mark, Memory, Message, Report, Statuses, Verdict, salt,
};
use crate::engine::instant::deliver_in;
use crate::engine::parts::Parts;
use crate::engine::reading::{FCS_TPDU, FCS_UNSPECIFIED, Reading, What, read, unacceptable};
use crate::engine::record::{Leg, Record, Towards};
use crate::engine::request::Asked;
use crate::engine::route::Hop;
use crate::engine::short::{Short, Stage};
use crate::engine::{Content, Engine, Recipient, Refusal, Serving, report};
use crate::id::{Handle, Mode};
use crate::interwork::address::{self, without_headers};
use crate::interwork::content::{self, Content as Becomes};
use crate::limits::{SIP_URI_SIZE_MAX, SLOT_SIZE};
use crate::metrics::Counter;
use crate::packet::{Departures, Purse};
use crate::store::{Buffer, Fingerprint};
use crate::time::Instant;
use crate::transaction::finished::Entry;
use crate::transaction::non_invite_server;
use crate::transaction::pending::Entered;
use crate::wire::Span;
use crate::wire::rp::Direction;
use crate::wire::sip::build::Extra;
use crate::wire::sip::{self, Request};
use crate::wire::tpdu::{Alphabet, Deliver};

/// What is known of a request with RP-DATA before anything is kept of it.
#[derive(Clone, Copy)]
struct Arrived<'a> {
    asked: Asked<'a>,
    peer: u8,
    reading: &'a Reading<'a>,
    recipient: Span,
    sender: Span,
    hop: Hop,
}

impl Engine {
    /// A MESSAGE with an RP message, which is not known yet.
    pub(super) fn on_short_message(&mut self, asked: Asked<'_>, peer: u8, out: &mut Departures) {
        if !self.peers.get(peer).sms {
            let refusal = Refusal::new(403, "Messages Are Not Taken From Here");
            return self.refuse(asked, refusal, out);
        }
        if let Some(refusal) = unacceptable(asked.request) {
            self.count(Counter::RefusedMediaType);
            let octets = asked.request.octets;
            let extra = match refusal.status {
                420 => Extra::Unsupported(asked.request.fields.require.of(octets)),
                _ => Extra::None,
            };
            return self.answer(asked, refusal, extra, out);
        }
        if self.on_rp_answer(asked, peer, out) {
            return;
        }
        let reading = match read(asked.request.fields.body.of(asked.request.octets)) {
            Ok(Some(reading)) => reading,
            Ok(None) => {
                // TS 24.011 section 9.3.1: an answer to nothing is discarded. It is never answered
                // with an RP message, or two of us would go on for ever.
                self.count(Counter::RpUnexpected);
                return self.answer(asked, Refusal::new(200, "OK"), Extra::None, out);
            }
            Err(refusal) => {
                self.count(Counter::RpMalformed);
                return self.refuse(asked, refusal, out);
            }
        };
        let recipient = self.recipient(asked.request, peer);
        let sender = self.sender(asked.request, peer);
        let hop = match (self.way_of_report(asked, peer, recipient, sender), &reading.what) {
            (Ok(_), What::Deliver { .. }) => {
                self.next_hop_to(recipient.of(asked.request.octets), asked.now)
            }
            (way, _) => way,
        };
        let hop = match hop {
            Ok(hop) => hop,
            Err(Refusal { status: 503, .. }) => {
                return self.turn_away(asked, Counter::RefusedNoServer, out);
            }
            Err(refusal) => return self.refuse(asked, refusal, out),
        };
        let arrived = Arrived { asked, peer, reading: &reading, recipient, sender, hop };
        // What is open goes on to its end, which a status report may be.
        let ends_one = matches!(reading.what, What::Status { .. }) && self.takes_submissions(peer);
        if self.serving == Serving::Refusing && !ends_one {
            return self.turn_away(asked, Counter::RefusedDraining, out);
        }
        match self.room(asked.request.octets.len(), out) {
            Some(large) => self.accept_short(arrived, large, out),
            None => self.turn_away(asked, Counter::RefusedNoRoom, out),
        }
    }

    /// The way of the report about what is asked here. What cannot be reported is not taken.
    fn way_of_report(
        &self,
        asked: Asked<'_>,
        peer: u8,
        recipient: Span,
        sender: Span,
    ) -> Result<Hop, Refusal> {
        let (recipient, sender) = (usize::from(recipient.len), usize::from(sender.len));
        let call_id = usize::from(asked.request.fields.call_id.len);
        let route = self.peers.get(peer).report_route.len();
        let size = 2 * (recipient + sender) + call_id + route + report::OVERHEAD;
        if recipient.max(sender) > SIP_URI_SIZE_MAX || size > SLOT_SIZE {
            return Err(Refusal::new(513, "Message Too Large"));
        }
        self.report_hop(peer, 0).ok_or(NO_WAY)
    }

    /// Keeps the request, answers it, and begins what it asks for.
    fn accept_short(&mut self, arrived: Arrived<'_>, large: Option<Buffer>, out: &mut Departures) {
        let Arrived { asked, reading, .. } = arrived;
        let now = asked.now;
        let Ok(handle) = self.records.insert(self.short_record(arrived, large)) else {
            unreachable!("a record was free when the room was looked at");
        };
        // TS 24.341: to a message from an MS the answer is 202; what is delivered to us is answered
        // 200, whose body must be empty (RFC 3428 section 7).
        let status = match reading.direction {
            Direction::MsToNetwork => 200,
            Direction::NetworkToMs => 202,
        };
        let entry = Entry::Final { status, detail: 0, kept: None };
        let end = now.plus_ms(self.setup.timers.transaction_ms());
        if let Err(why) = self.keep_request(handle, asked, entry, end, large) {
            return self.turn_away(asked, why, out);
        }
        self.tally.counters.set(Counter::MessagesOpen, u64::from(self.records.len()));
        let answer = Refusal::new(status, sip::reason_phrase(status));
        self.respond(asked, answer, Extra::None, Purse::Evidence, out);
        self.begin_short(handle, arrived, now, out);
    }

    fn begin_short(
        &mut self,
        handle: Handle<Record>,
        arrived: Arrived<'_>,
        now: Instant,
        out: &mut Departures,
    ) {
        let Arrived { asked, reading, recipient, .. } = arrived;
        let recipient = recipient.of(asked.request.octets);
        let key = match &reading.what {
            What::Deliver { tpdu, .. } => self.short_key(asked, recipient, tpdu),
            What::Refused { .. } | What::MemoryAvailable | What::Status { .. } => asked.fingerprint,
        };
        self.shorts[handle.index as usize] = self.short(arrived, key, now);
        let evidence = match &reading.what {
            What::MemoryAvailable => {
                self.count(Counter::MemoryAvailable);
                return self.start_report(handle, Answer::Ack, now, Purse::Work, out);
            }
            What::Status { report } if self.takes_submissions(arrived.peer) => {
                self.on_status_report((recipient, arrived.peer), report, now);
                return self.start_report(handle, Answer::Ack, now, Purse::Work, out);
            }
            // Nothing was submitted there.
            What::Status { .. } => {
                self.count(Counter::RpRefused);
                Some(Evidence::Content { cause: content::CAUSE, fcs: FCS_TPDU })
            }
            What::Refused { cause, fcs } => {
                self.count(Counter::RpRefused);
                Some(Evidence::Content { cause: *cause, fcs: *fcs })
            }
            What::Deliver { deliver, .. } => match content::of(deliver) {
                Becomes::Text => None,
                Becomes::Discarded => Some(Evidence::Discarded),
                Becomes::Unsupported { fcs } => {
                    self.count(Counter::RefusedContent);
                    Some(Evidence::Content { cause: content::CAUSE, fcs })
                }
            },
        };
        self.count(Counter::MessagesAccepted);
        self.count(Counter::ShortMessages);
        match (evidence, &reading.what) {
            (None, What::Deliver { deliver, .. }) => {
                let uri_key = self.uri_key(recipient, deliver);
                let fits = self.fits_a_pager(handle, recipient, deliver);
                let peer = self.records.get(handle).map_or(0, |record| record.im.peer);
                if fits || self.takes_large(peer) {
                    let mode = if fits { Mode::Pager } else { Mode::Large };
                    return self.begin_delivery(handle, (uri_key, mode), now, out);
                }
                self.count(Counter::RefusedContent);
                self.conclude(handle, TOO_LONG, now, Purse::Work, out);
            }
            (Some(evidence), _) => self.conclude(handle, evidence, now, Purse::Work, out),
            (None, What::Refused { .. } | What::MemoryAvailable | What::Status { .. }) => {
                unreachable!("either is concluded")
            }
        }
    }

    /// An attempt, unless one is running or what is remembered answers.
    fn begin_delivery(
        &mut self,
        handle: Handle<Record>,
        (uri_key, mode): (Fingerprint, Mode),
        now: Instant,
        out: &mut Departures,
    ) {
        let key = self.shorts[handle.index as usize].key;
        if self.running.enter(handle.index, key, 1) == Entered::Wait {
            // Hazard H46: one message, two submissions, both answered.
            self.count(Counter::RetriesAttached);
            self.shorts[handle.index as usize].stage = Stage::Attached;
            return self.wait(handle);
        }
        let memory = self.memory(key, now);
        let short = &mut self.shorts[handle.index as usize];
        match memory.map(|memory| (memory, memory.course(now))) {
            None | Some((_, Course::First)) => {
                (short.salt, short.attempt) = (salt(now), 1);
            }
            Some((memory, Course::Again)) => {
                short.salt = memory.salt;
                short.attempt = memory.attempt + 1;
                short.may_be_there = memory.may_be_there;
                self.count(Counter::RetriesAttempted);
                if memory.may_be_there {
                    self.count(Counter::PossibleDuplicates);
                }
            }
            Some((memory, Course::Answer)) => {
                short.salt = memory.salt;
                self.count(Counter::RetriesAbsorbed);
                self.running.leave(handle.index);
                return self.conclude(handle, earlier(memory), now, Purse::Work, out);
            }
        }
        if self.sessions.is_some() && self.begin_in_session(handle, now, out) {
            return;
        }
        if mode == Mode::Large {
            return self.begin_large(handle, now, Purse::Work, out);
        }
        // One at a time with this recipient (R2).
        let max = self.setup.gateway.uri_pending_max;
        match self.pending.enter(handle.index, uri_key, max) {
            Entered::Go => self.send_instant(handle, now, Purse::Work, out),
            Entered::Wait => {
                self.count(Counter::UriWaits);
                self.shorts[handle.index as usize].stage = Stage::Queued;
                self.wait(handle);
            }
        }
    }

    /// One submission that was released from a list: its turn with its recipient has come, or the
    /// attempt that it was attached to is over. At most one departure.
    pub(super) fn on_ready(&mut self, now: Instant, out: &mut Departures) -> bool {
        if let Some(index) = self.pending.next_ready() {
            if let Some(handle) = self.records.handle_at(index) {
                self.on_turn_of_short(handle, now, out);
            }
            return true;
        }
        let Some(index) = self.running.next_ready() else { return false };
        if let Some(handle) = self.records.handle_at(index) {
            self.running.leave(index);
            self.shorts[index as usize].stage = Stage::Over;
            let key = self.shorts[index as usize].key;
            // What could not be remembered is unknown.
            let unknown = Evidence::Earlier { verdict: Verdict::Unknown, status: 0 };
            let memory = self.memory(key, now);
            if let Some(memory) = memory {
                self.shorts[index as usize].salt = memory.salt;
            }
            let evidence = memory.map_or(unknown, earlier);
            self.conclude(handle, evidence, now, Purse::Evidence, out);
        }
        true
    }

    /// The turn of a submission with its recipient has come. While it waited, an earlier attempt may
    /// have been proved (hazard H2): then that answers.
    fn on_turn_of_short(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) {
        let memory = self.memory(self.shorts[handle.index as usize].key, now);
        match memory.filter(|memory| memory.verdict == Verdict::Delivered) {
            Some(memory) => {
                self.count(Counter::RetriesAbsorbed);
                self.end_unsent(handle, earlier(memory), now, Purse::Evidence, out);
            }
            None => self.send_instant(handle, now, Purse::Evidence, out),
        }
    }

    /// Whether something was released and waits for [`Engine::on_tick`].
    pub(super) const fn is_any_ready(&self) -> bool {
        self.pending.has_ready() || self.running.has_ready()
    }

    fn short_record(&self, arrived: Arrived<'_>, large: Option<Buffer>) -> Record {
        let Arrived { asked, peer, recipient, hop, .. } = arrived;
        let (request, at) = (asked.request, asked.arrival.at);
        Record {
            fingerprint: asked.fingerprint,
            sms: self.reply_flow(asked),
            im: Leg::new(Towards::Im, &hop, 0, at),
            arrived: at,
            decided: at,
            loop_hash: 0,
            large,
            len: u16::try_from(request.octets.len()).unwrap_or(u16::MAX),
            source_port: asked.arrival.flow.remote.port,
            call_id: request.fields.call_id,
            uri: recipient,
            statuses: Statuses::default(),
            sms_peer: peer,
            pop_route: false,
            is_short: true,
            server: non_invite_server::State::Completed,
            message: Message::new(),
            report: Report::Silence,
        }
    }

    fn short(&self, arrived: Arrived<'_>, key: Fingerprint, now: Instant) -> Short {
        let Arrived { asked, reading, sender, hop, .. } = arrived;
        let status_report = match &reading.what {
            What::Deliver { deliver, .. } => deliver.status_report_indication,
            What::Refused { .. } | What::MemoryAvailable | What::Status { .. } => false,
        };
        Short {
            key,
            salt: 0,
            reference: reading.reference,
            direction: reading.direction,
            status_report,
            may_be_there: false,
            stage: Stage::Over,
            parts: Parts::WHOLE,
            transfer: None,
            call: None,
            attempt: 0,
            not_before: Mark::NONE,
            sender,
            rp: asked.request.fields.body,
            answer: None,
            report: Leg::new(Towards::Sms, &hop, 1, now),
            told: now,
            result: None,
        }
    }

    /// Who the short message is for.
    pub(super) fn recipient(&self, request: &Request<'_>, peer: u8) -> Span {
        recipient_by(self.peers.get(peer).recipient, request)
    }

    /// Who gets the report: the sender that a trusted peer asserts, else the one in From.
    pub(super) fn sender(&self, request: &Request<'_>, peer: u8) -> Span {
        let (octets, fields) = (request.octets, &request.fields);
        let asserted = if self.peers.get(peer).trusted {
            sip::asserted_uri(octets, fields)
        } else {
            Span::default()
        };
        let named = if asserted.is_empty() { fields.from_uri } else { asserted };
        let len = without_headers(named.of(octets)).len();
        Span { at: named.at, len: u16::try_from(len).unwrap_or(named.len) }
    }

    /// What all submissions of one short message share and no other has: who it is for, and all of
    /// the TPDU (parts of a concatenated one are apart, hazards H39 and H40) but the bits that say
    /// whether more messages wait and whether a report was asked for.
    fn short_key(&self, asked: Asked<'_>, recipient: &[u8], tpdu: &[u8]) -> Fingerprint {
        const MORE_MESSAGES_AND_REPORT: u8 = 0b0010_0100;
        if !self.setup.gateway.dedup {
            return asked.fingerprint;
        }
        let identity = address::identity(recipient);
        let mut hasher = self.setup.key.hasher();
        hasher.word(SHORT);
        hasher.octets(identity.user);
        hasher.octets_ignoring_case(identity.host);
        let [first, rest @ ..] = tpdu else { return asked.fingerprint };
        hasher.word(u64::from(first & !MORE_MESSAGES_AND_REPORT));
        hasher.octets(rest);
        hasher.finish()
    }

    /// Under which key requests from this sender to this recipient wait for each other.
    fn uri_key(&self, recipient: &[u8], deliver: &Deliver<'_>) -> Fingerprint {
        let mut hasher = self.setup.key.hasher();
        let originator = &deliver.originator;
        hasher.word(URI | u64::from(originator.ton) << 8 | u64::from(originator.npi));
        hasher.octets(originator.octets());
        hasher.octets(recipient);
        hasher.finish()
    }

    /// The same of a message that is kept.
    pub(super) fn uri_key_of(&self, handle: Handle<Record>) -> Option<Fingerprint> {
        let record = self.records.get(handle)?;
        let octets = self.stored_octets(handle, record);
        let deliver = deliver_in(self.shorts[handle.index as usize].rp.of(octets))?;
        Some(self.uri_key(record.uri.of(octets), &deliver))
    }

    /// Whether the request can be written, and is not too long to be sent outside of a session (RFC
    /// 3428 section 8). Most are so short that this need not be measured.
    fn fits_a_pager(
        &self,
        handle: Handle<Record>,
        recipient: &[u8],
        deliver: &Deliver<'_>,
    ) -> bool {
        let Some(record) = self.records.get(handle) else { return false };
        let max = usize::from(self.setup.gateway.pager_max);
        // A septet is two octets of UTF-8 at most, the euro sign of two septets three; a unit of UCS-2 is
        // three, a surrogate two.
        let text = match deliver.dcs.alphabet() {
            Alphabet::Gsm7 => 2 * usize::from(deliver.user_data.udl),
            Alphabet::Octets | Alphabet::Ucs2 => 3 * deliver.user_data.octets.len().div_ceil(2),
        };
        let octets = 2 * recipient.len() + text;
        let certain = self.peers.get(record.im.peer).content == Content::Text
            && self.pager_overhead + octets <= max;
        certain
            || self
                .with_instant(handle, record, |instant| instant.size() <= max)
                .unwrap_or_default()
    }
}

/// Who a short message is for (R3). Behind an S-CSCF the Request-URI is a contact.
pub(super) fn recipient_by(rule: Recipient, request: &Request<'_>) -> Span {
    let (octets, fields) = (request.octets, &request.fields);
    let named = match rule {
        Recipient::CalledParty => {
            let called = sip::address_uri(octets, fields.called_party);
            if called.is_empty() { fields.to_uri } else { called }
        }
        Recipient::To => fields.to_uri,
        Recipient::RequestUri => request.uri,
    };
    let named = if named.is_empty() { request.uri } else { named };
    let len = without_headers(named.of(octets)).len();
    Span { at: named.at, len: u16::try_from(len).unwrap_or(named.len) }
}

/// What a memory is to a new submission.
pub(super) const fn earlier(memory: Memory) -> Evidence {
    Evidence::Earlier { verdict: memory.verdict, status: memory.status }
}

/// What cannot be sent as a pager message and is too short for a session of its own.
const TOO_LONG: Evidence = Evidence::Content { cause: content::CAUSE, fcs: FCS_UNSPECIFIED };

/// There is no way to report to a peer, so nothing is taken from it.
const NO_WAY: Refusal = Refusal::new(403, "No Socket For This Way");

/// Sets the key of a short message apart from every other use of the same key.
const SHORT: u64 = 0x5407_0000 << 32;
/// The same for the key of a sender and a recipient.
const URI: u64 = 0x0710_0000 << 32;
