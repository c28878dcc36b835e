//! What crosses the boundary on connections of MSRP, chunk by chunk, and what that proves: written from the
//! octets alone, with the naive reader of [`crate::msrp`].

use std::collections::{BTreeMap, BTreeSet};

use roger::delivery::MsrpRole;
use roger::packet::ConnectionId;

use crate::ledger::Verdict;
use crate::msrp::{Kind, Message, Range, Reader};
use crate::sdp::session_id;
use crate::swarm::SECOND;

/// How long a response to a chunk is waited for (RFC 4975 section 7.1.1).
pub(crate) const RESPONSE_WAIT: u64 = 30 * SECOND;

/// When something came, and how much had come before: much comes at the same time.
type Moment = (u64, u64);

/// A chunk of ours.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Octets of the message before it, and behind it.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) flag: char,
    /// When its last octet was handed over to the kernel.
    pub(crate) handed: Option<u64>,
    /// When it was answered first, and how.
    pub(crate) answer: Option<(u64, u16)>,
    /// The same in the order of everything.
    answered: Moment,
    /// Up to which octet of the connection it goes.
    until: u64,
}

/// A REPORT about our message.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) at: u64,
    pub(crate) status: u16,
    moment: Moment,
    range: Option<Range>,
}

/// One message that was sent in a session.
#[derive(Debug)]
pub(crate) struct Talk {
    /// The short message that it is, once that is known.
    pub(crate) short: Option<usize>,
    pub(crate) begun: u64,
    pub(crate) name: Name,
    pub(crate) message_id: String,
    pub(crate) content_type: String,
    /// URIs in To-Path.
    pub(crate) uris: usize,
    pub(crate) octets: Vec<u8>,
    pub(crate) total: Option<u64>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) reports: Vec<Report>,
    /// When its connection was lost.
    pub(crate) lost: Option<u64>,
    is_aborted: bool,
}

/// A message in a session: our URI and its Message-ID.
pub(crate) type Topic = (String, String);

/// A connection of a worker: its generation, its place, the worker.
pub(crate) type Name = (u8, u16, u32);

pub(crate) fn name(id: ConnectionId) -> Name {
    (id.worker.0, id.index, id.generation.get())
}

/// One connection.
#[derive(Debug, Default)]
struct End {
    put: Reader,
    came: Reader,
    put_octets: u64,
    written: u64,
}

/// Everything that was seen on connections of MSRP.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    ends: BTreeMap<Name, End>,
    pub(crate) talks: BTreeMap<Topic, Talk>,
    /// Whose chunk a transaction identifier of ours names.
    chunks: BTreeMap<String, (Topic, usize)>,
    tids: BTreeSet<String>,
    /// REPORTs that have come.
    said: BTreeSet<String>,
    /// What has come so far.
    count: u64,
    /// Sessions in which a message was said to its end since this was asked last.
    pub(crate) fresh: Vec<Topic>,
}

impl Wire {
    pub(crate) fn opened(&mut self, id: ConnectionId) {
        self.ends.insert(name(id), End::default());
    }

    /// Octets that the engine has used.
    pub(crate) fn came(&mut self, id: ConnectionId, octets: &[u8], now: u64) {
        let Some(end) = self.ends.get_mut(&name(id)) else { return };
        end.came.push(octets);
        let mut came = Vec::new();
        while let Some(Ok(message)) = end.came.next() {
            came.push(message);
        }
        came.extend(end.came.head());
        for message in came {
            self.count += 1;
            let moment = (now, self.count);
            match message.kind {
                Kind::Response(status) => {
                    if let Some((topic, chunk)) = self.chunks.get(&message.tid)
                        && let Some(talk) = self.talks.get_mut(topic)
                        && talk.name == name(id)
                        && let Some(chunk) = talk.chunks.get_mut(*chunk)
                        && chunk.answer.is_none()
                    {
                        (chunk.answer, chunk.answered) = (Some((now, status)), moment);
                    }
                }
                Kind::Report => self.on_report(name(id), &message, moment),
                Kind::Send | Kind::Other(_) => {}
            }
        }
    }

    fn on_report(&mut self, name: Name, report: &Message, moment: Moment) {
        let to_path = report.to_path();
        let uri = to_path.last().copied().unwrap_or("").to_owned();
        let topic = (uri, report.message_id().to_owned());
        let Some(talk) = self.talks.get_mut(&topic) else { return };
        let Some(status) = report.status() else { return };
        if talk.name != name || talk.chunks.is_empty() {
            return;
        }
        let unreadable = report.field("Byte-Range").is_some() && report.range().is_none();
        if !unreadable && self.said.insert(report.tid.clone()) {
            talk.reports.push(Report { at: moment.0, status, moment, range: report.range() });
        }
    }

    /// Octets that the engine has put in.
    pub(crate) fn put(&mut self, id: ConnectionId, octets: &[u8], now: u64) -> Verdict<()> {
        let Some(end) = self.ends.get_mut(&name(id)) else {
            return Err(format!("octets for {id:?}, which is no connection"));
        };
        end.put.push(octets);
        let before = end.put_octets;
        end.put_octets += octets.len() as u64;
        let mut messages = Vec::new();
        while let Some(message) = end.put.next() {
            let message = message.map_err(|error| format!("our MSRP: {error}"))?;
            let until = before + octets.len() as u64 - end.put.waiting() as u64;
            messages.push((message, until));
        }
        let partial = end.put.partial();
        for (message, until) in messages {
            self.on_put(name(id), &message, until, now)?;
        }
        match partial {
            Some(partial) => self.begin(name(id), &partial, now),
            None => Ok(()),
        }
    }

    /// A message of ours.
    fn on_put(&mut self, name: Name, message: &Message, until: u64, now: u64) -> Verdict<()> {
        if message.kind != Kind::Send {
            return match message.kind {
                Kind::Response(_) => Ok(()),
                Kind::Send | Kind::Report | Kind::Other(_) => {
                    Err(format!("we sent {:?}: {:?}", message.kind, message.fields))
                }
            };
        }
        if !self.tids.insert(message.tid.clone()) || message.tid.len() < 16 {
            return Err(format!("{} is used again, or short", message.tid));
        }
        if message.field("Content-Type").is_none() {
            // It binds a connection, and has no octets.
            return Ok(());
        }
        self.begin(name, message, now)?;
        let uri = message.path_from().last().copied().unwrap_or("").to_owned();
        let topic = (uri.clone(), message.message_id().to_owned());
        let Some(talk) = self.talks.get_mut(&topic) else { return Ok(()) };
        let start = talk.octets.len() as u64;
        let range = message.range();
        let is_next = range.is_some_and(|range| range.start == start + 1);
        let total = range.and_then(|range| range.total);
        if !is_next || total.is_none() || talk.total.is_some_and(|had| Some(had) != total) {
            return Err(format!("{uri}: {range:?} behind {start} octets"));
        }
        if talk.is_aborted || talk.chunks.iter().any(|chunk| chunk.flag != '+') {
            return Err(format!("{uri}: a chunk behind the end of its message"));
        }
        talk.total = total;
        talk.octets.extend_from_slice(&message.body);
        let end = talk.octets.len() as u64;
        let is_whole = total == Some(end);
        if end > total.unwrap_or(0) || (message.flag == '$') != is_whole && message.flag != '#' {
            return Err(format!("{uri}: {} at {end} of {total:?}", message.flag));
        }
        talk.is_aborted |= message.flag == '#';
        if is_whole {
            self.fresh.push(topic.clone());
        }
        self.chunks.insert(message.tid.clone(), (topic, talk.chunks.len()));
        let (flag, answer, handed) = (message.flag, None, None);
        talk.chunks.push(Chunk { start, end, flag, handed, answer, answered: (0, 0), until });
        Ok(())
    }

    /// Something is said in a session, perhaps for the first time.
    fn begin(&mut self, name: Name, send: &Message, now: u64) -> Verdict<()> {
        if send.kind != Kind::Send {
            return Ok(());
        }
        let from = send.path_from();
        let [uri] = from[..] else { return Err(format!("From-Path {from:?}")) };
        let uri = uri.to_owned();
        if send.field("Success-Report") != Some("yes")
            || send.field("Failure-Report") != Some("yes")
        {
            return Err(format!("H25: {uri}: reports are not asked for"));
        }
        let message_id = send.message_id().to_owned();
        let content_type = send.field("Content-Type").unwrap_or("").to_owned();
        if session_id(&uri).is_none_or(|id| id.len() < 20) || message_id.is_empty() {
            return Err(format!("{uri}: anybody can guess it, or {message_id:?} is none"));
        }
        if self.talks.iter().any(|((had, _), talk)| *had == uri && talk.name != name) {
            return Err(format!("{uri}: two connections"));
        }
        let topic = (uri.clone(), message_id.clone());
        let talk = self.talks.entry(topic).or_insert_with(|| Talk {
            short: None,
            begun: now,
            name,
            message_id: message_id.clone(),
            content_type: content_type.clone(),
            uris: send.to_path().len(),
            octets: Vec::new(),
            total: None,
            chunks: Vec::new(),
            reports: Vec::new(),
            lost: None,
            is_aborted: false,
        });
        if talk.content_type == content_type {
            Ok(())
        } else {
            Err(format!("{uri}: a message in {content_type} and something else"))
        }
    }

    /// So many more octets were handed over to the kernel.
    pub(crate) fn written(&mut self, id: ConnectionId, octets: u64, now: u64) {
        let Some(end) = self.ends.get_mut(&name(id)) else { return };
        end.written += octets;
        let written = end.written;
        for talk in self.talks.values_mut().filter(|talk| talk.name == name(id)) {
            for chunk in talk.chunks.iter_mut().filter(|chunk| chunk.until <= written) {
                chunk.handed.get_or_insert(now);
            }
        }
    }

    pub(crate) fn lost(&mut self, id: ConnectionId, now: u64) {
        self.ends.remove(&name(id));
        for talk in self.talks.values_mut().filter(|talk| talk.name == name(id)) {
            talk.lost.get_or_insert(now);
        }
    }

    /// The process has ended.
    pub(crate) fn on_death(&mut self, now: u64) {
        self.ends.clear();
        for talk in self.talks.values_mut() {
            talk.lost.get_or_insert(now);
        }
    }
}

impl Wire {
    /// What was said in this session of ours.
    pub(crate) fn talks_in<'a>(&'a self, session: &'a str) -> impl Iterator<Item = &'a Talk> {
        let from = self.talks.range((session.to_owned(), String::new())..);
        from.take_while(move |((uri, _), _)| uri == session).map(|(_, talk)| talk)
    }
}

impl Talk {
    /// Whether all of it was put in.
    pub(crate) fn is_whole(&self) -> bool {
        self.chunks.last().is_some_and(|last| last.flag == '$')
    }

    /// When every octet was covered by these intervals, each with its moment.
    fn covered(&self, mut intervals: Vec<(Moment, u64, u64)>) -> Option<Moment> {
        let total = self.total.filter(|_| self.is_whole())?;
        intervals.sort_unstable_by_key(|(at, ..)| *at);
        let mut had = vec![false; usize::try_from(total).ok()?];
        let mut left = had.len();
        let mut last = intervals.first()?.0;
        for (at, start, end) in intervals {
            for octet in start..end.min(total) {
                let octet = &mut had[usize::try_from(octet).unwrap_or(0)];
                if !core::mem::replace(octet, true) {
                    left -= 1;
                    last = at;
                }
            }
        }
        (left == 0).then_some(last)
    }

    fn reported(&self) -> Vec<(Moment, u64, u64)> {
        let total = self.total.unwrap_or(0);
        let good = self.reports.iter().filter(|report| report.status == 200);
        good.filter_map(|report| match report.range {
            None => Some((report.moment, 0, total)),
            // What is reported of something shorter is no report of this (hazard H18).
            Some(_) if self.is_shorter(report) => None,
            Some(range) => Some((report.moment, range.start.saturating_sub(1), range.end?)),
        })
        .collect()
    }

    fn is_shorter(&self, report: &Report) -> bool {
        let said = report.range.and_then(|range| range.total);
        said.is_some_and(|said| said < self.total.unwrap_or(0))
    }

    /// When success REPORTs covered all of it.
    pub(crate) fn reported_at(&self) -> Option<u64> {
        self.covered(self.reported()).map(|moment| moment.0)
    }

    /// When 200s and REPORTs covered all of it, the last chunk among them by its own 200, if those are the
    /// recipient's own words.
    pub(crate) fn acknowledged_at(&self, role: MsrpRole) -> Option<u64> {
        if role != MsrpRole::Endpoint || self.uris != 1 {
            return None;
        }
        let good = |chunk: &&Chunk| chunk.answer.is_some_and(|(_, status)| status == 200);
        let last = self.chunks.last().filter(good)?.answered;
        let answered = self.chunks.iter().filter(good);
        let answered = answered.map(|chunk| (chunk.answered, chunk.start, chunk.end));
        let all = answered.chain(self.reported()).collect();
        let at = self.covered(all)?.max(last);
        let mut shorter = self.reports.iter().filter(|report| report.status == 200);
        let doubted = shorter.any(|report| self.is_shorter(report) && report.moment < at);
        (!doubted).then_some(at.0)
    }

    /// When it was proved to be delivered.
    pub(crate) fn proved_at(&self, role: MsrpRole) -> Option<u64> {
        self.reported_at().into_iter().chain(self.acknowledged_at(role)).min()
    }

    /// When somebody said first that octets of it did not arrive.
    pub(crate) fn refused_at(&self) -> Option<u64> {
        let answers = self.chunks.iter().filter_map(|chunk| chunk.answer);
        let said = self.reports.iter().map(|report| (report.at, report.status));
        answers.chain(said).filter(|(_, status)| *status != 200).map(|(at, _)| at).min()
    }

    /// When the first chunk was not answered in time.
    pub(crate) fn late_at(&self) -> Option<u64> {
        let late = self.chunks.iter().filter_map(|chunk| {
            let at = chunk.handed? + RESPONSE_WAIT;
            chunk.answer.is_none_or(|(answered, _)| answered >= at).then_some(at)
        });
        late.min()
    }
}
