//! Workers that are lost at the worst moment: the process still ends, each message is told once, and
//! what is shown stays true.

use std::process::Command;
use std::time::Duration;

use crate::bench::{answer, field, message};
use crate::short::Short;
use crate::site::{Life, Site, receive};
use crate::stuck::thread::Stopped;

use std::sync::Arc;

use roger::config::Config;
use roger::delivery::{Account, Evidence, Form, Identifier, Report, Statuses, Verdict};
use roger::engine::{Engine, Neighbours, Setup, home_of};
use roger::id::WorkerId;
use roger::metrics::{Counter, Tally};
use roger::oam::Service;
use roger::packet::Departures;
use roger::time::Instant;

use crate::bench::{Bench, IM, SBC, setup};

/// Longer than a loss and everything that follows from it take.
const PATIENCE: Duration = Duration::from_secs(15);

fn signal(pid: i32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Fails the test instead of leaving it waiting.
fn bounded(life: &Life) {
    let pid = life.pid().to_string();
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        let _ = Command::new("kill").args(["-KILL", &pid]).output();
    });
}

/// Opens one message on this worker; what went onward.
fn open(site: &Site, worker: usize) -> String {
    let number = site.numbers_of(worker).next().unwrap();
    site.sms_sends(message(number).as_bytes());
    site.onward(number)
}

#[test]
fn a_worker_that_is_stuck_when_the_process_is_told_to_end_does_not_hold_it_up() {
    let site = Site::new("stuck-at-the-end", "", "", true);
    let mut life = site.start("verdicts");
    let onward = [0, 1].map(|worker| open(&site, worker));
    bounded(&life);
    let stopped = Stopped::thread(life.pid(), "roger-worker-00");
    signal(life.pid(), "-TERM");
    life.line_with("draining");
    signal(life.pid(), "-TERM");
    let line = life.line_with("is stuck");
    assert!(
        line.starts_with("roger: worker 0 is stuck: 1 open message ends as unknown;"),
        "{line}"
    );
    life.line_with("ended: a worker is lost");
    stopped.buried();
    assert_eq!(life.child.wait().unwrap().code(), Some(71));
    let lines = site.verdicts("verdicts");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for (text, evidence) in onward.iter().zip(["worker_lost", "shutdown"]) {
        let line = lines.iter().find(|line| line["sms_call_id"] == *field(text, "call-id"));
        assert_eq!(line.unwrap()["evidence"]["kind"], evidence);
    }
}

#[test]
fn what_a_lost_worker_finds_in_its_sockets_decides_nothing_any_more() {
    // Responses come home to a port of its own, where nothing leads around it.
    let requests = "[requests]\nports = \"20000-29999\"\n";
    let site = Site::new("stuck-own-port", "on_loss = \"stay\"\n", requests, true);
    let mut life = site.start("verdicts");
    let onward = open(&site, 0);
    bounded(&life);
    let stopped = Stopped::thread(life.pid(), "roger-worker-00");
    life.line_with("is stuck: 1 open message ends as unknown");
    // Nothing of it is open: it was told.
    assert_eq!(site.count("messages_open"), 0);
    let via = field(&onward, "via").split([' ', ';']).nth(1).unwrap().to_owned();
    site.im.send_to(answer(&onward, "200 OK").as_bytes(), &*via).unwrap();
    stopped.release();
    while site.status()["workers"][0]["state"] != "silenced" {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((site.count("verdict_unknown"), site.count("verdict_delivered")), (1, 0));
    site.sms.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(site.sms.recv(&mut [0; 100]).is_err());
    // The other one goes on.
    let onward = open(&site, 1);
    site.sms.set_read_timeout(Some(PATIENCE)).unwrap();
    let via = field(&onward, "via").split([' ', ';']).nth(1).unwrap().to_owned();
    site.im.send_to(answer(&onward, "200 OK").as_bytes(), &*via).unwrap();
    assert!(receive(&site.sms).starts_with("SIP/2.0 200"));
}

/// The only worker of a process, and what takes the word from it.
fn bench() -> (Bench, Arc<roger::engine::Common>) {
    let neighbours = Neighbours::none(setup().next_servers.len());
    let (common, now) = (neighbours.common(), Instant(1_000_000_000_000));
    let setup = Setup { worker: WorkerId(0), accounts: true, ..setup() };
    let tally = Arc::new(Tally::new(setup.peers.len()));
    let engine = Engine::among(neighbours, setup, Arc::clone(&tally), now);
    (Bench { engine, out: Departures::new(), now, tally, sent: Ok(()) }, common)
}

#[test]
fn who_is_lost_in_the_middle_of_a_turn_counts_no_second_verdict() {
    let (mut bench, common) = bench();
    let onward = bench.give(SBC, &message(1));
    common.lose(WorkerId(0));
    bench.give(IM, &answer(&onward[0].text, "200 OK"));
    assert_eq!(bench.tally.counters.read(Counter::VerdictDelivered), 0);
}

/// It was stopped in the middle of a turn, told by somebody else, and goes on with the same turn:
/// nothing that it still decides is what others answer.
#[test]
fn what_a_lost_worker_still_decides_is_answered_by_nobody() {
    let setup = Setup { worker: WorkerId(0), ..setup() };
    let mut group = Neighbours::group(2, setup.next_servers.len()).into_iter().map(|neighbours| {
        let common = neighbours.common();
        let setup = Setup { worker: neighbours.own(), ..setup.clone() };
        let tally = Arc::new(Tally::new(setup.peers.len()));
        let now = Instant(1_000_000_000_000);
        let engine = Engine::among(neighbours, setup, Arc::clone(&tally), now);
        (Bench { engine, out: Departures::new(), now, tally, sent: Ok(()) }, common)
    });
    let ((mut lost, common), (mut other, _)) = (group.next().unwrap(), group.next().unwrap());
    let home = |number: &u32| {
        let uri = format!("sip:+1555000{number:04}@im.example:5070");
        home_of(setup.key, uri.as_bytes(), 2) == WorkerId(0)
    };
    let numbers: Vec<u32> = (1..).filter(home).take(3).collect();
    let text = |number: u32| Short {
        recipient: format!("sip:+1555000{number:04}@im.example"),
        ..Short::new(number, "Hello")
    };
    let onward = lost.give(SBC, &message(numbers[0])).remove(0);
    common.lose(WorkerId(0));
    let told = lost.engine.remains().left().count();
    // A proof of what was told as unknown, and two messages that nobody has been told of.
    lost.give(IM, &answer(&onward.text, "200 OK"));
    lost.give(SBC, &message(numbers[1]));
    lost.give_octets(SBC, &text(numbers[2]).request(), false);
    assert_eq!((told, lost.count(Counter::MessagesAccepted)), (1, 1));
    assert!(other.give(SBC, &message(numbers[0])).is_empty());
    assert_eq!(other.give(SBC, &message(numbers[1]))[0].status(), 503);
    let left = other.give_octets(SBC, &text(numbers[2]).request(), false);
    assert_eq!(left[0].status(), 503);
}

#[test]
fn what_is_closed_and_not_told_is_seen_from_outside() {
    let (mut bench, _) = bench();
    let remains = bench.engine.remains();
    for number in 0..3 {
        let onward = bench.give(SBC, &message(number));
        assert_eq!(remains.waiting(), u64::from(number));
        bench.give(IM, &answer(&onward[0].text, "200 OK"));
        assert_eq!(remains.left().count(), 0);
    }
    for left in (0..3).rev() {
        assert!(bench.engine.pop_account().is_some());
        assert_eq!(remains.waiting(), left);
    }
}

fn told_already() -> Account {
    let at = Instant(0);
    Account {
        form: Form::CutThrough,
        arrived: at,
        decided: at,
        reported: at,
        sms_call_id: Identifier::new(b"a"),
        im_call_id: Identifier::new(b"a"),
        recipient: Identifier::new(b"b"),
        sms_peer: 0,
        im_peer: 1,
        transmissions: 1,
        statuses: Statuses::default(),
        evidence: Evidence::TimerF,
        verdict: Verdict::Unknown,
        report: Report::Silence,
    }
}

#[test]
fn a_worker_that_waits_for_the_writer_at_the_end_is_not_lost() {
    let (sms, im) = (crate::run_process::socket(), crate::run_process::socket());
    let text = format!(
        "[workers]\ncpus = \"any\"\ncount = 2\npolling = \"wait\"\nlost_after = \"500ms\"\n\
         [[listen]]\naddress = \"127.0.0.1:0\"\n\
         [[peer]]\nname = \"sbc\"\nside = \"sms\"\naddress = \"{}\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"{}\"\n\
         [route]\noutbound_proxies = \"im\"\n[capacity]\nrate = 100\nopen = 1024\n",
        sms.local_addr().unwrap(),
        im.local_addr().unwrap(),
    );
    let service = Service::start(&Config::parse(&text, "test").unwrap(), true).unwrap();
    for number in 0..8 {
        sms.send_to(message(number).as_bytes(), service.addresses()[0]).unwrap();
        receive(&im);
    }
    let (ring, total) = (service.accounts().unwrap(), service.total());
    while ring.push(told_already()).is_ok() {}
    let stopped = service.stop();
    assert_eq!((stopped.abandoned, stopped.losses), (8, Vec::new()));
    assert_eq!((total.read(Counter::VerdictUnknown), total.read(Counter::AccountsLost)), (8, 8));
}
