//! `roger load run` with Large Messages: the program itself between both ends, and a gateway that lies.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use super::gateway::{self, Gateway};
use super::{Running, free, run, sums};
use crate::run_process::output;

/// The program between both ends, with sessions on the IM side.
struct Site {
    service: roger::oam::Service,
    own: String,
    im: String,
    msrp: String,
    target: String,
}

impl Site {
    /// Whose peer answers in sessions as a `role`, and with these lines in `[large]`.
    fn new(role: &str, transport: &str, pager_max: u16, lines: &str) -> Self {
        // Nobody else has these addresses, so that a port that is free stays so.
        static SITES: AtomicU8 = AtomicU8::new(1);
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let [own, im] = [1, 2].map(|net| free(&format!("127.0.{net}.{number}")));
        let text = format!(
            "[workers]\ncpus = \"any\"\ncount = 2\npolling = \"wait\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntransports = [\"msrp\"]\n\
             [[peer]]\nname = \"sc\"\nside = \"sms\"\ntrusted = true\naddress = \"{own}\"\n\
             transport = \"{transport}\"\n\
             [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\nmsrp = \"{role}\"\n\
             address = \"{im}\"\ntransport = \"{transport}\"\n\
             [gateway]\npager_max = {pager_max}\n\
             [timers]\nt1 = \"50ms\"\nt2 = \"400ms\"\nsync_deadline = \"2800ms\"\n\
             [capacity]\nrate = 1000\nopen = 4096\n\
             [large]\nsessions = 512\nconnections = 256\ninvite_wait = \"1s\"\n\
             response_wait = \"1s\"\nreport_wait = \"1s\"\n{lines}"
        );
        let config = roger::config::Config::parse(&text, "test").unwrap();
        let service = roger::oam::Service::start(&config, false).unwrap();
        let target = format!("sip:{};transport={transport}", service.addresses()[0]);
        let msrp = format!("{}:0", im.ip());
        Self { service, own: own.to_string(), im: im.to_string(), msrp, target }
    }

    fn play(&self, arguments: &[&str]) -> (i32, Value) {
        self.play_at("200", arguments)
    }

    fn play_at(&self, rate: &str, arguments: &[&str]) -> (i32, Value) {
        let ends: [&str; 18] = [
            "--to",
            &self.target,
            "--plays",
            "both",
            "--bind",
            &self.own,
            "--listen",
            &self.im,
            "--domain",
            &self.im,
            "--profile",
            "sms",
            "--t1",
            "50ms",
            "--rate",
            rate,
            "--msrp",
            &self.msrp,
        ];
        run(&[&ends[..], arguments].concat())
    }
}

fn in_sessions(result: &Value, name: &str) -> u64 {
    result["answerer"]["sessions"][name].as_u64().unwrap_or_else(|| panic!("{name} {result:#}"))
}

/// Nothing is wrong, and as many are delivered as this.
fn clean(result: &Value, delivered: u64) {
    assert_eq!(sums(result), [0; 5], "{result:#}");
    assert_eq!((&result["audit"]["damaged"], &result["ok"]), (&0.into(), &true.into()));
    assert_eq!(result["delivered"], delivered, "{result:#}");
    assert_eq!(result["audit"]["judged"], result["messages"]);
}

fn said(result: &Value, what: &str, status: &str) -> u64 {
    result["answerer"]["sessions"][what][status].as_u64().unwrap_or(0)
}

#[test]
fn what_recipients_answer_in_sessions_is_what_is_told() {
    for transport in ["udp", "tcp"] {
        let site = Site::new("endpoint", transport, 500, "");
        let (code, result) = site.play(&[
            "--messages",
            "200",
            "--invite",
            "200:12,486:2,180:1,silent:1",
            "--send",
            "200:6,413:1,481:1,202:1,silent:1",
            "--active",
            "40",
        ]);
        assert_eq!(code, 0, "{result:#}");
        let delivered = said(&result, "send_responses", "200");
        clean(&result, delivered);
        assert!(delivered > 50 && delivered < 150, "{delivered}");
        assert_eq!(in_sessions(&result, "strays") + in_sessions(&result, "malformed"), 0);
        let [sessions, active] = ["sessions", "active"].map(|name| in_sessions(&result, name));
        assert_eq!(sessions, said(&result, "invite_responses", "200"));
        assert!(active > 0 && active < sessions, "{active} of {sessions}");
        // Who rings is cancelled.
        assert_eq!(
            said(&result, "invite_responses", "180"),
            said(&result, "invite_responses", "487")
        );
        for (what, status) in [("invite_responses", "486"), ("send_responses", "202")] {
            assert!(said(&result, what, status) > 0, "{what} {status}");
        }
        // Nobody knows of those: they come once more, and their recipients know them again.
        assert!(in_sessions(&result, "messages_repeated") > 0);
        assert_eq!(result["answerer"]["sessions"]["delivery"]["count"], sessions);
        site.service.stop();
    }
}

#[test]
fn behind_a_relay_reports_decide() {
    let site = Site::new("relay", "udp", 500, "");
    let mix = ["--messages", "200", "--report", "200:6,413:1,silent:1", "--send", "200:8,415:1"];
    let (code, result) = site.play(&mix);
    assert_eq!(code, 0, "{result:#}");
    let reports = said(&result, "reports", "200");
    clean(&result, reports);
    assert!(reports > 80 && said(&result, "reports", "413") > 0);
    assert!(said(&result, "send_responses", "200") > reports + said(&result, "reports", "413"));
    site.service.stop();
}

#[test]
fn sessions_are_kept_for_the_next_message() {
    for role in ["endpoint", "relay"] {
        let site = Site::new(role, "udp", 500, "session_idle = \"1s\"\n");
        let more: &[&str] = if role == "relay" { &["--report", "200"] } else { &[] };
        let few = ["--messages", "60", "--recipient", "u#"];
        let (code, result) = site.play_at("30", &[&few[..], more].concat());
        assert_eq!(code, 0, "{result:#}");
        clean(&result, 60);
        // Ten recipients; on a busy machine one of them may have his next message before the last one is over.
        let sessions = in_sessions(&result, "sessions");
        assert!((10..30).contains(&sessions), "{sessions}");
        let parts = ["--messages", "99", "--parts", "4", "--text-size", "153"];
        let (code, result) = site.play(&[&parts[..], more].concat());
        assert_eq!(code, 0, "{result:#}");
        clean(&result, 100);
        assert_eq!(
            in_sessions(&result, "messages"),
            100,
            "no text is left without some of its parts"
        );
        assert_eq!(in_sessions(&result, "octets"), 15_300);
        site.service.stop();
    }
}

#[test]
fn what_is_too_large_for_a_message_goes_in_a_session_or_in_pieces() {
    let site = Site::new("endpoint", "udp", 640, "");
    // Short enough for a MESSAGE, but not to some.
    let (code, result) =
        site.play(&["--messages", "100", "--text-size", "24", "--answer", "200:1,413:1"]);
    assert_eq!(code, 0, "{result:#}");
    clean(&result, 100);
    let refused = result["answerer"]["responses"]["413"].as_u64().unwrap();
    assert!((20..80).contains(&refused), "{refused}");
    assert_eq!(in_sessions(&result, "messages"), refused);
    // Nobody takes a session, so that it goes in pieces.
    let (code, result) = site.play(&[
        "--messages",
        "100",
        "--text-size",
        "160",
        "--invite",
        "488",
        "--answer",
        "200:4,480:1",
    ]);
    assert_eq!(code, 0, "{result:#}");
    let failed = result["failed"].as_u64().unwrap();
    clean(&result, 100 - failed);
    assert!(failed > 5, "{failed}");
    assert!(result["answerer"]["requests"].as_u64().unwrap() >= 2 * (100 - failed) + failed);
    site.service.stop();
}

#[test]
fn all_sessions_may_be_taken() {
    let site = Site::new("endpoint", "udp", 500, "");
    // Who does not answer in a session holds it.
    let (code, result) = site.play(&["--messages", "60", "--send", "silent", "--sessions", "3"]);
    assert_eq!(code, 0, "{result:#}");
    clean(&result, 0);
    assert_eq!(in_sessions(&result, "sessions_at_once"), 3);
    assert!(in_sessions(&result, "full") > 20);
    site.service.stop();
}

/// Plays 100 messages through a gateway that lies.
fn lied_to(arguments: &[&str]) -> Value {
    let gateway = Gateway::bind();
    let target = format!("sip:{}", gateway.address());
    let ends = ["--to", &target, "--plays", "both", "--listen", "127.0.0.1:0"];
    let rest = ["--msrp", "127.0.0.1:0", "--rate", "200", "--messages", "100"];
    let mut running = Running::start(&[&ends[..], &rest, arguments].concat());
    let answering: SocketAddr = running.address_after("answering on ");
    gateway.start(answering);
    let (code, result) = running.finish();
    assert_eq!(code, 1, "{result:#}");
    result
}

#[test]
fn whoever_lies_about_a_session_is_found_out() {
    let each = 100 / u64::from(gateway::KINDS);
    let result = lied_to(&[]);
    // Altered, cut, and never ended; twice under two names; delivered and denied.
    assert_eq!(sums(&result), [0, each, 3 * each, each, 0], "{result:#}");
    assert_eq!(result["audit"]["damaged"], 2 * each);
    assert_eq!(in_sessions(&result, "messages_repeated"), each, "under the same name");
    let faults = result["audit"]["faults"].as_array().unwrap();
    let said = |words: &str| faults.iter().any(|fault| fault.as_str().unwrap().contains(words));
    for words in [
        "false, damaged; the sender was told 200, the answering end has other octets",
        "false; the sender was told 200, the answering end never saw it",
    ] {
        assert!(said(words), "{words}: {faults:#?}");
    }
    // Every recipient refuses, and some are told delivered for all that.
    let result = lied_to(&["--send", "413"]);
    assert_eq!(sums(&result), [0, 0, 2 * each, each, 0], "{result:#}");
    // That a relay has taken it is believed to be delivery.
    let result = lied_to(&["--report", "413"]);
    assert_eq!(sums(&result), [0, 0, 9 * each, each, 0], "{result:#}");
}

#[test]
fn an_end_of_its_own_takes_sessions() {
    let mut answering =
        Running::start(&["--plays", "answer", "--listen", "127.0.0.1:0", "--msrp", "127.0.0.1:0"]);
    let address: SocketAddr = answering.address_after("answering on ");
    let gateway = Gateway::bind();
    let target = format!("sip:{}", gateway.address());
    gateway.start(address);
    let (code, result) = run(&["--to", &target, "--messages", "7", "--rate", "100"]);
    assert_eq!((code, &result["delivered"]), (0, &7.into()), "{result:#}");
    answering.signal();
    let (code, result) = answering.finish();
    assert_eq!(code, 0, "{result:#}");
    assert_eq!(in_sessions(&result, "byes"), 7);
    assert!(in_sessions(&result, "messages") >= 6);
}

#[test]
fn what_makes_no_sense_about_sessions_is_said() {
    let both = ["--to", "sip:127.0.0.1", "--plays", "both", "--listen", "127.0.0.1:0"];
    let cases: [(&[&str], &str); 12] = [
        (&["--send", "200"], "--msrp"),
        (&["--invite", "200"], "--msrp"),
        (&["--report", "200"], "--msrp"),
        (&["--active", "1"], "--msrp"),
        (&["--sessions", "1"], "--msrp"),
        (&["--msrp", "0.0.0.0:0"], "told in SDP"),
        (&["--msrp", "127.0.0.1:0", "--active", "101"], "101"),
        (&["--msrp", "127.0.0.1:0", "--invite", "183"], "'183'"),
        (&["--parts", "2"], "--parts needs --profile sms"),
        (&["--profile", "sms", "--parts", "2", "--text-size", "154"], "a part is from 25 to 153"),
        (&["--text-size", "801"], "pager is from 24 to 800"),
        (&["--fail-if", "damaged>x"], "should look like 0"),
    ];
    for (arguments, words) in cases {
        let (code, text, error) = output(&[&["load", "run"], &both[..], arguments].concat());
        assert_eq!((code, text.as_str()), (2, ""), "{arguments:?}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    for (arguments, words) in [
        (["--to", "self", "--plays", "both"], "a system between both ends"),
        (["--to", "sip:127.0.0.1", "--plays", "send"], "--plays answer or both"),
    ] {
        let msrp = ["--msrp", "127.0.0.1:0"];
        let (code, _, error) = output(&[&["load", "run"], &arguments[..], &msrp].concat());
        assert_eq!(code, 2, "{arguments:?}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}
