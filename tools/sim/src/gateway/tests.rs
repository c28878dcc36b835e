use super::*;
use crate::air::Air;
use crate::centre::Task;
use crate::chance::Chance;
use crate::short::Fate;
use crate::text::written;

/// A service centre that has handed one plain short message over, and what the engine should
/// do with it written by hand.
struct Scene {
    swarm: Swarm,
    centres: Centres,
    gateway: Gateway,
    now: u64,
}

const SECONDS: u64 = SECOND;

impl Scene {
    fn new() -> Self {
        let plain = |swarm: &Swarm| {
            swarm.gateway.messages > 0
                && !swarm.route_by_uri
                && swarm.t1_ms == 500
                && swarm.deadline_ms == 28_000
                && swarm.gateway.centres.iter().all(|centre| centre.route.is_empty())
                && !swarm.gateway.cpim[0]
                && swarm.faults.stalls == 0
                && crate::judge::letter(200, swarm.places.servers[0].role) == 'D'
        };
        let mut swarms = (0..).map(|seed| Swarm::new(&mut Chance::new(seed)));
        let swarm = swarms.find(plain).unwrap();
        let mut air = Air::new(Chance::new(3), crate::swarm::Faults::none());
        let mut centres = Centres::default();
        let usable = |centres: &Centres| {
            let short = centres
                .shorts
                .iter()
                .position(|short| short.fate == Fate::Send && short.originator.ton == 1)?;
            Some(short)
        };
        while usable(&centres).is_none() {
            centres.on_task(Task::Compose, false, &mut air, &swarm);
        }
        let short = usable(&centres).unwrap();
        for _ in 0..2 {
            centres.on_task(Task::Submit(short), false, &mut air, &swarm);
        }
        Self { swarm, centres, gateway: Gateway::default(), now: 10 * SECONDS }
    }

    /// The MESSAGE of a submission comes.
    fn arrives(&mut self, submission: usize) {
        let record = &self.centres.submissions[submission];
        let packet = Packet {
            from: self.swarm.gateway.centres[record.centre].addresses[0],
            to: self.swarm.places.sockets[0],
            octets: record.octets.clone(),
            grade: Grade::Sound,
            truncated: false,
            mark: Some(submission),
            over: crate::air::Over::Datagram,
        };
        let octets = record.octets.clone();
        assert!(self.comes(&packet));
        let text = Text::read(&octets).unwrap();
        let via = text.vias().next().unwrap().trim();
        let answer = format!("SIP/2.0 200 OK\r\nVia: {via}\r\nContent-Length: 0\r\n\r\n");
        self.leaves(packet.from, answer.as_bytes()).unwrap();
        self.gateway.on_settled(self.now).unwrap();
    }

    fn comes(&mut self, packet: &Packet) -> bool {
        self.gateway.on_arrival(self.now, self.now, packet, &self.centres, &self.swarm)
    }

    fn leaves(&mut self, remote: roger::packet::Endpoint, octets: &[u8]) -> Verdict<()> {
        let flow = roger::packet::Flow { remote, ..Default::default() };
        let departure = Departure { flow, ..Departure::default() };
        let octets = octets.into();
        let Self { gateway, centres, swarm, now, .. } = self;
        gateway.on_departure(*now, &departure, &octets, centres, swarm).map(|_| ())
    }

    /// An instant message for the short message leaves.
    fn instant(&mut self, branch: &str, call_id: &str, cseq: u32) -> Verdict<()> {
        let short = &self.centres.shorts[self.centres.submissions[0].short];
        let octets = format!(
            "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch={branch}\r\n\
             From: <sip:+{from}@{domain};user=phone>;tag=1\r\nTo: <{uri}>\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} MESSAGE\r\nDate: {date}\r\n\
             Request-Disposition: no-fork\r\nContent-Type: text/plain; charset=UTF-8\r\n\
             Content-Length: {len}\r\n\r\n{text}",
            uri = short.recipient,
            us = written(self.swarm.places.sockets[0]),
            from = short.originator.text,
            domain = form::DOMAIN,
            date = short.date(),
            len = short.text.len(),
            text = short.text,
        );
        let remote = short.targets[0];
        self.leaves(remote, octets.as_bytes())
    }

    /// A final response to it comes.
    fn response(&mut self, branch: &str, status: u16) {
        let octets = format!("SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch={branch}\r\n\r\n");
        let packet = Packet {
            from: self.swarm.places.servers[0].addresses[0],
            to: self.swarm.places.sockets[0],
            octets: octets.as_bytes().into(),
            grade: Grade::Sound,
            truncated: false,
            mark: None,
            over: crate::air::Over::Datagram,
        };
        assert!(self.comes(&packet));
        self.gateway.on_settled(self.now).unwrap();
    }

    /// A report about a submission leaves.
    fn report(&mut self, branch: &str, submission: usize, body: &[u8]) -> Verdict<()> {
        let record = &self.centres.submissions[submission];
        let short = &self.centres.shorts[record.short];
        let head = format!(
            "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch={branch}\r\nTo: <{uri}>\r\n\
             From: <{from}>;tag=2\r\nCall-ID: r{branch}\r\nCSeq: 1 MESSAGE\r\n\
             In-Reply-To: {reply}\r\nContent-Type: application/vnd.3gpp.sms\r\n\
             Content-Length: {len}\r\n\r\n",
            uri = record.report_to,
            from = short.recipient,
            reply = record.call_id,
            len = body.len(),
        );
        let remote = self.swarm.gateway.centres[record.centre].addresses[0];
        self.leaves(remote, &[head.as_bytes(), body].concat())
    }

    fn reference(&self, submission: usize) -> u8 {
        self.centres.submissions[submission].reference
    }

    /// Delivered and acknowledged.
    fn delivered() -> Self {
        let mut scene = Self::new();
        scene.arrives(0);
        scene.instant("z9hG4bK1", "c", 1).unwrap();
        scene.now += SECONDS;
        scene.response("z9hG4bK1", 200);
        let ack = [2, scene.reference(0), 0x41, 2, 0, 0];
        scene.report("z9hG4bKr1", 0, &ack).unwrap();
        scene
    }
}

#[test]
fn what_is_right_is_let_pass() {
    Scene::delivered();
}

#[test]
fn an_acknowledgement_needs_its_proof() {
    let mut scene = Scene::new();
    scene.arrives(0);
    scene.instant("z9hG4bK1", "c", 1).unwrap();
    let ack = [2, scene.reference(0)];
    assert!(scene.report("z9hG4bKr1", 0, &ack).unwrap_err().starts_with("I3"));
    scene.response("z9hG4bK1", 202);
    scene.centres.shorts[scene.centres.submissions[0].short].status_report = true;
    assert!(scene.report("z9hG4bKr1", 0, &ack).unwrap_err().starts_with("I3"));
}

#[test]
fn a_report_is_said_once_and_with_its_own_reference() {
    let mut scene = Scene::delivered();
    let ack = [2, scene.reference(0), 0x41, 2, 0, 0];
    assert!(scene.report("z9hG4bKr2", 0, &ack).unwrap_err().starts_with("I5"));
    scene.arrives(1);
    let other = [2, scene.reference(1).wrapping_add(1)];
    assert!(scene.report("z9hG4bKr3", 1, &other).unwrap_err().starts_with("I7"));
    let own = [2, scene.reference(1)];
    scene.report("z9hG4bKr3", 1, &own).unwrap();
}

#[test]
fn causes_of_the_network_are_not_for_an_ms() {
    for (cause, right) in [(111, true), (96, true), (22, false), (41, false), (38, false)] {
        let mut scene = Scene::new();
        scene.arrives(0);
        let error = [4, scene.reference(0), 1, cause];
        assert_eq!(scene.report("z9hG4bKr1", 0, &error).is_ok(), right, "{cause}");
    }
}

#[test]
fn a_report_does_not_come_after_its_deadline() {
    let mut scene = Scene::new();
    scene.arrives(0);
    scene.now += 29 * SECONDS;
    let error = [4, scene.reference(0), 1, 111];
    assert!(scene.report("z9hG4bKr1", 0, &error).unwrap_err().starts_with("I8"));
}

#[test]
fn what_was_delivered_is_not_sent_again() {
    let mut scene = Scene::delivered();
    scene.now += 100 * SECONDS;
    scene.arrives(1);
    assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with("H2"));
    // Long after that it may be another message.
    let mut scene = Scene::delivered();
    scene.now += 400 * SECONDS;
    scene.arrives(1);
    scene.instant("z9hG4bK2", "d", 1).unwrap();
}

#[test]
fn what_was_refused_or_accepted_is_not_sent_again() {
    for (status, hazard) in [(404, "H61"), (202, "H3")] {
        let mut scene = Scene::new();
        scene.arrives(0);
        scene.instant("z9hG4bK1", "c", 1).unwrap();
        scene.response("z9hG4bK1", status);
        scene.now += 20 * SECONDS;
        scene.arrives(1);
        assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with(hazard));
    }
}

#[test]
fn a_retry_has_the_same_call_id_and_the_next_cseq() {
    let unknown = || {
        let mut scene = Scene::new();
        scene.arrives(0);
        scene.instant("z9hG4bK1", "c", 1).unwrap();
        scene.response("z9hG4bK1", 486);
        scene.now += 5 * SECONDS;
        scene.arrives(1);
        scene
    };
    unknown().instant("z9hG4bK2", "c", 2).unwrap();
    assert!(unknown().instant("z9hG4bK2", "d", 1).unwrap_err().starts_with("H13"));
    assert!(unknown().instant("z9hG4bK2", "c", 1).unwrap_err().starts_with("H8"));
    let mut twice = unknown();
    twice.instant("z9hG4bK2", "c", 2).unwrap();
    twice.response("z9hG4bK2", 486);
    twice.now += SECONDS;
    let error = [4, twice.reference(0), 1, 111];
    twice.report("z9hG4bKr1", 0, &error).unwrap();
    assert!(twice.instant("z9hG4bK3", "c", 3).unwrap_err().starts_with("I9"));
}

#[test]
fn one_message_to_a_uri_is_pending() {
    let mut scene = Scene::new();
    scene.arrives(0);
    scene.instant("z9hG4bK1", "c", 1).unwrap();
    scene.now += SECONDS;
    scene.arrives(1);
    assert!(scene.instant("z9hG4bK2", "c", 2).unwrap_err().starts_with("R2"));
    let mut late = Scene::new();
    late.arrives(0);
    late.now += 12 * SECONDS;
    assert!(late.instant("z9hG4bK1", "c", 1).unwrap_err().starts_with("R2"));
}
