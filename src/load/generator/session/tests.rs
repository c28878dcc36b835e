//! Sessions of the answering end, with a tested system that is written by hand.

#![expect(clippy::disallowed_macros, reason = "the other end is text")]

use super::*;
use crate::id::WorkerId;
use crate::load::generator::content::tests::written;
use crate::load::generator::message::tests::plan;
use crate::load::generator::mix::Mix;
use crate::load::generator::plan::{End, Profile};
use crate::load::generator::record::SeenFlags;
use crate::load::generator::window::Window;
use crate::packet::{
    Arrival, ConnectionId, Departures, Endpoint, Flow, JournalSeq, Owner, Rest, StreamEvent, Used,
    Wish,
};
use crate::time::Instant;
use crate::wire::sip;

const THEIRS: &str = "msrp://10.0.0.1:7000/theirs;tcp";

struct Bench {
    sessions: Sessions,
    seen: Vec<Seen>,
    out: Departures,
    window: Window,
    now_ns: u64,
    text: Vec<u8>,
}

impl Bench {
    fn new(change: impl FnOnce(&mut plan::Sessions)) -> Self {
        let end = Some(End { address: "127.0.0.1:0".parse().unwrap(), cpu: None });
        let mut terms = plan::Sessions {
            address: "10.0.0.9:2855".parse().unwrap(),
            invite: Mix::always(200),
            send: Mix::always(200),
            report: None,
            active_percent: 0,
            count: 2,
        };
        change(&mut terms);
        let sessions = Some(terms);
        let plan = Plan { sender: end, answerer: end, sessions, ..plan(Profile::Sms) };
        Self {
            sessions: Sessions::new(&plan, "10.0.0.9:5070".parse().unwrap()).unwrap().unwrap(),
            seen: [Seen::default(); 10].to_vec(),
            out: Departures::with_connections(16),
            window: Window::default(),
            now_ns: 1,
            text: written(&Texts::new(&plan), 7),
        }
    }

    /// What leaves when this request comes in a datagram.
    fn sip(&mut self, text: &str) -> Vec<String> {
        let Ok(sip::Message::Request(request)) = sip::parse(text.as_bytes()) else { panic!() };
        let remote = Endpoint::from("10.0.0.1:5060".parse::<SocketAddr>().unwrap());
        let arrival = Arrival {
            flow: Flow { remote, ..Flow::NOWHERE },
            at: Instant(self.now_ns),
            octets: text.as_bytes(),
            truncated: false,
        };
        self.sessions.on_request(&request, &arrival, (&mut self.window, &mut self.out));
        self.left()
    }

    fn left(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(slot) = self.out.pop(JournalSeq::NOW) {
            all.push(String::from_utf8(self.out.octets(&slot).to_vec()).unwrap());
            self.out.release(slot);
        }
        all
    }

    /// What is due at that time.
    fn at(&mut self, now_ns: u64) -> Vec<String> {
        self.now_ns = now_ns;
        self.sessions.expire(now_ns, (&mut self.window, &mut self.out));
        self.left()
    }

    /// The response to an INVITE, and the path in it.
    fn invite(&mut self, number: u32, setup: &str) -> (String, String) {
        let left = self.sip(&invite(number, setup));
        let [response] = <[String; 1]>::try_from(left).unwrap();
        let path =
            response.split("a=path:").nth(1).map_or("", |rest| rest.split("\r\n").next().unwrap());
        let path = path.to_owned();
        (response, path)
    }

    /// A session with its ACK: its path, and how to end it.
    fn session(&mut self, number: u32) -> (String, String) {
        let (response, path) = self.invite(number, "actpass");
        let tag = tag_in(&response);
        assert!(self.sip(&request(number, "ACK", tag, "", "")).is_empty());
        (path, request(number, "BYE", tag, "", ""))
    }

    fn opened(&mut self, id: ConnectionId, owner: Option<Owner>) {
        let flow = Flow { connection: Some(id), ..Flow::NOWHERE };
        let event = StreamEvent::Opened { flow, owner, certificate: None, at: Instant(1) };
        self.sessions.on_stream(event, &mut self.seen, &mut self.out);
    }

    /// What is written to a connection when this has come on it.
    fn says(&mut self, id: ConnectionId, octets: &[u8]) -> String {
        let mut rest = octets.to_vec();
        let said = self.brings(id, &mut rest);
        assert!(rest.is_empty(), "all is used");
        said
    }

    /// The same; what is not used comes again with more.
    fn brings(&mut self, id: ConnectionId, rest: &mut Vec<u8>) -> String {
        let mut used = Used { octets: 0, rest: Rest::WithMore };
        let at = Instant(self.now_ns);
        let event = StreamEvent::Arrived { id, octets: rest, used: &mut used, at };
        self.sessions.on_stream(event, &mut self.seen, &mut self.out);
        assert_eq!(used.rest, Rest::WithMore);
        rest.drain(..used.octets);
        self.written(id)
    }

    fn written(&mut self, id: ConnectionId) -> String {
        let mut all = Vec::new();
        let wishes: Vec<Wish> = core::iter::from_fn(|| self.out.pop_wish()).collect();
        while wishes.contains(&Wish::Write(id)) {
            let (mut room, mut filled) = ([0; 100], 0);
            let at = Instant(self.now_ns);
            let event = StreamEvent::Room { id, room: &mut room, filled: &mut filled, at };
            self.sessions.on_stream(event, &mut self.seen, &mut self.out);
            if filled == 0 {
                break;
            }
            all.extend_from_slice(&room[..filled]);
        }
        String::from_utf8(all).unwrap()
    }

    /// The status of the response to a chunk of the text.
    fn sends(&mut self, id: ConnectionId, path: &str, range: (usize, usize), flag: char) -> String {
        let chunk = chunk(path, &self.text, range, flag);
        let said = self.says(id, &chunk);
        said.split(' ').nth(2).unwrap_or("").trim().to_owned()
    }
}

/// Our tag in a response.
fn tag_in(response: &str) -> &str {
    response.split("To: <sip:u@im>;tag=").nth(1).unwrap().split("\r\n").next().unwrap()
}

fn line(index: u16) -> ConnectionId {
    ConnectionId { generation: 1.try_into().unwrap(), index, worker: WorkerId(0) }
}

fn request(number: u32, method: &str, to_tag: &str, fields: &str, body: &str) -> String {
    let tag = if to_tag.is_empty() { String::new() } else { [";tag=", to_tag].concat() };
    let len = body.len();
    format!(
        "{method} sip:u@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:sc@a>;tag=f\r\nTo: <sip:u@im>{tag}\r\nCall-ID: c{number}\r\n\
         CSeq: 1 {method}\r\n{fields}Content-Length: {len}\r\n\r\n{body}"
    )
}

fn invite(number: u32, setup: &str) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
         m=message 7000 TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:{THEIRS}\r\n\
         a=setup:{setup}\r\n"
    );
    let fields = "Contact: <sip:sc@10.0.0.1>\r\nContent-Type: application/sdp\r\n";
    request(number, "INVITE", "", fields, &sdp)
}

/// A chunk of the text: from one octet up to another one, counted from 0.
fn chunk(path: &str, text: &[u8], (from, to): (usize, usize), flag: char) -> Vec<u8> {
    let head = format!(
        "MSRP a1b2c3 SEND\r\nTo-Path: {path}\r\nFrom-Path: {THEIRS}\r\nMessage-ID: m355age\r\n\
         Success-Report: yes\r\nByte-Range: {}-{to}/{}\r\nContent-Type: text/plain\r\n\r\n",
        from + 1,
        text.len()
    );
    let end = format!("\r\n-------a1b2c3{flag}\r\n");
    [head.as_bytes(), &text[from..to], end.as_bytes()].concat()
}

#[test]
fn a_message_comes_in_pieces_of_any_size() {
    let whole = Bench::new(|_| {}).text.len();
    for size in [1, 7, 64, 10_000] {
        let mut bench = Bench::new(|_| {});
        let (path, bye) = bench.session(1);
        bench.opened(line(0), None);
        let all =
            [chunk(&path, &bench.text, (0, 50), '+'), chunk(&path, &bench.text, (50, whole), '$')]
                .concat();
        let (mut said, mut rest) = (String::new(), Vec::new());
        for piece in all.chunks(size) {
            rest.extend_from_slice(piece);
            said += &bench.brings(line(0), &mut rest);
        }
        assert_eq!(said.matches("MSRP a1b2c3 200 OK\r\n").count(), 2, "{size}: {said}");
        assert!(said.contains("a1b2c3 REPORT\r\n") && said.contains("Status: 000 200"), "{said}");
        assert!(said.contains(&format!("Byte-Range: 1-{whole}/{whole}\r\n")), "{said}");
        assert_eq!((bench.seen[7].status, bench.seen[7].transactions), (200, 1));
        assert!(bench.sip(&bye)[0].starts_with("SIP/2.0 200 "));
        let counts = &bench.sessions.counts;
        assert_eq!((counts.messages, counts.chunks, counts.byes), (1, 2, 1));
        assert_eq!((counts.strays, counts.malformed), (0, 0));
    }
}

#[test]
fn what_is_in_no_order_is_refused() {
    let mut bench = Bench::new(|_| {});
    let whole = bench.text.len();
    let (path, _) = bench.session(1);
    bench.opened(line(0), None);
    bench.opened(line(1), None);
    assert_eq!(bench.sends(line(0), &path, (0, 50), '+'), "200");
    let elsewhere = bench.sends(line(1), &path, (50, whole), '$');
    assert_eq!(elsewhere, "506", "another connection");
    assert_eq!(bench.sends(line(0), &path, (60, whole), '$'), "400", "a gap");
    assert_eq!(bench.sends(line(0), &path, (0, 50), '$'), "400", "less than was promised");
    assert_eq!(bench.sends(line(0), &path, (0, whole), '#'), "200", "given up");
    let unknown = path.replace("/s", "/t");
    assert_eq!(bench.sends(line(0), &unknown, (0, whole), '$'), "481");
    assert_eq!((bench.seen[7], bench.sessions.messages()), (Seen::default(), 0));
    // It is sent anew; where its connection is lost another one may have it.
    assert_eq!(bench.sends(line(0), &path, (0, 50), '+'), "200");
    let lost = StreamEvent::Lost { id: line(0), doubtful: 0, at: Instant(2) };
    bench.sessions.on_stream(lost, &mut bench.seen, &mut bench.out);
    assert_eq!(bench.sends(line(1), &path, (50, whole), '$'), "200");
    assert_eq!(bench.seen[7].status, 200);
    assert_eq!(bench.says(line(1), b"no MSRP at all\r\n\r\n"), "");
    assert_eq!(bench.sessions.counts.malformed, 2);
}

#[test]
fn other_octets_are_no_delivery() {
    let mut bench = Bench::new(|_| {});
    let whole = bench.text.len();
    let (path, _) = bench.session(1);
    bench.opened(line(0), None);
    bench.text[whole - 1] ^= 1;
    assert_eq!(bench.sends(line(0), &path, (0, whole), '$'), "200", "its recipient cannot know");
    assert!(bench.seen[7].flags.has(SeenFlags::DAMAGED));
    assert_eq!((bench.seen[7].status, bench.seen[7].transactions), (0, 1));
    // Somebody else's.
    bench.text.fill(b'x');
    assert_eq!(bench.sends(line(0), &path, (0, whole), '$'), "413");
    assert_eq!(bench.sessions.counts.strays, 1);
}

#[test]
fn a_chunk_outlives_its_session() {
    let mut bench = Bench::new(|_| {});
    let whole = bench.text.len();
    let (path, bye) = bench.session(1);
    bench.opened(line(0), None);
    let octets = chunk(&path, &bench.text, (0, whole), '$');
    let (begin, end) = octets.split_at(octets.len() - 60);
    let mut rest = begin.to_vec();
    assert_eq!(bench.brings(line(0), &mut rest), "");
    assert!(rest.len() < whole - 60, "some of it is there");
    bench.sip(&bye);
    // Another session has its place, and a message of its own there.
    bench.at(60_000_000_000);
    let (other, _) = bench.session(2);
    assert_eq!(other[..27], path[..27], "the same place");
    rest.extend_from_slice(end);
    let said = bench.brings(line(0), &mut rest);
    assert!(said.starts_with("MSRP a1b2c3 481 "), "{said}");
    assert_eq!(bench.seen[7], Seen::default());
}

#[test]
fn whoever_connects_says_for_which_session() {
    let mut bench = Bench::new(|terms| terms.active_percent = 100);
    let (_, path) = bench.invite(1, "actpass");
    let Some(Wish::Connect { flow, owner }) = bench.out.pop_wish() else { panic!() };
    let theirs = Endpoint::from("10.0.0.1:7000".parse::<SocketAddr>().unwrap());
    assert_eq!((flow.remote, flow.socket), (theirs, MSRP_SOCKET));
    bench.opened(line(0), Some(owner));
    let said = bench.written(line(0));
    for part in [" SEND\r\n", &format!("To-Path: {THEIRS}\r\nFrom-Path: {path}\r\n"), "$\r\n"] {
        assert!(said.contains(part), "{said}");
    }
    // The session is over before there is a connection.
    let (response, _) = bench.invite(2, "actpass");
    let Some(Wish::Connect { owner, .. }) = bench.out.pop_wish() else { panic!() };
    bench.sip(&request(2, "BYE", tag_in(&response), "", ""));
    bench.opened(line(1), Some(owner));
    assert_eq!(bench.out.pop_wish(), Some(Wish::Close(line(1))));
}

#[test]
fn an_invitation_is_answered_once_and_repeated() {
    let mut bench = Bench::new(|terms| terms.invite = Mix::always(486));
    let (first, _) = bench.invite(1, "actpass");
    assert!(first.starts_with("SIP/2.0 486 Busy Here\r\n"), "{first}");
    assert_eq!(bench.invite(1, "actpass").0, first);
    assert_eq!(bench.at(500_000_001), core::slice::from_ref(&first), "after T1");
    let tag = tag_in(&first);
    bench.sip(&request(1, "ACK", tag, "", ""));
    assert!(bench.at(2_000_000_000).is_empty());
    let counts = &bench.sessions.counts;
    assert_eq!((counts.invites, counts.invites_repeated, counts.invite_responses[&486]), (1, 1, 1));
}

#[test]
fn whoever_rings_is_cancelled() {
    let mut bench = Bench::new(|terms| terms.invite = Mix::read_ringing("180").unwrap());
    let (ringing, _) = bench.invite(1, "actpass");
    assert!(ringing.starts_with("SIP/2.0 180 "), "{ringing}");
    let cancelled = bench.sip(&request(1, "CANCEL", "", "", ""));
    assert!(cancelled[0].starts_with("SIP/2.0 200 "), "{cancelled:?}");
    let ended = bench.at(2);
    assert!(
        ended[0].starts_with("SIP/2.0 487 ") && ended[0].contains("\r\nCSeq: 1 INVITE\r\n"),
        "{ended:?}"
    );
    assert!(bench.sip(&request(9, "CANCEL", "", "", ""))[0].starts_with("SIP/2.0 481 "));
}

#[test]
fn there_are_no_more_sessions_than_were_asked_for() {
    let mut bench = Bench::new(|_| {});
    let (_, bye) = bench.session(1);
    bench.session(2);
    assert!(bench.invite(3, "actpass").0.starts_with("SIP/2.0 486 "));
    assert_eq!(bench.sessions.counts.full, 1);
    bench.sip(&bye);
    assert!(bench.sip(&bye)[0].starts_with("SIP/2.0 200 "), "once more");
    // Until its ACK a refusal has a place, too.
    bench.at(60_000_000_000);
    assert!(bench.invite(4, "actpass").0.starts_with("SIP/2.0 200 "));
    assert!(bench.sip(&request(1, "BYE", "", "", ""))[0].starts_with("SIP/2.0 481 "));
}

#[test]
fn what_changes_nothing_is_taken() {
    let mut bench = Bench::new(|_| {});
    let (response, _) = bench.invite(1, "actpass");
    let tag = tag_in(&response);
    assert!(bench.sip(&request(1, "UPDATE", tag, "", ""))[0].starts_with("SIP/2.0 200 "));
    let changed =
        invite(1, "actpass").replace("To: <sip:u@im>", &format!("To: <sip:u@im>;tag={tag}"));
    assert!(bench.sip(&changed)[0].starts_with("SIP/2.0 488 "));
    assert!(bench.sip(&request(1, "UPDATE", "none", "", ""))[0].starts_with("SIP/2.0 481 "));
    let other = bench.sip(&request(1, "INFO", tag, "", ""));
    assert!(other[0].starts_with("SIP/2.0 405 ") && other[0].contains("INVITE"), "{other:?}");
}

#[test]
fn whoever_takes_no_answers_is_not_read_from() {
    let mut bench = Bench::new(|_| {});
    let (path, _) = bench.session(1);
    bench.opened(line(0), None);
    let request = chunk(&path, &bench.text, (0, 50), '+');
    let (mut used, mut count) = (Used { octets: 0, rest: Rest::WithMore }, 0);
    while used.rest == Rest::WithMore {
        let (id, octets, at) = (line(0), &request, Instant(1));
        let event = StreamEvent::Arrived { id, octets, used: &mut used, at };
        bench.sessions.on_stream(event, &mut bench.seen, &mut bench.out);
        count += 1;
        assert!(count < 10_000, "it answers for ever");
    }
    assert_eq!(bench.out.pop_wish(), Some(Wish::Write(line(0))));
    let (mut room, mut filled) = ([0; 10_000], 0);
    let event =
        StreamEvent::Room { id: line(0), room: &mut room, filled: &mut filled, at: Instant(1) };
    bench.sessions.on_stream(event, &mut bench.seen, &mut bench.out);
    assert_eq!((filled, bench.out.pop_wish()), (10_000, Some(Wish::Read(line(0)))));
}
