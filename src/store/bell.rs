//! Wakes a thread that is about to sleep, or sleeps, and costs one fence when it does neither.

use crate::store::sync::{AtomicBool, Relaxed, SeqCst, fence};

/// Between one thread that sleeps when it finds nothing to do and others that give it something.
///
/// Who sleeps says so first and looks for work after that; who brings work brings it first and looks
/// whether anybody sleeps after that. With a fence between the two steps of both, at least one of
/// them sees the other.
#[derive(Debug, Default)]
pub struct Bell {
    asleep: AtomicBool,
}

impl Bell {
    /// Nobody sleeps.
    pub fn new() -> Self {
        Self { asleep: AtomicBool::new(false) }
    }

    /// Said before a last look for work and the sleep that follows if there is none.
    pub fn lie_down(&self) {
        self.asleep.store(true, Relaxed);
        fence(SeqCst);
    }

    /// Said after the sleep, or instead of it.
    pub fn get_up(&self) {
        self.asleep.store(false, Relaxed);
    }

    /// Said after work was brought: whether the sleeper has to be woken, and by this caller.
    pub fn ring(&self) -> bool {
        fence(SeqCst);
        self.asleep.load(Relaxed) && self.asleep.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_sleeps_is_woken_and_once() {
        let bell = Bell::new();
        assert!(!bell.ring());
        bell.lie_down();
        assert!(bell.ring());
        assert!(!bell.ring());
        bell.lie_down();
        bell.get_up();
        assert!(!bell.ring());
    }
}
