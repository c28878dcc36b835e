//! Responses from the IM side: evidence, or counted and dropped.

use crate::delivery::{Asked, Evidence, Final, Report, Role, Verdict};
use crate::engine::answer::fits;
use crate::engine::back::{Back, Leaves};
use crate::engine::close::status_of;
use crate::engine::record::{self, Errand, Leg, Record, Towards};
use crate::engine::{Engine, Peer};
use crate::id::Handle;
use crate::limits::FORWARD_GROWTH_MAX;
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Arrival, Departures, Endpoint, Purse, Sent};
use crate::time::Instant;
use crate::transaction::branch::{BRANCH_SIZE, Branch, MAGIC_COOKIE};
use crate::transaction::non_invite_client::{Action, Event};
use crate::transaction::non_invite_server;
use crate::wire::sip::build;
use crate::wire::sip::{Method, Response};

impl Engine {
    pub(super) fn on_response(
        &mut self,
        response: &Response<'_>,
        arrival: &Arrival<'_>,
        peer: u8,
        branch: Branch,
        out: &mut Departures,
    ) {
        let handle = Handle::new(branch.index, branch.generation);
        let towards = Towards::of(branch.attempt);
        if towards == Towards::Call {
            return self.on_call_response(response, arrival, peer, branch, out);
        }
        if towards == Towards::Submission {
            return self.on_submission_response(response, arrival, peer, branch);
        }
        let Some(leg) = self.leg(handle, towards).filter(|leg| leg.attempt == branch.attempt)
        else {
            return self.on_late_response(response, peer, (handle, towards), arrival.at);
        };
        let expected = (Method::Message, self.is_short(handle));
        if let Some(drop) = self.mismatch(leg, expected, response, arrival, peer) {
            return self.count(drop);
        }
        if towards == Towards::Im
            && let Some(record) = self.records.get_mut(handle)
        {
            record.statuses.push(response.status);
        }
        let Some(leg) = self.leg_mut(handle, towards) else { return };
        match (leg.client.on(Event::Response(response.status)), towards) {
            (Action::Final(status), _) => {
                PeerTally::add(&self.peer_tally(peer).finals_in);
                let last = Last { response, status, at: arrival.at };
                match (self.is_short(handle), towards) {
                    (false, _) => self.on_final(handle, last, out),
                    (true, Towards::Im) => self.on_instant_final(handle, last, out),
                    (true, Towards::Sms) => self.on_report_final(handle, last, out),
                    (true, Towards::Call | Towards::Submission) => {
                        unreachable!("those are told apart above")
                    }
                }
            }
            (Action::None, _) if response.status < 200 => self.count(Counter::ProvisionalIn),
            (_, Towards::Sms | Towards::Call | Towards::Submission) => {
                self.count(Counter::DroppedResponseRepeated)
            }
            (_, Towards::Im) => {
                self.on_late_proof(handle, response, peer, arrival.at);
                self.count_repeated(handle, response.status);
            }
        }
    }

    /// Whether a record is that of a short message.
    pub(super) fn is_short(&self, handle: Handle<Record>) -> bool {
        self.records.get(handle).is_some_and(|record| record.is_short)
    }

    /// One of the two client transactions of a message.
    pub(super) fn leg(&self, handle: Handle<Record>, towards: Towards) -> Option<&Leg> {
        let record = self.records.get(handle)?;
        match towards {
            Towards::Im => Some(&record.im),
            Towards::Sms if record.is_short => Some(&self.shorts[handle.index as usize].report),
            Towards::Sms | Towards::Call | Towards::Submission => None,
        }
    }

    pub(super) fn leg_mut(&mut self, handle: Handle<Record>, towards: Towards) -> Option<&mut Leg> {
        let record = self.records.get_mut(handle)?;
        match towards {
            Towards::Im => Some(&mut record.im),
            Towards::Sms if record.is_short => Some(&mut self.shorts[handle.index as usize].report),
            Towards::Sms | Towards::Call | Towards::Submission => None,
        }
    }

    /// Why a response with an authentic branch is still not an answer to our request (hazard H11).
    /// The branch alone proves nothing about who sends it: whoever saw the request knows it.
    pub(super) fn mismatch(
        &self,
        leg: &Leg,
        (method, is_own): (Method, bool),
        response: &Response<'_>,
        arrival: &Arrival<'_>,
        peer: u8,
    ) -> Option<Counter> {
        let (octets, fields) = (response.octets, &response.fields);
        if arrival.flow.remote != leg.way.remote && peer != leg.peer {
            return Some(Counter::DroppedResponseSource);
        }
        let sent_by = self.setup.sent_by_of(leg.way.socket);
        if !fields.via.sent_by.of(octets).eq_ignore_ascii_case(sent_by) {
            return Some(Counter::DroppedResponseForeign);
        }
        if fields.cseq != leg.cseq || fields.cseq_method != method {
            return Some(Counter::DroppedResponseCseq);
        }
        // Below our Via stands the one of whoever sent us the request; below that of a request of our
        // own stands none (RFC 3261 section 8.1.3.3).
        let is_right = if is_own { fields.via_count == 1 } else { fields.via_count >= 2 };
        (!is_right).then_some(Counter::DroppedResponseVia)
    }

    /// The final response: evidence first, then the report, which is that response itself.
    fn on_final(&mut self, handle: Handle<Record>, last: Last<'_>, out: &mut Departures) {
        let Last { response, status, at } = last;
        let Some(record) = self.records.get_mut(handle) else { return };
        let peer = self.peers.get(record.im.peer);
        let evidence = Evidence::Final(last.evidence(peer.role, Asked::Once));
        let Some(verdict) = record.message.observe(evidence, &peer.mapping) else {
            // The deadline came first. What comes now is counted and changes nothing.
            let late = if status < 300 { Counter::LateDelivered } else { Counter::LateFailed };
            self.count(late);
            return self.close(handle, at);
        };
        self.decide(handle, verdict, at);
        // R5, RFC 4320 section 4.2: a proxy does not pass on a 408 to a non-INVITE request.
        if status == 408 {
            self.keep_silent(handle, at);
            return self.close(handle, at);
        }
        if verdict == Verdict::Accepted && status != 202 {
            self.count(Counter::AcceptancesPassed);
        }
        self.pass_on(handle, response, status, at, out);
    }

    /// Sends the response back without our Via (RFC 3261 section 16.7), and remembers what it
    /// takes to do so again.
    fn pass_on(
        &mut self,
        handle: Handle<Record>,
        response: &Response<'_>,
        status: u16,
        at: Instant,
        out: &mut Departures,
    ) {
        let Some(record) = self.records.get(handle) else { return };
        let privacy_id = response.fields.privacy_id;
        let strip_asserted = self.hides_identity(record.im.peer, record.sms_peer, privacy_id);
        let Some(record) = self.records.get_mut(handle) else { return };
        // RFC 3261 section 16.7 step 6: a 503 says something about one server, not about us.
        let (status, instead) = match status {
            503 => (500, Some((500, "Server Internal Error"))),
            other => (other, None),
        };
        record.server.on(non_invite_server::Event::Respond(status));
        record.report = Report::Response(status);
        let (fingerprint, flow) = (record.fingerprint, record.sms);
        let owner = Some(record::owner(handle, Errand::Report));
        let keeps = status >= 300;
        let kept = &mut self.kept;
        let mut copy = None;
        // A request may be repeated over another transport than it came by.
        let needs_length = keeps || self.setup.transport_of(flow.socket).is_reliable();
        let len_max = response.octets.len() + FORWARD_GROWTH_MAX;
        let to = Back { owner, ..Back::to(flow, Purse::Evidence, len_max) };
        let leaves = self.neighbours.send_back(to, out, |slot| {
            let len = fits(build::forward_response(
                response,
                instead,
                strip_asserted,
                needs_length,
                slot,
            ));
            if keeps {
                copy = kept.keep(fingerprint, &slot[..len]);
            }
            len
        });
        self.note_leaving(leaves);
        self.count(Counter::ReportsSent);
        self.finish(fingerprint, status, copy, at);
        self.wheel.stop(handle.index);
        if leaves == Leaves::Elsewhere {
            // Nobody tells how it goes from there.
            self.on_report_sent(handle, Ok(()), at);
        }
    }

    /// A response to a transaction that is over: repeated, late, or contradicting its outcome.
    fn on_late_response(
        &mut self,
        response: &Response<'_>,
        peer: u8,
        (handle, towards): (Handle<Record>, Towards),
        now: Instant,
    ) {
        let Peer { im, sms, .. } = *self.peers.get(peer);
        if towards == Towards::Sms && sms && response.status >= 200 {
            // The answer to a retransmitted report proves nothing that is of interest any more.
            return self.count(Counter::DroppedResponseRepeated);
        }
        if !im {
            return self.count(Counter::DroppedResponseSource);
        }
        if response.status < 200 {
            return self.count(Counter::ProvisionalIn);
        }
        self.on_late_proof(handle, response, peer, now);
        let said = self.tombstone(handle, now);
        self.count(late(said, response.status));
    }

    fn count_repeated(&self, handle: Handle<Record>, status: u16) {
        let decided = self.records.get(handle).and_then(|record| record.message.decided());
        let said = decided.map(|(verdict, evidence)| (verdict, status_of(evidence)));
        self.count(match said {
            Some((Verdict::Delivered, _)) | None => late(None, status),
            Some(said) => late(Some(said), status),
        });
    }

    /// An ICMP error: evidence only if it quotes a request of ours that is open, sent to where
    /// the error says (RFC 3261 section 18.4; anything else says something about a peer at most).
    pub fn on_unreachable(&mut self, remote: Endpoint, quoted: &[u8], at: Instant) {
        let found = quoted_branches(quoted)
            .find_map(|text| Branch::decode(text, self.setup.key))
            .filter(|branch| self.is_of_this_life(*branch));
        let Some(branch) = found else {
            return self.count(Counter::IcmpForeign);
        };
        if branch.worker != self.setup.worker {
            return self.hand_over_unreachable(branch.worker, remote, quoted, at);
        }
        let handle = Handle::new(branch.index, branch.generation);
        let towards = Towards::of(branch.attempt);
        if towards == Towards::Call {
            return self.on_call_unreachable(branch, remote, at);
        }
        if towards == Towards::Submission {
            return self.on_submission_unreachable(branch, remote, at);
        }
        let leg = self
            .leg_mut(handle, towards)
            .filter(|leg| leg.attempt == branch.attempt && leg.way.remote == remote);
        let Some(leg) = leg else {
            return self.count(Counter::IcmpForeign);
        };
        let is_first = leg.client.on(Event::TransportError) == Action::TransportError;
        let peer = leg.peer;
        self.count(Counter::IcmpMatched);
        if !is_first {
            return;
        }
        PeerTally::add(&self.peer_tally(peer).unreachable);
        if self.is_short(handle) {
            // What follows needs a slot: the timer takes it from there.
            return self.wheel.start(handle.index, at);
        }
        let Some(record) = self.records.get_mut(handle) else { return };
        let mapping = &self.peers.get(peer).mapping;
        if let Some(verdict) = record.message.observe(Evidence::Unreachable, mapping) {
            self.decide(handle, verdict, at);
            self.keep_silent(handle, at);
        }
        self.close(handle, at);
    }

    /// How the first transmission of an attempt went. The kernel's own refusal means that nothing
    /// has left; the timer takes it from there, when its slot is free.
    pub(super) fn on_request_sent(
        &mut self,
        handle: Handle<Record>,
        attempt: u8,
        sent: Sent,
        at: Instant,
    ) {
        let Err(error) = sent else { return };
        if !error.nothing_left() {
            return;
        }
        if Towards::of(attempt) == Towards::Call {
            return self.on_invite_sent(handle, attempt, error, at);
        }
        if Towards::of(attempt) == Towards::Submission {
            let at_place = (handle.index, handle.generation);
            return self.on_submission_sent(at_place, attempt, error, at);
        }
        let Some(leg) = self.leg_mut(handle, Towards::of(attempt)) else { return };
        // A retransmission may have left since, and then it is too late to be certain. Whoever has
        // answered has it.
        if leg.attempt == attempt && leg.transmissions == 1 && leg.is_running() {
            leg.refused = Some(error);
            self.wheel.start(handle.index, at);
        }
    }

    /// How a report went that another worker has handed over, and closed.
    pub(super) fn on_handed_sent(&self, sent: Sent) {
        if sent.is_err() {
            self.count(Counter::ReportsRefused);
        }
    }

    /// How the report went, and with that the message is closed.
    pub(super) fn on_report_sent(&mut self, handle: Handle<Record>, sent: Sent, at: Instant) {
        let Some(record) = self.records.get_mut(handle) else { return };
        if let (Err(error), Report::Response(status)) = (sent, record.report) {
            record.report = Report::Refused(status, error);
            self.tally.counters.add(Counter::ReportsRefused);
        }
        self.close(handle, at);
    }
}

/// A final response and when it came.
#[derive(Clone, Copy)]
pub(super) struct Last<'a> {
    pub response: &'a Response<'a>,
    pub status: u16,
    pub at: Instant,
}

impl Last<'_> {
    /// What it is evidence of.
    pub(super) const fn evidence(&self, role: Role, asked: Asked) -> Final {
        let retry_after = self.response.fields.retry_after.is_some();
        Final { status: self.status, role, retry_after, asked }
    }
}

/// What a final response says to an outcome. Only outcomes other than delivered are remembered:
/// `None` is a delivered one.
const fn late(said: Option<(Verdict, u16)>, status: u16) -> Counter {
    match said {
        None if status < 300 => Counter::DroppedResponseRepeated,
        None => Counter::Contradictions,
        Some((_, same)) if same == status => Counter::DroppedResponseRepeated,
        Some((Verdict::Unknown | Verdict::Accepted, _)) if status < 300 => Counter::LateDelivered,
        Some((Verdict::Unknown | Verdict::Accepted, _)) => Counter::LateFailed,
        Some(_) => Counter::Contradictions,
    }
}

/// What may be branches of ours in a request that an ICMP error quotes, which may end anywhere.
/// Ours is on top of all Vias, but other header fields may stand above them. A response of ours
/// has no Via of ours on top.
fn quoted_branches(quoted: &[u8]) -> impl Iterator<Item = &[u8]> {
    let request = if quoted.starts_with(b"SIP/2.0 ") { &[] } else { quoted };
    memchr::memmem::find_iter(request, MAGIC_COOKIE)
        .filter_map(|at| request.get(at..at + BRANCH_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_told_apart() {
        let failed = Some((Verdict::Temporary, 480));
        let silent = Some((Verdict::Unknown, 0));
        assert_eq!(late(None, 200), Counter::DroppedResponseRepeated);
        assert_eq!(late(None, 486), Counter::Contradictions);
        assert_eq!(late(failed, 480), Counter::DroppedResponseRepeated);
        assert_eq!(late(failed, 200), Counter::Contradictions);
        assert_eq!(late(silent, 200), Counter::LateDelivered);
        assert_eq!(late(silent, 486), Counter::LateFailed);
    }
}
