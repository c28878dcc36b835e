//! The latch between evidence and verdict: one submission, one verdict.

use crate::delivery::{Evidence, Mapping, Verdict};

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
    pub fn observe(&mut self, evidence: Evidence, mapping: &Mapping) -> Option<Verdict> {
        if self.decided.is_some() {
            return None;
        }
        let verdict = Verdict::from_evidence(evidence, mapping);
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
    use crate::delivery::{Asked, Final, Role};

    #[test]
    fn the_first_evidence_decides_and_no_later_one_changes_it() {
        let mapping = Mapping::of(Role::Endpoint);
        let mut message = Message::new();
        let of = |status| {
            let (role, asked) = (Role::Endpoint, Asked::Once);
            Evidence::Final(Final { status, role, retry_after: false, asked })
        };
        let (first, late) = (of(480), of(200));
        assert_eq!(message.observe(first, &mapping), Some(Verdict::Temporary));
        assert_eq!(message.observe(late, &mapping), None);
        assert_eq!(message.decided(), Some((Verdict::Temporary, first)));
    }
}
