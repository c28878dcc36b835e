//! What listeners, peers and `[large]` say about Large Messages.

use std::net::SocketAddr;

use roger::cli::check::Style;
use roger::config::{Carry, Config, Large, MsrpTransport, Severity};
use roger::delivery::{Asked, Final, MsrpRole};
use roger::engine::{Content, Profile};

use crate::config_check::{examined, printed, the_only_error, the_only_warning, with};
use crate::pki::Authority;
use crate::status_socket::Directory;

/// Where MSRP is listened for.
const LISTENER: &str = "[[listen]]\naddress = \"127.0.0.1:2855\"\ntransports = [\"msrp\"]\n";

/// A configuration that is served by MSRP: the IM peer has its role in line 12, its listener begins in
/// line 13, and `more` in line 16.
fn large(more: &str) -> String {
    with(&format!("msrp = \"endpoint\"\n{LISTENER}{more}"))
}

/// The same with `more` in its IM peer, in line 13.
fn peer(more: &str) -> String {
    with(&format!("msrp = \"endpoint\"\n{more}{LISTENER}"))
}

/// The same with another listener, which begins in line 13.
fn listener(listener: &str, more: &str) -> String {
    with(&format!("msrp = \"endpoint\"\n[[listen]]\n{listener}transports = \"msrp\"\n{more}"))
}

#[track_caller]
fn config(text: &str) -> Config {
    let found = examined(text, &[]);
    assert!(found.diagnoses.is_empty(), "{:#?}", found.diagnoses);
    found.config.unwrap()
}

#[track_caller]
fn suggestion(text: &str) -> Option<String> {
    let found = examined(text, &[]);
    assert_eq!(found.diagnoses.len(), 1, "{:#?}", found.diagnoses);
    found.diagnoses[0].suggestion.clone()
}

#[track_caller]
fn reason(text: &str) -> String {
    let found = examined(text, &[]);
    assert_eq!(found.diagnoses.len(), 1, "{:#?}", found.diagnoses);
    found.diagnoses[0].reason.clone().unwrap_or_default()
}

fn remark(text: &str, header: &str, key: &str) -> String {
    let effective = examined(text, &[]).effective;
    let mut found = effective.iter().filter(|one| one.header == header && one.key == key);
    found.next_back().unwrap().remark.clone()
}

const WORKERS: &str = "[workers]\ncount = 2\n";

#[test]
fn without_a_listener_for_msrp_there_are_no_large_messages() {
    let plain = config(&with(""));
    assert_eq!((plain.large.clone(), plain.per_worker().sessions_max), (None, 0));
    assert_eq!((plain.peers[1].msrp, plain.peers[1].profile), (None, Profile::SimpleIm));
    let served = config(&large(""));
    assert_eq!(served.listeners.len(), 1);
    assert_eq!(served.peers[1].msrp, Some(MsrpRole::Endpoint));
    let Large {
        listeners,
        sessions,
        message_size,
        connections,
        invite_wait_ms,
        response_wait_ms,
        report_wait_ms,
        session_idle_ms,
        carry,
    } = served.large.unwrap();
    assert_eq!(listeners[0].address, "127.0.0.1:2855".parse::<SocketAddr>().unwrap());
    assert_eq!((sessions, message_size, connections), (1_024, 4_096, 1_024));
    assert_eq!((invite_wait_ms, report_wait_ms, session_idle_ms), (10_000, 120_000, 0));
    assert_eq!((response_wait_ms, carry), (30_000, None));
}

#[test]
fn msrp_has_an_address_of_its_own() {
    let mixed = large("").replace("[\"msrp\"]", "[\"tcp\", \"msrp\"]");
    let found = examined(&mixed, &[]);
    let shown: Vec<String> = found.diagnoses.iter().map(ToString::to_string).collect();
    assert!(shown[0].starts_with("roger.toml:15:14: error: MSRP needs an address of its own"));
    // What is wrong with it is not said twice: the role of the peer has a listener that is meant for it.
    assert!(!shown.iter().any(|one| one.contains("no MSRP to go over")), "{shown:#?}");
    let twice = large("").replace("[\"msrp\"]", "[\"msrp\", \"msrp\"]");
    the_only_error(&twice, "a transport is listed twice", 15, 23);
    let both = large("").replace("\"msrp\"]", "\"msrp\", \"msrps\"]");
    let found = examined(&both, &[]);
    let shown: Vec<String> = found.diagnoses.iter().map(ToString::to_string).collect();
    assert!(shown[0].starts_with("roger.toml:15:14: error: MSRP needs an address of its own"));
    assert!(shown[0].contains("is encrypted or it is not"), "{shown:#?}");
    let second = large("[[listen]]\naddress = \"127.0.0.2:2855\"\ntransports = \"msrp\"\n");
    the_only_error(&second, "there is one address for MSRP over IPv4", 17, 11);
    let six = large("[[listen]]\naddress = \"[::1]:2855\"\ntransports = \"msrp\"\n");
    assert_eq!(config(&six).large.unwrap().listeners.len(), 2);
    let alone = large("").replacen("address", "transports = \"msrp\"\naddress", 1);
    let messages: Vec<String> =
        examined(&alone, &[]).diagnoses.into_iter().map(|one| one.message).collect();
    assert!(messages.contains(&"nothing listens for SIP".to_owned()), "{messages:?}");
}

/// A configuration with certificates, whose IM peer has its sessions over TLS: the peer's transport stands in
/// line 13, `msrps` in line 16, and `more` begins in line 20.
fn secure(directory: &Directory, more: &str) -> String {
    let own = Authority::new("test").certify(&["roger.example"]);
    let [certificate, key] = own.write(&directory.0, "own").map(|path| path.display().to_string());
    peer("msrp_transport = \"tls\"\n").replace("\"msrp\"]", "\"msrps\"]")
        + &format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{more}")
}

#[test]
fn msrp_over_tls_is_listened_for_beside_msrp_and_each_peer_has_one_of_both() {
    let directory = Directory::new("config-msrps");
    let text = secure(&directory, "");
    // No authority is needed: the SDP says which certificates are right.
    let tls = config(&text);
    let transports: Vec<MsrpTransport> = tls.peers.iter().map(|one| one.msrp_transport).collect();
    assert_eq!(transports, [MsrpTransport::Tcp, MsrpTransport::Tls]);
    let listeners = tls.large.unwrap().listeners;
    assert!(listeners.len() == 1 && listeners[0].is_tls);
    assert_eq!(listeners[0].to_string(), "127.0.0.1:2855 over TLS");
    let plain = "[[listen]]\naddress = \"127.0.0.1:2865\"\ntransports = \"msrp\"\n\
                 [[peer]]\nname = \"pm\"\nside = \"im\"\nrole = \"endpoint\"\nmsrp = \"endpoint\"\n\
                 address = \"127.0.0.1:5090\"\n";
    let both = config(&secure(&directory, plain));
    let listeners = both.large.unwrap().listeners;
    assert_eq!(listeners.iter().map(|one| one.is_tls).collect::<Vec<_>>(), [true, false]);
    // Each worker has a port of each of them.
    let near = plain.replace("2865", "2856");
    config(&secure(&directory, &near));
    let two = secure(&directory, &format!("{near}{WORKERS}"));
    the_only_error(&two, "MSRP with TLS and without needs ports apart", 21, 11);
    assert_eq!(suggestion(&two).as_deref(), Some("address = \"127.0.0.1:2857\""));
    config(&secure(&directory, &format!("{}{WORKERS}", plain.replace("2865", "2857"))));
}

#[test]
fn a_session_has_the_transport_of_its_peer_or_there_is_an_error() {
    let directory = Directory::new("config-msrps-peer");
    let default = secure(&directory, "").replace("msrp_transport = \"tls\"\n", "");
    the_only_error(&default, "MSRP with this peer goes over TCP, and no listener has it", 12, 8);
    assert_eq!(suggestion(&default).as_deref(), Some("msrp_transport = \"tls\""));
    let clear = secure(&directory, "").replace("\"msrps\"", "\"msrp\"");
    the_only_error(&clear, "MSRP with this peer goes over TLS, and no listener has it", 13, 18);
    assert!(suggestion(&clear).unwrap().contains("transports = [\"msrps\"]"));
    let unused = "[[listen]]\naddress = \"127.0.0.1:2865\"\ntransports = \"msrp\"\n";
    let message = "nobody is told of this address: no peer has MSRP over TCP";
    the_only_warning(&secure(&directory, unused), message);
    let bare = peer("msrp_transport = \"tls\"\n").replace("\"msrp\"]", "\"msrps\"]");
    the_only_error(&bare, "who listens for TLS needs a certificate", 16, 14);
    let wrong = secure(&directory, "").replace("\"tls\"\n[[", "\"dtls\"\n[[");
    the_only_error(&wrong, "`dtls` is not `tcp` or `tls`", 13, 18);
    let alone = with("msrp_transport = \"tls\"\n");
    the_only_warning(&alone, "what sessions are carried over has no effect without sessions");
    let sms = with("").replace("5070\"\n", "5070\"\nmsrp_transport = \"tls\"\n");
    the_only_error(&sms, "`msrp_transport` has no effect on this side", 7, 1);
}

#[test]
fn an_msrp_listener_can_be_bound_and_found() {
    let of = |address: &str, more: &str| listener(&format!("address = \"{address}\"\n{more}"), "");
    let wild = of("0.0.0.0:2855", "");
    the_only_error(&wild, "0.0.0.0:2855 needs an `advertise`", 14, 11);
    assert!(reason(&wild).starts_with("our MSRP URIs must name one address or host"));
    assert!(suggestion(&wild).unwrap().contains(":2855"));
    let nobody = of("127.0.0.1:2855", "advertise = \"0.0.0.0:2855\"\n");
    the_only_error(&nobody, "no client can find this", 15, 13);
    let long = format!("advertise = \"{}.net:2855\"\n", ["a".repeat(60).as_str(); 3].join("."));
    the_only_error(&of("127.0.0.1:2855", &long), "this host is too long for an MSRP URI", 15, 13);
    let longest = format!("advertise = \"{}.{}:2855\"\n", "a".repeat(60), "b".repeat(60));
    config(&of("127.0.0.1:2855", &longest));
    the_only_warning(&of("192.0.2.10:0", ""), "port 0 means any free port");
    config(&of("127.0.0.1:0", ""));
    // A peer at any of its ports would be ourselves.
    let ours = listener("address = \"127.0.0.1:5079\"\n", WORKERS);
    let found = examined(&ours, &[]);
    assert_eq!(found.diagnoses[0].message, "the peer at `127.0.0.1:5080` is this process");
    assert!(examined(&ours.replace("count = 2", "count = 1"), &[]).diagnoses.is_empty());
}

#[test]
fn each_worker_listens_for_msrp_at_a_port_of_its_own() {
    let of = |address: &str| listener(&format!("address = \"{address}\"\n"), WORKERS);
    let two = config(&of("127.0.0.1:2855")).large.unwrap();
    let listener_of = &two.listeners[0];
    let places: Vec<String> = (0..2).map(|one| listener_of.address_of(one).to_string()).collect();
    assert_eq!(places, ["127.0.0.1:2855", "127.0.0.1:2856"]);
    let said = remark(&of("127.0.0.1:2855"), "[[listen]]", "address");
    assert_eq!(said, "worker 0 at 2855, the last one at 2856");
    // The port of SIP is needed by a worker, whichever of the two is written first.
    for (port, free) in [(5_059, 5_061), (5_060, 5_061)] {
        let text = of(&format!("127.0.0.1:{port}"));
        the_only_error(&text, "port 5060 is listened on for SIP over TCP or TLS", 14, 11);
        assert!(reason(&text).contains("comes to the worker that has the session"));
        let expected = format!("address = \"127.0.0.1:{free}\"");
        assert_eq!(suggestion(&text), Some(expected));
    }
    config(&of("127.0.0.1:5061"));
    config(&of("127.0.0.1:5058"));
    // So have other addresses and the other family, unless somebody has all of them.
    config(&of("127.0.0.2:5060"));
    config(&of("[::1]:5060"));
    config(&of("[::]:5060\"\nadvertise = \"msrp.example.net:2855"));
    let wild = of("0.0.0.0:5060\"\nadvertise = \"msrp.example.net:2855");
    the_only_error(&wild, "port 5060 is listened on for SIP over TCP or TLS", 14, 11);
    // Datagrams have ports of their own.
    let datagrams =
        of("127.0.0.1:5060").replacen(":5060\"\n", ":5060\"\ntransports = \"udp\"\n", 1);
    let found = examined(&datagrams, &[]).diagnoses;
    assert!(found.iter().all(|one| one.severity == Severity::Warning), "{found:#?}");
    let over = of("127.0.0.1:65535");
    the_only_error(&over, "2 workers need 2 ports for MSRP, and from 65535 on there are 1", 14, 11);
    assert_eq!(suggestion(&over).as_deref(), Some("address = \"127.0.0.1:2855\""));
    config(&of("127.0.0.1:65534"));
    config(&of("127.0.0.1:65535").replace("count = 2", "count = 1"));
}

#[test]
fn what_is_advertised_for_msrp_counts_up_as_well() {
    let of = |port: u16| {
        let lines =
            format!("address = \"0.0.0.0:2855\"\nadvertise = \"msrp.example.net:{port}\"\n");
        listener(&lines, WORKERS)
    };
    let large = config(&of(7_000)).large.unwrap();
    let bound = "0.0.0.0:2856".parse().unwrap();
    assert_eq!(large.listeners[0].authority_of(1, bound).to_string(), "msrp.example.net:7001");
    let over = of(65_535);
    the_only_error(&over, "2 workers advertise 2 ports, and from 65535 on there are 1", 15, 13);
    config(&of(65_534));
    // Where the port is left to chance, what is bound stands in the URIs.
    let any = config(&of(7_000).replace("0.0.0.0:2855", "127.0.0.1:0")).large.unwrap();
    let bound = "127.0.0.1:41234".parse().unwrap();
    assert_eq!(any.listeners[0].authority_of(1, bound).to_string(), "msrp.example.net:41234");
    let plain = config(&listener("address = \"[::1]:2855\"\n", WORKERS)).large.unwrap();
    let bound = "[::1]:2856".parse().unwrap();
    assert_eq!(plain.listeners[0].authority_of(1, bound).to_string(), "[::1]:2856");
}

#[test]
fn who_speaks_in_a_session_is_said_and_not_guessed() {
    let nobody = with(LISTENER);
    the_only_error(&nobody, "nobody takes Large Messages", 14, 14);
    assert!(reason(&nobody).contains("depends on who says it"));
    assert!(suggestion(&nobody).unwrap().contains("\"relay\""));
    let unheard = with("msrp = \"relay\"\n");
    the_only_error(&unheard, "Large Messages to this peer have no MSRP to go over", 12, 8);
    assert!(suggestion(&unheard).unwrap().contains("transports = [\"msrp\"]"));
    // A peer whose side was not understood may be the one that has a role.
    let unsided = with(LISTENER).replacen("side = \"im\"", "side = \"in\"", 1);
    the_only_error(&unsided, "`in` is not `sms`, `im` or `both`", 9, 8);
    let wrong = large("").replace("\"endpoint\"\n[[l", "\"proxy\"\n[[l");
    let message = "`proxy` is not `endpoint`, `relay`, `b2bua` or `im_server`";
    the_only_error(&wrong, message, 12, 8);
    for (name, role, proof) in [
        ("endpoint", MsrpRole::Endpoint, "200 to every chunk"),
        ("relay", MsrpRole::Relay, "only REPORTs"),
        ("b2bua", MsrpRole::B2bua, "only REPORTs"),
        ("im_server", MsrpRole::ImServer, "only REPORTs"),
    ] {
        let text = with(&format!("msrp = \"{name}\"\n{LISTENER}"));
        assert_eq!(config(&text).peers[1].msrp, Some(role));
        let said = remark(&text, "[[peer]]", "msrp");
        assert!(said.starts_with(proof), "{name}: {said}");
    }
    let text = large("").replacen("role = \"endpoint\"", "role = \"im_server\"", 1);
    let messages: Vec<String> =
        examined(&text, &[]).diagnoses.into_iter().map(|one| one.message).collect();
    let message = "this peer answers for the recipient over SIP, and is the recipient over MSRP";
    assert!(messages.contains(&message.to_owned()), "{messages:?}");
    let consistent = text.replace("msrp = \"endpoint\"", "msrp = \"im_server\"");
    the_only_warning(
        &consistent,
        "a 200 from this peer passes unchanged but never proves delivery",
    );
    let sms = with("").replace("5070\"\n", "5070\"\nmsrp = \"endpoint\"\n");
    the_only_error(&sms, "`msrp` has no effect on this side", 7, 1);
    let sms = with("").replace("5070\"\n", "5070\"\nim.profile = \"cpm\"\n");
    the_only_error(&sms, "`im.profile` has no effect on this side", 7, 4);
}

#[test]
fn cpm_is_a_profile_and_its_content_is_cpim() {
    let of = |text: &str| {
        let config = config(text);
        (config.peers[1].profile, config.peers[1].content)
    };
    assert_eq!(of(&peer("")), (Profile::SimpleIm, Content::Text));
    assert_eq!(of(&peer("im.profile = \"simple-im\"\n")), (Profile::SimpleIm, Content::Text));
    let cpm = peer("im.profile = \"cpm\"\n");
    assert_eq!(of(&cpm), (Profile::Cpm, Content::Cpim));
    assert_eq!(remark(&cpm, "[[peer]]", "content"), "as CPM has it");
    let section = peer("[peer.im]\nprofile = \"cpm\"\n");
    assert_eq!(of(&section), (Profile::Cpm, Content::Cpim));
    assert_eq!(of(&peer("im.profile = \"cpm\"\ncontent = \"cpim\"\n")).1, Content::Cpim);
    let text = peer("im.profile = \"cpm\"\ncontent = \"text\"\n");
    the_only_error(&text, "the content of CPM is in CPIM", 14, 11);
    assert!(reason(&text).contains("Message-ID"));
    let alone = with("im.profile = \"cpm\"\n");
    the_only_warning(&alone, "the profile of sessions has no effect without sessions");
    the_only_error(&peer("im.profile = \"rcs\"\n"), "`rcs` is not `simple-im` or `cpm`", 13, 14);
    the_only_error(&peer("im.profil = \"cpm\"\n"), "there is no `im.profil` in [[peer]]", 13, 4);
    let flat = peer("profile = \"cpm\"\n");
    the_only_error(&flat, "there is no `profile` in [[peer]]", 13, 1);
    assert_eq!(suggestion(&flat).as_deref(), Some("did you mean `im.profile`?"));
    the_only_error(&peer("im = \"cpm\"\n"), "there is no `im` in [[peer]]", 13, 1);
}

#[test]
fn large_has_its_bounds() {
    let of = |more: &str| large(&format!("[large]\n{more}\n"));
    let set =
        config(&of("sessions = 10\nmessage_size = 65536\nconnections = 7\ninvite_wait = \"5s\"\n\
         response_wait = \"20s\"\nreport_wait = \"30s\""));
    let set = set.large.unwrap();
    assert_eq!((set.sessions, set.message_size, set.connections), (10, 65_536, 7));
    assert_eq!((set.invite_wait_ms, set.report_wait_ms), (5_000, 30_000));
    assert_eq!(set.response_wait_ms, 20_000);
    the_only_error(&of("sessions = 0"), "this number must lie between 1 and 1048576", 17, 12);
    let sizes = "this number must lie between 1024 and 1048576";
    the_only_error(&of("message_size = 1023"), sizes, 17, 16);
    the_only_error(&of("message_size = 1048577"), sizes, 17, 16);
    the_only_error(&of("message_size = 1150"), "message_size must be more than pager_max", 17, 16);
    config(&of("message_size = 1151"));
    let pager = of("message_size = 2000\n[gateway]\npager_max = 1200");
    assert_eq!(config(&pager).large.unwrap().message_size, 2_000);
    the_only_error(&of("connections = 0"), "this number must lie between 1 and 60000", 17, 15);
    let both = of("connections = 58977");
    let message = "a worker can have 60000 connections, those of MSRP among them";
    the_only_error(&both, message, 17, 15);
    config(&of("connections = 58976"));
    the_only_error(&of("invite_wait = \"499ms\""), "invite_wait must be 500ms at least", 17, 15);
    config(&of("invite_wait = \"500ms\""));
    let late = "invite_wait must be shorter than every sync_deadline";
    the_only_error(&of("invite_wait = \"28s\""), late, 17, 15);
    let own = of("invite_wait = \"20s\"").replace("5070\"\n", "5070\"\nsync_deadline = \"20s\"\n");
    the_only_error(&own, late, 18, 15);
    // A default gives way to a deadline that somebody wrote.
    let short = large("[timers]\nt1 = \"20ms\"\nsync_deadline = \"1200ms\"\n");
    assert_eq!(config(&short).large.unwrap().invite_wait_ms, 600);
    let half = "half of the shortest sync_deadline";
    assert_eq!(remark(&short, "[large]", "invite_wait"), half);
    config(&large("[timers]\nt1 = \"20ms\"\nsync_deadline = \"400ms\"\n"));
    for wrong in ["999ms", "601s"] {
        let text = of(&format!("report_wait = \"{wrong}\""));
        the_only_error(&text, "report_wait must lie between 1s and 10min", 17, 15);
    }
    config(&of("report_wait = \"10min\""));
    for wrong in ["999ms", "30001ms"] {
        let text = of(&format!("response_wait = \"{wrong}\""));
        the_only_error(&text, "response_wait must lie between 1s and 30s", 17, 17);
    }
    config(&of("response_wait = \"1s\""));
    let text = of("session_idle = \"2h\"");
    the_only_error(&text, "session_idle must not be longer than 1h", 17, 16);
    let set = config(&of("session_idle = \"1min\"")).large.expect("Large Messages");
    assert_eq!(set.session_idle_ms, 60_000);
    let unserved = with("[large]\nsessions = 10\n");
    assert_eq!(config(&unserved).large, None);
    let words = "takes effect where something listens for MSRP";
    assert_eq!(remark(&unserved, "[large]", "sessions"), words);
    let unknown = of("session = 1");
    the_only_error(&unknown, "there is no `session` in [large]", 17, 1);
}

/// A second peer of the IM side.
const SECOND: &str = "[[peer]]\nname = \"im2\"\nside = \"im\"\nrole = \"endpoint\"\n\
                      msrp = \"relay\"\naddress = \"127.0.0.1:5090\"\n";

#[test]
fn sessions_pass_where_that_is_written() {
    let of = |more: &str| large(&format!("[large]\n{more}\n{SECOND}"));
    assert_eq!(config(&of("")).large.unwrap().carry, None, "two peers with MSRP are not enough");
    let carry = |more: &str| config(&of(more)).large.unwrap().carry;
    assert_eq!(carry("carry = false"), None);
    assert_eq!(carry("carry = true"), Some(Carry { messages: 512, buffer: 16_384 }));
    assert_eq!(carry("carry = true\nsessions = 9").unwrap().messages, 5);
    assert_eq!(remark(&of("carry = true"), "[large]", "carry_messages"), "half of the sessions");
    let both = "carry = true\ncarry_messages = 7\ncarry_buffer = 4096";
    assert_eq!(carry(both), Some(Carry { messages: 7, buffer: 4_096 }));
    let sizes = "this number must lie between 4096 and 1048576";
    the_only_error(&of("carry = true\ncarry_buffer = 4095"), sizes, 18, 16);
    the_only_error(&of("carry = true\ncarry_buffer = 1048577"), sizes, 18, 16);
    let count = "this number must lie between 1 and 1048576";
    the_only_error(&of("carry = true\ncarry_messages = 0"), count, 18, 18);
    // Written without it, they are not used, which is said.
    assert_eq!(remark(&of("carry_buffer = 5000"), "[large]", "carry_buffer"), WITH_CARRY);
    assert_eq!(remark(&of("carry = true"), "[large]", "carry_buffer"), "");
    let (shown, _) = printed(&of("carry = true"), &[], Style::default());
    assert!(shown.contains("octets, 512 messages at once from session to session; "), "{shown}");
    let (shown, _) = printed(&of(""), &[], Style::default());
    assert!(!shown.contains("from session to session"), "{shown}");
}

const WITH_CARRY: &str = "takes effect with `carry`";

#[test]
fn sessions_pass_between_two() {
    let message = "sessions pass between two peers of the IM side";
    the_only_error(&large("[large]\ncarry = true\n"), message, 17, 9);
    // Whose sessions have TLS has none that passes.
    let directory = Directory::new("config-carry-tls");
    let plain = "[[listen]]\naddress = \"127.0.0.1:2865\"\ntransports = \"msrp\"\n";
    let more = format!("[large]\ncarry = true\n{plain}{SECOND}");
    the_only_error(&secure(&directory, &more), message, 21, 9);
    assert!(reason(&secure(&directory, &more)).contains("sessions over TLS do not pass"));
    // One that was not understood may be the second one, and is told itself.
    let unclear = SECOND.replace("relay", "rely");
    let unclear = large(&format!("[large]\ncarry = true\n{unclear}"));
    let found = examined(&unclear, &[]);
    assert_eq!(found.diagnoses.len(), 1, "{:#?}", found.diagnoses);
    assert!(!found.diagnoses[0].message.contains("sessions pass"));
}

#[test]
fn what_passes_is_shared_out_and_needs_memory() {
    let two = large(&format!("[large]\ncarry = true\ncarry_messages = 100\n{WORKERS}{SECOND}"));
    let shared = config(&two);
    assert_eq!((shared.carried_max(), shared.large.unwrap().carry.unwrap().messages), (70, 100));
    assert_eq!(remark(&two, "[large]", "carry_messages"), "each worker has room for 70");
    let of = |carry: bool| {
        let keys = "carry_messages = 10000\ncarry_buffer = 1048576\n";
        large(&format!("[large]\ncarry = {carry}\n{keys}{SECOND}"))
    };
    config(&of(false));
    let found = examined(&of(true), &[]);
    assert!(found.diagnoses[0].message.starts_with("this capacity needs about"), "{found:#?}");
}

#[test]
fn sessions_are_shared_out_like_other_capacities() {
    let two = large(&format!("[large]\nsessions = 100\n{WORKERS}"));
    let config = config(&two);
    // The mean, and four times the root of 100 * 1/2 * 1/2.
    assert_eq!(config.per_worker().sessions_max, 50 + 20);
    assert_eq!(config.large.unwrap().connections, 70);
    assert_eq!(remark(&two, "[large]", "sessions"), "each worker has room for 70");
    let connections = remark(&two, "[large]", "connections");
    assert_eq!(connections, "of each worker; as many as its sessions");
    let (shown, _) = printed(&two, &[], Style::default());
    for words in [
        "; MSRP at 127.0.0.1:2855, each worker at that port and its number, 100 sessions of up to \
         4096 octets; ",
        ", 70 sessions; MSRP",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let (shown, _) = printed(&large(""), &[], Style::default());
    assert!(shown.contains("; MSRP at 127.0.0.1:2855, 1024 sessions"), "{shown}");
    let (plain, _) = printed(&with(""), &[], Style::default());
    assert!(!plain.contains("MSRP") && !plain.contains("session"), "{plain}");
    // 8192 MiB hold no 200 000 sessions with a mebibyte each.
    let much = large("[large]\nsessions = 200000\nmessage_size = 1048576\nconnections = 10\n");
    let found = examined(&much, &[]);
    assert!(found.diagnoses[0].message.starts_with("this capacity needs about"), "{found:#?}");
    assert!(
        found.diagnoses[0].reason.as_ref().unwrap().contains("sessions and connections of MSRP")
    );
}

#[test]
fn sessions_take_no_memory_where_there_are_none() {
    let much = "[large]\nsessions = 1000000\nmessage_size = 1048576\n";
    config(&with(much));
}

fn verdicts(config: &Config, status: u16) -> (char, char, char) {
    let peer = &config.peers[1];
    let response = Final { status, role: peer.role, retry_after: false, asked: Asked::Once };
    let (mapping, letter) = (&peer.mapping, roger::delivery::Verdict::letter);
    (
        letter(mapping.verdict(response)),
        letter(mapping.invite(response)),
        letter(mapping.msrp(status)),
    )
}

#[test]
fn what_answers_an_invite_or_comes_in_a_session_has_a_map_of_its_own() {
    let own = peer(
        "[peer.map]\n403 = \"T\"\n[peer.map.invite]\n403 = \"P\"\n486 = \"P\"\n\
                    [peer.map.msrp]\n413 = \"T\"\n400 = \"U\"\n799 = \"P\"\n",
    );
    let own = config(&own);
    assert_eq!(verdicts(&own, 403), ('T', 'P', 'P'));
    assert_eq!(verdicts(&own, 486), ('T', 'P', 'P'));
    assert_eq!(verdicts(&own, 413), ('P', 'P', 'T'));
    assert_eq!(verdicts(&own, 400), ('P', 'P', 'U'));
    assert_eq!(own.peers[1].mapping.msrp(799).letter(), 'P');
    let shown = own.effective.iter().find(|one| one.key == "map").unwrap();
    let value = "{ 403 = \"T\", invite = { 403 = \"P\", 486 = \"P\" }, \
                 msrp = { 400 = \"U\", 413 = \"T\", 799 = \"P\" } }";
    assert_eq!(shown.value, value);
    let again = examined(&peer(&format!("map = {value}\n")), &[]).config.unwrap();
    assert_eq!(verdicts(&again, 403), ('T', 'P', 'P'));
}

#[test]
fn a_session_cannot_mean_what_would_make_a_report_false() {
    let of = |leg: &str, entry: &str| peer(&format!("[peer.map.{leg}]\n{entry}\n"));
    let invite = |entry: &str| of("invite", entry);
    let msrp = |entry: &str| of("msrp", entry);
    the_only_error(&invite("486 = \"D\""), "invite 486 cannot mean D, delivered", 14, 7);
    the_only_error(&invite("202 = \"D\""), "invite 202 cannot mean D, delivered", 14, 7);
    the_only_error(&invite("200 = \"T\""), "invite 200 cannot mean T, temporary", 14, 7);
    the_only_error(&invite("408 = \"U\""), "invite 408 cannot mean U, unknown", 14, 7);
    the_only_error(&invite("486 = \"A\""), "invite 486 cannot mean A, accepted", 14, 7);
    the_only_error(&invite("183 = \"T\""), "183 is not final", 14, 1);
    for status in [400, 408, 413, 481, 506, 600, 999] {
        let message = format!("msrp {status} cannot mean D, delivered");
        the_only_error(&msrp(&format!("{status} = \"D\"")), &message, 14, 7);
        let message = format!("msrp {status} cannot mean A, accepted");
        the_only_error(&msrp(&format!("{status} = \"A\"")), &message, 14, 7);
    }
    for letter in ["D", "P", "T", "U", "A"] {
        let found = examined(&msrp(&format!("200 = \"{letter}\"")), &[]);
        assert!(found.diagnoses[0].message.starts_with("msrp 200 cannot mean"), "{letter}");
    }
    for status in [481, 506] {
        let text = msrp(&format!("{status} = \"U\""));
        the_only_error(&text, &format!("msrp {status} cannot mean U, unknown"), 14, 7);
        assert!(reason(&text).contains("once\nmore on a new session"));
    }
    the_only_warning(&msrp("408 = \"T\""), "msrp 408 is taken for certain here");
    the_only_error(&msrp("199 = \"T\""), "`199` is not a status of MSRP", 14, 1);
    the_only_error(&msrp("1000 = \"T\""), "`1000` is not a status of MSRP", 14, 1);
    the_only_error(&msrp("413 = \"X\""), "`X` is not `D`, `P`, `T`, `U` or `A`", 14, 7);
    let flat = peer("[peer.map]\ninvite = \"T\"\n");
    the_only_error(&flat, "`invite` is not a status code", 14, 1);
    assert!(suggestion(&flat).unwrap().starts_with("[peer.map.invite]"));
    config(&invite("408 = \"P\""));
}
