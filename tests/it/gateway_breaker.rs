//! What somebody who wants to break the promise would try with short messages: one message, one
//! verdict, its proof.

use crate::bench::{Bench, IM, IM_2, SBC, answer, answer_with, endpoint};
use crate::short::{Short, ack, answered, bench_with, error, rp_of, submit, taken};
use roger::delivery::{Answer, Mapping, Report, Role, RpResult, Verdict};
use roger::engine::{Credentials, Setup};
use roger::metrics::Counter;
use roger::packet::SendError;

const SBC_2: &str = "10.0.0.2:5060";

/// A submission whose request has other words in the place of some.
fn with(short: &Short, from: &str, to: &str) -> Vec<u8> {
    let octets = short.request();
    let at = octets.windows(from.len()).position(|some| some == from.as_bytes()).unwrap();
    [&octets[..at], to.as_bytes(), &octets[at + from.len()..]].concat()
}

/// No report could repeat them, so nothing is taken that would need one.
#[test]
fn addresses_and_call_ids_that_no_report_has_room_for_are_refused() {
    let long = |len: usize| "a".repeat(len);
    let text = Short::new(1, "a");
    let refused = Short { dcs: 0x04, ..text.clone() };
    for (what, from, to) in [
        ("recipient", "+15550000001@im", format!("{}@im", long(1_100))),
        ("recipient", "+15550000001@im", format!("{}@im", long(7_000))),
        ("sender", "sip:sc@sbc", format!("sip:{}@sbc", long(1_100))),
        ("sender", "sip:sc@sbc", format!("sip:{}@sbc", long(7_000))),
    ] {
        for short in [&text, &refused] {
            let mut bench = Bench::new();
            let left = bench.give_octets(SBC, &with(short, from, &to), false);
            assert_eq!((left.len(), left[0].status()), (1, 513), "{what}");
            assert_eq!((bench.engine.open(), bench.count(Counter::RefusedSize)), (0, 1));
        }
    }
    // The longest that fit are reported, with everything at its longest.
    let mut short = Short::new(1, "a");
    short.recipient = format!("sip:{}@im", long(1_000));
    short.fields = format!("P-Asserted-Identity: <sip:{}@sb>\r\n", long(1_000));
    let mut sizes = [0; 2];
    for len in (500..5_900).step_by(60) {
        let mut bench = Bench::new();
        let request = with(&short, "rp-1@sbc", &format!("{}@sbc", long(len)));
        let left = bench.give_octets(SBC, &request, false);
        match left[0].status() {
            200 => {
                assert_eq!(rp_of(&left[1])[..4], [0x04, 1, 0x01, 111], "too long for a pager");
                assert!(left[1].field("in-reply-to").starts_with(&long(len)));
                sizes[0] += 1;
            }
            status => {
                assert_eq!((status, left.len()), (513, 1));
                sizes[1] += 1;
            }
        }
    }
    assert!(sizes[0] > 20 && sizes[1] > 5, "{sizes:?}");
}

/// R8: a report that nobody can be sent is no report.
#[test]
fn nothing_is_taken_from_whom_no_report_can_reach() {
    const FAR: &str = "[2001:db8::1]:5060";
    let mut bench = bench_with(|setup| setup.peers[0].addresses = Box::new([endpoint(FAR)]));
    let left = bench.give_octets(FAR, &Short::new(1, "a").request(), false);
    assert_eq!((left.len(), left[0].status()), (1, 403), "{}", left[0].text);
    assert_eq!(bench.engine.open(), 0);
}

/// H3 and H61: what comes between the deadline and timer F decides nothing, but it is known.
#[test]
fn what_comes_after_the_deadline_is_the_best_that_is_known() {
    for (status, verdict, again) in [
        ("202 Accepted", Verdict::Accepted, false),
        ("603 Decline", Verdict::Permanent, false),
        ("486 Busy Here", Verdict::Temporary, true),
        ("408 Request Timeout", Verdict::Unknown, true),
    ] {
        let mut bench = Bench::new();
        let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
        let left = bench.wait_ms(29_000);
        let report = &left.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
        taken(&mut bench, report);
        assert!(bench.give(IM, &answer(&instant.text, status)).is_empty());
        assert_eq!(bench.account().verdict, Verdict::Unknown, "one verdict");
        let left = submit(&mut bench, &Short { reference: 9, ..Short::new(2, "a") });
        assert_eq!(left[0].to == IM.parse().unwrap(), again, "{status}");
        if again {
            // Only what was refused for certain is not there.
            let report = answered(&mut bench, &left[0], "480 Temporarily Unavailable");
            taken(&mut bench, &report);
            let possible = bench.count(Counter::PossibleDuplicates);
            assert_eq!(possible, u64::from(verdict == Verdict::Unknown), "{status}");
        } else {
            assert_eq!(rp_of(&left[0]), error(9, 0xFF));
            taken(&mut bench, &left[0]);
            assert_eq!(bench.account().verdict, verdict);
        }
    }
}

/// H3: an acceptance that comes after timer F is one too.
#[test]
fn h3_whoever_accepts_late_has_it_as_well() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let left = bench.wait_ms(33_000);
    let report = &left.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
    taken(&mut bench, report);
    bench.account();
    bench.give(IM, &answer(&instant.text, "202 Accepted"));
    let left = submit(&mut bench, &Short { reference: 9, ..Short::new(2, "a") });
    assert_eq!(rp_of(&left[0]), error(9, 0xFF), "no second message");
    // A 200 is worth more, whenever it comes, and no 202 takes it back.
    bench.give(IM, &answer(&instant.text, "200 OK"));
    bench.give(IM, &answer(&instant.text, "202 Accepted"));
    let left = submit(&mut bench, &Short { reference: 10, ..Short::new(3, "a") });
    assert_eq!(rp_of(&left[0]), ack(10));
}

/// RFC 3325 section 5: what somebody says who is not trusted is not asserted.
#[test]
fn the_originator_named_by_a_stranger_is_not_asserted() {
    let mut bench = bench_with(|setup| setup.peers[0].trusted = false);
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    assert_eq!(instant.field("p-asserted-identity"), "");
    assert!(instant.field("from").starts_with("<sip:+46708251358@localhost;user=phone>;tag="));
    let mut bench = bench_with(|setup| setup.peers[1].trusted = false);
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    assert_eq!(instant.field("p-asserted-identity"), "", "nor is it shown to them");
}

/// R8: 503 or transport failure leads to the next address.
#[test]
fn r8_an_icmp_error_leads_the_report_to_the_next_address() {
    let mut bench = bench_with(|setup| {
        setup.peers[0].addresses = Box::new([endpoint(SBC), endpoint(SBC_2)]);
    });
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let report = answered(&mut bench, &instant, "200 OK");
    bench.engine.on_unreachable(endpoint(SBC), &report.octets, bench.now);
    let mut left = bench.wait_ms(10);
    assert_eq!(left.len(), 1, "one copy to the other address");
    let next = left.remove(0).1;
    assert_eq!((next.to, rp_of(&next)), (SBC_2.parse().unwrap(), ack(1)));
    bench.engine.on_unreachable(endpoint(SBC_2), &next.octets, bench.now);
    assert!(bench.wait_ms(10).is_empty());
    assert_eq!(bench.account().report, Report::Rp(Answer::Ack, RpResult::Unconfirmed));
    assert_eq!((bench.engine.open(), bench.engine.next_deadline()), (0, None));
}

fn two_servers(setup: &mut Setup) {
    setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2)]);
    setup.peers[2].role = Role::Endpoint;
    setup.peers[2].mapping = Mapping::of(Role::Endpoint);
    for (peer, name) in [(1, "one"), (2, "two")] {
        setup.peers[peer].credentials =
            Some(Credentials { username: name.into(), password: "secret".into() });
    }
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"im\", nonce=\"n1\", qop=\"auth\"\r\n";

/// What one peer is shown to know us by is nobody else's, and each may ask for it once.
#[test]
fn credentials_are_shown_to_the_peer_that_asked_for_them_only() {
    let mut bench = bench_with(two_servers);
    for number in 1..=9 {
        let short = Short::new(number, &format!("{number}"));
        let first = submit(&mut bench, &short).remove(0);
        let text = answer_with(&first.text, "401 Unauthorized", CHALLENGE);
        let refuses = number % 2 == 0;
        bench.sent = if refuses { Err(SendError::NoRoute) } else { Ok(()) };
        let second = bench.give(IM, &text).remove(0);
        bench.sent = Ok(());
        assert!(second.field("authorization").contains("\"one\""));
        let third = if refuses {
            bench.wait_ms(10).remove(0).1
        } else {
            bench.give(IM, &answer(&second.text, "503 Service Unavailable")).remove(0)
        };
        assert_eq!(third.to, IM_2.parse().unwrap());
        assert_eq!(third.field("authorization"), "", "{}", third.text);
        let text = answer_with(&third.text, "401 Unauthorized", CHALLENGE);
        let fourth = bench.give(IM_2, &text).remove(0);
        assert!(fourth.field("authorization").contains("\"two\""), "{}", fourth.text);
        let report = bench.give(IM_2, &answer(&fourth.text, "200 OK")).remove(0);
        assert_eq!(rp_of(&report), ack(short.reference));
        taken(&mut bench, &report);
        assert_eq!(bench.account().verdict, Verdict::Delivered);
    }
}

/// A refusal by the kernel that is told late proves nothing against what was answered meanwhile.
#[test]
fn a_refusal_that_is_told_after_the_answer_starts_nothing_again() {
    let change = |setup: &mut Setup| {
        two_servers(setup);
        setup.peers[0].addresses = Box::new([endpoint(SBC), endpoint(SBC_2)]);
    };
    let refused = Err(SendError::NoRoute);
    let mut bench = bench_with(change);
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let report = answered(&mut bench, &instant, "200 OK");
    bench.engine.on_sent(instant.owner.unwrap(), refused, bench.now);
    assert!(bench.wait_ms(10).is_empty(), "no second instant message");
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    // The report is over while the request is still on its way.
    let instant = submit(&mut bench, &Short::new(2, "b")).remove(0);
    let left = bench.wait_ms(28_010);
    let report = &left.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
    taken(&mut bench, report);
    bench.engine.on_sent(report.owner.unwrap(), refused, bench.now);
    assert!(bench.wait_ms(10).is_empty(), "no second report");
    bench.give(IM, &answer(&instant.text, "200 OK"));
    let error = Answer::Error { cause: 111, fcs: 0xFF };
    assert_eq!(bench.account().report, Report::Rp(error, RpResult::Taken(200)));
    assert_eq!(bench.count(Counter::ReportsTaken), 2);
    // After the verdict no other server is asked.
    let mut bench = bench_with(|setup| {
        change(setup);
        setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2), endpoint(IM)]);
    });
    let instant = submit(&mut bench, &Short::new(3, "c")).remove(0);
    bench.wait_ms(27_900);
    let next = bench.give(IM, &answer(&instant.text, "503 Service Unavailable")).remove(0);
    assert_eq!(bench.wait_ms(200).len(), 1, "the report");
    bench.engine.on_sent(next.owner.unwrap(), refused, bench.now);
    assert!(bench.wait_ms(10).is_empty(), "no third server");
}

#[test]
fn memory_available_is_no_message_when_the_process_ends() {
    let mut bench = Bench::new();
    bench.give_octets(SBC, &Short::new(1, "").request_with(&[0x06, 0x44]), false);
    assert_eq!(bench.engine.open(), 1);
    assert_eq!(bench.engine.abandon(bench.now, 10), 0);
    assert_eq!(bench.count(Counter::VerdictUnknown), bench.count(Counter::MessagesAccepted));
    assert!(bench.engine.pop_account().is_none());
}

/// I4: what is proved before the verdict decides it.
#[test]
fn i4_a_200_in_the_moment_of_an_icmp_error_is_proof() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    bench.engine.on_unreachable(endpoint(IM), &instant.octets, bench.now);
    assert!(bench.give(IM, &answer(&instant.text, "200 OK")).is_empty());
    let report = bench.wait_ms(10).remove(0).1;
    assert_eq!(rp_of(&report), ack(1));
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    assert_eq!((bench.engine.open(), bench.engine.next_deadline()), (0, None));
}

/// H11, for what comes late as well.
#[test]
fn h11_a_late_response_must_name_us() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let left = bench.wait_ms(33_000);
    let report = &left.iter().find(|(_, it)| it.to == SBC.parse().unwrap()).unwrap().1;
    taken(&mut bench, report);
    let late = answer(&instant.text, "200 OK").replace("UDP 10.0.0.5:5060", "UDP 10.0.0.6:5060");
    bench.give(IM, &late);
    assert_eq!(submit(&mut bench, &Short::new(2, "a"))[0].to, IM.parse().unwrap());
}

/// RFC 3261 section 20.33, for longer than an outcome is remembered otherwise.
#[test]
fn a_long_retry_after_is_heeded_to_its_end() {
    let mut bench = Bench::new();
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    let text = answer_with(&instant.text, "480 Temporarily Unavailable", "Retry-After: 900\r\n");
    let report = bench.give(IM, &text).remove(0);
    taken(&mut bench, &report);
    for number in 2..5 {
        bench.now = bench.now.plus_ms(280_000);
        bench.wait_ms(10);
        let left = submit(&mut bench, &Short::new(number, "a"));
        let sc = SBC.parse().unwrap();
        assert_eq!(left[0].to, sc, "nobody is asked after {} s", 280 * (number - 1));
        taken(&mut bench, &left[0]);
    }
    bench.now = bench.now.plus_ms(70_000);
    bench.wait_ms(10);
    let again = submit(&mut bench, &Short::new(5, "a")).remove(0);
    assert_eq!(again.field("call-id"), instant.field("call-id"));
    assert_eq!(again.field("cseq"), "2 MESSAGE");
}

#[test]
fn only_the_media_type_itself_is_a_short_message_and_only_from_the_sms_side() {
    let written = "application/vnd.3gpp.sms";
    for (other, count) in [
        ("Application/VND.3gpp.SMS;x=y", 1),
        ("application/vnd.3gpp.sms ;x=y", 1),
        ("application/vnd.3gpp.smsx", 0),
    ] {
        let mut bench = Bench::new();
        bench.give_octets(SBC, &with(&Short::new(1, "a"), written, other), false);
        assert_eq!(bench.count(Counter::ShortMessages), count, "{other}");
    }
    let mut bench = bench_with(|setup| setup.peers[0].sms = false);
    let left = bench.give_octets(SBC, &Short::new(1, "a").request(), false);
    assert_eq!((left.len(), left[0].status()), (1, 403));
}

#[test]
fn no_other_server_is_asked_after_the_verdict() {
    let mut bench = bench_with(two_servers);
    let instant = submit(&mut bench, &Short::new(1, "a")).remove(0);
    bench.wait_ms(28_100);
    assert!(bench.give(IM, &answer(&instant.text, "503 Service Unavailable")).is_empty());
    assert!(bench.give(IM, &answer(&instant.text, "503 Service Unavailable")).is_empty());
}

#[test]
fn one_recipient_has_one_host_however_it_is_written() {
    let mut bench = Bench::new();
    let to = |number, recipient: &str| Short {
        recipient: recipient.to_owned(),
        ..Short::new(number, "a")
    };
    assert_eq!(submit(&mut bench, &to(1, "sip:bob@im.example")).len(), 1);
    assert!(submit(&mut bench, &to(2, "sip:bob@IM.Example")).is_empty());
    assert_eq!(bench.count(Counter::RetriesAttached), 1);
}

#[test]
fn what_may_be_there_once_may_be_there_for_ever() {
    let mut bench = Bench::new();
    for (number, status) in ["408 Request Timeout", "486 Busy Here", "200 OK"].iter().enumerate() {
        let number = u32::try_from(number).unwrap() + 1;
        let instant = submit(&mut bench, &Short::new(number, "a")).remove(0);
        let report = answered(&mut bench, &instant, status);
        taken(&mut bench, &report);
    }
    assert_eq!(bench.count(Counter::PossibleDuplicates), 2);
}
