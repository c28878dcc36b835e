//! Messages that are carried from one session to another.

mod failures;
mod reports;
mod waiting;

use super::*;

const OURS_B: &str = "msrp://us.example:7000/s1-secret;tcp";
const BOB: &str = "msrp://relay.example:9000/r;tcp msrp://bob.example:9000/bobs;tcp";
const MIME: &str = "Content-Disposition: attachment; filename=\"a.txt\"\r\n";

/// Two sessions that are joined: Alice on connection 0, Bob on connection 1.
struct Bridge {
    bench: Bench,
    bob: SessionId,
    facts: Vec<Fact>,
    is_partial: bool,
}

impl Bridge {
    fn new() -> Self {
        let mut bench = Bench::active(ANY);
        let bob = bench.it.open(78, ANY).unwrap();
        assert!(bench.it.offer(bob, OURS_B.as_bytes()) && bench.it.agree(bob, path(BOB)));
        bench.it.connected(1, START);
        assert!(bench.it.bind(bob, 1));
        assert!(bench.it.join(bench.session, bob));
        Self { bench, bob, facts: Vec::new(), is_partial: false }
    }

    fn alice(&mut self, octets: &str) {
        self.is_partial = false;
        self.alice_until(octets);
        assert!(self.is_partial, "{octets}");
    }

    fn take_facts(&mut self) {
        self.facts.extend(core::iter::from_fn(|| self.bench.it.fact()));
    }

    /// What was observed.
    fn facts(&mut self) -> Vec<Fact> {
        self.take_facts();
        core::mem::take(&mut self.facts)
    }

    /// Alice's octets, as far as they are taken; how many are not.
    fn alice_until(&mut self, octets: &str) -> usize {
        let mut at = 0;
        loop {
            let it = &mut self.bench;
            let read = it.it.read(0, &octets.as_bytes()[at..], &mut it.desk, it.now);
            at += read.len;
            match read.step {
                Step::Used => self.take_facts(),
                Step::Partial | Step::Stopped => {
                    self.is_partial = read.step == Step::Partial;
                    return octets.len() - at;
                }
                step => panic!("{step:?}"),
            };
        }
    }

    fn bob(&mut self, octets: &str) {
        self.take_facts();
        assert_eq!(self.bench.show_on(1, octets.as_bytes()), Step::Partial, "{octets}");
    }

    fn written(&mut self, connection: u16) -> String {
        let mut all = String::new();
        loop {
            let octets = self.bench.written_on(connection, 1 << 20);
            self.bench.it.handed_over(connection, octets.len() as u64, self.bench.now);
            self.take_facts();
            if octets.is_empty() {
                return all;
            }
            all.push_str(&octets);
        }
    }

    fn for_alice(&mut self) -> String {
        self.written(0)
    }

    fn for_bob(&mut self) -> String {
        self.written(1)
    }

    /// What was written to Bob is answered by him.
    fn answer(&mut self, written: &str, code: u16) {
        for tid in sends(written) {
            self.bob(&answer_of_bob(&tid, code));
        }
    }

    /// How messages came to their ends.
    fn ends(&mut self) -> Vec<CarriedEnd> {
        let end = |fact| match fact {
            Fact::Carried { carriage: Carriage::Over { end }, .. } => Some(end),
            _ => None,
        };
        self.facts().into_iter().filter_map(end).collect()
    }

    fn lose(&mut self, connection: u16) {
        self.bench.it.lost(connection, 0);
    }
}

fn answer_of_bob(tid: &str, code: u16) -> String {
    format!("MSRP {tid} {code} Said\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\n-------{tid}$\r\n")
}

/// Identifiers of the SENDs in what was written.
fn sends(octets: &str) -> Vec<String> {
    let lines = octets.lines().filter_map(|line| line.strip_prefix("MSRP ")?.strip_suffix(" SEND"));
    lines.map(str::to_owned).collect()
}

/// Codes of the responses in what was written.
fn answers(octets: &str) -> Vec<String> {
    let lines = octets.lines().filter_map(|line| line.strip_prefix("MSRP "));
    let lines = lines.filter(|line| !line.ends_with(" SEND") && !line.ends_with(" REPORT"));
    lines.map(|line| line[..line.find(' ').unwrap() + 4].to_owned()).collect()
}

const ID: &str = "Message-ID: m001\r\n";

#[test]
fn a_message_is_carried_as_it_is() {
    let mut bridge = Bridge::new();
    let fields = format!(
        "Message-ID: m001\r\nByte-Range: 1-5/5\r\nSuccess-Report: yes\r\nX-Other: no\r\n{MIME}"
    );
    bridge.alice(&chunk("t001", &fields, "Hello", '$'));
    assert_eq!(bridge.for_alice(), "", "nobody has it yet");
    let written = bridge.for_bob();
    assert_eq!(
        written,
        format!(
            "MSRP us.c.0.0.0 SEND\r\nTo-Path: {BOB}\r\nFrom-Path: {OURS_B}\r\nMessage-ID: m001\r\n\
             Byte-Range: 1-5/5\r\nSuccess-Report: yes\r\nFailure-Report: yes\r\n{MIME}\
             Content-Type: text/plain\r\n\r\nHello\r\n-------us.c.0.0.0$\r\n"
        )
    );
    assert_eq!(bridge.for_alice(), "", "it has left, and nobody has said that he has it");
    bridge.answer(&written, 200);
    assert_eq!(
        bridge.for_alice(),
        format!("MSRP t001 200 OK\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\n-------t001$\r\n")
    );
    assert_eq!(bridge.ends(), [CarriedEnd::Whole { total: 5 }]);
}

/// Everything that a ledger needs, in its order.
#[test]
fn what_happens_is_told() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9\r\n", "Hello", '+'));
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    bridge.for_alice();
    let carried = CarriedId::new(0, 0);
    let view = bridge.bench.it.carried(carried).unwrap();
    assert_eq!((view.from, view.to), (bridge.bench.session, bridge.bob));
    assert_eq!((view.message_id, view.declared), (&b"m001"[..], Some(9)));
    let octets = Octets { start: 0, end: 5 };
    let told = [
        Carriage::Arriving,
        Carriage::Begun { chunk: 0, start: 0 },
        Carriage::Gave { chunk: 0, octets: 5 },
        Carriage::Ended { chunk: 0, flag: Flag::More },
        Carriage::HandedOver { chunk: 0 },
        Carriage::Responded { chunk: 0, octets, code: 200 },
        Carriage::Answered { octets, code: 200 },
    ];
    let mut facts = bridge.facts();
    facts.retain(|fact| !matches!(fact, Fact::Writable { .. }));
    assert_eq!(facts, told.map(|carriage| Fact::Carried { carried, carriage }));
    bridge.alice(&chunk("t002", "Message-ID: m001\r\nByte-Range: 6-9/9\r\n", "all!", '$'));
    let written = bridge.for_bob();
    assert!(written.contains("Byte-Range: 6-9/9\r\n"), "{written}");
    bridge.answer(&written, 200);
    bridge.for_alice();
    assert_eq!(bridge.ends(), [CarriedEnd::Whole { total: 9 }]);
}

/// Who is to be told that there is something to write knows it once.
#[test]
fn the_other_connection_is_told() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    bridge.alice(&chunk("t002", "Message-ID: m002\r\n", "Hello", '$'));
    let writable = |bridge: &mut Bridge| {
        let facts = bridge.facts();
        facts.into_iter().filter(|fact| matches!(fact, Fact::Writable { .. })).collect::<Vec<_>>()
    };
    assert_eq!(writable(&mut bridge), [Fact::Writable { connection: 1 }]);
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    assert_eq!(writable(&mut bridge), [Fact::Writable { connection: 0 }]);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200", "t002 200"]);
}

/// A message larger than the ring leaves while it comes; what is not told to end is not ended.
#[test]
fn it_streams() {
    let mut bridge = Bridge::new();
    let body = "0123456789".repeat(5_000);
    let octets = chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/50000\r\n", &body, '$');
    let (mut at, mut written, mut rounds) = (0, String::new(), 0);
    while at < octets.len() {
        let left = bridge.alice_until(&octets[at..]);
        assert!(octets.len() - at - left <= 4_096 + 300, "no more is taken than there is room");
        at = octets.len() - left;
        let is_stopped = !bridge.is_partial;
        bridge.facts();
        written.push_str(&bridge.for_bob());
        let resumed = Fact::Resumed { connection: 0 };
        assert_eq!(bridge.facts().contains(&resumed), is_stopped, "as soon as there is room");
        rounds += 1;
        assert_eq!(bridge.for_alice(), "");
    }
    written.push_str(&bridge.for_bob());
    assert!(rounds > 10);
    assert_eq!(sends(&written).len(), 1, "nobody else waits, so it is one chunk");
    assert!(written.contains(&body) && written.ends_with("$\r\n"));
    bridge.answer(&written, 200);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
}

/// RFC 4975 section 7.1.1: answers and others have their turn, also while a sender is slow.
#[test]
fn a_chunk_is_cut_for_others() {
    let mut bridge = Bridge::new();
    let body = "x".repeat(3_000);
    let octets = chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/3000\r\n", &body, '$');
    let (first, rest) = octets.split_at(octets.len() - 500);
    bridge.alice(first);
    let one = bridge.for_bob();
    assert!(one.ends_with('x') && !bridge.bench.it.has_output(1), "it waits for more");
    // Bob sends something to Alice, which she answers; and something that we answer ourselves.
    bridge.bob(&format!(
        "MSRP b001 SEND\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\nMessage-ID: m009\r\n-------b001$\r\n"
    ));
    assert!(bridge.bench.it.has_output(1));
    let two = bridge.for_bob();
    assert!(two.contains("+\r\nMSRP b001 200 OK"), "{two}");
    bridge.alice(rest);
    let three = bridge.for_bob();
    let [tid, other] = [&sends(&one)[0], &sends(&three)[0]];
    assert!(three.contains("Byte-Range: 2") && three.ends_with(&format!("-------{other}$\r\n")));
    bridge.bob(&answer_of_bob(other, 200));
    assert_eq!(bridge.for_alice(), "", "one piece of it is not answered");
    bridge.bob(&answer_of_bob(tid, 200));
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
    assert_eq!(bridge.ends(), [CarriedEnd::Whole { total: 3_000 }]);
}

/// H31: an end-line of ours in a body is never written as one.
#[test]
fn h31_an_end_line_of_ours_in_what_is_carried() {
    for (size, flag) in [(0, '$'), (3_000, '$'), (3_000, '+')] {
        let mut bridge = Bridge::new();
        let line = "\r\n-------us.c.0.0.0$\r\n";
        let body = format!("{}{line}tail{}", "x".repeat(size), "y".repeat(size));
        let octets = chunk("t001", ID, &body, flag);
        let (mut left, mut written) = (octets.len(), String::new());
        while left > 0 {
            left = bridge.alice_until(&octets[octets.len() - left..]);
            written += &bridge.for_bob();
        }
        let mut reader = Reader::new();
        let (mut at, mut got, mut flags) = (0, Vec::<u8>::new(), Vec::new());
        loop {
            use crate::wire::msrp::Event;
            let octets = &written.as_bytes()[at..];
            at += match reader.read(octets) {
                Event::Head { len } => len,
                Event::Body { len } => {
                    got.extend(&octets[..len]);
                    len
                }
                Event::End { flag, len } => {
                    flags.push(flag);
                    len
                }
                Event::Partial { .. } => break,
                Event::Malformed(wrong) => panic!("{wrong:?}"),
            };
        }
        assert_eq!(got, body.as_bytes(), "{size}");
        assert_eq!(flags.len(), if size > 0 { 2 } else { 1 }, "{flags:?}");
    }
}

/// RFC 4975 section 7.1.1: no chunk of ours is small because we were in a hurry.
#[test]
fn no_chunk_is_begun_for_a_few_octets() {
    let mut bridge = Bridge::new();
    let body = "Z".repeat(3_000);
    let octets = chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/9000\r\n", &body, '+');
    let head = octets.find(&body).unwrap();
    bridge.alice(&octets[..head + 2_048]);
    assert!(!bridge.bench.it.has_output(1));
    assert_eq!(bridge.for_bob(), "");
    bridge.alice(&octets[head + 2_048..=head + 2_048]);
    let written = bridge.for_bob();
    assert!(written.contains("Byte-Range: 1-*/9000\r\n"), "{written}");
    assert_eq!(written.matches('Z').count(), 2_048);
    bridge.alice(&octets[head + 2_049..]);
    assert_eq!(sends(&(written + &bridge.for_bob())).len(), 1);
}

/// Chunks of one message agree about it, or it is refused.
#[test]
fn chunks_that_disagree_are_refused() {
    for fields in ["Success-Report: yes\r\n", "Failure-Report: partial\r\n"] {
        let mut bridge = Bridge::new();
        bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-5/20\r\n", "Hello", '+'));
        let written = bridge.for_bob();
        let fields = format!("Message-ID: m001\r\nByte-Range: 6-10/20\r\n{fields}");
        bridge.alice(&chunk("t002", &fields, "Hello", '+'));
        assert_eq!(answers(&bridge.for_alice()), ["t002 400"]);
        let last = bridge.for_bob();
        assert!(last.contains("Byte-Range: 1-0/20\r\n") && last.contains("#\r\n"), "{last}");
        bridge.answer(&(written + &last), 200);
        assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
        assert_eq!(bridge.ends(), [CarriedEnd::Stopped { code: 400 }]);
    }
}

/// What is larger than the recipient takes is refused at its head, or where it becomes too large.
#[test]
fn a_message_that_is_too_large_is_refused() {
    let mut bridge = Bridge::new();
    bridge.alice(&chunk("t001", "Message-ID: m001\r\nByte-Range: 1-*/100001\r\n", "Hello", '+'));
    assert_eq!(answers(&bridge.for_alice()), ["t001 413"]);
    bridge.alice(&chunk("t002", "Message-ID: m002\r\nByte-Range: 99999-*/*\r\n", "Hello", '+'));
    assert_eq!(answers(&bridge.for_alice()), ["t002 413"]);
    assert_eq!(bridge.for_bob(), "");
    let mime = "Content-Id: x\r\n".repeat(9);
    bridge.alice(&chunk("t003", &format!("Message-ID: m003\r\n{mime}"), "Hello", '$'));
    assert_eq!(answers(&bridge.for_alice()), ["t003 413"]);
}

/// Joined are two sessions, and no third.
#[test]
fn sessions_are_joined_in_pairs() {
    let mut bridge = Bridge::new();
    let (alice, bob) = (bridge.bench.session, bridge.bob);
    let it = &mut bridge.bench.it;
    assert_eq!((it.joined_to(alice), it.joined_to(bob)), (Some(bob), Some(alice)));
    let [one, other] = [it.open(1, ANY).unwrap(), it.open(2, ANY).unwrap()];
    assert!(
        !it.join(alice, bob) && !it.join(one, bob) && !it.join(alice, one) && !it.join(one, one)
    );
    assert!(it.join(one, other));
    // What is closed makes room for others; a message that waits for its session does not wait for ever.
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    let it = &mut bridge.bench.it;
    it.close(bob, START);
    assert_eq!(answers(&bridge.for_alice()), ["t001 408"]);
    bridge.bench.it.close(alice, START);
    bridge.bench.it.close(one, START);
    bridge.bench.it.close(other, START);
    assert!(
        bridge.bench.it.carriage.ways.is_empty() && bridge.bench.it.carriage.messages.is_empty()
    );
    assert!(bridge.bench.it.carriage.is_bare());
}

/// A recipient whose session is not bound yet is waited for.
#[test]
fn a_message_waits_for_its_session() {
    let mut bench = Bench::active(ANY);
    let bob = bench.it.open(78, ANY).unwrap();
    assert!(bench.it.offer(bob, OURS_B.as_bytes()) && bench.it.join(bench.session, bob));
    bench.it.connected(1, START);
    let mut bridge = Bridge { bench, bob, facts: Vec::new(), is_partial: false };
    bridge.alice(&chunk("t001", ID, "Hello", '$'));
    assert!(!bridge.bench.it.has_output(1));
    assert!(bridge.bench.it.agree(bob, path(BOB)) && bridge.bench.it.bind(bob, 1));
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    assert_eq!(answers(&bridge.for_alice()), ["t001 200"]);
}
