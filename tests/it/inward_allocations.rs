//! A message to the SMS side allocates nothing, from its INVITE to its account.

use roger::delivery::Verdict;
use roger::metrics::Counter;
use roger::packet::{Arrival, Flow, JournalSeq, Rest, SocketId, StreamEvent, Used};
use roger::store::{allocations_count, allocations_of_this_thread};

use crate::bench::{Bench, IM, Left, SBC, answer, endpoint};
use crate::inward::rp_report;
use crate::inward::{BOTH, MSRP_SOCKET, Talk, connection, inward_bench, mr, of_sc, offer, replies};

/// A bench whose engine is watched.
struct Watched {
    bench: Bench,
    allocations: u64,
}

impl Watched {
    /// What the engine does here is counted, and what is made of it is not.
    fn count<R>(&mut self, work: impl FnOnce(&mut Bench) -> R) -> R {
        let before = allocations_of_this_thread().expect("counted");
        let result = work(&mut self.bench);
        self.allocations += allocations_of_this_thread().expect("counted") - before;
        result
    }

    fn give(&mut self, from: &str, octets: &[u8]) -> Vec<Left> {
        let flow = Flow::to(endpoint(from), SocketId(0));
        let arrival = Arrival { flow, at: self.bench.now, octets, truncated: false };
        self.count(|bench| bench.engine.on_burst(&[arrival], &mut bench.out));
        self.leave()
    }

    fn leave(&mut self) -> Vec<Left> {
        let mut all = Vec::new();
        while let Some(slot) = self.bench.out.pop(JournalSeq::NOW) {
            let departure = self.bench.out.departure(&slot);
            let octets = self.bench.out.octets(&slot).to_vec();
            self.bench.out.release(slot);
            if let Some(owner) = departure.owner {
                self.count(|bench| bench.engine.on_sent(owner, Ok(()), bench.now));
            }
            all.push(Left {
                to: departure.flow.remote.to_socket_addr(),
                text: String::from_utf8_lossy(&octets).into_owned(),
                octets,
                flow: departure.flow,
                owner: departure.owner,
            });
        }
        all
    }

    fn tick(&mut self, ms: u32) -> Vec<Left> {
        let mut all = Vec::new();
        let end = self.bench.now.plus_ms(ms);
        while self.bench.now < end {
            self.bench.now = self.bench.now.plus_ms(2);
            self.count(|bench| bench.engine.on_tick(bench.now, &mut bench.out));
            all.extend(self.leave());
        }
        all
    }

    fn says(&mut self, talk: &Talk, text: &str) -> Vec<Left> {
        let mut used = Used { octets: text.len(), rest: Rest::WithMore };
        let (id, at, octets) = (talk.id, self.bench.now, text.as_bytes());
        let event = StreamEvent::Arrived { id, octets, used: &mut used, at };
        self.count(|bench| bench.engine.on_stream(event, &mut bench.out));
        self.leave()
    }

    /// How many octets are written.
    fn hears(&mut self, talk: &Talk) -> u64 {
        let (mut room, mut all) = ([0; 8_192], 0);
        while self.bench.out.pop_wish().is_some() {}
        loop {
            let (mut filled, id, at) = (0, talk.id, self.bench.now);
            let event = StreamEvent::Room { id, room: &mut room, filled: &mut filled, at };
            self.count(|bench| bench.engine.on_stream(event, &mut bench.out));
            if filled == 0 {
                break;
            }
            all += filled as u64;
        }
        let event = StreamEvent::Written { id: talk.id, octets: all, at: self.bench.now };
        self.count(|bench| bench.engine.on_stream(event, &mut bench.out));
        all
    }

    fn open(&mut self, number: u32) -> Talk {
        let left = self.give(IM, offer(number, "text/plain").as_bytes());
        let sdp = String::from_utf8(left[0].body().to_vec()).unwrap();
        let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
        let to = left[0].field("to").to_owned();
        let talk = Talk { number, id: connection(u16::try_from(number).unwrap()), path, to };
        assert!(self.give(IM, talk.request("ACK", 1).as_bytes()).is_empty());
        let flow = Flow::to(endpoint("10.0.0.9:7777"), MSRP_SOCKET);
        let flow = Flow { connection: Some(talk.id), ..flow };
        let at = self.bench.now;
        let event = StreamEvent::Opened { flow, owner: None, certificate: None, at };
        self.count(|bench| bench.engine.on_stream(event, &mut bench.out));
        talk
    }
}

#[test]
fn a_message_to_the_sms_side_allocates_nothing() {
    let mut watched = Watched { bench: inward_bench(), allocations: 0 };
    allocations_count();
    for round in 0..4_u32 {
        let talk = watched.open(1 + round);
        let text = if round % 2 == 0 { "a".repeat(300) } else { "\u{436}".repeat(100) };
        let len = text.len();
        let fields = format!("{BOTH}Content-Type: text/plain");
        let send = talk.send("s3nd", &fields, &format!("1-{len}/{len}"), &text, '$');
        let send = send.replace("m3ssage", &format!("m3ssage{round}"));
        let mut left = watched.says(&talk, &send);
        assert!(watched.hears(&talk) > 0);
        let mut references = Vec::new();
        for number in 0..2 {
            let part = left.iter().find(|left| left.is_request()).expect("a part").clone();
            watched.give(SBC, answer(&part.text, "202 Accepted").as_bytes());
            references.push(mr(&part));
            let ack = of_sc(10 * round + number, &replies(&part), &[3, mr(&part)]);
            watched.give(SBC, &ack);
            left = watched.tick(4);
        }
        for (number, reference) in (2..).zip(references) {
            let report = of_sc(10 * round + number, "", &rp_report(reference, 0));
            let acks = watched.give(SBC, &report);
            let ack = acks.iter().find(|left| left.is_request()).expect("RP-ACK");
            watched.give(SBC, answer(&ack.text, "200 OK").as_bytes());
            watched.tick(4);
        }
        assert!(watched.hears(&talk) > 0, "a REPORT");
        let account = watched.count(|bench| bench.engine.pop_account()).expect("an account");
        assert_eq!(account.verdict, Verdict::Delivered);
        // The same again, in another session.
        let again = watched.open(101 + round);
        let send = send.replace(&talk.path, &again.path);
        assert!(watched.says(&again, &send).is_empty());
        watched.tick(4);
        assert!(watched.hears(&again) > 0);
        for talk in [talk, again] {
            watched.give(IM, talk.request("BYE", 2).as_bytes());
        }
        watched.tick(500);
    }
    assert_eq!(watched.bench.count(Counter::SubmissionsRepeated), 4);
    assert_eq!((watched.bench.engine.open(), watched.bench.engine.calls()), (0, 0));
    assert_eq!(watched.allocations, 0);
}
