//! Reports on their way to a service centre: about what, and whether they are true.

use crate::centre::{Centres, Submission};
use crate::form;
use crate::gateway::{Gateway, Place, Ticket};
use crate::ledger::Verdict;
use crate::post::{Post, Told};
use crate::rp::{Answer, Report};
use crate::short::Fate;
use crate::submission::slack;
use crate::swarm::Swarm;
use crate::text::Text;
use crate::verdict;

impl Gateway {
    /// A report on its way to a service centre.
    #[expect(clippy::too_many_arguments, reason = "one for each thing that it must agree with")]
    pub(crate) fn report(
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
            self.is_true(now, life, report.answer, submission, centres, swarm)?;
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
        centres: &Centres,
        swarm: &Swarm,
    ) -> Verdict<()> {
        let (who, short) = (&submission.call_id, &centres.shorts[submission.short]);
        let life = &self.lives[life];
        // Which of several copies was new again only the account tells.
        let lives = self.by_submission.get(&life.submission).map_or(&[][..], Vec::as_slice);
        let optional = lives.iter().map(|life| &self.lives[*life]).filter(|life| life.optional);
        let arrived = optional.map(|life| life.arrived).fold(life.arrived, u64::max);
        if now > arrived + swarm.deadline() + 2 * slack(swarm) && life.told.is_none() {
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
            (Answer::Ack, Fate::Send) => {
                proved('D')
                    || accepts && proved('A')
                    || self.alike(life.short, centres).any(|it| self.was_delivered(it, now, swarm))
                    || self.was_taken_in_parts(short, accepts, now, swarm)
            }
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
}
