//! What comes on connections of MSRP, and what is answered there (RFC 4975 section 7).

use crate::load::generator::content::content_of;
use crate::load::generator::reply::{self, KEY};
use crate::load::generator::session::calls::{Call, Session};
use crate::load::generator::session::counts::count;
use crate::load::generator::session::invite::call_of;
use crate::load::generator::session::line::Chunk;
use crate::load::generator::session::message::{Assembly, MESSAGES_MAX, OK, Said, is_reported};
use crate::load::generator::session::{Record, Sessions, describe};
use crate::packet::{ConnectionId, Departures, Flow, Owner, Rest, StreamEvent, Used};
use crate::wire::msrp::{
    self, ByteRange, Event, FailureReport, Flag, Head, Method, Path, Reply, Report, Request,
};

impl Sessions {
    /// Takes what has happened to a connection of MSRP. What it brings of messages is written into `record`.
    pub(in crate::load::generator) fn on_stream(
        &mut self,
        event: StreamEvent<'_>,
        record: Record<'_>,
        out: &mut Departures,
    ) {
        match event {
            StreamEvent::Opened { flow, owner, .. } => self.on_opened(flow, owner, out),
            StreamEvent::Refused { .. } => self.counts.connections_refused += 1,
            StreamEvent::Arrived { id, octets, used, at } => {
                *used = self.on_octets(id, octets, (at.0, record), out);
            }
            StreamEvent::Room { id, room, filled, .. } => {
                *filled = self.lines.get(id).map_or(0, |line| line.fill(room, out));
            }
            StreamEvent::Written { .. } => {}
            StreamEvent::Lost { id, .. } => self.lines.lost(id),
        }
    }

    /// Who has connected says which session that is for, with a request without a body (section 5.4).
    fn on_opened(&mut self, flow: Flow, owner: Option<Owner>, out: &mut Departures) {
        let Some(id) = flow.connection else { return };
        self.lines.open(id);
        self.counts.connections += 1;
        let Some((index, mark)) = owner.map(call_of) else { return };
        let is_it = |call: &&mut Call| reply::short(call.mark) == mark;
        let session = self.calls.get(index).filter(is_it).and_then(|call| call.session.as_mut());
        let Some(line) = self.lines.get(id) else { return };
        // It was over before there was a connection.
        let Some(session) = session else { return line.close(out) };
        session.line = Some(id);
        let name = hexadecimal(session.secret);
        let paths = (Path::parse(&session.theirs), Path::parse(&session.ours));
        let (Ok(to_path), Ok(from_path)) = paths else { return };
        let send = msrp::Send {
            transaction_id: &name,
            to_path,
            from_path,
            message_id: &name,
            byte_range: None,
            success_report: false,
            failure_report: FailureReport::Yes,
            others: &[],
            content_type: None,
        };
        line.say(send.size(), |to| send.write(to));
        line.end(&name);
        line.wish(out);
    }

    fn on_octets(
        &mut self,
        id: ConnectionId,
        octets: &[u8],
        (at_ns, record): (u64, Record<'_>),
        out: &mut Departures,
    ) -> Used {
        let mut at = 0;
        let rest = loop {
            let Some(line) = self.lines.get(id) else { break Rest::WithMore };
            if line.falls_behind() {
                break Rest::WhenWished;
            }
            let front = &octets[at..];
            match line.reader.read(front) {
                Event::Head { len } => {
                    line.head.clear();
                    line.head.extend_from_slice(&front[..len]);
                    let head = core::mem::take(&mut line.head);
                    let chunk = self.begin(id, &head);
                    if let Some(line) = self.lines.get(id) {
                        (line.head, line.chunk) = (head, chunk);
                    }
                    at += len;
                }
                Event::Body { len } => {
                    let chunk = line.chunk;
                    let chunk = self.put(chunk, &front[..len]);
                    if let Some(line) = self.lines.get(id) {
                        line.chunk = chunk;
                    }
                    at += len;
                }
                Event::End { flag, len } => {
                    self.end_chunk(id, flag, (at_ns, &mut *record));
                    at += len;
                }
                Event::Partial { .. } => break Rest::WithMore,
                Event::Malformed(_) => {
                    self.counts.malformed += 1;
                    line.close(out);
                    at = octets.len();
                    break Rest::WithMore;
                }
            }
        };
        if let Some(line) = self.lines.get(id) {
            line.wish(out);
        }
        Used { octets: at, rest }
    }

    /// A chunk begins: which message it is of, and what it will be answered.
    fn begin(&mut self, id: ConnectionId, head: &[u8]) -> Chunk {
        let refused = |code| Chunk { code, ..Chunk::default() };
        let request = match msrp::head(head) {
            Ok(Head::Request(request)) => request,
            // To the request that said whose connection this is.
            Ok(Head::Response(response)) => {
                self.counts.strays += u64::from(response.code != OK);
                return Chunk::default();
            }
            Err(_) => {
                self.counts.malformed += 1;
                return Chunk::default();
            }
        };
        if let Some(fault) = request.fault {
            self.counts.malformed += 1;
            return refused(fault.code);
        }
        if request.method != Method::Send {
            self.counts.strays += 1;
            return refused(501);
        }
        let index = describe::session_of(request.to_path().octets());
        let found = index.and_then(|(index, secret)| {
            let session = self.calls.get(index)?.session.as_mut()?;
            (session.secret == secret).then_some((index, session))
        });
        let Some((index, session)) = found else {
            self.counts.strays += 1;
            return refused(481);
        };
        let is_elsewhere =
            session.line.is_some_and(|line| line != id && self.lines.get(line).is_some());
        if is_elsewhere {
            self.counts.strays += 1;
            return refused(506);
        }
        session.line = Some(id);
        if !request.has_body {
            return refused(OK);
        }
        self.counts.chunks += 1;
        match place_in(session, &request) {
            Ok((message, at, code)) => {
                Chunk { call: Some(index), secret: session.secret, message, at, code }
            }
            Err(code) => refused(code),
        }
    }

    fn put(&mut self, chunk: Chunk, octets: &[u8]) -> Chunk {
        let call = chunk.call.and_then(|index| self.calls.get(index));
        let session = call.and_then(|call| call.session.as_mut());
        let session = session.filter(|session| session.secret == chunk.secret);
        let Some(message) = session.and_then(|it| it.messages.get_mut(chunk.message)) else {
            return chunk;
        };
        if chunk.code == OK && !message.put(chunk.at, octets) {
            return Chunk { code: 413, ..chunk };
        }
        Chunk { at: chunk.at + octets.len(), ..chunk }
    }

    /// A chunk has ended: it is answered, and so is its message if it is whole.
    fn end_chunk(&mut self, id: ConnectionId, flag: Flag, (at_ns, record): (u64, Record<'_>)) {
        let Some(line) = self.lines.get(id) else { return };
        let (head, chunk) = (core::mem::take(&mut line.head), core::mem::take(&mut line.chunk));
        if let Ok(Head::Request(request)) = msrp::head(&head) {
            let (said, total) = self.said(&request, chunk, flag, (at_ns, record));
            self.say(id, &request, said, total);
        }
        if let Some(line) = self.lines.get(id) {
            line.head = head;
        }
    }

    /// What the chunk is answered, and how many octets its message has.
    fn said(
        &mut self,
        request: &Request<'_>,
        chunk: Chunk,
        flag: Flag,
        (at_ns, record): (u64, Record<'_>),
    ) -> (Said, u64) {
        let plain = |code| (Said { response: Some(code), report: None, is_relayed: false }, 0);
        let Some(index) = chunk.call else { return plain(chunk.code) };
        let Some(call) = self.calls.get(index) else { return plain(chunk.code) };
        let session = call.session.as_mut().filter(|session| session.secret == chunk.secret);
        let Some(session) = session else { return plain(481) };
        if chunk.code == OK && flag == Flag::More {
            return plain(OK);
        }
        // It is over, whole or not.
        let message = session.messages.swap_remove(chunk.message);
        if chunk.code != OK || flag != Flag::Last {
            return plain(chunk.code);
        }
        let len = u64::try_from(message.octets.len()).unwrap_or(u64::MAX);
        let total = request.fields.byte_range.and_then(|range| range.total);
        if total.is_some_and(|total| total != len) {
            self.counts.malformed += 1;
            return plain(400);
        }
        if !core::mem::replace(&mut session.has_brought, true) {
            self.delivery.saturating_record(at_ns.saturating_sub(call.begun_ns));
        }
        let first_ns = self.counts.first_last_ns.map_or(at_ns, |(first_ns, _)| first_ns);
        self.counts.first_last_ns = Some((first_ns, at_ns));
        self.counts.messages += 1;
        self.counts.octets += len;
        let media_type = request.fields.content_type.of(request.octets);
        let content = content_of(media_type, &message.octets);
        (self.conclude(request, (message.mark, content), record), len)
    }

    /// A message is whole: it is written down, and what is said to it is what the plan says.
    fn conclude(
        &mut self,
        request: &Request<'_>,
        (mark, content): (u64, &[u8]),
        record: Record<'_>,
    ) -> Said {
        let Some(texts) = &self.texts else { return Said::to(&self.terms, self.seed, mark) };
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let Some(first) = texts.numbers(content).find(|first| place(*first) < record.len()) else {
            self.counts.strays += 1;
            return Said::UNWANTED;
        };
        let said = Said::to(&self.terms, self.seed, u64::from(first));
        // Whoever has other octets has not got the message, whatever he says.
        let status = Some(said.status(request)).filter(|_| texts.are_intact(content));
        let mut is_known = false;
        for number in texts.numbers(content) {
            if let Some(seen) = record.get_mut(place(number)) {
                is_known |= seen.bring(reply::short(mark), status);
            }
        }
        self.counts.messages_repeated += u64::from(is_known);
        said
    }

    /// Answers a request, and reports on its message.
    fn say(&mut self, id: ConnectionId, request: &Request<'_>, said: Said, total: u64) {
        let Some(line) = self.lines.get(id) else { return };
        match said.response {
            Some(code) if request.is_answered(code) => {
                let reply = Reply::to(request, code, msrp::comment(code));
                line.say(reply.size(), |to| reply.write(to));
                if request.has_body {
                    count(&mut self.counts.send_responses, code);
                }
            }
            Some(_) => {}
            None => self.counts.sends_silent += 1,
        }
        if let Some(code) = said.report.filter(|code| is_reported(request, *code)) {
            let fields = &request.fields;
            let report = Report {
                transaction_id: request.transaction_id.of(request.octets),
                to_path: request.from_path(),
                from_path: request.to_path(),
                message_id: fields.message_id.of(request.octets),
                byte_range: Some(ByteRange { start: 1, end: Some(total), total: Some(total) }),
                code,
                comment: msrp::comment(code),
            };
            line.say(report.size(), |to| report.write(to));
            count(&mut self.counts.reports, code);
        }
    }
}

/// Where a chunk goes: which of the messages of its session, which may begin with it, and where in that; and
/// what it is answered. Else what it is answered that goes nowhere.
fn place_in(session: &mut Session, request: &Request<'_>) -> Result<(usize, usize, u16), u16> {
    let start = request.fields.byte_range.map_or(1, |range| range.start);
    let Some(at) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)) else {
        return Err(400);
    };
    let mut hasher = KEY.hasher();
    hasher.octets(request.fields.message_id.of(request.octets));
    let [mark, _] = hasher.finish().0;
    let known = session.messages.iter().position(|message| message.mark == mark);
    let message = match known {
        Some(place) if at == 0 => {
            // It is sent anew.
            session.messages[place].octets.clear();
            place
        }
        Some(place) => place,
        None if session.messages.len() == MESSAGES_MAX => return Err(413),
        None => {
            session.messages.push(Assembly { mark, octets: Vec::new() });
            session.messages.len() - 1
        }
    };
    // Chunks of a message come in their order on one connection; a gap is never filled.
    let code = if at <= session.messages[message].octets.len() { OK } else { 400 };
    Ok((message, at, code))
}

fn hexadecimal(number: u64) -> [u8; 16] {
    crate::wire::sip::tag(number)
}
