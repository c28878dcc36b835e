//! What was sent of one Large Message, what came back, and what that proves.
//!
//! The verdict rule, by who speaks for the recipient ([`MsrpRole`]; RFC 4975 section 5.3). It is delivered
//!
//! * where the peer is the recipient's user agent and the To-Path has one URI: when every octet has a 200
//!   or a success REPORT, and the chunk with `$` its 200;
//! * where anybody else is between: when success REPORTs cover every octet.
//!
//! REPORTs for every octet are enough everywhere: they are the recipient's own word (hazard H19). Both
//! come in any order and for any ranges (H16 and H17). A 200 of anybody else is acceptance (H26). What
//! fails stands in [`crate::delivery::mapping`], a row for each status and each end of a session. What
//! the ledger cannot tell for certain stays unknown.

use crate::delivery::coverage::{
    Coverage, Effect, End, Inserted, Observation, Octets, Standing, cover_together,
};
use crate::delivery::mapping::Row;
use crate::delivery::{Evidence, MsrpRole, Verdict};
use crate::limits::MSRP_CHUNKS_MAX;

/// Where a chunk is that was not answered yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Some of it was given to the connection, and more will be.
    Open,
    /// All of it was given to the connection.
    Sent,
    /// All of it was handed over to the operating system: its timer runs (hazard H52).
    HandedOver,
    /// Its timer has run out.
    Late,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Chunk {
    number: u32,
    state: State,
    octets: Octets,
}

impl Chunk {
    const NONE: Self = Self { number: 0, state: State::Open, octets: Octets::NONE };
}

/// Something that certainly failed, and for which octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Failure {
    evidence: Evidence,
    octets: Octets,
}

/// The chunk with `$`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    /// It has not been given to the connection.
    Unsent,
    /// It has, under this number.
    Sent(u32),
    /// It was answered 200.
    Acknowledged,
}

/// See the head of this file. It is plain data of a fixed size, and takes no time or octets of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ledger {
    acknowledged: Coverage,
    reported: Coverage,
    chunks: [Chunk; MSRP_CHUNKS_MAX],
    waiting: u8,
    next: u32,
    /// Octets from the front that were given to the connection (RFC 4975 section 7.1.1: in order).
    sent: u64,
    last: Last,
    /// Whether the 200s are the recipient's own.
    speaks: bool,
    /// Whether any octet may have left.
    departed: bool,
    /// Whether a REPORT said that it is about the whole of something shorter (hazard H18).
    shorter: bool,
    /// Whether a success REPORT was counted after the last chunk was sent.
    has_report: bool,
    is_second: bool,
    failed: Option<Failure>,
    /// What makes it unknown unless proof comes: somebody's word, and for which octets.
    doubted: Option<Failure>,
    /// How the session or the wait ended.
    ended: Option<Evidence>,
    /// Why nobody knows what became of the first attempt.
    before: Option<Evidence>,
    contradictions: u16,
}

impl Ledger {
    /// Nothing is sent of `total` octets to a peer of this role, with `uris` URIs in the To-Path.
    pub const fn new(total: u64, role: MsrpRole, uris: usize) -> Self {
        Self {
            acknowledged: Coverage::new(total),
            reported: Coverage::new(total),
            chunks: [Chunk::NONE; MSRP_CHUNKS_MAX],
            waiting: 0,
            next: 0,
            sent: 0,
            last: Last::Unsent,
            speaks: role.speaks_for_the_recipient(uris),
            departed: false,
            shorter: false,
            has_report: false,
            is_second: false,
            failed: None,
            doubted: None,
            ended: None,
            before: None,
            contradictions: 0,
        }
    }

    /// Begins the next chunk where the one before has ended; gives its number, which belongs into its
    /// transaction identifier. `None` while another one is open or as many wait for responses as may,
    /// and when no more of the message is to be sent.
    pub fn begin(&mut self) -> Option<u32> {
        let is_over = self.last != Last::Unsent || self.is_stopped() || self.ended.is_some();
        let full = usize::from(self.waiting) == MSRP_CHUNKS_MAX;
        if is_over || full || self.open().is_some() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let octets = Octets { start: self.sent, end: self.sent };
        self.chunks[usize::from(self.waiting)] = Chunk { number, state: State::Open, octets };
        self.waiting += 1;
        Some(number)
    }

    /// So many octets of the body of the open chunk were given to the connection.
    ///
    /// # Panics
    ///
    /// Panics if no chunk is open, or if there are not so many: the message would not be what it is.
    pub fn write(&mut self, octets: u64) {
        let sent = self.sent.saturating_add(octets);
        assert!(sent <= self.acknowledged.total(), "more than the message");
        let Some(chunk) = self.open() else { unreachable!("no chunk is open") };
        chunk.octets.end = sent;
        self.sent = sent;
    }

    /// The end-line of the open chunk was given to the connection.
    ///
    /// # Panics
    ///
    /// Panics if no chunk is open, or if it is the last one and octets are left.
    pub fn end(&mut self, end: End) {
        let is_whole = self.sent == self.acknowledged.total();
        let Some(chunk) = self.open() else { unreachable!("no chunk is open") };
        chunk.state = State::Sent;
        let number = chunk.number;
        match end {
            End::More => {}
            End::Last => {
                assert!(is_whole, "octets are left");
                self.last = Last::Sent(number);
            }
            // Nothing after it and nothing before it makes a message of this (hazard H29).
            End::Abort => self.ended = Some(Evidence::Aborted),
        }
    }

    /// Some octet of the message was handed over to the operating system, or may have been: what is
    /// said before anything is known about a write.
    pub const fn depart(&mut self) {
        self.departed = true;
    }

    /// The last octet of this chunk was handed over to the operating system. Whether its timer begins
    /// now: not if it was answered already.
    pub fn hand_over(&mut self, chunk: u32) -> bool {
        self.depart();
        match self.chunk(chunk) {
            Some(chunk) if chunk.state == State::Sent => {
                chunk.state = State::HandedOver;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes something into account.
    pub fn observe(&mut self, observation: Observation) -> Effect {
        match observation {
            Observation::Response { chunk, status } => self.on_response(chunk, status),
            Observation::Report { octets, total, status } => self.on_report(octets, total, status),
            Observation::Timeout { chunk } => match self.chunk(chunk) {
                // Late is possible, early is not: the timer runs from the last octet (hazard H52).
                Some(chunk) if chunk.state == State::HandedOver => {
                    chunk.state = State::Late;
                    Effect::Counted
                }
                Some(Chunk { state: State::Late, .. }) => Effect::Repeated,
                Some(_) | None => Effect::Stray,
            },
            Observation::Waited => self.on_end(match self.last {
                Last::Unsent => Evidence::Unfinished,
                Last::Sent(_) | Last::Acknowledged => {
                    self.doubt().unwrap_or(Evidence::ReportMissing)
                }
            }),
            Observation::Bye => self.on_end(match self.last {
                Last::Unsent => Evidence::ByeBeforeEnd,
                Last::Sent(_) | Last::Acknowledged => Evidence::ByeAfterEnd,
            }),
            Observation::Lost if self.departed => self.on_end(Evidence::ConnectionLost),
            Observation::Lost => self.on_end(Evidence::ConnectionUnused),
            // Octets that have left went over a connection, so there was one.
            Observation::NeverConnected if self.departed => self.on_end(Evidence::ConnectionLost),
            Observation::NeverConnected => self.on_end(Evidence::NeverConnected),
        }
    }

    /// The first end is the one that counts.
    fn on_end(&mut self, evidence: Evidence) -> Effect {
        if self.ended.is_some() {
            return Effect::Repeated;
        }
        self.ended = Some(evidence);
        Effect::Counted
    }

    fn on_response(&mut self, number: u32, status: u16) -> Effect {
        let Some(chunk) = self.chunk(number).copied() else {
            return if number < self.next { Effect::Repeated } else { Effect::Stray };
        };
        if status == 200 && chunk.state == State::Open {
            // Nobody has the end of what is still being sent.
            return Effect::Stray;
        }
        if chunk.state != State::Open {
            self.forget(number);
        }
        if status == 200 {
            self.acknowledged.insert(chunk.octets);
            if self.last == Last::Sent(number) {
                self.last = Last::Acknowledged;
            }
            return Effect::Counted;
        }
        let is_reported = !chunk.octets.is_empty() && self.reported.has(chunk.octets);
        self.fail(Evidence::MsrpResponse(status), chunk.octets);
        if is_reported { self.contradiction() } else { Effect::Counted }
    }

    fn on_report(&mut self, octets: Option<Octets>, total: Option<u64>, status: u16) -> Effect {
        let whole = Octets { start: 0, end: self.sent };
        let named = octets.unwrap_or(whole);
        let own_total = self.reported.total();
        if named.end > own_total || total.is_some_and(|total| total > own_total) {
            self.reported.note_beyond();
        }
        let is_about_nothing = named.before(self.sent).is_empty() && !named.is_empty();
        if is_about_nothing || (self.waiting == 0 && self.sent == 0 && self.last == Last::Unsent) {
            // About what was not sent, nobody can say anything.
            return Effect::Stray;
        }
        if status != 200 {
            let octets = named.before(self.sent);
            let is_reported = !octets.is_empty() && self.reported.has(octets);
            self.fail(Evidence::MsrpReport(status), octets);
            return if is_reported { self.contradiction() } else { Effect::Counted };
        }
        if total.is_some_and(|total| total < own_total) {
            // The recipient takes something shorter for the message, and may show that.
            self.shorter = true;
            return Effect::Counted;
        }
        let known = match self.last {
            // Of the last octet it can speak only when the message was ended behind it.
            Last::Unsent => self.sent.min(own_total.saturating_sub(1)),
            Last::Sent(_) | Last::Acknowledged => {
                self.has_report = true;
                self.sent
            }
        };
        match self.reported.insert(named.before(known)) {
            Inserted::New => Effect::Counted,
            Inserted::Known => Effect::Repeated,
            Inserted::NoRoom => Effect::NoRoom,
        }
    }

    /// Octets were refused, or their fate is unknown to somebody on the way. Of several the first
    /// counts, for the octets of all.
    fn fail(&mut self, evidence: Evidence, octets: Octets) {
        let join = |first: Option<Failure>| match first {
            Some(first) => Failure { octets: first.octets.joined(octets), ..first },
            None => Failure { evidence, octets },
        };
        match Row::of(evidence).map_or(Verdict::Unknown, |row| row.verdict) {
            Verdict::Permanent | Verdict::Temporary => self.failed = Some(join(self.failed)),
            Verdict::Unknown | Verdict::Delivered | Verdict::Accepted => {
                self.doubted = Some(join(self.doubted));
            }
        }
    }

    const fn contradiction(&mut self) -> Effect {
        self.contradictions = self.contradictions.saturating_add(1);
        Effect::Contradiction
    }

    /// What is known.
    pub fn standing(&self) -> Standing {
        if self.is_reported() {
            return Standing::Decided(Evidence::Reported);
        }
        if let Some(evidence) = self.failure() {
            return self.conclusion(evidence);
        }
        let all = self.last == Last::Acknowledged
            && cover_together(&self.acknowledged, &self.reported)
            && !self.shorter;
        if all && self.speaks && self.doubt().is_none() {
            return Standing::Decided(Evidence::Acknowledged);
        }
        if let Some(evidence) = self.ended {
            return self.conclusion(evidence);
        }
        if self.shorter || self.doubt().is_some() {
            return Standing::Doubtful;
        }
        if all { Standing::Accepted } else { Standing::Open }
    }

    /// Whether success REPORTs prove all of it.
    fn is_reported(&self) -> bool {
        self.has_report && self.reported.is_covered()
    }

    /// What has certainly failed.
    fn failure(&self) -> Option<Evidence> {
        self.standing_of(self.failed)
    }

    /// What makes it unknown: what somebody said, or a chunk that is not answered in time.
    fn doubt(&self) -> Option<Evidence> {
        if let Some(said) = self.standing_of(self.doubted) {
            return Some(said);
        }
        let is_late = self.unanswered().iter().any(|chunk| chunk.state == State::Late);
        is_late.then_some(Evidence::MsrpTimeout)
    }

    /// Whether no more of it is sent: somebody has said that octets of it did not arrive, and the session
    /// counts as failed (RFC 4975 section 7.3.2), whatever is said of them later.
    const fn is_stopped(&self) -> bool {
        self.failed.is_some() || self.doubted.is_some()
    }

    /// What somebody said of octets, unless success REPORTs for all of them say otherwise (hazard H21).
    fn standing_of(&self, said: Option<Failure>) -> Option<Evidence> {
        let said = said?;
        let is_over = !said.octets.is_empty() && self.reported.has(said.octets);
        (!is_over).then_some(said.evidence)
    }

    fn conclusion(&self, evidence: Evidence) -> Standing {
        // What was never whole was certainly not delivered; why it was not, may pass on another session.
        let is_partial = matches!(evidence, Evidence::Aborted | Evidence::Unfinished);
        let why = self.doubt().filter(|_| is_partial).unwrap_or(evidence);
        let again = Row::of(why).is_some_and(|row| row.again);
        if again && !self.is_second {
            return Standing::Again(evidence);
        }
        Standing::Decided(self.settled(evidence))
    }

    /// What `evidence` comes to when the message was sent before and nobody knows what became of that:
    /// then only delivery is better than not to know. For what decides outside of the session, too: the
    /// INVITE for the second one, or a deadline.
    pub fn settled(&self, evidence: Evidence) -> Evidence {
        match (self.before, Row::of(evidence)) {
            (Some(_), Some(Row { verdict: Verdict::Delivered, .. })) | (None, _) => evidence,
            (Some(before), _) => before,
        }
    }

    /// The message is sent once more from its first octet, on a new session (hazard H27). Chunks go on
    /// being numbered, so that nothing that belongs to the old session is taken for something of the new
    /// one.
    ///
    /// # Panics
    ///
    /// Panics unless it [stands](Self::standing) at [`Standing::Again`].
    pub fn again(&mut self, role: MsrpRole, uris: usize) {
        let Standing::Again(evidence) = self.standing() else {
            unreachable!("not to be sent again")
        };
        let verdict = Row::of(evidence).map_or(Verdict::Unknown, |row| row.verdict);
        // What is certain of the first attempt leaves the second one to decide.
        let is_certain = verdict == Verdict::Temporary;
        *self = Self {
            next: self.next,
            is_second: true,
            before: if is_certain { None } else { Some(evidence) },
            contradictions: self.contradictions,
            ..Self::new(self.acknowledged.total(), role, uris)
        };
    }

    /// Whether the open chunk is to be ended with `#`, because somebody has said that octets of the message
    /// did not arrive (RFC 4975 sections 7.3.2 and 10.5; hazard H30).
    pub fn is_to_be_aborted(&self) -> bool {
        let is_open = self.unanswered().last().is_some_and(|chunk| chunk.state == State::Open);
        is_open && self.is_stopped()
    }

    /// Whether what is known now contradicts a verdict that was told (hazard H20): it is counted, and
    /// never told.
    pub fn contradicts(&self, told: Verdict) -> bool {
        match told {
            Verdict::Delivered => self.failure().is_some() && !self.is_reported(),
            Verdict::Permanent | Verdict::Temporary => matches!(
                self.standing(),
                Standing::Decided(Evidence::Reported | Evidence::Acknowledged)
            ),
            Verdict::Unknown | Verdict::Accepted => false,
        }
    }

    /// So many URIs are in the To-Path to a peer of this role, which is known only with its answer.
    pub const fn meet(&mut self, role: MsrpRole, uris: usize) {
        self.speaks = role.speaks_for_the_recipient(uris);
    }

    /// Whether it was sent before, and nobody knows what became of that.
    pub const fn is_after_doubt(&self) -> bool {
        self.before.is_some()
    }

    /// Whether any octet of this attempt was given to the connection, or may have left.
    pub fn is_begun(&self) -> bool {
        self.departed || self.sent > 0 || self.waiting > 0 || self.last != Last::Unsent
    }

    /// Whether the last chunk was given to the connection.
    pub fn is_all_given(&self) -> bool {
        self.last != Last::Unsent
    }

    /// Whether a chunk has been handed over whose response may still come in time.
    pub fn awaits_responses(&self) -> bool {
        self.unanswered().iter().any(|chunk| chunk.state == State::HandedOver)
    }

    /// Whether all of it was handed over to the operating system.
    pub fn is_all_sent(&self) -> bool {
        let is_waiting = |chunk: &Chunk| matches!(chunk.state, State::Open | State::Sent);
        self.is_all_given() && !self.unanswered().iter().any(is_waiting)
    }

    /// What the next hop has.
    pub const fn acknowledged(&self) -> &Coverage {
        &self.acknowledged
    }

    /// What the recipient has.
    pub const fn reported(&self) -> &Coverage {
        &self.reported
    }

    /// How many octets were given to the connection in this attempt.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How often something weaker contradicted stronger proof.
    pub const fn contradictions(&self) -> u16 {
        self.contradictions
    }

    fn unanswered(&self) -> &[Chunk] {
        &self.chunks[..usize::from(self.waiting)]
    }

    fn open(&mut self) -> Option<&mut Chunk> {
        let last = self.chunks[..usize::from(self.waiting)].last_mut()?;
        (last.state == State::Open).then_some(last)
    }

    fn chunk(&mut self, number: u32) -> Option<&mut Chunk> {
        let waiting = &mut self.chunks[..usize::from(self.waiting)];
        waiting.iter_mut().find(|chunk| chunk.number == number)
    }

    /// This chunk was answered.
    fn forget(&mut self, number: u32) {
        let place = self.unanswered().iter().position(|chunk| chunk.number == number);
        if let Some(place) = place {
            self.chunks.copy_within(place + 1.., place);
            self.waiting -= 1;
        }
    }
}
