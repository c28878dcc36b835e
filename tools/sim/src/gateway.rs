//! What truly crossed the boundary for short messages, and what must never cross it: one instant
//! message for one short message, one report for one submission, and nothing said that nobody has
//! proved.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::delivery::{Account, Asked};
use roger::packet::{Departure, Endpoint, SendError, Sent};

use crate::air::{Grade, Packet};
use crate::centre::{Centres, Submission};
use crate::form;
use crate::judge;
use crate::ledger::{Proof, Verdict, What, guess, slack};
use crate::rp::{Answer, Report};
use crate::short::{Fate, Short};
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::{Text, value_of};
use crate::verdict;

/// How long what was proved is remembered (hazard H2), and how long a delivery once its RP-ACK was
/// taken (refinement of H47).
pub(crate) const REMEMBERED: u64 = 300 * SECOND;
const REPEATED: u64 = 120 * SECOND;

/// One life of a submission: what became of it since it was accepted.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) submission: usize,
    pub(crate) short: usize,
    pub(crate) arrived: u64,
    /// The final response it got.
    pub(crate) answered: Option<(u64, u16)>,
    /// Whether it may just as well be a retransmission that is still remembered.
    pub(crate) optional: bool,
    /// The instant messages that were made for it.
    pub(crate) own: Vec<usize>,
    pub(crate) told: Option<Told>,
    pub(crate) account: Option<Account>,
}

/// A report.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: u64,
    pub(crate) answer: Answer,
    body: Box<[u8]>,
    /// More than one where somebody would not take it.
    pub(crate) posts: Vec<Post>,
}

/// One client transaction of ours.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) remote: Endpoint,
    pub(crate) octets: Rc<[u8]>,
    pub(crate) sent: Vec<u64>,
    /// How the kernel refused the first transmission.
    pub(crate) refused: Option<SendError>,
    /// What came about it, in order.
    pub(crate) proofs: Vec<Proof>,
}

/// An instant message.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) post: Post,
    pub(crate) branch: Box<str>,
    pub(crate) short: usize,
    /// From and Request-URI.
    pair: (String, String),
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Place {
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
    by_short: BTreeMap<usize, Vec<usize>>,
    by_pair: BTreeMap<(String, String), Vec<usize>>,
    /// Lives by submission, and by short message.
    by_submission: BTreeMap<usize, Vec<usize>>,
    lives_of: BTreeMap<usize, Vec<usize>>,
    branches: BTreeMap<Box<str>, Place>,
    /// What can be told apart by what its recipient sees.
    index: BTreeMap<(String, String, String), usize>,
    indexed: usize,
    /// Short messages of which a damaged copy came: nobody can say what they were taken for.
    tainted: BTreeSet<usize>,
    /// Branches of what was made of damaged copies.
    unknown: BTreeSet<Box<str>>,
    /// Lives that began in this turn.
    fresh: Vec<usize>,
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
        let Some(text) = Text::read(octets) else { return Ok(None) };
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
            Some((_, first)) if first != status => {
                return Err(format!("I9: {call_id}: first {first}, then {status}"));
            }
            Some(_) => {}
        }
        Ok(Some(Ticket::Other))
    }

    /// An instant message on its way to the IM side.
    fn message(
        &mut self,
        now: u64,
        branch: Box<str>,
        post: Post,
        text: &Text<'_>,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<Ticket> {
        self.look_up(centres);
        let message = form::Message::read(text, post.remote, swarm)?;
        let seen = (message.uri.clone(), message.text.clone(), message.date.clone());
        let Some(short) = self.index.get(&seen).copied() else {
            if self.tainted.is_empty() {
                return Err(format!("I7: an instant message that nobody has sent: {message:?}"));
            }
            self.unknown.insert(branch);
            return Ok(Ticket::Other);
        };
        let sent = &centres.shorts[short];
        let (asked, life) = if self.tainted.contains(&short) {
            (Asked::Once, None)
        } else {
            form::check(&message, sent, text)?;
            self.place(now, short, &message, &post, sent, swarm)?
        };
        let pair = (message.sender, message.uri);
        self.is_alone(now, &pair, short, swarm)?;
        let index = self.attempts.len();
        if let Some(life) = life {
            self.lives[life].own.push(index);
        }
        self.by_short.entry(short).or_default().push(index);
        self.by_pair.entry(pair.clone()).or_default().push(index);
        self.branches.insert(branch.clone(), Place::Message(index));
        let (call_id, cseq) = (message.call_id, message.cseq);
        self.attempts.push(Attempt { post, branch, short, pair, call_id, cseq, asked });
        Ok(Ticket::Message(index))
    }

    /// Which submission it is for, and as which try.
    fn place(
        &self,
        now: u64,
        short: usize,
        message: &form::Message,
        post: &Post,
        sent: &Short,
        swarm: &Swarm,
    ) -> Verdict<(Asked, Option<usize>)> {
        let who = &message.call_id;
        if sent.fate != Fate::Send {
            return Err(format!("{who}: sent on although it is {:?}", sent.fate));
        }
        let open = |life: &&usize| {
            let life = &self.lives[**life];
            life.told.is_none() && life.account.is_none() && life.is_accepted()
        };
        let lives = self.lives_of.get(&short).map_or(&[][..], Vec::as_slice);
        let last = self.attempts_of(short).last();
        if let Some(last) = last
            && let Some(asked) = last.leads_to(now, message, post, swarm)?
        {
            let next = asked == Asked::WithCredentials
                || self.is_next(now, Some(last.post.remote), post.remote, sent, swarm);
            if !next && !last.is_unsent() {
                return Err(format!("{who}: {:?} is not its next server", post.remote));
            }
            if next {
                let begun = |life: &&usize| open(life) && !self.lives[**life].own.is_empty();
                let life = lives.iter().find(begun).or_else(|| lives.iter().find(open));
                return Ok((asked, life.copied()));
            }
        }
        let waited = u64::from(swarm.gateway.uri_wait_ms) * MS;
        let in_time = |life: &&usize| now <= self.lives[**life].arrived + waited + slack(swarm);
        let new = |life: &&usize| open(life) && self.lives[**life].own.is_empty();
        let Some(life) = lives.iter().filter(new).find(in_time) else {
            let patient = lives.iter().find(|life| new(life) && !self.lives[**life].optional);
            return Err(match patient {
                Some(_) => format!("R2: {who} has waited longer than it may"),
                None => format!("I9: {who}: no open submission asks for it"),
            });
        };
        if !self.is_next(self.lives[*life].arrived, None, post.remote, sent, swarm) {
            return Err(format!("{who}: sent to {:?} first", post.remote));
        }
        self.may_be_sent(now, short, who, swarm)?;
        if let Some(last) = last {
            let open = |proof: &Proof| {
                matches!(verdict::letter(proof, last.asked, swarm), 'D' | 'P' | 'A')
            };
            let closed = self.attempts_of(short).any(|a| a.post.proofs.iter().any(open));
            let known = now < last.post.sent[0] + REMEMBERED && !closed;
            let next = last.cseq + 1;
            let same = last.is_unsent() && message.cseq == last.cseq;
            let follows = message.call_id == last.call_id && (message.cseq == next || same);
            let anew = message.call_id != last.call_id && message.cseq == 1;
            if !follows && (known || !anew) {
                let (before, was) = (&last.call_id, last.cseq);
                return Err(format!("H13: {who} {} where {before} {was} was before", message.cseq));
            }
        } else if message.cseq != 1 {
            return Err(format!("{who}: the first attempt has CSeq {}", message.cseq));
        }
        if self.attempts.iter().any(|other| other.short != short && other.call_id == *who) {
            return Err(format!("H13: {who} is the Call-ID of another short message"));
        }
        Ok((Asked::Once, Some(*life)))
    }

    /// Whether this server comes behind that one in the list, or first: those that said when they
    /// want to be asked again are left out until then (RFC 3261 section 21.5.4).
    fn is_next(
        &self,
        now: u64,
        before: Option<Endpoint>,
        next: Endpoint,
        sent: &Short,
        swarm: &Swarm,
    ) -> bool {
        let tried = sent.targets.iter().position(|target| Some(*target) == before);
        let targets = sent.targets.iter().skip(tried.map_or(0, |tried| tried + 1));
        let mut left_out = targets.take_while(|target| **target != next);
        // A server that lies before the last one that was tried is not turned to.
        let place = sent.targets.iter().position(|target| *target == next);
        place.is_some_and(|place| tried.is_none_or(|tried| tried < place))
            && left_out.all(|target| self.is_avoided(now, *target, swarm))
    }

    /// Whether this server has said when it wants to be asked again, and that is still to come.
    fn is_avoided(&self, now: u64, target: Endpoint, swarm: &Swarm) -> bool {
        let attempts = self.attempts.iter().filter(|attempt| attempt.post.remote == target);
        let mut proofs = attempts.flat_map(|attempt| &attempt.post.proofs);
        proofs.any(|proof| now < verdict::asked_again_at(proof) + slack(swarm))
    }

    /// Whether what is known about a short message leaves room for another try (H2, H47, H61).
    fn may_be_sent(&self, now: u64, short: usize, who: &str, swarm: &Swarm) -> Verdict<()> {
        let taken = self.lives_of.get(&short).is_some_and(|lives| {
            lives.iter().filter_map(|life| self.lives[*life].told.as_ref()).any(Told::may_be_taken)
        });
        let margin = slack(swarm);
        for attempt in self.attempts_of(short) {
            let first = attempt.post.sent[0];
            let limit = first + swarm.transaction();
            let mut ends = attempt.post.proofs.iter().filter(|proof| proof.ends());
            let decisive = ends
                .next()
                .filter(|proof| proof.certain && proof.at < now && proof.at + margin < limit);
            let within = |at: u64, window: u64| now + margin < at + window;
            match decisive.map(|proof| (verdict::letter(proof, attempt.asked, swarm), proof.at)) {
                Some(('P', at)) if within(at, u64::from(swarm.gateway.permanent_ms) * MS) => {
                    return Err(format!("H61: {who}: refused for good, and sent again"));
                }
                Some(('A', at)) if within(at, REMEMBERED) => {
                    return Err(format!("H3: {who}: accepted, and sent again"));
                }
                _ => {}
            }
            let proves = |proof: &&Proof| verdict::letter(proof, attempt.asked, swarm) == 'D';
            // What is repeated is not remembered for longer.
            let delivered = attempt.post.proofs.iter().find(proves).is_some_and(|proof| {
                let window = if taken { REPEATED } else { REMEMBERED };
                proof.certain
                    && proof.at < now
                    && proof.at + margin < first + swarm.transaction() + REMEMBERED
                    && within(proof.at, window)
            });
            if delivered {
                return Err(format!("H2: {who}: delivered, and sent again"));
            }
        }
        Ok(())
    }

    /// RFC 3428 section 8: one pending MESSAGE from one sender to one URI.
    fn is_alone(
        &self,
        now: u64,
        pair: &(String, String),
        short: usize,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let others = self.by_pair.get(pair).map_or(&[][..], Vec::as_slice);
        for other in others.iter().map(|other| &self.attempts[*other]) {
            if other.post.is_pending(now, swarm) && !self.tainted.contains(&short) {
                let (branch, call_id) = (&other.branch, &other.call_id);
                return Err(format!("R2: {pair:?} while {branch} {call_id} is pending"));
            }
        }
        Ok(())
    }

    /// A report on its way to a service centre.
    #[expect(clippy::too_many_arguments, reason = "one for each thing that it must agree with")]
    fn report(
        &mut self,
        now: u64,
        branch: Box<str>,
        centre: usize,
        post: Post,
        text: &Text<'_>,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<Ticket> {
        let about = text.value("In-Reply-To").and_then(|call_id| centres.find_call(call_id.trim()));
        let told = about.map(|about| &centres.submissions[about]);
        let lenient = match told {
            Some(told) => self.tainted.contains(&told.short),
            None => !self.tainted.is_empty(),
        };
        let Some(report) = Report::read(text.body) else {
            return Err(format!("a report that nobody can read: {:02x?}", text.body));
        };
        let life = about.and_then(|about| self.unreported(about, text));
        let (Some(submission), Some(life)) = (told, life) else {
            if lenient {
                self.unknown.insert(branch);
                return Ok(Ticket::Other);
            }
            return Err(format!("I5: a report about nothing that is open: {}", text.head));
        };
        let short = &centres.shorts[submission.short];
        if !lenient {
            let right = centre == submission.centre;
            if !right {
                return Err("I7: a report to another service centre".to_owned());
            }
            form::check_report(&report, submission, short, text, swarm)?;
            self.is_true(now, life, report.answer, submission, short, swarm)?;
        }
        let life_index = life;
        let life = &mut self.lives[life];
        let place = life.told.as_ref().map_or(0, |told| told.posts.len());
        match &mut life.told {
            None => {
                let (answer, body) = (report.answer, text.body.into());
                life.told = Some(Told { at: now, answer, body, posts: [post].into() });
            }
            Some(told) => {
                if told.body != text.body.into() && !lenient {
                    return Err("I5: the next server is told something else".to_owned());
                }
                told.posts.push(post);
            }
        }
        self.branches.insert(branch, Place::Report(life_index, place));
        Ok(Ticket::Report(life_index, place))
    }

    /// The life of a submission that waits for this report: its first one, or one for the next
    /// server.
    fn unreported(&self, submission: usize, text: &Text<'_>) -> Option<usize> {
        let lives = self.by_submission.get(&submission)?;
        lives.iter().copied().find(|life| {
            let life = &self.lives[*life];
            let waits = life.told.as_ref().is_none_or(|told| told.goes_on(text));
            waits && life.account.is_none() && life.is_accepted()
        })
    }

    /// Whether a report says what is proved (I3), in time (I8).
    fn is_true(
        &self,
        now: u64,
        life: usize,
        answer: Answer,
        submission: &Submission,
        short: &Short,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let who = &submission.call_id;
        let life = &self.lives[life];
        if now > life.arrived + swarm.deadline() + 2 * slack(swarm) && life.told.is_none() {
            return Err(format!("I8: {who}: reported after its deadline"));
        }
        let proved = |letter| {
            self.attempts_of(life.short).any(|attempt| {
                let mut proofs = attempt.post.proofs.iter();
                proofs.any(|proof| verdict::letter(proof, attempt.asked, swarm) == letter)
            })
        };
        let accepts = !short.status_report && form::accepts(short, swarm);
        let right = match (answer, short.fate) {
            (Answer::Ack, Fate::Send) => proved('D') || accepts && proved('A'),
            (Answer::Ack, Fate::Discard | Fate::Smma) => true,
            (Answer::Error { cause, .. }, Fate::Send | Fate::Unfit) => {
                matches!(cause, 95..=99 | 111)
            }
            (Answer::Error { cause, .. }, Fate::Submit) => cause == 69,
            (Answer::Error { cause, .. }, Fate::FromMs) => {
                matches!(cause, 69 | 81 | 95..=99 | 111)
            }
            _ => false,
        };
        if right { Ok(()) } else { Err(format!("I3: {who}: {answer:?} for {:?}", short.fate)) }
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
            if self.lives[life].arrived == account.arrived.0 {
                self.exchange(life, account.reported.0, &lives);
            }
            if self.lives[life].arrived != account.arrived.0 && lives.len() > 1 {
                continue;
            }
            match verdict::account(self, life, account, now, centres, swarm) {
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

    /// Two lives of one submission give the same reports, so that only their accounts tell whose
    /// was which.
    fn exchange(&mut self, life: usize, reported: u64, lives: &[usize]) {
        let told = |life: &Life| life.told.as_ref().is_some_and(|told| told.at == reported);
        if told(&self.lives[life]) {
            return;
        }
        let other = lives.iter().copied().find(|other| {
            let other = &self.lives[*other];
            told(other) && other.account.is_none()
        });
        let Some(other) = other else { return };
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
                && other.post.is_pending(from.saturating_sub(slack(swarm)), swarm)
        }) || !self.tainted.is_empty()
    }

    fn look_up(&mut self, centres: &Centres) {
        for (index, short) in centres.shorts.iter().enumerate().skip(self.indexed) {
            let seen = (short.recipient.clone(), short.text.clone(), short.date());
            self.index.insert(seen, index);
        }
        self.indexed = centres.shorts.len();
    }
}

impl Life {
    /// Whether it was answered for by us.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.answered, Some((_, 200..=299)))
    }
}

impl Told {
    /// Whether the service centre may have taken it.
    fn may_be_taken(&self) -> bool {
        let taken = |proof: &Proof| matches!(proof.what, What::Response(200..=299));
        self.answer == Answer::Ack && self.posts.iter().any(|post| post.proofs.iter().any(taken))
    }

    /// Whether another transaction may follow: nobody has taken the last one, or somebody asked
    /// who we are.
    fn goes_on(&self, text: &Text<'_>) -> bool {
        let authorized = ["Authorization", "Proxy-Authorization"];
        let authorized =
            text.lines().any(|line| authorized.iter().any(|name| value_of(line, name).is_some()));
        self.posts.last().is_some_and(|post| {
            let refused = post.refused.is_some_and(SendError::nothing_left);
            refused
                || post.proofs.iter().any(|proof| match proof.what {
                    What::Response(401 | 407) => authorized,
                    What::Response(status) => status == 503,
                    What::Unreachable => true,
                })
        })
    }
}

impl Post {
    /// Whether it may still be answered.
    fn is_pending(&self, now: u64, swarm: &Swarm) -> bool {
        !self.refused.is_some_and(SendError::nothing_left)
            && now < self.sent[0] + swarm.transaction()
            && !self.proofs.iter().any(|proof| proof.ends() && proof.at <= now)
    }

    /// Timer E (RFC 3261 section 17.1.2.2).
    fn retransmitted(
        &mut self,
        now: u64,
        remote: Endpoint,
        octets: &Rc<[u8]>,
        swarm: &Swarm,
    ) -> Verdict<()> {
        if self.octets != *octets || self.remote != remote {
            return Err("a retransmission differs".to_owned());
        }
        if self.proofs.iter().any(|proof| proof.at < now && proof.certain && proof.ends()) {
            return Err("retransmitted after its end".to_owned());
        }
        if self.sent.last().is_some_and(|last| now < last + self.interval(swarm)) {
            return Err("timer E came early".to_owned());
        }
        if now > self.sent[0] + swarm.transaction() + slack(swarm) {
            return Err("retransmitted after timer F".to_owned());
        }
        self.sent.push(now);
        Ok(())
    }

    fn interval(&self, swarm: &Swarm) -> u64 {
        let doubled = u64::from(swarm.t1_ms) << (self.sent.len() - 1).min(16);
        doubled.min(swarm.t2_ms.into()) * MS
    }

    /// Whether timer E has done what it should: each step may come late, none may be left out.
    pub(crate) fn was_repeated(&self, swarm: &Swarm) -> Verdict<()> {
        let settled = |proof: &&Proof| proof.ends() || matches!(proof.what, What::Response(_));
        let proved = self.proofs.iter().find(settled).map(|proof| proof.at);
        let end = proved.unwrap_or(u64::MAX).min(self.sent[0] + swarm.transaction());
        let last = self.sent.last().copied().unwrap_or(0);
        let due = last + self.interval(swarm) + slack(swarm);
        if due < end && !self.refused.is_some_and(SendError::nothing_left) {
            return Err(format!("timer E: nothing was sent after {last}, {due} was due"));
        }
        Ok(())
    }
}

impl Attempt {
    /// Whether the kernel has said that nothing has left.
    fn is_unsent(&self) -> bool {
        self.post.refused.is_some_and(SendError::nothing_left)
    }

    /// Whether this message may lead to that one without a new submission: a copy for the next
    /// server (RFC 3263 section 4.3, hazard H8), or one with credentials (RFC 3261 section 22.2).
    fn leads_to(
        &self,
        now: u64,
        message: &form::Message,
        post: &Post,
        swarm: &Swarm,
    ) -> Verdict<Option<Asked>> {
        if message.call_id != self.call_id {
            return Ok(None);
        }
        let answer = self.post.proofs.iter().rev().find(|proof| proof.ends());
        if message.cseq == self.cseq {
            if self.post.remote == post.remote && self.is_unsent() {
                // It has never left, so that this is the first one after all.
                return Ok(None);
            }
            let unsent = self.is_unsent();
            let turned_away = answer.is_some_and(|proof| {
                matches!(proof.what, What::Response(500 | 502 | 503)) || !proof.certain
            });
            if !unsent && !turned_away {
                return Err(format!(
                    "H8: {}: a copy although the first may be there",
                    self.call_id
                ));
            }
            return Ok(Some(if unsent { self.asked } else { Asked::Again }));
        }
        let challenged = answer.is_some_and(|proof| {
            matches!(proof.what, What::Response(401 | 407)) && proof.at == now
        });
        if message.authorized && message.cseq == self.cseq + 1 && challenged {
            let server = judge::server_of(post.remote, swarm);
            if !server.is_some_and(|server| swarm.gateway.known_to[server]) {
                return Err(format!("{}: credentials nobody gave us", self.call_id));
            }
            return Ok(Some(Asked::WithCredentials));
        }
        Ok(None)
    }
}
