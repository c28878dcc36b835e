//! `roger explain`: the table that decides, in print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::snapshot::assert_snapshot;

/// Exit code, standard output, standard error.
fn explain(arguments: &[&str]) -> (i32, String, String) {
    explain_in(Path::new("."), arguments)
}

fn explain_in(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_roger"))
        .arg("explain")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn page(arguments: &[&str]) -> String {
    let (code, output, error) = explain(arguments);
    assert_eq!((code, error.as_str()), (0, ""), "{output}");
    output
}

/// A directory with a `roger.toml` that is gone after the test.
struct Configuration(PathBuf);

impl Configuration {
    fn new(text: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("roger-explain-{process}-{number}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("roger.toml"), text).unwrap();
        Self(directory)
    }

    fn explain(&self, what: &[&str], more: &[&str]) -> (i32, String, String) {
        explain_in(&self.0, &[what, &["--config", "roger.toml"], more].concat())
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TWO_PEERS: &str = r#"[[listen]]
address = "127.0.0.1:5060"
[[peer]]
name = "smsc"
side = "sms"
address = "127.0.0.1:5070"
[[peer]]
name = "sbc"
side = "im"
role = "gateway"
address = "127.0.0.1:5080"
preset = "kamailio"
msrp = "relay"
[peer.map]
404 = "T"
[peer.map.invite]
486 = "P"
404 = "P"
[peer.map.msrp]
413 = "T"
[[listen]]
address = "127.0.0.1:2855"
transports = ["msrp"]
"#;

#[test]
fn the_whole_table_is_what_the_documentation_shows() {
    assert_snapshot("mapping.txt", &page(&[]));
}

#[test]
fn every_kind_of_page_is_as_it_was_read() {
    let asked: [&[&str]; 23] = [
        &["200"],
        &["202"],
        &["404"],
        &["401"],
        &["415"],
        &["482"],
        &["503"],
        &["499"],
        &["silence"],
        &["uri-wait"],
        &["content"],
        &["invite", "486"],
        &["invite", "488"],
        &["timer-b"],
        &["msrp", "200"],
        &["msrp", "413"],
        &["msrp", "408"],
        &["all-reported"],
        &["connection-lost"],
        &["rp-cause", "22"],
        &["rp-cause", "111"],
        &["tp-fcs", "0x90"],
        &["tp-status", "0x46"],
    ];
    let text: Vec<String> = asked
        .iter()
        .map(|words| format!("$ roger explain {}\n{}", words.join(" "), page(words)))
        .collect();
    assert_snapshot("explain.txt", &text.join("\n"));
}

#[test]
fn a_peer_is_read_as_its_configuration_says() {
    let file = Configuration::new(TWO_PEERS);
    let mut text = String::new();
    let asked: [&[&str]; 11] = [
        &["404"],
        &["477"],
        &["200"],
        &["timer-f"],
        &["invite", "477"],
        &["invite", "486"],
        &["invite", "404"],
        &["msrp", "200"],
        &["msrp", "403"],
        &["msrp", "413"],
        &["connection-lost"],
    ];
    for what in asked {
        let (code, output, error) = file.explain(what, &["--peer", "sbc"]);
        assert_eq!((code, error.as_str()), (0, ""));
        text += &format!("$ roger explain {} --peer sbc\n{output}\n", what.join(" "));
    }
    assert_snapshot("explain_peer.txt", &text);
    // The whole table of that peer: what it says itself first, and its role for the other 2xx.
    let (_, table, _) = file.explain(&[], &["--peer", "sbc"]);
    let line = |at: usize| table.lines().nth(at).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line(1)[..2], ["404", "T"]);
    assert_eq!(line(2)[..2], ["477", "T"]);
    assert_eq!(line(4)[..3], ["other", "2xx", "A"]);
    assert!(table.lines().nth(1).unwrap().ends_with("roger.toml:15"));
    assert!(table.lines().nth(2).unwrap().ends_with("preset kamailio"));
    let own = |leg: &str| -> Vec<&str> {
        let lines = table.lines().skip_while(|line| !line.starts_with(leg)).skip(1);
        lines.take_while(|line| line.contains("roger.toml") || line.contains("preset")).collect()
    };
    let of = |leg: &str| -> Vec<(&str, char)> {
        let cells = own(leg).into_iter().map(|line| line.split_whitespace());
        cells
            .map(|mut cells| (cells.next().unwrap(), cells.next().unwrap().chars().next().unwrap()))
            .collect()
    };
    assert_eq!(of("INVITE"), [("404", 'P'), ("477", 'T'), ("478", 'T'), ("486", 'P')]);
    assert_eq!(of("MSRP"), [("413", 'T')]);
    let accepting =
        Configuration::new(&TWO_PEERS.replace("[peer.map]", "ack_accepted = true\n[peer.map]"));
    let (_, text, _) = accepting.explain(&["202"], &["--peer", "sbc"]);
    assert!(text.contains("RP-ACK where TP-SRI is 0 (ack_accepted)"), "{text}");
}

#[test]
fn what_is_wrong_is_said_with_the_exit_of_its_kind() {
    let file = Configuration::new(TWO_PEERS);
    for (more, code, says) in [
        (&["--peer", "sbx"] as &[&str], 2, "no peer is called `sbx`; did you mean `sbc`?"),
        (&["--peer", "smsc"], 2, "`smsc` is on the SMS side alone"),
        (&[], 2, "--peer"),
        (&["--peer", "sbc", "--set", "timers.t1=0s"], 78, "T1 must lie between 1ms and 1min"),
    ] {
        let (found, output, error) = file.explain(&["404"], more);
        assert_eq!((found, output.as_str()), (code, ""), "{error}");
        assert!(error.contains(says), "{error}");
    }
    let (code, output, error) = explain(&["999"]);
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(error.starts_with("roger: `999` is not the status of a final SIP response"), "{error}");
    let (code, _, error) = explain(&["404", "--peer", "sbc", "--config", "/nowhere/roger.toml"]);
    assert_eq!(code, 78);
    assert!(error.contains("cannot read /nowhere/roger.toml"), "{error}");
}

#[test]
fn programs_get_the_same() {
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&page(arguments)).unwrap()
    };
    let row = json(&["415", "--json"]);
    assert_eq!((&row["verdict"], &row["tp_fcs"]), (&"P".into(), &0x90.into()));
    assert_eq!((&row["rp_cause"], &row["origin"]), (&111.into(), &"standard".into()));
    assert_eq!(json(&["200", "--json"])["rp_cause"], serde_json::Value::Null);
    let table = json(&["--json"]);
    let rows = table["rows"].as_array().unwrap();
    let table = page(&[]);
    let parts = table.split("\n\n").take(3);
    let lines: usize = parts.map(|part| part.lines().skip(1).count()).sum();
    assert_eq!(rows.len(), lines);
    assert_eq!(json(&["msrp", "413", "--json"])["verdict"], "P");
    assert_eq!(json(&["invite", "486", "--json"])["on"], "invite 486 600");
    assert_eq!(json(&["tp-status", "0x46", "--json"])["means"], "SM validity period expired");
    let file = Configuration::new(TWO_PEERS);
    let (_, output, _) = file.explain(&["404"], &["--peer", "sbc", "--json"]);
    let row: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&row["verdict"], &row["origin"]), (&"T".into(), &"roger.toml:15".into()));
}
