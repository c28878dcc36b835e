//! `roger load run` as a load engineer meets it: against itself, against somebody who lies, and
//! against nobody.

mod gateway;
mod middle;
mod sessions;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStderr, Command};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::Value;

use crate::load_run::middle::Middle;
use crate::run_process::{output, roger};
use crate::status_socket::Directory;

/// Runs it with `--json`; its exit code and its result.
fn run(arguments: &[&str]) -> (i32, Value) {
    let all = [&["load", "run", "--json", "-q"], arguments].concat();
    let (code, text, error) = output(&all);
    let result = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{error}"));
    (code, result)
}

/// A run that goes on, with what it says on standard error.
struct Running {
    child: Child,
    error: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let all = [&["load", "run", "--json", "-q"], arguments].concat();
        let mut child = roger(&all).spawn().unwrap();
        let error = BufReader::new(child.stderr.take().unwrap());
        Self { child, error }
    }

    /// The address behind `words`.
    fn address_after(&mut self, words: &str) -> SocketAddr {
        let mut line = String::new();
        while !line.starts_with(words) {
            line.clear();
            assert!(self.error.read_line(&mut line).unwrap() > 0, "it never said {words:?}");
        }
        line[words.len()..].trim().split(' ').next().unwrap().parse().unwrap()
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    fn finish(mut self) -> (i32, Value) {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let code = self.child.wait().unwrap().code();
        let code = code.unwrap_or_else(|| panic!("it has not ended by itself: {text}"));
        (code, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code}: {text}")))
    }

    /// The same, but it is killed when it has not ended by then.
    fn finish_within(self, limit: Duration) -> (i32, Value) {
        let pid = self.child.id().to_string();
        let (ended, has_ended) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            if has_ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                Command::new("kill").args(["-KILL", &pid]).status().unwrap();
            }
        });
        let result = self.finish();
        drop(ended);
        result
    }
}

/// Whether this machine allows it.
fn has_uring() -> bool {
    let tally = std::sync::Arc::new(roger::metrics::Tally::new(0));
    roger::io::Driver::open(Vec::new(), roger::io::Choice::Uring, tally).is_ok()
}

/// A port of this address that is free, below those that the kernel gives to whoever asks for any.
fn free(ip: &str) -> SocketAddr {
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    let is_free =
        |port: &u16| UdpSocket::bind((ip, *port)).is_ok() && TcpListener::bind((ip, *port)).is_ok();
    let port = (first..32_000).chain(10_000..first).find(is_free).unwrap();
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn sums(result: &Value) -> [u64; 5] {
    ["lost", "duplicated", "false", "wrong", "contradicted"]
        .map(|name| result["audit"][name].as_u64().unwrap())
}

#[test]
fn against_itself_everything_is_as_it_should_be() {
    for target in ["self", "self;transport=tcp"] {
        for driver in ["auto", "io_uring", "mmsg"] {
            if driver == "io_uring" && !has_uring() {
                continue;
            }
            let (code, result) = run(&[
                "--to",
                target,
                "--plays",
                "both",
                "--rate",
                "2k",
                "--messages",
                "600",
                "--warmup",
                "200ms",
                "--driver",
                driver,
                "--fail-if",
                "unresolved>0",
                "--fail-if",
                "p50>10s",
            ]);
            assert_eq!(code, 0, "{result:#}");
            assert_eq!((&result["messages"], &result["warmup"]), (&1_000.into(), &400.into()));
            assert_eq!(result["delivered"], 1_000);
            assert_eq!(result["outcomes"]["200"], 1_000);
            assert_eq!(result["latency"]["intended"]["count"], 600);
            assert_eq!(result["latency"]["pacing"]["count"], 600);
            assert_eq!(sums(&result), [0; 5]);
            assert_eq!(result["audit"]["judged"], 1_000);
            assert_eq!(result["sender"]["cost"]["allocations"], 0, "{target} {driver}");
            assert_eq!(result["answerer"]["cost"]["allocations"], 0, "{target} {driver}");
            assert_eq!(result["thresholds"][0]["pass"], true);
            assert!(result["standing"]["sentence"].as_str().unwrap().contains("figures"));
            assert!(result["achieved"].as_f64().unwrap() > 0.0);
            let [intended, actual] = ["intended", "actual"]
                .map(|name| result["latency"][name]["p50_ns"].as_u64().unwrap());
            assert!(intended > 0 && actual > 0);
        }
    }
}

#[test]
fn what_the_clients_say_is_told() {
    let (code, result) = run(&[
        "--to",
        "self",
        "--plays",
        "both",
        "--rate",
        "2k",
        "--messages",
        "300",
        "--answer",
        "200:6,486:3,silent:1",
        "--t1",
        "20ms",
    ]);
    // Failures that the clients have asked for are no faults.
    assert_eq!(code, 0, "{result:#}");
    let outcomes = &result["outcomes"];
    let counts = ["200", "486", "unresolved"].map(|name| outcomes[name].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 300);
    assert!(counts.iter().all(|count| *count > 0));
    assert_eq!(result["unresolved"], counts[2]);
    // Timer E sends each silent one ten times more; a busy machine comes too late for the last ones.
    assert!(result["retransmissions"].as_u64().unwrap() >= counts[2] * 6);
    assert!(result["answerer"]["silent"].as_u64().unwrap() >= counts[2]);
    assert_eq!(sums(&result), [0; 5]);
}

#[test]
fn whoever_lies_in_the_middle_is_found_out() {
    let middle = Middle::bind();
    let target = format!("sip:{}", middle.address());
    let mut running = Running::start(&[
        "--to",
        &target,
        "--plays",
        "both",
        "--listen",
        "127.0.0.1:0",
        "--rate",
        "500",
        "--messages",
        "120",
        "--t1",
        "25ms",
    ]);
    let answering = running.address_after("answering on ");
    middle.start(answering);
    let (code, result) = running.finish();
    assert_eq!(code, 1);
    let each = 120 / u64::from(middle::KINDS);
    // Lost on the way there, and lost on the way back.
    assert_eq!(sums(&result), [2 * each, each, each, each, each], "{result:#}");
    assert_eq!(result["audit"]["lost_requests"], each);
    assert_eq!(result["audit"]["judged"], 120);
    let faults = result["audit"]["faults"].as_array().unwrap();
    let said = |words: &str| faults.iter().any(|fault| fault.as_str().unwrap().contains(words));
    for words in ["lost; the sender was told nothing, the answering end never saw it", "false"] {
        assert!(said(words), "{words}: {faults:#?}");
    }
    assert!(result["sender"]["unmatched"].as_u64().unwrap() > 0);
    assert!(result["answerer"]["stray_requests"].as_u64().unwrap() > 0);
    assert!(result["answerer"]["malformed"].as_u64().unwrap() > 0);
}

/// The program itself between both ends.
#[test]
fn a_relay_and_a_gateway_pass_the_audit() {
    for transport in ["udp", "tcp"] {
        // Whose a connection is, is known by its address alone.
        let (own, im) = (free("127.0.0.2"), free("127.0.0.3"));
        let peer = |name: &str, more: &str, address: SocketAddr| {
            format!(
                "[[peer]]\nname = \"{name}\"\n{more}\naddress = \"{address}\"\n\
                 transport = \"{transport}\"\n"
            )
        };
        let text = format!(
            "[workers]\ncpus = \"any\"\npolling = \"wait\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\n{}{}\
             [timers]\nt1 = \"50ms\"\nt2 = \"400ms\"\nsync_deadline = \"2800ms\"\n\
             [capacity]\nrate = 2000\nopen = 4096\n",
            peer("sc", "side = \"sms\"\ntrusted = true", own),
            peer("im", "side = \"im\"\nrole = \"endpoint\"", im),
        );
        let config = roger::config::Config::parse(&text, "test").unwrap();
        let service = roger::oam::Service::start(&config, false).unwrap();
        let target = format!("sip:{};transport={transport}", service.addresses()[0]);
        let (own, im) = (own.to_string(), im.to_string());
        let play = |profile: &str| {
            run(&[
                "--to",
                &target,
                "--plays",
                "both",
                "--bind",
                &own,
                "--listen",
                &im,
                "--domain",
                &im,
                "--profile",
                profile,
                "--rate",
                "400",
                "--messages",
                "300",
                "--answer",
                "200:4,480:1",
                "--t1",
                "50ms",
            ])
        };
        let (code, result) = play("pager");
        assert_eq!((code, sums(&result)), (0, [0; 5]), "{result:#}");
        assert_eq!(result["outcomes"].as_object().unwrap().len(), 2);
        let delivered = result["delivered"].as_u64().unwrap();
        let (code, result) = play("sms");
        assert_eq!((code, sums(&result)), (0, [0; 5]), "{result:#}");
        // The same messages get the same answers, whatever their form.
        assert_eq!(result["outcomes"]["RP-ACK"], delivered);
        assert_eq!(result["failed"], 300 - delivered);
        let outcomes = result["outcomes"].as_object().unwrap();
        assert!(outcomes.keys().all(|name| name.starts_with("RP-")), "{outcomes:?}");
        assert_eq!(result["latency"]["intended"]["count"], 300);
        assert!(result["sender"]["cost"]["messages_in"].as_u64().unwrap() >= 600);
        service.stop();
    }
}

#[test]
fn nobody_there_is_unresolved_and_fails() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    for target in [format!("sip:{address}"), format!("sip:{address};transport=tcp")] {
        let (code, result) =
            run(&["--to", &target, "--rate", "100", "--messages", "10", "--t1", "5ms"]);
        assert_eq!(code, 1);
        assert_eq!((&result["unresolved"], &result["standing"]), (&10.into(), &Value::Null));
        assert_eq!(result["audit"], Value::Null);
    }
}

#[test]
fn a_threshold_decides() {
    let (code, result) = run(&[
        "--to",
        "self",
        "--plays",
        "both",
        "--messages",
        "50",
        "--fail-if",
        "p50>0us",
        "--fail-if",
        "lost>0",
    ]);
    assert_eq!(code, 1);
    let passes = [0, 1].map(|index| result["thresholds"][index]["pass"].as_bool().unwrap());
    assert_eq!(passes, [false, true]);
    assert_eq!((&result["ok"], sums(&result)), (&false.into(), [0; 5]));
}

#[test]
fn an_interrupted_run_ends_with_what_is_open_and_says_so() {
    let mut running =
        Running::start(&["--to", "self", "--plays", "both", "--rate", "100", "--for", "1h"]);
    running.address_after("answering on ");
    std::thread::sleep(Duration::from_millis(500));
    running.signal();
    let (code, result) = running.finish();
    assert_eq!(code, 130);
    let messages = result["messages"].as_u64().unwrap();
    assert!(messages > 0 && messages < 10_000, "{messages}");
    assert_eq!((&result["delivered"], &result["interrupted"]), (&messages.into(), &true.into()));
    assert_eq!(sums(&result), [0; 5]);
}

#[test]
fn an_end_of_its_own_answers_another_one() {
    let answer = |more: &[&str]| {
        let all = [&["--plays", "answer", "--listen", "127.0.0.1:0"], more].concat();
        let mut answering = Running::start(&all);
        let address = answering.address_after("answering on ");
        (answering, address)
    };
    let (silent, _) = answer(&["--for", "200ms"]);
    assert_eq!(silent.finish().0, 99);
    let (answering, address) = answer(&["--answer", "480"]);
    for transport in ["udp", "tcp"] {
        let target = format!("sip:{address};transport={transport}");
        let (code, result) = run(&["--to", &target, "--messages", "50"]);
        // Whoever plays one end only has to believe what he is told.
        assert_eq!(code, 1);
        assert_eq!((&result["failed"], &result["outcomes"]["480"]), (&50.into(), &50.into()));
    }
    answering.signal();
    let (code, result) = answering.finish();
    assert_eq!(code, 0, "{result:#}");
    assert!(result["answerer"]["responses"]["480"].as_u64().unwrap() >= 100);
}

#[test]
fn results_have_a_directory_of_their_own() {
    let directory = Directory::new("load-results");
    let path = directory.0.join("a1");
    let arguments = ["load", "run", "--to", "self", "--plays", "both", "--messages", "20", "--out"];
    let all = [&arguments[..], &[path.to_str().unwrap()]].concat();
    let (code, text, error) = output(&all);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("<- use this one") && text.contains("saved "), "{text}");
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!(result["messages"], 20);
    let meta: Value = serde_json::from_str(&read("meta.json")).unwrap();
    assert_eq!((&meta["command"][1], &meta["run"]), (&"load".into(), &result["run"]));
    assert!(read("stat.csv").starts_with("ElapsedTime(P);"));
    assert!(read("latency.hlog").contains("Tag=intended,"));
    let (code, _, error) = output(&all);
    assert_eq!(code, 73);
    assert!(error.contains("of an earlier run is there"), "{error}");
    assert_eq!(serde_json::from_str::<Value>(&read("result.json")).unwrap(), result);
}

#[test]
fn what_makes_no_sense_is_said() {
    let cases: [(&[&str], &str); 12] = [
        (&[], "--to"),
        (&["--to", "self"], "--plays both"),
        (&["--to", "sip:127.0.0.1", "--plays", "answer"], "--to needs"),
        (&["--to", "sip:127.0.0.1", "--plays", "both"], "--listen"),
        (&["--to", "sip:127.0.0.1", "--listen", "127.0.0.1:0"], "--listen needs"),
        (&["--to", "sip:127.0.0.1", "--rate", "many"], "must look like"),
        (&["--to", "sip:127.0.0.1", "--for", "1s", "--messages", "1"], "cannot be used with"),
        (&["--to", "sip:127.0.0.1", "--rate", "1M", "--for", "1h"], "too many to remember"),
        (&["--to", "sip:127.0.0.1", "--fail-if", "lost>0"], "--plays both only"),
        (&["--to", "sip:127.0.0.1", "--cpu", "0,1"], "more cores than"),
        (&["--to", "self", "--plays", "both", "--text-size", "9"], "--text-size"),
        (&["--to", "self", "--plays", "both", "--answer", "100"], "'100'"),
    ];
    for (arguments, words) in cases {
        let (code, text, error) = output(&[&["load", "run"], arguments].concat());
        assert_eq!((code, text.as_str()), (2, ""), "{arguments:?}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["load", "run", "--to", "self", "--plays", "both", "--listen", &address];
    let (code, _, error) = output(&arguments);
    assert_eq!(code, 69, "{error}");
    assert!(error.contains(&address), "{error}");
    let (code, _, error) =
        output(&["load", "run", "--to", "self", "--plays", "both", "--cpu", "9999"]);
    assert_eq!(code, 71, "{error}");
}

/// Whoever writes before he reads on is not waited for by somebody who does the same.
#[test]
fn responses_are_read_while_requests_wait() {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut octets, mut rest) = (vec![0; 65_536], Vec::new());
        let padding = "x".repeat(4_000);
        while let Ok(len @ 1..) = stream.read(&mut octets) {
            rest.extend_from_slice(&octets[..len]);
            while let Some(head) = memchr::memmem::find(&rest, b"\r\n\r\n") {
                let text = String::from_utf8(rest[..head].to_vec()).unwrap();
                let field = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
                let body: usize = field("Content-Length:")[15..].trim().parse().unwrap();
                if rest.len() < head + 4 + body {
                    break;
                }
                let kept = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(field).join("\r\n");
                let response = format!(
                    "SIP/2.0 200 OK\r\n{kept}\r\nX: {padding}\r\nContent-Length: 0\r\n\r\n"
                );
                if stream.write_all(response.as_bytes()).is_err() {
                    return;
                }
                rest.drain(..head + 4 + body);
            }
        }
    });
    let running = Running::start(&[
        "--to",
        &format!("sip:{address};transport=tcp"),
        "--rate",
        "100k",
        "--messages",
        "15000",
        "--text-size",
        "800",
    ]);
    let (code, result) = running.finish_within(Duration::from_secs(60));
    assert_eq!((code, &result["delivered"]), (0, &serde_json::json!(15_000)), "{result:#}");
    serving.join().unwrap();
}
