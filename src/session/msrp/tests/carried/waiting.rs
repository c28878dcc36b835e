//! Who waits for whom, and what there is no room for.

use super::*;

/// A sender is made to wait where his recipient is behind with his answers.
#[test]
fn a_recipient_who_does_not_answer_makes_his_sender_wait() {
    let mut bridge = Bridge::new();
    let octets: String = (0..80)
        .map(|number| {
            let (start, end) = (number * 5 + 1, number * 5 + 5);
            let fields = format!("Message-ID: m001\r\nByte-Range: {start}-{end}/400\r\n");
            chunk(&format!("t{number:03}"), &fields, "Hello", if number == 79 { '$' } else { '+' })
        })
        .collect();
    let mut left = bridge.alice_until(&octets);
    let mut written = bridge.for_bob();
    assert_eq!(sends(&written).len(), 64);
    assert!(left > 0 && bridge.facts().iter().all(|fact| !matches!(fact, Fact::Resumed { .. })));
    let first = sends(&written)[0].clone();
    bridge.bob(&answer_of_bob(&first, 200));
    assert_eq!(answers(&bridge.for_alice()), ["t000 200"]);
    assert!(bridge.facts().contains(&Fact::Resumed { connection: 0 }));
    // He is read from again; and where Bob is not, Alice need not wait for him.
    let to_alice = format!(
        "MSRP b001 SEND\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\nMessage-ID: m009\r\n\
         Content-Type: text/plain\r\n\r\n{}",
        "x".repeat(9_000)
    );
    assert_eq!(bridge.bench.show_on(1, to_alice.as_bytes()), Step::Stopped);
    left = bridge.alice_until(&octets[octets.len() - left..]);
    assert_eq!(left, 0);
    written = bridge.for_bob();
    assert_eq!(sends(&written).len(), 16);
}

/// More messages at once than have places: one more waits while the others are answered; those between two
/// chunks give their places up, and are taken up again.
#[test]
fn messages_take_turns_with_places() {
    let mut bridge = Bridge::new();
    let part = |number: usize, from: usize, flag| {
        let fields = format!("Message-ID: m{number:03}\r\nByte-Range: {}-*/10\r\n", from + 1);
        chunk(&format!("t{number:03}"), &fields, "Hello", flag)
    };
    for number in 0..16 {
        bridge.alice(&part(number, 0, '+'));
    }
    let one_more = part(16, 0, '+');
    assert_eq!(bridge.alice_until(&one_more), one_more.len());
    let written = bridge.for_bob();
    bridge.answer(&written, 200);
    assert_eq!(answers(&bridge.for_alice()).len(), 16);
    assert!(bridge.facts().contains(&Fact::Resumed { connection: 0 }));
    bridge.alice(&one_more);
    assert_eq!(bridge.ends(), [CarriedEnd::Stalled]);
    for number in (0..17).rev() {
        let last = part(number, 5, '$');
        assert_eq!(bridge.alice_until(&last), 0);
        let written = bridge.for_bob();
        bridge.answer(&written, 200);
        bridge.for_alice();
    }
    let ended = |end| matches!(end, CarriedEnd::Whole { total: 10 });
    // Of the one that was taken up again, nobody knows here that it is whole.
    assert_eq!(bridge.ends().into_iter().filter(|end| ended(*end)).count(), 16);
    bridge.bench.expire(200_000);
    assert_eq!(bridge.ends(), [CarriedEnd::Stalled]);
}

/// What there is no room for is refused, and so is what follows of it.
#[test]
fn where_there_is_no_room_nothing_is_taken() {
    let mut bridge = Bridge::new();
    let it = &mut bridge.bench.it;
    let [one, other] = [it.open(1, ANY).unwrap(), it.open(2, ANY).unwrap()];
    for (place, session) in [(2, one), (3, other)] {
        let uri = OURS.replace("s0", &format!("s{place}"));
        assert!(it.offer(session, uri.as_bytes()) && it.agree(session, path(THEIRS)));
        assert!(it.bind(session, place - 2));
    }
    assert!(it.join(one, other));
    for number in 0..24 {
        let octets = chunk(
            "t001",
            &format!("Message-ID: m{number:03}\r\nByte-Range: 1-*/9\r\n"),
            "Hello",
            '+',
        );
        bridge.alice(&if number < 16 { octets } else { octets.replace("s0-", "s2-") });
    }
    let octets = chunk("t002", "Message-ID: m024\r\nByte-Range: 1-*/9\r\n", "Hello", '+');
    bridge.alice(&octets.replace("s0-", "s2-"));
    assert_eq!(answers(&bridge.for_alice()), ["t002 413"]);
    bridge.bench.it.close(bridge.bob, START);
    bridge.for_alice();
    // A hole in it would make it useless.
    let octets = chunk("t003", "Message-ID: m024\r\nByte-Range: 6-*/9\r\n", "lost", '$');
    bridge.alice(&octets.replace("s0-", "s2-"));
    assert_eq!(answers(&bridge.for_alice()), ["t003 413"]);
}

/// Two senders who both do not read while they send, and whose recipients answer behind what they send
/// themselves: nobody waits for ever, and nobody is told of a failure that is none.
#[test]
fn two_who_wait_for_each_other() {
    for is_one_connection in [false, true] {
        let mut bridge = Bridge::new();
        if is_one_connection {
            bridge.lose(1);
            bridge.bench.it.close(bridge.bob, START);
            bridge.bench.it.close(bridge.bench.session, START);
            let mut bench = Bench::active(ANY);
            let bob = bench.it.open(78, ANY).unwrap();
            assert!(bench.it.offer(bob, OURS_B.as_bytes()) && bench.it.agree(bob, path(BOB)));
            assert!(bench.it.bind(bob, 0) && bench.it.join(bench.session, bob));
            bridge = Bridge { bench, bob, facts: Vec::new(), is_partial: false };
        }
        let words = |to: &str, from: &str, name: char| {
            let mut said = Vec::new();
            for number in 0..90 {
                let (start, end) = (number * 5 + 1, number * 5 + 5);
                let flag = if number == 89 { '$' } else { '+' };
                said.push(format!(
                    "MSRP {name}{number:03} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
                     Message-ID: {name}001\r\nByte-Range: {start}-{end}/450\r\n\
                     Content-Type: text/plain\r\n\r\nHello\r\n-------{name}{number:03}{flag}\r\n"
                ));
            }
            said.concat()
        };
        let of = if is_one_connection { [0, 0] } else { [0, 1] };
        let mut said = [words(OURS, THEIRS, 'a'), words(OURS_B, BOB, 'b')];
        let mut written = [String::new(), String::new()];
        let mut codes = Vec::new();
        for round in 0..40 {
            for side in 0..2 {
                loop {
                    let it = &mut bridge.bench;
                    let read = it.it.read(of[side], said[side].as_bytes(), &mut it.desk, it.now);
                    said[side].drain(..read.len);
                    bridge.take_facts();
                    if read.step != Step::Used {
                        break;
                    }
                }
                let text = bridge.written(of[side]);
                codes.extend(answers(&text));
                written[side] += &text;
                // Answered behind all that is to be said.
                for (tid, to, from) in whole_sends(&mut written[side]) {
                    let place = usize::from(from == OURS_B && !is_one_connection);
                    said[place] += &format!(
                        "MSRP {tid} 200 OK\r\nTo-Path: {from}\r\nFrom-Path: {to}\r\n-------{tid}$\r\n"
                    );
                }
            }
            bridge.bench.expire(round * 100);
        }
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 180, "{is_one_connection} {codes:?}");
        assert!(codes.iter().all(|code| code.ends_with(" 200")), "{codes:?}");
    }
}

/// Identifiers and paths of the SENDs that were written as a whole.
fn whole_sends(written: &mut String) -> Vec<(String, String, String)> {
    let mut whole = Vec::new();
    for tid in sends(written) {
        let Some(end) = written.find(&format!("\r\n-------{tid}")) else { continue };
        let at = written.find(&format!("MSRP {tid} ")).unwrap();
        let head: Vec<&str> = written[at..end].lines().collect();
        let value = |line: &str, name: &str| line.strip_prefix(name).unwrap().to_owned();
        whole.push((tid, value(head[1], "To-Path: "), value(head[2], "From-Path: ")));
    }
    if let Some(end) = written.rfind("$\r\n").max(written.rfind("+\r\n")) {
        written.drain(..end + 3);
    }
    whole
}

/// Who asks for errors only is not kept waiting for what is not said: errors to what left last still come.
#[test]
fn who_asks_for_errors_only_does_not_wait() {
    let mut bridge = Bridge::new();
    let mut written = String::new();
    for number in 0..200 {
        let range = format!("Byte-Range: {}-{}/1000\r\n", number * 5 + 1, number * 5 + 5);
        let fields = format!("Message-ID: m001\r\nFailure-Report: partial\r\n{range}");
        bridge.alice(&chunk(&format!("t{number:03}"), &fields, "Hello", '+'));
        written += &bridge.for_bob();
    }
    let tids = sends(&written);
    bridge.bob(&answer_of_bob(&tids[0], 403));
    assert_eq!(bridge.for_alice(), "", "nobody remembers it");
    bridge.bob(&answer_of_bob(&tids[150], 403));
    assert_eq!(answers(&bridge.for_alice()), ["t150 403"]);
}

/// Who does not read while he writes is read from all the same, if nobody else can make him read.
#[test]
fn who_does_not_read_while_he_writes() {
    let mut bridge = Bridge::new();
    let octets: String = (0..70)
        .map(|number| {
            let (start, end) = (number * 5 + 1, number * 5 + 5);
            let fields = format!("Message-ID: m001\r\nByte-Range: {start}-{end}/400\r\n");
            chunk(&format!("t{number:03}"), &fields, "Hello", '+')
        })
        .collect();
    let left = bridge.alice_until(&octets);
    assert!(left > 0 && !bridge.is_partial);
    bridge.for_bob();
    // Bob's answers are behind what Alice does not take.
    let message = format!(
        "MSRP b001 SEND\r\nTo-Path: {OURS_B}\r\nFrom-Path: {BOB}\r\nMessage-ID: m009\r\n\
         Content-Type: text/plain\r\n\r\n{}",
        "x".repeat(9_000)
    );
    assert_eq!(bridge.bench.show_on(1, message.as_bytes()), Step::Stopped);
    bridge.facts();
    bridge.bench.expire(300);
    assert!(bridge.facts().contains(&Fact::Resumed { connection: 0 }));
    assert_eq!(bridge.alice_until(&octets[octets.len() - left..]), 0);
}
