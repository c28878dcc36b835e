//! Sessions that pass through: both other ends are written by hand and read octets as text.

use roger::delivery::{Account, MsrpRole};
use roger::engine::{Families, Large, Setup};
use roger::metrics::Counter;
use roger::packet::{Flow, Owner, Wish};

use crate::bench::{Bench, IM, IM_2, Left, answer, answer_with, endpoint, setup};
use crate::large::{Line, MSRP_SOCKET, answer_ok, later, only, response, value, wishes};

pub(crate) const ALICES: &str = "msrp://10.0.0.10:8888/al1ce;tcp";
pub(crate) const BOBS: &str = "msrp://10.0.0.9:7777/b0b;tcp";
const ALICE_AT: &str = "10.0.0.10:8888";
const BOB_AT: &str = "10.0.0.9:7777";

/// Alice is at `im-2`, Bob at `im`.
pub(crate) fn carry_setup(of_bob: MsrpRole) -> Setup {
    let mut setup = setup();
    setup.large = Some(Large {
        sockets: Families { v4: Some(MSRP_SOCKET), v6: None },
        authority_v4: "10.0.0.5:2855".into(),
        sessions_max: 16,
        carried_max: 8,
        ..Large::default()
    });
    setup.peers[1].msrp = Some(of_bob);
    setup.peers[2].msrp = Some(MsrpRole::Endpoint);
    setup
}

fn bench() -> Bench {
    Bench::with(carry_setup(MsrpRole::Endpoint))
}

pub(crate) fn sdp(path: &str, setup: &str, lines: &str) -> String {
    let host = path.strip_prefix("msrp://").unwrap().split(':').next().unwrap();
    let port = path.split(':').nth(2).unwrap().split('/').next().unwrap();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=message {port} TCP/MSRP *\r\na=accept-types:message/cpim text/plain\r\n\
         a=accept-wrapped-types:*\r\na=path:{path}\r\na=setup:{setup}\r\n{lines}"
    )
}

pub(crate) fn invite_with(number: u32, fields: &str, body: &str) -> String {
    format!(
        "INVITE sip:bob@im.example:5070 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.10:5070;branch=z9hG4bKal{number};rport\r\n\
         Max-Forwards: 20\r\nFrom: \"Alice\" <sip:alice@im-2.example>;tag=al{number}\r\n\
         To: <sip:bob@im.example>\r\nCall-ID: al-{number}@im-2.example\r\nCSeq: 7 INVITE\r\n\
         Contact: <sip:alice@10.0.0.10:5070>;+g.oma.sip-im\r\n{fields}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn invite(number: u32) -> String {
    invite_with(number, "", &sdp(ALICES, "actpass", ""))
}

/// What Bob answers, with his description.
pub(crate) fn agreed(invite: &Left, setup: &str, lines: &str) -> String {
    with_body(invite, &sdp(BOBS, setup, lines))
}

fn with_body(invite: &Left, sdp: &str) -> String {
    let fields = "Contact: <sip:bob@10.0.0.9:5070>;+sip.bob\r\nContent-Type: application/sdp\r\n";
    answer_with(&invite.text, "200 OK", fields).replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()),
    )
}

pub(crate) fn body(left: &Left) -> String {
    String::from_utf8(left.body().to_vec()).unwrap()
}

pub(crate) fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let line = sdp.lines().find_map(|line| line.strip_prefix(&format!("a={name}:")));
    line.unwrap_or_else(|| panic!("{name} in {sdp}"))
}

/// The response with this status among what has left.
fn status(left: &[Left], status: u16) -> &Left {
    let is_it = |one: &&Left| one.text.starts_with(&format!("SIP/2.0 {status} "));
    left.iter().find(is_it).unwrap_or_else(|| panic!("{status} in {left:#?}"))
}

pub(crate) fn statuses(left: &[Left]) -> Vec<u16> {
    let responses = left.iter().filter(|one| one.text.starts_with("SIP/2.0 "));
    responses.map(Left::status).collect()
}

/// An INVITE came: ours to Bob.
pub(crate) fn rung(bench: &mut Bench, text: &str) -> Left {
    let left = bench.give(IM_2, text);
    assert_eq!(statuses(&left), [100], "at once: {left:#?}");
    let left = later(bench, 4);
    let invite = only(&left, "INVITE").clone();
    assert_eq!(invite.to, IM.parse().unwrap());
    invite
}

/// A request of Alice or Bob in the dialog of this response, or of this request.
pub(crate) fn inside(method: &str, cseq: u32, dialog: &Left, is_caller: bool) -> String {
    let (from, to) = match is_caller {
        true => (dialog.field("from"), dialog.field("to")),
        false => (dialog.field("to"), dialog.field("from")),
    };
    format!(
        "{method} sip:10.0.0.5:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.77:5070;branch=z9hG4bK{method}{cseq}\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        dialog.field("call-id"),
    )
}

/// A session between Alice, who connects to us, and Bob, to whom we connect.
pub(crate) struct Joined {
    pub(crate) bench: Bench,
    pub(crate) alice: Line,
    pub(crate) bob: Line,
    /// The 2xx to Alice and the ACK to Bob.
    pub(crate) ok: Left,
    pub(crate) ack: Left,
    pub(crate) ours_of_alice: String,
    pub(crate) ours_of_bob: String,
}

fn connecting(bench: &mut Bench, place: &str) -> Owner {
    let wished = wishes(&mut bench.out);
    let [Wish::Connect { flow, owner }] = wished[..] else { panic!("{wished:?}") };
    assert_eq!(flow, Flow::to(endpoint(place), MSRP_SOCKET));
    owner
}

pub(crate) fn send(
    tid: &str,
    (to, from): (&str, &str),
    fields: &str,
    text: &str,
    flag: char,
) -> String {
    format!(
        "MSRP {tid} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n{fields}\
         Content-Type: text/plain\r\n\r\n{text}\r\n-------{tid}{flag}\r\n"
    )
}

pub(crate) fn empty(tid: &str, (to, from): (&str, &str)) -> String {
    format!(
        "MSRP {tid} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: em{tid}\r\n\
         -------{tid}$\r\n"
    )
}

impl Joined {
    pub(crate) fn new() -> Self {
        Self::with(bench())
    }

    pub(crate) fn with(mut bench: Bench) -> Self {
        let invite = rung(&mut bench, &invite(1));
        let left = bench.give(IM, &agreed(&invite, "passive", ""));
        let ack = only(&left, "ACK").clone();
        let owner = connecting(&mut bench, BOB_AT);
        let left = later(&mut bench, 4);
        let ok = status(&left, 200).clone();
        assert_eq!((left.len(), ok.to), (1, IM_2.parse().unwrap()));
        assert!(bench.give(IM_2, &inside("ACK", 7, &ok, true)).is_empty());
        let ours_of_alice = attribute(&body(&ok), "path").to_owned();
        let ours_of_bob = attribute(&body(&invite), "path").to_owned();
        assert_ne!(ours_of_alice, ours_of_bob);
        let (alice, bob) = (Line::from(0, ALICE_AT), Line::from(1, BOB_AT));
        bob.opened(&mut bench, Some(owner));
        let bound = bob.taken(&mut bench);
        assert!(bound.contains(" SEND\r\n") && !bound.contains("Content-Type"), "{bound}");
        assert_eq!((value(&bound, "To-Path"), value(&bound, "From-Path")), (BOBS, &*ours_of_bob));
        assert!(bob.says(&mut bench, &response(&bound, "200 OK")).is_empty());
        alice.opened(&mut bench, None);
        alice.says(&mut bench, &empty("b1nd", (&ours_of_alice, ALICES)));
        assert!(alice.taken(&mut bench).starts_with("MSRP b1nd 200"));
        Self { bench, alice, bob, ok, ack, ours_of_alice, ours_of_bob }
    }

    /// Alice sends; what Bob gets.
    pub(crate) fn alice_sends(
        &mut self,
        tid: &str,
        fields: &str,
        text: &str,
        flag: char,
    ) -> String {
        let octets = send(tid, (&self.ours_of_alice, ALICES), fields, text, flag);
        assert!(self.alice.says(&mut self.bench, &octets).is_empty());
        self.bob.taken(&mut self.bench)
    }

    pub(crate) fn bob(&mut self, octets: &str) -> Vec<Left> {
        self.bob.says(&mut self.bench, octets)
    }

    pub(crate) fn alice_gets(&mut self) -> String {
        self.alice.taken(&mut self.bench)
    }

    pub(crate) fn account(&mut self) -> Account {
        self.bench.account()
    }

    /// Takes a BYE to each of these, and answers it; then nothing is left.
    pub(crate) fn over(mut self, to: &[&str]) -> Bench {
        // What was said in a session before its BYE may still come, for a second.
        let left = later(&mut self.bench, 1_020);
        let mut byes: Vec<&Left> = left.iter().filter(|one| one.text.starts_with("BYE ")).collect();
        byes.dedup_by_key(|bye| bye.text.clone());
        byes.sort_by_key(|bye| bye.to);
        byes.dedup_by_key(|bye| bye.to);
        let mut got: Vec<String> = byes.iter().map(|bye| bye.to.to_string()).collect();
        let mut expected: Vec<String> = to.iter().map(|&to| to.to_owned()).collect();
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{left:#?}");
        for bye in byes {
            let from = bye.to.to_string();
            self.bench.give(&from, &answer_ok(bye));
        }
        later(&mut self.bench, 33_000);
        assert_eq!(self.bench.engine.calls(), 0, "nothing is left");
        assert_eq!(self.bench.count(Counter::CallsUnfinished), 0);
        self.bench
    }
}

pub(crate) const ID: &str = "Message-ID: m0001\r\n";

#[test]
fn an_invite_passes_with_what_both_ends_must_know() {
    let mut bench = bench();
    let fields = "Accept-Contact: *;+g.oma.sip-im\r\nContribution-ID: c0ffee\r\n\
                  Conversation-ID: 4711\r\nP-Asserted-Identity: <sip:alice@im-2.example>\r\n\
                  Allow: INVITE\r\nSupported: replaces\r\nSubject: hello\r\n";
    let lines = "a=max-size:90000\r\na=file-selector:name:\"a.png\"\r\n";
    let invite = rung(&mut bench, &invite_with(1, fields, &sdp(ALICES, "actpass", lines)));
    assert!(invite.text.starts_with("INVITE sip:bob@im.example:5070 SIP/2.0\r\n"));
    assert_eq!(invite.field("max-forwards"), "19");
    assert!(invite.field("from").starts_with("\"Alice\" <sip:alice@im-2.example>;tag="));
    assert!(!invite.field("from").contains("al1"), "a tag of ours");
    assert_eq!(invite.field("to"), "<sip:bob@im.example>");
    assert_ne!(invite.field("call-id"), "al-1@im-2.example");
    assert_eq!(invite.field("contact"), "<sip:10.0.0.5:5060>;+g.oma.sip-im");
    for (name, said) in [
        ("accept-contact", "*;+g.oma.sip-im"),
        ("contribution-id", "c0ffee"),
        ("conversation-id", "4711"),
        ("subject", "hello"),
        ("p-asserted-identity", "<sip:alice@im-2.example>"),
        ("supported", ""),
        ("request-disposition", ""),
    ] {
        assert_eq!(invite.field(name), said, "{name}");
    }
    let offer = body(&invite);
    assert_eq!(attribute(&offer, "accept-types"), "message/cpim text/plain");
    assert_eq!(attribute(&offer, "accept-wrapped-types"), "*");
    assert_eq!(attribute(&offer, "max-size"), "90000");
    assert_eq!(attribute(&offer, "file-selector"), "name:\"a.png\"");
    assert_eq!(attribute(&offer, "setup"), "actpass");
    assert!(attribute(&offer, "path").starts_with("msrp://10.0.0.5:2855/"));
    assert!(offer.contains("m=message 2855 TCP/MSRP *\r\n") && !offer.contains("10.0.0.10"));

    assert!(bench.give(IM, &answer(&invite.text, "100 Trying")).is_empty(), "only from hop to hop");
    let left = bench.give(IM, &answer(&invite.text, "180 Ringing"));
    let ringing = status(&left, 180);
    assert!(ringing.field("to").starts_with("<sip:bob@im.example>;tag="));
    assert!(!ringing.field("to").contains("uas"), "a tag of ours");
    assert_eq!(ringing.field("contact"), "<sip:10.0.0.5:5060>");

    let left = bench.give(IM, &agreed(&invite, "active", "a=max-size:5000\r\na=recvonly\r\n"));
    assert_eq!(left.len(), 1);
    assert!(only(&left, "ACK").text.starts_with("ACK sip:bob@10.0.0.9:5070 SIP/2.0\r\n"));
    assert!(wishes(&mut bench.out).is_empty(), "Bob connects to us, and so does Alice");
    let left = later(&mut bench, 4);
    let ok = status(&left, 200);
    assert_eq!(ok.field("to"), ringing.field("to"));
    assert_eq!(ok.field("cseq"), "7 INVITE");
    assert_eq!(ok.field("contact"), "<sip:10.0.0.5:5060>;+sip.bob");
    let said = body(ok);
    assert_eq!(attribute(&said, "max-size"), "5000");
    assert_eq!(attribute(&said, "setup"), "passive");
    assert!(said.contains("a=recvonly\r\n") && !said.contains("10.0.0.9"), "{said}");
    assert_eq!(bench.count(Counter::CallsCarried), 1);
}

#[test]
fn each_error_of_the_callee_is_the_callers() {
    for (said, told) in [
        ("404 Not Found", 404),
        ("486 Busy Here", 486),
        ("488 No", 488),
        ("500 Oh", 500),
        ("503 Down", 500),
        ("603 Decline", 603),
    ] {
        let mut bench = bench();
        let invite = rung(&mut bench, &invite(1));
        let error = answer_with(&invite.text, said, "Warning: 399 x \"y\"\r\n");
        let left = bench.give(IM, &error);
        assert_eq!(left.len(), 1);
        assert_eq!(only(&left, "ACK").field("via"), invite.field("via"), "in its transaction");
        let left = later(&mut bench, 4);
        let error = status(&left, told).clone();
        assert_eq!((left.len(), error.field("cseq")), (1, "7 INVITE"));
        assert_eq!(error.field("warning"), "399 x \"y\"");
        // Timer G, until the ACK.
        assert_eq!(statuses(&later(&mut bench, 510)), [told]);
        assert_eq!(statuses(&bench.give(IM_2, &self::invite(1))), [told], "its copy");
        assert!(bench.give(IM_2, &inside("ACK", 7, &error, true)).is_empty());
        assert!(bench.give(IM_2, &self::invite(1)).is_empty(), "absorbed");
        assert!(later(&mut bench, 40_000).is_empty());
        assert_eq!(bench.engine.calls(), 0);
    }
}

#[test]
fn a_redirection_leads_the_caller_where_it_leads() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let moved = answer_with(&invite.text, "302 Moved", "Contact: <sip:bob@far.example>\r\n");
    bench.give(IM, &moved);
    let left = later(&mut bench, 4);
    assert_eq!(status(&left, 302).field("contact"), "<sip:bob@far.example>");
}

#[test]
fn a_challenge_is_the_callers_and_so_are_its_credentials() {
    let mut bench = bench();
    let challenge = "Proxy-Authenticate: Digest realm=\"im\", nonce=\"1\"\r\n";
    let first = rung(&mut bench, &invite(1));
    bench.give(IM, &answer_with(&first.text, "407 Proxy Authentication Required", challenge));
    let left = later(&mut bench, 4);
    let error = status(&left, 407).clone();
    assert_eq!(error.field("proxy-authenticate"), "Digest realm=\"im\", nonce=\"1\"");
    bench.give(IM_2, &inside("ACK", 7, &error, true));
    let fields = "Proxy-Authorization: Digest username=\"alice\"\r\n";
    let again = invite_with(2, fields, &sdp(ALICES, "actpass", ""));
    let again = rung(&mut bench, &again);
    assert_eq!(again.field("proxy-authorization"), "Digest username=\"alice\"");
}

#[test]
fn copies_of_an_invite_are_absorbed_and_get_the_last_answer_again() {
    let mut bench = bench();
    let first = rung(&mut bench, &invite(1));
    assert_eq!(statuses(&bench.give(IM_2, &invite(1))), [100]);
    bench.give(IM, &answer(&first.text, "180 Ringing"));
    let left = bench.give(IM_2, &invite(1));
    assert_eq!(statuses(&left), [180]);
    assert!(later(&mut bench, 1_000).is_empty(), "one INVITE to Bob");
    bench.give(IM, &agreed(&first, "active", ""));
    let left = later(&mut bench, 4);
    let ok = status(&left, 200).clone();
    assert!(bench.give(IM_2, &invite(1)).is_empty(), "RFC 6026: absorbed");
    // The 2xx is ours to repeat, until the ACK.
    assert_eq!(statuses(&later(&mut bench, 1_600)), [200, 200]);
    bench.give(IM_2, &inside("ACK", 7, &ok, true));
    assert!(later(&mut bench, 10_000).is_empty());
    // Bob's is acknowledged again.
    only(&bench.give(IM, &agreed(&first, "active", "")), "ACK");
}

#[test]
fn without_an_ack_both_sides_are_ended() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    bench.give(IM, &agreed(&invite, "active", ""));
    let left = later(&mut bench, 29_000);
    assert!(left.iter().all(|one| one.text.starts_with("SIP/2.0 200 ")) && left.len() > 5);
    // Nobody has connected, either.
    let left = later(&mut bench, 3_500);
    let byes: Vec<_> = left.iter().filter(|one| one.text.starts_with("BYE ")).collect();
    assert!(byes.iter().any(|bye| bye.to == IM.parse().unwrap()));
    assert!(byes.iter().any(|bye| bye.to == IM_2.parse().unwrap()), "{left:#?}");
}

#[test]
fn a_cancel_of_the_caller_reaches_the_callee() {
    for rings in [true, false] {
        let mut bench = bench();
        let text = invite(1);
        let invite = rung(&mut bench, &text);
        if rings {
            bench.give(IM, &answer(&invite.text, "180 Ringing"));
        }
        let cancel = cancel_of(&text);
        let left = bench.give(IM_2, &cancel);
        let ok = status(&left, 200);
        assert_eq!((left.len(), ok.field("cseq")), (1, "7 CANCEL"));
        let left = later(&mut bench, 6);
        let over = status(&left, 487).clone();
        assert_eq!(over.field("to"), ok.field("to"), "section 9.2: the same tag");
        let onward = if rings {
            only(&left, "CANCEL").clone()
        } else {
            // It waits for a provisional response (section 9.1).
            assert_eq!(left.len(), 1);
            let left = bench.give(IM, &answer(&invite.text, "100 Trying"));
            only(&left, "CANCEL").clone()
        };
        assert_eq!(onward.field("via"), invite.field("via"));
        assert_eq!(onward.field("cseq"), "1 CANCEL");
        assert!(bench.give(IM, &answer(&onward.text, "200 OK")).is_empty());
        let left = bench.give(IM, &answer(&invite.text, "487 Request Terminated"));
        assert_eq!(left.len(), 1);
        only(&left, "ACK");
        assert!(bench.give(IM_2, &inside("ACK", 7, &over, true)).is_empty());
        assert_eq!(statuses(&bench.give(IM_2, &cancel)), [200], "its copy");
        assert!(later(&mut bench, 40_000).is_empty());
        assert_eq!((bench.engine.calls(), bench.count(Counter::CancelsIn)), (0, 1));
        // Nothing of it is known any more.
        assert_eq!(statuses(&bench.give(IM_2, &cancel)), [481]);
    }
}

pub(crate) fn cancel_of(invite: &str) -> String {
    let head = invite.split("Contact:").next().unwrap();
    format!("{}Content-Length: 0\r\n\r\n", head.replace("INVITE", "CANCEL"))
}

#[test]
fn a_cancel_that_crosses_with_a_2xx_ends_the_callee_with_bye() {
    let mut bench = bench();
    let text = invite(1);
    let invite = rung(&mut bench, &text);
    bench.give(IM, &answer(&invite.text, "180 Ringing"));
    bench.give(IM_2, &cancel_of(&text));
    let left = later(&mut bench, 6);
    let cancel = only(&left, "CANCEL").clone();
    let left = bench.give(IM, &agreed(&invite, "passive", ""));
    only(&left, "ACK");
    bench.give(IM, &answer(&cancel.text, "481 Too Late"));
    let left = later(&mut bench, 10);
    let bye = only(&left, "BYE").clone();
    assert_eq!(bye.to, IM.parse().unwrap());
    assert!(bench.give(IM, &answer_ok(&bye)).is_empty());
    assert!(wishes(&mut bench.out).is_empty(), "nobody connects");
    assert!(later(&mut bench, 33_000).iter().all(|one| one.text.contains("487")));
}

#[test]
fn a_cancel_that_comes_after_the_2xx_changes_nothing() {
    let mut bench = bench();
    let text = invite(1);
    let invite = rung(&mut bench, &text);
    bench.give(IM, &agreed(&invite, "active", ""));
    let left = later(&mut bench, 4);
    let ok = status(&left, 200).clone();
    assert_eq!(statuses(&bench.give(IM_2, &cancel_of(&text))), [200]);
    bench.give(IM_2, &inside("ACK", 7, &ok, true));
    assert!(later(&mut bench, 5_000).is_empty(), "the session is there");
    assert_eq!(bench.count(Counter::CancelsIn), 0);
}

#[test]
fn bye_while_it_rings_is_a_cancel() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let left = bench.give(IM, &answer(&invite.text, "180 Ringing"));
    let ringing = status(&left, 180).clone();
    assert_eq!(statuses(&bench.give(IM_2, &inside("BYE", 8, &ringing, true))), [200]);
    let left = later(&mut bench, 6);
    status(&left, 487);
    only(&left, "CANCEL");
}

#[test]
fn bye_before_the_ack_and_before_a_connection() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let left = bench.give(IM, &agreed(&invite, "passive", ""));
    let ack = only(&left, "ACK").clone();
    // Bob changes his mind at once.
    assert_eq!(statuses(&bench.give(IM, &inside("BYE", 1, &ack, false))), [200]);
    let left = later(&mut bench, 1_000);
    let ok = status(&left, 200).clone();
    assert!(left.iter().all(|one| !one.text.starts_with("BYE")), "section 15: not before the ACK");
    bench.give(IM_2, &inside("ACK", 7, &ok, true));
    let left = later(&mut bench, 10);
    let bye = only(&left, "BYE").clone();
    assert_eq!(bye.to, IM_2.parse().unwrap());
    bench.give(IM_2, &answer_ok(&bye));
    later(&mut bench, 33_000);
}

/// What Bob said waits for Alice, who has ended the session before her connection is there: it gives her that, and
/// is no new beginning.
#[test]
fn bye_before_a_connection_ends_both_when_that_has_come() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let left = bench.give(IM, &agreed(&invite, "passive", ""));
    only(&left, "ACK");
    let owner = connecting(&mut bench, BOB_AT);
    let left = later(&mut bench, 4);
    let ok = status(&left, 200).clone();
    bench.give(IM_2, &inside("ACK", 7, &ok, true));
    let (alice, bob) = (Line::from(0, ALICE_AT), Line::from(1, BOB_AT));
    bob.opened(&mut bench, Some(owner));
    let bound = bob.taken(&mut bench);
    bob.says(&mut bench, &response(&bound, "200 OK"));
    let [ours_of_alice, ours_of_bob] =
        [&ok, &invite].map(|it| attribute(&body(it), "path").to_owned());
    let said = send("b0b1", (&ours_of_bob, BOBS), &format!("{ID}Byte-Range: 1-2/2\r\n"), "hi", '$');
    bob.says(&mut bench, &said);
    assert_eq!(statuses(&bench.give(IM_2, &inside("BYE", 8, &ok, true))), [200]);
    alice.opened(&mut bench, None);
    alice.says(&mut bench, &empty("b1nd", (&ours_of_alice, ALICES)));
    assert!(alice.taken(&mut bench).contains("Message-ID: m0001\r\n"));
    let left = later(&mut bench, 1_100);
    let bye = only(&left, "BYE").clone();
    assert_eq!(bye.to, IM.parse().unwrap());
    bench.give(IM, &answer_ok(&bye));
    later(&mut bench, 33_000);
    assert_eq!(bench.engine.calls(), 0, "nothing is left");
}

#[test]
fn whoever_never_connects_ends_both() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let left = bench.give(IM, &agreed(&invite, "passive", ""));
    only(&left, "ACK");
    let owner = connecting(&mut bench, BOB_AT);
    let left = later(&mut bench, 4);
    bench.give(IM_2, &inside("ACK", 7, status(&left, 200), true));
    let bob = Line::from(1, BOB_AT);
    bob.opened(&mut bench, Some(owner));
    let bound = bob.taken(&mut bench);
    bob.says(&mut bench, &response(&bound, "200 OK"));
    assert!(later(&mut bench, 29_900).is_empty());
    let left = later(&mut bench, 200);
    let byes = left.iter().filter(|one| one.text.starts_with("BYE ")).count();
    assert_eq!(byes, 2, "{left:#?}");
    assert_eq!(bench.count(Counter::CarryEnded), 1);
}

#[test]
fn where_nobody_can_be_connected_to_or_knows_the_session_both_are_ended() {
    for refused in [true, false] {
        let mut bench = bench();
        let invite = rung(&mut bench, &invite(1));
        bench.give(IM, &agreed(&invite, "passive", ""));
        let owner = connecting(&mut bench, BOB_AT);
        let left = later(&mut bench, 4);
        bench.give(IM_2, &inside("ACK", 7, status(&left, 200), true));
        if refused {
            let event = roger::packet::StreamEvent::Refused { owner, at: bench.now };
            bench.engine.on_stream(event, &mut bench.out);
        } else {
            let bob = Line::from(1, BOB_AT);
            bob.opened(&mut bench, Some(owner));
            let bound = bob.taken(&mut bench);
            bob.says(&mut bench, &response(&bound, "481 Unknown"));
        }
        let left = later(&mut bench, 10);
        assert_eq!(left.iter().filter(|one| one.text.starts_with("BYE ")).count(), 2);
    }
}

#[test]
fn of_a_forked_invite_the_first_answer_is_used_and_the_others_are_ended() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    bench.give(IM, &agreed(&invite, "active", ""));
    let other = agreed(&invite, "active", "").replace(";tag=uas", ";tag=other");
    let left = bench.give(IM, &other);
    assert!(only(&left, "ACK").field("to").ends_with(";tag=other"));
    let left = later(&mut bench, 10);
    assert_eq!(statuses(&left), [200], "one to Alice");
    assert!(only(&left, "BYE").field("to").ends_with(";tag=other"));
}

#[test]
fn what_cannot_be_carried_is_refused_before_anything_is_sent_on() {
    let audio = "v=0\r\no=- 1 1 IN IP4 10.0.0.10\r\ns=-\r\nc=IN IP4 10.0.0.10\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\n";
    let tls =
        sdp(ALICES, "actpass", "").replace("TCP/MSRP", "TCP/TLS/MSRP").replace("msrp:", "msrps:");
    let mine = invite(1);
    for (text, expected) in [
        (invite_with(1, "", audio), 488),
        (invite_with(1, "", &tls), 488),
        (invite_with(1, "", ""), 488),
        (mine.replace("application/sdp", "text/plain"), 488),
        (invite_with(1, "", "v=1\r\n"), 400),
        (mine.replace("Max-Forwards: 20", "Max-Forwards: 0"), 483),
        (mine.replace("Max-Forwards: 20", "Max-Forwards: 20\r\nRequire: 100rel"), 420),
        (mine.replace("Max-Forwards: 20", "Max-Forwards: 20\r\nProxy-Require: x"), 420),
        (mine.replace("To: <sip:bob@im.example>", "To: <sip:bob@im.example>;tag=gone"), 481),
    ] {
        let mut bench = bench();
        let left = bench.give(IM_2, &text);
        assert_eq!(statuses(&left), [expected], "{text}");
        assert!(later(&mut bench, 1_000).is_empty());
        assert_eq!(bench.engine.calls(), 0);
    }
    // Who has no sessions gets none.
    let mut setup = carry_setup(MsrpRole::Endpoint);
    setup.peers[2].msrp = None;
    assert_eq!(statuses(&Bench::with(setup).give(IM_2, &mine)), [405]);
    let mut setup = carry_setup(MsrpRole::Endpoint);
    setup.peers[1].msrp = None;
    assert_eq!(statuses(&Bench::with(setup).give(IM_2, &mine)), [403]);
}

#[test]
fn an_invite_of_ours_that_comes_back_is_a_loop_and_a_spiral_is_not() {
    let mut bench = bench();
    let invite = rung(&mut bench, &invite(1));
    let via = "SIP/2.0/UDP 10.0.0.10:5070;branch=z9hG4bKback\r\nVia: ";
    let back = invite.text.replace("Via: ", &format!("Via: {via}"));
    assert_eq!(statuses(&bench.give(IM_2, &back)), [482]);
    let spiral = back.replace("INVITE sip:bob@", "INVITE sip:robert@");
    assert_eq!(statuses(&bench.give(IM_2, &spiral)), [100]);
}

#[test]
fn without_room_nothing_is_sent_on_and_that_is_remembered() {
    let mut setup = carry_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.sessions_max = 2;
    }
    let mut bench = Bench::with(setup);
    let first = rung(&mut bench, &invite(1));
    let left = bench.give(IM_2, &invite(2));
    let refused = status(&left, 503);
    assert!(!refused.field("retry-after").is_empty());
    assert_eq!(bench.count(Counter::CarryNoRoom), 1);
    bench.give(IM, &answer(&first.text, "486 Busy Here"));
    let left = later(&mut bench, 4);
    bench.give(IM_2, &inside("ACK", 7, status(&left, 486), true));
    later(&mut bench, 31_000);
    assert_eq!(statuses(&bench.give(IM_2, &invite(2))), [503], "its copy, whatever is free now");
    later(&mut bench, 10_000);
    rung(&mut bench, &invite(3));
}

#[test]
fn an_answer_that_cannot_be_used_is_ended_and_the_caller_is_told() {
    for body in [
        "",
        "v=0\r\n",
        &sdp(BOBS, "actpass", ""),
        &sdp(BOBS, "passive", "").replace(" 7777 ", " 0 "),
    ] {
        let mut bench = bench();
        let invite = rung(&mut bench, &invite(1));
        let left = bench.give(IM, &with_body(&invite, body));
        only(&left, "ACK");
        let left = later(&mut bench, 10);
        assert_eq!(only(&left, "BYE").to, IM.parse().unwrap());
        status(&left, 488);
        assert!(wishes(&mut bench.out).is_empty());
    }
}

#[test]
fn who_never_answers_is_given_up_and_who_rings_is_waited_for() {
    let mut bench = bench();
    rung(&mut bench, &invite(1));
    let left = later(&mut bench, 32_100);
    assert!(left.iter().filter(|one| one.text.starts_with("INVITE ")).count() >= 6);
    assert_eq!(statuses(&left), [408]);
    let mut bench = self::bench();
    let invite = rung(&mut bench, &invite(2));
    bench.give(IM, &answer(&invite.text, "180 Ringing"));
    assert!(later(&mut bench, 184_000).is_empty(), "timer C is three minutes");
    let left = later(&mut bench, 1_100);
    only(&left, "CANCEL");
    status(&left, 408);
}

/// Whichever worker a packet comes to, both sides live on the home of the INVITE.
#[test]
fn everything_of_a_pair_lives_on_one_worker() {
    use roger::engine::{Engine, Neighbours, home_of};
    use std::sync::Arc;
    let setup = carry_setup(MsrpRole::Endpoint);
    let now = roger::time::Instant(1_000_000_000_000);
    let mut benches: Vec<Bench> = Neighbours::group(2, setup.next_servers.len())
        .into_iter()
        .map(|worker| {
            let setup = Setup { worker: worker.own(), ..setup.clone() };
            let tally = Arc::new(roger::metrics::Tally::new(setup.peers.len()));
            let engine = Engine::among(worker, setup, Arc::clone(&tally), now);
            Bench {
                engine,
                out: roger::packet::Departures::with_connections(64),
                now,
                tally,
                sent: Ok(()),
            }
        })
        .collect();
    let home = usize::from(home_of(setup.key, b"sip:bob@im.example:5070", 2).0);
    let other = 1 - home;
    // Everything comes to the other one.
    let give = |benches: &mut Vec<Bench>, from: &str, text: &str| {
        assert!(benches[other].give(from, text).is_empty());
        let at = &mut benches[home];
        assert_eq!(at.engine.on_handed(64, at.now, &mut at.out), 1, "{text}");
        let mut left = at.leave();
        left.extend(later(at, 4));
        left
    };
    let text = invite(1);
    let left = give(&mut benches, IM_2, &text);
    assert_eq!(statuses(&left), [100]);
    let onward = only(&left, "INVITE").clone();
    assert_eq!(statuses(&give(&mut benches, IM, &answer(&onward.text, "180 Ringing"))), [180]);
    assert_eq!(statuses(&give(&mut benches, IM_2, &text)), [180], "a copy");
    let left = give(&mut benches, IM, &agreed(&onward, "active", ""));
    let ack = only(&left, "ACK").clone();
    let ok = status(&left, 200).clone();
    assert!(give(&mut benches, IM_2, &inside("ACK", 7, &ok, true)).is_empty());
    let left = give(&mut benches, IM, &inside("BYE", 1, &ack, false));
    assert_eq!(statuses(&left), [200]);
    assert_eq!(only(&left, "BYE").to, IM_2.parse().unwrap());
    // So does a CANCEL.
    let left = give(&mut benches, IM_2, &invite(2));
    assert_eq!(statuses(&left), [100]);
    let left = give(&mut benches, IM_2, &cancel_of(&invite(2)));
    assert_eq!(statuses(&left), [200, 487]);
    assert_eq!(benches[other].engine.calls(), 0);
}

#[test]
fn an_identity_is_shown_where_it_is_believed_and_may_be_seen() {
    let asserted = "P-Asserted-Identity: <sip:alice@im-2.example>\r\n";
    let private = format!("{asserted}Privacy: id\r\n");
    for (fields, of_alice, of_bob, is_shown) in [
        (asserted, true, false, true),
        (asserted, false, true, false),
        (&private, true, false, false),
        (&private, true, true, true),
    ] {
        let mut setup = carry_setup(MsrpRole::Endpoint);
        setup.peers[2].trusted = of_alice;
        setup.peers[1].trusted = of_bob;
        let mut bench = Bench::with(setup);
        let invite = rung(&mut bench, &invite_with(1, fields, &sdp(ALICES, "actpass", "")));
        assert_eq!(!invite.field("p-asserted-identity").is_empty(), is_shown, "{fields}");
    }
}

#[test]
fn of_several_streams_the_one_that_can_be_carried_is() {
    let mut bench = bench();
    let offer = sdp(ALICES, "active", "a=sendonly\r\n")
        .replace("m=message", "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=message");
    let invite = rung(&mut bench, &invite_with(1, "", &offer));
    let onward = body(&invite);
    assert_eq!(onward.matches("m=").count(), 1, "{onward}");
    assert!(onward.contains("a=sendonly\r\n") && !onward.contains("rtpmap"));
    bench.give(IM, &agreed(&invite, "active", ""));
    let left = later(&mut bench, 4);
    let said = body(status(&left, 200));
    assert!(said.contains("m=audio 0 RTP/AVP 0\r\nm=message 2855 TCP/MSRP *\r\n"), "{said}");
    assert!(said.contains("a=recvonly\r\n"), "what may be said to one who only sends: {said}");
    assert_eq!(attribute(&said, "setup"), "passive");
}

#[test]
fn where_a_route_leads_is_where_it_goes_and_the_rest_of_it_goes_with_it() {
    let mut bench = bench();
    let routes = "Route: <sip:10.0.0.5:5060;lr>, <sip:10.0.0.9:5070;lr>,<sip:far.example;lr>\r\n";
    let text = invite_with(1, routes, &sdp(ALICES, "actpass", ""));
    let invite = rung(&mut bench, &text);
    assert_eq!(invite.field("route"), "<sip:10.0.0.9:5070;lr>,<sip:far.example;lr>");
    bench.give(IM, &answer(&invite.text, "180 Ringing"));
    bench.give(IM_2, &cancel_of(&text));
    let left = later(&mut bench, 6);
    assert_eq!(only(&left, "CANCEL").field("route"), invite.field("route"));
    // An INVITE that is longer than what is kept of it is refused as that.
    let long = format!("a=x:{}\r\n", "y".repeat(2_100));
    let text = invite_with(2, "", &sdp(ALICES, "actpass", &long));
    assert_eq!(statuses(&bench.give(IM_2, &text)), [513]);
}

#[test]
fn a_session_timer_of_the_caller_is_kept_by_us() {
    let mut bench = bench();
    let fields = "Supported: timer\r\nSession-Expires: 1800\r\n";
    let invite = rung(&mut bench, &invite_with(1, fields, &sdp(ALICES, "actpass", "")));
    assert_eq!(invite.field("session-expires"), "");
    bench.give(IM, &agreed(&invite, "active", ""));
    let left = later(&mut bench, 4);
    let ok = status(&left, 200);
    assert_eq!(ok.field("session-expires"), "1800;refresher=uac");
    assert_eq!(ok.field("require"), "timer");
}
