//! Submissions of short messages and the client transactions of ours that they lead to.

use std::rc::Rc;

use roger::delivery::{Account, Asked};
use roger::packet::{Endpoint, SendError};

use crate::form;
use crate::judge;
use crate::ledger::Verdict;
use crate::rp::Answer;
use crate::submission::{Proof, What, slack};
use crate::swarm::{MS, Swarm};
use crate::text::{Text, value_of};

/// One life of a submission: what became of it since it was accepted.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) submission: usize,
    pub(crate) short: usize,
    pub(crate) arrived: u64,
    /// When each copy arrived that may have been the first.
    pub(crate) copies: Vec<u64>,
    /// Where it was answered.
    pub(crate) seat: Option<usize>,
    /// Whether that worker is lost, so that nothing is owed.
    pub(crate) is_lost: bool,
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
    pub(crate) body: Box<[u8]>,
    /// More than one where somebody would not take it.
    pub(crate) posts: Vec<Post>,
}

/// One client transaction of ours.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) remote: Endpoint,
    pub(crate) octets: Rc<[u8]>,
    pub(crate) sent: Vec<u64>,
    /// Whether it went over a connection.
    pub(crate) is_stream: bool,
    /// How the kernel refused the first transmission.
    pub(crate) refused: Option<SendError>,
    /// What came about it, in order.
    pub(crate) proofs: Vec<Proof>,
}

/// An instant message.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) post: Post,
    /// Where it was sent.
    pub(crate) seat: usize,
    pub(crate) branch: Box<str>,
    pub(crate) short: usize,
    /// From and Request-URI.
    pub(crate) pair: (String, String),
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) asked: Asked,
}

impl Life {
    /// Whether it was answered for by us.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.answered, Some((_, 200..=299)))
    }
}

impl Told {
    /// Whether the service centre may have taken it.
    pub(crate) fn may_be_taken(&self) -> bool {
        let taken = |proof: &Proof| matches!(proof.what, What::Response(200..=299));
        self.answer == Answer::Ack && self.posts.iter().any(|post| post.proofs.iter().any(taken))
    }

    /// Whether another transaction may follow: nobody has taken the last one, or somebody asked
    /// who we are.
    pub(crate) fn goes_on(&self, text: &Text<'_>) -> bool {
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
    pub(crate) fn is_pending(&self, now: u64, swarm: &Swarm) -> bool {
        !self.refused.is_some_and(SendError::nothing_left)
            && now < self.sent[0] + swarm.transaction()
            && !self.proofs.iter().any(|proof| proof.ends() && proof.at <= now)
    }

    /// The same where what is doubtful may have been dropped.
    pub(crate) fn may_be_pending(&self, now: u64, swarm: &Swarm) -> bool {
        let ended = |proof: &Proof| proof.certain && proof.ends() && proof.by <= now;
        now < self.sent[0] + swarm.transaction() && !self.proofs.iter().any(ended)
    }

    /// The final response or error that came first, unless another one may have overtaken it.
    pub(crate) fn first_end(&self) -> Option<&Proof> {
        let mut ends = self.proofs.iter().filter(|proof| proof.ends());
        let first = ends.next()?;
        ends.all(|other| other.at >= first.by).then_some(first)
    }

    /// Timer E (RFC 3261 section 17.1.2.2).
    pub(crate) fn retransmitted(
        &mut self,
        now: u64,
        remote: Endpoint,
        octets: &Rc<[u8]>,
        swarm: &Swarm,
    ) -> Verdict<()> {
        if self.octets != *octets || self.remote != remote {
            return Err("a retransmission differs".to_owned());
        }
        if self.is_stream {
            return Err("repeated over a connection".to_owned());
        }
        if self.proofs.iter().any(|proof| proof.by < now && proof.certain && proof.ends()) {
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

    pub(crate) fn interval(&self, swarm: &Swarm) -> u64 {
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
        if due < end && !self.is_stream && !self.refused.is_some_and(SendError::nothing_left) {
            return Err(format!("timer E: nothing was sent after {last}, {due} was due"));
        }
        Ok(())
    }
}

impl Attempt {
    /// Whether the kernel has said that nothing has left.
    pub(crate) fn is_unsent(&self) -> bool {
        self.post.refused.is_some_and(SendError::nothing_left)
    }

    /// Whether this message may lead to that one without a new submission: a copy for the next
    /// server (RFC 3263 section 4.3, hazard H8), or one with credentials (RFC 3261 section 22.2).
    pub(crate) fn leads_to(
        &self,
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
            // Credentials that have not left were not refused.
            return Ok(Some(match self.asked {
                _ if !unsent => Asked::Again,
                Asked::WithCredentials => Asked::Once,
                asked @ (Asked::Once | Asked::Again) => asked,
            }));
        }
        let challenged = answer.is_some_and(|proof| {
            matches!(proof.what, What::Response(401 | 407)) && proof.is_fresh()
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
