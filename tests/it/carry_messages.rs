//! Messages in sessions that pass through, and how these end.

use roger::delivery::{Evidence, Form, MsrpRole, Verdict};
use roger::metrics::Counter;
use roger::packet::Wish;

use crate::bench::{Bench, IM, IM_2};
use crate::carry::{
    ALICES, BOBS, ID, Joined, attribute, body, carry_setup, inside, invite, sdp, send, statuses,
};
use crate::large::{Line, later, report, response, tid, value, wishes};

#[test]
fn a_message_passes_and_its_sender_has_what_its_recipient_has_said() {
    let mut joined = Joined::new();
    let fields = format!("{ID}Byte-Range: 1-5/5\r\n");
    let written = joined.alice_sends("al01", &fields, "Hello", '$');
    assert!(written.contains("\r\n\r\nHello\r\n-------"), "{written}");
    assert_eq!(value(&written, "Message-ID"), "m0001");
    assert_eq!(value(&written, "To-Path"), BOBS);
    assert_eq!(value(&written, "From-Path"), joined.ours_of_bob);
    assert_ne!(tid(&written), "al01");
    assert_eq!(joined.alice_gets(), "", "a 200 is not told before Bob has said it");
    assert!(joined.bob(&response(&written, "200 OK")).is_empty());
    let told = joined.alice_gets();
    assert!(told.starts_with("MSRP al01 200"), "{told}");
    assert_eq!(
        (value(&told, "To-Path"), value(&told, "From-Path")),
        (ALICES, &*joined.ours_of_alice)
    );
    let account = joined.account();
    let Form::Carried { message_id, octets } = account.form else { panic!("{account:?}") };
    assert_eq!((message_id.octets(), octets), (&b"m0001"[..], 5));
    assert_eq!((account.verdict, account.evidence), (Verdict::Delivered, Evidence::Acknowledged));
    assert_eq!((account.sms_peer, account.im_peer), (2, 1));
    assert_eq!(account.sms_call_id.octets(), b"al-1@im-2.example");
    assert_eq!(account.im_call_id.octets(), joined.ack.field("call-id").as_bytes());
    assert_eq!(joined.bench.count(Counter::CarriedDelivered), 1);

    // The other way.
    let octets = send("b001", (&joined.ours_of_bob, BOBS), "Message-ID: m0002\r\n", "Hi!", '$');
    assert!(joined.bob(&octets).is_empty());
    let written = joined.alice_gets();
    assert!(written.contains("\r\n\r\nHi!\r\n-------"), "{written}");
    let ok = response(&written, "200 OK");
    joined.alice.says(&mut joined.bench, &ok);
    assert!(joined.bob.taken(&mut joined.bench).starts_with("MSRP b001 200"));
    let account = joined.account();
    assert_eq!((account.sms_peer, account.im_peer), (1, 2));
    assert_eq!(account.verdict, Verdict::Delivered);
}

#[test]
fn h26_where_bob_is_behind_a_relay_his_reports_prove_it_and_alice_gets_them() {
    let mut joined = Joined::with(Bench::with(carry_setup(MsrpRole::Relay)));
    let fields = format!("{ID}Byte-Range: 1-5/5\r\nSuccess-Report: yes\r\n");
    let written = joined.alice_sends("al01", &fields, "Hello", '$');
    assert_eq!(value(&written, "Success-Report"), "yes");
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    assert!(joined.bench.engine.pop_account().is_none(), "that 200 is the relay's");
    joined.bob(&report(&written, "1-5/5", 200));
    let told = joined.alice_gets();
    assert!(told.contains(" REPORT\r\n"), "{told}");
    assert_eq!(
        (value(&told, "To-Path"), value(&told, "From-Path")),
        (ALICES, &*joined.ours_of_alice)
    );
    assert_eq!((value(&told, "Message-ID"), value(&told, "Status")), ("m0001", "000 200"));
    assert_eq!(joined.account().evidence, Evidence::Reported);
    // Without any, it is not known.
    let fields = "Message-ID: m0002\r\nByte-Range: 1-5/5\r\nSuccess-Report: yes\r\n";
    let written = joined.alice_sends("al02", fields, "Hello", '$');
    joined.bob(&response(&written, "200 OK"));
    joined.alice_gets();
    assert!(later(&mut joined.bench, 119_000).is_empty());
    assert!(joined.bench.engine.pop_account().is_none());
    later(&mut joined.bench, 2_000);
    let account = joined.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::ReportMissing));
    // One that comes then is passed on all the same.
    joined.bob(&report(&written, "1-5/5", 200));
    assert!(joined.alice_gets().contains(" REPORT\r\n"));
}

#[test]
fn h15_an_error_of_the_recipient_is_the_senders() {
    for (code, verdict) in [("413 Stop", 'P'), ("415 What", 'P'), ("481 Gone", 'T')] {
        let mut joined = Joined::new();
        let written = joined.alice_sends("al01", ID, "Hello", '$');
        joined.bob(&response(&written, code));
        assert!(joined.alice_gets().starts_with(&format!("MSRP al01 {}", &code[..3])));
        let account = joined.account();
        let status: u16 = code[..3].parse().unwrap();
        assert_eq!(account.evidence, Evidence::MsrpResponse(status));
        assert_eq!(account.verdict.letter(), verdict, "{code}");
        assert!(later(&mut joined.bench, 1_000).is_empty(), "the session stays");
    }
}

#[test]
fn what_is_not_answered_in_time_is_unknown_and_its_sender_is_told() {
    let mut joined = Joined::new();
    joined.alice_sends("al01", ID, "Hello", '$');
    later(&mut joined.bench, 29_900);
    assert_eq!(joined.alice_gets(), "");
    later(&mut joined.bench, 400);
    assert!(joined.alice_gets().starts_with("MSRP al01 408"));
    let account = joined.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::MsrpTimeout));
}

#[test]
fn of_a_message_in_chunks_each_is_answered_with_its_own_answer() {
    let mut joined = Joined::new();
    let first = joined.alice_sends("al01", &format!("{ID}Byte-Range: 1-3/6\r\n"), "Hel", '+');
    let second = joined.alice_sends("al02", &format!("{ID}Byte-Range: 4-6/6\r\n"), "lo!", '$');
    joined.bob(&response(&second, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al02 200"));
    assert!(joined.bench.engine.pop_account().is_none(), "the last chunk is not the message");
    joined.bob(&response(&first, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    assert_eq!(joined.account().verdict, Verdict::Delivered);
}

#[test]
fn what_goes_to_no_session_or_another_ones_is_refused() {
    let mut joined = Joined::new();
    let (alices, bobs) = (joined.ours_of_alice.clone(), joined.ours_of_bob.clone());
    let guessed = alices.replace(";tcp", "0;tcp");
    for path in [&bobs, &guessed, &"msrp://10.0.0.5:2855/x;tcp".to_owned()] {
        let octets = send("al01", (path, ALICES), ID, "Hello", '$');
        joined.alice.says(&mut joined.bench, &octets);
        assert!(joined.alice_gets().starts_with("MSRP al01 481"), "{path}");
    }
    // In her session, from somebody else.
    let octets = send("al02", (&alices, BOBS), ID, "Hello", '$');
    joined.alice.says(&mut joined.bench, &octets);
    assert!(joined.alice_gets().starts_with("MSRP al02 481"));
    // Her session belongs to her connection.
    let stranger = Line::from(5, "10.0.0.66:9999");
    stranger.opened(&mut joined.bench, None);
    stranger.says(&mut joined.bench, &send("al03", (&alices, ALICES), ID, "Hello", '$'));
    assert!(stranger.taken(&mut joined.bench).starts_with("MSRP al03 506"));
    assert_eq!(joined.bob.taken(&mut joined.bench), "", "Bob sees none of it");
    assert!(joined.bench.engine.pop_account().is_none());
}

#[test]
fn bye_of_either_side_ends_the_other() {
    for is_caller in [true, false] {
        let mut joined = Joined::new();
        let (from, other) = if is_caller { (IM_2, IM) } else { (IM, IM_2) };
        let dialog = if is_caller { joined.ok.clone() } else { joined.ack.clone() };
        let bye = inside("BYE", 90, &dialog, is_caller);
        let left = joined.bench.give(from, &bye);
        assert_eq!(statuses(&left), [200]);
        assert_eq!(statuses(&joined.bench.give(from, &bye)), [200], "its copy");
        let bench = joined.over(&[other]);
        assert_eq!((bench.count(Counter::ByesIn), bench.count(Counter::ByesOut)), (1, 1));
    }
}

#[test]
fn h27_a_message_in_the_middle_of_which_a_session_ends() {
    // Bye of the recipient, of the sender; the connection of either.
    for (end, evidence) in [
        ("bye of bob", Evidence::ByeAfterEnd),
        ("bye of alice", Evidence::Unfinished),
        ("bob", Evidence::ConnectionLost),
        ("alice", Evidence::Unfinished),
    ] {
        let mut joined = Joined::new();
        let is_of_alice = end.ends_with("alice");
        let flag = if is_of_alice { '+' } else { '$' };
        joined.alice_sends("al01", &format!("{ID}Byte-Range: 1-5/9\r\n"), "Hello", flag);
        let byes: &[&str] = match end {
            "bye of bob" => {
                let bye = inside("BYE", 1, &joined.ack, false);
                assert_eq!(statuses(&joined.bench.give(IM, &bye)), [200]);
                &[IM_2]
            }
            "bye of alice" => {
                let bye = inside("BYE", 8, &joined.ok, true);
                assert_eq!(statuses(&joined.bench.give(IM_2, &bye)), [200]);
                &[IM]
            }
            "bob" => {
                joined.bob.lost(&mut joined.bench);
                &[IM, IM_2]
            }
            _ => {
                joined.alice.lost(&mut joined.bench);
                &[IM, IM_2]
            }
        };
        let mut bench = joined.over(byes);
        assert_eq!(bench.account().evidence, evidence, "{end}");
    }
}

/// SIP and MSRP come over different connections: what was said before the BYE is read after it.
#[test]
fn h28_what_bob_said_before_he_hung_up_is_what_alice_is_told() {
    let mut joined = Joined::new();
    let written = joined.alice_sends("al01", ID, "Hello", '$');
    let bye = inside("BYE", 1, &joined.ack, false);
    assert_eq!(statuses(&joined.bench.give(IM, &bye)), [200]);
    assert!(later(&mut joined.bench, 100).is_empty());
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    assert_eq!(joined.account().verdict, Verdict::Delivered);
    joined.over(&[IM_2]);
}

#[test]
fn the_same_description_again_is_answered_by_us_and_another_one_is_refused() {
    let mut joined = Joined::new();
    for (method, body, expected) in [
        ("UPDATE", String::new(), 200),
        ("UPDATE", sdp(BOBS, "passive", ""), 200),
        (
            "INVITE",
            sdp(BOBS, "passive", "").replace("o=- 1 1", "o=- 1 2").replace("b0b", "b00"),
            488,
        ),
        ("INVITE", sdp(BOBS, "passive", ""), 200),
    ] {
        static CSEQ: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(10);
        let cseq = CSEQ.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        let bare = inside(method, cseq, &joined.ack, false);
        let fields = format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len());
        let text = format!("{}{body}", bare.replace("Content-Length: 0", &fields));
        let text = if body.is_empty() { bare } else { text };
        let left = joined.bench.give(IM, &text);
        assert_eq!(statuses(&left), [expected], "{text}");
        if expected == 200 && !body.is_empty() {
            let said = self::body(&left[0]);
            assert_eq!(attribute(&said, "path"), joined.ours_of_bob);
            assert_eq!(attribute(&said, "setup"), "active");
            assert_eq!(attribute(&said, "accept-types"), "message/cpim text/plain");
        }
        if (method, expected) == ("INVITE", 200) {
            joined.bench.give(IM, &inside("ACK", cseq, &joined.ack, false));
        }
    }
    assert!(later(&mut joined.bench, 5_000).is_empty());
    let written = joined.alice_sends("al01", ID, "Hello", '$');
    assert!(written.contains("Hello"), "the session is as it was");
}

/// Whoever reads slowly makes the other one wait, and nothing is kept that the ring has no room for.
#[test]
fn a_slow_side_slows_the_other() {
    let mut joined = Joined::new();
    let text = "0123456789".repeat(6_000);
    let fields = format!("{ID}Byte-Range: 1-*/60000\r\n");
    let octets = send("al01", (&joined.ours_of_alice, ALICES), &fields, &text, '$');
    let (mut at, mut rounds, mut written) = (0, 0, String::new());
    while at < octets.len() {
        let mut used = roger::packet::Used { octets: 0, rest: roger::packet::Rest::WithMore };
        let event = roger::packet::StreamEvent::Arrived {
            id: joined.alice.id,
            octets: &octets.as_bytes()[at..],
            used: &mut used,
            at: joined.bench.now,
        };
        joined.bench.engine.on_stream(event, &mut joined.bench.out);
        at += used.octets;
        if at < octets.len() {
            assert_eq!(used.rest, roger::packet::Rest::WhenWished);
            assert!(used.octets <= 16_384 + 400, "no more than the ring holds");
            // Nothing more is taken before some of it has left.
            let wished = wishes(&mut joined.bench.out);
            assert!(!wished.contains(&Wish::Read(joined.alice.id)), "{wished:?}");
            written += &joined.bob.filled(&mut joined.bench);
            assert!(wishes(&mut joined.bench.out).contains(&Wish::Read(joined.alice.id)));
        }
        rounds += 1;
        assert!(rounds < 100);
    }
    written += &joined.bob.filled(&mut joined.bench);
    assert!(rounds > 3 && written.contains(&text[..1_000]), "{rounds}");
    assert_eq!(joined.alice_gets(), "");
    for part in written.split("MSRP ").skip(1) {
        joined.bob(&response(&format!("MSRP {part}"), "200 OK"));
    }
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    let Form::Carried { octets, .. } = joined.account().form else { panic!() };
    assert_eq!(octets, 60_000);
}

#[test]
fn where_nobody_new_is_served_quiet_sessions_end_and_others_when_they_are() {
    use roger::engine::Serving;
    let mut joined = Joined::new();
    let written = joined.alice_sends("al01", ID, "Hello", '$');
    joined.bench.engine.serve(Serving::Refusing);
    assert!(later(&mut joined.bench, 2_000).is_empty(), "a message is under way");
    assert_eq!(statuses(&joined.bench.give(IM_2, &invite(2))), [503]);
    joined.bob(&response(&written, "200 OK"));
    assert!(joined.alice_gets().starts_with("MSRP al01 200"));
    let mut bench = joined.over(&[IM, IM_2]);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

#[test]
fn what_is_under_way_when_the_process_ends_is_told() {
    let mut joined = Joined::new();
    joined.alice_sends("al01", ID, "Hello", '$');
    assert_eq!(joined.bench.engine.abandon(joined.bench.now, 10), 0);
    let account = joined.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Shutdown));
}
