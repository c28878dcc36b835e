//! Texts that go in several MESSAGEs, because nobody takes a session for them: whole is what was taken in
//! all its parts.

use roger::delivery::Asked;

use crate::centre::Centres;
use crate::form;
use crate::gateway::{Gateway, Place, Ticket};
use crate::ledger::Verdict;
use crate::post::Post;
use crate::short::Short;
use crate::swarm::Swarm;
use crate::verdict;

/// A part of a text.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) short: usize,
    pub(crate) text: String,
    pub(crate) uri: String,
    pub(crate) call_id: String,
    pub(crate) branch: Box<str>,
    pub(crate) post: Post,
}

impl Gateway {
    /// The short message of which this is a part: the next one, and of the same Call-ID if that was there.
    pub(crate) fn part_of(
        &self,
        message: &form::Message,
        now: u64,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Option<usize> {
        swarm.large.as_ref()?;
        let of_call = |short: &usize| {
            let calls = self.attempts_of(*short).map(|attempt| attempt.call_id.as_str());
            let parts = self.parts.iter().filter(|part| part.short == *short);
            calls.chain(parts.map(|part| part.call_id.as_str())).any(|had| had == message.call_id)
        };
        let its = self.index.iter().filter(|((uri, text, date), short)| {
            *uri == message.uri
                && *date == message.date
                && text.contains(&message.text)
                && form::is_from(&message.from, &centres.shorts[**short])
                && self.is_wanted(**short, now)
        });
        let its: Vec<usize> = its.map(|(_, short)| *short).collect();
        its.iter().copied().find(of_call).or_else(|| its.first().copied())
    }

    /// A part on its way to the IM side: never two at once, and none that was taken before.
    pub(crate) fn on_part(
        &mut self,
        now: u64,
        (branch, post): (Box<str>, Post),
        message: form::Message,
        short: usize,
        swarm: &Swarm,
    ) -> Verdict<Ticket> {
        let pending = |part: &&Part| part.short == short && part.post.is_pending(now, swarm);
        if let Some(other) = self.parts.iter().find(pending) {
            return Err(format!("R2: {branch}: a part while {} is pending", other.branch));
        }
        let ticket = Ticket::Part(self.parts.len());
        self.branches.insert(branch.clone(), Place::Part(self.parts.len()));
        let form::Message { uri, text, call_id, .. } = message;
        self.parts.push(Part { short, uri, text, call_id, branch, post });
        Ok(ticket)
    }

    /// Whether all of a text went in parts for which this holds, whichever of two that begin alike they were
    /// taken for.
    pub(crate) fn is_whole_in_parts(&self, short: &Short, holds: &dyn Fn(&Part) -> bool) -> bool {
        let mut reached = 0;
        let its = self.parts.iter().filter(|part| part.uri == short.recipient && holds(part));
        for part in its {
            if !part.text.is_empty() && short.text[reached..].starts_with(&part.text) {
                reached += part.text.len();
            }
        }
        reached > 0 && reached == short.text.len()
    }

    /// Whether each part of a text was delivered, or at least accepted where that is enough.
    pub(crate) fn was_taken_in_parts(
        &self,
        short: &Short,
        accepts: bool,
        now: u64,
        swarm: &Swarm,
    ) -> bool {
        self.is_whole_in_parts(short, &|part| {
            part.post.proofs.iter().any(|proof| {
                let letter = verdict::letter(proof, Asked::Once, swarm);
                proof.at <= now && (letter == 'D' || accepts && letter == 'A')
            })
        })
    }
}
