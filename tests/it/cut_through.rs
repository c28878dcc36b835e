//! MESSAGE from the SMS side to the IM side and the answer back: the flows and their hazards.

use crate::bench::{
    Bench, IM, IM_2, OWN, SBC, answer, answer_with, endpoint, field, message, message_with, setup,
};
use roger::delivery::{Evidence, Report, Role, Verdict};
use roger::engine::{Serving, Strangers};
use roger::metrics::Counter;
use roger::packet::{Purse, SendError};

#[test]
fn a_message_goes_through_and_its_200_comes_back_as_the_report() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request);
    assert_eq!(onward.len(), 1);
    let onward = &onward[0];
    assert_eq!(onward.to, IM.parse().unwrap());
    assert!(onward.text.starts_with("MESSAGE sip:+15550000001@im.example:5070 SIP/2.0\r\n"));
    assert_eq!(onward.text.matches("Via:").count(), 2);
    assert!(onward.field("via").starts_with("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK01"));
    assert_eq!(onward.field("max-forwards"), "19");
    assert!(
        onward.text.contains("branch=z9hG4bKsbc1;rport=5060;received=10.0.0.1")
            || onward.text.contains("branch=z9hG4bKsbc1;received=10.0.0.1;rport=5060"),
        "{}",
        onward.text
    );
    assert!(onward.text.ends_with("\r\n\r\nHello"));

    bench.wait_ms(20);
    let back = bench.give(IM, &answer(&onward.text, "200 OK"));
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].to, SBC.parse().unwrap());
    assert_eq!(back[0].status(), 200);
    assert_eq!(back[0].text.matches("Via:").count(), 1);
    assert!(back[0].field("via").contains("branch=z9hG4bKsbc1"));
    assert_eq!(back[0].field("to"), "<sip:+15550000001@im.example>;tag=uas");

    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Delivered);
    let Evidence::Final(response) = account.evidence else { panic!("{account:?}") };
    assert_eq!((response.status, response.role), (200, Role::Endpoint));
    assert_eq!(account.report, Report::Response(200));
    assert_eq!(account.sms_call_id.octets(), b"call-1@sbc.example");
    assert_eq!(account.recipient.octets(), b"sip:+15550000001@im.example:5070");
    assert_eq!(account.statuses.codes(), [200]);
    assert_eq!(account.transmissions, 1);
    assert_eq!(account.decided.since(account.arrived) / 1_000_000, 20);
    assert_eq!(bench.engine.open(), 0);
    assert_eq!(bench.engine.next_deadline(), None);
}

/// Every status: what passes, what is converted, what is silenced, and the verdict of each.
#[test]
fn every_final_response_has_its_verdict_and_its_way_back() {
    let temporary = [401, 407, 430, 480, 481, 486, 491];
    let unknown = [408, 487, 504];
    let permanent_5xx = [501, 505, 513, 580];
    for status in 200..700_u16 {
        let verdict = match status {
            202 => Verdict::Accepted,
            200..=299 => Verdict::Delivered,
            301 => Verdict::Permanent,
            300..=399 => Verdict::Temporary,
            _ if unknown.contains(&status) => Verdict::Unknown,
            _ if temporary.contains(&status) => Verdict::Temporary,
            400..=499 => Verdict::Permanent,
            _ if permanent_5xx.contains(&status) => Verdict::Permanent,
            500..=599 => Verdict::Temporary,
            _ => Verdict::Permanent,
        };
        let mut bench = Bench::new();
        let onward = bench.give(SBC, &message(1)).remove(0);
        let back = bench.give(IM, &answer(&onward.text, &format!("{status} Whatever It Is")));
        let account = bench.account();
        assert_eq!(account.verdict, verdict, "{status}");
        match status {
            408 => {
                assert!(back.is_empty());
                assert_eq!(account.report, Report::Silence);
            }
            503 => assert_eq!(back[0].status(), 500),
            _ => assert!(back[0].text.starts_with(&format!("SIP/2.0 {status} Whatever It Is\r\n"))),
        }
        assert_eq!(bench.engine.open(), 0);
    }
}

#[test]
fn h01_a_lost_200_is_repeated_by_the_uas_and_the_report_goes_out_once() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    let again = bench.wait_ms(600);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1.text, onward.text, "the same octets, so the same branch");
    assert!((500..=506).contains(&again[0].0));
    let ok = answer(&onward.text, "200 OK");
    assert_eq!(bench.give(IM, &ok).len(), 1);
    assert_eq!(bench.give(IM, &ok).len(), 0);
    assert_eq!(bench.count(Counter::DroppedResponseRepeated), 1);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    assert_eq!(bench.count(Counter::VerdictDelivered), 1);
}

#[test]
fn a_retransmitted_request_is_absorbed_while_open_and_answered_again_when_finished() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request).remove(0);
    assert!(bench.give(SBC, &request).is_empty());
    assert_eq!(bench.count(Counter::RequestsAbsorbed), 1);
    let first = bench.give(IM, &answer(&onward.text, "200 OK")).remove(0);
    for _ in 0..3 {
        let again = bench.give(SBC, &request).remove(0);
        assert_eq!((again.status(), again.to), (200, first.to));
        assert_eq!(again.field("call-id"), first.field("call-id"));
        assert_eq!(again.field("via"), first.field("via"));
    }
    assert_eq!(bench.count(Counter::ReportsRepeated), 3);
    bench.wait_ms(31_900);
    assert_eq!(bench.give(SBC, &request)[0].status(), 200, "timer J runs 32 s");
    bench.wait_ms(2_000);
    assert_eq!(bench.give(SBC, &request)[0].to, IM.parse().unwrap(), "then it is a new request");
}

#[test]
fn a_damaged_copy_of_a_known_request_is_no_reason_to_report_a_failure() {
    let mut bench = Bench::new();
    let request = message(1);
    let damaged = request.replace("Content-Length: 5", "Content-Length: 50");
    let onward = bench.give(SBC, &request).remove(0);
    assert!(bench.give(SBC, &damaged).is_empty());
    assert!(bench.give_octets(SBC, request.as_bytes(), true).is_empty());
    bench.give(IM, &answer(&onward.text, "200 OK"));
    assert_eq!(bench.give(SBC, &damaged)[0].status(), 200);
    assert_eq!(bench.give(SBC, &damaged.replace("z9hG4bKsbc1", "z9hG4bKother"))[0].status(), 400);
}

#[test]
fn a_repeated_failure_says_again_all_that_it_said() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request).remove(0);
    let challenge = "WWW-Authenticate: Digest realm=\"im\", nonce=\"n\"\r\n";
    let first = bench.give(IM, &answer_with(&onward.text, "401 Unauthorized", challenge)).remove(0);
    assert!(first.text.contains(challenge));
    assert_eq!(bench.give(SBC, &request)[0].text, first.text);
}

#[test]
fn two_messages_with_one_branch_do_not_get_each_others_report() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    let other = message(1).replace("call-1@", "call-2@");
    assert_eq!(bench.give(SBC, &other)[0].to, IM.parse().unwrap());
}

#[test]
fn silence_is_retransmitted_into_and_ends_as_unknown_with_nothing_said() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request).remove(0);
    let left = bench.wait_ms(27_990);
    let (to_im, to_sbc): (Vec<_>, Vec<_>) =
        left.iter().partition(|(_, left)| left.to == IM.parse().unwrap());
    let at: Vec<u64> = to_im.iter().map(|(at, _)| *at / 100).collect();
    assert_eq!(at, [5, 15, 35, 75, 115, 155, 195, 235, 275]);
    assert!(to_im.iter().all(|(_, left)| left.text == onward.text));
    assert_eq!(to_sbc.len(), 1);
    let (at, trying) = to_sbc[0];
    assert_eq!(trying.status(), 100, "RFC 4320: at 3.5 s, not before");
    assert!((3_500..3_510).contains(at));
    assert!(!trying.field("to").contains("tag="));
    assert_eq!(bench.give(SBC, &request)[0].status(), 100, "repeated for a retransmission");

    assert_eq!(bench.count(Counter::VerdictUnknown), 0);
    assert!(bench.wait_ms(30).is_empty());
    assert_eq!(bench.count(Counter::VerdictUnknown), 1, "sync_deadline");
    assert!(bench.give(SBC, &request).is_empty(), "nothing more goes upstream");
    let left = bench.wait_ms(5_000);
    assert!(left.iter().all(|(_, left)| left.to == IM.parse().unwrap()));
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Deadline));
    assert_eq!((account.report, account.transmissions), (Report::Silence, 11));
    assert_eq!(bench.count(Counter::TimerF), 1);
    assert_eq!(bench.engine.open(), 0);
    assert!(bench.give(SBC, &request).is_empty(), "absorbed for timer J, not sent again");
}

#[test]
fn timer_f_decides_where_the_deadline_is_later() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.peers[0].sync_deadline_ms = 40_000;
        setup
    });
    bench.give(SBC, &message(1));
    bench.wait_ms(31_990);
    assert_eq!(bench.count(Counter::VerdictUnknown), 0, "h50: timers are never early");
    bench.wait_ms(20);
    assert_eq!(bench.account().evidence, Evidence::TimerF);
}

#[test]
fn a_200_between_the_deadline_and_timer_f_is_counted_and_not_passed_on() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.wait_ms(29_000);
    assert!(bench.give(IM, &answer(&onward.text, "200 OK")).is_empty());
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Unknown);
    assert_eq!(account.statuses.codes(), [200]);
    assert_eq!(bench.count(Counter::LateDelivered), 1);
}

#[test]
fn h02_a_200_after_timer_f_changes_nothing_and_is_known_for_what_it_is() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.wait_ms(33_000);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    assert!(bench.give(IM, &answer(&onward.text, "200 OK")).is_empty());
    assert_eq!(bench.count(Counter::LateDelivered), 1);
    bench.wait_ms(290_000);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    assert_eq!(bench.count(Counter::LateDelivered), 2, "remembered for five minutes");
    assert_eq!(bench.count(Counter::VerdictDelivered), 0);
}

#[test]
fn a_second_final_that_contradicts_the_first_is_counted_and_not_passed_on() {
    for (first, second) in [("200 OK", "486 Busy Here"), ("486 Busy Here", "200 OK")] {
        let mut bench = Bench::new();
        let onward = bench.give(SBC, &message(1)).remove(0);
        assert_eq!(bench.give(IM, &answer(&onward.text, first)).len(), 1);
        assert!(bench.give(IM, &answer(&onward.text, second)).is_empty());
        assert_eq!(bench.count(Counter::Contradictions), 1, "{first}, {second}");
    }
}

#[test]
fn provisional_responses_slow_timer_e_and_are_not_passed_on() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    assert!(bench.give(IM, &answer(&onward.text, "100 Trying")).is_empty());
    let left = bench.wait_ms(10_000);
    let at: Vec<u64> = left
        .iter()
        .filter(|(_, left)| left.to == IM.parse().unwrap())
        .map(|(at, _)| *at / 100)
        .collect();
    // RFC 3261 section 17.1.2.2: the running timer E fires, and is T2 from then on.
    assert_eq!(at, [5, 45, 85]);
    assert_eq!(bench.give(IM, &answer(&onward.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.account().statuses.codes(), [100, 200]);
}

#[test]
fn h11_responses_that_do_not_fit_the_request_prove_nothing() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    let ok = answer(&onward.text, "200 OK");
    let own_via = onward.text.split("\r\n").find(|line| line.starts_with("Via:")).unwrap();
    let forged = [
        (ok.replace("1 MESSAGE", "2 MESSAGE"), Counter::DroppedResponseCseq),
        (ok.replace("1 MESSAGE", "1 OPTIONS"), Counter::DroppedResponseCseq),
        (ok.replace(OWN, "10.0.0.6:5060"), Counter::DroppedResponseForeign),
        (ok.replacen("z9hG4bK01", "z9hG4bK02", 1), Counter::DroppedResponseForeign),
        (ok.replace(&format!("{own_via}\r\n"), ""), Counter::DroppedResponseForeign),
        (
            ok.split("\r\n")
                .filter(|line| !line.contains("z9hG4bKsbc1"))
                .collect::<Vec<_>>()
                .join("\r\n"),
            Counter::DroppedResponseVia,
        ),
    ];
    for (text, counter) in forged {
        let before = bench.count(counter);
        assert!(bench.give(IM, &text).is_empty());
        assert_eq!(bench.count(counter), before + 1, "{text}");
    }
    assert_eq!(bench.engine.open(), 1);
    assert_eq!(bench.give(IM, &ok)[0].status(), 200);
}

#[test]
fn h12_the_right_branch_from_elsewhere_proves_nothing() {
    let mut bench = Bench::new();
    let onward = bench.give(SBC, &message(1)).remove(0);
    let ok = answer(&onward.text, "200 OK");
    assert!(bench.give(SBC, &ok).is_empty());
    assert!(bench.give(IM_2, &ok).is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseSource), 2);
    assert!(bench.give("192.0.2.1:5070", &ok).is_empty());
    assert_eq!(bench.count(Counter::DroppedStranger), 1);
    // Another port of the peer it was sent to is that peer.
    assert_eq!(bench.give("10.0.0.9:9999", &ok)[0].status(), 200);
}

#[test]
fn h53_a_gateway_proves_acceptance_only_and_its_200_is_counted() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.next_servers = Box::new([endpoint(IM_2)]);
        setup
    });
    let onward = bench.give(SBC, &message(1)).remove(0);
    assert_eq!(bench.give(IM_2, &answer(&onward.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.account().verdict, Verdict::Accepted);
    assert_eq!(bench.count(Counter::AcceptancesPassed), 1);
}

#[test]
fn h51_a_first_transmission_that_the_kernel_refuses_goes_to_the_next_server() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2)]);
        setup
    });
    bench.sent = Err(SendError::NoRoute);
    let first = bench.give(SBC, &message(1)).remove(0);
    bench.sent = Ok(());
    let left = bench.wait_ms(10);
    assert_eq!(left.len(), 1);
    let second = &left[0].1;
    assert_eq!(second.to, IM_2.parse().unwrap());
    assert_ne!(second.field("via"), first.field("via"), "RFC 3263: a new branch");
    // The branch of the attempt that never left is worth nothing.
    assert!(bench.give(IM, &answer(&first.text, "200 OK")).is_empty());
    assert_eq!(bench.give(IM_2, &answer(&second.text, "486 Busy Here"))[0].status(), 486);
    let account = bench.account();
    assert_eq!((account.verdict, account.im_peer), (Verdict::Temporary, 2));
    assert_eq!(bench.count(Counter::NextServer), 1);
}

#[test]
fn h51_when_nothing_ever_left_the_sender_is_told_so() {
    let mut bench = Bench::new();
    bench.sent = Err(SendError::Forbidden);
    let request = message(1);
    bench.give(SBC, &request);
    bench.sent = Ok(());
    let left = bench.wait_ms(10);
    assert_eq!((left.len(), left[0].1.status()), (1, 500));
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Temporary, Evidence::NeverSent));
    assert_eq!(bench.give(SBC, &request)[0].status(), 500);
    assert!(bench.wait_ms(40_000).is_empty());
}

#[test]
fn h51_an_errno_that_may_stem_from_another_datagram_proves_nothing() {
    let mut bench = Bench::new();
    bench.sent = Err(SendError::Other(111));
    let onward = bench.give(SBC, &message(1)).remove(0);
    bench.sent = Ok(());
    bench.wait_ms(600);
    assert_eq!(bench.count(Counter::Retransmissions), 1);
    assert_eq!(bench.give(IM, &answer(&onward.text, "200 OK"))[0].status(), 200);
}

#[test]
fn an_icmp_error_is_evidence_only_with_our_branch_and_its_server() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request).remove(0);
    let now = bench.now;
    bench.engine.on_unreachable(endpoint(IM_2), onward.text.as_bytes(), now);
    bench.engine.on_unreachable(endpoint(IM), request.as_bytes(), now);
    bench.engine.on_unreachable(endpoint(IM), b"", now);
    assert_eq!(bench.count(Counter::IcmpForeign), 3);
    assert_eq!(bench.engine.open(), 1);
    // ICMP may quote no more than the beginning.
    bench.engine.on_unreachable(endpoint(IM), &onward.text.as_bytes()[..200], now);
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Unreachable));
    assert!(bench.give(SBC, &request).is_empty());
}

#[test]
fn a_report_that_the_kernel_refuses_is_told_and_can_be_asked_for_again() {
    let mut bench = Bench::new();
    let request = message(1);
    let onward = bench.give(SBC, &request).remove(0);
    bench.sent = Err(SendError::NoRoute);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    assert_eq!(bench.account().report, Report::Refused(200, SendError::NoRoute));
    bench.sent = Ok(());
    assert_eq!(bench.give(SBC, &request)[0].status(), 200);
}

#[test]
fn a_refusal_is_a_refusal_even_when_room_comes_back() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.messages_max = 1;
        setup
    });
    let onward = bench.give(SBC, &message(1)).remove(0);
    let refused = bench.give(SBC, &message(2)).remove(0);
    assert_eq!(refused.status(), 503);
    assert!((1..=5).contains(&refused.field("retry-after").parse().unwrap()));
    bench.give(IM, &answer(&onward.text, "200 OK"));
    let again = bench.give(SBC, &message(2)).remove(0);
    assert_eq!(again.text, refused.text, "i10: what was refused is never sent on");
    assert_eq!(bench.give(SBC, &message(3))[0].to, IM.parse().unwrap());
}

#[test]
fn a_refusal_that_cannot_be_remembered_is_not_sent() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.messages_max = 1;
        setup.finished_max = 8;
        setup
    });
    bench.give(SBC, &message(0));
    let answered = (1..200).filter(|n| !bench.give(SBC, &message(*n)).is_empty()).count();
    assert!(answered < 40, "{answered}");
    assert_eq!(bench.count(Counter::RefusedNoRoom), answered as u64);
    assert_eq!(bench.count(Counter::DroppedNoMemory), 199 - answered as u64);
}

#[test]
fn large_messages_have_a_pool_of_their_own() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.messages_large_max = 1;
        setup
    });
    let body = "x".repeat(5_000);
    let onward = bench.give(SBC, &message_with(1, "", &body)).remove(0);
    assert!(onward.text.ends_with(&body));
    assert_eq!(bench.give(SBC, &message_with(2, "", &body))[0].status(), 503);
    let again = bench.wait_ms(600);
    assert_eq!(again[0].1.text, onward.text);
    bench.give(IM, &answer(&onward.text, "200 OK"));
    assert_eq!(bench.give(SBC, &message_with(3, "", &body))[0].to, IM.parse().unwrap());
}

#[test]
fn draining_says_so_first_and_refuses_then() {
    let mut bench = Bench::new();
    let options = |n: u32| message(n).replace("MESSAGE", "OPTIONS");
    let alive = bench.give(SBC, &options(1)).remove(0);
    assert_eq!((alive.status(), alive.field("allow")), (200, "MESSAGE, OPTIONS"));
    bench.engine.serve(Serving::Announcing);
    assert_eq!(bench.give(SBC, &options(2))[0].status(), 503);
    let onward = bench.give(SBC, &message(3)).remove(0);
    assert_eq!(onward.to, IM.parse().unwrap());
    bench.engine.serve(Serving::Refusing);
    assert_eq!(bench.give(SBC, &message(4))[0].status(), 503);
    assert_eq!(bench.give(IM, &answer(&onward.text, "200 OK"))[0].status(), 200);
    assert_eq!(bench.engine.open(), 0);
}

#[test]
fn what_is_open_when_the_process_ends_is_unknown_and_told_as_such() {
    let mut bench = Bench::new();
    for n in 0..10 {
        bench.give(SBC, &message(n));
    }
    let now = bench.now;
    assert_eq!(bench.engine.abandon(now, 4), 6);
    assert_eq!(bench.engine.abandon(now, 100), 0);
    for _ in 0..10 {
        let account = bench.engine.pop_account().unwrap();
        assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Shutdown));
    }
    assert!(bench.leave().is_empty());
}

#[test]
fn methods_that_are_not_served_get_their_own_error() {
    let mut bench = Bench::new();
    let of =
        |bench: &mut Bench, method: &str| bench.give(SBC, &message(1).replace("MESSAGE", method));
    for method in ["INVITE", "BYE", "REGISTER", "SUBSCRIBE", "NOTIFY", "REFER", "INFO", "UPDATE"] {
        let left = of(&mut bench, method).remove(0);
        assert_eq!((left.status(), left.field("allow")), (405, "MESSAGE, OPTIONS"), "{method}");
    }
    assert_eq!(of(&mut bench, "FROBNICATE")[0].status(), 501);
    assert!(of(&mut bench, "ACK").is_empty());
    assert_eq!(of(&mut bench, "CANCEL")[0].status(), 481);
    bench.give(SBC, &message(1));
    assert_eq!(of(&mut bench, "CANCEL")[0].status(), 200);
    assert_eq!(bench.engine.open(), 1, "and cancels nothing");
}

#[test]
fn hops_and_loops_end_here_and_spirals_pass() {
    let mut bench = Bench::new();
    let spent = message(1).replace("Max-Forwards: 20", "Max-Forwards: 0");
    assert_eq!(bench.give(SBC, &spent)[0].status(), 483);
    let without = message(2).replace("Max-Forwards: 20\r\n", "");
    assert_eq!(bench.give(SBC, &without)[0].field("max-forwards"), "70");
    let onward = bench.give(SBC, &message(3)).remove(0);
    let via = "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKback\r\n";
    let back = onward.text.replacen("Via:", &format!("{via}Via:"), 1);
    assert_eq!(bench.give(SBC, &back)[0].status(), 482);
    let spiral = back.replacen("sip:+1555", "sip:+1666", 1).replace("z9hG4bKback", "z9hG4bKspiral");
    assert_eq!(bench.give(SBC, &spiral)[0].to, IM.parse().unwrap());
}

#[test]
fn two_forks_of_one_message_both_pass() {
    let mut bench = Bench::new();
    let one = message(1);
    let other = one.replacen("0001@", "0002@", 1).replace("z9hG4bKsbc1", "z9hG4bKsbc2");
    assert_eq!(bench.give(SBC, &one)[0].to, IM.parse().unwrap());
    assert_eq!(bench.give(SBC, &other)[0].to, IM.parse().unwrap());
}

#[test]
fn the_route_is_obeyed_and_leads_to_peers_only() {
    let mut bench = Bench::new();
    let with = |route: &str, n: u32| message_with(n, &format!("Route: {route}\r\n"), "Hello");
    let onward = bench.give(SBC, &with("<sip:10.0.0.10:5070;lr>", 1)).remove(0);
    assert_eq!(onward.to, IM_2.parse().unwrap());
    assert_eq!(onward.field("route"), "<sip:10.0.0.10:5070;lr>");
    let onward =
        bench.give(SBC, &with("<sip:10.0.0.5;lr>, <sip:im-2.example:5070;lr>", 2)).remove(0);
    assert_eq!(onward.to, IM_2.parse().unwrap());
    assert_eq!(onward.field("route"), "<sip:im-2.example:5070;lr>");
    let onward = bench.give(SBC, &with("<sip:roger.example;lr>", 3)).remove(0);
    assert_eq!((onward.to, onward.field("route")), (IM.parse().unwrap(), ""));
    assert_eq!(bench.give(SBC, &with("<sip:192.0.2.7;lr>", 4))[0].status(), 403);
    assert_eq!(bench.give(SBC, &with("<sip:10.0.0.1:5060;lr>", 5))[0].status(), 403);
}

#[test]
fn without_an_outbound_proxy_the_request_uri_must_name_a_peer() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.next_servers = Box::new([]);
        setup
    });
    assert_eq!(bench.give(SBC, &message(1))[0].to, IM.parse().unwrap());
    let to = |host: &str, n: u32| message(n).replacen("im.example:5070", host, 1);
    assert_eq!(bench.give(SBC, &to("10.0.0.10:5070", 2))[0].to, IM_2.parse().unwrap());
    assert_eq!(bench.give(SBC, &to("elsewhere.example", 3))[0].status(), 403);
    assert_eq!(bench.give(SBC, &to("10.0.0.5", 4))[0].status(), 404);
    let tel = message(5).replacen("sip:+15550000005@im.example:5070", "tel:+15550000005", 1);
    assert_eq!(bench.give(SBC, &tel)[0].status(), 416);
}

#[test]
fn an_asserted_identity_is_believed_only_from_the_trusted() {
    let identity = "P-Asserted-Identity: <sip:+1555@sbc.example>\r\n";
    for (trusted, kept) in [(true, true), (false, false)] {
        let mut bench = Bench::with({
            let mut setup = setup();
            setup.peers[0].trusted = trusted;
            setup
        });
        let onward = bench.give(SBC, &message_with(1, identity, "Hello")).remove(0);
        assert_eq!(onward.text.contains(identity), kept);
    }
    // RFC 3325 section 7: hidden from those who are not trusted, if privacy was asked for.
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.peers[1].trusted = false;
        setup
    });
    let private = format!("{identity}Privacy: id\r\n");
    let onward = bench.give(SBC, &message_with(1, &private, "Hello")).remove(0);
    assert!(!onward.text.contains("P-Asserted-Identity"));
    let onward = bench.give(SBC, &message_with(2, identity, "Hello")).remove(0);
    assert!(onward.text.contains("P-Asserted-Identity"));
}

#[test]
fn extensions_that_must_be_understood_are_named_back() {
    let mut bench = Bench::new();
    let left = bench.give(SBC, &message_with(1, "Proxy-Require: time-travel\r\n", "x")).remove(0);
    assert_eq!((left.status(), left.field("unsupported")), (420, "time-travel"));
    let options = message_with(2, "Require: 100rel\r\n", "").replace("MESSAGE", "OPTIONS");
    let left = bench.give(SBC, &options).remove(0);
    assert_eq!((left.status(), left.field("unsupported")), (420, "100rel"));
    // RFC 3261 section 16: Require is for the user agent, and passes.
    let onward = bench.give(SBC, &message_with(3, "Require: 100rel\r\n", "x")).remove(0);
    assert_eq!(onward.field("require"), "100rel");
}

#[test]
fn messages_from_the_im_side_are_not_taken() {
    let mut bench = Bench::new();
    assert_eq!(bench.give(IM, &message(1))[0].status(), 403);
}

#[test]
fn strangers_get_silence_or_never_more_than_they_sent() {
    let mut bench = Bench::new();
    assert!(bench.give("192.0.2.1:5060", &message(1)).is_empty());
    assert_eq!(bench.count(Counter::DroppedStranger), 1);
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.strangers = Strangers::Forbid;
        setup
    });
    let request = message_with(1, "", &"x".repeat(300));
    let left = bench.give("192.0.2.1:5060", &request).remove(0);
    assert_eq!(left.status(), 403);
    assert!(left.text.len() <= request.len());
    assert!(bench.give("192.0.2.1:5060", "SIP/2.0 200 OK\r\n\r\n").is_empty());
    let short = "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bKa\r\nf:<sip:a>;tag=a\r\n\
                 t:<sip:a>\r\ni:a\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n";
    assert!(bench.give("192.0.2.1:5060", short).is_empty());
}

#[test]
fn what_is_malformed_is_answered_if_it_can_be_and_counted() {
    let mut bench = Bench::new();
    let left = bench.give(SBC, &message(1).replace("Content-Length: 5", "Content-Length: 50"));
    assert_eq!(left[0].status(), 400);
    assert!(bench.give(SBC, "hello").is_empty());
    assert_eq!(bench.count(Counter::DroppedMalformed), 1);
    assert!(bench.give(SBC, "\r\n\r\n").is_empty());
    assert_eq!(bench.count(Counter::DroppedKeepAlive), 1);
    assert!(bench.give(IM, "SIP/2.0 200 OK\r\n\r\n").is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseMalformed), 1);
    let long = message_with(1, "", &"x".repeat(20_000));
    let left = bench.give_octets(SBC, &long.as_bytes()[..9_000], true);
    assert_eq!(left[0].status(), 513);
    assert!(bench.give_octets(SBC, b"MESSAGE sip:a SIP/2.0\r\nX: ", true).is_empty());
    assert_eq!(bench.count(Counter::DroppedTruncated), 1);
}

#[test]
fn responses_go_back_to_the_source_by_rport_or_the_sent_by_port() {
    let mut bench = Bench::with({
        let mut setup = setup();
        setup.peers[0].addresses = Box::new([endpoint("10.0.0.1:5060")]);
        setup
    });
    let asks = bench.give("10.0.0.1:40000", &message(1)).remove(0);
    assert_eq!(bench.give(IM, &answer(&asks.text, "200 OK"))[0].to.port(), 40_000);
    let silent = message(2).replace(";rport", "");
    let silent = bench.give("10.0.0.1:40000", &silent).remove(0);
    assert_eq!(bench.give(IM, &answer(&silent.text, "200 OK"))[0].to, SBC.parse().unwrap());
}

#[test]
fn every_slot_comes_back() {
    let mut bench = Bench::new();
    let free = [Purse::Evidence, Purse::Refusals, Purse::Work].map(|purse| bench.out.free(purse));
    for n in 0..200 {
        let onward = bench.give(SBC, &message(n)).remove(0);
        bench.give(IM, &answer(&onward.text, "200 OK"));
        bench.give(SBC, &message(n).replace("MESSAGE", "INVITE"));
    }
    let after = [Purse::Evidence, Purse::Refusals, Purse::Work].map(|purse| bench.out.free(purse));
    assert_eq!(free, after);
    assert_eq!(field("A: b\r\n", "a"), "b");
}
