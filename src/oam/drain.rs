//! How a process ends: first it tells, then it refuses, then it goes.
//!
//! ```text
//!             signal                drain_announce             nothing open
//!   Serving ─────────> Announcing ─────────────────> Refusing ─────────────> Ended
//!                       OPTIONS 503,   │              MESSAGE 503   │  drain_timeout: what is open
//!                       MESSAGE taken  │                            │  ends as unknown
//!                                      └─────── second signal ──────┴──────> Ended
//! ```
//!
//! Both times run from the first signal. Announcing lasts its time even when nothing is open:
//! peers that probe with OPTIONS need it to turn elsewhere before a message is refused.

use crate::engine::Serving;
use crate::time::Instant;

/// Where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Serving,
    Announcing { since: Instant },
    Refusing { since: Instant },
    Ended,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing new.
    Stay,
    /// Meet new work like this from here on.
    Serve(Serving),
    /// Go, and abandon what is open.
    End(End),
}

/// Why it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Every message is final.
    Finished,
    /// `drain_timeout` is over.
    TimedOut,
    /// A second signal.
    Now,
    /// A worker is lost.
    WorkerLost,
}

/// The way to the end of a process.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    stage: Stage,
    announce_ms: u32,
    timeout_ms: u32,
}

impl Drain {
    /// Serving, until a signal comes.
    pub const fn new(announce_ms: u32, timeout_ms: u32) -> Self {
        Self { stage: Stage::Serving, announce_ms, timeout_ms }
    }

    /// Whether a signal has come.
    pub const fn is_draining(&self) -> bool {
        !matches!(self.stage, Stage::Serving)
    }

    /// SIGTERM or SIGINT.
    pub const fn on_signal(&mut self, now: Instant) -> Step {
        match self.stage {
            Stage::Serving => {
                self.stage = Stage::Announcing { since: now };
                Step::Serve(Serving::Announcing)
            }
            Stage::Announcing { .. } | Stage::Refusing { .. } => {
                self.stage = Stage::Ended;
                Step::End(End::Now)
            }
            Stage::Ended => Step::Stay,
        }
    }

    /// Time passes, and `open` messages are not final.
    pub fn on_tick(&mut self, now: Instant, open: u64) -> Step {
        match self.stage {
            Stage::Announcing { since } if now >= since.plus_ms(self.announce_ms) => {
                self.stage = Stage::Refusing { since };
                Step::Serve(Serving::Refusing)
            }
            Stage::Refusing { .. } if open == 0 => self.end(End::Finished),
            Stage::Refusing { since } if now >= since.plus_ms(self.timeout_ms) => {
                self.end(End::TimedOut)
            }
            Stage::Serving | Stage::Announcing { .. } | Stage::Refusing { .. } | Stage::Ended => {
                Step::Stay
            }
        }
    }

    const fn end(&mut self, end: End) -> Step {
        self.stage = Stage::Ended;
        Step::End(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: Instant = Instant(1_000_000_000);

    fn after(ms: u32) -> Instant {
        SIGNAL.plus_ms(ms)
    }

    fn drain() -> Drain {
        let mut drain = Drain::new(5_000, 40_000);
        assert_eq!(drain.on_tick(SIGNAL, 0), Step::Stay);
        assert!(!drain.is_draining());
        assert_eq!(drain.on_signal(SIGNAL), Step::Serve(Serving::Announcing));
        assert!(drain.is_draining());
        drain
    }

    #[test]
    fn it_tells_then_refuses_then_goes() {
        let mut drain = drain();
        // Nothing is open, and still the announcement lasts.
        assert_eq!(drain.on_tick(after(4_999), 0), Step::Stay);
        assert_eq!(drain.on_tick(after(5_000), 3), Step::Serve(Serving::Refusing));
        assert_eq!(drain.on_tick(after(30_000), 3), Step::Stay);
        assert_eq!(drain.on_tick(after(30_001), 0), Step::End(End::Finished));
        assert_eq!(drain.on_tick(after(99_999), 0), Step::Stay);
        assert_eq!(drain.on_signal(after(99_999)), Step::Stay);
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let mut drain = drain();
        drain.on_tick(after(5_000), 1);
        assert_eq!(drain.on_tick(after(39_999), 1), Step::Stay);
        assert_eq!(drain.on_tick(after(40_000), 1), Step::End(End::TimedOut));
    }

    #[test]
    fn a_second_signal_is_obeyed_at_once() {
        let mut announcing = drain();
        assert_eq!(announcing.on_signal(after(1)), Step::End(End::Now));
        let mut refusing = drain();
        refusing.on_tick(after(5_000), 9);
        assert_eq!(refusing.on_signal(after(5_001)), Step::End(End::Now));
    }
}
