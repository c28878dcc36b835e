//! Sessions of Large Messages with a peer, a connection or a moment that nobody wishes for: whatever comes,
//! each message has one verdict, and nothing of it stays.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use roger::delivery::{Evidence, MsrpRole, Verdict};
use roger::engine::{Families, Secure, Setup};
use roger::metrics::Counter;
use roger::packet::{Certificate, SocketId, StreamEvent};

use crate::bench::{Bench, IM, Left, answer};
use crate::large::{
    Line, PHONE, agreed, answer_ok, bye, connecting, ended, invited, large_bench, large_setup,
    later, only, response, told, wishes, with_body,
};
use crate::short::{Short, ack, taken};

/// With room for so many calls at once, and half as many messages.
fn small_setup(role: MsrpRole, calls: u32) -> Setup {
    let mut setup = large_setup(role);
    if let Some(large) = &mut setup.large {
        large.sessions_max = calls;
    }
    setup
}

/// The calls and messages of a bench when everything has had its time.
fn rest(bench: &mut Bench) -> (u32, u32) {
    later(bench, 200_000);
    (bench.engine.calls(), bench.engine.transfers())
}

/// A request of the other end in the dialog of this ACK, with a body.
fn within(ack: &Left, (method, cseq): (&str, u32), fields: &str, sdp: &str) -> String {
    let content_type = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:10.0.0.5:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK{method}{cseq}\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:phone@10.0.0.9:5070>\r\n{fields}{content_type}\
         Content-Length: {}\r\n\r\n{sdp}",
        ack.field("to"),
        ack.field("from"),
        ack.field("call-id"),
        sdp.len(),
    )
}

/// A session whose message was sent: its INVITE, the ACK of that, the description of the other end, the SEND.
struct Open {
    ack: Left,
    sdp: String,
    send: String,
}

fn open(bench: &mut Bench, short: &Short, line: &Line) -> Open {
    let invite = invited(bench, short);
    let ok = agreed(&invite, PHONE, "passive", "");
    let sdp = ok.split("\r\n\r\n").nth(1).unwrap().to_owned();
    let left = bench.give(IM, &ok);
    let ack = only(&left, "ACK").clone();
    let owner = connecting(bench);
    line.opened(bench, Some(owner));
    let send = line.taken(bench);
    Open { ack, sdp, send }
}

/// Told by its responses, a message waits for the REPORT that may follow. So does nobody when the session
/// is over.
#[test]
fn a_session_that_ends_after_the_verdict_leaves_nothing() {
    for is_lost in [false, true] {
        let mut bench = Bench::with(small_setup(MsrpRole::Endpoint, 2));
        let line = Line::new(0);
        let Open { ack: ack_of_200, send, .. } =
            open(&mut bench, &Short::new(1, "short and sweet"), &line);
        let left = line.says(&mut bench, &response(&send, "200 OK"));
        assert_eq!(told(&left), ack(1));
        taken(&mut bench, only(&left, "MESSAGE"));
        if is_lost {
            line.lost(&mut bench);
            ended(&mut bench);
        } else {
            assert_eq!(bench.give(IM, &bye(&ack_of_200))[0].status(), 200);
        }
        assert_eq!(rest(&mut bench), (0, 0), "lost: {is_lost}");
        bench.account();
        invited(&mut bench, &Short::new(2, "and there is room for another"));
    }
}

/// A response may be read before it is known that all of its chunk was handed over. The wait after the verdict
/// stays as short as it is.
#[test]
fn what_is_handed_over_after_the_verdict_waits_for_nothing() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let invite = invited(&mut bench, &Short::new(1, "faster than its echo"));
    bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    let owner = connecting(&mut bench);
    line.opened(&mut bench, Some(owner));
    let send = line.put(&mut bench);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
    taken(&mut bench, only(&left, "MESSAGE"));
    let octets = send.len() as u64;
    let event = StreamEvent::Written { id: line.id, octets, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let left = later(&mut bench, 2_010);
    assert!(bench.give(IM, &answer_ok(only(&left, "BYE"))).is_empty());
}

/// Nothing answers an ACK, whatever is wrong about it (RFC 3261 section 17.1.1.3).
#[test]
fn a_malformed_ack_in_a_dialog_is_not_answered() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let Open { ack: of_200, sdp, send } = open(&mut bench, &Short::new(1, "heard"), &line);
    bench.give(IM, &within(&of_200, ("INVITE", 1), "", &sdp));
    let malformed = within(&of_200, ("ACK", 1), "Max Forwards 70\r\n", "");
    assert!(bench.give(IM, &malformed).is_empty());
    assert_eq!(bench.count(Counter::DroppedAck), 1);
    assert!(bench.give(IM, &within(&of_200, ("ACK", 1), "", "")).is_empty());
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
}

/// Acknowledged without room for its BYE, the dialog of a fork would be there for ever: it gets no ACK before
/// (RFC 3261 section 13.3.1.4).
#[test]
fn a_fork_has_its_ack_when_there_is_room_for_its_bye() {
    let mut bench = Bench::with(small_setup(MsrpRole::Endpoint, 2));
    let invite = invited(&mut bench, &Short::new(1, "to each of you"));
    only(&bench.give(IM, &agreed(&invite, PHONE, "passive", "")), "ACK");
    let [one, two] = ["one", "two"].map(|tag| with_body(&invite, "v=0\r\n", tag));
    only(&bench.give(IM, &one), "ACK");
    let bye = only(&later(&mut bench, 10), "BYE").clone();
    for _ in 0..2 {
        assert!(bench.give(IM, &two).is_empty(), "no room");
    }
    assert_eq!((bench.count(Counter::Forks), bench.count(Counter::LargeNoRoom)), (1, 2));
    let ok = answer(&bye.text, "200 OK").replace(";tag=one;tag=uas", ";tag=one");
    assert!(bench.give(IM, &ok).is_empty());
    later(&mut bench, 10);
    assert!(only(&bench.give(IM, &two), "ACK").field("to").ends_with(";tag=two"));
    let left = later(&mut bench, 10);
    assert!(only(&left, "BYE").field("to").ends_with(";tag=two"));
    assert_eq!(bench.count(Counter::Forks), 2);
}

/// The call of a session that ends long after its INVITE is over at once, and still tells how it ended.
#[test]
fn a_bye_is_what_has_ended_a_message_however_late_it_comes() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.timers.t1_ms = 50;
    let mut bench = Bench::with(setup);
    let line = Line::new(0);
    let Open { ack: of_200, .. } = open(&mut bench, &Short::new(1, "and then"), &line);
    later(&mut bench, 4_000);
    assert_eq!(bench.give(IM, &bye(&of_200))[0].status(), 200);
    let left = later(&mut bench, 1_010);
    let second = only(&left, "INVITE").clone();
    only(&bench.give(IM, &answer(&second.text, "486 Busy Here")), "ACK");
    let left = later(&mut bench, 10);
    taken(&mut bench, only(&left, "MESSAGE"));
    assert_eq!(bench.account().evidence, Evidence::ByeAfterEnd);
}

/// One buffer for answers that wait for their ACK. Whoever has lost an ACK asks again, and gets it.
#[test]
fn another_reinvite_takes_the_place_of_one_whose_ack_was_lost() {
    let mut bench = Bench::with(small_setup(MsrpRole::Endpoint, 2));
    let line = Line::new(0);
    let Open { ack: of_200, sdp, send } = open(&mut bench, &Short::new(1, "still there"), &line);
    for cseq in 1..=3 {
        let left = bench.give(IM, &within(&of_200, ("INVITE", cseq), "", &sdp));
        assert_eq!((left.len(), left[0].status()), (1, 200), "{cseq}");
    }
    assert!(bench.give(IM, &within(&of_200, ("ACK", 3), "", "")).is_empty());
    assert!(later(&mut bench, 5_000).is_empty(), "it is not sent again");
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
}

/// Without a buffer, or with one that is too small, a re-INVITE fails, and nothing waits for its ACK.
#[test]
fn a_reinvite_that_cannot_be_answered_is_refused_and_the_dialog_ends_all_the_same() {
    let via =
        "Via: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";
    for fields in ["", &via.repeat(48)] {
        let mut bench = Bench::with(small_setup(MsrpRole::Endpoint, 4));
        let (first, second) = (Line::new(0), Line::new(1));
        let one = open(&mut bench, &Short::new(1, "the first of two"), &first);
        if fields.is_empty() {
            let left = bench.give(IM, &within(&one.ack, ("INVITE", 1), "", &one.sdp));
            assert_eq!(left[0].status(), 200, "it has the buffer");
        }
        let mut other = Short::new(2, "the second of two");
        other.recipient = "sip:+15550000009@im.example;user=phone".to_owned();
        let invite = invited(&mut bench, &other);
        let ok = agreed(&invite, &PHONE.replace("7777", "7778"), "passive", "");
        let ok = ok.replace("m=message 7777", "m=message 7778");
        let sdp = ok.split("\r\n\r\n").nth(1).unwrap().to_owned();
        let left = bench.give(IM, &ok);
        let of_200 = only(&left, "ACK").clone();
        let wished = wishes(&mut bench.out);
        let [roger::packet::Wish::Connect { owner, .. }] = wished[..] else { panic!("{wished:?}") };
        second.opened(&mut bench, Some(owner));
        let send = second.taken(&mut bench);
        let left = bench.give(IM, &within(&of_200, ("INVITE", 1), fields, &sdp));
        assert_eq!((left.len(), left[0].status()), (1, 500), "{}", left[0].text);
        // No ACK comes.
        let left = second.says(&mut bench, &response(&send, "200 OK"));
        assert_eq!(told(&left), ack(2));
        let left = later(&mut bench, 3_000);
        let byes: Vec<_> = left.iter().filter(|left| left.text.starts_with("BYE ")).collect();
        assert!(
            byes.iter().any(|bye| bye.field("call-id") == of_200.field("call-id")),
            "its session is ended: {left:#?}"
        );
        // An UPDATE that cannot be answered is refused as well.
        let left = bench.give(IM, &within(&one.ack, ("UPDATE", 2), &via.repeat(48), &one.sdp));
        assert_eq!((left.len(), left[0].status()), (1, 500), "{}", left[0].text);
        assert_eq!(rest(&mut bench), (0, 0));
    }
}

/// Who has said that he listens connects all the same: then our own connection is one too many, whatever
/// becomes of it.
#[test]
fn a_peer_that_listens_and_connects_has_one_session() {
    for is_refused in [false, true] {
        let mut setup = large_setup(MsrpRole::Relay);
        if let Some(large) = &mut setup.large {
            large.report_wait_ms = 5_000;
        }
        let mut bench = Bench::with(setup);
        let invite = invited(&mut bench, &Short::new(1, "both ways at once"));
        let body = String::from_utf8(invite.body().to_vec()).unwrap();
        let path = body.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
        bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
        let owner = connecting(&mut bench);
        let (theirs, ours) = (Line::new(1), Line::new(2));
        theirs.opened(&mut bench, None);
        theirs.says(
            &mut bench,
            &format!(
                "MSRP b1nd SEND\r\nTo-Path: {path}\r\nFrom-Path: {PHONE}\r\nMessage-ID: emp7y\r\n\
                 -------b1nd$\r\n"
            ),
        );
        let out = theirs.taken(&mut bench);
        let (_, send) = out.split_once("$\r\n").unwrap();
        theirs.says(&mut bench, &response(send, "200 OK"));
        if is_refused {
            let event = StreamEvent::Refused { owner, at: bench.now };
            bench.engine.on_stream(event, &mut bench.out);
        } else {
            ours.opened(&mut bench, Some(owner));
            assert_eq!(ours.taken(&mut bench), "", "nothing is sent there");
        }
        assert!(later(&mut bench, 4_900).is_empty(), "its session goes on");
        let left = later(&mut bench, 200);
        assert_eq!(told(&left)[0], 0x04, "no REPORT came");
        taken(&mut bench, only(&left, "MESSAGE"));
        let account = bench.account();
        let verdict = (account.verdict, account.evidence);
        assert_eq!(verdict, (Verdict::Unknown, Evidence::ReportMissing));
        bench.give(IM, &answer_ok(only(&left, "BYE")));
        assert_eq!(rest(&mut bench), (0, 0));
    }
}

/// A request for a session whose SDP names somebody else, on a connection that others use with right: he
/// hears that there is nothing for him, and they keep it.
#[test]
fn a_session_with_another_certificate_takes_a_connection_from_nobody() {
    let mut setup = large_setup(MsrpRole::Relay);
    setup.peers[1].msrp_tls = true;
    if let Some(large) = &mut setup.large {
        large.secure = Some(Secure {
            sockets: Families { v4: Some(SocketId(2)), v6: None },
            authority_v4: "10.0.0.5:2865".into(),
            authority_v6: "".into(),
            fingerprint: Arc::new(AtomicCell::new([0xAB; 32])),
        });
    }
    let mut bench = Bench::with(setup);
    let mut paths = Vec::new();
    for (number, octet) in [(1, "07"), (2, "08")] {
        let mut short = Short::new(number, "one of two");
        short.recipient = format!("sip:+1555{number:07}@im.example;user=phone");
        let invite = invited(&mut bench, &short);
        let offer = invite.text.split("a=path:").nth(1).unwrap();
        paths.push(offer.split("\r\n").next().unwrap().to_owned());
        let path = format!("msrps://10.0.0.9:7777/ph0ne{number};tcp");
        let print = format!("a=fingerprint:SHA-256 {}\r\n", [octet; 32].join(":"));
        let ok = agreed(&invite, &path, "active", &print).replace(" TCP/MSRP ", " TCP/TLS/MSRP ");
        let (head, sdp) = ok.split_once("\r\n\r\n").unwrap();
        let (head, _) = head.rsplit_once("Content-Length:").unwrap();
        let ok = format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        only(&bench.give(IM, &ok), "ACK");
    }
    let line = Line::new(3);
    let certificate =
        Certificate { sha256: [7; 32], sha384: [0; 48], sha512: [0; 64], is_named: true };
    let certificate = Some(&certificate);
    let event = StreamEvent::Opened { flow: line.flow, owner: None, certificate, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let bind = |number: usize| {
        let path = &paths[number - 1];
        format!(
            "MSRP b1nd{number} SEND\r\nTo-Path: {path}\r\n\
             From-Path: msrps://10.0.0.9:7777/ph0ne{number};tcp\r\nMessage-ID: emp7y\r\n\
             -------b1nd{number}$\r\n"
        )
    };
    line.says(&mut bench, &bind(1));
    let heard = line.taken(&mut bench);
    assert!(heard.contains(" SEND\r\n"), "{heard}");
    line.says(&mut bench, &bind(2));
    let wished = wishes(&mut bench.out);
    assert_eq!(wished, [roger::packet::Wish::Write(line.id)], "it is not closed");
    let heard = line.filled(&mut bench);
    assert!(heard.starts_with("MSRP b1nd2 481"), "{heard}");
    assert!(!heard.contains(" SEND\r\n"), "{heard}");
    later(&mut bench, 2);
    assert_eq!(bench.count(Counter::MsrpForeign), 1);
    assert_eq!(bench.count(Counter::MsrpSessionsLost), 0);
}
