//! What truly happened at the boundary of the engine, datagram by datagram, and what must never
//! happen there. It is written from the octets alone, with the naive reader of [`crate::text`].

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::delivery::Account;
use roger::packet::{Departure, Endpoint, Sent, SocketId};

use crate::air::{Grade, Over, Packet};
use crate::gateway;
use crate::judge;
use crate::sms::{Expect, Transaction};
use crate::submission::{
    Attempt, Proof, Submission, Told, What, guess, quoted_branch, sanitised, slack,
};
use crate::swarm::{Client, MS, Swarm};
use crate::tcp;
use crate::text::{Key, Text};

/// An invariant that was broken, in words.
pub(crate) type Verdict<T> = Result<T, String>;

/// A client transaction as it came to the boundary.
#[derive(Debug)]
struct Arrived {
    times: u32,
    source: Endpoint,
    socket: SocketId,
    /// Octets of its longest copy.
    len_max: usize,
    reply_to: Option<Endpoint>,
    expect: Option<Expect>,
    tainted: bool,
    foreign: bool,
    submission: Option<usize>,
    /// Every submission that this key ever became.
    lives: Vec<usize>,
    refused: Option<Told>,
    answers: u32,
    /// Every final response that was sent, over all lives of the key.
    said: Vec<u16>,
}

/// Whose departure it was, for when the kernel tells how it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ticket {
    Request(usize, usize),
    Report(usize),
    /// It concerns a short message.
    Gateway(gateway::Ticket),
    Other,
}

/// A request at the boundary.
#[derive(Clone, Debug)]
struct Request {
    key: Key,
    packet: Packet,
    client: Option<usize>,
    /// When it was taken.
    at: u64,
    /// Since when it was there: taken later only because nobody looked.
    since: u64,
    /// Whether it may have been dropped for want of room.
    is_doubtful: bool,
}

/// Everything that was seen at the boundary.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) submissions: Vec<Submission>,
    clients: BTreeMap<Key, Arrived>,
    branches: BTreeMap<Box<str>, (usize, usize)>,
    /// Submissions without account, by Call-ID, for accounts to find.
    waiting: BTreeMap<Box<[u8]>, Vec<usize>>,
    /// When there was a turn, for each seat.
    turns: BTreeMap<usize, Vec<u64>>,
    /// Who takes this turn.
    pub(crate) seat: usize,
    /// Requests that may not have reached whom they concern.
    requests: Vec<Request>,
    /// Proofs of which that holds as well: the submission and its number there.
    unsettled: Vec<(usize, usize)>,
    /// Branches of an earlier life of the process.
    past: BTreeSet<Box<str>>,
    /// Submissions of earlier lives: so many of the first ones.
    past_submissions: usize,
    /// Reports that were damaged responses, which may be repeated.
    passed: BTreeSet<Rc<[u8]>>,
    /// Messages about which a damaged response came that may still be on its way.
    doubted: Vec<usize>,
    /// The same of something unreadable, whose answer cannot be told from others.
    damaged: bool,
    /// Since when 503 is a right answer to new work, and until when.
    pub(crate) may_refuse: bool,
    /// Whether a worker is lost: what concerns it is refused with 503, whatever else is wrong with it.
    pub(crate) is_homeless: bool,
    /// Whether a request on a connection was refused because its home had no room for it.
    pub(crate) turns_away: bool,
    /// Accounts so far.
    pub(crate) accounts: u64,
    /// A request as it was forwarded last.
    pub(crate) overheard: Option<Rc<[u8]>>,
}

impl Ledger {
    /// A datagram is about to be given to the engine.
    pub(crate) fn on_arrival(
        &mut self,
        now: u64,
        since: u64,
        packet: &Packet,
        socket: SocketId,
        transaction: Option<&Transaction>,
    ) {
        let version = packet.octets.get(..8);
        if version.is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/2.0 ")) {
            return self.on_response(now, packet);
        }
        self.damaged |= packet.grade == Grade::Doubtful
            || packet.grade == Grade::Foreign && !packet.octets.is_ascii();
        let sane = sanitised(&packet.octets);
        let Some(key) = Text::salvage(&sane).and_then(|text| text.key()) else { return };
        let doubtful = packet.grade == Grade::Doubtful || packet.truncated;
        let arrived = self.clients.entry(key.clone()).or_insert_with(|| Arrived {
            times: 0,
            source: packet.from,
            socket,
            len_max: packet.octets.len(),
            reply_to: transaction.map(|transaction| transaction.reply_to),
            expect: transaction.map(|transaction| transaction.expect),
            tainted: false,
            foreign: packet.grade == Grade::Foreign,
            submission: None,
            lives: Vec::new(),
            refused: None,
            answers: 0,
            said: Vec::new(),
        });
        arrived.times += 1;
        arrived.len_max = arrived.len_max.max(packet.octets.len());
        arrived.tainted |= doubtful;
        if arrived.tainted {
            for life in &arrived.lives {
                self.submissions[*life].tainted = true;
            }
        }
        self.requests.push(Request {
            key,
            packet: packet.clone(),
            client: transaction.map(|t| t.client),
            at: now,
            since,
            is_doubtful: false,
        });
    }

    fn on_response(&mut self, now: u64, packet: &Packet) {
        if matches!(packet.grade, Grade::Void | Grade::Foreign) {
            return;
        }
        let Some((status, branch)) = guess(&packet.octets) else { return };
        let Some((submission, attempt)) = self.branches.get(&branch).copied() else { return };
        let certain = packet.grade == Grade::Sound && !self.submissions[submission].tainted;
        if !certain {
            self.doubted.push(submission);
        }
        self.prove(submission, attempt, now, What::Response(status), certain, &packet.octets);
    }

    fn prove(
        &mut self,
        index: usize,
        attempt: usize,
        at: u64,
        what: What,
        certain: bool,
        octets: &Rc<[u8]>,
    ) {
        let submission = &mut self.submissions[index];
        let (server, octets) = (submission.attempts[attempt].server, octets.clone());
        self.unsettled.push((index, submission.proofs.len()));
        submission.proofs.push(Proof { at, what, by: u64::MAX, certain, server, octets });
    }

    /// An ICMP error is about to be given to the engine.
    pub(crate) fn on_unreachable(&mut self, now: u64, quoted: &[u8], grade: Grade) {
        let Some(branch) = quoted_branch(quoted) else { return };
        let Some((submission, attempt)) = self.branches.get(&branch).copied() else { return };
        let certain = grade == Grade::Sound;
        self.prove(submission, attempt, now, What::Unreachable, certain, &quoted.into());
    }

    /// A datagram has left the engine.
    pub(crate) fn on_departure(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        swarm: &Swarm,
        find: &dyn Fn(&Key) -> Option<Vec<Endpoint>>,
    ) -> Verdict<Ticket> {
        let sane = sanitised(octets);
        let Some(text) = Text::read(&sane) else {
            return Err("we sent something that nobody can read".to_owned());
        };
        match text.status() {
            Some(status) => self.on_upstream(now, departure, octets, text, status, swarm),
            None => self.on_onward(now, departure, octets, text, swarm, find),
        }
    }

    /// A request towards the IM side.
    fn on_onward(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        text: Text<'_>,
        swarm: &Swarm,
        find: &dyn Fn(&Key) -> Option<Vec<Endpoint>>,
    ) -> Verdict<Ticket> {
        let server = departure.flow.remote;
        let is_stream = tcp::is_stream(departure.flow.socket);
        let (Some(key), Some(below)) = (text.key(), text.key_below()) else {
            return Err("a request of ours lacks Vias".to_owned());
        };
        let branch: Box<str> = key.branch.to_ascii_lowercase().into();
        if let Some((submission, attempt)) = self.branches.get(&branch).copied() {
            self.retransmitted(now, submission, attempt, server, octets, swarm)?;
            return Ok(Ticket::Other);
        }
        if self.past.contains(&branch) {
            return Err(format!("{branch}: sent by an earlier life, and sent again"));
        }
        let targets = find(&below);
        let lives = self.clients.get(&below).map_or(&[][..], |arrived| &arrived.lives);
        let goes_on = |life: &&usize| {
            let life = &self.submissions[**life];
            life.goes_on_to(server, targets.as_deref(), is_stream, swarm)
        };
        let submission = match lives.iter().find(goes_on) {
            Some(life) => *life,
            None => self.accepted(now, &below, octets, server, swarm, targets.as_deref())?,
        };
        let record = &mut self.submissions[submission];
        let falls_back = record.falls_back(server, is_stream);
        if let Some(targets) = &targets
            && !record.tainted
            && !falls_back
            && targets.get(record.tried()) != Some(&server)
        {
            return Err(format!("sent to {server:?}, which is not its next hop"));
        }
        if falls_back && let Some(last) = record.attempts.last_mut() {
            last.fell_back = true;
        }
        let attempt = record.attempts.len();
        record.attempts.push(Attempt {
            server,
            branch: branch.clone(),
            octets: octets.clone(),
            sent: vec![now],
            refused: None,
            is_stream,
            fell_back: false,
        });
        self.branches.insert(branch, (submission, attempt));
        // Whose Route has changed is on its way, not in a loop.
        if !record.tainted && !record.is_routed() {
            self.overheard = Some(octets.clone());
        }
        Ok(Ticket::Request(submission, attempt))
    }

    /// A request of the SMS side was sent on for the first time.
    fn accepted(
        &mut self,
        now: u64,
        below: &Key,
        octets: &Rc<[u8]>,
        server: Endpoint,
        swarm: &Swarm,
        targets: Option<&[Endpoint]>,
    ) -> Verdict<usize> {
        // Of twins in one turn or with one branch, the one that looks like the departure is meant.
        let call_id = |octets: &[u8]| {
            Text::read(octets).and_then(|text| text.value("Call-ID").map(str::to_owned))
        };
        let went = call_id(octets);
        let is_copy = |request: &&Request| request.key == *below;
        let named =
            |request: &&Request| is_copy(request) && call_id(&request.packet.octets) == went;
        let is_named = self.requests.iter().any(|request| named(&request));
        let is_candidate =
            |request: &&Request| if is_named { named(request) } else { is_copy(request) };
        let mut candidates = self.requests.iter().filter(is_candidate);
        let Some(Request { packet, client, at, since, .. }) = candidates.next().cloned() else {
            return Err(format!("I9: a second request for {below:?} without a new arrival"));
        };
        // Which copy was the first to reach whom it concerns is not known yet.
        let since = candidates.map(|request| request.since).fold(since, u64::max);
        let since = if swarm.remembers() { since } else { now };
        let times = self.requests.iter().filter(is_candidate);
        let copies: Vec<u64> = times.map(|request| request.at).collect();
        let Some(arrived) = self.clients.get_mut(below) else {
            return Err("a request out of nothing".to_owned());
        };
        if arrived.foreign {
            return Err("a stranger's request was sent on".to_owned());
        }
        let lenient = arrived.tainted;
        if let Some(refused) = &arrived.refused
            && !lenient
            && since < refused.at + swarm.transaction()
        {
            return Err(format!("I10: refused with {} and yet sent on: {below:?}", refused.status));
        }
        if arrived.expect.is_some_and(|expect| !expect.accept) && !lenient {
            return Err(format!("must not be sent on: {below:?}"));
        }
        if let Some(old) = arrived.submission.filter(|_| !lenient)
            && !self.submissions[old].forgotten(since, swarm, &self.turns)
        {
            return Err(format!("I9: a retransmission became a second message: {below:?}"));
        }
        if !lenient {
            let client = client.map(|at| &swarm.places.clients[at]);
            let copies = self.requests.iter().filter(is_candidate).map(|request| &request.packet);
            same_as_one(copies, octets, client, server, swarm)?;
        }
        arrived.submission = Some(self.submissions.len());
        arrived.lives.push(self.submissions.len());
        arrived.answers = 0;
        arrived.times = u32::try_from(copies.len()).unwrap_or(u32::MAX);
        // What came damaged is found by its time alone.
        let call_id = Text::read(&packet.octets).and_then(|text| text.value("Call-ID"));
        let call_id = call_id.filter(|_| !lenient).unwrap_or("").as_bytes().into();
        self.waiting.entry(call_id).or_default().push(self.submissions.len());
        self.submissions.push(Submission {
            key: below.clone(),
            request: packet.octets,
            arrived: at,
            copies,
            seat: self.seat,
            tainted: lenient,
            is_stream: packet.over != Over::Datagram,
            is_handed: packet.over != Over::Datagram && swarm.crew.workers > 1,
            client,
            servers_max: targets.map_or(swarm.places.servers.len(), <[Endpoint]>::len),
            attempts: Vec::new(),
            proofs: Vec::new(),
            trying_at: None,
            told: None,
            told_refused: None,
            account: None,
        });
        Ok(self.submissions.len() - 1)
    }

    fn retransmitted(
        &mut self,
        now: u64,
        submission: usize,
        attempt: usize,
        server: Endpoint,
        octets: &Rc<[u8]>,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let record = &mut self.submissions[submission];
        let done =
            record.proofs.iter().any(|proof| proof.by < now && proof.certain && proof.ends());
        let attempt = &mut record.attempts[attempt];
        if attempt.octets != *octets || attempt.server != server {
            return Err(format!("{}: a retransmission differs", attempt.branch));
        }
        if attempt.is_stream {
            return Err(format!("{}: repeated over a connection", attempt.branch));
        }
        if done {
            return Err(format!("{}: retransmitted after its end", attempt.branch));
        }
        let before = attempt.sent.len();
        let interval =
            (u64::from(swarm.t1_ms) << (before - 1).min(16)).min(swarm.t2_ms.into()) * MS;
        if attempt.sent.last().is_some_and(|last| now < last + interval) {
            return Err(format!("{}: timer E came early", attempt.branch));
        }
        if now > attempt.sent[0] + swarm.transaction() + slack(swarm) {
            return Err(format!("{}: retransmitted after timer F", attempt.branch));
        }
        attempt.sent.push(now);
        Ok(())
    }

    /// A response towards the SMS side.
    fn on_upstream(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        text: Text<'_>,
        status: u16,
        swarm: &Swarm,
    ) -> Verdict<Ticket> {
        let key = text.key();
        if let Some(ticket) = self.passed_on_damaged(now, key.as_ref(), octets, status) {
            return Ok(ticket);
        }
        let Some(arrived) = Self::client(&mut self.clients, key.as_ref()) else {
            let known = self.damaged || self.passed.contains(octets);
            return if known { Ok(Ticket::Other) } else { Err("an answer to nobody".to_owned()) };
        };
        let flow = departure.flow;
        if !arrived.tainted {
            let expected =
                arrived.reply_to.unwrap_or(Endpoint { port: flow.remote.port, ..arrived.source });
            if flow.remote != expected || flow.socket != arrived.socket {
                return Err(format!(
                    "I7: {key:?} answered at {:?} instead of {expected:?}",
                    flow.remote
                ));
            }
        }
        if arrived.foreign && octets.len() > arrived.len_max {
            return Err("more octets to a stranger than from it".to_owned());
        }
        if status >= 200 {
            arrived.said.push(status);
        }
        if arrived.tainted {
            let lives = arrived.lives.clone();
            return Ok(self.answered_tainted(now, &lives, octets, status));
        }
        // Timer J is a lower bound: for a while the answer may be repeated or forgotten.
        let known = arrived.submission.filter(|at| {
            let record = &self.submissions[*at];
            let open = record.told.is_none()
                && record.account.is_none()
                && (status < 200 || record.is_proved(status, octets).is_ok());
            let same = record.told.as_ref().is_some_and(|told| told.status == status)
                || record.is_owed(status);
            open || same || !record.forgotten(now, swarm, &self.turns)
        });
        // One that waited for another worker. The report may have waited with it, and comes behind it.
        let many = tcp::is_stream(arrived.socket) && swarm.crew.workers > 1;
        if known.is_none() && status == 100 && many && !arrived.lives.is_empty() {
            return Ok(Ticket::Other);
        }
        if known.is_none() {
            arrived.submission = None;
        }
        if let Some(submission) = known {
            if status >= 200 {
                arrived.answers += 1;
                if arrived.answers > arrived.times && !arrived.tainted {
                    return Err(format!("{key:?}: more answers than requests"));
                }
            }
            return self.reported(now, submission, octets, status, swarm);
        }
        let is_homeless = self.is_homeless && status == 503;
        let turns_away = self.turns_away && tcp::is_stream(arrived.socket) && status == 503;
        let is_homeless = is_homeless || turns_away;
        Self::refused(now, arrived, octets, status, self.may_refuse, is_homeless)
            .map_err(|error| format!("{error}: {key:?}"))?;
        Ok(Ticket::Other)
    }

    /// An answer to a client transaction of which a damaged copy came: which of them it is about
    /// cannot be told for certain, so whatever can be true is.
    fn answered_tainted(
        &mut self,
        now: u64,
        lives: &[usize],
        octets: &Rc<[u8]>,
        status: u16,
    ) -> Ticket {
        for index in lives.iter().copied() {
            let record = &mut self.submissions[index];
            if status == 100 && record.account.is_none() {
                record.trying_at.get_or_insert(now);
            }
            if status >= 200 && record.told.is_none() && record.is_proved(status, octets).is_ok() {
                record.told = Some(Told { at: now, status, octets: octets.clone() });
                return Ticket::Report(index);
            }
        }
        Ticket::Other
    }

    /// A response whose Via was damaged on its way to us goes on as it came.
    fn passed_on_damaged(
        &mut self,
        now: u64,
        key: Option<&Key>,
        octets: &Rc<[u8]>,
        status: u16,
    ) -> Option<Ticket> {
        let direct = key.and_then(|key| self.clients.get(key)).and_then(|at| at.submission);
        let proved = |index: usize| {
            let record = &self.submissions[index];
            record.told.is_none()
                && record.is_proved(status, octets).is_ok()
                && record.proofs.iter().any(|proof| proof.is_fresh() && proof.holds(octets))
        };
        if status < 200 || direct.is_some_and(proved) {
            return None;
        }
        let index = self.doubted.iter().copied().find(|index| proved(*index))?;
        self.submissions[index].told = Some(Told { at: now, status, octets: octets.clone() });
        self.passed.insert(octets.clone());
        Some(Ticket::Report(index))
    }

    fn client<'a>(
        clients: &'a mut BTreeMap<Key, Arrived>,
        key: Option<&Key>,
    ) -> Option<&'a mut Arrived> {
        clients.get_mut(key?)
    }

    /// An answer of our own to a request that was not accepted.
    fn refused(
        now: u64,
        arrived: &mut Arrived,
        octets: &Rc<[u8]>,
        status: u16,
        may_refuse: bool,
        is_homeless: bool,
    ) -> Verdict<()> {
        let right = is_homeless
            || arrived.expect.is_none_or(|expect| {
                expect.answer.contains(&status) || (status == 503 && expect.accept && may_refuse)
            });
        if arrived.foreign && status != 403 {
            return Err(format!("a stranger was answered {status}"));
        }
        if !right {
            return Err(format!("refused with {status}"));
        }
        arrived.answers += 1;
        if arrived.answers > arrived.times {
            return Err("more answers than requests".to_owned());
        }
        match &arrived.refused {
            // Who refused it before is there no more.
            Some(first) if first.status != 503 && is_homeless => Ok(()),
            Some(first) if first.status != status && !octets.starts_with(b"SIP/2.0 200 ") => {
                // OPTIONS tells how things are at the moment.
                let options = arrived.expect.is_some_and(|expect| expect.answer.contains(&503));
                if options {
                    Ok(())
                } else {
                    Err(format!("I9: first {}, then {status}", first.status))
                }
            }
            // A stranger's second copy may have been damaged on its way.
            Some(first)
                if first.status == status
                    && !arrived.foreign
                    && judge::without_port(&first.octets) != judge::without_port(octets) =>
            {
                Err(format!("I9: two different {status}"))
            }
            Some(_) => Ok(()),
            None => {
                arrived.refused = Some(Told { at: now, status, octets: octets.clone() });
                Ok(())
            }
        }
    }

    /// A response about an accepted message.
    fn reported(
        &mut self,
        now: u64,
        index: usize,
        octets: &Rc<[u8]>,
        status: u16,
        swarm: &Swarm,
    ) -> Verdict<Ticket> {
        let record = &mut self.submissions[index];
        let key = &record.key;
        if status < 200 {
            if status != 100 {
                return Err(format!("{key:?}: provisional response {status} (RFC 4320)"));
            }
            if now < record.arrived + judge::trying(swarm) {
                return Err(format!("{key:?}: 100 before its time (RFC 4320)"));
            }
            // One that waits for another worker may come behind it, on a connection of its own.
            if (record.told.is_some() || record.account.is_some()) && !record.is_handed {
                return Err(format!("{key:?}: 100 after the end"));
            }
            record.trying_at.get_or_insert(now);
            return Ok(Ticket::Other);
        }
        if let Some(told) = &record.told {
            if !record.damaged_report() && !judge::same_answer(&told.octets, octets) {
                let [first, again] = [&told.octets, octets].map(|o| String::from_utf8_lossy(o));
                return Err(format!("I2: {key:?}: first {first:?}, then {again:?}"));
            }
            return Ok(Ticket::Other);
        }
        if record.is_owed(status) {
            record.told = Some(Told { at: now, status, octets: octets.clone() });
            return Ok(Ticket::Report(index));
        }
        if let Some(account) = &record.account {
            return Err(format!("{key:?}: {status} after {:?}", account.verdict));
        }
        record.is_proved(status, octets)?;
        record.told = Some(Told { at: now, status, octets: octets.clone() });
        Ok(Ticket::Report(index))
    }

    /// The kernel told how a departure went.
    pub(crate) fn on_sent(&mut self, now: u64, ticket: Ticket, sent: Sent) {
        match (ticket, sent) {
            (Ticket::Request(submission, attempt), Err(error)) if error.nothing_left() => {
                self.submissions[submission].attempts[attempt].refused = Some(now);
            }
            (Ticket::Report(submission), Err(error)) => {
                self.submissions[submission].told_refused = Some(error);
            }
            (Ticket::Request(..) | Ticket::Report(_) | Ticket::Gateway(_) | Ticket::Other, _) => {}
        }
    }

    /// The engine has closed a message.
    pub(crate) fn on_account(
        &mut self,
        now: u64,
        account: &Account,
        swarm: &Swarm,
    ) -> Verdict<usize> {
        self.accounts += 1;
        let mut complaint = String::new();
        // A damaged twin fits nearly every account, so it comes last, and first if it names it.
        let call_id = account.sms_call_id.octets();
        let own = call_id;
        for (call_id, tainted, named) in
            [(own, false, false), (own, true, false), (b"", true, true), (b"", true, false)]
        {
            let Some(waiting) = self.waiting.get_mut(call_id) else { continue };
            for at in 0..waiting.len() {
                let index = waiting[at];
                if self.submissions[index].tainted != tainted {
                    continue;
                }
                let record = &mut self.submissions[index];
                if named && memchr::memmem::find(&record.request, own).is_none() {
                    continue;
                }
                let arrived = record.arrived;
                if record.copies.contains(&account.arrived.0) {
                    record.arrived = account.arrived.0;
                }
                match judge::account(account, record, now, swarm) {
                    Ok(()) => {
                        waiting.swap_remove(at);
                        self.submissions[index].account = Some(*account);
                        return Ok(index);
                    }
                    Err(error) => {
                        self.submissions[index].arrived = arrived;
                        let key = &self.submissions[index].key;
                        let _ = write!(complaint, "{}: {error}; ", key.branch);
                    }
                }
            }
        }
        if complaint.is_empty() {
            let call_id = String::from_utf8_lossy(account.sms_call_id.octets());
            complaint = format!("I1: an account too many: {call_id}");
        }
        Err(complaint)
    }

    /// A turn is over.
    pub(crate) fn on_turn_end(&mut self, now: u64) {
        self.turns.entry(self.seat).or_default().push(now);
    }

    /// Requests that have not reached whom they concern may have been dropped for want of room.
    pub(crate) fn on_requests_dropped(&mut self) {
        for request in &mut self.requests {
            request.is_doubtful = true;
        }
    }

    /// The same with proofs: they need not count any more.
    pub(crate) fn on_proofs_dropped(&mut self) {
        self.unsettled.clear();
    }

    /// Everything that came has reached whom it concerns: every sound request had a reaction.
    pub(crate) fn on_settled(&mut self, now: u64) -> Verdict<()> {
        self.damaged = false;
        self.doubted.clear();
        for (submission, proof) in self.unsettled.drain(..) {
            self.submissions[submission].proofs[proof].by = now;
        }
        let requests = core::mem::take(&mut self.requests);
        for Request { key, packet, is_doubtful, .. } in &requests {
            let arrived = &self.clients[key];
            let Some(expect) = arrived.expect else { continue };
            let lenient = arrived.tainted || expect.silence || self.may_refuse || arrived.foreign;
            let reacted = arrived.submission.is_some() || arrived.refused.is_some();
            if !lenient && !is_doubtful && !reacted && packet.grade == Grade::Sound {
                return Err(format!("a request was lost in silence: {key:?}"));
            }
        }
        self.requests = requests;
        self.requests.clear();
        Ok(())
    }

    /// The process has ended without warning: nobody tells what was open, and everything that comes
    /// is new. What its branches are in is over.
    pub(crate) fn on_death(&mut self) {
        for arrived in self.clients.values_mut() {
            (arrived.submission, arrived.refused) = (None, None);
            (arrived.answers, arrived.times) = (0, 0);
            arrived.lives.clear();
        }
        self.past.extend(core::mem::take(&mut self.branches).into_keys());
        self.past_submissions = self.submissions.len();
        self.accounts = 0;
        self.is_homeless = false;
        self.waiting.clear();
        self.turns.clear();
        self.requests.clear();
        self.unsettled.clear();
        self.doubted.clear();
        self.damaged = false;
    }

    /// A worker is lost, and what was left there was told: of the rest the verdict was reached, and
    /// nobody tells it. How many these are.
    pub(crate) fn on_loss(&mut self, seat: usize) -> usize {
        let Self { waiting, submissions, .. } = self;
        let before: usize = waiting.values().map(Vec::len).sum();
        for list in waiting.values_mut() {
            list.retain(|index| submissions[*index].seat != seat);
        }
        before - waiting.values().map(Vec::len).sum::<usize>()
    }

    /// How many submissions were accepted in this life of the process.
    pub(crate) const fn accepted_count(&self) -> u64 {
        (self.submissions.len() - self.past_submissions) as u64
    }

    /// Whether this response is to a client transaction that came here.
    pub(crate) fn knows(&self, octets: &[u8]) -> bool {
        let key = Text::read(octets).and_then(|text| text.key());
        key.is_some_and(|key| self.clients.contains_key(&key))
    }

    /// How many submissions have no account.
    pub(crate) fn open(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whether a request was ever accepted.
    pub(crate) fn was_accepted(&self, key: &Key) -> bool {
        self.submissions.iter().any(|submission| submission.key == *key)
    }

    /// Whether this final response was sent to a client transaction.
    pub(crate) fn has_said(&self, key: &Key, status: u16) -> bool {
        self.clients.get(key).is_some_and(|arrived| arrived.said.contains(&status))
    }
}

/// Whether it is what came; of several copies, each on a connection of its own, any may be meant.
fn same_as_one<'a>(
    mut copies: impl Iterator<Item = &'a Packet>,
    octets: &[u8],
    client: Option<&Client>,
    server: Endpoint,
    swarm: &Swarm,
) -> Verdict<()> {
    let same = |packet: &Packet| judge::same_request(packet, octets, client, server, swarm);
    let Some(first) = copies.next() else { return Ok(()) };
    let mut others = copies.filter(|packet| packet.over != Over::Datagram);
    same(first).or_else(|error| others.by_ref().map(same).find(Result::is_ok).unwrap_or(Err(error)))
}
