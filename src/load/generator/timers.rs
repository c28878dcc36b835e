//! Timers E and F of all messages (RFC 3261 section 17.1.2.2), and the wait for reports.
//!
//! Messages leave in the order of their numbers, and each kind of timer always runs equally long. So
//! each kind expires in the order in which it was started: the first timer E, timer F and the wait for
//! a report are positions in the record of all messages, and the repeated timers E are queues, one for
//! each length. A message that is answered in time costs a look, and nothing else.

use std::collections::VecDeque;

use crate::load::generator::plan::Timers;
use crate::load::generator::record::{Flags, Sent};

/// How many lengths there are from 2*T1 to T2.
const LENGTHS_MAX: usize = 8;

/// A timer E that runs.
#[derive(Clone, Copy, Debug)]
struct Started {
    at_ns: u64,
    number: u32,
}

#[derive(Debug)]
struct Queue {
    length_ns: u64,
    started: VecDeque<Started>,
}

impl Queue {
    /// The first message whose timer has expired, and how long that ran.
    fn pop(&mut self, now_ns: u64) -> Option<(u32, u64)> {
        let first = self.started.pop_front_if(|first| first.at_ns <= now_ns)?;
        Some((first.number, self.length_ns))
    }
}

/// What has expired for a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expired {
    /// Timer E: it is to be sent again.
    E(u32),
    /// Timer F, or the wait for its report: nothing is waited for any more.
    End(u32),
}

#[derive(Debug)]
pub(super) struct ClientTimers {
    timers: Timers,
    /// No timer E on a reliable transport.
    repeats: bool,
    /// Whether a message waits for its report when it is answered.
    reports: bool,
    /// The message whose first timer E expires next.
    next_e: u32,
    /// The message whose timer F expires next.
    next_f: u32,
    /// The message whose report is not waited for any more next.
    next_report: u32,
    queues: Box<[Queue]>,
}

impl ClientTimers {
    /// For messages of which `per_second` leave; of these every one may stay unanswered.
    pub(super) fn new(timers: Timers, repeats: bool, reports: bool, per_second: u64) -> Self {
        let mut lengths = Vec::with_capacity(LENGTHS_MAX);
        let mut length_ns = timers.t1_ns;
        while length_ns < timers.t2_ns && lengths.len() < LENGTHS_MAX {
            length_ns = (2 * length_ns).min(timers.t2_ns);
            lengths.push(length_ns);
        }
        let queue = |length_ns: u64| {
            let count = u128::from(per_second) * u128::from(length_ns) / 1_000_000_000;
            let room = if repeats { usize::try_from(count * 5 / 4).unwrap_or(0) + 64 } else { 0 };
            Queue { length_ns, started: touched(room) }
        };
        Self {
            timers,
            repeats,
            reports,
            next_e: 0,
            next_f: 0,
            next_report: 0,
            queues: lengths.into_iter().map(queue).collect(),
        }
    }

    /// The next that has expired at `now_ns`, of the messages that have left.
    pub(super) fn expire(&mut self, now_ns: u64, sent: &[Sent]) -> Option<Expired> {
        self.expire_e(now_ns, sent).map(Expired::E).or_else(|| self.expire_end(now_ns, sent))
    }

    fn expire_e(&mut self, now_ns: u64, sent: &[Sent]) -> Option<u32> {
        if !self.repeats {
            return None;
        }
        while let Some(message) = at(sent, self.next_e)
            && message.at_ns + self.timers.t1_ns <= now_ns
        {
            let number = self.next_e;
            self.next_e += 1;
            if self.fires(now_ns, message) {
                self.start(now_ns, number, message, self.timers.t1_ns);
                return Some(number);
            }
        }
        for index in 0..self.queues.len() {
            while let Some((number, length_ns)) = self.queues[index].pop(now_ns) {
                if let Some(message) = at(sent, number)
                    && self.fires(now_ns, message)
                {
                    self.start(now_ns, number, message, length_ns);
                    return Some(number);
                }
            }
        }
        None
    }

    /// Whether timer E still runs for it.
    fn fires(&self, now_ns: u64, message: &Sent) -> bool {
        message.status == 0 && now_ns < message.at_ns + self.timers.f_ns()
    }

    /// Starts timer E after it ran for `length_ns`: for twice that, at most T2, and for T2 if a
    /// provisional response has come.
    fn start(&mut self, now_ns: u64, number: u32, message: &Sent, length_ns: u64) {
        let proceeding = message.flags.has(Flags::PROCEEDING);
        let next_ns = if proceeding { self.timers.t2_ns } else { 2 * length_ns };
        let last = self.queues.len() - 1;
        let index = self.queues.iter().position(|queue| queue.length_ns >= next_ns);
        let queue = &mut self.queues[index.unwrap_or(last)];
        queue.started.push_back(Started { at_ns: now_ns + queue.length_ns, number });
    }

    fn expire_end(&mut self, now_ns: u64, sent: &[Sent]) -> Option<Expired> {
        while let Some(message) = at(sent, self.next_f)
            && message.at_ns + self.timers.f_ns() <= now_ns
        {
            self.next_f += 1;
            // What is unanswered and reported all the same is over already.
            if message.status == 0 && !message.flags.has(Flags::RESOLVED) && !self.reports {
                return Some(Expired::End(self.next_f - 1));
            }
        }
        while self.reports
            && let Some(message) = at(sent, self.next_report)
            && message.at_ns + self.timers.report_ns <= now_ns
        {
            self.next_report += 1;
            if !message.flags.has(Flags::RESOLVED) {
                return Some(Expired::End(self.next_report - 1));
            }
        }
        None
    }
}

fn at(sent: &[Sent], number: u32) -> Option<&Sent> {
    sent.get(usize::try_from(number).ok()?)
}

fn touched(room: usize) -> VecDeque<Started> {
    let mut queue: VecDeque<Started> =
        core::iter::repeat_n(Started { at_ns: 0, number: 0 }, room).collect();
    queue.clear();
    queue
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sent(at_ms: u64) -> Sent {
        Sent { at_ns: at_ms * MS, transmissions: 1, ..Sent::default() }
    }

    /// When what expires for message 0, in milliseconds after it left.
    fn play(repeats: bool, reports: bool, on: impl Fn(u64, &mut Sent)) -> Vec<(u64, Expired)> {
        let mut timers = ClientTimers::new(Timers::RFC_3261, repeats, reports, 10);
        let mut messages = [sent(1_000)];
        let mut expired = Vec::new();
        for ms in 0..50_000 {
            on(ms, &mut messages[0]);
            while let Some(what) = timers.expire((1_000 + ms) * MS, &messages) {
                expired.push((ms, what));
            }
        }
        expired
    }

    fn es(expired: &[(u64, Expired)]) -> Vec<u64> {
        expired
            .iter()
            .filter(|(_, what)| matches!(what, Expired::E(0)))
            .map(|(ms, _)| *ms)
            .collect()
    }

    #[test]
    fn an_unanswered_message_leaves_eleven_times() {
        let expired = play(true, false, |_, _| {});
        let times = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(es(&expired), times);
        assert_eq!(expired.last(), Some(&(32_000, Expired::End(0))));
        assert_eq!(expired.len(), 11);
    }

    #[test]
    fn after_a_provisional_response_timer_e_is_t2() {
        let expired = play(true, false, |ms, message| {
            if ms == 600 {
                message.flags.set(Flags::PROCEEDING);
            }
        });
        assert_eq!(es(&expired)[..4], [500, 1_500, 5_500, 9_500]);
    }

    #[test]
    fn a_final_response_ends_them() {
        let expired = play(true, false, |ms, message| {
            if ms == 2_000 {
                message.status = 200;
                message.flags.set(Flags::RESOLVED);
            }
        });
        assert_eq!(expired, [(500, Expired::E(0)), (1_500, Expired::E(0))]);
    }

    #[test]
    fn a_reliable_transport_has_no_timer_e() {
        assert_eq!(play(false, false, |_, _| {}), [(32_000, Expired::End(0))]);
    }

    #[test]
    fn a_report_is_waited_for_longer_than_timer_f() {
        let answered = |ms, message: &mut Sent| {
            if ms == 10 {
                message.status = 202;
            }
        };
        assert_eq!(play(true, true, answered), [(40_000, Expired::End(0))]);
        let reported = |ms, message: &mut Sent| {
            if ms == 39_000 {
                message.flags.set(Flags::RESOLVED);
            }
        };
        assert!(play(false, true, reported).is_empty());
    }

    #[test]
    fn what_was_answered_meanwhile_holds_up_nobody() {
        let mut timers = ClientTimers::new(Timers::RFC_3261, true, false, 10);
        let mut messages = [sent(1_000); 20];
        let mut expire = |ms: u64, messages: &[Sent]| {
            core::iter::from_fn(|| timers.expire(ms * MS, messages)).count()
        };
        assert_eq!(expire(1_500, &messages), 20);
        messages[..19].iter_mut().for_each(|message| message.status = 200);
        assert_eq!(expire(2_500, &messages), 1);
    }

    #[test]
    fn each_message_has_its_own() {
        let mut timers = ClientTimers::new(Timers::RFC_3261, true, false, 10);
        let messages = [sent(1_000), Sent { status: 200, ..sent(1_100) }, sent(1_200)];
        let mut expired = Vec::new();
        for ms in 1_000..3_000 {
            while let Some(what) = timers.expire(ms * MS, &messages) {
                expired.push((ms, what));
            }
        }
        let expected = [(1_500, 0), (1_700, 2), (2_500, 0), (2_700, 2)];
        assert_eq!(expired, expected.map(|(ms, number)| (ms, Expired::E(number))));
    }
}
