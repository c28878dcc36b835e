//! User agents against [`roger::session::msrp::Endpoint`], which shares nothing with them.

#![expect(clippy::wildcard_enum_match_arm, reason = "what else happens is not asked about")]

use std::collections::BTreeMap;

use roger::limits::MSRP_IDENT_SIZE_MAX;
use roger::packet::Endpoint;
use roger::session::msrp::{
    self, Acceptance, Carrying, Fact, Host, Keep, Rules, SendingId, SessionId, Step, Transaction,
};
use roger::time::Instant;
use roger::wire::msrp::{FailureReport, Path};

use super::*;
use crate::chance::Chance;
use crate::conduct::{INVITES, SESSIONS};
use crate::swarm::{Faults, SECOND};

const OURS: &str = "msrp://10.0.0.1:2855/s0-secret;tcp";

/// Identifiers that are the numbers in them.
#[derive(Debug, Default)]
struct Desk {
    body: Vec<u8>,
    reports: u32,
}

impl Host for Desk {
    fn session(&self, id: &[u8]) -> Option<u32> {
        (id == b"s0-secret").then_some(0)
    }

    fn mint(&mut self, transaction: Transaction, to: &mut [u8; MSRP_IDENT_SIZE_MAX]) -> usize {
        let text = match transaction {
            Transaction::Chunk { sending, number, attempt } => {
                format!("us.{}.{}.{number}.{attempt}", sending.index, sending.generation)
            }
            Transaction::Carried { .. } => unreachable!("nothing is carried here"),
            Transaction::Report => {
                self.reports += 1;
                format!("usrep{}", self.reports)
            }
        };
        to[..text.len()].copy_from_slice(text.as_bytes());
        text.len()
    }

    fn transaction(&self, id: &[u8]) -> Option<Transaction> {
        let text = core::str::from_utf8(id).ok()?.strip_prefix("us.")?;
        let mut numbers = text.split('.');
        let mut number = || numbers.next()?.parse::<u32>().ok();
        let sending = SendingId::new(number()?, number()?);
        let (number, attempt) = (number()?, u8::try_from(number()?).ok()?);
        Some(Transaction::Chunk { sending, number, attempt })
    }

    fn body(&self, _: u64, start: u64, most: usize) -> &[u8] {
        let rest = &self.body[usize::try_from(start).unwrap()..];
        &rest[..rest.len().min(most)]
    }
}

/// One INVITE from us, and the session that follows.
struct Bench {
    hosts: Hosts,
    air: Air,
    swarm: Swarm,
    us: Endpoint,
    it: msrp::Endpoint,
    desk: Desk,
    session: SessionId,
    /// Connections, by conduit, with their place here.
    places: BTreeMap<usize, u16>,
    /// What was read short, by conduit.
    rest: BTreeMap<usize, Vec<u8>>,
    conduits: usize,
    responses: Vec<(u16, String)>,
    requests: Vec<String>,
    facts: Vec<(u64, Fact)>,
    ended: Vec<usize>,
    is_sent: bool,
}

impl Bench {
    fn new(uri: &str, invite: usize, session: usize, body: usize) -> Self {
        let mut swarm = (0..)
            .map(|seed| Swarm::new(&mut Chance::new(seed)))
            .find(|swarm| swarm.large.is_some() && swarm.places.servers[0].addresses[0].is_v4())
            .unwrap();
        (swarm.t1_ms, swarm.t2_ms) = (500, 4_000);
        let large = swarm.large.as_mut().unwrap();
        large.roles[0] = MsrpRole::B2bua;
        (large.invite_wait_ms, large.report_wait_ms) = (10_000, 30_000);
        (large.invites, large.sessions) = ([0; INVITES], [0; SESSIONS]);
        (large.invites[invite], large.sessions[session]) = (1, 1);
        let rules = Rules {
            connections_max: 4,
            sessions_max: 2,
            sendings_max: 4,
            incomings_max: 4,
            buffers_max: 2,
            buffer_size: 1_000,
            response_ms: 30_000,
            carrying: Carrying::NOTHING,
        };
        let mut it = msrp::Endpoint::new(rules, Instant(0));
        let acceptance =
            Acceptance { size_max: 0, keep: Keep::Counted, reports: msrp::Reports::WhenTold };
        let session = it.open(1, acceptance).unwrap();
        assert!(it.offer(session, OURS.as_bytes()));
        let us = endpoint("10.0.0.1:5060").unwrap();
        let mut bench = Self {
            hosts: Hosts::default(),
            air: Air::new(Chance::new(7), Faults::none()),
            us,
            it,
            desk: Desk { body: vec![b'x'; body], reports: 0 },
            session,
            places: BTreeMap::new(),
            rest: BTreeMap::new(),
            conduits: 0,
            responses: Vec::new(),
            requests: Vec::new(),
            facts: Vec::new(),
            ended: Vec::new(),
            is_sent: false,
            swarm,
        };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
             m=message 2855 TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:{OURS}\r\n\
             a=setup:actpass\r\na=sendonly\r\n"
        );
        bench.request("INVITE", uri, "z9hG4bKone", "<sip:user@im.example>", &sdp);
        bench
    }

    fn request(&mut self, method: &str, uri: &str, branch: &str, to: &str, body: &str) {
        let octets = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\n\
             From: <sip:+1@gw.example>;tag=us\r\nTo: {to}\r\nCall-ID: call@gw\r\n\
             CSeq: 1 {method}\r\nContact: <sip:10.0.0.1:5060>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let packet = Packet {
            from: self.us,
            to: self.swarm.places.servers[0].addresses[0],
            octets: octets.into_bytes().into(),
            grade: Grade::Sound,
            truncated: false,
            mark: None,
            over: Over::Datagram,
        };
        self.hosts.on_packet(0, &packet, &mut self.air, &self.swarm);
    }

    /// Lets everything happen up to this moment.
    fn run(&mut self, until: u64) {
        loop {
            for ask in core::mem::take(&mut self.air.asks) {
                self.on_ask(ask);
            }
            self.write();
            let timer = self.it.next_deadline().map_or(u64::MAX, |at| at.0);
            let marker = Event::Stall(u64::MAX);
            self.air.at(timer.min(until), marker);
            let Some(event) = self.air.next() else { return };
            self.it.expire(&mut self.desk, Instant(self.air.now), 10);
            self.take_facts();
            match event {
                Event::Arrives(packet) => self.on_packet(&packet),
                Event::Agent(task) => self.hosts.on_task(task, &mut self.air, &self.swarm),
                Event::Stall(_) if self.air.now >= until => return,
                _ => {}
            }
        }
    }

    fn on_packet(&mut self, packet: &Packet) {
        assert_eq!(packet.to, self.us);
        let text = Text::read(&packet.octets).unwrap();
        let Some(status) = text.status() else {
            self.requests.push(text.start.to_owned());
            let octets = response(&text, 200, "us", "", "");
            let back = Packet { from: packet.to, to: packet.from, octets, ..packet.clone() };
            return self.hosts.on_packet(0, &back, &mut self.air, &self.swarm);
        };
        let cseq = text.value("CSeq").unwrap().to_owned();
        self.responses.push((status, cseq.clone()));
        if status < 200 || cseq != "1 INVITE" {
            return;
        }
        let to = text.value("To").unwrap().to_owned();
        self.request("ACK", "sip:ack", "z9hG4bKack", &to, "");
        let Some(answer) = Offer::read(text.body).filter(|_| !self.is_sent) else { return };
        self.is_sent = true;
        let path = answer.path.join(" ");
        assert!(self.it.agree(self.session, Path::parse(path.as_bytes()).unwrap()));
        let message = msrp::Message {
            owner: 0,
            message_id: b"message1",
            content_type: Some(b"text/plain"),
            size: self.desk.body.len() as u64,
            success_report: true,
            failure_report: FailureReport::Yes,
        };
        self.it.send(self.session, &message).unwrap();
        if answer.setup != "active" {
            let at = place(&answer.path[0]).unwrap();
            if self.hosts.listens(at) {
                let conduit = self.open(None);
                assert!(self.it.bind(self.session, self.places[&conduit]));
            }
        }
    }

    fn open(&mut self, call: Option<u64>) -> usize {
        self.conduits += 1;
        let conduit = self.conduits;
        let place = u16::try_from(conduit).unwrap() - 1;
        self.places.insert(conduit, place);
        self.it.connected(place, Instant(self.air.now));
        let tidings = Tidings::Opened { conduit, here: self.us, there: Endpoint::default(), call };
        self.hosts.on_tidings(tidings, &mut self.air, &self.swarm);
        conduit
    }

    fn on_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Open { call, to, .. } => {
                assert_eq!(to.port, 2855);
                self.open(Some(call));
            }
            Ask::Say { conduit, octets } => {
                let Some(place) = self.places.get(&conduit).copied() else { return };
                let mut rest = self.rest.remove(&conduit).unwrap_or_default();
                rest.extend_from_slice(&octets);
                let now = Instant(self.air.now);
                loop {
                    let read = self.it.read(place, &rest, &mut self.desk, now);
                    rest.drain(..read.len);
                    if !matches!(read.step, Step::Used | Step::Body { .. }) {
                        break;
                    }
                }
                self.rest.insert(conduit, rest);
            }
            Ask::End { conduit, end } => {
                if let Some(place) = self.places.remove(&conduit) {
                    self.ended.push(conduit);
                    self.it.lost(place, 0);
                    let tidings = Tidings::Ended { conduit, end };
                    self.hosts.on_tidings(tidings, &mut self.air, &self.swarm);
                }
            }
        }
        self.take_facts();
    }

    fn write(&mut self) {
        for (conduit, place) in self.places.clone() {
            let mut room = vec![0; 9_000];
            loop {
                let len = self.it.write(place, &mut room, &mut self.desk);
                if len == 0 {
                    break;
                }
                self.it.handed_over(place, len as u64, Instant(self.air.now));
                self.take_facts();
                let octets: Rc<[u8]> = room[..len].into();
                // Cut anywhere.
                let at = self.air.chance.index(len);
                for octets in [&octets[..at], &octets[at..]].map(Rc::from) {
                    let tidings = Tidings::Came { conduit, octets };
                    self.hosts.on_tidings(tidings, &mut self.air, &self.swarm);
                }
            }
        }
        if !self.air.asks.is_empty() {
            for ask in core::mem::take(&mut self.air.asks) {
                self.on_ask(ask);
            }
            self.write();
        }
    }

    fn take_facts(&mut self) {
        let now = self.air.now;
        self.facts.extend(core::iter::from_fn(|| self.it.fact()).map(|fact| (now, fact)));
    }

    fn codes(&self) -> Vec<u16> {
        let code = |(_, fact): &(u64, Fact)| match fact {
            Fact::Responded { code, .. } => Some(*code),
            _ => None,
        };
        self.facts.iter().filter_map(code).collect()
    }

    /// Octets in REPORTs with their status.
    fn reports(&self) -> Vec<(u64, u64, u16)> {
        let report = |(_, fact): &(u64, Fact)| match fact {
            Fact::Reported { octets, code, .. } => {
                Some(octets.map_or((0, 0, *code), |octets| (octets.start, octets.end, *code)))
            }
            _ => None,
        };
        self.facts.iter().filter_map(report).collect()
    }

    fn shown(&self) -> Vec<usize> {
        self.hosts.agents().shown.iter().map(|shown| shown.octets.len()).collect()
    }

    fn finals(&self) -> Vec<u16> {
        let invite = |(_, cseq): &&(u16, String)| cseq == "1 INVITE";
        self.responses.iter().filter(invite).map(|(status, _)| *status).collect()
    }
}

#[test]
fn an_honest_one_takes_answers_and_reports_whoever_connects() {
    let mut actives = 0;
    for size in [0, 1, 500, 2_048, 60_000] {
        for _ in 0..4 {
            let mut bench = Bench::new("sip:calm@im.example", 0, 0, size.max(1));
            for _ in 0..actives % 4 {
                bench.air.chance.word();
            }
            actives += 1;
            bench.run(2 * SECOND);
            assert_eq!(bench.shown(), [size.max(1)], "{:?}", bench.facts);
            assert!(bench.codes().iter().all(|code| *code == 200) && !bench.codes().is_empty());
            assert_eq!(bench.reports(), [(0, size.max(1) as u64, 200)]);
            assert_eq!(bench.hosts.agents().trouble, None);
            let sessions = &bench.hosts.agents().sessions;
            assert_eq!(sessions[0].ended, None);
        }
    }
}

/// What comes of a kind of conduct in a session, for each of these draws.
fn outcomes(session: usize, size: usize, seconds: u64) -> Vec<Bench> {
    (0..12)
        .map(|draws| {
            let mut bench = Bench::new("sip:user@im.example", 0, session, size);
            bench.air.chance = Chance::new(draws);
            bench.run(seconds * SECOND);
            bench
        })
        .collect()
}

#[test]
fn each_conduct_in_a_session_does_what_it_says() {
    for kind in [1, 2, 3, 4, 5, 6, 7, 8, 15] {
        for bench in outcomes(kind, 3_000, 20) {
            assert_eq!(bench.shown(), [3_000], "{kind}");
            assert!(bench.codes().iter().all(|code| *code == 200), "{kind}");
            assert!(!bench.reports().is_empty(), "{kind}");
        }
    }
    let any = |kind, seconds, holds: &dyn Fn(&Bench) -> bool| {
        assert!(outcomes(kind, 3_000, seconds).iter().any(holds), "{kind}");
    };
    any(9, 50, &|bench| bench.facts.iter().any(|(_, fact)| matches!(fact, Fact::TimedOut { .. })));
    any(10, 5, &|bench| bench.codes().iter().any(|code| *code != 200) && bench.shown().is_empty());
    any(12, 5, &|bench| bench.codes().is_empty() && bench.shown() == [3_000]);
    any(13, 5, &|bench| bench.codes().is_empty() && !bench.reports().is_empty());
    any(17, 60, &|bench| bench.reports().is_empty() && bench.shown() == [3_000]);
    any(18, 5, &|bench| {
        bench.reports().iter().map(|(from, to, _)| to - from).sum::<u64>() == 2_999
    });
    any(20, 5, &|bench| !bench.reports().is_empty());
    any(21, 5, &|bench| bench.reports().is_empty() && bench.it.counts().stray_reports == 1);
    any(22, 5, &|bench| bench.reports().is_empty() && bench.it.counts().foreign_reports == 1);
    any(24, 5, &|bench| bench.reports().iter().any(|(_, _, code)| *code != 200));
    any(25, 5, &|bench| matches!(bench.reports()[..], [(_, _, 403 | 408 | 480), (_, _, 200)]));
    any(26, 5, &|bench| bench.shown().is_empty() && bench.reports().is_empty());
    any(27, 5, &|bench| bench.requests.iter().any(|start| start.starts_with("BYE ")));
    any(28, 5, &|bench| bench.codes().is_empty() && !bench.requests.is_empty());
    any(29, 5, &|bench| !bench.ended.is_empty());
    any(30, 5, &|bench| !bench.ended.is_empty() && !bench.codes().is_empty());
    any(31, 60, &|bench| bench.conduits == 0);
    any(31, 60, &|bench| bench.conduits == 1 && bench.shown().is_empty());
    any(32, 5, &|bench| bench.conduits == 2);
    any(32, 5, &|bench| bench.conduits == 0);
    any(33, 60, &|bench| bench.shown() == [3_000]);
}

#[test]
fn each_conduct_towards_an_invite_does_what_it_says() {
    let finals = |kind: usize, cancels: bool| -> Vec<Vec<u16>> {
        (0..12)
            .map(|draws| {
                let mut bench = Bench::new("sip:user@im.example", kind, 0, 10);
                bench.air.chance = Chance::new(draws);
                bench.run(10 * SECOND);
                if cancels {
                    bench.request(
                        "CANCEL",
                        "sip:user@im.example",
                        "z9hG4bKone",
                        "<sip:user@im.example>",
                        "",
                    );
                }
                bench.run(20 * SECOND);
                bench.finals()
            })
            .collect()
    };
    let has = |list: &[u16], class: u16| list.iter().any(|status| status / 100 == class);
    assert!(finals(0, false).iter().all(|list| has(list, 2)));
    assert!(finals(2, false).iter().all(|list| !has(list, 2) && list.iter().any(|s| *s >= 300)));
    assert!(finals(4, false).iter().all(|list| list.iter().all(|status| *status < 200)));
    assert!(finals(5, true).iter().all(|list| list.contains(&487)));
    assert!(finals(6, true).iter().all(|list| has(list, 2)));
    assert!(finals(8, true).iter().all(Vec::is_empty));
    assert!(finals(9, false).iter().all(|list| list.iter().filter(|s| **s == 200).count() > 1));
    assert!(finals(13, false).iter().all(|list| list.contains(&401) || list.contains(&407)));
}

#[test]
fn a_2xx_is_repeated_until_it_is_acknowledged_and_then_the_dialog_ends() {
    let mut bench = Bench::new("sip:calm@im.example", 0, 0, 10);
    bench.us.port = 1;
    let packets = |bench: &mut Bench, until: u64| {
        let mut count = 0;
        loop {
            let Some(event) = bench.air.next() else { return count };
            match event {
                Event::Arrives(packet) if packet.octets.starts_with(b"SIP/2.0 200") => count += 1,
                Event::Agent(task) => bench.hosts.on_task(task, &mut bench.air, &bench.swarm),
                _ => {}
            }
            if bench.air.now > until {
                return count;
            }
        }
    };
    let count = packets(&mut bench, 60 * SECOND);
    // 0, 0.5, 1.5, 3.5, 7.5, then every four seconds up to 32.
    assert_eq!(count, 11);
    assert!(bench.hosts.agents().sessions[0].said_bye);
}
