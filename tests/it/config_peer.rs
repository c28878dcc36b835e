//! What a peer and the gateway say beside addresses: what statuses mean, deadlines, credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use roger::cli::Exit;
use roger::cli::check;
use roger::config::{Config, Severity};
use roger::delivery::{Asked, Final, Preset};
use roger::engine::{Content, Recipient};

use crate::config_check::{examined, the_only_error, the_only_warning, with};

/// `with("")` with `more` in its SMS peer, which begins at line 3, and so at line 7.
fn sms(more: &str) -> String {
    let address = "address = \"127.0.0.1:5070\"\n";
    with("").replace(address, &format!("{address}{more}"))
}

/// The same for its IM peer, whose first own line is 12.
fn im(more: &str) -> String {
    with(more)
}

fn config(text: &str) -> Config {
    let found = examined(text, &[]);
    found.config.unwrap_or_else(|| panic!("{:#?}", found.diagnoses))
}

fn verdict(config: &Config, status: u16) -> char {
    let peer = &config.peers[1];
    let response = Final { status, role: peer.role, retry_after: false, asked: Asked::Once };
    peer.mapping.verdict(response).letter()
}

#[test]
fn an_sc_is_an_international_number_and_of_the_sms_side() {
    let found = examined(&sms("smsc = \"+491710760000\"\n"), &[]);
    let smsc = found.config.unwrap().peers[0].smsc.clone();
    assert_eq!(smsc.as_deref(), Some("+491710760000"));
    assert!(found.diagnoses.iter().any(|it| it.message.contains("nothing listens for MSRP")));
    for wrong in ["491710760000", "+", "+49 171", "sip:+49171@x", "+1234567890123456"] {
        let found = examined(&sms(&format!("smsc = \"{wrong}\"\n")), &[]);
        assert!(found.diagnoses.iter().any(|it| it.severity == Severity::Error), "{wrong}");
    }
    let found = examined(&im("smsc = \"+491710760000\"\n"), &[]);
    assert!(found.diagnoses.iter().any(|it| it.severity == Severity::Error));
}

#[test]
fn a_status_of_a_peer_can_mean_something_else() {
    let standard = config(&im(""));
    assert_eq!([404, 477, 478, 486].map(|one| verdict(&standard, one)), ['P', 'P', 'P', 'T']);
    let kamailio = config(&im("preset = \"kamailio\"\n"));
    assert_eq!([404, 477, 478, 486].map(|one| verdict(&kamailio, one)), ['P', 'T', 'T', 'T']);
    let own = config(&im("preset = \"kamailio\"\n[peer.map]\n404 = \"T\"\n478 = \"U\"\n"));
    assert_eq!([404, 477, 478, 486].map(|one| verdict(&own, one)), ['T', 'T', 'U', 'T']);
    let origin = |status| own.peers[1].mapping.effective(status).unwrap().origin.to_string();
    assert_eq!(origin(404), "roger.toml:14");
    assert_eq!(origin(477), "preset kamailio");
    assert_eq!(origin(478), "roger.toml:15");
    assert_eq!(origin(486), "standard");
    // Every preset only says what may be said.
    for preset in [Preset::Kamailio] {
        for &(status, expected, why) in preset.rows() {
            assert_eq!(verdict(&kamailio, status), expected.letter(), "{why}");
        }
    }
}

#[test]
fn a_status_cannot_mean_what_would_make_a_report_false() {
    let map = |entry: &str| im(&format!("[peer.map]\n{entry}\n"));
    for status in [404, 408, 487, 504, 600] {
        let message = format!("{status} cannot mean D, delivered");
        the_only_error(&map(&format!("{status} = \"D\"")), &message, 13, 7);
    }
    the_only_error(&map("202 = \"D\""), "202 cannot mean D, delivered", 13, 7);
    the_only_error(&map("200 = \"T\""), "200 cannot mean T, temporary", 13, 7);
    the_only_error(&map("200 = \"P\""), "200 cannot mean P, permanent", 13, 7);
    the_only_error(&map("480 = \"A\""), "480 cannot mean A, accepted", 13, 7);
    let gateway = map("200 = \"D\"").replace("endpoint", "gateway");
    let found = examined(&gateway, &[]);
    let errors: Vec<String> = found
        .diagnoses
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("roger.toml:13:7: error: 200 cannot mean D"), "{errors:?}");
    the_only_warning(&map("408 = \"T\""), "408 is taken for certain here");
    assert_eq!(verdict(&config(&map("200 = \"A\"")), 200), 'A');
}

#[test]
fn a_map_has_statuses_and_letters() {
    let map = |entry: &str| im(&format!("[peer.map]\n{entry}\n"));
    the_only_error(&map("183 = \"T\""), "183 is not final", 13, 1);
    the_only_error(&map("099 = \"T\""), "`099` is not a status code", 13, 1);
    the_only_error(&map("700 = \"T\""), "`700` is not a status code", 13, 1);
    the_only_error(&map("0404 = \"T\""), "`0404` is not a status code", 13, 1);
    the_only_error(&map("busy = \"T\""), "`busy` is not a status code", 13, 1);
    the_only_error(&map("404 = \"X\""), "`X` is not `D`, `P`, `T`, `U` or `A`", 13, 7);
    the_only_error(&map("404 = 5"), "expected `D`, `P`, `T`, `U` or `A`, found a number", 13, 7);
    the_only_error(&im("map = \"T\"\n"), "expected a section such as [peer.map]", 12, 7);
    for (written, letter) in [("t", "T"), ("temporary", "T"), ("Permanent", "P")] {
        let found = examined(&map(&format!("404 = \"{written}\"")), &[]);
        let suggestion = format!("write \"{letter}\"");
        assert_eq!(found.diagnoses[0].suggestion.as_deref(), Some(suggestion.as_str()));
    }
    let both = examined(&map("700 = \"X\""), &[]);
    assert_eq!(both.diagnoses.len(), 2);
    // A mistake without its role is not held against the map.
    let no_role = map("200 = \"D\"").replace("role = \"endpoint\"\n", "");
    the_only_error(&no_role, "`role` is missing in this `peer`", 7, 1);
}

#[test]
fn each_side_has_its_own_settings() {
    let sms_peer = config(&sms(
        "sync_deadline = \"20s\"\nrecipient = \"to\"\nroute = \"sip:scscf.example.net:6060\"\n",
    ));
    let peer = &sms_peer.peers[0];
    assert_eq!((peer.sync_deadline_ms, peer.recipient), (Some(20_000), Recipient::To));
    assert_eq!(peer.route.as_deref(), Some("<sip:scscf.example.net:6060;lr>"));
    assert_eq!(sms_peer.peers[1].sync_deadline_ms, None);
    let plain = config(&with("[timers]\nsync_deadline = \"21s\"\n"));
    assert_eq!(plain.peers[0].sync_deadline_ms, Some(21_000));
    assert_eq!(plain.peers[0].recipient, Recipient::CalledParty);
    let remark = |config: &Config| {
        let all = config.effective.iter();
        let mut own = all.filter(|one| one.header == "[[peer]]" && one.key == "sync_deadline");
        own.next().map(|one| one.remark.clone())
    };
    assert_eq!(remark(&plain).as_deref(), Some("as in [timers]"));
    assert_eq!(remark(&sms_peer).as_deref(), Some(""));
    let im_peer = config(&im("content = \"cpim\"\n"));
    assert_eq!(im_peer.peers[1].content, Content::Cpim);
    assert!(!im_peer.peers[1].ack_accepted);

    for (key, value) in
        [("sync_deadline", "\"20s\""), ("recipient", "\"to\""), ("route", "\"sip:a\"")]
    {
        let text = im(&format!("{key} = {value}\n"));
        the_only_error(&text, &format!("`{key}` has no effect on this side"), 12, 1);
    }
    for (key, value) in
        [("content", "\"cpim\""), ("ack_accepted", "true"), ("preset", "\"kamailio\"")]
    {
        let text = sms(&format!("{key} = {value}\n"));
        the_only_error(&text, &format!("`{key}` has no effect on this side"), 7, 1);
    }
    the_only_error(&sms("[peer.map]\n404 = \"T\"\n"), "`map` has no effect on this side", 7, 7);
    let both = im("content = \"cpim\"\nrecipient = \"to\"\nack_accepted = true\n")
        .replace("side = \"im\"", "side = \"both\"");
    the_only_warning(
        &both,
        "a 202 from this peer is reported as RP-ACK where no status report was asked for",
    );
    assert!(config(&both).peers[1].ack_accepted);
}

#[test]
fn the_deadline_of_a_peer_has_the_bounds_of_all() {
    let deadline = |text: &str| sms(&format!("sync_deadline = \"{text}\"\n"));
    the_only_error(&deadline("32s"), "sync_deadline must be shorter than timer F", 7, 17);
    the_only_error(&deadline("3500ms"), "sync_deadline must be longer than 7*T1", 7, 17);
    the_only_error(&sms("route = \"sips:a\"\n"), "`sips:a` asks for TLS", 7, 9);
    the_only_error(&sms("route = \"<sip:a>\"\n"), "`<sip:a>` is not one URI by itself", 7, 9);
}

#[test]
fn a_refusal_is_remembered_for_a_minute_at_least() {
    let window = |text: &str| with(&format!("[gateway]\npermanent_window = \"{text}\"\n"));
    for wrong in ["59s", "0s", "481min"] {
        let message = "permanent_window must lie between 1min and 8h";
        let found = examined(&window(wrong), &[]).diagnoses;
        assert_eq!(found.len(), 1, "{wrong}");
        assert_eq!(found[0].message, message, "{wrong}");
    }
    for right in ["1min", "8h"] {
        assert!(examined(&window(right), &[]).config.is_some(), "{right}");
    }
}

#[test]
fn the_gateway_has_its_section() {
    let of = |more: &str| with(&format!("[gateway]\n{more}\n"));
    let plain = config(&with("")).gateway;
    assert_eq!(&*plain.domain, "127.0.0.1");
    assert_eq!((plain.uri_pending_max, plain.uri_wait_ms, plain.pager_max), (1, 2_000, 1_150));
    assert_eq!((plain.dedup, plain.permanent_window_ms), (true, 3_600_000));
    assert_eq!(plain.remembered_max, 1_500_000);
    let told = config(&of("domain = \"SMS.example.net\"\nuri_wait = \"500ms\"\ndedup = false\n\
         permanent_window = \"10min\"\npager_max = 1000"))
    .gateway;
    assert_eq!(&*told.domain, "sms.example.net");
    assert_eq!((told.uri_wait_ms, told.dedup), (500, false));
    assert_eq!((told.permanent_window_ms, told.pager_max), (600_000, 1_000));
    for (rate, remembered) in [(1, 1 << 14), (1_000, 150_000), (10_000_000, 1 << 24)] {
        let config = config(&with(&format!("[capacity]\nrate = {rate}\n")));
        assert_eq!(config.gateway.remembered_max, remembered);
    }
    let advertised = with("").replace(
        "address = \"127.0.0.1:5060\"",
        "address = \"127.0.0.1:5060\"\nadvertise = \"[2001:db8::1]:5060\"",
    );
    assert_eq!(&*config(&advertised).gateway.domain, "[2001:db8::1]");

    the_only_error(&of("domain = \"sip:a\""), "`sip:a` is not a host", 13, 10);
    the_only_error(&of("uri_pending = 0"), "this number must lie between 1 and 1000", 13, 15);
    the_only_error(&of("pager_max = 100"), "this number must lie between 500 and 8192", 13, 13);
    the_only_error(&of("uri_wait = \"28s\""), "uri_wait must be shorter than every", 13, 12);
    the_only_warning(
        &of("uri_pending = 2"),
        "more than one request of a sender may be pending to one URI",
    );
    the_only_warning(
        &of("pager_max = 1301"),
        "a longer MESSAGE may be broken into fragments, which are lost together",
    );
    // A default gives way to a deadline that somebody wrote.
    let short = "[timers]\nt1 = \"20ms\"\nsync_deadline = \"1s\"\n";
    assert!(examined(&with(short), &[]).diagnoses.is_empty());
}

/// A file with this content that is gone after the test.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, content: &[u8], mode: u32) -> Self {
        let path = std::env::temp_dir().join(format!("roger-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path)
    }

    fn peer(&self) -> String {
        im(&format!("username = \"roger\"\npassword_file = \"{}\"\n", self.0.display()))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_password_is_the_first_line_of_its_file() {
    let secret = Secret::new("right", b"open sesame\r\nsecond line\n", 0o640);
    let found = examined(&secret.peer(), &[]);
    assert!(found.diagnoses.is_empty(), "{:?}", found.diagnoses);
    let shown = format!("{found:?}");
    assert!(!shown.contains("sesame"), "the password is shown");
    let credentials = found.config.unwrap().peers[1].credentials.clone().unwrap();
    assert_eq!((&*credentials.username, &*credentials.password), ("roger", "open sesame"));

    let open = Secret::new("open", b"x\n", 0o644);
    the_only_warning(&open.peer(), "everybody on this machine may read this password");
    for (name, content) in [
        ("empty", b"" as &[u8]),
        ("blank", b"\nsecond\n"),
        ("latin", b"\xE9t\xE9\n"),
        ("long", &[b'x'; 129]),
    ] {
        let secret = Secret::new(name, content, 0o600);
        let message = format!("no password in {}", secret.0.display());
        the_only_error(&secret.peer(), &message, 13, 17);
    }
    let longest = Secret::new("longest", &[b'x'; 128], 0o600);
    assert!(examined(&longest.peer(), &[]).config.is_some());
}

#[test]
fn credentials_are_a_name_and_a_file() {
    the_only_error(&im("username = \"roger\"\n"), "`password_file` is missing", 12, 12);
    the_only_error(&im("password_file = \"/x\"\n"), "`username` is missing", 12, 17);
    the_only_error(
        &im("username = \"a\\\"b\"\npassword_file = \"/x\"\n"),
        "`a\\\"b` cannot be a user name",
        12,
        12,
    );
    let missing = im("username = \"roger\"\npassword_file = \"/nowhere/sbc.pw\"\n");
    the_only_error(&missing, "no password in /nowhere/sbc.pw", 13, 17);
    assert_eq!(check::verdict(&examined(&missing, &[]), false), Exit::Config);
    let directory = im("username = \"roger\"\npassword_file = \"/\"\n");
    the_only_error(&directory, "no password in /", 13, 17);
    // What is no file may never end, or wait for somebody.
    let device = im("username = \"roger\"\npassword_file = \"/dev/null\"\n");
    assert_eq!(examined(&device, &[]).diagnoses[0].label, "not a file");
    // What was written wrongly is not missing.
    let wrong = im("username = \"roger\"\npassword_file = \"\"\n");
    the_only_error(&wrong, "this cannot be a path", 13, 17);
}
