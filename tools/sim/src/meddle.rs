//! Bugs in Large Messages, planted at the boundary: in what connections bring and take, and in dialogs.

use std::collections::BTreeMap;
use std::rc::Rc;

use roger::delivery::MsrpRole;
use roger::engine::Setup;
use roger::packet::{ConnectionId, Departures, Flow, StreamEvent, Used};
use roger::time::Instant;

use crate::boundary::{Boundary, Outgoing, invented, replaced};
use crate::bug::Bug;
use crate::msrp::{self, Kind, Message, Reader};
use crate::sdp::Offer;
use crate::text::{Key, Text};
use crate::wire::{Name, name};

/// What such a bug has to remember.
#[derive(Debug, Default)]
pub(crate) struct Meddle {
    pipes: BTreeMap<Name, Pipe>,
    /// Message-IDs by session of ours, and the first session of each.
    ids: BTreeMap<String, String>,
    first: BTreeMap<String, String>,
    /// Transaction identifiers that no engine has made.
    invented: BTreeMap<String, ()>,
    /// The last ACK of a call, by the session that it has offered; and that session, by Call-ID.
    acks: BTreeMap<String, (Flow, Rc<[u8]>)>,
    sessions: BTreeMap<String, String>,
    /// Paths in answers, by the session that they are for.
    paths: BTreeMap<String, Vec<String>>,
}

/// One connection.
#[derive(Debug, Default)]
struct Pipe {
    came: Reader,
    /// What the engine is shown and has not used.
    shown: Vec<u8>,
    is_raw: bool,
    put: Reader,
    /// Octets that the engine has put in and was told to be written, and that truly were.
    engine_put: u64,
    engine_written: u64,
    real_put: u64,
    real_written: u64,
}

/// Those whose octets are changed on their way.
const fn meddles(bug: Bug) -> bool {
    matches!(
        bug,
        Bug::LastChunkDelivers
            | Bug::ForeignReported
            | Bug::GapIgnored
            | Bug::TimerAtOutbox
            | Bug::OpenAcknowledged
            | Bug::ForkUsed
            | Bug::FreshMessageId
            | Bug::ByeAtOnce
    )
}

/// Bugs that are wrong settings.
pub(crate) fn misconfigure(setup: &mut Setup, bug: Bug) {
    if bug == Bug::RelayAcknowledges {
        for peer in setup.peers.iter_mut().filter(|peer| peer.msrp.is_some()) {
            peer.msrp = Some(MsrpRole::Endpoint);
        }
    }
}

impl Boundary {
    /// Gives the engine what happened to a connection, changed if a bug is planted that does so.
    pub(crate) fn on_stream(
        &mut self,
        worker: usize,
        event: StreamEvent<'_>,
        out: &mut Departures,
    ) {
        if matches!(event, StreamEvent::Refused { .. }) && self.strikes(Bug::ConnectUnheard) {
            return;
        }
        if !self.bug.is_some_and(meddles) {
            return self.engines[worker].on_stream(event, out);
        }
        match event {
            StreamEvent::Arrived { id, octets, used, at } => {
                *used = Used { octets: octets.len(), ..*used };
                self.on_came(worker, id, octets, at, out);
            }
            StreamEvent::Room { id, room, filled, at } => {
                let shown = StreamEvent::Room { id, room: &mut *room, filled: &mut *filled, at };
                self.engines[worker].on_stream(shown, out);
                self.on_put(worker, id, room, filled, at, out);
            }
            StreamEvent::Written { id, octets, at } => {
                let pipe = self.meddle.pipes.entry(name(id)).or_default();
                pipe.real_written += octets;
                if pipe.real_written == pipe.real_put {
                    self.tell_written(worker, id, at, out);
                }
            }
            StreamEvent::Lost { id, doubtful, at } => {
                let pipe = self.meddle.pipes.remove(&name(id)).unwrap_or_default();
                let doubtful = doubtful.min(pipe.engine_put - pipe.engine_written);
                let lost = StreamEvent::Lost { id, doubtful, at };
                self.engines[worker].on_stream(lost, out);
            }
            other @ (StreamEvent::Opened { .. } | StreamEvent::Refused { .. }) => {
                self.engines[worker].on_stream(other, out);
            }
        }
    }

    /// Everything that the engine has put in was written, it is told.
    fn tell_written(&mut self, worker: usize, id: ConnectionId, at: Instant, out: &mut Departures) {
        let Some(pipe) = self.meddle.pipes.get_mut(&name(id)) else { return };
        let octets = pipe.engine_put - pipe.engine_written;
        pipe.engine_written = pipe.engine_put;
        if octets > 0 {
            let written = StreamEvent::Written { id, octets, at };
            self.engines[worker].on_stream(written, out);
        }
    }

    fn on_came(
        &mut self,
        worker: usize,
        id: ConnectionId,
        octets: &[u8],
        at: Instant,
        out: &mut Departures,
    ) {
        let pipe = self.meddle.pipes.entry(name(id)).or_default();
        if pipe.is_raw {
            pipe.shown.extend_from_slice(octets);
            return self.show(worker, id, at, out);
        }
        pipe.came.push(octets);
        let mut came = Vec::new();
        while let Some(message) = pipe.came.next() {
            match message {
                Ok(message) => came.push(message),
                Err(_) => {
                    pipe.is_raw = true;
                    came.clear();
                    pipe.shown.extend_from_slice(octets);
                }
            }
        }
        for message in came {
            let changed = self.changed(message);
            if let Some(pipe) = self.meddle.pipes.get_mut(&name(id)) {
                pipe.shown.extend(changed.iter().flat_map(Message::octets));
            }
        }
        self.show(worker, id, at, out);
    }

    fn show(&mut self, worker: usize, id: ConnectionId, at: Instant, out: &mut Departures) {
        let Some(pipe) = self.meddle.pipes.get_mut(&name(id)) else { return };
        let octets = core::mem::take(&mut pipe.shown);
        if octets.is_empty() {
            return;
        }
        let mut used = Used { octets: octets.len(), rest: roger::packet::Rest::WithMore };
        let shown = StreamEvent::Arrived { id, octets: &octets, used: &mut used, at };
        self.engines[worker].on_stream(shown, out);
        if let Some(pipe) = self.meddle.pipes.get_mut(&name(id)) {
            pipe.shown = octets[used.octets.min(octets.len())..].to_vec();
        }
    }

    /// What the engine is shown in the place of this message.
    fn changed(&self, mut message: Message) -> Option<Message> {
        if self.meddle.invented.contains_key(&message.tid) {
            return None;
        }
        if message.kind != Kind::Report {
            return Some(message);
        }
        let ours = message.to_path().last().map(|uri| (*uri).to_owned()).unwrap_or_default();
        if self.bug == Some(Bug::ForeignReported)
            && let Some(id) = self.meddle.ids.get(&ours)
        {
            message.set("Message-ID", &id.clone());
        }
        if self.bug == Some(Bug::GapIgnored)
            && let Some(total) = message.range().and_then(|range| range.total)
        {
            let range = format!("1-{total}/{total}");
            message.set("Byte-Range", &range);
        }
        Some(message)
    }

    fn on_put(
        &mut self,
        worker: usize,
        id: ConnectionId,
        room: &mut [u8],
        filled: &mut usize,
        at: Instant,
        out: &mut Departures,
    ) {
        let pipe = self.meddle.pipes.entry(name(id)).or_default();
        let is_fresh = pipe.put.waiting() == 0;
        pipe.engine_put += *filled as u64;
        pipe.put.push(&room[..*filled]);
        let mut put: Vec<Message> = Vec::new();
        while let Some(Ok(message)) = pipe.put.next() {
            put.push(message);
        }
        let is_alone = is_fresh && pipe.put.waiting() == 0 && put.len() == 1;
        let mut sends = put.iter().filter(|message| {
            message.kind == Kind::Send && message.field("Content-Type").is_some()
        });
        let send = sends.next_back().cloned();
        let mut answer = None;
        if let Some(send) = send {
            let ours = send.path_from().last().map(|uri| (*uri).to_owned()).unwrap_or_default();
            self.meddle.ids.insert(ours.clone(), send.message_id().to_owned());
            if let Some(octets) = self.instead(&send, &ours, is_alone)
                && octets.len() <= room.len()
            {
                room[..octets.len()].copy_from_slice(&octets);
                *filled = octets.len();
            }
            if send.flag == '$' && self.strikes(Bug::OpenAcknowledged) {
                answer = Some(msrp::response(&send, 200));
            }
            if send.flag == '$' && self.strikes(Bug::ByeAtOnce) {
                self.say_bye(&ours);
            }
        }
        if let Some(pipe) = self.meddle.pipes.get_mut(&name(id)) {
            pipe.real_put += *filled as u64;
            pipe.shown.extend(answer.iter().flatten());
        }
        if answer.is_some() {
            self.show(worker, id, at, out);
        }
        if self.bug == Some(Bug::TimerAtOutbox) {
            self.tell_written(worker, id, at, out);
        }
    }

    /// What is put in, in the place of a SEND that stands alone.
    fn instead(&mut self, send: &Message, ours: &str, is_alone: bool) -> Option<Vec<u8>> {
        if !is_alone {
            return None;
        }
        let id = send.message_id().to_owned();
        let first = self.meddle.first.entry(id.clone()).or_insert_with(|| ours.to_owned());
        if self.bug == Some(Bug::FreshMessageId) && first != ours {
            let mut other = send.clone();
            let last = if id.ends_with('a') { 'b' } else { 'a' };
            let fresh = format!("{}{last}", &id[..id.len() - 1]);
            other.set("Message-ID", &fresh);
            return Some(other.octets());
        }
        if self.bug == Some(Bug::ForkUsed) {
            let path = send.to_path().join(" ");
            let others = self.meddle.paths.get(ours)?;
            let other = others.iter().find(|other| **other != path)?.clone();
            let mut second = self.with_tid(send);
            second.set("To-Path", &other);
            return Some([send.octets(), second.octets()].concat());
        }
        if self.bug == Some(Bug::LastChunkDelivers)
            && send.flag == '$'
            && send.body.len() > 1
            && self.chance.one_in(4)
        {
            let (total, half) = (send.body.len(), send.body.len() / 2);
            let mut first = self.with_tid(send);
            (first.flag, first.body) = ('+', send.body[..half].to_vec());
            first.set("Byte-Range", &format!("1-{half}/{total}"));
            let mut last = Message { body: send.body[half..].to_vec(), ..send.clone() };
            last.set("Byte-Range", &format!("{}-{total}/{total}", half + 1));
            return Some([first.octets(), last.octets()].concat());
        }
        None
    }

    fn with_tid(&mut self, send: &Message) -> Message {
        self.minted += 1;
        let tid = format!("bug{:020}", self.minted);
        self.meddle.invented.insert(tid.clone(), ());
        Message { tid, ..send.clone() }
    }

    /// BYE in the dialog of this session.
    fn say_bye(&mut self, ours: &str) {
        let Some((flow, ack)) = self.meddle.acks.get(ours).cloned() else { return };
        let text = String::from_utf8_lossy(&ack).into_owned();
        let number =
            Text::read(&ack).and_then(|text| text.value("CSeq")?.split(' ').next()?.parse().ok());
        let number: u32 = number.unwrap_or(1);
        let bye = text.replacen("ACK ", "BYE ", 1).replacen(
            &format!("CSeq: {number} ACK"),
            &format!("CSeq: {} BYE", number + 1),
            1,
        );
        let octets = self.with_other_branch(bye.as_bytes());
        self.invented.push(invented(flow, octets));
    }

    /// A request of ours in a dialog is about to leave, or an INVITE.
    pub(crate) fn on_dialog_out(&mut self, outgoing: &Outgoing, text: &Text<'_>) {
        let Some(call_id) = text.value("Call-ID").map(str::to_owned) else { return };
        if text.start.starts_with("INVITE ")
            && let Some(offer) = Offer::read(text.body)
        {
            self.meddle.sessions.insert(call_id, offer.path.join(" "));
        } else if text.start.starts_with("ACK ")
            && let Some(session) = self.meddle.sessions.get(&call_id)
        {
            let ack = (outgoing.departure.flow, outgoing.octets.clone());
            self.meddle.acks.insert(session.clone(), ack);
        }
    }

    /// A response to an INVITE is about to be given to the engine.
    pub(crate) fn on_dialog_in(&mut self, text: &Text<'_>, key: &Key, status: u16) {
        let Some(call_id) = text.value("Call-ID") else { return };
        let Some(session) = self.meddle.sessions.get(call_id).cloned() else { return };
        if (200..300).contains(&status)
            && let Some(answer) = Offer::read(text.body)
        {
            let path = answer.path.join(" ");
            let paths = self.meddle.paths.entry(session).or_default();
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if status == 180
            && self.strikes(Bug::LateAnswerUsed)
            && let Some((flow, invite)) = self.went.get(&key.branch).cloned()
        {
            let whole = String::from_utf8_lossy(&invite).into_owned();
            let head = whole.split("\r\n\r\n").next().unwrap_or("");
            let length = Text::read(&invite).map_or(0, |text| text.body.len());
            let cancel =
                head.replacen("INVITE ", "CANCEL ", 1).replacen(" INVITE\r\n", " CANCEL\r\n", 1);
            let cancel = replaced(
                cancel.as_bytes(),
                &format!("Content-Length: {length}"),
                "Content-Length: 0",
            );
            let octets = [&cancel, b"\r\n\r\n".as_slice()].concat().into();
            self.invented.push(invented(flow, octets));
        }
    }
}
