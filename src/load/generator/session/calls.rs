//! INVITEs and what came of them, each found by the tag that it was given, and what is due for them.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::load::generator::plan::Timers;
use crate::load::generator::session::message::Assembly;
use crate::load::schedule::chance;
use crate::packet::{ConnectionId, Flow};

/// How long copies of a request are known after the end of a call on an unreliable transport: T4 (RFC 3261
/// table 4), in units of T1.
const LINGER_T1: u64 = 10;

/// Where a call stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Phase {
    /// There is no final answer: it rings, or nobody says anything.
    Open,
    /// The final answer has left, and ACK has not come.
    Answered {
        /// Whether it was 2xx.
        is_success: bool,
    },
    /// There is a session.
    Up,
    /// It is over; what comes of it again is known for a while.
    #[default]
    Over,
}

/// One INVITE and what came of it.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Names its transaction, and its dialog in our tag.
    pub(super) mark: u64,
    pub(super) phase: Phase,
    /// What it was answered, which its copies get again; empty for nothing.
    pub(super) response: Vec<u8>,
    /// Where that goes.
    pub(super) flow: Flow,
    /// When it came, in nanoseconds.
    pub(super) begun_ns: u64,
    pub(super) session: Option<Session>,
    /// When something is due; 0 for never.
    due_ns: u64,
    /// How long the answer is waited with until it is repeated.
    interval_ns: u64,
    /// When it is given up.
    end_ns: u64,
}

/// One MSRP session.
#[derive(Debug)]
pub(super) struct Session {
    /// Nobody else knows it.
    pub(super) secret: u64,
    /// Our path and theirs.
    pub(super) ours: Box<[u8]>,
    pub(super) theirs: Box<[u8]>,
    /// The connection that it is bound to.
    pub(super) line: Option<ConnectionId>,
    /// Whether that is of this session alone.
    pub(super) is_own_line: bool,
    /// Whether a message was whole.
    pub(super) has_brought: bool,
    /// Messages of which something has come.
    pub(super) messages: Vec<Assembly>,
}

/// What is to be done for a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// Its answer is to be sent again.
    Repeat(u32),
    /// Nobody has acknowledged its answer.
    GivenUp(u32),
}

/// All calls.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Vec<Call>,
    free: Vec<u32>,
    marks: BTreeMap<u64, u32>,
    due: BinaryHeap<Reverse<(u64, u32, u64)>>,
    secret: u64,
    /// Calls that have or may get a session.
    open: u64,
}

impl Calls {
    pub(super) fn new(secret: u64) -> Self {
        let (calls, free, marks) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { calls, free, marks, due: BinaryHeap::new(), secret, open: 0 }
    }

    /// The call that a transaction or a tag names.
    pub(super) fn of_mark(&self, mark: u64) -> Option<u32> {
        self.marks.get(&mark).copied()
    }

    /// The call that our tag names, which is that of its dialog.
    pub(super) fn of_tag(&self, tag: &[u8]) -> Option<u32> {
        let tag = core::str::from_utf8(tag).ok().filter(|tag| tag.len() == 16)?;
        self.of_mark(u64::from_str_radix(tag, 16).ok()?)
    }

    pub(super) fn get(&mut self, index: u32) -> Option<&mut Call> {
        self.calls.get_mut(usize::try_from(index).ok()?)
    }

    /// How many have or may get a session.
    pub(super) const fn open(&self) -> u64 {
        self.open
    }

    /// A new one, with nothing in it.
    pub(super) fn insert(&mut self, mark: u64, begun_ns: u64, flow: Flow) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Call::default());
            u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX)
        });
        self.marks.insert(mark, index);
        self.open += 1;
        if let Some(call) = self.get(index) {
            let mut response = core::mem::take(&mut call.response);
            response.clear();
            *call = Call { mark, phase: Phase::Open, begun_ns, flow, response, ..Call::default() };
        }
        index
    }

    /// What nobody can guess of the session of a call.
    pub(super) fn secret(&self, mark: u64) -> u64 {
        chance(self.secret, usize::try_from(mark).unwrap_or(usize::MAX))
    }

    /// A final answer leaves, and again until it is acknowledged: one of 2xx whatever carries it (RFC 3261
    /// section 13.3.1.4), another one where it may get lost (timer G).
    pub(super) fn answered(&mut self, index: u32, is_success: bool, now_ns: u64, timers: Timers) {
        let Some(call) = self.get(index) else { return };
        call.phase = Phase::Answered { is_success };
        call.interval_ns = timers.t1_ns;
        call.end_ns = now_ns + timers.f_ns();
        let repeats = is_success || call.flow.connection.is_none();
        let at_ns = if repeats { now_ns + timers.t1_ns } else { call.end_ns };
        self.wait(index, at_ns);
    }

    /// Nothing final was said: it is forgotten when nobody asks any more.
    pub(super) fn left_open(&mut self, index: u32, now_ns: u64, timers: Timers) {
        if let Some(call) = self.get(index) {
            call.end_ns = now_ns + 2 * timers.f_ns();
            let end_ns = call.end_ns;
            self.wait(index, end_ns);
        }
    }

    /// Its answer is due again at once.
    pub(super) fn hurry(&mut self, index: u32, now_ns: u64) {
        self.wait(index, now_ns);
    }

    /// Nothing more is due for it.
    pub(super) fn acknowledged(&mut self, index: u32) {
        if let Some(call) = self.get(index) {
            (call.phase, call.due_ns) = (Phase::Up, 0);
            call.response.clear();
        }
    }

    /// It is over; its session goes.
    pub(super) fn end(&mut self, index: u32, now_ns: u64, timers: Timers) -> Option<Session> {
        let call = self.get(index).filter(|call| call.phase != Phase::Over)?;
        call.phase = Phase::Over;
        call.response.clear();
        let session = call.session.take();
        let reliable = call.flow.connection.is_some();
        let linger_ns = if reliable { 0 } else { LINGER_T1 * timers.t1_ns };
        self.open -= 1;
        self.wait(index, now_ns + linger_ns);
        session
    }

    fn wait(&mut self, index: u32, at_ns: u64) {
        let Some(call) = self.get(index) else { return };
        call.due_ns = at_ns.max(1);
        let entry = (call.due_ns, index, call.mark);
        self.due.push(Reverse(entry));
    }

    /// The next that is due; calls that are over are forgotten on the way.
    pub(super) fn expire(&mut self, now_ns: u64, timers: Timers) -> Option<Due> {
        while let Some(&Reverse((at_ns, index, mark))) = self.due.peek()
            && at_ns <= now_ns
        {
            self.due.pop();
            let is_it = |call: &&mut Call| call.due_ns == at_ns && call.mark == mark;
            let Some(call) = self.get(index).filter(is_it) else { continue };
            match call.phase {
                Phase::Answered { .. } if now_ns < call.end_ns => {
                    let again_ns = (now_ns + call.interval_ns).min(call.end_ns);
                    call.interval_ns = (2 * call.interval_ns).min(timers.t2_ns);
                    self.wait(index, again_ns);
                    return Some(Due::Repeat(index));
                }
                Phase::Over => {
                    call.due_ns = 0;
                    self.marks.remove(&mark);
                    self.free.push(index);
                }
                Phase::Open | Phase::Answered { .. } => return Some(Due::GivenUp(index)),
                Phase::Up => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: Timers = Timers::of(10);

    /// When its answer is repeated, and when that is given up.
    fn play(flow: Flow, is_success: bool, ack_ns: u64) -> (Vec<u64>, Option<u64>) {
        let mut calls = Calls::new(1);
        let index = calls.insert(7, 0, flow);
        calls.answered(index, is_success, 0, TIMERS);
        let (mut repeats, mut given_up) = (Vec::new(), None);
        for now_ns in 1..2_000 {
            if now_ns == ack_ns {
                calls.acknowledged(index);
            }
            match calls.expire(now_ns, TIMERS) {
                Some(Due::Repeat(_)) => repeats.push(now_ns),
                Some(Due::GivenUp(_)) => given_up = Some(now_ns),
                None => {}
            }
        }
        (repeats, given_up)
    }

    fn connected() -> Flow {
        let generation = 1.try_into().unwrap();
        let id = ConnectionId { generation, index: 0, worker: crate::id::WorkerId(0) };
        Flow { connection: Some(id), ..Flow::NOWHERE }
    }

    #[test]
    fn an_answer_is_repeated_until_it_is_acknowledged() {
        assert_eq!(play(Flow::NOWHERE, true, 40), (Vec::from([10, 20]), None));
        let (repeats, given_up) = play(Flow::NOWHERE, false, u64::MAX);
        assert_eq!(repeats[..6], [10, 20, 40, 80, 160, 240]);
        assert_eq!(given_up, Some(TIMERS.f_ns()));
        // On a connection only 2xx gets lost, further on.
        assert_eq!(play(connected(), true, 15).0, [10]);
        assert_eq!(play(connected(), false, u64::MAX), (Vec::new(), Some(TIMERS.f_ns())));
    }

    #[test]
    fn what_is_over_is_known_for_a_while_and_then_forgotten() {
        let mut calls = Calls::new(1);
        let index = calls.insert(7, 0, Flow::NOWHERE);
        assert_eq!((calls.of_mark(7), calls.open()), (Some(index), 1));
        assert_eq!(calls.of_tag(b"0000000000000007"), Some(index));
        assert_eq!(calls.of_tag(b"7"), None);
        calls.acknowledged(index);
        assert!(calls.end(index, 5, TIMERS).is_none());
        calls.end(index, 6, TIMERS);
        assert_eq!(
            (calls.open(), calls.expire(104, TIMERS), calls.of_mark(7)),
            (0, None, Some(index))
        );
        assert_eq!((calls.expire(105, TIMERS), calls.of_mark(7)), (None, None));
        // Its place is another one's, whom nothing that was due for it disturbs.
        let next = calls.insert(8, 106, connected());
        assert_eq!(next, index);
        calls.left_open(next, 106, TIMERS);
        assert_eq!(calls.expire(2_000, TIMERS), Some(Due::GivenUp(next)));
    }
}
