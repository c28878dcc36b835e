//! Sees that every worker takes turns.
//!
//! A worker that has nothing to do sleeps, so the supervisor wakes whoever has not taken a turn for a
//! while: then one that stands still is stuck. Time is counted in looks, not by the clock: when the
//! whole machine was stopped, the supervisor was, too, and nobody is lost for that.

/// How often the supervisor looks, in milliseconds.
pub(super) const LOOK_MS: u32 = 50;

/// After so many looks without a turn a worker is woken.
const LOOKS_ASLEEP: u32 = 4;

/// What is to be done about a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// It may be asleep: wake it.
    Wake,
    /// It is stuck.
    Lost,
}

/// What is known of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    turns: u64,
    still: u32,
}

impl Watch {
    /// A look at a worker that has taken so many turns, and may stand still for `lost_after_ms`.
    pub(super) const fn on_look(&mut self, turns: u64, lost_after_ms: u32) -> Step {
        if turns != self.turns {
            self.turns = turns;
            self.still = 0;
            return Step::Stay;
        }
        self.still += 1;
        if self.still * LOOK_MS >= lost_after_ms && self.still > 2 * LOOKS_ASLEEP {
            Step::Lost
        } else if self.still.is_multiple_of(LOOKS_ASLEEP) {
            Step::Wake
        } else {
            Step::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_woken_and_takes_a_turn_is_not_lost() {
        let mut watch = Watch::default();
        let mut turns = 0;
        for _ in 0..1_000 {
            match watch.on_look(turns, 900) {
                Step::Stay => {}
                Step::Wake => turns += 1,
                Step::Lost => panic!("it takes a turn whenever it is woken"),
            }
        }
        assert!(turns > 100);
    }

    #[test]
    fn who_stands_still_is_lost_in_time_and_was_woken_before() {
        let mut watch = Watch::default();
        watch.on_look(7, 900);
        let steps: Vec<Step> = (0..18).map(|_| watch.on_look(7, 900)).collect();
        let wakes = steps.iter().filter(|step| **step == Step::Wake).count();
        assert_eq!(wakes, 4);
        assert_eq!(steps.iter().position(|step| *step == Step::Lost), Some(17));
    }

    #[test]
    fn nobody_is_lost_before_being_woken_twice() {
        let mut watch = Watch::default();
        let lost = (1..).find(|_| watch.on_look(0, 50) == Step::Lost);
        assert_eq!(lost, Some(9));
    }
}
