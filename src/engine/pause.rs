//! Times at which nothing ran: the process was stopped, its machine paused, or nobody called.
//!
//! The driver can say when it took a datagram, not how long that had waited. After a pause a
//! retransmission may come out of a socket's buffer that arrived in time for its transaction and
//! is taken long after the transaction has ended. It must not be a new message. So for a moment
//! after a pause transactions are looked up as if the pause had not been.

use crate::time::Instant;

/// No turn of a worker that runs is this long.
const PAUSE_MS: u32 = 1_000;

/// Within this time everything that waited is taken from the sockets.
const FRESH_MS: u32 = 2_000;

/// The last pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// The last moment at which something ran.
    last: Instant,
    /// When the pause began.
    began: Instant,
    /// When it ended.
    ended: Instant,
}

impl Pause {
    pub(super) const fn new(now: Instant) -> Self {
        Self { last: now, began: now, ended: now }
    }

    /// Something runs at `now`.
    pub(super) fn notice(&mut self, now: Instant) {
        if now > self.last.plus_ms(PAUSE_MS) {
            (self.began, self.ended) = (self.last, now);
        }
        self.last = self.last.max(now);
    }

    /// Whether what is taken now may have waited through the pause.
    fn is_fresh(&self, now: Instant) -> bool {
        self.ended > self.began && now <= self.ended.plus_ms(FRESH_MS)
    }

    /// The moment for which to look up what was sent before the pause. What another worker has taken
    /// may have waited since long before.
    pub(super) fn looked_at(&self, now: Instant) -> Instant {
        if self.is_fresh(now) { self.began.min(now) } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_pause_is_looked_up_in_the_time_before_it() {
        let start = Instant(5_000_000_000);
        let mut pause = Pause::new(start);
        pause.notice(start.plus_ms(900));
        assert_eq!(pause.looked_at(start.plus_ms(900)), start.plus_ms(900));
        pause.notice(start.plus_ms(60_000));
        assert_eq!(pause.looked_at(start.plus_ms(60_000)), start.plus_ms(900));
        // What waited through a longer pause of another worker is not looked up later than it came.
        for ms in [0, 300, 899] {
            assert_eq!(pause.looked_at(start.plus_ms(ms)), start.plus_ms(ms));
        }
        for ms in [61_000, 61_900] {
            pause.notice(start.plus_ms(ms));
            assert!(pause.is_fresh(start.plus_ms(ms)));
        }
        pause.notice(start.plus_ms(62_001));
        assert_eq!(pause.looked_at(start.plus_ms(62_001)), start.plus_ms(62_001));
    }
}
