//! User agents of the IM side that take Large Messages: the SIP half. An INVITE is answered, rightly and
//! wrongly, a 2xx is repeated until its ACK comes, and a dialog lasts until somebody says BYE.
//!
//! ```text
//!   INVITE --> Invited --> 1xx, final --(until ACK)--> Session (the other file) --> BYE, either way
//! ```

use core::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use roger::delivery::MsrpRole;
use roger::packet::Endpoint;

use crate::air::{Air, Bound, Event, Grade, Over, Packet};
use crate::conduct::{Conduct, Connects, Ends, Invited, Middle};
use crate::party::{Ask, Party, Tidings};
use crate::sdp::{Answer, Offer, place};
use crate::session::{Line, Session, Shown};
use crate::swarm::{LISTENER_V4, LISTENER_V6, MS, Swarm};
use crate::text::{Key, Text, endpoint, parameter, written};

/// The port of MSRP on hosts of the IM side.
pub(crate) const PORT: u16 = 2855;

/// What a user agent is going to do.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Sends a response to the INVITE of a call.
    Respond {
        call: usize,
        status: u16,
        fork: u64,
    },
    /// Sends the final response with this number once more, unless it was acknowledged.
    Repeat {
        call: usize,
        number: usize,
        interval: u64,
    },
    Session(usize, Do),
    /// A stranger connects to us.
    Strange(u64),
    /// Sends a request of ours, for the first time or again.
    Transmit {
        request: usize,
        interval: u64,
    },
}

/// What happens in a session.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Dial,
    Say(usize, Rc<[u8]>),
    Bye,
    Request(&'static str),
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Session(usize),
    Stranger(u64),
}

/// A final response to an INVITE.
#[derive(Clone, Debug)]
struct Final {
    packet: Packet,
    status: u16,
    tag: String,
    since: u64,
    is_acknowledged: bool,
}

/// One INVITE at a user agent.
#[derive(Debug)]
pub(crate) struct Call {
    server: usize,
    invite: Packet,
    invited: Invited,
    calm: bool,
    /// The last provisional response.
    last: Option<Packet>,
    finals: Vec<Final>,
    /// Its host has forgotten it.
    is_dead: bool,
}

/// A request of ours in a dialog.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) session: usize,
    pub(crate) branch: String,
    packet: Packet,
    since: u64,
    /// The final response.
    pub(crate) status: Option<u16>,
}

/// All user agents.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    pub(crate) calls: Vec<Call>,
    by_key: BTreeMap<Key, usize>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) by_uri: BTreeMap<String, usize>,
    pub(crate) lines: BTreeMap<usize, Line>,
    pub(crate) asked: Vec<Asked>,
    /// What users have, in the order in which they got it.
    pub(crate) shown: Vec<Shown>,
    /// Sessions whose connecting has failed.
    pub(crate) refused: Vec<usize>,
    /// What requests that bind a connection were answered.
    pub(crate) bound: Vec<(usize, u16)>,
    /// What is wanted of connections.
    pub(crate) todo: Vec<Ask>,
    /// Connections that did not end in order.
    pub(crate) resets: u64,
    pub(crate) minted: u64,
    /// Something that no user agent may ever see.
    pub(crate) trouble: Option<String>,
}

/// Whether this datagram is about a dialog, and not about a MESSAGE.
pub(crate) fn concerns(text: &Text<'_>) -> bool {
    let method = text.value("CSeq").and_then(|cseq| cseq.rsplit(' ').next());
    matches!(method, Some("INVITE" | "ACK" | "BYE" | "CANCEL" | "UPDATE" | "INFO" | "PRACK"))
        || method == Some("OPTIONS") && text.value("To").is_some_and(|to| to.contains(";tag=ua"))
        || method == Some("OPTIONS") && text.value("From").is_some_and(|f| f.contains(";tag=ua"))
}

impl Agents {
    /// Takes a datagram that came to an IM server and is about a dialog.
    pub(crate) fn on_packet(
        &mut self,
        server: usize,
        packet: &Packet,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        if packet.grade != Grade::Sound {
            return;
        }
        let Some(text) = Text::read(&packet.octets) else { return };
        let Some(key) = text.key() else { return };
        if let Some(status) = text.status() {
            return self.on_response(&text, status, air);
        }
        match text.start.split(' ').next().unwrap_or("") {
            "INVITE" if tag_of(&text, "To").is_none() => {
                self.on_invite(server, key, packet, air, swarm);
            }
            "ACK" => self.on_ack(&text),
            "CANCEL" => self.on_cancel(&key, packet, &text, air),
            "BYE" => self.on_bye(packet, &text, air),
            _ => self.respond(packet, &text, 200, "", air),
        }
    }

    fn on_invite(
        &mut self,
        server: usize,
        key: Key,
        packet: &Packet,
        air: &mut Air,
        swarm: &Swarm,
    ) {
        if let Some(call) = self.by_key.get(&key).map(|call| &self.calls[*call]) {
            let last = call.finals.last().map(|last| &last.packet).or(call.last.as_ref());
            if let Some(last) = last.filter(|_| !call.is_dead) {
                air.send(last.clone(), Bound::Relay);
            }
            return;
        }
        let Some(large) = &swarm.large else { return };
        let is_calm = Text::read(&packet.octets)
            .is_some_and(|text| text.start.starts_with("INVITE sip:calm"));
        let invited = if is_calm {
            Invited::Accept { provisional: &[100], after: MS }
        } else {
            Invited::draw(&large.invites, u64::from(large.invite_wait_ms) * MS, &mut air.chance)
        };
        let number = self.calls.len();
        self.by_key.insert(key, number);
        let invite = packet.clone();
        self.calls.push(Call {
            server,
            invite,
            invited,
            calm: is_calm,
            last: None,
            finals: Vec::new(),
            is_dead: false,
        });
        self.carry_out(number, air);
    }

    fn carry_out(&self, call: usize, air: &mut Air) {
        let mut at = |status, after, fork| {
            air.after(after, Event::Agent(Task::Respond { call, status, fork }));
        };
        let (provisional, end): (&[u16], _) = match self.calls[call].invited {
            Invited::Accept { provisional, after } => (provisional, Some((200, after))),
            Invited::Refuse { provisional, status, after } => (provisional, Some((status, after))),
            Invited::Silent { provisional } | Invited::AcceptAfterCancel { provisional, .. } => {
                (provisional, None)
            }
            Invited::Dead => (&[], None),
            Invited::Fork(forks) => {
                for fork in 0..forks {
                    at(180, 0, fork);
                    at(200, MS + fork * 7 * MS, fork);
                }
                return;
            }
            Invited::Unusable(_) => (&[100_u16] as &[u16], Some((200, 5 * MS))),
        };
        let last = end.map_or(u64::MAX, |(_, after)| after);
        for (place, status) in (0..).zip(provisional) {
            at(*status, (place * 10 * MS).min(last / 2), 0);
        }
        if let Some((status, after)) = end {
            at(status, after, 0);
        }
    }

    /// Does what is due.
    pub(crate) fn on_task(&mut self, task: Task, air: &mut Air, swarm: &Swarm) {
        match task {
            Task::Respond { call, status, fork } => self.answer(call, status, fork, air, swarm),
            Task::Repeat { call, number, interval } => {
                self.repeat(call, number, interval, air, swarm);
            }
            Task::Session(session, what) => self.on_session(session, what, air, swarm),
            Task::Strange(word) => {
                let from = air.chance.pick(&swarm.places.strangers);
                let listener = if from.is_v4() { LISTENER_V4 } else { LISTENER_V6 };
                let worker = air.chance.index(swarm.crew.workers);
                let to = crate::tcp::msrp_at(worker, swarm.places.sockets[listener]);
                self.todo.push(Ask::Open { from, to, call: Who::Stranger(word).call() });
            }
            Task::Transmit { request, interval } => self.transmit(request, interval, air, swarm),
        }
    }

    /// A response to an INVITE is due.
    fn answer(&mut self, call: usize, status: u16, fork: u64, air: &mut Air, swarm: &Swarm) {
        let record = &self.calls[call];
        let is_fork = matches!(record.invited, Invited::Fork(_));
        if record.is_dead || !is_fork && !record.finals.is_empty() {
            return;
        }
        let invite = record.invite.clone();
        let Some(text) = Text::read(&invite.octets) else { return };
        let tag = format!("ua{call}f{fork}");
        let (extra, body) = if (200..300).contains(&status) {
            match self.accept(call, &tag, &invite, &text, air, swarm) {
                Some(accepted) => accepted,
                None => return,
            }
        } else {
            (extra_of(status), String::new())
        };
        let octets = response(&text, status, &tag, &extra, &body);
        let packet = Packet { from: invite.to, to: invite.from, octets, ..invite };
        let record = &mut self.calls[call];
        air.send(packet.clone(), Bound::Relay);
        if status < 200 {
            record.last = Some(packet);
            return;
        }
        let number = record.finals.len();
        let since = air.now;
        record.finals.push(Final { packet, status, tag, since, is_acknowledged: false });
        let interval = u64::from(swarm.t1_ms) * MS;
        air.after(interval, Event::Agent(Task::Repeat { call, number, interval }));
    }

    /// The dialog, the session and the answer of a 2xx.
    fn accept(
        &mut self,
        call: usize,
        tag: &str,
        invite: &Packet,
        text: &Text<'_>,
        air: &mut Air,
        swarm: &Swarm,
    ) -> Option<(String, String)> {
        let large = swarm.large.as_ref()?;
        let record = &self.calls[call];
        let Some(offer) = Offer::read(text.body) else {
            self.trouble = Some(format!("an offer that cannot be read: {text:?}"));
            return None;
        };
        let conduct = if record.calm {
            Conduct::honest(&mut air.chance)
        } else {
            let wait = u64::from(large.report_wait_ms) * MS;
            Conduct::draw(&large.sessions, wait, &mut air.chance)
        };
        let role = large.roles[record.server];
        let port = if conduct.connects == Connects::Refused { PORT + 100 } else { PORT };
        let at = Endpoint { port, ..invite.to };
        self.minted += 1;
        let own = format!("{:x}{:016x}", self.minted, air.chance.word());
        // Behind a relay, or behind somebody whom nobody has told us about.
        let is_far = role == MsrpRole::Relay
            || role == MsrpRole::Endpoint && !record.calm && air.chance.one_in(8);
        let path = if is_far {
            let near = format!("msrp://{}/hop{own};tcp", written(at));
            vec![near, format!("msrp://10.9.9.9:2855/{own};tcp")]
        } else {
            vec![format!("msrp://{}/{own};tcp", written(at))]
        };
        let flaw = record.invited.flaw();
        let setup = match (conduct.is_active, conduct.is_terse) {
            (true, _) => "active",
            (false, true) => "",
            (false, false) => "passive",
        };
        let joined = path.join(" ");
        let answer = Answer { at, path: &joined, setup, flaw, offer: &offer };
        let sdp = answer.octets(&mut air.chance);
        let session = self.sessions.len();
        if let Some(last) = path.last() {
            self.by_uri.insert(last.clone(), session);
        }
        let server = record.server;
        self.sessions.push(Session::new(call, server, uri_of(text), tag, conduct, role));
        let state = &mut self.sessions[session];
        (state.path, state.theirs, state.began) = (path, offer.path, air.now);
        state.sdp.clone_from(&sdp);
        state.is_usable = flaw.is_none();
        if flaw.is_none() {
            self.begin(session, air);
        }
        let transport = if invite.over == Over::Datagram { "" } else { ";transport=tcp" };
        let own = written(invite.to);
        let (route, contact) = if conduct.is_routed {
            let hidden = Endpoint { port: 5099, ..invite.to };
            let contact = format!("Contact: <sip:ua@{}>\r\n", written(hidden));
            (format!("Record-Route: <sip:{own}{transport};lr>\r\n"), contact)
        } else {
            (String::new(), format!("Contact: <sip:ua@{own}{transport}>\r\n"))
        };
        self.sessions[session].contact.clone_from(&contact);
        let extra = route + &contact;
        let typed = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        Some((extra + typed, sdp))
    }

    /// What is to happen in a session from its answer on.
    fn begin(&self, session: usize, air: &mut Air) {
        let conduct = self.sessions[session].conduct;
        let mut at = |after, what| air.after(after, Event::Agent(Task::Session(session, what)));
        if conduct.is_active {
            match conduct.connects {
                Connects::Never => {}
                Connects::Late(after) => at(after, Do::Dial),
                Connects::Second => {
                    at(5 * MS, Do::Dial);
                    at(30 * MS, Do::Dial);
                }
                Connects::Right | Connects::Mute | Connects::Refused => at(5 * MS, Do::Dial),
            }
        }
        if let Ends::Bye(after) = conduct.ends {
            at(after, Do::Bye);
        }
        if let Middle::Request(method, after) = conduct.middle {
            at(after, Do::Request(method));
        }
    }

    fn repeat(&self, call: usize, number: usize, interval: u64, air: &mut Air, swarm: &Swarm) {
        let record = &self.calls[call];
        let last = &record.finals[number];
        if last.is_acknowledged || record.is_dead {
            return;
        }
        let is_accepted = last.status < 300;
        if air.now >= last.since + swarm.transaction() {
            // Nobody has acknowledged it: the dialog ends (RFC 3261 section 13.3.1.4).
            if is_accepted && let Some(session) = self.session_with(call, &last.tag) {
                air.after(0, Event::Agent(Task::Session(session, Do::Bye)));
            }
            return;
        }
        // What is no 2xx is only repeated where it may get lost.
        if is_accepted || last.packet.over == Over::Datagram {
            air.send(last.packet.clone(), Bound::Relay);
        }
        let interval = (interval * 2).min(u64::from(swarm.t2_ms) * MS);
        air.after(interval, Event::Agent(Task::Repeat { call, number, interval }));
    }

    fn session_with(&self, call: usize, tag: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.call == call && session.tag == tag)
    }

    fn on_ack(&mut self, text: &Text<'_>) {
        let (Some(call_id), Some(tag)) = (text.value("Call-ID"), tag_of(text, "To")) else {
            return;
        };
        for call in &mut self.calls {
            let is_its = Text::read(&call.invite.octets)
                .is_some_and(|invite| invite.value("Call-ID") == Some(call_id));
            if is_its {
                for last in call.finals.iter_mut().filter(|last| last.tag == tag) {
                    last.is_acknowledged = true;
                }
            }
        }
    }

    fn on_cancel(&self, key: &Key, packet: &Packet, text: &Text<'_>, air: &mut Air) {
        let key = Key { cancel: false, ..key.clone() };
        let Some(call) = self.by_key.get(&key).copied() else {
            return self.respond(packet, text, 481, "", air);
        };
        let record = &self.calls[call];
        if record.is_dead || record.invited == Invited::Dead {
            return;
        }
        let status = record.invited.after_cancel();
        self.respond(packet, text, 200, &format!("ua{call}f0"), air);
        let fork = 0;
        air.after(MS, Event::Agent(Task::Respond { call, status, fork }));
    }

    fn on_bye(&mut self, packet: &Packet, text: &Text<'_>, air: &mut Air) {
        let (call_id, tag) = (text.value("Call-ID"), tag_of(text, "To"));
        let found = self.sessions.iter().position(|session| {
            let invite = Text::read(&self.calls[session.call].invite.octets);
            Some(session.tag.as_str()) == tag
                && invite.is_some_and(|invite| invite.value("Call-ID") == call_id)
        });
        let Some(session) = found else {
            return self.respond(packet, text, 481, "", air);
        };
        let state = &mut self.sessions[session];
        state.has_bye = true;
        let status = if state.said_bye { 481 } else { 200 };
        state.ended.get_or_insert(air.now);
        let line = state.line.take();
        self.respond(packet, text, status, "", air);
        if let Some(line) = line {
            self.todo.push(Ask::End { conduit: line, end: Ok(()) });
        }
    }

    /// Answers a request that is no INVITE.
    fn respond(&self, packet: &Packet, text: &Text<'_>, status: u16, tag: &str, air: &mut Air) {
        let octets = response(text, status, tag, "", "");
        let packet = Packet { from: packet.to, to: packet.from, octets, ..packet.clone() };
        air.send(packet, Bound::Relay);
    }

    fn on_session(&mut self, session: usize, what: Do, air: &mut Air, swarm: &Swarm) {
        let state = &mut self.sessions[session];
        if self.calls[state.call].is_dead {
            return;
        }
        match what {
            Do::Say(line, octets) => self.say_now(session, line, &octets),
            Do::Dial => {
                let to = state.theirs.first().and_then(|uri| place(uri));
                let Some(to) = to.filter(|_| state.ended.is_none()) else { return };
                let from = self.calls[state.call].invite.to;
                self.todo.push(Ask::Open { from, to, call: Who::Session(session).call() });
            }
            Do::Bye => {
                if !core::mem::replace(&mut state.said_bye, true) && !state.has_bye {
                    state.ended.get_or_insert(air.now);
                    let line = state.line.take();
                    self.request(session, "BYE", air, swarm);
                    // What was said before it still arrives.
                    if let Some(line) = line.filter(|_| air.chance.one_in(2)) {
                        self.todo.push(Ask::End { conduit: line, end: Ok(()) });
                    }
                }
            }
            Do::Request(method) => {
                if state.ended.is_none() {
                    self.request(session, method, air, swarm);
                }
            }
        }
    }

    /// Sends a request in the dialog of a session.
    fn request(&mut self, session: usize, method: &'static str, air: &mut Air, swarm: &Swarm) {
        let number = self.asked.len();
        let state = &mut self.sessions[session];
        state.cseq += 1;
        let invite = &self.calls[state.call].invite;
        let Some(text) = Text::read(&invite.octets) else { return };
        let field = |name| text.value(name).unwrap_or("");
        let target = crate::form::uri_in(field("Contact")).to_owned();
        let transport = if invite.over == Over::Datagram { "UDP" } else { "TCP" };
        let branch = format!("z9hG4bKua{number}x{:x}", air.chance.word());
        let has_offer = matches!(method, "INVITE" | "UPDATE");
        let body = if has_offer { state.sdp.as_str() } else { "" };
        let typed = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let octets = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} {own};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n\
             {}{typed}Content-Length: {}\r\n\r\n{body}",
            field("To"),
            state.tag,
            field("From"),
            field("Call-ID"),
            state.cseq,
            state.contact,
            body.len(),
            own = written(invite.to),
        );
        // Where the Contact leads; a name stands for where the INVITE came from.
        let host = target.split(':').skip(1).collect::<Vec<_>>().join(":");
        let host = host.rsplit('@').next().unwrap_or("").split(';').next().unwrap_or("");
        let to = endpoint(host).unwrap_or(invite.from);
        let octets: Rc<[u8]> = octets.into_bytes().into();
        let packet = Packet { from: invite.to, to, octets, ..invite.clone() };
        let status = None;
        self.asked.push(Asked { session, branch, packet, since: air.now, status });
        self.transmit(number, u64::from(swarm.t1_ms) * MS, air, swarm);
    }

    fn transmit(&self, request: usize, interval: u64, air: &mut Air, swarm: &Swarm) {
        let asked = &self.asked[request];
        let is_dead = self.calls[self.sessions[asked.session].call].is_dead;
        if asked.status.is_some() || is_dead || air.now >= asked.since + swarm.transaction() {
            return;
        }
        air.send(asked.packet.clone(), Bound::Relay);
        let doubled = (interval * 2).min(u64::from(swarm.t2_ms) * MS);
        air.after(interval, Event::Agent(Task::Transmit { request, interval: doubled }));
    }

    /// A response to a request of ours.
    fn on_response(&mut self, text: &Text<'_>, status: u16, air: &mut Air) {
        let branch = text.vias().next().and_then(|via| parameter(via, "branch")).unwrap_or("");
        let found = self.asked.iter_mut().find(|asked| asked.branch == branch);
        let Some(asked) = found.filter(|_| status >= 200) else { return };
        asked.status = Some(status);
        if text.value("CSeq").is_some_and(|cseq| cseq.ends_with(" INVITE")) {
            let octets = acknowledged(asked, text, status);
            air.send(Packet { octets, ..asked.packet.clone() }, Bound::Relay);
        }
    }

    /// An INVITE as it came.
    pub(crate) fn invite(&self, call: usize) -> &[u8] {
        &self.calls[call].invite.octets
    }

    /// A host has crashed: what it had in hand is forgotten, what users have is not.
    pub(crate) fn on_crash(&mut self, server: usize, now: u64) {
        for call in self.calls.iter_mut().filter(|call| call.server == server) {
            call.is_dead = true;
        }
        for session in self.sessions.iter_mut().filter(|session| session.server == server) {
            session.ended.get_or_insert(now);
            session.line = None;
        }
    }
}

impl Who {
    /// As connections know it.
    pub(crate) const fn call(self) -> u64 {
        match self {
            Self::Session(session) => session as u64,
            Self::Stranger(word) => word | STRANGER,
        }
    }

    fn of(call: u64) -> Self {
        match usize::try_from(call) {
            Ok(session) if call & STRANGER == 0 => Self::Session(session),
            _ => Self::Stranger(call & !STRANGER),
        }
    }
}

/// What tells strangers from sessions.
const STRANGER: u64 = 1 << 63;

/// All user agents, for everybody who deals with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Rc<RefCell<Agents>>);

impl Hosts {
    pub(crate) fn on_packet(&self, server: usize, packet: &Packet, air: &mut Air, swarm: &Swarm) {
        let mut agents = self.0.borrow_mut();
        agents.on_packet(server, packet, air, swarm);
        air.asks.append(&mut agents.todo);
    }

    pub(crate) fn on_task(&self, task: Task, air: &mut Air, swarm: &Swarm) {
        let mut agents = self.0.borrow_mut();
        agents.on_task(task, air, swarm);
        air.asks.append(&mut agents.todo);
    }

    pub(crate) fn agents(&self) -> Ref<'_, Agents> {
        self.0.borrow()
    }

    pub(crate) fn on_crash(&self, server: usize, now: u64) {
        self.0.borrow_mut().on_crash(server, now);
    }
}

impl Party for Hosts {
    fn listens(&self, at: Endpoint) -> bool {
        at.port == PORT
    }

    fn on_tidings(&mut self, tidings: Tidings, air: &mut Air, _: &Swarm) {
        let mut agents = self.0.borrow_mut();
        match tidings {
            Tidings::Opened { conduit, call, here, there } => {
                debug_assert_ne!(here, there);
                agents.on_line(conduit, call.map(Who::of));
            }
            Tidings::Refused { call } => agents.on_refused(Who::of(call)),
            Tidings::Came { conduit, octets } => agents.on_octets(conduit, &octets, air),
            Tidings::Ended { conduit, end } => agents.on_line_end(conduit, end, air.now),
        }
        air.asks.append(&mut agents.todo);
    }
}

impl Session {
    fn new(
        call: usize,
        server: usize,
        uri: String,
        tag: &str,
        conduct: Conduct,
        role: MsrpRole,
    ) -> Self {
        Self {
            call,
            server,
            uri,
            tag: tag.to_owned(),
            conduct,
            role,
            path: Vec::new(),
            theirs: Vec::new(),
            is_usable: true,
            line: None,
            lines: Vec::new(),
            confirmed: None,
            began: 0,
            ended: None,
            has_bye: false,
            said_bye: false,
            incoming: BTreeMap::new(),
            chunks: 0,
            answered_early: Vec::new(),
            said: 0,
            sdp: String::new(),
            contact: String::new(),
            cseq: 100,
        }
    }
}

/// The tag in From or To.
pub(crate) fn tag_of<'a>(text: &Text<'a>, name: &str) -> Option<&'a str> {
    parameter(text.value(name)?, "tag")
}

fn uri_of(text: &Text<'_>) -> String {
    text.start.split(' ').nth(1).unwrap_or("").to_owned()
}

fn extra_of(status: u16) -> String {
    match status {
        401 => {
            "WWW-Authenticate: Digest realm=\"im\", nonce=\"84a4\", algorithm=MD5\r\n".to_owned()
        }
        407 => "Proxy-Authenticate: Digest realm=\"im\", nonce=\"84a4\"\r\n".to_owned(),
        _ => String::new(),
    }
}

/// A response as RFC 3261 section 8.2.6 wants it.
fn response(request: &Text<'_>, status: u16, tag: &str, extra: &str, body: &str) -> Rc<[u8]> {
    let vias: Vec<&str> = request.vias().map(str::trim).collect();
    let field = |name: &str| request.value(name).unwrap_or("");
    let mut to = field("To").to_owned();
    if status > 100 && !tag.is_empty() && !to.contains(";tag=") {
        to += &format!(";tag={tag}");
    }
    format!(
        "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         {extra}Content-Length: {}\r\n\r\n{body}",
        vias.join("\r\nVia: "),
        field("From"),
        field("Call-ID"),
        field("CSeq"),
        body.len(),
    )
    .into_bytes()
    .into()
}

/// The ACK to a final response to an INVITE of ours.
fn acknowledged(asked: &Asked, answer: &Text<'_>, status: u16) -> Rc<[u8]> {
    let text = String::from_utf8_lossy(&asked.packet.octets).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap_or("").replace(" INVITE\r\n", " ACK\r\n");
    let mut lines = String::new();
    for line in head.split("\r\n") {
        let name = line.split(':').next().unwrap_or("");
        if line.starts_with("INVITE ") {
            lines += &format!("{}\r\n", line.replacen("INVITE", "ACK", 1));
        } else if name == "To" {
            lines += &format!("To: {}\r\n", answer.value("To").unwrap_or(""));
        } else if name == "Via" && status < 300 {
            // To a 2xx it is a transaction of its own (RFC 3261 section 13.2.2.4).
            lines += &format!("{}\r\n", line.replacen("branch=z9hG4bK", "branch=z9hG4bKack", 1));
        } else if !matches!(name, "Content-Length" | "Content-Type" | "Contact") {
            lines += &format!("{line}\r\n");
        }
    }
    format!("{lines}Content-Length: 0\r\n\r\n").into_bytes().into()
}

#[cfg(test)]
mod tests;
