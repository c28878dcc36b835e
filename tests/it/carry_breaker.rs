//! Sessions that pass through, against ends that break what they can.

use roger::delivery::{Evidence, MsrpRole, Verdict};
use roger::metrics::Counter;
use roger::packet::{Rest, StreamEvent, Used, Wish};

use crate::bench::{Bench, IM, IM_2, answer};
use crate::carry::{
    ALICES, BOBS, ID, Joined, agreed, carry_setup, inside, invite, invite_with, rung, sdp, send,
    statuses,
};
use crate::large::{later, report, response, tid, value, wishes};

fn range(of: &str) -> String {
    format!("{ID}Byte-Range: {of}\r\n")
}

/// Octets come of Alice: how many of them are used.
fn arrives(joined: &mut Joined, text: &str) -> usize {
    let mut used = Used { octets: 0, rest: Rest::WithMore };
    let octets = text.as_bytes();
    let event =
        StreamEvent::Arrived { id: joined.alice.id, octets, used: &mut used, at: joined.bench.now };
    joined.bench.engine.on_stream(event, &mut joined.bench.out);
    used.octets
}

/// Chunks of one message before any of them is answered; then Bob answers those that `answered` names.
fn all_at_once(role: MsrpRole, chunks: &[(&str, &str, char)], answered: &[usize]) -> Joined {
    let mut joined = Joined::with(Bench::with(carry_setup(role)));
    let mut written = Vec::new();
    for (number, (of, text, flag)) in chunks.iter().enumerate() {
        written.push(joined.alice_sends(&format!("al{number:02}"), &range(of), text, *flag));
    }
    for &number in answered {
        joined.bob(&response(&written[number], "200 OK"));
        assert!(joined.alice_gets().starts_with(&format!("MSRP al{number:02} 200")));
    }
    joined
}

#[test]
fn h29_what_begins_anew_behind_an_abort_is_not_what_was_aborted() {
    let chunks = [("1-3/9", "Hel", '+'), ("4-5/9", "lo", '#'), ("4-9/9", "lo, Bo", '$')];
    let mut joined = all_at_once(MsrpRole::Endpoint, &chunks, &[0, 1, 2]);
    assert_ne!(joined.account().verdict, Verdict::Delivered, "Bob has let go of the first three");
    // Who was given up behind its end may have been taken before.
    let chunks = [("1-5/5", "Hello", '$'), ("1-0/5", "", '#')];
    let mut joined = all_at_once(MsrpRole::Relay, &chunks, &[0, 1]);
    let account = joined.account();
    assert_eq!(account.verdict, Verdict::Unknown, "{:?}", account.evidence);
}

#[test]
fn h15_a_message_of_two_ends_is_proved_for_neither() {
    let short = ("1-3/9", "Hel", '$');
    for (chunks, answered) in [
        ([("1-9/9", "Hello, Bo", '+'), short], &[1][..]),
        ([("1-9/9", "Hello, Bo", '$'), short], &[1][..]),
        ([("1-9/9", "Hello, Bo", '$'), short], &[0, 1][..]),
        ([short, ("4-9/9", "lo, Bo", '+')], &[0, 1][..]),
        ([short, ("1-9/9", "Hello, Bo", '$')], &[0, 1][..]),
    ] {
        let mut joined = all_at_once(MsrpRole::Endpoint, &chunks, answered);
        later(&mut joined.bench, 31_000);
        // What was not answered in time is owed to her.
        joined.alice.filled(&mut joined.bench);
        let account = joined.account();
        assert_eq!(account.verdict, Verdict::Unknown, "{chunks:?} {:?}", account.evidence);
    }
}

#[test]
fn what_we_refuse_behind_the_end_of_a_message_is_no_word_of_bob() {
    let mut joined = Joined::with(Bench::with(carry_setup(MsrpRole::Relay)));
    let written = joined.alice_sends("al01", &range("1-5/5"), "Hello", '$');
    let octets = send("al02", (&joined.ours_of_alice, ALICES), &range("1-5/5"), "Hello", '$')
        .replace("text/plain", "text/html");
    joined.alice.says(&mut joined.bench, &octets);
    let given_up = joined.bob.taken(&mut joined.bench);
    assert!(joined.alice.filled(&mut joined.bench).starts_with("MSRP al02 400"));
    assert!(given_up.ends_with("#\r\n"), "{given_up}");
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    joined.bob(&response(&given_up, "200 OK"));
    let account = joined.account();
    assert_eq!(account.verdict, Verdict::Unknown, "{:?}", account.evidence);
}

#[test]
fn h27_a_message_of_no_octets_has_left_all_the_same() {
    let mut joined = Joined::new();
    let written = joined.alice_sends("al01", &range("1-0/0"), "", '$');
    assert!(written.contains("Content-Type: text/plain\r\n"), "{written}");
    joined.bob.lost(&mut joined.bench);
    let mut bench = joined.over(&[IM, IM_2]);
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Unknown, "{:?}", account.evidence);
}

#[test]
fn an_encoding_of_a_description_is_not_that_of_ours() {
    let mut bench = Bench::with(carry_setup(MsrpRole::Endpoint));
    let text = invite_with(1, "Content-Encoding: gzip\r\n", &sdp(ALICES, "actpass", ""));
    let left = bench.give(IM_2, &text);
    let left = if statuses(&left) == [100] { later(&mut bench, 4) } else { return };
    assert_eq!(left[0].field("content-encoding"), "", "{}", left[0].text);
}

#[test]
fn a_timer_is_answered_as_its_caller_can_keep_it() {
    for (fields, expires, require) in [
        ("Session-Expires: 1800\r\n", "", ""),
        ("Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\n", "", ""),
        (
            "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n",
            "1800;refresher=uac",
            "timer",
        ),
    ] {
        let mut bench = Bench::with(carry_setup(MsrpRole::Endpoint));
        let invite = rung(&mut bench, &invite_with(1, fields, &sdp(ALICES, "actpass", "")));
        bench.give(IM, &agreed(&invite, "active", ""));
        let left = later(&mut bench, 4);
        let ok = left.iter().find(|one| one.text.starts_with("SIP/2.0 200 ")).unwrap();
        assert_eq!(ok.field("session-expires"), expires, "{fields}");
        assert_eq!(ok.field("require"), require, "{fields}");
    }
}

#[test]
fn whose_word_it_is_decides_what_counts() {
    let mut joined = Joined::new();
    let fields = format!("{}Success-Report: yes\r\n", range("1-5/5"));
    let written = joined.alice_sends("al01", &fields, "Hello", '$');
    // Alice answers for Bob: in his words, and in those of her own session.
    joined.alice.says(&mut joined.bench, &response(&written, "200 OK"));
    let own = response(&written, "200 OK")
        .replace(&joined.ours_of_bob, &joined.ours_of_alice)
        .replace(BOBS, ALICES);
    joined.alice.says(&mut joined.bench, &own);
    // And reports to herself.
    let word = report(&written, "1-5/5", 200);
    joined.alice.says(&mut joined.bench, &word);
    let own = word.replace(&joined.ours_of_bob, &joined.ours_of_alice).replace(BOBS, ALICES);
    joined.alice.says(&mut joined.bench, &own);
    // Bob with names that nobody gave.
    let name = tid(&written).to_owned();
    let guessed = format!("{}x", &name[..name.len() - 1]);
    joined.bob(&response(&written, "200 OK").replace(&name, &guessed));
    assert_eq!(joined.alice_gets(), "");
    assert_eq!(joined.bob.taken(&mut joined.bench), "");
    assert!(joined.bench.engine.pop_account().is_none());
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    joined.bob(&response(&written, "200 OK"));
    joined.bob(&response(&written, "413 No"));
    assert_eq!(joined.alice_gets(), "", "once");
    assert_eq!(joined.account().verdict, Verdict::Delivered);
}

#[test]
fn h31_an_end_line_of_ours_in_what_follows_ends_nothing() {
    for cut in 0..24 {
        let mut joined = Joined::new();
        let first = "x".repeat(5_000);
        let octets = send("al01", (&joined.ours_of_alice, ALICES), &range("1-*/*"), "", '$');
        let head = octets.split("\r\n-------").next().unwrap();
        joined.alice.says(&mut joined.bench, head);
        joined.alice.says(&mut joined.bench, &first);
        let mut written = joined.bob.taken(&mut joined.bench);
        let name = tid(&written).to_owned();
        let lie = format!("ab\r\n-------{name}$\r\ncd");
        let (one, other) = lie.split_at(cut.min(lie.len()));
        let mut waiting = String::new();
        for part in [one, other, "\r\n-------al01$\r\n"] {
            waiting += part;
            let used = arrives(&mut joined, &waiting);
            waiting.drain(..used);
            written += &joined.bob.taken(&mut joined.bench);
        }
        assert_eq!(waiting, "");
        written += &joined.bob.taken(&mut joined.bench);
        let mut got = String::new();
        let mut rest = &*written;
        let mut pieces = Vec::new();
        while let Some(start) = rest.strip_prefix("MSRP ") {
            let name = start.split(' ').next().unwrap();
            let (head, body) = start.split_once("\r\n\r\n").unwrap();
            let end = format!("\r\n-------{name}");
            let is_end = |at: &usize| body[at + end.len()..].starts_with(['+', '$', '#']);
            let at = body.match_indices(&end).map(|(at, _)| at).find(is_end).unwrap();
            assert!(
                value(&format!("MSRP {head}\r\n"), "Byte-Range")
                    .starts_with(&format!("{}-", got.len() + 1))
            );
            got += &body[..at];
            let flag = &body[at + end.len()..][..1];
            assert_eq!(&body[at + end.len() + 1..][..2], "\r\n");
            pieces.push((format!("MSRP {head}\r\n\r\n"), flag.to_owned()));
            rest = &body[at + end.len() + 3..];
        }
        assert_eq!(rest, "");
        assert_eq!(got, format!("{first}{lie}"), "cut at {cut}");
        let flags: String = pieces.iter().map(|(_, flag)| &**flag).collect();
        assert!(flags.ends_with('$') && flags.matches('$').count() == 1, "{flags}");
        for (number, (piece, _)) in pieces.iter().enumerate() {
            assert_eq!(joined.alice_gets(), "", "before {number}");
            joined.bob(&response(piece, "200 OK"));
        }
        assert!(joined.alice_gets().starts_with("MSRP al01 200"));
        assert_eq!(joined.account().verdict, Verdict::Delivered);
    }
}

#[test]
fn the_same_name_on_both_sides_is_two_messages() {
    let mut joined = Joined::with(Bench::with(carry_setup(MsrpRole::Relay)));
    let fields = format!("{}Success-Report: yes\r\n", range("1-5/5"));
    let of_alice = joined.alice_sends("al01", &fields, "Hello", '$');
    let octets = send("al01", (&joined.ours_of_bob, BOBS), &fields, "Hallo", '$');
    joined.bob(&octets);
    let of_bob = joined.alice_gets();
    assert!(of_bob.contains("\r\n\r\nHallo\r\n"));
    // Bob's word is about Alice's.
    joined.bob(&response(&of_alice, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    assert_eq!(joined.bob.taken(&mut joined.bench), "");
    joined.bob(&report(&of_alice, "1-5/5", 200));
    assert!(joined.alice_gets().contains(" REPORT\r\n"));
    let account = joined.account();
    assert_eq!((account.im_peer, account.evidence), (1, Evidence::Reported));
    assert!(joined.bench.engine.pop_account().is_none());
    let ok = response(&of_bob, "200 OK");
    joined.alice.says(&mut joined.bench, &ok);
    assert!(joined.bob.taken(&mut joined.bench).starts_with("MSRP al01 200"));
    let account = joined.account();
    assert_eq!((account.im_peer, account.evidence), (2, Evidence::Acknowledged));
}

#[test]
fn the_same_name_twice_is_proved_twice() {
    let mut joined = Joined::new();
    for round in 0..3 {
        let tid = format!("al0{round}");
        let written = joined.alice_sends(&tid, &range("1-5/5"), "Hello", '$');
        assert_eq!(joined.alice_gets(), "");
        joined.bob(&response(&written, "200 OK"));
        assert!(joined.alice_gets().starts_with(&format!("MSRP {tid} 200")));
        assert_eq!(joined.account().verdict, Verdict::Delivered);
    }
}

#[test]
fn many_messages_between_each_other_keep_their_octets() {
    let mut joined = Joined::new();
    let mut answers = Vec::new();
    for part in 0..3 {
        for message in 0..3 {
            let flag = if part == 2 { '$' } else { '+' };
            let fields = format!(
                "Message-ID: m{message:04}\r\nByte-Range: {}-{}/9\r\n",
                part * 3 + 1,
                part * 3 + 3
            );
            let tid = format!("al{part}{message}");
            let text = format!("{message}{part}.");
            let written = joined.alice_sends(&tid, &fields, &text, flag);
            assert_eq!(value(&written, "Message-ID"), format!("m{message:04}"));
            assert!(written.contains(&format!("\r\n\r\n{text}\r\n")) && written.contains(flag));
            answers.push((tid, response(&written, "200 OK")));
        }
    }
    for (tid, answer) in answers.into_iter().rev() {
        assert_eq!(joined.alice_gets(), "");
        joined.bob(&answer);
        assert!(joined.alice_gets().starts_with(&format!("MSRP {tid} 200")));
    }
    for _ in 0..3 {
        let account = joined.bench.engine.pop_account().unwrap();
        assert_eq!(account.verdict, Verdict::Delivered);
    }
}

/// Whatever is asked of us in either dialog before it is one.
#[test]
fn requests_in_dialogs_that_are_not_yet_are_answered_and_change_nothing() {
    let description = sdp(ALICES, "actpass", "");
    for method in ["UPDATE", "INVITE", "INFO", "PRACK", "MESSAGE", "OPTIONS", "REFER", "SUBSCRIBE"]
    {
        for body in ["", &*description] {
            let mut bench = Bench::with(carry_setup(MsrpRole::Endpoint));
            let text = invite(1);
            let invite = rung(&mut bench, &text);
            let left = bench.give(IM, &answer(&invite.text, "180 Ringing"));
            let ringing =
                left.iter().find(|one| one.text.starts_with("SIP/2.0 180")).unwrap().clone();
            for (dialog, from, is_caller) in [(&ringing, IM_2, true), (&invite, IM, false)] {
                let bare = inside(method, 30, dialog, is_caller);
                let fields =
                    format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len());
                let asked = format!("{}{body}", bare.replace("Content-Length: 0", &fields));
                let left = bench.give(from, &asked);
                let left = if left.is_empty() { later(&mut bench, 4) } else { left };
                let said = statuses(&left);
                assert!(said.len() == 1 && said[0] >= 200, "{method} {is_caller} {left:#?}");
            }
            let left = bench.give(IM, &agreed(&invite, "active", ""));
            assert!(left.iter().any(|one| one.text.starts_with("ACK ")), "{method} {left:#?}");
            let left = later(&mut bench, 4);
            assert_eq!(statuses(&left), [200], "{method} {left:#?}");
        }
    }
}

#[test]
fn nothing_hostile_in_a_description_is_more_than_refused() {
    let good = sdp(ALICES, "actpass", "");
    let path = format!("a=path:{ALICES}\r\n");
    let many = "m=message 1 TCP/MSRP *\r\na=accept-types:*\r\n".repeat(60);
    let mut cases = vec![
        good.replace(&path, ""),
        good.replace(&path, "a=path:\r\n"),
        good.replace(&path, "a=path:msrp://[::1]:9/x;tcp\r\n"),
        good.replace("IN IP4 10.0.0.10", "IN IP6 2001:db8::1"),
        good.replace(ALICES, "msrp://[2001:db8::1]:9999/al1ce;tcp"),
        good.replace("a=setup:actpass\r\n", ""),
        good.replace("a=setup:actpass", "a=setup:holdconn"),
        good.replace("a=setup:actpass", "a=setup:nonsense"),
        good.replace(" 8888 ", " 0 "),
        good.replace(" 8888 ", " 99999 "),
        good.replace(" 8888 ", " 8888/2 "),
        format!("{good}a=max-size:0\r\n"),
        format!("{good}a=max-size:99999999999999999999999\r\n"),
        format!("{good}a=inactive\r\n"),
        format!("{good}a=msrp-cema\r\n"),
        format!("{good}{many}"),
        format!("{good}{good}"),
        good.replace("a=path:", &format!("a=path:{} ", [ALICES; 30].join(" "))),
        good.replace("TCP/MSRP *", "TCP/MSRP * * *"),
    ];
    for size in [1_500, 1_900, 2_000, 2_040, 2_100] {
        cases.push(format!("{good}a=x:{}\r\n", "y".repeat(size)));
    }
    for case in &cases {
        let mut bench = Bench::with(carry_setup(MsrpRole::Endpoint));
        let left = bench.give(IM_2, &invite_with(1, "", case));
        assert_eq!(statuses(&left).len(), 1, "{case}");
        let left = later(&mut bench, 4);
        if let Some(invite) = left.iter().find(|one| one.text.starts_with("INVITE ")).cloned() {
            bench.give(IM, &agreed(&invite, "active", ""));
            let left = later(&mut bench, 4);
            assert_eq!(statuses(&left).len(), 1, "{case} {left:#?}");
        }
        // The same as an answer.
        let mut bench = Bench::with(carry_setup(MsrpRole::Endpoint));
        let invite = rung(&mut bench, &invite(1));
        let said =
            case.replace(ALICES, BOBS).replace("10.0.0.10", "10.0.0.9").replace("8888", "7777");
        let said = said.replace("actpass", "active");
        let fields = "Contact: <sip:bob@10.0.0.9:5070>\r\nContent-Type: application/sdp\r\n";
        let ok = crate::bench::answer_with(&invite.text, "200 OK", fields).replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Length: {}\r\n\r\n{said}", said.len()),
        );
        bench.give(IM, &ok);
        for wish in wishes(&mut bench.out) {
            if let Wish::Connect { owner, .. } = wish {
                let event = StreamEvent::Refused { owner, at: bench.now };
                bench.engine.on_stream(event, &mut bench.out);
            }
        }
        let left = later(&mut bench, 4);
        assert_eq!(statuses(&left).len(), 1, "{said}");
        later(&mut bench, 200_000);
        assert_eq!(bench.engine.calls(), 0, "{said}");
        assert_eq!(bench.count(Counter::CallsOpen), 0);
    }
}

/// A message that is not gone on with for long may be gone on with after all: then Bob has it.
#[test]
fn of_what_stands_still_nobody_knows_what_becomes_of_it() {
    let mut joined = Joined::new();
    let first = joined.alice_sends("al01", &range("1-3/9"), "Hel", '+');
    joined.bob(&response(&first, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    later(&mut joined.bench, 100_000);
    let account = joined.account();
    let second = joined.alice_sends("al02", &range("4-9/9"), "lo, Bo", '$');
    assert!(second.contains("\r\n\r\nlo, Bo\r\n"), "{second}");
    joined.bob(&response(&second, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al02 200"));
    assert_eq!(account.verdict, Verdict::Unknown, "{:?}", account.evidence);
    later(&mut joined.bench, 100_000);
    assert_eq!(joined.account().verdict, Verdict::Unknown);
}

#[test]
fn octets_at_the_end_of_all_numbers_do_not_come_back_elsewhere() {
    for start in [u64::MAX, u64::MAX - 1, u64::MAX - 4] {
        let mut joined = Joined::new();
        let octets = send(
            "al01",
            (&joined.ours_of_alice, ALICES),
            &range(&format!("{start}-*/*")),
            "Hello, Bob",
            '+',
        );
        joined.alice.says(&mut joined.bench, &octets);
        joined.bob.filled(&mut joined.bench);
        let octets = send("al02", (&joined.ours_of_alice, ALICES), &range("1-5/5"), "World", '$');
        joined.alice.says(&mut joined.bench, &octets);
        let written = joined.bob.filled(&mut joined.bench);
        assert!(written.is_empty() || written.contains("\r\n\r\nWorld\r\n"), "{start} {written}");
        let told = joined.alice.filled(&mut joined.bench);
        assert!(told.contains("MSRP al01 4"), "{start} {told}");
    }
}

#[test]
fn byes_that_cross_leave_nothing() {
    let mut joined = Joined::new();
    joined.alice_sends("al01", &range("1-5/9"), "Hello", '+');
    let of_alice = inside("BYE", 90, &joined.ok, true);
    let of_bob = inside("BYE", 91, &joined.ack, false);
    assert_eq!(statuses(&joined.bench.give(IM_2, &of_alice)), [200]);
    let left = joined.bench.give(IM, &of_bob);
    assert!(statuses(&left) == [200] || statuses(&left) == [481], "{left:#?}");
    for (from, bye) in [(IM_2, &of_alice), (IM, &of_bob)] {
        assert_eq!(statuses(&joined.bench.give(from, bye)).len(), 1, "its copy");
    }
    joined.alice.lost(&mut joined.bench);
    joined.bob.lost(&mut joined.bench);
    later(&mut joined.bench, 40_000);
    assert_eq!(joined.bench.engine.calls(), 0);
    joined.account();
}

/// All octets have come and left, in more pieces than are kept apart, and then their sender goes.
#[test]
fn h16_whatever_the_order_of_chunks_is_all_of_them_is_all() {
    let mut joined = Joined::with(Bench::with(carry_setup(MsrpRole::Relay)));
    let total = 120;
    let order = (1..=total).filter(|at| at % 2 == 0).chain((1..=total).filter(|at| at % 2 == 1));
    for at in order {
        let flag = if at == total { '$' } else { '+' };
        let written = joined.alice_sends(
            &format!("al{at:03}"),
            &range(&format!("{at}-{at}/{total}")),
            "x",
            flag,
        );
        joined.bob(&response(&written, "200 OK"));
        assert!(joined.alice_gets().starts_with(&format!("MSRP al{at:03} 200")), "{at}");
    }
    let bye = inside("BYE", 90, &joined.ok, true);
    assert_eq!(statuses(&joined.bench.give(IM_2, &bye)), [200]);
    later(&mut joined.bench, 5_000);
    let account = joined.account();
    assert_eq!(account.verdict, Verdict::Unknown, "{:?}", account.evidence);
}
