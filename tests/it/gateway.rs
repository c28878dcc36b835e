//! Short messages in RP-DATA become instant messages, and their reports are true.

use crate::bench::{Bench, IM, IM_2, SBC, answer, answer_with, endpoint};
use crate::short::{ORIGINATOR, Short, ack, answered, bench_with, error, rp_of, submit, taken};
use roger::delivery::{Answer, Evidence, Form, Report, RpResult, Verdict};
use roger::engine::{Content, Credentials, Recipient, Serving};
use roger::metrics::Counter;
use roger::packet::SendError;

#[test]
fn r3_a_short_message_is_answered_delivered_and_acknowledged() {
    let mut bench = Bench::new();
    let short = Short::new(42, "Grüße 😀");
    let left = submit(&mut bench, &short);
    assert_eq!(left.len(), 1, "one instant message");
    let instant = &left[0];
    assert_eq!(instant.to, IM.parse().unwrap());
    assert!(instant.text.starts_with("MESSAGE sip:+15550000001@im.example;user=phone SIP/2.0\r\n"));
    assert_eq!(instant.field("to"), "<sip:+15550000001@im.example;user=phone>");
    assert!(instant.field("from").starts_with("<sip:+46708251358@localhost;user=phone>;tag="));
    assert_eq!(instant.field("p-asserted-identity"), "<sip:+46708251358@localhost;user=phone>");
    assert_eq!(instant.field("date"), "Sat, 22 Nov 2025 03:28:00 GMT");
    assert_eq!(instant.field("content-type"), "text/plain;charset=UTF-8");
    assert_eq!(instant.field("request-disposition"), "no-fork");
    assert_eq!(instant.field("contact"), "", "RFC 3428 section 4");
    assert_eq!(instant.field("cseq"), "1 MESSAGE");
    assert_eq!(instant.body(), "Grüße 😀".as_bytes());
    assert_eq!(instant.text.matches("Via:").count(), 1);

    bench.wait_ms(20);
    let report = answered(&mut bench, instant, "200 OK");
    assert_eq!(report.to, SBC.parse().unwrap());
    assert!(report.text.starts_with("MESSAGE sip:sc@sbc.example SIP/2.0\r\n"), "{}", report.text);
    assert_eq!(report.field("to"), "<sip:sc@sbc.example>");
    let own = "<sip:+15550000001@im.example;user=phone>";
    assert!(report.field("from").starts_with(&format!("{own};tag=")));
    assert_eq!(report.field("p-asserted-identity"), own);
    assert_eq!(report.field("in-reply-to"), "rp-42@sbc.example");
    assert_eq!(rp_of(&report), ack(42));
    assert_eq!(bench.engine.open(), 1, "the report is on its way");
    taken(&mut bench, &report);

    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Delivered);
    assert_eq!(account.report, Report::Rp(Answer::Ack, RpResult::Taken(200)));
    let form = Form::Rp { reference: 42, attempt: 1, may_be_duplicate: false };
    assert_eq!(account.form, form);
    assert_eq!(account.sms_call_id.octets(), b"rp-42@sbc.example");
    assert_eq!(account.im_call_id.octets(), instant.field("call-id").as_bytes());
    assert_eq!(account.recipient.octets(), b"sip:+15550000001@im.example;user=phone");
    assert_eq!(account.reported.since(account.arrived) / 1_000_000, 20);
    assert_eq!((bench.engine.open(), bench.engine.next_deadline()), (0, None));
}

#[test]
fn the_request_is_a_transaction_and_its_200_is_repeated() {
    let mut bench = Bench::new();
    let short = Short::new(1, "a");
    assert_eq!(submit(&mut bench, &short).len(), 1);
    assert!(submit(&mut bench, &short).is_empty(), "no second instant message");
    bench.wait_ms(31_000);
    assert!(submit(&mut bench, &short).is_empty());
    assert_eq!(bench.count(Counter::ReportsRepeated), 2);
    assert_eq!(bench.count(Counter::ShortMessages), 1);
}

#[test]
fn recipient_and_sender_are_named_as_the_peer_does() {
    for (rule, fields, recipient, sender) in [
        (
            Recipient::CalledParty,
            "",
            "sip:+15550000001@im.example;user=phone",
            "sip:sc@sbc.example",
        ),
        (Recipient::To, "", "sip:to@im.example", "sip:sc@sbc.example"),
        (Recipient::RequestUri, "", "sip:ue1@10.0.0.5:5060", "sip:sc@sbc.example"),
    ] {
        let mut bench = bench_with(|setup| setup.peers[0].recipient = rule);
        let mut short = Short::new(1, "a");
        short.fields.push_str(fields);
        let left = submit(&mut bench, &short);
        assert!(left[0].text.starts_with(&format!("MESSAGE {recipient} SIP")), "{}", left[0].text);
        let report = answered(&mut bench, &left[0], "200 OK");
        assert!(report.text.starts_with(&format!("MESSAGE {sender} SIP")), "{}", report.text);
        assert!(report.field("from").starts_with(&format!("<{recipient}>")));
    }
    // An identity that a stranger asserts is not believed, and ours is only preferred.
    let mut bench = bench_with(|setup| setup.peers[0].trusted = false);
    let left = submit(&mut bench, &Short::new(1, "a"));
    let report = answered(&mut bench, &left[0], "200 OK");
    assert!(report.text.starts_with("MESSAGE sip:from@sbc.example SIP"), "{}", report.text);
    assert_eq!(report.field("p-asserted-identity"), "");
    assert_eq!(report.field("p-preferred-identity"), "<sip:+15550000001@im.example;user=phone>");
    // Without P-Called-Party-ID To names the recipient.
    let mut bench = Bench::new();
    let mut request = Short::new(1, "a").request();
    let name = b"P-Called-Party-ID";
    let at = request.windows(name.len()).position(|octets| octets == name).unwrap();
    request[at] = b'X';
    let left = bench.give_octets(SBC, &request, false);
    assert!(left[1].text.starts_with("MESSAGE sip:to@im.example SIP"), "{}", left[1].text);
}

#[test]
fn a_preset_route_leads_the_report() {
    let mut bench = bench_with(|setup| {
        setup.peers[0].report_route = "<sip:s-cscf.example;lr>".into();
    });
    let left = submit(&mut bench, &Short::new(1, "a"));
    let report = answered(&mut bench, &left[0], "200 OK");
    assert_eq!(report.field("route"), "<sip:s-cscf.example;lr>");
    assert_eq!(left[0].field("route"), "");
}

#[test]
fn content_is_wrapped_where_the_peer_wants_it() {
    let mut bench = bench_with(|setup| setup.peers[1].content = Content::Cpim);
    let left = submit(&mut bench, &Short::new(1, "hello"));
    assert_eq!(left[0].field("content-type"), "message/cpim");
    let body = String::from_utf8(left[0].body().to_vec()).unwrap();
    assert!(body.contains("From: <sip:+46708251358@localhost;user=phone>\r\n"), "{body}");
    assert!(body.contains("To: <sip:+15550000001@im.example;user=phone>\r\n"), "{body}");
    assert!(body.contains("DateTime: 2025-11-22T11:28:00+08:00\r\n"), "{body}");
    assert!(body.ends_with("\r\n\r\nhello"), "{body}");
}

/// H57 and the directions of TS 24.011: what an MS may say is 111 here, whatever the IM side said.
#[test]
fn h57_every_failure_is_rp_error_111_and_only_proof_is_rp_ack() {
    for status in (300..700_u16).filter(|status| ![503].contains(status)) {
        let mut bench = Bench::new();
        let left = submit(&mut bench, &Short::new(7, "a"));
        let report = answered(&mut bench, &left[0], &format!("{status} X"));
        let rp = rp_of(&report);
        assert_eq!(rp[..4], [0x04, 7, 0x01, 111], "{status}");
        assert_ne!(rp[7], 0xD3, "memory is never what is missing");
        taken(&mut bench, &report);
        let account = bench.account();
        assert_ne!(account.verdict, Verdict::Delivered, "{status}");
    }
    for status in (200..300_u16).filter(|status| *status != 202) {
        let mut bench = Bench::new();
        let left = submit(&mut bench, &Short::new(7, "a"));
        assert_eq!(rp_of(&answered(&mut bench, &left[0], &format!("{status} X"))), ack(7));
    }
}

#[test]
fn h3_r9_202_is_an_error_at_the_deadline() {
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(9, "a"));
    assert!(bench.give(IM, &answer(&left[0].text, "202 Accepted")).is_empty(), "more may come");
    assert!(bench.wait_ms(27_900).is_empty());
    let late = bench.wait_ms(200);
    assert_eq!(rp_of(&late[0].1), error(9, 0xFF));
    taken(&mut bench, &late[0].1);
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Accepted);
    // The intermediary has it: another copy would be a duplicate.
    bench.wait_ms(1_000);
    let again = submit(&mut bench, &Short { reference: 10, ..Short::new(109, "a") });
    assert_eq!(rp_of(&again[0]), error(10, 0xFF));
    assert_eq!(bench.count(Counter::RetriesAbsorbed), 1);
}

#[test]
fn r9_202_is_acknowledged_only_where_it_is_configured_and_nobody_asked() {
    for (first, expected) in [(0x04, Some(ack(9))), (0x24, None)] {
        let mut bench = bench_with(|setup| setup.peers[1].ack_accepted = true);
        let short = Short { first, ..Short::new(9, "a") };
        let left = submit(&mut bench, &short);
        let back = bench.give(IM, &answer(&left[0].text, "202 Accepted"));
        assert_eq!(back.first().map(rp_of), expected, "TP-SRI {}", first >> 5);
        bench.wait_ms(70_000);
        assert_eq!(bench.account().verdict, Verdict::Accepted, "never delivered");
    }
}

/// H53: a gateway's 200 is acceptance.
#[test]
fn h53_the_200_of_a_gateway_is_not_reported_as_delivery() {
    let mut bench = bench_with(|setup| setup.next_servers = Box::new([endpoint(IM_2)]));
    let left = submit(&mut bench, &Short::new(9, "a"));
    assert!(bench.give(IM_2, &answer(&left[0].text, "200 OK")).is_empty());
    let late = bench.wait_ms(28_100);
    assert_eq!(rp_of(&late[0].1), error(9, 0xFF));
}

#[test]
fn h1_the_request_is_repeated_octet_for_octet_until_its_200() {
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(1, "a"));
    let again = bench.wait_ms(3_600);
    let times: Vec<u64> = again.iter().map(|(at, _)| at.div_ceil(100) * 100).collect();
    assert_eq!(times, [500, 1_500, 3_500]);
    assert!(again.iter().all(|(_, copy)| copy.octets == left[0].octets));
    assert_eq!(rp_of(&answered(&mut bench, &left[0], "200 OK")), ack(1));
    assert!(bench.give(IM, &answer(&left[0].text, "200 OK")).is_empty(), "one report");
    assert_eq!(bench.count(Counter::DroppedResponseRepeated), 1);
}

#[test]
fn r8_the_report_is_repeated_and_has_a_result_of_its_own() {
    for (status, result, counter) in [
        ("202 Accepted", RpResult::Taken(202), Counter::ReportsTaken),
        ("488 Not Acceptable Here", RpResult::Refused(488), Counter::ReportsRejected),
        ("503 Service Unavailable", RpResult::Refused(503), Counter::ReportsRejected),
    ] {
        let mut bench = Bench::new();
        let left = submit(&mut bench, &Short::new(1, "a"));
        let report = answered(&mut bench, &left[0], "200 OK");
        let again = bench.wait_ms(1_600);
        assert_eq!(again.len(), 2, "timer E");
        assert!(again.iter().all(|(_, copy)| copy.octets == report.octets));
        assert!(bench.give(SBC, &answer(&report.text, status)).is_empty());
        let account = bench.account();
        assert_eq!(account.report, Report::Rp(Answer::Ack, result));
        assert_eq!(account.verdict, Verdict::Delivered, "whatever became of the report");
        assert_eq!(bench.count(counter), 1);
    }
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(1, "a"));
    answered(&mut bench, &left[0], "200 OK");
    assert_eq!(bench.wait_ms(33_000).len(), 10, "timer E until timer F");
    assert_eq!(bench.account().report, Report::Rp(Answer::Ack, RpResult::Unconfirmed));
}

/// A report that was retransmitted is answered twice; that is nobody's forgery.
#[test]
fn the_second_answer_to_a_report_is_a_repetition() {
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(1, "a"));
    let report = answered(&mut bench, &left[0], "200 OK");
    taken(&mut bench, &report);
    assert_eq!(bench.engine.open(), 0);
    taken(&mut bench, &report);
    assert_eq!(bench.count(Counter::DroppedResponseRepeated), 1);
    assert_eq!(bench.count(Counter::DroppedResponseSource), 0);
    // An answer to the instant message from there is one.
    bench.give(SBC, &answer(&left[0].text, "200 OK"));
    assert_eq!(bench.count(Counter::DroppedResponseSource), 1);
}

#[test]
fn r8_503_leads_the_report_to_the_next_address() {
    const SBC_2: &str = "10.0.0.2:5060";
    let mut bench = bench_with(|setup| {
        setup.peers[0].addresses = Box::new([endpoint(SBC), endpoint(SBC_2)]);
    });
    let left = submit(&mut bench, &Short::new(1, "a"));
    let report = answered(&mut bench, &left[0], "200 OK");
    let next = bench.give(SBC, &answer(&report.text, "503 Service Unavailable"));
    assert_eq!(next[0].to, SBC_2.parse().unwrap());
    assert_ne!(next[0].field("via"), report.field("via"), "a new branch");
    for name in ["call-id", "cseq", "from", "in-reply-to"] {
        assert_eq!(next[0].field(name), report.field(name));
    }
    assert_eq!(rp_of(&next[0]), ack(1));
    assert!(bench.give(SBC_2, &answer(&next[0].text, "200 OK")).is_empty());
    assert_eq!(bench.account().report, Report::Rp(Answer::Ack, RpResult::Taken(200)));
}

#[test]
fn h2_a_late_200_answers_the_repetition_without_a_second_message() {
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(1, "a"));
    let all = bench.wait_ms(33_000);
    let reports: Vec<_> = all.iter().filter(|(_, it)| it.to == SBC.parse().unwrap()).collect();
    assert_eq!(rp_of(&reports[0].1), error(1, 0xFF));
    assert_eq!(reports[0].0 / 10, 2_800, "at the deadline");
    taken(&mut bench, &reports[0].1);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    bench.wait_ms(60_000);
    // Nobody but the server that was asked can prove it.
    let late = answer(&left[0].text, "200 OK");
    for wrong in [
        late.replace(left[0].field("call-id"), "0@localhost"),
        late.replace("CSeq: 1 MESSAGE", "CSeq: 1 OPTIONS"),
        late.replace("From:", "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom:"),
    ] {
        bench.give(IM, &wrong);
    }
    bench.give(IM_2, &late);
    assert_eq!(bench.count(Counter::LateProofs), 0);
    assert!(bench.give(IM, &late).is_empty());
    assert_eq!(bench.count(Counter::LateProofs), 1);
    bench.wait_ms(60_000);
    let again = submit(&mut bench, &Short::new(2, "a"));
    assert_eq!(again.len(), 1);
    assert_eq!(rp_of(&again[0]), ack(2), "its own RP-MR");
    assert_eq!(again[0].field("in-reply-to"), "rp-2@sbc.example");
    taken(&mut bench, &again[0]);
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Delivered);
    assert_eq!(account.evidence, Evidence::Earlier { verdict: Verdict::Delivered, status: 200 });
    let form = Form::Rp { reference: 2, attempt: 0, may_be_duplicate: false };
    assert_eq!(account.form, form);
    assert_eq!(account.im_call_id.octets(), left[0].field("call-id").as_bytes(), "what proved it");
}

/// Whoever has seen a branch of ours can repeat it; only what fits in every way is proof.
#[test]
fn h2_h11_nobody_else_can_prove_a_delivery_afterwards() {
    let mut bench = bench_with(|setup| {
        setup.peers[2].mapping = roger::delivery::Mapping::of(roger::delivery::Role::Endpoint);
        setup.gateway.uri_pending_max = 2;
    });
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let other = submit(&mut bench, &Short::new(2, "b")).remove(0);
    bench.wait_ms(70_000);
    let late = answer(&first.text, "200 OK");
    let call_id = first.field("call-id").to_owned();
    let salt_at = call_id.find('@').unwrap() - 1;
    let mut salted = call_id.clone();
    salted.replace_range(
        salt_at..=salt_at,
        if call_id.as_bytes()[salt_at] == b'0' { "1" } else { "0" },
    );
    for (from, wrong) in [
        (IM_2, late.clone()),
        (SBC, late.clone()),
        (IM, late.replace(&call_id, &salted)),
        (IM, late.replace(&call_id, other.field("call-id"))),
        (IM, late.replace("1 MESSAGE", "2 MESSAGE")),
        (IM, late.replace("200 OK", "180 Ringing")),
    ] {
        bench.give(from, &wrong);
        assert_eq!(bench.count(Counter::LateProofs), 0, "{wrong}");
    }
    bench.give(IM, &late);
    bench.give(IM, &late);
    assert_eq!(bench.count(Counter::LateProofs), 1, "once");
    assert_eq!(rp_of(&submit(&mut bench, &Short::new(3, "a"))[0]), ack(3));
    assert_eq!(submit(&mut bench, &Short::new(4, "b"))[0].to, IM.parse().unwrap());
}

#[test]
fn a_report_that_was_not_taken_leaves_the_longer_memory() {
    for (status, absorbed) in [("488 Not Acceptable Here", true), ("200 OK", false)] {
        let mut bench = Bench::new();
        let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
        let report = answered(&mut bench, &instant, "200 OK");
        bench.give(SBC, &answer(&report.text, status));
        bench.wait_ms(200_000);
        let again = submit(&mut bench, &Short::new(2, "a"));
        assert_eq!(again[0].to == SBC.parse().unwrap(), absorbed, "{status}");
    }
}

#[test]
fn originators_are_told_apart_and_a_name_is_no_identity() {
    let mut bench = Bench::new();
    // "roger" in septets, and a national number.
    let name = vec![0x09, 0xD0, 0xF2, 0xF7, 0xB9, 0x2C, 0x07];
    let national = vec![0x05, 0xA1, 0x21, 0x43, 0xF5];
    for (number, originator, from, asserted) in [
        (1, ORIGINATOR.to_vec(), "<sip:+46708251358@localhost;user=phone>", true),
        (2, name, "\"roger\" <sip:localhost>", false),
        (3, national, "<sip:12345;phone-context=localhost@localhost;user=phone>", true),
    ] {
        // One recipient, three senders: nobody waits for another.
        let short = Short { originator, ..Short::new(number, "a") };
        let instant = submit(&mut bench, &short).remove(0);
        assert!(instant.field("from").starts_with(&format!("{from};tag=")), "{}", instant.text);
        let expected = if asserted { from } else { "" };
        assert_eq!(instant.field("p-asserted-identity"), expected);
    }
}

#[test]
fn h2_a_200_between_deadline_and_timer_f_is_remembered() {
    let mut bench = Bench::new();
    let left = submit(&mut bench, &Short::new(1, "a"));
    let all = bench.wait_ms(29_000);
    let report = &all.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
    taken(&mut bench, report);
    assert_eq!(bench.engine.open(), 1, "what comes until timer F still counts");
    assert!(bench.give(IM, &answer(&left[0].text, "200 OK")).is_empty());
    assert_eq!(bench.account().verdict, Verdict::Unknown, "the verdict stands");
    assert_eq!(rp_of(&submit(&mut bench, &Short::new(2, "a"))[0]), ack(2));
}

#[test]
fn r6_what_is_unknown_is_tried_again_with_the_same_call_id() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    bench.wait_ms(70_000);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    let second = submit(&mut bench, &Short::new(2, "a")).remove(0);
    assert_eq!(second.field("call-id"), first.field("call-id"), "H13");
    assert_eq!(second.field("from"), first.field("from"));
    assert_eq!(second.field("cseq"), "2 MESSAGE");
    assert_ne!(second.field("via"), first.field("via"));
    assert_eq!(bench.count(Counter::PossibleDuplicates), 1);
    assert_eq!(rp_of(&answered(&mut bench, &second, "200 OK")), ack(2));
    bench.wait_ms(70_000);
    let form = Form::Rp { reference: 2, attempt: 2, may_be_duplicate: true };
    assert_eq!(bench.account().form, form);
}

#[test]
fn what_was_refused_for_now_is_tried_again_and_heeds_retry_after() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let text = answer_with(&first.text, "480 Gone Fishing", "Retry-After: 60\r\n");
    let report = bench.give(IM, &text).remove(0);
    assert_eq!(rp_of(&report), error(1, 0xFF));
    taken(&mut bench, &report);
    bench.account();
    bench.wait_ms(50_000);
    let early = submit(&mut bench, &Short::new(2, "a"));
    assert_eq!(rp_of(&early[0]), error(2, 0xFF), "not before the time it asked for");
    taken(&mut bench, &early[0]);
    assert_eq!(bench.account().verdict, Verdict::Temporary);
    bench.wait_ms(15_000);
    let later = submit(&mut bench, &Short::new(3, "a")).remove(0);
    assert_eq!(later.to, IM.parse().unwrap());
    assert_eq!(later.field("cseq"), "2 MESSAGE");
    assert_eq!(bench.count(Counter::PossibleDuplicates), 0);
}

#[test]
fn h61_a_permanent_failure_is_repeated_to_the_sc_and_not_to_the_recipient() {
    let mut bench = bench_with(|setup| setup.gateway.permanent_window_ms = 600_000);
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    taken_after(&mut bench, &first, "603 Decline");
    bench.wait_ms(590_000);
    let again = submit(&mut bench, &Short::new(2, "a"));
    assert_eq!(rp_of(&again[0]), error(2, 0xFF));
    taken(&mut bench, &again[0]);
    assert_eq!(bench.account().verdict, Verdict::Permanent);
    bench.wait_ms(20_000);
    let new = submit(&mut bench, &Short::new(3, "a")).remove(0);
    assert_eq!(new.to, IM.parse().unwrap(), "after the window it is a message again");
    assert_ne!(new.field("call-id"), first.field("call-id"));
}

fn taken_after(bench: &mut Bench, instant: &crate::bench::Left, status: &str) {
    let report = answered(bench, instant, status);
    taken(bench, &report);
    bench.account();
}

/// H47: after RP-ACK an equal short message is the SC's repetition for two minutes, then a new one.
#[test]
fn h47_an_equal_message_is_absorbed_for_two_minutes_after_its_ack() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    taken_after(&mut bench, &first, "200 OK");
    bench.wait_ms(115_000);
    let again = submit(&mut bench, &Short::new(2, "a"));
    assert_eq!(rp_of(&again[0]), ack(2));
    taken(&mut bench, &again[0]);
    bench.account();
    bench.wait_ms(125_000);
    let new = submit(&mut bench, &Short::new(3, "a")).remove(0);
    assert_eq!(new.to, IM.parse().unwrap());
    assert_ne!(
        new.field("call-id"),
        first.field("call-id"),
        "a user agent must not take it for the first"
    );
    let off = |setup: &mut roger::engine::Setup| setup.gateway.dedup = false;
    let mut bench = bench_with(off);
    for number in [1, 2] {
        assert_eq!(submit(&mut bench, &Short::new(number, "a")).len(), usize::from(number == 1));
    }
    assert_eq!(bench.count(Counter::RetriesAbsorbed) + bench.count(Counter::RetriesAttached), 0);
}

#[test]
fn a_short_message_is_known_by_all_that_makes_it() {
    let mut bench = bench_with(|setup| setup.gateway.uri_pending_max = 100);
    let base = Short::new(1, "a");
    assert_eq!(submit(&mut bench, &base).len(), 1);
    let others = [
        Short { scts: [0x52, 0x11, 0x22, 0x11, 0x82, 0x10, 0x23], ..Short::new(2, "a") },
        Short::new(3, "b"),
        Short { recipient: "sip:+15550000002@im.example;user=phone".into(), ..Short::new(4, "a") },
        Short { pid: 0x41, ..Short::new(5, "a") },
        Short { first: 0x44, user_data: vec![5, 0, 3, 7, 2, 1, 0, 97], ..Short::new(6, "a") },
        Short { first: 0x44, user_data: vec![5, 0, 3, 7, 2, 2, 0, 97], ..Short::new(7, "a") },
        Short { first: 0x44, user_data: vec![5, 0, 3, 8, 2, 2, 0, 97], ..Short::new(8, "a") },
    ];
    for (count, other) in others.iter().enumerate() {
        assert_eq!(submit(&mut bench, other).len(), 1, "{count}");
    }
    assert_eq!(bench.count(Counter::RetriesAttached), 0);
    let same = [
        // What a repetition may change: RP-MR, more messages waiting, a status report asked for.
        Short { first: 0x00, ..Short::new(9, "a") },
        Short { first: 0x24, ..Short::new(10, "a") },
        Short { recipient: "tel:+15550000001".into(), ..Short::new(11, "a") },
    ];
    for (count, other) in same.iter().enumerate() {
        assert!(submit(&mut bench, other).is_empty(), "{count}");
    }
    assert_eq!(bench.count(Counter::RetriesAttached), 3);
}

/// H46, H48: each submission has its own report, with its own RP-MR.
#[test]
fn h46_a_repetition_in_flight_is_attached_and_both_are_answered() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    for number in [2, 3] {
        assert!(submit(&mut bench, &Short::new(number, "a")).is_empty());
    }
    let report = answered(&mut bench, &first, "200 OK");
    assert_eq!(rp_of(&report), ack(1));
    let others = bench.wait_ms(20);
    let mut references: Vec<_> = others.iter().map(|(_, it)| rp_of(it)).collect();
    references.sort();
    assert_eq!(references, [ack(2), ack(3)]);
    for report in others.iter().map(|(_, it)| it).chain([&report]) {
        taken(&mut bench, report);
    }
    let mut verdicts = 0;
    while let Some(account) = bench.engine.pop_account() {
        assert_eq!(account.verdict, Verdict::Delivered);
        assert_eq!(account.im_call_id.octets(), first.field("call-id").as_bytes());
        verdicts += 1;
    }
    assert_eq!((verdicts, bench.engine.open()), (3, 0));
}

#[test]
fn an_attached_submission_has_a_deadline_of_its_own() {
    let mut bench = bench_with(|setup| {
        setup.peers[0].sync_deadline_ms = 10_000;
    });
    submit(&mut bench, &Short::new(1, "a"));
    bench.wait_ms(5_000);
    assert!(submit(&mut bench, &Short::new(2, "a")).is_empty());
    let to_sms = |all: Vec<(u64, crate::bench::Left)>| -> Vec<(u64, Vec<u8>)> {
        let mine = all.into_iter().filter(|(_, it)| it.to == SBC.parse().unwrap());
        mine.map(|(at, it)| (at / 100, rp_of(&it))).collect()
    };
    let early = to_sms(bench.wait_ms(5_400));
    assert_eq!(early, [(50, error(1, 0xFF))]);
    let late: Vec<_> =
        to_sms(bench.wait_ms(5_000)).into_iter().filter(|(_, rp)| rp[1] == 2).collect();
    assert_eq!(late[0], (46, error(2, 0xFF)));
    // What it was attached to may have delivered it: that is not known to have failed.
    bench.wait_ms(60_000);
    let accounts: Vec<_> = core::iter::from_fn(|| bench.engine.pop_account()).collect();
    assert_eq!(accounts.len(), 2);
    assert!(accounts.iter().all(|it| it.verdict == Verdict::Unknown), "{accounts:?}");
}

/// RFC 3428 section 8.
#[test]
fn r2_one_message_to_a_recipient_at_a_time() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    assert!(submit(&mut bench, &Short::new(2, "b")).is_empty(), "the other one is pending");
    let elsewhere = Short { recipient: "sip:bob@im.example".into(), ..Short::new(3, "b") };
    assert_eq!(submit(&mut bench, &elsewhere).len(), 1, "another recipient");
    assert_eq!(bench.count(Counter::UriWaits), 1);
    bench.wait_ms(400);
    answered(&mut bench, &first, "200 OK");
    let left = bench.wait_ms(10);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1.body(), b"b");
    assert_eq!(rp_of(&answered(&mut bench, &left[0].1, "200 OK")), ack(2));
}

#[test]
fn timers_do_not_starve_behind_turns_that_become_free() {
    let mut bench = bench_with(|setup| setup.messages_max = 200);
    let to = |number: u32, recipient: u32| Short {
        recipient: format!("sip:u{recipient}@im.example"),
        ..Short::new(number, &format!("text {number}"))
    };
    // Sixty recipients with one message out and one that waits.
    let first: Vec<_> = (0..60).map(|one| submit(&mut bench, &to(one, one)).remove(0)).collect();
    for one in 0..60 {
        assert!(submit(&mut bench, &to(100 + one, one)).is_empty());
    }
    // And one whose first retransmission is due.
    submit(&mut bench, &to(300, 300));
    bench.wait_ms(400);
    for instant in &first {
        bench.give(IM, &answer(&instant.text, "480 Gone"));
    }
    bench.now = bench.now.plus_ms(200);
    assert_eq!(bench.engine.on_tick(bench.now, &mut bench.out), 32);
    let left = bench.leave();
    assert!(left.iter().any(|it| it.text.contains("u300@")), "its timer fired in the first turn");
    assert!(left.iter().filter(|it| it.body().starts_with(b"text 1")).count() >= 16);
}

#[test]
fn r2_who_waits_too_long_was_certainly_not_delivered() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    assert!(submit(&mut bench, &Short::new(2, "b")).is_empty());
    let all = bench.wait_ms(2_100);
    let report = &all.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
    assert_eq!(rp_of(report), error(2, 0xFF));
    taken(&mut bench, report);
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Temporary, Evidence::UriWait));
    answered(&mut bench, &first, "200 OK");
    assert!(bench.wait_ms(100).is_empty(), "nothing is sent for it any more");
    let again = submit(&mut bench, &Short::new(3, "b")).remove(0);
    assert_eq!(again.field("cseq"), "1 MESSAGE", "it was never sent");
}

#[test]
fn h8_503_leads_to_the_next_server_and_482_there_is_unknown() {
    const IM_3: &str = "10.0.0.11:5070";
    let change = |setup: &mut roger::engine::Setup| {
        setup.peers[1].addresses = Box::new([endpoint(IM), endpoint(IM_3)]);
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_3)]);
    };
    let mut bench = bench_with(change);
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let text = answer_with(&first.text, "503 Busy", "Retry-After: 30\r\n");
    let next = bench.give(IM, &text).remove(0);
    assert_eq!(next.to, IM_3.parse().unwrap());
    assert_eq!(next.field("call-id"), first.field("call-id"));
    assert_eq!(next.field("cseq"), first.field("cseq"), "RFC 3263 section 4.3");
    assert_ne!(next.field("via"), first.field("via"));
    let back = bench.give(IM_3, &answer(&next.text, "482 Loop Detected"));
    assert_eq!(rp_of(&back[0]), error(1, 0xFF));
    taken(&mut bench, &back[0]);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    // The server that asked for it is left alone for so long.
    assert_eq!(submit(&mut bench, &Short::new(2, "b"))[0].to, IM_3.parse().unwrap());
    bench.wait_ms(31_000);
    let elsewhere = Short { recipient: "sip:bob@im.example".into(), ..Short::new(3, "c") };
    assert_eq!(submit(&mut bench, &elsewhere)[0].to, IM.parse().unwrap());
    // 482 to the first copy is a loop.
    let mut bench = bench_with(change);
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    taken_with_verdict(&mut bench, &first, "482 Loop Detected", Verdict::Permanent);
}

fn taken_with_verdict(
    bench: &mut Bench,
    instant: &crate::bench::Left,
    status: &str,
    verdict: Verdict,
) {
    let report = answered(bench, instant, status);
    taken(bench, &report);
    assert_eq!(bench.account().verdict, verdict, "{status}");
}

#[test]
fn where_every_server_wants_to_be_left_alone_nothing_is_taken() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let text = answer_with(&first.text, "503 Busy", "Retry-After: 30\r\n");
    let report = bench.give(IM, &text).remove(0);
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict, Verdict::Temporary);
    let refused = bench.give_octets(SBC, &Short::new(2, "b").request(), false);
    assert_eq!((refused.len(), refused[0].status()), (1, 503));
    assert_eq!(bench.count(Counter::RefusedNoServer), 1);
    bench.wait_ms(31_000);
    assert_eq!(submit(&mut bench, &Short::new(3, "c")).len(), 1);
}

#[test]
fn what_the_kernel_refuses_is_certain() {
    let mut bench = Bench::new();
    bench.sent = Err(SendError::NoRoute);
    assert_eq!(submit(&mut bench, &Short::new(1, "a")).len(), 1);
    bench.sent = Ok(());
    let report = bench.wait_ms(10).remove(0).1;
    assert_eq!(rp_of(&report), error(1, 0xFF));
    taken(&mut bench, &report);
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Temporary, Evidence::NeverSent));
    let again = submit(&mut bench, &Short::new(2, "a")).remove(0);
    assert_eq!(again.field("cseq"), "1 MESSAGE");

    let report = answered(&mut bench, &again, "200 OK");
    taken(&mut bench, &report);
    bench.account();
    let third = submit(&mut bench, &Short::new(3, "c")).remove(0);
    bench.sent = Err(SendError::Forbidden);
    answered(&mut bench, &third, "200 OK");
    bench.wait_ms(10);
    let report = bench.account().report;
    assert_eq!(report, Report::Rp(Answer::Ack, RpResult::Unsent(SendError::Forbidden)));
}

#[test]
fn an_icmp_error_leaves_it_unknown() {
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    bench.engine.on_unreachable(endpoint(IM), &first.octets, bench.now);
    let report = bench.wait_ms(10).remove(0).1;
    assert_eq!(rp_of(&report), error(1, 0xFF));
    bench.engine.on_unreachable(endpoint(SBC), &report.octets, bench.now);
    bench.wait_ms(10);
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Unknown, Evidence::Unreachable));
    let unconfirmed = Report::Rp(Answer::Error { cause: 111, fcs: 0xFF }, RpResult::Unconfirmed);
    assert_eq!(account.report, unconfirmed);
}

#[test]
fn a_challenge_is_answered_once_with_the_next_cseq() {
    let mut bench = bench_with(|setup| {
        setup.peers[1].credentials =
            Some(Credentials { username: "gw".into(), password: "secret".into() });
    });
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let challenge = "WWW-Authenticate: Digest realm=\"im\", nonce=\"n1\", qop=\"auth\"\r\n";
    let text = answer_with(&first.text, "401 Unauthorized", challenge);
    let second = bench.give(IM, &text).remove(0);
    assert_eq!(second.field("cseq"), "2 MESSAGE");
    assert_eq!(second.field("call-id"), first.field("call-id"));
    assert!(second.field("authorization").contains("username=\"gw\""), "{}", second.text);
    assert!(!second.text.contains("secret"));
    let again = bench.wait_ms(600);
    assert_eq!(again[0].1.octets, second.octets);
    let text = answer_with(&second.text, "401 Unauthorized", challenge);
    let report = bench.give(IM, &text).remove(0);
    assert_eq!(rp_of(&report)[..4], [0x04, 1, 0x01, 111]);
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict, Verdict::Permanent, "refused credentials stay refused");
    // Without credentials a challenge is a failure like others.
    let mut bench = Bench::new();
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    taken_with_verdict(&mut bench, &first, "407 Proxy Authentication Required", Verdict::Temporary);
}

#[test]
fn h55_what_holds_no_text_is_never_sent() {
    let port = vec![0x06, 0x05, 0x04, 0x0B, 0x84, 0x23, 0xF0, 0, 97];
    for (short, expected) in [
        (Short { pid: 0x40, ..Short::new(1, "a") }, ack(1)),
        (Short { dcs: 0x04, ..Short::new(1, "a") }, error(1, 0x90)),
        (Short { dcs: 0x28, ..Short::new(1, "a") }, error(1, 0x90)),
        (Short { dcs: 0xC8, ..Short::new(1, "a") }, error(1, 0x90)),
        (Short { pid: 0x7F, ..Short::new(1, "a") }, error(1, 0x90)),
        (Short { first: 0x44, user_data: port, ..Short::new(1, "a") }, error(1, 0x90)),
    ] {
        let mut bench = Bench::new();
        let left = submit(&mut bench, &short);
        assert_eq!(left.len(), 1);
        assert_eq!(rp_of(&left[0]), expected);
        taken(&mut bench, &left[0]);
        let account = bench.account();
        assert_ne!(account.verdict, Verdict::Delivered);
        assert_eq!(account.transmissions, 0);
    }
}

#[test]
fn r4_submission_is_refused_and_memory_available_is_acknowledged() {
    let submit_rp = [0x00, 0x33, 0x00, 0x02, 0x91, 0x21, 0x04, 0x01, 0x05, 0x00, 0x00];
    for (body, expected) in
        [(&submit_rp[..], &[0x05, 0x33, 0x01, 69][..]), (&[0x06, 0x44], &[0x03, 0x44])]
    {
        let mut bench = Bench::new();
        let left = bench.give_octets(SBC, &Short::new(1, "").request_with(body), false);
        assert_eq!(left[0].status(), 202);
        assert_eq!(rp_of(&left[1]), expected);
        taken(&mut bench, &left[1]);
        assert_eq!(bench.engine.open(), 0);
        let accounts = core::iter::from_fn(|| bench.engine.pop_account()).count();
        assert_eq!(accounts as u64, bench.count(Counter::MessagesAccepted));
    }
}

#[test]
fn bad_rp_messages_get_what_they_can_be_told() {
    let whole = Short::new(5, "a").rp();
    let broken_tpdu = |at: usize, octet: u8| {
        let mut octets = whole.clone();
        octets[13 + at] = octet;
        octets
    };
    // No reference to repeat: 400. An answer to nothing: nothing. Else RP-ERROR.
    for (body, status, cause) in [
        (vec![], 400, None),
        (vec![0x01], 400, None),
        (vec![0x02, 5], 200, None),
        (vec![0x03, 5], 200, None),
        (vec![0x04, 5, 1, 111], 200, None),
        (vec![0x04, 5], 200, None),
        (vec![0x05, 5, 0], 200, None),
        (vec![0x05], 400, None),
        (whole[..whole.len() - 1].to_vec(), 200, Some(96)),
        (whole[..5].to_vec(), 200, Some(96)),
        (vec![0x07, 5], 200, Some(97)),
        // A month of 13, an originator of 21 digits, a user data length beyond the end.
        (broken_tpdu(12, 0x31), 200, Some(111)),
        (broken_tpdu(1, 0x15), 200, Some(111)),
        (broken_tpdu(18, 0x10), 200, Some(111)),
    ] {
        let mut bench = Bench::new();
        let left = bench.give_octets(SBC, &Short::new(5, "").request_with(&body), false);
        assert_eq!(left[0].status(), status, "{body:02x?}");
        let rp = left.get(1).map(rp_of);
        assert_eq!(rp.as_ref().map(|rp| rp[3]), cause, "{body:02x?} {rp:02x?}");
        assert!(rp.is_none_or(|rp| rp[..2] == [0x04, 5]));
        assert!(left.iter().all(|it| it.to == SBC.parse().unwrap()), "nothing to the IM side");
    }
}

/// A short message that was relayed would count as delivered when the SIP hop has taken it.
#[test]
fn a_short_message_is_known_however_its_media_type_is_written() {
    for (written, is_short) in [
        ("application/vnd.3gpp.sms", true),
        ("APPLICATION/VND.3GPP.SMS", true),
        ("application / vnd.3gpp.sms", true),
        ("application/\r\n vnd.3gpp.sms ;x=y", true),
        ("application/vnd.3gpp.sms+xml", false),
        ("application/vnd.3gpp.smsx", false),
        ("applications/vnd.3gpp.sms", false),
    ] {
        let mut bench = Bench::new();
        let short = Short::new(1, "a");
        let request = short.request();
        let at = request.windows(12).position(|octets| octets == b"Content-Type").unwrap();
        let (head, rest) = request.split_at(at);
        let end = rest.windows(2).position(|octets| octets == b"\r\n").unwrap();
        let field = format!("Content-Type: {written}");
        let left = bench.give_octets(SBC, &[head, field.as_bytes(), &rest[end..]].concat(), false);
        assert_eq!(bench.count(Counter::ShortMessages), u64::from(is_short), "{written}");
        assert_eq!(left.len(), if is_short { 2 } else { 1 }, "{written}");
    }
}

#[test]
fn encoded_bodies_and_required_extensions_are_refused() {
    for (field, status) in [
        ("Content-Encoding: gzip\r\n", 415),
        ("e: gzip\r\n", 415),
        ("Content-Encoding: identity\r\n", 200),
        ("Require: foo\r\n", 420),
    ] {
        let mut bench = Bench::new();
        let mut short = Short::new(1, "a");
        short.fields.push_str(field);
        let left = bench.give_octets(SBC, &short.request(), false);
        assert_eq!(left[0].status(), status, "{field}");
        let unsupported = if status == 420 { "foo" } else { "" };
        assert_eq!(left[0].field("unsupported"), unsupported);
    }
}

#[test]
fn i10_a_refused_short_message_is_not_sent() {
    let mut bench = Bench::new();
    bench.engine.serve(Serving::Refusing);
    let left = bench.give_octets(SBC, &Short::new(1, "a").request(), false);
    assert_eq!((left.len(), left[0].status()), (1, 503));
    let mut bench = Bench::new();
    let many = (0..65).map(|number| Short {
        recipient: format!("sip:u{number}@im.example"),
        ..Short::new(number, "a")
    });
    let statuses: Vec<u16> =
        many.map(|short| bench.give_octets(SBC, &short.request(), false)[0].status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 1, "64 places");
    assert_eq!(bench.engine.open(), 64);
}

#[test]
fn a_request_that_would_be_too_long_for_a_pager_is_refused() {
    let mut bench = Bench::new();
    let user = "u".repeat(600);
    let long = Short { recipient: format!("sip:{user}@im.example"), ..Short::new(1, "a") };
    let left = submit(&mut bench, &long);
    assert_eq!(left.len(), 1);
    assert_eq!(rp_of(&left[0]), error(1, 0xFF));
    assert_eq!(left[0].to, SBC.parse().unwrap());
}

#[test]
fn h5_two_devices_answer_and_the_first_decides() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let report = answered(&mut bench, &instant, "200 OK");
    assert_eq!(rp_of(&report), ack(1));
    let other = answer(&instant.text, "200 OK").replace("tag=uas", "tag=other");
    assert!(bench.give(IM, &other).is_empty(), "one report");
    assert_eq!(bench.count(Counter::Contradictions), 0);
}

#[test]
fn h6_silence_is_unknown_and_reported_at_the_deadline() {
    let mut bench = Bench::new();
    submit(&mut bench, &Short::new(1, "a"));
    let all = bench.wait_ms(28_010);
    let reports: Vec<_> = all.iter().filter(|(_, it)| it.to == SBC.parse().unwrap()).collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(rp_of(&reports[0].1), error(1, 0xFF));
    taken(&mut bench, &reports[0].1);
    bench.wait_ms(4_100);
    assert_eq!(bench.account().evidence, Evidence::Deadline);
}

#[test]
fn h7_a_200_behind_a_refusal_changes_no_verdict() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let report = answered(&mut bench, &instant, "603 Decline");
    assert!(bench.give(IM, &answer(&instant.text, "200 OK")).is_empty());
    taken(&mut bench, &report);
    let account = bench.account();
    assert_eq!(account.verdict, Verdict::Permanent);
    assert_eq!(bench.count(Counter::Contradictions), 1);
    // But some device has it: a repetition must not bring it twice.
    assert_eq!(rp_of(&submit(&mut bench, &Short::new(2, "a"))[0]), ack(2));
}

#[test]
fn h9_h10_408_is_unknown_and_500_is_held_against_nobody() {
    for (status, verdict) in [("408 Timeout", Verdict::Unknown), ("500 Error", Verdict::Temporary)]
    {
        let mut bench = Bench::new();
        let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
        taken_with_verdict(&mut bench, &instant, status, verdict);
        let next = submit(&mut bench, &Short::new(2, "b")).remove(0);
        assert_eq!(next.to, IM.parse().unwrap());
    }
}

#[test]
fn h11_what_does_not_answer_our_own_request_proves_nothing() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let right = answer(&instant.text, "200 OK");
    let via = "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx\r\n";
    let wrong = [
        (right.replace("1 MESSAGE", "2 MESSAGE"), Counter::DroppedResponseCseq),
        (right.replace("1 MESSAGE", "1 OPTIONS"), Counter::DroppedResponseCseq),
        (right.replace("From:", &format!("{via}From:")), Counter::DroppedResponseVia),
        (right.replace("10.0.0.5:5060;", "10.0.0.6:5060;"), Counter::DroppedResponseForeign),
    ];
    for (text, counter) in wrong {
        assert!(bench.give(IM, &text).is_empty());
        assert!(bench.count(counter) > 0, "{text}");
    }
    assert!(bench.give(IM_2, &right).is_empty());
    assert_eq!(bench.count(Counter::DroppedResponseSource), 1);
    let report = bench.give(IM, &right).remove(0);
    assert_eq!(rp_of(&report), ack(1));
    // And what does not answer the report does not confirm it.
    let right = answer(&report.text, "200 OK");
    for text in
        [right.replace("1 MESSAGE", "2 MESSAGE"), right.replace("From:", &format!("{via}From:"))]
    {
        bench.give(SBC, &text);
    }
    bench.give(IM, &right);
    assert_eq!(bench.count(Counter::ReportsTaken), 0);
    taken(&mut bench, &report);
    assert_eq!(bench.count(Counter::ReportsTaken), 1);
}

#[test]
fn h39_h40_each_part_has_its_own_verdict() {
    let mut bench = bench_with(|setup| setup.gateway.uri_pending_max = 9);
    let part = |number, reference, index, letter: u8| {
        let user_data = vec![5, 0, 3, reference, 2, index, 0, letter];
        Short { first: 0x44, user_data, ..Short::new(number, "") }
    };
    let first = submit(&mut bench, &part(1, 7, 1, b'a')).remove(0);
    let second = submit(&mut bench, &part(2, 7, 2, b'b')).remove(0);
    assert_eq!((first.body(), second.body()), (&b"a"[..], &b"b"[..]));
    assert_eq!(rp_of(&answered(&mut bench, &first, "200 OK")), ack(1));
    assert_eq!(rp_of(&answered(&mut bench, &second, "480 Gone")), error(2, 0xFF));
    // The same reference and number with another text is another message.
    assert_eq!(submit(&mut bench, &part(3, 7, 1, b'c')).len(), 1);
    assert_eq!(bench.count(Counter::RetriesAbsorbed), 0);
}

#[test]
fn h48_one_reference_for_many_messages_confuses_no_report() {
    let mut bench = Bench::new();
    let one = |number: u32| Short {
        reference: 9,
        recipient: format!("sip:u{number}@im.example"),
        ..Short::new(number, "a")
    };
    let instants: Vec<_> =
        (0..50).map(|number| submit(&mut bench, &one(number)).remove(0)).collect();
    for (number, instant) in instants.iter().enumerate().rev() {
        let status = if number % 2 == 0 { "200 OK" } else { "603 Decline" };
        let report = answered(&mut bench, instant, status);
        assert_eq!(report.field("in-reply-to"), format!("rp-{number}@sbc.example"));
        assert!(report.field("from").starts_with(&format!("<sip:u{number}@im.example>")));
        let expected = if number % 2 == 0 { ack(9) } else { error(9, 0xFF) };
        assert_eq!(rp_of(&report), expected);
    }
}

#[test]
fn h49_when_every_server_refuses_it_is_temporary() {
    const IM_3: &str = "10.0.0.11:5070";
    let mut bench = bench_with(|setup| {
        setup.peers[1].addresses = Box::new([endpoint(IM), endpoint(IM_3)]);
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_3)]);
    });
    let first = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let next = bench.give(IM, &answer(&first.text, "503 Busy")).remove(0);
    let report = bench.give(IM_3, &answer(&next.text, "503 Busy")).remove(0);
    assert_eq!(rp_of(&report), error(1, 0xFF));
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict, Verdict::Temporary);
}

#[test]
fn h56_a_refusal_is_a_refusal_whatever_it_hides() {
    for status in ["600 Busy Everywhere", "603 Decline", "607 Unwanted", "608 Rejected"] {
        let mut bench = Bench::new();
        let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
        taken_with_verdict(&mut bench, &instant, status, Verdict::Permanent);
    }
}

#[test]
fn no_pager_message_is_longer_than_allowed() {
    let texts = ["", "a", "€äöü 😀", &"漢".repeat(70)];
    let (mut sent, mut refused) = (0, 0);
    for (length, content) in (1..900)
        .step_by(13)
        .flat_map(|at| [Content::Text, Content::Cpim].map(|content| (at, content)))
    {
        for text in texts {
            let mut bench = bench_with(|setup| {
                setup.peers[1].content = content;
                setup.gateway.domain = "sms.mnc001.mcc001.3gppnetwork.example".into();
            });
            let recipient = format!("sip:{}@im.example", "u".repeat(length));
            let left = submit(&mut bench, &Short { recipient, ..Short::new(1, text) });
            if left[0].to == IM.parse().unwrap() {
                assert!(left[0].octets.len() <= 1_150, "{length} {}", left[0].octets.len());
                sent += 1;
            } else {
                assert_eq!(rp_of(&left[0]), error(1, 0xFF));
                refused += 1;
            }
        }
    }
    assert!(sent > 100 && refused > 100, "{sent} {refused}");
}

#[test]
fn what_ends_with_the_process_is_unknown() {
    let mut bench = Bench::new();
    submit(&mut bench, &Short::new(1, "a"));
    let second = Short { recipient: "sip:bob@im.example".into(), ..Short::new(2, "b") };
    let instant = submit(&mut bench, &second).remove(0);
    answered(&mut bench, &instant, "200 OK");
    assert_eq!(bench.engine.abandon(bench.now, 10), 0);
    let first = bench.engine.pop_account().unwrap();
    assert_eq!((first.verdict, first.report), (Verdict::Unknown, Report::Silence));
    let second = bench.engine.pop_account().unwrap();
    let report = Report::Rp(Answer::Ack, RpResult::Unconfirmed);
    assert_eq!((second.verdict, second.report), (Verdict::Delivered, report));
}
