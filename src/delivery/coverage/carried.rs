//! What is proved of a message that is carried from one session to another.
//!
//! The rule is that of [`Ledger`](super::Ledger). But the message is not ours: its chunks begin where its sender
//! begins them, how long it is shows with its last chunk, and it is never sent again.

use crate::delivery::coverage::{Coverage, End, Octets, cover_together};
use crate::delivery::mapping::Row;
use crate::delivery::{Evidence, MsrpRole, Verdict};

/// The chunk with `$`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Last {
    Unsent,
    Sent(u32),
    Acknowledged,
}

/// See the head of this file. Plain data of a fixed size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Carried {
    acknowledged: Coverage,
    reported: Coverage,
    /// Up to where the chunk goes that is being written.
    end: u64,
    /// Octets from the front up to the furthest that was given to the connection.
    sent: u64,
    last: Last,
    /// Whether the 200s are the recipient's own.
    speaks: bool,
    departed: bool,
    /// A chunk was not answered in time.
    is_late: bool,
    /// A REPORT said that it is about the whole of something shorter (hazard H18).
    shorter: bool,
    /// A success REPORT was counted after the last chunk was sent.
    has_report: bool,
    /// Its chunks say more than one thing of where it ends: what has come of it may be one message, another,
    /// or none.
    is_torn: bool,
    failed: Option<Evidence>,
    doubted: Option<Evidence>,
}

impl Carried {
    /// Nothing has left for a peer of this role, with `uris` URIs in the To-Path.
    pub const fn new(role: MsrpRole, uris: usize) -> Self {
        Self {
            acknowledged: Coverage::new(u64::MAX),
            reported: Coverage::new(u64::MAX),
            end: 0,
            sent: 0,
            last: Last::Unsent,
            speaks: role.speaks_for_the_recipient(uris),
            departed: false,
            is_late: false,
            shorter: false,
            has_report: false,
            is_torn: false,
            failed: None,
            doubted: None,
        }
    }

    /// A chunk begins with this octet.
    pub const fn begin(&mut self, start: u64) {
        self.end = start;
    }

    /// So many octets of its body were given to the connection.
    pub fn write(&mut self, octets: u64) {
        self.end = self.end.saturating_add(octets);
        self.sent = self.sent.max(self.end);
    }

    /// Its end-line was given to the connection.
    pub fn end(&mut self, chunk: u32, end: End) {
        match end {
            End::More => {}
            End::Last => {
                self.is_torn |= self.last != Last::Unsent && self.end != self.acknowledged.total();
                self.last = Last::Sent(chunk);
                self.acknowledged.end_at(self.end);
                self.reported.end_at(self.end);
            }
            // What has come before it was let go, and what comes behind it does not bring it back (hazard H29).
            End::Abort => self.is_torn |= self.proof().is_none(),
        }
    }

    /// Some octet of the message was handed over to the operating system.
    pub const fn depart(&mut self) {
        self.departed = true;
    }

    /// The recipient has answered a chunk with these octets.
    pub fn respond(&mut self, chunk: u32, octets: Octets, status: u16) {
        if status != 200 {
            return self.fail(Evidence::MsrpResponse(status));
        }
        self.acknowledged.insert(octets);
        if self.last == Last::Sent(chunk) {
            self.last = Last::Acknowledged;
        }
    }

    /// A chunk was not answered in time.
    pub const fn time_out(&mut self) {
        self.is_late = true;
    }

    /// A REPORT: its Byte-Range, if it has one, the total in it, its status.
    pub fn report(&mut self, octets: Option<Octets>, total: Option<u64>, status: u16) {
        let named = octets.unwrap_or(Octets { start: 0, end: self.sent });
        if status != 200 {
            return self.fail(Evidence::MsrpReport(status));
        }
        let whole = self.reported.total();
        if self.last != Last::Unsent && total.is_some_and(|total| total < whole) {
            self.shorter = true;
            return;
        }
        // Of the last octet it can speak only when the message was ended behind it.
        let known = match self.last {
            Last::Unsent => self.sent.saturating_sub(1),
            Last::Sent(_) | Last::Acknowledged => {
                self.has_report = true;
                self.sent
            }
        };
        self.reported.insert(named.before(known));
    }

    fn fail(&mut self, evidence: Evidence) {
        match Row::of(evidence).map_or(Verdict::Unknown, |row| row.verdict) {
            Verdict::Permanent | Verdict::Temporary => self.failed.get_or_insert(evidence),
            Verdict::Unknown | Verdict::Delivered | Verdict::Accepted => {
                self.doubted.get_or_insert(evidence)
            }
        };
    }

    /// What is proved, if that is so much that nothing which follows matters.
    pub fn proof(&self) -> Option<Evidence> {
        // Octets behind its end are of nothing that anybody can have acknowledged as a whole.
        if self.is_torn || self.sent > self.acknowledged.total() {
            return None;
        }
        if self.has_report && self.reported.is_covered() {
            return Some(Evidence::Reported);
        }
        let all = self.last == Last::Acknowledged
            && cover_together(&self.acknowledged, &self.reported)
            && !self.shorter;
        let is_sound = self.failed.is_none() && self.doubted.is_none();
        (all && self.speaks && is_sound).then_some(Evidence::Acknowledged)
    }

    /// What is known when it has come to this end.
    pub fn evidence(&self, end: Evidence) -> Evidence {
        if let Some(proof) = self.proof().or(self.failed) {
            return proof;
        }
        // What was never whole was certainly not delivered (RFC 4975 section 7.3.1).
        if self.last == Last::Unsent {
            return end;
        }
        let late = self.is_late.then_some(Evidence::MsrpTimeout);
        self.doubted.or(late).unwrap_or(end)
    }

    /// Whether the chunk with `$` was given to the connection.
    pub fn is_all_given(&self) -> bool {
        self.last != Last::Unsent
    }

    /// Whether any octet has left.
    pub const fn has_departed(&self) -> bool {
        self.departed
    }

    /// Octets up to the furthest that was given to the connection.
    pub const fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Octets = Octets { start: 0, end: 9 };

    /// Nine octets in two chunks.
    fn sent(role: MsrpRole, uris: usize) -> Carried {
        let mut it = Carried::new(role, uris);
        for (chunk, start, octets, end) in [(0, 0, 5, End::More), (1, 5, 4, End::Last)] {
            it.begin(start);
            it.write(octets);
            it.end(chunk, end);
        }
        it.depart();
        it
    }

    fn acknowledged(role: MsrpRole, uris: usize) -> Carried {
        let mut it = sent(role, uris);
        it.respond(1, Octets { start: 5, end: 9 }, 200);
        assert_eq!(it.proof(), None, "h15: the last chunk is not the message");
        it.respond(0, Octets { start: 0, end: 5 }, 200);
        it
    }

    #[test]
    fn h26_the_endpoints_own_200s_are_delivery_and_nobody_elses() {
        let proof = |role, uris| acknowledged(role, uris).proof();
        assert_eq!(proof(MsrpRole::Endpoint, 1), Some(Evidence::Acknowledged));
        assert_eq!(proof(MsrpRole::Endpoint, 2), None);
        assert_eq!(proof(MsrpRole::Relay, 1), None);
        let mut it = acknowledged(MsrpRole::Relay, 1);
        assert_eq!(it.evidence(Evidence::ReportMissing), Evidence::ReportMissing);
        it.report(Some(Octets { start: 0, end: 5 }), Some(9), 200);
        assert_eq!(it.proof(), None, "h17: a gap");
        it.report(Some(Octets { start: 5, end: 9 }), Some(9), 200);
        assert_eq!(it.proof(), Some(Evidence::Reported));
    }

    #[test]
    fn h18_a_report_about_less_proves_nothing() {
        let mut it = sent(MsrpRole::Endpoint, 1);
        it.report(Some(ALL), Some(8), 200);
        it.respond(0, Octets { start: 0, end: 5 }, 200);
        it.respond(1, Octets { start: 5, end: 9 }, 200);
        assert_eq!(it.proof(), None);
    }

    #[test]
    fn what_fails_or_is_late_is_what_is_known() {
        let mut it = sent(MsrpRole::Endpoint, 1);
        it.respond(0, Octets { start: 0, end: 5 }, 413);
        assert_eq!(it.evidence(Evidence::ReportMissing), Evidence::MsrpResponse(413));
        let mut it = sent(MsrpRole::Endpoint, 1);
        it.time_out();
        assert_eq!(it.evidence(Evidence::ReportMissing), Evidence::MsrpTimeout);
        let mut it = acknowledged(MsrpRole::Endpoint, 1);
        it.report(None, None, 413);
        assert_eq!(it.evidence(Evidence::ReportMissing), Evidence::MsrpReport(413));
        let mut it = Carried::new(MsrpRole::Endpoint, 1);
        it.begin(0);
        it.write(5);
        it.end(0, End::More);
        it.time_out();
        assert_eq!(it.evidence(Evidence::Unfinished), Evidence::Unfinished);
        assert!(!it.is_all_given() && !it.has_departed() && it.sent() == 5);
    }

    #[test]
    fn a_report_that_comes_before_the_end_does_not_speak_of_it() {
        let mut it = Carried::new(MsrpRole::Relay, 1);
        it.begin(0);
        it.write(9);
        it.report(Some(ALL), Some(9), 200);
        it.end(0, End::Last);
        assert_eq!(it.proof(), None);
        it.report(Some(Octets { start: 8, end: 9 }), Some(9), 200);
        assert_eq!(it.proof(), Some(Evidence::Reported));
    }
}
