//! A worker that stands still, in a real process: its messages are told as unknown once, and nothing
//! that is told is contradicted. A machine that stands still loses nobody.

pub(crate) mod thread;
mod traffic;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use self::thread::Stopped;
use crate::bench::{answer, answer_with, field, message};
use crate::site::{Life, Site, WORKERS, before, emptied, receive, short};

/// Two messages of each form on each worker, all of them open.
struct Open {
    site: Site,
    life: Life,
    /// The Call-IDs of what is open, worker by worker.
    call_ids: [Vec<String>; WORKERS],
    /// What the IM side got.
    onward: [Vec<String>; WORKERS],
    /// What the SMS side has sent.
    sent: [Vec<Vec<u8>>; WORKERS],
}

/// Numbers of a worker of which none is open.
fn fresh(site: &Site, worker: usize) -> impl Iterator<Item = u32> + use<> {
    site.numbers_of(worker).skip(4)
}

fn call_id(request: &[u8]) -> String {
    field(&String::from_utf8_lossy(request), "call-id").to_owned()
}

impl Open {
    fn new(name: &str, workers: &str, timers: &str) -> Self {
        let site = Site::new(name, workers, timers, true);
        let life = site.start("verdicts");
        let mut sent: [Vec<Vec<u8>>; WORKERS] = Default::default();
        let mut onward: [Vec<String>; WORKERS] = Default::default();
        let mut call_ids: [Vec<String>; WORKERS] = Default::default();
        for worker in 0..WORKERS {
            let numbers: Vec<u32> = site.numbers_of(worker).take(4).collect();
            let of = |number: &u32| match numbers.iter().position(|one| one == number).unwrap() {
                0 | 1 => message(*number).into_bytes(),
                _ => short(*number),
            };
            sent[worker] = numbers.iter().map(of).collect();
            for (request, number) in sent[worker].iter().zip(&numbers) {
                site.sms_sends(request);
                onward[worker].push(site.onward(*number));
                if call_id(request).starts_with("rp-") {
                    assert!(receive(&site.sms).starts_with("SIP/2.0 200"));
                }
            }
            call_ids[worker] = sent[worker].iter().map(|request| call_id(request)).collect();
        }
        Self { site, life, call_ids, onward, sent }
    }

    /// Asserts that there is one line for each message that was open on this worker, and that it
    /// says this.
    fn told(&self, worker: usize, verdict: &str, evidence: &str) {
        let lines = self.site.verdicts("verdicts");
        for id in &self.call_ids[worker] {
            let own: Vec<_> = lines.iter().filter(|line| line["sms_call_id"] == **id).collect();
            let [line] = own.as_slice() else { panic!("{id}: {own:#?}") };
            assert_eq!(line["verdict"], verdict, "{line:#?}");
            assert_eq!(line["evidence"]["kind"], evidence, "{line:#?}");
        }
    }

    /// A message whose home runs goes there and back, and is the next that the SMS side hears of.
    fn relays(&self, number: u32) {
        self.site.sms_sends(message(number).as_bytes());
        self.site.im_sends(&answer(&self.site.onward(number), "200 OK"));
        let back = receive(&self.site.sms);
        assert!(back.starts_with("SIP/2.0 200 OK"), "{back}");
        assert_eq!(field(&back, "call-id"), format!("call-{number}@sbc.example"));
    }
}

fn signal(life: &Life, name: &str) {
    let pid = life.pid().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn a_stuck_worker_is_told_and_the_process_ends() {
    for stuck in 0..WORKERS {
        let mut open = Open::new(&format!("stuck-exit-{stuck}"), "on_loss = \"exit\"\n", "");
        let stopped = Stopped::thread(open.life.pid(), &format!("roger-worker-0{stuck}"));
        let line = open.life.line_with("is stuck");
        // It may have been stopped in the middle of sending, which is then said as well.
        let expected = format!("roger: worker {stuck} is stuck: 4 open messages end as unknown;");
        assert!(line.starts_with(&expected), "{line}");
        assert!(line.contains("; the process ends"), "{line}");
        open.life.line_with("ended: a worker is lost");
        stopped.buried();
        assert_eq!(open.life.child.wait().unwrap().code(), Some(71));
        open.told(stuck, "U", "worker_lost");
        open.told(1 - stuck, "U", "shutdown");
        assert_eq!(open.site.verdicts("verdicts").len(), 8);
    }
}

#[test]
fn the_others_go_on_and_nothing_that_was_told_is_contradicted() {
    for stuck in 0..WORKERS {
        let timers = "drain_announce = \"0s\"\ndrain_timeout = \"1min\"\n";
        let mut open = Open::new(&format!("stuck-stay-{stuck}"), "on_loss = \"stay\"\n", timers);
        let stopped = Stopped::thread(open.life.pid(), &format!("roger-worker-0{stuck}"));
        let line = open.life.line_with("is stuck");
        assert!(line.contains(": 4 open messages end as unknown; "), "{line}");
        assert!(line.contains("; the others go on"), "{line}");
        while_it_is_stuck(&open, stuck);
        // What came from it before it stood still.
        emptied(&open.site.im);
        stopped.release();
        open.site.wait_until_silenced(stuck);
        after_its_end(&mut open, stuck);
    }
}

fn while_it_is_stuck(open: &Open, stuck: usize) {
    let Open { site, .. } = open;
    let states = site.status();
    assert_eq!(states["workers"][stuck]["state"], "stuck");
    assert_eq!(states["workers"][1 - stuck]["state"], "running");
    assert_eq!(site.count("workers_lost"), 1);
    let able: Vec<u32> = fresh(site, 1 - stuck).take(2).collect();
    open.relays(able[0]);
    for number in fresh(site, stuck).take(4) {
        // Of either form, and a copy gets the same.
        let form = if number % 2 == 0 { message(number).into_bytes() } else { short(number) };
        for _ in 0..2 {
            site.sms_sends(&form);
            let refusal = receive(&site.sms);
            assert!(refusal.starts_with("SIP/2.0 503 "), "{refusal}");
            let seconds: u32 = field(&refusal, "retry-after").parse().unwrap();
            assert!((1..=10).contains(&seconds), "{refusal}");
        }
    }
    // Copies of what was accepted, and what would have been its proof. A 200 to RP-DATA said nothing
    // about the message: whoever has it says it again.
    let absorbed = site.count("dropped_lost");
    open.sent[stuck].iter().take(2).for_each(|request| site.sms_sends(request));
    open.onward[stuck].iter().for_each(|text| site.im_sends(&answer(text, "200 OK")));
    site.wait_for("dropped_lost", absorbed + 6);
    for request in &open.sent[stuck][2..] {
        site.sms_sends(request);
        let again = receive(&site.sms);
        assert!(again.starts_with("SIP/2.0 200 ") && again.contains("rp-"), "{again}");
    }
    // What is heard next belongs to another message.
    open.relays(able[1]);
    open.told(stuck, "U", "worker_lost");
}

fn after_its_end(open: &mut Open, stuck: usize) {
    let site = &open.site;
    let number = fresh(site, 1 - stuck).nth(2).unwrap();
    site.sms_sends(message(number).as_bytes());
    let id = format!("call-{number}@sbc.example");
    let lost: Vec<&str> = open.onward[stuck].iter().map(|text| field(text, "call-id")).collect();
    let heard = before(&site.im, &id);
    assert!(heard.iter().all(|id| !lost.contains(&&**id)), "{heard:?} of {lost:?}");
    // The other worker's messages end as they would have.
    for text in &open.onward[1 - stuck] {
        site.im_sends(&answer(text, "200 OK"));
        let told = receive(&site.sms);
        if told.starts_with("MESSAGE ") {
            site.sms_sends(answer_with(&told, "200 OK", "").as_bytes());
        } else {
            assert!(told.starts_with("SIP/2.0 200 OK"), "{told}");
        }
    }
    site.wait_for("verdict_delivered", 6);
    signal(&open.life, "-TERM");
    let line = open.life.line_with("open");
    assert!(line.contains("; 1 open"), "{line}");
    signal(&open.life, "-TERM");
    assert_eq!(open.life.child.wait().unwrap().code(), Some(75));
    assert!(emptied(&open.site.sms).is_empty());
    open.told(stuck, "U", "worker_lost");
    open.told(1 - stuck, "D", "final");
    // Two that were relayed and the one that was open at the end.
    assert_eq!(open.site.verdicts("verdicts").len(), 8 + 3);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the process stands still for so long")]
fn a_process_that_stands_still_loses_nobody() {
    let mut open = Open::new("stuck-all", "on_loss = \"exit\"\n", "");
    signal(&open.life, "-STOP");
    open.onward.iter().flatten().for_each(|text| open.site.im_sends(&answer(text, "486 Busy")));
    std::thread::sleep(Duration::from_secs(3));
    signal(&open.life, "-CONT");
    let turns = || {
        let status = open.site.status();
        [0, 1].map(|worker| status["workers"][worker]["turns"].as_u64().unwrap())
    };
    // Eight times four looks: more than a loss would take.
    let then = turns().map(|turns| turns + 8);
    while turns().iter().zip(then).any(|(now, then)| *now < then) {}
    assert_eq!(open.site.count("workers_lost"), 0);
    assert_eq!(open.site.status()["workers"][0]["state"], "running");
    assert_eq!(open.site.status()["workers"][1]["state"], "running");
    // What was proved meanwhile is told.
    let (mut reports, mut finals) = (BTreeSet::new(), BTreeSet::new());
    while reports.len() + finals.len() < 8 {
        let text = receive(&open.site.sms);
        let call_id = field(&text, "call-id").to_owned();
        if text.starts_with("MESSAGE ") {
            // It may come again before it is answered.
            open.site.sms_sends(answer(&text, "200 OK").as_bytes());
            reports.insert(call_id);
        } else {
            assert!(text.starts_with("SIP/2.0 486 "), "{text}");
            finals.insert(call_id);
        }
    }
    assert_eq!((reports.len(), finals.len()), (4, 4));
    open.site.wait_for("verdict_temporary", 8);
    open.site.wait_for("messages_open", 0);
    signal(&open.life, "-TERM");
    signal(&open.life, "-TERM");
    assert_eq!(open.life.child.wait().unwrap().code(), Some(0));
    (0..WORKERS).for_each(|worker| open.told(worker, "T", "final"));
}
