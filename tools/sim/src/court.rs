//! Large Messages under judgement: what was right to decide about one, by what was seen in its calls and in
//! its sessions, and by a table of its own.

use roger::delivery::{Account, Asked, Evidence, Final, MsrpRole, Verdict as Decided};
use roger::packet::SendError;

use crate::calls::Call;
use crate::centre::Centres;
use crate::form::{self, uri_in};
use crate::gateway::{Gateway, REMEMBERED, REPEATED, Ticket};
use crate::judge::server_of;
use crate::ledger::Verdict;
use crate::post::{Attempt, Life};
use crate::short::Short;
use crate::submission::{Proof, What, slack};
use crate::swarm::{MS, Swarm};
use crate::text::Text;
use crate::verdict;
use crate::wire::{Talk, Topic};

/// What an error to the INVITE proves: nothing has left before there is a session, so that all of it is
/// certain.
fn invite_letter(status: u16, retry_after: bool, asked: Asked) -> char {
    match status {
        401 | 407 if asked == Asked::WithCredentials => 'P',
        404 | 413 | 513 if retry_after => 'T',
        301 | 501 | 505 | 513 | 580 => 'P',
        401 | 407 | 408 | 430 | 480 | 481 | 486 | 487 | 491 | 600 => 'T',
        // A 2xx decides only if it came too late.
        200..=399 | 500..=599 => 'T',
        _ => 'P',
    }
}

/// What a response to a chunk proves, or a REPORT.
const fn msrp_letter(status: u16) -> char {
    match status {
        408 | 201..=299 => 'U',
        481 | 506 => 'T',
        400..=499 | 501 => 'P',
        _ => 'T',
    }
}

/// What the evidence proves, if it can only be of a Large Message.
pub(crate) fn letter(evidence: Evidence) -> Option<char> {
    Some(match evidence {
        Evidence::Invite(Final { status, retry_after, asked, .. }) => {
            invite_letter(status, retry_after, asked)
        }
        Evidence::MsrpResponse(status) | Evidence::MsrpReport(status) => msrp_letter(status),
        Evidence::Acknowledged | Evidence::Reported => 'D',
        Evidence::AnswerUnusable => 'P',
        Evidence::InviteTimeout
        | Evidence::InviteError
        | Evidence::Unfinished
        | Evidence::Aborted
        | Evidence::ByeBeforeEnd
        | Evidence::NeverConnected
        | Evidence::ConnectionUnused => 'T',
        Evidence::MsrpTimeout
        | Evidence::ReportMissing
        | Evidence::ByeAfterEnd
        | Evidence::ConnectionLost => 'U',
        Evidence::Final(_)
        | Evidence::TimerF
        | Evidence::Deadline
        | Evidence::DeadlineUnsent
        | Evidence::UriWait
        | Evidence::NeverSent
        | Evidence::Unreachable
        | Evidence::Shutdown
        | Evidence::WorkerLost
        | Evidence::Earlier { .. }
        | Evidence::Content { .. }
        | Evidence::Discarded
        | Evidence::Submission(_) => return None,
    })
}

/// A Large Message under judgement.
pub(crate) struct Court<'a> {
    gateway: &'a Gateway,
    life: &'a Life,
    account: &'a Account,
    swarm: &'a Swarm,
    /// The calls that were made for it since it came, the one that its account names among them.
    calls: Vec<&'a Call>,
    short: &'a Short,
    /// It and those that say the same to the same recipient: in a session that was there nobody can tell
    /// which of them is sent.
    alike: Vec<usize>,
}

impl<'a> Court<'a> {
    /// None if it was no Large Message.
    pub(crate) fn of(
        gateway: &'a Gateway,
        life: &'a Life,
        account: &'a Account,
        (short, centres): (&'a Short, &'a Centres),
        swarm: &'a Swarm,
    ) -> Option<Self> {
        swarm.large.as_ref()?;
        let alike: Vec<usize> = gateway.alike(life.short, centres).collect();
        let named = gateway.calls.named(account.im_call_id.octets());
        let named = named.map(|named| &gateway.calls.list[named]).filter(|call| !call.is_past);
        let mut calls: Vec<&Call> = named.into_iter().collect();
        for (call, _) in gateway.calls.talks_of(life.short) {
            if calls.iter().all(|had| had.call_id != call.call_id) {
                calls.push(call);
            }
        }
        let is_one = !calls.is_empty() || letter(account.evidence).is_some();
        let in_parts = gateway.parts.iter().any(|part| part.uri == short.recipient);
        let too_large = |proof: &Proof| matches!(proof.what, What::Response(413 | 513));
        let mut attempts = gateway.attempts_of(life.short);
        let was_too_large = attempts.any(|attempt| attempt.post.proofs.iter().any(too_large));
        (is_one || in_parts || was_too_large).then_some(Self {
            gateway,
            life,
            account,
            swarm,
            calls,
            short,
            alike,
        })
    }

    fn talks(&self) -> impl Iterator<Item = (&Call, &Talk)> {
        self.alike.iter().flat_map(|short| self.gateway.calls.talks_of(*short))
    }

    fn role(&self, call: &Call) -> MsrpRole {
        role_of(call, self.swarm)
    }

    /// What it was decided by must have happened, and nothing better before; whether a MESSAGE decided,
    /// which is judged elsewhere.
    pub(crate) fn judge(&self) -> Verdict<bool> {
        let said = verdict::of(self.account.verdict);
        if let Some(due) = letter(self.account.evidence)
            && due != said
        {
            return Err(format!("verdict {said} where {:?} proves {due}", self.account.evidence));
        }
        for call in &self.calls {
            self.belongs(call)?;
        }
        if self.calls.iter().any(|call| call.is_tainted) {
            return Ok(true);
        }
        let decided = self.account.decided.0;
        if self.is_in_parts() {
            return self.judge_parts(decided, said).map(|()| true);
        }
        let right = self.evidence(decided)?;
        if right == Some(false) {
            return Err(format!("I3: {:?} is not so", self.account.evidence));
        }
        self.order(decided, said)?;
        Ok(right.is_some())
    }

    /// Whether it went in parts since it came, or while it was attached to another submission.
    fn is_in_parts(&self) -> bool {
        let mut parts = self.gateway.parts.iter();
        parts.any(|part| {
            part.uri == self.short.recipient
                && part.post.sent[0] <= self.account.decided.0
                && self.short.text.contains(&part.text)
        })
    }

    /// A text in parts is delivered when each part is, and when not, it is not.
    fn judge_parts(&self, decided: u64, said: char) -> Verdict<()> {
        let short = self.life.short;
        let mut attempts = self.gateway.attempts_of(short);
        let whole = attempts.any(|attempt| {
            let letter = |proof: &Proof| verdict::letter(proof, attempt.asked, self.swarm);
            attempt.post.proofs.iter().any(|proof| letter(proof) == 'D')
        });
        let proved = self.gateway.was_delivered(short, decided, self.swarm)
            || whole
            || self.gateway.was_taken_in_parts(self.short, false, decided, self.swarm);
        if said == 'D' && !proved {
            return Err("I3: delivered, and not in all its parts".to_owned());
        }
        Ok(())
    }

    /// Whether a call was to whom it should be.
    fn belongs(&self, call: &Call) -> Verdict<()> {
        if call.uri.as_bytes().starts_with(self.account.recipient.octets()) {
            Ok(())
        } else {
            Err(format!("I7: {} was to {}", call.call_id, call.uri))
        }
    }

    /// Whether the evidence is so; nothing where it is judged elsewhere.
    #[expect(clippy::too_many_lines, reason = "an arm for each kind of evidence")]
    fn evidence(&self, decided: u64) -> Verdict<Option<bool>> {
        let slack = slack(self.swarm);
        let due = self.life.arrived + self.swarm.deadline();
        let near = decided >= due && decided <= due + slack;
        let large = self.swarm.large.as_ref();
        let wait = large.map_or(0, |large| u64::from(large.report_wait_ms) * MS);
        let by = |at: Option<u64>| at.is_some_and(|at| at <= decided);
        let any = |holds: &dyn Fn(&Call, &Talk) -> bool| {
            self.talks().any(|(call, talk)| talk.begun <= decided && holds(call, talk))
        };
        let none = |holds: &dyn Fn(&Call, &Talk) -> bool| self.alike.len() > 1 || !any(holds);
        let right = match self.account.evidence {
            Evidence::Invite(response) => return self.invited(response, decided).map(Some),
            Evidence::InviteTimeout => self.calls.iter().any(|call| self.was_silent(call, decided)),
            Evidence::InviteError => self.calls.iter().any(|call| failed(call)),
            Evidence::AnswerUnusable => self.calls.iter().any(|call| self.never_spoke(call)),
            Evidence::Acknowledged => any(&|call, talk| by(talk.acknowledged_at(self.role(call)))),
            Evidence::Reported => any(&|_, talk| by(talk.reported_at())),
            Evidence::MsrpResponse(status) => any(&|_, talk| {
                talk.chunks
                    .iter()
                    .any(|it| it.answer.is_some_and(|(at, had)| at <= decided && had == status))
            }),
            Evidence::MsrpReport(status) => any(&|_, talk| {
                talk.reports.iter().any(|report| report.at <= decided && report.status == status)
            }),
            Evidence::MsrpTimeout => any(&|_, talk| by(talk.late_at())),
            Evidence::ReportMissing => any(&|_, talk| {
                let handed = talk.chunks.last().and_then(|last| last.handed);
                talk.is_whole() && by(handed.map(|at| at + wait))
            }),
            Evidence::Unfinished => near && none(&|_, talk| talk.is_whole()),
            Evidence::Aborted => any(&|_, talk| talk.chunks.iter().any(|it| it.flag == '#')),
            Evidence::ByeBeforeEnd => self.was_ended(decided) && none(&|_, talk| talk.is_whole()),
            Evidence::ByeAfterEnd => self.was_ended(decided) && any(&|_, talk| talk.is_whole()),
            Evidence::NeverConnected => self.calls.iter().any(|call| self.never_spoke(call)),
            Evidence::ConnectionUnused => none(&|_, talk| {
                talk.lost.is_none() && talk.chunks.iter().any(|it| it.handed.is_some())
            }),
            // Or the session in which it was to be sent again had no connection.
            Evidence::ConnectionLost => {
                let was_sent = any(&|_, talk| talk.chunks.iter().any(|it| by(it.handed)));
                any(&|_, talk| by(talk.lost))
                    || (was_sent && self.calls.iter().any(|call| self.never_spoke(call)))
            }
            Evidence::Deadline => {
                let mut attempts = self.gateway.attempts_of(self.life.short);
                near && (any(&|_, _| true) || attempts.any(|it| it.post.sent[0] <= decided))
            }
            Evidence::DeadlineUnsent => {
                let since = self.life.arrived;
                near && none(&|_, talk| {
                    talk.begun >= since
                        && talk.refused_at().is_none()
                        && talk.chunks.iter().any(|it| by(it.handed))
                })
            }
            // No room for another call after the MESSAGE was too large, or parts that had to wait.
            Evidence::NeverSent | Evidence::UriWait => self.calls.iter().all(|call| {
                self.gateway
                    .calls
                    .wire
                    .talks_in(&call.session)
                    .all(|talk| talk.begun < self.life.arrived || talk.begun > decided)
            }),
            Evidence::Final(response) if self.has_said(response.status, decided) => true,
            Evidence::Final(_)
            | Evidence::TimerF
            | Evidence::Unreachable
            | Evidence::Shutdown
            | Evidence::WorkerLost
            | Evidence::Earlier { .. }
            | Evidence::Content { .. }
            | Evidence::Discarded
            | Evidence::Submission(_) => return Ok(None),
        };
        Ok(Some(right))
    }

    /// Whether a call was accepted and nothing was said in its session.
    fn never_spoke(&self, call: &Call) -> bool {
        let mut talks = self.gateway.calls.wire.talks_in(&call.session);
        !call.accepted.is_empty() && talks.next().is_none()
    }

    /// A final response to an INVITE that came then.
    fn invited(&self, response: Final, decided: u64) -> Verdict<bool> {
        let slack = slack(self.swarm);
        let came = self.calls.iter().flat_map(|call| &call.transactions).any(|it| {
            it.post.proofs.iter().any(|proof| {
                let server = server_of(proof.server, self.swarm);
                let of_role =
                    server.is_some_and(|at| self.swarm.places.servers[at].role == response.role);
                let since = if proof.by == u64::MAX { decided } else { proof.by };
                proof.what == What::Response(response.status)
                    && of_role
                    && proof.at <= decided
                    && decided <= since.max(proof.at) + slack
            })
        });
        let is_late = (200..300).contains(&response.status);
        let cancelled = self.calls.iter().any(|call| call.cancelled.is_some());
        Ok(came && (!is_late || cancelled))
    }

    /// Whether a MESSAGE or a part was answered so: what was too large may be all that is known.
    fn has_said(&self, status: u16, decided: u64) -> bool {
        let short = self.life.short;
        let parts = self.gateway.parts.iter().filter(|part| part.uri == self.short.recipient);
        let posts = self.gateway.attempts_of(short).map(|attempt| &attempt.post);
        posts
            .chain(parts.map(|part| &part.post))
            .flat_map(|post| &post.proofs)
            .any(|proof| proof.what == What::Response(status) && proof.at <= decided)
    }

    /// Whether no final response to its INVITE came in time.
    fn was_silent(&self, call: &Call, decided: u64) -> bool {
        let Some(last) = call.transactions.last() else { return false };
        let large = self.swarm.large.as_ref();
        let wait = large.map_or(0, |large| u64::from(large.invite_wait_ms) * MS);
        let due = last.post.sent[0] + wait.min(self.swarm.transaction());
        let margin = slack(self.swarm);
        let ended =
            last.post.proofs.iter().any(|proof| {
                proof.certain && proof.ends() && proof.by.saturating_add(margin) < due
            });
        decided >= due && !ended
    }

    fn was_ended(&self, decided: u64) -> bool {
        let mut dialogs = self.calls.iter().flat_map(|call| &call.accepted);
        dialogs.any(|accepted| accepted.peer_bye.is_some_and(|at| at <= decided))
    }

    /// I4: proof of delivery before the decision is delivery.
    fn order(&self, decided: u64, said: char) -> Verdict<()> {
        let margin = slack(self.swarm);
        if self.alike.len() > 1 {
            return Ok(());
        }
        for (call, talk) in self.talks().filter(|(_, talk)| talk.begun >= self.life.arrived) {
            let Some(at) = talk.proved_at(self.role(call)) else { continue };
            // What comes when its session is over belongs to nothing.
            let ended = call.ended_at().into_iter().chain(talk.lost).min().unwrap_or(u64::MAX);
            let refused = talk.refused_at().unwrap_or(u64::MAX);
            if said != 'D' && at < decided && at + margin < ended && at < refused {
                return Err(format!("I4: {said} although it was delivered at {at}"));
            }
        }
        Ok(())
    }
}

fn failed(call: &Call) -> bool {
    call.transactions.last().is_some_and(|last| {
        last.post.refused.is_some_and(SendError::nothing_left)
            || last.post.proofs.iter().any(|proof| proof.what == What::Unreachable)
    })
}

/// Who the sessions of a call are with.
pub(crate) fn role_of(call: &Call, swarm: &Swarm) -> MsrpRole {
    let last = call.transactions.last().map(|last| last.post.remote);
    let server = last.and_then(|remote| server_of(remote, swarm));
    let large = swarm.large.as_ref();
    server
        .and_then(|server| large.and_then(|large| large.roles.get(server)))
        .copied()
        .unwrap_or(MsrpRole::Relay)
}

impl Gateway {
    /// A datagram about a call has left, if it is one.
    pub(crate) fn on_call_departure(
        &mut self,
        now: u64,
        departure: &roger::packet::Departure,
        octets: &std::rc::Rc<[u8]>,
        swarm: &Swarm,
    ) -> Verdict<Option<Ticket>> {
        let seat = self.seat;
        let Some(invite) = self.calls.on_departure(now, departure, octets, seat, swarm)? else {
            return Ok(None);
        };
        if octets.starts_with(b"BYE ") {
            self.ends_in_time(now, octets, swarm)?;
        }
        Ok(Some(match invite {
            Some((call, transaction)) => Ticket::Call(call, transaction),
            None => Ticket::Other,
        }))
    }

    /// Whether there is a reason to end this session: something is known, or nothing will be.
    fn ends_in_time(&self, now: u64, octets: &[u8], swarm: &Swarm) -> Verdict<()> {
        let call_id = Text::read(octets).and_then(|text| text.value("Call-ID"));
        let call = self.calls.list.iter().rev().find(|call| Some(call.call_id.as_str()) == call_id);
        let Some(call) = call.filter(|call| !call.is_tainted) else { return Ok(()) };
        let mut talks = self.calls.wire.talks_in(&call.session);
        talks.try_for_each(|talk| Self::is_known(now, call, talk, swarm))
    }

    fn is_known(now: u64, call: &Call, talk: &Talk, swarm: &Swarm) -> Verdict<()> {
        let wait = swarm.large.as_ref().map_or(0, |large| u64::from(large.report_wait_ms) * MS);
        let waited = talk.chunks.last().and_then(|last| last.handed).map(|at| at + wait);
        let reasons = [
            talk.proved_at(role_of(call, swarm)),
            talk.refused_at(),
            talk.late_at(),
            talk.lost,
            waited,
        ];
        let peer = call.accepted.iter().any(|accepted| accepted.peer_bye.is_some());
        // The dialog of another fork has no session.
        let is_only = call.accepted.len() == 1;
        let known = reasons.iter().flatten().any(|at| *at <= now);
        let has_left = talk.chunks.iter().any(|chunk| chunk.handed.is_some());
        // Who stood still may learn everything in one turn.
        let has_left = has_left && swarm.crew.stalls == 0 && swarm.faults.stalls == 0;
        if talk.is_whole() && has_left && is_only && !known && !peer {
            return Err(format!("1.5: {}: BYE before anything is known", call.call_id));
        }
        Ok(())
    }

    /// What was said to its end in sessions: whose it is, and whether it may be.
    pub(crate) fn on_talks(&mut self, now: u64, centres: &Centres, swarm: &Swarm) -> Verdict<()> {
        for topic in core::mem::take(&mut self.calls.wire.fresh) {
            self.look_up(centres);
            let Some(call) = self.calls.by_session.get(&topic.0).copied() else {
                return Err(format!("{} was never offered", topic.0));
            };
            let found = self.short_of(call, &topic, now)?;
            if let Some(short) = found {
                self.move_alike(short, &topic, now);
            }
            if let Some(talk) = self.calls.wire.talks.get_mut(&topic) {
                talk.short = found;
            }
            match found {
                Some(short) if self.tainted.contains(&short) => {}
                Some(short) => self.may_be_said(now, call, short, &topic, centres, swarm)?,
                None if self.tainted.is_empty() => {
                    return Err(format!("I7: {topic:?}: a message that nobody has sent"));
                }
                None => self.calls.list[call].is_tainted = true,
            }
        }
        Ok(())
    }

    /// The short message that this is.
    fn short_of(&self, call: usize, topic: &Topic, now: u64) -> Verdict<Option<usize>> {
        let (call, talk) = (&self.calls.list[call], &self.calls.wire.talks[topic]);
        let body = String::from_utf8(talk.octets.clone()).map_err(|_| "not UTF-8".to_owned())?;
        let kind = talk.content_type.to_ascii_lowercase().replace(' ', "");
        let invite = call.transactions.first().map(|first| first.post.octets.clone());
        let text = invite.as_ref().and_then(|octets| Text::read(octets));
        let words = match (kind.as_str(), text) {
            ("text/plain;charset=utf-8", _) => body,
            ("message/cpim", Some(text)) => form::unwrap(&body, &text)?.0,
            (kind, _) => return Err(format!("a Large Message in {kind}")),
        };
        // A session may be older than what is sent in it, and then only the text tells.
        let dated = self.index.get(&(call.uri.clone(), words.clone(), call.date.clone())).copied();
        let mut alike = self.index.iter().filter(|((uri, text, _), short)| {
            *uri == call.uri && *text == words && self.is_wanted(**short, now)
        });
        let wanted = dated.filter(|short| self.is_wanted(*short, now));
        Ok(wanted.or_else(|| alike.next().map(|(_, it)| *it)).or(dated))
    }

    /// Whether some submission of it waits for its verdict.
    pub(crate) fn is_wanted(&self, short: usize, now: u64) -> bool {
        let wanted = |life: &Life| {
            let is_told = life.told.as_ref().is_some_and(|told| told.at < now);
            life.account.is_none() && !is_told && life.is_accepted()
        };
        self.lives_of(short).any(wanted)
    }

    /// In a session that was there for another one of the same words nobody can tell which of the two it
    /// was, until the other one is sent as well.
    fn move_alike(&mut self, short: usize, topic: &Topic, now: u64) {
        let is_other = |(had, talk): &(&Topic, &Talk)| {
            talk.short == Some(short)
                && had.1 != topic.1
                && had.0 != topic.0
                && now < talk.begun + REMEMBERED
        };
        let other = self.calls.wire.talks.iter().find(is_other).map(|(had, _)| had.clone());
        let seen = self.index.iter().find(|(_, at)| **at == short).map(|(seen, _)| seen.clone());
        let (Some(other), Some((uri, text, _))) = (other, seen) else { return };
        let free = self.index.iter().find(|((had, words, _), at)| {
            **at != short
                && *had == uri
                && *words == text
                && self.lives_of(**at).next().is_some()
                && self.calls.talks_of(**at).next().is_none()
        });
        let free = free.map(|(_, at)| *at);
        if let (Some(free), Some(talk)) = (free, self.calls.wire.talks.get_mut(&other)) {
            talk.short = Some(free);
        }
    }

    /// Whether a short message may be sent in this session.
    fn may_be_said(
        &self,
        now: u64,
        call: usize,
        short: usize,
        topic: &Topic,
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let (call, talk) = (&self.calls.list[call], &self.calls.wire.talks[topic]);
        let (who, sent) = (&call.call_id, &centres.shorts[short]);
        if !form::is_from(uri_in(&call.sender), sent) {
            return Err(format!("I7: {who}: from {} ({:?})", call.sender, sent.originator));
        }
        let remote = call.transactions.last().map(|last| last.post.remote).unwrap_or_default();
        if !sent.targets.contains(&remote) {
            return Err(format!("I7: {who}: to {remote:?}"));
        }
        if call.is_tainted {
            return Ok(());
        }
        if !self.is_wanted(short, now) {
            return Err(format!("I9: {who}: no open submission asks for it"));
        }
        if let Some(cancelled) = call.cancelled
            && call.accepted.iter().all(|accepted| accepted.at >= cancelled)
        {
            return Err(format!("3.2: {who}: a 2xx after CANCEL is used"));
        }
        let pending = |attempt: &Attempt| attempt.post.is_pending(now, swarm);
        if self.attempts_of(short).any(pending) {
            return Err(format!("{who}: while a MESSAGE is pending"));
        }
        for (other, before) in
            self.calls.talks_of(short).filter(|(other, _)| other.session != topic.0)
        {
            let recent = now < before.begun + REMEMBERED;
            let proved = before.proved_at(role_of(other, swarm));
            // Whoever knows what became of it may take what comes again for something new.
            let settled = |account: &Account| {
                let is_final = matches!(account.verdict, Decided::Delivered | Decided::Permanent);
                is_final && account.decided.0 >= before.begun
            };
            let mut lives = self.lives_of(short);
            let is_settled = lives.any(|life| life.account.as_ref().is_some_and(settled));
            let is_closed = proved.is_some() || before.refused_at().is_some() || is_settled;
            if recent
                && !is_closed
                && !self.has_twin(short, centres)
                && before.message_id != talk.message_id
            {
                let (one, two) = (&before.message_id, &talk.message_id);
                return Err(format!("H27: {who}: {two} where {one} was before"));
            }
            // What comes when its session is over belongs to nothing.
            let ended = other.ended_at().into_iter().chain(before.lost).min().unwrap_or(u64::MAX);
            let margin = slack(swarm);
            let heard = proved.filter(|at| at + margin < ended && !other.is_tainted);
            if heard.is_some_and(|at| at + margin < now && now + margin < at + REPEATED) {
                return Err(format!("H2: {who}: delivered in {}, and sent again", other.call_id));
            }
        }
        let shared = self.calls.wire.talks.values().any(|other| {
            other.message_id == talk.message_id && other.short.is_some_and(|other| other != short)
        });
        if shared {
            return Err(format!("H13: {who}: {} is another message", talk.message_id));
        }
        if self.has_twin(short, centres) {
            return Ok(());
        }
        self.is_no_third(short, who)
    }

    /// Whether another short message says the same to the same recipient, so that nobody can tell which of the
    /// two is sent in a session that was there.
    fn has_twin(&self, short: usize, centres: &Centres) -> bool {
        let sent = &centres.shorts[short];
        let twin = |other: &&Short| other.text == sent.text && other.recipient == sent.recipient;
        centres.shorts.iter().filter(twin).count() > 1
    }

    /// A short message, and those that say the same to the same recipient.
    pub(crate) fn alike<'a>(
        &self,
        short: usize,
        centres: &'a Centres,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let sent = &centres.shorts[short];
        let is_alike = |it: &Short| it.text == sent.text && it.recipient == sent.recipient;
        (0..centres.shorts.len()).filter(move |at| is_alike(&centres.shorts[*at]))
    }

    /// The message is sent twice at most for one submission (RFC 4975 section 5.4).
    fn is_no_third(&self, short: usize, who: &str) -> Verdict<()> {
        let since = self.lives_of(short).map(|life| life.arrived).max().unwrap_or(0);
        let talks = self.calls.talks_of(short);
        if talks.filter(|(_, talk)| talk.begun >= since).count() > 2 {
            return Err(format!("H27: {who}: sent a third time"));
        }
        Ok(())
    }

    /// Whether sessions have proved that a short message was delivered.
    pub(crate) fn was_delivered(&self, short: usize, now: u64, swarm: &Swarm) -> bool {
        self.calls.talks_of(short).any(|(call, talk)| {
            call.is_tainted || talk.proved_at(role_of(call, swarm)).is_some_and(|at| at <= now)
        })
    }
}

/// What users have of a Large Message, against what was told.
pub(crate) struct Truth {
    /// Whether a user has all of it, by when at the latest; and whether somebody has lied about it.
    pub(crate) shown: Option<u64>,
    pub(crate) is_lied: bool,
    /// Whether every answer that came could be used.
    pub(crate) is_usable: bool,
}

impl Truth {
    /// Whether the verdict is true (I3).
    pub(crate) fn judge(&self, account: &Account, by_message: bool) -> Verdict<()> {
        let call_id = String::from_utf8_lossy(account.sms_call_id.octets()).into_owned();
        let is_certain = matches!(account.verdict, Decided::Permanent | Decided::Temporary);
        match (account.verdict, self.shown) {
            _ if self.is_lied => Ok(()),
            _ if self.is_usable && account.evidence == Evidence::AnswerUnusable => {
                Err(format!("I3: {call_id}: its answer can be used"))
            }
            (Decided::Delivered, None) if !by_message => {
                Err(format!("I3: {call_id} delivered, and no user has all of it"))
            }
            (_, Some(at)) if is_certain => {
                Err(format!("I3: {call_id} failed, and its user has all of it since {at}"))
            }
            _ => Ok(()),
        }
    }
}
