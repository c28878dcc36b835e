//! The user agents of sessions, spoken to by hand.

use std::io::{Read as _, Write as _};

use super::*;
use crate::load::schedule::Timers;
use crate::load::{bind, receive_patiently, until};

const RUN: Run = Run { id: 0xbeef, seed: 1, rate_mhz: 1_000, messages: 74, timers: Timers::SHORT };
const OURS: &str = "msrp://127.0.0.1:9/we;tcp";

struct Scene {
    phones: Phones,
    us: UdpSocket,
    phone: SocketAddr,
}

impl Scene {
    fn new() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [us, phone, relay] = [(); 3].map(|()| bind(any).unwrap());
        let at = phone.local_addr().unwrap();
        let proofs = Proofs::new(RUN.messages);
        let phones = Phones::start(RUN, Clock::start(), (phone, relay), proofs).unwrap();
        Self { phones, us, phone: at }
    }

    fn invite(&self, number: usize, attempt: usize) {
        let description = format!("v=0\r\na=path:{OURS}\r\na=setup:actpass\r\na=sendonly\r\n");
        let invite = format!(
            "INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{number}.{attempt}\r\n\
             From: <sip:+15551230001@a>;tag=1\r\nTo: {to}\r\nCall-ID: {number}.{attempt}\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:a>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {len}\r\n\r\n{description}",
            to = plan::recipient(&RUN, number, self.phone),
            len = description.len()
        );
        self.us.send_to(invite.as_bytes(), self.phone).unwrap();
    }

    fn answer(&self) -> String {
        let mut buffer = [0; DATAGRAM_SIZE_MAX];
        String::from_utf8(receive_patiently(&self.us, &mut buffer).0.to_vec()).unwrap()
    }

    /// What the message `number` is answered in a session of its own.
    fn sent(&self, (number, attempt): (usize, usize), from: &str, id: &str, text: &str) -> String {
        self.invite(number, attempt);
        let answer = self.answer();
        assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
        let path = line_of(&answer, "a=path:").unwrap();
        let place = path.strip_prefix("msrp://").unwrap().split('/').next().unwrap();
        let mut stream = std::net::TcpStream::connect(place).unwrap();
        let len = text.len();
        let send = format!(
            "MSRP abcd SEND\r\nTo-Path: {path}\r\nFrom-Path: {from}\r\nMessage-ID: {id}\r\n\
             Byte-Range: 1-{len}/{len}\r\nSuccess-Report: yes\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\r\n{text}\r\n-------abcd$\r\n"
        );
        stream.write_all(send.as_bytes()).unwrap();
        let mut buffer = [0; 4_096];
        let len = stream.read(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }
}

const fn first_of(case: Case) -> usize {
    2 * case as usize
}

#[test]
fn a_message_that_comes_again_is_known_by_its_message_id() {
    let scene = Scene::new();
    let number = first_of(Case::Session);
    let text = plan::text(&RUN, number);
    let answer = scene.sent((number, 0), OURS, "one", &text);
    assert!(answer.starts_with("MSRP abcd 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nStatus: 000 200 OK\r\n"), "{answer}");
    scene.sent((number, 1), OURS, "one", &text);
    let other = number + 1;
    scene.sent((other, 0), OURS, "one", &plan::text(&RUN, other));
    scene.sent((other, 1), OURS, "two", &plan::text(&RUN, other));
    let seen = scene.phones.finish().unwrap();
    assert_eq!((seen[number].times, seen[number].recognised), (1, 1));
    assert_eq!((seen[other].times, seen[other].recognised), (2, 0));
    assert_eq!((seen[number].transactions, seen[number].is_damaged), (2, false));
}

#[test]
fn what_is_damaged_or_of_no_session_is_noted() {
    let scene = Scene::new();
    let number = first_of(Case::Session);
    scene.sent((number, 0), OURS, "one", "something else");
    let answer = scene.sent((number + 1, 0), "msrp://127.0.0.1:9/he;tcp", "one", "x");
    assert!(answer.starts_with("MSRP abcd 481 "), "{answer}");
    assert_eq!(scene.phones.strays(), 1);
    let seen = scene.phones.finish().unwrap();
    assert!(seen[number].is_damaged && seen[number].times == 0);
    assert_eq!(
        seen[number + 1],
        Seen {
            branches: seen[number + 1].branches,
            requests: 1,
            transactions: 1,
            ..Seen::default()
        }
    );
}

#[test]
fn an_invite_is_answered_as_its_case_says() {
    let scene = Scene::new();
    for (case, status) in
        [(Case::SessionBusy, 486), (Case::SessionRings, 180), (Case::SessionDeclined, 603)]
    {
        scene.invite(first_of(case), 0);
        assert!(scene.answer().starts_with(&format!("SIP/2.0 {status} ")), "{case:?}");
        // A copy has the same answer.
        scene.invite(first_of(case), 0);
        assert!(scene.answer().starts_with(&format!("SIP/2.0 {status} ")), "{case:?}");
        scene.invite(first_of(case), 1);
        let again = if case == Case::SessionDeclined { 603 } else { 200 };
        assert!(scene.answer().starts_with(&format!("SIP/2.0 {again} ")), "{case:?}");
    }
    // What is short enough for a MESSAGE comes as one first.
    scene.invite(first_of(Case::SessionSwitched), 0);
    until(|| scene.phones.strays() == 1);
    // That one is behind a relay, which is elsewhere.
    scene.invite(first_of(Case::Relay), 0);
    until(|| scene.phones.strays() == 2);
    let seen = scene.phones.finish().unwrap();
    assert_eq!(seen[first_of(Case::SessionBusy)].transactions, 2);
    assert_eq!(seen[first_of(Case::SessionSwitched)].transactions, 0);
}
