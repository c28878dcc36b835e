//! The latch between evidence and verdict: one submission, one verdict.

use crate::delivery::{Evidence, Verdict};

/// What is known of one message: nothing, or the verdict with the evidence that decided it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Message {
    decided: Option<(Verdict, Evidence)>,
}

impl Message {
    /// A message of which nothing is known.
    pub const fn new() -> Self {
        Self { decided: None }
    }

    /// Takes evidence into account. Yields the verdict exactly once: what comes later never
    /// changes it, and the caller counts it.
    pub const fn observe(&mut self, evidence: Evidence) -> Option<Verdict> {
        if self.decided.is_some() {
            return None;
        }
        let verdict = Verdict::from_evidence(evidence);
        self.decided = Some((verdict, evidence));
        Some(verdict)
    }

    /// The verdict and its proof, once there is one.
    pub const fn decided(&self) -> Option<(Verdict, Evidence)> {
        self.decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Role;

    #[test]
    fn the_first_evidence_decides_and_no_later_one_changes_it() {
        let mut message = Message::new();
        let first = Evidence::Final { status: 480, role: Role::Endpoint };
        let late = Evidence::Final { status: 200, role: Role::Endpoint };
        assert_eq!(message.observe(first), Some(Verdict::Temporary));
        assert_eq!(message.observe(late), None);
        assert_eq!(message.decided(), Some((Verdict::Temporary, first)));
    }
}
