//! Every order of what can happen to a message of two chunks, against the rules read once more from
//! the history as a whole; and longer histories at random.

use super::super::*;
use super::{octets, random};
use crate::delivery::MsrpRole;
use crate::delivery::coverage::{End, Observation, Standing};
use crate::delivery::mapping::Row;

/// Two chunks of two octets, the second with `$`.
const TOTAL: u64 = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next chunk is sent and handed over.
    Send,
    Response(u32, u16),
    /// Positions as in a Byte-Range, total, status.
    Report(u64, u64, u64, u16),
    Timeout(u32),
    Bye,
    Lost,
    Waited,
}

use Step::{Bye, Lost, Report, Response, Send, Timeout, Waited};

const STEPS: [Step; 18] = [
    Send,
    Response(0, 200),
    Response(1, 200),
    Response(0, 403),
    Response(0, 481),
    Response(1, 408),
    Report(1, 2, 4, 200),
    Report(2, 3, 4, 200),
    Report(3, 4, 4, 200),
    Report(1, 4, 4, 200),
    Report(1, 2, 2, 200),
    Report(1, 2, 4, 403),
    Report(3, 4, 4, 408),
    Timeout(0),
    Timeout(1),
    Bye,
    Lost,
    Waited,
];

/// The chunks of this attempt are numbered from `base`.
fn take(ledger: &mut Ledger, step: Step, base: u32) {
    let observation = match step {
        Send => {
            let Some(number) = ledger.begin() else { return };
            ledger.write(2);
            ledger.end(if number == base { End::More } else { End::Last });
            ledger.hand_over(number);
            return;
        }
        Response(chunk, status) => Observation::Response { chunk: base + chunk, status },
        Report(from, to, total, status) => {
            let octets = Some(octets(from - 1, to));
            Observation::Report { octets, total: Some(total), status }
        }
        Timeout(chunk) => Observation::Timeout { chunk: base + chunk },
        Bye => Observation::Bye,
        Lost => Observation::Lost,
        Waited => Observation::Waited,
    };
    ledger.observe(observation);
}

/// `D`, `P`, `T`, `U`: decided; `o` open, `a` accepted, `d` doubtful.
fn letter(standing: Standing) -> char {
    match standing {
        Standing::Open => 'o',
        Standing::Accepted => 'a',
        Standing::Doubtful => 'd',
        Standing::Decided(evidence) | Standing::Again(evidence) => {
            Row::of(evidence).unwrap().verdict.letter()
        }
    }
}

/// A history read as a whole: sets of octets as four bits.
#[derive(Default)]
struct Read {
    sent: u32,
    answers: [Option<u16>; 2],
    reported: u8,
    is_shorter: bool,
    timed_out: [bool; 2],
    /// Who failed: the verdict and the octets.
    failures: Vec<(char, u8)>,
    end: Option<char>,
}

impl Read {
    fn of(history: &[Step]) -> Self {
        let mut read = Self::default();
        for step in history {
            read.take(*step);
        }
        read
    }

    fn take(&mut self, step: Step) {
        let all_sent = self.sent == 2;
        match step {
            Send => {
                let is_over = !self.failures.is_empty() || self.end.is_some();
                if !is_over && !all_sent {
                    self.sent += 1;
                }
            }
            Response(chunk, status) => {
                let answer = &mut self.answers[chunk as usize];
                if chunk < self.sent && answer.is_none() {
                    *answer = Some(status);
                    let octets = 0b11 << (2 * chunk);
                    match status {
                        403 => self.failures.push(('P', octets)),
                        481 => self.failures.push(('T', octets)),
                        408 => self.failures.push(('U', octets)),
                        _ => {}
                    }
                }
            }
            Report(from, to, total, status) => {
                let on_the_way = (1_u8 << (2 * self.sent)) - 1;
                let range = ((1_u8 << to) - 1) & !((1_u8 << (from - 1)) - 1) & on_the_way;
                match (range, status) {
                    (0, _) => {}
                    (_, 403) => self.failures.push(('P', range)),
                    (_, 408) => self.failures.push(('U', range)),
                    (_, _) if total < TOTAL => self.is_shorter = true,
                    (_, _) => self.reported |= range,
                }
            }
            Timeout(chunk) => {
                self.timed_out[chunk as usize] |= chunk < self.sent;
            }
            Bye | Waited => {
                self.end = self.end.or(Some(if all_sent { 'U' } else { 'T' }));
            }
            Lost => self.end = self.end.or(Some(if self.sent == 0 { 'T' } else { 'U' })),
        }
    }

    fn is_late(&self) -> bool {
        (0..2).any(|chunk| self.timed_out[chunk] && self.answers[chunk].is_none())
    }

    /// The first failure of these kinds, unless everything between the first and the last octet that
    /// failed so was reported.
    fn failed(&self, kinds: &[char]) -> Option<char> {
        let of_kind = self.failures.iter().filter(|(kind, _)| kinds.contains(kind));
        let octets = of_kind.clone().fold(0, |all, (_, octets)| all | octets);
        let between = match octets {
            0b0000 => return None,
            0b1001..=0b1111 if octets & 1 == 1 => 0b1111,
            0b0101 | 0b0111 => 0b0111,
            0b1010 | 0b1110 => 0b1110,
            other => other,
        };
        let first = of_kind.map(|(kind, _)| *kind).next();
        if self.reported & between == between { None } else { first }
    }

    fn letter(&self, speaks: bool) -> char {
        let is_sent = self.sent == 2;
        if is_sent && self.reported == 0b1111 {
            return 'D';
        }
        if let Some(kind) = self.failed(&['P', 'T']) {
            return kind;
        }
        let acknowledged = (0..2).fold(0, |all, chunk| match self.answers[chunk] {
            Some(200) => all | 0b11 << (2 * chunk),
            Some(_) | None => all,
        });
        let is_answered = is_sent && self.answers[1] == Some(200) && !self.is_shorter;
        let all = is_answered && acknowledged | self.reported == 0b1111;
        let is_doubted = self.is_late() || self.failed(&['U']).is_some();
        if all && speaks && !is_doubted {
            return 'D';
        }
        if let Some(end) = self.end {
            return end;
        }
        match (self.is_shorter || is_doubted, all) {
            (true, _) => 'd',
            (false, true) => 'a',
            (false, false) => 'o',
        }
    }

    /// The worst error, said as plainly as can be: whether somebody who knows has said of every octet
    /// that it is there.
    fn is_proved(&self, speaks: bool) -> bool {
        let says_so = |octet: usize| {
            self.reported >> octet & 1 == 1 || speaks && self.answers[octet / 2] == Some(200)
        };
        self.sent == 2 && (0..4).all(says_so)
    }
}

fn check(ledger: &Ledger, history: &[Step], speaks: bool) {
    let read = Read::of(history);
    let found = letter(ledger.standing());
    assert!(found != 'D' || read.is_proved(speaks), "not proved: {history:?}");
    assert_eq!(found, read.letter(speaks), "{history:?}");
}

/// All histories that go on for `depth` steps from here. Returns how many states were looked at.
fn explore(ledger: &Ledger, history: &mut Vec<Step>, depth: usize, speaks: bool) -> u64 {
    check(ledger, history, speaks);
    if depth == 0 {
        return 1;
    }
    let mut seen = 1;
    for step in STEPS {
        let mut next = *ledger;
        take(&mut next, step, 0);
        history.push(step);
        // What changes nothing leads nowhere else.
        if next == *ledger {
            check(&next, history, speaks);
            seen += 1;
        } else {
            seen += explore(&next, history, depth - 1, speaks);
        }
        history.pop();
    }
    seen
}

#[test]
fn no_order_of_events_proves_more_than_was_said() {
    let mut seen = 0;
    for (role, speaks) in [(MsrpRole::Endpoint, true), (MsrpRole::Relay, false)] {
        for (already, depth) in [(0, 5), (1, 5), (2, 5)] {
            let mut ledger = Ledger::new(TOTAL, role, 1);
            let mut history = Vec::new();
            for _ in 0..already {
                take(&mut ledger, Send, 0);
                history.push(Send);
            }
            seen += explore(&ledger, &mut history, depth, speaks);
        }
    }
    assert!(seen > 100_000, "{seen}");
}

/// Every way to a second attempt that is two steps long after what was sent, and all of its own first three
/// steps behind that: what was unknown stays so, unless the second one delivers.
#[test]
fn a_second_attempt_makes_nothing_certain_but_delivery() {
    let role = MsrpRole::Endpoint;
    let mut kinds = [0, 0];
    for (first, second) in STEPS.iter().flat_map(|one| STEPS.map(|other| (*one, other))) {
        for already in 0..=2 {
            let mut ledger = Ledger::new(TOTAL, role, 1);
            for step in core::iter::repeat_n(Send, already).chain([first, second]) {
                take(&mut ledger, step, 0);
            }
            let Standing::Again(_) = ledger.standing() else { continue };
            let before = letter(ledger.standing());
            kinds[usize::from(before == 'U')] += 1;
            ledger.again(role, 1);
            let base = { ledger }.begin().unwrap();
            for number in 0..STEPS.len().pow(3) {
                let (mut after, mut rest) = (ledger, number);
                let mut history = Vec::from([Send, Send]);
                for _ in 0..3 {
                    history.push(STEPS[rest % STEPS.len()]);
                    rest /= STEPS.len();
                }
                for step in &history {
                    take(&mut after, *step, base);
                }
                let alone = Read::of(&history).letter(true);
                let expected = match (before, alone) {
                    ('U', 'P' | 'T' | 'U') => 'U',
                    (_, alone) => alone,
                };
                assert_eq!(letter(after.standing()), expected, "{first:?} {second:?} {history:?}");
                assert!(!matches!(after.standing(), Standing::Again(_)), "{history:?}");
            }
        }
    }
    assert!(kinds[0] > 5 && kinds[1] > 5, "{kinds:?}");
}

#[test]
fn longer_histories_prove_no_more_either() {
    for seed in 1..6_000 {
        let mut word = seed;
        let speaks = seed % 2 == 0;
        let role = if speaks { MsrpRole::Endpoint } else { MsrpRole::B2bua };
        let mut ledger = Ledger::new(TOTAL, role, 1);
        let mut history = Vec::new();
        for _ in 0..12 {
            // An end comes seldom, so that there is something before it.
            let range = if random(&mut word).is_multiple_of(8) { 18 } else { 15 };
            let step = STEPS[usize::try_from(random(&mut word) % range).unwrap()];
            take(&mut ledger, step, 0);
            history.push(step);
            check(&ledger, &history, speaks);
        }
    }
}
