//! What somebody who wants to break the promise would try: one message, one verdict, its proof.

use core::sync::atomic::Ordering;

use crate::bench::{
    Bench, IM, IM_2, SBC, answer, answer_with, endpoint, message, message_with, setup,
};
use roger::delivery::{Evidence, Report, Verdict};
use roger::engine::{Serving, Setup, Strangers, Timers, home_of};
use roger::id::WorkerId;
use roger::limits::{DATAGRAM_SIZE_MAX, SLOTS_EVIDENCE, SLOTS_REFUSALS, SLOTS_WORK};
use roger::metrics::Counter;
use roger::packet::{Arrival, Flow, JournalSeq, Purse, SendError, SocketId};

const IDENTITY: &str = "P-Asserted-Identity: <sip:+1555@sbc.example>\r\n";

fn bench_with(change: impl FnOnce(&mut Setup)) -> Bench {
    let mut setup = setup();
    change(&mut setup);
    Bench::with(setup)
}

/// The clock leaps, as after a pause of the whole process: nothing runs meanwhile.
fn leap(bench: &mut Bench, ms: u32) {
    bench.now = bench.now.plus_ms(ms);
}

#[test]
fn what_answers_an_earlier_life_of_the_process_proves_nothing() {
    let earlier = Bench::new().give(SBC, &message(1)).remove(0);
    let mut bench = bench_with(|setup| setup.epoch += 1);
    let onward = bench.give(SBC, &message(2)).remove(0);
    assert!(bench.give(IM, &answer(&earlier.text, "200 OK")).is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseEarlier), 1);
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM), earlier.text.as_bytes(), now);
    assert_eq!(bench.count(Counter::IcmpForeign), 1);
    assert_eq!(bench.give(IM, &answer(&onward.text, "486 Busy Here"))[0].status(), 486);
}

#[test]
fn what_answers_another_node_or_worker_of_the_same_key_proves_nothing() {
    let elsewhere: [fn(&mut Setup); 2] =
        [|setup| setup.node += 1, |setup| setup.worker = WorkerId(1)];
    // One whose home is that other worker.
    let home = |number: &u32| {
        let uri = format!("sip:+1555000{number:04}@im.example:5070");
        home_of(setup().key, uri.as_bytes(), 2)
    };
    let number = (3..).find(|number| home(number) == WorkerId(1)).unwrap();
    for change in elsewhere {
        let other = bench_with(change).give(SBC, &message(number)).remove(0);
        let mut bench = Bench::new();
        bench.give(SBC, &message(2));
        assert!(bench.give(IM, &answer(&other.text, "200 OK")).is_empty());
        assert_eq!(bench.count(Counter::DroppedResponseForeign), 1);
        let now = bench.now;
        bench.engine.on_unreachable(endpoint(IM), other.text.as_bytes(), now);
        assert_eq!(bench.count(Counter::IcmpForeign), 1);
        assert_eq!(bench.engine.open(), 1);
    }
}

#[test]
fn an_identity_is_hidden_from_the_next_server_as_well() {
    let mut bench = bench_with(|setup| {
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2)]);
        setup.peers[2].trusted = false;
    });
    bench.sent = Err(SendError::NoRoute);
    let private = format!("{IDENTITY}Privacy: id\r\n");
    assert!(bench.give(SBC, &message_with(1, &private, "x"))[0].text.contains(IDENTITY));
    bench.sent = Ok(());
    let (_, second) = bench.wait_ms(10).remove(0);
    assert_eq!(second.to, IM_2.parse().unwrap());
    assert!(!second.text.contains("P-Asserted-Identity"), "{}", second.text);
    let requests_out = |peer: usize| bench.tally.peers[peer].requests_out.load(Ordering::Relaxed);
    assert_eq!((requests_out(1), requests_out(2)), (1, 1));
}

#[test]
fn an_identity_asserted_by_an_im_side_that_is_not_trusted_is_removed() {
    for (trusted, privacy, sms_trusted, kept) in [
        (true, "", true, true),
        (false, "", true, false),
        (true, "Privacy: id\r\n", false, false),
        (true, "Privacy: id\r\n", true, true),
    ] {
        let mut bench = bench_with(|setup| {
            setup.peers[1].trusted = trusted;
            setup.peers[0].trusted = sms_trusted;
        });
        let onward = bench.give(SBC, &message(1)).remove(0);
        let fields = format!("{IDENTITY}{privacy}");
        let back = bench.give(IM, &answer_with(&onward.text, "200 OK", &fields)).remove(0);
        assert_eq!(back.text.contains(IDENTITY), kept, "{trusted} {privacy} {sms_trusted}");
    }
}

#[test]
fn a_server_that_no_socket_reaches_is_passed_over() {
    const V6: &str = "[2001:db8::9]:5070";
    for servers in [[V6, IM, IM_2], [IM, V6, IM_2]] {
        let mut bench = bench_with(|setup| {
            setup.peers[1].addresses = Box::new([endpoint(IM), endpoint(V6)]);
            setup.next_servers = servers.map(endpoint).into();
        });
        bench.sent = Err(SendError::NoRoute);
        assert_eq!(bench.give(SBC, &message(1))[0].to, IM.parse().unwrap());
        bench.sent = Ok(());
        let (_, second) = bench.wait_ms(10).remove(0);
        assert_eq!(second.to, IM_2.parse().unwrap());
        assert_eq!(bench.give(IM_2, &answer(&second.text, "486 Busy Here"))[0].status(), 486);
    }
}

#[test]
fn a_list_of_servers_of_any_length_ends_in_a_verdict() {
    let mut bench = bench_with(|setup| setup.next_servers = [endpoint(IM); 300].into());
    bench.sent = Err(SendError::NoRoute);
    bench.give(SBC, &message(1));
    bench.wait_ms(3_000);
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Temporary, Evidence::NeverSent));
    assert_eq!(bench.engine.open(), 0);
}

#[test]
fn what_waited_while_the_process_stood_still_is_not_sent_twice() {
    // Open: longer than any record lives.
    let mut bench = Bench::new();
    bench.give(SBC, &message(1));
    leap(&mut bench, 180_000);
    assert!(bench.give(SBC, &message(1)).is_empty());
    assert_eq!(bench.engine.open(), 1);
    bench.wait_ms(10);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    // Finished: longer than timer J.
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    leap(&mut bench, 60_000);
    bench.wait_ms(10);
    assert_eq!(bench.give(SBC, &message(1))[0].status(), 200);
    // Refused: longer than that is remembered.
    let mut bench = bench_with(|setup| setup.messages_max = 1);
    bench.give(SBC, &message(1));
    assert_eq!(bench.give(SBC, &message(2))[0].status(), 503);
    leap(&mut bench, 60_000);
    bench.wait_ms(10);
    assert_eq!(bench.give(SBC, &message(2))[0].status(), 503);
}

#[test]
fn a_night_without_traffic_leaves_no_place_taken() {
    for hours in [1, 6, 19] {
        let mut bench = Bench::new();
        for n in 0..700 {
            let onward = bench.give(SBC, &message(n)).remove(0);
            bench.give(IM, &answer(&onward.text, "200 OK"));
        }
        leap(&mut bench, hours * 3_600_000);
        for n in 1_000..1_700 {
            let onward = bench.give(SBC, &message(n)).remove(0);
            assert_eq!(onward.to, IM.parse().unwrap(), "{hours} h: {}", onward.text);
            bench.give(IM, &answer(&onward.text, "200 OK"));
            bench.wait_ms(2);
        }
    }
}

#[test]
fn a_retransmission_is_known_however_long_the_timers_are() {
    let mut bench = bench_with(|setup| {
        setup.timers = Timers { t1_ms: 60_000, t2_ms: 4_000 };
        setup.peers[0].sync_deadline_ms = 3_360_000;
    });
    bench.give(SBC, &message(1));
    assert!(bench.give(SBC, &message(1)).is_empty());
    assert_eq!(bench.engine.open(), 1);
}

#[test]
fn the_status_that_decided_is_told_however_many_came_before_it() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    for _ in 0..9 {
        bench.give(IM, &answer(&onward.text, "100 Trying"));
    }
    bench.give(IM, &answer(&onward.text, "486 Busy Here"));
    assert_eq!(bench.account().statuses.codes(), [100, 100, 100, 100, 100, 486]);
}

#[test]
fn silence_is_told_with_the_moment_at_which_it_was_settled() {
    let mut bench = Bench::new();
    bench.give(SBC, &message(1));
    bench.wait_ms(33_000);
    let account = bench.account();
    assert_eq!(account.report, Report::Silence);
    assert_eq!(account.reported, account.decided);
}

#[test]
fn strangers_leave_slots_to_refuse_peers_from() {
    let mut bench = bench_with(|setup| setup.strangers = Strangers::Forbid);
    let of = |from: &str| Flow {
        remote: endpoint(from),
        local: [0; 16],
        socket: SocketId(0),
        connection: None,
    };
    let at = bench.now;
    for n in 0..200 {
        let request = message_with(n, "", &"x".repeat(300));
        let octets = request.as_bytes();
        let arrival = Arrival { flow: of("192.0.2.1:5060"), at, octets, truncated: false };
        bench.engine.on_burst(&[arrival], &mut bench.out);
    }
    assert!(bench.out.free(Purse::Refusals) >= SLOTS_REFUSALS / 2);
    let options = message(1).replace("MESSAGE", "OPTIONS");
    assert!(bench.give(SBC, &options).iter().any(|left| left.status() == 200));
}

#[test]
fn everybody_is_told_that_the_process_ends() {
    let mut bench = bench_with(|setup| setup.finished_max = 80);
    bench.engine.serve(Serving::Refusing);
    for n in 0..60 {
        let told = bench.give(SBC, &message(n));
        assert_eq!(told.len(), 1, "message {n}");
        assert_eq!(told[0].status(), 503);
        assert_eq!(bench.give(SBC, &message(n))[0].text, told[0].text);
    }
}

#[test]
fn an_icmp_error_is_matched_by_our_own_via_wherever_that_stands() {
    let via = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKsbc1;rport\r\n";
    let call_id = "Call-ID: call-1@sbc.example\r\n";
    let mut bench = Bench::new();
    let request =
        message(1).replace(via, "").replace(call_id, &format!("Call-ID: z9hG4bK-1\r\n{via}"));
    let onward = bench.give(SBC, &request).remove(0);
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM), onward.text.as_bytes(), now);
    assert_eq!(bench.account().evidence, Evidence::Unreachable);
}

#[test]
fn an_icmp_error_about_a_response_says_nothing_about_a_request() {
    // One element on both sides, and a message that comes through here twice.
    let mut bench = bench_with(|setup| {
        setup.peers[1].sms = true;
    });
    let first = bench.give(IM, &message(1)).remove(0);
    let via = "Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKspiral;rport\r\n";
    let spiral = first.text.replacen("Via:", &format!("{via}Via:"), 1);
    let spiral = spiral.replacen("sip:+1555", "sip:+1666", 1);
    let second = bench.give(IM, &spiral).remove(0);
    let back = bench.give(IM, &answer(&second.text, "486 Busy Here")).remove(0);
    assert_eq!(back.to, IM.parse().unwrap());
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM), back.text.as_bytes(), now);
    assert_eq!(bench.count(Counter::IcmpForeign), 1);
    assert_eq!(bench.engine.open(), 1);
}

#[test]
fn what_differs_in_one_identifier_is_another_message() {
    let one = message(1);
    for (from, to) in [
        ("branch=z9hG4bKsbc1", "branch=z9hG4bKsbc2"),
        ("UDP 10.0.0.1:5060", "UDP 10.0.0.1:5061"),
        ("Call-ID: call-1@", "Call-ID: call-2@"),
        (";tag=s1", ";tag=s2"),
        ("CSeq: 1 ", "CSeq: 2 "),
    ] {
        let mut bench = Bench::new();
        bench.give(SBC, &one);
        let other = bench.give(SBC, &one.replace(from, to));
        assert_eq!(other.len(), 1, "{to}");
        assert_eq!(other[0].to, IM.parse().unwrap(), "{to}");
    }
    // RFC 3261 section 17.2.3: without the cookie the Request-URI and the To tag count as well.
    let old = one.replace("z9hG4bKsbc1", "1");
    for (from, to) in [("sip:+1555", "sip:+1666"), ("@im.example>", "@im.example>;tag=t")] {
        let mut bench = Bench::new();
        bench.give(SBC, &old);
        assert!(bench.give(SBC, &old).is_empty());
        assert_eq!(bench.give(SBC, &old.replacen(from, to, 1)).len(), 1, "{to}");
    }
}

#[test]
fn the_longest_request_grows_into_its_slot_in_every_way_at_once() {
    const SOURCE: &str = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
    let mut bench = bench_with(|setup| {
        setup.peers[0].addresses = Box::new([endpoint(SOURCE)]);
        setup.sent_by = Box::new([format!("{}:65535", "h".repeat(253)).into()]);
    });
    let request = |n: u32, fields: &str| {
        let request = message_with(n, fields, "").replace("Max-Forwards: 20\r\n", "");
        let body = "x".repeat(DATAGRAM_SIZE_MAX - request.len() - 3);
        let length = format!("Content-Length: {}", body.len());
        request.replace("Content-Length: 0", &length) + &body
    };
    let long = request(1, "");
    assert_eq!(long.len(), DATAGRAM_SIZE_MAX);
    let onward = bench.give(SOURCE, &long).remove(0);
    assert!(onward.text.len() > DATAGRAM_SIZE_MAX + 300 && onward.text.ends_with("xxx"));
    let back = bench.give(IM, &answer(&onward.text, "503 ")).remove(0);
    assert_eq!((back.status(), back.to), (500, SOURCE.parse().unwrap()));
    // What is echoed is bounded by what came.
    let options = "a".repeat(7_000);
    let refused = bench.give(SOURCE, &request(2, &format!("Proxy-Require: {options}\r\n")));
    assert_eq!((refused[0].status(), refused[0].field("unsupported")), (420, &*options));
    let vias = "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKlower\r\n".repeat(62);
    let call_id = "i".repeat(4_000);
    let refused = request(3, &vias).replace("call-3@", &call_id).replace("MESSAGE", "INVITE");
    let refused = bench.give_octets(SOURCE, &refused.as_bytes()[..DATAGRAM_SIZE_MAX], true);
    assert_eq!(refused[0].status(), 513);
    assert_eq!(refused[0].text.matches("Via:").count(), 63);
}

#[test]
fn what_finds_no_place_among_the_transactions_is_refused_and_gives_everything_back() {
    let mut bench = bench_with(|setup| {
        setup.finished_max = 8;
        setup.messages_large_max = 2;
    });
    let body = "x".repeat(4_000);
    let mut refused = 0;
    for n in 0..60 {
        // Accepted ones are finished at once, so that only their transactions stay.
        for left in bench.give(SBC, &message_with(n, "", &body)) {
            if left.to == IM.parse().unwrap() {
                bench.give(IM, &answer(&left.text, "200 OK"));
            } else {
                assert_eq!(left.status(), 503);
                refused += 1;
            }
        }
        assert_eq!(bench.engine.open(), 0);
    }
    assert!(refused > 0);
    assert_eq!(bench.engine.next_deadline(), None);
    bench.wait_ms(40_000);
    assert_eq!(bench.give(SBC, &message_with(100, "", &body))[0].to, IM.parse().unwrap());
    assert_eq!(bench.give(SBC, &message_with(101, "", &body))[0].to, IM.parse().unwrap());
}

/// Gives one datagram and leaves what departs with the driver.
fn push(bench: &mut Bench, from: &str, text: &str) {
    let flow =
        Flow { remote: endpoint(from), local: [0; 16], socket: SocketId(0), connection: None };
    let (at, octets) = (bench.now, text.as_bytes());
    let arrival = Arrival { flow, at, octets, truncated: false };
    bench.engine.on_burst(&[arrival], &mut bench.out);
}

#[test]
fn no_purse_is_spent_beyond_its_end() {
    let mut bench = bench_with(|setup| {
        setup.messages_max = 400;
        setup.finished_max = 10_000;
    });
    for n in 0..300 {
        push(&mut bench, SBC, &message(n));
        push(&mut bench, SBC, &message(n).replace("MESSAGE", "INVITE"));
    }
    assert_eq!(bench.count(Counter::MessagesAccepted), SLOTS_WORK as u64);
    assert_eq!(bench.count(Counter::RefusedNoRoom), 300 - SLOTS_WORK as u64);
    assert!(bench.count(Counter::DroppedNoSlot) > 0);
    assert_eq!(bench.out.free(Purse::Evidence), SLOTS_EVIDENCE, "evidence has its own");
}

#[test]
fn a_refused_send_proves_nothing_once_the_request_has_been_sent_again() {
    let mut bench = Bench::new();
    push(&mut bench, SBC, &message(1));
    // The driver still holds the first transmission when timer E sends the second.
    let first = bench.out.pop(JournalSeq::NOW).unwrap();
    let owner = bench.out.departure(&first).owner.unwrap();
    let onward = bench.wait_ms(600).remove(0).1;
    bench.out.release(first);
    let now = bench.now;
    bench.engine.on_sent(owner, Err(SendError::NoRoute), now);
    assert!(bench.wait_ms(100).is_empty());
    assert_eq!(bench.give(IM, &answer(&onward.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
}

#[test]
fn nothing_happens_between_a_report_and_what_the_kernel_says_of_it() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    push(&mut bench, IM, &answer(&onward.text, "200 OK"));
    let report = bench.out.pop(JournalSeq::NOW).unwrap();
    let owner = bench.out.departure(&report).owner.unwrap();
    assert!(bench.give(IM, &answer(&onward.text, "486 Busy Here")).is_empty());
    assert_eq!(bench.count(Counter::Contradictions), 1);
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM), onward.text.as_bytes(), now);
    assert_eq!(bench.give(SBC, &message(1))[0].status(), 200, "asked again, told again");
    assert!(bench.wait_ms(40_000).is_empty());
    assert_eq!(bench.engine.next_deadline(), None);
    assert_eq!(bench.engine.open(), 1);
    bench.out.release(report);
    let now = bench.now;
    bench.engine.on_sent(owner, Ok(()), now);
    // Once more for the same owner, who is gone: nothing.
    bench.engine.on_sent(owner, Err(SendError::NoRoute), now);
    let account = bench.account();
    assert_eq!((account.verdict, account.report), (Verdict::Delivered, Report::Response(200)));
    assert_eq!(bench.count(Counter::VerdictDelivered), 1);
    assert_eq!(bench.count(Counter::ReportsRefused), 0);
}

#[test]
fn late_responses_count_as_evidence_from_the_im_side_only() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.wait_ms(33_000);
    bench.give(SBC, &answer(&onward.text, "200 OK"));
    assert_eq!(bench.count(Counter::LateDelivered), 0);
    assert_eq!(bench.count(Counter::DroppedResponseSource), 1);
}

#[test]
fn an_ack_from_a_stranger_is_not_answered() {
    let mut bench = bench_with(|setup| setup.strangers = Strangers::Forbid);
    let ack = message_with(1, "", &"x".repeat(300)).replace("MESSAGE", "ACK");
    assert!(bench.give("192.0.2.1:5060", &ack).is_empty());
    assert_eq!(bench.count(Counter::DroppedStranger), 1);
}

#[test]
fn an_attempt_that_never_left_is_answered_by_nobody() {
    const OTHER: &str = "10.0.0.9:5071";
    let mut bench = bench_with(|setup| {
        setup.peers[1].addresses = Box::new([endpoint(IM), endpoint(OTHER)]);
        setup.next_servers = Box::new([endpoint(IM), endpoint(OTHER)]);
    });
    bench.sent = Err(SendError::NoRoute);
    let first = bench.give(SBC, &message(1)).remove(0);
    bench.sent = Ok(());
    let (_, second) = bench.wait_ms(10).remove(0);
    assert_eq!(second.to, OTHER.parse().unwrap());
    let now = bench.now;
    for of in [IM, OTHER] {
        assert!(bench.give(of, &answer(&first.text, "200 OK")).is_empty());
        bench.engine.on_unreachable(endpoint(of), first.text.as_bytes(), now);
        // What the driver says late of the first attempt says nothing about the second.
        bench.engine.on_sent(first.owner.unwrap(), Err(SendError::NoRoute), now);
    }
    assert!(bench.wait_ms(400).is_empty());
    assert_eq!(bench.give(IM, &answer(&second.text, "486 Busy Here"))[0].status(), 486);
}

#[test]
fn who_has_the_place_of_a_closed_message_is_not_taken_for_it() {
    let mut bench = Bench::new();
    let first = bench.give(SBC, &message(1)).remove(0);
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM), first.text.as_bytes(), now);
    assert_eq!(bench.engine.next_deadline(), None);
    let second = bench.give(SBC, &message(2)).remove(0);
    bench.give(IM, &answer(&first.text, "200 OK"));
    assert_eq!(bench.count(Counter::LateDelivered), 1);
    bench.engine.on_unreachable(endpoint(IM), first.text.as_bytes(), now);
    assert_eq!(bench.count(Counter::IcmpForeign), 1);
    bench.engine.on_sent(first.owner.unwrap(), Err(SendError::NoRoute), now);
    // 100 was sent for the second, and not for the first.
    assert!(bench.wait_ms(4_000).iter().any(|(_, left)| left.text.starts_with("SIP/2.0 100 ")));
    assert!(bench.give(SBC, &message(1)).is_empty());
    assert_eq!(bench.give(SBC, &message(2))[0].status(), 100);
    assert_eq!(bench.give(IM, &answer(&second.text, "200 OK"))[0].status(), 200);
}

#[test]
fn a_request_that_comes_back_with_another_route_is_a_spiral() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    let via = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKback\r\n";
    let back = onward.text.replacen("Via:", &format!("{via}Via:"), 1);
    let routed = back.replacen("Via:", "Route: <sip:10.0.0.5;lr>\r\nVia:", 1);
    assert_eq!(bench.give(SBC, &back)[0].status(), 482);
    let routed = routed.replace("z9hG4bKback", "z9hG4bKrouted");
    assert_eq!(bench.give(SBC, &routed)[0].to, IM.parse().unwrap());
}
