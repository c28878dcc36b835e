//! Through which a thread says what it has to say, until somebody shuts it for good.

use crate::store::sync::{AcqRel, Acquire, AtomicU8, Relaxed};

/// Somebody is in it.
const PASSING: u8 = 1;
/// Nobody enters any more.
const SHUT: u8 = 2;

/// Between one thread that says things turn by turn and another that may have to speak in its place:
/// once [`Gate::shut`] has been called, the first says at most what it was about to say, whatever it
/// still does, and then nothing for good.
#[derive(Debug, Default)]
pub struct Gate {
    state: AtomicU8,
}

impl Gate {
    /// Open.
    pub fn new() -> Self {
        Self { state: AtomicU8::new(0) }
    }

    /// Begins to say something. `false` if that is over for good.
    pub fn enter(&self) -> bool {
        self.state.compare_exchange(0, PASSING, Acquire, Relaxed).is_ok()
    }

    /// Whether entering is over for good.
    pub fn is_shut(&self) -> bool {
        self.state.load(Acquire) & SHUT != 0
    }

    /// What was to be said is said.
    pub fn leave(&self) {
        self.state.fetch_and(!PASSING, AcqRel);
    }

    /// Shuts it for good. `false` while somebody is still in it.
    pub fn shut(&self) -> bool {
        self.state.fetch_or(SHUT, AcqRel) & PASSING == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_it_finishes_and_nobody_comes_after() {
        let gate = Gate::new();
        assert!(gate.enter());
        assert!(!gate.is_shut() && !gate.shut() && gate.is_shut());
        gate.leave();
        assert!(!gate.enter() && gate.is_shut());
        assert!(gate.shut() && gate.shut());
    }

    #[test]
    fn who_leaves_an_open_gate_may_come_again() {
        let gate = Gate::new();
        for _ in 0..3 {
            assert!(gate.enter());
            gate.leave();
        }
        assert!(gate.shut() && !gate.enter());
    }
}
