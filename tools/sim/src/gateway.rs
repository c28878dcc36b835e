//! What truly crossed the boundary for short messages, and what must never cross it: one instant
//! message for one short message, one report for one submission, and nothing said that nobody has
//! proved.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roger::delivery::Account;
use roger::packet::{Departure, Sent};

use crate::air::{Grade, Packet};
use crate::calls::Calls;
use crate::centre::Centres;
use crate::form;
use crate::ledger::Verdict;
use crate::parts::Part;
use crate::post::{Attempt, Life, Post};
use crate::short::Short;
use crate::submission::{Proof, What, guess, sanitised, slack};
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
    /// A part of a text.
    Part(usize),
}

/// Whose departure it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ticket {
    Message(usize),
    Report(usize, usize),
    /// A part of a text.
    Part(usize),
    /// The transaction of an INVITE, of a call.
    Call(usize, usize),
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
    /// Lives whose request may not have reached whom it concerns.
    pub(crate) fresh: Vec<usize>,
    /// Proofs of which that holds as well.
    unsettled: Vec<(Place, usize)>,
    /// Who takes this turn.
    pub(crate) seat: usize,
    /// Branches of an earlier life of the process, and how many lives and attempts are of one.
    past: BTreeSet<Box<str>>,
    past_lives: usize,
    /// Where a worker is lost, so that nothing is repeated any more.
    lost: BTreeSet<usize>,
    past_attempts: usize,
    /// Whether a worker is lost: what concerns it is refused with 503.
    pub(crate) is_homeless: bool,
    /// Whether 503 is a right answer to new work.
    pub(crate) may_refuse: bool,
    /// Whether the process has been told to end, so that reports may be missing.
    pub(crate) abandoned: bool,
    /// Accounts so far.
    pub(crate) accounts: u64,
    /// Calls of Large Messages.
    pub(crate) calls: Calls,
    /// Texts in parts.
    pub(crate) parts: Vec<Part>,
}

impl Gateway {
    /// A datagram is about to be given to the engine. Whether it concerns short messages only.
    pub(crate) fn on_arrival(
        &mut self,
        now: u64,
        since: u64,
        packet: &Packet,
        centres: &Centres,
        swarm: &Swarm,
    ) -> bool {
        if let Some(submission) = packet.mark {
            let short = centres.submissions[submission].short;
            if packet.grade == Grade::Sound {
                self.arrived(now, since, submission, short, swarm);
                return true;
            }
            self.tainted.insert(short);
            return false;
        }
        if self.calls.on_arrival(now, packet) {
            return true;
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
        if self.calls.on_unreachable(now, quoted, grade) {
            return true;
        }
        let branch = crate::submission::quoted_branch(quoted);
        let Some(place) = branch.and_then(|branch| self.branches.get(&branch).copied()) else {
            return false;
        };
        self.prove(place, now, What::Unreachable, grade == Grade::Sound, &quoted.into());
        true
    }

    fn prove(&mut self, place: Place, at: u64, what: What, sound: bool, octets: &Rc<[u8]>) {
        let post = match place {
            Place::Message(attempt) => Some(&mut self.attempts[attempt].post),
            Place::Part(part) => Some(&mut self.parts[part].post),
            Place::Report(life, post) => {
                self.lives[life].told.as_mut().and_then(|told| told.posts.get_mut(post))
            }
        };
        let Some(post) = post else { return };
        let (server, octets) = (post.remote, octets.clone());
        self.unsettled.push((place, post.proofs.len()));
        post.proofs.push(Proof { at, what, by: u64::MAX, certain: sound, server, octets });
    }

    /// A sound MESSAGE of a service centre.
    fn arrived(&mut self, now: u64, since: u64, submission: usize, short: usize, swarm: &Swarm) {
        let lives = self.by_submission.entry(submission).or_default();
        let optional = match lives.last().map(|life| &self.lives[*life]) {
            None => self.tainted.contains(&short),
            // Which copy was new again only the account tells.
            Some(last) if last.optional && last.told.is_none() && last.arrived < now => true,
            // Timer J is a lower bound: for a while it is still known, or new again.
            Some(Life { answered: Some((at, _)), .. }) if since >= at + swarm.transaction() => true,
            Some(Life { answered: None, arrived, .. }) if *arrived < now => {
                // The copies before this one were dropped for want of room, or are on their way.
                if let Some(last) = lives.last() {
                    self.lives[*last].arrived = now;
                    self.lives[*last].copies.push(now);
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
            copies: [now].into(),
            seat: None,
            is_lost: false,
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
            let doubtful = swarm.faults.corrupting() && ours && sane.starts_with(b"MESSAGE ")
                || self.calls.may_answer_damage(&sane);
            return Ok(doubtful.then_some(Ticket::Other));
        };
        if let Some(ticket) = self.on_call_departure(now, departure, octets, swarm)? {
            return Ok(Some(ticket));
        }
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
                Place::Part(part) => &mut self.parts[part].post,
                Place::Report(life, post) => {
                    let told = self.lives[life].told.as_mut();
                    &mut told.ok_or_else(|| "a report without its life".to_owned())?.posts[post]
                }
            };
            post.retransmitted(now, remote, octets, swarm).map_err(|e| format!("{branch}: {e}"))?;
            return Ok(Some(Ticket::Other));
        }
        if self.past.contains(&branch) {
            return Err(format!("{branch}: sent by an earlier life, and sent again"));
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
            is_stream: crate::tcp::is_stream(departure.flow.socket),
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
            None => (life.answered, life.seat) = (Some((now, status)), Some(self.seat)),
            // It may have been forgotten between two copies.
            Some(_) if life.optional => life.answered = Some((now, status)),
            // Who refused it before, or answered what is no message, is there no more.
            Some((_, first))
                if status == 503 && self.is_homeless && (first >= 300 || !fate.is_accounted()) => {}
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
            Ticket::Part(part) => Some(&mut self.parts[part].post),
            Ticket::Report(life, post) => {
                self.lives[life].told.as_mut().and_then(|told| told.posts.get_mut(post))
            }
            Ticket::Call(call, transaction) => {
                return self.calls.on_sent((call, transaction), error);
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
            let record = &mut self.lives[life];
            let arrived = record.arrived;
            if record.copies.contains(&account.arrived.0) {
                record.arrived = account.arrived.0;
            }
            if record.arrived != account.arrived.0 && lives.len() > 1 {
                continue;
            }
            match self.judge(life, &lives, account, now, centres, swarm) {
                Ok(()) => {
                    self.lives[life].account = Some(*account);
                    return Ok(Some(life));
                }
                Err(error) => {
                    self.lives[life].arrived = arrived;
                    complaint = format!("{call_id}: {error}");
                }
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
        // Of two submissions that were on their way at the same time either may have come first.
        let others: Vec<usize> = match swarm.crew.workers {
            1 => Vec::new(),
            _ => self.lives_of.get(&self.lives[life].short).cloned().unwrap_or_default(),
        };
        for other in others {
            let [one, two] = [life, other].map(|life| self.lives[life].own.is_empty());
            if one == two {
                continue;
            }
            self.exchange_own(life, other);
            if verdict::account(self, life, account, now, centres, swarm).is_ok() {
                return Ok(());
            }
            self.exchange_own(life, other);
        }
        first
    }

    fn exchange_own(&mut self, life: usize, other: usize) {
        let theirs = core::mem::take(&mut self.lives[other].own);
        self.lives[other].own = core::mem::replace(&mut self.lives[life].own, theirs);
    }

    fn exchange(&mut self, life: usize, other: usize) {
        let theirs = self.lives[other].told.take();
        self.lives[other].told = core::mem::replace(&mut self.lives[life].told, theirs);
        let unsettled = self.unsettled.iter_mut().map(|(place, _)| place);
        for place in self.branches.values_mut().chain(unsettled) {
            if let Place::Report(owner, _) = place {
                *owner = match *owner {
                    owner if owner == life => other,
                    owner if owner == other => life,
                    owner => owner,
                };
            }
        }
    }

    /// Requests that have not reached whom they concern may have been dropped for want of room.
    pub(crate) fn on_requests_dropped(&mut self) {
        self.fresh.clear();
    }

    /// The same with proofs: they need not count any more.
    pub(crate) fn on_proofs_dropped(&mut self) {
        self.calls.on_proofs_dropped();
        self.unsettled.clear();
    }

    /// The process has ended without warning: nobody reports or tells what was open, and everything
    /// that comes is new.
    pub(crate) fn on_death(&mut self, now: u64) {
        self.calls.on_death(None, now);
        for life in &mut self.lives {
            life.optional = true;
        }
        self.past.extend(core::mem::take(&mut self.branches).into_keys());
        (self.past_lives, self.past_attempts) = (self.lives.len(), self.attempts.len());
        self.accounts = 0;
        self.by_short.clear();
        self.by_pair.clear();
        self.by_submission.clear();
        self.lives_of.clear();
        self.fresh.clear();
        self.unsettled.clear();
        self.lost.clear();
        self.is_homeless = false;
    }

    /// A worker is lost, and what was left there was told: nothing is owed any more for the rest,
    /// whose verdict was reached. How many these are.
    pub(crate) fn on_loss(&mut self, seat: usize, now: u64, centres: &Centres) -> usize {
        self.calls.on_death(Some(seat), now);
        let before = self.open(centres);
        self.lost.insert(seat);
        for life in self.lives.iter_mut().filter(|life| life.seat == Some(seat)) {
            life.is_lost = true;
        }
        before - self.open(centres)
    }

    /// Everything that came has reached whom it concerns: what was sound was answered at once.
    pub(crate) fn on_settled(&mut self, now: u64) -> Verdict<()> {
        self.calls.on_settled(now);
        for (place, proof) in core::mem::take(&mut self.unsettled) {
            let post = match place {
                Place::Message(attempt) => Some(&mut self.attempts[attempt].post),
                Place::Part(part) => Some(&mut self.parts[part].post),
                Place::Report(life, post) => {
                    self.lives[life].told.as_mut().and_then(|told| told.posts.get_mut(post))
                }
            };
            if let Some(proof) = post.and_then(|post| post.proofs.get_mut(proof)) {
                proof.by = now;
            }
        }
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
            let lenient = life.optional || life.is_lost || self.tainted.contains(&life.short);
            if lenient || !life.is_accepted() {
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
        self.calls.at_end(swarm)?;
        let lives = self.attempts.iter().skip(self.past_attempts);
        for attempt in lives.filter(|attempt| !self.lost.contains(&attempt.seat)) {
            attempt.post.was_repeated(swarm).map_err(|e| format!("{}: {e}", attempt.branch))?;
        }
        Ok(())
    }

    /// How many accepted submissions of these kinds have no account although one is owed.
    pub(crate) fn open(&self, centres: &Centres) -> usize {
        let open = |life: &&Life| {
            let owed = centres.shorts[life.short].fate.is_accounted();
            let lenient = life.optional || life.is_lost || self.tainted.contains(&life.short);
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
        let lives = self.lives.iter().skip(self.past_lives);
        lives.filter(other).count() as u64 + self.tainted.len() as u64
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
        }) || self.calls.list.iter().any(|call| call.uri == short.recipient && call.begun <= to)
            || !self.parts.is_empty()
            || !self.tainted.is_empty()
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
mod tests;
