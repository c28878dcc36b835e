//! `roger doctor`: whether this machine has what a configuration asks of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use serde_json::Value;

use crate::pki::self_signed;
use crate::run_process::{output, roger, two_ports};
use crate::status_socket::Directory;

/// A site with two workers, MSRP at the first of these ports, own requests at the others, and so many
/// connections.
fn site(directory: &Directory, ports: [u16; 3], connections: u32) -> String {
    let [sip, msrp, own] = ports;
    let last = own.saturating_add(1);
    let text = format!(
        "[workers]\ncpus = \"any\"\ncount = 2\npolling = \"wait\"\n\
         [[listen]]\naddress = \"127.0.0.1:{sip}\"\n\
         [[listen]]\naddress = \"127.0.0.1:{msrp}\"\ntransports = \"msrp\"\n\
         [requests]\nports = \"{own}-{last}\"\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"192.0.2.1:5060\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"192.0.2.2:5060\"\n\
         msrp = \"endpoint\"\n\
         [capacity]\nrate = 100\nopen = 64\nopen_large = 4\nconnections = 10\n\
         [large]\nsessions = 10\nconnections = {connections}\n",
    );
    let path = directory.0.join("roger.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn free() -> [u16; 3] {
    [two_ports().0, two_ports().0, two_ports().0]
}

#[test]
fn it_says_which_ports_are_free_and_whether_the_files_are_enough() {
    let directory = Directory::new("doctor");
    let ports = free();
    let path = site(&directory, ports, 20);
    let (code, page, error) = output(&["doctor", &path]);
    assert_eq!((code, error.as_str()), (0, ""), "{page}");
    let [sip, msrp, own] = ports;
    // Two workers with ten connections of SIP and twenty of MSRP each, their own files, and those beside.
    for line in [
        format!("open files    {} may be needed, ", 2 * (10 + 20) + 2 * 48 + 64),
        format!("sip udp       127.0.0.1:{sip} "),
        format!("sip tcp       127.0.0.1:{sip} "),
        format!("msrp          127.0.0.1:{msrp} to {} ", msrp + 1),
        format!("own requests  udp {own} to {} ", own + 1),
    ] {
        assert!(
            page.lines().any(|one| one.starts_with(&line) && one.ends_with(" ok")),
            "{line}\n{page}"
        );
    }

    // The port of the second worker counts as much as that of the first.
    let taken = TcpListener::bind(("127.0.0.1", msrp + 1)).unwrap();
    let (code, page, _) = output(&["doctor", &path]);
    assert_eq!(code, 69, "{page}");
    let words = format!("cannot listen on 127.0.0.1:{}: Address already in use", msrp + 1);
    assert_eq!(page.matches("cannot listen on").count(), 1, "{page}");
    assert!(page.contains(&words), "{page}");
    drop(taken);
    let _taken = UdpSocket::bind(("127.0.0.1", own)).unwrap();
    let (code, json, _) = output(&["doctor", "--json", "--config", &path]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["ok"]), (69, &Value::Bool(false)));
    let findings = json["findings"].as_array().unwrap();
    let wrong: Vec<&Value> = findings.iter().filter(|one| one["ok"] == false).collect();
    assert_eq!(wrong.len(), 1, "{json:#}");
    assert_eq!(wrong[0]["what"], "own requests");
    let words = "1 of these ports of 127.0.0.1 are free, for 2 workers";
    assert_eq!(wrong[0]["problem"], words);
}

#[test]
fn files_that_may_not_be_open_are_told_before_the_start() {
    let directory = Directory::new("doctor-files");
    // Any ports, and more connections than any machine allows files.
    let text = fs::read_to_string(site(&directory, free(), 59_990)).unwrap();
    let text = text.replace("count = 2", "count = 64");
    let text = text.split("[requests]").next().unwrap().to_owned()
        + "[[peer]]"
        + text.split_once("[[peer]]").unwrap().1;
    let path = directory.0.join("roger.toml");
    fs::write(&path, text).unwrap();
    let (code, page, error) = output(&["doctor", &path.display().to_string()]);
    assert_eq!(code, 69, "{error}");
    let lines: Vec<&str> = page.lines().collect();
    let wanted = 64 * (10 + 59_990) + 64 * 48 + 64;
    assert!(lines[0].starts_with(&format!("open files    {wanted} may be needed")), "{page}");
    assert!(lines[0].ends_with("WRONG") && lines[1].contains("raise RLIMIT_NOFILE"), "{page}");
}

#[test]
fn a_wrong_configuration_is_told_and_nothing_is_looked_at() {
    let directory = Directory::new("doctor-wrong");
    let path = directory.0.join("roger.toml");
    fs::write(&path, "[[listen]]\naddress = \"127.0.0.1:0\"\n").unwrap();
    let (code, page, error) = output(&["doctor", &path.display().to_string()]);
    assert_eq!((code, page.as_str()), (78, ""));
    assert!(error.contains("no peer is on the SMS side"), "{error}");
}

/// What a process says at its start, down to its Large Messages.
fn said(path: &Path) -> Vec<String> {
    let mut child = roger(&["run", "--config", &path.display().to_string()]).spawn().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        let is_last = line.starts_with("  large ");
        lines.push(line);
        if is_last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines
}

#[test]
fn msrp_over_tls_is_told_apart_and_needs_more_files() {
    let directory = Directory::new("doctor-msrps");
    let own = self_signed(&["roger.example"]).write(&directory.0, "own");
    let [certificate, key] = own.map(|path| path.display().to_string());
    let ports = free();
    let text = fs::read_to_string(site(&directory, ports, 20)).unwrap();
    let text = text
        .replace("transports = \"msrp\"", "transports = \"msrps\"")
        .replace("msrp = \"endpoint\"\n", "msrp = \"endpoint\"\nmsrp_transport = \"tls\"\n")
        + &format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
    let path = directory.0.join("roger.toml");
    fs::write(&path, text).unwrap();
    let (code, page, error) = output(&["doctor", &path.display().to_string()]);
    assert_eq!((code, error.as_str()), (0, ""), "{page}");
    let [_, msrp, _] = ports;
    // With TLS a connection has the ends of a pair beside its own, and 256 shake hands for SIP and for MSRP.
    let files = 2 * 3 * (10 + 20) + 2 * 256 + 2 * 48 + 64;
    for line in [
        format!("open files    {files} may be needed, "),
        format!("msrps         127.0.0.1:{msrp} to {} ", msrp + 1),
    ] {
        assert!(page.lines().any(|one| one.starts_with(&line)), "{line}\n{page}");
    }
    let lines = said(&path);
    for line in [
        format!("  msrps     127.0.0.1:{msrp} to 127.0.0.1:{}, one a worker", msrp + 1),
        "  peer      im (im, endpoint, msrp endpoint over TLS): 192.0.2.2:5060".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line}\n{lines:#?}");
    }
}

#[test]
fn a_process_says_at_its_start_where_msrp_is_listened_for() {
    let directory = Directory::new("run-msrp");
    let ports = free();
    let text = fs::read_to_string(site(&directory, ports, 20)).unwrap();
    let listener = "transports = \"msrp\"\n";
    let more = format!(
        "{listener}advertise = \"msrp.example.net:7000\"\n\
                        [[listen]]\naddress = \"[::1]:0\"\n{listener}"
    );
    let path = directory.0.join("roger.toml");
    fs::write(&path, text.replace(listener, &more)).unwrap();
    let lines = said(&path);
    let [_, msrp, _] = ports;
    let next = msrp + 1;
    for line in [
        format!(
            "  msrp      127.0.0.1:{msrp} to 127.0.0.1:{next}, one a worker, as msrp.example.net:7000"
        ),
        "  peer      im (im, endpoint, msrp endpoint): 192.0.2.2:5060".to_owned(),
        "  large     10 sessions of up to 4096 octets, 20 connections of MSRP a worker".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line}\n{lines:#?}");
    }
    // Ports that are left to chance are all named.
    let any = lines.iter().find(|line| line.starts_with("  msrp      [::1]:")).unwrap();
    assert_eq!(any.matches("[::1]:").count(), 2, "{any}");
}
