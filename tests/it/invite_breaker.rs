//! Responses to INVITEs of ours that nobody sends who means well, or that come when nobody waits for them:
//! what is answered to them, and that what is known stays what it was.

use roger::delivery::MsrpRole;
use roger::engine::Setup;
use roger::limits::SIP_HEADER_SIZE_MAX;
use roger::metrics::Counter;

use crate::bench::{Bench, IM, IM_2, Left, answer, endpoint};
use crate::large::{
    Line, PHONE, agreed, answer_ok, connecting, invited, large_bench, large_setup, later, only,
    response, told, with_body,
};
use crate::short::{Short, ack, rp_of, taken};

/// An IM side of two servers, the second of which is asked when the first one answers 503.
fn two_servers() -> Setup {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.peers[2].msrp = Some(MsrpRole::Endpoint);
    setup.next_servers = Box::new([endpoint(IM), endpoint(IM_2)]);
    setup
}

/// The INVITE of a message that the first server did not want, and the one that the second server got.
fn turned_down(bench: &mut Bench) -> (Left, Left) {
    let mut short = Short::new(1, "by the one way or by the other");
    short.recipient = "sip:+15550000001@elsewhere.example;user=phone".to_owned();
    let first = invited(bench, &short);
    assert_eq!(first.to.to_string(), IM);
    let left = bench.give(IM, &answer(&first.text, "503 Service Unavailable"));
    only(&left, "ACK");
    let left = later(bench, 4);
    let second = only(&left, "INVITE").clone();
    assert_eq!(second.to.to_string(), IM_2);
    (first, second)
}

/// The ACK of an error has the To of the response and the Request-URI of the INVITE: what comes as one datagram
/// would be answered with what is longer than one.
#[test]
fn an_error_whose_ack_would_fit_nothing_is_an_error_all_the_same() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.gateway.domain = ["d".repeat(63), "o".repeat(63), "m".repeat(63)].join(".").into();
    let mut bench = Bench::with(setup);
    let mut short = Short::new(1, "to somebody with a long name");
    short.recipient = format!("sip:+15550000001@im.example;user=phone;x={}", "a".repeat(700));
    let invite = invited(&mut bench, &short);
    let busy = |name: &str| {
        format!(
            "SIP/2.0 486 Busy Here\r\nVia: {}\r\nFrom: <sip:a@b>;tag=a\r\nCall-ID: a\r\n\
             CSeq: 1 INVITE\r\nTo: <sip:b@im.example>;tag=b;x={name}\r\n\r\n",
            invite.field("via")
        )
    };
    let busy = busy(&"b".repeat(SIP_HEADER_SIZE_MAX - busy("").len()));
    for _ in 0..2 {
        assert!(bench.give(IM, &busy).is_empty(), "no ACK, and nothing else");
    }
    assert_eq!(bench.count(Counter::DialogsTooLong), 2);
    assert_eq!(bench.count(Counter::AcksOut), 0);
    let left = later(&mut bench, 4);
    let report = only(&left, "MESSAGE").clone();
    assert_eq!(rp_of(&report)[0], 0x04, "RP-ERROR");
    taken(&mut bench, &report);
    assert_eq!(bench.account().verdict.letter(), 'T');
    assert!(later(&mut bench, 40_000).is_empty());
    assert_eq!((bench.engine.open(), bench.engine.calls()), (0, 0), "nothing is left");
}

/// Whoever answers 2xx has a dialog, and waits in it for ACK, for what he was called for, and for BYE (RFC
/// 3261 section 13.2.2.4).
#[test]
fn a_2xx_to_an_attempt_that_is_over_is_acknowledged_and_ended() {
    for is_before in [true, false] {
        let mut bench = Bench::with(two_servers());
        let (first, second) = turned_down(&mut bench);
        let late = agreed(&first, "msrp://10.0.0.9:7777/l4te;tcp", "passive", "");
        let late = late.replace(";tag=uas", ";tag=late");
        let mut ending = Vec::new();
        if is_before {
            ending = ended(&mut bench, &late);
        }
        let left = bench.give(IM_2, &agreed(&second, PHONE, "passive", ""));
        only(&left, "ACK");
        if !is_before {
            ending = ended(&mut bench, &late);
        }
        assert_eq!(ending.len(), 1, "one BYE");
        // It comes again: its ACK was lost.
        let left = bench.give(IM, &late);
        assert_eq!(left.len(), 1);
        assert!(only(&left, "ACK").field("to").ends_with(";tag=late"));
        assert_eq!(bench.count(Counter::Forks), 1);
        let line = Line::new(0);
        let owner = connecting(&mut bench);
        line.opened(&mut bench, Some(owner));
        let send = line.taken(&mut bench);
        let left = line.says(&mut bench, &response(&send, "200 OK"));
        assert_eq!(told(&left), ack(1));
        taken(&mut bench, only(&left, "MESSAGE"));
        bench.account();
        let left = later(&mut bench, 2_010);
        let bye = only(&left, "BYE").clone();
        assert!(bye.field("to").ends_with(";tag=uas"), "the session that was used: {}", bye.text);
        bench.give(IM_2, &answer_ok(&bye));
        later(&mut bench, 70_000);
        assert_eq!((bench.engine.open(), bench.engine.calls()), (0, 0), "nothing is left");
    }
}

/// Gives a 2xx that is not used; the BYE that follows from it, which is answered.
fn ended(bench: &mut Bench, late: &str) -> Vec<Left> {
    let left = bench.give(IM, late);
    assert_eq!(left.len(), 1, "{left:#?}");
    let ack = only(&left, "ACK");
    assert!(ack.text.starts_with("ACK sip:phone@10.0.0.9:5070 SIP/2.0\r\n"), "{}", ack.text);
    assert!(ack.field("to").ends_with(";tag=late"), "{}", ack.text);
    assert_eq!(ack.field("cseq"), "1 ACK");
    let left = later(bench, 4);
    let byes: Vec<Left> = left.into_iter().filter(|left| left.text.starts_with("BYE ")).collect();
    for bye in &byes {
        assert_eq!(bye.to.to_string(), IM);
        assert!(bye.field("to").ends_with(";tag=late"), "{}", bye.text);
        let ok = answer(&bye.text, "200 OK").replace(";tag=late;tag=uas", ";tag=late");
        assert!(bench.give(IM, &ok).is_empty());
    }
    byes
}

/// A peer without MSRP, or a stranger, ends nothing and makes nothing.
#[test]
fn a_2xx_to_an_attempt_that_is_over_counts_from_a_server_only() {
    let mut bench = Bench::with(two_servers());
    let (first, _) = turned_down(&mut bench);
    let late = agreed(&first, PHONE, "passive", "");
    for from in [crate::bench::SBC, "10.0.0.77:5060"] {
        assert!(bench.give(from, &late).is_empty(), "{from}");
    }
    assert_eq!(bench.engine.calls(), 1);
}

/// With a copy of the INVITE still on its way, an ICMP error may follow the answer at once.
#[test]
fn what_an_invite_came_to_is_not_undone_by_an_icmp_error_behind_it() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let invite = invited(&mut bench, &Short::new(1, "nobody of this name"));
    let left = bench.give(IM, &answer(&invite.text, "404 Not Found"));
    only(&left, "ACK");
    bench.engine.on_unreachable(endpoint(IM), &invite.octets, bench.now);
    let left = later(&mut bench, 4);
    taken(&mut bench, only(&left, "MESSAGE"));
    let account = bench.account();
    assert_eq!(account.verdict.letter(), 'P', "{account:?}");
    assert_eq!(account.evidence.status(), 404);
}

/// Of an offer with RFC 6714 that nobody can use another one is made: an ICMP error does not hinder that.
#[test]
fn an_icmp_error_behind_an_error_does_not_hinder_the_next_server() {
    let mut bench = Bench::with(two_servers());
    let mut short = Short::new(1, "by the one way or by the other");
    short.recipient = "sip:+15550000001@elsewhere.example;user=phone".to_owned();
    let first = invited(&mut bench, &short);
    bench.give(IM, &answer(&first.text, "503 Service Unavailable"));
    bench.engine.on_unreachable(endpoint(IM), &first.octets, bench.now);
    let left = later(&mut bench, 4);
    let second = only(&left, "INVITE").clone();
    assert_eq!(second.to.to_string(), IM_2);
    let sdp = "v=0\r\n";
    let left = bench.give(IM_2, &with_body(&second, sdp, "uas"));
    only(&left, "ACK");
}
