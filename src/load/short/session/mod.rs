//! The user agents that take short messages in sessions, of their own or behind a relay: what each does to the
//! INVITE and to what is sent is what its case says.
//!
//! A thread for each of the two hears INVITEs; one for each connection hears MSRP. Like a pager's user agent
//! these know a message when it comes again, by its Message-ID.

#![expect(clippy::disallowed_macros, reason = "cold code")]
#![expect(clippy::disallowed_types, reason = "the threads of a load generator share their record")]

mod frame;
mod line;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::load::schedule::{Clock, Run, chance};
use crate::load::short::case::{Case, Way};
use crate::load::short::plan;
use crate::load::short::session::line::Line;
use crate::load::short::user::{Proofs, Seen, TRANSACTIONS_MAX};
use crate::load::sip::{self, Text};
use crate::load::{DATAGRAM_SIZE_MAX, receive};

/// The running actors.
#[derive(Debug)]
pub struct Phones {
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What one thread hears INVITEs on, and where its user agents listen for MSRP.
#[derive(Clone, Copy, Debug)]
struct Place {
    way: Way,
    sip: SocketAddr,
    msrp: SocketAddr,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    run: Run,
    clock: Clock,
    proofs: Proofs,
    stop: AtomicBool,
    strays: AtomicU64,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Vec<Seen>,
    sessions: BTreeMap<(usize, usize), Session>,
    due: BinaryHeap<Reverse<Due>>,
}

/// One INVITE and what came of it.
#[derive(Debug)]
struct Session {
    call_id: String,
    /// The response to the INVITE, which its copies get again.
    response: String,
    /// What the two ends call themselves.
    ours: String,
    theirs: String,
    /// The connection, if it is of this session alone.
    line: Option<Line>,
    /// What has come of the message.
    octets: Vec<u8>,
}

/// A REPORT that leaves later, which is proof of the message.
#[derive(Debug)]
struct Due {
    at_ns: u64,
    number: usize,
    line: Line,
    text: String,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}

impl Phones {
    /// Starts those that are reached directly on `phone`, and those behind a relay on `relay`.
    pub fn start(
        run: Run,
        clock: Clock,
        (phone, relay): (UdpSocket, UdpSocket),
        proofs: Proofs,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            run,
            clock,
            proofs,
            stop: AtomicBool::new(false),
            strays: AtomicU64::new(0),
            next: AtomicU64::new(0),
            state: Mutex::new(State {
                seen: core::iter::repeat_n(Seen::default(), run.messages).collect(),
                sessions: BTreeMap::new(),
                due: BinaryHeap::new(),
            }),
        });
        let mut threads = Vec::new();
        for (way, socket) in [(Way::Phone, phone), (Way::Relay, relay)] {
            let listener = TcpListener::bind((socket.local_addr()?.ip(), 0))?;
            let place = Place { way, sip: socket.local_addr()?, msrp: listener.local_addr()? };
            let listening = Arc::clone(&shared);
            let builder = thread::Builder::new().name(String::from("phone-accept"));
            threads.push(builder.spawn(move || line::accept(&listening, &listener, false))?);
            let actor = Actor { shared: Arc::clone(&shared), socket, place };
            let builder = thread::Builder::new().name(String::from("phone"));
            threads.push(builder.spawn(move || actor.run())?);
        }
        Ok(Self { threads, shared })
    }

    /// What came to them and was nothing of this run, or not as it ought to be.
    pub fn strays(&self) -> u64 {
        self.shared.strays.load(Ordering::Relaxed)
    }

    /// Stops them and takes their record, one for each message.
    pub fn finish(self) -> io::Result<Vec<Seen>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| io::Error::other("the phones panicked"))?;
        }
        Ok(core::mem::take(&mut self.shared.lock().seen))
    }
}

impl Shared {
    /// What a thread that panicked has left behind is as good as it was; the other end is told in the end.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn stray(&self) {
        self.strays.fetch_add(1, Ordering::Relaxed);
    }

    /// Something that nobody else has.
    fn unique(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

struct Actor {
    shared: Arc<Shared>,
    socket: UdpSocket,
    place: Place,
}

impl Actor {
    fn run(&self) {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        while !self.shared.has_stopped() {
            if let Some((datagram, source)) = receive(&self.socket, &mut buffer)
                && self.on_datagram(datagram, source).is_none()
            {
                self.shared.stray();
            }
            self.send_what_is_due();
        }
    }

    fn send_what_is_due(&self) {
        let now = self.shared.clock.now_ns();
        loop {
            let mut state = self.shared.lock();
            if state.due.peek().is_none_or(|Reverse(due)| due.at_ns > now) {
                return;
            }
            let Some(Reverse(due)) = state.due.pop() else { return };
            drop(state);
            due.line.write(&due.text);
            self.shared.proofs.prove(due.number);
        }
    }

    /// `None` if it is nothing of this run, or not what RFC 3261 wants it to be.
    fn on_datagram(&self, datagram: &[u8], source: SocketAddr) -> Option<()> {
        let text = Text::read(datagram)?;
        let run = &self.shared.run;
        let number = text.field("To")?.strip_prefix("<sip:s")?.get(..6)?.parse().ok();
        let number = number.filter(|number| *number < run.messages)?;
        let case = plan::case(run, number);
        let is_right = case.way() == self.place.way
            && text.field("To")?.starts_with(&plan::recipient(run, number, self.place.sip))
            && text.field("From")?.starts_with("<sip:+15551230001@")
            && text.vias().count() == 1;
        if !is_right {
            return None;
        }
        match text.start.split(' ').next()? {
            "INVITE" => self.on_invite(&text, source, (number, case)),
            "MESSAGE" => {
                let answer = case.answer(0)?;
                let seen = &mut self.shared.lock().seen[number];
                seen.requests = seen.requests.saturating_add(1);
                self.respond(&text, answer.status, source);
                Some(())
            }
            "ACK" => Some(()),
            "CANCEL" => self.on_cancel(&text, source, number),
            "BYE" => self.on_bye(&text, source, number),
            _ => None,
        }
    }

    fn respond(&self, request: &Text<'_>, status: u16, to: SocketAddr) {
        let mut text = String::new();
        sip::write_response(request, status, &mut text);
        self.send(&text, to);
    }

    /// A response that the kernel refuses is a lost response.
    fn send(&self, text: &str, to: SocketAddr) {
        let _ = self.socket.send_to(text.as_bytes(), to);
    }

    fn on_invite(
        &self,
        invite: &Text<'_>,
        source: SocketAddr,
        (number, case): (usize, Case),
    ) -> Option<()> {
        let branch = sip::parameter(invite.vias().next()?, "branch")?;
        let branch = sip::fingerprint(branch.as_bytes());
        let theirs = line_of(invite.body, "a=path:")?;
        let is_right = invite.field("Content-Type")? == "application/sdp"
            && line_of(invite.body, "a=setup:")? == "actpass"
            && invite.body.contains("\r\na=sendonly\r\n")
            && invite.field("Contact").is_some();
        if !is_right {
            return None;
        }
        let mut state = self.shared.lock();
        let seen = &mut state.seen[number];
        if case == Case::SessionSwitched && seen.requests == 0 {
            // It is short enough for a MESSAGE, which must have come before.
            return None;
        }
        seen.requests = seen.requests.saturating_add(1);
        let known = usize::from(seen.transactions).min(TRANSACTIONS_MAX);
        if let Some(place) = seen.branches[..known].iter().position(|one| *one == branch) {
            if let Some(session) = state.sessions.get(&(number, place)) {
                self.send(&session.response, source);
            }
            return Some(());
        }
        let place = known.min(TRANSACTIONS_MAX - 1);
        seen.branches[place] = branch;
        seen.transactions = seen.transactions.saturating_add(1);
        let status = invited(case, place);
        let mut session = Session {
            call_id: String::from(invite.field("Call-ID")?),
            response: String::new(),
            ours: String::new(),
            theirs: String::from(theirs),
            line: None,
            octets: Vec::new(),
        };
        sip::write_response(invite, status, &mut session.response);
        if status == 200 {
            self.describe(&mut session, (number, place), case)?;
        }
        self.send(&session.response, source);
        let comes = case == Case::SessionComes;
        let (ours, theirs) = (session.ours.clone(), session.theirs.clone());
        state.sessions.insert((number, place), session);
        drop(state);
        if comes {
            let line = line::connect(&self.shared, &ours, &theirs)?;
            if let Some(session) = self.shared.lock().sessions.get_mut(&(number, place)) {
                session.line = Some(line);
            }
        }
        Some(())
    }

    /// Adds our description to the response.
    fn describe(
        &self,
        session: &mut Session,
        (number, place): (usize, usize),
        case: Case,
    ) -> Option<()> {
        let run = &self.shared.run;
        let secret = chance(run.seed ^ u64::from(run.id), number * TRANSACTIONS_MAX + place);
        let is_lost = case == Case::SessionLost && place == 0;
        // Whoever closes a connection closes it for all sessions on it.
        let at = if is_lost { line::own_place(&self.shared)? } else { self.place.msrp };
        session.ours = format!("msrp://{at}/s{number}.{place}-{secret:016x};tcp");
        if self.place.way == Way::Relay {
            // The user agent behind the relay.
            let behind = format!(" msrp://phone.example:2855/{secret:016x};tcp");
            session.ours.push_str(&behind);
        }
        let setup = if case == Case::SessionComes { "active" } else { "passive" };
        let description = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=message {port} TCP/MSRP *\r\na=path:{path}\r\na=accept-types:text/plain\r\n\
             a=setup:{setup}\r\na=recvonly\r\n",
            ip = at.ip(),
            port = at.port(),
            path = session.ours
        );
        let described = format!(
            "Contact: <sip:phone@{}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{description}",
            self.place.sip,
            description.len()
        );
        session.response = session.response.replace("Content-Length: 0\r\n\r\n", &described);
        Some(())
    }

    /// The INVITE of the same branch has its answer, too (RFC 3261 section 9.2).
    fn on_cancel(&self, cancel: &Text<'_>, source: SocketAddr, number: usize) -> Option<()> {
        self.respond(cancel, 200, source);
        let branch = sip::parameter(cancel.vias().next()?, "branch")?;
        let branch = sip::fingerprint(branch.as_bytes());
        let mut state = self.shared.lock();
        let place = state.seen[number].branches.iter().position(|one| *one == branch)?;
        let session = state.sessions.get_mut(&(number, place))?;
        if session.response.starts_with("SIP/2.0 180 ") {
            sip::write_response(cancel, 487, &mut session.response);
            session.response = session.response.replace("1 CANCEL\r\n", "1 INVITE\r\n");
        }
        self.send(&session.response, source);
        Some(())
    }

    fn on_bye(&self, bye: &Text<'_>, source: SocketAddr, number: usize) -> Option<()> {
        self.respond(bye, 200, source);
        let call_id = bye.field("Call-ID")?;
        let mut state = self.shared.lock();
        let of_number = state.sessions.range_mut((number, 0)..(number + 1, 0));
        let (_, session) = of_number.into_iter().find(|(_, it)| it.call_id == call_id)?;
        if let Some(line) = session.line.take() {
            line.close();
        }
        Some(())
    }
}

/// What is answered to the INVITE of this attempt, from 0.
fn invited(case: Case, attempt: usize) -> u16 {
    let first = [(Case::SessionBusy, 486), (Case::SessionRings, 180), (Case::SessionDeclined, 603)];
    let refusal = first.into_iter().find(|(one, _)| *one == case);
    let is_refused = attempt == 0 || case == Case::SessionDeclined;
    refusal.filter(|_| is_refused).map_or(200, |(_, status)| status)
}

/// The value of the line of a description that begins so.
fn line_of<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    description.split("\r\n").find_map(|line| line.strip_prefix(name))
}
