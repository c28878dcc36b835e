//! What truly crossed the boundary for short messages, and what must never cross it: one instant
//! message for one short message, one report for one submission, and nothing said that nobody has
//! proved.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::delivery::Account;
use roger::packet::{Departure, Sent};

use crate::air::{Grade, Packet};
use crate::centre::Centres;
use crate::form;
use crate::ledger::{Proof, Verdict, What, guess, sanitised, slack};
use crate::post::{Attempt, Life, Post};
use crate::short::Short;
use crate::swarm::{SECOND, Swarm};
use crate::text::Text;
use crate::verdict;

/// How long what was proved is remembered (hazard H2), and how long a delivery once its RP-ACK was
/// taken (refinement of H47).
pub(crate) const REMEMBERED: u64 = 300 * SECOND;
pub(crate) const REPEATED: u64 = 120 * SECOND;

/// Which client transaction a branch names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Message(usize),
    Report(usize, usize),
}

/// Whose departure it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ticket {
    Message(usize),
    Report(usize, usize),
    /// An answer to somebody of whom a damaged copy came.
    Doubtful,
    Other,
}

/// Everything about short messages that was seen at the boundary.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    pub(crate) lives: Vec<Life>,
    pub(crate) attempts: Vec<Attempt>,
    /// Attempts by short message.
    pub(crate) by_short: BTreeMap<usize, Vec<usize>>,
    pub(crate) by_pair: BTreeMap<(String, String), Vec<usize>>,
    /// Lives by submission, and by short message.
    pub(crate) by_submission: BTreeMap<usize, Vec<usize>>,
    pub(crate) lives_of: BTreeMap<usize, Vec<usize>>,
    pub(crate) branches: BTreeMap<Box<str>, Place>,
    /// What can be told apart by what its recipient sees.
    pub(crate) index: BTreeMap<(String, String, String), usize>,
    pub(crate) indexed: usize,
    /// Short messages of which a damaged copy came: nobody can say what they were taken for.
    pub(crate) tainted: BTreeSet<usize>,
    /// Branches of what was made of damaged copies.
    pub(crate) unknown: BTreeSet<Box<str>>,
    /// Lives that began in this turn.
    pub(crate) fresh: Vec<usize>,
    /// Whether 503 is a right answer to new work.
    pub(crate) may_refuse: bool,
    /// Whether the process has been told to end, so that reports may be missing.
    pub(crate) abandoned: bool,
    /// Accounts so far.
    pub(crate) accounts: u64,
}

impl Gateway {
    /// A datagram is about to be given to the engine. Whether it concerns short messages only.
    pub(crate) fn on_arrival(
        &mut self,
        now: u64,
        packet: &Packet,
        centres: &Centres,
        swarm: &Swarm,
    ) -> bool {
        if let Some(submission) = packet.mark {
            let short = centres.submissions[submission].short;
            if packet.grade == Grade::Sound {
                self.arrived(now, submission, short, swarm);
                return true;
            }
            self.tainted.insert(short);
            return false;
        }
        let Some((status, branch)) = guess(&packet.octets) else { return false };
        let Some(place) = self.branches.get(&branch).copied() else { return false };
        if matches!(packet.grade, Grade::Void | Grade::Foreign) {
            return true;
        }
        self.prove(
            place,
            now,
            What::Response(status),
            packet.grade == Grade::Sound,
            &packet.octets,
        );
        true
    }

    /// An ICMP error is about to be given to the engine. Whether it is about a message of these.
    pub(crate) fn on_unreachable(&mut self, now: u64, quoted: &[u8], grade: Grade) -> bool {
        let branch = crate::ledger::branch_in(quoted);
        let Some(place) = branch.and_then(|branch| self.branches.get(&branch).copied()) else {
            return false;
        };
        self.prove(place, now, What::Unreachable, grade == Grade::Sound, &quoted.into());
        true
    }

    fn prove(&mut self, place: Place, at: u64, what: What, sound: bool, octets: &Rc<[u8]>) {
        let post = match place {
            Place::Message(attempt) => Some(&mut self.attempts[attempt].post),
            Place::Report(life, post) => {
                self.lives[life].told.as_mut().and_then(|told| told.posts.get_mut(post))
            }
        };
        let Some(post) = post else { return };
        let (server, octets) = (post.remote, octets.clone());
        post.proofs.push(Proof { at, what, certain: sound, server, octets });
    }

    /// A sound MESSAGE of a service centre.
    fn arrived(&mut self, now: u64, submission: usize, short: usize, swarm: &Swarm) {
        let lives = self.by_submission.entry(submission).or_default();
        let optional = match lives.last().map(|life| &self.lives[*life]) {
            None => self.tainted.contains(&short),
            // Which copy was new again only the account tells.
            Some(last) if last.optional && last.told.is_none() && last.arrived < now => true,
            // Timer J is a lower bound: for a while it is still known, or new again.
            Some(Life { answered: Some((at, _)), .. }) if now >= at + swarm.transaction() => true,
            Some(Life { answered: None, arrived, .. }) if *arrived < now => {
                // The copies before this one were dropped for want of room.
                if let Some(last) = lives.last() {
                    self.lives[*last].arrived = now;
                    self.fresh.push(*last);
                }
                return;
            }
            Some(_) => return,
        };
        lives.push(self.lives.len());
        self.lives_of.entry(short).or_default().push(self.lives.len());
        self.fresh.push(self.lives.len());
        self.lives.push(Life {
            submission,
            short,
            arrived: now,
            answered: None,
            optional,
            own: Vec::new(),
            told: None,
            account: None,
        });
    }

    /// A datagram has left the engine. Nothing if it does not concern short messages.
    pub(crate) fn on_departure(
        &mut self,
        now: u64,
        departure: &Departure,
        octets: &Rc<[u8]>,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<Option<Ticket>> {
        let Some(text) = Text::read(octets) else {
            // What a damaged datagram has named, or asked to be repeated, may be no text at all.
            let sane = sanitised(octets);
            let ours = Text::read(&sane).is_some_and(|text| text.key_below().is_none());
            let doubtful = swarm.faults.corrupting() && ours && sane.starts_with(b"MESSAGE ");
            return Ok(doubtful.then_some(Ticket::Other));
        };
        let Some(key) = text.key() else { return Ok(None) };
        let remote = departure.flow.remote;
        let centre = swarm.gateway.centres.iter().position(|c| c.addresses.contains(&remote));
        if let Some(status) = text.status() {
            let Some(submission) = centres.find(&key) else { return Ok(None) };
            let short = &centres.shorts[centres.submissions[submission].short];
            let avoided = short.targets.iter().all(|target| self.is_avoided(now, *target, swarm));
            return self.answered(now, submission, status, &text, centres, avoided);
        }
        let branch: Box<str> = key.branch.to_ascii_lowercase().into();
        if let Some(place) = self.branches.get(&branch).copied() {
            let post = match place {
                Place::Message(attempt) => &mut self.attempts[attempt].post,
                Place::Report(life, post) => {
                    let told = self.lives[life].told.as_mut();
                    &mut told.ok_or_else(|| "a report without its life".to_owned())?.posts[post]
                }
            };
            post.retransmitted(now, remote, octets, swarm).map_err(|e| format!("{branch}: {e}"))?;
            return Ok(Some(Ticket::Other));
        }
        if self.unknown.contains(&branch) {
            return Ok(Some(Ticket::Other));
        }
        if text.key_below().is_some() {
            return Ok(None);
        }
        let post = Post {
            remote,
            octets: octets.clone(),
            sent: [now].into(),
            refused: None,
            proofs: Vec::new(),
        };
        match centre {
            Some(centre) => self.report(now, branch, centre, post, &text, centres, swarm),
            None => self.message(now, branch, post, &text, centres, swarm),
        }
        .map(Some)
    }

    /// What SIP says to the MESSAGE of a service centre.
    fn answered(
        &mut self,
        now: u64,
        submission: usize,
        status: u16,
        text: &Text<'_>,
        centres: &Centres,
        nowhere_to_go: bool,
    ) -> Verdict<Option<Ticket>> {
        let record = &centres.submissions[submission];
        if self.tainted.contains(&record.short) {
            if let Some(life) = self.by_submission.get(&submission).and_then(|lives| lives.last()) {
                self.lives[*life].answered.get_or_insert((now, status));
            }
            return Ok(Some(Ticket::Doubtful));
        }
        let call_id = &record.call_id;
        let Some(life) = self.by_submission.get(&submission).and_then(|lives| lives.last()) else {
            return Err(format!("{call_id}: answered before it came"));
        };
        let life = &mut self.lives[*life];
        let fate = centres.shorts[record.short].fate;
        if !text.body.is_empty() {
            return Err(format!("{call_id}: a body in a response to MESSAGE (RFC 3428)"));
        }
        let refusal = status == 503
            && (self.may_refuse || nowhere_to_go || life.answered.is_some())
            && text.value("Retry-After").is_some();
        if !refusal && !fate.statuses().contains(&status) {
            return Err(format!("{call_id}: answered {status} ({fate:?})"));
        }
        match life.answered {
            None => life.answered = Some((now, status)),
            // It may have been forgotten between two copies.
            Some(_) if life.optional => life.answered = Some((now, status)),
            Some((_, first)) if first != status => {
                return Err(format!("I9: {call_id}: first {first}, then {status}"));
            }
            Some(_) => {}
        }
        Ok(Some(Ticket::Other))
    }

    /// The kernel told how a departure went.
    pub(crate) fn on_sent(&mut self, ticket: Ticket, sent: Sent) {
        let Err(error) = sent else { return };
        let post = match ticket {
            Ticket::Message(attempt) => Some(&mut self.attempts[attempt].post),
            Ticket::Report(life, post) => {
                self.lives[life].told.as_mut().and_then(|told| told.posts.get_mut(post))
            }
            Ticket::Doubtful | Ticket::Other => None,
        };
        if let Some(post) = post {
            post.refused = Some(error);
        }
    }

    /// The engine has closed a submission of a short message.
    pub(crate) fn on_account(
        &mut self,
        now: u64,
        account: &Account,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<Option<usize>> {
        self.accounts += 1;
        let call_id = String::from_utf8_lossy(account.sms_call_id.octets()).into_owned();
        let submission = centres.find_call(&call_id);
        let lives = submission.and_then(|submission| self.by_submission.get(&submission));
        let mut complaint = format!("I1: an account too many: {call_id} {account:?}");
        let lives = lives.cloned().unwrap_or_default();
        for life in lives.iter().copied() {
            if self.lives[life].account.is_some() {
                continue;
            }
            if self.lives[life].arrived != account.arrived.0 && lives.len() > 1 {
                continue;
            }
            match self.judge(life, &lives, account, now, centres, swarm) {
                Ok(()) => {
                    self.lives[life].account = Some(*account);
                    return Ok(Some(life));
                }
                Err(error) => complaint = format!("{call_id}: {error}"),
            }
        }
        let lenient = match submission.map(|submission| centres.submissions[submission].short) {
            Some(short) => self.tainted.contains(&short),
            None => !self.tainted.is_empty(),
        };
        if lenient { Ok(None) } else { Err(complaint) }
    }

    /// Judges an account. Two lives of one submission give the same reports, so that only their
    /// accounts tell whose was which.
    fn judge(
        &mut self,
        life: usize,
        lives: &[usize],
        account: &Account,
        now: u64,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let first = verdict::account(self, life, account, now, centres, swarm);
        if first.is_ok() {
            return first;
        }
        for other in lives.iter().copied().filter(|other| *other != life) {
            if self.lives[other].told.is_none() || self.lives[other].account.is_some() {
                continue;
            }
            self.exchange(life, other);
            if verdict::account(self, life, account, now, centres, swarm).is_ok() {
                return Ok(());
            }
            self.exchange(life, other);
        }
        first
    }

    fn exchange(&mut self, life: usize, other: usize) {
        let theirs = self.lives[other].told.take();
        self.lives[other].told = core::mem::replace(&mut self.lives[life].told, theirs);
        for place in self.branches.values_mut() {
            if let Place::Report(owner, _) = place {
                *owner = match *owner {
                    owner if owner == life => other,
                    owner if owner == other => life,
                    owner => owner,
                };
            }
        }
    }

    /// A turn is over: everything sound that came was answered at once.
    pub(crate) fn on_turn_end(&mut self) -> Verdict<()> {
        for life in core::mem::take(&mut self.fresh) {
            let life = &self.lives[life];
            let lenient = life.optional || self.may_refuse || self.tainted.contains(&life.short);
            if life.answered.is_none() && !lenient {
                return Err(format!("submission {} was not answered at once", life.submission));
            }
        }
        Ok(())
    }

    /// At the end: every submission that was accepted has its report and its account.
    pub(crate) fn at_end(&self, centres: &Centres, swarm: &Swarm) -> Verdict<()> {
        for life in &self.lives {
            let short = &centres.shorts[life.short];
            if life.optional || !life.is_accepted() || self.tainted.contains(&life.short) {
                continue;
            }
            let call_id = &centres.submissions[life.submission].call_id;
            if life.told.is_none() && short.fate.is_reported() {
                return Err(format!("I5: {call_id} has no report"));
            }
            if life.account.is_none() && short.fate.is_accounted() {
                return Err(format!("I1: {call_id} has no account"));
            }
        }
        for attempt in &self.attempts {
            attempt.post.was_repeated(swarm).map_err(|e| format!("{}: {e}", attempt.branch))?;
        }
        Ok(())
    }

    /// How many accepted submissions of these kinds have no account although one is owed.
    pub(crate) fn open(&self, centres: &Centres) -> usize {
        let open = |life: &&Life| {
            let owed = centres.shorts[life.short].fate.is_accounted();
            let lenient = life.optional || self.tainted.contains(&life.short);
            life.is_accepted() && owed && !lenient && life.account.is_none()
        };
        self.lives.iter().filter(open).count()
    }

    /// Whether nothing came that may have been a short message.
    pub(crate) fn is_untouched(&self) -> bool {
        self.lives.is_empty() && self.tainted.is_empty()
    }

    /// How many submissions there were that carry no message.
    pub(crate) fn others(&self, centres: &Centres) -> u64 {
        let other = |life: &&Life| !centres.shorts[life.short].fate.is_accounted();
        self.lives.iter().filter(other).count() as u64 + self.tainted.len() as u64
    }

    /// The instant messages of a short message, in order.
    pub(crate) fn attempts_of(&self, short: usize) -> impl DoubleEndedIterator<Item = &Attempt> {
        let indices = self.by_short.get(&short).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| &self.attempts[*index])
    }

    /// The lives of a short message, in order.
    pub(crate) fn lives_of(&self, short: usize) -> impl Iterator<Item = &Life> {
        let indices = self.lives_of.get(&short).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|index| &self.lives[*index])
    }

    /// Whether nobody can say what this short message was taken for.
    pub(crate) fn is_tainted(&self, short: usize) -> bool {
        self.tainted.contains(&short)
    }

    /// Whether another message from the same sender to the same URI was pending in this time.
    pub(crate) fn had_rival(&self, from: u64, to: u64, short: &Short, swarm: &Swarm) -> bool {
        self.attempts.iter().any(|other| {
            other.pair.1 == short.recipient
                && form::is_from(form::uri_in(&other.pair.0), short)
                && other.post.sent[0] <= to
                && other.post.may_be_pending(from.saturating_sub(slack(swarm)), swarm)
        }) || !self.tainted.is_empty()
    }

    pub(crate) fn look_up(&mut self, centres: &Centres) {
        for (index, short) in centres.shorts.iter().enumerate().skip(self.indexed) {
            let seen = (short.recipient.clone(), short.text.clone(), short.date());
            self.index.insert(seen, index);
        }
        self.indexed = centres.shorts.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::air::Air;
    use crate::centre::Task;
    use crate::chance::Chance;
    use crate::short::Fate;
    use crate::text::written;

    /// A service centre that has handed one plain short message over, and what the engine should
    /// do with it written by hand.
    struct Scene {
        swarm: Swarm,
        centres: Centres,
        gateway: Gateway,
        now: u64,
    }

    const SECONDS: u64 = SECOND;

    impl Scene {
        fn new() -> Self {
            let plain = |swarm: &Swarm| {
                swarm.gateway.messages > 0
                    && !swarm.route_by_uri
                    && swarm.t1_ms == 500
                    && swarm.deadline_ms == 28_000
                    && swarm.gateway.centres.iter().all(|centre| centre.route.is_empty())
                    && !swarm.gateway.cpim[0]
                    && swarm.faults.stalls == 0
                    && crate::judge::letter(200, swarm.places.servers[0].role) == 'D'
            };
            let mut swarms = (0..).map(|seed| Swarm::new(&mut Chance::new(seed)));
            let swarm = swarms.find(plain).unwrap();
            let mut air = Air::new(Chance::new(3), crate::swarm::Faults::none());
            let mut centres = Centres::default();
            let usable = |centres: &Centres| {
                let short = centres
                    .shorts
                    .iter()
                    .position(|short| short.fate == Fate::Send && short.originator.ton == 1)?;
                Some(short)
            };
            while usable(&centres).is_none() {
                centres.on_task(Task::Compose, false, &mut air, &swarm);
            }
            let short = usable(&centres).unwrap();
            for _ in 0..2 {
                centres.on_task(Task::Submit(short), false, &mut air, &swarm);
            }
            Self { swarm, centres, gateway: Gateway::default(), now: 10 * SECONDS }
        }

        /// The MESSAGE of a submission comes.
        fn arrives(&mut self, submission: usize) {
            let record = &self.centres.submissions[submission];
            let packet = Packet {
                from: self.swarm.gateway.centres[record.centre].addresses[0],
                to: self.swarm.places.sockets[0],
                octets: record.octets.clone(),
                grade: Grade::Sound,
                truncated: false,
                mark: Some(submission),
            };
            assert!(self.gateway.on_arrival(self.now, &packet, &self.centres, &self.swarm));
            let text = Text::read(&record.octets).unwrap();
            let via = text.vias().next().unwrap().trim();
            let answer = format!("SIP/2.0 200 OK\r\nVia: {via}\r\nContent-Length: 0\r\n\r\n");
            self.leaves(packet.from, answer.as_bytes()).unwrap();
            self.gateway.on_turn_end().unwrap();
        }

        fn leaves(&mut self, remote: roger::packet::Endpoint, octets: &[u8]) -> Verdict<()> {
            let flow = roger::packet::Flow { remote, ..Default::default() };
            let departure = Departure { flow, ..Departure::default() };
            let octets = octets.into();
            let Self { gateway, centres, swarm, now, .. } = self;
            gateway.on_departure(*now, &departure, &octets, centres, swarm).map(|_| ())
        }

        /// An instant message for the short message leaves.
        fn instant(&mut self, branch: &str, call_id: &str, cseq: u32) -> Verdict<()> {
            let short = &self.centres.shorts[self.centres.submissions[0].short];
            let octets = format!(
                "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch={branch}\r\n\
                 From: <sip:+{from}@{domain};user=phone>;tag=1\r\nTo: <{uri}>\r\n\
                 Call-ID: {call_id}\r\nCSeq: {cseq} MESSAGE\r\nDate: {date}\r\n\
                 Request-Disposition: no-fork\r\nContent-Type: text/plain; charset=UTF-8\r\n\
                 Content-Length: {len}\r\n\r\n{text}",
                uri = short.recipient,
                us = written(self.swarm.places.sockets[0]),
                from = short.originator.text,
                domain = form::DOMAIN,
                date = short.date(),
                len = short.text.len(),
                text = short.text,
            );
            let remote = short.targets[0];
            self.leaves(remote, octets.as_bytes())
        }

        /// A final response to it comes.
        fn response(&mut self, branch: &str, status: u16) {
            let octets =
                format!("SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch={branch}\r\n\r\n");
            let packet = Packet {
                from: self.swarm.places.servers[0].addresses[0],
                to: self.swarm.places.sockets[0],
                octets: octets.as_bytes().into(),
                grade: Grade::Sound,
                truncated: false,
                mark: None,
            };
            assert!(self.gateway.on_arrival(self.now, &packet, &self.centres, &self.swarm));
        }

        /// A report about a submission leaves.
        fn report(&mut self, branch: &str, submission: usize, body: &[u8]) -> Verdict<()> {
            let record = &self.centres.submissions[submission];
            let short = &self.centres.shorts[record.short];
            let head = format!(
                "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch={branch}\r\nTo: <{uri}>\r\n\
                 From: <{from}>;tag=2\r\nCall-ID: r{branch}\r\nCSeq: 1 MESSAGE\r\n\
                 In-Reply-To: {reply}\r\nContent-Type: application/vnd.3gpp.sms\r\n\
                 Content-Length: {len}\r\n\r\n",
                uri = record.report_to,
                from = short.recipient,
                reply = record.call_id,
                len = body.len(),
            );
            let remote = self.swarm.gateway.centres[record.centre].addresses[0];
            self.leaves(remote, &[head.as_bytes(), body].concat())
        }

        fn reference(&self, submission: usize) -> u8 {
            self.centres.submissions[submission].reference
        }

        /// Delivered and acknowledged.
        fn delivered() -> Self {
            let mut scene = Self::new();
            scene.arrives(0);
            scene.instant("z9hG4bK1", "c", 1).unwrap();
            scene.now += SECONDS;
            scene.response("z9hG4bK1", 200);
            let ack = [2, scene.reference(0), 0x41, 2, 0, 0];
            scene.report("z9hG4bKr1", 0, &ack).unwrap();
            scene
        }
    }

    #[test]
    fn what_is_right_is_let_pass() {
        Scene::delivered();
    }

    #[test]
    fn an_acknowledgement_needs_its_proof() {
        let mut scene = Scene::new();
        scene.arrives(0);
        scene.instant("z9hG4bK1", "c", 1).unwrap();
        let ack = [2, scene.reference(0)];
        assert!(scene.report("z9hG4bKr1", 0, &ack).unwrap_err().starts_with("I3"));
        scene.response("z9hG4bK1", 202);
        scene.centres.shorts[scene.centres.submissions[0].short].status_report = true;
        assert!(scene.report("z9hG4bKr1", 0, &ack).unwrap_err().starts_with("I3"));
    }

    #[test]
    fn a_report_is_said_once_and_with_its_own_reference() {
        let mut scene = Scene::delivered();
        let ack = [2, scene.reference(0), 0x41, 2, 0, 0];
        assert!(scene.report("z9hG4bKr2", 0, &ack).unwrap_err().starts_with("I5"));
        scene.arrives(1);
        let other = [2, scene.reference(1).wrapping_add(1)];
        assert!(scene.report("z9hG4bKr3", 1, &other).unwrap_err().starts_with("I7"));
        let own = [2, scene.reference(1)];
        scene.report("z9hG4bKr3", 1, &own).unwrap();
    }

    #[test]
    fn causes_of_the_network_are_not_for_an_ms() {
        for (cause, right) in [(111, true), (96, true), (22, false), (41, false), (38, false)] {
            let mut scene = Scene::new();
            scene.arrives(0);
            let error = [4, scene.reference(0), 1, cause];
            assert_eq!(scene.report("z9hG4bKr1", 0, &error).is_ok(), right, "{cause}");
        }
    }

    #[test]
    fn a_report_does_not_come_after_its_deadline() {
        let mut scene = Scene::new();
        scene.arrives(0);
        scene.now += 29 * SECONDS;
        let error = [4, scene.reference(0), 1, 111];
        assert!(scene.report("z9hG4bKr1", 0, &error).unwrap_err().starts_with("I8"));
    }

    #[test]
    fn what_was_delivered_is_not_sent_again() {
        let mut scene = Scene::delivered();
        scene.now += 100 * SECONDS;
        scene.arrives(1);
        assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with("H2"));
        // Long after that it may be another message.
        let mut scene = Scene::delivered();
        scene.now += 400 * SECONDS;
        scene.arrives(1);
        scene.instant("z9hG4bK2", "d", 1).unwrap();
    }

    #[test]
    fn what_was_refused_or_accepted_is_not_sent_again() {
        for (status, hazard) in [(404, "H61"), (202, "H3")] {
            let mut scene = Scene::new();
            scene.arrives(0);
            scene.instant("z9hG4bK1", "c", 1).unwrap();
            scene.response("z9hG4bK1", status);
            scene.now += 20 * SECONDS;
            scene.arrives(1);
            assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with(hazard));
        }
    }

    #[test]
    fn a_retry_has_the_same_call_id_and_the_next_cseq() {
        let unknown = || {
            let mut scene = Scene::new();
            scene.arrives(0);
            scene.instant("z9hG4bK1", "c", 1).unwrap();
            scene.response("z9hG4bK1", 486);
            scene.now += 5 * SECONDS;
            scene.arrives(1);
            scene
        };
        unknown().instant("z9hG4bK2", "c", 2).unwrap();
        assert!(unknown().instant("z9hG4bK2", "d", 1).unwrap_err().starts_with("H13"));
        assert!(unknown().instant("z9hG4bK2", "c", 1).unwrap_err().starts_with("H8"));
        let mut twice = unknown();
        twice.instant("z9hG4bK2", "c", 2).unwrap();
        twice.response("z9hG4bK2", 486);
        twice.now += SECONDS;
        let error = [4, twice.reference(0), 1, 111];
        twice.report("z9hG4bKr1", 0, &error).unwrap();
        assert!(twice.instant("z9hG4bK3", "c", 3).unwrap_err().starts_with("I9"));
    }

    #[test]
    fn one_message_to_a_uri_is_pending() {
        let mut scene = Scene::new();
        scene.arrives(0);
        scene.instant("z9hG4bK1", "c", 1).unwrap();
        scene.now += SECONDS;
        scene.arrives(1);
        assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with("R2"));
        let mut late = Scene::new();
        late.arrives(0);
        late.now += 12 * SECONDS;
        assert!(late.instant("z9hG4bK1", "c", 1).unwrap_err().starts_with("R2"));
    }
}
