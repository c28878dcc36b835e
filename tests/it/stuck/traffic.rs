//! A worker that is stopped in the middle of its work, wherever that is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::signal;
use super::thread::Stopped;
use crate::bench::{answer, field, message};
use crate::site::{Site, WORKERS, receive};

/// Messages of each round, and after how many of them a worker is stopped and released.
const MESSAGES: u32 = 900;
const STOPPED: u32 = 300;

/// Rounds: each stops somewhere else.
const ROUNDS: usize = 4;

const END: &[u8] = b"END";

/// The IM side, which proves at once whatever it gets.
fn im(site: &Site) -> JoinHandle<()> {
    let (socket, engine) = (site.im.try_clone().unwrap(), site.engine());
    std::thread::spawn(move || {
        loop {
            let request = receive(&socket);
            if request.as_bytes() == END {
                return;
            }
            socket.send_to(answer(&request, "200 OK").as_bytes(), engine).unwrap();
        }
    })
}

/// The SMS side: the final statuses that each message got. Says when the message of this number has
/// its first.
fn sms(site: &Site, last: u32) -> (JoinHandle<BTreeMap<String, Vec<u16>>>, Receiver<()>) {
    let socket = site.sms.try_clone().unwrap();
    let (tell, told_last) = channel();
    let last = call_id(last);
    let thread = std::thread::spawn(move || {
        let mut told = BTreeMap::<String, Vec<u16>>::new();
        loop {
            let response = receive(&socket);
            if response.as_bytes() == END {
                return told;
            }
            let status: u16 = response.split(' ').nth(1).unwrap().parse().unwrap();
            if status >= 200 {
                let id = field(&response, "call-id").to_owned();
                if id == last {
                    // Nobody waits any more when it comes again.
                    let _ = tell.send(());
                }
                told.entry(id).or_default().push(status);
            }
        }
    });
    (thread, told_last)
}

#[expect(clippy::disallowed_methods, reason = "a load has pauses")]
fn send(site: &Site, numbers: std::ops::Range<u32>) {
    for number in numbers {
        site.sms_sends(message(number).as_bytes());
        if number.is_multiple_of(8) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The number of `name` that each worker has counted by itself.
fn counted(site: &Site, name: &str) -> [u64; WORKERS] {
    let status = site.status();
    [0, 1].map(|worker| status["workers"][worker]["counters"][name].as_u64().unwrap_or(0))
}

fn round(number: usize) {
    let stuck = number % WORKERS;
    let site = Site::new(&format!("stuck-traffic-{number}"), "on_loss = \"stay\"\n", "", true);
    let mut life = site.start("verdicts");
    let able = site.numbers_of(1 - stuck).find(|number| *number >= MESSAGES).unwrap();
    let (im, (sms, last)) = (im(&site), sms(&site, able));
    send(&site, 0..STOPPED);
    let stopped = Stopped::thread(life.pid(), &format!("roger-worker-0{stuck}"));
    send(&site, STOPPED..2 * STOPPED);
    let line = life.line_with("is stuck");
    send(&site, 2 * STOPPED..MESSAGES);
    let [accepted, lost] = ["messages_accepted", "accounts_lost"];
    let accepted_there = counted(&site, accepted)[stuck];
    stopped.release();
    site.wait_until_silenced(stuck);
    // It may have handed over what it was in the middle of. The other one ends all of that.
    send(&site, able..able + 1);
    last.recv().unwrap();
    while counted(&site, "messages_open")[1 - stuck] > 0 {}
    let (accepted, lost) = (counted(&site, accepted)[1 - stuck], site.count(lost));
    signal(&life, "-TERM");
    signal(&life, "-TERM");
    assert_eq!(life.child.wait().unwrap().code(), Some(0), "{line}");
    let ender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&site.im, &site.sms] {
        ender.send_to(END, socket.local_addr().unwrap()).unwrap();
    }
    im.join().unwrap();
    agree(&site, &sms.join().unwrap(), &line);
    let there: BTreeSet<String> = site.numbers_of(stuck).map(call_id).collect();
    let lines = site.verdicts("verdicts");
    let ids = lines.iter().map(|line| line["sms_call_id"].as_str().unwrap());
    let (told_there, told): (Vec<&str>, Vec<&str>) = ids.partition(|id| there.contains(*id));
    assert_eq!(told.len() as u64, accepted, "{line}");
    // Who was telling when it was stopped may have told what was counted as lost, or lost one more;
    // who was accepting may not have counted it yet.
    let was_speaking = line.contains("it was sending");
    let told = told_there.len() as u64 + lost;
    let all = accepted_there..=accepted_there + 1;
    assert!(was_speaking || all.contains(&told), "{told}, {lost} of them lost: {all:?}: {line}");
}

fn call_id(number: u32) -> String {
    format!("call-{number}@sbc.example")
}

/// No two lines about one message, and none that is not what its sender was told.
fn agree(site: &Site, told: &BTreeMap<String, Vec<u16>>, line: &str) {
    let mut verdicts = BTreeMap::<String, String>::new();
    for line in site.verdicts("verdicts") {
        let id = line["sms_call_id"].as_str().unwrap().to_owned();
        let verdict = line["verdict"].as_str().unwrap().to_owned();
        assert_eq!(verdicts.insert(id, verdict), None, "{line}");
    }
    let count = |verdict: &str| verdicts.values().filter(|one| *one == verdict).count();
    assert!(count("D") > STOPPED as usize, "{line}");
    assert_eq!(count("D") + count("U"), verdicts.len());
    for (id, statuses) in told {
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{id}: {statuses:?}");
        let verdict = verdicts.get(id).map(String::as_str);
        match statuses[0] {
            200 => assert_ne!(verdict, Some("U"), "{id}: {line}"),
            503 => assert_eq!(verdict, None, "{id}: {line}"),
            other => panic!("{id}: {other}"),
        }
    }
    // Who was told nothing has no proof either, and the other way round.
    for (id, verdict) in &verdicts {
        assert!(verdict == "U" || told.contains_key(id), "{id}: {line}");
    }
}

#[test]
fn wherever_a_worker_is_stopped_nothing_is_told_twice_or_otherwise() {
    (0..ROUNDS).for_each(round);
}
