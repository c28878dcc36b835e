//! What happens when nothing arrives.

use crate::delivery::{Asked, Evidence, Report, Verdict};
use crate::engine::answer::{Answer, answer_len_max};
use crate::engine::back::{Back, Leaves};
use crate::engine::record::{self, Errand, Record, Towards};
use crate::engine::{Engine, Refusal};
use crate::id::Handle;
use crate::metrics::{Counter, PeerTally};
use crate::packet::{Departures, Owner, Purse};
use crate::time::Instant;
use crate::transaction::non_invite_client::{Action, Event};
use crate::transaction::non_invite_server;
use crate::wire::sip::build::{Extra, Source};

impl Engine {
    /// One expired timer, at most one departure. What else is due comes at the next tick.
    pub(super) fn on_timer(&mut self, index: u32, now: Instant, out: &mut Departures) {
        let Some(handle) = self.records.handle_at(index) else { return };
        let Some(record) = self.records.get(handle) else { return };
        if record.is_short {
            return self.on_short_timer(handle, now, out);
        }
        let timers = self.setup.timers;
        let is_open = record.message.decided().is_none();
        if record.im.refused.is_some() {
            return self.on_never_sent(handle, now, out);
        }
        if record.im.sent.plus_ms(timers.transaction_ms()) <= now {
            return self.on_timer_f(handle, now);
        }
        if is_open && record.arrived.plus_ms(self.deadline_ms(record)) <= now {
            self.on_deadline(handle, now);
        } else if is_open
            && record.server == non_invite_server::State::Trying
            && record.arrived.plus_ms(timers.trying_ms()) <= now
        {
            self.say_trying(handle, out);
        } else if record.im.retransmit <= now {
            self.on_timer_e(handle, now, out);
        }
        self.wait(handle);
    }

    fn on_timer_e(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) {
        let Some(record) = self.records.get_mut(handle) else { return };
        if record.im.client.on(Event::TimerE) == Action::Retransmit {
            self.transmit_stored(handle, now, out);
        }
    }

    /// No final response: nobody knows, so nothing is said (RFC 4320 section 4.2).
    fn on_timer_f(&mut self, handle: Handle<Record>, now: Instant) {
        let Some(record) = self.records.get_mut(handle) else { return };
        if record.im.client.on(Event::TimerF) != Action::Timeout {
            return;
        }
        let peer = record.im.peer;
        if let Some(verdict) =
            record.message.observe(Evidence::TimerF, &self.peers.get(peer).mapping)
        {
            self.decide(handle, verdict, now);
            self.keep_silent(handle, now);
        }
        self.count(Counter::TimerF);
        PeerTally::add(&self.peer_tally(peer).timer_f);
        self.close(handle, now);
    }

    /// The verdict is due. The request stays on its way until timer F, for what may still come.
    fn on_deadline(&mut self, handle: Handle<Record>, now: Instant) {
        let Some(record) = self.records.get_mut(handle) else { return };
        if let Some(verdict) =
            record.message.observe(Evidence::Deadline, &self.peers.get(record.im.peer).mapping)
        {
            self.decide(handle, verdict, now);
            self.keep_silent(handle, now);
            self.count(Counter::Deadlines);
        }
    }

    /// RFC 4320 section 4.1: 100 when the client's timer E has reached T2, and not before.
    fn say_trying(&mut self, handle: Handle<Record>, out: &mut Departures) {
        let Some(record) = self.records.get_mut(handle) else { return };
        if record.server.on(non_invite_server::Event::Respond(100))
            == non_invite_server::Action::Send
        {
            self.count(Counter::TryingOut);
            self.respond_by_record(handle, Refusal::new(100, "Trying"), None, out);
        }
    }

    /// The kernel refused the first transmission, so it is certain that nothing has left: the
    /// next server gets the request, and when there is none the SMS side is told so.
    fn on_never_sent(&mut self, handle: Handle<Record>, now: Instant, out: &mut Departures) {
        let Some(record) = self.records.get_mut(handle) else { return };
        let Some(error) = record.im.refused.take() else { return };
        let server = record.im.server;
        // A connection may take its time to fail. What has been told as unknown by then is not sent.
        let is_open = record.message.decided().is_none();
        if is_open && self.back_to_udp(handle, Towards::Im, error, now) {
            self.transmit_stored(handle, now, out);
            return self.wait(handle);
        }
        if is_open
            && let Some(server) = server
            && let Some(hop) = self.next_server(usize::from(server) + 1)
            && let Some(record) = self.records.get_mut(handle)
            && record.im.begin_again(Some(&hop), Asked::Once)
        {
            self.count(Counter::NextServer);
            self.transmit_stored(handle, now, out);
            return self.wait(handle);
        }
        let Some(record) = self.records.get_mut(handle) else { return };
        let Some(verdict) =
            record.message.observe(Evidence::NeverSent, &self.peers.get(record.im.peer).mapping)
        else {
            return self.close(handle, now);
        };
        record.im.client.on(Event::TransportError);
        record.server.on(non_invite_server::Event::Respond(500));
        record.report = Report::Response(500);
        let fingerprint = record.fingerprint;
        self.decide(handle, verdict, now);
        self.count(Counter::ReportsSent);
        self.finish(fingerprint, 500, None, now);
        let owner = record::owner(handle, Errand::Report);
        let answer = Refusal::new(500, "Server Internal Error");
        if self.respond_by_record(handle, answer, Some(owner), out) == Leaves::Elsewhere {
            self.on_report_sent(handle, Ok(()), now);
        }
    }

    /// How long after its arrival the verdict on a message is due.
    pub(super) fn deadline_ms(&self, record: &Record) -> u32 {
        self.peers.get(record.sms_peer).sync_deadline_ms
    }

    /// Starts the timer of a record for what is due next.
    pub(super) fn wait(&mut self, handle: Handle<Record>) {
        let Some(record) = self.records.get(handle) else { return };
        let due = if record.is_short { self.short_due(handle, record) } else { self.due(record) };
        self.wheel.start(handle.index, due);
    }

    fn due(&self, record: &Record) -> Instant {
        let timers = self.setup.timers;
        if record.im.refused.is_some() {
            return record.arrived;
        }
        let mut due = record.im.due(timers);
        if record.message.decided().is_none() {
            due = due.min(record.arrived.plus_ms(self.deadline_ms(record)));
            if record.server == non_invite_server::State::Trying {
                due = due.min(record.arrived.plus_ms(timers.trying_ms()));
            }
        }
        due
    }

    fn respond_by_record(
        &self,
        handle: Handle<Record>,
        answer: Refusal,
        owner: Option<Owner>,
        out: &mut Departures,
    ) -> Leaves {
        let Some(record) = self.records.get(handle) else { return Leaves::Here };
        let Some(request) = self.stored(handle, record) else { return Leaves::Here };
        let source = Source { ip: record.sms.remote.ip, port: record.source_port };
        let to = Back::to(record.sms, Purse::Evidence, answer_len_max(&request));
        let to = Back { owner, ..to };
        let answer = Answer { answer, extra: Extra::None, source };
        self.respond_to(&request, record.fingerprint, answer, to, out)
    }

    /// Ends every open message as unknown because the process ends: at most `limit` of them, and
    /// says how many are left. Nothing is said to the SMS side, whose own timers say what is
    /// known.
    pub fn abandon(&mut self, now: Instant, limit: usize) -> u32 {
        let mut ended = self.abandon_passages(now, limit);
        while ended < limit && !self.records.is_empty() {
            // Each call goes on where the last one stopped; nothing is accepted in between.
            let index = self.abandoned_to;
            self.abandoned_to = (index + 1) % self.records.capacity();
            let Some(handle) = self.records.handle_at(index) else { continue };
            let Some(record) = self.records.get_mut(handle) else { continue };
            if record.is_short {
                self.abandon_short(handle, now);
                ended += 1;
                continue;
            }
            if let Some(verdict) =
                record.message.observe(Evidence::Shutdown, &self.peers.get(record.im.peer).mapping)
            {
                assert!(verdict == Verdict::Unknown);
                self.decide(handle, verdict, now);
                self.keep_silent(handle, now);
            }
            self.close(handle, now);
            ended += 1;
        }
        let submissions = self.abandon_submissions(now, limit - ended);
        self.records.len() + submissions + self.passages()
    }
}
