//! What listeners and peers say about UDP, TCP and TLS, and how many connections there may be.

use roger::config::{Config, Severity};
use roger::packet::Transport;

use crate::config_check::{examined, the_only_error, the_only_warning, with};

/// `with("")` with `more` in its listener, which begins at line 1, and so at line 3.
fn listener(more: &str) -> String {
    let address = "address = \"127.0.0.1:5060\"\n";
    with("").replace(address, &format!("{address}{more}\n"))
}

/// The same for its IM peer, whose first own line is 12.
fn im(more: &str) -> String {
    with(&format!("{more}\n"))
}

fn config(text: &str) -> Config {
    let found = examined(text, &[]);
    found.config.unwrap_or_else(|| panic!("{:#?}", found.diagnoses))
}

#[test]
fn udp_and_tcp_are_listened_for_unless_it_is_said_otherwise() {
    let both = [Transport::Udp, Transport::Tcp];
    assert_eq!(config(&with("")).listeners[0].transports, both);
    assert_eq!(config(&listener("transports = [\"tcp\", \"udp\"]")).listeners[0].transports, both);
    let one = "this address speaks one of UDP and TCP only";
    the_only_warning(&listener("transports = \"udp\""), one);
    the_only_error(&listener("transports = []"), "a listener needs a transport", 3, 14);
    the_only_error(
        &listener("transports = [\"udp\", \"tcp\", \"udp\"]"),
        "a transport is listed twice",
        3,
        29,
    );
    the_only_error(
        &listener("transports = [\"udp\", \"tpc\"]"),
        "`tpc` is not `udp`, `tcp`, `tls`, `msrp` or `msrps`",
        3,
        22,
    );
    let mixed = listener("transports = [\"udp\", \"tls\"]");
    the_only_error(&mixed, "TLS needs an address of its own", 3, 14);
    let suggestion = examined(&mixed, &[]).diagnoses[0].suggestion.clone().unwrap();
    assert!(suggestion.contains("transports = [\"tls\"]"), "{suggestion}");
}

#[test]
fn ports_of_datagrams_and_of_connections_are_apart() {
    let second = |transports: &str| {
        let address = "address = \"127.0.0.1:5060\"\n";
        let first = listener("transports = \"udp\"");
        first.replacen(
            "[[peer]]",
            &format!("[[listen]]\n{address}transports = \"{transports}\"\n[[peer]]"),
            1,
        )
    };
    let found = examined(&second("tcp"), &[]);
    assert!(found.diagnoses.iter().all(|one| one.severity == Severity::Warning));
    assert_eq!(found.config.unwrap().listeners.len(), 2);
    let errors = |text: &str| -> Vec<String> {
        let errors = examined(text, &[]).diagnoses.into_iter();
        errors.filter(|one| one.severity == Severity::Error).map(|one| one.message).collect()
    };
    assert_eq!(errors(&second("udp")), ["127.0.0.1:5060 is listened on twice"]);
    let streams = second("tcp").replace("\"udp\"", "\"tls\"");
    let twice = "127.0.0.1:5060 is listened on twice".to_owned();
    assert!(errors(&streams).contains(&twice), "{:?}", errors(&streams));
}

#[test]
fn a_peer_is_reached_by_a_transport_that_is_there() {
    assert_eq!(config(&im("")).peers[1].transport, Transport::Udp);
    assert_eq!(config(&im("transport = \"tcp\"")).peers[1].transport, Transport::Tcp);
    let apart = |text: &str| text.replace("127.0.0.1:5070", "192.0.2.7:5070");
    the_only_error(
        &apart(&im("transport = \"tls\"")),
        "`127.0.0.1:5080` needs TLS over IPv4, and no listener has it",
        12,
        13,
    );
    let tls = "[[listen]]\naddress = \"127.0.0.1:5061\"\ntransports = \"tls\"\n";
    let with_tls = format!("{}{tls}", im("transport = \"tls\""));
    let found = examined(&apart(&with_tls), &[]);
    let unreachable = found.diagnoses.iter().any(|one| one.message.contains("no listener has it"));
    assert!(!unreachable, "{:#?}", found.diagnoses);
    // A family has its own.
    let other = tls.replace("127.0.0.1:5061", "[::1]:5061");
    let wrong_family = format!("{}{other}", im("transport = \"tls\""));
    let found = examined(&apart(&wrong_family), &[]);
    let message = "`127.0.0.1:5080` needs TLS over IPv4, and no listener has it";
    assert_eq!(found.diagnoses[0].message, message);
    // A peer that says nothing is reached over UDP.
    let without = im("").replace("5060\"\n", "5060\"\ntransports = \"tcp\"\n");
    let found = examined(&without, &[]);
    let errors = found.diagnoses.iter().filter(|one| one.severity == Severity::Error);
    let messages: Vec<_> = errors.map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "`127.0.0.1:5070` needs UDP over IPv4, and no listener has it",
            "`127.0.0.1:5080` needs UDP over IPv4, and no listener has it",
        ]
    );
}

#[test]
fn peers_whose_connections_cannot_be_told_apart_are_warned_about() {
    assert!(examined(&with(""), &[]).diagnoses.is_empty(), "over UDP the port says who it is");
    let message = "connections from 127.0.0.1 are of nobody";
    the_only_warning(&im("transport = \"tcp\""), message);
    let apart = im("transport = \"tcp\"").replace("127.0.0.1:5070", "192.0.2.7:5070");
    assert!(examined(&apart, &[]).diagnoses.is_empty());
}

#[test]
fn connections_are_counted_per_worker_and_per_source() {
    let capacity = |more: &str| config(&with(&format!("[capacity]\n{more}\n"))).capacity;
    let of = |more: &str| (capacity(more).connections, capacity(more).connections_per_source);
    assert_eq!(of(""), (1_024, 1_024));
    assert_eq!(of("connections = 60000"), (60_000, 60_000));
    assert_eq!(of("connections = 10\nconnections_per_source = 3"), (10, 3));
    let wrong = with("[capacity]\nconnections = 3\nconnections_per_source = 4\n");
    let message = "connections_per_source counts some of the connections, so it cannot be more";
    the_only_error(&wrong, message, 14, 26);
    let none = with("[capacity]\nconnections = 0\n");
    the_only_error(&none, "this number must lie between 1 and 60000", 13, 15);
    // What a worker could not have must not pass for right.
    let many = with("[capacity]\nconnections = 60001\n");
    the_only_error(&many, "this number must lie between 1 and 60000", 13, 15);
}
