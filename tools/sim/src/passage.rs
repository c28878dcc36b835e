//! What crosses the boundary on connections of MSRP, in both directions, with room for a planted bug; and
//! what users have of it.

use roger::delivery::Account;
use roger::packet::{Departures, StreamEvent};

use crate::boundary::Boundary;
use crate::calls::Call;
use crate::court::Truth;
use crate::ledger::Verdict;
use crate::text::{Text, written};
use crate::wire::Wire;
use crate::world::World;

/// What crosses in one turn: the first thing that was wrong, and what there is to tell.
#[derive(Debug)]
pub(crate) struct Passage {
    broken: Option<String>,
    lines: Option<Vec<String>>,
}

impl Passage {
    pub(crate) fn new(is_traced: bool) -> Self {
        Self { broken: None, lines: is_traced.then(Vec::new) }
    }

    /// Gives the engine what happened to a connection, and writes it down.
    pub(crate) fn take(
        &mut self,
        (worker, now): (usize, u64),
        event: StreamEvent<'_>,
        boundary: &mut Boundary,
        wire: &mut Wire,
        out: &mut Departures,
    ) {
        let mut story = Story::of(&event);
        match event {
            StreamEvent::Opened { flow, owner, certificate, at } => {
                if let Some(id) = flow.connection {
                    wire.opened(id);
                }
                let opened = StreamEvent::Opened { flow, owner, certificate, at };
                boundary.on_stream(worker, opened, out);
            }
            StreamEvent::Arrived { id, octets, used, at } => {
                let shown = StreamEvent::Arrived { id, octets, used: &mut *used, at };
                boundary.on_stream(worker, shown, out);
                let taken = &octets[..used.octets.min(octets.len())];
                wire.came(id, taken, now);
                story.octets(taken);
            }
            StreamEvent::Room { id, room, filled, at } => {
                let shown = StreamEvent::Room { id, room: &mut *room, filled: &mut *filled, at };
                boundary.on_stream(worker, shown, out);
                let put = &room[..(*filled).min(room.len())];
                story.octets(put);
                if let Err(error) = wire.put(id, put, now) {
                    self.broken.get_or_insert(error);
                }
            }
            StreamEvent::Written { id, octets, at } => {
                wire.written(id, octets, now);
                boundary.on_stream(worker, StreamEvent::Written { id, octets, at }, out);
            }
            StreamEvent::Lost { id, doubtful, at } => {
                wire.lost(id, now);
                boundary.on_stream(worker, StreamEvent::Lost { id, doubtful, at }, out);
            }
            StreamEvent::Refused { owner, at } => {
                boundary.on_stream(worker, StreamEvent::Refused { owner, at }, out);
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.push(story.line(worker));
        }
    }
}

impl World {
    /// What has crossed is told, and judged.
    pub(crate) fn told(&mut self, worker: usize, now: u64, passage: Passage) -> Verdict<()> {
        for line in passage.lines.into_iter().flatten() {
            self.note(|| line);
        }
        if !self.boundary.invented.is_empty() {
            self.look(worker, now);
        }
        passage.broken.map_or(Ok(()), Err)
    }

    /// What users have of the message of an account, if it was sent in a session or was to be.
    pub(crate) fn truth(&self, account: &Account) -> Option<Truth> {
        let calls = &self.gateway.calls;
        let named = calls.named(account.im_call_id.octets()).map(|named| &calls.list[named]);
        let call_id = core::str::from_utf8(account.sms_call_id.octets()).ok()?;
        let short = self.centres.submissions[self.centres.find_call(call_id)?].short;
        let uri = &self.centres.shorts[short].recipient;
        let parts = self.gateway.parts.iter().any(|part| part.uri == *uri);
        if named.is_none() && calls.talks_of(short).next().is_none() && !parts {
            return None;
        }
        let doubtful = |call: &Call| call.is_tainted || call.is_past;
        let agents = self.hosts.agents();
        let mut its = agents.sessions.iter().filter(|session| {
            named.is_some_and(|call| agents.call_id(session.call) == call.call_id)
        });
        let is_usable = its.all(|session| session.is_usable);
        let sent = &self.centres.shorts[short];
        let twins = self.centres.shorts.iter();
        let twins = twins.filter(|it| it.text == sent.text && it.recipient == sent.recipient);
        // Of two that say the same nobody can tell which was sent in a session that was there.
        let has_twin = twins.count() > 1;
        let has = |branch: &str| self.servers.iter().any(|server| server.seen.contains(branch));
        let in_parts = self.gateway.is_whole_in_parts(sent, &|part| has(&part.branch));
        let is_lied = named.is_some_and(doubtful) || in_parts || has_twin;
        let is_delivered = account.verdict == roger::delivery::Verdict::Delivered;
        // A damaged copy may be a message of its own, whichever of the two is delivered.
        let mut lives = self.gateway.lives_of(short);
        let has_rival = self.swarm.faults.corrupting()
            && lives.any(|life| {
                let told = life.account.as_ref();
                self.centres.submissions[life.submission].call_id == call_id
                    && told.is_some_and(|told| told.arrived != account.arrived)
            });
        let mut truth = Truth { shown: None, is_lied: is_lied || has_rival, is_usable };
        for (call, talk) in calls.talks_of(short) {
            truth.is_lied |= call.is_tainted;
            // What an earlier submission has brought is no failure of this one.
            let own = account.arrived.0..=account.decided.0;
            // Nor what a damaged copy has brought, which is another submission with calls of its own.
            let is_own = named.is_none_or(|named| named.call_id == call.call_id);
            let is_own = is_own || !self.gateway.is_tainted(short);
            let counts = own.contains(&talk.begun) && is_own || is_delivered;
            let sessions = agents.sessions.iter().enumerate();
            for (at, session) in sessions.filter(|(_, it)| agents.call_id(it.call) == call.call_id)
            {
                truth.is_lied |= session.conduct.lies(session.speaks());
                let whole = agents.shown.iter().filter(|shown| {
                    counts
                        && shown.session == at
                        && shown.message_id == talk.message_id
                        && shown.uri == call.uri
                        && shown.content_type == talk.content_type
                        && shown.octets == talk.octets
                });
                let first = whole.map(|shown| shown.at).min();
                truth.shown = truth.shown.into_iter().chain(first).min();
            }
        }
        Some(truth)
    }
}

/// One line about what happened to a connection.
struct Story {
    what: String,
    octets: Vec<u8>,
}

impl Story {
    fn of(event: &StreamEvent<'_>) -> Self {
        let what = match event {
            StreamEvent::Opened { flow, owner, .. } => {
                format!("opened {} {owner:?}", written(flow.remote))
            }
            StreamEvent::Refused { owner, .. } => format!("refused {owner:?}"),
            StreamEvent::Arrived { id, .. } => format!("in  {}", id.index),
            StreamEvent::Room { id, .. } => format!("out {}", id.index),
            StreamEvent::Written { id, octets, .. } => format!("{} wrote {octets}", id.index),
            StreamEvent::Lost { id, doubtful, .. } => format!("{} lost, {doubtful}", id.index),
        };
        Self { what, octets: Vec::new() }
    }

    fn octets(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    fn line(&self, worker: usize) -> String {
        let text = String::from_utf8_lossy(&self.octets).replace("\r\n", " | ");
        format!("msrp{worker} {}  {text}", self.what)
    }
}

impl crate::agent::Agents {
    /// The Call-ID of an INVITE.
    pub(crate) fn call_id(&self, call: usize) -> String {
        let octets = self.invite(call);
        let text = Text::read(octets);
        text.and_then(|text| text.value("Call-ID")).unwrap_or("").to_owned()
    }
}
