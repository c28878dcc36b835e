//! Sessions that pass through: what never does, whoever sends it.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use roger::delivery::MsrpRole;
use roger::engine::{Families, Secure};
use roger::limits::{DATAGRAM_SIZE_MAX, SIP_HEADER_SIZE_MAX};
use roger::metrics::Counter;
use roger::packet::{Certificate, SocketId, StreamEvent, Wish};

use crate::bench::{Bench, IM, IM_2, answer, answer_with};
use crate::carry::{
    ALICES, agreed, attribute, body, cancel_of, carry_setup, empty, inside, invite, invite_with,
    rung, sdp, send, statuses,
};
use crate::large::{Line, later, only, wishes};

fn bench() -> Bench {
    Bench::with(carry_setup(MsrpRole::Endpoint))
}

/// An INVITE of `whole` octets whose header section has `head` of them, in ways back mostly.
fn long_invite(head: usize, whole: usize) -> String {
    let (mut ways, mut lines) = (0, 0);
    loop {
        let more = format!("a=x:{}\r\n", "y".repeat(lines));
        let way = format!("\r\nVia: SIP/2.0/UDP a;branch={}\r\nMax-F", "z".repeat(ways));
        let text = invite_with(1, "", &sdp(ALICES, "actpass", &more));
        let text = text.replacen("\r\nMax-F", &way, 1);
        let section = text.find("\r\n\r\n").unwrap() - text.find("\r\n").unwrap();
        if (section, text.len()) == (head, whole) {
            return text;
        }
        ways = (ways + head).saturating_sub(section);
        lines = (lines + whole + section).saturating_sub(text.len() + head);
    }
}

#[test]
fn an_invite_that_is_too_long_is_refused_for_good() {
    for (whole, expected) in
        [(DATAGRAM_SIZE_MAX, 100), (DATAGRAM_SIZE_MAX + 1, 513), (DATAGRAM_SIZE_MAX + 400, 513)]
    {
        let mut bench = bench();
        let text = long_invite(7_500, whole);
        assert_eq!(statuses(&bench.give(IM_2, &text)), [expected], "{whole}");
        // No room would be a word about now.
        assert_eq!(bench.count(Counter::CarryNoRoom), 0);
        assert_eq!(bench.engine.calls(), if expected == 100 { 2 } else { 0 });
    }
}

/// What an error says is less than that there is one.
#[test]
fn of_an_error_that_is_too_long_its_status_is_told() {
    let mut bench = bench();
    let text = long_invite(SIP_HEADER_SIZE_MAX - 4, DATAGRAM_SIZE_MAX);
    let invite = rung(&mut bench, &text);
    let words = format!("Warning: 399 x \"{}\"\r\n", "w".repeat(1_000));
    only(&bench.give(IM, &answer_with(&invite.text, "486 Busy Here", &words)), "ACK");
    let left = later(&mut bench, 4);
    assert_eq!(statuses(&left), [486]);
    assert_eq!(left[0].field("warning"), "");
    assert!(left[0].text.len() > SIP_HEADER_SIZE_MAX - 200, "{}", left[0].text.len());
    assert!(bench.give(IM_2, &inside("ACK", 7, &left[0], true)).is_empty());
    assert!(later(&mut bench, 40_000).is_empty());
    assert_eq!(bench.engine.calls(), 0);
}

/// A peer whose sessions have TLS gets none without, and nobody brings a session without TLS onto a connection
/// with it: it would look as if it had been proved whose that is.
#[test]
fn sessions_over_tls_do_not_pass() {
    for number in [1, 2] {
        let mut setup = carry_setup(MsrpRole::Endpoint);
        setup.peers[number].msrp_tls = true;
        let mut bench = Bench::with(setup);
        assert_eq!(statuses(&bench.give(IM_2, &invite(1))), [488]);
        assert_eq!(bench.count(Counter::CarryUnacceptable), 1);
        assert_eq!(bench.engine.calls(), 0);
    }
    let mut setup = carry_setup(MsrpRole::Endpoint);
    if let Some(large) = &mut setup.large {
        large.secure = Some(Secure {
            sockets: Families { v4: Some(SocketId(2)), v6: None },
            authority_v4: "10.0.0.5:2865".into(),
            authority_v6: "".into(),
            fingerprint: Arc::new(AtomicCell::new([0xAB; 32])),
        });
    }
    let mut bench = Bench::with(setup);
    let invite = rung(&mut bench, &invite(1));
    bench.give(IM, &agreed(&invite, "active", ""));
    let left = later(&mut bench, 4);
    let ours = attribute(&body(&left[0]), "path").to_owned();
    let certificate =
        Certificate { sha256: [7; 32], sha384: [0; 48], sha512: [0; 64], is_named: true };
    for (number, certificate) in [(0, Some(&certificate)), (1, None)] {
        let line = Line::from(number, "10.0.0.10:8888");
        let event =
            StreamEvent::Opened { flow: line.flow, owner: None, certificate, at: bench.now };
        bench.engine.on_stream(event, &mut bench.out);
        line.says(&mut bench, &empty("b1nd", (&ours, ALICES)));
        let wished = wishes(&mut bench.out);
        if certificate.is_some() {
            assert_eq!(wished, [Wish::Close(line.id)], "and nothing is said");
        } else {
            assert_eq!(wished, [Wish::Write(line.id)], "the session has waited for this one");
            assert!(line.filled(&mut bench).starts_with("MSRP b1nd 200"));
        }
        assert_eq!(bench.count(Counter::MsrpWrongCertificate), 1);
    }
}

/// Where the SMS side has an SC and sessions pass, each INVITE and its CANCEL have one who takes them.
#[test]
fn an_invite_is_for_the_sms_side_or_passes() {
    let mut setup = carry_setup(MsrpRole::Endpoint);
    setup.gateway.domain = "sms.example".into();
    setup.peers[0].submit = Some("+491710760000".into());
    if let Some(large) = &mut setup.large {
        large.submissions_max = 16;
    }
    let mut bench = Bench::with(setup);
    let uri = "sip:+491711234567@sms.example";
    let offer = sdp(ALICES, "actpass", "a=sendonly\r\n");
    let inward = |number: u32, uri: &str| {
        invite_with(number, "", &offer).replace("sip:bob@im.example:5070", uri)
    };
    let left = bench.give(IM_2, &inward(1, uri));
    assert_eq!(statuses(&left), [200]);
    let ok = left[0].clone();
    assert_eq!(statuses(&bench.give(IM_2, &cancel_of(&inward(1, uri)))), [200]);
    assert!(bench.give(IM_2, &inside("ACK", 7, &ok, true)).is_empty());
    assert_eq!(statuses(&bench.give(IM_2, &inward(2, "tel:+491711234567"))), [200]);
    assert_eq!((bench.count(Counter::CallsTaken), bench.count(Counter::CallsCarried)), (2, 0));

    // What is sent there is a message for the SC, whatever passes beside it.
    let ours = attribute(&body(&ok), "path").to_owned();
    let line = Line::from(0, "10.0.0.10:8888");
    line.opened(&mut bench, None);
    let fields = "Message-ID: m0001\r\nByte-Range: 1-5/5\r\n";
    let left = line.says(&mut bench, &send("t001", (&ours, ALICES), fields, "hello", '$'));
    assert_eq!(only(&left, "MESSAGE").field("content-type"), "application/vnd.3gpp.sms");

    let invite = rung(&mut bench, &invite(3));
    assert_eq!(bench.count(Counter::CallsCarried), 1);
    bench.give(IM, &answer(&invite.text, "180 Ringing"));
    let left = bench.give(IM_2, &cancel_of(&self::invite(3)));
    assert_eq!(statuses(&left), [200]);
    assert_eq!(only(&later(&mut bench, 4), "CANCEL").field("call-id"), invite.field("call-id"));
    // Nobody has sent this one.
    assert_eq!(statuses(&bench.give(IM_2, &cancel_of(&self::invite(4)))), [481]);
    assert_eq!(statuses(&bench.give(IM_2, &cancel_of(&inward(5, uri)))), [481]);
}
