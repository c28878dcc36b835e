//! Instant messages on their way to the IM side: for whom, after what, and when there must be none.

use roger::delivery::Asked;
use roger::packet::Endpoint;

use crate::centre::Centres;
use crate::form;
use crate::gateway::{Gateway, Place, REMEMBERED, REPEATED, Ticket};
use crate::ledger::Verdict;
use crate::post::{Attempt, Post, Told};
use crate::short::{Fate, Short};
use crate::submission::{Proof, What, slack};
use crate::swarm::{MS, Swarm};
use crate::text::Text;
use crate::verdict;

/// Whether it says that a MESSAGE is too large (RFC 3261 sections 21.4.11 and 21.5.7).
const fn is_too_large(proof: &Proof) -> bool {
    matches!(proof.what, What::Response(413 | 513))
}

impl Gateway {
    /// An instant message on its way to the IM side.
    pub(crate) fn message(
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
            if let Some(short) = self.part_of(&message, now, centres, swarm) {
                return self.on_part(now, (branch, post), message, short, swarm);
            }
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
        self.attempts.push(Attempt {
            post,
            seat: self.seat,
            branch,
            short,
            pair,
            call_id,
            cseq,
            asked,
        });
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
            && let Some(asked) = last.leads_to(message, post, swarm)?
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
            let in_parts = self.parts.iter().any(|part| part.short == short);
            if !follows && !in_parts && (known || !anew) {
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
    pub(crate) fn is_avoided(&self, now: u64, target: Endpoint, swarm: &Swarm) -> bool {
        let attempts = self.attempts.iter().filter(|attempt| attempt.post.remote == target);
        let mut proofs = attempts.flat_map(|attempt| &attempt.post.proofs);
        // What was made of a damaged copy may have been answered so, and nobody can tell.
        !self.unknown.is_empty()
            || proofs.any(|proof| now < verdict::asked_again_at(proof) + slack(swarm))
    }

    /// Whether what is known about a short message leaves room for another try (H2, H47, H61).
    fn may_be_sent(&self, now: u64, short: usize, who: &str, swarm: &Swarm) -> Verdict<()> {
        let taken = self.lives_of.get(&short).is_some_and(|lives| {
            lives.iter().filter_map(|life| self.lives[*life].told.as_ref()).any(Told::may_be_taken)
        });
        let margin = slack(swarm);
        let attempts: Vec<&Attempt> = self.attempts_of(short).collect();
        let proved = attempts.iter().any(|attempt| {
            let mut proofs = attempt.post.proofs.iter();
            proofs.any(|proof| verdict::letter(proof, attempt.asked, swarm) == 'D')
        });
        for (at, attempt) in attempts.iter().enumerate() {
            let first = attempt.post.sent[0];
            let limit = first + swarm.transaction();
            let decisive = attempt
                .post
                .first_end()
                .filter(|proof| proof.certain && proof.by < now && proof.by + margin < limit);
            let within = |at: u64, window: u64| now + margin < at + window;
            match decisive.map(|proof| (verdict::letter(proof, attempt.asked, swarm), proof.at)) {
                // Proof of delivery that came later has taken its place.
                // Too large for a MESSAGE is not too large for a session.
                Some(('P', _)) if decisive.is_some_and(is_too_large) && swarm.large.is_some() => {}
                Some(('P', at))
                    if !proved && within(at, u64::from(swarm.gateway.permanent_ms) * MS) =>
                {
                    return Err(format!("H61: {who}: refused for good at {at}, and sent again"));
                }
                Some(('A', at)) if !proved && within(at, REMEMBERED) => {
                    return Err(format!("H3: {who}: accepted at {at}, and sent again"));
                }
                _ => {}
            }
            let proves = |proof: &&Proof| verdict::letter(proof, attempt.asked, swarm) == 'D';
            // Whoever turned it away has no say any more once another server was asked.
            let turned_away = attempts.get(at + 1).is_some_and(|next| next.asked != Asked::Once);
            // What is repeated is not remembered for longer.
            let mut proofs = attempt.post.proofs.iter();
            let delivered = proofs.find(proves).filter(|_| !turned_away).is_some_and(|proof| {
                let window = if taken { REPEATED } else { REMEMBERED };
                proof.certain
                    && proof.by < now
                    && proof.by + margin < first + swarm.transaction() + REMEMBERED
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
}
