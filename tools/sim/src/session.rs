//! The MSRP half of a dialog with a user agent: what it takes, what it answers and reports, and what its
//! user has.

use std::collections::BTreeMap;
use std::rc::Rc;

use roger::delivery::MsrpRole;

use crate::agent::{Agents, Do, Task, Who};
use crate::air::{Air, Event};
use crate::conduct::{Answers, Conduct, Connects, Ends, Reports};
use crate::msrp::{self, Kind, Message, Reader};
use crate::party::Ask;
use crate::swarm::MS;
use crate::tcp::RESET;

/// A message as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    octets: Vec<Option<u8>>,
    /// Where it ends, once the chunk with `$` has come.
    end: Option<usize>,
    content_type: String,
    is_over: bool,
    was_reported_early: bool,
}

impl Incoming {
    fn take(&mut self, start: usize, body: &[u8]) {
        let end = start + body.len();
        if self.octets.len() < end {
            self.octets.resize(end, None);
        }
        for (at, octet) in body.iter().enumerate() {
            self.octets[start + at] = Some(*octet);
        }
    }

    /// All of it, once it is there.
    fn whole(&self) -> Option<Vec<u8>> {
        let end = self.end?;
        (self.octets.len() >= end).then(|| self.octets[..end].iter().copied().collect())?
    }
}

/// A message that a user sees.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) at: u64,
    pub(crate) session: usize,
    /// Who it is for.
    pub(crate) uri: String,
    pub(crate) message_id: String,
    pub(crate) content_type: String,
    pub(crate) octets: Vec<u8>,
}

/// One dialog with its session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) call: usize,
    pub(crate) server: usize,
    /// Who it is for.
    pub(crate) uri: String,
    pub(crate) tag: String,
    pub(crate) conduct: Conduct,
    pub(crate) role: MsrpRole,
    /// Our path, nearest first, and theirs.
    pub(crate) path: Vec<String>,
    pub(crate) theirs: Vec<String>,
    pub(crate) line: Option<usize>,
    pub(crate) lines: Vec<usize>,
    /// The one that is ours by the other end's word.
    pub(crate) confirmed: Option<usize>,
    /// When the answer left.
    pub(crate) began: u64,
    /// Since when nothing is taken in it any more.
    pub(crate) ended: Option<u64>,
    /// Whether BYE came from the other end, and whether we have said it.
    pub(crate) has_bye: bool,
    pub(crate) said_bye: bool,
    /// Whether there is a session at all, by its answer.
    pub(crate) is_usable: bool,
    pub(crate) incoming: BTreeMap<String, Incoming>,
    pub(crate) chunks: u64,
    pub(crate) answered_early: Vec<String>,
    pub(crate) said: usize,
    /// The answer, for a second offer.
    pub(crate) sdp: String,
    /// Its Contact, as a line.
    pub(crate) contact: String,
    pub(crate) cseq: u32,
}

impl Session {
    /// Whether its 200 is the word of the user agent itself.
    pub(crate) const fn speaks(&self) -> bool {
        self.role.speaks_for_the_recipient(self.path.len())
    }
}

/// One connection of a user agent, or of a stranger.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) who: Option<Who>,
    reader: Reader,
}

impl Agents {
    /// A connection is there: ours, or one that somebody has opened to us.
    pub(crate) fn on_line(&mut self, line: usize, who: Option<Who>) {
        self.lines.insert(line, Line { who, reader: Reader::default() });
        match who {
            Some(Who::Session(session)) => self.bind(session, line),
            Some(Who::Stranger(word)) => self.strange(line, word),
            None => {}
        }
    }

    /// Connecting has failed.
    pub(crate) fn on_refused(&mut self, who: Who) {
        if let Who::Session(session) = who {
            self.refused.push(session);
        }
    }

    /// A connection has ended, here or there.
    pub(crate) fn on_line_end(&mut self, line: usize, end: Result<(), i32>, now: u64) {
        self.resets += u64::from(end.is_err());
        self.lines.remove(&line);
        for session in self.sessions.iter_mut().filter(|session| session.line == Some(line)) {
            session.line = None;
            session.ended.get_or_insert(now);
        }
    }

    /// Who connects must send a request at once, so that it is known whose connection it is (RFC 4975
    /// section 5.4).
    fn bind(&mut self, session: usize, line: usize) {
        let state = &mut self.sessions[session];
        state.lines.push(line);
        state.line.get_or_insert(line);
        if state.conduct.connects == Connects::Mute {
            return;
        }
        let (to, from) = (state.theirs.join(" "), back(&state.path));
        self.minted += 1;
        let tid = format!("bind{:08}", self.minted);
        let id = format!("empty{:08}", self.minted);
        let lines = [
            ("To-Path", to.as_str()),
            ("From-Path", &from),
            ("Message-ID", &id),
            ("Byte-Range", "1-0/0"),
        ];
        let octets = msrp::written("SEND", &tid, &lines, &[]);
        self.say(session, line, octets);
    }

    /// Says something in a session, as far as its connection is meant to last.
    fn say(&mut self, session: usize, line: usize, mut octets: Vec<u8>) {
        let state = &mut self.sessions[session];
        let mut end = None;
        if let Ends::Octet { at, in_order } = state.conduct.ends
            && state.said + octets.len() >= at
        {
            octets.truncate(at.saturating_sub(state.said));
            end = Some(if in_order { Ok(()) } else { Err(RESET) });
        }
        state.said += octets.len();
        if !octets.is_empty() {
            self.todo.push(Ask::Say { conduit: line, octets: octets.into() });
        }
        if let Some(end) = end {
            self.todo.push(Ask::End { conduit: line, end });
        }
    }

    /// Octets have come to a user agent.
    pub(crate) fn on_octets(&mut self, line: usize, octets: &[u8], air: &mut Air) {
        let Some(state) = self.lines.get_mut(&line) else { return };
        state.reader.push(octets);
        loop {
            let Some(state) = self.lines.get_mut(&line) else { return };
            match state.reader.next() {
                Some(Ok(message)) => self.on_message(line, &message, air),
                Some(Err(error)) => {
                    self.trouble = Some(format!("MSRP on line {line}: {error}"));
                    return;
                }
                None => break,
            }
        }
        let Some(partial) = self.lines.get(&line).and_then(|line| line.reader.partial()) else {
            return;
        };
        if let Some(session) = self.session_of(&partial)
            && self.sessions[session].ended.is_none()
        {
            self.on_partial(session, line, &partial, air);
        }
    }

    /// Some of a chunk is there: what is said too early is said now.
    fn on_partial(&mut self, session: usize, line: usize, partial: &Message, air: &mut Air) {
        if partial.body.is_empty() {
            return;
        }
        let state = &mut self.sessions[session];
        if state.conduct.answers == Answers::Early && !state.answered_early.contains(&partial.tid) {
            state.answered_early.push(partial.tid.clone());
            self.say(session, line, msrp::response(partial, 200));
        }
        self.report_early(session, line, partial, air);
    }

    fn report_early(&mut self, session: usize, line: usize, send: &Message, air: &mut Air) {
        let state = &mut self.sessions[session];
        if state.conduct.reports != Reports::Early {
            return;
        }
        let incoming = state.incoming.entry(send.message_id().to_owned()).or_default();
        if core::mem::replace(&mut incoming.was_reported_early, true) {
            return;
        }
        let total = send.range().and_then(|range| range.total).unwrap_or(1);
        let range = format!("1-{total}/{total}");
        self.report(session, line, send, Some(&range), "000 200 OK", 0, air);
    }

    fn session_of(&self, message: &Message) -> Option<usize> {
        let uri = message.to_path().last().copied()?.to_owned();
        self.by_uri.get(&uri).copied()
    }

    fn on_message(&mut self, line: usize, message: &Message, air: &mut Air) {
        match message.kind {
            Kind::Send => self.on_send(line, message, air),
            Kind::Response(status) => self.on_answered(line, message, status),
            Kind::Report => {}
            Kind::Other(_) => {
                self.todo
                    .push(Ask::Say { conduit: line, octets: msrp::response(message, 501).into() });
            }
        }
    }

    /// What our own requests are answered: only those that bind a connection are made.
    fn on_answered(&mut self, line: usize, message: &Message, status: u16) {
        let who = self.lines.get(&line).and_then(|line| line.who);
        let Some(Who::Session(session)) = who else { return };
        let state = &mut self.sessions[session];
        if status == 200 && message.tid.starts_with("bind") && state.ended.is_none() {
            if *state.confirmed.get_or_insert(line) != line {
                self.trouble = Some(format!("506: session {session} has two connections"));
            }
            state.line = Some(line);
        }
        self.bound.push((session, status));
    }

    fn on_send(&mut self, line: usize, send: &Message, air: &mut Air) {
        let Some(session) = self.session_of(send) else {
            return self
                .todo
                .push(Ask::Say { conduit: line, octets: msrp::response(send, 481).into() });
        };
        let state = &mut self.sessions[session];
        if send.to_path() != state.path || send.path_from() != state.theirs {
            self.trouble = Some(format!("I7: a SEND from {:?} to {:?}", state.theirs, state.path));
            return;
        }
        if state.ended.is_some() {
            return self
                .todo
                .push(Ask::Say { conduit: line, octets: msrp::response(send, 481).into() });
        }
        if *state.line.get_or_insert(line) != line {
            return self
                .todo
                .push(Ask::Say { conduit: line, octets: msrp::response(send, 506).into() });
        }
        if !state.lines.contains(&line) {
            state.lines.push(line);
        }
        if send.field("Content-Type").is_none() {
            return self.say(session, line, msrp::response(send, 200));
        }
        let number = state.chunks;
        state.chunks += 1;
        if let Answers::Error { chunk, status } = state.conduct.answers
            && chunk == number
        {
            return self.say(session, line, msrp::response(send, status));
        }
        self.report_early(session, line, send, air);
        let is_whole = self.take(session, send, air.now);
        let first = self.sessions[session].conduct.reports == Reports::First;
        if is_whole && first {
            self.report_success(session, line, send, air);
        }
        if is_whole && self.sessions[session].conduct.ends == (Ends::ByeAtEnd { answers: false }) {
            return air.after(0, Event::Agent(Task::Session(session, Do::Bye)));
        }
        self.respond_to(session, line, send, number, air);
        if is_whole && !first {
            self.report_success(session, line, send, air);
        }
        if is_whole && matches!(self.sessions[session].conduct.ends, Ends::ByeAtEnd { .. }) {
            air.after(0, Event::Agent(Task::Session(session, Do::Bye)));
        }
    }

    /// Takes a chunk; whether the message is whole by it.
    fn take(&mut self, session: usize, send: &Message, now: u64) -> bool {
        let state = &mut self.sessions[session];
        let incoming = state.incoming.entry(send.message_id().to_owned()).or_default();
        let start = send.range().map_or(1, |range| range.start);
        let start = usize::try_from(start).unwrap_or(1).saturating_sub(1);
        incoming.take(start, &send.body);
        send.field("Content-Type").unwrap_or("").clone_into(&mut incoming.content_type);
        match send.flag {
            '$' => incoming.end = Some(start + send.body.len()),
            '#' => incoming.is_over = true,
            _ => {}
        }
        let Some(octets) = incoming.whole().filter(|_| !incoming.is_over) else { return false };
        incoming.is_over = true;
        if !state.conduct.loses {
            self.shown.push(Shown {
                at: now,
                session,
                uri: state.uri.clone(),
                message_id: send.message_id().to_owned(),
                content_type: incoming.content_type.clone(),
                octets,
            });
        }
        true
    }

    fn respond_to(
        &mut self,
        session: usize,
        line: usize,
        send: &Message,
        number: u64,
        air: &mut Air,
    ) {
        let state = &self.sessions[session];
        let response = msrp::response(send, 200);
        match state.conduct.answers {
            Answers::None { chunk } if chunk == number => {}
            Answers::Silent => {}
            Answers::Early if state.answered_early.contains(&send.tid) => {}
            Answers::Slow(delay) => self.say_later(session, line, response, delay, air),
            Answers::Twice => {
                self.say(session, line, response.clone());
                self.say(session, line, response);
            }
            Answers::Pieces => {
                let mut rest = &response[..];
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(1 + air.chance.index(rest.len()));
                    self.say(session, line, piece.to_vec());
                    rest = behind;
                }
            }
            Answers::Right | Answers::Error { .. } | Answers::None { .. } | Answers::Early => {
                self.say(session, line, response);
            }
        }
        if self.sessions[session].conduct.ends == Ends::WithAnswer {
            self.todo.push(Ask::End { conduit: line, end: Ok(()) });
        }
    }

    fn say_later(&self, session: usize, line: usize, octets: Vec<u8>, delay: u64, air: &mut Air) {
        let octets: Rc<[u8]> = octets.into();
        air.after(delay, Event::Agent(Task::Session(session, Do::Say(line, octets))));
    }

    /// What was put off is said, if there is still somebody to hear it.
    pub(crate) fn say_now(&mut self, session: usize, line: usize, octets: &[u8]) {
        if self.sessions[session].line == Some(line) && self.sessions[session].ended.is_none() {
            self.say(session, line, octets.to_vec());
        }
    }

    /// The message is whole: what is said of it.
    fn report_success(&mut self, session: usize, line: usize, send: &Message, air: &mut Air) {
        let state = &self.sessions[session];
        let wanted = send.field("Success-Report") == Some("yes");
        let total = state.incoming.get(send.message_id()).and_then(|incoming| incoming.end);
        let (Some(total), true, false) = (total, wanted, state.conduct.loses) else { return };
        let (total, reports) = (total as u64, state.conduct.reports);
        let hops = if state.path.len() > 1 { MS + air.chance.below(200 * MS) } else { 0 };
        let all = format!("1-{total}/{total}");
        let ok = "000 200 OK";
        let mut say = |range: Option<&str>, status: &str, delay| {
            self.report(session, line, send, range, status, hops + delay, air);
        };
        match reports {
            Reports::Right | Reports::First | Reports::Early => say(Some(&all), ok, 0),
            Reports::Whole => say(None, ok, 0),
            Reports::Twice => {
                say(Some(&all), ok, 0);
                say(Some(&all), ok, 5 * MS);
            }
            Reports::Late(delay) => say(Some(&all), ok, delay),
            Reports::Never => {}
            Reports::Total(more) => {
                let other = total.saturating_add_signed(more).max(1);
                let range = format!("1-{}/{other}", if more < 0 { other } else { total });
                say(Some(&range), ok, 0);
            }
            Reports::Foreign => {
                let other = Message {
                    fields: [("Message-ID".to_owned(), "somebody.elses".to_owned())]
                        .into_iter()
                        .chain(send.fields.iter().filter(|(name, _)| name != "Message-ID").cloned())
                        .collect(),
                    ..send.clone()
                };
                self.report(session, line, &other, Some(&all), ok, hops, air);
            }
            Reports::Namespace => say(Some(&all), "001 200 OK", 0),
            Reports::Failure(status) => say(Some(&all), &format!("000 {status} Whatever"), 0),
            Reports::FailureThenSuccess(status) => {
                say(Some(&all), &format!("000 {status} Whatever"), 0);
                say(Some(&all), ok, 20 * MS);
            }
            Reports::Pieces(count) => self.report_pieces(session, line, send, (total, count), air),
            Reports::Gap => {
                let gap = 1 + air.chance.below(total);
                for (start, end) in [(1, gap - 1), (gap + 1, total)] {
                    if start <= end {
                        let range = format!("{start}-{end}/{total}");
                        self.report(session, line, send, Some(&range), ok, hops, air);
                    }
                }
            }
        }
    }

    /// All octets, in pieces that overlap, in any order.
    fn report_pieces(
        &mut self,
        session: usize,
        line: usize,
        send: &Message,
        (total, count): (u64, u64),
        air: &mut Air,
    ) {
        let mut pieces: Vec<(u64, u64)> = (0..count)
            .map(|piece| (1 + total * piece / count, total * (piece + 1) / count))
            .map(|(start, end)| (start.saturating_sub(air.chance.below(3)).max(1), end))
            .filter(|(start, end)| start <= end)
            .collect();
        for at in (1..pieces.len()).rev() {
            pieces.swap(at, air.chance.index(at + 1));
        }
        for (start, end) in pieces {
            let total = if air.chance.one_in(4) { "*".to_owned() } else { total.to_string() };
            let delay = air.chance.pick(&[0, 0, 3 * MS]);
            let range = format!("{start}-{end}/{total}");
            self.report(session, line, send, Some(&range), "000 200 OK", delay, air);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a REPORT says that much")]
    fn report(
        &mut self,
        session: usize,
        line: usize,
        send: &Message,
        range: Option<&str>,
        status: &str,
        delay: u64,
        air: &mut Air,
    ) {
        self.minted += 1;
        let tid = format!("rep{:08}", self.minted);
        let (to, from) = (send.path_from().join(" "), back(&self.sessions[session].path));
        let id = send.message_id().to_owned();
        let mut lines = vec![("To-Path", &*to), ("From-Path", &from), ("Message-ID", &id)];
        if let Some(range) = range {
            lines.push(("Byte-Range", range));
        }
        lines.push(("Status", status));
        let octets = msrp::written("REPORT", &tid, &lines, &[]);
        if delay == 0 {
            self.say(session, line, octets);
        } else {
            self.say_later(session, line, octets, delay, air);
        }
    }

    /// What a stranger says on a connection to our port.
    fn strange(&mut self, line: usize, word: u64) {
        let guess = format!("msrp://10.0.0.1:2855/{word:016x};tcp");
        let own = "msrp://10.0.9.1:2855/me;tcp";
        let lines = [("To-Path", guess.as_str()), ("From-Path", own), ("Message-ID", "guess1234")];
        let octets = match word % 6 {
            0 => return,
            1 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            2 => vec![0; 3_000],
            3 => msrp::written("SEND", "guess0001", &lines, &[]),
            4 => {
                let status = [lines[0], lines[1], lines[2], ("Status", "000 200 OK")];
                msrp::written("REPORT", "guess0002", &status, &[])
            }
            _ => msrp::written("200 OK", "guess0003", &lines[..2], &[]),
        };
        self.todo.push(Ask::Say { conduit: line, octets: octets.into() });
        if word.is_multiple_of(2) {
            self.todo.push(Ask::End { conduit: line, end: Ok(()) });
        }
    }
}

/// A path as From-Path of a request that comes over it: the nearest hop is the last that it passed.
fn back(path: &[String]) -> String {
    path.join(" ")
}
