//! Who connects to whom in sessions for the SMS side, and with which certificate.

use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use roger::delivery::Verdict;
use roger::engine::{Families, Large, Secure};
use roger::metrics::Counter;
use roger::packet::{Certificate, Flow, Owner, SocketId, StreamEvent, Wish};

use crate::bench::{Bench, IM, Left, answer, endpoint};
use crate::inward::{BOTH, MSRP_SOCKET, Talk, acked, connection, inward_bench, inward_setup};
use crate::inward::{later, mr, offer, reported, submitted};

const MSRPS_SOCKET: SocketId = SocketId(2);

/// An offer that waits for us.
fn passive(number: u32) -> String {
    offer(number, "text/plain").replace("a=setup:actpass\r\n", "a=setup:passive\r\n")
}

/// Where our 200 leads, and the dialog is there; what the ACK leads to.
fn agreed(bench: &mut Bench, number: u32, invite: &str, secure: bool) -> (Talk, Vec<Wish>) {
    let left = bench.give(IM, invite);
    assert_eq!(left[0].status(), 200, "{}", left[0].text);
    assert_eq!(wishes(bench), [], "not before the answer is known");
    let sdp = String::from_utf8(left[0].body().to_vec()).unwrap();
    let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    assert_eq!(path.starts_with("msrps:"), secure, "{path}");
    assert_eq!(sdp.to_lowercase().contains("a=fingerprint:sha-256 09:09"), secure, "{sdp}");
    assert_eq!(sdp.contains("TCP/TLS/MSRP"), secure, "{sdp}");
    let to = left[0].field("to").to_owned();
    let id = connection(u16::try_from(number).unwrap());
    let talk = Talk { number, id, path, to };
    assert!(bench.give(IM, &talk.request("ACK", 1)).is_empty());
    (talk, wishes(bench))
}

fn wishes(bench: &mut Bench) -> Vec<Wish> {
    core::iter::from_fn(|| bench.out.pop_wish()).collect()
}

fn opened(bench: &mut Bench, talk: &Talk, owner: Option<Owner>, certificate: Option<&Certificate>) {
    let socket = if certificate.is_some() { MSRPS_SOCKET } else { MSRP_SOCKET };
    let flow = Flow::to(endpoint("10.0.0.9:7777"), socket);
    let flow = Flow { connection: Some(talk.id), ..flow };
    let event = StreamEvent::Opened { flow, owner, certificate, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
}

/// The answer of the phone to what was said to it.
fn response(send: &str, code: &str) -> String {
    let line = |name: &str| {
        let rest = send.split(name).nth(1).unwrap_or_else(|| panic!("{name} in {send}"));
        rest.split("\r\n").next().unwrap().to_owned()
    };
    let id = send.split(' ').nth(1).unwrap();
    format!(
        "MSRP {id} {code}\r\nTo-Path: {}\r\nFrom-Path: {}\r\n-------{id}$\r\n",
        line("From-Path: "),
        line("To-Path: ")
    )
}

/// The first BYE among what leaves soon.
fn bye(bench: &mut Bench) -> Option<Left> {
    later(bench, 10).into_iter().find(|left| left.text.starts_with("BYE "))
}

#[test]
fn whoever_waits_for_us_is_connected_to_and_hears_whose_connection_it_is() {
    let mut bench = inward_bench();
    let (talk, wished) = agreed(&mut bench, 1, &passive(1), false);
    let [Wish::Connect { flow, owner }] = wished[..] else { panic!("{wished:?}") };
    assert_eq!(flow, Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET));
    opened(&mut bench, &talk, Some(owner), None);
    let send = talk.heard(&mut bench);
    assert!(send.contains(" SEND\r\n") && send.ends_with("$\r\n"), "{send}");
    assert!(send.contains("Byte-Range: 1-0/0\r\n") && !send.contains("Content-Type"), "{send}");
    assert!(talk.says(&mut bench, &response(&send, "200 OK")).is_empty());
    let left = talk.whole(&mut bench, BOTH, "hello");
    let part = submitted(&mut bench, &left);
    acked(&mut bench, 1, &part);
    reported(&mut bench, 2, mr(&part), 0);
    assert!(talk.heard(&mut bench).contains("Status: 000 200"));
    assert_eq!(bench.account().verdict, Verdict::Delivered);
    // An ACK that comes again leads nowhere.
    assert!(bench.give(IM, &talk.request("ACK", 1)).is_empty());
    assert_eq!(wishes(&mut bench), []);
    // Another session with the same phone has the same connection.
    let (second, wished) = agreed(&mut bench, 2, &passive(2), false);
    assert_eq!(wished, [Wish::Write(talk.id)], "{}", second.path);
    let greeting = Talk { id: talk.id, ..second };
    bench.out.wish(Wish::Write(talk.id));
    let send = greeting.heard(&mut bench);
    // It has forgotten the session: nothing will come.
    assert!(greeting.says(&mut bench, &response(&send, "481 No Session")).is_empty());
    let bye = bye(&mut bench).expect("a BYE");
    assert!(bye.text.contains("phone-2@"), "{}", bye.text);
    assert_eq!(bench.count(Counter::MsrpStray), 0);
}

#[test]
fn where_nobody_waits_the_session_is_ended() {
    let mut bench = inward_bench();
    let (_, wished) = agreed(&mut bench, 1, &passive(1), false);
    let [Wish::Connect { owner, .. }] = wished[..] else { panic!("{wished:?}") };
    let event = StreamEvent::Refused { owner, at: bench.now };
    bench.engine.on_stream(event, &mut bench.out);
    let bye = bye(&mut bench).expect("a BYE");
    bench.give(IM, &answer(&bye.text, "200 OK").replace(";tag=uas", ""));
    later(&mut bench, 33_000);
    assert_eq!(bench.engine.calls(), 0);
    // A name that nobody has resolved leads nowhere: that is said at once.
    let named = passive(2)
        .replace("c=IN IP4 10.0.0.9", "c=IN IP4 ph.exam.")
        .replace("msrp://10.0.0.9:7777", "msrp://ph.exam.:7777");
    assert_eq!(bench.give(IM, &named)[0].status(), 488);
    // Who greets and is not answered may be spoken to all the same.
    let (talk, wished) = agreed(&mut bench, 3, &passive(3), false);
    let [Wish::Connect { owner, .. }] = wished[..] else { panic!("{wished:?}") };
    opened(&mut bench, &talk, Some(owner), None);
    talk.heard(&mut bench);
    assert!(later(&mut bench, 31_000).is_empty());
    assert_eq!(bench.count(Counter::MsrpTimeouts), 1);
    let left = talk.whole(&mut bench, BOTH, "hello");
    submitted(&mut bench, &left);
}

#[test]
fn whoever_waits_is_connected_to_once_and_not_any_more_when_it_is_over() {
    // It was ended before its ACK came.
    let mut bench = inward_bench();
    let left = bench.give(IM, &passive(1));
    let to = left[0].field("to").to_owned();
    let talk = Talk { number: 1, id: connection(1), path: String::new(), to };
    bench.engine.serve(roger::engine::Serving::Refusing);
    later(&mut bench, 4);
    bench.give(IM, &talk.request("ACK", 1));
    assert_eq!(wishes(&mut bench), []);
    // The ACK of a re-INVITE is another one.
    let mut bench = inward_bench();
    let (talk, wished) = agreed(&mut bench, 2, &passive(2), false);
    assert_eq!(wished.len(), 1);
    let tag = talk.to.split(";tag=").nth(1).unwrap();
    let again = passive(2)
        .replace("1 INVITE", "2 INVITE")
        .replace("INVITE1", "INVITE2")
        .replace("user=phone>\r\nCall-ID", &format!("user=phone>;tag={tag}\r\nCall-ID"));
    assert_eq!(bench.give(IM, &again)[0].status(), 200);
    assert!(bench.give(IM, &talk.request("ACK", 2)).is_empty());
    assert_eq!(wishes(&mut bench), []);
    // There is no place for another connection.
    let mut setup = inward_setup(16);
    if let Some(large) = &mut setup.large {
        large.connections_max = 1;
    }
    let mut bench = Bench::with(setup);
    Talk::open(&mut bench, 3);
    let (_, wished) = agreed(&mut bench, 4, &passive(4), false);
    assert_eq!(wished, []);
    assert!(bye(&mut bench).is_some_and(|bye| bye.text.contains("phone-4@")));
}

/// More of them, one after the other, than there may be at a time.
#[test]
fn greetings_take_no_room() {
    let mut bench = inward_bench();
    let (first, wished) = agreed(&mut bench, 1, &passive(1), false);
    let [Wish::Connect { owner, .. }] = wished[..] else { panic!("{wished:?}") };
    opened(&mut bench, &first, Some(owner), None);
    first.heard(&mut bench);
    for number in 2..90 {
        let (talk, wished) = agreed(&mut bench, number, &passive(number), false);
        assert_eq!(wished, [Wish::Write(first.id)], "{number}");
        bench.out.wish(Wish::Write(first.id));
        let talk = Talk { id: first.id, ..talk };
        let send = talk.heard(&mut bench);
        assert!(send.contains(" SEND\r\n"), "{number}: {send}");
        if number % 2 == 0 {
            talk.says(&mut bench, &response(&send, "200 OK"));
        }
        assert_eq!(bench.give(IM, &talk.request("BYE", 2))[0].status(), 200);
        later(&mut bench, 4);
    }
}

/// The same where sessions have TLS.
fn secure_bench() -> Bench {
    let mut setup = inward_setup(16);
    setup.peers[1].msrp_tls = true;
    if let Some(large) = &mut setup.large {
        *large = Large {
            secure: Some(Secure {
                sockets: Families { v4: Some(MSRPS_SOCKET), v6: None },
                authority_v4: "10.0.0.5:2856".into(),
                authority_v6: "".into(),
                fingerprint: Arc::new(AtomicCell::new([9; 32])),
            }),
            ..large.clone()
        };
    }
    Bench::with(setup)
}

fn certificate(octet: u8) -> Certificate {
    Certificate { sha256: [octet; 32], sha384: [0; 48], sha512: [0; 64], is_named: false }
}

/// The same offer over TLS; `print` is said of the certificate, if anything.
fn over_tls(invite: &str, print: Option<u8>) -> String {
    let line = print.map_or(String::new(), |octet| {
        let value = vec![format!("{octet:02X}"); 32].join(":");
        format!("a=fingerprint:SHA-256 {value}\r\n")
    });
    let text = invite.replace("TCP/MSRP", "TCP/TLS/MSRP").replace("path:msrp:", "path:msrps:");
    let (head, sdp) = text.split_once("\r\n\r\n").unwrap();
    let (head, _) = head.rsplit_once("Content-Length:").unwrap();
    let sdp = format!("{sdp}{line}");
    format!("{head}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// A message over the connection of a session with TLS.
fn of_tls(text: &str) -> String {
    text.replace("From-Path: msrp:", "From-Path: msrps:")
}

#[test]
fn msrps_is_taken_from_whom_it_is_configured_for_and_from_the_certificate_of_the_sdp() {
    let mut bench = secure_bench();
    let (talk, wished) = agreed(&mut bench, 1, &over_tls(&offer(1, "text/plain"), Some(7)), true);
    assert_eq!(wished, []);
    let send = talk.send("s3nd", &format!("{BOTH}Content-Type: text/plain"), "1-2/2", "hi", '$');
    // Somebody else, and somebody without TLS.
    for (number, shown) in [(11, Some(certificate(8))), (12, None)] {
        let stranger = Talk { id: connection(number), ..talk_of(&talk) };
        opened(&mut bench, &stranger, None, shown.as_ref());
        assert!(stranger.says(&mut bench, &of_tls(&send)).is_empty());
        assert!(wishes(&mut bench).contains(&Wish::Close(stranger.id)));
    }
    assert_eq!(bench.count(Counter::MsrpWrongCertificate), 2);
    opened(&mut bench, &talk, None, Some(&certificate(7)));
    let left = talk.says(&mut bench, &of_tls(&send));
    submitted(&mut bench, &left);
    talk.heard(&mut bench);
    // We connect: with TLS, and to nobody else.
    let (second, wished) = agreed(&mut bench, 2, &over_tls(&passive(2), Some(7)), true);
    let [Wish::Connect { flow, owner }] = wished[..] else { panic!("{wished:?}") };
    assert_eq!(flow.socket, MSRPS_SOCKET);
    opened(&mut bench, &second, Some(owner), Some(&certificate(8)));
    assert_eq!(second.heard(&mut bench), "", "not an octet");
    assert!(bye(&mut bench).is_some_and(|bye| bye.text.contains("phone-2@")));
}

fn talk_of(talk: &Talk) -> Talk {
    Talk { number: talk.number, id: talk.id, path: talk.path.clone(), to: talk.to.clone() }
}

#[test]
fn no_session_falls_back_to_tcp_or_goes_up_to_tls_by_itself() {
    for (mut bench, invite, prints) in [
        (inward_bench(), over_tls(&offer(1, "text/plain"), Some(7)), 0),
        (secure_bench(), offer(1, "text/plain"), 0),
        (secure_bench(), over_tls(&offer(1, "text/plain"), None), 1),
    ] {
        let left = bench.give(IM, &invite);
        assert_eq!(left[0].status(), 488, "{}", left[0].text);
        assert_eq!(bench.count(Counter::CallsUnacceptable), 1);
        assert_eq!(bench.count(Counter::MsrpNoFingerprint), prints);
        assert_eq!(bench.engine.calls(), 0);
        let again = bench.give(IM, &invite);
        assert_eq!(left[0].text, again[0].text);
    }
}
