//! `roger check`: every error at once, with its place, and the origin of every setting.

use std::net::{IpAddr, SocketAddr};

use roger::cli::check::{self, Format, Streams, Style};
use roger::cli::{Exit, Terminal};
use roger::config::{
    Config, Examination, Machine, Names, Origin, Override, Requests, Severity, Sources, examine,
};

use crate::snapshot::assert_snapshot;

const EXAMPLE: &str = include_str!("../../tools/packaging/roger.toml");
const WRONG: &str = include_str!("../snapshots/config_wrong.toml");

/// What every test is checked against, so that no test depends on where it runs.
pub(crate) fn machine() -> Machine {
    let owns = |ip: IpAddr| ip.is_loopback() || ip.to_string() == "192.0.2.10";
    Machine { cpus: Vec::from([0, 1]), memory: 8 << 30, owns, state_directory: None }
}

pub(crate) struct Hosts;

impl Names for Hosts {
    fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match host {
            "im.example.net" => Ok(["192.0.2.20", "192.0.2.21", "2001:db8::20"]
                .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
                .into()),
            "six.example.net" => Ok(vec![SocketAddr::new("2001:db8::6".parse().unwrap(), port)]),
            _ => Err("no such host".to_owned()),
        }
    }
}

pub(crate) fn examined(text: &str, overrides: &[Override]) -> Examination {
    let machine = machine();
    examine(Sources { name: "roger.toml", text, overrides, machine: &machine }, &mut Hosts)
}

/// Standard output and standard error of `roger check`.
pub(crate) fn printed(text: &str, overrides: &[Override], style: Style) -> (String, String) {
    let machine = machine();
    let sources = Sources { name: "roger.toml", text, overrides, machine: &machine };
    let (mut output, mut error) = (Vec::new(), Vec::new());
    let terminal = Terminal { output: false, error: false };
    let streams = Streams { output: &mut output, error: &mut error, terminal };
    check::report(&examined(text, overrides), sources, style, streams).unwrap();
    (String::from_utf8(output).unwrap(), String::from_utf8(error).unwrap())
}

/// A small right configuration with `more` at its end.
pub(crate) fn with(more: &str) -> String {
    format!(
        "[[listen]]\naddress = \"127.0.0.1:5060\"\n\
         [[peer]]\nname = \"smsc\"\nside = \"sms\"\naddress = \"127.0.0.1:5070\"\n\
         [[peer]]\nname = \"im\"\nside = \"im\"\nrole = \"endpoint\"\naddress = \"127.0.0.1:5080\"\n\
         {more}"
    )
}

#[track_caller]
pub(crate) fn the_only_error(text: &str, message: &str, line: usize, column: usize) {
    let found = examined(text, &[]);
    let shown: Vec<String> = found.diagnoses.iter().map(ToString::to_string).collect();
    let place = format!("roger.toml:{line}:{column}: error: {message}");
    assert!(shown.len() == 1 && shown[0].starts_with(&place), "{place} is not {shown:#?}");
    assert!(found.config.is_none());
}

#[track_caller]
pub(crate) fn the_only_warning(text: &str, message: &str) {
    let found = examined(text, &[]);
    let messages: Vec<&str> = found.diagnoses.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, [message]);
    assert_eq!(found.diagnoses[0].severity, Severity::Warning);
    assert_eq!(check::verdict(&found, false), Exit::Ok);
    assert_eq!(check::verdict(&found, true), Exit::Config);
    assert_eq!(found.config.unwrap().warnings.len(), 1);
}

#[test]
fn every_error_is_shown_at_once() {
    let (output, error) = printed(WRONG, &[], Style::default());
    assert_eq!(error, "");
    assert_snapshot("config_wrong.txt", &output);
}

#[test]
fn the_same_for_programs() {
    let style = Style { format: Format::Json, ..Style::default() };
    let (output, _) = printed(WRONG, &[], style);
    let json: serde_json::Value = serde_json::from_str(&output).unwrap();
    let found = examined(WRONG, &[]);
    assert_eq!(json["ok"], false);
    assert_eq!(json["errors"], found.count(Severity::Error));
    let diagnoses = json["diagnoses"].as_array().unwrap();
    assert_eq!(diagnoses.len(), found.diagnoses.len());
    assert_eq!(diagnoses[0]["line"], 1);
    assert_eq!(diagnoses[0]["suggestion"], "did you mean `node`?");
}

#[test]
fn broken_toml_is_shown_alone() {
    let (output, _) =
        printed("node =\n[workers\n[[peer]]\nnode = 1\nnode = 2\n", &[], Style::default());
    assert_snapshot("config_broken.txt", &output);
}

#[test]
fn the_example_is_right_and_shows_every_setting() {
    let found = examined(EXAMPLE, &[]);
    assert!(found.diagnoses.is_empty(), "{:#?}", found.diagnoses);
    for one in &found.effective {
        assert!(EXAMPLE.contains(&format!("{} = ", one.key)), "{} is not shown", one.key);
    }
    // What is commented out must be the default: reading it must change nothing. These have none.
    let without_default = [
        "# state_directory",
        "# ports",
        "# tls_name",
        "# username",
        "# password_file",
        "# route",
        "# 404",
        "# msrp",
        "# 486",
        "# 413",
        "# certificate",
        "# key",
        "# ca ",
        "# client_ca",
    ];
    let uncommented: Vec<String> = EXAMPLE
        .lines()
        .filter(|line| !without_default.iter().any(|key| line.starts_with(key)))
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let all = examined(&uncommented.join("\n"), &[]);
    let values = |found: &Examination| -> Vec<(String, &str, String)> {
        let entry =
            |one: &roger::config::Effective| (one.header.clone(), one.key, one.value.clone());
        found.effective.iter().map(entry).collect()
    };
    assert_eq!(values(&all), values(&found));
    let written = all.effective.iter().filter(|one| one.origin != Origin::Default).count();
    assert_eq!(written, all.effective.len());
}

#[test]
fn effective_settings_name_their_origin_and_can_be_read_again() {
    let text = with("[route]\noutbound_proxies = \"im\"\n[requests]\nports = \"5090-5091\"\n")
        .replace("127.0.0.1:5080", "im.example.net:5080");
    let overrides = [
        Override::from_environment("ROGER__TIMERS__T1", "100ms").unwrap(),
        Override::from_environment("ROGER__TIMERS__SYNC_DEADLINE", "3s").unwrap(),
        Override::from_environment("ROGER__NODE", "7").unwrap(),
        Override::from_flag("node=8").unwrap(),
    ];
    let style = Style { effective: true, ..Style::default() };
    let (output, error) = printed(&text, &overrides, style);
    assert_snapshot("config_effective.txt", &output);
    assert_eq!(error.lines().count(), 1, "{error}");
    let again = examined(&output, &[]);
    let values = |found: &Examination| -> Vec<String> {
        found.effective.iter().map(|one| format!("{}{}", one.key, one.value)).collect()
    };
    assert_eq!(values(&again), values(&examined(&text, &overrides)));
    assert_eq!(again.config.unwrap().node, 8);
}

#[test]
fn what_is_set_from_outside_is_checked_like_the_file() {
    let outside = |name: &str, text: &str| {
        let found = examined(&with(""), &[Override::from_environment(name, text).unwrap()]);
        found.diagnoses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        outside("ROGER__TIMERS__T2", "fast"),
        ["ROGER__TIMERS__T2: error: `fast` is not a duration",]
    );
    assert_eq!(
        outside("ROGER__TIMER__T1", "1s"),
        ["ROGER__TIMER__T1: error: there is no setting `timer.t1`; did you mean `timers.t1`?"]
    );
    let peers = outside("ROGER__PEER__SBC__ADDRESS", "1.2.3.4:5060");
    assert!(peers[0].contains("peers and listeners are lists"), "{peers:?}");
    assert!(Override::from_environment("PATH", "/bin").is_none());
    assert!(Override::from_flag("node").is_none());
}

#[test]
fn sockets_can_be_bound_and_found() {
    let listen =
        |listeners: &str| with("").replace("[[listen]]\naddress = \"127.0.0.1:5060\"\n", listeners);
    let one = |address: &str| listen(&format!("[[listen]]\naddress = \"{address}\"\n"));
    the_only_error(&one("0.0.0.0:5060"), "0.0.0.0:5060 needs an `advertise`", 2, 11);
    the_only_error(&one("224.0.0.1:5060"), "nobody can listen here", 2, 11);
    the_only_error(
        &one("[::ffff:127.0.0.1]:5060"),
        "this is an IPv4 address in IPv6 clothes",
        2,
        11,
    );
    the_only_error(&one("sbc:5060"), "`sbc:5060` is not an address with a port", 2, 11);
    the_only_warning(&one("192.0.2.99:5060"), "this machine does not have the address 192.0.2.99");
    the_only_warning(&one("192.0.2.10:0"), "port 0 means any free port");
    let unfindable = "[[listen]]\naddress = \"127.0.0.1:5060\"\nadvertise = \"0.0.0.0:5060\"\n";
    the_only_error(&listen(unfindable), "no response can find this", 3, 13);
    let twice = "[[listen]]\naddress = \"127.0.0.1:5060\"\n[[listen]]\naddress = \"0.0.0.0:5060\"\nadvertise = \"a:1\"\n";
    the_only_error(&listen(twice), "0.0.0.0:5060 is listened on twice", 4, 11);
    let nothing = examined(&listen(""), &[]);
    assert_eq!(nothing.diagnoses[0].message, "there is nothing to listen on");
    let many: String =
        (1..=7).map(|port| format!("[[listen]]\naddress = \"127.0.0.1:{port}\"\n")).collect();
    the_only_error(&listen(&many), "there are more than 6 listeners", 13, 1);
}

#[test]
fn own_requests_leave_from_one_kind_of_port() {
    the_only_error(&with("[requests]\nsingle_port = false\n"), "own requests have no port", 13, 15);
    the_only_error(
        &with("[requests]\nsingle_port = true\nports = \"5090-5099\"\n"),
        "own requests leave from the listening port or from a range, not from both",
        14,
        9,
    );
    the_only_error(&with("[requests]\nports = \"5050-5069\"\n"), "port 5060 is listened on", 13, 9);
    the_only_error(&with("[requests]\nports = \"5099-5090\"\n"), "the range runs backwards", 13, 9);
    let config = examined(&with("[requests]\nports = \"5090-5099\"\n"), &[]).config.unwrap();
    assert!(matches!(config.requests, Requests::Ports(range) if range.last == 5099));
    assert_eq!(examined(&with(""), &[]).config.unwrap().requests, Requests::SinglePort);
}

#[test]
fn peers_can_be_told_apart() {
    let peer = |more: &str| {
        with(&format!("[[peer]]\nname = \"third\"\nside = \"im\"\nrole = \"proxy\"\n{more}"))
    };
    the_only_error(
        &peer("address = \"127.0.0.1:5080\"\n"),
        "127.0.0.1:5080 belongs to two peers: `im` and `third`",
        16,
        11,
    );
    the_only_error(
        &peer("address = \"127.0.0.1:5060\"\n"),
        "the peer at `127.0.0.1:5060` is this process",
        16,
        11,
    );
    the_only_error(&peer("address = []\n"), "a peer has at least one address", 16, 11);
    the_only_error(&peer("address = \"0.0.0.0:1\"\n"), "nobody has the address 0.0.0.0", 16, 11);
    the_only_error(&peer("address = \"192.0.2.1:0\"\n"), "port 0 is nobody's port", 16, 11);
    the_only_error(
        &peer("address = \"[2001:db8::1]:5060\"\n"),
        "`[2001:db8::1]:5060` needs IPv6",
        16,
        11,
    );
    the_only_error(
        &peer("address = \"six.example.net:5060\"\n"),
        "`six.example.net:5060` needs IPv6",
        16,
        11,
    );
    the_only_error(
        &peer("address = [\"a:1\", \"a:1\"]\n").replace("a:1", "192.0.2.1:1"),
        "192.0.2.1:1 is listed twice",
        16,
        27,
    );
}

#[test]
fn peers_say_what_cannot_be_guessed() {
    let peer = |more: &str| {
        with(&format!("[[peer]]\nname = \"third\"\nside = \"im\"\nrole = \"proxy\"\n{more}"))
    };
    let many: Vec<String> = (1..=9).map(|port| format!("\"192.0.2.1:{port}\"")).collect();
    the_only_error(
        &peer(&format!("address = [{}]\n", many.join(", "))),
        "a peer has at most 8 addresses",
        16,
        11,
    );
    the_only_error(
        &peer("address = \"192.0.2.1:1\"\n").replace("third", "im"),
        "two peers are called `im`",
        13,
        8,
    );
    the_only_error(
        &peer("address = \"192.0.2.1:1\"\n").replace("third", "a b"),
        "`a b` cannot be a name",
        13,
        8,
    );
    for (key, line) in [
        ("name", "name = \"third\"\n"),
        ("side", "side = \"im\"\n"),
        ("role", "role = \"proxy\"\n"),
    ] {
        let without = peer("address = \"192.0.2.1:1\"\n");
        let at = without.rfind(line).unwrap();
        let without = format!("{}{}", &without[..at], &without[at + line.len()..]);
        the_only_error(&without, &format!("`{key}` is missing in this `peer`"), 12, 1);
    }
    the_only_error(&peer(""), "`address` is missing in this `peer`", 12, 1);
    let addresses: String = (0..63)
        .map(|n| {
            format!(
                "[[peer]]\nname = \"p{n}\"\nside = \"sms\"\naddress = \"192.0.2.1:{}\"\n",
                1 + n
            )
        })
        .collect();
    the_only_error(&with(&addresses), "there are more than 64 peers", 260, 1);
}

#[test]
fn a_wildcard_listener_knows_itself_on_every_own_address() {
    let text = with("").replace(
        "address = \"127.0.0.1:5060\"",
        "address = \"0.0.0.0:5060\"\nadvertise = \"im.example.net:5060\"",
    );
    for own in ["127.0.0.2:5060", "192.0.2.10:5060", "im.example.net:5060"] {
        let text = text.replace("127.0.0.1:5080", own);
        the_only_error(&text, &format!("the peer at `{own}` is this process"), 12, 11);
    }
    assert!(examined(&text.replace("127.0.0.1:5080", "192.0.2.11:5060"), &[]).config.is_some());
}

#[test]
fn names_resolve_into_the_families_that_we_listen_on() {
    let text = with("").replace("127.0.0.1:5080", "im.example.net:5080");
    let place = |config: &Config| config.peers[1].places[0].addresses.clone();
    let v4 = place(&examined(&text, &[]).config.unwrap());
    assert_eq!(v4, ["192.0.2.20:5080", "192.0.2.21:5080"].map(|one| one.parse().unwrap()));
    let both = format!("[[listen]]\naddress = \"[::1]:5060\"\n{text}");
    assert_eq!(place(&examined(&both, &[]).config.unwrap()).len(), 3);
    let unknown = examined(&with("").replace("127.0.0.1:5080", "nowhere.invalid:5080"), &[]);
    assert_eq!(check::verdict(&unknown, false), Exit::Unavailable);
    the_only_error(
        &with("").replace("127.0.0.1:5080", "nowhere.invalid:5080"),
        "`nowhere.invalid` does not resolve",
        11,
        11,
    );
}

#[test]
fn messages_come_from_one_side_and_go_to_the_other() {
    let no_sms = with("").replace("side = \"sms\"", "side = \"im\"\nrole = \"proxy\"");
    assert_eq!(examined(&no_sms, &[]).diagnoses[0].message, "no peer is on the SMS side");
    let no_im = with("").replace("side = \"im\"", "side = \"sms\"");
    assert_eq!(examined(&no_im, &[]).diagnoses[0].message, "no peer is on the IM side");
    assert_eq!(examined("", &[]).diagnoses.len(), 3);
    for role in ["im_server", "gateway"] {
        the_only_warning(
            &with("").replace("endpoint", role),
            "a 200 from this peer passes unchanged but never proves delivery",
        );
    }
}

#[test]
fn outbound_proxies_are_peers_on_the_im_side() {
    let route = |proxies: &str| with(&format!("[route]\noutbound_proxies = {proxies}\n"));
    the_only_error(&route("[\"imm\"]"), "no peer is called `imm`", 13, 21);
    the_only_error(&route("[\"smsc\"]"), "`smsc` cannot be an outbound proxy", 13, 21);
    the_only_error(&route("[\"im\", \"im\"]"), "`im` is listed twice", 13, 27);
    assert_eq!(examined(&route("\"im\""), &[]).config.unwrap().outbound_proxies, [1]);
}

#[test]
fn timers_leave_room_for_each_other() {
    let timers = |more: &str| with(&format!("[timers]\n{more}\n"));
    the_only_error(&timers("t1 = \"0s\""), "T1 must lie between 1ms and 1min", 13, 6);
    the_only_error(&timers("t1 = \"2h\""), "T1 must lie between 1ms and 1min", 13, 6);
    the_only_error(&timers("t2 = \"400ms\""), "T2 must not be shorter than T1", 13, 6);
    the_only_error(
        &timers("sync_deadline = \"32s\""),
        "sync_deadline must be shorter than timer F",
        13,
        17,
    );
    the_only_error(
        &timers("sync_deadline = \"3500ms\""),
        "sync_deadline must be longer than 7*T1",
        13,
        17,
    );
    // The deadline is a default here: what was written is to blame.
    the_only_error(&timers("t1 = \"400ms\""), "sync_deadline must be shorter than timer F", 13, 6);
    the_only_error(
        &timers("drain_timeout = \"5s\""),
        "drain_timeout must be longer than drain_announce",
        13,
        17,
    );
    the_only_warning(
        &timers("drain_timeout = \"36999ms\""),
        "a drain may end before the last message has",
    );
    assert!(examined(&timers("drain_timeout = \"37s\""), &[]).diagnoses.is_empty());
}

#[test]
fn capacity_fits_the_machine() {
    let capacity = |more: &str| with(&format!("[capacity]\n{more}\n"));
    the_only_error(&capacity("open = 10"), "open_large counts some of the open messages", 13, 8);
    the_only_error(
        &capacity("rate = 10000001"),
        "this number must lie between 1 and 10000000",
        13,
        8,
    );
    the_only_error(
        &capacity(
            "rate = 10000000\n[timers]\nt1 = \"1min\"\nt2 = \"1min\"\nsync_deadline = \"10min\"\ndrain_timeout = \"2h\"",
        ),
        "38400000000 finished transactions cannot be kept",
        13,
        8,
    );
    the_only_warning(
        &capacity("open = 16000000"),
        "this capacity needs about 39126 MiB, and the machine has 8192",
    );
    assert_eq!(examined(&with(""), &[]).config.unwrap().finished_max(), 320_000);
}

#[test]
fn sections_are_sections_and_lists_are_lists() {
    let timers = with("").replace("[[listen]]", "timers = 3\n[[listen]]");
    the_only_error(&timers, "`timers` is one section", 1, 1);
    the_only_error(&with("[[timers]]\nt1 = \"1s\"\n"), "`timers` is one section", 12, 3);
    let listen = with("").replace("[[listen]]", "[listen]");
    assert_eq!(examined(&listen, &[]).diagnoses[1].suggestion.as_deref(), Some("write [[listen]]"),);
    let long = format!("[status]\nsocket = \"/{}\"\n", "x".repeat(107));
    the_only_error(&with(&long), "this cannot be the path of a Unix socket", 13, 10);
}
