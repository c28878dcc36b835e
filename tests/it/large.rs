//! Short messages that are sent in a session of their own: INVITE, MSRP, and what of it is proved. The other
//! end is written by hand and reads octets as text.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use roger::delivery::{Evidence, Verdict};
use roger::engine::{Credentials, Families, Large, Profile, Secure, Setup};
use roger::metrics::Counter;
use roger::packet::{
    Certificate, ConnectionId, Departures, Flow, Owner, Rest, SocketId, StreamEvent, Used, Wish,
};

use crate::bench::{Bench, IM, Left, SBC, answer, answer_with, endpoint, setup};
use crate::short::{Short, ack, error, rp_of, submit, taken};
use roger::delivery::MsrpRole;
use roger::id::WorkerId;

pub(crate) const MSRP_SOCKET: SocketId = SocketId(1);
pub(crate) const PHONE: &str = "msrp://10.0.0.9:7777/ph0ne;tcp";

pub(crate) fn large_setup(role: MsrpRole) -> Setup {
    let mut setup = setup();
    setup.large = Some(Large {
        sockets: Families { v4: Some(MSRP_SOCKET), v6: None },
        authority_v4: "10.0.0.5:2855".into(),
        ..Large::default()
    });
    setup.gateway.pager_max = 100;
    setup.peers[1].msrp = Some(role);
    setup
}

pub(crate) fn large_bench(role: MsrpRole) -> Bench {
    Bench::with(large_setup(role))
}

/// One MSRP connection of the bench, seen from the other end.
pub(crate) struct Line {
    pub(crate) id: ConnectionId,
    pub(crate) flow: Flow,
}

impl Line {
    pub(crate) fn new(number: u16) -> Self {
        Self::from(number, "10.0.0.9:7777")
    }

    /// The same from another place.
    pub(crate) fn from(number: u16, place: &str) -> Self {
        let id =
            ConnectionId { generation: 1.try_into().unwrap(), index: number, worker: WorkerId(0) };
        let flow = Flow::to(endpoint(place), MSRP_SOCKET);
        Self { id, flow: Flow { connection: Some(id), ..flow } }
    }

    pub(crate) fn opened(&self, bench: &mut Bench, owner: Option<Owner>) {
        let event =
            StreamEvent::Opened { flow: self.flow, owner, certificate: None, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
    }

    /// What the engine writes when it is asked to, handed over at once; empty if it has not wished to.
    pub(crate) fn taken(&self, bench: &mut Bench) -> String {
        if !wishes(&mut bench.out).contains(&Wish::Write(self.id)) {
            return String::new();
        }
        self.filled(bench)
    }

    pub(crate) fn filled(&self, bench: &mut Bench) -> String {
        let all = self.put(bench);
        let octets = all.len() as u64;
        let event = StreamEvent::Written { id: self.id, octets, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
        all
    }

    /// What the engine puts in, which is not handed over.
    pub(crate) fn put(&self, bench: &mut Bench) -> String {
        let mut all = Vec::new();
        loop {
            let mut room = [0; 8_192];
            let mut filled = 0;
            let event = StreamEvent::Room {
                id: self.id,
                room: &mut room,
                filled: &mut filled,
                at: bench.now,
            };
            bench.engine.on_stream(event, &mut bench.out);
            if filled == 0 {
                break;
            }
            all.extend(&room[..filled]);
        }
        String::from_utf8(all).unwrap()
    }

    pub(crate) fn says(&self, bench: &mut Bench, text: &str) -> Vec<Left> {
        let mut used = Used { octets: text.len(), rest: Rest::WithMore };
        let event = StreamEvent::Arrived {
            id: self.id,
            octets: text.as_bytes(),
            used: &mut used,
            at: bench.now,
        };
        bench.engine.on_stream(event, &mut bench.out);
        assert_eq!(used, Used { octets: text.len(), rest: Rest::WithMore }, "all is used");
        bench.leave()
    }

    pub(crate) fn lost(&self, bench: &mut Bench) -> Vec<Left> {
        let event = StreamEvent::Lost { id: self.id, doubtful: 0, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
        bench.leave()
    }
}

pub(crate) fn wishes(out: &mut Departures) -> Vec<Wish> {
    core::iter::from_fn(|| out.pop_wish()).collect()
}

/// The only wish, to connect: whom to tell.
pub(crate) fn connecting(bench: &mut Bench) -> Owner {
    let wished = wishes(&mut bench.out);
    let [Wish::Connect { flow, owner }] = wished[..] else { panic!("{wished:?}") };
    assert_eq!(flow, Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET));
    owner
}

/// The only request of this method among what has left.
pub(crate) fn only<'a>(left: &'a [Left], method: &str) -> &'a Left {
    let begins = |one: &&Left| one.text.starts_with(&format!("{method} "));
    let found: Vec<_> = left.iter().filter(begins).collect();
    let texts: Vec<_> = left.iter().map(|left| left.text.as_str()).collect();
    assert_eq!(found.len(), 1, "one {method}: {texts:#?}");
    found[0]
}

/// A 200 with a description to an INVITE.
pub(crate) fn agreed(invite: &Left, path: &str, setup: &str, lines: &str) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n\
         m=message 7777 TCP/MSRP *\r\na=path:{path}\r\na=accept-types:text/plain\r\n\
         a=setup:{setup}\r\na=recvonly\r\n{lines}"
    );
    with_body(invite, &sdp, "uas")
}

pub(crate) fn with_body(invite: &Left, sdp: &str, tag: &str) -> String {
    let fields = "Contact: <sip:phone@10.0.0.9:5070>\r\nContent-Type: application/sdp\r\n";
    let bare = answer_with(&invite.text, "200 OK", fields);
    let bare = bare.replace(";tag=uas", &format!(";tag={tag}"));
    bare.replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()),
    )
}

/// The part of the head behind the first `name` up to the end of its line.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let at = text.find(&format!("{name}: ")).unwrap_or_else(|| panic!("{name} in {text}"));
    text[at + name.len() + 2..].split("\r\n").next().unwrap()
}

pub(crate) fn tid(text: &str) -> &str {
    text.strip_prefix("MSRP ").unwrap().split(' ').next().unwrap()
}

/// A response to a SEND.
pub(crate) fn response(send: &str, code: &str) -> String {
    let (to, from) = (value(send, "From-Path"), value(send, "To-Path"));
    let id = tid(send);
    format!("MSRP {id} {code}\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{id}$\r\n")
}

/// A REPORT about a SEND.
pub(crate) fn report(send: &str, range: &str, code: u16) -> String {
    let (to, from) = (value(send, "From-Path"), value(send, "To-Path"));
    let id = value(send, "Message-ID");
    format!(
        "MSRP rep0rt REPORT\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: {id}\r\n\
         Byte-Range: {range}\r\nStatus: 000 {code}\r\n-------rep0rt$\r\n"
    )
}

/// Submits; the INVITE that leaves.
pub(crate) fn invited(bench: &mut Bench, short: &Short) -> Left {
    let left = submit(bench, short);
    assert_eq!(left.len(), 1, "one request: {left:#?}");
    only(&left, "INVITE").clone()
}

/// A session of a message that is open, and the SEND in it.
pub(crate) fn sent(bench: &mut Bench, short: &Short, line: &Line) -> (Left, String) {
    let invite = invited(bench, short);
    let send = sent_after(bench, &invite, line);
    (invite, send)
}

pub(crate) fn sent_after(bench: &mut Bench, invite: &Left, line: &Line) -> String {
    let left = bench.give(IM, &agreed(invite, PHONE, "passive", ""));
    assert_eq!(left.len(), 1);
    let ack = only(&left, "ACK");
    assert!(ack.text.starts_with("ACK sip:phone@10.0.0.9:5070 SIP/2.0\r\n"), "{}", ack.text);
    assert_eq!(ack.field("cseq"), invite.field("cseq").replace("INVITE", "ACK"));
    let owner = connecting(bench);
    line.opened(bench, Some(owner));
    let send = line.taken(bench);
    assert!(send.contains(" SEND\r\n"), "{send}");
    send
}

/// Takes the BYE that is due, and answers it.
pub(crate) fn ended(bench: &mut Bench) {
    let left: Vec<Left> = bench.wait_ms(20).into_iter().map(|(_, left)| left).collect();
    let bye = only(&left, "BYE").clone();
    assert!(bench.give(IM, &answer_ok(&bye)).is_empty());
}

pub(crate) fn answer_ok(request: &Left) -> String {
    answer(&request.text, "200 OK").replace(";tag=uas;tag=uas", ";tag=uas")
}

/// A report left: its RP message.
pub(crate) fn told(left: &[Left]) -> Vec<u8> {
    rp_of(only(left, "MESSAGE"))
}

pub(crate) fn later(bench: &mut Bench, ms: u32) -> Vec<Left> {
    bench.wait_ms(ms).into_iter().map(|(_, left)| left).collect()
}

/// The configuration refuses that; a session that is to have TLS has it or is none.
#[test]
fn without_a_certificate_of_ours_no_session_is_offered_to_who_wants_tls() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.peers[1].msrp_tls = true;
    let mut bench = Bench::with(setup);
    let left = submit(&mut bench, &Short::new(42, "Grüße aus der Ferne"));
    assert_eq!(told(&left)[0], 0x04, "RP-ERROR, and no INVITE: {left:#?}");
    assert_eq!(left.len(), 1);
}

#[test]
fn all_octets_acknowledged_by_the_endpoint_is_delivered() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let (invite, send) = sent(&mut bench, &Short::new(42, "Grüße aus der Ferne"), &Line::new(3));
    assert_eq!(invite.field("content-type"), "application/sdp");
    assert_eq!(invite.field("request-disposition"), "no-fork");
    assert_eq!(invite.field("accept-contact"), "*;+g.oma.sip-im.large-message");
    assert_eq!(invite.field("contact"), "<sip:10.0.0.5:5060>;+g.oma.sip-im.large-message");
    let body = String::from_utf8(invite.body().to_vec()).unwrap();
    for line in ["m=message 2855 TCP/MSRP *", "a=setup:actpass", "a=sendonly", "a=msrp-cema"] {
        assert!(body.contains(line), "{line} in {body}");
    }
    let path = body.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
    assert_eq!(value(&send, "From-Path"), path);
    assert_eq!(value(&send, "To-Path"), PHONE);
    assert_eq!(value(&send, "Byte-Range"), "1-21/21");
    assert_eq!(value(&send, "Success-Report"), "yes");
    assert_eq!(value(&send, "Failure-Report"), "yes");
    assert_eq!(value(&send, "Content-Type"), "text/plain;charset=UTF-8");
    assert!(send.contains("\r\n\r\nGrüße aus der Ferne\r\n-------"));
    let line = Line::new(3);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(42));
    taken(&mut bench, only(&left, "MESSAGE"));
    let account = bench.account();
    assert_eq!((account.verdict, account.evidence), (Verdict::Delivered, Evidence::Acknowledged));
    assert_eq!(account.im_call_id.octets(), invite.field("call-id").as_bytes());
    // The REPORT that was asked for ends the wait.
    assert!(line.says(&mut bench, &report(&send, "1-21/21", 200)).is_empty());
    ended(&mut bench);
    assert_eq!(bench.count(Counter::VerdictDelivered), 1);
    later(&mut bench, 33_000);
    assert_eq!((bench.engine.open(), bench.engine.calls()), (0, 0), "nothing is left");
}

#[test]
fn h26_through_a_relay_only_reports_prove() {
    let mut bench = large_bench(MsrpRole::Relay);
    let line = Line::new(0);
    let (_, send) = sent(&mut bench, &Short::new(1, "through a relay"), &line);
    assert!(line.says(&mut bench, &response(&send, "200 OK")).is_empty(), "nothing is told");
    assert!(line.says(&mut bench, &report(&send, "1-10/15", 200)).is_empty(), "h17: a gap");
    let left = line.says(&mut bench, &report(&send, "11-15/15", 200));
    assert_eq!(told(&left), ack(1));
    assert_eq!(bench.count(Counter::MsrpReportsIn), 2);
}

#[test]
fn every_failure_of_the_invite_is_certain() {
    for (status, verdict) in
        [("404 Not Found", 'P'), ("486 Busy Here", 'T'), ("603 Decline", 'P'), ("488 No", 'P')]
    // No part fits where so few octets may be in one.
    {
        let mut bench = large_bench(MsrpRole::Endpoint);
        let invite = invited(&mut bench, &Short::new(1, "a message that goes nowhere"));
        let left = bench.give(IM, &answer(&invite.text, status));
        let ack = only(&left, "ACK");
        assert_eq!(left.len(), 1);
        assert_eq!(ack.field("via"), invite.field("via"), "in the same transaction");
        assert!(ack.field("to").ends_with(";tag=uas"));
        let left = later(&mut bench, 4);
        let report = only(&left, "MESSAGE").clone();
        assert_eq!(rp_of(&report)[0], 0x04, "RP-ERROR");
        taken(&mut bench, &report);
        let account = bench.account();
        assert_eq!(account.verdict.letter(), verdict, "{status}");
        // A copy of the error is acknowledged again.
        assert_eq!(bench.give(IM, &answer(&invite.text, status)).len(), 1);
        assert!(later(&mut bench, 40_000).is_empty());
        assert_eq!((bench.engine.open(), bench.engine.calls()), (0, 0));
    }
}

#[test]
fn h59_whoever_only_rings_is_cancelled_and_what_he_says_then_is_not_used() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let invite = invited(&mut bench, &Short::new(1, "nobody picks up"));
    assert!(bench.give(IM, &answer(&invite.text, "180 Ringing")).is_empty());
    let left = later(&mut bench, 10_010);
    let cancel = only(&left, "CANCEL").clone();
    assert_eq!(cancel.field("via"), invite.field("via"));
    assert_eq!(cancel.field("cseq"), "1 CANCEL");
    assert_eq!(told(&left)[0], 0x04);
    assert!(bench.give(IM, &answer(&cancel.text, "200 OK")).is_empty());
    // It crossed with a 2xx.
    let left = bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    only(&left, "ACK");
    ended(&mut bench);
    assert!(wishes(&mut bench.out).is_empty(), "nobody connects");
    assert_eq!(bench.count(Counter::VerdictTemporary), 1);
}

#[test]
fn h27_a_lost_connection_is_made_up_for_once_under_the_same_message_id() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let (first, send) = sent(&mut bench, &Short::new(1, "twice at most"), &line);
    let left = line.lost(&mut bench);
    let second = only(&left, "INVITE").clone();
    assert_ne!(first.field("call-id"), second.field("call-id"));
    let line = Line::new(1);
    let again = sent_after(&mut bench, &second, &line);
    assert_eq!(value(&again, "Message-ID"), value(&send, "Message-ID"));
    assert_ne!(value(&again, "From-Path"), value(&send, "From-Path"));
    let left = line.says(&mut bench, &response(&again, "200 OK"));
    assert_eq!(told(&left), ack(1));
    assert_eq!(bench.count(Counter::LargeAgain), 1);
}

#[test]
fn h27_what_is_lost_twice_is_unknown() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    sent(&mut bench, &Short::new(1, "lost and lost again"), &line);
    let left = line.lost(&mut bench);
    let second = only(&left, "INVITE").clone();
    // That the second INVITE failed says nothing of the first attempt.
    bench.give(IM, &answer(&second.text, "404 Not Found"));
    let left = later(&mut bench, 6);
    assert_eq!(told(&left)[0], 0x04);
    taken(&mut bench, only(&left, "MESSAGE"));
    assert_eq!(bench.account().verdict, Verdict::Unknown);
}

#[test]
fn h60_what_is_proved_after_the_deadline_answers_the_next_submission() {
    let mut bench = large_bench(MsrpRole::Relay);
    let line = Line::new(0);
    let short = Short::new(1, "slow but sure");
    let (_, send) = sent(&mut bench, &short, &line);
    line.says(&mut bench, &response(&send, "200 OK"));
    let left = later(&mut bench, 28_010);
    assert_eq!(told(&left)[0], 0x04, "a temporary error at the deadline");
    taken(&mut bench, only(&left, "MESSAGE"));
    later(&mut bench, 30_000);
    assert!(line.says(&mut bench, &report(&send, "1-13/13", 200)).is_empty());
    assert_eq!(bench.count(Counter::LateProofs), 1);
    ended(&mut bench);
    assert_eq!(bench.account().verdict, Verdict::Unknown);
    let retry = Short { number: 2, reference: 2, ..short };
    let left = submit(&mut bench, &retry);
    assert_eq!(left.len(), 1, "no second message");
    assert_eq!(told(&left), ack(2));
}

#[test]
fn h15_an_error_to_a_chunk_fails_the_message() {
    for (code, verdict) in [("413 Stop", 'P'), ("481 Gone", 'T'), ("415 What", 'P')] {
        let mut bench = large_bench(MsrpRole::Endpoint);
        let line = Line::new(0);
        let (_, send) = sent(&mut bench, &Short::new(1, "not wanted here"), &line);
        let mut left = line.says(&mut bench, &response(&send, code));
        if verdict == 'T' {
            // Taken nowhere, so that another session may do.
            let second = only(&left, "INVITE").clone();
            bench.give(IM, &answer(&second.text, "480 Away"));
            left = later(&mut bench, 6);
        }
        taken(&mut bench, only(&left, "MESSAGE"));
        assert_eq!(bench.account().verdict.letter(), verdict, "{code}");
    }
}

#[test]
fn whoever_wants_to_connects_to_us_and_binds_the_session() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let invite = invited(&mut bench, &Short::new(1, "come to me"));
    let body = String::from_utf8(invite.body().to_vec()).unwrap();
    let path = body.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
    bench.give(IM, &agreed(&invite, PHONE, "active", ""));
    assert!(wishes(&mut bench.out).is_empty(), "we wait");
    let line = Line::new(5);
    line.opened(&mut bench, None);
    // A stranger guesses.
    let bind = |path: &str| {
        format!(
            "MSRP b1nd SEND\r\nTo-Path: {path}\r\nFrom-Path: {PHONE}\r\nMessage-ID: emp7y\r\n\
             -------b1nd$\r\n"
        )
    };
    line.says(&mut bench, &bind("msrp://10.0.0.5:2855/guessed;tcp"));
    assert!(line.taken(&mut bench).starts_with("MSRP b1nd 481"));
    line.says(&mut bench, &bind(path));
    let out = line.taken(&mut bench);
    let (bound, send) = out.split_once("$\r\n").unwrap();
    assert!(bound.starts_with("MSRP b1nd 200"), "{out}");
    let left = line.says(&mut bench, &response(send, "200 OK"));
    assert_eq!(told(&left), ack(1));
}

#[test]
fn whoever_never_connects_has_nothing() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let mut short = Short::new(1, "nobody comes");
    short.reference = 9;
    let invite = invited(&mut bench, &short);
    bench.give(IM, &agreed(&invite, PHONE, "active", ""));
    let left = later(&mut bench, 28_010);
    assert_eq!(told(&left), error(9, 0xFF), "by the deadline");
    taken(&mut bench, only(&left, "MESSAGE"));
    only(&left, "BYE");
    assert_eq!(bench.account().evidence, Evidence::DeadlineUnsent);
    assert_eq!(bench.count(Counter::VerdictTemporary), 1);
}

#[test]
fn a_message_that_is_too_large_for_a_pager_becomes_a_session_once() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.gateway.pager_max = 1_150;
    let mut bench = Bench::with(setup);
    let left = submit(&mut bench, &Short::new(1, "fits a pager"));
    let instant = only(&left, "MESSAGE").clone();
    let left = bench.give(IM, &answer(&instant.text, "513 Message Too Large"));
    let invite = only(&left, "INVITE").clone();
    let line = Line::new(0);
    let send = sent_after(&mut bench, &invite, &line);
    let left = line.says(&mut bench, &response(&send, "413 Too Large"));
    assert_eq!(told(&left)[0], 0x04);
    assert_eq!(bench.count(Counter::PagerToLarge), 1);
}

#[test]
fn of_a_forked_invite_one_session_is_used_and_the_others_are_ended() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let (invite, send) = sent(&mut bench, &Short::new(1, "only one of you"), &line);
    let sdp = String::from("v=0\r\n");
    let other = with_body(&invite, &sdp, "other");
    let left = bench.give(IM, &other);
    assert!(only(&left, "ACK").field("to").ends_with(";tag=other"));
    let left = later(&mut bench, 10);
    let bye = only(&left, "BYE").clone();
    assert!(bye.field("to").ends_with(";tag=other"));
    // Its copies have an ACK, and no other BYE.
    let left = bench.give(IM, &other);
    assert_eq!((left.len(), bench.count(Counter::Forks)), (1, 1));
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
}

#[test]
fn h27_bye_of_the_other_end_at_any_moment() {
    // Before the message has left: certain. After: unknown, and once more.
    for departs in [false, true] {
        let mut bench = large_bench(MsrpRole::Endpoint);
        let invite = invited(&mut bench, &Short::new(1, "goodbye so soon"));
        let left = bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
        let ack = only(&left, "ACK").clone();
        let owner = connecting(&mut bench);
        if departs {
            let line = Line::new(0);
            line.opened(&mut bench, Some(owner));
            assert!(!line.taken(&mut bench).is_empty());
        }
        let bye = bye(&ack);
        let left = bench.give(IM, &bye);
        assert_eq!((left.len(), left[0].status()), (1, 200));
        assert_eq!(bench.give(IM, &bye)[0].status(), 200, "its copy");
        let left = later(&mut bench, if departs { 1_010 } else { 10 });
        if departs {
            only(&left, "INVITE");
            assert_eq!(bench.count(Counter::LargeAgain), 1);
        } else {
            taken(&mut bench, only(&left, "MESSAGE"));
            assert_eq!(bench.account().evidence, Evidence::ByeBeforeEnd);
            assert_eq!(bench.count(Counter::VerdictTemporary), 1);
        }
    }
}

/// A response that was read after the BYE that followed it.
#[test]
fn h28_what_was_said_before_the_bye_counts() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let invite = invited(&mut bench, &Short::new(1, "goodbye and thank you"));
    let left = bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    let bye = bye(only(&left, "ACK"));
    let owner = connecting(&mut bench);
    line.opened(&mut bench, Some(owner));
    let send = line.taken(&mut bench);
    assert_eq!(bench.give(IM, &bye)[0].status(), 200);
    assert!(later(&mut bench, 900).is_empty());
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
    let left = later(&mut bench, 100);
    assert!(left.iter().all(|left| !left.text.starts_with("BYE")), "he has said it");
}

/// The BYE of the other end in the dialog of this ACK.
pub(crate) fn bye(ack: &Left) -> String {
    format!(
        "BYE sip:10.0.0.5:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKbye\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        ack.field("to"),
        ack.field("from"),
        ack.field("call-id"),
    )
}

#[test]
fn a_description_that_stays_the_same_keeps_the_session_alive() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let invite = invited(&mut bench, &Short::new(1, "are you still there"));
    let ok = agreed(&invite, PHONE, "passive", "");
    let sdp = ok.split("\r\n\r\n").nth(1).unwrap().to_owned();
    let left = bench.give(IM, &ok);
    let ack = only(&left, "ACK").clone();
    let owner = connecting(&mut bench);
    line.opened(&mut bench, Some(owner));
    let send = line.taken(&mut bench);
    let again = |method: &str, cseq: u32, sdp: &str| {
        format!(
            "{method} sip:10.0.0.5:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK{method}{cseq}\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:phone@10.0.0.9:5070>\r\nSession-Expires: 1800;refresher=uac\r\n\
             Supported: timer\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            ack.field("to"),
            ack.field("from"),
            ack.field("call-id"),
            sdp.len(),
        )
    };
    let left = bench.give(IM, &again("UPDATE", 1, &sdp));
    assert_eq!((left.len(), left[0].status()), (1, 200));
    assert_eq!(left[0].field("session-expires"), "1800;refresher=uac");
    assert!(left[0].text.contains("a=setup:active\r\n"), "{}", left[0].text);
    let other = sdp.replace("o=- 1 1", "o=- 1 2").replace("ph0ne", "elsewhere");
    assert_eq!(bench.give(IM, &again("INVITE", 2, &other))[0].status(), 488);
    let left = bench.give(IM, &again("INVITE", 3, &sdp));
    assert_eq!((left.len(), left[0].status()), (1, 200));
    // Without its ACK it is sent again; with it, no more.
    assert_eq!(later(&mut bench, 600).len(), 1);
    let mut acknowledged = again("ACK", 3, "");
    acknowledged = acknowledged.replace("Content-Type: application/sdp\r\n", "");
    assert!(bench.give(IM, &acknowledged).is_empty());
    assert!(later(&mut bench, 5_000).is_empty());
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), crate::short::ack(1));
}

#[test]
fn cpm_names_its_service_and_wraps_what_it_sends() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.peers[1].profile = Profile::Cpm;
    let mut bench = Bench::with(setup);
    let invite = invited(&mut bench, &Short::new(1, "in a wrapper"));
    let icsi = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg";
    assert_eq!(invite.field("accept-contact"), format!("*;+g.3gpp.icsi-ref=\"{icsi}\""));
    let service = "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg";
    assert_eq!(invite.field("p-asserted-service"), service);
    assert!(!invite.field("conversation-id").is_empty());
    assert!(!invite.field("contribution-id").is_empty());
    // A client without CPIM cannot be used.
    let left = bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    only(&left, "ACK");
    let left = later(&mut bench, 6);
    assert_eq!(told(&left)[0], 0x04);
    let mut bench = Bench::with({
        let mut setup = large_setup(MsrpRole::Endpoint);
        setup.peers[1].profile = Profile::Cpm;
        setup
    });
    let invite = invited(&mut bench, &Short::new(1, "in a wrapper"));
    let ok = agreed(&invite, PHONE, "passive", "a=accept-wrapped-types:text/plain\r\n");
    let ok = ok.replace("a=accept-types:text/plain", "a=accept-types:message/cpim");
    let (head, sdp) = ok.split_once("\r\n\r\n").unwrap();
    let at = head.find("Content-Length").unwrap();
    let ok = format!("{}Content-Length: {}\r\n\r\n{sdp}", &head[..at], sdp.len());
    bench.give(IM, &ok);
    let owner = connecting(&mut bench);
    let line = Line::new(0);
    line.opened(&mut bench, Some(owner));
    let send = line.taken(&mut bench);
    assert_eq!(value(&send, "Content-Type"), "message/cpim");
    let id = value(&send, "Message-ID").to_owned();
    assert!(
        send.contains(&format!("NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {id}\r\n"))
    );
    assert!(send.contains("\r\n\r\nin a wrapper\r\n-------"));
}

#[test]
fn without_room_for_another_session_nothing_is_sent() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.sessions_max = 2;
    }
    let mut bench = Bench::with(setup);
    invited(&mut bench, &Short::new(1, "the first one"));
    let left = submit(&mut bench, &Short::new(2, "the second one"));
    assert_eq!(told(&left)[0], 0x04);
    assert_eq!(bench.count(Counter::LargeNoRoom), 1);
    assert!(bench.give(SBC, "\r\n\r\n").is_empty());
}

#[test]
fn a_session_that_stays_takes_the_next_message_of_the_same_two() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.session_idle_ms = 10_000;
    }
    let mut bench = Bench::with(setup);
    let line = Line::new(0);
    let (invite, send) = sent(&mut bench, &Short::new(1, "the first of them"), &line);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    taken(&mut bench, only(&left, "MESSAGE"));
    assert!(line.says(&mut bench, &report(&send, "1-17/17", 200)).is_empty());
    assert!(later(&mut bench, 5_000).is_empty(), "no BYE");
    // However short it is, it goes into the session that is there.
    let second = Short::new(2, "b");
    assert!(submit(&mut bench, &second).is_empty(), "no request");
    let next = line.taken(&mut bench);
    assert!(next.contains("\r\n\r\nb\r\n-------"), "{next}");
    assert_ne!(value(&next, "Message-ID"), value(&send, "Message-ID"));
    assert_eq!(value(&next, "To-Path"), PHONE);
    bench.account();
    let left = line.says(&mut bench, &response(&next, "200 OK"));
    assert_eq!(told(&left), ack(2));
    taken(&mut bench, only(&left, "MESSAGE"));
    let of_session = bench.account().im_call_id;
    assert_eq!(of_session.octets(), invite.field("call-id").as_bytes());
    // One to somebody else does not.
    let mut other = Short::new(3, "to somebody else, at some length");
    other.recipient = "sip:+15550000009@im.example;user=phone".to_owned();
    invited(&mut bench, &other);
    // Its death falls back to a session of its own, with the same Message-ID.
    assert!(submit(&mut bench, &Short::new(4, "and the last one")).is_empty());
    let last = line.taken(&mut bench);
    let left = line.lost(&mut bench);
    let second = only(&left, "INVITE").clone();
    let again = sent_after(&mut bench, &second, &Line::new(1));
    assert_eq!(value(&again, "Message-ID"), value(&last, "Message-ID"));
    assert_eq!(bench.count(Counter::LargeInSession), 2);
}

#[test]
fn a_session_that_nobody_uses_is_ended() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.session_idle_ms = 10_000;
    }
    let mut bench = Bench::with(setup);
    let line = Line::new(0);
    let (_, send) = sent(&mut bench, &Short::new(1, "the only one of them"), &line);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    taken(&mut bench, only(&left, "MESSAGE"));
    let left = later(&mut bench, 10_100);
    assert!(bench.give(IM, &answer_ok(only(&left, "BYE"))).is_empty());
    invited(&mut bench, &Short::new(2, "and another one of them"));
}

/// Where there is no MSRP, a text goes in parts, and only all of them are the message.
#[test]
fn without_msrp_a_text_goes_in_parts_and_all_of_them_are_the_message() {
    for fails in [false, true] {
        let mut setup = large_setup(MsrpRole::Endpoint);
        let text = "one two three four five six seven eight nine ten äöü".repeat(2);
        setup.gateway.pager_max = 620;
        let mut bench = Bench::with(setup);
        let mut short = Short::new(1, &text);
        short.user_data.truncate(140);
        let invite = invited(&mut bench, &short);
        let left = bench.give(IM, &answer(&invite.text, "488 Not Acceptable Here"));
        only(&left, "ACK");
        let mut left = later(&mut bench, 6);
        let mut all = Vec::new();
        let mut cseq = 1;
        loop {
            let part = only(&left, "MESSAGE").clone();
            if part.to != IM.parse().unwrap() {
                break;
            }
            assert!(part.octets.len() <= 620, "{}", part.octets.len());
            assert_eq!(part.field("cseq"), format!("{cseq} MESSAGE"));
            cseq += 1;
            all.extend_from_slice(part.body());
            let status = if fails && cseq > 2 { "486 Busy Here" } else { "200 OK" };
            left = bench.give(IM, &answer(&part.text, status));
        }
        assert!(cseq > 2, "more than one part");
        assert_eq!(bench.count(Counter::PagerSplit), 1);
        if fails {
            assert_eq!(told(&left)[0], 0x04, "some of it is not the message");
            assert_eq!(bench.count(Counter::VerdictTemporary), 1);
        } else {
            assert!(text.as_bytes().starts_with(&all) && all.len() >= 70);
            assert_eq!(told(&left), ack(1));
        }
    }
}

/// The wait for REPORTs is not the wait for a response.
#[test]
fn h24_a_response_has_its_own_time() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.report_wait_ms = 1_000;
    }
    let mut bench = Bench::with(setup);
    let line = Line::new(0);
    let (_, send) = sent(&mut bench, &Short::new(1, "slow to answer"), &line);
    assert!(later(&mut bench, 20_000).is_empty());
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
}

/// A connection that is refused says that nothing has left, and another session may do.
#[test]
fn a_connection_that_is_refused_leads_to_another_session() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let invite = invited(&mut bench, &Short::new(1, "nobody listens"));
    bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    let owner = connecting(&mut bench);
    let event = StreamEvent::Refused { owner, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let left = later(&mut bench, 4);
    let second = only(&left, "INVITE").clone();
    bench.give(IM, &agreed(&second, PHONE, "passive", ""));
    let owner = connecting(&mut bench);
    let event = StreamEvent::Refused { owner, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let left = later(&mut bench, 4);
    taken(&mut bench, only(&left, "MESSAGE"));
    let account = bench.account();
    let verdict = (account.verdict, account.evidence);
    assert_eq!(verdict, (Verdict::Temporary, Evidence::ConnectionUnused));
}

/// What was given to a connection that takes nothing may leave when nobody waits for it any more.
#[test]
fn h51_what_waits_in_an_outbox_at_the_deadline_is_unknown() {
    let mut bench = large_bench(MsrpRole::Endpoint);
    let line = Line::new(0);
    let invite = invited(&mut bench, &Short::new(1, "stuck on its way"));
    bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
    let owner = connecting(&mut bench);
    line.opened(&mut bench, Some(owner));
    assert!(line.put(&mut bench).contains(" SEND\r\n"));
    let left = later(&mut bench, 28_010);
    taken(&mut bench, only(&left, "MESSAGE"));
    // Not a word about it is certain.
    assert_eq!(bench.count(Counter::VerdictUnknown), 1);
}

#[test]
fn a_challenge_to_an_invite_is_answered_with_credentials() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    let (username, password) = ("roger".into(), "secret".into());
    setup.peers[1].credentials = Some(Credentials { username, password });
    let mut bench = Bench::with(setup);
    let invite = invited(&mut bench, &Short::new(1, "who is there"));
    let challenge =
        "Proxy-Authenticate: Digest realm=\"im.example\", nonce=\"abc\", qop=\"auth\"\r\n";
    let refused = answer_with(&invite.text, "407 Proxy Authentication Required", challenge);
    let left = bench.give(IM, &refused);
    assert_eq!(left.len(), 1);
    only(&left, "ACK");
    let left = later(&mut bench, 4);
    let again = only(&left, "INVITE").clone();
    assert_eq!(again.field("cseq"), "2 INVITE");
    let authorization = again.field("proxy-authorization");
    assert!(
        authorization.contains("uri=\"sip:+15550000001@im.example;user=phone\""),
        "{authorization}"
    );
    assert!(authorization.contains("username=\"roger\""), "{authorization}");
    let line = Line::new(0);
    let send = sent_after(&mut bench, &again, &line);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
    // What answers copies of the 407 is its ACK.
    let left = bench.give(IM, &refused);
    assert_eq!(only(&left, "ACK").field("cseq"), "1 ACK");
}

/// Two wait for one connection, and its certificate is that of one of them: he has it, and for the other one it
/// is as if nobody had been there.
#[test]
fn who_waits_for_a_connection_has_it_if_its_certificate_is_his() {
    const MSRPS_SOCKET: SocketId = SocketId(2);
    let mut setup = large_setup(MsrpRole::Endpoint);
    setup.peers[1].msrp_tls = true;
    if let Some(large) = &mut setup.large {
        large.secure = Some(Secure {
            sockets: Families { v4: Some(MSRPS_SOCKET), v6: None },
            authority_v4: "10.0.0.5:2865".into(),
            authority_v6: "".into(),
            fingerprint: Arc::new(AtomicCell::new([0xAB; 32])),
        });
    }
    let mut bench = Bench::with(setup);
    let print = |octet: &str| format!("a=fingerprint:SHA-256 {}\r\n", [octet; 32].join(":"));
    let mut owner = None;
    for (number, octet) in [(1, "07"), (2, "08")] {
        let mut short = Short::new(number, "one of two");
        short.recipient = format!("sip:+1555{number:07}@im.example;user=phone");
        let invite = invited(&mut bench, &short);
        let offer = invite.text.split("\r\n\r\n").nth(1).unwrap();
        assert!(offer.contains("m=message 2865 TCP/TLS/MSRP *\r\n"), "{offer}");
        assert!(offer.contains("a=path:msrps://10.0.0.5:2865/"), "{offer}");
        assert!(offer.to_uppercase().contains(&print("AB").to_uppercase()), "{offer}");
        let path = format!("msrps://10.0.0.9:7777/ph0ne{number};tcp");
        let answer = agreed(&invite, &path, "passive", &print(octet));
        let answer = answer.replace(" TCP/MSRP ", " TCP/TLS/MSRP ");
        let (head, sdp) = answer.split_once("\r\n\r\n").unwrap();
        let (head, _) = head.rsplit_once("Content-Length:").unwrap();
        let answer = format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        only(&bench.give(IM, &answer), "ACK");
        match wishes(&mut bench.out)[..] {
            [Wish::Connect { flow, owner: who }] => {
                assert_eq!(flow.socket, MSRPS_SOCKET);
                owner = Some(who);
            }
            [] => assert_eq!(number, 2, "one connection for both"),
            ref other => panic!("{other:?}"),
        }
    }
    let line = Line::new(3);
    let certificate =
        Certificate { sha256: [7; 32], sha384: [0; 48], sha512: [0; 64], is_named: true };
    let certificate = Some(&certificate);
    let event = StreamEvent::Opened { flow: line.flow, owner, certificate, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let send = line.taken(&mut bench);
    assert_eq!(send.matches(" SEND\r\n").count(), 1, "{send}");
    assert_eq!(value(&send, "To-Path"), "msrps://10.0.0.9:7777/ph0ne1;tcp");
    assert_eq!(bench.count(Counter::MsrpWrongCertificate), 1);
    let left = line.says(&mut bench, &response(&send, "200 OK"));
    assert_eq!(told(&left), ack(1));
    // The other one is called once more, in a session of its own.
    let left = later(&mut bench, 40);
    only(&left, "INVITE");
    assert!(!wishes(&mut bench.out).contains(&Wish::Close(line.id)), "it is of use");
}

/// However many wait for one connection: what follows for each when there is none has its turn.
#[test]
fn a_connection_that_many_wait_for_is_refused() {
    let mut setup = large_setup(MsrpRole::Endpoint);
    (setup.messages_max, setup.finished_max) = (4_000, 10_000);
    if let Some(large) = &mut setup.large {
        (large.sessions_max, large.message_size) = (8_000, 1_024);
    }
    let mut bench = Bench::with(setup);
    let mut owner = None;
    for number in 0..3_000 {
        let mut short = Short::new(number, "one of very many");
        short.recipient = format!("sip:+1555{number:07}@im.example;user=phone");
        let invite = invited(&mut bench, &short);
        let left = bench.give(IM, &agreed(&invite, PHONE, "passive", ""));
        only(&left, "ACK");
        let wished = wishes(&mut bench.out);
        owner = owner.or_else(|| match wished[..] {
            [Wish::Connect { owner, .. }] => Some(owner),
            _ => None,
        });
    }
    let event = StreamEvent::Refused { owner: owner.unwrap(), at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let left = later(&mut bench, 400);
    let invites = left.iter().filter(|left| left.text.starts_with("INVITE ")).count();
    assert_eq!(invites, 3_000, "each is called once more");
}
