//! Messages that come again: whoever has not heard what became of a message sends it once more in another
//! session, under the same Message-ID (RFC 4975 section 5.4, hazard H27).
//!
//! What was taken is not submitted twice. A message is known by who sends it to whom, its Message-ID and its
//! text: a Message-ID alone may be another message of somebody who counts them. While the first copy is
//! under way, its REPORT goes to the session of the last one, as the sender has given up the others; when it
//! is over, the copy hears what the first one heard. Only what is known not to be with its recipient, and may
//! be later, is tried anew.

use super::{MESSAGE, Named, Stage, Submission};
use crate::delivery::Verdict;
use crate::engine::Engine;
use crate::id::Handle;
use crate::limits::{STATUS_REPORTS_MS, SUBMISSION_MEMORY_MS};
use crate::metrics::Counter;
use crate::store::{Fingerprint, Slab};
use crate::time::Instant;

/// What is remembered of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// This is its first copy.
    Running(Handle<Submission>),
    /// It came to this, and this is the status of the REPORT about it.
    Over(Verdict, Option<u16>),
}

/// Where the name of a submission has the number of a part: no part has this one.
const OVER: u8 = u8::MAX;

const _: () = assert!(crate::interwork::division::PARTS_MAX <= OVER as usize);

impl Known {
    fn encode(self) -> u64 {
        match self {
            Self::Running(submission) => Named { submission, part: 0 }.short(),
            Self::Over(verdict, status) => {
                u64::from(status.unwrap_or(0)) << 16 | (verdict as u64) << 8 | u64::from(OVER)
            }
        }
    }

    /// Nothing if it was under way and is no more, without having come to anything.
    fn decode(value: u64, submissions: &Slab<Submission>) -> Option<Self> {
        if value & 0xFF != u64::from(OVER) {
            return Named::of_short(value, submissions).map(|it| Self::Running(it.submission));
        }
        let verdict = Verdict::ALL.into_iter().find(|it| *it as u64 == value >> 8 & 0xFF)?;
        let status = u16::try_from(value >> 16).ok()?;
        Some(Self::Over(verdict, (status > 0).then_some(status)))
    }
}

impl Engine {
    /// Whether a message that has come whole is known. Then it is answered for, or will be with the first copy.
    pub(super) fn is_again(&mut self, handle: Handle<Submission>, now: Instant) -> bool {
        let Some(identity) = self.identity_of(handle) else { return false };
        let Some(store) = self.sessions_mut().inward_mut() else { return false };
        let known = store.known.get(identity, now);
        let known = known.and_then(|value| Known::decode(value, &store.submissions));
        match known {
            None | Some(Known::Over(Verdict::Temporary, _)) => {
                if let Some(submission) = store.submissions.get_mut(handle) {
                    submission.identity = Some(identity);
                }
                // Longer than it may be under way.
                let end = now.plus_ms(4 * STATUS_REPORTS_MS);
                self.know(identity, Known::Running(handle), now, end);
                return false;
            }
            Some(Known::Running(first)) => self.follow(handle, first, now),
            Some(Known::Over(_, status)) => self.repeat_outcome(handle, status, now),
        }
        self.count(Counter::SubmissionsRepeated);
        true
    }

    /// By what a message is known.
    fn identity_of(&self, handle: Handle<Submission>) -> Option<Fingerprint> {
        let sessions = self.sessions.as_deref()?;
        let submission = sessions.submission(handle)?;
        let octets = sessions.endpoint.octets(submission.incoming?)?;
        let (start, end) = submission.text;
        let caller = &submission.caller;
        let sender = crate::interwork::address::identity(caller.sender.octets());
        let mut hasher = self.setup.key.hasher();
        hasher.word(MESSAGE);
        hasher.octets(sender.user);
        hasher.octets_ignoring_case(sender.host);
        hasher.octets(caller.destination.digits().as_bytes());
        hasher.octets(submission.message_id());
        hasher.octets(octets.get(start as usize..end as usize)?);
        Some(hasher.finish())
    }

    fn know(&mut self, identity: Fingerprint, known: Known, now: Instant, end: Instant) {
        let Some(store) = self.sessions_mut().inward_mut() else { return };
        if store.known.put_over(identity, known.encode(), now, end) {
            self.count(Counter::MemoriesEvicted);
        }
    }

    /// A message is over: its copies hear the same.
    pub(super) fn remember_submission(
        &mut self,
        handle: Handle<Submission>,
        (verdict, status): (Verdict, Option<u16>),
        now: Instant,
    ) {
        let submission = self.sessions.as_deref().and_then(|all| all.submission(handle));
        if let Some(identity) = submission.and_then(|it| it.identity) {
            let end = now.plus_ms(SUBMISSION_MEMORY_MS);
            self.know(identity, Known::Over(verdict, status), now, end);
        }
    }

    /// The first copy is under way, and tells what becomes of it where this one came.
    fn follow(&mut self, copy: Handle<Submission>, first: Handle<Submission>, now: Instant) {
        self.release_octets(copy);
        let Some(store) = self.sessions_mut().inward_mut() else { return };
        let Some(last) = store.submissions.get(copy) else { return };
        let (call, session, total, im) = (last.call, last.session, last.total, last.im);
        let wanted = (last.success_report, last.failure_report);
        let Some(submission) = store.submissions.get_mut(first) else { return };
        (submission.session, submission.total, submission.im) = (session, total, im);
        (submission.success_report, submission.failure_report) = wanted;
        let before = core::mem::replace(&mut submission.call, call);
        if let Some(last) = store.submissions.get_mut(copy) {
            last.call = before;
        }
        self.remove_submission(copy, now);
    }

    /// The first copy is over: this one is told what that came to, and there is no second account.
    fn repeat_outcome(&mut self, handle: Handle<Submission>, status: Option<u16>, now: Instant) {
        let Some(submission) = self.sessions_mut().submission_mut(handle) else { return };
        submission.stage = Stage::Telling;
        (submission.decided, submission.until) = (now, now);
        submission.told = submission.wanted(status);
        self.release_octets(handle);
        self.tell_submission(handle, now);
    }
}
