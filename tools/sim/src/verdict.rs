//! What was right to decide about a submission of a short message, and what its account must say.

use roger::delivery::{
    Account, Answer as Said, Asked, Evidence, Final, Form, Report, RpResult, Verdict as Decided,
};

use crate::centre::Centres;
use crate::court::Court;
use crate::gateway::{Gateway, REMEMBERED};
use crate::judge::{self, server_of};
use crate::ledger::Verdict;
use crate::post::{Attempt, Life, Post, Told};
use crate::rp::Answer;
use crate::short::{Fate, Short};
use crate::submission::{Proof, What, slack};
use crate::swarm::{MS, SECOND, Swarm};
use crate::text::Text;

/// What a final response proves, by the mapping table and what is said beside its status; a hyphen
/// for what proves nothing.
pub(crate) fn letter(proof: &Proof, asked: Asked, swarm: &Swarm) -> char {
    let What::Response(status) = proof.what else { return 'U' };
    let Some(server) = server_of(proof.server, swarm) else { return '-' };
    if status < 200 {
        return '-';
    }
    match (status, asked) {
        (482, Asked::Again) => 'U',
        (401 | 407, Asked::WithCredentials) => 'P',
        (404 | 413 | 513, _) if retry_after(proof) => 'T',
        _ => judge::letter(status, swarm.places.servers[server].role),
    }
}

/// Until when a 503 asks to be left alone.
pub(crate) fn asked_again_at(proof: &Proof) -> u64 {
    let text = Text::read(&proof.octets).filter(|_| proof.what == What::Response(503));
    let value = text.and_then(|text| text.value("Retry-After"));
    let seconds = value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    if seconds == 0 { 0 } else { proof.at + seconds * SECOND }
}

fn retry_after(proof: &Proof) -> bool {
    Text::read(&proof.octets).is_some_and(|text| text.value("Retry-After").is_some())
}

/// The IM server that is this peer of ours.
fn server_of_peer(peer: u8, swarm: &Swarm) -> Option<usize> {
    let server = usize::from(peer).checked_sub(swarm.places.clients.len())?;
    (server < swarm.places.servers.len()).then_some(server)
}

pub(crate) const fn of(decided: Decided) -> char {
    match decided {
        Decided::Delivered => 'D',
        Decided::Permanent => 'P',
        Decided::Temporary => 'T',
        Decided::Unknown => 'U',
        Decided::Accepted => 'A',
    }
}

/// One submission under judgement.
struct Case<'a> {
    gateway: &'a Gateway,
    life: &'a Life,
    short: &'a Short,
    account: &'a Account,
    swarm: &'a Swarm,
    /// It and those that say the same to the same recipient.
    alike: Vec<usize>,
}

/// Judges one account against everything that is known of its short message.
pub(crate) fn account(
    gateway: &Gateway,
    life: usize,
    account: &Account,
    now: u64,
    centres: &Centres,
    swarm: &Swarm,
) -> Verdict<()> {
    let life = &gateway.lives[life];
    let submission = &centres.submissions[life.submission];
    let short = &centres.shorts[life.short];
    if gateway.is_tainted(life.short) {
        return Ok(());
    }
    if !short.fate.is_accounted() {
        // What is not served yet may be told or not.
        return Ok(());
    }
    let alike = gateway.alike(life.short, centres).collect();
    let case = Case { gateway, life, short, account, swarm, alike };
    if case.is_misled() {
        return Ok(());
    }
    let Form::Rp { reference, .. } = account.form else {
        return Err("its form is another".to_owned());
    };
    let peer = swarm.places.clients.len() + swarm.places.servers.len() + submission.centre;
    if reference != submission.reference || usize::from(account.sms_peer) != peer {
        return Err(format!("I7: reference {reference} from peer {}", account.sms_peer));
    }
    if !short.recipient.as_bytes().starts_with(account.recipient.octets())
        || account.recipient.octets().is_empty()
    {
        let said = String::from_utf8_lossy(account.recipient.octets());
        return Err(format!("I7: to {said} instead of {}", short.recipient));
    }
    if account.arrived.0 != life.arrived {
        return Err(format!("arrived at {} instead of {}", account.arrived.0, life.arrived));
    }
    let court = Court::of(gateway, life, account, (short, centres), swarm);
    let is_large = match &court {
        Some(court) => court.judge()?,
        None => false,
    };
    if !is_large {
        case.evidence()?;
        case.verdict()?;
    }
    if account.evidence == Evidence::WorkerLost {
        // Who tells it only knows that it was open, so nothing was reported.
        let told = life.told.as_ref().map(|told| told.at);
        let right = told.is_none() && account.report == Report::Silence;
        return if right { Ok(()) } else { Err(format!("I5: lost, and told at {told:?}")) };
    }
    if gateway.abandoned {
        return Ok(());
    }
    if court.is_none() {
        case.order()?;
        case.attempts()?;
    }
    case.report(now)?;
    case.timing(now)?;
    case.calm()
}

impl Case<'_> {
    fn attempts_of(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.gateway.attempts_of(self.life.short)
    }

    /// Whether a damaged challenge may have been answered: with octets that nobody can follow.
    fn is_misled(&self) -> bool {
        let asks =
            |proof: &Proof| !proof.certain && matches!(proof.what, What::Response(401 | 407));
        let reports = self.life.told.iter().flat_map(|told| &told.posts);
        let mut posts = self.attempts_of().map(|attempt| &attempt.post).chain(reports);
        posts.any(|post| post.proofs.iter().any(asks))
    }

    /// Whether what decided has happened, then (I3).
    fn evidence(&self) -> Verdict<()> {
        let decided = self.account.decided.0;
        let slack = slack(self.swarm);
        let due = self.life.arrived + self.swarm.deadline();
        let near = |due: u64| decided >= due && decided <= due + slack;
        let left = |attempt: &Attempt| attempt.post.sent[0] <= decided;
        let right = match self.account.evidence {
            Evidence::Final(response) => return self.response(response),
            Evidence::TimerF => {
                self.attempts_of().any(|a| near(a.post.sent[0] + self.swarm.transaction()))
            }
            Evidence::Deadline => {
                // Who was attached to another submission may share its fate.
                let attached = self.gateway.lives_of(self.life.short).count() > 1;
                near(due) && (attached || self.attempts_of().any(left))
            }
            Evidence::DeadlineUnsent => near(due) && self.life.own.is_empty(),
            Evidence::UriWait => {
                let waited = u64::from(self.swarm.gateway.uri_wait_ms) * MS;
                near(self.life.arrived + waited)
                    && self.life.own.is_empty()
                    && self.gateway.had_rival(self.life.arrived, decided, self.short, self.swarm)
            }
            Evidence::NeverSent => {
                let own = &self.life.own;
                let refused = |index: &usize| {
                    let post = &self.gateway.attempts[*index].post;
                    post.refused.is_some_and(roger::packet::SendError::nothing_left)
                        || post.proofs.iter().any(Proof::ends)
                };
                own.iter().all(refused)
            }
            Evidence::Unreachable => self.attempts_of().any(|attempt| {
                let mut proofs = attempt.post.proofs.iter();
                // It is looked at with the next timer.
                let near = |at: u64| at <= decided && decided <= at + slack;
                proofs.any(|proof| proof.what == What::Unreachable && near(proof.at))
            }),
            Evidence::Shutdown | Evidence::WorkerLost => true,
            Evidence::Earlier { verdict, status } => return self.earlier(of(verdict), status),
            Evidence::Content { cause, .. } => {
                self.short.fate == Fate::Unfit && matches!(cause, 95..=99 | 111)
            }
            Evidence::Discarded => self.short.fate == Fate::Discard,
            // No message here is a large one.
            Evidence::Invite(_)
            | Evidence::InviteTimeout
            | Evidence::InviteError
            | Evidence::AnswerUnusable
            | Evidence::Acknowledged
            | Evidence::Reported
            | Evidence::MsrpResponse(_)
            | Evidence::MsrpReport(_)
            | Evidence::MsrpTimeout
            | Evidence::ReportMissing
            | Evidence::Unfinished
            | Evidence::Aborted
            | Evidence::ByeBeforeEnd
            | Evidence::ByeAfterEnd
            | Evidence::NeverConnected
            | Evidence::ConnectionUnused
            | Evidence::ConnectionLost
            | Evidence::Submission(_) => false,
        };
        if right { Ok(()) } else { Err(format!("I3: {:?} is not so", self.account.evidence)) }
    }

    /// A final response that came at this very time.
    fn response(&self, response: Final) -> Verdict<()> {
        let at = self.account.decided.0;
        let Final { status, role, retry_after: later, asked } = response;
        let right = self.attempts_of().any(|attempt| {
            attempt.post.proofs.iter().any(|proof| {
                let server = server_of(proof.server, self.swarm);
                let of_role =
                    server.is_some_and(|server| self.swarm.places.servers[server].role == role);
                proof.reached(at)
                    && proof.what == What::Response(status)
                    && of_role
                    && (!proof.certain || attempt.asked == asked && retry_after(proof) == later)
            })
        });
        if right { Ok(()) } else { Err(format!("I3: {response:?} did not come at {at}")) }
    }

    /// What an earlier submission has proved must be so, and must not be too long ago.
    fn earlier(&self, verdict: char, status: u16) -> Verdict<()> {
        let decided = self.account.decided.0;
        let margin = self.swarm.transaction() + slack(self.swarm);
        let window = match verdict {
            'P' => u64::from(self.swarm.gateway.permanent_ms) * MS,
            _ => REMEMBERED,
        };
        // Each repetition may renew what is remembered.
        let mut last = 0;
        for life in self.gateway.lives_of(self.life.short) {
            if life.arrived < self.life.arrived {
                last = last.max(life.arrived + self.swarm.deadline());
            }
        }
        let came = |attempt: &Attempt| {
            let mut proofs = attempt.post.proofs.iter();
            proofs.any(|proof| {
                let same = status == 0 || proof.what == What::Response(status);
                last = last.max(if proof.at <= decided { proof.at } else { 0 });
                same && proof.at <= decided && letter(proof, attempt.asked, self.swarm) == verdict
            })
        };
        let proved = self.attempts_of().map(came).fold(false, |any, one| any | one);
        let others = self.gateway.lives_of(self.life.short).count() > 1;
        let content = matches!(self.short.fate, Fate::Unfit | Fate::Discard);
        let right = match verdict {
            'D' | 'A' if !content => proved,
            'P' => proved || content,
            _ => others,
        };
        // An error decides with the next timer, and until then proof may come.
        let erred = |attempt: &Attempt| {
            attempt.post.proofs.iter().any(|proof| proof.what == What::Unreachable)
        };
        if self.was_called(verdict) {
            return Ok(());
        }
        if !right || !(others || verdict == 'D' && self.attempts_of().any(erred)) {
            return Err(format!("I3: nothing earlier proves {verdict} {status}"));
        }
        if self.life.arrived > last + window + margin {
            return Err(format!("H47: absorbed by {verdict}, which is long past"));
        }
        Ok(())
    }

    /// Whether calls may have proved this: for delivery they must have.
    fn was_called(&self, verdict: char) -> bool {
        let (calls, decided) = (&self.gateway.calls, self.account.decided.0);
        match verdict {
            // In a session that was there nobody can tell which of two that say the same was sent.
            'D' => {
                let mut alike = self.alike.iter();
                alike.any(|short| self.gateway.was_delivered(*short, decided, self.swarm))
            }
            _ => calls.list.iter().any(|call| {
                !call.is_past && call.uri == self.short.recipient && call.begun <= decided
            }),
        }
    }

    /// Whether the verdict follows from the evidence, by the table of this simulator.
    fn verdict(&self) -> Verdict<()> {
        let right = match self.account.evidence {
            Evidence::Final(Final { status: 482, asked: Asked::Again, .. }) => 'U',
            Evidence::Final(Final { status: 401 | 407, asked: Asked::WithCredentials, .. }) => 'P',
            Evidence::Final(Final { status: 404 | 413 | 513, retry_after: true, .. }) => 'T',
            Evidence::Final(Final { status, role, .. }) => judge::letter(status, role),
            Evidence::NeverSent | Evidence::DeadlineUnsent | Evidence::UriWait => 'T',
            Evidence::TimerF
            | Evidence::Deadline
            | Evidence::Unreachable
            | Evidence::Shutdown
            | Evidence::WorkerLost => 'U',
            Evidence::Earlier { verdict, .. } => of(verdict),
            Evidence::Content { .. } => 'P',
            Evidence::Discarded => 'A',
            // No message here is a large one.
            Evidence::Invite(_)
            | Evidence::InviteTimeout
            | Evidence::InviteError
            | Evidence::AnswerUnusable
            | Evidence::Acknowledged
            | Evidence::Reported
            | Evidence::MsrpResponse(_)
            | Evidence::MsrpReport(_)
            | Evidence::MsrpTimeout
            | Evidence::ReportMissing
            | Evidence::Unfinished
            | Evidence::Aborted
            | Evidence::ByeBeforeEnd
            | Evidence::ByeAfterEnd
            | Evidence::NeverConnected
            | Evidence::ConnectionUnused
            | Evidence::ConnectionLost
            | Evidence::Submission(_) => '-',
        };
        let said = of(self.account.verdict);
        if said == right {
            Ok(())
        } else {
            Err(format!("verdict {said} where {:?} proves {right}", self.account.evidence))
        }
    }

    /// I4: proof of delivery before the decision is delivery, and the first proof decides.
    fn order(&self) -> Verdict<()> {
        let decided = self.account.decided.0;
        let said = of(self.account.verdict);
        let attempts: Vec<&Attempt> = self.attempts_of().collect();
        for (at, attempt) in attempts.iter().enumerate() {
            // Whoever turned it away has no say any more once another server was asked.
            if attempts.get(at + 1).is_some_and(|next| next.asked != Asked::Once) {
                continue;
            }
            for proof in attempt.post.proofs.iter().filter(|proof| proof.certain) {
                let fresh = proof.at >= self.life.arrived && proof.by < decided;
                if fresh && letter(proof, attempt.asked, self.swarm) == 'D' && said != 'D' {
                    return Err(format!("I4: {said} although it was delivered at {}", proof.at));
                }
            }
        }
        let last = self.life.own.last().map(|index| &self.gateway.attempts[*index]);
        let Some(last) = last else { return Ok(()) };
        let first = last.post.first_end();
        // An ICMP error is looked at with the next timer.
        let late = |proof: &Proof| match proof.what {
            What::Response(_) => 0,
            What::Unreachable => slack(self.swarm),
        };
        match first {
            Some(proof) if proof.certain && proof.by.saturating_add(late(proof)) < decided => {
                Err(format!("I4: decided at {decided} although {:?} came before", proof.what))
            }
            _ => Ok(()),
        }
    }

    /// What the account tells about our attempts.
    fn attempts(&self) -> Verdict<()> {
        let Form::Rp { attempt, may_be_duplicate, .. } = self.account.form else { return Ok(()) };
        let im_call_id = self.account.im_call_id.octets();
        if let Some(last) = self.life.own.last().map(|index| &self.gateway.attempts[*index]) {
            let unsent = self.account.evidence == Evidence::NeverSent || last.is_unsent();
            let nothing = attempt == 0 && unsent;
            if u32::from(attempt) != last.cseq && !nothing
                || !last.call_id.as_bytes().starts_with(im_call_id)
            {
                return Err(format!("attempt {attempt} where {} {} left", last.call_id, last.cseq));
            }
            let server = server_of_peer(self.account.im_peer, self.swarm);
            let asked = |attempt: &Attempt| {
                server.is_some() && server_of(attempt.post.remote, self.swarm) == server
            };
            if !self.attempts_of().any(asked) {
                return Err(format!("I7: to peer {}", self.account.im_peer));
            }
        }
        if may_be_duplicate && self.gateway.lives_of(self.life.short).count() < 2 {
            return Err("a possible duplicate of nothing".to_owned());
        }
        Ok(())
    }

    /// Whether the report is the one that the verdict asks for, and what became of it is so.
    fn report(&self, now: u64) -> Verdict<()> {
        let Report::Rp(said, result) = self.account.report else {
            return Err(format!("I5: {:?} is no report of the RP layer", self.account.report));
        };
        let Some(told) = &self.life.told else {
            return Err(format!("I5: {said:?} {result:?}, and nothing left"));
        };
        let server = server_of_peer(self.account.im_peer, self.swarm);
        let accepts = !self.short.status_report
            && server.is_some_and(|server| self.swarm.gateway.ack_accepted[server]);
        let discarded = self.short.fate == Fate::Discard;
        let due_ack = self.account.verdict == Decided::Delivered
            || self.account.verdict == Decided::Accepted && (accepts || discarded);
        let same = match (said, told.answer) {
            (Said::Ack, Answer::Ack) => due_ack,
            (Said::Error { cause, fcs }, Answer::Error { cause: was, fcs: had }) => {
                !due_ack && cause == was && fcs == had
            }
            _ => false,
        };
        if !same {
            return Err(format!("I5: {said:?} is told, {:?} left, RP-ACK {due_ack}", told.answer));
        }
        if told.at != self.account.reported.0 {
            return Err(format!(
                "I5: reported at {}, and it left at {}",
                self.account.reported.0, told.at
            ));
        }
        for post in &told.posts {
            post.was_repeated(self.swarm).map_err(|error| format!("the report: {error}"))?;
        }
        self.result(result, told, now)
    }

    /// What became of the report (R8).
    fn result(&self, result: RpResult, told: &Told, now: u64) -> Verdict<()> {
        let Some(post) = told.posts.last() else { return Ok(()) };
        let Post { proofs, refused, sent, .. } = post;
        let limit = sent[0] + self.swarm.transaction();
        let came = |status: u16| proofs.iter().any(|proof| proof.what == What::Response(status));
        let ended = proofs.iter().any(|proof| proof.ends() && proof.certain && proof.by < limit);
        let right = match result {
            RpResult::Taken(status) => (200..300).contains(&status) && came(status),
            RpResult::Refused(status) => status >= 300 && came(status),
            RpResult::Unconfirmed => {
                !ended || proofs.iter().any(|proof| proof.what == What::Unreachable)
            }
            RpResult::Unsent(error) => *refused == Some(error),
        };
        let first = post.first_end();
        let contradicted = first.is_some_and(|proof| {
            let What::Response(status) = proof.what else { return false };
            let taken = matches!(result, RpResult::Taken(_));
            let alone = self.swarm.crew.workers == 1;
            let reached = !proof.is_fresh() || alone && proof.at == now;
            // What came after timer F came too late, whenever the account is told.
            let in_time = proof.at < limit;
            reached && in_time && proof.certain && (200..300).contains(&status) != taken
        });
        if right && !contradicted {
            Ok(())
        } else {
            Err(format!("I5: the report is told as {result:?}, {first:?} came first"))
        }
    }

    /// Whether everything came in time.
    fn timing(&self, now: u64) -> Verdict<()> {
        let Account { arrived, decided, reported, .. } = *self.account;
        if !(arrived <= decided && decided <= reported && reported.0 <= now) {
            return Err(format!(
                "its times are out of order: {arrived:?} {decided:?} {reported:?}"
            ));
        }
        let late = 2 * slack(self.swarm);
        let due = self.life.arrived + self.swarm.deadline() + late;
        if decided.0 > due {
            return Err(format!("I8: decided at {} although {due} was the limit", decided.0));
        }
        // A report may need a second server, and credentials at each.
        // What is sent in a session is looked after until the wait for REPORTs is over.
        let wait = self.swarm.large.as_ref().map_or(0, |large| large.report_wait_ms);
        let end = due + 4 * (self.swarm.transaction() + late) + u64::from(wait) * MS;
        if now > end {
            return Err(format!("I8: closed {} ms late", (now - end) / MS));
        }
        Ok(())
    }

    /// Where nothing goes wrong any more, a new short message gets through.
    fn calm(&self) -> Verdict<()> {
        // Who stands still may do so for a while yet.
        let is_tight = self.swarm.large.as_ref().is_some_and(|large| large.is_tight);
        if !self.short.calm || self.swarm.tight || is_tight || self.swarm.crew.stalls > 0 {
            return Ok(());
        }
        let last = self.attempts_of().last().map(|attempt| attempt.post.remote);
        let server = server_of(last.unwrap_or_default(), self.swarm);
        let role = server.map(|server| self.swarm.places.servers[server].role);
        let calls = &self.gateway.calls;
        let sessions = calls.named(self.account.im_call_id.octets()).map(|_| ());
        let sessions = sessions.or_else(|| calls.talks_of(self.life.short).next().map(|_| ()));
        let due = match (sessions, role) {
            // Whoever it is reports what has arrived.
            (Some(_), _) => 'D',
            (None, Some(role)) => judge::letter(200, role),
            (None, None) => '-',
        };
        let said = of(self.account.verdict);
        if said == due { Ok(()) } else { Err(format!("liveness: {said} where {due} is easy")) }
    }
}
